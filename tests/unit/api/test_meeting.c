/* MeetingService over gRPC. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "bailiwick/v1/meeting.pb-c.h"
#include "bailiwick/v1/policy.pb-c.h"
#include "e2ee/grant.h"
#include "rig.h"

static struct rig rig;

static int setup(void **state)
{
    (void)state;
    rig_init(&rig);
    assert_true(bw_headless_publish(&rig.world, "chu-lyon", 1, NULL));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rig_finish(&rig);
    return 0;
}

#define CALL(role, Service, Method, snake, request)                                                          \
    ((const Bailiwick__V1__##Method##Response *)rig_call(&rig, role, #Service "/" #Method, request,          \
                                                         &bailiwick__v1__##snake##_response__descriptor))

static void must(const void *reply)
{
    if (reply == NULL)
        fail_msg("%s: %s (%s)", bw_code_name(rig.code), rig.message, rig.reason);
}

static const Bailiwick__V1__Meeting *create_with(const char *request_id, const char *user)
{
    Bailiwick__V1__CreateMeetingRequest request = BAILIWICK__V1__CREATE_MEETING_REQUEST__INIT;
    Bailiwick__V1__Host host = BAILIWICK__V1__HOST__INIT;
    host.user = user;
    request.tenant = "chu-lyon";
    request.request_id = request_id;
    request.host = &host;
    const Bailiwick__V1__CreateMeetingResponse *reply =
        CALL(RIG_APP, MeetingService, CreateMeeting, create_meeting, &request);
    return reply != NULL ? reply->meeting : NULL;
}

static const char *create(void)
{
    const Bailiwick__V1__Meeting *meeting = create_with(rig_uuid(&rig), "dr.x@chu-lyon.example");
    must(meeting);
    return meeting->meeting_id;
}

static Bailiwick__V1__E2eeScheme schemes[] = {BAILIWICK__V1__E2EE_SCHEME__E2EE_SCHEME_SFRAME_MLS};

static Bailiwick__V1__JoinMeetingRequest join_request(const char *meeting, const char *country)
{
    Bailiwick__V1__JoinMeetingRequest request = BAILIWICK__V1__JOIN_MEETING_REQUEST__INIT;
    request.tenant = "chu-lyon";
    request.meeting_id = meeting;
    request.request_id = rig_uuid(&rig);
    request.kind = BAILIWICK__V1__PARTICIPANT_KIND__PARTICIPANT_KIND_NATIVE;
    request.country = country;
    request.capable = schemes;
    request.n_capable = 1;
    return request;
}

static const Bailiwick__V1__Admission *join(const char *meeting, const char *country)
{
    Bailiwick__V1__JoinMeetingRequest request = join_request(meeting, country);
    const Bailiwick__V1__JoinMeetingResponse *reply =
        CALL(RIG_APP, MeetingService, JoinMeeting, join_meeting, &request);
    must(reply);
    return reply->admission;
}

static const Bailiwick__V1__GetMeetingResponse *get(const char *meeting, uint32_t size, const char *token)
{
    Bailiwick__V1__GetMeetingRequest request = BAILIWICK__V1__GET_MEETING_REQUEST__INIT;
    request.tenant = "chu-lyon";
    request.meeting_id = meeting;
    request.page_size = size;
    request.page_token = token;
    return CALL(RIG_APP, MeetingService, GetMeeting, get_meeting, &request);
}

static void a_meeting_is_created_once_a_request(void **state)
{
    (void)state;
    const char *request = rig_uuid(&rig);
    const Bailiwick__V1__Meeting *first = create_with(request, "dr.x@chu-lyon.example");
    must(first);
    assert_int_equal(first->state, BAILIWICK__V1__MEETING_STATE__MEETING_STATE_LIVE);
    assert_int_equal(first->mode, BAILIWICK__V1__E2EE_MODE__E2EE_MODE_E2EE);
    assert_int_equal(first->policy_revision, 1);
    assert_int_equal(strlen(first->policy_hash), 71);
    assert_string_equal(first->tenant, "chu-lyon");
    const Bailiwick__V1__Meeting *again = create_with(request, "dr.x@chu-lyon.example");
    must(again);
    assert_string_equal(again->meeting_id, first->meeting_id);
    assert_string_not_equal(create(), first->meeting_id);
}

static void who_joins_gets_a_relay_and_a_grant_it_can_verify(void **state)
{
    (void)state;
    const char *meeting = create();
    Bailiwick__V1__JoinMeetingRequest request = join_request(meeting, "DE");
    const Bailiwick__V1__JoinMeetingResponse *reply =
        CALL(RIG_APP, MeetingService, JoinMeeting, join_meeting, &request);
    must(reply);
    const Bailiwick__V1__Admission *admission = reply->admission;
    assert_string_equal(admission->relay, "fra1");
    assert_string_equal(admission->media_address, "192.0.2.3:3478");
    assert_int_equal(admission->flags->allocated->scheme, schemes[0]);
    assert_int_equal(admission->hop_key.len, 32);
    assert_int_equal(reply->decision->relays_considered, BW_HEADLESS_RELAYS);
    assert_int_equal(reply->decision->relays_allowed, 4);
    assert_true(reply->decision->runner_up[0] != '\0');

    struct bw_grant_verifier *verifier;
    struct bw_grant grant;
    struct bw_error err;
    assert_int_equal(bw_grant_verifier_create(0, &verifier, &err), BW_OK);
    assert_int_equal(bw_grant_verifier_add_key(verifier, rig.world.public_key, &err), BW_OK);
    const struct bw_grant_expect expect = {
        .cell = bw_grant_cell_id(bw_view_str("eu")), .relay = 3, .now_ms = rig.world.wall_ms};
    assert_int_equal(bw_grant_verify(verifier, bw_view_of(admission->grant.data, admission->grant.len),
                                     &expect, &grant, NULL),
                     BW_GRANT_OK);
    char entry[BW_ID_TEXT_SIZE];
    bw_id_format(&grant.roster_entry, entry);
    assert_string_equal(entry, admission->roster_entry);
    assert_int_equal(grant.slot, admission->slot);
    bw_grant_verifier_destroy(verifier);

    /* The same request once more: the same entry and decision, on a fresh grant. */
    const Bailiwick__V1__JoinMeetingResponse *again =
        CALL(RIG_APP, MeetingService, JoinMeeting, join_meeting, &request);
    must(again);
    assert_string_equal(again->admission->roster_entry, admission->roster_entry);
    assert_string_equal(again->admission->reference, admission->reference);
    assert_string_equal(again->decision->runner_up, reply->decision->runner_up);
    assert_int_equal(again->decision->score->total_us, reply->decision->score->total_us);
    /* With other content it is refused. */
    request.country = "FR";
    assert_null(CALL(RIG_APP, MeetingService, JoinMeeting, join_meeting, &request));
    assert_int_equal(rig.code, BW_ALREADY_EXISTS);
    assert_string_equal(rig.reason, "REQUEST_ID_REUSED");
}

