#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "check_alloc.h"
#include "fixture.h"
#include "vault/roster.h"

static const struct bw_seal_place place = {.row = {{0x33}}, .table = "qchk", .column = "body"};
static const struct bw_record_info info = {.type = BW_RECORD_CHUNK, .schema = 1, .pad_class = 6};

static enum bw_code ask(struct fixture *f, const struct bw_id *meeting, uint64_t now_ms,
                        struct bw_meeting_key_row *row, bool *is_new)
{
    const struct bw_sealing_key *key = NULL;
    struct bw_error err = {0};
    enum bw_code code = bw_sealer_meeting(f->sealer, &f->tenant, meeting, now_ms, &key, row, is_new, &err);
    if (code == BW_NOT_FOUND)
        assert_string_equal(err.reason, "SCOPE_KEY_MISSING");
    assert_true((code == BW_OK) == (key != NULL));
    return code;
}

static void a_key_is_asked_to_be_stored_until_it_is(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    struct bw_meeting_key_row row, again;
    bool is_new = false;
    assert_int_equal(ask(&f, &f.meeting, FIXTURE_NOW, &row, &is_new), BW_OK);
    assert_true(is_new);
    assert_true(bw_id_equal(&row.tenant, &f.tenant) && bw_id_equal(&row.meeting, &f.meeting));
    assert_true(bw_id_equal(&row.scope_key, &f.scope.id));
    assert_int_equal(ask(&f, &f.meeting, FIXTURE_NOW, &again, &is_new), BW_OK);
    assert_true(is_new);
    assert_memory_equal(&row, &again, sizeof row);

    const struct bw_id other = id_of(0x99);
    bw_sealer_stored(f.sealer, &f.tenant, &f.meeting, &other); /* another key: nothing to note */
    bw_sealer_stored(f.sealer, &f.tenant, &other, &row.key_id);
    assert_int_equal(ask(&f, &f.meeting, FIXTURE_NOW, &again, &is_new), BW_OK);
    assert_true(is_new);
    bw_sealer_stored(f.sealer, &f.tenant, &f.meeting, &row.key_id);
    assert_int_equal(ask(&f, &f.meeting, FIXTURE_NOW, &again, &is_new), BW_OK);
    assert_false(is_new);

    /* Other meetings, and the tenant itself, have keys of their own. */
    const struct bw_id none = {0};
    assert_int_equal(ask(&f, &none, FIXTURE_NOW, &again, &is_new), BW_OK);
    assert_true(is_new && !bw_id_equal(&again.key_id, &row.key_id));
    assert_int_equal(bw_sealer_meetings(f.sealer), 2);
    bw_sealer_forget(f.sealer, &f.tenant, &f.meeting);
    bw_sealer_forget(f.sealer, &f.tenant, &f.meeting);
    assert_int_equal(bw_sealer_meetings(f.sealer), 1);
    assert_int_equal(ask(&f, &f.meeting, FIXTURE_NOW, &again, &is_new), BW_OK);
    assert_true(is_new && !bw_id_equal(&again.key_id, &row.key_id));
    fixture_finish(&f);
}

static void a_key_is_replaced_after_a_day(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    struct bw_buf wrapped = {0};
    struct bw_meeting_key_row row, next;
    bool is_new;
    assert_int_equal(ask(&f, &f.meeting, FIXTURE_NOW, &row, &is_new), BW_OK);
    bw_sealer_stored(f.sealer, &f.tenant, &f.meeting, &row.key_id);
    const uint64_t last_ms = FIXTURE_NOW + BW_SEALER_KEY_LIFE_MS - 1;
    assert_int_equal(ask(&f, &f.meeting, last_ms, &next, &is_new), BW_OK);
    assert_false(is_new);
    assert_int_equal(ask(&f, &f.meeting, FIXTURE_NOW - 5000, &next, &is_new), BW_OK); /* a clock set back */
    assert_false(is_new);
    const struct bw_scope_public tomorrow = fixture_scope(&f, FIXTURE_DAY + 1, &wrapped);
    assert_int_equal(bw_sealer_scope(f.sealer, &tomorrow, NULL), BW_OK);
    assert_int_equal(ask(&f, &f.meeting, last_ms + 1, &next, &is_new), BW_OK);
    assert_true(is_new && !bw_id_equal(&next.key_id, &row.key_id));
    assert_true(bw_id_equal(&next.scope_key, &tomorrow.id));
    assert_int_equal(bw_sealer_meetings(f.sealer), 1);
    bw_buf_finish(&wrapped);
    fixture_finish(&f);
}

