/* Windows to the classes that a lane shows. Each stream has a class of its own, which three of five windows
 * move; the lane's is the worst of them. A stream that has ended no longer counts. */
#include <stdlib.h>
#include <string.h>

#include "api/lanes.h"
#include "api/quality.h"

/* A class that a stream showed from a moment on; class 0: nothing any more. */
struct shown {
    struct shown *next;
    int64_t at_ms;
    enum bw_quality_class class;
    enum bw_quality_metric reason;
};

struct bw_lane_stream {
    struct bw_lane_stream *next;
    struct bw_id id;
    enum bw_quality_source source;
    uint32_t relay, peer;
    enum bw_quality_media media;
    enum bw_quality_class worst;
    enum bw_quality_metric worst_reason;
    struct bw_quality_steady steady;
    uint32_t state; /* of the newest window */
    int64_t end_ms; /* likewise */
    int64_t length_ms;
    struct shown *first, **last;
    /* While the lane is put together. */
    const struct shown *at;
};

enum { GAP_WINDOWS = 5 };

static struct bw_lane_stream *stream_of(struct bw_lanes *lanes, struct bw_lane *lane, const struct bw_id *id)
{
    struct bw_lane_stream **at = &lane->streams;
    for (; *at != NULL; at = &(*at)->next) {
        if (bw_id_equal(&(*at)->id, id))
            return *at;
    }
    struct bw_lane_stream *stream = bw_arena_zalloc(lanes->arena, 1, sizeof *stream);
    if (stream == NULL)
        return NULL;
    stream->id = *id;
    stream->last = &stream->first;
    if (!bw_api_stream_parts(id, &stream->source, &stream->relay, &stream->peer))
        stream->source = BW_QUALITY_FROM_RELAY;
    *at = stream;
    lane->stream_count++;
    return stream;
}

static bool show(struct bw_lanes *lanes, struct bw_lane_stream *stream, int64_t at_ms,
                 enum bw_quality_class class, enum bw_quality_metric reason)
{
    struct shown *shown = bw_arena_zalloc(lanes->arena, 1, sizeof *shown);
    if (shown == NULL)
        return false;
    *shown = (struct shown){.at_ms = at_ms, .class = class, .reason = reason};
    *stream->last = shown;
    stream->last = &shown->next;
    if (class != 0 &&
        (stream->worst == 0 || (bw_quality_worse(stream->worst, class) == class && class != stream->worst))) {
        stream->worst = class;
        stream->worst_reason = reason;
    }
    return true;
}

static bool is_path(const struct bw_lane_stream *stream)
{
    return stream->source == BW_QUALITY_FROM_CLIENT && stream->peer == BW_API_PATH_STREAM;
}

/* What the endpoint said of itself: muted or not, and that it is back. */
static bool note_state(struct bw_lanes *lanes, struct bw_lane *lane, struct bw_lane_stream *stream,
                       const struct bw_quality_window *window)
{
    uint32_t before = stream->state, now = window->state;
    stream->state = now;
    if (stream->source != BW_QUALITY_FROM_CLIENT)
        return true;
    if ((before & BW_QUALITY_ICE_FAILED) && !(now & BW_QUALITY_ICE_FAILED) &&
        bw_lanes_event(lanes, lane, BW_LANE_RECONNECTED, window->start_ms) == NULL)
        return false;
    bool sound = !is_path(stream) && stream->media != BW_QUALITY_MEDIA_CAMERA &&
                 stream->media != BW_QUALITY_MEDIA_SCREEN;
    if (!sound || ((before ^ now) & BW_QUALITY_MUTED) == 0)
        return true;
    return bw_lanes_event(lanes, lane, now & BW_QUALITY_MUTED ? BW_LANE_MUTED : BW_LANE_UNMUTED,
                          window->start_ms) != NULL;
}

