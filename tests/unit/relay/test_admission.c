#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "relay_world.h"

static enum bw_media_state state_of(const struct world *w, size_t person)
{
    return w->people[person].endpoint.state;
}

static void who_fits_is_admitted_and_heard_by_the_others_only(void **state)
{
    struct world *w = *state;
    world_join(w, 0, 0, 1, 1);
    world_join(w, 1, 0, 1, 2);
    world_join(w, 2, 0, 1, 3);
    world_join(w, 3, 0, 2, 1); /* another meeting */
    world_say(w, 0, "hello");
    world_run(w);
    assert_int_equal(w->people[0].heard, 0);
    assert_int_equal(w->people[1].heard, 1);
    assert_int_equal(w->people[2].heard, 1);
    assert_int_equal(w->people[3].heard, 0);
    assert_int_equal(w->people[1].last.sender, 1);
    assert_true(bw_view_equal_str(w->people[1].last.payload, "hello"));
    assert_int_equal(w->relays[0].joined, 4);
    assert_int_equal(w->relays[0].provisional, 0);
}

/* One column a thing that can be wrong with a grant or with what the relay holds. */
struct refusal_case {
    const char *name;
    void (*spoil)(struct world *w, struct bw_grant *grant, struct bw_meeting_slot *slot);
    enum bw_refusal expected;
};

static void spoil_nothing(struct world *w, struct bw_grant *grant, struct bw_meeting_slot *slot)
{
    (void)w, (void)grant, (void)slot;
}
static void spoil_relay(struct world *w, struct bw_grant *grant, struct bw_meeting_slot *slot)
{
    (void)w, (void)slot;
    grant->relay = 2;
}
static void spoil_cell(struct world *w, struct bw_grant *grant, struct bw_meeting_slot *slot)
{
    (void)w, (void)slot;
    grant->cell = bw_grant_cell_id(bw_view_str("us"));
}
static void spoil_expiry(struct world *w, struct bw_grant *grant, struct bw_meeting_slot *slot)
{
    (void)slot;
    grant->not_before_ms = w->now.wall_ms - 100000;
    grant->expires_ms = w->now.wall_ms - 10000;
}
static void spoil_start(struct world *w, struct bw_grant *grant, struct bw_meeting_slot *slot)
{
    (void)slot;
    grant->not_before_ms = w->now.wall_ms + 10000;
    grant->expires_ms = w->now.wall_ms + 20000;
}
static void spoil_mode(struct world *w, struct bw_grant *grant, struct bw_meeting_slot *slot)
{
    (void)w, (void)slot;
    grant->mode = BW_MODE_HOP;
}
static void spoil_mode_epoch(struct world *w, struct bw_grant *grant, struct bw_meeting_slot *slot)
{
    (void)w, (void)grant;
    slot->mode_epoch = 2;
}
static void spoil_future_mode_epoch(struct world *w, struct bw_grant *grant, struct bw_meeting_slot *slot)
{
    (void)w, (void)slot;
    grant->mode_epoch = 2;
}
static void spoil_meeting_epoch(struct world *w, struct bw_grant *grant, struct bw_meeting_slot *slot)
{
    (void)w, (void)grant;
    slot->meeting_epoch = 2;
}
static void spoil_roster(struct world *w, struct bw_grant *grant, struct bw_meeting_slot *slot)
{
    (void)w, (void)slot;
    grant->roster_entry.bytes[3] ^= 1;
}
static void spoil_role(struct world *w, struct bw_grant *grant, struct bw_meeting_slot *slot)
{
    (void)w, (void)grant;
    slot->role = BW_ROLE_LISTENER;
}
static void spoil_slot(struct world *w, struct bw_grant *grant, struct bw_meeting_slot *slot)
{
    (void)w, (void)slot;
    grant->slot = 99;
}
static void spoil_key(struct world *w, struct bw_grant *grant, struct bw_meeting_slot *slot)
{
    (void)grant, (void)slot;
    bw_relay_core_key_removed(w->relays[0].core, 0, w->key.key_id);
}
static void spoil_key_time(struct world *w, struct bw_grant *grant, struct bw_meeting_slot *slot)
{
    (void)grant, (void)slot;
    struct bw_grant_key key = w->key;
    key.not_after_ms = w->now.wall_ms - 1;
    assert_int_equal(bw_relay_core_key(w->relays[0].core, 0, &key, NULL), BW_OK);
}
static void spoil_lease(struct world *w, struct bw_grant *grant, struct bw_meeting_slot *slot)
{
    (void)grant, (void)slot;
    bw_relay_core_authority(w->relays[0].core, 0, BW_AUTHORITY_HELD, 11000);
}
static void spoil_grace(struct world *w, struct bw_grant *grant, struct bw_meeting_slot *slot)
{
    (void)grant, (void)slot;
    bw_relay_core_authority(w->relays[0].core, 0, BW_AUTHORITY_NONE, 400000);
}
static void spoil_drain(struct world *w, struct bw_grant *grant, struct bw_meeting_slot *slot)
{
    (void)grant, (void)slot;
    bw_relay_core_drain(w->relays[0].core, 0, true);
}
static void spoil_revoked(struct world *w, struct bw_grant *grant, struct bw_meeting_slot *slot)
{
    (void)grant;
    struct bw_revoke revoke = {
        .meeting = slot->meeting, .meeting_epoch = 1, .slots = &slot->slot, .slot_count = 1};
    bw_relay_core_revoke(w->relays[0].core, 0, &revoke, w->now);
}
static void spoil_stream(struct world *w, struct bw_grant *grant, struct bw_meeting_slot *slot)
{
    (void)slot;
    grant->stream.bytes[5] ^= 1; /* of another database: being "ahead" of this one means nothing */
    grant->group = w->group + 5;
    grant->slot = 77;
}

