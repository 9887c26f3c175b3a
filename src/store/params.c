#include "store/params.h"

#include <string.h>

#include "base/check.h"

void bw_pg_params_finish(struct bw_pg_params *params)
{
    bw_buf_finish(&params->bytes);
    params->count = 0;
}

void bw_pg_params_clear(struct bw_pg_params *params)
{
    bw_buf_clear(&params->bytes);
    params->count = 0;
}

static void begin(struct bw_pg_params *params, enum bw_pg_type type)
{
    BW_CHECK(params->count < BW_PG_PARAMS_MAX);
    params->types[params->count] = type;
    params->starts[params->count] = params->bytes.len;
}

static void end(struct bw_pg_params *params)
{
    size_t len = params->bytes.len - params->starts[params->count];
    params->lengths[params->count++] = (int)len;
}

void bw_pg_null(struct bw_pg_params *params, enum bw_pg_type type)
{
    begin(params, type);
    params->lengths[params->count++] = -1;
}

void bw_pg_bool(struct bw_pg_params *params, bool v)
{
    begin(params, BW_PG_BOOL);
    bw_buf_append_u8(&params->bytes, v);
    end(params);
}

void bw_pg_int4(struct bw_pg_params *params, int32_t v)
{
    begin(params, BW_PG_INT4);
    bw_buf_append_u32(&params->bytes, (uint32_t)v);
    end(params);
}

void bw_pg_int8(struct bw_pg_params *params, int64_t v)
{
    begin(params, BW_PG_INT8);
    bw_buf_append_u64(&params->bytes, (uint64_t)v);
    end(params);
}

void bw_pg_uuid(struct bw_pg_params *params, const struct bw_id *v)
{
    begin(params, BW_PG_UUID);
    bw_buf_append(&params->bytes, v->bytes, sizeof v->bytes);
    end(params);
}

void bw_pg_text(struct bw_pg_params *params, const char *v)
{
    begin(params, BW_PG_TEXT);
    bw_buf_append_str(&params->bytes, v);
    end(params);
}

void bw_pg_bytea(struct bw_pg_params *params, struct bw_view v)
{
    begin(params, BW_PG_BYTEA);
    bw_buf_append(&params->bytes, v.data, v.len);
    end(params);
}

static enum bw_pg_type array_of(enum bw_pg_type element)
{
    switch (element) {
    case BW_PG_INT2:
        return BW_PG_INT2_ARRAY;
    case BW_PG_INT4:
        return BW_PG_INT4_ARRAY;
    case BW_PG_INT8:
        return BW_PG_INT8_ARRAY;
    case BW_PG_TEXT:
        return BW_PG_TEXT_ARRAY;
    case BW_PG_BYTEA:
        return BW_PG_BYTEA_ARRAY;
    case BW_PG_UUID:
        return BW_PG_UUID_ARRAY;
    default:
        BW_CHECK(!"an element type with an array type here");
        return BW_PG_INT4_ARRAY;
    }
}

/* array_recv: dimensions, "has nulls", element type, then per dimension its size and lower bound; elements
 * follow as length and bytes. No elements: zero dimensions. */
void bw_pg_array_begin(struct bw_pg_params *params, enum bw_pg_type element, size_t count)
{
    begin(params, array_of(element));
    bw_buf_append_u32(&params->bytes, count > 0);
    bw_buf_append_u32(&params->bytes, 0);
    bw_buf_append_u32(&params->bytes, element);
    if (count > 0) {
        bw_buf_append_u32(&params->bytes, (uint32_t)count);
        bw_buf_append_u32(&params->bytes, 1);
    }
}

void bw_pg_array_int2(struct bw_pg_params *params, int16_t v)
{
    bw_buf_append_u32(&params->bytes, 2);
    bw_buf_append_u16(&params->bytes, (uint16_t)v);
}

void bw_pg_array_int4(struct bw_pg_params *params, int32_t v)
{
    bw_buf_append_u64(&params->bytes, UINT64_C(4) << 32 | (uint32_t)v);
}

void bw_pg_array_int8(struct bw_pg_params *params, int64_t v)
{
    bw_buf_append_u32(&params->bytes, 8);
    bw_buf_append_u64(&params->bytes, (uint64_t)v);
}

void bw_pg_array_bytes(struct bw_pg_params *params, struct bw_view v)
{
    bw_buf_append_u32(&params->bytes, (uint32_t)v.len);
    bw_buf_append(&params->bytes, v.data, v.len);
}

void bw_pg_array_end(struct bw_pg_params *params)
{
    end(params);
}

void bw_pg_int4_array(struct bw_pg_params *params, const uint32_t *v, size_t count)
{
    bw_pg_array_begin(params, BW_PG_INT4, count);
    for (size_t i = 0; i < count; i++)
        bw_pg_array_int4(params, (int32_t)v[i]);
    bw_pg_array_end(params);
}

void bw_pg_int8_array(struct bw_pg_params *params, const uint64_t *v, size_t count)
{
    bw_pg_array_begin(params, BW_PG_INT8, count);
    for (size_t i = 0; i < count; i++)
        bw_pg_array_int8(params, (int64_t)v[i]);
    bw_pg_array_end(params);
}

void bw_pg_uuid_array(struct bw_pg_params *params, const struct bw_id *v, size_t count)
{
    bw_pg_array_begin(params, BW_PG_UUID, count);
    for (size_t i = 0; i < count; i++)
        bw_pg_array_bytes(params, bw_view_of(v[i].bytes, sizeof v[i].bytes));
    bw_pg_array_end(params);
}

bool bw_pg_params_values(struct bw_pg_params *params, const char *values[BW_PG_PARAMS_MAX])
{
    /* A value of no bytes still needs an address: NULL would mean null. */
    if (!bw_buf_reserve(&params->bytes, 1))
        return false;
    for (int i = 0; i < params->count; i++) {
        values[i] = params->lengths[i] < 0 ? NULL : (const char *)params->bytes.data + params->starts[i];
        params->formats[i] = 1;
    }
    return !params->bytes.failed;
}
