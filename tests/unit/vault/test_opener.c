#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "check_alloc.h"
#include "crypto/hpke.h"
#include "fixture.h"
#include "vault/meeting_key.h"
#include "vault/roster.h"

static const struct bw_seal_place place = {.row = {{0x33}}, .table = "qchk", .column = "body"};
static const struct bw_record_info info = {.type = BW_RECORD_CHUNK, .schema = 1, .pad_class = 6};

static struct bw_record_context context_of(const struct fixture *f)
{
    struct bw_record_context context = {.tenant = f->tenant, .meeting = f->meeting, .row = place.row};
    memcpy(context.table, place.table, sizeof context.table);
    memcpy(context.column, place.column, sizeof context.column);
    return context;
}

/* A meeting with one record, and what was written of it. */
struct stored {
    struct fixture f;
    struct bw_meeting_key_row row;
    const struct bw_sealing_key *key;
    struct bw_buf record, plain;
    struct bw_error err;
};

static void store(struct stored *s)
{
    *s = (struct stored){0};
    fixture_init(&s->f);
    s->key = fixture_key(&s->f, &s->f.meeting, &s->row);
    assert_int_equal(
        bw_sealer_record(s->f.sealer, s->key, &info, &place, bw_view_str("40 ms"), &s->record, NULL), BW_OK);
}

static void discard(struct stored *s)
{
    bw_buf_finish(&s->record);
    bw_buf_finish(&s->plain);
    fixture_finish(&s->f);
}

static enum bw_code open_in(struct stored *s, const struct bw_record_context *context, uint64_t now_ms)
{
    struct bw_record_info got;
    bw_buf_clear(&s->plain);
    return bw_opener_record(s->f.opener, context, bw_buf_view(&s->record), now_ms, &got, &s->plain, &s->err);
}

static void what_a_sealer_wrote_an_opener_reads(void **state)
{
    (void)state;
    struct stored s;
    store(&s);
    struct bw_record_context context = context_of(&s.f);
    assert_int_equal(open_in(&s, &context, FIXTURE_NOW), BW_NOT_FOUND);
    assert_string_equal(s.err.reason, "MEETING_KEY_MISSING");
    assert_int_equal(bw_opener_meeting_key(s.f.opener, &s.row, FIXTURE_NOW, &s.err), BW_NOT_FOUND);
    assert_string_equal(s.err.reason, "SCOPE_KEY_MISSING");
    fixture_bring(&s.f, &s.row);
    fixture_bring(&s.f, &s.row); /* again is no error */
    assert_int_equal(bw_opener_keys(s.f.opener), 2);
    assert_int_equal(open_in(&s, &context, FIXTURE_NOW), BW_OK);
    assert_true(bw_view_equal_str(bw_buf_view(&s.plain), "40 ms"));

    static const size_t fields[] = {
        offsetof(struct bw_record_context, tenant), offsetof(struct bw_record_context, meeting),
        offsetof(struct bw_record_context, row), offsetof(struct bw_record_context, table),
        offsetof(struct bw_record_context, column)};
    for (size_t i = 0; i < BW_ARRAY_LEN(fields); i++) {
        struct bw_record_context moved = context;
        ((uint8_t *)&moved)[fields[i]] ^= 1;
        assert_int_equal(open_in(&s, &moved, FIXTURE_NOW), BW_DATA_LOSS);
        assert_string_equal(s.err.reason, "RECORD_COMMITMENT");
    }
    discard(&s);
}

static void a_record_of_another_region_does_not_open(void **state)
{
    (void)state;
    struct stored s;
    store(&s);
    bw_opener_destroy(s.f.opener);
    const struct bw_opener_config config = {.cell = "eu-2", .provider = s.f.provider};
    assert_int_equal(bw_opener_create(&config, &s.f.opener, NULL), BW_OK);
    fixture_bring(&s.f, &s.row);
    struct bw_record_context context = context_of(&s.f);
    assert_int_equal(open_in(&s, &context, FIXTURE_NOW), BW_DATA_LOSS);
    assert_string_equal(s.err.reason, "RECORD_COMMITMENT");
    discard(&s);
}

