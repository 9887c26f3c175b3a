/* ExplainPlacement of what was decided: admissions, moves and refusals by reference and by slot, live
 * meetings as a whole. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "bailiwick/v1/meeting.pb-c.h"
#include "bailiwick/v1/policy.pb-c.h"
#include "base/alloc.h"
#include "rig.h"

static struct rig rig;

#define CALL(role, Service, Method, snake, request)                                                          \
    ((const Bailiwick__V1__##Method##Response *)rig_call(&rig, role, #Service "/" #Method, request,          \
                                                         &bailiwick__v1__##snake##_response__descriptor))

static void must(const void *reply)
{
    if (reply == NULL)
        fail_msg("%s: %s (%s)", bw_code_name(rig.code), rig.message, rig.reason);
}

static void apply(const char *yaml)
{
    Bailiwick__V1__ApplyPolicyRequest request = BAILIWICK__V1__APPLY_POLICY_REQUEST__INIT;
    request.tenant = "chu-lyon";
    request.request_id = rig_uuid(&rig);
    request.yaml = yaml;
    const Bailiwick__V1__ApplyPolicyResponse *reply =
        CALL(RIG_ADMIN, PolicyService, ApplyPolicy, apply_policy, &request);
    must(reply);
    assert_true(reply->applied);
}

static int setup(void **state)
{
    (void)state;
    rig_init(&rig);
    apply(bw_headless_policy);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rig_finish(&rig);
    return 0;
}

static char *with(const char *from, const char *to)
{
    char *yaml = bw_arena_strdup(rig.arena, bw_headless_policy);
    assert_int_equal(strlen(from), strlen(to));
    memcpy(strstr(yaml, from), to, strlen(to));
    return yaml;
}

static const char *create(void)
{
    Bailiwick__V1__CreateMeetingRequest request = BAILIWICK__V1__CREATE_MEETING_REQUEST__INIT;
    Bailiwick__V1__Host host = BAILIWICK__V1__HOST__INIT;
    host.user = "dr.x@chu-lyon.example";
    request.tenant = "chu-lyon";
    request.request_id = rig_uuid(&rig);
    request.host = &host;
    const Bailiwick__V1__CreateMeetingResponse *reply =
        CALL(RIG_APP, MeetingService, CreateMeeting, create_meeting, &request);
    must(reply);
    return reply->meeting->meeting_id;
}

static const Bailiwick__V1__Admission *join(const char *meeting, const char *country)
{
    static Bailiwick__V1__E2eeScheme schemes[] = {BAILIWICK__V1__E2EE_SCHEME__E2EE_SCHEME_SFRAME_MLS};
    Bailiwick__V1__JoinMeetingRequest request = BAILIWICK__V1__JOIN_MEETING_REQUEST__INIT;
    request.tenant = "chu-lyon";
    request.meeting_id = meeting;
    request.request_id = rig_uuid(&rig);
    request.kind = BAILIWICK__V1__PARTICIPANT_KIND__PARTICIPANT_KIND_NATIVE;
    request.country = country;
    request.capable = schemes;
    request.n_capable = 1;
    const Bailiwick__V1__JoinMeetingResponse *reply =
        CALL(RIG_APP, MeetingService, JoinMeeting, join_meeting, &request);
    return reply != NULL ? reply->admission : NULL;
}

static const Bailiwick__V1__Explanation *ask(const char *meeting, uint32_t slot, const char *reference)
{
    Bailiwick__V1__ExplainPlacementRequest request = BAILIWICK__V1__EXPLAIN_PLACEMENT_REQUEST__INIT;
    request.tenant = "chu-lyon";
    request.slot = slot;
    if (meeting != NULL) {
        request.subject_case = BAILIWICK__V1__EXPLAIN_PLACEMENT_REQUEST__SUBJECT_MEETING_ID;
        request.meeting_id = meeting;
    } else {
        request.subject_case = BAILIWICK__V1__EXPLAIN_PLACEMENT_REQUEST__SUBJECT_REFERENCE;
        request.reference = reference;
    }
    const Bailiwick__V1__ExplainPlacementResponse *reply =
        CALL(RIG_ADMIN, PolicyService, ExplainPlacement, explain_placement, &request);
    return reply != NULL ? reply->explanation : NULL;
}

static const Bailiwick__V1__RelayReasons *rejected(const Bailiwick__V1__Explanation *e, const char *relay)
{
    for (size_t i = 0; i < e->n_rejected; i++)
        if (strcmp(e->rejected[i]->relay, relay) == 0)
            return e->rejected[i];
    return NULL;
}

/* ---- admissions ---- */

