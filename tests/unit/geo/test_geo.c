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
#include "geo/geo.h"

#define MADE(name) BW_GEO_DATABASES "/" name ".mmdb"

static struct bw_geo *open_good(const char *path)
{
    struct bw_geo *geo = NULL;
    struct bw_error err;
    if (bw_geo_open(path, &geo, &err) != BW_OK)
        fail_msg("%s", err.show);
    return geo;
}

static void expect_country(const struct bw_geo *geo, const char *address, const char *code)
{
    struct bw_geo_country country = bw_geo_country(geo, address);
    if (strcmp(country.code, code) != 0)
        fail_msg("%s: '%s' instead of '%s'", address, country.code, code);
    assert_int_equal(bw_geo_known(country), code[0] != '\0');
}

static void expect_refused(const char *path, enum bw_code code, const char *words)
{
    struct bw_geo *untouched = NULL;
    struct bw_error err;
    assert_int_equal(bw_geo_open(path, &untouched, &err), code);
    assert_null(untouched);
    if (!strstr(err.show, words) || !strstr(err.show, path))
        fail_msg("'%s' says neither '%s' nor the path", err.show, words);
}

/* In the test's own folder. `bytes` of the file are kept, all when negative. */
static void copy_file(const char *from, const char *to, long bytes)
{
    FILE *in = fopen(from, "rb");
    FILE *out = fopen(to, "wb");
    assert_non_null(in);
    assert_non_null(out);
    int c;
    while (bytes-- != 0 && (c = fgetc(in)) != EOF)
        fputc(c, out);
    fclose(in);
    assert_int_equal(fclose(out), 0);
}

static long size_of(const char *path)
{
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    return (long)st.st_size;
}

static void address_has_the_country_of_its_smallest_network(void **state)
{
    (void)state;
    struct bw_geo *geo = open_good(MADE("countries"));
    expect_country(geo, "192.0.2.1", "FR");
    expect_country(geo, "192.0.2.255", "FR");
    expect_country(geo, "198.51.100.127", "DE");
    expect_country(geo, "198.51.100.128", "CH");
    expect_country(geo, "203.0.113.7", "GB");
    expect_country(geo, "2001:db8:1::42", "FR");
    expect_country(geo, "2001:DB8:2:ffff::1", "SG");
    bw_geo_unref(geo);
}

static void mapped_address_counts_as_ipv4(void **state)
{
    (void)state;
    struct bw_geo *geo = open_good(MADE("countries"));
    expect_country(geo, "::ffff:192.0.2.1", "FR");
    expect_country(geo, "::ffff:c633:6480", "CH");
    bw_geo_unref(geo);
}

static void what_is_not_in_the_database_is_unknown(void **state)
{
    (void)state;
    struct bw_geo *geo = open_good(MADE("countries"));
    static const char *const unknown[] = {"203.0.113.6",   "127.0.0.1", "0.0.0.0", "255.255.255.255",
                                          "2001:db8:3::1", "::1",       "::"};
    for (size_t i = 0; i < BW_ARRAY_LEN(unknown); i++)
        expect_country(geo, unknown[i], "");
    bw_geo_unref(geo);
}

static void what_is_no_address_is_unknown(void **state)
{
    (void)state;
    struct bw_geo *geo = open_good(MADE("countries"));
    static const char *const words[] = {
        "",           "localhost",       "192.0.2.1:443", "[2001:db8:1::42]", "192.0.2",
        " 192.0.2.1", "192.0.2.1\n",     "0300.0.2.1",    "2001:db8:1::42%1", "192.0.2.256",
        "FR",         "192.0.2.1/24 FR", "3221225985"};
    for (size_t i = 0; i < BW_ARRAY_LEN(words); i++)
        expect_country(geo, words[i], "");
    bw_geo_unref(geo);
}

static void country_that_is_no_iso_code_is_unknown(void **state)
{
    (void)state;
    struct bw_geo *geo = open_good(MADE("countries"));
    expect_country(geo, "203.0.113.8", "");
    expect_country(geo, "203.0.113.9", "");
    bw_geo_unref(geo);
}

static void ipv6_in_an_ipv4_database_is_unknown(void **state)
{
    (void)state;
    struct bw_geo *geo = open_good(MADE("v4only"));
    expect_country(geo, "192.0.2.1", "FR");
    expect_country(geo, "::ffff:192.0.2.1", "FR");
    expect_country(geo, "2001:db8:1::42", "");
    bw_geo_unref(geo);
}

static void database_says_what_it_is(void **state)
{
    (void)state;
    struct bw_geo *geo = open_good(MADE("countries"));
    assert_string_equal(bw_geo_path(geo), MADE("countries"));
    assert_string_equal(bw_geo_type(geo), "Bailiwick-Test-Country");
    assert_int_equal(bw_geo_built_unix_s(geo), 1700000000);
    bw_geo_unref(geo);
    bw_geo_unref(NULL);
}

static void database_without_countries_is_refused(void **state)
{
    (void)state;
    expect_refused(MADE("asn"), BW_INVALID_ARGUMENT, "holds no countries");
    expect_refused(MADE("holders"), BW_INVALID_ARGUMENT, "holds no countries");
}

static void file_that_is_no_database_is_refused(void **state)
{
    (void)state;
    expect_refused("no-such-file.mmdb", BW_NOT_FOUND, "No such file");
    expect_refused(BW_GEO_DATABASES, BW_INVALID_ARGUMENT, "not a regular file");
    expect_refused("/dev/null", BW_INVALID_ARGUMENT, "not a regular file");
    copy_file(MADE("countries"), "empty.mmdb", 0);
    expect_refused("empty.mmdb", BW_INVALID_ARGUMENT, "not usable");
    expect_refused(BW_SOURCE_DIR "/CMakeLists.txt", BW_INVALID_ARGUMENT, "not usable");
}

