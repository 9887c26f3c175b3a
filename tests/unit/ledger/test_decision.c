#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "ledger/decision.h"

static void every_kind_has_a_name_of_its_own(void **state)
{
    (void)state;
    for (int kind = 1; kind < BW_DECISION_KINDS; kind++) {
        const char *name = bw_decision_kind_name((enum bw_decision_kind)kind);
        assert_string_not_equal(name, "UNKNOWN");
        for (int other = 1; other < kind; other++)
            assert_string_not_equal(name, bw_decision_kind_name((enum bw_decision_kind)other));
    }
    assert_string_equal(bw_decision_kind_name(BW_DECISION_REFUSED), "REFUSED");
    assert_string_equal(bw_decision_kind_name((enum bw_decision_kind)0), "UNKNOWN");
    assert_string_equal(bw_decision_kind_name((enum bw_decision_kind)BW_DECISION_KINDS), "UNKNOWN");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_has_a_name_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
