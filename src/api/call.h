/* One call being served; inside this room only. The gate makes it when the request is read, authorised and
 * checked; a handler ends it exactly once, with bw_api_reply, bw_api_fail or one of their kin, at once or
 * from a later turn. Not in the grpc call's arena, because an admission holds a hop key.
 *
 * Threads: the worker's. While its op is with the owner, only the owner touches op and arena. */
#ifndef BW_API_CALL_H
#define BW_API_CALL_H

#include <protobuf-c/protobuf-c.h>

#include "api/api.h"
#include "grpc/details.h"

struct bw_api_call;

enum bw_api_streams {
    BW_API_STREAMS_NONE,
    BW_API_STREAMS_SERVER,
    BW_API_STREAMS_CLIENT,
    BW_API_STREAMS_BOTH
};
enum bw_api_tenant { BW_API_TENANT_NO, BW_API_TENANT_FIELD, BW_API_TENANT_NAME, BW_API_TENANT_LIST };

typedef void bw_api_handler(struct bw_api_call *call);

/* A row of api/methods.h. */
struct bw_api_method {
    const char *service, *name, *path;
    enum bw_api_streams streams;
    uint32_t roles;
    enum bw_api_tenant tenant;
    bool changes, audit;
    bw_api_handler *handler;
};

struct bw_api_call {
    struct bw_api *api;
    const struct bw_api_method *method;
    struct bw_grpc_call *grpc; /* held until the end */
    struct bw_arena *arena;    /* the grpc call's */
    const ProtobufCMessage *request;
    const char *caller; /* SPIFFE id */
    uint32_t roles;
    /* Of rows that bind one. */
    struct bw_id tenant;
    const char *tenant_name;
    /* Of rows that change something. */
    struct bw_id request_id;
    uint8_t fingerprint[8];

    struct bw_op op;
    struct bw_desk_order order;
    bw_api_handler *next; /* runs when the op, or the order, is done */
    void *state;          /* the handler's own */
};

const struct bw_api_ports *bw_api_ports_of(const struct bw_api_call *call);
const struct bw_api_config *bw_api_config_of(const struct bw_api_call *call);
/* Fleet view of now; NULL before the first. Borrowed until the next turn. */
const struct bw_fleet_view *bw_api_view_of(const struct bw_api_call *call);

/* ---- ending it ---- */
void bw_api_reply(struct bw_api_call *call, const ProtobufCMessage *message);
/* details may be NULL. Says RetryInfo for passing conditions. */
void bw_api_fail(struct bw_api_call *call, const struct bw_error *error,
                 const struct bw_grpc_details *details);
void bw_api_fail_memory(struct bw_api_call *call);
/* INVALID_ARGUMENT about one field of the request, also as a BadRequest violation. */
void bw_api_fail_field(struct bw_api_call *call, const char *field, const char *format, ...) BW_PRINTF(3, 4);
/* A streaming call's end; error NULL: it ends well. */
void bw_api_finish_stream(struct bw_api_call *call, const struct bw_error *error);
/* UNIMPLEMENTED. */
void bw_api_fail_later(struct bw_api_call *call, const char *format, ...) BW_PRINTF(2, 3);

/* ---- going elsewhere; `next` goes on, with the outcome in call->op.error or call->order.error ---- */
/* From inside op->read, where the context may be the port's. */
struct bw_api_call *bw_api_call_of(struct bw_op *op);
/* kind and the request part that goes with it are filled in already; ids, deadline and arena are not. */
void bw_api_submit(struct bw_api_call *call, enum bw_op_kind kind, bw_api_handler *next);
/* kind and its part are filled in; request id and arena are not. */
void bw_api_order(struct bw_api_call *call, enum bw_desk_kind kind, bw_api_handler *next);

/* A uuid field the strict decoder has checked. */
struct bw_id bw_api_id(const char *text);

/* ---- pages ---- */
enum { BW_API_PAGE_DEFAULT = 50, BW_API_PAGE_MAX = 200 };
uint32_t bw_api_page_size(uint32_t asked);
/* The position a page token names, "" at the start. False, and the call has failed, when the token is not one
 * this very request produced. */
bool bw_api_page_position(struct bw_api_call *call, const char *token, const char **position);
/* A token for going on behind a position (printable ASCII); NULL when the arena is full. */
const char *bw_api_page_token(struct bw_api_call *call, const char *position);

#endif
