#include "server/orders.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/check.h"
#include "control/policies.h"
#include "runtime/clock.h"
#include "runtime/log.h"
#include "runtime/random.h"
#include "server/hub.h"
#include "server/orders_support.h"
#include "server/vault_keeper.h"
#include "server/worker.h"
#include "store/decisions.h"
#include "store/fleet.h"
#include "store/tenants.h"

enum { LIST_CHUNK = 500, CALLERS_ARENA_BYTES = 256 << 20 };

/* ---- who may call ---- */

struct callers_reading {
    struct bw_arena *arena;
    struct bw_caller *callers;
    struct bw_known_tenant *tenants;
    const char **relays;
    size_t caller_count, caller_cap, tenant_count, tenant_cap, relay_count, relay_cap;
    char last[BW_STORE_NAME_SIZE];
    size_t page;
    bool failed;
};

static void *grow(struct callers_reading *reading, void *array, size_t *cap, size_t count, size_t size)
{
    if (count < *cap)
        return array;
    size_t wider = *cap ? *cap * 2 : 32;
    void *fresh = bw_arena_alloc(reading->arena, wider * size);
    if (fresh == NULL) {
        reading->failed = true;
        return array;
    }
    if (count > 0)
        memcpy(fresh, array, count * size);
    *cap = wider;
    return fresh;
}

static const char *keep(struct callers_reading *reading, const char *text)
{
    const char *copy = bw_arena_strdup(reading->arena, text);
    reading->failed = reading->failed || copy == NULL;
    return copy;
}

static bool on_tenant(void *context, const struct bw_store_tenant *tenant)
{
    struct callers_reading *reading = context;
    reading->tenants = grow(reading, reading->tenants, &reading->tenant_cap, reading->tenant_count,
                            sizeof *reading->tenants);
    if (reading->failed)
        return false;
    reading->tenants[reading->tenant_count++] = (struct bw_known_tenant){
        .id = tenant->id, .name = keep(reading, tenant->name), .cell = keep(reading, tenant->cell)};
    memcpy(reading->last, tenant->name, sizeof reading->last);
    reading->page++;
    return !reading->failed;
}

static const struct {
    const char *name;
    uint32_t bit;
} roles[] = {
    {"app", BW_CALLER_APP},
    {"tenant-admin", BW_CALLER_TENANT_ADMIN},
    {"operator", BW_CALLER_OPERATOR},
    {"support-tier1", BW_CALLER_SUPPORT_TIER1},
    {"support-tier2", BW_CALLER_SUPPORT_TIER2},
    {"auditor", BW_CALLER_AUDITOR},
    {"key-admin", BW_CALLER_KEY_ADMIN},
};

static void add_caller(struct callers_reading *reading, const char *spiffe_id, uint32_t bits,
                       const struct bw_id *tenants, size_t tenant_count)
{
    reading->callers = grow(reading, reading->callers, &reading->caller_cap, reading->caller_count,
                            sizeof *reading->callers);
    const struct bw_id *copy = bw_arena_memdup(reading->arena, tenants, tenant_count * sizeof *tenants);
    reading->failed = reading->failed || copy == NULL;
    if (!reading->failed)
        reading->callers[reading->caller_count++] = (struct bw_caller){.spiffe_id = keep(reading, spiffe_id),
                                                                       .roles = bits,
                                                                       .tenants = copy,
                                                                       .tenant_count = tenant_count};
}

static bool on_credential(void *context, const struct bw_store_credential *credential)
{
    struct callers_reading *reading = context;
    if (credential->revoked_ms != 0)
        return true;
    for (size_t i = 0; i < BW_ARRAY_LEN(roles); i++) {
        if (strcmp(roles[i].name, credential->role) == 0)
            add_caller(reading, credential->spiffe_id, roles[i].bit, credential->tenants,
                       credential->tenant_count);
    }
    return !reading->failed;
}

