/* A meeting whose policy cannot be compiled any more: nobody is let in, and everybody can leave. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

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
    if (!ask->done || ask->op.error.code != BW_OK)
        fail_msg("%s: %s", bw_code_name(ask->op.error.code), ask->op.error.show);
}

static const char hop_only[] = "apiVersion: bailiwick/v1\n"
                               "kind: TenantPolicy\n"
                               "tenant: chu-lyon\n"
                               "residency: { atRest: eu }\n"
                               "entry: { allow: [\"*\"], unknown: allow }\n"
                               "transit: { allow: [EU, CH], operators: { allowJurisdictions: [EU, CH] } }\n"
                               "e2ee: { mode: forbidden }\n"
                               "connectors: { allow: [] }\n";

/* Its own document requires what the tenant's next revision forbids. */
static struct bw_id create_narrowed(void)
{
    static const char narrowed[] = "apiVersion: bailiwick/v1\n"
                                   "kind: MeetingPolicy\n"
                                   "e2ee: { mode: required }\n";
    struct bw_id meeting = bw_headless_new_id(&scene.world);
    struct ask *ask = scene_ask(&scene, BW_OP_CREATE, &meeting);
    ask->op.create = (struct bw_op_create){
        .tenant_name = "chu-lyon", .user = "dr.x@chu-lyon.example", .override_yaml = narrowed};
    well(scene_do(&scene, ask));
    return meeting;
}

static void forbid(void)
{
    assert_true(bw_headless_publish(&scene.world, "chu-lyon", 2, hop_only));
    bw_headless_settle(&scene.world);
}

static void restart(void)
{
    assert_true(bw_headless_restart(&scene.world));
    forbid();
}

static void without_the_policy_people_leave_and_a_meeting_ends(void **state)
{
    (void)state;
    struct bw_id meeting = create_narrowed(), other = create_narrowed();
    struct ask *one = scene_join(&scene, &meeting, "FR");
    well(one);
    well(scene_join(&scene, &meeting, "FR"));
    well(scene_join(&scene, &other, "DE"));
    const struct bw_id entry = one->op.admission.entry;
    forbid();
    for (int restarted = 0; restarted < 2; restarted++) {
        if (restarted)
            restart();
        struct ask *join = scene_join(&scene, &meeting, "FR");
        assert_int_equal(join->op.error.code, BW_FAILED_PRECONDITION);
        assert_string_equal(join->op.error.reason, "POLICY_CONTRADICTION");
    }
    well(scene_leave(&scene, &meeting, &entry));
    assert_int_equal(scene_people(&scene, &meeting), 1);
    struct ask *end = scene_end(&scene, &other);
    well(end);
    assert_int_equal(end->decision->kind, BW_DECISION_ENDED);
    assert_int_equal(end->decision->policy_revision, 2);
    assert_int_equal(scene.world.loads, 0); /* nothing was stale */
}

static void an_empty_meeting_ends_without_its_policy(void **state)
{
    (void)state;
    struct bw_id meeting = create_narrowed();
    forbid();
    restart();
    for (int i = 0; i < 40; i++)
        bw_headless_pass(&scene.world, 1000);
    assert_int_equal(bw_headless_rows(&scene.world, &meeting), 2);
    assert_int_equal(scene.world.loads, 0);
    struct ask *end = scene_end(&scene, &meeting);
    assert_string_equal(end->op.error.reason, "MEETING_ENDED");
}

static void a_policy_that_can_be_obeyed_lets_people_in_again(void **state)
{
    (void)state;
    struct bw_id meeting = create_narrowed();
    struct ask *one = scene_join(&scene, &meeting, "FR"), *two = scene_join(&scene, &meeting, "FR");
    well(one);
    well(two);
    forbid();
    well(scene_leave(&scene, &meeting, &one->op.admission.entry));
    /* The next revision can be obeyed. */
    assert_true(bw_headless_publish(&scene.world, "chu-lyon", 3, NULL));
    bw_headless_settle(&scene.world);
    well(scene_join(&scene, &meeting, "FR"));
    assert_int_equal(scene_people(&scene, &meeting), 2);
}

static void give_unread(uint32_t revision)
{
    struct bw_policy_set *set = bw_policy_set_create_unread(&scene.world.tenant, "chu-lyon", revision);
    struct bw_error err;
    assert_non_null(set);
    scene.world.policy_revision = revision;
    assert_int_equal(bw_owner_set_policy(scene.world.owner, set, &err), BW_OK);
    bw_policy_set_release(set);
    bw_headless_settle(&scene.world);
}

static void a_revision_that_cannot_be_read_lets_nobody_in_and_everybody_out(void **state)
{
    (void)state;
    struct bw_id meeting = scene_create(&scene), other = scene_create(&scene);
    struct ask *one = scene_join(&scene, &meeting, "FR");
    well(one);
    const struct bw_id entry = one->op.admission.entry;
    well(scene_join(&scene, &other, "FR"));
    assert_true(bw_headless_restart(&scene.world));
    give_unread(2);
    struct ask *join = scene_join(&scene, &meeting, "FR");
    assert_int_equal(join->op.error.code, BW_FAILED_PRECONDITION);
    assert_string_equal(join->op.error.reason, "POLICY_NOT_READ");
    struct bw_id young = bw_headless_new_id(&scene.world);
    struct ask *create = scene_ask(&scene, BW_OP_CREATE, &young);
    create->op.create = (struct bw_op_create){.tenant_name = "chu-lyon", .user = "dr.x@chu-lyon.example"};
    scene_do(&scene, create);
    assert_int_equal(create->op.error.code, BW_FAILED_PRECONDITION);
    assert_string_equal(create->op.error.reason, "POLICY_NOT_READ");
    well(scene_leave(&scene, &meeting, &entry));
    well(scene_end(&scene, &other));
    assert_int_equal(scene.world.loads, 0);
    /* Read at last, it rules. */
    assert_true(bw_headless_publish(&scene.world, "chu-lyon", 2, NULL));
    bw_headless_settle(&scene.world);
    well(scene_join(&scene, &meeting, "FR"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(without_the_policy_people_leave_and_a_meeting_ends),
        TEST(an_empty_meeting_ends_without_its_policy),
        TEST(a_revision_that_cannot_be_read_lets_nobody_in_and_everybody_out),
        TEST(a_policy_that_can_be_obeyed_lets_people_in_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