static void check_admission(const Bailiwick__V1__Explanation *e, const Bailiwick__V1__Admission *admission)
{
    must(e);
    assert_string_equal(e->decision, "placed");
    assert_int_equal(e->n_assignments, 1);
    assert_string_equal(e->assignments[0]->key, admission->roster_entry);
    assert_string_equal(e->assignments[0]->value, "fra1");
    assert_string_equal(e->flags[0]->value->allocated, "sframe-mls");
    assert_string_equal(e->mode, "e2ee");
    assert_int_equal(e->policy->revision, 1);
    assert_int_equal(strlen(e->policy->hash), 71);
    assert_true(e->score->total_us > 0);
    assert_string_equal(e->record->kind, "JOINED");
    assert_string_equal(e->record->reference, admission->reference);
    assert_int_equal(e->record->relays_considered, BW_HEADLESS_RELAYS);
    assert_int_equal(e->record->relays_allowed, 4);
    assert_true(e->record->runner_up[0] != '\0');
    assert_int_equal(e->n_rejected, 2);
    assert_non_null(rejected(e, "lon1"));
    assert_string_equal(rejected(e, "ash1")->clauses[0], "policy.yaml:7:10");
    assert_string_equal(e->basis->rejected, "recomputed");
    assert_int_equal(e->basis->policy_revision, 1);
    assert_true(e->basis->same_policy);
    assert_string_equal(e->retention->quality, "30d");
    assert_string_equal(e->retention->decisions, "");
}

static void an_admission_is_explained_under_the_policy_of_then(void **state)
{
    (void)state;
    const char *meeting = create();
    const Bailiwick__V1__Admission *german = join(meeting, "DE");
    must(german);
    const Bailiwick__V1__Explanation *e = ask(NULL, 0, german->reference);
    check_admission(e, german);
    assert_true(e->basis->same_facts);

    /* Everything has changed since: the relays' facts, and then the policy, which the old revision still is.
     */
    rig.world.facts_revision++;
    assert_true(bw_headless_publish_fleet(&rig.world));
    apply(with("allow: [EU, CH]\n", "allow: [FR]    \n"));
    e = ask(NULL, 0, german->reference);
    check_admission(e, german);
    assert_false(e->basis->same_facts);
    assert_int_not_equal(e->basis->facts_revision, e->record->facts_revision);
}

static void a_revision_that_cannot_be_read_is_said_to_be_missing(void **state)
{
    (void)state;
    const char *meeting = create();
    const Bailiwick__V1__Admission *german = join(meeting, "DE");
    must(german);
    apply(with("allow: [EU, CH]\n", "allow: [FR]    \n"));
    bw_free(rig.policies[0].yaml);
    rig.policies[0].yaml = bw_strdup("kind: TenantPolicy\n");
    const Bailiwick__V1__Explanation *e = ask(NULL, 0, german->reference);
    must(e);
    assert_string_equal(e->assignments[0]->value, "fra1"); /* what was recorded stands */
    assert_string_equal(e->basis->rejected, "none");
    assert_int_equal(e->n_rejected, 0);
}

static void a_slot_leads_to_what_placed_it(void **state)
{
    (void)state;
    const char *meeting = create();
    const Bailiwick__V1__Admission *german = join(meeting, "DE");
    must(german);
    const char *entry = german->roster_entry;
    check_admission(ask(meeting, 2, NULL), german);

    /* Moved by a new policy: the move is what placed it now. */
    apply(with("allow: [EU, CH]\n", "allow: [FR]    \n"));
    const Bailiwick__V1__Explanation *e = ask(meeting, 2, NULL);
    must(e);
    assert_string_equal(e->record->kind, "MOVED");
    assert_int_equal(e->record->slot, 2);
    assert_int_equal(e->n_assignments, 1);
    assert_string_equal(e->assignments[0]->key, entry);
    assert_string_not_equal(e->assignments[0]->value, "fra1");
    assert_int_equal(e->record->n_moved_from, 1);
    assert_string_equal(e->record->moved_from[0], "fra1");
    assert_int_equal(e->policy->revision, 2);
    assert_string_equal(rejected(e, "fra1")->clauses[0], "policy.yaml:7:10");
    /* The move's own reference leads there, too. */
    const char *reference = e->record->reference;
    const Bailiwick__V1__Explanation *same = ask(NULL, 0, reference);
    must(same);
    assert_string_equal(same->record->kind, "MOVED");
    assert_string_equal(same->assignments[0]->key, "slot-2");

    /* Who has left was let in once. */
    Bailiwick__V1__LeaveMeetingRequest leave = BAILIWICK__V1__LEAVE_MEETING_REQUEST__INIT;
    leave.tenant = "chu-lyon";
    leave.request_id = rig_uuid(&rig);
    leave.meeting_id = meeting;
    leave.roster_entry = entry;
    must(CALL(RIG_APP, MeetingService, LeaveMeeting, leave_meeting, &leave));
    check_admission(ask(meeting, 2, NULL), german);
    assert_null(ask(meeting, 99, NULL));
    assert_string_equal(rig.reason, "NO_DECISION");
}

