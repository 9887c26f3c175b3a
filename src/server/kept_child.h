/* Keeps a child process running: starts this program again with one verb, hands out our ends of fresh
 * sockets, and starts it again with backoff when it dies. Threads: the loop's; who gets the sockets may
 * belong to another. */
#ifndef BW_SERVER_KEPT_CHILD_H
#define BW_SERVER_KEPT_CHILD_H

#include <stddef.h>
#include <sys/types.h>

#include "base/status.h"
#include "runtime/loop.h"

struct bw_kept_child;

struct bw_kept_child_config {
    const char *name;        /* "signer": for the log */
    const char *program;     /* NULL: this program */
    const char *const *argv; /* ends with NULL; what leads the child to its main function, and its options */
    size_t socket_count;     /* at most 64 */
    /* Takes over our end (non-blocking) of socket `index` of a child that was just started. */
    void (*attach)(void *context, size_t index, int fd);
    void *context;
};

/* What the configuration points to outlives the child. UNAVAILABLE when the first start fails. */
BW_MUST_USE enum bw_code bw_kept_child_start(struct bw_loop *loop, const struct bw_kept_child_config *config,
                                             struct bw_kept_child **out, struct bw_error *err);
/* Ends the child; it is not started again. NULL is allowed. */
void bw_kept_child_destroy(struct bw_kept_child *child);
/* Ends a child that does not answer any more, stopped ones too; another is started as after any end. */
void bw_kept_child_replace(struct bw_kept_child *child);
/* 0 while it is away. */
pid_t bw_kept_child_pid(const struct bw_kept_child *child);

#endif
