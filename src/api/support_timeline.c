/* SupportService.GetMeetingTimeline: the decisions of a meeting, then who its people are and how they heard
 * each other, from the vault, then the policies of then. A page is a range of slots. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/gate.h"
#include "api/lanes.h"
#include "api/routing.h"

enum {
    PAGE_DEFAULT = 50,
    CHUNKS_MAX = 100000,
    SCRATCH_BYTES = 16 << 20, /* of one decision */
    REJECTED_EVENT = 100,     /* relays of one event */
    REJECTED_ALL = 5000,      /* of one answer */
    SAME_MS_MEETINGS = 64,
};

struct timeline {
    struct bw_api_call *call;
    struct bw_id meeting;
    struct bw_lanes *lanes;
    struct bw_arena *scratch; /* one decision's, on the desk's thread */
    struct bw_api_opening opening;
    struct bw_api_missing missing;
    struct bw_routing routing;
    Bailiwick__V1__MeetingQuality *summary;
    bool erased;
    size_t chunks, rejected;
};

static const Bailiwick__V1__GetMeetingTimelineRequest *request_of(const struct bw_api_call *call)
{
    return (const Bailiwick__V1__GetMeetingTimelineRequest *)call->request;
}

static void finish(struct timeline *timeline)
{
    bw_routing_finish(&timeline->routing);
    bw_lanes_destroy(timeline->lanes);
    bw_arena_destroy(timeline->scratch);
}

static void fail(struct timeline *timeline, const struct bw_error *error)
{
    struct bw_error copy = *error;
    struct bw_api_call *call = timeline->call;
    finish(timeline);
    bw_api_fail(call, &copy, NULL);
}

static void fail_memory(struct timeline *timeline)
{
    struct bw_error err;
    (void)bw_fail_memory(&err);
    fail(timeline, &err);
}

/* ---- the answer ---- */

static bool put_routing(struct timeline *timeline, const struct bw_decision *decision,
                        Bailiwick__V1__TimelineEvent *out)
{
    struct bw_arena *arena = timeline->lanes->arena;
    out->decision = bw_api_summary(decision, bw_api_view_of(timeline->call), arena);
    out->reference = bw_api_reference_text(&decision->meeting, decision->seq, arena);
    const struct bw_routing_revision *revision = bw_routing_of(&timeline->routing, decision);
    out->rejected_basis = revision != NULL ? "recomputed" : "none";
    if (revision != NULL) {
        size_t n = revision->rejected_count < REJECTED_EVENT ? revision->rejected_count : REJECTED_EVENT;
        out->rejected_total = (uint32_t)revision->rejected_count;
        if (timeline->rejected + n <= REJECTED_ALL) {
            out->rejected = revision->rejected;
            out->n_rejected = n;
            timeline->rejected += n;
        }
    }
    return out->decision != NULL && out->reference != NULL;
}

static Bailiwick__V1__TimelineEvent *event_message(struct timeline *timeline,
                                                   const struct bw_lane_event *from)
{
    const struct bw_fleet_view *view = bw_api_view_of(timeline->call);
    Bailiwick__V1__TimelineEvent *out = bw_arena_alloc(timeline->lanes->arena, sizeof *out);
    if (out == NULL)
        return NULL;
    bailiwick__v1__timeline_event__init(out);
    out->what = (Bailiwick__V1__TimelineEvent__What)from->what;
    out->at_unix_ms = from->at_ms;
    out->relay = bw_api_relay_name(view, from->relay);
    out->from_relay = bw_api_relay_name(view, from->from_relay);
    out->through = bw_api_relay_name(view, from->through);
    out->from_client = from->from_client;
    out->leave_reason = (Bailiwick__V1__LeaveReason)from->leave_reason;
    out->mode = (Bailiwick__V1__E2eeMode)from->mode;
    out->quality_class = (Bailiwick__V1__QualityClass)from->class;
    out->reason = (Bailiwick__V1__QualityMetric)from->reason;
    if (from->decision != NULL && !put_routing(timeline, from->decision, out))
        return NULL;
    return out;
}

