/* The constraint sets that live meetings are decided under. Most meetings of a tenant have the same levels
 * and no document of their own, so they share one set: compiling takes tens of microseconds and a set is
 * several kilobytes, which for ten thousand meetings would be all that the caches hold. */
#include <string.h>

#include "base/alloc.h"
#include "control/owner_state.h"

enum { KEPT_MAX = 64, OVERRIDE_ARENA_BYTES = 4 << 20 };

/* A set for meetings with these levels. It serves as long as its facts are those in force and it is valid. */
struct kept {
    struct kept *next;
    struct bw_constraints *constraints;
    size_t level_count;
    char *levels[];
};

static void kept_destroy(struct kept *kept)
{
    for (size_t i = 0; i < kept->level_count; i++)
        bw_free(kept->levels[i]);
    bw_constraints_release(kept->constraints);
    bw_free(kept);
}

void kept_forget(struct tenant_policy *policy)
{
    while (policy->kept != NULL) {
        struct kept *kept = policy->kept;
        policy->kept = kept->next;
        kept_destroy(kept);
    }
    policy->kept_count = 0;
}

static bool fits(const struct kept *kept, const char *const *levels, size_t level_count)
{
    if (kept->level_count != level_count)
        return false;
    for (size_t i = 0; i < level_count; i++) {
        if (strcmp(kept->levels[i], levels[i]) != 0)
            return false;
    }
    return true;
}

/* The set for these levels; what is out of date by the way goes. NULL: none is kept. */
static struct bw_constraints *kept_find(struct tenant_policy *policy, const char *const *levels,
                                        size_t level_count, const struct bw_facts *facts, uint64_t now_ms)
{
    for (struct kept **at = &policy->kept; *at != NULL;) {
        struct kept *kept = *at;
        if (kept->constraints->facts != facts || now_ms >= kept->constraints->valid_until_ms) {
            *at = kept->next;
            policy->kept_count--;
            kept_destroy(kept);
        } else if (fits(kept, levels, level_count)) {
            return bw_constraints_retain(kept->constraints);
        } else {
            at = &kept->next;
        }
    }
    return NULL;
}

/* Without memory nothing is kept, and the next meeting compiles for itself. */
static void keep(struct tenant_policy *policy, const char *const *levels, size_t level_count,
                 struct bw_constraints *constraints)
{
    struct kept *kept = bw_calloc(1, sizeof *kept + level_count * sizeof kept->levels[0]);
    if (kept == NULL)
        return;
    kept->constraints = bw_constraints_retain(constraints);
    for (size_t i = 0; i < level_count; i++) {
        kept->levels[i] = bw_strdup(levels[i]);
        if (kept->levels[i] == NULL) {
            kept_destroy(kept);
            return;
        }
        kept->level_count++;
    }
    kept->next = policy->kept;
    policy->kept = kept;
    if (++policy->kept_count <= KEPT_MAX)
        return;
    struct kept **last = &policy->kept;
    while ((*last)->next != NULL)
        last = &(*last)->next;
    kept_destroy(*last);
    *last = NULL;
    policy->kept_count--;
}

static enum bw_code read_override(struct live *live, struct bw_error *err)
{
    struct bw_arena *arena = bw_arena_create(OVERRIDE_ARENA_BYTES);
    if (arena == NULL)
        return bw_fail_memory(err);
    enum bw_code code =
        bw_policies_override(NULL, live->meeting->override_yaml, arena, &live->override_doc, err);
    if (code != BW_OK) {
        bw_arena_destroy(arena);
        return code;
    }
    bw_arena_destroy(live->override_arena);
    live->override_arena = arena;
    return BW_OK;
}

/* Of a meeting with these levels and, unless NULL, a document of its own. */
static enum bw_code constraints_of(struct bw_owner *owner, struct tenant_policy *policy,
                                   const char *const *levels, size_t level_count,
                                   const struct bw_policy_doc *override_doc, uint64_t now_ms,
                                   struct bw_constraints **out, struct bw_error *err)
{
    struct bw_facts *facts = owner->view->snapshot->facts;
    bool shared = override_doc == NULL;
    struct bw_constraints *found = shared ? kept_find(policy, levels, level_count, facts, now_ms) : NULL;
    if (found == NULL) {
        enum bw_code code = bw_policies_compile_meeting(policy->set, levels, level_count, override_doc, facts,
                                                        owner->cell_name, now_ms, &found, err);
        if (code != BW_OK)
            return code;
        if (shared)
            keep(policy, levels, level_count, found);
    }
    *out = found;
    return BW_OK;
}

enum bw_code live_constraints_first(struct bw_owner *owner, struct live *live, struct tenant_policy *policy,
                                    const char *const *levels, size_t level_count, const char *override_yaml,
                                    uint64_t now_ms, struct bw_error *err)
{
    struct bw_arena *arena = NULL;
    const struct bw_policy_doc *doc = NULL;
    enum bw_code code = BW_OK;
    /* Of an earlier try at creating it. */
    bw_constraints_release(live->constraints);
    live->constraints = NULL;
    bw_arena_destroy(live->override_arena);
    live->override_arena = NULL;
    live->override_doc = NULL;
    if (override_yaml != NULL) {
        arena = bw_arena_create(OVERRIDE_ARENA_BYTES);
        code = arena != NULL ? bw_policies_override(policy->set, override_yaml, arena, &doc, err)
                             : bw_fail_memory(err);
    }
    if (code == BW_OK)
        code = constraints_of(owner, policy, levels, level_count, doc, now_ms, &live->constraints, err);
    if (code != BW_OK) {
        bw_arena_destroy(arena);
        return code;
    }
    live->override_arena = arena;
    live->override_doc = doc;
    live->constraints_revision = policy->set->revision;
    return BW_OK;
}

enum bw_code policy_unread(const struct bw_policy_set *set, struct bw_error *err)
{
    return bw_fail(err, BW_FAILED_PRECONDITION, "POLICY_NOT_READ",
                   "revision %u of the tenant's policy is in force and could not be read here; nothing is "
                   "allowed without it",
                   set->revision);
}

enum bw_code live_constraints(struct bw_owner *owner, struct live *live, uint64_t now_ms,
                              struct bw_error *err)
{
    const struct bw_meeting *meeting = live->meeting;
    struct tenant_policy *policy = owner_tenant(owner, &meeting->tenant);
    if (policy == NULL)
        return bw_fail(err, BW_FAILED_PRECONDITION, "NO_POLICY",
                       "the tenant's policy is not loaded here; nothing is allowed without one");
    const struct bw_policy_set *set = policy->set;
    if (set->doc == NULL)
        return policy_unread(set, err);
    struct bw_facts *facts = owner->view->snapshot->facts;
    const struct bw_constraints *have = live->constraints;
    if (have != NULL && live->constraints_revision == set->revision && have->facts == facts &&
        now_ms < have->valid_until_ms)
        return BW_OK;
    if (meeting->override_yaml != NULL && live->override_doc == NULL && read_override(live, err) != BW_OK)
        return err->code;
    struct bw_constraints *fresh = NULL;
    enum bw_code code = constraints_of(owner, policy, (const char *const *)meeting->levels,
                                       meeting->level_count, live->override_doc, now_ms, &fresh, err);
    if (code != BW_OK)
        return code;
    bw_constraints_release(live->constraints);
    live->constraints = fresh;
    live->constraints_revision = set->revision;
    return BW_OK;
}
