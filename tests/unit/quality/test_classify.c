#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <math.h>

#include "quality/classify.h"
#include "quality/mos.h"
#include "quality/verdict.h"

#define GREEN BW_QUALITY_GREEN
#define AMBER BW_QUALITY_AMBER
#define RED   BW_QUALITY_RED
#define GREY  BW_QUALITY_GREY

static void the_estimated_mos_meets_its_check_points(void **state)
{
    (void)state;
    static const struct {
        double delay_ms, loss, mos;
    } points[] = {{100, 1, 4.10}, {150, 2, 3.77}, {200, 5, 2.80}};
    for (size_t i = 0; i < 3; i++)
        assert_true(fabs(bw_quality_mos(bw_quality_r(points[i].delay_ms, points[i].loss)) - points[i].mos) <
                    0.005);
    assert_true(fabs(bw_quality_r(0, 0) - 93.2) < 1e-9);
    assert_true(bw_quality_mos(100) == 4.5 && bw_quality_mos(0) == 1 && bw_quality_mos(3) == 1);
}

static void r_and_mos_never_rise_with_delay_or_loss(void **state)
{
    (void)state;
    for (int delay = 0; delay < 1500; delay += 7)
        for (int loss = 0; loss <= 100; loss++) {
            double r = bw_quality_r(delay, loss);
            assert_true(r >= 0 && r <= 100);
            assert_true(bw_quality_r(delay + 7, loss) <= r);
            assert_true(loss == 100 || bw_quality_r(delay, loss + 1) <= r);
            double mos = bw_quality_mos(r);
            assert_true(mos >= 1 && mos <= 4.5 && bw_quality_mos(bw_quality_r(delay + 7, loss)) <= mos);
        }
}

static struct bw_quality_window of_packets(int64_t received, int64_t lost)
{
    struct bw_quality_window w = bw_quality_window_of(0, 10000);
    bw_quality_put(&w, BW_QUALITY_PACKETS_RECEIVED, received);
    bw_quality_put(&w, BW_QUALITY_PACKETS_LOST, lost);
    return w;
}

static void judged(const struct bw_quality_window *w, enum bw_quality_media media,
                   enum bw_quality_class class, enum bw_quality_metric reason)
{
    struct bw_quality_judgement j = bw_quality_judge(w, media);
    assert_string_equal(bw_quality_class_name(j.class), bw_quality_class_name(class));
    assert_string_equal(bw_quality_metric_name(j.reason), bw_quality_metric_name(reason));
    assert_int_equal(j.class == BW_QUALITY_RED, j.red != 0);
}

static void each_metric_has_its_thresholds(void **state)
{
    (void)state;
    static const struct {
        enum bw_quality_metric metric;
        int64_t green, amber, still_amber, red;
    } rows[] = {
        {BW_QUALITY_METRIC_LOSS, 19999, 20000, 49999, 50000},
        {BW_QUALITY_METRIC_JITTER, 19999, 20000, 29999, 30000},
        {BW_QUALITY_METRIC_ROUND_TRIP_TIME, 199999, 200000, 399999, 400000},
        {BW_QUALITY_METRIC_CONCEALED, 19999, 20000, 69999, 70000},
        {BW_QUALITY_METRIC_R, 80000, 79999, 70000, 69999},
        {BW_QUALITY_METRIC_FRAMES_PER_SECOND, 15000, 14999, 7000, 6999},
        {BW_QUALITY_METRIC_FREEZE_SHARE, 19999, 20000, 49999, 50000},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(rows[i].metric, i + 1);
        assert_int_equal(bw_quality_metric_class(rows[i].metric, rows[i].green), GREEN);
        assert_int_equal(bw_quality_metric_class(rows[i].metric, rows[i].amber), AMBER);
        assert_int_equal(bw_quality_metric_class(rows[i].metric, rows[i].still_amber), AMBER);
        assert_int_equal(bw_quality_metric_class(rows[i].metric, rows[i].red), RED);
    }
    assert_int_equal(BW_QUALITY_METRICS, 8);
}

