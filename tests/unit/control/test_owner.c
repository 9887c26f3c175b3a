/* The owner: operations come in, are decided, become durable, and are answered, each exactly once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "api/api.h"
#include "check_alloc.h"
#include "e2ee/grant.h"
#include "scene.h"

static struct scene scene;

static int setup(void **state)
{
    (void)state;
    assert_true(scene_init(&scene, NULL));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    scene_finish(&scene);
    return 0;
}

static void well(const struct ask *ask)
{
    if (!ask->done)
        fail_msg("not answered");
    if (ask->op.error.code != BW_OK)
        fail_msg("%s %s: %s", bw_code_name(ask->op.error.code),
                 ask->op.error.reason != NULL ? ask->op.error.reason : "", ask->op.error.show);
}

static void ill(const struct ask *ask, enum bw_code code, const char *reason)
{
    assert_true(ask->done);
    if (ask->op.error.code != code ||
        (reason != NULL && (ask->op.error.reason == NULL || strcmp(ask->op.error.reason, reason) != 0)))
        fail_msg("%s %s: %s", bw_code_name(ask->op.error.code),
                 ask->op.error.reason != NULL ? ask->op.error.reason : "", ask->op.error.show);
}

static void a_joiner_gets_the_relay_nearest_to_it_and_a_grant(void **state)
{
    (void)state;
    struct bw_id meeting = scene_create(&scene);
    struct ask *join = scene_join(&scene, &meeting, "DE");
    well(join);
    assert_int_equal(join->op.admission.relay_number, BW_FRA1 + 1);
    assert_string_equal(join->op.admission.relay, "fra1");
    assert_int_equal(join->op.admission.slot, 2);
    assert_int_equal(join->op.admission.hop_key.len, BW_GRANT_HOP_KEY_SIZE);
    assert_int_equal(join->decision->kind, BW_DECISION_JOINED);
    assert_int_equal(join->decision->relays_considered, BW_HEADLESS_RELAYS);
    assert_int_equal(join->decision->relays_allowed, 4);
    assert_int_equal(join->op.group, 2);
    assert_int_equal(bw_headless_rows(&scene.world, &meeting), 2);
    assert_int_equal(bw_book_taken(scene.world.book, BW_FRA1 + 1), 1);
    assert_int_equal(bw_book_room(scene.world.book, BW_FRA1 + 1), 9);

    struct bw_grant grant;
    assert_int_equal(bw_grant_parse(join->op.admission.grant, &grant), BW_GRANT_OK);
    assert_true(bw_id_equal(&grant.roster_entry, &join->op.admission.entry));
    assert_int_equal(grant.group, join->op.group);
    assert_int_equal(grant.relay, join->op.admission.relay_number);
}

static void joins_of_one_tick_share_a_batch_and_a_signature(void **state)
{
    (void)state;
    struct bw_id meeting = scene_create(&scene);
    struct ask *joins[8];
    uint64_t before = scene.world.group;
    for (size_t i = 0; i < 8; i++) {
        joins[i] = scene_ask(&scene, BW_OP_JOIN, &meeting);
        joins[i]->declared = BW_SCHEME_BIT(SFRAME);
        joins[i]->op.join = (struct bw_op_join){.kind = BW_ENDPOINT_WEB,
                                                .role = BW_ROLE_SPEAKER,
                                                .country = "FR",
                                                .declared = &joins[i]->declared};
        scene_submit(&scene, joins[i]);
    }
    bw_headless_settle(&scene.world);
    uint8_t first[BW_ED25519_SIGNATURE_SIZE];
    for (size_t i = 0; i < 8; i++) {
        well(joins[i]);
        const struct bw_view grant = joins[i]->op.admission.grant;
        const uint8_t *signature = grant.data + grant.len - BW_ED25519_SIGNATURE_SIZE;
        if (i == 0)
            memcpy(first, signature, sizeof first);
        assert_memory_equal(signature, first, sizeof first);
        assert_int_equal(joins[i]->op.group, before + 1);
    }
}

static void a_join_without_compliant_relay_is_refused_with_reasons(void **state)
{
    (void)state;
    struct bw_id meeting = scene_create(&scene);
    for (size_t i = 0; i < BW_HEADLESS_RELAYS; i++) {
        if (i != BW_ASH1)
            scene.world.relays[i].state = i == BW_LON1 ? BW_RELAY_SERVING : BW_RELAY_DRAINING;
    }
    assert_true(bw_headless_publish_fleet(&scene.world));
    struct ask *join = scene_join(&scene, &meeting, "FR");
    ill(join, BW_FAILED_PRECONDITION, "NO_COMPLIANT_RELAY");
    assert_int_equal(join->decision->kind, BW_DECISION_REFUSED);
    assert_int_equal(join->decision->rejection_count, BW_HEADLESS_RELAYS);
    for (size_t i = 0; i < join->decision->rejection_count; i++) {
        const struct bw_decision_rejection *rejection = &join->decision->rejections[i];
        uint32_t law =
            BW_REASON_BIT(BW_REASON_TRANSIT_COUNTRY) | BW_REASON_BIT(BW_REASON_OPERATOR_JURISDICTION);
        uint32_t expected = rejection->relay == BW_ASH1 + 1 || rejection->relay == BW_LON1 + 1
                                ? law
                                : BW_REASON_BIT(BW_REASON_DRAINING);
        assert_int_equal(rejection->reasons, expected);
        assert_int_equal(rejection->clause != NULL, expected == law);
    }
    assert_int_equal(join->decision->nearest_reasons, BW_REASON_BIT(BW_REASON_DRAINING));
    assert_int_equal(bw_headless_rows(&scene.world, &meeting), 2);
    assert_int_equal(scene_people(&scene, &meeting), 0);
}

static void a_country_the_policy_denies_may_not_enter(void **state)
{
    (void)state;
    struct bw_id meeting = scene_create(&scene);
    struct ask *join = scene_join(&scene, &meeting, "KP");
    ill(join, BW_FAILED_PRECONDITION, "ENTRY_COUNTRY");
    assert_int_equal(join->decision->reasons, BW_REASON_BIT(BW_REASON_ENTRY_COUNTRY));
    assert_non_null(strstr(join->decision->clause, "policy.yaml:5:"));
}

static void capacity_is_never_overspent(void **state)
{
    (void)state;
    struct bw_id meeting = scene_create(&scene);
    unsigned in = 0;
    for (int i = 0; i < 60; i++) {
        if (i % 10 == 0) {
            bw_headless_pass(&scene.world, 6000); /* past the burst window */
        }
        struct ask *join = scene_join(&scene, &meeting, "FR");
        if (!join->done)
            bw_headless_pass(&scene.world, 1000); /* it waited for escrow */
        assert_true(join->done);
        if (join->op.error.code == BW_OK) {
            in++;
        } else {
            ill(join, BW_FAILED_PRECONDITION, "NO_COMPLIANT_RELAY");
            assert_true(join->decision->reasons & BW_REASON_BIT(BW_REASON_CAPACITY));
        }
    }
    assert_int_equal(in, 40); /* four relays of ten are allowed */
    for (uint32_t relay = 1; relay <= BW_ZRH1 + 1; relay++)
        assert_int_equal(bw_book_taken(scene.world.book, relay), 10);
    assert_int_equal(bw_book_taken(scene.world.book, BW_ASH1 + 1), 0);
    assert_true(scene.world.escrow_asked[BW_PAR1] > 0);

    /* Who leaves makes room. */
    scene_end(&scene, &meeting);
    for (uint32_t relay = 1; relay <= BW_ZRH1 + 1; relay++) {
        assert_int_equal(bw_book_taken(scene.world.book, relay), 0);
        assert_int_equal(bw_book_room(scene.world.book, relay), 10);
    }
}

