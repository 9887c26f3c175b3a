/* The payloads of the handshake (docs/reference/datagrams.md). The answer to a datagram from an address that
 * has not shown itself to be its sender's is never longer than that datagram: the sizes below see to it.
 * Threads: pure. */
#ifndef BW_RELAY_HANDSHAKE_H
#define BW_RELAY_HANDSHAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "e2ee/grant.h"

enum {
    BW_COOKIE_SIZE = 20,
    BW_JOIN_FIXED = 8 + BW_COOKIE_SIZE + 2, /* before the grant */
    BW_COOKIE_PAYLOAD = 8 + BW_COOKIE_SIZE,
    BW_RESUME_PAYLOAD = 8 + BW_COOKIE_SIZE,
    BW_ADMITTED_PAYLOAD = 16,
    BW_REFUSED_PAYLOAD = 10,
    BW_BYE_PAYLOAD = 2,
    BW_PING_PAYLOAD = 8,                        /* echoed; makes a PING no shorter than a BYE */
    BW_CONTROL_PAYLOAD_MAX = BW_COOKIE_PAYLOAD, /* of what a relay writes itself */
};

/* Why a relay refuses a JOIN or RESUME, or ends a channel. X(NAME, number). Numbers are the wire's and never
 * change meaning. The first list is what e2ee/grant.h finds wrong with a grant; its texts are there. */
#define BW_REFUSAL_GRANT_MAP(X)                                                                              \
    X(TRUNCATED, 1)                                                                                          \
    X(BAD_MAGIC, 2)                                                                                          \
    X(BAD_VERSION, 3)                                                                                        \
    X(BAD_FLAGS, 4)                                                                                          \
    X(BAD_ROLE, 5)                                                                                           \
    X(BAD_MODE, 6)                                                                                           \
    X(BAD_FIELD, 7)                                                                                          \
    X(BAD_LIFE, 8)                                                                                           \
    X(BAD_BATCH, 9)                                                                                          \
    X(WRONG_CELL, 10)                                                                                        \
    X(WRONG_RELAY, 11)                                                                                       \
    X(NOT_YET_VALID, 12)                                                                                     \
    X(EXPIRED, 13)                                                                                           \
    X(UNKNOWN_KEY, 14)                                                                                       \
    X(BAD_SIGNATURE, 15)                                                                                     \
    X(WRONG_MEETING, 16)                                                                                     \
    X(STALE_MEETING_EPOCH, 17)                                                                               \
    X(FUTURE_MEETING_EPOCH, 18)                                                                              \
    X(WRONG_MODE, 19)                                                                                        \
    X(STALE_MODE_EPOCH, 20)                                                                                  \
    X(FUTURE_MODE_EPOCH, 21)                                                                                 \
    X(WRONG_SLOT, 22)                                                                                        \
    X(WRONG_ROSTER_ENTRY, 23)                                                                                \
    X(WRONG_ROLE, 24)

/* X(NAME, number, text for people) */
#define BW_REFUSAL_RELAY_MAP(X)                                                                              \
    X(WRONG_HOP_KEY, 64, "the hop key is not the one this relay derives from the grant; get both anew")      \
    X(NO_SLOT, 65, "this relay holds no such slot of the meeting; it may have been removed")                 \
    X(LEASE_EXPIRED, 66, "this relay has lost its control plane and admits nobody new")                      \
    X(CAPACITY, 67, "this relay is full")                                                                    \
    X(UNKNOWN_CHANNEL, 68, "this relay holds no such channel; join with a grant")                            \
    X(SLOT_REMOVED, 69, "the slot has been removed from the meeting")                                        \
    X(GRANT_OUTDATED, 70, "the slot has changed since the grant; renew it and join again")                   \
    X(LEFT, 71, "the participant has left")                                                                  \
    X(DRAINING, 72, "this relay is draining; ask for a new placement")                                       \
    X(REPLACED, 73, "the same slot has joined again")                                                        \
    X(IDLE, 74, "nothing was heard for too long")                                                            \
    X(GRACE_ENDED, 75, "this relay has been without its control plane for too long")                         \
    X(SHUTDOWN, 76, "this relay is shutting down")                                                           \
    X(REVOKED, 77, "the control plane has revoked the slot")

enum bw_refusal {
    BW_REFUSAL_NONE = 0,
#define X(name, number) BW_REFUSAL_##name = number,
    BW_REFUSAL_GRANT_MAP(X)
#undef X
#define X(name, number, text) BW_REFUSAL_##name = number,
        BW_REFUSAL_RELAY_MAP(X)
#undef X
            BW_REFUSAL_BOUND = 128 /* above every number */
};

/* What e2ee/grant.h calls it, as a number of the wire; BW_REFUSAL_NONE for BW_GRANT_OK. */
enum bw_refusal bw_refusal_of_grant(enum bw_grant_refusal refusal);
/* "BAD_SIGNATURE"; "UNKNOWN" for a number outside the table. */
const char *bw_refusal_name(uint16_t refusal);
const char *bw_refusal_text(uint16_t refusal);

struct bw_join {
    uint64_t nonce;                 /* comes back in the answer */
    uint8_t cookie[BW_COOKIE_SIZE]; /* zeroes: none yet */
    struct bw_view grant;
};

struct bw_resume {
    uint64_t nonce;
    uint8_t cookie[BW_COOKIE_SIZE];
};

struct bw_admitted {
    uint64_t nonce;
    bool provisional; /* the relay has yet to hear of the slot */
    uint8_t mode;
    uint32_t keepalive_ms; /* send something at least this often */
};

/* Parsers accept a payload of exactly that form or return false and leave the out-parameter untouched; views
 * point into the payload. */
bool bw_join_parse(struct bw_view payload, struct bw_join *join);
bool bw_resume_parse(struct bw_view payload, struct bw_resume *resume);
bool bw_cookie_parse(struct bw_view payload, uint64_t *nonce, uint8_t cookie[BW_COOKIE_SIZE]);
bool bw_admitted_parse(struct bw_view payload, struct bw_admitted *admitted);
bool bw_refused_parse(struct bw_view payload, uint64_t *nonce, uint16_t *refusal);
bool bw_bye_parse(struct bw_view payload, uint16_t *refusal);

/* Writers return the payload's length; 0 when `room` is too small. */
size_t bw_join_write(const struct bw_join *join, uint8_t *out, size_t room);
size_t bw_resume_write(const struct bw_resume *resume, uint8_t *out, size_t room);
size_t bw_cookie_write(uint64_t nonce, const uint8_t cookie[BW_COOKIE_SIZE], uint8_t *out, size_t room);
size_t bw_admitted_write(const struct bw_admitted *admitted, uint8_t *out, size_t room);
size_t bw_refused_write(uint64_t nonce, enum bw_refusal refusal, uint8_t *out, size_t room);
size_t bw_bye_write(enum bw_refusal refusal, uint8_t *out, size_t room);

#endif
