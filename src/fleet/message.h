/* The messages of a relay session as the state machines see them; fleet/codec.h brings them to and from the
 * wire. Views are borrowed: whoever receives a message copies what it keeps. Threads: pure. */
#ifndef BW_FLEET_MESSAGE_H
#define BW_FLEET_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/id.h"
#include "base/status.h"
#include "e2ee/flags.h"
#include "fleet/resource.h"

enum {
    BW_FLEET_PROTOCOL_MIN = 1,
    BW_FLEET_PROTOCOL_MAX = 1,
    BW_SESSION_SECRET = 32,
    BW_FLEET_TEXT = 256, /* bounded text with its NUL */
    BW_CLAIM_JURISDICTIONS = 32,
    BW_MEDIA_ADDRESSES = 8,
    BW_FEATURES = 32,
    BW_DELTA_UPSERTS = 512, /* most in one message */
    BW_DELTA_REMOVALS = 1024,
    BW_NACK_MAX = 64, /* failures a relay names in one nack */
    BW_EVENTS_MAX = 512,
    BW_PROBE_TARGETS = 256,
    BW_REVOKE_SLOTS = 1024,
};

/* ---- relay to control ---- */

/* Where a relay's replica stands: which log, how far, and what it holds. */
struct bw_resume_point {
    struct bw_id stream_id;
    uint64_t applied_group;
    struct bw_digest digest;
    uint64_t count;
};

struct bw_relay_load {
    uint32_t cpu_ppm;
    uint64_t bits_per_s, packets_per_s;
    uint32_t participants;
};

/* What a relay believes of itself; empty where it claims nothing. */
struct bw_claims {
    struct bw_view site, region, country;
    bool has_operator;
    struct bw_view operator_name;
    struct bw_view jurisdictions[BW_CLAIM_JURISDICTIONS];
    size_t jurisdiction_count;
};

struct bw_hello {
    uint32_t protocol_min, protocol_max;
    struct bw_id boot_id;                               /* random, new at each start */
    struct bw_view media_addresses[BW_MEDIA_ADDRESSES]; /* "host:port"; the first is the one given out */
    size_t media_address_count;
    struct bw_view peer_address; /* empty: the first media address */
    uint32_t capacity;           /* participants, this cell's share */
    struct bw_view features[BW_FEATURES];
    size_t feature_count;
    uint64_t last_session_epoch; /* 0: none yet */
    bool has_resume;
    struct bw_resume_point resume;
    uint32_t window_messages, window_bytes; /* 0: the server's defaults */
    struct bw_view session_secret;          /* BW_SESSION_SECRET bytes */
    struct bw_view software_version;
    struct bw_claims claims;
};

struct bw_heartbeat {
    uint64_t number;
    struct bw_relay_load load;
    uint64_t applied_group;
    struct bw_digest digest;
    uint64_t count;
    uint32_t lease_left_ms;
};

struct bw_ack {
    uint64_t nonce;
    uint64_t applied_group;
};

struct bw_nack_item {
    struct bw_resource_id id;
    uint64_t version;
    enum bw_code code;
    struct bw_view detail;
};

struct bw_nack {
    uint64_t nonce;
    uint64_t applied_group;
    const struct bw_nack_item *items;
    size_t item_count;
};

struct bw_probe_report {
    uint32_t peer_number;
    uint32_t rtt_p50_us, rtt_p95_us, loss_ppm;
    uint32_t samples; /* 0: no answer, and the times mean nothing */
    uint64_t at_ms;   /* unix */
};

enum bw_relay_event_kind {
    BW_RELAY_EVENT_JOINED = 1,
    BW_RELAY_EVENT_LEFT,
    BW_RELAY_EVENT_PATH_FAILED,
    BW_RELAY_EVENT_OBSERVED,
    BW_RELAY_EVENT_GRANT_REFUSED,
};

/* Numbers are the wire's. */
enum bw_left_why { BW_LEFT_ITSELF = 1, BW_LEFT_SILENT = 2, BW_LEFT_REVOKED = 3, BW_LEFT_EXPIRED = 4 };

struct bw_relay_event {
    uint64_t id; /* rising within a boot; set by the client half */
    enum bw_relay_event_kind kind;
    uint64_t at_ms; /* unix */
    struct bw_id meeting;
    uint32_t slot;             /* joined, left, observed, grant refused */
    struct bw_id roster_entry; /* joined */
    bool provisional;          /* joined */
    enum bw_left_why why;      /* left */
    uint32_t peer_number;      /* path failed */
    enum bw_observed observed; /* observed */
    uint32_t mode_epoch;       /* observed */
    bool has_meeting;          /* grant refused: the grant was readable */
    char code[32];             /* grant refused: "EXPIRED" … */
    uint32_t times;            /* grant refused */
};