static bool put_streams(struct timeline *timeline, const struct bw_lane *lane,
                        Bailiwick__V1__TimelineLane *out)
{
    const struct bw_fleet_view *view = bw_api_view_of(timeline->call);
    struct bw_arena *arena = timeline->lanes->arena;
    size_t n = lane->stream_count < BW_LANE_STREAMS_MAX ? lane->stream_count : BW_LANE_STREAMS_MAX;
    out->streams = bw_arena_zalloc(arena, n + 1, sizeof *out->streams);
    out->measured = bw_arena_zalloc(arena, n + 1, sizeof(void *));
    if (out->streams == NULL || out->measured == NULL)
        return false;
    for (size_t i = 0; i < n; i++) {
        struct bw_lane_stream_view stream = bw_lane_stream_at(lane, i);
        enum bw_quality_source source;
        uint32_t relay, number;
        if (!bw_api_stream_parts(&stream.stream, &source, &relay, &number) ||
            (source == BW_QUALITY_FROM_CLIENT && number == BW_API_PATH_STREAM))
            continue; /* whether an endpoint reaches its relay is no curve */
        Bailiwick__V1__TimelineStream *item = bw_arena_alloc(arena, sizeof *item);
        if (item == NULL)
            return false;
        bailiwick__v1__timeline_stream__init(item);
        item->stream = bw_api_stream_number(&stream.stream);
        item->from_client = source == BW_QUALITY_FROM_CLIENT;
        item->relay = bw_api_relay_name(view, relay);
        if (!item->from_client)
            item->through = bw_api_relay_name(view, number);
        item->media = (Bailiwick__V1__TimelineStream__Media)stream.media;
        item->worst_class = (Bailiwick__V1__QualityClass)stream.worst;
        item->reason = (Bailiwick__V1__QualityMetric)stream.reason;
        out->streams[out->n_streams++] = item->stream;
        out->measured[out->n_measured++] = item;
    }
    return true;
}

/* "participant 3", where nothing better may be shown or is known. */
static const char *name_of(const struct timeline *timeline, const struct bw_lane *lane)
{
    struct bw_arena *arena = timeline->lanes->arena;
    if (lane->number == 0)
        return bw_arena_printf(arena, "connector %u", lane->slot);
    if (lane->who != NULL && lane->who[0] != '\0')
        return lane->who;
    return bw_arena_printf(arena, "participant %u", lane->number);
}

static Bailiwick__V1__TimelineLane *lane_message(struct timeline *timeline, const struct bw_lane *lane)
{
    struct bw_arena *arena = timeline->lanes->arena;
    Bailiwick__V1__TimelineLane *out = bw_arena_alloc(arena, sizeof *out);
    size_t n = lane->event_count < BW_LANE_EVENTS_MAX ? lane->event_count : BW_LANE_EVENTS_MAX;
    if (out == NULL)
        return NULL;
    bailiwick__v1__timeline_lane__init(out);
    out->slot = lane->slot;
    out->who = name_of(timeline, lane);
    out->kind = (Bailiwick__V1__ParticipantKind)lane->kind;
    out->country = lane->country;
    if (lane->address_prefix != NULL)
        out->address_prefix = lane->address_prefix;
    if (lane->client_version != NULL)
        out->client_version = lane->client_version;
    out->worst_class = BAILIWICK__V1__QUALITY_CLASS__QUALITY_CLASS_GREY;
    if (lane->worst != 0)
        out->worst_class = (Bailiwick__V1__QualityClass)lane->worst;
    out->reason = (Bailiwick__V1__QualityMetric)lane->reason;
    out->poor_minutes = lane->poor_minutes;
    out->events_left_out = (uint32_t)(lane->event_count - n);
    out->events = bw_arena_zalloc(arena, n + 1, sizeof(void *));
    if (out->who == NULL || out->events == NULL || !put_streams(timeline, lane, out))
        return NULL;
    const struct bw_lane_event *event = lane->events;
    for (size_t i = 0; i < n; i++, event = event->next) {
        out->events[i] = event_message(timeline, event);
        if (out->events[i] == NULL)
            return NULL;
    }
    out->n_events = n;
    return out;
}

/* What of these lanes is not there, and why. */
static bool tell_missing(struct timeline *timeline)
{
    struct bw_lanes *lanes = timeline->lanes;
    size_t people = 0, unknown = 0;
    for (size_t i = 0; i < lanes->count; i++) {
        people += lanes->lanes[i].number != 0;
        unknown += lanes->lanes[i].number != 0 && lanes->lanes[i].who == NULL;
    }
    struct bw_api_missing *missing = &timeline->missing;
    if (timeline->erased)
        return bw_api_miss(missing, lanes->arena, "people", "ERASED",
                           "the keys of this meeting's people and quality were destroyed; how it was routed "
                           "is kept") &&
               bw_api_miss(missing, lanes->arena, "quality", "ERASED",
                           "the keys of this meeting's people and quality were destroyed");
    if (unknown > 0 &&
        !bw_api_miss(missing, lanes->arena, "people", "NOT_KEPT",
                     "of %zu of %zu people here nothing is kept: nothing was said of them when "
                     "they joined, or their retention has ended",
                     unknown, people))
        return false;
    if (lanes->count > 0 && timeline->chunks == 0 &&
        !bw_api_miss(missing, lanes->arena, "quality", "NOT_KEPT",
                     "nothing is kept of these participants' quality: nothing was measured yet, or its "
                     "retention has ended"))
        return false;
    return !timeline->routing.more ||
           bw_api_miss(missing, lanes->arena, "routing", "CUT",
                       "the decisions rest on more policy revisions than are explained at once; ask for each "
                       "with `policy explain --reference`");
}

