#include "crypto/csr.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <string.h>

#include "base/check.h"

enum { COMMON_NAME_MAX = 64 }; /* ub-common-name of RFC 5280 */

enum bw_code bw_key_generate(enum bw_key_kind kind, struct evp_pkey_st **out, struct bw_error *err)
{
    EVP_PKEY *key = NULL;
    switch (kind) {
    case BW_KEY_P256:
        key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
        break;
    case BW_KEY_P384:
        key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-384");
        break;
    case BW_KEY_ED25519:
        key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
        break;
    }
    if (key == NULL) {
        ERR_clear_error();
        return bw_fail(err, BW_INTERNAL, NULL, "OpenSSL cannot make a key; check its provider settings");
    }
    *out = key;
    return BW_OK;
}

void bw_key_destroy(struct evp_pkey_st *key)
{
    EVP_PKEY_free(key);
}

enum bw_code bw_key_check_kind(struct evp_pkey_st *key, const char *where, struct bw_error *err)
{
    char group[32] = "";
    const char *kind = EVP_PKEY_get0_type_name(key);
    if (EVP_PKEY_is_a(key, "ED25519"))
        return BW_OK;
    if (EVP_PKEY_is_a(key, "EC") && EVP_PKEY_get_group_name(key, group, sizeof group, NULL) == 1) {
        if (strcmp(group, "prime256v1") == 0 || strcmp(group, "P-256") == 0 ||
            strcmp(group, "secp384r1") == 0 || strcmp(group, "P-384") == 0)
            return BW_OK;
    }
    ERR_clear_error();
    return bw_fail(err, BW_INVALID_ARGUMENT, NULL,
                   "%s: the key is %s%s%s; a credential's key is ECDSA P-256, ECDSA P-384 or Ed25519", where,
                   kind != NULL ? kind : "of an unknown kind", group[0] ? " on " : "", group);
}

static bool fill(X509_REQ *request, EVP_PKEY *key, const char *common_name)
{
    X509_NAME *subject = X509_REQ_get_subject_name(request);
    const EVP_MD *digest = EVP_PKEY_is_a(key, "ED25519") ? NULL : EVP_sha256();
    return X509_REQ_set_version(request, X509_REQ_VERSION_1) == 1 &&
           X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, (const unsigned char *)common_name, -1,
                                      -1, 0) == 1 &&
           X509_REQ_set_pubkey(request, key) == 1 && X509_REQ_sign(request, key, digest) > 0;
}

enum bw_code bw_csr_create(struct evp_pkey_st *key, const char *common_name, struct bw_buf *csr_pem,
                           struct bw_error *err)
{
    size_t len = strlen(common_name);
    if (len == 0 || len > COMMON_NAME_MAX)
        return bw_fail(err, BW_INVALID_ARGUMENT, NULL, "the name in a certificate request has 1 to %d bytes",
                       COMMON_NAME_MAX);
    X509_REQ *request = X509_REQ_new();
    if (request == NULL)
        return bw_fail_memory(err);
    enum bw_code code;
    if (fill(request, key, common_name))
        code = bw_pem_write_request(request, csr_pem, err);
    else
        code = bw_fail(err, BW_INTERNAL, NULL, "OpenSSL cannot make a certificate request");
    X509_REQ_free(request);
    ERR_clear_error();
    return code;
}

enum bw_code bw_csr_create_with_key(enum bw_key_kind kind, const char *common_name, struct bw_buf *key_pem,
                                    struct bw_buf *csr_pem, struct bw_error *err)
{
    EVP_PKEY *key = NULL;
    enum bw_code code = bw_key_generate(kind, &key, err);
    if (code != BW_OK)
        return code;
    size_t csr_before = csr_pem->len;
    code = bw_csr_create(key, common_name, csr_pem, err);
    if (code == BW_OK) {
        code = bw_pem_write_private_key(key, key_pem, err);
        if (code != BW_OK)
            csr_pem->len = csr_before;
    }
    EVP_PKEY_free(key);
    return code;
}

enum bw_code bw_csr_public_key(struct bw_view csr, const char *where, struct evp_pkey_st **out,
                               struct bw_error *err)
{
    X509_REQ *request = NULL;
    enum bw_code code = bw_pem_read_request(csr, where, &request, err);
    if (code != BW_OK)
        return code;
    EVP_PKEY *key = X509_REQ_get0_pubkey(request);
    if (key == NULL) {
        code = bw_fail(err, BW_INVALID_ARGUMENT, NULL, "%s: the request holds no usable public key", where);
    } else {
        code = bw_key_check_kind(key, where, err);
        if (code == BW_OK && X509_REQ_verify(request, key) != 1)
            code = bw_fail(
                err, BW_INVALID_ARGUMENT, NULL,
                "%s: the request is not signed by the key in it; make it again from the private key", where);
    }
    if (code == BW_OK) {
        EVP_PKEY_up_ref(key);
        *out = key;
    }
    X509_REQ_free(request);
    ERR_clear_error();
    return code;
}
