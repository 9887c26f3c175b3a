/* SupportService.GetQualityStats: percentiles and percent poor, from the tenant's hours. */
#include <string.h>

#include "api/gate.h"
#include "api/support.h"
#include "quality/hour.h"

enum {
    HOUR_MS = 3600000,
    DAYS_MAX = 92,
    SKETCHES_MAX = 100000,
    PEOPLE_MIN = 5, /* tier 1 sees no figures of fewer */
};

struct stats {
    struct bw_api_call *call;
    struct bw_api_opening opening;
    struct bw_quality_hour *sum;
    const char *position; /* "=" and the last value of the page before; "" at the start */
    uint64_t from_ms, to_ms;
};

static const Bailiwick__V1__GetQualityStatsRequest *request_of(const struct bw_api_call *call)
{
    return (const Bailiwick__V1__GetQualityStatsRequest *)call->request;
}

static int64_t at(const struct bw_sketch *sketch, double q)
{
    return (int64_t)(bw_sketch_quantile(sketch, q) + 0.5);
}

static bool too_few(const struct stats *stats, const struct bw_quality_group *group)
{
    return bw_distinct_count(&group->participants) < PEOPLE_MIN && bw_api_is_tier1(stats->call);
}

/* A small group could be had by taking the others from the whole: then the whole is not shown, either. */
static bool hides_a_group(const struct stats *stats)
{
    for (size_t i = 0; i < bw_quality_hour_count(stats->sum); i++) {
        const struct bw_quality_group *group = bw_quality_hour_at(stats->sum, i);
        if ((int)group->dimension == (int)request_of(stats->call)->by && too_few(stats, group))
            return true;
    }
    return false;
}

static Bailiwick__V1__QualityStat *stat_message(struct stats *stats, const struct bw_quality_group *group)
{
    struct bw_api_call *call = stats->call;
    Bailiwick__V1__QualityStat *out = bw_arena_alloc(call->arena, sizeof *out);
    if (out == NULL)
        return NULL;
    bailiwick__v1__quality_stat__init(out);
    out->value = bw_arena_strdup(call->arena, group->value);
    uint64_t people = bw_distinct_count(&group->participants);
    out->suppressed =
        too_few(stats, group) || (group->dimension == BW_QUALITY_BY_ALL && hides_a_group(stats));
    if (out->suppressed)
        return out->value != NULL ? out : NULL;
    enum bw_quality_metric metric = (enum bw_quality_metric)request_of(call)->metric;
    const struct bw_sketch *sketch = &group->sketches[metric];
    out->p50 = at(sketch, 0.50);
    out->p90 = at(sketch, 0.90);
    out->p95 = at(sketch, 0.95);
    out->p99 = at(sketch, 0.99);
    out->samples = sketch->count;
    out->participants = people < UINT32_MAX ? (uint32_t)people : UINT32_MAX;
    if (sketch->count > 0)
        out->poor_ppm = (uint32_t)((double)group->red[metric] * 1e6 / (double)sketch->count);
    return out->value != NULL ? out : NULL;
}

static bool fill(struct stats *stats, struct bw_api_missing *missing,
                 Bailiwick__V1__GetQualityStatsResponse *response)
{
    struct bw_api_call *call = stats->call;
    const Bailiwick__V1__GetQualityStatsRequest *request = request_of(call);
    size_t size = bw_api_page_size(request->page_size);
    bool first = stats->position[0] == '\0';
    response->covered = bw_api_range(stats->from_ms, stats->to_ms, call->arena);
    response->stats = bw_arena_zalloc(call->arena, size + 1, sizeof(void *));
    if (response->covered == NULL || response->stats == NULL)
        return false;
    const struct bw_quality_group *all = bw_quality_hour_find(stats->sum, BW_QUALITY_BY_ALL, "");
    if (all == NULL && !bw_api_miss(missing, call->arena, "quality", "NOT_KEPT",
                                    "nothing is kept of the quality in these hours"))
        return false;
    if (all != NULL && (response->all = stat_message(stats, all)) == NULL)
        return false;
    for (size_t i = 0; i < bw_quality_hour_count(stats->sum); i++) {
        const struct bw_quality_group *group = bw_quality_hour_at(stats->sum, i);
        if ((int)group->dimension != (int)request->by ||
            (!first && strcmp(group->value, stats->position + 1) <= 0))
            continue;
        if (response->n_stats == size) {
            const char *last =
                bw_arena_printf(call->arena, "=%s", response->stats[response->n_stats - 1]->value);
            response->next_page_token = last != NULL ? bw_api_page_token(call, last) : NULL;
            return response->next_page_token != NULL;
        }
        Bailiwick__V1__QualityStat *stat = stat_message(stats, group);
        if (stat == NULL)
            return false;
        response->stats[response->n_stats++] = stat;
    }
    return true;
}

