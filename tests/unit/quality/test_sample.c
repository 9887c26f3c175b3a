#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <math.h>

#include "quality/sample.h"

enum { START = 1000000 };
static const enum bw_quality_source CLIENT = BW_QUALITY_FROM_CLIENT, RELAY = BW_QUALITY_FROM_RELAY;

static struct bw_quality_window good(void)
{
    struct bw_quality_window w = bw_quality_window_of(START, 10000);
    bw_quality_put(&w, BW_QUALITY_PACKETS_RECEIVED, 490);
    bw_quality_put(&w, BW_QUALITY_PACKETS_LOST, 10);
    bw_quality_put(&w, BW_QUALITY_JITTER, 4000);
    bw_quality_put(&w, BW_QUALITY_ROUND_TRIP_TIME, 40000);
    return w;
}

static void found(const struct bw_quality_window *w, enum bw_quality_source source,
                  enum bw_quality_fault fault, enum bw_quality_field field)
{
    struct bw_quality_finding finding;
    assert_string_equal(bw_quality_fault_name(bw_quality_check(w, source, &finding)),
                        bw_quality_fault_name(fault));
    assert_int_equal(finding.fault, fault);
    assert_string_equal(bw_quality_field_name(finding.field), bw_quality_field_name(field));
    assert_int_equal(bw_quality_check(w, source, NULL), fault);
}

static void expect_fault(enum bw_quality_field field, int64_t value, enum bw_quality_fault fault)
{
    struct bw_quality_window w = good();
    bw_quality_put(&w, field, value);
    found(&w, CLIENT, fault, field);
}

static void what_a_relay_measures_is_possible(void **state)
{
    (void)state;
    struct bw_quality_window w = good();
    found(&w, RELAY, BW_QUALITY_POSSIBLE, BW_QUALITY_FIELDS);
    bw_quality_put(&w, BW_QUALITY_PACKETS_RECEIVED, 0); /* all lost */
    found(&w, RELAY, BW_QUALITY_POSSIBLE, BW_QUALITY_FIELDS);
    w = bw_quality_window_of(START, 10000);
    w.state = BW_QUALITY_MUTED; /* nothing but that */
    found(&w, CLIENT, BW_QUALITY_POSSIBLE, BW_QUALITY_FIELDS);
}

static void every_field_has_limits_that_are_enforced(void **state)
{
    (void)state;
    for (unsigned field = 0; field < BW_QUALITY_FIELDS; field++) {
        const struct bw_quality_limit *limit = bw_quality_limit_of(field);
        struct bw_quality_window w = bw_quality_window_of(START, 60000);
        bw_quality_put(&w, field, limit->least);
        found(&w, CLIENT, BW_QUALITY_POSSIBLE, BW_QUALITY_FIELDS);
        found(&w, RELAY, limit->relay ? BW_QUALITY_POSSIBLE : BW_QUALITY_FAULT_WRONG_SOURCE,
              limit->relay ? BW_QUALITY_FIELDS : field);
        bw_quality_put(&w, field, limit->least - 1);
        found(&w, CLIENT, BW_QUALITY_FAULT_NEGATIVE, field);
        bw_quality_put(&w, field, limit->most + 1);
        found(&w, CLIENT, BW_QUALITY_FAULT_TOO_LARGE, field);
        bw_quality_put(&w, field, INT64_MAX);
        found(&w, CLIENT, BW_QUALITY_FAULT_TOO_LARGE, field);
        bw_quality_put(&w, field, BW_QUALITY_NOT_A_NUMBER);
        found(&w, CLIENT, BW_QUALITY_FAULT_NOT_A_NUMBER, field);
        assert_true(limit->most <= UINT32_MAX);
    }
}

static void rates_are_held_to_the_window(void **state)
{
    (void)state;
    expect_fault(BW_QUALITY_PACKETS_RECEIVED, 1000001, BW_QUALITY_FAULT_TOO_MANY);
    expect_fault(BW_QUALITY_NACK_COUNT, 1000001, BW_QUALITY_FAULT_TOO_MANY);
    expect_fault(BW_QUALITY_TOTAL_SAMPLES_RECEIVED, 2200001, BW_QUALITY_FAULT_TOO_MANY);
    expect_fault(BW_QUALITY_FREEZE_COUNT, 10001, BW_QUALITY_FAULT_TOO_MANY);
    expect_fault(BW_QUALITY_BYTES_RECEIVED, 490 * 65535 + 1, BW_QUALITY_FAULT_BYTES_WITHOUT_PACKETS);
}

static void values_that_contradict_each_other_are_named(void **state)
{
    (void)state;
    struct bw_quality_window w = good();
    bw_quality_put(&w, BW_QUALITY_PACKETS_RECEIVED, 600000);
    bw_quality_put(&w, BW_QUALITY_PACKETS_LOST, 400001);
    found(&w, RELAY, BW_QUALITY_FAULT_LOST_MORE_THAN_POSSIBLE, BW_QUALITY_PACKETS_LOST);
    bw_quality_put(&w, BW_QUALITY_PACKETS_LOST, 400000);
    found(&w, RELAY, BW_QUALITY_POSSIBLE, BW_QUALITY_FIELDS);

    w = good();
    bw_quality_put(&w, BW_QUALITY_TOTAL_SAMPLES_RECEIVED, 480000);
    bw_quality_put(&w, BW_QUALITY_CONCEALED_SAMPLES, 480001);
    found(&w, CLIENT, BW_QUALITY_FAULT_CONCEALED_MORE_THAN_RECEIVED, BW_QUALITY_CONCEALED_SAMPLES);

    w = good();
    bw_quality_put(&w, BW_QUALITY_TOTAL_FREEZES_DURATION, 10000);
    found(&w, CLIENT, BW_QUALITY_POSSIBLE, BW_QUALITY_FIELDS);
    bw_quality_put(&w, BW_QUALITY_TOTAL_FREEZES_DURATION, 10001);
    found(&w, CLIENT, BW_QUALITY_FAULT_FREEZE_LONGER_THAN_WINDOW, BW_QUALITY_TOTAL_FREEZES_DURATION);
}

