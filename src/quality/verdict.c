#include "quality/verdict.h"

#include <stddef.h>

enum { PACKETS = 500, ROUND_TRIP_US = 500000, JITTER_US = 30000, LOSS_PERCENT = 10 };

void bw_quality_totals_add(struct bw_quality_totals *totals, const struct bw_quality_window *window)
{
    if (bw_quality_has(window, BW_QUALITY_PACKETS_RECEIVED)) {
        totals->received += (uint64_t)window->values[BW_QUALITY_PACKETS_RECEIVED];
        if (bw_quality_has(window, BW_QUALITY_PACKETS_LOST))
            totals->lost += (uint64_t)window->values[BW_QUALITY_PACKETS_LOST];
    }
    if (bw_quality_has(window, BW_QUALITY_JITTER)) {
        totals->jitter_us += (uint64_t)window->values[BW_QUALITY_JITTER];
        totals->jitters++;
    }
    if (bw_quality_has(window, BW_QUALITY_ROUND_TRIP_TIME)) {
        totals->round_trip_us += (uint64_t)window->values[BW_QUALITY_ROUND_TRIP_TIME];
        totals->round_trips++;
    }
}

void bw_quality_totals_merge(struct bw_quality_totals *into, const struct bw_quality_totals *from)
{
    into->received += from->received;
    into->lost += from->lost;
    into->jitter_us += from->jitter_us;
    into->jitters += from->jitters;
    into->round_trip_us += from->round_trip_us;
    into->round_trips += from->round_trips;
}

enum bw_quality_verdict bw_quality_verdict(const struct bw_quality_totals *totals, uint32_t *why)
{
    uint32_t poor = 0;
    uint64_t packets = totals->received + totals->lost;
    if (why != NULL)
        *why = 0;
    if (packets <= PACKETS)
        return BW_QUALITY_UNCLASSIFIED;
    if (totals->round_trip_us > totals->round_trips * ROUND_TRIP_US)
        poor |= BW_QUALITY_POOR_ROUND_TRIP;
    if (totals->lost * 100 > packets * LOSS_PERCENT)
        poor |= BW_QUALITY_POOR_LOSS;
    if (totals->jitter_us > totals->jitters * JITTER_US)
        poor |= BW_QUALITY_POOR_JITTER;
    if (why != NULL)
        *why = poor;
    return poor != 0 ? BW_QUALITY_POOR : BW_QUALITY_GOOD;
}
