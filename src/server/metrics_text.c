#include "server/metrics_text.h"

#include <string.h>

static const uint64_t bounds_us[BW_JOIN_BUCKETS] = BW_JOIN_BUCKETS_US;

/* ---- families and samples (OpenMetrics 1.0, 4.1) ---- */

/* The table's own types: a gauge kept in milliseconds is shown in seconds. */
static const char *shown_type(const char *type)
{
    return strcmp(type, "gauge_ms") == 0 ? "gauge" : strcmp(type, "counter_ms") == 0 ? "counter" : type;
}

static void family(struct bw_buf *out, const char *name, const char *type, const char *help)
{
    bw_buf_printf(out, "# TYPE %s %s\n# HELP %s %s\n", name, shown_type(type), name, help);
}

static void sample(struct bw_buf *out, const char *name, const char *type, uint64_t value)
{
    const char *suffix = strncmp(type, "counter", 7) == 0 ? "_total" : "";
    if (strcmp(type + strlen(type) - 3, "_ms") == 0)
        bw_buf_printf(out, "%s%s %lu.%03u\n", name, suffix, (unsigned long)(value / 1000),
                      (unsigned)(value % 1000));
    else
        bw_buf_printf(out, "%s%s %lu\n", name, suffix, (unsigned long)value);
}

/* ---- calls ---- */

static void print_requests(const struct bw_metrics_source *source, struct bw_buf *out)
{
    static const char *const codes[BW_CALL_CODES] = {
#define X(name, number, category) [number] = #name,
        BW_CODE_MAP(X)
#undef X
    };
    if (source->worker_count == 0)
        return;
    const struct bw_call_metrics *first = source->calls[0];
    for (size_t row = 0; row <= first->method_count; row++) {
        struct bw_view service, method;
        bw_call_metrics_names(first, row, &service, &method);
        for (size_t code = 0; code < BW_CALL_CODES; code++) {
            uint64_t sum = 0;
            for (size_t i = 0; i < source->worker_count; i++)
                sum += atomic_load_explicit(&source->calls[i]->ended[row][code], memory_order_relaxed);
            if (sum > 0)
                bw_buf_printf(out,
                              BW_METRIC_REQUESTS "_total{service=\"%.*s\",method=\"%.*s\",code=\"%s\"} %lu\n",
                              (int)service.len, (const char *)service.data, (int)method.len,
                              (const char *)method.data, codes[code], (unsigned long)sum);
        }
    }
}

static void print_joins(const struct bw_metrics_source *source, struct bw_buf *out)
{
    uint64_t count = 0, sum_us = 0;
    for (size_t bucket = 0; bucket <= BW_JOIN_BUCKETS; bucket++) {
        for (size_t i = 0; i < source->worker_count; i++)
            count += atomic_load_explicit(&source->calls[i]->joins[bucket], memory_order_relaxed);
        if (bucket < BW_JOIN_BUCKETS)
            bw_buf_printf(out, BW_METRIC_JOINS "_bucket{le=\"%lu.%06lu\"} %lu\n",
                          (unsigned long)(bounds_us[bucket] / 1000000),
                          (unsigned long)(bounds_us[bucket] % 1000000), (unsigned long)count);
        else
            bw_buf_printf(out, BW_METRIC_JOINS "_bucket{le=\"+Inf\"} %lu\n", (unsigned long)count);
    }
    for (size_t i = 0; i < source->worker_count; i++)
        sum_us += atomic_load_explicit(&source->calls[i]->join_us, memory_order_relaxed);
    bw_buf_printf(out, BW_METRIC_JOINS "_count %lu\n" BW_METRIC_JOINS "_sum %lu.%06lu\n",
                  (unsigned long)count, (unsigned long)(sum_us / 1000000), (unsigned long)(sum_us % 1000000));
}

/* ---- the whole ---- */

void bw_metrics_text(const struct bw_metrics_source *source, struct bw_buf *out)
{
    uint64_t sum;
#define X(field, name, type, help)                                                                           \
    family(out, name, type, help);                                                                           \
    sum = 0;                                                                                                 \
    for (size_t i = 0; i < source->worker_count; i++)                                                        \
        sum += atomic_load(&source->workers[i]->field);                                                      \
    sample(out, name, type, sum);
    BW_WORKER_METRIC_MAP(X)
#undef X
#define X(field, name, type, help)                                                                           \
    family(out, name, type, help);                                                                           \
    sample(out, name, type, atomic_load(&source->hub->field));
    BW_HUB_METRIC_MAP(X)
#undef X
#define X(field, name, type, help)                                                                           \
    family(out, name, type, help);                                                                           \
    sample(out, name, type, atomic_load(&source->ingest->field));
    BW_INGEST_METRIC_MAP(X)
#undef X
#define X(field, name, type, help)                                                                           \
    family(out, name, type, help);                                                                           \
    sample(out, name, type, source->daemon.field);
    BW_DAEMON_METRIC_MAP(X)
#undef X
#define X(field, name, type, help)                                                                           \
    family(out, name, type, help);                                                                           \
    sample(out, name, type, source->process.field);
    BW_PROCESS_METRIC_MAP(X)
#undef X
#define X(print, name, type, labels, help)                                                                   \
    family(out, name, type, help);                                                                           \
    print(source, out);
    BW_CALL_METRIC_MAP(X)
#undef X
    bw_buf_append_str(out, "# TYPE bailiwick_build info\n# HELP bailiwick_build " BW_METRIC_BUILD_HELP "\n");
    bw_buf_printf(out, "bailiwick_build_info{version=\"%s\"} 1\n# EOF\n", source->version);
}

/* ---- the reference page ---- */

struct row {
    const char *name, *type, *labels, *help;
};

static const struct row rows[] = {
#define X(field, name, type, help) {name, type, "", help},
    BW_WORKER_METRIC_MAP(X) BW_HUB_METRIC_MAP(X) BW_INGEST_METRIC_MAP(X) BW_DAEMON_METRIC_MAP(X)
        BW_PROCESS_METRIC_MAP(X)
#undef X
#define X(print, name, type, labels, help) {name, type, labels, help},
            BW_CALL_METRIC_MAP(X)
#undef X
                {"bailiwick_build", "info", "version", BW_METRIC_BUILD_HELP},
};

void bw_metrics_reference(struct bw_buf *out)
{
    bw_buf_append_str(out, "# Metrics of bailiwickd\n\n"
                           "`GET /metrics` on the HTTP listener (`http` in the configuration) answers in "
                           "OpenMetrics 1.0. A counter's\n"
                           "sample is named with `_total`, a histogram's with `_bucket`, `_sum` and "
                           "`_count`, an info's with `_info`.\n"
                           "Values are summed over the workers of this replica and start at 0 with the "
                           "process. No label ever holds a\n"
                           "tenant, a meeting or anything of a participant.\n\n"
                           "| metric | type | labels | what it says |\n| --- | --- | --- | --- |\n");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        bw_buf_printf(out, "| `%s` | %s | %s | %s |\n", rows[i].name, shown_type(rows[i].type),
                      rows[i].labels, rows[i].help);
}
