/* Each grammar at its edges: the first column must match, the second must not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/check.h"
#include "wire/grammar.h"

#define G(name) BAILIWICK__V1__RULE__GRAMMAR__##name

static const struct {
    Bailiwick__V1__Rule__Grammar grammar;
    const char *good[8], *bad[16];
} cases[] = {
    {G(NAME),
     {"a", "0", "chu-lyon", "a-", "012345678901234567890123456789012345678901234567890123456789012"},
     {"", "-a", "A", "a_b", "a.b", "é", "a b",
      "0123456789012345678901234567890123456789012345678901234567890123"}},
    {G(UUID),
     {"0192f3a0-1111-7222-8333-444455556666", "0192F3A0-1111-7222-8333-44445555666F"},
     {"", "0192f3a0111172228333444455556666", "0192f3a0-1111-7222-8333-44445555666",
      "0192f3a0-1111-7222-8333-44445555666g", "0192f3a0-1111-7222-8333-4444555566666",
      "{192f3a0-1111-7222-8333-444455556666"}},
    {G(USER),
     {"a@b", "dr.x@board.chu-lyon.example", "ü@b.example", "a+b@c.d"},
     {"", "@", "a@", "@b", "a", "a@b@c", "a b@c", "a@b c", "a\t@b", "a@é.example", "a\x7f@b", "a\xc2\x85@b"}},
    {G(COUNTRY),
     {"FR", "FR-75", "GB-ENG", "US-1"},
     {"", "F", "fr", "FRA", "FR-", "FR-1234", "FR_75", "F1", "FR-7a"}},
    {G(HOST_PORT),
     {"192.0.2.1:1", "r.example:65535", "[2001:db8::1]:3478", "localhost:80"},
     {"", "r.example", "r.example:", ":80", "r:0", "r:65536", "r:080", "r:8a", "2001:db8::1:80", "[::1:80",
      "[192.0.2.1]:80", "r example:80", "[]:80", "[::g]:1"}},
    {G(TEXT),
     {"", "one line", "l'été", "policy.yaml:17:26", "\xe2\x80\xa0"},
     {"a\nb", "a\tb", "\x01", "\x7f", "\xc2\x85", "\xe2\x80\xa8", "\x1b[31m"}},
    {G(LINES), {"", "a: b\r\n\tc\n", "é"}, {"\x01", "\x7f", "\x1b[31m", "\xc2\x9b"}},
    {G(TOKEN), {"a", "BW-P012", "~!", "iss|sub"}, {"", "a b", "é", "\t", "a\n", "\x7f"}},
    {G(SPIFFE),
     {"spiffe://a/b", "spiffe://eu.bailiwick.internal/relay/par1", "spiffe://a/B_c.d-e"},
     {"", "spiffe://", "spiffe://a", "spiffe://a/", "spiffe://A/b", "spiffe://a//b", "spiffe://a/./b",
      "spiffe://a/../b", "spiffe://a/b/", "spiffe://a:1/b", "https://a/b", "spiffe://a/b?c", "spiffe:///b"}},
    {G(SEMVER),
     {"1.2.3", "0.0.0", "1.0.0-rc.1", "1.0.0+build.01", "1.0.0-a-b+c"},
     {"", "1", "1.2", "1.2.3.4", "01.2.3", "1.2.03", "v1.2.3", "1.2.3-", "1.2.3-01", "1.2.3+", "1.2.3-a..b",
      "1.2.3 ", "1..3"}},
    {G(BASE64URL), {"AA_-", "a"}, {"", "a+", "a/", "a=", "a b"}},
    {G(ADDRESS),
     {"192.0.2.1", "::1", "2001:db8::1"},
     {"", "192.0.2", "192.0.2.256", "fe80::1%eth0", "a", "::1/128"}},
    {G(PREFIX),
     {"192.0.2.0/24", "2001:db8::/32", "192.0.2.1", "::/0"},
     {"", "192.0.2.0/33", "::/129", "192.0.2.0/", "192.0.2.0/08", "/8", "192.0.2.0/2a", "192.0.2.0/24/8"}},
};

static void each_grammar_matches_what_it_says(void **state)
{
    (void)state;
    for (size_t i = 0; i < BW_ARRAY_LEN(cases); i++) {
        for (size_t k = 0; k < 8 && cases[i].good[k] != NULL; k++)
            if (!bw_wire_matches(cases[i].grammar, bw_view_str(cases[i].good[k])))
                fail_msg("grammar %d refuses '%s'", cases[i].grammar, cases[i].good[k]);
        for (size_t k = 0; k < 16 && cases[i].bad[k] != NULL; k++)
            if (bw_wire_matches(cases[i].grammar, bw_view_str(cases[i].bad[k])))
                fail_msg("grammar %d takes '%s'", cases[i].grammar, cases[i].bad[k]);
    }
}

static void every_grammar_is_tried_and_can_be_explained(void **state)
{
    (void)state;
    for (unsigned i = 0; i < bailiwick__v1__rule__grammar__descriptor.n_values; i++) {
        int value = bailiwick__v1__rule__grammar__descriptor.values[i].value;
        bool tried = value == G(ANY);
        for (size_t k = 0; k < BW_ARRAY_LEN(cases); k++)
            tried = tried || (int)cases[k].grammar == value;
        assert_true(tried);
        if (value != G(ANY))
            assert_string_not_equal(bw_wire_grammar_text((Bailiwick__V1__Rule__Grammar)value), "text");
    }
    /* one this build does not know lets nothing through */
    assert_false(bw_wire_matches((Bailiwick__V1__Rule__Grammar)99, bw_view_str("a")));
}

static void utf8_is_exactly_rfc_3629(void **state)
{
    (void)state;
    /* every code point encoded by the book is accepted, surrogates are not */
    for (uint32_t c = 0; c <= 0x10ffff; c += c < 0x3000 ? 1 : 7) {
        uint8_t b[4];
        size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
        static const uint8_t lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
        for (size_t i = n; i-- > 1;)
            b[i] = (uint8_t)(0x80 | (c >> (6 * (n - 1 - i)) & 0x3f));
        b[0] = (uint8_t)(lead[n] | c >> (6 * (n - 1)));
        bool surrogate = c >= 0xd800 && c <= 0xdfff;
        assert_int_equal(bw_wire_is_utf8(bw_view_of(b, n)), !surrogate);
        if (n > 1)
            assert_false(bw_wire_is_utf8(bw_view_of(b, n - 1)));
    }
    static const char *const bad[] = {
        "\xc0\x80", "\xc1\xbf", "\xe0\x9f\xbf", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80",
        "\xff",     "\xfe",     "\xbf"};
    for (size_t i = 0; i < BW_ARRAY_LEN(bad); i++)
        assert_false(bw_wire_is_utf8(bw_view_str(bad[i])));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_grammar_matches_what_it_says),
        cmocka_unit_test(every_grammar_is_tried_and_can_be_explained),
        cmocka_unit_test(utf8_is_exactly_rfc_3629),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