static void each_thing_that_does_not_fit_is_refused_by_its_name(void **state)
{
    static const struct refusal_case cases[] = {
        {"nothing", spoil_nothing, BW_REFUSAL_NONE},
        {"relay", spoil_relay, BW_REFUSAL_WRONG_RELAY},
        {"cell", spoil_cell, BW_REFUSAL_WRONG_CELL},
        {"expiry", spoil_expiry, BW_REFUSAL_EXPIRED},
        {"start", spoil_start, BW_REFUSAL_NOT_YET_VALID},
        {"mode", spoil_mode, BW_REFUSAL_WRONG_MODE},
        {"mode epoch", spoil_mode_epoch, BW_REFUSAL_STALE_MODE_EPOCH},
        {"future mode epoch", spoil_future_mode_epoch, BW_REFUSAL_FUTURE_MODE_EPOCH},
        {"meeting epoch", spoil_meeting_epoch, BW_REFUSAL_STALE_MEETING_EPOCH},
        {"roster entry", spoil_roster, BW_REFUSAL_WRONG_ROSTER_ENTRY},
        {"role", spoil_role, BW_REFUSAL_WRONG_ROLE},
        {"slot", spoil_slot, BW_REFUSAL_NO_SLOT},
        {"key", spoil_key, BW_REFUSAL_UNKNOWN_KEY},
        {"key's time", spoil_key_time, BW_REFUSAL_UNKNOWN_KEY},
        {"lease", spoil_lease, BW_REFUSAL_LEASE_EXPIRED},
        {"grace", spoil_grace, BW_REFUSAL_GRACE_ENDED},
        {"drain", spoil_drain, BW_REFUSAL_DRAINING},
        {"revoked", spoil_revoked, BW_REFUSAL_REVOKED},
        {"stream", spoil_stream, BW_REFUSAL_NO_SLOT},
    };
    (void)state;
    for (size_t i = 0; i < BW_ARRAY_LEN(cases); i++) {
        void *fresh = NULL;
        world_setup(&fresh);
        struct world *w = fresh;
        struct bw_meeting_slot slot = world_slot(1, 1);
        world_put_slot(w, 0, &slot);
        struct bw_grant grant = world_grant(w, 0, &slot);
        cases[i].spoil(w, &grant, &slot);
        if (cases[i].spoil != spoil_revoked)
            world_put_slot(w, 0, &slot);
        world_person(w, 0, 0, &grant);
        world_run(w);
        const struct bw_media_client *e = &w->people[0].endpoint;
        bool admitted = e->state == BW_MEDIA_CLIENT_ADMITTED;
        if (admitted != (cases[i].expected == BW_REFUSAL_NONE) || e->refusal != cases[i].expected)
            fail_msg("wrong %s: got %s", cases[i].name, bw_refusal_name(e->refusal));
        if (!admitted)
            assert_int_equal(world_refused(w, 0, cases[i].expected), 1);
        world_teardown(&fresh);
    }
}

