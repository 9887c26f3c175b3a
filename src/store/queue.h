/* Rows that were submitted and not yet sent, by meeting. A meeting is idle (unknown here), ready (it has rows
 * to send) or in flight (a group holds rows of it; later ones wait behind). Part of the writer; no I/O.
 * Threads: the writer's. */
#ifndef BW_STORE_QUEUE_H
#define BW_STORE_QUEUE_H

#include "store/writer.h"

struct bw_store_meeting;

/* One submitted row, in one allocation. */
struct bw_store_pending {
    struct bw_store_pending *next;
    struct bw_store_meeting *meeting;
    bw_store_row_done *done;
    void *context;
    struct bw_store_row row; /* its relays, record, note and key point behind this struct */
    struct bw_store_result result;
    size_t bytes;
};

/* A singly linked list, first in first out. */
struct bw_store_pending_list {
    struct bw_store_pending *first, *last;
};

void bw_store_pending_append(struct bw_store_pending_list *list, struct bw_store_pending *row);

struct bw_store_queue {
    struct bw_store_meeting *meetings; /* hash by id */
    struct bw_store_meeting *ready_first, *ready_last;
    struct bw_store_pending_list finished; /* done, their callbacks not called yet */
    uint64_t newest_facts;                 /* rows decided under an older facts revision are stale */
    uint32_t rows, waiting;                /* all; those not in a group */
    size_t bytes;
};

/* Everything left is finished before with bw_store_queue_fail_waiting and by its group. */
void bw_store_queue_finish(struct bw_store_queue *queue);

/* Copies the row. INVALID_ARGUMENT when its seq does not follow the meeting's last submitted one. */
BW_MUST_USE enum bw_code bw_store_queue_submit(struct bw_store_queue *queue, const struct bw_store_row *row,
                                               bw_store_row_done *done, void *context, struct bw_error *err);

/* Takes up to max_rows rows (and about max_bytes) of meetings that are not in flight; these are in flight
 * afterwards. Stale rows are finished instead. Ordered by (meeting, seq). Returns how many. */
uint32_t bw_store_queue_take(struct bw_store_queue *queue, struct bw_store_pending **rows, uint32_t max_rows,
                             size_t max_bytes);

/* Ends a group's rows with their `result`s, which are all COMMITTED or all not: their meetings get the next
 * rows ready, or, when a row has failed, every waiting row of its meeting fails likewise. */
void bw_store_queue_end(struct bw_store_queue *queue, struct bw_store_pending **rows, uint32_t count);

/* Fails every row that is in no group. */
void bw_store_queue_fail_waiting(struct bw_store_queue *queue, enum bw_store_outcome outcome);

/* Calls the callbacks of what is finished; they may submit. */
void bw_store_queue_deliver(struct bw_store_queue *queue);

#endif
