/* RelayService.ReportQuality: a stream of samples in, one answer when all of them have been looked at. */
#include <string.h>

#include "api/api_state.h"
#include "api/quality.h"
#include "api/relay_quality.h"
#include "bailiwick/v1/relay.pb-c.h"
#include "base/alloc.h"
#include "wire/wire.h"

enum {
    ARENA_BYTES = 1 << 20,    /* of one message within its rules */
    BATCHES_UNDER_WAY = 16,   /* then nothing more is read of this stream */
    REPORTS_MOST = 1000 * 64, /* messages of one call: a relay that never ends one is cut off */
};

/* One call. */
struct report {
    struct bw_api *api;
    struct bw_grpc_call *grpc; /* held until the last batch is back */
    struct bw_arena *arena;
    uint32_t relay;
    unsigned under_way, messages;
    bool half_closed, over, overloaded;
    uint64_t taken, refused;
};

static void let_go(struct report *report)
{
    if (!report->over || report->under_way > 0)
        return;
    bw_grpc_call_release(report->grpc);
    bw_arena_destroy(report->arena);
    bw_free(report);
}

static void fail(struct report *report, enum bw_code code, const char *reason, const char *words)
{
    struct bw_error err;
    (void)bw_fail(&err, code, reason, "%s", words);
    const struct bw_grpc_details details = {.retry_after_ms = code == BW_RESOURCE_EXHAUSTED ? 1000 : 0};
    bw_grpc_finish(report->grpc, &err, &details);
}

static void answer(struct report *report)
{
    if (!report->half_closed || report->under_way > 0 || report->over)
        return;
    if (report->overloaded) {
        fail(report, BW_RESOURCE_EXHAUSTED, "OVERLOADED",
             "more quality samples come in than can be kept; report these again later");
        return;
    }
    Bailiwick__V1__ReportQualityResponse response = BAILIWICK__V1__REPORT_QUALITY_RESPONSE__INIT;
    response.samples_taken = report->taken;
    response.samples_refused = report->refused;
    struct bw_buf *scratch = &report->api->scratch;
    bw_buf_clear(scratch);
    if (bw_wire_encode(&response.base, scratch) == BW_OK)
        bw_grpc_reply(report->grpc, bw_buf_view(scratch));
    else
        fail(report, BW_RESOURCE_EXHAUSTED, NULL, "out of memory");
}

static void judged(struct bw_api_quality *batch)
{
    struct report *report = batch->context;
    report->under_way--;
    report->taken += batch->taken;
    report->refused += batch->refused;
    report->overloaded = report->overloaded || batch->overloaded;
    bw_free(batch);
    if (!report->over) {
        bw_grpc_pause_reading(report->grpc, report->under_way >= BATCHES_UNDER_WAY);
        answer(report);
    }
    let_go(report);
}

/* Which of the enrolled relays calls. 0: the fleet view does not have it, yet or any more. */
static uint32_t relay_number(const struct bw_api *api, const struct bw_grpc_call *grpc)
{
    const char *id = bw_api_identity(api, grpc), *slash = id != NULL ? strrchr(id, '/') : NULL;
    const struct bw_fleet_view *view = bw_owner_view(api->config.owner);
    if (slash == NULL || view == NULL)
        return 0;
    const struct bw_facts *facts = view->snapshot->facts;
    size_t index = bw_facts_find_relay(facts, slash + 1);
    return index != SIZE_MAX ? facts->relays[index].number : 0;
}

void bw_api_report_opened(struct bw_grpc_call *grpc, void *context)
{
    const struct bw_api_entry *entry = context;
    uint32_t relay = relay_number(entry->api, grpc);
    struct report *report = bw_calloc(1, sizeof *report);
    if (report != NULL)
        report->arena = bw_arena_create(ARENA_BYTES);
    struct bw_error err;
    enum bw_code code = BW_OK;
    if (report == NULL || report->arena == NULL)
        code = bw_fail_memory(&err);
    else if (relay == 0)
        code = bw_fail(&err, BW_UNAVAILABLE, NULL,
                       "this replica does not know the relay yet; report again later");
    else if (entry->api->config.ports.quality == NULL)
        code = bw_fail(&err, BW_UNAVAILABLE, NULL, "this replica keeps no quality");
    if (code != BW_OK) {
        if (report != NULL)
            bw_arena_destroy(report->arena);
        bw_free(report);
        bw_grpc_finish(grpc, &err, NULL);
        return;
    }
    report->api = entry->api;
    report->grpc = grpc;
    report->relay = relay;
    bw_grpc_call_hold(grpc);
    bw_grpc_call_set_data(grpc, report);
}

