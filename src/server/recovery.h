/* What a replica does before it serves: takes its place in the database, reads everything back, and counts
 * what live meetings use. Threads: the main thread, before anything else runs. */
#ifndef BW_SERVER_RECOVERY_H
#define BW_SERVER_RECOVERY_H

#include "server/daemon.h"

/* The replica's id (kept in the state directory) and its new epoch: whatever an earlier run of this replica
 * may still have under way fails from here on. FAILED_PRECONDITION when another replica holds a lease: this
 * version serves a cell with one. */
BW_MUST_USE enum bw_code bw_recovery_register(struct bw_daemon *daemon, struct bw_store_db *db,
                                              struct bw_error *err);
/* Loads the topology file, if there is one. */
BW_MUST_USE enum bw_code bw_recovery_topology(struct bw_daemon *daemon, struct bw_error *err);
/* Relays, policies, callers, live meetings and escrow, into the hub and the owners. */
BW_MUST_USE enum bw_code bw_recovery_restore(struct bw_daemon *daemon, struct bw_store_db *db,
                                             struct bw_error *err);

#endif
