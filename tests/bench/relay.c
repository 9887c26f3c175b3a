/* What forwarding costs beside the one thing it cannot do without: a tag for every copy. A meeting of twenty
 * on one relay core, payloads of 600 bytes, without sockets; the anchor is HMAC-SHA256 over as many datagrams
 * of the same size, on the same core, in turns. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/secret.h"
#include "relay/core.h"
#include "relay/media_client.h"
#include "report.h"
#include "runtime/clock.h"
#include "runtime/random.h"

enum { PEOPLE = 20, PAYLOAD = 600, DATAGRAMS = 5000, ROUNDS = 7 };

struct stage {
    struct bw_relay_now now;
    struct bw_outbox outbox;
    struct bw_relay_core *core;
    uint8_t secret[BW_SESSION_SECRET];
    struct bw_ed25519_signer *signer;
    struct bw_grant_key key;
    struct bw_media_client people[PEOPLE];
    uint8_t answer[BW_DATAGRAM_MAX];
    size_t answer_len;
    uint64_t copies;
};

/* Keeps the last answer while people join; later only counts. */
static void flush(void *context, struct bw_outbox *outbox)
{
    struct stage *s = context;
    const struct bw_outgoing *last = &outbox->items[outbox->count - 1];
    s->copies += outbox->count;
    memcpy(s->answer, last->header, BW_DATAGRAM_HEADER);
    s->answer_len = BW_DATAGRAM_HEADER + last->payload.len;
    if (last->payload.len <= BW_CONTROL_PAYLOAD_MAX && last->payload.len > 0)
        memcpy(s->answer + BW_DATAGRAM_HEADER, last->payload.data, last->payload.len);
}

static struct bw_address address_of(size_t person)
{
    return (struct bw_address){.family = 4, .ip = {192, 0, 2, (uint8_t)person}, .port = 5000};
}

static void join(struct stage *s, uint32_t i)
{
    struct bw_meeting_slot slot = {.meeting = {.bytes = {1}},
                                   .slot = i + 1,
                                   .roster_entry = {.bytes = {2}},
                                   .meeting_epoch = 1,
                                   .mode_epoch = 1,
                                   .mode = BW_MODE_E2EE,
                                   .role = BW_ROLE_SPEAKER};
    struct bw_grant grant = {.role = slot.role,
                             .mode = slot.mode,
                             .cell = bw_grant_cell_id(bw_view_str("eu")),
                             .tenant = {.bytes = {3}},
                             .meeting = slot.meeting,
                             .meeting_epoch = 1,
                             .mode_epoch = 1,
                             .roster_entry = slot.roster_entry,
                             .slot = slot.slot,
                             .relay = 1,
                             .not_before_ms = s->now.wall_ms,
                             .expires_ms = s->now.wall_ms + 60000,
                             .stream = {.bytes = {4}},
                             .group = 1};
    struct bw_grant_batch *batch;
    struct bw_merkle_hash root;
    struct bw_buf token = {0};
    struct bw_secret hop_key = {0};
    uint32_t index;
    uint8_t signed_bytes[BW_GRANT_SIGNED_SIZE], signature[BW_ED25519_SIGNATURE_SIZE], hash[BW_SHA256_SIZE];
    uint8_t out[BW_DATAGRAM_MAX];
    struct bw_address from = address_of(i);
    struct bw_media_datagram media;
    memcpy(grant.key_id, s->key.key_id, sizeof grant.key_id);
    BW_CHECK(bw_relay_core_slot(s->core, 0, &slot, 0, NULL) == BW_OK);
    BW_CHECK(bw_grant_batch_create(&batch, NULL) == BW_OK);
    BW_CHECK(bw_grant_batch_add(batch, &grant, &index, NULL) == BW_OK);
    BW_CHECK(bw_grant_batch_seal(batch, &root, NULL) == BW_OK);
    bw_grant_signed_bytes(&root, 1, signed_bytes);
    BW_CHECK(bw_ed25519_sign(s->signer, bw_view_of(signed_bytes, sizeof signed_bytes), signature, NULL) ==
             BW_OK);
    BW_CHECK(bw_grant_batch_token(batch, index, signature, &token, NULL) == BW_OK);
    bw_grant_batch_body_hash(batch, index, hash);
    bw_grant_hop_key(s->secret, hash, &hop_key);
    BW_CHECK(bw_media_client_init(&s->people[i], bw_buf_view(&token), hop_key.bytes, i + 1, s->now.mono_us,
                                  NULL) == BW_OK);
    while (s->people[i].state == BW_MEDIA_CLIENT_JOINING) {
        size_t len = bw_media_client_poll(&s->people[i], s->now.mono_us, out);
        BW_CHECK(len > 0);
        bw_relay_core_receive(s->core, &from, bw_view_of(out, len), s->now);
        bw_outbox_flush(&s->outbox);
        (void)bw_media_client_receive(&s->people[i], bw_view_of(s->answer, s->answer_len), s->now.mono_us,
                                      &media);
    }
    BW_CHECK(s->people[i].state == BW_MEDIA_CLIENT_ADMITTED);
    bw_secret_finish(&hop_key);
    bw_buf_finish(&token);
    bw_grant_batch_destroy(batch);
}

