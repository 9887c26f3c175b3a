/* Why somebody was refused, as a message: at once in the status of the call, later by its reference. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/encode.h"
#include "api/refusal.h"
#include "wire/wire.h"

enum {
    RELAYS_MAX = 500, /* of Refusal.relays */
    /* What fits into the status beside text and ErrorInfo (BW_GRPC_DETAILS_MAX_BYTES). */
    DETAIL_BYTES = 3000,
    WORDS_MAX = 500,
};

static bool has(uint32_t mask, enum bw_reason reason)
{
    return (mask & BW_REASON_BIT(reason)) != 0;
}

const char *bw_api_refusal_reason(const struct bw_decision *decision)
{
    if (has(decision->reasons, BW_REASON_ENTRY_COUNTRY))
        return "ENTRY_COUNTRY";
    bool alone = decision->rejection_count == 0 && decision->clause == NULL;
    if (has(decision->reasons, BW_REASON_CONNECTOR_FORBIDDEN))
        return alone ? "MODE_FORBIDS_CONNECTOR" : "CONNECTOR_FORBIDDEN";
    if (has(decision->reasons, BW_REASON_CONNECTOR_REQUIRED))
        return "CONNECTOR_REQUIRED";
    if (has(decision->reasons, BW_REASON_PARTICIPANT_POLICY))
        return alone && decision->home_tenant == NULL ? "MODE_FORBIDS_PARTICIPANT" : "PARTICIPANT_POLICY";
    return "NO_COMPLIANT_RELAY";
}

static const char *first_text(uint32_t mask)
{
    for (int reason = 0; reason < BW_REASON_COUNT; reason++) {
        if (has(mask, (enum bw_reason)reason))
            return bw_reason_text((enum bw_reason)reason);
    }
    return "nothing stands in the way";
}

const char *bw_api_refusal_words(const struct bw_decision *decision, const struct bw_fleet_view *view,
                                 struct bw_arena *arena)
{
    if (strcmp(bw_api_refusal_reason(decision), "NO_COMPLIANT_RELAY") != 0)
        return bw_arena_printf(arena, "refused: %s", first_text(decision->reasons));
    if (decision->nearest == 0)
        return bw_arena_strdup(arena, "no relay is enrolled that could carry this participant");
    return bw_arena_printf(arena,
                           "no relay of %zu satisfies the policy for this participant; nearest is %s, where "
                           "%s",
                           decision->rejections_total, bw_api_relay_name(view, decision->nearest),
                           first_text(decision->nearest_reasons));
}

struct ranked {
    const struct bw_decision_rejection *rejection;
    const char *name;
};

static int nearer(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    int difference =
        (int)bw_reason_count(x->rejection->reasons) - (int)bw_reason_count(y->rejection->reasons);
    return difference != 0 ? difference : strcmp(x->name, y->name);
}

static bool one_clause(const char *clause, struct bw_arena *arena, size_t *count, const char ***clauses)
{
    *count = 0;
    if (clause == NULL)
        return true;
    *clauses = bw_arena_zalloc(arena, 1, sizeof **clauses);
    if (*clauses == NULL)
        return false;
    (*clauses)[0] = clause;
    *count = 1;
    return true;
}

static bool fill_relays(const struct bw_decision *decision, const struct bw_fleet_view *view, size_t most,
                        struct bw_arena *arena, Bailiwick__V1__Refusal *out)
{
    size_t n = decision->rejection_count;
    struct ranked *ranked = bw_arena_zalloc(arena, n + 1, sizeof *ranked);
    if (ranked == NULL)
        return false;
    for (size_t i = 0; i < n; i++)
        ranked[i] =
            (struct ranked){&decision->rejections[i], bw_api_relay_name(view, decision->rejections[i].relay)};
    qsort(ranked, n, sizeof *ranked, nearer);
    n = n < most ? n : most;
    out->relays = bw_arena_zalloc(arena, n + 1, sizeof(void *));
    Bailiwick__V1__RelayReasons *items = bw_arena_zalloc(arena, n + 1, sizeof *items);
    if (out->relays == NULL || items == NULL)
        return false;
    for (size_t i = 0; i < n; i++) {
        bailiwick__v1__relay_reasons__init(&items[i]);
        items[i].relay = ranked[i].name;
        if (!bw_api_reasons(ranked[i].rejection->reasons, arena, &items[i].n_reasons, &items[i].reasons) ||
            !one_clause(ranked[i].rejection->clause, arena, &items[i].n_clauses, &items[i].clauses))
            return false;
        out->relays[i] = &items[i];
    }
    out->n_relays = n;
    return true;
}