static void a_window_is_as_bad_as_its_worst_metric_and_names_it(void **state)
{
    (void)state;
    struct bw_quality_window w = of_packets(980, 20);
    judged(&w, BW_QUALITY_MEDIA_UNKNOWN, AMBER, BW_QUALITY_METRIC_LOSS);
    bw_quality_put(&w, BW_QUALITY_JITTER, 30000);
    judged(&w, BW_QUALITY_MEDIA_UNKNOWN, RED, BW_QUALITY_METRIC_JITTER);
    /* Two are red: the one further beyond its threshold is the reason. */
    w = of_packets(945, 55);
    bw_quality_put(&w, BW_QUALITY_ROUND_TRIP_TIME, 900000);
    judged(&w, BW_QUALITY_MEDIA_UNKNOWN, RED, BW_QUALITY_METRIC_ROUND_TRIP_TIME);
    assert_int_equal(bw_quality_judge(&w, BW_QUALITY_MEDIA_UNKNOWN).red,
                     1 << BW_QUALITY_METRIC_LOSS | 1 << BW_QUALITY_METRIC_ROUND_TRIP_TIME |
                         1 << BW_QUALITY_METRIC_R);
    /* Neither loss (1.5 %) nor the round trip (190 ms) is amber, but both together are. */
    w = of_packets(985, 15);
    bw_quality_put(&w, BW_QUALITY_ROUND_TRIP_TIME, 190000);
    judged(&w, BW_QUALITY_MEDIA_AUDIO, AMBER, BW_QUALITY_METRIC_R);
    judged(&w, BW_QUALITY_MEDIA_CAMERA, GREEN, BW_QUALITY_NO_METRIC); /* R is of audio */
    w = of_packets(1000, 0);
    judged(&w, BW_QUALITY_MEDIA_AUDIO, GREEN, BW_QUALITY_NO_METRIC);
}

static void r_counts_the_jitter_buffer_or_twice_the_jitter(void **state)
{
    (void)state;
    struct bw_quality_window w = of_packets(990, 10);
    bw_quality_put(&w, BW_QUALITY_ROUND_TRIP_TIME, 80000);
    bw_quality_put(&w, BW_QUALITY_JITTER, 10000);
    struct bw_quality_metrics m = bw_quality_measure(&w, BW_QUALITY_MEDIA_AUDIO);
    assert_int_equal(m.values[BW_QUALITY_METRIC_R], llround(bw_quality_r(60, 1) * 1000));
    bw_quality_put(&w, BW_QUALITY_JITTER_BUFFER_DELAY, 60000);
    m = bw_quality_measure(&w, BW_QUALITY_MEDIA_AUDIO);
    assert_int_equal(m.values[BW_QUALITY_METRIC_R], llround(bw_quality_r(100, 1) * 1000));
}

static void metrics_belong_to_their_media(void **state)
{
    (void)state;
    struct bw_quality_window w = of_packets(1000, 0);
    bw_quality_put(&w, BW_QUALITY_FRAMES_PER_SECOND, 5000);
    judged(&w, BW_QUALITY_MEDIA_CAMERA, RED, BW_QUALITY_METRIC_FRAMES_PER_SECOND);
    judged(&w, BW_QUALITY_MEDIA_SCREEN, GREEN, BW_QUALITY_NO_METRIC); /* a still slide */
    bw_quality_put(&w, BW_QUALITY_TOTAL_FREEZES_DURATION, 200);
    judged(&w, BW_QUALITY_MEDIA_SCREEN, AMBER, BW_QUALITY_METRIC_FREEZE_SHARE);
    judged(&w, BW_QUALITY_MEDIA_AUDIO, GREEN, BW_QUALITY_NO_METRIC);
    w = of_packets(1000, 0);
    bw_quality_put(&w, BW_QUALITY_TOTAL_SAMPLES_RECEIVED, 480000);
    bw_quality_put(&w, BW_QUALITY_CONCEALED_SAMPLES, 40000);
    judged(&w, BW_QUALITY_MEDIA_AUDIO, RED, BW_QUALITY_METRIC_CONCEALED);
    w = bw_quality_window_of(0, 10000);
    bw_quality_put(&w, BW_QUALITY_PACKETS_RECEIVED, 1000);
    bw_quality_put(&w, BW_QUALITY_FRACTION_LOST, 30000);
    judged(&w, BW_QUALITY_MEDIA_AUDIO, AMBER, BW_QUALITY_METRIC_LOSS);
}

