#include "placement/request_file.h"

#include <string.h>

#include "base/check.h"
#include "crypto/hash.h"
#include "placement/fleet_file.h"
#include "policy/document.h"

#define TABLE(name_, text_, fields_, type_)                                                                  \
    {                                                                                                        \
        .name = name_, .doc = text_, .fields = fields_, .count = BW_ARRAY_LEN(fields_),                      \
        .size = sizeof(type_)                                                                                \
    }

struct host {
    struct bw_pos at;
    struct bw_yaml_text user;
    struct bw_yaml_texts groups;
};
struct open {
    struct bw_pos at;
    struct bw_yaml_text relay;
    struct bw_yaml_number participants, recent_joins;
};
BW_YAML_LIST(opens, struct open);
struct meeting {
    struct bw_pos at;
    struct bw_yaml_text id;
    struct bw_yaml_number cap_per_relay;
    struct opens open;
};
struct participant {
    struct bw_pos at;
    struct bw_yaml_text id, country, region;
    struct bw_yaml_number kind, connector;
    struct bw_yaml_text current;
};
BW_YAML_LIST(participants, struct participant);
struct document {
    struct bw_pos at;
    struct bw_yaml_number api_version, kind;
    struct bw_yaml_text tenant, cell;
    struct host host;
    struct meeting meeting;
    struct participants participants;
    struct bw_yaml_number moment;
};

static bool is_user(struct bw_view text)
{
    return bw_user_valid(text);
}
static const struct bw_grammar user_grammar = {.what = "a user: local part, @ and domain",
                                               .accepts = is_user};
static bool is_id(struct bw_view text)
{
    struct bw_id id;
    return bw_id_parse(text, &id);
}
static const struct bw_grammar id_grammar = {.what = "a UUID", .accepts = is_id};

static const struct bw_field name_item = {
    .type = BW_FIELD_TEXT, BW_ITEM(struct bw_yaml_text), .grammar = &bw_grammar_name};
static const struct bw_field host_fields[] = {
    {.key = "user",
     .type = BW_FIELD_TEXT,
     BW_AT(struct host, user),
     .grammar = &user_grammar,
     .doc = "Who hosts; groups of the policy match on it."},
    {.key = "groups",
     .type = BW_FIELD_LIST,
     BW_AT(struct host, groups),
     .item = &name_item,
     .max = 64,
     .doc = "Groups the host is in besides those that match."},
};
static const struct bw_field_table host_table =
    TABLE("host", "Whose policy routes the meeting.", host_fields, struct host);

static const struct bw_field open_fields[] = {
    {.key = "relay",
     .type = BW_FIELD_TEXT,
     BW_AT(struct open, relay),
     .grammar = &bw_grammar_name,
     .flags = BW_FIELD_REQUIRED,
     .doc = "A relay the meeting uses already."},
    {.key = "participants",
     .type = BW_FIELD_UINT,
     BW_AT(struct open, participants),
     .max = BW_MEETING_PARTICIPANTS_MAX,
     .fallback = "1",
     .doc = "How many it has there; they stay."},
    {.key = "recentJoins",
     .type = BW_FIELD_UINT,
     BW_AT(struct open, recent_joins),
     .max = BW_MEETING_PARTICIPANTS_MAX,
     .fallback = "0",
     .doc = "How many of them joined within the burst window."},
};
static const struct bw_field_table open_table = TABLE("open", "A relay in use.", open_fields, struct open);
static const struct bw_field open_item = {.type = BW_FIELD_MAP, BW_ITEM(struct open), .table = &open_table};
static const struct bw_field meeting_fields[] = {
    {.key = "id",
     .type = BW_FIELD_TEXT,
     BW_AT(struct meeting, id),
     .grammar = &id_grammar,
     .doc = "The meeting's id; it breaks ties between equal relays."},
    {.key = "capPerRelay",
     .type = BW_FIELD_UINT,
     BW_AT(struct meeting, cap_per_relay),
     .min = 1,
     .max = BW_MEETING_PARTICIPANTS_MAX,
     .doc = "No more participants of this meeting on one relay."},
    {.key = "open",
     .type = BW_FIELD_LIST,
     BW_AT(struct meeting, open),
     .item = &open_item,
     .max = BW_MEETING_RELAYS_MAX,
     .doc = "Relays it uses already."},
};
static const struct bw_field_table meeting_table =
    TABLE("meeting", "The meeting as it is.", meeting_fields, struct meeting);

enum { KIND_NATIVE, KIND_WEB, KIND_MOBILE, KIND_ROOM, KIND_FIRST_CONNECTOR };
static const char *const kind_names[] = {"native", "web",       "mobile",     "room",          "pstn", "sip",
                                         "h323",   "recording", "livestream", "transcription", "app",  NULL};
