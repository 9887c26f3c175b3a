#include "relay/config.h"

#include <string.h>

#include "base/check.h"
#include "runtime/file.h"
#include "yaml/copy.h"

/* ---- the file's shape ---- */

struct raw_media {
    struct bw_pos at;
    struct bw_yaml_text listen, peer_address;
    struct bw_yaml_texts advertise;
};
struct raw_tls {
    struct bw_pos at;
    struct bw_yaml_text ca, certificate, key, server_name, server_spiffe_id;
};
struct raw_cell {
    struct bw_pos at;
    struct bw_yaml_text name;
    struct bw_yaml_texts endpoints;
    struct bw_yaml_number capacity, insecure;
    struct raw_tls tls;
};
BW_YAML_LIST(raw_cells, struct raw_cell);
struct raw_operator {
    struct bw_pos at;
    struct bw_yaml_text name;
    struct bw_yaml_texts jurisdictions;
};
struct raw_claims {
    struct bw_pos at;
    struct bw_yaml_text site, region, country;
    struct raw_operator operator_;
};
struct raw_limits {
    struct bw_pos at;
    struct bw_yaml_number members, packets, burst, bits, idle, keepalive, skew, grace, drain;
};
struct raw_quality {
    struct bw_pos at;
    struct bw_yaml_number window;
};
struct raw_status {
    struct bw_pos at;
    struct bw_yaml_text socket;
};
struct raw_log {
    struct bw_pos at;
    struct bw_yaml_number level, format;
};
struct raw_config {
    struct bw_pos at;
    struct bw_yaml_number api_version, kind, capacity;
    struct bw_yaml_text name;
    struct raw_media media;
    struct raw_cells cells;
    struct raw_claims claims;
    struct raw_limits limits;
    struct raw_quality quality;
    struct raw_status status;
    struct raw_log log;
};

#define TABLE(table_name, title, words, fields, type)                                                        \
    static const struct bw_field_table table_name = {title, words, fields, BW_ARRAY_LEN(fields), sizeof(type)}

static const struct bw_field address_item = {
    .type = BW_FIELD_TEXT, BW_ITEM(struct bw_yaml_text), .min = 1, .max = 261};

static const struct bw_field media_fields[] = {
    {.key = "listen",
     .type = BW_FIELD_TEXT,
     BW_AT(struct raw_media, listen),
     .flags = BW_FIELD_REQUIRED,
     .max = 64,
     .doc = "UDP address and port for participants and peer relays: 0.0.0.0:3478, or [::]:3478 for both "
            "families."},
    {.key = "advertise",
     .type = BW_FIELD_LIST,
     BW_AT(struct raw_media, advertise),
     .item = &address_item,
     .flags = BW_FIELD_REQUIRED | BW_FIELD_SCALAR_OK,
     .min = 1,
     .max = BW_MEDIA_ADDRESSES,
     .doc = "Where participants reach it; the first is the one given out. Numeric address and port."},
    {.key = "peerAddress",
     .type = BW_FIELD_TEXT,
     BW_AT(struct raw_media, peer_address),
     .max = 64,
     .doc = "Where peer relays reach it. Absent: the first advertised address."},
};
TABLE(media_table, "media", "Where datagrams come and go.", media_fields, struct raw_media);

static const struct bw_field tls_fields[] = {
    {.key = "ca",
     .type = BW_FIELD_TEXT,
     BW_AT(struct raw_tls, ca),
     .flags = BW_FIELD_REQUIRED,
     .doc = "Who may issue the control plane's certificate (PEM)."},
    {.key = "certificate",
     .type = BW_FIELD_TEXT,
     BW_AT(struct raw_tls, certificate),
     .flags = BW_FIELD_REQUIRED,
     .doc = "This relay's certificate (PEM), made at enrolment; its SPIFFE ID says which relay it is."},
    {.key = "key",
     .type = BW_FIELD_TEXT,
     BW_AT(struct raw_tls, key),
     .flags = BW_FIELD_REQUIRED,
     .doc = "Its private key (PEM), readable by this user alone."},
    {.key = "serverName",
     .type = BW_FIELD_TEXT,
     BW_AT(struct raw_tls, server_name),
     .max = 253,
     .doc =
         "The DNS name or address that the control plane's certificate must carry. This or serverSpiffeId."},
    {.key = "serverSpiffeId",
     .type = BW_FIELD_TEXT,
     BW_AT(struct raw_tls, server_spiffe_id),
     .max = 253,
     .doc = "The SPIFFE ID that the control plane's certificate must carry. This or serverName."},
};
TABLE(tls_table, "tls", "How the relay and its control plane know each other.", tls_fields, struct raw_tls);

