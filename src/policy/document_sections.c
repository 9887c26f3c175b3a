/* The sections that any level of a policy may state, as field tables. */
#include "base/check.h"
#include "policy/document_internal.h"

#define SECOND INT64_C(1000)
#define DAY    (86400 * SECOND)

const struct bw_field bw_document_place_item = {
    .type = BW_FIELD_CUSTOM,
    BW_ITEM(struct bw_policy_place),
    .decode = bw_document_place,
    .schema =
        "{\"type\": \"string\", \"description\": \"an ISO 3166-1 or -2 code, a group, site:NAME or *\"}",
};
const struct bw_field bw_document_country_item = {
    .type = BW_FIELD_CUSTOM,
    BW_ITEM(struct bw_policy_place),
    .decode = bw_document_country,
    .schema = "{\"type\": \"string\", \"description\": \"an ISO 3166-1 or -2 code, a group or *\"}",
};

/* residency */

static bool is_cell_or_all(struct bw_view text)
{
    return bw_view_equal_str(text, "*") || bw_grammar_name.accepts(text);
}
static const struct bw_grammar cell_grammar = {
    .what = "a cell's name (a-z, 0-9 and -) or \"*\"",
    .pattern = "^([a-z0-9][a-z0-9-]{0,62}|\\*)$",
    .accepts = is_cell_or_all,
    .code = true,
};
static const struct bw_field cell_item = {
    .type = BW_FIELD_TEXT, BW_ITEM(struct bw_yaml_text), .grammar = &cell_grammar};

#define RETENTION(member_, key_, min_, doc_)                                                                 \
    {                                                                                                        \
        .key = key_, .type = BW_FIELD_DURATION, BW_AT(struct bw_policy_retention, member_), .min = min_,     \
        .max = 3660 * DAY, .doc = doc_                                                                       \
    }
static const struct bw_field retention_fields[] = {
    RETENTION(quality, "quality", 0,
              "How long quality samples are kept; 30 days unless stated. Below, the shorter counts."),
    RETENTION(participants, "participants", 0,
              "How long it is known who took part; 30 days unless stated. Below, the shorter counts."),
    /* Request ids are kept for a day, and live in the decisions. */
    RETENTION(decisions, "decisions", DAY,
              "How long decisions are kept, at least a day; without end unless stated. They are evidence: "
              "only the organisation states it."),
};
static const struct bw_field_table retention_table =
    TABLE("retention", "How long what a meeting leaves behind is kept.", retention_fields,
          struct bw_policy_retention);

static const struct bw_field residency_fields[] = {
    {.key = "atRest",
     .type = BW_FIELD_LIST,
     BW_AT(struct bw_policy_residency, at_rest),
     .item = &cell_item,
     .flags = BW_FIELD_SCALAR_OK,
     .min = 1,
     .max = SMALL_MAX,
     .doc = "The cell that keeps this tenant's data; a list where the data of attended meetings may rest."},
    {.key = "retention",
     .type = BW_FIELD_MAP,
     BW_AT(struct bw_policy_residency, retention),
     .table = &retention_table,
     .doc = "How long what a meeting leaves behind is kept."},
};
const struct bw_field_table bw_document_residency_table =
    TABLE("residency", "Where data rests and for how long.", residency_fields, struct bw_policy_residency);

/* entry */

static const char *const unknown_names[] = {"refuse", "allow", NULL};
static const struct bw_field entry_fields[] = {
    PLACES(struct bw_policy_entry, allow, "allow", bw_document_country_item,
           "Countries people may join from."),
    PLACES(struct bw_policy_entry, deny, "deny", bw_document_country_item,
           "Countries nobody may join from; deny wins."),
    {.key = "unknown",
     .type = BW_FIELD_ENUM,
     BW_AT(struct bw_policy_entry, unknown),
     .names = unknown_names,
     .doc = "What happens to people whose country is not known; refuse unless stated."},
};
const struct bw_field_table bw_document_entry_table =
    TABLE("entry", "Who may join from where.", entry_fields, struct bw_policy_entry);

/* transit */

