#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "relay/address.h"
#include "relay/cookie.h"
#include "relay/datagram.h"
#include "relay/handshake.h"
#include "relay/limit.h"
#include "relay/measure.h"
#include "relay/replay.h"

static struct bw_hmac256 key_of(uint8_t n)
{
    uint8_t bytes[32] = {n};
    struct bw_hmac256 key;
    bw_hmac256_init(&key, bw_view_of(bytes, sizeof bytes));
    return key;
}

static size_t sample(uint8_t out[BW_DATAGRAM_MAX], const struct bw_hmac256 *key)
{
    memcpy(out + BW_DATAGRAM_HEADER, "payload", 7);
    struct bw_datagram d = {.type = BW_DATAGRAM_DATA,
                            .channel = 0x01020304,
                            .sender = 0x05060708,
                            .meeting_epoch = 9,
                            .sequence = 0x0a0b0c0d0e0f1011,
                            .timestamp_us = 0x12131415,
                            .payload = bw_view_of(out + BW_DATAGRAM_HEADER, 7)};
    bw_datagram_write(out, &d, key, BW_TO_RELAY);
    return BW_DATAGRAM_HEADER + 7;
}

static void the_header_has_the_layout_of_the_reference(void **state)
{
    (void)state;
    static const uint8_t expected[BW_DATAGRAM_TAGGED] = {
        0xc1, 6, 0,    0,    1,    2,    3,    4,    5,    6,    7,    8,    0,    0,
        0,    9, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f, 0x10, 0x11, 0x12, 0x13, 0x14, 0x15};
    struct bw_hmac256 key = key_of(1);
    uint8_t bytes[BW_DATAGRAM_MAX];
    size_t len = sample(bytes, &key);
    assert_memory_equal(bytes, expected, sizeof expected);
    struct bw_datagram d;
    assert_true(bw_datagram_parse(bw_view_of(bytes, len), &d));
    assert_int_equal(d.type, BW_DATAGRAM_DATA);
    assert_int_equal(d.channel, 0x01020304);
    assert_int_equal(d.sender, 0x05060708);
    assert_int_equal(d.meeting_epoch, 9);
    assert_true(d.sequence == 0x0a0b0c0d0e0f1011);
    assert_int_equal(d.timestamp_us, 0x12131415);
    assert_true(bw_view_equal_str(d.payload, "payload"));
    /* The tag by the reference's words: HMAC-SHA256 over direction, 28 bytes, payload. */
    uint8_t said[1 + BW_DATAGRAM_TAGGED + 7] = {BW_TO_RELAY}, mac[BW_SHA256_SIZE];
    memcpy(said + 1, bytes, BW_DATAGRAM_TAGGED);
    memcpy(said + 1 + BW_DATAGRAM_TAGGED, "payload", 7);
    bw_hmac256(&key, bw_view_of(said, sizeof said), mac);
    assert_memory_equal(bytes + BW_DATAGRAM_TAGGED, mac, BW_DATAGRAM_TAG_SIZE);
}

static void every_flipped_bit_and_every_cut_is_noticed(void **state)
{
    (void)state;
    struct bw_hmac256 key = key_of(1), other = key_of(2);
    uint8_t good[BW_DATAGRAM_MAX], bytes[BW_DATAGRAM_MAX];
    size_t len = sample(good, &key);
    assert_true(bw_datagram_verify(bw_view_of(good, len), &key, BW_TO_RELAY));
    assert_false(bw_datagram_verify(bw_view_of(good, len), &other, BW_TO_RELAY));
    assert_false(bw_datagram_verify(bw_view_of(good, len), &key, BW_FROM_RELAY));
    for (size_t bit = 0; bit < len * 8; bit++) {
        memcpy(bytes, good, len);
        bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        struct bw_datagram d;
        struct bw_view view = bw_view_of(bytes, len);
        assert_false(bw_datagram_parse(view, &d) && bw_datagram_verify(view, &key, BW_TO_RELAY));
    }
    for (size_t cut = 0; cut < len; cut++) {
        struct bw_datagram d;
        struct bw_view view = bw_view_of(good, cut);
        assert_false(bw_datagram_parse(view, &d) && bw_datagram_verify(view, &key, BW_TO_RELAY));
    }
}

