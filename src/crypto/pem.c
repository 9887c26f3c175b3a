#include "crypto/pem.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <string.h>

#include "base/secret.h"

/* No passphrase is ever asked for on a terminal; having been asked tells an encrypted key from a broken one.
 */
/* NOLINTNEXTLINE(readability-non-const-parameter): OpenSSL's signature */
static int no_passphrase(char *buffer, int size, int writing, void *asked)
{
    (void)buffer;
    (void)size;
    (void)writing;
    *(bool *)asked = true;
    return -1;
}

static enum bw_code input_of(struct bw_view pem, const char *where, BIO **out, struct bw_error *err)
{
    if (pem.len > BW_PEM_MAX)
        return bw_fail(err, BW_INVALID_ARGUMENT, NULL,
                       "%s: larger than %d bytes; this is no PEM file of a key or "
                       "certificate",
                       where, BW_PEM_MAX);
    BIO *bio = BIO_new_mem_buf(pem.len > 0 ? (const void *)pem.data : "", (int)pem.len);
    if (bio == NULL)
        return bw_fail_memory(err);
    *out = bio;
    return BW_OK;
}

enum bw_code bw_pem_read_private_key(struct bw_view pem, const char *where, struct evp_pkey_st **out,
                                     struct bw_error *err)
{
    BIO *bio = NULL;
    bool encrypted = false;
    enum bw_code code = input_of(pem, where, &bio, err);
    if (code != BW_OK)
        return code;
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, &encrypted);
    BIO_free(bio);
    ERR_clear_error();
    if (key != NULL) {
        *out = key;
        return BW_OK;
    }
    if (encrypted)
        return bw_fail(
            err, BW_INVALID_ARGUMENT, NULL,
            "%s: the private key is encrypted with a passphrase; store it decrypted in a file of mode "
            "0600 (openssl pkey -in … -out …)",
            where);
    return bw_fail(
        err, BW_INVALID_ARGUMENT, NULL,
        "%s: no private key in PEM form; expected a block that begins with -----BEGIN PRIVATE KEY-----",
        where);
}

enum bw_code bw_pem_read_certificate(struct bw_view pem, const char *where, struct x509_st **out,
                                     struct bw_error *err)
{
    BIO *bio = NULL;
    bool asked = false;
    enum bw_code code = input_of(pem, where, &bio, err);
    if (code != BW_OK)
        return code;
    X509 *certificate = PEM_read_bio_X509(bio, NULL, no_passphrase, &asked);
    BIO_free(bio);
    ERR_clear_error();
    if (certificate == NULL)
        return bw_fail(err, BW_INVALID_ARGUMENT, NULL,
                       "%s: no certificate in PEM form; expected a block that begins with "
                       "-----BEGIN CERTIFICATE-----",
                       where);
    *out = certificate;
    return BW_OK;
}

enum bw_code bw_pem_read_request(struct bw_view bytes, const char *where, struct X509_req_st **out,
                                 struct bw_error *err)
{
    BIO *bio = NULL;
    bool asked = false;
    enum bw_code code = input_of(bytes, where, &bio, err);
    if (code != BW_OK)
        return code;
    /* DER begins with a SEQUENCE tag; nothing may follow the request. */
    const unsigned char *p = bytes.data;
    X509_REQ *request = NULL;
    if (bytes.len > 0 && bytes.data[0] == 0x30) {
        request = d2i_X509_REQ(NULL, &p, (long)bytes.len);
        if (request != NULL && p != bytes.data + bytes.len) {
            X509_REQ_free(request);
            request = NULL;
        }
    } else {
        request = PEM_read_bio_X509_REQ(bio, NULL, no_passphrase, &asked);
    }
    BIO_free(bio);
    ERR_clear_error();
    if (request == NULL)
        return bw_fail(err, BW_INVALID_ARGUMENT, NULL,
                       "%s: no certificate request (PKCS#10, PEM or DER); make one with openssl req -new",
                       where);
    *out = request;
    return BW_OK;
}

enum bw_code bw_pem_read_ed25519_seed(struct bw_view pem, const char *where,
                                      uint8_t seed[BW_ED25519_SEED_SIZE], struct bw_error *err)
{
    EVP_PKEY *key = NULL;
    enum bw_code code = bw_pem_read_private_key(pem, where, &key, err);
    if (code != BW_OK)
        return code;
    uint8_t raw[BW_ED25519_SEED_SIZE];
    size_t len = sizeof raw;
    bool fits = EVP_PKEY_get_id(key) == EVP_PKEY_ED25519 &&
                EVP_PKEY_get_raw_private_key(key, raw, &len) == 1 && len == sizeof raw;
    EVP_PKEY_free(key);
    ERR_clear_error();
    if (fits)
        memcpy(seed, raw, sizeof raw);
    bw_wipe(raw, sizeof raw);
    if (!fits)
        return bw_fail(err, BW_INVALID_ARGUMENT, NULL,
                       "%s: not an Ed25519 private key; make one with openssl genpkey -algorithm ed25519",
                       where);
    return BW_OK;
}

