/* bailiwick-relay as a whole: core, socket, sessions, probes, status, on one loop and one thread. A relay
 * that needs more than one core's worth of forwarding is more relays: placement spreads meetings over them.
 * Threads: the caller's, which runs the loop inside bw_relay_worker_run. */
#ifndef BW_RELAY_WORKER_H
#define BW_RELAY_WORKER_H

#include "base/status.h"
#include "relay/config.h"

struct bw_relay_worker;

/* config, and `file` it was loaded from (read again at SIGHUP), live as long as the worker. NULL and *err on
 * failure: an address that cannot be had, a certificate that cannot be read, … */
struct bw_relay_worker *bw_relay_worker_create(const struct bw_relay_config *config, const char *file,
                                               struct bw_error *err);
/* Serves until SIGTERM or SIGINT, then drains and says goodbye; a second signal ends it at once. */
void bw_relay_worker_run(struct bw_relay_worker *worker);
/* NULL is allowed. */
void bw_relay_worker_destroy(struct bw_relay_worker *worker);

#endif
