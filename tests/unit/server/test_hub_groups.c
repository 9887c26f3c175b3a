/* The decision log through the hub into the relays: order, gaps, what lingers, what is forgotten, links, and
 * what happens without memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "hub_rig.h"

static struct hub_rig *rig;

static int setup(void **state)
{
    (void)state;
    rig = calloc(1, sizeof *rig);
    if (rig == NULL || !hub_rig_init(rig, 3))
        return -1;
    for (unsigned i = 0; i < 3; i++) {
        if (!hub_rig_relay_start(rig, i))
            return -1;
    }
    hub_rig_pass(rig, 5000);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    hub_rig_finish(rig);
    free(rig);
    return 0;
}

static bool holds(unsigned relay, uint32_t slot)
{
    return rig->relays[relay].held[slot] != 0;
}

static void join(unsigned relay, uint32_t slot)
{
    const struct bw_hub_change change = hub_rig_join(rig, relay, slot);
    (void)hub_rig_commit(rig, &change, 1);
}

static void leave(unsigned relay, uint32_t slot)
{
    const struct bw_hub_change change = hub_rig_leave(rig, relay, slot, false);
    (void)hub_rig_commit(rig, &change, 1);
}

static void move(unsigned from, unsigned to, uint32_t slot)
{
    const struct bw_hub_change changes[] = {hub_rig_join(rig, to, slot),
                                            hub_rig_leave(rig, from, slot, true)};
    (void)hub_rig_commit(rig, changes, 2);
}

static void a_group_reaches_the_relay_it_concerns_and_no_other(void **state)
{
    (void)state;
    join(1, 5);
    assert_true(holds(1, 5));
    assert_false(holds(0, 5));
    leave(1, 5);
    assert_false(holds(1, 5));
    assert_int_equal(atomic_load(&bw_hub_metrics(rig->hub)->head_group), 0); /* measured with the next turn */
    hub_rig_pass(rig, 25);
    assert_int_equal(atomic_load(&bw_hub_metrics(rig->hub)->head_group), 2);
}

static void groups_that_arrive_out_of_order_are_applied_in_order(void **state)
{
    (void)state;
    const struct bw_hub_change first = hub_rig_join(rig, 0, 1), second = hub_rig_leave(rig, 0, 1, false);
    uint64_t a = hub_rig_commit_quietly(rig), b = hub_rig_commit_quietly(rig);
    bw_hub_group(rig->hub, b, &second, 1);
    hub_rig_pass(rig, 500); /* the index shows both, but these changes come from their workers alone */
    assert_false(holds(0, 1));
    bw_hub_group(rig->hub, a, &first, 1);
    hub_rig_pass(rig, 500);
    assert_false(holds(0, 1));
    assert_int_equal(atomic_load(&bw_hub_metrics(rig->hub)->head_group), b);
}

static void what_carries_no_slots_is_read_from_the_index(void **state)
{
    (void)state;
    (void)hub_rig_event(rig, BW_STORE_EVENT_TENANT);
    (void)hub_rig_event(rig, BW_STORE_EVENT_CREDENTIAL);
    join(2, 9);
    hub_rig_pass(rig, 100);
    assert_true(holds(2, 9));
}

/* The worker that published may not have heard that it was successful. */
static void a_policy_that_the_index_shows_is_read_back_until_it_is_there(void **state)
{
    (void)state;
    rig->policy_failures = 2;
    (void)hub_rig_event(rig, BW_STORE_EVENT_POLICY);
    hub_rig_pass(rig, 500);
    assert_int_equal(rig->policy_reads, 1);
    hub_rig_pass(rig, 3000);
    assert_int_equal(rig->policy_reads, 3);
    hub_rig_pass(rig, 5000);
    assert_int_equal(rig->policy_reads, 3);
    join(0, 1); /* and nobody waited for it */
    assert_true(holds(0, 1));
}

/* ---- what lingers ---- */

static void who_was_moved_may_stay_until_they_have_changed_over(void **state)
{
    (void)state;
    join(0, 4);
    move(0, 1, 4);
    hub_rig_pass(rig, 9000);
    assert_true(holds(0, 4) && holds(1, 4));
    hub_rig_pass(rig, 2000);
    assert_false(holds(0, 4));
    assert_true(holds(1, 4));
}

