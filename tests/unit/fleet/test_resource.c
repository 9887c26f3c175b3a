#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "fleet/resource.h"

static const struct bw_id meeting = {
    .bytes = {0x01, 0x93, 0x2a, 0, 0, 1, 0x70, 0, 0x80, 0, 0, 0, 0, 0, 0, 7}};

static void ids_are_built_and_parsed_alike(void **state)
{
    (void)state;
    const uint8_t key_id[8] = {0xde, 0xad, 0xbe, 0xef, 0, 1, 2, 3};
    struct bw_resource_id built[] = {bw_resource_id_link(&meeting, UINT32_MAX),
                                     bw_resource_id_slot(&meeting, 0), bw_resource_id_key(key_id)};
    const char *texts[] = {"l/01932a00-0001-7000-8000-000000000007/4294967295",
                           "s/01932a00-0001-7000-8000-000000000007/0", "k/deadbeef00010203"};
    enum bw_resource_type types[] = {BW_RESOURCE_PEER_LINK, BW_RESOURCE_MEETING_SLOT, BW_RESOURCE_GRANT_KEY};
    for (size_t i = 0; i < BW_ARRAY_LEN(built); i++) {
        struct bw_resource_id id;
        struct bw_resource_name name;
        assert_string_equal(built[i].text, texts[i]);
        assert_true(bw_resource_id_parse(bw_view_str(texts[i]), &id, &name));
        assert_true(bw_resource_id_equal(&id, &built[i]));
        assert_int_equal(name.type, types[i]);
    }
    struct bw_resource_name name;
    assert_true(bw_resource_name_of(&built[0], &name));
    assert_true(bw_id_equal(&name.meeting, &meeting));
    assert_int_equal(name.number, UINT32_MAX);
    assert_true(bw_resource_name_of(&built[2], &name));
    assert_memory_equal(name.key_id, key_id, 8);
}

static void ids_have_one_spelling(void **state)
{
    (void)state;
    const char *bad[] = {"",
                         "l",
                         "l/",
                         "x/01932a00-0001-7000-8000-000000000007/1",
                         "s/01932a00-0001-7000-8000-000000000007/",
                         "s/01932a00-0001-7000-8000-000000000007/01",
                         "s/01932a00-0001-7000-8000-000000000007/4294967296",
                         "s/01932a00-0001-7000-8000-000000000007/99999999999",
                         "s/01932a00-0001-7000-8000-000000000007/-1",
                         "s/01932A00-0001-7000-8000-000000000007/1",
                         "s/01932a00-0001-7000-8000-00000000000g/1",
                         "s/01932a00-0001-7000-8000-000000000007",
                         "k/deadbeef0001020",
                         "k/deadbeef000102033",
                         "k/DEADBEEF00010203",
                         "k:deadbeef00010203"};
    for (size_t i = 0; i < BW_ARRAY_LEN(bad); i++) {
        struct bw_resource_id id;
        struct bw_resource_name name;
        if (bw_resource_id_parse(bw_view_str(bad[i]), &id, &name))
            fail_msg("'%s' was accepted", bad[i]);
    }
    struct bw_resource_id dirty = bw_resource_id_key((const uint8_t *)"12345678");
    struct bw_resource_name name;
    dirty.text[BW_RESOURCE_ID_SIZE - 1] = 'x';
    assert_false(bw_resource_name_of(&dirty, &name));
}

static void an_upsert_names_what_its_body_is(void **state)
{
    (void)state;
    struct bw_resource_name name;
    struct bw_meeting_slot slot = {.meeting = meeting, .slot = 7};
    struct bw_upsert upsert = bw_upsert_slot(&slot, 3, 0);
    assert_true(bw_upsert_valid(&upsert, &name));
    slot.slot = 8; /* behind its back */
    assert_false(bw_upsert_valid(&upsert, &name));
    slot.slot = 7;
    upsert.body.len--;
    assert_false(bw_upsert_valid(&upsert, &name));
    upsert.body.len++;
    upsert.type = BW_RESOURCE_GRANT_KEY;
    assert_false(bw_upsert_valid(&upsert, &name));
    upsert = bw_upsert_slot(&slot, 0, 0);
    assert_false(bw_upsert_valid(&upsert, &name)); /* version 0 is "not held" */
}

/* As relay.proto says: SHA-256(id, 0x00, version as u64 big-endian). */
static void the_digest_is_the_one_the_protocol_names(void **state)
{
    (void)state;
    static const uint8_t expected[32] = {0xa8, 0x01, 0x93, 0xfa, 0x36, 0xf3, 0xba, 0x4c};
    struct bw_resource_id id = bw_resource_id_key((const uint8_t[8]){0, 1, 2, 3, 4, 5, 6, 7});
    struct bw_digest one = bw_digest_of(&id, 258), other = bw_digest_of(&id, 259), set = {{0}};
    assert_memory_equal(one.bytes, expected, 8);
    bw_digest_toggle(&set, &one);
    bw_digest_toggle(&set, &other);
    bw_digest_toggle(&set, &one);
    assert_true(bw_digest_equal(&set, &other));
    bw_digest_toggle(&set, &other);
    assert_true(bw_digest_equal(&set, &(struct bw_digest){{0}}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_are_built_and_parsed_alike),
        cmocka_unit_test(ids_have_one_spelling),
        cmocka_unit_test(an_upsert_names_what_its_body_is),
        cmocka_unit_test(the_digest_is_the_one_the_protocol_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