static bool on_relay(void *context, const struct bw_store_relay *relay)
{
    struct callers_reading *reading = context;
    reading->relays =
        grow(reading, reading->relays, &reading->relay_cap, reading->relay_count, sizeof *reading->relays);
    if (!reading->failed)
        reading->relays[reading->relay_count++] = keep(reading, relay->spiffe_id);
    return !reading->failed;
}

enum bw_code bw_orders_read_callers(struct bw_daemon *daemon, struct bw_store_db *db,
                                    struct bw_callers **callers, struct bw_error *err)
{
    struct callers_reading reading = {.arena = bw_arena_create(CALLERS_ARENA_BYTES)};
    if (reading.arena == NULL)
        return bw_fail_memory(err);
    const struct bw_daemon_config *config = daemon->config;
    for (size_t i = 0; i < config->operator_count; i++) {
        char id[512];
        snprintf(id, sizeof id, "spiffe://%s/operator/%s", config->trust_domain, config->operators[i]);
        add_caller(&reading, id, BW_CALLER_OPERATOR, NULL, 0);
    }
    enum bw_code code = BW_OK;
    do {
        reading.page = 0;
        code = bw_store_tenants_read(db, reading.last, LIST_CHUNK, on_tenant, &reading, err);
    } while (code == BW_OK && !reading.failed && reading.page == LIST_CHUNK);
    if (code == BW_OK)
        code = bw_store_credentials_read(db, on_credential, &reading, err);
    uint64_t revision;
    if (code == BW_OK)
        code = bw_store_relays_read(db, false, on_relay, &reading, &revision, err);
    if (code == BW_OK && reading.failed)
        code = bw_fail_memory(err);
    if (code == BW_OK) {
        struct bw_callers *made =
            bw_callers_create(reading.callers, reading.caller_count, reading.tenants, reading.tenant_count,
                              reading.relays, reading.relay_count);
        if (made != NULL)
            *callers = made;
        else
            code = bw_fail_memory(err);
    }
    bw_arena_destroy(reading.arena);
    return code;
}

/* ---- policies ---- */

struct policies_reading {
    struct bw_store_db *db;
    void (*each)(void *context, struct bw_policy_set *set);
    void *context;
    struct {
        struct bw_id tenant;
        uint32_t revision;
        void *yaml;
        size_t len;
    } * rows;
    size_t count, cap;
    bool failed;
};

static bool on_policy(void *context, const struct bw_store_policy *policy)
{
    struct policies_reading *reading = context;
    if (reading->count == reading->cap) {
        size_t cap = reading->cap ? reading->cap * 2 : 32;
        void *rows = bw_realloc(reading->rows, cap * sizeof *reading->rows);
        if (rows == NULL) {
            reading->failed = true;
            return false;
        }
        reading->rows = rows;
        reading->cap = cap;
    }
    void *yaml = bw_memdup(policy->yaml.data, policy->yaml.len);
    reading->failed = yaml == NULL;
    if (yaml == NULL)
        return false;
    reading->rows[reading->count].tenant = policy->tenant;
    reading->rows[reading->count].revision = policy->revision;
    reading->rows[reading->count].yaml = yaml;
    reading->rows[reading->count++].len = policy->yaml.len;
    return true;
}