static bool fill(struct timeline *timeline, Bailiwick__V1__GetMeetingTimelineResponse *response)
{
    struct bw_lanes *lanes = timeline->lanes;
    struct bw_api_call *call = timeline->call;
    response->meeting = timeline->summary;
    response->lanes = bw_arena_zalloc(lanes->arena, lanes->count + 1, sizeof(void *));
    if (response->lanes == NULL || !tell_missing(timeline))
        return false;
    for (size_t i = 0; i < lanes->count; i++) {
        response->lanes[i] = lane_message(timeline, &lanes->lanes[i]);
        if (response->lanes[i] == NULL)
            return false;
    }
    response->n_lanes = lanes->count;
    response->missing = timeline->missing.items;
    response->n_missing = timeline->missing.count;
    response->refused = lanes->refused;
    if (!lanes->more)
        return true;
    char slot[16];
    snprintf(slot, sizeof slot, "%u", lanes->lanes[lanes->count - 1].slot);
    response->next_page_token = bw_api_page_token(call, slot);
    return response->next_page_token != NULL;
}

static void answer(struct bw_api_call *call)
{
    struct timeline *timeline = call->state;
    Bailiwick__V1__GetMeetingTimelineResponse response = BAILIWICK__V1__GET_MEETING_TIMELINE_RESPONSE__INIT;
    if (call->order.error.code != BW_OK || !fill(timeline, &response)) {
        fail_memory(timeline);
        return;
    }
    struct timeline kept = *timeline; /* the call may be gone after the reply, and this with it */
    bw_api_reply(call, &response.base);
    finish(&kept);
}

/* ---- the policies of then ---- */

static void explain(struct timeline *timeline)
{
    struct bw_lanes *lanes = timeline->lanes;
    struct bw_error err;
    if (bw_lanes_finish(lanes, &err) != BW_OK) {
        fail(timeline, &err);
        return;
    }
    timeline->routing.created = lanes->created;
    timeline->routing.arena = lanes->arena;
    for (size_t i = 0; i < lanes->count; i++) {
        for (const struct bw_lane_event *event = lanes->lanes[i].events; event != NULL; event = event->next) {
            if (event->decision != NULL)
                bw_routing_want(&timeline->routing, event->decision);
        }
    }
    bw_routing_fetch(timeline->call, &timeline->routing, answer);
}

/* ---- what the vault opens ---- */

static bool erased(const struct bw_error *error)
{
    return error->reason != NULL && strcmp(error->reason, "ERASED") == 0;
}

static enum bw_code take_chunk(struct bw_api_opening *opening, const struct bw_opened *row)
{
    struct timeline *timeline = opening->context;
    timeline->chunks++;
    return bw_lanes_chunk(timeline->lanes, row->slot, &row->stream, row->payload, &opening->error);
}

static void chunks_opened(struct bw_api_opening *opening)
{
    struct timeline *timeline = opening->context;
    if (erased(&opening->error)) {
        timeline->erased = true;
    } else if (opening->error.code != BW_OK) {
        fail(timeline, &opening->error);
        return;
    }
    if (opening->cut && !bw_api_miss(&timeline->missing, timeline->lanes->arena, "quality", "CUT",
                                     "there is more quality than is shown at once; ask for smaller pages")) {
        fail_memory(timeline);
        return;
    }
    explain(timeline);
}

static void ask(struct timeline *timeline, enum bw_opening_what what, uint32_t max_rows,
                enum bw_code (*row)(struct bw_api_opening *opening, const struct bw_opened *row),
                void (*done)(struct bw_api_opening *opening))
{
    const struct bw_lanes *lanes = timeline->lanes;
    struct bw_id request = timeline->opening.request;
    struct bw_api_opening *opening = &timeline->opening;
    const char *own = request_of(timeline->call)->own_user;
    bw_api_opening_begin(timeline->call, opening);
    if (!bw_id_is_zero(&request))
        opening->request = request; /* one question, whatever it takes */
    opening->what = what;
    opening->own_user = own[0] != '\0' ? own : NULL;
    opening->meeting = timeline->meeting;
    opening->slot_from = lanes->lanes[0].slot;
    opening->slot_to = lanes->lanes[lanes->count - 1].slot;
    opening->max_rows = max_rows;
    opening->row = row;
    opening->done = done;
    opening->context = timeline;
    bw_api_open(timeline->call, opening);
}

