/* Threads with a name. Signals are blocked in them: signals belong to the loop that watches them
 * (runtime/signals.h). */
#ifndef BW_RUNTIME_THREAD_H
#define BW_RUNTIME_THREAD_H

#include "base/status.h"

struct bw_thread;

/* `name` (up to 15 characters) shows in ps and in debuggers. NULL and *err on failure. */
struct bw_thread *bw_thread_start(void (*run)(void *context), void *context, const char *name,
                                  struct bw_error *err);
/* Waits for it and frees it. NULL is allowed. */
void bw_thread_join(struct bw_thread *thread);
/* The calling thread works on what can wait: when CPUs are short, others go first. */
void bw_thread_step_back(void);
/* CPUs this process may use; at least 1. */
unsigned bw_thread_cpus(void);

#endif