enum bw_code bw_orders_read_policies(struct bw_store_db *db,
                                     void (*each)(void *context, struct bw_policy_set *set), void *context,
                                     struct bw_error *err)
{
    struct policies_reading reading = {.db = db, .each = each, .context = context};
    enum bw_code code = bw_store_policies_current(db, on_policy, &reading, err);
    if (code == BW_OK && reading.failed)
        code = bw_fail_memory(err);
    for (size_t i = 0; i < reading.count; i++) {
        struct bw_store_tenant tenant;
        struct bw_policy_set *set = NULL;
        struct bw_error why = {.code = BW_OK};
        if (code == BW_OK && bw_store_tenant_by_id(db, &reading.rows[i].tenant, &tenant, &why) == BW_OK &&
            bw_policy_set_create(&tenant.id, tenant.name, reading.rows[i].revision,
                                 bw_view_of(reading.rows[i].yaml, reading.rows[i].len), &set, &why) != BW_OK)
            set = bw_policy_set_create_unread(&tenant.id, tenant.name, reading.rows[i].revision);
        if (why.code != BW_OK)
            bw_log(BW_LOG_ERROR, "policy_not_understood", "revision=%u reason=\"%s\"",
                   reading.rows[i].revision, why.show);
        if (set != NULL)
            each(context, set);
        bw_policy_set_release(set);
        bw_free(reading.rows[i].yaml);
    }
    bw_free(reading.rows);
    return code;
}

static enum bw_code give_to_workers(struct bw_daemon *daemon, struct bw_policy_set *set, struct bw_error *err)
{
    enum bw_code code = BW_OK;
    /* A tenant that has just got its first policy is about to have its first meeting. */
    if (daemon->vault != NULL)
        bw_vault_keeper_want(daemon->vault, &set->tenant);
    for (unsigned i = 0; i < daemon->worker_count; i++) {
        if (!bw_worker_set_policy(daemon->workers[i], set))
            code = bw_fail_memory(err);
    }
    return code;
}

enum bw_code bw_orders_read_policy(struct bw_daemon *daemon, struct bw_store_db *db,
                                   const struct bw_id *tenant, struct bw_error *err)
{
    struct policies_reading reading = {.db = db};
    struct bw_store_tenant named;
    struct bw_policy_set *set = NULL;
    enum bw_code code = bw_store_tenant_by_id(db, tenant, &named, err);
    if (code == BW_OK)
        code = bw_store_policy_read(db, tenant, 0, on_policy, &reading, err);
    if (code == BW_OK && reading.failed)
        code = bw_fail_memory(err);
    if (code == BW_OK)
        code = bw_policy_set_create(tenant, named.name, reading.rows[0].revision,
                                    bw_view_of(reading.rows[0].yaml, reading.rows[0].len), &set, err);
    if (code == BW_OK) {
        code = give_to_workers(daemon, set, err);
    } else if (reading.count > 0) {
        /* The revision before it is no longer in force, whatever becomes of this one. */
        struct bw_error ignored;
        set = bw_policy_set_create_unread(tenant, named.name, reading.rows[0].revision);
        if (set != NULL)
            (void)give_to_workers(daemon, set, &ignored);
    }
    bw_policy_set_release(set);
    for (size_t i = 0; i < reading.count; i++)
        bw_free(reading.rows[i].yaml);
    bw_free(reading.rows);
    return code;
}

/* ---- orders ---- */

struct trip {
    struct bw_desk_job job;
    struct bw_mail last; /* home, once the hub is done */
    struct bw_desk_order *order;
    struct bw_worker *worker;
    struct bw_daemon *daemon;
    bool callers_changed, relays_changed;
};

static struct trip *trip_of_last(struct bw_mail *mail)
{
    return (struct trip *)((char *)mail - offsetof(struct trip, last));
}

static void home(struct trip *trip)
{
    struct bw_desk_order *order = trip->order;
    bw_free(trip);
    order->done(order);
}

static void home_from_hub(struct bw_mail *mail)
{
    home(trip_of_last(mail));
}

static void home_from_desk(struct bw_mail *mail)
{
    home((struct trip *)mail);
}

/* On the hub's thread: it reads the relays again, and the order goes home after every worker has the view. */
static void by_the_hub(struct bw_mail *mail)
{
    struct trip *trip = (struct trip *)mail;
    trip->last.deliver = home_from_hub;
    bw_hub_relays_changed(trip->daemon->hub, bw_worker_mailbox(trip->worker), &trip->last);
}