static void datagrams_of_other_protocols_are_not_ours(void **state)
{
    (void)state;
    uint8_t bytes[BW_DATAGRAM_MAX + 1] = {BW_DATAGRAM_VERSION, BW_DATAGRAM_DATA};
    struct bw_datagram d;
    assert_true(bw_datagram_parse(bw_view_of(bytes, BW_DATAGRAM_MAX), &d));
    assert_false(bw_datagram_parse(bw_view_of(bytes, BW_DATAGRAM_MAX + 1), &d));
    const uint8_t first[] = {0 /* STUN */, 22 /* DTLS */, 64 /* TURN */, 128 /* RTP */, 0xc0, 0xc2};
    for (size_t i = 0; i < BW_ARRAY_LEN(first); i++) {
        bytes[0] = first[i];
        assert_false(bw_datagram_parse(bw_view_of(bytes, 60), &d));
    }
    bytes[0] = BW_DATAGRAM_VERSION;
    bytes[1] = 0;
    assert_false(bw_datagram_parse(bw_view_of(bytes, 60), &d));
    bytes[1] = BW_DATAGRAM_PROBE_REPLY + 1;
    assert_false(bw_datagram_parse(bw_view_of(bytes, 60), &d));
    bytes[1] = BW_DATAGRAM_DATA;
    bytes[3] = 1; /* reserved */
    assert_false(bw_datagram_parse(bw_view_of(bytes, 60), &d));
}

static void handshake_payloads_come_back_and_nothing_else_does(void **state)
{
    (void)state;
    uint8_t grant[300] = {5}, out[BW_DATAGRAM_PAYLOAD_MAX], cookie[BW_COOKIE_SIZE] = {1, 2, 3},
            back[BW_COOKIE_SIZE];
    struct bw_join join = {.nonce = 77, .grant = bw_view_of(grant, sizeof grant)}, join_back;
    memcpy(join.cookie, cookie, sizeof cookie);
    size_t len = bw_join_write(&join, out, sizeof out);
    assert_int_equal(len, BW_JOIN_FIXED + sizeof grant);
    assert_true(bw_join_parse(bw_view_of(out, len), &join_back));
    assert_int_equal(join_back.nonce, 77);
    assert_memory_equal(join_back.cookie, cookie, sizeof cookie);
    assert_true(bw_view_equal(join_back.grant, join.grant));
    for (size_t cut = 0; cut < len; cut++)
        assert_false(bw_join_parse(bw_view_of(out, cut), &join_back));
    assert_false(bw_join_parse(bw_view_of(out, len + 1), &join_back));

    uint64_t nonce;
    uint16_t refusal;
    struct bw_resume resume = {.nonce = 5}, resume_back;
    struct bw_admitted admitted = {.nonce = 6, .provisional = true, .mode = 1, .keepalive_ms = 5000}, a;
    len = bw_resume_write(&resume, out, sizeof out);
    assert_int_equal(len, BW_RESUME_PAYLOAD);
    assert_true(bw_resume_parse(bw_view_of(out, len), &resume_back));
    len = bw_cookie_write(8, cookie, out, sizeof out);
    assert_int_equal(len, BW_COOKIE_PAYLOAD);
    assert_true(bw_cookie_parse(bw_view_of(out, len), &nonce, back));
    assert_memory_equal(back, cookie, sizeof cookie);
    len = bw_admitted_write(&admitted, out, sizeof out);
    assert_int_equal(len, BW_ADMITTED_PAYLOAD);
    assert_true(bw_admitted_parse(bw_view_of(out, len), &a));
    assert_true(a.provisional && a.keepalive_ms == 5000 && a.nonce == 6);
    out[8] = 2; /* neither yes nor no */
    assert_false(bw_admitted_parse(bw_view_of(out, len), &a));
    len = bw_refused_write(9, BW_REFUSAL_EXPIRED, out, sizeof out);
    assert_true(bw_refused_parse(bw_view_of(out, len), &nonce, &refusal));
    assert_int_equal(refusal, BW_REFUSAL_EXPIRED);
    assert_false(bw_refused_parse(bw_view_of(out, len - 1), &nonce, &refusal));
    assert_string_equal(bw_refusal_name(BW_REFUSAL_BAD_SIGNATURE), "BAD_SIGNATURE");
    assert_string_equal(bw_refusal_name(9999), "UNKNOWN");
}

