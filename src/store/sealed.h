/* Sealed rows that go into the database with a group of decisions. Pure data. */
#ifndef BW_STORE_SEALED_H
#define BW_STORE_SEALED_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/id.h"

/* A key that records are sealed under, itself sealed to a scope key (keystore.meeting_key). */
struct bw_store_meeting_key {
    struct bw_id id, tenant;
    struct bw_id meeting; /* zero: of roster records, which hold entries of many meetings */
    struct bw_id scope_key;
    uint8_t enc[32], sealed[48];
};

/* One tenant's roster record of one group. */
struct bw_store_roster {
    struct bw_id id, tenant;
    struct bw_buf record;
    struct bw_store_meeting_key key; /* it is sealed under this; id zero: which is stored already */
};

/* How the rows of a group get their roster records; what they hold is opaque to the store. On the writer's
 * loop. */
struct bw_store_sealing {
    void *context;
    /* Seals the notes of one tenant's rows as one record: fills *out but for its tenant; the writer finishes
     * out->record. False: they are dropped, and the rows go without. */
    bool (*seal)(void *context, const struct bw_id *tenant, const struct bw_view *notes, size_t count,
                 struct bw_store_roster *out);
    /* Appends to a row's own record that its note is number `index` of that roster record. */
    void (*name)(void *context, const struct bw_id *roster, uint32_t index, struct bw_buf *record);
    /* A key that a row or roster brought is committed. */
    void (*stored)(void *context, const struct bw_store_meeting_key *key);
};

#endif
