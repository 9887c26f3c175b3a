#include "relay_swarm.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/check.h"
#include "fleet/client.h"
#include "runtime/clock.h"
#include "runtime/loop.h"
#include "runtime/random.h"
#include "runtime/thread.h"

enum { APPLIED_MAX = 4000000, CONNECT_MS = 30000, RELAY_CAPACITY = 100000 };

struct relay {
    struct bench_swarm *swarm;
    struct bw_fleet_client *client;
    uint8_t secret[BW_SESSION_SECRET];
    char address[32];
    uint32_t participants;
};

struct bench_swarm {
    struct bw_loop *loop;
    struct bw_thread *thread;
    const char *endpoints[1];
    struct relay relays[BENCH_RELAYS];
    atomic_uint welcomed;
    atomic_size_t count;
    struct bench_applied *applied;
};

static int64_t wall_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static enum bw_code on_slot(void *context, const struct bw_meeting_slot *slot, uint32_t max_staleness_ms,
                            struct bw_error *err)
{
    (void)max_staleness_ms;
    struct relay *relay = context;
    struct bench_swarm *swarm = relay->swarm;
    size_t count = atomic_load_explicit(&swarm->count, memory_order_relaxed);
    if (count == APPLIED_MAX)
        return bw_fail(err, BW_RESOURCE_EXHAUSTED, NULL, "the benchmark notes no more slots");
    swarm->applied[count] =
        (struct bench_applied){.meeting = slot->meeting, .slot = slot->slot, .at_us = wall_us()};
    atomic_store_explicit(&swarm->count, count + 1, memory_order_release);
    relay->participants++;
    return BW_OK;
}

static void on_slot_removed(void *context, const struct bw_id *meeting, uint32_t slot)
{
    (void)meeting;
    (void)slot;
    ((struct relay *)context)->participants--;
}

static enum bw_code on_link(void *context, const struct bw_peer_link *link, uint32_t max_staleness_ms,
                            struct bw_error *err)
{
    (void)context;
    (void)link;
    (void)max_staleness_ms;
    (void)err;
    return BW_OK;
}

static void on_link_removed(void *context, const struct bw_id *meeting, uint32_t peer_number)
{
    (void)context;
    (void)meeting;
    (void)peer_number;
}

static enum bw_code on_key(void *context, const struct bw_grant_key *key, struct bw_error *err)
{
    (void)context;
    (void)key;
    (void)err;
    return BW_OK;
}

static void on_key_removed(void *context, const uint8_t key_id[8])
{
    (void)context;
    (void)key_id;
}

static void on_load(void *context, struct bw_relay_load *load)
{
    const struct relay *relay = context;
    *load = (struct bw_relay_load){.cpu_ppm = 100000, .participants = relay->participants};
}

static void on_welcomed(void *context, const struct bw_welcome *welcome)
{
    (void)welcome;
    atomic_fetch_add(&((struct relay *)context)->swarm->welcomed, 1);
}

static void on_lost(void *context, const char *endpoint, const struct bw_error *why, uint64_t retry_in_ms)
{
    const struct relay *relay = context;
    fprintf(stderr, "%s lost its session with %s: %s (%s); again in %lu ms\n", relay->address, endpoint,
            why->show, why->log, (unsigned long)retry_in_ms);
}

static void connect_relay(struct bench_swarm *swarm, unsigned number, struct bw_grpc_tls *tls)
{
    struct relay *relay = &swarm->relays[number];
    struct bw_error err;
    relay->swarm = swarm;
    bw_random_bytes(relay->secret, sizeof relay->secret);
    snprintf(relay->address, sizeof relay->address, "127.0.0.1:%u", 20000 + number);
    struct bw_fleet_client_config config = {
        .endpoints = swarm->endpoints,
        .endpoint_count = 1,
        .tls = tls,
        .hello = {.protocol_min = BW_FLEET_PROTOCOL_MIN,
                  .protocol_max = BW_FLEET_PROTOCOL_MAX,
                  .boot_id = bench_new_id(),
                  .media_addresses = {bw_view_str(relay->address)},
                  .media_address_count = 1,
                  .capacity = RELAY_CAPACITY,
                  .session_secret = bw_view_of(relay->secret, sizeof relay->secret),
                  .software_version = bw_view_str("1.0.0")},
        .handlers = {.context = relay,
                     .peer_link = on_link,
                     .peer_link_removed = on_link_removed,
                     .slot = on_slot,
                     .slot_removed = on_slot_removed,
                     .grant_key = on_key,
                     .grant_key_removed = on_key_removed,
                     .load = on_load,
                     .welcomed = on_welcomed,
                     .lost = on_lost},
    };
    relay->client = bw_fleet_client_create(swarm->loop, &config, &err);
    if (relay->client == NULL)
        bench_must(err.code, &err);
}

static void run(void *context)
{
    bw_loop_run(((struct bench_swarm *)context)->loop);
}

struct bench_swarm *bench_swarm_start(const struct bench_cell *cell)
{
    struct bw_error err;
    struct bench_swarm *swarm = bw_calloc(1, sizeof *swarm);
    BW_CHECK(swarm != NULL);
    swarm->applied = bw_calloc(APPLIED_MAX, sizeof *swarm->applied);
    swarm->loop = bw_loop_create(&err);
    BW_CHECK(swarm->applied != NULL && swarm->loop != NULL);
    swarm->endpoints[0] = cell->endpoint;
    for (unsigned i = 0; i < BENCH_RELAYS; i++)
        connect_relay(swarm, i, cell->relays[i]);
    swarm->thread = bw_thread_start(run, swarm, "swarm", &err);
    if (swarm->thread == NULL)
        bench_must(err.code, &err);
    uint64_t end = bw_clock_mono_ms() + CONNECT_MS;
    while (atomic_load(&swarm->welcomed) < BENCH_RELAYS) {
        if (bw_clock_mono_ms() > end) {
            (void)bw_fail(&err, BW_DEADLINE_EXCEEDED, NULL, "only %u of %d relays got a session",
                          atomic_load(&swarm->welcomed), BENCH_RELAYS);
            bench_must(err.code, &err);
        }
        usleep(10000);
    }
    return swarm;
}

size_t bench_swarm_wait(struct bench_swarm *swarm, size_t count, uint64_t timeout_ms)
{
    uint64_t end = bw_clock_mono_ms() + timeout_ms;
    size_t applied;
    while ((applied = atomic_load_explicit(&swarm->count, memory_order_acquire)) < count &&
           bw_clock_mono_ms() < end)
        usleep(10000);
    return applied;
}

const struct bench_applied *bench_swarm_applied(const struct bench_swarm *swarm)
{
    return swarm->applied;
}

void bench_swarm_stop(struct bench_swarm *swarm)
{
    bw_loop_stop(swarm->loop);
    bw_thread_join(swarm->thread);
    for (unsigned i = 0; i < BENCH_RELAYS; i++)
        bw_fleet_client_destroy(swarm->relays[i].client);
    bw_loop_destroy(swarm->loop);
    bw_free(swarm->applied);
    bw_free(swarm);
}
