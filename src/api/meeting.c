/* MeetingService: what changes a meeting. */
#include <string.h>

#include "api/client_quality.h"
#include "api/gate.h"
#include "api/meeting_copy.h"
#include "api/record_find.h"
#include "api/refusal.h"
#include "bailiwick/v1/meeting.pb-c.h"
#include "base/alloc.h"

static const char *text_or_null(const char *s)
{
    return s[0] != '\0' ? s : NULL;
}

/* The op has failed: the call ends with that. */
static bool failed(struct bw_api_call *call)
{
    if (call->op.error.code == BW_OK)
        return false;
    bw_api_fail(call, &call->op.error, NULL);
    return true;
}

/* ---- the state after an operation, where its answer holds more than the operation tells ---- */

struct after {
    struct bw_api_meeting_copy copy;
    struct bw_id entry; /* whose flags are wanted; zero: nobody's */
    struct bw_flags flags;
    uint32_t slot, relay;
    bool found, member_found;
    struct bw_api_quality *quality; /* what was reported with it; NULL: nothing */
};

static void read_after(struct bw_op *op, const struct bw_meeting *meeting)
{
    struct bw_api_call *call = bw_api_call_of(op); /* on the owner's thread */
    struct after *after = call->state;
    if (meeting == NULL)
        return;
    const struct bw_member *member =
        bw_id_is_zero(&after->entry) ? NULL : bw_meeting_member(meeting, &after->entry);
    if (member != NULL) {
        after->flags = member->flags;
        after->slot = member->slot;
        after->relay = member->relay;
        after->member_found = true;
    }
    after->found = bw_api_copy_meeting(meeting, 0, 0, call->arena, &after->copy);
}

static void submit_read(struct bw_api_call *call, const struct bw_id *entry, bw_api_handler *next)
{
    struct after *after = bw_arena_zalloc(call->arena, 1, sizeof *after);
    if (after == NULL) {
        bw_api_fail_memory(call);
        return;
    }
    if (entry != NULL)
        after->entry = *entry;
    call->state = after;
    call->op.read = read_after;
    bw_api_submit(call, BW_OP_READ, next);
}

/* NULL, and the call has failed, when there is nothing to answer with. */
static const struct after *after_of(struct bw_api_call *call)
{
    if (failed(call))
        return NULL;
    const struct after *after = call->state;
    if (!after->found) {
        struct bw_error err;
        (void)bw_fail(&err, BW_NOT_FOUND, "NO_MEETING", "the tenant has no meeting of that id");
        bw_api_fail(call, &err, NULL);
        return NULL;
    }
    return after;
}

/* ---- CreateMeeting ---- */

static void create_answer(struct bw_api_call *call)
{
    const struct after *after = after_of(call);
    if (after == NULL)
        return;
    Bailiwick__V1__CreateMeetingResponse response = BAILIWICK__V1__CREATE_MEETING_RESPONSE__INIT;
    response.meeting =
        bw_api_meeting_message(&after->copy, call->tenant_name, true, bw_api_view_of(call), call->arena);
    if (response.meeting == NULL)
        bw_api_fail_memory(call);
    else
        bw_api_reply(call, &response.base);
}

/* The op may have come back with another meeting's id: the one this request made before. */
static void created(struct bw_api_call *call)
{
    if (!failed(call))
        submit_read(call, NULL, create_answer);
}

void bw_api_create_meeting(struct bw_api_call *call)
{
    const Bailiwick__V1__CreateMeetingRequest *request =
        (const Bailiwick__V1__CreateMeetingRequest *)call->request;
    const struct bw_api_ports *ports = bw_api_ports_of(call);
    call->op.meeting = ports->new_meeting(ports->context);
    call->op.create = (struct bw_op_create){
        .tenant_name = call->tenant_name,
        .user = request->host->user,
        .groups = request->host->groups,
        .group_count = request->host->n_groups,
        .choice = (uint8_t)request->mode,
        .cap_per_relay = request->cap_per_relay,
    };
    if (request->override_case == BAILIWICK__V1__CREATE_MEETING_REQUEST__OVERRIDE_POLICY_OVERRIDE)
        call->op.create.override_yaml = request->policy_override;
    bw_api_submit(call, BW_OP_CREATE, created);
}

