/* Who goes to which relay of a given set. The cost is linear in each class plus a product of counts for every
 * link; for fixed other classes it is concave in how a class is split, so whole classes are moved, and only
 * room splits them. */
#include <string.h>

#include "base/check.h"
#include "placement/plan_problem.h"

enum { ROUNDS_MAX = 64 };

struct work {
    const struct bw_plan_problem *problem;
    struct bw_plan_assignment *into;
    uint8_t relays[BW_PLAN_CANDIDATES_MAX]; /* members of the set */
    size_t relay_count;
    int64_t held[BW_PLAN_CANDIDATES_MAX]; /* participants on each, those that stay included */
    uint32_t room[BW_PLAN_CANDIDATES_MAX];
};

static size_t at(const struct work *work, size_t class, unsigned candidate)
{
    return class * work->problem->candidate_count + candidate;
}

static int64_t link_us(const struct work *work, unsigned a, unsigned b)
{
    return work->problem->link_us[a * work->problem->candidate_count + b];
}

static bool is_new(const struct bw_plan_problem *problem, size_t class, unsigned candidate)
{
    return problem->classes[class].like.current != problem->candidates[candidate].relay;
}

static int64_t hot_cost(const struct bw_plan_problem *problem, size_t class, unsigned candidate)
{
    return problem->candidates[candidate].hot && is_new(problem, class, candidate) ? 1 : 0;
}

/* Three numbers compared from the first. */
struct delta {
    int64_t hot, rank, cost;
};

static bool less(const struct delta *a, const struct delta *b)
{
    if (a->hot != b->hot)
        return a->hot < b->hot;
    return a->rank != b->rank ? a->rank < b->rank : a->cost < b->cost;
}

static struct delta add_cost(const struct work *work, size_t class, unsigned to, int64_t count)
{
    const struct bw_plan_problem *problem = work->problem;
    struct delta d = {.hot = hot_cost(problem, class, to) * count,
                      .rank = (int64_t)problem->candidates[to].rank * count,
                      .cost = problem->linear[at(work, class, to)] * count};
    for (size_t r = 0; r < work->relay_count; r++)
        d.cost += 2000 * count * work->held[work->relays[r]] * link_us(work, to, work->relays[r]);
    if (work->held[to] == 0)
        d.cost += problem->further_relay;
    return d;
}

static void put(struct work *work, size_t class, unsigned to, int64_t count)
{
    work->into->x[at(work, class, to)] += (uint32_t)count;
    work->held[to] += count;
    work->room[to] -= (uint32_t)count;
}

static void take(struct work *work, size_t class, unsigned from, int64_t count)
{
    work->into->x[at(work, class, from)] -= (uint32_t)count;
    work->held[from] -= count;
    work->room[from] += (uint32_t)count;
}

/* Puts what is left of a class wherever one more costs least; returns how many found no room. */
static uint64_t settle(struct work *work, size_t class, uint32_t left)
{
    const struct bw_plan_problem *problem = work->problem;
    while (left > 0) {
        bool found = false;
        unsigned best = 0;
        struct delta least = {0, 0, 0};
        for (size_t r = 0; r < work->relay_count; r++) {
            unsigned to = work->relays[r];
            if (!(problem->classes[class].serving >> to & 1) || work->room[to] == 0)
                continue;
            struct delta d = add_cost(work, class, to, 1);
            if (found && !less(&d, &least))
                continue;
            least = d;
            best = to;
            found = true;
        }
        if (!found)
            return left;
        uint32_t count = left < work->room[best] ? left : work->room[best];
        put(work, class, best, count);
        left -= count;
    }
    return 0;
}

