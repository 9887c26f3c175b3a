#include "certificates.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

struct test_ca {
    EVP_PKEY *key;
    X509 *certificate;
    X509_CRL *crl;
    char folder[256], name[64];
    long serial;
};

static FILE *open_file(const struct test_ca *ca, const char *name, const char *suffix)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s%s", ca->folder, name, suffix);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    return file;
}

static void write_certificate(const struct test_ca *ca, const char *name, X509 *certificate)
{
    FILE *file = open_file(ca, name, ".crt");
    assert_int_equal(PEM_write_X509(file, certificate), 1);
    fclose(file);
}

static void add_extension(X509 *certificate, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    assert_non_null(extension);
    assert_int_equal(X509_add_ext(certificate, extension, -1), 1);
    X509_EXTENSION_free(extension);
}

static X509 *make(struct test_ca *ca, EVP_PKEY *key, const char *common_name, long from_s, long to_s)
{
    X509 *certificate = X509_new();
    assert_non_null(certificate);
    X509_set_version(certificate, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), ++ca->serial);
    X509_gmtime_adj(X509_getm_notBefore(certificate), from_s);
    X509_gmtime_adj(X509_getm_notAfter(certificate), to_s);
    X509_set_pubkey(certificate, key);
    X509_NAME *subject = X509_get_subject_name(certificate);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)common_name, -1, -1, 0);
    X509_set_issuer_name(certificate, ca->certificate ? X509_get_subject_name(ca->certificate) : subject);
    return certificate;
}

struct test_ca *test_ca_create(const char *folder, const char *name)
{
    struct test_ca *ca = calloc(1, sizeof *ca);
    assert_non_null(ca);
    snprintf(ca->folder, sizeof ca->folder, "%s", folder);
    snprintf(ca->name, sizeof ca->name, "%s", name);
    ca->key = EVP_EC_gen("P-256");
    X509 *certificate = make(ca, ca->key, name, -3600, 86400);
    add_extension(certificate, certificate, NID_basic_constraints, "critical,CA:TRUE");
    add_extension(certificate, certificate, NID_key_usage, "critical,keyCertSign,cRLSign");
    assert_true(X509_sign(certificate, ca->key, EVP_sha256()) > 0);
    ca->certificate = certificate;
    ca->crl = X509_CRL_new();
    X509_CRL_set_version(ca->crl, 1);
    X509_CRL_set_issuer_name(ca->crl, X509_get_subject_name(certificate));
    write_certificate(ca, name, certificate);
    test_ca_write_crl(ca);
    return ca;
}

void test_ca_issue(struct test_ca *ca, const struct test_leaf *leaf)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate =
        make(ca, key, leaf->name, leaf->expired ? -7200 : -3600, leaf->expired ? -3600 : 86400);
    add_extension(certificate, ca->certificate, NID_basic_constraints,
                  leaf->is_ca ? "critical,CA:TRUE" : "critical,CA:FALSE");
    if (leaf->san != NULL)
        add_extension(certificate, ca->certificate, NID_subject_alt_name, leaf->san);
    assert_true(X509_sign(certificate, ca->key, EVP_sha256()) > 0);
    write_certificate(ca, leaf->name, certificate);
    FILE *file = open_file(ca, leaf->name, ".key");
    assert_int_equal(PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL), 1);
    fclose(file);
    if (leaf->revoked) {
        X509_REVOKED *revoked = X509_REVOKED_new();
        X509_REVOKED_set_serialNumber(revoked, X509_get_serialNumber(certificate));
        ASN1_TIME *now = X509_gmtime_adj(NULL, -60);
        X509_REVOKED_set_revocationDate(revoked, now);
        ASN1_TIME_free(now);
        X509_CRL_add0_revoked(ca->crl, revoked);
    }
    X509_free(certificate);
    EVP_PKEY_free(key);
}

void test_ca_write_crl(struct test_ca *ca)
{
    ASN1_TIME *from = X509_gmtime_adj(NULL, -60), *to = X509_gmtime_adj(NULL, 86400);
    X509_CRL_set1_lastUpdate(ca->crl, from);
    X509_CRL_set1_nextUpdate(ca->crl, to);
    ASN1_TIME_free(from);
    ASN1_TIME_free(to);
    assert_true(X509_CRL_sign(ca->crl, ca->key, EVP_sha256()) > 0);
    FILE *file = open_file(ca, ca->name, ".crl");
    assert_int_equal(PEM_write_X509_CRL(file, ca->crl), 1);
    fclose(file);
}

void test_ca_destroy(struct test_ca *ca)
{
    X509_CRL_free(ca->crl);
    X509_free(ca->certificate);
    EVP_PKEY_free(ca->key);
    free(ca);
}
