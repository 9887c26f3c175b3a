#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "check_alloc.h"
#include "crypto/hkdf.h"
#include "e2ee/grant.h"

enum { RELAY = 7, NOW = 1000000 };

struct signing {
    struct bw_ed25519_signer *signer;
    struct bw_grant_verifier *verifier;
    struct bw_grant_batch *batch;
    uint8_t public_key[32], key_id[8];
    struct bw_id cell;
};

static int set_up(void **state)
{
    static struct signing s;
    uint8_t seed[32] = {42};
    memset(&s, 0, sizeof s);
    assert_int_equal(bw_ed25519_signer_create(seed, &s.signer, NULL), BW_OK);
    bw_ed25519_signer_public(s.signer, s.public_key);
    bw_grant_key_id(s.public_key, s.key_id);
    s.cell = bw_grant_cell_id(bw_view_str("eu"));
    assert_int_equal(bw_grant_batch_create(&s.batch, NULL), BW_OK);
    assert_int_equal(bw_grant_verifier_create(8, &s.verifier, NULL), BW_OK);
    assert_int_equal(bw_grant_verifier_add_key(s.verifier, s.public_key, NULL), BW_OK);
    *state = &s;
    return 0;
}

static int tear_down(void **state)
{
    struct signing *s = *state;
    bw_grant_verifier_destroy(s->verifier);
    bw_grant_batch_destroy(s->batch);
    bw_ed25519_signer_destroy(s->signer);
    return 0;
}

static struct bw_grant a_grant(const struct signing *s, uint32_t slot)
{
    struct bw_grant grant = {
        .role = BW_ROLE_SPEAKER,
        .mode = BW_MODE_E2EE,
        .cell = s->cell,
        .tenant = {{1}},
        .meeting = {{2}},
        .meeting_epoch = 1,
        .mode_epoch = 3,
        .roster_entry = {{3}},
        .slot = slot,
        .relay = RELAY,
        .not_before_ms = NOW,
        .expires_ms = NOW + 60000,
        .stream = {{4}},
        .group = 99,
    };
    memcpy(grant.key_id, s->key_id, sizeof grant.key_id);
    return grant;
}

static struct bw_grant_expect at_relay(const struct signing *s)
{
    return (struct bw_grant_expect){.cell = s->cell, .relay = RELAY, .now_ms = NOW + 1000, .skew_ms = 0};
}

static void sign(struct signing *s, const struct bw_merkle_hash *root, uint32_t leaves, uint8_t signature[64])
{
    uint8_t bytes[BW_GRANT_SIGNED_SIZE];
    bw_grant_signed_bytes(root, leaves, bytes);
    assert_int_equal(bw_ed25519_sign(s->signer, bw_view_of(bytes, sizeof bytes), signature, NULL), BW_OK);
}

/* Seals what was added and signs it. */
static void seal(struct signing *s, uint8_t signature[64])
{
    struct bw_merkle_hash root;
    assert_int_equal(bw_grant_batch_seal(s->batch, &root, NULL), BW_OK);
    sign(s, &root, bw_grant_batch_count(s->batch), signature);
}

static void add(struct signing *s, const struct bw_grant *grant)
{
    uint32_t index = 0, before = bw_grant_batch_count(s->batch);
    assert_int_equal(bw_grant_batch_add(s->batch, grant, &index, NULL), BW_OK);
    assert_int_equal(index, before);
}

static void make_batch(struct signing *s, uint32_t count, uint8_t signature[64])
{
    bw_grant_batch_clear(s->batch);
    for (uint32_t i = 0; i < count; i++) {
        struct bw_grant grant = a_grant(s, i);
        add(s, &grant);
    }
    seal(s, signature);
}

static struct bw_buf token_of(struct signing *s, uint32_t index, const uint8_t signature[64])
{
    struct bw_buf token = {0};
    assert_int_equal(bw_grant_batch_token(s->batch, index, signature, &token, NULL), BW_OK);
    return token;
}

