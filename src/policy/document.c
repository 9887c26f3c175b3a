#include "policy/document.h"

#include <string.h>

#include "base/check.h"
#include "policy/document_internal.h"
#include "yaml/scalar.h"

static const char any_place[] = "an ISO 3166 code, a group, site:NAME or \"*\"";
static const char any_country[] = "an ISO 3166 code, a group or \"*\"";
static const char one_location[] = "an ISO 3166 code of a country or a part of one";

enum accepted { LOCATIONS = 1, GROUPS = 2, ALL = 4, SITES = 8 };

static void report_unknown(struct bw_decode *d, const struct bw_yaml_node *node, const char *what)
{
    char near[32];
    int len = (int)node->text.len;
    const char *text = (const char *)node->text.data;
    const char *successor = bw_territory_successor(node->text);
    if (successor) {
        struct bw_diag *diag = bw_diag_add(d->diags, d->source, BW_P_WITHDRAWN_CODE, node->at,
                                           "\"%.*s\" is not a code in use; write %s", len, text, successor);
        bw_diag_fix(d->diags, diag, BW_FIX_REPLACE, "%s", successor);
        return;
    }
    bool found = bw_territory_suggest(node->text, near);
    struct bw_diag *diag =
        bw_diag_add(d->diags, d->source, BW_P_UNKNOWN_TERRITORY, node->at, "\"%.*s\" is not %s%s%s%s", len,
                    text, what, found ? "; did you mean " : "", found ? near : "", found ? "?" : "");
    if (found)
        bw_diag_fix(d->diags, diag, BW_FIX_REPLACE, "%s", near);
}

static void report_pin(struct bw_decode *d, const struct bw_yaml_node *node)
{
    bw_diag_add(d->diags, d->source, BW_P_UNKNOWN_PIN, node->at,
                "\"%.*s\": the part behind @ is a date (2026-01-01) on which a version of the group is known",
                (int)node->text.len, (const char *)node->text.data);
}

static void refuse_here(struct bw_decode *d, const struct bw_yaml_node *node, const char *what)
{
    bw_diag_add(d->diags, d->source, BW_P_PLACE_NOT_HERE, node->at,
                "\"%.*s\" cannot be used here; expected %s", (int)node->text.len,
                (const char *)node->text.data, what);
}

static bool take_site(struct bw_decode *d, const struct bw_yaml_node *node, unsigned accepted,
                      const char *what, struct bw_policy_place *place)
{
    static const char prefix[] = "site:";
    const size_t n = sizeof(prefix) - 1;
    if (node->text.len < n || memcmp(node->text.data, prefix, n) != 0)
        return false;
    struct bw_view name = {node->text.data + n, node->text.len - n};
    if (!(accepted & SITES))
        refuse_here(d, node, what);
    else if (!bw_scalar_is_name(name))
        bw_diag_add(d->diags, d->source, BW_P_BAD_TEXT, node->at, "\"%.*s\": behind site: comes %s",
                    (int)node->text.len, (const char *)node->text.data, bw_grammar_name.what);
    else
        *place = (struct bw_policy_place){.at = node->at, .kind = BW_PLACE_SITE, .text = name};
    return true;
}

static void take_place(struct bw_decode *d, const struct bw_yaml_node *node, unsigned accepted,
                       const char *what, struct bw_policy_place *place)
{
    struct bw_view text;
    uint16_t index;
    if (!bw_decode_scalar(d, node, what, true, &text) || take_site(d, node, accepted, what, place))
        return;
    if (bw_view_equal_str(text, "*")) {
        if (accepted & ALL)
            *place = (struct bw_policy_place){.at = node->at, .kind = BW_PLACE_ALL, .text = text};
        else
            refuse_here(d, node, what);
        return;
    }
    if (bw_territory_find(text, &index)) {
        *place = (struct bw_policy_place){node->at, BW_PLACE_TERRITORY, index, text};
        return;
    }
    switch (bw_territory_group_find(text, &index)) {
    case BW_TERRITORY_GROUP_OK:
        if (accepted & GROUPS)
            *place = (struct bw_policy_place){node->at, BW_PLACE_GROUP, index, text};
        else
            refuse_here(d, node, what);
        break;
    case BW_TERRITORY_GROUP_BAD_PIN:
        report_pin(d, node);
        break;
    case BW_TERRITORY_GROUP_UNKNOWN:
        report_unknown(d, node, what);
        break;
    }
}

