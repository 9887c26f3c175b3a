#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "fleet/session.h"

/* What the session said, kept; deltas and snapshots as counts. */
struct desk {
    struct bw_session *session;
    struct bw_feed *feed;
    struct bw_enrolment enrolment;
    uint64_t now_ms;
    struct bw_control_message last;
    unsigned sent[16]; /* by kind */
    uint64_t snapshot_nonce;
    size_t last_upserts, last_removals, chunk_resources;
    enum bw_resource_type upsert_types[600], removal_types[600];
    struct bw_resource_id upsert_ids[600];
    bool closed;
    struct bw_error why;
    unsigned fenced, caught_up, heartbeats, byes;
    bool answer_fence;
    enum bw_code send_result;
};

static enum bw_code send(void *context, const struct bw_control_message *message)
{
    struct desk *d = context;
    if (d->send_result != BW_OK)
        return d->send_result;
    d->sent[message->kind]++;
    d->last = *message;
    if (message->kind == BW_CONTROL_DELTA) {
        d->last_upserts = message->delta.upsert_count;
        d->last_removals = message->delta.removal_count;
        for (size_t i = 0; i < d->last_upserts; i++) {
            d->upsert_types[i] = message->delta.upserts[i].type;
            d->upsert_ids[i] = message->delta.upserts[i].id;
        }
        for (size_t i = 0; i < d->last_removals; i++) {
            struct bw_resource_name name = {0};
            assert_true(bw_resource_name_of(&message->delta.removals[i].id, &name));
            d->removal_types[i] = name.type;
        }
    } else if (message->kind == BW_CONTROL_SNAPSHOT_BEGIN) {
        d->chunk_resources = 0;
    } else if (message->kind == BW_CONTROL_SNAPSHOT_END) {
        d->snapshot_nonce = message->snapshot_end.nonce;
    } else if (message->kind == BW_CONTROL_SNAPSHOT_CHUNK) {
        d->chunk_resources += message->snapshot_chunk.count;
    }
    return BW_OK;
}

static void close_stream(void *context, const struct bw_error *why)
{
    struct desk *d = context;
    assert_false(d->closed);
    d->closed = true;
    d->why = *why;
}

static void fence(void *context, const struct bw_hello *hello)
{
    struct desk *d = context;
    (void)hello;
    d->fenced++;
    if (d->answer_fence)
        bw_session_fenced(d->session, 7, NULL, d->now_ms);
}

static void catch_up(void *context, uint64_t group)
{
    struct desk *d = context;
    (void)group;
    d->caught_up++;
}

static void heartbeat(void *context, const struct bw_heartbeat *h)
{
    struct desk *d = context;
    d->heartbeats++;
    bw_session_lease_renewed(d->session, h->number, 3);
}

static void applied(void *context, uint64_t group)
{
    (void)context, (void)group;
}

static void bye(void *context, struct bw_view reason, uint32_t back_in_ms)
{
    struct desk *d = context;
    (void)reason, (void)back_in_ms;
    d->byes++;
}

static const char *const jurisdictions[] = {"FR", "DE"};
static const struct bw_id stream = {.bytes = {1}};

static int setup(void **state)
{
    static struct desk d;
    memset(&d, 0, sizeof d);
    d.now_ms = 100000;
    d.answer_fence = true;
    d.feed = bw_feed_create(0);
    d.enrolment = (struct bw_enrolment){.name = "par1",
                                        .number = 1,
                                        .site = "paris",
                                        .region = "eu-west",
                                        .country = "FR",
                                        .operator_name = "Exemple Cloud",
                                        .jurisdictions = jurisdictions,
                                        .jurisdiction_count = 2,
                                        .capacity = 500};
    struct bw_session_config config = {
        .timing = bw_session_timing_default(), .stream_id = stream, .replica = "r1"};
    struct bw_session_ports ports = {.context = &d,
                                     .send = send,
                                     .close = close_stream,
                                     .fence = fence,
                                     .catch_up = catch_up,
                                     .heartbeat = heartbeat,
                                     .applied = applied,
                                     .bye = bye};
    d.session = bw_session_create(&config, &d.enrolment, d.feed, &ports, d.now_ms);
    *state = &d;
    return 0;
}