/* ---- JoinMeeting, InviteConnector ---- */

/* A retry: what was decided then is read back, so that the answer is the same. */
static void placed(struct bw_api_call *call);
static void refused_before(struct bw_api_call *call, const struct bw_decision *decision,
                           const struct bw_error *error);

static void answer_join(struct bw_api_call *call, const struct bw_decision *decision)
{
    const struct bw_fleet_view *view = bw_api_view_of(call);
    Bailiwick__V1__Admission *admission =
        bw_api_admission(&call->op, &call->op.meeting, call->op.seq, call->arena);
    Bailiwick__V1__DecisionSummary *summary =
        decision != NULL ? bw_api_summary(decision, view, call->arena) : NULL;
    if (admission == NULL || (decision != NULL && summary == NULL)) {
        bw_api_fail_memory(call);
        return;
    }
    if (call->op.kind == BW_OP_JOIN) {
        Bailiwick__V1__JoinMeetingResponse response = BAILIWICK__V1__JOIN_MEETING_RESPONSE__INIT;
        response.admission = admission;
        response.decision = summary;
        bw_api_reply(call, &response.base);
        return;
    }
    Bailiwick__V1__InviteConnectorResponse response = BAILIWICK__V1__INVITE_CONNECTOR_RESPONSE__INIT;
    response.admission = admission;
    response.decision = summary;
    response.far_leg = (Bailiwick__V1__FarLeg)call->op.admission.far_leg;
    response.stores = (const char **)call->op.admission.stores;
    response.n_stores = call->op.admission.store_count;
    bw_api_reply(call, &response.base);
}

static void placed_before(struct bw_api_call *call, const struct bw_decision *decision,
                          const struct bw_error *error)
{
    (void)error; /* the admission stands by itself: the summary is only left out */
    answer_join(call, decision);
}

static void refused_before(struct bw_api_call *call, const struct bw_decision *decision,
                           const struct bw_error *error)
{
    if (decision == NULL || decision->kind != BW_DECISION_REFUSED) {
        bw_api_fail(call, error->code != BW_OK ? error : &call->op.error, NULL);
        return;
    }
    struct bw_error err;
    const char *words = bw_api_refusal_words(decision, bw_api_view_of(call), call->arena);
    (void)bw_fail(&err, BW_FAILED_PRECONDITION, bw_api_refusal_reason(decision), "%s",
                  words != NULL ? words : "refused by the policy");
    bw_api_fail_refused(call, decision, &err);
}

static void placed(struct bw_api_call *call)
{
    const struct bw_op *op = &call->op;
    if (op->error.code != BW_OK) {
        if (op->decision != NULL && op->decision->kind == BW_DECISION_REFUSED)
            bw_api_fail_refused(call, op->decision, &op->error);
        else if (op->error.reason != NULL && strcmp(op->error.reason, BW_OP_REFUSED_BEFORE) == 0)
            bw_api_find_record(call, &op->meeting, op->seq, refused_before);
        else
            bw_api_fail(call, &op->error, NULL);
        return;
    }
    if (op->decision == NULL)
        bw_api_find_record(call, &op->meeting, op->seq, placed_before);
    else
        answer_join(call, op->decision);
}

/* The country the application knows, else that of the address. Into the arena; NULL is unknown. */
static const char *country_of(struct bw_api_call *call, const char *country, const char *address)
{
    const struct bw_api_ports *ports = bw_api_ports_of(call);
    if (country[0] != '\0')
        return country;
    if (address[0] == '\0' || ports->country_of == NULL)
        return NULL;
    char code[3] = "";
    ports->country_of(ports->context, address, code);
    return code[0] != '\0' ? bw_arena_strndup(call->arena, code, 2) : NULL;
}

