#include "rig.h"

#include "rig_sealed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/check.h"
#include "base/reference.h"
#include "runtime/clock.h"

enum { RIG_TICK_MS = 5, CALL_MS = 10000 };

static const char *const ids[RIG_ROLES] = {
    [RIG_APP] = "spiffe://eu.example/app/portal",
    [RIG_ADMIN] = "spiffe://eu.example/admin/anna",
    [RIG_OPERATOR] = "spiffe://eu.example/operator/ops",
    [RIG_RELAY] = "spiffe://eu.example/relay/par1",
    [RIG_TIER1] = "spiffe://eu.example/support/tom",
    [RIG_TIER2] = "spiffe://eu.example/support/tina",
    [RIG_NOBODY] = NULL,
};

/* ---- ports ---- */

static void settle(void *context)
{
    bw_headless_settle(&((struct rig *)context)->world);
}

static void due(void *context)
{
    struct rig *rig = context;
    bw_loop_defer(rig->loop, &rig->settle);
}

static void submit(void *context, struct bw_op *op)
{
    bw_owner_submit(((struct rig *)context)->world.owner, op);
}

static struct bw_id new_meeting(void *context)
{
    return bw_headless_new_id(&((struct rig *)context)->world);
}

static void run_here(void *context, struct bw_api_task *task)
{
    task->run(task, ((struct rig *)context)->world.owner);
}

static void run_at_owner(void *context, const struct bw_id *meeting, struct bw_api_task *task)
{
    (void)meeting;
    task->run(task, ((struct rig *)context)->world.owner);
}

static void each_owner(void *context, struct bw_api_sweep *sweep)
{
    sweep->visit(sweep, ((struct rig *)context)->world.owner);
    sweep->done(sweep);
}

static const struct bw_callers *callers(void *context)
{
    return ((struct rig *)context)->callers;
}

static void certify(void *context, struct bw_view csr_der, const char *spiffe_id, uint32_t lifetime_s,
                    void (*done)(void *done_context, const struct bw_error *error, struct bw_view pem),
                    void *done_context)
{
    (void)context;
    (void)csr_der;
    char pem[256];
    snprintf(pem, sizeof pem, "certificate of %s for %u s\n", spiffe_id, lifetime_s);
    static const struct bw_error fine;
    done(done_context, &fine, bw_view_str(pem));
}

static void country_of(void *context, const char *address, char country[3])
{
    (void)context;
    memcpy(country, strcmp(address, "198.51.100.7") == 0 ? "DE" : "", 1 + 2 * (*address == '1'));
}

/* Takes everything, or is overloaded and takes nothing. */
static void quality(void *context, struct bw_api_quality *batch)
{
    struct rig *rig = context;
    rig->batches++;
    rig->source = batch->source;
    rig->relay = batch->relay;
    rig->window_tenant = batch->tenant;
    rig->window_count = batch->count < BW_ARRAY_LEN(rig->windows) ? batch->count : BW_ARRAY_LEN(rig->windows);
    memcpy(rig->windows, batch->windows, rig->window_count * sizeof rig->windows[0]);
    batch->overloaded = rig->overloaded;
    batch->taken = rig->overloaded ? 0 : (uint32_t)batch->count;
    batch->dropped = rig->overloaded ? (uint32_t)batch->count : 0;
    for (size_t i = 0; i < batch->count; i++)
        batch->windows[i].taken = !rig->overloaded;
    batch->done(batch);
}

/* The world's clock goes on: what waits for its moment gets it. */
static void tick(void *context)
{
    struct rig *rig = context;
    rig->world.mono_ms += RIG_TICK_MS;
    bw_headless_settle(&rig->world);
}

/* ---- the desk ---- */

