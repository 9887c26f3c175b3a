/* Which relays may serve a participant, and why not the others. Inside this room only. Pure. */
#ifndef BW_PLACEMENT_FILTER_H
#define BW_PLACEMENT_FILTER_H

#include "placement/place.h"

/* Participants that fit on the relay now: what is left of its room, and of this meeting's cap. */
uint32_t bw_filter_room(const struct bw_place_request *request, uint32_t relay);
uint32_t bw_filter_load_ppm(const struct bw_place_request *request, uint32_t relay);
const struct bw_weights *bw_filter_weights(const struct bw_place_request *request);

/* Policy, live state, access and connector, everything but room, burst and links. `into` has the snapshot's
 * node_count bits. */
void bw_filter_candidates(const struct bw_place_request *request, const struct bw_participant *participant,
                          struct bw_bitset *into);

/* Both ends eligible, both cascading, not denied; true for a relay with itself when it is eligible. */
bool bw_filter_leg(const struct bw_snapshot *snapshot, const struct bw_constraints *constraints, uint32_t a,
                   uint32_t b);

/* INVALID_ARGUMENT when the request does not hang together: constraints over other facts, an open relay
 * outside the fleet or listed twice, too many participants. */
BW_MUST_USE enum bw_code bw_filter_check(const struct bw_place_request *request,
                                         const struct bw_participant *participants, size_t count,
                                         struct bw_error *err);

/* Fills the trace's fixed part and its reasons for one participant (NULL: a plain one of unknown place). */
BW_MUST_USE enum bw_code bw_filter_trace(const struct bw_place_request *request,
                                         const struct bw_participant *participant, struct bw_arena *arena,
                                         struct bw_decision_trace *trace, struct bw_error *err);
/* Everything that stands in the way of somebody whom no relay takes: the union of the relays' reasons. */
uint32_t bw_filter_all_reasons(const struct bw_decision_trace *trace);

#endif
