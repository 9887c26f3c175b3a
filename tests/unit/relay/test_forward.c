#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/check.h"
#include "relay_world.h"

static void peers_carry_a_meeting_to_each_other_and_never_on(void **state)
{
    struct world *w = *state;
    world_put_link(w, 0, 1, 1);
    world_put_link(w, 1, 2, 1);
    world_put_link(w, 0, 2, 1);
    world_join(w, 0, 0, 1, 1);
    world_join(w, 1, 0, 1, 2);
    world_join(w, 2, 1, 1, 3);
    world_join(w, 3, 2, 1, 4);
    world_say(w, 0, "across");
    world_run(w);
    for (size_t i = 1; i <= 3; i++) {
        assert_int_equal(w->people[i].heard, 1); /* once: no relay passes on what a peer sent */
        assert_int_equal(w->people[i].last.sender, 1);
        assert_true(bw_view_equal_str(w->people[i].last.payload, "across"));
    }
    assert_int_equal(w->people[0].heard, 0);
    assert_int_equal(bw_relay_core_counters(w->relays[0].core)->to_peers, 2);
    assert_int_equal(bw_relay_core_counters(w->relays[1].core)->to_peers, 0);
    assert_int_equal(bw_relay_core_counters(w->relays[2].core)->to_peers, 0);
}

static void a_peer_that_is_not_in_the_set_is_not_heard(void **state)
{
    struct world *w = *state;
    world_put_link(w, 0, 1, 1);
    world_join(w, 0, 0, 1, 1);
    world_join(w, 2, 1, 1, 3);
    struct bw_id meeting = world_meeting(1);
    bw_relay_core_link_removed(w->relays[1].core, 0, &meeting, 1);
    world_say(w, 0, "not any more");
    world_run(w);
    assert_int_equal(w->people[2].heard, 0);
    assert_int_equal(world_dropped(w, 1, BW_DROP_UNKNOWN_LINK), 1);
    struct bw_revoke revoke = {.meeting = meeting, .meeting_epoch = 1, .peer_number = 2};
    bw_relay_core_revoke(w->relays[0].core, 0, &revoke, w->now);
    world_say(w, 0, "nor at all");
    world_run(w);
    assert_int_equal(world_dropped(w, 1, BW_DROP_UNKNOWN_LINK), 1); /* it was not even sent */
}

/* The last datagram somebody sent, kept for a test to send again. */
struct kept {
    struct bw_address to;
    struct world_packet packet;
    bool full;
};

static bool keep(void *context, struct world_packet *packet)
{
    struct kept *kept = context;
    if (bw_address_equal(&packet->to, &kept->to) && packet->bytes[1] != BW_DATAGRAM_PING) {
        kept->packet = *packet;
        kept->full = true;
    }
    return true;
}

static void what_was_heard_once_is_not_heard_again(void **state)
{
    struct world *w = *state;
    world_put_link(w, 0, 1, 1);
    world_join(w, 0, 0, 1, 1);
    world_join(w, 1, 0, 1, 2);
    world_join(w, 2, 1, 1, 3);
    const struct bw_address ways[] = {w->relays[0].address, w->relays[1].address, w->people[1].address,
                                      w->people[2].address};
    for (size_t i = 0; i < BW_ARRAY_LEN(ways); i++) {
        struct kept kept = {.to = ways[i]};
        w->tap = keep;
        w->tap_context = &kept;
        world_say(w, 0, "once");
        world_run(w);
        w->tap = NULL;
        assert_true(kept.full);
        unsigned heard1 = w->people[1].heard, heard2 = w->people[2].heard;
        world_inject(w, &kept.packet.from, &kept.packet.to, kept.packet.bytes, kept.packet.len);
        world_run(w);
        assert_int_equal(w->people[1].heard, heard1);
        assert_int_equal(w->people[2].heard, heard2);
    }
    assert_int_equal(world_dropped(w, 0, BW_DROP_REPLAYED), 1);
    assert_int_equal(world_dropped(w, 1, BW_DROP_REPLAYED), 1);
    assert_int_equal(w->people[1].endpoint.replayed, 1);
    assert_int_equal(w->people[2].endpoint.replayed, 1);
}

static bool flip(void *context, struct world_packet *packet)
{
    const size_t *bit = context;
    if (packet->bytes[1] == BW_DATAGRAM_DATA || packet->bytes[1] == BW_DATAGRAM_LINK)
        packet->bytes[*bit / 8 % packet->len] ^= (uint8_t)(1u << (*bit % 8));
    return true;
}