static const struct bw_field cell_fields[] = {
    {.key = "name",
     .type = BW_FIELD_TEXT,
     BW_AT(struct raw_cell, name),
     .grammar = &bw_grammar_name,
     .flags = BW_FIELD_REQUIRED,
     .doc = "The cell; grants must be of it."},
    {.key = "endpoints",
     .type = BW_FIELD_LIST,
     BW_AT(struct raw_cell, endpoints),
     .item = &address_item,
     .flags = BW_FIELD_REQUIRED | BW_FIELD_SCALAR_OK,
     .min = 1,
     .max = 16,
     .doc = "host:port of its replicas, tried in turn."},
    {.key = "capacity",
     .type = BW_FIELD_UINT,
     BW_AT(struct raw_cell, capacity),
     .min = 1,
     .max = 65536,
     .doc = "Participants of this cell at most; shares add up to no more than the relay's capacity. Absent: "
            "all of "
            "it, which only one cell can have."},
    {.key = "tls",
     .type = BW_FIELD_MAP,
     BW_AT(struct raw_cell, tls),
     .table = &tls_table,
     .doc = "Certificates. Required unless insecure."},
    {.key = "insecure",
     .type = BW_FIELD_BOOL,
     BW_AT(struct raw_cell, insecure),
     .fallback = "false",
     .doc = "Clear text to a control plane on the same machine, for trying things out."},
};
TABLE(cell_table, "a cell", "A control plane this relay is enrolled with.", cell_fields, struct raw_cell);
static const struct bw_field cell_item = {
    .type = BW_FIELD_MAP, BW_ITEM(struct raw_cell), .table = &cell_table};

static const struct bw_field code_item = {
    .type = BW_FIELD_TEXT, BW_ITEM(struct bw_yaml_text), .min = 2, .max = 6};
static const struct bw_field operator_fields[] = {
    {.key = "name",
     .type = BW_FIELD_TEXT,
     BW_AT(struct raw_operator, name),
     .flags = BW_FIELD_REQUIRED,
     .max = 128,
     .doc = "Who runs the machine."},
    {.key = "jurisdictions",
     .type = BW_FIELD_LIST,
     BW_AT(struct raw_operator, jurisdictions),
     .item = &code_item,
     .max = BW_CLAIM_JURISDICTIONS,
     .doc = "ISO 3166 codes of every jurisdiction that binds the operator or a parent company."},
};
TABLE(operator_table, "operator", "Who runs the machine.", operator_fields, struct raw_operator);

static const struct bw_field claims_fields[] = {
    {.key = "site",
     .type = BW_FIELD_TEXT,
     BW_AT(struct raw_claims, site),
     .grammar = &bw_grammar_name,
     .doc = "Where it stands."},
    {.key = "region",
     .type = BW_FIELD_TEXT,
     BW_AT(struct raw_claims, region),
     .grammar = &bw_grammar_name,
     .doc = "The network region of the site."},
    {.key = "country",
     .type = BW_FIELD_TEXT,
     BW_AT(struct raw_claims, country),
     .max = 6,
     .doc = "ISO 3166 code of the country or subdivision: FR, FR-75."},
    {.key = "operator",
     .type = BW_FIELD_MAP,
     BW_AT(struct raw_claims, operator_),
     .table = &operator_table,
     .doc = "Who runs the machine."},
};
TABLE(claims_table, "claims",
      "What the relay believes of itself. What counts is its enrolment: a claim that differs ends the "
      "session, so "
      "that a moved or misconfigured relay is noticed.",
      claims_fields, struct raw_claims);

