/* The Fleet file as field tables. */
#include "placement/fleet_fields.h"
#include "base/check.h"
#include "policy/territory.h"

#define TABLE(name_, text_, fields_, type_)                                                                  \
    {                                                                                                        \
        .name = name_, .doc = text_, .fields = fields_, .count = BW_ARRAY_LEN(fields_),                      \
        .size = sizeof(type_)                                                                                \
    }

enum { MANY = 10000, FEW = 64 };

static bool is_place(struct bw_view text)
{
    uint16_t index;
    return bw_territory_find(text, &index);
}

const struct bw_grammar bw_grammar_place = {
    .what = "an ISO 3166 code such as FR or FR-75",
    .pattern = "^[A-Z]{2}(-[A-Z0-9]{1,3})?$",
    .accepts = is_place,
    .code = true,
};

static const struct bw_field place_item = {
    .type = BW_FIELD_TEXT, BW_ITEM(struct bw_yaml_text), .grammar = &bw_grammar_place};
static const struct bw_field name_item = {
    .type = BW_FIELD_TEXT, BW_ITEM(struct bw_yaml_text), .grammar = &bw_grammar_name};

#define NAME(type_, member_, key_, flags_, doc_)                                                             \
    {                                                                                                        \
        .key = key_, .type = BW_FIELD_TEXT, BW_AT(type_, member_), .grammar = &bw_grammar_name,              \
        .flags = flags_, .doc = doc_                                                                         \
    }
#define PLACE(type_, member_, key_, doc_)                                                                    \
    {                                                                                                        \
        .key = key_, .type = BW_FIELD_TEXT, BW_AT(type_, member_), .grammar = &bw_grammar_place, .doc = doc_ \
    }
#define LIST(type_, member_, key_, item_, max_, doc_)                                                        \
    {                                                                                                        \
        .key = key_, .type = BW_FIELD_LIST, BW_AT(type_, member_), .item = &item_, .max = max_, .doc = doc_  \
    }
#define MAP(type_, member_, key_, table_, doc_)                                                              \
    {                                                                                                        \
        .key = key_, .type = BW_FIELD_MAP, BW_AT(type_, member_), .table = &table_, .doc = doc_              \
    }

static const struct bw_field operator_fields[] = {
    {.key = "name",
     .type = BW_FIELD_TEXT,
     BW_AT(struct bw_fleet_operator, name),
     .flags = BW_FIELD_ONE_LINE,
     .max = 200,
     .doc = "Who operates it."},
    LIST(struct bw_fleet_operator, jurisdictions, "jurisdictions", place_item, FEW,
         "Every jurisdiction that binds the operator or a parent company. Absent: not known."),
};
static const struct bw_field_table operator_table =
    TABLE("operator", "Who operates it, and under whose law.", operator_fields, struct bw_fleet_operator);

static const struct bw_field certification_fields[] = {
    {.key = "name",
     .type = BW_FIELD_TEXT,
     BW_AT(struct bw_fleet_certification, name),
     .flags = BW_FIELD_REQUIRED | BW_FIELD_ONE_LINE,
     .min = 1,
     .max = 100,
     .doc = "As policies name it: HDS, SecNumCloud, C5."},
    {.key = "expires",
     .type = BW_FIELD_WHEN,
     BW_AT(struct bw_fleet_certification, expires),
     .doc = "From this moment on it counts no more. Absent: no end is known."},
};
static const struct bw_field_table certification_table =
    TABLE("certification", "A certification that was attested.", certification_fields,
          struct bw_fleet_certification);
static const struct bw_field certification_item = {
    .type = BW_FIELD_MAP, BW_ITEM(struct bw_fleet_certification), .table = &certification_table};

static const struct bw_field cell_fields[] = {
    NAME(struct bw_fleet_cell, name, "name", BW_FIELD_REQUIRED,
         "The cell's name, as residency.atRest says it."),
    PLACE(struct bw_fleet_cell, country, "country", "Where it stands."),
    MAP(struct bw_fleet_cell, operated_by, "operator", operator_table, "Who operates it."),
    LIST(struct bw_fleet_cell, certifications, "certifications", certification_item, FEW,
         "What it is certified for."),
};
static const struct bw_field_table cell_table =
    TABLE("a cell", "A control plane of one region; signalling is a leg and obeys policy too.", cell_fields,
          struct bw_fleet_cell);