void bw_document_place(struct bw_decode *d, const struct bw_yaml_node *node, const struct bw_field *field,
                       void *out)
{
    (void)field;
    take_place(d, node, LOCATIONS | GROUPS | ALL | SITES, any_place, out);
}

void bw_document_country(struct bw_decode *d, const struct bw_yaml_node *node, const struct bw_field *field,
                         void *out)
{
    (void)field;
    take_place(d, node, LOCATIONS | GROUPS | ALL, any_country, out);
}

void bw_document_location(struct bw_decode *d, const struct bw_yaml_node *node, const struct bw_field *field,
                          void *out)
{
    (void)field;
    take_place(d, node, LOCATIONS, one_location, out);
}

void bw_document_member(struct bw_decode *d, const struct bw_yaml_node *node, const struct bw_field *field,
                        void *out)
{
    struct bw_policy_member *member = out;
    struct bw_view text;
    struct bw_user_pattern pattern;
    (void)field;
    if (!bw_decode_scalar(d, node, "a pattern such as \"user:*@board.example\"", true, &text))
        return;
    const char *why = bw_user_pattern_parse(text, &pattern);
    if (why)
        bw_diag_add(d->diags, d->source, BW_P_BAD_PATTERN, node->at, "\"%.*s\": %s", (int)text.len,
                    (const char *)text.data, why);
    else
        *member = (struct bw_policy_member){node->at, text, pattern};
}

void bw_policy_places_expand(const struct bw_policy_places *places, enum bw_territory_sense sense,
                             struct bw_territory_set *set)
{
    bw_territory_set_clear(set);
    for (size_t i = 0; i < places->count; i++) {
        const struct bw_policy_place *place = &places->items[i];
        switch (place->kind) {
        case BW_PLACE_ALL:
            bw_territory_set_add_all(set);
            break;
        case BW_PLACE_TERRITORY:
            bw_territory_set_add(set, place->index, sense);
            break;
        case BW_PLACE_GROUP:
            bw_territory_set_add_group(set, place->index, sense);
            break;
        case BW_PLACE_SITE:
            break;
        }
    }
}

uint32_t bw_policy_connector_mask(const struct bw_yaml_numbers *list)
{
    uint32_t mask = 0;
    for (size_t i = 0; i < list->count; i++)
        mask |= list->items[i].value == BW_CONNECTOR_COUNT ? BW_CONNECTORS_ALL
                                                           : BW_CONNECTOR_BIT(list->items[i].value);
    return mask;
}

struct bw_pos bw_policy_section_at(const struct bw_policy_sections *sections, enum bw_policy_section section)
{
    switch (section) {
    case BW_SECTION_RESIDENCY:
        return sections->residency.at;
    case BW_SECTION_ENTRY:
        return sections->entry.at;
    case BW_SECTION_TRANSIT:
        return sections->transit.at;
    case BW_SECTION_E2EE:
        return sections->e2ee.at;
    case BW_SECTION_CONNECTORS:
        return sections->connectors.at;
    case BW_SECTION_KEYS:
        return sections->keys.at;
    case BW_SECTION_GUESTS:
        return sections->guests.at;
    case BW_SECTION_COUNT:
        break;
    }
    return (struct bw_pos){0};
}

bool bw_policy_matches_user(const struct bw_policy_match *match, struct bw_view user)
{
    for (size_t i = 0; i < match->members.count; i++)
        if (bw_user_pattern_matches(&match->members.items[i].pattern, user))
            return true;
    return false;
}

