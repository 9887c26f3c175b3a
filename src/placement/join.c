/* One joiner: stay on a relay the meeting has, or open one more. */
#include "base/check.h"
#include "placement/filter.h"
#include "placement/score.h"

/* The meeting as it is, and what a further relay must be able to link to. */
struct meeting {
    struct bw_tally tally;
    uint32_t relays[BW_MEETING_RELAYS_MAX];
    uint64_t held[BW_MEETING_RELAYS_MAX];
    size_t count;
    bool all_eligible, all_cascading;
};

struct option {
    uint32_t relay;
    bool stays;
    uint32_t hop_us;
    uint64_t hot, rank, bucket;
    uint64_t key;
    struct bw_tally tally;
};

static void look_at_meeting(const struct bw_place_request *request, struct meeting *meeting)
{
    const struct bw_snapshot *snapshot = request->snapshot;
    *meeting = (struct meeting){.all_eligible = true, .all_cascading = true};
    for (size_t i = 0; i < request->open_count; i++) {
        const struct bw_open_relay *open = &request->open[i];
        if (open->participants == 0)
            continue;
        for (size_t j = 0; j < meeting->count; j++)
            meeting->tally.link_sum_us += (uint64_t)open->participants * meeting->held[j] *
                                          bw_snapshot_link_us(snapshot, open->relay, meeting->relays[j]);
        meeting->relays[meeting->count] = open->relay;
        meeting->held[meeting->count++] = open->participants;
        meeting->tally.participants += open->participants;
        meeting->tally.hop_sum_us += open->hop_sum_us;
        meeting->tally.load_sum_ppm +=
            (uint64_t)open->participants * bw_filter_load_ppm(request, open->relay);
        if (!bw_bitset_test(&request->constraints->eligible, open->relay))
            meeting->all_eligible = false;
        if (!bw_bitset_test(&snapshot->cascading, open->relay))
            meeting->all_cascading = false;
    }
    meeting->tally.relays = (uint32_t)meeting->count;
}

static bool is_open(const struct meeting *meeting, uint32_t relay)
{
    for (size_t i = 0; i < meeting->count; i++)
        if (meeting->relays[i] == relay)
            return true;
    return false;
}

/* Takes from the candidates what the meeting's links rule out. */
static void keep_linkable(const struct bw_place_request *request, const struct meeting *meeting,
                          struct bw_bitset *candidates)
{
    const struct bw_snapshot *snapshot = request->snapshot;
    if (meeting->count == 0)
        return;
    if (!meeting->all_eligible) {
        bw_bitset_zero(candidates);
        return;
    }
    uint32_t only = meeting->relays[0];
    bool only_stays = meeting->count == 1 && bw_bitset_test(candidates, only);
    for (size_t i = 0; i < meeting->count; i++)
        bw_bitset_and(candidates, &snapshot->links[meeting->relays[i]]);
    if (meeting->all_cascading)
        bw_bitset_and(candidates, &snapshot->cascading);
    else
        bw_bitset_zero(candidates);
    if (only_stays)
        bw_bitset_set(candidates, only);
}

static void weigh(const struct bw_place_request *request, const struct bw_participant *joiner,
                  const struct meeting *meeting, uint32_t relay, bool stays, struct option *option)
{
    const struct bw_weights *weights = bw_filter_weights(request);
    uint32_t load = bw_filter_load_ppm(request, relay);
    uint32_t hop = bw_snapshot_hop_us(request->snapshot, joiner->region, relay);
    struct bw_tally tally = meeting->tally;
    for (size_t i = 0; i < meeting->count; i++)
        if (meeting->relays[i] != relay)
            tally.link_sum_us +=
                meeting->held[i] * bw_snapshot_link_us(request->snapshot, relay, meeting->relays[i]);
    tally.participants++;
    tally.hop_sum_us += hop;
    tally.load_sum_ppm += load;
    tally.relays += stays ? 0 : 1;
    tally.hot = load >= weights->hot_ppm ? 1 : 0;
    tally.rank = request->constraints->prefer_rank[relay];
    struct bw_cost cost = bw_cost_of(&tally, weights);
    uint64_t bucket_ns = (uint64_t)weights->bucket_us * 1000;
    *option =
        (struct option){.relay = relay,
                        .stays = stays,
                        .hop_us = hop,
                        .hot = cost.hot,
                        .rank = cost.rank,
                        .bucket = bucket_ns > 0 ? cost.ns / bucket_ns : cost.ns,
                        .key = bw_place_rendezvous(&request->meeting, request->snapshot->relay_key[relay]),
                        .tally = tally};
}