static void what_waits_for_escrow_goes_on_when_it_comes(void **state)
{
    (void)state;
    struct bw_id meeting = scene_create(&scene);
    for (uint32_t relay = 1; relay <= BW_HEADLESS_RELAYS; relay++)
        bw_book_withdraw(scene.world.book, relay, 10);
    struct ask *join = scene_join(&scene, &meeting, "FR");
    assert_false(join->done);
    assert_true(scene.world.escrow_asked[BW_PAR1] > 0);
    bw_book_add(scene.world.book, BW_PAR1 + 1, 5);
    bw_owner_escrow_changed(scene.world.owner);
    bw_headless_settle(&scene.world);
    well(join);
    assert_int_equal(join->op.admission.relay_number, BW_PAR1 + 1);
}

static void a_retry_gets_the_same_answer(void **state)
{
    (void)state;
    struct bw_id meeting = scene_create(&scene);
    struct ask *join = scene_join(&scene, &meeting, "FR");
    well(join);
    struct ask *again = scene_ask(&scene, BW_OP_JOIN, &meeting);
    again->op.request = join->op.request;
    memcpy(again->op.fingerprint, join->op.fingerprint, sizeof again->op.fingerprint);
    again->op.join = join->op.join;
    scene_do(&scene, again);
    well(again);
    assert_true(bw_id_equal(&again->op.admission.entry, &join->op.admission.entry));
    assert_int_equal(again->op.seq, join->op.seq);
    assert_null(again->decision);
    assert_int_equal(scene_people(&scene, &meeting), 1);

    struct ask *other = scene_ask(&scene, BW_OP_JOIN, &meeting);
    other->op.request = join->op.request;
    other->op.join = join->op.join;
    ill(scene_do(&scene, other), BW_ALREADY_EXISTS, "REQUEST_ID_REUSED");

    well(scene_leave(&scene, &meeting, &join->op.admission.entry));
    struct ask *late = scene_ask(&scene, BW_OP_JOIN, &meeting);
    late->op.request = join->op.request;
    memcpy(late->op.fingerprint, join->op.fingerprint, sizeof late->op.fingerprint);
    late->op.join = join->op.join;
    ill(scene_do(&scene, late), BW_FAILED_PRECONDITION, "LEFT_SINCE");
}

