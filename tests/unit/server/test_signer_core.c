#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <openssl/err.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "base/check.h"
#include "check_alloc.h"
#include "e2ee/grant.h"
#include "server/signer_core.h"

#define NOW_MS UINT64_C(1795600000000) /* November 2026 */
#define DOMAIN "eu.bailiwick.internal"

static const uint8_t serial[BW_PKI_SERIAL_SIZE] = {0x80, 2, 3};

struct cell {
    struct bw_signer_core *core;
    X509 *ca;
    EVP_PKEY *ca_key;
    uint8_t public_key[32];
};

static int set_up(void **state)
{
    static struct cell cell;
    uint8_t seed[32] = {1}, second[32] = {2};
    struct bw_error err;
    memset(&cell, 0, sizeof cell);
    assert_int_equal(bw_signer_core_create(&cell.core, &err), BW_OK);
    assert_int_equal(bw_signer_core_add_key(cell.core, seed, &err), BW_OK);
    assert_int_equal(bw_signer_core_add_key(cell.core, second, &err), BW_OK);
    assert_int_equal(bw_signer_core_add_key(cell.core, second, &err), BW_ALREADY_EXISTS);
    struct bw_ed25519_signer *signer;
    assert_int_equal(bw_ed25519_signer_create(seed, &signer, &err), BW_OK);
    bw_ed25519_signer_public(signer, cell.public_key);
    bw_ed25519_signer_destroy(signer);
    assert_int_equal(bw_key_generate(BW_KEY_P256, &cell.ca_key, &err), BW_OK);
    assert_int_equal(bw_pki_create_ca(cell.ca_key, "Bailiwick eu CA", NOW_MS, serial, &cell.ca, &err), BW_OK);
    X509_up_ref(cell.ca);
    EVP_PKEY_up_ref(cell.ca_key);
    assert_int_equal(
        bw_signer_core_set_ca(cell.core, cell.ca, cell.ca_key, DOMAIN, NOW_MS, "ca.crt", "ca.key", &err),
        BW_OK);
    *state = &cell;
    return 0;
}

static int tear_down(void **state)
{
    struct cell *cell = *state;
    bw_signer_core_destroy(cell->core);
    bw_pki_certificate_destroy(cell->ca);
    bw_key_destroy(cell->ca_key);
    return 0;
}

/* Views of the reply point into *storage. */
static struct bw_signer_reply ask(struct cell *cell, const struct bw_signer_request *request,
                                  struct bw_buf *storage)
{
    struct bw_view frame;
    size_t taken;
    struct bw_signer_reply reply;
    bw_buf_clear(storage);
    assert_true(bw_signer_core_answer(cell->core, request, NOW_MS, serial, storage));
    assert_int_equal(bw_signer_split(bw_buf_view(storage), &frame, &taken), BW_SIGNER_WHOLE);
    assert_true(bw_signer_decode_reply(frame, &reply));
    assert_int_equal(reply.id, request->id);
    return reply;
}

static void a_signed_root_verifies_as_a_batch_of_grants(void **state)
{
    struct cell *cell = *state;
    struct bw_buf storage = {0};
    struct bw_signer_request request = {.type = BW_SIGNER_SIGN_ROOT, .id = 5, .leaves = 3, .root = {{9}}};
    struct bw_signer_reply reply = ask(cell, &request, &storage);
    assert_int_equal(reply.type, BW_SIGNER_SIGNED);
    uint8_t bytes[BW_GRANT_SIGNED_SIZE], key_id[8];
    struct bw_ed25519_verifier *verifier;
    bw_grant_signed_bytes(&request.root, 3, bytes);
    assert_int_equal(bw_ed25519_verifier_create(cell->public_key, &verifier, NULL), BW_OK);
    assert_true(bw_ed25519_verify(verifier, bw_view_of(bytes, sizeof bytes), reply.signature));
    bw_ed25519_verifier_destroy(verifier);
    bw_grant_key_id(cell->public_key, key_id);
    assert_memory_equal(key_id, reply.key_id, 8);
    request.leaves = 0;
    assert_int_equal(ask(cell, &request, &storage).code, BW_INVALID_ARGUMENT);
    request.leaves = BW_GRANT_LEAVES_MAX + 1;
    assert_int_equal(ask(cell, &request, &storage).code, BW_INVALID_ARGUMENT);
    bw_buf_finish(&storage);
}