static int teardown(void **state)
{
    struct desk *d = *state;
    bw_session_destroy(d->session);
    bw_feed_destroy(d->feed);
    return 0;
}

static struct bw_hello a_hello(void)
{
    static const uint8_t secret[BW_SESSION_SECRET] = {1};
    return (struct bw_hello){.protocol_min = 1,
                             .protocol_max = 3,
                             .boot_id = {.bytes = {4}},
                             .media_addresses = {bw_view_str("192.0.2.1:3478")},
                             .media_address_count = 1,
                             .capacity = 400,
                             .session_secret = bw_view_of(secret, sizeof secret)};
}

static void receive(struct desk *d, struct bw_relay_message message)
{
    bw_session_receive(d->session, &message, d->now_ms);
}

static void greet(struct desk *d, const struct bw_hello *hello)
{
    receive(d, (struct bw_relay_message){.kind = BW_RELAY_HELLO, .hello = *hello});
}

static void ack(struct desk *d, uint64_t nonce, uint64_t group)
{
    receive(d, (struct bw_relay_message){
                   .kind = BW_RELAY_ACK, .epoch = 7, .ack = {.nonce = nonce, .applied_group = group}});
}

static void put(struct desk *d, uint64_t group, uint32_t slots, uint32_t first)
{
    struct bw_meeting_slot bodies[600];
    struct bw_upsert upserts[600];
    for (uint32_t i = 0; i < slots; i++) {
        bodies[i] = (struct bw_meeting_slot){.meeting = {.bytes = {5}}, .slot = first + i};
        upserts[i] = bw_upsert_slot(&bodies[i], group, 0);
    }
    assert_int_equal(bw_feed_apply(d->feed, group, upserts, slots, NULL, 0, NULL), BW_OK);
    bw_session_wake(d->session, d->now_ms);
}

static void beat(struct desk *d, uint64_t number, uint64_t group, const struct bw_digest *digest,
                 uint64_t count)
{
    receive(d,
            (struct bw_relay_message){
                .kind = BW_RELAY_HEARTBEAT,
                .epoch = 7,
                .heartbeat = {.number = number, .applied_group = group, .digest = *digest, .count = count}});
}

static void beat_well(struct desk *d, uint64_t number, uint64_t group)
{
    struct bw_digest digest = bw_feed_digest(d->feed);
    beat(d, number, group, &digest, bw_feed_live(d->feed));
}

static struct bw_session_status status_of(const struct desk *d)
{
    return bw_session_status(d->session, d->now_ms);
}

/* A live session that has acknowledged the empty snapshot. */
static void go_live(struct desk *d)
{
    struct bw_hello hello = a_hello();
    greet(d, &hello);
    assert_int_equal(status_of(d).state, BW_SESSION_LIVE);
    ack(d, 1, bw_feed_head(d->feed));
}

/* ---- */

static void every_pair_of_state_and_event_is_meant(void **state)
{
    (void)state;
    /* What the diagram shows; everything else must not be a row. */
    static const char *const allowed[BW_SESSION_STATE_COUNT] = {
        [BW_SESSION_NEW] = "hello,protocol broken,timeout,end,",
        [BW_SESSION_FENCING] = "protocol broken,fenced,fenced, feed behind,timeout,end,",
        [BW_SESSION_CATCHING] = "protocol broken,feed reached,end,",
        [BW_SESSION_LIVE] = "protocol broken,message,stale message,timeout,end,",
        [BW_SESSION_CLOSED] = ""};
    for (int s = 0; s < BW_SESSION_STATE_COUNT; s++) {
        char found[200] = "";
        for (int e = 0; e < BW_SESSION_EVENT_COUNT; e++) {
            const struct bw_machine_row *row = bw_machine_find(&bw_session_machine, s, e);
            if (row == NULL)
                continue;
            strcat(found, bw_session_machine.events[e]);
            strcat(found, ",");
            assert_true((row->next == BW_SESSION_CLOSED) == (row->effect == BW_SESSION_CLOSE));
        }
        assert_string_equal(found, allowed[s]);
    }
}

