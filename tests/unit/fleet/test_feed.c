#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "check_alloc.h"
#include "fleet/feed.h"

static struct bw_id meeting_of(uint8_t n)
{
    struct bw_id id = {.bytes = {1, 2, 3}};
    id.bytes[15] = n;
    return id;
}

static struct bw_meeting_slot slot_of(uint8_t meeting, uint32_t slot)
{
    return (struct bw_meeting_slot){.meeting = meeting_of(meeting), .slot = slot, .meeting_epoch = 1};
}

static void put_slot(struct bw_feed *feed, uint64_t group, uint8_t meeting, uint32_t slot)
{
    struct bw_meeting_slot body = slot_of(meeting, slot);
    struct bw_upsert upsert = bw_upsert_slot(&body, group, 0);
    assert_int_equal(bw_feed_apply(feed, group, &upsert, 1, NULL, 0, NULL), BW_OK);
}

static void remove_slot(struct bw_feed *feed, uint64_t group, uint8_t meeting, uint32_t slot)
{
    struct bw_id id = meeting_of(meeting);
    struct bw_removal removal = {.id = bw_resource_id_slot(&id, slot), .version = group};
    assert_int_equal(bw_feed_apply(feed, group, NULL, 0, &removal, 1, NULL), BW_OK);
}

static void changes_of_one_id_coalesce_into_its_latest(void **state)
{
    (void)state;
    struct bw_feed *feed = bw_feed_create(0);
    put_slot(feed, 1, 1, 1);
    put_slot(feed, 2, 1, 2);
    put_slot(feed, 3, 1, 1);
    assert_int_equal(bw_feed_pending(feed, 0, 100), 2);
    const struct bw_feed_entry *entry = bw_feed_after(feed, 0);
    assert_int_equal(entry->version, 2);
    assert_int_equal(entry->newer->version, 3);
    assert_null(entry->newer->newer);
    assert_int_equal(bw_feed_turn_of(feed, 2), entry->turn);
    assert_int_equal(bw_feed_turn_of(feed, 1), 0); /* slot 1 of group 1 is only known as of group 3 */
    bw_feed_destroy(feed);
}

static void a_group_is_taken_once_and_a_lower_version_not_at_all(void **state)
{
    (void)state;
    struct bw_feed *feed = bw_feed_create(0);
    put_slot(feed, 5, 1, 1);
    uint64_t turn = bw_feed_turn(feed);
    put_slot(feed, 5, 1, 1);
    put_slot(feed, 4, 1, 9);
    assert_int_equal(bw_feed_turn(feed), turn);
    struct bw_meeting_slot body = slot_of(1, 1);
    struct bw_upsert old = bw_upsert_slot(&body, 5, 0);
    assert_int_equal(bw_feed_apply(feed, 6, &old, 1, NULL, 0, NULL), BW_OK);
    assert_int_equal(bw_feed_turn(feed), turn);
    assert_int_equal(bw_feed_head(feed), 6);
    bw_feed_destroy(feed);
}

static void tombstones_last_until_compaction(void **state)
{
    (void)state;
    struct bw_feed *feed = bw_feed_create(0);
    put_slot(feed, 1, 1, 1);
    put_slot(feed, 2, 1, 2);
    uint64_t before = bw_feed_turn(feed);
    remove_slot(feed, 3, 1, 1);
    assert_int_equal(bw_feed_live(feed), 1);
    assert_int_equal(bw_feed_tombstones(feed), 1);
    assert_true(bw_feed_after(feed, before)->removed);
    bw_feed_compact(feed, 2);
    assert_int_equal(bw_feed_tombstones(feed), 1);
    assert_true(bw_feed_covers(feed, before));
    bw_feed_compact(feed, 100);
    assert_int_equal(bw_feed_compaction(feed), 3); /* not past the head */
    assert_int_equal(bw_feed_tombstones(feed), 0);
    assert_false(bw_feed_covers(feed, before));
    assert_int_equal(bw_feed_live(feed), 1);
    bw_feed_destroy(feed);
}

