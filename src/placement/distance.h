/* Region to region distances of a snapshot. Inside this room only. */
#ifndef BW_PLACEMENT_DISTANCE_H
#define BW_PLACEMENT_DISTANCE_H

#include <stdint.h>

#include "placement/snapshot.h"

/* No distance is taken to be longer, so that sums over a meeting's pairs fit 64 bits. */
enum { BW_HOP_US_MAX = 1000000 };

/* Half of a round trip, within BW_HOP_US_MAX. */
uint32_t bw_one_way_us(uint64_t rtt_us);

/* Fills region_us and unknown_us: listed pairs, then `same`, then `default`; the great circle where no round
 * trip is given; what nobody knows is equal to all. */
BW_MUST_USE enum bw_code bw_distance_build(struct bw_snapshot *snapshot,
                                           const struct bw_snapshot_input *input, struct bw_error *err);

#endif
