/* ExplainPlacement of a hypothetical meeting of twelve on fifty relays, through mutual TLS and the gate, with
 * every relay's reasons: requests a second and the daemon's CPU for each, with one worker. Beside it nghttpd,
 * also on one thread and TLS, answers the same bytes with as many. Both in turns; the median counts. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bailiwick/v1/policy.pb-c.h"
#include "base/alloc.h"
#include "base/check.h"
#include "cell.h"
#include "join_load.h"
#include "relay_swarm.h"
#include "report.h"
#include "runtime/file.h"
#include "wire/wire.h"

enum { ROUNDS = 3, PARTICIPANTS = 12, CONNECTIONS = 10, STREAMS = 100, FRAME = 5, ANCHOR_PORT_TRIES = 100 };

struct bench {
    struct bench_cell cell;
    struct bw_buf request, reply;
    unsigned port; /* nghttpd's */
    pid_t nghttpd;
    double seconds;
};

struct figure {
    double rate, cpu_us;
};

static void make_request(struct bench *bench)
{
    static char tenant[] = BENCH_TENANT, user[] = "host@acme.example";
    static Bailiwick__V1__E2eeScheme capable[] = {BAILIWICK__V1__E2EE_SCHEME__E2EE_SCHEME_SFRAME_MLS};
    char ids[PARTICIPANTS][16], countries[PARTICIPANTS][8];
    Bailiwick__V1__PlacementRequest__Participant people[PARTICIPANTS], *all[PARTICIPANTS];
    for (unsigned i = 0; i < PARTICIPANTS; i++) {
        snprintf(ids[i], sizeof ids[i], "p%u", i);
        snprintf(countries[i], sizeof countries[i], "%s", bench_country(i / 4));
        bailiwick__v1__placement_request__participant__init(&people[i]);
        people[i].id = ids[i];
        people[i].country = countries[i];
        people[i].kind = BAILIWICK__V1__PARTICIPANT_KIND__PARTICIPANT_KIND_NATIVE;
        people[i].capable = capable;
        people[i].n_capable = BW_ARRAY_LEN(capable);
        all[i] = &people[i];
    }
    Bailiwick__V1__Host host = BAILIWICK__V1__HOST__INIT;
    host.user = user;
    Bailiwick__V1__PlacementRequest meeting = BAILIWICK__V1__PLACEMENT_REQUEST__INIT;
    meeting.host = &host;
    meeting.participants = all;
    meeting.n_participants = PARTICIPANTS;
    Bailiwick__V1__ExplainPlacementRequest request = BAILIWICK__V1__EXPLAIN_PLACEMENT_REQUEST__INIT;
    request.tenant = tenant;
    request.subject_case = BAILIWICK__V1__EXPLAIN_PLACEMENT_REQUEST__SUBJECT_REQUEST;
    request.request = &meeting;
    BW_CHECK(bw_wire_encode(&request.base, &bench->request) == BW_OK);
}

static void next_request(void *context, struct bw_buf *out)
{
    const struct bench *bench = context;
    bw_buf_append(out, bench->request.data, bench->request.len);
}

/* The first one is read and kept: everybody must have been placed. */
static void on_reply(void *context, const char *path, struct bw_view message)
{
    (void)path;
    struct bench *bench = context;
    if (bench->reply.len > 0)
        return;
    struct bw_arena *arena = bw_arena_create(1 << 20);
    const ProtobufCMessage *reply;
    struct bw_error err;
    bench_must(
        bw_wire_decode(&bailiwick__v1__explain_placement_response__descriptor, message, arena, &reply, &err),
        &err);
    const Bailiwick__V1__Explanation *explanation =
        ((const Bailiwick__V1__ExplainPlacementResponse *)reply)->explanation;
    BW_CHECK(explanation != NULL && strcmp(explanation->decision, "placed") == 0 &&
             explanation->n_assignments == PARTICIPANTS);
    bw_arena_destroy(arena);
    bw_buf_append(&bench->reply, message.data, message.len);
}

static struct figure explain(struct bench *bench)
{
    struct bench_load load = {.path = "/bailiwick.v1.PolicyService/ExplainPlacement",
                              .request = next_request,
                              .reply = on_reply,
                              .context = bench,
                              .connections = CONNECTIONS,
                              .streams = STREAMS,
                              .seconds = bench->seconds};
    double cpu = bench_cell_cpu_s(&bench->cell);
    bench_load_run(&load, &bench->cell, bench->cell.app);
    cpu = bench_cell_cpu_s(&bench->cell) - cpu;
    bw_free(load.latencies_ms);
    if (load.failed > 0) {
        fprintf(stderr, "%lu requests failed\n", (unsigned long)load.failed);
        exit(1);
    }
    return (struct figure){.rate = (double)load.done / load.elapsed_s,
                           .cpu_us = cpu * 1e6 / (double)load.done};
}

