#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/secret.h"
#include "check_alloc.h"
#include "fixture.h"
#include "runtime/clock.h"
#include "runtime/thread.h"
#include "vault/capsules.h"

static const uint64_t now_ms = 5000000;

/* A fixture whose sealer takes capsules from a pool of at most `max`; without a thread, the test makes them.
 */
struct pooled {
    struct fixture f;
    struct stream stream; /* of who makes capsules */
    struct bw_capsules *capsules;
};

static void pooled_init(struct pooled *p, size_t max)
{
    fixture_init(&p->f);
    bw_sealer_destroy(p->f.sealer);
    p->f.sealer = NULL;
    p->stream = (struct stream){.next = 500000};
    const struct bw_capsules_config pool = {.random = stream_fill, .random_context = &p->stream, .max = max};
    assert_int_equal(bw_capsules_create(&pool, &p->capsules, NULL), BW_OK);
    struct bw_sealer_config config = {
        .cell = FIXTURE_CELL, .random = stream_fill, .random_context = &p->f.stream, .capsules = p->capsules};
    memcpy(config.service_public, p->f.service_public, sizeof config.service_public);
    assert_int_equal(bw_sealer_create(&config, &p->f.sealer, NULL), BW_OK);
    assert_int_equal(bw_sealer_scope(p->f.sealer, &p->f.scope, NULL), BW_OK);
}

static void pooled_finish(struct pooled *p)
{
    fixture_finish(&p->f);
    bw_capsules_destroy(p->capsules);
}

static size_t make_all(struct bw_capsules *capsules, uint64_t mono_ms)
{
    size_t made = 0;
    while (bw_capsules_make(capsules, mono_ms) == BW_CAPSULES_MADE)
        made++;
    return made;
}

/* A scope key that nobody signed: whoever takes has verified it. */
static struct bw_scope_public scope_of(uint8_t tenant, uint8_t key)
{
    const uint8_t private_key[BW_X25519_SIZE] = {0, key, tenant}; /* X25519 ignores bits of the first byte */
    struct bw_scope_public scope = {.id = id_of(key), .tenant = id_of(tenant)};
    assert_int_equal(bw_x25519_public(private_key, scope.public_key, NULL), BW_OK);
    return scope;
}

static bool take(struct bw_capsules *capsules, const struct bw_scope_public *scope)
{
    struct bw_hpke_capsule capsule = {.fresh = false};
    bool got = bw_capsules_take(capsules, scope, now_ms, &capsule);
    assert_true(capsule.fresh == got);
    return got;
}

static void a_key_sealed_with_one_made_ahead_opens_like_any_other(void **state)
{
    (void)state;
    static const struct bw_seal_place place = {.row = {{0x33}}, .table = "qchk", .column = "body"};
    static const struct bw_record_info info = {.type = BW_RECORD_CHUNK, .schema = 1};
    struct pooled p;
    pooled_init(&p, 0);
    struct fixture *f = &p.f;
    struct bw_meeting_key_row rows[BW_CAPSULES_FIRST + 4];
    struct bw_buf record = {0}, plain = {0};
    size_t expected = 0;
    for (uint8_t i = 0; i < BW_ARRAY_LEN(rows); i++) {
        /* The first one finds nothing and asks for more; at the end they are used up. */
        assert_int_equal(bw_capsules_count(p.capsules, &f->tenant), expected);
        const struct bw_id meeting = id_of((uint8_t)(0x40 + i));
        const struct bw_sealing_key *key = fixture_key(f, &meeting, &rows[i]);
        expected -= expected > 0;
        if (i == 0) {
            assert_int_equal(make_all(p.capsules, now_ms), BW_CAPSULES_FIRST);
            expected = BW_CAPSULES_FIRST;
        }
        fixture_bring(f, &rows[i]);
        bw_buf_clear(&record);
        bw_buf_clear(&plain);
        assert_int_equal(
            bw_sealer_record(f->sealer, key, &info, &place, bw_view_str("who was there"), &record, NULL),
            BW_OK);
        struct bw_record_context context = {.tenant = f->tenant, .meeting = meeting, .row = place.row};
        memcpy(context.table, place.table, sizeof context.table);
        memcpy(context.column, place.column, sizeof context.column);
        struct bw_record_info got;
        assert_int_equal(
            bw_opener_record(f->opener, &context, bw_buf_view(&record), FIXTURE_NOW, &got, &plain, NULL),
            BW_OK);
        assert_int_equal(plain.len, strlen("who was there"));
        assert_memory_equal(plain.data, "who was there", plain.len);
        for (uint8_t j = 0; j < i; j++) {
            assert_memory_not_equal(rows[i].enc, rows[j].enc, sizeof rows[i].enc);
            assert_memory_not_equal(rows[i].sealed, rows[j].sealed, sizeof rows[i].sealed);
        }
    }
    assert_int_equal(bw_capsules_count(p.capsules, &f->tenant), 0);
    bw_buf_finish(&record);
    bw_buf_finish(&plain);
    pooled_finish(&p);
}

