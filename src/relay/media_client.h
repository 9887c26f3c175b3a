/* A participant's side of the relay protocol, without sockets or clock: what an integrator puts under a media
 * stack, and the reference for implementations in other languages (docs/reference/datagrams.md). It is given
 * a grant and a hop key, joins, answers the relay's cookie, keeps the channel alive, moves it when the
 * address changes, and wraps payloads. It never looks into a payload.
 *
 *   bw_media_client_init(&e, grant, hop_key, nonce, now, &err);
 *   loop: send what bw_media_client_poll gives; hand what arrives to bw_media_client_receive; wrap media with
 *         bw_media_client_wrap; wait until bw_media_client_next_us at the latest.
 *
 * Owner: the caller. Threads: one at a time. Times are monotonic microseconds. */
#ifndef BW_RELAY_MEDIA_CLIENT_H
#define BW_RELAY_MEDIA_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "e2ee/grant.h"
#include "relay/datagram.h"
#include "relay/handshake.h"
#include "relay/measure.h"
#include "relay/replay.h"

enum { BW_MEDIA_CLIENT_SENDERS_MAX = 1024 };

enum bw_media_state {
    BW_MEDIA_CLIENT_JOINING,
    BW_MEDIA_CLIENT_ADMITTED,
    BW_MEDIA_CLIENT_RESUMING, /* admitted, but the relay does not answer: is it the address? */
    BW_MEDIA_CLIENT_OVER,     /* refused, ended or left: see `refusal` */
};

/* What is known of somebody who is heard. */
struct bw_media_sender {
    uint32_t slot;
    struct bw_replay replay;
    struct bw_measure measure;
};

struct bw_media_client {
    enum bw_media_state state;
    uint16_t refusal;      /* OVER: why; BW_REFUSAL_NONE: the relay never answered */
    bool answered;         /* anything at all came from the relay */
    bool provisional;      /* admitted before the relay knew the slot */
    struct bw_grant grant; /* as it says; not verified here */
    uint8_t token[BW_GRANT_TOKEN_MAX];
    size_t token_len;
    struct bw_hmac256 key;
    uint64_t nonce;
    uint8_t cookie[BW_COOKIE_SIZE];
    uint32_t cookies; /* answered in this attempt */
    uint32_t channel;
    uint64_t next_sequence, control_sequence;
    uint32_t keepalive_ms;
    uint64_t due_us; /* next JOIN, RESUME or PING */
    uint32_t attempts;
    uint32_t pings_unanswered;
    uint32_t rtt_us; /* last; 0: unknown */
    struct bw_media_sender *senders;
    size_t sender_count, sender_room;
    uint64_t sent, received, replayed, rejected; /* datagrams of media; rejected: not from this relay */
};

/* The nonce is random. INVALID_ARGUMENT when the grant cannot be read (who signed it is the relay's to
 * check).
 */
BW_MUST_USE enum bw_code bw_media_client_init(struct bw_media_client *client, struct bw_view grant,
                                              const uint8_t hop_key[BW_GRANT_HOP_KEY_SIZE], uint64_t nonce,
                                              uint64_t now_us, struct bw_error *err);
/* Wipes the key. */
void bw_media_client_finish(struct bw_media_client *client);

/* A renewed grant for the same slot, with its hop key: joins again with it. */
BW_MUST_USE enum bw_code bw_media_client_renew(struct bw_media_client *client, struct bw_view grant,
                                               const uint8_t hop_key[BW_GRANT_HOP_KEY_SIZE], uint64_t now_us,
                                               struct bw_error *err);

/* Writes the next datagram of the protocol's own if one is due; its length, or 0. */
size_t bw_media_client_poll(struct bw_media_client *client, uint64_t now_us, uint8_t out[BW_DATAGRAM_MAX]);
/* When one will be due; UINT64_MAX when over. */
uint64_t bw_media_client_next_us(const struct bw_media_client *client);
/* Wraps a payload of at most BW_DATAGRAM_PAYLOAD_MAX bytes; 0 unless admitted. */
size_t bw_media_client_wrap(struct bw_media_client *client, struct bw_view payload, uint64_t now_us,
                            uint8_t out[BW_DATAGRAM_MAX]);
/* Writes the goodbye (0 unless admitted); over from then on. */
size_t bw_media_client_leave(struct bw_media_client *client, uint8_t out[BW_DATAGRAM_MAX]);

struct bw_media_datagram {
    uint32_t sender; /* slot */
    uint64_t sequence;
    uint32_t timestamp_us;
    struct bw_view payload; /* in the datagram */
};

/* Takes what the relay sent. True when it was media of somebody, once: *media is then filled. */
bool bw_media_client_receive(struct bw_media_client *client, struct bw_view bytes, uint64_t now_us,
                             struct bw_media_datagram *media);

#endif