static bool take_window(struct bw_lanes *lanes, struct bw_lane *lane, struct bw_lane_stream *stream,
                        const struct bw_quality_window *window)
{
    struct bw_quality_judgement judgement = bw_quality_judge(window, stream->media);
    int64_t end_ms = window->start_ms + window->length_ms;
    if (end_ms > lanes->quality_to_ms)
        lanes->quality_to_ms = end_ms;
    bw_quality_lane_add(&lane->cells, window, judgement.class);
    /* A late window moves no class. */
    if (stream->end_ms != 0 && window->start_ms < stream->end_ms - stream->length_ms)
        return true;
    bool first = stream->end_ms == 0;
    bool gap = !first && window->start_ms - stream->end_ms > GAP_WINDOWS * stream->length_ms;
    if (gap && !show(lanes, stream, stream->end_ms, (enum bw_quality_class)0, BW_QUALITY_NO_METRIC))
        return false;
    if (!note_state(lanes, lane, stream, window))
        return false;
    bool changed = bw_quality_steady_add(&stream->steady, window, &judgement);
    stream->end_ms = end_ms;
    stream->length_ms = window->length_ms;
    if (!changed && !first && !gap)
        return true;
    return show(lanes, stream, changed ? end_ms : window->start_ms, bw_quality_steady_class(&stream->steady),
                stream->steady.reason);
}

enum bw_code bw_lanes_chunk(struct bw_lanes *lanes, uint32_t slot, const struct bw_id *id,
                            struct bw_view plain, struct bw_error *err)
{
    struct bw_lane *lane = bw_lanes_find(lanes, slot);
    if (lane == NULL)
        return BW_OK;
    struct bw_quality_chunk chunk;
    enum bw_code code = bw_quality_chunk_decode(plain, &chunk, err);
    if (code != BW_OK)
        return code;
    struct bw_lane_stream *stream = stream_of(lanes, lane, id);
    if (stream == NULL)
        return bw_fail_memory(err);
    stream->media = chunk.media;
    for (size_t i = 0; i < chunk.count; i++) {
        if (!take_window(lanes, lane, stream, &chunk.windows[i]))
            return bw_fail_memory(err);
    }
    return BW_OK;
}

/* ---- the lane ---- */

/* The next moment at which any of the streams shows something else. */
static const struct shown *next_change(struct bw_lane *lane, struct bw_lane_stream **of)
{
    const struct shown *next = NULL;
    for (struct bw_lane_stream *s = lane->streams; s != NULL; s = s->next) {
        const struct shown *mine = s->at != NULL ? s->at->next : s->first;
        if (mine != NULL && (next == NULL || mine->at_ms < next->at_ms)) {
            next = mine;
            *of = s;
        }
    }
    return next;
}

static const struct bw_lane_stream *worst_now(const struct bw_lane *lane)
{
    const struct bw_lane_stream *worst = NULL;
    for (const struct bw_lane_stream *s = lane->streams; s != NULL; s = s->next) {
        if (s->at == NULL || s->at->class == 0)
            continue;
        if (worst == NULL || (s->at->class != worst->at->class &&
                              bw_quality_worse(s->at->class, worst->at->class) == s->at->class))
            worst = s;
    }
    return worst;
}