static void a_changed_byte_anywhere_in_the_grant_is_refused(void **state)
{
    struct world *w = *state;
    struct bw_meeting_slot slot = world_slot(1, 1);
    world_put_slot(w, 0, &slot);
    struct bw_grant grant = world_grant(w, 0, &slot);
    uint8_t token[BW_GRANT_TOKEN_MAX], hop_key[BW_GRANT_HOP_KEY_SIZE];
    size_t len = world_sign(w, 0, &grant, token, hop_key);
    unsigned by_tag = 0, by_grant = 0;
    for (size_t i = 0; i < len; i++) {
        world_person(w, 0, 0, &grant);
        struct bw_media_client *e = &w->people[0].endpoint;
        e->token[i] ^= 0x40; /* behind the back of the endpoint, which would not take it */
        world_run(w);
        assert_int_equal(e->state, BW_MEDIA_CLIENT_OVER);
        assert_true(e->refusal != BW_REFUSAL_NONE);
        by_tag += e->refusal == BW_REFUSAL_WRONG_HOP_KEY;
        by_grant += e->refusal == BW_REFUSAL_BAD_SIGNATURE;
    }
    /* A changed body has another hop key; a changed proof leaves the key and breaks the signature. */
    assert_true(by_tag > 80);
    assert_true(by_grant > 90);
    assert_int_equal(w->relays[0].joined, 0);
}

static void without_the_hop_key_a_grant_is_worth_nothing(void **state)
{
    struct world *w = *state;
    struct bw_meeting_slot slot = world_slot(1, 1);
    world_put_slot(w, 0, &slot);
    struct bw_grant grant = world_grant(w, 0, &slot);
    world_person(w, 0, 0, &grant);
    uint8_t wrong[32] = {1};
    bw_hmac256_init(&w->people[0].endpoint.key, bw_view_of(wrong, sizeof wrong));
    world_run(w);
    assert_int_equal(w->people[0].endpoint.refusal, BW_REFUSAL_WRONG_HOP_KEY);
    assert_int_equal(w->relays[0].joined, 0);
}

static void a_grant_for_another_relay_is_refused_as_that(void **state)
{
    struct world *w = *state;
    struct bw_meeting_slot slot = world_slot(1, 1);
    world_put_slot(w, 0, &slot);
    struct bw_grant grant = world_grant(w, 0, &slot);
    grant.relay++;
    world_person(w, 0, 0, &grant);
    uint8_t other[32] = {1}; /* as that relay derives it */
    bw_hmac256_init(&w->people[0].endpoint.key, bw_view_of(other, sizeof other));
    world_run(w);
    assert_int_equal(w->people[0].endpoint.refusal, BW_REFUSAL_WRONG_RELAY);
    assert_int_equal(w->relays[0].joined, 0);
}

static void who_is_early_is_admitted_until_the_relay_has_caught_up(void **state)
{
    struct world *w = *state;
    struct bw_meeting_slot slot = world_slot(1, 1), other = world_slot(1, 2);
    world_put_slot(w, 0, &other);
    struct bw_grant grant = world_grant(w, 0, &slot);
    grant.group = w->group + 1; /* the decision that is still on its way */
    world_person(w, 0, 0, &grant);
    world_run(w);
    assert_int_equal(state_of(w, 0), BW_MEDIA_CLIENT_ADMITTED);
    assert_true(w->people[0].endpoint.provisional);
    assert_int_equal(w->relays[0].provisional, 1);
    assert_int_equal(w->relays[0].joined, 0);
    world_put_slot(w, 0, &slot);
    world_run(w);
    assert_int_equal(state_of(w, 0), BW_MEDIA_CLIENT_ADMITTED);
    assert_int_equal(w->relays[0].joined, 1);
    assert_int_equal(bw_relay_core_cell_status(w->relays[0].core, 0).provisional, 0);
}

