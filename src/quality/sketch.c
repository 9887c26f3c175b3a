#include "quality/sketch.h"

#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/check.h"
#include "quality/varint.h"

enum { INDEX_MOST = 1400, FIRST_ROOM = 8 };

static const double gamma_of_alpha = (1 + BW_SKETCH_ALPHA) / (1 - BW_SKETCH_ALPHA);

/* i with g^(i-1) < value <= g^i; value is at least 1. */
static uint32_t index_of(int64_t value)
{
    return (uint32_t)ceil(log((double)value) / log(gamma_of_alpha));
}

/* The value that is within alpha of all of bin i. */
static double value_of(uint32_t index)
{
    return 2 * exp(index * log(gamma_of_alpha)) / (gamma_of_alpha + 1);
}

void bw_sketch_finish(struct bw_sketch *sketch)
{
    bw_free(sketch->bins);
    *sketch = (struct bw_sketch){0};
}

enum bw_code bw_sketch_reserve(struct bw_sketch *sketch, struct bw_error *err)
{
    /* One more than BW_SKETCH_BINS is never needed: a full sketch makes its room by collapsing. */
    if (sketch->used < sketch->room || sketch->used == BW_SKETCH_BINS)
        return BW_OK;
    uint32_t room = sketch->room == 0 ? FIRST_ROOM : sketch->room * 2;
    struct bw_sketch_bin *bins = bw_realloc(sketch->bins, room * sizeof *bins);
    if (bins == NULL)
        return bw_fail_memory(err);
    sketch->bins = bins;
    sketch->room = room;
    return BW_OK;
}