void bw_api_join_meeting(struct bw_api_call *call)
{
    const Bailiwick__V1__JoinMeetingRequest *request =
        (const Bailiwick__V1__JoinMeetingRequest *)call->request;
    if (bw_endpoint_is_connector((enum bw_endpoint)request->kind)) {
        bw_api_fail_field(call, "kind", "a %s is a connector; InviteConnector puts it on the roster",
                          bw_endpoint_name((enum bw_endpoint)request->kind));
        return;
    }
    if (request->role == BAILIWICK__V1__PARTICIPANT_ROLE__PARTICIPANT_ROLE_CONNECTOR) {
        bw_api_fail_field(call, "role", "only InviteConnector gives the role of a connector");
        return;
    }
    uint32_t *declared = bw_arena_zalloc(call->arena, 1, sizeof *declared);
    if (declared == NULL) {
        bw_api_fail_memory(call);
        return;
    }
    for (size_t i = 0; i < request->n_capable; i++)
        *declared |= UINT32_C(1) << request->capable[i];
    *declared &= BW_SCHEMES_ALL;
    const char *home = text_or_null(request->home_tenant);
    if (home != NULL && strcmp(home, call->tenant_name) == 0)
        home = NULL; /* a member */
    call->op.meeting = bw_api_id(request->meeting_id);
    call->op.join = (struct bw_op_join){
        .user = text_or_null(request->user),
        .groups = request->groups,
        .group_count = request->n_groups,
        .kind = (enum bw_endpoint)request->kind,
        .role = request->role == 0 ? (uint8_t)BW_ROLE_SPEAKER : (uint8_t)request->role,
        .country = country_of(call, request->country, request->client_address),
        .region = text_or_null(request->region),
        .declared = declared,
        .home_tenant = home,
        .client_address = text_or_null(request->client_address),
        .client_version = text_or_null(request->client_version),
    };
    bw_api_submit(call, BW_OP_JOIN, placed);
}

void bw_api_invite_connector(struct bw_api_call *call)
{
    const Bailiwick__V1__InviteConnectorRequest *request =
        (const Bailiwick__V1__InviteConnectorRequest *)call->request;
    if (bw_api_connector_of_kind(request->kind) == BW_CONNECTOR_COUNT) {
        bw_api_fail_field(call, "kind", "a %s is no connector; it joins with JoinMeeting",
                          bw_endpoint_name((enum bw_endpoint)request->kind));
        return;
    }
    if (request->relay[0] != '\0') {
        bw_api_fail_later(call, "choosing the connector's relay is not supported yet; leave `relay` empty");
        return;
    }
    call->op.meeting = bw_api_id(request->meeting_id);
    call->op.join = (struct bw_op_join){
        .kind = (enum bw_endpoint)request->kind,
        .role = (uint8_t)BW_ROLE_CONNECTOR,
        .country = text_or_null(request->country),
        .region = text_or_null(request->region),
    };
    bw_api_submit(call, BW_OP_INVITE, placed);
}

/* ---- RenewGrant ---- */

static void renewed(struct bw_api_call *call)
{
    if (failed(call))
        return;
    Bailiwick__V1__RenewGrantResponse response = BAILIWICK__V1__RENEW_GRANT_RESPONSE__INIT;
    /* The decision that admitted somebody has their slot as its seq. */
    response.admission = bw_api_admission(&call->op, &call->op.meeting, call->op.admission.slot, call->arena);
    if (response.admission == NULL)
        bw_api_fail_memory(call);
    else
        bw_api_reply(call, &response.base);
}

void bw_api_renew_grant(struct bw_api_call *call)
{
    const Bailiwick__V1__RenewGrantRequest *request = (const Bailiwick__V1__RenewGrantRequest *)call->request;
    call->op.meeting = bw_api_id(request->meeting_id);
    call->op.leave.entry = bw_api_id(request->roster_entry);
    bw_api_submit(call, BW_OP_RENEW, renewed);
}

/* ---- leaving and ending ---- */

static void left(struct bw_api_call *call)
{
    if (failed(call))
        return;
    Bailiwick__V1__LeaveMeetingResponse response = BAILIWICK__V1__LEAVE_MEETING_RESPONSE__INIT;
    response.mode = (Bailiwick__V1__E2eeMode)call->op.label;
    response.mode_epoch = call->op.mode.epoch;
    response.participants = call->op.participants;
    bw_api_reply(call, &response.base);
}

