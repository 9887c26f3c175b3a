/* The thread that takes quality in: its own loop, and behind it a desk with a database connection of its own.
 * Workers give it batches; it asks them who takes part in a meeting, and they have the batches back when
 * every window has its answer.
 *
 * Threads: create, start, stop and destroy on the main thread; bw_ingest_give and the metrics any. */
#ifndef BW_SERVER_INGEST_H
#define BW_SERVER_INGEST_H

#include "api/quality.h"
#include "server/daemon.h"
#include "server/metrics.h"
#include "server/vault_keeper.h"

struct bw_ingest;

/* keeper NULL: there is no vault; windows are judged and summed up, and no more. The keeper tells the ingest
 * of scope keys from here on. Errors as bw_desk_start. */
BW_MUST_USE enum bw_code bw_ingest_create(struct bw_daemon *daemon, struct bw_vault_keeper *keeper,
                                          struct bw_ingest **out, struct bw_error *err);
BW_MUST_USE enum bw_code bw_ingest_start(struct bw_ingest *ingest, struct bw_error *err);
/* After the workers have been joined: what is open is written, for some seconds at most, and every batch goes
 * home. NULL is allowed. */
void bw_ingest_stop(struct bw_ingest *ingest);
/* After the last mail of the workers has been delivered. NULL is allowed. */
void bw_ingest_destroy(struct bw_ingest *ingest);

/* The batch is the ingest's; batch->done runs on the worker. When too many wait the oldest are answered as
 * dropped. */
void bw_ingest_give(struct bw_ingest *ingest, struct bw_worker *worker, struct bw_api_quality *batch);

const struct bw_ingest_metrics *bw_ingest_metrics(const struct bw_ingest *ingest);

#endif
