/* The policy language as field tables: the authority on what a document may say. */
#include "base/check.h"
#include "policy/document_internal.h"

/* The sections of any level, inside a struct of type_ at member_ */

static const char *const section_names[] = {
#define X(name, text) text,
    BW_SECTION_MAP(X)
#undef X
        NULL};
static const struct bw_field section_item = {
    .type = BW_FIELD_ENUM, BW_ITEM(struct bw_yaml_number), .names = section_names};

#define SECTION(type_, member_, key_, table_, flags_, doc_)                                                  \
    {                                                                                                        \
        .key = key_, .type = BW_FIELD_MAP, BW_AT(type_, member_), .table = &table_, .flags = flags_,         \
        .doc = doc_                                                                                          \
    }
#define SECTIONS(type_)                                                                                      \
    SECTION(type_, sections.residency, "residency", bw_document_residency_table, 0,                          \
            "Where data rests and for how long."),                                                           \
        SECTION(type_, sections.entry, "entry", bw_document_entry_table, 0, "Who may join from where."),     \
        SECTION(type_, sections.transit, "transit", bw_document_transit_table, 0,                            \
                "Where media may pass and under whose law."),                                                \
        SECTION(type_, sections.e2ee, "e2ee", bw_document_e2ee_table, 0, "End-to-end encryption."),          \
        SECTION(type_, sections.connectors, "connectors", bw_document_connectors_table, 0,                   \
                "Participants that need plaintext: telephones, recorders, streams."),                        \
        SECTION(type_, sections.keys, "keys", bw_document_keys_table, BW_FIELD_LATER,                        \
                "Keys of the customer's own."),                                                              \
        SECTION(type_, sections.guests, "guests", bw_document_guests_table, 0, "People of other tenants."),  \
    {                                                                                                        \
        .key = "lock", .type = BW_FIELD_LIST, BW_AT(type_, sections.lock), .item = &section_item,            \
        .max = BW_SECTION_COUNT, .doc = "Sections that no level below may state anything about."             \
    }

static const struct bw_field location_item = {
    .type = BW_FIELD_CUSTOM,
    BW_ITEM(struct bw_policy_place),
    .decode = bw_document_location,
    .schema = "{\"type\": \"string\", \"description\": \"an ISO 3166-1 or -2 code\"}",
};
static const struct bw_field name_item = {
    .type = BW_FIELD_TEXT, BW_ITEM(struct bw_yaml_text), .grammar = &bw_grammar_name};

/* groups and users */

static const struct bw_field member_item = {
    .type = BW_FIELD_CUSTOM,
    BW_ITEM(struct bw_policy_member),
    .decode = bw_document_member,
    .schema = "{\"type\": \"string\", \"pattern\": \"^user:\"}",
};
static const struct bw_field match_fields[] = {
    {.key = "members",
     .type = BW_FIELD_LIST,
     BW_AT(struct bw_policy_match, members),
     .item = &member_item,
     .flags = BW_FIELD_SCALAR_OK,
     .max = LIST_MAX,
     .doc = "Patterns such as \"user:*@board.example\"."},
    {.key = "others",
     .type = BW_FIELD_BOOL,
     BW_AT(struct bw_policy_match, others),
     .doc = "true: everyone whom no other group matches."},
};
static const struct bw_field_table match_table =
    TABLE("match", "Who a level is about.", match_fields, struct bw_policy_match);
static const char *const applies_names[] = {"hosted", "attended", NULL};

#define LEVEL_FIELDS                                                                                         \
    {.key = "name",                                                                                          \
     .type = BW_FIELD_TEXT,                                                                                  \
     BW_AT(struct bw_policy_group, name),                                                                    \
     .grammar = &bw_grammar_name,                                                                            \
     .flags = BW_FIELD_REQUIRED,                                                                             \
     .doc = "What explanations and tests call this level."},                                                 \
        {.key = "applies",                                                                                   \
         .type = BW_FIELD_ENUM,                                                                              \
         BW_AT(struct bw_policy_group, applies),                                                             \
         .names = applies_names,                                                                             \
         .doc = "hosted (unless stated): for meetings a member hosts; attended: also for those it joins."},  \
        {.key = "match",                                                                                     \
         .type = BW_FIELD_MAP,                                                                               \
         BW_AT(struct bw_policy_group, match),                                                               \
         .table = &match_table,                                                                              \
         .flags = BW_FIELD_REQUIRED,                                                                         \
         .doc = "Who this level is about."},                                                                 \
        SECTIONS(struct bw_policy_group)
