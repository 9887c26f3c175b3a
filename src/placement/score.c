#include "placement/score.h"

const struct bw_weights bw_weights_default = {
    .further_relay_us = 6000,
    .load_us = 10000,
    .moved_us = 30000,
    .bucket_us = 2000,
    .hot_ppm = 800000,
    .burst_limit = 20,
    .relays_max = 8,
    .candidates_per_group = 2,
};

enum { PPM = 1000000 };

/* Sum over pairs, and how many pairs; someone alone makes one pair with a neighbour. */
static uint64_t pairs(const struct bw_tally *tally, uint64_t *sum_us)
{
    uint64_t n = tally->participants;
    if (n < 2) {
        *sum_us = 2 * tally->hop_sum_us;
        return 1;
    }
    *sum_us = (n - 1) * tally->hop_sum_us + tally->link_sum_us;
    return n * (n - 1) / 2;
}

struct bw_score bw_score_of(const struct bw_tally *tally, const struct bw_weights *weights)
{
    uint64_t sum_us, n = tally->participants, count = pairs(tally, &sum_us);
    struct bw_score score = {
        .hot = tally->hot,
        .rank = tally->rank,
        .pair_us = sum_us / count,
        .access_us = tally->hop_sum_us / n,
        .load_us = tally->load_sum_ppm / n * weights->load_us / PPM,
        .relays_us = tally->relays > 1 ? (uint64_t)(tally->relays - 1) * weights->further_relay_us : 0,
        .moved_us = tally->moved * weights->moved_us / n,
    };
    score.total_us = score.pair_us + score.access_us / 2 + score.load_us + score.relays_us + score.moved_us;
    return score;
}

struct bw_cost bw_cost_of(const struct bw_tally *tally, const struct bw_weights *weights)
{
    uint64_t sum_us, n = tally->participants, count = pairs(tally, &sum_us);
    uint64_t ns = sum_us * 1000 / count + tally->hop_sum_us * 500 / n;
    ns += tally->load_sum_ppm / n * weights->load_us / (PPM / 1000);
    ns += tally->moved * weights->moved_us * 1000 / n;
    if (tally->relays > 1)
        ns += (uint64_t)(tally->relays - 1) * weights->further_relay_us * 1000;
    return (struct bw_cost){.hot = tally->hot, .rank = tally->rank, .ns = ns};
}

int bw_cost_compare(const struct bw_cost *a, const struct bw_cost *b)
{
    const uint64_t x[] = {a->unplaced, a->hot, a->rank, a->ns}, y[] = {b->unplaced, b->hot, b->rank, b->ns};
    for (int i = 0; i < 4; i++)
        if (x[i] != y[i])
            return x[i] < y[i] ? -1 : 1;
    return 0;
}
