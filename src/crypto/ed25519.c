#include "crypto/ed25519.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <string.h>

#include "base/alloc.h"

/* Both kinds are a key and a context that is set up anew for each message: EVP's Ed25519 is one-shot. */
struct key {
    EVP_PKEY *pkey;
    EVP_MD_CTX *context;
};

struct bw_ed25519_signer {
    struct key key;
    uint8_t public_key[BW_ED25519_PUBLIC_SIZE];
};

struct bw_ed25519_verifier {
    struct key key;
};

static void key_finish(struct key *key)
{
    EVP_MD_CTX_free(key->context);
    EVP_PKEY_free(key->pkey);
}

enum bw_code bw_ed25519_signer_create(const uint8_t seed[BW_ED25519_SEED_SIZE],
                                      struct bw_ed25519_signer **out, struct bw_error *err)
{
    struct bw_ed25519_signer *signer = bw_calloc(1, sizeof *signer);
    if (signer == NULL)
        return bw_fail_memory(err);
    size_t public_size = sizeof signer->public_key;
    signer->key.context = EVP_MD_CTX_new();
    signer->key.pkey = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, BW_ED25519_SEED_SIZE);
    if (signer->key.context == NULL || signer->key.pkey == NULL ||
        EVP_PKEY_get_raw_public_key(signer->key.pkey, signer->public_key, &public_size) != 1) {
        bw_ed25519_signer_destroy(signer);
        ERR_clear_error();
        return bw_fail(err, BW_INTERNAL, NULL, "cannot set up an Ed25519 signing key");
    }
    *out = signer;
    return BW_OK;
}

void bw_ed25519_signer_destroy(struct bw_ed25519_signer *signer)
{
    if (signer == NULL)
        return;
    key_finish(&signer->key);
    bw_free(signer);
}

void bw_ed25519_signer_public(const struct bw_ed25519_signer *signer, uint8_t out[BW_ED25519_PUBLIC_SIZE])
{
    memcpy(out, signer->public_key, sizeof signer->public_key);
}

enum bw_code bw_ed25519_sign(struct bw_ed25519_signer *signer, struct bw_view message,
                             uint8_t signature[BW_ED25519_SIGNATURE_SIZE], struct bw_error *err)
{
    uint8_t made[BW_ED25519_SIGNATURE_SIZE];
    size_t size = sizeof made;
    EVP_MD_CTX *context = signer->key.context;
    bool ok = EVP_DigestSignInit(context, NULL, NULL, NULL, signer->key.pkey) == 1 &&
              EVP_DigestSign(context, made, &size, message.data, message.len) == 1 && size == sizeof made;
    EVP_MD_CTX_reset(context);
    if (!ok) {
        ERR_clear_error();
        return bw_fail(err, BW_INTERNAL, NULL, "signing failed");
    }
    memcpy(signature, made, sizeof made);
    return BW_OK;
}

enum bw_code bw_ed25519_verifier_create(const uint8_t public_key[BW_ED25519_PUBLIC_SIZE],
                                        struct bw_ed25519_verifier **out, struct bw_error *err)
{
    struct bw_ed25519_verifier *verifier = bw_calloc(1, sizeof *verifier);
    if (verifier == NULL)
        return bw_fail_memory(err);
    verifier->key.context = EVP_MD_CTX_new();
    if (verifier->key.context == NULL) {
        bw_ed25519_verifier_destroy(verifier);
        return bw_fail_memory(err);
    }
    verifier->key.pkey =
        EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, public_key, BW_ED25519_PUBLIC_SIZE);
    if (verifier->key.pkey == NULL) {
        bw_ed25519_verifier_destroy(verifier);
        ERR_clear_error();
        return bw_fail(err, BW_INVALID_ARGUMENT, NULL, "not an Ed25519 public key");
    }
    *out = verifier;
    return BW_OK;
}

void bw_ed25519_verifier_destroy(struct bw_ed25519_verifier *verifier)
{
    if (verifier == NULL)
        return;
    key_finish(&verifier->key);
    bw_free(verifier);
}

bool bw_ed25519_verify(struct bw_ed25519_verifier *verifier, struct bw_view message,
                       const uint8_t signature[BW_ED25519_SIGNATURE_SIZE])
{
    EVP_MD_CTX *context = verifier->key.context;
    bool ok = EVP_DigestVerifyInit(context, NULL, NULL, NULL, verifier->key.pkey) == 1 &&
              EVP_DigestVerify(context, signature, BW_ED25519_SIGNATURE_SIZE, message.data, message.len) == 1;
    EVP_MD_CTX_reset(context);
    /* A bad signature leaves an entry in the thread's error queue, which a TLS call would later trip over. */
    if (!ok)
        ERR_clear_error();
    return ok;
}
