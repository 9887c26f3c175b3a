/* PolicyService.ExplainPlacement of a live meeting as a whole: where everybody is, and what its policy says
 * of each relay now. */
#include <string.h>

#include "api/call.h"
#include "api/explanation.h"
#include "api/gate.h"
#include "api/meeting_copy.h"
#include "runtime/clock.h"

enum { MEMBERS_MAX = 500, OVERRIDE_ARENA_BYTES = 4 << 20 };

struct reading {
    bool found, failed;
    struct bw_api_meeting_copy copy;
    const char *const *levels;
    size_t level_count;
    const char *override_yaml;
};

static bool copy_levels(const struct bw_meeting *meeting, struct bw_arena *arena, struct reading *reading)
{
    const char **levels = bw_arena_zalloc(arena, meeting->level_count + 1, sizeof *levels);
    if (levels == NULL)
        return false;
    for (size_t i = 0; i < meeting->level_count; i++) {
        levels[i] = bw_arena_strdup(arena, meeting->levels[i]);
        if (levels[i] == NULL)
            return false;
    }
    reading->levels = levels;
    reading->level_count = meeting->level_count;
    if (meeting->override_yaml == NULL)
        return true;
    reading->override_yaml = bw_arena_strdup(arena, meeting->override_yaml);
    return reading->override_yaml != NULL;
}

/* On the owner's thread. */
static void read_meeting(struct bw_op *op, const struct bw_meeting *meeting)
{
    struct bw_api_call *call = bw_api_call_of(op);
    struct reading *reading = call->state;
    reading->found = meeting != NULL && !meeting->ended;
    if (reading->found)
        reading->failed = !bw_api_copy_meeting(meeting, 0, MEMBERS_MAX, call->arena, &reading->copy) ||
                          !copy_levels(meeting, call->arena, reading);
}

/* ---- the answer ---- */

static bool fill_roster(struct bw_api_call *call, const struct bw_api_meeting_copy *copy,
                        Bailiwick__V1__Explanation *out)
{
    const struct bw_fleet_view *view = bw_api_view_of(call);
    out->assignments = bw_arena_zalloc(call->arena, copy->member_count + 1, sizeof(void *));
    out->flags = bw_arena_zalloc(call->arena, copy->member_count + 1, sizeof(void *));
    if (out->assignments == NULL || out->flags == NULL)
        return false;
    for (size_t i = 0; i < copy->member_count; i++) {
        const struct bw_api_member *member = &copy->members[i];
        const char *who = bw_api_id_text(&member->entry, call->arena);
        if (who == NULL ||
            !bw_api_explain_assign(who, bw_api_relay_name(view, member->relay), call->arena, out) ||
            !bw_api_explain_flags(who, member->flags.allocated.scheme, call->arena, out))
            return false;
    }
    return true;
}

/* The relays of a meeting are a mesh. */
static bool fill_legs(struct bw_api_call *call, const struct bw_api_meeting_copy *copy,
                      Bailiwick__V1__Explanation *out)
{
    enum { LEGS_MAX = 512 };
    const struct bw_fleet_view *view = bw_api_view_of(call);
    size_t n = copy->relay_count, most = n * (n - (n > 0)) / 2;
    most = most < LEGS_MAX ? most : LEGS_MAX;
    out->legs = bw_arena_zalloc(call->arena, most + 1, sizeof(void *));
    Bailiwick__V1__Explanation__Leg *legs = bw_arena_zalloc(call->arena, most + 1, sizeof *legs);
    if (out->legs == NULL || legs == NULL)
        return false;
    for (size_t i = 0; i < n; i++) {
        for (size_t j = i + 1; j < n && out->n_legs < most; j++) {
            Bailiwick__V1__Explanation__Leg *leg = &legs[out->n_legs];
            bailiwick__v1__explanation__leg__init(leg);
            leg->a = bw_api_relay_name(view, copy->relays[i].number);
            leg->b = bw_api_relay_name(view, copy->relays[j].number);
            out->legs[out->n_legs++] = leg;
        }
    }
    return true;
}

static uint32_t missing_of(const struct bw_constraints *constraints, const struct bw_api_meeting_copy *copy)
{
    uint32_t missing = constraints->required_connectors;
    for (size_t i = 0; i < copy->member_count; i++) {
        if (copy->members[i].flags.connector)
            missing &= ~BW_CONNECTOR_BIT(
                bw_connector_parse(bw_endpoint_name((enum bw_endpoint)copy->members[i].kind)));
    }
    return missing;
}

