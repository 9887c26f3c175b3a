/* Who lives, as the hub sees it: sessions, leases, drains, and silences that are the hub's own fault. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "hub_rig.h"

static struct hub_rig *rig;

static int setup(void **state)
{
    (void)state;
    rig = calloc(1, sizeof *rig);
    return rig != NULL && hub_rig_init(rig, 3) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    hub_rig_finish(rig);
    free(rig);
    return 0;
}

static void start_all(unsigned relays)
{
    for (unsigned i = 0; i < relays; i++)
        assert_true(hub_rig_relay_start(rig, i));
    hub_rig_pass(rig, 5000);
    for (unsigned i = 0; i < relays; i++)
        assert_true(hub_rig_placeable(rig, i));
}

static void a_relay_that_says_hello_gets_placements(void **state)
{
    (void)state;
    assert_false(hub_rig_placeable(rig, 0));
    start_all(3);
    assert_int_equal(hub_rig_client(rig, 0).phase, BW_CLIENT_LIVE);
    assert_int_equal(atomic_load(&bw_hub_metrics(rig->hub)->sessions), 3);
    assert_int_equal(atomic_load(&bw_hub_metrics(rig->hub)->relays_serving), 3);
}

static void a_silent_relay_is_suspect_then_dead(void **state)
{
    (void)state;
    start_all(3);
    rig->relays[1].cut = true;
    hub_rig_pass(rig, 9000);
    assert_false(hub_rig_placeable(rig, 1));
    assert_int_equal(hub_rig_state(rig, 1), BW_RELAY_SERVING);
    hub_rig_pass(rig, 6000);
    assert_int_equal(hub_rig_state(rig, 1), BW_RELAY_DEAD);
    assert_false(rig->ever_dead[0]);
    rig->relays[1].cut = false;
    hub_rig_pass(rig, 40000); /* its own side has noticed, too, and comes back */
    assert_true(hub_rig_placeable(rig, 1));
}

static void a_relay_that_never_came_is_dead_after_the_start_grace(void **state)
{
    (void)state;
    hub_rig_pass(rig, 29000);
    assert_int_equal(hub_rig_state(rig, 2), BW_RELAY_SERVING); /* it may be on its way */
    hub_rig_pass(rig, 2000);
    assert_int_equal(hub_rig_state(rig, 2), BW_RELAY_DEAD);
}

/* A drain takes as long as its slowest call, and relays can open no session meanwhile. */
static void an_orderly_stop_kills_no_relay(void **state)
{
    (void)state;
    start_all(3);
    bw_hub_say_goodbye(rig->hub);
    hub_rig_pass(rig, 60000);
    for (unsigned i = 0; i < 3; i++)
        assert_false(rig->ever_dead[i]);
    assert_int_not_equal(hub_rig_client(rig, 0).phase, BW_CLIENT_LIVE);
}

/* A session that waits for the database when the daemon stops would be told nothing, and keep it from ending.
 */
static void a_session_that_is_being_opened_ends_with_an_orderly_stop(void **state)
{
    (void)state;
    start_all(1);
    rig->held = true;
    assert_true(hub_rig_relay_start(rig, 1));
    hub_rig_pass(rig, 1000);
    assert_int_equal(hub_rig_client(rig, 1).phase, BW_CLIENT_GREETED);
    bw_hub_say_goodbye(rig->hub);
    hub_rig_pass(rig, 100);
    rig->held = false;
    hub_rig_pass(rig, 1000);
    for (unsigned i = 0; i < 2; i++)
        assert_int_not_equal(hub_rig_client(rig, i).phase, BW_CLIENT_LIVE);
}

static void a_paused_daemon_kills_no_relay(void **state)
{
    (void)state;
    static const uint64_t leases[] = {10000, 120000}; /* with a long one the replica itself notices nothing */
    for (size_t i = 0; i < 3; i++)
        assert_true(hub_rig_relay_start(rig, (unsigned)i));
    for (size_t l = 0; l < 2; l++) {
        rig->lease_ms = leases[l];
        assert_true(hub_rig_restart(rig, NULL));
        hub_rig_pass(rig, 20000);
        hub_rig_pause(rig, 40000);
        bw_hub_turn(rig->hub); /* before it has read what came meanwhile */
        hub_rig_pass(rig, 30000);
        for (unsigned i = 0; i < 3; i++) {
            assert_false(rig->ever_dead[i]);
            assert_true(hub_rig_placeable(rig, i));
        }
    }
}

