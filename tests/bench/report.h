/* What benchmarks share: the middle of several rounds, and the JSON line a figure is printed as. */
#ifndef BW_BENCH_REPORT_H
#define BW_BENCH_REPORT_H

#include <stddef.h>

/* Sorts values. */
double bench_median(double *values, size_t count);
/* The value below which `percent` of the sorted values lie; 0 without any. */
double bench_percentile(const double *sorted, size_t count, double percent);
void bench_sort(double *values, size_t count);

/* One figure beside what it is measured against, on stdout. `better`: "higher" or "lower". */
void bench_print(const char *name, double value, const char *unit, const char *better, const char *anchor,
                 double anchor_value);

#endif
