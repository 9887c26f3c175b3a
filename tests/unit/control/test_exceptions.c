/* What is allowed for a time, and what must be there: exceptions end by the clock, under live meetings too,
 * and nobody enters before a connector that the policy requires. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "scene.h"

static struct scene scene;
static char policy[4096]; /* in force since the start */

enum { A_WHILE_MS = 10000 };

/* Germany is denied; an exception lifts that until A_WHILE_MS after the start. */
static void write_policy(char *text, size_t size, uint64_t ends_ms, const char *whom, const char *connectors)
{
    time_t seconds = (time_t)(ends_ms / 1000);
    struct tm utc;
    char instant[32];
    assert_non_null(gmtime_r(&seconds, &utc));
    assert_true(strftime(instant, sizeof instant, "%Y-%m-%dT%H:%M:%SZ", &utc) > 0);
    int n = snprintf(text, size,
                     "apiVersion: bailiwick/v1\n"
                     "kind: TenantPolicy\n"
                     "tenant: chu-lyon\n"
                     "residency: { atRest: eu, retention: { participants: 5d } }\n"
                     "entry: { allow: [\"*\"], deny: [BE], unknown: allow }\n"
                     "transit:\n"
                     "  allow: [EU, CH]\n"
                     "  deny: [DE]\n"
                     "  operators: { allowJurisdictions: [\"*\"] }\n"
                     "  onNoRelay: reject\n"
                     "  onPolicyChange: evict\n"
                     "e2ee: { mode: optional }\n"
                     "connectors: { %s }\n"
                     "groups:\n"
                     "  - { name: board, match: { members: [\"user:*@board.example\"] },\n"
                     "      residency: { retention: { quality: 3d } } }\n"
                     "exceptions:\n"
                     "  - id: x1\n"
                     "    lifts: { transit: { deny: [DE] }, entry: { deny: [BE] } }\n"
                     "    %s\n"
                     "    reason: a congress\n"
                     "    expires: %s\n",
                     connectors, whom, instant);
    assert_true((size_t)n < size);
}

static void begin(const char *whom, const char *connectors)
{
    assert_true(bw_headless_init(&scene.world));
    uint64_t ends_ms = (scene.world.wall_ms / 1000) * 1000 + A_WHILE_MS;
    bw_headless_finish(&scene.world);
    write_policy(policy, sizeof policy, ends_ms, whom, connectors);
    assert_true(scene_init(&scene, policy));
}

static int teardown(void **state)
{
    (void)state;
    scene_finish(&scene);
    return 0;
}

static struct bw_id create_as(const char *user)
{
    struct bw_id meeting = bw_headless_new_id(&scene.world);
    struct ask *ask = scene_ask(&scene, BW_OP_CREATE, &meeting);
    assert_non_null(ask);
    ask->op.create = (struct bw_op_create){.tenant_name = "chu-lyon", .user = user};
    scene_do(&scene, ask);
    if (ask->op.error.code != BW_OK)
        fail_msg("%s", ask->op.error.show);
    return meeting;
}

static void well(const struct ask *ask)
{
    assert_true(ask->done);
    if (ask->op.error.code != BW_OK)
        fail_msg("%s", ask->op.error.show);
}

static void refused(const struct ask *ask, const char *reason)
{
    assert_true(ask->done);
    assert_int_equal(ask->op.error.code, BW_FAILED_PRECONDITION);
    assert_string_equal(ask->op.error.reason, reason);
}

static void pass_seconds(int seconds)
{
    for (int i = 0; i < seconds; i++)
        bw_headless_pass(&scene.world, 1000);
}

