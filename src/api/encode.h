/* Building answers from the core's structs. Everything made lies in the arena given and may borrow from what
 * it was made from; NULL means that the arena is full. Inside this room only. Threads: any, one an arena. */
#ifndef BW_API_ENCODE_H
#define BW_API_ENCODE_H

#include "api/facts.h"
#include "api/numbers.h"
#include "bailiwick/v1/common.pb-c.h"
#include "bailiwick/v1/meeting.pb-c.h"
#include "bailiwick/v1/policy.pb-c.h"
#include "base/arena.h"
#include "control/fleet_view.h"
#include "control/op.h"
#include "ledger/decision.h"
#include "policy/constraint.h"
#include "yaml/diag.h"

/* 36 characters. */
const char *bw_api_id_text(const struct bw_id *id, struct bw_arena *arena);
/* "sha256:…" of 32 bytes; "" for all zero. */
const char *bw_api_hash_text(const uint8_t hash[32], struct bw_arena *arena);
/* To quote. */
const char *bw_api_reference_text(const struct bw_id *meeting, uint32_t seq, struct bw_arena *arena);
/* A relay's name by its number; "" when it is not in the fleet (any more). */
const char *bw_api_relay_name(const struct bw_fleet_view *view, uint32_t number);

/* Reasons of a mask as a list. */
bool bw_api_reasons(uint32_t mask, struct bw_arena *arena, size_t *count, Bailiwick__V1__Reason **reasons);

Bailiwick__V1__E2eeFlags *bw_api_flags(const struct bw_flags *flags, struct bw_arena *arena);
Bailiwick__V1__Admission *bw_api_admission(const struct bw_op *op, const struct bw_id *meeting, uint32_t seq,
                                           struct bw_arena *arena);
/* Of a JOINED or CONNECTOR_INVITED. */
Bailiwick__V1__DecisionSummary *bw_api_summary(const struct bw_decision *decision,
                                               const struct bw_fleet_view *view, struct bw_arena *arena);

/* Of a REFUSED; message is what op->error said, or NULL for words made from the reasons. At most relays_max
 * relays, those nearest to being allowed first. */
Bailiwick__V1__Refusal *bw_api_refusal(const struct bw_decision *decision, const char *tenant,
                                       const char *message, const struct bw_fleet_view *view,
                                       size_t relays_max, struct bw_arena *arena);
/* The stable reason of the status that a refusal is answered with. */
const char *bw_api_refusal_reason(const struct bw_decision *decision);

/* What would have to change, in words. */
const char *bw_api_change_text(uint32_t reasons, const char *clause, struct bw_arena *arena);

/* Everything wrong with a document. */
Bailiwick__V1__Diagnostic **bw_api_diagnostics(const struct bw_diags *diags, struct bw_arena *arena,
                                               size_t *count);

#endif
