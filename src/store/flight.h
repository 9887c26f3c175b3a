/* One group on its way: its rows, what is sealed for them, what identifies it, and the parameters of
 * bw_group_sealed() (schema/0006_metadata.sql). Part of the writer; no I/O. Threads: the writer's. */
#ifndef BW_STORE_FLIGHT_H
#define BW_STORE_FLIGHT_H

#include "store/params.h"
#include "store/queue.h"

/* A row's note is number `index` of rosters[roster]; NONE: it has none. */
enum { BW_STORE_NOTE_NONE = UINT32_MAX };
struct bw_store_note {
    uint32_t roster, index;
    bool tried;
};

struct bw_store_flight {
    struct bw_store_pending **rows; /* in the order of (meeting, seq) */
    uint32_t count, capacity;
    /* (replica, epoch, writer, token) is the group's identity: the same however often it is sent. */
    struct bw_id replica;
    uint64_t epoch, token;
    uint32_t writer;
    uint64_t floor;    /* a group number known to be older than the first attempt */
    uint32_t attempts; /* that the database answered with a refusal worth another one */
    bool unknown;      /* sent at least once without an answer */
    /* Sealed once for the group's name, so that it is the same however often it is sent. */
    struct bw_store_roster *rosters;
    uint32_t roster_count, roster_capacity;
    struct bw_store_note *notes; /* per row: where its note went */
    const struct bw_store_meeting_key **keys;
    uint32_t key_count, key_capacity;
    struct bw_view *note_views;
    bool keys_lost;      /* no memory for the list of keys: the group cannot be encoded */
    struct bw_buf named; /* scratch: a row's record with its name */
    /* scratch of the encoding */
    uint32_t *pair_of, *pair_rows, *slots;
    uint32_t pair_count, slot_mask;
    uint32_t *touched;
    size_t touched_capacity;
};

BW_MUST_USE enum bw_code bw_store_flight_init(struct bw_store_flight *flight, uint32_t capacity,
                                              struct bw_error *err);
void bw_store_flight_finish(struct bw_store_flight *flight);

/* Seals the notes of the rows, which are those of a new name. A note that cannot be sealed is left out: a
 * decision does not wait for its metadata. */
void bw_store_flight_seal(struct bw_store_flight *flight, const struct bw_store_sealing *sealing);

void bw_store_flight_unseal(struct bw_store_flight *flight);

/* The parameters of bw_group_sealed, in its order. False when memory is out. */
bool bw_store_flight_encode(struct bw_store_flight *flight, const struct bw_store_sealing *sealing,
                            struct bw_pg_params *params);

/* Types of bw_group_sealed's and of the conflict query's parameters, for preparing. */
extern const unsigned int bw_store_group_types[];
extern const int bw_store_group_type_count;
extern const char bw_store_group_query[];

/* Which rows of the group are in the way: (1-based row, meeting of an earlier request or null). */
extern const unsigned int bw_store_conflict_types[];
extern const int bw_store_conflict_type_count;
extern const char bw_store_conflict_query[];
bool bw_store_flight_encode_conflicts(struct bw_store_flight *flight, struct bw_pg_params *params);

/* Moves the rows whose result is not COMMITTED, and all rows of their meetings from the first such on, to
 * `out` (as many as rows) and keeps the others. Returns how many were moved. A meeting with an early row kept
 * and a later one moved does not occur: the whole meeting goes, with the result of its first failed row. */
uint32_t bw_store_flight_split(struct bw_store_flight *flight, struct bw_store_pending **out);

#endif