static void a_wrong_kek_opens_nothing(void **state)
{
    (void)state;
    struct stored s;
    store(&s);
    const struct bw_scope_wrapped scope = {s.f.scope, bw_buf_view(&s.f.wrapped)};
    struct bw_provider *other = NULL;
    assert_int_equal(
        bw_keyring_parse(
            bw_view_str("x 00112233445566778899aabbccddeeff0123456789abcdeffedcba9876543211 active"),
            "keyring", &other, NULL),
        BW_PROVIDER_OK);
    const struct bw_opener_config config = {.cell = FIXTURE_CELL, .provider = other};
    struct bw_opener *opener = NULL;
    assert_int_equal(bw_opener_create(&config, &opener, NULL), BW_OK);
    assert_int_equal(bw_opener_scope(opener, &scope, FIXTURE_NOW, &s.err), BW_PROVIDER_GONE);
    assert_string_equal(s.err.reason, "KEY_UNAVAILABLE");
    assert_false(bw_opener_has_scope(opener, &s.f.scope.id, FIXTURE_NOW));
    bw_opener_destroy(opener);
    bw_provider_destroy(other);

    /* The right root key, but the row says another tenant: its KEK is another one. */
    struct bw_scope_wrapped moved = scope;
    moved.public_half.tenant.bytes[0] ^= 1;
    assert_int_equal(bw_opener_scope(s.f.opener, &moved, FIXTURE_NOW, &s.err), BW_PROVIDER_CORRUPT);
    discard(&s);
}

/* A row of keystore.meeting_key that was changed, or put under another meeting, tenant or key. */
static void a_changed_meeting_key_row_is_refused(void **state)
{
    (void)state;
    struct stored s;
    store(&s);
    const struct bw_scope_wrapped scope = {s.f.scope, bw_buf_view(&s.f.wrapped)};
    assert_int_equal(bw_opener_scope(s.f.opener, &scope, FIXTURE_NOW, NULL), BW_PROVIDER_OK);
    for (size_t bit = 0; bit < sizeof s.row * 8; bit++) {
        struct bw_meeting_key_row changed = s.row;
        ((uint8_t *)&changed)[bit / 8] ^= (uint8_t)(1u << bit % 8);
        bool other_scope = !bw_id_equal(&changed.scope_key, &s.row.scope_key);
        assert_int_equal(bw_opener_meeting_key(s.f.opener, &changed, FIXTURE_NOW, &s.err),
                         other_scope ? BW_NOT_FOUND : BW_DATA_LOSS);
        assert_string_equal(s.err.reason, other_scope ? "SCOPE_KEY_MISSING" : "MEETING_KEY_CORRUPT");
    }
    struct bw_meeting_key_row low_order = s.row;
    memset(low_order.enc, 0, sizeof low_order.enc);
    assert_int_equal(bw_opener_meeting_key(s.f.opener, &low_order, FIXTURE_NOW, &s.err), BW_DATA_LOSS);
    assert_int_equal(bw_opener_keys(s.f.opener), 1);
    discard(&s);
}

/* Anybody can seal to a public key: also a meeting key that says it is another tenant's. */
static void a_meeting_key_sealed_to_another_tenants_scope_is_refused(void **state)
{
    (void)state;
    struct stored s;
    store(&s);
    const struct bw_scope_wrapped scope = {s.f.scope, bw_buf_view(&s.f.wrapped)};
    assert_int_equal(bw_opener_scope(s.f.opener, &scope, FIXTURE_NOW, NULL), BW_PROVIDER_OK);
    static const uint8_t key[BW_RECORD_KEY_SIZE] = {1}, ephemeral[BW_X25519_SIZE] = {2};
    const struct bw_id tenants[] = {s.f.tenant, id_of(0x66)};
    struct bw_gcm *gcm = NULL;
    assert_int_equal(bw_gcm_create(&gcm, NULL), BW_OK);
    for (size_t i = 0; i < BW_ARRAY_LEN(tenants); i++) {
        struct bw_meeting_key_row row = {
            .key_id = id_of((uint8_t)i), .tenant = tenants[i], .scope_key = s.f.scope.id};
        uint8_t info_bytes[BW_MEETING_KEY_INFO_SIZE];
        bw_meeting_key_info(&row, info_bytes);
        assert_int_equal(bw_hpke_seal(gcm, s.f.scope.public_key, ephemeral,
                                      bw_view_of(info_bytes, sizeof info_bytes), bw_view_of(NULL, 0),
                                      bw_view_of(key, sizeof key), row.enc, row.sealed, NULL),
                         BW_OK);
        assert_int_equal(bw_opener_meeting_key(s.f.opener, &row, FIXTURE_NOW, &s.err),
                         i == 0 ? BW_OK : BW_DATA_LOSS);
    }
    bw_gcm_destroy(gcm);
    discard(&s);
}

