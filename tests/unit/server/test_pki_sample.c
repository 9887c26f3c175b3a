#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "runtime/file.h"
#include "server/config.h"
#include "server/pki_init.h"

static void load(const struct bw_pki_init *init, const char *ca_key, struct bw_arena *arena,
                 struct bw_daemon_config **config)
{
    char folder[] = "/tmp/bw-sample-XXXXXX", file[64];
    struct bw_buf text = {0};
    struct bw_diags diags;
    struct bw_error err = {.show = ""};
    assert_non_null(mkdtemp(folder));
    snprintf(file, sizeof file, "%s/bailiwickd.yaml", folder);
    bw_pki_sample_config(init, "eu.bailiwick.internal", ca_key, &text);
    assert_int_equal(bw_file_create(file, 0600, bw_buf_view(&text), NULL), BW_OK);
    bw_diags_init(&diags);
    enum bw_code code = bw_daemon_config_load(file, arena, &diags, config, &err);
    unlink(file);
    rmdir(folder);
    bw_buf_finish(&text);
    struct bw_buf words = {0};
    bw_diags_human(&diags, false, &words);
    bw_diags_finish(&diags);
    if (code != BW_OK)
        fail_msg("%s\n%s", err.show, bw_buf_cstr(&words));
    bw_buf_finish(&words);
}

static void the_configuration_that_init_writes_loads(void **state)
{
    (void)state;
    static const char *const dns[] = {"eu.bailiwick.example"};
    const struct bw_pki_init init = {.directory = "eu", .cell = "eu", .dns = dns, .dns_count = 1};
    struct bw_arena *arena = bw_arena_create(1 << 20);
    struct bw_daemon_config *config = NULL;
    load(&init, "ca.key", arena, &config);
    assert_string_equal(config->cell, "eu");
    assert_string_equal(config->trust_domain, "eu.bailiwick.internal");
    assert_string_equal(config->replica_endpoint, "eu.bailiwick.example:7443");
    assert_non_null(strstr(config->certificate, "/server.crt"));
    assert_non_null(strstr(config->ca, "/ca.crt"));
    assert_non_null(strstr(config->signer_key, "/signer.key"));
    assert_non_null(strstr(config->ca_key, "/ca.key"));
    assert_non_null(strstr(config->vault_keyring, "/vault.keyring"));
    assert_non_null(strstr(config->vault_service_key, "/vault.key"));
    assert_non_null(strstr(config->vault_service_public, "/vault.pub"));
    /* The two users of the database are two. */
    assert_string_not_equal(config->conninfo, config->vault_conninfo);
    assert_false(config->insecure);
    bw_arena_destroy(arena);
}

static void a_path_with_odd_characters_stays_one_value(void **state)
{
    (void)state;
    const struct bw_pki_init init = {.directory = "eu", .cell = "eu"};
    struct bw_arena *arena = bw_arena_create(1 << 20);
    struct bw_daemon_config *config = NULL;
    const char *odd = "/srv/\"keys\"\\ca: #1.key";
    load(&init, odd, arena, &config);
    assert_string_equal(config->ca_key, odd);
    bw_arena_destroy(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_configuration_that_init_writes_loads),
        cmocka_unit_test(a_path_with_odd_characters_stays_one_value),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
