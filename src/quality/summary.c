#include "quality/summary.h"

#include <stdbool.h>

enum { CELLS_KEPT = 64 };

/* Marks a cell; true when it was not marked before and is young enough. */
static bool mark(const struct bw_quality_lane *lane, uint64_t *bits, int64_t cell)
{
    int64_t place = cell - lane->first_cell;
    if (place < 0 || (*bits >> place & 1) != 0)
        return false;
    *bits |= UINT64_C(1) << place;
    return true;
}

/* Forgets the oldest cells so that this one has a place. */
static void make_place(struct bw_quality_lane *lane, int64_t cell)
{
    int64_t shift = cell - lane->first_cell - (CELLS_KEPT - 1);
    if (lane->judged == 0) {
        /* Nothing yet: half of the places are left for windows that come late. */
        lane->first_cell = cell - CELLS_KEPT / 2;
        return;
    }
    if (shift <= 0)
        return;
    lane->judged_bits = shift < CELLS_KEPT ? lane->judged_bits >> shift : 0;
    lane->poor_bits = shift < CELLS_KEPT ? lane->poor_bits >> shift : 0;
    lane->first_cell += shift;
}

void bw_quality_lane_add(struct bw_quality_lane *lane, const struct bw_quality_window *window,
                         enum bw_quality_class class)
{
    if (class == BW_QUALITY_GREY)
        return;
    /* The window's edges go to the nearest edges of cells, so that windows beside each other share none. */
    int64_t first = (window->start_ms + BW_QUALITY_CELL_MS / 2) / BW_QUALITY_CELL_MS;
    int64_t last = (window->start_ms + window->length_ms + BW_QUALITY_CELL_MS / 2) / BW_QUALITY_CELL_MS - 1;
    if (last < first) /* shorter than a cell: the one it is in */
        first = last = window->start_ms / BW_QUALITY_CELL_MS;
    for (int64_t cell = first; cell <= last; cell++) {
        make_place(lane, cell);
        if (mark(lane, &lane->judged_bits, cell))
            lane->judged++;
        if (class == BW_QUALITY_RED && mark(lane, &lane->poor_bits, cell))
            lane->poor++;
    }
}

/* The metric that made most windows of the class. */
enum bw_quality_metric bw_quality_summary_reason(const struct bw_quality_summary *summary)
{
    if (summary->worst_class != BW_QUALITY_AMBER && summary->worst_class != BW_QUALITY_RED)
        return BW_QUALITY_NO_METRIC;
    const uint64_t *windows = summary->reasons[summary->worst_class == BW_QUALITY_RED];
    enum bw_quality_metric reason = BW_QUALITY_NO_METRIC;
    for (unsigned metric = 1; metric < BW_QUALITY_METRICS; metric++)
        if (windows[metric] > windows[reason])
            reason = metric;
    return reason;
}

uint32_t bw_quality_summary_minutes(const struct bw_quality_summary *summary)
{
    uint64_t minutes = (summary->poor_ms + 59999) / 60000;
    return minutes < UINT32_MAX ? (uint32_t)minutes : UINT32_MAX;
}

void bw_quality_summary_merge(struct bw_quality_summary *into, const struct bw_quality_summary *from)
{
    if (from->windows == 0)
        return;
    if (into->windows == 0) {
        *into = *from;
        return;
    }
    if (from->from_ms < into->from_ms)
        into->from_ms = from->from_ms;
    if (from->to_ms > into->to_ms)
        into->to_ms = from->to_ms;
    if (from->participants > into->participants)
        into->participants = from->participants;
    into->worst_class = bw_quality_worse(into->worst_class, from->worst_class);
    into->poor_ms += from->poor_ms;
    into->judged_ms += from->judged_ms;
    into->windows += from->windows;
    into->judged_windows += from->judged_windows;
    into->poor_windows += from->poor_windows;
    for (unsigned i = 0; i < 2; i++)
        for (unsigned metric = 0; metric < BW_QUALITY_METRICS; metric++)
            into->reasons[i][metric] += from->reasons[i][metric];
    into->teams_good += from->teams_good;
    into->teams_poor += from->teams_poor;
    into->reason = bw_quality_summary_reason(into);
    into->poor_minutes = bw_quality_summary_minutes(into);
}
