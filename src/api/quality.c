#include "api/quality.h"

#include "base/alloc.h"

struct bw_api_quality *bw_api_quality_create(size_t count)
{
    struct bw_api_quality *batch =
        bw_malloc(sizeof(struct bw_api_quality) + count * sizeof(struct bw_api_window));
    if (batch != NULL)
        *batch = (struct bw_api_quality){.count = 0};
    return batch;
}

struct bw_id bw_api_stream_id(enum bw_quality_source source, uint32_t relay, uint32_t number)
{
    struct bw_id id = {{0}};
    struct bw_writer w = bw_writer_of(id.bytes, sizeof id.bytes);
    bw_write_u8(&w, 'q');
    bw_write_u8(&w, 1);
    bw_write_u8(&w, (uint8_t)source);
    bw_write_u8(&w, 0);
    bw_write_u32(&w, relay);
    bw_write_u32(&w, number);
    return id;
}

bool bw_api_stream_parts(const struct bw_id *stream, enum bw_quality_source *source, uint32_t *relay,
                         uint32_t *number)
{
    struct bw_reader r = bw_reader_of(bw_view_of(stream->bytes, sizeof stream->bytes));
    uint8_t mark = bw_read_u8(&r), version = bw_read_u8(&r), from = bw_read_u8(&r);
    if (mark != 'q' || version != 1 || from > BW_QUALITY_FROM_CLIENT)
        return false;
    (void)bw_read_u8(&r);
    *source = (enum bw_quality_source)from;
    *relay = bw_read_u32(&r);
    *number = bw_read_u32(&r);
    return true;
}
