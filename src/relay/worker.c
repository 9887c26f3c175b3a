#include "relay/worker.h"

#include <signal.h>
#include <string.h>
#include <sys/resource.h>

#include "base/alloc.h"
#include "base/check.h"
#include "relay/worker_state.h"
#include "runtime/clock.h"
#include "runtime/log.h"
#include "runtime/random.h"

enum {
    TICK_MS = 100,
    STATS_US = 60000000, /* between statistics lines in the log, at least */
    END_POLL_MS = 100,
};

struct bw_relay_now worker_now(void)
{
    return (struct bw_relay_now){.mono_us = bw_clock_mono_ns() / 1000, .wall_ms = bw_clock_wall_ms()};
}

void worker_flush(struct bw_relay_worker *worker)
{
    bw_outbox_flush(&worker->outbox);
}

/* ---- datagrams ---- */

static void received(void *context, const struct bw_address *from, struct bw_view bytes, uint64_t arrived_us)
{
    struct bw_relay_worker *worker = context;
    struct bw_relay_now now = worker_now();
    now.waited_us = now.mono_us > arrived_us ? now.mono_us - arrived_us : 0;
    bool probe = bytes.len == BW_DATAGRAM_HEADER && bytes.data[0] == BW_DATAGRAM_VERSION &&
                 (bytes.data[1] == BW_DATAGRAM_PROBE || bytes.data[1] == BW_DATAGRAM_PROBE_REPLY);
    for (size_t i = 0; probe && i < worker->cell_count; i++) {
        if (bw_prober_receive(worker->cells[i].prober, from, bytes, now.mono_us, &worker->outbox))
            return;
    }
    bw_relay_core_receive(worker->core, from, bytes, now);
}

static void send_failed(void *context, uint64_t count)
{
    const struct bw_relay_worker *worker = context;
    bw_relay_core_send_failed(worker->core, count);
}

/* ---- time ---- */

