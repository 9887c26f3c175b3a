/* Grants per second, signed in batches, against one Ed25519 signature for each; grants verified against one
 * verification for each; and the datagram MAC against OpenSSL's with a kept context. Anchor and figure are
 * measured in turns, so that what the machine does meanwhile hits both; the median of the rounds counts. */
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/check.h"
#include "crypto/hmac.h"
#include "e2ee/grant.h"

enum { ROUNDS = 7, ROUND_MS = 120, DATAGRAM_BYTES = 64 };

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Does `step`, which does some number of operations and returns it, for one round: operations a second. */
static double rate(size_t (*step)(void *context), void *context)
{
    double start = now_s(), end = start + ROUND_MS * 1e-3, now;
    size_t done = 0;
    do {
        done += step(context);
        now = now_s();
    } while (now < end);
    return (double)done / (now - start);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values)
{
    qsort(values, ROUNDS, sizeof *values, by_value);
    return values[ROUNDS / 2];
}

static void compare(const char *name, const char *unit, size_t (*step)(void *context), const char *anchor,
                    size_t (*anchor_step)(void *context), void *context)
{
    double values[ROUNDS], anchors[ROUNDS];
    for (int i = 0; i < ROUNDS; i++) {
        anchors[i] = rate(anchor_step, context);
        values[i] = rate(step, context);
    }
    double value = median(values), anchor_value = median(anchors);
    printf(
        "{\"name\": \"%s\", \"value\": %.0f, \"unit\": \"%s\", \"better\": \"higher\", \"anchor\": \"%s\", "
        "\"anchor_value\": %.0f, \"ratio\": %.2f}\n",
        name, value, unit, anchor, anchor_value, value / anchor_value);
    fflush(stdout);
}

struct bench {
    struct bw_ed25519_signer *signer;
    struct bw_ed25519_verifier *verifier;
    struct bw_grant_verifier *grants;
    struct bw_grant_batch *batch;
    struct bw_grant grant;
    struct bw_grant_expect expect;
    uint32_t batch_size;
    struct bw_buf tokens;
    size_t *offsets;
    uint8_t body[BW_GRANT_BODY_SIZE], body_signature[BW_ED25519_SIGNATURE_SIZE];
    struct bw_hmac256 hmac;
    EVP_MAC_CTX *mac;
    uint8_t datagram[DATAGRAM_BYTES];
};

static size_t sign_each(void *context)
{
    struct bench *bench = context;
    uint8_t signature[BW_ED25519_SIGNATURE_SIZE];
    bench->grant.slot++;
    BW_CHECK(bw_grant_encode(&bench->grant, bench->body, NULL) == BW_OK);
    BW_CHECK(bw_ed25519_sign(bench->signer, bw_view_of(bench->body, sizeof bench->body), signature, NULL) ==
             BW_OK);
    return 1;
}

/* Everything from the grant's fields to the bytes of its token. */
static size_t sign_batch(void *context)
{
    struct bench *bench = context;
    uint8_t bytes[BW_GRANT_SIGNED_SIZE], signature[BW_ED25519_SIGNATURE_SIZE];
    struct bw_merkle_hash root;
    uint32_t index;
    bw_grant_batch_clear(bench->batch);
    for (uint32_t i = 0; i < bench->batch_size; i++) {
        bench->grant.slot = i;
        BW_CHECK(bw_grant_batch_add(bench->batch, &bench->grant, &index, NULL) == BW_OK);
    }
    BW_CHECK(bw_grant_batch_seal(bench->batch, &root, NULL) == BW_OK);
    bw_grant_signed_bytes(&root, bench->batch_size, bytes);
    BW_CHECK(bw_ed25519_sign(bench->signer, bw_view_of(bytes, sizeof bytes), signature, NULL) == BW_OK);
    bw_buf_clear(&bench->tokens);
    for (uint32_t i = 0; i < bench->batch_size; i++) {
        bench->offsets[i] = bench->tokens.len;
        BW_CHECK(bw_grant_batch_token(bench->batch, i, signature, &bench->tokens, NULL) == BW_OK);
    }
    bench->offsets[bench->batch_size] = bench->tokens.len;
    return bench->batch_size;
}

static size_t verify_each(void *context)
{
    struct bench *bench = context;
    BW_CHECK(bw_ed25519_verify(bench->verifier, bw_view_of(bench->body, sizeof bench->body),
                               bench->body_signature));
    return 1;
}

/* A tick's grants reach a relay: the root is new to it once a batch. */
static size_t verify_batch(void *context)
{
    struct bench *bench = context;
    struct bw_grant grant;
    uint8_t hash[BW_SHA256_SIZE];
    BW_CHECK(bw_grant_verifier_remove_key(bench->grants, bench->grant.key_id));
    uint8_t public_key[BW_ED25519_PUBLIC_SIZE];
    bw_ed25519_signer_public(bench->signer, public_key);
    BW_CHECK(bw_grant_verifier_add_key(bench->grants, public_key, NULL) == BW_OK);
    for (uint32_t i = 0; i < bench->batch_size; i++) {
        struct bw_view token =
            bw_view_of(bench->tokens.data + bench->offsets[i], bench->offsets[i + 1] - bench->offsets[i]);
        BW_CHECK(bw_grant_verify(bench->grants, token, &bench->expect, &grant, hash) == BW_GRANT_OK);
    }
    return bench->batch_size;
}

