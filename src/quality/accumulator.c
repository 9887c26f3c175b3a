#include "quality/accumulator.h"

#include <assert.h>
#include <string.h>

#include "base/alloc.h"
#include "base/check.h"
#include "quality/stream.h"

struct lane {
    uint32_t slot;
    uint32_t streams;
    struct bw_quality_lane time;
    UT_hash_handle hh;
};

struct bw_quality_meeting {
    struct bw_quality_limits limits;
    struct bw_quality_sink sink;
    struct bw_quality_stream *streams;
    struct lane *lanes;
    struct bw_quality_counts counts;
    struct bw_quality_summary summary; /* without what is computed when it is asked for */
    struct bw_buf scratch;             /* the chunk that is being closed */
    size_t bytes;
    int64_t due_ms;
};

static_assert(sizeof(struct bw_quality_stream_key) == 24, "a key has no padding: it is hashed as bytes");

static const char *const fates[] = {
#define X(name, text) [BW_QUALITY_##name] = #name,
    BW_QUALITY_FATE_MAP(X)
#undef X
};

const char *bw_quality_fate_name(enum bw_quality_fate fate)
{
    return (unsigned)fate < BW_ARRAY_LEN(fates) ? fates[fate] : "UNKNOWN";
}

static struct bw_quality_limits with_defaults(struct bw_quality_limits limits)
{
    if (limits.streams == 0)
        limits.streams = 65536;
    if (limits.streams_per_slot == 0)
        limits.streams_per_slot = 64;
    if (limits.grace_ms == 0)
        limits.grace_ms = 15000;
    if (limits.age_most_ms == 0)
        limits.age_most_ms = 600000;
    if (limits.ahead_most_ms == 0)
        limits.ahead_most_ms = 30000;
    if (limits.bytes == 0)
        limits.bytes = (size_t)256 * 1024 * 1024;
    return limits;
}

enum bw_code bw_quality_meeting_create(const struct bw_quality_limits *limits,
                                       const struct bw_quality_sink *sink, struct bw_quality_meeting **out,
                                       struct bw_error *err)
{
    struct bw_quality_meeting *meeting = bw_calloc(1, sizeof *meeting);
    if (meeting == NULL)
        return bw_fail_memory(err);
    meeting->limits = with_defaults(*limits);
    meeting->sink = *sink;
    meeting->bytes = sizeof *meeting;
    meeting->due_ms = INT64_MAX;
    *out = meeting;
    return BW_OK;
}

void bw_quality_meeting_destroy(struct bw_quality_meeting *meeting)
{
    struct bw_quality_stream *stream, *next_stream;
    struct lane *lane, *next_lane;
    if (meeting == NULL)
        return;
    HASH_ITER(hh, meeting->streams, stream, next_stream)
    {
        HASH_DEL(meeting->streams, stream);
        bw_quality_stream_finish(stream);
        bw_free(stream);
    }
    HASH_ITER(hh, meeting->lanes, lane, next_lane)
    {
        HASH_DEL(meeting->lanes, lane);
        bw_free(lane);
    }
    bw_buf_finish(&meeting->scratch);
    bw_free(meeting);
}

static struct bw_quality_closed closed_of(const struct bw_quality_stream *stream,
                                          const struct bw_quality_chunk *chunk, struct bw_view bytes)
{
    const struct bw_quality_window *last = &chunk->windows[chunk->count - 1];
    return (struct bw_quality_closed){.key = stream->key,
                                      .media = stream->media,
                                      .seq = stream->seq,
                                      .from_ms = chunk->windows[0].start_ms,
                                      .to_ms = last->start_ms + last->length_ms,
                                      .windows = (uint32_t)chunk->count,
                                      .samples = (uint32_t)bw_quality_chunk_samples(chunk),
                                      .bytes = bytes};
}

/* One chunk of what is open. */
static enum bw_code close_chunk(struct bw_quality_meeting *meeting, struct bw_quality_stream *stream,
                                bool whole, struct bw_error *err)
{
    struct bw_quality_chunk chunk;
    size_t open;
    bw_buf_clear(&meeting->scratch);
    enum bw_code code = bw_quality_stream_chunk(stream, &chunk, &open, &meeting->scratch, err);
    if (code != BW_OK)
        return code;
    struct bw_quality_closed closed = closed_of(stream, &chunk, bw_buf_view(&meeting->scratch));
    if (meeting->sink.chunk != NULL)
        code = meeting->sink.chunk(meeting->sink.context, &closed, err);
    if (code != BW_OK)
        return code;
    uint32_t room = stream->room;
    bw_quality_stream_closed(stream, &chunk, open, whole);
    meeting->bytes -= (room - stream->room) * sizeof *stream->words;
    return BW_OK;
}