/* ---- refusals ---- */

static void a_refusal_is_explained_as_it_was_recorded(void **state)
{
    (void)state;
    const char *meeting = create();
    for (size_t i = 0; i < BW_HEADLESS_RELAYS; i++)
        rig.world.relays[i].state = BW_RELAY_CORDONED;
    assert_true(bw_headless_publish_fleet(&rig.world));
    assert_null(join(meeting, "FR"));
    assert_string_equal(rig.reason, "NO_COMPLIANT_RELAY");
    char reference[32] = "";
    for (size_t i = 0; i < rig.details.metadata_count; i++)
        if (strcmp(rig.details.metadata[i].name, "reference") == 0)
            snprintf(reference, sizeof reference, "%s", rig.details.metadata[i].value);
    /* All is well again, and that changes nothing about it. */
    for (size_t i = 0; i < BW_HEADLESS_RELAYS; i++)
        rig.world.relays[i].state = BW_RELAY_SERVING;
    assert_true(bw_headless_publish_fleet(&rig.world));
    const Bailiwick__V1__Explanation *e = ask(NULL, 0, reference);
    must(e);
    assert_string_equal(e->decision, "refused");
    assert_string_equal(e->basis->rejected, "recorded");
    assert_int_equal(e->n_rejected, BW_HEADLESS_RELAYS);
    assert_int_equal(rejected(e, "par1")->reasons[0], BAILIWICK__V1__REASON__RELAY_STATE);
    assert_int_equal(rejected(e, "ash1")->n_reasons, 3);
    assert_string_equal(rejected(e, "ash1")->clauses[0], "policy.yaml:7:10");
    assert_non_null(e->nearest);
    assert_int_equal(e->n_refused, 1);
    assert_string_equal(e->refused[0]->participant, reference);
    assert_string_equal(e->record->kind, "REFUSED");
    assert_int_equal(e->n_assignments, 0);
}

static void a_country_that_may_not_enter_is_explained_by_its_clause(void **state)
{
    (void)state;
    assert_null(join(create(), "KP"));
    const Bailiwick__V1__Explanation *e = ask(NULL, 0, rig.details.metadata[0].value);
    must(e);
    assert_int_equal(e->refused[0]->reasons[0], BAILIWICK__V1__REASON__ENTRY_COUNTRY);
    assert_string_equal(e->refused[0]->clauses[0], "policy.yaml:5:31");
    assert_int_equal(e->n_rejected, 0);
}

/* ---- live meetings ---- */

static void a_live_meeting_is_explained_as_a_whole(void **state)
{
    (void)state;
    const char *meeting = create();
    const Bailiwick__V1__Admission *german = join(meeting, "DE"), *french = join(meeting, "FR");
    must(german);
    must(french);
    const Bailiwick__V1__Explanation *e = ask(meeting, 0, NULL);
    must(e);
    assert_string_equal(e->decision, "placed");
    assert_int_equal(e->n_assignments, 2);
    assert_string_equal(e->assignments[0]->key, german->roster_entry);
    assert_string_equal(e->assignments[0]->value, german->relay);
    assert_string_equal(e->assignments[1]->value, french->relay);
    assert_int_equal(e->n_flags, 2);
    assert_int_equal(e->n_legs, strcmp(german->relay, french->relay) != 0);
    assert_int_equal(e->n_rejected, 2);
    assert_string_equal(e->basis->rejected, "recomputed");
    assert_true(e->basis->same_policy);
    assert_null(e->record);
    assert_int_equal(e->n_missing_connectors, 0);

    apply("apiVersion: bailiwick/v1\nkind: TenantPolicy\ntenant: chu-lyon\nresidency: { atRest: eu }\n"
          "entry: { allow: [\"*\"], unknown: allow }\n"
          "transit: { allow: [EU, CH], operators: { allowJurisdictions: [EU, CH] } }\n"
          "e2ee: { mode: optional }\nconnectors: { allow: [recording], require: [recording] }\n");
    e = ask(meeting, 0, NULL);
    must(e);
    assert_int_equal(e->n_missing_connectors, 1);
    assert_string_equal(e->missing_connectors[0], "recording");
    assert_null(join(meeting, "FR"));
    assert_string_equal(rig.reason, "CONNECTOR_REQUIRED");
    e = ask(NULL, 0, rig.details.metadata[0].value);
    must(e);
    assert_int_equal(e->refused[0]->reasons[0], BAILIWICK__V1__REASON__CONNECTOR_REQUIRED);
    assert_string_equal(e->refused[0]->clauses[0], "policy.yaml:8:45");
}

