#include "report.h"

#include <stdio.h>
#include <stdlib.h>

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

void bench_sort(double *values, size_t count)
{
    qsort(values, count, sizeof *values, by_value);
}

double bench_median(double *values, size_t count)
{
    bench_sort(values, count);
    return values[count / 2];
}

double bench_percentile(const double *sorted, size_t count, double percent)
{
    if (count == 0)
        return 0;
    size_t at = (size_t)((double)count * percent / 100.0);
    return sorted[at < count ? at : count - 1];
}

void bench_print(const char *name, double value, const char *unit, const char *better, const char *anchor,
                 double anchor_value)
{
    printf("{\"name\": \"%s\", \"value\": %.3f, \"unit\": \"%s\", \"better\": \"%s\", \"anchor\": \"%s\","
           " \"anchor_value\": %.3f, \"ratio\": %.2f}\n",
           name, value, unit, better, anchor, anchor_value, value / anchor_value);
    fflush(stdout);
}
