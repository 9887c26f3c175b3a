#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/check.h"
#include "check_alloc.h"
#include "fixture.h"

#define KEY_A "1f1e1d1c1b1a191817161514131211100f0e0d0c0b0a09080706050403020100"
#define KEY_B "00112233445566778899aabbccddeeff0123456789ABCDEFfedcba9876543210"

static struct bw_provider *parse(const char *text)
{
    struct bw_provider *provider = NULL;
    struct bw_error err = {0};
    if (bw_keyring_parse(bw_view_str(text), "keyring", &provider, &err) != BW_PROVIDER_OK)
        fail_msg("%s", err.show);
    return provider;
}

static void a_keyring_is_refused_with_its_line_and_without_its_keys(void **state)
{
    (void)state;
    static const struct {
        const char *text, *where;
    } bad[] = {
        {"", "keyring: no key"},
        {"# nothing\n\n", "keyring: no key"},
        {"a " KEY_A "\n", "keyring: no key is active"},
        {"a\n", "keyring:1: a key is 64"},
        {"# one\n\na " KEY_A "0 active\n", "keyring:3: a key is 64"},
        {"a " KEY_A " active\nb 0011 \n", "keyring:2: a key is 64"},
        {"a " KEY_A " active\nb g" KEY_A, "keyring:2: a key is 64"},
        {"a zz1e1d1c1b1a191817161514131211100f0e0d0c0b0a09080706050403020100 active",
         "keyring:1: a key is 64"},
        {"A " KEY_A " active\n", "keyring:1: a line is NAME"},
        {"-a " KEY_A " active\n", "keyring:1: a line is NAME"},
        {KEY_A " active\n", "keyring:1: a line is NAME"},
        {"a " KEY_A " primary\n", "keyring:1: what follows"},
        {"a " KEY_A " active now\n", "keyring:1: what follows"},
        {"a " KEY_A " active\nb " KEY_B " active\n", "keyring:2: a second active"},
        {"a " KEY_A " active\na " KEY_B "\n", "keyring:2: a second key of this name"},
        {"a " KEY_A " active\nb " KEY_A "\n", "keyring:2: the same key"},
        {"a 0000000000000000000000000000000000000000000000000000000000000000 active\n",
         "keyring:1: this key is a"},
    };
    for (size_t i = 0; i < BW_ARRAY_LEN(bad); i++) {
        struct bw_provider *provider = NULL;
        struct bw_error err = {0};
        assert_int_equal(bw_keyring_parse(bw_view_str(bad[i].text), "keyring", &provider, &err),
                         BW_PROVIDER_CONFIG);
        assert_null(provider);
        if (strncmp(err.show, bad[i].where, strlen(bad[i].where)) != 0)
            fail_msg("want \"%s…\", got \"%s\"", bad[i].where, err.show);
        assert_null(strstr(err.show, "1d1c1b1a"));
        assert_null(strstr(err.log, "1d1c1b1a"));
    }
    struct bw_buf many = {0};
    bw_buf_append_str(&many, "a " KEY_A " active\n");
    for (int i = 0; i < BW_KEYRING_KEYS_MAX; i++)
        bw_buf_printf(&many, "k%d %062d%02x\n", i, 0, (unsigned)i + 1);
    struct bw_provider *provider = NULL;
    struct bw_error err;
    assert_int_equal(bw_keyring_parse(bw_buf_view(&many), "keyring", &provider, &err), BW_PROVIDER_CONFIG);
    assert_non_null(strstr(err.show, "keyring:65: too many keys"));
    bw_buf_finish(&many);
}

static void a_keyring_says_what_it_holds(void **state)
{
    (void)state;
    struct bw_provider *provider = parse("\t old " KEY_A "   # until 2027\r\n"
                                         "# a comment\n\n"
                                         "new-1 " KEY_B "\tactive");
    struct bw_provider_facts facts;
    struct bw_error err;
    bw_provider_describe(provider, &facts);
    assert_string_equal(facts.kind, "keyring");
    assert_string_equal(facts.active, "new-1");
    assert_int_equal(facts.keys, 2);
    assert_int_equal(bw_provider_probe(provider, &err), BW_PROVIDER_OK);
    bw_provider_destroy(provider);
    bw_provider_destroy(NULL);
}

