#include "fleet/quality.h"

#include "bailiwick/v1/relay.pb-c.h"

#include "base/alloc.h"
#include "fleet/codec.h"
#include "fleet/codec_parts.h"
#include "wire/wire.h"

enum {
    MESSAGE_SAMPLES = 256,
    CALL_SAMPLES = 4096, /* that one answer is about */
    CALL_MS = 20000,
    RETRY_MS = 1000,
};

/* One ReportQuality call. It may end after its reporter. */
struct report {
    struct bw_quality_reporter *reporter; /* NULL: nobody waits for it any more */
    struct bw_arena *arena;
    bool answered;
    uint64_t taken, refused;
};

struct bw_quality_reporter {
    struct bw_quality_queue *queue;
    struct bw_timer *retry;
    struct bw_grpc_client *grpc; /* NULL: no session */
    struct report *report;       /* under way */
    struct bw_relay_quality *batch;
    struct bw_buf out;
    uint64_t taken, refused;
};

static void send_next(struct bw_quality_reporter *reporter);

/* ---- one call ---- */

static enum bw_code encode(const struct bw_relay_quality *samples, size_t count, struct bw_buf *out)
{
    Bailiwick__V1__RelayQualitySample items[MESSAGE_SAMPLES], *list[MESSAGE_SAMPLES];
    Bailiwick__V1__ReportQualityRequest request = BAILIWICK__V1__REPORT_QUALITY_REQUEST__INIT;
    for (size_t i = 0; i < count; i++) {
        bailiwick__v1__relay_quality_sample__init(&items[i]);
        items[i].meeting = codec_id(&samples[i].meeting);
        items[i].slot = samples[i].slot;
        items[i].window_start_unix_ms = (int64_t)samples[i].window_start_ms;
        items[i].window_ms = samples[i].window_ms;
        items[i].packets_received = samples[i].packets_received;
        items[i].packets_lost = samples[i].packets_lost;
        items[i].bytes_received = samples[i].bytes_received;
        items[i].jitter_us = samples[i].jitter_us;
        items[i].round_trip_time_us = samples[i].round_trip_us;
        items[i].peer_number = samples[i].peer_number;
        list[i] = &items[i];
    }
    request.n_samples = count;
    request.samples = list;
    return bw_wire_encode(&request.base, out);
}

static void answered(struct bw_grpc_client_call *call, struct bw_view message, void *context)
{
    struct report *report = context;
    const ProtobufCMessage *decoded = NULL;
    (void)call;
    bw_arena_reset(report->arena);
    if (bw_wire_decode(&bailiwick__v1__report_quality_response__descriptor, message, report->arena, &decoded,
                       NULL) != BW_OK)
        return;
    const Bailiwick__V1__ReportQualityResponse *response =
        (const Bailiwick__V1__ReportQualityResponse *)decoded;
    report->answered = true;
    report->taken = response->samples_taken;
    report->refused = response->samples_refused;
}

/* Sent again: what a passing trouble kept from being taken for certain. A control plane that says no, or that
 * does not know the method, would say so again. */
static enum bw_report_fate fate_of(enum bw_code code)
{
    if (code == BW_OK)
        return BW_REPORT_ARRIVED;
    return bw_code_category(code) == BW_CATEGORY_PASSING || code == BW_CANCELLED ? BW_REPORT_LOST
                                                                                 : BW_REPORT_UNWANTED;
}

static void finished(struct bw_grpc_client_call *call, const struct bw_grpc_outcome *outcome, void *context)
{
    struct report *report = context;
    struct bw_quality_reporter *reporter = report->reporter;
    (void)call;
    if (reporter != NULL) {
        enum bw_report_fate fate = fate_of(outcome->code);
        reporter->report = NULL;
        reporter->taken += report->taken;
        reporter->refused += report->refused;
        bw_quality_queue_settle(reporter->queue, fate);
        if (fate == BW_REPORT_ARRIVED)
            send_next(reporter);
        else if (reporter->grpc != NULL)
            bw_timer_start(reporter->retry, RETRY_MS, 0);
    }
    bw_arena_destroy(report->arena);
    bw_free(report);
}

static const struct bw_grpc_client_events report_events = {.message = answered, .finished = finished};

