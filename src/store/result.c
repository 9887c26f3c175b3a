#include "store/result.h"

#include <string.h>

#include "store/params.h"

bool bw_pg_is_null(const struct bw_pg_row *r, int column)
{
    return PQgetisnull(r->result, r->row, column) != 0;
}

struct bw_view bw_pg_get_bytes(struct bw_pg_row *r, int column)
{
    if (column >= PQnfields(r->result) || PQfformat(r->result, column) != 1) {
        r->failed = true;
        return bw_view_of(NULL, 0);
    }
    return bw_view_of(PQgetvalue(r->result, r->row, column), (size_t)PQgetlength(r->result, r->row, column));
}

static struct bw_reader fixed(struct bw_pg_row *r, int column, size_t width)
{
    struct bw_view v = bw_pg_get_bytes(r, column);
    if (v.len != width) {
        /* null has no bytes and reads as zero */
        if (v.len != 0 || !bw_pg_is_null(r, column))
            r->failed = true;
        v.len = 0;
    }
    return bw_reader_of(v);
}

bool bw_pg_get_bool(struct bw_pg_row *r, int column)
{
    struct bw_reader reader = fixed(r, column, 1);
    return bw_read_u8(&reader) != 0;
}

int16_t bw_pg_get_int2(struct bw_pg_row *r, int column)
{
    struct bw_reader reader = fixed(r, column, 2);
    return (int16_t)bw_read_u16(&reader);
}

int32_t bw_pg_get_int4(struct bw_pg_row *r, int column)
{
    struct bw_reader reader = fixed(r, column, 4);
    return (int32_t)bw_read_u32(&reader);
}

int64_t bw_pg_get_int8(struct bw_pg_row *r, int column)
{
    struct bw_reader reader = fixed(r, column, 8);
    return (int64_t)bw_read_u64(&reader);
}

struct bw_id bw_pg_get_uuid(struct bw_pg_row *r, int column)
{
    struct bw_id id = {{0}};
    struct bw_reader reader = fixed(r, column, 16);
    if (bw_reader_left(&reader) == sizeof id.bytes)
        bw_read_copy(&reader, id.bytes, sizeof id.bytes);
    return id;
}

const char *bw_pg_get_text(struct bw_pg_row *r, int column)
{
    struct bw_view v = bw_pg_get_bytes(r, column);
    if (v.len > 0 && memchr(v.data, 0, v.len) != NULL)
        r->failed = true;
    return v.data == NULL ? "" : (const char *)v.data;
}

void bw_pg_copy_text(struct bw_pg_row *r, int column, char *out, size_t size)
{
    struct bw_view v = bw_pg_get_bytes(r, column);
    if (v.len >= size) {
        r->failed = true;
        v.len = 0;
    }
    if (v.len > 0)
        memcpy(out, v.data, v.len);
    out[v.len] = '\0';
}

/* The elements of a one-dimensional array, each as length and bytes; *count of them. */
static struct bw_reader elements(struct bw_pg_row *r, int column, enum bw_pg_type element, size_t width,
                                 size_t *count)
{
    struct bw_reader reader = bw_reader_of(bw_pg_get_bytes(r, column));
    *count = 0;
    if (bw_pg_is_null(r, column))
        return reader;
    uint32_t dimensions = bw_read_u32(&reader), nulls = bw_read_u32(&reader), type = bw_read_u32(&reader);
    if (dimensions > 1 || nulls != 0 || type != (uint32_t)element)
        r->failed = true;
    if (dimensions == 1) {
        *count = bw_read_u32(&reader);
        (void)bw_read_u32(&reader); /* lower bound */
    }
    if (reader.failed || bw_reader_left(&reader) != *count * (4 + width) || r->failed) {
        r->failed = true;
        *count = 0;
    }
    return reader;
}

const uint32_t *bw_pg_get_int4_array(struct bw_pg_row *r, int column, size_t *count)
{
    size_t n;
    struct bw_reader reader = elements(r, column, BW_PG_INT4, 4, &n);
    uint32_t *out = n == 0 ? NULL : bw_arena_alloc(r->arena, n * sizeof *out);
    *count = 0;
    if (out == NULL) {
        r->failed = r->failed || n > 0;
        return NULL;
    }
    for (size_t i = 0; i < n; i++) {
        (void)bw_read_u32(&reader);
        out[i] = bw_read_u32(&reader);
    }
    *count = n;
    return out;
}

const struct bw_id *bw_pg_get_uuid_array(struct bw_pg_row *r, int column, size_t *count)
{
    size_t n;
    struct bw_reader reader = elements(r, column, BW_PG_UUID, 16, &n);
    struct bw_id *out = n == 0 ? NULL : bw_arena_alloc(r->arena, n * sizeof *out);
    *count = 0;
    if (out == NULL) {
        r->failed = r->failed || n > 0;
        return NULL;
    }
    for (size_t i = 0; i < n; i++) {
        (void)bw_read_u32(&reader);
        bw_read_copy(&reader, out[i].bytes, sizeof out[i].bytes);
    }
    *count = n;
    return out;
}
