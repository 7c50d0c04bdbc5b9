/* What was published and what became of it. A version counts from the moment at which it should have been sent, so a
 * publisher that falls behind hides nothing. A version that is skipped because a newer one of the same channel came is
 * coalesced, and settled when the newer one arrives: from then on the client knows what it would have known. What
 * neither arrived nor was overtaken is missed. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "load.h"

enum { NONE = -1, MARKER_CHANNEL = 12, MARKER_VERSION = 10 }; /* digits; with the rest, MARKER_LENGTH */
enum fate { UNSETTLED, DELIVERED, COALESCED };

struct version {
    uint64_t intended_ns;
    int64_t next; /* the following version of the same channel */
    uint32_t channel, microseconds, copies;
    enum fate fate;
};

struct channel {
    int64_t oldest_unsettled, newest;
};

static const char MARKER[] = "bench:"; /* then the channel, a colon, the version, a colon */
static struct version *versions;
static struct channel *channels;
static uint64_t total, first_sequence = 1, settled, last_ns;
static uint32_t channel_count, progress_base;
static uint64_t delivered, coalesced, duplicated, reordered, misdelivered;
static bool broadcasting;

void record_start(uint64_t count, uint32_t channels_published, bool broadcast)
{
    first_sequence += total;
    total = count;
    channel_count = channels_published;
    broadcasting = broadcast;
    settled = last_ns = delivered = coalesced = duplicated = reordered = misdelivered = 0;
    free(versions);
    free(channels);
    versions = calloc(count, sizeof *versions);
    channels = calloc(channels_published, sizeof *channels);
    for (uint32_t i = 0; i < channels_published; i++)
        channels[i].oldest_unsettled = channels[i].newest = NONE;
}

void record_progress_base(uint32_t base)
{
    progress_base = base;
}

void record_published(uint64_t index, uint32_t channel, uint64_t intended_ns)
{
    struct channel *self = &channels[channel];
    versions[index] = (struct version){.intended_ns = intended_ns, .next = NONE, .channel = channel};
    if (self->newest != NONE)
        versions[self->newest].next = (int64_t)index;
    if (self->oldest_unsettled == NONE)
        self->oldest_unsettled = (int64_t)index;
    self->newest = (int64_t)index;
}

static void settle(struct version *version, enum fate fate, uint64_t at_ns)
{
    uint64_t microseconds = (at_ns - version->intended_ns) / 1000;
    version->microseconds = microseconds > UINT32_MAX ? UINT32_MAX : (uint32_t)microseconds;
    version->fate = fate;
    settled++;
}

static void arrived(uint32_t channel, int64_t index)
{
    if (index < 0 || (uint64_t)index >= total || !versions[index].intended_ns)
        return; /* of a run before this one, or read from the database */
    struct version *version = &versions[index];
    if (version->channel != channel) {
        misdelivered++;
        return;
    }
    last_ns = now_ns();
    version->copies++;
    if (broadcasting) {
        delivered++;
        return;
    }
    if (version->fate != UNSETTLED) {
        if (version->fate == DELIVERED)
            duplicated++;
        else
            reordered++;
        return;
    }
    struct channel *self = &channels[channel];
    while (self->oldest_unsettled != index) {
        struct version *skipped = &versions[self->oldest_unsettled];
        settle(skipped, COALESCED, last_ns);
        coalesced++;
        self->oldest_unsettled = skipped->next;
    }
    settle(version, DELIVERED, last_ns);
    delivered++;
    self->oldest_unsettled = version->next;
}

/* Callbacks go round: all channels get progress 1, then all get 2, and so on. */
static void read_progress(uint32_t channel, const uint8_t *text, size_t length)
{
    const uint8_t *found = memmem(text, length, "\"progress\":", 11);
    if (!found)
        return;
    long round = 0;
    for (const uint8_t *digit = found + 11; digit < text + length && *digit >= '0' && *digit <= '9'; digit++)
        round = round * 10 + (*digit - '0');
    arrived(channel, (round - 1 - (long)progress_base) * (long)channel_count + (long)channel);
}

