/* A decoded policy document: everything a tenant's admin wrote, typed, each value with its place. It says
 * what is stated, not what it means together: merging, narrowing and compiling are elsewhere in this room. A
 * value with at.line 0 is absent (below the organisation: the parent's; an empty list is present and is
 * nothing). Owner: the arena given to bw_policy_check; the source's name and text are copied into it.
 * Threads: immutable after bw_policy_check. */
#ifndef BW_POLICY_DOCUMENT_H
#define BW_POLICY_DOCUMENT_H

#include "policy/connector.h"
#include "policy/pattern.h"
#include "policy/territory.h"
#include "yaml/field.h"

enum bw_policy_place_kind { BW_PLACE_ALL, BW_PLACE_TERRITORY, BW_PLACE_GROUP, BW_PLACE_SITE };

struct bw_policy_place {
    struct bw_pos at;
    enum bw_policy_place_kind kind;
    uint16_t index;      /* TERRITORY: its index; GROUP: bw_territory_group_find's */
    struct bw_view text; /* as written; SITE: the name behind "site:" */
};
BW_YAML_LIST(bw_policy_places, struct bw_policy_place);
/* transit.prefer: classes in order, each a list of places. */
BW_YAML_LIST(bw_policy_preference, struct bw_policy_places);

/* *set becomes all places a list covers; sites are left out (they are names of relays' sites: compare
 * bw_policy_place.text). */
void bw_policy_places_expand(const struct bw_policy_places *places, enum bw_territory_sense sense,
                             struct bw_territory_set *set);

struct bw_policy_retention { /* ms */
    struct bw_pos at;
    struct bw_yaml_number quality, participants, decisions;
};

struct bw_policy_residency {
    struct bw_pos at;
    struct bw_yaml_texts at_rest; /* cell names, or one "*" */
    struct bw_policy_retention retention;
};

enum bw_policy_unknown { BW_UNKNOWN_REFUSE, BW_UNKNOWN_ALLOW };

struct bw_policy_entry {
    struct bw_pos at;
    struct bw_policy_places allow, deny; /* never sites */
    struct bw_yaml_number unknown;       /* enum bw_policy_unknown */
};

struct bw_policy_operators {
    struct bw_pos at;
    struct bw_policy_places allow_jurisdictions, deny_jurisdictions; /* never sites */
};

/* One required clause: one of these certifications ("HDS" alone is a clause of one). */
struct bw_policy_certification {
    struct bw_pos at;
    struct bw_yaml_texts any_of; /* at least one */
    struct bw_yaml_text single;  /* as written when it was a plain name; also any_of's only item */
};
BW_YAML_LIST(bw_policy_certifications, struct bw_policy_certification);

enum bw_doc_no_relay { BW_DOC_REJECT, BW_DOC_WAIT };
struct bw_policy_on_no_relay {
    struct bw_pos at; /* line 0: absent */
    enum bw_doc_no_relay action;
    uint64_t wait_ms;
    struct bw_yaml_number word, wait; /* as written; read the two above */
};

enum bw_doc_change { BW_DOC_KEEP, BW_DOC_DRAIN, BW_DOC_EVICT };
struct bw_policy_on_change {
    struct bw_pos at;
    enum bw_doc_change action;
    uint64_t drain_ms;
    struct bw_yaml_number word, drain; /* as written; read the two above */
};

struct bw_policy_transit {
    struct bw_pos at;
    struct bw_policy_places allow, deny;
    struct bw_policy_preference prefer;
    struct bw_policy_operators operators;
    struct bw_policy_certifications require_certifications;
    struct bw_policy_on_no_relay on_no_relay;
    struct bw_policy_on_change on_policy_change;
};

enum bw_policy_e2ee_mode { BW_E2EE_REQUIRED, BW_E2EE_PREFERRED, BW_E2EE_OPTIONAL, BW_E2EE_FORBIDDEN };
enum bw_doc_downgrade { BW_DOC_DOWNGRADE_NEVER, BW_DOC_DOWNGRADE_WITH_CONSENT };

