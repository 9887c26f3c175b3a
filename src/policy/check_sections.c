/* One level of a document: what it must say, what it cannot say, and what contradicts itself. */
#include <string.h>

#include "base/check.h"
#include "policy/document_internal.h"

/* Something stands at the path ("entry.allow"), however wrong: then that has been reported already. */
static bool attempted(const struct bw_yaml_node *node, const char *path)
{
    char key[64];
    for (;;) {
        size_t len = strcspn(path, ".");
        BW_CHECK(len < sizeof(key));
        memcpy(key, path, len);
        key[len] = 0;
        node = bw_yaml_get(node, key);
        if (!node || node->kind != BW_YAML_MAP || path[len] == 0)
            return node != NULL;
        path += len + 1;
    }
}

/* inner is what to add to the section, whole what to add when the section is not there. */
static void must_state(const struct bw_policy_checking *c, struct bw_pos section_at, const char *path,
                       const char *inner, const char *whole)
{
    if (attempted(c->root, path))
        return;
    struct bw_diag *diag = bw_diag_add(
        c->diags, c->source, BW_P_MUST_BE_STATED, section_at.line ? section_at : c->doc->at,
        "the organisation must state %s: below it, what is not stated is the organisation's", path);
    bw_diag_fix(c->diags, diag, BW_FIX_INSERT, "%s", section_at.line ? inner : whole);
}

static void check_required(const struct bw_policy_checking *c, const struct bw_policy_sections *s)
{
    struct bw_pos operators_at = s->transit.operators.at;
    must_state(c, s->residency.at, "residency.atRest", "atRest: [\"*\"]", "residency: { atRest: [\"*\"] }");
    must_state(c, s->entry.at, "entry.allow", "allow: [\"*\"]", "entry: { allow: [\"*\"] }");
    must_state(c, s->transit.at, "transit.allow", "allow: [\"*\"]", "transit: { allow: [\"*\"] }");
    must_state(c, operators_at.line ? operators_at : s->transit.at, "transit.operators.allowJurisdictions",
               operators_at.line ? "allowJurisdictions: [\"*\"]"
                                 : "operators: { allowJurisdictions: [\"*\"] }",
               "transit: { operators: { allowJurisdictions: [\"*\"] } }");
    must_state(c, s->e2ee.at, "e2ee.mode", "mode: optional", "e2ee: { mode: optional }");
    must_state(c, s->connectors.at, "connectors.allow", "allow: [\"*\"]", "connectors: { allow: [\"*\"] }");
}

static void not_here(const struct bw_policy_checking *c, struct bw_pos at, const char *path, const char *why)
{
    if (at.line)
        bw_diag_add(c->diags, c->source, BW_P_NOT_AT_THIS_LEVEL, at, "%s %s", path, why);
}

static void check_allowed_here(const struct bw_policy_checking *c,
                               const struct bw_policy_checked_level *level)
{
    const struct bw_policy_sections *s = level->sections;
    if (level->organisation)
        return;
    if (!level->attended)
        not_here(
            c, s->residency.at_rest.at, "residency.atRest",
            "is the organisation's; below it only a group with applies: attended states where the data of "
            "attended meetings may rest");
    not_here(c, s->residency.retention.decisions.at, "residency.retention.decisions",
             "is the organisation's alone: decisions are evidence");
    not_here(c, s->guests.at, "guests", "is the organisation's alone");
    if (level->meeting) {
        not_here(c, s->residency.at, "residency", "cannot be stated by a meeting");
        not_here(c, s->keys.at, "keys", "cannot be stated by a meeting");
        not_here(c, s->lock.at, "lock", "has no effect in a meeting: nothing is below it");
    }
}

static void repeated_numbers(const struct bw_policy_checking *c, const struct bw_yaml_numbers *list)
{
    for (size_t i = 1; i < list->count; i++)
        for (size_t k = 0; k < i; k++) {
            if (!list->items[i].at.line || !list->items[k].at.line ||
                list->items[i].value != list->items[k].value)
                continue;
            struct bw_diag *diag = bw_diag_add(c->diags, c->source, BW_P_REPEATED_VALUE, list->items[i].at,
                                               "is in this list already");
            bw_diag_relate(c->diags, diag, c->source, list->items[k].at, "here");
            break;
        }
}

