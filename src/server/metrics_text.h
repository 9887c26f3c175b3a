/* The daemon's counters as OpenMetrics text, and their reference page: both from the tables in metrics.h.
 * Threads: any. */
#ifndef BW_SERVER_METRICS_TEXT_H
#define BW_SERVER_METRICS_TEXT_H

#include "base/buf.h"
#include "server/call_metrics.h"
#include "server/metrics.h"
#include "server/process_metrics.h"

/* What a scrape looks at; borrowed. Of `worker_count` workers each. */
struct bw_metrics_source {
    const struct bw_worker_metrics *const *workers;
    const struct bw_call_metrics *const *calls;
    size_t worker_count;
    const struct bw_hub_metrics *hub;
    const struct bw_ingest_metrics *ingest;
    struct bw_daemon_metrics daemon;
    struct bw_process_metrics process;
    const char *version;
};

/* A whole exposition, "# EOF" included. */
void bw_metrics_text(const struct bw_metrics_source *source, struct bw_buf *out);
/* docs/reference/metrics.md. */
void bw_metrics_reference(struct bw_buf *out);

#endif
