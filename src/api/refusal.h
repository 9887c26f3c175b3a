/* Answering a call that policy refused; inside this room only. Threads: the worker's. */
#ifndef BW_API_REFUSAL_H
#define BW_API_REFUSAL_H

#include "api/call.h"

/* Ends the call with the refusal as a detail of its status. `decision` is a REFUSED. */
void bw_api_fail_refused(struct bw_api_call *call, const struct bw_decision *decision,
                         const struct bw_error *error);
/* One sentence from the record alone; NULL when the arena is full. */
const char *bw_api_refusal_words(const struct bw_decision *decision, const struct bw_fleet_view *view,
                                 struct bw_arena *arena);

#endif
