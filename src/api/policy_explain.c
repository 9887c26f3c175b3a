/* PolicyService.ExplainPlacement, and of its subjects the hypothetical meeting: the same question, planner
 * and answer as `policy explain` offline, over the fleet of now. The message mirrors that command's JSON. */
#include <stdio.h>
#include <string.h>

#include "api/document.h"
#include "api/explanation.h"
#include "api/gate.h"
#include "bailiwick/v1/policy.pb-c.h"
#include "crypto/hash.h"
#include "placement/explain.h"

typedef Bailiwick__V1__PlacementRequest__Participant asked_participant;

enum { ARENA_BYTES = 64 << 20 };

struct explaining {
    struct bw_api_call *call;
    const Bailiwick__V1__PlacementRequest *request;
    const struct bw_policy_doc *doc;
    uint32_t revision; /* 0: a document that came with the call */
    const struct bw_fleet_view *view;
    struct bw_arena *arena;
    uint64_t now_ms;

    struct bw_request_file file; /* those who may enter */
    const asked_participant **inside;
    struct bw_explanation explanation;
    /* Refused before any relay was looked at. */
    struct {
        const char *id, *clause;
    } * outside;
    size_t outside_count;
    Bailiwick__V1__Explanation *out;
};

static bool memory(struct explaining *e, const void *p)
{
    if (p == NULL)
        bw_api_fail_memory(e->call);
    return p != NULL;
}

/* ---- the question ---- */

static const char *text_or_null(const char *s)
{
    return s[0] != '\0' ? s : NULL;
}

static bool connects(const asked_participant *participant)
{
    return bw_endpoint_is_connector((enum bw_endpoint)participant->kind);
}

static void fill_participant(struct explaining *e, const asked_participant *from,
                             struct bw_request_participant *to)
{
    const struct bw_snapshot *snapshot = e->view->snapshot;
    const char *place = text_or_null(from->country), *region = text_or_null(from->region);
    to->id = from->id;
    to->kind = bw_endpoint_name((enum bw_endpoint)from->kind);
    to->where = (struct bw_participant){
        .id = from->id,
        .place = place,
        .region = region != NULL ? bw_snapshot_region(snapshot, region) : BW_NO_REGION,
        .is_connector = connects(from),
        .connector = bw_api_connector_of_kind(from->kind),
        .current = BW_NO_RELAY,
    };
    if (to->where.region == BW_NO_REGION && place != NULL)
        to->where.region = bw_snapshot_region_of_place(snapshot, place);
}

static bool fill_open(struct explaining *e)
{
    const Bailiwick__V1__PlacementRequest *request = e->request;
    struct bw_open_relay *open = bw_arena_zalloc(e->arena, request->n_open + 1, sizeof *open);
    if (!memory(e, open))
        return false;
    for (size_t i = 0; i < request->n_open; i++) {
        size_t index = bw_facts_find_relay(e->view->snapshot->facts, request->open[i]->relay);
        if (index == SIZE_MAX) {
            char field[48];
            snprintf(field, sizeof field, "request.open[%zu].relay", i);
            bw_api_fail_field(e->call, field, "no relay of that name is enrolled");
            return false;
        }
        for (size_t j = 0; j < i; j++) {
            if (open[j].relay == index) {
                bw_api_fail_field(e->call, "request.open", "a relay is listed twice");
                return false;
            }
        }
        /* Where they are is not said: taken to be near their relay, as in a PlacementRequest file. */
        const struct bw_snapshot *snapshot = e->view->snapshot;
        uint32_t hop = bw_snapshot_hop_us(snapshot, snapshot->relay_region[index], (uint32_t)index);
        open[i] = (struct bw_open_relay){.relay = (uint32_t)index,
                                         .participants = request->open[i]->participants,
                                         .hop_sum_us = (uint64_t)hop * request->open[i]->participants};
    }
    e->file.open = open;
    e->file.open_count = request->n_open;
    return true;
}

/* Everybody but those outside. */
static bool fill_inside(struct explaining *e, const bool *out)
{
    const Bailiwick__V1__PlacementRequest *request = e->request;
    size_t n = request->n_participants;
    struct bw_request_participant *participants = bw_arena_zalloc(e->arena, n + 1, sizeof *participants);
    struct bw_participant *where = bw_arena_zalloc(e->arena, n + 1, sizeof *where);
    e->inside = bw_arena_zalloc(e->arena, n + 1, sizeof(void *));
    if (!memory(e, participants) || !memory(e, where) || !memory(e, e->inside))
        return false;
    size_t count = 0;
    for (size_t i = 0; i < n; i++) {
        if (out != NULL && out[i])
            continue;
        fill_participant(e, request->participants[i], &participants[count]);
        where[count] = participants[count].where;
        e->inside[count++] = request->participants[i];
    }
    e->file.participants = participants;
    e->file.where = where;
    e->file.participant_count = count;
    return true;
}

