/* How long what a meeting leaves behind is kept: residency.retention of the levels that speak for its host.
 * Of quality and participants the shorter counts; how long decisions are kept, which are evidence, the
 * organisation alone says. Exceptions and meetings do not touch it. Threads: pure. */
#ifndef BW_POLICY_RETENTION_H
#define BW_POLICY_RETENTION_H

#include "policy/constraint.h"
#include "policy/document.h"

/* Where the organisation states none. */
#define BW_RETENTION_DEFAULT_MS     (UINT64_C(30) * 86400 * 1000) /* quality, participants */
#define BW_RETENTION_WITHOUT_END_MS UINT64_MAX                    /* decisions */

struct bw_retention {
    uint64_t quality_ms, participants_ms, decisions_ms; /* BW_RETENTION_WITHOUT_END_MS: never ends */
};

/* Of a meeting whose host is in these groups and has these user levels (names that the document does not have
 * are ignored); without any, the organisation's own. */
struct bw_retention bw_policy_retention_of(const struct bw_policy_doc *tenant, const char *const *groups,
                                           size_t group_count, const char *const *user_levels,
                                           size_t user_level_count);
/* The shortest that any level states, for what cannot be told apart by meeting. */
struct bw_retention bw_policy_retention_shortest(const struct bw_policy_doc *tenant);
enum { BW_RETENTION_TEXT_SIZE = 24 };
/* "30d", as a policy would say it, into text, which is returned; "" for what never ends. */
const char *bw_retention_text(uint64_t ms, char text[BW_RETENTION_TEXT_SIZE]);
/* As a host's constraint set has it. */
struct bw_retention bw_constraints_retention(const struct bw_constraints *constraints);

#endif
