/* PolicyService, FleetService, TenantService and what is not built yet, over gRPC. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "api/gate.h"
#include "bailiwick/v1/fleet.pb-c.h"
#include "bailiwick/v1/meeting.pb-c.h"
#include "bailiwick/v1/policy.pb-c.h"
#include "bailiwick/v1/tenant.pb-c.h"
#include "crypto/csr.h"
#include "crypto/pem.h"
#include "rig.h"

static struct rig rig;

static int setup(void **state)
{
    (void)state;
    rig_init(&rig);
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

/* ---- policies ---- */

static const Bailiwick__V1__ApplyPolicyResponse *apply(const char *yaml, bool dry_run, int64_t if_revision)
{
    Bailiwick__V1__ApplyPolicyRequest request = BAILIWICK__V1__APPLY_POLICY_REQUEST__INIT;
    request.tenant = "chu-lyon";
    request.request_id = rig_uuid(&rig);
    request.yaml = yaml;
    request.dry_run = dry_run;
    if (if_revision >= 0) {
        request.condition_case = BAILIWICK__V1__APPLY_POLICY_REQUEST__CONDITION_IF_REVISION;
        request.if_revision = (uint32_t)if_revision;
    }
    return CALL(RIG_ADMIN, PolicyService, ApplyPolicy, apply_policy, &request);
}

static char *narrowed(void)
{
    char *yaml = bw_arena_strdup(rig.arena, bw_headless_policy);
    memcpy(strstr(yaml, "allow: [EU, CH]\n"), "allow: [FR]    \n", 16);
    return yaml;
}

static void a_policy_is_checked_applied_listed_and_rolled_back(void **state)
{
    (void)state;
    Bailiwick__V1__CheckPolicyRequest check = BAILIWICK__V1__CHECK_POLICY_REQUEST__INIT;
    check.tenant = "chu-lyon";
    check.yaml = bw_headless_policy;
    const Bailiwick__V1__CheckPolicyResponse *checked =
        CALL(RIG_ADMIN, PolicyService, CheckPolicy, check_policy, &check);
    must(checked);
    assert_true(checked->valid);

    const Bailiwick__V1__ApplyPolicyResponse *dry = apply(bw_headless_policy, true, -1);
    must(dry);
    assert_false(dry->applied);
    assert_int_equal(rig.policy_count, 0);
    const Bailiwick__V1__ApplyPolicyResponse *applied = apply(bw_headless_policy, false, 0);
    must(applied);
    assert_true(applied->applied);
    assert_int_equal(applied->revision->revision, 1);
    assert_string_equal(applied->revision->hash, dry->revision->hash);
    assert_string_equal(applied->revision->author, "spiffe://eu.example/admin/anna");
    assert_null(apply(narrowed(), false, 7));
    assert_int_equal(rig.code, BW_ABORTED);
    assert_string_equal(rig.reason, "REVISION_CONFLICT");
    must(apply(narrowed(), false, 1));

    Bailiwick__V1__GetPolicyRequest get = BAILIWICK__V1__GET_POLICY_REQUEST__INIT;
    get.tenant = "chu-lyon";
    const Bailiwick__V1__GetPolicyResponse *got = CALL(RIG_ADMIN, PolicyService, GetPolicy, get_policy, &get);
    must(got);
    assert_int_equal(got->revision->revision, 2);
    assert_non_null(strstr(got->yaml, "allow: [FR]"));
    get.which_case = BAILIWICK__V1__GET_POLICY_REQUEST__WHICH_REVISION;
    get.revision = 1;
    got = CALL(RIG_ADMIN, PolicyService, GetPolicy, get_policy, &get);
    must(got);
    assert_string_equal(got->yaml, bw_headless_policy);
    assert_int_equal(got->revision->state, BAILIWICK__V1__REVISION_STATE__REVISION_STATE_SUPERSEDED);

    Bailiwick__V1__RollbackPolicyRequest back = BAILIWICK__V1__ROLLBACK_POLICY_REQUEST__INIT;
    back.tenant = "chu-lyon";
    back.request_id = rig_uuid(&rig);
    back.to_revision = 1;
    const Bailiwick__V1__RollbackPolicyResponse *rolled =
        CALL(RIG_ADMIN, PolicyService, RollbackPolicy, rollback_policy, &back);
    must(rolled);
    assert_int_equal(rolled->revision->revision, 3);
    assert_int_equal(rolled->revision->rollback_of, 1);

    Bailiwick__V1__ListPolicyRevisionsRequest list = BAILIWICK__V1__LIST_POLICY_REVISIONS_REQUEST__INIT;
    list.tenant = "chu-lyon";
    list.page_size = 2;
    const Bailiwick__V1__ListPolicyRevisionsResponse *page =
        CALL(RIG_ADMIN, PolicyService, ListPolicyRevisions, list_policy_revisions, &list);
    must(page);
    assert_int_equal(page->n_revisions, 2);
    assert_int_equal(page->revisions[0]->revision, 3);
    assert_int_equal(page->revisions[0]->state, BAILIWICK__V1__REVISION_STATE__REVISION_STATE_ENFORCED);
    assert_int_equal(page->revisions[0]->rollback_of, 1);
    list.page_token = page->next_page_token;
    page = CALL(RIG_ADMIN, PolicyService, ListPolicyRevisions, list_policy_revisions, &list);
    must(page);
    assert_int_equal(page->n_revisions, 1);
    assert_int_equal(page->revisions[0]->revision, 1);
    assert_string_equal(page->next_page_token, "");
}

