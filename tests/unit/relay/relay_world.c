#include "relay_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/secret.h"

static uint64_t random_state = 88172645463325252u;

static void some_random(void *out, size_t n)
{
    uint8_t *p = out;
    for (size_t i = 0; i < n; i++) {
        random_state ^= random_state << 13;
        random_state ^= random_state >> 7;
        random_state ^= random_state << 17;
        p[i] = (uint8_t)random_state;
    }
}

static void flush(void *context, struct bw_outbox *outbox)
{
    struct world_relay *relay = context;
    for (size_t i = 0; i < outbox->count; i++) {
        const struct bw_outgoing *out = &outbox->items[i];
        uint8_t bytes[BW_DATAGRAM_MAX];
        memcpy(bytes, out->header, BW_DATAGRAM_HEADER);
        if (out->payload.len > 0)
            memcpy(bytes + BW_DATAGRAM_HEADER, out->payload.data, out->payload.len);
        world_inject(relay->world, &relay->address, &out->to, bytes, BW_DATAGRAM_HEADER + out->payload.len);
    }
}

static void measured(void *context, const struct bw_relay_path *path)
{
    struct world_relay *relay = context;
    relay->measured++;
    relay->measured_slot = path->slot;
    relay->measured_peer = path->peer_number;
    relay->measured_interval = bw_measure_interval(path->measure);
}

static void joined(void *context, size_t cell, const struct bw_meeting_slot *slot, bool provisional)
{
    struct world_relay *relay = context;
    (void)cell, (void)slot;
    if (provisional)
        relay->provisional++;
    else
        relay->joined++;
}

static void left(void *context, size_t cell, const struct bw_id *meeting, uint32_t slot, enum bw_left_why why)
{
    struct world_relay *relay = context;
    (void)cell, (void)meeting, (void)slot;
    relay->left++;
    relay->left_why = why;
}

static struct bw_address address_of(uint8_t last, uint16_t port)
{
    return (struct bw_address){.family = 4, .ip = {192, 0, 2, last}, .port = port};
}

static void start_relay(struct world *world, size_t i)
{
    struct world_relay *relay = &world->relays[i];
    relay->world = world;
    relay->number = (uint32_t)i + 1;
    relay->address = address_of((uint8_t)(i + 1), 3478);
    some_random(relay->secret, sizeof relay->secret);
    relay->outbox = (struct bw_outbox){.flush = flush, .context = relay};
    struct bw_relay_limits limits = bw_relay_limits_default();
    limits.channels = world->channels;
    struct bw_relay_hooks hooks = {.context = relay, .joined = joined, .left = left, .measured = measured};
    relay->core = bw_relay_core_create(&limits, &relay->outbox, &hooks, some_random, world->now);
    assert_non_null(relay->core);
    struct bw_relay_cell_config cell = {.name = "eu", .capacity = world->channels - 2};
    memcpy(cell.session_secret, relay->secret, sizeof cell.session_secret);
    assert_int_equal(bw_relay_core_add_cell(relay->core, 0, &cell, NULL), BW_OK);
    bw_relay_core_welcomed(relay->core, 0, relay->number, &world->stream);
    assert_int_equal(bw_relay_core_key(relay->core, 0, &world->key, NULL), BW_OK);
    bw_relay_core_authority(relay->core, 0, BW_AUTHORITY_FULL, 0);
}

static int setup(void **state, uint32_t channels)
{
    struct world *world = calloc(1, sizeof *world);
    world->channels = channels;
    world->queue = calloc(WORLD_QUEUE, sizeof *world->queue);
    world->now = (struct bw_relay_now){.mono_us = 5000000, .wall_ms = 1795255200000};
    world->stream = (struct bw_id){.bytes = {9, 9}};
    world->group = 10;
    uint8_t seed[BW_ED25519_SEED_SIZE] = {42};
    assert_int_equal(bw_ed25519_signer_create(seed, &world->signer, NULL), BW_OK);
    bw_ed25519_signer_public(world->signer, world->key.public_key);
    bw_grant_key_id(world->key.public_key, world->key.key_id);
    for (size_t i = 0; i < WORLD_RELAYS; i++)
        start_relay(world, i);
    *state = world;
    return 0;
}

int world_setup(void **state)
{
    return setup(state, 8);
}

int world_setup_large(void **state)
{
    return setup(state, 402);
}

int world_teardown(void **state)
{
    struct world *world = *state;
    for (size_t i = 0; i < WORLD_RELAYS; i++)
        bw_relay_core_destroy(world->relays[i].core);
    for (size_t i = 0; i < WORLD_PEOPLE; i++)
        bw_media_client_finish(&world->people[i].endpoint);
    bw_ed25519_signer_destroy(world->signer);
    free(world->queue);
    free(world);
    return 0;
}

struct bw_id world_meeting(uint8_t n)
{
    struct bw_id id = {.bytes = {1, 2, 3, 4, 5, 6, 0x70, 8, 0x80}};
    id.bytes[15] = n;
    return id;
}

