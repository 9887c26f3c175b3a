#include "server/config.h"

#include <stddef.h>
#include <string.h>

#include "base/check.h"
#include "runtime/file.h"
#include "yaml/copy.h"

/* ---- the file's shape ---- */

struct raw_tls {
    struct bw_pos at;
    struct bw_yaml_text certificate, key, ca, crl;
};
struct raw_listen {
    struct bw_pos at;
    struct bw_yaml_text address;
    struct bw_yaml_number port, insecure;
    struct bw_yaml_text insecure_caller, endpoint;
    struct raw_tls tls;
};
struct raw_database {
    struct bw_pos at;
    struct bw_yaml_text conninfo, schema;
    struct bw_yaml_number unsafe;
};
struct raw_signer {
    struct bw_pos at;
    struct bw_yaml_text key, ca_certificate, ca_key;
};
struct raw_vault {
    struct bw_pos at;
    struct bw_yaml_text conninfo, keyring, service_key, service_public;
    struct bw_yaml_number sweep;
};
struct raw_http {
    struct bw_pos at;
    struct bw_yaml_text address;
    struct bw_yaml_number port;
};
struct raw_log {
    struct bw_pos at;
    struct bw_yaml_number level, format;
};
struct raw_limits {
    struct bw_pos at;
    struct bw_yaml_number workers, lease, meeting_age, empty_meeting, drain, grant_life, escrow_block;
};
struct raw_quality {
    struct bw_pos at;
    struct bw_yaml_number flush;
};
struct raw_config {
    struct bw_pos at;
    struct bw_yaml_number api_version, kind;
    struct bw_yaml_text cell, trust_domain, state, topology, geo;
    struct bw_yaml_texts operators;
    struct raw_listen listen;
    struct raw_database database;
    struct raw_signer signer;
    struct raw_vault vault;
    struct raw_http http;
    struct raw_log log;
    struct raw_limits limits;
    struct raw_quality quality;
};

#define TABLE(table_name, title, words, fields, type)                                                        \
    static const struct bw_field_table table_name = {title, words, fields, BW_ARRAY_LEN(fields), sizeof(type)}

static const struct bw_field tls_fields[] = {
    {.key = "certificate",
     .type = BW_FIELD_TEXT,
     BW_AT(struct raw_tls, certificate),
     .flags = BW_FIELD_REQUIRED,
     .doc = "The server's certificate chain (PEM), leaf first."},
    {.key = "key",
     .type = BW_FIELD_TEXT,
     BW_AT(struct raw_tls, key),
     .flags = BW_FIELD_REQUIRED,
     .doc = "Its private key (PEM), readable by this user alone."},
    {.key = "ca",
     .type = BW_FIELD_TEXT,
     BW_AT(struct raw_tls, ca),
     .flags = BW_FIELD_REQUIRED,
     .doc = "Who may issue the certificates of callers (PEM)."},
    {.key = "crl",
     .type = BW_FIELD_TEXT,
     BW_AT(struct raw_tls, crl),
     .doc = "Revoked certificates (PEM). Absent: none are."},
};
TABLE(tls_table, "tls", "Certificates of the listener.", tls_fields, struct raw_tls);

static const struct bw_field listen_fields[] = {
    {.key = "address",
     .type = BW_FIELD_TEXT,
     BW_AT(struct raw_listen, address),
     .fallback = "::",
     .doc = "Numeric address to listen on."},
    {.key = "port",
     .type = BW_FIELD_UINT,
     BW_AT(struct raw_listen, port),
     .max = 65535,
     .fallback = "7443",
     .doc = "TCP port of gRPC; 0 takes any free one."},
    {.key = "endpoint",
     .type = BW_FIELD_TEXT,
     BW_AT(struct raw_listen, endpoint),
     .fallback = "localhost:7443",
     .max = 261,
     .doc = "host:port under which callers and other replicas reach this one."},
    {.key = "insecure",
     .type = BW_FIELD_BOOL,
     BW_AT(struct raw_listen, insecure),
     .fallback = "false",
     .doc = "Clear text (h2c), for tests on loopback; any other address is refused."},
    {.key = "insecureCaller",
     .type = BW_FIELD_TEXT,
     BW_AT(struct raw_listen, insecure_caller),
     .doc =
         "With insecure: the SPIFFE ID that callers without a certificate act as. Absent: they are refused."},
    {.key = "tls",
     .type = BW_FIELD_MAP,
     BW_AT(struct raw_listen, tls),
     .table = &tls_table,
     .doc = "Certificates; required unless insecure."},
};
TABLE(listen_table, "listen", "Where gRPC is served.", listen_fields, struct raw_listen);

