/* The services: each call is authorised at one gate, decoded, handed to the core, and its answer encoded. One
 * api a worker. What it needs from the rest of the daemon are ports, which the server fills in.
 *
 * Threads: the worker's, but for what says otherwise. */
#ifndef BW_API_API_H
#define BW_API_API_H

#include <stddef.h>
#include <stdint.h>

#include "api/caller.h"
#include "api/desk.h"
#include "api/opening.h"
#include "api/quality.h"
#include "control/owner.h"
#include "grpc/server.h"
#include "runtime/mailbox.h"

struct bw_api;

/* Work for another thread; embed it in what it needs. */
struct bw_api_task {
    struct bw_mail mail;                                           /* the server's */
    void *worker;                                                  /* the server's: where it runs */
    void (*run)(struct bw_api_task *task, struct bw_owner *owner); /* the owner of the thread it runs on */
};

/* Work for every owner, one after the other. */
struct bw_api_sweep {
    struct bw_api_task task;                                           /* the server's */
    size_t at;                                                         /* the server's */
    void *home;                                                        /* the server's */
    void (*visit)(struct bw_api_sweep *sweep, struct bw_owner *owner); /* on each owner's thread */
    void (*done)(struct bw_api_sweep *sweep);                          /* on the worker that asked */
};

struct bw_api_ports {
    void *context;
    /* Takes the op to its meeting's owner, which may be another worker; op->done runs on this worker.
     * op->read of a READ runs on the owner's. */
    void (*submit)(void *context, struct bw_op *op);
    /* A fresh meeting id, made so that this worker owns it. */
    struct bw_id (*new_meeting)(void *context);
    /* order->done runs on this worker. */
    void (*desk)(void *context, struct bw_desk_order *order);
    /* Runs fn on this worker (any thread may call), or on the thread of a meeting's owner. The task is the
     * caller's memory and is free again when fn runs. */
    void (*run_here)(void *context, struct bw_api_task *task);
    void (*run_at_owner)(void *context, const struct bw_id *meeting, struct bw_api_task *task);
    /* Every owner in turn, for lists: fn runs on each owner's thread, then `done` on this worker. */
    void (*each_owner)(void *context, struct bw_api_sweep *sweep);
    /* Signs a certificate for the key in a CSR with exactly this SPIFFE id. `done` runs on this worker; pem
     * is valid inside only. UNAVAILABLE without the signer; FAILED_PRECONDITION when the cell's CA is not
     * here. */
    void (*certify)(void *context, struct bw_view csr_der, const char *spiffe_id, uint32_t lifetime_s,
                    void (*done)(void *done_context, const struct bw_error *error, struct bw_view pem),
                    void *done_context);
    /* Callers as of now; borrowed until the next turn of the loop. Never NULL. */
    const struct bw_callers *(*callers)(void *context);
    /* The country (ISO 3166-1) of a participant's address; "" unknown. NULL: there is no database, and every
     * address is of an unknown country. */
    void (*country_of)(void *context, const char *address, char country[3]);
    /* Takes a batch of quality to the ingest; batch->done runs on this worker. NULL: quality is not kept. */
    void (*quality)(void *context, struct bw_api_quality *batch);
    /* Asks the vault; opening->row and ->done run on this worker, `done` maybe at once. NULL: metadata is not
     * kept. */
    void (*open)(void *context, struct bw_api_opening *opening);
    /* Has the vault destroy a meeting's keys; erasure->done runs on this worker, maybe at once. NULL: as
     * `open`. */
    void (*erase)(void *context, struct bw_api_erasure *erasure);
};

struct bw_api_config {
    struct bw_api_ports ports;
    struct bw_owner *owner; /* this worker's */
    const char *cell, *trust_domain, *version;
    /* The SPIFFE id whose rights a call in clear text (h2c, loopback only) has: tests and benchmarks. NULL:
     * such calls are refused. */
    const char *insecure_caller;
};

BW_MUST_USE enum bw_code bw_api_create(const struct bw_api_config *config, struct bw_api **out,
                                       struct bw_error *err);
/* NULL is allowed. */
void bw_api_destroy(struct bw_api *api);

/* All methods of all services but RelayService.Session (the server's own, since it belongs to the fleet hub).
 * Valid as long as the api. */
const struct bw_grpc_method *bw_api_methods(const struct bw_api *api, size_t *count);

/* The gate, as the grpc server's `admit`: context is the api. */
enum bw_code bw_api_admit(struct bw_grpc_call *call, const struct bw_grpc_method *method, void *context,
                          struct bw_error *err);

/* ---- decision records: struct bw_decision to the stored bytes and back ---- */
BW_MUST_USE enum bw_code bw_api_record_encode(const struct bw_decision *decision, struct bw_buf *out,
                                              struct bw_error *err);
/* Appends to an encoded JOINED where who it is lies sealed. */
void bw_api_record_name_roster(const struct bw_id *roster, uint32_t index, struct bw_buf *record);
/* Into the arena. DATA_LOSS when the bytes are no record of ours. */
BW_MUST_USE enum bw_code bw_api_record_decode(struct bw_view bytes, struct bw_arena *arena,
                                              struct bw_decision **out, struct bw_error *err);

/* ---- enrolment facts: the stored bytes to policy's struct; strings in the arena ---- */
BW_MUST_USE enum bw_code bw_api_facts_decode(struct bw_view bytes, uint32_t number, struct bw_arena *arena,
                                             struct bw_relay_facts *out, uint32_t *capacity,
                                             struct bw_error *err);

#endif