static void publish(struct rig *rig, struct bw_desk_order *order)
{
    uint32_t current = rig->policy_count > 0 ? rig->policies[rig->policy_count - 1].revision : 0;
    if (order->policy_publish.if_revision_set && order->policy_publish.if_revision != current) {
        bw_fail(&order->error, BW_ABORTED, "REVISION_CONFLICT", "revision %u is enforced", current);
        return;
    }
    struct rig_policy *kept = &rig->policies[rig->policy_count++];
    kept->revision = current + 1;
    kept->at_ms = rig->world.wall_ms;
    memcpy(kept->hash, order->policy_publish.hash, sizeof kept->hash);
    kept->yaml = bw_calloc(order->policy_publish.yaml.len + 1, 1);
    memcpy(kept->yaml, order->policy_publish.yaml.data, order->policy_publish.yaml.len);
    kept->author = bw_strdup(order->policy_publish.author);
    kept->note = bw_strdup(order->policy_publish.note);
    order->policy_publish.revision = kept->revision;
    assert_true(
        bw_headless_publish(&rig->world, order->policy_publish.tenant_name, kept->revision, kept->yaml));
}

static struct bw_desk_policy desk_policy(const struct rig_policy *kept, bool with_yaml)
{
    struct bw_desk_policy policy = {
        .revision = kept->revision, .at_ms = kept->at_ms, .author = kept->author, .note = kept->note};
    memcpy(policy.hash, kept->hash, sizeof policy.hash);
    if (with_yaml)
        policy.yaml = bw_view_str(kept->yaml);
    return policy;
}

static void policy_get(struct rig *rig, struct bw_desk_order *order)
{
    for (size_t i = rig->policy_count; i-- > 0;) {
        if (order->policy_get.revision != 0 && rig->policies[i].revision != order->policy_get.revision)
            continue;
        order->policy_get.result = desk_policy(&rig->policies[i], true);
        return;
    }
    bw_fail(&order->error, BW_NOT_FOUND, "NO_REVISION", "no such revision");
}

static void policies_list(struct rig *rig, struct bw_desk_order *order)
{
    order->policies_list.results =
        bw_arena_zalloc(order->arena, rig->policy_count + 1, sizeof(struct bw_desk_policy));
    for (size_t i = rig->policy_count; i-- > 0;) {
        if (order->policies_list.before != 0 && rig->policies[i].revision >= order->policies_list.before)
            continue;
        if (order->policies_list.count < order->policies_list.limit)
            order->policies_list.results[order->policies_list.count++] =
                desk_policy(&rig->policies[i], false);
    }
}

static void tenants_list(struct rig *rig, struct bw_desk_order *order)
{
    order->tenants_list.results =
        bw_arena_zalloc(order->arena, rig->tenant_count + 1, sizeof(struct bw_desk_tenant));
    for (size_t i = 0; i < rig->tenant_count; i++) { /* kept sorted by the tests */
        if (strcmp(rig->tenants[i], order->tenants_list.after) > 0 &&
            order->tenants_list.count < order->tenants_list.limit)
            order->tenants_list.results[order->tenants_list.count++] =
                (struct bw_desk_tenant){.id = {{(uint8_t)(i + 1)}}, .name = rig->tenants[i], .cell = "eu"};
    }
}

static void relay_state(struct rig *rig, struct bw_desk_order *order)
{
    static const enum bw_relay_state states[] = {
        [BW_DESK_CORDON] = BW_RELAY_CORDONED,
        [BW_DESK_UNCORDON] = BW_RELAY_SERVING,
        [BW_DESK_DRAIN] = BW_RELAY_DRAINING,
        [BW_DESK_REMOVE] = BW_RELAY_DEAD,
    };
    for (size_t i = 0; i < BW_HEADLESS_RELAYS; i++) {
        struct bw_headless_relay *relay = &rig->world.relays[i];
        if (strcmp(relay->name, order->relay_state.name) != 0)
            continue;
        relay->state = states[order->relay_state.action];
        snprintf(relay->reason, sizeof relay->reason, "%s", order->relay_state.reason);
        relay->absent = order->relay_state.action == BW_DESK_REMOVE;
        order->relay_state.facts_revision = ++rig->world.facts_revision;
        assert_true(bw_headless_publish_fleet(&rig->world));
    }
}