static void a_first_session_gets_a_welcome_and_a_snapshot(void **state)
{
    struct desk *d = *state;
    put(d, 5, 300, 1);
    struct bw_hello hello = a_hello();
    greet(d, &hello);
    assert_int_equal(d->sent[BW_CONTROL_WELCOME], 1);
    assert_int_equal(d->sent[BW_CONTROL_SNAPSHOT_CHUNK], 2);
    assert_int_equal(d->chunk_resources, 300);
    assert_int_equal(d->last.kind, BW_CONTROL_SNAPSHOT_END);
    assert_int_equal(d->last.snapshot_end.count, 300);
    assert_int_equal(d->last.epoch, 7);
    assert_false(status_of(d).placeable); /* it has not said that it has it */
    ack(d, d->last.snapshot_end.nonce, 5);
    beat_well(d, 1, 5);
    assert_true(status_of(d).placeable);
    assert_int_equal(d->sent[BW_CONTROL_LEASE_GRANT], 1);
    assert_int_equal(d->last.lease_grant.events_through, 3);
}

struct claim {
    const char *what;
    void (*say)(struct bw_hello *hello);
    enum bw_code expected;
};

static void say_site(struct bw_hello *h)
{
    h->claims.site = bw_view_str("zurich");
}
static void say_region(struct bw_hello *h)
{
    h->claims.region = bw_view_str("us-east");
}
static void say_country(struct bw_hello *h)
{
    h->claims.country = bw_view_str("US");
}
static void say_operator(struct bw_hello *h)
{
    h->claims.has_operator = true;
    h->claims.operator_name = bw_view_str("Other Cloud");
}
static void say_fewer(struct bw_hello *h)
{
    h->claims.has_operator = true;
    h->claims.jurisdictions[0] = bw_view_str("FR");
    h->claims.jurisdiction_count = 1;
}
static void say_more(struct bw_hello *h)
{
    say_fewer(h);
    h->claims.jurisdictions[1] = bw_view_str("DE");
    h->claims.jurisdictions[2] = bw_view_str("CH");
    h->claims.jurisdiction_count = 3;
}
static void say_truth(struct bw_hello *h)
{
    say_more(h);
    h->claims.jurisdiction_count = 2;
    h->claims.operator_name = bw_view_str("Exemple Cloud");
    h->claims.site = bw_view_str("paris");
    h->claims.region = bw_view_str("eu-west");
    h->claims.country = bw_view_str("FR");
}
static void say_capacity(struct bw_hello *h)
{
    h->capacity = 501;
}
static void say_protocol(struct bw_hello *h)
{
    h->protocol_min = 2;
}
static void say_backwards(struct bw_hello *h)
{
    h->protocol_min = 2;
    h->protocol_max = 1;
}
static void say_no_secret(struct bw_hello *h)
{
    h->session_secret.len = 31;
}
static void say_no_boot(struct bw_hello *h)
{
    h->boot_id = (struct bw_id){.bytes = {0}};
}
static void say_epoch(struct bw_hello *h)
{
    h->last_session_epoch = UINT64_MAX;
}