static void a_cookie_is_good_for_one_address_one_subject_and_two_rotations(void **state)
{
    (void)state;
    struct bw_cookie_jar jar;
    uint8_t secret[BW_COOKIE_SECRET] = {1}, cookie[BW_COOKIE_SIZE], none[BW_COOKIE_SIZE] = {0};
    struct bw_address a, b;
    assert_int_equal(bw_address_parse("192.0.2.1:1000", &a, NULL), BW_OK);
    assert_int_equal(bw_address_parse("192.0.2.1:1001", &b, NULL), BW_OK);
    struct bw_view mine = bw_view_str("mine"), yours = bw_view_str("yours");
    bw_cookie_jar_init(&jar, secret, 0);
    bw_cookie_make(&jar, &a, mine, cookie);
    assert_true(bw_cookie_check(&jar, &a, mine, cookie));
    assert_false(bw_cookie_check(&jar, &b, mine, cookie));
    assert_false(bw_cookie_check(&jar, &a, yours, cookie));
    assert_false(bw_cookie_check(&jar, &a, mine, none));
    for (size_t i = 0; i < BW_COOKIE_SIZE; i++) {
        cookie[i] ^= 1;
        assert_false(bw_cookie_check(&jar, &a, mine, cookie));
        cookie[i] ^= 1;
    }
    assert_false(bw_cookie_jar_due(&jar, BW_COOKIE_ROTATE_MS - 1));
    assert_true(bw_cookie_jar_due(&jar, BW_COOKIE_ROTATE_MS));
    secret[0] = 2;
    bw_cookie_jar_rotate(&jar, secret, BW_COOKIE_ROTATE_MS);
    assert_true(bw_cookie_check(&jar, &a, mine, cookie));
    secret[0] = 3;
    bw_cookie_jar_rotate(&jar, secret, 2 * BW_COOKIE_ROTATE_MS);
    assert_false(bw_cookie_check(&jar, &a, mine, cookie));
    bw_cookie_jar_finish(&jar);
}

static void a_sequence_passes_once_whatever_the_order(void **state)
{
    (void)state;
    struct bw_replay replay = {0};
    assert_false(bw_replay_fresh(&replay, 0));
    static bool passed[6000];
    uint64_t random = 1;
    for (size_t i = 0; i < 200000; i++) { /* against a plain model */
        random = random * 6364136223846793005u + 1442695040888963407u;
        uint64_t around = replay.highest > 1200 ? replay.highest - 1200 : 0;
        uint64_t sequence = around + 1 + (random >> 33) % 1300;
        if (sequence >= 6000)
            break;
        bool fresh = bw_replay_fresh(&replay, sequence);
        bool old = sequence + BW_REPLAY_WINDOW <= replay.highest;
        assert_int_equal(fresh, !old && !passed[sequence]);
        if (fresh) {
            bw_replay_mark(&replay, sequence);
            passed[sequence] = true;
        }
    }
    assert_true(replay.highest > 4000);
    bw_replay_mark(&replay, UINT64_MAX);
    assert_false(bw_replay_fresh(&replay, UINT64_MAX));
    assert_true(bw_replay_fresh(&replay, UINT64_MAX - 1));
    assert_false(bw_replay_fresh(&replay, 1));
}

/* RFC 3550 A.8 by hand: J += |D| - (J + 8) / 16 with J scaled by 16. */
static void jitter_is_that_of_rfc_3550(void **state)
{
    (void)state;
    struct bw_measure m = {0};
    const uint32_t sent[] = {0, 20000, 40000, 60000, 80000, 100000};
    const uint32_t delay[] = {5000, 5000, 9000, 5000, 5500, 1000};
    double expected = 0;
    for (size_t i = 0; i < BW_ARRAY_LEN(sent); i++) {
        /* Both clocks wrap on the way. */
        bw_measure_packet(&m, i + 1, sent[i] - 50000u, sent[i] + delay[i] - 70000u, 100);
        if (i > 0) {
            double d = (double)delay[i] - (double)delay[i - 1];
            expected += ((d < 0 ? -d : d) - expected) / 16;
        }
    }
    /* |D| = 0, 4000, 4000, 500, 4500: the integer estimate stays within its rounding of the formula. */
    assert_in_range(bw_measure_jitter_us(&m), (unsigned)expected - 2, (unsigned)expected + 2);
    assert_in_range(bw_measure_jitter_us(&m), 734, 738);
}

