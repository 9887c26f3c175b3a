/* A policy against the fleet there is. */
#include <string.h>

#include "policy/compile_internal.h"
#include "policy/validate.h"

static const struct bw_fact_column *site_column(const struct bw_facts *facts, struct bw_view site)
{
    for (size_t i = 0; i < facts->sites.count; i++)
        if (bw_view_equal_str(site, facts->sites.items[i].value))
            return &facts->sites.items[i];
    return NULL;
}

/* A site that a lower level allows must lie inside what the organisation allows. */
static void check_sites(const struct bw_policy_doc *doc, const struct bw_policy_group *level,
                        const struct bw_facts *facts, struct bw_diags *diags)
{
    const struct bw_policy_places *above = &doc->sections.transit.allow,
                                  *below = &level->sections.transit.allow;
    if (above->at.line == 0 || bw_places_have_all(above))
        return;
    struct bw_territory_set allowed;
    bw_policy_places_expand(above, BW_TERRITORY_ALLOWING, &allowed);
    for (size_t i = 0; i < below->count; i++) {
        const struct bw_policy_place *place = &below->items[i];
        bool stated = place->kind != BW_PLACE_SITE;
        for (size_t a = 0; a < above->count; a++)
            stated = stated || (above->items[a].kind == BW_PLACE_SITE &&
                                bw_view_equal(above->items[a].text, place->text));
        const struct bw_fact_column *column = stated ? NULL : site_column(facts, place->text);
        for (size_t p = 0; column != NULL && p < facts->places.count; p++) {
            const struct bw_fact_column *country = &facts->places.items[p];
            if (bw_territory_set_test(&allowed, country->place))
                continue;
            bool there = false;
            for (size_t w = 0; w < bw_bitset_words(&column->nodes); w++)
                there = there || (column->nodes.words[w] & country->nodes.words[w]) != 0;
            if (!there)
                continue;
            struct bw_diag *diag = bw_diag_add(
                diags, &doc->source, BW_P_WIDENS_PARENT, place->at,
                "%s allows site:%s, which is in %s; a lower level can only narrow",
                (const char *)level->name.text.data, (const char *)place->text.data, country->value);
            bw_diag_relate(diags, diag, &doc->source, above->at, "the organisation's");
        }
    }
}

/* The relay with the fewest clauses in its way. */
static size_t nearest(const struct bw_constraints *constraints)
{
    size_t best = SIZE_MAX;
    for (size_t r = 0; r < constraints->facts->relay_count; r++)
        if (best == SIZE_MAX ||
            bw_reason_count(constraints->reasons[r]) < bw_reason_count(constraints->reasons[best]))
            best = r;
    return best;
}

static enum bw_code check_left(const struct bw_policy_doc *doc, const struct bw_policy_today *today,
                               const struct bw_policy_group *group, struct bw_diags *diags,
                               struct bw_error *err)
{
    const char *name = group != NULL ? (const char *)group->name.text.data : NULL;
    const struct bw_compile_input input = {
        .tenant = doc,
        .subject = {.groups = &name, .group_count = group != NULL ? 1 : 0},
        .role = BW_ROLE_HOST,
        .facts = today->facts,
        .cell = today->cell,
        .now_ms = today->now_ms,
    };
    struct bw_constraints *constraints;
    enum bw_code code = bw_policy_compile(&input, &constraints, err);
    if (code == BW_FAILED_PRECONDITION) {
        bw_diag_add(diags, &doc->source, BW_P_MODES_CONTRADICT, group != NULL ? group->at : doc->at, "%s",
                    err != NULL ? err->show : "two levels contradict each other");
        return BW_OK;
    }
    if (code != BW_OK)
        return code;
    if (bw_bitset_empty(&constraints->eligible)) {
        struct bw_pos at = group != NULL ? group->name.at : doc->sections.transit.allow.at;
        const char *who = group != NULL ? "group " : "the organisation";
        size_t relay = nearest(constraints);
        const struct bw_cut *cut = NULL;
        for (size_t i = 0; relay != SIZE_MAX && cut == NULL && i < constraints->cut_count; i++)
            if (bw_bitset_test(&constraints->cuts[i].nodes, relay))
                cut = &constraints->cuts[i];
        if (cut == NULL)
            bw_diag_add(diags, &doc->source, BW_P_NO_RELAY_LEFT, at, "%s%s has no relay: the fleet is empty",
                        who, name != NULL ? name : "");
        else
            bw_diag_add(diags, &doc->source, BW_P_NO_RELAY_LEFT, at,
                        "%s%s has no relay left; %s comes nearest and fails %s at line %u (%s)", who,
                        name != NULL ? name : "", today->facts->relays[relay].name, cut->clause.path,
                        cut->clause.line, bw_reason_name(cut->reason));
    }
    bw_constraints_release(constraints);
    return BW_OK;
}

/* What an exception that has ended, or is about to, leaves denied. */
static void check_exceptions(const struct bw_policy_doc *doc, uint64_t now_ms, struct bw_diags *diags)
{
    enum { DAY_MS = 86400 * 1000, SOON_DAYS = 30 };
    for (size_t i = 0; i < doc->exceptions.count; i++) {
        const struct bw_policy_exception *exception = &doc->exceptions.items[i];
        const char *id = (const char *)exception->id.text.data;
        uint64_t ends = exception->expires.value;
        if (ends <= now_ms)
            bw_diag_add(diags, &doc->source, BW_P_EXCEPTION_ENDED, exception->expires.at,
                        "exception %s has ended: what it lifted is denied again; remove it, or prolong it",
                        id);
        else if ((ends - now_ms) / DAY_MS < SOON_DAYS)
            bw_diag_add(diags, &doc->source, BW_P_EXCEPTION_ENDS_SOON, exception->expires.at,
                        "exception %s ends in %u days; meetings that rest on it then move, as onPolicyChange "
                        "says",
                        id, (unsigned)((ends - now_ms) / DAY_MS));
    }
}

enum bw_code bw_policy_check_today(const struct bw_policy_doc *tenant, const struct bw_policy_today *today,
                                   struct bw_diags *diags, struct bw_error *err)
{
    check_exceptions(tenant, today->now_ms, diags);
    enum bw_code code = check_left(tenant, today, NULL, diags, err);
    /* What leaves nothing for the organisation leaves nothing for anybody: said once. */
    if (code == BW_OK && !bw_diags_ok(diags))
        return BW_OK;
    for (size_t i = 0; code == BW_OK && i < tenant->groups.count; i++) {
        check_sites(tenant, &tenant->groups.items[i], today->facts, diags);
        code = check_left(tenant, today, &tenant->groups.items[i], diags, err);
    }
    for (size_t i = 0; i < tenant->users.count; i++)
        check_sites(tenant, &tenant->users.items[i], today->facts, diags);
    return code;
}