static void nothing_to_judge_is_grey(void **state)
{
    (void)state;
    struct bw_quality_window w = of_packets(300, 189);
    judged(&w, BW_QUALITY_MEDIA_AUDIO, GREY, BW_QUALITY_NO_METRIC);
    w = of_packets(300, 190); /* 500 less what falls over the edges */
    judged(&w, BW_QUALITY_MEDIA_AUDIO, RED, BW_QUALITY_METRIC_LOSS);
    w.state = BW_QUALITY_MUTED;
    judged(&w, BW_QUALITY_MEDIA_AUDIO, GREY, BW_QUALITY_NO_METRIC);
    w.state = BW_QUALITY_ICE_FAILED;
    judged(&w, BW_QUALITY_MEDIA_AUDIO, GREY, BW_QUALITY_NO_METRIC);
    w = bw_quality_window_of(0, 10000);
    bw_quality_put(&w, BW_QUALITY_JITTER, 90000);
    judged(&w, BW_QUALITY_MEDIA_AUDIO, GREY, BW_QUALITY_NO_METRIC);
}

static bool step(struct bw_quality_steady *s, int64_t start_ms, enum bw_quality_class class,
                 enum bw_quality_metric reason)
{
    struct bw_quality_window w = bw_quality_window_of(start_ms, 10000);
    struct bw_quality_judgement j = {.class = class, .reason = reason};
    return bw_quality_steady_add(s, &w, &j);
}

/* g, a, r, y to a class, and what is shown after them. */
static enum bw_quality_class after(const char *classes)
{
    struct bw_quality_steady s = {0};
    for (size_t i = 0; classes[i] != 0; i++) {
        static const char letters[] = "-garY";
        enum bw_quality_class class = (enum bw_quality_class)(strchr(letters, classes[i]) - letters);
        bool bad = class == BW_QUALITY_AMBER || class == BW_QUALITY_RED;
        step(&s, (int64_t)i * 10000, class, bad ? BW_QUALITY_METRIC_LOSS : BW_QUALITY_NO_METRIC);
    }
    assert_int_equal(s.reason != BW_QUALITY_NO_METRIC,
                     s.shown == BW_QUALITY_AMBER || s.shown == BW_QUALITY_RED);
    return bw_quality_steady_class(&s);
}