static void relays_are_not_dead_while_the_database_is_away(void **state)
{
    (void)state;
    start_all(3);
    rig->away = true;
    hub_rig_relay_kill(rig, 2); /* and one really is */
    hub_rig_pass(rig, 60000);
    for (unsigned i = 0; i < 3; i++)
        assert_false(rig->ever_dead[i]);
    rig->away = false;
    hub_rig_pass(rig, 45000);
    assert_true(hub_rig_placeable(rig, 0));
    assert_true(hub_rig_placeable(rig, 1));
    assert_int_equal(hub_rig_state(rig, 2), BW_RELAY_DEAD);
}

static void a_region_that_falls_silent_at_once_is_held(void **state)
{
    (void)state;
    for (unsigned i = 3; i < 6; i++)
        rig->relays[i].enrolled = true;
    rig->facts_revision++;
    (void)hub_rig_event(rig, BW_STORE_EVENT_FACTS);
    hub_rig_pass(rig, 1000);
    start_all(6);
    for (unsigned i = 0; i < 3; i++)
        rig->relays[i].cut = true;
    hub_rig_pass(rig, 30000);
    for (unsigned i = 0; i < 6; i++)
        assert_false(rig->ever_dead[i]);
    assert_false(hub_rig_placeable(rig, 0));
    assert_true(hub_rig_placeable(rig, 4));
}

static void a_relay_that_asks_to_drain_drains_whatever_else_changes(void **state)
{
    (void)state;
    start_all(3);
    bw_client_state_drain_request(rig->relays[0].client, "SIGTERM", 60000);
    hub_rig_pass(rig, 1000);
    assert_int_equal(hub_rig_state(rig, 0), BW_RELAY_DRAINING);
    hub_rig_set_state(rig, 1, BW_STORE_RELAY_CORDONED); /* facts of another one change */
    hub_rig_pass(rig, 2000);
    assert_int_equal(hub_rig_state(rig, 0), BW_RELAY_DRAINING);
    assert_int_equal(hub_rig_state(rig, 1), BW_RELAY_CORDONED);
    hub_rig_relay_kill(rig, 0);
    assert_true(hub_rig_relay_start(rig, 0)); /* its next process has nothing to do with that */
    hub_rig_pass(rig, 5000);
    assert_true(hub_rig_placeable(rig, 0));
}

static void an_operators_drain_is_told_and_called_off(void **state)
{
    (void)state;
    start_all(3);
    hub_rig_set_state(rig, 0, BW_STORE_RELAY_DRAINING);
    hub_rig_pass(rig, 1000);
    assert_true(rig->relays[0].told_to_drain);
    assert_int_equal(hub_rig_state(rig, 0), BW_RELAY_DRAINING);
    hub_rig_set_state(rig, 0, BW_STORE_RELAY_ENROLLED);
    hub_rig_pass(rig, 1000);
    assert_false(rig->relays[0].told_to_drain);
    assert_true(hub_rig_placeable(rig, 0));
}

static void a_removed_relay_loses_its_session(void **state)
{
    (void)state;
    start_all(3);
    hub_rig_set_state(rig, 2, BW_STORE_RELAY_REMOVED);
    hub_rig_pass(rig, 1000);
    assert_int_equal(rig->relays[2].lost_code, BW_PERMISSION_DENIED);
    assert_string_equal(rig->relays[2].lost_reason, "NOT_ENROLLED");
    unsigned before = rig->relays[2].lost;
    hub_rig_pass(rig, 30000);
    assert_true(rig->relays[2].lost > before); /* it tries again and is refused again */
    assert_int_not_equal(hub_rig_client(rig, 2).phase, BW_CLIENT_LIVE);
}

