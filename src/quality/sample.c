#include "quality/sample.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "base/check.h"

enum { C = false, RC = true };

static const struct bw_quality_limit limits[] = {
#define X(name, text, unit, sources, least, most, rate, scale)                                               \
    [BW_QUALITY_##name] = {text, unit, sources, least, most, rate, scale},
    BW_QUALITY_FIELD_MAP(X)
#undef X
};
static_assert(BW_QUALITY_FIELDS <= 32, "fields fit into a mask");

static const struct {
    const char *name, *text;
} faults[] = {[BW_QUALITY_POSSIBLE] = {"POSSIBLE", "possible"},
#define X(name, text) [BW_QUALITY_FAULT_##name] = {#name, text},
              BW_QUALITY_FAULT_MAP(X)
#undef X
};

/* No packet on the internet is larger. */
enum { PACKET_BYTES_MOST = 65535 };

struct bw_quality_window bw_quality_window_of(int64_t start_ms, int64_t length_ms)
{
    return (struct bw_quality_window){.start_ms = start_ms, .length_ms = length_ms};
}

void bw_quality_put(struct bw_quality_window *window, enum bw_quality_field field, int64_t value)
{
    BW_CHECK((unsigned)field < BW_QUALITY_FIELDS);
    window->present |= UINT32_C(1) << field;
    window->values[field] = value;
}

void bw_quality_put_real(struct bw_quality_window *window, enum bw_quality_field field, double value)
{
    BW_CHECK((unsigned)field < BW_QUALITY_FIELDS);
    double scaled = value * limits[field].scale;
    int64_t kept;
    if (!isfinite(scaled))
        kept = BW_QUALITY_NOT_A_NUMBER;
    else if (scaled >= 9e18)
        kept = INT64_MAX;
    else if (scaled <= -9e18)
        kept = -INT64_MAX;
    else if (scaled < 0)
        kept = (int64_t)floor(scaled); /* whatever is below zero stays below it */
    else
        kept = llround(scaled);
    bw_quality_put(window, field, kept);
}

bool bw_quality_has(const struct bw_quality_window *window, enum bw_quality_field field)
{
    return window->present >> field & 1;
}

static enum bw_quality_fault found(struct bw_quality_finding *finding, enum bw_quality_fault fault,
                                   enum bw_quality_field field, int64_t value)
{
    if (finding != NULL)
        *finding = (struct bw_quality_finding){fault, field, value};
    return fault;
}

static enum bw_quality_fault check_value(const struct bw_quality_window *window, enum bw_quality_field field,
                                         enum bw_quality_source source)
{
    const struct bw_quality_limit *limit = &limits[field];
    int64_t value = window->values[field];
    if (source == BW_QUALITY_FROM_RELAY && !limit->relay)
        return BW_QUALITY_FAULT_WRONG_SOURCE;
    if (value == BW_QUALITY_NOT_A_NUMBER)
        return BW_QUALITY_FAULT_NOT_A_NUMBER;
    if (value < limit->least)
        return BW_QUALITY_FAULT_NEGATIVE;
    if (value > limit->most)
        return BW_QUALITY_FAULT_TOO_LARGE;
    /* A freeze as long as the window has a check and a name of its own. */
    if (limit->most_per_ms != 0 && field != BW_QUALITY_TOTAL_FREEZES_DURATION &&
        value > limit->most_per_ms * window->length_ms)
        return BW_QUALITY_FAULT_TOO_MANY;
    return BW_QUALITY_POSSIBLE;
}

static bool both(const struct bw_quality_window *window, enum bw_quality_field a, enum bw_quality_field b)
{
    return bw_quality_has(window, a) && bw_quality_has(window, b);
}

/* What no value says alone. */
static enum bw_quality_fault check_together(const struct bw_quality_window *w,
                                            struct bw_quality_finding *finding)
{
    const int64_t *v = w->values;
    if (both(w, BW_QUALITY_PACKETS_RECEIVED, BW_QUALITY_PACKETS_LOST) &&
        v[BW_QUALITY_PACKETS_RECEIVED] + v[BW_QUALITY_PACKETS_LOST] >
            limits[BW_QUALITY_PACKETS_LOST].most_per_ms * w->length_ms)
        return found(finding, BW_QUALITY_FAULT_LOST_MORE_THAN_POSSIBLE, BW_QUALITY_PACKETS_LOST,
                     v[BW_QUALITY_PACKETS_LOST]);
    if (both(w, BW_QUALITY_PACKETS_RECEIVED, BW_QUALITY_BYTES_RECEIVED) &&
        v[BW_QUALITY_BYTES_RECEIVED] > v[BW_QUALITY_PACKETS_RECEIVED] * PACKET_BYTES_MOST)
        return found(finding, BW_QUALITY_FAULT_BYTES_WITHOUT_PACKETS, BW_QUALITY_BYTES_RECEIVED,
                     v[BW_QUALITY_BYTES_RECEIVED]);
    if (both(w, BW_QUALITY_CONCEALED_SAMPLES, BW_QUALITY_TOTAL_SAMPLES_RECEIVED) &&
        v[BW_QUALITY_CONCEALED_SAMPLES] > v[BW_QUALITY_TOTAL_SAMPLES_RECEIVED])
        return found(finding, BW_QUALITY_FAULT_CONCEALED_MORE_THAN_RECEIVED, BW_QUALITY_CONCEALED_SAMPLES,
                     v[BW_QUALITY_CONCEALED_SAMPLES]);
    if (bw_quality_has(w, BW_QUALITY_TOTAL_FREEZES_DURATION) &&
        v[BW_QUALITY_TOTAL_FREEZES_DURATION] > w->length_ms)
        return found(finding, BW_QUALITY_FAULT_FREEZE_LONGER_THAN_WINDOW, BW_QUALITY_TOTAL_FREEZES_DURATION,
                     v[BW_QUALITY_TOTAL_FREEZES_DURATION]);
    return found(finding, BW_QUALITY_POSSIBLE, BW_QUALITY_FIELDS, 0);
}

enum bw_quality_fault bw_quality_check(const struct bw_quality_window *window, enum bw_quality_source source,
                                       struct bw_quality_finding *finding)
{
    const enum bw_quality_field itself = BW_QUALITY_FIELDS;
    if (window->length_ms < BW_QUALITY_WINDOW_LEAST_MS || window->length_ms > BW_QUALITY_WINDOW_MOST_MS)
        return found(finding, BW_QUALITY_FAULT_WINDOW_LENGTH, itself, window->length_ms);
    if (window->start_ms < 0 || window->start_ms > BW_QUALITY_TIME_MOST_MS - window->length_ms)
        return found(finding, BW_QUALITY_FAULT_WINDOW_TIME, itself, window->start_ms);
    if (window->present >> BW_QUALITY_FIELDS != 0)
        return found(finding, BW_QUALITY_FAULT_UNKNOWN_FIELD, itself, window->present);
    if ((window->state & ~(uint32_t)BW_QUALITY_STATES) != 0)
        return found(finding, BW_QUALITY_FAULT_UNKNOWN_FIELD, itself, window->state);
    if (window->present == 0 && window->state == 0)
        return found(finding, BW_QUALITY_FAULT_EMPTY, itself, 0);
    for (unsigned field = 0; field < BW_QUALITY_FIELDS; field++) {
        if (!bw_quality_has(window, field))
            continue;
        enum bw_quality_fault fault = check_value(window, field, source);
        if (fault != BW_QUALITY_POSSIBLE)
            return found(finding, fault, field, window->values[field]);
    }
    return check_together(window, finding);
}

void bw_quality_describe(const struct bw_quality_finding *finding, char *text, size_t size)
{
    const char *what =
        (unsigned)finding->fault < BW_ARRAY_LEN(faults) ? faults[finding->fault].text : "impossible";
    if (finding->fault == BW_QUALITY_FAULT_NOT_A_NUMBER || finding->fault == BW_QUALITY_FAULT_EMPTY)
        (void)snprintf(text, size, "%s: %s", bw_quality_field_name(finding->field), what);
    else
        (void)snprintf(text, size, "%s: %s (%" PRId64 ")", bw_quality_field_name(finding->field), what,
                       finding->value);
}

const struct bw_quality_limit *bw_quality_limit_of(enum bw_quality_field field)
{
    BW_CHECK((unsigned)field < BW_QUALITY_FIELDS);
    return &limits[field];
}

const char *bw_quality_field_name(enum bw_quality_field field)
{
    return (unsigned)field < BW_QUALITY_FIELDS ? limits[field].name : "window";
}

const char *bw_quality_fault_name(enum bw_quality_fault fault)
{
    return (unsigned)fault < BW_ARRAY_LEN(faults) ? faults[fault].name : "UNKNOWN";
}
