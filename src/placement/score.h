/* From what a meeting would look like to its score. Inside this room only. Pure. */
#ifndef BW_PLACEMENT_SCORE_H
#define BW_PLACEMENT_SCORE_H

#include <stdbool.h>
#include <stdint.h>

#include "placement/place.h"

/* Sums over a meeting, from which every mean follows: with c_i participants on relay i and H the sum of all
 * first hops, the pairs cost (n - 1) H + sum over i < j of c_i c_j d(i, j). */
struct bw_tally {
    uint64_t participants;
    uint64_t hop_sum_us;   /* H */
    uint64_t link_sum_us;  /* sum of c_i c_j d(i, j), i < j */
    uint64_t load_sum_ppm; /* sum of c_i u_i */
    uint32_t relays;
    uint64_t moved;
    uint32_t hot;
    uint64_t rank;
};

/* What is compared: hot, then rank, then nanoseconds. unplaced leads, for searches that pass through sets too
 * small for everyone. */
struct bw_cost {
    uint64_t unplaced;
    uint64_t hot, rank, ns;
};

/* participants >= 1. Rounds each term down to a microsecond; total_us is the sum of the terms shown. */
struct bw_score bw_score_of(const struct bw_tally *tally, const struct bw_weights *weights);
/* Exact to the nanosecond. */
struct bw_cost bw_cost_of(const struct bw_tally *tally, const struct bw_weights *weights);
/* < 0 when a is better. */
int bw_cost_compare(const struct bw_cost *a, const struct bw_cost *b);

#endif
