/* The keyring file: the provider that needs nothing else. Named 32-byte root keys, one of them active; the
 * KEK of a tenant and scope is derived. The file is a systemd credential or has mode 0600. A line is
 *
 *     NAME 64-hex-digits [active]
 *
 * `#` begins a comment. To rotate, add a key, make it active, rewrap, then drop the old line.
 * Threads: one at a time. */
#ifndef BW_VAULT_KEYRING_H
#define BW_VAULT_KEYRING_H

#include "vault/provider.h"

enum { BW_KEYRING_KEYS_MAX = 64, BW_KEYRING_NAME_MAX = 63, BW_KEYRING_FILE_MAX = 16 * 1024 };

/* `path` is a file, or "credential:NAME" for $CREDENTIALS_DIRECTORY/NAME as systemd gives it. CONFIG (with
 * the line), DENIED (mode or owner), GONE (no such file), TRANSIENT (memory); *err says what to do. */
BW_MUST_USE enum bw_provider_state bw_keyring_open(const char *path, struct bw_provider **out,
                                                   struct bw_error *err);
/* The same from text; `where` is for the words of an error. */
BW_MUST_USE enum bw_provider_state bw_keyring_parse(struct bw_view text, const char *where,
                                                    struct bw_provider **out, struct bw_error *err);
/* Appends the text of a new keyring with one active key. Wipe the buffer when it is written. name: a-z, 0-9
 * and -. INVALID_ARGUMENT, RESOURCE_EXHAUSTED. */
BW_MUST_USE enum bw_code bw_keyring_new(const char *name, const uint8_t key[BW_PROVIDER_KEY_SIZE],
                                        struct bw_buf *text, struct bw_error *err);

#endif
