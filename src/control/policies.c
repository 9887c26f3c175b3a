#include "control/policies.h"

#include <stdatomic.h>
#include <string.h>

#include "base/alloc.h"
#include "policy/validate.h"

enum {
    SET_ARENA_BYTES = 64 << 20,
    OVERRIDE_ARENA_BYTES = 4 << 20,
    EXCEPTIONS_MAX = 128, /* for one host; a decision has room for so many names. Further ones lift nothing */
};

/* What clauses are shown under: tenants know their document, not a path of ours. */
static const char policy_file[] = "policy.yaml", override_file[] = "meeting.yaml";

enum bw_code bw_policy_set_create(const struct bw_id *tenant, const char *name, uint32_t revision,
                                  struct bw_view yaml, struct bw_policy_set **set, struct bw_error *err)
{
    struct bw_arena *arena = bw_arena_create(SET_ARENA_BYTES);
    if (arena == NULL)
        return bw_fail_memory(err);
    struct bw_diags diags;
    bw_diags_init(&diags);
    const struct bw_source source = {.file = policy_file, .text = yaml};
    const struct bw_policy_options options = {.kind = BW_POLICY_TENANT};
    const struct bw_policy_doc *doc = NULL;
    struct bw_policy_set *made = bw_calloc(1, sizeof *made);
    char *kept_name = bw_arena_strdup(arena, name);
    enum bw_code code = made == NULL || kept_name == NULL
                            ? bw_fail_memory(err)
                            : bw_policy_check(&source, &options, arena, &diags, &doc, err);
    bw_diags_finish(&diags);
    if (code != BW_OK) {
        bw_arena_destroy(arena);
        bw_free(made);
        return code;
    }
    atomic_init(&made->references, 1);
    made->arena = arena;
    made->tenant = *tenant;
    made->name = kept_name;
    made->revision = revision;
    made->doc = doc;
    *set = made;
    return BW_OK;
}

struct bw_policy_set *bw_policy_set_create_unread(const struct bw_id *tenant, const char *name,
                                                  uint32_t revision)
{
    struct bw_arena *arena = bw_arena_create(4096);
    struct bw_policy_set *made = bw_calloc(1, sizeof *made);
    const char *kept = arena != NULL ? bw_arena_strdup(arena, name) : NULL;
    if (made == NULL || kept == NULL) {
        bw_arena_destroy(arena);
        bw_free(made);
        return NULL;
    }
    atomic_init(&made->references, 1);
    made->arena = arena;
    made->tenant = *tenant;
    made->name = kept;
    made->revision = revision;
    return made;
}

struct bw_policy_set *bw_policy_set_retain(struct bw_policy_set *set)
{
    atomic_fetch_add_explicit(&set->references, 1, memory_order_relaxed);
    return set;
}

void bw_policy_set_release(struct bw_policy_set *set)
{
    if (set == NULL || atomic_fetch_sub_explicit(&set->references, 1, memory_order_acq_rel) > 1)
        return;
    bw_arena_destroy(set->arena);
    bw_free(set);
}

static const char group_prefix[] = "group:", user_prefix[] = "user:", exception_prefix[] = "exception:";

/* Exceptions for single users whom the host is one of; those that have ended, too, since a later revision may
 * prolong them. */
static bool add_exceptions(const struct bw_policy_doc *doc, const struct bw_policy_subject *subject,
                           struct bw_arena *arena, const char **names, size_t *count)
{
    size_t most = *count + EXCEPTIONS_MAX;
    for (size_t i = 0; i < doc->exceptions.count && *count < most; i++) {
        const struct bw_policy_exception *exception = &doc->exceptions.items[i];
        if (exception->scope.user.at.line == 0 || !bw_policy_excepts(doc, exception, subject))
            continue;
        names[*count] =
            bw_arena_printf(arena, "%s%s", exception_prefix, (const char *)exception->id.text.data);
        if (names[(*count)++] == NULL)
            return false;
    }
    return true;
}

/* The groups and users of a chain by name, with room for `more`. */
static bool level_names(const struct bw_policy_chain *chain, size_t more, struct bw_arena *arena,
                        const char ***out, size_t *count)
{
    const char **names = bw_arena_zalloc(arena, chain->count + more + 1, sizeof *names);
    size_t n = 0;
    for (size_t i = 0; names != NULL && i < chain->count; i++) {
        if (chain->levels[i].level != BW_LEVEL_GROUP && chain->levels[i].level != BW_LEVEL_USER)
            continue;
        names[n] = bw_arena_printf(arena, "%s%s",
                                   chain->levels[i].level == BW_LEVEL_GROUP ? group_prefix : user_prefix,
                                   chain->levels[i].name);
        if (names[n++] == NULL)
            return false;
    }
    *out = names;
    *count = n;
    return names != NULL;
}