static void all_public_keys_are_published_and_the_first_signs(void **state)
{
    struct cell *cell = *state;
    struct bw_buf storage = {0};
    struct bw_signer_request request = {.type = BW_SIGNER_PUBLIC_KEYS};
    struct bw_signer_reply reply = ask(cell, &request, &storage);
    assert_int_equal(reply.type, BW_SIGNER_KEYS);
    assert_int_equal(reply.key_count, 2);
    assert_memory_equal(reply.keys[0], cell->public_key, 32);
    assert_true(reply.issues_certificates);
    bw_buf_finish(&storage);
}

static struct bw_signer_request issue_request(struct bw_buf *csr, const char *spiffe_id,
                                              enum bw_key_kind kind)
{
    struct bw_buf key = {0};
    bw_buf_clear(csr);
    assert_int_equal(bw_csr_create_with_key(kind, "asks to be somebody else", &key, csr, NULL), BW_OK);
    bw_pem_finish_secret(&key);
    return (struct bw_signer_request){
        .type = BW_SIGNER_ISSUE_CERT, .csr = bw_buf_view(csr), .spiffe_id = bw_view_str(spiffe_id)};
}

/* Verified by OpenSSL as a TLS peer would, at a given time. */
static int verify_chain(X509 *ca, X509 *leaf, int purpose, uint64_t at_ms)
{
    X509_STORE *store = X509_STORE_new();
    X509_STORE_CTX *context = X509_STORE_CTX_new();
    X509_STORE_add_cert(store, ca);
    X509_STORE_CTX_init(context, store, leaf, NULL);
    X509_VERIFY_PARAM_set_time(X509_STORE_CTX_get0_param(context), (time_t)(at_ms / 1000));
    X509_STORE_CTX_set_purpose(context, purpose);
    X509_STORE_CTX_set_flags(context, X509_V_FLAG_X509_STRICT);
    int ok = X509_verify_cert(context) == 1 ? X509_V_OK : X509_STORE_CTX_get_error(context);
    X509_STORE_CTX_free(context);
    X509_STORE_free(store);
    return ok;
}

static void assert_only_uri(X509 *leaf, const char *uri)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);
    assert_non_null(names);
    assert_int_equal(sk_GENERAL_NAME_num(names), 1);
    const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, 0);
    assert_int_equal(name->type, GEN_URI);
    assert_int_equal(ASN1_STRING_length(name->d.ia5), strlen(uri));
    assert_memory_equal(ASN1_STRING_get0_data(name->d.ia5), uri, strlen(uri));
    GENERAL_NAMES_free(names);
}

static void an_issued_certificate_is_a_client_of_this_cell_and_nothing_more(void **state)
{
    struct cell *cell = *state;
    struct bw_buf storage = {0}, csr = {0};
    for (int kind = BW_KEY_P256; kind <= BW_KEY_ED25519; kind++) {
        const char *id = "spiffe://" DOMAIN "/relay/par1";
        struct bw_signer_request request = issue_request(&csr, id, (enum bw_key_kind)kind);
        struct bw_signer_reply reply = ask(cell, &request, &storage);
        assert_int_equal(reply.type, BW_SIGNER_CERT);
        X509 *leaf = NULL, *ca = NULL;
        assert_int_equal(bw_pem_read_certificate(reply.certificate, "leaf", &leaf, NULL), BW_OK);
        assert_int_equal(bw_pem_read_certificate(reply.ca, "ca", &ca, NULL), BW_OK);
        assert_int_equal(X509_cmp(ca, cell->ca), 0);
        uint64_t day_ms = UINT64_C(86400000);
        assert_int_equal(verify_chain(cell->ca, leaf, X509_PURPOSE_SSL_CLIENT, NOW_MS), X509_V_OK);
        assert_int_equal(verify_chain(cell->ca, leaf, X509_PURPOSE_SSL_CLIENT, NOW_MS + 89 * day_ms),
                         X509_V_OK);
        assert_int_equal(verify_chain(cell->ca, leaf, X509_PURPOSE_SSL_CLIENT, NOW_MS + 91 * day_ms),
                         X509_V_ERR_CERT_HAS_EXPIRED);
        assert_int_equal(verify_chain(cell->ca, leaf, X509_PURPOSE_SSL_SERVER, NOW_MS),
                         X509_V_ERR_INVALID_PURPOSE);
        assert_only_uri(leaf, id);
        assert_int_equal(X509_check_ca(leaf), 0);
        char name[64];
        X509_NAME_get_text_by_NID(X509_get_subject_name(leaf), NID_commonName, name, sizeof name);
        assert_string_equal(name, "par1"); /* not what the request asked for */
        bw_pki_certificate_destroy(leaf);
        bw_pki_certificate_destroy(ca);
    }
    assert_int_equal(ERR_peek_error(), 0);
    bw_buf_finish(&storage);
    bw_buf_finish(&csr);
}

