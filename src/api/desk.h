/* Administrative work: calls that end in the cell's database but are not on the join path (tenants, policies,
 * credentials, enrolment, looking up a decision). A service fills a desk order, the server has it done by a
 * thread that may block, and the answer comes back on the worker that asked.
 *
 * Owner: the order and all it points to live in order->arena, which is the call's; the answer is written into
 * the same arena. Threads: the worker's before it is given and after `done`; the desk's in between. */
#ifndef BW_API_DESK_H
#define BW_API_DESK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/id.h"
#include "base/status.h"
#include "ledger/decision.h"

enum bw_desk_kind {
    BW_DESK_TENANT_CREATE,
    BW_DESK_TENANTS_LIST,
    BW_DESK_POLICY_PUBLISH, /* done only after every worker of this replica has the new revision */
    BW_DESK_POLICY_GET,     /* revision 0: the one in force */
    BW_DESK_POLICIES_LIST,
    BW_DESK_CREDENTIAL_ISSUE,
    BW_DESK_RELAY_ENROLL,   /* done only after the fleet view has it */
    BW_DESK_RELAY_STATE,    /* cordon, uncordon, drain, remove; likewise */
    BW_DESK_DECISION_FIND,  /* by reference */
    BW_DESK_DECISIONS_WALK, /* of one meeting, in order */
    BW_DESK_MEETINGS_SEARCH,
};

enum { BW_DESK_RELAYS_MAX = 64 };

/* A meeting and what is kept of its quality in clear. */
struct bw_desk_meeting {
    struct bw_id id;
    uint64_t created_ms;
    /* Of its newest decision. */
    enum bw_decision_kind last_kind;
    struct bw_view last_record;
    uint32_t policy_revision;
    uint32_t joined; /* admissions, connectors too */
    uint32_t relays[BW_DESK_RELAYS_MAX];
    size_t relay_count;
    /* windows 0: nothing is kept, and the rest is 0. */
    uint32_t windows, poor_minutes;
    uint8_t worst_class, reason;
    uint64_t quality_from_ms, quality_to_ms;
};

/* What a search wants, beside the range. All 0: everything. */
struct bw_desk_filter {
    uint8_t at_least;       /* enum bw_quality_class: green, amber, red; grey is everything */
    uint8_t reason;         /* enum bw_quality_metric */
    uint32_t poor_minutes;  /* at least */
    const uint32_t *relays; /* any of these; count 0 and by_relay: none fits */
    size_t relay_count;
    bool by_relay;
};

struct bw_desk_tenant {
    struct bw_id id;
    const char *name, *cell;
    uint32_t policy_revision; /* 0: none yet */
    uint64_t created_ms;
};

struct bw_desk_policy {
    uint32_t revision;
    uint64_t at_ms;
    uint8_t hash[32];
    struct bw_view yaml; /* empty in lists */
    const char *author, *note;
};

enum bw_desk_relay_action { BW_DESK_CORDON, BW_DESK_UNCORDON, BW_DESK_DRAIN, BW_DESK_REMOVE };

struct bw_desk_order {
    enum bw_desk_kind kind;
    struct bw_id request;
    struct bw_arena *arena;
    void (*done)(struct bw_desk_order *order);
    void *context;

    union {
        struct {
            const char *name, *cell;
            struct bw_desk_tenant result;
        } tenant_create;
        struct {
            const char *after; /* name; "" from the start */
            uint32_t limit;
            struct bw_desk_tenant *results;
            size_t count;
        } tenants_list;
        struct {
            struct bw_id tenant;
            const char *tenant_name;
            struct bw_view yaml; /* checked already */
            uint8_t hash[32];
            const char *author, *note;
            bool if_revision_set;
            uint32_t if_revision;
            uint32_t revision; /* result */
        } policy_publish;
        struct {
            struct bw_id tenant;
            uint32_t revision;
            struct bw_desk_policy result;
        } policy_get;
        struct {
            struct bw_id tenant;
            uint32_t before; /* revision; 0: from the newest */
            uint32_t limit;
            struct bw_desk_policy *results;
            size_t count;
        } policies_list;
        struct {
            const char *spiffe_id, *role; /* role as the store spells it: "app", "tenant-admin" … */
            const struct bw_id *tenants;
            size_t tenant_count;
            const struct bw_id *seen; /* tenants of the one it replaces; NULL: there was none */
            size_t seen_count;
        } credential_issue;
        struct {
            const char *name, *spiffe_id;
            struct bw_view facts; /* an encoded RelayFacts message, checked already */
            uint32_t capacity;
            bool replace;
            uint32_t number; /* result */
            uint64_t facts_revision;
        } relay_enroll;
        struct {
            const char *name;
            enum bw_desk_relay_action action;
            uint64_t deadline_ms;    /* DRAIN: unix */
            const char *reason;      /* CORDON, DRAIN; "" otherwise */
            uint64_t facts_revision; /* result */
        } relay_state;
        struct {
            const char *reference;
            struct bw_view record; /* result: the stored bytes of the decision */
            uint32_t policy_revision;
        } decision_find;
        struct {
            struct bw_id meeting;
            /* For each decision, in the order of seq, on the desk's thread; false ends the walk. Anything but
             * BW_OK in order->error afterwards is the order's outcome. */
            bool (*each)(struct bw_desk_order *order, const struct bw_id *tenant, struct bw_view record);
        } decisions_walk;
        struct {
            struct bw_id tenant;
            uint64_t since_ms, until_ms; /* created in; unix */
            struct bw_id below;          /* ids below this one; zero: from the newest */
            struct bw_desk_filter filter;
            uint32_t limit;
            struct bw_desk_meeting *results; /* newest first */
            size_t count;
        } meetings_search;
    };

    struct bw_error error; /* BW_OK: done */
};

#endif