static bool fill_question(struct explaining *e)
{
    const Bailiwick__V1__PlacementRequest *request = e->request;
    /* Breaks ties between equal relays; the same as for a PlacementRequest file, and so is the answer. */
    struct bw_id any;
    uint8_t digest[BW_SHA256_SIZE];
    bw_sha256(bw_view_str("bailiwick placement request"), digest);
    memcpy(any.bytes, digest, sizeof any.bytes);
    for (size_t i = 0; i < request->n_participants; i++) {
        for (size_t j = 0; j < i; j++) {
            if (strcmp(request->participants[i]->id, request->participants[j]->id) == 0) {
                char field[48];
                snprintf(field, sizeof field, "request.participants[%zu].id", i);
                bw_api_fail_field(e->call, field, "two participants have this id; give each its own");
                return false;
            }
        }
    }
    e->file = (struct bw_request_file){
        .tenant = e->call->tenant_name,
        .host = {.user = request->host->user,
                 .groups = request->host->groups,
                 .group_count = request->host->n_groups},
        .meeting = any,
        .cap_per_relay = request->cap_per_relay,
        .cell = bw_api_config_of(e->call)->cell,
        .has_at = request->at_unix_ms != 0,
        .at_ms = (uint64_t)request->at_unix_ms,
    };
    return fill_open(e) && fill_inside(e, NULL);
}

/* ---- the door ---- */

static const struct bw_policy_set *home_of(const struct explaining *e, const asked_participant *participant)
{
    const struct bw_api_ports *ports = bw_api_ports_of(e->call);
    const struct bw_known_tenant *tenant =
        bw_callers_tenant(ports->callers(ports->context), participant->home_tenant);
    return tenant != NULL ? bw_owner_policy(bw_api_config_of(e->call)->owner, &tenant->id) : NULL;
}

/* False: may not enter, and *clause may say by which rule. */
static bool enters(struct explaining *e, const asked_participant *participant, const char **clause)
{
    const struct bw_constraints *constraints = e->explanation.constraints;
    if (connects(participant))
        return true; /* the planner's question */
    uint32_t declared = 0;
    for (size_t i = 0; i < participant->n_capable; i++)
        declared |= UINT32_C(1) << participant->capable[i];
    uint32_t can = bw_endpoint_schemes((enum bw_endpoint)participant->kind,
                                       participant->n_capable > 0 ? &declared : NULL);
    if (can == 0 && constraints->modes == BW_MODE_SET_E2EE)
        return false;
    const struct bw_policy_set here = {.doc = e->doc, .name = e->call->tenant_name};
    const char *home = text_or_null(participant->home_tenant);
    if (home != NULL && strcmp(home, e->call->tenant_name) == 0)
        home = NULL;
    const struct bw_policy_set *own = home != NULL ? home_of(e, participant) : &here;
    if (own == NULL)
        return false; /* a guest nobody can vouch for */
    const struct bw_op_join join = {.user = text_or_null(participant->user), .home_tenant = home};
    const struct bw_door door = {.meeting = constraints,
                                 .mode = e->explanation.mode,
                                 .with_connectors = e->explanation.with_connectors};
    struct bw_clause found = {.level = BW_LEVEL_PLATFORM};
    struct bw_error err;
    if (bw_policies_door(own, &join, &door, e->file.cell, e->now_ms, e->arena, NULL, &found, &err) == BW_OK)
        return true;
    *clause = bw_clause_text(&found, e->arena);
    return false;
}

static enum bw_code plan(struct explaining *e, struct bw_error *err)
{
    bw_explanation_finish(&e->explanation);
    return bw_explain_request(e->doc, NULL, e->view->snapshot, &e->file, NULL, e->now_ms, e->arena,
                              &e->explanation, err);
}

