/* Between the files that read policy documents; nobody else's. */
#ifndef BW_POLICY_DOCUMENT_INTERNAL_H
#define BW_POLICY_DOCUMENT_INTERNAL_H

#include "policy/document.h"

/* Decoders of single places; which kinds a list takes is the list's to say. */
void bw_document_place(struct bw_decode *decode, const struct bw_yaml_node *node,
                       const struct bw_field *field, void *out); /* country, part, group, site or "*" */
void bw_document_country(struct bw_decode *decode, const struct bw_yaml_node *node,
                         const struct bw_field *field, void *out); /* the same without sites */
void bw_document_location(struct bw_decode *decode, const struct bw_yaml_node *node,
                          const struct bw_field *field, void *out); /* one country or part */
void bw_document_member(struct bw_decode *decode, const struct bw_yaml_node *node,
                        const struct bw_field *field, void *out); /* a user pattern */

/* Caps on lists, and shorthands for rows of field tables. */
enum { LIST_MAX = 500, GROUPS_MAX = 200, SMALL_MAX = 64 };

#define PLACES(type_, member_, key_, item_, doc_)                                                            \
    {                                                                                                        \
        .key = key_, .type = BW_FIELD_LIST, BW_AT(type_, member_), .item = &item_, .max = LIST_MAX,          \
        .doc = doc_                                                                                          \
    }
#define TABLE(name_, text_, fields_, type_)                                                                  \
    {                                                                                                        \
        .name = name_, .doc = text_, .fields = fields_, .count = BW_ARRAY_LEN(fields_),                      \
        .size = sizeof(type_)                                                                                \
    }

extern const struct bw_field bw_document_place_item, bw_document_country_item;
extern const struct bw_field_table bw_document_residency_table, bw_document_entry_table,
    bw_document_transit_table, bw_document_e2ee_table, bw_document_connectors_table, bw_document_keys_table,
    bw_document_guests_table;

/* What was decoded, looked at as a whole. */
struct bw_policy_checking {
    const struct bw_source *source;
    struct bw_diags *diags;
    const struct bw_policy_doc *doc;
    const struct bw_yaml_node *root; /* what was written, also where it could not be decoded */
    bool accept_later;
};

/* One level: "the organisation", "group board". organisation: what it must state is checked. */
struct bw_policy_checked_level {
    const struct bw_policy_sections *sections;
    const char *what;
    struct bw_view name; /* empty: none */
    bool organisation, meeting, attended;
};

void bw_document_check_level(const struct bw_policy_checking *checking,
                             const struct bw_policy_checked_level *level); /* check_sections.c */
void bw_document_check_places(const struct bw_policy_checking *checking,
                              const struct bw_policy_sections *sections); /* check_places.c */
void bw_document_check_whole(const struct bw_policy_checking *checking);  /* check.c */

#endif
