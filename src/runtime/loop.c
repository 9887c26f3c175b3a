#include "runtime/loop.h"

#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>

#include <uv.h>

#include "base/alloc.h"
#include "base/check.h"

enum { DEFER_ROUNDS = 32 };

struct bw_loop {
    uv_loop_t uv;
    uv_prepare_t before_poll;
    uv_check_t after_poll;
    uv_idle_t busy; /* active: deferred work remains, so polling must not wait */
    uv_async_t stopper;
    _Atomic bool stop;
    struct bw_task *first, *last;
};

struct bw_timer {
    uv_timer_t uv;
    void (*fire)(void *context);
    void *context;
};

void bw_task_init(struct bw_task *task, void (*run)(void *context), void *context)
{
    *task = (struct bw_task){.run = run, .context = context};
}

void bw_loop_defer(struct bw_loop *loop, struct bw_task *task)
{
    if (task->queued)
        return;
    task->queued = true;
    task->next = NULL;
    task->previous = loop->last;
    if (loop->last != NULL)
        loop->last->next = task;
    else
        loop->first = task;
    loop->last = task;
}

void bw_loop_undefer(struct bw_loop *loop, struct bw_task *task)
{
    if (!task->queued)
        return;
    if (task->previous != NULL)
        task->previous->next = task->next;
    else
        loop->first = task->next;
    if (task->next != NULL)
        task->next->previous = task->previous;
    else
        loop->last = task->previous;
    task->queued = false;
    task->next = task->previous = NULL;
}

static void on_busy(uv_idle_t *idle)
{
    (void)idle;
}

static void run_deferred(struct bw_loop *loop)
{
    for (int round = 0; round < DEFER_ROUNDS && loop->first != NULL; round++) {
        struct bw_task *end = loop->last;
        bool more = true;
        while (more && loop->first != NULL) {
            struct bw_task *task = loop->first;
            more = task != end;
            bw_loop_undefer(loop, task);
            task->run(task->context);
        }
    }
    if (loop->first != NULL)
        uv_idle_start(&loop->busy, on_busy);
    else
        uv_idle_stop(&loop->busy);
}

static void on_before_poll(uv_prepare_t *handle)
{
    run_deferred(handle->data);
}

static void on_after_poll(uv_check_t *handle)
{
    run_deferred(handle->data);
}

static void on_stop(uv_async_t *handle)
{
    uv_stop(handle->loop);
}

struct bw_loop *bw_loop_create(struct bw_error *err)
{
    struct bw_loop *loop = bw_calloc(1, sizeof *loop);
    if (loop == NULL) {
        (void)bw_fail_memory(err);
        return NULL;
    }
    int rc = uv_loop_init(&loop->uv);
    if (rc != 0) {
        (void)bw_fail(err, BW_RESOURCE_EXHAUSTED, NULL, "cannot create an event loop: %s", uv_strerror(rc));
        bw_free(loop);
        return NULL;
    }
    rc = uv_async_init(&loop->uv, &loop->stopper, on_stop);
    if (rc != 0) {
        (void)bw_fail(err, BW_RESOURCE_EXHAUSTED, NULL, "cannot create an event loop: %s", uv_strerror(rc));
        BW_CHECK(uv_loop_close(&loop->uv) == 0);
        bw_free(loop);
        return NULL;
    }
    signal(SIGPIPE, SIG_IGN);
    uv_prepare_init(&loop->uv, &loop->before_poll);
    uv_check_init(&loop->uv, &loop->after_poll);
    uv_idle_init(&loop->uv, &loop->busy);
    loop->before_poll.data = loop->after_poll.data = loop;
    uv_prepare_start(&loop->before_poll, on_before_poll);
    uv_check_start(&loop->after_poll, on_after_poll);
    return loop;
}

void bw_loop_destroy(struct bw_loop *loop)
{
    if (loop == NULL)
        return;
    run_deferred(loop);
    uv_close((uv_handle_t *)&loop->stopper, NULL);
    uv_close((uv_handle_t *)&loop->before_poll, NULL);
    uv_close((uv_handle_t *)&loop->after_poll, NULL);
    uv_close((uv_handle_t *)&loop->busy, NULL);
    /* What others have closed and not destroyed: their close callbacks free it. A handle still open would be
     * a user that outlives its loop; uv_loop_close reports that one. */
    while (uv_run(&loop->uv, UV_RUN_NOWAIT) != 0 && uv_loop_alive(&loop->uv))
        ;
    BW_CHECK(uv_loop_close(&loop->uv) == 0);
    bw_free(loop);
}

void bw_loop_run(struct bw_loop *loop)
{
    while (!atomic_exchange(&loop->stop, false))
        uv_run(&loop->uv, UV_RUN_DEFAULT);
}

void bw_loop_turn(struct bw_loop *loop, bool wait)
{
    uv_run(&loop->uv, wait ? UV_RUN_ONCE : UV_RUN_NOWAIT);
}

void bw_loop_stop(struct bw_loop *loop)
{
    atomic_store(&loop->stop, true);
    uv_async_send(&loop->stopper);
}

struct uv_loop_s *bw_loop_uv(struct bw_loop *loop)
{
    return &loop->uv;
}

uint64_t bw_loop_now_ms(const struct bw_loop *loop)
{
    uint64_t now = uv_now(&loop->uv);
    return now ? now : 1;
}

static void on_timer(uv_timer_t *handle)
{
    struct bw_timer *timer = handle->data;
    timer->fire(timer->context);
}

struct bw_timer *bw_timer_create(struct bw_loop *loop, void (*fire)(void *context), void *context,
                                 struct bw_error *err)
{
    struct bw_timer *timer = bw_malloc(sizeof *timer);
    if (timer == NULL) {
        (void)bw_fail_memory(err);
        return NULL;
    }
    timer->fire = fire;
    timer->context = context;
    uv_timer_init(&loop->uv, &timer->uv);
    timer->uv.data = timer;
    return timer;
}

void bw_timer_start(struct bw_timer *timer, uint64_t delay_ms, uint64_t repeat_ms)
{
    /* Delays count from now, not from the start of a turn that may have been long. */
    uv_update_time(timer->uv.loop);
    uv_timer_start(&timer->uv, on_timer, delay_ms, repeat_ms);
}

void bw_timer_stop(struct bw_timer *timer)
{
    uv_timer_stop(&timer->uv);
}

bool bw_timer_active(const struct bw_timer *timer)
{
    return uv_is_active((const uv_handle_t *)&timer->uv);
}

static void on_timer_closed(uv_handle_t *handle)
{
    bw_free(handle->data);
}

void bw_timer_destroy(struct bw_timer *timer)
{
    if (timer != NULL)
        uv_close((uv_handle_t *)&timer->uv, on_timer_closed);
}