static void three_of_five_windows_change_the_class(void **state)
{
    (void)state;
    static const struct {
        const char *windows;
        int shown;
    } cases[] = {
        {"", GREY},           {"g", GREY},        {"gg", GREY},         {"ggg", GREEN},
        {"gggr", GREEN},      {"gggrr", GREEN},   {"gggrrr", RED},      {"gggrgrgr", RED},
        {"gggrgrggr", GREEN}, {"ggggraarr", RED}, {"gggggrr", GREEN},   {"gggggrra", AMBER},
        {"gggggara", AMBER},  {"rrrgg", RED},     {"rrrggg", GREEN},    {"rrrga", RED},
        {"rrrgaa", AMBER},    {"rrraaa", AMBER},  {"aaagg", AMBER},     {"aaaggg", GREEN},
        {"gggYY", GREEN},     {"gggYYY", GREY},   {"rrrYYYggg", GREEN}, {"rrrYgYg", RED},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        if ((int)after(cases[i].windows) != cases[i].shown)
            fail_msg("%s shows %s", cases[i].windows, bw_quality_class_name(after(cases[i].windows)));
}

static int level(char class)
{
    return class == 'g' ? 0 : class == 'a' ? 1 : 2;
}

/* Without grey windows the class after five is their median, whatever came before. */
static void the_class_follows_the_median_of_five(void **state)
{
    (void)state;
    char windows[9] = "rrr";
    for (int before = 0; before < 3; before++)
        for (int n = 0; n < 243; n++) {
            int counts[3] = {0};
            memset(windows, "gar"[before], 3);
            for (int i = 0, rest = n; i < 5; i++, rest /= 3) {
                windows[3 + i] = "gar"[rest % 3];
                counts[level(windows[3 + i])]++;
            }
            int median = counts[0] >= 3 ? 0 : counts[0] + counts[1] >= 3 ? 1 : 2;
            assert_int_equal(after(windows), GREEN + median);
        }
}

static void a_change_names_its_reason_and_a_gap_forgets(void **state)
{
    (void)state;
    struct bw_quality_steady s = {0};
    assert_false(step(&s, 0, RED, BW_QUALITY_METRIC_JITTER));
    assert_false(step(&s, 10000, RED, BW_QUALITY_METRIC_LOSS));
    assert_true(step(&s, 20000, RED, BW_QUALITY_METRIC_JITTER));
    assert_int_equal(s.reason, BW_QUALITY_METRIC_JITTER);
    assert_false(step(&s, 30000, GREEN, 0));
    assert_false(step(&s, 40000, GREEN, 0));
    /* 60 s of nothing: the two green windows of before do not count any more. */
    assert_false(step(&s, 110000, GREEN, 0));
    assert_false(step(&s, 120000, GREEN, 0));
    assert_int_equal(bw_quality_steady_class(&s), RED);
    assert_true(step(&s, 130000, GREEN, 0));
    assert_int_equal(s.reason, BW_QUALITY_NO_METRIC);
}

static struct bw_quality_totals stream_of(int64_t received, int64_t lost, int64_t jitter, int64_t rtt,
                                          int windows)
{
    struct bw_quality_totals totals = {0};
    for (int i = 0; i < windows; i++) {
        struct bw_quality_window w = of_packets(received, lost);
        if (jitter >= 0)
            bw_quality_put(&w, BW_QUALITY_JITTER, jitter);
        if (rtt >= 0)
            bw_quality_put(&w, BW_QUALITY_ROUND_TRIP_TIME, rtt);
        bw_quality_totals_add(&totals, &w);
    }
    return totals;
}

static void the_teams_verdict_is_over_its_thresholds_only(void **state)
{
    (void)state;
    static const struct {
        int64_t received, lost, jitter, rtt;
        int windows;
        enum bw_quality_verdict verdict;
        uint32_t why;
    } cases[] = {
        {450, 50, 90000, 900000, 1, BW_QUALITY_UNCLASSIFIED, 0}, /* 500 packets are not more than 500 */
        {450, 51, 0, 0, 1, BW_QUALITY_POOR, BW_QUALITY_POOR_LOSS},
        {900, 100, 30000, 500000, 2, BW_QUALITY_GOOD, 0}, /* exactly 10 %, 30 ms, 500 ms */
        {900, 101, 30000, 500000, 2, BW_QUALITY_POOR, BW_QUALITY_POOR_LOSS},
        {900, 0, 30001, 500000, 2, BW_QUALITY_POOR, BW_QUALITY_POOR_JITTER},
        {900, 0, 30001, 500001, 2, BW_QUALITY_POOR, BW_QUALITY_POOR_JITTER | BW_QUALITY_POOR_ROUND_TRIP},
        {900, 0, -1, -1, 2, BW_QUALITY_GOOD, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct bw_quality_totals totals =
            stream_of(cases[i].received, cases[i].lost, cases[i].jitter, cases[i].rtt, cases[i].windows);
        uint32_t why = 99;
        assert_int_equal(bw_quality_verdict(&totals, &why), cases[i].verdict);
        assert_int_equal(why, cases[i].why);
    }
    struct bw_quality_totals a = stream_of(450, 30, 1000, 1000, 1), b = stream_of(400, 100, 1000, 1000, 1);
    bw_quality_totals_merge(&a, &b);
    assert_int_equal(a.received, 850);
    assert_int_equal(bw_quality_verdict(&a, NULL), BW_QUALITY_POOR);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_estimated_mos_meets_its_check_points),
        cmocka_unit_test(r_and_mos_never_rise_with_delay_or_loss),
        cmocka_unit_test(each_metric_has_its_thresholds),
        cmocka_unit_test(a_window_is_as_bad_as_its_worst_metric_and_names_it),
        cmocka_unit_test(r_counts_the_jitter_buffer_or_twice_the_jitter),
        cmocka_unit_test(metrics_belong_to_their_media),
        cmocka_unit_test(nothing_to_judge_is_grey),
        cmocka_unit_test(three_of_five_windows_change_the_class),
        cmocka_unit_test(the_class_follows_the_median_of_five),
        cmocka_unit_test(a_change_names_its_reason_and_a_gap_forgets),
        cmocka_unit_test(the_teams_verdict_is_over_its_thresholds_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
