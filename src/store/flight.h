/* One group on its way: its rows, what identifies it, and the parameters of bw_group()
 * (schema/0004_decisions.sql). Part of the writer; no I/O. Threads: the writer's. */
#ifndef BW_STORE_FLIGHT_H
#define BW_STORE_FLIGHT_H

#include "store/params.h"
#include "store/queue.h"

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
    /* scratch of the encoding */
    uint32_t *pair_of, *pair_rows, *slots;
    uint32_t pair_count, slot_mask;
    uint32_t *touched;
    size_t touched_capacity;
};

BW_MUST_USE enum bw_code bw_store_flight_init(struct bw_store_flight *flight, uint32_t capacity,
                                              struct bw_error *err);
void bw_store_flight_finish(struct bw_store_flight *flight);

/* The parameters of bw_group, in its order. False when memory is out. */
bool bw_store_flight_encode(struct bw_store_flight *flight, struct bw_pg_params *params);

/* Types of bw_group's and of the conflict query's parameters, for preparing. */
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