static enum bw_code close_due(struct bw_quality_meeting *meeting, struct bw_quality_stream *stream,
                              int64_t now_ms, struct bw_error *err)
{
    enum bw_code code = BW_OK;
    while (code == BW_OK && bw_quality_stream_due_ms(stream, meeting->limits.grace_ms) <= now_ms)
        code = close_chunk(meeting, stream, true, err);
    return code;
}

static struct lane *lane_of(struct bw_quality_meeting *meeting, uint32_t slot)
{
    struct lane *lane;
    HASH_FIND(hh, meeting->lanes, &slot, sizeof slot, lane);
    return lane;
}

static struct lane *lane_create(struct bw_quality_meeting *meeting, uint32_t slot)
{
    struct lane *lane = bw_calloc(1, sizeof *lane);
    if (lane == NULL)
        return NULL;
    lane->slot = slot;
    HASH_ADD(hh, meeting->lanes, slot, sizeof lane->slot, lane);
    if (lane->hh.tbl == NULL) {
        bw_free(lane);
        return NULL;
    }
    meeting->bytes += sizeof *lane;
    return lane;
}

/* NULL in *out: there are too many. */
static enum bw_code stream_create(struct bw_quality_meeting *meeting, const struct bw_quality_stream_key *key,
                                  enum bw_quality_media media, struct bw_quality_stream **out,
                                  struct bw_error *err)
{
    struct lane *lane = lane_of(meeting, key->slot);
    *out = NULL;
    if (HASH_COUNT(meeting->streams) >= meeting->limits.streams ||
        (lane != NULL && lane->streams >= meeting->limits.streams_per_slot) ||
        meeting->bytes + sizeof(struct bw_quality_stream) + sizeof *lane > meeting->limits.bytes)
        return BW_OK;
    struct bw_quality_stream *stream = bw_calloc(1, sizeof *stream);
    if (stream == NULL)
        return bw_fail_memory(err);
    stream->key = *key;
    stream->media = media;
    bw_quality_stream_init(stream, meeting->limits.first_seq);
    HASH_ADD(hh, meeting->streams, key, sizeof stream->key, stream);
    if (stream->hh.tbl == NULL) {
        bw_free(stream);
        return bw_fail_memory(err);
    }
    if (lane == NULL)
        lane = lane_create(meeting, key->slot);
    if (lane == NULL) {
        HASH_DEL(meeting->streams, stream);
        bw_free(stream);
        return bw_fail_memory(err);
    }
    lane->streams++;
    meeting->bytes += sizeof *stream;
    *out = stream;
    return BW_OK;
}

static void summarise(struct bw_quality_meeting *meeting, struct lane *lane,
                      const struct bw_quality_window *window, const struct bw_quality_judgement *judgement)
{
    struct bw_quality_summary *s = &meeting->summary;
    int64_t end_ms = window->start_ms + window->length_ms;
    uint32_t judged = lane->time.judged, poor = lane->time.poor;
    if (s->windows == 0 || window->start_ms < s->from_ms)
        s->from_ms = window->start_ms;
    if (s->windows == 0 || end_ms > s->to_ms)
        s->to_ms = end_ms;
    s->windows++;
    s->judged_windows += judgement->class != BW_QUALITY_GREY;
    s->poor_windows += judgement->class == BW_QUALITY_RED;
    if (judgement->reason != BW_QUALITY_NO_METRIC)
        s->reasons[judgement->class == BW_QUALITY_RED][judgement->reason]++;
    bw_quality_lane_add(&lane->time, window, judgement->class);
    s->judged_ms += (uint64_t)(lane->time.judged - judged) * BW_QUALITY_CELL_MS;
    s->poor_ms += (uint64_t)(lane->time.poor - poor) * BW_QUALITY_CELL_MS;
}

