/* The relay without sockets, clock or threads: fed datagrams and decisions, it says what to send. It admits
 * holders of grants that fit the slots it was told of, forwards what they send to the others of their meeting
 * and to the peer relays it was told of, and checks every datagram.
 *
 * It forwards bytes it cannot read: no media key ever reaches it, and it has no code to use one.
 *
 * Bounds: channels, resources, members of a meeting and senders of a link are limited by configuration; the
 * path of a DATA datagram allocates nothing, except once for each new sender on a link.
 *
 * Owner: the worker. Threads: one at a time. */
#ifndef BW_RELAY_CORE_H
#define BW_RELAY_CORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "e2ee/grant.h"
#include "fleet/client_state.h"
#include "fleet/message.h"
#include "relay/address.h"
#include "relay/measure.h"
#include "relay/outbox.h"

enum {
    BW_RELAY_CELLS_MAX = 8,
    BW_LINK_SENDERS_MAX = 1024,
    BW_PROVISIONAL_MS = 10000, /* longest admission without the slot */
};

/* The two times of one moment. */
struct bw_relay_now {
    uint64_t mono_us;
    uint64_t wall_ms;   /* unix; only for the validity of grants */
    uint64_t waited_us; /* since the datagram at hand arrived, which is what is measured */
};

/* Every reason for which a datagram goes no further. X(NAME, lower-case name for people and metrics) */
#define BW_DROP_MAP(X)                                                                                       \
    X(FOREIGN, "foreign")                 /* not this protocol or version */                                 \
    X(MALFORMED, "malformed")             /* a payload that does not fit its type */                         \
    X(UNEXPECTED, "unexpected")           /* a type only relays send */                                      \
    X(CHALLENGED, "challenged")           /* no cookie, or an old one: answered with one */                  \
    X(UNKNOWN_CHANNEL, "unknown_channel") /* */                                                              \
    X(ADDRESS_CHANGED, "address_changed") /* not from where the channel was admitted */                      \
    X(BAD_TAG, "bad_tag")                                                                                    \
    X(REPLAYED, "replayed")         /* seen before, or too old to tell */                                    \
    X(WRONG_EPOCH, "wrong_epoch")   /* of another meeting epoch */                                           \
    X(WRONG_SENDER, "wrong_sender") /* not the channel's slot */                                             \
    X(NOT_A_SPEAKER, "not_a_speaker")                                                                        \
    X(RATE_LIMITED, "rate_limited")                                                                          \
    X(STALE, "stale")               /* too long without the control plane */                                 \
    X(UNKNOWN_LINK, "unknown_link") /* no such peer for any meeting */                                       \
    X(LINK_FULL, "link_full")       /* more senders than a link may have */                                  \
    X(REFUSED, "refused")           /* a JOIN or RESUME that was answered with the reason */                 \
    X(SEND_FAILED, "send_failed")   /* the socket did not take it */

enum bw_drop {
#define X(name, text) BW_DROP_##name,
    BW_DROP_MAP(X)
#undef X
        BW_DROP_COUNT
};

const char *bw_drop_name(enum bw_drop drop);

struct bw_relay_limits {
    uint32_t channels;           /* participants of all cells together; 1 … 65,536 */
    uint32_t meeting_members;    /* participants of one meeting on this relay */
    uint32_t packets_per_second; /* of one sender; 0: no limit */
    uint32_t packets_burst;
    uint64_t bits_per_second; /* of one sender; 0: no limit */
    uint32_t idle_ms;         /* nothing heard of a participant */
    uint32_t keepalive_ms;    /* what participants are told; well below idle_ms */
    uint32_t clock_skew_ms;   /* between this relay and the signer, for grants */
};

/* 1,000 channels, 500 members, 2,000 and 4,000 packets, 20 Mbit/s, 30 s, 5 s, 5 s. */
struct bw_relay_limits bw_relay_limits_default(void);

struct bw_relay_counters {
    uint64_t received, received_bytes;   /* DATA and LINK, accepted */
    uint64_t forwarded, forwarded_bytes; /* copies sent, payload */
    uint64_t to_peers;                   /* of them, to peer relays */
    uint64_t joins, resumes, leaves, cookies;
    uint64_t dropped[BW_DROP_COUNT];
    uint64_t refused[BW_REFUSAL_BOUND]; /* by enum bw_refusal */
};

/* One way that datagrams of one sender come to this relay, and what was measured on it. */
struct bw_relay_path {
    size_t cell;
    struct bw_id meeting;
    uint32_t slot;              /* the sender's */
    uint32_t peer_number;       /* the relay they come through; 0: straight from the participant */
    struct bw_measure *measure; /* the owner may end its interval (bw_measure_interval) */
    uint32_t rtt_us;            /* by the participant's own pings, as it reports them; 0: unknown */
};

/* What the owner is told. May be NULL. Called from inside core functions; must not call back into the core.
 */
struct bw_relay_hooks {
    void *context;
    void (*joined)(void *context, size_t cell, const struct bw_meeting_slot *slot, bool provisional);
    void (*left)(void *context, size_t cell, const struct bw_id *meeting, uint32_t slot,
                 enum bw_left_why why);
    /* A participant's channel, or the link it was heard over, ends: the last chance to read its measure. */
    void (*measured)(void *context, const struct bw_relay_path *path);
};

