#include "grpc/due_timer.h"

static void arm(struct bw_due_timer *timer)
{
    uint64_t next = bw_due_next_ms(&timer->heap);
    /* A timer that fires early finds nothing due and is set again: cheaper than moving it each time the
     * earliest deadline is met. */
    if (timer->timer == NULL || next >= timer->at_ms)
        return;
    timer->at_ms = next;
    uint64_t now = bw_loop_now_ms(timer->loop);
    bw_timer_start(timer->timer, next > now ? next - now : 0, 0);
}

static void on_timer(void *context)
{
    struct bw_due_timer *timer = context;
    timer->at_ms = UINT64_MAX;
    if (timer->begin != NULL)
        timer->begin(timer->context);
    struct bw_due *due;
    while (timer->timer != NULL && (due = bw_due_take(&timer->heap, bw_loop_now_ms(timer->loop))) != NULL)
        due->fire(due);
    arm(timer);
    if (timer->end != NULL)
        timer->end(timer->context);
}

enum bw_code bw_due_timer_init(struct bw_due_timer *timer, struct bw_loop *loop, void (*begin)(void *context),
                               void (*end)(void *context), void *context, struct bw_error *err)
{
    *timer = (struct bw_due_timer){
        .loop = loop, .at_ms = UINT64_MAX, .begin = begin, .end = end, .context = context};
    timer->timer = bw_timer_create(loop, on_timer, timer, err);
    return timer->timer ? BW_OK : BW_RESOURCE_EXHAUSTED;
}

void bw_due_timer_stop(struct bw_due_timer *timer)
{
    bw_timer_destroy(timer->timer);
    timer->timer = NULL;
}

void bw_due_timer_finish(struct bw_due_timer *timer)
{
    bw_due_timer_stop(timer);
    bw_due_heap_finish(&timer->heap);
}

void bw_due_timer_set(struct bw_due_timer *timer, struct bw_due *due, uint64_t at_ms)
{
    bw_due_set(&timer->heap, due, at_ms);
    arm(timer);
}

void bw_due_timer_clear(struct bw_due_timer *timer, struct bw_due *due)
{
    bw_due_clear(&timer->heap, due);
}