/* The best single relay for `count` of a class now on `from`; true when it was moved. */
static bool move_class(struct work *work, size_t class, unsigned from)
{
    const struct bw_plan_problem *problem = work->problem;
    int64_t all = work->into->x[at(work, class, from)];
    if (all == 0)
        return false;
    bool found = false;
    unsigned best = 0;
    int64_t best_count = 0;
    struct delta least = {0, 0, 0};
    for (size_t r = 0; r < work->relay_count; r++) {
        unsigned to = work->relays[r];
        if (to == from || !(problem->classes[class].serving >> to & 1) || work->room[to] == 0)
            continue;
        int64_t count = all < (int64_t)work->room[to] ? all : (int64_t)work->room[to];
        struct delta back = {0, 0, 0}, there;
        take(work, class, from, count);
        back = add_cost(work, class, from, count);
        there = add_cost(work, class, to, count);
        put(work, class, from, count);
        struct delta d = {there.hot - back.hot, there.rank - back.rank, there.cost - back.cost};
        if (!less(&d, &least))
            continue;
        least = d;
        best = to;
        best_count = count;
        found = true;
    }
    if (!found)
        return false;
    take(work, class, from, best_count);
    put(work, class, best, best_count);
    return true;
}

/* Two classes change places, one for one: what full relays need where a move alone has no room. */
static bool swap_classes(struct work *work, size_t a, unsigned from_a, size_t b, unsigned from_b)
{
    const struct bw_plan_problem *problem = work->problem;
    int64_t count = work->into->x[at(work, a, from_a)];
    if (work->into->x[at(work, b, from_b)] < count)
        count = work->into->x[at(work, b, from_b)];
    if (count == 0 || !(problem->classes[a].serving >> from_b & 1) ||
        !(problem->classes[b].serving >> from_a & 1))
        return false;
    struct delta d = {.hot = count * (hot_cost(problem, a, from_b) + hot_cost(problem, b, from_a) -
                                      hot_cost(problem, a, from_a) - hot_cost(problem, b, from_b)),
                      .cost = count *
                              (problem->linear[at(work, a, from_b)] + problem->linear[at(work, b, from_a)] -
                               problem->linear[at(work, a, from_a)] - problem->linear[at(work, b, from_b)])};
    if (!less(&d, &(struct delta){0, 0, 0}))
        return false;
    take(work, a, from_a, count);
    take(work, b, from_b, count);
    put(work, a, from_b, count);
    put(work, b, from_a, count);
    return true;
}

static bool any_full(const struct work *work)
{
    for (size_t r = 0; r < work->relay_count; r++)
        if (work->room[work->relays[r]] == 0)
            return true;
    return false;
}

static void improve(struct work *work)
{
    size_t classes = work->problem->class_count;
    bool gained = true;
    for (int round = 0; gained && round < ROUNDS_MAX; round++) {
        gained = false;
        for (size_t c = 0; c < classes; c++)
            for (size_t r = 0; r < work->relay_count; r++)
                gained = move_class(work, c, work->relays[r]) || gained;
        if (gained || !any_full(work))
            continue;
        for (size_t a = 0; a < classes; a++)
            for (size_t b = a + 1; b < classes; b++)
                for (size_t r = 0; r < work->relay_count; r++)
                    for (size_t q = 0; q < work->relay_count; q++)
                        if (r != q)
                            gained = swap_classes(work, a, work->relays[r], b, work->relays[q]) || gained;
    }
}

static void sum_up(struct work *work)
{
    const struct bw_plan_problem *problem = work->problem;
    struct bw_plan_assignment *into = work->into;
    int64_t used = 0;
    into->set = 0;
    into->hot = into->rank = into->cost = 0;
    for (size_t r = 0; r < work->relay_count; r++) {
        unsigned m = work->relays[r];
        if (work->held[m] == 0)
            continue;
        into->set |= UINT64_C(1) << m;
        used++;
        for (size_t q = 0; q < r; q++)
            into->cost +=
                2000 * work->held[m] * work->held[work->relays[q]] * link_us(work, m, work->relays[q]);
        for (size_t c = 0; c < problem->class_count; c++) {
            int64_t count = into->x[at(work, c, m)];
            into->hot += count * hot_cost(problem, c, m);
            into->rank += count * (int64_t)problem->candidates[m].rank;
            into->cost += count * problem->linear[at(work, c, m)];
        }
    }
    if (used > 1)
        into->cost += (used - 1) * problem->further_relay;
}