/* Two processes with one certificate: the newer session wins, the older one ends. */
static void a_newer_session_supersedes_the_older_one(void **state)
{
    (void)state;
    start_all(1);
    rig->relays[0].epoch++; /* another replica has taken the relay over */
    hub_rig_pass(rig, 3000);
    assert_int_equal(rig->relays[0].lost_code, BW_ABORTED);
    assert_string_equal(rig->relays[0].lost_reason, "SUPERSEDED");
    hub_rig_pass(rig, 5000);
    assert_true(hub_rig_placeable(rig, 0));
}

static void a_replica_that_was_taken_over_says_so(void **state)
{
    (void)state;
    start_all(1);
    rig->replica_taken_over = true;
    hub_rig_pass(rig, 5000);
    assert_true(rig->fenced > 0);
}

/* ---- events ---- */

static struct bw_relay_event refused_grant(void)
{
    return (struct bw_relay_event){
        .kind = BW_RELAY_EVENT_GRANT_REFUSED, .at_ms = 1800000000000, .code = "EXPIRED", .times = 1};
}

static void events_are_acknowledged_once_they_were_acted_on_and_no_others(void **state)
{
    (void)state;
    start_all(1);
    const struct bw_relay_event event = refused_grant();
    hub_rig_pass(rig, 5000);
    assert_int_equal(rig->relays[0].events_acked, 0); /* nothing was said, nothing is acknowledged */
    bw_client_state_event(rig->relays[0].client, &event);
    bw_client_state_event(rig->relays[0].client, &event);
    hub_rig_pass(rig, 5000);
    assert_int_equal(rig->relays[0].events_acked, 2);
}

static void another_process_of_the_relay_counts_its_events_anew(void **state)
{
    (void)state;
    start_all(1);
    const struct bw_relay_event event = refused_grant();
    for (int i = 0; i < 5; i++)
        bw_client_state_event(rig->relays[0].client, &event);
    hub_rig_pass(rig, 5000);
    assert_int_equal(rig->relays[0].events_acked, 5);
    hub_rig_relay_kill(rig, 0);
    assert_true(hub_rig_relay_start(rig, 0));
    hub_rig_pass(rig, 5000);
    bw_client_state_event(rig->relays[0].client, &event);
    hub_rig_pass(rig, 5000);
    assert_int_equal(rig->relays[0].events_acked, 1);
}

static void events_that_were_not_acknowledged_are_said_to_the_next_daemon(void **state)
{
    (void)state;
    start_all(1);
    const struct bw_relay_event event = refused_grant();
    for (int i = 0; i < 3; i++)
        bw_client_state_event(rig->relays[0].client, &event);
    rig->relays[0].cut = true; /* what it says goes nowhere */
    hub_rig_pass(rig, 100);
    rig->relays[0].cut = false;
    assert_true(hub_rig_restart(rig, NULL));
    hub_rig_pass(rig, 20000);
    assert_int_equal(rig->relays[0].events_acked, 3);
}

/* ---- escrow ---- */

static void escrow_whose_answer_was_lost_is_found_again(void **state)
{
    (void)state;
    start_all(1);
    assert_int_equal(bw_book_room(rig->book, 1), rig->relays[0].escrow);
    for (int i = 0; i < 6; i++)
        assert_true(bw_book_take(rig->book, 1));
    rig->lost_answer = true;
    bw_hub_escrow_low(rig->hub, 1);
    hub_rig_pass(rig, 100);
    assert_true(bw_book_room(rig->book, 1) + 6 < rig->relays[0].escrow); /* granted, and nobody knows */
    bw_hub_escrow_low(rig->hub, 1);
    hub_rig_pass(rig, 100);
    assert_int_equal(bw_book_room(rig->book, 1) + 6, rig->relays[0].escrow);
}

static void grant(uint32_t relay, unsigned blocks)
{
    for (unsigned i = 0; i < blocks; i++) {
        while (bw_book_take(rig->book, relay))
            continue;
        bw_hub_escrow_low(rig->hub, relay);
        hub_rig_pass(rig, 100);
    }
}

static void everybody_leaves(uint32_t relay, uint32_t but)
{
    while (bw_book_taken(rig->book, relay) > but)
        bw_book_give(rig->book, relay);
}

