/* A small cell around real processes: the server half of the session over real gRPC (one port a relay, clear
 * text on loopback), a decision log that the test writes, a signing key; and the programs bailiwick-relay and
 * bailiwick-endpoint as children. */
#ifndef BW_TESTS_RELAY_CELL_H
#define BW_TESTS_RELAY_CELL_H

#include <jansson.h>
#include <sys/types.h>

#include "fleet/feed.h"
#include "fleet/session.h"
#include "grpc/server.h"
#include "runtime/loop.h"

enum { CELL_RELAYS = 2, CELL_ENDPOINTS = 8 };

struct cell_relay {
    struct cell *cell;
    size_t index;
    char name[16];
    pid_t pid;
    struct bw_enrolment enrolment;
    struct bw_grpc_server *server;
    uint16_t port;
    struct bw_feed *feed;
    struct bw_session *session; /* NULL: no stream */
    struct bw_grpc_call *call;
    bool closed;
    uint64_t epoch;
    uint8_t secret[BW_SESSION_SECRET];
    char media[64];
    uint64_t acked; /* group */
    unsigned hellos, resumed, by_snapshot, joined, left, provisional, refused, probes, bye;
    struct bw_probe_report last_probe;
    bool renew; /* leases are renewed */
};

struct cell_endpoint {
    pid_t pid;
    int output;
};

struct cell {
    char directory[128], binaries[512];
    struct bw_loop *loop;
    struct bw_timer *timer;
    struct bw_arena *arena;
    struct bw_ed25519_signer *signer;
    struct bw_grant_key key;
    struct bw_id stream;
    uint64_t group;
    struct cell_relay relays[CELL_RELAYS];
    struct cell_endpoint endpoints[CELL_ENDPOINTS];
};

/* cmocka's setup and teardown: two relays run, have their sessions, the key and their leases. */
int cell_setup(void **state);
int cell_teardown(void **state);

/* i below is the number of a relay, or of an endpoint, in the cell. */
void cell_start_relay(struct cell *cell, size_t i);
/* Runs the loop until `done` says so; fails the test after ten seconds. */
void cell_until(struct cell *cell, bool (*done)(struct cell *cell), const char *what);
/* As that, for a relay that has acknowledged everything in its feed. */
void cell_settle(struct cell *cell, size_t i);
void cell_wait(struct cell *cell, uint64_t ms);

struct bw_meeting_slot cell_slot(uint8_t meeting, uint32_t slot);
void cell_put_slot(struct cell *cell, size_t i, const struct bw_meeting_slot *slot);
void cell_remove_slot(struct cell *cell, size_t i, const struct bw_meeting_slot *slot);
void cell_put_link(struct cell *cell, uint8_t meeting);
/* Starts an endpoint with a grant for the slot on the relay; further arguments end with NULL. */
void cell_start_endpoint(struct cell *cell, size_t i, size_t relay, const struct bw_meeting_slot *slot,
                         const char *const *more);
/* Waits for it (the loop goes on) and gives its exit code and summary, which the caller decrefs. */
json_t *cell_finish_endpoint(struct cell *cell, size_t i, int *exit_code);
/* What `bailiwick-relay status` says. */
json_t *cell_status(struct cell *cell, size_t i);
/* Ends the relay's stream from the server's side. */
void cell_cut(struct cell *cell, size_t i);

#endif
