#include "join_load.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/check.h"
#include "runtime/clock.h"
#include "runtime/loop.h"

enum { CALL_DEADLINE_MS = 30000, CONNECT_MS = 10000, LATENCIES_FIRST = 65536 };

struct generator {
    struct bench_load *load;
    struct bw_loop *loop;
    struct bw_grpc_client *clients[BENCH_CONNECTIONS_MAX];
    unsigned connected;
    uint64_t start_ns, end_ns, due;
    uint64_t under_way;
    size_t latency_cap;
    struct call *free;
    struct bw_buf request;
};

struct call {
    struct generator *generator;
    struct call *next;
    unsigned connection;
    uint64_t due_ns;
    const char *path;
};

static void ask(struct generator *generator, unsigned connection, uint64_t due_ns);

static void note(struct generator *generator, uint64_t due_ns)
{
    struct bench_load *load = generator->load;
    if (load->done == generator->latency_cap) {
        generator->latency_cap = generator->latency_cap ? generator->latency_cap * 2 : LATENCIES_FIRST;
        load->latencies_ms =
            bw_realloc(load->latencies_ms, generator->latency_cap * sizeof *load->latencies_ms);
        BW_CHECK(load->latencies_ms != NULL);
    }
    load->latencies_ms[load->done++] = (double)(bw_clock_mono_ns() - due_ns) * 1e-6;
}

static void on_done(const struct bw_grpc_outcome *outcome, struct bw_view reply, void *context)
{
    struct call *call = context;
    struct generator *generator = call->generator;
    struct bench_load *load = generator->load;
    unsigned connection = call->connection;
    uint64_t due_ns = call->due_ns;
    const char *path = call->path;
    call->next = generator->free;
    generator->free = call;
    generator->under_way--;
    if (outcome->code == BW_OK) {
        note(generator, due_ns);
        if (load->reply != NULL)
            load->reply(load->context, path, reply);
    } else if (load->failed++ == 0) {
        fprintf(stderr, "%s: %s: %s\n", path, bw_code_name(outcome->code), outcome->message);
    }
    uint64_t now = bw_clock_mono_ns();
    if (load->rate == 0 && now < generator->end_ns)
        ask(generator, connection, now);
}

static void ask(struct generator *generator, unsigned connection, uint64_t due_ns)
{
    struct bench_load *load = generator->load;
    struct call *call = generator->free;
    if (call != NULL)
        generator->free = call->next;
    else
        call = bw_malloc(sizeof *call);
    BW_CHECK(call != NULL);
    *call = (struct call){.generator = generator, .connection = connection, .due_ns = due_ns};
    bw_buf_clear(&generator->request);
    load->request(load->context, &generator->request);
    call->path = load->path;
    struct bw_error err;
    bench_must(bw_grpc_client_unary(generator->clients[connection], load->path, CALL_DEADLINE_MS, NULL, 0,
                                    bw_buf_view(&generator->request), on_done, call, &err),
               &err);
    generator->under_way++;
}

/* Open loop: what has become due since the last time. */
static void on_pace(void *context)
{
    struct generator *generator = context;
    const struct bench_load *load = generator->load;
    uint64_t now = bw_clock_mono_ns();
    for (;;) {
        uint64_t at = generator->start_ns + (uint64_t)((double)generator->due * 1e9 / load->rate);
        if (at > now || at >= generator->end_ns)
            return;
        ask(generator, (unsigned)(generator->due++ % load->connections), at);
    }
}

static void on_connected(struct bw_grpc_client *client, void *context)
{
    (void)client;
    ((struct generator *)context)->connected++;
}

static void on_closed(struct bw_grpc_client *client, const struct bw_error *why, void *context)
{
    (void)client;
    (void)context;
    if (why->code != BW_OK)
        bench_must(why->code, why);
}

static void dial(struct generator *generator, const struct bench_cell *cell, struct bw_grpc_tls *tls)
{
    const struct bw_grpc_client_config config = {.target = cell->endpoint,
                                                 .tls = tls,
                                                 .connect_timeout_ms = CONNECT_MS,
                                                 .connected = on_connected,
                                                 .closed = on_closed,
                                                 .context = generator};
    struct bw_error err;
    for (unsigned i = 0; i < generator->load->connections; i++) {
        generator->clients[i] = bw_grpc_client_create(generator->loop, &config, &err);
        if (generator->clients[i] == NULL)
            bench_must(err.code, &err);
    }
    while (generator->connected < generator->load->connections)
        bw_loop_turn(generator->loop, true);
}

void bench_load_run(struct bench_load *load, const struct bench_cell *cell, struct bw_grpc_tls *tls)
{
    struct generator generator = {.load = load};
    struct bw_error err;
    BW_CHECK(load->connections > 0 && load->connections <= BENCH_CONNECTIONS_MAX);
    load->done = load->failed = 0;
    load->latencies_ms = NULL;
    generator.loop = bw_loop_create(&err);
    BW_CHECK(generator.loop != NULL);
    dial(&generator, cell, tls);
    struct bw_timer *pace = bw_timer_create(generator.loop, on_pace, &generator, &err);
    BW_CHECK(pace != NULL);
    generator.start_ns = bw_clock_mono_ns();
    generator.end_ns = generator.start_ns + (uint64_t)(load->seconds * 1e9);
    if (load->rate > 0)
        bw_timer_start(pace, 1, 1);
    for (unsigned i = 0; load->rate == 0 && i < load->connections * load->streams; i++)
        ask(&generator, i % load->connections, bw_clock_mono_ns());
    while (generator.under_way > 0 || bw_clock_mono_ns() < generator.end_ns)
        bw_loop_turn(generator.loop, true);
    load->elapsed_s = (double)(bw_clock_mono_ns() - generator.start_ns) * 1e-9;
    bw_timer_destroy(pace);
    for (unsigned i = 0; i < load->connections; i++)
        bw_grpc_client_destroy(generator.clients[i]);
    bw_loop_destroy(generator.loop);
    while (generator.free != NULL) {
        struct call *call = generator.free;
        generator.free = call->next;
        bw_free(call);
    }
    bw_buf_finish(&generator.request);
}
