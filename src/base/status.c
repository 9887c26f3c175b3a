#include "base/status.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/check.h"

static const struct {
    const char *name;
    enum bw_code_category category;
} codes[] = {
#define X(name, number, category) [number] = {#name, BW_CATEGORY_##category},
    BW_CODE_MAP(X)
#undef X
};

const char *bw_code_name(enum bw_code code)
{
    if ((unsigned)code >= BW_ARRAY_LEN(codes))
        return "UNKNOWN";
    return codes[code].name;
}

enum bw_code_category bw_code_category(enum bw_code code)
{
    if ((unsigned)code >= BW_ARRAY_LEN(codes))
        return BW_CATEGORY_OURS;
    return codes[code].category;
}

enum bw_code bw_fail(struct bw_error *err, enum bw_code code, const char *reason, const char *format, ...)
{
    if (err == NULL)
        return code;
    err->code = code;
    err->reason = reason;
    err->log[0] = '\0';
    va_list args;
    va_start(args, format);
    vsnprintf(err->show, sizeof err->show, format, args);
    va_end(args);
    return code;
}

void bw_error_log(struct bw_error *err, const char *format, ...)
{
    if (err == NULL)
        return;
    va_list args;
    va_start(args, format);
    vsnprintf(err->log, sizeof err->log, format, args);
    va_end(args);
}

enum bw_code bw_fail_memory(struct bw_error *err)
{
    return bw_fail(err, BW_RESOURCE_EXHAUSTED, NULL, "out of memory");
}
