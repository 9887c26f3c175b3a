#include "server/vault_keeper.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/check.h"
#include "control/policies.h"
#include "crypto/pem.h"
#include "runtime/clock.h"
#include "runtime/file.h"
#include "runtime/log.h"
#include "server/kept_child.h"
#include "server/vault_core.h"
#include "store/tenants.h"
#include "vault/capsules.h"

enum {
    TICK_MS = 1000,
    STATUS_MS = 10000,
    LOOK_MS = 300000,
    FIRST_KEYS_MS = 5000,
    CALL_MS = 20000,
    STUCK_MS = 3000, /* a child that is well ends at once when its line is closed */
    LISTENERS_MAX = 300,
    WANTED_MAX = 1024,
};

struct tenant {
    struct bw_id id;
    uint32_t day; /* the last day it has a key of; 0: none */
    struct bw_retention retention;
};

struct bw_vault_keeper {
    struct bw_daemon *daemon;
    struct bw_loop *loop;
    struct bw_mailbox *mailbox;
    struct bw_timer *timer;
    struct bw_vault_client *client;
    struct bw_capsules *capsules;
    struct bw_kept_child *child;
    const char *argv[6];
    uint8_t service_public[BW_ED25519_PUBLIC_SIZE];
    struct bw_vault_listener listeners[LISTENERS_MAX];
    size_t listener_count;

    struct tenant *tenants; /* in the order of their ids */
    size_t tenant_count;
    uint64_t next_status_ms, next_look_ms, next_sweep_ms, lost_ms; /* mono; 0: not lost */
    bool looking, ensuring, asking_status, stopped, sweep_wanted, told_trouble;
    size_t sweeping; /* index of the tenant that is swept next; tenant_count: none */
    bool sweep_under_way;
    _Atomic int health;
};

static const char *const health_names[] = {
#define X(name) #name,
    BW_VAULT_HEALTH_MAP(X)
#undef X
};

const char *bw_vault_health_name(enum bw_vault_health health)
{
    return (size_t)health < BW_ARRAY_LEN(health_names) ? health_names[health] : "UNKNOWN";
}

enum bw_vault_health bw_vault_keeper_health(const struct bw_vault_keeper *keeper)
{
    return keeper == NULL ? BW_VAULT_NOT_KEPT : (enum bw_vault_health)atomic_load(&keeper->health);
}

static void set_health(struct bw_vault_keeper *keeper, enum bw_vault_health health, const char *why)
{
    if (atomic_exchange(&keeper->health, (int)health) == (int)health)
        return;
    bw_log(health == BW_VAULT_ACTIVE ? BW_LOG_INFO : BW_LOG_ERROR, "metadata_keys", "state=%s reason=\"%s\"",
           bw_vault_health_name(health), why);
}

static enum bw_vault_health health_of(enum bw_provider_state state)
{
    const char *name = bw_vault_state_name(state);
    for (size_t i = 0; i < BW_ARRAY_LEN(health_names); i++)
        if (strcmp(name, health_names[i]) == 0)
            return (enum bw_vault_health)i;
    return BW_VAULT_MISCONFIGURED;
}

/* ---- asking ---- */

struct question {
    struct bw_vault_call call;
    struct bw_vault_keeper *keeper;
};

static bool ask(struct bw_vault_keeper *keeper, const struct bw_vault_request *request,
                void (*replied)(struct bw_vault_call *call, enum bw_code code,
                                const struct bw_vault_reply *reply, const struct bw_error *err, bool last))
{
    struct question *question = bw_calloc(1, sizeof *question);
    if (question == NULL)
        return false;
    question->keeper = keeper;
    question->call.back = keeper->mailbox;
    question->call.replied = replied;
    question->call.deadline_mono_ms = bw_clock_mono_ms() + CALL_MS;
    bw_vault_encode_request(request, &question->call.request);
    bw_vault_client_ask(keeper->client, &question->call);
    return true;
}

static struct bw_vault_keeper *answered(struct bw_vault_call *call)
{
    struct question *question = (struct question *)call;
    struct bw_vault_keeper *keeper = question->keeper;
    bw_free(question);
    return keeper;
}

/* ---- scope keys ---- */

struct news {
    struct bw_mail mail;
    const struct bw_vault_listener *listener;
    size_t count;
    struct bw_scope_public scopes[];
};

static void news_arrived(struct bw_mail *mail)
{
    struct news *news = (struct news *)mail;
    news->listener->scopes(news->listener->context, news->scopes, news->count);
    bw_free(news);
}

