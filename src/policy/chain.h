/* Which levels of a document speak for somebody, in order: organisation, groups, user, meeting. Several
 * groups or user levels may apply; all of them do, and their order has no meaning.
 *
 *   host    whose policy routes the meeting: every group the host is in, whether it applies to meetings
 * hosted or attended (a host attends too), their user levels, then the meeting's own document member  someone
 * of the same tenant who joins: only the groups and user levels that apply when attended; the organisation's
 * level is already the meeting's guest   someone of another tenant: their organisation, and what applies when
 * attended
 *
 * Threads: pure. Memory: the arena given; documents are borrowed. */
#ifndef BW_POLICY_CHAIN_H
#define BW_POLICY_CHAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/status.h"
#include "policy/constraint.h"
#include "policy/document.h"

enum { BW_CHAIN_MAX = 64 };

/* Somebody, as the calling application knows them. Groups named here count besides those whose patterns
 * match; names that the document does not have are ignored. */
struct bw_policy_subject {
    const char *user; /* localpart@domain, NULL: unknown */
    const char *const *groups;
    size_t group_count;
    /* Membership settled earlier (a live meeting's host, who is not kept): exactly the groups named above and
     * the user levels named here apply, and of the exceptions for users those named here; no pattern and no
     * `others` is asked. */
    bool settled;
    const char *const *user_levels;
    size_t user_level_count;
    const char *const *exceptions; /* ids */
    size_t exception_count;
};

enum bw_policy_role { BW_ROLE_HOST, BW_ROLE_MEMBER, BW_ROLE_GUEST };

struct bw_chain_level {
    enum bw_policy_level level;
    const char *name; /* of the group or user level; NULL for the others */
    const struct bw_policy_doc *doc;
    const struct bw_policy_sections *sections;
    /* Exceptions in force for this subject that lift denies of this level; only the organisation has any. */
    const struct bw_policy_exception *const *lifts;
    size_t lift_count;
};

struct bw_policy_chain {
    const struct bw_chain_level *levels;
    size_t count;
    uint64_t valid_until_ms; /* when an exception used here ends; BW_NEVER_MS */
};

/* meeting may be NULL. RESOURCE_EXHAUSTED when the arena is full or more than BW_CHAIN_MAX levels apply. */
BW_MUST_USE enum bw_code bw_policy_chain(const struct bw_policy_doc *tenant,
                                         const struct bw_policy_doc *meeting,
                                         const struct bw_policy_subject *subject, enum bw_policy_role role,
                                         uint64_t now_ms, struct bw_arena *arena,
                                         struct bw_policy_chain *chain, struct bw_error *err);

/* Is this exception for the subject? Whether it has ended is another question. */
bool bw_policy_excepts(const struct bw_policy_doc *tenant, const struct bw_policy_exception *exception,
                       const struct bw_policy_subject *subject);

/* Is the subject in this group (of tenant->groups)? `others` is resolved over all groups of the document. */
bool bw_policy_in_group(const struct bw_policy_doc *tenant, const struct bw_policy_group *group,
                        const struct bw_policy_subject *subject);

#endif