static void set_up(struct stage *s)
{
    struct bw_relay_limits limits = bw_relay_limits_default();
    struct bw_relay_cell_config cell = {.name = "eu", .capacity = PEOPLE};
    struct bw_id stream = {.bytes = {4}};
    uint8_t seed[BW_ED25519_SEED_SIZE] = {5};
    limits.packets_per_second = 0;
    limits.bits_per_second = 0;
    s->now = (struct bw_relay_now){.mono_us = bw_clock_mono_ns() / 1000, .wall_ms = bw_clock_wall_ms()};
    s->outbox = (struct bw_outbox){.flush = flush, .context = s};
    s->core = bw_relay_core_create(&limits, &s->outbox, NULL, bw_random_bytes, s->now);
    BW_CHECK(s->core != NULL && bw_ed25519_signer_create(seed, &s->signer, NULL) == BW_OK);
    bw_ed25519_signer_public(s->signer, s->key.public_key);
    bw_grant_key_id(s->key.public_key, s->key.key_id);
    bw_random_bytes(s->secret, sizeof s->secret);
    memcpy(cell.session_secret, s->secret, sizeof cell.session_secret);
    BW_CHECK(bw_relay_core_add_cell(s->core, 0, &cell, NULL) == BW_OK);
    bw_relay_core_welcomed(s->core, 0, 1, &stream);
    bw_relay_core_applied(s->core, 0, 1);
    BW_CHECK(bw_relay_core_key(s->core, 0, &s->key, NULL) == BW_OK);
    bw_relay_core_authority(s->core, 0, BW_AUTHORITY_FULL, 0);
    for (uint32_t i = 0; i < PEOPLE; i++)
        join(s, i);
}

/* Copies a second. The datagrams are wrapped before the clock starts. */
static double forward(struct stage *s, uint8_t (*datagrams)[BW_DATAGRAM_MAX])
{
    static uint8_t payload[PAYLOAD];
    size_t len = 0;
    for (size_t i = 0; i < DATAGRAMS; i++)
        len = bw_media_client_wrap(&s->people[i % PEOPLE], bw_view_of(payload, sizeof payload),
                                   s->now.mono_us, datagrams[i]);
    s->copies = 0;
    uint64_t start = bw_clock_mono_ns();
    for (size_t i = 0; i < DATAGRAMS; i++) {
        struct bw_address from = address_of(i % PEOPLE);
        bw_relay_core_receive(s->core, &from, bw_view_of(datagrams[i], len), s->now);
        bw_outbox_flush(&s->outbox);
    }
    double seconds = (double)(bw_clock_mono_ns() - start) / 1e9;
    BW_CHECK(s->copies == (uint64_t)DATAGRAMS * (PEOPLE - 1));
    return (double)s->copies / seconds;
}

/* Tags a second, as many as the copies and the checks of what came in. */
static double tags(const struct stage *s)
{
    uint8_t message[1 + BW_DATAGRAM_TAGGED + PAYLOAD] = {0}, mac[BW_SHA256_SIZE];
    const size_t count = (size_t)DATAGRAMS * (PEOPLE - 1);
    uint64_t start = bw_clock_mono_ns();
    for (size_t i = 0; i < count; i++) {
        message[20] = (uint8_t)i;
        bw_hmac256(&s->people[0].key, bw_view_of(message, sizeof message), mac);
    }
    double seconds = (double)(bw_clock_mono_ns() - start) / 1e9;
    return mac[0] == 0 && mac[1] == 0 && seconds < 0 ? 0 : (double)count / seconds;
}

int main(void)
{
    static struct stage s;
    static uint8_t datagrams[DATAGRAMS][BW_DATAGRAM_MAX];
    double forwarded[ROUNDS], tagged[ROUNDS];
    set_up(&s);
    for (size_t i = 0; i < ROUNDS; i++) {
        forwarded[i] = forward(&s, datagrams);
        tagged[i] = tags(&s);
    }
    bench_print("relay_forward_copies", bench_median(forwarded, ROUNDS), "copies/s", "higher",
                "HMAC-SHA256 of the same datagrams", bench_median(tagged, ROUNDS));
    for (size_t i = 0; i < PEOPLE; i++)
        bw_media_client_finish(&s.people[i]);
    bw_relay_core_destroy(s.core);
    bw_ed25519_signer_destroy(s.signer);
    return 0;
}
