/* What stays where it should not be: people whom onPolicyChange keeps on a relay that is forbidden now,
 * people on a draining relay that have nowhere to go, people from where nobody may join any more. And what
 * others are told of a meeting while something about it is not durable yet. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "scene.h"

enum { PAR1 = BW_PAR1 + 1, LYS1 = BW_LYS1 + 1, FRA1 = BW_FRA1 + 1 };

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

static void publish_fleet(void)
{
    assert_true(bw_headless_publish_fleet(&scene.world));
    bw_headless_settle(&scene.world);
}

static void publish(uint32_t revision, const char *entry, const char *transit, const char *change)
{
    char yaml[1024];
    snprintf(yaml, sizeof yaml,
             "apiVersion: bailiwick/v1\n"
             "kind: TenantPolicy\n"
             "tenant: chu-lyon\n"
             "residency: { atRest: eu }\n"
             "entry: { allow: [\"*\"], deny: [%s], unknown: allow }\n"
             "transit: { allow: [%s], operators: { allowJurisdictions: [EU, CH] }, onPolicyChange: %s }\n"
             "e2ee: { mode: preferred, downgrade: with-consent }\n"
             "connectors: { allow: [] }\n",
             entry, transit, change);
    assert_true(bw_headless_publish(&scene.world, "chu-lyon", revision, yaml));
    bw_headless_settle(&scene.world);
}

/* Leaves this much room in the book. */
static void hold(size_t relay, uint32_t room)
{
    uint32_t number = (uint32_t)relay + 1;
    bw_book_withdraw(scene.world.book, number, bw_book_room(scene.world.book, number));
    bw_book_add(scene.world.book, number, room);
}

static size_t moves(size_t *lingering)
{
    size_t count = 0;
    for (size_t i = 0; i < scene.world.change_count; i++) {
        if (scene.world.changes[i].kind == BW_DECISION_MOVED) {
            count++;
            *lingering = scene.world.changes[i].lingering;
        }
    }
    return count;
}

static void who_is_kept_on_a_forbidden_relay_moves_when_somebody_new_needs_a_link(void **state)
{
    (void)state;
    struct bw_id meeting = scene_create(&scene);
    struct ask *german = scene_join(&scene, &meeting, "DE"), *other = scene_join(&scene, &meeting, "DE");
    well(german);
    well(other);
    assert_int_equal(german->op.admission.relay_number, FRA1);
    publish(2, "KP", "FR", "keep");
    bw_headless_pass(&scene.world, 5000);
    assert_int_equal(scene_relay_of(&scene, &meeting, &german->op.admission.entry), FRA1);
    struct ask *join = scene_join(&scene, &meeting, "FR");
    well(join);
    assert_true(join->op.admission.relay_number <= LYS1);
    assert_true(scene_relay_of(&scene, &meeting, &german->op.admission.entry) <= LYS1);
    assert_true(scene_relay_of(&scene, &meeting, &other->op.admission.entry) <= LYS1);
    assert_int_equal(bw_book_taken(scene.world.book, FRA1), 0);
    size_t lingering = 0;
    assert_int_equal(moves(&lingering), 1);
    assert_int_equal(lingering, 2); /* they change over in their own time */
}

static void nobody_new_is_linked_to_who_cannot_move(void **state)
{
    (void)state;
    struct bw_id meeting = scene_create(&scene);
    struct ask *german = scene_join(&scene, &meeting, "DE");
    well(german);
    well(scene_join(&scene, &meeting, "DE"));
    publish(2, "KP", "FR", "keep");
    hold(BW_PAR1, 1);
    hold(BW_LYS1, 0);
    scene.world.relays[BW_PAR1].capacity = 1;
    scene.world.relays[BW_LYS1].capacity = 0;
    publish_fleet();
    struct ask *join = scene_join(&scene, &meeting, "FR");
    assert_int_equal(join->op.error.code, BW_FAILED_PRECONDITION);
    assert_string_equal(join->op.error.reason, "NO_COMPLIANT_RELAY");
    assert_non_null(strstr(join->op.error.show, "kept on relay fra1"));
    assert_true(join->decision->reasons & BW_REASON_BIT(BW_REASON_LEG_FORBIDDEN));
    assert_int_equal(scene_relay_of(&scene, &meeting, &german->op.admission.entry), FRA1);
    size_t lingering;
    assert_int_equal(moves(&lingering), 0);
    assert_int_equal(bw_book_taken(scene.world.book, PAR1), 0);
}

