#include "quality/classify.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/check.h"
#include "quality/mos.h"

struct threshold {
    const char *name, *text, *unit;
    int64_t amber, red;
    bool low;
};

static const struct threshold thresholds[] = {[BW_QUALITY_NO_METRIC] = {"NONE", "none", "", 0, 0, false},
#define X(name, number, text, unit, amber, red, low)                                                         \
    [BW_QUALITY_METRIC_##name] = {#name, text, unit, amber, red, low},
                                              BW_QUALITY_METRIC_MAP(X)
#undef X
};
static_assert(BW_ARRAY_LEN(thresholds) == BW_QUALITY_METRICS, "one row a metric");

static const int64_t PPM = 1000000;

static void set(struct bw_quality_metrics *metrics, enum bw_quality_metric metric, int64_t value)
{
    metrics->present |= UINT32_C(1) << metric;
    metrics->values[metric] = value;
}

static bool has(const struct bw_quality_metrics *metrics, enum bw_quality_metric metric)
{
    return metrics->present >> metric & 1;
}

static void measure_loss(const struct bw_quality_window *w, struct bw_quality_metrics *metrics)
{
    if (bw_quality_has(w, BW_QUALITY_PACKETS_RECEIVED) && bw_quality_has(w, BW_QUALITY_PACKETS_LOST)) {
        int64_t lost = w->values[BW_QUALITY_PACKETS_LOST];
        int64_t sent = lost + w->values[BW_QUALITY_PACKETS_RECEIVED];
        if (sent > 0)
            set(metrics, BW_QUALITY_METRIC_LOSS, lost * PPM / sent);
    } else if (bw_quality_has(w, BW_QUALITY_FRACTION_LOST)) {
        set(metrics, BW_QUALITY_METRIC_LOSS, w->values[BW_QUALITY_FRACTION_LOST]);
    }
}

/* Half the round trip, and what the receiver waits on top: its jitter buffer, or twice the jitter where the
 * buffer is not known, which is about what one holds. */
static void measure_r(const struct bw_quality_window *w, struct bw_quality_metrics *metrics)
{
    if (!has(metrics, BW_QUALITY_METRIC_LOSS) || !has(metrics, BW_QUALITY_METRIC_ROUND_TRIP_TIME))
        return;
    double delay_us = (double)metrics->values[BW_QUALITY_METRIC_ROUND_TRIP_TIME] / 2;
    if (bw_quality_has(w, BW_QUALITY_JITTER_BUFFER_DELAY))
        delay_us += (double)w->values[BW_QUALITY_JITTER_BUFFER_DELAY];
    else if (has(metrics, BW_QUALITY_METRIC_JITTER))
        delay_us += 2 * (double)metrics->values[BW_QUALITY_METRIC_JITTER];
    double loss_percent = (double)metrics->values[BW_QUALITY_METRIC_LOSS] / 1e4;
    set(metrics, BW_QUALITY_METRIC_R, llround(bw_quality_r(delay_us / 1e3, loss_percent) * 1e3));
}

struct bw_quality_metrics bw_quality_measure(const struct bw_quality_window *w, enum bw_quality_media media)
{
    struct bw_quality_metrics metrics = {0};
    bool video = media == BW_QUALITY_MEDIA_CAMERA || media == BW_QUALITY_MEDIA_SCREEN;
    measure_loss(w, &metrics);
    if (bw_quality_has(w, BW_QUALITY_JITTER))
        set(&metrics, BW_QUALITY_METRIC_JITTER, w->values[BW_QUALITY_JITTER]);
    if (bw_quality_has(w, BW_QUALITY_ROUND_TRIP_TIME))
        set(&metrics, BW_QUALITY_METRIC_ROUND_TRIP_TIME, w->values[BW_QUALITY_ROUND_TRIP_TIME]);
    if (!video)
        measure_r(w, &metrics);
    if (!video && bw_quality_has(w, BW_QUALITY_CONCEALED_SAMPLES) &&
        bw_quality_has(w, BW_QUALITY_TOTAL_SAMPLES_RECEIVED) &&
        w->values[BW_QUALITY_TOTAL_SAMPLES_RECEIVED] > 0)
        set(&metrics, BW_QUALITY_METRIC_CONCEALED,
            w->values[BW_QUALITY_CONCEALED_SAMPLES] * PPM / w->values[BW_QUALITY_TOTAL_SAMPLES_RECEIVED]);
    if (media == BW_QUALITY_MEDIA_CAMERA && bw_quality_has(w, BW_QUALITY_FRAMES_PER_SECOND))
        set(&metrics, BW_QUALITY_METRIC_FRAMES_PER_SECOND, w->values[BW_QUALITY_FRAMES_PER_SECOND]);
    if (video && bw_quality_has(w, BW_QUALITY_TOTAL_FREEZES_DURATION))
        set(&metrics, BW_QUALITY_METRIC_FREEZE_SHARE,
            w->values[BW_QUALITY_TOTAL_FREEZES_DURATION] * PPM / w->length_ms);
    return metrics;
}

enum bw_quality_class bw_quality_metric_class(enum bw_quality_metric metric, int64_t value)
{
    BW_CHECK(metric > BW_QUALITY_NO_METRIC && metric < BW_QUALITY_METRICS);
    const struct threshold *t = &thresholds[metric];
    if (t->low ? value < t->red : value >= t->red)
        return BW_QUALITY_RED;
    if (t->low ? value < t->amber : value >= t->amber)
        return BW_QUALITY_AMBER;
    return BW_QUALITY_GREEN;
}

/* How far a value is beyond the threshold of its class, as a ratio of at least 1. R follows from loss and
 * delay, so it is named only when it alone made the class. */
static double excess(enum bw_quality_metric metric, int64_t value, enum bw_quality_class class)
{
    const struct threshold *t = &thresholds[metric];
    if (metric == BW_QUALITY_METRIC_R)
        return 0;
    double edge = (double)(class == BW_QUALITY_RED ? t->red : t->amber);
    return t->low ? edge / ((double)value + 1) : (double)value / edge;
}

static bool judgeable(const struct bw_quality_window *w)
{
    if (w->state != 0 || !bw_quality_has(w, BW_QUALITY_PACKETS_RECEIVED))
        return false;
    int64_t packets = w->values[BW_QUALITY_PACKETS_RECEIVED];
    if (bw_quality_has(w, BW_QUALITY_PACKETS_LOST))
        packets += w->values[BW_QUALITY_PACKETS_LOST];
    return packets >= BW_QUALITY_JUDGED_PACKETS - BW_QUALITY_EDGE_PACKETS;
}

struct bw_quality_judgement bw_quality_judge(const struct bw_quality_window *w, enum bw_quality_media media)
{
    struct bw_quality_judgement judgement = {.class = BW_QUALITY_GREY,
                                             .metrics = bw_quality_measure(w, media)};
    if (!judgeable(w) || judgement.metrics.present == 0)
        return judgement;
    judgement.class = BW_QUALITY_GREEN;
    double furthest = 0;
    for (unsigned metric = 1; metric < BW_QUALITY_METRICS; metric++) {
        if (!has(&judgement.metrics, metric))
            continue;
        int64_t value = judgement.metrics.values[metric];
        enum bw_quality_class class = bw_quality_metric_class(metric, value);
        if (class == BW_QUALITY_RED)
            judgement.red |= UINT32_C(1) << metric;
        if (class == BW_QUALITY_GREEN || bw_quality_worse(class, judgement.class) != class)
            continue;
        double beyond = excess(metric, value, class);
        if (class != judgement.class || beyond > furthest) {
            judgement.class = class;
            judgement.reason = metric;
            furthest = beyond;
        }
    }
    return judgement;
}

static unsigned badness(enum bw_quality_class class)
{
    switch (class) {
    case BW_QUALITY_RED:
        return 4;
    case BW_QUALITY_AMBER:
        return 3;
    case BW_QUALITY_GREEN:
        return 2;
    case BW_QUALITY_GREY:
        return 1;
    }
    return 0;
}

enum bw_quality_class bw_quality_worse(enum bw_quality_class a, enum bw_quality_class b)
{
    return badness(b) > badness(a) ? b : a;
}

const char *bw_quality_class_name(enum bw_quality_class class)
{
    static const char *const names[] = {[BW_QUALITY_GREEN] = "GREEN",
                                        [BW_QUALITY_AMBER] = "AMBER",
                                        [BW_QUALITY_RED] = "RED",
                                        [BW_QUALITY_GREY] = "GREY"};
    return class >= BW_QUALITY_GREEN && class <= BW_QUALITY_GREY ? names[class] : "UNKNOWN";
}

const char *bw_quality_metric_name(enum bw_quality_metric metric)
{
    return (unsigned)metric < BW_QUALITY_METRICS ? thresholds[metric].name : "UNKNOWN";
}

const char *bw_quality_metric_unit(enum bw_quality_metric metric)
{
    return (unsigned)metric < BW_QUALITY_METRICS ? thresholds[metric].unit : "";
}
