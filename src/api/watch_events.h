/* What a committed decision tells those who watch its meeting. Inside this room only. Threads: the owner's.
 */
#ifndef BW_API_WATCH_EVENTS_H
#define BW_API_WATCH_EVENTS_H

#include "api/encode.h"
#include "control/owner.h"

/* What a watcher was told of the mode last. */
struct bw_api_watcher {
    enum bw_mode label;
    uint32_t epoch;
};

typedef bool bw_api_tell(void *context, const Bailiwick__V1__WatchMeetingResponse *event);

/* Calls `tell` for each event, in order. False when the arena is full or `tell` says so. */
bool bw_api_watch_events(struct bw_api_watcher *watcher, const struct bw_change *change,
                         const struct bw_fleet_view *view, struct bw_arena *arena, bw_api_tell *tell,
                         void *context);

#endif
