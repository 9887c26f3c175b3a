/* The policy validator: any bytes give a document or an error; what is accepted is sound enough to be
 * compiled: every value that is present has its place in the text, every place its index, every list its
 * items. */
#include <stdint.h>

#include "base/check.h"
#include "policy/document.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_places(const struct bw_policy_places *places)
{
    struct bw_territory_set allow, deny;
    for (size_t i = 0; i < places->count; i++) {
        const struct bw_policy_place *place = &places->items[i];
        BW_CHECK(place->at.line > 0 && place->at.col > 0);
        BW_CHECK(place->kind != BW_PLACE_TERRITORY || place->index < bw_territory_count());
        BW_CHECK(place->kind != BW_PLACE_GROUP || place->index < bw_territory_group_count());
        BW_CHECK(place->text.data[place->text.len] == 0);
    }
    bw_policy_places_expand(places, BW_TERRITORY_ALLOWING, &allow);
    bw_policy_places_expand(places, BW_TERRITORY_DENYING, &deny);
    BW_CHECK(bw_territory_set_subset(&allow, &deny));
}

static void check_sections(const struct bw_policy_sections *s)
{
    check_places(&s->entry.allow);
    check_places(&s->entry.deny);
    check_places(&s->transit.allow);
    check_places(&s->transit.deny);
    check_places(&s->transit.operators.allow_jurisdictions);
    check_places(&s->transit.operators.deny_jurisdictions);
    for (size_t i = 0; i < s->transit.prefer.count; i++)
        check_places(&s->transit.prefer.items[i]);
    for (size_t i = 0; i < s->transit.require_certifications.count; i++)
        BW_CHECK(s->transit.require_certifications.items[i].any_of.count > 0);
    BW_CHECK(s->transit.on_no_relay.action != BW_DOC_WAIT || s->transit.on_no_relay.wait_ms > 0);
    BW_CHECK(s->transit.on_policy_change.action != BW_DOC_DRAIN || s->transit.on_policy_change.drain_ms > 0);
    BW_CHECK((bw_policy_connector_mask(&s->connectors.allow) & ~BW_CONNECTORS_ALL) == 0);
}

static void check_document(const struct bw_policy_doc *doc)
{
    check_sections(&doc->sections);
    if (doc->kind == BW_POLICY_TENANT) {
        BW_CHECK(doc->tenant.text.len > 0);
        BW_CHECK(doc->sections.transit.allow.at.line > 0 && doc->sections.e2ee.mode.at.line > 0);
    }
    for (size_t i = 0; i < doc->groups.count; i++) {
        check_sections(&doc->groups.items[i].sections);
        bw_policy_matches_user(&doc->groups.items[i].match, bw_view_str("dr.x@board.example"));
    }
    for (size_t i = 0; i < doc->users.count; i++)
        check_sections(&doc->users.items[i].sections);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct bw_arena *arena = bw_arena_create(BW_YAML_ARENA_BYTES);
    if (!arena)
        return 0;
    struct bw_diags diags;
    bw_diags_init(&diags);
    /* what a byte adds to the end of the corpus's documents chooses how it is read */
    uint8_t choice = data[size - 1];
    const struct bw_source source = {"fuzz.yaml", bw_view_of(data, size)};
    const struct bw_policy_options options = {.kind = choice & 1 ? BW_POLICY_MEETING : BW_POLICY_TENANT,
                                              .accept_later = (choice & 2) != 0};
    const struct bw_policy_doc *doc = NULL;
    struct bw_error err = {0};
    enum bw_code code = bw_policy_check(&source, &options, arena, &diags, &doc, &err);
    BW_CHECK(code == BW_OK || code == BW_INVALID_ARGUMENT || code == BW_RESOURCE_EXHAUSTED);
    BW_CHECK((code == BW_OK) == (doc != NULL) && (code == BW_OK) == bw_diags_ok(&diags));
    if (doc)
        check_document(doc);
    struct bw_buf out = {0};
    bw_diags_human(&diags, true, &out);
    bw_diags_json(&diags, &out);
    for (size_t i = 0; i < out.len; i++)
        BW_CHECK(out.data[i] < 0x80);
    bw_buf_finish(&out);
    bw_diags_finish(&diags);
    bw_arena_destroy(arena);
    return 0;
}