static char *path_in(const char *folder, const char *name)
{
    static char path[4096];
    assert_true((size_t)snprintf(path, sizeof path, "%s/%s", folder, name) < sizeof path);
    return path;
}

static const char *temporary(void)
{
    const char *folder = getenv("TMPDIR");
    return folder != NULL ? folder : "/tmp";
}

static const char *write_file(const char *text, mode_t mode)
{
    char name[64];
    snprintf(name, sizeof name, "keyring-%ld", (long)getpid());
    const char *path = path_in(temporary(), name);
    unlink(path);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, mode), 0);
    return path;
}

static void a_keyring_that_others_can_read_is_refused(void **state)
{
    (void)state;
    struct bw_provider *provider = NULL;
    struct bw_error err;
    static const mode_t open_modes[] = {0604, 0620, 0666, 0644, 0640};
    for (size_t i = 0; i < BW_ARRAY_LEN(open_modes); i++) {
        const char *path = write_file("a " KEY_A " active\n", open_modes[i]);
        assert_int_equal(bw_keyring_open(path, &provider, &err), BW_PROVIDER_DENIED);
        assert_non_null(strstr(err.show, "chmod 600"));
    }
    const char *path = write_file("a " KEY_A " active\n", 0600);
    assert_int_equal(bw_keyring_open(path, &provider, &err), BW_PROVIDER_OK);
    bw_provider_destroy(provider);

    path = write_file("a\n", 0600);
    assert_int_equal(bw_keyring_open(path, &provider, &err), BW_PROVIDER_CONFIG);
    assert_non_null(strstr(err.show, path));
    unlink(path);
    assert_int_equal(bw_keyring_open(path, &provider, &err), BW_PROVIDER_GONE);
    assert_non_null(strstr(err.show, path));
    assert_int_equal(bw_keyring_open(temporary(), &provider, &err), BW_PROVIDER_CONFIG);
    char endless[5000];
    memset(endless, 'x', sizeof endless - 1);
    endless[sizeof endless - 1] = '\0';
    assert_int_equal(bw_keyring_open(endless, &provider, &err), BW_PROVIDER_CONFIG);
}

static void a_systemd_credential_is_found_by_name(void **state)
{
    (void)state;
    struct bw_provider *provider = NULL;
    struct bw_error err;
    assert_int_equal(unsetenv("CREDENTIALS_DIRECTORY"), 0);
    assert_int_equal(bw_keyring_open("credential:keyring", &provider, &err), BW_PROVIDER_CONFIG);
    assert_non_null(strstr(err.show, "LoadCredential=keyring:"));
    assert_int_equal(bw_keyring_open("credential:", &provider, &err), BW_PROVIDER_CONFIG);
    assert_int_equal(bw_keyring_open("credential:../keyring", &provider, &err), BW_PROVIDER_CONFIG);

    char name[64], credential[96];
    snprintf(name, sizeof name, "keyring-%ld", (long)getpid());
    snprintf(credential, sizeof credential, "credential:%s", name);
    const char *path = write_file("a " KEY_A " active\n", 0400);
    assert_int_equal(setenv("CREDENTIALS_DIRECTORY", temporary(), 1), 0);
    assert_int_equal(bw_keyring_open(credential, &provider, &err), BW_PROVIDER_OK);
    bw_provider_destroy(provider);
    unlink(path);
    assert_int_equal(bw_keyring_open(credential, &provider, &err), BW_PROVIDER_GONE);
    assert_int_equal(unsetenv("CREDENTIALS_DIRECTORY"), 0);
}

