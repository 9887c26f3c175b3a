/* How a call ends, goes elsewhere, and pages. */
#include "api/call.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "api/api_state.h"
#include "base/alloc.h"
#include "base/check.h"
#include "crypto/hash.h"
#include "runtime/log.h"
#include "wire/wire.h"

const struct bw_api_ports *bw_api_ports_of(const struct bw_api_call *call)
{
    return &call->api->config.ports;
}

const struct bw_api_config *bw_api_config_of(const struct bw_api_call *call)
{
    return &call->api->config;
}

const struct bw_fleet_view *bw_api_view_of(const struct bw_api_call *call)
{
    return bw_owner_view(call->api->config.owner);
}

/* ---- life ---- */

/* As many as a busy worker has under way. */
enum { SPARE_CALLS = 1024 };

/* A call is three kilobytes, most of it the texts of errors: those are written before they are read, so they
 * are not cleared. */
static void clear(struct bw_api_call *call)
{
    char *at = (char *)call;
    struct bw_error *errors[] = {&call->op.error, &call->order.error};
    for (size_t i = 0; i < BW_ARRAY_LEN(errors); i++) {
        memset(at, 0, (size_t)(errors[i]->show - at));
        errors[i]->show[0] = errors[i]->log[0] = '\0';
        at = (char *)(errors[i] + 1);
    }
    memset(at, 0, (size_t)((char *)(call + 1) - at));
}

_Static_assert(offsetof(struct bw_api_call, op) < offsetof(struct bw_api_call, order) &&
                   offsetof(struct bw_error, show) < offsetof(struct bw_error, log) &&
                   offsetof(struct bw_error, log) + sizeof((struct bw_error){0}.log) ==
                       sizeof(struct bw_error),
               "clear() goes through them in this order");

struct bw_api_call *bw_api_call_create(struct bw_api *api)
{
    struct bw_api_call *call = api->spare;
    if (call != NULL) {
        api->spare = call->state;
        api->spare_count--;
    } else {
        call = bw_malloc(sizeof *call);
        if (call == NULL)
            return NULL;
    }
    clear(call);
    call->api = api;
    return call;
}

static void spare(struct bw_api_call *call)
{
    struct bw_api *api = call->api;
    if (api->spare_count == SPARE_CALLS) {
        bw_free(call);
        return;
    }
    call->state = api->spare;
    api->spare = call;
    api->spare_count++;
}

void bw_api_calls_forget(struct bw_api *api)
{
    struct bw_api_call *call;
    while ((call = api->spare) != NULL) {
        api->spare = call->state;
        bw_free(call);
    }
    api->spare_count = 0;
}

/* ---- ending ---- */

/* The request id, for every line about a call; "" when it has none or was refused before it was read. */
static const char *request_of(const struct bw_api_call *call, char text[BW_ID_TEXT_SIZE])
{
    text[0] = '\0';
    if (call->method->changes && !bw_id_is_zero(&call->request_id))
        bw_id_format(&call->request_id, text);
    return text;
}

/* What an error shows its caller can quote the request, so it stays out of here. */
static void log_end(const struct bw_api_call *call, enum bw_code code)
{
    bool audit = call->method->audit;
    enum bw_log_level level = audit ? BW_LOG_INFO : BW_LOG_DEBUG;
    if (!bw_log_enabled(level))
        return;
    char request[BW_ID_TEXT_SIZE];
    bw_log(level, audit ? "audit" : "call", "method=%s caller=%s tenant=%s request=%s code=%s",
           call->method->name, call->caller != NULL ? call->caller : "",
           call->tenant_name != NULL ? call->tenant_name : "", request_of(call, request), bw_code_name(code));
}

/* ---- an admission that reaches nobody ---- */

struct unclaimed {
    struct bw_api_task task;
    struct bw_id meeting, entry;
};

static void unclaimed_at_owner(struct bw_api_task *task, struct bw_owner *owner)
{
    struct unclaimed *unclaimed = (struct unclaimed *)task;
    bw_owner_unclaimed(owner, &unclaimed->meeting, &unclaimed->entry);
    bw_free(unclaimed);
}

