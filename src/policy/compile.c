#include "policy/compile.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "crypto/hash.h"
#include "policy/compile_internal.h"

enum { SET_BYTES_MAX = 256 << 20, LIST_TEXT_MAX = 120 };

static const char *own(struct bw_compile *compile, const char *text)
{
    if (text == NULL)
        return NULL;
    const char *copy = bw_arena_strdup(compile->arena, text);
    if (copy == NULL)
        compile->full = true;
    return copy;
}

struct bw_clause bw_compile_clause(struct bw_compile *compile, const struct bw_compile_level *level,
                                   struct bw_pos at, const char *path, const char *text)
{
    return (struct bw_clause){.file = level->file,
                              .line = at.line,
                              .col = at.col,
                              .level = level->chain->level,
                              .level_name = level->name,
                              .path = path,
                              .text = own(compile, text)};
}

const char *bw_compile_list_text(struct bw_compile *compile, const struct bw_policy_places *places)
{
    char text[LIST_TEXT_MAX + 4];
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; i < places->count; i++) {
        const struct bw_policy_place *place = &places->items[i];
        const char *site = place->kind == BW_PLACE_SITE ? "site:" : "";
        size_t need = place->text.len + strlen(site) + 2;
        if (used + need >= LIST_TEXT_MAX) {
            memcpy(text + used, "...", sizeof "...");
            break;
        }
        int wrote = snprintf(text + used, sizeof text - used, "%s%s%.*s", i == 0 ? "" : ", ", site,
                             (int)place->text.len, (const char *)place->text.data);
        used += wrote > 0 ? (size_t)wrote : 0;
    }
    const char *copy = bw_arena_strdup(compile->scratch, text);
    if (copy == NULL)
        compile->full = true;
    return copy;
}

void bw_compile_cut(struct bw_compile *compile, struct bw_cut_list *list,
                    const struct bw_compile_level *level, enum bw_reason reason, struct bw_pos at,
                    const char *path, const char *text, const struct bw_bitset *nodes)
{
    if (compile->full || bw_bitset_empty(nodes))
        return;
    struct bw_cut_node *node = bw_arena_zalloc(compile->scratch, 1, sizeof *node);
    if (node == NULL || !bw_bitset_init(&node->cut.nodes, compile->arena, nodes->bits)) {
        compile->full = true;
        return;
    }
    node->cut.reason = reason;
    node->cut.clause = bw_compile_clause(compile, level, at, path, text);
    bw_bitset_copy(&node->cut.nodes, nodes);
    *list->end = node;
    list->end = &node->next;
    list->count++;
}

bool bw_compile_denied(const struct bw_chain_level *level, bool entry, const struct bw_policy_place *place,
                       struct bw_territory_set *set)
{
    struct bw_policy_places one = {.count = 1, .items = (struct bw_policy_place *)(uintptr_t)place};
    bw_policy_places_expand(&one, BW_TERRITORY_DENYING, set);
    for (size_t i = 0; i < level->lift_count; i++) {
        const struct bw_policy_lifts *lifts = &level->lifts[i]->lifts;
        const struct bw_policy_places *lifted = entry ? &lifts->entry.deny : &lifts->transit.deny;
        if (lifted->count == 0)
            continue;
        for (size_t l = 0; place->kind == BW_PLACE_SITE && l < lifted->count; l++)
            if (lifted->items[l].kind == BW_PLACE_SITE && bw_view_equal(lifted->items[l].text, place->text))
                return false;
        struct bw_territory_set places;
        bw_policy_places_expand(lifted, BW_TERRITORY_ALLOWING, &places);
        bw_territory_set_andnot(set, &places);
    }
    return place->kind == BW_PLACE_SITE || !bw_territory_set_empty(set);
}

void bw_compile_coarse(const struct bw_policy_places *places, struct bw_territory_set *set)
{
    bw_territory_set_clear(set);
    for (size_t i = 0; i < places->count; i++) {
        if (places->items[i].kind != BW_PLACE_TERRITORY)
            continue;
        for (uint16_t up = bw_territory_parent(places->items[i].index); up != BW_TERRITORY_NONE;
             up = bw_territory_parent(up))
            bw_territory_set_add_exact(set, up);
    }
}

bool bw_places_have_all(const struct bw_policy_places *places)
{
    for (size_t i = 0; i < places->count; i++)
        if (places->items[i].kind == BW_PLACE_ALL)
            return true;
    return false;
}

bool bw_places_only_sites(const struct bw_policy_places *places)
{
    for (size_t i = 0; i < places->count; i++)
        if (places->items[i].kind != BW_PLACE_SITE)
            return false;
    return true;
}

static void own_levels(struct bw_compile *compile, const struct bw_policy_chain *chain)
{
    struct bw_compile_level *levels = bw_arena_zalloc(compile->scratch, chain->count, sizeof *levels);
    if (levels == NULL) {
        compile->full = true;
        return;
    }
    for (size_t i = 0; i < chain->count; i++) {
        const struct bw_policy_doc *doc = chain->levels[i].doc;
        bool same = i > 0 && chain->levels[i - 1].doc == doc;
        levels[i].chain = &chain->levels[i];
        levels[i].file = same ? levels[i - 1].file : own(compile, doc->source.file);
        levels[i].name = own(compile, chain->levels[i].name);
    }
    compile->levels = levels;
    compile->level_count = chain->count;
}