static void a_changed_bit_is_not_forwarded(void **state)
{
    struct world *w = *state;
    world_put_link(w, 0, 1, 1);
    world_join(w, 0, 0, 1, 1);
    world_join(w, 1, 0, 1, 2);
    world_join(w, 2, 1, 1, 3);
    for (size_t bit = 0; bit < (BW_DATAGRAM_HEADER + 4) * 8; bit++) {
        w->tap = flip;
        w->tap_context = &bit;
        world_say(w, 0, "abcd");
        w->tap = NULL;
        world_run(w);
    }
    assert_int_equal(w->people[1].heard + w->people[2].heard, 0);
    assert_int_equal(bw_relay_core_counters(w->relays[0].core)->forwarded, 0);
    world_say(w, 0, "abcd");
    world_run(w);
    assert_int_equal(w->people[1].heard + w->people[2].heard, 2);
}

static void a_link_datagram_cannot_be_sent_back_where_it_came_from(void **state)
{
    struct world *w = *state;
    world_put_link(w, 0, 1, 1);
    world_join(w, 0, 0, 1, 1);
    world_join(w, 2, 1, 1, 3);
    struct kept kept = {.to = w->relays[1].address};
    w->tap = keep;
    w->tap_context = &kept;
    world_say(w, 0, "mirror");
    world_run(w);
    w->tap = NULL;
    world_inject(w, &w->relays[1].address, &w->relays[0].address, kept.packet.bytes, kept.packet.len);
    world_run(w);
    assert_int_equal(world_dropped(w, 0, BW_DROP_BAD_TAG), 1);
    assert_int_equal(w->people[0].heard, 0);
}

static void a_listener_is_not_heard(void **state)
{
    struct world *w = *state;
    struct bw_meeting_slot slot = world_slot(1, 1);
    slot.role = BW_ROLE_LISTENER;
    world_put_slot(w, 0, &slot);
    struct bw_grant grant = world_grant(w, 0, &slot);
    world_person(w, 0, 0, &grant);
    world_join(w, 1, 0, 1, 2);
    world_say(w, 0, "psst");
    world_say(w, 1, "lecture");
    world_run(w);
    assert_int_equal(w->people[1].heard, 0);
    assert_int_equal(w->people[0].heard, 1);
    assert_int_equal(world_dropped(w, 0, BW_DROP_NOT_A_SPEAKER), 1);
}

static void an_old_meeting_epoch_goes_nowhere(void **state)
{
    struct world *w = *state;
    world_join(w, 0, 0, 1, 1);
    world_join(w, 1, 0, 1, 2);
    w->people[0].endpoint.grant.meeting_epoch =
        2; /* a participant that says another epoch than it was granted */
    world_say(w, 0, "?");
    world_run(w);
    assert_int_equal(w->people[1].heard, 0);
    assert_int_equal(world_dropped(w, 0, BW_DROP_WRONG_EPOCH), 1);
    w->people[0].endpoint.grant.meeting_epoch = 1;
    w->people[0].endpoint.grant.slot = 2; /* … and another's slot */
    world_say(w, 0, "?");
    world_run(w);
    assert_int_equal(w->people[1].heard, 0);
    assert_int_equal(world_dropped(w, 0, BW_DROP_WRONG_SENDER), 1);
}

static void a_new_address_is_believed_only_after_a_cookie_round(void **state)
{
    struct world *w = *state;
    world_join(w, 0, 0, 1, 1);
    world_join(w, 1, 0, 1, 2);
    uint32_t channel = w->people[0].endpoint.channel;
    w->people[0].address.port = 6000; /* its NAT has forgotten it */
    world_say(w, 0, "from elsewhere");
    world_run(w);
    assert_int_equal(w->people[1].heard, 0);
    assert_int_equal(world_dropped(w, 0, BW_DROP_ADDRESS_CHANGED), 1);
    world_wait(w, 12000); /* pings go unanswered, RESUME, cookie, RESUME */
    assert_int_equal(w->people[0].endpoint.state, BW_MEDIA_CLIENT_ADMITTED);
    assert_int_equal(w->people[0].endpoint.channel, channel);
    assert_int_equal(bw_relay_core_counters(w->relays[0].core)->resumes, 1);
    world_say(w, 0, "here I am");
    world_say(w, 1, "welcome");
    world_run(w);
    assert_int_equal(w->people[1].heard, 1);
    assert_int_equal(w->people[0].heard, 1);
    assert_int_equal(w->relays[0].left, 0);
}

