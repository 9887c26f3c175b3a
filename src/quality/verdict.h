/* The verdict that Microsoft Teams' Call Quality Dashboard would give on the averages of a stream, kept
 * beside our own classes so that figures compare: poor when the mean round trip is over 500 ms, loss over 10
 * % or the mean jitter over 30 ms; no verdict with 500 packets or fewer.
 *
 * Threads: pure. */
#ifndef BW_QUALITY_VERDICT_H
#define BW_QUALITY_VERDICT_H

#include <stdint.h>

#include "quality/sample.h"

/* Sums over the windows of one stream. All-zero is empty. */
struct bw_quality_totals {
    uint64_t received, lost;
    uint64_t jitter_us, jitters; /* sum, and how many windows had one */
    uint64_t round_trip_us, round_trips;
};

/* window has passed bw_quality_check. */
void bw_quality_totals_add(struct bw_quality_totals *totals, const struct bw_quality_window *window);
void bw_quality_totals_merge(struct bw_quality_totals *into, const struct bw_quality_totals *from);

/* Numbers are durable. */
enum bw_quality_verdict { BW_QUALITY_UNCLASSIFIED = 0, BW_QUALITY_GOOD = 1, BW_QUALITY_POOR = 2 };

/* Bits of *why. */
enum { BW_QUALITY_POOR_ROUND_TRIP = 1, BW_QUALITY_POOR_LOSS = 2, BW_QUALITY_POOR_JITTER = 4 };

/* why may be NULL; 0 unless poor. */
enum bw_quality_verdict bw_quality_verdict(const struct bw_quality_totals *totals, uint32_t *why);

#endif