/* Two on par1, which drains; lys1 is full of others, and nothing else is there. */
static struct bw_id two_on_a_draining_relay(struct bw_id *others, struct ask **leaver)
{
    for (size_t i = 0; i < BW_HEADLESS_RELAYS; i++)
        hold(i, 0);
    hold(BW_LYS1, 2);
    *others = scene_create(&scene);
    *leaver = scene_join(&scene, others, "FR");
    well(*leaver);
    well(scene_join(&scene, others, "FR"));
    hold(BW_PAR1, 2);
    struct bw_id meeting = scene_create(&scene);
    well(scene_join(&scene, &meeting, "FR"));
    well(scene_join(&scene, &meeting, "FR"));
    for (size_t i = 0; i < BW_HEADLESS_RELAYS; i++)
        scene.world.relays[i].capacity = i == BW_LYS1 || i == BW_PAR1 ? 2 : 0;
    scene.world.relays[BW_PAR1].state = BW_RELAY_DRAINING;
    publish_fleet();
    return meeting;
}

static void people_on_a_draining_relay_go_when_a_place_comes_free(void **state)
{
    (void)state;
    struct bw_id others;
    struct ask *leaver;
    two_on_a_draining_relay(&others, &leaver);
    for (int i = 0; i < 20; i++)
        bw_headless_pass(&scene.world, 1000);
    assert_int_equal(bw_book_taken(scene.world.book, PAR1), 2);
    well(scene_leave(&scene, &others, &leaver->op.admission.entry));
    for (int i = 0; i < 6; i++)
        bw_headless_pass(&scene.world, 1000);
    assert_int_equal(bw_book_taken(scene.world.book, PAR1), 1);
    assert_int_equal(bw_book_taken(scene.world.book, LYS1), 2);
    well(scene_end(&scene, &others));
    for (int i = 0; i < 6; i++)
        bw_headless_pass(&scene.world, 1000);
    assert_int_equal(bw_book_taken(scene.world.book, PAR1), 0);
    assert_int_equal(bw_book_taken(scene.world.book, LYS1), 2);
}

static void looking_again_decides_nothing_by_itself(void **state)
{
    (void)state;
    struct bw_id others;
    struct ask *leaver;
    struct bw_id meeting = two_on_a_draining_relay(&others, &leaver);
    uint32_t rows = bw_headless_rows(&scene.world, &meeting);
    for (int i = 0; i < 60; i++)
        bw_headless_pass(&scene.world, 1000);
    assert_int_equal(bw_headless_rows(&scene.world, &meeting), rows);
}

static void a_tightened_entry_removes_who_is_in_from_there(void **state)
{
    (void)state;
    struct bw_id meeting = scene_create(&scene);
    struct ask *german = scene_join(&scene, &meeting, "DE"), *french = scene_join(&scene, &meeting, "FR");
    well(german);
    well(french);
    publish(2, "KP, DE", "EU, CH", "{ drain: 20s }");
    for (int i = 0; i < 15; i++)
        bw_headless_pass(&scene.world, 1000);
    assert_int_equal(scene_people(&scene, &meeting), 2);
    for (int i = 0; i < 10; i++)
        bw_headless_pass(&scene.world, 1000);
    assert_int_equal(scene_relay_of(&scene, &meeting, &german->op.admission.entry), 0);
    assert_int_not_equal(scene_relay_of(&scene, &meeting, &french->op.admission.entry), 0);
    assert_int_equal(scene.world.changes[scene.world.change_count - 1].kind, BW_DECISION_LEFT);
    publish(3, "KP, FR", "EU, CH", "evict");
    assert_int_equal(scene_people(&scene, &meeting), 0);
}

/* The board's own rule, when its people attend. */
static void publish_board(uint32_t revision, const char *allow, const char *change)
{
    char yaml[1024];
    snprintf(yaml, sizeof yaml,
             "apiVersion: bailiwick/v1\n"
             "kind: TenantPolicy\n"
             "tenant: chu-lyon\n"
             "residency: { atRest: eu }\n"
             "entry: { allow: [\"*\"], unknown: allow }\n"
             "transit: { allow: [EU, CH], operators: { allowJurisdictions: [EU, CH] }, onPolicyChange: %s }\n"
             "e2ee: { mode: preferred, downgrade: with-consent }\n"
             "connectors: { allow: [] }\n"
             "groups:\n"
             "  - name: board\n"
             "    applies: attended\n"
             "    match: { members: [\"user:*@board.chu-lyon.example\"] }\n"
             "    transit: { allow: [%s] }\n",
             change, allow);
    assert_true(bw_headless_publish(&scene.world, "chu-lyon", revision, yaml));
    bw_headless_settle(&scene.world);
}

