#include "quality/stream.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/check.h"

enum { HEAD_WORDS = 3, STATE_SHIFT = 24, FIRST_ROOM = 16 };

void bw_quality_stream_init(struct bw_quality_stream *stream, uint64_t first_seq)
{
    stream->seq = first_seq;
    stream->closed_to_ms = stream->newest_ms = INT64_MIN;
}

void bw_quality_stream_finish(struct bw_quality_stream *stream)
{
    bw_free(stream->words);
    stream->words = NULL;
    stream->used = stream->room = stream->count = 0;
}

static uint32_t words_of(uint32_t present)
{
    return HEAD_WORDS + (uint32_t)__builtin_popcount(present);
}

static int64_t start_at(const struct bw_quality_stream *stream, uint32_t at)
{
    return stream->origin_ms + (int32_t)stream->words[at];
}

bool bw_quality_stream_holds(const struct bw_quality_stream *stream, int64_t start_ms)
{
    for (uint32_t at = 0; at < stream->used; at += words_of(stream->words[at + 2]))
        if (start_at(stream, at) == start_ms)
            return true;
    return false;
}

static uint32_t room_for(const struct bw_quality_stream *stream, uint32_t more)
{
    uint32_t room = stream->room == 0 ? FIRST_ROOM : stream->room;
    while (room < stream->used + more)
        room *= 2;
    return room;
}

uint32_t bw_quality_stream_growth(const struct bw_quality_stream *stream,
                                  const struct bw_quality_window *window)
{
    return room_for(stream, words_of(window->present)) - stream->room;
}

/* There is room. */
static void put(struct bw_quality_stream *stream, const struct bw_quality_window *window)
{
    if (stream->count == 0) {
        stream->origin_ms = stream->oldest_ms = window->start_ms;
    } else if (window->start_ms < stream->oldest_ms) {
        stream->oldest_ms = window->start_ms;
    }
    int64_t offset = window->start_ms - stream->origin_ms;
    BW_CHECK(offset >= INT32_MIN && offset <= INT32_MAX);
    uint32_t *to = stream->words + stream->used;
    *to++ = (uint32_t)(int32_t)offset;
    *to++ = (uint32_t)window->length_ms | window->state << STATE_SHIFT;
    *to++ = window->present;
    for (unsigned field = 0; field < BW_QUALITY_FIELDS; field++)
        if (bw_quality_has(window, field))
            *to++ = (uint32_t)window->values[field]; /* no field's limit is beyond 32 bits */
    stream->used = (uint32_t)(to - stream->words);
    stream->count++;
}

enum bw_code bw_quality_stream_keep(struct bw_quality_stream *stream, const struct bw_quality_window *window,
                                    int64_t now_ms, struct bw_error *err)
{
    uint32_t room = room_for(stream, words_of(window->present));
    if (room > stream->room) {
        uint32_t *words = bw_realloc(stream->words, room * sizeof *words);
        if (words == NULL)
            return bw_fail_memory(err);
        stream->words = words;
        stream->room = room;
    }
    if (stream->count == 0)
        stream->opened_ms = now_ms;
    put(stream, window);
    if (window->start_ms > stream->newest_ms)
        stream->newest_ms = window->start_ms;
    return BW_OK;
}

int64_t bw_quality_stream_due_ms(const struct bw_quality_stream *stream, uint32_t grace_ms)
{
    if (stream->count == 0)
        return INT64_MAX;
    int64_t over = stream->oldest_ms + BW_QUALITY_CHUNK_SPAN_MS;
    int64_t least = stream->opened_ms + BW_QUALITY_CHUNK_LEAST_MS;
    return (over > least ? over : least) + grace_ms;
}

static int by_start(const void *a, const void *b)
{
    const struct bw_quality_window *left = a, *right = b;
    return (left->start_ms > right->start_ms) - (left->start_ms < right->start_ms);
}

static size_t unpack(const struct bw_quality_stream *stream, struct bw_quality_window *windows)
{
    size_t n = 0;
    for (uint32_t at = 0; at < stream->used;) {
        const uint32_t *from = stream->words + at;
        uint32_t length = from[1] & ((UINT32_C(1) << STATE_SHIFT) - 1), present = from[2];
        struct bw_quality_window *window = &windows[n++];
        *window = bw_quality_window_of(start_at(stream, at), length);
        window->state = from[1] >> STATE_SHIFT;
        from += HEAD_WORDS;
        for (unsigned field = 0; field < BW_QUALITY_FIELDS; field++)
            if (present >> field & 1)
                bw_quality_put(window, field, *from++);
        at += words_of(present);
    }
    return n;
}

enum bw_code bw_quality_stream_chunk(const struct bw_quality_stream *stream, struct bw_quality_chunk *chunk,
                                     size_t *open, struct bw_buf *bytes, struct bw_error *err)
{
    BW_CHECK(stream->count > 0 && stream->count <= BW_QUALITY_CHUNK_WINDOWS);
    size_t n = unpack(stream, chunk->windows);
    qsort(chunk->windows, n, sizeof chunk->windows[0], by_start);
    chunk->source = stream->key.source;
    chunk->media = stream->media;
    chunk->count = 0;
    while (chunk->count < n &&
           chunk->windows[chunk->count].start_ms - chunk->windows[0].start_ms < BW_QUALITY_CHUNK_SPAN_MS)
        chunk->count++;
    *open = n;
    return bw_quality_chunk_encode(chunk, bytes, err);
}

void bw_quality_stream_closed(struct bw_quality_stream *stream, const struct bw_quality_chunk *chunk,
                              size_t open, bool whole)
{
    if (whole || open > chunk->count)
        stream->closed_to_ms = chunk->windows[0].start_ms + BW_QUALITY_CHUNK_SPAN_MS;
    else
        stream->closed_to_ms = chunk->windows[chunk->count - 1].start_ms + 1;
    stream->seq++;
    stream->used = stream->count = 0;
    for (size_t i = chunk->count; i < open; i++)
        put(stream, &chunk->windows[i]);
    if (stream->count == 0) {
        /* A stream that has ended holds no memory for windows; one that goes on takes it again. */
        bw_free(stream->words);
        stream->words = NULL;
        stream->room = 0;
    }
}
