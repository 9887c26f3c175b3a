#include "server/recovery.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/api.h"
#include "base/alloc.h"
#include "base/check.h"
#include "placement/fleet_file.h"
#include "runtime/clock.h"
#include "runtime/file.h"
#include "runtime/log.h"
#include "runtime/random.h"
#include "server/hub.h"
#include "server/orders.h"
#include "server/worker.h"
#include "store/decisions.h"

enum { DECISION_ARENA_BYTES = 64 << 20, LEASE_WAIT_MAX_MS = 30000 };

/* How long nobody may have served the cell for overdue meetings to be ended properly. */
static const uint64_t AWAY_MAX_MS = UINT64_C(7) * 86400000;

/* ---- who we are ---- */

static enum bw_code read_replica_id(const char *path, struct bw_id *id, bool *found, struct bw_error *err)
{
    struct bw_buf text = {0};
    enum bw_code code = bw_file_read(path, BW_ID_TEXT_SIZE, &text, err);
    *found = code == BW_OK;
    if (code == BW_NOT_FOUND)
        code = BW_OK;
    if (*found &&
        (text.len < BW_ID_TEXT_SIZE - 1 || !bw_id_parse(bw_view_of(text.data, BW_ID_TEXT_SIZE - 1), id)))
        code = bw_fail(err, BW_FAILED_PRECONDITION, NULL,
                       "%s does not hold a replica id; move it away and a new one is made", path);
    bw_buf_finish(&text);
    return code;
}

static enum bw_code write_replica_id(const char *path, const struct bw_id *id, struct bw_error *err)
{
    char text[BW_ID_TEXT_SIZE + 1];
    bw_id_format(id, text);
    text[BW_ID_TEXT_SIZE - 1] = '\n';
    return bw_file_create(path, 0600, bw_view_of(text, BW_ID_TEXT_SIZE), err);
}

/* Two processes with one id would fence each other: the second one must not even try. The lock goes with the
 * process. */
static enum bw_code lock_state(struct bw_daemon *daemon, struct bw_error *err)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/lock", daemon->config->state_directory);
    daemon->state_lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (daemon->state_lock < 0)
        return bw_fail(err, BW_UNAVAILABLE, NULL, "%s: %s", path, strerror(errno));
    if (flock(daemon->state_lock, LOCK_EX | LOCK_NB) != 0)
        return bw_fail(
            err, BW_FAILED_PRECONDITION, "ALREADY_RUNNING",
            "another bailiwickd runs with the state directory %s; stop it first, or give this one a "
            "stateDirectory of its own",
            daemon->config->state_directory);
    return BW_OK;
}

static enum bw_code replica_id(struct bw_daemon *daemon, struct bw_error *err)
{
    const char *directory = daemon->config->state_directory;
    if (mkdir(directory, 0700) != 0 && errno != EEXIST)
        return bw_fail(err, BW_UNAVAILABLE, NULL, "%s: %s (stateDirectory)", directory, strerror(errno));
    enum bw_code locked = lock_state(daemon, err);
    if (locked != BW_OK)
        return locked;
    char path[4096];
    snprintf(path, sizeof path, "%s/replica.id", directory);
    bool found = false;
    enum bw_code code = read_replica_id(path, &daemon->replica.id, &found, err);
    if (code != BW_OK || found)
        return code;
    uint8_t random[16];
    bw_random_bytes(random, sizeof random);
    daemon->replica.id = bw_id_v4(random);
    return write_replica_id(path, &daemon->replica.id, err);
}

struct others {
    struct bw_store_replica_key dead[64];
    size_t dead_count;
    const struct bw_id *self;
    uint64_t longest_lease_ms;
};

static bool on_replica(void *context, const struct bw_store_replica *replica)
{
    struct others *others = context;
    if (bw_id_equal(&replica->key.id, others->self))
        return true;
    if (replica->lease_left_ms > 0 && !replica->fenced) {
        if (replica->lease_left_ms > others->longest_lease_ms)
            others->longest_lease_ms = replica->lease_left_ms;
    } else if (!replica->fenced && others->dead_count < BW_ARRAY_LEN(others->dead)) {
        others->dead[others->dead_count++] = replica->key;
    }
    return true;
}