static void the_digest_depends_on_the_set_and_not_on_its_history(void **state)
{
    (void)state;
    struct bw_feed *a = bw_feed_create(0), *b = bw_feed_create(10);
    put_slot(a, 1, 1, 1);
    put_slot(a, 2, 1, 2);
    put_slot(a, 3, 1, 3);
    remove_slot(a, 4, 1, 2);
    struct bw_meeting_slot third = slot_of(1, 3), first = slot_of(1, 1);
    struct bw_upsert upserts[] = {bw_upsert_slot(&third, 3, 0), bw_upsert_slot(&first, 1, 0)};
    assert_int_equal(bw_feed_apply(b, 11, upserts, 2, NULL, 0, NULL), BW_OK);
    struct bw_digest da = bw_feed_digest(a), db = bw_feed_digest(b);
    assert_true(bw_digest_equal(&da, &db));
    bw_feed_destroy(a);
    bw_feed_destroy(b);
}

static void keys_come_between_groups_and_removed_keys_survive_compaction(void **state)
{
    (void)state;
    struct bw_feed *feed = bw_feed_create(0);
    struct bw_grant_key key = {.key_id = {1}};
    struct bw_upsert upsert = bw_upsert_key(&key, 1);
    put_slot(feed, 7, 1, 1);
    uint64_t turn = bw_feed_turn(feed);
    assert_int_equal(bw_feed_apply_keys(feed, &upsert, 1, NULL, 0, NULL), BW_OK);
    assert_int_equal(bw_feed_head(feed), 7);
    assert_int_equal(bw_feed_after(feed, turn)->type, BW_RESOURCE_GRANT_KEY);
    struct bw_removal removal = {.id = upsert.id, .version = 2};
    assert_int_equal(bw_feed_apply_keys(feed, NULL, 0, &removal, 1, NULL), BW_OK);
    bw_feed_compact(feed, 7);
    assert_non_null(bw_feed_find(feed, &upsert.id));
    bw_feed_destroy(feed);
}

static void a_resource_that_does_not_fit_leaves_the_feed_as_it_was(void **state)
{
    (void)state;
    struct bw_feed *feed = bw_feed_create(0);
    struct bw_meeting_slot good = slot_of(1, 1), bad = slot_of(1, 2);
    struct bw_upsert upserts[] = {bw_upsert_slot(&good, 1, 0), bw_upsert_slot(&bad, 1, 0)};
    bad.slot = 3;
    struct bw_error err = {0};
    assert_int_equal(bw_feed_apply(feed, 1, upserts, 2, NULL, 0, &err), BW_INVALID_ARGUMENT);
    assert_int_equal(bw_feed_live(feed), 0);
    assert_int_equal(bw_feed_head(feed), 0);
    assert_null(bw_feed_find(feed, &upserts[0].id));
    bw_feed_destroy(feed);
}

static bool fill(void *context)
{
    (void)context;
    struct bw_feed *feed = bw_feed_create(0);
    if (feed == NULL)
        return false;
    struct bw_meeting_slot bodies[40];
    struct bw_upsert upserts[40];
    for (uint32_t i = 0; i < 40; i++) {
        bodies[i] = slot_of(1, i);
        upserts[i] = bw_upsert_slot(&bodies[i], 1, 0);
    }
    bool ok = true;
    for (size_t half = 0; half < 2 && ok; half++) {
        struct bw_digest before = bw_feed_digest(feed);
        size_t live = bw_feed_live(feed);
        ok = bw_feed_apply(feed, half + 1, upserts + half * 20, 20, NULL, 0, NULL) == BW_OK;
        if (!ok) { /* all or nothing */
            struct bw_digest after = bw_feed_digest(feed);
            assert_true(bw_digest_equal(&before, &after));
            assert_int_equal(bw_feed_live(feed), live);
            assert_int_equal(bw_feed_head(feed), half);
        }
    }
    bw_feed_destroy(feed);
    return ok;
}

static void a_batch_that_runs_out_of_memory_changes_nothing(void **state)
{
    (void)state;
    assert_true(bw_fail_each_allocation(fill, NULL, true) > 80);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(changes_of_one_id_coalesce_into_its_latest),
        cmocka_unit_test(a_group_is_taken_once_and_a_lower_version_not_at_all),
        cmocka_unit_test(tombstones_last_until_compaction),
        cmocka_unit_test(the_digest_depends_on_the_set_and_not_on_its_history),
        cmocka_unit_test(keys_come_between_groups_and_removed_keys_survive_compaction),
        cmocka_unit_test(a_resource_that_does_not_fit_leaves_the_feed_as_it_was),
        cmocka_unit_test(a_batch_that_runs_out_of_memory_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
