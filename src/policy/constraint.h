/* A constraint set: what one chain of policy levels (organisation, groups, user, meeting) means over one set
 * of facts at one moment. Compiled once, immutable, shared by counting references; every later question is a
 * few words of bitset or a field.
 *
 * A level never widens what stands above it: allow lists intersect, deny lists unite, certifications add up,
 * modes intersect (see merge.h). Each clause that removes relays is kept as a "cut", so that every refusal
 * can name the line that decided it.
 *
 * Threads: any may read and count references; compiling is one thread's. Owner: whoever holds a reference;
 * the set itself holds one of its facts. Times are unix milliseconds given by the caller. */
#ifndef BW_POLICY_CONSTRAINT_H
#define BW_POLICY_CONSTRAINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bitset.h"
#include "base/status.h"
#include "policy/connector.h"
#include "policy/facts.h"
#include "policy/reason.h"

struct bw_arena;

enum bw_policy_level {
    BW_LEVEL_ORGANISATION,
    BW_LEVEL_GROUP,
    BW_LEVEL_USER,
    BW_LEVEL_MEETING,
    BW_LEVEL_PLATFORM, /* no clause of the tenant's: what the platform itself says, such as a tenants list */
};

/* Where a rule is written. */
struct bw_clause {
    const char *file;   /* as given when the document was loaded; NULL for BW_LEVEL_PLATFORM */
    uint32_t line, col; /* 1-based; 0 when there is no text */
    enum bw_policy_level level;
    const char *level_name; /* the group's name, the user's pattern, or NULL */
    const char *path;       /* "transit.deny" */
    const char *text;       /* the entry itself, "HU"; may be NULL */
};

/* One clause and the nodes it removes, for one reason. */
struct bw_cut {
    enum bw_reason reason;
    struct bw_clause clause;
    struct bw_bitset nodes;
};

/* Modes a meeting may be in, as a set. */
enum { BW_MODE_SET_E2EE = 1, BW_MODE_SET_HOP = 2 };
enum bw_no_relay { BW_NO_RELAY_REJECT, BW_NO_RELAY_WAIT };
enum bw_policy_change { BW_CHANGE_EVICT, BW_CHANGE_DRAIN, BW_CHANGE_KEEP };
enum bw_downgrade { BW_DOWNGRADE_NEVER, BW_DOWNGRADE_WITH_CONSENT };
/* UNKNOWN_PLACE is a refusal too: the place is not known, or only too coarsely for the rules. */
enum bw_verdict { BW_ALLOWED, BW_DENIED, BW_UNKNOWN_PLACE };

/* A duration nobody stated. */
#define BW_UNSTATED_MS UINT64_MAX

/* An exception in force: what it is for, and until when. */
struct bw_constraints_exception {
    const char *id, *reason;
    uint64_t expires_ms;
    struct bw_clause clause;
};

struct bw_constraints {
    _Atomic unsigned references;
    struct bw_arena *arena;
    struct bw_facts *facts;
    const char *tenant;
    const char *cell; /* the signalling cell it was judged with; NULL: none */
    uint64_t compiled_at_ms;
    uint64_t valid_until_ms; /* recompile at this moment: a certification or an exception ends; BW_NEVER_MS */

    struct bw_bitset eligible; /* relays that media may pass; never a cell's bit */
    const uint32_t *reasons;   /* per relay: why not; 0 exactly for the eligible ones */
    const struct bw_cut *cuts; /* in chain order, deny before allow inside a level */
    size_t cut_count;
    /* Why a relay that offers connectors may not serve them: CONNECTOR_STORE or FACT_UNKNOWN about stores.
     * Does not touch `eligible`. */
    const struct bw_cut *connector_cuts;
    size_t connector_cut_count;
    bool signalling_ok; /* the cell obeys the same lists; when false every relay has SIGNALLING */
    struct bw_bitset connector_stores; /* relays whose connectors keep data only where allowed */
    const uint32_t *prefer_rank;       /* per relay, 0 is best; ranks of upper levels weigh more */

    const struct bw_constraints_exception *exceptions; /* those in force for this chain */
    size_t exception_count;

    uint32_t modes; /* BW_MODE_SET_*; never empty */
    bool prefers_e2ee;
    bool connectors_as_endpoints;
    enum bw_downgrade downgrade;
    uint32_t suites;              /* bit n: enum bw_sframe_suite n is allowed */
    uint32_t connectors;          /* BW_CONNECTOR_BIT of what may be invited */
    uint32_t required_connectors; /* what every meeting must have */
    enum bw_no_relay on_no_relay;
    uint64_t wait_ms;
    enum bw_policy_change on_policy_change;
    uint64_t drain_ms;
    const char *metadata_key; /* "key:<tenant>/<name>"; NULL: the cell's own */
    bool refuses_unverified_guests;
    /* BW_UNSTATED_MS: decisions that are kept without end, and whatever of a joiner's rules says nothing of
     * it. */
    uint64_t retention_quality_ms, retention_participants_ms, retention_decisions_ms;

    const struct bw_entry_rules *entry; /* opaque; see bw_constraints_entry */
    const struct bw_stated *stated;     /* opaque: where modes, connectors and the cell were decided */
    uint8_t hash[32];          /* of the meaning of the chain's levels, not of facts, order or spelling */
    uint8_t document_hash[32]; /* SHA-256 of the tenant document's text */
};

struct bw_constraints *bw_constraints_retain(struct bw_constraints *constraints);
/* NULL is allowed. */
void bw_constraints_release(struct bw_constraints *constraints);

/* May someone in `place` (a code as in facts; NULL: unknown) join? *clause, when not NULL, gets the deciding
 * one. */
enum bw_verdict bw_constraints_entry(const struct bw_constraints *constraints, const char *place,
                                     struct bw_clause *clause);

/* The cut that decided `reason` for a node; NULL when that reason does not stand. The first in chain order.
 */
const struct bw_cut *bw_constraints_decisive(const struct bw_constraints *constraints, size_t node,
                                             enum bw_reason reason);

/* The clauses behind fields that are not about relays; false (and *clause untouched) when no level states
 * one. */
bool bw_constraints_mode_clause(const struct bw_constraints *constraints, uint32_t excluded_mode,
                                struct bw_clause *clause);
bool bw_constraints_connector_clause(const struct bw_constraints *constraints, enum bw_connector connector,
                                     struct bw_clause *clause);

/* The clause that requires such a connector; likewise. */
bool bw_constraints_required_clause(const struct bw_constraints *constraints, enum bw_connector connector,
                                    struct bw_clause *clause);

/* May this kind be invited at all, and may this relay serve it? 0 or reason bits; independent of e2ee mode.
 */
uint32_t bw_constraints_connector(const struct bw_constraints *constraints, enum bw_connector connector,
                                  size_t relay);

#endif