static void tell_listeners(struct bw_vault_keeper *keeper, const struct bw_vault_reply *reply)
{
    for (size_t i = 0; i < keeper->listener_count; i++) {
        struct news *news = bw_calloc(1, sizeof *news + reply->scope_count * sizeof news->scopes[0]);
        if (news == NULL)
            continue; /* the next look brings it */
        news->mail.deliver = news_arrived;
        news->listener = &keeper->listeners[i];
        news->count = reply->scope_count;
        for (uint32_t k = 0; k < reply->scope_count; k++)
            bw_vault_scope_at(reply, k, &news->scopes[k]);
        bw_mailbox_post(keeper->listeners[i].mailbox, &news->mail);
    }
}

static int by_id(const void *a, const void *b)
{
    return bw_id_compare(&((const struct tenant *)a)->id, &((const struct tenant *)b)->id);
}

static struct tenant *find_tenant(struct bw_vault_keeper *keeper, const struct bw_id *id)
{
    const struct tenant key = {.id = *id};
    return keeper->tenant_count == 0
               ? NULL
               : bsearch(&key, keeper->tenants, keeper->tenant_count, sizeof key, by_id);
}

static void ensure(struct bw_vault_keeper *keeper);

static void ensured(struct bw_vault_call *call, enum bw_code code, const struct bw_vault_reply *reply,
                    const struct bw_error *err, bool last)
{
    (void)last;
    struct bw_vault_keeper *keeper = answered(call);
    keeper->ensuring = false;
    if (keeper->stopped)
        return;
    if (code != BW_OK) {
        if (!keeper->told_trouble)
            bw_log(BW_LOG_WARN, "scope_keys_not_made", "reason=\"%s\" note=\"tried again\"", err->show);
        keeper->told_trouble = true;
        keeper->next_status_ms = 0;
        return;
    }
    keeper->told_trouble = false;
    bool any = false;
    for (uint32_t i = 0; i < reply->scope_count; i++) {
        struct bw_scope_public scope;
        bw_vault_scope_at(reply, i, &scope);
        struct tenant *tenant = find_tenant(keeper, &scope.tenant);
        if (tenant != NULL && scope.day > tenant->day) {
            tenant->day = scope.day;
            any = true;
        }
    }
    tell_listeners(keeper, reply);
    if (any) /* else those left are tried again at the next tick */
        ensure(keeper);
}

/* Asks for those tenants that have no key of tomorrow yet, as many as go into one request. */
static void ensure(struct bw_vault_keeper *keeper)
{
    if (keeper->ensuring)
        return;
    uint32_t tomorrow = bw_scope_day(bw_clock_wall_ms()) + 1, count = 0;
    struct bw_buf names = {0};
    for (size_t i = 0; i < keeper->tenant_count && count < BW_VAULT_SCOPES_MAX; i++) {
        if (keeper->tenants[i].day >= tomorrow)
            continue;
        const struct bw_vault_scope_name name = {.tenant = keeper->tenants[i].id};
        bw_vault_append_scope_name(&name, &names);
        count++;
    }
    if (count > 0 && !names.failed) {
        const struct bw_vault_request request = {
            .type = BW_VAULT_ENSURE_SCOPES, .scope_count = count, .scopes = bw_buf_view(&names)};
        keeper->ensuring = ask(keeper, &request, ensured);
    }
    bw_buf_finish(&names);
}

/* ---- who the tenants are, and how long they keep things ---- */

struct look {
    struct bw_desk_job job;
    struct bw_vault_keeper *keeper;
    struct tenant *tenants;
    size_t count, cap;
    struct bw_error error;
};

static bool look_policy(void *context, const struct bw_store_policy *policy)
{
    struct look *look = context;
    if (look->count == look->cap) {
        size_t cap = look->cap > 0 ? 2 * look->cap : 64;
        struct tenant *more = bw_realloc(look->tenants, cap * sizeof *more);
        if (more == NULL) {
            bw_fail_memory(&look->error);
            return false;
        }
        look->tenants = more;
        look->cap = cap;
    }
    struct tenant *tenant = &look->tenants[look->count++];
    *tenant = (struct tenant){.id = policy->tenant,
                              .retention = {.quality_ms = BW_RETENTION_WITHOUT_END_MS,
                                            .participants_ms = BW_RETENTION_WITHOUT_END_MS}};
    struct bw_policy_set *set = NULL;
    struct bw_error err;
    /* Of a policy that cannot be read nobody knows how long: nothing of the tenant is deleted. */
    if (bw_policy_set_create(&policy->tenant, "", policy->revision, policy->yaml, &set, &err) == BW_OK)
        tenant->retention = bw_policy_retention_shortest(set->doc);
    bw_policy_set_release(set);
    return true;
}