static const struct bw_field group_fields[] = {LEVEL_FIELDS};
static const struct bw_field_table group_table =
    TABLE("a group", "A level for some of the tenant's users.", group_fields, struct bw_policy_group);
static const struct bw_field group_item = {
    .type = BW_FIELD_MAP, BW_ITEM(struct bw_policy_group), .table = &group_table};
static const struct bw_field_table user_table = TABLE(
    "a user level", "A level for single users, below all groups.", group_fields, struct bw_policy_group);
static const struct bw_field user_item = {
    .type = BW_FIELD_MAP, BW_ITEM(struct bw_policy_group), .table = &user_table};

/* exceptions, parent */

static const struct bw_field lift_transit_fields[] = {PLACES(struct bw_policy_lift, deny, "deny",
                                                             bw_document_place_item,
                                                             "Entries of the organisation's transit.deny.")};
static const struct bw_field lift_entry_fields[] = {PLACES(struct bw_policy_lift, deny, "deny",
                                                           bw_document_country_item,
                                                           "Entries of the organisation's entry.deny.")};
static const struct bw_field_table lift_transit_table = TABLE(
    "lifts.transit", "Denied places that are open meanwhile.", lift_transit_fields, struct bw_policy_lift);
static const struct bw_field_table lift_entry_table =
    TABLE("lifts.entry", "Denied places that are open meanwhile.", lift_entry_fields, struct bw_policy_lift);
static const struct bw_field lifts_fields[] = {
    {.key = "transit",
     .type = BW_FIELD_MAP,
     BW_AT(struct bw_policy_lifts, transit),
     .table = &lift_transit_table,
     .doc = "Denied places that media may pass meanwhile."},
    {.key = "entry",
     .type = BW_FIELD_MAP,
     BW_AT(struct bw_policy_lifts, entry),
     .table = &lift_entry_table,
     .doc = "Denied places that people may join from meanwhile."},
};
static const struct bw_field_table lifts_table =
    TABLE("lifts", "What an exception lifts: denies of its own level.", lifts_fields, struct bw_policy_lifts);
static const struct bw_field for_fields[] = {
    {.key = "group",
     .type = BW_FIELD_TEXT,
     BW_AT(struct bw_policy_exception_for, group),
     .grammar = &bw_grammar_name,
     .doc = "Hosts in this group."},
    {.key = "user",
     .type = BW_FIELD_TEXT,
     BW_AT(struct bw_policy_exception_for, user),
     .flags = BW_FIELD_ONE_LINE,
     .doc = "Hosts that match this pattern."},
};
static const struct bw_field_table for_table =
    TABLE("for", "Whose meetings an exception is for.", for_fields, struct bw_policy_exception_for);
static const struct bw_field exception_fields[] = {
    {.key = "id",
     .type = BW_FIELD_TEXT,
     BW_AT(struct bw_policy_exception, id),
     .grammar = &bw_grammar_name,
     .flags = BW_FIELD_REQUIRED,
     .doc = "What audit calls it."},
    {.key = "lifts",
     .type = BW_FIELD_MAP,
     BW_AT(struct bw_policy_exception, lifts),
     .table = &lifts_table,
     .flags = BW_FIELD_REQUIRED,
     .doc = "What it lifts."},
    {.key = "for",
     .type = BW_FIELD_MAP,
     BW_AT(struct bw_policy_exception, scope),
     .table = &for_table,
     .doc = "Whose meetings it is for; everyone's unless stated."},
    {.key = "reason",
     .type = BW_FIELD_TEXT,
     BW_AT(struct bw_policy_exception, reason),
     .min = 1,
     .max = 500,
     .flags = BW_FIELD_REQUIRED | BW_FIELD_ONE_LINE,
     .doc = "Why."},
    {.key = "expires",
     .type = BW_FIELD_WHEN,
     BW_AT(struct bw_policy_exception, expires),
     .flags = BW_FIELD_REQUIRED,
     .doc = "When it ends: the beginning of a day in UTC, or an instant."},
};
static const struct bw_field_table exception_table =
    TABLE("an exception", "A deny lifted for a time.", exception_fields, struct bw_policy_exception);