static void who_was_early_for_nothing_is_put_out(void **state)
{
    struct world *w = *state;
    struct bw_meeting_slot slot = world_slot(1, 1);
    struct bw_grant grant = world_grant(w, 0, &slot);
    grant.group = w->group + 3;
    bw_relay_core_applied(w->relays[0].core, 0, w->group);
    world_person(w, 0, 0, &grant);
    world_run(w);
    assert_int_equal(state_of(w, 0), BW_MEDIA_CLIENT_ADMITTED);
    bw_relay_core_applied(w->relays[0].core, 0, w->group + 3); /* and there was no such slot */
    bw_outbox_flush(&w->relays[0].outbox);
    world_run(w);
    assert_int_equal(state_of(w, 0), BW_MEDIA_CLIENT_OVER);
    assert_int_equal(w->people[0].endpoint.refusal, BW_REFUSAL_NO_SLOT);

    grant.group = w->group + 5; /* never comes: ten seconds, not longer */
    world_person(w, 1, 0, &grant);
    world_run(w);
    assert_int_equal(state_of(w, 1), BW_MEDIA_CLIENT_ADMITTED);
    world_wait(w, BW_PROVISIONAL_MS + 200);
    assert_int_equal(w->people[1].endpoint.refusal, BW_REFUSAL_NO_SLOT);
    assert_int_equal(bw_relay_core_meetings(w->relays[0].core), 0);
}

static void a_slot_that_is_removed_or_changed_takes_its_participant_along(void **state)
{
    struct world *w = *state;
    world_join(w, 0, 0, 1, 1);
    world_join(w, 1, 0, 1, 2);
    struct bw_meeting_slot first = world_slot(1, 1), second = world_slot(1, 2);
    world_remove_slot(w, 0, &first);
    world_run(w);
    assert_int_equal(w->people[0].endpoint.refusal, BW_REFUSAL_SLOT_REMOVED);
    second.mode_epoch = 2;
    world_put_slot(w, 0, &second);
    world_run(w);
    assert_int_equal(w->people[1].endpoint.refusal, BW_REFUSAL_GRANT_OUTDATED);
    assert_int_equal(w->relays[0].left, 2);
    struct bw_grant grant = world_grant(w, 0, &second); /* renewed */
    world_person(w, 1, 0, &grant);
    world_run(w);
    assert_int_equal(state_of(w, 1), BW_MEDIA_CLIENT_ADMITTED);
}

static void revoke_acts_at_once_and_keeps_old_grants_out(void **state)
{
    struct world *w = *state;
    world_join(w, 0, 0, 1, 1);
    world_join(w, 1, 0, 1, 2);
    struct bw_revoke revoke = {.meeting = world_meeting(1), .meeting_epoch = 1};
    bw_relay_core_revoke(w->relays[0].core, 0, &revoke, w->now);
    bw_outbox_flush(&w->relays[0].outbox);
    world_run(w);
    assert_int_equal(w->people[0].endpoint.refusal, BW_REFUSAL_REVOKED);
    assert_int_equal(w->people[1].endpoint.refusal, BW_REFUSAL_REVOKED);
    /* Early admission is no way around it. */
    struct bw_meeting_slot slot = world_slot(1, 9);
    struct bw_grant grant = world_grant(w, 0, &slot);
    grant.group = w->group + 1;
    world_person(w, 2, 0, &grant);
    world_run(w);
    assert_int_equal(w->people[2].endpoint.refusal, BW_REFUSAL_REVOKED);
    /* The meeting goes on elsewhere and comes back in a new epoch. */
    slot.meeting_epoch = 2;
    world_put_slot(w, 0, &slot);
    grant = world_grant(w, 0, &slot);
    world_person(w, 2, 0, &grant);
    world_run(w);
    assert_int_equal(state_of(w, 2), BW_MEDIA_CLIENT_ADMITTED);
}

