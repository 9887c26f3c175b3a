#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "check_alloc.h"
#include "quality/chunk.h"
#include "quality/column.h"
#include "quality/varint.h"
#include "traces.h"

#define START_MS INT64_C(1795255200000)

static struct bw_quality_chunk chunk_of(struct trace *trace, size_t windows)
{
    static struct bw_quality_chunk chunk;
    memset(&chunk, 0, sizeof chunk);
    chunk.source = trace->source;
    chunk.media = trace->media;
    chunk.count = windows;
    for (size_t i = 0; i < windows; i++)
        chunk.windows[i] = trace_next(trace);
    return chunk;
}

static void same(const struct bw_quality_chunk *a, const struct bw_quality_chunk *b)
{
    assert_int_equal(a->source, b->source);
    assert_int_equal(a->media, b->media);
    assert_int_equal(a->count, b->count);
    for (size_t i = 0; i < a->count; i++) {
        const struct bw_quality_window *x = &a->windows[i], *y = &b->windows[i];
        assert_true(x->start_ms == y->start_ms && x->length_ms == y->length_ms);
        assert_int_equal(x->state, y->state);
        assert_int_equal(x->present, y->present);
        for (unsigned field = 0; field < BW_QUALITY_FIELDS; field++)
            if (bw_quality_has(x, field))
                assert_true(x->values[field] == y->values[field]);
    }
}

static size_t round_trip(const struct bw_quality_chunk *chunk)
{
    struct bw_buf bytes = {0};
    struct bw_error err;
    static struct bw_quality_chunk back;
    if (bw_quality_chunk_encode(chunk, &bytes, &err) != BW_OK)
        fail_msg("%s", err.show);
    assert_true(bytes.len <= BW_QUALITY_CHUNK_MAX_BYTES);
    if (bw_quality_chunk_decode(bw_buf_view(&bytes), &back, &err) != BW_OK)
        fail_msg("%s", err.show);
    same(chunk, &back);
    size_t len = bytes.len;
    bw_buf_finish(&bytes);
    return len;
}

static double bytes_a_sample(enum bw_quality_source source, enum bw_quality_media media, size_t windows)
{
    size_t bytes = 0, samples = 0;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct trace trace = trace_of(seed, source, media, START_MS);
        struct bw_quality_chunk chunk = chunk_of(&trace, windows);
        bytes += round_trip(&chunk);
        samples += bw_quality_chunk_samples(&chunk);
    }
    return (double)bytes / (double)samples;
}

static void realistic_streams_take_one_to_two_bytes_a_sample(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum bw_quality_source source;
        enum bw_quality_media media;
        double five_minutes, one_minute;
    } cases[] = {
        {"relay", BW_QUALITY_FROM_RELAY, BW_QUALITY_MEDIA_UNKNOWN, 1.7, 3.0},
        {"client audio", BW_QUALITY_FROM_CLIENT, BW_QUALITY_MEDIA_AUDIO, 1.3, 2.3},
        {"client camera", BW_QUALITY_FROM_CLIENT, BW_QUALITY_MEDIA_CAMERA, 1.1, 2.0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        double five = bytes_a_sample(cases[i].source, cases[i].media, 30);
        double one = bytes_a_sample(cases[i].source, cases[i].media, 6);
        print_message("%s: %.2f bytes a sample over 5 minutes, %.2f over 1\n", cases[i].name, five, one);
        assert_true(five <= cases[i].five_minutes);
        assert_true(one <= cases[i].one_minute);
    }
}

/* Any fields in any window, values from the whole of their range, gaps, overlaps and states. */
static struct bw_quality_chunk wild(uint64_t *random)
{
    static struct bw_quality_chunk chunk;
    memset(&chunk, 0, sizeof chunk);
    chunk.source = BW_QUALITY_FROM_CLIENT;
    chunk.media = (enum bw_quality_media)(trace_random(random) % 4);
    size_t wanted = 1 + trace_random(random) % BW_QUALITY_CHUNK_WINDOWS;
    int64_t start_ms = START_MS, step = BW_QUALITY_CHUNK_SPAN_MS / (int64_t)wanted;
    uint32_t usual = (uint32_t)trace_random(random);
    for (size_t i = 0; i < wanted; i++) {
        struct bw_quality_window w =
            bw_quality_window_of(start_ms, 1000 + (int64_t)(trace_random(random) % 59001));
        w.state = trace_random(random) % 3 == 0 ? trace_random(random) % 4 : 0;
        for (unsigned field = 0; field < BW_QUALITY_FIELDS; field++) {
            if (trace_random(random) % 8 == 0 ? trace_random(random) & 1 : usual >> field & 1) {
                const struct bw_quality_limit *limit = bw_quality_limit_of(field);
                uint64_t most = (uint64_t)limit->most >> trace_random(random) % 33;
                bw_quality_put(&w, field, (int64_t)(trace_random(random) % (most + 1)));
            }
        }
        if (bw_quality_check(&w, BW_QUALITY_FROM_CLIENT, NULL) == BW_QUALITY_POSSIBLE)
            chunk.windows[chunk.count++] = w;
        start_ms += 1 + (int64_t)(trace_random(random) % (uint64_t)step);
    }
    return chunk;
}

