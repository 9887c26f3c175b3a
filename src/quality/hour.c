#include "quality/hour.h"

#include <string.h>

#include "base/alloc.h"
#include "base/check.h"
#include "quality/hour_groups.h"

enum bw_code bw_quality_hour_create(struct bw_quality_hour **out, struct bw_error *err)
{
    struct bw_quality_hour *hour = bw_calloc(1, sizeof *hour);
    if (hour == NULL)
        return bw_fail_memory(err);
    *out = hour;
    return BW_OK;
}

static void group_destroy(struct bw_quality_group *group)
{
    for (unsigned metric = 0; metric < BW_QUALITY_METRICS; metric++)
        bw_sketch_finish(&group->sketches[metric]);
    bw_free(group);
}

void bw_quality_hour_destroy(struct bw_quality_hour *hour)
{
    if (hour == NULL)
        return;
    for (size_t i = 0; i < hour->count; i++)
        group_destroy(hour->groups[i]);
    bw_free(hour->groups);
    bw_free(hour);
}

bool bw_quality_group_value_ok(struct bw_view value)
{
    if (value.len > BW_QUALITY_VALUE_MAX)
        return false;
    for (size_t i = 0; i < value.len; i++)
        if (value.data[i] < 0x20 || value.data[i] == 0x7f)
            return false;
    return true;
}

static int compare(const struct bw_quality_group *group, enum bw_quality_dimension dimension,
                   const char *value)
{
    if (group->dimension != dimension)
        return group->dimension < dimension ? -1 : 1;
    return strcmp(group->value, value);
}

