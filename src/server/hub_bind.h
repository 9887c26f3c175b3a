/* The hub as it runs in the daemon: its ports bound to the clock, the lease desk, the workers and their
 * streams. Threads: main, before start. */
#ifndef BW_SERVER_HUB_BIND_H
#define BW_SERVER_HUB_BIND_H

#include "server/daemon.h"
#include "server/hub.h"

BW_MUST_USE enum bw_code bw_hub_create_bound(struct bw_daemon *daemon, struct bw_hub **out,
                                             struct bw_error *err);

#endif
