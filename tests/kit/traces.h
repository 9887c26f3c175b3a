/* Windows of a media stream as they are in practice: round trip and jitter wander around a level of their
 * own, loss comes in bursts, video changes its rate. Everything follows from the seed. */
#ifndef BW_TESTS_TRACES_H
#define BW_TESTS_TRACES_H

#include "quality/sample.h"

struct trace {
    uint64_t random;
    enum bw_quality_source source;
    enum bw_quality_media media;
    int64_t next_ms;
    double base_rtt_us, rtt_us, jitter_us, rate, buffer_us, bitrate;
    bool bursting;
};

uint64_t trace_random(uint64_t *state);
/* 0 to 1. */
double trace_uniform(uint64_t *state);
/* Mean 0, deviation 1. */
double trace_normal(uint64_t *state);

struct trace trace_of(uint64_t seed, enum bw_quality_source source, enum bw_quality_media media,
                      int64_t start_ms);
/* The next ten seconds. Always possible. */
struct bw_quality_window trace_next(struct trace *trace);

#endif