static const struct bw_field cell_item = {
    .type = BW_FIELD_MAP, BW_ITEM(struct bw_fleet_cell), .table = &cell_table};

#define DEGREES(member_, key_, most_, doc_)                                                                  \
    {                                                                                                        \
        .key = key_, .type = BW_FIELD_DECIMAL, BW_AT(struct bw_fleet_region, member_),                       \
        .min = -most_ * INT64_C(1000000), .max = most_ * INT64_C(1000000), .doc = doc_                       \
    }
static const struct bw_field region_fields[] = {
    NAME(struct bw_fleet_region, name, "name", BW_FIELD_REQUIRED, "The region's name."),
    DEGREES(lat, "lat", 90, "Latitude in degrees; used where no round trip is given."),
    DEGREES(lon, "lon", 180, "Longitude in degrees."),
    LIST(struct bw_fleet_region, countries, "countries", place_item, 300,
         "Countries whose participants are thought to be here."),
};
static const struct bw_field_table region_table = TABLE(
    "a region", "Where relays and participants are thought to be.", region_fields, struct bw_fleet_region);
static const struct bw_field region_item = {
    .type = BW_FIELD_MAP, BW_ITEM(struct bw_fleet_region), .table = &region_table};

static const struct bw_field word_item = {
    .type = BW_FIELD_TEXT, BW_ITEM(struct bw_yaml_text), .flags = BW_FIELD_ONE_LINE, .max = 100};
static const struct bw_field tuple_item = {
    .type = BW_FIELD_LIST, BW_ITEM(struct bw_yaml_texts), .item = &word_item, .max = 3};

#define MILLISECONDS(member_, key_, doc_)                                                                    \
    {                                                                                                        \
        .key = key_, .type = BW_FIELD_DECIMAL, BW_AT(struct bw_fleet_rtt, member_), .min = 0,                \
        .max = 2000 * INT64_C(1000000), .doc = doc_                                                          \
    }
static const struct bw_field rtt_fields[] = {
    MILLISECONDS(same, "same", "Inside one region."),
    MILLISECONDS(fallback, "default", "Between regions whose pair is not listed."),
    LIST(struct bw_fleet_rtt, pairs, "pairs", tuple_item, MANY, "[region, region, milliseconds]"),
};
static const struct bw_field_table rtt_table = TABLE(
    "rttMs", "Round trips in milliseconds: pairs, then same, then default.", rtt_fields, struct bw_fleet_rtt);

static const struct bw_field legs_fields[] = {
    LIST(struct bw_fleet_legs, deny, "deny", tuple_item, MANY,
         "[relay, relay]: they cannot be linked; [region, relay]: it cannot serve that region."),
};
static const struct bw_field_table legs_table =
    TABLE("legs", "Links that cannot be, or that the operator forbids.", legs_fields, struct bw_fleet_legs);

static const char *const state_names[] = {"serving", "draining", "cordoned", "dead", NULL};
static const char *const media_names[] = {"opaque", "plaintext", NULL};
static const char *const far_names[] = {"unknown", "encrypted", "clear", NULL};
static const char *const connector_names[] = {
#define X(name, spelling) spelling,
    BW_CONNECTOR_MAP(X)
#undef X
        NULL};
static const struct bw_field connector_item = {
    .type = BW_FIELD_ENUM, BW_ITEM(struct bw_yaml_number), .names = connector_names};

#define CHOICE(member_, key_, names_, fallback_, doc_)                                                       \
    {                                                                                                        \
        .key = key_, .type = BW_FIELD_ENUM, BW_AT(struct bw_fleet_relay, member_), .names = names_,          \
        .fallback = fallback_, .doc = doc_                                                                   \
    }