static void look_run(struct bw_desk_job *job, struct bw_store_db *db)
{
    struct look *look = (struct look *)job;
    struct bw_error err;
    if (bw_store_policies_current(db, look_policy, look, &err) != BW_OK)
        look->error = err;
    if (look->count > 0)
        qsort(look->tenants, look->count, sizeof *look->tenants, by_id);
}

static void sweep_next(struct bw_vault_keeper *keeper);

static void look_done(struct bw_mail *mail)
{
    struct look *look = (struct look *)mail;
    struct bw_vault_keeper *keeper = look->keeper;
    keeper->looking = false;
    if (look->error.code != BW_OK || keeper->stopped) {
        keeper->next_look_ms = bw_clock_mono_ms() + TICK_MS;
        bw_free(look->tenants);
    } else {
        for (size_t i = 0; i < look->count; i++) {
            const struct tenant *old = find_tenant(keeper, &look->tenants[i].id);
            look->tenants[i].day = old != NULL ? old->day : 0;
        }
        bw_free(keeper->tenants);
        keeper->tenants = look->tenants;
        keeper->tenant_count = look->count;
        keeper->sweeping = look->count;
        ensure(keeper);
        if (keeper->sweep_wanted && !keeper->sweep_under_way) {
            keeper->sweep_wanted = false;
            keeper->sweeping = 0;
            sweep_next(keeper);
        }
    }
    bw_free(look);
}

static void look(struct bw_vault_keeper *keeper)
{
    if (keeper->looking || keeper->sweep_under_way)
        return;
    struct look *job = bw_calloc(1, sizeof *job);
    if (job == NULL)
        return;
    keeper->next_look_ms = bw_clock_mono_ms() + LOOK_MS;
    job->keeper = keeper;
    job->job.run = look_run;
    job->job.mail.deliver = look_done;
    job->job.back = keeper->mailbox;
    keeper->looking = true;
    bw_desk_post(keeper->daemon->desk, &job->job);
}

/* ---- retention ---- */

static void swept(struct bw_vault_call *call, enum bw_code code, const struct bw_vault_reply *reply,
                  const struct bw_error *err, bool last)
{
    (void)last;
    struct bw_vault_keeper *keeper = answered(call);
    keeper->sweep_under_way = false;
    if (keeper->stopped)
        return;
    if (code != BW_OK) {
        bw_log(BW_LOG_WARN, "metadata_not_swept", "reason=\"%s\" note=\"tried again later\"", err->show);
        keeper->sweeping = keeper->tenant_count;
        return;
    }
    if (reply->records + reply->meeting_keys + reply->scope_keys > 0) {
        char tenant[BW_ID_TEXT_SIZE];
        bw_id_format(&keeper->tenants[keeper->sweeping].id, tenant);
        bw_log(BW_LOG_INFO, "metadata_swept", "tenant=%s records=%lu meeting_keys=%lu scope_keys=%lu", tenant,
               (unsigned long)reply->records, (unsigned long)reply->meeting_keys,
               (unsigned long)reply->scope_keys);
    }
    keeper->sweeping++;
    sweep_next(keeper);
}

static uint64_t before(uint64_t now_ms, uint64_t kept_ms)
{
    return kept_ms < now_ms ? now_ms - kept_ms : 0;
}

static void sweep_next(struct bw_vault_keeper *keeper)
{
    if (keeper->sweeping >= keeper->tenant_count)
        return;
    const struct tenant *tenant = &keeper->tenants[keeper->sweeping];
    uint64_t now_ms = bw_clock_wall_ms();
    struct bw_vault_request request = {
        .type = BW_VAULT_SWEEP,
        .tenant = tenant->id,
        .caller = {.actor = bw_view_str("bailiwickd"),
                   .method = bw_view_str("retention"),
                   .role = BW_VAULT_ROLE_SYSTEM},
        .before_ms = before(now_ms, tenant->retention.participants_ms),
        .quality_before_ms = before(now_ms, tenant->retention.quality_ms),
    };
    keeper->sweep_under_way = ask(keeper, &request, swept);
}

/* ---- how it is ---- */

static void status_known(struct bw_vault_call *call, enum bw_code code, const struct bw_vault_reply *reply,
                         const struct bw_error *err, bool last)
{
    (void)last;
    struct bw_vault_keeper *keeper = answered(call);
    keeper->asking_status = false;
    if (keeper->stopped)
        return;
    if (code != BW_OK) {
        set_health(keeper, BW_VAULT_UNREACHABLE, err->show);
        keeper->next_status_ms = bw_clock_mono_ms() + TICK_MS;
        return;
    }
    char why[BW_VAULT_TEXT_MAX + 1];
    memcpy(why, reply->text.data, reply->text.len);
    why[reply->text.len] = '\0';
    bool was = bw_vault_keeper_health(keeper) == BW_VAULT_ACTIVE;
    set_health(keeper, health_of(reply->state), why);
    if (!was && reply->state == BW_PROVIDER_OK)
        ensure(keeper);
}