static enum bw_grant_refusal verify(struct signing *s, const struct bw_buf *token)
{
    struct bw_grant_expect expect = at_relay(s);
    struct bw_grant grant;
    return bw_grant_verify(s->verifier, bw_buf_view(token), &expect, &grant, NULL);
}

static void a_batch_costs_one_signature_and_every_token_verifies(void **state)
{
    struct signing *s = *state;
    for (uint32_t count = 1; count <= 70; count++) {
        uint8_t signature[64], hash[32], expected[32];
        make_batch(s, count, signature);
        uint64_t before = bw_grant_verifier_stats(s->verifier).signatures;
        for (uint32_t i = 0; i < count; i++) {
            struct bw_buf token = token_of(s, i, signature);
            struct bw_grant_expect expect = at_relay(s);
            struct bw_grant got, sent = a_grant(s, i);
            assert_int_equal(bw_grant_verify(s->verifier, bw_buf_view(&token), &expect, &got, hash), BW_OK);
            assert_int_equal(got.slot, sent.slot);
            assert_int_equal(got.group, 99);
            assert_memory_equal(&got.roster_entry, &sent.roster_entry, sizeof got.roster_entry);
            assert_memory_equal(got.key_id, sent.key_id, sizeof got.key_id);
            bw_grant_batch_body_hash(s->batch, i, expected);
            assert_memory_equal(hash, expected, sizeof hash);
            bw_buf_finish(&token);
        }
        assert_int_equal(bw_grant_verifier_stats(s->verifier).signatures - before, 1);
    }
}

static void the_layout_is_fixed(void **state)
{
    struct signing *s = *state;
    struct bw_grant grant = a_grant(s, 0x01020304);
    uint8_t body[BW_GRANT_BODY_SIZE];
    assert_int_equal(bw_grant_encode(&grant, body, NULL), BW_OK);
    assert_memory_equal(body, "BWG1\1\0\1\1", 8);
    assert_memory_equal(body + 8, s->cell.bytes, 16);
    assert_memory_equal(body + 56, "\0\0\0\1\0\0\0\3", 8);
    assert_memory_equal(body + 80, "\1\2\3\4\0\0\0\7", 8);
    assert_memory_equal(body + 88, "\0\0\0\0\0\x0f\x42\x40", 8);
    assert_memory_equal(body + 120, "\0\0\0\0\0\0\0\x63", 8);
    assert_memory_equal(body + 128, s->key_id, 8);
    uint8_t cell_hash[32];
    bw_sha256(bw_view_str("bw-cell/v1eu"), cell_hash);
    assert_memory_equal(s->cell.bytes, cell_hash, 16);
    uint8_t signature[64];
    make_batch(s, 5, signature);
    struct bw_buf token = token_of(s, 3, signature);
    assert_int_equal(token.len, 136 + 9 + 3 * 32 + 64);
    assert_memory_equal(token.data + 136, "\0\0\0\3\0\0\0\5\3", 9);
    bw_buf_finish(&token);
}