/* A window that has been kept: nothing here can fail. */
static void count_window(struct bw_quality_meeting *meeting, struct bw_quality_stream *stream,
                         const struct bw_quality_window *window, bool newest)
{
    struct bw_quality_judgement judgement = bw_quality_judge(window, stream->media);
    enum bw_quality_class before = bw_quality_steady_class(&stream->steady);
    bw_quality_totals_add(&stream->totals, window);
    summarise(meeting, lane_of(meeting, stream->key.slot), window, &judgement);
    if (meeting->sink.judged != NULL)
        meeting->sink.judged(meeting->sink.context, &stream->key, window, &judgement);
    if (!newest) {
        meeting->counts.out_of_order++;
        return;
    }
    bool changed = bw_quality_steady_add(&stream->steady, window, &judgement);
    enum bw_quality_class shown = bw_quality_steady_class(&stream->steady);
    meeting->summary.worst_class = bw_quality_worse(meeting->summary.worst_class, shown);
    if (changed && meeting->sink.changed != NULL) {
        struct bw_quality_change change = {.key = stream->key,
                                           .at_ms = window->start_ms + window->length_ms,
                                           .from = before,
                                           .to = shown,
                                           .reason = stream->steady.reason};
        meeting->sink.changed(meeting->sink.context, &change);
    }
}

static enum bw_code fated(struct bw_quality_meeting *meeting, enum bw_quality_fate fate,
                          enum bw_quality_fate *out)
{
    meeting->counts.fates[fate]++;
    *out = fate;
    return BW_OK;
}

static enum bw_code add_to(struct bw_quality_meeting *meeting, struct bw_quality_stream *stream,
                           const struct bw_quality_window *window, int64_t now_ms, enum bw_quality_fate *fate,
                           struct bw_error *err)
{
    enum bw_code code = close_due(meeting, stream, now_ms, err);
    if (code != BW_OK)
        return code;
    if (window->start_ms < stream->closed_to_ms)
        return fated(meeting, BW_QUALITY_LATE, fate);
    if (bw_quality_stream_holds(stream, window->start_ms))
        return fated(meeting, BW_QUALITY_DOUBLED, fate);
    if (stream->count == BW_QUALITY_CHUNK_WINDOWS) {
        code = close_chunk(meeting, stream, false, err);
        if (code != BW_OK)
            return code;
        if (window->start_ms < stream->closed_to_ms)
            return fated(meeting, BW_QUALITY_LATE, fate);
    }
    size_t growth = bw_quality_stream_growth(stream, window) * sizeof *stream->words;
    if (meeting->bytes + growth > meeting->limits.bytes)
        return fated(meeting, BW_QUALITY_CROWDED, fate);
    bool newest = window->start_ms > stream->newest_ms;
    code = bw_quality_stream_keep(stream, window, now_ms, err);
    if (code != BW_OK)
        return code;
    meeting->bytes += growth;
    int64_t due_ms = bw_quality_stream_due_ms(stream, meeting->limits.grace_ms);
    if (due_ms < meeting->due_ms)
        meeting->due_ms = due_ms;
    count_window(meeting, stream, window, newest);
    return fated(meeting, BW_QUALITY_TAKEN, fate);
}

enum bw_code bw_quality_meeting_add(struct bw_quality_meeting *meeting,
                                    const struct bw_quality_stream_key *key, enum bw_quality_media media,
                                    const struct bw_quality_window *window, int64_t now_ms,
                                    enum bw_quality_fate *fate, struct bw_quality_finding *finding,
                                    struct bw_error *err)
{
    struct bw_quality_finding found = {0};
    if ((unsigned)key->source > BW_QUALITY_FROM_CLIENT || (unsigned)media > BW_QUALITY_MEDIA_SCREEN)
        return bw_fail(err, BW_INVALID_ARGUMENT, NULL, "there is no such source or media");
    if (bw_quality_check(window, key->source, &found) != BW_QUALITY_POSSIBLE) {
        meeting->counts.faults[found.fault]++;
        if (finding != NULL)
            *finding = found;
        return fated(meeting, BW_QUALITY_IMPOSSIBLE, fate);
    }
    int64_t end_ms = window->start_ms + window->length_ms;
    if (end_ms > now_ms + meeting->limits.ahead_most_ms)
        return fated(meeting, BW_QUALITY_AHEAD, fate);
    if (end_ms < now_ms - meeting->limits.age_most_ms)
        return fated(meeting, BW_QUALITY_LATE, fate);
    struct bw_quality_stream *stream;
    HASH_FIND(hh, meeting->streams, key, sizeof *key, stream);
    if (stream == NULL) {
        enum bw_code code = stream_create(meeting, key, media, &stream, err);
        if (code != BW_OK)
            return code;
        if (stream == NULL)
            return fated(meeting, BW_QUALITY_CROWDED, fate);
    }
    return add_to(meeting, stream, window, now_ms, fate, err);
}

