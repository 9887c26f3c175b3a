/* The lanes of a meeting's timeline: what happened to each of its participants, from the decisions of its log
 * and the windows of its quality. Pure: fed with one decision after the other, then with chunks.
 *
 * Owner: create/destroy; everything lies in its arena. Threads: one at a time. Inside this room only. */
#ifndef BW_API_LANES_H
#define BW_API_LANES_H

#include "api/opening.h"
#include "base/arena.h"
#include "ledger/decision.h"
#include "quality/chunk.h"
#include "quality/classify.h"
#include "quality/summary.h"

enum { BW_LANE_EVENTS_MAX = 500, BW_LANE_STREAMS_MAX = 64, BW_LANES_MAX = 100 };

/* Numbers are those of TimelineEvent.What. */
enum bw_lane_what {
    BW_LANE_JOINED = 1,
    BW_LANE_LEFT = 2,
    BW_LANE_RECONNECTED = 3,
    BW_LANE_MUTED = 4,
    BW_LANE_UNMUTED = 5,
    BW_LANE_RELAY_CHANGED = 6,
    BW_LANE_MODE_CHANGED = 7,
    BW_LANE_CLASS_CHANGED = 8,
};

struct bw_lane_event {
    struct bw_lane_event *next;
    enum bw_lane_what what;
    int64_t at_ms;
    uint32_t relay, from_relay; /* numbers; 0: none */
    uint8_t leave_reason, mode;
    /* CLASS_CHANGED */
    enum bw_quality_class class;
    enum bw_quality_metric reason;
    uint32_t through; /* a peer's number; 0: straight */
    bool from_client;
    /* JOINED, RELAY_CHANGED, MODE_CHANGED: what was decided. */
    const struct bw_decision *decision;
};

struct bw_lane_stream; /* private */

struct bw_lane {
    uint32_t slot, number; /* number: of everybody who joined, from 1; 0: a connector */
    uint8_t kind;
    struct bw_id entry;
    const char *country;
    const char *who, *address_prefix, *client_version; /* NULL: not known */
    struct bw_lane_event *events;                      /* by time, after bw_lanes_finish */
    size_t event_count;
    struct bw_lane_stream *streams;
    size_t stream_count;
    bool left;
    /* After bw_lanes_finish. */
    enum bw_quality_class worst; /* ever shown; 0: nothing was measured */
    enum bw_quality_metric reason;
    uint32_t poor_minutes;
    /* private */
    struct bw_lane_event **end;
    struct bw_quality_lane cells;
};

/* One thing that was measured. */
struct bw_lane_stream_view {
    struct bw_id stream;
    enum bw_quality_media media;
    enum bw_quality_class worst; /* ever shown */
    enum bw_quality_metric reason;
};

struct bw_lanes {
    struct bw_arena *arena;
    uint32_t after; /* lanes of slots beyond this one */
    size_t limit;
    struct bw_lane *lanes; /* by slot */
    size_t count;
    bool more; /* there are further lanes */

    /* The meeting as a whole. */
    struct bw_id tenant;
    const struct bw_decision *created;
    uint64_t created_ms, newest_ms;
    uint32_t joined; /* connectors too */
    uint32_t people, refused, policy_revision;
    bool ended;
    uint8_t end_reason;
    uint32_t relays[64];
    size_t relay_count;
    int64_t quality_to_ms;
};

/* Room for `limit` lanes (BW_LANES_MAX at most) of slots beyond `after`. */
BW_MUST_USE enum bw_code bw_lanes_create(uint32_t after, size_t limit, struct bw_lanes **out,
                                         struct bw_error *err);
/* NULL is allowed. */
void bw_lanes_destroy(struct bw_lanes *lanes);

/* The next decision; it may be gone afterwards. RESOURCE_EXHAUSTED. */
BW_MUST_USE enum bw_code bw_lanes_decision(struct bw_lanes *lanes, const struct bw_decision *decision,
                                           struct bw_error *err);
/* NULL: not among these lanes. */
struct bw_lane *bw_lanes_find(struct bw_lanes *lanes, uint32_t slot);
/* A chunk of one of the lanes; those of one stream come in the order of their windows. DATA_LOSS,
 * RESOURCE_EXHAUSTED. */
BW_MUST_USE enum bw_code bw_lanes_chunk(struct bw_lanes *lanes, uint32_t slot, const struct bw_id *stream,
                                        struct bw_view plain, struct bw_error *err);
BW_MUST_USE enum bw_code bw_lanes_person(struct bw_lanes *lanes, uint32_t slot,
                                         const struct bw_opened_person *person, struct bw_error *err);
/* Nothing more comes: the classes of a lane's streams become the lane's, events get their order. */
BW_MUST_USE enum bw_code bw_lanes_finish(struct bw_lanes *lanes, struct bw_error *err);

/* Of lanes*.c: one more event; NULL when memory is out. */
struct bw_lane_event *bw_lanes_event(struct bw_lanes *lanes, struct bw_lane *lane, enum bw_lane_what what,
                                     int64_t at_ms);

/* index < lane->stream_count */
struct bw_lane_stream_view bw_lane_stream_at(const struct bw_lane *lane, size_t index);

#endif