static void every_flipped_bit_is_refused_even_when_the_root_is_remembered(void **state)
{
    struct signing *s = *state;
    uint8_t signature[64];
    make_batch(s, 11, signature);
    for (uint32_t index = 0; index < 11; index += 5) {
        struct bw_buf token = token_of(s, index, signature);
        assert_int_equal(verify(s, &token), BW_GRANT_OK);
        for (size_t bit = 0; bit < token.len * 8; bit++) {
            token.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
            assert_int_not_equal(verify(s, &token), BW_GRANT_OK);
            token.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
        assert_int_equal(verify(s, &token), BW_GRANT_OK);
        bw_buf_finish(&token);
    }
}

static void every_truncation_and_every_extra_byte_is_refused(void **state)
{
    struct signing *s = *state;
    uint8_t signature[64];
    make_batch(s, 6, signature);
    struct bw_buf token = token_of(s, 2, signature);
    size_t whole = token.len;
    for (token.len = 0; token.len < whole; token.len++)
        assert_int_not_equal(verify(s, &token), BW_GRANT_OK);
    assert_int_equal(verify(s, &token), BW_GRANT_OK);
    bw_buf_append_u8(&token, 0);
    assert_int_equal(verify(s, &token), BW_GRANT_TRUNCATED);
    bw_buf_finish(&token);
}

/* Changes a byte of a body and repairs nothing else: the refusals that come before the signature. */
static enum bw_grant_refusal with_byte(struct signing *s, const struct bw_buf *token, size_t at,
                                       uint8_t value)
{
    struct bw_buf copy = {0};
    bw_buf_append(&copy, token->data, token->len);
    copy.data[at] = value;
    enum bw_grant_refusal refusal = verify(s, &copy);
    bw_buf_finish(&copy);
    return refusal;
}

static void each_way_to_be_wrong_has_its_own_name(void **state)
{
    struct signing *s = *state;
    uint8_t signature[64];
    make_batch(s, 6, signature);
    struct bw_buf token = token_of(s, 2, signature);
    assert_int_equal(with_byte(s, &token, 0, 'X'), BW_GRANT_BAD_MAGIC);
    assert_int_equal(with_byte(s, &token, 4, 2), BW_GRANT_BAD_VERSION);
    assert_int_equal(with_byte(s, &token, 5, 1), BW_GRANT_BAD_FLAGS);
    assert_int_equal(with_byte(s, &token, 6, 9), BW_GRANT_BAD_ROLE);
    assert_int_equal(with_byte(s, &token, 6, BW_ROLE_CONNECTOR), BW_GRANT_BAD_ROLE); /* in mode e2ee */
    assert_int_equal(with_byte(s, &token, 7, BW_MODE_ENDED), BW_GRANT_BAD_MODE);
    assert_int_equal(with_byte(s, &token, 24, 0), BW_GRANT_BAD_FIELD);
    assert_int_equal(with_byte(s, &token, 96, 1), BW_GRANT_BAD_LIFE);
    assert_int_equal(with_byte(s, &token, 139, 6), BW_GRANT_BAD_BATCH);
    assert_int_equal(with_byte(s, &token, 144, 4), BW_GRANT_BAD_BATCH);
    assert_int_equal(with_byte(s, &token, 142, 0xff), BW_GRANT_BAD_BATCH);
    assert_int_equal(with_byte(s, &token, 128, (uint8_t)(s->key_id[0] ^ 1)), BW_GRANT_UNKNOWN_KEY);
    assert_int_equal(with_byte(s, &token, 83, 77), BW_GRANT_BAD_SIGNATURE);
    assert_int_equal(with_byte(s, &token, token.len - 1, 0), BW_GRANT_BAD_SIGNATURE);
    struct bw_grant grant;
    struct bw_grant_expect expect = at_relay(s);
    expect.cell = bw_grant_cell_id(bw_view_str("us"));
    assert_int_equal(bw_grant_verify(s->verifier, bw_buf_view(&token), &expect, &grant, NULL),
                     BW_GRANT_WRONG_CELL);
    expect = at_relay(s);
    expect.relay = 8;
    assert_int_equal(bw_grant_verify(s->verifier, bw_buf_view(&token), &expect, &grant, NULL),
                     BW_GRANT_WRONG_RELAY);
    expect.relay = 0;
    assert_int_equal(bw_grant_verify(s->verifier, bw_buf_view(&token), &expect, &grant, NULL), BW_GRANT_OK);
    for (int i = 0; i < BW_GRANT_REFUSAL_COUNT; i++)
        assert_true(strlen(bw_grant_refusal_text((enum bw_grant_refusal)i)) > 0);
    assert_string_equal(bw_grant_refusal_name(BW_GRANT_WRONG_RELAY), "WRONG_RELAY");
    bw_buf_finish(&token);
}

static void a_grant_holds_from_not_before_until_expiry_give_or_take_the_skew(void **state)
{
    struct signing *s = *state;
    static const struct {
        uint64_t now_ms, skew_ms;
        enum bw_grant_refusal expected;
    } cases[] = {
        {NOW - 1, 0, BW_GRANT_NOT_YET_VALID},
        {NOW, 0, BW_GRANT_OK},
        {NOW + 59999, 0, BW_GRANT_OK},
        {NOW + 60000, 0, BW_GRANT_EXPIRED},
        {NOW - 2000, 2000, BW_GRANT_OK},
        {NOW - 2001, 2000, BW_GRANT_NOT_YET_VALID},
        {NOW + 61999, 2000, BW_GRANT_OK},
        {NOW + 62000, 2000, BW_GRANT_EXPIRED},
        {UINT64_MAX, UINT64_MAX - 1, BW_GRANT_OK},
        {UINT64_MAX, 0, BW_GRANT_EXPIRED},
        {0, 0, BW_GRANT_NOT_YET_VALID},
    };
    uint8_t signature[64];
    make_batch(s, 2, signature);
    struct bw_buf token = token_of(s, 0, signature);
    for (size_t i = 0; i < BW_ARRAY_LEN(cases); i++) {
        struct bw_grant grant;
        struct bw_grant_expect expect = at_relay(s);
        expect.now_ms = cases[i].now_ms;
        expect.skew_ms = cases[i].skew_ms;
        assert_int_equal(bw_grant_verify(s->verifier, bw_buf_view(&token), &expect, &grant, NULL),
                         cases[i].expected);
    }
    bw_buf_finish(&token);
}

static void no_grant_is_made_that_no_relay_would_take(void **state)
{
    struct signing *s = *state;
    uint32_t index = 77;
    struct bw_error err;
    struct bw_grant long_life = a_grant(s, 1), ended = long_life, nobody = long_life, negative = long_life;
    struct bw_grant recorder = long_life;
    long_life.expires_ms = long_life.not_before_ms + BW_GRANT_LIFE_MAX_MS + 1;
    ended.mode = BW_MODE_ENDED;
    memset(&nobody.roster_entry, 0, sizeof nobody.roster_entry);
    negative.expires_ms = negative.not_before_ms;
    recorder.role = BW_ROLE_CONNECTOR;
    const struct bw_grant *bad[] = {&long_life, &ended, &nobody, &negative, &recorder};
    for (size_t i = 0; i < BW_ARRAY_LEN(bad); i++) {
        assert_int_equal(bw_grant_batch_add(s->batch, bad[i], &index, &err), BW_INVALID_ARGUMENT);
        assert_int_equal(bw_grant_batch_count(s->batch), 0);
    }
    assert_int_equal(index, 77);
    recorder.mode = BW_MODE_E2EE_CONNECTORS;
    assert_int_equal(bw_grant_batch_add(s->batch, &recorder, &index, &err), BW_OK);
}

static void paths_cannot_be_forged_or_borrowed(void **state)
{
    struct signing *s = *state;
    uint8_t signature[64];
    make_batch(s, 8, signature);
    struct bw_buf first = token_of(s, 0, signature), second = token_of(s, 1, signature);
    /* Another leaf's index and path. */
    uint8_t kept[9 + 3 * 32];
    memcpy(kept, first.data + 136, sizeof kept);
    memcpy(first.data + 136, second.data + 136, sizeof kept);
    assert_int_equal(verify(s, &first), BW_GRANT_BAD_SIGNATURE);
    memcpy(first.data + 136, kept, sizeof kept);
    /* Two hashes of the path changed places. */
    memcpy(first.data + 145, kept + 9 + 32, 32);
    memcpy(first.data + 145 + 32, kept + 9, 32);
    assert_int_equal(verify(s, &first), BW_GRANT_BAD_SIGNATURE);
    bw_buf_finish(&first);
    bw_buf_finish(&second);
}

/* An inner node must not pass for a grant: a batch of two, presented as a batch of one whose only "leaf" is
 * the two leaf hashes, would have the same root if leaves and nodes were hashed alike. */
static void a_node_cannot_be_shown_as_a_leaf_nor_another_leaf_count(void **state)
{
    struct signing *s = *state;
    uint8_t signature[64];
    make_batch(s, 2, signature);
    struct bw_buf token = token_of(s, 0, signature);
    /* The same root claimed for a larger batch: the count is signed. Index 0 of 2 and index 1 of 3 with one
     * hash less have paths of plausible shape. */
    token.data[143] = 1; /* leaf count 1 */
    assert_int_equal(verify(s, &token), BW_GRANT_BAD_BATCH);
    token.data[144] = 0;
    memmove(token.data + 145, token.data + 145 + 32, 64);
    token.len -= 32;
    assert_int_equal(verify(s, &token), BW_GRANT_BAD_SIGNATURE);
    bw_buf_finish(&token);
    make_batch(s, 3, signature);
    token = token_of(s, 2, signature); /* path of one hash: leaf 2 hangs directly below the root */
    assert_int_equal(token.data[144], 1);
    token.data[139] = 1;
    token.data[143] = 2; /* index 1 of 2 folds to the very same root; only the signed count tells */
    assert_int_equal(verify(s, &token), BW_GRANT_BAD_SIGNATURE);
    bw_buf_finish(&token);
}

static void a_retired_key_takes_its_remembered_roots_along(void **state)
{
    struct signing *s = *state;
    uint8_t signature[64];
    make_batch(s, 4, signature);
    struct bw_buf token = token_of(s, 0, signature);
    assert_int_equal(verify(s, &token), BW_GRANT_OK);
    assert_true(bw_grant_verifier_remove_key(s->verifier, s->key_id));
    assert_false(bw_grant_verifier_remove_key(s->verifier, s->key_id));
    assert_int_equal(verify(s, &token), BW_GRANT_UNKNOWN_KEY);
    assert_int_equal(bw_grant_verifier_add_key(s->verifier, s->public_key, NULL), BW_OK);
    assert_int_equal(bw_grant_verifier_add_key(s->verifier, s->public_key, NULL), BW_OK);
    assert_int_equal(bw_grant_verifier_keys(s->verifier), 1);
    uint64_t before = bw_grant_verifier_stats(s->verifier).signatures;
    assert_int_equal(verify(s, &token), BW_GRANT_OK);
    assert_int_equal(bw_grant_verifier_stats(s->verifier).signatures, before + 1);
    bw_buf_finish(&token);
}

static void more_roots_than_are_remembered_still_verify(void **state)
{
    struct signing *s = *state;
    struct bw_buf tokens[40];
    for (size_t i = 0; i < BW_ARRAY_LEN(tokens); i++) {
        uint8_t signature[64];
        make_batch(s, (uint32_t)(i + 1), signature);
        tokens[i] = token_of(s, (uint32_t)i, signature);
    }
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < BW_ARRAY_LEN(tokens); i++)
            assert_int_equal(verify(s, &tokens[i]), BW_GRANT_OK);
    }
    for (size_t i = 0; i < BW_ARRAY_LEN(tokens); i++)
        bw_buf_finish(&tokens[i]);
}

