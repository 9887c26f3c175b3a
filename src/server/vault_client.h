/* The serving process's line to its vault child. The vault answers one request after the other, so the line
 * is a thread that asks, waits, and sends each reply home as mail; who asks never waits. While the child is
 * away calls are answered with UNAVAILABLE at once; attaching the socket of a new child makes the line work
 * again. Threads: any, but for create and destroy. */
#ifndef BW_SERVER_VAULT_CLIENT_H
#define BW_SERVER_VAULT_CLIENT_H

#include "base/status.h"
#include "runtime/mailbox.h"
#include "vault/protocol.h"

struct bw_vault_client;

/* One question. The asker fills the first part and owns the call again from the last reply on. */
struct bw_vault_call {
    struct bw_mailbox *back;   /* of the asker's loop; outlives the call */
    uint64_t deadline_mono_ms; /* 0: 30 s from when it is asked */
    struct bw_buf request;     /* bw_vault_encode_request, with id 0; the client finishes it */
    /* On the asker's loop, in order; with `last` for the last time. code BW_OK: a reply (valid during the
     * call); else *err, and always last: what the vault refused, UNAVAILABLE (reason VAULT_AWAY) when it is
     * away or went away, DEADLINE_EXCEEDED, CANCELLED when the client is destroyed. */
    void (*replied)(struct bw_vault_call *call, enum bw_code code, const struct bw_vault_reply *reply,
                    const struct bw_error *err, bool last);
    /* the client's */
    struct bw_vault_call *next;
    struct bw_mail last_mail;
    struct bw_error error;
};

BW_MUST_USE enum bw_code bw_vault_client_create(struct bw_vault_client **out, struct bw_error *err);
/* Nobody asks or attaches any more. What is under way is answered with CANCELLED, as mail. NULL is allowed.
 */
void bw_vault_client_destroy(struct bw_vault_client *client);
/* Gives the line our end of a socket pair (non-blocking), which is the client's from here on. */
void bw_vault_client_attach(struct bw_vault_client *client, int fd);
/* The line is closed, and no other is there yet. Any thread. */
bool bw_vault_client_lost(struct bw_vault_client *client);
/* Never fails, never waits. */
void bw_vault_client_ask(struct bw_vault_client *client, struct bw_vault_call *call);

#endif