static void windows_have_a_possible_place_in_time(void **state)
{
    (void)state;
    static const struct {
        int64_t start, length;
        enum bw_quality_fault fault;
    } cases[] = {
        {START, 999, BW_QUALITY_FAULT_WINDOW_LENGTH},
        {START, 0, BW_QUALITY_FAULT_WINDOW_LENGTH},
        {START, -10000, BW_QUALITY_FAULT_WINDOW_LENGTH},
        {START, 60001, BW_QUALITY_FAULT_WINDOW_LENGTH},
        {START, INT64_MAX, BW_QUALITY_FAULT_WINDOW_LENGTH},
        {-1, 10000, BW_QUALITY_FAULT_WINDOW_TIME},
        {INT64_MIN, 10000, BW_QUALITY_FAULT_WINDOW_TIME},
        {INT64_MAX, 10000, BW_QUALITY_FAULT_WINDOW_TIME},
        {BW_QUALITY_TIME_MOST_MS - 9999, 10000, BW_QUALITY_FAULT_WINDOW_TIME},
        {BW_QUALITY_TIME_MOST_MS - 10000, 10000, BW_QUALITY_POSSIBLE},
        {0, 1000, BW_QUALITY_POSSIBLE},
        {0, 60000, BW_QUALITY_POSSIBLE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct bw_quality_window w = good();
        w.start_ms = cases[i].start;
        w.length_ms = cases[i].length;
        found(&w, RELAY, cases[i].fault, BW_QUALITY_FIELDS);
    }
    struct bw_quality_window empty = bw_quality_window_of(START, 10000);
    found(&empty, CLIENT, BW_QUALITY_FAULT_EMPTY, BW_QUALITY_FIELDS);
    struct bw_quality_window strange = good();
    strange.state = 4;
    found(&strange, CLIENT, BW_QUALITY_FAULT_UNKNOWN_FIELD, BW_QUALITY_FIELDS);
    strange = good();
    strange.present |= UINT32_C(1) << BW_QUALITY_FIELDS;
    found(&strange, CLIENT, BW_QUALITY_FAULT_UNKNOWN_FIELD, BW_QUALITY_FIELDS);
}

static void real_numbers_come_in_the_units_of_webrtc_stats(void **state)
{
    (void)state;
    static const struct {
        enum bw_quality_field field;
        double real;
        int64_t ours;
    } cases[] = {
        {BW_QUALITY_JITTER, 0.0042, 4200},
        {BW_QUALITY_ROUND_TRIP_TIME, 0.1234567, 123457},
        {BW_QUALITY_FRACTION_LOST, 0.02, 20000},
        {BW_QUALITY_FRAMES_PER_SECOND, 29.97, 29970},
        {BW_QUALITY_TOTAL_FREEZES_DURATION, 1.5, 1500},
        {BW_QUALITY_AVAILABLE_OUTGOING_BITRATE, 2500000, 2500},
        {BW_QUALITY_PACKETS_RECEIVED, 500, 500},
        {BW_QUALITY_JITTER, NAN, BW_QUALITY_NOT_A_NUMBER},
        {BW_QUALITY_JITTER, INFINITY, BW_QUALITY_NOT_A_NUMBER},
        {BW_QUALITY_JITTER, -INFINITY, BW_QUALITY_NOT_A_NUMBER},
        {BW_QUALITY_JITTER, 1e300, INT64_MAX},
        {BW_QUALITY_JITTER, -1e300, -INT64_MAX},
        {BW_QUALITY_JITTER, -1e-9, -1}, /* below zero stays below zero */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct bw_quality_window w = good();
        bw_quality_put_real(&w, cases[i].field, cases[i].real);
        assert_true(w.values[cases[i].field] == cases[i].ours);
    }
}

static void a_finding_is_told_in_words(void **state)
{
    (void)state;
    char text[160];
    struct bw_quality_finding finding;
    struct bw_quality_window w = good();
    bw_quality_put(&w, BW_QUALITY_PACKETS_LOST, -3);
    (void)bw_quality_check(&w, RELAY, &finding);
    bw_quality_describe(&finding, text, sizeof text);
    assert_string_equal(text, "packetsLost: less than zero (-3)");
    w = bw_quality_window_of(START, 5);
    (void)bw_quality_check(&w, RELAY, &finding);
    bw_quality_describe(&finding, text, sizeof text);
    assert_string_equal(text, "window: a window lasts 1 to 60 seconds (5)");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_relay_measures_is_possible),
        cmocka_unit_test(every_field_has_limits_that_are_enforced),
        cmocka_unit_test(rates_are_held_to_the_window),
        cmocka_unit_test(values_that_contradict_each_other_are_named),
        cmocka_unit_test(windows_have_a_possible_place_in_time),
        cmocka_unit_test(real_numbers_come_in_the_units_of_webrtc_stats),
        cmocka_unit_test(a_finding_is_told_in_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
