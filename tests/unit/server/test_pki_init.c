#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "runtime/file.h"
#include "server/pki_cert.h"
#include "server/pki_init.h"

static const char *const files[] = {"ca.key",     "ca.crt",       "signer.key",    "signer.pub",
                                    "vault.key",  "vault.pub",    "vault.keyring", "server.key",
                                    "server.crt", "operator.key", "operator.crt",  "bailiwickd.yaml"};

static char root[64], directory[96], path[256];

static const char *in_directory(const char *name)
{
    snprintf(path, sizeof path, "%s/%s", directory, name);
    return path;
}

static int set_up(void **state)
{
    (void)state;
    snprintf(root, sizeof root, "/tmp/bw-init-XXXXXX");
    assert_non_null(mkdtemp(root));
    snprintf(directory, sizeof directory, "%s/eu", root);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    for (size_t i = 0; i < BW_ARRAY_LEN(files); i++)
        unlink(in_directory(files[i]));
    rmdir(directory);
    return rmdir(root);
}

static const char *const dns[] = {"eu.bailiwick.example"};
static const char *const ips[] = {"192.0.2.7"};

static struct bw_pki_init a_cell(void)
{
    return (struct bw_pki_init){
        .directory = directory, .cell = "eu", .dns = dns, .dns_count = 1, .ips = ips, .ip_count = 1};
}

static enum bw_code run(const struct bw_pki_init *init, struct bw_buf *report, struct bw_error *err)
{
    bw_buf_clear(report);
    return bw_pki_init(init, report, err);
}

static struct bw_buf contents(const char *name)
{
    struct bw_buf text = {0};
    assert_int_equal(bw_file_read(in_directory(name), BW_PEM_MAX, &text, NULL), BW_OK);
    return text;
}

static X509 *certificate(const char *name)
{
    struct bw_buf text = contents(name);
    X509 *out = NULL;
    assert_int_equal(bw_pem_read_certificate(bw_buf_view(&text), name, &out, NULL), BW_OK);
    bw_buf_finish(&text);
    return out;
}

static EVP_PKEY *private_key(const char *name)
{
    struct bw_buf text = {0};
    EVP_PKEY *out = NULL;
    assert_int_equal(bw_file_read_secret(in_directory(name), BW_PEM_MAX, &text, NULL), BW_OK);
    assert_int_equal(bw_pem_read_private_key(bw_buf_view(&text), name, &out, NULL), BW_OK);
    bw_pem_finish_secret(&text);
    return out;
}

static void assert_issued(const char *name, int purpose)
{
    char file[64];
    X509 *ca = certificate("ca.crt");
    snprintf(file, sizeof file, "%s.crt", name);
    X509 *leaf = certificate(file);
    snprintf(file, sizeof file, "%s.key", name);
    EVP_PKEY *key = private_key(file);
    X509_STORE *store = X509_STORE_new();
    X509_STORE_CTX *context = X509_STORE_CTX_new();
    X509_STORE_add_cert(store, ca);
    X509_STORE_CTX_init(context, store, leaf, NULL);
    X509_STORE_CTX_set_purpose(context, purpose);
    assert_int_equal(X509_verify_cert(context), 1);
    assert_int_equal(X509_check_private_key(leaf, key), 1);
    X509_STORE_CTX_free(context);
    X509_STORE_free(store);
    bw_key_destroy(key);
    bw_pki_certificate_destroy(leaf);
    bw_pki_certificate_destroy(ca);
}