/* ---- the anchor ---- */

static void write_framed(const struct bench *bench, const char *name, const struct bw_buf *message)
{
    char path[BENCH_PATH];
    struct bw_buf framed = {0};
    struct bw_error err;
    snprintf(path, sizeof path, "%s/%s", bench->cell.directory, name);
    bw_buf_append_u8(&framed, 0);
    bw_buf_append_u32(&framed, (uint32_t)message->len);
    bw_buf_append(&framed, message->data, message->len);
    bench_must(bw_file_create(path, 0644, bw_buf_view(&framed), &err), &err);
    bw_buf_finish(&framed);
}

static bool h2load(const struct bench *bench, unsigned requests, double *rate)
{
    char command[2 * BENCH_PATH], line[512];
    snprintf(command, sizeof command,
             "h2load -n %u -c %d -m %d -H 'content-type: application/grpc' -H 'te: trailers' -d '%s/request'"
             " https://127.0.0.1:%u/reply 2>&1",
             requests, CONNECTIONS, STREAMS, bench->cell.directory, bench->port);
    FILE *output = popen(command, "r");
    BW_CHECK(output != NULL);
    unsigned total = 0, succeeded = 0;
    while (fgets(line, sizeof line, output) != NULL) {
        const char *at = strstr(line, "s, ");
        if (strncmp(line, "finished in", 11) == 0 && at != NULL)
            *rate = strtod(at + 3, NULL);
        (void)sscanf(line, "requests: %u total, %*u started, %*u done, %u succeeded", &total, &succeeded);
    }
    return pclose(output) == 0 && total == requests && succeeded == requests;
}

static void start_nghttpd(struct bench *bench)
{
    char port[16], key[BENCH_PATH], certificate[BENCH_PATH];
    write_framed(bench, "request", &bench->request);
    write_framed(bench, "reply", &bench->reply);
    bench->port = bench_free_port();
    snprintf(port, sizeof port, "%u", bench->port);
    snprintf(key, sizeof key, "%s/keys/server.key", bench->cell.directory);
    snprintf(certificate, sizeof certificate, "%s/keys/server.crt", bench->cell.directory);
    const char *argv[] = {"nghttpd", "-a", "127.0.0.1", "-d", bench->cell.directory,
                          port,      key,  certificate, NULL};
    bench->nghttpd = bench_cell_spawn(&bench->cell, argv);
    double rate;
    for (int i = 0; !h2load(bench, 1000, &rate); i++) {
        if (i == ANCHOR_PORT_TRIES) {
            fprintf(stderr, "nghttpd does not answer\n");
            exit(1);
        }
        usleep(50000);
    }
}

static struct figure anchor(struct bench *bench)
{
    enum { REQUESTS = 200000 };
    struct figure figure = {0};
    double cpu = bench_cpu_s(bench->nghttpd);
    if (!h2load(bench, REQUESTS, &figure.rate)) {
        fprintf(stderr, "not every request to nghttpd succeeded\n");
        exit(1);
    }
    figure.cpu_us = (bench_cpu_s(bench->nghttpd) - cpu) * 1e6 / REQUESTS;
    return figure;
}

static void stop_nghttpd(const struct bench *bench)
{
    kill(bench->nghttpd, SIGTERM);
    (void)waitpid(bench->nghttpd, NULL, 0);
}

int main(void)
{
    static struct bench bench = {.seconds = 3};
    double rate[ROUNDS], cpu[ROUNDS], anchor_rate[ROUNDS], anchor_cpu[ROUNDS];
    bench_cell_start(&bench.cell, 1, BENCH_METADATA_NOT_KEPT);
    struct bench_swarm *swarm = bench_swarm_start(&bench.cell);
    make_request(&bench);
    (void)explain(&bench); /* warms up, and gives the reply that nghttpd answers with */
    start_nghttpd(&bench);
    for (int i = 0; i < ROUNDS; i++) {
        struct figure theirs = anchor(&bench), ours = explain(&bench);
        rate[i] = ours.rate;
        cpu[i] = ours.cpu_us;
        anchor_rate[i] = theirs.rate;
        anchor_cpu[i] = theirs.cpu_us;
    }
    stop_nghttpd(&bench);
    char text[128];
    snprintf(text, sizeof text, "nghttpd, TLS, one thread, the same %zu and %zu bytes", bench.request.len,
             bench.reply.len);
    bench_print("explain_rate", bench_median(rate, ROUNDS), "requests/s", "higher", text,
                bench_median(anchor_rate, ROUNDS));
    bench_print("explain_cpu_us", bench_median(cpu, ROUNDS), "us", "lower", text,
                bench_median(anchor_cpu, ROUNDS));
    bench_swarm_stop(swarm);
    bench_cell_stop(&bench.cell);
    bw_buf_finish(&bench.request);
    bw_buf_finish(&bench.reply);
    return 0;
}
