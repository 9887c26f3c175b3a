#include "policy/reason.h"

#include <string.h>

#include "base/check.h"

static const char *const names[] = {
#define X(name, bit, text) [bit] = #name,
    BW_REASON_MAP(X)
#undef X
};

static const char *const texts[] = {
#define X(name, bit, text) [bit] = text,
    BW_REASON_MAP(X)
#undef X
};

_Static_assert(BW_ARRAY_LEN(names) == BW_REASON_COUNT, "bits are dense");
_Static_assert(BW_REASON_COUNT <= 32, "a mask holds every reason");

const char *bw_reason_name(enum bw_reason reason)
{
    return (unsigned)reason < BW_REASON_COUNT ? names[reason] : "UNKNOWN";
}

const char *bw_reason_text(enum bw_reason reason)
{
    return (unsigned)reason < BW_REASON_COUNT ? texts[reason] : "unknown reason";
}

enum bw_reason bw_reason_parse(const char *name)
{
    for (unsigned i = 0; i < BW_REASON_COUNT; i++)
        if (strcmp(names[i], name) == 0)
            return (enum bw_reason)i;
    return BW_REASON_COUNT;
}

unsigned bw_reason_count(uint32_t mask)
{
    return (unsigned)__builtin_popcount(mask);
}