/* Relays come in the order of their names, so an equal one later loses. */
static bool better(const struct option *a, const struct option *b)
{
    if (a->hot != b->hot)
        return a->hot < b->hot;
    if (a->rank != b->rank)
        return a->rank < b->rank;
    if (a->bucket != b->bucket)
        return a->bucket < b->bucket;
    if (a->stays != b->stays)
        return a->stays;
    return a->key > b->key;
}

/* The best and the next best of those that will do; returns how many will. */
static uint32_t choose(const struct bw_place_request *request, const struct bw_participant *joiner,
                       const struct meeting *meeting, const struct bw_bitset *candidates,
                       struct option best[2])
{
    uint32_t found = 0;
    bool may_open = meeting->count < bw_filter_weights(request)->relays_max;
    for (size_t r = bw_bitset_next(candidates, 0); r < request->snapshot->relay_count;
         r = bw_bitset_next(candidates, r + 1)) {
        uint32_t relay = (uint32_t)r;
        bool stays = is_open(meeting, relay);
        if ((!stays && !may_open) || bw_filter_room(request, relay) == 0)
            continue;
        struct option option;
        weigh(request, joiner, meeting, relay, stays, &option);
        if (found == 0 || better(&option, &best[0])) {
            best[1] = best[0];
            best[0] = option;
        } else if (found == 1 || better(&option, &best[1])) {
            best[1] = option;
        }
        found++;
    }
    return found;
}

/* What stands in the way when nothing was found: one relay's reasons are not the participant's. */
static uint32_t refusal(const struct bw_place_request *request, const struct bw_participant *joiner,
                        struct bw_arena *arena, const struct bw_decision_trace *trace, struct bw_error *err,
                        enum bw_code *code)
{
    struct bw_decision_trace own;
    if (trace == NULL) {
        *code = bw_filter_trace(request, joiner, arena, &own, err);
        if (*code != BW_OK)
            return 0;
        trace = &own;
    }
    uint32_t all = bw_filter_all_reasons(trace);
    /* Every relay would do on its own, but the meeting may not open another one; or there is no relay at all.
     */
    return all != 0 ? all : BW_REASON_BIT(BW_REASON_CAPACITY);
}

enum bw_code bw_place_join(const struct bw_place_request *request, const struct bw_participant *joiner,
                           struct bw_arena *arena, struct bw_join *join, struct bw_decision_trace *trace,
                           struct bw_error *err)
{
    enum bw_code code = bw_filter_check(request, joiner, 1, err);
    if (code != BW_OK)
        return code;
    struct bw_decision_trace made;
    if (trace != NULL) {
        code = bw_filter_trace(request, joiner, arena, &made, err);
        if (code != BW_OK)
            return code;
    }
    struct bw_join answer = {
        .relay = BW_NO_RELAY, .runner_up = BW_NO_RELAY, .clause = {.level = BW_LEVEL_PLATFORM}};
    answer.refused = bw_place_door(request, joiner, &answer.clause);
    if (answer.refused == 0) {
        struct bw_bitset candidates;
        if (!bw_bitset_init(&candidates, arena, request->snapshot->facts->node_count))
            return bw_fail_memory(err);
        struct meeting meeting;
        look_at_meeting(request, &meeting);
        bw_filter_candidates(request, joiner, &candidates);
        keep_linkable(request, &meeting, &candidates);
        struct option best[2];
        uint32_t found = choose(request, joiner, &meeting, &candidates, best);
        if (found > 0) {
            answer.placed = true;
            answer.relay = best[0].relay;
            answer.opens = !best[0].stays;
            answer.hop_us = best[0].hop_us;
            answer.allowed = found;
            answer.runner_up = found > 1 ? best[1].relay : BW_NO_RELAY;
            answer.score = bw_score_of(&best[0].tally, bw_filter_weights(request));
        } else {
            answer.refused = refusal(request, joiner, arena, trace != NULL ? &made : NULL, err, &code);
            if (code != BW_OK)
                return code;
        }
        if (trace != NULL && found > 0)
            made.score = answer.score;
        if (trace != NULL && found > 1) {
            made.has_runner_up = true;
            made.runner_up = best[1].relay;
            made.runner_up_score = bw_score_of(&best[1].tally, bw_filter_weights(request));
        }
    }
    if (trace != NULL)
        *trace = made;
    *join = answer;
    return BW_OK;
}