static void a_policy_with_errors_is_not_applied(void **state)
{
    (void)state;
    const Bailiwick__V1__ApplyPolicyResponse *reply = apply(
        "apiVersion: bailiwick/v1\nkind: TenantPolicy\ntenant: chu-lyon\ntransit: { allow: [Atlantis] }\n",
        false, -1);
    must(reply);
    assert_false(reply->applied);
    assert_null(reply->revision);
    assert_true(reply->n_diagnostics >= 2);
    bool place = false;
    for (size_t i = 0; i < reply->n_diagnostics; i++) {
        const Bailiwick__V1__Diagnostic *diagnostic = reply->diagnostics[i];
        assert_int_equal(strncmp(diagnostic->code, "BW-P", 4), 0);
        assert_string_equal(diagnostic->position->file, "policy.yaml");
        place = place || (diagnostic->position->line == 4 && strstr(diagnostic->message, "Atlantis") != NULL);
    }
    assert_true(place);
    assert_int_equal(rig.policy_count, 0);

    char *theirs = bw_arena_strdup(rig.arena, bw_headless_policy);
    memcpy(strstr(theirs, "chu-lyon"), "chu-lyin", 8);
    reply = apply(theirs, false, -1);
    must(reply);
    assert_false(reply->applied);
    assert_int_equal(rig.policy_count, 0);
    /* No relay of today's fleet stands in Brazil. */
    char *nowhere = bw_arena_strdup(rig.arena, bw_headless_policy);
    memcpy(strstr(nowhere, "allow: [EU, CH]\n"), "allow: [BR]    \n", 16);
    reply = apply(nowhere, false, -1);
    must(reply);
    assert_false(reply->applied);
    assert_int_equal(rig.policy_count, 0);

    Bailiwick__V1__ApplyPolicyRequest audit = BAILIWICK__V1__APPLY_POLICY_REQUEST__INIT;
    audit.tenant = "chu-lyon";
    audit.request_id = rig_uuid(&rig);
    audit.yaml = bw_headless_policy;
    audit.audit = true;
    assert_null(CALL(RIG_ADMIN, PolicyService, ApplyPolicy, apply_policy, &audit));
    assert_int_equal(rig.code, BW_UNIMPLEMENTED);
}

static void the_desks_absence_is_passed_on(void **state)
{
    (void)state;
    rig.desk_away = true;
    assert_null(apply(bw_headless_policy, false, -1));
    assert_int_equal(rig.code, BW_UNAVAILABLE);
    assert_true(rig.details.retry_after_ms > 0);
}

