/* Runs a scenario with its 1st, 2nd, 3rd … allocation failing, until it passes untouched. The scenario must
 * return false exactly when it reported the failure cleanly; leaks and crashes are the sanitizers' to find.
 */
#ifndef BW_TESTS_CHECK_ALLOC_H
#define BW_TESTS_CHECK_ALLOC_H

#include <stdbool.h>

/* Fails the cmocka test when a run with a struck allocation claims success although `must_notice`, or when
 * the scenario still fails untouched. Returns how many allocations the untouched run makes. */
unsigned long bw_fail_each_allocation(bool (*scenario)(void *context), void *context, bool must_notice);

#endif
