#include "store/queue.h"

#include <stdlib.h>
#include <string.h>

#define HASH_NONFATAL_OOM 1
#define uthash_malloc(n)  bw_malloc(n)
#define uthash_free(p, n) bw_free(p)
#include <uthash.h>

#include "base/alloc.h"
#include "base/check.h"

struct bw_store_meeting {
    UT_hash_handle hh;
    struct bw_id id;
    struct bw_store_pending_list waiting;
    struct bw_store_meeting *next_ready;
    uint32_t last_seq; /* submitted */
    bool in_flight;
};

void bw_store_pending_append(struct bw_store_pending_list *list, struct bw_store_pending *row)
{
    row->next = NULL;
    if (list->last != NULL)
        list->last->next = row;
    else
        list->first = row;
    list->last = row;
}

static struct bw_store_pending *pop(struct bw_store_pending_list *list)
{
    struct bw_store_pending *row = list->first;
    if (row != NULL) {
        list->first = row->next;
        if (list->first == NULL)
            list->last = NULL;
    }
    return row;
}

void bw_store_queue_finish(struct bw_store_queue *queue)
{
    BW_CHECK(queue->rows == 0 && queue->meetings == NULL);
}

static void make_ready(struct bw_store_queue *queue, struct bw_store_meeting *meeting)
{
    meeting->next_ready = NULL;
    if (queue->ready_last != NULL)
        queue->ready_last->next_ready = meeting;
    else
        queue->ready_first = meeting;
    queue->ready_last = meeting;
}

static void make_first(struct bw_store_queue *queue, struct bw_store_meeting *meeting)
{
    meeting->next_ready = queue->ready_first;
    queue->ready_first = meeting;
    if (queue->ready_last == NULL)
        queue->ready_last = meeting;
}

static struct bw_store_meeting *pop_ready(struct bw_store_queue *queue)
{
    struct bw_store_meeting *meeting = queue->ready_first;
    queue->ready_first = meeting->next_ready;
    if (queue->ready_first == NULL)
        queue->ready_last = NULL;
    return meeting;
}

static void forget(struct bw_store_queue *queue, struct bw_store_meeting *meeting)
{
    HASH_DEL(queue->meetings, meeting);
    bw_free(meeting);
}

static struct bw_store_meeting *meeting_of(struct bw_store_queue *queue, const struct bw_id *id)
{
    struct bw_store_meeting *meeting = NULL;
    HASH_FIND(hh, queue->meetings, id->bytes, sizeof id->bytes, meeting);
    return meeting;
}

static struct bw_store_meeting *add_meeting(struct bw_store_queue *queue, const struct bw_id *id)
{
    struct bw_store_meeting *meeting = bw_calloc(1, sizeof *meeting);
    if (meeting == NULL)
        return NULL;
    meeting->id = *id;
    HASH_ADD(hh, queue->meetings, id.bytes, sizeof meeting->id.bytes, meeting);
    if (meeting->hh.tbl == NULL) { /* out of memory in the table */
        bw_free(meeting);
        return NULL;
    }
    make_ready(queue, meeting);
    return meeting;
}

static struct bw_store_pending *copy_row(const struct bw_store_row *row)
{
    size_t relay_bytes = row->relay_count * sizeof *row->relays;
    size_t key_bytes = row->key != NULL ? sizeof *row->key : 0;
    size_t bytes =
        sizeof(struct bw_store_pending) + key_bytes + relay_bytes + row->record.len + row->note.len;
    struct bw_store_pending *copy = bw_malloc(bytes);
    if (copy == NULL)
        return NULL;
    uint8_t *tail = (uint8_t *)(copy + 1);
    *copy = (struct bw_store_pending){.row = *row, .bytes = bytes};
    if (row->key != NULL)
        copy->row.key = memcpy(tail, row->key, key_bytes);
    tail += key_bytes;
    copy->row.relays = (const uint32_t *)(void *)tail;
    if (relay_bytes > 0)
        memcpy(tail, row->relays, relay_bytes);
    tail += relay_bytes;
    copy->row.record.data = tail;
    if (row->record.len > 0)
        memcpy(tail, row->record.data, row->record.len);
    tail += row->record.len;
    copy->row.note.data = tail;
    if (row->note.len > 0)
        memcpy(tail, row->note.data, row->note.len);
    return copy;
}

enum bw_code bw_store_queue_submit(struct bw_store_queue *queue, const struct bw_store_row *row,
                                   bw_store_row_done *done, void *context, struct bw_error *err)
{
    struct bw_store_meeting *meeting = meeting_of(queue, &row->meeting);
    if (meeting != NULL && row->seq <= meeting->last_seq)
        return bw_fail(err, BW_INVALID_ARGUMENT, NULL, "decision %u of the meeting was submitted before",
                       row->seq);
    struct bw_store_pending *copy = copy_row(row);
    if (copy == NULL)
        return bw_fail_memory(err);
    if (meeting == NULL)
        meeting = add_meeting(queue, &row->meeting);
    if (meeting == NULL) {
        bw_free(copy);
        return bw_fail_memory(err);
    }
    copy->meeting = meeting;
    copy->done = done;
    copy->context = context;
    meeting->last_seq = row->seq;
    bw_store_pending_append(&meeting->waiting, copy);
    queue->rows++;
    queue->waiting++;
    queue->bytes += copy->bytes;
    if (row->facts_revision > queue->newest_facts)
        queue->newest_facts = row->facts_revision;
    return BW_OK;
}

