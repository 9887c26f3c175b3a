/* What a level says about places, looked at for contradictions that need no fleet. */
#include "policy/document_internal.h"

static void expand_one(const struct bw_policy_place *place, enum bw_territory_sense sense,
                       struct bw_territory_set *set)
{
    struct bw_policy_place copy = *place;
    const struct bw_policy_places one = {.count = 1, .items = &copy};
    bw_policy_places_expand(&one, sense, set);
}

static const char *shown(const struct bw_policy_place *place)
{
    return (const char *)place->text.data; /* the reader keeps a NUL behind it */
}

static bool same_place(const struct bw_policy_place *a, const struct bw_policy_place *b)
{
    if (a->kind != b->kind)
        return false;
    if (a->kind == BW_PLACE_SITE)
        return bw_view_equal(a->text, b->text);
    return a->kind == BW_PLACE_ALL || a->index == b->index;
}

/* "*" among others, and entries that are there twice. */
static void check_list(const struct bw_policy_checking *c, const struct bw_policy_places *list)
{
    for (size_t i = 0; i < list->count; i++) {
        const struct bw_policy_place *place = &list->items[i];
        if (place->at.line == 0)
            continue; /* already reported */
        if (place->kind == BW_PLACE_ALL && list->count > 1) {
            bw_diag_add(c->diags, c->source, BW_P_STAR_NOT_ALONE, place->at,
                        "\"*\" is everything, so nothing can stand beside it");
            return;
        }
        for (size_t k = 0; k < i; k++) {
            if (list->items[k].at.line == 0 || !same_place(&list->items[k], place))
                continue;
            struct bw_diag *diag = bw_diag_add(c->diags, c->source, BW_P_REPEATED_VALUE, place->at,
                                               "%s is in this list already", shown(place));
            bw_diag_relate(c->diags, diag, c->source, list->items[k].at, "here, as %s",
                           shown(&list->items[k]));
            break;
        }
    }
}

static bool has_kind(const struct bw_policy_places *list, enum bw_policy_place_kind kind)
{
    for (size_t i = 0; i < list->count; i++)
        if (list->items[i].at.line && list->items[i].kind == kind)
            return true;
    return false;
}

static bool broken(const struct bw_policy_places *list)
{
    for (size_t i = 0; i < list->count; i++)
        if (list->items[i].at.line == 0)
            return true;
    return false;
}

/* The entry of `deny` that meets an allowed place; NULL when none does. */
static const struct bw_policy_place *denied_by(const struct bw_policy_places *deny,
                                               const struct bw_policy_place *allowed,
                                               const struct bw_territory_set *covers)
{
    for (size_t i = 0; i < deny->count; i++) {
        struct bw_territory_set denied;
        if (same_place(&deny->items[i], allowed))
            return &deny->items[i];
        if (allowed->kind == BW_PLACE_SITE)
            continue;
        expand_one(&deny->items[i], BW_TERRITORY_DENYING, &denied);
        if (bw_territory_set_intersects(&denied, covers))
            return &deny->items[i];
    }
    return NULL;
}

static bool site_denied(const struct bw_policy_places *deny, const struct bw_policy_place *site)
{
    for (size_t i = 0; i < deny->count; i++)
        if (same_place(&deny->items[i], site))
            return true;
    return false;
}

/* Allowed entries of which nothing is left are reported one by one, or once when that is all of them. */
static void check_pair(const struct bw_policy_checking *c, const struct bw_policy_places *allow,
                       const struct bw_policy_places *deny, const char *what)
{
    struct bw_territory_set denied;
    size_t dead = 0;
    bw_policy_places_expand(deny, BW_TERRITORY_DENYING, &denied);
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < allow->count; i++) {
            const struct bw_policy_place *place = &allow->items[i];
            struct bw_territory_set covers;
            expand_one(place, BW_TERRITORY_ALLOWING, &covers);
            bool gone = place->kind == BW_PLACE_SITE ? site_denied(deny, place)
                                                     : bw_territory_set_subset(&covers, &denied);
            if (!gone)
                continue;
            if (pass == 0) {
                dead++;
                continue;
            }
            struct bw_diag *diag = bw_diag_add(
                c->diags, c->source, BW_P_ALLOWED_AND_DENIED, place->at,
                "%s is allowed and denied; deny wins, so allowing it has no effect", shown(place));
            const struct bw_policy_place *by = diag ? denied_by(deny, place, &covers) : NULL;
            if (by)
                bw_diag_relate(c->diags, diag, c->source, by->at, "denied here");
        }
        if (dead == allow->count && dead > 0) {
            struct bw_diag *diag = bw_diag_add(c->diags, c->source, BW_P_ALLOWS_NOTHING, allow->at,
                                               "everything that %s.allow lists is denied", what);
            bw_diag_relate(c->diags, diag, c->source, deny->at, "by this list");
            return;
        }
        if (dead == 0)
            return;
    }
}

static void check_allow_deny(const struct bw_policy_checking *c, const struct bw_policy_places *allow,
                             const struct bw_policy_places *deny, const char *what)
{
    check_list(c, allow);
    check_list(c, deny);
    if (allow->at.line && allow->count == 0)
        bw_diag_add(c->diags, c->source, BW_P_EMPTY_LIST_IS_NOTHING, allow->at,
                    "an empty list allows nothing; remove it to allow what the level above does");
    if (broken(allow) || broken(deny))
        return;
    if (has_kind(deny, BW_PLACE_ALL)) {
        bw_diag_add(c->diags, c->source, BW_P_DENIES_ALL, deny->at, "%s.deny denies everything", what);
        return;
    }
    check_pair(c, allow, deny, what);
}

static void check_prefer(const struct bw_policy_checking *c, const struct bw_policy_transit *transit)
{
    struct bw_territory_set open, denied;
    for (size_t i = 0; i < transit->prefer.count; i++)
        check_list(c, &transit->prefer.items[i]);
    if (transit->allow.at.line == 0 || broken(&transit->allow) || broken(&transit->deny))
        return;
    bw_policy_places_expand(&transit->allow, BW_TERRITORY_ALLOWING, &open);
    bw_policy_places_expand(&transit->deny, BW_TERRITORY_DENYING, &denied);
    bw_territory_set_andnot(&open, &denied);
    for (size_t i = 0; i < transit->prefer.count; i++)
        for (size_t k = 0; k < transit->prefer.items[i].count; k++) {
            const struct bw_policy_place *place = &transit->prefer.items[i].items[k];
            struct bw_territory_set covers;
            if (place->at.line == 0 || place->kind == BW_PLACE_SITE || place->kind == BW_PLACE_ALL)
                continue;
            expand_one(place, BW_TERRITORY_ALLOWING, &covers);
            /* A site in `allow` may stand anywhere: what is preferred then says nothing here. */
            if (!bw_territory_set_intersects(&covers, &open) && !has_kind(&transit->allow, BW_PLACE_SITE))
                bw_diag_add(c->diags, c->source, BW_P_PREFER_OUTSIDE, place->at,
                            "%s is preferred but not allowed; preferring never allows", shown(place));
        }
}

void bw_document_check_places(const struct bw_policy_checking *c, const struct bw_policy_sections *sections)
{
    const struct bw_policy_transit *transit = &sections->transit;
    check_allow_deny(c, &sections->entry.allow, &sections->entry.deny, "entry");
    check_allow_deny(c, &transit->allow, &transit->deny, "transit");
    check_allow_deny(c, &transit->operators.allow_jurisdictions, &transit->operators.deny_jurisdictions,
                     "transit.operators");
    check_prefer(c, transit);
}
