#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "check_alloc.h"
#include "fleet/client_state.h"

struct rig {
    struct bw_client_state *client;
    uint64_t now_ms, random;
    unsigned connects, disconnects, applied_calls, upserts, removals, revokes, leases;
    size_t endpoint;
    unsigned sent[16];
    struct bw_relay_message last;
    uint64_t event_ids[2048];
    size_t events;
    uint64_t lost_wait_ms;
    enum bw_code lost_code;
    char order[64]; /* of callbacks: l s k upserts, L S K removals */
    size_t order_len;
    uint32_t refuse_slot;
};

static void connect_port(void *context, size_t endpoint)
{
    struct rig *r = context;
    r->connects++;
    r->endpoint = endpoint;
}

static void disconnect_port(void *context)
{
    ((struct rig *)context)->disconnects++;
}

static enum bw_code send_port(void *context, const struct bw_relay_message *message)
{
    struct rig *r = context;
    r->sent[message->kind]++;
    r->last = *message;
    if (message->kind == BW_RELAY_EVENTS) {
        for (size_t i = 0; i < message->events.count; i++)
            r->event_ids[r->events++] = message->events.events[i].id;
    }
    return BW_OK;
}

static uint64_t random_port(void *context)
{
    return ((struct rig *)context)->random;
}

static void load_port(void *context, struct bw_relay_load *load)
{
    (void)context;
    *load = (struct bw_relay_load){.participants = 9};
}

static void leased_port(void *context)
{
    ((struct rig *)context)->leases++;
}

static void revoke_port(void *context, const struct bw_revoke *revoke)
{
    (void)revoke;
    ((struct rig *)context)->revokes++;
}

static void lost_port(void *context, size_t endpoint, const struct bw_error *why, uint64_t retry_in_ms)
{
    struct rig *r = context;
    (void)endpoint;
    r->lost_wait_ms = retry_in_ms;
    r->lost_code = why->code;
}

static enum bw_code upsert_port(void *context, const struct bw_resource_name *name,
                                const struct bw_upsert *upsert, struct bw_error *err)
{
    struct rig *r = context;
    (void)upsert;
    if (name->type == BW_RESOURCE_MEETING_SLOT && name->number == r->refuse_slot)
        return bw_fail(err, BW_INVALID_ARGUMENT, NULL, "this slot is not taken");
    r->upserts++;
    if (r->order_len < sizeof r->order - 1)
        r->order[r->order_len++] = " lsk"[name->type];
    return BW_OK;
}

static void remove_port(void *context, const struct bw_resource_name *name)
{
    struct rig *r = context;
    r->removals++;
    if (r->order_len < sizeof r->order - 1)
        r->order[r->order_len++] = " LSK"[name->type];
}

static struct bw_client_state *new_client(struct rig *r)
{
    static const uint8_t secret[BW_SESSION_SECRET] = {1};
    struct bw_client_config config = {.endpoint_count = 3,
                                      .hello = {.protocol_min = 1,
                                                .protocol_max = 1,
                                                .boot_id = {.bytes = {5}},
                                                .session_secret = bw_view_of(secret, sizeof secret)}};
    struct bw_client_ports ports = {.context = r,
                                    .connect = connect_port,
                                    .disconnect = disconnect_port,
                                    .send = send_port,
                                    .random = random_port,
                                    .load = load_port,
                                    .leased = leased_port,
                                    .revoke = revoke_port,
                                    .lost = lost_port};
    struct bw_replica_events events = {.context = r, .upsert = upsert_port, .remove = remove_port};
    return bw_client_state_create(&config, &ports, &events, r->now_ms);
}

static int setup(void **state)
{
    static struct rig r;
    memset(&r, 0, sizeof r);
    r.now_ms = 50000;
    r.client = new_client(&r);
    *state = &r;
    return 0;
}

static int teardown(void **state)
{
    bw_client_state_destroy(((struct rig *)*state)->client);
    return 0;
}