static void finish_row(struct bw_store_queue *queue, struct bw_store_pending *row)
{
    row->meeting = NULL;
    bw_store_pending_append(&queue->finished, row);
}

/* What waits behind a row that failed was decided on top of it. */
static void fail_behind(struct bw_store_queue *queue, struct bw_store_meeting *meeting,
                        const struct bw_store_result *result)
{
    for (struct bw_store_pending *row; (row = pop(&meeting->waiting)) != NULL;) {
        row->result = *result;
        queue->waiting--;
        finish_row(queue, row);
    }
}

static int by_key(const void *a, const void *b)
{
    const struct bw_store_row *x = &(*(struct bw_store_pending *const *)a)->row;
    const struct bw_store_row *y = &(*(struct bw_store_pending *const *)b)->row;
    int order = bw_id_compare(&x->meeting, &y->meeting);
    return order != 0 ? order : (x->seq > y->seq) - (x->seq < y->seq);
}

/* Two calls with one request id in one group would make the group break on itself: the second one waits for
 * the next, and then learns of the first. */
static bool same_request_taken(struct bw_store_pending *const *rows, uint32_t count,
                               const struct bw_store_row *row)
{
    if (row->method == NULL)
        return false;
    for (uint32_t i = 0; i < count; i++) {
        const struct bw_store_row *other = &rows[i]->row;
        if (other->method != NULL && bw_id_equal(&other->request, &row->request) &&
            bw_id_equal(&other->tenant, &row->tenant) && strcmp(other->method, row->method) == 0)
            return true;
    }
    return false;
}

uint32_t bw_store_queue_take(struct bw_store_queue *queue, struct bw_store_pending **rows, uint32_t max_rows,
                             size_t max_bytes)
{
    uint32_t count = 0;
    size_t bytes = 0;
    struct bw_store_meeting *last = queue->ready_last;
    bool full = false;
    while (!full && queue->ready_first != NULL) {
        struct bw_store_meeting *meeting = pop_ready(queue);
        bool was_last = meeting == last;
        uint32_t before = count;
        for (struct bw_store_pending *row; (row = meeting->waiting.first) != NULL;) {
            if (row->row.facts_revision < queue->newest_facts) {
                struct bw_store_result stale = {.outcome = BW_STORE_STALE_FACTS};
                fail_behind(queue, meeting, &stale);
                break;
            }
            full = count == max_rows || (count > 0 && bytes + row->bytes > max_bytes);
            if (full || same_request_taken(rows, count, &row->row))
                break;
            (void)pop(&meeting->waiting);
            queue->waiting--;
            bytes += row->bytes;
            rows[count++] = row;
        }
        meeting->in_flight = count > before;
        if (!meeting->in_flight && meeting->waiting.first == NULL)
            forget(queue, meeting);
        else if (!meeting->in_flight && full)
            make_first(queue, meeting);
        else if (!meeting->in_flight)
            make_ready(queue, meeting);
        if (was_last)
            break;
    }
    qsort(rows, count, sizeof(struct bw_store_pending *), by_key);
    return count;
}

void bw_store_queue_end(struct bw_store_queue *queue, struct bw_store_pending **rows, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct bw_store_pending *row = rows[i];
        struct bw_store_meeting *meeting = row->meeting;
        bool last_of_meeting = i + 1 == count || rows[i + 1]->meeting != meeting;
        struct bw_store_result result = row->result;
        finish_row(queue, row);
        if (!last_of_meeting)
            continue;
        meeting->in_flight = false;
        if (result.outcome != BW_STORE_COMMITTED)
            fail_behind(queue, meeting, &result);
        if (meeting->waiting.first != NULL)
            make_ready(queue, meeting);
        else
            forget(queue, meeting);
    }
}

void bw_store_queue_fail_waiting(struct bw_store_queue *queue, enum bw_store_outcome outcome)
{
    struct bw_store_result result = {.outcome = outcome};
    struct bw_store_meeting *meeting, *next;
    HASH_ITER(hh, queue->meetings, meeting, next)
    {
        fail_behind(queue, meeting, &result);
        if (!meeting->in_flight)
            forget(queue, meeting);
    }
    queue->ready_first = queue->ready_last = NULL;
}

void bw_store_queue_deliver(struct bw_store_queue *queue)
{
    for (struct bw_store_pending *row; (row = pop(&queue->finished)) != NULL;) {
        queue->rows--;
        queue->bytes -= row->bytes;
        row->done(row->context, &row->result);
        bw_free(row);
    }
}
