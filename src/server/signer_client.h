/* A line to the signer child, for one loop. Requests are asynchronous; each accepted one is answered exactly
 * once, on the loop. While the child is away requests are refused at once with UNAVAILABLE and those under
 * way fail with it; attaching the socket of a new child makes the line work again.
 * Threads: the loop's, but for bw_signer_client_attach. */
#ifndef BW_SERVER_SIGNER_CLIENT_H
#define BW_SERVER_SIGNER_CLIENT_H

#include "base/status.h"
#include "runtime/loop.h"
#include "server/signer_protocol.h"

struct bw_signer_client;

/* BW_OK and the reply (valid during the call), or the reason: what the signer refused, UNAVAILABLE when the
 * child went away, DEADLINE_EXCEEDED when it did not answer in time, CANCELLED when the client is destroyed.
 * May send further requests; must not destroy the client. */
typedef void bw_signer_done(enum bw_code code, const struct bw_signer_reply *reply,
                            const struct bw_error *err, void *context);

/* Not connected yet. timeout_ms 0: 2 s. Before the loop runs, or on its thread. */
BW_MUST_USE enum bw_code bw_signer_client_create(struct bw_loop *loop, uint64_t timeout_ms,
                                                 struct bw_signer_client **out, struct bw_error *err);
/* Nobody attaches any more. Answers what is under way with CANCELLED. NULL is allowed. */
void bw_signer_client_destroy(struct bw_signer_client *client);
/* Gives the line our end of a socket pair (non-blocking); it is closed by the client, also on failure.
 * Threads: any. */
BW_MUST_USE enum bw_code bw_signer_client_attach(struct bw_signer_client *client, int fd,
                                                 struct bw_error *err);
bool bw_signer_client_connected(const struct bw_signer_client *client);

/* BW_OK: `done` will be called. UNAVAILABLE or RESOURCE_EXHAUSTED: it will not. */
BW_MUST_USE enum bw_code bw_signer_client_sign_root(struct bw_signer_client *client,
                                                    const struct bw_merkle_hash *root, uint32_t leaves,
                                                    bw_signer_done *done, void *context,
                                                    struct bw_error *err);
BW_MUST_USE enum bw_code bw_signer_client_public_keys(struct bw_signer_client *client, bw_signer_done *done,
                                                      void *context, struct bw_error *err);
/* lifetime_s 0: the longest allowed. INVALID_ARGUMENT for a request or name that is too long. */
BW_MUST_USE enum bw_code bw_signer_client_issue(struct bw_signer_client *client, struct bw_view csr,
                                                struct bw_view spiffe_id, uint32_t lifetime_s,
                                                bw_signer_done *done, void *context, struct bw_error *err);

/* One request on a socket of its own, waiting for the reply: for start-up and tests, never on a loop. Views
 * of *reply point into *storage, which the caller finishes. Codes as bw_signer_done. */
BW_MUST_USE enum bw_code bw_signer_call(int fd, const struct bw_signer_request *request, int timeout_ms,
                                        struct bw_buf *storage, struct bw_signer_reply *reply,
                                        struct bw_error *err);

#endif