static void a_refused_request_stays_refused(void **state)
{
    (void)state;
    struct bw_id meeting = scene_create(&scene);
    struct ask *join = scene_join(&scene, &meeting, "KP");
    ill(join, BW_FAILED_PRECONDITION, "ENTRY_COUNTRY");
    struct ask *again = scene_ask(&scene, BW_OP_JOIN, &meeting);
    again->op.request = join->op.request;
    memcpy(again->op.fingerprint, join->op.fingerprint, sizeof again->op.fingerprint);
    again->op.join = join->op.join;
    ill(scene_do(&scene, again), BW_FAILED_PRECONDITION, BW_OP_REFUSED_BEFORE);
    assert_int_equal(again->op.seq, join->decision->seq);
    assert_int_equal(bw_headless_rows(&scene.world, &meeting), 2);
}

static void a_meeting_created_twice_is_one_meeting(void **state)
{
    (void)state;
    struct bw_id first = bw_headless_new_id(&scene.world), second = bw_headless_new_id(&scene.world);
    struct ask *one = scene_ask(&scene, BW_OP_CREATE, &first),
               *two = scene_ask(&scene, BW_OP_CREATE, &second);
    one->op.create = two->op.create = (struct bw_op_create){.tenant_name = "chu-lyon", .user = "a@b.example"};
    two->op.request = one->op.request;
    memcpy(two->op.fingerprint, one->op.fingerprint, sizeof two->op.fingerprint);
    well(scene_do(&scene, one));
    well(scene_do(&scene, two));
    assert_true(bw_id_equal(&two->op.meeting, &first));
    assert_int_equal(bw_headless_rows(&scene.world, &second), 0);
    assert_false(scene_read(&scene, &second)->found);
}

