#include "server/call_metrics.h"

#include <string.h>

#include "base/alloc.h"

static const uint64_t bounds_us[BW_JOIN_BUCKETS] = BW_JOIN_BUCKETS_US;

bool bw_call_metrics_init(struct bw_call_metrics *metrics, const struct bw_grpc_method *methods,
                          size_t method_count)
{
    *metrics =
        (struct bw_call_metrics){.methods = methods, .method_count = method_count, .join = method_count};
    for (size_t i = 0; i < method_count; i++) {
        if (strcmp(methods[i].path, "/bailiwick.v1.MeetingService/JoinMeeting") == 0)
            metrics->join = i;
    }
    metrics->ended = bw_calloc(method_count + 1, sizeof *metrics->ended);
    return metrics->ended != NULL;
}

void bw_call_metrics_finish(struct bw_call_metrics *metrics)
{
    bw_free(metrics->ended);
    metrics->ended = NULL;
}

/* One writer: no locked instruction is needed. */
static void add(_Atomic uint64_t *value, uint64_t more)
{
    atomic_store_explicit(value, atomic_load_explicit(value, memory_order_relaxed) + more,
                          memory_order_relaxed);
}

void bw_call_metrics_ended(const struct bw_grpc_method *method, enum bw_code code, uint64_t took_ns,
                           void *context)
{
    struct bw_call_metrics *metrics = context;
    size_t row = metrics->method_count;
    if (method >= metrics->methods && method < metrics->methods + metrics->method_count)
        row = (size_t)(method - metrics->methods);
    add(&metrics->ended[row][(size_t)code < BW_CALL_CODES ? (size_t)code : BW_UNKNOWN], 1);
    if (row == metrics->method_count || row != metrics->join)
        return;
    size_t bucket = 0;
    while (bucket < BW_JOIN_BUCKETS && took_ns > bounds_us[bucket] * 1000)
        bucket++;
    add(&metrics->joins[bucket], 1);
    add(&metrics->join_us, took_ns / 1000);
}

void bw_call_metrics_names(const struct bw_call_metrics *metrics, size_t row, struct bw_view *service,
                           struct bw_view *method)
{
    *service = *method = bw_view_str("other");
    if (row >= metrics->method_count)
        return;
    const char *path = metrics->methods[row].path;
    const char *slash = strrchr(path, '/'), *dot = strrchr(path, '.');
    if (slash == NULL || dot == NULL || dot > slash)
        return;
    *service = bw_view_of(dot + 1, (size_t)(slash - dot - 1));
    *method = bw_view_str(slash + 1);
}
