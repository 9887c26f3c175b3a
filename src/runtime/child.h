/* A child process: this same program (/proc/self/exe) started again by posix_spawn, which, unlike fork, is
 * safe in a process with threads. The child gets the descriptors it is given, from number 3 on, stdin from
 * /dev/null, stdout and stderr as they are, default signal dispositions, our environment with LD_BIND_NOW,
 * and nothing else. Restarting a dead child, with backoff, is the caller's business. Threads: the loop's. */
#ifndef BW_RUNTIME_CHILD_H
#define BW_RUNTIME_CHILD_H

#include <stddef.h>
#include <sys/types.h>

#include "base/status.h"
#include "runtime/loop.h"

struct bw_child;

enum { BW_CHILD_FIRST_FD = 3, BW_CHILD_MAX_FDS = 64 };

struct bw_child_config {
    const char *program;     /* NULL: /proc/self/exe */
    const char *const *argv; /* ends with NULL; argv[0] is what ps shows */
    const int *fds;          /* become 3, 4, … in the child; stay open here, closing them is the caller's */
    size_t fd_count;         /* at most BW_CHILD_MAX_FDS */
};

/* How it ended: by exit (signal 0) or by a signal. */
struct bw_child_exit {
    int status, signal;
};

/* `exited` runs once on the loop; the child may be destroyed from it. NULL and *err on failure. */
struct bw_child *bw_child_spawn(struct bw_loop *loop, const struct bw_child_config *config,
                                void (*exited)(struct bw_child *child, struct bw_child_exit how,
                                               void *context),
                                void *context, struct bw_error *err);
pid_t bw_child_pid(const struct bw_child *child);
/* Sends signal `number`; does nothing once it has ended. */
void bw_child_kill(struct bw_child *child, int number);
/* A child that still runs is killed (SIGKILL) and reaped. NULL is allowed. */
void bw_child_destroy(struct bw_child *child);

/* Two connected stream sockets, close-on-exec; ours is non-blocking, theirs blocks. Nothing written on
 * failure. */
BW_MUST_USE enum bw_code bw_child_socketpair(int *ours, int *theirs, struct bw_error *err);

#endif