static void loss_is_that_of_rfc_3550(void **state)
{
    (void)state;
    struct bw_measure m = {0};
    const uint64_t arrive[] = {1000, 1001, 1003, 1002, 1006, 1010}; /* 1004, 5, 7, 8, 9 are lost */
    for (size_t i = 0; i < BW_ARRAY_LEN(arrive); i++)
        bw_measure_packet(&m, arrive[i], 0, 0, 10);
    assert_int_equal(bw_measure_lost(&m), 5);
    struct bw_measure_interval first = bw_measure_interval(&m);
    assert_int_equal(first.packets_received, 6);
    assert_int_equal(first.packets_lost, 5);
    assert_int_equal(first.fraction_lost_ppm, 454545);
    bw_measure_packet(&m, 1011, 0, 0, 10);
    bw_measure_packet(&m, 1012, 0, 0, 10);
    struct bw_measure_interval second = bw_measure_interval(&m);
    assert_int_equal(second.packets_received, 2);
    assert_int_equal(second.packets_lost, 0);
    assert_int_equal(bw_measure_interval(&m).fraction_lost_ppm, 0);
    bw_measure_restart(&m); /* a new run far away */
    bw_measure_packet(&m, (uint64_t)9 << 32, 0, 0, 10);
    bw_measure_packet(&m, ((uint64_t)9 << 32) + 2, 0, 0, 10);
    assert_int_equal(bw_measure_lost(&m), 6);
    struct bw_measure_interval third = bw_measure_interval(&m);
    assert_int_equal(third.packets_received, 2);
    assert_int_equal(third.packets_lost, 1);
}

static void a_bucket_gives_its_rate_and_no_more(void **state)
{
    (void)state;
    struct bw_limit limit = {0};
    unsigned taken = 0;
    for (uint64_t us = 0; us <= 10000000; us += 100)
        taken += bw_limit_take(&limit, us, 333, 50, 1);
    assert_in_range(taken, 3330 + 49, 3330 + 51);
    assert_true(bw_limit_take(&limit, UINT64_MAX, 333, 50, 50)); /* a long time later it is full, not more */
    assert_false(bw_limit_take(&limit, UINT64_MAX, 333, 50, 1));
    assert_true(bw_limit_take(&limit, 0, 0, 0, 1000)); /* no limit */
}

static void addresses_have_one_spelling(void **state)
{
    (void)state;
    const char *good[] = {"192.0.2.1:3478", "[2001:db8::1]:65535", "0.0.0.0:0"};
    for (size_t i = 0; i < BW_ARRAY_LEN(good); i++) {
        struct bw_address address, back;
        char text[BW_ADDRESS_TEXT];
        struct sockaddr_storage sa;
        assert_int_equal(bw_address_parse(good[i], &address, NULL), BW_OK);
        bw_address_format(&address, text);
        assert_string_equal(text, good[i]);
        assert_true(bw_address_to_sockaddr(&address, AF_INET6, &sa) > 0);
        assert_true(bw_address_from_sockaddr(&sa, &back)); /* IPv4 comes back from a dual socket as IPv4 */
        assert_true(bw_address_equal(&address, &back));
    }
    const char *bad[] = {"",
                         "192.0.2.1",
                         "192.0.2.1:",
                         "192.0.2.1:65536",
                         "192.0.2.1:-1",
                         "2001:db8::1:3478",
                         "[2001:db8::1]",
                         "[2001:db8::1]3478",
                         "relay.example:3478",
                         "[::1:3478",
                         "192.0.2:1",
                         "192.0.2.1:34x"};
    for (size_t i = 0; i < BW_ARRAY_LEN(bad); i++) {
        struct bw_address address;
        struct bw_error err = {0};
        assert_int_equal(bw_address_parse(bad[i], &address, &err), BW_INVALID_ARGUMENT);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_header_has_the_layout_of_the_reference),
        cmocka_unit_test(every_flipped_bit_and_every_cut_is_noticed),
        cmocka_unit_test(datagrams_of_other_protocols_are_not_ours),
        cmocka_unit_test(handshake_payloads_come_back_and_nothing_else_does),
        cmocka_unit_test(a_cookie_is_good_for_one_address_one_subject_and_two_rotations),
        cmocka_unit_test(a_sequence_passes_once_whatever_the_order),
        cmocka_unit_test(jitter_is_that_of_rfc_3550),
        cmocka_unit_test(loss_is_that_of_rfc_3550),
        cmocka_unit_test(a_bucket_gives_its_rate_and_no_more),
        cmocka_unit_test(addresses_have_one_spelling),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
