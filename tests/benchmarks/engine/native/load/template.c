/* Texts with tokens that are as wide as what replaces them, so that a message is made by copying and writing digits. */
#include <stdlib.h>
#include <string.h>

#include "load.h"

/* Versions begin at 10^9: always ten digits, as in an int4, and never with a leading zero, which JSON forbids. */
static const uint64_t FIRST_VERSION = 1000000000u;

static const struct {
    char kind;
    const char *text;
} TOKENS[] = {{'c', "CCCCCCCCCCCC"}, {'v', "VVVVVVVVVV"}, {'p', "PPPPPPPP"}};

void template_load(struct template *self, uint8_t *bytes, size_t length)
{
    *self = (struct template){.bytes = bytes, .length = length};
    for (size_t at = 0; at < length; at++)
        for (size_t which = 0; which < sizeof TOKENS / sizeof *TOKENS; which++) {
            size_t width = strlen(TOKENS[which].text);
            if (length - at < width || memcmp(bytes + at, TOKENS[which].text, width))
                continue;
            if (self->tokens == MAX_TOKENS)
                abort();
            self->token[self->tokens].at = at;
            self->token[self->tokens++].kind = TOKENS[which].kind;
            at += width - 1;
            break;
        }
}

static void write_digits(uint8_t *out, int width, uint64_t number)
{
    while (width--) {
        out[width] = (uint8_t)('0' + number % 10);
        number /= 10;
    }
}

/* JSON allows spaces after a number, but no zeros before it. */
static void write_progress(uint8_t *out, uint32_t progress)
{
    int width = progress >= 100 ? 3 : progress >= 10 ? 2 : 1;
    memset(out, ' ', 8);
    write_digits(out, width, progress);
}

void template_fill(const struct template *self, uint8_t *out, uint32_t channel, uint64_t sequence, uint32_t progress)
{
    memcpy(out, self->bytes, self->length);
    for (int i = 0; i < self->tokens; i++) {
        uint8_t *at = out + self->token[i].at;
        switch (self->token[i].kind) {
        case 'c': write_digits(at, 12, channel); break;
        case 'v': write_digits(at, 10, FIRST_VERSION + sequence); break;
        case 'p': write_progress(at, progress); break;
        }
    }
}

bool read_digits(const uint8_t *text, int width, uint64_t *number)
{
    *number = 0;
    for (int i = 0; i < width; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        *number = *number * 10 + (uint64_t)(text[i] - '0');
    }
    return true;
}
