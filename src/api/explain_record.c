/* PolicyService.ExplainPlacement of a decision that was made: by the reference of an admission, an
 * invitation, a move or a refusal, or by a participant's slot. What was recorded is shown as recorded. An
 * admission's record has its relay, its score and the runner-up, but not what was wrong with every other
 * relay: that is computed again under the policy revision in force then, over the facts of now, and said to
 * be so. */
#include <string.h>

#include "api/call.h"
#include "api/explanation.h"
#include "api/gate.h"
#include "api/record_find.h"
#include "runtime/clock.h"

enum { ASSIGNMENTS_MAX = 500, OVERRIDE_ARENA_BYTES = 4 << 20 };

struct explaining {
    struct bw_id meeting;
    uint32_t slot;                      /* asked for; 0: none */
    bool live;                          /* the slot is in the meeting now */
    uint32_t placed_seq;                /* of the decision that put it there */
    const struct bw_decision *decision; /* the one that is explained */
    const struct bw_decision *joined;   /* of the slot, when it was moved later; may be NULL */
    const struct bw_decision *created;  /* may be NULL: it cannot be read any more */
    struct bw_policy_set *set;          /* of the decision's revision; NULL likewise */

    Bailiwick__V1__Explanation *out;
};

/* ---- the answer ---- */

static Bailiwick__V1__Explanation__Record *record_of(struct bw_api_call *call, const struct explaining *e)
{
    const struct bw_decision *decision = e->decision;
    const struct bw_fleet_view *view = bw_api_view_of(call);
    Bailiwick__V1__Explanation__Record *out = bw_arena_alloc(call->arena, sizeof *out);
    if (out == NULL)
        return NULL;
    bailiwick__v1__explanation__record__init(out);
    out->reference = bw_api_reference_text(&decision->meeting, decision->seq, call->arena);
    out->meeting_id = bw_api_id_text(&decision->meeting, call->arena);
    out->slot = e->slot != 0 ? e->slot : decision->slot;
    out->kind = bw_decision_kind_name(decision->kind);
    out->at_unix_ms = (int64_t)decision->at_ms;
    out->facts_revision = decision->facts_revision;
    out->relays_considered = decision->relays_considered;
    out->relays_allowed = decision->relays_allowed;
    out->runner_up = bw_api_relay_name(view, decision->runner_up);
    return out->reference != NULL && out->meeting_id != NULL ? out : NULL;
}

/* A participant is called by its roster entry where that is known. */
static const char *name_of(struct bw_api_call *call, const struct explaining *e, uint32_t slot)
{
    const struct bw_decision *joined = e->joined != NULL ? e->joined : e->decision;
    bool known = joined->slot == slot && !bw_id_is_zero(&joined->entry);
    return known ? bw_api_id_text(&joined->entry, call->arena)
                 : bw_arena_printf(call->arena, "slot-%u", slot);
}

static bool fill_links(struct bw_api_call *call, const struct explaining *e)
{
    const struct bw_decision *decision = e->decision;
    const struct bw_fleet_view *view = bw_api_view_of(call);
    e->out->legs = bw_arena_zalloc(call->arena, decision->link_count + 1, sizeof(void *));
    Bailiwick__V1__Explanation__Leg *legs =
        bw_arena_zalloc(call->arena, decision->link_count + 1, sizeof *legs);
    if (e->out->legs == NULL || legs == NULL)
        return false;
    for (size_t i = 0; i < decision->link_count; i++) {
        bailiwick__v1__explanation__leg__init(&legs[i]);
        legs[i].a = bw_api_relay_name(view, decision->links[i].low);
        legs[i].b = bw_api_relay_name(view, decision->links[i].high);
        e->out->legs[e->out->n_legs++] = &legs[i];
    }
    return true;
}

static uint32_t clamp32(uint64_t value)
{
    return value < UINT32_MAX ? (uint32_t)value : UINT32_MAX;
}