static const struct bw_id stream = {.bytes = {1}};

static void receive(struct rig *r, struct bw_control_message message)
{
    bw_client_state_receive(r->client, &message, r->now_ms);
}

static void tick(struct rig *r, uint64_t ms)
{
    r->now_ms += ms;
    bw_client_state_tick(r->client, r->now_ms);
}

static struct bw_control_message a_welcome(uint64_t epoch, enum bw_welcome_mode mode)
{
    return (struct bw_control_message){.kind = BW_CONTROL_WELCOME,
                                       .epoch = epoch,
                                       .welcome = {.stream_id = stream,
                                                   .mode = mode,
                                                   .lease_ms = 10000,
                                                   .heartbeat_ms = 2000,
                                                   .grace_ms = 300000,
                                                   .protocol = 1,
                                                   .relay_number = 1}};
}

static void connect_and_greet(struct rig *r)
{
    while (r->connects == 0 || bw_client_state_status(r->client, r->now_ms).phase == BW_CLIENT_WAITING)
        tick(r, 100);
    bw_client_state_connected(r->client, r->now_ms);
}

static struct bw_meeting_slot slot_of(uint32_t n)
{
    return (struct bw_meeting_slot){.meeting = {.bytes = {5}}, .slot = n};
}

/* A snapshot of slots 1 … count at `group`. */
static void snapshot(struct rig *r, uint64_t epoch, uint64_t id, uint64_t group, uint32_t count)
{
    struct bw_meeting_slot bodies[32];
    struct bw_upsert upserts[32];
    struct bw_digest digest = {{0}};
    for (uint32_t i = 0; i < count; i++) {
        bodies[i] = slot_of(i + 1);
        upserts[i] = bw_upsert_slot(&bodies[i], group, 0);
        struct bw_digest one = bw_digest_of(&upserts[i].id, group);
        bw_digest_toggle(&digest, &one);
    }
    receive(r, (struct bw_control_message){.kind = BW_CONTROL_SNAPSHOT_BEGIN,
                                           .epoch = epoch,
                                           .snapshot_begin = {.id = id, .group = group, .count = count}});
    receive(r, (struct bw_control_message){
                   .kind = BW_CONTROL_SNAPSHOT_CHUNK,
                   .epoch = epoch,
                   .snapshot_chunk = {.id = id, .seq = 0, .resources = upserts, .count = count}});
    receive(r, (struct bw_control_message){
                   .kind = BW_CONTROL_SNAPSHOT_END,
                   .epoch = epoch,
                   .snapshot_end = {.id = id, .nonce = id, .chunks = 1, .count = count, .digest = digest}});
}

static void go_live(struct rig *r)
{
    connect_and_greet(r);
    receive(r, a_welcome(4, BW_WELCOME_SNAPSHOT));
    snapshot(r, 4, 1, 10, 5);
}

static enum bw_client_phase phase(const struct rig *r)
{
    return bw_client_state_status(r->client, r->now_ms).phase;
}

static void delta(struct rig *r, uint64_t nonce, uint64_t from, uint64_t to, const struct bw_upsert *upserts,
                  size_t upsert_count, const struct bw_removal *removals, size_t removal_count)
{
    receive(r, (struct bw_control_message){.kind = BW_CONTROL_DELTA,
                                           .epoch = 4,
                                           .delta = {.nonce = nonce,
                                                     .from_group = from,
                                                     .to_group = to,
                                                     .upserts = upserts,
                                                     .upsert_count = upsert_count,
                                                     .removals = removals,
                                                     .removal_count = removal_count}});
}

/* ---- */

