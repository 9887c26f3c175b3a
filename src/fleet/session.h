/* The server's side of one relay session, as a pure state machine: it is fed messages, wake-ups and the time
 * and answers through ports. It keeps one relay's replica in step with its feed: resume or snapshot, deltas
 * within a window, retries of what the relay could not take, heartbeats and leases, fencing by epoch.
 *
 * One per open stream. Owner: the fleet hub. Threads: one at a time, together with its feed. Times are
 * monotonic milliseconds of one clock. */
#ifndef BW_FLEET_SESSION_H
#define BW_FLEET_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/machine.h"
#include "base/status.h"
#include "fleet/feed.h"
#include "fleet/message.h"

struct bw_session_timing {
    uint32_t heartbeat_ms; /* what the relay is told; it adds ± 20 % */
    uint32_t suspect_ms;   /* without a heartbeat */
    uint32_t lease_ms;
    uint32_t dead_ms;
    uint32_t grace_ms;    /* forwarding without a control plane */
    uint32_t ack_lag_ms;  /* oldest unacknowledged: no new placements */
    uint32_t ack_dead_ms; /* … and then the session is ended, so that the relay resumes in a new one */
    uint32_t hello_ms;    /* from the stream's start to Hello, and again to the epoch */
    uint32_t catch_up_ms; /* wait for a feed that is behind the relay */
    uint32_t bookmark_ms; /* between bookmarks */
};

/* 2 s, 6 s, 10 s, 12 s, 300 s, 10 s, 30 s, 5 s, 1 s, 5 s. */
struct bw_session_timing bw_session_timing_default(void);

/* What a relay is, by its enrolment. Strings live as long as the session. */
struct bw_enrolment {
    const char *name; /* as in the SPIFFE ID of the certificate that opened the stream */
    uint32_t number;
    const char *site, *region, *country; /* "FR", "FR-75" */
    const char *operator_name;
    const char *const *jurisdictions;
    size_t jurisdiction_count;
    uint32_t capacity;
};

struct bw_session_config {
    struct bw_session_timing timing;
    struct bw_id stream_id;                 /* of the decision log: database system identifier and timeline */
    struct bw_id cell_id;                   /* bw_grant_cell_id */
    const char *replica;                    /* name; lives as long as the session */
    uint32_t window_messages, window_bytes; /* upper bounds; 0: 8 and 1 MiB */
};

/* Every function may be called from inside any bw_session_ function, and may call back into the session only
 * where it says so. The session is not destroyed from inside a port. */
struct bw_session_ports {
    void *context;
    /* Puts a message on the stream; views in it are valid inside only. Anything but BW_OK ends the session.
     */
    enum bw_code (*send)(void *context, const struct bw_control_message *message);
    /* Whether the stream takes more of a snapshot now. After false, bw_session_wake is due as soon as it
     * does. NULL: always. */
    bool (*room)(void *context);
    /* The session is over: end the stream with this error. Once; nothing is sent afterwards. */
    void (*close)(void *context, const struct bw_error *why);
    /* Hello has passed the checks. Bump session_epoch on the relay's row to more than it was and more than
     * hello->last_session_epoch, keep the session secret and addresses (copy them), and answer with
     * bw_session_fenced, at once or later. */
    void (*fence)(void *context, const struct bw_hello *hello);
    /* The relay has applied a later group than the feed: read the log up to it and wake the session. */
    void (*catch_up)(void *context, uint64_t group);
    /* Renew the relay's lease; answer with bw_session_lease_renewed, at once or later. */
    void (*heartbeat)(void *context, const struct bw_heartbeat *heartbeat);
    /* The relay has applied everything up to this group. */
    void (*applied)(void *context, uint64_t group);
    void (*probe)(void *context, const struct bw_probe_report *report);
    void (*events)(void *context, const struct bw_relay_event *events, size_t count);
    void (*drain_requested)(void *context, struct bw_view reason, uint32_t deadline_ms);
    /* Orderly end; `close` follows. */
    void (*bye)(void *context, struct bw_view reason, uint32_t back_in_ms);
};

/* The table is the diagram in docs/reference/sessions.md. */
enum bw_session_state {
    BW_SESSION_NEW,      /* waiting for Hello */
    BW_SESSION_FENCING,  /* waiting for the epoch */
    BW_SESSION_CATCHING, /* waiting for the feed to reach what the relay has applied */
    BW_SESSION_LIVE,
    BW_SESSION_CLOSED,
    BW_SESSION_STATE_COUNT
};

