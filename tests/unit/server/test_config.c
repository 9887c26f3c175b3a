#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "server/config.h"

static struct bw_arena *arena;
static struct bw_diags diags;
static char path[256];

static enum bw_code load(const char *text, struct bw_daemon_config **config, struct bw_error *err)
{
    const char *folder = getenv("TMPDIR");
    snprintf(path, sizeof path, "%s/config-XXXXXX", folder != NULL ? folder : "/tmp");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    enum bw_code code = bw_daemon_config_load(path, arena, &diags, config, err);
    unlink(path);
    return code;
}

static int setup(void **state)
{
    (void)state;
    arena = bw_arena_create(16 << 20);
    bw_diags_init(&diags);
    return arena == NULL;
}

static int teardown(void **state)
{
    (void)state;
    bw_diags_finish(&diags);
    bw_arena_destroy(arena);
    return 0;
}

static const char smallest[] = "apiVersion: bailiwick/v1\n"
                               "kind: DaemonConfig\n"
                               "cell: eu\n"
                               "listen:\n"
                               "  tls: { certificate: s.crt, key: /etc/s.key, ca: ca.crt }\n"
                               "database: { conninfo: dbname=bailiwick }\n"
                               "signer: { key: signer.key }\n";

static void a_keyring_is_a_file_or_a_credential_and_no_vault_is_none(void **state)
{
    (void)state;
    struct bw_daemon_config *config = NULL;
    struct bw_error err;
    char text[1024];
    assert_int_equal(load(smallest, &config, &err), BW_OK);
    assert_null(config->vault_conninfo);
    static const char *const keyrings[] = {"vault.keyring", "/etc/vault.keyring", "credential:keyring"};
    for (size_t i = 0; i < 3; i++) {
        snprintf(
            text, sizeof text,
            "%svault: { conninfo: user=v, keyring: \"%s\", serviceKey: v.key, servicePublicKey: v.pub }\n",
            smallest, keyrings[i]);
        assert_int_equal(load(text, &config, &err), BW_OK);
        assert_string_equal(config->vault_conninfo, "user=v");
        assert_int_equal(config->vault_sweep_ms, 3600000);
        if (i > 0)
            assert_string_equal(config->vault_keyring, keyrings[i]);
        else
            assert_true(config->vault_keyring[0] == '/' &&
                        strstr(config->vault_keyring, "/vault.keyring") != NULL);
    }
    snprintf(text, sizeof text, "%svault: { conninfo: user=v, keyring: k }\n", smallest);
    assert_int_equal(load(text, &config, &err), BW_INVALID_ARGUMENT);
}

static void what_is_not_stated_has_its_documented_value(void **state)
{
    (void)state;
    struct bw_daemon_config *config = NULL;
    struct bw_error err;
    assert_int_equal(load(smallest, &config, &err), BW_OK);
    assert_string_equal(config->trust_domain, "eu.bailiwick.internal");
    assert_int_equal(config->listen_port, 7443);
    assert_string_equal(config->listen_address, "::");
    assert_string_equal(config->http_address, "127.0.0.1");
    assert_int_equal(config->lease_ms, 10000);
    assert_int_equal(config->meeting_max_age_ms, 2 * 86400000);
    assert_int_equal(config->empty_meeting_ms, 600000);
    assert_int_equal(config->drain_ms, 20000);
    assert_int_equal(config->escrow_block, 64);
    assert_int_equal(config->grant_life_ms, 120000);
    assert_int_equal(config->http_port, 0);
    assert_int_equal(config->log_level, BW_LOG_INFO);
    assert_false(config->insecure);
    assert_null(config->geo_database);
}

static void paths_are_relative_to_the_file(void **state)
{
    (void)state;
    struct bw_daemon_config *config = NULL;
    struct bw_error err;
    assert_int_equal(load(smallest, &config, &err), BW_OK);
    char folder[256];
    snprintf(folder, sizeof folder, "%.*s", (int)(strrchr(path, '/') - path), path);
    assert_true(strncmp(config->certificate, folder, strlen(folder)) == 0);
    assert_string_equal(config->key, "/etc/s.key");
}

