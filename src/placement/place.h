/* Deciding where a meeting's media goes: a pure function of (snapshot, constraint set, participants). Same
 * input, same answer, whatever the order of relays in memory. Load and latency choose among what policy
 * allows and never add to it.
 *
 * The score, compared from the top:
 *   hot      participants newly placed on relays at or over weights.hot_ppm of load
 *   rank     sum of policy's preference ranks over participants (0 is most preferred)
 *   total_us pair_us + access_us / 2 + load_us + relays_us + moved_us
 *   hash     rendezvous of (meeting, relay), then the relay's name
 * pair_us is the mean over pairs of participants of d(a,i) + d(i,j) + d(j,b); access_us the mean first hop
 * (also the whole of pair_us for a meeting of one, which has no pairs); load_us weights.load_us * u, averaged
 * over participants; relays_us weights.further_relay_us for each relay beyond the first; moved_us
 * weights.moved_us * share of participants moved. Joins compare totals in buckets of weights.bucket_us, so
 * that near-equal relays share the load; plans compare them exactly.
 *
 * Threads: pure. Memory: from the arena given, released with it. */
#ifndef BW_PLACEMENT_PLACE_H
#define BW_PLACEMENT_PLACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/id.h"
#include "base/status.h"
#include "placement/snapshot.h"
#include "policy/constraint.h"
#include "policy/reason.h"

enum { BW_MEETING_RELAYS_MAX = 16, BW_MEETING_PARTICIPANTS_MAX = 20000 };

struct bw_weights {
    uint32_t further_relay_us;
    uint32_t load_us;
    uint32_t moved_us;
    uint32_t bucket_us;
    uint32_t hot_ppm;
    uint32_t burst_limit;          /* joins of one meeting on one relay within the caller's window; 0: none */
    uint32_t relays_max;           /* of one meeting, <= BW_MEETING_RELAYS_MAX */
    uint32_t candidates_per_group; /* a group is (region, jurisdictions) */
};

/* 6 ms, 10 ms, 30 ms, 2 ms, 800000, 20, 8, 2. */
extern const struct bw_weights bw_weights_default;

struct bw_participant {
    const char *id;    /* for traces; may be NULL */
    const char *place; /* ISO code, NULL unknown: then judged by all countries of the region */
    uint32_t region;   /* BW_NO_REGION: unknown */
    bool is_connector; /* then only relays that offer `connector` serve it */
    enum bw_connector connector;
    uint32_t current; /* relay it is on now, BW_NO_RELAY for a new one */
};

/* A relay the meeting already uses. */
struct bw_open_relay {
    uint32_t relay;
    uint32_t participants;
    uint64_t hop_sum_us;   /* sum of their first hops */
    uint32_t recent_joins; /* of this meeting, within the window of weights.burst_limit */
};

struct bw_place_request {
    const struct bw_snapshot *snapshot;
    const struct bw_constraints *constraints; /* compiled over the snapshot's facts */
    const struct bw_weights *weights;         /* NULL: defaults */
    struct bw_id meeting;
    /* What the meeting is in, BW_MODE_SET_E2EE or BW_MODE_SET_HOP; 0: not decided. Connectors are refused in
     * e2ee unless policy admits them as endpoints. */
    uint32_t mode;
    uint32_t cap_per_relay; /* of this meeting; 0: none */
    const struct bw_open_relay *open;
    size_t open_count;
    /* Fresher than the snapshot, per relay; NULL: the snapshot's capacity - placed, and its load. */
    const uint32_t *room;
    const uint32_t *load_ppm;
};

struct bw_score {
    uint32_t hot;
    uint64_t rank;
    uint64_t pair_us, access_us, load_us, relays_us, moved_us, total_us;
};

/* The relay that is nearest to being allowed: the fewest reasons, then the best score order. */
struct bw_nearest_miss {
    uint32_t relay; /* BW_NO_RELAY when the fleet is empty */
    uint32_t reasons;
};

