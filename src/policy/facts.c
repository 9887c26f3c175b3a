#include "policy/facts.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/arena.h"
#include "base/check.h"
#include "policy/facts_internal.h"
#include "policy/territory.h"

enum { FACTS_BYTES_MAX = 512 << 20 };

static bool copy_text(struct bw_arena *arena, const char **text)
{
    if (*text == NULL)
        return true;
    *text = bw_arena_strdup(arena, *text);
    return *text != NULL;
}

static bool copy_texts(struct bw_arena *arena, const char *const **texts, size_t count)
{
    const char **copy = bw_arena_zalloc(arena, count, sizeof *copy);
    if (copy == NULL)
        return false;
    for (size_t i = 0; i < count; i++) {
        copy[i] = (*texts)[i];
        if (!copy_text(arena, &copy[i]))
            return false;
    }
    *texts = copy;
    return true;
}

static bool copy_certifications(struct bw_arena *arena, const struct bw_certification **certifications,
                                size_t count)
{
    struct bw_certification *copy = bw_arena_zalloc(arena, count, sizeof *copy);
    if (copy == NULL)
        return false;
    for (size_t i = 0; i < count; i++) {
        copy[i] = (*certifications)[i];
        if (!copy_text(arena, &copy[i].name))
            return false;
    }
    *certifications = copy;
    return true;
}

static bool copy_operator(struct bw_arena *arena, struct bw_operator_facts *by)
{
    return copy_text(arena, &by->name) && copy_texts(arena, &by->jurisdictions, by->jurisdiction_count);
}

static bool copy_relay(struct bw_arena *arena, struct bw_relay_facts *relay)
{
    return copy_text(arena, &relay->name) && copy_text(arena, &relay->site) &&
           copy_text(arena, &relay->region) && copy_text(arena, &relay->place) &&
           copy_operator(arena, &relay->operated_by) &&
           copy_certifications(arena, &relay->certifications, relay->certification_count) &&
           copy_texts(arena, &relay->tenants, relay->tenant_count) &&
           copy_texts(arena, &relay->stores, relay->store_count);
}

static bool copy_cell(struct bw_arena *arena, struct bw_cell_facts *cell)
{
    return copy_text(arena, &cell->name) && copy_text(arena, &cell->place) &&
           copy_operator(arena, &cell->operated_by) &&
           copy_certifications(arena, &cell->certifications, cell->certification_count);
}

static int compare_relays(const void *a, const void *b)
{
    return strcmp(((const struct bw_relay_facts *)a)->name, ((const struct bw_relay_facts *)b)->name);
}

static int compare_cells(const void *a, const void *b)
{
    return strcmp(((const struct bw_cell_facts *)a)->name, ((const struct bw_cell_facts *)b)->name);
}

static int compare_numbers(const void *a, const void *b, void *relays)
{
    uint32_t x = ((const struct bw_relay_facts *)relays)[*(const uint32_t *)a].number;
    uint32_t y = ((const struct bw_relay_facts *)relays)[*(const uint32_t *)b].number;
    return (x > y) - (x < y);
}

static bool copy_and_sort(struct bw_facts *facts, const struct bw_relay_facts *relays,
                          const struct bw_cell_facts *cells)
{
    struct bw_relay_facts *own_relays = bw_arena_zalloc(facts->arena, facts->relay_count, sizeof *own_relays);
    struct bw_cell_facts *own_cells = bw_arena_zalloc(facts->arena, facts->cell_count, sizeof *own_cells);
    uint32_t *by_number = bw_arena_zalloc(facts->arena, facts->relay_count, sizeof *by_number);
    if (own_relays == NULL || own_cells == NULL || by_number == NULL)
        return false;
    for (size_t i = 0; i < facts->relay_count; i++) {
        own_relays[i] = relays[i];
        if (!copy_relay(facts->arena, &own_relays[i]))
            return false;
    }
    for (size_t i = 0; i < facts->cell_count; i++) {
        own_cells[i] = cells[i];
        if (!copy_cell(facts->arena, &own_cells[i]))
            return false;
    }
    if (facts->relay_count > 1)
        qsort(own_relays, facts->relay_count, sizeof *own_relays, compare_relays);
    if (facts->cell_count > 1)
        qsort(own_cells, facts->cell_count, sizeof *own_cells, compare_cells);
    for (size_t i = 0; i < facts->relay_count; i++)
        by_number[i] = (uint32_t)i;
    if (facts->relay_count > 1)
        qsort_r(by_number, facts->relay_count, sizeof *by_number, compare_numbers, own_relays);
    facts->relays = own_relays;
    facts->cells = own_cells;
    facts->by_number = by_number;
    return true;
}

