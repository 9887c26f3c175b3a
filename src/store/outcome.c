/* Outcomes and their words; declared in store/writer.h. */
#include "base/check.h"
#include "store/writer.h"

static const struct {
    const char *name;
    enum bw_code code;
    const char *reason, *text;
} outcomes[] = {
#define X(name, code, reason, text) {#name, BW_##code, reason, text},
    BW_STORE_OUTCOME_MAP(X)
#undef X
};

const char *bw_store_outcome_name(enum bw_store_outcome outcome)
{
    BW_CHECK((size_t)outcome < BW_ARRAY_LEN(outcomes));
    return outcomes[outcome].name;
}

enum bw_code bw_store_outcome_error(enum bw_store_outcome outcome, struct bw_error *err)
{
    BW_CHECK((size_t)outcome < BW_ARRAY_LEN(outcomes));
    if (outcomes[outcome].code == BW_OK)
        return BW_OK;
    return bw_fail(err, outcomes[outcome].code, outcomes[outcome].reason, "%s", outcomes[outcome].text);
}
