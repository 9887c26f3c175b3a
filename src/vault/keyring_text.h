/* The keyring file's text, and the root keys read from it. Threads: pure. */
#ifndef BW_VAULT_KEYRING_TEXT_H
#define BW_VAULT_KEYRING_TEXT_H

#include "crypto/hash.h"
#include "vault/keyring.h"

enum { BW_KEYRING_ROOT_ID_SIZE = 8 };

struct bw_keyring_root {
    char name[BW_KEYRING_NAME_MAX + 1];
    uint8_t prk[BW_SHA256_SIZE]; /* HKDF-Extract("bw-kek/v1", root key); the root key itself is not kept */
    uint8_t id[BW_KEYRING_ROOT_ID_SIZE]; /* HKDF-Expand(prk, "bw-root-id/v1"): names it in what it wrapped */
};

/* Secret: belongs into secure memory, wiped. */
struct bw_keyring_roots {
    struct bw_keyring_root roots[BW_KEYRING_KEYS_MAX];
    size_t count, active;
};

/* INVALID_ARGUMENT naming the line; *roots may then hold a part of it, and is wiped by its owner. No message
 * repeats anything of a key. */
BW_MUST_USE enum bw_code bw_keyring_read(struct bw_view text, const char *where,
                                         struct bw_keyring_roots *roots, struct bw_error *err);

#endif
