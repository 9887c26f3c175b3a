/* GetMeetingTimeline of a one-hour meeting of fifty among a million stored samples: from a support person's
 * call over mutual TLS to the whole answer, decisions read, people and chunks opened by the vault (audited
 * first), classes worked out, rejected relays explained. Chunks are sealed here and written as the ingest
 * writes them. Beside it, in turns, the same sealed rows are fetched with plain SQL on one kept connection.
 */
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/quality.h"
#include "bailiwick/v1/meeting.pb-c.h"
#include "bailiwick/v1/support.pb-c.h"
#include "base/alloc.h"
#include "base/check.h"
#include "cell.h"
#include "crypto/pem.h"
#include "quality/chunk.h"
#include "relay_swarm.h"
#include "report.h"
#include "runtime/clock.h"
#include "runtime/file.h"
#include "store/quality.h"
#include "vault/sealer.h"

enum {
    PEOPLE = 50,
    HOUR_MS = 3600000,
    CHUNK_MS = 300000,
    WINDOW_MS = 10000,
    WINDOWS = CHUNK_MS / WINDOW_MS,
    FIELDS = 5,
    SAMPLES = 1000000,
    ROUNDS = 150,
    BATCH = 500,
    PAD_CHUNK = 5, /* as the ingest pads */
};

/* A meeting of fifty that lasted an hour. */
enum { MEETING_CHUNKS = PEOPLE * (HOUR_MS / CHUNK_MS), MEETING_SAMPLES = MEETING_CHUNKS * WINDOWS * FIELDS };
enum { MEETINGS = (SAMPLES + MEETING_SAMPLES - 1) / MEETING_SAMPLES };

struct bench {
    struct bench_cell cell;
    struct bw_grpc_sync *support;
    struct bw_arena *arena;
    struct bw_id tenant, meetings[MEETINGS];
    char names[MEETINGS][BW_ID_TEXT_SIZE];
    uint32_t slots[PEOPLE], relays[PEOPLE];
    struct bw_store_db *db;
    PGconn *plain;
    struct bw_sealer *sealer;
    uint64_t now_ms;
};

static const char *request_id(struct bw_arena *arena)
{
    struct bw_id id = bench_new_id();
    char *text = bw_arena_alloc(arena, BW_ID_TEXT_SIZE);
    BW_CHECK(text != NULL);
    bw_id_format(&id, text);
    return text;
}

/* ---- meetings ---- */

static void create_meeting(struct bench *bench, size_t n)
{
    Bailiwick__V1__Host host = BAILIWICK__V1__HOST__INIT;
    host.user = "host@acme.example";
    Bailiwick__V1__CreateMeetingRequest request = BAILIWICK__V1__CREATE_MEETING_REQUEST__INIT;
    request.tenant = BENCH_TENANT;
    request.request_id = request_id(bench->arena);
    request.host = &host;
    const Bailiwick__V1__CreateMeetingResponse *reply = (const void *)bench_cell_call(
        bench->cell.sync, "/bailiwick.v1.MeetingService/CreateMeeting", &request.base,
        &bailiwick__v1__create_meeting_response__descriptor, bench->arena);
    snprintf(bench->names[n], sizeof bench->names[n], "%s", reply->meeting->meeting_id);
    BW_CHECK(bw_id_parse(bw_view_str(bench->names[n]), &bench->meetings[n]));
}

static void join(struct bench *bench, size_t n, size_t person)
{
    static Bailiwick__V1__E2eeScheme capable[] = {BAILIWICK__V1__E2EE_SCHEME__E2EE_SCHEME_SFRAME_MLS};
    char user[64];
    snprintf(user, sizeof user, "person%zu@acme.example", person);
    Bailiwick__V1__JoinMeetingRequest request = BAILIWICK__V1__JOIN_MEETING_REQUEST__INIT;
    request.tenant = BENCH_TENANT;
    request.meeting_id = bench->names[n];
    request.request_id = request_id(bench->arena);
    request.user = user;
    request.country = bench_country((unsigned)person % 5);
    request.kind = BAILIWICK__V1__PARTICIPANT_KIND__PARTICIPANT_KIND_NATIVE;
    request.capable = capable;
    request.n_capable = 1;
    request.client_address = "198.51.100.77";
    const Bailiwick__V1__JoinMeetingResponse *reply = (const void *)bench_cell_call(
        bench->cell.sync, "/bailiwick.v1.MeetingService/JoinMeeting", &request.base,
        &bailiwick__v1__join_meeting_response__descriptor, bench->arena);
    bench->slots[person] = reply->admission->slot;
    bench->relays[person] = reply->admission->relay_number;
}

/* ---- their quality ---- */

static void fetch_bytes(const PGresult *result, int column, void *out, size_t size)
{
    BW_CHECK(PQntuples(result) == 1 && (size_t)PQgetlength(result, 0, column) == size);
    memcpy(out, PQgetvalue(result, 0, column), size);
}