static void a_relay_is_what_it_is_enrolled_as(void **state)
{
    static const struct claim claims[] = {
        {"truth", say_truth, BW_OK},
        {"site", say_site, BW_PERMISSION_DENIED},
        {"region", say_region, BW_PERMISSION_DENIED},
        {"country", say_country, BW_PERMISSION_DENIED},
        {"operator", say_operator, BW_PERMISSION_DENIED},
        {"fewer jurisdictions", say_fewer, BW_PERMISSION_DENIED},
        {"more jurisdictions", say_more, BW_PERMISSION_DENIED},
        {"capacity", say_capacity, BW_PERMISSION_DENIED},
        {"protocol", say_protocol, BW_FAILED_PRECONDITION},
        {"protocol backwards", say_backwards, BW_INVALID_ARGUMENT},
        {"no secret", say_no_secret, BW_INVALID_ARGUMENT},
        {"no boot id", say_no_boot, BW_INVALID_ARGUMENT},
        {"epoch", say_epoch, BW_INVALID_ARGUMENT},
    };
    for (size_t i = 0; i < BW_ARRAY_LEN(claims); i++) {
        setup(state);
        struct desk *d = *state;
        struct bw_hello hello = a_hello();
        claims[i].say(&hello);
        greet(d, &hello);
        if (d->closed != (claims[i].expected != BW_OK) || d->why.code != claims[i].expected)
            fail_msg("%s: %s %s", claims[i].what, d->closed ? "closed" : "open", d->why.show);
        assert_int_equal(d->fenced, claims[i].expected == BW_OK);
        teardown(state);
    }
    setup(state); /* for the group's teardown */
}

static void a_resume_gets_what_it_missed_with_removals(void **state)
{
    struct desk *d = *state;
    put(d, 1, 100, 1);
    put(d, 2, 1, 200);
    struct bw_removal removal = {.id = bw_resource_id_slot(&(struct bw_id){.bytes = {5}}, 3), .version = 3};
    struct bw_grant_key key = {.key_id = {9}};
    struct bw_upsert key_upsert = bw_upsert_key(&key, 1);
    assert_int_equal(bw_feed_apply_keys(d->feed, &key_upsert, 1, NULL, 0, NULL), BW_OK);
    assert_int_equal(bw_feed_apply(d->feed, 3, NULL, 0, &removal, 1, NULL), BW_OK);
    struct bw_hello hello = a_hello();
    hello.has_resume = true;
    hello.resume = (struct bw_resume_point){.stream_id = stream, .applied_group = 2};
    greet(d, &hello);
    assert_int_equal(d->sent[BW_CONTROL_SNAPSHOT_BEGIN], 0);
    assert_int_equal(d->sent[BW_CONTROL_DELTA], 1);
    assert_int_equal(d->last.delta.from_group, 2);
    assert_int_equal(d->last.delta.to_group, 3);
    assert_int_equal(d->last_removals, 1);
    assert_int_equal(d->last_upserts, 1); /* the key: keys are always said again */
    assert_int_equal(d->upsert_types[0], BW_RESOURCE_GRANT_KEY);
}

static void a_resume_that_cannot_be_gets_a_snapshot(void **state)
{
    for (int i = 0; i < 3; i++) {
        setup(state);
        struct desk *d = *state;
        put(d, 10, 5, 1);
        bw_feed_compact(d->feed, 8);
        struct bw_hello hello = a_hello();
        hello.has_resume = true;
        hello.resume = (struct bw_resume_point){.stream_id = stream, .applied_group = 9};
        if (i == 0)
            hello.resume.stream_id.bytes[0] = 2; /* another database */
        else if (i == 1)
            hello.resume.applied_group = 7; /* compacted since */
        greet(d, &hello);
        assert_int_equal(d->sent[BW_CONTROL_SNAPSHOT_END], i == 2 ? 0 : 1);
        assert_int_equal(status_of(d).by_snapshot, i != 2);
        teardown(state);
    }
    setup(state);
}