enum bw_session_event {
    BW_SESSION_HELLO,         /* one that passes the checks */
    BW_SESSION_BAD,           /* a Hello that does not, or a message that breaks the protocol */
    BW_SESSION_FENCED,        /* the epoch is ours, the feed has what the relay has */
    BW_SESSION_FENCED_BEHIND, /* the epoch is ours, the feed is behind the relay */
    BW_SESSION_REACHED,       /* the feed is there, or waiting for it has gone on too long */
    BW_SESSION_MESSAGE,       /* any other message of this epoch */
    BW_SESSION_STALE,         /* a message of another epoch */
    BW_SESSION_TIMEOUT,       /* Hello or epoch overdue, or no heartbeat or acknowledgement until dead */
    BW_SESSION_END,           /* Bye, or the hub ends it */
    BW_SESSION_EVENT_COUNT
};

enum bw_session_effect {
    BW_SESSION_NOTHING,
    BW_SESSION_ASK_EPOCH,
    BW_SESSION_ASK_CATCH_UP,
    BW_SESSION_WELCOME,
    BW_SESSION_HANDLE,
    BW_SESSION_DROP,
    BW_SESSION_CLOSE,
};

extern const struct bw_machine bw_session_machine;

struct bw_session;

/* config and ports are copied; enrolment and feed outlive the session. NULL when memory is out. */
struct bw_session *bw_session_create(const struct bw_session_config *config,
                                     const struct bw_enrolment *enrolment, struct bw_feed *feed,
                                     const struct bw_session_ports *ports, uint64_t now_ms);
/* Says nothing to anybody. NULL is allowed. */
void bw_session_destroy(struct bw_session *session);

/* What the relay sent. */
void bw_session_receive(struct bw_session *session, const struct bw_relay_message *message, uint64_t now_ms);
/* The answer to `fence`: BW_OK and the new epoch, or the error the stream ends with. */
void bw_session_fenced(struct bw_session *session, uint64_t epoch, const struct bw_error *error,
                       uint64_t now_ms);
/* The feed has changed, or the stream takes more again. */
void bw_session_wake(struct bw_session *session, uint64_t now_ms);
/* Time has passed; call at bw_session_next_ms or every second or so. */
void bw_session_tick(struct bw_session *session, uint64_t now_ms);
/* When tick has something to do next. */
uint64_t bw_session_next_ms(const struct bw_session *session);
/* The answer to `heartbeat`: the lease stands in the database. events_through: events up to this id are
 * durable. Not calling it lets the lease run out. */
void bw_session_lease_renewed(struct bw_session *session, uint64_t heartbeat, uint64_t events_through);

/* Orders to the relay; dropped unless the session is live (a drain is said again by the hub when a session
 * comes up). */
void bw_session_drain(struct bw_session *session, bool draining, uint32_t deadline_ms, const char *reason);
void bw_session_revoke(struct bw_session *session, const struct bw_revoke *revoke);
void bw_session_probe_plan(struct bw_session *session, const struct bw_probe_target *targets, size_t count,
                           uint32_t interval_ms, uint32_t packets);
/* This replica is leaving: the relay opens another session first. */
void bw_session_go_away(struct bw_session *session, const char *reason, uint32_t reconnect_in_ms);
/* Ends it now: fenced by a newer session, removed relay, … */
void bw_session_end(struct bw_session *session, const struct bw_error *why);

enum bw_liveness { BW_LIVE, BW_SUSPECT, BW_LAPSED, BW_DEAD };

/* By the time since the last heartbeat: suspect, then past its lease, then dead. */
enum bw_liveness bw_liveness_of(const struct bw_session_timing *timing, uint64_t silent_ms);

struct bw_session_status {
    enum bw_session_state state;
    uint64_t epoch;
    enum bw_liveness liveness;
    bool placeable;   /* live, not suspect, in step: may get new placements */
    bool lagging;     /* acknowledgements overdue, or a snapshot that does not get through */
    bool by_snapshot; /* how this session began */
    uint64_t acked_group, sent_group;
    size_t unacked;  /* messages */
    size_t retrying; /* resources the relay could not take */
    uint64_t snapshots, deltas, nacks, stale_dropped;
    struct bw_relay_load load; /* of the last heartbeat */
    uint64_t heartbeat_ms;     /* when it came; 0: never */
};

struct bw_session_status bw_session_status(const struct bw_session *session, uint64_t now_ms);

#endif