/* Exceptions in force, for those who ask why something is allowed. */
static void own_exceptions(struct bw_compile *compile)
{
    size_t count = 0, total = 0;
    for (size_t i = 0; i < compile->level_count; i++)
        total += compile->levels[i].chain->lift_count;
    if (total == 0)
        return;
    struct bw_constraints_exception *out = bw_arena_zalloc(compile->arena, total, sizeof *out);
    if (out == NULL) {
        compile->full = true;
        return;
    }
    for (size_t i = 0; i < compile->level_count; i++) {
        const struct bw_compile_level *level = &compile->levels[i];
        for (size_t l = 0; l < level->chain->lift_count; l++) {
            const struct bw_policy_exception *exception = level->chain->lifts[l];
            const char *id = (const char *)exception->id.text.data;
            out[count++] = (struct bw_constraints_exception){
                .id = own(compile, id),
                .reason = own(compile, (const char *)exception->reason.text.data),
                .expires_ms = exception->expires.value,
                .clause = bw_compile_clause(compile, level, exception->id.at, "exceptions", id),
            };
        }
    }
    compile->out->exceptions = out;
    compile->out->exception_count = count;
}

static void cut_other_tenants(struct bw_compile *compile)
{
    const struct bw_facts *facts = compile->facts;
    bw_bitset_fill(&compile->hit);
    bw_bitset_andnot(&compile->hit, &facts->all_tenants);
    const struct bw_bitset *ours = bw_facts_column(&facts->tenants, compile->out->tenant);
    if (ours != NULL)
        bw_bitset_andnot(&compile->hit, ours);
    static const struct bw_chain_level platform = {.level = BW_LEVEL_PLATFORM};
    const struct bw_compile_level level = {.chain = &platform};
    bw_compile_cut(compile, &compile->cuts, &level, BW_REASON_NOT_FOR_TENANT, (struct bw_pos){0}, "tenants",
                   NULL, &compile->hit);
}

/* The level whose residency.atRest leaves this cell out; NULL when all accept it. */
static const struct bw_compile_level *cell_refused_by(const struct bw_compile *compile, const char *cell)
{
    for (size_t i = 0; i < compile->level_count; i++) {
        const struct bw_yaml_texts *at_rest = &compile->levels[i].chain->sections->residency.at_rest;
        bool accepted = at_rest->at.line == 0;
        for (size_t t = 0; t < at_rest->count; t++)
            accepted = accepted || bw_view_equal_str(at_rest->items[t].text, "*") ||
                       bw_view_equal_str(at_rest->items[t].text, cell);
        if (!accepted)
            return &compile->levels[i];
    }
    return NULL;
}

static const char *choose_cell(const struct bw_compile *compile, const char *given)
{
    if (given != NULL)
        return given;
    for (size_t c = 0; c < compile->facts->cell_count; c++)
        if (cell_refused_by(compile, compile->facts->cells[c].name) == NULL)
            return compile->facts->cells[c].name;
    return compile->facts->cell_count > 0 ? compile->facts->cells[0].name : NULL;
}

/* The signalling cell is a leg of every placement: if it fails, every relay does. */
static void judge_cell(struct bw_compile *compile, const char *given)
{
    const struct bw_facts *facts = compile->facts;
    compile->out->signalling_ok = true;
    const char *cell = choose_cell(compile, given);
    if (cell == NULL)
        return;
    compile->out->cell = own(compile, cell);
    static const struct bw_chain_level platform = {.level = BW_LEVEL_PLATFORM};
    const struct bw_compile_level nobody = {.chain = &platform};
    const struct bw_compile_level *level = cell_refused_by(compile, cell);
    if (level != NULL) {
        const struct bw_yaml_texts *at_rest = &level->chain->sections->residency.at_rest;
        bw_compile_cut(compile, &compile->cuts, level, BW_REASON_SIGNALLING, at_rest->at, "residency.atRest",
                       cell, &facts->relay_nodes);
        compile->out->signalling_ok = false;
        return;
    }
    size_t index = bw_facts_find_cell(facts, cell);
    if (index == SIZE_MAX) {
        bw_compile_cut(compile, &compile->cuts, &nobody, BW_REASON_SIGNALLING, (struct bw_pos){0}, "cells",
                       cell, &facts->relay_nodes);
        compile->out->signalling_ok = false;
        return;
    }
    for (const struct bw_cut_node *at = compile->cuts.first; at != NULL; at = at->next) {
        if (!bw_bitset_test(&at->cut.nodes, facts->relay_count + index))
            continue;
        compile->out->signalling_ok = false;
        struct bw_cut_node *node = bw_arena_zalloc(compile->scratch, 1, sizeof *node);
        if (node == NULL || !bw_bitset_init(&node->cut.nodes, compile->arena, facts->node_count)) {
            compile->full = true;
            return;
        }
        node->cut.reason = BW_REASON_SIGNALLING;
        node->cut.clause = at->cut.clause;
        bw_bitset_copy(&node->cut.nodes, &facts->relay_nodes);
        *compile->cuts.end = node;
        compile->cuts.end = &node->next;
        compile->cuts.count++;
        return;
    }
}

