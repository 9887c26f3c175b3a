/* What the serving process and its vault child say to each other over a socket pair: frames of a length (u32,
 * of what follows), a type (u8), a request id (u32) and fixed fields, big-endian. The two are one program of
 * one version, so there is no negotiation; anything unexpected closes the socket. An Open is answered by any
 * number of OPENED parts, the last of which says so, or by ERROR, which also ends it; all else by one reply.
 * Threads: pure. */
#ifndef BW_VAULT_PROTOCOL_H
#define BW_VAULT_PROTOCOL_H

#include "base/buf.h"
#include "base/id.h"
#include "vault/provider.h"
#include "vault/scope.h"

enum {
    BW_VAULT_FRAME_MAX = 1 << 20,   /* bytes after the length */
    BW_VAULT_PAYLOAD_MAX = 1 << 19, /* of one row */
    BW_VAULT_SCOPES_MAX = 256,      /* of one ENSURE_SCOPES */
    BW_VAULT_KEYS_MAX = 1024,       /* of one SCOPES */
    BW_VAULT_ACTOR_MAX = 511,
    BW_VAULT_USER_MAX = 254,
    BW_VAULT_METHOD_MAX = 128,
    BW_VAULT_REASON_MAX = 64,
    BW_VAULT_TEXT_MAX = 512,
    BW_VAULT_ROWS_MAX = 100000, /* of one Open */
};

enum bw_vault_type {
    BW_VAULT_ENSURE_SCOPES = 1,
    BW_VAULT_OPEN = 2,
    BW_VAULT_ERASE = 3,
    BW_VAULT_SWEEP = 4,
    BW_VAULT_STATUS = 5,
    BW_VAULT_SCOPES = 0x81,
    BW_VAULT_OPENED = 0x82,
    BW_VAULT_RECEIPT = 0x83,
    BW_VAULT_SWEPT = 0x84,
    BW_VAULT_STATE = 0x85,
    BW_VAULT_ERROR = 0xff,
};

/* What an Open asks for. */
enum bw_vault_what {
    BW_VAULT_ROSTER = 1,   /* of one meeting: a row an entry, payload as bw_roster_entry_encode, masked */
    BW_VAULT_CHUNKS = 2,   /* of one meeting: a row a chunk, payload the plaintext */
    BW_VAULT_SKETCHES = 3, /* of a tenant, from_ms..to_ms: a row a sketch */
    BW_VAULT_STREAM = 4,   /* one stream's chunks of one slot */
};

/* Who asks, as the gate has it; decides what is masked. Numbers go into the audit. */
enum bw_vault_role {
    BW_VAULT_ROLE_TIER1 = 1,
    BW_VAULT_ROLE_TIER2 = 2,
    BW_VAULT_ROLE_TENANT_ADMIN = 3,
    BW_VAULT_ROLE_SYSTEM = 4, /* the daemon itself: retention */
};

struct bw_vault_caller {
    struct bw_view actor;  /* SPIFFE id, 1..BW_VAULT_ACTOR_MAX */
    struct bw_view method; /* of the API, 1..BW_VAULT_METHOD_MAX */
    struct bw_view user;   /* tier 1: the user whose own call is looked at; empty: none */
    struct bw_id request;
    struct bw_id grant; /* zero: none */
    uint8_t role;       /* enum bw_vault_role */
};

/* One tenant's scope whose keys of today and tomorrow are wanted. */
struct bw_vault_scope_name {
    struct bw_id tenant;
    uint8_t scope[BW_SCOPE_SIZE];
};

/* What an erasure takes. */
enum bw_vault_erasure {
    BW_VAULT_ERASE_MEETING = 1,
    BW_VAULT_ERASE_TENANT = 2,
};

struct bw_vault_request {
    enum bw_vault_type type; /* one of the first five */
    uint32_t id;             /* chosen by the caller, repeated in each reply */
    /* ENSURE_SCOPES: bw_vault_scope_name_at */
    uint32_t scope_count;
    struct bw_view scopes;
    /* OPEN, ERASE, SWEEP */
    struct bw_vault_caller caller;
    struct bw_id tenant;
    /* OPEN, ERASE */
    struct bw_id meeting; /* zero: none */
    /* OPEN */
    uint8_t what;           /* enum bw_vault_what */
    uint32_t slot, slot_to; /* ROSTER, CHUNKS: the first and the last wanted; 0, 0: all. STREAM: slot */
    struct bw_id stream;    /* zero: all */
    uint64_t from_ms, to_ms;
    uint32_t max_rows; /* 1..BW_VAULT_ROWS_MAX */
    /* ERASE */
    uint8_t erasure;       /* enum bw_vault_erasure */
    struct bw_view reason; /* up to BW_VAULT_REASON_MAX; for the record */
    /* SWEEP: what is older than this goes; people's roster records, and quality */
    uint64_t before_ms, quality_before_ms;
};

