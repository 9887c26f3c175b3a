/* A signal as an event of a loop. Threads: the loop's. */
#ifndef BW_RUNTIME_SIGNALS_H
#define BW_RUNTIME_SIGNALS_H

#include "base/status.h"
#include "runtime/loop.h"

struct bw_signal;

/* `caught` runs on the loop for every signal `number` until destroyed. NULL and *err on failure. */
struct bw_signal *bw_signal_watch(struct bw_loop *loop, int number, void (*caught)(int number, void *context),
                                  void *context, struct bw_error *err);
/* NULL is allowed. */
void bw_signal_destroy(struct bw_signal *watch);

#endif
