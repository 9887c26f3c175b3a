#include "runtime/mailbox.h"

#include <stdatomic.h>
#include <stddef.h>

#include <uv.h>

#include "base/alloc.h"

/* Senders push onto a lock-free stack; the loop takes the whole stack and turns it round. Only the sender
 * that finds it empty wakes the loop: one wake-up for a burst. */
struct bw_mailbox {
    uv_async_t wake;
    _Atomic(struct bw_mail *) newest;
};

static void deliver_all(struct bw_mailbox *mailbox)
{
    struct bw_mail *mail = atomic_exchange_explicit(&mailbox->newest, NULL, memory_order_acquire);
    struct bw_mail *oldest = NULL;
    while (mail != NULL) {
        struct bw_mail *next = mail->next;
        mail->next = oldest;
        oldest = mail;
        mail = next;
    }
    while (oldest != NULL) {
        struct bw_mail *next = oldest->next;
        oldest->deliver(oldest);
        oldest = next;
    }
}

static void on_wake(uv_async_t *handle)
{
    deliver_all(handle->data);
}

struct bw_mailbox *bw_mailbox_create(struct bw_loop *loop, struct bw_error *err)
{
    struct bw_mailbox *mailbox = bw_calloc(1, sizeof *mailbox);
    if (mailbox == NULL) {
        (void)bw_fail_memory(err);
        return NULL;
    }
    int rc = uv_async_init(bw_loop_uv(loop), &mailbox->wake, on_wake);
    if (rc != 0) {
        (void)bw_fail(err, BW_RESOURCE_EXHAUSTED, NULL, "cannot create a mailbox: %s", uv_strerror(rc));
        bw_free(mailbox);
        return NULL;
    }
    mailbox->wake.data = mailbox;
    return mailbox;
}

static void on_closed(uv_handle_t *handle)
{
    bw_free(handle->data);
}

void bw_mailbox_destroy(struct bw_mailbox *mailbox)
{
    if (mailbox == NULL)
        return;
    deliver_all(mailbox);
    uv_close((uv_handle_t *)&mailbox->wake, on_closed);
}

bool bw_mailbox_deliver(struct bw_mailbox *mailbox)
{
    if (atomic_load_explicit(&mailbox->newest, memory_order_relaxed) == NULL)
        return false;
    deliver_all(mailbox);
    return true;
}

void bw_mailbox_post(struct bw_mailbox *mailbox, struct bw_mail *mail)
{
    struct bw_mail *head = atomic_load_explicit(&mailbox->newest, memory_order_relaxed);
    do
        mail->next = head;
    while (!atomic_compare_exchange_weak_explicit(&mailbox->newest, &head, mail, memory_order_release,
                                                  memory_order_relaxed));
    if (head == NULL)
        uv_async_send(&mailbox->wake);
}
