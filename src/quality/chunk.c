#include "quality/chunk.h"

#include <assert.h>
#include <string.h>

#include "quality/column.h"
#include "quality/varint.h"

static_assert((int)BW_QUALITY_CHUNK_WINDOWS == (int)BW_COLUMN_VALUES, "a column holds a chunk's windows");

enum {
    /* A start is at most so far from where the window before ended, either way. */
    GAP_MOST_MS = BW_QUALITY_CHUNK_SPAN_MS + BW_QUALITY_WINDOW_MOST_MS,
    /* At most: 18 fields, two more columns of 3-byte numbers and one of bytes; see the sizes of the forms. */
    COLUMN_MOST = 1 + 5 * BW_COLUMN_VALUES,
};
static_assert(BW_QUALITY_CHUNK_MAX_BYTES >
                  (BW_QUALITY_FIELDS + 3) * COLUMN_MOST + BW_QUALITY_FIELDS * 9 + 3 * BW_VARINT_MAX + 2,
              "the longest chunk fits");

static enum bw_code check_order(const struct bw_quality_chunk *chunk, struct bw_error *err)
{
    if (chunk->count < 1 || chunk->count > BW_QUALITY_CHUNK_WINDOWS)
        return bw_fail(err, BW_INVALID_ARGUMENT, NULL, "a chunk holds 1 to %d windows, not %zu",
                       BW_QUALITY_CHUNK_WINDOWS, chunk->count);
    const struct bw_quality_window *w = chunk->windows;
    for (size_t i = 0; i < chunk->count; i++) {
        struct bw_quality_finding finding;
        if (bw_quality_check(&w[i], chunk->source, &finding) != BW_QUALITY_POSSIBLE) {
            char what[160];
            bw_quality_describe(&finding, what, sizeof what);
            return bw_fail(err, BW_INVALID_ARGUMENT, NULL, "window %zu: %s", i, what);
        }
        if (i > 0 && w[i].start_ms <= w[i - 1].start_ms)
            return bw_fail(err, BW_INVALID_ARGUMENT, NULL, "window %zu is not later than the one before", i);
        if (w[i].start_ms - w[0].start_ms > BW_QUALITY_CHUNK_SPAN_MS)
            return bw_fail(err, BW_INVALID_ARGUMENT, NULL,
                           "window %zu is more than 5 minutes after the first", i);
    }
    return BW_OK;
}

static void write_field(struct bw_writer *w, const struct bw_quality_chunk *chunk,
                        enum bw_quality_field field)
{
    int64_t values[BW_QUALITY_CHUNK_WINDOWS];
    uint64_t where = 0;
    size_t n = 0;
    for (size_t i = 0; i < chunk->count; i++) {
        if (!bw_quality_has(&chunk->windows[i], field))
            continue;
        where |= UINT64_C(1) << i;
        values[n++] = chunk->windows[i].values[field];
    }
    for (size_t byte = 0; n < chunk->count && byte < (chunk->count + 7) / 8; byte++)
        bw_write_u8(w, (uint8_t)(where >> 8 * byte));
    bw_column_write(w, values, n);
}

static void write_chunk(struct bw_writer *w, const struct bw_quality_chunk *chunk)
{
    int64_t lengths[BW_QUALITY_CHUNK_WINDOWS], gaps[BW_QUALITY_CHUNK_WINDOWS],
        states[BW_QUALITY_CHUNK_WINDOWS];
    uint32_t some = 0, all = UINT32_MAX;
    for (size_t i = 0; i < chunk->count; i++) {
        const struct bw_quality_window *window = &chunk->windows[i];
        lengths[i] = window->length_ms;
        states[i] = window->state;
        if (i > 0)
            gaps[i - 1] = (int64_t)bw_zigzag(window->start_ms - (window[-1].start_ms + window[-1].length_ms));
        some |= window->present;
        all &= window->present;
    }
    bw_write_u8(w, BW_QUALITY_CHUNK_VERSION);
    bw_write_u8(w, (uint8_t)(chunk->source << 4 | chunk->media));
    bw_varint_write(w, chunk->count);
    bw_varint_write(w, (uint64_t)chunk->windows[0].start_ms);
    bw_varint_write(w, some);
    bw_varint_write(w, some & ~all);
    bw_column_write(w, lengths, chunk->count);
    if (chunk->count > 1)
        bw_column_write(w, gaps, chunk->count - 1);
    bw_column_write(w, states, chunk->count);
    for (unsigned field = 0; field < BW_QUALITY_FIELDS; field++)
        if (some >> field & 1)
            write_field(w, chunk, field);
}

enum bw_code bw_quality_chunk_encode(const struct bw_quality_chunk *chunk, struct bw_buf *out,
                                     struct bw_error *err)
{
    if ((unsigned)chunk->source > BW_QUALITY_FROM_CLIENT || (unsigned)chunk->media > BW_QUALITY_MEDIA_SCREEN)
        return bw_fail(err, BW_INVALID_ARGUMENT, NULL, "there is no such source or media");
    enum bw_code code = check_order(chunk, err);
    if (code != BW_OK)
        return code;
    uint8_t bytes[BW_QUALITY_CHUNK_MAX_BYTES];
    struct bw_writer w = bw_writer_of(bytes, sizeof bytes);
    write_chunk(&w, chunk);
    if (w.failed || !bw_buf_reserve(out, bw_writer_len(&w)))
        return bw_fail_memory(err);
    bw_buf_append(out, bytes, bw_writer_len(&w));
    return BW_OK;
}