static bool merge_classes(struct bw_lanes *lanes, struct bw_lane *lane)
{
    enum bw_quality_class class = BW_QUALITY_GREY;
    enum bw_quality_metric reason = BW_QUALITY_NO_METRIC;
    struct bw_lane_stream *of = NULL;
    for (const struct shown *next; (next = next_change(lane, &of)) != NULL;) {
        of->at = next;
        struct bw_lane_stream *other = NULL;
        const struct shown *same = next_change(lane, &other);
        if (same != NULL && same->at_ms == next->at_ms)
            continue; /* first what else changes in this moment */
        const struct bw_lane_stream *ahead = worst_now(lane);
        enum bw_quality_class now = ahead != NULL ? ahead->at->class : BW_QUALITY_GREY;
        enum bw_quality_metric why = ahead != NULL ? ahead->at->reason : BW_QUALITY_NO_METRIC;
        if (now == class && (why == reason || now == BW_QUALITY_GREY || now == BW_QUALITY_GREEN))
            continue;
        struct bw_lane_event *event = bw_lanes_event(lanes, lane, BW_LANE_CLASS_CHANGED, next->at_ms);
        if (event == NULL)
            return false;
        event->class = class = now;
        event->reason = reason = why;
        if (ahead != NULL) {
            event->from_client = ahead->source == BW_QUALITY_FROM_CLIENT;
            event->relay = ahead->relay;
            event->through = event->from_client ? 0 : ahead->peer;
        }
        if (lane->worst == 0 || (now != lane->worst && bw_quality_worse(now, lane->worst) == now)) {
            lane->worst = now;
            lane->reason = why;
        }
    }
    return true;
}

static int by_time(const void *a, const void *b)
{
    const struct bw_lane_event *x = *(const struct bw_lane_event *const *)a,
                               *y = *(const struct bw_lane_event *const *)b;
    if (x->at_ms != y->at_ms)
        return x->at_ms < y->at_ms ? -1 : 1;
    return (int)x->what - (int)y->what;
}

static bool sort_events(struct bw_lanes *lanes, struct bw_lane *lane)
{
    struct bw_lane_event **sorted = bw_arena_zalloc(lanes->arena, lane->event_count + 1, sizeof(void *));
    if (sorted == NULL)
        return false;
    size_t n = 0;
    for (struct bw_lane_event *event = lane->events; event != NULL; event = event->next)
        sorted[n++] = event;
    qsort(sorted, n, sizeof(struct bw_lane_event *), by_time);
    uint32_t relay = 0;
    for (size_t i = 0; i < n; i++) {
        sorted[i]->next = sorted[i + 1];
        if (sorted[i]->what == BW_LANE_JOINED || sorted[i]->what == BW_LANE_RELAY_CHANGED)
            relay = sorted[i]->relay;
        else if (sorted[i]->from_client)
            sorted[i]->relay = relay; /* where the endpoint was */
    }
    lane->events = sorted[0];
    return true;
}

/* A stream shows nothing after its last window, when others of its kind have had some since. */
static bool end_streams(struct bw_lanes *lanes, struct bw_lane *lane)
{
    int64_t newest_ms = 0;
    for (const struct bw_lane_stream *s = lane->streams; s != NULL; s = s->next)
        newest_ms = s->end_ms > newest_ms ? s->end_ms : newest_ms;
    if (!lane->left)
        newest_ms = lanes->quality_to_ms;
    for (struct bw_lane_stream *s = lane->streams; s != NULL; s = s->next) {
        if (s->end_ms + GAP_WINDOWS * s->length_ms < newest_ms && s->first != NULL &&
            !show(lanes, s, s->end_ms, (enum bw_quality_class)0, BW_QUALITY_NO_METRIC))
            return false;
    }
    return true;
}

enum bw_code bw_lanes_finish(struct bw_lanes *lanes, struct bw_error *err)
{
    for (size_t i = 0; i < lanes->count; i++) {
        struct bw_lane *lane = &lanes->lanes[i];
        if (!end_streams(lanes, lane) || !merge_classes(lanes, lane) || !sort_events(lanes, lane))
            return bw_fail_memory(err);
        lane->poor_minutes = (uint32_t)(((uint64_t)lane->cells.poor * BW_QUALITY_CELL_MS + 59999) / 60000);
    }
    return BW_OK;
}

struct bw_lane_stream_view bw_lane_stream_at(const struct bw_lane *lane, size_t index)
{
    const struct bw_lane_stream *s = lane->streams;
    while (index-- > 0)
        s = s->next;
    return (struct bw_lane_stream_view){
        .stream = s->id, .media = s->media, .worst = s->worst, .reason = s->worst_reason};
}
