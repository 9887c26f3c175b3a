/* Where key-encryption keys live. A provider wraps and unwraps 32-byte private keys under the KEK of a tenant
 * and scope; the KEK itself never leaves it. Calls may block (a provider can be a machine elsewhere): only
 * the vault process makes them. Contexts carry opaque ids only, since they end up in a provider's logs.
 * Threads: one at a time a provider. */
#ifndef BW_VAULT_PROVIDER_H
#define BW_VAULT_PROVIDER_H

#include "base/buf.h"
#include "base/id.h"

enum { BW_PROVIDER_KEY_SIZE = 32, BW_PROVIDER_WRAPPED_MAX = 1024, BW_PROVIDER_NAME_SIZE = 64 };

/* X(NAME, number, gRPC code, what it means); numbers go over the vault's protocol and into its log. */
#define BW_PROVIDER_STATE_MAP(X)                                                                             \
    X(OK, 0, OK, "works")                                                                                    \
    X(TRANSIENT, 1, UNAVAILABLE, "cannot be reached now; tried again")                                       \
    X(DENIED, 2, PERMISSION_DENIED, "refuses us")                                                            \
    X(DISABLED, 3, FAILED_PRECONDITION, "the key is disabled or waits for deletion")                         \
    X(GONE, 4, NOT_FOUND, "the key is not there any more")                                                   \
    X(CORRUPT, 5, DATA_LOSS, "what was wrapped does not fit its key or place")                               \
    X(CONFIG, 6, FAILED_PRECONDITION, "is not set up correctly")

enum bw_provider_state {
#define X(name, number, code, text) BW_PROVIDER_##name = number,
    BW_PROVIDER_STATE_MAP(X)
#undef X
};

/* "TRANSIENT"; "UNKNOWN" outside the table. */
const char *bw_provider_state_name(enum bw_provider_state state);
/* The code a caller of ours gets for it. */
enum bw_code bw_provider_state_code(enum bw_provider_state state);

/* What a wrapped key belongs to: authenticated with it, so that it cannot be put elsewhere. */
struct bw_provider_context {
    struct bw_id tenant;
    uint8_t scope[8];
    uint32_t day; /* since 1970-01-01, UTC */
    struct bw_id key;
};

/* For admins: nothing secret. */
struct bw_provider_facts {
    char kind[BW_PROVIDER_NAME_SIZE];   /* "keyring" */
    char active[BW_PROVIDER_NAME_SIZE]; /* name of the key that wraps */
    uint32_t keys;                      /* how many it can unwrap with */
};

struct bw_provider;

/* Every call fills *err when it does not return OK. */
struct bw_provider_ops {
    void (*describe)(struct bw_provider *provider, struct bw_provider_facts *facts);
    enum bw_provider_state (*wrap)(struct bw_provider *provider, const struct bw_provider_context *context,
                                   const uint8_t key[BW_PROVIDER_KEY_SIZE], struct bw_buf *wrapped,
                                   struct bw_error *err);
    enum bw_provider_state (*unwrap)(struct bw_provider *provider, const struct bw_provider_context *context,
                                     struct bw_view wrapped, uint8_t key[BW_PROVIDER_KEY_SIZE],
                                     struct bw_error *err);
    enum bw_provider_state (*rewrap)(struct bw_provider *provider, const struct bw_provider_context *context,
                                     struct bw_view wrapped, struct bw_buf *rewrapped, bool *changed,
                                     struct bw_error *err);
    enum bw_provider_state (*probe)(struct bw_provider *provider, struct bw_error *err);
    void (*destroy)(struct bw_provider *provider);
};

/* The first member of every provider. */
struct bw_provider {
    const struct bw_provider_ops *ops;
};

void bw_provider_describe(struct bw_provider *provider, struct bw_provider_facts *facts);
/* Appends the wrapped key (at most BW_PROVIDER_WRAPPED_MAX bytes), under the active key. */
BW_MUST_USE enum bw_provider_state bw_provider_wrap(struct bw_provider *provider,
                                                    const struct bw_provider_context *context,
                                                    const uint8_t key[BW_PROVIDER_KEY_SIZE],
                                                    struct bw_buf *wrapped, struct bw_error *err);
/* GONE: under a key this provider does not have. CORRUPT: changed, or of another place. The caller wipes. */
BW_MUST_USE enum bw_provider_state
bw_provider_unwrap(struct bw_provider *provider, const struct bw_provider_context *context,
                   struct bw_view wrapped, uint8_t key[BW_PROVIDER_KEY_SIZE], struct bw_error *err);
/* The same key under the active one. *changed is false, and nothing is appended, when it already is. */
BW_MUST_USE enum bw_provider_state bw_provider_rewrap(struct bw_provider *provider,
                                                      const struct bw_provider_context *context,
                                                      struct bw_view wrapped, struct bw_buf *rewrapped,
                                                      bool *changed, struct bw_error *err);
/* Can the active key wrap and unwrap right now? */
BW_MUST_USE enum bw_provider_state bw_provider_probe(struct bw_provider *provider, struct bw_error *err);
/* Wipes what it holds. NULL is allowed. */
void bw_provider_destroy(struct bw_provider *provider);

#endif
