/* Client connections: the HTTP request, the steps of the subscription, then frames (RFC 6455) or events. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "load.h"

enum { WINDOW = 256, OPEN_SECONDS = 90, MOST_REFUSED = 100 };
enum { OP_CLOSE = 8, OP_PING = 9, OP_PONG = 10 };
enum state { CLOSED, CONNECTING, REQUESTED, SUBSCRIBING, OPEN };

struct connection {
    int file;
    enum state state;
    int step;
    uint32_t channel;
    uint8_t *rest; /* the beginning of a message whose end has not arrived */
    size_t rest_length, rest_size;
    uint8_t tail[MARKER_LENGTH - 1]; /* of the frame before, where a protocol streams */
    size_t tail_length;
};

struct totals totals;
static struct connection *connections;
static uint32_t connection_count;

static void drop(struct connection *self)
{
    if (self->state == CLOSED)
        return;
    if (self->state == OPEN)
        totals.open--;
    else
        totals.connecting--;
    close(self->file);
    self->state = CLOSED;
    self->rest_length = 0;
}

/* Clients must mask (section 5.3); a mask of zeros leaves the payload as it is. Payloads here are short: one write. */
static void send_frame(struct connection *self, uint8_t opcode, const uint8_t *payload, size_t length)
{
    uint8_t frame[MAX_MESSAGE + 8] = {(uint8_t)(0x80 | opcode)};
    size_t head = 2;
    if (length > MAX_MESSAGE)
        return;
    if (length < 126)
        frame[1] = (uint8_t)(0x80 | length);
    else {
        frame[1] = 0x80 | 126;
        frame[2] = (uint8_t)(length >> 8);
        frame[3] = (uint8_t)length;
        head = 4;
    }
    head += 4;
    memcpy(frame + head, payload, length);
    if (write(self->file, frame, head + length) != (ssize_t)(head + length))
        totals.closed++;
}

/* Send what is due, until a step waits for a message or none is left. */
static void advance(struct connection *self)
{
    for (; self->step < config.step_count && config.steps[self->step].sends; self->step++) {
        const struct step *step = &config.steps[self->step];
        uint8_t text[MAX_MESSAGE];
        template_fill(&step->text, text, self->channel, 0, 0);
        send_frame(self, step->opcode, text, step->text.length);
    }
    if (self->step >= config.step_count && self->state != OPEN) {
        self->state = OPEN;
        totals.open++;
        totals.connecting--;
    }
}

/* Look through the end of the frame before and this one, and keep the end of both: too short for a whole marker. */
static void on_streamed(struct connection *self, const uint8_t *text, size_t length)
{
    static uint8_t joined[(1 << 20) + MARKER_LENGTH];
    memcpy(joined, self->tail, self->tail_length);
    memcpy(joined + self->tail_length, text, length);
    size_t whole = self->tail_length + length;
    record_message(self->channel, joined, whole);
    self->tail_length = whole < sizeof self->tail ? whole : sizeof self->tail;
    memcpy(self->tail, joined + whole - self->tail_length, self->tail_length);
}

static void on_message(struct connection *self, const uint8_t *text, size_t length)
{
    if (self->state == SUBSCRIBING) {
        const struct template *awaited = &config.steps[self->step].text;
        if (memmem(text, length, awaited->bytes, awaited->length)) {
            self->step++;
            advance(self);
        }
        return;
    }
    for (int i = 0; i < config.reply_count; i++) {
        const struct reply *reply = &config.replies[i];
        if (length == reply->asked.length && !memcmp(text, reply->asked.bytes, length)) {
            send_frame(self, reply->opcode, reply->answer.bytes, reply->answer.length);
            return;
        }
    }
    if (config.streams)
        on_streamed(self, text, length);
    else
        record_message(self->channel, text, length);
}

static void on_frame(struct connection *self, uint8_t opcode, const uint8_t *payload, size_t length)
{
    if (opcode == OP_PING)
        send_frame(self, OP_PONG, payload, length);
    else if (opcode == OP_CLOSE)
        shutdown(self->file, SHUT_RDWR); /* the end of the stream, which follows, is what is counted */
    else if (opcode != OP_PONG)
        on_message(self, payload, length);
}

/* Handle whole frames and return how many bytes they took. Servers do not mask. */
static size_t take_frames(struct connection *self, const uint8_t *bytes, size_t length)
{
    size_t at = 0;
    while (length - at >= 2) {
        size_t payload = bytes[at + 1] & 127, head = 2;
        if (payload == 126)
            head = 4;
        else if (payload == 127)
            head = 10;
        if (length - at < head)
            break;
        if (head > 2) {
            payload = 0;
            for (size_t i = 2; i < head; i++)
                payload = payload << 8 | bytes[at + i];
        }
        if (length - at - head < payload)
            break;
        on_frame(self, bytes[at] & 15, bytes + at + head, payload);
        at += head + payload;
    }
    return at;
}

