/* Keeps the signer child running: starts it, gives every client a fresh socket, and starts it again with
 * backoff when it dies. Threads: the loop's; clients may belong to other loops. */
#ifndef BW_SERVER_SIGNER_CHILD_H
#define BW_SERVER_SIGNER_CHILD_H

#include <sys/types.h>

#include "runtime/loop.h"
#include "server/signer_client.h"

struct bw_signer_child;

struct bw_signer_child_config {
    const char *program;     /* NULL: this program */
    const char *const *argv; /* ends with NULL; what leads the child to bw_signer_main, and its options */
    struct bw_signer_client **clients; /* outlive the child */
    size_t client_count;               /* at most 64 */
};

/* What the configuration points to outlives the child. UNAVAILABLE when the first start fails. */
BW_MUST_USE enum bw_code bw_signer_child_start(struct bw_loop *loop,
                                               const struct bw_signer_child_config *config,
                                               struct bw_signer_child **out, struct bw_error *err);
/* Ends the child; it is not started again. NULL is allowed. */
void bw_signer_child_destroy(struct bw_signer_child *child);
/* 0 while it is away. */
pid_t bw_signer_child_pid(const struct bw_signer_child *child);

#endif