static Bailiwick__V1__Explanation *fill(struct bw_api_call *call, const struct reading *reading,
                                        const struct bw_constraints *constraints, uint32_t revision)
{
    const struct bw_api_meeting_copy *copy = &reading->copy;
    Bailiwick__V1__Explanation *out = bw_arena_alloc(call->arena, sizeof *out);
    if (out == NULL)
        return NULL;
    bailiwick__v1__explanation__init(out);
    out->decision = "placed";
    out->mode = bw_mode_name(copy->label);
    out->basis = bw_api_explain_basis("recomputed", revision, constraints->facts->revision, call->arena);
    if (out->basis == NULL)
        return NULL;
    out->basis->same_facts = true;
    out->basis->same_policy = memcmp(constraints->hash, copy->policy_hash, sizeof copy->policy_hash) == 0;
    bool ok = bw_api_explain_policy(copy->policy_revision, copy->policy_hash, call->arena, out) &&
              fill_roster(call, copy, out) && fill_legs(call, copy, out) &&
              bw_api_explain_rejected(constraints, constraints->reasons, constraints->facts->relay_count,
                                      call->arena, out) &&
              bw_api_explain_terms(constraints, call->arena, out) &&
              bw_api_explain_missing(missing_of(constraints, copy), call->arena, out);
    return ok ? out : NULL;
}

static enum bw_code compile(struct bw_api_call *call, const struct reading *reading,
                            const struct bw_policy_set *set, struct bw_constraints **constraints,
                            struct bw_error *err)
{
    struct bw_arena *arena = bw_arena_create(OVERRIDE_ARENA_BYTES);
    if (arena == NULL)
        return bw_fail_memory(err);
    const struct bw_policy_doc *override_doc = NULL;
    enum bw_code code = bw_policies_override(NULL, reading->override_yaml, arena, &override_doc, err);
    if (code == BW_OK)
        code = bw_policies_compile_meeting(
            set, reading->levels, reading->level_count, override_doc, bw_api_view_of(call)->snapshot->facts,
            bw_api_config_of(call)->cell, bw_clock_wall_ms(), constraints, err);
    bw_arena_destroy(arena);
    return code;
}

static void answer(struct bw_api_call *call)
{
    const struct reading *reading = call->state;
    struct bw_error err = call->op.error;
    enum bw_code code = err.code;
    const struct bw_policy_set *set = bw_owner_policy(bw_api_config_of(call)->owner, &call->tenant);
    struct bw_constraints *constraints = NULL;
    if (code == BW_OK && !reading->found)
        code =
            bw_fail(&err, BW_NOT_FOUND, "NO_MEETING",
                    "the tenant has no live meeting of that id; of one that is over, ask for a slot or by a "
                    "reference");
    else if (code == BW_OK && reading->failed)
        code = bw_fail_memory(&err);
    else if (code == BW_OK && bw_api_view_of(call) == NULL)
        code = bw_fail(&err, BW_UNAVAILABLE, "STARTING", "the fleet is not known here yet; try again");
    else if (code == BW_OK && set == NULL)
        code = bw_fail(&err, BW_FAILED_PRECONDITION, "NO_POLICY", "tenant \"%s\" has no policy in force",
                       call->tenant_name);
    else if (code == BW_OK)
        code = compile(call, reading, set, &constraints, &err);
    if (code != BW_OK) {
        bw_api_fail(call, &err, NULL);
        return;
    }
    Bailiwick__V1__ExplainPlacementResponse response = BAILIWICK__V1__EXPLAIN_PLACEMENT_RESPONSE__INIT;
    response.explanation = fill(call, reading, constraints, set->revision);
    if (response.explanation != NULL)
        bw_api_reply(call, &response.base);
    else
        bw_api_fail_memory(call);
    bw_constraints_release(constraints);
}

void bw_api_explain_meeting(struct bw_api_call *call)
{
    const Bailiwick__V1__ExplainPlacementRequest *request =
        (const Bailiwick__V1__ExplainPlacementRequest *)call->request;
    struct reading *reading = bw_arena_zalloc(call->arena, 1, sizeof *reading);
    if (reading == NULL) {
        bw_api_fail_memory(call);
        return;
    }
    call->state = reading;
    call->op.meeting = bw_api_id(request->meeting_id);
    call->op.read = read_meeting;
    bw_api_submit(call, BW_OP_READ, answer);
}
