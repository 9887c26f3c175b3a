/* Windows of quality: every few seconds each path's measure is read and reported to the cell whose meeting it
 * is. Windows begin at multiples of their length by the wall clock, so that those of different relays lie
 * beside each other. */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "relay/worker_state.h"
#include "runtime/clock.h"
#include "runtime/log.h"

enum { LONGEST_MS = 60000 }; /* that a window may be */

static bool make_room(struct worker_quality *quality)
{
    if (quality->count < quality->room)
        return true;
    size_t room = quality->room > 0 ? quality->room * 2 : 256;
    struct worker_measured *grown = bw_realloc(quality->measured, room * sizeof *grown);
    if (grown == NULL)
        return false;
    quality->measured = grown;
    struct bw_relay_quality *out = bw_realloc(quality->out, room * sizeof *out);
    if (out == NULL)
        return false;
    quality->out = out;
    quality->room = room;
    return true;
}

/* Ends the path's interval; its window is filled in when that has ended, too. */
void worker_quality_measured(void *context, const struct bw_relay_path *path)
{
    struct bw_relay_worker *worker = context;
    struct worker_quality *quality = &worker->quality;
    struct bw_measure_interval interval = bw_measure_interval(path->measure);
    if (interval.packets_received == 0 && interval.packets_lost == 0)
        return;
    if (!make_room(quality)) {
        bw_log(BW_LOG_WARN, "quality_not_measured", "why=\"out of memory\"");
        return;
    }
    uint32_t rtt_us = path->rtt_us;
    if (path->peer_number != 0 && worker->cells[path->cell].prober != NULL)
        rtt_us = bw_prober_rtt_us(worker->cells[path->cell].prober, path->peer_number);
    quality->measured[quality->count++] =
        (struct worker_measured){.cell = path->cell,
                                 .sample = {.meeting = path->meeting,
                                            .slot = path->slot,
                                            .peer_number = path->peer_number,
                                            .packets_received = interval.packets_received,
                                            .packets_lost = interval.packets_lost,
                                            .bytes_received = interval.bytes_received,
                                            .jitter_us = interval.jitter_us,
                                            .round_trip_us = rtt_us}};
}

static int by_path(const void *a, const void *b)
{
    const struct worker_measured *x = a, *y = b;
    if (x->cell != y->cell)
        return x->cell < y->cell ? -1 : 1;
    int order = bw_id_compare(&x->sample.meeting, &y->sample.meeting);
    if (order != 0)
        return order;
    if (x->sample.slot != y->sample.slot)
        return x->sample.slot < y->sample.slot ? -1 : 1;
    return (x->sample.peer_number > y->sample.peer_number) - (x->sample.peer_number < y->sample.peer_number);
}

/* Somebody who joined again within the window was measured in parts. Jitter is that of the longer part. */
static void add_part(struct bw_relay_quality *to, const struct bw_relay_quality *part)
{
    if (part->packets_received >= to->packets_received) {
        to->jitter_us = part->jitter_us;
        if (part->round_trip_us != 0)
            to->round_trip_us = part->round_trip_us;
    }
    to->packets_received += part->packets_received;
    to->packets_lost += part->packets_lost;
    to->bytes_received += part->bytes_received;
}

static void report(struct bw_relay_worker *worker, uint32_t window_ms)
{
    struct worker_quality *quality = &worker->quality;
    if (quality->count > 1)
        qsort(quality->measured, quality->count, sizeof *quality->measured, by_path);
    for (size_t i = 0; i < quality->count;) {
        size_t cell = quality->measured[i].cell, n = 0, previous = 0;
        for (; i < quality->count && quality->measured[i].cell == cell; i++) {
            if (n > 0 && by_path(&quality->measured[previous], &quality->measured[i]) == 0) {
                add_part(&quality->out[n - 1], &quality->measured[i].sample);
                continue;
            }
            previous = i;
            quality->out[n] = quality->measured[i].sample;
            quality->out[n].window_start_ms = quality->start_ms;
            quality->out[n].window_ms = window_ms;
            n++;
        }
        if (worker->cells[cell].client != NULL)
            bw_fleet_client_report_quality(worker->cells[cell].client, quality->out, n);
    }
    quality->count = 0;
}

static void schedule(struct bw_relay_worker *worker, uint64_t now_ms)
{
    uint64_t end_ms = worker->quality.start_ms + worker->config->window_ms;
    bw_timer_start(worker->window, end_ms > now_ms ? end_ms - now_ms : 1, 0);
}

void worker_quality_begin(struct bw_relay_worker *worker)
{
    uint64_t now_ms = bw_clock_wall_ms();
    worker->quality.start_ms = now_ms - now_ms % worker->config->window_ms;
    schedule(worker, now_ms);
}

void worker_quality_window(struct bw_relay_worker *worker)
{
    struct worker_quality *quality = &worker->quality;
    uint64_t now_ms = bw_clock_wall_ms(), window_ms = worker->config->window_ms;
    uint64_t next_ms = (now_ms + window_ms / 2) / window_ms * window_ms; /* a timer is never quite on time */
    /* Longer when this process was stopped meanwhile; a clock that went back says nothing about the length.
     */
    uint64_t length_ms = next_ms > quality->start_ms ? next_ms - quality->start_ms : window_ms;
    bw_relay_core_each_path(worker->core, worker_quality_measured, worker);
    if (length_ms > LONGEST_MS) { /* nothing came while this process was stopped */
        quality->start_ms += length_ms - LONGEST_MS;
        length_ms = LONGEST_MS;
    }
    report(worker, (uint32_t)length_ms);
    quality->start_ms = next_ms;
    schedule(worker, now_ms);
}

void worker_quality_finish(struct bw_relay_worker *worker)
{
    bw_free(worker->quality.measured);
    bw_free(worker->quality.out);
    worker->quality = (struct worker_quality){0};
}