static void ask_status(struct bw_vault_keeper *keeper)
{
    const struct bw_vault_request request = {.type = BW_VAULT_STATUS};
    keeper->next_status_ms = bw_clock_mono_ms() + STATUS_MS;
    if (!keeper->asking_status)
        keeper->asking_status = ask(keeper, &request, status_known);
}

/* The line was closed because no answer came: a vault that is stopped, or waits in the kernel, does not even
 * notice, and nobody would start another. */
static void replace_stuck(struct bw_vault_keeper *keeper, uint64_t now_ms)
{
    if (!bw_vault_client_lost(keeper->client)) {
        keeper->lost_ms = 0;
    } else if (keeper->lost_ms == 0) {
        keeper->lost_ms = now_ms;
    } else if (now_ms - keeper->lost_ms >= STUCK_MS && bw_kept_child_pid(keeper->child) != 0) {
        keeper->lost_ms = now_ms;
        bw_log(BW_LOG_ERROR, "vault_stuck", "pid=%d note=\"it did not answer and does not end: killed\"",
               (int)bw_kept_child_pid(keeper->child));
        bw_kept_child_replace(keeper->child);
    }
}

static void tick(void *context)
{
    struct bw_vault_keeper *keeper = context;
    uint64_t now_ms = bw_clock_mono_ms();
    if (keeper->stopped)
        return;
    replace_stuck(keeper, now_ms);
    if (now_ms >= keeper->next_status_ms)
        ask_status(keeper);
    if (now_ms >= keeper->next_sweep_ms) {
        keeper->next_sweep_ms = now_ms + keeper->daemon->config->vault_sweep_ms;
        keeper->sweep_wanted = true;
        keeper->next_look_ms = 0;
    }
    if (now_ms >= keeper->next_look_ms)
        look(keeper);
    if (bw_vault_keeper_health(keeper) == BW_VAULT_ACTIVE)
        ensure(keeper);
}

/* ---- what somebody wants ---- */

struct want {
    struct bw_mail mail;
    struct bw_vault_keeper *keeper;
    struct bw_id tenant;
};

/* Until the next look nothing of it is deleted. */
static void add_tenant(struct bw_vault_keeper *keeper, const struct bw_id *id)
{
    if (keeper->sweep_under_way) /* an index into the list is in use; the next look brings it */
        return;
    struct tenant *more = bw_realloc(keeper->tenants, (keeper->tenant_count + 1) * sizeof *more);
    if (more == NULL)
        return;
    keeper->tenants = more;
    more[keeper->tenant_count++] =
        (struct tenant){.id = *id,
                        .retention = {.quality_ms = BW_RETENTION_WITHOUT_END_MS,
                                      .participants_ms = BW_RETENTION_WITHOUT_END_MS}};
    qsort(more, keeper->tenant_count, sizeof *more, by_id);
    keeper->sweeping = keeper->tenant_count;
}

static void want_arrived(struct bw_mail *mail)
{
    struct want *want = (struct want *)mail;
    struct bw_vault_keeper *keeper = want->keeper;
    struct tenant *tenant = find_tenant(keeper, &want->tenant);
    if (tenant == NULL) {
        add_tenant(keeper, &want->tenant);
        keeper->next_look_ms = 0; /* which tells its retention */
    } else {
        tenant->day = 0; /* told before, perhaps while its memory was out */
    }
    if (!keeper->stopped)
        ensure(keeper);
    bw_free(want);
}

void bw_vault_keeper_want(struct bw_vault_keeper *keeper, const struct bw_id *tenant)
{
    struct want *want = bw_calloc(1, sizeof *want);
    if (want == NULL)
        return;
    want->mail.deliver = want_arrived;
    want->keeper = keeper;
    want->tenant = *tenant;
    bw_mailbox_post(keeper->mailbox, &want->mail);
}

/* ---- life ---- */

static void attach(void *context, size_t index, int fd)
{
    (void)index;
    struct bw_vault_keeper *keeper = context;
    bw_vault_client_attach(keeper->client, fd);
    keeper->next_status_ms = 0;
}

