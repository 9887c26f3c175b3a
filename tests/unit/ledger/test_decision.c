#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "ledger/decision.h"

static struct bw_id some_meeting(void)
{
    const uint8_t random[10] = {9, 8, 7, 6, 5, 4, 3, 2, 1, 0};
    return bw_id_v7(1790000000000, random);
}

static void a_reference_leads_back_to_its_decision(void **state)
{
    (void)state;
    struct bw_id meeting = some_meeting();
    char text[BW_REFERENCE_SIZE];
    for (uint32_t seq = 1; seq < 5000000; seq = seq * 3 + 1) {
        uint8_t prefix[8];
        uint32_t parsed = 0;
        bw_decision_reference(&meeting, seq, text);
        assert_true(bw_decision_reference_parse(text, prefix, &parsed));
        assert_memory_equal(prefix, meeting.bytes, 8);
        assert_int_equal(parsed, seq);
    }
}

static void a_reference_survives_how_people_write_it(void **state)
{
    (void)state;
    struct bw_id meeting = some_meeting();
    char text[BW_REFERENCE_SIZE], plain[BW_REFERENCE_SIZE] = "";
    bw_decision_reference(&meeting, 42, text);
    size_t n = 0;
    for (const char *p = text; *p != '\0'; p++) {
        if (*p != '-')
            plain[n++] = (char)(*p == '0' ? 'o' : tolower((unsigned char)*p));
    }
    uint8_t prefix[8];
    uint32_t seq = 0;
    assert_true(bw_decision_reference_parse(plain, prefix, &seq));
    assert_int_equal(seq, 42);
}

static void a_misread_digit_is_noticed(void **state)
{
    (void)state;
    struct bw_id meeting = some_meeting();
    char text[BW_REFERENCE_SIZE];
    uint8_t prefix[8];
    uint32_t seq;
    bw_decision_reference(&meeting, 42, text);
    unsigned noticed = 0, tried = 0;
    for (size_t i = 1; text[i] != '\0'; i++) {
        if (text[i] == '-')
            continue;
        char kept = text[i];
        for (const char *c = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"; *c != '\0'; c++) {
            if (*c == kept)
                continue;
            text[i] = *c;
            tried++;
            noticed += !bw_decision_reference_parse(text, prefix, &seq);
        }
        text[i] = kept;
    }
    /* One check byte lets about one in 256 through. */
    assert_true(noticed * 100 > tried * 98);
    assert_false(bw_decision_reference_parse("", prefix, &seq));
    assert_false(bw_decision_reference_parse("R-", prefix, &seq));
    assert_false(bw_decision_reference_parse("R-!!!!", prefix, &seq));
    assert_string_equal(bw_decision_kind_name(BW_DECISION_REFUSED), "REFUSED");
    assert_string_equal(bw_decision_kind_name((enum bw_decision_kind)0), "UNKNOWN");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reference_leads_back_to_its_decision),
        cmocka_unit_test(a_reference_survives_how_people_write_it),
        cmocka_unit_test(a_misread_digit_is_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