static void the_largest_batch_verifies_and_one_more_is_refused(void **state)
{
    struct signing *s = *state;
    for (uint32_t i = 0; i < BW_GRANT_LEAVES_MAX; i++) {
        struct bw_grant grant = a_grant(s, i);
        add(s, &grant);
    }
    struct bw_grant grant = a_grant(s, 1);
    uint32_t index;
    struct bw_error err;
    assert_int_equal(bw_grant_batch_add(s->batch, &grant, &index, &err), BW_RESOURCE_EXHAUSTED);
    uint8_t signature[64];
    seal(s, signature);
    assert_int_equal(bw_grant_batch_add(s->batch, &grant, &index, &err), BW_FAILED_PRECONDITION);
    for (uint32_t i = 0; i < BW_GRANT_LEAVES_MAX; i += 1365) {
        struct bw_buf token = token_of(s, i, signature);
        assert_int_equal(token.len, BW_GRANT_TOKEN_MAX);
        assert_int_equal(verify(s, &token), BW_GRANT_OK);
        bw_buf_finish(&token);
    }
}

static void a_grant_fits_only_the_slot_it_was_made_for(void **state)
{
    struct signing *s = *state;
    struct bw_grant grant = a_grant(s, 5);
    const struct bw_grant_slot held = {.meeting = grant.meeting,
                                       .roster_entry = grant.roster_entry,
                                       .slot = 5,
                                       .meeting_epoch = 1,
                                       .mode_epoch = 3,
                                       .mode = BW_MODE_E2EE,
                                       .role = BW_ROLE_SPEAKER};
    struct bw_grant_slot slot = held;
    assert_int_equal(bw_grant_fits_slot(&grant, &slot), BW_GRANT_OK);
    slot.meeting.bytes[15] = 1;
    assert_int_equal(bw_grant_fits_slot(&grant, &slot), BW_GRANT_WRONG_MEETING);
    slot = held;
    slot.meeting_epoch = 2;
    assert_int_equal(bw_grant_fits_slot(&grant, &slot), BW_GRANT_STALE_MEETING_EPOCH);
    slot.meeting_epoch = 0;
    assert_int_equal(bw_grant_fits_slot(&grant, &slot), BW_GRANT_FUTURE_MEETING_EPOCH);
    slot = held;
    slot.slot = 6;
    assert_int_equal(bw_grant_fits_slot(&grant, &slot), BW_GRANT_WRONG_SLOT);
    slot = held;
    slot.roster_entry.bytes[0]++;
    assert_int_equal(bw_grant_fits_slot(&grant, &slot), BW_GRANT_WRONG_ROSTER_ENTRY);
    slot = held;
    slot.mode_epoch = 4;
    assert_int_equal(bw_grant_fits_slot(&grant, &slot), BW_GRANT_STALE_MODE_EPOCH);
    slot.mode_epoch = 2;
    assert_int_equal(bw_grant_fits_slot(&grant, &slot), BW_GRANT_FUTURE_MODE_EPOCH);
    slot = held;
    slot.mode = BW_MODE_HOP;
    assert_int_equal(bw_grant_fits_slot(&grant, &slot), BW_GRANT_WRONG_MODE);
    slot = held;
    slot.role = BW_ROLE_LISTENER;
    assert_int_equal(bw_grant_fits_slot(&grant, &slot), BW_GRANT_WRONG_ROLE);
}

