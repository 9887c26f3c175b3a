/* Meetings with the same levels share a compiled policy: what is decided must be as if each had its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "scene.h"

/* Seventy groups with rules of their own: more than are kept at a time. */
enum { GROUPS = 70 };

static struct scene scene;
static char policy[16384];

/* `everybody` is what the organisation allows; every second group is narrowed to France. */
static void write_policy(const char *everybody)
{
    int n = snprintf(policy, sizeof policy,
                     "apiVersion: bailiwick/v1\n"
                     "kind: TenantPolicy\n"
                     "tenant: chu-lyon\n"
                     "residency: { atRest: eu }\n"
                     "entry: { allow: [\"*\"], unknown: allow }\n"
                     "transit:\n"
                     "  allow: %s\n"
                     "  operators: { allowJurisdictions: [\"*\"] }\n"
                     "  onNoRelay: reject\n"
                     "  onPolicyChange: evict\n"
                     "e2ee: { mode: optional }\n"
                     "connectors: { allow: [] }\n"
                     "groups:\n",
                     everybody);
    for (int i = 0; i < GROUPS; i++)
        n += snprintf(policy + n, sizeof policy - (size_t)n,
                      "  - { name: group-%d, match: { members: [\"user:g%d@chu-lyon.example\"] }, transit: {"
                      " allow: [%s] } }\n",
                      i, i, i % 2 ? "FR, CH" : "FR");
    assert_true((size_t)n < sizeof policy);
}

static int setup(void **state)
{
    (void)state;
    write_policy("[EU, CH]");
    assert_true(scene_init(&scene, policy));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    scene_finish(&scene);
    return 0;
}

static struct bw_id create_as(const char *user, const char *override)
{
    struct bw_id meeting = bw_headless_new_id(&scene.world);
    struct ask *ask = scene_ask(&scene, BW_OP_CREATE, &meeting);
    assert_non_null(ask);
    ask->op.create =
        (struct bw_op_create){.tenant_name = "chu-lyon", .user = user, .override_yaml = override};
    scene_do(&scene, ask);
    if (ask->op.error.code != BW_OK)
        fail_msg("%s", ask->op.error.show);
    return meeting;
}

static uint32_t lands_on(const struct bw_id *meeting, const char *country)
{
    struct ask *join = scene_join(&scene, meeting, country);
    if (!join->done || join->op.error.code != BW_OK)
        fail_msg("%s", join->op.error.show);
    return join->op.admission.relay_number - 1;
}

static void meetings_of_different_groups_keep_to_their_own_rules(void **state)
{
    (void)state;
    /* Twice round: the second time some are found again, and some have been crowded out. */
    for (int i = 0; i < 2 * GROUPS; i++) {
        char user[64];
        snprintf(user, sizeof user, "g%d@chu-lyon.example", i % GROUPS);
        struct bw_id meeting = create_as(user, NULL);
        /* From Switzerland, and yet in Paris or Lyon when the group says so. */
        uint32_t relay = lands_on(&meeting, "CH");
        if (i % GROUPS % 2)
            assert_int_equal(relay, BW_ZRH1);
        else
            assert_true(relay == BW_PAR1 || relay == BW_LYS1);
        scene_end(&scene, &meeting);
    }
}

static void a_meetings_own_document_concerns_that_meeting_alone(void **state)
{
    (void)state;
    struct bw_id first = create_as("a@chu-lyon.example", NULL);
    assert_int_equal(lands_on(&first, "CH"), BW_ZRH1);
    struct bw_id narrowed = create_as(
        "a@chu-lyon.example", "apiVersion: bailiwick/v1\nkind: MeetingPolicy\ntransit: { allow: [FR] }\n");
    assert_int_not_equal(lands_on(&narrowed, "CH"), BW_ZRH1);
    struct bw_id last = create_as("a@chu-lyon.example", NULL);
    assert_int_equal(lands_on(&last, "CH"), BW_ZRH1);
    assert_int_not_equal(lands_on(&narrowed, "CH"), BW_ZRH1);
}

static void a_new_policy_reaches_every_meeting_that_shared_the_old_one(void **state)
{
    (void)state;
    struct bw_id meetings[3];
    for (int i = 0; i < 3; i++) {
        meetings[i] = create_as("a@chu-lyon.example", NULL);
        assert_int_equal(lands_on(&meetings[i], "CH"), BW_ZRH1);
    }
    write_policy("[EU]");
    assert_true(bw_headless_publish(&scene.world, "chu-lyon", 2, policy));
    bw_headless_settle(&scene.world);
    for (int i = 0; i < 3; i++) {
        assert_int_not_equal(lands_on(&meetings[i], "CH"), BW_ZRH1);
    }
    struct bw_id fresh = create_as("a@chu-lyon.example", NULL);
    assert_int_not_equal(lands_on(&fresh, "CH"), BW_ZRH1);
}

static void new_facts_reach_every_meeting_that_shared_the_old_ones(void **state)
{
    (void)state;
    struct bw_id meetings[2] = {create_as("a@chu-lyon.example", NULL), create_as("a@chu-lyon.example", NULL)};
    for (int i = 0; i < 2; i++)
        assert_int_equal(lands_on(&meetings[i], "CH"), BW_ZRH1);
    scene.world.relays[BW_ZRH1].country = "US";
    scene.world.facts_revision++;
    assert_true(bw_headless_publish_fleet(&scene.world));
    bw_headless_settle(&scene.world);
    for (int i = 0; i < 2; i++)
        assert_int_not_equal(lands_on(&meetings[i], "CH"), BW_ZRH1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(meetings_of_different_groups_keep_to_their_own_rules),
        TEST(a_meetings_own_document_concerns_that_meeting_alone),
        TEST(a_new_policy_reaches_every_meeting_that_shared_the_old_one),
        TEST(new_facts_reach_every_meeting_that_shared_the_old_ones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