enum bw_relay_message_kind {
    BW_RELAY_HELLO = 1,
    BW_RELAY_HEARTBEAT,
    BW_RELAY_ACK,
    BW_RELAY_NACK,
    BW_RELAY_PROBE,
    BW_RELAY_EVENTS,
    BW_RELAY_DRAIN_REQUEST,
    BW_RELAY_BYE,
};

struct bw_relay_message {
    enum bw_relay_message_kind kind;
    uint64_t epoch; /* of the session; 0 in Hello */
    union {
        struct bw_hello hello;
        struct bw_heartbeat heartbeat;
        struct bw_ack ack;
        struct bw_nack nack;
        struct bw_probe_report probe;
        struct {
            const struct bw_relay_event *events;
            size_t count;
        } events;
        struct {
            struct bw_view reason;
            uint32_t ms; /* DRAIN_REQUEST: deadline from now; BYE: back within. 0: not known */
        } leave;
    };
};

/* ---- control to relay ---- */

enum bw_welcome_mode { BW_WELCOME_RESUME = 1, BW_WELCOME_SNAPSHOT = 2 };

struct bw_welcome {
    struct bw_view replica;
    struct bw_id stream_id;
    uint64_t head_group;
    enum bw_welcome_mode mode;
    uint32_t lease_ms, heartbeat_ms, grace_ms;
    uint32_t protocol;
    struct bw_view relay; /* who the relay is: from its certificate and enrolment */
    uint32_t relay_number;
    struct bw_id cell_id;
};

struct bw_snapshot_begin {
    uint64_t id;
    uint64_t group; /* it stands at */
    uint64_t count;
};

struct bw_snapshot_chunk {
    uint64_t id;
    uint32_t seq; /* 0, 1, … */
    const struct bw_upsert *resources;
    size_t count;
};

struct bw_snapshot_end {
    uint64_t id;
    uint64_t nonce; /* acknowledged like a delta's */
    uint32_t chunks;
    uint64_t count;
    struct bw_digest digest;
};

struct bw_delta {
    uint64_t nonce;
    uint64_t from_group, to_group;
    const struct bw_upsert *upserts;
    size_t upsert_count;
    const struct bw_removal *removals;
    size_t removal_count;
};

struct bw_probe_target {
    uint32_t peer_number;
    struct bw_view peer, address; /* name, "host:port" */
    struct bw_view key;           /* 32 bytes */
};

/* At once, before the removal arrives in its delta. */
struct bw_revoke {
    struct bw_id meeting;
    uint32_t meeting_epoch; /* grants and datagrams of this epoch and older are void */
    const uint32_t *slots;  /* none, and peer_number 0: the whole meeting */
    size_t slot_count;
    uint32_t peer_number; /* the link to this peer only; 0: not a link */
    struct bw_view reason;
};

enum bw_control_message_kind {
    BW_CONTROL_WELCOME = 1,
    BW_CONTROL_SNAPSHOT_BEGIN,
    BW_CONTROL_SNAPSHOT_CHUNK,
    BW_CONTROL_SNAPSHOT_END,
    BW_CONTROL_DELTA,
    BW_CONTROL_LEASE_GRANT,
    BW_CONTROL_BOOKMARK,
    BW_CONTROL_REVOKE,
    BW_CONTROL_DRAIN,
    BW_CONTROL_PROBE_PLAN,
    BW_CONTROL_GO_AWAY,
};

struct bw_control_message {
    enum bw_control_message_kind kind;
    uint64_t epoch;
    union {
        struct bw_welcome welcome;
        struct bw_snapshot_begin snapshot_begin;
        struct bw_snapshot_chunk snapshot_chunk;
        struct bw_snapshot_end snapshot_end;
        struct bw_delta delta;
        struct {
            uint64_t heartbeat;      /* the one that is answered */
            uint32_t lease_ms;       /* from when the relay sent it */
            uint64_t events_through; /* events up to this id are durable */
        } lease_grant;
        struct {
            uint64_t group;
        } bookmark;
        struct bw_revoke revoke;
        struct {
            bool draining;        /* false: called off */
            uint32_t deadline_ms; /* from now; 0: none */
            struct bw_view reason;
        } drain;
        struct {
            const struct bw_probe_target *targets;
            size_t count;
            uint32_t interval_ms, packets;
        } probe_plan;
        struct {
            struct bw_view reason;
            uint32_t reconnect_in_ms;
        } go_away;
    };
};

#endif