static void derived_keys_are_bound_to_what_they_are_for(void **state)
{
    (void)state;
    uint8_t low[32], high[32], hash[32] = {9}, info[41] = "bw-hop/v1", expected[32];
    memset(low, 1, sizeof low);
    memset(high, 2, sizeof high);
    struct bw_secret hop, other, ab, ba;
    bw_grant_hop_key(low, hash, &hop);
    memcpy(info + 9, hash, 32);
    bw_hkdf256(bw_view_of(NULL, 0), bw_view_of(low, 32), bw_view_of(info, 41), expected, 32);
    assert_int_equal(hop.len, 32);
    assert_memory_equal(hop.bytes, expected, 32);
    hash[0]++;
    bw_grant_hop_key(low, hash, &other);
    assert_false(bw_secret_equal(&hop, &other));
    struct bw_id meeting = {{5}};
    bw_grant_link_key(&meeting, 3, low, 9, high, &ab);
    bw_grant_link_key(&meeting, 9, high, 3, low, &ba);
    assert_true(bw_secret_equal(&ab, &ba));
    uint8_t link_info[34] = "bw-link/v1", ikm[64];
    memcpy(link_info + 10, meeting.bytes, 16);
    link_info[29] = 3;
    link_info[33] = 9;
    memcpy(ikm, low, 32);
    memcpy(ikm + 32, high, 32);
    bw_hkdf256(bw_view_of(NULL, 0), bw_view_of(ikm, 64), bw_view_of(link_info, 34), expected, 32);
    assert_memory_equal(ab.bytes, expected, 32);
    meeting.bytes[0]++;
    bw_grant_link_key(&meeting, 3, low, 9, high, &other);
    assert_false(bw_secret_equal(&ab, &other));
}

