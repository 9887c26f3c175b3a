#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <math.h>

#include "check_alloc.h"
#include "quality/distinct.h"
#include "quality/sketch.h"
#include "traces.h"

enum { N = 20000 };

static int64_t values[N];

/* Shapes that metrics have, and some that they should not. */
static int64_t draw(unsigned shape, uint64_t *random)
{
    double u = trace_uniform(random), normal = trace_normal(random);
    switch (shape) {
    case 0: /* uniform */
        return 1 + (int64_t)(u * 1e6);
    case 1: /* log-normal: jitter in us */
        return (int64_t)exp(8 + 0.9 * normal);
    case 2: /* heavy tail: round trips */
        return (int64_t)fmin(10000 / pow(1 - u, 0.7), 6e7);
    case 3: /* loss in ppm: mostly none */
        return u < 0.9 ? 0 : (int64_t)(u * 50000);
    case 4: /* two clusters far apart */
        return u < 0.5 ? 20 + (int64_t)(10 * u) : 5000000 + (int64_t)(1e5 * u);
    case 5: /* R in thousandths: near its top */
        return 93200 - (int64_t)fabs(2000 * normal);
    case 6: /* one value */
        return 42;
    default: /* small whole numbers */
        return (int64_t)(u * 12);
    }
}
enum { SHAPES = 8 };