static void slots_that_nobody_needs_go_back(void **state)
{
    (void)state;
    start_all(1);
    grant(1, 4);
    assert_int_equal(rig->relays[0].escrow, 40);
    hub_rig_pass(rig, 25000);
    assert_int_equal(rig->relays[0].escrow, 40); /* all but a block are in use */
    everybody_leaves(1, 5);
    hub_rig_pass(rig, 25000);
    assert_int_equal(bw_book_room(rig->book, 1), 8);
    assert_int_equal(rig->relays[0].escrow, 13);
}

static void slots_given_back_while_the_answer_was_lost_are_not_spent(void **state)
{
    (void)state;
    start_all(1);
    grant(1, 4);
    everybody_leaves(1, 5);
    rig->lost_answer = true;
    hub_rig_pass(rig, 25000);
    assert_int_equal(rig->relays[0].escrow, 13);
    while (bw_book_take(rig->book, 1))
        continue;
    bw_hub_escrow_low(rig->hub, 1);
    hub_rig_pass(rig, 100);
    assert_int_equal(bw_book_room(rig->book, 1) + bw_book_taken(rig->book, 1), rig->relays[0].escrow);
}

struct note {
    struct bw_mail mail;
    bool came;
};

static void note_came(struct bw_mail *mail)
{
    ((struct note *)mail)->came = true;
}

static void a_relay_that_is_to_be_smaller_gets_its_slots_back(void **state)
{
    (void)state;
    start_all(1);
    grant(1, 2);
    everybody_leaves(1, 5);
    assert_int_equal(rig->relays[0].escrow, 24);
    struct note note = {.mail.deliver = note_came};
    bw_hub_shrink_relay(rig->hub, rig->relays[0].name, 10, bw_hub_mailbox(rig->hub), &note.mail);
    hub_rig_pass(rig, 100);
    assert_true(note.came);
    assert_int_equal(rig->relays[0].escrow, 10);
    assert_int_equal(bw_book_room(rig->book, 1), 5);
    /* No more are asked for before it is smaller. */
    while (bw_book_take(rig->book, 1))
        continue;
    bw_hub_escrow_low(rig->hub, 1);
    hub_rig_pass(rig, 1000);
    assert_int_equal(rig->relays[0].escrow, 10);
    hub_rig_pass(rig, 5000);
    bw_hub_escrow_low(rig->hub, 1);
    hub_rig_pass(rig, 100);
    assert_int_equal(rig->relays[0].escrow, 18); /* it was not made smaller after all */
    /* What is in use does not go, and who asks is told all the same. */
    grant(1, 1);
    note.came = false;
    bw_hub_shrink_relay(rig->hub, rig->relays[0].name, 1, bw_hub_mailbox(rig->hub), &note.mail);
    bw_hub_escrow_low(rig->hub, 1);
    hub_rig_pass(rig, 100);
    assert_true(note.came);
    assert_int_equal(rig->relays[0].escrow, bw_book_taken(rig->book, 1));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(a_relay_that_says_hello_gets_placements),
        T(a_silent_relay_is_suspect_then_dead),
        T(a_relay_that_never_came_is_dead_after_the_start_grace),
        T(an_orderly_stop_kills_no_relay),
        T(a_session_that_is_being_opened_ends_with_an_orderly_stop),
        T(a_paused_daemon_kills_no_relay),
        T(relays_are_not_dead_while_the_database_is_away),
        T(a_region_that_falls_silent_at_once_is_held),
        T(a_relay_that_asks_to_drain_drains_whatever_else_changes),
        T(an_operators_drain_is_told_and_called_off),
        T(a_removed_relay_loses_its_session),
        T(a_newer_session_supersedes_the_older_one),
        T(a_replica_that_was_taken_over_says_so),
        T(events_are_acknowledged_once_they_were_acted_on_and_no_others),
        T(another_process_of_the_relay_counts_its_events_anew),
        T(events_that_were_not_acknowledged_are_said_to_the_next_daemon),
        T(escrow_whose_answer_was_lost_is_found_again),
        T(slots_that_nobody_needs_go_back),
        T(slots_given_back_while_the_answer_was_lost_are_not_spent),
        T(a_relay_that_is_to_be_smaller_gets_its_slots_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
