#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/alloc.h"
#include "grpc/compression.h"
#include "grpc/framing.h"

static void feed_in_pieces(size_t piece)
{
    static const char input[] = "\0\0\0\0\3abc\1\0\0\0\0\0\0\0\0\5hello";
    static const struct {
        const char *text;
        bool compressed;
    } wanted[] = {{"abc", false}, {"", true}, {"hello", false}};
    struct bw_framer framer;
    bw_framer_init(&framer, 100);
    size_t seen = 0;
    for (size_t at = 0; at < sizeof input - 1; at += piece) {
        size_t len = sizeof input - 1 - at < piece ? sizeof input - 1 - at : piece;
        struct bw_view view = bw_view_of(input + at, len);
        while (view.len > 0) {
            bool complete;
            struct bw_frame frame;
            assert_int_equal(bw_framer_feed(&framer, &view, &complete, &frame, NULL), BW_OK);
            if (!complete)
                continue;
            assert_true(seen < 3);
            assert_true(bw_view_equal_str(frame.message, wanted[seen].text));
            assert_int_equal(frame.compressed, wanted[seen].compressed);
            seen++;
        }
    }
    assert_int_equal(seen, 3);
    assert_true(bw_framer_idle(&framer));
    assert_int_equal(bw_framer_kept_bytes(&framer), 0);
    bw_framer_finish(&framer);
}

static void messages_come_out_whole_however_they_come_in(void **state)
{
    (void)state;
    for (size_t piece = 1; piece <= 30; piece++)
        feed_in_pieces(piece);
}

static enum bw_code feed(struct bw_framer *framer, const void *bytes, size_t len)
{
    struct bw_view view = bw_view_of(bytes, len);
    enum bw_code code = BW_OK;
    while (view.len > 0 && code == BW_OK) {
        bool complete;
        struct bw_frame frame;
        code = bw_framer_feed(framer, &view, &complete, &frame, NULL);
    }
    return code;
}

static void length_above_the_limit_is_refused_before_the_body_comes(void **state)
{
    (void)state;
    struct bw_framer framer;
    bw_framer_init(&framer, 10);
    assert_int_equal(feed(&framer, "\0\0\0\0\x0b", 5), BW_RESOURCE_EXHAUSTED);
    bw_framer_finish(&framer);
    bw_framer_init(&framer, 10);
    assert_int_equal(feed(&framer, "\0\xff\xff", 3), BW_OK);
    assert_int_equal(feed(&framer, "\xff\xff", 2), BW_RESOURCE_EXHAUSTED);
    bw_framer_finish(&framer);
    bw_framer_init(&framer, 10);
    assert_int_equal(feed(&framer, "\0\0\0\0\x0a", 5), BW_OK);
    assert_false(bw_framer_idle(&framer));
    bw_framer_finish(&framer);
}

static void unknown_flag_byte_is_an_error(void **state)
{
    (void)state;
    struct bw_framer framer;
    bw_framer_init(&framer, 10);
    assert_int_equal(feed(&framer, "\2\0\0\0\0", 5), BW_INTERNAL);
    bw_framer_finish(&framer);
}

static void memory_grows_with_what_arrives_not_with_what_is_announced(void **state)
{
    (void)state;
    struct bw_framer framer;
    bw_framer_init(&framer, 1 << 30);
    assert_int_equal(feed(&framer, "\0\x3f\0\0\0abc", 8), BW_OK);
    assert_int_equal(bw_framer_kept_bytes(&framer), 3);
    assert_true(framer.body.cap < 1000);
    bw_framer_finish(&framer);
}

static void out_of_memory_is_reported(void **state)
{
    (void)state;
    struct bw_framer framer;
    bw_framer_init(&framer, 100);
    bw_alloc_fail_at(1);
    assert_int_equal(feed(&framer, "\0\0\0\0\7abc", 8), BW_RESOURCE_EXHAUSTED);
    bw_alloc_fail_at(0);
    bw_framer_finish(&framer);
}

static void prefix_is_what_the_framer_reads(void **state)
{
    (void)state;
    uint8_t prefix[BW_FRAME_PREFIX_BYTES];
    bw_frame_prefix(prefix, true, 0x01020304);
    assert_memory_equal(prefix, "\1\1\2\3\4", 5);
}

static void gzip_round_trip(void **state)
{
    (void)state;
    uint8_t input[20000];
    for (size_t i = 0; i < sizeof input; i++)
        input[i] = (uint8_t)(i * i);
    static const size_t sizes[] = {0, 1, 5, 4096, 20000};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct bw_buf small = {0}, back = {0};
        assert_int_equal(bw_gzip_deflate(bw_view_of(input, sizes[i]), &small, NULL), BW_OK);
        assert_int_equal(bw_gzip_inflate(bw_buf_view(&small), sizes[i], &back, NULL), BW_OK);
        assert_true(bw_view_equal(bw_buf_view(&back), bw_view_of(input, sizes[i])));
        bw_buf_finish(&back);
        if (sizes[i] > 0)
            assert_int_equal(bw_gzip_inflate(bw_buf_view(&small), sizes[i] - 1, &back, NULL),
                             BW_RESOURCE_EXHAUSTED);
        bw_buf_finish(&small);
        bw_buf_finish(&back);
    }
}

static void inflating_stops_at_the_cap_with_little_memory(void **state)
{
    (void)state;
    uint8_t *zeroes = bw_calloc(1, 50 << 20);
    struct bw_buf bomb = {0}, out = {0};
    assert_int_equal(bw_gzip_deflate(bw_view_of(zeroes, 50 << 20), &bomb, NULL), BW_OK);
    bw_free(zeroes);
    assert_true(bomb.len < 100000);
    assert_int_equal(bw_gzip_inflate(bw_buf_view(&bomb), 10000, &out, NULL), BW_RESOURCE_EXHAUSTED);
    assert_true(out.cap <= 32768);
    bw_buf_finish(&bomb);
    bw_buf_finish(&out);
}

static void what_is_not_one_gzip_member_is_refused(void **state)
{
    (void)state;
    struct bw_buf good = {0}, out = {0};
    assert_int_equal(bw_gzip_deflate(bw_view_str("hello hello hello"), &good, NULL), BW_OK);
    for (size_t len = 0; len < good.len; len++) {
        bw_buf_clear(&out);
        assert_int_equal(bw_gzip_inflate(bw_view_of(good.data, len), 1000, &out, NULL), BW_INTERNAL);
    }
    bw_buf_append_u8(&good, 0); /* bytes behind the end */
    assert_int_equal(bw_gzip_inflate(bw_buf_view(&good), 1000, &out, NULL), BW_INTERNAL);
    good.data[good.len - 5] ^= 1; /* the checksum */
    assert_int_equal(bw_gzip_inflate(bw_view_of(good.data, good.len - 1), 1000, &out, NULL), BW_INTERNAL);
    bw_buf_finish(&good);
    bw_buf_finish(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_come_out_whole_however_they_come_in),
        cmocka_unit_test(length_above_the_limit_is_refused_before_the_body_comes),
        cmocka_unit_test(unknown_flag_byte_is_an_error),
        cmocka_unit_test(memory_grows_with_what_arrives_not_with_what_is_announced),
        cmocka_unit_test(out_of_memory_is_reported),
        cmocka_unit_test(prefix_is_what_the_framer_reads),
        cmocka_unit_test(gzip_round_trip),
        cmocka_unit_test(inflating_stops_at_the_cap_with_little_memory),
        cmocka_unit_test(what_is_not_one_gzip_member_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
