/* A snapshot that its stream does not take at once: it goes on as the stream drains, is of one moment all the
 * same, and holds nothing up for ever. The relay's side is a real replica. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "fleet/replica.h"
#include "fleet/session.h"

enum { RESOURCES = 60000, PART = 500 };

struct line {
    struct bw_session *session;
    struct bw_feed *feed;
    struct bw_replica *replica;
    struct bw_replica_failures failures;
    uint64_t now_ms, group;
    size_t room; /* messages the stream takes until it is drained again */
    size_t taken;
    unsigned snapshots, removed;
    uint64_t nonce; /* to be acknowledged; 0: nothing */
    bool closed;
    bool unheard; /* what is sent is counted and goes nowhere */
    enum bw_code why;
};

static struct line line;

static enum bw_code on_upsert(void *context, const struct bw_resource_name *name,
                              const struct bw_upsert *upsert, struct bw_error *err)
{
    (void)context, (void)name, (void)upsert, (void)err;
    return BW_OK;
}

static void on_remove(void *context, const struct bw_resource_name *name)
{
    (void)context, (void)name;
    line.removed++;
}

static enum bw_code send_message(void *context, const struct bw_control_message *message)
{
    (void)context;
    static const struct bw_id stream = {.bytes = {1}};
    struct bw_error err = {0};
    enum bw_code code = BW_OK;
    line.taken++;
    if (line.room > 0)
        line.room--;
    if (line.unheard)
        return BW_OK;
    if (message->kind == BW_CONTROL_SNAPSHOT_BEGIN) {
        code = bw_replica_snapshot_begin(line.replica, &message->snapshot_begin, &err);
    } else if (message->kind == BW_CONTROL_SNAPSHOT_CHUNK) {
        code = bw_replica_snapshot_chunk(line.replica, &message->snapshot_chunk, &err);
    } else if (message->kind == BW_CONTROL_SNAPSHOT_END) {
        code = bw_replica_snapshot_end(line.replica, &message->snapshot_end, &stream, &line.failures, &err);
        line.nonce = message->snapshot_end.nonce;
        line.snapshots++;
    } else if (message->kind == BW_CONTROL_DELTA) {
        code = bw_replica_apply_delta(line.replica, &message->delta, &line.failures, &err);
        line.nonce = message->delta.nonce;
    }
    assert_int_equal(code, BW_OK);
    return BW_OK;
}

static bool room(void *context)
{
    (void)context;
    return line.room > 0;
}

static void close_stream(void *context, const struct bw_error *why)
{
    (void)context;
    line.closed = true;
    line.why = why->code;
}

static void fence(void *context, const struct bw_hello *hello)
{
    (void)context, (void)hello;
    bw_session_fenced(line.session, 7, NULL, line.now_ms);
}

static void catch_up(void *context, uint64_t group)
{
    (void)context, (void)group;
}

static void heartbeat(void *context, const struct bw_heartbeat *beat)
{
    (void)context;
    bw_session_lease_renewed(line.session, beat->number, 0);
}

static void applied(void *context, uint64_t group)
{
    (void)context, (void)group;
}

static void put(uint32_t first, uint32_t count)
{
    static struct bw_meeting_slot bodies[PART];
    static struct bw_upsert upserts[PART];
    line.group++;
    for (uint32_t i = 0; i < count; i++) {
        bodies[i] = (struct bw_meeting_slot){.meeting = {.bytes = {5}}, .slot = first + i};
        upserts[i] = bw_upsert_slot(&bodies[i], line.group, 0);
    }
    assert_int_equal(bw_feed_apply(line.feed, line.group, upserts, count, NULL, 0, NULL), BW_OK);
}

static void take_away(uint32_t slot)
{
    const struct bw_id meeting = {.bytes = {5}};
    const struct bw_removal removal = {.id = bw_resource_id_slot(&meeting, slot), .version = ++line.group};
    assert_int_equal(bw_feed_apply(line.feed, line.group, NULL, 0, &removal, 1, NULL), BW_OK);
}

static int setup(void **state)
{
    (void)state;
    static const struct bw_enrolment enrolment = {.name = "par1", .number = 1, .capacity = 65536};
    memset(&line, 0, sizeof line);
    line.now_ms = 100000;
    line.feed = bw_feed_create(0);
    const struct bw_replica_events events = {.upsert = on_upsert, .remove = on_remove};
    line.replica = bw_replica_create(&events);
    const struct bw_session_config config = {
        .timing = bw_session_timing_default(), .stream_id = {.bytes = {1}}, .replica = "r1"};
    const struct bw_session_ports ports = {.send = send_message,
                                           .room = room,
                                           .close = close_stream,
                                           .fence = fence,
                                           .catch_up = catch_up,
                                           .heartbeat = heartbeat,
                                           .applied = applied};
    line.session = bw_session_create(&config, &enrolment, line.feed, &ports, line.now_ms);
    for (uint32_t slot = 1; slot <= RESOURCES; slot += PART)
        put(slot, PART);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    bw_session_destroy(line.session);
    bw_replica_destroy(line.replica);
    bw_feed_destroy(line.feed);
    return 0;
}