static void start(struct work *work, const struct bw_plan_problem *problem, uint64_t set,
                  struct bw_plan_assignment *into)
{
    *work = (struct work){.problem = problem, .into = into};
    for (uint64_t left = set; left != 0; left &= left - 1) {
        unsigned m = (unsigned)__builtin_ctzll(left);
        work->relays[work->relay_count++] = (uint8_t)m;
        work->held[m] = problem->candidates[m].fixed;
        work->room[m] = problem->candidates[m].room;
    }
    into->unplaced = 0;
}

/* One after the other, each where it adds least. Those with the fewest relays to choose from first, so that
 * they are not crowded out. */
static void settle_in_turn(struct work *work, uint64_t set)
{
    const struct bw_plan_problem *problem = work->problem;
    for (size_t choice = 0; choice <= work->relay_count; choice++)
        for (size_t c = 0; c < problem->class_count; c++)
            if ((size_t)__builtin_popcountll(problem->classes[c].serving & set) == choice)
                work->into->unplaced += settle(work, c, problem->classes[c].count);
}

/* Everyone at once where their own first hop is cheapest; false when somebody does not fit there. */
static bool settle_nearest(struct work *work)
{
    const struct bw_plan_problem *problem = work->problem;
    for (size_t c = 0; c < problem->class_count; c++) {
        bool found = false;
        unsigned best = 0;
        struct delta least = {0, 0, 0};
        for (size_t r = 0; r < work->relay_count; r++) {
            unsigned to = work->relays[r];
            struct delta d = {.hot = hot_cost(problem, c, to),
                              .rank = problem->candidates[to].rank,
                              .cost = problem->linear[at(work, c, to)]};
            if (!(problem->classes[c].serving >> to & 1) || (found && !less(&d, &least)))
                continue;
            least = d;
            best = to;
            found = true;
        }
        if (!found || work->room[best] < problem->classes[c].count)
            return false;
        put(work, c, best, problem->classes[c].count);
    }
    return true;
}

void bw_plan_assign(const struct bw_plan_problem *problem, uint64_t set, struct bw_plan_assignment *into,
                    struct bw_plan_assignment *spare)
{
    size_t cells = problem->class_count * problem->candidate_count;
    struct work work;
    memset(into->x, 0, cells * sizeof *into->x);
    start(&work, problem, set, into);
    settle_in_turn(&work, set);
    improve(&work);
    sum_up(&work);
    if (work.relay_count < 2 || problem->class_count < 2)
        return;
    /* Starting spread out finds what starting together cannot: two classes that only gain by moving both. */
    memset(spare->x, 0, cells * sizeof *spare->x);
    start(&work, problem, set, spare);
    if (!settle_nearest(&work))
        return;
    improve(&work);
    sum_up(&work);
    if (bw_plan_compare(problem, spare, into) >= 0)
        return;
    struct bw_plan_assignment held = *into;
    *into = *spare;
    *spare = held;
}

static uint64_t weight_of(const struct bw_plan_problem *problem, uint64_t set)
{
    uint64_t sum = 0;
    for (; set != 0; set &= set - 1)
        sum += problem->candidates[__builtin_ctzll(set)].key >> 6;
    return sum;
}

int bw_plan_compare(const struct bw_plan_problem *problem, const struct bw_plan_assignment *a,
                    const struct bw_plan_assignment *b)
{
    if (a->unplaced != b->unplaced)
        return a->unplaced < b->unplaced ? -1 : 1;
    struct delta x = {a->hot, a->rank, a->cost}, y = {b->hot, b->rank, b->cost};
    if (less(&x, &y))
        return -1;
    if (less(&y, &x))
        return 1;
    if (a->set == b->set)
        return 0;
    uint64_t left = weight_of(problem, a->set), right = weight_of(problem, b->set);
    if (left != right)
        return left > right ? -1 : 1;
    return a->set < b->set ? -1 : 1;
}