/* The call's caller does not hear of its admission. */
static void tell_unclaimed(const struct bw_api_call *call)
{
    const struct bw_op *op = &call->op;
    if ((op->kind != BW_OP_JOIN && op->kind != BW_OP_INVITE) || op->error.code != BW_OK ||
        bw_id_is_zero(&op->admission.entry))
        return;
    struct unclaimed *unclaimed = bw_malloc(sizeof *unclaimed);
    if (unclaimed == NULL)
        return; /* it stays on the roster: nobody is removed for want of memory */
    *unclaimed = (struct unclaimed){
        .task.run = unclaimed_at_owner, .meeting = op->meeting, .entry = op->admission.entry};
    const struct bw_api_ports *ports = bw_api_ports_of(call);
    ports->run_at_owner(ports->context, &unclaimed->meeting, &unclaimed->task);
}

static void end(struct bw_api_call *call, enum bw_code code)
{
    if (code != BW_OK)
        tell_unclaimed(call);

    log_end(call, code);
    bw_secret_finish(&call->op.admission.hop_key);
    bw_grpc_call_release(call->grpc);
    spare(call);
}

void bw_api_reply(struct bw_api_call *call, const ProtobufCMessage *message)
{
    struct bw_buf *scratch = &call->api->scratch;
    bw_buf_clear(scratch);
    if (bw_wire_encode(message, scratch) != BW_OK) {
        bw_api_fail_memory(call);
        return;
    }
    if (bw_grpc_call_cancelled(call->grpc))
        tell_unclaimed(call);
    bw_grpc_reply(call->grpc, bw_buf_view(scratch));
    if (call->op.admission.hop_key.len > 0)
        bw_wipe(scratch->data, scratch->len);
    end(call, BW_OK);
}

/* How soon another try makes sense. */
static uint64_t retry_after_ms(enum bw_code code)
{
    if (bw_code_category(code) != BW_CATEGORY_PASSING || code == BW_DEADLINE_EXCEEDED)
        return 0;
    return code == BW_ABORTED ? 50 : 1000;
}

void bw_api_fail(struct bw_api_call *call, const struct bw_error *error,
                 const struct bw_grpc_details *details)
{
    struct bw_grpc_details full = details != NULL ? *details : (struct bw_grpc_details){0};
    if (full.retry_after_ms == 0)
        full.retry_after_ms = retry_after_ms(error->code);
    bool any = full.retry_after_ms != 0 || full.metadata_count > 0 || full.violation_count > 0 ||
               full.any_type_url != NULL;
    if (bw_code_category(error->code) == BW_CATEGORY_OURS) {
        char request[BW_ID_TEXT_SIZE];
        bw_log(BW_LOG_ERROR, "call_failed", "method=%s request=%s code=%s show=\"%s\" log=\"%s\"",
               call->method->name, request_of(call, request), bw_code_name(error->code), error->show,
               error->log);
    }
    bw_grpc_finish(call->grpc, error, any ? &full : NULL);
    end(call, error->code);
}

void bw_api_finish_stream(struct bw_api_call *call, const struct bw_error *error)
{
    if (error != NULL) {
        bw_api_fail(call, error, NULL);
        return;
    }
    bw_grpc_finish(call->grpc, NULL, NULL);
    end(call, BW_OK);
}

void bw_api_fail_memory(struct bw_api_call *call)
{
    struct bw_error err;
    (void)bw_fail_memory(&err);
    bw_api_fail(call, &err, NULL);
}

static void fail_words(struct bw_api_call *call, enum bw_code code, const char *reason, const char *field,
                       const char *format, va_list args)
{
    char words[400];
    vsnprintf(words, sizeof words, format, args);
    struct bw_error err;
    (void)bw_fail(&err, code, reason, "%s%s%s", field != NULL ? field : "", field != NULL ? ": " : "", words);
    const struct bw_grpc_violation violation = {.field = field, .description = words};
    const struct bw_grpc_details details = {.violations = &violation, .violation_count = field != NULL};
    bw_api_fail(call, &err, &details);
}

void bw_api_fail_field(struct bw_api_call *call, const char *field, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fail_words(call, BW_INVALID_ARGUMENT, NULL, field, format, args);
    va_end(args);
}

void bw_api_fail_later(struct bw_api_call *call, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fail_words(call, BW_UNIMPLEMENTED, "NOT_BUILT", NULL, format, args);
    va_end(args);
}

void bw_api_later(struct bw_api_call *call)
{
    bw_api_fail_later(call, "%s is not built yet", call->method->name);
}

/* ---- elsewhere ---- */

struct bw_api_call *bw_api_call_of(struct bw_op *op)
{
    return (struct bw_api_call *)((char *)op - offsetof(struct bw_api_call, op));
}