enum bw_code bw_pem_read_ed25519_public(struct bw_view pem, const char *where,
                                        uint8_t public_key[BW_ED25519_PUBLIC_SIZE], struct bw_error *err)
{
    BIO *bio = NULL;
    bool asked = false;
    enum bw_code code = input_of(pem, where, &bio, err);
    if (code != BW_OK)
        return code;
    EVP_PKEY *key = PEM_read_bio_PUBKEY(bio, NULL, no_passphrase, &asked);
    uint8_t raw[BW_ED25519_PUBLIC_SIZE];
    size_t len = sizeof raw;
    bool fits = key != NULL && EVP_PKEY_get_id(key) == EVP_PKEY_ED25519 &&
                EVP_PKEY_get_raw_public_key(key, raw, &len) == 1 && len == sizeof raw;
    EVP_PKEY_free(key);
    BIO_free(bio);
    ERR_clear_error();
    if (!fits)
        return bw_fail(err, BW_INVALID_ARGUMENT, NULL,
                       "%s: no Ed25519 public key in PEM form; expected a block that begins with "
                       "-----BEGIN PUBLIC KEY-----",
                       where);
    memcpy(public_key, raw, sizeof raw);
    return BW_OK;
}

/* Copies what a memory BIO holds and wipes it there. */
static enum bw_code take(BIO *bio, bool written, struct bw_buf *out, struct bw_error *err)
{
    char *text = NULL;
    long len = bio != NULL && written ? BIO_get_mem_data(bio, &text) : 0;
    enum bw_code code = BW_OK;
    if (len <= 0)
        code = bw_fail(err, BW_INTERNAL, NULL, "cannot write PEM");
    else if (!bw_buf_reserve(out, (size_t)len + 1))
        code = bw_fail_memory(err);
    else
        bw_buf_append(out, text, (size_t)len);
    if (len > 0)
        bw_wipe(text, (size_t)len);
    BIO_free(bio);
    ERR_clear_error();
    return code;
}

enum bw_code bw_pem_write_private_key(struct evp_pkey_st *key, struct bw_buf *out, struct bw_error *err)
{
    BIO *bio = BIO_new(BIO_s_secmem());
    return take(bio, bio != NULL && PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1,
                out, err);
}

enum bw_code bw_pem_write_certificate(struct x509_st *certificate, struct bw_buf *out, struct bw_error *err)
{
    BIO *bio = BIO_new(BIO_s_mem());
    return take(bio, bio != NULL && PEM_write_bio_X509(bio, certificate) == 1, out, err);
}

enum bw_code bw_pem_write_request(struct X509_req_st *request, struct bw_buf *out, struct bw_error *err)
{
    BIO *bio = BIO_new(BIO_s_mem());
    return take(bio, bio != NULL && PEM_write_bio_X509_REQ(bio, request) == 1, out, err);
}

enum bw_code bw_pem_write_ed25519_seed(const uint8_t seed[BW_ED25519_SEED_SIZE], struct bw_buf *out,
                                       struct bw_error *err)
{
    EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, BW_ED25519_SEED_SIZE);
    if (key == NULL)
        return bw_fail(err, BW_INTERNAL, NULL, "cannot set up an Ed25519 key");
    enum bw_code code = bw_pem_write_private_key(key, out, err);
    EVP_PKEY_free(key);
    return code;
}

enum bw_code bw_pem_write_ed25519_public(const uint8_t public_key[BW_ED25519_PUBLIC_SIZE], struct bw_buf *out,
                                         struct bw_error *err)
{
    EVP_PKEY *key = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, public_key, BW_ED25519_PUBLIC_SIZE);
    if (key == NULL)
        return bw_fail(err, BW_INVALID_ARGUMENT, NULL, "not an Ed25519 public key");
    BIO *bio = BIO_new(BIO_s_mem());
    enum bw_code code = take(bio, bio != NULL && PEM_write_bio_PUBKEY(bio, key) == 1, out, err);
    EVP_PKEY_free(key);
    return code;
}

void bw_pem_finish_secret(struct bw_buf *buf)
{
    if (buf->data != NULL)
        bw_wipe(buf->data, buf->cap);
    bw_buf_finish(buf);
}