/* Plans for everybody, asks each at the door, and plans again without those who stay outside. */
static bool answer_question(struct explaining *e)
{
    struct bw_error err;
    if (plan(e, &err) != BW_OK) {
        bw_api_fail(e->call, &err, NULL);
        return false;
    }
    size_t n = e->request->n_participants;
    bool *out = bw_arena_zalloc(e->arena, n + 1, sizeof *out);
    e->outside = bw_arena_zalloc(e->arena, n + 1, sizeof *e->outside);
    if (!memory(e, out) || !memory(e, e->outside))
        return false;
    for (size_t i = 0; i < n; i++) {
        const char *clause = NULL;
        if (enters(e, e->request->participants[i], &clause))
            continue;
        out[i] = true;
        e->outside[e->outside_count].id = e->request->participants[i]->id;
        e->outside[e->outside_count++].clause = clause;
    }
    if (e->outside_count == 0)
        return true;
    if (!fill_inside(e, out))
        return false;
    if (e->file.participant_count > 0 && plan(e, &err) != BW_OK) {
        bw_api_fail(e->call, &err, NULL);
        return false;
    }
    return true;
}

/* ---- the answer ---- */

static const char *relay_name(const struct explaining *e, uint32_t index)
{
    return e->view->snapshot->facts->relays[index].name;
}

static bool anybody_inside(const struct explaining *e)
{
    return e->file.participant_count > 0;
}

static bool fill_placed(struct explaining *e)
{
    const struct bw_plan *made = &e->explanation.plan;
    size_t n = e->file.participant_count;
    e->out->assignments = bw_arena_zalloc(e->arena, n + 1, sizeof(void *));
    e->out->legs = bw_arena_zalloc(e->arena, made->leg_count + 1, sizeof(void *));
    Bailiwick__V1__Explanation__Leg *legs = bw_arena_zalloc(e->arena, made->leg_count + 1, sizeof *legs);
    if (e->out->assignments == NULL || e->out->legs == NULL || legs == NULL)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (made->assignments[i] == BW_NO_RELAY)
            continue;
        if (!bw_api_explain_assign(e->inside[i]->id, relay_name(e, made->assignments[i]), e->arena, e->out))
            return false;
    }
    for (size_t i = 0; i < made->leg_count; i++) {
        bailiwick__v1__explanation__leg__init(&legs[i]);
        legs[i].a = relay_name(e, made->legs[i].a);
        legs[i].b = relay_name(e, made->legs[i].b);
        e->out->legs[e->out->n_legs++] = &legs[i];
    }
    return true;
}

static Bailiwick__V1__Explanation__RefusedParticipant *add_refused(struct explaining *e, const char *id,
                                                                   uint32_t reasons)
{
    Bailiwick__V1__Explanation__RefusedParticipant *item = bw_arena_alloc(e->arena, sizeof *item);
    if (item == NULL)
        return NULL;
    bailiwick__v1__explanation__refused_participant__init(item);
    item->participant = id;
    item->clauses = bw_arena_zalloc(e->arena, 1, sizeof(char *));
    if (item->clauses == NULL || !bw_api_reasons(reasons, e->arena, &item->n_reasons, &item->reasons))
        return NULL;
    e->out->refused[e->out->n_refused++] = item;
    return item;
}

static bool fill_refused(struct explaining *e)
{
    const struct bw_plan *made = &e->explanation.plan;
    size_t from_plan = anybody_inside(e) ? made->refused_count : 0;
    e->out->refused = bw_arena_zalloc(e->arena, e->outside_count + from_plan + 1, sizeof(void *));
    if (e->out->refused == NULL)
        return false;
    for (size_t i = 0; i < e->outside_count; i++) {
        Bailiwick__V1__Explanation__RefusedParticipant *item =
            add_refused(e, e->outside[i].id, BW_REASON_BIT(BW_REASON_PARTICIPANT_POLICY));
        if (item == NULL)
            return false;
        if (e->outside[i].clause != NULL)
            item->clauses[item->n_clauses++] = e->outside[i].clause;
    }
    for (size_t i = 0; i < from_plan; i++) {
        Bailiwick__V1__Explanation__RefusedParticipant *item =
            add_refused(e, e->inside[made->refused[i].participant]->id, made->refused[i].reasons);
        if (item == NULL ||
            !bw_api_add_clause(&made->refused[i].clause, e->arena, item->clauses, &item->n_clauses))
            return false;
    }
    return true;
}

