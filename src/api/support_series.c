/* SupportService.GetStreamSeries: the curves of one stream of one participant, and the path it took. */
#include <stdlib.h>
#include <string.h>

#include "api/gate.h"
#include "api/quality.h"
#include "api/record_find.h"
#include "api/support.h"
#include "base/alloc.h"
#include "quality/chunk.h"

enum { CHUNKS_MAX = 20000, VALUES_MAX = 10000, ARENA_BYTES = 64 << 20 };

/* One window, reduced to what is drawn. */
struct point {
    struct point *next;
    int64_t start_ms, length_ms;
    struct bw_quality_metrics metrics;
};

struct series {
    struct bw_api_call *call;
    struct bw_api_opening opening;
    struct bw_api_missing missing;
    struct bw_arena *arena;
    uint32_t stream; /* 0: not settled yet */
    struct bw_id id;
    bool found;
    struct point *first, **last;
    size_t count;
};

static const Bailiwick__V1__GetStreamSeriesRequest *request_of(const struct bw_api_call *call)
{
    return (const Bailiwick__V1__GetStreamSeriesRequest *)call->request;
}

/* ---- reading ---- */

static bool wanted(struct series *series, const struct bw_id *stream)
{
    enum bw_quality_source source;
    uint32_t relay, number;
    if (!bw_api_stream_parts(stream, &source, &relay, &number))
        return false;
    if (series->found)
        return bw_id_equal(stream, &series->id);
    if (series->stream == 0 ? source != BW_QUALITY_FROM_RELAY || number != 0
                            : bw_api_stream_number(stream) != series->stream)
        return false;
    series->found = true;
    series->id = *stream;
    series->stream = bw_api_stream_number(stream);
    return true;
}

static enum bw_code take_chunk(struct bw_api_opening *opening, const struct bw_opened *row)
{
    struct series *series = opening->context;
    struct bw_quality_chunk chunk;
    if (!wanted(series, &row->stream))
        return BW_OK;
    enum bw_code code = bw_quality_chunk_decode(row->payload, &chunk, &opening->error);
    for (size_t i = 0; code == BW_OK && i < chunk.count; i++) {
        struct point *point = bw_arena_zalloc(series->arena, 1, sizeof *point);
        if (point == NULL)
            return bw_fail_memory(&opening->error);
        point->start_ms = chunk.windows[i].start_ms;
        point->length_ms = chunk.windows[i].length_ms;
        point->metrics = bw_quality_measure(&chunk.windows[i], chunk.media);
        *series->last = point;
        series->last = &point->next;
        series->count++;
    }
    return code;
}

/* ---- the answer ---- */

/* The span of all points in steps of the first one's length. */
struct grid {
    int64_t start_ms, step_ms;
    size_t steps;
    bool cut;
};

static struct grid grid_of(const struct series *series)
{
    struct grid grid = {.step_ms = 0};
    int64_t end_ms = 0;
    for (const struct point *point = series->first; point != NULL; point = point->next) {
        if (grid.step_ms == 0 || point->start_ms < grid.start_ms)
            grid.start_ms = point->start_ms;
        if (grid.step_ms == 0 || point->length_ms < grid.step_ms)
            grid.step_ms = point->length_ms;
        if (point->start_ms + point->length_ms > end_ms)
            end_ms = point->start_ms + point->length_ms;
    }
    if (grid.step_ms == 0)
        return grid;
    int64_t steps = (end_ms - grid.start_ms + grid.step_ms - 1) / grid.step_ms;
    grid.cut = steps > VALUES_MAX;
    grid.steps = grid.cut ? VALUES_MAX : (size_t)steps;
    return grid;
}

