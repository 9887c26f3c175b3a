#include "fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/secret.h"
#include "crypto/hash.h"

struct bw_id id_of(uint8_t byte)
{
    struct bw_id id;
    memset(id.bytes, byte, sizeof id.bytes);
    return id;
}

void stream_fill(void *context, void *out, size_t n)
{
    struct stream *stream = context;
    uint8_t *to = out;
    if (stream->fault == STREAM_CONSTANT) {
        memset(out, 0x5a, n);
        return;
    }
    uint64_t counter = stream->fault == STREAM_REPEATS ? 1 : stream->next;
    for (size_t done = 0; done < n; counter++) {
        uint8_t block[BW_SHA256_SIZE];
        bw_sha256(bw_view_of(&counter, sizeof counter), block);
        size_t part = n - done < sizeof block ? n - done : sizeof block;
        memcpy(to + done, block, part);
        bw_wipe(block, sizeof block);
        done += part;
    }
    stream->next = counter;
    assert_true(n <= sizeof stream->last);
    memcpy(stream->last, out, n);
}

struct bw_scope_public fixture_scope(struct fixture *fixture, uint32_t day, struct bw_buf *wrapped)
{
    static const uint8_t everyone[BW_SCOPE_SIZE];
    uint8_t random[48];
    struct bw_scope_public made;
    stream_fill(&fixture->stream, random, sizeof random);
    assert_int_equal(bw_scope_make(fixture->provider, fixture->service, &fixture->tenant, everyone, day,
                                   random, random + 16, &made, wrapped, NULL),
                     BW_PROVIDER_OK);
    bw_wipe(random, sizeof random);
    return made;
}

void fixture_init(struct fixture *fixture)
{
    static const uint8_t seed[BW_ED25519_SEED_SIZE] = {42};
    *fixture = (struct fixture){.stream.next = 1000, .tenant = id_of(0x11), .meeting = id_of(0x22)};
    assert_int_equal(bw_keyring_parse(bw_view_str(FIXTURE_KEYRING), "keyring", &fixture->provider, NULL),
                     BW_PROVIDER_OK);
    assert_int_equal(bw_ed25519_signer_create(seed, &fixture->service, NULL), BW_OK);
    bw_ed25519_signer_public(fixture->service, fixture->service_public);
    assert_int_equal(bw_ed25519_verifier_create(fixture->service_public, &fixture->verifier, NULL), BW_OK);
    fixture->scope = fixture_scope(fixture, FIXTURE_DAY, &fixture->wrapped);

    struct bw_sealer_config sealing = {
        .cell = FIXTURE_CELL, .random = stream_fill, .random_context = &fixture->stream};
    memcpy(sealing.service_public, fixture->service_public, sizeof sealing.service_public);
    assert_int_equal(bw_sealer_create(&sealing, &fixture->sealer, NULL), BW_OK);
    assert_int_equal(bw_sealer_scope(fixture->sealer, &fixture->scope, NULL), BW_OK);
    const struct bw_opener_config opening = {.cell = FIXTURE_CELL, .provider = fixture->provider};
    assert_int_equal(bw_opener_create(&opening, &fixture->opener, NULL), BW_OK);
}

void fixture_finish(struct fixture *fixture)
{
    bw_opener_destroy(fixture->opener);
    bw_sealer_destroy(fixture->sealer);
    bw_buf_finish(&fixture->wrapped);
    bw_ed25519_verifier_destroy(fixture->verifier);
    bw_ed25519_signer_destroy(fixture->service);
    bw_provider_destroy(fixture->provider);
}

const struct bw_sealing_key *fixture_key(struct fixture *fixture, const struct bw_id *meeting,
                                         struct bw_meeting_key_row *row)
{
    const struct bw_sealing_key *key = NULL;
    bool is_new = false;
    assert_int_equal(
        bw_sealer_meeting(fixture->sealer, &fixture->tenant, meeting, FIXTURE_NOW, &key, row, &is_new, NULL),
        BW_OK);
    assert_true(is_new);
    return key;
}

void fixture_bring(struct fixture *fixture, const struct bw_meeting_key_row *row)
{
    const struct bw_scope_wrapped scope = {fixture->scope, bw_buf_view(&fixture->wrapped)};
    assert_int_equal(bw_opener_scope(fixture->opener, &scope, FIXTURE_NOW, NULL), BW_PROVIDER_OK);
    assert_int_equal(bw_opener_meeting_key(fixture->opener, row, FIXTURE_NOW, NULL), BW_OK);
}