/* What a level does not state is the organisation's; a meeting's organisation is not at hand. */
static bool may_be_endpoints(const struct bw_policy_checking *c, const struct bw_policy_sections *s)
{
    if (s->e2ee.connectors_as_endpoints.at.line)
        return s->e2ee.connectors_as_endpoints.value != 0;
    return c->doc->kind == BW_POLICY_MEETING || c->doc->sections.e2ee.connectors_as_endpoints.value != 0;
}

static void check_connectors(const struct bw_policy_checking *c, const struct bw_policy_sections *s)
{
    const struct bw_policy_connectors *connectors = &s->connectors;
    repeated_numbers(c, &connectors->allow);
    repeated_numbers(c, &connectors->require);
    for (size_t i = 0; connectors->allow.count > 1 && i < connectors->allow.count; i++)
        if (connectors->allow.items[i].value == BW_CONNECTOR_COUNT)
            bw_diag_add(c->diags, c->source, BW_P_STAR_NOT_ALONE, connectors->allow.items[i].at,
                        "\"*\" is everything, so nothing can stand beside it");
    bool required = s->e2ee.mode.at.line && s->e2ee.mode.value == BW_E2EE_REQUIRED;
    if (!required || may_be_endpoints(c, s))
        return;
    if (connectors->require.count > 0) {
        struct bw_diag *diag =
            bw_diag_add(c->diags, c->source, BW_P_MODE_FORBIDS_CONNECTOR, connectors->require.items[0].at,
                        "a required connector needs plaintext, so no meeting could be end-to-end encrypted; "
                        "remove it, or state e2ee.connectorsAsEndpoints: true");
        bw_diag_relate(c->diags, diag, c->source, s->e2ee.mode.at, "end-to-end encryption is required here");
    } else if (connectors->allow.count > 0) {
        struct bw_diag *diag = bw_diag_add(
            c->diags, c->source, BW_P_MODE_MAY_FORBID_CONNECTOR, connectors->allow.at,
            "connectors need plaintext: with e2ee.mode required and without e2ee.connectorsAsEndpoints every "
            "invitation of these is refused");
        bw_diag_relate(c->diags, diag, c->source, s->e2ee.mode.at, "end-to-end encryption is required here");
    }
}

/* Words that a list of an enum accepts but whose effect is not built. */
static void not_yet(const struct bw_policy_checking *c, const struct bw_yaml_number *word, const char *what)
{
    if (word->at.line && !c->accept_later)
        bw_diag_add(c->diags, c->source, BW_P_NOT_SUPPORTED_YET, word->at,
                    "%s is not supported yet; it would have no effect, so it is refused", what);
}

static void check_e2ee(const struct bw_policy_checking *c, const struct bw_policy_sections *s)
{
    repeated_numbers(c, &s->e2ee.suites);
    if (s->e2ee.mode.at.line && s->e2ee.mode.value == BW_E2EE_FORBIDDEN && s->e2ee.suites.at.line)
        bw_diag_add(c->diags, c->source, BW_P_SUITES_WITHOUT_E2EE, s->e2ee.suites.at,
                    "suites have no effect where end-to-end encryption is forbidden");
    if (s->guests.unverified.value != BW_GUESTS_REFUSE)
        not_yet(c, &s->guests.unverified, "guests.unverified other than refuse");
}

void bw_document_check_level(const struct bw_policy_checking *c, const struct bw_policy_checked_level *level)
{
    if (level->organisation)
        check_required(c, level->sections);
    check_allowed_here(c, level);
    bw_document_check_places(c, level->sections);
    check_e2ee(c, level->sections);
    check_connectors(c, level->sections);
    repeated_numbers(c, &level->sections->lock);
}
