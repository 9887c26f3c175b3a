/* Relays and participants of one cell on a network that is a queue in memory: real grants signed with a real
 * key, simulated time, and every datagram in reach of the test, which may look at it, change it or send it
 * again. */
#ifndef BW_TESTS_RELAY_WORLD_H
#define BW_TESTS_RELAY_WORLD_H

#include "relay/core.h"
#include "relay/media_client.h"

enum { WORLD_RELAYS = 3, WORLD_PEOPLE = 16, WORLD_QUEUE = 4096 };

struct world_packet {
    struct bw_address from, to;
    uint8_t bytes[BW_DATAGRAM_MAX];
    size_t len;
};

struct world_relay {
    struct world *world;
    uint32_t number;
    struct bw_address address;
    uint8_t secret[BW_SESSION_SECRET];
    struct bw_outbox outbox;
    struct bw_relay_core *core;
    unsigned joined, provisional, left;
    enum bw_left_why left_why;
    /* What the core said of the last path that ended. */
    unsigned measured;
    uint32_t measured_slot, measured_peer;
    struct bw_measure_interval measured_interval;
};

struct world_person {
    bool used;
    struct bw_address address, relay;
    struct bw_media_client endpoint;
    unsigned heard;
    struct bw_media_datagram last;
    uint8_t last_payload[BW_DATAGRAM_PAYLOAD_MAX];
};

struct world {
    struct bw_relay_now now;
    struct bw_ed25519_signer *signer;
    struct bw_grant_key key;
    struct bw_id stream;
    uint64_t group;
    uint32_t channels; /* of each relay; its cell's share is two less */
    struct world_relay relays[WORLD_RELAYS];
    struct world_person people[WORLD_PEOPLE];
    struct world_packet *queue;
    size_t queued;
    /* Sees every datagram before it is delivered, and may change it; false loses it. */
    bool (*tap)(void *context, struct world_packet *packet);
    void *tap_context;
};

/* cmocka's setup and teardown: relays 1, 2, 3 are welcomed, hold the grant key and have their lease. */
int world_setup(void **state);
/* The same with room for 400 on each relay. */
int world_setup_large(void **state);
int world_teardown(void **state);

struct bw_id world_meeting(uint8_t n);
/* A speaker's slot, epochs 1, mode e2ee. */
struct bw_meeting_slot world_slot(uint8_t meeting, uint32_t slot);
/* Tells a relay of it, as a new group that it has applied. */
void world_put_slot(struct world *world, size_t relay, const struct bw_meeting_slot *slot);
void world_remove_slot(struct world *world, size_t relay, const struct bw_meeting_slot *slot);
/* Both relays get the link, with the key they would get. */
void world_put_link(struct world *world, size_t a, size_t b, uint8_t meeting);
/* The grant for a slot on a relay, of the current group, valid now for 60 s. */
struct bw_grant world_grant(const struct world *world, size_t relay, const struct bw_meeting_slot *slot);
/* Signs it; the hop key is what the control plane would give out. */
size_t world_sign(const struct world *world, size_t relay, const struct bw_grant *grant,
                  uint8_t token[BW_GRANT_TOKEN_MAX], uint8_t hop_key[BW_GRANT_HOP_KEY_SIZE]);
/* Puts person i on the network with this grant; nothing is sent before world_run. */
void world_person(struct world *world, size_t i, size_t relay, const struct bw_grant *grant);
/* slot, grant, person, join: the short way; fails the test if not admitted. */
void world_join(struct world *world, size_t person, size_t relay, uint8_t meeting, uint32_t number);
void world_say(struct world *world, size_t i, const char *text);
/* Delivers everything that is on its way and what it leads to; time stands still. */
void world_run(struct world *world);
/* Lets time pass in steps of 50 ms, running timers of people and relays. */
void world_wait(struct world *world, uint64_t ms);
/* Puts a datagram on the network. */
void world_inject(struct world *world, const struct bw_address *from, const struct bw_address *to,
                  const uint8_t *bytes, size_t len);
uint64_t world_dropped(const struct world *world, size_t relay, enum bw_drop drop);
uint64_t world_refused(const struct world *world, size_t relay, enum bw_refusal refusal);

/* One test with a world of its own. */
#define TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

#endif
