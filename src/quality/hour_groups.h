/* The inside of an hour, for its encoding. Threads: one at a time. */
#ifndef BW_QUALITY_HOUR_GROUPS_H
#define BW_QUALITY_HOUR_GROUPS_H

#include "quality/hour.h"

struct bw_quality_hour {
    struct bw_quality_group **groups; /* by dimension, then by value */
    size_t count, room;
};

/* At most BW_QUALITY_VALUE_MAX bytes, no control characters. */
bool bw_quality_group_value_ok(struct bw_view value);
/* The group, made if there is none. The value is good. */
BW_MUST_USE enum bw_code bw_quality_hour_group(struct bw_quality_hour *hour,
                                               enum bw_quality_dimension dimension, const char *value,
                                               struct bw_quality_group **out, struct bw_error *err);

#endif
