/* The datagram header of the relay protocol, version 1 (docs/reference/datagrams.md): 44 bytes, big-endian.
 *
 *    0  u8   version, 0xC1: apart from STUN, DTLS, TURN channels and RTP on a shared port (RFC 7983)
 *    1  u8   type
 *    2  u16  0
 *    4  u32  channel: the association, chosen by the relay at admission; on a link, the link's number
 *    8  u32  sender: the meeting-scoped slot of who sent the payload first
 *   12  u32  meeting epoch
 *   16  u64  sequence: the sender's own, kept on every hop
 *   24  u32  timestamp: the sender's clock in microseconds, kept on every hop
 *   28  16   tag: HMAC-SHA256 over direction u8, bytes 0 to 27, payload; the first 16 bytes
 *   44       payload, opaque, at most 1,200 bytes
 *
 * Threads: pure. */
#ifndef BW_RELAY_DATAGRAM_H
#define BW_RELAY_DATAGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "crypto/hmac.h"

enum {
    BW_DATAGRAM_VERSION = 0xC1,
    BW_DATAGRAM_TAG_SIZE = 16,
    BW_DATAGRAM_TAGGED = 28, /* header bytes under the tag */
    BW_DATAGRAM_HEADER = 44,
    BW_DATAGRAM_PAYLOAD_MAX = 1200,
    BW_DATAGRAM_MAX = BW_DATAGRAM_HEADER + BW_DATAGRAM_PAYLOAD_MAX,
};

enum bw_datagram_type {
    BW_DATAGRAM_JOIN = 1,     /* participant to relay: a grant */
    BW_DATAGRAM_COOKIE = 2,   /* back: show that this address is yours; the only type without a tag */
    BW_DATAGRAM_ADMITTED = 3, /* back: the channel */
    BW_DATAGRAM_REFUSED = 4,  /* back: the reason */
    BW_DATAGRAM_RESUME = 5,   /* participant to relay: an admitted channel from a new address */
    BW_DATAGRAM_DATA = 6,     /* both ways */
    BW_DATAGRAM_PING = 7,     /* participant to relay */
    BW_DATAGRAM_PONG = 8,     /* back: sequence and timestamp of the ping */
    BW_DATAGRAM_LEAVE = 9,    /* participant to relay */
    BW_DATAGRAM_BYE = 10,     /* relay to participant: the channel is gone, and why */
    BW_DATAGRAM_LINK = 11,    /* relay to relay: DATA of a meeting both carry */
    BW_DATAGRAM_PROBE = 12,   /* relay to relay, by the control plane's probe plan */
    BW_DATAGRAM_PROBE_REPLY = 13,
};

/* Part of what is tagged, so that no datagram can be sent back to where it came from. */
enum bw_direction {
    BW_TO_RELAY = 1,
    BW_FROM_RELAY = 2,
    BW_LINK_UPWARD = 3,   /* from the lower relay number to the higher */
    BW_LINK_DOWNWARD = 4, /* from the higher to the lower */
};

/* Views point into the datagram that was parsed. */
struct bw_datagram {
    enum bw_datagram_type type;
    uint32_t channel;
    uint32_t sender;
    uint32_t meeting_epoch;
    uint64_t sequence;
    uint32_t timestamp_us;
    struct bw_view payload;
};

/* False, and *datagram untouched, unless the bytes are one datagram of this version with a known type, zeroes
 * where zeroes belong, and a payload within bounds. Says nothing about its tag. */
bool bw_datagram_parse(struct bw_view bytes, struct bw_datagram *datagram);
/* True when the tag of `bytes` (which parsed) is that of the key and the direction. In constant time. */
bool bw_datagram_verify(struct bw_view bytes, const struct bw_hmac256 *key, enum bw_direction direction);
/* Writes the header, with the tag over datagram->payload, which stays where it is (sent by a second iovec, or
 * already behind the header). key NULL writes a tag of zeroes. */
void bw_datagram_write(uint8_t header[BW_DATAGRAM_HEADER], const struct bw_datagram *datagram,
                       const struct bw_hmac256 *key, enum bw_direction direction);

/* Which way a datagram goes on the link between two relays. */
enum bw_direction bw_link_direction(uint32_t from_number, uint32_t to_number);

#endif
