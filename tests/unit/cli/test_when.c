/* Moments in somebody's own time zone, and lanes and curves drawn in a line of text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/check.h"
#include "cli/support.h"
#include "cli/when.h"
#include "quality/classify.h"

/* 2026-11-21 10:00:00 UTC, a Saturday in winter time. */
static const uint64_t NOW_MS = UINT64_C(1795255200000);

static void in_zone(const char *zone)
{
    setenv("TZ", zone, 1);
    tzset();
}

static void moments_are_read_as_people_write_them(void **state)
{
    (void)state;
    in_zone("Europe/Paris");
    static const struct {
        const char *text;
        int64_t from_now_s; /* INT64_MIN: refused */
    } rows[] = {
        {"2026-11-21T10:00:00Z", 0},
        {"2026-11-21T10:00:00.750Z", 0},
        {"2026-11-21T11:00:00+01:00", 0},
        {"2026-11-21T05:30:00-0430", 0},
        {"2026-11-21 11:00", 0}, /* Paris */
        {"2026-11-21T11:00:05", 5},
        {"11:00", 0},
        {"11:00:07", 7},
        {"2026-11-21", -11 * 3600},
        {"2026-07-21 12:00", -(123 * 86400)}, /* summer time: 10:00 UTC */
        {"25:00", INT64_MIN},
        {"2026-13-01", INT64_MIN},
        {"2026-11-21T10:00:00+99:00", INT64_MIN},
        {"2026-11-21T10:00:00Zulu", INT64_MIN},
        {"yesterday", INT64_MIN},
        {"", INT64_MIN},
    };
    for (size_t i = 0; i < BW_ARRAY_LEN(rows); i++) {
        uint64_t ms = 0;
        bool read = bw_when_parse(rows[i].text, NOW_MS, &ms);
        if (read != (rows[i].from_now_s != INT64_MIN))
            fail_msg("%s: %s", rows[i].text, read ? "taken" : "refused");
        int64_t difference_ms = (int64_t)ms - (int64_t)NOW_MS;
        if (read && difference_ms != rows[i].from_now_s * 1000)
            fail_msg("%s: %lld ms away", rows[i].text, (long long)difference_ms);
    }
}

static void check_text(struct bw_buf *out, const char *expected)
{
    assert_string_equal(bw_buf_cstr(out), expected);
    bw_buf_clear(out);
}

static void moments_are_printed_in_the_zone(void **state)
{
    (void)state;
    struct bw_buf out = {0};
    in_zone("Europe/Paris");
    bw_when_print(NOW_MS + 250, BW_WHEN_RFC3339, &out);
    check_text(&out, "2026-11-21T11:00:00.250+01:00");
    bw_when_print(NOW_MS, BW_WHEN_LONG, &out);
    check_text(&out, "2026-11-21 11:00:00 +0100");
    bw_when_print(NOW_MS, BW_WHEN_CLOCK, &out);
    check_text(&out, "11:00:00");
    in_zone("UTC");
    bw_when_print(NOW_MS, BW_WHEN_RFC3339, &out);
    check_text(&out, "2026-11-21T10:00:00.000Z");
    in_zone("America/St_Johns");
    bw_when_print(NOW_MS, BW_WHEN_RFC3339, &out);
    check_text(&out, "2026-11-21T06:30:00.000-03:30");
    bw_when_span(41600, &out);
    check_text(&out, "42 s");
    bw_when_span(3 * 60000 + 5000, &out);
    check_text(&out, "3 min 5 s");
    bw_when_span(2 * 3600000 + 60000, &out);
    check_text(&out, "2 h 1 min");
    bw_buf_finish(&out);
}

static void every_moment_of_an_answer_has_its_words(void **state)
{
    (void)state;
    in_zone("UTC");
    json_t *tree =
        json_pack("{s:{s:s, s:s}, s:[{s:I, s:s}], s:s}", "when", "fromUnixMs", "1795255200000", "toUnixMs",
                  "0", "events", "atUnixMs", (json_int_t)1795255200000, "relay", "par1", "UnixMs", "1");
    bw_when_tree(tree, BW_WHEN_RFC3339);
    const json_t *when = json_object_get(tree, "when");
    assert_string_equal(bw_tree_text(when, "from"), "2026-11-21T10:00:00.000Z");
    assert_null(json_object_get(when, "to")); /* there was none */
    assert_string_equal(bw_tree_text(json_array_get(json_object_get(tree, "events"), 0), "at"),
                        "2026-11-21T10:00:00.000Z");
    assert_int_equal(json_object_size(tree), 3);
    json_decref(tree);
}

