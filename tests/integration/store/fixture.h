/* What the store's integration tests share: a migrated database, ids from a seed, rows, and a writer driven
 * turn by turn. Failures end the test (cmocka asserts); one thread each. */
#ifndef BW_TESTS_STORE_FIXTURE_H
#define BW_TESTS_STORE_FIXTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pg_cluster.h"
#include "runtime/loop.h"
#include "store/db.h"
#include "store/replicas.h"
#include "store/writer.h"

extern struct bw_pg_cluster bw_cluster; /* of the program; started by bw_store_group_setup */

int bw_store_group_setup(void **state);
int bw_store_group_teardown(void **state);

struct bw_random {
    uint64_t state;
};
uint64_t bw_random_next(struct bw_random *random);
struct bw_id bw_random_id(struct bw_random *random);
/* A UUIDv7 of about now. */
struct bw_id bw_random_meeting(struct bw_random *random);

/* A database with our schema, one cell, one tenant without a policy, one registered replica. */
struct bw_fixture {
    char conninfo[512];
    struct bw_store_db *db;
    struct bw_id tenant;
    struct bw_store_replica_key replica;
    struct bw_random random;
};
void bw_fixture_init(struct bw_fixture *fixture, uint64_t seed);
void bw_fixture_finish(struct bw_fixture *fixture);
struct bw_id bw_fixture_tenant(struct bw_fixture *fixture, const char *name);
/* Publishes a policy (or, with audit, a candidate) and returns its revision. */
uint32_t bw_fixture_publish(struct bw_fixture *fixture, const struct bw_id *tenant);
/* Enrols a relay and returns its number. */
uint32_t bw_fixture_relay(struct bw_fixture *fixture, const char *name, uint32_t capacity);
uint64_t bw_fixture_facts(struct bw_fixture *fixture);
/* The first value that SQL gives, as a number. */
long long bw_fixture_number(const struct bw_fixture *fixture, const char *sql);

/* Fails the test and prints the error when a call of the store did not end well. */
void bw_must(enum bw_code code, const struct bw_error *err, const char *what);
#define MUST(call)                                                                                           \
    do {                                                                                                     \
        struct bw_error err_ = {0};                                                                          \
        struct bw_error *err = &err_;                                                                        \
        bw_must((call), err, #call);                                                                         \
    } while (0)

/* A loop with one writer on it. */
struct bw_bench {
    struct bw_loop *loop;
    struct bw_store_writer *writer;
    bool closed;
};
void bw_bench_init(struct bw_bench *bench, const struct bw_store_writer_config *config);
/* Closes the writer within wait_ms and the loop. */
void bw_bench_finish(struct bw_bench *bench, uint64_t wait_ms);

/* A row's future. */
struct bw_waited {
    struct bw_store_result result;
    unsigned int calls;
};
void bw_waited_done(void *context, const struct bw_store_result *result);
void bw_bench_submit(struct bw_bench *bench, const struct bw_store_row *row, struct bw_waited *waited);
/* Turns the loop until the row is done; fails after 20 s. */
void bw_bench_wait(struct bw_bench *bench, const struct bw_waited *waited);

struct bw_store_writer_config bw_fixture_config(const struct bw_fixture *fixture);
/* A join of the fixture's tenant under the current facts revision given. */
struct bw_store_row bw_fixture_row(struct bw_fixture *fixture, const struct bw_id *meeting, uint32_t seq,
                                   uint64_t facts_revision);

#endif