/* Each time another meeting, so that each time a scope key is chosen. */
static struct bw_id chosen_at(struct fixture *f, uint64_t now_ms)
{
    static uint8_t meeting = 1;
    const struct bw_id id = id_of(++meeting), none = {0};
    struct bw_meeting_key_row row;
    bool is_new;
    enum bw_sealer_readiness ready = bw_sealer_ready(f->sealer, &f->tenant, now_ms);
    enum bw_code code = ask(f, &id, now_ms, &row, &is_new);
    assert_true((code == BW_OK) == (ready != BW_SEALER_NO_KEY));
    return code == BW_OK ? row.scope_key : none;
}

static void the_scope_key_of_the_day_is_used_and_the_last_one_for_a_day_more(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    struct bw_buf wrapped = {0};
    const uint64_t midnight = (FIXTURE_DAY + 1) * (uint64_t)BW_SCOPE_DAY_MS;
    struct bw_id got = chosen_at(&f, FIXTURE_NOW);
    assert_true(bw_id_equal(&got, &f.scope.id));
    assert_int_equal(bw_sealer_ready(f.sealer, &f.tenant, FIXTURE_NOW), BW_SEALER_READY);
    /* No newer one is known: forward for a day, then not at all. */
    got = chosen_at(&f, midnight + BW_SEALER_FORWARD_MS - 1);
    assert_true(bw_id_equal(&got, &f.scope.id));
    assert_int_equal(bw_sealer_ready(f.sealer, &f.tenant, midnight), BW_SEALER_FORWARD);
    got = chosen_at(&f, midnight + BW_SEALER_FORWARD_MS);
    assert_true(bw_id_is_zero(&got));
    /* Handed out ahead. */
    const struct bw_scope_public tomorrow = fixture_scope(&f, FIXTURE_DAY + 1, &wrapped);
    assert_int_equal(bw_sealer_scope(f.sealer, &tomorrow, NULL), BW_OK);
    got = chosen_at(&f, FIXTURE_NOW);
    assert_true(bw_id_equal(&got, &f.scope.id));
    got = chosen_at(&f, midnight);
    assert_true(bw_id_equal(&got, &tomorrow.id));
    got = chosen_at(&f, (uint64_t)FIXTURE_DAY * BW_SCOPE_DAY_MS - 1); /* our clock is behind the vault's */
    assert_true(bw_id_equal(&got, &f.scope.id));
    got = chosen_at(&f, (uint64_t)(FIXTURE_DAY - 3) * BW_SCOPE_DAY_MS);
    assert_true(bw_id_is_zero(&got));
    /* Many days: the oldest make room, and one that is older still changes nothing. */
    struct bw_scope_public days[6];
    for (uint32_t i = 0; i < BW_ARRAY_LEN(days); i++) {
        days[i] = fixture_scope(&f, FIXTURE_DAY + 2 + i, &wrapped);
        assert_int_equal(bw_sealer_scope(f.sealer, &days[i], NULL), BW_OK);
    }
    assert_int_equal(bw_sealer_scope(f.sealer, &f.scope, NULL), BW_OK);
    got = chosen_at(&f, FIXTURE_NOW);
    assert_true(bw_id_is_zero(&got));
    got = chosen_at(&f, FIXTURE_NOW + 7 * (uint64_t)BW_SCOPE_DAY_MS);
    assert_true(bw_id_equal(&got, &days[5].id));
    /* A second key of the same day (another replica made it) replaces the first. */
    const struct bw_scope_public second = fixture_scope(&f, days[5].day, &wrapped);
    assert_int_equal(bw_sealer_scope(f.sealer, &second, NULL), BW_OK);
    got = chosen_at(&f, FIXTURE_NOW + 7 * (uint64_t)BW_SCOPE_DAY_MS);
    assert_true(bw_id_equal(&got, &second.id));
    /* Another tenant has none. */
    const struct bw_id stranger = id_of(0x77);
    assert_int_equal(bw_sealer_ready(f.sealer, &stranger, FIXTURE_NOW), BW_SEALER_NO_KEY);
    bw_buf_finish(&wrapped);
    fixture_finish(&f);
}

