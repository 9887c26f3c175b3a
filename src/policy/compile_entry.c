/* Who may join from where: allow lists intersect, denies unite, "refuse the unknown" beats admitting them. */
#include "policy/compile_internal.h"

static void add_list(struct bw_compile *compile, struct bw_entry_rules *rules,
                     const struct bw_entry_list *list)
{
    (void)compile;
    rules->lists[rules->list_count++] = *list;
    if (list->denies)
        bw_territory_set_andnot(&rules->allowed, &list->places);
    else
        bw_territory_set_and(&rules->allowed, &list->places);
}

static void add_denies(struct bw_compile *compile, const struct bw_compile_level *level,
                       struct bw_entry_rules *rules)
{
    const struct bw_policy_places *deny = &level->chain->sections->entry.deny;
    for (size_t d = 0; d < deny->count; d++) {
        struct bw_entry_list list = {.denies = true};
        if (!bw_compile_denied(level->chain, true, &deny->items[d], &list.places))
            continue;
        struct bw_policy_places one = {.count = 1, .items = &deny->items[d]};
        bw_compile_coarse(&one, &list.coarse);
        list.clause = bw_compile_clause(compile, level, deny->items[d].at, "entry.deny",
                                        bw_compile_list_text(compile, &one));
        rules->everyone = false;
        add_list(compile, rules, &list);
        bw_territory_set_andnot(&rules->allowed, &list.coarse);
    }
}

static void add_allow(struct bw_compile *compile, const struct bw_compile_level *level,
                      struct bw_entry_rules *rules)
{
    const struct bw_policy_places *allow = &level->chain->sections->entry.allow;
    if (allow->at.line == 0)
        return;
    struct bw_entry_list list = {.denies = false};
    bw_policy_places_expand(allow, BW_TERRITORY_ALLOWING, &list.places);
    bw_compile_coarse(allow, &list.coarse);
    list.clause =
        bw_compile_clause(compile, level, allow->at, "entry.allow", bw_compile_list_text(compile, allow));
    if (!bw_places_have_all(allow))
        rules->everyone = false;
    add_list(compile, rules, &list);
}

void bw_compile_entry(struct bw_compile *compile)
{
    size_t room = 0;
    for (size_t i = 0; i < compile->level_count; i++)
        room += 1 + compile->levels[i].chain->sections->entry.deny.count;
    struct bw_entry_rules *rules = bw_arena_zalloc(compile->arena, 1, sizeof *rules);
    struct bw_entry_list *lists = bw_arena_zalloc(compile->arena, room, sizeof *lists);
    if (rules == NULL || lists == NULL) {
        compile->full = true;
        return;
    }
    rules->lists = lists;
    rules->everyone = true;
    bw_territory_set_add_all(&rules->allowed);
    bool stated = false, refuses = false;
    for (size_t i = 0; i < compile->level_count; i++) {
        const struct bw_compile_level *level = &compile->levels[i];
        const struct bw_yaml_number *unknown = &level->chain->sections->entry.unknown;
        if (unknown->at.line != 0) {
            stated = true;
            if (unknown->value == BW_UNKNOWN_REFUSE && !refuses) {
                refuses = true;
                rules->unknown_clause =
                    bw_compile_clause(compile, level, unknown->at, "entry.unknown", "refuse");
            }
        }
        add_denies(compile, level, rules);
        add_allow(compile, level, rules);
    }
    /* Nobody having said anything about the unknown refuses them. */
    rules->unknown_allowed = stated && !refuses;
    compile->out->entry = rules;
}

enum bw_verdict bw_constraints_entry(const struct bw_constraints *constraints, const char *place,
                                     struct bw_clause *clause)
{
    const struct bw_entry_rules *rules = constraints->entry;
    uint16_t index = BW_TERRITORY_NONE;
    bool known = place != NULL && bw_territory_find(bw_view_str(place), &index);
    if (known && bw_territory_set_test(&rules->allowed, index))
        return BW_ALLOWED;
    bool coarse = false;
    for (size_t i = 0; known && i < rules->list_count; i++) {
        const struct bw_entry_list *list = &rules->lists[i];
        bool inside = bw_territory_set_test(&list->places, index);
        if (inside != list->denies)
            continue;
        if (!inside && bw_territory_set_test(&list->coarse, index)) {
            coarse = true;
            continue;
        }
        if (clause != NULL)
            *clause = list->clause;
        return BW_DENIED;
    }
    for (size_t i = 0; known && i < rules->list_count; i++)
        coarse = coarse || (rules->lists[i].denies && bw_territory_set_test(&rules->lists[i].coarse, index));
    if (known && !coarse)
        return BW_ALLOWED;
    if (rules->unknown_allowed)
        return BW_ALLOWED;
    if (clause != NULL)
        *clause = rules->unknown_clause;
    return BW_UNKNOWN_PLACE;
}