static uint64_t cpu_us(void)
{
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) != 0)
        return 0;
    return (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000 +
           (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

static void measure_rates(struct bw_relay_worker *worker, uint64_t now_us)
{
    struct worker_rates *rates = &worker->rates;
    const struct bw_relay_counters *c = bw_relay_core_counters(worker->core);
    uint64_t elapsed = now_us - rates->at_us;
    if (elapsed < 1000000)
        return;
    uint64_t cpu = cpu_us(), bytes = c->received_bytes + c->forwarded_bytes,
             packets = c->received + c->forwarded;
    uint64_t ppm = (cpu - rates->cpu_us) * 1000000 / elapsed; /* of one core: there is one thread */
    rates->load.cpu_ppm = ppm > 1000000 ? 1000000 : (uint32_t)ppm;
    rates->load.bits_per_s = (bytes - rates->bytes) * 8 * 1000000 / elapsed;
    rates->load.packets_per_s = (packets - rates->packets) * 1000000 / elapsed;
    rates->at_us = now_us;
    rates->cpu_us = cpu;
    rates->bytes = bytes;
    rates->packets = packets;
    worker_tell_refusals(worker);
}

static void tick(void *context)
{
    struct bw_relay_worker *worker = context;
    struct bw_relay_now now = worker_now();
    for (size_t i = 0; i < worker->cell_count; i++)
        worker_cell_authority(&worker->cells[i]);
    bw_relay_core_tick(worker->core, now);
    measure_rates(worker, now.mono_us);
    worker_flush(worker);
}

static void probe_tick(void *context)
{
    struct bw_relay_worker *worker = context;
    struct bw_relay_now now = worker_now();
    for (size_t i = 0; i < worker->cell_count; i++)
        bw_prober_tick(worker->cells[i].prober, now.mono_us, now.wall_ms, &worker->outbox);
    worker_flush(worker);
}

static void log_statistics(const struct bw_relay_worker *worker)
{
    const struct bw_relay_counters *c = bw_relay_core_counters(worker->core);
    uint64_t dropped = 0;
    uint32_t participants = 0;
    for (size_t i = 0; i < BW_DROP_COUNT; i++)
        dropped += c->dropped[i];
    for (size_t i = 0; i < worker->cell_count; i++)
        participants += bw_relay_core_cell_status(worker->core, i).participants;
    bw_log(BW_LOG_INFO, "statistics",
           "participants=%u meetings=%zu received=%llu forwarded=%llu to_peers=%llu dropped=%llu cpu_ppm=%u",
           (unsigned)participants, bw_relay_core_meetings(worker->core), (unsigned long long)c->received,
           (unsigned long long)c->forwarded, (unsigned long long)c->to_peers, (unsigned long long)dropped,
           (unsigned)worker->rates.load.cpu_ppm);
}

static void end_window(void *context)
{
    struct bw_relay_worker *worker = context;
    uint64_t now_us = worker_now().mono_us;
    worker_quality_window(worker);
    if (now_us - worker->statistics_us < STATS_US)
        return;
    worker->statistics_us = now_us;
    log_statistics(worker);
}

/* ---- the end ---- */

static void cell_stopped(void *context)
{
    struct worker_cell *cell = context;
    struct bw_relay_worker *worker = cell->worker;
    cell->stopped = true;
    for (size_t i = 0; i < worker->cell_count; i++) {
        if (!worker->cells[i].stopped)
            return;
    }
    bw_loop_stop(worker->loop);
}

static void say_goodbye(struct bw_relay_worker *worker)
{
    bw_timer_stop(worker->ending);
    bw_relay_core_shutdown(worker->core, BW_REFUSAL_SHUTDOWN);
    worker_flush(worker);
    worker_quality_window(worker); /* what ended just now */
    bw_timer_stop(worker->window);
    for (size_t i = 0; i < worker->cell_count; i++)
        bw_fleet_client_stop(worker->cells[i].client, "the relay ends", 0, cell_stopped, &worker->cells[i]);
}

static void wait_for_empty(void *context)
{
    struct bw_relay_worker *worker = context;
    uint32_t participants = 0;
    for (size_t i = 0; i < worker->cell_count; i++)
        participants += bw_relay_core_cell_status(worker->core, i).participants;
    if (participants == 0 || bw_clock_mono_ms() >= worker->end_ms)
        say_goodbye(worker);
}

static void end(int signal_number, void *context)
{
    struct bw_relay_worker *worker = context;
    bw_log(BW_LOG_INFO, "stopping", "signal=%d again=%s drain_ms=%u", signal_number,
           worker->stopping ? "true" : "false", (unsigned)worker->config->drain_ms);
    if (worker->stopping) {
        bw_loop_stop(worker->loop);
        return;
    }
    worker->stopping = true;
    worker->end_ms = bw_clock_mono_ms() + worker->config->drain_ms;
    for (size_t i = 0; worker->config->drain_ms > 0 && i < worker->cell_count; i++) {
        bw_relay_core_drain(worker->core, i, true);
        bw_fleet_client_drain_request(worker->cells[i].client, "the relay was asked to stop",
                                      worker->config->drain_ms);
    }
    bw_timer_start(worker->ending, 0, END_POLL_MS);
}

static void reload(int signal_number, void *context)
{
    struct bw_relay_worker *worker = context;
    struct bw_relay_config fresh;
    struct bw_diags diags;
    struct bw_error err = {0};
    (void)signal_number;
    struct bw_arena *arena = bw_arena_create(BW_YAML_ARENA_BYTES);
    bw_diags_init(&diags);
    enum bw_code code = arena != NULL ? bw_relay_config_load(worker->file, arena, &diags, &fresh, &err)
                                      : bw_fail_memory(&err);
    if (code == BW_OK)
        bw_log_configure(fresh.log_level, fresh.log_json);
    for (size_t i = 0; code == BW_OK && i < worker->cell_count; i++)
        code = worker_cell_reload(&worker->cells[i], &err);
    if (code == BW_OK)
        bw_log(BW_LOG_INFO, "reloaded", "what=\"log and certificates; everything else needs a restart\"");
    else
        bw_log(BW_LOG_ERROR, "not_reloaded", "why=\"%s\"", err.show);
    bw_diags_finish(&diags);
    bw_arena_destroy(arena);
}

/* ---- life ---- */

static void render_status(void *context, struct bw_buf *out)
{
    worker_status_json(context, out);
}

static bool start_media(struct bw_relay_worker *worker, struct bw_error *err)
{
    const struct bw_relay_config *config = worker->config;
    struct bw_socket_handlers handlers = {
        .context = worker, .received = received, .send_failed = send_failed};
    struct bw_relay_hooks hooks = {
        .context = worker, .joined = worker_joined, .left = worker_left, .measured = worker_quality_measured};
    worker->core =
        bw_relay_core_create(&config->limits, &worker->outbox, &hooks, bw_random_bytes, worker_now());
    if (worker->core == NULL) {
        (void)bw_fail_memory(err);
        return false;
    }
    worker->socket = bw_socket_create(worker->loop, &config->listen, &worker->outbox, &handlers, err);
    return worker->socket != NULL;
}

static bool start_rest(struct bw_relay_worker *worker, struct bw_error *err)
{
    for (size_t i = 0; i < worker->config->cell_count; i++) {
        worker->cell_count = i + 1;
        if (worker_cell_start(worker, i, err) != BW_OK)
            return false;
    }
    if (worker->config->status_socket != NULL) {
        worker->status =
            bw_status_server_create(worker->loop, worker->config->status_socket, render_status, worker, err);
        if (worker->status == NULL)
            return false;
    }
    worker->tick = bw_timer_create(worker->loop, tick, worker, err);
    worker->probe = bw_timer_create(worker->loop, probe_tick, worker, err);
    worker->window = bw_timer_create(worker->loop, end_window, worker, err);
    worker->ending = bw_timer_create(worker->loop, wait_for_empty, worker, err);
    worker->term = bw_signal_watch(worker->loop, SIGTERM, end, worker, err);
    worker->interrupt = bw_signal_watch(worker->loop, SIGINT, end, worker, err);
    worker->reload = bw_signal_watch(worker->loop, SIGHUP, reload, worker, err);
    return worker->tick != NULL && worker->probe != NULL && worker->window != NULL &&
           worker->ending != NULL && worker->term != NULL && worker->interrupt != NULL &&
           worker->reload != NULL;
}

struct bw_relay_worker *bw_relay_worker_create(const struct bw_relay_config *config, const char *file,
                                               struct bw_error *err)
{
    struct bw_relay_worker *worker = bw_calloc(1, sizeof *worker);
    if (worker == NULL) {
        (void)bw_fail_memory(err);
        return NULL;
    }
    uint8_t random[16];
    bw_random_bytes(random, sizeof random);
    worker->boot_id = bw_id_v4(random);
    worker->config = config;
    worker->file = file;
    worker->started_us = worker->rates.at_us = worker_now().mono_us;
    worker->rates.cpu_us = cpu_us();
    worker->statistics_us = worker->started_us;
    worker->loop = bw_loop_create(err);
    if (worker->loop == NULL || !start_media(worker, err) || !start_rest(worker, err)) {
        bw_relay_worker_destroy(worker);
        return NULL;
    }
    return worker;
}

void bw_relay_worker_run(struct bw_relay_worker *worker)
{
    char listen[BW_ADDRESS_TEXT];
    struct bw_address address = bw_socket_address(worker->socket);
    bw_address_format(&address, listen);
    bw_log(BW_LOG_INFO, "started", "relay=%s listen=%s capacity=%u cells=%zu", worker->config->name, listen,
           (unsigned)worker->config->limits.channels, worker->cell_count);
    bw_timer_start(worker->tick, 0, TICK_MS);
    worker_quality_begin(worker);
    bw_loop_run(worker->loop);
    log_statistics(worker);
    bw_log(BW_LOG_INFO, "ended", "relay=%s", worker->config->name);
}

void bw_relay_worker_destroy(struct bw_relay_worker *worker)
{
    if (worker == NULL)
        return;
    bw_timer_destroy(worker->tick);
    bw_timer_destroy(worker->probe);
    bw_timer_destroy(worker->window);
    bw_timer_destroy(worker->ending);
    bw_signal_destroy(worker->term);
    bw_signal_destroy(worker->interrupt);
    bw_signal_destroy(worker->reload);
    bw_status_server_destroy(worker->status);
    worker->outbox.count = 0;
    bw_relay_core_destroy(worker->core); /* its hooks are gone before the clients they speak to */
    for (size_t i = 0; i < worker->cell_count; i++)
        worker_cell_finish(&worker->cells[i]);
    bw_socket_destroy(worker->socket);
    bw_loop_destroy(worker->loop);
    worker_quality_finish(worker);
    bw_free(worker);
}
