/* The publisher: messages streamed over one TCP connection, or one HTTP request each over a few that are kept alive. */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "load.h"

struct publisher {
    int file;
    bool busy;
    char answer[MAX_MESSAGE];
    size_t answered;
};

struct waiting { /* a request for which no connection is free; its time runs */
    uint64_t sequence;
    uint32_t channel, progress;
};

uint64_t publish_refused;
static struct publisher *publishers;
static uint32_t *unused, unused_count;
static struct waiting *queue;
static uint64_t queue_head, queue_tail, queue_size;
static uint8_t *stream;
static size_t stream_at, stream_length, stream_size;

static void open_publisher(uint32_t index)
{
    struct publisher *self = &publishers[index];
    self->file = socket_to(config.publish_port, true);
    self->busy = false;
    self->answered = 0;
    const struct template *hello = &config.publish_hello;
    if (hello->length && write(self->file, hello->bytes, hello->length) != (ssize_t)hello->length)
        err(1, "publisher");
    fcntl(self->file, F_SETFL, O_NONBLOCK);
    loop_watch(self->file, PUBLISHER, index, false);
}

void publisher_start(void)
{
    if (publishers)
        return;
    uint32_t count = (uint32_t)config.publisher_count;
    publishers = calloc(count, sizeof *publishers);
    unused = calloc(count, sizeof *unused);
    for (uint32_t i = 0; i < count; i++) {
        open_publisher(i);
        unused[unused_count++] = i;
    }
}

static void send_request(uint32_t index, const struct waiting *request)
{
    uint8_t message[MAX_MESSAGE];
    template_fill(&config.publish, message, request->channel, request->sequence, request->progress);
    if (write(publishers[index].file, message, config.publish.length) != (ssize_t)config.publish.length)
        publish_refused++;
    publishers[index].busy = true;
    publishers[index].answered = 0;
}

static void enqueue(const struct waiting *request)
{
    if (queue_tail - queue_head == queue_size) { /* grow, and put what waits in order at the beginning */
        uint64_t size = queue_size ? queue_size * 2 : 4096;
        struct waiting *larger = calloc(size, sizeof *larger);
        for (uint64_t i = queue_head; i < queue_tail; i++)
            larger[i - queue_head] = queue[i % queue_size];
        free(queue);
        queue = larger;
        queue_tail -= queue_head;
        queue_head = 0;
        queue_size = size;
    }
    queue[queue_tail++ % queue_size] = *request;
}

static uint8_t *stream_room(size_t length)
{
    if (stream_at && stream_at == stream_length)
        stream_at = stream_length = 0;
    if (stream_length + length > stream_size) {
        stream_size = (stream_length + length) * 2 + 65536;
        stream = realloc(stream, stream_size);
    }
    stream_length += length;
    return stream + stream_length - length;
}

void publisher_send(uint64_t index, uint32_t channel, uint32_t progress)
{
    struct waiting request = {record_sequence(index), channel, progress};
    if (!config.publishes_http)
        template_fill(&config.publish, stream_room(config.publish.length), channel, request.sequence, progress);
    else if (unused_count)
        send_request(unused[--unused_count], &request);
    else
        enqueue(&request);
}

void publisher_flush(void)
{
    while (stream_at < stream_length) {
        ssize_t written = write(publishers[0].file, stream + stream_at, stream_length - stream_at);
        if (written <= 0)
            return;
        stream_at += (size_t)written;
    }
}

bool publisher_idle(void)
{
    return config.publishes_http ? unused_count == (uint32_t)config.publisher_count : stream_at == stream_length;
}

static void on_stream(struct publisher *self)
{
    static char text[1 << 16];
    ssize_t length = read(self->file, text, sizeof text);
    if (length == 0)
        errx(1, "the server closed the publisher's connection");
    if (length < 0)
        return;
    if (memmem(text, (size_t)length, "-ERR", 4))
        publish_refused++;
    if (length >= 4 && !memcmp(text, "PING", 4)) /* NATS asks; Redis does not */
        memcpy(stream_room(6), "PONG\r\n", 6);
}

static bool is_whole(const struct publisher *self)
{
    const char *end = strstr(self->answer, "\r\n\r\n");
    if (!end)
        return false;
    size_t head = (size_t)(end - self->answer) + 4;
    const char *length = strcasestr(self->answer, "\r\ncontent-length:");
    if (length && length < end)
        return self->answered >= head + (size_t)atol(length + 17);
    if (strcasestr(self->answer, "\r\ntransfer-encoding: chunked"))
        return self->answered >= 5 && !memcmp(self->answer + self->answered - 5, "0\r\n\r\n", 5);
    return true;
}

static void on_answer(uint32_t index)
{
    static int shown;
    struct publisher *self = &publishers[index];
    ssize_t length = read(self->file, self->answer + self->answered, sizeof self->answer - 1 - self->answered);
    if (length < 0)
        return;
    if (length == 0) { /* kept alive for long enough, the server found */
        bool unanswered = self->busy;
        close(self->file);
        open_publisher(index);
        publish_refused += unanswered;
        if (unanswered)
            unused[unused_count++] = index;
        return;
    }
    self->answered += (size_t)length;
    self->answer[self->answered] = 0;
    if (!is_whole(self))
        return;
    if (self->answer[9] != '2') {
        publish_refused++;
        if (shown++ < 3)
            fprintf(stderr, "refused: %.200s\n", self->answer);
    }
    self->busy = false;
    if (queue_head < queue_tail)
        send_request(index, &queue[queue_head++ % queue_size]);
    else
        unused[unused_count++] = index;
}

void publisher_event(uint32_t index)
{
    if (config.publishes_http)
        on_answer(index);
    else
        on_stream(&publishers[index]);
}
