/* Why a meeting is placed as it is: for `policy explain`, for ExplainPlacement and for the console, all the
 * same. Threads: pure. */
#ifndef BW_PLACEMENT_EXPLAIN_H
#define BW_PLACEMENT_EXPLAIN_H

#include "base/buf.h"
#include "placement/place.h"
#include "placement/request_file.h"
#include "policy/document.h"

/* A question answered. Owner: the caller; the plan and the trace live in the arena it was made in. */
struct bw_explanation {
    const struct bw_snapshot *snapshot;
    const struct bw_request_file *request;
    struct bw_constraints *constraints; /* a reference of its own */
    uint32_t mode;        /* BW_MODE_SET_E2EE or BW_MODE_SET_HOP: what such a meeting starts in */
    bool with_connectors; /* some connector is placed */
    struct bw_plan plan;
    struct bw_decision_trace trace;
    /* What the caller adds before rendering. The label of the mode; NULL: from mode and with_connectors. Per
     * participant what it is allocated ("sframe-mls"); NULL, or NULL for one: no flags shown. */
    const char *mode_label;
    const char *const *allocated;
    uint32_t policy_revision;
};

/* Compiles the request's chain and plans the request. meeting (the meeting's own document) and weights may be
 * NULL. now_ms counts when the file names no moment. INVALID_ARGUMENT when the request is another tenant's or
 * names a group that the policy does not have. */
BW_MUST_USE enum bw_code
bw_explain_request(const struct bw_policy_doc *tenant, const struct bw_policy_doc *meeting,
                   const struct bw_snapshot *snapshot, const struct bw_request_file *request,
                   const struct bw_weights *weights, uint64_t now_ms, struct bw_arena *arena,
                   struct bw_explanation *explanation, struct bw_error *err);
/* Gives the constraints back. An all-zero explanation is allowed. */
void bw_explanation_finish(struct bw_explanation *explanation);

/* Of the connectors that every meeting must have, those nobody asked for: BW_CONNECTOR_BITs. */
uint32_t bw_explain_missing(const struct bw_explanation *explanation);

/* One JSON object and a newline. Score terms that only several relays or moves have (relays_us, moved_us) are
 * there when they are not zero. */
BW_MUST_USE enum bw_code bw_explain_json(const struct bw_explanation *explanation, struct bw_buf *out,
                                         struct bw_error *err);
/* For people: the decision, then every relay with its verdict and, for each reason, the clause and its line.
 * sources are the documents whose lines may be shown. */
void bw_explain_text(const struct bw_explanation *explanation, const struct bw_source *sources,
                     size_t source_count, struct bw_buf *out);

#endif
