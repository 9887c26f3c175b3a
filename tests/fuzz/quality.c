/* What quality rests in: the first byte says what the rest is (0 a chunk, 1 an hour, 2 a sketch, 3 windows to
 * encode). What is accepted is the one encoding of what it says. */
#include <stdint.h>
#include <string.h>

#include "base/check.h"
#include "quality/chunk.h"
#include "quality/hour.h"
#include "quality/sketch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_again(const struct bw_buf *again, struct bw_view bytes)
{
    BW_CHECK(!again->failed);
    BW_CHECK(bw_view_equal(bw_buf_view(again), bytes));
}

static void try_chunk(struct bw_view bytes, struct bw_buf *again)
{
    static struct bw_quality_chunk chunk;
    if (bw_quality_chunk_decode(bytes, &chunk, NULL) != BW_OK)
        return;
    BW_CHECK(chunk.count >= 1 && chunk.count <= BW_QUALITY_CHUNK_WINDOWS);
    for (size_t i = 0; i < chunk.count; i++)
        BW_CHECK(bw_quality_check(&chunk.windows[i], chunk.source, NULL) == BW_QUALITY_POSSIBLE);
    BW_CHECK(bw_quality_chunk_encode(&chunk, again, NULL) == BW_OK);
    check_again(again, bytes);
}

static void try_hour(struct bw_view bytes, struct bw_buf *again)
{
    struct bw_quality_hour *hour = NULL;
    if (bw_quality_hour_decode(bytes, &hour, NULL) != BW_OK)
        return;
    BW_CHECK(bw_quality_hour_encode(hour, again, NULL) == BW_OK);
    check_again(again, bytes);
    bw_quality_hour_destroy(hour);
}

static void try_sketch(struct bw_view bytes, struct bw_buf *again)
{
    struct bw_sketch sketch = {0}, twice = {0};
    struct bw_reader r = bw_reader_of(bytes);
    if (bw_sketch_decode(&r, &sketch, NULL) != BW_OK)
        return;
    bw_sketch_encode(&sketch, again);
    check_again(again, bw_view_of(bytes.data, bytes.len - bw_reader_left(&r)));
    double before = 0;
    for (int i = 0; i <= 10; i++) {
        double value = bw_sketch_quantile(&sketch, i / 10.0);
        BW_CHECK(value >= before && value <= (double)BW_SKETCH_VALUE_MAX);
        before = value;
    }
    if (sketch.count > 0 && sketch.count < UINT64_MAX / 4) {
        BW_CHECK(bw_sketch_merge(&twice, &sketch, NULL) == BW_OK);
        BW_CHECK(bw_sketch_merge(&twice, &sketch, NULL) == BW_OK);
        BW_CHECK(twice.count == 2 * sketch.count && twice.used == sketch.used);
    }
    bw_sketch_finish(&sketch);
    bw_sketch_finish(&twice);
}

/* Windows that are possible always encode, and come back. */
static void try_windows(struct bw_view bytes, struct bw_buf *again)
{
    static struct bw_quality_chunk chunk, back;
    struct bw_reader r = bw_reader_of(bytes);
    int64_t start_ms = 0;
    memset(&chunk, 0, sizeof chunk);
    chunk.source = BW_QUALITY_FROM_CLIENT;
    while (chunk.count < BW_QUALITY_CHUNK_WINDOWS && bw_reader_left(&r) > 0) {
        struct bw_quality_window w = bw_quality_window_of(start_ms, bw_read_u16(&r));
        w.state = bw_read_u8(&r) & BW_QUALITY_STATES;
        uint32_t present = bw_read_u32(&r) & ((UINT32_C(1) << BW_QUALITY_FIELDS) - 1);
        for (unsigned field = 0; field < BW_QUALITY_FIELDS; field++)
            if (present >> field & 1)
                bw_quality_put(&w, field, bw_read_u32(&r));
        start_ms += 1 + bw_read_u16(&r) % 4600;
        if (bw_quality_check(&w, BW_QUALITY_FROM_CLIENT, NULL) == BW_QUALITY_POSSIBLE)
            chunk.windows[chunk.count++] = w;
    }
    if (chunk.count == 0)
        return;
    BW_CHECK(bw_quality_chunk_encode(&chunk, again, NULL) == BW_OK);
    BW_CHECK(again->len <= BW_QUALITY_CHUNK_MAX_BYTES);
    BW_CHECK(bw_quality_chunk_decode(bw_buf_view(again), &back, NULL) == BW_OK);
    BW_CHECK(back.count == chunk.count);
    BW_CHECK(memcmp(back.windows, chunk.windows, chunk.count * sizeof chunk.windows[0]) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const tries[])(struct bw_view, struct bw_buf *) = {try_chunk, try_hour, try_sketch,
                                                                     try_windows};
    struct bw_buf again = {0};
    if (size == 0 || data[0] >= BW_ARRAY_LEN(tries))
        return 0;
    tries[data[0]](bw_view_of(data + 1, size - 1), &again);
    bw_buf_finish(&again);
    return 0;
}
