/* The strict grammars: what each takes, and the near misses that it does not. */
#include "reading.h"

#include "yaml/scalar.h"
#include "yaml/suggest.h"

static void booleans_are_true_and_false_only(void **state)
{
    (void)state;
    bool value = false;
    assert_true(bw_scalar_bool(bw_view_str("true"), &value) && value);
    assert_true(bw_scalar_bool(bw_view_str("false"), &value) && !value);
    static const char *const others[] = {"True", "TRUE", "yes", "no", "on", "off",
                                         "y",    "n",    "1",   "0",  "",   " true"};
    for (size_t i = 0; i < BW_ARRAY_LEN(others); i++)
        assert_false(bw_scalar_bool(bw_view_str(others[i]), &value));
}

static void numbers_have_one_spelling(void **state)
{
    (void)state;
    uint64_t value = 7;
    assert_true(bw_scalar_uint(bw_view_str("0"), &value) && value == 0);
    assert_true(bw_scalar_uint(bw_view_str("18446744073709551615"), &value) && value == UINT64_MAX);
    static const char *const others[] = {"",
                                         "012",
                                         "1_000",
                                         "22:22",
                                         "+5",
                                         "-5",
                                         "0x10",
                                         "0o7",
                                         "1e3",
                                         "1.0",
                                         " 1",
                                         "1 ",
                                         "00",
                                         "1,000",
                                         "18446744073709551616",
                                         "99999999999999999999999"};
    value = 7;
    for (size_t i = 0; i < BW_ARRAY_LEN(others); i++)
        assert_false(bw_scalar_uint(bw_view_str(others[i]), &value));
    assert_int_equal(value, 7);
}

static void decimals_are_exact_millionths(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t millionths;
    } good[] = {
        {"0", 0},        {"48.9", 48900000}, {"-0.25", -250000},    {"2", 2000000},
        {"0.000001", 1}, {"-0", 0},          {"1.123456", 1123456}, {"9223372036853", 9223372036853000000}};
    int64_t value = 0;
    for (size_t i = 0; i < BW_ARRAY_LEN(good); i++) {
        assert_true(bw_scalar_decimal(bw_view_str(good[i].text), &value));
        assert_true(value == good[i].millionths);
    }
    static const char *const bad[] = {
        "",   "-",    ".5",   "5.",   "1.1234567",           "01.5",  "1e3", "--1",
        "+1", "1.-5", ".inf", ".nan", "9223372036854775807", "1.5.5", "0x1"};
    for (size_t i = 0; i < BW_ARRAY_LEN(bad); i++)
        assert_false(bw_scalar_decimal(bw_view_str(bad[i]), &value));
}

static void durations_need_their_unit(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t ms;
    } good[] = {{"30s", 30000},  {"60s", 60000}, {"30d", 2592000000}, {"5m", 300000},
                {"2h", 7200000}, {"250ms", 250}, {"0s", 0},           {"400d", 34560000000}};
    uint64_t value = 0;
    for (size_t i = 0; i < BW_ARRAY_LEN(good); i++) {
        assert_true(bw_scalar_duration(bw_view_str(good[i].text), &value));
        assert_true(value == good[i].ms);
    }
    static const char *const bad[] = {"",     "30",   "s",   "30 s", "030s",
                                      "1.5h", "-5s",  "5M",  "1w",   "1h30m",
                                      "30S",  "1_0s", "+1s", "s30",  "99999999999999999d"};
    for (size_t i = 0; i < BW_ARRAY_LEN(bad); i++)
        assert_false(bw_scalar_duration(bw_view_str(bad[i]), &value));
}

static void dates_exist(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t ms;
    } good[] = {{"1970-01-01", 0},
                {"2000-02-29", 951782400000},
                {"2024-02-29", 1709164800000},
                {"2027-01-31", 1801353600000},
                {"9999-12-31", 253402214400000}};
    uint64_t value = 0;
    for (size_t i = 0; i < BW_ARRAY_LEN(good); i++) {
        assert_true(bw_scalar_date(bw_view_str(good[i].text), &value));
        assert_true(value == good[i].ms);
    }
    static const char *const bad[] = {"2027-02-29", "2100-02-29",  "2027-13-01", "2027-00-10", "2027-01-00",
                                      "2027-04-31", "2027-1-1",    "27-01-01",   "1969-12-31", "2027/01/31",
                                      "31-01-2027", "2027-01-31 ", "",           "2027-01",    "2027-01-3a"};
    for (size_t i = 0; i < BW_ARRAY_LEN(bad); i++)
        assert_false(bw_scalar_date(bw_view_str(bad[i]), &value));
}

static void instants_are_rfc3339(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t ms;
    } good[] = {{"2026-11-21T10:00:00Z", 1795255200000},
                {"2026-11-21T11:00:00+01:00", 1795255200000},
                {"2026-11-21T05:30:00-04:30", 1795255200000},
                {"2026-11-21T10:00:00.5Z", 1795255200500},
                {"2026-11-21T10:00:00.123456789Z", 1795255200123}};
    uint64_t value = 0;
    for (size_t i = 0; i < BW_ARRAY_LEN(good); i++) {
        assert_true(bw_scalar_instant(bw_view_str(good[i].text), &value));
        assert_true(value == good[i].ms);
    }
    static const char *const bad[] = {"2026-11-21",
                                      "2026-11-21T10:00:00",
                                      "2026-11-21 10:00:00Z",
                                      "2026-11-21T24:00:00Z",
                                      "2026-11-21T10:60:00Z",
                                      "2026-11-21T10:00:60Z",
                                      "2026-11-21T10:00:00.Z",
                                      "2026-11-21T10:00:00+1:00",
                                      "2026-11-21T10:00:00+24:00",
                                      "2026-11-21T10:00Z",
                                      "2026-02-30T10:00:00Z",
                                      "1970-01-01T00:00:00+01:00",
                                      "2026-11-21T10:00:00z"};
    for (size_t i = 0; i < BW_ARRAY_LEN(bad); i++)
        assert_false(bw_scalar_instant(bw_view_str(bad[i]), &value));
}

