/* What is inside a roster record: the identities of those whom one group of decisions admitted. The record
 * holds entries of many meetings of one tenant; each entry is sealed again under its own meeting's key, so
 * that destroying a meeting's keys takes its roster with it. A decision names its entry by record and index.
 * docs/reference/sealed-records.md has the bytes. Threads: pure. */
#ifndef BW_VAULT_ROSTER_H
#define BW_VAULT_ROSTER_H

#include "base/buf.h"
#include "base/id.h"

enum {
    BW_ROSTER_SCHEMA = 1,           /* struct bw_record_info.schema */
    BW_ROSTER_ENTRIES_MAX = 4096,   /* of one record */
    BW_ROSTER_ENTRY_MAX = 1024,     /* plaintext bytes of one entry */
    BW_ROSTER_SEALED_OVERHEAD = 44, /* key id 16, nonce 12, tag 16 */
    BW_ROSTER_USER_MAX = 254,
    BW_ROSTER_NAME_MAX = 63,
    BW_ROSTER_TEXT_MAX = 64,
};

/* Of the bits that say which fields were masked. */
enum { BW_ROSTER_TAG_USER = 1, BW_ROSTER_TAG_ADDRESS = 2 };

/* One participant. Views borrow; an empty one, and 0, mean "not known". Text is UTF-8 without NUL. */
struct bw_roster_entry {
    struct bw_view user;           /* localpart@domain */
    struct bw_view address;        /* 4 or 16 bytes, as on the wire */
    struct bw_view country;        /* ISO 3166-1 or -2: "DE", "US-CA" */
    struct bw_view region;         /* NAME */
    struct bw_view client_version; /* up to 64 bytes */
    struct bw_view transport;      /* up to 64 bytes: "udp", "tcp", "tls" */
    struct bw_view home_tenant;    /* NAME; a guest's */
    struct bw_view platform;       /* up to 64 bytes: operating system, device class */
    uint32_t slot;
    uint32_t asn;
    uint64_t joined_ms; /* unix */
    uint8_t kind;       /* ParticipantKind of the API */
};

/* Appends an entry's plaintext. INVALID_ARGUMENT naming the field, RESOURCE_EXHAUSTED. */
BW_MUST_USE enum bw_code bw_roster_entry_encode(const struct bw_roster_entry *entry, struct bw_buf *out,
                                                struct bw_error *err);
/* Views point into `plain`. DATA_LOSS. */
BW_MUST_USE enum bw_code bw_roster_entry_decode(struct bw_view plain, struct bw_roster_entry *entry,
                                                struct bw_error *err);

/* A record's plaintext while it is written: begin, add each sealed entry (vault/sealer.h makes them), take
 * body.len bytes. All-zero is a valid start after bw_roster_begin. */
struct bw_roster_body {
    struct bw_buf bytes;
    uint32_t count;
};

void bw_roster_begin(struct bw_roster_body *body); /* keeps memory from an earlier use */
void bw_roster_finish(struct bw_roster_body *body);
/* *index is the entry's place, which its decision records. RESOURCE_EXHAUSTED when the record is full or
 * memory is out; the body is then as it was. */
BW_MUST_USE enum bw_code bw_roster_add(struct bw_roster_body *body, const struct bw_id *meeting,
                                       const struct bw_id *roster_entry, struct bw_view sealed,
                                       uint32_t *index, struct bw_error *err);
/* The finished body: what to give to bw_sealer_record. */
struct bw_view bw_roster_body(struct bw_roster_body *body);

/* Reading: one item after the other. */
struct bw_roster_item {
    struct bw_id meeting, roster_entry;
    struct bw_view sealed;
    uint32_t index;
};
struct bw_roster_reader {
    struct bw_reader reader;
    uint32_t count, next;
};
/* DATA_LOSS when it is not a roster body of this schema. */
BW_MUST_USE enum bw_code bw_roster_read(struct bw_view body, struct bw_roster_reader *reader,
                                        struct bw_error *err);
/* NOT_FOUND after the last one, DATA_LOSS when the body is not whole. */
BW_MUST_USE enum bw_code bw_roster_next(struct bw_roster_reader *reader, struct bw_roster_item *item,
                                        struct bw_error *err);

#endif