static void what_is_nobodys_is_not_explained(void **state)
{
    (void)state;
    assert_null(ask("0192f000-0000-7000-8000-000000000000", 0, NULL));
    assert_string_equal(rig.reason, "NO_MEETING");
    assert_null(ask("0192f000-0000-7000-8000-000000000000", 2, NULL));
    assert_string_equal(rig.reason, "NO_DECISION");
    assert_null(ask(NULL, 0, "7K2M-04QX-9ZTB-0001"));
    assert_string_equal(rig.reason, "NO_DECISION");
    assert_null(ask(NULL, 3, "7K2M-04QX-9ZTB-0001"));
    assert_int_equal(rig.code, BW_INVALID_ARGUMENT);
    /* The meeting's creation placed nobody. */
    const char *meeting = create();
    assert_null(ask(meeting, 1, NULL));
    assert_string_equal(rig.reason, "NO_PLACEMENT");
    rig.desk_away = true;
    assert_null(ask(meeting, 1, NULL));
    assert_int_equal(rig.code, BW_UNAVAILABLE);
}

static void another_tenants_decision_does_not_exist(void **state)
{
    (void)state;
    const Bailiwick__V1__Admission *one = join(create(), "FR");
    must(one);
    char theirs[1024];
    snprintf(theirs, sizeof theirs, "%s", bw_headless_policy);
    char *name = strstr(theirs, "chu-lyon");
    memmove(name + 4, name + 8, strlen(name + 8) + 1);
    memcpy(name, "acme", 4);
    assert_true(bw_headless_publish(&rig.world, "acme", 1, theirs));
    Bailiwick__V1__ExplainPlacementRequest request = BAILIWICK__V1__EXPLAIN_PLACEMENT_REQUEST__INIT;
    request.tenant = "acme";
    request.subject_case = BAILIWICK__V1__EXPLAIN_PLACEMENT_REQUEST__SUBJECT_REFERENCE;
    request.reference = one->reference;
    assert_null(CALL(RIG_ADMIN, PolicyService, ExplainPlacement, explain_placement, &request));
    assert_true(rig.code == BW_NOT_FOUND || rig.code == BW_PERMISSION_DENIED);
}

static void a_policy_says_how_long_things_are_kept(void **state)
{
    (void)state;
    apply("apiVersion: bailiwick/v1\nkind: TenantPolicy\ntenant: chu-lyon\n"
          "residency: { atRest: eu, retention: { quality: 20d, decisions: 400d } }\n"
          "entry: { allow: [\"*\"], unknown: allow }\n"
          "transit: { allow: [EU, CH], operators: { allowJurisdictions: [EU, CH] } }\n"
          "e2ee: { mode: optional }\nconnectors: { allow: [] }\n"
          "groups:\n"
          "  - { name: quiet, match: { members: [\"user:q*@chu-lyon.example\"] } }\n"
          "  - { name: board, match: { members: [\"user:*@board.example\"] },\n"
          "      residency: { retention: { quality: 5d } } }\n");
    Bailiwick__V1__GetPolicyRequest request = BAILIWICK__V1__GET_POLICY_REQUEST__INIT;
    request.tenant = "chu-lyon";
    const Bailiwick__V1__GetPolicyResponse *policy =
        CALL(RIG_ADMIN, PolicyService, GetPolicy, get_policy, &request);
    must(policy);
    const uint64_t day_ms = 86400000;
    assert_int_equal(policy->n_retention, 2);
    assert_string_equal(policy->retention[0]->level, "");
    assert_int_equal(policy->retention[0]->quality_ms, 20 * day_ms);
    assert_int_equal(policy->retention[0]->participants_ms, 30 * day_ms);
    assert_int_equal(policy->retention[0]->decisions_ms, 400 * day_ms);
    assert_string_equal(policy->retention[1]->level, "group:board");
    assert_int_equal(policy->retention[1]->quality_ms, 5 * day_ms);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(an_admission_is_explained_under_the_policy_of_then),
        TEST(a_revision_that_cannot_be_read_is_said_to_be_missing),
        TEST(a_slot_leads_to_what_placed_it),
        TEST(a_refusal_is_explained_as_it_was_recorded),
        TEST(a_country_that_may_not_enter_is_explained_by_its_clause),
        TEST(a_live_meeting_is_explained_as_a_whole),
        TEST(what_is_nobodys_is_not_explained),
        TEST(another_tenants_decision_does_not_exist),
        TEST(a_policy_says_how_long_things_are_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
