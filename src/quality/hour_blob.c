/* An hour as bytes: version, number of groups, then each in order:
 * dimension u8, length and bytes of the value, judged, poor, participants, mask of metrics u8, and for each
 * of these its red windows and its sketch. Numbers are varints. */
#include <string.h>

#include "quality/hour_groups.h"
#include "quality/varint.h"

static uint8_t metrics_of(const struct bw_quality_group *group)
{
    uint8_t mask = 0;
    for (unsigned metric = 1; metric < BW_QUALITY_METRICS; metric++)
        if (group->sketches[metric].count > 0)
            mask |= (uint8_t)(1U << metric);
    return mask;
}

static void write_group(const struct bw_quality_group *group, struct bw_buf *out)
{
    size_t len = strlen(group->value);
    uint8_t mask = metrics_of(group);
    bw_buf_append_u8(out, (uint8_t)group->dimension);
    bw_varint_append(out, len);
    bw_buf_append(out, group->value, len);
    bw_varint_append(out, group->judged);
    bw_varint_append(out, group->poor);
    bw_distinct_encode(&group->participants, out);
    bw_buf_append_u8(out, mask);
    for (unsigned metric = 1; metric < BW_QUALITY_METRICS; metric++) {
        if ((mask >> metric & 1) == 0)
            continue;
        bw_varint_append(out, group->red[metric]);
        bw_sketch_encode(&group->sketches[metric], out);
    }
}

enum bw_code bw_quality_hour_encode(const struct bw_quality_hour *hour, struct bw_buf *out,
                                    struct bw_error *err)
{
    size_t before = out->len;
    bw_buf_append_u8(out, BW_QUALITY_HOUR_VERSION);
    bw_varint_append(out, hour->count);
    for (size_t i = 0; i < hour->count; i++)
        write_group(hour->groups[i], out);
    if (out->failed) {
        out->len = before;
        return bw_fail_memory(err);
    }
    return BW_OK;
}

static enum bw_code broken(struct bw_error *err)
{
    return bw_fail(err, BW_DATA_LOSS, NULL, "not an hour of quality");
}

/* After the group before it, if there is one. */
static bool in_order(const struct bw_quality_hour *hour, unsigned dimension, const char *value)
{
    if (hour->count == 0)
        return true;
    const struct bw_quality_group *last = hour->groups[hour->count - 1];
    return last->dimension < dimension || (last->dimension == dimension && strcmp(last->value, value) < 0);
}

static enum bw_code read_sketches(struct bw_reader *r, struct bw_quality_group *group, struct bw_error *err)
{
    uint8_t mask = bw_read_u8(r);
    if (mask == 0 || (mask & 1) != 0)
        return broken(err);
    for (unsigned metric = 1; metric < BW_QUALITY_METRICS; metric++) {
        if ((mask >> metric & 1) == 0)
            continue;
        group->red[metric] = bw_varint_read(r, group->poor);
        enum bw_code code = bw_sketch_decode(r, &group->sketches[metric], err);
        if (code != BW_OK)
            return code;
        uint64_t count = group->sketches[metric].count;
        if (count == 0 || count > group->judged || group->red[metric] > count)
            return broken(err);
    }
    return BW_OK;
}

static enum bw_code read_group(struct bw_reader *r, struct bw_quality_hour *hour, struct bw_error *err)
{
    char value[BW_QUALITY_VALUE_MAX + 1] = {0};
    unsigned dimension = bw_read_u8(r);
    struct bw_view text = bw_read_bytes(r, bw_varint_read(r, BW_QUALITY_VALUE_MAX));
    if (r->failed || dimension >= BW_QUALITY_DIMENSIONS || !bw_quality_group_value_ok(text))
        return broken(err);
    if (text.len > 0)
        memcpy(value, text.data, text.len);
    if (!in_order(hour, dimension, value))
        return broken(err);
    struct bw_quality_group *group;
    enum bw_code code = bw_quality_hour_group(hour, dimension, value, &group, err);
    if (code != BW_OK)
        return code;
    group->judged = bw_varint_read(r, UINT64_MAX);
    group->poor = bw_varint_read(r, group->judged);
    if (r->failed || group->judged == 0)
        return broken(err);
    code = bw_distinct_decode(r, &group->participants, err);
    if (code != BW_OK)
        return code;
    if (group->participants.count == 0 || group->participants.count > group->judged)
        return broken(err);
    return read_sketches(r, group, err);
}

enum bw_code bw_quality_hour_decode(struct bw_view bytes, struct bw_quality_hour **out, struct bw_error *err)
{
    struct bw_quality_hour *hour;
    enum bw_code code = bw_quality_hour_create(&hour, err);
    if (code != BW_OK)
        return code;
    struct bw_reader r = bw_reader_of(bytes);
    if (bw_read_u8(&r) != BW_QUALITY_HOUR_VERSION)
        r.failed = true;
    uint64_t count = bw_varint_read(&r, BW_QUALITY_GROUPS_MAX);
    for (uint64_t i = 0; i < count && code == BW_OK; i++)
        code = read_group(&r, hour, err);
    if (code == BW_OK && !bw_reader_done(&r))
        code = broken(err);
    if (code != BW_OK) {
        bw_quality_hour_destroy(hour);
        return code;
    }
    *out = hour;
    return BW_OK;
}
