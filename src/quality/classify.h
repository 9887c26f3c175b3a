/* Windows to classes. Each metric has an amber and a red threshold; a window is as bad as its worst metric,
 * and that metric is its reason. Grey is a window with nothing to judge: fewer than 500 packets, muted, or
 * ICE failed. A shown class changes only when three of the last five windows say so.
 *
 * Threads: pure. */
#ifndef BW_QUALITY_CLASSIFY_H
#define BW_QUALITY_CLASSIFY_H

#include <stdbool.h>
#include <stdint.h>

#include "quality/sample.h"

/* Numbers are durable and those of the API's QualityClass; their order is not one of badness. */
enum bw_quality_class {
    BW_QUALITY_GREEN = 1,
    BW_QUALITY_AMBER = 2,
    BW_QUALITY_RED = 3,
    BW_QUALITY_GREY = 4,
};

/* X(NAME, number, text, unit, amber, red, low is bad). Numbers are durable and those of the API's
 * QualityMetric. A value is amber from its threshold on; one that is bad when low, below it. */
#define BW_QUALITY_METRIC_MAP(X)                                                                             \
    X(LOSS, 1, "loss", "ppm", 20000, 50000, false)                                                           \
    X(JITTER, 2, "jitter", "us", 20000, 30000, false)                                                        \
    X(ROUND_TRIP_TIME, 3, "round trip", "us", 200000, 400000, false)                                         \
    X(CONCEALED, 4, "concealed", "ppm", 20000, 70000, false)                                                 \
    X(R, 5, "R", "1/1000", 80000, 70000, true)                                                               \
    X(FRAMES_PER_SECOND, 6, "frames per second", "1/1000", 15000, 7000, true)                                \
    X(FREEZE_SHARE, 7, "freeze share", "ppm", 20000, 50000, false)

enum bw_quality_metric {
    BW_QUALITY_NO_METRIC = 0,
#define X(name, number, text, unit, amber, red, low) BW_QUALITY_METRIC_##name = number,
    BW_QUALITY_METRIC_MAP(X)
#undef X
        BW_QUALITY_METRICS, /* one more than the last */
};

/* Grey below this many packets, received and lost together. Audio at 20 ms sends exactly 500 in a window: ten
 * are allowed for packets that fall over its edges. */
enum { BW_QUALITY_JUDGED_PACKETS = 500, BW_QUALITY_EDGE_PACKETS = 10 };

/* What a window says, in the metrics' units; computed, so absent where a part is. */
struct bw_quality_metrics {
    uint32_t present; /* bit per enum bw_quality_metric */
    int64_t values[BW_QUALITY_METRICS];
};

struct bw_quality_judgement {
    enum bw_quality_class class;
    enum bw_quality_metric reason; /* BW_QUALITY_NO_METRIC for green and grey */
    uint32_t red;                  /* bit per metric that is red by itself */
    struct bw_quality_metrics metrics;
};

/* window has passed bw_quality_check. Camera and screen differ: a still screen has few frames. */
struct bw_quality_metrics bw_quality_measure(const struct bw_quality_window *window,
                                             enum bw_quality_media media);
struct bw_quality_judgement bw_quality_judge(const struct bw_quality_window *window,
                                             enum bw_quality_media media);

/* The class of one metric's value: green, amber or red. */
enum bw_quality_class bw_quality_metric_class(enum bw_quality_metric metric, int64_t value);
/* The worse of two; grey is less bad than green. */
enum bw_quality_class bw_quality_worse(enum bw_quality_class a, enum bw_quality_class b);
/* "AMBER"; "UNKNOWN" outside the list. */
const char *bw_quality_class_name(enum bw_quality_class class);
const char *bw_quality_metric_name(enum bw_quality_metric metric);
const char *bw_quality_metric_unit(enum bw_quality_metric metric);

/* The class that is shown: three of the last five windows move it. To get worse, three must be at least that
 * bad; to get better, three at most that bad; three grey ones make it grey, where it also starts. After a gap
 * longer than five windows the old ones no longer count. All-zero is a new one. */
struct bw_quality_steady {
    enum bw_quality_class shown; /* 0 until the first window: read it with bw_quality_steady_class */
    enum bw_quality_metric reason;
    uint8_t classes[5], reasons[5];
    uint8_t next, count;
    int64_t newest_ms; /* end of the newest window */
};

/* Windows in order of time; true when the shown class has changed. */
bool bw_quality_steady_add(struct bw_quality_steady *steady, const struct bw_quality_window *window,
                           const struct bw_quality_judgement *judgement);
enum bw_quality_class bw_quality_steady_class(const struct bw_quality_steady *steady);

#endif
