#include "placement/fleet_file.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "placement/fleet_fields.h"
#include "yaml/scalar.h"

enum { FILE_BYTES_MAX = 64 << 20 };

struct loading {
    const struct bw_source *source;
    struct bw_diags *diags;
    struct bw_arena *arena;
    const struct bw_fleet_file *file;
    bool full;
};

static void *room(struct loading *loading, size_t count, size_t bytes)
{
    void *p = bw_arena_zalloc(loading->arena, count, bytes);
    if (p == NULL)
        loading->full = true;
    return p;
}

/* NULL when absent. */
static const char *text_of(const struct bw_yaml_text *text)
{
    return text->at.line == 0 ? NULL : (const char *)text->text.data;
}

/* Drops entries that did not decode; those are reported. */
static const char *const *texts_of(struct loading *loading, const struct bw_yaml_texts *texts, size_t *count)
{
    const char **out = room(loading, texts->count, sizeof *out);
    *count = 0;
    for (size_t i = 0; out != NULL && i < texts->count; i++)
        if (texts->items[i].at.line != 0)
            out[(*count)++] = (const char *)texts->items[i].text.data;
    return out;
}

static struct bw_operator_facts operator_of(struct loading *loading, const struct bw_fleet_operator *by)
{
    struct bw_operator_facts out = {.name = text_of(&by->name)};
    out.jurisdictions = texts_of(loading, &by->jurisdictions, &out.jurisdiction_count);
    return out;
}

static const struct bw_certification *
certifications_of(struct loading *loading, const struct bw_fleet_certifications *list, size_t *count)
{
    struct bw_certification *out = room(loading, list->count, sizeof *out);
    *count = 0;
    for (size_t i = 0; out != NULL && i < list->count; i++) {
        const struct bw_fleet_certification *item = &list->items[i];
        if (item->name.at.line == 0)
            continue;
        out[(*count)++] = (struct bw_certification){
            .name = (const char *)item->name.text.data,
            .expires_ms = item->expires.at.line != 0 ? item->expires.value : BW_NEVER_MS};
    }
    return out;
}

static void duplicate(struct loading *loading, const char *what, const struct bw_yaml_text *again,
                      const struct bw_yaml_text *first)
{
    struct bw_diag *diag = bw_diag_add(loading->diags, loading->source, BW_P_FLEET_DUPLICATE, again->at,
                                       "two %s are named %s", what, (const char *)again->text.data);
    bw_diag_relate(loading->diags, diag, loading->source, first->at, "the first is here");
}

struct named {
    const struct bw_yaml_text *text;
    size_t index;
};

static int by_name(const void *a, const void *b)
{
    const struct named *x = a, *y = b;
    int order = strcmp((const char *)x->text->text.data, (const char *)y->text->text.data);
    return order != 0 ? order : (x->index > y->index) - (x->index < y->index);
}

/* The relays' names in order, for duplicates and for numbering. */
static struct named *sort_relays(struct loading *loading, size_t *count)
{
    const struct bw_fleet_relays *relays = &loading->file->relays;
    struct named *names = room(loading, relays->count, sizeof *names);
    *count = 0;
    for (size_t i = 0; names != NULL && i < relays->count; i++)
        if (relays->items[i].id.at.line != 0)
            names[(*count)++] = (struct named){.text = &relays->items[i].id, .index = i};
    if (*count > 1)
        qsort(names, *count, sizeof *names, by_name);
    for (size_t i = 1; i < *count; i++)
        if (bw_view_equal(names[i - 1].text->text, names[i].text->text))
            duplicate(loading, "relays", names[i].text, names[i - 1].text);
    return names;
}

static bool has_region(const struct bw_fleet_file *file, struct bw_view name)
{
    for (size_t i = 0; i < file->regions.count; i++)
        if (file->regions.items[i].name.at.line != 0 && bw_view_equal(file->regions.items[i].name.text, name))
            return true;
    return false;
}

static bool has_relay(const struct bw_fleet_file *file, struct bw_view name)
{
    for (size_t i = 0; i < file->relays.count; i++)
        if (file->relays.items[i].id.at.line != 0 && bw_view_equal(file->relays.items[i].id.text, name))
            return true;
    return false;
}

static void check_names(struct loading *loading)
{
    const struct bw_fleet_file *file = loading->file;
    for (size_t i = 0; i < file->regions.count; i++)
        for (size_t j = 0; j < i; j++)
            if (file->regions.items[i].name.at.line != 0 && file->regions.items[j].name.at.line != 0 &&
                bw_view_equal(file->regions.items[i].name.text, file->regions.items[j].name.text))
                duplicate(loading, "regions", &file->regions.items[i].name, &file->regions.items[j].name);
    for (size_t i = 0; i < file->cells.count; i++)
        for (size_t j = 0; j < i; j++)
            if (file->cells.items[i].name.at.line != 0 && file->cells.items[j].name.at.line != 0 &&
                bw_view_equal(file->cells.items[i].name.text, file->cells.items[j].name.text))
                duplicate(loading, "cells", &file->cells.items[i].name, &file->cells.items[j].name);
    for (size_t i = 0; i < file->relays.count; i++) {
        const struct bw_yaml_text *region = &file->relays.items[i].region;
        if (region->at.line != 0 && !has_region(file, region->text))
            bw_diag_add(loading->diags, loading->source, BW_P_FLEET_REFERENCE, region->at,
                        "there is no region %s in this file", (const char *)region->text.data);
    }
}