static uint32_t first_at_least(const struct bw_sketch *sketch, uint32_t index)
{
    uint32_t low = 0, high = sketch->used;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (sketch->bins[middle].index < index)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* There is room, or the sketch is full and its lowest bins fall together. */
static void count_in_bin(struct bw_sketch *sketch, uint32_t index)
{
    struct bw_sketch_bin *bins = sketch->bins;
    uint32_t at = first_at_least(sketch, index);
    if (at < sketch->used && bins[at].index == index) {
        bins[at].count++;
        return;
    }
    if (sketch->used == BW_SKETCH_BINS) {
        if (at == 0) {
            bins[0].count++;
            return;
        }
        uint64_t lowest = bins[0].count;
        at--;
        memmove(&bins[0], &bins[1], at * sizeof *bins);
        bins[at] = (struct bw_sketch_bin){.index = index, .count = 1};
        bins[0].count += lowest;
        return;
    }
    memmove(&bins[at + 1], &bins[at], (sketch->used - at) * sizeof *bins);
    bins[at] = (struct bw_sketch_bin){.index = index, .count = 1};
    sketch->used++;
}

enum bw_code bw_sketch_add(struct bw_sketch *sketch, int64_t value, struct bw_error *err)
{
    BW_CHECK(value >= 0 && value <= BW_SKETCH_VALUE_MAX);
    enum bw_code code = bw_sketch_reserve(sketch, err);
    if (code != BW_OK)
        return code;
    if (value == 0)
        sketch->zeroes++;
    else
        count_in_bin(sketch, index_of(value));
    if (sketch->count == 0 || value < sketch->least)
        sketch->least = value;
    if (sketch->count == 0 || value > sketch->most)
        sketch->most = value;
    sketch->count++;
    return BW_OK;
}

/* Both lists in one, lowest first; then the lowest fall together until at most BW_SKETCH_BINS are left. */
static uint32_t merge_bins(const struct bw_sketch *a, const struct bw_sketch *b, struct bw_sketch_bin *out)
{
    uint32_t i = 0, j = 0, n = 0;
    while (i < a->used || j < b->used) {
        if (j == b->used || (i < a->used && a->bins[i].index < b->bins[j].index)) {
            out[n++] = a->bins[i++];
        } else if (i == a->used || b->bins[j].index < a->bins[i].index) {
            out[n++] = b->bins[j++];
        } else {
            out[n] = a->bins[i++];
            out[n++].count += b->bins[j++].count;
        }
    }
    if (n <= BW_SKETCH_BINS)
        return n;
    uint32_t over = n - BW_SKETCH_BINS;
    for (uint32_t k = 0; k < over; k++)
        out[over].count += out[k].count;
    memmove(out, out + over, BW_SKETCH_BINS * sizeof *out);
    return BW_SKETCH_BINS;
}

enum bw_code bw_sketch_merge(struct bw_sketch *into, const struct bw_sketch *from, struct bw_error *err)
{
    if (from->count == 0)
        return BW_OK;
    if (into->count > UINT64_MAX - from->count)
        return bw_fail(err, BW_OUT_OF_RANGE, NULL, "the counts of the two sketches do not fit into one");
    uint32_t room = into->used + from->used + 1; /* never none, though there may be zeroes only */
    struct bw_sketch_bin *bins = bw_malloc(room * sizeof *bins);
    if (bins == NULL)
        return bw_fail_memory(err);
    uint32_t used = merge_bins(into, from, bins);
    bw_free(into->bins);
    into->bins = bins;
    into->used = used;
    into->room = room;
    if (into->count == 0 || from->least < into->least)
        into->least = from->least;
    if (into->count == 0 || from->most > into->most)
        into->most = from->most;
    into->count += from->count;
    into->zeroes += from->zeroes;
    return BW_OK;
}

double bw_sketch_quantile(const struct bw_sketch *sketch, double q)
{
    BW_CHECK(q >= 0 && q <= 1);
    if (sketch->count == 0)
        return 0;
    /* A count beyond 2^53 may round up as a double: the last rank is taken by its name. */
    double position = q * (double)(sketch->count - 1);
    uint64_t rank = position < (double)(sketch->count - 1) ? (uint64_t)position : sketch->count - 1;
    uint64_t seen = sketch->zeroes;
    if (rank < seen)
        return 0;
    double value = (double)sketch->most;
    for (uint32_t i = 0; i < sketch->used; i++) {
        seen += sketch->bins[i].count;
        if (rank < seen) {
            value = value_of(sketch->bins[i].index);
            break;
        }
    }
    if (value < (double)sketch->least)
        return (double)sketch->least;
    return value > (double)sketch->most ? (double)sketch->most : value;
}

void bw_sketch_encode(const struct bw_sketch *sketch, struct bw_buf *out)
{
    bw_varint_append(out, sketch->zeroes);
    bw_varint_append(out, sketch->used);
    if (sketch->used == 0)
        return;
    if (sketch->zeroes == 0)
        bw_varint_append(out, (uint64_t)sketch->least);
    bw_varint_append(out, (uint64_t)sketch->most);
    uint32_t next = 0;
    for (uint32_t i = 0; i < sketch->used; i++) {
        bw_varint_append(out, sketch->bins[i].index - next);
        bw_varint_append(out, sketch->bins[i].count);
        next = sketch->bins[i].index + 1;
    }
}

static bool read_bins(struct bw_reader *r, struct bw_sketch *s)
{
    uint32_t next = 0;
    s->count = s->zeroes;
    for (uint32_t i = 0; i < s->used; i++) {
        uint64_t index = next + bw_varint_read(r, INDEX_MOST);
        uint64_t count = bw_varint_read(r, UINT64_MAX);
        if (r->failed || index > INDEX_MOST || count == 0 || s->count > UINT64_MAX - count)
            return false;
        s->bins[i] = (struct bw_sketch_bin){.index = (uint32_t)index, .count = count};
        s->count += count;
        next = (uint32_t)index + 1;
    }
    return true;
}

/* Least and most belong to the first and the last bin. The logarithm of another machine may differ in its
 * last bit, so a neighbour will do; and what has collapsed into the lowest bin may be lower. */
static bool ends_fit(const struct bw_sketch *s)
{
    if (s->used == 0)
        return true;
    uint32_t first = s->bins[0].index, last = s->bins[s->used - 1].index, most = index_of(s->most);
    if (most > last + 1 || last > most + 1)
        return false;
    if (s->zeroes > 0)
        return true;
    if (s->least > s->most)
        return false;
    uint32_t least = index_of(s->least);
    return least <= first + 1 && (s->used == BW_SKETCH_BINS || first <= least + 1);
}

enum bw_code bw_sketch_decode(struct bw_reader *r, struct bw_sketch *out, struct bw_error *err)
{
    struct bw_sketch s = {.zeroes = bw_varint_read(r, UINT64_MAX)};
    s.used = (uint32_t)bw_varint_read(r, BW_SKETCH_BINS);
    if (s.used > 0) {
        s.least = s.zeroes == 0 ? (int64_t)bw_varint_read(r, BW_SKETCH_VALUE_MAX) : 0;
        s.most = (int64_t)bw_varint_read(r, BW_SKETCH_VALUE_MAX);
        if ((s.zeroes == 0 && s.least == 0) || s.most == 0)
            r->failed = true;
    }
    /* Two bytes a bin at least: no claim makes us take more memory than eight times what is there. */
    if (r->failed || bw_reader_left(r) / 2 < s.used)
        return bw_fail(err, BW_DATA_LOSS, NULL, "not a sketch");
    if (s.used > 0) {
        s.bins = bw_malloc(s.used * sizeof *s.bins);
        if (s.bins == NULL)
            return bw_fail_memory(err);
        s.room = s.used;
    }
    if (!read_bins(r, &s) || !ends_fit(&s)) {
        bw_sketch_finish(&s);
        return bw_fail(err, BW_DATA_LOSS, NULL, "not a sketch");
    }
    *out = s;
    return BW_OK;
}
