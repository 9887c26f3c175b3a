/* Placing a whole meeting: which relays, then who goes where. Few candidates are enumerated; many are
 * searched from several starts by adding, dropping and swapping a relay until nothing gains. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "placement/plan_problem.h"

enum { ENUMERATE_RELAYS = 3, STARTS = 3 };

struct search {
    const struct bw_plan_problem *problem;
    size_t cells; /* of one assignment's x */
    struct bw_plan_assignment best, next, trial, spare;
    bool has_best, has_next;
};

static void keep(struct bw_plan_assignment *into, const struct bw_plan_assignment *from, size_t cells)
{
    uint32_t *x = into->x;
    *into = *from;
    into->x = x;
    memcpy(x, from->x, cells * sizeof *x);
}

/* Tries a set; remembers the best and the next best of another set. The result stays in search->trial. */
static void try_set(struct search *search, uint64_t set)
{
    bw_plan_assign(search->problem, set, &search->trial, &search->spare);
    const struct bw_plan_problem *problem = search->problem;
    if (!search->has_best || bw_plan_compare(problem, &search->trial, &search->best) < 0) {
        if (search->has_best && search->best.set != search->trial.set) {
            keep(&search->next, &search->best, search->cells);
            search->has_next = true;
        }
        keep(&search->best, &search->trial, search->cells);
        search->has_best = true;
    } else if (search->trial.set != search->best.set &&
               (!search->has_next || bw_plan_compare(problem, &search->trial, &search->next) < 0)) {
        keep(&search->next, &search->trial, search->cells);
        search->has_next = true;
    }
}

/* All mates of one another. */
static bool is_clique(const struct bw_plan_problem *problem, uint64_t set)
{
    for (uint64_t left = set; left != 0; left &= left - 1)
        if (set & ~problem->mates[__builtin_ctzll(left)])
            return false;
    return true;
}

static size_t size_of(uint64_t set)
{
    return (size_t)__builtin_popcountll(set);
}

/* No assignment to exactly these relays costs less: everyone at their cheapest, links for nothing. */
static int64_t bound(const struct bw_plan_problem *problem, uint64_t set)
{
    int64_t sum = (int64_t)(size_of(set) - 1) * problem->further_relay;
    for (size_t c = 0; c < problem->class_count; c++) {
        int64_t least = INT64_MAX;
        const int64_t *linear = &problem->linear[c * problem->candidate_count];
        for (uint64_t left = set & problem->classes[c].serving; left != 0; left &= left - 1) {
            unsigned m = (unsigned)__builtin_ctzll(left);
            if (linear[m] < least)
                least = linear[m];
        }
        if (least != INT64_MAX)
            sum += least * (int64_t)problem->classes[c].count;
    }
    return sum;
}

/* Nothing but cost is left to gain against this assignment, and the set cannot gain that. */
static bool hopeless(const struct bw_plan_problem *problem, uint64_t set,
                     const struct bw_plan_assignment *against)
{
    return against->unplaced == 0 && against->hot == 0 && against->rank == 0 &&
           bound(problem, set) >= against->cost;
}

/* Every clique of up to `most` relays that holds the forced ones. A set whose relays alone cost more than the
 * best found cannot win, unless somebody is still left out. */
static void enumerate(struct search *search, uint64_t set, unsigned from, size_t most)
{
    const struct bw_plan_problem *problem = search->problem;
    if (set != 0 && !(search->has_next && hopeless(problem, set, &search->next)))
        try_set(search, set);
    if (size_of(set) >= most)
        return;
    for (unsigned m = from; m < problem->candidate_count; m++) {
        uint64_t bit = UINT64_C(1) << m;
        if (!(set & bit) && (set & ~problem->mates[m]) == 0 && (problem->mates[m] & bit))
            enumerate(search, set | bit, m + 1, most);
    }
}

/* Takes a neighbouring set if it is better than the best neighbour so far. */
static void consider(struct search *search, uint64_t set, struct bw_plan_assignment *here, uint64_t *reached)
{
    if (hopeless(search->problem, set, here))
        return;
    try_set(search, set);
    if (bw_plan_compare(search->problem, &search->trial, here) >= 0)
        return;
    keep(here, &search->trial, search->cells);
    *reached = set;
}