static const struct bw_cut *flatten(struct bw_compile *compile, const struct bw_cut_list *list)
{
    struct bw_cut *cuts = bw_arena_zalloc(compile->arena, list->count, sizeof *cuts);
    if (cuts == NULL) {
        compile->full = true;
        return NULL;
    }
    size_t at = 0;
    for (const struct bw_cut_node *node = list->first; node != NULL; node = node->next)
        cuts[at++] = node->cut;
    return cuts;
}

static void conclude(struct bw_compile *compile)
{
    struct bw_constraints *out = compile->out;
    const struct bw_facts *facts = compile->facts;
    uint32_t *reasons = bw_arena_zalloc(compile->arena, facts->relay_count, sizeof *reasons);
    if (reasons == NULL || !bw_bitset_init(&out->eligible, compile->arena, facts->node_count)) {
        compile->full = true;
        return;
    }
    bw_bitset_copy(&out->eligible, &facts->relay_nodes);
    for (const struct bw_cut_node *at = compile->cuts.first; at != NULL; at = at->next) {
        bw_bitset_andnot(&out->eligible, &at->cut.nodes);
        for (size_t r = bw_bitset_next(&at->cut.nodes, 0); r < facts->relay_count;
             r = bw_bitset_next(&at->cut.nodes, r + 1))
            reasons[r] |= BW_REASON_BIT(at->cut.reason);
    }
    out->reasons = reasons;
    out->cuts = flatten(compile, &compile->cuts);
    out->cut_count = compile->cuts.count;
    out->connector_cuts = flatten(compile, &compile->connector_cuts);
    out->connector_cut_count = compile->connector_cuts.count;
}

static enum bw_code compile_chain(struct bw_compile *compile, const struct bw_compile_input *input,
                                  struct bw_error *err)
{
    struct bw_policy_chain chain;
    enum bw_code code = bw_policy_chain(input->tenant, input->meeting, &input->subject, input->role,
                                        input->now_ms, compile->scratch, &chain, err);
    if (code != BW_OK)
        return code;
    struct bw_constraints *out = compile->out;
    out->valid_until_ms = chain.valid_until_ms;
    out->tenant = own(compile, (const char *)input->tenant->tenant.text.data);
    bw_sha256(input->tenant->source.text, out->document_hash);
    own_levels(compile, &chain);
    own_exceptions(compile);
    struct bw_bitset *scratch[] = {&compile->hit, &compile->unknown, &compile->work};
    for (size_t i = 0; i < BW_ARRAY_LEN(scratch); i++)
        if (!bw_bitset_init(scratch[i], compile->scratch, compile->facts->node_count))
            compile->full = true;
    if (compile->full)
        return bw_fail_memory(err);
    bw_compile_transit(compile);
    judge_cell(compile, input->cell);
    /* A guest sits in the host's meeting, on relays the host may use. */
    if (input->role == BW_ROLE_HOST)
        cut_other_tenants(compile);
    bw_compile_stores(compile);
    bw_compile_entry(compile);
    bw_compile_hash(compile);
    if (!compile->full)
        conclude(compile);
    if (!compile->full)
        bw_compile_prefer(compile);
    if (compile->full)
        return bw_fail_memory(err);
    return bw_compile_terms(compile, err);
}

static enum bw_code compile_into(struct bw_arena *arena, struct bw_arena *scratch,
                                 const struct bw_compile_input *input, struct bw_constraints **constraints,
                                 struct bw_error *err)
{
    struct bw_constraints *out = bw_arena_zalloc(arena, 1, sizeof *out);
    if (out == NULL)
        return bw_fail_memory(err);
    out->references = 1;
    out->arena = arena;
    out->compiled_at_ms = input->now_ms;
    struct bw_compile compile = {
        .arena = arena, .scratch = scratch, .facts = input->facts, .now_ms = input->now_ms, .out = out};
    compile.cuts.end = &compile.cuts.first;
    compile.connector_cuts.end = &compile.connector_cuts.first;
    enum bw_code code = compile_chain(&compile, input, err);
    if (code != BW_OK)
        return code;
    out->facts = bw_facts_retain(input->facts);
    *constraints = out;
    return BW_OK;
}

enum bw_code bw_policy_compile(const struct bw_compile_input *input, struct bw_constraints **constraints,
                               struct bw_error *err)
{
    struct bw_arena *arena = bw_arena_create(SET_BYTES_MAX);
    struct bw_arena *scratch = bw_arena_create(SET_BYTES_MAX);
    enum bw_code code = arena != NULL && scratch != NULL
                            ? compile_into(arena, scratch, input, constraints, err)
                            : bw_fail_memory(err);
    bw_arena_destroy(scratch);
    if (code != BW_OK)
        bw_arena_destroy(arena);
    return code;
}