static bool keep_tenant(void *context, const struct bw_store_tenant *tenant)
{
    struct bw_desk_order *order = context;
    struct bw_desk_tenant *kept = &order->tenants_list.results[order->tenants_list.count];
    kept->id = tenant->id;
    kept->name = bw_arena_strdup(order->arena, tenant->name);
    kept->cell = bw_arena_strdup(order->arena, tenant->cell);
    kept->policy_revision = tenant->policy_revision;
    kept->created_ms = tenant->created_ms;
    if (kept->name == NULL || kept->cell == NULL) {
        bw_fail_memory(&order->error);
        return false;
    }
    return ++order->tenants_list.count < order->tenants_list.limit;
}

static bool keep_policy(struct bw_desk_order *order, const struct bw_store_policy *policy,
                        struct bw_desk_policy *kept)
{
    kept->revision = policy->revision;
    kept->at_ms = policy->at_ms;
    memcpy(kept->hash, policy->hash, sizeof kept->hash);
    void *yaml = bw_arena_memdup(order->arena, policy->yaml.data, policy->yaml.len);
    kept->yaml = bw_view_of(yaml, policy->yaml.len);
    kept->author = bw_arena_strdup(order->arena, policy->author != NULL ? policy->author : "");
    kept->note = bw_arena_strdup(order->arena, policy->note != NULL ? policy->note : "");
    if (yaml == NULL || kept->author == NULL || kept->note == NULL)
        bw_fail_memory(&order->error);
    return order->error.code == BW_OK;
}

static bool keep_one_policy(void *context, const struct bw_store_policy *policy)
{
    struct bw_desk_order *order = context;
    return keep_policy(order, policy, &order->policy_get.result);
}

static bool keep_listed_policy(void *context, const struct bw_store_policy *policy)
{
    struct bw_desk_order *order = context;
    return keep_policy(order, policy, &order->policies_list.results[order->policies_list.count]) &&
           ++order->policies_list.count < order->policies_list.limit;
}

static bool keep_decision(void *context, const struct bw_store_decision *decision)
{
    struct bw_desk_order *order = context;
    void *record = bw_arena_memdup(order->arena, decision->record.data, decision->record.len);
    order->decision_find.record = bw_view_of(record, decision->record.len);
    order->decision_find.policy_revision = decision->policy_revision;
    if (record == NULL)
        bw_fail_memory(&order->error);
    return false;
}

static enum bw_code create_tenant(struct bw_desk_order *order, struct bw_store_db *db, struct bw_error *err)
{
    uint8_t random[10];
    bw_random_bytes(random, sizeof random);
    struct bw_id id = bw_id_v7(bw_clock_wall_ms(), random);
    enum bw_code code = bw_store_tenant_create(db, &id, order->tenant_create.name, order->tenant_create.cell,
                                               &order->request, err);
    struct bw_store_tenant tenant;
    if (code == BW_OK)
        code = bw_store_tenant_by_id(db, &id, &tenant, err);
    if (code != BW_OK)
        return code;
    order->tenant_create.result = (struct bw_desk_tenant){
        .id = id,
        .name = order->tenant_create.name,
        .cell = order->tenant_create.cell,
        .policy_revision = tenant.policy_revision,
        .created_ms = tenant.created_ms,
    };
    return BW_OK;
}

