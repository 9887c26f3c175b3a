#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "crypto/certificate.h"
#include "crypto/csr.h"

struct made {
    struct evp_pkey_st *key;
    struct bw_buf certificate, key_pem;
};

/* Signed by `issuer` (NULL: by itself); valid from 2026-11-21T10:00:00Z for an hour. */
static void make(struct made *made, const char *names, bool ca, const struct made *issuer)
{
    struct bw_error err;
    memset(made, 0, sizeof *made);
    assert_int_equal(bw_key_generate(BW_KEY_P256, &made->key, &err), BW_OK);
    X509 *certificate = X509_new();
    X509_set_version(certificate, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), 7);
    ASN1_TIME_set(X509_getm_notBefore(certificate), 1795255200);
    ASN1_TIME_set(X509_getm_notAfter(certificate), 1795255200 + 3600);
    X509_set_pubkey(certificate, made->key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC,
                               (const unsigned char *)"somebody", -1, -1, 0);
    X509_set_issuer_name(certificate, X509_get_subject_name(certificate));
    X509_EXTENSION *extension =
        X509V3_EXT_conf_nid(NULL, NULL, NID_basic_constraints, ca ? "critical,CA:TRUE" : "critical,CA:FALSE");
    X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
    if (names != NULL) {
        extension = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, names);
        assert_non_null(extension);
        X509_add_ext(certificate, extension, -1);
        X509_EXTENSION_free(extension);
    }
    assert_true(X509_sign(certificate, issuer != NULL ? issuer->key : made->key, EVP_sha256()) > 0);
    assert_int_equal(bw_pem_write_certificate(certificate, &made->certificate, &err), BW_OK);
    assert_int_equal(bw_pem_write_private_key(made->key, &made->key_pem, &err), BW_OK);
    X509_free(certificate);
}

static void finish(struct made *made)
{
    bw_key_destroy(made->key);
    bw_buf_finish(&made->certificate);
    bw_pem_finish_secret(&made->key_pem);
}

static void facts_are_those_of_the_certificate(void **state)
{
    (void)state;
    struct made made;
    struct bw_certificate_facts facts;
    struct bw_error err;
    make(&made, "URI:spiffe://eu.bailiwick.internal/app/portal,DNS:localhost", false, NULL);
    assert_int_equal(bw_certificate_read(bw_buf_view(&made.certificate), "x", &facts, &err), BW_OK);
    assert_int_equal(facts.not_before_ms, UINT64_C(1795255200000));
    assert_int_equal(facts.not_after_ms, UINT64_C(1795255200000) + 3600000);
    assert_int_equal(facts.uri_count, 1);
    assert_string_equal(facts.uri, "spiffe://eu.bailiwick.internal/app/portal");
    assert_string_equal(facts.subject, "CN=somebody");
    assert_false(facts.is_ca);
    finish(&made);
    make(&made, NULL, true, NULL);
    assert_int_equal(bw_certificate_read(bw_buf_view(&made.certificate), "x", &facts, &err), BW_OK);
    assert_int_equal(facts.uri_count, 0);
    assert_string_equal(facts.uri, "");
    assert_true(facts.is_ca);
    finish(&made);
    make(&made, "URI:spiffe://a/app/b,URI:spiffe://a/app/c", false, NULL);
    assert_int_equal(bw_certificate_read(bw_buf_view(&made.certificate), "x", &facts, &err), BW_OK);
    assert_int_equal(facts.uri_count, 2);
    assert_string_equal(facts.uri, "spiffe://a/app/b");
    finish(&made);
}

static void key_fits_only_its_own_certificate(void **state)
{
    (void)state;
    struct made one, other;
    struct bw_error err;
    bool fits = false;
    make(&one, NULL, false, NULL);
    make(&other, NULL, false, NULL);
    assert_int_equal(bw_certificate_fits_key(bw_buf_view(&one.certificate), "c", bw_buf_view(&one.key_pem),
                                             "k", &fits, &err),
                     BW_OK);
    assert_true(fits);
    assert_int_equal(bw_certificate_fits_key(bw_buf_view(&one.certificate), "c", bw_buf_view(&other.key_pem),
                                             "k", &fits, &err),
                     BW_OK);
    assert_false(fits);
    assert_int_equal(bw_certificate_fits_key(bw_buf_view(&one.certificate), "c", bw_view_str("nonsense"),
                                             "k.pem", &fits, &err),
                     BW_INVALID_ARGUMENT);
    assert_non_null(strstr(err.show, "k.pem"));
    finish(&one);
    finish(&other);
}

static void issuer_is_found_among_several(void **state)
{
    (void)state;
    struct made ca, other, leaf;
    struct bw_error err;
    struct bw_buf both = {0};
    bool yes = false;
    make(&ca, NULL, true, NULL);
    make(&other, NULL, true, NULL);
    make(&leaf, NULL, false, &ca);
    bw_buf_append(&both, other.certificate.data, other.certificate.len);
    struct bw_view pem = bw_buf_view(&leaf.certificate);
    assert_int_equal(bw_certificate_issued_by(pem, "c", bw_buf_view(&both), "ca", &yes, &err), BW_OK);
    assert_false(yes);
    bw_buf_append(&both, ca.certificate.data, ca.certificate.len);
    assert_int_equal(bw_certificate_issued_by(pem, "c", bw_buf_view(&both), "ca", &yes, &err), BW_OK);
    assert_true(yes);
    assert_int_equal(bw_certificate_issued_by(pem, "c", bw_view_str("nothing"), "ca.crt", &yes, &err),
                     BW_INVALID_ARGUMENT);
    assert_non_null(strstr(err.show, "ca.crt"));
    bw_buf_finish(&both);
    finish(&ca);
    finish(&other);
    finish(&leaf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(facts_are_those_of_the_certificate),
        cmocka_unit_test(key_fits_only_its_own_certificate),
        cmocka_unit_test(issuer_is_found_among_several),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
