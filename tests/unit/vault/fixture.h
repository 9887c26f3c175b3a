/* A tenant's whole chain of keys in memory, both sides of it: a keyring, a service key, a scope key of DAY, a
 * sealer that knows it and an opener that can use it. Randomness is a stream that repeats from run to run. */
#ifndef BW_TESTS_VAULT_FIXTURE_H
#define BW_TESTS_VAULT_FIXTURE_H

#include "vault/keyring.h"
#include "vault/opener.h"
#include "vault/sealer.h"

enum { FIXTURE_DAY = 20000 };
#define FIXTURE_NOW  ((uint64_t)FIXTURE_DAY * BW_SCOPE_DAY_MS + 3600000)
#define FIXTURE_CELL "eu-1"
#define FIXTURE_KEYRING                                                                                      \
    "spring-2026 1f1e1d1c1b1a191817161514131211100f0e0d0c0b0a09080706050403020100\n"                         \
    "autumn-2026 00112233445566778899aabbccddeeff0123456789abcdeffedcba9876543210 active\n"

/* A source whose bytes are SHA-256 of a counter; `fault` makes it repeat itself. */
struct stream {
    uint64_t next;
    enum { STREAM_GOOD, STREAM_CONSTANT, STREAM_REPEATS } fault;
    uint8_t last[4096]; /* of what was drawn last */
};
void stream_fill(void *context, void *out, size_t n);

struct fixture {
    struct stream stream;
    struct bw_provider *provider;
    struct bw_ed25519_signer *service;
    struct bw_ed25519_verifier *verifier;
    uint8_t service_public[BW_ED25519_PUBLIC_SIZE];
    struct bw_scope_public scope;
    struct bw_buf wrapped;
    struct bw_sealer *sealer;
    struct bw_opener *opener;
    struct bw_id tenant, meeting;
};

/* Everything; asserts that it works. */
void fixture_init(struct fixture *fixture);
void fixture_finish(struct fixture *fixture);
/* Another scope key of the tenant. */
struct bw_scope_public fixture_scope(struct fixture *fixture, uint32_t day, struct bw_buf *wrapped);
/* The meeting's key, with its row; asserts. */
const struct bw_sealing_key *fixture_key(struct fixture *fixture, const struct bw_id *meeting,
                                         struct bw_meeting_key_row *row);
/* Brings scope and meeting key to the opener; asserts. */
void fixture_bring(struct fixture *fixture, const struct bw_meeting_key_row *row);
struct bw_id id_of(uint8_t byte);

#endif