static bool fill_nearest(struct explaining *e)
{
    const struct bw_nearest_miss *near = &e->explanation.trace.nearest;
    if (e->out->n_assignments > 0 || near->relay == BW_NO_RELAY || near->reasons == 0)
        return true;
    Bailiwick__V1__NearestMiss *nearest = bw_arena_alloc(e->arena, sizeof *nearest);
    if (nearest == NULL)
        return false;
    bailiwick__v1__nearest_miss__init(nearest);
    nearest->relay = relay_name(e, near->relay);
    e->out->nearest = nearest;
    if (!bw_api_reasons(near->reasons, e->arena, &nearest->n_reasons, &nearest->reasons) ||
        !bw_api_clauses_of(e->explanation.constraints, near->relay, near->reasons, e->arena,
                           &nearest->clauses, &nearest->n_clauses))
        return false;
    nearest->change =
        bw_api_change_text(near->reasons, nearest->n_clauses > 0 ? nearest->clauses[0] : NULL, e->arena);
    return nearest->change != NULL;
}

/* What each would be allocated, in the mode such a meeting starts in. */
static bool fill_flags(struct explaining *e, bool *partial)
{
    size_t n = e->file.participant_count;
    e->out->flags = bw_arena_zalloc(e->arena, n + 1, sizeof(void *));
    if (e->out->flags == NULL)
        return false;
    const struct bw_mode_state state = {
        .mode = e->explanation.mode == BW_MODE_SET_HOP ? BW_MODE_HOP
                : e->explanation.with_connectors       ? BW_MODE_E2EE_CONNECTORS
                                                       : BW_MODE_E2EE,
        .epoch = 1,
    };
    struct bw_flags_meeting common = {0};
    for (size_t i = 0; i < n; i++) {
        if (e->explanation.plan.assignments[i] == BW_NO_RELAY)
            continue;
        uint32_t declared = 0;
        for (size_t c = 0; c < e->inside[i]->n_capable; c++)
            declared |= UINT32_C(1) << e->inside[i]->capable[c];
        enum bw_endpoint kind = (enum bw_endpoint)e->inside[i]->kind;
        uint32_t can = bw_endpoint_schemes(kind, e->inside[i]->n_capable > 0 ? &declared : NULL);
        struct bw_flags flags = {0};
        struct bw_error ignored; /* nothing is allocated then, and the label says so */
        if (bw_flags_allocate(&state, kind, connects(e->inside[i]), can, BW_SUITE_AES_256_GCM_SHA512_128,
                              &common, &flags, &ignored) != BW_OK) {
            flags.allocated.scheme = BW_SCHEME_NONE;
            *partial = true;
        }
        if (!bw_api_explain_flags(e->inside[i]->id, flags.allocated.scheme, e->arena, e->out))
            return false;
    }
    return true;
}

static uint32_t clamp32(uint64_t value)
{
    return value < UINT32_MAX ? (uint32_t)value : UINT32_MAX;
}

static bool fill_score(struct explaining *e)
{
    const struct bw_score *score = &e->explanation.plan.score;
    Bailiwick__V1__PlacementScore *out = bw_arena_alloc(e->arena, sizeof *out);
    if (out == NULL)
        return false;
    bailiwick__v1__placement_score__init(out);
    out->pair_us = clamp32(score->pair_us);
    out->access_us = clamp32(score->access_us);
    out->load_us = clamp32(score->load_us);
    out->spread_us = clamp32(score->relays_us);
    out->move_us = clamp32(score->moved_us);
    out->total_us = clamp32(score->total_us);
    e->out->score = out;
    return true;
}

static bool fill_answer(struct explaining *e)
{
    bool partial = false;
    e->out = bw_arena_alloc(e->arena, sizeof *e->out);
    if (e->out == NULL)
        return false;
    bailiwick__v1__explanation__init(e->out);
    const struct bw_constraints *constraints = e->explanation.constraints;
    const struct bw_decision_trace *trace = &e->explanation.trace;
    if (!bw_api_explain_policy(e->revision, constraints->hash, e->arena, e->out) ||
        !bw_api_explain_terms(constraints, e->arena, e->out) ||
        !bw_api_explain_missing(bw_explain_missing(&e->explanation), e->arena, e->out) || !fill_refused(e) ||
        !bw_api_explain_rejected(constraints, trace->reasons, trace->relay_count, e->arena, e->out))
        return false;
    if (anybody_inside(e) && (!fill_placed(e) || !fill_flags(e, &partial)))
        return false;
    if (e->out->n_assignments > 0 && !fill_score(e))
        return false;
    e->out->decision = e->out->n_assignments > 0 ? "placed" : "refused";
    e->out->mode = e->explanation.mode == BW_MODE_SET_HOP ? "hop"
                   : partial                              ? "partial"
                   : e->explanation.with_connectors       ? "e2ee+connectors"
                                                          : "e2ee";
    return fill_nearest(e);
}