static void a_relay_that_is_ahead_waits_for_the_feed_a_second_at_most(void **state)
{
    for (int late = 0; late < 2; late++) {
        setup(state);
        struct desk *d = *state;
        put(d, 10, 5, 1);
        struct bw_hello hello = a_hello();
        hello.has_resume = true;
        hello.resume = (struct bw_resume_point){.stream_id = stream, .applied_group = 12};
        greet(d, &hello);
        assert_int_equal(status_of(d).state, BW_SESSION_CATCHING);
        assert_int_equal(d->caught_up, 1);
        if (late) {
            d->now_ms += 1000;
            bw_session_tick(d->session, d->now_ms);
        } else {
            bw_feed_advance(d->feed, 12);
            bw_session_wake(d->session, d->now_ms);
        }
        assert_int_equal(status_of(d).state, BW_SESSION_LIVE);
        assert_int_equal(status_of(d).by_snapshot, late); /* ahead of a database that was restored */
        teardown(state);
    }
    setup(state);
}

static void the_window_closes_at_eight_and_changes_coalesce_behind_it(void **state)
{
    struct desk *d = *state;
    go_live(d);
    for (uint64_t g = 1; g <= 20; g++)
        put(d, g, 1, 1); /* the same slot again and again */
    assert_int_equal(d->sent[BW_CONTROL_DELTA], 8);
    assert_int_equal(status_of(d).unacked, 8);
    ack(d, 2, 1);
    assert_int_equal(d->sent[BW_CONTROL_DELTA], 9);
    assert_int_equal(d->last_upserts, 1); /* eleven changes of one slot are one */
    assert_int_equal(d->last.delta.to_group, 20);
    ack(d, 10, 20);
    assert_int_equal(status_of(d).unacked, 0);
}

static void types_go_out_in_order_and_removals_in_reverse(void **state)
{
    struct desk *d = *state;
    go_live(d);
    struct bw_id meeting = {.bytes = {5}};
    struct bw_meeting_slot slot = {.meeting = meeting, .slot = 1};
    struct bw_peer_link link = {.meeting = meeting, .peer_number = 2};
    struct bw_upsert upserts[] = {bw_upsert_slot(&slot, 1, 0), bw_upsert_link(&link, 1, 0)};
    assert_int_equal(bw_feed_apply(d->feed, 1, upserts, 2, NULL, 0, NULL), BW_OK);
    bw_session_wake(d->session, d->now_ms);
    assert_int_equal(d->upsert_types[0], BW_RESOURCE_PEER_LINK);
    assert_int_equal(d->upsert_types[1], BW_RESOURCE_MEETING_SLOT);
    struct bw_removal removals[] = {{.id = upserts[1].id, .version = 2}, {.id = upserts[0].id, .version = 2}};
    assert_int_equal(bw_feed_apply(d->feed, 2, NULL, 0, removals, 2, NULL), BW_OK);
    bw_session_wake(d->session, d->now_ms);
    assert_int_equal(d->removal_types[0], BW_RESOURCE_MEETING_SLOT);
    assert_int_equal(d->removal_types[1], BW_RESOURCE_PEER_LINK);
}

static void a_group_that_does_not_fit_one_delta_is_applied_only_when_whole(void **state)
{
    struct desk *d = *state;
    put(d, 1, 600, 1);
    struct bw_hello hello = a_hello();
    greet(d, &hello);
    ack(d, 1, 1);
    /* 600 of 600 changed would be a snapshot; 300 of 1,200 are not. */
    put(d, 2, 600, 1001);
    ack(d, d->last.kind == BW_CONTROL_SNAPSHOT_END ? d->last.snapshot_end.nonce : d->last.delta.nonce, 2);
    unsigned before = d->sent[BW_CONTROL_DELTA];
    put(d, 3, 590, 1);
    assert_int_equal(d->sent[BW_CONTROL_DELTA] - before, 2);
    assert_int_equal(d->last.delta.to_group, 3);
    assert_int_equal(d->last.delta.from_group,
                     2); /* after the first part, group 2 was still the last whole */
    assert_int_equal(d->last_upserts, 590 - BW_DELTA_UPSERTS);
}