static const struct bw_field relay_fields[] = {
    NAME(struct bw_fleet_relay, id, "id", BW_FIELD_REQUIRED, "The relay's name."),
    NAME(struct bw_fleet_relay, site, "site", 0, "Where it stands, as \"site:…\" says it."),
    NAME(struct bw_fleet_relay, region, "region", 0, "One of the regions above."),
    PLACE(struct bw_fleet_relay, country, "country",
          "Its country, or a part of it (FR-75). Absent: not known."),
    MAP(struct bw_fleet_relay, operated_by, "operator", operator_table, "Who operates it."),
    LIST(struct bw_fleet_relay, certifications, "certifications", certification_item, FEW,
         "What it is certified for."),
    {.key = "capacity",
     .type = BW_FIELD_UINT,
     BW_AT(struct bw_fleet_relay, capacity),
     .max = 1000000,
     .fallback = "500",
     .doc = "Participants it has room for."},
    {.key = "load",
     .type = BW_FIELD_DECIMAL,
     BW_AT(struct bw_fleet_relay, load),
     .min = 0,
     .max = 10 * INT64_C(1000000),
     .fallback = "0",
     .doc = "Load, 1 being nominal."},
    CHOICE(state, "state", state_names, "serving", "What it is doing."),
    {.key = "version",
     .type = BW_FIELD_UINT,
     BW_AT(struct bw_fleet_relay, version),
     .max = UINT32_MAX,
     .fallback = "1",
     .doc = "The version it runs."},
    CHOICE(media, "media", media_names, "opaque", "Whether it can read what passes."),
    {.key = "cascade",
     .type = BW_FIELD_BOOL,
     BW_AT(struct bw_fleet_relay, cascade),
     .fallback = "true",
     .doc = "Whether it can link to other relays."},
    LIST(struct bw_fleet_relay, tenants, "tenants", name_item, MANY,
         "Only for these tenants; empty or absent: for all."),
    LIST(struct bw_fleet_relay, connectors, "connectors", connector_item, BW_CONNECTOR_COUNT,
         "Connectors it offers."),
    CHOICE(far_leg, "farLeg", far_names, "unknown", "Whether the connectors' far side is encrypted."),
    LIST(struct bw_fleet_relay, stores, "stores", place_item, 300,
         "Where its connectors keep data; an empty list: nowhere. Absent: not known."),
};
static const struct bw_field_table relay_table =
    TABLE("a relay", "A media node: what it is, and how it is doing.", relay_fields, struct bw_fleet_relay);
static const struct bw_field relay_item = {
    .type = BW_FIELD_MAP, BW_ITEM(struct bw_fleet_relay), .table = &relay_table};

static const char *const version_names[] = {"bailiwick/v1", NULL};
static const char *const kind_names[] = {"Fleet", NULL};
static const struct bw_field fleet_fields[] = {
    {.key = "apiVersion",
     .type = BW_FIELD_ENUM,
     BW_AT(struct bw_fleet_file, api_version),
     .names = version_names,
     .flags = BW_FIELD_REQUIRED,
     .doc = "The version of this language."},
    {.key = "kind",
     .type = BW_FIELD_ENUM,
     BW_AT(struct bw_fleet_file, kind),
     .names = kind_names,
     .flags = BW_FIELD_REQUIRED,
     .doc = "What this document is."},
    LIST(struct bw_fleet_file, cells, "cells", cell_item, BW_CELLS_MAX,
         "Cells; without any, signalling is not judged."),
    LIST(struct bw_fleet_file, regions, "regions", region_item, BW_REGIONS_MAX, "Regions of the network."),
    MAP(struct bw_fleet_file, rtt, "rttMs", rtt_table, "Round trips between regions."),
    MAP(struct bw_fleet_file, legs, "legs", legs_table, "Links that must not be."),
    LIST(struct bw_fleet_file, relays, "relays", relay_item, MANY, "The relays."),
};
const struct bw_field_table bw_fleet_table =
    TABLE("Fleet", "Cells, regions and relays, as facts and as they are doing now.", fleet_fields,
          struct bw_fleet_file);
