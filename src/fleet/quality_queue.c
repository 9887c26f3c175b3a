#include "fleet/quality_queue.h"

#include "base/alloc.h"
#include "base/check.h"

struct bw_quality_queue {
    struct bw_relay_quality *ring;
    size_t capacity, first, count;
    size_t under_way; /* at the front */
    struct bw_quality_queue_counts counts;
};

struct bw_quality_queue *bw_quality_queue_create(size_t capacity)
{
    BW_CHECK(capacity > 0);
    struct bw_quality_queue *queue = bw_calloc(1, sizeof *queue);
    if (queue == NULL)
        return NULL;
    queue->ring = bw_calloc(capacity, sizeof *queue->ring);
    if (queue->ring == NULL) {
        bw_free(queue);
        return NULL;
    }
    queue->capacity = capacity;
    return queue;
}

void bw_quality_queue_destroy(struct bw_quality_queue *queue)
{
    if (queue == NULL)
        return;
    bw_free(queue->ring);
    bw_free(queue);
}

static void forget(struct bw_quality_queue *queue, size_t n)
{
    queue->first = (queue->first + n) % queue->capacity;
    queue->count -= n;
}

void bw_quality_queue_push(struct bw_quality_queue *queue, const struct bw_relay_quality *sample)
{
    if (queue->count == queue->capacity) {
        /* One on its way may still arrive, but nobody here would know: it counts as dropped. */
        forget(queue, 1);
        queue->under_way -= queue->under_way > 0 ? 1 : 0;
        queue->counts.dropped++;
    }
    queue->ring[(queue->first + queue->count++) % queue->capacity] = *sample;
}

size_t bw_quality_queue_take(struct bw_quality_queue *queue, struct bw_relay_quality *out, size_t room)
{
    size_t n = queue->count - queue->under_way;
    if (n > room)
        n = room;
    for (size_t i = 0; i < n; i++)
        out[i] = queue->ring[(queue->first + queue->under_way + i) % queue->capacity];
    queue->under_way += n;
    return n;
}

void bw_quality_queue_settle(struct bw_quality_queue *queue, enum bw_report_fate fate)
{
    size_t n = queue->under_way;
    queue->under_way = 0;
    if (fate == BW_REPORT_LOST)
        return;
    forget(queue, n);
    if (fate == BW_REPORT_ARRIVED)
        queue->counts.settled += n;
    else
        queue->counts.given_up += n;
}

struct bw_quality_queue_counts bw_quality_queue_counts(const struct bw_quality_queue *queue)
{
    struct bw_quality_queue_counts counts = queue->counts;
    counts.waiting = queue->count;
    return counts;
}
