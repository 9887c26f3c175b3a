#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "check_alloc.h"
#include "quality/hour.h"
#include "traces.h"

/* One participant's minute in two groups and in all. */
static enum bw_code add_minute(struct bw_quality_hour *hour, uint64_t seed, const char *relay)
{
    char site[8];
    (void)snprintf(site, sizeof site, "s%u", (unsigned)(seed % 3));
    const struct bw_quality_place places[] = {
        {BW_QUALITY_BY_RELAY, relay}, {BW_QUALITY_BY_SITE, site}, {BW_QUALITY_BY_ALL, ""}};
    struct trace trace = trace_of(seed, BW_QUALITY_FROM_CLIENT, BW_QUALITY_MEDIA_AUDIO, 0);
    for (int i = 0; i < 6; i++) {
        struct bw_quality_window w = trace_next(&trace);
        struct bw_quality_judgement j = bw_quality_judge(&w, BW_QUALITY_MEDIA_AUDIO);
        uint64_t hash = seed * UINT64_C(0x9e3779b97f4a7c15);
        enum bw_code code = bw_quality_hour_add(hour, places, BW_ARRAY_LEN(places), &j, hash, NULL);
        if (code != BW_OK)
            return code;
    }
    return BW_OK;
}

static struct bw_quality_hour *hour_of(uint64_t from, uint64_t to)
{
    struct bw_quality_hour *hour = NULL;
    assert_int_equal(bw_quality_hour_create(&hour, NULL), BW_OK);
    for (uint64_t seed = from; seed < to; seed++)
        assert_int_equal(add_minute(hour, seed, seed % 2 ? "fra1" : "par1"), BW_OK);
    return hour;
}

static struct bw_buf bytes_of(const struct bw_quality_hour *hour)
{
    struct bw_buf bytes = {0};
    assert_int_equal(bw_quality_hour_encode(hour, &bytes, NULL), BW_OK);
    return bytes;
}

static void groups_count_judged_and_poor_windows_and_people(void **state)
{
    (void)state;
    struct bw_quality_hour *hour = hour_of(0, 10);
    assert_int_equal(bw_quality_hour_count(hour), 1 + 2 + 3);
    const struct bw_quality_group *all = bw_quality_hour_find(hour, BW_QUALITY_BY_ALL, "");
    const struct bw_quality_group *fra1 = bw_quality_hour_find(hour, BW_QUALITY_BY_RELAY, "fra1");
    const struct bw_quality_group *par1 = bw_quality_hour_find(hour, BW_QUALITY_BY_RELAY, "par1");
    assert_ptr_equal(bw_quality_hour_at(hour, 0), all);
    assert_null(bw_quality_hour_find(hour, BW_QUALITY_BY_SITE, "fra1"));
    assert_int_equal(bw_distinct_count(&all->participants), 10);
    assert_int_equal(bw_distinct_count(&fra1->participants), 5);
    assert_int_equal(all->judged, fra1->judged + par1->judged);
    assert_int_equal(all->poor, fra1->poor + par1->poor);
    assert_true(all->poor > 0 && all->poor < all->judged);
    assert_int_equal(all->sketches[BW_QUALITY_METRIC_LOSS].count, all->judged);
    assert_true(all->red[BW_QUALITY_METRIC_LOSS] > 0 && all->red[BW_QUALITY_METRIC_LOSS] <= all->poor);
    assert_int_equal(all->sketches[BW_QUALITY_METRIC_FREEZE_SHARE].count, 0);
    bw_quality_hour_destroy(hour);
}

static void grey_windows_are_in_no_figure(void **state)
{
    (void)state;
    struct bw_quality_hour *hour = hour_of(0, 1);
    const struct bw_quality_group *all = bw_quality_hour_find(hour, BW_QUALITY_BY_ALL, "");
    uint64_t judged = all->judged;
    struct bw_quality_window muted = bw_quality_window_of(0, 10000);
    bw_quality_put(&muted, BW_QUALITY_PACKETS_RECEIVED, 1000);
    bw_quality_put(&muted, BW_QUALITY_JITTER, 90000);
    muted.state = BW_QUALITY_MUTED;
    struct bw_quality_judgement j = bw_quality_judge(&muted, BW_QUALITY_MEDIA_AUDIO);
    const struct bw_quality_place places[] = {{BW_QUALITY_BY_ALL, ""}, {BW_QUALITY_BY_SITE, "new"}};
    assert_int_equal(bw_quality_hour_add(hour, places, 2, &j, 99, NULL), BW_OK);
    assert_int_equal(all->judged, judged);
    assert_null(bw_quality_hour_find(hour, BW_QUALITY_BY_SITE, "new"));
    bw_quality_hour_destroy(hour);
}

