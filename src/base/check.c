#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>

void bw_check_failed(const char *expression, const char *file, int line)
{
    fprintf(stderr, "bailiwick: invariant broken: %s at %s:%d\n", expression, file, line);
    abort();
}
