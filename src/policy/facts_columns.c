/* The transposition: from rows of facts to one bitset per attribute value. */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/arena.h"
#include "base/check.h"
#include "policy/facts_internal.h"
#include "policy/territory.h"

/* While columns are collected: one (value, node) pair for each attribute a node has. */
struct pair {
    const char *value;
    uint32_t node;
};

struct pairs {
    struct bw_arena *arena;
    struct pair *items;
    size_t count, cap;
    bool failed;
};

static void add_pair(struct pairs *pairs, const char *value, size_t node)
{
    if (pairs->failed)
        return;
    if (pairs->count == pairs->cap) {
        size_t cap = pairs->cap == 0 ? 64 : pairs->cap * 2;
        struct pair *grown = bw_realloc(pairs->items, cap * sizeof *grown);
        if (grown == NULL) {
            pairs->failed = true;
            return;
        }
        pairs->items = grown;
        pairs->cap = cap;
    }
    pairs->items[pairs->count++] = (struct pair){.value = value, .node = (uint32_t)node};
}

static int compare_pairs(const void *a, const void *b)
{
    return strcmp(((const struct pair *)a)->value, ((const struct pair *)b)->value);
}

/* Turns the pairs into sorted columns and forgets them, ready for the next attribute. */
static bool take_columns(struct pairs *pairs, size_t node_count, struct bw_fact_columns *columns)
{
    if (pairs->failed)
        return false;
    if (pairs->count > 1)
        qsort(pairs->items, pairs->count, sizeof *pairs->items, compare_pairs);
    size_t distinct = 0;
    for (size_t i = 0; i < pairs->count; i++)
        if (i == 0 || compare_pairs(&pairs->items[i - 1], &pairs->items[i]) != 0)
            distinct++;
    struct bw_fact_column *items = bw_arena_zalloc(pairs->arena, distinct, sizeof *items);
    if (items == NULL)
        return false;
    size_t at = 0;
    for (size_t i = 0; i < pairs->count; i++) {
        if (i == 0 || compare_pairs(&pairs->items[i - 1], &pairs->items[i]) != 0) {
            items[at].value = pairs->items[i].value;
            items[at].place = BW_TERRITORY_NONE;
            if (!bw_bitset_init(&items[at].nodes, pairs->arena, node_count))
                return false;
            at++;
        }
        bw_bitset_set(&items[at - 1].nodes, pairs->items[i].node);
    }
    *columns = (struct bw_fact_columns){.items = items, .count = distinct};
    pairs->count = 0;
    return true;
}

static uint16_t place_index(const char *place)
{
    uint16_t index = BW_TERRITORY_NONE;
    return bw_territory_find(bw_view_str(place), &index) ? index : BW_TERRITORY_NONE;
}

/* The same for attributes that are places: each column also gets its place's index. */
static bool take_place_columns(struct pairs *pairs, size_t node_count, struct bw_fact_columns *columns)
{
    if (!take_columns(pairs, node_count, columns))
        return false;
    for (size_t i = 0; i < columns->count; i++)
        columns->items[i].place = place_index(columns->items[i].value);
    return true;
}

/* The one spelling of a place that check_input has let through. */
static const char *canonical(const char *place)
{
    return bw_territory_code(place_index(place));
}

static void add_operator(struct pairs *pairs, struct bw_facts *facts, const struct bw_operator_facts *by,
                         size_t node)
{
    for (size_t i = 0; i < by->jurisdiction_count; i++)
        add_pair(pairs, canonical(by->jurisdictions[i]), node);
    if (by->jurisdiction_count == 0)
        bw_bitset_set(&facts->jurisdiction_unknown, node);
}

static void add_place(struct pairs *pairs, struct bw_bitset *unknown, const char *place, size_t node)
{
    if (place == NULL)
        bw_bitset_set(unknown, node);
    else
        add_pair(pairs, canonical(place), node);
}

