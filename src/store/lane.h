/* One connection of the writer: connects in a pool thread, connects again with backoff, and carries one
 * statement at a time in pipeline mode without blocking the loop. It knows nothing of groups. Threads: the
 * loop's, for every function and callback. */
#ifndef BW_STORE_LANE_H
#define BW_STORE_LANE_H

#include <stdbool.h>
#include <stdint.h>

#include <libpq-fe.h>

#include "base/status.h"
#include "store/params.h"

struct bw_loop;
struct bw_store_lane;

enum bw_store_statement { BW_STORE_STATEMENT_GROUP, BW_STORE_STATEMENT_CONFLICTS, BW_STORE_STATEMENTS };

struct bw_store_lane_events {
    /* Connected. head_group: a group number that is older than anything sent from now on. May send. */
    void (*up)(void *context, uint64_t head_group);
    /* The statement has ended and its transaction with it: `result` holds rows (it is committed) or an error
     * (it is rolled back). Borrowed. May send the next one. */
    void (*answered)(void *context, const PGresult *result);
    /* The connection is lost; a statement on its way has an unknown outcome. */
    void (*down)(void *context);
    void (*closed)(void *context); /* after bw_store_lane_close; the last call */
};

BW_MUST_USE enum bw_code bw_store_lane_create(struct bw_loop *loop, const char *conninfo,
                                              uint64_t answer_wait_ms,
                                              const struct bw_store_lane_events *events, void *context,
                                              struct bw_store_lane **lane, struct bw_error *err);

/* Connected and without a statement on its way. */
bool bw_store_lane_idle(const struct bw_store_lane *lane);
/* The lane must be idle. An immediate failure is reported as `down`, from the end of the loop's turn. */
void bw_store_lane_send(struct bw_store_lane *lane, enum bw_store_statement statement,
                        struct bw_pg_params *params);

/* Not from within a callback of the lane. Frees it, then calls `closed`. */
void bw_store_lane_close(struct bw_store_lane *lane);

#endif