static void more_than_half_changed_is_a_snapshot(void **state)
{
    struct desk *d = *state;
    put(d, 1, 200, 1);
    struct bw_hello hello = a_hello();
    greet(d, &hello);
    ack(d, 1, 1);
    put(d, 2, 90, 1);
    assert_int_equal(d->sent[BW_CONTROL_SNAPSHOT_END], 1);
    put(d, 3, 110, 1);
    assert_int_equal(d->sent[BW_CONTROL_SNAPSHOT_END], 2);
}

static void one_refusal_among_many_is_tried_again_less_and_less_often(void **state)
{
    struct desk *d = *state;
    go_live(d);
    put(d, 1, 50, 1);
    struct bw_nack_item item = {.id = d->upsert_ids[7], .version = 1, .code = BW_INVALID_ARGUMENT};
    uint64_t nonce = d->last.delta.nonce;
    uint64_t waited[4] = {0};
    for (int i = 0; i < 4; i++) {
        receive(d, (struct bw_relay_message){
                       .kind = BW_RELAY_NACK,
                       .epoch = 7,
                       .nack = {.nonce = nonce, .applied_group = 1, .items = &item, .item_count = 1}});
        assert_int_equal(status_of(d).retrying, 1);
        unsigned before = d->sent[BW_CONTROL_DELTA];
        uint64_t start = d->now_ms;
        while (d->sent[BW_CONTROL_DELTA] == before) {
            d->now_ms += 100;
            beat_well(d, (d->now_ms - 100000) / 100, 1);
            bw_session_tick(d->session, d->now_ms);
        }
        waited[i] = d->now_ms - start;
        assert_int_equal(d->last_upserts, 1);
        assert_true(bw_resource_id_equal(&d->upsert_ids[0], &item.id));
        nonce = d->last.delta.nonce;
    }
    assert_int_equal(waited[0], 1000);
    assert_int_equal(waited[1], 2000);
    assert_int_equal(waited[2], 4000);
    assert_int_equal(waited[3], 8000);
    assert_int_equal(d->sent[BW_CONTROL_SNAPSHOT_END], 1); /* a differing digest is no surprise meanwhile */
    ack(d, nonce, 1);
    assert_int_equal(status_of(d).retrying, 0);
}

static void a_digest_that_differs_gets_a_snapshot_but_not_at_every_heartbeat(void **state)
{
    struct desk *d = *state;
    go_live(d);
    put(d, 1, 5, 1);
    ack(d, d->last.delta.nonce, 1);
    struct bw_digest wrong = {{1}};
    uint64_t number = 0;
    unsigned snapshots = d->sent[BW_CONTROL_SNAPSHOT_END];
    for (int second = 0; second < 60; second++) {
        d->now_ms += 1000;
        beat(d, ++number, 1, &wrong, 5);
        bw_session_tick(d->session, d->now_ms);
        ack(d, d->snapshot_nonce, 1);
    }
    assert_in_range(d->sent[BW_CONTROL_SNAPSHOT_END] - snapshots, 4, 7);
    assert_false(d->closed);
}

static void silence_is_suspect_then_lapsed_then_dead(void **state)
{
    struct desk *d = *state;
    go_live(d);
    beat_well(d, 1, 0);
    const struct {
        uint64_t ms;
        enum bw_liveness liveness;
    } steps[] = {
        {5999, BW_LIVE}, {6000, BW_SUSPECT}, {9999, BW_SUSPECT}, {10000, BW_LAPSED}, {11999, BW_LAPSED}};
    uint64_t start = d->now_ms;
    for (size_t i = 0; i < BW_ARRAY_LEN(steps); i++) {
        d->now_ms = start + steps[i].ms;
        bw_session_tick(d->session, d->now_ms);
        assert_int_equal(status_of(d).liveness, steps[i].liveness);
        assert_int_equal(status_of(d).placeable, steps[i].liveness == BW_LIVE);
    }
    d->now_ms = start + 12000;
    assert_int_equal(bw_session_next_ms(d->session), d->now_ms);
    bw_session_tick(d->session, d->now_ms);
    assert_true(d->closed);
    assert_int_equal(d->why.code, BW_DEADLINE_EXCEEDED);
}

