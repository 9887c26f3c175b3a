/* One window of one media stream: what a relay measured on the outer header, or what a client's webrtc-stats
 * said, over ten seconds as a rule. A sample is one value of one field in one window; most fields are
 * optional, and an absent field is not a zero.
 *
 * Values are those of the window alone, never running totals. They are kept as int64_t as they came in, so
 * that what is negative or not a number is still there to be named: nothing of a window may be used before
 * bw_quality_check has passed it. An impossible window is refused and counted, never averaged.
 *
 * Threads: pure. Owner: plain values. */
#ifndef BW_QUALITY_SAMPLE_H
#define BW_QUALITY_SAMPLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* X(NAME, webrtc-stats identifier, unit, who may report it (R relay, C client), least, most, most per ms of
 * the window (0: no such limit), ours for one of the unit that webrtc-stats uses). Numbers are durable
 * (chunks name fields by them): new fields go at the end. */
#define BW_QUALITY_FIELD_MAP(X)                                                                              \
    X(PACKETS_RECEIVED, "packetsReceived", "packets", RC, 0, 100000000, 100, 1)                              \
    X(PACKETS_LOST, "packetsLost", "packets", RC, 0, 100000000, 100, 1)                                      \
    X(JITTER, "jitter", "us", RC, 0, 10000000, 0, 1e6)                                                       \
    X(ROUND_TRIP_TIME, "roundTripTime", "us", RC, 0, 60000000, 0, 1e6)                                       \
    X(BYTES_RECEIVED, "bytesReceived", "bytes", RC, 0, 4000000000, 1250000, 1)                               \
    X(FRACTION_LOST, "fractionLost", "ppm", C, 0, 1000000, 0, 1e6)                                           \
    X(CONCEALED_SAMPLES, "concealedSamples", "samples", C, 0, 100000000, 220, 1)                             \
    X(TOTAL_SAMPLES_RECEIVED, "totalSamplesReceived", "samples", C, 0, 100000000, 220, 1)                    \
    X(JITTER_BUFFER_DELAY, "jitterBufferDelay", "us", C, 0, 60000000, 0, 1e6)                                \
    X(FRAMES_PER_SECOND, "framesPerSecond", "1/1000 fps", C, 0, 1000000, 0, 1e3)                             \
    X(FREEZE_COUNT, "freezeCount", "freezes", C, 0, 60000, 1, 1)                                             \
    X(TOTAL_FREEZES_DURATION, "totalFreezesDuration", "ms", C, 0, 60000, 1, 1e3)                             \
    X(NACK_COUNT, "nackCount", "messages", C, 0, 100000000, 100, 1)                                          \
    X(PLI_COUNT, "pliCount", "messages", C, 0, 100000, 1, 1)                                                 \
    X(QUALITY_LIMITATION_REASON, "qualityLimitationReason", "enum", C, 0, 3, 0, 1)                           \
    X(AVAILABLE_OUTGOING_BITRATE, "availableOutgoingBitrate", "kbit/s", C, 0, 100000000, 0, 1e-3)            \
    X(CANDIDATE_TYPE, "candidateType", "enum", C, 0, 3, 0, 1)                                                \
    X(PROTOCOL, "protocol", "enum", C, 0, 1, 0, 1)

enum bw_quality_field {
#define X(name, text, unit, sources, least, most, rate, scale) BW_QUALITY_##name,
    BW_QUALITY_FIELD_MAP(X)
#undef X
        BW_QUALITY_FIELDS
};

/* Values of the fields whose unit is "enum"; order is durable. */
enum bw_quality_limitation {
    BW_QUALITY_LIMITED_NONE,
    BW_QUALITY_LIMITED_CPU,
    BW_QUALITY_LIMITED_BANDWIDTH,
    BW_QUALITY_LIMITED_OTHER
};
enum bw_quality_candidate {
    BW_QUALITY_CANDIDATE_HOST,
    BW_QUALITY_CANDIDATE_SRFLX,
    BW_QUALITY_CANDIDATE_PRFLX,
    BW_QUALITY_CANDIDATE_RELAY
};
enum bw_quality_protocol { BW_QUALITY_PROTOCOL_UDP, BW_QUALITY_PROTOCOL_TCP };

/* Who measured. Numbers are durable. */
enum bw_quality_source { BW_QUALITY_FROM_RELAY = 0, BW_QUALITY_FROM_CLIENT = 1 };

