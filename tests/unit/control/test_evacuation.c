/* People leave a relay together: slots of other relays come in blocks, meetings are large, and what happens
 * to the fleet says nothing about a meeting's mode. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "scene.h"

enum { PAR1 = BW_PAR1 + 1, LYS1 = BW_LYS1 + 1 };

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

static void publish_fleet(void)
{
    assert_true(bw_headless_publish_fleet(&scene.world));
    bw_headless_settle(&scene.world);
}

/* Leaves `room` slots of a relay in this replica's book, of a capacity of `capacity`. */
static void hold(size_t relay, uint32_t room, uint32_t capacity)
{
    struct bw_book *book = scene.world.book;
    uint32_t number = (uint32_t)relay + 1;
    bw_book_withdraw(book, number, bw_book_room(book, number));
    bw_book_add(book, number, room);
    scene.world.relays[relay].capacity = capacity;
}

static void fill(const struct bw_id *meeting, size_t people)
{
    for (size_t i = 0; i < people; i++) {
        if (i % 10 == 0)
            bw_headless_pass(&scene.world, 6000); /* past the burst window */
        struct ask *join = scene_join(&scene, meeting, "FR");
        assert_true(join->done && join->op.error.code == BW_OK);
        assert_int_equal(join->op.admission.relay_number, PAR1);
        scene_forget(&scene, join);
    }
}

static void kill_par1(void)
{
    scene.world.relays[BW_PAR1].state = BW_RELAY_DEAD;
    scene.world.relays[BW_PAR1].connected = scene.world.relays[BW_PAR1].lease_ok = false;
    publish_fleet();
}

/* Ten people on par1, two slots of lys1 at hand, which has more; nothing anywhere else. */
static struct bw_id ten_on_par1(void)
{
    for (size_t i = 0; i < BW_HEADLESS_RELAYS; i++)
        hold(i, 0, 0);
    hold(BW_PAR1, 10, 10);
    publish_fleet();
    struct bw_id meeting = scene_create(&scene);
    fill(&meeting, 10);
    hold(BW_LYS1, 2, 100);
    scene.world.escrow_asked[BW_LYS1] = 0;
    return meeting;
}

static void people_of_a_dead_relay_wait_for_slots_that_were_asked_for(void **state)
{
    (void)state;
    struct bw_id meeting = ten_on_par1();
    kill_par1();
    assert_int_equal(scene_people(&scene, &meeting), 10);
    assert_int_equal(bw_book_taken(scene.world.book, LYS1), 2);
    assert_true(scene.world.escrow_asked[BW_LYS1] > 0);

    /* They come block by block, each time a little before patience ends. */
    for (uint32_t placed = 4; placed <= 10; placed += 2) {
        bw_headless_pass(&scene.world, 2000);
        assert_int_equal(scene_people(&scene, &meeting), 10);
        bw_book_add(scene.world.book, LYS1, 2);
        bw_owner_escrow_changed(scene.world.owner);
        bw_headless_settle(&scene.world);
        assert_int_equal(bw_book_taken(scene.world.book, LYS1), placed);
    }
    assert_int_equal(bw_book_taken(scene.world.book, PAR1), 0);
    bw_headless_pass(&scene.world, 10000);
    assert_int_equal(scene_people(&scene, &meeting), 10);
}

static void slots_that_never_come_are_not_waited_for_without_end(void **state)
{
    (void)state;
    struct bw_id meeting = ten_on_par1();
    kill_par1();
    for (int i = 0; i < 5; i++)
        bw_headless_pass(&scene.world, 1000);
    assert_int_equal(scene_people(&scene, &meeting), 2); /* onNoRelay: reject */
    assert_int_equal(bw_book_taken(scene.world.book, PAR1), 0);
    assert_int_equal(bw_book_taken(scene.world.book, LYS1), 2);
}

static void a_large_meeting_moves_as_one(void **state)
{
    (void)state;
    enum { PEOPLE = 1600 };
    for (size_t i = 0; i < BW_HEADLESS_RELAYS; i++)
        hold(i, 0, 0);
    hold(BW_PAR1, PEOPLE, PEOPLE);
    publish_fleet();
    struct bw_id meeting = scene_create(&scene);
    fill(&meeting, PEOPLE);
    hold(BW_LYS1, PEOPLE, PEOPLE);
    kill_par1();
    assert_int_equal(scene_people(&scene, &meeting), PEOPLE);
    assert_int_equal(bw_book_taken(scene.world.book, PAR1), 0);
    assert_int_equal(bw_book_taken(scene.world.book, LYS1), PEOPLE);
    assert_int_equal(scene.world.loads, 0); /* nothing failed on the way */
}