static const struct bw_field exception_item = {
    .type = BW_FIELD_MAP, BW_ITEM(struct bw_policy_exception), .table = &exception_table};

static const struct bw_field parent_fields[] = {
    {.key = "tenant",
     .type = BW_FIELD_TEXT,
     BW_AT(struct bw_policy_parent, tenant),
     .grammar = &bw_grammar_name,
     .flags = BW_FIELD_REQUIRED,
     .doc = "The parent tenant."},
    {.key = "hash",
     .type = BW_FIELD_TEXT,
     BW_AT(struct bw_policy_parent, hash),
     .min = 71,
     .max = 71,
     .flags = BW_FIELD_REQUIRED | BW_FIELD_ONE_LINE,
     .doc = "sha256:... of the parent's signed constraint set."},
};
static const struct bw_field_table parent_table = TABLE(
    "parent", "The tenant whose constraint set is the first level.", parent_fields, struct bw_policy_parent);

/* tests */

static bool is_reason(struct bw_view text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] != '_' && !(text.data[i] >= 'A' && text.data[i] <= 'Z'))
            return false;
    return text.len > 0 && text.len <= 64;
}
static const struct bw_grammar reason_grammar = {.what = "a reason code such as TRANSIT_COUNTRY",
                                                 .pattern = "^[A-Z_]+$",
                                                 .accepts = is_reason,
                                                 .code = true};
static const struct bw_field given_fields[] = {
    {.key = "hostGroup",
     .type = BW_FIELD_TEXT,
     BW_AT(struct bw_policy_test_given, host_group),
     .grammar = &bw_grammar_name,
     .doc = "The host is in this group."},
    {.key = "hostUser",
     .type = BW_FIELD_TEXT,
     BW_AT(struct bw_policy_test_given, host_user),
     .flags = BW_FIELD_ONE_LINE,
     .doc = "The host is this user (localpart@domain)."},
    PLACES(struct bw_policy_test_given, participants, "participants", location_item,
           "Where the participants are, one entry each."),
    {.key = "fleet",
     .type = BW_FIELD_TEXT,
     BW_AT(struct bw_policy_test_given, fleet),
     .min = 1,
     .max = 1024,
     .flags = BW_FIELD_REQUIRED | BW_FIELD_ONE_LINE,
     .doc = "A Fleet file, relative to this document."},
};
static const struct bw_field_table given_table =
    TABLE("given", "The situation.", given_fields, struct bw_policy_test_given);
static const struct bw_field denied_reason = {
    .type = BW_FIELD_TEXT, BW_AT(struct bw_policy_test_denied, reason), .grammar = &reason_grammar};
static const struct bw_field expect_fields[] = {
    {.key = "allow",
     .type = BW_FIELD_LIST,
     BW_AT(struct bw_policy_test_expect, allow),
     .item = &name_item,
     .max = LIST_MAX,
     .doc = "Relays that must be eligible; any relay not named must not be."},
    {.key = "deny",
     .type = BW_FIELD_DICT,
     BW_AT(struct bw_policy_test_expect, deny),
     .stride = sizeof(struct bw_policy_test_denied),
     .item = &denied_reason,
     .grammar = &bw_grammar_name,
     .max = LIST_MAX,
     .doc = "Relays that must be refused, each with its reason."},
};
static const struct bw_field_table expect_table =
    TABLE("expect", "What must come out.", expect_fields, struct bw_policy_test_expect);