/* One step: the best of adding, dropping and swapping one relay. Returns the set reached. */
static uint64_t step(struct search *search, uint64_t set, struct bw_plan_assignment *here)
{
    const struct bw_plan_problem *problem = search->problem;
    uint64_t reached = set;
    for (unsigned m = 0; m < problem->candidate_count; m++) {
        uint64_t bit = UINT64_C(1) << m;
        if (set & bit) {
            if (!(problem->forced & bit) && set != bit)
                consider(search, set & ~bit, here, &reached);
            continue;
        }
        if (size_of(set) < problem->weights->relays_max && is_clique(problem, set | bit))
            consider(search, set | bit, here, &reached);
        for (uint64_t left = set & ~problem->forced; left != 0; left &= left - 1) {
            uint64_t swapped = (set & ~(left & -left)) | bit;
            if (is_clique(problem, swapped))
                consider(search, swapped, here, &reached);
        }
    }
    return reached;
}

static void climb(struct search *search, uint64_t set, struct bw_plan_assignment *here)
{
    bw_plan_assign(search->problem, set, here, &search->spare);
    for (;;) {
        uint64_t reached = step(search, set, here);
        if (reached == set)
            return;
        set = reached;
    }
}

struct start {
    uint64_t set;
    uint64_t unplaced;
    int64_t hot, rank, cost;
    unsigned index;
};

static int by_cost(const void *a, const void *b)
{
    const struct start *x = a, *y = b;
    if (x->unplaced != y->unplaced)
        return x->unplaced < y->unplaced ? -1 : 1;
    if (x->hot != y->hot)
        return x->hot < y->hot ? -1 : 1;
    if (x->rank != y->rank)
        return x->rank < y->rank ? -1 : 1;
    if (x->cost != y->cost)
        return x->cost < y->cost ? -1 : 1;
    return (x->index > y->index) - (x->index < y->index);
}

/* Each class's cheapest relay, added while they may all be linked. */
static uint64_t nearest_each(const struct bw_plan_problem *problem)
{
    uint64_t set = problem->forced;
    for (size_t c = 0; c < problem->class_count; c++) {
        int64_t least = INT64_MAX;
        uint64_t best = 0;
        for (unsigned m = 0; m < problem->candidate_count; m++) {
            uint64_t bit = UINT64_C(1) << m;
            int64_t cost = problem->linear[c * problem->candidate_count + m];
            if ((problem->classes[c].serving & bit) && cost < least && is_clique(problem, set | bit)) {
                least = cost;
                best = bit;
            }
        }
        if (size_of(set | best) <= problem->weights->relays_max)
            set |= best;
    }
    return set;
}

static void search_wide(struct search *search, struct bw_plan_assignment *here)
{
    const struct bw_plan_problem *problem = search->problem;
    struct start starts[BW_PLAN_CANDIDATES_MAX];
    size_t count = 0;
    for (unsigned m = 0; m < problem->candidate_count; m++) {
        uint64_t set = problem->forced | UINT64_C(1) << m;
        if (!is_clique(problem, set) || size_of(set) > problem->weights->relays_max)
            continue;
        try_set(search, set);
        starts[count++] = (struct start){.set = set,
                                         .unplaced = search->trial.unplaced,
                                         .hot = search->trial.hot,
                                         .rank = search->trial.rank,
                                         .cost = search->trial.cost,
                                         .index = m};
    }
    if (count > 1)
        qsort(starts, count, sizeof *starts, by_cost);
    for (size_t i = 0; i < count && i < STARTS; i++)
        climb(search, starts[i].set, here);
    uint64_t near = nearest_each(problem);
    if (near != 0)
        climb(search, near, here);
}

static bool search_init(struct search *search, const struct bw_plan_problem *problem,
                        struct bw_plan_assignment *here, struct bw_arena *arena)
{
    *search = (struct search){.problem = problem, .cells = problem->class_count * problem->candidate_count};
    struct bw_plan_assignment *all[] = {&search->best, &search->next, &search->trial, &search->spare, here};
    for (size_t i = 0; i < BW_ARRAY_LEN(all); i++) {
        all[i]->x = bw_arena_zalloc(arena, search->cells, sizeof *all[i]->x);
        if (all[i]->x == NULL)
            return false;
    }
    return true;
}