static void a_country_comes_from_the_address_when_none_is_given(void **state)
{
    (void)state;
    const char *meeting = create();
    Bailiwick__V1__JoinMeetingRequest request = join_request(meeting, "");
    request.client_address = "198.51.100.7";
    const Bailiwick__V1__JoinMeetingResponse *reply =
        CALL(RIG_APP, MeetingService, JoinMeeting, join_meeting, &request);
    must(reply);
    assert_string_equal(reply->admission->relay, "fra1");
    const Bailiwick__V1__GetMeetingResponse *seen = get(meeting, 0, "");
    must(seen);
    assert_string_equal(seen->roster[0]->country, "DE");
}

static const Bailiwick__V1__Refusal *refusal_of_status(void)
{
    const ProtobufCMessage *refusal = NULL;
    struct bw_error err;
    assert_non_null(rig.details.any_type_url);
    assert_string_equal(rig.details.any_type_url, "type.googleapis.com/bailiwick.v1.Refusal");
    if (bw_wire_decode(&bailiwick__v1__refusal__descriptor, rig.details.any_value, rig.arena, &refusal,
                       &err) != BW_OK)
        fail_msg("%s", err.show);
    return (const Bailiwick__V1__Refusal *)refusal;
}

static void a_refused_join_says_why_and_says_it_again(void **state)
{
    (void)state;
    const char *meeting = create();
    for (size_t i = 0; i < BW_HEADLESS_RELAYS; i++) {
        if (i != BW_ASH1)
            rig.world.relays[i].state = BW_RELAY_CORDONED;
    }
    assert_true(bw_headless_publish_fleet(&rig.world));
    Bailiwick__V1__JoinMeetingRequest request = join_request(meeting, "FR");
    for (int attempt = 0; attempt < 2; attempt++) {
        assert_null(CALL(RIG_APP, MeetingService, JoinMeeting, join_meeting, &request));
        assert_int_equal(rig.code, BW_FAILED_PRECONDITION);
        assert_string_equal(rig.reason, "NO_COMPLIANT_RELAY");
        assert_string_equal(rig.details.domain, "bailiwick");
        const Bailiwick__V1__Refusal *refusal = refusal_of_status();
        assert_int_equal(refusal->relays_total, BW_HEADLESS_RELAYS);
        assert_int_equal(refusal->n_relays, BW_HEADLESS_RELAYS);
        assert_int_equal(refusal->relays[0]->n_reasons, 1); /* nearest first */
        assert_string_equal(refusal->nearest->relay, refusal->relays[0]->relay);
        assert_string_equal(refusal->meeting_id, meeting);
        assert_string_equal(refusal->country, "FR");
        bool american = false;
        for (size_t i = 0; i < refusal->n_relays; i++) {
            const Bailiwick__V1__RelayReasons *relay = refusal->relays[i];
            if (strcmp(relay->relay, "ash1") != 0)
                continue;
            american = true;
            assert_int_equal(relay->reasons[0], BAILIWICK__V1__REASON__TRANSIT_COUNTRY);
            assert_non_null(strstr(relay->clauses[0], "policy.yaml:7:"));
        }
        assert_true(american);
        /* By its reference the tenant's admin reads the same. */
        Bailiwick__V1__GetRefusalRequest ask = BAILIWICK__V1__GET_REFUSAL_REQUEST__INIT;
        ask.tenant = "chu-lyon";
        ask.reference = refusal->reference;
        const Bailiwick__V1__GetRefusalResponse *found =
            CALL(RIG_ADMIN, PolicyService, GetRefusal, get_refusal, &ask);
        must(found);
        assert_int_equal(found->refusal->n_relays, BW_HEADLESS_RELAYS);
        assert_string_equal(found->refusal->reference, refusal->reference);
        assert_string_equal(found->refusal->message, refusal->message);
    }
    /* One row for the creation, one for the refusal, however often it is asked. */
    struct bw_id id;
    assert_true(bw_id_parse(bw_view_str(meeting), &id));
    assert_int_equal(bw_headless_rows(&rig.world, &id), 2);
}

