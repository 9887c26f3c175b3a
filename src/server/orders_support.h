/* The desk's orders that read much: the decisions of a meeting, and which meetings there were. Threads: the
 * desk's. Errors: those of store/db.h. */
#ifndef BW_SERVER_ORDERS_SUPPORT_H
#define BW_SERVER_ORDERS_SUPPORT_H

#include "api/desk.h"
#include "store/db.h"

/* NOT_FOUND: there is no such meeting. */
BW_MUST_USE enum bw_code bw_orders_walk(struct bw_desk_order *order, struct bw_store_db *db,
                                        struct bw_error *err);
BW_MUST_USE enum bw_code bw_orders_search(struct bw_desk_order *order, struct bw_store_db *db,
                                          struct bw_error *err);

#endif