static const struct bw_field operators_fields[] = {
    PLACES(struct bw_policy_operators, allow_jurisdictions, "allowJurisdictions", bw_document_country_item,
           "Every jurisdiction that binds a relay's operator or its parents must be in this list."),
    PLACES(struct bw_policy_operators, deny_jurisdictions, "denyJurisdictions", bw_document_country_item,
           "No jurisdiction that binds the operator or its parents may be in this list."),
};
static const struct bw_field_table operators_table =
    TABLE("operators", "Whose law may bind those who run the relays.", operators_fields,
          struct bw_policy_operators);

static bool is_certification(struct bw_view text)
{
    if (text.len == 0 || text.len > 64)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.data[i];
        bool alnum = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
        bool inner = c == ' ' || c == '.' || c == '_' || c == '/' || c == '+' || c == '-' || c == ':';
        if (!alnum && !(inner && i > 0 && i + 1 < text.len))
            return false;
    }
    return true;
}
static const struct bw_grammar certification_grammar = {
    .what = "a certification's name (letters, digits and . _ / + - : or spaces inside, at most 64)",
    .pattern = "^[A-Za-z0-9]([A-Za-z0-9 ._/+:-]{0,62}[A-Za-z0-9])?$",
    .accepts = is_certification,
    .code = true,
};
static const struct bw_field certification_name = {
    .type = BW_FIELD_TEXT, BW_ITEM(struct bw_yaml_text), .grammar = &certification_grammar};
static const struct bw_field certification_single = {
    .type = BW_FIELD_TEXT, BW_AT(struct bw_policy_certification, single), .grammar = &certification_grammar};
static const struct bw_field any_of_fields[] = {
    {.key = "anyOf",
     .type = BW_FIELD_LIST,
     BW_AT(struct bw_policy_certification, any_of),
     .item = &certification_name,
     .flags = BW_FIELD_REQUIRED,
     .min = 1,
     .max = SMALL_MAX,
     .doc = "One of these is enough."},
};
static const struct bw_field_table any_of_table = TABLE(
    "a certification clause", "A choice of certifications.", any_of_fields, struct bw_policy_certification);
static const struct bw_field certification_item = {.type = BW_FIELD_UNION,
                                                   BW_ITEM(struct bw_policy_certification),
                                                   .item = &certification_single,
                                                   .table = &any_of_table};

static const char *const reject_names[] = {"reject", NULL};
static const struct bw_field no_relay_word = {
    .type = BW_FIELD_ENUM, BW_AT(struct bw_policy_on_no_relay, word), .names = reject_names};
static const struct bw_field no_relay_fields[] = {
    {.key = "wait",
     .type = BW_FIELD_DURATION,
     BW_AT(struct bw_policy_on_no_relay, wait),
     .flags = BW_FIELD_REQUIRED,
     .min = 1,
     .max = 600 * SECOND,
     .doc = "How long a join waits for a relay that complies before it is refused."},
};
static const struct bw_field_table no_relay_table = TABLE(
    "onNoRelay", "What a join gets when no relay complies.", no_relay_fields, struct bw_policy_on_no_relay);

static const char *const change_names[] = {"keep", "evict", NULL};
static const struct bw_field change_word = {
    .type = BW_FIELD_ENUM, BW_AT(struct bw_policy_on_change, word), .names = change_names};
static const struct bw_field change_fields[] = {
    {.key = "drain",
     .type = BW_FIELD_DURATION,
     BW_AT(struct bw_policy_on_change, drain),
     .flags = BW_FIELD_REQUIRED,
     .min = 1,
     .max = DAY,
     .doc = "How long a meeting may go on where it no longer may be while it is moved."},
};
static const struct bw_field_table change_table = TABLE(
    "onPolicyChange", "What a new policy does to live meetings.", change_fields, struct bw_policy_on_change);

static const struct bw_field prefer_class = {.type = BW_FIELD_LIST,
                                             BW_ITEM(struct bw_policy_places),
                                             .item = &bw_document_place_item,
                                             .flags = BW_FIELD_SCALAR_OK,
                                             .min = 1,
                                             .max = LIST_MAX};