/* Brings what can be written in two ways into one form. */
static bool normalise_sections(struct bw_policy_sections *sections, struct bw_arena *arena)
{
    struct bw_policy_transit *transit = &sections->transit;
    transit->on_no_relay.action = transit->on_no_relay.wait.at.line ? BW_DOC_WAIT : BW_DOC_REJECT;
    transit->on_no_relay.wait_ms = transit->on_no_relay.wait.value;
    struct bw_policy_on_change *change = &transit->on_policy_change;
    change->action = change->drain.at.line     ? BW_DOC_DRAIN
                     : change->word.value == 0 ? BW_DOC_KEEP
                                               : BW_DOC_EVICT;
    change->drain_ms = change->drain.value;
    for (size_t i = 0; i < transit->require_certifications.count; i++) {
        struct bw_policy_certification *clause = &transit->require_certifications.items[i];
        if (clause->single.at.line == 0)
            continue;
        clause->any_of.items = bw_arena_memdup(arena, &clause->single, sizeof(clause->single));
        if (!clause->any_of.items)
            return false;
        clause->any_of.at = clause->single.at;
        clause->any_of.count = 1;
    }
    return true;
}

static bool normalise(struct bw_policy_doc *doc, struct bw_arena *arena)
{
    bool ok = normalise_sections(&doc->sections, arena);
    for (size_t i = 0; i < doc->groups.count; i++)
        ok = ok && normalise_sections(&doc->groups.items[i].sections, arena);
    for (size_t i = 0; i < doc->users.count; i++)
        ok = ok && normalise_sections(&doc->users.items[i].sections, arena);
    return ok;
}

static bool copy_source(const struct bw_source *from, struct bw_arena *arena, struct bw_source *copy)
{
    const char *file = bw_arena_strdup(arena, from->file);
    char *text = bw_arena_strndup(arena, from->text.len ? (const char *)from->text.data : "", from->text.len);
    if (!file || !text)
        return false;
    *copy = (struct bw_source){file, bw_view_of(text, from->text.len)};
    return true;
}

/* The decoded and checked document, or NULL with the reason in diags. */
static struct bw_policy_doc *read_document(const struct bw_source *source,
                                           const struct bw_policy_options *options, struct bw_arena *arena,
                                           struct bw_diags *diags)
{
    struct bw_decode decode = {
        .source = source, .arena = arena, .diags = diags, .accept_later = options->accept_later};
    const struct bw_field_table *table =
        options->kind == BW_POLICY_MEETING ? &bw_policy_meeting_table : &bw_policy_tenant_table;
    const struct bw_yaml_node *root = bw_yaml_read(source, arena, diags, NULL);
    if (!root)
        return NULL;
    struct bw_policy_doc *doc = bw_arena_zalloc(arena, 1, sizeof(*doc));
    if (!doc) {
        diags->out_of_memory = true;
        return NULL;
    }
    bw_decode_map(&decode, table, root, root->at, doc);
    doc->kind = options->kind;
    if (!normalise(doc, arena) || !copy_source(source, arena, &doc->source)) {
        diags->out_of_memory = true;
        return NULL;
    }
    const struct bw_policy_checking checking = {
        .source = source, .diags = diags, .doc = doc, .root = root, .accept_later = options->accept_later};
    if (root->kind == BW_YAML_MAP)
        bw_document_check_whole(&checking);
    return doc;
}

enum bw_code bw_policy_check(const struct bw_source *source, const struct bw_policy_options *options,
                             struct bw_arena *arena, struct bw_diags *diags, const struct bw_policy_doc **doc,
                             struct bw_error *err)
{
    struct bw_policy_doc *read = read_document(source, options, arena, diags);
    bw_diags_sort(diags);
    if (!bw_diags_ok(diags))
        return bw_diags_status(diags, err);
    BW_CHECK(read);
    *doc = read;
    return BW_OK;
}