/* What the stream carries. A relay sees opaque datagrams and cannot know. Numbers are durable. */
enum bw_quality_media {
    BW_QUALITY_MEDIA_UNKNOWN = 0,
    BW_QUALITY_MEDIA_AUDIO = 1,
    BW_QUALITY_MEDIA_CAMERA = 2,
    BW_QUALITY_MEDIA_SCREEN = 3,
};

/* Bits of `state`. */
enum { BW_QUALITY_MUTED = 1, BW_QUALITY_ICE_FAILED = 2, BW_QUALITY_STATES = 3 };

enum {
    BW_QUALITY_WINDOW_USUAL_MS = 10000,
    BW_QUALITY_WINDOW_LEAST_MS = 1000,
    BW_QUALITY_WINDOW_MOST_MS = 60000,
};
#define BW_QUALITY_TIME_MOST_MS INT64_C(253402300799999) /* the end of year 9999 */

/* What a real number that is not finite becomes, so that the check can name it. */
#define BW_QUALITY_NOT_A_NUMBER INT64_MIN

struct bw_quality_window {
    int64_t start_ms;  /* unix time */
    int64_t length_ms; /* 1,000 to 60,000 */
    uint32_t state;    /* BW_QUALITY_MUTED | BW_QUALITY_ICE_FAILED over most of the window */
    uint32_t present;  /* bit per enum bw_quality_field */
    int64_t values[BW_QUALITY_FIELDS];
};

struct bw_quality_window bw_quality_window_of(int64_t start_ms, int64_t length_ms);
/* In the unit of the table. Whatever is given is kept; the check judges it. */
void bw_quality_put(struct bw_quality_window *window, enum bw_quality_field field, int64_t value);
/* In webrtc-stats' own unit (seconds, a fraction, frames per second, bits per second), rounded to ours. */
void bw_quality_put_real(struct bw_quality_window *window, enum bw_quality_field field, double value);
bool bw_quality_has(const struct bw_quality_window *window, enum bw_quality_field field);

/* X(NAME, what is wrong) */
#define BW_QUALITY_FAULT_MAP(X)                                                                              \
    X(WINDOW_TIME, "the window starts before 1970 or ends after 9999")                                       \
    X(WINDOW_LENGTH, "a window lasts 1 to 60 seconds")                                                       \
    X(UNKNOWN_FIELD, "there is no such field or state")                                                      \
    X(WRONG_SOURCE, "a relay cannot know this")                                                              \
    X(NOT_A_NUMBER, "not a finite number")                                                                   \
    X(NEGATIVE, "less than zero")                                                                            \
    X(TOO_LARGE, "more than the field can be")                                                               \
    X(TOO_MANY, "more than fits into a window of this length")                                               \
    X(LOST_MORE_THAN_POSSIBLE, "received and lost together are more than fits into the window")              \
    X(BYTES_WITHOUT_PACKETS, "more bytes than the packets can hold")                                         \
    X(CONCEALED_MORE_THAN_RECEIVED, "more samples were concealed than received in all")                      \
    X(FREEZE_LONGER_THAN_WINDOW, "frozen for longer than the window lasts")                                  \
    X(EMPTY, "the window holds no value")

enum bw_quality_fault {
    BW_QUALITY_POSSIBLE = 0,
#define X(name, text) BW_QUALITY_FAULT_##name,
    BW_QUALITY_FAULT_MAP(X)
#undef X
        BW_QUALITY_FAULTS
};

/* The first impossible thing of a window. `field` is BW_QUALITY_FIELDS when it is the window itself. */
struct bw_quality_finding {
    enum bw_quality_fault fault;
    enum bw_quality_field field;
    int64_t value;
};

/* BW_QUALITY_POSSIBLE, or what cannot be; *finding (which may be NULL) says where. */
enum bw_quality_fault bw_quality_check(const struct bw_quality_window *window, enum bw_quality_source source,
                                       struct bw_quality_finding *finding);

/* "packetsLost: less than zero (-3)", ended by NUL; cut to `size`. */
void bw_quality_describe(const struct bw_quality_finding *finding, char *text, size_t size);

/* What the table says of a field. */
struct bw_quality_limit {
    const char *name, *unit;
    bool relay; /* relays report it, too */
    int64_t least, most;
    int64_t most_per_ms; /* 0: no such limit */
    double scale;
};
const struct bw_quality_limit *bw_quality_limit_of(enum bw_quality_field field);
/* "packetsReceived"; "window" for BW_QUALITY_FIELDS. */
const char *bw_quality_field_name(enum bw_quality_field field);
/* "LOST_MORE_THAN_POSSIBLE": stable, for counters. */
const char *bw_quality_fault_name(enum bw_quality_fault fault);

#endif