static bool fill_admission(struct bw_api_call *call, struct explaining *e)
{
    const struct bw_decision *decision = e->decision;
    const char *who = name_of(call, e, decision->slot);
    Bailiwick__V1__PlacementScore *score = bw_arena_alloc(call->arena, sizeof *score);
    if (who == NULL || score == NULL)
        return false;
    bailiwick__v1__placement_score__init(score);
    score->pair_us = clamp32(decision->score.pair_us);
    score->access_us = clamp32(decision->score.access_us);
    score->load_us = clamp32(decision->score.load_us);
    score->spread_us = clamp32(decision->score.relays_us);
    score->move_us = clamp32(decision->score.moved_us);
    score->total_us = clamp32(decision->score.total_us);
    e->out->score = score;
    return bw_api_explain_assign(who, bw_api_relay_name(bw_api_view_of(call), decision->relay), call->arena,
                                 e->out) &&
           (decision->flag_count == 0 ||
            bw_api_explain_flags(who, (enum bw_scheme)decision->flags[0].scheme, call->arena, e->out));
}

static bool fill_moves(struct bw_api_call *call, struct explaining *e)
{
    const struct bw_decision *decision = e->decision;
    const struct bw_fleet_view *view = bw_api_view_of(call);
    Bailiwick__V1__Explanation__Record *record = e->out->record;
    record->moved_from = bw_arena_zalloc(call->arena, ASSIGNMENTS_MAX, sizeof(char *));
    if (record->moved_from == NULL)
        return false;
    for (size_t i = 0; i < decision->move_count && e->out->n_assignments < ASSIGNMENTS_MAX; i++) {
        const struct bw_decision_move *move = &decision->moves[i];
        const char *to = bw_api_relay_name(view, move->to);
        if ((e->slot != 0 && move->slot != e->slot) || to[0] == '\0')
            continue;
        const char *who = name_of(call, e, move->slot);
        if (who == NULL || !bw_api_explain_assign(who, to, call->arena, e->out))
            return false;
        record->moved_from[record->n_moved_from++] = bw_api_relay_name(view, move->from);
    }
    return true;
}

static bool one_clause(struct bw_api_call *call, const char *clause, size_t *count, const char ***list)
{
    *list = bw_arena_zalloc(call->arena, 2, sizeof **list);
    if (*list != NULL && clause != NULL)
        (*list)[(*count)++] = clause;
    return *list != NULL;
}

/* As recorded: nothing is left out but relays that are not enrolled any more. */
static bool fill_refusal(struct bw_api_call *call, struct explaining *e)
{
    const struct bw_decision *decision = e->decision;
    const struct bw_fleet_view *view = bw_api_view_of(call);
    Bailiwick__V1__Refusal *refusal =
        bw_api_refusal(decision, call->tenant_name, NULL, view, SIZE_MAX, call->arena);
    Bailiwick__V1__Explanation__RefusedParticipant *refused = bw_arena_alloc(call->arena, sizeof *refused);
    e->out->refused = bw_arena_zalloc(call->arena, 1, sizeof(void *));
    if (refusal == NULL || refused == NULL || e->out->refused == NULL)
        return false;
    bailiwick__v1__explanation__refused_participant__init(refused);
    refused->participant = refusal->reference;
    if (!bw_api_reasons(decision->reasons, call->arena, &refused->n_reasons, &refused->reasons) ||
        !one_clause(call, decision->clause, &refused->n_clauses, &refused->clauses))
        return false;
    e->out->refused[e->out->n_refused++] = refused;
    e->out->rejected = refusal->relays;
    e->out->n_rejected = refusal->n_relays;
    e->out->nearest = refusal->nearest;
    e->out->basis =
        bw_api_explain_basis("recorded", decision->policy_revision, decision->facts_revision, call->arena);
    if (e->out->basis != NULL)
        e->out->basis->same_facts =
            view != NULL && view->snapshot->facts->revision == decision->facts_revision;
    return e->out->basis != NULL;
}

