#include "placement/plan_problem.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

/* Counts against a relay for each participant it may not serve. */
enum { UNSERVED_US = 100000 };

static bool alike(const struct bw_participant *a, const struct bw_participant *b)
{
    return a->region == b->region && a->current == b->current && a->is_connector == b->is_connector &&
           (!a->is_connector || a->connector == b->connector);
}

static enum bw_code sort_into_classes(struct bw_plan_problem *problem,
                                      const struct bw_participant *participants, size_t count,
                                      uint32_t *class_of, struct bw_arena *arena, struct bw_error *err)
{
    struct bw_plan_class *classes = bw_arena_zalloc(arena, count, sizeof *classes);
    if (classes == NULL)
        return bw_fail_memory(err);
    problem->classes = classes;
    for (size_t i = 0; i < count; i++) {
        if (class_of[i] == UINT32_MAX)
            continue;
        size_t c = 0;
        while (c < problem->class_count && !alike(&classes[c].like, &participants[i]))
            c++;
        if (c == problem->class_count)
            classes[problem->class_count++].like = participants[i];
        classes[c].count++;
        class_of[i] = (uint32_t)c;
        problem->participants++;
    }
    return BW_OK;
}

/* What decides whether a relay is kept as a candidate: alike relays compete, the best of each kind stay. */
struct contender {
    uint32_t relay, room, load_ppm, rank, region;
    bool hot, forced, nearest; /* nearest: the best first hop of some class */
    uint64_t kind;             /* hash of region, jurisdictions, cascade, and the classes it may serve */
    uint64_t key;
    uint64_t linear_sum; /* all first hops and load together, were it the only relay */
};

static uint64_t fold(uint64_t hash, uint64_t value)
{
    hash ^= value + UINT64_C(0x9e3779b97f4a7c15) + (hash << 6) + (hash >> 2);
    return hash * UINT64_C(0xff51afd7ed558ccd);
}

static uint64_t jurisdictions_of(const struct bw_facts *facts, uint32_t relay)
{
    uint64_t hash = 0;
    for (size_t i = 0; i < facts->jurisdictions.count; i++)
        if (bw_bitset_test(&facts->jurisdictions.items[i].nodes, relay))
            hash = fold(hash, i + 1);
    return hash;
}

static int by_kind(const void *a, const void *b)
{
    const struct contender *x = a, *y = b;
    if (x->kind != y->kind)
        return x->kind < y->kind ? -1 : 1;
    if (x->forced != y->forced)
        return x->forced ? -1 : 1;
    if (x->hot != y->hot)
        return x->hot ? 1 : -1;
    if (x->rank != y->rank)
        return x->rank < y->rank ? -1 : 1;
    if (x->load_ppm != y->load_ppm)
        return x->load_ppm < y->load_ppm ? -1 : 1;
    if (x->key != y->key)
        return x->key > y->key ? -1 : 1;
    return (x->relay > y->relay) - (x->relay < y->relay);
}

static int by_promise(const void *a, const void *b)
{
    const struct contender *x = a, *y = b;
    if (x->forced != y->forced)
        return x->forced ? -1 : 1;
    if (x->nearest != y->nearest)
        return x->nearest ? -1 : 1;
    if (x->hot != y->hot)
        return x->hot ? 1 : -1;
    if (x->rank != y->rank)
        return x->rank < y->rank ? -1 : 1;
    if (x->linear_sum != y->linear_sum)
        return x->linear_sum < y->linear_sum ? -1 : 1;
    return (x->relay > y->relay) - (x->relay < y->relay);
}

static int by_relay(const void *a, const void *b)
{
    const struct contender *x = a, *y = b;
    return (x->relay > y->relay) - (x->relay < y->relay);
}

static const struct bw_open_relay *open_on(const struct bw_place_request *request, uint32_t relay)
{
    for (size_t i = 0; i < request->open_count; i++)
        if (request->open[i].relay == relay && request->open[i].participants > 0)
            return &request->open[i];
    return NULL;
}

