/* A meeting to plan, boiled down to small tables: classes of participants that are alike, and the few relays
 * worth considering. Sets of relays are then masks of 64 bits. Inside this room only.
 *
 * Costs are integers: nanoseconds times n (n - 1) for n participants, so that means need no division. */
#ifndef BW_PLACEMENT_PLAN_PROBLEM_H
#define BW_PLACEMENT_PLAN_PROBLEM_H

#include "placement/filter.h"
#include "placement/score.h"

/* Up to BW_PLAN_ENUMERATE candidates, sets of relays are tried one by one instead of searched; a search is
 * among about BW_PLAN_SEARCH (more when room is scarce or the meeting already sits on others), and never more
 * than fit a mask. */
enum { BW_PLAN_CANDIDATES_MAX = 64, BW_PLAN_ENUMERATE = 12, BW_PLAN_SEARCH = 24 };

/* Participants that only differ in their names. */
struct bw_plan_class {
    struct bw_participant like;
    uint32_t count;
    uint64_t serving; /* candidates that may serve them */
};

struct bw_plan_candidate {
    uint32_t relay;
    uint32_t room;       /* for participants to be placed */
    uint32_t fixed;      /* participants that stay here */
    uint64_t fixed_hops; /* sum of their first hops */
    uint32_t load_ppm;
    bool hot;
    uint32_t rank;
    uint64_t key;
};

struct bw_plan_problem {
    const struct bw_place_request *request;
    const struct bw_weights *weights;
    struct bw_plan_class *classes;
    size_t class_count;
    const uint32_t *class_of; /* per participant; UINT32_MAX: refused before planning */
    struct bw_plan_candidate *candidates;
    size_t candidate_count;
    uint64_t forced;       /* candidates the meeting sits on already */
    uint64_t *mates;       /* per candidate: those it may be linked to, itself included */
    uint32_t *link_us;     /* candidate_count² */
    int64_t *linear;       /* class_count × candidate_count: cost of one participant of the class there */
    uint64_t participants; /* n: those to place and those that stay */
    int64_t further_relay; /* cost of one relay more */
    bool hopeless;         /* the meeting sits on relays that must not be linked, or not be used */
};

/* Where each class goes: x[class * candidate_count + candidate] participants. */
struct bw_plan_assignment {
    uint64_t set; /* relays used */
    uint32_t *x;
    uint64_t unplaced;
    int64_t hot, rank, cost;
};

/* class_of must hold UINT32_MAX for the refused already; everybody else gets a class. */
BW_MUST_USE enum bw_code bw_plan_prepare(const struct bw_place_request *request,
                                         const struct bw_participant *participants, size_t count,
                                         uint32_t *class_of, struct bw_arena *arena,
                                         struct bw_plan_problem *problem, struct bw_error *err);

/* Fills `into` with a good assignment to relays of `set`: from two starts, then moved class by class until
 * nothing gains. Relays nobody needs are left out of into->set. `spare` is work space; both have an x of
 * class_count × candidate_count of their own, which may change hands. */
void bw_plan_assign(const struct bw_plan_problem *problem, uint64_t set, struct bw_plan_assignment *into,
                    struct bw_plan_assignment *spare);

/* < 0 when a is better: who is left out, hot, rank, cost, then rendezvous. */
int bw_plan_compare(const struct bw_plan_problem *problem, const struct bw_plan_assignment *a,
                    const struct bw_plan_assignment *b);

#endif