static bool sign_and_verify(void *context)
{
    struct signing *s = context;
    struct bw_grant_batch *batch = NULL;
    struct bw_grant_verifier *verifier = NULL;
    struct bw_buf token = {0};
    struct bw_merkle_hash root;
    uint8_t signature[64];
    uint32_t index;
    struct bw_error err;
    bool ok = bw_grant_batch_create(&batch, &err) == BW_OK;
    for (uint32_t i = 0; ok && i < 100; i++) {
        struct bw_grant grant = a_grant(s, i);
        ok = bw_grant_batch_add(batch, &grant, &index, &err) == BW_OK && index == i;
        if (!ok)
            assert_int_equal(bw_grant_batch_count(batch), i);
    }
    ok = ok && bw_grant_batch_seal(batch, &root, &err) == BW_OK;
    if (ok) {
        sign(s, &root, 100, signature);
        ok = bw_grant_batch_token(batch, 40, signature, &token, &err) == BW_OK;
    }
    ok = ok && bw_grant_verifier_create(0, &verifier, &err) == BW_OK &&
         bw_grant_verifier_add_key(verifier, s->public_key, &err) == BW_OK;
    if (ok) {
        struct bw_grant_expect expect = at_relay(s);
        struct bw_grant grant;
        assert_int_equal(bw_grant_verify(verifier, bw_buf_view(&token), &expect, &grant, NULL), BW_GRANT_OK);
    }
    bw_buf_finish(&token);
    bw_grant_verifier_destroy(verifier);
    bw_grant_batch_destroy(batch);
    return ok;
}