static const struct bw_field participant_fields[] = {
    {.key = "id",
     .type = BW_FIELD_TEXT,
     BW_AT(struct participant, id),
     .flags = BW_FIELD_REQUIRED | BW_FIELD_ONE_LINE,
     .min = 1,
     .max = 64,
     .doc = "What the answer calls this participant."},
    {.key = "country",
     .type = BW_FIELD_TEXT,
     BW_AT(struct participant, country),
     .grammar = &bw_grammar_place,
     .doc = "Where this participant is. Without country and region: unknown."},
    {.key = "region",
     .type = BW_FIELD_TEXT,
     BW_AT(struct participant, region),
     .grammar = &bw_grammar_name,
     .doc = "A region of the fleet; taken from the country when absent."},
    {.key = "kind",
     .type = BW_FIELD_ENUM,
     BW_AT(struct participant, kind),
     .names = kind_names,
     .fallback = "native",
     .doc = "What the endpoint is."},
    {.key = "connector",
     .type = BW_FIELD_BOOL,
     BW_AT(struct participant, connector),
     .fallback = "false",
     .doc = "true: a room that is invited as a connector. Other connectors are known by their kind."},
    {.key = "current",
     .type = BW_FIELD_TEXT,
     BW_AT(struct participant, current),
     .grammar = &bw_grammar_name,
     .doc = "The relay this participant is on now, when a meeting is placed anew."},
};
static const struct bw_field_table participant_table =
    TABLE("a participant", "Somebody to place.", participant_fields, struct participant);
static const struct bw_field participant_item = {
    .type = BW_FIELD_MAP, BW_ITEM(struct participant), .table = &participant_table};

static const char *const version_names[] = {"bailiwick/v1", NULL};
static const char *const document_kinds[] = {"PlacementRequest", NULL};
static const struct bw_field document_fields[] = {
    {.key = "apiVersion",
     .type = BW_FIELD_ENUM,
     BW_AT(struct document, api_version),
     .names = version_names,
     .flags = BW_FIELD_REQUIRED,
     .doc = "The version of this language."},
    {.key = "kind",
     .type = BW_FIELD_ENUM,
     BW_AT(struct document, kind),
     .names = document_kinds,
     .flags = BW_FIELD_REQUIRED,
     .doc = "What this document is."},
    {.key = "tenant",
     .type = BW_FIELD_TEXT,
     BW_AT(struct document, tenant),
     .grammar = &bw_grammar_name,
     .flags = BW_FIELD_REQUIRED,
     .doc = "The tenant whose meeting it is."},
    {.key = "cell",
     .type = BW_FIELD_TEXT,
     BW_AT(struct document, cell),
     .grammar = &bw_grammar_name,
     .doc = "The signalling cell; the first that the policy names when absent."},
    {.key = "host",
     .type = BW_FIELD_MAP,
     BW_AT(struct document, host),
     .table = &host_table,
     .doc = "Who hosts."},
    {.key = "meeting",
     .type = BW_FIELD_MAP,
     BW_AT(struct document, meeting),
     .table = &meeting_table,
     .doc = "The meeting as it is."},
    {.key = "participants",
     .type = BW_FIELD_LIST,
     BW_AT(struct document, participants),
     .item = &participant_item,
     .flags = BW_FIELD_REQUIRED,
     .max = BW_MEETING_PARTICIPANTS_MAX,
     .doc = "Who is to be placed."},
    {.key = "at",
     .type = BW_FIELD_WHEN,
     BW_AT(struct document, moment),
     .doc = "The moment it is asked for: certifications and exceptions end. Absent: now."},
};
const struct bw_field_table bw_request_table =
    TABLE("PlacementRequest", "One question to the planner.", document_fields, struct document);

struct loading {
    const struct bw_source *source;
    const struct bw_snapshot *snapshot;
    struct bw_arena *arena;
    struct bw_diags *diags;
    struct bw_request_file *out;
};

static const char *text_of(const struct bw_yaml_text *text)
{
    return text->at.line == 0 ? NULL : (const char *)text->text.data;
}

static uint32_t find_relay(struct loading *loading, const struct bw_yaml_text *name)
{
    if (name->at.line == 0)
        return BW_NO_RELAY;
    size_t relay = bw_facts_find_relay(loading->snapshot->facts, (const char *)name->text.data);
    if (relay != SIZE_MAX)
        return (uint32_t)relay;
    bw_diag_add(loading->diags, loading->source, BW_P_FLEET_REFERENCE, name->at,
                "there is no relay %s in the fleet", (const char *)name->text.data);
    return BW_NO_RELAY;
}

static bool read_host(struct loading *loading, const struct host *host)
{
    const char **groups = bw_arena_zalloc(loading->arena, host->groups.count, sizeof *groups);
    if (groups == NULL)
        return false;
    for (size_t i = 0; i < host->groups.count; i++)
        if (host->groups.items[i].at.line != 0)
            groups[loading->out->host.group_count++] = (const char *)host->groups.items[i].text.data;
    loading->out->host.groups = groups;
    loading->out->host.user = text_of(&host->user);
    return true;
}