static const Bailiwick__V1__ExplainPlacementResponse *explain(const char *yaml, const char *country,
                                                              const char *second)
{
    Bailiwick__V1__ExplainPlacementRequest request = BAILIWICK__V1__EXPLAIN_PLACEMENT_REQUEST__INIT;
    Bailiwick__V1__PlacementRequest question = BAILIWICK__V1__PLACEMENT_REQUEST__INIT;
    Bailiwick__V1__Host host = BAILIWICK__V1__HOST__INIT;
    Bailiwick__V1__PlacementRequest__Participant people[2] = {
        BAILIWICK__V1__PLACEMENT_REQUEST__PARTICIPANT__INIT,
        BAILIWICK__V1__PLACEMENT_REQUEST__PARTICIPANT__INIT};
    Bailiwick__V1__PlacementRequest__Participant *refs[] = {&people[0], &people[1]};
    Bailiwick__V1__PolicyVersion version = BAILIWICK__V1__POLICY_VERSION__INIT;
    host.user = "dr.x@chu-lyon.example";
    people[0].id = "p1";
    people[0].country = country;
    people[0].kind = BAILIWICK__V1__PARTICIPANT_KIND__PARTICIPANT_KIND_NATIVE;
    people[1].id = "p2";
    people[1].country = second;
    people[1].kind = BAILIWICK__V1__PARTICIPANT_KIND__PARTICIPANT_KIND_WEB;
    question.host = &host;
    question.participants = refs;
    question.n_participants = 2;
    request.tenant = "chu-lyon";
    request.subject_case = BAILIWICK__V1__EXPLAIN_PLACEMENT_REQUEST__SUBJECT_REQUEST;
    request.request = &question;
    if (yaml != NULL) {
        version.which_case = BAILIWICK__V1__POLICY_VERSION__WHICH_YAML;
        version.yaml = yaml;
        request.policy = &version;
    }
    return CALL(RIG_APP, PolicyService, ExplainPlacement, explain_placement, &request);
}

static void a_placement_is_explained_before_it_happens(void **state)
{
    (void)state;
    assert_null(explain(NULL, "FR", "DE"));
    assert_string_equal(rig.reason, "NO_POLICY");
    must(apply(bw_headless_policy, false, -1));
    const Bailiwick__V1__ExplainPlacementResponse *reply = explain(NULL, "FR", "FR");
    must(reply);
    const Bailiwick__V1__Explanation *e = reply->explanation;
    assert_string_equal(e->decision, "placed");
    assert_int_equal(e->n_assignments, 2);
    assert_string_equal(e->assignments[0]->value, e->assignments[1]->value);
    assert_int_equal(e->n_rejected, 2);
    assert_string_equal(e->rejected[0]->relay, "ash1");
    assert_string_equal(e->rejected[0]->clauses[0], "policy.yaml:7:10");
    assert_string_equal(e->mode, "e2ee");
    assert_string_equal(e->flags[0]->value->allocated, "sframe-mls");
    assert_int_equal(e->policy->revision, 1);
    assert_true(e->score->total_us > 0);

    /* Under another text, and with somebody who may not enter. */
    reply = explain(narrowed(), "KP", "DE");
    must(reply);
    e = reply->explanation;
    assert_string_equal(e->decision, "placed");
    assert_int_equal(e->n_assignments, 1);
    assert_string_equal(e->assignments[0]->key, "p2");
    assert_int_equal(e->n_refused, 1);
    assert_string_equal(e->refused[0]->participant, "p1");
    assert_int_equal(e->refused[0]->reasons[0], BAILIWICK__V1__REASON__ENTRY_COUNTRY);
    assert_int_equal(e->n_rejected, 4);
    assert_int_equal(e->policy->revision, 0);

    /* Nobody in: the nearest miss. */
    for (size_t i = 0; i < BW_HEADLESS_RELAYS; i++)
        rig.world.relays[i].state = BW_RELAY_CORDONED;
    assert_true(bw_headless_publish_fleet(&rig.world));
    reply = explain(NULL, "FR", "DE");
    must(reply);
    assert_string_equal(reply->explanation->decision, "refused");
    assert_int_equal(reply->explanation->n_refused, 2);
    assert_non_null(reply->explanation->nearest);
    assert_int_equal(reply->explanation->nearest->reasons[0], BAILIWICK__V1__REASON__RELAY_STATE);

    reply = explain("apiVersion: bailiwick/v1\n", "FR", "DE");
    must(reply);
    assert_null(reply->explanation);
    assert_true(reply->n_diagnostics > 0);
}