/* How a decision came about. Hashes pin what it was decided on; reasons hold one mask per relay (0: allowed).
 */
struct bw_decision_trace {
    uint8_t snapshot_hash[32], policy_hash[32];
    uint64_t facts_revision;
    size_t relay_count;
    const uint32_t *reasons;
    struct bw_score score;
    bool has_runner_up;
    uint32_t runner_up; /* for a plan: the first relay of the next best set */
    struct bw_score runner_up_score;
    struct bw_nearest_miss nearest;
};

struct bw_join {
    bool placed;
    bool opens;     /* the relay is new to the meeting: links to every open relay are needed */
    uint32_t relay; /* BW_NO_RELAY when refused */
    uint32_t hop_us;
    uint32_t allowed;   /* how many relays would have done, this one among them; 0 when refused */
    uint32_t runner_up; /* the next best; BW_NO_RELAY: there was none */
    uint32_t refused;   /* the participant's reasons when not placed; never 0 then */
    struct bw_clause
        clause; /* for ENTRY_COUNTRY and CONNECTOR_FORBIDDEN: the rule; level PLATFORM otherwise */
    struct bw_score score;
};

/* Where one joiner goes: stay on an open relay or open one more. Never moves anybody. `trace` may be NULL,
 * and its reasons are then not worked out (they cost one pass over the fleet). RESOURCE_EXHAUSTED when the
 * arena is full; a refusal is BW_OK with placed = false. */
BW_MUST_USE enum bw_code bw_place_join(const struct bw_place_request *request,
                                       const struct bw_participant *joiner, struct bw_arena *arena,
                                       struct bw_join *join, struct bw_decision_trace *trace,
                                       struct bw_error *err);

struct bw_leg {
    uint32_t a, b; /* relays, a < b */
};

struct bw_refused_participant {
    uint32_t participant; /* index in the request */
    uint32_t reasons;
    struct bw_clause clause;
};

struct bw_plan {
    bool placed;                 /* somebody has a relay; refused says who has none */
    const uint32_t *assignments; /* per participant, BW_NO_RELAY for the refused */
    const uint32_t *relays;      /* used ones, ascending */
    size_t relay_count;
    const struct bw_leg *legs; /* the mesh */
    size_t leg_count;
    const struct bw_refused_participant *refused;
    size_t refused_count;
    struct bw_score score;
};

/* Places (or re-places) a whole meeting. request->open counts participants that stay where they are, besides
 * those given. As many as can be are placed; the others are in `refused`, in order, each with the reasons. */
BW_MUST_USE enum bw_code bw_place_plan(const struct bw_place_request *request,
                                       const struct bw_participant *participants, size_t count,
                                       struct bw_arena *arena, struct bw_plan *plan,
                                       struct bw_decision_trace *trace, struct bw_error *err);

/* Does a placement still satisfy a constraint set? Every relay eligible and every leg permitted; live state
 * (drain, lease, load) is not asked. For re-checking live meetings against a new policy. 0, or the reasons
 * found. */
uint32_t bw_place_check(const struct bw_snapshot *snapshot, const struct bw_constraints *constraints,
                        const uint32_t *relays, size_t relay_count);

/* Reasons for every relay for this participant (0: a candidate). `reasons` has snapshot->relay_count
 * elements. Capacity, burst and links are judged against the request's open relays. */
void bw_place_reasons(const struct bw_place_request *request, const struct bw_participant *participant,
                      uint32_t *reasons);

/* May this participant enter at all: entry by country (or by all countries of a region, when only that is
 * known), or, for a connector, whether such a one may be invited. 0, or the participant's own reasons with
 * the rule in *clause (may be NULL). */
uint32_t bw_place_door(const struct bw_place_request *request, const struct bw_participant *participant,
                       struct bw_clause *clause);

/* Rendezvous weight of (meeting, relay): the highest wins. */
uint64_t bw_place_rendezvous(const struct bw_id *meeting, uint64_t relay_key);

#endif
