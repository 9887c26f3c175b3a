/* A session's insides, shared by session.c (its life and what it is told), session_stream.c (what it sends of
 * its feed) and session_snapshot.c (… when it sends all of it). For nobody else. */
#ifndef BW_FLEET_SESSION_INTERNAL_H
#define BW_FLEET_SESSION_INTERNAL_H

#include "fleet/session.h"

enum {
    SESSION_WINDOW_MAX = 32,
    SESSION_RETRIES_MAX = 64,
    SESSION_DELTA_BYTES = 256 * 1024, /* about where a delta is cut */
    SESSION_CHUNK = 256,              /* resources in a snapshot chunk */
    SESSION_SNAPSHOT_LOOK_MS = 100,
    SESSION_SNAPSHOT_MIN_PENDING = 64, /* fewer are always sent as a delta */
    SESSION_BACKOFF_MIN_MS = 1000,
    SESSION_BACKOFF_MAX_MS = 60000,
};

/* A delta or snapshot that is on its way. */
struct session_sent {
    uint64_t nonce, group, at_ms;
    uint32_t bytes;
    /* What the relay holds once this is applied; not known when more was waiting at the time. */
    bool known;
    struct bw_digest digest;
    uint64_t count;
};

/* A resource that the relay could not take. */
struct session_retry {
    struct bw_resource_id id;
    uint64_t version;
    uint64_t due_ms;
    uint64_t nonce; /* of the attempt on its way; 0: waiting for due_ms */
    uint32_t attempts;
};

/* A snapshot that is being sent. */
struct session_snapshot {
    bool running;
    uint64_t id;
    uint64_t count, sent; /* resources */
    struct bw_digest digest;
    uint32_t chunks, bytes;
    uint64_t since_ms, moved_ms; /* begun; last sent something */
    /* What the stream did not take at once, as it was at the beginning. */
    struct bw_upsert *rest;
    size_t rest_count, rest_at;
    uint8_t *bodies;
    size_t body_bytes;
};

struct bw_session {
    struct bw_session_config config;
    const struct bw_enrolment *enrolment;
    struct bw_feed *feed;
    struct bw_session_ports ports;
    enum bw_session_state state;
    uint64_t epoch;
    uint64_t state_since_ms;

    /* of Hello */
    uint32_t protocol;
    bool has_resume;
    struct bw_resume_point resume;

    /* heartbeats */
    uint64_t heartbeat_number, heartbeat_at_ms, lease_answered;
    struct bw_relay_load load;

    /* the stream */
    uint64_t next_nonce, next_snapshot;
    uint64_t sent_turn;  /* of the feed: what came up to it is sent */
    uint64_t told_group; /* the relay has applied this once it has applied everything sent */
    bool delta_due;      /* the first delta of a resumed session goes out even when it is empty … */
    bool keys_due;       /* … and names every key */
    struct session_snapshot snapshot;
    struct session_sent unacked[SESSION_WINDOW_MAX];
    size_t unacked_count;
    uint32_t unacked_bytes;
    uint32_t window_messages, window_bytes;
    uint64_t bookmark_at_ms;

    /* what has come back */
    bool acked; /* anything at all */
    uint64_t acked_group;
    bool expected_known;
    struct bw_digest expected_digest;
    uint64_t expected_count;
    struct session_retry retries[SESSION_RETRIES_MAX];
    size_t retry_count;
    bool resync_wanted;
    uint64_t resync_at_ms;
    uint32_t resync_backoff_ms;

    bool by_snapshot;
    uint64_t snapshots, deltas, nacks, stale_dropped;
};

/* Starts the stream at Welcome: by the relay's resume point, or by a snapshot. */
void session_stream_start(struct bw_session *session, uint64_t now_ms);
/* Can what the relay holds be brought up to date by deltas? */
bool session_can_resume(const struct bw_session *session);
/* Sends what the window allows. */
void session_stream_pump(struct bw_session *session, uint64_t now_ms);
void session_stream_ack(struct bw_session *session, uint64_t nonce, const struct bw_nack_item *failures,
                        size_t failure_count, uint64_t now_ms);
/* The relay reports what it holds. */
void session_stream_check(struct bw_session *session, const struct bw_heartbeat *heartbeat, uint64_t now_ms);
/* Remembers what is on its way; valid until the next one. */
struct session_sent *session_note_sent(struct bw_session *session, uint64_t nonce, uint32_t bytes,
                                       uint64_t now_ms);
uint32_t session_upsert_bytes(const struct bw_upsert *upsert);

/* Begins with everything the feed holds now, and sends what the stream takes. */
void session_snapshot_start(struct bw_session *session, uint64_t now_ms);
void session_snapshot_go_on(struct bw_session *session, uint64_t now_ms);
/* Forgets one that has not ended. */
void session_snapshot_drop(struct bw_session *session);

uint64_t session_stream_next_ms(const struct bw_session *session);

/* Puts the epoch in and sends; a failure ends the session. False then. */
bool session_send(struct bw_session *session, struct bw_control_message *message);

#endif
