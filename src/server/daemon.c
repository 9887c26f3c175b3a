/* The daemon's life: everything is put together here, in the order in which one part needs another, and taken
 * apart in reverse. */
#include "server/daemon.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "runtime/clock.h"
#include "runtime/log.h"
#include "runtime/signals.h"
#include "runtime/thread.h"
#include "server/http.h"
#include "server/hub_bind.h"
#include "server/ingest.h"
#include "server/notify.h"
#include "server/orders.h"
#include "server/recovery.h"
#include "server/signer_child.h"
#include "server/vault_keeper.h"
#include "server/worker.h"
#include "store/metadata.h"

enum { SIGNER_START_MS = 5000 };

/* What main alone holds. */
struct life {
    struct bw_daemon daemon;
    struct bw_store_db *db; /* for start-up */
    struct bw_loop *loop;
    struct bw_signer_client *signer;
    struct bw_signer_client **signer_clients;
    struct bw_signer_child *signer_child;
    struct bw_http *http;
    struct bw_signal *term, *interrupt, *hangup;
    const char *signer_argv[16];
    bool have_key;
    uint8_t public_key[BW_ED25519_PUBLIC_SIZE];
    struct bw_error key_error;
};

unsigned bw_daemon_owner_index(const struct bw_daemon *daemon, const struct bw_id *meeting)
{
    /* The random half of the id: every owner gets its share. */
    uint64_t hash = 0;
    for (size_t i = 8; i < sizeof meeting->bytes; i++)
        hash = hash * 1099511628211ULL + meeting->bytes[i];
    return (unsigned)((hash >> 16) % daemon->worker_count);
}

void bw_daemon_fenced(struct bw_daemon *daemon)
{
    if (atomic_exchange(&daemon->fenced, true))
        return;
    bw_log(BW_LOG_ERROR, "replica_fenced",
           "reason=\"another process took over under this replica's id, or its lease ended: stopping\"");
    bw_loop_stop(daemon->main_loop);
}

void bw_daemon_broken(struct bw_daemon *daemon, const char *what)
{
    if (atomic_exchange(&daemon->broken, true))
        return;
    bw_log(BW_LOG_ERROR, "giving_up",
           "reason=\"%s\" note=\"what relays are told would no longer be what was decided: stopping with "
           "exit status 7, a new start reads everything back\"",
           what);
    bw_loop_stop(daemon->main_loop);
}

/* ---- start ---- */

static enum bw_code open_database(struct life *life, struct bw_error *err)
{
    const struct bw_daemon_config *config = life->daemon.config;
    bool readable = false;
    struct bw_store_durability durability;
    struct bw_store_cell cell;
    enum bw_code code = bw_store_db_open(config->conninfo, &life->db, err);
    if (code == BW_OK)
        code = bw_store_schema_check(life->db, err);
    if (code == BW_OK)
        code = bw_store_keys_readable(life->db, &readable, err);
    if (code == BW_OK)
        code = bw_store_durability_check(life->db, config->allow_unsafe_standbys, &durability, err);
    if (code == BW_OK)
        code = bw_store_cell_init(life->db, config->cell, err);
    if (code == BW_OK)
        code = bw_store_cell_read(life->db, &cell, err);
    if (code != BW_OK)
        return code;
    /* The network-facing process must not be able to read what the vault keeps from it. */
    if (readable && config->vault_conninfo != NULL)
        bw_log(BW_LOG_WARN, "vault_not_separate",
               "reason=\"the user of database.conninfo could read the keystore; give it a user that is only "
               "a member "
               "of bailiwick_serve\"");
    if (!durability.safe)
        bw_log(BW_LOG_WARN, "not_durable", "reason=\"%s\"", durability.text);
    life->daemon.stream = cell.stream;
    return BW_OK;
}

static void public_keys(enum bw_code code, const struct bw_signer_reply *reply, const struct bw_error *err,
                        void *context)
{
    struct life *life = context;
    if (code == BW_OK && reply->key_count > 0) {
        memcpy(life->public_key, reply->keys[0], sizeof life->public_key);
        life->have_key = true;
    } else if (code != BW_OK) {
        life->key_error = *err;
    }
    bw_loop_stop(life->loop);
}

static void nothing(void *context)
{
    (void)context;
}