static void decision_find(struct rig *rig, struct bw_desk_order *order)
{
    struct bw_reference reference;
    if (!bw_reference_parse(bw_view_str(order->decision_find.reference), &reference)) {
        bw_fail(&order->error, BW_INVALID_ARGUMENT, NULL, "not a reference");
        return;
    }
    struct bw_view record;
    for (size_t i = 0; (record = bw_headless_record_at(&rig->world, i)).len > 0; i++) {
        struct bw_arena *arena = bw_arena_create(1 << 20);
        struct bw_decision *decision;
        struct bw_error err;
        assert_int_equal(bw_api_record_decode(record, arena, &decision, &err), BW_OK);
        bool found = bw_reference_matches(&reference, &decision->meeting, decision->seq);
        bw_arena_destroy(arena);
        if (!found)
            continue;
        order->decision_find.record =
            bw_view_of(bw_arena_memdup(order->arena, record.data, record.len), record.len);
        return;
    }
    bw_fail(&order->error, BW_NOT_FOUND, "NO_DECISION", "no decision of that reference");
}

static void do_order(struct rig *rig, struct bw_desk_order *order)
{
    switch (order->kind) {
    case BW_DESK_TENANT_CREATE:
        snprintf(rig->tenants[rig->tenant_count++], 64, "%s", order->tenant_create.name);
        order->tenant_create.result = (struct bw_desk_tenant){.id = {{(uint8_t)rig->tenant_count}},
                                                              .name = order->tenant_create.name,
                                                              .cell = order->tenant_create.cell,
                                                              .created_ms = rig->world.wall_ms};
        break;
    case BW_DESK_TENANTS_LIST:
        tenants_list(rig, order);
        break;
    case BW_DESK_POLICY_PUBLISH:
        publish(rig, order);
        break;
    case BW_DESK_POLICY_GET:
        policy_get(rig, order);
        break;
    case BW_DESK_POLICIES_LIST:
        policies_list(rig, order);
        break;
    case BW_DESK_CREDENTIAL_ISSUE:
        snprintf(rig->credential, sizeof rig->credential, "%s", order->credential_issue.spiffe_id);
        snprintf(rig->credential_role, sizeof rig->credential_role, "%s", order->credential_issue.role);
        rig->credential_tenants = order->credential_issue.tenant_count;
        break;
    case BW_DESK_RELAY_ENROLL: {
        struct bw_relay_facts facts;
        uint32_t capacity = 0;
        struct bw_error err;
        assert_int_equal(
            bw_api_facts_decode(order->relay_enroll.facts, 1, order->arena, &facts, &capacity, &err), BW_OK);
        assert_int_equal(capacity, order->relay_enroll.capacity);
        for (size_t i = 0; i < BW_HEADLESS_RELAYS; i++) {
            if (strcmp(rig->world.relays[i].name, order->relay_enroll.name) != 0)
                continue;
            rig->world.relays[i].absent = false;
            rig->world.relays[i].capacity = capacity;
            order->relay_enroll.number = (uint32_t)i + 1;
        }
        order->relay_enroll.facts_revision = ++rig->world.facts_revision;
        assert_true(bw_headless_publish_fleet(&rig->world));
        break;
    }
    case BW_DESK_RELAY_STATE:
        relay_state(rig, order);
        break;
    case BW_DESK_DECISION_FIND:
        decision_find(rig, order);
        break;
    case BW_DESK_DECISIONS_WALK:
        rig_decisions_walk(rig, order);
        break;
    case BW_DESK_MEETINGS_SEARCH:
        rig_meetings_search(rig, order);
        break;
    }
}

static void desk(void *context, struct bw_desk_order *order)
{
    struct rig *rig = context;
    rig->orders++;
    if (rig->desk_away)
        bw_fail(&order->error, BW_UNAVAILABLE, "DATABASE_UNAVAILABLE", "the database is away; try again");
    else
        do_order(rig, order);
    order->done(order);
}

/* ---- the rig ---- */

