/* Orders of the services, done at the desk; and what a replica reads of tenants, policies and credentials.
 * Threads: bw_orders_post a worker's; the readers whoever holds the connection. */
#ifndef BW_SERVER_ORDERS_H
#define BW_SERVER_ORDERS_H

#include "api/caller.h"
#include "api/desk.h"
#include "control/policies.h"
#include "server/daemon.h"

struct bw_worker;

/* order->done runs on this worker. */
void bw_orders_post(struct bw_worker *worker, struct bw_desk_order *order);

/* Everybody who may call, as the database says, and the operators of the configuration. *callers is the
 * caller's reference. */
BW_MUST_USE enum bw_code bw_orders_read_callers(struct bw_daemon *daemon, struct bw_store_db *db,
                                                struct bw_callers **callers, struct bw_error *err);
/* Every tenant's enforced revision, each given to `each`, which takes its own reference. A revision that this
 * program cannot read is logged and left out: that tenant is then refused. */
BW_MUST_USE enum bw_code bw_orders_read_policies(struct bw_store_db *db,
                                                 void (*each)(void *context, struct bw_policy_set *set),
                                                 void *context, struct bw_error *err);

/* One tenant's, given to every worker, when it is not theirs already. */
BW_MUST_USE enum bw_code bw_orders_read_policy(struct bw_daemon *daemon, struct bw_store_db *db,
                                               const struct bw_id *tenant, struct bw_error *err);

#endif
