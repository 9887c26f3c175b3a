/* SubjectService: what is kept about people, and its end. */
#include <string.h>

#include "api/encode.h"
#include "api/gate.h"
#include "bailiwick/v1/subject.pb-c.h"

static void erased(struct bw_api_erasure *erasure)
{
    struct bw_api_call *call = erasure->context;
    if (erasure->error.code != BW_OK) {
        struct bw_error error = erasure->error;
        bw_api_fail(call, &error, NULL);
        return;
    }
    Bailiwick__V1__EraseMeetingResponse response = BAILIWICK__V1__ERASE_MEETING_RESPONSE__INIT;
    Bailiwick__V1__ErasureReceipt receipt = BAILIWICK__V1__ERASURE_RECEIPT__INIT;
    receipt.receipt_id = bw_api_id_text(&erasure->receipt, call->arena);
    receipt.tenant_id = bw_api_id_text(&erasure->tenant, call->arena);
    receipt.meeting_id = bw_api_id_text(&erasure->meeting, call->arena);
    receipt.erased_unix_ms = (int64_t)erasure->at_ms;
    receipt.keys_destroyed = erasure->meeting_keys;
    receipt.scope_keys_destroyed = erasure->scope_keys;
    receipt.signature = (ProtobufCBinaryData){sizeof erasure->signature, erasure->signature};
    response.receipt = &receipt;
    if (receipt.receipt_id == NULL || receipt.tenant_id == NULL || receipt.meeting_id == NULL)
        bw_api_fail_memory(call);
    else
        bw_api_reply(call, &response.base);
}

void bw_api_erase_meeting(struct bw_api_call *call)
{
    const Bailiwick__V1__EraseMeetingRequest *request =
        (const Bailiwick__V1__EraseMeetingRequest *)call->request;
    const struct bw_api_ports *ports = bw_api_ports_of(call);
    if (ports->erase == NULL) {
        bw_api_fail_later(call, "this process keeps no metadata");
        return;
    }
    struct bw_api_erasure *erasure = bw_arena_zalloc(call->arena, 1, sizeof *erasure);
    if (erasure == NULL) {
        bw_api_fail_memory(call);
        return;
    }
    *erasure = (struct bw_api_erasure){.actor = call->caller,
                                       .method = call->method->name,
                                       .request = call->request_id,
                                       .tenant = call->tenant,
                                       .meeting = bw_api_id(request->meeting_id),
                                       .done = erased,
                                       .context = call};
    ports->erase(ports->context, erasure);
}
