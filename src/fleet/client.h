/* The client half of a relay session: connects to one cell's control plane, keeps what the relay should hold
 * up to date, and says how long the relay may act on it. The relay worker uses it; so can a sidecar that
 * drives another media server:
 *
 *   struct bw_fleet_client_config config = {.endpoints = …, .tls = …, .hello = …, .handlers = …};
 *   struct bw_fleet_client *client = bw_fleet_client_create(loop, &config, &err);
 *   … run the loop; handlers are told of links, slots and keys …
 *   if (bw_fleet_client_authority(client) == BW_AUTHORITY_FULL) … admit holders of grants …
 *
 * Connections that end are made again, at the next endpoint, with jittered backoff, for ever; what is held
 * stays meanwhile, and bw_fleet_client_authority says when it must no longer be acted on.
 *
 * Threads: the loop's. Handlers run on it; they do not destroy the client. */
#ifndef BW_FLEET_CLIENT_H
#define BW_FLEET_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "fleet/client_state.h"
#include "fleet/quality.h"
#include "grpc/tls.h"
#include "runtime/loop.h"

/* What the relay is told. Structs are valid inside only. Required are those for links, slots and keys, and
 * `load`; the others may be NULL. A resource that is refused (anything but BW_OK, with err->show) stays as it
 * was; the control plane tries again, less and less often.
 *
 * One delta or snapshot is delivered without a turn of the loop in between: links, slots, keys, then removals
 * of keys, slots, links. */
struct bw_fleet_handlers {
    void *context;
    enum bw_code (*peer_link)(void *context, const struct bw_peer_link *link, uint32_t max_staleness_ms,
                              struct bw_error *err);
    void (*peer_link_removed)(void *context, const struct bw_id *meeting, uint32_t peer_number);
    /* max_staleness_ms: stop acting on it that long after the control plane's last word; 0: at grace's end.
     */
    enum bw_code (*slot)(void *context, const struct bw_meeting_slot *slot, uint32_t max_staleness_ms,
                         struct bw_error *err);
    void (*slot_removed)(void *context, const struct bw_id *meeting, uint32_t slot);
    enum bw_code (*grant_key)(void *context, const struct bw_grant_key *key, struct bw_error *err);
    void (*grant_key_removed)(void *context, const uint8_t key_id[8]);

    void (*load)(void *context, struct bw_relay_load *load);
    void (*welcomed)(void *context, const struct bw_welcome *welcome);
    /* The lease was granted anew: bw_fleet_client_authority may say more than before. */
    void (*leased)(void *context);
    /* After everything up to this group has been delivered. */
    void (*applied)(void *context, uint64_t group);
    void (*revoke)(void *context, const struct bw_revoke *revoke);
    void (*drain)(void *context, bool draining, uint32_t deadline_ms, struct bw_view reason);
    void (*probe_plan)(void *context, const struct bw_probe_target *targets, size_t count,
                       uint32_t interval_ms, uint32_t packets);
    void (*lost)(void *context, const char *endpoint, const struct bw_error *why, uint64_t retry_in_ms);
};

struct bw_fleet_client_config {
    const char *const *endpoints; /* "host:port" of replicas, tried in turn */
    size_t endpoint_count;
    struct bw_grpc_tls *tls; /* bw_grpc_tls_create_client; held. NULL: clear text, loopback only */
    /* What every Hello says; its views, and endpoints, live as long as the client. Epoch and resume point are
     * filled in. */
    struct bw_hello hello;
    uint32_t max_grace_ms; /* the relay's own bound; 0: the control plane's alone */
    struct bw_fleet_handlers handlers;
};

struct bw_fleet_client;

/* Starts to connect. NULL and *err on failure. */
struct bw_fleet_client *bw_fleet_client_create(struct bw_loop *loop,
                                               const struct bw_fleet_client_config *config,
                                               struct bw_error *err);
/* Without goodbye and without calling handlers. The loop must turn once more (bw_loop_destroy does). NULL is
 * allowed. */
void bw_fleet_client_destroy(struct bw_fleet_client *client);
/* Says goodbye, with when it will be back (0: not known), and stays away; `done` runs once it has left or
 * after one second. Then destroy. */
void bw_fleet_client_stop(struct bw_fleet_client *client, const char *reason, uint32_t back_in_ms,
                          void (*done)(void *context), void *context);

/* For connections from now on (a renewed certificate); held. Only for a client that was created with one. */
void bw_fleet_client_set_tls(struct bw_fleet_client *client, struct bw_grpc_tls *tls);

enum bw_authority bw_fleet_client_authority(const struct bw_fleet_client *client);
/* See bw_client_state_stale_ms. */
uint64_t bw_fleet_client_stale_ms(const struct bw_fleet_client *client);
struct bw_client_status bw_fleet_client_status(const struct bw_fleet_client *client);
const char *bw_fleet_client_endpoint(const struct bw_fleet_client *client);

/* See client_state.h. */
void bw_fleet_client_event(struct bw_fleet_client *client, const struct bw_relay_event *event);
void bw_fleet_client_probe(struct bw_fleet_client *client, const struct bw_probe_report *report);
void bw_fleet_client_drain_request(struct bw_fleet_client *client, const char *reason, uint32_t deadline_ms);

/* Sends them over the session's connection, as soon as there is one; at most 65,536 wait, then the oldest are
 * forgotten. None is left out because of a break, and one is sent twice only if it is not known whether it
 * arrived: its window tells. */
void bw_fleet_client_report_quality(struct bw_fleet_client *client, const struct bw_relay_quality *samples,
                                    size_t count);
struct bw_quality_report_counts bw_fleet_client_quality(const struct bw_fleet_client *client);

#endif