static void hello_says_what_is_held(void **state)
{
    struct rig *r = *state;
    connect_and_greet(r);
    assert_int_equal(r->last.kind, BW_RELAY_HELLO);
    assert_false(r->last.hello.has_resume);
    assert_int_equal(r->last.hello.last_session_epoch, 0);
    receive(r, a_welcome(4, BW_WELCOME_SNAPSHOT));
    assert_int_equal(r->last.kind, BW_RELAY_HEARTBEAT);
    assert_int_equal(r->last.heartbeat.load.participants, 9);
    snapshot(r, 4, 1, 10, 5);
    assert_int_equal(r->last.kind, BW_RELAY_ACK);
    assert_int_equal(r->last.ack.applied_group, 10);
    assert_int_equal(r->upserts, 5);
    struct bw_error gone = {.code = BW_UNAVAILABLE};
    bw_client_state_disconnected(r->client, &gone, r->now_ms);
    connect_and_greet(r);
    assert_true(r->last.hello.has_resume);
    assert_int_equal(r->last.hello.resume.applied_group, 10);
    assert_int_equal(r->last.hello.resume.count, 5);
    assert_int_equal(r->last.hello.last_session_epoch, 4);
    assert_int_equal(r->removals, 0); /* nothing was forgotten meanwhile */
}

static void endpoints_take_turns_with_growing_jittered_waits(void **state)
{
    struct rig *r = *state;
    struct bw_error gone = {.code = BW_UNAVAILABLE};
    r->random = UINT64_MAX; /* the bound itself, modulo */
    const uint64_t bounds[] = {250, 500, 1000, 2000, 4000, 8000, 15000, 15000};
    for (size_t i = 0; i < BW_ARRAY_LEN(bounds); i++) {
        tick(r, 60000);
        assert_int_equal(r->connects, i + 1);
        assert_int_equal(r->endpoint, i % 3);
        bw_client_state_disconnected(r->client, &gone, r->now_ms);
        assert_true(r->lost_wait_ms <= bounds[i]);
        assert_int_equal(r->lost_wait_ms, UINT64_MAX % (bounds[i] + 1));
    }
}

static void an_epoch_that_is_not_newer_is_a_stale_replica(void **state)
{
    struct rig *r = *state;
    go_live(r);
    struct bw_error gone = {.code = BW_UNAVAILABLE};
    bw_client_state_disconnected(r->client, &gone, r->now_ms);
    connect_and_greet(r);
    receive(r, a_welcome(4, BW_WELCOME_RESUME));
    assert_int_equal(phase(r), BW_CLIENT_WAITING);
    assert_int_equal(r->disconnects, 1);
    connect_and_greet(r);
    receive(r, a_welcome(5, BW_WELCOME_RESUME));
    assert_int_equal(phase(r), BW_CLIENT_LIVE);
    struct bw_meeting_slot slot = slot_of(9);
    struct bw_upsert upsert = bw_upsert_slot(&slot, 11, 0);
    delta(r, 1, 10, 11, &upsert, 1, NULL, 0); /* says epoch 4 */
    assert_int_equal(bw_client_state_status(r->client, r->now_ms).stale_dropped, 1);
    assert_int_equal(bw_replica_version(bw_client_state_replica(r->client), &upsert.id), 0);
}