static void a_participant_key_is_not_supported_yet(void **state)
{
    (void)state;
    struct stored s;
    store(&s);
    fixture_bring(&s.f, &s.row);
    s.record.data[24] = 1;
    struct bw_record_context context = context_of(&s.f);
    assert_int_equal(open_in(&s, &context, FIXTURE_NOW), BW_UNIMPLEMENTED);
    discard(&s);
}

static void keys_are_forgotten_in_time(void **state)
{
    (void)state;
    struct stored s;
    store(&s);
    struct bw_record_context context = context_of(&s.f);
    fixture_bring(&s.f, &s.row);
    assert_int_equal(open_in(&s, &context, FIXTURE_NOW + 299999), BW_OK);
    assert_int_equal(open_in(&s, &context, FIXTURE_NOW + 300000), BW_NOT_FOUND);
    fixture_bring(&s.f, &s.row);
    assert_int_equal(open_in(&s, &context, FIXTURE_NOW - 1), BW_NOT_FOUND); /* a clock set back */

    /* A meeting key opened later lives no longer than its scope key. */
    bw_opener_purge(s.f.opener);
    const struct bw_scope_wrapped scope = {s.f.scope, bw_buf_view(&s.f.wrapped)};
    assert_int_equal(bw_opener_scope(s.f.opener, &scope, FIXTURE_NOW, NULL), BW_PROVIDER_OK);
    assert_int_equal(bw_opener_meeting_key(s.f.opener, &s.row, FIXTURE_NOW + 200000, NULL), BW_OK);
    assert_true(bw_opener_has_meeting_key(s.f.opener, &s.row.key_id, FIXTURE_NOW + 299999));
    bw_opener_expire(s.f.opener, FIXTURE_NOW + 299999);
    assert_int_equal(bw_opener_keys(s.f.opener), 2);
    bw_opener_expire(s.f.opener, FIXTURE_NOW + 300000);
    assert_int_equal(bw_opener_keys(s.f.opener), 0);

    /* An erased meeting, an erased tenant. */
    const struct bw_id stranger = id_of(0x55);
    fixture_bring(&s.f, &s.row);
    bw_opener_forget_meeting(s.f.opener, &stranger, &s.f.meeting);
    bw_opener_forget_meeting(s.f.opener, &s.f.tenant, &stranger);
    bw_opener_forget_tenant(s.f.opener, &stranger);
    assert_int_equal(bw_opener_keys(s.f.opener), 2);
    bw_opener_forget_meeting(s.f.opener, &s.f.tenant, &s.f.meeting);
    assert_int_equal(open_in(&s, &context, FIXTURE_NOW), BW_NOT_FOUND);
    assert_int_equal(bw_opener_keys(s.f.opener), 1);
    bw_opener_forget_tenant(s.f.opener, &s.f.tenant);
    assert_int_equal(bw_opener_keys(s.f.opener), 0);
    discard(&s);
}