/* Whatever is cut off or overwritten: a clean refusal, or a database whose answers are countries or unknown.
 */
static void damaged_database_never_crashes(void **state)
{
    (void)state;
    long size = size_of(MADE("countries"));
    assert_true(size > 100);
    for (long cut = 0; cut < size; cut++) {
        copy_file(MADE("countries"), "cut.mmdb", cut);
        struct bw_geo *geo = NULL;
        if (bw_geo_open("cut.mmdb", &geo, NULL) != BW_OK)
            continue;
        bw_geo_country(geo, "192.0.2.1");
        bw_geo_unref(geo);
    }
    for (long at = 0; at < size; at++) {
        copy_file(MADE("countries"), "hit.mmdb", -1);
        FILE *file = fopen("hit.mmdb", "r+b");
        assert_non_null(file);
        assert_int_equal(fseek(file, at, SEEK_SET), 0);
        fputc(0xff, file);
        assert_int_equal(fclose(file), 0);
        struct bw_geo *geo = NULL;
        if (bw_geo_open("hit.mmdb", &geo, NULL) != BW_OK)
            continue;
        static const char *const asked[] = {"192.0.2.1", "198.51.100.200", "203.0.113.7", "2001:db8:1::42",
                                            "::1"};
        for (size_t i = 0; i < BW_ARRAY_LEN(asked); i++) {
            struct bw_geo_country country = bw_geo_country(geo, asked[i]);
            assert_true(strlen(country.code) == 0 || strlen(country.code) == 2);
        }
        bw_geo_unref(geo);
    }
}

static void open_database_survives_what_happens_to_its_file(void **state)
{
    (void)state;
    copy_file(MADE("countries"), "live.mmdb", -1);
    struct bw_geo *geo = open_good("live.mmdb");
    assert_int_equal(truncate("live.mmdb", 0), 0);
    expect_country(geo, "192.0.2.1", "FR");
    assert_int_equal(unlink("live.mmdb"), 0);
    expect_country(geo, "2001:db8:2::1", "SG");
    bw_geo_unref(geo);
}

static void reload_follows_a_changed_file_and_keeps_the_old_handle_good(void **state)
{
    (void)state;
    copy_file(MADE("countries"), "live.mmdb", -1);
    struct bw_geo *old = open_good("live.mmdb");
    struct bw_geo *fresh = NULL;
    assert_int_equal(bw_geo_reload(old, &fresh, NULL), BW_OK);
    assert_ptr_equal(fresh, old);
    bw_geo_unref(fresh);

    copy_file(MADE("moved"), "next.mmdb", -1);
    assert_int_equal(rename("next.mmdb", "live.mmdb"), 0);
    assert_int_equal(bw_geo_reload(old, &fresh, NULL), BW_OK);
    assert_ptr_not_equal(fresh, old);
    assert_string_equal(bw_geo_type(fresh), "Moved-Country");
    expect_country(fresh, "192.0.2.1", "US");
    expect_country(old, "192.0.2.1", "FR");
    bw_geo_unref(fresh);

    copy_file(MADE("asn"), "live.mmdb", -1);
    struct bw_error err;
    struct bw_geo *untouched = NULL;
    assert_int_equal(bw_geo_reload(old, &untouched, &err), BW_INVALID_ARGUMENT);
    assert_null(untouched);
    assert_int_equal(unlink("live.mmdb"), 0);
    assert_int_equal(bw_geo_reload(old, &untouched, &err), BW_NOT_FOUND);
    expect_country(old, "192.0.2.1", "FR");
    bw_geo_unref(old);
}

static void last_reference_closes(void **state)
{
    (void)state;
    struct bw_geo *geo = open_good(MADE("countries"));
    struct bw_geo *held = bw_geo_ref(geo);
    bw_geo_unref(geo);
    expect_country(held, "192.0.2.1", "FR");
    bw_geo_unref(held);
}

static bool open_scenario(void *context)
{
    (void)context;
    struct bw_geo *geo = NULL;
    struct bw_error err;
    if (bw_geo_open(MADE("countries"), &geo, &err) != BW_OK)
        return false;
    bw_geo_unref(geo);
    return true;
}

static void opening_without_memory_fails_clean(void **state)
{
    (void)state;
    assert_true(bw_fail_each_allocation(open_scenario, NULL, true) >= 2);
}

int main(void)
{
    const char *folder = getenv("TMPDIR");
    if (!folder || chdir(folder) != 0) {
        fputs("set TMPDIR to a folder to work in\n", stderr);
        return 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(address_has_the_country_of_its_smallest_network),
        cmocka_unit_test(mapped_address_counts_as_ipv4),
        cmocka_unit_test(what_is_not_in_the_database_is_unknown),
        cmocka_unit_test(what_is_no_address_is_unknown),
        cmocka_unit_test(country_that_is_no_iso_code_is_unknown),
        cmocka_unit_test(ipv6_in_an_ipv4_database_is_unknown),
        cmocka_unit_test(database_says_what_it_is),
        cmocka_unit_test(database_without_countries_is_refused),
        cmocka_unit_test(file_that_is_no_database_is_refused),
        cmocka_unit_test(damaged_database_never_crashes),
        cmocka_unit_test(open_database_survives_what_happens_to_its_file),
        cmocka_unit_test(reload_follows_a_changed_file_and_keeps_the_old_handle_good),
        cmocka_unit_test(last_reference_closes),
        cmocka_unit_test(opening_without_memory_fails_clean),
    };
    return cmocka_run_group_tests_name("geo", tests, NULL, NULL);
}
