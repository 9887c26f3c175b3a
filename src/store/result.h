/* Reading binary results. Lengths are checked: a value of another width than asked for reads as zero and sets
 * `failed`, which is checked once per row or result. Threads: one at a time. */
#ifndef BW_STORE_RESULT_H
#define BW_STORE_RESULT_H

#include <libpq-fe.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/id.h"

struct bw_pg_row {
    const PGresult *result;
    int row;
    bool failed;
    struct bw_arena *arena; /* where arrays go; may be NULL when none is read */
};

bool bw_pg_is_null(const struct bw_pg_row *r, int column);
bool bw_pg_get_bool(struct bw_pg_row *r, int column);
int16_t bw_pg_get_int2(struct bw_pg_row *r, int column);
/* The following read null as zero. */
int32_t bw_pg_get_int4(struct bw_pg_row *r, int column);
int64_t bw_pg_get_int8(struct bw_pg_row *r, int column);
struct bw_id bw_pg_get_uuid(struct bw_pg_row *r, int column);
/* Borrowed from the result. bytea, or text without its NUL. */
struct bw_view bw_pg_get_bytes(struct bw_pg_row *r, int column);
/* Borrowed from the result, NUL-terminated. Fails when the text holds a NUL. */
const char *bw_pg_get_text(struct bw_pg_row *r, int column);
/* Copies; fails when it does not fit. */
void bw_pg_copy_text(struct bw_pg_row *r, int column, char *out, size_t size);
/* One-dimensional arrays without nulls, into the arena; null reads as empty. */
const uint32_t *bw_pg_get_int4_array(struct bw_pg_row *r, int column, size_t *count);
const struct bw_id *bw_pg_get_uuid_array(struct bw_pg_row *r, int column, size_t *count);

#endif