static void another_scope_key_ends_those_of_the_one_before(void **state)
{
    (void)state;
    struct pooled p;
    pooled_init(&p, 0);
    struct fixture *f = &p.f;
    struct bw_buf wrapped = {0};
    struct bw_meeting_key_row row;
    const struct bw_id first = id_of(0x41), second = id_of(0x42), third = id_of(0x43);
    (void)fixture_key(f, &first, &row);
    assert_int_equal(make_all(p.capsules, now_ms), BW_CAPSULES_FIRST);
    /* Another replica made a second key of this day. */
    f->scope = fixture_scope(f, FIXTURE_DAY, &wrapped);
    assert_int_equal(bw_sealer_scope(f->sealer, &f->scope, NULL), BW_OK);
    (void)fixture_key(f, &second, &row);
    assert_true(bw_id_equal(&row.scope_key, &f->scope.id));
    assert_int_equal(bw_capsules_count(p.capsules, &f->tenant), 0);
    bw_buf_clear(&f->wrapped);
    bw_buf_append(&f->wrapped, wrapped.data, wrapped.len);
    fixture_bring(f, &row);
    assert_int_equal(make_all(p.capsules, now_ms), BW_CAPSULES_FIRST);
    (void)fixture_key(f, &third, &row);
    assert_int_equal(bw_capsules_count(p.capsules, &f->tenant), BW_CAPSULES_FIRST - 1);
    fixture_bring(f, &row);
    bw_buf_finish(&wrapped);
    pooled_finish(&p);

    /* The same id with another public key is not trusted to be the same. */
    struct bw_capsules *capsules = NULL;
    const struct bw_capsules_config of_the_kernel = {0};
    assert_int_equal(bw_capsules_create(&of_the_kernel, &capsules, NULL), BW_OK);
    struct bw_scope_public scope = scope_of(1, 1);
    assert_false(take(capsules, &scope));
    assert_true(make_all(capsules, now_ms) > 0);
    memcpy(scope.public_key, scope_of(1, 2).public_key, sizeof scope.public_key);
    assert_false(take(capsules, &scope));
    assert_int_equal(bw_capsules_count(capsules, &scope.tenant), 0);
    bw_capsules_destroy(capsules);
    bw_capsules_destroy(NULL);
}

static void who_uses_more_gets_more_within_the_bound(void **state)
{
    (void)state;
    enum { MAX = 160 };
    struct pooled p;
    pooled_init(&p, MAX);
    const struct bw_scope_public one = scope_of(1, 1);
    assert_int_equal(bw_capsules_make(p.capsules, now_ms), BW_CAPSULES_ENOUGH); /* nobody has asked */
    static const size_t wanted[] = {16, 32, MAX / BW_CAPSULES_SHARES, MAX / BW_CAPSULES_SHARES};
    for (size_t round = 0; round < BW_ARRAY_LEN(wanted); round++) {
        assert_false(take(p.capsules, &one));
        assert_false(take(p.capsules, &one)); /* before any was made: no reason to want more yet */
        assert_int_equal(make_all(p.capsules, now_ms), wanted[round]);
        assert_int_equal(bw_capsules_count(p.capsules, &one.tenant), wanted[round]);
        for (size_t i = 0; i < wanted[round]; i++)
            assert_true(take(p.capsules, &one));
    }
    /* More are made when half of them are gone. */
    assert_int_equal(make_all(p.capsules, now_ms), 40);
    for (size_t i = 0; i < 19; i++)
        assert_true(take(p.capsules, &one));
    assert_int_equal(make_all(p.capsules, now_ms), 0);
    assert_true(take(p.capsules, &one));
    assert_int_equal(make_all(p.capsules, now_ms), 20);
    pooled_finish(&p);
}