enum bw_code bw_recovery_register(struct bw_daemon *daemon, struct bw_store_db *db, struct bw_error *err)
{
    enum bw_code code = replica_id(daemon, err);
    if (code != BW_OK)
        return code;
    bw_id_format(&daemon->replica.id, daemon->replica_name);
    struct others others = {.self = &daemon->replica.id};
    code = bw_store_replicas_read(db, on_replica, &others, err);
    if (code != BW_OK)
        return code;
    if (others.longest_lease_ms > 0)
        return bw_fail(
            err, BW_UNAVAILABLE, "OTHER_REPLICA",
            "another replica holds a lease on this cell for %lu ms more; this version serves a cell "
            "with one replica: stop the other one, or wait until its lease has ended",
            (unsigned long)others.longest_lease_ms);
    for (size_t i = 0; code == BW_OK && i < others.dead_count; i++) {
        uint64_t last;
        code = bw_store_replica_fence(db, &others.dead[i], false, &last, err);
    }
    if (code == BW_OK)
        code = bw_store_replica_register(db, &daemon->replica.id, daemon->config->replica_endpoint,
                                         daemon->config->lease_ms, &daemon->replica.epoch, err);
    return code;
}

/* ---- the network ---- */

enum bw_code bw_recovery_topology(struct bw_daemon *daemon, struct bw_error *err)
{
    const char *path = daemon->config->topology;
    if (path == NULL)
        return BW_OK;
    struct bw_buf text = {0};
    enum bw_code code = bw_file_read(path, BW_YAML_MAX_BYTES, &text, err);
    if (code != BW_OK) {
        bw_buf_finish(&text);
        return code;
    }
    struct bw_diags diags;
    bw_diags_init(&diags);
    const struct bw_source source = {.file = path, .text = bw_buf_view(&text)};
    code = bw_fleet_load(&source, &diags, &daemon->topology, err);
    if (code != BW_OK) {
        struct bw_buf words = {0};
        bw_diags_human(&diags, false, &words);
        const char *shown = bw_buf_cstr(&words);
        if (shown != NULL)
            fputs(shown, stderr);
        bw_buf_finish(&words);
    }
    bw_diags_finish(&diags);
    bw_buf_finish(&text);
    return code;
}

/* ---- meetings ---- */

struct restoring {
    struct bw_daemon *daemon;
    struct bw_arena *arena;
    size_t decisions;
    struct bw_error error;
};

static bool restore_decision(void *context, const struct bw_store_decision *row)
{
    struct restoring *restoring = context;
    struct bw_daemon *daemon = restoring->daemon;
    struct bw_decision *decision;
    enum bw_code code = bw_api_record_decode(row->record, restoring->arena, &decision, &restoring->error);
    if (code == BW_OK)
        code =
            bw_owner_restore(bw_worker_owner(daemon->workers[bw_daemon_owner_index(daemon, &row->meeting)]),
                             decision, &restoring->error);
    bw_arena_reset(restoring->arena);
    restoring->decisions++;
    return code == BW_OK;
}

struct usage {
    struct bw_hub *hub;
    struct bw_error error;
    size_t meetings, participants;
};

static bool restore_at_relays(void *context, const struct bw_meeting *meeting)
{
    struct usage *usage = context;
    usage->meetings += !meeting->ended;
    usage->participants += meeting->slot_count;
    return bw_hub_restore_meeting(usage->hub, meeting, &usage->error) == BW_OK;
}

static enum bw_code restore_meetings(struct bw_daemon *daemon, struct bw_store_db *db, struct bw_error *err)
{
    struct restoring restoring = {.daemon = daemon, .arena = bw_arena_create(DECISION_ARENA_BYTES)};
    if (restoring.arena == NULL)
        return bw_fail_memory(err);
    /* Older ones have ended, or their owner would have ended them while this replica was away. */
    uint64_t now = bw_clock_wall_ms(), age = daemon->config->meeting_max_age_ms + AWAY_MAX_MS;
    enum bw_code code =
        bw_store_decisions_since(db, now > age ? now - age : 0, 0, restore_decision, &restoring, err);
    bw_arena_destroy(restoring.arena);
    if (code == BW_OK && restoring.error.code != BW_OK) {
        *err = restoring.error;
        code = err->code;
    }
    struct usage usage = {.hub = daemon->hub};
    for (unsigned i = 0; code == BW_OK && i < daemon->worker_count; i++) {
        struct bw_owner *owner = bw_worker_owner(daemon->workers[i]);
        bw_owner_restored(owner);
        bw_owner_each_meeting(owner, restore_at_relays, &usage);
        if (usage.error.code != BW_OK) {
            *err = usage.error;
            code = err->code;
        }
    }
    if (code == BW_OK && restoring.decisions > 0)
        bw_log(BW_LOG_INFO, "restored", "decisions=%zu meetings=%zu participants=%zu", restoring.decisions,
               usage.meetings, usage.participants);
    return code;
}