static void greet(void)
{
    static const uint8_t secret[BW_SESSION_SECRET] = {1};
    const struct bw_relay_message hello = {.kind = BW_RELAY_HELLO,
                                           .hello = {.protocol_min = 1,
                                                     .protocol_max = 1,
                                                     .boot_id = {.bytes = {4}},
                                                     .media_addresses = {bw_view_str("192.0.2.1:3478")},
                                                     .media_address_count = 1,
                                                     .capacity = 65536,
                                                     .session_secret = bw_view_of(secret, sizeof secret)}};
    bw_session_receive(line.session, &hello, line.now_ms);
}

/* The stream has drained and takes so many messages more. */
static void drain(size_t messages)
{
    line.room = messages;
    bw_session_wake(line.session, line.now_ms);
}

static void beat(uint64_t number)
{
    const struct bw_relay_message message = {.kind = BW_RELAY_HEARTBEAT,
                                             .epoch = 7,
                                             .heartbeat = {.number = number,
                                                           .applied_group = bw_replica_applied(line.replica),
                                                           .digest = bw_replica_digest(line.replica),
                                                           .count = bw_replica_count(line.replica)}};
    bw_session_receive(line.session, &message, line.now_ms);
}

static void acknowledge(void)
{
    while (line.nonce != 0 && !line.closed) {
        const struct bw_relay_message ack = {
            .kind = BW_RELAY_ACK,
            .epoch = 7,
            .ack = {.nonce = line.nonce, .applied_group = bw_replica_applied(line.replica)}};
        line.nonce = 0;
        bw_session_receive(line.session, &ack, line.now_ms);
    }
}

static void in_step(void)
{
    struct bw_digest mine = bw_replica_digest(line.replica), theirs = bw_feed_digest(line.feed);
    assert_true(bw_digest_equal(&mine, &theirs));
    assert_int_equal(bw_replica_count(line.replica), bw_feed_live(line.feed));
}

static void a_stream_that_takes_little_gets_the_snapshot_in_parts(void **state)
{
    (void)state;
    line.room = 10;
    greet();
    unsigned parts = 1;
    while (line.snapshots == 0) {
        assert_true(parts < 100);
        assert_true(line.taken <= 12); /* Welcome, Begin, and what there was room for */
        assert_int_equal(bw_replica_count(line.replica), 0);
        line.taken = 0;
        drain(10);
        parts++;
    }
    assert_true(parts > 20);
    in_step();
    line.room = 100;
    acknowledge();
    assert_int_equal(line.snapshots, 1);
    beat(1);
    assert_true(bw_session_status(line.session, line.now_ms).placeable);
}

/* What changes meanwhile follows as a delta; nothing that lives is ever taken away. */
static void a_snapshot_is_of_one_moment_though_the_feed_goes_on(void **state)
{
    (void)state;
    line.room = 10;
    greet();
    for (unsigned part = 0; line.snapshots == 0; part++) {
        put(1 + part * 7, 3);            /* said already, or still to be said: anew */
        put(RESOURCES + 1 + part, 1);    /* not there at the beginning */
        take_away(RESOURCES - part * 5); /* still to be said */
        drain(10);
    }
    assert_int_equal(bw_replica_count(line.replica), RESOURCES);
    line.room = 1000;
    acknowledge();
    assert_int_equal(line.snapshots, 1);
    in_step();
    assert_true(line.removed > 20); /* those that were taken away, and by their removal only */
    assert_int_equal(line.removed, bw_feed_tombstones(line.feed));
}

static void a_relay_whose_snapshot_does_not_get_through_is_let_go(void **state)
{
    (void)state;
    line.room = 10;
    greet();
    for (uint64_t second = 1; second <= 29; second++) {
        line.now_ms += 1000;
        if (second % 2 == 0)
            beat(second / 2);
        bw_session_tick(line.session, line.now_ms);
        assert_false(line.closed);
    }
    assert_true(bw_session_status(line.session, line.now_ms).lagging);
    assert_true(bw_session_next_ms(line.session) <= line.now_ms); /* it looks by itself, too */
    line.now_ms += 1000;
    bw_session_tick(line.session, line.now_ms);
    assert_true(line.closed);
    assert_int_equal(line.why, BW_DEADLINE_EXCEEDED);
}

static void a_session_may_end_in_the_middle_of_it(void **state)
{
    (void)state;
    line.room = 10;
    greet();
    const struct bw_error why = {.code = BW_ABORTED};
    bw_session_end(line.session, &why);
    size_t before = line.taken;
    drain(1000);
    assert_int_equal(line.taken, before);
}

static void without_memory_for_the_rest_the_session_ends(void **state)
{
    (void)state;
    for (unsigned nth = 1;; nth++) {
        assert_true(nth < 50);
        line.room = 10;
        line.unheard = true;
        bw_alloc_fail_at(nth);
        greet();
        bool struck = bw_alloc_failed() != 0;
        bw_alloc_fail_at(0);
        if (!struck) {
            assert_true(nth > 3); /* the chunk, the rest and its bodies */
            break;
        }
        assert_true(line.closed);
        teardown(NULL);
        setup(NULL);
    }
    assert_false(line.closed);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_stream_that_takes_little_gets_the_snapshot_in_parts),
        TEST(a_snapshot_is_of_one_moment_though_the_feed_goes_on),
        TEST(a_relay_whose_snapshot_does_not_get_through_is_let_go),
        TEST(a_session_may_end_in_the_middle_of_it),
        TEST(without_memory_for_the_rest_the_session_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
