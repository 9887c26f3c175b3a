/* Both halves of a session against each other: two replicas that read one log at their own pace, one relay,
 * and a network between them that delays, loses, reorders, duplicates and cuts. Everything runs on one seed
 * and simulated time; whatever happened, once the network is well again the relay must come to hold exactly
 * what the log says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "fleet/client_state.h"
#include "fleet/codec.h"
#include "fleet/session.h"

enum { REPLICAS = 2, CONNECTIONS = 4, PIPE = 1024, LOG = 512, SLOTS = 40, OPS = 6, KEYS = 4 };

struct op {
    bool remove;
    int kind; /* 0 slot, 1 link */
    uint32_t number;
};

struct group {
    struct op ops[OPS];
    size_t count;
};

struct packet {
    uint8_t *bytes;
    size_t len;
    uint64_t at_ms, order;
    int connection;
    bool to_relay;
};

struct connection {
    struct bw_session *session;
    int generation, replica;
    bool closed; /* the server has ended it */
    struct bw_session_ports ports;
    struct sim *sim;
};

struct sim {
    uint64_t random, now_ms, order;
    bool rough; /* the network is bad */
    struct group log[LOG + 1];
    uint64_t head; /* groups 1 … head */
    uint64_t key_version;
    bool key_live[KEYS];
    uint64_t key_versions[KEYS];
    uint8_t stream;
    struct bw_feed *feeds[REPLICAS];
    uint64_t key_seen[REPLICAS];
    uint64_t epoch;
    struct connection connections[CONNECTIONS];
    int generation, current; /* the relay's connection; -1: none */
    struct packet pipe[PIPE];
    size_t packets;
    struct bw_client_state *client;
    struct bw_arena *arena;
    bool refusing;            /* the relay cannot take some resources */
    uint64_t held[2][SLOTS];  /* what the relay's owner was told: versions, 0 none */
    uint64_t leased_until_ms; /* the furthest any server thinks */
    uint64_t snapshots, resumes, nacks, losses;
};