static Bailiwick__V1__GetStreamSeriesResponse__Series *curve(struct series *series, const struct grid *grid,
                                                             int metric)
{
    Bailiwick__V1__GetStreamSeriesResponse__Series *out = bw_arena_alloc(series->arena, sizeof *out);
    int64_t *values = bw_arena_zalloc(series->arena, grid->steps + 1, sizeof *values);
    if (out == NULL || values == NULL)
        return NULL;
    bailiwick__v1__get_stream_series_response__series__init(out);
    for (size_t i = 0; i < grid->steps; i++)
        values[i] = -1;
    for (const struct point *point = series->first; point != NULL; point = point->next) {
        size_t step = (size_t)((point->start_ms - grid->start_ms) / grid->step_ms);
        if (step >= grid->steps || !(point->metrics.present & UINT32_C(1) << metric))
            continue;
        values[step] = point->metrics.values[metric];
        out->n_values++;
    }
    bool any = out->n_values > 0;
    out->metric = (Bailiwick__V1__QualityMetric)metric;
    out->start_unix_ms = grid->start_ms;
    out->step_ms = (uint32_t)grid->step_ms;
    out->values = values;
    out->n_values = any ? grid->steps : 0;
    return out;
}

static bool asked_for(const Bailiwick__V1__GetStreamSeriesRequest *request, int metric)
{
    for (size_t i = 0; i < request->n_metrics; i++) {
        if ((int)request->metrics[i] == metric)
            return true;
    }
    return request->n_metrics == 0;
}

static bool add_hop(struct series *series, uint32_t number, Bailiwick__V1__GetStreamSeriesResponse *response)
{
    const struct bw_fleet_view *view = bw_api_view_of(series->call);
    Bailiwick__V1__GetStreamSeriesResponse__Hop *hop = bw_arena_alloc(series->arena, sizeof *hop);
    if (hop == NULL)
        return false;
    bailiwick__v1__get_stream_series_response__hop__init(hop);
    hop->stored_in_cell = bw_api_config_of(series->call)->cell;
    response->path[response->n_path++] = hop;
    size_t index = view != NULL ? bw_facts_find_number(view->snapshot->facts, number) : SIZE_MAX;
    if (index == SIZE_MAX)
        return bw_api_miss(&series->missing, series->arena, "path", "NOT_KEPT",
                           "relay number %u is not enrolled any more", number);
    const struct bw_relay_facts *relay = &view->snapshot->facts->relays[index];
    hop->relay = relay->name;
    if (relay->site != NULL)
        hop->site = relay->site;
    if (relay->place != NULL)
        hop->country = relay->place;
    hop->jurisdictions = (const char **)relay->operated_by.jurisdictions;
    hop->n_jurisdictions = relay->operated_by.jurisdiction_count;
    return true;
}

/* From the participant's side. */
static bool fill_path(struct series *series, Bailiwick__V1__GetStreamSeriesResponse *response)
{
    enum bw_quality_source source;
    uint32_t relay, number;
    response->path = bw_arena_zalloc(series->arena, 4, sizeof(void *));
    if (response->path == NULL)
        return false;
    if (!series->found || !bw_api_stream_parts(&series->id, &source, &relay, &number) ||
        source == BW_QUALITY_FROM_CLIENT)
        return true; /* measured by the endpoint itself */
    return (number == 0 || add_hop(series, number, response)) && add_hop(series, relay, response);
}

static bool fill(struct series *series, Bailiwick__V1__GetStreamSeriesResponse *response)
{
    const Bailiwick__V1__GetStreamSeriesRequest *request = request_of(series->call);
    struct grid grid = grid_of(series);
    response->series = bw_arena_zalloc(series->arena, BW_QUALITY_METRICS, sizeof(void *));
    if (response->series == NULL)
        return false;
    for (int metric = 1; grid.steps > 0 && metric < BW_QUALITY_METRICS; metric++) {
        if (!asked_for(request, metric))
            continue;
        Bailiwick__V1__GetStreamSeriesResponse__Series *one = curve(series, &grid, metric);
        if (one == NULL)
            return false;
        if (one->n_values > 0)
            response->series[response->n_series++] = one;
    }
    if (grid.cut && !bw_api_miss(&series->missing, series->arena, "quality", "CUT",
                                 "the stream is longer than %d steps: its end is left out", VALUES_MAX))
        return false;
    if (!series->found && !bw_api_miss(&series->missing, series->arena, "quality", "NOT_KEPT",
                                       "nothing is kept of such a stream: nothing was measured yet, it was "
                                       "erased, or its retention has ended"))
        return false;
    if (!fill_path(series, response))
        return false;
    response->stream = series->stream;
    response->missing = series->missing.items;
    response->n_missing = series->missing.count;
    return true;
}