static enum bw_code check_name(const char *what, const char *name, struct bw_error *err)
{
    if (name == NULL || name[0] == '\0' || strlen(name) > BW_NAME_MAX)
        return bw_fail(err, BW_INVALID_ARGUMENT, NULL, "a %s needs a name of 1 to %d characters", what,
                       BW_NAME_MAX);
    return BW_OK;
}

static enum bw_code check_place(const char *what, const char *name, const char *role, const char *place,
                                struct bw_error *err)
{
    uint16_t index;
    if (place == NULL || bw_territory_find(bw_view_str(place), &index))
        return BW_OK;
    return bw_fail(err, BW_INVALID_ARGUMENT, NULL, "%s %s: %s \"%s\" is not an ISO 3166 code", what, name,
                   role, place);
}

static enum bw_code check_operator(const char *what, const char *name, const struct bw_operator_facts *by,
                                   struct bw_error *err)
{
    for (size_t i = 0; i < by->jurisdiction_count; i++) {
        enum bw_code code = check_place(what, name, "jurisdiction", by->jurisdictions[i], err);
        if (code != BW_OK)
            return code;
    }
    return BW_OK;
}

static enum bw_code check_input(const struct bw_relay_facts *relays, size_t relay_count,
                                const struct bw_cell_facts *cells, size_t cell_count, struct bw_error *err)
{
    if (relay_count > BW_RELAYS_MAX || cell_count > BW_CELLS_MAX)
        return bw_fail(err, BW_INVALID_ARGUMENT, NULL, "at most %d relays and %d cells", BW_RELAYS_MAX,
                       BW_CELLS_MAX);
    for (size_t i = 0; i < relay_count; i++) {
        const struct bw_relay_facts *relay = &relays[i];
        enum bw_code code = check_name("relay", relay->name, err);
        if (code == BW_OK)
            code = check_place("relay", relay->name, "place", relay->place, err);
        if (code == BW_OK)
            code = check_operator("relay", relay->name, &relay->operated_by, err);
        for (size_t s = 0; code == BW_OK && s < relay->store_count; s++)
            code = check_place("relay", relay->name, "store", relay->stores[s], err);
        if (code != BW_OK)
            return code;
    }
    for (size_t i = 0; i < cell_count; i++) {
        enum bw_code code = check_name("cell", cells[i].name, err);
        if (code == BW_OK)
            code = check_place("cell", cells[i].name, "place", cells[i].place, err);
        if (code == BW_OK)
            code = check_operator("cell", cells[i].name, &cells[i].operated_by, err);
        if (code != BW_OK)
            return code;
    }
    return BW_OK;
}

/* After sorting, so that equal names are neighbours. */
static enum bw_code check_unique(const struct bw_facts *facts, struct bw_error *err)
{
    for (size_t i = 1; i < facts->relay_count; i++) {
        if (strcmp(facts->relays[i - 1].name, facts->relays[i].name) == 0)
            return bw_fail(err, BW_INVALID_ARGUMENT, NULL, "two relays are named %s", facts->relays[i].name);
        const struct bw_relay_facts *a = &facts->relays[facts->by_number[i - 1]];
        const struct bw_relay_facts *b = &facts->relays[facts->by_number[i]];
        if (a->number == b->number)
            return bw_fail(err, BW_INVALID_ARGUMENT, NULL, "relays %s and %s have the same number %u",
                           a->name, b->name, a->number);
    }
    for (size_t i = 1; i < facts->cell_count; i++)
        if (strcmp(facts->cells[i - 1].name, facts->cells[i].name) == 0)
            return bw_fail(err, BW_INVALID_ARGUMENT, NULL, "two cells are named %s", facts->cells[i].name);
    return BW_OK;
}