static bool read_meeting(struct loading *loading, const struct meeting *meeting)
{
    struct bw_request_file *out = loading->out;
    /* Any fixed id serves: the same file gets the same answer. */
    uint8_t digest[BW_SHA256_SIZE];
    bw_sha256(bw_view_str("bailiwick placement request"), digest);
    memcpy(out->meeting.bytes, digest, sizeof out->meeting.bytes);
    if (meeting->id.at.line != 0)
        (void)bw_id_parse(meeting->id.text, &out->meeting);
    if (meeting->cap_per_relay.at.line != 0)
        out->cap_per_relay = (uint32_t)meeting->cap_per_relay.value;
    struct bw_open_relay *open = bw_arena_zalloc(loading->arena, meeting->open.count, sizeof *open);
    if (open == NULL)
        return false;
    for (size_t i = 0; i < meeting->open.count; i++) {
        const struct open *item = &meeting->open.items[i];
        uint32_t relay = find_relay(loading, &item->relay);
        if (relay == BW_NO_RELAY)
            continue;
        for (size_t j = 0; j < out->open_count; j++)
            if (open[j].relay == relay)
                bw_diag_add(loading->diags, loading->source, BW_P_FLEET_DUPLICATE, item->relay.at,
                            "relay %s is listed twice", (const char *)item->relay.text.data);
        /* Where they are is not said: taken to be near their relay. */
        uint32_t hop = bw_snapshot_hop_us(loading->snapshot, loading->snapshot->relay_region[relay], relay);
        open[out->open_count++] = (struct bw_open_relay){.relay = relay,
                                                         .participants = (uint32_t)item->participants.value,
                                                         .hop_sum_us = hop * item->participants.value,
                                                         .recent_joins = (uint32_t)item->recent_joins.value};
    }
    out->open = open;
    return true;
}

static void read_participant(struct loading *loading, const struct participant *from,
                             struct bw_request_participant *to)
{
    to->id = text_of(&from->id);
    to->kind = kind_names[from->kind.value];
    to->where = (struct bw_participant){.id = to->id, .place = text_of(&from->country)};
    if (from->region.at.line != 0) {
        to->where.region = bw_snapshot_region(loading->snapshot, (const char *)from->region.text.data);
        if (to->where.region == BW_NO_REGION)
            bw_diag_add(loading->diags, loading->source, BW_P_FLEET_REFERENCE, from->region.at,
                        "there is no region %s in the fleet", (const char *)from->region.text.data);
    } else {
        to->where.region = bw_snapshot_region_of_place(loading->snapshot, to->where.place);
    }
    to->where.current = find_relay(loading, &from->current);
    to->where.is_connector = from->kind.value >= KIND_FIRST_CONNECTOR || from->connector.value != 0;
    if (!to->where.is_connector)
        return;
    to->where.connector = bw_connector_parse(to->kind);
    if (to->where.connector == BW_CONNECTOR_COUNT)
        bw_diag_add(loading->diags, loading->source, BW_P_REQUEST_MISMATCH, from->connector.at,
                    "%s is not a kind of connector", to->kind);
}

static bool read_participants(struct loading *loading, const struct participants *list)
{
    struct bw_request_file *out = loading->out;
    struct bw_request_participant *people = bw_arena_zalloc(loading->arena, list->count, sizeof *people);
    struct bw_participant *where = bw_arena_zalloc(loading->arena, list->count, sizeof *where);
    if (people == NULL || where == NULL)
        return false;
    for (size_t i = 0; i < list->count; i++) {
        if (list->items[i].at.line == 0 || list->items[i].id.at.line == 0)
            continue;
        for (size_t j = 0; j < i; j++) {
            if (!bw_view_equal(list->items[i].id.text, list->items[j].id.text))
                continue;
            bw_diag_add(loading->diags, loading->source, BW_P_FLEET_DUPLICATE, list->items[i].id.at,
                        "two participants are called %s", (const char *)list->items[i].id.text.data);
            break;
        }
        read_participant(loading, &list->items[i], &people[out->participant_count]);
        where[out->participant_count] = people[out->participant_count].where;
        out->participant_count++;
    }
    out->participants = people;
    out->where = where;
    return true;
}

enum bw_code bw_request_load(const struct bw_source *source, const struct bw_snapshot *snapshot,
                             struct bw_arena *arena, struct bw_diags *diags, struct bw_request_file *request,
                             struct bw_error *err)
{
    struct document document;
    enum bw_code code = bw_yaml_load(source, &bw_request_table, &document, false, arena, diags, err);
    if (code != BW_OK)
        return code;
    struct bw_request_file out = {.tenant = text_of(&document.tenant),
                                  .cell = text_of(&document.cell),
                                  .has_at = document.moment.at.line != 0,
                                  .at_ms = document.moment.value};
    struct loading loading = {
        .source = source, .snapshot = snapshot, .arena = arena, .diags = diags, .out = &out};
    if (!read_host(&loading, &document.host) || !read_meeting(&loading, &document.meeting) ||
        !read_participants(&loading, &document.participants))
        return bw_fail_memory(err);
    if (!bw_diags_ok(diags))
        return bw_diags_status(diags, err);
    *request = out;
    return BW_OK;
}
