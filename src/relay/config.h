/* The relay's configuration file (kind RelayConfig): what `bailiwick-relay run --config` reads. Every key is
 * in docs/reference/bailiwick-relay.md. Threads: pure after loading. */
#ifndef BW_RELAY_CONFIG_H
#define BW_RELAY_CONFIG_H

#include "base/arena.h"
#include "base/status.h"
#include "fleet/message.h"
#include "relay/address.h"
#include "relay/core.h"
#include "runtime/log.h"
#include "yaml/diag.h"
#include "yaml/field.h"

/* Strings live in the arena given to bw_relay_config_load. */
struct bw_relay_cell_settings {
    const char *name;
    const char *const *endpoints; /* "host:port" */
    size_t endpoint_count;
    uint32_t capacity;                          /* participants: this cell's share */
    const char *ca, *certificate, *key;         /* files; NULL when insecure */
    const char *server_name, *server_spiffe_id; /* one of them */
    bool insecure;                              /* clear text: loopback endpoints only */
};

struct bw_relay_config {
    const char *name;
    struct bw_address listen;
    const char *advertise[BW_MEDIA_ADDRESSES]; /* "host:port", at least one */
    size_t advertise_count;
    const char *peer_address; /* NULL: the first advertised */
    struct bw_relay_limits limits;
    uint32_t max_grace_ms; /* 0: the control plane's alone */
    struct bw_relay_cell_settings cells[BW_RELAY_CELLS_MAX];
    size_t cell_count;
    /* What this relay believes of itself; NULL: no claim. */
    const char *site, *region, *country, *operator_name;
    const char *jurisdictions[BW_CLAIM_JURISDICTIONS];
    size_t jurisdiction_count;
    const char *status_socket; /* NULL: none */
    enum bw_log_level log_level;
    bool log_json;
    uint32_t drain_ms;  /* after SIGTERM */
    uint32_t window_ms; /* of quality samples */
};

/* The format itself, for the schema and the reference page. */
extern const struct bw_field_table bw_relay_config_table;

/* Reads a file; paths in it are relative to it. Everything wrong is in diags (and the first in err).
 * INVALID_ARGUMENT, NOT_FOUND, RESOURCE_EXHAUSTED. */
BW_MUST_USE enum bw_code bw_relay_config_load(const char *file, struct bw_arena *arena,
                                              struct bw_diags *diags, struct bw_relay_config *config,
                                              struct bw_error *err);

#endif