/* "the relay stands in a country … (policy.yaml:17:26); …" */
const char *bw_api_change_text(uint32_t reasons, const char *clause, struct bw_arena *arena)
{
    char text[WORDS_MAX] = "";
    size_t used = 0;
    for (int reason = 0; reason < BW_REASON_COUNT; reason++) {
        if (!has(reasons, (enum bw_reason)reason))
            continue;
        int n = snprintf(text + used, sizeof text - used, "%s%s", used > 0 ? "; " : "",
                         bw_reason_text((enum bw_reason)reason));
        if (n < 0 || (size_t)n >= sizeof text - used)
            break;
        used += (size_t)n;
    }
    text[used] = '\0';
    if (clause != NULL && used + strlen(clause) + 12 < sizeof text)
        return bw_arena_printf(arena, "%s (see %s)", text, clause);
    return bw_arena_strdup(arena, text);
}

static bool fill_nearest(const struct bw_decision *decision, const struct bw_fleet_view *view,
                         struct bw_arena *arena, Bailiwick__V1__Refusal *out)
{
    if (decision->nearest == 0)
        return true;
    const char *clause = NULL;
    for (size_t i = 0; i < decision->rejection_count; i++) {
        if (decision->rejections[i].relay == decision->nearest)
            clause = decision->rejections[i].clause;
    }
    Bailiwick__V1__NearestMiss *nearest = bw_arena_alloc(arena, sizeof *nearest);
    if (nearest == NULL)
        return false;
    bailiwick__v1__nearest_miss__init(nearest);
    nearest->relay = bw_api_relay_name(view, decision->nearest);
    nearest->change = bw_api_change_text(decision->nearest_reasons, clause, arena);
    out->nearest = nearest;
    return nearest->change != NULL &&
           bw_api_reasons(decision->nearest_reasons, arena, &nearest->n_reasons, &nearest->reasons) &&
           one_clause(clause, arena, &nearest->n_clauses, &nearest->clauses);
}

Bailiwick__V1__Refusal *bw_api_refusal(const struct bw_decision *decision, const char *tenant,
                                       const char *message, const struct bw_fleet_view *view,
                                       size_t relays_max, struct bw_arena *arena)
{
    Bailiwick__V1__Refusal *out = bw_arena_alloc(arena, sizeof *out);
    if (out == NULL)
        return NULL;
    bailiwick__v1__refusal__init(out);
    out->reference = bw_api_reference_text(&decision->meeting, decision->seq, arena);
    out->tenant = tenant;
    out->meeting_id = bw_api_id_text(&decision->meeting, arena);
    out->at_unix_ms = (int64_t)decision->at_ms;
    out->country = decision->country != NULL ? decision->country : out->country;
    out->region = decision->region != NULL ? decision->region : out->region;
    out->kind = (Bailiwick__V1__ParticipantKind)decision->participant_kind;
    out->relays_total = (uint32_t)decision->rejections_total;
    out->policy_revision = decision->policy_revision;
    out->policy_hash = bw_api_hash_text(decision->policy_hash, arena);
    out->facts_revision = decision->facts_revision;
    const char *words = message != NULL ? message : bw_api_refusal_words(decision, view, arena);
    size_t len = words != NULL ? strlen(words) : 0;
    out->message = words != NULL ? bw_arena_strndup(arena, words, len < WORDS_MAX ? len : WORDS_MAX) : NULL;
    bool ok = out->reference != NULL && out->meeting_id != NULL && out->policy_hash != NULL &&
              out->message != NULL &&
              bw_api_reasons(decision->reasons, arena, &out->n_reasons, &out->reasons) &&
              one_clause(decision->clause, arena, &out->n_clauses, &out->clauses) &&
              fill_relays(decision, view, relays_max < RELAYS_MAX ? relays_max : RELAYS_MAX, arena, out) &&
              fill_nearest(decision, view, arena, out);
    return ok ? out : NULL;
}

void bw_api_fail_refused(struct bw_api_call *call, const struct bw_decision *decision,
                         const struct bw_error *error)
{
    Bailiwick__V1__Refusal *refusal = bw_api_refusal(decision, call->tenant_name, error->show,
                                                     bw_api_view_of(call), RELAYS_MAX, call->arena);
    if (refusal == NULL) {
        bw_api_fail(call, error, NULL);
        return;
    }
    /* The status travels in a header: the nearest relays go along, GetRefusal has them all. */
    while (refusal->n_relays > 0 && protobuf_c_message_get_packed_size(&refusal->base) > DETAIL_BYTES)
        refusal->n_relays = refusal->n_relays * 3 / 4;
    struct bw_buf bytes = {0};
    struct bw_grpc_details details = {0};
    const struct bw_grpc_pair pairs[] = {{"reference", refusal->reference}};
    if (bw_wire_encode(&refusal->base, &bytes) == BW_OK) {
        details.any_type_url = "type.googleapis.com/bailiwick.v1.Refusal";
        details.any_value = bw_buf_view(&bytes);
    }
    details.metadata = pairs;
    details.metadata_count = 1;
    bw_api_fail(call, error, &details);
    bw_buf_finish(&bytes);
}
