/* One authenticated call that changes nothing, fit for whoever one is: how `whoami` and `doctor` learn
 * whether the cell knows a certificate. Threads: one. */
#ifndef BW_CLI_PROBE_H
#define BW_CLI_PROBE_H

#include "cli/identity.h"
#include "cli/server.h"

enum bw_probe {
    BW_PROBE_DONE,       /* the outcome says how it went */
    BW_PROBE_NO_TENANT,  /* it would need to know for which tenant */
    BW_PROBE_NONE_BUILT, /* there is no call for this role yet */
};

/* *what is the name of the call; for an operator *heartbeat_ms is the newest heartbeat of a relay that serves
 * (0: none), which is the cell's clock. */
enum bw_probe bw_probe_call(struct bw_cli *cli, enum bw_identity_kind kind, const char **what,
                            struct bw_grpc_outcome *outcome, uint64_t *heartbeat_ms);

/* Reads --cert (or the context's); NULL and words in *err when there is none to read. The id is in the arena.
 */
const char *bw_own_spiffe_id(struct bw_cli *cli, struct bw_error *err);

#endif