static void a_relay_that_started_again_is_noticed_and_joined_anew(void **state)
{
    struct world *w = *state;
    world_join(w, 0, 0, 1, 1);
    bw_relay_core_shutdown(w->relays[0].core, BW_REFUSAL_NONE); /* killed: nobody was told */
    w->relays[0].outbox.count = 0;
    w->people[0].endpoint.due_us = w->now.mono_us;
    world_run(w);
    assert_int_equal(w->people[0].endpoint.state, BW_MEDIA_CLIENT_ADMITTED);
    assert_int_equal(bw_relay_core_counters(w->relays[0].core)->joins, 2);
}

static void who_is_silent_for_long_has_left(void **state)
{
    struct world *w = *state;
    world_join(w, 0, 0, 1, 1);
    world_join(w, 1, 0, 1, 2);
    w->people[1].used = false; /* its cable was pulled */
    world_wait(w, 31000);
    assert_int_equal(w->people[0].endpoint.state, BW_MEDIA_CLIENT_ADMITTED);
    assert_int_equal(w->relays[0].left, 1);
    assert_int_equal(w->relays[0].left_why, BW_LEFT_SILENT);
    assert_int_equal(bw_relay_core_cell_status(w->relays[0].core, 0).participants, 1);
}

static void who_leaves_is_forgotten_at_once(void **state)
{
    struct world *w = *state;
    world_join(w, 0, 0, 1, 1);
    uint8_t out[BW_DATAGRAM_MAX];
    size_t len = bw_media_client_leave(&w->people[0].endpoint, out);
    world_inject(w, &w->people[0].address, &w->relays[0].address, out, len);
    world_inject(w, &w->people[0].address, &w->relays[0].address, out, len); /* twice is as good as once */
    world_run(w);
    assert_int_equal(w->relays[0].left, 1);
    assert_int_equal(bw_relay_core_cell_status(w->relays[0].core, 0).participants, 0);
    assert_int_equal(w->people[0].endpoint.refusal, BW_REFUSAL_LEFT);
}

static void a_flood_is_cut_to_its_rate_and_measured(void **state)
{
    struct world *w = *state;
    world_join(w, 0, 0, 1, 1);
    world_join(w, 1, 0, 1, 2);
    for (int i = 0; i < 6000; i++) {
        world_say(w, 0, "x");
        if (i % 100 == 0)
            world_run(w);
    }
    world_run(w);
    assert_int_equal(w->people[1].heard, 4000); /* the burst */
    assert_int_equal(world_dropped(w, 0, BW_DROP_RATE_LIMITED), 2000);
    world_wait(w, 1000);
    for (int i = 0; i < 3000; i++)
        world_say(w, 0, "x");
    world_run(w);
    assert_in_range(w->people[1].heard, 5990, 6010); /* a second of 2,000 more */
}

static void a_fan_out_larger_than_a_batch_reaches_everybody(void **state)
{
    struct world *w = *state;
    enum { CROWD = 400 };
    world_join(w, 0, 0, 1, 1);
    for (uint32_t i = 0; i < CROWD - 1; i++) /* all on one address: what counts is the copies */
        world_join(w, 1, 0, 1, 2 + i);
    uint64_t before = bw_relay_core_counters(w->relays[0].core)->forwarded;
    world_say(w, 0, "everybody");
    world_run(w);
    assert_int_equal(bw_relay_core_counters(w->relays[0].core)->forwarded - before, CROWD - 1);
}