static size_t our_mac(void *context)
{
    struct bench *bench = context;
    uint8_t out[BW_SHA256_SIZE];
    for (int i = 0; i < 1000; i++) {
        bw_hmac256(&bench->hmac, bw_view_of(bench->datagram, sizeof bench->datagram), out);
        bench->datagram[0] ^= out[0];
    }
    return 1000;
}

static size_t openssl_mac(void *context)
{
    struct bench *bench = context;
    uint8_t out[BW_SHA256_SIZE];
    size_t len;
    for (int i = 0; i < 1000; i++) {
        BW_CHECK(EVP_MAC_init(bench->mac, NULL, 0, NULL) == 1 &&
                 EVP_MAC_update(bench->mac, bench->datagram, sizeof bench->datagram) == 1 &&
                 EVP_MAC_final(bench->mac, out, &len, sizeof out) == 1);
        bench->datagram[0] ^= out[0];
    }
    return 1000;
}

static void set_up_mac(struct bench *bench)
{
    static const uint8_t key[BW_GRANT_HOP_KEY_SIZE] = {1};
    char digest[] = "SHA256";
    const OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
                                 OSSL_PARAM_END};
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    BW_CHECK(mac != NULL);
    bench->mac = EVP_MAC_CTX_new(mac);
    BW_CHECK(bench->mac != NULL && EVP_MAC_init(bench->mac, key, sizeof key, params) == 1);
    EVP_MAC_free(mac);
    bw_hmac256_init(&bench->hmac, bw_view_of(key, sizeof key));
}

static void set_up(struct bench *bench)
{
    const uint8_t seed[BW_ED25519_SEED_SIZE] = {7};
    uint8_t public_key[BW_ED25519_PUBLIC_SIZE];
    BW_CHECK(bw_ed25519_signer_create(seed, &bench->signer, NULL) == BW_OK);
    bw_ed25519_signer_public(bench->signer, public_key);
    BW_CHECK(bw_ed25519_verifier_create(public_key, &bench->verifier, NULL) == BW_OK);
    BW_CHECK(bw_grant_verifier_create(0, &bench->grants, NULL) == BW_OK);
    BW_CHECK(bw_grant_verifier_add_key(bench->grants, public_key, NULL) == BW_OK);
    BW_CHECK(bw_grant_batch_create(&bench->batch, NULL) == BW_OK);
    bench->offsets = calloc(BW_GRANT_LEAVES_MAX + 1, sizeof *bench->offsets);
    BW_CHECK(bench->offsets != NULL);
    bench->grant = (struct bw_grant){.role = BW_ROLE_SPEAKER,
                                     .mode = BW_MODE_E2EE,
                                     .cell = bw_grant_cell_id(bw_view_str("eu")),
                                     .tenant = {{1}},
                                     .meeting = {{2}},
                                     .meeting_epoch = 1,
                                     .mode_epoch = 1,
                                     .roster_entry = {{3}},
                                     .relay = 1,
                                     .not_before_ms = 1000,
                                     .expires_ms = 1000 + BW_GRANT_LIFE_MAX_MS,
                                     .stream = {{4}},
                                     .group = 1};
    bw_grant_key_id(public_key, bench->grant.key_id);
    bench->expect = (struct bw_grant_expect){.cell = bench->grant.cell, .relay = 1, .now_ms = 2000};
    BW_CHECK(bw_grant_encode(&bench->grant, bench->body, NULL) == BW_OK);
    BW_CHECK(bw_ed25519_sign(bench->signer, bw_view_of(bench->body, sizeof bench->body),
                             bench->body_signature, NULL) == BW_OK);
    set_up_mac(bench);
}

int main(void)
{
    static const uint32_t sizes[] = {1, 10, 100, 1000};
    struct bench bench = {0};
    char name[32];
    set_up(&bench);
    for (size_t i = 0; i < BW_ARRAY_LEN(sizes); i++) {
        bench.batch_size = sizes[i];
        snprintf(name, sizeof name, "grants_signed_%u", (unsigned)sizes[i]);
        compare(name, "grants/s", sign_batch, "one Ed25519 signature each", sign_each, &bench);
    }
    /* sign_each left its own body behind the last signature: sign it once more, for verify_each. */
    BW_CHECK(bw_ed25519_sign(bench.signer, bw_view_of(bench.body, sizeof bench.body), bench.body_signature,
                             NULL) == BW_OK);
    for (size_t i = 0; i < BW_ARRAY_LEN(sizes); i++) {
        bench.batch_size = sizes[i];
        sign_batch(&bench);
        snprintf(name, sizeof name, "grants_verified_%u", (unsigned)sizes[i]);
        compare(name, "grants/s", verify_batch, "one Ed25519 verification each", verify_each, &bench);
    }
    compare("datagram_mac", "MAC/s", our_mac, "OpenSSL EVP_MAC with a kept context", openssl_mac, &bench);
    EVP_MAC_CTX_free(bench.mac);
    bw_buf_finish(&bench.tokens);
    free(bench.offsets);
    bw_grant_batch_destroy(bench.batch);
    bw_grant_verifier_destroy(bench.grants);
    bw_ed25519_verifier_destroy(bench.verifier);
    bw_ed25519_signer_destroy(bench.signer);
    return 0;
}