static size_t position(const struct bw_quality_hour *hour, enum bw_quality_dimension dimension,
                       const char *value, bool *there)
{
    size_t low = 0, high = hour->count;
    *there = false;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = compare(hour->groups[middle], dimension, value);
        if (order == 0) {
            *there = true;
            return middle;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

enum bw_code bw_quality_hour_group(struct bw_quality_hour *hour, enum bw_quality_dimension dimension,
                                   const char *value, struct bw_quality_group **out, struct bw_error *err)
{
    bool there;
    size_t at = position(hour, dimension, value, &there);
    if (there) {
        *out = hour->groups[at];
        return BW_OK;
    }
    if (hour->count == BW_QUALITY_GROUPS_MAX)
        return bw_fail(err, BW_RESOURCE_EXHAUSTED, NULL, "an hour holds at most %d groups",
                       BW_QUALITY_GROUPS_MAX);
    if (hour->count == hour->room) {
        size_t room = hour->room == 0 ? 16 : hour->room * 2;
        struct bw_quality_group **groups = bw_realloc(hour->groups, room * sizeof(struct bw_quality_group *));
        if (groups == NULL)
            return bw_fail_memory(err);
        hour->groups = groups;
        hour->room = room;
    }
    struct bw_quality_group *group = bw_calloc(1, sizeof *group);
    if (group == NULL)
        return bw_fail_memory(err);
    group->dimension = dimension;
    memcpy(group->value, value, strlen(value));
    memmove(&hour->groups[at + 1], &hour->groups[at], (hour->count - at) * sizeof(struct bw_quality_group *));
    hour->groups[at] = group;
    hour->count++;
    *out = group;
    return BW_OK;
}

/* Groups that were made for a window which was then not added. */
static void drop_empty(struct bw_quality_hour *hour)
{
    size_t kept = 0;
    for (size_t i = 0; i < hour->count; i++) {
        if (hour->groups[i]->judged == 0)
            group_destroy(hour->groups[i]);
        else
            hour->groups[kept++] = hour->groups[i];
    }
    hour->count = kept;
}

static bool has(const struct bw_quality_judgement *judgement, unsigned metric)
{
    return judgement->metrics.present >> metric & 1;
}

/* Everything that can fail: after it, adding cannot. */
static enum bw_code prepare(struct bw_quality_hour *hour, const struct bw_quality_place *place,
                            const struct bw_quality_judgement *judgement, struct bw_error *err)
{
    struct bw_quality_group *group = NULL;
    if ((unsigned)place->dimension >= BW_QUALITY_DIMENSIONS ||
        !bw_quality_group_value_ok(bw_view_str(place->value)))
        return bw_fail(err, BW_INVALID_ARGUMENT, NULL,
                       "a group's value has at most %d bytes and no control characters",
                       BW_QUALITY_VALUE_MAX);
    enum bw_code code = bw_quality_hour_group(hour, place->dimension, place->value, &group, err);
    if (group == NULL)
        return code;
    for (unsigned metric = 1; code == BW_OK && metric < BW_QUALITY_METRICS; metric++)
        if (has(judgement, metric))
            code = bw_sketch_reserve(&group->sketches[metric], err);
    return code;
}

static void count_window(struct bw_quality_group *group, const struct bw_quality_judgement *judgement,
                         uint64_t participant)
{
    group->judged++;
    if (judgement->class == BW_QUALITY_RED)
        group->poor++;
    bw_distinct_add(&group->participants, participant);
    for (unsigned metric = 1; metric < BW_QUALITY_METRICS; metric++) {
        if (!has(judgement, metric))
            continue;
        enum bw_code code = bw_sketch_add(&group->sketches[metric], judgement->metrics.values[metric], NULL);
        BW_CHECK(code == BW_OK); /* room was reserved */
        group->red[metric] += judgement->red >> metric & 1;
    }
}

enum bw_code bw_quality_hour_add(struct bw_quality_hour *hour, const struct bw_quality_place *places,
                                 size_t place_count, const struct bw_quality_judgement *judgement,
                                 uint64_t participant, struct bw_error *err)
{
    if (judgement->class == BW_QUALITY_GREY)
        return BW_OK;
    enum bw_code code = BW_OK;
    for (size_t i = 0; i < place_count && code == BW_OK; i++)
        code = prepare(hour, &places[i], judgement, err);
    if (code != BW_OK) {
        drop_empty(hour);
        return code;
    }
    for (size_t i = 0; i < place_count; i++) {
        bool there;
        size_t at = position(hour, places[i].dimension, places[i].value, &there);
        count_window(hour->groups[at], judgement, participant);
    }
    return BW_OK;
}

enum bw_code bw_quality_hour_merge(struct bw_quality_hour *into, const struct bw_quality_hour *from,
                                   struct bw_error *err)
{
    for (size_t i = 0; i < from->count; i++) {
        const struct bw_quality_group *source = from->groups[i];
        struct bw_quality_group *group = NULL;
        enum bw_code code = bw_quality_hour_group(into, source->dimension, source->value, &group, err);
        if (group == NULL)
            return code;
        if (group->judged > UINT64_MAX - source->judged)
            code = bw_fail(err, BW_OUT_OF_RANGE, NULL, "the counts of the two hours do not fit into one");
        for (unsigned metric = 1; code == BW_OK && metric < BW_QUALITY_METRICS; metric++) {
            code = bw_sketch_merge(&group->sketches[metric], &source->sketches[metric], err);
            group->red[metric] += source->red[metric];
        }
        if (code != BW_OK)
            return code;
        group->judged += source->judged;
        group->poor += source->poor;
        bw_distinct_merge(&group->participants, &source->participants);
    }
    return BW_OK;
}

size_t bw_quality_hour_count(const struct bw_quality_hour *hour)
{
    return hour->count;
}

const struct bw_quality_group *bw_quality_hour_at(const struct bw_quality_hour *hour, size_t index)
{
    BW_CHECK(index < hour->count);
    return hour->groups[index];
}

const struct bw_quality_group *bw_quality_hour_find(const struct bw_quality_hour *hour,
                                                    enum bw_quality_dimension dimension, const char *value)
{
    bool there;
    size_t at = position(hour, dimension, value, &there);
    return there ? hour->groups[at] : NULL;
}
