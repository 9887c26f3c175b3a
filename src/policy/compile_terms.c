/* What is not about places: encryption modes, connectors, waits, retention, guests, keys. */
#include "policy/compile_internal.h"
#include "policy/retention.h"

static bool stated(const struct bw_yaml_number *number)
{
    return number->at.line != 0;
}

static void take_shorter(uint64_t *into, const struct bw_yaml_number *number)
{
    if (stated(number) && number->value < *into)
        *into = number->value;
}

static uint32_t modes_of(uint64_t mode)
{
    switch ((enum bw_policy_e2ee_mode)mode) {
    case BW_E2EE_REQUIRED:
        return BW_MODE_SET_E2EE;
    case BW_E2EE_FORBIDDEN:
        return BW_MODE_SET_HOP;
    case BW_E2EE_PREFERRED:
    case BW_E2EE_OPTIONAL:
        break;
    }
    return BW_MODE_SET_E2EE | BW_MODE_SET_HOP;
}

struct terms {
    bool prefers_e2ee;
    bool endpoints_stated, endpoints;
    bool downgrade_stated, downgrade;
    bool guests_stated, guests_admitted;
    bool no_relay_stated, change_stated;
};

static void merge_e2ee(struct bw_compile *compile, const struct bw_compile_level *level, struct terms *terms,
                       struct bw_stated *where)
{
    struct bw_constraints *out = compile->out;
    const struct bw_policy_e2ee *e2ee = &level->chain->sections->e2ee;
    if (stated(&e2ee->mode)) {
        uint32_t modes = modes_of(e2ee->mode.value);
        if (!(modes & BW_MODE_SET_E2EE) && where->no_e2ee.line == 0)
            where->no_e2ee = bw_compile_clause(compile, level, e2ee->mode.at, "e2ee.mode", "forbidden");
        if (!(modes & BW_MODE_SET_HOP) && where->no_hop.line == 0)
            where->no_hop = bw_compile_clause(compile, level, e2ee->mode.at, "e2ee.mode", "required");
        out->modes &= modes;
        if (e2ee->mode.value == BW_E2EE_PREFERRED)
            terms->prefers_e2ee = true;
    }
    if (e2ee->suites.at.line != 0) {
        uint32_t suites = 0;
        for (size_t i = 0; i < e2ee->suites.count; i++)
            suites |= UINT32_C(1) << e2ee->suites.items[i].value;
        out->suites &= suites;
    }
    if (stated(&e2ee->connectors_as_endpoints)) {
        bool as_endpoints = e2ee->connectors_as_endpoints.value != 0;
        if (!as_endpoints && where->no_endpoints.line == 0)
            where->no_endpoints = bw_compile_clause(compile, level, e2ee->connectors_as_endpoints.at,
                                                    "e2ee.connectorsAsEndpoints", "false");
        terms->endpoints = as_endpoints && (!terms->endpoints_stated || terms->endpoints);
        terms->endpoints_stated = true;
    }
    if (stated(&e2ee->downgrade)) {
        bool consent = e2ee->downgrade.value == BW_DOC_DOWNGRADE_WITH_CONSENT;
        terms->downgrade = consent && (!terms->downgrade_stated || terms->downgrade);
        terms->downgrade_stated = true;
    }
}

static void merge_connectors(struct bw_compile *compile, const struct bw_compile_level *level,
                             struct bw_stated *where)
{
    const struct bw_policy_connectors *connectors = &level->chain->sections->connectors;
    compile->out->required_connectors |= bw_policy_connector_mask(&connectors->require);
    for (size_t i = 0; i < connectors->require.count; i++) {
        const struct bw_yaml_number *kind = &connectors->require.items[i];
        if (where->required[kind->value].line == 0)
            where->required[kind->value] =
                bw_compile_clause(compile, level, kind->at, "connectors.require",
                                  bw_connector_name((enum bw_connector)kind->value));
    }
    if (connectors->allow.at.line == 0)
        return;
    uint32_t allowed = bw_policy_connector_mask(&connectors->allow);
    for (unsigned kind = 0; kind < BW_CONNECTOR_COUNT; kind++)
        if (!(allowed & BW_CONNECTOR_BIT(kind)) && where->no_connector[kind].line == 0)
            where->no_connector[kind] =
                bw_compile_clause(compile, level, connectors->allow.at, "connectors.allow",
                                  bw_connector_name((enum bw_connector)kind));
    compile->out->connectors &= allowed;
}

/* Reject beats wait, a shorter wait a longer one; evict beats drain, shorter beats longer, drain beats keep.
 */
static void merge_transit_terms(struct bw_constraints *out, const struct bw_policy_transit *transit,
                                struct terms *terms)
{
    const struct bw_policy_on_no_relay *none = &transit->on_no_relay;
    if (none->at.line != 0) {
        uint64_t wait_ms = none->action == BW_DOC_WAIT ? none->wait_ms : 0;
        if (!terms->no_relay_stated || wait_ms < out->wait_ms)
            out->wait_ms = wait_ms;
        terms->no_relay_stated = true;
    }
    const struct bw_policy_on_change *change = &transit->on_policy_change;
    if (change->at.line == 0)
        return;
    uint64_t drain_ms = 0;
    if (change->action == BW_DOC_DRAIN)
        drain_ms = change->drain_ms;
    if (change->action == BW_DOC_KEEP)
        drain_ms = BW_UNSTATED_MS;
    if (!terms->change_stated || drain_ms < out->drain_ms)
        out->drain_ms = drain_ms;
    terms->change_stated = true;
}

