/* The whole verdict on a policy before it is published: what a document says by itself (policy/document.h),
 * its levels against each other, and, where a fleet is given, whether anything is left to place on. The
 * command line, the services and the console all call bw_policy_validate. Threads: pure. */
#ifndef BW_POLICY_VALIDATE_H
#define BW_POLICY_VALIDATE_H

#include "policy/compile.h"
#include "policy/document.h"

/* Today's fleet, as far as policy sees it. */
struct bw_policy_today {
    struct bw_facts *facts;
    const char *cell; /* as in struct bw_compile_input */
    uint64_t now_ms;
};

/* bw_policy_check, then bw_policy_check_chain, then (today not NULL) bw_policy_check_today. Results and
 * errors as bw_policy_check's. */
BW_MUST_USE enum bw_code bw_policy_validate(const struct bw_source *source,
                                            const struct bw_policy_options *options,
                                            const struct bw_policy_today *today, struct bw_arena *arena,
                                            struct bw_diags *diags, const struct bw_policy_doc **doc,
                                            struct bw_error *err);

/* A level below the organisation that allows what the organisation does not is an error with both places
 * shown (WIDENS_PARENT); so are levels that leave no encryption mode, no suite, or forbid a connector that is
 * required. */
void bw_policy_check_chain(const struct bw_policy_doc *tenant, struct bw_diags *diags);

/* The same for a meeting's own document below a tenant's. clamp: the meeting was there first and the tenant
 * has narrowed since, so what goes too far is reported as a warning; compiling has clamped it anyway. */
void bw_policy_check_meeting(const struct bw_policy_doc *tenant, const struct bw_policy_doc *meeting,
                             bool clamp, struct bw_diags *diags);

/* Levels for which no relay of today's fleet is left (NO_RELAY_LEFT), and sites outside what the parent
 * allows. RESOURCE_EXHAUSTED when memory is out. */
BW_MUST_USE enum bw_code bw_policy_check_today(const struct bw_policy_doc *tenant,
                                               const struct bw_policy_today *today, struct bw_diags *diags,
                                               struct bw_error *err);

#endif