static void the_lease_runs_from_when_the_heartbeat_was_sent(void **state)
{
    struct rig *r = *state;
    go_live(r);
    uint64_t sent = r->now_ms;
    assert_int_equal(bw_client_state_authority(r->client, r->now_ms), BW_AUTHORITY_NONE);
    r->now_ms += 3000; /* the answer takes its time */
    receive(r, (struct bw_control_message){.kind = BW_CONTROL_LEASE_GRANT,
                                           .epoch = 4,
                                           .lease_grant = {.heartbeat = 1, .lease_ms = 10000}});
    assert_int_equal(r->leases, 1);
    assert_int_equal(bw_client_state_authority(r->client, sent + 9999), BW_AUTHORITY_FULL);
    assert_int_equal(bw_client_state_authority(r->client, sent + 10000), BW_AUTHORITY_HELD);
    assert_int_equal(bw_client_state_authority(r->client, sent + 299999), BW_AUTHORITY_HELD);
    assert_int_equal(bw_client_state_authority(r->client, sent + 300000), BW_AUTHORITY_NONE);
    assert_int_equal(bw_client_state_stale_ms(r->client, sent + 12345), 12345);
    /* Neither a lease for a heartbeat that was never sent nor one longer than Welcome said counts. */
    receive(r, (struct bw_control_message){.kind = BW_CONTROL_LEASE_GRANT,
                                           .epoch = 4,
                                           .lease_grant = {.heartbeat = 77, .lease_ms = 10000}});
    receive(r, (struct bw_control_message){.kind = BW_CONTROL_LEASE_GRANT,
                                           .epoch = 4,
                                           .lease_grant = {.heartbeat = 1, .lease_ms = 600000}});
    assert_int_equal(bw_client_state_authority(r->client, sent + 10000), BW_AUTHORITY_HELD);
    /* The session may end; what was granted stays granted. */
    struct bw_error gone = {.code = BW_UNAVAILABLE};
    bw_client_state_disconnected(r->client, &gone, r->now_ms);
    assert_int_equal(bw_client_state_authority(r->client, sent + 9999), BW_AUTHORITY_FULL);
}

static void heartbeats_come_every_two_seconds_give_or_take_a_fifth(void **state)
{
    struct rig *r = *state;
    go_live(r);
    uint64_t shortest = UINT64_MAX, longest = 0, last = r->now_ms;
    for (int i = 0; i < 200; i++) {
        r->random = (uint64_t)i * 7919;
        unsigned before = r->sent[BW_RELAY_HEARTBEAT];
        while (r->sent[BW_RELAY_HEARTBEAT] == before) {
            tick(r, 10);
            receive(r,
                    (struct bw_control_message){.kind = BW_CONTROL_BOOKMARK, .epoch = 4, .bookmark = {10}});
        }
        if (i > 0) {
            shortest = r->now_ms - last < shortest ? r->now_ms - last : shortest;
            longest = r->now_ms - last > longest ? r->now_ms - last : longest;
        }
        last = r->now_ms;
    }
    assert_in_range(shortest, 1600, 1700);
    assert_in_range(longest, 2300, 2410);
}

static void a_server_that_says_nothing_is_left(void **state)
{
    struct rig *r = *state;
    go_live(r);
    tick(r, 11900);
    assert_int_equal(phase(r), BW_CLIENT_LIVE);
    tick(r, 200);
    assert_int_equal(phase(r), BW_CLIENT_WAITING);
    assert_int_equal(r->lost_code, BW_DEADLINE_EXCEEDED);
    connect_and_greet(r);
    tick(r, 10000); /* connected, but no Welcome */
    assert_int_equal(phase(r), BW_CLIENT_WAITING);
}

static void changes_come_in_order_and_older_ones_not_at_all(void **state)
{
    struct rig *r = *state;
    go_live(r);
    r->order_len = 0;
    struct bw_id meeting = {.bytes = {5}};
    struct bw_meeting_slot slot = slot_of(9), first = slot_of(1);
    struct bw_peer_link link = {.meeting = meeting, .peer_number = 2};
    struct bw_grant_key key = {.key_id = {9}};
    struct bw_upsert upserts[] = {bw_upsert_key(&key, 1), bw_upsert_slot(&slot, 11, 0),
                                  bw_upsert_link(&link, 11, 0),
                                  bw_upsert_slot(&first, 9, 0)}; /* slot 1 is held as of 10 */
    delta(r, 2, 10, 11, upserts, 4, NULL, 0);
    r->order[r->order_len] = '\0';
    assert_string_equal(r->order, "lsk");
    assert_int_equal(r->last.kind, BW_RELAY_ACK);
    r->order_len = 0;
    struct bw_removal removals[] = {
        {upserts[2].id, 12}, {upserts[1].id, 12}, {upserts[0].id, 2}, {upserts[3].id, 9}};
    delta(r, 3, 11, 12, NULL, 0, removals, 4);
    r->order[r->order_len] = '\0';
    assert_string_equal(r->order, "KSL"); /* the last removal is older than what is held */
    assert_int_equal(r->last.ack.applied_group, 12);
    unsigned upserted = r->upserts;
    delta(r, 4, 10, 11, upserts, 1, NULL, 0); /* seen before: acknowledged, applied stays */
    assert_int_equal(r->last.ack.nonce, 4);
    assert_int_equal(r->last.ack.applied_group, 12);
    assert_int_equal(r->upserts,
                     upserted + 1); /* the key was removed, and a higher version is held by nobody */
}

