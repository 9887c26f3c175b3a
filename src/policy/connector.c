#include "policy/connector.h"

#include <string.h>

static const char *const names[] = {
#define X(name, spelling) spelling,
    BW_CONNECTOR_MAP(X)
#undef X
};

const char *bw_connector_name(enum bw_connector connector)
{
    return (unsigned)connector < BW_CONNECTOR_COUNT ? names[connector] : "unknown";
}

enum bw_connector bw_connector_parse(const char *name)
{
    for (unsigned i = 0; i < BW_CONNECTOR_COUNT; i++)
        if (strcmp(names[i], name) == 0)
            return (enum bw_connector)i;
    return BW_CONNECTOR_COUNT;
}