static void slow_acknowledgements_stop_placements_and_then_the_session(void **state)
{
    struct desk *d = *state;
    go_live(d);
    beat_well(d, 1, 0);
    put(d, 1, 1, 1);
    for (uint64_t n = 2; !d->closed && n < 100; n++) {
        d->now_ms += 1000;
        beat(d, n, 0, &(struct bw_digest){{0}}, 0); /* alive, but it does not take the delta */
        bw_session_tick(d->session, d->now_ms);
        assert_int_equal(status_of(d).lagging, d->closed || n - 1 >= 10);
    }
    assert_int_equal(d->now_ms, 130000);
    assert_true(d->closed);
}

static void messages_of_another_epoch_are_dropped(void **state)
{
    struct desk *d = *state;
    go_live(d);
    for (int kind = BW_RELAY_HEARTBEAT; kind <= BW_RELAY_BYE; kind++)
        receive(d, (struct bw_relay_message){.kind = (enum bw_relay_message_kind)kind, .epoch = 6});
    assert_int_equal(status_of(d).stale_dropped, 7);
    assert_int_equal(d->heartbeats + d->byes, 0);
    assert_false(d->closed);
}

static void what_breaks_the_protocol_ends_the_session(void **state)
{
    for (int i = 0; i < 6; i++) {
        setup(state);
        struct desk *d = *state;
        struct bw_hello hello = a_hello();
        if (i == 0)
            beat(d, 1, 0, &(struct bw_digest){{0}}, 0); /* before Hello */
        if (i > 0)
            greet(d, &hello);
        if (i == 1)
            greet(d, &hello); /* twice */
        if (i == 2)
            ack(d, 9, 0); /* of what was never sent */
        if (i == 3)
            ack(d, 1, 9); /* applied what was never sent */
        if (i == 4)
            beat(d, 1, 9, &(struct bw_digest){{0}}, 0);
        if (i == 5)
            receive(d, (struct bw_relay_message){.kind = BW_RELAY_BYE, .epoch = 7});
        assert_true(d->closed);
        assert_int_equal(d->byes, i == 5);
        ack(d, 1, 0); /* nothing after the end */
        bw_session_wake(d->session, d->now_ms);
        bw_session_tick(d->session, d->now_ms + 100000);
        teardown(state);
    }
    setup(state);
}

static void who_says_nothing_or_cannot_be_fenced_is_let_go(void **state)
{
    struct desk *d = *state;
    d->now_ms += 4999;
    bw_session_tick(d->session, d->now_ms);
    assert_false(d->closed);
    d->now_ms++;
    bw_session_tick(d->session, d->now_ms);
    assert_int_equal(d->why.code, BW_DEADLINE_EXCEEDED);
    teardown(state);
    setup(state);
    d = *state;
    d->answer_fence = false;
    struct bw_hello hello = a_hello();
    greet(d, &hello);
    struct bw_error gone = {0};
    (void)bw_fail(&gone, BW_UNAVAILABLE, NULL, "the database is away");
    bw_session_fenced(d->session, 0, &gone, d->now_ms);
    assert_int_equal(d->why.code, BW_UNAVAILABLE);
}

static void a_stream_that_takes_nothing_ends(void **state)
{
    struct desk *d = *state;
    go_live(d);
    d->send_result = BW_RESOURCE_EXHAUSTED;
    put(d, 1, 1, 1);
    assert_true(d->closed);
    assert_int_equal(d->why.code, BW_RESOURCE_EXHAUSTED);
}

