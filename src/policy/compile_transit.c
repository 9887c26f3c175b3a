/* Where media may pass: places, sites, operators, certifications; and what connectors store. */
#include <string.h>

#include "policy/compile_internal.h"

static struct bw_policy_places one_place(const struct bw_policy_place *place)
{
    return (struct bw_policy_places){.count = 1, .items = (struct bw_policy_place *)(uintptr_t)place};
}

static void add_columns_in(const struct bw_fact_columns *columns, const struct bw_territory_set *set,
                           struct bw_bitset *nodes)
{
    for (size_t i = 0; i < columns->count; i++)
        if (bw_territory_set_test(set, columns->items[i].place))
            bw_bitset_or(nodes, &columns->items[i].nodes);
}

static void add_columns_outside(const struct bw_fact_columns *columns, const struct bw_territory_set *set,
                                struct bw_bitset *nodes)
{
    for (size_t i = 0; i < columns->count; i++)
        if (!bw_territory_set_test(set, columns->items[i].place))
            bw_bitset_or(nodes, &columns->items[i].nodes);
}

static void add_site(const struct bw_facts *facts, const struct bw_policy_place *place,
                     struct bw_bitset *nodes)
{
    const struct bw_bitset *column = bw_facts_column(&facts->sites, (const char *)place->text.data);
    if (column != NULL)
        bw_bitset_or(nodes, column);
}

static bool has_sites(const struct bw_policy_places *places)
{
    for (size_t i = 0; i < places->count; i++)
        if (places->items[i].kind == BW_PLACE_SITE)
            return true;
    return false;
}

static void deny_place(struct bw_compile *compile, const struct bw_compile_level *level,
                       const struct bw_policy_place *place)
{
    const struct bw_facts *facts = compile->facts;
    bw_bitset_zero(&compile->hit);
    bw_bitset_zero(&compile->unknown);
    struct bw_territory_set set;
    if (!bw_compile_denied(level->chain, false, place, &set))
        return;
    enum bw_reason reason = BW_REASON_TRANSIT_COUNTRY;
    if (place->kind == BW_PLACE_SITE) {
        reason = BW_REASON_TRANSIT_SITE;
        add_site(facts, place, &compile->hit);
        bw_bitset_or(&compile->unknown, &facts->site_unknown);
    } else {
        add_columns_in(&facts->places, &set, &compile->hit);
        struct bw_policy_places one = one_place(place);
        struct bw_territory_set coarse;
        bw_compile_coarse(&one, &coarse);
        add_columns_in(&facts->places, &coarse, &compile->unknown);
        bw_bitset_or(&compile->unknown, &facts->place_unknown);
        bw_bitset_andnot(&compile->unknown, &compile->hit);
    }
    const char *text = bw_compile_list_text(
        compile, &(struct bw_policy_places){.count = 1, .items = one_place(place).items});
    bw_compile_cut(compile, &compile->cuts, level, reason, place->at, "transit.deny", text, &compile->hit);
    bw_compile_cut(compile, &compile->cuts, level, BW_REASON_FACT_UNKNOWN, place->at, "transit.deny", text,
                   &compile->unknown);
}

static void allow_places(struct bw_compile *compile, const struct bw_compile_level *level,
                         const struct bw_policy_places *allow)
{
    const struct bw_facts *facts = compile->facts;
    if (bw_places_have_all(allow))
        return;
    struct bw_territory_set set;
    bw_policy_places_expand(allow, BW_TERRITORY_ALLOWING, &set);
    bw_bitset_zero(&compile->work);
    add_columns_in(&facts->places, &set, &compile->work);
    bool sites = has_sites(allow), only_sites = bw_places_only_sites(allow);
    for (size_t i = 0; i < allow->count; i++)
        if (allow->items[i].kind == BW_PLACE_SITE)
            add_site(facts, &allow->items[i], &compile->work);
    /* A list of nothing but sites says where relays stand; it does not judge the cell. */
    if (sites && only_sites)
        bw_bitset_or(&compile->work, &facts->cell_nodes);
    bw_bitset_zero(&compile->unknown);
    if (!(sites && only_sites)) {
        struct bw_territory_set coarse;
        bw_compile_coarse(allow, &coarse);
        add_columns_in(&facts->places, &coarse, &compile->unknown);
        bw_bitset_or(&compile->unknown, &facts->place_unknown);
    }
    if (sites)
        bw_bitset_or(&compile->unknown, &facts->site_unknown);
    bw_bitset_andnot(&compile->unknown, &compile->work);
    bw_bitset_fill(&compile->hit);
    bw_bitset_andnot(&compile->hit, &compile->work);
    bw_bitset_andnot(&compile->hit, &compile->unknown);
    const char *text = bw_compile_list_text(compile, allow);
    bw_compile_cut(compile, &compile->cuts, level,
                   sites && only_sites ? BW_REASON_TRANSIT_SITE : BW_REASON_TRANSIT_COUNTRY, allow->at,
                   "transit.allow", text, &compile->hit);
    bw_compile_cut(compile, &compile->cuts, level, BW_REASON_FACT_UNKNOWN, allow->at, "transit.allow", text,
                   &compile->unknown);
}

