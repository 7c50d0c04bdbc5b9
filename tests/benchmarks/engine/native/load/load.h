/* The load client: one thread, one epoll loop, thousands of WebSocket (or Server-Sent Events) connections and a publisher
 * with a steady rate. See README.md beside this folder for what is measured and why it is measured so. */
#ifndef LOAD_H
#define LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MAX_TOKENS = 16, MAX_STEPS = 16, MAX_REPLIES = 4, MAX_MESSAGE = 8192 };

/* -- template.c: texts whose channel, version and progress are filled in at a fixed width --------------------------- */

struct template {
    uint8_t *bytes;
    size_t length;
    int tokens;
    struct {
        size_t at;
        char kind;
    } token[MAX_TOKENS];
};

void template_load(struct template *self, uint8_t *bytes, size_t length);
void template_fill(const struct template *self, uint8_t *out, uint32_t channel, uint64_t sequence, uint32_t progress);
bool read_digits(const uint8_t *text, int width, uint64_t *number);

/* -- config.c: what Python wrote down for this run ------------------------------------------------------------------ */

struct step {
    bool sends; /* else it waits for a message that contains the text */
    uint8_t opcode;
    struct template text;
};

struct reply { /* what a protocol wants answered, such as Engine.IO's ping */
    uint8_t opcode;
    struct template asked, answer;
};

struct config {
    int port;
    bool events; /* Server-Sent Events instead of WebSocket */
    bool by_progress; /* updates are told apart by the Body's progress, not by the marker */
    bool streams; /* a frame may end in the middle of a message */
    bool spins; /* poll without sleeping, which only a client with a core of its own may do */
    struct template path;
    char **headers; /* one line for each channel, or one for all */
    uint32_t header_count;
    struct step steps[MAX_STEPS];
    int step_count;
    struct reply replies[MAX_REPLIES];
    int reply_count;
    bool publishes_http; /* else a stream of messages over one TCP connection */
    int publish_port, publisher_count;
    struct template publish_hello, publish;
};

extern struct config config;
void config_read(const char *file);

/* -- loop.c: the one epoll loop, and the time it had nothing to do -------------------------------------------------- */

enum source { CONNECTION, PUBLISHER, COMMANDS };

uint64_t now_ns(void);
int socket_to(int port, bool blocking);
void loop_start(void);
void loop_watch(int file, enum source source, uint32_t index, bool writable);
void loop_rewatch(int file, enum source source, uint32_t index, bool writable);
bool loop_turn(int64_t timeout_ns); /* whether a command can be read */
extern uint64_t loop_idle_ns;

/* -- connections.c: handshake, subscription, frames ----------------------------------------------------------------- */

struct totals {
    uint32_t open, connecting;
    uint64_t closed, refused; /* by the server: after and during the handshake */
};

extern struct totals totals;
double connections_open(uint32_t count, bool same_channel);
void connections_close(void);
void connection_event(uint32_t index, uint32_t events);

/* -- publisher.c ---------------------------------------------------------------------------------------------------- */

void publisher_start(void);
void publisher_send(uint64_t index, uint32_t channel, uint32_t progress);
void publisher_flush(void);
void publisher_event(uint32_t index);
bool publisher_idle(void);
extern uint64_t publish_refused;

/* -- record.c: what was published, what of it arrived, and when ----------------------------------------------------- */

void record_start(uint64_t total, uint32_t channels, bool broadcast);
void record_published(uint64_t index, uint32_t channel, uint64_t intended_ns);
enum { MARKER_LENGTH = 30 };
void record_message(uint32_t channel, const uint8_t *text, size_t length);
uint64_t record_sequence(uint64_t index);
uint64_t record_settled(void);
uint32_t record_copies(uint64_t index);
uint64_t record_last_ns(void);
void record_report(uint64_t sent, uint64_t began_ns, uint64_t lag_ns, double idle);
void record_report_broadcast(uint64_t sent, uint64_t began_ns, uint32_t *whole_us, double idle);
void record_progress_base(uint32_t base);

#endif
