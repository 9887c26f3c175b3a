#include "api/lanes.h"

#include <string.h>

#include "base/alloc.h"

/* A page of a meeting: 100 lanes with all their events; chunks are decoded one at a time. */
enum { ARENA_BYTES = 256 << 20, RELAYS_MAX = 64 };

enum bw_code bw_lanes_create(uint32_t after, size_t limit, struct bw_lanes **out, struct bw_error *err)
{
    struct bw_arena *arena = bw_arena_create(ARENA_BYTES);
    struct bw_lanes *lanes = bw_arena_zalloc(arena, 1, sizeof *lanes);
    if (arena == NULL || lanes == NULL) {
        bw_arena_destroy(arena);
        return bw_fail_memory(err);
    }
    lanes->arena = arena;
    lanes->after = after;
    lanes->limit = limit;
    lanes->lanes = bw_arena_zalloc(arena, limit, sizeof *lanes->lanes);
    if (lanes->lanes == NULL) {
        bw_arena_destroy(arena);
        return bw_fail_memory(err);
    }
    *out = lanes;
    return BW_OK;
}

void bw_lanes_destroy(struct bw_lanes *lanes)
{
    if (lanes != NULL)
        bw_arena_destroy(lanes->arena);
}

struct bw_lane *bw_lanes_find(struct bw_lanes *lanes, uint32_t slot)
{
    size_t low = 0, high = lanes->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (lanes->lanes[middle].slot < slot)
            low = middle + 1;
        else
            high = middle;
    }
    return low < lanes->count && lanes->lanes[low].slot == slot ? &lanes->lanes[low] : NULL;
}

struct bw_lane_event *bw_lanes_event(struct bw_lanes *lanes, struct bw_lane *lane, enum bw_lane_what what,
                                     int64_t at_ms)
{
    struct bw_lane_event *event = bw_arena_zalloc(lanes->arena, 1, sizeof *event);
    if (event == NULL)
        return NULL;
    event->what = what;
    event->at_ms = at_ms;
    *lane->end = event;
    lane->end = &event->next;
    lane->event_count++;
    return event;
}

/* ---- decisions ---- */

static void note_relays(struct bw_lanes *lanes, const struct bw_decision *decision)
{
    for (size_t i = 0; i < decision->relay_count; i++) {
        size_t at = 0;
        while (at < lanes->relay_count && lanes->relays[at] != decision->relays[i])
            at++;
        if (at == lanes->relay_count && at < RELAYS_MAX)
            lanes->relays[lanes->relay_count++] = decision->relays[i];
    }
}

static bool join(struct bw_lanes *lanes, const struct bw_decision *decision)
{
    bool connector = decision->kind == BW_DECISION_CONNECTOR_INVITED;
    lanes->joined++;
    lanes->people += !connector;
    if (decision->slot <= lanes->after)
        return true;
    if (lanes->count == lanes->limit) {
        lanes->more = true;
        return true;
    }
    struct bw_lane *lane = &lanes->lanes[lanes->count++];
    *lane = (struct bw_lane){.slot = decision->slot,
                             .number = connector ? 0 : lanes->people,
                             .kind = decision->participant_kind,
                             .entry = decision->entry,
                             .end = &lane->events};
    lane->country = decision->country != NULL ? bw_arena_strdup(lanes->arena, decision->country) : "";
    struct bw_lane_event *event = bw_lanes_event(lanes, lane, BW_LANE_JOINED, (int64_t)decision->at_ms);
    if (event == NULL || lane->country == NULL)
        return false;
    event->relay = decision->relay;
    event->decision = bw_decision_copy(decision, lanes->arena);
    return event->decision != NULL;
}

static bool leave(struct bw_lanes *lanes, struct bw_lane *lane, uint64_t at_ms, uint8_t reason)
{
    if (lane == NULL || lane->left)
        return true;
    struct bw_lane_event *event = bw_lanes_event(lanes, lane, BW_LANE_LEFT, (int64_t)at_ms);
    lane->left = true;
    if (event != NULL)
        event->leave_reason = reason;
    return event != NULL;
}

