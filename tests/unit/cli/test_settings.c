#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "cli/cli.h"
#include "cli/exit.h"
#include "cli/settings.h"

/* ---- a world to resolve in ---- */

static const char *environment[16][2];

static const char *env(const char *name)
{
    for (size_t i = 0; i < 16 && environment[i][0] != NULL; i++)
        if (strcmp(environment[i][0], name) == 0)
            return environment[i][1];
    return NULL;
}

static void set(const char *name, const char *value)
{
    size_t i = 0;
    while (environment[i][0] != NULL)
        i++;
    environment[i][0] = name;
    environment[i][1] = value;
}

static int clean(void **state)
{
    (void)state;
    memset(environment, 0, sizeof environment);
    return 0;
}

static const char two[] =
    "apiVersion: bailiwick/v1\n"
    "kind: CliConfig\n"
    "current: prod\n"
    "contexts:\n"
    "  - { name: prod, endpoint: \"cell.example:7443\", ca: ca.crt, cert: /etc/me.crt, key: me.key,\n"
    "      tenant: chu-lyon }\n"
    "  - { name: test, endpoint: \"localhost:7443\", insecure: true }\n";

struct world {
    struct bw_arena *arena;
    struct bw_cli_config config;
    struct bw_args args;
    struct bw_settings settings;
    struct bw_error err;
};

static enum bw_code parse_config(struct world *world, const char *text)
{
    struct bw_diags diags;
    struct bw_source source = {"config.yaml", bw_view_str(text)};
    bw_diags_init(&diags);
    enum bw_code code = bw_cli_config_parse(&source, world->arena, &diags, &world->config, &world->err);
    bw_diags_finish(&diags);
    return code;
}

/* The settings of `bailiwick ARGUMENTS… version` with that file (NULL: none). */
static enum bw_code resolve(struct world *world, const char *config, int argc, const char *const *argv)
{
    memset(world, 0, sizeof *world);
    world->arena = bw_arena_create(1 << 22);
    if (config != NULL)
        assert_int_equal(parse_config(world, config), BW_OK);
    assert_int_equal(bw_args_parse(&bw_cli_line, argc, argv, world->arena, &world->args, &world->err), BW_OK);
    return bw_settings_resolve(&world->args, env, "/srv/one/.config/bailiwick/config.yaml",
                               config != NULL ? &world->config : NULL, world->arena, &world->settings,
                               &world->err);
}

#define RESOLVE(world, config, ...)                                                                          \
    resolve((world), (config), (int)(sizeof((const char *[]){"bailiwick", __VA_ARGS__}) / sizeof(char *)),   \
            (const char *[]){"bailiwick", __VA_ARGS__, NULL})

static void done(struct world *world)
{
    bw_arena_destroy(world->arena);
}

/* ---- precedence ---- */

static void flag_goes_before_environment_before_context(void **state)
{
    (void)state;
    struct world w;
    assert_int_equal(RESOLVE(&w, two, "version"), BW_OK);
    assert_string_equal(w.settings.endpoint.value, "cell.example:7443");
    assert_string_equal(w.settings.endpoint.origin, "context prod");
    done(&w);
    set("BAILIWICK_ENDPOINT", "env.example:1");
    assert_int_equal(RESOLVE(&w, two, "version"), BW_OK);
    assert_string_equal(w.settings.endpoint.value, "env.example:1");
    assert_string_equal(w.settings.endpoint.origin, "BAILIWICK_ENDPOINT");
    done(&w);
    assert_int_equal(RESOLVE(&w, two, "version", "--endpoint", "flag.example:2"), BW_OK);
    assert_string_equal(w.settings.endpoint.value, "flag.example:2");
    assert_string_equal(w.settings.endpoint.origin, "--endpoint");
    /* What is not overridden is still the context's. */
    assert_string_equal(w.settings.tenant.value, "chu-lyon");
    done(&w);
}