struct bw_meeting_slot world_slot(uint8_t meeting, uint32_t slot)
{
    struct bw_meeting_slot s = {.meeting = world_meeting(meeting),
                                .slot = slot,
                                .meeting_epoch = 1,
                                .mode_epoch = 1,
                                .mode = BW_MODE_E2EE,
                                .role = BW_ROLE_SPEAKER};
    s.roster_entry.bytes[0] = meeting;
    s.roster_entry.bytes[15] = (uint8_t)slot;
    return s;
}

void world_put_slot(struct world *world, size_t relay, const struct bw_meeting_slot *slot)
{
    struct bw_error err = {0};
    assert_int_equal(bw_relay_core_slot(world->relays[relay].core, 0, slot, 0, &err), BW_OK);
    bw_relay_core_applied(world->relays[relay].core, 0, ++world->group);
    bw_outbox_flush(&world->relays[relay].outbox);
}

void world_remove_slot(struct world *world, size_t relay, const struct bw_meeting_slot *slot)
{
    bw_relay_core_slot_removed(world->relays[relay].core, 0, &slot->meeting, slot->slot);
    bw_relay_core_applied(world->relays[relay].core, 0, ++world->group);
    bw_outbox_flush(&world->relays[relay].outbox);
}

void world_put_link(struct world *world, size_t a, size_t b, uint8_t meeting)
{
    struct world_relay *ends[2] = {&world->relays[a], &world->relays[b]};
    struct bw_id id = world_meeting(meeting);
    struct bw_secret key = {0};
    bw_grant_link_key(&id, ends[0]->number, ends[0]->secret, ends[1]->number, ends[1]->secret, &key);
    for (size_t i = 0; i < 2; i++) {
        struct bw_peer_link link = {.meeting = id, .meeting_epoch = 1, .peer_number = ends[1 - i]->number};
        struct bw_error err = {0};
        snprintf(link.peer, sizeof link.peer, "relay%u", (unsigned)ends[1 - i]->number);
        char text[BW_ADDRESS_TEXT];
        bw_address_format(&ends[1 - i]->address, text);
        snprintf(link.peer_address, sizeof link.peer_address, "%s", text);
        memcpy(link.link_key, key.bytes, sizeof link.link_key);
        assert_int_equal(bw_relay_core_link(ends[i]->core, 0, &link, 0, &err), BW_OK);
    }
    bw_secret_finish(&key);
}

struct bw_grant world_grant(const struct world *world, size_t relay, const struct bw_meeting_slot *slot)
{
    struct bw_grant grant = {.role = slot->role,
                             .mode = slot->mode,
                             .cell = bw_grant_cell_id(bw_view_str("eu")),
                             .tenant = {.bytes = {7}},
                             .meeting = slot->meeting,
                             .meeting_epoch = slot->meeting_epoch,
                             .mode_epoch = slot->mode_epoch,
                             .roster_entry = slot->roster_entry,
                             .slot = slot->slot,
                             .relay = world->relays[relay].number,
                             .not_before_ms = world->now.wall_ms,
                             .expires_ms = world->now.wall_ms + 60000,
                             .stream = world->stream,
                             .group = world->group};
    memcpy(grant.key_id, world->key.key_id, sizeof grant.key_id);
    return grant;
}

size_t world_sign(const struct world *world, size_t relay, const struct bw_grant *grant,
                  uint8_t token[BW_GRANT_TOKEN_MAX], uint8_t hop_key[BW_GRANT_HOP_KEY_SIZE])
{
    struct bw_grant_batch *batch;
    struct bw_merkle_hash root;
    uint32_t index, other;
    uint8_t message[BW_GRANT_SIGNED_SIZE], signature[BW_ED25519_SIGNATURE_SIZE], hash[BW_SHA256_SIZE];
    struct bw_buf out = {0};
    struct bw_grant sibling = *grant;
    sibling.slot += 1000;
    assert_int_equal(bw_grant_batch_create(&batch, NULL), BW_OK);
    assert_int_equal(bw_grant_batch_add(batch, &sibling, &other, NULL), BW_OK);
    assert_int_equal(bw_grant_batch_add(batch, grant, &index, NULL), BW_OK);
    assert_int_equal(bw_grant_batch_seal(batch, &root, NULL), BW_OK);
    bw_grant_signed_bytes(&root, bw_grant_batch_count(batch), message);
    assert_int_equal(bw_ed25519_sign(world->signer, bw_view_of(message, sizeof message), signature, NULL),
                     BW_OK);
    assert_int_equal(bw_grant_batch_token(batch, index, signature, &out, NULL), BW_OK);
    bw_grant_batch_body_hash(batch, index, hash);
    struct bw_secret key = {0};
    bw_grant_hop_key(world->relays[relay].secret, hash, &key);
    memcpy(hop_key, key.bytes, BW_GRANT_HOP_KEY_SIZE);
    bw_secret_finish(&key);
    size_t len = out.len;
    memcpy(token, out.data, len);
    bw_buf_finish(&out);
    bw_grant_batch_destroy(batch);
    return len;
}

