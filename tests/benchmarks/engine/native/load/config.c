/* The configuration file: a word and its values on each line; texts in hexadecimal, because they may be binary. */
#define _GNU_SOURCE
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "load.h"

struct config config;

static struct template unhex(const char *digits)
{
    size_t length = strlen(digits) / 2;
    uint8_t *bytes = malloc(length + 1);
    for (size_t i = 0; i < length; i++) {
        unsigned value = 0;
        if (sscanf(digits + 2 * i, "%2x", &value) != 1)
            errx(1, "not hexadecimal: %.20s", digits);
        bytes[i] = (uint8_t)value;
    }
    bytes[length] = 0;
    struct template text;
    template_load(&text, bytes, length);
    return text;
}

static uint8_t opcode(const char *kind)
{
    return !strcmp(kind, "text") ? 1 : 2;
}

static void read_headers(const char *name)
{
    FILE *file = fopen(name, "r");
    if (!file)
        err(1, "%s", name);
    char *line = NULL;
    size_t size = 0;
    ssize_t length;
    while ((length = getline(&line, &size, file)) > 0) {
        line[length - 1] = 0;
        config.headers = reallocarray(config.headers, config.header_count + 1, sizeof *config.headers);
        config.headers[config.header_count++] = strdup(line);
    }
    free(line);
    fclose(file);
}

static void read_step(bool sends, const char *kind, const char *text)
{
    if (config.step_count == MAX_STEPS)
        errx(1, "too many steps");
    config.steps[config.step_count++] = (struct step){.sends = sends, .opcode = opcode(kind), .text = unhex(text)};
}

static void read_line(char *word, char *first, char *second, char *third)
{
    if (!strcmp(word, "port"))
        config.port = atoi(first);
    else if (!strcmp(word, "events"))
        config.events = true;
    else if (!strcmp(word, "by-progress"))
        config.by_progress = true;
    else if (!strcmp(word, "streams"))
        config.streams = true;
    else if (!strcmp(word, "spins"))
        config.spins = true;
    else if (!strcmp(word, "path"))
        config.path = unhex(first);
    else if (!strcmp(word, "headers"))
        read_headers(first);
    else if (!strcmp(word, "send"))
        read_step(true, first, second);
    else if (!strcmp(word, "wait"))
        read_step(false, "text", first);
    else if (!strcmp(word, "reply") && config.reply_count < MAX_REPLIES)
        config.replies[config.reply_count++] =
            (struct reply){.opcode = opcode(first), .asked = unhex(second), .answer = unhex(third)};
    else if (!strcmp(word, "publish-over")) {
        config.publishes_http = !strcmp(first, "http");
        config.publish_port = atoi(second);
        config.publisher_count = atoi(third);
    } else if (!strcmp(word, "publish-hello"))
        config.publish_hello = unhex(first);
    else if (!strcmp(word, "publish"))
        config.publish = unhex(first);
    else
        errx(1, "unknown configuration: %s", word);
}

void config_read(const char *name)
{
    FILE *file = fopen(name, "r");
    if (!file)
        err(1, "%s", name);
    char *line = NULL;
    size_t size = 0;
    while (getline(&line, &size, file) > 0) {
        char *words[4] = {NULL};
        char *rest = line;
        for (int i = 0; i < 4; i++) {
            words[i] = strsep(&rest, " \n");
            if (!words[i])
                words[i] = "";
        }
        read_line(words[0], words[1], words[2], words[3]);
    }
    free(line);
    fclose(file);
    if (config.publish.length > MAX_MESSAGE)
        errx(1, "the message is too long");
}
