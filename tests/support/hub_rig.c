#include "hub_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bailiwick/v1/common.pb-c.h"
#include "base/alloc.h"
#include "fleet/codec.h"
#include "server/stream.h"
#include "wire/wire.h"

enum { STEP_MS = 25, RING = 1 << 22 };

/* On its way to a relay, or the end of its stream. */
struct hub_rig_packet {
    struct hub_rig_packet *next;
    struct bw_stream *stream; /* where it was sent */
    bool end;
    struct bw_error why;
    struct bw_buf bytes;
};

static uint64_t next_random(struct hub_rig *rig)
{
    uint64_t z = (rig->random += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static struct hub_rig *rig_of(struct bw_store_db *db)
{
    return (struct hub_rig *)(void *)db;
}

/* ---- the database ---- */

static enum bw_code if_there(struct hub_rig *rig, struct bw_error *err)
{
    return rig->away ? bw_fail(err, BW_UNAVAILABLE, NULL, "the database is away") : BW_OK;
}

static enum bw_code replica_renew(struct bw_store_db *db, const struct bw_store_replica_key *self,
                                  uint64_t lease_ms, struct bw_error *err)
{
    (void)self, (void)lease_ms;
    if (rig_of(db)->replica_taken_over)
        return bw_fail(err, BW_FAILED_PRECONDITION, "FENCED", "another epoch");
    return if_there(rig_of(db), err);
}

static enum bw_code session_open(struct bw_store_db *db, const struct bw_store_replica_key *self,
                                 uint32_t relay, const struct bw_id *boot, uint64_t lease_ms, uint64_t *epoch,
                                 struct bw_error *err)
{
    (void)self, (void)boot, (void)lease_ms;
    enum bw_code code = if_there(rig_of(db), err);
    if (code == BW_OK)
        *epoch = ++rig_of(db)->relays[relay - 1].epoch;
    return code;
}

static enum bw_code sessions_renew(struct bw_store_db *db, const struct bw_store_replica_key *self,
                                   const uint32_t *relays, const uint64_t *epochs, size_t n,
                                   uint64_t lease_ms, bool *lost, struct bw_error *err)
{
    (void)self, (void)lease_ms;
    enum bw_code code = if_there(rig_of(db), err);
    for (size_t i = 0; code == BW_OK && i < n; i++)
        lost[i] = rig_of(db)->relays[relays[i] - 1].epoch != epochs[i];
    return code;
}

static enum bw_code groups_read(struct bw_store_db *db, uint64_t after, uint32_t limit,
                                const struct bw_id *skip, bw_store_on_group *each, void *context,
                                struct bw_store_heads *heads, struct bw_error *err)
{
    struct hub_rig *rig = rig_of(db);
    enum bw_code code = if_there(rig, err);
    if (code != BW_OK)
        return code;
    *heads = (struct bw_store_heads){.group = rig->head, .facts_revision = rig->facts_revision};
    bool more = true;
    for (uint64_t n = after + 1; more && n <= rig->head && n - after <= limit; n++) {
        const struct bw_store_group group = {.number = n,
                                             .event = rig->groups[n].event,
                                             .subject = rig->groups[n].subject,
                                             .replica = rig->groups[n].ours ? *skip : (struct bw_id){{0}}};
        more = each(context, &group);
    }
    return BW_OK;
}

static enum bw_code relays_read(struct bw_store_db *db, bool removed_too, bw_store_on_relay *each,
                                void *context, uint64_t *facts_revision, struct bw_error *err)
{
    (void)removed_too;
    struct hub_rig *rig = rig_of(db);
    enum bw_code code = if_there(rig, err);
    for (unsigned i = 0; code == BW_OK && i < HUB_RIG_RELAYS; i++) {
        const struct hub_rig_relay *relay = &rig->relays[i];
        if (!relay->enrolled)
            continue;
        Bailiwick__V1__RelayFacts facts = BAILIWICK__V1__RELAY_FACTS__INIT;
        Bailiwick__V1__Operator op = BAILIWICK__V1__OPERATOR__INIT;
        const char *jurisdictions[] = {"FR"};
        op.name = "Exemple Cloud";
        op.jurisdictions = jurisdictions;
        op.n_jurisdictions = 1;
        facts.name = relay->name;
        facts.site = relay->name;
        facts.region = "eu-west";
        facts.country = "FR";
        facts.operator_ = &op;
        facts.capacity = 100;
        facts.version = 1;
        facts.media = BAILIWICK__V1__RELAY_MEDIA__RELAY_MEDIA_OPAQUE;
        facts.cascade = true;
        struct bw_buf bytes = {0};
        if (bw_wire_encode(&facts.base, &bytes) != BW_OK)
            code = bw_fail_memory(err);
        struct bw_store_relay row = {
            .number = relay->number, .facts = bw_buf_view(&bytes), .capacity = 100, .state = relay->state};
        memcpy(row.name, relay->name, sizeof relay->name);
        bool more = code == BW_OK && each(context, &row);
        bw_buf_finish(&bytes);
        if (!more)
            break;
    }
    *facts_revision = rig->facts_revision;
    return code;
}

static const struct bw_store_replica_key self_key = {.id = {{7, 7}}, .epoch = 1};

static enum bw_code escrow_read(struct bw_store_db *db, bw_store_on_escrow *each, void *context,
                                struct bw_error *err)
{
    struct hub_rig *rig = rig_of(db);
    enum bw_code code = if_there(rig, err);
    bool more = true;
    for (unsigned i = 0; code == BW_OK && more && i < HUB_RIG_RELAYS; i++) {
        const struct bw_store_escrow row = {
            .holder = self_key, .relay = i + 1, .slots = rig->relays[i].escrow};
        more = each(context, &row);
    }
    return code;
}

static enum bw_code escrow_take(struct bw_store_db *db, const struct bw_store_replica_key *self,
                                const uint32_t *relays, const uint32_t *want, size_t n, uint32_t *granted,
                                struct bw_error *err)
{
    (void)self;
    struct hub_rig *rig = rig_of(db);
    enum bw_code code = if_there(rig, err);
    for (size_t i = 0; code == BW_OK && i < n; i++) {
        uint32_t left = 100 - rig->relays[relays[i] - 1].escrow;
        granted[i] = want[i] < left ? want[i] : left;
        rig->relays[relays[i] - 1].escrow += granted[i];
    }
    if (code == BW_OK && rig->lost_answer) {
        rig->lost_answer = false;
        return bw_fail(err, BW_UNAVAILABLE, NULL, "the connection broke before the answer came");
    }
    return code;
}

static enum bw_code escrow_give(struct bw_store_db *db, const struct bw_store_replica_key *self,
                                const uint32_t *relays, const uint32_t *slots, size_t n, struct bw_error *err)
{
    (void)self;
    struct hub_rig *rig = rig_of(db);
    enum bw_code code = if_there(rig, err);
    for (size_t i = 0; code == BW_OK && i < n; i++) {
        if (rig->relays[relays[i] - 1].escrow < slots[i])
            return bw_fail(err, BW_FAILED_PRECONDITION, NULL, "so many slots are not held");
        rig->relays[relays[i] - 1].escrow -= slots[i];
    }
    if (code == BW_OK && rig->lost_answer) {
        rig->lost_answer = false;
        return bw_fail(err, BW_UNAVAILABLE, NULL, "the connection broke before the answer came");
    }
    return code;
}

static const struct bw_hub_queries queries = {
    .replica_renew = replica_renew,
    .session_open = session_open,
    .sessions_renew = sessions_renew,
    .groups_read = groups_read,
    .relays_read = relays_read,
    .escrow_read = escrow_read,
    .escrow_take = escrow_take,
    .escrow_give = escrow_give,
};

/* ---- the hub's other ports ---- */

static uint64_t mono_ms(void *context)
{
    return ((struct hub_rig *)context)->mono_ms;
}

static uint64_t wall_ms(void *context)
{
    return ((struct hub_rig *)context)->wall_ms;
}

static void ask(void *context, struct bw_desk_job *job)
{
    struct hub_rig *rig = context;
    job->next = NULL;
    *rig->jobs_end = job;
    rig->jobs_end = &job->next;
}

static enum bw_code read_policy(void *context, struct bw_store_db *db, const struct bw_id *tenant,
                                struct bw_error *err)
{
    (void)tenant;
    struct hub_rig *rig = context;
    rig->policy_reads++;
    if (rig->policy_failures > 0) {
        rig->policy_failures--;
        return bw_fail(err, BW_UNAVAILABLE, NULL, "the connection broke");
    }
    return if_there(rig_of(db), err);
}

static struct hub_rig_packet *packet_create(struct hub_rig *rig, struct bw_stream *stream)
{
    struct hub_rig_packet *packet = bw_calloc(1, sizeof *packet);
    if (packet == NULL)
        return NULL;
    packet->stream = stream;
    atomic_fetch_add(&stream->holders, 1);
    *rig->packets_end = packet;
    rig->packets_end = &packet->next;
    return packet;
}

static enum bw_code send_bytes(void *context, struct bw_stream *stream, struct bw_view message)
{
    struct hub_rig *rig = context;
    if (rig->real_streams) {
        enum bw_code code = bw_stream_send(stream, message);
        size_t waiting = atomic_load(&stream->mailed_bytes) + atomic_load(&stream->queued_bytes);
        rig->most_waiting = waiting > rig->most_waiting ? waiting : rig->most_waiting;
        return code;
    }
    struct hub_rig_packet *packet = packet_create(context, stream);
    if (packet == NULL)
        return BW_RESOURCE_EXHAUSTED;
    bw_buf_append(&packet->bytes, message.data, message.len);
    return packet->bytes.failed ? BW_RESOURCE_EXHAUSTED : BW_OK;
}

static bool room(void *context, struct bw_stream *stream)
{
    return !((struct hub_rig *)context)->real_streams || bw_stream_room(stream);
}

static void finish(void *context, struct bw_stream *stream, const struct bw_error *why)
{
    if (((struct hub_rig *)context)->real_streams) {
        bw_stream_finish(stream, why);
        return;
    }
    struct hub_rig_packet *packet = packet_create(context, stream);
    if (packet == NULL)
        return;
    packet->end = true;
    if (why != NULL)
        packet->why = *why;
}

static void let_go(void *context, struct bw_stream *stream)
{
    (void)context;
    bw_stream_let_go(stream);
}

static bool set_view(void *context, struct bw_fleet_view *view)
{
    struct hub_rig *rig = context;
    bw_fleet_view_release(rig->view);
    rig->view = bw_fleet_view_retain(view);
    rig->views++;
    for (size_t i = 0; i < view->snapshot->facts->relay_count; i++) {
        if (view->snapshot->live[i].state == BW_RELAY_DEAD)
            rig->ever_dead[view->snapshot->facts->relays[i].number - 1] = true;
    }
    return true;
}

static void escrow_changed(void *context)
{
    (void)context;
}

static void fenced(void *context)
{
    ((struct hub_rig *)context)->fenced++;
}

static void broken(void *context, const char *what)
{
    (void)what;
    ((struct hub_rig *)context)->broken++;
}

static bool create_hub(struct hub_rig *rig)
{
    const struct bw_hub_config config = {.cell = "eu",
                                         .replica_name = "replica-1",
                                         .replica = self_key,
                                         .stream = {{9}},
                                         .book = rig->book,
                                         .lease_ms = rig->lease_ms,
                                         .escrow_block = 8};
    const struct bw_hub_ports ports = {.context = rig,
                                       .queries = &queries,
                                       .mono_ms = mono_ms,
                                       .wall_ms = wall_ms,
                                       .ask = ask,
                                       .ask_slow = ask,
                                       .read_policy = read_policy,
                                       .send = send_bytes,
                                       .room = room,
                                       .finish = finish,
                                       .let_go = let_go,
                                       .set_view = set_view,
                                       .escrow_changed = escrow_changed,
                                       .fenced = fenced,
                                       .broken = broken};
    static const uint8_t key[BW_ED25519_PUBLIC_SIZE] = {5};
    struct bw_error err;
    if (bw_hub_create(&config, &ports, &rig->hub, &err) != BW_OK)
        return false;
    bw_hub_set_grant_key(rig->hub, key);
    bw_hub_begin_at(rig->hub, rig->head);
    return bw_hub_load(rig->hub, (struct bw_store_db *)(void *)rig, &err) == BW_OK;
}

/* ---- the relays ---- */

static void tell_hub(struct bw_stream *stream, enum bw_stream_news_kind kind, struct bw_view bytes)
{
    struct bw_stream_news *news = bw_calloc(1, sizeof *news);
    if (news == NULL)
        abort();
    news->mail.deliver = bw_hub_stream_news;
    news->kind = kind;
    news->stream = stream;
    bw_buf_append(&news->bytes, bytes.data, bytes.len);
    atomic_fetch_add(&stream->holders, 1);
    bw_mailbox_post(stream->hub_mailbox, &news->mail);
}

/* The relay's end of its stream is gone; the hub hears of it unless the line is cut. */
static void hang_up(struct hub_rig_relay *relay)
{
    struct bw_stream *stream = relay->stream;
    if (stream == NULL)
        return;
    relay->stream = NULL;
    tell_hub(stream, BW_STREAM_CLOSED, (struct bw_view){0});
    bw_stream_let_go(stream);
}

static void relay_connect(void *context, size_t endpoint)
{
    (void)endpoint;
    struct hub_rig_relay *relay = context;
    struct hub_rig *rig = relay->rig;
    if (rig->hub == NULL || relay->cut) {
        struct bw_error why = {.code = BW_UNAVAILABLE};
        bw_client_state_disconnected(relay->client, &why, rig->mono_ms);
        return;
    }
    struct bw_stream *stream = bw_calloc(1, sizeof *stream);
    if (stream == NULL)
        abort();
    atomic_init(&stream->holders, 2); /* the relay's end, the hub's end */
    stream->hub = rig->hub;
    stream->hub_mailbox = bw_hub_mailbox(rig->hub);
    memcpy(stream->relay, relay->name, sizeof relay->name);
    relay->stream = stream;
    tell_hub(stream, BW_STREAM_OPENED, (struct bw_view){0});
    bw_client_state_connected(relay->client, rig->mono_ms);
}

static void relay_disconnect(void *context)
{
    hang_up(context);
}

static enum bw_code relay_send(void *context, const struct bw_relay_message *message)
{
    struct hub_rig_relay *relay = context;
    if (relay->stream == NULL)
        return BW_CANCELLED;
    if (relay->cut)
        return BW_OK;
    struct bw_buf bytes = {0};
    struct bw_error err;
    bw_arena_reset(relay->rig->arena);
    enum bw_code code = bw_relay_message_encode(message, relay->rig->arena, &bytes, &err);
    if (code == BW_OK)
        tell_hub(relay->stream, BW_STREAM_MESSAGE, bw_buf_view(&bytes));
    bw_buf_finish(&bytes);
    return code;
}

static uint64_t relay_random(void *context)
{
    return next_random(((struct hub_rig_relay *)context)->rig);
}

static void relay_load(void *context, struct bw_relay_load *load)
{
    *load = (struct bw_relay_load){.participants = (uint32_t)((struct hub_rig_relay *)context)->participants};
}

static void relay_drain(void *context, bool draining, uint32_t deadline_ms, struct bw_view reason)
{
    (void)deadline_ms, (void)reason;
    ((struct hub_rig_relay *)context)->told_to_drain = draining;
}

static void relay_lost(void *context, size_t endpoint, const struct bw_error *why, uint64_t retry_in_ms)
{
    (void)endpoint, (void)retry_in_ms;
    struct hub_rig_relay *relay = context;
    relay->lost++;
    relay->lost_code = why->code;
    relay->lost_reason = why->reason;
}

static enum bw_code relay_upsert(void *context, const struct bw_resource_name *name,
                                 const struct bw_upsert *upsert, struct bw_error *err)
{
    (void)err;
    struct hub_rig_relay *relay = context;
    if (name->type == BW_RESOURCE_MEETING_SLOT && name->number < HUB_RIG_HELD)
        relay->held[name->number] = upsert->version;
    else if (name->type == BW_RESOURCE_PEER_LINK)
        relay->links[name->number] = upsert->version;
    return BW_OK;
}

static void relay_remove(void *context, const struct bw_resource_name *name)
{
    struct hub_rig_relay *relay = context;
    if (name->type == BW_RESOURCE_MEETING_SLOT && name->number < HUB_RIG_HELD) {
        relay->held[name->number] = 0;
        relay->slots_removed++;
    } else if (name->type == BW_RESOURCE_PEER_LINK) {
        relay->links[name->number] = 0;
        relay->links_removed++;
    }
}

bool hub_rig_relay_start(struct hub_rig *rig, unsigned index)
{
    static const uint8_t secret[BW_SESSION_SECRET] = {3};
    struct hub_rig_relay *relay = &rig->relays[index];
    const struct bw_client_config config = {
        .hello = {.protocol_min = BW_FLEET_PROTOCOL_MIN,
                  .protocol_max = BW_FLEET_PROTOCOL_MAX,
                  .boot_id = {.bytes = {1, (uint8_t)index, ++relay->boot}},
                  .media_addresses = {bw_view_str("192.0.2.1:3478")},
                  .media_address_count = 1,
                  .capacity = 100,
                  .session_secret = bw_view_of(secret, sizeof secret)},
        .endpoint_count = 1};
    const struct bw_client_ports ports = {.context = relay,
                                          .connect = relay_connect,
                                          .disconnect = relay_disconnect,
                                          .send = relay_send,
                                          .random = relay_random,
                                          .load = relay_load,
                                          .drain = relay_drain,
                                          .lost = relay_lost};
    const struct bw_replica_events events = {
        .context = relay, .upsert = relay_upsert, .remove = relay_remove};
    memset(relay->held, 0, sizeof relay->held);
    memset(relay->links, 0, sizeof relay->links);
    relay->client = bw_client_state_create(&config, &ports, &events, rig->mono_ms);
    return relay->client != NULL;
}

void hub_rig_relay_kill(struct hub_rig *rig, unsigned index)
{
    struct hub_rig_relay *relay = &rig->relays[index];
    hang_up(relay);
    bw_client_state_destroy(relay->client);
    relay->client = NULL;
}

/* ---- what happens ---- */

static struct hub_rig_relay *relay_of_stream(struct hub_rig *rig, const struct bw_stream *stream)
{
    for (unsigned i = 0; i < HUB_RIG_RELAYS; i++) {
        if (rig->relays[i].stream == stream)
            return &rig->relays[i];
    }
    return NULL;
}

static void arrive(struct hub_rig *rig, struct hub_rig_packet *packet)
{
    struct hub_rig_relay *relay = relay_of_stream(rig, packet->stream);
    bool lost = !packet->end && packet->bytes.failed; /* memory was out, and the hub was told so */
    if (relay != NULL && relay->client != NULL && !relay->cut && !lost) {
        if (packet->end) {
            hang_up(relay);
            bw_client_state_disconnected(relay->client, &packet->why, rig->mono_ms);
        } else {
            struct bw_control_message message;
            struct bw_error err;
            bw_arena_reset(rig->arena);
            if (bw_control_message_decode(bw_buf_view(&packet->bytes), rig->arena, &message, &err) != BW_OK)
                abort();
            if (message.kind == BW_CONTROL_LEASE_GRANT)
                relay->events_acked = message.lease_grant.events_through;
            /* The message lies in the arena, which answers to it would use, too. */
            struct bw_arena *kept = rig->arena;
            rig->arena = bw_arena_create(RING);
            if (rig->arena == NULL)
                abort();
            bw_client_state_receive(relay->client, &message, rig->mono_ms);
            bw_arena_destroy(rig->arena);
            rig->arena = kept;
            bw_control_message_wipe(&message);
        }
    }
    bw_stream_let_go(packet->stream);
    bw_buf_finish(&packet->bytes);
    bw_free(packet);
}

static bool run_jobs(struct hub_rig *rig)
{
    struct bw_desk_job *job = rig->jobs;
    if (rig->held)
        return false;
    rig->jobs = NULL;
    rig->jobs_end = &rig->jobs;
    bool any = job != NULL;
    while (job != NULL) {
        struct bw_desk_job *next = job->next;
        job->run(job, (struct bw_store_db *)(void *)rig);
        bw_mailbox_post(job->back, &job->mail);
        job = next;
    }
    return any;
}

static bool deliver_packets(struct hub_rig *rig)
{
    struct hub_rig_packet *packet = rig->packets;
    rig->packets = NULL;
    rig->packets_end = &rig->packets;
    bool any = packet != NULL;
    while (packet != NULL) {
        struct hub_rig_packet *next = packet->next;
        arrive(rig, packet);
        packet = next;
    }
    return any;
}

void hub_rig_settle(struct hub_rig *rig)
{
    bool any = true;
    while (any) {
        any = run_jobs(rig);
        any = bw_mailbox_deliver(bw_hub_mailbox(rig->hub)) || any;
        any = deliver_packets(rig) || any;
    }
}

static void tick_relays(struct hub_rig *rig)
{
    for (unsigned i = 0; i < HUB_RIG_RELAYS; i++) {
        if (rig->relays[i].client != NULL)
            bw_client_state_tick(rig->relays[i].client, rig->mono_ms);
    }
}

void hub_rig_pass(struct hub_rig *rig, uint64_t ms)
{
    for (uint64_t until = rig->mono_ms + ms; rig->mono_ms < until;) {
        rig->mono_ms += STEP_MS;
        rig->wall_ms += STEP_MS;
        tick_relays(rig);
        hub_rig_settle(rig);
        bw_hub_turn(rig->hub);
        hub_rig_settle(rig);
    }
}

void hub_rig_pause(struct hub_rig *rig, uint64_t ms)
{
    for (uint64_t until = rig->mono_ms + ms; rig->mono_ms < until;) {
        rig->mono_ms += STEP_MS;
        rig->wall_ms += STEP_MS;
        tick_relays(rig);
    }
}

/* ---- the cell ---- */

bool hub_rig_init(struct hub_rig *rig, unsigned relays)
{
    memset(rig, 0, sizeof *rig);
    rig->mono_ms = 1000000;
    rig->wall_ms = 1800000000000;
    rig->random = 42;
    rig->lease_ms = 10000;
    rig->meeting = (struct bw_id){{1, 2, 3, 4}};
    rig->jobs_end = &rig->jobs;
    rig->packets_end = &rig->packets;
    rig->facts_revision = 1;
    rig->arena = bw_arena_create(RING);
    rig->book = bw_book_create();
    for (unsigned i = 0; i < HUB_RIG_RELAYS; i++) {
        struct hub_rig_relay *relay = &rig->relays[i];
        relay->rig = rig;
        relay->number = i + 1;
        relay->enrolled = i < relays;
        snprintf(relay->name, sizeof relay->name, "relay%u", i + 1);
    }
    if (rig->arena == NULL || rig->book == NULL || !create_hub(rig))
        return false;
    bw_hub_begin(rig->hub);
    return true;
}

static void drop_hub(struct hub_rig *rig)
{
    /* As a process that is killed: every stream ends, and what was asked is answered to nobody. */
    for (unsigned i = 0; i < HUB_RIG_RELAYS; i++) {
        struct hub_rig_relay *relay = &rig->relays[i];
        if (relay->stream == NULL)
            continue;
        hang_up(relay);
        if (relay->client != NULL) {
            struct bw_error why = {.code = BW_UNAVAILABLE};
            bw_client_state_disconnected(relay->client, &why, rig->mono_ms);
        }
    }
    hub_rig_settle(rig);
    bw_hub_destroy(rig->hub);
    rig->hub = NULL;
    while (rig->packets != NULL)
        (void)deliver_packets(rig);
    bw_fleet_view_release(rig->view);
    rig->view = NULL;
}

bool hub_rig_restart(struct hub_rig *rig, const struct bw_meeting *restored)
{
    drop_hub(rig);
    memset(rig->ever_dead, 0, sizeof rig->ever_dead);
    struct bw_error err;
    if (!create_hub(rig) || (restored != NULL && bw_hub_restore_meeting(rig->hub, restored, &err) != BW_OK))
        return false;
    bw_hub_begin(rig->hub);
    return true;
}

void hub_rig_finish(struct hub_rig *rig)
{
    for (unsigned i = 0; i < HUB_RIG_RELAYS; i++) {
        if (rig->relays[i].client != NULL)
            hub_rig_relay_kill(rig, i);
    }
    drop_hub(rig);
    bw_book_destroy(rig->book);
    bw_arena_destroy(rig->arena);
}

uint64_t hub_rig_commit_quietly(struct hub_rig *rig)
{
    if (rig->head == HUB_RIG_GROUPS)
        abort();
    rig->groups[++rig->head] = (struct hub_rig_group){.event = BW_STORE_EVENT_DECISIONS, .ours = true};
    return rig->head;
}

uint64_t hub_rig_commit(struct hub_rig *rig, const struct bw_hub_change *changes, size_t count)
{
    uint64_t group = hub_rig_commit_quietly(rig);
    bw_hub_group(rig->hub, group, changes, count);
    hub_rig_settle(rig);
    return group;
}

uint64_t hub_rig_event(struct hub_rig *rig, enum bw_store_event event)
{
    uint64_t group = hub_rig_commit_quietly(rig);
    rig->groups[group] = (struct hub_rig_group){.event = event, .subject = {{8}}};
    return group;
}

void hub_rig_set_state(struct hub_rig *rig, unsigned relay, enum bw_store_relay_state state)
{
    rig->relays[relay].state = state;
    rig->facts_revision++;
    (void)hub_rig_event(rig, BW_STORE_EVENT_FACTS);
}

static struct bw_hub_change change_of(const struct hub_rig *rig)
{
    return (struct bw_hub_change){
        .meeting = rig->meeting, .meeting_epoch = 1, .mode_epoch = 1, .mode = BW_MODE_E2EE};
}

struct bw_hub_change hub_rig_join(const struct hub_rig *rig, unsigned relay, uint32_t slot)
{
    struct bw_hub_change change = change_of(rig);
    change.effect = (struct bw_effect){.kind = BW_EFFECT_SLOT,
                                       .relay = relay + 1,
                                       .number = slot,
                                       .entry = {{6, (uint8_t)slot}},
                                       .role = BW_ROLE_SPEAKER};
    return change;
}

struct bw_hub_change hub_rig_leave(const struct hub_rig *rig, unsigned relay, uint32_t slot, bool lingers)
{
    struct bw_hub_change change = hub_rig_join(rig, relay, slot);
    change.effect.removed = true;
    change.effect.lingers = lingers;
    return change;
}

struct bw_hub_change hub_rig_link(const struct hub_rig *rig, unsigned relay, unsigned peer)
{
    struct bw_hub_change change = change_of(rig);
    change.effect = (struct bw_effect){.kind = BW_EFFECT_LINK, .relay = relay + 1, .number = peer + 1};
    return change;
}

/* ---- looking ---- */

static const struct bw_relay_live *live_of(const struct hub_rig *rig, unsigned relay)
{
    const struct bw_snapshot *snapshot = rig->view->snapshot;
    for (size_t i = 0; i < snapshot->relay_count; i++) {
        if (snapshot->facts->relays[i].number == relay + 1)
            return &snapshot->live[i];
    }
    return NULL;
}

enum bw_relay_state hub_rig_state(const struct hub_rig *rig, unsigned relay)
{
    const struct bw_relay_live *live = live_of(rig, relay);
    return live != NULL ? live->state : BW_RELAY_DEAD;
}

bool hub_rig_placeable(const struct hub_rig *rig, unsigned relay)
{
    const struct bw_relay_live *live = live_of(rig, relay);
    return live != NULL && live->state == BW_RELAY_SERVING && live->lease_ok;
}

struct bw_client_status hub_rig_client(const struct hub_rig *rig, unsigned relay)
{
    return bw_client_state_status(rig->relays[relay].client, rig->mono_ms);
}
