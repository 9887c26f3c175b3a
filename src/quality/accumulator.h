/* One meeting's quality as it comes in: windows of any participant's streams in any order become chunks to
 * seal, changes of class, and a summary.
 *
 * A window is known by its stream and its start: the same start again is dropped as doubled. A stream's open
 * windows are closed into a chunk once five minutes lie between the oldest start and the clock and a further
 * grace has passed for late ones; what comes for that time afterwards is dropped as late. Classes follow the
 * order of arrival: a window older than the newest judged one is stored and counted but moves no class.
 *
 * Memory is bounded by streams, windows a stream and bytes in all. A stream is kept for the meeting's life,
 * since its place in time is what tells late windows from new ones.
 *
 * Threads: one at a time. Owner: create/destroy. Time is an argument: unix ms. */
#ifndef BW_QUALITY_ACCUMULATOR_H
#define BW_QUALITY_ACCUMULATOR_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/id.h"
#include "base/status.h"
#include "quality/classify.h"
#include "quality/sample.h"
#include "quality/summary.h"

struct bw_quality_limits {
    uint32_t streams;          /* of the meeting; 0: 65,536 */
    uint32_t streams_per_slot; /* 0: 64 */
    uint32_t grace_ms;         /* for late windows after a chunk's five minutes; 0: 15,000 */
    uint32_t age_most_ms;      /* a window that ended longer ago is late; 0: 600,000 */
    uint32_t ahead_most_ms;    /* a window may end so far in the future; 0: 30,000 */
    size_t bytes;              /* of open windows and state; 0: 256 MiB */
    uint64_t first_seq;        /* of each stream's chunks: above whatever an earlier process used */
};

struct bw_quality_stream_key {
    uint32_t slot;
    enum bw_quality_source source;
    struct bw_id stream;
};

/* X(NAME, what happened to a window) */
#define BW_QUALITY_FATE_MAP(X)                                                                               \
    X(TAKEN, "taken")                                                                                        \
    X(IMPOSSIBLE, "refused: a value cannot be")                                                              \
    X(DOUBLED, "dropped: this stream already has a window with this start")                                  \
    X(LATE, "dropped: the chunk of its time is closed, or it is too old")                                    \
    X(AHEAD, "refused: it ends in the future")                                                               \
    X(CROWDED, "refused: too many streams, or too much memory in use")

enum bw_quality_fate {
#define X(name, text) BW_QUALITY_##name,
    BW_QUALITY_FATE_MAP(X)
#undef X
        BW_QUALITY_FATES
};

struct bw_quality_counts {
    uint64_t fates[BW_QUALITY_FATES];
    uint64_t faults[BW_QUALITY_FAULTS]; /* of those IMPOSSIBLE */
    uint64_t out_of_order;              /* TAKEN, but older than the newest of its stream */
};

struct bw_quality_closed {
    struct bw_quality_stream_key key;
    enum bw_quality_media media;
    uint64_t seq;           /* first_seq, then one more each */
    int64_t from_ms, to_ms; /* first start, last end */
    uint32_t windows, samples;
    struct bw_view bytes; /* the chunk; valid during the call */
};

struct bw_quality_change {
    struct bw_quality_stream_key key;
    int64_t at_ms; /* end of the window that did it */
    enum bw_quality_class from, to;
    enum bw_quality_metric reason; /* of `to` */
};

/* Where results go. Any may be NULL. None may call back into the meeting. */
struct bw_quality_sink {
    /* A chunk to seal. Anything but BW_OK: it stays open and is offered again. */
    enum bw_code (*chunk)(void *context, const struct bw_quality_closed *closed, struct bw_error *err);
    void (*changed)(void *context, const struct bw_quality_change *change);
    /* Each window taken, judged; for the tenant's hours. */
    void (*judged)(void *context, const struct bw_quality_stream_key *key,
                   const struct bw_quality_window *window, const struct bw_quality_judgement *judgement);
    void *context;
};

struct bw_quality_meeting;

BW_MUST_USE enum bw_code bw_quality_meeting_create(const struct bw_quality_limits *limits,
                                                   const struct bw_quality_sink *sink,
                                                   struct bw_quality_meeting **out, struct bw_error *err);
/* Open windows are gone: close first. NULL is allowed. */
void bw_quality_meeting_destroy(struct bw_quality_meeting *meeting);

/* One window. *fate is always set on BW_OK and says what became of it; every fate is counted. May close a
 * chunk that is full or due, so fails as the sink does; then, and for want of memory, the window was not
 * taken and may be given again. The first window of a stream settles its media. */
BW_MUST_USE enum bw_code
bw_quality_meeting_add(struct bw_quality_meeting *meeting, const struct bw_quality_stream_key *key,
                       enum bw_quality_media media, const struct bw_quality_window *window, int64_t now_ms,
                       enum bw_quality_fate *fate, struct bw_quality_finding *finding, struct bw_error *err);
/* Closes the chunks that are due. Call every few seconds. Stops at the first failure of the sink. */
BW_MUST_USE enum bw_code bw_quality_meeting_tick(struct bw_quality_meeting *meeting, int64_t now_ms,
                                                 struct bw_error *err);
/* Closes all: the meeting has ended, or this process gives it up. May be called again after a failure. */
BW_MUST_USE enum bw_code bw_quality_meeting_close(struct bw_quality_meeting *meeting, struct bw_error *err);

/* Shows the open windows of one slot (0: of all) as chunks with the number they will get if nothing is added,
 * and closes nothing. */
BW_MUST_USE enum bw_code bw_quality_meeting_peek(const struct bw_quality_meeting *meeting, uint32_t slot,
                                                 enum bw_code (*each)(void *context,
                                                                      const struct bw_quality_closed *open,
                                                                      struct bw_error *err),
                                                 void *context, struct bw_error *err);

/* As of now. */
void bw_quality_meeting_summary(const struct bw_quality_meeting *meeting, struct bw_quality_summary *out);
const struct bw_quality_counts *bw_quality_meeting_counts(const struct bw_quality_meeting *meeting);
/* When tick has something to do at the earliest; INT64_MAX: nothing is open. */
int64_t bw_quality_meeting_due_ms(const struct bw_quality_meeting *meeting);
size_t bw_quality_meeting_bytes(const struct bw_quality_meeting *meeting);
/* "DOUBLED": stable, for counters. */
const char *bw_quality_fate_name(enum bw_quality_fate fate);

#endif