static void deny_jurisdiction(struct bw_compile *compile, const struct bw_compile_level *level,
                              const struct bw_policy_place *place)
{
    const struct bw_facts *facts = compile->facts;
    struct bw_policy_places one = one_place(place);
    struct bw_territory_set set, coarse;
    bw_policy_places_expand(&one, BW_TERRITORY_DENYING, &set);
    bw_compile_coarse(&one, &coarse);
    bw_bitset_zero(&compile->hit);
    add_columns_in(&facts->jurisdictions, &set, &compile->hit);
    bw_bitset_zero(&compile->unknown);
    add_columns_in(&facts->jurisdictions, &coarse, &compile->unknown);
    bw_bitset_or(&compile->unknown, &facts->jurisdiction_unknown);
    bw_bitset_andnot(&compile->unknown, &compile->hit);
    const char *text = bw_compile_list_text(compile, &one);
    const char *path = "transit.operators.denyJurisdictions";
    bw_compile_cut(compile, &compile->cuts, level, BW_REASON_OPERATOR_JURISDICTION, place->at, path, text,
                   &compile->hit);
    bw_compile_cut(compile, &compile->cuts, level, BW_REASON_FACT_UNKNOWN, place->at, path, text,
                   &compile->unknown);
}

static void allow_jurisdictions(struct bw_compile *compile, const struct bw_compile_level *level,
                                const struct bw_policy_places *allow)
{
    const struct bw_facts *facts = compile->facts;
    if (bw_places_have_all(allow))
        return;
    struct bw_territory_set set;
    bw_policy_places_expand(allow, BW_TERRITORY_ALLOWING, &set);
    bw_bitset_zero(&compile->hit);
    add_columns_outside(&facts->jurisdictions, &set, &compile->hit);
    const char *text = bw_compile_list_text(compile, allow);
    const char *path = "transit.operators.allowJurisdictions";
    bw_compile_cut(compile, &compile->cuts, level, BW_REASON_OPERATOR_JURISDICTION, allow->at, path, text,
                   &compile->hit);
    bw_compile_cut(compile, &compile->cuts, level, BW_REASON_FACT_UNKNOWN, allow->at, path, text,
                   &facts->jurisdiction_unknown);
}

static void require_certification(struct bw_compile *compile, const struct bw_compile_level *level,
                                  const struct bw_policy_certification *clause)
{
    const struct bw_facts *facts = compile->facts;
    struct bw_bitset *good = &compile->work, *expired = &compile->unknown;
    bw_bitset_zero(good);
    bw_bitset_zero(expired);
    const char *text = NULL;
    for (size_t i = 0; i < clause->any_of.count; i++) {
        const char *name = (const char *)clause->any_of.items[i].text.data;
        text = text == NULL ? name : bw_arena_printf(compile->scratch, "%s or %s", text, name);
        const struct bw_bitset *column = bw_facts_column(&facts->certifications, name);
        for (size_t node = column == NULL ? facts->node_count : bw_bitset_next(column, 0);
             node < facts->node_count; node = bw_bitset_next(column, node + 1)) {
            uint64_t until = bw_facts_certified_until(facts, node, name);
            if (until <= compile->now_ms) {
                bw_bitset_set(expired, node);
                continue;
            }
            bw_bitset_set(good, node);
            if (until < compile->out->valid_until_ms)
                compile->out->valid_until_ms = until;
        }
    }
    bw_bitset_andnot(expired, good);
    bw_bitset_fill(&compile->hit);
    bw_bitset_andnot(&compile->hit, good);
    bw_bitset_andnot(&compile->hit, expired);
    const char *path = "transit.requireCertifications";
    bw_compile_cut(compile, &compile->cuts, level, BW_REASON_CERTIFICATION_MISSING, clause->at, path, text,
                   &compile->hit);
    bw_compile_cut(compile, &compile->cuts, level, BW_REASON_CERTIFICATION_EXPIRED, clause->at, path, text,
                   expired);
}