static void serve(struct rig *rig, enum rig_role role)
{
    const struct bw_api_config config = {
        .ports = {.context = rig,
                  .submit = submit,
                  .new_meeting = new_meeting,
                  .desk = desk,
                  .run_here = run_here,
                  .run_at_owner = run_at_owner,
                  .each_owner = each_owner,
                  .certify = certify,
                  .callers = callers,
                  .country_of = country_of,
                  .quality = quality,
                  .open = rig_open},
        .owner = rig->world.owner,
        .cell = "eu",
        .trust_domain = "eu.example",
        .version = "0.1.0",
        .insecure_caller = ids[role],
    };
    struct bw_error err = {.code = BW_OK};
    assert_int_equal(bw_api_create(&config, &rig->as[role].api, &err), BW_OK);
    size_t count;
    const struct bw_grpc_method *methods = bw_api_methods(rig->as[role].api, &count);
    struct bw_grpc_limits limits = bw_grpc_limits_default();
    limits.write_stall_ms = 600000; /* a slow machine is not a client that has given up */
    const struct bw_grpc_server_config server = {
        .address = "127.0.0.1",
        .limits = limits,
        .admit = bw_api_admit,
        .admit_context = rig->as[role].api,
        .error_domain = "bailiwick",
        .descriptor_set = bw_wire_descriptor_set(),
    };
    rig->as[role].server = bw_grpc_server_create(rig->loop, &server, methods, count, &err);
    assert_non_null(rig->as[role].server);
    char target[32];
    snprintf(target, sizeof target, "127.0.0.1:%u", bw_grpc_server_port(rig->as[role].server));
    const struct bw_grpc_client_config client = {.target = target, .h2c = true};
    rig->as[role].client = bw_grpc_client_create(rig->loop, &client, &err);
    assert_non_null(rig->as[role].client);
}

void rig_init(struct rig *rig)
{
    *rig = (struct rig){.code = BW_OK};
    assert_true(bw_headless_init(&rig->world));
    bw_headless_settle(&rig->world);
    rig->world.due = due;
    rig->world.due_context = rig;
    static const struct bw_id tenant = {{1}}, guest = {{2}};
    const struct bw_caller known[] = {
        {ids[RIG_APP], BW_CALLER_APP, (struct bw_id[]){tenant, {{3}}}, 2},
        {ids[RIG_ADMIN], BW_CALLER_TENANT_ADMIN, &tenant, 1},
        {ids[RIG_OPERATOR], BW_CALLER_OPERATOR, NULL, 0},
        {ids[RIG_TIER1], BW_CALLER_SUPPORT_TIER1, &tenant, 1},
        {ids[RIG_TIER2], BW_CALLER_SUPPORT_TIER2, &tenant, 1},
        {"spiffe://eu.example/app/rival", BW_CALLER_APP, &guest, 1},
    };
    static const struct bw_known_tenant tenants[] = {
        {{{2}}, "acme", "eu"}, {{{3}}, "berne", "ch"}, {{{1}}, "chu-lyon", "eu"}};
    rig->callers =
        bw_callers_create(known, BW_ARRAY_LEN(known), tenants, BW_ARRAY_LEN(tenants), &ids[RIG_RELAY], 1);
    assert_non_null(rig->callers);
    for (size_t i = 0; i < BW_ARRAY_LEN(tenants); i++)
        snprintf(rig->tenants[rig->tenant_count++], 64, "%s", tenants[i].name);
    rig->arena = bw_arena_create(64 << 20);
    struct bw_error err;
    rig->loop = bw_loop_create(&err);
    assert_non_null(rig->loop);
    bw_task_init(&rig->settle, settle, rig);
    rig->clock = bw_timer_create(rig->loop, tick, rig, &err);
    assert_non_null(rig->clock);
    bw_timer_start(rig->clock, RIG_TICK_MS, RIG_TICK_MS);
    for (int role = 0; role < RIG_ROLES; role++)
        serve(rig, (enum rig_role)role);
}