static void capacity_is_the_cells_share(void **state)
{
    struct world *w = *state;
    for (uint32_t i = 0; i < 6; i++)
        world_join(w, i, 0, 1, i + 1);
    struct bw_meeting_slot slot = world_slot(2, 1);
    world_put_slot(w, 0, &slot);
    struct bw_grant grant = world_grant(w, 0, &slot);
    world_person(w, 7, 0, &grant);
    world_run(w);
    assert_int_equal(w->people[7].endpoint.refusal, BW_REFUSAL_CAPACITY);
    struct bw_meeting_slot held = world_slot(1, 3); /* who is in may come again */
    grant = world_grant(w, 0, &held);
    world_person(w, 2, 0, &grant);
    world_run(w);
    assert_int_equal(state_of(w, 2), BW_MEDIA_CLIENT_ADMITTED);
    struct bw_meeting_slot first = world_slot(1, 1);
    world_remove_slot(w, 0, &first);
    grant = world_grant(w, 0, &slot);
    world_person(w, 7, 0, &grant);
    world_run(w);
    assert_int_equal(state_of(w, 7), BW_MEDIA_CLIENT_ADMITTED);
}

static void without_the_lease_those_held_may_return_and_others_may_not(void **state)
{
    struct world *w = *state;
    world_join(w, 0, 0, 1, 1);
    world_join(w, 1, 0, 1, 2);
    struct bw_meeting_slot third = world_slot(1, 3), first = world_slot(1, 1);
    world_put_slot(w, 0, &third);
    bw_relay_core_authority(w->relays[0].core, 0, BW_AUTHORITY_HELD, 12000);
    world_say(w, 0, "still here");
    world_run(w);
    assert_int_equal(w->people[1].heard, 1);
    struct bw_grant grant = world_grant(w, 0, &third);
    world_person(w, 2, 0, &grant);
    world_run(w);
    assert_int_equal(w->people[2].endpoint.refusal, BW_REFUSAL_LEASE_EXPIRED);
    grant = world_grant(w, 0, &first);
    world_person(w, 0, 0, &grant); /* its program was started again */
    world_run(w);
    assert_int_equal(state_of(w, 0), BW_MEDIA_CLIENT_ADMITTED);
    bw_relay_core_authority(w->relays[0].core, 0, BW_AUTHORITY_NONE, 400000);
    world_say(w, 0, "too late");
    world_run(w);
    assert_int_equal(w->people[1].heard, 1);
    assert_int_equal(world_dropped(w, 0, BW_DROP_STALE), 1);
    world_wait(w, 100);
    assert_int_equal(w->people[0].endpoint.refusal, BW_REFUSAL_GRACE_ENDED);
    assert_int_equal(w->people[1].endpoint.refusal, BW_REFUSAL_GRACE_ENDED);
}

static void a_policys_own_staleness_ends_earlier_than_grace(void **state)
{
    struct world *w = *state;
    world_join(w, 0, 0, 1, 1);
    world_join(w, 1, 0, 2, 1);
    struct bw_meeting_slot strict = world_slot(1, 1);
    assert_int_equal(bw_relay_core_slot(w->relays[0].core, 0, &strict, 30000, NULL), BW_OK);
    bw_relay_core_authority(w->relays[0].core, 0, BW_AUTHORITY_HELD, 29900);
    world_wait(w, 100);
    assert_int_equal(state_of(w, 0), BW_MEDIA_CLIENT_ADMITTED);
    bw_relay_core_authority(w->relays[0].core, 0, BW_AUTHORITY_HELD, 30000);
    world_wait(w, 100);
    assert_int_equal(w->people[0].endpoint.refusal, BW_REFUSAL_GRACE_ENDED);
    assert_int_equal(state_of(w, 1), BW_MEDIA_CLIENT_ADMITTED);
}

/* Sums what a stranger gets back for what it sends. */
struct amplification {
    struct bw_address stranger;
    size_t to_relay, back;
};

static bool count_bytes(void *context, struct world_packet *packet)
{
    struct amplification *a = context;
    if (bw_address_equal(&packet->from, &a->stranger))
        a->to_relay += packet->len;
    if (bw_address_equal(&packet->to, &a->stranger)) {
        a->back += packet->len;
        return false; /* a spoofed address never answers */
    }
    return true;
}