void bw_api_leave_meeting(struct bw_api_call *call)
{
    const Bailiwick__V1__LeaveMeetingRequest *request =
        (const Bailiwick__V1__LeaveMeetingRequest *)call->request;
    if (request->reason > BAILIWICK__V1__LEAVE_REASON__LEAVE_REASON_CONNECTION_LOST) {
        bw_api_fail_field(call, "reason",
                          "only LEFT, REMOVED and CONNECTION_LOST are the application's to give");
        return;
    }
    call->op.meeting = bw_api_id(request->meeting_id);
    call->op.leave = (struct bw_op_leave){
        .entry = bw_api_id(request->roster_entry),
        .reason = request->reason != 0 ? (uint8_t)request->reason : (uint8_t)BW_LEAVE_LEFT,
    };
    bw_api_submit(call, BW_OP_LEAVE, left);
}

static void removed(struct bw_api_call *call)
{
    if (failed(call))
        return;
    Bailiwick__V1__RemoveConnectorResponse response = BAILIWICK__V1__REMOVE_CONNECTOR_RESPONSE__INIT;
    response.mode = (Bailiwick__V1__E2eeMode)call->op.label;
    response.mode_epoch = call->op.mode.epoch;
    bw_api_reply(call, &response.base);
}

void bw_api_remove_connector(struct bw_api_call *call)
{
    const Bailiwick__V1__RemoveConnectorRequest *request =
        (const Bailiwick__V1__RemoveConnectorRequest *)call->request;
    call->op.meeting = bw_api_id(request->meeting_id);
    call->op.leave =
        (struct bw_op_leave){.entry = bw_api_id(request->roster_entry), .reason = BW_LEAVE_REMOVED};
    bw_api_submit(call, BW_OP_REMOVE, removed);
}

static void end_answer(struct bw_api_call *call)
{
    const struct after *after = after_of(call);
    if (after == NULL)
        return;
    Bailiwick__V1__EndMeetingResponse response = BAILIWICK__V1__END_MEETING_RESPONSE__INIT;
    response.ended_unix_ms = (int64_t)after->copy.ended_ms;
    bw_api_reply(call, &response.base);
}

static void ended(struct bw_api_call *call)
{
    if (!failed(call))
        submit_read(call, NULL, end_answer);
}

void bw_api_end_meeting(struct bw_api_call *call)
{
    const Bailiwick__V1__EndMeetingRequest *request = (const Bailiwick__V1__EndMeetingRequest *)call->request;
    call->op.meeting = bw_api_id(request->meeting_id);
    bw_api_submit(call, BW_OP_END, ended);
}

/* ---- the mode ---- */

static void mode_changed(struct bw_api_call *call)
{
    if (failed(call))
        return;
    const struct bw_op *op = &call->op;
    Bailiwick__V1__ChangeModeResponse response = BAILIWICK__V1__CHANGE_MODE_RESPONSE__INIT;
    response.mode = (Bailiwick__V1__E2eeMode)op->label;
    response.mode_epoch = op->mode.epoch;
    response.pending_mode_epoch = op->mode.pending != BW_MODE_PENDING_NONE ? op->mode.epoch + 1 : 0;
    response.consents_missing = op->consents_missing;
    bw_api_reply(call, &response.base);
}

void bw_api_change_mode(struct bw_api_call *call)
{
    const Bailiwick__V1__ChangeModeRequest *request = (const Bailiwick__V1__ChangeModeRequest *)call->request;
    static const enum bw_mode_event events[] = {
        [BAILIWICK__V1__CHANGE_MODE_REQUEST__ACTION__ACTION_REQUEST_LOWER] = BW_MODE_REQUEST_LOWER,
        [BAILIWICK__V1__CHANGE_MODE_REQUEST__ACTION__ACTION_CONSENT] = BW_MODE_CONSENT,
        [BAILIWICK__V1__CHANGE_MODE_REQUEST__ACTION__ACTION_REQUEST_RAISE] = BW_MODE_REQUEST_RAISE,
    };
    bool consents = request->action == BAILIWICK__V1__CHANGE_MODE_REQUEST__ACTION__ACTION_CONSENT;
    if (consents && request->roster_entry[0] == '\0') {
        bw_api_fail_field(call, "roster_entry", "a consent names the participant who gives it");
        return;
    }
    if (consents && request->mode_epoch == 0) {
        bw_api_fail_field(call, "mode_epoch", "a consent names the announced mode epoch");
        return;
    }
    call->op.meeting = bw_api_id(request->meeting_id);
    call->op.mode_change =
        (struct bw_op_mode){.event = events[request->action], .epoch = request->mode_epoch};
    if (request->roster_entry[0] != '\0')
        call->op.mode_change.entry = bw_api_id(request->roster_entry);
    bw_api_submit(call, BW_OP_MODE, mode_changed);
}