static const struct bw_field limits_fields[] = {
    {.key = "meetingMembers",
     .type = BW_FIELD_UINT,
     BW_AT(struct raw_limits, members),
     .min = 1,
     .max = 65536,
     .fallback = "500",
     .doc = "Participants of one meeting on this relay at most."},
    {.key = "packetsPerSecond",
     .type = BW_FIELD_UINT,
     BW_AT(struct raw_limits, packets),
     .max = 1000000,
     .fallback = "2000",
     .doc = "Of one participant; 0: no limit."},
    {.key = "packetsBurst",
     .type = BW_FIELD_UINT,
     BW_AT(struct raw_limits, burst),
     .min = 1,
     .max = 1000000,
     .fallback = "4000",
     .doc = "That many may come at once."},
    {.key = "bitsPerSecond",
     .type = BW_FIELD_UINT,
     BW_AT(struct raw_limits, bits),
     .max = 4000000000,
     .fallback = "20000000",
     .doc = "Of one participant; 0: no limit."},
    {.key = "idle",
     .type = BW_FIELD_DURATION,
     BW_AT(struct raw_limits, idle),
     .min = 1000,
     .max = 3600000,
     .fallback = "30s",
     .doc = "A participant who is not heard of for this long has left."},
    {.key = "keepalive",
     .type = BW_FIELD_DURATION,
     BW_AT(struct raw_limits, keepalive),
     .min = 100,
     .max = 600000,
     .fallback = "5s",
     .doc = "Participants are asked to send something at least this often."},
    {.key = "clockSkew",
     .type = BW_FIELD_DURATION,
     BW_AT(struct raw_limits, skew),
     .max = 60000,
     .fallback = "5s",
     .doc = "How far this machine's clock and the cell's may differ when a grant's times are judged."},
    {.key = "grace",
     .type = BW_FIELD_DURATION,
     BW_AT(struct raw_limits, grace),
     .max = 86400000,
     .fallback = "0s",
     .doc = "Forward without the control plane for no longer than this. 0s: as long as the control plane "
            "allows."},
    {.key = "drain",
     .type = BW_FIELD_DURATION,
     BW_AT(struct raw_limits, drain),
     .max = 3600000,
     .fallback = "0s",
     .doc = "After SIGTERM, how long to wait for participants to be moved before ending. 0s: not at all."},
};
TABLE(limits_table, "limits", "Sizes, rates and times.", limits_fields, struct raw_limits);

static const struct bw_field quality_fields[] = {
    {.key = "window",
     .type = BW_FIELD_DURATION,
     BW_AT(struct raw_quality, window),
     .min = 1000,
     .max = 60000,
     .fallback = "10s",
     .doc = "What one sample covers. Classes of quality are meant for 10s; shorter ones are for tests."},
};
TABLE(quality_table, "quality", "What is measured and reported of every path.", quality_fields,
      struct raw_quality);

static const struct bw_field status_fields[] = {
    {.key = "socket",
     .type = BW_FIELD_TEXT,
     BW_AT(struct raw_status, socket),
     .max = 100,
     .doc = "Unix socket on which `bailiwick-relay status` asks. Absent: none."},
};
TABLE(status_table, "status", "How to look at a running relay.", status_fields, struct raw_status);

static const char *const log_levels[] = {"debug", "info", "warn", "error", NULL};
static const char *const log_formats[] = {"text", "json", NULL};
static const struct bw_field log_fields[] = {
    {.key = "level",
     .type = BW_FIELD_ENUM,
     BW_AT(struct raw_log, level),
     .names = log_levels,
     .fallback = "info",
     .doc = "Lines below this level are dropped."},
    {.key = "format",
     .type = BW_FIELD_ENUM,
     BW_AT(struct raw_log, format),
     .names = log_formats,
     .fallback = "text",
     .doc = "key=value text or JSON, one line an event."},
};
TABLE(log_table, "log", "The log, on standard error.", log_fields, struct raw_log);

static const char *const api_versions[] = {"bailiwick/v1", NULL};
static const char *const kinds[] = {"RelayConfig", NULL};
static const struct bw_field config_fields[] = {
    {.key = "apiVersion",
     .type = BW_FIELD_ENUM,
     BW_AT(struct raw_config, api_version),
     .names = api_versions,
     .flags = BW_FIELD_REQUIRED,
     .doc = "Version of this format."},
    {.key = "kind",
     .type = BW_FIELD_ENUM,
     BW_AT(struct raw_config, kind),
     .names = kinds,
     .flags = BW_FIELD_REQUIRED,
     .doc = "What this file is."},
    {.key = "name",
     .type = BW_FIELD_TEXT,
     BW_AT(struct raw_config, name),
     .grammar = &bw_grammar_name,
     .flags = BW_FIELD_REQUIRED,
     .doc = "The relay's name, as enrolled."},
    {.key = "capacity",
     .type = BW_FIELD_UINT,
     BW_AT(struct raw_config, capacity),
     .min = 1,
     .max = 65536,
     .fallback = "500",
     .doc = "Participants of all cells together at most."},
    {.key = "media",
     .type = BW_FIELD_MAP,
     BW_AT(struct raw_config, media),
     .table = &media_table,
     .flags = BW_FIELD_REQUIRED,
     .doc = "Where datagrams come and go."},
    {.key = "cells",
     .type = BW_FIELD_LIST,
     BW_AT(struct raw_config, cells),
     .item = &cell_item,
     .flags = BW_FIELD_REQUIRED,
     .min = 1,
     .max = BW_RELAY_CELLS_MAX,
     .doc = "The control planes this relay is enrolled with."},
    {.key = "claims",
     .type = BW_FIELD_MAP,
     BW_AT(struct raw_config, claims),
     .table = &claims_table,
     .doc = "What the relay believes of itself."},
    {.key = "limits",
     .type = BW_FIELD_MAP,
     BW_AT(struct raw_config, limits),
     .table = &limits_table,
     .doc = "Sizes, rates and times."},
    {.key = "quality",
     .type = BW_FIELD_MAP,
     BW_AT(struct raw_config, quality),
     .table = &quality_table,
     .doc = "What is measured and reported of every path."},
    {.key = "status",
     .type = BW_FIELD_MAP,
     BW_AT(struct raw_config, status),
     .table = &status_table,
     .doc = "How to look at a running relay."},
    {.key = "log",
     .type = BW_FIELD_MAP,
     BW_AT(struct raw_config, log),
     .table = &log_table,
     .doc = "The log."},
};
const struct bw_field_table bw_relay_config_table = {"RelayConfig", "Configuration of bailiwick-relay.",
                                                     config_fields, BW_ARRAY_LEN(config_fields),
                                                     sizeof(struct raw_config)};

