/* Probes and metrics over HTTP/1.1, on a listener of their own: /healthz (the process works), /readyz (it
 * should get traffic), /metrics (OpenMetrics). Nothing here is personal or names a tenant.
 *
 * Threads: create and destroy on the main thread; requests are answered on a thread of the listener's, from
 * atomics alone. */
#ifndef BW_SERVER_HTTP_H
#define BW_SERVER_HTTP_H

#include "server/daemon.h"

struct bw_http;

/* UNAVAILABLE when the port cannot be had. */
BW_MUST_USE enum bw_code bw_http_create(struct bw_daemon *daemon, struct bw_http **out, struct bw_error *err);
/* NULL is allowed. */
void bw_http_destroy(struct bw_http *http);

#endif