static void tenants_share_the_room_in_turn(void **state)
{
    (void)state;
    enum { ROOM_FOR = 4 };
    struct pooled p;
    pooled_init(&p, ROOM_FOR * BW_CAPSULES_FIRST);
    struct bw_scope_public scopes[ROOM_FOR + 1];
    struct bw_hpke_capsule capsule;
    for (uint8_t i = 0; i < BW_ARRAY_LEN(scopes); i++)
        scopes[i] = scope_of((uint8_t)(i + 1), 1);
    for (uint8_t i = 0; i < ROOM_FOR; i++)
        assert_false(bw_capsules_take(p.capsules, &scopes[i], now_ms + i, &capsule));
    for (uint8_t i = 0; i < ROOM_FOR; i++)
        assert_int_equal(bw_capsules_make(p.capsules, now_ms), BW_CAPSULES_MADE);
    for (uint8_t i = 0; i < ROOM_FOR; i++)
        assert_int_equal(bw_capsules_count(p.capsules, &scopes[i].tenant), 1);
    assert_int_equal(make_all(p.capsules, now_ms), ROOM_FOR * (BW_CAPSULES_FIRST - 1));
    /* One more, for which there is no room: it gets what is taken, and what nobody used for a while. */
    const struct bw_scope_public *last = &scopes[ROOM_FOR];
    assert_false(bw_capsules_take(p.capsules, last, now_ms + 5, &capsule));
    assert_int_equal(make_all(p.capsules, now_ms + 5), 0);
    assert_true(bw_capsules_take(p.capsules, &scopes[1], now_ms + 6, &capsule));
    assert_int_equal(make_all(p.capsules, now_ms + 6), 1);
    assert_int_equal(bw_capsules_count(p.capsules, &last->tenant), 1);
    assert_int_equal(make_all(p.capsules, now_ms + BW_CAPSULES_SPARE_MS - 1), 0);
    assert_int_equal(make_all(p.capsules, now_ms + BW_CAPSULES_SPARE_MS), BW_CAPSULES_FIRST - 1);
    assert_int_equal(bw_capsules_count(p.capsules, &scopes[0].tenant), 0);
    assert_int_equal(bw_capsules_count(p.capsules, &scopes[1].tenant), BW_CAPSULES_FIRST - 1);
    assert_int_equal(bw_capsules_count(p.capsules, &last->tenant), BW_CAPSULES_FIRST);
    pooled_finish(&p);
}

static void a_tenant_that_takes_none_is_forgotten(void **state)
{
    (void)state;
    struct pooled p;
    pooled_init(&p, 0);
    const struct bw_scope_public one = scope_of(1, 1), two = scope_of(2, 2);
    struct bw_hpke_capsule capsule;
    assert_false(take(p.capsules, &one));
    assert_int_equal(make_all(p.capsules, now_ms), BW_CAPSULES_FIRST);
    assert_false(bw_capsules_take(p.capsules, &two, now_ms + 1, &capsule));
    assert_int_equal(make_all(p.capsules, now_ms + BW_CAPSULES_IDLE_MS - 1), BW_CAPSULES_FIRST);
    assert_int_equal(bw_capsules_count(p.capsules, &one.tenant), BW_CAPSULES_FIRST);
    assert_int_equal(make_all(p.capsules, now_ms + BW_CAPSULES_IDLE_MS), 0);
    assert_int_equal(bw_capsules_count(p.capsules, &one.tenant), 0);
    assert_int_equal(bw_capsules_count(p.capsules, &two.tenant), BW_CAPSULES_FIRST);
    pooled_finish(&p);
}

static void a_stuck_random_source_makes_none(void **state)
{
    (void)state;
    struct pooled p;
    pooled_init(&p, 0);
    struct bw_meeting_key_row row;
    const struct bw_id first = id_of(0x41), second = id_of(0x42);
    (void)fixture_key(&p.f, &first, &row);
    p.stream.fault = STREAM_CONSTANT;
    assert_int_equal(bw_capsules_make(p.capsules, now_ms), BW_CAPSULES_FAILED);
    p.stream.fault = STREAM_REPEATS; /* found out by the second draw */
    assert_int_equal(bw_capsules_make(p.capsules, now_ms), BW_CAPSULES_MADE);
    assert_int_equal(bw_capsules_make(p.capsules, now_ms), BW_CAPSULES_FAILED);
    assert_int_equal(bw_capsules_count(p.capsules, &p.f.tenant), 1);
    for (size_t i = 0; i < 2; i++) { /* the second time without one that was made ahead */
        const struct bw_id *meeting = i == 0 ? &second : &p.f.meeting;
        (void)fixture_key(&p.f, meeting, &row);
        fixture_bring(&p.f, &row);
    }
    pooled_finish(&p);
}

