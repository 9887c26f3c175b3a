/* What the worker's files share; nobody else includes this. */
#ifndef BW_SERVER_WORKER_STATE_H
#define BW_SERVER_WORKER_STATE_H

#include "server/call_metrics.h"
#include "server/hub.h"
#include "server/roster_sealer.h"
#include "server/signer_client.h"
#include "server/worker.h"
#include "store/writer.h"

struct bw_worker {
    struct bw_daemon *daemon;
    unsigned index;
    struct bw_loop *loop;
    struct bw_mailbox *mailbox;
    struct bw_timer *timer, *wake_timer;
    struct bw_task turn, flush;
    struct bw_owner *owner;
    struct bw_api *api;
    struct bw_callers *callers;
    struct bw_geo *geo; /* NULL: no database */
    struct bw_store_writer *writer;
    struct bw_signer_client *signer;
    struct bw_roster_sealer *roster; /* NULL: metadata is not kept */
    struct bw_grpc_server *server;
    struct bw_grpc_method *methods;
    size_t method_count;
    struct bw_hub_link link;
    struct bw_thread *thread;

    struct bw_worker_metrics metrics;
    struct bw_call_metrics call_metrics;

    /* Changes of the group whose rows are being reported. */
    uint64_t group;
    struct bw_hub_change *changes;
    size_t change_count, change_cap;

    /* Random bytes for ids, fetched from the kernel many at a time; those from random_at on are unused. */
    uint8_t random[1024];
    size_t random_at;
};

/* worker_owner.c: the owner with its ports; its tasks are the worker's */
BW_MUST_USE enum bw_code bw_worker_create_owner(struct bw_worker *worker, struct bw_error *err);
void bw_worker_owner_turn(void *context);
void bw_worker_flush_group(void *context);
/* worker_roster.c: without a vault, none */
BW_MUST_USE enum bw_code bw_worker_create_roster(struct bw_worker *worker, struct bw_error *err);
/* worker_open.c: the services' port towards the vault; its context is the worker */
void bw_worker_open(void *context, struct bw_api_opening *opening);
void bw_worker_erase(void *context, struct bw_api_erasure *erasure);
/* worker_ports.c */
struct bw_api_ports bw_worker_api_ports(struct bw_worker *worker);

#endif
