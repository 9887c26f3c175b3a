#include "policy/constraint.h"

#include <stdatomic.h>
#include <string.h>

#include "base/arena.h"
#include "policy/compile.h"
#include "policy/compile_internal.h"

struct bw_constraints *bw_constraints_retain(struct bw_constraints *constraints)
{
    atomic_fetch_add_explicit(&constraints->references, 1, memory_order_relaxed);
    return constraints;
}

void bw_constraints_release(struct bw_constraints *constraints)
{
    if (constraints == NULL ||
        atomic_fetch_sub_explicit(&constraints->references, 1, memory_order_acq_rel) != 1)
        return;
    bw_facts_release(constraints->facts);
    bw_arena_destroy(constraints->arena);
}

const struct bw_cut *bw_constraints_decisive(const struct bw_constraints *constraints, size_t node,
                                             enum bw_reason reason)
{
    for (size_t i = 0; i < constraints->cut_count; i++)
        if (constraints->cuts[i].reason == reason && bw_bitset_test(&constraints->cuts[i].nodes, node))
            return &constraints->cuts[i];
    return NULL;
}

static bool give(const struct bw_clause *from, struct bw_clause *clause)
{
    if (from->line == 0)
        return false;
    *clause = *from;
    return true;
}

bool bw_constraints_mode_clause(const struct bw_constraints *constraints, uint32_t excluded_mode,
                                struct bw_clause *clause)
{
    const struct bw_stated *stated = constraints->stated;
    return give(excluded_mode == BW_MODE_SET_E2EE ? &stated->no_e2ee : &stated->no_hop, clause);
}

bool bw_constraints_connector_clause(const struct bw_constraints *constraints, enum bw_connector connector,
                                     struct bw_clause *clause)
{
    return give(&constraints->stated->no_connector[connector], clause);
}

bool bw_constraints_required_clause(const struct bw_constraints *constraints, enum bw_connector connector,
                                    struct bw_clause *clause)
{
    return give(&constraints->stated->required[connector], clause);
}

uint32_t bw_constraints_connector(const struct bw_constraints *constraints, enum bw_connector connector,
                                  size_t relay)
{
    uint32_t reasons = 0;
    if (!(constraints->connectors & BW_CONNECTOR_BIT(connector)))
        reasons |= BW_REASON_BIT(BW_REASON_CONNECTOR_FORBIDDEN);
    if (!bw_bitset_test(&constraints->facts->offers[connector], relay))
        reasons |= BW_REASON_BIT(BW_REASON_ACCESS);
    for (size_t i = 0; i < constraints->connector_cut_count; i++)
        if (bw_bitset_test(&constraints->connector_cuts[i].nodes, relay))
            reasons |= BW_REASON_BIT(constraints->connector_cuts[i].reason);
    return reasons;
}

static bool refuse(struct bw_clause *clause, const struct bw_clause *from)
{
    if (clause != NULL)
        *clause = *from;
    return false;
}

bool bw_policy_check_joiner(const struct bw_door *door, const struct bw_constraints *joiner,
                            struct bw_clause *clause)
{
    const struct bw_stated *stated = joiner->stated;
    static const struct bw_clause unstated = {.level = BW_LEVEL_PLATFORM};
    if (door->meeting->facts != joiner->facts)
        return refuse(clause, &unstated);
    /* The first clause of theirs that removes a relay the meeting may use. The signalling cell's failure is a
     * cut of every relay, so it is found here too, even for a meeting that has no eligible relay left. */
    for (size_t i = 0; i < joiner->cut_count; i++) {
        const struct bw_cut *cut = &joiner->cuts[i];
        if (cut->reason == BW_REASON_SIGNALLING)
            return refuse(clause, &cut->clause);
        for (size_t w = 0; w < bw_bitset_words(&cut->nodes); w++)
            if (cut->nodes.words[w] & door->meeting->eligible.words[w])
                return refuse(clause, &cut->clause);
    }
    if (!joiner->signalling_ok)
        return refuse(clause, &unstated);
    if (!(joiner->modes & door->mode))
        return refuse(clause, door->mode == BW_MODE_SET_E2EE ? &stated->no_e2ee : &stated->no_hop);
    /* With e2ee required of them, an endpoint that is a connector reads what only endpoints should. */
    if (door->with_connectors && joiner->modes == BW_MODE_SET_E2EE && !joiner->connectors_as_endpoints)
        return refuse(clause, stated->no_endpoints.line != 0 ? &stated->no_endpoints : &stated->no_hop);
    return true;
}