static const struct bw_field database_fields[] = {
    {.key = "conninfo",
     .type = BW_FIELD_TEXT,
     BW_AT(struct raw_database, conninfo),
     .flags = BW_FIELD_REQUIRED,
     .doc = "PostgreSQL 15 or newer, as libpq takes it: \"host=/run/postgresql dbname=bailiwick\". Passwords "
            "belong into a passfile, not here."},
    {.key = "schema",
     .type = BW_FIELD_TEXT,
     BW_AT(struct raw_database, schema),
     .doc = "Directory of the migrations, for `bailiwickd migrate`. Absent: where the package put them."},
    {.key = "allowUnsafeStandbys",
     .type = BW_FIELD_BOOL,
     BW_AT(struct raw_database, unsafe),
     .fallback = "false",
     .doc = "Serve although acknowledged decisions could be lost: a standby that commits do not wait for, or "
            "fsync "
            "off. Shown in health."},
};
TABLE(database_table, "database", "The cell's database.", database_fields, struct raw_database);

static const struct bw_field signer_fields[] = {
    {.key = "key",
     .type = BW_FIELD_TEXT,
     BW_AT(struct raw_signer, key),
     .flags = BW_FIELD_REQUIRED,
     .doc = "Ed25519 private key (PEM) that signs grants. Only the signer process reads it."},
    {.key = "caCertificate",
     .type = BW_FIELD_TEXT,
     BW_AT(struct raw_signer, ca_certificate),
     .doc = "The cell's own CA (PEM), if it issues certificates for relays and applications."},
    {.key = "caKey",
     .type = BW_FIELD_TEXT,
     BW_AT(struct raw_signer, ca_key),
     .doc = "That CA's key (PEM). Absent: your CA issues certificates elsewhere."},
};
TABLE(signer_table, "signer", "Keys of the signer process.", signer_fields, struct raw_signer);

static const struct bw_field vault_fields[] = {
    {.key = "conninfo",
     .type = BW_FIELD_TEXT,
     BW_AT(struct raw_vault, conninfo),
     .flags = BW_FIELD_REQUIRED,
     .doc =
         "The same database, as a user who is a member of the role bailiwick_vault. Only the vault process "
         "connects with it."},
    {.key = "keyring",
     .type = BW_FIELD_TEXT,
     BW_AT(struct raw_vault, keyring),
     .flags = BW_FIELD_REQUIRED,
     .doc =
         "Root keys of the metadata: a file that this user alone can read, or credential:NAME for a systemd "
         "credential. Only the vault process reads it. Who loses it loses all metadata."},
    {.key = "serviceKey",
     .type = BW_FIELD_TEXT,
     BW_AT(struct raw_vault, service_key),
     .flags = BW_FIELD_REQUIRED,
     .doc = "Ed25519 private key (PEM) that signs scope keys and receipts of erasure. Only the vault process "
            "reads it."},
    {.key = "servicePublicKey",
     .type = BW_FIELD_TEXT,
     BW_AT(struct raw_vault, service_public),
     .flags = BW_FIELD_REQUIRED,
     .doc =
         "Its public half (PEM). The network-facing process seals to no key that this one has not signed."},
    {.key = "sweep",
     .type = BW_FIELD_DURATION,
     BW_AT(struct raw_vault, sweep),
     .min = 1000,
     .max = 86400000,
     .fallback = "1h",
     .doc = "How often metadata whose retention has ended is deleted, with its keys."},
};
TABLE(vault_table, "vault", "The process that opens sealed metadata.", vault_fields, struct raw_vault);

static const struct bw_field http_fields[] = {
    {.key = "address",
     .type = BW_FIELD_TEXT,
     BW_AT(struct raw_http, address),
     .fallback = "127.0.0.1",
     .doc = "Numeric address for /healthz, /readyz and /metrics (HTTP/1.1)."},
    {.key = "port",
     .type = BW_FIELD_UINT,
     BW_AT(struct raw_http, port),
     .max = 65535,
     .fallback = "0",
     .doc = "TCP port; 0: no such listener."},
};
TABLE(http_table, "http", "Probes and metrics.", http_fields, struct raw_http);