/* Every day of two centuries, and then one in ninety-seven, written and read back. */
static void instants_are_written_as_they_are_read(void **state)
{
    (void)state;
    char text[BW_SCALAR_INSTANT_SIZE];
    assert_string_equal(bw_scalar_instant_text(0, text), "1970-01-01T00:00:00Z");
    assert_string_equal(bw_scalar_instant_text(1801353600000, text), "2027-01-31T00:00:00Z");
    assert_string_equal(bw_scalar_instant_text(951827696789, text), "2000-02-29T12:34:56Z");
    const uint64_t day_ms = 86400000, last = 2932896;
    for (uint64_t day = 0; day <= last; day += day < 73000 ? 1 : 97) {
        uint64_t back = 0, then = day * day_ms + (day % 86400) * 1000;
        if (!bw_scalar_instant(bw_view_str(bw_scalar_instant_text(then, text)), &back) || back != then)
            fail_msg("day %llu is written %s", (unsigned long long)day, text);
    }
    assert_string_equal(bw_scalar_instant_text((last + 1) * day_ms, text), "");
    assert_string_equal(bw_scalar_instant_text(UINT64_MAX, text), "");
}

static void booleans_of_other_readers_are_recognised(void **state)
{
    (void)state;
    static const char *const words[] = {"NO", "No",  "no",  "ON",   "Y",     "y",
                                        "n",  "Yes", "OFF", "true", "FALSE", "off"};
    for (size_t i = 0; i < BW_ARRAY_LEN(words); i++)
        assert_true(bw_scalar_looks_boolean(bw_view_str(words[i])));
    static const char *const others[] = {"NOR", "nO", "oN", "FR", "", "yeS", "0", "1", "N0"};
    for (size_t i = 0; i < BW_ARRAY_LEN(others); i++)
        assert_false(bw_scalar_looks_boolean(bw_view_str(others[i])));
}

static void names_are_lower_case_and_short(void **state)
{
    (void)state;
    static const char *const good[] = {"a", "chu-lyon", "0", "a-", "everyone-else"};
    for (size_t i = 0; i < BW_ARRAY_LEN(good); i++)
        assert_true(bw_scalar_is_name(bw_view_str(good[i])));
    static const char *const bad[] = {
        "",    "-a",  "A",        "a_b",
        "a.b", "a b", "\xc3\xa9", "0123456789012345678901234567890123456789012345678901234567890123"};
    for (size_t i = 0; i < BW_ARRAY_LEN(bad); i++)
        assert_false(bw_scalar_is_name(bw_view_str(bad[i])));
}

static unsigned distance(const char *a, const char *b)
{
    return bw_suggest_distance(bw_view_str(a), bw_view_str(b), 9);
}

static void distance_counts_edits(void **state)
{
    (void)state;
    assert_int_equal(distance("transit", "transit"), 0);
    assert_int_equal(distance("Transit", "tRANSIT"), 0);
    assert_int_equal(distance("trasnit", "transit"), 1); /* neighbours swapped */
    assert_int_equal(distance("trnsit", "transit"), 1);
    assert_int_equal(distance("transitt", "transit"), 1);
    assert_int_equal(distance("trensit", "transit"), 1);
    assert_int_equal(distance("", "abc"), 3);
    assert_int_equal(bw_suggest_distance(bw_view_str("abcdef"), bw_view_str("uvwxyz"), 2), 3);
}

static const char *suggestion(const char *word)
{
    static const char *const words[] = {"allow", "deny", "prefer", "allowJurisdictions",
                                        "requireCertifications"};
    struct bw_suggest suggest;
    bw_suggest_start(&suggest, bw_view_str(word));
    for (size_t i = 0; i < BW_ARRAY_LEN(words); i++)
        bw_suggest_offer(&suggest, words[i]);
    return suggest.best;
}

static void the_nearest_word_is_suggested_and_nothing_far(void **state)
{
    (void)state;
    assert_string_equal(suggestion("alow"), "allow");
    assert_string_equal(suggestion("ALLOW"), "allow");
    assert_string_equal(suggestion("allowjurisdiction"), "allowJurisdictions");
    assert_string_equal(suggestion("requireCertification"), "requireCertifications");
    assert_null(suggestion("banana"));
    assert_null(suggestion("de"));
    assert_null(suggestion(""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(booleans_are_true_and_false_only),
        cmocka_unit_test(numbers_have_one_spelling),
        cmocka_unit_test(decimals_are_exact_millionths),
        cmocka_unit_test(durations_need_their_unit),
        cmocka_unit_test(dates_exist),
        cmocka_unit_test(instants_are_rfc3339),
        cmocka_unit_test(instants_are_written_as_they_are_read),
        cmocka_unit_test(booleans_of_other_readers_are_recognised),
        cmocka_unit_test(names_are_lower_case_and_short),
        cmocka_unit_test(distance_counts_edits),
        cmocka_unit_test(the_nearest_word_is_suggested_and_nothing_far),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