static const struct bw_field transit_fields[] = {
    PLACES(struct bw_policy_transit, allow, "allow", bw_document_place_item,
           "Where media may pass: countries, groups, sites."),
    PLACES(struct bw_policy_transit, deny, "deny", bw_document_place_item,
           "Where media must not pass; deny wins."),
    {.key = "prefer",
     .type = BW_FIELD_LIST,
     BW_AT(struct bw_policy_transit, prefer),
     .item = &prefer_class,
     .max = SMALL_MAX,
     .doc = "An order inside what is allowed, best first; it never allows more."},
    {.key = "operators",
     .type = BW_FIELD_MAP,
     BW_AT(struct bw_policy_transit, operators),
     .table = &operators_table,
     .doc = "Whose law may bind those who run the relays."},
    {.key = "requireCertifications",
     .type = BW_FIELD_LIST,
     BW_AT(struct bw_policy_transit, require_certifications),
     .item = &certification_item,
     .max = SMALL_MAX,
     .doc = "What a relay's operator must hold, unexpired: each name, and one of each anyOf."},
    {.key = "onNoRelay",
     .type = BW_FIELD_UNION,
     BW_AT(struct bw_policy_transit, on_no_relay),
     .item = &no_relay_word,
     .table = &no_relay_table,
     .doc = "reject, or { wait: 30s }; reject unless stated."},
    {.key = "onPolicyChange",
     .type = BW_FIELD_UNION,
     BW_AT(struct bw_policy_transit, on_policy_change),
     .item = &change_word,
     .table = &change_table,
     .doc = "What a new policy does to live meetings that break it: evict, { drain: 60s } or keep."},
};
const struct bw_field_table bw_document_transit_table =
    TABLE("transit", "Where media may pass and under whose law.", transit_fields, struct bw_policy_transit);

/* e2ee, connectors */

static const char *const mode_names[] = {"required", "preferred", "optional", "forbidden", NULL};
static const char *const downgrade_names[] = {"never", "with-consent", NULL};
static const char *const suite_names[] = {
#define X(name) #name,
    BW_SFRAME_SUITE_MAP(X)
#undef X
        NULL};
static const struct bw_field suite_item = {
    .type = BW_FIELD_ENUM, BW_ITEM(struct bw_yaml_number), .names = suite_names};
static const struct bw_field e2ee_fields[] = {
    {.key = "mode",
     .type = BW_FIELD_ENUM,
     BW_AT(struct bw_policy_e2ee, mode),
     .names = mode_names,
     .doc = "Whether meetings are end-to-end encrypted."},
    {.key = "suites",
     .type = BW_FIELD_LIST,
     BW_AT(struct bw_policy_e2ee, suites),
     .item = &suite_item,
     .min = 1,
     .max = BW_SFRAME_SUITE_COUNT,
     .doc = "SFrame cipher suites that may be used, by their names in RFC 9605."},
    {.key = "connectorsAsEndpoints",
     .type = BW_FIELD_BOOL,
     BW_AT(struct bw_policy_e2ee, connectors_as_endpoints),
     .doc = "Whether connectors may join an end-to-end encrypted meeting as endpoints that can read it."},
    {.key = "downgrade",
     .type = BW_FIELD_ENUM,
     BW_AT(struct bw_policy_e2ee, downgrade),
     .names = downgrade_names,
     .doc =
         "Whether a live meeting may leave end-to-end encryption: never, or with-consent of those present."},
};
const struct bw_field_table bw_document_e2ee_table =
    TABLE("e2ee", "End-to-end encryption.", e2ee_fields, struct bw_policy_e2ee);

/* A connector's ordinal, or BW_CONNECTOR_COUNT for "*". */
static const char *const connector_names[] = {
#define X(name, text) text,
    BW_CONNECTOR_MAP(X)
#undef X
        "*",
    NULL};
static const struct bw_field connector_item = {
    .type = BW_FIELD_ENUM, BW_ITEM(struct bw_yaml_number), .names = connector_names};
/* Kinds alone: nothing needs every connector there is. */
static const char *const required_names[] = {
#define X(name, text) text,
    BW_CONNECTOR_MAP(X)
#undef X
        NULL};