static void who_may_not_enter_is_told_so(void **state)
{
    (void)state;
    Bailiwick__V1__JoinMeetingRequest request = join_request(create(), "KP");
    assert_null(CALL(RIG_APP, MeetingService, JoinMeeting, join_meeting, &request));
    assert_int_equal(rig.code, BW_FAILED_PRECONDITION);
    assert_string_equal(rig.reason, "ENTRY_COUNTRY");
    const Bailiwick__V1__Refusal *refusal = refusal_of_status();
    assert_int_equal(refusal->n_reasons, 1);
    assert_int_equal(refusal->reasons[0], BAILIWICK__V1__REASON__ENTRY_COUNTRY);
    assert_int_equal(refusal->n_clauses, 1);
}

static void rosters_page_by_slot(void **state)
{
    (void)state;
    const char *meeting = create();
    for (int i = 0; i < 7; i++)
        join(meeting, "FR");
    const Bailiwick__V1__GetMeetingResponse *page = get(meeting, 3, "");
    must(page);
    assert_int_equal(page->meeting->participants, 7);
    uint32_t last = 0;
    size_t seen = 0, pages = 0;
    for (;;) {
        pages++;
        for (size_t i = 0; i < page->n_roster; i++, seen++) {
            assert_true(page->roster[i]->slot > last);
            last = page->roster[i]->slot;
            assert_string_equal(page->roster[i]->country, "FR");
        }
        if (page->next_page_token[0] == '\0')
            break;
        page = get(meeting, 3, page->next_page_token);
        must(page);
    }
    assert_int_equal(seen, 7);
    assert_int_equal(pages, 3);

    /* A token is good for the request that made it only. */
    const char *token = get(meeting, 3, "")->next_page_token;
    assert_null(get(create(), 3, token));
    assert_int_equal(rig.code, BW_INVALID_ARGUMENT);
    assert_int_equal(rig.details.violation_count, 1);
    assert_string_equal(rig.details.violations[0].field, "page_token");
}