static void a_hole_in_the_stream_starts_it_again(void **state)
{
    struct rig *r = *state;
    go_live(r);
    delta(r, 2, 11, 12, NULL, 0, NULL, 0);
    assert_int_equal(phase(r), BW_CLIENT_WAITING);
    assert_int_equal(r->lost_code, BW_DATA_LOSS);
    assert_int_equal(bw_replica_applied(bw_client_state_replica(r->client)), 10);
}

static void one_bad_resource_is_named_and_the_rest_applied(void **state)
{
    struct rig *r = *state;
    go_live(r);
    r->refuse_slot = 7;
    struct bw_meeting_slot bodies[5];
    struct bw_upsert upserts[5];
    for (uint32_t i = 0; i < 5; i++) {
        bodies[i] = slot_of(6 + i);
        upserts[i] = bw_upsert_slot(&bodies[i], 11, 0);
    }
    delta(r, 2, 10, 11, upserts, 5, NULL, 0);
    assert_int_equal(r->last.kind, BW_RELAY_NACK);
    assert_int_equal(r->last.nack.item_count, 1);
    assert_int_equal(r->last.nack.applied_group, 11);
    assert_int_equal(bw_replica_count(bw_client_state_replica(r->client)), 9);
    assert_int_equal(bw_replica_version(bw_client_state_replica(r->client), &upserts[1].id), 0);
}

static void a_snapshot_is_a_difference_and_nothing_before_its_end(void **state)
{
    struct rig *r = *state;
    go_live(r); /* slots 1 … 5 at group 10 */
    unsigned upserts = r->upserts;
    struct bw_meeting_slot slot = slot_of(1), other = slot_of(9);
    struct bw_upsert chunk[] = {bw_upsert_slot(&slot, 10, 0), bw_upsert_slot(&other, 3, 0)};
    struct bw_digest digest = {{0}};
    for (size_t i = 0; i < 2; i++) {
        struct bw_digest one = bw_digest_of(&chunk[i].id, chunk[i].version);
        bw_digest_toggle(&digest, &one);
    }
    struct bw_control_message begin = {
        .kind = BW_CONTROL_SNAPSHOT_BEGIN, .epoch = 4, .snapshot_begin = {.id = 2, .group = 8, .count = 2}};
    struct bw_control_message middle = {
        .kind = BW_CONTROL_SNAPSHOT_CHUNK,
        .epoch = 4,
        .snapshot_chunk = {.id = 2, .seq = 0, .resources = chunk, .count = 2}};
    receive(r, begin);
    receive(r, middle);
    assert_int_equal(r->upserts, upserts);
    assert_int_equal(r->removals, 0);
    receive(r, (struct bw_control_message){
                   .kind = BW_CONTROL_SNAPSHOT_END,
                   .epoch = 4,
                   .snapshot_end = {.id = 2, .nonce = 2, .chunks = 1, .count = 2, .digest = digest}});
    assert_int_equal(r->upserts, upserts + 1); /* slot 1 did not change */
    assert_int_equal(r->removals, 4);
    assert_int_equal(bw_replica_applied(bw_client_state_replica(r->client)),
                     8); /* an older database counts */
}

