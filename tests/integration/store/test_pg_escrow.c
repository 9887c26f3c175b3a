/* Escrow and what happens to a dead replica's slots: whatever races, a relay is never over-committed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "fixture.h"
#include "runtime/thread.h"

enum { RELAYS = 12, CAPACITY = 40 };

static void enrol_all(struct bw_fixture *fixture)
{
    for (int i = 0; i < RELAYS; i++) {
        char name[16];
        snprintf(name, sizeof name, "r%d", i);
        assert_int_equal(bw_fixture_relay(fixture, name, CAPACITY), i + 1);
    }
}

static struct bw_store_replica_key another_replica(struct bw_fixture *fixture)
{
    struct bw_store_replica_key key = {.id = bw_random_id(&fixture->random)};
    MUST(bw_store_replica_register(fixture->db, &key.id, "localhost:2", 3600000, &key.epoch, err));
    return key;
}

static void grants_are_what_is_free(void **state)
{
    (void)state;
    struct bw_fixture fixture;
    bw_fixture_init(&fixture, 10);
    enrol_all(&fixture);
    struct bw_store_replica_key other = another_replica(&fixture);
    uint32_t relays[] = {3, 1, 99}, want[] = {30, 50, 5}, granted[3];
    MUST(bw_store_escrow_take(fixture.db, &fixture.replica, relays, want, 3, granted, err));
    assert_int_equal(granted[0], 30);
    assert_int_equal(granted[1], 40);
    assert_int_equal(granted[2], 0); /* no such relay */
    MUST(bw_store_escrow_take(fixture.db, &other, relays, want, 3, granted, err));
    assert_int_equal(granted[0], 10);
    assert_int_equal(granted[1], 0);

    /* Back, and no more than is held. */
    struct bw_error error;
    uint32_t back[] = {25};
    MUST(bw_store_escrow_give(fixture.db, &fixture.replica, relays, back, 1, err));
    assert_int_equal(bw_store_escrow_give(fixture.db, &fixture.replica, relays, back, 1, &error),
                     BW_FAILED_PRECONDITION);
    assert_int_equal(bw_fixture_number(&fixture, "SELECT sum(slots) FROM escrow WHERE relay = 3"), 15);

    /* Twice the same relay is a mistake, not a double grant. */
    uint32_t twice[] = {5, 5}, much[] = {40, 40};
    assert_int_equal(bw_store_escrow_take(fixture.db, &fixture.replica, twice, much, 2, granted, &error),
                     BW_INVALID_ARGUMENT);
    MUST(bw_store_escrow_take(fixture.db, &fixture.replica, NULL, NULL, 0, granted, err));

    /* A relay that is not plainly enrolled grants nothing; one that shrinks below what is held is refused. */
    uint64_t revision;
    uint32_t five[] = {5}, one[] = {1}, number;
    MUST(bw_store_relay_set_state(fixture.db, "r4", BW_STORE_RELAY_CORDONED, 0, "", &revision, err));
    MUST(bw_store_escrow_take(fixture.db, &fixture.replica, five, one, 1, granted, err));
    assert_int_equal(granted[0], 0);
    struct bw_store_enroll smaller = {.name = "r0",
                                      .spiffe_id = "spiffe://eu.bailiwick.internal/relay/r0",
                                      .facts = bw_view_str("facts"),
                                      .capacity = 39,
                                      .replace = true,
                                      .request = bw_random_id(&fixture.random)};
    assert_int_equal(bw_store_relay_enroll(fixture.db, &smaller, &number, &revision, &error),
                     BW_FAILED_PRECONDITION);
    bw_fixture_finish(&fixture);
}

static void a_dead_replicas_slots_go_to_the_taker_and_the_rest_is_free(void **state)
{
    (void)state;
    struct bw_fixture fixture;
    bw_fixture_init(&fixture, 11);
    enrol_all(&fixture);
    struct bw_store_replica_key taker = another_replica(&fixture);
    uint32_t relays[] = {1, 2, 3}, want[] = {40, 20, 10}, used[] = {7, 20, 12}, got[3];
    MUST(bw_store_escrow_take(fixture.db, &fixture.replica, relays, want, 3, got, err));
    struct bw_error error;
    assert_int_equal(
        bw_store_escrow_adopt(fixture.db, &fixture.replica, &taker, relays, used, 3, true, got, &error),
        BW_FAILED_PRECONDITION); /* not fenced: it may still spend */
    uint64_t group;
    MUST(bw_store_replica_fence(fixture.db, &fixture.replica, true, &group, err));
    MUST(bw_store_escrow_adopt(fixture.db, &fixture.replica, &taker, relays, used, 3, true, got, err));
    assert_int_equal(got[0], 7);
    assert_int_equal(got[1], 20);
    assert_int_equal(got[2], 10); /* it held no more: the taker has meetings to move */
    assert_int_equal(bw_fixture_number(&fixture, "SELECT count(*) FROM escrow"), 3);
    assert_int_equal(bw_fixture_number(&fixture, "SELECT sum(slots) FROM escrow"), 37);
    /* A fenced replica takes nothing. */
    assert_int_equal(bw_store_escrow_take(fixture.db, &fixture.replica, relays, want, 3, got, &error),
                     BW_FAILED_PRECONDITION);
    assert_string_equal(error.reason, "FENCED");

    /* One that registers anew adopts from its own earlier epoch. */
    struct bw_store_replica_key again = taker;
    MUST(bw_store_replica_register(fixture.db, &again.id, "localhost:2", 3600000, &again.epoch, err));
    uint32_t most[] = {7, 15, 10};
    MUST(bw_store_escrow_adopt(fixture.db, &taker, &again, relays, most, 3, true, got, err));
    assert_int_equal(got[1], 15);
    assert_int_equal(bw_fixture_number(&fixture, "SELECT sum(slots) FROM escrow"), 32);
    bw_fixture_finish(&fixture);
}

