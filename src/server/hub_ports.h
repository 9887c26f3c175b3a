/* What the hub needs of the world, as functions: clocks, somebody who asks the database, the streams of the
 * relays and the workers that decide by its view. hub_bind.c gives it the daemon's; a test gives it its own,
 * and drives the hub without a thread, a socket or a database.
 *
 * Threads: each function says on which thread it is called. */
#ifndef BW_SERVER_HUB_PORTS_H
#define BW_SERVER_HUB_PORTS_H

#include "control/book.h"
#include "control/fleet_view.h"
#include "placement/snapshot.h"
#include "server/desk.h"
#include "server/stream.h"
#include "store/decisions.h"
#include "store/fleet.h"
#include "store/replicas.h"

/* The questions to the database, with the signatures of the store's functions; called by jobs on the thread
 * that runs them, with the connection that it gave them. */
struct bw_hub_queries {
    enum bw_code (*replica_renew)(struct bw_store_db *db, const struct bw_store_replica_key *self,
                                  uint64_t lease_ms, struct bw_error *err);
    enum bw_code (*session_open)(struct bw_store_db *db, const struct bw_store_replica_key *self,
                                 uint32_t relay, const struct bw_id *boot, uint64_t lease_ms, uint64_t *epoch,
                                 struct bw_error *err);
    enum bw_code (*sessions_renew)(struct bw_store_db *db, const struct bw_store_replica_key *self,
                                   const uint32_t *relays, const uint64_t *epochs, size_t n,
                                   uint64_t lease_ms, bool *lost, struct bw_error *err);
    enum bw_code (*groups_read)(struct bw_store_db *db, uint64_t after, uint32_t limit,
                                const struct bw_id *skip, bw_store_on_group *each, void *context,
                                struct bw_store_heads *heads, struct bw_error *err);
    enum bw_code (*relays_read)(struct bw_store_db *db, bool removed_too, bw_store_on_relay *each,
                                void *context, uint64_t *facts_revision, struct bw_error *err);
    enum bw_code (*escrow_read)(struct bw_store_db *db, bw_store_on_escrow *each, void *context,
                                struct bw_error *err);
    enum bw_code (*escrow_take)(struct bw_store_db *db, const struct bw_store_replica_key *self,
                                const uint32_t *relays, const uint32_t *want, size_t n, uint32_t *granted,
                                struct bw_error *err);
    enum bw_code (*escrow_give)(struct bw_store_db *db, const struct bw_store_replica_key *self,
                                const uint32_t *relays, const uint32_t *slots, size_t n,
                                struct bw_error *err);
};

struct bw_hub_ports {
    void *context;
    const struct bw_hub_queries *queries;
    /* The hub's thread; mono_ms also before its start. */
    uint64_t (*mono_ms)(void *context);
    uint64_t (*wall_ms)(void *context);
    /* Runs the job elsewhere and posts its mail to job->back. Jobs of `ask` are done in order and not behind
     * those of `ask_slow`. Never fails. The hub's thread; `ask` any. */
    void (*ask)(void *context, struct bw_desk_job *job);
    void (*ask_slow)(void *context, struct bw_desk_job *job);
    /* One tenant's enforced policy, read back and given to the workers. On a job's thread. */
    enum bw_code (*read_policy)(void *context, struct bw_store_db *db, const struct bw_id *tenant,
                                struct bw_error *err);
    /* A relay's stream, each function as its namesake in stream.h. The hub's thread. */
    enum bw_code (*send)(void *context, struct bw_stream *stream, struct bw_view message);
    bool (*room)(void *context, struct bw_stream *stream);
    void (*finish)(void *context, struct bw_stream *stream, const struct bw_error *why);
    void (*let_go)(void *context, struct bw_stream *stream);
    /* To every worker; takes references of its own. False: memory was out for one of them, say it again. */
    bool (*set_view)(void *context, struct bw_fleet_view *view);
    void (*escrow_changed)(void *context);
    /* This replica may no longer act. */
    void (*fenced)(void *context);
    /* What the hub holds is no longer what the log says, and nothing but a new start can mend that. Any
     * thread. */
    void (*broken)(void *context, const char *what);
};

/* Copied; what it points to outlives the hub. */
struct bw_hub_config {
    const char *cell, *replica_name;
    struct bw_store_replica_key replica;
    struct bw_id stream;          /* of the decision log */
    struct bw_snapshot *topology; /* NULL: none given */
    struct bw_book *book;
    uint64_t lease_ms; /* of the replica */
    uint32_t escrow_block;
};

#endif