/* The newest scope key's public half, as the vault hands it out. */
static void make_sealer(struct bench *bench)
{
    struct bw_scope_public scope = {.day = bw_scope_day(bench->now_ms)};
    struct bw_sealer_config config = {.cell = "eu"};
    struct bw_buf pem = {0};
    char path[BENCH_PATH];
    struct bw_error err;
    PGresult *result =
        PQexecParams(bench->plain,
                     "SELECT k.id, k.tenant, k.scope, k.public, k.signature FROM keystore.scope_key k"
                     " JOIN bailiwick.tenant t ON t.id = k.tenant WHERE t.name = '" BENCH_TENANT "'"
                     " ORDER BY k.day LIMIT 1",
                     0, NULL, NULL, NULL, NULL, 1);
    fetch_bytes(result, 0, scope.id.bytes, sizeof scope.id.bytes);
    fetch_bytes(result, 1, scope.tenant.bytes, sizeof scope.tenant.bytes);
    fetch_bytes(result, 2, scope.scope, sizeof scope.scope);
    fetch_bytes(result, 3, scope.public_key, sizeof scope.public_key);
    fetch_bytes(result, 4, scope.signature, sizeof scope.signature);
    PQclear(result);
    bench->tenant = scope.tenant;
    snprintf(path, sizeof path, "%s/keys/vault.pub", bench->cell.directory);
    bench_must(bw_file_read(path, 4096, &pem, &err), &err);
    bench_must(bw_pem_read_ed25519_public(bw_buf_view(&pem), path, config.service_public, &err), &err);
    bw_buf_finish(&pem);
    bench_must(bw_sealer_create(&config, &bench->sealer, &err), &err);
    bench_must(bw_sealer_scope(bench->sealer, &scope, &err), &err);
}

/* Five minutes of one person; a stretch in one of twenty loses packets. */
static void make_chunk(uint64_t start_ms, unsigned n, struct bw_buf *out)
{
    struct bw_quality_chunk chunk = {.source = BW_QUALITY_FROM_RELAY, .count = WINDOWS};
    struct bw_error err;
    for (unsigned i = 0; i < WINDOWS; i++) {
        struct bw_quality_window *window = &chunk.windows[i];
        unsigned noise = (n * 2654435761u + i * 40503u) >> 7;
        bool bad = n % 20 == 0 && i >= 10 && i < 20;
        *window = bw_quality_window_of((int64_t)start_ms + i * WINDOW_MS, WINDOW_MS);
        bw_quality_put(window, BW_QUALITY_PACKETS_RECEIVED, 1000 + (int)(noise % 20));
        bw_quality_put(window, BW_QUALITY_PACKETS_LOST, bad ? 100 : (int)(noise % 3));
        bw_quality_put(window, BW_QUALITY_JITTER, 3000 + (int)(noise % 2000));
        bw_quality_put(window, BW_QUALITY_ROUND_TRIP_TIME, 40000 + (int)(noise % 9000));
        bw_quality_put(window, BW_QUALITY_BYTES_RECEIVED, 120000 + (int)(noise % 9000));
    }
    bench_must(bw_quality_chunk_encode(&chunk, out, &err), &err);
}

static void seal_meeting(struct bench *bench, size_t n)
{
    struct bw_store_chunk rows[MEETING_CHUNKS];
    size_t ends[MEETING_CHUNKS + 1] = {0};
    struct bw_buf records = {0}, plain = {0};
    const struct bw_sealing_key *key;
    struct bw_meeting_key_row made;
    bool is_new;
    struct bw_error err;
    bench_must(bw_sealer_meeting(bench->sealer, &bench->tenant, &bench->meetings[n], bench->now_ms, &key,
                                 &made, &is_new, &err),
               &err);
    struct bw_store_meeting_key stored = {
        .id = made.key_id, .tenant = made.tenant, .meeting = made.meeting, .scope_key = made.scope_key};
    memcpy(stored.enc, made.enc, sizeof stored.enc);
    memcpy(stored.sealed, made.sealed, sizeof stored.sealed);
    bench_must(bw_store_keys_write(bench->db, &stored, 1, &err), &err);
    for (unsigned i = 0; i < MEETING_CHUNKS; i++) {
        unsigned person = i % PEOPLE, at = i / PEOPLE;
        uint64_t start_ms = bench->now_ms + (uint64_t)at * CHUNK_MS;
        rows[i] = (struct bw_store_chunk){
            .id = bench_new_id(),
            .tenant = bench->tenant,
            .meeting = bench->meetings[n],
            .slot = bench->slots[person],
            .stream = bw_api_stream_id(BW_QUALITY_FROM_RELAY, bench->relays[person], 0),
            .seq = at + 1,
            .from_ms = start_ms,
            .to_ms = start_ms + CHUNK_MS};
        struct bw_seal_place place = {.row = rows[i].id, .table = "qchk", .column = "body"};
        const struct bw_record_info info = {.type = BW_RECORD_CHUNK,
                                            .stream = rows[i].stream,
                                            .chunk_seq = rows[i].seq,
                                            .schema = 1,
                                            .pad_class = PAD_CHUNK};
        bw_buf_clear(&plain);
        make_chunk(start_ms, (unsigned)n * MEETING_CHUNKS + i, &plain);
        bench_must(bw_sealer_record(bench->sealer, key, &info, &place, bw_buf_view(&plain), &records, &err),
                   &err);
        ends[i + 1] = records.len;
    }
    for (unsigned i = 0; i < MEETING_CHUNKS; i++)
        rows[i].record = bw_view_of(records.data + ends[i], ends[i + 1] - ends[i]);
    for (unsigned i = 0; i < MEETING_CHUNKS; i += BATCH)
        bench_must(bw_store_chunks_write(bench->db, rows + i,
                                         MEETING_CHUNKS - i < BATCH ? MEETING_CHUNKS - i : BATCH, &err),
                   &err);
    bw_buf_finish(&records);
    bw_buf_finish(&plain);
}

