/* What a relay measures of each path that datagrams come on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "relay_world.h"

/* Loses every nth datagram of a type, from the first on. */
struct losing {
    uint8_t type;
    unsigned every, seen;
};

static bool lose(void *context, struct world_packet *packet)
{
    struct losing *losing = context;
    if (packet->len < BW_DATAGRAM_HEADER || packet->bytes[1] != losing->type)
        return true;
    return ++losing->seen % losing->every != 0;
}

struct found {
    uint32_t slot, peer_number;
    unsigned times, others;
    uint32_t rtt_us;
    struct bw_measure_interval interval;
};

static void look(void *context, const struct bw_relay_path *path)
{
    struct found *found = context;
    if (path->slot != found->slot || path->peer_number != found->peer_number) {
        found->others++;
        return;
    }
    found->times++;
    found->rtt_us = path->rtt_us;
    found->interval = bw_measure_interval(path->measure);
}

static struct found path_of(struct world *w, size_t relay, uint32_t slot, uint32_t peer_number)
{
    struct found found = {.slot = slot, .peer_number = peer_number};
    bw_relay_core_each_path(w->relays[relay].core, look, &found);
    return found;
}

static void talk(struct world *w, size_t person, unsigned times)
{
    for (unsigned i = 0; i < times; i++) {
        world_say(w, person, "0123456789");
        world_wait(w, 50);
    }
}

static void loss_on_the_way_to_the_relay_is_seen_there(void **state)
{
    struct world *w = *state;
    world_join(w, 0, 0, 1, 1);
    world_join(w, 1, 0, 1, 2);
    talk(w, 0, 10);
    assert_int_equal(path_of(w, 0, 1, 0).interval.packets_received, 10);
    struct losing losing = {.type = BW_DATAGRAM_DATA, .every = 5};
    w->tap = lose;
    w->tap_context = &losing;
    /* The copies to person 1 are DATA, too: of 8 sent, the 3rd and the 6th are lost on the way in. */
    talk(w, 0, 8);
    w->tap = NULL;
    talk(w, 0, 1); /* what was lost last shows when the next one comes */
    struct found found = path_of(w, 0, 1, 0);
    assert_int_equal(found.times, 1);
    assert_int_equal(found.interval.packets_lost + found.interval.packets_received, 9);
    assert_true(found.interval.packets_lost > 0);
    assert_int_equal(found.interval.bytes_received, found.interval.packets_received * 10);
    assert_int_equal(path_of(w, 0, 1, 0).interval.packets_received, 0); /* the interval has ended */
}

static void a_path_through_a_peer_is_measured_where_it_ends(void **state)
{
    struct world *w = *state;
    world_put_link(w, 0, 1, 1);
    world_join(w, 0, 0, 1, 1);
    world_join(w, 1, 1, 1, 2);
    struct losing losing = {.type = BW_DATAGRAM_LINK, .every = 4};
    w->tap = lose;
    w->tap_context = &losing;
    talk(w, 0, 20);
    w->tap = NULL;
    talk(w, 0, 1);
    assert_int_equal(path_of(w, 0, 1, 0).interval.packets_lost, 0); /* it was lost behind this relay */
    struct found found = path_of(w, 1, 1, w->relays[0].number);
    assert_int_equal(found.times, 1);
    assert_int_equal(found.interval.packets_received, 16);
    assert_int_equal(found.interval.packets_lost, 5);
    assert_int_equal(w->people[1].heard, 16);
}

static void who_joins_again_has_lost_nothing_in_between(void **state)
{
    struct world *w = *state;
    world_put_link(w, 0, 1, 1);
    world_join(w, 0, 0, 1, 1);
    world_join(w, 1, 1, 1, 2);
    talk(w, 0, 5);
    world_wait(w, 2000);
    struct bw_meeting_slot slot = world_slot(1, 1);
    struct bw_grant grant = world_grant(w, 0, &slot);
    world_person(w, 0, 0, &grant);
    world_run(w);
    assert_int_equal(w->people[0].endpoint.state, BW_MEDIA_CLIENT_ADMITTED);
    talk(w, 0, 5);
    struct found found = path_of(w, 1, 1, w->relays[0].number);
    assert_int_equal(found.interval.packets_received, 10);
    assert_int_equal(found.interval.packets_lost, 0);
}

static void what_was_measured_last_is_told_when_a_path_ends(void **state)
{
    struct world *w = *state;
    world_put_link(w, 0, 1, 1);
    world_join(w, 0, 0, 1, 1);
    world_join(w, 1, 1, 1, 2);
    talk(w, 0, 7);
    struct bw_id meeting = world_meeting(1);
    bw_relay_core_link_removed(w->relays[1].core, 0, &meeting, w->relays[0].number);
    assert_int_equal(w->relays[1].measured, 1);
    assert_int_equal(w->relays[1].measured_slot, 1);
    assert_int_equal(w->relays[1].measured_peer, w->relays[0].number);
    assert_int_equal(w->relays[1].measured_interval.packets_received, 7);
    struct bw_meeting_slot slot = world_slot(1, 1);
    world_remove_slot(w, 0, &slot);
    assert_int_equal(w->relays[0].measured, 1);
    assert_int_equal(w->relays[0].measured_peer, 0);
    assert_int_equal(w->relays[0].measured_interval.packets_received, 7);
}

static void waiting_at_the_relay_is_no_jitter(void **state)
{
    struct world *w = *state;
    world_join(w, 0, 0, 1, 1);
    for (unsigned i = 0; i < 20; i++) {
        /* Each second datagram lies 30 ms before the relay comes to it. */
        uint64_t waited_us = i % 2 * 30000;
        world_say(w, 0, "0123456789");
        w->now.mono_us += waited_us;
        w->now.waited_us = waited_us;
        world_run(w);
        w->now.mono_us -= waited_us;
        w->now.waited_us = 0;
        world_wait(w, 50);
    }
    struct found found = path_of(w, 0, 1, 0);
    assert_int_equal(found.interval.packets_received, 20);
    assert_int_equal(found.interval.jitter_us, 0);
}

static void round_trips_are_those_of_the_participants_pings(void **state)
{
    struct world *w = *state;
    world_join(w, 0, 0, 1, 1);
    talk(w, 0, 1);
    world_wait(w, 15000);
    /* The network of these tests delivers at once: the least that can be said. */
    assert_int_equal(path_of(w, 0, 1, 0).rtt_us, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(loss_on_the_way_to_the_relay_is_seen_there),
        TEST(a_path_through_a_peer_is_measured_where_it_ends),
        TEST(who_joins_again_has_lost_nothing_in_between),
        TEST(what_was_measured_last_is_told_when_a_path_ends),
        TEST(waiting_at_the_relay_is_no_jitter),
        TEST(round_trips_are_those_of_the_participants_pings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
