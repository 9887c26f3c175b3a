/* The daemon's configuration: one YAML file, read by the same strict reader as policies. Paths in it are
 * relative to the file. Immutable after loading. Threads: any may read. */
#ifndef BW_SERVER_CONFIG_H
#define BW_SERVER_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/status.h"
#include "runtime/log.h"
#include "yaml/field.h"

struct bw_daemon_config {
    const char *file;
    const char *cell, *trust_domain;
    const char *const *operators; /* names whose certificates act as operators from the start */
    size_t operator_count;

    const char *listen_address;
    uint16_t listen_port;
    bool insecure; /* h2c, loopback only */
    const char *insecure_caller;
    const char *certificate, *key, *ca, *crl; /* crl may be NULL */
    const char *replica_endpoint;             /* host:port under which others reach this replica */

    const char *conninfo;
    bool allow_unsafe_standbys;
    const char *schema_directory;

    const char *signer_key, *ca_certificate,
        *ca_key; /* the last two NULL: certificates are issued elsewhere */
    /* NULL: metadata is not kept */
    const char *vault_conninfo, *vault_keyring, *vault_service_key, *vault_service_public;
    uint64_t vault_sweep_ms;
    const char *state_directory;

    const char *topology; /* a Fleet file whose cells, regions, rttMs and legs count; NULL: none */

    const char *geo_database; /* MMDB; NULL: addresses are of unknown country */

    const char *http_address; /* metrics and probes; port 0: none */
    uint16_t http_port;

    unsigned workers; /* 0: as many as CPUs */
    uint64_t lease_ms, meeting_max_age_ms, empty_meeting_ms, drain_ms, grant_life_ms;
    uint32_t escrow_block;
    uint64_t quality_flush_ms;

    enum bw_log_level log_level;
    bool log_json;
};

/* OK with *config in the arena, or INVALID_ARGUMENT with everything wrong in diags. */
BW_MUST_USE enum bw_code bw_daemon_config_load(const char *file, struct bw_arena *arena,
                                               struct bw_diags *diags, struct bw_daemon_config **config,
                                               struct bw_error *err);

/* For the JSON Schema and the reference page. */
extern const struct bw_field_table bw_daemon_config_table;

#endif