static struct bw_quality_window window_of(const Bailiwick__V1__RelayQualitySample *sample)
{
    struct bw_quality_window window =
        bw_quality_window_of(sample->window_start_unix_ms, (int64_t)sample->window_ms);
    /* Beyond what a number of ours can hold is beyond what can be, too. */
    uint64_t received = sample->packets_received, lost = sample->packets_lost, bytes = sample->bytes_received;
    bw_quality_put(&window, BW_QUALITY_PACKETS_RECEIVED,
                   received < INT64_MAX ? (int64_t)received : INT64_MAX);
    bw_quality_put(&window, BW_QUALITY_PACKETS_LOST, lost < INT64_MAX ? (int64_t)lost : INT64_MAX);
    bw_quality_put(&window, BW_QUALITY_BYTES_RECEIVED, bytes < INT64_MAX ? (int64_t)bytes : INT64_MAX);
    bw_quality_put(&window, BW_QUALITY_JITTER, sample->jitter_us);
    if (sample->round_trip_time_us != 0)
        bw_quality_put(&window, BW_QUALITY_ROUND_TRIP_TIME, sample->round_trip_time_us);
    return window;
}

static struct bw_id id_of(ProtobufCBinaryData bytes)
{
    struct bw_id id;
    memcpy(id.bytes, bytes.data, sizeof id.bytes); /* the decoder has seen to the length */
    return id;
}

void bw_api_report_message(struct bw_grpc_call *grpc, struct bw_view bytes, void *context)
{
    struct report *report = bw_grpc_call_data(grpc);
    const ProtobufCMessage *decoded = NULL;
    struct bw_error err;
    (void)context;
    if (report == NULL)
        return;
    if (++report->messages > REPORTS_MOST) {
        fail(report, BW_RESOURCE_EXHAUSTED, NULL, "one call reports no more than this; begin another");
        return;
    }
    bw_arena_reset(report->arena);
    if (bw_wire_decode(&bailiwick__v1__report_quality_request__descriptor, bytes, report->arena, &decoded,
                       &err) != BW_OK) {
        bw_grpc_finish(grpc, &err, NULL);
        return;
    }
    const Bailiwick__V1__ReportQualityRequest *request = (const Bailiwick__V1__ReportQualityRequest *)decoded;
    struct bw_api_quality *batch = bw_api_quality_create(request->n_samples);
    if (batch == NULL) {
        fail(report, BW_RESOURCE_EXHAUSTED, NULL, "out of memory");
        return;
    }
    for (size_t i = 0; i < request->n_samples; i++) {
        const Bailiwick__V1__RelayQualitySample *sample = request->samples[i];
        struct bw_api_window *to = &batch->windows[batch->count];
        *to = (struct bw_api_window){.meeting = id_of(sample->meeting),
                                     .slot = sample->slot,
                                     .stream = sample->peer_number,
                                     .window = window_of(sample)};
        if (bw_quality_check(&to->window, BW_QUALITY_FROM_RELAY, NULL) == BW_QUALITY_POSSIBLE)
            batch->count++;
        else
            report->refused++;
    }
    batch->source = BW_QUALITY_FROM_RELAY;
    batch->relay = report->relay;
    batch->done = judged;
    batch->context = report;
    report->under_way++;
    if (report->under_way >= BATCHES_UNDER_WAY)
        bw_grpc_pause_reading(grpc, true);
    const struct bw_api_ports *ports = &report->api->config.ports;
    ports->quality(ports->context, batch);
}

void bw_api_report_half_closed(struct bw_grpc_call *grpc, void *context)
{
    struct report *report = bw_grpc_call_data(grpc);
    (void)context;
    if (report == NULL)
        return;
    report->half_closed = true;
    answer(report);
}

void bw_api_report_ended(struct bw_grpc_call *grpc, enum bw_code why, void *context)
{
    struct report *report = bw_grpc_call_data(grpc);
    (void)why, (void)context;
    if (report == NULL)
        return;
    report->over = true;
    let_go(report);
}

/* The row's handler. The stream does not come this way: it is there so that the table has one for each row.
 */
void bw_api_report_quality(struct bw_api_call *call)
{
    bw_api_fail_later(call, "%s takes a stream", call->method->name);
}