static void a_stale_batch_is_decided_again_on_what_is_there(void **state)
{
    (void)state;
    struct bw_id meeting = scene_create(&scene);
    struct ask *first = scene_join(&scene, &meeting, "FR");
    assert_true(bw_headless_intrude(&scene.world, &meeting));
    struct ask *join = scene_join(&scene, &meeting, "FR");
    assert_false(join->done); /* waits a moment before the next try */
    assert_int_equal(bw_book_taken(scene.world.book, first->op.admission.relay_number), 1);
    bw_headless_pass(&scene.world, 20);
    well(join);
    assert_int_equal(scene.world.loads, 1);
    assert_int_equal(join->op.admission.slot, 4); /* behind the row that was not ours */
    assert_int_equal(scene_people(&scene, &meeting), 2);
    assert_int_equal(bw_owner_counts(scene.world.owner).retried, 1);
}

static void a_batch_that_never_commits_is_given_up(void **state)
{
    (void)state;
    struct bw_id meeting = scene_create(&scene);
    scene.world.stale_rows = 1000;
    struct ask *join = scene_join(&scene, &meeting, "FR");
    for (int i = 0; i < 20 && !join->done; i++)
        bw_headless_pass(&scene.world, 1000);
    ill(join, BW_ABORTED, "STALE_VIEW");
    scene.world.stale_rows = 0;
    bw_headless_pass(&scene.world, 1000);
    well(scene_join(&scene, &meeting, "FR"));
    assert_int_equal(scene_people(&scene, &meeting), 1);
    uint32_t taken = 0;
    for (uint32_t relay = 1; relay <= BW_HEADLESS_RELAYS; relay++)
        taken += bw_book_taken(scene.world.book, relay);
    assert_int_equal(taken, 1);
}

static void a_log_that_cannot_be_read_is_unavailable_not_lost(void **state)
{
    (void)state;
    struct bw_id meeting = scene_create(&scene);
    well(scene_join(&scene, &meeting, "FR"));
    scene.world.failed_rows = 1;
    ill(scene_join(&scene, &meeting, "FR"), BW_RESOURCE_EXHAUSTED, "DISK_FULL");
    scene.world.log_unreadable = true;
    bw_headless_pass(&scene.world, 1000);
    struct ask *join = scene_join(&scene, &meeting, "FR");
    for (int i = 0; i < 5 && !join->done; i++)
        bw_headless_pass(&scene.world, 1000);
    ill(join, BW_UNAVAILABLE, "DATABASE_UNAVAILABLE");
    bw_headless_pass(&scene.world, 10000);
    scene.world.log_unreadable = false;
    bw_headless_pass(&scene.world, 1000);
    struct ask *after = scene_join(&scene, &meeting, "FR");
    for (int i = 0; i < 5 && !after->done; i++)
        bw_headless_pass(&scene.world, 1000);
    well(after);
    assert_int_equal(scene_people(&scene, &meeting), 2);
}

static void without_the_signer_the_participant_is_in_and_the_grant_comes_later(void **state)
{
    (void)state;
    struct bw_id meeting = scene_create(&scene);
    scene.world.signer_away = true;
    struct ask *join = scene_join(&scene, &meeting, "FR");
    ill(join, BW_UNAVAILABLE, "SIGNER_AWAY");
    assert_int_equal(scene_people(&scene, &meeting), 1);
    scene.world.signer_away = false;
    struct ask *again = scene_ask(&scene, BW_OP_JOIN, &meeting);
    again->op.request = join->op.request;
    memcpy(again->op.fingerprint, join->op.fingerprint, sizeof again->op.fingerprint);
    again->op.join = join->op.join;
    well(scene_do(&scene, again));
    assert_true(again->op.admission.grant.len > 0);
    assert_int_equal(scene_people(&scene, &meeting), 1);
}

static void an_operation_past_its_deadline_decides_nothing(void **state)
{
    (void)state;
    struct bw_id meeting = scene_create(&scene);
    struct ask *join = scene_ask(&scene, BW_OP_JOIN, &meeting);
    join->op.join = (struct bw_op_join){.kind = BW_ENDPOINT_NATIVE, .role = BW_ROLE_SPEAKER, .country = "FR"};
    join->op.deadline_mono_ms = scene.world.mono_ms;
    ill(scene_do(&scene, join), BW_DEADLINE_EXCEEDED, NULL);
    assert_int_equal(bw_headless_rows(&scene.world, &meeting), 1);
}