static bool move(struct bw_lanes *lanes, const struct bw_decision *decision)
{
    const struct bw_decision *copy = NULL;
    for (size_t i = 0; i < decision->move_count; i++) {
        const struct bw_decision_move *moved = &decision->moves[i];
        struct bw_lane *lane = bw_lanes_find(lanes, moved->slot);
        if (lane == NULL)
            continue;
        if (copy == NULL)
            copy = bw_decision_copy(decision, lanes->arena);
        struct bw_lane_event *event =
            bw_lanes_event(lanes, lane, BW_LANE_RELAY_CHANGED, (int64_t)decision->at_ms);
        if (copy == NULL || event == NULL)
            return false;
        event->relay = moved->to;
        event->from_relay = moved->from;
        event->decision = copy;
    }
    return true;
}

static bool change_mode(struct bw_lanes *lanes, const struct bw_decision *decision)
{
    const struct bw_decision *copy = NULL;
    for (size_t i = 0; i < lanes->count; i++) {
        if (lanes->lanes[i].left)
            continue;
        if (copy == NULL)
            copy = bw_decision_copy(decision, lanes->arena);
        struct bw_lane_event *event =
            bw_lanes_event(lanes, &lanes->lanes[i], BW_LANE_MODE_CHANGED, (int64_t)decision->at_ms);
        if (copy == NULL || event == NULL)
            return false;
        event->mode = decision->mode;
        event->decision = copy;
    }
    return true;
}

static bool end_all(struct bw_lanes *lanes, const struct bw_decision *decision)
{
    lanes->ended = true;
    lanes->end_reason = decision->end_reason;
    for (size_t i = 0; i < lanes->count; i++) {
        if (!leave(lanes, &lanes->lanes[i], decision->at_ms, BW_LEAVE_MEETING_ENDED))
            return false;
    }
    return true;
}

static bool apply(struct bw_lanes *lanes, const struct bw_decision *decision)
{
    switch (decision->kind) {
    case BW_DECISION_CREATED:
        lanes->tenant = decision->tenant;
        lanes->created_ms = decision->at_ms;
        lanes->created = bw_decision_copy(decision, lanes->arena);
        return lanes->created != NULL;
    case BW_DECISION_JOINED:
    case BW_DECISION_CONNECTOR_INVITED:
        return join(lanes, decision);
    case BW_DECISION_LEFT:
    case BW_DECISION_CONNECTOR_REMOVED:
        return leave(lanes, bw_lanes_find(lanes, decision->slot), decision->at_ms, decision->leave_reason);
    case BW_DECISION_MOVED:
        return move(lanes, decision);
    case BW_DECISION_MODE_CHANGED:
        return change_mode(lanes, decision);
    case BW_DECISION_REFUSED:
        lanes->refused++;
        return true;
    case BW_DECISION_ENDED:
        return end_all(lanes, decision);
    default:
        return true;
    }
}

enum bw_code bw_lanes_decision(struct bw_lanes *lanes, const struct bw_decision *decision,
                               struct bw_error *err)
{
    lanes->newest_ms = decision->at_ms;
    lanes->policy_revision = decision->policy_revision;
    note_relays(lanes, decision);
    return apply(lanes, decision) ? BW_OK : bw_fail_memory(err);
}

/* ---- people ---- */

static const char *text_of(struct bw_lanes *lanes, struct bw_view text)
{
    return bw_arena_strndup(lanes->arena, (const char *)text.data, text.len);
}

enum bw_code bw_lanes_person(struct bw_lanes *lanes, uint32_t slot, const struct bw_opened_person *person,
                             struct bw_error *err)
{
    struct bw_lane *lane = bw_lanes_find(lanes, slot);
    if (lane == NULL)
        return BW_OK;
    lane->who = text_of(lanes, person->user);
    lane->address_prefix = bw_arena_strdup(lanes->arena, person->address_prefix);
    lane->client_version = text_of(lanes, person->client_version);
    return lane->who != NULL && lane->address_prefix != NULL && lane->client_version != NULL
               ? BW_OK
               : bw_fail_memory(err);
}