static void merged_blobs_are_the_whole_hour(void **state)
{
    (void)state;
    struct bw_quality_hour *whole = hour_of(0, 60), *merged = NULL;
    assert_int_equal(bw_quality_hour_create(&merged, NULL), BW_OK);
    for (uint64_t from = 40; from < 60; from -= 20) {
        struct bw_quality_hour *part = hour_of(from, from + 20), *read = NULL;
        struct bw_buf bytes = bytes_of(part);
        assert_int_equal(bw_quality_hour_decode(bw_buf_view(&bytes), &read, NULL), BW_OK);
        assert_int_equal(bw_quality_hour_merge(merged, read, NULL), BW_OK);
        bw_quality_hour_destroy(part);
        bw_quality_hour_destroy(read);
        bw_buf_finish(&bytes);
        if (from == 0)
            break;
    }
    struct bw_buf a = bytes_of(whole), b = bytes_of(merged);
    assert_true(bw_view_equal(bw_buf_view(&a), bw_buf_view(&b)));
    bw_buf_finish(&a);
    bw_buf_finish(&b);
    bw_quality_hour_destroy(whole);
    bw_quality_hour_destroy(merged);
}

static void what_is_no_blob_is_refused(void **state)
{
    (void)state;
    struct bw_quality_hour *hour = hour_of(0, 3), *read = NULL;
    struct bw_buf bytes = bytes_of(hour);
    for (size_t len = 0; len < bytes.len; len++)
        assert_int_equal(bw_quality_hour_decode(bw_view_of(bytes.data, len), &read, NULL), BW_DATA_LOSS);
    for (size_t bit = 0; bit < bytes.len * 8; bit++) {
        bytes.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        if (bw_quality_hour_decode(bw_buf_view(&bytes), &read, NULL) == BW_OK) {
            struct bw_buf again = bytes_of(read);
            assert_true(bw_view_equal(bw_buf_view(&again), bw_buf_view(&bytes)));
            bw_buf_finish(&again);
            bw_quality_hour_destroy(read);
        }
        bytes.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    bw_buf_append_u8(&bytes, 0);
    assert_int_equal(bw_quality_hour_decode(bw_buf_view(&bytes), &read, NULL), BW_DATA_LOSS);
    bw_buf_finish(&bytes);
    bw_quality_hour_destroy(hour);
}

static void figures_that_contradict_each_other_are_refused(void **state)
{
    (void)state;
    struct bw_quality_hour *hour = NULL, *read = NULL;
    assert_int_equal(bw_quality_hour_create(&hour, NULL), BW_OK);
    const struct bw_quality_place place = {BW_QUALITY_BY_ALL, ""};
    for (int i = 0; i < 3; i++) { /* red by jitter; loss is known of one */
        struct bw_quality_window w = bw_quality_window_of(0, 10000);
        bw_quality_put(&w, BW_QUALITY_PACKETS_RECEIVED, 1000);
        bw_quality_put(&w, BW_QUALITY_JITTER, 90000);
        if (i == 0)
            bw_quality_put(&w, BW_QUALITY_PACKETS_LOST, 0);
        struct bw_quality_judgement j = bw_quality_judge(&w, BW_QUALITY_MEDIA_AUDIO);
        assert_int_equal(bw_quality_hour_add(hour, &place, 1, &j, 1, NULL), BW_OK);
    }
    static const struct {
        uint64_t red_by_loss, poor;
        enum bw_code code;
    } cases[] = {
        {0, 3, BW_OK}, {1, 3, BW_OK}, {2, 3, BW_DATA_LOSS}, {0, 4, BW_DATA_LOSS}, {0, 2, BW_DATA_LOSS}};
    for (size_t i = 0; i < BW_ARRAY_LEN(cases); i++) {
        struct bw_quality_group *group = (struct bw_quality_group *)bw_quality_hour_at(hour, 0);
        group->red[BW_QUALITY_METRIC_LOSS] = cases[i].red_by_loss;
        group->poor = cases[i].poor;
        struct bw_buf bytes = bytes_of(hour);
        assert_int_equal(bw_quality_hour_decode(bw_buf_view(&bytes), &read, NULL), cases[i].code);
        if (cases[i].code == BW_OK)
            bw_quality_hour_destroy(read);
        bw_buf_finish(&bytes);
    }
    bw_quality_hour_destroy(hour);
}

static void values_and_their_number_are_bounded(void **state)
{
    (void)state;
    struct bw_quality_hour *hour = hour_of(0, 1);
    struct bw_quality_window w = bw_quality_window_of(0, 10000);
    bw_quality_put(&w, BW_QUALITY_PACKETS_RECEIVED, 1000);
    bw_quality_put(&w, BW_QUALITY_JITTER, 1000);
    struct bw_quality_judgement j = bw_quality_judge(&w, BW_QUALITY_MEDIA_AUDIO);
    char longest[BW_QUALITY_VALUE_MAX + 2];
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = 0;
    size_t before = bw_quality_hour_count(hour);
    const char *const bad[] = {longest, "two\nlines", "\x7f"};
    for (size_t i = 0; i < BW_ARRAY_LEN(bad); i++) {
        const struct bw_quality_place places[] = {{BW_QUALITY_BY_CLIENT_VERSION, "9.9"},
                                                  {BW_QUALITY_BY_CLIENT_VERSION, bad[i]}};
        assert_int_equal(bw_quality_hour_add(hour, places, 2, &j, 1, NULL), BW_INVALID_ARGUMENT);
        assert_int_equal(bw_quality_hour_count(hour), before); /* not the good one either */
    }
    longest[BW_QUALITY_VALUE_MAX] = 0;
    const struct bw_quality_place good = {BW_QUALITY_BY_CLIENT_VERSION, longest};
    assert_int_equal(bw_quality_hour_add(hour, &good, 1, &j, 1, NULL), BW_OK);
    enum bw_code code = BW_OK;
    size_t added = 0;
    for (; code == BW_OK && added <= BW_QUALITY_GROUPS_MAX; added++) {
        char asn[16];
        (void)snprintf(asn, sizeof asn, "%zu", added);
        const struct bw_quality_place place = {BW_QUALITY_BY_ASN, asn};
        code = bw_quality_hour_add(hour, &place, 1, &j, 1, NULL);
    }
    assert_int_equal(code, BW_RESOURCE_EXHAUSTED);
    assert_int_equal(bw_quality_hour_count(hour), BW_QUALITY_GROUPS_MAX);
    bw_quality_hour_destroy(hour);
}

static bool add_encode_decode_merge(void *context)
{
    (void)context;
    struct bw_quality_hour *hour = NULL, *read = NULL;
    struct bw_buf bytes = {0};
    bool passed = bw_quality_hour_create(&hour, NULL) == BW_OK;
    for (uint64_t seed = 0; seed < 3 && passed; seed++)
        passed = add_minute(hour, seed, "par1") == BW_OK;
    for (size_t i = 0; hour != NULL && i < bw_quality_hour_count(hour); i++)
        assert_true(bw_quality_hour_at(hour, i)->judged > 0); /* no group is left that nothing was added to */
    passed = passed && bw_quality_hour_encode(hour, &bytes, NULL) == BW_OK &&
             bw_quality_hour_decode(bw_buf_view(&bytes), &read, NULL) == BW_OK &&
             bw_quality_hour_merge(hour, read, NULL) == BW_OK;
    bw_quality_hour_destroy(hour);
    bw_quality_hour_destroy(read);
    bw_buf_finish(&bytes);
    return passed;
}

static void no_memory_is_an_error_and_adds_nothing(void **state)
{
    (void)state;
    assert_true(bw_fail_each_allocation(add_encode_decode_merge, NULL, true) > 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(groups_count_judged_and_poor_windows_and_people),
        cmocka_unit_test(grey_windows_are_in_no_figure),
        cmocka_unit_test(merged_blobs_are_the_whole_hour),
        cmocka_unit_test(what_is_no_blob_is_refused),
        cmocka_unit_test(figures_that_contradict_each_other_are_refused),
        cmocka_unit_test(values_and_their_number_are_bounded),
        cmocka_unit_test(no_memory_is_an_error_and_adds_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