static void another_tenants_meeting_does_not_exist(void **state)
{
    (void)state;
    struct bw_id meeting = scene_create(&scene);
    struct ask *join = scene_ask(&scene, BW_OP_JOIN, &meeting);
    join->op.tenant = scene.world.guest_tenant;
    join->op.join = (struct bw_op_join){.kind = BW_ENDPOINT_NATIVE, .role = BW_ROLE_SPEAKER, .country = "FR"};
    ill(scene_do(&scene, join), BW_NOT_FOUND, "NO_MEETING");
    struct ask *read = scene_ask(&scene, BW_OP_READ, &meeting);
    read->op.tenant = scene.world.guest_tenant;
    scene_do(&scene, read);
    assert_true(read->done);
    assert_false(read->found);
}

static void an_empty_meeting_ends_by_itself(void **state)
{
    (void)state;
    struct bw_id meeting = scene_create(&scene);
    struct ask *join = scene_join(&scene, &meeting, "FR");
    bw_headless_pass(&scene.world, 40000);
    bw_headless_pass(&scene.world, 40000);
    assert_int_equal(scene_people(&scene, &meeting), 1); /* somebody is in */
    well(scene_leave(&scene, &meeting, &join->op.admission.entry));
    bw_headless_pass(&scene.world, 1000);
    bw_headless_pass(&scene.world, 31000);
    bw_headless_settle(&scene.world);
    ill(scene_join(&scene, &meeting, "FR"), BW_FAILED_PRECONDITION, "MEETING_ENDED");
    bw_headless_pass(&scene.world, 61000); /* kept so long */
    assert_false(scene_read(&scene, &meeting)->found);
}

static void a_join_waits_as_the_policy_says(void **state)
{
    (void)state;
    char yaml[1024];
    snprintf(yaml, sizeof yaml, "%s", bw_headless_policy);
    const char *reject = strstr(bw_headless_policy, "onNoRelay: reject");
    snprintf(yaml + (reject - bw_headless_policy), sizeof yaml - (size_t)(reject - bw_headless_policy),
             "onNoRelay: { wait: 5s }%s", reject + strlen("onNoRelay: reject"));
    assert_true(bw_headless_publish(&scene.world, "chu-lyon", 2, yaml));
    struct bw_id meeting = scene_create(&scene);
    for (size_t i = 0; i < BW_HEADLESS_RELAYS; i++)
        scene.world.relays[i].state = BW_RELAY_CORDONED;
    assert_true(bw_headless_publish_fleet(&scene.world));
    struct ask *patient = scene_join(&scene, &meeting, "FR"), *tired = scene_join(&scene, &meeting, "FR");
    assert_false(patient->done);
    bw_headless_pass(&scene.world, 3000);
    assert_false(patient->done);
    tired->op.deadline_mono_ms = scene.world.mono_ms - 1; /* its caller gives up */
    scene.world.relays[BW_PAR1].state = BW_RELAY_SERVING;
    assert_true(bw_headless_publish_fleet(&scene.world));
    bw_headless_settle(&scene.world);
    well(patient);
    ill(tired, BW_DEADLINE_EXCEEDED, NULL);
    scene.world.relays[BW_PAR1].state = BW_RELAY_CORDONED;
    assert_true(bw_headless_publish_fleet(&scene.world));
    struct ask *late = scene_join(&scene, &meeting, "FR");
    bw_headless_pass(&scene.world, 6000);
    ill(late, BW_FAILED_PRECONDITION, "NO_COMPLIANT_RELAY");
}

static void what_is_open_when_the_owner_goes_is_answered(void **state)
{
    (void)state;
    struct bw_id meeting = scene_create(&scene);
    scene.world.hold_rows = true;
    struct ask *join = scene_join(&scene, &meeting, "FR"), *queued = scene_join(&scene, &meeting, "FR");
    assert_false(join->done || queued->done);
    scene.world.hold_rows = false;
    assert_true(bw_headless_restart(&scene.world));
    ill(join, BW_UNAVAILABLE, "SHUTTING_DOWN");
    ill(queued, BW_UNAVAILABLE, "SHUTTING_DOWN");
}

