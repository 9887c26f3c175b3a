/* What the ingest asks others to do: a meeting's owner to say who takes part, and the desk to write rows.
 * Each is made on the ingest's thread and comes back to it as mail. For ingest.c alone. */
#ifndef BW_SERVER_INGEST_JOB_H
#define BW_SERVER_INGEST_JOB_H

#include "server/desk.h"
#include "server/ingest_core.h"
#include "server/worker.h"

/* A meeting's owner is asked. Back on the ingest's loop `done` runs, and the ask is freed. */
struct bw_ingest_ask {
    struct bw_mail mail;
    struct bw_worker *worker;
    struct bw_mailbox *back;
    struct bw_ingest_roster roster; /* loading: the worker had no memory or is reading the meeting */
    void (*done)(void *context, const struct bw_ingest_roster *roster);
    void *context;
};

/* False when memory is out. */
bool bw_ingest_ask(struct bw_worker *worker, struct bw_mailbox *back, const struct bw_id *meeting,
                   void (*done)(void *context, const struct bw_ingest_roster *roster), void *context);

/* Rows are written. `mail` and `back` are the desk's. */
struct bw_ingest_job {
    struct bw_desk_job job;
    struct bw_ingest_write *write;
    enum bw_code code;
    struct bw_error error;
};

/* Fills job->job.run. The write may run again after a failure: all of it is idempotent. */
void bw_ingest_job_init(struct bw_ingest_job *job, struct bw_ingest_write *write, struct bw_mailbox *back,
                        void (*deliver)(struct bw_mail *mail));
/* The same without a desk, for benchmarks and tests. */
BW_MUST_USE enum bw_code bw_ingest_write_rows(struct bw_store_db *db, struct bw_ingest_write *write,
                                              struct bw_error *err);

#endif