/* Its socket is handed over by mail: the line is up some turns of the loop later. */
static enum bw_code await_signer(struct life *life, struct bw_error *err)
{
    struct bw_timer *beat = bw_timer_create(life->loop, nothing, NULL, err);
    if (beat == NULL)
        return err->code;
    bw_timer_start(beat, 20, 20);
    uint64_t give_up_ms = bw_clock_mono_ms() + SIGNER_START_MS;
    while (!bw_signer_client_connected(life->signer) && bw_clock_mono_ms() < give_up_ms)
        bw_loop_turn(life->loop, true);
    bw_timer_destroy(beat);
    return BW_OK;
}

static enum bw_code start_signer(struct life *life, struct bw_error *err)
{
    struct bw_daemon *daemon = &life->daemon;
    const struct bw_daemon_config *config = daemon->config;
    size_t n = 0;
    life->signer_argv[n++] = "bailiwickd";
    life->signer_argv[n++] = "signer";
    life->signer_argv[n++] = "--key";
    life->signer_argv[n++] = config->signer_key;
    if (config->ca_key != NULL) {
        life->signer_argv[n++] = "--ca-cert";
        life->signer_argv[n++] = config->ca_certificate;
        life->signer_argv[n++] = "--ca-key";
        life->signer_argv[n++] = config->ca_key;
        life->signer_argv[n++] = "--trust-domain";
        life->signer_argv[n++] = config->trust_domain;
    }
    if (config->log_json)
        life->signer_argv[n++] = "--log-json";
    enum bw_code code = bw_signer_client_create(life->loop, SIGNER_START_MS, &life->signer, err);
    if (code != BW_OK)
        return code;
    life->signer_clients = bw_calloc(daemon->worker_count + 1, sizeof *life->signer_clients);
    if (life->signer_clients == NULL)
        return bw_fail_memory(err);
    for (unsigned i = 0; i < daemon->worker_count; i++)
        life->signer_clients[i] = bw_worker_signer(daemon->workers[i]);
    life->signer_clients[daemon->worker_count] = life->signer;
    const struct bw_signer_child_config child = {
        .argv = life->signer_argv, .clients = life->signer_clients, .client_count = daemon->worker_count + 1};
    code = bw_signer_child_start(life->loop, &child, &life->signer_child, err);
    if (code == BW_OK)
        code = await_signer(life, err);
    if (code == BW_OK)
        code = bw_signer_client_public_keys(life->signer, public_keys, life, err);
    if (code != BW_OK)
        return code;
    bw_loop_run(life->loop);
    if (!life->have_key)
        return bw_fail(err, BW_FAILED_PRECONDITION, "SIGNER",
                       "the signer does not answer (%s): look at its lines above and at signer.key in %s",
                       life->key_error.show, config->file);
    bw_hub_set_grant_key(daemon->hub, life->public_key);
    uint8_t key_id[BW_GRANT_KEY_ID_SIZE];
    bw_grant_key_id(life->public_key, key_id);
    for (unsigned i = 0; i < daemon->worker_count; i++)
        bw_owner_set_signing_key(bw_worker_owner(daemon->workers[i]), key_id);
    return BW_OK;
}

static struct bw_grpc_tls_config tls_files(const struct bw_daemon_config *config)
{
    return (struct bw_grpc_tls_config){
        .certificate_file = config->certificate,
        .key_file = config->key,
        .ca_file = config->ca,
        .crl_file = config->crl,
        .trust_domain = config->trust_domain,
    };
}

static enum bw_code create_vault(struct bw_daemon *daemon, struct bw_error *err)
{
    if (daemon->config->vault_conninfo == NULL) {
        bw_log(BW_LOG_WARN, "metadata_not_kept",
               "reason=\"no vault in %s: who takes part is not kept, and support questions are refused\"",
               daemon->config->file);
        return BW_OK;
    }
    return bw_vault_keeper_create(daemon, &daemon->vault, err);
}

static enum bw_code create_parts(struct life *life, struct bw_error *err)
{
    struct bw_daemon *daemon = &life->daemon;
    const struct bw_daemon_config *config = daemon->config;
    if (!config->insecure) {
        const struct bw_grpc_tls_config tls = tls_files(config);
        daemon->tls = bw_grpc_tls_create_server(&tls, err);
        if (daemon->tls == NULL)
            return err->code;
    }
    if (config->geo_database != NULL && bw_geo_open(config->geo_database, &daemon->geo, err) != BW_OK)
        return err->code;
    daemon->book = bw_book_create();
    unsigned workers = config->workers != 0 ? config->workers : bw_thread_cpus();
    daemon->workers = bw_calloc(workers, sizeof(struct bw_worker *));
    if (daemon->book == NULL || daemon->workers == NULL)
        return bw_fail_memory(err);
    enum bw_code code = bw_desk_start(config->conninfo, "bw-desk", &daemon->desk, err);
    if (code == BW_OK)
        code = bw_desk_start(config->conninfo, "bw-support", &daemon->support_desk, err);
    if (code == BW_OK)
        code = bw_desk_start(config->conninfo, "bw-lease", &daemon->lease_desk, err);
    if (code == BW_OK)
        code = create_vault(daemon, err);
    if (code == BW_OK)
        code = bw_ingest_create(daemon, daemon->vault, &daemon->ingest, err);
    if (code == BW_OK)
        code = bw_hub_create_bound(daemon, &daemon->hub, err);
    for (unsigned i = 0; code == BW_OK && i < workers; i++) {
        code = bw_worker_create(daemon, i, &daemon->workers[i], err);
        daemon->worker_count += code == BW_OK;
    }
    return code;
}