void rig_finish(struct rig *rig)
{
    for (int role = 0; role < RIG_ROLES; role++) {
        bw_grpc_client_destroy(rig->as[role].client);
        bw_grpc_server_destroy(rig->as[role].server);
    }
    rig_run_ms(rig, 5);
    bw_timer_destroy(rig->clock);
    bw_loop_undefer(rig->loop, &rig->settle);
    rig->world.due = NULL;
    bw_headless_finish(&rig->world);
    for (int role = 0; role < RIG_ROLES; role++)
        bw_api_destroy(rig->as[role].api);
    bw_loop_destroy(rig->loop);
    for (size_t i = 0; i < rig->policy_count; i++) {
        bw_free(rig->policies[i].yaml);
        bw_free(rig->policies[i].author);
        bw_free(rig->policies[i].note);
    }
    bw_callers_release(rig->callers);
    bw_arena_destroy(rig->arena);
}

/* ---- calls ---- */

struct waiting {
    struct rig *rig;
    const ProtobufCMessageDescriptor *response;
};

static void done(const struct bw_grpc_outcome *outcome, struct bw_view reply, void *context)
{
    struct waiting *waiting = context;
    struct rig *rig = waiting->rig;
    rig->over = true;
    rig->code = outcome->code;
    snprintf(rig->message, sizeof rig->message, "%s", outcome->message);
    rig->reason[0] = '\0';
    rig->details = (struct bw_grpc_details){0};
    struct bw_error err;
    if (outcome->status.len > 0) {
        assert_int_equal(bw_grpc_details_decode(outcome->status, rig->arena, &rig->details, &err), BW_OK);
        if (rig->details.reason != NULL)
            snprintf(rig->reason, sizeof rig->reason, "%s", rig->details.reason);
    }
    rig->reply = NULL;
    if (outcome->code == BW_OK) {
        void *copy = bw_arena_memdup(rig->arena, reply.data, reply.len);
        enum bw_code code = bw_wire_decode_limited(waiting->response, bw_view_of(copy, reply.len), 200000,
                                                   rig->arena, &rig->reply, &err);
        if (code != BW_OK) /* what we send must pass what we demand */
            fail_msg("the reply is not well-formed: %s", err.show);
    }
    bw_loop_stop(rig->loop);
}

static void tired(void *context)
{
    bw_loop_stop(context);
}

void rig_run_ms(struct rig *rig, uint64_t ms)
{
    struct bw_error err;
    struct bw_timer *timer = bw_timer_create(rig->loop, tired, rig->loop, &err);
    assert_non_null(timer);
    bw_timer_start(timer, ms, 0);
    bw_loop_run(rig->loop);
    bw_timer_destroy(timer);
}

const void *rig_call(struct rig *rig, enum rig_role role, const char *method, const void *request,
                     const ProtobufCMessageDescriptor *response)
{
    struct bw_buf bytes = {0};
    assert_int_equal(bw_wire_encode(request, &bytes), BW_OK);
    char path[128];
    snprintf(path, sizeof path, "/bailiwick.v1.%s", method);
    struct waiting waiting = {rig, response};
    struct bw_error err = {.code = BW_OK};
    rig->over = false;
    enum bw_code code = bw_grpc_client_unary(rig->as[role].client, path, 0, NULL, 0, bw_buf_view(&bytes),
                                             done, &waiting, &err);
    bw_buf_finish(&bytes);
    if (code != BW_OK)
        fail_msg("%s", err.show);
    struct bw_timer *guard = bw_timer_create(rig->loop, tired, rig->loop, &err);
    assert_non_null(guard);
    bw_timer_start(guard, CALL_MS, 0);
    bw_loop_run(rig->loop);
    bw_timer_destroy(guard);
    assert_true(rig->over);
    return rig->reply;
}

const char *rig_uuid(struct rig *rig)
{
    struct bw_id id = bw_headless_new_id(&rig->world);
    char *text = bw_arena_alloc(rig->arena, BW_ID_TEXT_SIZE);
    bw_id_format(&id, text);
    return text;
}
