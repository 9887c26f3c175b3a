/* A worker: one thread with its own loop, connections, meetings, database writer and line to the signer. What
 * crosses between workers, the hub and the desk travels as mail.
 *
 * Threads: create and start on the main thread; the mail functions any; everything else the worker's. */
#ifndef BW_SERVER_WORKER_H
#define BW_SERVER_WORKER_H

#include "api/api.h"
#include "control/owner.h"
#include "server/call_metrics.h"
#include "server/daemon.h"
#include "server/metrics.h"

struct bw_worker;
struct bw_signer_client;

BW_MUST_USE enum bw_code bw_worker_create(struct bw_daemon *daemon, unsigned index, struct bw_worker **out,
                                          struct bw_error *err);
/* Serves from now on. */
BW_MUST_USE enum bw_code bw_worker_start(struct bw_worker *worker, struct bw_error *err);
/* Stops listening, lets calls finish until the deadline, then leaves. bw_worker_join waits for that. */
void bw_worker_drain(struct bw_worker *worker, uint64_t deadline_ms);
void bw_worker_join(struct bw_worker *worker);
/* The rest of the end, on the main thread after join, in this order, each step for all workers, with mail
 * delivered (bw_worker_deliver) after each: what one worker gives up is another one's call. */
void bw_worker_close(struct bw_worker *worker);
void bw_worker_hang_up(struct bw_worker *worker);
/* False when there was no mail. */
bool bw_worker_deliver(struct bw_worker *worker);
/* NULL is allowed. */
void bw_worker_destroy(struct bw_worker *worker);

struct bw_owner *bw_worker_owner(struct bw_worker *worker);
struct bw_daemon *bw_worker_daemon(struct bw_worker *worker);
struct bw_signer_client *bw_worker_signer(struct bw_worker *worker);
struct bw_mailbox *bw_worker_mailbox(struct bw_worker *worker);
uint16_t bw_worker_port(const struct bw_worker *worker);

/* Threads: any. */
const struct bw_worker_metrics *bw_worker_metrics(const struct bw_worker *worker);
const struct bw_call_metrics *bw_worker_call_metrics(const struct bw_worker *worker);

/* ---- the world changes; each takes a reference of its own. Threads: any. False when memory is out. ---- */
bool bw_worker_set_view(struct bw_worker *worker, struct bw_fleet_view *view);
bool bw_worker_set_policy(struct bw_worker *worker, struct bw_policy_set *set);
bool bw_worker_set_callers(struct bw_worker *worker, struct bw_callers *callers);
bool bw_worker_escrow_changed(struct bw_worker *worker);
void bw_worker_set_tls(struct bw_worker *worker, struct bw_grpc_tls *tls);
void bw_worker_set_geo(struct bw_worker *worker, struct bw_geo *geo);

/* Before start: what the worker has as it begins. */
void bw_worker_begin_with(struct bw_worker *worker, struct bw_callers *callers);

#endif
