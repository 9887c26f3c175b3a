#include "cli/exit.h"

#include <stddef.h>
#include <string.h>

#include "base/check.h"

/* ErrorInfo reasons of refusals; the first four are the API's names for several reason codes at once. */
static const char *const refusals[] = {
    "NO_COMPLIANT_RELAY",  "PARTICIPANT_POLICY", "MODE_FORBIDS_CONNECTOR", "MODE_FORBIDS_PARTICIPANT",
    "CONNECTOR_FORBIDDEN", "ENTRY_COUNTRY",      "CONNECTOR_REQUIRED",
};

bool bw_exit_is_refusal(const char *reason)
{
    for (size_t i = 0; reason != NULL && i < BW_ARRAY_LEN(refusals); i++)
        if (strcmp(refusals[i], reason) == 0)
            return true;
    return false;
}

enum bw_exit bw_exit_of(enum bw_code code, const char *reason)
{
    if (code != BW_OK && bw_exit_is_refusal(reason))
        return BW_EXIT_REFUSED;
    switch (code) {
    case BW_OK:
        return BW_EXIT_OK;
    case BW_INVALID_ARGUMENT:
    case BW_OUT_OF_RANGE:
    case BW_UNIMPLEMENTED:
        return BW_EXIT_USAGE;
    case BW_UNAUTHENTICATED:
    case BW_PERMISSION_DENIED:
        return BW_EXIT_AUTH;
    case BW_NOT_FOUND:
        return BW_EXIT_NOT_FOUND;
    case BW_ALREADY_EXISTS:
    case BW_ABORTED:
    case BW_FAILED_PRECONDITION:
        return BW_EXIT_CONFLICT;
    case BW_UNAVAILABLE:
    case BW_DEADLINE_EXCEEDED:
    case BW_RESOURCE_EXHAUSTED:
    case BW_CANCELLED:
        return BW_EXIT_UNAVAILABLE;
    case BW_UNKNOWN:
    case BW_INTERNAL:
    case BW_DATA_LOSS:
        return BW_EXIT_INTERNAL;
    }
    return BW_EXIT_INTERNAL;
}