static const Bailiwick__V1__ListMeetingsResponse *list(Bailiwick__V1__MeetingState which, uint32_t size,
                                                       const char *token)
{
    Bailiwick__V1__ListMeetingsRequest request = BAILIWICK__V1__LIST_MEETINGS_REQUEST__INIT;
    request.tenant = "chu-lyon";
    request.state = which;
    request.page_size = size;
    request.page_token = token;
    return CALL(RIG_APP, MeetingService, ListMeetings, list_meetings, &request);
}

static void meetings_are_listed_newest_first(void **state)
{
    (void)state;
    const char *made[5];
    for (int i = 0; i < 5; i++) {
        rig.world.wall_ms += 10;
        made[i] = create();
    }
    const Bailiwick__V1__ListMeetingsResponse *page = list(0, 2, "");
    must(page);
    int at = 4;
    for (;;) {
        for (size_t i = 0; i < page->n_meetings; i++)
            assert_string_equal(page->meetings[i]->meeting_id, made[at--]);
        if (page->next_page_token[0] == '\0')
            break;
        page = list(0, 2, page->next_page_token);
        must(page);
    }
    assert_int_equal(at, -1);

    Bailiwick__V1__EndMeetingRequest end = BAILIWICK__V1__END_MEETING_REQUEST__INIT;
    end.tenant = "chu-lyon";
    end.meeting_id = made[2];
    end.request_id = rig_uuid(&rig);
    for (int attempt = 0; attempt < 2; attempt++) {
        const Bailiwick__V1__EndMeetingResponse *ended =
            CALL(RIG_APP, MeetingService, EndMeeting, end_meeting, &end);
        must(ended);
        assert_int_equal(ended->ended_unix_ms, rig.world.wall_ms);
    }
    assert_int_equal(list(0, 0, "")->n_meetings, 4);
    page = list(BAILIWICK__V1__MEETING_STATE__MEETING_STATE_ENDED, 0, "");
    must(page);
    assert_int_equal(page->n_meetings, 1);
    assert_string_equal(page->meetings[0]->meeting_id, made[2]);
    assert_int_equal(page->meetings[0]->end_reason, BAILIWICK__V1__END_REASON__END_REASON_REQUESTED);
}

static void leaving_and_renewing(void **state)
{
    (void)state;
    const char *meeting = create();
    const Bailiwick__V1__Admission *first = join(meeting, "FR"), *second = join(meeting, "FR");
    Bailiwick__V1__RenewGrantRequest renew = BAILIWICK__V1__RENEW_GRANT_REQUEST__INIT;
    renew.tenant = "chu-lyon";
    renew.meeting_id = meeting;
    renew.request_id = rig_uuid(&rig);
    renew.roster_entry = second->roster_entry;
    rig.world.wall_ms += 30000;
    const Bailiwick__V1__RenewGrantResponse *renewed =
        CALL(RIG_APP, MeetingService, RenewGrant, renew_grant, &renew);
    must(renewed);
    assert_true(renewed->admission->grant_expires_unix_ms > second->grant_expires_unix_ms);
    assert_string_equal(renewed->admission->reference, second->reference);

    Bailiwick__V1__LeaveMeetingRequest leave = BAILIWICK__V1__LEAVE_MEETING_REQUEST__INIT;
    leave.tenant = "chu-lyon";
    leave.meeting_id = meeting;
    leave.request_id = rig_uuid(&rig);
    leave.roster_entry = first->roster_entry;
    for (int attempt = 0; attempt < 2; attempt++) {
        const Bailiwick__V1__LeaveMeetingResponse *left =
            CALL(RIG_APP, MeetingService, LeaveMeeting, leave_meeting, &leave);
        must(left);
        assert_int_equal(left->participants, 1);
    }
    leave.request_id = rig_uuid(&rig);
    assert_null(CALL(RIG_APP, MeetingService, LeaveMeeting, leave_meeting, &leave));
    assert_int_equal(rig.code, BW_NOT_FOUND);
    leave.reason = BAILIWICK__V1__LEAVE_REASON__LEAVE_REASON_POLICY;
    assert_null(CALL(RIG_APP, MeetingService, LeaveMeeting, leave_meeting, &leave));
    assert_int_equal(rig.code, BW_INVALID_ARGUMENT);
    renew.roster_entry = first->roster_entry;
    assert_null(CALL(RIG_APP, MeetingService, RenewGrant, renew_grant, &renew));
    assert_int_equal(rig.code, BW_NOT_FOUND);
}

