/* What the parts of a running daemon share: who is who, and what does not change while it serves. Created and
 * torn down by daemon.c; everybody else borrows. Threads: immutable once the workers run, but for what is an
 * object with threads of its own (desk, hub, book). */
#ifndef BW_SERVER_DAEMON_H
#define BW_SERVER_DAEMON_H

#include <stdbool.h>
#include <stdint.h>

#include "base/id.h"
#include "control/book.h"
#include "geo/geo.h"
#include "grpc/tls.h"
#include "placement/snapshot.h"
#include "server/config.h"
#include "server/desk.h"
#include "store/replicas.h"

struct bw_hub;
struct bw_ingest;
struct bw_vault_keeper;
struct bw_worker;
struct bw_signer_link;

struct bw_daemon {
    const struct bw_daemon_config *config;
    struct bw_store_replica_key replica;
    char replica_name[BW_ID_TEXT_SIZE];
    struct bw_snapshot *topology; /* of the topology file; NULL: none given */
    struct bw_id stream;          /* of the decision log */
    struct bw_grpc_tls *tls;      /* NULL: h2c on loopback */
    struct bw_geo *geo;           /* NULL: no database */
    struct bw_book *book;
    struct bw_desk *desk;          /* administrative calls */
    struct bw_desk *support_desk;  /* what reads much: an administrator does not wait behind a supporter */
    struct bw_desk *lease_desk;    /* leases and the group index: must not wait behind the other */
    struct bw_vault_keeper *vault; /* NULL: metadata is not kept */
    struct bw_ingest *ingest;
    struct bw_hub *hub;
    struct bw_worker **workers;
    unsigned worker_count;
    struct bw_loop *main_loop;
    int state_lock; /* held for life; -1: not yet */
    _Atomic bool fenced, broken, serving;
};

/* The worker that owns a meeting in this replica. */
unsigned bw_daemon_owner_index(const struct bw_daemon *daemon, const struct bw_id *meeting);

/* This replica may no longer act: it stops. Threads: any. */
void bw_daemon_fenced(struct bw_daemon *daemon);
/* What this process holds is no longer what the log says (memory was out at the wrong moment): it stops with
 * exit status 7, for the supervisor to start it again. Threads: any. */
void bw_daemon_broken(struct bw_daemon *daemon, const char *what);

/* Reads the certificates and the geo database again; on failure the old ones stay. Main thread. */
void bw_daemon_reload(struct bw_daemon *daemon);

/* serve: runs until SIGTERM or SIGINT, then drains. The exit code of the process. */
int bw_daemon_serve(const struct bw_daemon_config *config);

#endif
