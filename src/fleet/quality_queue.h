/* Quality samples that wait to be reported: a ring that forgets the oldest when it is full. What is on its
 * way stays at the front until it is known to have arrived; what may not have arrived is sent again, and the
 * control plane tells doubles by their window.
 *
 * Owner: whoever created it. Threads: one at a time. Pure. */
#ifndef BW_FLEET_QUALITY_QUEUE_H
#define BW_FLEET_QUALITY_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/id.h"

/* One participant or peer over one window, measured on the outer header. */
struct bw_relay_quality {
    struct bw_id meeting;
    uint32_t slot;            /* of who sent the packets first */
    uint64_t window_start_ms; /* unix */
    uint32_t window_ms;
    uint64_t packets_received, packets_lost, bytes_received;
    uint32_t jitter_us, round_trip_us; /* 0: not measured */
    uint32_t peer_number;              /* the relay they came from; 0: the participant itself */
};

struct bw_quality_queue;

struct bw_quality_queue_counts {
    size_t waiting;    /* those on their way included */
    uint64_t settled;  /* have arrived */
    uint64_t dropped;  /* forgotten for want of room */
    uint64_t given_up; /* the control plane did not want them */
};

/* capacity >= 1. NULL when memory is out. */
struct bw_quality_queue *bw_quality_queue_create(size_t capacity);
/* NULL is allowed. */
void bw_quality_queue_destroy(struct bw_quality_queue *queue);
void bw_quality_queue_push(struct bw_quality_queue *queue, const struct bw_relay_quality *sample);
/* The next ones that are not on their way, oldest first; from now on they are. How many. */
size_t bw_quality_queue_take(struct bw_quality_queue *queue, struct bw_relay_quality *out, size_t room);

enum bw_report_fate { BW_REPORT_ARRIVED, BW_REPORT_UNWANTED, BW_REPORT_LOST };
/* What became of all that is on its way. */
void bw_quality_queue_settle(struct bw_quality_queue *queue, enum bw_report_fate fate);
struct bw_quality_queue_counts bw_quality_queue_counts(const struct bw_quality_queue *queue);

#endif