static void the_number_of_keys_is_bounded(void **state)
{
    (void)state;
    struct stored s;
    store(&s);
    bw_opener_destroy(s.f.opener);
    const struct bw_opener_config config = {.cell = FIXTURE_CELL, .provider = s.f.provider, .keys_max = 2};
    assert_int_equal(bw_opener_create(&config, &s.f.opener, NULL), BW_OK);
    struct bw_meeting_key_row rows[3];
    for (uint8_t i = 0; i < 3; i++) {
        const struct bw_id meeting = id_of((uint8_t)(0x60 + i));
        (void)fixture_key(&s.f, &meeting, &rows[i]);
        fixture_bring(&s.f, &rows[i]);
    }
    assert_false(bw_opener_has_meeting_key(s.f.opener, &rows[0].key_id, FIXTURE_NOW));
    assert_true(bw_opener_has_meeting_key(s.f.opener, &rows[2].key_id, FIXTURE_NOW));
    assert_int_equal(bw_opener_keys(s.f.opener), 3);
    discard(&s);
}

/* A provider whose state can be set: the real one, with a switch in front of its unwrap. */
struct switched {
    struct bw_provider provider;
    struct bw_provider *real;
    enum bw_provider_state state;
};

static enum bw_provider_state switched_unwrap(struct bw_provider *provider,
                                              const struct bw_provider_context *context,
                                              struct bw_view wrapped, uint8_t key[BW_PROVIDER_KEY_SIZE],
                                              struct bw_error *err)
{
    struct switched *switched = (struct switched *)(void *)provider;
    if (switched->state == BW_PROVIDER_OK)
        return bw_provider_unwrap(switched->real, context, wrapped, key, err);
    (void)bw_fail(err, bw_provider_state_code(switched->state), "KEY_UNAVAILABLE", "switched off");
    return switched->state;
}

static void a_denial_purges_at_once_and_an_outage_does_not(void **state)
{
    (void)state;
    struct stored s;
    store(&s);
    static const struct bw_provider_ops ops = {.unwrap = switched_unwrap};
    struct switched switched = {{&ops}, s.f.provider, BW_PROVIDER_OK};
    const struct bw_opener_config config = {.cell = FIXTURE_CELL, .provider = &switched.provider};
    bw_opener_destroy(s.f.opener);
    assert_int_equal(bw_opener_create(&config, &s.f.opener, NULL), BW_OK);
    struct bw_buf wrapped = {0};
    const struct bw_scope_public other = fixture_scope(&s.f, FIXTURE_DAY + 1, &wrapped);
    const struct bw_scope_wrapped second = {other, bw_buf_view(&wrapped)};
    static const struct {
        enum bw_provider_state state;
        bool purges;
    } cases[] = {{BW_PROVIDER_TRANSIENT, false}, {BW_PROVIDER_CORRUPT, false}, {BW_PROVIDER_CONFIG, false},
                 {BW_PROVIDER_DENIED, true},     {BW_PROVIDER_DISABLED, true}, {BW_PROVIDER_GONE, true}};
    for (size_t i = 0; i < BW_ARRAY_LEN(cases); i++) {
        switched.state = BW_PROVIDER_OK;
        fixture_bring(&s.f, &s.row);
        switched.state = cases[i].state;
        assert_int_equal(bw_opener_scope(s.f.opener, &second, FIXTURE_NOW, &s.err), cases[i].state);
        assert_int_equal(bw_opener_keys(s.f.opener), cases[i].purges ? 0 : 2);
    }
    bw_buf_finish(&wrapped);
    discard(&s);
}