void bw_compile_transit(struct bw_compile *compile)
{
    for (size_t i = 0; i < compile->level_count; i++) {
        const struct bw_compile_level *level = &compile->levels[i];
        const struct bw_policy_transit *transit = &level->chain->sections->transit;
        for (size_t d = 0; d < transit->deny.count; d++)
            deny_place(compile, level, &transit->deny.items[d]);
        if (transit->allow.at.line != 0)
            allow_places(compile, level, &transit->allow);
        const struct bw_policy_operators *operators = &transit->operators;
        for (size_t d = 0; d < operators->deny_jurisdictions.count; d++)
            deny_jurisdiction(compile, level, &operators->deny_jurisdictions.items[d]);
        if (operators->allow_jurisdictions.at.line != 0)
            allow_jurisdictions(compile, level, &operators->allow_jurisdictions);
        for (size_t c = 0; c < transit->require_certifications.count; c++)
            require_certification(compile, level, &transit->require_certifications.items[c]);
    }
}

/* Data at rest beside a connector obeys the same lists of places as media does. Sites do not help: a store is
 * known by its place only. */
void bw_compile_stores(struct bw_compile *compile)
{
    const struct bw_facts *facts = compile->facts;
    struct bw_bitset offers;
    if (!bw_bitset_init(&offers, compile->scratch, facts->node_count) ||
        !bw_bitset_init(&compile->out->connector_stores, compile->arena, facts->node_count)) {
        compile->full = true;
        return;
    }
    for (unsigned kind = 0; kind < BW_CONNECTOR_COUNT; kind++)
        bw_bitset_or(&offers, &facts->offers[kind]);
    for (size_t i = 0; i < compile->level_count; i++) {
        const struct bw_compile_level *level = &compile->levels[i];
        const struct bw_policy_transit *transit = &level->chain->sections->transit;
        struct bw_territory_set set;
        for (size_t d = 0; d < transit->deny.count; d++) {
            const struct bw_policy_place *place = &transit->deny.items[d];
            if (place->kind == BW_PLACE_SITE || !bw_compile_denied(level->chain, false, place, &set))
                continue;
            struct bw_policy_places one = one_place(place);
            struct bw_territory_set coarse;
            bw_compile_coarse(&one, &coarse);
            bw_territory_set_or(&set, &coarse);
            bw_bitset_zero(&compile->hit);
            add_columns_in(&facts->stores, &set, &compile->hit);
            bw_bitset_and(&compile->hit, &offers);
            bw_compile_cut(compile, &compile->connector_cuts, level, BW_REASON_CONNECTOR_STORE, place->at,
                           "transit.deny", bw_compile_list_text(compile, &one), &compile->hit);
        }
        if (transit->allow.at.line == 0 || bw_places_have_all(&transit->allow))
            continue;
        bw_policy_places_expand(&transit->allow, BW_TERRITORY_ALLOWING, &set);
        bw_bitset_zero(&compile->hit);
        add_columns_outside(&facts->stores, &set, &compile->hit);
        bw_bitset_and(&compile->hit, &offers);
        const char *text = bw_compile_list_text(compile, &transit->allow);
        bw_compile_cut(compile, &compile->connector_cuts, level, BW_REASON_CONNECTOR_STORE, transit->allow.at,
                       "transit.allow", text, &compile->hit);
        bw_bitset_copy(&compile->hit, &facts->stores_unknown);
        bw_bitset_and(&compile->hit, &offers);
        bw_compile_cut(compile, &compile->connector_cuts, level, BW_REASON_FACT_UNKNOWN, transit->allow.at,
                       "transit.allow", text, &compile->hit);
    }
    bw_bitset_copy(&compile->out->connector_stores, &facts->relay_nodes);
    for (struct bw_cut_node *at = compile->connector_cuts.first; at != NULL; at = at->next)
        bw_bitset_andnot(&compile->out->connector_stores, &at->cut.nodes);
}