static const char *const log_levels[] = {"debug", "info", "warn", "error", NULL};
static const char *const log_formats[] = {"text", "json", NULL};
static const struct bw_field log_fields[] = {
    {.key = "level",
     .type = BW_FIELD_ENUM,
     BW_AT(struct raw_log, level),
     .names = log_levels,
     .fallback = "info",
     .doc = "Lines below are dropped."},
    {.key = "format",
     .type = BW_FIELD_ENUM,
     BW_AT(struct raw_log, format),
     .names = log_formats,
     .fallback = "text",
     .doc = "One line an event, as key=value or as JSON."},
};
TABLE(log_table, "log", "The log on standard error. It never holds personal data.", log_fields,
      struct raw_log);

static const struct bw_field limits_fields[] = {
    {.key = "workers",
     .type = BW_FIELD_UINT,
     BW_AT(struct raw_limits, workers),
     .max = 256,
     .fallback = "0",
     .doc = "Worker threads; 0: as many as CPUs."},
    {.key = "lease",
     .type = BW_FIELD_DURATION,
     BW_AT(struct raw_limits, lease),
     .min = 2000,
     .max = 120000,
     .fallback = "10s",
     .doc = "How long this replica may act without renewing its lease in the database."},
    {.key = "meetingMaxAge",
     .type = BW_FIELD_DURATION,
     BW_AT(struct raw_limits, meeting_age),
     .min = 3600000,
     .max = 30LL * 86400000,
     .fallback = "2d",
     .doc = "No meeting lives longer; bounds what is read after a restart."},
    {.key = "emptyMeeting",
     .type = BW_FIELD_DURATION,
     BW_AT(struct raw_limits, empty_meeting),
     .min = 1000,
     .max = 86400000,
     .fallback = "10m",
     .doc = "A meeting nobody is in ends after this."},
    {.key = "drain",
     .type = BW_FIELD_DURATION,
     BW_AT(struct raw_limits, drain),
     .min = 1000,
     .max = 3600000,
     .fallback = "20s",
     .doc = "How long calls may take to finish after SIGTERM."},
    {.key = "grantLife",
     .type = BW_FIELD_DURATION,
     BW_AT(struct raw_limits, grant_life),
     .min = 20000,
     .max = 120000,
     .fallback = "120s",
     .doc = "How long a grant admits its holder to a relay."},
    {.key = "escrowBlock",
     .type = BW_FIELD_UINT,
     BW_AT(struct raw_limits, escrow_block),
     .min = 1,
     .max = 10000,
     .fallback = "64",
     .doc = "Slots of a relay that are taken from the database at a time."},
};
TABLE(limits_table, "limits", "Sizes and times.", limits_fields, struct raw_limits);

static const struct bw_field quality_fields[] = {
    {.key = "flush",
     .type = BW_FIELD_DURATION,
     BW_AT(struct raw_quality, flush),
     .min = 500,
     .max = 300000,
     .fallback = "10s",
     .doc = "How long what has come in may wait before a support question finds it. Each flush writes every "
            "stream's open chunk anew."},
};
TABLE(quality_table, "quality", "What relays and endpoints measure.", quality_fields, struct raw_quality);

static const struct bw_field operator_item = {
    .type = BW_FIELD_TEXT, BW_ITEM(struct bw_yaml_text), .grammar = &bw_grammar_name};
