/* What is kept of a meeting in clear, so that a search can filter by it: codes and counts, never an identity.
 *
 * Time is counted per participant in cells of ten seconds of wall clock: a cell is judged when any of the
 * participant's streams had a window that was not grey in it, poor when one was red. A participant whose
 * relay and client both report is counted once. Poor minutes are those of all participants added up.
 *
 * Threads: one at a time. Plain values; all-zero is empty. */
#ifndef BW_QUALITY_SUMMARY_H
#define BW_QUALITY_SUMMARY_H

#include <stdint.h>

#include "quality/classify.h"

enum { BW_QUALITY_CELL_MS = 10000 };

/* One participant. Remembers the last 64 cells (640 s): a window older than that adds nothing. */
struct bw_quality_lane {
    int64_t first_cell; /* of bit 0 */
    uint64_t judged_bits, poor_bits;
    uint32_t judged, poor; /* cells */
};

void bw_quality_lane_add(struct bw_quality_lane *lane, const struct bw_quality_window *window,
                         enum bw_quality_class class);

struct bw_quality_summary {
    int64_t from_ms, to_ms;            /* first start, last end; 0, 0: no window yet */
    uint32_t participants;             /* that had a window */
    enum bw_quality_class worst_class; /* ever shown by any stream (three of five windows); 0: none yet */
    enum bw_quality_metric reason;     /* that made most windows of that class; 0 for green and grey */
    uint32_t poor_minutes;             /* rounded up: 0 only when nothing was poor */
    uint64_t poor_ms, judged_ms;       /* participants' time, by cells */
    uint64_t windows;                  /* taken */
    uint64_t judged_windows, poor_windows;
    uint64_t reasons[2][BW_QUALITY_METRICS]; /* windows by reason: [0] amber, [1] red */
    uint32_t teams_good, teams_poor;         /* streams, by the Teams-compatible verdict */
};

/* Computed from the rest: what made most windows of the worst class, and poor_ms in minutes, rounded up. */
enum bw_quality_metric bw_quality_summary_reason(const struct bw_quality_summary *summary);
uint32_t bw_quality_summary_minutes(const struct bw_quality_summary *summary);

/* A meeting that two processes saw one after the other. Participants are the larger number, since both may
 * have seen the same people; the rest adds up. */
void bw_quality_summary_merge(struct bw_quality_summary *into, const struct bw_quality_summary *from);

#endif