static void a_tenants_admin_reads_the_facts_policies_decide_on(void **state)
{
    (void)state;
    Bailiwick__V1__GetFleetFactsRequest request = BAILIWICK__V1__GET_FLEET_FACTS_REQUEST__INIT;
    request.tenant = "chu-lyon";
    request.page_size = 4;
    const Bailiwick__V1__GetFleetFactsResponse *page =
        CALL(RIG_ADMIN, PolicyService, GetFleetFacts, get_fleet_facts, &request);
    must(page);
    assert_string_equal(page->cell->name, "eu");
    assert_string_equal(page->cell->country, "FR");
    assert_int_equal(page->n_relays, 4);
    assert_string_equal(page->relays[0]->facts->name, "ash1");
    assert_string_equal(page->relays[0]->facts->operator_->jurisdictions[0], "US");
    assert_int_equal(page->relays[0]->facts->capacity, 10);
    request.page_token = page->next_page_token;
    page = CALL(RIG_ADMIN, PolicyService, GetFleetFacts, get_fleet_facts, &request);
    must(page);
    assert_int_equal(page->n_relays, 2);
    assert_string_equal(page->next_page_token, "");
}

static void a_refusal_is_read_by_its_own_tenant_only(void **state)
{
    (void)state;
    must(apply(bw_headless_policy, false, -1));
    Bailiwick__V1__GetRefusalRequest request = BAILIWICK__V1__GET_REFUSAL_REQUEST__INIT;
    request.tenant = "chu-lyon";
    request.reference = "7K2M-04QX-9ZTB-0001";
    assert_null(CALL(RIG_ADMIN, PolicyService, GetRefusal, get_refusal, &request));
    assert_int_equal(rig.code, BW_NOT_FOUND);
    request.reference = "nonsense";
    assert_null(CALL(RIG_ADMIN, PolicyService, GetRefusal, get_refusal, &request));
    assert_int_equal(rig.code, BW_NOT_FOUND);
}

/* ---- relays ---- */

static Bailiwick__V1__RelayFacts facts_of(const char *name)
{
    static Bailiwick__V1__Operator op;
    static const char *jurisdictions[] = {"FR"};
    bailiwick__v1__operator__init(&op);
    op.name = "Exemple Cloud";
    op.jurisdictions = jurisdictions;
    op.n_jurisdictions = 1;
    Bailiwick__V1__RelayFacts facts = BAILIWICK__V1__RELAY_FACTS__INIT;
    facts.name = name;
    facts.site = name;
    facts.region = "eu-west";
    facts.country = "FR";
    facts.operator_ = &op;
    facts.capacity = 10;
    facts.version = 1;
    facts.media = BAILIWICK__V1__RELAY_MEDIA__RELAY_MEDIA_OPAQUE;
    facts.cascade = true;
    return facts;
}

static ProtobufCBinaryData csr_of(const char *name)
{
    struct evp_pkey_st *key;
    struct bw_buf pem = {0};
    struct bw_error err;
    assert_int_equal(bw_key_generate(BW_KEY_P256, &key, &err), BW_OK);
    assert_int_equal(bw_csr_create(key, name, &pem, &err), BW_OK);
    bw_key_destroy(key);
    void *copy = bw_arena_memdup(rig.arena, pem.data, pem.len);
    size_t len = pem.len;
    bw_buf_finish(&pem);
    return (ProtobufCBinaryData){len, copy};
}

static void a_relay_is_enrolled_with_facts_that_mean_something(void **state)
{
    (void)state;
    Bailiwick__V1__RelayFacts facts = facts_of("lys1");
    facts.capacity = 25;
    Bailiwick__V1__EnrollRelayRequest request = BAILIWICK__V1__ENROLL_RELAY_REQUEST__INIT;
    request.request_id = rig_uuid(&rig);
    request.facts = &facts;
    request.csr_der = csr_of("lys1");
    const Bailiwick__V1__EnrollRelayResponse *reply =
        CALL(RIG_OPERATOR, FleetService, EnrollRelay, enroll_relay, &request);
    must(reply);
    assert_int_equal(reply->relay->number, 2);
    assert_string_equal(reply->relay->spiffe_id, "spiffe://eu.example/relay/lys1");
    assert_string_equal(reply->certificate_pem,
                        "certificate of spiffe://eu.example/relay/lys1 for 7776000 s\n");
    assert_true(reply->changed);

    facts.country = "XQ";
    request.request_id = rig_uuid(&rig);
    assert_null(CALL(RIG_OPERATOR, FleetService, EnrollRelay, enroll_relay, &request));
    assert_int_equal(rig.code, BW_INVALID_ARGUMENT);
    assert_non_null(strstr(rig.message, "lys1"));
    facts.country = "FR";
    Bailiwick__V1__ParticipantKind kinds[] = {BAILIWICK__V1__PARTICIPANT_KIND__PARTICIPANT_KIND_WEB};
    facts.connectors = kinds;
    facts.n_connectors = 1;
    assert_null(CALL(RIG_OPERATOR, FleetService, EnrollRelay, enroll_relay, &request));
    assert_int_equal(rig.code, BW_INVALID_ARGUMENT);
    facts.n_connectors = 0;
    assert_null(CALL(RIG_ADMIN, FleetService, EnrollRelay, enroll_relay, &request));
    assert_int_equal(rig.code, BW_PERMISSION_DENIED);
}

