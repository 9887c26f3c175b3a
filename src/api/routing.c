#include "api/routing.h"

#include <stdlib.h>
#include <string.h>

#include "api/explanation.h"

enum { OVERRIDE_ARENA_BYTES = 4 << 20 };

void bw_routing_want(struct bw_routing *routing, const struct bw_decision *decision)
{
    for (size_t i = 0; i < routing->count; i++) {
        if (routing->revisions[i].revision == decision->policy_revision)
            return;
    }
    if (routing->count == BW_ROUTING_REVISIONS) {
        routing->more = true;
        return;
    }
    routing->revisions[routing->count++] =
        (struct bw_routing_revision){.revision = decision->policy_revision, .at_ms = decision->at_ms};
}

const struct bw_routing_revision *bw_routing_of(const struct bw_routing *routing,
                                                const struct bw_decision *decision)
{
    for (size_t i = 0; i < routing->count; i++) {
        if (routing->revisions[i].revision == decision->policy_revision &&
            routing->revisions[i].constraints != NULL)
            return &routing->revisions[i];
    }
    return NULL;
}

static int nearer(const void *a, const void *b)
{
    const Bailiwick__V1__RelayReasons *x = *(Bailiwick__V1__RelayReasons *const *)a,
                                      *y = *(Bailiwick__V1__RelayReasons *const *)b;
    if (x->n_reasons != y->n_reasons)
        return x->n_reasons < y->n_reasons ? -1 : 1;
    return strcmp(x->relay, y->relay);
}

static bool compile(struct bw_api_call *call, struct bw_routing *routing,
                    struct bw_routing_revision *revision, const struct bw_policy_set *set)
{
    const struct bw_fleet_view *view = bw_api_view_of(call);
    struct bw_arena *arena = bw_arena_create(OVERRIDE_ARENA_BYTES);
    const struct bw_policy_doc *override_doc = NULL;
    struct bw_error err;
    if (arena == NULL)
        return false;
    if (view != NULL && set->doc != NULL && routing->created != NULL &&
        bw_policies_override(NULL, routing->created->override_yaml, arena, &override_doc, &err) == BW_OK &&
        bw_policies_compile_meeting(set, routing->created->levels, routing->created->level_count,
                                    override_doc, view->snapshot->facts, bw_api_config_of(call)->cell,
                                    revision->at_ms, &revision->constraints, &err) != BW_OK)
        revision->constraints = NULL;
    bw_arena_destroy(arena);
    if (revision->constraints == NULL)
        return true;
    Bailiwick__V1__Explanation explanation = BAILIWICK__V1__EXPLANATION__INIT;
    const struct bw_constraints *constraints = revision->constraints;
    if (!bw_api_explain_rejected(constraints, constraints->reasons, constraints->facts->relay_count,
                                 routing->arena, &explanation))
        return false;
    revision->rejected = explanation.rejected;
    revision->rejected_count = explanation.n_rejected;
    qsort(revision->rejected, revision->rejected_count, sizeof(void *), nearer);
    return true;
}

struct fetching {
    struct bw_routing *routing;
    bw_api_handler *then;
    void *outer;
};

static void step(struct bw_api_call *call);

static void over(struct bw_api_call *call, bool ok)
{
    const struct fetching *fetching = call->state;
    call->state = fetching->outer;
    call->order.error.code = BW_OK;
    if (!ok)
        bw_fail_memory(&call->order.error);
    fetching->then(call);
}

static void fetched(struct bw_api_call *call)
{
    const struct fetching *fetching = call->state;
    struct bw_routing *routing = fetching->routing;
    struct bw_routing_revision *revision = &routing->revisions[routing->fetched++];
    struct bw_policy_set *set = NULL;
    struct bw_error err;
    bool ok = true;
    if (call->order.error.code == BW_OK &&
        bw_policy_set_create(&call->tenant, call->tenant_name, revision->revision,
                             call->order.policy_get.result.yaml, &set, &err) == BW_OK)
        ok = compile(call, routing, revision, set);
    bw_policy_set_release(set);
    if (ok)
        step(call);
    else
        over(call, false);
}

static void step(struct bw_api_call *call)
{
    const struct fetching *fetching = call->state;
    struct bw_routing *routing = fetching->routing;
    const struct bw_policy_set *now = bw_owner_policy(bw_api_config_of(call)->owner, &call->tenant);
    while (routing->fetched < routing->count) {
        struct bw_routing_revision *revision = &routing->revisions[routing->fetched];
        if (now == NULL || now->revision != revision->revision) {
            call->order.policy_get.tenant = call->tenant;
            call->order.policy_get.revision = revision->revision;
            bw_api_order(call, BW_DESK_POLICY_GET, fetched);
            return;
        }
        routing->fetched++;
        if (!compile(call, routing, revision, now)) {
            over(call, false);
            return;
        }
    }
    over(call, true);
}

void bw_routing_fetch(struct bw_api_call *call, struct bw_routing *routing, bw_api_handler *then)
{
    struct fetching *fetching = bw_arena_zalloc(call->arena, 1, sizeof *fetching);
    if (fetching == NULL) {
        bw_fail_memory(&call->order.error);
        then(call);
        return;
    }
    *fetching = (struct fetching){.routing = routing, .then = then, .outer = call->state};
    call->state = fetching;
    step(call);
}

void bw_routing_finish(struct bw_routing *routing)
{
    for (size_t i = 0; i < routing->count; i++)
        bw_constraints_release(routing->revisions[i].constraints);
    routing->count = 0;
}