static void who_leaves_leaves_every_relay_at_once(void **state)
{
    (void)state;
    join(0, 4);
    move(0, 1, 4);
    move(1, 2, 4);
    hub_rig_pass(rig, 100);
    assert_true(holds(0, 4) && holds(1, 4) && holds(2, 4));
    leave(2, 4);
    hub_rig_pass(rig, 100);
    assert_false(holds(0, 4) || holds(1, 4) || holds(2, 4));
}

static void who_comes_back_is_not_removed_for_having_been_moved_away(void **state)
{
    (void)state;
    join(0, 4);
    move(0, 1, 4);
    hub_rig_pass(rig, 1000);
    move(1, 0, 4);
    hub_rig_pass(rig, 15000);
    assert_true(holds(0, 4));
    assert_false(holds(1, 4));
}

/* ---- what is forgotten ---- */

static void come_and_go(unsigned relay, unsigned times)
{
    for (unsigned i = 0; i < times; i++) {
        join(relay, 100 + i);
        leave(relay, 100 + i);
    }
}

static void removals_that_everybody_knows_of_are_forgotten(void **state)
{
    (void)state;
    come_and_go(0, 1500);
    hub_rig_pass(rig, 100);
    assert_true(atomic_load(&bw_hub_metrics(rig->hub)->feed_tombstones) >= 1500);
    hub_rig_pass(rig, 11000);
    assert_true(atomic_load(&bw_hub_metrics(rig->hub)->feed_tombstones) < 1024);
}

static void a_relay_that_was_away_meanwhile_still_loses_what_was_removed(void **state)
{
    (void)state;
    join(0, 50);
    hub_rig_pass(rig, 100);
    rig->relays[0].cut = true;
    hub_rig_pass(rig, 60000);
    leave(0, 50);
    join(0, 51);
    come_and_go(0, 1500);
    hub_rig_pass(rig, 30000);
    assert_true(atomic_load(&bw_hub_metrics(rig->hub)->feed_tombstones) < 1024);
    assert_true(holds(0, 50));
    rig->relays[0].cut = false;
    hub_rig_pass(rig, 40000);
    assert_false(holds(0, 50));
    assert_true(holds(0, 51));
}

/* ---- links ---- */

static void link_both(unsigned a, unsigned b)
{
    const struct bw_hub_change changes[] = {hub_rig_link(rig, a, b), hub_rig_link(rig, b, a)};
    (void)hub_rig_commit(rig, changes, 2);
}

static void a_link_has_a_new_key_when_one_end_comes_back(void **state)
{
    (void)state;
    link_both(0, 1);
    hub_rig_pass(rig, 100);
    uint64_t before = rig->relays[0].links[2];
    assert_int_not_equal(before, 0);
    hub_rig_relay_kill(rig, 1);
    assert_true(hub_rig_relay_start(rig, 1));
    hub_rig_pass(rig, 5000);
    assert_true(rig->relays[0].links[2] > before);
    assert_int_not_equal(rig->relays[1].links[1], 0);
}

/* A meeting on relays 0 and 1, one participant each, as recovery reads it. */
struct mesh {
    struct bw_meeting_relay relays[2];
    struct bw_member members[2];
    struct bw_member *slots[2];
    struct bw_meeting meeting;
};

static void make_mesh(struct mesh *mesh)
{
    *mesh = (struct mesh){
        .relays = {{.number = 1, .members = 1}, {.number = 2, .members = 1}},
        .members = {{.entry = {{1}}, .slot = 2, .relay = 1, .role = BW_ROLE_SPEAKER},
                    {.entry = {{2}}, .slot = 3, .relay = 2, .role = BW_ROLE_SPEAKER}},
    };
    mesh->slots[0] = &mesh->members[0];
    mesh->slots[1] = &mesh->members[1];
    mesh->meeting = (struct bw_meeting){.id = rig->meeting,
                                        .meeting_epoch = 1,
                                        .mode = {.mode = BW_MODE_E2EE, .epoch = 1},
                                        .relays = mesh->relays,
                                        .relay_count = 2,
                                        .slots = mesh->slots,
                                        .slot_count = 2};
}

