#include "check_alloc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/alloc.h"

unsigned long bw_fail_each_allocation(bool (*scenario)(void *context), void *context, bool must_notice)
{
    for (unsigned long nth = 1; nth < 1000000; nth++) {
        bw_alloc_fail_at(nth);
        bool passed = scenario(context);
        bool struck = bw_alloc_failed();
        bw_alloc_fail_at(0);
        if (!struck) {
            assert_true(passed);
            return nth - 1;
        }
        if (must_notice)
            assert_false(passed);
    }
    fail_msg("the scenario never ran out of allocations");
    return 0;
}
