#include "policy/validate.h"

#include <stdio.h>
#include <string.h>

#include "policy/compile_internal.h"
#include "policy/retention.h"

enum { WHO_BYTES = 96 };

/* One level against the one above it. */
struct pair {
    struct bw_diags *diags;
    const struct bw_policy_doc *above_doc, *below_doc;
    const struct bw_policy_sections *above, *below;
    char who[WHO_BYTES]; /* "group board" */
    bool clamp;
};

static struct bw_diag *widens(const struct pair *pair, struct bw_pos at, struct bw_pos above,
                              const char *what)
{
    struct bw_diag *diag = pair->clamp
                               ? bw_diag_add(pair->diags, &pair->below_doc->source, BW_P_CLAMPED, at,
                                             "%s %s; what the organisation says holds", pair->who, what)
                               : bw_diag_add(pair->diags, &pair->below_doc->source, BW_P_WIDENS_PARENT, at,
                                             "%s %s; a lower level can only narrow", pair->who, what);
    if (above.line != 0)
        bw_diag_relate(pair->diags, diag, &pair->above_doc->source, above, "the organisation's");
    return diag;
}

static bool has_site(const struct bw_policy_places *list, struct bw_view site)
{
    for (size_t i = 0; i < list->count; i++)
        if (list->items[i].kind == BW_PLACE_SITE && bw_view_equal(list->items[i].text, site))
            return true;
    return false;
}

static void check_allow(const struct pair *pair, const struct bw_policy_places *above,
                        const struct bw_policy_places *below, const char *path)
{
    if (above->at.line == 0 || below->at.line == 0 || bw_places_have_all(above))
        return;
    struct bw_territory_set whole;
    bw_policy_places_expand(above, BW_TERRITORY_ALLOWING, &whole);
    for (size_t i = 0; i < below->count; i++) {
        struct bw_policy_place *place = &below->items[i];
        char what[160];
        if (place->at.line == 0)
            continue;
        if (place->kind == BW_PLACE_SITE) {
            /* Where the site lies is the fleet's to know (bw_policy_check_today); the meet holds in any case.
             */
            if (!bw_places_only_sites(above) || has_site(above, place->text))
                continue;
            snprintf(what, sizeof what, "allows site:%.*s in %s", (int)place->text.len,
                     (const char *)place->text.data, path);
            widens(pair, place->at, above->at, what);
            continue;
        }
        struct bw_policy_places one = {.count = 1, .items = place};
        struct bw_territory_set extra;
        bw_policy_places_expand(&one, BW_TERRITORY_ALLOWING, &extra);
        bw_territory_set_andnot(&extra, &whole);
        uint16_t witness = bw_territory_set_next(&extra, 0);
        if (witness == BW_TERRITORY_NONE)
            continue;
        const char *code = bw_territory_code(witness);
        bool exact = bw_view_equal_str(place->text, code);
        snprintf(what, sizeof what, "allows %.*s%s%s%s in %s, which the organisation does not",
                 (int)place->text.len, (const char *)place->text.data, exact ? "" : " (so ",
                 exact ? "" : code, exact ? "" : ")", path);
        widens(pair, place->at, above->at, what);
    }
}

static void check_connectors(const struct pair *pair)
{
    const struct bw_yaml_numbers *above = &pair->above->connectors.allow,
                                 *below = &pair->below->connectors.allow;
    uint32_t allowed = above->at.line == 0 ? BW_CONNECTORS_ALL : bw_policy_connector_mask(above);
    uint32_t wanted = below->at.line == 0 ? 0 : bw_policy_connector_mask(below);
    uint32_t extra = wanted & ~allowed;
    if (extra != 0) {
        char what[120];
        snprintf(what, sizeof what, "allows %s connectors, which the organisation does not",
                 bw_connector_name((enum bw_connector)__builtin_ctz(extra)));
        widens(pair, below->at, above->at, what);
    }
    const struct bw_yaml_numbers *lists[] = {&pair->above->connectors.require,
                                             &pair->below->connectors.require};
    uint32_t required = bw_policy_connector_mask(lists[0]) | bw_policy_connector_mask(lists[1]);
    uint32_t left = below->at.line == 0 ? allowed : allowed & wanted;
    uint32_t impossible = required & ~left;
    if (impossible == 0 || pair->clamp)
        return;
    bool theirs = bw_policy_connector_mask(lists[1]) & impossible;
    struct bw_pos at = theirs ? lists[1]->at : below->at;
    struct bw_diag *diag = bw_diag_add(pair->diags, &pair->below_doc->source, BW_P_CONNECTOR_CONTRADICTS, at,
                                       "with %s, a %s connector is required and not allowed", pair->who,
                                       bw_connector_name((enum bw_connector)__builtin_ctz(impossible)));
    bw_diag_relate(pair->diags, diag, &pair->above_doc->source, theirs ? above->at : lists[0]->at,
                   "the organisation's");
}