static void context_is_chosen_by_flag_then_environment_then_file(void **state)
{
    (void)state;
    struct world w;
    set("BAILIWICK_CONTEXT", "test");
    assert_int_equal(RESOLVE(&w, two, "version"), BW_OK);
    assert_string_equal(w.settings.endpoint.value, "localhost:7443");
    assert_true(w.settings.insecure);
    done(&w);
    assert_int_equal(RESOLVE(&w, two, "--context", "prod", "version"), BW_OK);
    assert_string_equal(w.settings.endpoint.value, "cell.example:7443");
    assert_false(w.settings.insecure);
    done(&w);
}

static void context_that_is_not_there_is_refused_with_its_origin(void **state)
{
    (void)state;
    struct world w;
    set("BAILIWICK_CONTEXT", "prd");
    assert_int_equal(RESOLVE(&w, two, "version"), BW_NOT_FOUND);
    assert_non_null(strstr(w.err.show, "BAILIWICK_CONTEXT names the context 'prd'"));
    done(&w);
}

static void files_of_a_context_lie_beside_the_configuration(void **state)
{
    (void)state;
    struct world w;
    set("BAILIWICK_KEY", "here.key");
    assert_int_equal(RESOLVE(&w, two, "version"), BW_OK);
    assert_string_equal(w.settings.ca.value, "/srv/one/.config/bailiwick/ca.crt");
    assert_string_equal(w.settings.cert.value, "/etc/me.crt");
    assert_string_equal(w.settings.key.value, "here.key"); /* not of the file: relative to where one is */
    done(&w);
}

static void timeout_is_a_duration_wherever_it_is_from(void **state)
{
    (void)state;
    struct world w;
    assert_int_equal(RESOLVE(&w, NULL, "version"), BW_OK);
    assert_int_equal(w.settings.timeout_ms, BW_TIMEOUT_DEFAULT_MS);
    assert_null(w.settings.endpoint.value);
    done(&w);
    set("BAILIWICK_TIMEOUT", "2s");
    assert_int_equal(RESOLVE(&w, NULL, "version"), BW_OK);
    assert_int_equal(w.settings.timeout_ms, 2000);
    done(&w);
    assert_int_equal(RESOLVE(&w, NULL, "version", "--timeout", "500ms"), BW_OK);
    assert_int_equal(w.settings.timeout_ms, 500);
    done(&w);
    clean(NULL);
    set("BAILIWICK_TIMEOUT", "soon");
    assert_int_equal(RESOLVE(&w, NULL, "version"), BW_INVALID_ARGUMENT);
    done(&w);
}

static void path_follows_flag_variable_and_xdg(void **state)
{
    (void)state;
    struct bw_arena *arena = bw_arena_create(1 << 16);
    assert_null(bw_cli_config_path(NULL, env, arena));
    set("HOME", "/srv/one");
    assert_string_equal(bw_cli_config_path(NULL, env, arena), "/srv/one/.config/bailiwick/config.yaml");
    set("XDG_CONFIG_HOME", "/srv/one/etc");
    assert_string_equal(bw_cli_config_path(NULL, env, arena), "/srv/one/etc/bailiwick/config.yaml");
    set("BAILIWICK_CONFIG", "mine.yaml");
    assert_string_equal(bw_cli_config_path(NULL, env, arena), "mine.yaml");
    assert_string_equal(bw_cli_config_path("other.yaml", env, arena), "other.yaml");
    clean(NULL);
    set("HOME", "/srv/one");
    set("XDG_CONFIG_HOME", "relative"); /* to be ignored, says XDG */
    assert_string_equal(bw_cli_config_path(NULL, env, arena), "/srv/one/.config/bailiwick/config.yaml");
    bw_arena_destroy(arena);
}

/* ---- the file ---- */

#define HEAD "apiVersion: bailiwick/v1\nkind: CliConfig\n"

static void configuration_is_read_strictly(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        HEAD "current: gone\n",
        HEAD "contexts: [{ name: a, endpoint: x, token: y }]\n",
        HEAD "contexts: [{ name: a }]\n",
        HEAD "contexts: [{ name: a, endpoint: x }, { name: a, endpoint: y }]\n",
        "apiVersion: bailiwick/v1\nkind: TenantPolicy\n",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct world w = {.arena = bw_arena_create(1 << 22)};
        if (parse_config(&w, wrong[i]) != BW_INVALID_ARGUMENT)
            fail_msg("accepted: %s", wrong[i]);
        done(&w);
    }
}