void world_person(struct world *world, size_t i, size_t relay, const struct bw_grant *grant)
{
    uint8_t token[BW_GRANT_TOKEN_MAX], hop_key[BW_GRANT_HOP_KEY_SIZE];
    size_t len = world_sign(world, relay, grant, token, hop_key);
    struct world_person *person = &world->people[i];
    bw_media_client_finish(&person->endpoint);
    memset(person, 0, sizeof *person);
    person->used = true;
    person->address = address_of((uint8_t)(100 + i), 5000);
    person->relay = world->relays[relay].address;
    uint64_t nonce;
    some_random(&nonce, sizeof nonce);
    struct bw_error err = {0};
    assert_int_equal(bw_media_client_init(&person->endpoint, bw_view_of(token, len), hop_key, nonce,
                                          world->now.mono_us, &err),
                     BW_OK);
}

void world_join(struct world *world, size_t person, size_t relay, uint8_t meeting, uint32_t number)
{
    struct bw_meeting_slot slot = world_slot(meeting, number);
    world_put_slot(world, relay, &slot);
    struct bw_grant grant = world_grant(world, relay, &slot);
    world_person(world, person, relay, &grant);
    world_run(world);
    assert_int_equal(world->people[person].endpoint.state, BW_MEDIA_CLIENT_ADMITTED);
}

void world_inject(struct world *world, const struct bw_address *from, const struct bw_address *to,
                  const uint8_t *bytes, size_t len)
{
    assert_true(world->queued < WORLD_QUEUE && len <= BW_DATAGRAM_MAX);
    struct world_packet *packet = &world->queue[world->queued];
    packet->from = *from;
    packet->to = *to;
    packet->len = len;
    memcpy(packet->bytes, bytes, len);
    if (world->tap == NULL || world->tap(world->tap_context, packet))
        world->queued++;
}

void world_say(struct world *world, size_t i, const char *text)
{
    struct world_person *person = &world->people[i];
    uint8_t out[BW_DATAGRAM_MAX];
    size_t len = bw_media_client_wrap(&person->endpoint, bw_view_str(text), world->now.mono_us, out);
    assert_true(len > 0);
    world_inject(world, &person->address, &person->relay, out, len);
}

static void deliver(struct world *world, const struct world_packet *packet)
{
    for (size_t i = 0; i < WORLD_RELAYS; i++) {
        struct world_relay *relay = &world->relays[i];
        if (!bw_address_equal(&relay->address, &packet->to))
            continue;
        bw_relay_core_receive(relay->core, &packet->from, bw_view_of(packet->bytes, packet->len), world->now);
        bw_outbox_flush(&relay->outbox);
        return;
    }
    for (size_t i = 0; i < WORLD_PEOPLE; i++) {
        struct world_person *person = &world->people[i];
        if (!person->used || !bw_address_equal(&person->address, &packet->to))
            continue;
        struct bw_media_datagram media;
        if (bw_media_client_receive(&person->endpoint, bw_view_of(packet->bytes, packet->len),
                                    world->now.mono_us, &media)) {
            person->heard++;
            memcpy(person->last_payload, media.payload.data, media.payload.len);
            person->last = media;
            person->last.payload.data = person->last_payload;
        }
        return;
    }
}

static void poll_people(struct world *world)
{
    uint8_t out[BW_DATAGRAM_MAX];
    for (size_t i = 0; i < WORLD_PEOPLE; i++) {
        struct world_person *person = &world->people[i];
        size_t len;
        while (person->used && (len = bw_media_client_poll(&person->endpoint, world->now.mono_us, out)) > 0)
            world_inject(world, &person->address, &person->relay, out, len);
    }
}

void world_run(struct world *world)
{
    struct world_packet packet;
    poll_people(world);
    while (world->queued > 0) {
        packet = world->queue[0];
        memmove(world->queue, world->queue + 1, --world->queued * sizeof packet);
        deliver(world, &packet);
        poll_people(world);
    }
}

void world_wait(struct world *world, uint64_t ms)
{
    for (uint64_t done = 0; done < ms; done += 50) {
        world->now.mono_us += 50000;
        world->now.wall_ms += 50;
        for (size_t i = 0; i < WORLD_RELAYS; i++) {
            bw_relay_core_tick(world->relays[i].core, world->now);
            bw_outbox_flush(&world->relays[i].outbox);
        }
        world_run(world);
    }
}

uint64_t world_dropped(const struct world *world, size_t relay, enum bw_drop drop)
{
    return bw_relay_core_counters(world->relays[relay].core)->dropped[drop];
}

uint64_t world_refused(const struct world *world, size_t relay, enum bw_refusal refusal)
{
    return bw_relay_core_counters(world->relays[relay].core)->refused[refusal];
}
