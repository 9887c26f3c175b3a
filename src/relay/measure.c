#include "relay/measure.h"

static uint64_t expected(const struct bw_measure *m)
{
    return m->started ? m->highest - m->first + 1 : 0;
}

void bw_measure_packet(struct bw_measure *m, uint64_t sequence, uint32_t timestamp_us, uint32_t arrival_us,
                       uint32_t bytes)
{
    uint32_t transit = arrival_us - timestamp_us;
    if (!m->started) {
        /* After a restart `received` counts earlier runs: begin so that nothing is owed for them. */
        m->started = true;
        m->first = sequence - m->received;
        m->highest = sequence;
    } else {
        int32_t d = (int32_t)(transit - m->transit_us);
        uint32_t distance = d < 0 ? 0u - (uint32_t)d : (uint32_t)d;
        m->jitter_x16_us += distance - ((m->jitter_x16_us + 8) >> 4);
    }
    m->transit_us = transit;
    if (sequence > m->highest)
        m->highest = sequence;
    m->received++;
    m->bytes += bytes;
}

void bw_measure_restart(struct bw_measure *m)
{
    m->lost_before = bw_measure_lost(m);
    if (m->started) {
        m->expected_carried += expected(m) - m->expected_prior;
        m->received_carried += m->received - m->received_prior;
    }
    m->started = false;
    m->expected_prior = m->received_prior = m->received;
}

uint64_t bw_measure_lost(const struct bw_measure *m)
{
    uint64_t owed = expected(m);
    return m->lost_before + (owed > m->received ? owed - m->received : 0);
}

uint32_t bw_measure_jitter_us(const struct bw_measure *m)
{
    return m->jitter_x16_us >> 4;
}

struct bw_measure_interval bw_measure_interval(struct bw_measure *m)
{
    uint64_t owed = m->started ? expected(m) : m->expected_prior;
    uint64_t owed_now = owed - m->expected_prior + m->expected_carried;
    uint64_t got_now = m->received - m->received_prior + m->received_carried;
    struct bw_measure_interval interval = {.packets_received = got_now,
                                           .packets_lost = owed_now > got_now ? owed_now - got_now : 0,
                                           .bytes_received = m->bytes - m->bytes_prior,
                                           .jitter_us = bw_measure_jitter_us(m)};
    if (owed_now > 0)
        interval.fraction_lost_ppm = (uint32_t)(interval.packets_lost * 1000000 / owed_now);
    m->expected_prior = owed;
    m->received_prior = m->received;
    m->expected_carried = m->received_carried = 0;
    m->bytes_prior = m->bytes;
    return interval;
}