/* SFrame cipher suites, RFC 9605 section 8.1; the ordinal + 1 is the registered number. */
#define BW_SFRAME_SUITE_MAP(X)                                                                               \
    X(AES_128_CTR_HMAC_SHA256_80)                                                                            \
    X(AES_128_CTR_HMAC_SHA256_64)                                                                            \
    X(AES_128_CTR_HMAC_SHA256_32)                                                                            \
    X(AES_128_GCM_SHA256_128)                                                                                \
    X(AES_256_GCM_SHA512_128)
enum bw_sframe_suite {
#define X(name) BW_SFRAME_##name,
    BW_SFRAME_SUITE_MAP(X)
#undef X
        BW_SFRAME_SUITE_COUNT
};
const char *bw_sframe_suite_name(enum bw_sframe_suite suite);

struct bw_policy_e2ee {
    struct bw_pos at;
    struct bw_yaml_number mode;                    /* enum bw_policy_e2ee_mode */
    struct bw_yaml_numbers suites;                 /* enum bw_sframe_suite */
    struct bw_yaml_number connectors_as_endpoints; /* 0, 1 */
    struct bw_yaml_number downgrade;               /* enum bw_doc_downgrade */
};

/* The items of connectors.allow: a connector, or "*" as BW_CONNECTOR_COUNT (policy/connector.h). */
struct bw_policy_connectors {
    struct bw_pos at;
    struct bw_yaml_numbers allow;
    struct bw_yaml_numbers require; /* connectors that every meeting must have, such as a recorder */
};
/* BW_CONNECTOR_BIT of each. */
uint32_t bw_policy_connector_mask(const struct bw_yaml_numbers *list);

enum bw_policy_on_unavailable { BW_KEY_SEAL_FORWARD, BW_KEY_UNAVAILABLE_BLOCK };
enum bw_policy_on_denied { BW_KEY_DENIED_BLOCK };
struct bw_policy_metadata_key {
    struct bw_pos at;
    struct bw_yaml_text key; /* "key:<tenant>/<name>" */
    struct bw_yaml_number on_unavailable, on_denied;
};
struct bw_policy_keys {
    struct bw_pos at;
    struct bw_policy_metadata_key metadata;
};

enum bw_policy_unverified { BW_GUESTS_REFUSE, BW_GUESTS_ADMIT };
struct bw_policy_guests {
    struct bw_pos at;
    struct bw_yaml_number unverified; /* enum bw_policy_unverified */
};

/* What `lock` can name; a statement about it at any lower level is an error. */
#define BW_SECTION_MAP(X)                                                                                    \
    X(RESIDENCY, "residency")                                                                                \
    X(ENTRY, "entry")                                                                                        \
    X(TRANSIT, "transit")                                                                                    \
    X(E2EE, "e2ee")                                                                                          \
    X(CONNECTORS, "connectors")                                                                              \
    X(KEYS, "keys")                                                                                          \
    X(GUESTS, "guests")
enum bw_policy_section {
#define X(name, text) BW_SECTION_##name,
    BW_SECTION_MAP(X)
#undef X
        BW_SECTION_COUNT
};
const char *bw_policy_section_name(enum bw_policy_section section);

/* The sections any level may state (bw_policy_check refuses those that are the organisation's alone). */
struct bw_policy_sections {
    struct bw_policy_residency residency;
    struct bw_policy_entry entry;
    struct bw_policy_transit transit;
    struct bw_policy_e2ee e2ee;
    struct bw_policy_connectors connectors;
    struct bw_policy_keys keys;
    struct bw_policy_guests guests;
    struct bw_yaml_numbers lock; /* enum bw_policy_section */
};
/* Where a section is stated; line 0 when it is not. */
struct bw_pos bw_policy_section_at(const struct bw_policy_sections *sections, enum bw_policy_section section);

struct bw_policy_member {
    struct bw_pos at;
    struct bw_view text;
    struct bw_user_pattern pattern;
};
BW_YAML_LIST(bw_policy_members, struct bw_policy_member);
struct bw_policy_match {
    struct bw_pos at;
    struct bw_policy_members members;
    struct bw_yaml_number others; /* groups only: everyone whom no other group matches */
};
/* Whether one of the members matches; `others` is the caller's to resolve. */
bool bw_policy_matches_user(const struct bw_policy_match *match, struct bw_view user);