static void set_up(struct bench *bench)
{
    struct bw_error err;
    bench->now_ms = bw_clock_wall_ms();
    bench_must(bw_store_db_open(bench->cell.conninfo, &bench->db, &err), &err);
    bench->plain = PQconnectdb(bench->cell.conninfo);
    BW_CHECK(PQstatus(bench->plain) == CONNECTION_OK);
    make_sealer(bench);
    for (size_t n = 0; n < MEETINGS; n++) {
        bw_arena_reset(bench->arena);
        create_meeting(bench, n);
        for (size_t person = 0; person < PEOPLE; person++)
            join(bench, n, person);
        seal_meeting(bench, n);
    }
    PQclear(PQexec(bench->plain, "ANALYZE"));
}

/* ---- measuring ---- */

static double ask_ms(struct bench *bench, size_t n)
{
    Bailiwick__V1__GetMeetingTimelineRequest request = BAILIWICK__V1__GET_MEETING_TIMELINE_REQUEST__INIT;
    request.tenant = BENCH_TENANT;
    request.meeting_id = bench->names[n];
    request.page_size = PEOPLE;
    bw_arena_reset(bench->arena);
    uint64_t start_ns = bw_clock_mono_ns();
    const Bailiwick__V1__GetMeetingTimelineResponse *reply = (const void *)bench_cell_call(
        bench->support, "/bailiwick.v1.SupportService/GetMeetingTimeline", &request.base,
        &bailiwick__v1__get_meeting_timeline_response__descriptor, bench->arena);
    double ms = (double)(bw_clock_mono_ns() - start_ns) / 1e6;
    size_t classes = 0;
    BW_CHECK(reply->n_lanes == PEOPLE && reply->n_missing == 0);
    for (size_t i = 0; i < reply->n_lanes; i++) {
        BW_CHECK(strstr(reply->lanes[i]->who, "***@acme.example") != NULL);
        classes += reply->lanes[i]->n_events - 1;
    }
    BW_CHECK(classes >= PEOPLE); /* everybody turned green, some red */
    return ms;
}

static double fetch_ms(struct bench *bench, size_t n)
{
    const char *values[] = {bench->names[n]};
    uint64_t start_ns = bw_clock_mono_ns();
    PGresult *result = PQexecParams(bench->plain,
                                    "SELECT slot, stream, seq, record FROM bailiwick.quality_chunk"
                                    " WHERE meeting = $1::uuid ORDER BY slot, stream, seq",
                                    1, NULL, values, NULL, NULL, 1);
    double ms = (double)(bw_clock_mono_ns() - start_ns) / 1e6;
    BW_CHECK(PQntuples(result) == MEETING_CHUNKS);
    PQclear(result);
    return ms;
}

int main(void)
{
    struct bench *bench = bw_calloc(1, sizeof *bench);
    double ours[ROUNDS], theirs[ROUNDS];
    BW_CHECK(bench != NULL);
    bench_cell_start(&bench->cell, 1, BENCH_METADATA_SEALED);
    struct bench_swarm *swarm = bench_swarm_start(&bench->cell);
    bench->arena = bw_arena_create(64 << 20);
    bench->support = bench_cell_dial(&bench->cell, bench->cell.support);
    set_up(bench);
    for (size_t i = 0; i < ROUNDS; i++) {
        theirs[i] = fetch_ms(bench, i % MEETINGS);
        ours[i] = ask_ms(bench, i % MEETINGS);
    }
    bench_sort(ours, ROUNDS);
    bench_sort(theirs, ROUNDS);
    static const char anchor[] = "the meeting's sealed rows fetched with SQL, one kept connection";
    bench_print("timeline_p99", bench_percentile(ours, ROUNDS, 99), "ms", "lower", anchor,
                bench_percentile(theirs, ROUNDS, 99));
    bench_print("timeline_p50", bench_percentile(ours, ROUNDS, 50), "ms", "lower", anchor,
                bench_percentile(theirs, ROUNDS, 50));
    bw_grpc_sync_close(bench->support);
    bw_sealer_destroy(bench->sealer);
    PQfinish(bench->plain);
    bw_store_db_close(bench->db);
    bench_swarm_stop(swarm);
    bench_cell_stop(&bench->cell);
    bw_arena_destroy(bench->arena);
    bw_free(bench);
    return 0;
}