static void opened(struct bw_api_opening *opening)
{
    struct series *series = opening->context;
    struct bw_api_call *call = series->call;
    struct bw_arena *arena = series->arena;
    Bailiwick__V1__GetStreamSeriesResponse response = BAILIWICK__V1__GET_STREAM_SERIES_RESPONSE__INIT;
    bool gone = opening->error.reason != NULL && strcmp(opening->error.reason, "ERASED") == 0;
    if (opening->error.code != BW_OK && !gone) {
        struct bw_error error = opening->error;
        bw_api_fail(call, &error, NULL);
    } else if ((opening->cut && !bw_api_miss(&series->missing, arena, "quality", "CUT",
                                             "the participant has more quality than is read at once")) ||
               (gone && !bw_api_miss(&series->missing, arena, "quality", "ERASED",
                                     "the keys of this meeting's quality were destroyed")) ||
               !fill(series, &response)) {
        bw_api_fail_memory(call);
    } else {
        bw_api_reply(call, &response.base);
    }
    bw_arena_destroy(arena);
}

/* ---- is it the tenant's meeting, and is there such a slot ---- */

static void admission_found(struct bw_api_call *call, const struct bw_decision *decision,
                            const struct bw_error *error)
{
    struct series *series = call->state;
    bool failed = decision == NULL && error->code != BW_NOT_FOUND;
    bool admitted = decision != NULL && bw_id_equal(&decision->tenant, &call->tenant) &&
                    (decision->kind == BW_DECISION_JOINED || decision->kind == BW_DECISION_CONNECTOR_INVITED);
    if (!admitted) {
        struct bw_arena *arena = series->arena;
        struct bw_error err = *error;
        if (!failed)
            (void)bw_fail(&err, BW_NOT_FOUND, "NO_SLOT",
                          "the tenant has no such meeting, or nobody had that slot in it; the timeline lists "
                          "the slots");
        bw_api_fail(call, &err, NULL);
        bw_arena_destroy(arena);
        return;
    }
    struct bw_api_opening *opening = &series->opening;
    bw_api_opening_begin(call, opening);
    opening->what = BW_OPENING_CHUNKS;
    opening->meeting = bw_api_id(request_of(call)->meeting_id);
    opening->slot_from = opening->slot_to = request_of(call)->slot;
    opening->max_rows = CHUNKS_MAX;
    opening->row = take_chunk;
    opening->done = opened;
    opening->context = series;
    bw_api_open(call, opening);
}

void bw_api_get_stream_series(struct bw_api_call *call)
{
    if (bw_api_ports_of(call)->open == NULL) {
        bw_api_fail_later(call, "this process opens no metadata");
        return;
    }
    struct series *series = bw_arena_zalloc(call->arena, 1, sizeof *series);
    if (series != NULL)
        series->arena = bw_arena_create(ARENA_BYTES);
    if (series == NULL || series->arena == NULL) {
        bw_api_fail_memory(call);
        return;
    }
    series->call = call;
    series->stream = request_of(call)->stream;
    series->last = &series->first;
    call->state = series;
    const struct bw_id meeting = bw_api_id(request_of(call)->meeting_id);
    /* A slot has the number of the decision that admitted it. */
    bw_api_find_record(call, &meeting, request_of(call)->slot, admission_found);
}