static enum bw_code take_person(struct bw_api_opening *opening, const struct bw_opened *row)
{
    struct timeline *timeline = opening->context;
    return bw_lanes_person(timeline->lanes, row->slot, row->person, &opening->error);
}

static void people_opened(struct bw_api_opening *opening)
{
    struct timeline *timeline = opening->context;
    if (erased(&opening->error)) {
        timeline->erased = true;
        explain(timeline);
        return;
    }
    if (opening->error.code != BW_OK) {
        fail(timeline, &opening->error);
        return;
    }
    ask(timeline, BW_OPENING_CHUNKS, CHUNKS_MAX, take_chunk, chunks_opened);
}

/* ---- the decisions ---- */

/* On the desk's thread. */
static bool take_decision(struct bw_desk_order *order, const struct bw_id *tenant, struct bw_view record)
{
    struct bw_api_call *call = order->context;
    struct timeline *timeline = call->state;
    struct bw_decision *decision;
    if (!bw_id_equal(tenant, &call->tenant)) {
        (void)bw_api_fail_no_meeting(&order->error);
        return false;
    }
    bw_arena_reset(timeline->scratch);
    if (bw_api_record_decode(record, timeline->scratch, &decision, &order->error) != BW_OK)
        return false;
    return bw_lanes_decision(timeline->lanes, decision, &order->error) == BW_OK;
}

static void summarized(struct bw_api_call *call)
{
    struct timeline *timeline = call->state;
    if (call->order.error.code != BW_OK) {
        fail(timeline, &call->order.error);
        return;
    }
    const struct bw_lanes *lanes = timeline->lanes;
    for (size_t i = 0; i < call->order.meetings_search.count; i++) {
        const struct bw_desk_meeting *found = &call->order.meetings_search.results[i];
        const struct bw_decision last = {.at_ms = lanes->newest_ms, .end_reason = lanes->end_reason};
        if (bw_id_equal(&found->id, &timeline->meeting))
            timeline->summary = bw_api_meeting_quality(call, found, &last);
    }
    if (timeline->summary == NULL) {
        fail_memory(timeline);
        return;
    }
    if (lanes->count == 0)
        explain(timeline);
    else
        ask(timeline, BW_OPENING_ROSTER, BW_LANES_MAX, take_person, people_opened);
}

static void walked(struct bw_api_call *call)
{
    struct timeline *timeline = call->state;
    if (call->order.error.code != BW_OK) {
        if (call->order.error.code == BW_NOT_FOUND)
            (void)bw_api_fail_no_meeting(&call->order.error);
        fail(timeline, &call->order.error);
        return;
    }
    uint64_t made_ms = bw_id_time_ms(&timeline->meeting);
    call->order.meetings_search = (__typeof__(call->order.meetings_search)){
        .tenant = call->tenant, .since_ms = made_ms, .until_ms = made_ms + 1, .limit = SAME_MS_MEETINGS};
    bw_api_order(call, BW_DESK_MEETINGS_SEARCH, summarized);
}

void bw_api_get_timeline(struct bw_api_call *call)
{
    const Bailiwick__V1__GetMeetingTimelineRequest *request = request_of(call);
    const char *position;
    if (request->grant_id[0] != '\0') {
        bw_api_fail_later(call, "seeing more than the role shows, under a grant, is not supported yet; leave "
                                "`grant_id` empty");
        return;
    }
    if (request->own_user[0] != '\0' && !bw_api_is_tier1(call)) {
        bw_api_fail_field(call, "own_user",
                          "is for support tier 1: this role is shown everybody's masked "
                          "address anyway");
        return;
    }
    if (bw_api_ports_of(call)->open == NULL) {
        bw_api_fail_later(call, "this process opens no metadata");
        return;
    }
    if (!bw_api_page_position(call, request->page_token, &position))
        return;
    struct timeline *timeline = bw_arena_zalloc(call->arena, 1, sizeof *timeline);
    struct bw_error err;
    size_t limit = request->page_size != 0 ? request->page_size : PAGE_DEFAULT;
    if (timeline != NULL)
        timeline->scratch = bw_arena_create(SCRATCH_BYTES);
    if (timeline == NULL || timeline->scratch == NULL ||
        bw_lanes_create((uint32_t)strtoul(position, NULL, 10), limit, &timeline->lanes, &err) != BW_OK) {
        if (timeline != NULL)
            bw_arena_destroy(timeline->scratch);
        bw_api_fail_memory(call);
        return;
    }
    timeline->call = call;
    timeline->meeting = bw_api_id(request->meeting_id);
    call->state = timeline;
    call->order.decisions_walk.meeting = timeline->meeting;
    call->order.decisions_walk.each = take_decision;
    bw_api_order(call, BW_DESK_DECISIONS_WALK, walked);
}