/* One group's roster: two meetings of a tenant in one record. */
static void destroying_a_meetings_key_takes_its_roster_entries(void **state)
{
    (void)state;
    struct stored s;
    store(&s);
    struct fixture *f = &s.f;
    const struct bw_id none = {0}, other = id_of(0x44), entries[] = {id_of(1), id_of(2)};
    struct bw_meeting_key_row other_row, tenant_row;
    const struct bw_sealing_key *other_key = fixture_key(f, &other, &other_row),
                                *tenant_key = fixture_key(f, &none, &tenant_row);
    static const char *const users[] = {"one@uni.example", "two@uni.example"};
    struct bw_roster_body body = {0};
    struct bw_buf plain = {0}, sealed = {0}, record = {0};
    bw_roster_begin(&body);
    for (uint32_t i = 0; i < 2; i++) {
        const struct bw_roster_entry entry = {.user = bw_view_str(users[i]), .slot = i + 1};
        uint32_t index;
        bw_buf_clear(&plain);
        bw_buf_clear(&sealed);
        assert_int_equal(bw_roster_entry_encode(&entry, &plain, NULL), BW_OK);
        assert_int_equal(bw_sealer_roster_entry(f->sealer, i == 0 ? s.key : other_key, &entries[i],
                                                bw_buf_view(&plain), &sealed, NULL),
                         BW_OK);
        assert_int_equal(sealed.len, plain.len + BW_ROSTER_SEALED_OVERHEAD);
        assert_int_equal(bw_roster_add(&body, i == 0 ? &f->meeting : &other, &entries[i],
                                       bw_buf_view(&sealed), &index, NULL),
                         BW_OK);
    }
    const struct bw_record_info as = {.type = BW_RECORD_ROSTER, .schema = BW_ROSTER_SCHEMA, .pad_class = 9};
    assert_int_equal(
        bw_sealer_record(f->sealer, tenant_key, &as, &place, bw_roster_body(&body), &record, NULL), BW_OK);

    /* The first meeting was erased: its row is gone, the others are there. */
    fixture_bring(f, &tenant_row);
    fixture_bring(f, &other_row);
    struct bw_record_context context = context_of(f);
    context.meeting = none;
    struct bw_record_info got;
    struct bw_buf opened = {0};
    struct bw_roster_reader reader;
    struct bw_roster_item item;
    assert_int_equal(
        bw_opener_record(f->opener, &context, bw_buf_view(&record), FIXTURE_NOW, &got, &opened, &s.err),
        BW_OK);
    assert_int_equal(bw_roster_read(bw_buf_view(&opened), &reader, NULL), BW_OK);
    bw_buf_clear(&plain);
    assert_int_equal(bw_roster_next(&reader, &item, NULL), BW_OK);
    struct bw_id named;
    assert_int_equal(bw_opener_entry_key(item.sealed, &named, NULL), BW_OK);
    assert_true(bw_id_equal(&named, &s.row.key_id));
    assert_int_equal(bw_opener_roster_entry(f->opener, &f->tenant, &item.meeting, &item.roster_entry,
                                            item.sealed, FIXTURE_NOW, &plain, &s.err),
                     BW_NOT_FOUND);
    assert_string_equal(s.err.reason, "MEETING_KEY_MISSING");
    assert_int_equal(bw_roster_next(&reader, &item, NULL), BW_OK);
    assert_int_equal(bw_opener_roster_entry(f->opener, &f->tenant, &item.meeting, &item.roster_entry,
                                            item.sealed, FIXTURE_NOW, &plain, NULL),
                     BW_OK);
    struct bw_roster_entry entry;
    assert_int_equal(bw_roster_entry_decode(bw_buf_view(&plain), &entry, NULL), BW_OK);
    assert_true(bw_view_equal_str(entry.user, users[1]));
    assert_int_equal(entry.slot, 2);
    bw_roster_finish(&body);
    struct bw_buf *all[] = {&plain, &sealed, &record, &opened};
    for (size_t i = 0; i < BW_ARRAY_LEN(all); i++)
        bw_buf_finish(all[i]);
    discard(&s);
}