static enum bw_code take_hour(struct bw_api_opening *opening, const struct bw_opened *row)
{
    struct stats *stats = opening->context;
    struct bw_quality_hour *hour = NULL;
    enum bw_code code = bw_quality_hour_decode(row->payload, &hour, &opening->error);
    if (code == BW_OK)
        code = bw_quality_hour_merge(stats->sum, hour, &opening->error);
    bw_quality_hour_destroy(hour);
    return code;
}

static void hours_opened(struct bw_api_opening *opening)
{
    struct stats *stats = opening->context;
    struct bw_api_call *call = stats->call;
    struct bw_quality_hour *sum = stats->sum;
    struct bw_api_missing missing = {.count = 0};
    Bailiwick__V1__GetQualityStatsResponse response = BAILIWICK__V1__GET_QUALITY_STATS_RESPONSE__INIT;
    if (opening->error.code != BW_OK) {
        struct bw_error error = opening->error;
        bw_api_fail(call, &error, NULL);
    } else if ((opening->cut &&
                !bw_api_miss(&missing, call->arena, "quality", "CUT",
                             "these hours hold more than is added up at once; ask for fewer")) ||
               !fill(stats, &missing, &response)) {
        bw_api_fail_memory(call);
    } else {
        response.missing = missing.items;
        response.n_missing = missing.count;
        bw_api_reply(call, &response.base);
    }
    bw_quality_hour_destroy(sum);
}

static bool unsupported(struct bw_api_call *call, const Bailiwick__V1__GetQualityStatsRequest *request)
{
    const char *dimension = NULL;
    if (request->by == BAILIWICK__V1__QUALITY_DIMENSION__QUALITY_DIMENSION_ASN)
        dimension = "ASN";
    else if (request->by == BAILIWICK__V1__QUALITY_DIMENSION__QUALITY_DIMENSION_CLIENT_VERSION)
        dimension = "CLIENT_VERSION";
    if (dimension != NULL)
        bw_api_fail_later(call, "quality is not added up by %s yet; ask by SITE, RELAY or POLICY_REVISION",
                          dimension);
    return dimension != NULL;
}

void bw_api_get_quality_stats(struct bw_api_call *call)
{
    const Bailiwick__V1__GetQualityStatsRequest *request = request_of(call);
    const char *position;
    if (unsupported(call, request) || !bw_api_check_range(call, request->when) ||
        !bw_api_page_position(call, request->page_token, &position))
        return;
    uint64_t from_ms = (uint64_t)request->when->from_unix_ms, to_ms = (uint64_t)request->when->to_unix_ms;
    if (to_ms - from_ms > (uint64_t)DAYS_MAX * 24 * HOUR_MS) {
        bw_api_fail_field(call, "when", "at most %d days at once", DAYS_MAX);
        return;
    }
    if (bw_api_ports_of(call)->open == NULL) {
        bw_api_fail_later(call, "this process opens no metadata");
        return;
    }
    struct stats *stats = bw_arena_zalloc(call->arena, 1, sizeof *stats);
    struct bw_error err;
    if (stats == NULL || bw_quality_hour_create(&stats->sum, &err) != BW_OK) {
        bw_api_fail_memory(call);
        return;
    }
    stats->call = call;
    stats->position = position;
    stats->from_ms = from_ms / HOUR_MS * HOUR_MS;
    stats->to_ms = (to_ms + HOUR_MS - 1) / HOUR_MS * HOUR_MS;
    bw_api_opening_begin(call, &stats->opening);
    stats->opening.what = BW_OPENING_SKETCHES;
    stats->opening.from_ms = stats->from_ms;
    stats->opening.to_ms = stats->to_ms;
    stats->opening.max_rows = SKETCHES_MAX;
    stats->opening.row = take_hour;
    stats->opening.done = hours_opened;
    stats->opening.context = stats;
    bw_api_open(call, &stats->opening);
}
