/* What a relay is told, one thing at a time: a peer link, a meeting slot, a grant key. A resource has a text
 * id that says its type, a version (the group number of the decision that made it; for a key the key's
 * number) and a body, which is one of the structs below. The digest of a set of resources lets two ends see
 * that they hold the same set. Threads: pure. */
#ifndef BW_FLEET_RESOURCE_H
#define BW_FLEET_RESOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/id.h"
#include "e2ee/grant.h"
#include "e2ee/mode.h"

/* In the order in which upserts are applied; removals go the other way round: a slot is never without the
 * links that carry it. */
enum bw_resource_type {
    BW_RESOURCE_PEER_LINK = 1,
    BW_RESOURCE_MEETING_SLOT = 2,
    BW_RESOURCE_GRANT_KEY = 3,
};

enum {
    BW_RESOURCE_ID_SIZE = 56, /* with its NUL: "l/" + 36 + "/" + 10 is the longest */
    BW_FLEET_NAME = 64,       /* a relay, site, cell … with its NUL */
    BW_FLEET_ADDRESS = 264,   /* "host:port" with its NUL */
};

/* ---- bodies; strings are NUL-terminated and zero behind it ---- */

/* Another relay with which a meeting's datagrams are exchanged. The key is a secret: holders wipe it. */
struct bw_peer_link {
    struct bw_id meeting;
    uint32_t meeting_epoch;
    uint32_t peer_number;
    char peer[BW_FLEET_NAME];
    char peer_address[BW_FLEET_ADDRESS];
    uint8_t link_key[32];
};

/* A participant that the relay may admit. */
struct bw_meeting_slot {
    struct bw_id meeting;
    uint32_t slot;
    struct bw_id roster_entry;
    uint32_t meeting_epoch, mode_epoch;
    enum bw_mode mode;
    enum bw_role role;
};

/* A public key that signs grants. */
struct bw_grant_key {
    uint8_t key_id[8];
    uint8_t public_key[32];
    uint64_t not_before_ms, not_after_ms; /* unix; not_after 0: until it is removed */
};

/* sizeof the struct of that type: the only length a body of it has. */
size_t bw_resource_body_size(enum bw_resource_type type);

/* ---- ids ---- */

/* "l/<meeting>/<peer relay number>", "s/<meeting>/<slot>", "k/<key id, 16 hex digits>". The bytes behind the
 * NUL are zero, so that two ids are equal exactly when their structs are. */
struct bw_resource_id {
    char text[BW_RESOURCE_ID_SIZE];
};

struct bw_resource_id bw_resource_id_link(const struct bw_id *meeting, uint32_t peer_number);
struct bw_resource_id bw_resource_id_slot(const struct bw_id *meeting, uint32_t slot);
struct bw_resource_id bw_resource_id_key(const uint8_t key_id[8]);

/* What an id says, taken apart. For links and slots `meeting` and `number`, for keys `key_id`. */
struct bw_resource_name {
    enum bw_resource_type type;
    struct bw_id meeting;
    uint32_t number;
    uint8_t key_id[8];
};

/* False (and the out-parameters untouched) for anything that the builders above do not produce. */
bool bw_resource_id_parse(struct bw_view text, struct bw_resource_id *id, struct bw_resource_name *name);
bool bw_resource_id_equal(const struct bw_resource_id *a, const struct bw_resource_id *b);

/* ---- changes ---- */

/* One change as it travels. The body points to the struct of the type and is borrowed. */
struct bw_upsert {
    struct bw_resource_id id;
    uint64_t version;
    enum bw_resource_type type;
    uint32_t max_staleness_ms; /* 0: only the relay's own grace bounds it */
    struct bw_view body;
};

struct bw_upsert bw_upsert_link(const struct bw_peer_link *link, uint64_t version, uint32_t max_staleness_ms);
struct bw_upsert bw_upsert_slot(const struct bw_meeting_slot *slot, uint64_t version,
                                uint32_t max_staleness_ms);
struct bw_upsert bw_upsert_key(const struct bw_grant_key *key, uint64_t version);
/* The id is one, its type is the upsert's, the body has that type's size and names what the id names. */
bool bw_upsert_valid(const struct bw_upsert *upsert, struct bw_resource_name *name);
/* False for an id that is none. */
bool bw_resource_name_of(const struct bw_resource_id *id, struct bw_resource_name *name);

struct bw_removal {
    struct bw_resource_id id;
    uint64_t version; /* of the decision that removed it */
};

/* Order-independent digest of a set: the XOR over its resources of
 * SHA-256(id, 0x00, version as u64 big-endian). All zero for the empty set. It detects divergence between two
 * honest ends of an authenticated session; it is not meant to withstand one who may choose the set. */
struct bw_digest {
    uint8_t bytes[32];
};

/* The digest of the set that holds one resource alone. */
struct bw_digest bw_digest_of(const struct bw_resource_id *id, uint64_t version);
/* Adds a resource's digest that is absent, removes one that is present. */
void bw_digest_toggle(struct bw_digest *set, const struct bw_digest *one);
bool bw_digest_equal(const struct bw_digest *a, const struct bw_digest *b);

#endif