static void merge_rest(struct bw_compile *compile, const struct bw_compile_level *level, struct terms *terms)
{
    struct bw_constraints *out = compile->out;
    const struct bw_policy_sections *sections = level->chain->sections;
    const struct bw_policy_retention *retention = &sections->residency.retention;
    take_shorter(&out->retention_quality_ms, &retention->quality);
    take_shorter(&out->retention_participants_ms, &retention->participants);
    if (level->chain->level == BW_LEVEL_ORGANISATION) {
        /* Decisions are evidence: the organisation alone says how long. */
        take_shorter(&out->retention_decisions_ms, &retention->decisions);
        const struct bw_yaml_number unsaid = {.at = {1, 1}, .value = BW_RETENTION_DEFAULT_MS};
        if (!stated(&retention->quality))
            take_shorter(&out->retention_quality_ms, &unsaid);
        if (!stated(&retention->participants))
            take_shorter(&out->retention_participants_ms, &unsaid);
    }
    if (stated(&sections->guests.unverified)) {
        bool admits = sections->guests.unverified.value == BW_GUESTS_ADMIT;
        terms->guests_admitted = admits && (!terms->guests_stated || terms->guests_admitted);
        terms->guests_stated = true;
    }
    const struct bw_yaml_text *key = &sections->keys.metadata.key;
    if (key->at.line != 0 && out->metadata_key == NULL) {
        out->metadata_key = bw_arena_strndup(compile->arena, (const char *)key->text.data, key->text.len);
        if (out->metadata_key == NULL)
            compile->full = true;
    }
}

static enum bw_code check_terms(const struct bw_constraints *out, const struct bw_stated *where,
                                struct bw_error *err)
{
    if (out->modes == 0)
        return bw_fail(err, BW_FAILED_PRECONDITION, "POLICY_CONTRADICTION",
                       "no encryption mode is left: %s:%u:%u requires end-to-end encryption and %s:%u:%u "
                       "forbids it; change one of them",
                       where->no_hop.file, where->no_hop.line, where->no_hop.col, where->no_e2ee.file,
                       where->no_e2ee.line, where->no_e2ee.col);
    if (out->suites == 0 && out->modes == BW_MODE_SET_E2EE)
        return bw_fail(
            err, BW_FAILED_PRECONDITION, "POLICY_CONTRADICTION",
            "end-to-end encryption is required but the levels' e2ee.suites have no suite in common");
    uint32_t impossible = out->required_connectors & ~out->connectors;
    if (impossible != 0) {
        enum bw_connector kind = (enum bw_connector)__builtin_ctz(impossible);
        const struct bw_clause *clause = &where->no_connector[kind];
        return bw_fail(err, BW_FAILED_PRECONDITION, "POLICY_CONTRADICTION",
                       "a %s connector is required but %s:%u:%u does not allow it", bw_connector_name(kind),
                       clause->file, clause->line, clause->col);
    }
    return BW_OK;
}

enum bw_code bw_compile_terms(struct bw_compile *compile, struct bw_error *err)
{
    struct bw_constraints *out = compile->out;
    struct bw_stated *where = bw_arena_zalloc(compile->arena, 1, sizeof *where);
    if (where == NULL)
        return bw_fail_memory(err);
    struct terms terms = {.prefers_e2ee = false};
    out->modes = BW_MODE_SET_E2EE | BW_MODE_SET_HOP;
    out->suites = (UINT32_C(1) << BW_SFRAME_SUITE_COUNT) - 1;
    out->connectors = BW_CONNECTORS_ALL;
    out->retention_quality_ms = out->retention_participants_ms = out->retention_decisions_ms = BW_UNSTATED_MS;
    for (size_t i = 0; i < compile->level_count; i++) {
        const struct bw_compile_level *level = &compile->levels[i];
        merge_e2ee(compile, level, &terms, where);
        merge_connectors(compile, level, where);
        merge_transit_terms(out, &level->chain->sections->transit, &terms);
        merge_rest(compile, level, &terms);
    }
    /* What nobody stated is what refuses most. */
    out->connectors_as_endpoints = terms.endpoints;
    out->downgrade = terms.downgrade ? BW_DOWNGRADE_WITH_CONSENT : BW_DOWNGRADE_NEVER;
    out->refuses_unverified_guests = !terms.guests_admitted;
    out->on_no_relay = out->wait_ms > 0 ? BW_NO_RELAY_WAIT : BW_NO_RELAY_REJECT;
    out->on_policy_change = BW_CHANGE_EVICT;
    if (out->drain_ms > 0)
        out->on_policy_change = out->drain_ms == BW_UNSTATED_MS ? BW_CHANGE_KEEP : BW_CHANGE_DRAIN;
    if (out->suites == 0 && (out->modes & BW_MODE_SET_HOP))
        out->modes = BW_MODE_SET_HOP;
    out->prefers_e2ee =
        (out->modes & BW_MODE_SET_E2EE) && (terms.prefers_e2ee || !(out->modes & BW_MODE_SET_HOP));
    out->stated = where;
    return compile->full ? bw_fail_memory(err) : check_terms(out, where, err);
}