static void run(struct search *search, struct bw_plan_assignment *here)
{
    const struct bw_plan_problem *problem = search->problem;
    if (problem->hopeless || problem->candidate_count == 0 || problem->class_count == 0)
        return;
    if (problem->candidate_count > BW_PLAN_ENUMERATE) {
        search_wide(search, here);
        return;
    }
    size_t most =
        ENUMERATE_RELAYS > size_of(problem->forced) + 1 ? ENUMERATE_RELAYS : size_of(problem->forced) + 1;
    if (most > problem->weights->relays_max)
        most = problem->weights->relays_max;
    enumerate(search, problem->forced, 0, most);
    if (search->has_best) {
        uint64_t set = search->best.set | problem->forced;
        climb(search, set, here);
    }
}

static void tally_of(const struct bw_plan_problem *problem, const struct bw_plan_assignment *a,
                     struct bw_tally *tally)
{
    const struct bw_snapshot *snapshot = problem->request->snapshot;
    *tally = (struct bw_tally){.hot = (uint32_t)a->hot, .rank = (uint64_t)a->rank};
    uint64_t held[BW_PLAN_CANDIDATES_MAX] = {0};
    for (unsigned m = 0; m < problem->candidate_count; m++) {
        const struct bw_plan_candidate *candidate = &problem->candidates[m];
        held[m] = candidate->fixed;
        tally->hop_sum_us += candidate->fixed_hops;
        for (size_t c = 0; c < problem->class_count; c++) {
            const struct bw_participant *like = &problem->classes[c].like;
            uint64_t count = a->x[c * problem->candidate_count + m];
            held[m] += count;
            tally->hop_sum_us += count * bw_snapshot_hop_us(snapshot, like->region, candidate->relay);
            if (like->current != BW_NO_RELAY && like->current != candidate->relay)
                tally->moved += count;
        }
        tally->participants += held[m];
        tally->load_sum_ppm += held[m] * candidate->load_ppm;
        tally->relays += held[m] > 0 ? 1 : 0;
        for (unsigned q = 0; q < m; q++)
            tally->link_sum_us += held[m] * held[q] * problem->link_us[m * problem->candidate_count + q];
    }
}

static enum bw_code write_relays(const struct bw_plan_problem *problem, const struct bw_plan_assignment *best,
                                 struct bw_arena *arena, struct bw_plan *plan, struct bw_error *err)
{
    uint64_t set = best->set | problem->forced;
    size_t count = size_of(set), at = 0;
    uint32_t *relays = bw_arena_zalloc(arena, count, sizeof *relays);
    struct bw_leg *legs = bw_arena_zalloc(arena, count * count, sizeof *legs);
    if (relays == NULL || legs == NULL)
        return bw_fail_memory(err);
    /* Candidates ascend by relay, and so do these. */
    for (; set != 0; set &= set - 1)
        relays[at++] = problem->candidates[__builtin_ctzll(set)].relay;
    plan->relays = relays;
    plan->relay_count = count;
    plan->legs = legs;
    for (size_t a = 0; a < count; a++)
        for (size_t b = a + 1; b < count; b++)
            legs[plan->leg_count++] = (struct bw_leg){.a = relays[a], .b = relays[b]};
    return BW_OK;
}

/* Who is left out, and why: what bars each relay, and whether it is room or links that fail. */
static enum bw_code refuse(const struct bw_plan_problem *problem, const struct bw_plan_assignment *best,
                           const struct bw_participant *participant, uint32_t class, struct bw_arena *arena,
                           uint32_t *reasons, struct bw_error *err)
{
    struct bw_decision_trace trace;
    enum bw_code code = bw_filter_trace(problem->request, participant, arena, &trace, err);
    if (code != BW_OK)
        return code;
    *reasons = bw_filter_all_reasons(&trace);
    uint64_t serving = problem->classes[class].serving;
    if (problem->hopeless || (best != NULL && (serving & ~best->set) != 0))
        *reasons |= BW_REASON_BIT(BW_REASON_LEG_FORBIDDEN);
    if (serving != 0 && best != NULL && (serving & best->set) != 0)
        *reasons |= BW_REASON_BIT(BW_REASON_CAPACITY);
    if (*reasons == 0)
        *reasons = BW_REASON_BIT(BW_REASON_CAPACITY);
    return BW_OK;
}