static void an_idle_relay_is_told_how_far_the_log_is(void **state)
{
    struct desk *d = *state;
    go_live(d);
    bw_feed_advance(d->feed, 40);
    bw_session_wake(d->session, d->now_ms);
    assert_int_equal(d->sent[BW_CONTROL_BOOKMARK], 0);
    d->now_ms += 5000;
    bw_session_tick(d->session, d->now_ms);
    assert_int_equal(d->sent[BW_CONTROL_BOOKMARK], 1);
    assert_int_equal(d->last.bookmark.group, 40);
    beat_well(d, 1, 40); /* by a bookmark, without an acknowledgement */
    assert_false(d->closed);
    assert_int_equal(d->sent[BW_CONTROL_SNAPSHOT_END], 1);
    bw_feed_compact(d->feed, 40);
    put(d, 41, 1, 1);
    assert_int_equal(d->last.kind, BW_CONTROL_DELTA);
}

static void orders_are_sent_only_to_who_is_live(void **state)
{
    struct desk *d = *state;
    bw_session_drain(d->session, true, 1000, "early");
    assert_int_equal(d->sent[BW_CONTROL_DRAIN], 0);
    go_live(d);
    bw_session_drain(d->session, true, 1000, "maintenance");
    assert_true(d->last.drain.draining);
    bw_session_drain(d->session, false, 0, "done");
    assert_false(d->last.drain.draining);
    uint32_t slot = 4;
    struct bw_revoke revoke = {
        .meeting = {.bytes = {5}}, .meeting_epoch = 1, .slots = &slot, .slot_count = 1};
    for (uint64_t g = 1; g <= 20; g++)
        put(d, g, 1, 1);
    assert_int_equal(status_of(d).unacked, 8);
    bw_session_revoke(d->session, &revoke); /* the window does not hold it back */
    assert_int_equal(d->sent[BW_CONTROL_REVOKE], 1);
    bw_session_go_away(d->session, "update", 100);
    assert_int_equal(d->last.kind, BW_CONTROL_GO_AWAY);
    struct bw_error why = {.code = BW_ABORTED};
    bw_session_end(d->session, &why);
    bw_session_end(d->session, &why);
    assert_true(d->closed);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_pair_of_state_and_event_is_meant),
        TEST(a_first_session_gets_a_welcome_and_a_snapshot),
        cmocka_unit_test_teardown(a_relay_is_what_it_is_enrolled_as, teardown),
        TEST(a_resume_gets_what_it_missed_with_removals),
        cmocka_unit_test_teardown(a_resume_that_cannot_be_gets_a_snapshot, teardown),
        cmocka_unit_test_teardown(a_relay_that_is_ahead_waits_for_the_feed_a_second_at_most, teardown),
        TEST(the_window_closes_at_eight_and_changes_coalesce_behind_it),
        TEST(types_go_out_in_order_and_removals_in_reverse),
        TEST(a_group_that_does_not_fit_one_delta_is_applied_only_when_whole),
        TEST(more_than_half_changed_is_a_snapshot),
        TEST(one_refusal_among_many_is_tried_again_less_and_less_often),
        TEST(a_digest_that_differs_gets_a_snapshot_but_not_at_every_heartbeat),
        TEST(silence_is_suspect_then_lapsed_then_dead),
        TEST(slow_acknowledgements_stop_placements_and_then_the_session),
        TEST(messages_of_another_epoch_are_dropped),
        cmocka_unit_test_teardown(what_breaks_the_protocol_ends_the_session, teardown),
        TEST(who_says_nothing_or_cannot_be_fenced_is_let_go),
        TEST(a_stream_that_takes_nothing_ends),
        TEST(an_idle_relay_is_told_how_far_the_log_is),
        TEST(orders_are_sent_only_to_who_is_live),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