static uint32_t mode_set(const struct bw_yaml_number *mode)
{
    if (mode->at.line == 0)
        return BW_MODE_SET_E2EE | BW_MODE_SET_HOP;
    if (mode->value == BW_E2EE_REQUIRED)
        return BW_MODE_SET_E2EE;
    return mode->value == BW_E2EE_FORBIDDEN ? BW_MODE_SET_HOP : BW_MODE_SET_E2EE | BW_MODE_SET_HOP;
}

static uint32_t suite_set(const struct bw_yaml_numbers *suites)
{
    uint32_t set = 0;
    for (size_t i = 0; i < suites->count; i++)
        set |= UINT32_C(1) << suites->items[i].value;
    return suites->at.line == 0 ? (UINT32_C(1) << BW_SFRAME_SUITE_COUNT) - 1 : set;
}

static void check_e2ee(const struct pair *pair)
{
    const struct bw_policy_e2ee *above = &pair->above->e2ee, *below = &pair->below->e2ee;
    uint32_t modes = mode_set(&above->mode), wanted = mode_set(&below->mode);
    if ((modes & wanted) == 0) {
        struct bw_diag *diag = bw_diag_add(pair->diags, &pair->below_doc->source,
                                           pair->clamp ? BW_P_CLAMPED : BW_P_MODES_CONTRADICT, below->mode.at,
                                           "%s leaves no encryption mode", pair->who);
        bw_diag_relate(pair->diags, diag, &pair->above_doc->source, above->mode.at, "the organisation's");
    } else if (below->mode.at.line != 0 && (wanted & ~modes) != 0) {
        widens(pair, below->mode.at, above->mode.at,
               modes == BW_MODE_SET_E2EE ? "allows meetings without end-to-end encryption"
                                         : "allows end-to-end encryption, which the organisation forbids");
    }
    uint32_t suites = suite_set(&above->suites), mine = suite_set(&below->suites);
    if (below->suites.at.line != 0 && (mine & suites) == 0 && (modes & wanted) == BW_MODE_SET_E2EE) {
        struct bw_diag *diag = bw_diag_add(pair->diags, &pair->below_doc->source,
                                           pair->clamp ? BW_P_CLAMPED : BW_P_SUITES_CONTRADICT,
                                           below->suites.at, "%s leaves no cipher suite", pair->who);
        bw_diag_relate(pair->diags, diag, &pair->above_doc->source, above->suites.at, "the organisation's");
    } else if (below->suites.at.line != 0 && (mine & ~suites) != 0) {
        char what[120];
        snprintf(what, sizeof what, "allows suite %s",
                 bw_sframe_suite_name((enum bw_sframe_suite)__builtin_ctz(mine & ~suites)));
        widens(pair, below->suites.at, above->suites.at, what);
    }
    if (below->connectors_as_endpoints.value != 0 && above->connectors_as_endpoints.value == 0)
        widens(pair, below->connectors_as_endpoints.at, above->connectors_as_endpoints.at,
               "admits connectors as endpoints");
    if (below->downgrade.at.line != 0 && below->downgrade.value == BW_DOC_DOWNGRADE_WITH_CONSENT &&
        (above->downgrade.at.line == 0 || above->downgrade.value == BW_DOC_DOWNGRADE_NEVER))
        widens(pair, below->downgrade.at, above->downgrade.at, "lets encryption be lowered");
}

static void check_longer(const struct pair *pair, const struct bw_yaml_number *above,
                         const struct bw_yaml_number *below, const char *what)
{
    uint64_t most = above->at.line != 0 ? above->value : BW_RETENTION_DEFAULT_MS;
    if (below->at.line != 0 && below->value > most)
        widens(pair, below->at, above->at, what);
}