static void a_snapshot_that_is_not_whole_changes_nothing(void **state)
{
    for (int i = 0; i < 6; i++) {
        setup(state);
        struct rig *r = *state;
        go_live(r);
        unsigned upserts = r->upserts;
        struct bw_meeting_slot slot = slot_of(9);
        struct bw_upsert chunk[] = {bw_upsert_slot(&slot, 11, 0), bw_upsert_slot(&slot, 11, 0)};
        struct bw_digest digest = bw_digest_of(&chunk[0].id, 11);
        receive(r, (struct bw_control_message){.kind = BW_CONTROL_SNAPSHOT_BEGIN,
                                               .epoch = 4,
                                               .snapshot_begin = {.id = 2, .group = 11, .count = 1}});
        receive(r, (struct bw_control_message){.kind = BW_CONTROL_SNAPSHOT_CHUNK,
                                               .epoch = 4,
                                               .snapshot_chunk = {.id = i == 0 ? 3 : 2,
                                                                  .seq = i == 1,
                                                                  .resources = chunk,
                                                                  .count = i == 2 ? 2 : 1}});
        if (i == 3)
            digest.bytes[0] ^= 1;
        receive(r, (struct bw_control_message){
                       .kind = BW_CONTROL_SNAPSHOT_END,
                       .epoch = 4,
                       .snapshot_end = {
                           .id = 2, .nonce = 2, .chunks = i == 4 ? 2 : 1, .count = 1, .digest = digest}});
        bool whole = i == 5;
        assert_int_equal(r->upserts, upserts + whole);
        assert_int_equal(r->removals, whole ? 5 : 0);
        assert_int_equal(phase(r), whole ? BW_CLIENT_LIVE : BW_CLIENT_WAITING);
        teardown(state);
    }
    setup(state);
}

static void a_snapshot_that_was_cut_off_is_forgotten(void **state)
{
    struct rig *r = *state;
    go_live(r);
    receive(r, (struct bw_control_message){.kind = BW_CONTROL_SNAPSHOT_BEGIN,
                                           .epoch = 4,
                                           .snapshot_begin = {.id = 2, .group = 11, .count = 1}});
    assert_true(bw_replica_snapshot_running(bw_client_state_replica(r->client)));
    struct bw_error gone = {.code = BW_UNAVAILABLE};
    bw_client_state_disconnected(r->client, &gone, r->now_ms);
    assert_false(bw_replica_snapshot_running(bw_client_state_replica(r->client)));
}

static void events_are_said_until_they_are_durable(void **state)
{
    struct rig *r = *state;
    struct bw_relay_event event = {.kind = BW_RELAY_EVENT_LEFT};
    bw_client_state_event(r->client, &event);
    bw_client_state_event(r->client, &event);
    go_live(r);
    assert_int_equal(r->events, 2);
    bw_client_state_event(r->client, &event);
    tick(r, 10);
    assert_int_equal(r->events, 3);
    receive(r, (struct bw_control_message){
                   .kind = BW_CONTROL_LEASE_GRANT,
                   .epoch = 4,
                   .lease_grant = {.heartbeat = 1, .lease_ms = 10000, .events_through = 2}});
    struct bw_error gone = {.code = BW_UNAVAILABLE};
    bw_client_state_disconnected(r->client, &gone, r->now_ms);
    r->events = 0;
    connect_and_greet(r);
    receive(r, a_welcome(5, BW_WELCOME_RESUME));
    assert_int_equal(r->events, 1);
    assert_int_equal(r->event_ids[0], 3);
    bw_client_state_event(r->client, &event); /* "everything is durable" does not cover what was not sent */
    receive(r, (struct bw_control_message){
                   .kind = BW_CONTROL_LEASE_GRANT,
                   .epoch = 5,
                   .lease_grant = {.heartbeat = 1, .lease_ms = 10000, .events_through = UINT64_MAX}});
    r->events = 0;
    tick(r, 10);
    assert_int_equal(r->events, 1);
    assert_int_equal(r->event_ids[0], 4);
    for (int i = 0; i < 1100; i++)
        bw_client_state_event(r->client, &event);
    assert_int_equal(bw_client_state_status(r->client, r->now_ms).events_lost, 77);
    r->events = 0;
    tick(r, 10);
    assert_int_equal(r->events, 1024);
    assert_int_equal(r->event_ids[0], 81);
    assert_int_equal(r->event_ids[1023], 1104);
}

