#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "base/check.h"
#include "check_alloc.h"
#include "crypto/csr.h"
#include "hex.h"

static void an_ed25519_key_survives_pem_both_ways(void **state)
{
    (void)state;
    uint8_t seed[32], back[32], public_key[32], public_back[32];
    memcpy(seed, hex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60").data, 32);
    struct bw_buf pem = {0};
    assert_int_equal(bw_pem_write_ed25519_seed(seed, &pem, NULL), BW_OK);
    /* RFC 8410's form, byte for byte what openssl genpkey writes. */
    assert_string_equal(bw_buf_cstr(&pem),
                        "-----BEGIN PRIVATE KEY-----\n"
                        "MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n"
                        "-----END PRIVATE KEY-----\n");
    assert_int_equal(bw_pem_read_ed25519_seed(bw_buf_view(&pem), "signer.key", back, NULL), BW_OK);
    assert_memory_equal(seed, back, 32);
    bw_pem_finish_secret(&pem);
    memcpy(public_key, hex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a").data, 32);
    assert_int_equal(bw_pem_write_ed25519_public(public_key, &pem, NULL), BW_OK);
    assert_int_equal(bw_pem_read_ed25519_public(bw_buf_view(&pem), "grant.pub", public_back, NULL), BW_OK);
    assert_memory_equal(public_key, public_back, 32);
    bw_buf_finish(&pem);
}

static void what_is_no_key_is_refused_by_name_and_leaves_no_openssl_error(void **state)
{
    (void)state;
    struct bw_error err;
    EVP_PKEY *key = NULL;
    X509 *certificate = NULL;
    uint8_t raw[32];
    struct bw_view junk = bw_view_str("-----BEGIN NOTHING-----\n");
    struct bw_view empty = bw_view_of(NULL, 0);
    assert_int_equal(bw_pem_read_private_key(junk, "ca.key", &key, &err), BW_INVALID_ARGUMENT);
    assert_non_null(strstr(err.show, "ca.key: "));
    assert_non_null(strstr(err.show, "BEGIN PRIVATE KEY"));
    assert_int_equal(bw_pem_read_private_key(empty, "ca.key", &key, &err), BW_INVALID_ARGUMENT);
    assert_int_equal(bw_pem_read_certificate(junk, "ca.crt", &certificate, &err), BW_INVALID_ARGUMENT);
    assert_int_equal(bw_pem_read_ed25519_public(junk, "grant.pub", raw, &err), BW_INVALID_ARGUMENT);
    assert_int_equal(bw_csr_public_key(junk, "relay.csr", &key, &err), BW_INVALID_ARGUMENT);
    assert_int_equal(bw_csr_public_key(empty, "relay.csr", &key, &err), BW_INVALID_ARGUMENT);
    static const char large[BW_PEM_MAX + 1];
    assert_int_equal(bw_pem_read_private_key(bw_view_of(large, sizeof large), "ca.key", &key, &err),
                     BW_INVALID_ARGUMENT);
    assert_null(key);
    assert_null(certificate);
    assert_int_equal(ERR_peek_error(), 0);
}

static void an_encrypted_key_is_told_apart_and_nobody_is_asked_for_a_passphrase(void **state)
{
    (void)state;
    EVP_PKEY *key = NULL, *read = NULL;
    assert_int_equal(bw_key_generate(BW_KEY_P256, &key, NULL), BW_OK);
    BIO *bio = BIO_new(BIO_s_mem());
    char pass[] = "secret";
    assert_int_equal(PEM_write_bio_PKCS8PrivateKey(bio, key, EVP_aes_256_cbc(), pass, 6, NULL, NULL), 1);
    char *text;
    long len = BIO_get_mem_data(bio, &text);
    struct bw_error err;
    assert_int_equal(bw_pem_read_private_key(bw_view_of(text, (size_t)len), "ca.key", &read, &err),
                     BW_INVALID_ARGUMENT);
    assert_non_null(strstr(err.show, "passphrase"));
    BIO_free(bio);
    bw_key_destroy(key);
}

static void a_key_of_the_wrong_kind_is_refused_saying_which(void **state)
{
    (void)state;
    struct bw_error err;
    uint8_t seed[32];
    struct bw_buf pem = {0};
    EVP_PKEY *key = NULL;
    assert_int_equal(bw_key_generate(BW_KEY_P256, &key, NULL), BW_OK);
    assert_int_equal(bw_pem_write_private_key(key, &pem, NULL), BW_OK);
    assert_int_equal(bw_pem_read_ed25519_seed(bw_buf_view(&pem), "signer.key", seed, &err),
                     BW_INVALID_ARGUMENT);
    assert_non_null(strstr(err.show, "ed25519"));
    bw_key_destroy(key);
    bw_pem_finish_secret(&pem);
    EVP_PKEY *rsa = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048);
    EVP_PKEY *p521 = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-521");
    assert_int_equal(bw_key_check_kind(rsa, "x.csr", &err), BW_INVALID_ARGUMENT);
    assert_non_null(strstr(err.show, "RSA"));
    assert_int_equal(bw_key_check_kind(p521, "x.csr", &err), BW_INVALID_ARGUMENT);
    assert_non_null(strstr(err.show, "secp521r1"));
    EVP_PKEY_free(rsa);
    EVP_PKEY_free(p521);
}

static void a_request_carries_its_key_and_is_signed_by_it(void **state)
{
    (void)state;
    for (int kind = BW_KEY_P256; kind <= BW_KEY_ED25519; kind++) {
        struct bw_buf key_pem = {0}, csr_pem = {0};
        EVP_PKEY *private_key = NULL, *public_key = NULL;
        assert_int_equal(bw_csr_create_with_key((enum bw_key_kind)kind, "par1", &key_pem, &csr_pem, NULL),
                         BW_OK);
        assert_int_equal(bw_csr_public_key(bw_buf_view(&csr_pem), "par1.csr", &public_key, NULL), BW_OK);
        assert_int_equal(bw_pem_read_private_key(bw_buf_view(&key_pem), "par1.key", &private_key, NULL),
                         BW_OK);
        assert_int_equal(EVP_PKEY_eq(private_key, public_key), 1);
        bw_key_destroy(public_key);
        bw_key_destroy(private_key);
        /* The same request as DER, and DER with something behind it. */
        X509_REQ *request = NULL;
        assert_int_equal(bw_pem_read_request(bw_buf_view(&csr_pem), "par1.csr", &request, NULL), BW_OK);
        uint8_t der[2048], *p = der;
        int len = i2d_X509_REQ(request, &p);
        X509_REQ_free(request);
        assert_int_equal(bw_csr_public_key(bw_view_of(der, (size_t)len), "par1.csr", &public_key, NULL),
                         BW_OK);
        bw_key_destroy(public_key);
        assert_int_equal(bw_csr_public_key(bw_view_of(der, (size_t)len + 1), "par1.csr", &public_key, NULL),
                         BW_INVALID_ARGUMENT);
        /* A changed bit anywhere breaks the proof of possession, or the request itself. */
        for (int at = 0; at < len; at++) {
            EVP_PKEY *key = NULL;
            der[at] ^= 0x10;
            if (bw_csr_public_key(bw_view_of(der, (size_t)len), "par1.csr", &key, NULL) == BW_OK)
                fail_msg("byte %d", at);
            der[at] ^= 0x10;
        }
        assert_int_equal(ERR_peek_error(), 0);
        bw_pem_finish_secret(&key_pem);
        bw_buf_finish(&csr_pem);
    }
}

static void a_request_needs_a_name_of_sensible_length(void **state)
{
    (void)state;
    struct bw_buf key_pem = {0}, csr_pem = {0};
    char name[66];
    memset(name, 'a', sizeof name);
    name[65] = '\0';
    assert_int_equal(bw_csr_create_with_key(BW_KEY_ED25519, "", &key_pem, &csr_pem, NULL),
                     BW_INVALID_ARGUMENT);
    assert_int_equal(bw_csr_create_with_key(BW_KEY_ED25519, name, &key_pem, &csr_pem, NULL),
                     BW_INVALID_ARGUMENT);
    assert_int_equal(key_pem.len + csr_pem.len, 0);
}

static bool make_request(void *context)
{
    (void)context;
    struct bw_buf key_pem = {0}, csr_pem = {0};
    bool ok = bw_csr_create_with_key(BW_KEY_ED25519, "par1", &key_pem, &csr_pem, NULL) == BW_OK;
    if (!ok)
        assert_int_equal(key_pem.len + csr_pem.len, 0);
    bw_pem_finish_secret(&key_pem);
    bw_buf_finish(&csr_pem);
    return ok;
}

static void running_out_of_memory_is_an_error(void **state)
{
    (void)state;
    assert_true(bw_fail_each_allocation(make_request, NULL, true) >= 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_ed25519_key_survives_pem_both_ways),
        cmocka_unit_test(what_is_no_key_is_refused_by_name_and_leaves_no_openssl_error),
        cmocka_unit_test(an_encrypted_key_is_told_apart_and_nobody_is_asked_for_a_passphrase),
        cmocka_unit_test(a_key_of_the_wrong_kind_is_refused_saying_which),
        cmocka_unit_test(a_request_carries_its_key_and_is_signed_by_it),
        cmocka_unit_test(a_request_needs_a_name_of_sensible_length),
        cmocka_unit_test(running_out_of_memory_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