enum bw_code bw_quality_meeting_tick(struct bw_quality_meeting *meeting, int64_t now_ms, struct bw_error *err)
{
    struct bw_quality_stream *stream, *next;
    int64_t due_ms = INT64_MAX;
    if (now_ms < meeting->due_ms)
        return BW_OK;
    HASH_ITER(hh, meeting->streams, stream, next)
    {
        enum bw_code code = close_due(meeting, stream, now_ms, err);
        if (code != BW_OK)
            return code;
        int64_t due = bw_quality_stream_due_ms(stream, meeting->limits.grace_ms);
        if (due < due_ms)
            due_ms = due;
    }
    meeting->due_ms = due_ms;
    return BW_OK;
}

enum bw_code bw_quality_meeting_close(struct bw_quality_meeting *meeting, struct bw_error *err)
{
    struct bw_quality_stream *stream, *next;
    HASH_ITER(hh, meeting->streams, stream, next)
    {
        while (stream->count > 0) {
            enum bw_code code = close_chunk(meeting, stream, false, err);
            if (code != BW_OK)
                return code;
        }
    }
    meeting->due_ms = INT64_MAX;
    return BW_OK;
}

/* The open windows of one stream, in as many chunks as they would make. */
static enum bw_code peek_stream(const struct bw_quality_stream *stream,
                                enum bw_code (*each)(void *context, const struct bw_quality_closed *open,
                                                     struct bw_error *err),
                                void *context, struct bw_error *err)
{
    struct bw_quality_chunk chunk;
    struct bw_buf bytes = {0};
    size_t open;
    enum bw_code code = bw_quality_stream_chunk(stream, &chunk, &open, &bytes, err);
    uint64_t seq = stream->seq;
    while (code == BW_OK) {
        struct bw_quality_closed closed = closed_of(stream, &chunk, bw_buf_view(&bytes));
        closed.seq = seq++;
        code = each(context, &closed, err);
        open -= chunk.count;
        if (code != BW_OK || open == 0)
            break;
        memmove(chunk.windows, chunk.windows + chunk.count, open * sizeof chunk.windows[0]);
        size_t n = 1;
        while (n < open && chunk.windows[n].start_ms - chunk.windows[0].start_ms < BW_QUALITY_CHUNK_SPAN_MS)
            n++;
        chunk.count = n;
        bw_buf_clear(&bytes);
        code = bw_quality_chunk_encode(&chunk, &bytes, err);
    }
    bw_buf_finish(&bytes);
    return code;
}

enum bw_code bw_quality_meeting_peek(const struct bw_quality_meeting *meeting, uint32_t slot,
                                     enum bw_code (*each)(void *context, const struct bw_quality_closed *open,
                                                          struct bw_error *err),
                                     void *context, struct bw_error *err)
{
    struct bw_quality_stream *stream, *next;
    HASH_ITER(hh, meeting->streams, stream, next)
    {
        if (stream->count == 0 || (slot != 0 && stream->key.slot != slot))
            continue;
        enum bw_code code = peek_stream(stream, each, context, err);
        if (code != BW_OK)
            return code;
    }
    return BW_OK;
}

void bw_quality_meeting_summary(const struct bw_quality_meeting *meeting, struct bw_quality_summary *out)
{
    struct bw_quality_stream *stream, *next;
    *out = meeting->summary;
    out->participants = HASH_COUNT(meeting->lanes);
    out->reason = bw_quality_summary_reason(out);
    out->poor_minutes = bw_quality_summary_minutes(out);
    HASH_ITER(hh, meeting->streams, stream, next)
    {
        enum bw_quality_verdict verdict = bw_quality_verdict(&stream->totals, NULL);
        out->teams_good += verdict == BW_QUALITY_GOOD;
        out->teams_poor += verdict == BW_QUALITY_POOR;
    }
}

const struct bw_quality_counts *bw_quality_meeting_counts(const struct bw_quality_meeting *meeting)
{
    return &meeting->counts;
}

int64_t bw_quality_meeting_due_ms(const struct bw_quality_meeting *meeting)
{
    return meeting->due_ms;
}

size_t bw_quality_meeting_bytes(const struct bw_quality_meeting *meeting)
{
    return meeting->bytes;
}