static void op_done(struct bw_op *op)
{
    struct bw_api_call *call = op->context;
    call->next(call);
}

void bw_api_submit(struct bw_api_call *call, enum bw_op_kind kind, bw_api_handler *next)
{
    struct bw_op *op = &call->op;
    op->kind = kind;
    op->tenant = call->tenant;
    op->request = call->request_id;
    memcpy(op->fingerprint, call->fingerprint, sizeof op->fingerprint);
    op->deadline_mono_ms = bw_grpc_call_deadline_mono_ms(call->grpc);
    op->arena = call->arena;
    op->done = op_done;
    op->context = call;
    op->error.code = BW_OK;
    op->decision = NULL;
    op->seq = 0;
    op->group = 0;
    op->batch = NULL;
    op->attempts = 0;
    op->wait_until_ms = 0;
    call->next = next;
    const struct bw_api_ports *ports = bw_api_ports_of(call);
    ports->submit(ports->context, op);
}

static void order_done(struct bw_desk_order *order)
{
    struct bw_api_call *call = order->context;
    call->next(call);
}

void bw_api_order(struct bw_api_call *call, enum bw_desk_kind kind, bw_api_handler *next)
{
    struct bw_desk_order *order = &call->order;
    order->kind = kind;
    order->request = call->request_id;
    order->arena = call->arena;
    order->done = order_done;
    order->context = call;
    order->error.code = BW_OK;
    call->next = next;
    const struct bw_api_ports *ports = bw_api_ports_of(call);
    ports->desk(ports->context, order);
}

struct bw_id bw_api_id(const char *text)
{
    struct bw_id id = {{0}};
    (void)bw_id_parse(bw_view_str(text), &id);
    return id;
}

/* ---- pages ---- */

uint32_t bw_api_page_size(uint32_t asked)
{
    if (asked == 0)
        return BW_API_PAGE_DEFAULT;
    return asked < BW_API_PAGE_MAX ? asked : BW_API_PAGE_MAX;
}

enum { STAMP_DIGITS = 16 };

/* Of the request without what says which page: a token of another request does not have it. */
static bool stamp(struct bw_api_call *call, char text[STAMP_DIGITS + 1])
{
    const ProtobufCMessageDescriptor *descriptor = call->request->descriptor;
    ProtobufCMessage *plain = bw_arena_memdup(call->arena, call->request, descriptor->sizeof_message);
    if (plain == NULL)
        return false;
    const ProtobufCFieldDescriptor *token =
        protobuf_c_message_descriptor_get_field_by_name(descriptor, "page_token");
    const ProtobufCFieldDescriptor *size =
        protobuf_c_message_descriptor_get_field_by_name(descriptor, "page_size");
    *(const char **)((char *)plain + token->offset) = (const char *)protobuf_c_empty_string;
    *(uint32_t *)((char *)plain + size->offset) = 0;
    struct bw_buf bytes = {0};
    bw_buf_append_str(&bytes, call->method->path);
    bool ok = bw_wire_encode(plain, &bytes) == BW_OK;
    if (ok) {
        uint8_t digest[BW_SHA256_SIZE];
        bw_sha256(bw_buf_view(&bytes), digest);
        for (size_t i = 0; i < STAMP_DIGITS / 2; i++)
            snprintf(text + 2 * i, 3, "%02x", digest[i]);
    }
    bw_buf_finish(&bytes);
    return ok;
}

bool bw_api_page_position(struct bw_api_call *call, const char *token, const char **position)
{
    char expected[STAMP_DIGITS + 1];
    if (token[0] == '\0') {
        *position = "";
        return true;
    }
    if (!stamp(call, expected)) {
        bw_api_fail_memory(call);
        return false;
    }
    if (strncmp(token, expected, STAMP_DIGITS) != 0 || token[STAMP_DIGITS] != '.' ||
        token[STAMP_DIGITS + 1] == '\0') {
        bw_api_fail_field(call, "page_token",
                          "not a token of this request; take next_page_token as it came, "
                          "and leave the other fields as they were");
        return false;
    }
    *position = token + STAMP_DIGITS + 1;
    return true;
}

const char *bw_api_page_token(struct bw_api_call *call, const char *position)
{
    char text[STAMP_DIGITS + 1];
    if (!stamp(call, text))
        return NULL;
    return bw_arena_printf(call->arena, "%s.%s", text, position);
}
