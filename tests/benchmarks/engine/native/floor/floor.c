/* floor PORT PUBLISH_PORT LENGTH: the least that a server can do. One epoll loop writes each message that the publisher
 * streams (twelve digits of channel, a space, LENGTH bytes) straight to that channel's connections: no bus, no
 * authentication, no queue; a client that cannot be written to at once loses the message. What it costs is what the
 * kernel's writes cost, and a load client that keeps up with it keeps up with everything slower. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MOST_FILES = 1 << 16, CHANNEL_WIDTH = 12, NOBODY = -1, FRAME_HEAD = 4 };

static int first_of_channel[MOST_FILES], next_of_channel[MOST_FILES], channel_of[MOST_FILES];
static int poller;
static size_t message_length;

static int listen_on(int port)
{
    int file = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;
    setsockopt(file, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(file, (struct sockaddr *)&address, sizeof address) || listen(file, 4096))
        err(1, "port %d", port);
    return file;
}

static void watch(int file)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = file};
    if (epoll_ctl(poller, EPOLL_CTL_ADD, file, &event))
        err(1, "epoll_ctl");
}

/* Accept all that wait and return the last one. */
static int accept_all(int listener)
{
    int file, last = NOBODY, on = 1;
    while ((file = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        if (file >= MOST_FILES)
            errx(1, "too many connections");
        setsockopt(file, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        channel_of[file] = NOBODY;
        watch(file);
        last = file;
    }
    return last;
}

static void subscribe(int file, int channel)
{
    channel_of[file] = channel;
    next_of_channel[file] = first_of_channel[channel];
    first_of_channel[channel] = file;
}

static void leave(int file)
{
    if (channel_of[file] != NOBODY) {
        int *link = &first_of_channel[channel_of[file]];
        while (*link != file)
            link = &next_of_channel[*link];
        *link = next_of_channel[file];
    }
    close(file);
}

static void on_client(int file)
{
    static const char ACCEPTED[] =
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    static char text[65536];
    ssize_t length = read(file, text, sizeof text - 1);
    if (length < 0 && errno == EAGAIN)
        return;
    if (length <= 0) {
        leave(file);
        return;
    }
    text[length] = 0;
    const char *channel = strstr(text, "?c=");
    if (channel_of[file] != NOBODY || !channel)
        return;
    subscribe(file, atoi(channel + 3) % MOST_FILES);
    if (write(file, ACCEPTED, sizeof ACCEPTED - 1) < 0)
        leave(file);
}

static void deliver(uint8_t *message, int channel)
{
    /* The frame's head (RFC 6455, section 5.2) overwrites what stood before the message: one write, no copy. */
    uint8_t *frame = message - FRAME_HEAD;
    frame[0] = 0x81;
    frame[1] = 126;
    frame[2] = (uint8_t)(message_length >> 8);
    frame[3] = (uint8_t)message_length;
    for (int file = first_of_channel[channel]; file != NOBODY; file = next_of_channel[file])
        if (send(file, frame, message_length + FRAME_HEAD, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 && errno == EBADF)
            errx(1, "a connection that is not there");
}

/* Whether the publisher is still there. */
static bool on_publisher(int file)
{
    static uint8_t bytes[1 << 20];
    static size_t kept;
    ssize_t received = read(file, bytes + kept, sizeof bytes - kept);
    if (received <= 0) {
        if (received < 0 && errno == EAGAIN)
            return true;
        close(file);
        kept = 0;
        return false;
    }
    size_t length = kept + (size_t)received, at = 0, whole = CHANNEL_WIDTH + 1 + message_length;
    for (; length - at >= whole; at += whole)
        deliver(bytes + at + CHANNEL_WIDTH + 1, atoi((char *)bytes + at) % MOST_FILES);
    kept = length - at;
    memmove(bytes, bytes + at, kept);
    return true;
}

int main(int argc, char **argv)
{
    if (argc != 4)
        errx(2, "usage: floor PORT PUBLISH_PORT LENGTH");
    int publisher = NOBODY;
    message_length = (size_t)atoi(argv[3]);
    if (message_length < 126 || message_length > 65535)
        errx(2, "LENGTH must need exactly two bytes in a frame's head");
    memset(first_of_channel, 0xff, sizeof first_of_channel);
    poller = epoll_create1(0);
    int clients = listen_on(atoi(argv[1])), publishers = listen_on(atoi(argv[2]));
    watch(clients);
    watch(publishers);
    for (;;) {
        static struct epoll_event events[1024];
        int count = epoll_wait(poller, events, 1024, -1);
        for (int i = 0; i < count; i++) {
            int file = events[i].data.fd;
            if (file == clients)
                accept_all(clients);
            else if (file == publishers)
                publisher = accept_all(publishers);
            else if (file != publisher)
                on_client(file);
            else if (!on_publisher(file))
                publisher = NOBODY;
        }
    }
}