/* ---- loading ---- */

struct loading {
    struct bw_copies copies;
    const struct bw_source *source;
    struct bw_diags *diags;
};

static void complain(struct loading *l, enum bw_diag_code code, struct bw_pos at, const char *text)
{
    (void)bw_diag_add(l->diags, l->source, code, at, "%s", text);
}

/* A numeric address; NULL (and reported) otherwise. */
static const char *address_text(struct loading *l, const struct bw_yaml_text *text,
                                struct bw_address *address)
{
    struct bw_error err = {0};
    const char *copy = bw_copy_text(&l->copies, text);
    if (copy != NULL && bw_address_parse(copy, address, &err) != BW_OK) {
        complain(l, BW_P_BAD_TEXT, text->at, err.show);
        return NULL;
    }
    return copy;
}

static void take_media(struct loading *l, const struct raw_media *raw, struct bw_relay_config *config)
{
    struct bw_address address;
    (void)address_text(l, &raw->listen, &config->listen);
    for (size_t i = 0; i < raw->advertise.count; i++) {
        const char *text = address_text(l, &raw->advertise.items[i], &address);
        if (text != NULL && address.port == 0)
            complain(l, BW_P_OUT_OF_RANGE, raw->advertise.items[i].at,
                     "participants need a port other than 0");
        config->advertise[config->advertise_count++] = text;
    }
    config->peer_address = address_text(l, &raw->peer_address, &address);
}

static void take_cell(struct loading *l, const struct raw_cell *raw, const struct bw_relay_config *config,
                      struct bw_relay_cell_settings *cell)
{
    cell->name = bw_copy_text(&l->copies, &raw->name);
    const char **endpoints = bw_arena_zalloc(l->copies.arena, raw->endpoints.count + 1, sizeof *endpoints);
    l->copies.no_memory = l->copies.no_memory || endpoints == NULL;
    for (size_t i = 0; endpoints != NULL && i < raw->endpoints.count; i++)
        endpoints[i] = bw_copy_text(&l->copies, &raw->endpoints.items[i]);
    cell->endpoints = endpoints;
    cell->endpoint_count = raw->endpoints.count;
    cell->capacity = raw->capacity.value > 0 ? (uint32_t)raw->capacity.value : config->limits.channels;
    cell->insecure = raw->insecure.value != 0;
    cell->ca = bw_copy_path(&l->copies, &raw->tls.ca);
    cell->certificate = bw_copy_path(&l->copies, &raw->tls.certificate);
    cell->key = bw_copy_path(&l->copies, &raw->tls.key);
    cell->server_name = bw_copy_text(&l->copies, &raw->tls.server_name);
    cell->server_spiffe_id = bw_copy_text(&l->copies, &raw->tls.server_spiffe_id);
    if (cell->insecure && raw->tls.at.line != 0)
        complain(l, BW_P_KEYS_EXCLUDE, raw->tls.at, "a cell is either insecure or has tls, not both");
    if (!cell->insecure && raw->tls.at.line == 0)
        complain(l, BW_P_MISSING_KEY, raw->at, "a cell needs tls, with the certificate made at enrolment");
    if (raw->tls.at.line != 0 && (cell->server_name == NULL) == (cell->server_spiffe_id == NULL))
        complain(l, BW_P_MISSING_KEY, raw->tls.at,
                 "say who the control plane must be: either serverName or serverSpiffeId");
}