/* One opened row. */
struct bw_vault_row {
    struct bw_id row, meeting, stream;
    uint32_t slot;
    uint8_t source; /* quality_chunk.source */
    uint64_t seq, from_ms, to_ms;
    uint32_t masked;        /* bit per roster tag (docs/reference/sealed-records.md) that was masked */
    struct bw_view payload; /* up to BW_VAULT_PAYLOAD_MAX */
};

/* Proof that keys are gone, signed with the service key. */
struct bw_vault_receipt {
    struct bw_id id, tenant, meeting;
    uint8_t erasure; /* enum bw_vault_erasure */
    uint64_t at_ms;
    uint32_t meeting_keys, scope_keys; /* destroyed */
    uint8_t signature[BW_ED25519_SIGNATURE_SIZE];
};

struct bw_vault_reply {
    enum bw_vault_type type;
    uint32_t id;
    /* SCOPES: bw_vault_scope_at */
    uint32_t scope_count;
    struct bw_view scopes;
    /* OPENED: bw_vault_rows, bw_vault_next_row */
    uint8_t what;
    bool last; /* no further part */
    bool cut;  /* with last: there were more rows than max_rows */
    uint32_t row_count;
    struct bw_view rows;
    /* RECEIPT */
    struct bw_vault_receipt receipt;
    /* SWEPT: how much went */
    uint64_t records, meeting_keys, scope_keys;
    /* STATE */
    enum bw_provider_state state;
    struct bw_view kind, active; /* of the provider; up to BW_PROVIDER_NAME_SIZE - 1 */
    uint64_t since_ms, probed_ms, opened, refused;
    /* STATE: the words of a state that is not OK. ERROR: safe to show */
    struct bw_view text;
    /* ERROR */
    enum bw_code code;
    struct bw_view reason; /* "KEY_UNAVAILABLE"; may be empty */
};

/* Append a whole frame. What is out of bounds is an invariant of ours broken: the caller checked it. A buffer
 * out of memory says so by itself. */
void bw_vault_encode_request(const struct bw_vault_request *request, struct bw_buf *out);
/* Any reply but OPENED. */
void bw_vault_encode_reply(const struct bw_vault_reply *reply, struct bw_buf *out);
/* The blocks of ENSURE_SCOPES and SCOPES: append each item, then point `scopes` at the buffer. */
void bw_vault_append_scope_name(const struct bw_vault_scope_name *name, struct bw_buf *scopes);
void bw_vault_append_scope(const struct bw_scope_public *scope, struct bw_buf *scopes);

/* An OPENED part: begin, add rows, end. A row that would make the frame too long is refused (false), and so
 * is one without memory (out->failed): end this part and begin another. */
struct bw_vault_part {
    struct bw_buf *out;
    size_t at;
    uint32_t rows;
};
void bw_vault_part_begin(struct bw_vault_part *part, uint32_t id, enum bw_vault_what what,
                         struct bw_buf *out);
bool bw_vault_part_add(struct bw_vault_part *part, const struct bw_vault_row *row);
void bw_vault_part_end(struct bw_vault_part *part, bool last, bool cut);

enum bw_vault_split { BW_VAULT_WHOLE, BW_VAULT_MORE, BW_VAULT_BAD };
/* Finds the frame at the start of received bytes: its content (after the length) and how many bytes it takes.
 * MORE: not there yet; BAD: longer than any frame may be. */
enum bw_vault_split bw_vault_split(struct bw_view received, struct bw_view *frame, size_t *taken);
/* Take a frame's content apart, all of it, rows and scopes included; views point into it. False: not a frame
 * of ours. */
bool bw_vault_decode_request(struct bw_view frame, struct bw_vault_request *request);
bool bw_vault_decode_reply(struct bw_view frame, struct bw_vault_reply *reply);

/* Of a decoded request or reply; index < scope_count. */
void bw_vault_scope_name_at(const struct bw_vault_request *request, uint32_t index,
                            struct bw_vault_scope_name *name);
void bw_vault_scope_at(const struct bw_vault_reply *reply, uint32_t index, struct bw_scope_public *scope);
/* Of a decoded reply: `struct bw_reader r = bw_vault_rows(&reply); while (bw_vault_next_row(&r, &row)) …` */
struct bw_reader bw_vault_rows(const struct bw_vault_reply *reply);
bool bw_vault_next_row(struct bw_reader *rows, struct bw_vault_row *row);

/* The receipt's signature. INTERNAL. */
BW_MUST_USE enum bw_code bw_vault_receipt_sign(struct bw_vault_receipt *receipt,
                                               struct bw_ed25519_signer *service, struct bw_error *err);
bool bw_vault_receipt_verify(const struct bw_vault_receipt *receipt, struct bw_ed25519_verifier *service);

#endif