enum bw_policy_applies { BW_APPLIES_HOSTED, BW_APPLIES_ATTENDED };

/* A group or a user level. Order in the document has no meaning. */
struct bw_policy_group {
    struct bw_pos at; /* of the list item */
    struct bw_yaml_text name;
    struct bw_yaml_number applies; /* enum bw_policy_applies; absent: hosted */
    struct bw_policy_match match;
    struct bw_policy_sections sections;
};
BW_YAML_LIST(bw_policy_groups, struct bw_policy_group);

struct bw_policy_lift {
    struct bw_pos at;
    struct bw_policy_places deny;
};
struct bw_policy_lifts {
    struct bw_pos at;
    struct bw_policy_lift transit, entry;
};
struct bw_policy_exception_for {
    struct bw_pos at;
    struct bw_yaml_text group, user;
};
struct bw_policy_exception {
    struct bw_pos at;
    struct bw_yaml_text id;
    struct bw_policy_lifts lifts;
    struct bw_policy_exception_for scope;
    struct bw_yaml_text reason;
    struct bw_yaml_number expires; /* unix ms */
};
BW_YAML_LIST(bw_policy_exceptions, struct bw_policy_exception);

struct bw_policy_parent {
    struct bw_pos at;
    struct bw_yaml_text tenant, hash;
};

struct bw_policy_test_given {
    struct bw_pos at;
    struct bw_yaml_text host_group, host_user;
    struct bw_policy_places participants; /* countries, one a participant */
    struct bw_yaml_text fleet;            /* a path relative to the document */
};
struct bw_policy_test_denied {
    struct bw_yaml_text relay;
    struct bw_yaml_text reason; /* a reason code */
};
BW_YAML_LIST(bw_policy_test_denials, struct bw_policy_test_denied);
struct bw_policy_test_expect {
    struct bw_pos at;
    struct bw_yaml_texts allow; /* relay names */
    struct bw_policy_test_denials deny;
};
struct bw_policy_test {
    struct bw_pos at;
    struct bw_yaml_text name;
    struct bw_policy_test_given given;
    struct bw_policy_test_expect expect;
};
BW_YAML_LIST(bw_policy_tests, struct bw_policy_test);

enum bw_policy_doc_kind { BW_POLICY_TENANT, BW_POLICY_MEETING };

struct bw_policy_doc {
    struct bw_pos at;
    struct bw_source source; /* copies: clauses are shown with the file and line */
    enum bw_policy_doc_kind kind;
    struct bw_yaml_number api_version, kind_word;
    struct bw_yaml_text tenant;         /* TENANT only, as everything below but sections */
    struct bw_policy_sections sections; /* the organisation's, or the meeting's */
    struct bw_policy_parent parent;
    struct bw_policy_groups groups;
    struct bw_policy_groups users; /* the same shape; match has members only */
    struct bw_policy_exceptions exceptions;
    struct bw_policy_tests tests;
};

struct bw_policy_options {
    enum bw_policy_doc_kind kind; /* what is expected */
    bool accept_later;            /* decode what is known but not built instead of refusing it */
};

/* The one validator, used by the command line and by the services alike: reads, decodes and checks one
 * document of kind TenantPolicy or MeetingPolicy. OK with *doc (warnings may be in diags); INVALID_ARGUMENT
 * with every error in diags and the first in err; RESOURCE_EXHAUSTED when memory or the arena is out. */
BW_MUST_USE enum bw_code bw_policy_check(const struct bw_source *source,
                                         const struct bw_policy_options *options, struct bw_arena *arena,
                                         struct bw_diags *diags, const struct bw_policy_doc **doc,
                                         struct bw_error *err);

/* For the JSON Schema and the reference pages. */
extern const struct bw_field_table bw_policy_tenant_table, bw_policy_meeting_table;

#endif