static bool build_places(struct bw_facts *facts, struct pairs *pairs)
{
    for (size_t i = 0; i < facts->relay_count; i++)
        add_place(pairs, &facts->place_unknown, facts->relays[i].place, i);
    for (size_t i = 0; i < facts->cell_count; i++)
        add_place(pairs, &facts->place_unknown, facts->cells[i].place, facts->relay_count + i);
    if (!take_place_columns(pairs, facts->node_count, &facts->places))
        return false;
    for (size_t i = 0; i < facts->relay_count; i++) {
        if (facts->relays[i].site == NULL)
            bw_bitset_set(&facts->site_unknown, i);
        else
            add_pair(pairs, facts->relays[i].site, i);
    }
    return take_columns(pairs, facts->node_count, &facts->sites);
}

static bool build_attestations(struct bw_facts *facts, struct pairs *pairs)
{
    for (size_t i = 0; i < facts->relay_count; i++)
        add_operator(pairs, facts, &facts->relays[i].operated_by, i);
    for (size_t i = 0; i < facts->cell_count; i++)
        add_operator(pairs, facts, &facts->cells[i].operated_by, facts->relay_count + i);
    if (!take_place_columns(pairs, facts->node_count, &facts->jurisdictions))
        return false;
    for (size_t i = 0; i < facts->relay_count; i++)
        for (size_t c = 0; c < facts->relays[i].certification_count; c++)
            add_pair(pairs, facts->relays[i].certifications[c].name, i);
    for (size_t i = 0; i < facts->cell_count; i++)
        for (size_t c = 0; c < facts->cells[i].certification_count; c++)
            add_pair(pairs, facts->cells[i].certifications[c].name, facts->relay_count + i);
    return take_columns(pairs, facts->node_count, &facts->certifications);
}

static bool build_services(struct bw_facts *facts, struct pairs *pairs)
{
    for (size_t i = 0; i < facts->relay_count; i++) {
        const struct bw_relay_facts *relay = &facts->relays[i];
        for (size_t t = 0; t < relay->tenant_count; t++)
            add_pair(pairs, relay->tenants[t], i);
        if (relay->tenant_count == 0)
            bw_bitset_set(&facts->all_tenants, i);
        for (unsigned kind = 0; kind < BW_CONNECTOR_COUNT; kind++)
            if (relay->connectors & BW_CONNECTOR_BIT(kind))
                bw_bitset_set(&facts->offers[kind], i);
    }
    bw_bitset_or(&facts->all_tenants, &facts->cell_nodes);
    if (!take_columns(pairs, facts->node_count, &facts->tenants))
        return false;
    for (size_t i = 0; i < facts->relay_count; i++) {
        const struct bw_relay_facts *relay = &facts->relays[i];
        for (size_t s = 0; s < relay->store_count; s++)
            add_pair(pairs, canonical(relay->stores[s]), i);
        if (!relay->stores_known)
            bw_bitset_set(&facts->stores_unknown, i);
    }
    return take_place_columns(pairs, facts->node_count, &facts->stores);
}

bool bw_facts_transpose(struct bw_facts *facts)
{
    struct bw_bitset *masks[] = {
        &facts->relay_nodes,          &facts->cell_nodes,     &facts->place_unknown, &facts->site_unknown,
        &facts->jurisdiction_unknown, &facts->stores_unknown, &facts->all_tenants,
    };
    for (size_t i = 0; i < BW_ARRAY_LEN(masks); i++)
        if (!bw_bitset_init(masks[i], facts->arena, facts->node_count))
            return false;
    for (size_t i = 0; i < BW_CONNECTOR_COUNT; i++)
        if (!bw_bitset_init(&facts->offers[i], facts->arena, facts->node_count))
            return false;
    for (size_t i = 0; i < facts->node_count; i++)
        bw_bitset_set(i < facts->relay_count ? &facts->relay_nodes : &facts->cell_nodes, i);
    struct pairs pairs = {.arena = facts->arena};
    bool ok =
        build_places(facts, &pairs) && build_attestations(facts, &pairs) && build_services(facts, &pairs);
    bw_free(pairs.items);
    return ok;
}
