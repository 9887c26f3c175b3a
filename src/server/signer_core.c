#include "server/signer_core.h"

#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "e2ee/grant.h"

struct signing_key {
    struct bw_ed25519_signer *signer;
    uint8_t public_key[BW_ED25519_PUBLIC_SIZE];
    uint8_t id[BW_SIGNER_KEY_ID_SIZE];
};

struct bw_signer_core {
    struct signing_key keys[BW_SIGNER_KEYS_MAX];
    size_t key_count;
    X509 *ca;
    EVP_PKEY *ca_key;
    char *trust_domain;
};

enum bw_code bw_signer_core_create(struct bw_signer_core **out, struct bw_error *err)
{
    struct bw_signer_core *core = bw_calloc(1, sizeof *core);
    if (core == NULL)
        return bw_fail_memory(err);
    *out = core;
    return BW_OK;
}

void bw_signer_core_destroy(struct bw_signer_core *core)
{
    if (core == NULL)
        return;
    for (size_t i = 0; i < core->key_count; i++)
        bw_ed25519_signer_destroy(core->keys[i].signer);
    X509_free(core->ca);
    EVP_PKEY_free(core->ca_key);
    bw_free(core->trust_domain);
    bw_free(core);
}

enum bw_code bw_signer_core_add_key(struct bw_signer_core *core, const uint8_t seed[BW_ED25519_SEED_SIZE],
                                    struct bw_error *err)
{
    struct signing_key key;
    if (core->key_count == BW_SIGNER_KEYS_MAX)
        return bw_fail(err, BW_RESOURCE_EXHAUSTED, NULL,
                       "at most %d signing keys; drop those that are retired", BW_SIGNER_KEYS_MAX);
    enum bw_code code = bw_ed25519_signer_create(seed, &key.signer, err);
    if (code != BW_OK)
        return code;
    bw_ed25519_signer_public(key.signer, key.public_key);
    bw_grant_key_id(key.public_key, key.id);
    for (size_t i = 0; i < core->key_count; i++) {
        if (memcmp(core->keys[i].id, key.id, sizeof key.id) == 0) {
            bw_ed25519_signer_destroy(key.signer);
            return bw_fail(err, BW_ALREADY_EXISTS, NULL, "the same signing key is given twice");
        }
    }
    core->keys[core->key_count++] = key;
    return BW_OK;
}

enum bw_code bw_signer_core_set_ca(struct bw_signer_core *core, struct x509_st *ca,
                                   struct evp_pkey_st *ca_key, const char *trust_domain, uint64_t now_ms,
                                   const char *certificate_path, const char *key_path, struct bw_error *err)
{
    X509_free(core->ca);
    EVP_PKEY_free(core->ca_key);
    bw_free(core->trust_domain);
    core->ca = ca;
    core->ca_key = ca_key;
    core->trust_domain = bw_strdup(trust_domain);
    if (core->trust_domain == NULL)
        return bw_fail_memory(err);
    if (!bw_pki_is_trust_domain(bw_view_str(trust_domain)))
        return bw_fail(err, BW_INVALID_ARGUMENT, NULL, "\"%s\" is not a trust domain (a-z, 0-9, dot, dash)",
                       trust_domain);
    return bw_pki_check_ca(ca, ca_key, now_ms, certificate_path, key_path, err);
}

static enum bw_code sign_root(struct bw_signer_core *core, const struct bw_signer_request *request,
                              struct bw_signer_reply *reply, struct bw_error *err)
{
    if (core->key_count == 0)
        return bw_fail(err, BW_FAILED_PRECONDITION, NULL, "the signer has no key");
    if (request->leaves == 0 || request->leaves > BW_GRANT_LEAVES_MAX)
        return bw_fail(err, BW_INVALID_ARGUMENT, NULL, "a batch has 1 to %d grants", BW_GRANT_LEAVES_MAX);
    uint8_t bytes[BW_GRANT_SIGNED_SIZE];
    bw_grant_signed_bytes(&request->root, request->leaves, bytes);
    reply->type = BW_SIGNER_SIGNED;
    memcpy(reply->key_id, core->keys[0].id, sizeof reply->key_id);
    return bw_ed25519_sign(core->keys[0].signer, bw_view_of(bytes, sizeof bytes), reply->signature, err);
}

static void public_keys(const struct bw_signer_core *core, struct bw_signer_reply *reply)
{
    reply->type = BW_SIGNER_KEYS;
    reply->key_count = (uint32_t)core->key_count;
    reply->issues_certificates = core->ca != NULL;
    for (size_t i = 0; i < core->key_count; i++)
        memcpy(reply->keys[i], core->keys[i].public_key, sizeof reply->keys[i]);
}

