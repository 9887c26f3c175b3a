/* Loss and interarrival jitter of one sender, from the outer header alone, by the formulas of RFC 3550 (A.3
 * and A.8). Sequences are 64-bit, so no cycles; timestamps are microseconds modulo 2^32. All-zero is a valid
 * start. Threads: one at a time. */
#ifndef BW_RELAY_MEASURE_H
#define BW_RELAY_MEASURE_H

#include <stdbool.h>
#include <stdint.h>

struct bw_measure {
    bool started;
    uint64_t first, highest; /* sequences */
    uint64_t received, bytes;
    uint64_t lost_before;                                 /* in runs that have ended */
    uint64_t expected_prior, received_prior, bytes_prior; /* at the end of the last interval */
    uint64_t expected_carried, received_carried;          /* of runs that ended within this interval */
    uint32_t transit_us;                                  /* of the last packet, modulo 2^32 */
    uint32_t jitter_x16_us;                               /* the estimate, scaled by 16 as in A.8 */
};

/* What one interval looked like; lost is not below 0 (duplicates never reach a measure). */
struct bw_measure_interval {
    uint64_t packets_received, packets_lost, bytes_received;
    uint32_t fraction_lost_ppm;
    uint32_t jitter_us;
};

/* A genuine, fresh packet arrived. */
void bw_measure_packet(struct bw_measure *m, uint64_t sequence, uint32_t timestamp_us, uint32_t arrival_us,
                       uint32_t bytes);
/* The sender starts a new run of sequences: what came before stays counted, the gap is no loss. */
void bw_measure_restart(struct bw_measure *m);
/* Since the start, not below 0. */
uint64_t bw_measure_lost(const struct bw_measure *m);
uint32_t bw_measure_jitter_us(const struct bw_measure *m);
/* Ends the interval that began at the last call. */
struct bw_measure_interval bw_measure_interval(struct bw_measure *m);

#endif
