/* Admissions whose answers reached nobody are released, and nobody else is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "scene.h"

/* The headless grant lives for 60 s, and the place is held for another 60. */
enum { HELD_MS = 120000 };

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

struct seen {
    struct bw_watch watch;
    enum bw_decision_kind kind;
    uint8_t reason;
    struct bw_id entry;
};

static void changed(struct bw_watch *watch, const struct bw_change *change)
{
    struct seen *seen = (struct seen *)watch;
    seen->kind = change->decision.kind;
    seen->reason = change->decision.leave_reason;
    seen->entry = change->decision.entry;
}

static void over(struct bw_watch *watch)
{
    (void)watch;
}

static void watch(const struct bw_id *meeting, struct seen *seen)
{
    struct bw_error err;
    *seen = (struct seen){.watch = {.changed = changed, .ended = over}};
    assert_int_equal(bw_owner_watch(scene.world.owner, meeting, &seen->watch, &err), BW_OK);
}

/* Somebody else keeps the meeting alive. */
static struct ask *one_of_two(struct bw_id *meeting)
{
    *meeting = scene_create(&scene);
    well(scene_join(&scene, meeting, "FR"));
    struct ask *join = scene_join(&scene, meeting, "FR");
    well(join);
    return join;
}

static void whom_nobody_claims_leaves_when_its_grant_is_long_over(void **state)
{
    (void)state;
    struct bw_id meeting;
    struct ask *join = one_of_two(&meeting);
    struct seen seen;
    watch(&meeting, &seen);
    bw_owner_unclaimed(scene.world.owner, &meeting, &join->op.admission.entry);
    bw_headless_pass(&scene.world, HELD_MS - 1);
    assert_int_equal(scene_people(&scene, &meeting), 2);
    bw_headless_pass(&scene.world, 1);
    assert_int_equal(scene_people(&scene, &meeting), 1);
    assert_int_equal(seen.kind, BW_DECISION_LEFT);
    assert_int_equal(seen.reason, BW_LEAVE_UNCLAIMED);
    assert_memory_equal(&seen.entry, &join->op.admission.entry, sizeof seen.entry);
    assert_int_equal(bw_book_taken(scene.world.book, join->op.admission.relay_number), 1);
    bw_owner_unwatch(scene.world.owner, &seen.watch);
}

static void who_was_answered_stays(void **state)
{
    (void)state;
    struct bw_id meeting;
    one_of_two(&meeting);
    for (int i = 0; i < 10; i++)
        bw_headless_pass(&scene.world, HELD_MS);
    assert_int_equal(scene_people(&scene, &meeting), 2);
}

static void the_same_request_again_claims(void **state)
{
    (void)state;
    struct bw_id meeting;
    struct ask *join = one_of_two(&meeting);
    bw_owner_unclaimed(scene.world.owner, &meeting, &join->op.admission.entry);
    bw_headless_pass(&scene.world, HELD_MS - 1000);
    struct ask *again = scene_ask(&scene, BW_OP_JOIN, &meeting);
    again->op.join = join->op.join;
    again->op.request = join->op.request;
    memcpy(again->op.fingerprint, join->op.fingerprint, sizeof again->op.fingerprint);
    well(scene_do(&scene, again));
    assert_memory_equal(&again->op.admission.entry, &join->op.admission.entry, sizeof(struct bw_id));
    bw_headless_pass(&scene.world, HELD_MS);
    assert_int_equal(scene_people(&scene, &meeting), 2);
    /* Its answer was lost, too: the time begins anew. */
    bw_owner_unclaimed(scene.world.owner, &meeting, &again->op.admission.entry);
    bw_headless_pass(&scene.world, HELD_MS - 1);
    assert_int_equal(scene_people(&scene, &meeting), 2);
    bw_headless_pass(&scene.world, 1);
    assert_int_equal(scene_people(&scene, &meeting), 1);
}

static void a_renewal_claims_and_so_does_a_report(void **state)
{
    (void)state;
    struct bw_id meeting;
    struct ask *join = one_of_two(&meeting), *other = scene_join(&scene, &meeting, "FR");
    well(other);
    bw_owner_unclaimed(scene.world.owner, &meeting, &join->op.admission.entry);
    bw_owner_unclaimed(scene.world.owner, &meeting, &other->op.admission.entry);
    struct ask *renew = scene_ask(&scene, BW_OP_RENEW, &meeting);
    renew->op.leave.entry = join->op.admission.entry;
    well(scene_do(&scene, renew));
    well(scene_observe(&scene, &meeting, other, BW_OBSERVED_E2EE));
    bw_headless_pass(&scene.world, HELD_MS);
    assert_int_equal(scene_people(&scene, &meeting), 3);
}

static void an_error_in_place_of_the_grant_leaves_the_place_unclaimed(void **state)
{
    (void)state;
    struct bw_id meeting;
    one_of_two(&meeting);
    scene.world.signer_away = true;
    struct ask *join = scene_join(&scene, &meeting, "FR");
    assert_int_equal(join->op.error.code, BW_UNAVAILABLE);
    assert_int_equal(scene_people(&scene, &meeting), 3);
    bw_headless_pass(&scene.world, HELD_MS);
    assert_int_equal(scene_people(&scene, &meeting), 2);
}

static void a_release_that_does_not_commit_is_decided_again(void **state)
{
    (void)state;
    struct bw_id meeting;
    struct ask *join = one_of_two(&meeting);
    bw_owner_unclaimed(scene.world.owner, &meeting, &join->op.admission.entry);
    scene.world.stale_rows = 1;
    bw_headless_pass(&scene.world, HELD_MS);
    for (int i = 0; i < 3; i++)
        bw_headless_pass(&scene.world, 1000);
    assert_int_equal(scene.world.loads, 1);
    assert_int_equal(scene_people(&scene, &meeting), 1);
}

static void what_was_restored_counts_as_claimed(void **state)
{
    (void)state;
    struct bw_id meeting;
    struct ask *join = one_of_two(&meeting);
    bw_owner_unclaimed(scene.world.owner, &meeting, &join->op.admission.entry);
    assert_true(bw_headless_restart(&scene.world));
    assert_true(bw_headless_publish(&scene.world, "chu-lyon", 1, NULL));
    for (int i = 0; i < 3; i++)
        bw_headless_pass(&scene.world, HELD_MS);
    assert_int_equal(scene_people(&scene, &meeting), 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(whom_nobody_claims_leaves_when_its_grant_is_long_over),
        TEST(who_was_answered_stays),
        TEST(the_same_request_again_claims),
        TEST(a_renewal_claims_and_so_does_a_report),
        TEST(an_error_in_place_of_the_grant_leaves_the_place_unclaimed),
        TEST(a_release_that_does_not_commit_is_decided_again),
        TEST(what_was_restored_counts_as_claimed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
