/* A cell of one's own for a benchmark: a private PostgreSQL, keys and certificates, `bailiwickd serve` on
 * loopback with mutual TLS, a vault with a database user of its own, a tenant with a policy, fifty enrolled
 * relays. Everything lies in a temporary directory and is gone at the end, also after SIGINT or SIGTERM. What
 * fails ends the program and says why; the daemon's log is printed then. Threads: the main one. */
#ifndef BW_BENCH_CELL_H
#define BW_BENCH_CELL_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/arena.h"
#include "base/id.h"
#include "base/status.h"
#include "grpc/client.h"
#include "pg_cluster.h"

enum { BENCH_RELAYS = 50, BENCH_PATH = 512 };

#define BENCH_TENANT "acme"

struct bench_cell {
    struct bw_pg_cluster cluster;
    char conninfo[512]; /* as the owner; the daemon and its vault are users with less */
    char directory[256];
    char endpoint[64]; /* host:port */
    unsigned http_port;
    bool vault;
    pid_t daemon;
    struct bw_grpc_tls *app;                  /* an application's credential for the tenant */
    struct bw_grpc_tls *support;              /* a credential of its support, tier 2 */
    struct bw_grpc_tls *relays[BENCH_RELAYS]; /* relay i is "relay-<i>" */
    struct bw_grpc_sync *sync;                /* a connection with the application's credential */
};

enum bench_metadata { BENCH_METADATA_NOT_KEPT, BENCH_METADATA_SEALED };

/* In front of everything else, before any thread is started. `workers`: of the daemon, 0: its default. */
void bench_cell_start(struct bench_cell *cell, unsigned workers, enum bench_metadata metadata);
void bench_cell_stop(struct bench_cell *cell);

/* One more connection with a credential. */
struct bw_grpc_sync *bench_cell_dial(const struct bench_cell *cell, struct bw_grpc_tls *tls);
/* One call on a connection. The reply lies in the arena. */
const ProtobufCMessage *bench_cell_call(struct bw_grpc_sync *sync, const char *path,
                                        const ProtobufCMessage *request,
                                        const ProtobufCMessageDescriptor *descriptor, struct bw_arena *arena);

/* Starts a program beside the cell, its output in the cell's log; the caller ends it. */
pid_t bench_cell_spawn(const struct bench_cell *cell, const char *const *argv);
/* A TCP port of the loopback that is free now. */
unsigned bench_free_port(void);
/* CPU time of a process so far. */
double bench_cpu_s(pid_t pid);
/* CPU time of the daemon and its children so far. */
double bench_cell_cpu_s(const struct bench_cell *cell);

/* A metric of the daemon, all its lines added up; ends the program when there is none of that name. */
double bench_cell_metric(const struct bench_cell *cell, const char *name);

/* Ends the program when code is not OK. */
void bench_must(enum bw_code code, const struct bw_error *err);
/* A country that participant or relay number n is in; five countries, each a region of its own. */
const char *bench_country(unsigned n);
struct bw_id bench_new_id(void);

#endif