static void running_out_of_memory_is_an_error(void **state)
{
    assert_true(bw_fail_each_allocation(sign_and_verify, *state, true) >= 8);
}

static void keys_have_a_bound(void **state)
{
    struct signing *s = *state;
    for (int i = 0; i < BW_GRANT_KEYS_MAX; i++) {
        uint8_t seed[32] = {(uint8_t)i, 1}, public_key[32];
        struct bw_ed25519_signer *signer = NULL;
        struct bw_error err;
        assert_int_equal(bw_ed25519_signer_create(seed, &signer, NULL), BW_OK);
        bw_ed25519_signer_public(signer, public_key);
        assert_int_equal(bw_grant_verifier_add_key(s->verifier, public_key, &err),
                         i + 1 < BW_GRANT_KEYS_MAX ? BW_OK : BW_RESOURCE_EXHAUSTED);
        bw_ed25519_signer_destroy(signer);
    }
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(a_batch_costs_one_signature_and_every_token_verifies),
        T(the_layout_is_fixed),
        T(every_flipped_bit_is_refused_even_when_the_root_is_remembered),
        T(every_truncation_and_every_extra_byte_is_refused),
        T(each_way_to_be_wrong_has_its_own_name),
        T(a_grant_holds_from_not_before_until_expiry_give_or_take_the_skew),
        T(no_grant_is_made_that_no_relay_would_take),
        T(paths_cannot_be_forged_or_borrowed),
        T(a_node_cannot_be_shown_as_a_leaf_nor_another_leaf_count),
        T(a_retired_key_takes_its_remembered_roots_along),
        T(more_roots_than_are_remembered_still_verify),
        T(the_largest_batch_verifies_and_one_more_is_refused),
        T(a_grant_fits_only_the_slot_it_was_made_for),
        T(derived_keys_are_bound_to_what_they_are_for),
        T(running_out_of_memory_is_an_error),
        T(keys_have_a_bound),
    };
#undef T
    return cmocka_run_group_tests(tests, NULL, NULL);
}