/* What the certificate will say, checked and copied out of the request. */
struct identity {
    struct bw_pki_profile profile;
    char spiffe_id[BW_SIGNER_SPIFFE_MAX + 1], common_name[64];
};

static enum bw_code identify(const struct bw_signer_core *core, const struct bw_signer_request *request,
                             uint64_t now_ms, struct identity *out, struct bw_error *err)
{
    enum bw_pki_kind kind;
    struct bw_view name;
    enum bw_code code = bw_pki_parse_spiffe_id(request->spiffe_id, core->trust_domain, &kind, &name, err);
    if (code != BW_OK)
        return code;
    if (request->spiffe_id.len > BW_SIGNER_SPIFFE_MAX)
        return bw_fail(err, BW_INVALID_ARGUMENT, NULL, "the SPIFFE ID is too long");
    if (request->lifetime_s > BW_PKI_LIFETIME_MAX_S)
        return bw_fail(err, BW_INVALID_ARGUMENT, NULL, "a certificate lives at most %d days; ask for less",
                       BW_PKI_LIFETIME_MAX_S / BW_PKI_DAY_S);
    snprintf(out->common_name, sizeof out->common_name, "%.*s", (int)name.len, (const char *)name.data);
    snprintf(out->spiffe_id, sizeof out->spiffe_id, "%.*s", (int)request->spiffe_id.len,
             (const char *)request->spiffe_id.data);
    out->profile = (struct bw_pki_profile){
        .common_name = out->common_name,
        .spiffe_id = out->spiffe_id,
        .server = kind == BW_PKI_REPLICA,
        .now_ms = now_ms,
        .lifetime_s = request->lifetime_s ? request->lifetime_s : BW_PKI_LIFETIME_MAX_S,
    };
    return BW_OK;
}

static enum bw_code write_chain(struct bw_signer_core *core, X509 *certificate, struct bw_buf *pem,
                                size_t *ca_at, struct bw_error *err)
{
    enum bw_code code = bw_pem_write_certificate(certificate, pem, err);
    *ca_at = pem->len;
    return code == BW_OK ? bw_pem_write_certificate(core->ca, pem, err) : code;
}

static enum bw_code issue(struct bw_signer_core *core, const struct bw_signer_request *request,
                          uint64_t now_ms, const uint8_t serial[BW_PKI_SERIAL_SIZE], struct bw_buf *pem,
                          size_t *ca_at, struct bw_error *err)
{
    struct identity identity;
    EVP_PKEY *key = NULL;
    X509 *certificate = NULL;
    if (core->ca == NULL)
        return bw_fail(
            err, BW_FAILED_PRECONDITION, NULL,
            "this cell does not issue certificates; sign the request with your own CA, or configure "
            "the CA certificate and key of the signer");
    enum bw_code code = identify(core, request, now_ms, &identity, err);
    if (code != BW_OK)
        return code;
    code = bw_csr_public_key(request->csr, "certificate request", &key, err);
    if (code != BW_OK)
        return code;
    memcpy(identity.profile.serial, serial, sizeof identity.profile.serial);
    code = bw_pki_issue(core->ca, core->ca_key, key, &identity.profile, &certificate, err);
    bw_key_destroy(key);
    if (code != BW_OK)
        return code;
    code = write_chain(core, certificate, pem, ca_at, err);
    bw_pki_certificate_destroy(certificate);
    return code;
}

bool bw_signer_core_answer(struct bw_signer_core *core, const struct bw_signer_request *request,
                           uint64_t now_ms, const uint8_t serial[BW_PKI_SERIAL_SIZE], struct bw_buf *out)
{
    struct bw_signer_reply reply = {.id = request->id};
    struct bw_error err = {.code = BW_OK};
    struct bw_buf pem = {0};
    size_t ca_at = 0;
    enum bw_code code = BW_OK;
    if (request->type == BW_SIGNER_SIGN_ROOT) {
        code = sign_root(core, request, &reply, &err);
    } else if (request->type == BW_SIGNER_PUBLIC_KEYS) {
        public_keys(core, &reply);
    } else {
        reply.type = BW_SIGNER_CERT;
        code = issue(core, request, now_ms, serial, &pem, &ca_at, &err);
        if (code == BW_OK) {
            reply.certificate = bw_view_of(pem.data, ca_at);
            reply.ca = bw_view_of(pem.data + ca_at, pem.len - ca_at);
        }
    }
    if (code != BW_OK) {
        reply = (struct bw_signer_reply){.type = BW_SIGNER_FAILED, .id = request->id, .code = code};
        reply.text = bw_view_str(err.show);
    }
    bw_signer_encode_reply(&reply, out);
    bw_buf_finish(&pem);
    return !out->failed;
}