static uint64_t next_random(struct sim *s)
{
    uint64_t z = (s->random += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static uint64_t below(struct sim *s, uint64_t bound)
{
    return next_random(s) % bound;
}

static bool chance(struct sim *s, unsigned percent)
{
    return below(s, 100) < percent;
}

/* ---- the log ---- */

static struct bw_id the_meeting(void)
{
    return (struct bw_id){.bytes = {1, 2, 3, 4}};
}

static struct bw_id the_stream(const struct sim *s)
{
    return (struct bw_id){.bytes = {9, s->stream}};
}

static void feed_group(struct bw_feed *feed, uint64_t number, const struct group *group)
{
    struct bw_meeting_slot slots[OPS];
    struct bw_peer_link links[OPS];
    struct bw_upsert upserts[OPS];
    struct bw_removal removals[OPS];
    size_t u = 0, r = 0;
    struct bw_id meeting = the_meeting();
    memset(links, 0, sizeof links);
    memset(slots, 0, sizeof slots);
    for (size_t i = 0; i < group->count; i++) {
        const struct op *op = &group->ops[i];
        if (op->remove) {
            removals[r++] =
                (struct bw_removal){.id = op->kind == 0 ? bw_resource_id_slot(&meeting, op->number)
                                                        : bw_resource_id_link(&meeting, op->number),
                                    .version = number};
        } else if (op->kind == 0) {
            slots[i] = (struct bw_meeting_slot){.meeting = meeting,
                                                .slot = op->number,
                                                .roster_entry = {.bytes = {7}},
                                                .meeting_epoch = 1,
                                                .mode_epoch = 1,
                                                .mode = BW_MODE_E2EE,
                                                .role = BW_ROLE_SPEAKER};
            upserts[u++] = bw_upsert_slot(&slots[i], number, 0);
        } else {
            links[i].meeting = meeting;
            links[i].meeting_epoch = 1;
            links[i].peer_number = op->number;
            memcpy(links[i].peer, "peer", 5);
            memcpy(links[i].peer_address, "127.0.0.1:9", 12);
            links[i].link_key[0] = 1;
            upserts[u++] = bw_upsert_link(&links[i], number, 1000);
        }
    }
    assert_int_equal(bw_feed_apply(feed, number, upserts, u, removals, r, NULL), BW_OK);
}

static void sync_keys(struct sim *s, int replica)
{
    for (uint8_t k = 0; k < KEYS; k++) {
        if (s->key_versions[k] == 0 || s->key_versions[k] <= s->key_seen[replica])
            continue;
        struct bw_grant_key key = {.key_id = {k, 1}, .public_key = {k, 2}};
        struct bw_upsert upsert = bw_upsert_key(&key, s->key_versions[k]);
        struct bw_removal removal = {.id = upsert.id, .version = s->key_versions[k]};
        bool live = s->key_live[k];
        assert_int_equal(
            bw_feed_apply_keys(s->feeds[replica], &upsert, live ? 1 : 0, &removal, live ? 0 : 1, NULL),
            BW_OK);
    }
    s->key_seen[replica] = s->key_version;
}

/* A replica reads up to `group` of the log. */
static void read_log(struct sim *s, int replica, uint64_t group)
{
    struct bw_feed *feed = s->feeds[replica];
    for (uint64_t g = bw_feed_head(feed) + 1; g <= group && g <= s->head; g++) {
        if (s->log[g].count == 0)
            bw_feed_advance(feed, g);
        else
            feed_group(feed, g, &s->log[g]);
    }
}

static void commit_group(struct sim *s)
{
    if (s->head == LOG)
        return;
    struct group *group = &s->log[++s->head];
    group->count = chance(s, 15) ? 0 : 1 + below(s, OPS);
    for (size_t i = 0; i < group->count; i++) {
        struct op *op = &group->ops[i];
        *op = (struct op){
            .remove = chance(s, 40), .kind = (int)below(s, 2), .number = 1 + (uint32_t)below(s, SLOTS - 1)};
        for (size_t j = 0; j < i; j++) { /* a group names a resource once */
            if (group->ops[j].kind == op->kind && group->ops[j].number == op->number) {
                group->count = i;
                return;
            }
        }
    }
}

static void change_key(struct sim *s)
{
    uint64_t k = below(s, KEYS);
    s->key_live[k] = !s->key_live[k];
    s->key_versions[k] = ++s->key_version;
}

/* ---- the network ---- */

static void send_packet(struct sim *s, int connection, bool to_relay, struct bw_buf *bytes)
{
    int copies = s->rough && chance(s, 3) ? 2 : 1;
    if (s->rough && chance(s, 2)) {
        s->losses++;
        copies = 0;
    }
    for (int i = 0; i < copies && s->packets < PIPE; i++) {
        uint64_t delay = 20 + (s->rough && chance(s, 5) ? below(s, 3000) : 0);
        s->pipe[s->packets++] = (struct packet){.bytes = bw_memdup(bytes->data, bytes->len),
                                                .len = bytes->len,
                                                .at_ms = s->now_ms + delay,
                                                .order = ++s->order,
                                                .connection = connection,
                                                .to_relay = to_relay};
    }
}

static struct connection *connection_of(struct sim *s, int generation)
{
    struct connection *c = &s->connections[generation % CONNECTIONS];
    return generation >= 0 && c->generation == generation && c->session != NULL ? c : NULL;
}

/* Streams deliver in order unless the network is rough. */
static bool deliver_one(struct sim *s)
{
    size_t best = s->packets;
    for (size_t i = 0; i < s->packets; i++) {
        if (s->pipe[i].at_ms > s->now_ms)
            continue;
        if (best == s->packets || s->pipe[i].at_ms < s->pipe[best].at_ms ||
            (s->pipe[i].at_ms == s->pipe[best].at_ms && s->pipe[i].order < s->pipe[best].order))
            best = i;
    }
    if (best == s->packets)
        return false;
    struct packet packet = s->pipe[best];
    s->pipe[best] = s->pipe[--s->packets];
    bw_arena_reset(s->arena);
    struct bw_error err = {0};
    struct bw_view bytes = bw_view_of(packet.bytes, packet.len);
    if (packet.to_relay) {
        struct bw_control_message message;
        assert_int_equal(bw_control_message_decode(bytes, s->arena, &message, &err), BW_OK);
        if (packet.connection == s->current)
            bw_client_state_receive(s->client, &message, s->now_ms);
        bw_control_message_wipe(&message);
    } else {
        struct bw_relay_message message;
        assert_int_equal(bw_relay_message_decode(bytes, s->arena, &message, &err), BW_OK);
        struct connection *c = connection_of(s, packet.connection);
        if (c != NULL && !c->closed)
            bw_session_receive(c->session, &message, s->now_ms);
        bw_relay_message_wipe(&message);
    }
    bw_free(packet.bytes);
    return true;
}

/* ---- the server's ports ---- */

static enum bw_code server_send(void *context, const struct bw_control_message *message)
{
    struct connection *c = context;
    struct bw_buf out = {0};
    struct bw_arena *arena = bw_arena_create(BW_FLEET_ARENA);
    struct bw_error err = {0};
    enum bw_code code = bw_control_message_encode(message, arena, &out, &err);
    assert_int_equal(code, BW_OK);
    send_packet(c->sim, c->generation, true, &out);
    bw_arena_destroy(arena);
    bw_buf_finish(&out);
    return BW_OK;
}

/* Often the stream takes no more for now; who waits for it is woken every 10 ms. */
static bool server_room(void *context)
{
    struct connection *c = context;
    return chance(c->sim, 40);
}

static void server_close(void *context, const struct bw_error *why)
{
    struct connection *c = context;
    (void)why;
    assert_false(c->closed);
    c->closed = true;
    if (c->sim->current == c->generation) {
        c->sim->current = -1;
        struct bw_error ended = {.code = BW_UNAVAILABLE};
        bw_client_state_disconnected(c->sim->client, &ended, c->sim->now_ms);
    }
}

static void server_fence(void *context, const struct bw_hello *hello)
{
    struct connection *c = context;
    struct sim *s = c->sim;
    if (hello->last_session_epoch > s->epoch)
        s->epoch = hello->last_session_epoch;
    bw_session_fenced(c->session, ++s->epoch, NULL, s->now_ms);
}

static void server_catch_up(void *context, uint64_t group)
{
    struct connection *c = context;
    if (!c->sim->rough || chance(c->sim, 70))
        read_log(c->sim, c->replica, group);
}

static void server_heartbeat(void *context, const struct bw_heartbeat *heartbeat)
{
    struct connection *c = context;
    c->sim->leased_until_ms = c->sim->now_ms + bw_session_timing_default().lease_ms;
    bw_session_lease_renewed(c->session, heartbeat->number, 0);
}

static void server_applied(void *context, uint64_t group)
{
    struct connection *c = context;
    assert_true(group <= bw_feed_head(c->sim->feeds[c->replica]));
}

static void server_bye(void *context, struct bw_view reason, uint32_t back_in_ms)
{
    (void)context, (void)reason, (void)back_in_ms;
}

/* ---- the relay's ports ---- */

static void relay_connect(void *context, size_t endpoint)
{
    static const struct bw_enrolment enrolment = {.name = "par1", .number = 1, .capacity = 500};
    struct sim *s = context;
    int generation = ++s->generation;
    struct connection *c = &s->connections[generation % CONNECTIONS];
    bw_session_destroy(c->session);
    *c = (struct connection){.generation = generation, .replica = (int)endpoint, .sim = s};
    struct bw_session_config config = {
        .timing = bw_session_timing_default(), .stream_id = the_stream(s), .replica = "r1"};
    config.cell_id.bytes[0] = 1;
    struct bw_session_ports ports = {.context = c,
                                     .send = server_send,
                                     .room = server_room,
                                     .close = server_close,
                                     .fence = server_fence,
                                     .catch_up = server_catch_up,
                                     .heartbeat = server_heartbeat,
                                     .applied = server_applied,
                                     .bye = server_bye};
    c->session = bw_session_create(&config, &enrolment, s->feeds[endpoint], &ports, s->now_ms);
    assert_non_null(c->session);
    s->current = generation;
    bw_client_state_connected(s->client, s->now_ms);
}

static void relay_disconnect(void *context)
{
    struct sim *s = context;
    s->current = -1;
}

static enum bw_code relay_send(void *context, const struct bw_relay_message *message)
{
    struct sim *s = context;
    struct bw_buf out = {0};
    struct bw_arena *arena = bw_arena_create(BW_FLEET_ARENA);
    struct bw_error err = {0};
    assert_int_equal(bw_relay_message_encode(message, arena, &out, &err), BW_OK);
    if (message->kind == BW_RELAY_NACK)
        s->nacks++;
    send_packet(s, s->current, false, &out);
    bw_arena_destroy(arena);
    bw_buf_finish(&out);
    return BW_OK;
}

static uint64_t relay_random(void *context)
{
    return next_random(context);
}

static void relay_load(void *context, struct bw_relay_load *load)
{
    (void)context;
    *load = (struct bw_relay_load){.participants = 3};
}

static void relay_welcomed(void *context, const struct bw_welcome *welcome)
{
    struct sim *s = context;
    if (welcome->mode == BW_WELCOME_RESUME)
        s->resumes++;
    else
        s->snapshots++;
}

static enum bw_code relay_upsert(void *context, const struct bw_resource_name *name,
                                 const struct bw_upsert *upsert, struct bw_error *err)
{
    struct sim *s = context;
    if (s->refusing && upsert->id.text[strlen(upsert->id.text) - 1] == '3')
        return bw_fail(err, BW_INVALID_ARGUMENT, NULL, "cannot take it");
    if (name->type != BW_RESOURCE_GRANT_KEY)
        s->held[name->type == BW_RESOURCE_PEER_LINK][name->number] = upsert->version;
    return BW_OK;
}

static void relay_remove(void *context, const struct bw_resource_name *name)
{
    struct sim *s = context;
    if (name->type != BW_RESOURCE_GRANT_KEY)
        s->held[name->type == BW_RESOURCE_PEER_LINK][name->number] = 0;
}

/* ---- a run ---- */

static void advance_to(struct sim *s, uint64_t until_ms)
{
    while (s->now_ms < until_ms) {
        s->now_ms += 10;
        while (deliver_one(s))
            ;
        bw_client_state_tick(s->client, s->now_ms);
        for (int i = 0; i < CONNECTIONS; i++) {
            struct connection *c = &s->connections[i];
            if (c->session == NULL || c->closed)
                continue;
            bw_session_wake(c->session, s->now_ms);
            if (!c->closed && s->now_ms % 100 == 0)
                bw_session_tick(c->session, s->now_ms);
        }
        /* The relay never believes in a lease longer than the server that granted it. */
        struct bw_client_status status = bw_client_state_status(s->client, s->now_ms);
        if (status.lease_left_ms > 0)
            assert_true(s->now_ms + status.lease_left_ms <= s->leased_until_ms);
    }
}

static void cut(struct sim *s)
{
    if (s->current < 0)
        return;
    struct connection *c = connection_of(s, s->current);
    if (chance(s, 50) && c != NULL && !c->closed) { /* both ends notice … */
        struct bw_error why = {.code = BW_UNAVAILABLE};
        bw_session_end(c->session, &why);
        return;
    }
    s->current = -1; /* … or only the relay */
    struct bw_error why = {.code = BW_UNAVAILABLE};
    bw_client_state_disconnected(s->client, &why, s->now_ms);
}

/* An older database: the log is shorter, the stream is another one, and every replica starts again. */
static void restore(struct sim *s)
{
    uint64_t head = s->head - below(s, s->head / 2 + 1);
    for (int i = 0; i < CONNECTIONS; i++) {
        struct connection *c = &s->connections[i];
        struct bw_error why = {.code = BW_UNAVAILABLE};
        if (c->session != NULL && !c->closed)
            bw_session_end(c->session, &why);
        bw_session_destroy(c->session);
        c->session = NULL;
    }
    s->head = head;
    s->stream++;
    for (int r = 0; r < REPLICAS; r++) {
        bw_feed_destroy(s->feeds[r]);
        s->feeds[r] = bw_feed_create(0);
        s->key_seen[r] = 0;
        sync_keys(s, r);
    }
}

static void disturb(struct sim *s)
{
    uint64_t what = below(s, 100);
    if (what < 55)
        commit_group(s);
    else if (what < 62)
        change_key(s);
    else if (what < 70)
        cut(s);
    else if (what < 73)
        s->refusing = !s->refusing;
    else if (what < 74 && s->head > 10)
        restore(s);
    else if (what < 78) {
        struct bw_feed *feed = s->feeds[below(s, REPLICAS)];
        bw_feed_compact(feed, below(s, bw_feed_head(feed) + 1));
    } else {
        int r = (int)below(s, REPLICAS);
        read_log(s, r, s->head - below(s, s->head - bw_feed_head(s->feeds[r]) + 1));
        sync_keys(s, r);
    }
}

static void check_converged(struct sim *s, uint64_t seed)
{
    const struct bw_replica *replica = bw_client_state_replica(s->client);
    struct bw_digest mine = bw_replica_digest(replica), theirs = bw_feed_digest(s->feeds[0]);
    if (!bw_digest_equal(&mine, &theirs) || bw_replica_applied(replica) != s->head)
        fail_msg("seed %llu, phase %d: %zu resources at %llu, should be %zu at %llu",
                 (unsigned long long)seed, (int)bw_client_state_status(s->client, s->now_ms).phase,
                 bw_replica_count(replica), (unsigned long long)bw_replica_applied(replica),
                 bw_feed_live(s->feeds[0]), (unsigned long long)s->head);
    assert_int_equal(bw_replica_count(replica), bw_feed_live(s->feeds[0]));
    struct bw_id meeting = the_meeting();
    for (uint32_t n = 1; n < SLOTS; n++) { /* and the owner was told the same */
        for (int kind = 0; kind < 2; kind++) {
            struct bw_resource_id id =
                kind == 0 ? bw_resource_id_slot(&meeting, n) : bw_resource_id_link(&meeting, n);
            const struct bw_feed_entry *e = bw_feed_find(s->feeds[0], &id);
            assert_int_equal(s->held[kind][n], e != NULL && !e->removed ? e->version : 0);
        }
    }
}

static struct sim *sim_create(uint64_t seed)
{
    struct sim *s = calloc(1, sizeof *s);
    static const uint8_t secret[32] = {1};
    s->random = seed;
    s->now_ms = 1000;
    s->current = -1;
    s->stream = 1;
    s->arena = bw_arena_create(BW_FLEET_ARENA);
    for (int r = 0; r < REPLICAS; r++)
        s->feeds[r] = bw_feed_create(0);
    struct bw_client_config config = {.endpoint_count = REPLICAS,
                                      .hello = {.protocol_min = 1,
                                                .protocol_max = 1,
                                                .boot_id = {.bytes = {5}},
                                                .media_addresses = {bw_view_str("127.0.0.1:3478")},
                                                .media_address_count = 1,
                                                .capacity = 500,
                                                .session_secret = bw_view_of(secret, sizeof secret)}};
    struct bw_client_ports ports = {.context = s,
                                    .connect = relay_connect,
                                    .disconnect = relay_disconnect,
                                    .send = relay_send,
                                    .random = relay_random,
                                    .load = relay_load,
                                    .welcomed = relay_welcomed};
    struct bw_replica_events events = {.context = s, .upsert = relay_upsert, .remove = relay_remove};
    s->client = bw_client_state_create(&config, &ports, &events, s->now_ms);
    return s;
}

static void sim_destroy(struct sim *s)
{
    for (int i = 0; i < CONNECTIONS; i++)
        bw_session_destroy(s->connections[i].session);
    for (int r = 0; r < REPLICAS; r++)
        bw_feed_destroy(s->feeds[r]);
    for (size_t i = 0; i < s->packets; i++)
        bw_free(s->pipe[i].bytes);
    bw_client_state_destroy(s->client);
    bw_arena_destroy(s->arena);
    free(s);
}

struct totals {
    uint64_t snapshots, resumes, nacks, losses;
};

static void run(uint64_t seed, struct totals *totals)
{
    struct sim *s = sim_create(seed);
    s->rough = chance(s, 80);
    size_t steps = 10 + below(s, 60);
    for (size_t i = 0; i < steps; i++) {
        disturb(s);
        if (chance(s, 60))
            advance_to(s, s->now_ms + 10 * below(s, 60));
    }
    s->rough = s->refusing = false;
    for (int r = 0; r < REPLICAS; r++) {
        read_log(s, r, s->head);
        sync_keys(s, r);
    }
    /* Long enough for the slowest way back: a silent server (12 s), unacknowledged for too long (30 s), a
     * retry or a second snapshot after the longest backoff (60 s). */
    for (int i = 0; i < 10; i++) {
        advance_to(s, s->now_ms + 15000);
        const struct bw_replica *replica = bw_client_state_replica(s->client);
        struct bw_digest mine = bw_replica_digest(replica), theirs = bw_feed_digest(s->feeds[0]);
        if (bw_digest_equal(&mine, &theirs) && bw_replica_applied(replica) == s->head)
            break;
    }
    check_converged(s, seed);
    assert_int_equal(bw_client_state_authority(s->client, s->now_ms), BW_AUTHORITY_FULL);
    totals->snapshots += s->snapshots;
    totals->resumes += s->resumes;
    totals->nacks += s->nacks;
    totals->losses += s->losses;
    sim_destroy(s);
}

/* BW_SCHEDULES and BW_SEED choose how many and from where. */
static void whatever_happens_the_relay_ends_up_with_what_the_log_says(void **state)
{
    (void)state;
    const char *count_text = getenv("BW_SCHEDULES"), *seed_text = getenv("BW_SEED");
    uint64_t count = count_text != NULL ? strtoull(count_text, NULL, 10) : 10000;
    uint64_t first = seed_text != NULL ? strtoull(seed_text, NULL, 10) : 1;
    struct totals totals = {0};
    for (uint64_t seed = first; seed < first + count; seed++)
        run(seed, &totals);
    printf("schedules %llu, snapshots %llu, resumes %llu, nacks %llu, messages lost %llu\n",
           (unsigned long long)count, (unsigned long long)totals.snapshots,
           (unsigned long long)totals.resumes, (unsigned long long)totals.nacks,
           (unsigned long long)totals.losses);
    /* The schedules reach what they are meant to reach. */
    if (count >= 1000) {
        assert_true(totals.snapshots > count / 10);
        assert_true(totals.resumes > count / 10);
        assert_true(totals.nacks > count / 20);
        assert_true(totals.losses > count / 20);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whatever_happens_the_relay_ends_up_with_what_the_log_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