/* ---- drawing ---- */

static json_t *event(const char *what, const char *class, int at_s)
{
    return json_pack("{s:s, s:s, s:I}", "what", what, "qualityClass", class, "atUnixMs",
                     (json_int_t)NOW_MS + at_s * 1000);
}

static void a_lane_shows_the_worst_of_each_column(void **state)
{
    (void)state;
    json_t *lane = json_object(), *events = json_array();
    json_object_set_new(lane, "events", events);
    json_array_append_new(events, event("WHAT_JOINED", "", 10));
    json_array_append_new(events, event("WHAT_CLASS_CHANGED", "QUALITY_CLASS_GREEN", 20));
    json_array_append_new(events, event("WHAT_RELAY_CHANGED", "", 35));
    json_array_append_new(events, event("WHAT_CLASS_CHANGED", "QUALITY_CLASS_RED", 44));
    json_array_append_new(events, event("WHAT_CLASS_CHANGED", "QUALITY_CLASS_AMBER", 46));
    json_array_append_new(events, event("WHAT_LEFT", "", 70));
    struct bw_buf out = {0};
    bw_lane_bar(lane, NOW_MS, NOW_MS + 100000, 10, false, false, &out);
    check_text(&out, " .--#==   ");
    bw_lane_bar(lane, NOW_MS, NOW_MS + 100000, 10, true, false, &out);
    assert_non_null(strstr(bw_buf_cstr(&out), "█"));
    bw_buf_clear(&out);
    bw_lane_bar(lane, NOW_MS, NOW_MS + 100000, 10, false, true, &out);
    const char *coloured = bw_buf_cstr(&out);
    assert_non_null(strstr(coloured, "\033[31m#"));
    assert_string_equal(coloured + strlen(coloured) - 4, "\033[0m");
    bw_buf_clear(&out);
    /* A meeting of no length, and one that began after what happened. */
    bw_lane_bar(lane, NOW_MS, NOW_MS, 10, false, false, &out);
    assert_int_equal(out.len, 10);
    bw_buf_clear(&out);
    bw_lane_bar(lane, NOW_MS + 200000, NOW_MS + 300000, 10, false, false, &out);
    check_text(&out, "          ");
    bw_buf_finish(&out);
    json_decref(lane);
}

static void a_curve_keeps_its_peaks_and_its_gaps(void **state)
{
    (void)state;
    json_t *values = json_pack("[s, s, s, s, s, s, s, s]", "0", "0", "-1", "-1", "10", "70", "35", "0");
    struct bw_buf out = {0};
    bw_spark(values, 8, false, &out);
    check_text(&out, "__  .#=_");
    bw_spark(values, 4, false, &out);
    check_text(&out, "_ #=");
    json_t *none = json_array();
    bw_spark(none, 8, false, &out);
    assert_int_equal(out.len, 0);
    json_decref(none);
    json_decref(values);
    bw_metric_print(BW_QUALITY_METRIC_LOSS, 31000, &out);
    check_text(&out, "3.10 %");
    bw_metric_print(BW_QUALITY_METRIC_JITTER, 4200, &out);
    check_text(&out, "4.2 ms");
    bw_metric_print(BW_QUALITY_METRIC_R, 82100, &out);
    check_text(&out, "82.1");
    bw_metric_print(BW_QUALITY_METRIC_FRAMES_PER_SECOND, 24000, &out);
    check_text(&out, "24.0 fps");
    bw_buf_finish(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(moments_are_read_as_people_write_them),
        cmocka_unit_test(moments_are_printed_in_the_zone),
        cmocka_unit_test(every_moment_of_an_answer_has_its_words),
        cmocka_unit_test(a_lane_shows_the_worst_of_each_column),
        cmocka_unit_test(a_curve_keeps_its_peaks_and_its_gaps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