static void a_new_cell_has_all_it_needs_with_private_keys_private(void **state)
{
    (void)state;
    struct bw_pki_init init = a_cell();
    struct bw_buf report = {0};
    struct bw_error err = {.show = ""};
    if (run(&init, &report, &err) != BW_OK)
        fail_msg("%s", err.show);
    for (size_t i = 0; i < BW_ARRAY_LEN(files); i++) {
        struct stat info;
        assert_int_equal(stat(in_directory(files[i]), &info), 0);
        bool public = strstr(files[i], ".crt") || strstr(files[i], ".pub");
        assert_int_equal(info.st_mode & 07777, public ? 0644 : 0600);
        char line[300];
        snprintf(line, sizeof line, "made %s\n", path);
        assert_non_null(strstr(bw_buf_cstr(&report), line));
    }
    assert_issued("server", X509_PURPOSE_SSL_SERVER);
    assert_issued("server", X509_PURPOSE_SSL_CLIENT);
    assert_issued("operator", X509_PURPOSE_SSL_CLIENT);
    X509 *server = certificate("server.crt");
    assert_int_equal(X509_check_host(server, "eu.bailiwick.example", 0, 0, NULL), 1);
    assert_int_equal(X509_check_host(server, "localhost", 0, 0, NULL), 1);
    assert_int_equal(X509_check_ip_asc(server, "192.0.2.7", 0), 1);
    assert_int_equal(X509_check_ip_asc(server, "::1", 0), 1);
    assert_int_equal(X509_check_ip_asc(server, "192.0.2.8", 0), 0);
    GENERAL_NAMES *names = X509_get_ext_d2i(server, NID_subject_alt_name, NULL, NULL);
    const GENERAL_NAME *first = sk_GENERAL_NAME_value(names, 0);
    assert_int_equal(first->type, GEN_URI);
    assert_string_equal((const char *)ASN1_STRING_get0_data(first->d.ia5),
                        "spiffe://eu.bailiwick.internal/replica/replica-1");
    GENERAL_NAMES_free(names);
    bw_pki_certificate_destroy(server);
    X509 *ca = certificate("ca.crt");
    assert_int_equal(X509_get_pathlen(ca), 0);
    bw_pki_certificate_destroy(ca);
    bw_buf_finish(&report);
}

static void a_second_run_keeps_every_byte_and_makes_only_what_is_missing(void **state)
{
    (void)state;
    struct bw_pki_init init = a_cell();
    struct bw_buf report = {0}, before[BW_ARRAY_LEN(files)];
    assert_int_equal(run(&init, &report, NULL), BW_OK);
    for (size_t i = 0; i < BW_ARRAY_LEN(files); i++)
        before[i] = contents(files[i]);
    assert_int_equal(unlink(in_directory("server.crt")), 0);
    assert_int_equal(run(&init, &report, NULL), BW_OK);
    for (size_t i = 0; i < BW_ARRAY_LEN(files); i++) {
        struct bw_buf after = contents(files[i]);
        bool same = bw_view_equal(bw_buf_view(&before[i]), bw_buf_view(&after));
        bool renewed = strcmp(files[i], "server.crt") == 0;
        char line[300];
        snprintf(line, sizeof line, "%s %s\n", renewed ? "made" : "kept", in_directory(files[i]));
        assert_non_null(strstr(bw_buf_cstr(&report), line));
        assert_int_equal(same, !renewed);
        bw_buf_finish(&before[i]);
        bw_buf_finish(&after);
    }
    assert_issued("server", X509_PURPOSE_SSL_SERVER);
    bw_buf_finish(&report);
}