static void configuration_that_is_written_reads_back(void **state)
{
    (void)state;
    char folder[] = "/tmp/bailiwick-cli-XXXXXX", path[64];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/new/config.yaml", folder);
    struct world w = {.arena = bw_arena_create(1 << 22)}, again = {.arena = bw_arena_create(1 << 22)};
    assert_int_equal(parse_config(&w, two), BW_OK);
    /* Twice: the second replaces. */
    for (int i = 0; i < 2; i++)
        assert_int_equal(bw_cli_config_save(path, &w.config, w.arena, &w.err), BW_OK);
    struct bw_diags diags;
    bw_diags_init(&diags);
    assert_int_equal(bw_cli_config_load(path, again.arena, &diags, &again.config, &again.err), BW_OK);
    bw_diags_finish(&diags);
    const struct bw_context *prod = bw_cli_config_find(&again.config, "prod");
    assert_string_equal(bw_context_text(&again.config.current), "prod");
    assert_int_equal(again.config.contexts.count, 2);
    assert_string_equal(bw_context_text(&prod->endpoint), "cell.example:7443");
    assert_string_equal(bw_context_text(&prod->ca), "ca.crt");
    assert_null(bw_context_text(&prod->server_name));
    assert_int_equal(bw_cli_config_find(&again.config, "test")->insecure.value, 1);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(unlink(path), 0);
    snprintf(path, sizeof path, "%s/new", folder);
    assert_int_equal(rmdir(path), 0); /* nothing else was left in it */
    assert_int_equal(rmdir(folder), 0);
    done(&w);
    done(&again);
}

/* ---- exit codes ---- */

static void each_code_has_the_documented_exit_status(void **state)
{
    (void)state;
    static const struct {
        enum bw_code code;
        const char *reason;
        int status;
    } cases[] = {
        {BW_OK, NULL, 0},
        {BW_INVALID_ARGUMENT, NULL, 2},
        {BW_UNIMPLEMENTED, NULL, 2},
        {BW_INTERNAL, NULL, 3},
        {BW_DATA_LOSS, NULL, 3},
        {BW_UNKNOWN, NULL, 3},
        {BW_UNAUTHENTICATED, "NO_CREDENTIAL", 4},
        {BW_PERMISSION_DENIED, "WRONG_ROLE", 4},
        {BW_NOT_FOUND, "NO_MEETING", 5},
        {BW_ABORTED, "REVISION_CONFLICT", 6},
        {BW_ALREADY_EXISTS, NULL, 6},
        {BW_FAILED_PRECONDITION, "WRONG_CELL", 6},
        {BW_UNAVAILABLE, NULL, 7},
        {BW_DEADLINE_EXCEEDED, NULL, 7},
        {BW_RESOURCE_EXHAUSTED, NULL, 7},
        {BW_FAILED_PRECONDITION, "NO_COMPLIANT_RELAY", 8},
        {BW_FAILED_PRECONDITION, "PARTICIPANT_POLICY", 8},
        {BW_FAILED_PRECONDITION, "MODE_FORBIDS_CONNECTOR", 8},
        {BW_FAILED_PRECONDITION, "ENTRY_COUNTRY", 8},
        {BW_PERMISSION_DENIED, "NO_COMPLIANT_RELAY", 8},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(bw_exit_of(cases[i].code, cases[i].reason), cases[i].status);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(flag_goes_before_environment_before_context, clean),
        cmocka_unit_test_setup(context_is_chosen_by_flag_then_environment_then_file, clean),
        cmocka_unit_test_setup(context_that_is_not_there_is_refused_with_its_origin, clean),
        cmocka_unit_test_setup(files_of_a_context_lie_beside_the_configuration, clean),
        cmocka_unit_test_setup(timeout_is_a_duration_wherever_it_is_from, clean),
        cmocka_unit_test_setup(path_follows_flag_variable_and_xdg, clean),
        cmocka_unit_test(configuration_is_read_strictly),
        cmocka_unit_test(configuration_that_is_written_reads_back),
        cmocka_unit_test(each_code_has_the_documented_exit_status),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
