#include "quality/column.h"

#include <string.h>

#include "base/check.h"
#include "quality/varint.h"

enum form { CONSTANT, PLAIN, DELTA, PACKED, DRIFT, FORMS };
enum { WIDTH_MOST = 42 }; /* of a difference of two values */

/* What the forms need to know of a run of numbers. */
struct range {
    int64_t least;
    unsigned width; /* bits of the greatest less the least */
};

static struct range range_of(const int64_t *numbers, size_t count)
{
    int64_t least = numbers[0], most = numbers[0];
    for (size_t i = 1; i < count; i++) {
        if (numbers[i] < least)
            least = numbers[i];
        if (numbers[i] > most)
            most = numbers[i];
    }
    struct range range = {.least = least};
    for (uint64_t spread = (uint64_t)(most - least); spread != 0; spread >>= 1)
        range.width++;
    return range;
}

static size_t packed_bytes(size_t count, unsigned width)
{
    return (count * width + 7) / 8;
}

static void write_packed(struct bw_writer *w, const int64_t *numbers, size_t count, struct range range)
{
    uint64_t held = 0;
    unsigned bits = 0;
    bw_write_u8(w, (uint8_t)range.width);
    for (size_t i = 0; i < count; i++) {
        held |= (uint64_t)(numbers[i] - range.least) << bits; /* bits < 8 and width <= 42: fits */
        for (bits += range.width; bits >= 8; bits -= 8, held >>= 8)
            bw_write_u8(w, (uint8_t)held);
    }
    if (bits > 0)
        bw_write_u8(w, (uint8_t)held);
}

static void read_packed(struct bw_reader *r, int64_t *numbers, size_t count, int64_t least)
{
    unsigned width = bw_read_u8(r), bits = 0;
    uint64_t held = 0;
    if (width > WIDTH_MOST)
        r->failed = true;
    for (size_t i = 0; i < count && !r->failed; i++) {
        for (; bits < width; bits += 8)
            held |= (uint64_t)bw_read_u8(r) << bits;
        numbers[i] = least + (int64_t)(held & ((UINT64_C(1) << width) - 1));
        held >>= width;
        bits -= width;
    }
}

void bw_column_write(struct bw_writer *w, const int64_t *values, size_t count)
{
    BW_CHECK(count >= 1 && count <= BW_COLUMN_VALUES);
    int64_t steps[BW_COLUMN_VALUES];
    size_t first = bw_varint_size((uint64_t)values[0]), plain = 0, delta = first;
    for (size_t i = 0; i < count; i++) {
        plain += bw_varint_size((uint64_t)values[i]);
        if (i > 0) {
            steps[i - 1] = values[i] - values[i - 1];
            delta += bw_varint_size(bw_zigzag(steps[i - 1]));
        }
    }
    struct range range = range_of(values, count);
    if (range.width == 0) {
        bw_write_u8(w, CONSTANT);
        bw_varint_write(w, (uint64_t)values[0]);
        return;
    }
    struct range drift = range_of(steps, count - 1); /* two values at least: they differ */
    const size_t sizes[FORMS] = {
        [CONSTANT] = SIZE_MAX,
        [PLAIN] = plain,
        [DELTA] = delta,
        [PACKED] = bw_varint_size((uint64_t)range.least) + 1 + packed_bytes(count, range.width),
        [DRIFT] = first + bw_varint_size(bw_zigzag(drift.least)) + 1 + packed_bytes(count - 1, drift.width),
    };
    enum form form = PLAIN;
    for (enum form other = DELTA; other < FORMS; other++)
        if (sizes[other] < sizes[form])
            form = other;
    bw_write_u8(w, (uint8_t)form);
    if (form == PLAIN) {
        for (size_t i = 0; i < count; i++)
            bw_varint_write(w, (uint64_t)values[i]);
    } else if (form == PACKED) {
        bw_varint_write(w, (uint64_t)range.least);
        write_packed(w, values, count, range);
    } else {
        bw_varint_write(w, (uint64_t)values[0]);
        if (form == DRIFT) {
            bw_varint_write(w, bw_zigzag(drift.least));
            write_packed(w, steps, count - 1, drift);
        }
        for (size_t i = 0; form == DELTA && i + 1 < count; i++)
            bw_varint_write(w, bw_zigzag(steps[i]));
    }
}

/* Differences in place of values[1..] become values. */
static void add_up(struct bw_reader *r, int64_t *values, size_t count)
{
    for (size_t i = 1; i < count && !r->failed; i++) {
        values[i] += values[i - 1];
        if (values[i] < 0 || values[i] > BW_COLUMN_VALUE_MAX)
            r->failed = true;
    }
}

void bw_column_read(struct bw_reader *r, int64_t *values, size_t count)
{
    BW_CHECK(count >= 1 && count <= BW_COLUMN_VALUES);
    const uint64_t most = BW_COLUMN_VALUE_MAX;
    memset(values, 0, count * sizeof *values);
    unsigned form = bw_read_u8(r);
    if (form >= FORMS)
        r->failed = true;
    int64_t first = (int64_t)bw_varint_read(r, most);
    values[0] = first;
    if (form == CONSTANT) {
        for (size_t i = 1; i < count; i++)
            values[i] = first;
    } else if (form == PLAIN) {
        for (size_t i = 1; i < count; i++)
            values[i] = (int64_t)bw_varint_read(r, most);
    } else if (form == DELTA) {
        for (size_t i = 1; i < count; i++)
            values[i] = bw_unzigzag(bw_varint_read(r, 2 * most));
        add_up(r, values, count);
    } else if (form == PACKED) {
        read_packed(r, values, count, first);
    } else {
        int64_t least = bw_unzigzag(bw_varint_read(r, 2 * most));
        read_packed(r, values + 1, count - 1, least);
        add_up(r, values, count);
    }
    for (size_t i = 0; i < count; i++)
        if (values[i] > BW_COLUMN_VALUE_MAX)
            r->failed = true;
}