static enum bw_code publish_policy(struct trip *trip, struct bw_store_db *db, struct bw_error *err)
{
    struct bw_desk_order *order = trip->order;
    struct bw_store_publish publish = {
        .tenant = order->policy_publish.tenant,
        .request = order->request,
        .yaml = order->policy_publish.yaml,
        .author = order->policy_publish.author,
        .note = order->policy_publish.note,
        .if_revision_set = order->policy_publish.if_revision_set,
        .if_revision = order->policy_publish.if_revision,
    };
    memcpy(publish.hash, order->policy_publish.hash, sizeof publish.hash);
    struct bw_store_published published;
    enum bw_code code = bw_store_policy_publish(db, &publish, &published, err);
    if (code != BW_OK)
        return code;
    order->policy_publish.revision = published.revision;
    struct bw_policy_set *set = NULL;
    code = bw_policy_set_create(&publish.tenant, order->policy_publish.tenant_name, published.revision,
                                publish.yaml, &set, err);
    if (code != BW_OK)
        return code;
    code = give_to_workers(trip->daemon, set, err);
    bw_policy_set_release(set);
    char request[BW_ID_TEXT_SIZE];
    bw_id_format(&order->request, request);
    bw_log(BW_LOG_INFO, "policy_published", "tenant=%s revision=%u group=%lu request=%s",
           order->policy_publish.tenant_name, published.revision, (unsigned long)published.group, request);
    return code;
}

static enum bw_code set_relay_state(struct bw_desk_order *order, struct bw_store_db *db, struct bw_error *err)
{
    static const enum bw_store_relay_state states[] = {
        [BW_DESK_CORDON] = BW_STORE_RELAY_CORDONED,
        [BW_DESK_UNCORDON] = BW_STORE_RELAY_ENROLLED,
        [BW_DESK_DRAIN] = BW_STORE_RELAY_DRAINING,
        [BW_DESK_REMOVE] = BW_STORE_RELAY_REMOVED,
    };
    return bw_store_relay_set_state(db, order->relay_state.name, states[order->relay_state.action],
                                    order->relay_state.deadline_ms, order->relay_state.reason,
                                    &order->relay_state.facts_revision, err);
}

static enum bw_code carry_out(struct trip *trip, struct bw_store_db *db, struct bw_error *err)
{
    struct bw_desk_order *order = trip->order;
    enum bw_code code = BW_INTERNAL;
    switch (order->kind) {
    case BW_DESK_TENANT_CREATE:
        trip->callers_changed = true;
        return create_tenant(order, db, err);
    case BW_DESK_TENANTS_LIST:
        order->tenants_list.results =
            bw_arena_zalloc(order->arena, order->tenants_list.limit + 1, sizeof *order->tenants_list.results);
        if (order->tenants_list.results == NULL)
            return bw_fail_memory(err);
        return bw_store_tenants_read(db, order->tenants_list.after, order->tenants_list.limit, keep_tenant,
                                     order, err);
    case BW_DESK_POLICY_PUBLISH:
        return publish_policy(trip, db, err);
    case BW_DESK_POLICY_GET:
        return bw_store_policy_read(db, &order->policy_get.tenant, order->policy_get.revision,
                                    keep_one_policy, order, err);
    case BW_DESK_POLICIES_LIST:
        order->policies_list.results = bw_arena_zalloc(order->arena, order->policies_list.limit + 1,
                                                       sizeof *order->policies_list.results);
        if (order->policies_list.results == NULL)
            return bw_fail_memory(err);
        return bw_store_policies_read(db, &order->policies_list.tenant, order->policies_list.before,
                                      order->policies_list.limit, keep_listed_policy, order, err);
    case BW_DESK_CREDENTIAL_ISSUE:
        trip->callers_changed = true;
        return bw_store_credential_issue(db, order->credential_issue.spiffe_id, order->credential_issue.role,
                                         order->credential_issue.tenants,
                                         order->credential_issue.tenant_count, order->credential_issue.seen,
                                         order->credential_issue.seen_count, err);
    case BW_DESK_RELAY_ENROLL: {
        trip->callers_changed = trip->relays_changed = true;
        const struct bw_store_enroll enroll = {
            .name = order->relay_enroll.name,
            .spiffe_id = order->relay_enroll.spiffe_id,
            .facts = order->relay_enroll.facts,
            .capacity = order->relay_enroll.capacity,
            .replace = order->relay_enroll.replace,
            .request = order->request,
        };
        code = bw_store_relay_enroll(db, &enroll, &order->relay_enroll.number,
                                     &order->relay_enroll.facts_revision, err);
        if (code == BW_FAILED_PRECONDITION && err->reason == NULL)
            err->reason = "RELAY_IN_USE"; /* by more people than are to fit on it */
        return code;
    }
    case BW_DESK_RELAY_STATE:
        trip->relays_changed = true;
        trip->callers_changed = order->relay_state.action == BW_DESK_REMOVE;
        return set_relay_state(order, db, err);
    case BW_DESK_DECISION_FIND:
        code = bw_store_decisions_by_reference(db, bw_view_str(order->decision_find.reference), keep_decision,
                                               order, err);
        if (code == BW_OK && order->decision_find.record.len == 0)
            code = bw_fail(err, BW_NOT_FOUND, NULL, "no decision has the reference %s",
                           order->decision_find.reference);
        return code;
    case BW_DESK_DECISIONS_WALK:
        return bw_orders_walk(order, db, err);
    case BW_DESK_MEETINGS_SEARCH:
        return bw_orders_search(order, db, err);
    }
    return code;
}