enum bw_code bw_policies_levels(const struct bw_policy_set *set, const struct bw_op_create *create,
                                uint64_t now_ms, struct bw_arena *arena, const char *const **levels,
                                size_t *count, struct bw_error *err)
{
    const struct bw_policy_subject subject = {
        .user = create->user, .groups = create->groups, .group_count = create->group_count};
    struct bw_policy_chain chain;
    enum bw_code code = bw_policy_chain(set->doc, NULL, &subject, BW_ROLE_HOST, now_ms, arena, &chain, err);
    if (code != BW_OK)
        return code;
    const char **names = NULL;
    size_t n = 0;
    if (!level_names(&chain, set->doc->exceptions.count, arena, &names, &n))
        return bw_fail_memory(err);
    if (!add_exceptions(set->doc, &subject, arena, names, &n))
        return bw_fail_memory(err);
    *levels = names;
    *count = n;
    return BW_OK;
}

enum bw_code bw_policies_override(const struct bw_policy_set *under, const char *text, struct bw_arena *arena,
                                  const struct bw_policy_doc **doc, struct bw_error *err)
{
    if (text == NULL) {
        *doc = NULL;
        return BW_OK;
    }
    struct bw_diags diags;
    bw_diags_init(&diags);
    const struct bw_source source = {.file = override_file, .text = bw_view_str(text)};
    const struct bw_policy_options options = {.kind = BW_POLICY_MEETING};
    const struct bw_policy_doc *read = NULL;
    enum bw_code code = bw_policy_check(&source, &options, arena, &diags, &read, err);
    if (code == BW_OK && under != NULL) {
        bw_policy_check_meeting(under->doc, read, false, &diags);
        code = bw_diags_status(&diags, err);
        if (code == BW_INVALID_ARGUMENT)
            code = err->code = BW_FAILED_PRECONDITION;
        if (code == BW_FAILED_PRECONDITION)
            err->reason = "POLICY_WIDENS_PARENT";
    }
    bw_diags_finish(&diags);
    if (code == BW_OK)
        *doc = read;
    return code;
}

/* The names with one prefix, without it. */
static const char **names_with(const char *const *levels, size_t count, const char *prefix,
                               struct bw_arena *arena, size_t *found)
{
    const char **names = bw_arena_zalloc(arena, count + 1, sizeof *names);
    *found = 0;
    for (size_t i = 0; names != NULL && i < count; i++) {
        if (strncmp(levels[i], prefix, strlen(prefix)) == 0)
            names[(*found)++] = levels[i] + strlen(prefix);
    }
    return names;
}

enum bw_code bw_policies_compile_meeting(const struct bw_policy_set *set, const char *const *levels,
                                         size_t level_count, const struct bw_policy_doc *override_doc,
                                         struct bw_facts *facts, const char *cell, uint64_t now_ms,
                                         struct bw_constraints **out, struct bw_error *err)
{
    struct bw_arena *scratch = bw_arena_create(OVERRIDE_ARENA_BYTES);
    if (scratch == NULL)
        return bw_fail_memory(err);
    struct bw_compile_input input = {
        .tenant = set->doc,
        .meeting = override_doc,
        .role = BW_ROLE_HOST,
        .facts = facts,
        .cell = cell,
        .now_ms = now_ms,
    };
    size_t groups = 0, users = 0, exceptions = 0;
    input.subject.groups = names_with(levels, level_count, group_prefix, scratch, &groups);
    input.subject.user_levels = names_with(levels, level_count, user_prefix, scratch, &users);
    input.subject.exceptions = names_with(levels, level_count, exception_prefix, scratch, &exceptions);
    input.subject.group_count = groups;
    input.subject.user_level_count = users;
    input.subject.exception_count = exceptions;
    input.subject.settled = true;
    enum bw_code code =
        input.subject.groups == NULL || input.subject.user_levels == NULL || input.subject.exceptions == NULL
            ? bw_fail_memory(err)
            : bw_policy_compile(&input, out, err);
    bw_arena_destroy(scratch);
    return code;
}

