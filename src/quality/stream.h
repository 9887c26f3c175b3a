/* One stream of a meeting: its open windows, packed, and what is remembered of those that were closed. Used
 * by the accumulator alone.
 *
 * A window is kept as 32-bit words: start less the origin, length and state, the mask of fields, then the
 * values that are there: 32 bytes for a relay's window of five values.
 *
 * Threads: one at a time. */
#ifndef BW_QUALITY_STREAM_H
#define BW_QUALITY_STREAM_H

#include "base/hash.h"
#include "quality/accumulator.h"
#include "quality/chunk.h"
#include "quality/verdict.h"

enum { BW_QUALITY_CHUNK_LEAST_MS = 60000 }; /* a chunk stays open for at least so long */

struct bw_quality_stream {
    struct bw_quality_stream_key key;
    enum bw_quality_media media;
    struct bw_quality_steady steady;
    struct bw_quality_totals totals;
    uint64_t seq;         /* of the chunk that is open */
    int64_t closed_to_ms; /* windows that start before are late */
    int64_t newest_ms;    /* greatest start so far */
    int64_t origin_ms;    /* starts are kept relative to it; set with the first open window */
    int64_t oldest_ms;    /* least start of the open windows */
    int64_t opened_ms;    /* when the first of them came in */
    uint32_t *words;
    uint32_t used, room, count; /* words, words, windows */
    UT_hash_handle hh;
};

/* key and media are set, the rest is zero. */
void bw_quality_stream_init(struct bw_quality_stream *stream, uint64_t first_seq);
void bw_quality_stream_finish(struct bw_quality_stream *stream);

bool bw_quality_stream_holds(const struct bw_quality_stream *stream, int64_t start_ms);
/* Words that an add may take beyond what is there. */
uint32_t bw_quality_stream_growth(const struct bw_quality_stream *stream,
                                  const struct bw_quality_window *window);
/* Fewer than BW_QUALITY_CHUNK_WINDOWS are open; the window is possible and new. Fails for want of memory. */
BW_MUST_USE enum bw_code bw_quality_stream_keep(struct bw_quality_stream *stream,
                                                const struct bw_quality_window *window, int64_t now_ms,
                                                struct bw_error *err);
/* When the open windows are to be closed; INT64_MAX: there are none. */
int64_t bw_quality_stream_due_ms(const struct bw_quality_stream *stream, uint32_t grace_ms);

/* The oldest open windows that fit into one chunk, in order of time, as the chunk and encoded behind what is
 * in `bytes`. All open windows stand in chunk->windows, those beyond chunk->count for a later one; returned
 * is how many there are in all in *open. At least one is open. */
BW_MUST_USE enum bw_code bw_quality_stream_chunk(const struct bw_quality_stream *stream,
                                                 struct bw_quality_chunk *chunk, size_t *open,
                                                 struct bw_buf *bytes, struct bw_error *err);
/* That chunk is safe: its windows are forgotten. `whole`: its five minutes are over, not only these windows.
 */
void bw_quality_stream_closed(struct bw_quality_stream *stream, const struct bw_quality_chunk *chunk,
                              size_t open, bool whole);

#endif
