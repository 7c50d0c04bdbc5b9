/* One epoll loop for connections, publishers and commands. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>

#include "load.h"

static int poller;
uint64_t loop_idle_ns;

uint64_t now_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

/* A connection to 127.0.0.1, which is all that this client ever talks to. */
int socket_to(int port, bool blocking)
{
    int file = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | (blocking ? 0 : SOCK_NONBLOCK), 0);
    if (file < 0)
        err(1, "socket (is `ulimit -n` large enough?)");
    int on = 1;
    setsockopt(file, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(file, (struct sockaddr *)&address, sizeof address) && errno != EINPROGRESS)
        err(1, "connect to port %d", port);
    return file;
}

void loop_start(void)
{
    poller = epoll_create1(EPOLL_CLOEXEC);
    if (poller < 0)
        err(1, "epoll_create1");
}

static void control(int operation, int file, enum source source, uint32_t index, bool writable)
{
    struct epoll_event event = {.events = EPOLLIN | (writable ? EPOLLOUT : 0)};
    event.data.u64 = (uint64_t)source << 32 | index;
    if (epoll_ctl(poller, operation, file, &event))
        err(1, "epoll_ctl");
}

void loop_watch(int file, enum source source, uint32_t index, bool writable)
{
    control(EPOLL_CTL_ADD, file, source, index, writable);
}

void loop_rewatch(int file, enum source source, uint32_t index, bool writable)
{
    control(EPOLL_CTL_MOD, file, source, index, writable);
}

/* Handle what has happened, waiting for at most `timeout_ns`. Time that found nothing to do is counted: a client that
 * has none left measures itself and not the server. */
bool loop_turn(int64_t timeout_ns)
{
    static struct epoll_event events[4096];
    struct timespec timeout = {.tv_sec = timeout_ns / 1000000000, .tv_nsec = timeout_ns % 1000000000};
    uint64_t began = now_ns();
    int count = epoll_pwait2(poller, events, 4096, &timeout, NULL);
    if (count < 0 && errno != EINTR)
        err(1, "epoll_pwait2");
    if (count <= 0 || timeout_ns > 0)
        loop_idle_ns += now_ns() - began;
    bool command = false;
    for (int i = 0; i < count; i++) {
        uint32_t index = (uint32_t)events[i].data.u64;
        switch ((enum source)(events[i].data.u64 >> 32)) {
        case CONNECTION: connection_event(index, events[i].events); break;
        case PUBLISHER: publisher_event(index); break;
        case COMMANDS: command = true; break;
        }
    }
    return command;
}