static size_t lingering_of_the_move(void)
{
    size_t lingering = SIZE_MAX;
    for (size_t i = 0; i < scene.world.change_count; i++) {
        if (scene.world.changes[i].kind == BW_DECISION_MOVED)
            lingering = scene.world.changes[i].lingering;
    }
    return lingering;
}

static void who_is_drained_off_a_relay_may_change_over(void **state)
{
    (void)state;
    struct bw_id meeting = scene_create(&scene);
    scene_join(&scene, &meeting, "FR");
    scene.world.relays[BW_PAR1].state = BW_RELAY_DRAINING;
    publish_fleet();
    assert_int_equal(lingering_of_the_move(), 1);
}

static void who_is_evicted_from_a_relay_leaves_it_at_once(void **state)
{
    (void)state;
    struct bw_id meeting = scene_create(&scene);
    scene_join(&scene, &meeting, "FR");
    static const char swiss[] = "apiVersion: bailiwick/v1\n"
                                "kind: TenantPolicy\n"
                                "tenant: chu-lyon\n"
                                "residency: { atRest: eu }\n"
                                "entry: { allow: [\"*\"] }\n"
                                "transit: { allow: [CH, FR], deny: [\"site:par1\"],\n"
                                "  operators: { allowJurisdictions: [EU, CH] }, onPolicyChange: evict }\n"
                                "e2ee: { mode: preferred }\n"
                                "connectors: { allow: [] }\n";
    assert_true(bw_headless_publish(&scene.world, "chu-lyon", 2, swiss));
    bw_headless_settle(&scene.world);
    assert_int_equal(scene_people(&scene, &meeting), 1);
    assert_int_equal(lingering_of_the_move(), 0);
}

static void a_relay_that_goes_leaves_an_announced_lowering_alone(void **state)
{
    (void)state;
    struct bw_id meeting = scene_create(&scene);
    struct ask *one = scene_join(&scene, &meeting, "FR"), *other = scene_join(&scene, &meeting, "FR");
    struct ask *ask = scene_mode(&scene, &meeting, BW_MODE_REQUEST_LOWER, &one->op.admission.entry, 0);
    assert_int_equal(ask->op.error.code, BW_OK);
    assert_int_equal(ask->op.mode.pending, BW_MODE_PENDING_LOWER);
    scene.world.relays[BW_ZRH1].state = BW_RELAY_CORDONED;
    publish_fleet();
    bw_headless_pass(&scene.world, 2000);
    uint32_t epoch = ask->op.mode.epoch + 1;
    scene_mode(&scene, &meeting, BW_MODE_CONSENT, &one->op.admission.entry, epoch);
    ask = scene_mode(&scene, &meeting, BW_MODE_CONSENT, &other->op.admission.entry, epoch);
    assert_int_equal(ask->op.error.code, BW_OK);
    assert_int_equal(ask->op.mode.mode, BW_MODE_HOP);
}

static void no_meeting_lives_longer_than_it_may(void **state)
{
    (void)state;
    struct bw_id meeting = scene_create(&scene);
    scene_join(&scene, &meeting, "FR");
    bw_headless_pass(&scene.world, 86000000);
    assert_int_equal(scene_people(&scene, &meeting), 1);
    bw_headless_pass(&scene.world, 400000);
    assert_int_equal(scene_people(&scene, &meeting), 0);
    assert_int_equal(scene.world.changes[scene.world.change_count - 1].kind, BW_DECISION_ENDED);
    assert_int_equal(bw_book_taken(scene.world.book, PAR1), 0);
}

static void a_closed_owner_answers_at_once(void **state)
{
    (void)state;
    struct bw_id meeting = scene_create(&scene);
    bw_owner_close(scene.world.owner);
    struct ask *late = scene_ask(&scene, BW_OP_READ, &meeting);
    scene_submit(&scene, late);
    assert_true(late->done);
    assert_int_equal(late->op.error.code, BW_UNAVAILABLE);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(people_of_a_dead_relay_wait_for_slots_that_were_asked_for),
        TEST(slots_that_never_come_are_not_waited_for_without_end),
        TEST(a_large_meeting_moves_as_one),
        TEST(who_is_drained_off_a_relay_may_change_over),
        TEST(who_is_evicted_from_a_relay_leaves_it_at_once),
        TEST(a_relay_that_goes_leaves_an_announced_lowering_alone),
        TEST(no_meeting_lives_longer_than_it_may),
        TEST(a_closed_owner_answers_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
