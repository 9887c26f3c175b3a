/* A heap of due times (grpc/due.h) on one timer of a loop. Threads: the loop's. */
#ifndef BW_GRPC_DUE_TIMER_H
#define BW_GRPC_DUE_TIMER_H

#include "grpc/due.h"
#include "runtime/loop.h"

struct bw_due_timer {
    struct bw_loop *loop;
    struct bw_due_heap heap;
    struct bw_timer *timer;
    uint64_t at_ms; /* the timer's; UINT64_MAX: not set */
    /* Around a round of firing, so that the owner can stay alive through it. May be NULL. */
    void (*begin)(void *context);
    void (*end)(void *context);
    void *context;
};

BW_MUST_USE enum bw_code bw_due_timer_init(struct bw_due_timer *timer, struct bw_loop *loop,
                                           void (*begin)(void *context), void (*end)(void *context),
                                           void *context, struct bw_error *err);
/* Nothing fires any more; entries may still be cleared until bw_due_timer_finish. */
void bw_due_timer_stop(struct bw_due_timer *timer);
void bw_due_timer_finish(struct bw_due_timer *timer);
/* As bw_due_set and bw_due_clear. */
void bw_due_timer_set(struct bw_due_timer *timer, struct bw_due *due, uint64_t at_ms);
void bw_due_timer_clear(struct bw_due_timer *timer, struct bw_due *due);

#endif
