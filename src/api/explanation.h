/* What every explanation of a placement has in common, hypothetical or not. Inside this room only. Everything
 * lies in the arena or is borrowed from the constraint set; false means that the arena is full. Threads: any.
 */
#ifndef BW_API_EXPLANATION_H
#define BW_API_EXPLANATION_H

#include "api/encode.h"
#include "bailiwick/v1/policy.pb-c.h"

/* "policy.yaml:17:26" at the end of the list, unless it is there or is no clause of a document. The list has
 * room for one more. */
bool bw_api_add_clause(const struct bw_clause *clause, struct bw_arena *arena, const char **list,
                       size_t *count);
/* The clauses that decided each reason of the mask for a relay. */
bool bw_api_clauses_of(const struct bw_constraints *constraints, uint32_t relay, uint32_t mask,
                       struct bw_arena *arena, const char ***list, size_t *count);
/* Every relay with a reason against it; reasons has one mask for each relay of the set's facts. */
bool bw_api_explain_rejected(const struct bw_constraints *constraints, const uint32_t *reasons, size_t count,
                             struct bw_arena *arena, Bailiwick__V1__Explanation *out);
bool bw_api_explain_policy(uint32_t revision, const uint8_t hash[32], struct bw_arena *arena,
                           Bailiwick__V1__Explanation *out);
/* Retention and the exceptions in force. */
bool bw_api_explain_terms(const struct bw_constraints *constraints, struct bw_arena *arena,
                          Bailiwick__V1__Explanation *out);
/* missing: BW_CONNECTOR_BITs. */
bool bw_api_explain_missing(uint32_t missing, struct bw_arena *arena, Bailiwick__V1__Explanation *out);
/* Where the rejections come from. */
Bailiwick__V1__Explanation__Basis *bw_api_explain_basis(const char *rejected, uint32_t policy_revision,
                                                        uint64_t facts_revision, struct bw_arena *arena);
/* Participant to relay; value "" is left out. The list has room. */
bool bw_api_explain_assign(const char *who, const char *relay, struct bw_arena *arena,
                           Bailiwick__V1__Explanation *out);
bool bw_api_explain_flags(const char *who, enum bw_scheme allocated, struct bw_arena *arena,
                          Bailiwick__V1__Explanation *out);

/* The other two subjects of ExplainPlacement (explain_record.c, explain_meeting.c). */
struct bw_api_call;
void bw_api_explain_reference(struct bw_api_call *call);
void bw_api_explain_slot(struct bw_api_call *call);
void bw_api_explain_meeting(struct bw_api_call *call);

#endif
