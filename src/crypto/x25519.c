#include "crypto/x25519.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdbool.h>

static enum bw_code failed(struct bw_error *err, const char *what)
{
    /* An entry left in the thread's error queue would trip a TLS call up later. */
    ERR_clear_error();
    return bw_fail(err, BW_INTERNAL, NULL, "%s failed", what);
}

/* OpenSSL works out the public half of each key it is given. */
static EVP_PKEY *load(const uint8_t private_key[BW_X25519_SIZE])
{
    return EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL, private_key, BW_X25519_SIZE);
}

static bool get_public(const EVP_PKEY *key, uint8_t public_key[BW_X25519_SIZE])
{
    size_t size = BW_X25519_SIZE;
    return EVP_PKEY_get_raw_public_key(key, public_key, &size) == 1;
}

static enum bw_code agree(EVP_PKEY *key, const uint8_t peer_public_key[BW_X25519_SIZE],
                          uint8_t shared[BW_X25519_SIZE], struct bw_error *err)
{
    size_t size = BW_X25519_SIZE;
    EVP_PKEY *peer = EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, NULL, peer_public_key, BW_X25519_SIZE);
    EVP_PKEY_CTX *context = key != NULL ? EVP_PKEY_CTX_new(key, NULL) : NULL;
    bool ready = peer != NULL && context != NULL && EVP_PKEY_derive_init(context) == 1 &&
                 EVP_PKEY_derive_set_peer_ex(context, peer, 0) == 1;
    /* OpenSSL refuses the all-zero result that a point of small order gives. */
    bool ok = ready && EVP_PKEY_derive(context, shared, &size) == 1 && size == BW_X25519_SIZE;
    EVP_PKEY_CTX_free(context);
    EVP_PKEY_free(peer);
    if (ok)
        return BW_OK;
    if (!ready)
        return failed(err, "an X25519 key agreement");
    ERR_clear_error();
    return bw_fail(err, BW_INVALID_ARGUMENT, NULL, "an X25519 public key of small order agrees on nothing");
}

enum bw_code bw_x25519_public(const uint8_t private_key[BW_X25519_SIZE], uint8_t public_key[BW_X25519_SIZE],
                              struct bw_error *err)
{
    EVP_PKEY *key = load(private_key);
    bool ok = key != NULL && get_public(key, public_key);
    EVP_PKEY_free(key);
    return ok ? BW_OK : failed(err, "making an X25519 public key");
}

enum bw_code bw_x25519(const uint8_t private_key[BW_X25519_SIZE],
                       const uint8_t peer_public_key[BW_X25519_SIZE], uint8_t shared[BW_X25519_SIZE],
                       struct bw_error *err)
{
    EVP_PKEY *key = load(private_key);
    enum bw_code code = agree(key, peer_public_key, shared, err);
    EVP_PKEY_free(key);
    return code;
}

enum bw_code bw_x25519_pair(const uint8_t private_key[BW_X25519_SIZE],
                            const uint8_t peer_public_key[BW_X25519_SIZE], uint8_t public_key[BW_X25519_SIZE],
                            uint8_t shared[BW_X25519_SIZE], struct bw_error *err)
{
    EVP_PKEY *key = load(private_key);
    enum bw_code code = key != NULL && get_public(key, public_key)
                            ? agree(key, peer_public_key, shared, err)
                            : failed(err, "making an X25519 public key");
    EVP_PKEY_free(key);
    return code;
}