static void a_restart_does_not_take_a_working_link_away(void **state)
{
    (void)state;
    link_both(0, 1);
    join(0, 2);
    join(1, 3);
    hub_rig_pass(rig, 100);
    struct mesh mesh;
    make_mesh(&mesh);
    rig->relays[1].cut = true; /* relay 1 finds the new daemon a little later */
    assert_true(hub_rig_restart(rig, &mesh.meeting));
    hub_rig_pass(rig, 1500);
    rig->relays[1].cut = false;
    assert_int_not_equal(hub_rig_client(rig, 0).phase, BW_CLIENT_LIVE); /* it waits for its peer */
    hub_rig_pass(rig, 16000);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(hub_rig_client(rig, i).phase, BW_CLIENT_LIVE);
        assert_int_equal(rig->relays[i].links_removed, 0);
        assert_int_equal(rig->relays[i].slots_removed, 0);
        assert_int_not_equal(rig->relays[i].links[2 - i], 0);
    }
}

static void a_peer_that_does_not_come_holds_nobody_up_for_long(void **state)
{
    (void)state;
    link_both(0, 1);
    join(0, 2);
    join(1, 3);
    hub_rig_relay_kill(rig, 1);
    struct mesh mesh;
    make_mesh(&mesh);
    assert_true(hub_rig_restart(rig, &mesh.meeting));
    hub_rig_pass(rig, 5000);
    assert_int_equal(hub_rig_client(rig, 0).phase, BW_CLIENT_LIVE);
    assert_true(holds(0, 2));
}

/* ---- without memory ---- */

/* Whatever cannot be had of memory, the hub either has the group or says that it is broken: it never goes on
 * without it. */
static void a_group_is_applied_or_the_process_ends(void **state)
{
    (void)state;
    bool struck = true;
    unsigned whole = 0;
    for (uint32_t nth = 1; struck; nth++) {
        assert_true(nth < 500);
        const struct bw_hub_change changes[] = {hub_rig_join(rig, 0, 100 + nth), hub_rig_link(rig, 0, 1),
                                                hub_rig_link(rig, 1, 0),
                                                hub_rig_leave(rig, 0, 99 + nth, true)};
        unsigned broken = rig->broken;
        uint64_t group = hub_rig_commit_quietly(rig);
        bw_alloc_fail_at(nth);
        bw_hub_group(rig->hub, group, changes, 4);
        (void)bw_mailbox_deliver(bw_hub_mailbox(rig->hub));
        struck = bw_alloc_failed() != 0;
        bw_alloc_fail_at(0);
        if (rig->broken > broken) {
            assert_true(hub_rig_restart(rig, NULL)); /* what a supervisor does then */
            hub_rig_pass(rig, 20000);
            continue;
        }
        hub_rig_pass(rig, 20000);
        whole++;
        assert_true(holds(0, 100 + nth));
        assert_false(holds(0, 99 + nth));
        assert_int_equal(atomic_load(&bw_hub_metrics(rig->hub)->head_group), rig->head);
    }
    assert_true(rig->broken >= 4);
    assert_true(whole >= 1);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(a_group_reaches_the_relay_it_concerns_and_no_other),
        T(groups_that_arrive_out_of_order_are_applied_in_order),
        T(what_carries_no_slots_is_read_from_the_index),
        T(a_policy_that_the_index_shows_is_read_back_until_it_is_there),
        T(who_was_moved_may_stay_until_they_have_changed_over),
        T(who_leaves_leaves_every_relay_at_once),
        T(who_comes_back_is_not_removed_for_having_been_moved_away),
        T(removals_that_everybody_knows_of_are_forgotten),
        T(a_relay_that_was_away_meanwhile_still_loses_what_was_removed),
        T(a_link_has_a_new_key_when_one_end_comes_back),
        T(a_restart_does_not_take_a_working_link_away),
        T(a_peer_that_does_not_come_holds_nobody_up_for_long),
        T(a_group_is_applied_or_the_process_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