static struct contender contend(const struct bw_plan_problem *problem, const struct bw_bitset *serving,
                                uint32_t relay)
{
    const struct bw_place_request *request = problem->request;
    const struct bw_snapshot *snapshot = request->snapshot;
    struct contender c = {.relay = relay,
                          .room = bw_filter_room(request, relay),
                          .load_ppm = bw_filter_load_ppm(request, relay),
                          .rank = request->constraints->prefer_rank[relay],
                          .region = snapshot->relay_region[relay],
                          .forced = open_on(request, relay) != NULL,
                          .key = bw_place_rendezvous(&request->meeting, snapshot->relay_key[relay])};
    c.hot = c.load_ppm >= problem->weights->hot_ppm;
    c.kind = fold(fold(jurisdictions_of(snapshot->facts, relay), c.region),
                  bw_bitset_test(&snapshot->cascading, relay));
    for (size_t i = 0; i < problem->class_count; i++) {
        uint64_t hop = UNSERVED_US;
        if (bw_bitset_test(&serving[i], relay)) {
            c.kind = fold(c.kind, i);
            hop = bw_snapshot_hop_us(snapshot, problem->classes[i].like.region, relay);
        }
        c.linear_sum += problem->classes[i].count *
                        (2500 * hop + (uint64_t)c.load_ppm * problem->weights->load_us / 1000);
    }
    return c;
}

/* The relay with the best first hop and load for each class, whatever it means for the others. */
static void mark_nearest(const struct bw_plan_problem *problem, const struct bw_bitset *serving,
                         struct contender *items, size_t count)
{
    const struct bw_snapshot *snapshot = problem->request->snapshot;
    for (size_t c = 0; c < problem->class_count; c++) {
        struct contender *best = NULL;
        uint64_t least = UINT64_MAX;
        for (size_t i = 0; i < count; i++) {
            uint64_t ns = UINT64_C(2500) *
                              bw_snapshot_hop_us(snapshot, problem->classes[c].like.region, items[i].relay) +
                          (uint64_t)items[i].load_ppm * problem->weights->load_us / 1000;
            if (!bw_bitset_test(&serving[c], items[i].relay) || ns >= least)
                continue;
            least = ns;
            best = &items[i];
        }
        if (best != NULL)
            best->nearest = true;
    }
}

/* Cuts to what a search can look at: what the meeting sits on, each class's nearest, then the best for all
 * together, until there is room for everyone. */
static size_t keep_promising(const struct bw_plan_problem *problem, const struct bw_bitset *serving,
                             struct contender *items, size_t count)
{
    if (count > BW_PLAN_SEARCH) {
        mark_nearest(problem, serving, items, count);
        qsort(items, count, sizeof *items, by_promise);
        uint64_t room = 0;
        size_t kept = 0;
        while (kept < count && kept < BW_PLAN_CANDIDATES_MAX &&
               (kept < BW_PLAN_SEARCH || items[kept].forced || room < 2 * problem->participants))
            room += items[kept++].room;
        count = kept;
    }
    qsort(items, count, sizeof *items, by_relay);
    return count;
}

/* Best few of each kind; more of them while their room together is too small for everyone. */
static size_t keep_best(const struct bw_plan_problem *problem, const struct bw_bitset *serving,
                        struct contender *items, size_t count)
{
    /* So few can all be tried (by relay already). */
    if (count <= BW_PLAN_ENUMERATE)
        return count;
    qsort(items, count, sizeof *items, by_kind);
    size_t kept = 0, taken = 0;
    uint64_t room = 0;
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || items[i].kind != items[i - 1].kind) {
            taken = 0;
            room = 0;
        }
        bool enough = taken >= problem->weights->candidates_per_group && room >= problem->participants;
        if (!items[i].forced && enough)
            continue;
        /* Moving the kept ones forward never overtakes i. */
        struct contender item = items[i];
        taken++;
        room += item.room;
        items[kept++] = item;
    }
    return keep_promising(problem, serving, items, kept);
}

