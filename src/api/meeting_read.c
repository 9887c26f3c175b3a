/* MeetingService: what only looks. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/gate.h"
#include "api/meeting_copy.h"
#include "bailiwick/v1/meeting.pb-c.h"

/* ---- GetMeeting ---- */

struct reading {
    uint32_t after, limit;
    bool found, failed;
    struct bw_api_meeting_copy copy;
};

static void read_meeting(struct bw_op *op, const struct bw_meeting *meeting)
{
    struct bw_api_call *call = bw_api_call_of(op); /* on the owner's thread */
    struct reading *reading = call->state;
    reading->found = meeting != NULL;
    if (meeting != NULL)
        reading->failed =
            !bw_api_copy_meeting(meeting, reading->after, reading->limit, call->arena, &reading->copy);
}

static void answer_meeting(struct bw_api_call *call)
{
    const struct reading *reading = call->state;
    if (call->op.error.code != BW_OK) {
        bw_api_fail(call, &call->op.error, NULL);
        return;
    }
    if (!reading->found) {
        struct bw_error err;
        (void)bw_fail(&err, BW_NOT_FOUND, "NO_MEETING",
                      "the tenant has no meeting of that id here; ended ones are kept for a while only");
        bw_api_fail(call, &err, NULL);
        return;
    }
    const struct bw_fleet_view *view = bw_api_view_of(call);
    const struct bw_api_meeting_copy *copy = &reading->copy;
    Bailiwick__V1__GetMeetingResponse response = BAILIWICK__V1__GET_MEETING_RESPONSE__INIT;
    bool ok = !reading->failed;
    if (ok) {
        response.meeting = bw_api_meeting_message(copy, call->tenant_name, true, view, call->arena);
        response.roster = bw_api_roster(copy, view, call->arena);
        response.n_roster = copy->member_count;
        ok = response.meeting != NULL && response.roster != NULL;
    }
    if (ok && copy->more) {
        char slot[16];
        snprintf(slot, sizeof slot, "%u", copy->members[copy->member_count - 1].slot);
        response.next_page_token = bw_api_page_token(call, slot);
        ok = response.next_page_token != NULL;
    }
    if (ok)
        bw_api_reply(call, &response.base);
    else
        bw_api_fail_memory(call);
}

void bw_api_get_meeting(struct bw_api_call *call)
{
    const Bailiwick__V1__GetMeetingRequest *request = (const Bailiwick__V1__GetMeetingRequest *)call->request;
    const char *position;
    if (!bw_api_page_position(call, request->page_token, &position))
        return;
    struct reading *reading = bw_arena_zalloc(call->arena, 1, sizeof *reading);
    if (reading == NULL) {
        bw_api_fail_memory(call);
        return;
    }
    reading->after = (uint32_t)strtoul(position, NULL, 10);
    reading->limit = bw_api_page_size(request->page_size);
    call->state = reading;
    call->op.meeting = bw_api_id(request->meeting_id);
    call->op.read = read_meeting;
    bw_api_submit(call, BW_OP_READ, answer_meeting);
}

/* ---- ListMeetings ---- */

struct listing {
    struct bw_api_sweep sweep;
    struct bw_api_call *call;
    bool ended; /* which ones */
    bool has_before;
    struct bw_id before; /* ids below this one */
    size_t limit, count; /* found: the newest so far, newest first, at most limit + 1 */
    struct bw_api_meeting_copy *found;
};

static bool collect(void *context, const struct bw_meeting_head *head)
{
    struct listing *listing = context;
    if (!bw_id_equal(&head->tenant, &listing->call->tenant) || head->ended != listing->ended ||
        (listing->has_before && bw_id_compare(&head->id, &listing->before) >= 0))
        return true;
    size_t at = listing->count;
    while (at > 0 && bw_id_compare(&listing->found[at - 1].id, &head->id) < 0)
        at--;
    if (at > listing->limit)
        return true;
    if (listing->count <= listing->limit)
        listing->count++;
    memmove(&listing->found[at + 1], &listing->found[at], (listing->count - 1 - at) * sizeof *listing->found);
    bw_api_copy_head(head, &listing->found[at]);
    return true;
}

static void visit(struct bw_api_sweep *sweep, struct bw_owner *owner)
{
    bw_owner_each_committed(owner, collect, (struct listing *)sweep);
}

static void listed(struct bw_api_sweep *sweep)
{
    struct listing *listing = (struct listing *)sweep;
    struct bw_api_call *call = listing->call;
    size_t n = listing->count < listing->limit ? listing->count : listing->limit;
    Bailiwick__V1__ListMeetingsResponse response = BAILIWICK__V1__LIST_MEETINGS_RESPONSE__INIT;
    response.meetings = bw_arena_zalloc(call->arena, n + 1, sizeof(void *));
    bool ok = response.meetings != NULL;
    for (size_t i = 0; ok && i < n; i++) {
        response.meetings[i] =
            bw_api_meeting_message(&listing->found[i], call->tenant_name, false, NULL, call->arena);
        ok = response.meetings[i] != NULL;
    }
    response.n_meetings = n;
    if (ok && listing->count > n) {
        char id[BW_ID_TEXT_SIZE];
        bw_id_format(&listing->found[n - 1].id, id);
        response.next_page_token = bw_api_page_token(call, id);
        ok = response.next_page_token != NULL;
    }
    if (ok)
        bw_api_reply(call, &response.base);
    else
        bw_api_fail_memory(call);
}

void bw_api_list_meetings(struct bw_api_call *call)
{
    const Bailiwick__V1__ListMeetingsRequest *request =
        (const Bailiwick__V1__ListMeetingsRequest *)call->request;
    const char *position;
    if (!bw_api_page_position(call, request->page_token, &position))
        return;
    struct listing *listing = bw_arena_zalloc(call->arena, 1, sizeof *listing);
    size_t limit = bw_api_page_size(request->page_size);
    /* One more than a page, and one to move into. */
    struct bw_api_meeting_copy *found = bw_arena_zalloc(call->arena, limit + 2, sizeof *found);
    if (listing == NULL || found == NULL) {
        bw_api_fail_memory(call);
        return;
    }
    struct bw_id before = {{0}};
    bool has_before = bw_id_parse(bw_view_str(position), &before);
    *listing = (struct listing){
        .sweep = {.visit = visit, .done = listed},
        .call = call,
        .ended = request->state == BAILIWICK__V1__MEETING_STATE__MEETING_STATE_ENDED,
        .has_before = has_before,
        .before = before,
        .limit = limit,
        .found = found,
    };
    const struct bw_api_ports *ports = bw_api_ports_of(call);
    ports->each_owner(ports->context, &listing->sweep);
}
