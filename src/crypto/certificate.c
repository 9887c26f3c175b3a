#include "crypto/certificate.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "crypto/csr.h"
#include "crypto/pem.h"

static uint64_t unix_ms(const ASN1_TIME *time)
{
    ASN1_TIME *epoch = ASN1_TIME_set(NULL, 0);
    int days = 0, seconds = 0;
    bool good = epoch != NULL && time != NULL && ASN1_TIME_diff(&days, &seconds, epoch, time) == 1;
    ASN1_TIME_free(epoch);
    if (!good || days < 0 || seconds < 0)
        return 0;
    return ((uint64_t)days * 86400 + (uint64_t)seconds) * 1000;
}

static void name_of(const X509_NAME *name, char out[BW_CERTIFICATE_NAME_SIZE])
{
    out[0] = '\0';
    BIO *bio = BIO_new(BIO_s_mem());
    if (bio == NULL)
        return;
    if (X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253) >= 0) {
        int n = BIO_read(bio, out, BW_CERTIFICATE_NAME_SIZE - 1);
        out[n > 0 ? n : 0] = '\0';
    }
    BIO_free(bio);
}

static void uris_of(X509 *certificate, struct bw_certificate_facts *facts)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        if (name->type != GEN_URI || facts->uri_count++ > 0)
            continue;
        const ASN1_IA5STRING *uri = name->d.uniformResourceIdentifier;
        int n = ASN1_STRING_length(uri);
        if (n > 0 && n < BW_CERTIFICATE_NAME_SIZE) {
            memcpy(facts->uri, ASN1_STRING_get0_data(uri), (size_t)n);
            facts->uri[n] = '\0';
        }
    }
    GENERAL_NAMES_free(names);
}

enum bw_code bw_certificate_read(struct bw_view pem, const char *where, struct bw_certificate_facts *facts,
                                 struct bw_error *err)
{
    X509 *certificate = NULL;
    enum bw_code code = bw_pem_read_certificate(pem, where, &certificate, err);
    if (code != BW_OK)
        return code;
    struct bw_certificate_facts read = {
        .not_before_ms = unix_ms(X509_get0_notBefore(certificate)),
        .not_after_ms = unix_ms(X509_get0_notAfter(certificate)),
        .is_ca = X509_check_ca(certificate) != 0,
    };
    name_of(X509_get_subject_name(certificate), read.subject);
    name_of(X509_get_issuer_name(certificate), read.issuer);
    uris_of(certificate, &read);
    X509_free(certificate);
    ERR_clear_error();
    *facts = read;
    return BW_OK;
}

enum bw_code bw_certificate_fits_key(struct bw_view pem, const char *where, struct bw_view key_pem,
                                     const char *key_where, bool *fits, struct bw_error *err)
{
    X509 *certificate = NULL;
    EVP_PKEY *key = NULL;
    enum bw_code code = bw_pem_read_certificate(pem, where, &certificate, err);
    if (code == BW_OK)
        code = bw_pem_read_private_key(key_pem, key_where, &key, err);
    if (code == BW_OK)
        *fits = X509_check_private_key(certificate, key) == 1;
    X509_free(certificate);
    bw_key_destroy(key);
    ERR_clear_error();
    return code;
}

enum bw_code bw_certificate_issued_by(struct bw_view pem, const char *where, struct bw_view ca_pem,
                                      const char *ca_where, bool *yes, struct bw_error *err)
{
    X509 *certificate = NULL;
    enum bw_code code = bw_pem_read_certificate(pem, where, &certificate, err);
    if (code != BW_OK)
        return code;
    BIO *bio = ca_pem.len <= BW_PEM_MAX ? BIO_new_mem_buf(ca_pem.data, (int)ca_pem.len) : NULL;
    X509 *ca;
    unsigned read = 0;
    bool issued = false;
    while (bio != NULL && (ca = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL) {
        read++;
        issued = issued || X509_verify(certificate, X509_get0_pubkey(ca)) == 1;
        X509_free(ca);
    }
    BIO_free(bio);
    X509_free(certificate);
    ERR_clear_error();
    if (read == 0)
        return bw_fail(err, BW_INVALID_ARGUMENT, NULL, "%s: no certificate in PEM form", ca_where);
    *yes = issued;
    return BW_OK;
}
