/* A relay's side of its session with one cell, as a pure state machine: when to connect and where, Hello with
 * what is held, applying what comes, acknowledging, heartbeats, the lease and the grace after it.
 * fleet/client.h puts it on a connection. Owner: the client. Threads: one at a time. Times are monotonic
 * milliseconds; randomness is a port. */
#ifndef BW_FLEET_CLIENT_STATE_H
#define BW_FLEET_CLIENT_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "fleet/message.h"
#include "fleet/replica.h"

/* What the relay may do by the time since it last had its control plane's word. */
enum bw_authority {
    BW_AUTHORITY_NONE, /* never had a lease, or grace has ended: forward nothing */
    BW_AUTHORITY_HELD, /* the lease has run out: forward, admit only who is held already */
    BW_AUTHORITY_FULL,
};

struct bw_client_config {
    /* Sent in every Hello; its views live as long as the state. Epoch and resume point are filled in. */
    struct bw_hello hello;
    size_t endpoint_count;   /* at least 1 */
    uint32_t backoff_min_ms; /* 0: 250 */
    uint32_t backoff_max_ms; /* 0: 15,000 */
    uint32_t welcome_ms;     /* connect to Welcome; 0: 10,000 */
    uint32_t max_grace_ms;   /* the relay's own bound on grace; 0: the server's alone */
};

struct bw_client_ports {
    void *context;
    /* Begin to connect to endpoint i; answer with bw_client_state_connected or _disconnected, later. */
    void (*connect)(void *context, size_t endpoint);
    /* Drop the connection; no answer. */
    void (*disconnect)(void *context);
    /* Anything but BW_OK and the connection is dropped. Views are valid inside only. */
    enum bw_code (*send)(void *context, const struct bw_relay_message *message);
    uint64_t (*random)(void *context);
    /* What a heartbeat reports. */
    void (*load)(void *context, struct bw_relay_load *load);

    /* What the relay is told; may be NULL where it does not care. */
    void (*welcomed)(void *context, const struct bw_welcome *welcome);
    /* The lease was granted anew. */
    void (*leased)(void *context);
    /* Everything up to this group is applied. */
    void (*applied)(void *context, uint64_t group);
    void (*drain)(void *context, bool draining, uint32_t deadline_ms, struct bw_view reason);
    void (*revoke)(void *context, const struct bw_revoke *revoke);
    void (*probe_plan)(void *context, const struct bw_probe_target *targets, size_t count,
                       uint32_t interval_ms, uint32_t packets);
    /* The session ended or could not be had; it is tried again. For the log. */
    void (*lost)(void *context, size_t endpoint, const struct bw_error *why, uint64_t retry_in_ms);
};

enum bw_client_phase {
    BW_CLIENT_WAITING, /* until the next attempt */
    BW_CLIENT_CONNECTING,
    BW_CLIENT_GREETED, /* Hello is sent */
    BW_CLIENT_LIVE,
    BW_CLIENT_STOPPED, /* said goodbye */
};

struct bw_client_state;

/* config, ports and events (of the replica) are copied. Connects at the first tick. NULL when memory is out.
 */
struct bw_client_state *bw_client_state_create(const struct bw_client_config *config,
                                               const struct bw_client_ports *ports,
                                               const struct bw_replica_events *events, uint64_t now_ms);
/* Says nothing to anybody. NULL is allowed. */
void bw_client_state_destroy(struct bw_client_state *state);

void bw_client_state_connected(struct bw_client_state *state, uint64_t now_ms);
void bw_client_state_disconnected(struct bw_client_state *state, const struct bw_error *why, uint64_t now_ms);
void bw_client_state_receive(struct bw_client_state *state, const struct bw_control_message *message,
                             uint64_t now_ms);
void bw_client_state_tick(struct bw_client_state *state, uint64_t now_ms);
/* When tick has something to do next. */
uint64_t bw_client_state_next_ms(const struct bw_client_state *state);

/* Kept, and sent again in a new session, until the control plane says that it is durable; at most 1,024, then
 * the oldest goes. Gets its id here. */
void bw_client_state_event(struct bw_client_state *state, const struct bw_relay_event *event);
/* Dropped unless live. */
void bw_client_state_probe(struct bw_client_state *state, const struct bw_probe_report *report);
void bw_client_state_drain_request(struct bw_client_state *state, const char *reason, uint32_t deadline_ms);
/* Says goodbye and stays away. */
void bw_client_state_stop(struct bw_client_state *state, const char *reason, uint32_t back_in_ms);

enum bw_authority bw_client_state_authority(const struct bw_client_state *state, uint64_t now_ms);
/* Since the control plane's last word that counts (the sending of the heartbeat its newest lease answers);
 * UINT64_MAX without one. Compare with a resource's max_staleness_ms. */
uint64_t bw_client_state_stale_ms(const struct bw_client_state *state, uint64_t now_ms);

struct bw_client_status {
    enum bw_client_phase phase;
    size_t endpoint;
    uint64_t epoch;
    bool has_stream;
    struct bw_id stream_id;
    uint64_t applied_group;
    size_t resources;
    uint32_t lease_left_ms, grace_left_ms;
    uint64_t sessions, snapshots, deltas, nacks, stale_dropped, events_lost;
};

struct bw_client_status bw_client_state_status(const struct bw_client_state *state, uint64_t now_ms);
const struct bw_replica *bw_client_state_replica(const struct bw_client_state *state);

#endif
