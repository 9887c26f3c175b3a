/* What signing and verifying share of the grant's layout; private to this room. */
#ifndef BW_E2EE_GRANT_LAYOUT_H
#define BW_E2EE_GRANT_LAYOUT_H

#include "e2ee/grant.h"

#define BW_GRANT_MAGIC "BWG1"

enum { BW_GRANT_VERSION = 1, BW_GRANT_PROOF_FIXED = 4 + 4 + 1 };

/* Is every field one that a grant may have, whoever reads it? */
enum bw_grant_refusal bw_grant_check(const struct bw_grant *grant);

#endif