/* ---- ReportClientState ---- */

static void answer_report(struct bw_api_call *call, const struct bw_api_quality *quality)
{
    const struct after *after = call->state;
    Bailiwick__V1__ReportClientStateResponse response = BAILIWICK__V1__REPORT_CLIENT_STATE_RESPONSE__INIT;
    response.mode = (Bailiwick__V1__E2eeMode)after->copy.label;
    response.mode_epoch = after->copy.mode_epoch;
    if (after->member_found) { /* what it reports may have cost its place */
        response.flags = bw_api_flags(&after->flags, call->arena);
        if (response.flags == NULL) {
            bw_api_fail_memory(call);
            return;
        }
    }
    const Bailiwick__V1__ReportClientStateRequest *request =
        (const Bailiwick__V1__ReportClientStateRequest *)call->request;
    /* The path comes last; it is a window of ours, not one of theirs. */
    for (size_t i = 0; quality != NULL && i < request->n_quality; i++)
        response.quality_taken += quality->windows[i].taken ? 1 : 0;
    response.quality_dropped = (uint32_t)request->n_quality - response.quality_taken;
    bw_api_reply(call, &response.base);
}

static void quality_kept(struct bw_api_quality *quality)
{
    answer_report(quality->context, quality);
    bw_free(quality);
}

static void report_answer(struct bw_api_call *call)
{
    struct after *after = call->state;
    const struct bw_api_ports *ports = bw_api_ports_of(call);
    struct bw_api_quality *quality = after->quality;
    if (after_of(call) == NULL) {
        bw_free(quality);
        return;
    }
    if (quality == NULL || !after->member_found || ports->quality == NULL) {
        bw_free(quality);
        answer_report(call, NULL);
        return;
    }
    quality->tenant = call->tenant;
    quality->relay = after->relay;
    for (size_t i = 0; i < quality->count; i++) {
        quality->windows[i].meeting = call->op.meeting;
        quality->windows[i].slot = after->slot;
    }
    quality->done = quality_kept;
    quality->context = call;
    ports->quality(ports->context, quality);
}

static void observed(struct bw_api_call *call)
{
    const Bailiwick__V1__ReportClientStateRequest *request =
        (const Bailiwick__V1__ReportClientStateRequest *)call->request;
    struct bw_api_quality *quality = call->state;
    if (call->op.error.code != BW_OK) {
        bw_free(quality);
        (void)failed(call);
        return;
    }
    const struct bw_id entry = bw_api_id(request->roster_entry);
    struct after *after = bw_arena_zalloc(call->arena, 1, sizeof *after);
    if (after == NULL) {
        bw_free(quality);
        bw_api_fail_memory(call);
        return;
    }
    after->entry = entry;
    after->quality = quality;
    call->state = after;
    call->op.read = read_after;
    bw_api_submit(call, BW_OP_READ, report_answer);
}

void bw_api_report_client_state(struct bw_api_call *call)
{
    const Bailiwick__V1__ReportClientStateRequest *request =
        (const Bailiwick__V1__ReportClientStateRequest *)call->request;
    if (request->observed == BAILIWICK__V1__OBSERVED_E2EE__STATE__STATE_E2EE && request->scheme == 0) {
        bw_api_fail_field(call, "scheme", "an endpoint that observes encryption says which scheme it uses");
        return;
    }
    struct bw_api_quality *quality;
    if (!bw_api_client_windows(call, request, &quality))
        return;
    call->state = quality;
    call->op.meeting = bw_api_id(request->meeting_id);
    call->op.observe = (struct bw_op_observe){
        .entry = bw_api_id(request->roster_entry),
        .state = (enum bw_observed)request->observed,
        .scheme = (enum bw_scheme)request->scheme,
        .mode_epoch = request->mode_epoch,
    };
    bw_api_submit(call, BW_OP_OBSERVE, observed);
}