void record_message(uint32_t channel, const uint8_t *text, size_t length)
{
    if (!versions)
        return;
    if (config.by_progress) {
        read_progress(channel, text, length);
        return;
    }
    /* A frame may hold several messages in protocols that stream, such as NATS's. */
    const size_t head = sizeof MARKER - 1;
    const uint8_t *end = text + length, *found;
    while ((found = memmem(text, (size_t)(end - text), MARKER, head)) && (size_t)(end - found) >= MARKER_LENGTH) {
        uint64_t named, version;
        if (!read_digits(found + head, MARKER_CHANNEL, &named) ||
            !read_digits(found + head + MARKER_CHANNEL + 1, MARKER_VERSION, &version))
            return; /* the template itself: nothing was filled in */
        if (named != channel)
            misdelivered++;
        else
            arrived(channel, (int64_t)(version % 1000000000u) - (int64_t)first_sequence);
        text = found + MARKER_LENGTH;
    }
}

uint64_t record_sequence(uint64_t index)
{
    return first_sequence + index;
}

uint64_t record_settled(void)
{
    return settled;
}

uint32_t record_copies(uint64_t index)
{
    return versions[index].copies;
}

uint64_t record_last_ns(void)
{
    return last_ns;
}

static int compare(const void *left, const void *right)
{
    uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
    return a < b ? -1 : a > b;
}

static uint32_t percentile(const uint32_t *sorted, uint64_t count, double share)
{
    return count ? sorted[(uint64_t)((double)(count - 1) * share)] : 0;
}

static void print_common(uint64_t sent, double idle)
{
    printf("\"sent\":%lu,\"delivered\":%lu,\"coalesced\":%lu,\"duplicated\":%lu,\"reordered\":%lu,"
           "\"misdelivered\":%lu,\"refused\":%lu,\"closed\":%lu,\"open\":%u,\"idle\":%.3f}\n",
        sent, delivered, coalesced, duplicated, reordered, misdelivered, publish_refused, totals.closed, totals.open, idle);
    fflush(stdout);
}

void record_report(uint64_t sent, uint64_t began_ns, uint64_t lag_ns, double idle)
{
    uint32_t *sorted = calloc(settled + 1, sizeof *sorted);
    uint64_t count = 0;
    for (uint64_t i = 0; i < sent; i++)
        if (versions[i].fate != UNSETTLED)
            sorted[count++] = versions[i].microseconds;
    qsort(sorted, count, sizeof *sorted, compare);
    double seconds = last_ns > began_ns ? (double)(last_ns - began_ns) / 1e9 : 0;
    printf("{\"missed\":%lu,\"seconds\":%.4f,\"rate\":%.1f,\"p50_us\":%u,\"p99_us\":%u,\"p999_us\":%u,\"max_us\":%u,"
           "\"lag_us\":%lu,",
        sent - settled, seconds, seconds > 0 ? (double)delivered / seconds : 0, percentile(sorted, count, 0.5),
        percentile(sorted, count, 0.99), percentile(sorted, count, 0.999), percentile(sorted, count, 1), lag_ns / 1000);
    print_common(sent, idle);
    free(sorted);
}

void record_report_broadcast(uint64_t sent, uint64_t began_ns, uint32_t *whole_us, double idle)
{
    uint64_t missed = 0;
    for (uint64_t i = 0; i < sent; i++) {
        if (versions[i].copies < totals.open)
            missed += totals.open - versions[i].copies;
        else
            duplicated += versions[i].copies - totals.open;
    }
    qsort(whole_us, sent, sizeof *whole_us, compare);
    double seconds = last_ns > began_ns ? (double)(last_ns - began_ns) / 1e9 : 0;
    printf("{\"missed\":%lu,\"seconds\":%.4f,\"rate\":%.1f,\"whole_p50_us\":%u,\"whole_max_us\":%u,", missed, seconds,
        seconds > 0 ? (double)delivered / seconds : 0, percentile(whole_us, sent, 0.5), percentile(whole_us, sent, 1));
    print_common(sent, idle);
}