static void any_possible_run_comes_back_the_same(void **state)
{
    (void)state;
    uint64_t random = 7;
    size_t tried = 0;
    for (int i = 0; i < 3000; i++) {
        struct bw_quality_chunk chunk = wild(&random);
        if (chunk.count == 0)
            continue;
        round_trip(&chunk);
        tried++;
    }
    assert_true(tried > 2000);
}

static void columns_take_the_shortest_of_five_forms(void **state)
{
    (void)state;
    static const struct {
        int form;
        size_t bytes;
        int64_t values[8];
    } cases[] = {
        {0, 2, {7, 7, 7, 7, 7, 7, 7, 7}},
        {1, 10, {0, 0, 300, 0, 0, 0, 0, 5}},                                               /* one outlier */
        {2, 13, {1000000, 1000001, 1000000, 1000002, 1000001, 1000002, 1500000, 1500001}}, /* a step */
        {3, 7, {0, 15, 1, 14, 2, 13, 3, 12}},
        {4, 7, {5000, 5100, 5201, 5301, 5402, 5502, 5603, 5703}}, /* a slope */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint8_t bytes[512];
        struct bw_writer w = bw_writer_of(bytes, sizeof bytes);
        bw_column_write(&w, cases[i].values, 8);
        assert_int_equal(bytes[0], cases[i].form);
        assert_int_equal(bw_writer_len(&w), cases[i].bytes);
        int64_t back[8];
        struct bw_reader r = bw_reader_of(bw_view_of(bytes, bw_writer_len(&w)));
        bw_column_read(&r, back, 8);
        assert_true(bw_reader_done(&r));
        assert_memory_equal(back, cases[i].values, sizeof back);
    }
    static const int64_t tie[2] = {1, 2}; /* two bytes as they are and as a difference */
    uint8_t bytes[16];
    struct bw_writer w = bw_writer_of(bytes, sizeof bytes);
    bw_column_write(&w, tie, 2);
    assert_int_equal(bytes[0], 1);
}

static void extremes_fit_into_a_column(void **state)
{
    (void)state;
    int64_t values[BW_COLUMN_VALUES], back[BW_COLUMN_VALUES];
    for (unsigned pattern = 0; pattern < 4; pattern++) {
        uint64_t random = pattern;
        for (size_t i = 0; i < BW_COLUMN_VALUES; i++) {
            bool high = pattern < 2 ? (i + pattern) % 2 : trace_random(&random) % pattern;
            values[i] = high ? BW_COLUMN_VALUE_MAX : 0;
        }
        uint8_t bytes[1024];
        struct bw_writer w = bw_writer_of(bytes, sizeof bytes);
        bw_column_write(&w, values, BW_COLUMN_VALUES);
        assert_false(w.failed);
        struct bw_reader r = bw_reader_of(bw_view_of(bytes, bw_writer_len(&w)));
        bw_column_read(&r, back, BW_COLUMN_VALUES);
        assert_true(bw_reader_done(&r));
        assert_memory_equal(back, values, sizeof back);
    }
}