/* ---- memory ---- */

struct short_life {
    unsigned answered, well;
};

/* A meeting's whole life, with whatever allocation fails: every operation is answered once, and nothing that
 * was said to have happened is missing from the log. */
static bool live_through(void *context)
{
    struct short_life *life = context;
    struct scene s;
    bool ok = scene_init(&s, NULL);
    if (ok) {
        struct bw_id meeting = bw_headless_new_id(&s.world);
        struct ask *asks[5] = {0};
        static const enum bw_op_kind kinds[] = {BW_OP_CREATE, BW_OP_JOIN, BW_OP_JOIN, BW_OP_LEAVE, BW_OP_END};
        for (size_t i = 0; i < 5; i++) {
            struct ask *ask = asks[i] = scene_ask(&s, kinds[i], &meeting);
            if (ask == NULL) {
                ok = false;
                continue;
            }
            ask->declared = BW_SCHEME_BIT(SFRAME);
            if (kinds[i] == BW_OP_CREATE)
                ask->op.create = (struct bw_op_create){.tenant_name = "chu-lyon", .user = "a@b.example"};
            if (kinds[i] == BW_OP_JOIN)
                ask->op.join = (struct bw_op_join){.kind = BW_ENDPOINT_NATIVE,
                                                   .role = BW_ROLE_SPEAKER,
                                                   .country = i == 1 ? "FR" : "DE",
                                                   .declared = &ask->declared};
            if (kinds[i] == BW_OP_LEAVE && asks[1] != NULL)
                ask->op.leave.entry = asks[1]->op.admission.entry;
            scene_do(&s, ask);
            for (int tries = 0; tries < 10 && !ask->done; tries++)
                bw_headless_pass(&s.world, 1000);
            assert_true(ask->done);
            life->answered++;
            if (ask->op.error.code == BW_OK)
                life->well++;
            else
                ok = false;
        }
        /* Slots are neither lost nor given out twice, once what had to be read back is. */
        for (int i = 0; i < 3; i++)
            bw_headless_pass(&s.world, 1000);
        uint32_t taken = 0;
        for (uint32_t relay = 1; relay <= BW_HEADLESS_RELAYS; relay++)
            taken += bw_book_taken(s.world.book, relay);
        assert_int_equal(taken, scene_people(&s, &meeting));
    }
    scene_finish(&s);
    return ok;
}

static void a_life_survives_every_failed_allocation(void **state)
{
    (void)state;
    struct short_life life = {0};
    unsigned long runs = bw_fail_each_allocation(live_through, &life, false);
    assert_true(runs > 40);
    assert_true(life.well > 0 && life.answered > life.well);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_joiner_gets_the_relay_nearest_to_it_and_a_grant),
        TEST(joins_of_one_tick_share_a_batch_and_a_signature),
        TEST(a_join_without_compliant_relay_is_refused_with_reasons),
        TEST(a_country_the_policy_denies_may_not_enter),
        TEST(capacity_is_never_overspent),
        TEST(what_waits_for_escrow_goes_on_when_it_comes),
        TEST(a_retry_gets_the_same_answer),
        TEST(a_refused_request_stays_refused),
        TEST(a_meeting_created_twice_is_one_meeting),
        TEST(a_stale_batch_is_decided_again_on_what_is_there),
        TEST(a_batch_that_never_commits_is_given_up),
        TEST(a_log_that_cannot_be_read_is_unavailable_not_lost),
        TEST(without_the_signer_the_participant_is_in_and_the_grant_comes_later),
        TEST(an_operation_past_its_deadline_decides_nothing),
        TEST(another_tenants_meeting_does_not_exist),
        TEST(an_empty_meeting_ends_by_itself),
        TEST(a_join_waits_as_the_policy_says),
        TEST(what_is_open_when_the_owner_goes_is_answered),
        cmocka_unit_test(a_life_survives_every_failed_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
