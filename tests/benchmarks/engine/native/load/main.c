/* load CONFIG: take commands from standard input, one a line, and answer each with one line of JSON.
 *
 *   open COUNT own|same            connect and subscribe, each to a channel of its own or all to channel 0
 *   reopen COUNT                   drop all at once and open them again
 *   close                          drop all
 *   publish RATE SECONDS CHANNELS  at a steady rate, to channels at random (or in turn, when told apart by progress)
 *   broadcast SECONDS              to channel 0, the next one when all have got the last
 */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "load.h"

enum { MOST_BROADCASTS = 20000, LAST_PROGRESS = 100 };
static const uint64_t SECOND = 1000000000u;
static const uint64_t QUIET = 500000000u; /* after that long without a message, no more is expected */

static uint32_t next_random(void)
{
    static uint64_t state = 88172645463325252u; /* always the same order of channels: xorshift64 */
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 32);
}

static void command_open(uint32_t count, bool same, bool again)
{
    uint64_t began = now_ns();
    if (again)
        connections_close();
    connections_open(count, same);
    double seconds = (double)(now_ns() - began) / 1e9;
    printf("{\"open\":%u,\"refused\":%lu,\"seconds\":%.4f}\n", totals.open, totals.refused, seconds);
    fflush(stdout);
}

static int64_t pause_before(uint64_t next_ns)
{
    if (config.spins)
        return 0;
    uint64_t time = now_ns();
    if (next_ns <= time)
        return 0;
    return next_ns - time < 1000000 ? (int64_t)(next_ns - time) : 1000000;
}

/* Whether all has arrived, or it has been quiet for so long after the last message that the rest is lost. */
static bool is_over(uint64_t total, uint64_t sent_all_ns)
{
    uint64_t time = now_ns();
    if (record_settled() == total)
        return true;
    return time - sent_all_ns > 4 * QUIET && time - record_last_ns() > QUIET && publisher_idle();
}

static void command_publish(double rate, double seconds, uint32_t channel_count)
{
    static uint32_t progress_base;
    uint64_t total = (uint64_t)(rate * seconds), sent = 0, lag = 0, sent_all = 0;
    uint32_t rounds = (uint32_t)((total + channel_count - 1) / channel_count);
    if (config.by_progress && progress_base + rounds > LAST_PROGRESS)
        errx(1, "no progress is left to report: fewer seconds, a lower rate or more connections");
    publisher_start();
    publish_refused = totals.closed = 0;
    record_start(total, channel_count, false);
    record_progress_base(progress_base);
    double interval = 1e9 / rate;
    uint64_t began = now_ns() + 2000000, limit = began + (uint64_t)((seconds + 10) * 1e9);
    loop_idle_ns = 0;
    while (now_ns() < limit) {
        uint64_t time = now_ns(), intended;
        for (; sent < total && (intended = began + (uint64_t)((double)sent * interval)) <= time; sent++) {
            uint32_t channel = config.by_progress ? (uint32_t)(sent % channel_count) : next_random() % channel_count;
            if (time - intended > lag)
                lag = time - intended;
            record_published(sent, channel, intended);
            publisher_send(sent, channel, progress_base + (uint32_t)(sent / channel_count) + 1);
        }
        publisher_flush();
        if (sent == total && !sent_all)
            sent_all = now_ns();
        if (sent_all && is_over(total, sent_all))
            break;
        loop_turn(sent_all ? pause_before(UINT64_MAX) : pause_before(began + (uint64_t)((double)sent * interval)));
    }
    double idle = (double)loop_idle_ns / (double)(now_ns() - began);
    progress_base += rounds;
    record_report(sent, began, lag, idle);
}

static void command_broadcast(double seconds)
{
    static uint32_t whole_us[MOST_BROADCASTS];
    publisher_start();
    publish_refused = totals.closed = 0;
    record_start(MOST_BROADCASTS, 1, true);
    uint64_t began = now_ns(), sent = 0;
    loop_idle_ns = 0;
    while (sent < MOST_BROADCASTS && (double)(now_ns() - began) < seconds * 1e9) {
        uint64_t time = now_ns();
        record_published(sent, 0, time);
        publisher_send(sent, 0, 0);
        do {
            publisher_flush();
            loop_turn(pause_before(UINT64_MAX));
        } while ((record_copies(sent) < totals.open || !publisher_idle()) && now_ns() - time < 8 * SECOND);
        whole_us[sent] = (uint32_t)((now_ns() - time) / 1000);
        if (record_copies(sent++) < totals.open)
            break;
    }
    double idle = (double)loop_idle_ns / (double)(now_ns() - began);
    record_report_broadcast(sent, began, whole_us, idle);
}

static void obey(const char *command)
{
    uint32_t count;
    double rate, seconds;
    char kind[8];
    if (sscanf(command, "open %u %7s", &count, kind) == 2)
        command_open(count, !strcmp(kind, "same"), false);
    else if (sscanf(command, "reopen %u", &count) == 1)
        command_open(count, false, true);
    else if (sscanf(command, "publish %lf %lf %u", &rate, &seconds, &count) == 3)
        command_publish(rate, seconds, count);
    else if (sscanf(command, "broadcast %lf", &seconds) == 1)
        command_broadcast(seconds);
    else if (!strncmp(command, "close", 5)) {
        connections_close();
        printf("{}\n");
        fflush(stdout);
    } else
        errx(1, "unknown command: %s", command);
}

int main(int argc, char **argv)
{
    if (argc != 2)
        errx(2, "usage: load CONFIG");
    config_read(argv[1]);
    loop_start();
    fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK);
    loop_watch(STDIN_FILENO, COMMANDS, 0, false);
    static char command[1024];
    size_t length = 0;
    for (;;) {
        if (!loop_turn((int64_t)SECOND))
            continue;
        ssize_t received = read(STDIN_FILENO, command + length, sizeof command - 1 - length);
        if (received == 0)
            return 0;
        if (received < 0)
            continue;
        length += (size_t)received;
        command[length] = 0;
        if (command[length - 1] != '\n')
            continue;
        length = 0;
        obey(command);
    }
}