static void your_own_ca_issues_and_its_key_stays_where_it_is(void **state)
{
    (void)state;
    char ca_path[128], key_path[128];
    uint8_t serial[16] = {5};
    struct bw_buf report = {0}, pem = {0};
    EVP_PKEY *key = NULL;
    X509 *ca = NULL;
    snprintf(ca_path, sizeof ca_path, "%s/your-ca.crt", root);
    snprintf(key_path, sizeof key_path, "%s/your-ca.key", root);
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    assert_int_equal(bw_key_generate(BW_KEY_P384, &key, NULL), BW_OK);
    assert_int_equal(bw_pki_create_ca(key, "Your CA", (uint64_t)now.tv_sec * 1000, serial, &ca, NULL), BW_OK);
    assert_int_equal(bw_pem_write_private_key(key, &pem, NULL), BW_OK);
    assert_int_equal(bw_file_create(key_path, 0644, bw_buf_view(&pem), NULL), BW_OK);
    bw_buf_clear(&pem);
    assert_int_equal(bw_pem_write_certificate(ca, &pem, NULL), BW_OK);
    assert_int_equal(bw_file_create(ca_path, 0644, bw_buf_view(&pem), NULL), BW_OK);
    struct bw_pki_init init = a_cell();
    struct bw_error err;
    init.ca_certificate = ca_path;
    assert_int_equal(run(&init, &report, &err), BW_INVALID_ARGUMENT);
    init.ca_key = key_path;
    assert_int_equal(run(&init, &report, &err), BW_PERMISSION_DENIED);
    assert_non_null(strstr(err.show, "chmod 600"));
    assert_int_equal(chmod(key_path, 0600), 0);
    assert_int_equal(run(&init, &report, &err), BW_OK);
    assert_int_equal(access(in_directory("ca.key"), F_OK), -1);
    assert_issued("server", X509_PURPOSE_SSL_SERVER);
    struct bw_buf config = contents("bailiwickd.yaml");
    assert_non_null(strstr(bw_buf_cstr(&config), key_path));
    bw_buf_finish(&config);
    bw_buf_finish(&report);
    bw_pem_finish_secret(&pem);
    bw_pki_certificate_destroy(ca);
    bw_key_destroy(key);
    unlink(ca_path);
    unlink(key_path);
}

static void bad_names_are_refused_before_anything_is_made(void **state)
{
    (void)state;
    static const char *const bad_dns[] = {"a b"}, *const bad_ip[] = {"1.2.3"};
    struct bw_pki_init cases[5];
    for (size_t i = 0; i < BW_ARRAY_LEN(cases); i++)
        cases[i] = a_cell();
    cases[0].cell = "EU";
    cases[1].replica = "";
    cases[2].trust_domain = "a/b";
    cases[3].dns = bad_dns;
    cases[4].ips = bad_ip;
    for (size_t i = 0; i < BW_ARRAY_LEN(cases); i++) {
        struct bw_buf report = {0};
        struct bw_error err = {.show = ""};
        assert_int_equal(run(&cases[i], &report, &err), BW_INVALID_ARGUMENT);
        assert_true(strlen(err.show) > 0);
        if (i < 4)
            assert_int_equal(access(directory, F_OK), -1);
        bw_buf_finish(&report);
    }
}

static void a_certificate_without_its_key_is_not_guessed_around(void **state)
{
    (void)state;
    struct bw_pki_init init = a_cell();
    struct bw_buf report = {0};
    struct bw_error err;
    assert_int_equal(run(&init, &report, &err), BW_OK);
    assert_int_equal(unlink(in_directory("operator.key")), 0);
    assert_int_equal(run(&init, &report, &err), BW_FAILED_PRECONDITION);
    assert_int_equal(unlink(in_directory("ca.key")), 0);
    assert_int_equal(run(&init, &report, &err), BW_FAILED_PRECONDITION);
    assert_non_null(strstr(err.show, "--ca-key"));
    bw_buf_finish(&report);
}

static void a_parent_that_is_missing_is_named(void **state)
{
    (void)state;
    struct bw_pki_init init = a_cell();
    struct bw_buf report = {0};
    struct bw_error err;
    init.directory = "/tmp/bw-no-such-folder/eu";
    assert_int_equal(run(&init, &report, &err), BW_NOT_FOUND);
    assert_non_null(strstr(err.show, "/tmp/bw-no-such-folder/eu"));
    bw_buf_finish(&report);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(a_new_cell_has_all_it_needs_with_private_keys_private),
        T(a_second_run_keeps_every_byte_and_makes_only_what_is_missing),
        T(your_own_ca_issues_and_its_key_stays_where_it_is),
        T(bad_names_are_refused_before_anything_is_made),
        T(a_certificate_without_its_key_is_not_guessed_around),
        T(a_parent_that_is_missing_is_named),
    };
#undef T
    return cmocka_run_group_tests(tests, NULL, NULL);
}
