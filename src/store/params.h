/* Parameters of one statement in PostgreSQL's binary format, arrays too (what array_recv, uuid_recv and
 * friends read). Owner: the caller; all-zero is empty. Threads: one at a time. Out of memory is sticky, as in
 * a bw_buf. */
#ifndef BW_STORE_PARAMS_H
#define BW_STORE_PARAMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/id.h"

/* Type OIDs, fixed in pg_type.dat. */
enum bw_pg_type {
    BW_PG_BOOL = 16,
    BW_PG_BYTEA = 17,
    BW_PG_INT8 = 20,
    BW_PG_INT2 = 21,
    BW_PG_INT4 = 23,
    BW_PG_TEXT = 25,
    BW_PG_UUID = 2950,
    BW_PG_INT2_ARRAY = 1005,
    BW_PG_INT4_ARRAY = 1007,
    BW_PG_INT8_ARRAY = 1016,
    BW_PG_TEXT_ARRAY = 1009,
    BW_PG_BYTEA_ARRAY = 1001,
    BW_PG_UUID_ARRAY = 2951,
};

enum { BW_PG_PARAMS_MAX = 32 };

struct bw_pg_params {
    struct bw_buf bytes;
    int count;
    unsigned int types[BW_PG_PARAMS_MAX];
    size_t starts[BW_PG_PARAMS_MAX];
    int lengths[BW_PG_PARAMS_MAX]; /* -1: null */
    int formats[BW_PG_PARAMS_MAX]; /* all 1, binary; filled by bw_pg_params_values */
};

void bw_pg_params_finish(struct bw_pg_params *params);
/* Keeps the memory. */
void bw_pg_params_clear(struct bw_pg_params *params);

void bw_pg_null(struct bw_pg_params *params, enum bw_pg_type type);
void bw_pg_bool(struct bw_pg_params *params, bool v);
void bw_pg_int4(struct bw_pg_params *params, int32_t v);
void bw_pg_int8(struct bw_pg_params *params, int64_t v);
void bw_pg_uuid(struct bw_pg_params *params, const struct bw_id *v);
void bw_pg_text(struct bw_pg_params *params, const char *v);
void bw_pg_bytea(struct bw_pg_params *params, struct bw_view v);

/* One array: begin with its element type and how many elements follow, add exactly that many, end. */
void bw_pg_array_begin(struct bw_pg_params *params, enum bw_pg_type element, size_t count);
void bw_pg_array_int2(struct bw_pg_params *params, int16_t v);
void bw_pg_array_int4(struct bw_pg_params *params, int32_t v);
void bw_pg_array_int8(struct bw_pg_params *params, int64_t v);
void bw_pg_array_bytes(struct bw_pg_params *params, struct bw_view v); /* uuid, text, bytea */
void bw_pg_array_end(struct bw_pg_params *params);

/* Whole arrays at once. */
void bw_pg_int4_array(struct bw_pg_params *params, const uint32_t *v, size_t count);
void bw_pg_int8_array(struct bw_pg_params *params, const uint64_t *v, size_t count);
void bw_pg_uuid_array(struct bw_pg_params *params, const struct bw_id *v, size_t count);

/* Fills `values` for libpq; pointers hold until the next change. False when memory was out. */
bool bw_pg_params_values(struct bw_pg_params *params, const char *values[BW_PG_PARAMS_MAX]);

#endif
