#include "policy/chain.h"

#include <string.h>

/* A group the subject is in by name or by pattern; `others` left aside. */
static bool named_or_matched(const struct bw_policy_group *group, const struct bw_policy_subject *subject)
{
    for (size_t i = 0; i < subject->group_count; i++)
        if (bw_view_equal_str(group->name.text, subject->groups[i]))
            return true;
    return !subject->settled && subject->user != NULL &&
           bw_policy_matches_user(&group->match, bw_view_str(subject->user));
}

/* Does this user level speak for the subject? */
static bool user_level(const struct bw_policy_group *user, const struct bw_policy_subject *subject)
{
    if (!subject->settled)
        return subject->user != NULL && bw_policy_matches_user(&user->match, bw_view_str(subject->user));
    for (size_t i = 0; i < subject->user_level_count; i++)
        if (bw_view_equal_str(user->name.text, subject->user_levels[i]))
            return true;
    return false;
}

bool bw_policy_in_group(const struct bw_policy_doc *tenant, const struct bw_policy_group *group,
                        const struct bw_policy_subject *subject)
{
    if (named_or_matched(group, subject))
        return true;
    if (subject->settled || group->match.others.at.line == 0 || group->match.others.value == 0)
        return false;
    for (size_t i = 0; i < tenant->groups.count; i++)
        if (&tenant->groups.items[i] != group && named_or_matched(&tenant->groups.items[i], subject))
            return false;
    return true;
}

struct builder {
    struct bw_chain_level levels[BW_CHAIN_MAX];
    size_t count;
    bool full;
};

static void push(struct builder *builder, const struct bw_chain_level *level)
{
    if (builder->count == BW_CHAIN_MAX)
        builder->full = true;
    else
        builder->levels[builder->count++] = *level;
}

static bool applies(const struct bw_policy_group *group, enum bw_policy_role role)
{
    return role == BW_ROLE_HOST ||
           (group->applies.at.line != 0 && group->applies.value == BW_APPLIES_ATTENDED);
}

/* Does the exception name this user, or did it when that was settled? */
static bool excepts_user(const struct bw_policy_exception *exception, const struct bw_policy_subject *subject)
{
    for (size_t i = 0; subject->settled && i < subject->exception_count; i++)
        if (bw_view_equal_str(exception->id.text, subject->exceptions[i]))
            return true;
    struct bw_user_pattern pattern;
    return !subject->settled && subject->user != NULL &&
           bw_user_pattern_parse(exception->scope.user.text, &pattern) == NULL &&
           bw_user_pattern_matches(&pattern, bw_view_str(subject->user));
}

bool bw_policy_excepts(const struct bw_policy_doc *tenant, const struct bw_policy_exception *exception,
                       const struct bw_policy_subject *subject)
{
    const struct bw_policy_exception_for *scope = &exception->scope;
    if (scope->group.at.line == 0 && scope->user.at.line == 0)
        return true;
    if (scope->group.at.line != 0) {
        bool in = false;
        for (size_t i = 0; i < tenant->groups.count; i++) {
            const struct bw_policy_group *group = &tenant->groups.items[i];
            if (bw_view_equal(group->name.text, scope->group.text))
                in = in || bw_policy_in_group(tenant, group, subject);
        }
        if (!in)
            return false;
    }
    return scope->user.at.line == 0 || excepts_user(exception, subject);
}

/* The organisation's level with the exceptions in force; false when the arena is full. */
static bool push_organisation(struct builder *builder, const struct bw_policy_doc *tenant,
                              const struct bw_policy_subject *subject, uint64_t now_ms,
                              struct bw_arena *arena, uint64_t *valid_until_ms)
{
    const struct bw_policy_exception **lifts = NULL;
    size_t count = 0;
    if (tenant->exceptions.count > 0) {
        lifts = bw_arena_zalloc(arena, tenant->exceptions.count, sizeof(const struct bw_policy_exception *));
        if (lifts == NULL)
            return false;
    }
    for (size_t i = 0; i < tenant->exceptions.count; i++) {
        const struct bw_policy_exception *exception = &tenant->exceptions.items[i];
        if (exception->expires.value <= now_ms || !bw_policy_excepts(tenant, exception, subject))
            continue;
        lifts[count++] = exception;
        if (exception->expires.value < *valid_until_ms)
            *valid_until_ms = exception->expires.value;
    }
    struct bw_chain_level level = {.level = BW_LEVEL_ORGANISATION,
                                   .doc = tenant,
                                   .sections = &tenant->sections,
                                   .lifts = lifts,
                                   .lift_count = count};
    push(builder, &level);
    return true;
}

enum bw_code bw_policy_chain(const struct bw_policy_doc *tenant, const struct bw_policy_doc *meeting,
                             const struct bw_policy_subject *subject, enum bw_policy_role role,
                             uint64_t now_ms, struct bw_arena *arena, struct bw_policy_chain *chain,
                             struct bw_error *err)
{
    struct builder builder = {.count = 0};
    uint64_t valid_until_ms = BW_NEVER_MS;
    if (role != BW_ROLE_MEMBER &&
        !push_organisation(&builder, tenant, subject, now_ms, arena, &valid_until_ms))
        return bw_fail_memory(err);
    for (size_t i = 0; i < tenant->groups.count; i++) {
        const struct bw_policy_group *group = &tenant->groups.items[i];
        if (!applies(group, role) || !bw_policy_in_group(tenant, group, subject))
            continue;
        push(&builder, &(struct bw_chain_level){.level = BW_LEVEL_GROUP,
                                                .name = (const char *)group->name.text.data,
                                                .doc = tenant,
                                                .sections = &group->sections});
    }
    for (size_t i = 0; i < tenant->users.count; i++) {
        const struct bw_policy_group *user = &tenant->users.items[i];
        if (!applies(user, role) || !user_level(user, subject))
            continue;
        push(&builder, &(struct bw_chain_level){.level = BW_LEVEL_USER,
                                                .name = (const char *)user->name.text.data,
                                                .doc = tenant,
                                                .sections = &user->sections});
    }
    if (role == BW_ROLE_HOST && meeting != NULL)
        push(&builder, &(struct bw_chain_level){
                           .level = BW_LEVEL_MEETING, .doc = meeting, .sections = &meeting->sections});
    if (builder.full)
        return bw_fail(err, BW_RESOURCE_EXHAUSTED, NULL,
                       "more than %d groups and user levels of this policy apply to one person",
                       BW_CHAIN_MAX);
    const struct bw_chain_level *levels =
        bw_arena_memdup(arena, builder.levels, builder.count * sizeof builder.levels[0]);
    if (levels == NULL)
        return bw_fail_memory(err);
    *chain =
        (struct bw_policy_chain){.levels = levels, .count = builder.count, .valid_until_ms = valid_until_ms};
    return BW_OK;
}