static void caught(int number, void *context)
{
    struct life *life = context;
    if (number == SIGHUP) {
        const struct bw_daemon_config *config = life->daemon.config;
        bw_log(
            BW_LOG_INFO, "reload",
            "file=%s note=\"certificates and the geo database are read again; other changes need a restart\"",
            config->file);
        bw_daemon_reload(&life->daemon);
        return;
    }
    bw_log(BW_LOG_INFO, "stopping", "signal=%d", number);
    bw_loop_stop(life->loop);
}

static enum bw_code watch_signals(struct life *life, struct bw_error *err)
{
    life->term = bw_signal_watch(life->loop, SIGTERM, caught, life, err);
    life->interrupt = life->term != NULL ? bw_signal_watch(life->loop, SIGINT, caught, life, err) : NULL;
    life->hangup = life->interrupt != NULL ? bw_signal_watch(life->loop, SIGHUP, caught, life, err) : NULL;
    return life->hangup != NULL ? BW_OK : err->code;
}

static void reload_tls(struct bw_daemon *daemon)
{
    const struct bw_daemon_config *config = daemon->config;
    if (config->insecure)
        return;
    const struct bw_grpc_tls_config files = tls_files(config);
    struct bw_error err;
    struct bw_grpc_tls *tls = bw_grpc_tls_create_server(&files, &err);
    if (tls == NULL) {
        bw_log(BW_LOG_ERROR, "certificates_not_reloaded", "reason=\"%s\" note=\"the old ones stay\"",
               err.show);
        return;
    }
    for (unsigned i = 0; i < daemon->worker_count; i++)
        bw_worker_set_tls(daemon->workers[i], tls);
    bw_grpc_tls_release(daemon->tls);
    daemon->tls = tls;
}

static void reload_geo(struct bw_daemon *daemon)
{
    struct bw_geo *fresh;
    struct bw_error err;
    if (daemon->geo == NULL)
        return;
    if (bw_geo_reload(daemon->geo, &fresh, &err) != BW_OK) {
        bw_log(BW_LOG_ERROR, "geo_database_not_reloaded", "reason=\"%s\" note=\"the old one stays\"",
               err.show);
        return;
    }
    bw_geo_unref(daemon->geo);
    daemon->geo = fresh;
    for (unsigned i = 0; i < daemon->worker_count; i++)
        bw_worker_set_geo(daemon->workers[i], fresh);
}

void bw_daemon_reload(struct bw_daemon *daemon)
{
    reload_tls(daemon);
    reload_geo(daemon);
}

static enum bw_code start(struct life *life, struct bw_error *err)
{
    struct bw_daemon *daemon = &life->daemon;
    life->loop = bw_loop_create(err);
    if (life->loop == NULL)
        return err->code;
    daemon->main_loop = life->loop;
    enum bw_code code = open_database(life, err);
    if (code == BW_OK)
        code = bw_recovery_register(daemon, life->db, err);
    if (code == BW_OK)
        code = bw_recovery_topology(daemon, err);
    if (code == BW_OK)
        code = create_parts(life, err);
    if (code == BW_OK)
        code = start_signer(life, err);
    if (code == BW_OK)
        code = bw_recovery_restore(daemon, life->db, err);
    bw_store_db_close(life->db);
    life->db = NULL;
    if (code == BW_OK && daemon->vault != NULL)
        bw_vault_keeper_start(daemon->vault);
    if (code == BW_OK)
        code = watch_signals(life, err);
    if (code == BW_OK)
        code = bw_hub_start(daemon->hub, err);
    if (code == BW_OK)
        code = bw_ingest_start(daemon->ingest, err);
    for (unsigned i = 0; code == BW_OK && i < daemon->worker_count; i++)
        code = bw_worker_start(daemon->workers[i], err);
    if (code == BW_OK && daemon->config->http_port != 0)
        code = bw_http_create(daemon, &life->http, err);
    atomic_store(&daemon->serving, code == BW_OK);
    return code;
}

