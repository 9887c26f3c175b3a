/* From documents to a constraint set: the merge law at work.
 *
 * For the levels of a chain, Allow is the intersection, Deny the union, Eligible = Allow \ Deny;
 * certifications add up; encryption modes are sets and intersect; of waits and retentions the shorter counts.
 * A relay with an unknown fact that some clause asks for is ineligible. The signalling cell is judged by the
 * same lists (but not by sites: a site is where a relay stands); if it fails, nothing is eligible.
 *
 * Threads: pure. Memory: the set owns an arena of its own and copies what it needs; documents and the chain
 * may go afterwards. */
#ifndef BW_POLICY_COMPILE_H
#define BW_POLICY_COMPILE_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "policy/chain.h"
#include "policy/constraint.h"
#include "policy/document.h"
#include "policy/facts.h"

struct bw_compile_input {
    const struct bw_policy_doc *tenant;
    const struct bw_policy_doc *meeting; /* the meeting's own document, or NULL */
    struct bw_policy_subject subject;
    enum bw_policy_role role;
    struct bw_facts *facts; /* the set takes a reference of its own */
    /* The signalling cell. NULL: the first cell the policy names that the facts know; facts without any cell
     * then leave signalling unjudged (fleet files for tests). A cell the facts do not know fails. */
    const char *cell;
    uint64_t now_ms;
};

/* FAILED_PRECONDITION (POLICY_CONTRADICTION) when the levels leave no encryption mode or no cipher suite, or
 * require a connector that another level forbids; RESOURCE_EXHAUSTED. *constraints is the caller's reference.
 */
BW_MUST_USE enum bw_code bw_policy_compile(const struct bw_compile_input *input,
                                           struct bw_constraints **constraints, struct bw_error *err);

/* The meeting as it stands, seen from its door. */
struct bw_door {
    const struct bw_constraints *meeting;
    uint32_t mode;        /* BW_MODE_SET_E2EE or BW_MODE_SET_HOP: what it is in */
    bool with_connectors; /* some connector is admitted as an endpoint (e2ee+connectors) */
};

/* May somebody with these rules of their own (role MEMBER or GUEST, compiled over the same facts and cell)
 * enter? The meeting's eligible set, mode and cell must lie inside theirs. true, or false with *clause (may
 * be NULL), the joiner's clause that the meeting does not satisfy. The reason is always PARTICIPANT_POLICY.
 */
bool bw_policy_check_joiner(const struct bw_door *door, const struct bw_constraints *joiner,
                            struct bw_clause *clause);

#endif
