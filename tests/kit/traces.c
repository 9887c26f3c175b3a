#include "traces.h"

#include <math.h>

uint64_t trace_random(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

double trace_uniform(uint64_t *state)
{
    return (double)(trace_random(state) >> 11) / 9007199254740992.0;
}

double trace_normal(uint64_t *state)
{
    double sum = 0;
    for (int i = 0; i < 12; i++)
        sum += trace_uniform(state);
    return sum - 6;
}

struct trace trace_of(uint64_t seed, enum bw_quality_source source, enum bw_quality_media media,
                      int64_t start_ms)
{
    struct trace t = {.random = seed, .source = source, .media = media, .next_ms = start_ms};
    t.base_rtt_us = 12000 + 90000 * trace_uniform(&t.random);
    t.rtt_us = t.base_rtt_us;
    t.jitter_us = 2000 + 6000 * trace_uniform(&t.random);
    t.rate = media == BW_QUALITY_MEDIA_AUDIO ? 50 : 90 + 160 * trace_uniform(&t.random);
    t.buffer_us = 45000 + 30000 * trace_uniform(&t.random);
    t.bitrate = 1500 + 2500 * trace_uniform(&t.random);
    return t;
}

static int64_t at_least(double value, double least)
{
    return llround(value < least ? least : value);
}

/* A level that wanders and is drawn back to where it belongs. */
static double wander(struct trace *t, double level, double home, double step)
{
    return level + 0.2 * (home - level) + step * trace_normal(&t->random);
}

static int64_t packets_lost(struct trace *t, int64_t packets)
{
    double u = trace_uniform(&t->random);
    t->bursting = t->bursting ? u < 0.6 : u < 0.03;
    double share = t->bursting ? 0.08 * trace_uniform(&t->random) : 0;
    if (!t->bursting && trace_uniform(&t->random) < 0.1)
        share = 0.002;
    return llround(share * (double)packets);
}

static void add_client(struct trace *t, struct bw_quality_window *w, int64_t lost)
{
    bool video = t->media != BW_QUALITY_MEDIA_AUDIO;
    t->buffer_us = wander(t, t->buffer_us, 60000, 2500);
    bw_quality_put(w, BW_QUALITY_FRACTION_LOST, trace_uniform(&t->random) < 0.9 ? 0 : 3906);
    bw_quality_put(w, BW_QUALITY_JITTER_BUFFER_DELAY, at_least(t->buffer_us, 5000));
    bw_quality_put(w, BW_QUALITY_CANDIDATE_TYPE, BW_QUALITY_CANDIDATE_SRFLX);
    bw_quality_put(w, BW_QUALITY_PROTOCOL, BW_QUALITY_PROTOCOL_UDP);
    if (!video) {
        int64_t total = 480000 + (int64_t)(trace_random(&t->random) % 960);
        bw_quality_put(w, BW_QUALITY_TOTAL_SAMPLES_RECEIVED, total);
        bw_quality_put(w, BW_QUALITY_CONCEALED_SAMPLES, lost * 960);
        return;
    }
    bool frozen = lost > 40 && trace_uniform(&t->random) < 0.5;
    t->bitrate = wander(t, t->bitrate, 2500, 120);
    bw_quality_put(w, BW_QUALITY_FRAMES_PER_SECOND, at_least(29600 + 250 * trace_normal(&t->random), 1000));
    bw_quality_put(w, BW_QUALITY_FREEZE_COUNT, frozen);
    bw_quality_put(w, BW_QUALITY_TOTAL_FREEZES_DURATION, frozen ? 400 : 0);
    bw_quality_put(w, BW_QUALITY_NACK_COUNT, lost * 2 / 3);
    bw_quality_put(w, BW_QUALITY_PLI_COUNT, frozen);
    bw_quality_put(w, BW_QUALITY_QUALITY_LIMITATION_REASON, BW_QUALITY_LIMITED_NONE);
    bw_quality_put(w, BW_QUALITY_AVAILABLE_OUTGOING_BITRATE, at_least(t->bitrate, 100));
}

struct bw_quality_window trace_next(struct trace *t)
{
    struct bw_quality_window w = bw_quality_window_of(t->next_ms, BW_QUALITY_WINDOW_USUAL_MS);
    bool audio = t->media == BW_QUALITY_MEDIA_AUDIO;
    t->rtt_us = wander(t, t->rtt_us, t->base_rtt_us, 900);
    t->jitter_us = wander(t, t->jitter_us, 4500, 450);
    if (!audio)
        t->rate = wander(t, t->rate, 170, 8);
    int64_t packets = at_least(t->rate * 10 + (audio ? 0.7 : 12) * trace_normal(&t->random), 0);
    int64_t lost = packets_lost(t, packets);
    double size = audio ? 92 : 1010;
    bw_quality_put(&w, BW_QUALITY_PACKETS_RECEIVED, packets - lost);
    bw_quality_put(&w, BW_QUALITY_PACKETS_LOST, lost);
    bw_quality_put(&w, BW_QUALITY_JITTER, at_least(t->jitter_us, 200));
    bw_quality_put(&w, BW_QUALITY_ROUND_TRIP_TIME, at_least(t->rtt_us, 1000));
    bw_quality_put(&w, BW_QUALITY_BYTES_RECEIVED,
                   at_least((double)(packets - lost) * size * (1 + 0.02 * trace_normal(&t->random)), 0));
    if (t->source == BW_QUALITY_FROM_CLIENT)
        add_client(t, &w, lost);
    t->next_ms += BW_QUALITY_WINDOW_USUAL_MS;
    return w;
}
