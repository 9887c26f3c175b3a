#include "api/record_find.h"

#include "base/reference.h"

struct finding {
    bw_api_found *then;
    void *outer; /* the handler's state, which is at its place again when `then` runs */
};

static void found(struct bw_api_call *call)
{
    const struct finding *finding = call->state;
    struct bw_decision *decision = NULL;
    call->state = finding->outer;
    if (call->order.error.code == BW_OK)
        call->order.error.code = bw_api_record_decode(call->order.decision_find.record, call->arena,
                                                      &decision, &call->order.error);
    finding->then(call, decision, &call->order.error);
}

void bw_api_find_reference(struct bw_api_call *call, const char *reference, bw_api_found *then)
{
    struct finding *finding = bw_arena_zalloc(call->arena, 1, sizeof *finding);
    if (finding == NULL) {
        bw_api_fail_memory(call);
        return;
    }
    finding->then = then;
    finding->outer = call->state;
    call->state = finding;
    call->order.decision_find.reference = reference;
    bw_api_order(call, BW_DESK_DECISION_FIND, found);
}

void bw_api_find_record(struct bw_api_call *call, const struct bw_id *meeting, uint32_t seq,
                        bw_api_found *then)
{
    char *reference = bw_arena_alloc(call->arena, BW_REFERENCE_SIZE);
    if (reference == NULL) {
        bw_api_fail_memory(call);
        return;
    }
    bw_reference_format(meeting, seq, reference);
    bw_api_find_reference(call, reference, then);
}
