/* What the daemon and its signer child say to each other over a socket pair: frames of a length (u32, of what
 * follows), a type, a request id and fixed fields, big-endian. The two are one program of one version, so
 * there is no negotiation; anything unexpected closes the socket. Threads: pure. */
#ifndef BW_SERVER_SIGNER_PROTOCOL_H
#define BW_SERVER_SIGNER_PROTOCOL_H

#include <stdbool.h>

#include "base/buf.h"
#include "crypto/ed25519.h"
#include "crypto/merkle.h"

enum {
    BW_SIGNER_FRAME_MAX = 64 * 1024, /* bytes after the length */
    BW_SIGNER_KEYS_MAX = 16,
    BW_SIGNER_KEY_ID_SIZE = 8,
    BW_SIGNER_CSR_MAX = 16 * 1024,
    BW_SIGNER_SPIFFE_MAX = 512,
};

enum bw_signer_type {
    BW_SIGNER_SIGN_ROOT = 1,
    BW_SIGNER_PUBLIC_KEYS = 2,
    BW_SIGNER_ISSUE_CERT = 3,
    BW_SIGNER_SIGNED = 0x81,
    BW_SIGNER_KEYS = 0x82,
    BW_SIGNER_CERT = 0x83,
    BW_SIGNER_FAILED = 0xff,
};

struct bw_signer_request {
    enum bw_signer_type type; /* one of the first three */
    uint32_t id;              /* chosen by the caller, repeated in the reply */
    /* SIGN_ROOT: of a batch of grants (e2ee/grant.h) */
    struct bw_merkle_hash root;
    uint32_t leaves;
    /* ISSUE_CERT */
    struct bw_view csr;       /* PEM or DER */
    struct bw_view spiffe_id; /* the one name the certificate gets */
    uint32_t lifetime_s;      /* 0: the longest allowed */
};

struct bw_signer_reply {
    enum bw_signer_type type; /* SIGNED, KEYS, CERT or FAILED */
    uint32_t id;
    /* SIGNED */
    uint8_t key_id[BW_SIGNER_KEY_ID_SIZE];
    uint8_t signature[BW_ED25519_SIGNATURE_SIZE];
    /* KEYS: the first signs, the others are only published (they did, or will) */
    uint32_t key_count;
    uint8_t keys[BW_SIGNER_KEYS_MAX][BW_ED25519_PUBLIC_SIZE];
    bool issues_certificates;
    /* CERT: PEM */
    struct bw_view certificate, ca;
    /* FAILED */
    enum bw_code code;
    struct bw_view text; /* safe to show */
};

/* Append a whole frame; a buffer out of memory says so by itself. */
void bw_signer_encode_request(const struct bw_signer_request *request, struct bw_buf *out);
void bw_signer_encode_reply(const struct bw_signer_reply *reply, struct bw_buf *out);

enum bw_signer_split { BW_SIGNER_WHOLE, BW_SIGNER_MORE, BW_SIGNER_BAD };

/* Finds the frame at the start of received bytes: its content (after the length) and how many bytes it takes.
 * MORE: not there yet; BAD: longer than any frame may be. */
enum bw_signer_split bw_signer_split(struct bw_view received, struct bw_view *frame, size_t *taken);
/* Take a frame's content apart; views point into it. False: not a frame of ours. */
bool bw_signer_decode_request(struct bw_view frame, struct bw_signer_request *request);
bool bw_signer_decode_reply(struct bw_view frame, struct bw_signer_reply *reply);

#endif