static void a_roster_entry_opens_as_its_own_only(void **state)
{
    (void)state;
    struct stored s;
    store(&s);
    struct fixture *f = &s.f;
    const struct bw_id entry = id_of(9), other = id_of(0x44);
    struct bw_buf sealed = {0}, again = {0};
    struct bw_meeting_key_row other_row;
    (void)fixture_key(f, &other, &other_row);
    fixture_bring(f, &s.row);
    fixture_bring(f, &other_row);
    const struct bw_view plain = bw_view_str("\1\1x");
    assert_int_equal(bw_sealer_roster_entry(f->sealer, s.key, &entry, plain, &sealed, NULL), BW_OK);
    assert_int_equal(bw_sealer_roster_entry(f->sealer, s.key, &entry, plain, &again, NULL), BW_OK);
    assert_memory_not_equal(sealed.data + 16, again.data + 16, BW_GCM_NONCE_SIZE);
    struct bw_view whole = bw_buf_view(&sealed);
#define OPEN(tenant, meeting, id, bytes)                                                                     \
    bw_opener_roster_entry(f->opener, &(tenant), &(meeting), &(id), bytes, FIXTURE_NOW, &s.plain, &s.err)
    assert_int_equal(OPEN(f->tenant, f->meeting, entry, whole), BW_OK);
    assert_true(bw_view_equal(bw_buf_view(&s.plain), plain));
    assert_int_equal(OPEN(f->tenant, f->meeting, other, whole), BW_DATA_LOSS);
    assert_int_equal(OPEN(f->tenant, other, entry, whole), BW_DATA_LOSS);
    assert_int_equal(OPEN(other, f->meeting, entry, whole), BW_DATA_LOSS);
    for (size_t bit = 0; bit < sealed.len * 8; bit++) {
        sealed.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(OPEN(f->tenant, f->meeting, entry, whole), bit < 128 ? BW_NOT_FOUND : BW_DATA_LOSS);
        sealed.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    /* Under the name of another meeting's key, which is there. */
    memcpy(sealed.data, other_row.key_id.bytes, 16);
    assert_int_equal(OPEN(f->tenant, f->meeting, entry, whole), BW_DATA_LOSS);
    assert_int_equal(OPEN(f->tenant, other, entry, whole), BW_DATA_LOSS);
    memcpy(sealed.data, s.row.key_id.bytes, 16);
    for (size_t len = 0; len < sealed.len; len++)
        assert_int_equal(OPEN(f->tenant, f->meeting, entry, bw_view_of(sealed.data, len)), BW_DATA_LOSS);
#undef OPEN
    assert_true(bw_view_equal(bw_buf_view(&s.plain), plain)); /* refusals left nothing behind it */
    bw_buf_finish(&sealed);
    bw_buf_finish(&again);
    discard(&s);
}

static bool open_something(void *context)
{
    struct stored *s = context;
    const struct bw_opener_config config = {.cell = FIXTURE_CELL, .provider = s->f.provider};
    const struct bw_scope_wrapped scope = {s->f.scope, bw_buf_view(&s->f.wrapped)};
    const struct bw_record_context where = context_of(&s->f);
    struct bw_opener *opener = NULL;
    struct bw_record_info got;
    struct bw_buf plain = {0};
    struct bw_error err = {0};
    bool ok =
        bw_opener_create(&config, &opener, &err) == BW_OK &&
        bw_opener_scope(opener, &scope, FIXTURE_NOW, &err) == BW_PROVIDER_OK &&
        bw_opener_meeting_key(opener, &s->row, FIXTURE_NOW, &err) == BW_OK &&
        bw_opener_record(opener, &where, bw_buf_view(&s->record), FIXTURE_NOW, &got, &plain, &err) == BW_OK;
    if (!ok)
        assert_int_equal(err.code, BW_RESOURCE_EXHAUSTED);
    bw_buf_finish(&plain);
    bw_opener_destroy(opener);
    return ok;
}

static void running_out_of_memory_is_an_error(void **state)
{
    (void)state;
    struct stored s;
    store(&s);
    assert_true(bw_fail_each_allocation(open_something, &s, true) >= 9);
    bw_opener_destroy(NULL);
    discard(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_sealer_wrote_an_opener_reads),
        cmocka_unit_test(a_record_of_another_region_does_not_open),
        cmocka_unit_test(a_wrong_kek_opens_nothing),
        cmocka_unit_test(a_changed_meeting_key_row_is_refused),
        cmocka_unit_test(a_meeting_key_sealed_to_another_tenants_scope_is_refused),
        cmocka_unit_test(a_participant_key_is_not_supported_yet),
        cmocka_unit_test(keys_are_forgotten_in_time),
        cmocka_unit_test(the_number_of_keys_is_bounded),
        cmocka_unit_test(a_denial_purges_at_once_and_an_outage_does_not),
        cmocka_unit_test(destroying_a_meetings_key_takes_its_roster_entries),
        cmocka_unit_test(a_roster_entry_opens_as_its_own_only),
        cmocka_unit_test(running_out_of_memory_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