static void garbage_is_dropped_and_counted(void **state)
{
    struct world *w = *state;
    world_join(w, 0, 0, 1, 1);
    world_join(w, 1, 0, 1, 2);
    uint8_t bytes[BW_DATAGRAM_MAX];
    uint64_t random = 99;
    for (int i = 0; i < 100000; i++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        size_t len = (random >> 40) % 200;
        for (size_t k = 0; k < len; k++)
            bytes[k] = (uint8_t)((random = random * 6364136223846793005u + 1442695040888963407u) >> 56);
        if (i % 2 == 0 && len >= 4) { /* half of it looks like ours */
            bytes[0] = BW_DATAGRAM_VERSION;
            bytes[1] = (uint8_t)(1 + bytes[1] % 13);
            bytes[2] = bytes[3] = 0;
            if (i % 4 == 0 && len >= 8) {
                uint32_t channel = w->people[0].endpoint.channel;
                for (size_t k = 0; k < 4; k++)
                    bytes[4 + k] = (uint8_t)(channel >> (24 - 8 * k));
            }
        }
        world_inject(w, &w->people[i % 3].address, &w->relays[0].address, bytes, len);
        world_run(w);
    }
    assert_int_equal(w->people[0].heard + w->people[1].heard, 0);
    assert_int_equal(bw_relay_core_counters(w->relays[0].core)->forwarded, 0);
    assert_int_equal(bw_relay_core_cell_status(w->relays[0].core, 0).participants, 2);
    assert_true(world_dropped(w, 0, BW_DROP_FOREIGN) > 10000);
    assert_true(world_dropped(w, 0, BW_DROP_BAD_TAG) > 100);
}

static void forwarding_allocates_nothing(void **state)
{
    struct world *w = *state;
    world_put_link(w, 0, 1, 1);
    world_join(w, 0, 0, 1, 1);
    world_join(w, 1, 0, 1, 2);
    world_join(w, 2, 1, 1, 3);
    world_say(w, 0, "the first of a sender makes room for it on the link and at who hears it");
    world_run(w);
    bw_alloc_fail_at(1);
    for (int i = 0; i < 100; i++)
        world_say(w, 0, "the others do not");
    world_run(w);
    int struck = bw_alloc_failed();
    bw_alloc_fail_at(0);
    assert_false(struck);
    assert_int_equal(w->people[1].heard, 101);
    assert_int_equal(w->people[2].heard, 101);
}

static void a_sender_that_joins_again_is_heard_at_once_and_its_past_is_not(void **state)
{
    struct world *w = *state;
    world_put_link(w, 0, 1, 1);
    world_join(w, 0, 0, 1, 1);
    world_join(w, 2, 1, 1, 3);
    for (int i = 0; i < 5; i++)
        world_say(w, 0, "before");
    world_run(w);
    struct bw_meeting_slot slot = world_slot(1, 1);
    struct bw_grant grant = world_grant(w, 0, &slot);
    world_person(w, 0, 0, &grant); /* started again, remembers nothing, within the same second */
    world_run(w);
    world_say(w, 0, "after");
    world_run(w);
    assert_int_equal(w->people[2].heard, 6);
    assert_true(bw_view_equal_str(w->people[2].last.payload, "after"));
}

static void everybody_is_told_when_the_relay_goes(void **state)
{
    struct world *w = *state;
    world_join(w, 0, 0, 1, 1);
    world_join(w, 1, 0, 2, 1);
    bw_relay_core_shutdown(w->relays[0].core, BW_REFUSAL_SHUTDOWN);
    bw_outbox_flush(&w->relays[0].outbox);
    world_run(w);
    assert_int_equal(w->people[0].endpoint.refusal, BW_REFUSAL_SHUTDOWN);
    assert_int_equal(w->people[1].endpoint.refusal, BW_REFUSAL_SHUTDOWN);
    struct bw_relay_cell_status status = bw_relay_core_cell_status(w->relays[0].core, 0);
    assert_int_equal(status.participants, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(peers_carry_a_meeting_to_each_other_and_never_on),
        TEST(a_peer_that_is_not_in_the_set_is_not_heard),
        TEST(what_was_heard_once_is_not_heard_again),
        TEST(a_changed_bit_is_not_forwarded),
        TEST(a_link_datagram_cannot_be_sent_back_where_it_came_from),
        TEST(a_listener_is_not_heard),
        TEST(an_old_meeting_epoch_goes_nowhere),
        TEST(a_new_address_is_believed_only_after_a_cookie_round),
        TEST(a_relay_that_started_again_is_noticed_and_joined_anew),
        TEST(who_is_silent_for_long_has_left),
        TEST(who_leaves_is_forgotten_at_once),
        TEST(a_flood_is_cut_to_its_rate_and_measured),
        cmocka_unit_test_setup_teardown(a_fan_out_larger_than_a_batch_reaches_everybody, world_setup_large,
                                        world_teardown),
        TEST(garbage_is_dropped_and_counted),
        TEST(forwarding_allocates_nothing),
        TEST(a_sender_that_joins_again_is_heard_at_once_and_its_past_is_not),
        TEST(everybody_is_told_when_the_relay_goes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