static void relays_are_listed_cordoned_drained_and_removed(void **state)
{
    (void)state;
    rig.world.relays[BW_ZRH1].connected = false;
    assert_true(bw_headless_publish_fleet(&rig.world));
    Bailiwick__V1__ListRelaysRequest list = BAILIWICK__V1__LIST_RELAYS_REQUEST__INIT;
    list.page_size = 4;
    const Bailiwick__V1__ListRelaysResponse *page =
        CALL(RIG_OPERATOR, FleetService, ListRelays, list_relays, &list);
    must(page);
    assert_int_equal(page->n_relays, 4);
    assert_string_equal(page->relays[0]->facts->name, "ash1");
    assert_string_equal(page->relays[0]->media_address, "192.0.2.6:3478");
    list.page_token = page->next_page_token;
    page = CALL(RIG_OPERATOR, FleetService, ListRelays, list_relays, &list);
    must(page);
    assert_int_equal(page->n_relays, 2);
    assert_string_equal(page->relays[1]->facts->name, "zrh1");
    assert_int_equal(page->relays[1]->state, BAILIWICK__V1__RELAY_STATE__RELAY_STATE_NEVER_SEEN);

    Bailiwick__V1__CordonRelayRequest cordon = BAILIWICK__V1__CORDON_RELAY_REQUEST__INIT;
    cordon.request_id = rig_uuid(&rig);
    cordon.name = "par1";
    const Bailiwick__V1__CordonRelayResponse *cordoned =
        CALL(RIG_OPERATOR, FleetService, CordonRelay, cordon_relay, &cordon);
    must(cordoned);
    assert_int_equal(cordoned->relay->state, BAILIWICK__V1__RELAY_STATE__RELAY_STATE_CORDONED);
    list.page_token = "";
    list.state = BAILIWICK__V1__RELAY_STATE__RELAY_STATE_CORDONED;
    page = CALL(RIG_OPERATOR, FleetService, ListRelays, list_relays, &list);
    must(page);
    assert_int_equal(page->n_relays, 1);
    assert_string_equal(page->relays[0]->state_reason, "");
    cordon.reason = "a disk fails";
    cordoned = CALL(RIG_OPERATOR, FleetService, CordonRelay, cordon_relay, &cordon);
    must(cordoned);
    assert_string_equal(cordoned->relay->state_reason, "a disk fails");

    Bailiwick__V1__DrainRelayRequest drain = BAILIWICK__V1__DRAIN_RELAY_REQUEST__INIT;
    drain.request_id = rig_uuid(&rig);
    drain.name = "par1";
    drain.deadline_ms = 5000;
    drain.reason = "new disks";
    const Bailiwick__V1__DrainRelayResponse *drained =
        CALL(RIG_OPERATOR, FleetService, DrainRelay, drain_relay, &drain);
    must(drained);
    assert_int_equal(drained->relay->state, BAILIWICK__V1__RELAY_STATE__RELAY_STATE_DRAINING);
    assert_true(drained->relay->drain_deadline_unix_ms > 0);
    assert_string_equal(drained->relay->state_reason, "new disks");
    Bailiwick__V1__UncordonRelayRequest uncordon = BAILIWICK__V1__UNCORDON_RELAY_REQUEST__INIT;
    uncordon.request_id = rig_uuid(&rig);
    uncordon.name = "par1";
    const Bailiwick__V1__UncordonRelayResponse *uncordoned =
        CALL(RIG_OPERATOR, FleetService, UncordonRelay, uncordon_relay, &uncordon);
    must(uncordoned);
    assert_int_equal(uncordoned->relay->state, BAILIWICK__V1__RELAY_STATE__RELAY_STATE_SERVING);
    assert_string_equal(uncordoned->relay->state_reason, "");

    Bailiwick__V1__GetRelayRequest get = BAILIWICK__V1__GET_RELAY_REQUEST__INIT;
    get.name = "nowhere";
    assert_null(CALL(RIG_OPERATOR, FleetService, GetRelay, get_relay, &get));
    assert_int_equal(rig.code, BW_NOT_FOUND);
}

