/* The class that is shown: three of the last five windows move it. */
#include <string.h>

#include "base/check.h"
#include "quality/classify.h"

enum { WINDOWS = 5, MAJORITY = 3 };

static enum bw_quality_class next_class(const struct bw_quality_steady *s)
{
    unsigned n[BW_QUALITY_GREY + 1] = {0};
    enum bw_quality_class shown = bw_quality_steady_class(s);
    for (unsigned i = 0; i < s->count; i++)
        n[s->classes[i]]++;
    if (n[BW_QUALITY_GREY] >= MAJORITY)
        return BW_QUALITY_GREY;
    if (n[BW_QUALITY_RED] >= MAJORITY)
        return BW_QUALITY_RED;
    bool at_least_amber = n[BW_QUALITY_RED] + n[BW_QUALITY_AMBER] >= MAJORITY;
    bool at_most_amber = n[BW_QUALITY_AMBER] + n[BW_QUALITY_GREEN] >= MAJORITY;
    if (shown == BW_QUALITY_RED) {
        if (n[BW_QUALITY_GREEN] >= MAJORITY)
            return BW_QUALITY_GREEN;
        return at_most_amber ? BW_QUALITY_AMBER : shown;
    }
    if (at_least_amber)
        return BW_QUALITY_AMBER;
    return n[BW_QUALITY_GREEN] >= MAJORITY ? BW_QUALITY_GREEN : shown;
}

/* The metric that made most of the windows of this class; the newest of equals. */
static enum bw_quality_metric reason_of(const struct bw_quality_steady *s, enum bw_quality_class class)
{
    unsigned n[BW_QUALITY_METRICS] = {0};
    enum bw_quality_metric reason = BW_QUALITY_NO_METRIC;
    if (class != BW_QUALITY_AMBER && class != BW_QUALITY_RED)
        return reason;
    for (unsigned i = 0; i < s->count; i++)
        if (bw_quality_worse(s->classes[i], class) == (enum bw_quality_class)s->classes[i])
            n[s->reasons[i]]++;
    for (unsigned back = 1; back <= s->count; back++) {
        unsigned i = (s->next + WINDOWS - back) % WINDOWS;
        if (s->reasons[i] != BW_QUALITY_NO_METRIC && n[s->reasons[i]] > n[reason])
            reason = s->reasons[i];
    }
    return reason;
}

enum bw_quality_class bw_quality_steady_class(const struct bw_quality_steady *steady)
{
    return steady->shown == 0 ? BW_QUALITY_GREY : steady->shown;
}

bool bw_quality_steady_add(struct bw_quality_steady *s, const struct bw_quality_window *window,
                           const struct bw_quality_judgement *judgement)
{
    enum bw_quality_class before = bw_quality_steady_class(s);
    if (s->count > 0 && window->start_ms - s->newest_ms > WINDOWS * window->length_ms)
        s->count = s->next = 0;
    s->classes[s->next] = (uint8_t)judgement->class;
    s->reasons[s->next] = (uint8_t)judgement->reason;
    s->next = (s->next + 1) % WINDOWS;
    if (s->count < WINDOWS)
        s->count++;
    s->newest_ms = window->start_ms + window->length_ms;
    s->shown = next_class(s);
    s->reason = s->shown == before && s->reason != BW_QUALITY_NO_METRIC ? s->reason : reason_of(s, s->shown);
    return s->shown != before;
}