static enum bw_code read_public(struct bw_vault_keeper *keeper, struct bw_error *err)
{
    const char *path = keeper->daemon->config->vault_service_public;
    struct bw_buf pem = {0};
    enum bw_code code = bw_file_read(path, BW_PEM_MAX, &pem, err);
    if (code == BW_OK)
        code = bw_pem_read_ed25519_public(bw_buf_view(&pem), path, keeper->service_public, err);
    bw_buf_finish(&pem);
    return code;
}

enum bw_code bw_vault_keeper_create(struct bw_daemon *daemon, struct bw_vault_keeper **out,
                                    struct bw_error *err)
{
    struct bw_vault_keeper *keeper = bw_calloc(1, sizeof *keeper);
    if (keeper == NULL)
        return bw_fail_memory(err);
    keeper->daemon = daemon;
    keeper->loop = daemon->main_loop;
    atomic_store(&keeper->health, BW_VAULT_UNREACHABLE);
    size_t n = 0;
    keeper->argv[n++] = "bailiwickd";
    keeper->argv[n++] = "vault";
    keeper->argv[n++] = "--config";
    keeper->argv[n++] = daemon->config->file;
    enum bw_code code = read_public(keeper, err);
    if (code == BW_OK && (keeper->mailbox = bw_mailbox_create(keeper->loop, err)) == NULL)
        code = BW_RESOURCE_EXHAUSTED;
    if (code == BW_OK && (keeper->timer = bw_timer_create(keeper->loop, tick, keeper, err)) == NULL)
        code = BW_RESOURCE_EXHAUSTED;
    if (code == BW_OK)
        code = bw_vault_client_create(&keeper->client, err);
    const struct bw_capsules_config of_the_kernel = {0};
    if (code == BW_OK)
        code = bw_capsules_create(&of_the_kernel, &keeper->capsules, err);
    if (code == BW_OK)
        code = bw_capsules_start(keeper->capsules, err);
    const struct bw_kept_child_config child = {
        .name = "vault", .argv = keeper->argv, .socket_count = 1, .attach = attach, .context = keeper};
    if (code == BW_OK)
        code = bw_kept_child_start(keeper->loop, &child, &keeper->child, err);
    if (code != BW_OK) {
        bw_vault_keeper_stop(keeper);
        bw_vault_keeper_destroy(keeper);
        return code;
    }
    keeper->next_sweep_ms = bw_clock_mono_ms() + daemon->config->vault_sweep_ms;
    *out = keeper;
    return BW_OK;
}

enum bw_code bw_vault_keeper_listen(struct bw_vault_keeper *keeper, const struct bw_vault_listener *listener,
                                    struct bw_error *err)
{
    if (keeper->listener_count == LISTENERS_MAX)
        return bw_fail(err, BW_RESOURCE_EXHAUSTED, NULL,
                       "more threads than the vault's keys can be given to");
    keeper->listeners[keeper->listener_count++] = *listener;
    return BW_OK;
}

void bw_vault_keeper_start(struct bw_vault_keeper *keeper)
{
    bw_timer_start(keeper->timer, 20, 20); /* wakes the loop below */
    uint64_t give_up_ms = bw_clock_mono_ms() + FIRST_KEYS_MS;
    ask_status(keeper);
    look(keeper);
    while (bw_clock_mono_ms() < give_up_ms && (keeper->asking_status || keeper->looking || keeper->ensuring))
        bw_loop_turn(keeper->loop, true);
    bw_timer_start(keeper->timer, TICK_MS, TICK_MS);
}

void bw_vault_keeper_stop(struct bw_vault_keeper *keeper)
{
    if (keeper == NULL || keeper->stopped)
        return;
    keeper->stopped = true;
    if (keeper->timer != NULL)
        bw_timer_stop(keeper->timer);
    bw_vault_client_destroy(keeper->client);
    keeper->client = NULL;
    bw_kept_child_destroy(keeper->child);
    keeper->child = NULL;
}

void bw_vault_keeper_destroy(struct bw_vault_keeper *keeper)
{
    if (keeper == NULL)
        return;
    bw_mailbox_destroy(keeper->mailbox);
    bw_timer_destroy(keeper->timer);
    bw_capsules_destroy(keeper->capsules);
    bw_free(keeper->tenants);
    bw_free(keeper);
}

struct bw_capsules *bw_vault_keeper_capsules(const struct bw_vault_keeper *keeper)
{
    return keeper->capsules;
}

const uint8_t *bw_vault_keeper_service_public(const struct bw_vault_keeper *keeper)
{
    return keeper->service_public;
}

struct bw_vault_client *bw_vault_keeper_client(struct bw_vault_keeper *keeper)
{
    return keeper->client;
}