static const char *const api_versions[] = {"bailiwick/v1", NULL};
static const char *const kinds[] = {"DaemonConfig", NULL};
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
    {.key = "cell",
     .type = BW_FIELD_TEXT,
     BW_AT(struct raw_config, cell),
     .flags = BW_FIELD_REQUIRED,
     .grammar = &bw_grammar_name,
     .doc = "The residency region that this replica belongs to."},
    {.key = "trustDomain",
     .type = BW_FIELD_TEXT,
     BW_AT(struct raw_config, trust_domain),
     .max = 253,
     .doc = "SPIFFE trust domain of all certificates. Absent: <cell>.bailiwick.internal."},
    {.key = "stateDirectory",
     .type = BW_FIELD_TEXT,
     BW_AT(struct raw_config, state),
     .fallback = "state",
     .doc = "What this replica keeps of its own: its id."},
    {.key = "topology",
     .type = BW_FIELD_TEXT,
     BW_AT(struct raw_config, topology),
     .doc = "A Fleet file whose cells, regions, rttMs and legs describe the network. Its relays are not "
            "read: relays "
            "enrol."},
    {.key = "geoDatabase",
     .type = BW_FIELD_TEXT,
     BW_AT(struct raw_config, geo),
     .doc =
         "A MaxMind-format database (MMDB) with countries: where participants are, by the address that the "
         "application observed. Absent: addresses are of unknown country. Read again on SIGHUP."},
    {.key = "operators",
     .type = BW_FIELD_LIST,
     BW_AT(struct raw_config, operators),
     .item = &operator_item,
     .max = 64,
     .doc = "Names of operators: callers whose certificate says spiffe://<trust domain>/operator/<name>."},
    {.key = "listen",
     .type = BW_FIELD_MAP,
     BW_AT(struct raw_config, listen),
     .table = &listen_table,
     .flags = BW_FIELD_REQUIRED,
     .doc = "Where gRPC is served."},
    {.key = "database",
     .type = BW_FIELD_MAP,
     BW_AT(struct raw_config, database),
     .table = &database_table,
     .flags = BW_FIELD_REQUIRED,
     .doc = "The cell's database."},
    {.key = "signer",
     .type = BW_FIELD_MAP,
     BW_AT(struct raw_config, signer),
     .table = &signer_table,
     .flags = BW_FIELD_REQUIRED,
     .doc = "Keys of the signer process."},
    {.key = "vault",
     .type = BW_FIELD_MAP,
     BW_AT(struct raw_config, vault),
     .table = &vault_table,
     .doc = "Sealed metadata: who took part, and how well it worked. Absent: it is not kept, and support "
            "questions "
            "are refused."},
    {.key = "http",
     .type = BW_FIELD_MAP,
     BW_AT(struct raw_config, http),
     .table = &http_table,
     .doc = "Probes and metrics."},
    {.key = "log",
     .type = BW_FIELD_MAP,
     BW_AT(struct raw_config, log),
     .table = &log_table,
     .doc = "The log."},
    {.key = "limits",
     .type = BW_FIELD_MAP,
     BW_AT(struct raw_config, limits),
     .table = &limits_table,
     .doc = "Sizes and times."},
    {.key = "quality",
     .type = BW_FIELD_MAP,
     BW_AT(struct raw_config, quality),
     .table = &quality_table,
     .doc = "What relays and endpoints measure."},
};
const struct bw_field_table bw_daemon_config_table = {"DaemonConfig", "Configuration of bailiwickd.",
                                                      config_fields, BW_ARRAY_LEN(config_fields),
                                                      sizeof(struct raw_config)};

/* ---- loading ---- */

static void take_operators(struct bw_daemon_config *config, const struct raw_config *raw,
                           struct bw_copies *copies)
{
    const char **names = bw_arena_zalloc(copies->arena, raw->operators.count + 1, sizeof *names);
    if (names == NULL) {
        copies->no_memory = true;
        return;
    }
    for (size_t i = 0; i < raw->operators.count; i++)
        names[i] = bw_copy_text(copies, &raw->operators.items[i]);
    config->operators = names;
    config->operator_count = raw->operators.count;
}

/* A file, or the name of a systemd credential. */
static const char *copy_secret_path(struct bw_copies *copies, const struct bw_yaml_text *text)
{
    static const char prefix[] = "credential:";
    if (text->text.len >= sizeof prefix - 1 && memcmp(text->text.data, prefix, sizeof prefix - 1) == 0)
        return bw_copy_text(copies, text);
    return bw_copy_path(copies, text);
}