static const Bailiwick__V1__ReportClientStateResponse *observe(const char *meeting, const char *entry,
                                                               uint32_t epoch)
{
    Bailiwick__V1__ReportClientStateRequest request = BAILIWICK__V1__REPORT_CLIENT_STATE_REQUEST__INIT;
    request.tenant = "chu-lyon";
    request.meeting_id = meeting;
    request.request_id = rig_uuid(&rig);
    request.roster_entry = entry;
    request.observed = BAILIWICK__V1__OBSERVED_E2EE__STATE__STATE_E2EE;
    request.scheme = schemes[0];
    request.mode_epoch = epoch;
    return CALL(RIG_APP, MeetingService, ReportClientState, report_client_state, &request);
}

static void a_label_is_e2ee_only_once_everybody_is_observed(void **state)
{
    (void)state;
    const char *meeting = create();
    const Bailiwick__V1__Admission *first = join(meeting, "FR"), *second = join(meeting, "FR");
    assert_int_equal(second->mode, BAILIWICK__V1__E2EE_MODE__E2EE_MODE_PARTIAL);
    const Bailiwick__V1__ReportClientStateResponse *report =
        observe(meeting, first->roster_entry, first->mode_epoch);
    must(report);
    assert_int_equal(report->mode, BAILIWICK__V1__E2EE_MODE__E2EE_MODE_PARTIAL);
    assert_true(report->flags->observed->confirmed);
    report = observe(meeting, second->roster_entry, second->mode_epoch);
    must(report);
    assert_int_equal(report->mode, BAILIWICK__V1__E2EE_MODE__E2EE_MODE_E2EE);
}

static const Bailiwick__V1__ChangeModeResponse *change_mode(const char *meeting,
                                                            Bailiwick__V1__ChangeModeRequest__Action action,
                                                            const char *entry, uint32_t epoch)
{
    Bailiwick__V1__ChangeModeRequest request = BAILIWICK__V1__CHANGE_MODE_REQUEST__INIT;
    request.tenant = "chu-lyon";
    request.meeting_id = meeting;
    request.request_id = rig_uuid(&rig);
    request.action = action;
    request.roster_entry = entry;
    request.mode_epoch = epoch;
    return CALL(RIG_APP, MeetingService, ChangeMode, change_mode, &request);
}

static void a_lowering_takes_everybodys_consent(void **state)
{
    (void)state;
    const char *meeting = create();
    const Bailiwick__V1__Admission *first = join(meeting, "FR"), *second = join(meeting, "FR");
    const Bailiwick__V1__ChangeModeResponse *mode =
        change_mode(meeting, BAILIWICK__V1__CHANGE_MODE_REQUEST__ACTION__ACTION_REQUEST_LOWER, "", 0);
    must(mode);
    assert_int_equal(mode->pending_mode_epoch, 2);
    assert_int_equal(mode->consents_missing, 2);
    assert_int_equal(mode->mode_epoch, 1);
    assert_null(change_mode(meeting, BAILIWICK__V1__CHANGE_MODE_REQUEST__ACTION__ACTION_CONSENT, "", 2));
    assert_int_equal(rig.code, BW_INVALID_ARGUMENT);
    mode = change_mode(meeting, BAILIWICK__V1__CHANGE_MODE_REQUEST__ACTION__ACTION_CONSENT,
                       first->roster_entry, 2);
    must(mode);
    assert_int_equal(mode->consents_missing, 1);
    mode = change_mode(meeting, BAILIWICK__V1__CHANGE_MODE_REQUEST__ACTION__ACTION_CONSENT,
                       second->roster_entry, 2);
    must(mode);
    assert_int_equal(mode->mode, BAILIWICK__V1__E2EE_MODE__E2EE_MODE_HOP);
    assert_int_equal(mode->mode_epoch, 2);
    assert_int_equal(mode->pending_mode_epoch, 0);
}