static enum bw_code choose_candidates(struct bw_plan_problem *problem, struct bw_arena *arena,
                                      struct bw_error *err)
{
    const struct bw_place_request *request = problem->request;
    const struct bw_snapshot *snapshot = request->snapshot;
    struct bw_bitset any;
    struct bw_bitset *serving = bw_arena_zalloc(arena, problem->class_count, sizeof *serving);
    struct contender *items = bw_arena_zalloc(arena, snapshot->relay_count, sizeof *items);
    if (serving == NULL || items == NULL || !bw_bitset_init(&any, arena, snapshot->facts->node_count))
        return bw_fail_memory(err);
    for (size_t i = 0; i < problem->class_count; i++) {
        if (!bw_bitset_init(&serving[i], arena, any.bits))
            return bw_fail_memory(err);
        bw_filter_candidates(request, &problem->classes[i].like, &serving[i]);
        bw_bitset_or(&any, &serving[i]);
    }
    for (size_t i = 0; i < request->open_count; i++)
        if (request->open[i].participants > 0)
            bw_bitset_set(&any, request->open[i].relay);
    size_t count = 0;
    for (size_t r = bw_bitset_next(&any, 0); r < snapshot->relay_count; r = bw_bitset_next(&any, r + 1)) {
        struct contender c = contend(problem, serving, (uint32_t)r);
        if (c.room > 0 || c.forced)
            items[count++] = c;
    }
    count = keep_best(problem, serving, items, count);
    problem->candidates = bw_arena_zalloc(arena, count, sizeof *problem->candidates);
    if (problem->candidates == NULL)
        return bw_fail_memory(err);
    problem->candidate_count = count;
    for (size_t m = 0; m < count; m++) {
        const struct bw_open_relay *open = open_on(request, items[m].relay);
        problem->candidates[m] = (struct bw_plan_candidate){.relay = items[m].relay,
                                                            .room = items[m].room,
                                                            .fixed = open != NULL ? open->participants : 0,
                                                            .fixed_hops = open != NULL ? open->hop_sum_us : 0,
                                                            .load_ppm = items[m].load_ppm,
                                                            .hot = items[m].hot,
                                                            .rank = items[m].rank,
                                                            .key = items[m].key};
        if (open != NULL) {
            problem->forced |= UINT64_C(1) << m;
            problem->participants += open->participants;
        }
        for (size_t c = 0; c < problem->class_count; c++)
            if (bw_bitset_test(&serving[c], items[m].relay))
                problem->classes[c].serving |= UINT64_C(1) << m;
    }
    return BW_OK;
}

static bool build_tables(struct bw_plan_problem *problem, struct bw_arena *arena)
{
    const struct bw_place_request *request = problem->request;
    const struct bw_weights *weights = problem->weights;
    size_t count = problem->candidate_count;
    problem->mates = bw_arena_zalloc(arena, count, sizeof *problem->mates);
    problem->link_us = bw_arena_zalloc(arena, count * count, sizeof *problem->link_us);
    problem->linear = bw_arena_zalloc(arena, count * problem->class_count, sizeof *problem->linear);
    if (problem->mates == NULL || problem->link_us == NULL || problem->linear == NULL)
        return false;
    for (size_t a = 0; a < count; a++) {
        for (size_t b = 0; b < count; b++) {
            uint32_t from = problem->candidates[a].relay, to = problem->candidates[b].relay;
            problem->link_us[a * count + b] = bw_snapshot_link_us(request->snapshot, from, to);
            if (bw_filter_leg(request->snapshot, request->constraints, from, to))
                problem->mates[a] |= UINT64_C(1) << b;
        }
    }
    for (size_t m = 0; m < count; m++)
        if ((problem->forced >> m & 1) && (problem->forced & ~problem->mates[m]) != 0)
            problem->hopeless = true;
    int64_t n = (int64_t)problem->participants, others = n > 1 ? n - 1 : 1;
    problem->further_relay = n * others * (int64_t)weights->further_relay_us * 1000;
    for (size_t c = 0; c < problem->class_count; c++) {
        const struct bw_participant *like = &problem->classes[c].like;
        for (size_t m = 0; m < count; m++) {
            const struct bw_plan_candidate *candidate = &problem->candidates[m];
            int64_t ns =
                2500 * (int64_t)bw_snapshot_hop_us(request->snapshot, like->region, candidate->relay);
            ns += (int64_t)((uint64_t)candidate->load_ppm * weights->load_us / 1000);
            if (like->current != BW_NO_RELAY && like->current != candidate->relay)
                ns += (int64_t)weights->moved_us * 1000;
            problem->linear[c * count + m] = ns * others;
        }
    }
    return true;
}

enum bw_code bw_plan_prepare(const struct bw_place_request *request,
                             const struct bw_participant *participants, size_t count, uint32_t *class_of,
                             struct bw_arena *arena, struct bw_plan_problem *problem, struct bw_error *err)
{
    *problem = (struct bw_plan_problem){
        .request = request, .weights = bw_filter_weights(request), .class_of = class_of};
    enum bw_code code = sort_into_classes(problem, participants, count, class_of, arena, err);
    if (code == BW_OK)
        code = choose_candidates(problem, arena, err);
    if (code == BW_OK && !build_tables(problem, arena))
        code = bw_fail_memory(err);
    return code;
}