static void check_rest(const struct pair *pair)
{
    const struct bw_policy_sections *above = pair->above, *below = pair->below;
    const struct bw_policy_retention *long_ = &above->residency.retention,
                                     *mine = &below->residency.retention;
    check_longer(pair, &long_->quality, &mine->quality, "keeps quality samples longer");
    check_longer(pair, &long_->participants, &mine->participants, "keeps participants longer");
    const struct bw_yaml_texts *cells = &above->residency.at_rest, *own = &below->residency.at_rest;
    for (size_t i = 0; cells->at.line != 0 && i < own->count; i++) {
        bool known = own->items[i].at.line == 0;
        for (size_t c = 0; c < cells->count; c++)
            known = known || bw_view_equal_str(cells->items[c].text, "*") ||
                    bw_view_equal(cells->items[c].text, own->items[i].text);
        if (!known)
            widens(pair, own->items[i].at, cells->at, "lets data rest in another cell");
    }
    if (below->entry.unknown.at.line != 0 && below->entry.unknown.value == BW_UNKNOWN_ALLOW &&
        (above->entry.unknown.at.line == 0 || above->entry.unknown.value == BW_UNKNOWN_REFUSE))
        widens(pair, below->entry.unknown.at, above->entry.unknown.at, "admits people from unknown places");
    if (below->guests.unverified.at.line != 0 && below->guests.unverified.value == BW_GUESTS_ADMIT &&
        (above->guests.unverified.at.line == 0 || above->guests.unverified.value == BW_GUESTS_REFUSE))
        widens(pair, below->guests.unverified.at, above->guests.unverified.at, "admits unverified guests");
    const struct bw_policy_on_no_relay *wait = &above->transit.on_no_relay,
                                       *patience = &below->transit.on_no_relay;
    uint64_t most = wait->action == BW_DOC_WAIT ? wait->wait_ms : 0;
    if (wait->at.line != 0 && patience->at.line != 0 && patience->action == BW_DOC_WAIT &&
        patience->wait_ms > most)
        widens(pair, patience->at, wait->at, "waits longer for a relay");
    const struct bw_policy_on_change *change = &above->transit.on_policy_change;
    const struct bw_policy_on_change *slower = &below->transit.on_policy_change;
    const uint64_t ages[] = {[BW_DOC_KEEP] = UINT64_MAX, [BW_DOC_DRAIN] = 0, [BW_DOC_EVICT] = 0};
    uint64_t above_ms = change->action == BW_DOC_DRAIN ? change->drain_ms : ages[change->action];
    uint64_t below_ms = slower->action == BW_DOC_DRAIN ? slower->drain_ms : ages[slower->action];
    if (change->at.line != 0 && slower->at.line != 0 && below_ms > above_ms)
        widens(pair, slower->at, change->at, "lets live meetings go on longer under a new policy");
}

static void check_pair(const struct pair *pair)
{
    check_allow(pair, &pair->above->entry.allow, &pair->below->entry.allow, "entry.allow");
    check_allow(pair, &pair->above->transit.allow, &pair->below->transit.allow, "transit.allow");
    check_allow(pair, &pair->above->transit.operators.allow_jurisdictions,
                &pair->below->transit.operators.allow_jurisdictions, "transit.operators.allowJurisdictions");
    check_connectors(pair);
    check_e2ee(pair);
    check_rest(pair);
}

static bool hosted(const struct bw_policy_group *group)
{
    return group->at.line != 0;
}

/* Two groups that nobody can be in at once and still host. They may have no member in common, so it only
 * warns. */