static void connectors_come_by_invitation(void **state)
{
    (void)state;
    const char *meeting = create();
    Bailiwick__V1__JoinMeetingRequest direct = join_request(meeting, "FR");
    direct.kind = BAILIWICK__V1__PARTICIPANT_KIND__PARTICIPANT_KIND_PSTN;
    assert_null(CALL(RIG_APP, MeetingService, JoinMeeting, join_meeting, &direct));
    assert_int_equal(rig.code, BW_INVALID_ARGUMENT);
    assert_string_equal(rig.details.violations[0].field, "kind");

    Bailiwick__V1__InviteConnectorRequest request = BAILIWICK__V1__INVITE_CONNECTOR_REQUEST__INIT;
    request.tenant = "chu-lyon";
    request.meeting_id = meeting;
    request.request_id = rig_uuid(&rig);
    request.kind = BAILIWICK__V1__PARTICIPANT_KIND__PARTICIPANT_KIND_PSTN;
    request.country = "FR";
    for (int attempt = 0; attempt < 2; attempt++) {
        assert_null(CALL(RIG_APP, MeetingService, InviteConnector, invite_connector, &request));
        assert_int_equal(rig.code, BW_FAILED_PRECONDITION);
        assert_string_equal(rig.reason, "MODE_FORBIDS_CONNECTOR");
    }
    /* In mode hop it may come. */
    change_mode(meeting, BAILIWICK__V1__CHANGE_MODE_REQUEST__ACTION__ACTION_REQUEST_LOWER, "", 0);
    const Bailiwick__V1__Admission *one = join(meeting, "FR");
    change_mode(meeting, BAILIWICK__V1__CHANGE_MODE_REQUEST__ACTION__ACTION_CONSENT, one->roster_entry, 2);
    request.request_id = rig_uuid(&rig);
    const Bailiwick__V1__InviteConnectorResponse *invited =
        CALL(RIG_APP, MeetingService, InviteConnector, invite_connector, &request);
    must(invited);
    assert_true(strcmp(invited->admission->relay, "par1") == 0 ||
                strcmp(invited->admission->relay, "lys1") == 0);
    const Bailiwick__V1__GetMeetingResponse *seen = get(meeting, 0, "");
    must(seen);
    assert_int_equal(seen->n_roster, 2);
    assert_int_equal(seen->roster[1]->role, BAILIWICK__V1__PARTICIPANT_ROLE__PARTICIPANT_ROLE_CONNECTOR);

    Bailiwick__V1__RemoveConnectorRequest remove = BAILIWICK__V1__REMOVE_CONNECTOR_REQUEST__INIT;
    remove.tenant = "chu-lyon";
    remove.meeting_id = meeting;
    remove.request_id = rig_uuid(&rig);
    remove.roster_entry = invited->admission->roster_entry;
    must(CALL(RIG_APP, MeetingService, RemoveConnector, remove_connector, &remove));
    request.request_id = rig_uuid(&rig);
    request.relay = "par1";
    assert_null(CALL(RIG_APP, MeetingService, InviteConnector, invite_connector, &request));
    assert_int_equal(rig.code, BW_UNIMPLEMENTED);
}

static void what_breaks_a_rule_is_named(void **state)
{
    (void)state;
    Bailiwick__V1__GetMeetingRequest request = BAILIWICK__V1__GET_MEETING_REQUEST__INIT;
    request.tenant = "chu-lyon";
    request.meeting_id = "not-a-uuid";
    assert_null(CALL(RIG_APP, MeetingService, GetMeeting, get_meeting, &request));
    assert_int_equal(rig.code, BW_INVALID_ARGUMENT);
    assert_int_equal(rig.details.violation_count, 1);
    assert_string_equal(rig.details.violations[0].field, "meeting_id");
    request.meeting_id = rig_uuid(&rig);
    assert_null(CALL(RIG_APP, MeetingService, GetMeeting, get_meeting, &request));
    assert_int_equal(rig.code, BW_NOT_FOUND);
}