static int ascending(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static void fill(struct bw_sketch *sketch, unsigned shape, uint64_t seed, size_t from, size_t to)
{
    uint64_t random = seed;
    for (size_t i = 0; i < N; i++) {
        int64_t v = values[i] = draw(shape, &random);
        if (i >= from && i < to)
            assert_int_equal(bw_sketch_add(sketch, v, NULL), BW_OK);
    }
}

static void estimates_are_within_one_per_cent(void **state)
{
    (void)state;
    for (unsigned shape = 0; shape < SHAPES; shape++)
        for (uint64_t seed = 1; seed <= 3; seed++) {
            struct bw_sketch sketch = {0};
            fill(&sketch, shape, seed, 0, N);
            qsort(values, N, sizeof values[0], ascending);
            for (int i = 0; i <= 1000; i++) {
                double q = i / 1000.0;
                double exact = (double)values[(size_t)floor(q * (N - 1))];
                double estimate = bw_sketch_quantile(&sketch, q);
                if (fabs(estimate - exact) > BW_SKETCH_ALPHA * exact * (1 + 1e-9))
                    fail_msg("shape %u, q %.3f: %f, exactly %f", shape, q, estimate, exact);
            }
            assert_int_equal(sketch.count, N);
            assert_int_equal(sketch.least, values[0]);
            assert_int_equal(sketch.most, values[N - 1]);
            bw_sketch_finish(&sketch);
        }
}

static void expect_same(const struct bw_sketch *a, const struct bw_sketch *b)
{
    struct bw_buf x = {0}, y = {0};
    bw_sketch_encode(a, &x);
    bw_sketch_encode(b, &y);
    assert_true(bw_view_equal(bw_buf_view(&x), bw_buf_view(&y)));
    bw_buf_finish(&x);
    bw_buf_finish(&y);
}

static void merged_parts_are_the_whole(void **state)
{
    (void)state;
    for (unsigned shape = 0; shape < SHAPES; shape++) {
        struct bw_sketch whole = {0}, merged = {0};
        fill(&whole, shape, 5, 0, N);
        for (size_t from = 0, part = 0; from < N; part++) {
            size_t to = from + 1 + part * part * 97;
            struct bw_sketch piece = {0};
            fill(&piece, shape, 5, from, to < N ? to : N);
            assert_int_equal(bw_sketch_merge(&merged, &piece, NULL), BW_OK);
            bw_sketch_finish(&piece);
            from = to;
        }
        expect_same(&whole, &merged);
        bw_sketch_finish(&whole);
        bw_sketch_finish(&merged);
    }
}

/* More than 1,024 bins: values from 1 to 1e12 evenly over their logarithm. */
static void the_lowest_bins_collapse_and_the_upper_keep_their_bound(void **state)
{
    (void)state;
    struct bw_sketch whole = {0}, odd = {0}, even = {0};
    uint64_t random = 11;
    for (size_t i = 0; i < N; i++) {
        values[i] = (int64_t)exp(trace_uniform(&random) * log(1e12));
        assert_int_equal(bw_sketch_add(&whole, values[i], NULL), BW_OK);
        assert_int_equal(bw_sketch_add(i % 2 ? &odd : &even, values[i], NULL), BW_OK);
    }
    assert_int_equal(whole.used, BW_SKETCH_BINS);
    uint64_t counted = 0;
    for (uint32_t i = 0; i < whole.used; i++)
        counted += whole.bins[i].count;
    assert_int_equal(counted, N);
    qsort(values, N, sizeof values[0], ascending);
    for (int i = 300; i <= 1000; i++) { /* 1,024 of 1,382 bins: the upper 74 % */
        double exact = (double)values[(size_t)floor(i / 1000.0 * (N - 1))];
        assert_true(fabs(bw_sketch_quantile(&whole, i / 1000.0) - exact) <=
                    BW_SKETCH_ALPHA * exact * (1 + 1e-9));
    }
    assert_int_equal(bw_sketch_merge(&odd, &even, NULL), BW_OK);
    expect_same(&whole, &odd);
    bw_sketch_finish(&whole);
    bw_sketch_finish(&odd);
    bw_sketch_finish(&even);
}

static void an_empty_sketch_answers_zero(void **state)
{
    (void)state;
    struct bw_sketch empty = {0}, also = {0};
    assert_true(bw_sketch_quantile(&empty, 0.5) == 0);
    assert_int_equal(bw_sketch_merge(&empty, &also, NULL), BW_OK);
    assert_int_equal(empty.count, 0);
    bw_sketch_finish(&empty);
}

static enum bw_code decode(struct bw_view bytes, struct bw_sketch *out)
{
    struct bw_reader r = bw_reader_of(bytes);
    enum bw_code code = bw_sketch_decode(&r, out, NULL);
    if (code == BW_OK && !bw_reader_done(&r)) {
        bw_sketch_finish(out);
        return BW_DATA_LOSS;
    }
    return code;
}

static void bytes_come_back_or_are_refused(void **state)
{
    (void)state;
    for (unsigned shape = 0; shape < SHAPES; shape++) {
        struct bw_sketch sketch = {0}, back = {0};
        struct bw_buf bytes = {0};
        fill(&sketch, shape, 2, 0, 300);
        bw_sketch_encode(&sketch, &bytes);
        assert_int_equal(decode(bw_buf_view(&bytes), &back), BW_OK);
        expect_same(&sketch, &back);
        assert_int_equal(back.count, 300);
        assert_int_equal(back.least, sketch.least);
        bw_sketch_finish(&back);
        for (size_t len = 0; len < bytes.len; len++)
            assert_int_equal(decode(bw_view_of(bytes.data, len), &back), BW_DATA_LOSS);
        for (size_t bit = 0; bit < bytes.len * 8; bit++) {
            bytes.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
            if (decode(bw_buf_view(&bytes), &back) == BW_OK) {
                struct bw_buf again = {0};
                bw_sketch_encode(&back, &again);
                assert_true(bw_view_equal(bw_buf_view(&again), bw_buf_view(&bytes)));
                bw_buf_finish(&again);
                bw_sketch_finish(&back);
            }
            bytes.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
        bw_buf_finish(&bytes);
        bw_sketch_finish(&sketch);
    }
    static const uint8_t claims_much[] = {0x01, 0x80, 0x08, 0x05},
                         too_low[] = {0x00, 0x01, 0x01, 0x01, 0x05, 0x01};
    static const uint8_t five_once[] = {0x00, 0x01, 0x05, 0x05, 81, 0x01},
                         five_never[] = {0x00, 0x01, 0x05, 0x05, 81, 0x00};
    struct bw_sketch none;
    assert_int_equal(decode(bw_view_of(five_never, sizeof five_never), &none), BW_DATA_LOSS);
    assert_int_equal(decode(bw_view_of(five_once, sizeof five_once), &none), BW_OK);
    assert_int_equal(none.count, 1);
    bw_sketch_finish(&none);
    assert_int_equal(decode(bw_view_of(claims_much, sizeof claims_much), &none), BW_DATA_LOSS);
    assert_int_equal(decode(bw_view_of(too_low, sizeof too_low), &none), BW_DATA_LOSS);
}

static void counts_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    struct bw_sketch a = {0}, b = {0};
    assert_int_equal(bw_sketch_add(&a, 5, NULL), BW_OK);
    assert_int_equal(bw_sketch_add(&b, 6, NULL), BW_OK);
    b.bins[0].count = b.count = UINT64_MAX;
    assert_int_equal(bw_sketch_merge(&a, &b, NULL), BW_OUT_OF_RANGE);
    assert_int_equal(a.count, 1);
    bw_sketch_finish(&a);
    bw_sketch_finish(&b);
}

static bool add_merge_decode(void *context)
{
    (void)context;
    struct bw_sketch a = {0}, b = {0}, back = {0};
    struct bw_buf bytes = {0};
    bool passed = true;
    for (int64_t v = 1; v < 4000 && passed; v *= 2) {
        uint64_t before = a.count;
        passed = bw_sketch_add(&a, v, NULL) == BW_OK && bw_sketch_add(&b, v * 3, NULL) == BW_OK;
        assert_true(passed || a.count - before <= 1);
    }
    uint64_t before = a.count;
    passed = passed && bw_sketch_merge(&a, &b, NULL) == BW_OK;
    assert_true(passed || a.count == before);
    bw_sketch_encode(&a, &bytes);
    passed = passed && !bytes.failed && decode(bw_buf_view(&bytes), &back) == BW_OK;
    bw_sketch_finish(&a);
    bw_sketch_finish(&b);
    bw_sketch_finish(&back);
    bw_buf_finish(&bytes);
    return passed;
}

static void no_memory_is_an_error(void **state)
{
    (void)state;
    assert_true(bw_fail_each_allocation(add_merge_decode, NULL, true) >= 5);
}

static void people_are_counted_once(void **state)
{
    (void)state;
    struct bw_distinct a = {0}, b = {0}, back;
    uint64_t random = 1;
    for (int i = 0; i < 4; i++) {
        uint64_t hash = trace_random(&random);
        bw_distinct_add(&a, hash);
        bw_distinct_add(&a, hash);
        bw_distinct_add(&b, hash);
    }
    bw_distinct_merge(&a, &b);
    assert_int_equal(bw_distinct_count(&a), 4); /* still under five */
    for (int i = 4; i < 63; i++)
        bw_distinct_add(&b, trace_random(&random));
    assert_int_equal(bw_distinct_count(&b), 63);
    bw_distinct_merge(&a, &b);
    assert_int_equal(bw_distinct_count(&a), 63);
    for (int i = 63; i < 10000; i++)
        bw_distinct_add(i % 2 ? &a : &b, trace_random(&random));
    bw_distinct_merge(&a, &b);
    uint64_t estimate = bw_distinct_count(&a);
    assert_true(estimate > 6000 && estimate < 14000); /* three standard errors */

    struct bw_buf bytes = {0};
    bw_distinct_encode(&a, &bytes);
    struct bw_reader r = bw_reader_of(bw_buf_view(&bytes));
    assert_int_equal(bw_distinct_decode(&r, &back, NULL), BW_OK);
    assert_true(bw_reader_done(&r));
    assert_memory_equal(&back, &a, sizeof a);
    memcpy(bytes.data + 9, bytes.data + 1, 8); /* the same twice */
    r = bw_reader_of(bw_buf_view(&bytes));
    assert_int_equal(bw_distinct_decode(&r, &back, NULL), BW_DATA_LOSS);
    r = bw_reader_of(bw_view_of(bytes.data, 5));
    assert_int_equal(bw_distinct_decode(&r, &back, NULL), BW_DATA_LOSS);
    bw_buf_finish(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(estimates_are_within_one_per_cent),
        cmocka_unit_test(merged_parts_are_the_whole),
        cmocka_unit_test(the_lowest_bins_collapse_and_the_upper_keep_their_bound),
        cmocka_unit_test(an_empty_sketch_answers_zero),
        cmocka_unit_test(bytes_come_back_or_are_refused),
        cmocka_unit_test(counts_that_do_not_fit_are_refused),
        cmocka_unit_test(no_memory_is_an_error),
        cmocka_unit_test(people_are_counted_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