static void every_mistake_is_told_in_one_run(void **state)
{
    (void)state;
    struct bw_daemon_config *config = NULL;
    struct bw_error err;
    assert_int_equal(load("apiVersion: bailiwick/v1\n"
                          "kind: DaemonConfig\n"
                          "cell: EU\n"
                          "listen: { port: 70000 }\n"
                          "database: { conninfo: dbname=x, pasword: y }\n"
                          "signer: { key: k, caKey: ca.key }\n"
                          "limits: { lease: 1s }\n",
                          &config, &err),
                     BW_INVALID_ARGUMENT);
    assert_null(config);
    assert_int_equal(diags.errors, 4); /* cell, port, pasword, lease */
    struct bw_buf text = {0};
    bw_diags_human(&diags, false, &text);
    assert_non_null(strstr(bw_buf_cstr(&text), "pasword"));
    bw_buf_finish(&text);
}

static void contradictions_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"listen: {}\ndatabase: { conninfo: x }\nsigner: { key: k }\n", "tls"},
        {"listen: { insecure: true, tls: { certificate: a, key: b, ca: c } }\n"
         "database: { conninfo: x }\nsigner: { key: k }\n",
         "exclude"},
        {"listen: { insecureCaller: x, tls: { certificate: a, key: b, ca: c } }\n"
         "database: { conninfo: x }\nsigner: { key: k }\n",
         "insecureCaller"},
        {"listen: { insecure: true }\ndatabase: { conninfo: x }\nsigner: { key: k, caKey: c }\n",
         "caCertificate"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[1024];
        struct bw_daemon_config *config = NULL;
        struct bw_error err;
        snprintf(text, sizeof text, "apiVersion: bailiwick/v1\nkind: DaemonConfig\ncell: eu\n%s",
                 cases[i].text);
        assert_int_equal(load(text, &config, &err), BW_INVALID_ARGUMENT);
        assert_non_null(strstr(err.show, cases[i].says));
        bw_diags_finish(&diags);
        bw_diags_init(&diags);
    }
}

static void a_missing_file_says_how_to_make_one(void **state)
{
    (void)state;
    struct bw_daemon_config *config = NULL;
    struct bw_error err;
    assert_int_equal(bw_daemon_config_load("/nonexistent/bailiwickd.yaml", arena, &diags, &config, &err),
                     BW_NOT_FOUND);
    assert_non_null(strstr(err.show, "bailiwickd init"));
}

static void a_file_that_cannot_be_read_is_named_with_the_cause(void **state)
{
    (void)state;
    struct bw_daemon_config *config = NULL;
    struct bw_error err;
    assert_int_equal(bw_daemon_config_load("/", arena, &diags, &config, &err), BW_INVALID_ARGUMENT);
    assert_non_null(strstr(err.show, "not a regular file"));
    assert_null(config);
}

/* The page is printed from the decoder's own table; BW_WRITE_REFERENCE=1 writes it anew. */
static void the_reference_page_is_the_decoders(void **state)
{
    (void)state;
    static const char page_path[] = BW_SOURCE_DIR "/docs/reference/bailiwickd.md";
    struct bw_buf page = {0};
    bw_field_reference(&bw_daemon_config_table, &page);
    if (getenv("BW_WRITE_REFERENCE") != NULL) {
        FILE *out = fopen(page_path, "w");
        assert_non_null(out);
        assert_int_equal(fwrite(page.data, 1, page.len, out), page.len);
        fclose(out);
    }
    FILE *in = fopen(page_path, "r");
    assert_non_null(in);
    struct bw_buf kept = {0};
    char chunk[4096];
    size_t n;
    while ((n = fread(chunk, 1, sizeof chunk, in)) > 0)
        bw_buf_append(&kept, chunk, n);
    fclose(in);
    assert_true(bw_view_equal(bw_buf_view(&page), bw_buf_view(&kept)));
    bw_buf_finish(&page);
    bw_buf_finish(&kept);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_not_stated_has_its_documented_value, setup, teardown),
        cmocka_unit_test_setup_teardown(paths_are_relative_to_the_file, setup, teardown),
        cmocka_unit_test_setup_teardown(a_keyring_is_a_file_or_a_credential_and_no_vault_is_none, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(every_mistake_is_told_in_one_run, setup, teardown),
        cmocka_unit_test_setup_teardown(contradictions_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(a_missing_file_says_how_to_make_one, setup, teardown),
        cmocka_unit_test_setup_teardown(a_file_that_cannot_be_read_is_named_with_the_cause, setup, teardown),
        cmocka_unit_test_setup_teardown(the_reference_page_is_the_decoders, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