static void an_address_that_never_answered_gets_no_more_than_was_sent_in_its_name(void **state)
{
    struct world *w = *state;
    world_join(w, 0, 0, 1, 1);
    world_join(w, 1, 0, 1, 2);
    struct amplification a = {.stranger = {.family = 4, .ip = {203, 0, 113, 5}, .port = 53}};
    w->tap = count_bytes;
    w->tap_context = &a;
    struct bw_meeting_slot slot = world_slot(1, 3);
    world_put_slot(w, 0, &slot);
    struct bw_grant grant = world_grant(w, 0, &slot);
    world_person(w, 2, 0, &grant);
    w->people[2].address = a.stranger; /* a valid grant, a forged address: JOIN only */
    uint8_t out[BW_DATAGRAM_MAX];
    uint64_t random = 7;
    for (int type = BW_DATAGRAM_JOIN; type <= BW_DATAGRAM_PROBE_REPLY; type++) {
        for (int round = 0; round < 200; round++) {
            size_t before = a.to_relay, back = a.back;
            for (size_t i = 0; i < sizeof out; i++)
                out[i] = (uint8_t)((random = random * 6364136223846793005u + 1) >> 33);
            size_t payload = round % 100;
            struct bw_datagram d = {.type = (enum bw_datagram_type)type,
                                    .channel = round % 2 ? w->people[0].endpoint.channel : (uint32_t)random,
                                    .sender = 1,
                                    .meeting_epoch = 1,
                                    .sequence = random,
                                    .payload = bw_view_of(out + BW_DATAGRAM_HEADER, payload)};
            if (type == BW_DATAGRAM_JOIN)
                d.channel = 0;
            bw_datagram_write(out, &d, NULL, BW_TO_RELAY);
            if (type == BW_DATAGRAM_JOIN && payload > 31) { /* a grant that fits the length field */
                out[BW_DATAGRAM_HEADER + 28] = 0;
                out[BW_DATAGRAM_HEADER + 29] = (uint8_t)(payload - 30);
            }
            world_inject(w, &a.stranger, &w->relays[0].address, out, BW_DATAGRAM_HEADER + payload);
            world_run(w);
            assert_true(a.back - back <= a.to_relay - before);
        }
    }
    w->people[2].endpoint.due_us = w->now.mono_us;
    world_run(w);
    assert_true(a.back > 0 && a.back <= a.to_relay);
    assert_int_equal(state_of(w, 2), BW_MEDIA_CLIENT_JOINING);
    assert_int_equal(w->relays[0].joined, 2);
}

static bool lose_half(void *context, struct world_packet *packet)
{
    uint64_t *random = context;
    (void)packet;
    *random = *random * 6364136223846793005u + 1442695040888963407u;
    return *random >> 63 != 0;
}

static void a_lossy_way_only_takes_longer(void **state)
{
    struct world *w = *state;
    uint64_t random = 3;
    w->tap = lose_half;
    w->tap_context = &random;
    struct bw_meeting_slot slot = world_slot(1, 1);
    world_put_slot(w, 0, &slot);
    struct bw_grant grant = world_grant(w, 0, &slot);
    world_person(w, 0, 0, &grant);
    world_wait(w, 8000);
    assert_true(state_of(w, 0) == BW_MEDIA_CLIENT_ADMITTED || state_of(w, 0) == BW_MEDIA_CLIENT_RESUMING);
    assert_int_equal(bw_relay_core_counters(w->relays[0].core)->joins, 1); /* asked again, admitted once */
}

static void a_refusal_that_nobody_signed_is_not_believed(void **state)
{
    struct world *w = *state;
    struct bw_meeting_slot slot = world_slot(1, 1);
    world_put_slot(w, 0, &slot);
    struct bw_grant grant = world_grant(w, 0, &slot);
    world_person(w, 0, 0, &grant);
    uint8_t out[BW_DATAGRAM_MAX], payload[BW_REFUSED_PAYLOAD];
    size_t len = bw_refused_write(12345, BW_REFUSAL_EXPIRED, payload, sizeof payload); /* a guessed nonce */
    struct bw_datagram d = {.type = BW_DATAGRAM_REFUSED, .payload = bw_view_of(payload, len)};
    memcpy(out + BW_DATAGRAM_HEADER, payload, len);
    bw_datagram_write(out, &d, NULL, BW_FROM_RELAY);
    world_inject(w, &w->relays[0].address, &w->people[0].address, out, BW_DATAGRAM_HEADER + len);
    world_run(w);
    assert_int_equal(state_of(w, 0), BW_MEDIA_CLIENT_ADMITTED);
}