/* ---- the end ---- */

/* Threads have ended; what they had still sent each other arrives here. */
static void settle(struct bw_daemon *daemon)
{
    bool any = daemon->worker_count > 0;
    while (any) {
        any = daemon->hub != NULL && bw_mailbox_deliver(bw_hub_mailbox(daemon->hub));
        for (unsigned i = 0; i < daemon->worker_count; i++)
            any = bw_worker_deliver(daemon->workers[i]) || any;
    }
}

/* Every call that is still open is answered, across workers, before anything of them goes. */
static void end_workers(struct bw_daemon *daemon)
{
    for (unsigned i = 0; i < daemon->worker_count; i++)
        bw_worker_close(daemon->workers[i]);
    settle(daemon);
    for (unsigned i = 0; i < daemon->worker_count; i++)
        bw_worker_hang_up(daemon->workers[i]);
    settle(daemon);
    for (unsigned i = 0; i < daemon->worker_count; i++)
        bw_worker_destroy(daemon->workers[i]);
}

static void stop(struct life *life, bool orderly)
{
    struct bw_daemon *daemon = &life->daemon;
    bw_notify("STOPPING=1");
    atomic_store(&daemon->serving, false);
    if (daemon->hub != NULL && orderly)
        bw_hub_say_goodbye(daemon->hub);
    for (unsigned i = 0; i < daemon->worker_count; i++)
        bw_worker_drain(daemon->workers[i], orderly ? daemon->config->drain_ms : 0);
    for (unsigned i = 0; i < daemon->worker_count; i++)
        bw_worker_join(daemon->workers[i]);
    bw_http_destroy(life->http);
    bw_ingest_stop(daemon->ingest);
    bw_hub_stop(daemon->hub);
    bw_desk_stop(daemon->desk);
    bw_desk_stop(daemon->support_desk);
    bw_desk_stop(daemon->lease_desk);
    daemon->desk = daemon->support_desk = daemon->lease_desk = NULL;
    bw_vault_keeper_stop(daemon->vault);
    bw_signer_child_destroy(life->signer_child);
    end_workers(daemon);
    bw_ingest_destroy(daemon->ingest);
    bw_hub_destroy(daemon->hub);
    bw_vault_keeper_destroy(daemon->vault);
    bw_signer_client_destroy(life->signer);
    bw_signal_destroy(life->term);
    bw_signal_destroy(life->interrupt);
    bw_signal_destroy(life->hangup);
    bw_store_db_close(life->db);
    bw_snapshot_release(daemon->topology);
    bw_grpc_tls_release(daemon->tls);
    bw_geo_unref(daemon->geo);
    bw_book_destroy(daemon->book);
    bw_loop_destroy(life->loop);
    bw_free(life->signer_clients);
    bw_free(daemon->workers);
}

int bw_daemon_serve(const struct bw_daemon_config *config)
{
    struct life *life = bw_calloc(1, sizeof *life);
    if (life == NULL)
        return 3;
    life->daemon.config = config;
    life->daemon.state_lock = -1;
    struct bw_error err = {.code = BW_OK};
    int exit_code = 0;
    if (start(life, &err) == BW_OK) {
        bw_log(BW_LOG_INFO, "serving", "cell=%s address=%s port=%u workers=%u replica=%s epoch=%lu",
               config->cell, config->listen_address, bw_worker_port(life->daemon.workers[0]),
               life->daemon.worker_count, life->daemon.replica_name,
               (unsigned long)life->daemon.replica.epoch);
        bw_notify("READY=1");
        bw_loop_run(life->loop);
        exit_code = atomic_load(&life->daemon.fenced) || atomic_load(&life->daemon.broken) ? 7 : 0;
        stop(life, exit_code == 0);
    } else {
        bw_log(BW_LOG_ERROR, "not_started", "code=%s reason=\"%s\" detail=\"%s\"", bw_code_name(err.code),
               err.show, err.log);
        fprintf(stderr, "bailiwickd: %s\n", err.show);
        exit_code = bw_code_category(err.code) == BW_CATEGORY_PASSING ? 7 : 1;
        stop(life, false);
    }
    if (life->daemon.state_lock >= 0)
        close(life->daemon.state_lock);
    bw_free(life);
    return exit_code;
}
