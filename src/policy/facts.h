/* What is attested about relays and cells: where they stand, who operates them, under whose law. Live state
 * (load, leases, drain) is not here but in placement/snapshot.h.
 *
 * A struct bw_facts is built once from an array and never changes: it owns copies of everything in one arena,
 * is shared by counting references, and is transposed: one bitset per attribute value, so that a policy list
 * over a fleet is a few words ORed. Relays are kept sorted by name, so an index means the same relay whatever
 * order the caller's array was in. Cells follow the relays in the same bitsets, because the signalling cell
 * is a leg and obeys the same lists: bit i < relay_count is relays[i], bit relay_count + c is cells[c].
 *
 * Threads: any may read and count references; the builder is one thread's. */
#ifndef BW_POLICY_FACTS_H
#define BW_POLICY_FACTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bitset.h"
#include "base/status.h"
#include "policy/connector.h"

struct bw_arena;

enum { BW_NAME_MAX = 63, BW_RELAYS_MAX = 65535, BW_CELLS_MAX = 64 };
#define BW_NEVER_MS UINT64_MAX

enum bw_media { BW_MEDIA_OPAQUE, BW_MEDIA_PLAINTEXT };
enum bw_far_leg { BW_FAR_LEG_UNKNOWN, BW_FAR_LEG_ENCRYPTED, BW_FAR_LEG_CLEAR };

struct bw_certification {
    const char *name;
    uint64_t expires_ms; /* BW_NEVER_MS: no end stated */
};

/* A place is an ISO 3166-1 code or a 3166-2 one ("FR", "FR-75"), NULL when nobody attested it. */
struct bw_operator_facts {
    const char *name;                 /* may be NULL */
    const char *const *jurisdictions; /* of the operator and its parents; none means unknown */
    size_t jurisdiction_count;
};

struct bw_relay_facts {
    const char *name;
    uint32_t number; /* from enrolment, 1…; files without numbers get theirs by position */
    const char *site;
    const char *region; /* where the network thinks it is; NULL unknown */
    const char *place;
    struct bw_operator_facts operated_by;
    const struct bw_certification *certifications;
    size_t certification_count;
    enum bw_media media;
    bool cascade;               /* can link to other relays */
    const char *const *tenants; /* none: serves all */
    size_t tenant_count;
    uint32_t connectors; /* BW_CONNECTOR_BIT of what it offers */
    enum bw_far_leg far_leg;
    const char *const *stores; /* places where its connectors keep data */
    size_t store_count;
    bool stores_known; /* false: nobody said; true with none: it keeps nothing */
    uint32_t version;
};

struct bw_cell_facts {
    const char *name;
    const char *place;
    struct bw_operator_facts operated_by;
    const struct bw_certification *certifications;
    size_t certification_count;
};

/* One attribute value and the nodes that have it. */
struct bw_fact_column {
    const char *value;
    uint16_t place; /* its index (policy/territory.h) when the attribute is a place */
    struct bw_bitset nodes;
};

struct bw_fact_columns {
    struct bw_fact_column *items; /* sorted by value */
    size_t count;
};

struct bw_facts {
    _Atomic unsigned references;
    struct bw_arena *arena;
    uint64_t revision;
    uint8_t hash[32]; /* of every fact; not of the revision */

    const struct bw_relay_facts *relays; /* sorted by name */
    size_t relay_count;
    const struct bw_cell_facts *cells; /* sorted by name */
    size_t cell_count;
    size_t node_count;         /* relays and cells: the length of every bitset here */
    const uint32_t *by_number; /* relay indices sorted by number */

    struct bw_bitset relay_nodes, cell_nodes;
    struct bw_fact_columns places, sites, jurisdictions, certifications, tenants, stores;
    struct bw_bitset place_unknown, site_unknown, jurisdiction_unknown, stores_unknown;
    struct bw_bitset all_tenants; /* relays without a tenants restriction; cells too */
    struct bw_bitset offers[BW_CONNECTOR_COUNT];
};

/* Copies everything. Refuses (INVALID_ARGUMENT, naming the relay) a missing or malformed name, a duplicate
 * name or number, an unknown country or jurisdiction code, and more than BW_RELAYS_MAX relays. *facts is the
 * caller's reference. */
BW_MUST_USE enum bw_code bw_facts_create(const struct bw_relay_facts *relays, size_t relay_count,
                                         const struct bw_cell_facts *cells, size_t cell_count,
                                         uint64_t revision, struct bw_facts **facts, struct bw_error *err);
/* A new reference; returns its argument. */
struct bw_facts *bw_facts_retain(struct bw_facts *facts);
/* NULL is allowed. */
void bw_facts_release(struct bw_facts *facts);

/* Index of a relay or cell; SIZE_MAX when there is none. */
size_t bw_facts_find_relay(const struct bw_facts *facts, const char *name);
size_t bw_facts_find_number(const struct bw_facts *facts, uint32_t number);
size_t bw_facts_find_cell(const struct bw_facts *facts, const char *name);
/* Nodes with that value; NULL when no node has it. */
const struct bw_bitset *bw_facts_column(const struct bw_fact_columns *columns, const char *value);
/* Expiry of a node's certification: 0 when it has none of that name. The latest one counts. */
uint64_t bw_facts_certified_until(const struct bw_facts *facts, size_t node, const char *certification);
/* "par1" or the name of the cell. */
const char *bw_facts_node_name(const struct bw_facts *facts, size_t node);

#endif