static void read_field(struct bw_reader *r, struct bw_quality_chunk *chunk, enum bw_quality_field field,
                       bool gaps)
{
    int64_t values[BW_QUALITY_CHUNK_WINDOWS];
    uint64_t where = UINT64_MAX >> (64 - chunk->count);
    if (gaps) {
        uint64_t mask = 0;
        for (size_t byte = 0; byte < (chunk->count + 7) / 8; byte++)
            mask |= (uint64_t)bw_read_u8(r) << 8 * byte;
        if (mask == 0 || (mask & ~where) != 0)
            r->failed = true;
        where &= mask;
    }
    if (r->failed)
        return;
    bw_column_read(r, values, (size_t)__builtin_popcountll(where));
    size_t n = 0;
    for (size_t i = 0; i < chunk->count; i++)
        if (where >> i & 1)
            bw_quality_put(&chunk->windows[i], field, values[n++]);
}

static void read_frame(struct bw_reader *r, struct bw_quality_chunk *chunk, int64_t start_ms)
{
    int64_t lengths[BW_QUALITY_CHUNK_WINDOWS], gaps[BW_QUALITY_CHUNK_WINDOWS],
        states[BW_QUALITY_CHUNK_WINDOWS];
    bw_column_read(r, lengths, chunk->count);
    if (chunk->count > 1)
        bw_column_read(r, gaps, chunk->count - 1);
    bw_column_read(r, states, chunk->count);
    for (size_t i = 0; i < chunk->count && !r->failed; i++) {
        if (i > 0) {
            if ((uint64_t)gaps[i - 1] > 2 * (uint64_t)GAP_MOST_MS ||
                lengths[i - 1] > BW_QUALITY_WINDOW_MOST_MS)
                r->failed = true;
            start_ms += lengths[i - 1] + bw_unzigzag((uint64_t)gaps[i - 1]);
        }
        chunk->windows[i] = bw_quality_window_of(start_ms, lengths[i]);
        if (states[i] > BW_QUALITY_STATES)
            r->failed = true;
        chunk->windows[i].state = (uint32_t)states[i];
    }
}

static void read_chunk(struct bw_reader *r, struct bw_quality_chunk *chunk)
{
    if (bw_read_u8(r) != BW_QUALITY_CHUNK_VERSION)
        r->failed = true;
    uint8_t kind = bw_read_u8(r);
    chunk->source = kind >> 4;
    chunk->media = kind & 15;
    chunk->count = bw_varint_read(r, BW_QUALITY_CHUNK_WINDOWS);
    int64_t start_ms = (int64_t)bw_varint_read(r, (uint64_t)BW_QUALITY_TIME_MOST_MS);
    const uint32_t known = (UINT32_C(1) << BW_QUALITY_FIELDS) - 1;
    uint32_t some = (uint32_t)bw_varint_read(r, known);
    uint32_t gaps = (uint32_t)bw_varint_read(r, known);
    if (chunk->source > BW_QUALITY_FROM_CLIENT || chunk->media > BW_QUALITY_MEDIA_SCREEN ||
        chunk->count == 0 || (gaps & ~some) != 0)
        r->failed = true;
    if (r->failed)
        return;
    read_frame(r, chunk, start_ms);
    for (unsigned field = 0; field < BW_QUALITY_FIELDS && !r->failed; field++)
        if (some >> field & 1)
            read_field(r, chunk, field, gaps >> field & 1);
}

enum bw_code bw_quality_chunk_decode(struct bw_view bytes, struct bw_quality_chunk *out, struct bw_error *err)
{
    struct bw_reader r = bw_reader_of(bytes);
    read_chunk(&r, out);
    if (!bw_reader_done(&r))
        return bw_fail(err, BW_DATA_LOSS, NULL, "not a chunk of quality windows");
    enum bw_code code = check_order(out, err);
    if (code != BW_OK) {
        if (err != NULL)
            err->code = BW_DATA_LOSS;
        return BW_DATA_LOSS;
    }
    /* Written again it must be the same: so there are no two encodings of one run, and nothing hides in one.
     */
    uint8_t again[BW_QUALITY_CHUNK_MAX_BYTES];
    struct bw_writer w = bw_writer_of(again, sizeof again);
    write_chunk(&w, out);
    if (w.failed || bw_writer_len(&w) != bytes.len || memcmp(again, bytes.data, bytes.len) != 0)
        return bw_fail(err, BW_DATA_LOSS, NULL, "not the one encoding of a chunk of quality windows");
    return BW_OK;
}

size_t bw_quality_chunk_samples(const struct bw_quality_chunk *chunk)
{
    size_t samples = 0;
    for (size_t i = 0; i < chunk->count; i++)
        samples += (size_t)__builtin_popcount(chunk->windows[i].present);
    return samples;
}
