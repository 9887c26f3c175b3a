#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/reference.h"

static struct bw_id meeting_at(uint64_t ms, uint8_t fill)
{
    uint8_t random[10];
    memset(random, fill, sizeof random);
    return bw_id_v7(ms, random);
}

static void a_reference_finds_its_own_decision(void **state)
{
    (void)state;
    for (uint32_t seq = 0; seq < 200000; seq += 4999) {
        struct bw_id meeting = meeting_at(1795000000000u + seq * 7919, (uint8_t)seq);
        char text[BW_REFERENCE_SIZE];
        bw_reference_format(&meeting, seq, text);
        assert_int_equal(strlen(text), 19);
        struct bw_reference reference;
        assert_true(bw_reference_parse(bw_view_str(text), &reference));
        assert_true(bw_reference_matches(&reference, &meeting, seq));
        assert_int_equal(reference.seq_low, seq & 0xffff);
    }
}

static void neighbours_in_the_same_millisecond_are_told_apart(void **state)
{
    (void)state;
    struct bw_id meeting = meeting_at(1795000000000u, 1), neighbour = meeting;
    char text[BW_REFERENCE_SIZE];
    bw_reference_format(&meeting, 3, text);
    struct bw_reference reference;
    assert_true(bw_reference_parse(bw_view_str(text), &reference));
    int matched = 0;
    for (int i = 0; i < 2000; i++) {
        neighbour.bytes[14] = (uint8_t)(i >> 8);
        neighbour.bytes[15] = (uint8_t)(i ^ 0x55);
        matched += bw_reference_matches(&reference, &neighbour, 3);
    }
    assert_true(matched < 12); /* one in 1,024 */
    assert_false(bw_reference_matches(&reference, &meeting, 4));
}

static void it_is_read_as_people_write_it(void **state)
{
    (void)state;
    struct bw_id meeting = meeting_at(1795000000001u, 0);
    char text[BW_REFERENCE_SIZE], sloppy[64] = " ";
    bw_reference_format(&meeting, 0, text);
    for (size_t i = 0; text[i] != '\0'; i++) {
        char c = text[i] == '0' ? 'o' : text[i] == '1' ? 'l' : text[i];
        char more[2] = {c >= 'A' && c <= 'Z' ? (char)(c + 32) : c, '\0'};
        strcat(sloppy, c == '-' ? " " : more);
    }
    struct bw_reference reference;
    assert_true(bw_reference_parse(bw_view_str(sloppy), &reference));
    assert_true(bw_reference_matches(&reference, &meeting, 0));
}

static void what_is_no_reference_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "7K2M",
                                      "7K2M-04QX-9ZTB-000",
                                      "7K2M-04QX-9ZTB-00011",
                                      "7K2M-04QX-9ZTB-000U",
                                      "7K2M-04QX-9ZTB-000!"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct bw_reference reference = {.check = 7};
        assert_false(bw_reference_parse(bw_view_str(bad[i]), &reference));
        assert_int_equal(reference.check, 7);
    }
}

static void no_reference_with_a_typing_error_still_finds_it(void **state)
{
    (void)state;
    struct bw_id meeting = meeting_at(1795000000000u, 0x5a);
    char text[BW_REFERENCE_SIZE];
    bw_reference_format(&meeting, 9, text);
    int accepted = 0, tried = 0;
    for (size_t i = 0; text[i] != '\0'; i++)
        for (const char *c = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"; text[i] != '-' && *c != '\0'; c++) {
            char wrong[BW_REFERENCE_SIZE];
            memcpy(wrong, text, sizeof wrong);
            wrong[i] = *c;
            struct bw_reference reference;
            if (*c == text[i] || !bw_reference_parse(bw_view_str(wrong), &reference))
                continue;
            tried++;
            accepted += bw_reference_matches(&reference, &meeting, 9);
        }
    assert_int_equal(tried, 16 * 31);
    assert_int_equal(accepted, 0); /* of the meeting it was made for, no other reference is accepted */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reference_finds_its_own_decision),
        cmocka_unit_test(neighbours_in_the_same_millisecond_are_told_apart),
        cmocka_unit_test(it_is_read_as_people_write_it),
        cmocka_unit_test(what_is_no_reference_is_refused),
        cmocka_unit_test(no_reference_with_a_typing_error_still_finds_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
