/* What the files of this room share; nobody else includes this. */
#ifndef BW_API_API_STATE_H
#define BW_API_API_STATE_H

#include "api/gate.h"

/* A row with the api it is served by: the grpc method's context. */
struct bw_api_entry {
    struct bw_api *api;
    size_t row;
};

struct bw_api {
    struct bw_api_config config; /* strings are ours */
    char *cell, *trust_domain, *version, *insecure_caller;
    struct bw_api_shape *shapes;    /* bw_api_table_count */
    struct bw_api_entry *entries;   /* likewise */
    struct bw_grpc_method *methods; /* those with a handler */
    size_t method_count;
    struct bw_buf scratch;     /* the reply being sent */
    struct bw_api_call *spare; /* calls that are over, for those to come */
    size_t spare_count;
};

/* A call, cleared; NULL when memory is out. */
struct bw_api_call *bw_api_call_create(struct bw_api *api);
void bw_api_calls_forget(struct bw_api *api);

/* The grpc method's `message`. */
void bw_api_message(struct bw_grpc_call *grpc, struct bw_view bytes, void *context);

/* The caller's SPIFFE id; NULL: none. */
const char *bw_api_identity(const struct bw_api *api, const struct bw_grpc_call *call);

/* FAILED_PRECONDITION WRONG_CELL, with the cell in details, when the tenant's data rest elsewhere. */
BW_MUST_USE enum bw_code bw_api_check_cell(struct bw_api_call *call, const struct bw_known_tenant *tenant,
                                           struct bw_grpc_details *details, struct bw_error *err);

/* meeting_watch.c: the streaming call's. */
void bw_api_watch_ended(struct bw_grpc_call *grpc, enum bw_code why, void *context);

#endif