static void check_together(const struct bw_policy_doc *doc, const struct bw_policy_group *a,
                           const struct bw_policy_group *b, struct bw_diags *diags)
{
    /* Whoever another group matches is not in the one for everyone else. */
    if (a->match.others.value != 0 || b->match.others.value != 0)
        return;
    uint32_t modes = mode_set(&doc->sections.e2ee.mode) & mode_set(&a->sections.e2ee.mode);
    const struct bw_policy_places *x = &a->sections.transit.allow, *y = &b->sections.transit.allow;
    struct bw_pos at = {0};
    if (modes != 0 && (modes & mode_set(&b->sections.e2ee.mode)) == 0)
        at = b->sections.e2ee.mode.at;
    if (x->at.line != 0 && y->at.line != 0 && !bw_places_have_all(x) && !bw_places_have_all(y)) {
        struct bw_territory_set left, right;
        bw_policy_places_expand(x, BW_TERRITORY_ALLOWING, &left);
        bw_policy_places_expand(y, BW_TERRITORY_ALLOWING, &right);
        bool sites = false;
        for (size_t i = 0; i < x->count + y->count; i++)
            sites = sites || (i < x->count ? x->items[i] : y->items[i - x->count]).kind == BW_PLACE_SITE;
        if (!sites && !bw_territory_set_intersects(&left, &right))
            at = y->at;
    }
    if (at.line == 0)
        return;
    struct bw_diag *diag = bw_diag_add(diags, &doc->source, BW_P_GROUPS_MAY_CONTRADICT, at,
                                       "somebody in both group %s and group %s could not host a meeting",
                                       (const char *)a->name.text.data, (const char *)b->name.text.data);
    bw_diag_relate(diags, diag, &doc->source, a->at, "group %s is here", (const char *)a->name.text.data);
}

static void check_levels(const struct bw_policy_doc *doc, const struct bw_policy_groups *levels,
                         const char *kind, struct bw_diags *diags)
{
    for (size_t i = 0; i < levels->count; i++) {
        const struct bw_policy_group *level = &levels->items[i];
        if (!hosted(level))
            continue;
        struct pair pair = {.diags = diags,
                            .above_doc = doc,
                            .below_doc = doc,
                            .above = &doc->sections,
                            .below = &level->sections};
        snprintf(pair.who, sizeof pair.who, "%s %.*s", kind, (int)level->name.text.len,
                 (const char *)level->name.text.data);
        check_pair(&pair);
    }
}

void bw_policy_check_chain(const struct bw_policy_doc *tenant, struct bw_diags *diags)
{
    check_levels(tenant, &tenant->groups, "group", diags);
    check_levels(tenant, &tenant->users, "user level", diags);
    for (size_t b = 0; b < tenant->groups.count; b++)
        for (size_t a = 0; a < b; a++)
            if (hosted(&tenant->groups.items[a]) && hosted(&tenant->groups.items[b]))
                check_together(tenant, &tenant->groups.items[a], &tenant->groups.items[b], diags);
}

void bw_policy_check_meeting(const struct bw_policy_doc *tenant, const struct bw_policy_doc *meeting,
                             bool clamp, struct bw_diags *diags)
{
    const struct pair pair = {.diags = diags,
                              .above_doc = tenant,
                              .below_doc = meeting,
                              .above = &tenant->sections,
                              .below = &meeting->sections,
                              .who = "the meeting",
                              .clamp = clamp};
    check_pair(&pair);
    for (size_t i = 0; i < tenant->sections.lock.count; i++) {
        const struct bw_yaml_number *lock = &tenant->sections.lock.items[i];
        struct bw_pos at = bw_policy_section_at(&meeting->sections, (enum bw_policy_section)lock->value);
        if (at.line == 0 || lock->at.line == 0)
            continue;
        struct bw_diag *diag = bw_diag_add(diags, &meeting->source, BW_P_LOCKED_BELOW, at,
                                           "the meeting states %s, which the organisation has locked",
                                           bw_policy_section_name((enum bw_policy_section)lock->value));
        bw_diag_relate(diags, diag, &tenant->source, lock->at, "locked here");
    }
}

enum bw_code bw_policy_validate(const struct bw_source *source, const struct bw_policy_options *options,
                                const struct bw_policy_today *today, struct bw_arena *arena,
                                struct bw_diags *diags, const struct bw_policy_doc **doc,
                                struct bw_error *err)
{
    const struct bw_policy_doc *checked = NULL;
    enum bw_code code = bw_policy_check(source, options, arena, diags, &checked, err);
    if (code != BW_OK)
        return code;
    if (options->kind == BW_POLICY_TENANT) {
        bw_policy_check_chain(checked, diags);
        if (bw_diags_ok(diags) && today != NULL) {
            code = bw_policy_check_today(checked, today, diags, err);
            if (code != BW_OK)
                return code;
        }
        bw_diags_sort(diags);
    }
    if (!bw_diags_ok(diags))
        return bw_diags_status(diags, err);
    *doc = checked;
    return BW_OK;
}