static void a_relay_in_use_is_not_removed_by_accident(void **state)
{
    (void)state;
    must(apply(bw_headless_policy, false, -1));
    Bailiwick__V1__CreateMeetingRequest create = BAILIWICK__V1__CREATE_MEETING_REQUEST__INIT;
    Bailiwick__V1__Host host = BAILIWICK__V1__HOST__INIT;
    host.user = "dr.x@chu-lyon.example";
    create.tenant = "chu-lyon";
    create.request_id = rig_uuid(&rig);
    create.host = &host;
    const Bailiwick__V1__CreateMeetingResponse *created =
        CALL(RIG_APP, MeetingService, CreateMeeting, create_meeting, &create);
    must(created);
    Bailiwick__V1__JoinMeetingRequest join = BAILIWICK__V1__JOIN_MEETING_REQUEST__INIT;
    Bailiwick__V1__E2eeScheme schemes[] = {BAILIWICK__V1__E2EE_SCHEME__E2EE_SCHEME_SFRAME};
    join.tenant = "chu-lyon";
    join.meeting_id = created->meeting->meeting_id;
    join.request_id = rig_uuid(&rig);
    join.kind = BAILIWICK__V1__PARTICIPANT_KIND__PARTICIPANT_KIND_WEB;
    join.country = "DE";
    join.capable = schemes;
    join.n_capable = 1;
    const Bailiwick__V1__JoinMeetingResponse *joined =
        CALL(RIG_APP, MeetingService, JoinMeeting, join_meeting, &join);
    must(joined);

    Bailiwick__V1__GetRelayRequest get = BAILIWICK__V1__GET_RELAY_REQUEST__INIT;
    get.name = joined->admission->relay;
    const Bailiwick__V1__GetRelayResponse *got = CALL(RIG_OPERATOR, FleetService, GetRelay, get_relay, &get);
    must(got);
    assert_int_equal(got->relay->meetings, 1);
    assert_int_equal(got->relay->participants, 1);

    Bailiwick__V1__RemoveRelayRequest remove = BAILIWICK__V1__REMOVE_RELAY_REQUEST__INIT;
    remove.request_id = rig_uuid(&rig);
    remove.name = joined->admission->relay;
    assert_null(CALL(RIG_OPERATOR, FleetService, RemoveRelay, remove_relay, &remove));
    assert_int_equal(rig.code, BW_FAILED_PRECONDITION);
    assert_string_equal(rig.reason, "RELAY_IN_USE");
    remove.force = true;
    must(CALL(RIG_OPERATOR, FleetService, RemoveRelay, remove_relay, &remove));
    assert_null(CALL(RIG_OPERATOR, FleetService, GetRelay, get_relay, &get));
    assert_int_equal(rig.code, BW_NOT_FOUND);
}

/* ---- tenants ---- */

