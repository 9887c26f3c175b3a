/* Fifty relays in one thread: each holds a real session through the fleet client library, with its own
 * certificate, acknowledges what it is told and sends heartbeats. Noted is when each slot was applied. */
#ifndef BW_BENCH_RELAY_SWARM_H
#define BW_BENCH_RELAY_SWARM_H

#include <stddef.h>
#include <stdint.h>

#include "cell.h"

struct bench_applied {
    struct bw_id meeting;
    uint32_t slot;
    int64_t at_us; /* wall clock, as PostgreSQL's commit timestamps */
};

struct bench_swarm;

/* Returns once every session is live. */
struct bench_swarm *bench_swarm_start(const struct bench_cell *cell);
/* Every slot applied since the start, in order; valid until stopped. Waits until `count` were, at most
 * `timeout_ms`, and returns how many there are. Threads: any. */
size_t bench_swarm_wait(struct bench_swarm *swarm, size_t count, uint64_t timeout_ms);
const struct bench_applied *bench_swarm_applied(const struct bench_swarm *swarm);
/* Ends the sessions and the thread. */
void bench_swarm_stop(struct bench_swarm *swarm);

#endif
