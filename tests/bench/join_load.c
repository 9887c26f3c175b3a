#include "join_load.h"

#include <stdio.h>
#include <string.h>

#include "bailiwick/v1/meeting.pb-c.h"
#include "base/alloc.h"
#include "base/check.h"
#include "runtime/clock.h"
#include "runtime/loop.h"
#include "runtime/random.h"
#include "wire/wire.h"

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
    call->next = generator->free;
    generator->free = call;
    generator->under_way--;
    if (outcome->code == BW_OK) {
        note(generator, due_ns);
        if (load->reply != NULL)
            load->reply(load->context, reply);
    } else if (load->failed++ == 0) {
        fprintf(stderr, "%s: %s: %s\n", load->path, bw_code_name(outcome->code), outcome->message);
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

/* ---- joins ---- */

const char bench_join_path[] = "/bailiwick.v1.MeetingService/JoinMeeting";

static char tenant[] = BENCH_TENANT;

static void create_request(void *context, struct bw_buf *out)
{
    (void)context;
    char request_id[BW_ID_TEXT_SIZE], user[] = "host@acme.example";
    struct bw_id id = bench_new_id();
    bw_id_format(&id, request_id);
    Bailiwick__V1__Host host = BAILIWICK__V1__HOST__INIT;
    host.user = user;
    Bailiwick__V1__CreateMeetingRequest request = BAILIWICK__V1__CREATE_MEETING_REQUEST__INIT;
    request.tenant = tenant;
    request.request_id = request_id;
    request.host = &host;
    BW_CHECK(bw_wire_encode(&request.base, out) == BW_OK);
}

struct creation {
    struct bench_joins *joins;
    struct bw_arena *arena;
};

static void created(void *context, struct bw_view message)
{
    struct creation *creation = context;
    const ProtobufCMessage *reply;
    struct bw_error err;
    bw_arena_reset(creation->arena);
    bench_must(bw_wire_decode(&bailiwick__v1__create_meeting_response__descriptor, message, creation->arena,
                              &reply, &err),
               &err);
    const char *id = ((const Bailiwick__V1__CreateMeetingResponse *)reply)->meeting->meeting_id;
    struct bench_joins *joins = creation->joins;
    BW_CHECK(bw_id_parse(bw_view_str(id), &joins->meetings[joins->meeting_count++]));
}

void bench_joins_create_meetings(struct bench_joins *joins, const struct bench_cell *cell, size_t count)
{
    enum { CONNECTIONS = 4 };
    struct creation creation = {.joins = joins, .arena = bw_arena_create(1 << 20)};
    /* The generator stops by time, so this takes as many as come in a little while, until there are enough.
     */
    size_t cap = count + 200000;
    *joins =
        (struct bench_joins){.meetings = bw_calloc(cap, sizeof *joins->meetings), .seed = bw_random_u64()};
    BW_CHECK(joins->meetings != NULL && creation.arena != NULL);
    while (joins->meeting_count < count) {
        struct bench_load load = {.path = "/bailiwick.v1.MeetingService/CreateMeeting",
                                  .request = create_request,
                                  .reply = created,
                                  .context = &creation,
                                  .connections = CONNECTIONS,
                                  .streams = 64,
                                  .seconds = 0.2};
        bench_load_run(&load, cell, cell->app);
        bw_free(load.latencies_ms);
        if (load.done == 0)
            break;
    }
    BW_CHECK(joins->meeting_count >= count);
    joins->meeting_count = count;
    bw_arena_destroy(creation.arena);
}

void bench_join_request(void *context, struct bw_buf *out)
{
    struct bench_joins *joins = context;
    char meeting[BW_ID_TEXT_SIZE], request_id[BW_ID_TEXT_SIZE], country[8];
    Bailiwick__V1__E2eeScheme capable[] = {BAILIWICK__V1__E2EE_SCHEME__E2EE_SCHEME_SFRAME_MLS,
                                           BAILIWICK__V1__E2EE_SCHEME__E2EE_SCHEME_SFRAME};
    size_t at = joins->next++ % joins->meeting_count;
    uint8_t bytes[16] = {0};
    memcpy(bytes, &joins->next, 6);
    memcpy(bytes + 8, &joins->seed, 8);
    struct bw_id id = bw_id_v4(bytes);
    bw_id_format(&id, request_id);
    bw_id_format(&joins->meetings[at], meeting);
    /* Most participants of a meeting are in one country, some in a second one. */
    unsigned away = joins->next / joins->meeting_count % 4 == 3;
    snprintf(country, sizeof country, "%s", bench_country((unsigned)at + away));
    Bailiwick__V1__JoinMeetingRequest request = BAILIWICK__V1__JOIN_MEETING_REQUEST__INIT;
    request.tenant = tenant;
    request.meeting_id = meeting;
    request.request_id = request_id;
    request.kind = BAILIWICK__V1__PARTICIPANT_KIND__PARTICIPANT_KIND_NATIVE;
    request.country = country;
    request.capable = capable;
    request.n_capable = BW_ARRAY_LEN(capable);
    BW_CHECK(bw_wire_encode(&request.base, out) == BW_OK);
}
