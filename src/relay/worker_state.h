/* The worker's insides, shared by worker.c, worker_cells.c and status.c. For nobody else. */
#ifndef BW_RELAY_WORKER_STATE_H
#define BW_RELAY_WORKER_STATE_H

#include "fleet/client.h"
#include "relay/config.h"
#include "relay/core.h"
#include "relay/probe.h"
#include "relay/socket.h"
#include "relay/status.h"
#include "relay/worker.h"
#include "runtime/loop.h"
#include "runtime/signals.h"

struct worker_cell {
    struct bw_relay_worker *worker;
    size_t index;
    const struct bw_relay_cell_settings *settings;
    uint8_t session_secret[BW_SESSION_SECRET];
    struct bw_grpc_tls *tls;
    struct bw_fleet_client *client;
    struct bw_prober *prober;
    uint32_t relay_number;
    enum bw_authority authority; /* as last logged */
    bool stopped;                /* has said goodbye */
};

/* Rates over the last second or so. */
struct worker_rates {
    uint64_t at_us, cpu_us, bytes, packets;
    struct bw_relay_load load;
};

/* What is measured in the running window. */
struct worker_measured {
    size_t cell;
    struct bw_relay_quality sample;
};
struct worker_quality {
    uint64_t start_ms; /* unix; a multiple of the window */
    struct worker_measured *measured;
    size_t count, room;
    struct bw_relay_quality *out; /* likewise `room` of them */
};

struct bw_relay_worker {
    const struct bw_relay_config *config;
    const char *file;
    struct bw_id boot_id;
    uint64_t started_us;
    struct bw_loop *loop;
    struct bw_outbox outbox;
    struct bw_relay_core *core;
    struct bw_socket *socket;
    struct bw_timer *tick, *probe, *window, *ending;
    struct bw_signal *term, *interrupt, *reload;
    struct bw_status_server *status;
    struct worker_cell cells[BW_RELAY_CELLS_MAX];
    size_t cell_count;
    struct worker_rates rates;
    uint64_t refused_told[BW_REFUSAL_BOUND]; /* of the counters, what events have said */
    uint64_t statistics_us;                  /* when they were logged last */
    struct worker_quality quality;
    bool stopping;
    uint64_t end_ms; /* stopping: at the latest */
};

struct bw_relay_now worker_now(void);
void worker_flush(struct bw_relay_worker *worker);

/* ---- worker_cells.c ---- */
BW_MUST_USE enum bw_code worker_cell_start(struct bw_relay_worker *worker, size_t index,
                                           struct bw_error *err);
/* Tells the core how far the cell's word reaches now. */
void worker_cell_authority(struct worker_cell *cell);
void worker_cell_finish(struct worker_cell *cell);
/* Reads the certificates again for connections from now on. */
BW_MUST_USE enum bw_code worker_cell_reload(struct worker_cell *cell, struct bw_error *err);
void worker_joined(void *context, size_t index, const struct bw_meeting_slot *slot, bool provisional);
void worker_left(void *context, size_t index, const struct bw_id *meeting, uint32_t slot,
                 enum bw_left_why why);
/* Says which grants were refused since it was last said. */
void worker_tell_refusals(struct bw_relay_worker *worker);

/* ---- worker_quality.c ---- */
/* The first window begins; the timer `window` ends each. */
void worker_quality_begin(struct bw_relay_worker *worker);
/* Ends the running window, reports it, and begins the next. */
void worker_quality_window(struct bw_relay_worker *worker);
/* The core's hook. */
void worker_quality_measured(void *context, const struct bw_relay_path *path);
void worker_quality_finish(struct bw_relay_worker *worker);

/* ---- status.c ---- */
/* What `bailiwick-relay status` prints; a failure of memory shows in out->failed. */
void worker_status_json(struct bw_relay_worker *worker, struct bw_buf *out);

#endif
