/* A mailbox brings messages from any thread to the thread of one loop. Order is kept per sender. */
#ifndef BW_RUNTIME_MAILBOX_H
#define BW_RUNTIME_MAILBOX_H

#include <stdbool.h>

#include "base/status.h"
#include "runtime/loop.h"

struct bw_mailbox;

/* Intrusive: embed it in the message. From posting until `deliver` the mailbox owns it; `deliver` runs on the
 * loop's thread and owns the mail from then on (it may post or free it). */
struct bw_mail {
    struct bw_mail *next;
    void (*deliver)(struct bw_mail *mail);
};

/* Loop's thread, or before the loop runs. */
struct bw_mailbox *bw_mailbox_create(struct bw_loop *loop, struct bw_error *err);
/* Loop's thread; nobody posts any more. Delivers what is still there. NULL is allowed. */
void bw_mailbox_destroy(struct bw_mailbox *mailbox);
/* For a loop that does not run any more: delivers what is there now. False when there was nothing. */
bool bw_mailbox_deliver(struct bw_mailbox *mailbox);
/* Threads: any. Never fails, never blocks. */
void bw_mailbox_post(struct bw_mailbox *mailbox, struct bw_mail *mail);

#endif