/* What the policy of then says of each relay. *constraints stays NULL when it cannot be read any more. */
static bool fill_recomputed(struct bw_api_call *call, struct explaining *e,
                            struct bw_constraints **constraints)
{
    const struct bw_decision *decision = e->decision;
    const struct bw_fleet_view *view = bw_api_view_of(call);
    struct bw_arena *arena = bw_arena_create(OVERRIDE_ARENA_BYTES);
    const struct bw_policy_doc *override_doc = NULL;
    struct bw_error err;
    bool can = arena != NULL && view != NULL && e->created != NULL && e->set != NULL &&
               bw_policies_override(NULL, e->created->override_yaml, arena, &override_doc, &err) == BW_OK &&
               bw_policies_compile_meeting(e->set, e->created->levels, e->created->level_count, override_doc,
                                           view->snapshot->facts, bw_api_config_of(call)->cell,
                                           decision->at_ms, constraints, &err) == BW_OK;
    bw_arena_destroy(arena);
    e->out->basis = bw_api_explain_basis(can ? "recomputed" : "none", decision->policy_revision,
                                         view != NULL ? view->snapshot->facts->revision : 0, call->arena);
    if (e->out->basis == NULL)
        return false;
    if (!can)
        return true;
    const struct bw_constraints *set = *constraints;
    e->out->basis->same_facts = set->facts->revision == decision->facts_revision;
    e->out->basis->same_policy = memcmp(set->hash, decision->policy_hash, sizeof set->hash) == 0;
    return bw_api_explain_rejected(set, set->reasons, set->facts->relay_count, call->arena, e->out) &&
           bw_api_explain_terms(set, call->arena, e->out);
}

static bool fill(struct bw_api_call *call, struct explaining *e, struct bw_constraints **constraints)
{
    const struct bw_decision *decision = e->decision;
    Bailiwick__V1__Explanation *out = bw_arena_alloc(call->arena, sizeof *out);
    if (out == NULL)
        return false;
    bailiwick__v1__explanation__init(out);
    e->out = out;
    out->decision = decision->kind == BW_DECISION_REFUSED ? "refused" : "placed";
    if (decision->mode != BW_MODE_NONE)
        out->mode = bw_mode_name((enum bw_mode)decision->mode);
    out->record = record_of(call, e);
    out->assignments = bw_arena_zalloc(call->arena, ASSIGNMENTS_MAX, sizeof(void *));
    out->flags = bw_arena_zalloc(call->arena, 1, sizeof(void *));
    if (out->record == NULL || out->assignments == NULL || out->flags == NULL ||
        !bw_api_explain_policy(decision->policy_revision, decision->policy_hash, call->arena, out))
        return false;
    if (decision->kind == BW_DECISION_REFUSED)
        return fill_refusal(call, e);
    bool placed = decision->kind == BW_DECISION_MOVED ? fill_moves(call, e) : fill_admission(call, e);
    return placed && fill_links(call, e) && fill_recomputed(call, e, constraints);
}

static void answer(struct bw_api_call *call)
{
    struct explaining *e = call->state;
    struct bw_constraints *constraints = NULL;
    Bailiwick__V1__ExplainPlacementResponse response = BAILIWICK__V1__EXPLAIN_PLACEMENT_RESPONSE__INIT;
    bool ok = fill(call, e, &constraints);
    struct bw_policy_set *set = e->set;
    response.explanation = e->out;
    if (ok)
        bw_api_reply(call, &response.base); /* the call may be gone */
    else
        bw_api_fail_memory(call);
    bw_constraints_release(constraints);
    bw_policy_set_release(set);
}

/* ---- the policy of then ---- */

static void policy_found(struct bw_api_call *call)
{
    struct explaining *e = call->state;
    struct bw_error err;
    if (call->order.error.code == BW_OK) {
        struct bw_view yaml = call->order.policy_get.result.yaml;
        if (bw_policy_set_create(&call->tenant, call->tenant_name, e->decision->policy_revision, yaml,
                                 &e->set, &err) != BW_OK)
            bw_error_log(&err, "explain");
    } else if (call->order.error.code != BW_NOT_FOUND) {
        bw_api_fail(call, &call->order.error, NULL);
        return;
    }
    answer(call);
}

static void created_found(struct bw_api_call *call, const struct bw_decision *created,
                          const struct bw_error *error)
{
    struct explaining *e = call->state;
    if (created == NULL && error->code != BW_NOT_FOUND) {
        bw_api_fail(call, error, NULL);
        return;
    }
    if (created != NULL && created->kind == BW_DECISION_CREATED)
        e->created = created;
    struct bw_policy_set *set = bw_owner_policy(bw_api_config_of(call)->owner, &call->tenant);
    if (set != NULL && set->revision == e->decision->policy_revision) {
        e->set = bw_policy_set_retain(set);
        answer(call);
        return;
    }
    call->order.policy_get.tenant = call->tenant;
    call->order.policy_get.revision = e->decision->policy_revision;
    bw_api_order(call, BW_DESK_POLICY_GET, policy_found);
}

