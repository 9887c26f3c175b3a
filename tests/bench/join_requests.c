/* What the loads ask for: joins into meetings that are there, and meetings that come up as they are joined.
 */
#include <stdio.h>
#include <string.h>

#include "bailiwick/v1/meeting.pb-c.h"
#include "base/alloc.h"
#include "base/check.h"
#include "join_load.h"
#include "runtime/random.h"
#include "wire/wire.h"

const char bench_join_path[] = "/bailiwick.v1.MeetingService/JoinMeeting";
static const char create_path[] = "/bailiwick.v1.MeetingService/CreateMeeting";

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

static struct bw_id created_meeting(struct bw_view message, struct bw_arena *arena)
{
    const ProtobufCMessage *reply;
    struct bw_error err;
    struct bw_id id;
    bw_arena_reset(arena);
    bench_must(
        bw_wire_decode(&bailiwick__v1__create_meeting_response__descriptor, message, arena, &reply, &err),
        &err);
    const char *text = ((const Bailiwick__V1__CreateMeetingResponse *)reply)->meeting->meeting_id;
    BW_CHECK(bw_id_parse(bw_view_str(text), &id));
    return id;
}

/* ---- many meetings that are there already ---- */

struct creation {
    struct bench_joins *joins;
    struct bw_arena *arena;
};

static void created(void *context, const char *path, struct bw_view message)
{
    (void)path;
    struct creation *creation = context;
    struct bench_joins *joins = creation->joins;
    joins->meetings[joins->meeting_count++] = created_meeting(message, creation->arena);
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
        struct bench_load load = {.path = create_path,
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

void bench_joins_finish(struct bench_joins *joins)
{
    bw_free(joins->meetings);
}

/* Who joins number `number` is: nobody has joined before. */
struct identity {
    char user[64], address[32], version[32];
};

static void identify(Bailiwick__V1__JoinMeetingRequest *request, struct identity *identity, uint64_t number)
{
    snprintf(identity->user, sizeof identity->user, "participant.%llu@acme.example",
             (unsigned long long)number);
    snprintf(identity->address, sizeof identity->address, "203.0.113.%u", (unsigned)(number % 254 + 1));
    snprintf(identity->version, sizeof identity->version, "desktop/7.%u", (unsigned)(number % 10));
    request->user = identity->user;
    request->client_address = identity->address;
    request->client_version = identity->version;
}

static void append_join(struct bench_joins *joins, const struct bw_id *into, const char *from,
                        struct bw_buf *out)
{
    char meeting[BW_ID_TEXT_SIZE], request_id[BW_ID_TEXT_SIZE], country[8];
    Bailiwick__V1__E2eeScheme capable[] = {BAILIWICK__V1__E2EE_SCHEME__E2EE_SCHEME_SFRAME_MLS,
                                           BAILIWICK__V1__E2EE_SCHEME__E2EE_SCHEME_SFRAME};
    uint8_t bytes[16] = {0};
    joins->next++;
    memcpy(bytes, &joins->next, 6);
    memcpy(bytes + 8, &joins->seed, 8);
    struct bw_id id = bw_id_v4(bytes);
    bw_id_format(&id, request_id);
    bw_id_format(into, meeting);
    snprintf(country, sizeof country, "%s", from);
    Bailiwick__V1__JoinMeetingRequest request = BAILIWICK__V1__JOIN_MEETING_REQUEST__INIT;
    request.tenant = tenant;
    request.meeting_id = meeting;
    request.request_id = request_id;
    request.kind = BAILIWICK__V1__PARTICIPANT_KIND__PARTICIPANT_KIND_NATIVE;
    request.country = country;
    request.capable = capable;
    request.n_capable = BW_ARRAY_LEN(capable);
    struct identity identity;
    if (joins->identities)
        identify(&request, &identity, joins->next);
    BW_CHECK(bw_wire_encode(&request.base, out) == BW_OK);
}

void bench_join_request(void *context, struct bw_buf *out)
{
    struct bench_joins *joins = context;
    size_t at = joins->next % joins->meeting_count;
    /* Most participants of a meeting are in one country, some in a second one. */
    unsigned away = (joins->next + 1) / joins->meeting_count % 4 == 3;
    append_join(joins, &joins->meetings[at], bench_country((unsigned)at + away), out);
}

/* ---- small meetings ---- */

void bench_small_init(struct bench_small *small, struct bench_joins *joins, unsigned size)
{
    *small = (struct bench_small){.joins = joins, .size = size, .arena = bw_arena_create(1 << 20)};
    BW_CHECK(small->arena != NULL);
}

void bench_small_finish(struct bench_small *small)
{
    bw_free(small->waiting);
    bw_arena_destroy(small->arena);
}

/* Meetings in the ring, the longest waiting first. */
static void push(struct bench_small *small, struct bw_id meeting)
{
    if (small->count == small->cap) {
        size_t cap = small->cap != 0 ? small->cap * 2 : 4096;
        struct bw_id *grown = bw_calloc(cap, sizeof *grown);
        BW_CHECK(grown != NULL);
        for (size_t i = 0; i < small->count; i++)
            grown[i] = small->waiting[(small->first + i) % small->cap];
        bw_free(small->waiting);
        small->waiting = grown;
        small->first = 0;
        small->cap = cap;
    }
    small->waiting[(small->first + small->count++) % small->cap] = meeting;
}

void bench_small_request(void *context, struct bw_buf *out)
{
    struct bench_small *small = context;
    if (small->asked++ % (small->size + 1) == 0 || small->count == 0) {
        small->load->path = create_path;
        create_request(NULL, out);
        return;
    }
    small->load->path = bench_join_path;
    append_join(small->joins, &small->waiting[small->first], bench_country((unsigned)small->first), out);
    if (++small->in_first < small->size)
        return;
    small->in_first = 0;
    small->first = (small->first + 1) % small->cap;
    small->count--;
}

void bench_small_reply(void *context, const char *path, struct bw_view message)
{
    struct bench_small *small = context;
    if (path == bench_join_path) {
        small->joined++;
        return;
    }
    small->created++;
    push(small, created_meeting(message, small->arena));
}
