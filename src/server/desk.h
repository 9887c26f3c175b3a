/* The desk: a thread with a blocking connection of its own, which does whatever would stop a loop. Jobs run
 * one after the other in the order they came; each goes back to the mailbox it names.
 *
 * Threads: bw_desk_post any; a job's `run` on the desk's, its mail on the loop of its mailbox. */
#ifndef BW_SERVER_DESK_H
#define BW_SERVER_DESK_H

#include "base/status.h"
#include "runtime/mailbox.h"
#include "store/db.h"

struct bw_desk;

struct bw_desk_job {
    struct bw_mail mail; /* posted to `back` after run; its deliver owns the job */
    struct bw_mailbox *back;
    void (*run)(struct bw_desk_job *job, struct bw_store_db *db);
    struct bw_desk_job *next;
};

/* Opens its connection at once: errors as bw_store_db_open. */
BW_MUST_USE enum bw_code bw_desk_start(const char *conninfo, const char *name, struct bw_desk **out,
                                       struct bw_error *err);
/* Jobs still waiting are done first. NULL is allowed. */
void bw_desk_stop(struct bw_desk *desk);
/* Never fails, never blocks for long. */
void bw_desk_post(struct bw_desk *desk, struct bw_desk_job *job);
/* Jobs waiting and running. */
unsigned bw_desk_backlog(struct bw_desk *desk);

#endif