static const struct bw_field test_fields[] = {
    {.key = "name",
     .type = BW_FIELD_TEXT,
     BW_AT(struct bw_policy_test, name),
     .min = 1,
     .max = 200,
     .flags = BW_FIELD_REQUIRED | BW_FIELD_ONE_LINE,
     .doc = "What the test shows."},
    {.key = "given",
     .type = BW_FIELD_MAP,
     BW_AT(struct bw_policy_test, given),
     .table = &given_table,
     .flags = BW_FIELD_REQUIRED,
     .doc = "The situation."},
    {.key = "expect",
     .type = BW_FIELD_MAP,
     BW_AT(struct bw_policy_test, expect),
     .table = &expect_table,
     .flags = BW_FIELD_REQUIRED,
     .doc = "What must come out."},
};
static const struct bw_field_table test_table =
    TABLE("a test", "An expectation kept beside the policy.", test_fields, struct bw_policy_test);
static const struct bw_field test_item = {
    .type = BW_FIELD_MAP, BW_ITEM(struct bw_policy_test), .table = &test_table};

/* documents */

static const char *const version_names[] = {"bailiwick/v1", NULL};
static const char *const tenant_kinds[] = {"TenantPolicy", NULL};
static const char *const meeting_kinds[] = {"MeetingPolicy", NULL};

#define HEAD(kinds_)                                                                                         \
    {.key = "apiVersion",                                                                                    \
     .type = BW_FIELD_ENUM,                                                                                  \
     BW_AT(struct bw_policy_doc, api_version),                                                               \
     .names = version_names,                                                                                 \
     .flags = BW_FIELD_REQUIRED,                                                                             \
     .doc = "The version of this language."},                                                                \
    {                                                                                                        \
        .key = "kind", .type = BW_FIELD_ENUM, BW_AT(struct bw_policy_doc, kind_word), .names = kinds_,       \
        .flags = BW_FIELD_REQUIRED, .doc = "What this document is."                                          \
    }
#define LEVELS(key_, member_, item_, doc_)                                                                   \
    {                                                                                                        \
        .key = key_, .type = BW_FIELD_LIST, BW_AT(struct bw_policy_doc, member_), .item = &item_,            \
        .max = GROUPS_MAX, .doc = doc_                                                                       \
    }
static const struct bw_field tenant_fields[] = {
    HEAD(tenant_kinds),
    {.key = "tenant",
     .type = BW_FIELD_TEXT,
     BW_AT(struct bw_policy_doc, tenant),
     .grammar = &bw_grammar_name,
     .flags = BW_FIELD_REQUIRED,
     .doc = "The tenant this policy is for."},
    {.key = "parent",
     .type = BW_FIELD_MAP,
     BW_AT(struct bw_policy_doc, parent),
     .table = &parent_table,
     .flags = BW_FIELD_LATER,
     .doc = "The tenant whose constraint set is the first level."},
    SECTIONS(struct bw_policy_doc),
    LEVELS("groups", groups, group_item,
           "Levels for groups of users; several may apply, all of them narrow."),
    LEVELS("users", users, user_item, "Levels for single users, below the groups."),
    {.key = "exceptions",
     .type = BW_FIELD_LIST,
     BW_AT(struct bw_policy_doc, exceptions),
     .item = &exception_item,
     .max = GROUPS_MAX,
     .doc = "Denies lifted for a time."},
    {.key = "tests",
     .type = BW_FIELD_LIST,
     BW_AT(struct bw_policy_doc, tests),
     .item = &test_item,
     .max = LIST_MAX,
     .doc = "What must hold; read by policy test."},
};
const struct bw_field_table bw_policy_tenant_table =
    TABLE("TenantPolicy", "A tenant's policy.", tenant_fields, struct bw_policy_doc);

static const struct bw_field meeting_fields[] = {HEAD(meeting_kinds), SECTIONS(struct bw_policy_doc)};
const struct bw_field_table bw_policy_meeting_table = TABLE(
    "MeetingPolicy", "What one meeting adds: it can only narrow.", meeting_fields, struct bw_policy_doc);

const char *bw_policy_section_name(enum bw_policy_section section)
{
    return (unsigned)section < BW_SECTION_COUNT ? section_names[section] : "unknown";
}
