/* What the policy of a decision's moment says of every relay, for the events of a timeline: the decisions of
 * a meeting share a few revisions, each of which is fetched and compiled once. Inside this room only.
 * Threads: the worker's. */
#ifndef BW_API_ROUTING_H
#define BW_API_ROUTING_H

#include "api/support.h"
#include "control/policies.h"

enum { BW_ROUTING_REVISIONS = 8 };

struct bw_routing {
    const struct bw_decision *created; /* of the meeting; its levels and its own narrowing */
    struct bw_routing_revision {
        uint32_t revision;
        uint64_t at_ms;                     /* of one of its decisions */
        struct bw_constraints *constraints; /* NULL: cannot be read or understood any more */
        /* Nearest first. */
        Bailiwick__V1__RelayReasons **rejected;
        size_t rejected_count;
    } revisions[BW_ROUTING_REVISIONS];
    size_t count, fetched;
    bool more;              /* revisions that found no room */
    struct bw_arena *arena; /* of the messages */
};

/* One more decision that the answer is to explain. */
void bw_routing_want(struct bw_routing *routing, const struct bw_decision *decision);
/* Fetches and compiles what is wanted; `then` runs when that is done, with memory trouble in
 * call->order.error and the handler's own state in call->state. */
void bw_routing_fetch(struct bw_api_call *call, struct bw_routing *routing, bw_api_handler *then);
/* NULL: nothing can be said of it. */
const struct bw_routing_revision *bw_routing_of(const struct bw_routing *routing,
                                                const struct bw_decision *decision);
void bw_routing_finish(struct bw_routing *routing);

#endif
