/* An event loop (libuv) with one thread. Everything here is for the loop's thread alone unless it says
 * otherwise. Creating the first loop makes the process ignore SIGPIPE: a peer that leaves must be an error of
 * the write, not the end of the process. */
#ifndef BW_RUNTIME_LOOP_H
#define BW_RUNTIME_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

struct bw_loop;
struct uv_loop_s;

/* NULL and *err on failure. Any thread may create; the one that runs it owns it from then on. */
struct bw_loop *bw_loop_create(struct bw_error *err);
/* Everything on the loop has been destroyed before; runs what is still closing. NULL is allowed. */
void bw_loop_destroy(struct bw_loop *loop);
/* Runs until bw_loop_stop. May be called again afterwards. */
void bw_loop_run(struct bw_loop *loop);
/* One turn; waits for an event when `wait`. For programs that interleave and for tests. Timers that are due
 * run before the wait: a turn that fires one may then wait for the next event. */
void bw_loop_turn(struct bw_loop *loop, bool wait);
/* Makes bw_loop_run return after its current turn; before a run it makes the next one return at once.
 * Threads: any. */
void bw_loop_stop(struct bw_loop *loop);
struct uv_loop_s *bw_loop_uv(struct bw_loop *loop);
/* Monotonic milliseconds as of the start of this turn (same scale as bw_clock_mono_ms): one clock read a turn
 * instead of one a call. */
uint64_t bw_loop_now_ms(const struct bw_loop *loop);

/* Work put off to the end of the loop's turn, after all events of the turn have been delivered: what became
 * ready together is then written or grouped together. The task lies in its owner's memory, so deferring
 * cannot fail; a task that waits already is not queued twice. */
struct bw_task {
    struct bw_task *next, *previous;
    void (*run)(void *context);
    void *context;
    bool queued;
};

void bw_task_init(struct bw_task *task, void (*run)(void *context), void *context);
/* Tasks deferred by a running task run in the same turn, in order; after 32 rounds events get their chance.
 */
void bw_loop_defer(struct bw_loop *loop, struct bw_task *task);
/* Takes the task back; nothing happens when it does not wait. Must be called before its memory goes. */
void bw_loop_undefer(struct bw_loop *loop, struct bw_task *task);

/* Timers. A timer may be started again while it runs (it is then restarted) and destroyed from its own
 * function. */
struct bw_timer;

struct bw_timer *bw_timer_create(struct bw_loop *loop, void (*fire)(void *context), void *context,
                                 struct bw_error *err);
/* repeat_ms 0: once. */
void bw_timer_start(struct bw_timer *timer, uint64_t delay_ms, uint64_t repeat_ms);
void bw_timer_stop(struct bw_timer *timer);
bool bw_timer_active(const struct bw_timer *timer);
/* `fire` is not called afterwards. NULL is allowed. */
void bw_timer_destroy(struct bw_timer *timer);

#endif