/* ---- eight racing takers ----------------------------------------------------------------------------- */

enum { TAKERS = 8, STEPS = 120 };

struct taker {
    struct bw_fixture *fixture;
    struct bw_random random;
    struct bw_store_replica_key self;
    uint32_t held[RELAYS + 1];
    unsigned int granted, refused, errors;
};

static void step(struct taker *taker, struct bw_store_db *db)
{
    uint32_t relays[RELAYS], amount[RELAYS], granted[RELAYS], n = 0;
    bool give = bw_random_next(&taker->random) % 2 == 0;
    /* Some relays in a random order: locking in the order of the question would deadlock. */
    uint32_t start = (uint32_t)(bw_random_next(&taker->random) % RELAYS);
    bool down = bw_random_next(&taker->random) % 2 == 0;
    for (uint32_t i = 0; i < RELAYS; i++) {
        uint32_t relay = (down ? start + RELAYS - i : start + i) % RELAYS + 1;
        if (bw_random_next(&taker->random) % 3 == 0 || (give && taker->held[relay] == 0))
            continue;
        relays[n] = relay;
        amount[n++] = 1 + (uint32_t)(bw_random_next(&taker->random) % (give ? taker->held[relay] : 15));
    }
    struct bw_error error = {0};
    if (give) {
        if (bw_store_escrow_give(db, &taker->self, relays, amount, n, &error) != BW_OK) {
            taker->errors++;
            return;
        }
        for (uint32_t i = 0; i < n; i++)
            taker->held[relays[i]] -= amount[i];
        return;
    }
    if (bw_store_escrow_take(db, &taker->self, relays, amount, n, granted, &error) != BW_OK) {
        taker->errors++;
        return;
    }
    for (uint32_t i = 0; i < n; i++) {
        taker->held[relays[i]] += granted[i];
        taker->granted += granted[i];
        taker->refused += granted[i] < amount[i];
    }
}

static void taker_run(void *context)
{
    struct taker *taker = context;
    struct bw_store_db *db;
    if (bw_store_db_open(taker->fixture->conninfo, &db, NULL) != BW_OK) {
        taker->errors++;
        return;
    }
    for (int i = 0; i < STEPS; i++)
        step(taker, db);
    bw_store_db_close(db);
}

static void eight_racing_takers_never_over_commit_a_relay(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 2; seed++) {
        struct bw_fixture fixture;
        bw_fixture_init(&fixture, seed);
        enrol_all(&fixture);
        /* The database itself cries out at the very moment. */
        (void)bw_pg_cluster_sql(
            fixture.conninfo, "CREATE FUNCTION watch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
                              " IF (SELECT sum(slots) FROM escrow WHERE relay = NEW.relay) > 40 THEN"
                              " RAISE 'over-committed' USING ERRCODE = 'XX000'; END IF; RETURN NULL; END $$;"
                              "CREATE TRIGGER watch AFTER INSERT OR UPDATE ON escrow FOR EACH ROW"
                              " EXECUTE FUNCTION watch()");
        static struct taker takers[TAKERS];
        struct bw_thread *threads[TAKERS];
        for (size_t i = 0; i < TAKERS; i++) {
            takers[i] = (struct taker){
                .fixture = &fixture, .random = {seed * 100 + i}, .self = another_replica(&fixture)};
            threads[i] = bw_thread_start(taker_run, &takers[i], "taker", NULL);
            assert_non_null(threads[i]);
        }
        unsigned int granted = 0, refused = 0;
        for (size_t i = 0; i < TAKERS; i++) {
            bw_thread_join(threads[i]);
            assert_int_equal(takers[i].errors, 0);
            granted += takers[i].granted;
            refused += takers[i].refused;
        }
        assert_true(granted > 500 && refused > 50); /* there was a race to lose */
        assert_int_equal(bw_fixture_number(&fixture,
                                           "SELECT count(*) FROM (SELECT sum(slots) AS s FROM escrow"
                                           " GROUP BY relay) x WHERE s > 40"),
                         0);
        /* What each believes to hold is what the database says. */
        unsigned int believed = 0;
        for (size_t i = 0; i < TAKERS; i++)
            for (size_t relay = 1; relay <= RELAYS; relay++)
                believed += takers[i].held[relay];
        assert_int_equal(bw_fixture_number(&fixture, "SELECT coalesce(sum(slots), 0) FROM escrow"), believed);
        bw_fixture_finish(&fixture);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grants_are_what_is_free),
        cmocka_unit_test(a_dead_replicas_slots_go_to_the_taker_and_the_rest_is_free),
        cmocka_unit_test(eight_racing_takers_never_over_commit_a_relay),
    };
    return cmocka_run_group_tests(tests, bw_store_group_setup, bw_store_group_teardown);
}
