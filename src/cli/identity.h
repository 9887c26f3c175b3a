/* Who a certificate says one is. Threads: pure. */
#ifndef BW_CLI_IDENTITY_H
#define BW_CLI_IDENTITY_H

#include "base/buf.h"

/* What may stand behind the trust domain. */
enum bw_identity_kind {
    BW_IDENTITY_OTHER, /* no SPIFFE id of ours */
    BW_IDENTITY_APP,
    BW_IDENTITY_ADMIN,
    BW_IDENTITY_OPERATOR,
    BW_IDENTITY_SUPPORT,
    BW_IDENTITY_RELAY,
    BW_IDENTITY_REPLICA,
};

struct bw_identity {
    enum bw_identity_kind kind;
    struct bw_view trust_domain, name; /* into the id */
};

/* "operator"; "other". */
const char *bw_identity_kind_name(enum bw_identity_kind kind);
/* spiffe://<trust domain>/<kind>/<name> */
struct bw_identity bw_identity_parse(const char *spiffe_id);
/* May people and applications call with it? Relays and replicas have calls of their own. */
bool bw_identity_may_call(enum bw_identity_kind kind);

#endif