/* ---- with its thread ---- */

enum { TAKERS = 3, TAKEN = 400 };

struct taking {
    struct bw_capsules *capsules;
    struct bw_scope_public scope;
    struct bw_hpke_capsule got[TAKEN];
};

static void take_many(void *context)
{
    struct taking *taking = context;
    for (size_t i = 0; i < TAKEN;) {
        if (bw_capsules_take(taking->capsules, &taking->scope, bw_clock_mono_ms(), &taking->got[i]))
            i++;
        else
            usleep(200);
    }
}

static int by_enc(const void *a, const void *b)
{
    return memcmp(((const struct bw_hpke_capsule *)a)->enc, ((const struct bw_hpke_capsule *)b)->enc,
                  BW_X25519_SIZE);
}

static void a_thread_makes_what_others_take_and_each_is_given_once(void **state)
{
    (void)state;
    static struct taking taking[TAKERS];
    static struct bw_hpke_capsule all[TAKERS * TAKEN];
    struct bw_capsules *capsules = NULL;
    struct bw_thread *threads[TAKERS];
    const struct bw_capsules_config config = {.max = 64};
    assert_int_equal(bw_capsules_create(&config, &capsules, NULL), BW_OK);
    assert_int_equal(bw_capsules_start(capsules, NULL), BW_OK);
    for (size_t i = 0; i < TAKERS; i++) {
        /* Two of them seal for the same tenant. */
        taking[i].capsules = capsules;
        taking[i].scope = i == 0 ? scope_of(1, 1) : scope_of(2, 2);
        threads[i] = bw_thread_start(take_many, &taking[i], "taker", NULL);
        assert_non_null(threads[i]);
    }
    for (size_t i = 0; i < TAKERS; i++) {
        bw_thread_join(threads[i]);
        memcpy(all + i * TAKEN, taking[i].got, sizeof taking[i].got);
    }
    qsort(all, BW_ARRAY_LEN(all), sizeof *all, by_enc);
    for (size_t i = 0; i < BW_ARRAY_LEN(all); i++) {
        assert_true(all[i].fresh);
        assert_true(i == 0 || by_enc(&all[i - 1], &all[i]) < 0);
    }
    bw_capsules_destroy(capsules);
}

static bool make_some(void *context)
{
    (void)context;
    const struct bw_scope_public scope = scope_of(1, 1);
    const struct bw_capsules_config config = {.max = 8}; /* less than one tenant asks for */
    struct bw_capsules *capsules = NULL;
    struct bw_error err;
    struct bw_hpke_capsule capsule;
    if (bw_capsules_create(&config, &capsules, &err) != BW_OK) {
        assert_int_equal(err.code, BW_RESOURCE_EXHAUSTED);
        return false;
    }
    /* Without memory for a tenant there is none made ahead for it, and that is all. */
    assert_false(bw_capsules_take(capsules, &scope, now_ms, &capsule));
    bool noted = make_all(capsules, now_ms) == 8;
    assert_true(bw_capsules_take(capsules, &scope, now_ms, &capsule) == noted);
    bw_capsules_destroy(capsules);
    return noted;
}

static void running_out_of_memory_is_an_error(void **state)
{
    (void)state;
    assert_true(bw_fail_each_allocation(make_some, NULL, true) >= 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_sealed_with_one_made_ahead_opens_like_any_other),
        cmocka_unit_test(another_scope_key_ends_those_of_the_one_before),
        cmocka_unit_test(who_uses_more_gets_more_within_the_bound),
        cmocka_unit_test(tenants_share_the_room_in_turn),
        cmocka_unit_test(a_tenant_that_takes_none_is_forgotten),
        cmocka_unit_test(a_stuck_random_source_makes_none),
        cmocka_unit_test(a_thread_makes_what_others_take_and_each_is_given_once),
        cmocka_unit_test(running_out_of_memory_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