static void a_live_meeting_moves_when_its_exception_ends(void **state)
{
    (void)state;
    begin("for: { group: board }", "allow: []");
    struct bw_id meeting = create_as("someone@board.example");
    struct ask *german = scene_join(&scene, &meeting, "DE"), *belgian = scene_join(&scene, &meeting, "BE");
    well(german);
    assert_int_equal(german->op.admission.relay_number, BW_FRA1 + 1);
    well(belgian);
    pass_seconds(A_WHILE_MS / 1000 - 2);
    assert_int_equal(scene_relay_of(&scene, &meeting, &german->op.admission.entry), BW_FRA1 + 1);
    assert_int_equal(scene_people(&scene, &meeting), 2);
    pass_seconds(4);
    /* Moved off the relay that is denied again; who may not enter from there any more is removed. */
    uint32_t now = scene_relay_of(&scene, &meeting, &german->op.admission.entry);
    assert_true(now != 0 && now != BW_FRA1 + 1);
    assert_int_equal(scene_relay_of(&scene, &meeting, &belgian->op.admission.entry), 0);
    /* And so for who comes later. */
    struct ask *late = scene_join(&scene, &meeting, "DE");
    well(late);
    assert_int_not_equal(late->op.admission.relay_number, BW_FRA1 + 1);
    refused(scene_join(&scene, &meeting, "BE"), "ENTRY_COUNTRY");
}

static void an_exception_is_for_whom_it_names(void **state)
{
    (void)state;
    begin("for: { user: \"user:dr.x@board.example\" }", "allow: []");
    struct bw_id theirs = create_as("dr.x@board.example"), others = create_as("dr.y@board.example");
    struct ask *join = scene_join(&scene, &theirs, "DE");
    well(join);
    assert_int_equal(join->op.admission.relay_number, BW_FRA1 + 1);
    join = scene_join(&scene, &others, "DE");
    well(join);
    assert_int_not_equal(join->op.admission.relay_number, BW_FRA1 + 1);
    refused(scene_join(&scene, &others, "BE"), "ENTRY_COUNTRY");
    /* Who the host was is not kept, but that the exception is for it is: also after a restart. */
    assert_true(bw_headless_restart(&scene.world));
    assert_true(bw_headless_publish(&scene.world, "chu-lyon", 1, policy));
    bw_headless_settle(&scene.world);
    struct ask *again = scene_join(&scene, &theirs, "BE");
    well(again);
    refused(scene_join(&scene, &others, "BE"), "ENTRY_COUNTRY");
    pass_seconds(A_WHILE_MS / 1000 + 1);
    refused(scene_join(&scene, &theirs, "BE"), "ENTRY_COUNTRY");
}

static void a_prolonged_exception_goes_on(void **state)
{
    (void)state;
    begin("for: { user: \"user:dr.x@board.example\" }", "allow: []");
    struct bw_id meeting = create_as("dr.x@board.example");
    struct ask *german = scene_join(&scene, &meeting, "DE");
    assert_int_equal(german->op.admission.relay_number, BW_FRA1 + 1);
    char text[4096];
    write_policy(text, sizeof text, scene.world.wall_ms + 60000, "for: { user: \"user:dr.x@board.example\" }",
                 "allow: []");
    assert_true(bw_headless_publish(&scene.world, "chu-lyon", 2, text));
    pass_seconds(A_WHILE_MS / 1000 + 5);
    assert_int_equal(scene_relay_of(&scene, &meeting, &german->op.admission.entry), BW_FRA1 + 1);
    pass_seconds(60);
    assert_int_not_equal(scene_relay_of(&scene, &meeting, &german->op.admission.entry), BW_FRA1 + 1);
}