static void what_is_not_the_one_encoding_is_refused(void **state)
{
    (void)state;
    struct trace trace = trace_of(3, BW_QUALITY_FROM_CLIENT, BW_QUALITY_MEDIA_CAMERA, START_MS);
    struct bw_quality_chunk chunk = chunk_of(&trace, 30);
    chunk.windows[4].present &= ~(1U << BW_QUALITY_JITTER);
    struct bw_buf bytes = {0}, again = {0};
    static struct bw_quality_chunk back;
    assert_int_equal(bw_quality_chunk_encode(&chunk, &bytes, NULL), BW_OK);
    for (size_t len = 0; len < bytes.len; len++)
        assert_int_equal(bw_quality_chunk_decode(bw_view_of(bytes.data, len), &back, NULL), BW_DATA_LOSS);
    size_t refused = 0;
    for (size_t bit = 0; bit < bytes.len * 8; bit++) {
        bytes.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        struct bw_error err = {0};
        enum bw_code code = bw_quality_chunk_decode(bw_buf_view(&bytes), &back, &err);
        if (code == BW_OK) { /* other windows, then, but again in their one encoding */
            bw_buf_clear(&again);
            assert_int_equal(bw_quality_chunk_encode(&back, &again, NULL), BW_OK);
            assert_true(bw_view_equal(bw_buf_view(&again), bw_buf_view(&bytes)));
        } else {
            assert_int_equal(code, BW_DATA_LOSS);
            assert_int_equal(err.code, BW_DATA_LOSS);
            assert_true(err.show[0] != 0);
            refused++;
        }
        bytes.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    assert_true(refused > bytes.len); /* at least the frame and the forms; values are what they are */
    bw_buf_append_u8(&bytes, 0);
    assert_int_equal(bw_quality_chunk_decode(bw_buf_view(&bytes), &back, NULL), BW_DATA_LOSS);
    bw_buf_finish(&bytes);
    bw_buf_finish(&again);
}

static void a_run_that_is_no_run_is_not_encoded(void **state)
{
    (void)state;
    struct trace trace = trace_of(5, BW_QUALITY_FROM_RELAY, BW_QUALITY_MEDIA_UNKNOWN, START_MS);
    const struct bw_quality_chunk good = chunk_of(&trace, 6);
    struct bw_buf out = {0};
    for (int i = 0; i < 7; i++) {
        static struct bw_quality_chunk bad;
        struct bw_error err = {0};
        bad = good;
        if (i == 0)
            bad.count = 0;
        if (i == 1)
            bad.count = BW_QUALITY_CHUNK_WINDOWS + 1;
        if (i == 2)
            bad.windows[3].start_ms = bad.windows[2].start_ms;
        if (i == 3)
            bad.windows[5].start_ms = START_MS + BW_QUALITY_CHUNK_SPAN_MS + 1;
        if (i == 4)
            bad.windows[1].values[BW_QUALITY_PACKETS_LOST] = -1;
        if (i == 5)
            bw_quality_put(&bad.windows[1], BW_QUALITY_NACK_COUNT, 1); /* not from a relay */
        if (i == 6)
            bad.media = 4;
        assert_int_equal(bw_quality_chunk_encode(&bad, &out, &err), BW_INVALID_ARGUMENT);
        assert_int_equal(out.len, 0);
        if (i == 4)
            assert_string_equal(err.show, "window 1: packetsLost: less than zero (-1)");
    }
    bw_buf_finish(&out);
}

static void varints_are_never_longer_than_needed(void **state)
{
    (void)state;
    static const struct {
        uint8_t bytes[11];
        size_t len;
        uint64_t most;
        bool good;
    } cases[] = {
        {{0x00}, 1, 0, true},
        {{0x80, 0x00}, 2, UINT64_MAX, false},
        {{0x7f}, 1, 126, false},
        {{0x80}, 1, UINT64_MAX, false},
        {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01}, 10, UINT64_MAX, true},
        {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02}, 10, UINT64_MAX, false},
        {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x81, 0x01}, 11, UINT64_MAX, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct bw_reader r = bw_reader_of(bw_view_of(cases[i].bytes, cases[i].len));
        bw_varint_read(&r, cases[i].most);
        assert_int_equal(bw_reader_done(&r), cases[i].good);
    }
    for (unsigned shift = 0; shift < 64; shift++) {
        uint64_t v = UINT64_MAX >> shift;
        uint8_t bytes[BW_VARINT_MAX];
        struct bw_writer w = bw_writer_of(bytes, sizeof bytes);
        bw_varint_write(&w, v);
        assert_int_equal(bw_writer_len(&w), bw_varint_size(v));
        struct bw_reader r = bw_reader_of(bw_view_of(bytes, bw_writer_len(&w)));
        assert_true(bw_varint_read(&r, UINT64_MAX) == v && bw_reader_done(&r));
        assert_true(bw_unzigzag(bw_zigzag((int64_t)v)) == (int64_t)v);
        assert_true(bw_unzigzag(bw_zigzag(-(int64_t)(v >> 1))) == -(int64_t)(v >> 1));
    }
}

static bool encode_one(void *context)
{
    struct bw_buf out = {0};
    struct bw_error err = {0};
    enum bw_code code = bw_quality_chunk_encode(context, &out, &err);
    if (code != BW_OK) {
        assert_int_equal(code, BW_RESOURCE_EXHAUSTED);
        assert_int_equal(out.len, 0);
    }
    bw_buf_finish(&out);
    return code == BW_OK;
}

static void no_memory_is_an_error(void **state)
{
    (void)state;
    struct trace trace = trace_of(9, BW_QUALITY_FROM_RELAY, BW_QUALITY_MEDIA_UNKNOWN, START_MS);
    struct bw_quality_chunk chunk = chunk_of(&trace, 30);
    assert_true(bw_fail_each_allocation(encode_one, &chunk, true) >= 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(realistic_streams_take_one_to_two_bytes_a_sample),
        cmocka_unit_test(any_possible_run_comes_back_the_same),
        cmocka_unit_test(columns_take_the_shortest_of_five_forms),
        cmocka_unit_test(extremes_fit_into_a_column),
        cmocka_unit_test(what_is_not_the_one_encoding_is_refused),
        cmocka_unit_test(a_run_that_is_no_run_is_not_encoded),
        cmocka_unit_test(varints_are_never_longer_than_needed),
        cmocka_unit_test(no_memory_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