static void take_cells(struct loading *l, const struct raw_config *raw, struct bw_relay_config *config)
{
    uint64_t shares = 0;
    for (size_t i = 0; i < raw->cells.count; i++) {
        struct bw_relay_cell_settings *cell = &config->cells[config->cell_count++];
        take_cell(l, &raw->cells.items[i], config, cell);
        shares += cell->capacity;
        for (size_t j = 0; j < i; j++) {
            if (cell->name != NULL && config->cells[j].name != NULL &&
                strcmp(cell->name, config->cells[j].name) == 0)
                complain(l, BW_P_DUPLICATE_NAME, raw->cells.items[i].name.at, "this cell is listed twice");
        }
    }
    if (shares > config->limits.channels)
        complain(l, BW_P_OUT_OF_RANGE, raw->cells.at,
                 "the cells' capacities add up to more than the relay's");
}

static void take_claims(struct loading *l, const struct raw_claims *raw, struct bw_relay_config *config)
{
    config->site = bw_copy_text(&l->copies, &raw->site);
    config->region = bw_copy_text(&l->copies, &raw->region);
    config->country = bw_copy_text(&l->copies, &raw->country);
    config->operator_name = bw_copy_text(&l->copies, &raw->operator_.name);
    for (size_t i = 0; i < raw->operator_.jurisdictions.count; i++)
        config->jurisdictions[config->jurisdiction_count++] =
            bw_copy_text(&l->copies, &raw->operator_.jurisdictions.items[i]);
}

static void take_limits(struct loading *l, const struct raw_limits *raw, struct bw_relay_config *config)
{
    struct bw_relay_limits *limits = &config->limits;
    limits->meeting_members = (uint32_t)raw->members.value;
    limits->packets_per_second = (uint32_t)raw->packets.value;
    limits->packets_burst = (uint32_t)raw->burst.value;
    limits->bits_per_second = raw->bits.value;
    limits->idle_ms = (uint32_t)raw->idle.value;
    limits->keepalive_ms = (uint32_t)raw->keepalive.value;
    limits->clock_skew_ms = (uint32_t)raw->skew.value;
    config->max_grace_ms = (uint32_t)raw->grace.value;
    config->drain_ms = (uint32_t)raw->drain.value;
    if (limits->idle_ms < 2 * limits->keepalive_ms)
        complain(l, BW_P_OUT_OF_RANGE, raw->at,
                 "idle must be at least twice keepalive, or participants are thrown out while they wait");
}

static enum bw_code from_raw(struct loading *l, const struct raw_config *raw, struct bw_relay_config *config,
                             struct bw_error *err)
{
    config->name = bw_copy_text(&l->copies, &raw->name);
    config->limits = bw_relay_limits_default();
    config->limits.channels = (uint32_t)raw->capacity.value;
    take_limits(l, &raw->limits, config);
    take_media(l, &raw->media, config);
    take_cells(l, raw, config);
    take_claims(l, &raw->claims, config);
    config->status_socket = bw_copy_path(&l->copies, &raw->status.socket);
    config->window_ms = (uint32_t)raw->quality.window.value;
    config->log_level = (enum bw_log_level)raw->log.level.value;
    config->log_json = raw->log.format.value == 1;
    if (l->copies.no_memory)
        return bw_fail_memory(err);
    return bw_diags_status(l->diags, err);
}

enum bw_code bw_relay_config_load(const char *file, struct bw_arena *arena, struct bw_diags *diags,
                                  struct bw_relay_config *config, struct bw_error *err)
{
    struct bw_buf text = {0};
    struct raw_config raw;
    enum bw_code code = bw_file_read(file, BW_YAML_MAX_BYTES, &text, err);
    if (code != BW_OK) {
        bw_buf_finish(&text);
        return code;
    }
    struct bw_source source = {.file = file, .text = bw_buf_view(&text)};
    struct loading l = {.copies = bw_copies_of(arena, file), .source = &source, .diags = diags};
    struct bw_relay_config loaded = {0};
    code = bw_yaml_load(&source, &bw_relay_config_table, &raw, false, arena, diags, err);
    if (code == BW_OK)
        code = from_raw(&l, &raw, &loaded, err);
    bw_buf_finish(&text);
    if (code == BW_OK)
        *config = loaded;
    return code;
}