bool bw_policies_retention(const struct bw_policy_set *set, const char *const *levels, size_t level_count,
                           struct bw_retention *out)
{
    struct bw_arena *scratch = bw_arena_create(OVERRIDE_ARENA_BYTES);
    if (scratch == NULL)
        return false;
    size_t groups = 0, users = 0;
    const char **group_names = names_with(levels, level_count, group_prefix, scratch, &groups);
    const char **user_names = names_with(levels, level_count, user_prefix, scratch, &users);
    bool ok = group_names != NULL && user_names != NULL;
    if (ok)
        *out = bw_policy_retention_of(set->doc, group_names, groups, user_names, users);
    bw_arena_destroy(scratch);
    return ok;
}

static enum bw_code check_door(const struct bw_compile_input *input, const struct bw_door *door,
                               struct bw_arena *arena, struct bw_clause *clause, struct bw_error *err)
{
    struct bw_constraints *joiner = NULL;
    enum bw_code code = bw_policy_compile(input, &joiner, err);
    if (code != BW_OK)
        return code;
    struct bw_clause found = {0};
    bool enters = bw_policy_check_joiner(door, joiner, &found);
    if (!enters) {
        /* The clause's strings live in the set that goes now. */
        *clause = found;
        clause->file = found.file ? bw_arena_strdup(arena, found.file) : NULL;
        clause->path = found.path ? bw_arena_strdup(arena, found.path) : NULL;
        clause->text = found.text ? bw_arena_strdup(arena, found.text) : NULL;
        clause->level_name = found.level_name ? bw_arena_strdup(arena, found.level_name) : NULL;
        code =
            bw_fail(err, BW_FAILED_PRECONDITION, "PARTICIPANT_POLICY",
                    "the participant's own policy does not accept this meeting (%s, line %u); they may join "
                    "a meeting whose relays, mode and cell lie inside it",
                    found.path ? found.path : "their organisation's rules", found.line);
    }
    bw_constraints_release(joiner);
    return code;
}

enum bw_code bw_policies_door(const struct bw_policy_set *own, const struct bw_op_join *join,
                              const struct bw_door *door, const char *cell, uint64_t now_ms,
                              struct bw_arena *arena, struct bw_own_levels *levels, struct bw_clause *clause,
                              struct bw_error *err)
{
    const struct bw_compile_input input = {
        .tenant = own->doc,
        .subject = {.user = join->user, .groups = join->groups, .group_count = join->group_count},
        .role = join->home_tenant == NULL ? BW_ROLE_MEMBER : BW_ROLE_GUEST,
        .facts = door->meeting->facts,
        .cell = cell,
        .now_ms = now_ms,
    };
    if (levels != NULL)
        *levels = (struct bw_own_levels){.count = 0};
    /* Most members have no rules of their own, and a compilation looks at the whole fleet. */
    struct bw_policy_chain chain;
    enum bw_code code =
        bw_policy_chain(own->doc, NULL, &input.subject, input.role, now_ms, arena, &chain, err);
    if (code != BW_OK || chain.count == 0)
        return code;
    if (levels != NULL && join->home_tenant == NULL &&
        !level_names(&chain, 0, arena, &levels->names, &levels->count))
        return bw_fail_memory(err);
    return check_door(&input, door, arena, clause, err);
}

enum bw_code bw_policies_stays(const struct bw_policy_set *own, const struct bw_own_levels *levels,
                               const struct bw_door *door, const char *cell, uint64_t now_ms,
                               struct bw_arena *arena, struct bw_error *err)
{
    struct bw_compile_input input = {
        .tenant = own->doc,
        .role = BW_ROLE_MEMBER,
        .facts = door->meeting->facts,
        .cell = cell,
        .now_ms = now_ms,
    };
    size_t groups = 0, users = 0;
    input.subject.groups = names_with(levels->names, levels->count, group_prefix, arena, &groups);
    input.subject.user_levels = names_with(levels->names, levels->count, user_prefix, arena, &users);
    input.subject.group_count = groups;
    input.subject.user_level_count = users;
    input.subject.settled = true;
    struct bw_policy_chain chain;
    struct bw_clause clause;
    if (input.subject.groups == NULL || input.subject.user_levels == NULL)
        return bw_fail_memory(err);
    enum bw_code code =
        bw_policy_chain(own->doc, NULL, &input.subject, input.role, now_ms, arena, &chain, err);
    return code != BW_OK || chain.count == 0 ? code : check_door(&input, door, arena, &clause, err);
}

const char *bw_clause_text(const struct bw_clause *clause, struct bw_arena *arena)
{
    if (clause->line == 0 || clause->file == NULL)
        return NULL;
    return bw_arena_printf(arena, "%s:%u:%u", clause->file, clause->line, clause->col);
}