static void tenants_are_made_and_listed_by_operators(void **state)
{
    (void)state;
    Bailiwick__V1__CreateTenantRequest create = BAILIWICK__V1__CREATE_TENANT_REQUEST__INIT;
    create.request_id = rig_uuid(&rig);
    create.name = "zug";
    const Bailiwick__V1__CreateTenantResponse *created =
        CALL(RIG_OPERATOR, TenantService, CreateTenant, create_tenant, &create);
    must(created);
    assert_string_equal(created->tenant->cell, "eu");
    assert_int_equal(strlen(created->tenant->tenant_id), 36);
    create.display_name = "Zug";
    assert_null(CALL(RIG_OPERATOR, TenantService, CreateTenant, create_tenant, &create));
    assert_int_equal(rig.code, BW_UNIMPLEMENTED);

    Bailiwick__V1__ListTenantsRequest list = BAILIWICK__V1__LIST_TENANTS_REQUEST__INIT;
    list.page_size = 3;
    const Bailiwick__V1__ListTenantsResponse *page =
        CALL(RIG_OPERATOR, TenantService, ListTenants, list_tenants, &list);
    must(page);
    assert_int_equal(page->n_tenants, 3);
    list.page_token = page->next_page_token;
    page = CALL(RIG_OPERATOR, TenantService, ListTenants, list_tenants, &list);
    must(page);
    assert_int_equal(page->n_tenants, 1);
    assert_string_equal(page->tenants[0]->name, "zug");

    Bailiwick__V1__GetTenantRequest get = BAILIWICK__V1__GET_TENANT_REQUEST__INIT;
    get.name = "chu-lyon";
    get.page_size = 1;
    const Bailiwick__V1__GetTenantResponse *got = CALL(RIG_ADMIN, TenantService, GetTenant, get_tenant, &get);
    must(got);
    assert_string_equal(got->tenant->name, "chu-lyon");
    assert_int_equal(got->n_bindings, 1);
    assert_string_equal(got->bindings[0]->subject, "spiffe://eu.example/admin/anna");
    assert_int_equal(got->bindings[0]->roles[0], BAILIWICK__V1__ROLE__ROLE_TENANT_ADMIN);
    get.page_token = got->next_page_token;
    got = CALL(RIG_ADMIN, TenantService, GetTenant, get_tenant, &get);
    must(got);
    assert_string_equal(got->bindings[0]->subject, "spiffe://eu.example/app/portal");
    get.page_size = 2;
    get.page_token = got->next_page_token;
    got = CALL(RIG_ADMIN, TenantService, GetTenant, get_tenant, &get);
    must(got);
    assert_int_equal(got->n_bindings, 2);
    assert_string_equal(got->bindings[0]->subject, "spiffe://eu.example/support/tina");
    assert_string_equal(got->bindings[1]->subject, "spiffe://eu.example/support/tom");
    assert_int_equal(got->bindings[1]->roles[0], BAILIWICK__V1__ROLE__ROLE_SUPPORT_TIER1);
    assert_string_equal(got->next_page_token, "");
    get.name = "acme";
    get.page_token = "";
    assert_null(CALL(RIG_ADMIN, TenantService, GetTenant, get_tenant, &get));
    assert_int_equal(rig.code, BW_PERMISSION_DENIED);
}

static const Bailiwick__V1__IssueAppCredentialResponse *issue(enum rig_role role, const char *name,
                                                              const char *tenant, Bailiwick__V1__Role what)
{
    Bailiwick__V1__IssueAppCredentialRequest request = BAILIWICK__V1__ISSUE_APP_CREDENTIAL_REQUEST__INIT;
    request.request_id = rig_uuid(&rig);
    request.tenants = &tenant;
    request.n_tenants = 1;
    request.name = name;
    request.role = what;
    request.csr_der = csr_of(name);
    return CALL(role, TenantService, IssueAppCredential, issue_app_credential, &request);
}

static void credentials_are_issued_for_ones_own_tenants(void **state)
{
    (void)state;
    const Bailiwick__V1__IssueAppCredentialResponse *reply =
        issue(RIG_ADMIN, "wards", "chu-lyon", BAILIWICK__V1__ROLE__ROLE_APP);
    must(reply);
    assert_string_equal(reply->spiffe_id, "spiffe://eu.example/app/wards");
    assert_string_equal(rig.credential, reply->spiffe_id);
    assert_string_equal(rig.credential_role, "app");
    assert_int_equal(rig.credential_tenants, 1);
    assert_non_null(strstr(reply->certificate_pem, "spiffe://eu.example/app/wards"));
    must(issue(RIG_OPERATOR, "berta", "acme", BAILIWICK__V1__ROLE__ROLE_TENANT_ADMIN));
    assert_string_equal(rig.credential, "spiffe://eu.example/admin/berta");

    unsigned orders = rig.orders;
    assert_null(issue(RIG_ADMIN, "wards", "acme", BAILIWICK__V1__ROLE__ROLE_APP));
    assert_int_equal(rig.code, BW_PERMISSION_DENIED);
    /* The name of another tenant's application: its certificate would act for that tenant. */
    assert_null(issue(RIG_ADMIN, "rival", "chu-lyon", BAILIWICK__V1__ROLE__ROLE_APP));
    assert_int_equal(rig.code, BW_ALREADY_EXISTS);
    assert_null(issue(RIG_ADMIN, "anna", "chu-lyon", BAILIWICK__V1__ROLE__ROLE_AUDITOR));
    assert_int_equal(rig.code, BW_ALREADY_EXISTS);
    assert_null(issue(RIG_OPERATOR, "berne", "berne", BAILIWICK__V1__ROLE__ROLE_APP));
    assert_string_equal(rig.reason, "WRONG_CELL");
    Bailiwick__V1__IssueAppCredentialRequest broken = BAILIWICK__V1__ISSUE_APP_CREDENTIAL_REQUEST__INIT;
    const char *tenant = "chu-lyon";
    broken.request_id = rig_uuid(&rig);
    broken.tenants = &tenant;
    broken.n_tenants = 1;
    broken.name = "x";
    broken.role = BAILIWICK__V1__ROLE__ROLE_APP;
    broken.csr_der = (ProtobufCBinaryData){4, (uint8_t *)"nope"};
    assert_null(CALL(RIG_ADMIN, TenantService, IssueAppCredential, issue_app_credential, &broken));
    assert_int_equal(rig.code, BW_INVALID_ARGUMENT);
    assert_int_equal(rig.orders, orders);
}

