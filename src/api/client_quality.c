#include "api/client_quality.h"

#include <stdio.h>

#include "base/alloc.h"
#include "runtime/clock.h"

enum { PATH_WINDOW_MS = 1000 };

/* Fields of the message that are numbers which may be absent. X(NAME of the quality room, member, Member) */
#define GIVEN_MAP(X)                                                                                         \
    X(PACKETS_RECEIVED, packets_received)                                                                    \
    X(PACKETS_LOST, packets_lost)                                                                            \
    X(JITTER, jitter_us)                                                                                     \
    X(ROUND_TRIP_TIME, round_trip_time_us)                                                                   \
    X(BYTES_RECEIVED, bytes_received)                                                                        \
    X(FRACTION_LOST, fraction_lost_ppm)                                                                      \
    X(CONCEALED_SAMPLES, concealed_samples)                                                                  \
    X(TOTAL_SAMPLES_RECEIVED, total_samples_received)                                                        \
    X(JITTER_BUFFER_DELAY, jitter_buffer_delay_us)                                                           \
    X(FRAMES_PER_SECOND, frames_per_second_milli)                                                            \
    X(FREEZE_COUNT, freeze_count)                                                                            \
    X(TOTAL_FREEZES_DURATION, total_freezes_duration_ms)                                                     \
    X(NACK_COUNT, nack_count)                                                                                \
    X(PLI_COUNT, pli_count)                                                                                  \
    X(AVAILABLE_OUTGOING_BITRATE, available_outgoing_bitrate_kbps)

/* As callers of the API know a field. */
static const char *member_name(enum bw_quality_field field)
{
    switch (field) {
#define X(name, member)                                                                                      \
    case BW_QUALITY_##name:                                                                                  \
        return #member;
        GIVEN_MAP(X)
#undef X
    case BW_QUALITY_QUALITY_LIMITATION_REASON:
        return "quality_limitation_reason";
    case BW_QUALITY_CANDIDATE_TYPE:
        return "candidate_type";
    case BW_QUALITY_PROTOCOL:
        return "protocol";
    case BW_QUALITY_FIELDS:
        break;
    }
    return "window_ms";
}

/* The enums of the message have one more in front: not given. */
static void put_enum(struct bw_quality_window *window, enum bw_quality_field field, int value)
{
    if (value > 0)
        bw_quality_put(window, field, value - 1);
}

static struct bw_quality_window window_of(const Bailiwick__V1__ClientQualitySample *sample)
{
    struct bw_quality_window window =
        bw_quality_window_of(sample->window_start_unix_ms, (int64_t)sample->window_ms);
    window.state =
        (sample->muted ? BW_QUALITY_MUTED : 0u) | (sample->ice_failed ? BW_QUALITY_ICE_FAILED : 0u);
#define X(name, member)                                                                                      \
    if (sample->member##_given_case != 0)                                                                    \
        bw_quality_put(&window, BW_QUALITY_##name, (int64_t)sample->member);
    GIVEN_MAP(X)
#undef X
    put_enum(&window, BW_QUALITY_QUALITY_LIMITATION_REASON, (int)sample->quality_limitation_reason);
    put_enum(&window, BW_QUALITY_CANDIDATE_TYPE, (int)sample->candidate_type);
    put_enum(&window, BW_QUALITY_PROTOCOL, (int)sample->protocol);
    return window;
}

static bool refuse(struct bw_api_call *call, size_t index, const struct bw_quality_finding *finding)
{
    char field[64], words[256];
    snprintf(field, sizeof field, "quality[%zu].%s", index, member_name(finding->field));
    bw_quality_describe(finding, words, sizeof words);
    bw_api_fail_field(call, field, "%s", words);
    return false;
}

/* An endpoint that cannot reach its relay has a second of which nothing is to be judged; one that can has one
 * in which nothing was lost. */
static void put_path(struct bw_api_window *to, Bailiwick__V1__ReportClientStateRequest__Path path)
{
    *to = (struct bw_api_window){
        .stream = BW_API_PATH_STREAM,
        .window = bw_quality_window_of((int64_t)bw_clock_wall_ms() - PATH_WINDOW_MS, PATH_WINDOW_MS)};
    bw_quality_put(&to->window, BW_QUALITY_PACKETS_RECEIVED, 0);
    if (path == BAILIWICK__V1__REPORT_CLIENT_STATE_REQUEST__PATH__PATH_FAILED)
        to->window.state = BW_QUALITY_ICE_FAILED;
}

bool bw_api_client_windows(struct bw_api_call *call, const Bailiwick__V1__ReportClientStateRequest *request,
                           struct bw_api_quality **out)
{
    size_t most = request->n_quality + (request->path != 0 ? 1 : 0);
    *out = NULL;
    if (most == 0)
        return true;
    struct bw_api_quality *batch = bw_api_quality_create(most);
    if (batch == NULL) {
        bw_api_fail_memory(call);
        return false;
    }
    batch->source = BW_QUALITY_FROM_CLIENT;
    for (size_t i = 0; i < request->n_quality; i++) {
        const Bailiwick__V1__ClientQualitySample *sample = request->quality[i];
        struct bw_quality_finding finding;
        struct bw_api_window *to = &batch->windows[batch->count++];
        *to = (struct bw_api_window){.stream = sample->stream,
                                     .media = (enum bw_quality_media)sample->media,
                                     .window = window_of(sample)};
        if (bw_quality_check(&to->window, BW_QUALITY_FROM_CLIENT, &finding) != BW_QUALITY_POSSIBLE) {
            bw_free(batch);
            return refuse(call, i, &finding);
        }
    }
    if (request->path != 0)
        put_path(&batch->windows[batch->count++], request->path);
    *out = batch;
    return true;
}
