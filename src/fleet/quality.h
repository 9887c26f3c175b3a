/* Reports quality samples of one relay to one cell, by RelayService.ReportQuality on the connection of the
 * session. What cannot be sent now waits in a bounded queue and goes out when the connection is back.
 *
 * Owner: the session client. Threads: the loop's. */
#ifndef BW_FLEET_QUALITY_H
#define BW_FLEET_QUALITY_H

#include "base/status.h"
#include "fleet/quality_queue.h"
#include "grpc/client.h"
#include "runtime/loop.h"

struct bw_quality_reporter;

/* NULL and *err on failure. */
struct bw_quality_reporter *bw_quality_reporter_create(struct bw_loop *loop, size_t capacity,
                                                       struct bw_error *err);
/* NULL is allowed. */
void bw_quality_reporter_destroy(struct bw_quality_reporter *reporter);
/* Sends them now or later. */
void bw_quality_reporter_add(struct bw_quality_reporter *reporter, const struct bw_relay_quality *samples,
                             size_t count);
/* The session stands: reports may go out on this connection until _disconnected. */
void bw_quality_reporter_connected(struct bw_quality_reporter *reporter, struct bw_grpc_client *grpc);
/* Before the connection goes. */
void bw_quality_reporter_disconnected(struct bw_quality_reporter *reporter);

struct bw_quality_report_counts {
    struct bw_quality_queue_counts queue;
    uint64_t taken, refused; /* as the control plane said: refused are slots this relay does not carry, and
                                impossible values */
};
struct bw_quality_report_counts bw_quality_reporter_counts(const struct bw_quality_reporter *reporter);

#endif
