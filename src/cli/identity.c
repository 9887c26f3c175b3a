#include "cli/identity.h"

#include <string.h>

#include "base/check.h"

static const char *const kinds[] = {"other", "app", "admin", "operator", "support", "relay", "replica"};

const char *bw_identity_kind_name(enum bw_identity_kind kind)
{
    return (size_t)kind < BW_ARRAY_LEN(kinds) ? kinds[kind] : kinds[0];
}

struct bw_identity bw_identity_parse(const char *spiffe_id)
{
    static const char scheme[] = "spiffe://";
    struct bw_identity identity = {.kind = BW_IDENTITY_OTHER};
    if (strncmp(spiffe_id, scheme, sizeof scheme - 1) != 0)
        return identity;
    const char *domain = spiffe_id + sizeof scheme - 1;
    const char *path = strchr(domain, '/');
    const char *name = path != NULL ? strchr(path + 1, '/') : NULL;
    if (name == NULL || path == domain || name[1] == '\0' || strchr(name + 1, '/') != NULL)
        return identity;
    struct bw_view kind = bw_view_of(path + 1, (size_t)(name - path - 1));
    for (size_t i = 1; i < BW_ARRAY_LEN(kinds); i++) {
        if (!bw_view_equal_str(kind, kinds[i]))
            continue;
        identity.kind = (enum bw_identity_kind)i;
        identity.trust_domain = bw_view_of(domain, (size_t)(path - domain));
        identity.name = bw_view_str(name + 1);
    }
    return identity;
}

bool bw_identity_may_call(enum bw_identity_kind kind)
{
    return kind != BW_IDENTITY_OTHER && kind != BW_IDENTITY_RELAY && kind != BW_IDENTITY_REPLICA;
}