static void from_raw(struct bw_daemon_config *config, const struct raw_config *raw, struct bw_copies *copies)
{
    config->cell = bw_copy_text(copies, &raw->cell);
    config->trust_domain = bw_copy_text(copies, &raw->trust_domain);
    if (config->trust_domain == NULL && config->cell != NULL) {
        config->trust_domain = bw_arena_printf(copies->arena, "%s.bailiwick.internal", config->cell);
        copies->no_memory = copies->no_memory || config->trust_domain == NULL;
    }
    take_operators(config, raw, copies);
    config->listen_address = bw_copy_text(copies, &raw->listen.address);
    config->listen_port = (uint16_t)raw->listen.port.value;
    config->replica_endpoint = bw_copy_text(copies, &raw->listen.endpoint);
    config->insecure = raw->listen.insecure.value != 0;
    config->insecure_caller = bw_copy_text(copies, &raw->listen.insecure_caller);
    config->certificate = bw_copy_path(copies, &raw->listen.tls.certificate);
    config->key = bw_copy_path(copies, &raw->listen.tls.key);
    config->ca = bw_copy_path(copies, &raw->listen.tls.ca);
    config->crl = bw_copy_path(copies, &raw->listen.tls.crl);
    config->conninfo = bw_copy_text(copies, &raw->database.conninfo);
    config->allow_unsafe_standbys = raw->database.unsafe.value != 0;
    config->schema_directory = bw_copy_path(copies, &raw->database.schema);
    config->signer_key = bw_copy_path(copies, &raw->signer.key);
    config->ca_certificate = bw_copy_path(copies, &raw->signer.ca_certificate);
    config->ca_key = bw_copy_path(copies, &raw->signer.ca_key);
    config->vault_conninfo = bw_copy_text(copies, &raw->vault.conninfo);
    config->vault_keyring = copy_secret_path(copies, &raw->vault.keyring);
    config->vault_service_key = bw_copy_path(copies, &raw->vault.service_key);
    config->vault_service_public = bw_copy_path(copies, &raw->vault.service_public);
    config->vault_sweep_ms = raw->vault.sweep.value;
    config->quality_flush_ms = raw->quality.flush.value;
    config->state_directory = bw_copy_path(copies, &raw->state);
    config->topology = bw_copy_path(copies, &raw->topology);
    config->geo_database = bw_copy_path(copies, &raw->geo);
    config->http_address = bw_copy_text(copies, &raw->http.address);
    config->http_port = (uint16_t)raw->http.port.value;
    config->workers = (unsigned)raw->limits.workers.value;
    config->lease_ms = raw->limits.lease.value;
    config->meeting_max_age_ms = raw->limits.meeting_age.value;
    config->empty_meeting_ms = raw->limits.empty_meeting.value;
    config->drain_ms = raw->limits.drain.value;
    config->grant_life_ms = raw->limits.grant_life.value;
    config->escrow_block = (uint32_t)raw->limits.escrow_block.value;
    config->log_level = (enum bw_log_level)raw->log.level.value;
    config->log_json = raw->log.format.value == 1;
}

static void check(const struct raw_config *raw, const struct bw_source *source, struct bw_diags *diags)
{
    const struct raw_listen *listen = &raw->listen;
    if (listen->insecure.value == 0 && listen->tls.at.line == 0)
        bw_diag_add(
            diags, source, BW_P_MISSING_KEY, listen->at,
            "listen needs tls with certificate, key and ca (or, for tests on loopback, insecure: true)");
    if (listen->insecure.value != 0 && listen->tls.at.line != 0)
        bw_diag_add(diags, source, BW_P_KEYS_EXCLUDE, listen->insecure.at,
                    "insecure and tls exclude each other: remove one");
    if (listen->insecure.value == 0 && listen->insecure_caller.at.line != 0)
        bw_diag_add(diags, source, BW_P_KEYS_EXCLUDE, listen->insecure_caller.at,
                    "insecureCaller has no meaning without insecure: true");
    if ((raw->signer.ca_key.at.line != 0) != (raw->signer.ca_certificate.at.line != 0))
        bw_diag_add(diags, source, BW_P_MISSING_KEY, raw->signer.at,
                    "caKey and caCertificate go together: give both or neither");
}

enum bw_code bw_daemon_config_load(const char *file, struct bw_arena *arena, struct bw_diags *diags,
                                   struct bw_daemon_config **out, struct bw_error *err)
{
    struct bw_buf text = {0};
    enum bw_code code = bw_file_read(file, BW_YAML_MAX_BYTES, &text, err);
    if (code != BW_OK) {
        bw_buf_finish(&text);
        if (code == BW_NOT_FOUND)
            return bw_fail(err, code, NULL, "%s: there is no such file; `bailiwickd init` makes one", file);
        return code;
    }
    const struct bw_source source = {.file = file, .text = bw_buf_view(&text)};
    struct raw_config raw;
    code = bw_yaml_load(&source, &bw_daemon_config_table, &raw, false, arena, diags, err);
    if (code == BW_OK) {
        check(&raw, &source, diags);
        code = bw_diags_status(diags, err);
    }
    bw_buf_finish(&text);
    if (code != BW_OK)
        return code;
    struct bw_copies copies = bw_copies_of(arena, file);
    struct bw_daemon_config *config = bw_arena_zalloc(arena, 1, sizeof *config);
    if (config == NULL)
        return bw_fail_memory(err);
    config->file = bw_arena_strdup(arena, file);
    from_raw(config, &raw, &copies);
    if (copies.no_memory || config->file == NULL)
        return bw_fail_memory(err);
    *out = config;
    return BW_OK;
}
