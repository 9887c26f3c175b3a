#include "placement/explain.h"

#include <string.h>

#include "policy/chain.h"
#include "policy/compile.h"

static enum bw_code check_request(const struct bw_policy_doc *tenant, const struct bw_request_file *request,
                                  struct bw_error *err)
{
    if (!bw_view_equal_str(tenant->tenant.text, request->tenant))
        return bw_fail(err, BW_INVALID_ARGUMENT, NULL, "the request is for tenant %s, the policy is %s's",
                       request->tenant, (const char *)tenant->tenant.text.data);
    /* A misspelt group would silently lose its rules. */
    for (size_t i = 0; i < request->host.group_count; i++) {
        bool known = false;
        for (size_t g = 0; g < tenant->groups.count; g++)
            known = known || bw_view_equal_str(tenant->groups.items[g].name.text, request->host.groups[i]);
        if (!known)
            return bw_fail(err, BW_INVALID_ARGUMENT, NULL, "the policy has no group named %s",
                           request->host.groups[i]);
    }
    return BW_OK;
}

static bool connector_placed(const struct bw_request_file *request, const struct bw_plan *plan)
{
    for (size_t i = 0; i < request->participant_count; i++)
        if (request->where[i].is_connector && plan->assignments[i] != BW_NO_RELAY)
            return true;
    return false;
}

enum bw_code bw_explain_request(const struct bw_policy_doc *tenant, const struct bw_policy_doc *meeting,
                                const struct bw_snapshot *snapshot, const struct bw_request_file *request,
                                const struct bw_weights *weights, uint64_t now_ms, struct bw_arena *arena,
                                struct bw_explanation *explanation, struct bw_error *err)
{
    enum bw_code code = check_request(tenant, request, err);
    if (code != BW_OK)
        return code;
    struct bw_compile_input input = {.tenant = tenant,
                                     .meeting = meeting,
                                     .subject = request->host,
                                     .role = BW_ROLE_HOST,
                                     .facts = snapshot->facts,
                                     .cell = request->cell,
                                     .now_ms = request->has_at ? request->at_ms : now_ms};
    struct bw_constraints *constraints;
    code = bw_policy_compile(&input, &constraints, err);
    if (code != BW_OK)
        return code;
    struct bw_explanation made = {
        .snapshot = snapshot,
        .request = request,
        .constraints = constraints,
        .mode = constraints->prefers_e2ee ? BW_MODE_SET_E2EE : BW_MODE_SET_HOP,
    };
    if (!(made.mode & constraints->modes))
        made.mode = constraints->modes;
    struct bw_place_request place = {.snapshot = snapshot,
                                     .constraints = constraints,
                                     .weights = weights,
                                     .meeting = request->meeting,
                                     .mode = made.mode,
                                     .cap_per_relay = request->cap_per_relay,
                                     .open = request->open,
                                     .open_count = request->open_count};
    code = bw_place_plan(&place, request->where, request->participant_count, arena, &made.plan, &made.trace,
                         err);
    if (code != BW_OK) {
        bw_constraints_release(constraints);
        return code;
    }
    made.with_connectors = connector_placed(request, &made.plan);
    *explanation = made;
    return BW_OK;
}

uint32_t bw_explain_missing(const struct bw_explanation *explanation)
{
    uint32_t missing = explanation->constraints->required_connectors;
    for (size_t i = 0; i < explanation->request->participant_count; i++) {
        const struct bw_participant *participant = &explanation->request->where[i];
        if (participant->is_connector && participant->connector < BW_CONNECTOR_COUNT)
            missing &= ~BW_CONNECTOR_BIT(participant->connector);
    }
    return missing;
}

void bw_explanation_finish(struct bw_explanation *explanation)
{
    bw_constraints_release(explanation->constraints);
    *explanation = (struct bw_explanation){.snapshot = NULL};
}
