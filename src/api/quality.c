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