/* ---- the decision ---- */

static void joined_found(struct bw_api_call *call, const struct bw_decision *joined,
                         const struct bw_error *error)
{
    struct explaining *e = call->state;
    if (joined == NULL && error->code != BW_NOT_FOUND) {
        bw_api_fail(call, error, NULL);
        return;
    }
    e->joined = joined;
    bw_api_find_record(call, &e->decision->meeting, 1, created_found);
}

static bool places(enum bw_decision_kind kind)
{
    return kind == BW_DECISION_JOINED || kind == BW_DECISION_CONNECTOR_INVITED || kind == BW_DECISION_MOVED ||
           kind == BW_DECISION_REFUSED;
}

static void decision_found(struct bw_api_call *call, const struct bw_decision *decision,
                           const struct bw_error *error)
{
    struct explaining *e = call->state;
    struct bw_error err;
    if (decision == NULL && error->code != BW_NOT_FOUND && error->code != BW_INVALID_ARGUMENT) {
        bw_api_fail(call, error, NULL);
        return;
    }
    /* Another tenant's decision is as good as none. */
    if (decision == NULL || !bw_id_equal(&decision->tenant, &call->tenant)) {
        (void)bw_fail(
            &err, BW_NOT_FOUND, "NO_DECISION",
            e->slot != 0
                ? "the tenant has no decision about that slot of that meeting; it may be older than "
                  "decisions are kept"
                : "the tenant has no decision of that reference; check it letter by letter, or it is "
                  "older than decisions are kept");
        bw_api_fail(call, &err, NULL);
        return;
    }
    if (!places(decision->kind)) {
        (void)bw_fail(
            &err, BW_FAILED_PRECONDITION, "NO_PLACEMENT",
            "that decision (%s) placed nobody and refused nobody; give the reference of an admission, a "
            "move or a refusal, or a participant's slot",
            bw_decision_kind_name(decision->kind));
        bw_api_fail(call, &err, NULL);
        return;
    }
    e->decision = decision;
    if (decision->kind == BW_DECISION_REFUSED)
        answer(call); /* the record says it all */
    else if (decision->kind == BW_DECISION_MOVED && e->slot != 0)
        bw_api_find_record(call, &decision->meeting, e->slot, joined_found);
    else
        bw_api_find_record(call, &decision->meeting, 1, created_found);
}

static const Bailiwick__V1__ExplainPlacementRequest *request_of(const struct bw_api_call *call)
{
    return (const Bailiwick__V1__ExplainPlacementRequest *)call->request;
}

static struct explaining *begin(struct bw_api_call *call)
{
    struct explaining *e = bw_arena_zalloc(call->arena, 1, sizeof *e);
    if (e == NULL)
        bw_api_fail_memory(call);
    call->state = e;
    return e;
}

void bw_api_explain_reference(struct bw_api_call *call)
{
    if (begin(call) != NULL)
        bw_api_find_reference(call, request_of(call)->reference, decision_found);
}

/* On the owner's thread. */
static void read_slot(struct bw_op *op, const struct bw_meeting *meeting)
{
    struct explaining *e = bw_api_call_of(op)->state;
    const struct bw_member *member = meeting != NULL ? bw_meeting_slot(meeting, e->slot) : NULL;
    e->live = member != NULL;
    e->placed_seq = member != NULL ? member->placed_seq : 0;
}

static void slot_read(struct bw_api_call *call)
{
    struct explaining *e = call->state;
    if (call->op.error.code != BW_OK) {
        bw_api_fail(call, &call->op.error, NULL);
        return;
    }
    /* Who is in no more: what let them in, which has their slot's number. */
    bw_api_find_record(call, &e->meeting, e->live ? e->placed_seq : e->slot, decision_found);
}

void bw_api_explain_slot(struct bw_api_call *call)
{
    struct explaining *e = begin(call);
    if (e == NULL)
        return;
    e->meeting = bw_api_id(request_of(call)->meeting_id);
    e->slot = request_of(call)->slot;
    call->op.meeting = e->meeting;
    call->op.read = read_slot;
    bw_api_submit(call, BW_OP_READ, slot_read);
}