static struct bw_relay_facts relay_facts(struct loading *loading, const struct bw_fleet_relay *relay)
{
    struct bw_relay_facts out = {
        .name = text_of(&relay->id),
        .site = text_of(&relay->site),
        .region = text_of(&relay->region),
        .place = text_of(&relay->country),
        .operated_by = operator_of(loading, &relay->operated_by),
        .media = (enum bw_media)relay->media.value,
        .cascade = relay->cascade.value != 0,
        .far_leg = (enum bw_far_leg)relay->far_leg.value,
        .stores_known = relay->stores.at.line != 0,
        .version = (uint32_t)relay->version.value,
    };
    out.certifications = certifications_of(loading, &relay->certifications, &out.certification_count);
    out.tenants = texts_of(loading, &relay->tenants, &out.tenant_count);
    out.stores = texts_of(loading, &relay->stores, &out.store_count);
    for (size_t i = 0; i < relay->connectors.count; i++)
        if (relay->connectors.items[i].at.line != 0)
            out.connectors |= BW_CONNECTOR_BIT(relay->connectors.items[i].value);
    return out;
}

static enum bw_code build_facts(struct loading *loading, const struct named *names, size_t count,
                                struct bw_facts **facts, struct bw_error *err)
{
    const struct bw_fleet_file *file = loading->file;
    struct bw_relay_facts *relays = room(loading, count, sizeof *relays);
    struct bw_cell_facts *cells = room(loading, file->cells.count, sizeof *cells);
    if (loading->full)
        return bw_fail_memory(err);
    for (size_t i = 0; i < count; i++) {
        relays[i] = relay_facts(loading, &file->relays.items[names[i].index]);
        relays[i].number = (uint32_t)i + 1;
    }
    for (size_t i = 0; i < file->cells.count; i++) {
        const struct bw_fleet_cell *cell = &file->cells.items[i];
        cells[i] = (struct bw_cell_facts){.name = text_of(&cell->name),
                                          .place = text_of(&cell->country),
                                          .operated_by = operator_of(loading, &cell->operated_by)};
        cells[i].certifications =
            certifications_of(loading, &cell->certifications, &cells[i].certification_count);
    }
    if (loading->full)
        return bw_fail_memory(err);
    return bw_facts_create(relays, count, cells, file->cells.count, 0, facts, err);
}

/* [a, b]; false (and reported) when it is not two names. */
static bool pair_of(struct loading *loading, const struct bw_yaml_texts *tuple, size_t size, const char *form)
{
    bool ok = tuple->count == size;
    for (size_t i = 0; i < tuple->count; i++)
        ok = ok && tuple->items[i].at.line != 0;
    if (!ok && tuple->at.line != 0)
        bw_diag_add(loading->diags, loading->source, BW_P_FLEET_FORM, tuple->at, "write %s", form);
    return ok;
}

static uint32_t microseconds(const struct bw_yaml_decimal *milliseconds)
{
    return (uint32_t)(milliseconds->millionths / 1000);
}

static void read_rtts(struct loading *loading, struct bw_snapshot_input *input)
{
    const struct bw_fleet_rtt *rtt = &loading->file->rtt;
    struct bw_rtt *out = room(loading, rtt->pairs.count, sizeof *out);
    if (out == NULL)
        return;
    for (size_t i = 0; i < rtt->pairs.count; i++) {
        const struct bw_yaml_texts *tuple = &rtt->pairs.items[i];
        if (!pair_of(loading, tuple, 3, "[region, region, milliseconds]"))
            continue;
        int64_t millionths;
        if (!bw_scalar_decimal(tuple->items[2].text, &millionths) || millionths < 0 ||
            millionths > 2000 * INT64_C(1000000)) {
            bw_diag_add(loading->diags, loading->source, BW_P_FLEET_FORM, tuple->items[2].at,
                        "a round trip is 0 to 2000 milliseconds");
            continue;
        }
        bool known = true;
        for (int side = 0; side < 2; side++) {
            if (has_region(loading->file, tuple->items[side].text))
                continue;
            known = false;
            bw_diag_add(loading->diags, loading->source, BW_P_FLEET_REFERENCE, tuple->items[side].at,
                        "there is no region %s in this file", (const char *)tuple->items[side].text.data);
        }
        if (known)
            out[input->rtt_count++] = (struct bw_rtt){.a = (const char *)tuple->items[0].text.data,
                                                      .b = (const char *)tuple->items[1].text.data,
                                                      .rtt_us = (uint32_t)(millionths / 1000)};
    }
    input->rtts = out;
    input->has_same = rtt->same.at.line != 0;
    input->same_us = microseconds(&rtt->same);
    input->has_default = rtt->fallback.at.line != 0;
    input->default_us = microseconds(&rtt->fallback);
}

