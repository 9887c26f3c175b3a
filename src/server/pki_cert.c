#include "server/pki_cert.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "base/check.h"

enum { CLOCK_LAG_S = 300, COMMON_NAME_MAX = 64 };

static const char *const segments[] = {
#define X(name, segment) [BW_PKI_##name] = segment,
    BW_PKI_KIND_MAP(X)
#undef X
};

const char *bw_pki_kind_segment(enum bw_pki_kind kind)
{
    return (unsigned)kind < BW_PKI_KIND_COUNT ? segments[kind] : "";
}

static bool is_lower_or_digit(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

bool bw_pki_is_name(struct bw_view text)
{
    if (text.len == 0 || text.len > 63 || !is_lower_or_digit(text.data[0]))
        return false;
    for (size_t i = 1; i < text.len; i++) {
        if (!is_lower_or_digit(text.data[i]) && text.data[i] != '-')
            return false;
    }
    return true;
}

bool bw_pki_is_trust_domain(struct bw_view text)
{
    if (text.len == 0 || text.len > 255)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.data[i];
        if (!is_lower_or_digit(c) && c != '.' && c != '_' && c != '-')
            return false;
    }
    return true;
}

/* Drops a prefix; false when the text does not begin with it. */
static bool skip(struct bw_view *text, const char *prefix)
{
    size_t len = strlen(prefix);
    if (text->len < len || memcmp(text->data, prefix, len) != 0)
        return false;
    text->data += len;
    text->len -= len;
    return true;
}

enum bw_code bw_pki_parse_spiffe_id(struct bw_view id, const char *trust_domain, enum bw_pki_kind *kind,
                                    struct bw_view *name, struct bw_error *err)
{
    struct bw_view rest = id;
    if (!skip(&rest, "spiffe://"))
        return bw_fail(err, BW_INVALID_ARGUMENT, NULL, "a SPIFFE ID begins with spiffe://");
    if (!skip(&rest, trust_domain) || !skip(&rest, "/"))
        return bw_fail(err, BW_INVALID_ARGUMENT, NULL, "this SPIFFE ID is not of the trust domain %s",
                       trust_domain);
    for (int i = 0; i < BW_PKI_KIND_COUNT; i++) {
        struct bw_view after = rest;
        if (!skip(&after, segments[i]) || !skip(&after, "/"))
            continue;
        if (!bw_pki_is_name(after))
            return bw_fail(
                err, BW_INVALID_ARGUMENT, NULL,
                "the name in a SPIFFE ID has 1 to 63 characters a-z, 0-9, - and does not begin with -");
        *kind = (enum bw_pki_kind)i;
        *name = after;
        return BW_OK;
    }
    return bw_fail(err, BW_INVALID_ARGUMENT, NULL,
                   "the path of a SPIFFE ID is relay, app, operator, admin, support or replica, and a name");
}

static enum bw_code fail_openssl(struct bw_error *err, const char *what)
{
    unsigned long number = ERR_peek_last_error();
    enum bw_code code = bw_fail(err, BW_INTERNAL, NULL, "OpenSSL cannot %s", what);
    bw_error_log(err, "%s", ERR_reason_error_string(number) ? ERR_reason_error_string(number) : "no detail");
    ERR_clear_error();
    return code;
}

static bool set_serial(X509 *certificate, const uint8_t serial[BW_PKI_SERIAL_SIZE])
{
    uint8_t bytes[BW_PKI_SERIAL_SIZE];
    memcpy(bytes, serial, sizeof bytes);
    bytes[0] = (uint8_t)((bytes[0] & 0x7f) | 0x40); /* positive, never zero, always of one length */
    BIGNUM *number = BN_bin2bn(bytes, sizeof bytes, NULL);
    bool ok = number != NULL && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)) != NULL;
    BN_free(number);
    return ok;
}

static bool set_name(X509 *certificate, const char *common_name)
{
    return X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_UTF8,
                                      (const unsigned char *)common_name, -1, -1, 0) == 1;
}