struct bw_relay_core;

/* The cookie secret is 32 random bytes; `random` supplies further ones. The outbox is the owner's. NULL when
 * memory is out. */
struct bw_relay_core *bw_relay_core_create(const struct bw_relay_limits *limits, struct bw_outbox *outbox,
                                           const struct bw_relay_hooks *hooks,
                                           void (*random)(void *out, size_t n), struct bw_relay_now now);
/* NULL is allowed. */
void bw_relay_core_destroy(struct bw_relay_core *core);

/* ---- datagrams ---- */

/* One datagram from the socket. Answers and copies go to the outbox; copies refer to `bytes`, so the outbox
 * is flushed before `bytes` go away. */
void bw_relay_core_receive(struct bw_relay_core *core, const struct bw_address *from, struct bw_view bytes,
                           struct bw_relay_now now);
/* Every 100 ms or so: silence, staleness, provisional admissions, cookie rotation. */
void bw_relay_core_tick(struct bw_relay_core *core, struct bw_relay_now now);
/* Tells every participant that this relay goes away and forgets them. */
void bw_relay_core_shutdown(struct bw_relay_core *core, enum bw_refusal why);

/* ---- cells: what control planes say. The index is chosen by the owner, below BW_RELAY_CELLS_MAX ---- */

struct bw_relay_cell_config {
    const char *name;
    uint32_t capacity; /* participants: this cell's share */
    uint8_t session_secret[BW_SESSION_SECRET];
};

BW_MUST_USE enum bw_code bw_relay_core_add_cell(struct bw_relay_core *core, size_t index,
                                                const struct bw_relay_cell_config *config,
                                                struct bw_error *err);
/* From Welcome. */
void bw_relay_core_welcomed(struct bw_relay_core *core, size_t index, uint32_t relay_number,
                            const struct bw_id *stream_id);
/* Everything up to this group of the stream has been delivered: provisional admissions are settled. */
void bw_relay_core_applied(struct bw_relay_core *core, size_t index, uint64_t group);
/* How far the cell's word reaches now; said before every tick. */
void bw_relay_core_authority(struct bw_relay_core *core, size_t index, enum bw_authority authority,
                             uint64_t stale_ms);
void bw_relay_core_drain(struct bw_relay_core *core, size_t index, bool draining);
void bw_relay_core_revoke(struct bw_relay_core *core, size_t index, const struct bw_revoke *revoke,
                          struct bw_relay_now now);

/* Resources, as fleet/client.h delivers them. INVALID_ARGUMENT (an address that is not numeric, a key whose
 * id is not its own, a meeting of another cell) and RESOURCE_EXHAUSTED leave things as they were. */
BW_MUST_USE enum bw_code bw_relay_core_link(struct bw_relay_core *core, size_t cell,
                                            const struct bw_peer_link *link, uint32_t max_staleness_ms,
                                            struct bw_error *err);
void bw_relay_core_link_removed(struct bw_relay_core *core, size_t cell, const struct bw_id *meeting,
                                uint32_t peer_number);
BW_MUST_USE enum bw_code bw_relay_core_slot(struct bw_relay_core *core, size_t cell,
                                            const struct bw_meeting_slot *slot, uint32_t max_staleness_ms,
                                            struct bw_error *err);
void bw_relay_core_slot_removed(struct bw_relay_core *core, size_t cell, const struct bw_id *meeting,
                                uint32_t number);
BW_MUST_USE enum bw_code bw_relay_core_key(struct bw_relay_core *core, size_t cell,
                                           const struct bw_grant_key *key, struct bw_error *err);
void bw_relay_core_key_removed(struct bw_relay_core *core, size_t cell, const uint8_t key_id[8]);

/* ---- what it knows ---- */

const struct bw_relay_counters *bw_relay_core_counters(const struct bw_relay_core *core);
/* The socket could not send so many datagrams. */
void bw_relay_core_send_failed(struct bw_relay_core *core, uint64_t count);

struct bw_relay_cell_status {
    uint32_t participants, provisional, capacity;
    size_t slots, links, keys;
    bool draining;
    enum bw_authority authority;
};

struct bw_relay_cell_status bw_relay_core_cell_status(const struct bw_relay_core *core, size_t index);
size_t bw_relay_core_meetings(const struct bw_relay_core *core);

/* One participant, as measured. */
struct bw_relay_channel_status {
    size_t cell;
    struct bw_id meeting;
    uint32_t slot, channel;
    bool provisional;
    enum bw_role role;
    const struct bw_measure *measure;
    uint64_t rtt_us; /* by the participant's own pings, as it reports them; 0: unknown */
    uint64_t dropped;
};

/* Calls `each` for every channel. */
void bw_relay_core_each_channel(struct bw_relay_core *core,
                                void (*each)(void *context, const struct bw_relay_channel_status *status),
                                void *context);
/* Calls `each` for every channel and every sender of every link. */
void bw_relay_core_each_path(struct bw_relay_core *core,
                             void (*each)(void *context, const struct bw_relay_path *path), void *context);
/* Calls `each` for every meeting that has a link to this peer. */
void bw_relay_core_each_link(const struct bw_relay_core *core, size_t cell, uint32_t peer_number,
                             void (*each)(void *context, const struct bw_id *meeting), void *context);

#endif