/* Handle whole events; the chunks of the transfer coding in between hold nothing that is looked for. */
static size_t take_events(struct connection *self, const uint8_t *bytes, size_t length)
{
    size_t at = 0;
    const uint8_t *end;
    while ((end = memmem(bytes + at, length - at, "\n\n", 2))) {
        size_t next = (size_t)(end - bytes) + 2;
        if (memmem(bytes + at, next - at, "data:", 5))
            on_message(self, bytes + at, next - at);
        at = next;
    }
    return at;
}

static size_t take_response(struct connection *self, const uint8_t *bytes, size_t length)
{
    static int shown;
    const uint8_t *end = memmem(bytes, length, "\r\n\r\n", 4);
    if (!end)
        return 0;
    const char *expected = config.events ? "HTTP/1.1 200" : "HTTP/1.1 101";
    if (memcmp(bytes, expected, strlen(expected))) {
        if (shown++ < 3)
            fprintf(stderr, "refused: %.*s\n", (int)(end - bytes), bytes);
        totals.refused++;
        drop(self);
        return length;
    }
    self->state = SUBSCRIBING;
    advance(self);
    return (size_t)(end - bytes) + 4;
}

static void keep_rest(struct connection *self, const uint8_t *bytes, size_t length)
{
    self->rest_length = length;
    if (!length)
        return;
    if (self->rest_size < length) {
        self->rest_size = length + 256;
        self->rest = realloc(self->rest, self->rest_size);
    }
    memcpy(self->rest, bytes, length);
}

static void receive(struct connection *self)
{
    static uint8_t bytes[1 << 20];
    size_t kept = self->rest_length;
    if (kept)
        memcpy(bytes, self->rest, kept);
    ssize_t received = recv(self->file, bytes + kept, sizeof bytes - kept, 0);
    if (received < 0 && errno == EAGAIN)
        return;
    if (received <= 0) {
        if (self->state == OPEN)
            totals.closed++;
        else
            totals.refused++;
        drop(self);
        return;
    }
    size_t length = kept + (size_t)received, at = 0;
    if (self->state == REQUESTED)
        at = take_response(self, bytes, length);
    if (self->state >= SUBSCRIBING)
        at += config.events ? take_events(self, bytes + at, length - at) : take_frames(self, bytes + at, length - at);
    if (self->state != CLOSED)
        keep_rest(self, bytes + at, length - at);
}

static void request(struct connection *self)
{
    uint8_t path[MAX_MESSAGE];
    char text[MAX_MESSAGE];
    template_fill(&config.path, path, self->channel, 0, 0);
    const char *transport = config.events ? "Accept: text/event-stream\r\n"
                                          : "Upgrade: websocket\r\nConnection: Upgrade\r\n"
                                            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                                            "Sec-WebSocket-Version: 13\r\n";
    const char *header = config.header_count ? config.headers[self->channel % config.header_count] : "DNT: 1";
    /* The user agent is there because a browser's is: some of its bytes stay with the connection in most servers. */
    int length = snprintf(text, sizeof text,
        "GET %.*s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n%s"
        "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36\r\n"
        "Origin: http://127.0.0.1\r\n%s\r\n\r\n",
        (int)config.path.length, path, config.port, transport, header);
    if (length >= (int)sizeof text || write(self->file, text, (size_t)length) != length) {
        totals.refused++;
        drop(self);
        return;
    }
    self->state = REQUESTED;
}

void connection_event(uint32_t index, uint32_t events)
{
    struct connection *self = &connections[index];
    if (self->state == CLOSED)
        return;
    if (self->state != CONNECTING) {
        receive(self);
        return;
    }
    if (!(events & (EPOLLOUT | EPOLLERR | EPOLLHUP)))
        return;
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(self->file, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error) {
        totals.refused++;
        drop(self);
        return;
    }
    loop_rewatch(self->file, CONNECTION, index, false);
    request(self);
}

/* Open what is not open yet and return the seconds until all were subscribed, or until it was given up. */
double connections_open(uint32_t count, bool same_channel)
{
    if (count > connection_count) {
        connections = reallocarray(connections, count, sizeof *connections);
        memset(connections + connection_count, 0, (count - connection_count) * sizeof *connections);
        connection_count = count;
    }
    totals.closed = totals.refused = 0;
    uint64_t began = now_ns();
    uint32_t next = 0;
    while (totals.open < count && totals.refused < MOST_REFUSED && now_ns() - began < OPEN_SECONDS * 1000000000ull) {
        for (; next < count && totals.connecting < WINDOW; next++) {
            struct connection *self = &connections[next];
            if (self->state != CLOSED)
                continue;
            self->file = socket_to(config.port, false);
            self->state = CONNECTING;
            self->step = 0;
            self->tail_length = 0;
            self->channel = same_channel ? 0 : next;
            totals.connecting++;
            loop_watch(self->file, CONNECTION, next, true);
        }
        if (next == count && !totals.connecting)
            break;
        loop_turn(20000000);
    }
    return (double)(now_ns() - began) / 1e9;
}

void connections_close(void)
{
    for (uint32_t i = 0; i < connection_count; i++)
        drop(&connections[i]);
    totals.closed = 0;
}