static void only_a_replica_may_serve(void **state)
{
    struct cell *cell = *state;
    struct bw_buf storage = {0}, csr = {0};
    struct bw_signer_request request = issue_request(&csr, "spiffe://" DOMAIN "/replica/r2", BW_KEY_P256);
    request.lifetime_s = 3600;
    struct bw_signer_reply reply = ask(cell, &request, &storage);
    X509 *leaf = NULL;
    assert_int_equal(bw_pem_read_certificate(reply.certificate, "leaf", &leaf, NULL), BW_OK);
    assert_int_equal(verify_chain(cell->ca, leaf, X509_PURPOSE_SSL_SERVER, NOW_MS), X509_V_OK);
    assert_int_equal(verify_chain(cell->ca, leaf, X509_PURPOSE_SSL_SERVER, NOW_MS + 3700 * 1000),
                     X509_V_ERR_CERT_HAS_EXPIRED);
    bw_pki_certificate_destroy(leaf);
    bw_buf_finish(&storage);
    bw_buf_finish(&csr);
}

static void a_name_outside_the_cell_or_its_grammar_is_refused(void **state)
{
    struct cell *cell = *state;
    struct bw_buf storage = {0}, csr = {0};
    static const char *const bad[] = {
        "",
        "https://" DOMAIN "/relay/par1",
        "spiffe://us.bailiwick.internal/relay/par1",
        "spiffe://" DOMAIN ".evil.example/relay/par1",
        "spiffe://" DOMAIN "/king/x",
        "spiffe://" DOMAIN "/relay/",
        "spiffe://" DOMAIN "/relay/Par1",
        "spiffe://" DOMAIN "/relay/-par1",
        "spiffe://" DOMAIN "/relay/par1/x",
        "spiffe://" DOMAIN "/relay/par1?x",
        "spiffe://" DOMAIN "/relay",
        "spiffe://" DOMAIN "/relay/"
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    };
    for (size_t i = 0; i < BW_ARRAY_LEN(bad); i++) {
        struct bw_signer_request request = issue_request(&csr, bad[i], BW_KEY_ED25519);
        assert_int_equal(ask(cell, &request, &storage).code, BW_INVALID_ARGUMENT);
    }
    struct bw_signer_request nul = issue_request(&csr, "", BW_KEY_ED25519);
    nul.spiffe_id =
        bw_view_of("spiffe://" DOMAIN "/relay/par1\0x", sizeof "spiffe://" DOMAIN "/relay/par1\0x" - 1);
    assert_int_equal(ask(cell, &nul, &storage).code, BW_INVALID_ARGUMENT);
    bw_buf_finish(&storage);
    bw_buf_finish(&csr);
}

static void a_bad_request_or_life_is_refused(void **state)
{
    struct cell *cell = *state;
    struct bw_buf storage = {0}, csr = {0};
    struct bw_signer_request request = issue_request(&csr, "spiffe://" DOMAIN "/app/web", BW_KEY_ED25519);
    request.lifetime_s = BW_PKI_LIFETIME_MAX_S + 1;
    assert_int_equal(ask(cell, &request, &storage).code, BW_INVALID_ARGUMENT);
    request.lifetime_s = 0;
    csr.data[60] ^= 1;
    assert_int_equal(ask(cell, &request, &storage).code, BW_INVALID_ARGUMENT);
    request.csr = bw_view_str("junk");
    assert_int_equal(ask(cell, &request, &storage).code, BW_INVALID_ARGUMENT);
    bw_buf_finish(&storage);
    bw_buf_finish(&csr);
}