enum bw_code bw_facts_create(const struct bw_relay_facts *relays, size_t relay_count,
                             const struct bw_cell_facts *cells, size_t cell_count, uint64_t revision,
                             struct bw_facts **facts, struct bw_error *err)
{
    enum bw_code code = check_input(relays, relay_count, cells, cell_count, err);
    if (code != BW_OK)
        return code;
    struct bw_arena *arena = bw_arena_create(FACTS_BYTES_MAX);
    struct bw_facts *fresh = arena == NULL ? NULL : bw_arena_zalloc(arena, 1, sizeof *fresh);
    if (fresh == NULL) {
        bw_arena_destroy(arena);
        return bw_fail_memory(err);
    }
    fresh->references = 1;
    fresh->arena = arena;
    fresh->revision = revision;
    fresh->relay_count = relay_count;
    fresh->cell_count = cell_count;
    fresh->node_count = relay_count + cell_count;
    if (!copy_and_sort(fresh, relays, cells))
        code = bw_fail_memory(err);
    if (code == BW_OK)
        code = check_unique(fresh, err);
    if (code == BW_OK && !bw_facts_transpose(fresh))
        code = bw_fail_memory(err);
    if (code != BW_OK) {
        bw_arena_destroy(arena);
        return code;
    }
    bw_facts_digest(fresh);
    *facts = fresh;
    return BW_OK;
}

struct bw_facts *bw_facts_retain(struct bw_facts *facts)
{
    atomic_fetch_add_explicit(&facts->references, 1, memory_order_relaxed);
    return facts;
}

void bw_facts_release(struct bw_facts *facts)
{
    if (facts != NULL && atomic_fetch_sub_explicit(&facts->references, 1, memory_order_acq_rel) == 1)
        bw_arena_destroy(facts->arena);
}

size_t bw_facts_find_relay(const struct bw_facts *facts, const char *name)
{
    size_t low = 0, high = facts->relay_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(facts->relays[middle].name, name);
        if (order == 0)
            return middle;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return SIZE_MAX;
}

size_t bw_facts_find_number(const struct bw_facts *facts, uint32_t number)
{
    size_t low = 0, high = facts->relay_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        uint32_t at = facts->relays[facts->by_number[middle]].number;
        if (at == number)
            return facts->by_number[middle];
        if (at < number)
            low = middle + 1;
        else
            high = middle;
    }
    return SIZE_MAX;
}

size_t bw_facts_find_cell(const struct bw_facts *facts, const char *name)
{
    for (size_t i = 0; i < facts->cell_count; i++)
        if (strcmp(facts->cells[i].name, name) == 0)
            return i;
    return SIZE_MAX;
}

const struct bw_bitset *bw_facts_column(const struct bw_fact_columns *columns, const char *value)
{
    size_t low = 0, high = columns->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(columns->items[middle].value, value);
        if (order == 0)
            return &columns->items[middle].nodes;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

uint64_t bw_facts_certified_until(const struct bw_facts *facts, size_t node, const char *certification)
{
    BW_CHECK(node < facts->node_count);
    bool is_relay = node < facts->relay_count;
    const struct bw_cell_facts *cell = is_relay ? NULL : &facts->cells[node - facts->relay_count];
    const struct bw_certification *items =
        is_relay ? facts->relays[node].certifications : cell->certifications;
    size_t count = is_relay ? facts->relays[node].certification_count : cell->certification_count;
    uint64_t until = 0;
    for (size_t i = 0; i < count; i++)
        if (strcmp(items[i].name, certification) == 0 && items[i].expires_ms > until)
            until = items[i].expires_ms;
    return until;
}

const char *bw_facts_node_name(const struct bw_facts *facts, size_t node)
{
    BW_CHECK(node < facts->node_count);
    return node < facts->relay_count ? facts->relays[node].name
                                     : facts->cells[node - facts->relay_count].name;
}