static void explain(struct explaining *e)
{
    if (!fill_question(e) || !answer_question(e))
        return;
    if (!fill_answer(e)) {
        bw_api_fail_memory(e->call);
        return;
    }
    Bailiwick__V1__ExplainPlacementResponse response = BAILIWICK__V1__EXPLAIN_PLACEMENT_RESPONSE__INIT;
    response.explanation = e->out;
    bw_api_reply(e->call, &response.base);
}

/* With a document that came along; errors of it are the answer. */
static void explain_with(struct explaining *e, const char *yaml)
{
    struct bw_api_document document;
    if (!bw_api_document_read(e->call, bw_view_str(yaml), "", &document))
        return;
    e->doc = document.doc;
    if (document.doc != NULL) {
        explain(e);
    } else {
        Bailiwick__V1__ExplainPlacementResponse response = BAILIWICK__V1__EXPLAIN_PLACEMENT_RESPONSE__INIT;
        response.diagnostics = bw_api_diagnostics(&document.diags, document.arena, &response.n_diagnostics);
        if (response.diagnostics == NULL)
            bw_api_fail_memory(e->call);
        else
            bw_api_reply(e->call, &response.base);
    }
    bw_api_document_finish(&document);
}

static void explain_enforced(struct explaining *e)
{
    const struct bw_policy_set *set = bw_owner_policy(bw_api_config_of(e->call)->owner, &e->call->tenant);
    if (set == NULL) {
        struct bw_error err;
        (void)bw_fail(&err, BW_FAILED_PRECONDITION, "NO_POLICY",
                      "tenant \"%s\" has no policy in force; give one with the request, or apply one first",
                      e->call->tenant_name);
        bw_api_fail(e->call, &err, NULL);
        return;
    }
    e->doc = set->doc;
    e->revision = set->revision;
    explain(e);
}

void bw_api_explain_placement(struct bw_api_call *call)
{
    const Bailiwick__V1__ExplainPlacementRequest *request =
        (const Bailiwick__V1__ExplainPlacementRequest *)call->request;
    bool meeting = request->subject_case == BAILIWICK__V1__EXPLAIN_PLACEMENT_REQUEST__SUBJECT_MEETING_ID;
    if (request->slot != 0 && !meeting) {
        bw_api_fail_field(call, "slot", "goes with meeting_id");
        return;
    }
    if (request->subject_case != BAILIWICK__V1__EXPLAIN_PLACEMENT_REQUEST__SUBJECT_REQUEST) {
        if (request->policy != NULL)
            bw_api_fail_field(call, "policy",
                              "goes with a hypothetical request; a decision has its own policy");
        else if (request->subject_case == BAILIWICK__V1__EXPLAIN_PLACEMENT_REQUEST__SUBJECT_REFERENCE)
            bw_api_explain_reference(call);
        else if (meeting && request->slot != 0)
            bw_api_explain_slot(call);
        else if (meeting)
            bw_api_explain_meeting(call);
        else
            bw_api_fail_field(call, "subject", "give one of meeting_id, request and reference");
        return;
    }
    if (request->request->mode != 0) {
        bw_api_fail_later(call, "choosing the mode of a hypothetical meeting is not supported yet; leave "
                                "`mode` unspecified for the policy's preference");
        return;
    }
    const Bailiwick__V1__PolicyVersion *version = request->policy;
    if (version != NULL && version->which_case == BAILIWICK__V1__POLICY_VERSION__WHICH_REVISION) {
        bw_api_fail_later(call, "explaining under an older revision is not supported yet; give its text");
        return;
    }
    struct bw_error err;
    struct explaining e = {.call = call, .request = request->request, .now_ms = bw_clock_wall_ms()};
    e.view = bw_api_view_of(call);
    if (e.view == NULL) {
        (void)bw_fail(&err, BW_UNAVAILABLE, "STARTING", "the fleet is not known here yet; try again");
        bw_api_fail(call, &err, NULL);
        return;
    }
    e.arena = bw_arena_create(ARENA_BYTES);
    if (e.arena == NULL) {
        bw_api_fail_memory(call);
        return;
    }
    if (version != NULL && version->which_case == BAILIWICK__V1__POLICY_VERSION__WHICH_YAML)
        explain_with(&e, version->yaml);
    else
        explain_enforced(&e);
    bw_explanation_finish(&e.explanation);
    bw_arena_destroy(e.arena);
}