/* ---- not built yet ---- */

/* The least a request may hold: its required fields, by the table's own shape. */
static void what_is_not_built_says_so_to_those_who_may_ask(void **state)
{
    (void)state;
    struct bw_api_shape shapes[128] = {{0}};
    struct bw_error err;
    assert_int_equal(bw_api_table_check(shapes, &err), BW_OK);
    unsigned later = 0;
    for (size_t i = 0; i < bw_api_table_count; i++) {
        const struct bw_api_method *row = &bw_api_table[i];
        if (row->handler != bw_api_later || row->streams != BW_API_STREAMS_NONE)
            continue;
        later++;
        /* An empty request: whoever may not ask hears that first, whoever may hears what is missing. */
        ProtobufCMessage *request = bw_arena_zalloc(rig.arena, 1, shapes[i].request->sizeof_message);
        shapes[i].request->message_init(request);
        char method[128];
        snprintf(method, sizeof method, "%s/%s", row->service, row->name);
        assert_null(rig_call(&rig, RIG_APP, method, request, shapes[i].response));
        assert_int_equal(rig.code, BW_PERMISSION_DENIED);
        assert_null(rig_call(&rig, RIG_ADMIN, method, request, shapes[i].response));
        assert_int_equal(rig.code, BW_INVALID_ARGUMENT);
    }
    assert_true(later >= 15);

    Bailiwick__V1__SetRolesRequest roles = BAILIWICK__V1__SET_ROLES_REQUEST__INIT;
    roles.request_id = rig_uuid(&rig);
    roles.tenant = "chu-lyon";
    roles.subject = "spiffe://eu.example/app/portal";
    assert_null(CALL(RIG_ADMIN, TenantService, SetRoles, set_roles, &roles));
    assert_int_equal(rig.code, BW_UNIMPLEMENTED);
    assert_string_equal(rig.reason, "NOT_BUILT");
    Bailiwick__V1__DiffPolicyRequest diff = BAILIWICK__V1__DIFF_POLICY_REQUEST__INIT;
    diff.tenant = "chu-lyon";
    assert_null(CALL(RIG_ADMIN, PolicyService, DiffPolicy, diff_policy, &diff));
    assert_int_equal(rig.code, BW_UNIMPLEMENTED);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_policy_is_checked_applied_listed_and_rolled_back),
        TEST(a_policy_with_errors_is_not_applied),
        TEST(the_desks_absence_is_passed_on),
        TEST(a_placement_is_explained_before_it_happens),
        TEST(a_tenants_admin_reads_the_facts_policies_decide_on),
        TEST(a_refusal_is_read_by_its_own_tenant_only),
        TEST(a_relay_is_enrolled_with_facts_that_mean_something),
        TEST(relays_are_listed_cordoned_drained_and_removed),
        TEST(a_relay_in_use_is_not_removed_by_accident),
        TEST(tenants_are_made_and_listed_by_operators),
        TEST(credentials_are_issued_for_ones_own_tenants),
        TEST(what_is_not_built_says_so_to_those_who_may_ask),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
