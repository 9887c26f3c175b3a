/* A tenant's policy revision as owners hold it, and how a meeting's and a joiner's constraint sets come from
 * it. Policy sets are immutable, counted and swapped whole. Threads: any may read and count; compiling is the
 * caller's. */
#ifndef BW_CONTROL_POLICIES_H
#define BW_CONTROL_POLICIES_H

#include <stddef.h>
#include <stdint.h>

#include "base/id.h"
#include "base/status.h"
#include "control/meeting.h"
#include "control/op.h"
#include "policy/compile.h"
#include "policy/document.h"
#include "policy/retention.h"

struct bw_policy_set {
    _Atomic unsigned references;
    struct bw_arena *arena;
    struct bw_id tenant;
    const char *name; /* of the tenant */
    uint32_t revision;
    const struct bw_policy_doc *doc; /* NULL: the revision is in force, and could not be read */
};

/* From the stored text of a revision. What was published once must load again: an error here means that the
 * program no longer understands the revision, and the tenant's meetings are then refused, never let through.
 */
BW_MUST_USE enum bw_code bw_policy_set_create(const struct bw_id *tenant, const char *name, uint32_t revision,
                                              struct bw_view yaml, struct bw_policy_set **set,
                                              struct bw_error *err);
/* In place of a revision that could not be read: nothing is allowed under it, and people can leave. NULL when
 * memory is out. */
struct bw_policy_set *bw_policy_set_create_unread(const struct bw_id *tenant, const char *name,
                                                  uint32_t revision);
struct bw_policy_set *bw_policy_set_retain(struct bw_policy_set *set);
/* NULL is allowed. */
void bw_policy_set_release(struct bw_policy_set *set);

/* Names of the levels a host matches, as "group:board" and "user:vip", and of the exceptions made for users
 * like it, as "exception:x1", into the arena: membership is settled when a meeting is created, since who the
 * host is is not kept. */
BW_MUST_USE enum bw_code bw_policies_levels(const struct bw_policy_set *set,
                                            const struct bw_op_create *create, uint64_t now_ms,
                                            struct bw_arena *arena, const char *const **levels, size_t *count,
                                            struct bw_error *err);

/* A meeting's own document, checked; *doc is NULL when text is. With `under` (a new meeting) it must not
 * allow what that policy does not: FAILED_PRECONDITION, POLICY_WIDENS_PARENT. Without (a live one, read
 * again) it is clamped by compiling. INVALID_ARGUMENT with the first diagnostic in err. */
BW_MUST_USE enum bw_code bw_policies_override(const struct bw_policy_set *under, const char *text,
                                              struct bw_arena *arena, const struct bw_policy_doc **doc,
                                              struct bw_error *err);

/* The meeting's set: its host's chain, narrowed by its own document. `levels` as made above. */
BW_MUST_USE enum bw_code bw_policies_compile_meeting(const struct bw_policy_set *set,
                                                     const char *const *levels, size_t level_count,
                                                     const struct bw_policy_doc *override_doc,
                                                     struct bw_facts *facts, const char *cell,
                                                     uint64_t now_ms, struct bw_constraints **out,
                                                     struct bw_error *err);

/* How long what the meeting leaves behind is kept under this policy. `levels` as made above (or as a CREATED
 * decision has them); none: the organisation's own. False when memory is out. */
BW_MUST_USE bool bw_policies_retention(const struct bw_policy_set *set, const char *const *levels,
                                       size_t level_count, struct bw_retention *out);

/* Names of a member's own levels, as bw_policies_levels has them. */
struct bw_own_levels {
    const char **names;
    size_t count;
};

/* The joiner's own rules, checked at the door. `own` is the set of the joiner's tenant (the meeting's for a
 * member). BW_OK also when there are none; FAILED_PRECONDITION, PARTICIPANT_POLICY with *clause otherwise.
 * *levels: what a member's rules are, none for a guest; may be NULL. */
BW_MUST_USE enum bw_code bw_policies_door(const struct bw_policy_set *own, const struct bw_op_join *join,
                                          const struct bw_door *door, const char *cell, uint64_t now_ms,
                                          struct bw_arena *arena, struct bw_own_levels *levels,
                                          struct bw_clause *clause, struct bw_error *err);
/* The same for a member who is in, by the levels of then. */
BW_MUST_USE enum bw_code bw_policies_stays(const struct bw_policy_set *own,
                                           const struct bw_own_levels *levels, const struct bw_door *door,
                                           const char *cell, uint64_t now_ms, struct bw_arena *arena,
                                           struct bw_error *err);

/* "policy.yaml:17:26" in the arena; NULL when the clause is the platform's. */
const char *bw_clause_text(const struct bw_clause *clause, struct bw_arena *arena);

#endif