static enum bw_code write_assignments(const struct bw_plan_problem *problem, struct bw_plan_assignment *best,
                                      const struct bw_participant *participants, size_t count,
                                      struct bw_arena *arena, struct bw_refused_participant *refused,
                                      struct bw_plan *plan, struct bw_error *err)
{
    uint32_t *assignments = bw_arena_zalloc(arena, count, sizeof *assignments);
    if (assignments == NULL)
        return bw_fail_memory(err);
    for (size_t i = 0; i < count; i++) {
        assignments[i] = BW_NO_RELAY;
        uint32_t class = problem->class_of[i];
        if (class == UINT32_MAX)
            continue;
        uint32_t *x = best != NULL ? &best->x[class * problem->candidate_count] : NULL;
        for (unsigned m = 0; x != NULL && m < problem->candidate_count; m++) {
            if (x[m] == 0)
                continue;
            x[m]--;
            assignments[i] = problem->candidates[m].relay;
            plan->placed = true;
            break;
        }
        if (assignments[i] != BW_NO_RELAY)
            continue;
        struct bw_refused_participant *out = &refused[plan->refused_count++];
        *out = (struct bw_refused_participant){.participant = (uint32_t)i,
                                               .clause = {.level = BW_LEVEL_PLATFORM}};
        enum bw_code code = refuse(problem, best, &participants[i], class, arena, &out->reasons, err);
        if (code != BW_OK)
            return code;
    }
    plan->assignments = assignments;
    return BW_OK;
}

static int by_participant(const void *a, const void *b)
{
    const struct bw_refused_participant *x = a, *y = b;
    return (x->participant > y->participant) - (x->participant < y->participant);
}

static enum bw_code conclude(struct search *search, const struct bw_participant *participants, size_t count,
                             struct bw_arena *arena, struct bw_refused_participant *refused,
                             struct bw_plan *plan, struct bw_decision_trace *trace, struct bw_error *err)
{
    const struct bw_plan_problem *problem = search->problem;
    struct bw_tally tally;
    if (search->has_best) {
        tally_of(problem, &search->best, &tally);
        if (tally.participants > 0)
            plan->score = bw_score_of(&tally, problem->weights);
        enum bw_code code = write_relays(problem, &search->best, arena, plan, err);
        if (code != BW_OK)
            return code;
    }
    if (trace != NULL) {
        trace->score = plan->score;
        if (search->has_next && search->next.set != 0) {
            tally_of(problem, &search->next, &tally);
            trace->has_runner_up = true;
            trace->runner_up = problem->candidates[__builtin_ctzll(search->next.set)].relay;
            trace->runner_up_score = bw_score_of(&tally, problem->weights);
        }
    }
    enum bw_code code = write_assignments(problem, search->has_best ? &search->best : NULL, participants,
                                          count, arena, refused, plan, err);
    if (plan->refused_count > 1)
        qsort(refused, plan->refused_count, sizeof *refused, by_participant);
    plan->refused = refused;
    return code;
}

enum bw_code bw_place_plan(const struct bw_place_request *request, const struct bw_participant *participants,
                           size_t count, struct bw_arena *arena, struct bw_plan *plan,
                           struct bw_decision_trace *trace, struct bw_error *err)
{
    enum bw_code code = bw_filter_check(request, participants, count, err);
    if (code != BW_OK)
        return code;
    uint32_t *class_of = bw_arena_zalloc(arena, count, sizeof *class_of);
    struct bw_refused_participant *refused = bw_arena_zalloc(arena, count, sizeof *refused);
    if (class_of == NULL || refused == NULL)
        return bw_fail_memory(err);
    struct bw_plan made = {.placed = false};
    for (size_t i = 0; i < count; i++) {
        struct bw_clause clause = {.level = BW_LEVEL_PLATFORM};
        uint32_t reasons = bw_place_door(request, &participants[i], &clause);
        if (reasons == 0)
            continue;
        class_of[i] = UINT32_MAX;
        refused[made.refused_count++] =
            (struct bw_refused_participant){.participant = (uint32_t)i, .reasons = reasons, .clause = clause};
    }
    struct bw_decision_trace traced;
    if (trace != NULL) {
        code = bw_filter_trace(request, NULL, arena, &traced, err);
        if (code != BW_OK)
            return code;
    }
    struct bw_plan_problem problem;
    code = bw_plan_prepare(request, participants, count, class_of, arena, &problem, err);
    if (code != BW_OK)
        return code;
    struct search search;
    struct bw_plan_assignment here;
    if (!search_init(&search, &problem, &here, arena))
        return bw_fail_memory(err);
    run(&search, &here);
    code = conclude(&search, participants, count, arena, refused, &made, trace != NULL ? &traced : NULL, err);
    if (code != BW_OK)
        return code;
    *plan = made;
    if (trace != NULL)
        *trace = traced;
    return BW_OK;
}