static struct report *report_create(struct bw_quality_reporter *reporter)
{
    struct report *report = bw_calloc(1, sizeof *report);
    if (report == NULL)
        return NULL;
    report->arena = bw_arena_create(BW_FLEET_ARENA);
    if (report->arena == NULL) {
        bw_free(report);
        return NULL;
    }
    report->reporter = reporter;
    return report;
}

static void send_next(struct bw_quality_reporter *reporter)
{
    if (reporter->grpc == NULL || reporter->report != NULL)
        return;
    size_t count = bw_quality_queue_take(reporter->queue, reporter->batch, CALL_SAMPLES);
    if (count == 0)
        return;
    struct bw_error err;
    struct report *report = report_create(reporter);
    struct bw_grpc_client_call *call =
        report != NULL ? bw_grpc_client_call(reporter->grpc, "/bailiwick.v1.RelayService/ReportQuality",
                                             CALL_MS, NULL, 0, &report_events, report, &err)
                       : NULL;
    if (call == NULL) {
        if (report != NULL)
            bw_arena_destroy(report->arena);
        bw_free(report);
        bw_quality_queue_settle(reporter->queue, BW_REPORT_LOST);
        bw_timer_start(reporter->retry, RETRY_MS, 0);
        return;
    }
    reporter->report = report;
    enum bw_code code = BW_OK;
    for (size_t at = 0; at < count && code == BW_OK; at += MESSAGE_SAMPLES) {
        bw_buf_clear(&reporter->out);
        code = encode(reporter->batch + at, count - at < MESSAGE_SAMPLES ? count - at : MESSAGE_SAMPLES,
                      &reporter->out);
        if (code == BW_OK)
            code = bw_grpc_client_send(call, bw_buf_view(&reporter->out));
    }
    if (code == BW_OK)
        bw_grpc_client_half_close(call);
    else
        bw_grpc_client_cancel(call); /* `finished` has them sent again */
}

static void retry(void *context)
{
    send_next(context);
}

/* ---- life ---- */

struct bw_quality_reporter *bw_quality_reporter_create(struct bw_loop *loop, size_t capacity,
                                                       struct bw_error *err)
{
    struct bw_quality_reporter *reporter = bw_calloc(1, sizeof *reporter);
    if (reporter == NULL) {
        (void)bw_fail_memory(err);
        return NULL;
    }
    reporter->queue = bw_quality_queue_create(capacity);
    reporter->batch = bw_calloc(CALL_SAMPLES, sizeof *reporter->batch);
    reporter->retry = bw_timer_create(loop, retry, reporter, err);
    if (reporter->queue == NULL || reporter->batch == NULL || reporter->retry == NULL) {
        (void)bw_fail_memory(err);
        bw_quality_reporter_destroy(reporter);
        return NULL;
    }
    return reporter;
}

void bw_quality_reporter_destroy(struct bw_quality_reporter *reporter)
{
    if (reporter == NULL)
        return;
    if (reporter->report != NULL)
        reporter->report->reporter = NULL;
    bw_timer_destroy(reporter->retry);
    bw_quality_queue_destroy(reporter->queue);
    bw_buf_finish(&reporter->out);
    bw_free(reporter->batch);
    bw_free(reporter);
}

void bw_quality_reporter_add(struct bw_quality_reporter *reporter, const struct bw_relay_quality *samples,
                             size_t count)
{
    for (size_t i = 0; i < count; i++)
        bw_quality_queue_push(reporter->queue, &samples[i]);
    send_next(reporter);
}

void bw_quality_reporter_connected(struct bw_quality_reporter *reporter, struct bw_grpc_client *grpc)
{
    reporter->grpc = grpc;
    send_next(reporter);
}

void bw_quality_reporter_disconnected(struct bw_quality_reporter *reporter)
{
    reporter->grpc = NULL;
    bw_timer_stop(reporter->retry);
    if (reporter->report != NULL) {
        reporter->report->reporter = NULL;
        reporter->report = NULL;
        bw_quality_queue_settle(reporter->queue, BW_REPORT_LOST);
    }
}

struct bw_quality_report_counts bw_quality_reporter_counts(const struct bw_quality_reporter *reporter)
{
    return (struct bw_quality_report_counts){.queue = bw_quality_queue_counts(reporter->queue),
                                             .taken = reporter->taken,
                                             .refused = reporter->refused};
}
