#include "crypto/gcm.h"

#include <limits.h>
#include <openssl/evp.h>

#include "base/alloc.h"
#include "base/secret.h"

struct bw_gcm {
    EVP_CIPHER *cipher; /* fetched once: a look-up by name costs more than a small record */
    EVP_CIPHER_CTX *context;
    bool keeps; /* the context is set up for sealing, and has a key */
};

enum bw_code bw_gcm_create(struct bw_gcm **out, struct bw_error *err)
{
    struct bw_gcm *gcm = bw_calloc(1, sizeof *gcm);
    if (gcm == NULL)
        return bw_fail_memory(err);
    gcm->cipher = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
    if (gcm->cipher == NULL) {
        bw_gcm_destroy(gcm);
        return bw_fail(err, BW_INTERNAL, NULL,
                       "this OpenSSL offers no AES-256-GCM; check its provider settings");
    }
    gcm->context = EVP_CIPHER_CTX_new();
    if (gcm->context == NULL) {
        bw_gcm_destroy(gcm);
        return bw_fail_memory(err);
    }
    *out = gcm;
    return BW_OK;
}

void bw_gcm_destroy(struct bw_gcm *gcm)
{
    if (gcm == NULL)
        return;
    EVP_CIPHER_CTX_free(gcm->context);
    EVP_CIPHER_free(gcm->cipher);
    bw_free(gcm);
}

static bool fits(struct bw_view a, struct bw_view b)
{
    return a.len <= INT_MAX && b.len <= INT_MAX;
}

/* OpenSSL takes a NULL output for "this is additional data", so empty payloads are simply not fed. */
static bool feed(struct bw_gcm *gcm, struct bw_view aad, struct bw_view in, uint8_t *out)
{
    int n;
    if (aad.len > 0 && EVP_CipherUpdate(gcm->context, NULL, &n, aad.data, (int)aad.len) != 1)
        return false;
    return in.len == 0 || EVP_CipherUpdate(gcm->context, out, &n, in.data, (int)in.len) == 1;
}

/* Leaves the context set up when it succeeds. */
static enum bw_code seal(struct bw_gcm *gcm, const uint8_t key[BW_GCM_KEY_SIZE],
                         const uint8_t nonce[BW_GCM_NONCE_SIZE], struct bw_view aad, struct bw_view plaintext,
                         uint8_t *ciphertext, uint8_t tag[BW_GCM_TAG_SIZE], struct bw_error *err)
{
    if (!fits(aad, plaintext))
        return bw_fail(err, BW_INVALID_ARGUMENT, NULL, "a sealed record is at most %d bytes", INT_MAX);
    uint8_t none[1];
    int n;
    const EVP_CIPHER *cipher = gcm->keeps ? NULL : gcm->cipher;
    gcm->keeps = EVP_CipherInit_ex2(gcm->context, cipher, key, nonce, 1, NULL) == 1 &&
                 feed(gcm, aad, plaintext, ciphertext) && EVP_CipherFinal_ex(gcm->context, none, &n) == 1 &&
                 EVP_CIPHER_CTX_ctrl(gcm->context, EVP_CTRL_AEAD_GET_TAG, BW_GCM_TAG_SIZE, tag) == 1;
    if (gcm->keeps)
        return BW_OK;
    bw_gcm_forget(gcm);
    return bw_fail(err, BW_INTERNAL, NULL, "sealing failed");
}

enum bw_code bw_gcm_seal(struct bw_gcm *gcm, const uint8_t key[BW_GCM_KEY_SIZE],
                         const uint8_t nonce[BW_GCM_NONCE_SIZE], struct bw_view aad, struct bw_view plaintext,
                         uint8_t *ciphertext, uint8_t tag[BW_GCM_TAG_SIZE], struct bw_error *err)
{
    enum bw_code code = seal(gcm, key, nonce, aad, plaintext, ciphertext, tag, err);
    bw_gcm_forget(gcm);
    return code;
}

enum bw_code bw_gcm_seal_keeping(struct bw_gcm *gcm, const uint8_t key[BW_GCM_KEY_SIZE],
                                 const uint8_t nonce[BW_GCM_NONCE_SIZE], struct bw_view aad,
                                 struct bw_view plaintext, uint8_t *ciphertext, uint8_t tag[BW_GCM_TAG_SIZE],
                                 struct bw_error *err)
{
    return seal(gcm, key, nonce, aad, plaintext, ciphertext, tag, err);
}

void bw_gcm_forget(struct bw_gcm *gcm)
{
    EVP_CIPHER_CTX_reset(gcm->context);
    gcm->keeps = false;
}

enum bw_code bw_gcm_open(struct bw_gcm *gcm, const uint8_t key[BW_GCM_KEY_SIZE],
                         const uint8_t nonce[BW_GCM_NONCE_SIZE], struct bw_view aad,
                         struct bw_view ciphertext, const uint8_t tag[BW_GCM_TAG_SIZE], uint8_t *plaintext,
                         struct bw_error *err)
{
    if (!fits(aad, ciphertext))
        return bw_fail(err, BW_INVALID_ARGUMENT, NULL, "a sealed record is at most %d bytes", INT_MAX);
    uint8_t expected[BW_GCM_TAG_SIZE], none[1];
    for (size_t i = 0; i < sizeof expected; i++)
        expected[i] = tag[i];
    int n;
    if (gcm->keeps)
        bw_gcm_forget(gcm);
    bool ready = EVP_CipherInit_ex2(gcm->context, gcm->cipher, key, nonce, 0, NULL) == 1 &&
                 EVP_CIPHER_CTX_ctrl(gcm->context, EVP_CTRL_AEAD_SET_TAG, sizeof expected, expected) == 1 &&
                 feed(gcm, aad, ciphertext, plaintext);
    bool authentic = ready && EVP_CipherFinal_ex(gcm->context, none, &n) == 1;
    bw_gcm_forget(gcm);
    if (authentic)
        return BW_OK;
    if (ciphertext.len > 0)
        bw_wipe(plaintext, ciphertext.len);
    if (!ready)
        return bw_fail(err, BW_INTERNAL, NULL, "opening failed");
    return bw_fail(err, BW_DATA_LOSS, NULL, "the record does not fit its key, place or authentication tag");
}