static void a_tightened_rule_of_ones_own_makes_one_leave(void **state)
{
    (void)state;
    publish_board(2, "EU, CH", "{ drain: 20s }");
    struct bw_id meeting = scene_create(&scene);
    struct ask *other = scene_join(&scene, &meeting, "FR");
    well(other);
    struct ask *member = scene_ask(&scene, BW_OP_JOIN, &meeting);
    member->op.join = other->op.join;
    member->op.join.user = "chair@board.chu-lyon.example";
    well(scene_do(&scene, member));
    assert_int_equal(member->decision->level_count, 1);
    assert_string_equal(member->decision->levels[0], "group:board");
    assert_int_equal(other->decision->level_count, 0);
    /* Kept across a restart; and whatever changes, they stay as long as the rule is fulfilled. */
    const struct bw_id entry = member->op.admission.entry;
    assert_true(bw_headless_restart(&scene.world));
    publish_board(3, "EU, CH", "{ drain: 20s }");
    assert_int_equal(scene_people(&scene, &meeting), 2);
    publish_board(4, "FR", "{ drain: 20s }");
    for (int i = 0; i < 15; i++)
        bw_headless_pass(&scene.world, 1000);
    assert_int_equal(scene_people(&scene, &meeting), 2);
    for (int i = 0; i < 10; i++)
        bw_headless_pass(&scene.world, 1000);
    assert_int_equal(scene_people(&scene, &meeting), 1);
    assert_int_equal(scene_relay_of(&scene, &meeting, &entry), 0);
    size_t lingering;
    assert_int_equal(moves(&lingering), 0);
    assert_int_equal(scene.world.changes[scene.world.change_count - 1].kind, BW_DECISION_LEFT);
}

/* ---- what is told to others ---- */

struct told {
    const struct bw_id *meeting;
    bool found;
    struct bw_meeting_head head;
    uint32_t on_par1;
};

static bool tell(void *context, const struct bw_meeting_head *head)
{
    struct told *told = context;
    if (!bw_id_equal(&head->id, told->meeting))
        return true;
    told->found = true;
    told->head = *head;
    for (size_t i = 0; i < head->relay_count; i++) {
        if (head->relays[i].number == PAR1)
            told->on_par1 = head->relays[i].members;
    }
    return true;
}

static struct told told_of(const struct bw_id *meeting)
{
    struct told told = {.meeting = meeting};
    bw_owner_each_committed(scene.world.owner, tell, &told);
    return told;
}

static void others_are_told_only_what_is_committed(void **state)
{
    (void)state;
    struct bw_id meeting = scene_create(&scene);
    struct ask *one = scene_join(&scene, &meeting, "FR");
    well(one);
    scene.world.hold_rows = true;
    struct ask *two = scene_join(&scene, &meeting, "FR");
    assert_false(two->done);
    struct told told = told_of(&meeting);
    assert_true(told.found);
    assert_int_equal(told.head.participants, 1);
    assert_int_equal(told.head.seq, 2);
    assert_int_equal(told.on_par1, 1);
    scene.world.hold_rows = false;
    bw_headless_settle(&scene.world);
    told = told_of(&meeting);
    assert_int_equal(told.head.participants, 2);
    assert_int_equal(told.on_par1, 2);

    /* An end that is not durable has not happened; nor has a creation. */
    scene.world.hold_rows = true;
    struct ask *end = scene_end(&scene, &meeting);
    assert_false(end->done);
    assert_false(told_of(&meeting).head.ended);
    assert_int_equal(told_of(&meeting).on_par1, 2);
    struct bw_id young = bw_headless_new_id(&scene.world);
    struct ask *create = scene_ask(&scene, BW_OP_CREATE, &young);
    create->op.create = (struct bw_op_create){.tenant_name = "chu-lyon", .user = "dr.x@chu-lyon.example"};
    scene_do(&scene, create);
    assert_false(told_of(&young).found);
    scene.world.hold_rows = false;
    bw_headless_settle(&scene.world);
    assert_true(told_of(&meeting).head.ended);
    assert_true(told_of(&young).found);
}

static void a_meeting_that_is_read_back_is_told_of_as_it_was(void **state)
{
    (void)state;
    struct bw_id meeting = scene_create(&scene);
    well(scene_join(&scene, &meeting, "FR"));
    scene.world.stale_rows = 1;
    scene.world.log_unreadable = true;
    struct ask *two = scene_join(&scene, &meeting, "FR");
    for (int i = 0; i < 3; i++)
        bw_headless_pass(&scene.world, 1000);
    assert_int_equal(two->op.error.code, BW_UNAVAILABLE);
    struct told told = told_of(&meeting);
    assert_true(told.found);
    assert_int_equal(told.on_par1, 1);
    scene.world.log_unreadable = false;
    for (int i = 0; i < 3; i++)
        bw_headless_pass(&scene.world, 1000);
    assert_int_equal(told_of(&meeting).head.participants, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(who_is_kept_on_a_forbidden_relay_moves_when_somebody_new_needs_a_link),
        TEST(nobody_new_is_linked_to_who_cannot_move),
        TEST(people_on_a_draining_relay_go_when_a_place_comes_free),
        TEST(looking_again_decides_nothing_by_itself),
        TEST(a_tightened_entry_removes_who_is_in_from_there),
        TEST(a_tightened_rule_of_ones_own_makes_one_leave),
        TEST(others_are_told_only_what_is_committed),
        TEST(a_meeting_that_is_read_back_is_told_of_as_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
