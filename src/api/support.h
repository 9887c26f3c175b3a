/* What the support calls share. Inside this room only. Threads: the worker's. */
#ifndef BW_API_SUPPORT_H
#define BW_API_SUPPORT_H

#include "api/call.h"
#include "api/encode.h"
#include "bailiwick/v1/support.pb-c.h"
#include "quality/classify.h"

/* Fills who asks for what; the caller adds what is to be opened. */
void bw_api_opening_begin(struct bw_api_call *call, struct bw_api_opening *opening);
/* Has it opened; opening->done follows. */
void bw_api_open(struct bw_api_call *call, struct bw_api_opening *opening);

/* Tier 1 sees nobody but who is theirs, and no small groups. */
bool bw_api_is_tier1(const struct bw_api_call *call);

/* What is missing, in order. An answer has room for them all. */
enum { BW_API_MISSING_MAX = 8 };
struct bw_api_missing {
    Bailiwick__V1__MissingPart *items[BW_API_MISSING_MAX];
    size_t count;
};
/* False: the arena is full. */
bool bw_api_miss(struct bw_api_missing *missing, struct bw_arena *arena, const char *part, const char *reason,
                 const char *format, ...) BW_PRINTF(5, 6);

/* NULL: the arena is full. */
Bailiwick__V1__TimeRange *bw_api_range(uint64_t from_ms, uint64_t to_ms, struct bw_arena *arena);
/* False, and the call has failed: the range is none. */
bool bw_api_check_range(struct bw_api_call *call, const Bailiwick__V1__TimeRange *when);

/* What is kept in clear of a meeting; `last` is its newest decision. NULL: the arena is full. */
Bailiwick__V1__MeetingQuality *bw_api_meeting_quality(struct bw_api_call *call,
                                                      const struct bw_desk_meeting *from,
                                                      const struct bw_decision *last);

/* NOT_FOUND; also when it is another tenant's. */
enum bw_code bw_api_fail_no_meeting(struct bw_error *err);

/* ---- streams as GetStreamSeries numbers them ---- */
/* A client's are one more than its own number; a relay's begin at 2^31: 15 bits of its number and 16 of the
 * peer's it came through. */
uint32_t bw_api_stream_number(const struct bw_id *stream);

#endif
