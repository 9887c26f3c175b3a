/* Reading one decision back by what people quote; inside this room only. Threads: the worker's. */
#ifndef BW_API_RECORD_FIND_H
#define BW_API_RECORD_FIND_H

#include "api/call.h"

/* decision NULL: *error says why. The decision lies in the call's arena. */
typedef void bw_api_found(struct bw_api_call *call, const struct bw_decision *decision,
                          const struct bw_error *error);

void bw_api_find_record(struct bw_api_call *call, const struct bw_id *meeting, uint32_t seq,
                        bw_api_found *then);
/* `reference` as somebody wrote it. */
void bw_api_find_reference(struct bw_api_call *call, const char *reference, bw_api_found *then);

#endif
