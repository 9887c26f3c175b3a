#include "api/explanation.h"

#include <string.h>

#include "control/policies.h"

enum { REJECTED_MAX = 1000 };

bool bw_api_add_clause(const struct bw_clause *clause, struct bw_arena *arena, const char **list,
                       size_t *count)
{
    if (clause->line == 0 || clause->file == NULL)
        return true;
    const char *text = bw_clause_text(clause, arena);
    if (text == NULL)
        return false;
    for (size_t i = 0; i < *count; i++) {
        if (strcmp(list[i], text) == 0)
            return true;
    }
    list[(*count)++] = text;
    return true;
}

bool bw_api_clauses_of(const struct bw_constraints *constraints, uint32_t relay, uint32_t mask,
                       struct bw_arena *arena, const char ***list, size_t *count)
{
    *list = bw_arena_zalloc(arena, BW_REASON_COUNT, sizeof **list);
    if (*list == NULL)
        return false;
    for (int reason = 0; reason < BW_REASON_COUNT; reason++) {
        if (!(mask & BW_REASON_BIT(reason)))
            continue;
        const struct bw_cut *cut = bw_constraints_decisive(constraints, relay, (enum bw_reason)reason);
        if (cut != NULL && !bw_api_add_clause(&cut->clause, arena, *list, count))
            return false;
    }
    return true;
}

bool bw_api_explain_rejected(const struct bw_constraints *constraints, const uint32_t *reasons, size_t count,
                             struct bw_arena *arena, Bailiwick__V1__Explanation *out)
{
    size_t most = count < REJECTED_MAX ? count : REJECTED_MAX;
    out->rejected = bw_arena_zalloc(arena, most + 1, sizeof(void *));
    Bailiwick__V1__RelayReasons *items = bw_arena_zalloc(arena, most + 1, sizeof *items);
    if (out->rejected == NULL || items == NULL)
        return false;
    for (uint32_t i = 0; i < count && out->n_rejected < most; i++) {
        if (reasons[i] == 0)
            continue;
        Bailiwick__V1__RelayReasons *item = &items[out->n_rejected];
        bailiwick__v1__relay_reasons__init(item);
        item->relay = constraints->facts->relays[i].name;
        if (!bw_api_reasons(reasons[i], arena, &item->n_reasons, &item->reasons) ||
            !bw_api_clauses_of(constraints, i, reasons[i], arena, &item->clauses, &item->n_clauses))
            return false;
        out->rejected[out->n_rejected++] = item;
    }
    return true;
}

bool bw_api_explain_policy(uint32_t revision, const uint8_t hash[32], struct bw_arena *arena,
                           Bailiwick__V1__Explanation *out)
{
    Bailiwick__V1__Explanation__Policy *policy = bw_arena_alloc(arena, sizeof *policy);
    if (policy == NULL)
        return false;
    bailiwick__v1__explanation__policy__init(policy);
    policy->revision = revision;
    policy->hash = bw_api_hash_text(hash, arena);
    out->policy = policy;
    return policy->hash != NULL;
}

static bool explain_exceptions(const struct bw_constraints *constraints, struct bw_arena *arena,
                               Bailiwick__V1__Explanation *out)
{
    size_t n = constraints->exception_count;
    out->exceptions = bw_arena_zalloc(arena, n + 1, sizeof(void *));
    Bailiwick__V1__Explanation__Exception *items = bw_arena_zalloc(arena, n + 1, sizeof *items);
    if (out->exceptions == NULL || items == NULL)
        return false;
    for (size_t i = 0; i < n; i++) {
        const struct bw_constraints_exception *from = &constraints->exceptions[i];
        bailiwick__v1__explanation__exception__init(&items[i]);
        items[i].id = from->id;
        items[i].reason = from->reason;
        items[i].expires_unix_ms = (int64_t)from->expires_ms;
        const char *clause = bw_clause_text(&from->clause, arena);
        if (clause == NULL)
            return false;
        items[i].clause = clause;
        out->exceptions[out->n_exceptions++] = &items[i];
    }
    return true;
}

bool bw_api_explain_terms(const struct bw_constraints *constraints, struct bw_arena *arena,
                          Bailiwick__V1__Explanation *out)
{
    Bailiwick__V1__Explanation__Retention *retention = bw_arena_alloc(arena, sizeof *retention);
    if (retention == NULL)
        return false;
    struct bw_retention kept = bw_constraints_retention(constraints);
    bailiwick__v1__explanation__retention__init(retention);
    char *texts = bw_arena_zalloc(arena, 3, BW_RETENTION_TEXT_SIZE);
    if (texts == NULL)
        return false;
    retention->quality = bw_retention_text(kept.quality_ms, texts);
    retention->participants = bw_retention_text(kept.participants_ms, texts + BW_RETENTION_TEXT_SIZE);
    retention->decisions = bw_retention_text(kept.decisions_ms, texts + 2 * BW_RETENTION_TEXT_SIZE);
    out->retention = retention;
    return explain_exceptions(constraints, arena, out);
}

bool bw_api_explain_missing(uint32_t missing, struct bw_arena *arena, Bailiwick__V1__Explanation *out)
{
    out->missing_connectors = bw_arena_zalloc(arena, BW_CONNECTOR_COUNT + 1, sizeof(char *));
    if (out->missing_connectors == NULL)
        return false;
    for (unsigned kind = 0; kind < BW_CONNECTOR_COUNT; kind++) {
        if (missing & BW_CONNECTOR_BIT(kind))
            out->missing_connectors[out->n_missing_connectors++] = bw_connector_name((enum bw_connector)kind);
    }
    return true;
}

Bailiwick__V1__Explanation__Basis *bw_api_explain_basis(const char *rejected, uint32_t policy_revision,
                                                        uint64_t facts_revision, struct bw_arena *arena)
{
    Bailiwick__V1__Explanation__Basis *basis = bw_arena_alloc(arena, sizeof *basis);
    if (basis == NULL)
        return NULL;
    bailiwick__v1__explanation__basis__init(basis);
    basis->rejected = rejected;
    basis->policy_revision = policy_revision;
    basis->facts_revision = facts_revision;
    return basis;
}

bool bw_api_explain_assign(const char *who, const char *relay, struct bw_arena *arena,
                           Bailiwick__V1__Explanation *out)
{
    if (relay[0] == '\0')
        return true;
    Bailiwick__V1__Explanation__AssignmentsEntry *entry = bw_arena_alloc(arena, sizeof *entry);
    if (entry == NULL)
        return false;
    bailiwick__v1__explanation__assignments_entry__init(entry);
    entry->key = who;
    entry->value = relay;
    out->assignments[out->n_assignments++] = entry;
    return true;
}

bool bw_api_explain_flags(const char *who, enum bw_scheme allocated, struct bw_arena *arena,
                          Bailiwick__V1__Explanation *out)
{
    Bailiwick__V1__Explanation__FlagsEntry *entry = bw_arena_alloc(arena, sizeof *entry);
    Bailiwick__V1__Explanation__ParticipantFlags *value = bw_arena_alloc(arena, sizeof *value);
    if (entry == NULL || value == NULL)
        return false;
    bailiwick__v1__explanation__flags_entry__init(entry);
    bailiwick__v1__explanation__participant_flags__init(value);
    value->allocated = bw_scheme_name(allocated);
    entry->key = who;
    entry->value = value;
    out->flags[out->n_flags++] = entry;
    return true;
}