static void read_legs(struct loading *loading, struct bw_snapshot_input *input)
{
    const struct bw_fleet_tuples *deny = &loading->file->legs.deny;
    struct bw_pair *out = room(loading, deny->count, sizeof *out);
    if (out == NULL)
        return;
    for (size_t i = 0; i < deny->count; i++) {
        const struct bw_yaml_texts *tuple = &deny->items[i];
        if (!pair_of(loading, tuple, 2, "[relay, relay] or [region, relay]"))
            continue;
        bool known = true;
        for (int side = 0; side < 2; side++) {
            struct bw_view name = tuple->items[side].text;
            if (has_relay(loading->file, name) || has_region(loading->file, name))
                continue;
            known = false;
            bw_diag_add(loading->diags, loading->source, BW_P_LINK_TO_NOTHING, tuple->items[side].at,
                        "no relay or region in this file is named %s", (const char *)name.data);
        }
        if (known && !has_relay(loading->file, tuple->items[0].text) &&
            !has_relay(loading->file, tuple->items[1].text)) {
            bw_diag_add(loading->diags, loading->source, BW_P_FLEET_FORM, tuple->at,
                        "write [relay, relay] or [region, relay]");
            continue;
        }
        if (known)
            out[input->denied_count++] = (struct bw_pair){.a = (const char *)tuple->items[0].text.data,
                                                          .b = (const char *)tuple->items[1].text.data};
    }
    input->denied = out;
}

static void read_regions(struct loading *loading, struct bw_snapshot_input *input)
{
    const struct bw_fleet_regions *regions = &loading->file->regions;
    struct bw_region *out = room(loading, regions->count, sizeof *out);
    for (size_t i = 0; out != NULL && i < regions->count; i++) {
        const struct bw_fleet_region *region = &regions->items[i];
        if (region->name.at.line == 0)
            continue;
        struct bw_region *made = &out[input->region_count++];
        *made = (struct bw_region){.name = (const char *)region->name.text.data,
                                   .has_position = region->lat.at.line != 0 && region->lon.at.line != 0,
                                   .lat_udeg = (int32_t)region->lat.millionths,
                                   .lon_udeg = (int32_t)region->lon.millionths};
        made->countries = texts_of(loading, &region->countries, &made->country_count);
    }
    input->regions = out;
}

static enum bw_code build_snapshot(struct loading *loading, const struct named *names, size_t count,
                                   struct bw_snapshot_input *input, struct bw_snapshot **snapshot,
                                   struct bw_error *err)
{
    struct bw_relay_live *live = room(loading, count, sizeof *live);
    if (live == NULL)
        return bw_fail_memory(err);
    /* Facts are sorted by name too. */
    for (size_t i = 0; i < count; i++) {
        const struct bw_fleet_relay *relay = &loading->file->relays.items[names[i].index];
        live[i] = (struct bw_relay_live){.state = (enum bw_relay_state)relay->state.value,
                                         .lease_ok = true,
                                         .capacity = (uint32_t)relay->capacity.value,
                                         .load_ppm = (uint32_t)relay->load.millionths};
    }
    input->live = live;
    return bw_snapshot_create(input, snapshot, err);
}

static enum bw_code load(struct loading *loading, struct bw_snapshot **snapshot, struct bw_error *err)
{
    size_t count;
    const struct named *names = sort_relays(loading, &count);
    struct bw_snapshot_input input = {.denied_may_dangle = false};
    check_names(loading);
    read_regions(loading, &input);
    read_rtts(loading, &input);
    read_legs(loading, &input);
    if (loading->full)
        return bw_fail_memory(err);
    if (!bw_diags_ok(loading->diags))
        return bw_diags_status(loading->diags, err);
    enum bw_code code = build_facts(loading, names, count, &input.facts, err);
    if (code != BW_OK)
        return code;
    code = build_snapshot(loading, names, count, &input, snapshot, err);
    bw_facts_release(input.facts);
    return code;
}

enum bw_code bw_fleet_load(const struct bw_source *source, struct bw_diags *diags,
                           struct bw_snapshot **snapshot, struct bw_error *err)
{
    struct bw_arena *arena = bw_arena_create(FILE_BYTES_MAX);
    if (arena == NULL)
        return bw_fail_memory(err);
    struct bw_fleet_file file;
    enum bw_code code = bw_yaml_load(source, &bw_fleet_table, &file, false, arena, diags, err);
    if (code == BW_OK) {
        struct loading loading = {.source = source, .diags = diags, .arena = arena, .file = &file};
        code = load(&loading, snapshot, err);
    }
    bw_arena_destroy(arena);
    return code;
}