/* ---- escrow: what live meetings use passes to this epoch, the rest is free again ---- */

struct holders {
    struct bw_store_replica_key keys[256];
    size_t count;
    const struct bw_store_replica_key *self;
};

static bool on_escrow(void *context, const struct bw_store_escrow *escrow)
{
    struct holders *holders = context;
    if (bw_id_equal(&escrow->holder.id, &holders->self->id) && escrow->holder.epoch == holders->self->epoch)
        return true;
    for (size_t i = 0; i < holders->count; i++) {
        if (bw_id_equal(&holders->keys[i].id, &escrow->holder.id) &&
            holders->keys[i].epoch == escrow->holder.epoch)
            return true;
    }
    if (holders->count < BW_ARRAY_LEN(holders->keys))
        holders->keys[holders->count++] = escrow->holder;
    return true;
}

static enum bw_code adopt_escrow(struct bw_daemon *daemon, struct bw_store_db *db, struct bw_error *err)
{
    struct holders holders = {.self = &daemon->replica};
    enum bw_code code = bw_store_escrow_read(db, on_escrow, &holders, err);
    uint32_t *relays = bw_calloc(BW_BOOK_RELAYS_MAX, sizeof *relays);
    uint32_t *used = bw_calloc(BW_BOOK_RELAYS_MAX, sizeof *used);
    uint32_t *moved = bw_calloc(BW_BOOK_RELAYS_MAX, sizeof *moved);
    if (relays == NULL || used == NULL || moved == NULL)
        code = bw_fail_memory(err);
    size_t n = 0;
    for (uint32_t relay = 1; code == BW_OK && relay < BW_BOOK_RELAYS_MAX; relay++) {
        if (bw_book_taken(daemon->book, relay) == 0)
            continue;
        relays[n] = relay;
        used[n++] = bw_book_taken(daemon->book, relay);
    }
    /* Usage was granted to whoever held slots before; each holder covers what it held. */
    for (size_t i = 0; code == BW_OK && i < holders.count; i++) {
        code =
            bw_store_escrow_adopt(db, &holders.keys[i], &daemon->replica, relays, used, n, true, moved, err);
        for (size_t r = 0; code == BW_OK && r < n; r++)
            used[r] -= moved[r] < used[r] ? moved[r] : used[r];
    }
    for (size_t r = 0; code == BW_OK && r < n; r++) {
        if (used[r] > 0)
            bw_log(BW_LOG_WARN, "slots_without_escrow", "relay=%u slots=%u", relays[r], used[r]);
    }
    bw_free(relays);
    bw_free(used);
    bw_free(moved);
    return code;
}

/* ---- all of it ---- */

struct policies_for {
    struct bw_daemon *daemon;
    struct bw_error error;
};

static void give_policy(void *context, struct bw_policy_set *set)
{
    struct policies_for *target = context;
    for (unsigned i = 0; i < target->daemon->worker_count; i++) {
        struct bw_error err;
        if (bw_owner_set_policy(bw_worker_owner(target->daemon->workers[i]), set, &err) != BW_OK)
            target->error = err;
    }
}

enum bw_code bw_recovery_restore(struct bw_daemon *daemon, struct bw_store_db *db, struct bw_error *err)
{
    struct bw_store_heads heads;
    enum bw_code code = bw_store_heads_read(db, &heads, err);
    if (code != BW_OK)
        return code;
    bw_hub_begin_at(daemon->hub, heads.group);
    code = bw_hub_load(daemon->hub, db, err);
    struct policies_for policies = {.daemon = daemon};
    if (code == BW_OK)
        code = bw_orders_read_policies(db, give_policy, &policies, err);
    if (code == BW_OK && policies.error.code != BW_OK) {
        *err = policies.error;
        code = err->code;
    }
    struct bw_callers *callers = NULL;
    if (code == BW_OK)
        code = bw_orders_read_callers(daemon, db, &callers, err);
    for (unsigned i = 0; code == BW_OK && i < daemon->worker_count; i++)
        bw_worker_begin_with(daemon->workers[i], callers);
    bw_callers_release(callers);
    if (code == BW_OK)
        code = restore_meetings(daemon, db, err);
    if (code == BW_OK)
        code = adopt_escrow(daemon, db, err);
    return code;
}