static void what_the_server_must_not_say_ends_the_session(void **state)
{
    for (int i = 0; i < 4; i++) {
        setup(state);
        struct rig *r = *state;
        connect_and_greet(r);
        struct bw_control_message welcome = a_welcome(4, BW_WELCOME_SNAPSHOT);
        if (i == 0)
            welcome.welcome.mode = BW_WELCOME_RESUME; /* of what this relay never held */
        if (i == 1)
            welcome.welcome.protocol = 2;
        if (i == 2)
            welcome.kind = BW_CONTROL_BOOKMARK; /* before Welcome */
        receive(r, welcome);
        if (i == 3)
            receive(r, welcome); /* twice */
        assert_int_equal(phase(r), BW_CLIENT_WAITING);
        teardown(state);
    }
    setup(state);
}

static void go_away_is_followed_to_the_next_endpoint(void **state)
{
    struct rig *r = *state;
    go_live(r);
    size_t before = r->endpoint;
    receive(r, (struct bw_control_message){
                   .kind = BW_CONTROL_GO_AWAY, .epoch = 4, .go_away = {.reconnect_in_ms = 500}});
    assert_int_equal(phase(r), BW_CLIENT_WAITING);
    tick(r, 499);
    assert_int_equal(phase(r), BW_CLIENT_WAITING);
    tick(r, 1);
    assert_int_equal(r->endpoint, (before + 1) % 3);
    bw_client_state_stop(r->client, "done", 0);
    tick(r, 100000);
    assert_int_equal(phase(r), BW_CLIENT_STOPPED);
}

static bool live_once(void *context)
{
    struct rig *r = context;
    memset(r, 0, sizeof *r);
    r->now_ms = 50000;
    r->client = new_client(r);
    if (r->client == NULL)
        return false;
    go_live(r);
    struct bw_meeting_slot slot = slot_of(9);
    struct bw_upsert upsert = bw_upsert_slot(&slot, 11, 0);
    if (phase(r) == BW_CLIENT_LIVE)
        delta(r, 2, 10, 11, &upsert, 1, NULL, 0);
    bool ok = phase(r) == BW_CLIENT_LIVE && r->last.kind == BW_RELAY_ACK &&
              bw_replica_count(bw_client_state_replica(r->client)) == 6;
    bw_client_state_destroy(r->client);
    return ok;
}

static void without_memory_a_resource_is_refused_or_the_session_starts_again(void **state)
{
    (void)state;
    struct rig r;
    assert_true(bw_fail_each_allocation(live_once, &r, true) >= 10);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(hello_says_what_is_held),
        TEST(endpoints_take_turns_with_growing_jittered_waits),
        TEST(an_epoch_that_is_not_newer_is_a_stale_replica),
        TEST(the_lease_runs_from_when_the_heartbeat_was_sent),
        TEST(heartbeats_come_every_two_seconds_give_or_take_a_fifth),
        TEST(a_server_that_says_nothing_is_left),
        TEST(changes_come_in_order_and_older_ones_not_at_all),
        TEST(a_hole_in_the_stream_starts_it_again),
        TEST(one_bad_resource_is_named_and_the_rest_applied),
        TEST(a_snapshot_is_a_difference_and_nothing_before_its_end),
        cmocka_unit_test_teardown(a_snapshot_that_is_not_whole_changes_nothing, teardown),
        TEST(a_snapshot_that_was_cut_off_is_forgotten),
        TEST(events_are_said_until_they_are_durable),
        cmocka_unit_test_teardown(what_the_server_must_not_say_ends_the_session, teardown),
        TEST(go_away_is_followed_to_the_next_endpoint),
        cmocka_unit_test(without_memory_a_resource_is_refused_or_the_session_starts_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