static void nobody_enters_before_a_required_connector(void **state)
{
    (void)state;
    begin("for: { group: board }", "allow: [pstn, recording], require: [recording]");
    scene.world.relays[BW_PAR1].connectors |= BW_CONNECTOR_BIT(BW_CONNECTOR_RECORDING);
    assert_true(bw_headless_publish_fleet(&scene.world));
    bw_headless_settle(&scene.world);
    struct bw_id meeting = create_as("someone@chu-lyon.example");
    struct ask *early = scene_join(&scene, &meeting, "FR");
    refused(early, "CONNECTOR_REQUIRED");
    assert_int_equal(early->decision->kind, BW_DECISION_REFUSED);
    assert_int_equal(early->decision->reasons, BW_REASON_BIT(BW_REASON_CONNECTOR_REQUIRED));
    assert_string_equal(early->decision->clause, "policy.yaml:13:51");
    /* Another connector will not do. */
    well(scene_invite(&scene, &meeting, BW_ENDPOINT_PSTN));
    refused(scene_join(&scene, &meeting, "FR"), "CONNECTOR_REQUIRED");
    struct ask *recorder = scene_invite(&scene, &meeting, BW_ENDPOINT_RECORDING);
    well(recorder);
    struct ask *one = scene_join(&scene, &meeting, "FR");
    well(one);

    /* It stays as long as somebody is in, unless another one is there. */
    struct ask *away = scene_ask(&scene, BW_OP_REMOVE, &meeting);
    away->op.leave.entry = recorder->op.admission.entry;
    refused(scene_do(&scene, away), "CONNECTOR_REQUIRED");
    struct ask *second = scene_invite(&scene, &meeting, BW_ENDPOINT_RECORDING);
    well(second);
    away = scene_ask(&scene, BW_OP_REMOVE, &meeting);
    away->op.leave.entry = recorder->op.admission.entry;
    well(scene_do(&scene, away));
    well(scene_leave(&scene, &meeting, &one->op.admission.entry));
    away = scene_ask(&scene, BW_OP_REMOVE, &meeting);
    away->op.leave.entry = second->op.admission.entry;
    well(scene_do(&scene, away));
    refused(scene_join(&scene, &meeting, "FR"), "CONNECTOR_REQUIRED");
}

static void a_new_requirement_reaches_live_meetings(void **state)
{
    (void)state;
    begin("for: { group: board }", "allow: [pstn, recording]");
    struct bw_id meeting = create_as("someone@chu-lyon.example");
    struct ask *one = scene_join(&scene, &meeting, "FR");
    well(one);
    char text[4096];
    write_policy(text, sizeof text, scene.world.wall_ms + 60000, "for: { group: board }",
                 "allow: [pstn, recording], require: [recording]");
    assert_true(bw_headless_publish(&scene.world, "chu-lyon", 2, text));
    bw_headless_settle(&scene.world);
    refused(scene_join(&scene, &meeting, "FR"), "CONNECTOR_REQUIRED");
    assert_int_equal(scene_people(&scene, &meeting), 1); /* who is in stays */
}

static void retention_follows_the_levels_of_a_meeting(void **state)
{
    (void)state;
    begin("for: { group: board }", "allow: []");
    char text[4096];
    write_policy(text, sizeof text, scene.world.wall_ms + 60000, "for: { group: board }", "allow: []");
    struct bw_policy_set *set = NULL;
    struct bw_error err;
    assert_int_equal(bw_policy_set_create(&scene.world.tenant, "chu-lyon", 1, bw_view_str(text), &set, &err),
                     BW_OK);
    static const char *const levels[] = {"group:board", "exception:x1"};
    const uint64_t day_ms = 86400000;
    struct bw_retention kept;
    assert_true(bw_policies_retention(set, levels, 2, &kept));
    assert_int_equal(kept.quality_ms, 3 * day_ms);
    assert_int_equal(kept.participants_ms, 5 * day_ms);
    assert_true(kept.decisions_ms == BW_RETENTION_WITHOUT_END_MS);
    assert_true(bw_policies_retention(set, NULL, 0, &kept));
    assert_int_equal(kept.quality_ms, 30 * day_ms);
    bw_policy_set_release(set);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_teardown(name, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_live_meeting_moves_when_its_exception_ends),
        TEST(an_exception_is_for_whom_it_names),
        TEST(a_prolonged_exception_goes_on),
        TEST(nobody_enters_before_a_required_connector),
        TEST(a_new_requirement_reaches_live_meetings),
        TEST(retention_follows_the_levels_of_a_meeting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