static void a_new_keyring_can_be_read(void **state)
{
    (void)state;
    uint8_t key[BW_PROVIDER_KEY_SIZE] = {0xab, 0xcd};
    struct bw_buf text = {0};
    assert_int_equal(bw_keyring_new("root-2026-11", key, &text, NULL), BW_OK);
    struct bw_provider *provider = parse(bw_buf_cstr(&text));
    struct bw_provider_facts facts;
    bw_provider_describe(provider, &facts);
    assert_string_equal(facts.active, "root-2026-11");
    bw_provider_destroy(provider);
    bw_buf_clear(&text);
    assert_int_equal(bw_keyring_new("Root", key, &text, NULL), BW_INVALID_ARGUMENT);
    memset(key, 0, sizeof key);
    assert_int_equal(bw_keyring_new("root", key, &text, NULL), BW_INVALID_ARGUMENT);
    assert_int_equal(text.len, 0);
    bw_buf_finish(&text);
}

static const struct bw_provider_context context = {.tenant = {{1}}, .scope = {2}, .day = 3, .key = {{4}}};
static const uint8_t secret[BW_PROVIDER_KEY_SIZE] = {9, 8, 7};

static void a_wrapped_key_opens_in_its_own_place_only(void **state)
{
    (void)state;
    struct bw_provider *provider = parse(FIXTURE_KEYRING);
    struct bw_buf wrapped = {0}, again = {0};
    uint8_t key[BW_PROVIDER_KEY_SIZE], untouched[BW_PROVIDER_KEY_SIZE];
    struct bw_error err;
    assert_int_equal(bw_provider_wrap(provider, &context, secret, &wrapped, NULL), BW_PROVIDER_OK);
    assert_int_equal(bw_provider_wrap(provider, &context, secret, &again, NULL), BW_PROVIDER_OK);
    assert_int_equal(wrapped.len, 69);
    assert_false(
        bw_view_equal(bw_buf_view(&wrapped), bw_buf_view(&again))); /* a nonce of its own each time */
    assert_int_equal(bw_provider_unwrap(provider, &context, bw_buf_view(&wrapped), key, NULL),
                     BW_PROVIDER_OK);
    assert_memory_equal(key, secret, sizeof key);

    memset(key, 0x77, sizeof key);
    memset(untouched, 0x77, sizeof untouched);
    struct bw_provider_context other[] = {context, context, context, context};
    other[0].tenant.bytes[15] ^= 1;
    other[1].scope[7] ^= 1;
    other[2].day++;
    other[3].key.bytes[0] ^= 1;
    for (size_t i = 0; i < BW_ARRAY_LEN(other); i++)
        assert_int_equal(bw_provider_unwrap(provider, &other[i], bw_buf_view(&wrapped), key, &err),
                         BW_PROVIDER_CORRUPT);
    for (size_t bit = 0; bit < wrapped.len * 8; bit++) {
        wrapped.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        enum bw_provider_state got = bw_provider_unwrap(provider, &context, bw_buf_view(&wrapped), key, &err);
        /* The root key's id is bytes 1 to 8: another one is not in the file. */
        assert_int_equal(got, bit / 8 >= 1 && bit / 8 < 9 ? BW_PROVIDER_GONE : BW_PROVIDER_CORRUPT);
        wrapped.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    for (size_t len = 0; len < wrapped.len; len++)
        assert_int_equal(bw_provider_unwrap(provider, &context, bw_view_of(wrapped.data, len), key, &err),
                         BW_PROVIDER_CORRUPT);
    assert_memory_equal(key, untouched, sizeof key);
    bw_buf_finish(&wrapped);
    bw_buf_finish(&again);
    bw_provider_destroy(provider);
}

static void rotation_keeps_what_was_wrapped(void **state)
{
    (void)state;
    struct bw_provider *before = parse("a " KEY_A " active\n"),
                       *both = parse("a " KEY_A "\nb " KEY_B " active\n"),
                       *after = parse("renamed " KEY_B " active\n");
    struct bw_buf old = {0}, new_wrap = {0};
    uint8_t key[BW_PROVIDER_KEY_SIZE];
    bool changed = false;
    struct bw_error err;
    assert_int_equal(bw_provider_wrap(before, &context, secret, &old, NULL), BW_PROVIDER_OK);
    assert_int_equal(bw_provider_rewrap(both, &context, bw_buf_view(&old), &new_wrap, &changed, NULL),
                     BW_PROVIDER_OK);
    assert_true(changed);
    /* The name is for people: what counts is the key. */
    assert_int_equal(bw_provider_unwrap(after, &context, bw_buf_view(&new_wrap), key, NULL), BW_PROVIDER_OK);
    assert_memory_equal(key, secret, sizeof key);
    assert_int_equal(bw_provider_unwrap(after, &context, bw_buf_view(&old), key, &err), BW_PROVIDER_GONE);
    assert_string_equal(err.reason, "KEY_UNAVAILABLE");

    size_t len = new_wrap.len;
    struct bw_view view = bw_view_of(old.data, old.len);
    assert_int_equal(bw_provider_rewrap(before, &context, view, &new_wrap, &changed, NULL), BW_PROVIDER_OK);
    assert_false(changed);
    assert_int_equal(new_wrap.len, len);
    assert_int_equal(bw_provider_rewrap(after, &context, view, &new_wrap, &changed, &err), BW_PROVIDER_GONE);
    bw_buf_finish(&old);
    bw_buf_finish(&new_wrap);
    bw_provider_destroy(before);
    bw_provider_destroy(both);
    bw_provider_destroy(after);
}

static void states_have_names_and_codes(void **state)
{
    (void)state;
    assert_string_equal(bw_provider_state_name(BW_PROVIDER_DENIED), "DENIED");
    assert_string_equal(bw_provider_state_name((enum bw_provider_state)99), "UNKNOWN");
    assert_int_equal(bw_provider_state_code(BW_PROVIDER_OK), BW_OK);
    assert_int_equal(bw_provider_state_code(BW_PROVIDER_TRANSIENT), BW_UNAVAILABLE);
    assert_int_equal(bw_provider_state_code(BW_PROVIDER_CORRUPT), BW_DATA_LOSS);
}

static bool use_a_keyring(void *unused)
{
    (void)unused;
    struct bw_provider *provider = NULL;
    struct bw_buf wrapped = {0};
    uint8_t key[BW_PROVIDER_KEY_SIZE];
    struct bw_error err = {0};
    bool ok = bw_keyring_parse(bw_view_str(FIXTURE_KEYRING), "keyring", &provider, &err) == BW_PROVIDER_OK &&
              bw_provider_wrap(provider, &context, secret, &wrapped, &err) == BW_PROVIDER_OK &&
              bw_provider_unwrap(provider, &context, bw_buf_view(&wrapped), key, &err) == BW_PROVIDER_OK &&
              bw_provider_probe(provider, &err) == BW_PROVIDER_OK;
    if (!ok)
        assert_int_equal(err.code, BW_RESOURCE_EXHAUSTED);
    bw_buf_finish(&wrapped);
    bw_provider_destroy(provider);
    return ok;
}

static void running_out_of_memory_is_an_error(void **state)
{
    (void)state;
    assert_true(bw_fail_each_allocation(use_a_keyring, NULL, true) >= 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_keyring_is_refused_with_its_line_and_without_its_keys),
        cmocka_unit_test(a_keyring_says_what_it_holds),
        cmocka_unit_test(a_keyring_that_others_can_read_is_refused),
        cmocka_unit_test(a_systemd_credential_is_found_by_name),
        cmocka_unit_test(a_new_keyring_can_be_read),
        cmocka_unit_test(a_wrapped_key_opens_in_its_own_place_only),
        cmocka_unit_test(rotation_keeps_what_was_wrapped),
        cmocka_unit_test(states_have_names_and_codes),
        cmocka_unit_test(running_out_of_memory_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