static void a_substituted_scope_key_is_refused(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    struct bw_buf wrapped = {0};
    struct bw_error err;
    const struct bw_scope_public good = fixture_scope(&f, FIXTURE_DAY + 1, &wrapped);
    const uint64_t then_ms = FIXTURE_NOW + 3 * (uint64_t)BW_SCOPE_DAY_MS;

    /* Somebody who can write the database, but has not the service key: their own pair, their own signature.
     */
    static const uint8_t seed[BW_ED25519_SEED_SIZE] = {6, 6, 6}, own[BW_X25519_SIZE] = {7};
    struct bw_ed25519_signer *impostor = NULL;
    struct bw_scope_public forged = good;
    assert_int_equal(bw_ed25519_signer_create(seed, &impostor, NULL), BW_OK);
    assert_int_equal(bw_x25519_public(own, forged.public_key, NULL), BW_OK);
    assert_int_equal(bw_sealer_scope(f.sealer, &forged, &err), BW_PERMISSION_DENIED);
    assert_string_equal(err.reason, "SCOPE_KEY_UNSIGNED");
    assert_int_equal(bw_scope_sign(&forged, impostor, NULL), BW_OK);
    assert_int_equal(bw_sealer_scope(f.sealer, &forged, &err), BW_PERMISSION_DENIED);
    bw_ed25519_signer_destroy(impostor);

    /* Any bit of a good one: another id, tenant, scope, day, key, signature. */
    for (size_t bit = 0; bit < sizeof good * 8; bit++) {
        struct bw_scope_public changed = good;
        ((uint8_t *)&changed)[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(bw_sealer_scope(f.sealer, &changed, &err), BW_PERMISSION_DENIED);
        assert_int_equal(bw_scope_verify(&changed, f.verifier, NULL), BW_PERMISSION_DENIED);
    }
    assert_int_equal(bw_sealer_ready(f.sealer, &f.tenant, then_ms), BW_SEALER_NO_KEY);
    assert_int_equal(bw_sealer_scope(f.sealer, &good, &err), BW_OK);

    struct bw_scope_public group = good;
    group.scope[0] = 1;
    assert_int_equal(bw_scope_sign(&group, f.service, NULL), BW_OK);
    assert_int_equal(bw_sealer_scope(f.sealer, &group, &err), BW_UNIMPLEMENTED);
    bw_buf_finish(&wrapped);
    fixture_finish(&f);
}

static void a_stuck_random_source_seals_nothing(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    struct bw_meeting_key_row row;
    const struct bw_sealing_key *key = fixture_key(&f, &f.meeting, &row);
    struct bw_buf out = {0};
    struct bw_error err = {0};
    const struct bw_id other = id_of(0x23);
    bool is_new;
    static const int faults[] = {STREAM_CONSTANT, STREAM_REPEATS};
    for (size_t i = 0; i < BW_ARRAY_LEN(faults); i++) {
        f.stream.fault = faults[i];
        /* A source that gives the same bytes again is found out by its second draw. */
        if (faults[i] == STREAM_REPEATS) {
            const struct bw_id first = id_of(0x24);
            assert_int_equal(ask(&f, &first, FIXTURE_NOW, &row, &is_new), BW_OK);
        }
        assert_int_equal(
            bw_sealer_meeting(f.sealer, &f.tenant, &other, FIXTURE_NOW, &key, &row, &is_new, &err),
            BW_INTERNAL);
        assert_string_equal(err.reason, "RANDOM_STUCK");
        size_t sealed = 0;
        key = NULL;
        assert_int_equal(
            bw_sealer_meeting(f.sealer, &f.tenant, &f.meeting, FIXTURE_NOW, &key, &row, &is_new, NULL),
            BW_OK);
        enum bw_code code;
        while ((code = bw_sealer_record(f.sealer, key, &info, &place, bw_view_str("x"), &out, &err)) == BW_OK)
            assert_true(++sealed <= 128); /* what was drawn before is still good */
        assert_int_equal(code, BW_INTERNAL);
        assert_string_equal(err.reason, "RANDOM_STUCK");
        size_t len = out.len;
        assert_int_equal(bw_sealer_roster_entry(f.sealer, key, &other, bw_view_str("x"), &out, &err),
                         BW_INTERNAL);
        assert_int_equal(out.len, len);
        /* It works again: so do we. */
        f.stream.fault = STREAM_GOOD;
        assert_int_equal(bw_sealer_record(f.sealer, key, &info, &place, bw_view_str("x"), &out, &err), BW_OK);
    }
    f.stream.fault = STREAM_CONSTANT;
    struct bw_sealer *sealer = NULL;
    struct bw_sealer_config config = {
        .cell = FIXTURE_CELL, .random = stream_fill, .random_context = &f.stream};
    memcpy(config.service_public, f.service_public, sizeof config.service_public);
    assert_int_equal(bw_sealer_create(&config, &sealer, &err), BW_INTERNAL);
    assert_string_equal(err.reason, "RANDOM_STUCK");
    bw_buf_finish(&out);
    fixture_finish(&f);
}

static void the_number_of_keys_is_bounded(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    bw_sealer_destroy(f.sealer);
    f.sealer = NULL;
    struct bw_sealer_config config = {.cell = FIXTURE_CELL, .meetings_max = 3};
    memcpy(config.service_public, f.service_public, sizeof config.service_public);
    assert_int_equal(bw_sealer_create(&config, &f.sealer, NULL), BW_OK); /* the kernel's randomness */
    assert_int_equal(bw_sealer_scope(f.sealer, &f.scope, NULL), BW_OK);
    struct bw_meeting_key_row rows[5];
    bool is_new;
    for (uint8_t i = 0; i < 3; i++) {
        const struct bw_id meeting = id_of(i);
        assert_int_equal(ask(&f, &meeting, FIXTURE_NOW, &rows[i], &is_new), BW_OK);
    }
    const struct bw_id third = id_of(3), first = id_of(0), second = id_of(1);
    /* A key whose row may be lost is not dropped: records would lie under it. */
    assert_int_equal(ask(&f, &third, FIXTURE_NOW, &rows[3], &is_new), BW_RESOURCE_EXHAUSTED);
    bw_sealer_stored(f.sealer, &f.tenant, &second, &rows[1].key_id);
    assert_int_equal(ask(&f, &third, FIXTURE_NOW, &rows[3], &is_new), BW_OK);
    assert_int_equal(bw_sealer_meetings(f.sealer), 3);
    assert_int_equal(ask(&f, &first, FIXTURE_NOW, &rows[4], &is_new), BW_OK);
    assert_memory_equal(&rows[4], &rows[0], sizeof rows[0]);
    /* Of those that are stored, the longest unused one goes: first was asked for just now. */
    const struct bw_id two = id_of(2), fourth = id_of(4);
    bw_sealer_stored(f.sealer, &f.tenant, &first, &rows[0].key_id);
    bw_sealer_stored(f.sealer, &f.tenant, &two, &rows[2].key_id);
    bw_sealer_stored(f.sealer, &f.tenant, &third, &rows[3].key_id);
    assert_int_equal(ask(&f, &fourth, FIXTURE_NOW, &rows[4], &is_new), BW_OK);
    assert_int_equal(ask(&f, &first, FIXTURE_NOW, &rows[4], &is_new), BW_OK);
    assert_false(is_new);
    assert_int_equal(ask(&f, &third, FIXTURE_NOW, &rows[4], &is_new), BW_OK);
    assert_false(is_new);
    assert_int_equal(ask(&f, &two, FIXTURE_NOW, &rows[4], &is_new), BW_OK);
    assert_true(is_new && !bw_id_equal(&rows[4].key_id, &rows[2].key_id)); /* it was gone */
    fixture_finish(&f);
}

static void limits_are_told_before_anything_is_sealed(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    struct bw_meeting_key_row row;
    const struct bw_sealing_key *key = fixture_key(&f, &f.meeting, &row);
    struct bw_buf out = {0};
    const struct bw_id entry = id_of(5);
    static const uint8_t large[BW_ROSTER_ENTRY_MAX + 1];
    assert_true(bw_id_equal(bw_sealing_key_id(key), &row.key_id));
    assert_int_equal(
        bw_sealer_roster_entry(f.sealer, key, &entry, bw_view_of(large, sizeof large), &out, NULL),
        BW_INVALID_ARGUMENT);
    struct bw_record_info for_one = info;
    for_one.participant_key = id_of(1);
    assert_int_equal(bw_sealer_record(f.sealer, key, &for_one, &place, bw_view_str("x"), &out, NULL),
                     BW_UNIMPLEMENTED);
    assert_int_equal(out.len, 0);
    bw_buf_finish(&out);
    bw_sealer_destroy(NULL);
    fixture_finish(&f);
}

struct memory_case {
    struct fixture *fixture;
};

static bool seal_something(void *context)
{
    struct fixture *f = ((struct memory_case *)context)->fixture;
    struct bw_sealer_config config = {
        .cell = FIXTURE_CELL, .random = stream_fill, .random_context = &f->stream};
    struct bw_sealer *sealer = NULL;
    const struct bw_sealing_key *key = NULL;
    struct bw_meeting_key_row row;
    struct bw_buf out = {0};
    struct bw_error err = {0};
    bool is_new;
    memcpy(config.service_public, f->service_public, sizeof config.service_public);
    bool ok =
        bw_sealer_create(&config, &sealer, &err) == BW_OK &&
        bw_sealer_scope(sealer, &f->scope, &err) == BW_OK &&
        bw_sealer_meeting(sealer, &f->tenant, &f->meeting, FIXTURE_NOW, &key, &row, &is_new, &err) == BW_OK &&
        bw_sealer_record(sealer, key, &info, &place, bw_view_str("x"), &out, &err) == BW_OK &&
        bw_sealer_roster_entry(sealer, key, &f->meeting, bw_view_str("x"), &out, &err) == BW_OK;
    if (!ok)
        assert_int_equal(err.code, BW_RESOURCE_EXHAUSTED);
    bw_buf_finish(&out);
    bw_sealer_destroy(sealer);
    return ok;
}

static void running_out_of_memory_is_an_error(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    struct memory_case c = {&f};
    assert_true(bw_fail_each_allocation(seal_something, &c, true) >= 6);
    fixture_finish(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_is_asked_to_be_stored_until_it_is),
        cmocka_unit_test(a_key_is_replaced_after_a_day),
        cmocka_unit_test(the_scope_key_of_the_day_is_used_and_the_last_one_for_a_day_more),
        cmocka_unit_test(a_substituted_scope_key_is_refused),
        cmocka_unit_test(a_stuck_random_source_seals_nothing),
        cmocka_unit_test(the_number_of_keys_is_bounded),
        cmocka_unit_test(limits_are_told_before_anything_is_sealed),
        cmocka_unit_test(running_out_of_memory_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