static void a_pair_that_is_no_ca_is_refused_by_name(void **state)
{
    struct cell *cell = *state;
    struct bw_error err;
    EVP_PKEY *other = NULL;
    assert_int_equal(bw_key_generate(BW_KEY_P256, &other, NULL), BW_OK);
    assert_int_equal(bw_pki_check_ca(cell->ca, other, NOW_MS, "ca.crt", "ca.key", &err), BW_INVALID_ARGUMENT);
    assert_non_null(strstr(err.show, "ca.key is not the key"));
    uint64_t eleven_years_ms = UINT64_C(11) * 366 * 86400000;
    assert_int_equal(
        bw_pki_check_ca(cell->ca, cell->ca_key, NOW_MS + eleven_years_ms, "ca.crt", "ca.key", &err),
        BW_FAILED_PRECONDITION);
    struct bw_pki_profile profile = {
        .common_name = "x", .spiffe_id = "spiffe://" DOMAIN "/app/x", .now_ms = NOW_MS, .lifetime_s = 60};
    X509 *leaf = NULL;
    assert_int_equal(bw_pki_issue(cell->ca, cell->ca_key, other, &profile, &leaf, &err), BW_OK);
    assert_int_equal(bw_pki_check_ca(leaf, other, NOW_MS, "leaf.crt", "leaf.key", &err), BW_INVALID_ARGUMENT);
    assert_non_null(strstr(err.show, "leaf.crt: not a CA"));
    bw_pki_certificate_destroy(leaf);
    profile.now_ms = NOW_MS + eleven_years_ms;
    assert_int_equal(bw_pki_issue(cell->ca, cell->ca_key, other, &profile, &leaf, &err),
                     BW_FAILED_PRECONDITION);
    /* What is issued never outlives the CA. */
    profile.now_ms = NOW_MS + UINT64_C(3651) * 86400000;
    profile.lifetime_s = BW_PKI_LIFETIME_MAX_S;
    assert_int_equal(bw_pki_issue(cell->ca, cell->ca_key, other, &profile, &leaf, &err), BW_OK);
    assert_int_equal(ASN1_TIME_compare(X509_get0_notAfter(leaf), X509_get0_notAfter(cell->ca)), 0);
    bw_pki_certificate_destroy(leaf);
    bw_key_destroy(other);
}

static void a_signer_without_ca_says_what_to_do(void **state)
{
    (void)state;
    struct cell cell = {0};
    struct bw_buf storage = {0}, csr = {0};
    uint8_t seed[32] = {1};
    assert_int_equal(bw_signer_core_create(&cell.core, NULL), BW_OK);
    struct bw_signer_request request = {.type = BW_SIGNER_SIGN_ROOT, .leaves = 1};
    assert_int_equal(ask(&cell, &request, &storage).code, BW_FAILED_PRECONDITION);
    assert_int_equal(bw_signer_core_add_key(cell.core, seed, NULL), BW_OK);
    request = issue_request(&csr, "spiffe://" DOMAIN "/app/web", BW_KEY_ED25519);
    struct bw_signer_reply reply = ask(&cell, &request, &storage);
    assert_int_equal(reply.code, BW_FAILED_PRECONDITION);
    assert_non_null(memmem(reply.text.data, reply.text.len, "your own CA", 11));
    request = (struct bw_signer_request){.type = BW_SIGNER_PUBLIC_KEYS};
    assert_false(ask(&cell, &request, &storage).issues_certificates);
    bw_signer_core_destroy(cell.core);
    bw_buf_finish(&storage);
    bw_buf_finish(&csr);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(a_signed_root_verifies_as_a_batch_of_grants),
        T(all_public_keys_are_published_and_the_first_signs),
        T(an_issued_certificate_is_a_client_of_this_cell_and_nothing_more),
        T(only_a_replica_may_serve),
        T(a_name_outside_the_cell_or_its_grammar_is_refused),
        T(a_bad_request_or_life_is_refused),
        T(a_pair_that_is_no_ca_is_refused_by_name),
        cmocka_unit_test(a_signer_without_ca_says_what_to_do),
    };
#undef T
    return cmocka_run_group_tests(tests, NULL, NULL);
}
