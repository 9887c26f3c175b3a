/* The core's insides, shared by core.c, table.c, channel.c, admission.c and forward.c. For nobody else. */
#ifndef BW_RELAY_CORE_STATE_H
#define BW_RELAY_CORE_STATE_H

#include "fleet/hash.h"
#include "relay/cookie.h"
#include "relay/core.h"
#include "relay/limit.h"
#include "relay/replay.h"

enum { REVOCATIONS_KEPT = 256, REVOCATION_MS = 2 * BW_GRANT_LIFE_MAX_MS };

struct relay_meeting;
struct relay_slot;

struct relay_key {
    bool used;
    struct bw_grant_key key;
    bool active; /* known to the verifier: inside its time */
};

struct relay_cell {
    bool used;
    char name[BW_FLEET_NAME];
    struct bw_id id;
    uint32_t capacity;
    uint8_t session_secret[BW_SESSION_SECRET];
    bool welcomed;
    uint32_t relay_number;
    struct bw_id stream_id;
    uint64_t applied;
    enum bw_authority authority;
    uint64_t stale_ms;
    bool draining;
    struct bw_grant_verifier *verifier;
    struct relay_key keys[BW_GRANT_KEYS_MAX];
    uint32_t participants, provisional;
    size_t slots, links;
};

/* A participant who has been admitted. In a fixed array; `number` names it on the wire. */
struct relay_channel {
    bool used;
    uint32_t number, uses; /* uses: how often this place has been given, part of the number */
    size_t cell;
    struct relay_meeting *meeting;
    size_t member;           /* index in the meeting's members */
    struct relay_slot *slot; /* NULL: provisional */
    struct bw_grant grant;
    uint8_t body_hash[BW_SHA256_SIZE];
    uint64_t join_nonce;
    struct bw_hmac256 key;
    struct bw_address address;
    struct bw_replay replay;
    uint64_t first_sequence;
    uint64_t control_sequence; /* highest of PING and LEAVE */
    struct bw_measure measure;
    struct bw_limit packets, bits;
    uint64_t admitted_us, heard_us;
    uint32_t rtt_us;
    uint64_t dropped;
};

/* Who speaks over a link. */
struct relay_sender {
    uint32_t slot;
    struct bw_replay replay;
    struct bw_measure measure;
    UT_hash_handle hh;
};

struct relay_link_key {
    struct bw_id meeting;
    uint32_t peer_number;
};

struct relay_link {
    struct relay_link_key key;
    size_t cell;
    struct relay_meeting *meeting;
    size_t position; /* in the meeting's links */
    uint32_t number; /* on the wire: from the key, so that both ends know it */
    uint32_t meeting_epoch;
    uint32_t max_staleness_ms;
    bool stale, revoked;
    struct bw_address address;
    struct bw_hmac256 hmac;
    enum bw_direction outward, inward;
    struct relay_sender *senders;
    struct relay_link *same_number; /* two links may share a number; their keys tell them apart */
    UT_hash_handle hh, hh_number;
};

struct relay_slot_key {
    struct bw_id meeting;
    uint32_t slot;
};

struct relay_slot {
    struct relay_slot_key key;
    size_t cell;
    struct relay_meeting *meeting;
    struct bw_meeting_slot body;
    uint32_t max_staleness_ms;
    bool stale, revoked;
    struct relay_channel *channel; /* NULL: not admitted */
    uint64_t generation;           /* of the last run of sequences given out */
    UT_hash_handle hh;
};

/* Exists while a slot, link or channel refers to it. */
struct relay_meeting {
    struct bw_id id;
    size_t cell;
    size_t references;
    struct relay_channel **members;
    size_t member_count, member_room;
    struct relay_link **links;
    size_t link_count, link_room;
    UT_hash_handle hh;
};

/* A slot (0: the whole meeting) that must not come back by a grant of before, even where no slot is held. */
struct relay_revocation {
    struct bw_id meeting;
    uint32_t slot, meeting_epoch;
    uint64_t until_us;
};

struct bw_relay_core {
    struct bw_relay_limits limits;
    struct bw_outbox *outbox;
    struct bw_relay_hooks hooks;
    void (*random)(void *out, size_t n);
    struct bw_cookie_jar jar;
    struct relay_cell cells[BW_RELAY_CELLS_MAX];
    struct relay_channel *channels; /* limits.channels of them */
    uint32_t channel_bits;          /* of a number that are the index */
    size_t channel_count, next_free;
    struct relay_meeting *meetings;
    struct relay_slot *slots;
    struct relay_link *links, *links_by_number;
    struct relay_revocation revocations[REVOCATIONS_KEPT];
    size_t next_revocation;
    struct bw_relay_counters counters;
};

static inline uint64_t relay_ms(struct bw_relay_now now)
{
    return now.mono_us / 1000;
}

/* ---- table.c ---- */
struct relay_meeting *relay_meeting_find(struct bw_relay_core *core, const struct bw_id *id);
/* Finds or makes; takes a reference. NULL when memory is out or the meeting is another cell's. */
struct relay_meeting *relay_meeting_hold(struct bw_relay_core *core, size_t cell, const struct bw_id *id);
void relay_meeting_release(struct bw_relay_core *core, struct relay_meeting *meeting);
struct relay_slot *relay_slot_find(struct bw_relay_core *core, const struct bw_id *meeting, uint32_t number);
struct relay_link *relay_link_find(struct bw_relay_core *core, const struct bw_id *meeting, uint32_t peer);
void relay_table_finish(struct bw_relay_core *core);
/* Keys whose time has come or gone. */
void relay_keys_tick(struct relay_cell *cell, uint64_t wall_ms);
/* What has been without the control plane's word for too long. */
void relay_staleness_tick(struct bw_relay_core *core);

/* ---- channel.c ---- */
struct bw_relay_path relay_path_of_channel(struct relay_channel *channel);
struct bw_relay_path relay_path_of_sender(const struct relay_link *link, struct relay_sender *sender);
/* NULL: no room. */
struct relay_channel *relay_channel_take(struct bw_relay_core *core, size_t cell,
                                         struct relay_meeting *meeting);
/* Tells the participant why, tells the owner, and forgets. BW_REFUSAL_NONE: tells the participant nothing. */
void relay_channel_end(struct bw_relay_core *core, struct relay_channel *channel, enum bw_refusal refusal,
                       enum bw_left_why why);
struct relay_channel *relay_channel_find(struct bw_relay_core *core, uint32_t number);
/* The admitted participant of a slot, confirmed or not. */
struct relay_channel *relay_channel_of_slot(struct bw_relay_core *core, struct relay_meeting *meeting,
                                            uint32_t number);
bool relay_channel_confirm(struct bw_relay_core *core, struct relay_channel *channel,
                           struct relay_slot *slot);
bool relay_revoked(const struct bw_relay_core *core, const struct bw_grant *grant, struct bw_relay_now now);

/* ---- admission.c ---- */
void relay_join(struct bw_relay_core *core, const struct bw_address *from, struct bw_view bytes,
                const struct bw_datagram *datagram, struct bw_relay_now now);
void relay_resume(struct bw_relay_core *core, const struct bw_address *from, struct bw_view bytes,
                  const struct bw_datagram *datagram, struct bw_relay_now now);

/* ---- forward.c ---- */
void relay_drop(struct bw_relay_core *core, enum bw_drop drop);
/* Sends a short datagram of the relay's own. key NULL: without a tag. */
void relay_answer(struct bw_relay_core *core, const struct bw_address *to, const struct bw_datagram *datagram,
                  const struct bw_hmac256 *key);

#endif