static void links_and_slots_of_a_second_cell_do_not_mix(void **state)
{
    struct world *w = *state;
    struct bw_relay_cell_config us = {.name = "us", .capacity = 2};
    struct bw_error err = {0};
    assert_int_equal(bw_relay_core_add_cell(w->relays[0].core, 1, &us, &err), BW_OK);
    bw_relay_core_welcomed(w->relays[0].core, 1, 1, &w->stream);
    struct bw_meeting_slot slot = world_slot(1, 1);
    world_put_slot(w, 0, &slot);
    assert_int_equal(bw_relay_core_slot(w->relays[0].core, 1, &slot, 0, &err), BW_INVALID_ARGUMENT);
    bw_relay_core_slot_removed(w->relays[0].core, 1, &slot.meeting, slot.slot);
    assert_int_equal(bw_relay_core_cell_status(w->relays[0].core, 0).slots, 1);
    struct bw_revoke revoke = {.meeting = slot.meeting, .meeting_epoch = 9};
    bw_relay_core_revoke(w->relays[0].core, 1, &revoke, w->now); /* not its meeting */
    struct bw_grant grant = world_grant(w, 0, &slot);
    world_person(w, 0, 0, &grant);
    world_run(w);
    assert_int_equal(state_of(w, 0), BW_MEDIA_CLIENT_ADMITTED);
}

static void resources_that_cannot_be_are_refused(void **state)
{
    struct world *w = *state;
    struct bw_relay_core *core = w->relays[0].core;
    struct bw_error err = {0};
    struct bw_peer_link link = {.meeting = world_meeting(1), .meeting_epoch = 1, .peer_number = 2};
    snprintf(link.peer_address, sizeof link.peer_address, "relay.example:3478");
    assert_int_equal(bw_relay_core_link(core, 0, &link, 0, &err), BW_INVALID_ARGUMENT);
    snprintf(link.peer_address, sizeof link.peer_address, "192.0.2.9:3478");
    link.peer_number = 1; /* itself */
    assert_int_equal(bw_relay_core_link(core, 0, &link, 0, &err), BW_INVALID_ARGUMENT);
    struct bw_grant_key key = w->key;
    key.key_id[0] ^= 1;
    assert_int_equal(bw_relay_core_key(core, 0, &key, &err), BW_INVALID_ARGUMENT);
    assert_int_equal(bw_relay_core_cell_status(core, 0).links, 0);
    assert_int_equal(bw_relay_core_meetings(core), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(who_fits_is_admitted_and_heard_by_the_others_only),
        cmocka_unit_test(each_thing_that_does_not_fit_is_refused_by_its_name),
        TEST(a_changed_byte_anywhere_in_the_grant_is_refused),
        TEST(without_the_hop_key_a_grant_is_worth_nothing),
        TEST(a_grant_for_another_relay_is_refused_as_that),
        TEST(who_is_early_is_admitted_until_the_relay_has_caught_up),
        TEST(who_was_early_for_nothing_is_put_out),
        TEST(a_slot_that_is_removed_or_changed_takes_its_participant_along),
        TEST(revoke_acts_at_once_and_keeps_old_grants_out),
        TEST(capacity_is_the_cells_share),
        TEST(without_the_lease_those_held_may_return_and_others_may_not),
        TEST(a_policys_own_staleness_ends_earlier_than_grace),
        TEST(an_address_that_never_answered_gets_no_more_than_was_sent_in_its_name),
        TEST(a_lossy_way_only_takes_longer),
        TEST(a_refusal_that_nobody_signed_is_not_believed),
        TEST(links_and_slots_of_a_second_cell_do_not_mix),
        TEST(resources_that_cannot_be_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
