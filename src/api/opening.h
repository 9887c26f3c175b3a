/* Asking for what lies sealed: the port `open` takes an opening to the vault, which audits who asks before
 * anything readable leaves it and masks people by the caller's role. Rows come one by one, then `done`.
 *
 * Owner: the asker's memory, from bw_api_open until `done`. Threads: the worker's, all of it. */
#ifndef BW_API_OPENING_H
#define BW_API_OPENING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/id.h"
#include "base/status.h"

/* Numbers are those of the vault's protocol. */
enum bw_opening_what {
    BW_OPENING_ROSTER = 1,   /* people */
    BW_OPENING_CHUNKS = 2,   /* a meeting's quality, by slot, stream and seq */
    BW_OPENING_SKETCHES = 3, /* a tenant's hours that begin in the range */
};

/* What decides on the masking. Numbers likewise. */
enum bw_opening_role {
    BW_OPENING_TIER1 = 1,
    BW_OPENING_TIER2 = 2,
    BW_OPENING_TENANT_ADMIN = 3,
};

/* A participant as the caller may see them. Texts may be empty. */
struct bw_opened_person {
    struct bw_view user;           /* "participant 3", "j***@acme.example" */
    char address_prefix[56];       /* "198.51.100.0/24" */
    struct bw_view client_version; /* not masked: it says nothing of anybody */
};

/* Valid during the call. */
struct bw_opened {
    uint32_t slot;
    struct bw_id stream;
    uint64_t seq, from_ms, to_ms;
    struct bw_view payload;                /* CHUNKS, SKETCHES: the plaintext */
    const struct bw_opened_person *person; /* ROSTER */
};

struct bw_api_opening {
    enum bw_opening_what what;
    const char *actor, *method, *own_user; /* own_user NULL: nobody's own call */
    enum bw_opening_role role;
    struct bw_id request, tenant, meeting;
    uint32_t slot_from, slot_to; /* both 0: all */
    uint64_t from_ms, to_ms;     /* SKETCHES */
    uint32_t max_rows;

    /* Anything but BW_OK, with its words in `error`, ends the rows. */
    enum bw_code (*row)(struct bw_api_opening *opening, const struct bw_opened *row);
    /* error is BW_OK when all rows came. */
    void (*done)(struct bw_api_opening *opening);
    void *context;

    bool cut; /* there were more rows than max_rows */
    struct bw_error error;
};

/* Destroying the keys of a meeting; the asker's memory until `done`. */
struct bw_api_erasure {
    const char *actor, *method;
    struct bw_id request, tenant, meeting;
    void (*done)(struct bw_api_erasure *erasure);
    void *context;

    struct bw_error error;
    /* The receipt. */
    struct bw_id receipt;
    uint64_t at_ms;
    uint32_t meeting_keys, scope_keys; /* destroyed */
    uint8_t signature[64];
};

#endif