/* The first class that holds the relay; the number of classes when none does. */
static uint32_t rank_in(const struct bw_compile *compile, const struct bw_policy_preference *prefer,
                        const struct bw_territory_set *classes, size_t relay)
{
    const struct bw_relay_facts *facts = &compile->facts->relays[relay];
    uint16_t place = BW_TERRITORY_NONE;
    if (facts->place != NULL)
        (void)bw_territory_find(bw_view_str(facts->place), &place);
    for (size_t c = 0; c < prefer->count; c++) {
        if (place != BW_TERRITORY_NONE && bw_territory_set_test(&classes[c], place))
            return (uint32_t)c;
        const struct bw_policy_places *entries = &prefer->items[c];
        for (size_t i = 0; i < entries->count; i++) {
            const struct bw_policy_place *entry = &entries->items[i];
            if (entry->kind == BW_PLACE_ALL)
                return (uint32_t)c;
            if (entry->kind == BW_PLACE_SITE && facts->site != NULL &&
                bw_view_equal_str(entry->text, facts->site))
                return (uint32_t)c;
        }
    }
    return (uint32_t)prefer->count;
}

/* Each kind of level has eight bits of the rank, the organisation's on top; several groups add up, so that
 * their order has no meaning. */
static void add_ranks(struct bw_compile *compile, const struct bw_compile_level *level, uint32_t *ranks)
{
    const struct bw_policy_preference *prefer = &level->chain->sections->transit.prefer;
    struct bw_territory_set *classes = bw_arena_zalloc(compile->scratch, prefer->count, sizeof *classes);
    if (classes == NULL) {
        compile->full = true;
        return;
    }
    for (size_t c = 0; c < prefer->count; c++)
        bw_policy_places_expand(&prefer->items[c], BW_TERRITORY_ALLOWING, &classes[c]);
    unsigned shift = 24 - 8 * (unsigned)level->chain->level;
    for (size_t r = 0; r < compile->facts->relay_count; r++) {
        uint32_t held = (ranks[r] >> shift) & 0xff;
        uint32_t more = rank_in(compile, prefer, classes, r);
        uint32_t sum = held + more < 0xff ? held + more : 0xff;
        ranks[r] = (ranks[r] & ~(UINT32_C(0xff) << shift)) | sum << shift;
    }
}

void bw_compile_prefer(struct bw_compile *compile)
{
    size_t count = compile->facts->relay_count;
    uint32_t *ranks = bw_arena_zalloc(compile->arena, count, sizeof *ranks);
    if (ranks == NULL) {
        compile->full = true;
        return;
    }
    compile->out->prefer_rank = ranks;
    bool any = false;
    for (size_t i = 0; i < compile->level_count; i++) {
        if (compile->levels[i].chain->sections->transit.prefer.count == 0)
            continue;
        add_ranks(compile, &compile->levels[i], ranks);
        any = true;
    }
    if (!any)
        return;
    /* Dense among the eligible, so that a sum of ranks counts steps and the best one there is costs nothing.
     */
    uint32_t next = 0, floor = 0;
    bool more = true;
    uint32_t *dense = bw_arena_zalloc(compile->scratch, count, sizeof *dense);
    if (dense == NULL) {
        compile->full = true;
        return;
    }
    for (size_t r = 0; r < count; r++)
        dense[r] = UINT32_MAX;
    while (more) {
        uint32_t lowest = UINT32_MAX;
        more = false;
        for (size_t r = bw_bitset_next(&compile->out->eligible, 0); r < compile->out->eligible.bits;
             r = bw_bitset_next(&compile->out->eligible, r + 1)) {
            if (dense[r] == UINT32_MAX && ranks[r] >= floor && (!more || ranks[r] < lowest)) {
                lowest = ranks[r];
                more = true;
            }
        }
        for (size_t r = 0; more && r < count; r++)
            if (ranks[r] == lowest)
                dense[r] = next;
        floor = lowest;
        next++;
    }
    for (size_t r = 0; r < count; r++)
        ranks[r] = dense[r] == UINT32_MAX ? next : dense[r];
}