/* Only for values that are constants of ours: OpenSSL's little language is no place for anybody's input. */
static bool add_constant(X509 *certificate, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    bool ok = extension != NULL && X509_add_ext(certificate, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return ok;
}

static const EVP_MD *digest_for(EVP_PKEY *key)
{
    if (EVP_PKEY_is_a(key, "ED25519") || EVP_PKEY_is_a(key, "ED448"))
        return NULL;
    return EVP_PKEY_get_bits(key) == 384 ? EVP_sha384() : EVP_sha256();
}

static bool set_times(X509 *certificate, uint64_t now_s, uint64_t lifetime_s)
{
    return ASN1_TIME_set(X509_getm_notBefore(certificate), (time_t)(now_s - CLOCK_LAG_S)) != NULL &&
           ASN1_TIME_set(X509_getm_notAfter(certificate), (time_t)(now_s + lifetime_s)) != NULL;
}

enum bw_code bw_pki_create_ca(struct evp_pkey_st *key, const char *common_name, uint64_t now_ms,
                              const uint8_t serial[BW_PKI_SERIAL_SIZE], struct x509_st **out,
                              struct bw_error *err)
{
    X509 *ca = X509_new();
    if (ca == NULL)
        return bw_fail_memory(err);
    bool ok = X509_set_version(ca, X509_VERSION_3) == 1 && set_serial(ca, serial) &&
              set_name(ca, common_name) && X509_set_issuer_name(ca, X509_get_subject_name(ca)) == 1 &&
              set_times(ca, now_ms / 1000, BW_PKI_CA_LIFETIME_S) && X509_set_pubkey(ca, key) == 1 &&
              add_constant(ca, ca, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
              add_constant(ca, ca, NID_key_usage, "critical,keyCertSign,cRLSign") &&
              add_constant(ca, ca, NID_subject_key_identifier, "hash") &&
              X509_sign(ca, key, digest_for(key)) > 0;
    if (!ok) {
        X509_free(ca);
        return fail_openssl(err, "make a CA certificate");
    }
    *out = ca;
    return BW_OK;
}

/* Seconds from now to notAfter, negative when it is past. */
static bool seconds_left(X509 *certificate, uint64_t now_ms, int64_t *out)
{
    ASN1_TIME *now = ASN1_TIME_set(NULL, (time_t)(now_ms / 1000));
    int days = 0, seconds = 0;
    bool ok = now != NULL && ASN1_TIME_diff(&days, &seconds, now, X509_get0_notAfter(certificate)) == 1;
    ASN1_TIME_free(now);
    *out = (int64_t)days * BW_PKI_DAY_S + seconds;
    return ok;
}

enum bw_code bw_pki_check_ca(struct x509_st *certificate, struct evp_pkey_st *key, uint64_t now_ms,
                             const char *certificate_path, const char *key_path, struct bw_error *err)
{
    int64_t left = 0;
    if (X509_check_private_key(certificate, key) != 1) {
        ERR_clear_error();
        return bw_fail(err, BW_INVALID_ARGUMENT, NULL,
                       "%s is not the key of the certificate in %s; give the pair that belongs together",
                       key_path, certificate_path);
    }
    if (X509_check_ca(certificate) != 1 || (X509_get_key_usage(certificate) & KU_KEY_CERT_SIGN) == 0)
        return bw_fail(err, BW_INVALID_ARGUMENT, NULL,
                       "%s: not a CA certificate (basicConstraints CA:TRUE and keyUsage keyCertSign)",
                       certificate_path);
    if (!seconds_left(certificate, now_ms, &left) || left <= 0)
        return bw_fail(err, BW_FAILED_PRECONDITION, NULL, "%s: the CA certificate has expired; renew it",
                       certificate_path);
    return BW_OK;
}

static bool push_name(GENERAL_NAMES *names, int type, ASN1_STRING *value)
{
    GENERAL_NAME *name = value != NULL ? GENERAL_NAME_new() : NULL;
    if (name == NULL) {
        ASN1_STRING_free(value);
        return false;
    }
    GENERAL_NAME_set0_value(name, type, value);
    if (sk_GENERAL_NAME_push(names, name) > 0)
        return true;
    GENERAL_NAME_free(name);
    return false;
}

static bool push_text(GENERAL_NAMES *names, int type, const char *text)
{
    ASN1_IA5STRING *value = ASN1_IA5STRING_new();
    if (value != NULL && ASN1_STRING_set(value, text, -1) != 1) {
        ASN1_IA5STRING_free(value);
        value = NULL;
    }
    return push_name(names, type, value);
}

static enum bw_code fill_names(GENERAL_NAMES *names, const struct bw_pki_profile *profile,
                               struct bw_error *err)
{
    if (!push_text(names, GEN_URI, profile->spiffe_id))
        return bw_fail_memory(err);
    for (size_t i = 0; i < profile->dns_count; i++) {
        if (!push_text(names, GEN_DNS, profile->dns[i]))
            return bw_fail_memory(err);
    }
    for (size_t i = 0; i < profile->ip_count; i++) {
        ASN1_OCTET_STRING *address = a2i_IPADDRESS(profile->ips[i]);
        if (address == NULL) {
            ERR_clear_error();
            return bw_fail(err, BW_INVALID_ARGUMENT, NULL, "\"%s\" is not an IP address", profile->ips[i]);
        }
        if (!push_name(names, GEN_IPADD, address))
            return bw_fail_memory(err);
    }
    return BW_OK;
}

static enum bw_code add_names(X509 *certificate, const struct bw_pki_profile *profile, struct bw_error *err)
{
    GENERAL_NAMES *names = sk_GENERAL_NAME_new_null();
    if (names == NULL)
        return bw_fail_memory(err);
    enum bw_code code = fill_names(names, profile, err);
    if (code == BW_OK &&
        X509_add1_ext_i2d(certificate, NID_subject_alt_name, names, 0, X509V3_ADD_DEFAULT) != 1)
        code = fail_openssl(err, "write the names of a certificate");
    sk_GENERAL_NAME_pop_free(names, GENERAL_NAME_free);
    return code;
}

static enum bw_code build(X509 *leaf, X509 *ca, EVP_PKEY *ca_key, EVP_PKEY *public_key,
                          const struct bw_pki_profile *profile, struct bw_error *err)
{
    int64_t left = 0;
    if (!seconds_left(ca, profile->now_ms, &left) || left <= 0)
        return bw_fail(err, BW_FAILED_PRECONDITION, NULL, "the CA certificate has expired; renew it");
    uint64_t lifetime_s = (uint64_t)left < profile->lifetime_s ? (uint64_t)left : profile->lifetime_s;
    char common_name[COMMON_NAME_MAX + 1] = "";
    strncat(common_name, profile->common_name, COMMON_NAME_MAX);
    bool ok =
        X509_set_version(leaf, X509_VERSION_3) == 1 && set_serial(leaf, profile->serial) &&
        set_name(leaf, common_name) && X509_set_issuer_name(leaf, X509_get_subject_name(ca)) == 1 &&
        set_times(leaf, profile->now_ms / 1000, lifetime_s) && X509_set_pubkey(leaf, public_key) == 1 &&
        add_constant(leaf, ca, NID_basic_constraints, "critical,CA:FALSE") &&
        add_constant(leaf, ca, NID_key_usage, "critical,digitalSignature") &&
        add_constant(leaf, ca, NID_ext_key_usage, profile->server ? "clientAuth,serverAuth" : "clientAuth") &&
        add_constant(leaf, ca, NID_subject_key_identifier, "hash") &&
        add_constant(leaf, ca, NID_authority_key_identifier, "keyid,issuer");
    if (!ok)
        return fail_openssl(err, "make a certificate");
    enum bw_code code = add_names(leaf, profile, err);
    if (code == BW_OK && X509_sign(leaf, ca_key, digest_for(ca_key)) <= 0)
        code = fail_openssl(err, "sign a certificate");
    return code;
}

enum bw_code bw_pki_issue(struct x509_st *ca, struct evp_pkey_st *ca_key, struct evp_pkey_st *public_key,
                          const struct bw_pki_profile *profile, struct x509_st **out, struct bw_error *err)
{
    X509 *leaf = X509_new();
    if (leaf == NULL)
        return bw_fail_memory(err);
    enum bw_code code = build(leaf, ca, ca_key, public_key, profile, err);
    if (code != BW_OK) {
        X509_free(leaf);
        return code;
    }
    *out = leaf;
    return BW_OK;
}

void bw_pki_certificate_destroy(struct x509_st *certificate)
{
    X509_free(certificate);
}