static const struct bw_field required_item = {
    .type = BW_FIELD_ENUM, BW_ITEM(struct bw_yaml_number), .names = required_names};
static const struct bw_field connectors_fields[] = {
    {.key = "allow",
     .type = BW_FIELD_LIST,
     BW_AT(struct bw_policy_connectors, allow),
     .item = &connector_item,
     .max = BW_CONNECTOR_COUNT,
     .doc = "Connectors that may be invited; they need plaintext."},
    {.key = "require",
     .type = BW_FIELD_LIST,
     BW_AT(struct bw_policy_connectors, require),
     .item = &required_item,
     .max = BW_CONNECTOR_COUNT,
     .doc = "Connectors that every meeting must have, such as recording: nobody is let in before they are."},
};
const struct bw_field_table bw_document_connectors_table =
    TABLE("connectors", "Participants that need plaintext: telephones, recorders, streams.",
          connectors_fields, struct bw_policy_connectors);

/* keys, guests */

static bool is_key_name(struct bw_view text)
{
    const size_t prefix = 4;
    if (text.len <= prefix || text.len > 200 || !bw_view_equal_str(bw_view_of(text.data, prefix), "key:"))
        return false;
    size_t slash = prefix;
    while (slash < text.len && text.data[slash] != '/')
        slash++;
    return slash < text.len && bw_grammar_name.accepts(bw_view_of(text.data + prefix, slash - prefix)) &&
           bw_grammar_name.accepts(bw_view_of(text.data + slash + 1, text.len - slash - 1));
}
static const struct bw_grammar key_grammar = {
    .what = "key:TENANT/NAME",
    .pattern = "^key:[a-z0-9][a-z0-9-]{0,62}/[a-z0-9][a-z0-9-]{0,62}$",
    .accepts = is_key_name,
    .code = true,
};
static const char *const unavailable_names[] = {"seal-forward", "block", NULL};
static const char *const denied_names[] = {"block", NULL};
static const struct bw_field metadata_key_fields[] = {
    {.key = "key",
     .type = BW_FIELD_TEXT,
     BW_AT(struct bw_policy_metadata_key, key),
     .grammar = &key_grammar,
     .flags = BW_FIELD_REQUIRED,
     .doc = "The customer's key that metadata is sealed under."},
    {.key = "onUnavailable",
     .type = BW_FIELD_ENUM,
     BW_AT(struct bw_policy_metadata_key, on_unavailable),
     .names = unavailable_names,
     .doc = "While the key cannot be reached: seal-forward or block."},
    {.key = "onDenied",
     .type = BW_FIELD_ENUM,
     BW_AT(struct bw_policy_metadata_key, on_denied),
     .names = denied_names,
     .doc = "When its owner refuses the key: block."},
};
static const struct bw_field_table metadata_key_table =
    TABLE("metadata", "The key of metadata.", metadata_key_fields, struct bw_policy_metadata_key);
static const struct bw_field keys_fields[] = {
    {.key = "metadata",
     .type = BW_FIELD_MAP,
     BW_AT(struct bw_policy_keys, metadata),
     .table = &metadata_key_table,
     .doc = "The key of metadata."},
};
const struct bw_field_table bw_document_keys_table =
    TABLE("keys", "Keys of the customer's own.", keys_fields, struct bw_policy_keys);

static const char *const unverified_names[] = {"refuse", "admit", NULL};
static const struct bw_field guests_fields[] = {
    {.key = "unverified",
     .type = BW_FIELD_ENUM,
     BW_AT(struct bw_policy_guests, unverified),
     .names = unverified_names,
     .doc = "Guests whose own organisation's rules are not known; refuse unless stated."},
};
const struct bw_field_table bw_document_guests_table =
    TABLE("guests", "People of other tenants.", guests_fields, struct bw_policy_guests);

const char *bw_sframe_suite_name(enum bw_sframe_suite suite)
{
    return (unsigned)suite < BW_SFRAME_SUITE_COUNT ? suite_names[suite] : "unknown";
}