static void run(struct bw_desk_job *job, struct bw_store_db *db)
{
    struct trip *trip = (struct trip *)job;
    struct bw_desk_order *order = trip->order;
    struct bw_error err = {.code = BW_OK};
    if (carry_out(trip, db, &err) != BW_OK) {
        order->error = err;
        return;
    }
    struct bw_callers *callers = NULL;
    if (trip->callers_changed && order->error.code == BW_OK) {
        if (bw_orders_read_callers(trip->daemon, db, &callers, &err) == BW_OK) {
            for (unsigned i = 0; i < trip->daemon->worker_count; i++)
                (void)bw_worker_set_callers(trip->daemon->workers[i], callers);
            bw_callers_release(callers);
        } else {
            bw_log(BW_LOG_WARN, "callers_not_read", "reason=\"%s\"", err.show);
        }
    }
    if (trip->relays_changed) {
        job->back = bw_hub_mailbox(trip->daemon->hub);
        job->mail.deliver = by_the_hub;
    }
}

static void refuse_stopping(struct bw_desk_order *order)
{
    bw_fail(&order->error, BW_UNAVAILABLE, "SHUTTING_DOWN", "this replica is stopping; ask another one");
    order->done(order);
}

/* On the worker's thread, once the hub has given back what it could. */
static void to_the_desk(struct bw_mail *mail)
{
    struct trip *trip = trip_of_last(mail);
    struct bw_desk_order *order = trip->order;
    if (trip->daemon->desk != NULL) {
        bw_desk_post(trip->daemon->desk, &trip->job);
        return;
    }
    bw_free(trip);
    refuse_stopping(order);
}

void bw_orders_post(struct bw_worker *worker, struct bw_desk_order *order)
{
    struct trip *trip = bw_calloc(1, sizeof *trip);
    order->error.code = BW_OK;
    if (trip == NULL) {
        bw_fail_memory(&order->error);
        order->done(order);
        return;
    }
    if (bw_worker_daemon(worker)->desk == NULL) {
        bw_free(trip);
        refuse_stopping(order);
        return;
    }
    trip->job.run = run;
    trip->job.mail.deliver = home_from_desk;
    trip->job.back = bw_worker_mailbox(worker);
    trip->order = order;
    trip->worker = worker;
    trip->daemon = bw_worker_daemon(worker);
    trip->last.deliver = to_the_desk;
    if (order->kind == BW_DESK_RELAY_ENROLL)
        bw_hub_shrink_relay(trip->daemon->hub, order->relay_enroll.name, order->relay_enroll.capacity,
                            bw_worker_mailbox(worker), &trip->last);
    else if (order->kind == BW_DESK_DECISIONS_WALK || order->kind == BW_DESK_MEETINGS_SEARCH)
        bw_desk_post(trip->daemon->support_desk, &trip->job);
    else
        bw_desk_post(trip->daemon->desk, &trip->job);
}