static void the_gate_stands_before_everything(void **state)
{
    (void)state;
    Bailiwick__V1__GetMeetingRequest request = BAILIWICK__V1__GET_MEETING_REQUEST__INIT;
    request.tenant = "chu-lyon";
    request.meeting_id = rig_uuid(&rig);
    assert_null(CALL(RIG_NOBODY, MeetingService, GetMeeting, get_meeting, &request));
    assert_int_equal(rig.code, BW_UNAUTHENTICATED);
    assert_null(CALL(RIG_OPERATOR, MeetingService, GetMeeting, get_meeting, &request));
    assert_int_equal(rig.code, BW_PERMISSION_DENIED);
    assert_string_equal(rig.reason, "WRONG_ROLE");
    request.tenant = "acme";
    assert_null(CALL(RIG_APP, MeetingService, GetMeeting, get_meeting, &request));
    assert_int_equal(rig.code, BW_PERMISSION_DENIED);
    request.tenant = "berne";
    assert_null(CALL(RIG_APP, MeetingService, GetMeeting, get_meeting, &request));
    assert_int_equal(rig.code, BW_FAILED_PRECONDITION);
    assert_string_equal(rig.reason, "WRONG_CELL");
    assert_int_equal(rig.details.metadata_count, 1);
    assert_string_equal(rig.details.metadata[0].name, "cell");
    assert_string_equal(rig.details.metadata[0].value, "ch");
}

static void a_passing_failure_says_when_to_try_again(void **state)
{
    (void)state;
    const char *meeting = create();
    rig.world.failed_rows = 1;
    Bailiwick__V1__JoinMeetingRequest request = join_request(meeting, "FR");
    assert_null(CALL(RIG_APP, MeetingService, JoinMeeting, join_meeting, &request));
    assert_int_equal(rig.code, BW_RESOURCE_EXHAUSTED);
    assert_string_equal(rig.reason, "DISK_FULL");
    assert_true(rig.details.retry_after_ms > 0);
    rig.world.mono_ms += 1000;
    must(CALL(RIG_APP, MeetingService, JoinMeeting, join_meeting, &request));
}

static void finished(struct bw_grpc_client_call *call, const struct bw_grpc_outcome *outcome, void *context)
{
    (void)call;
    *(enum bw_code *)context = outcome->code;
}

/* A join whose caller goes while the decision is being committed. */
static void join_and_go(const char *meeting)
{
    static const struct bw_grpc_client_events events = {.finished = finished};
    Bailiwick__V1__JoinMeetingRequest request = join_request(meeting, "FR");
    struct bw_buf bytes = {0};
    struct bw_error err;
    enum bw_code code = BW_OK;
    rig.world.hold_rows = true;
    assert_int_equal(bw_wire_encode(&request.base, &bytes), BW_OK);
    struct bw_grpc_client_call *call = bw_grpc_client_call(
        rig.as[RIG_APP].client, "/bailiwick.v1.MeetingService/JoinMeeting", 0, NULL, 0, &events, &code, &err);
    assert_non_null(call);
    assert_int_equal(bw_grpc_client_send(call, bw_buf_view(&bytes)), BW_OK);
    bw_grpc_client_half_close(call);
    bw_buf_finish(&bytes);
    rig_run_ms(&rig, 30);
    bw_grpc_client_cancel(call);
    rig_run_ms(&rig, 30);
    assert_int_equal(code, BW_CANCELLED);
    rig.world.hold_rows = false;
    bw_headless_settle(&rig.world);
    rig_run_ms(&rig, 30);
}

static void a_join_whose_caller_has_gone_is_released(void **state)
{
    (void)state;
    const char *meeting = create();
    join(meeting, "FR");
    join_and_go(meeting);
    assert_int_equal(get(meeting, 10, "")->n_roster, 2);
    bw_headless_pass(&rig.world, 119000);
    assert_int_equal(get(meeting, 10, "")->n_roster, 2);
    bw_headless_pass(&rig.world, 1000);
    const Bailiwick__V1__GetMeetingResponse *after = get(meeting, 10, "");
    assert_int_equal(after->n_roster, 1);
    assert_int_equal(after->meeting->participants, 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_meeting_is_created_once_a_request),
        TEST(who_joins_gets_a_relay_and_a_grant_it_can_verify),
        TEST(a_join_whose_caller_has_gone_is_released),
        TEST(a_country_comes_from_the_address_when_none_is_given),
        TEST(a_refused_join_says_why_and_says_it_again),
        TEST(who_may_not_enter_is_told_so),
        TEST(rosters_page_by_slot),
        TEST(meetings_are_listed_newest_first),
        TEST(leaving_and_renewing),
        TEST(a_label_is_e2ee_only_once_everybody_is_observed),
        TEST(a_lowering_takes_everybodys_consent),
        TEST(connectors_come_by_invitation),
        TEST(what_breaks_a_rule_is_named),
        TEST(the_gate_stands_before_everything),
        TEST(a_passing_failure_says_when_to_try_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
