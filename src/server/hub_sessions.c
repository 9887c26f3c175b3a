/* Relay sessions: streams come and go, each bound to the relay its certificate names; leases are renewed in
 * one statement for all. */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "fleet/codec.h"
#include "runtime/log.h"
#include "server/hub_state.h"

/* ---- ports of a session ---- */

static enum bw_code send_message(void *context, const struct bw_control_message *message)
{
    struct hub_relay *relay = context;
    if (relay->stream == NULL)
        return BW_CANCELLED;
    struct bw_hub *hub = relay->stream->hub;
    const struct bw_hub_ports *ports = &hub->ports;
    struct bw_arena *arena = hub->sending;
    struct bw_buf bytes = {0};
    struct bw_error err;
    bw_arena_reset(arena);
    enum bw_code code = bw_control_message_encode(message, arena, &bytes, &err);
    if (code == BW_OK)
        code = ports->send(ports->context, relay->stream, bw_buf_view(&bytes));
    if (bytes.data != NULL)
        bw_wipe(bytes.data, bytes.cap);
    bw_buf_finish(&bytes);
    return code;
}

static bool room(void *context)
{
    struct hub_relay *relay = context;
    if (relay->stream == NULL)
        return true; /* sending says that it is over */
    const struct bw_hub_ports *ports = &relay->stream->hub->ports;
    return ports->room(ports->context, relay->stream);
}

static void close_stream(void *context, const struct bw_error *why)
{
    struct hub_relay *relay = context;
    if (relay->stream == NULL)
        return;
    bool orderly = why == NULL || why->code == BW_OK;
    bw_log(orderly ? BW_LOG_INFO : BW_LOG_WARN, "relay_session_ended", "relay=%s reason=\"%s\"", relay->name,
           orderly ? "bye" : why->show);
    const struct bw_hub_ports *ports = &relay->stream->hub->ports;
    ports->finish(ports->context, relay->stream, why);
}

struct fence_job {
    struct bw_desk_job job;
    struct bw_hub *hub;
    struct bw_stream *stream;
    uint32_t relay;
    struct bw_id boot;
    uint64_t epoch;
    struct bw_error error;
};

static void fence_run(struct bw_desk_job *job, struct bw_store_db *db)
{
    struct fence_job *fence = (struct fence_job *)job;
    fence->error.code = BW_OK;
    fence->error.code = fence->hub->ports.queries->session_open(
        db, &fence->hub->config.replica, fence->relay, &fence->boot, bw_session_timing_default().lease_ms,
        &fence->epoch, &fence->error);
}

static struct bw_error stopping_error(void)
{
    struct bw_error err;
    bw_fail(&err, BW_UNAVAILABLE, NULL, "this replica is stopping");
    return err;
}

static void fence_done(struct bw_mail *mail)
{
    struct fence_job *fence = (struct fence_job *)mail;
    struct bw_hub *hub = fence->hub;
    hub_now(hub);
    struct hub_relay *relay = hub_find(hub, fence->relay);
    if (relay != NULL && relay->stream == fence->stream && relay->session != NULL) {
        if (hub->stopping && fence->error.code == BW_OK) /* too late to be told to go away */
            fence->error = stopping_error();
        if (fence->error.code == BW_OK) {
            bw_secret_finish(&relay->reach.session_secret);
            relay->reach = relay->fresh;
            relay->ever_connected = true;
            atomic_fetch_add(&hub->metrics.sessions_opened, 1);
            relay->heard_ms = hub->now_ms;
            relay->leaving = false;
            if (!bw_id_equal(&relay->boot, &fence->boot))
                relay->events_through = 0; /* another process counts its events anew */
            relay->boot = fence->boot;
            hub_refresh_links(hub, relay);
            bw_log(BW_LOG_INFO, "relay_session_opened", "relay=%s epoch=%lu address=%s", relay->name,
                   (unsigned long)fence->epoch, relay->reach.media_address);
            hub_welcome(hub, relay, fence->epoch);
        } else {
            bw_session_fenced(relay->session, 0, &fence->error, hub->now_ms);
        }
        hub_publish(hub, true);
    }
    hub->ports.let_go(hub->ports.context, fence->stream);
    bw_free(fence);
}

static void fence(void *context, const struct bw_hello *hello)
{
    struct hub_relay *relay = context;
    struct bw_hub *hub = relay->stream->hub;
    struct fence_job *job = hub->stopping ? NULL : bw_calloc(1, sizeof *job);
    struct bw_error err;
    if (job == NULL) {
        if (hub->stopping)
            err = stopping_error();
        else
            bw_fail_memory(&err);
        bw_session_fenced(relay->session, 0, &err, hub->now_ms);
        return;
    }
    bw_secret_finish(&relay->fresh.session_secret);
    relay->fresh.connected = true;
    bw_secret_set(&relay->fresh.session_secret, hello->session_secret.data, hello->session_secret.len);
    size_t len = hello->media_address_count > 0 ? hello->media_addresses[0].len : 0;
    if (len >= sizeof relay->fresh.media_address)
        len = 0;
    if (len > 0)
        memcpy(relay->fresh.media_address, hello->media_addresses[0].data, len);
    relay->fresh.media_address[len] = '\0';
    job->job.run = fence_run;
    job->job.mail.deliver = fence_done;
    job->job.back = hub->mailbox;
    job->hub = hub;
    job->stream = relay->stream;
    atomic_fetch_add(&relay->stream->holders, 1);
    job->relay = relay->number;
    job->boot = hello->boot_id;
    hub->ports.ask(hub->ports.context, &job->job);
}

static void catch_up(void *context, uint64_t group)
{
    (void)group;
    struct hub_relay *relay = context;
    hub_poll(relay->stream->hub);
}

static void heartbeat(void *context, const struct bw_heartbeat *heartbeat)
{
    struct hub_relay *relay = context;
    relay->heartbeat_number = heartbeat->number;
    relay->heard_ms = relay->stream->hub->now_ms;
    relay->load = heartbeat->load;
    relay->reach.heartbeat_ms = hub_wall_ms(relay->stream->hub);
    relay->stream->hub->view_stale = true;
}

static void applied(void *context, uint64_t group)
{
    (void)context, (void)group;
}

static void probe(void *context, const struct bw_probe_report *report)
{
    (void)context, (void)report;
}

/* A relay repeats in a new session what it was not told to be done with: each event is acted on once in the
 * life of this process, and acknowledged after that (docs/reference/sessions.md). */
static void events(void *context, const struct bw_relay_event *list, size_t count)
{
    struct hub_relay *relay = context;
    for (size_t i = 0; i < count; i++) {
        if (list[i].id <= relay->events_through)
            continue;
        relay->events_through = list[i].id;
        if (list[i].kind == BW_RELAY_EVENT_PATH_FAILED)
            bw_log(BW_LOG_WARN, "relay_path_failed", "relay=%s peer=%u", relay->name, list[i].peer_number);
        else if (list[i].kind == BW_RELAY_EVENT_GRANT_REFUSED)
            bw_log(BW_LOG_INFO, "relay_grant_refused", "relay=%s code=%s times=%u", relay->name, list[i].code,
                   list[i].times);
    }
}

static void drain_requested(void *context, struct bw_view reason, uint32_t deadline_ms)
{
    (void)reason;
    struct hub_relay *relay = context;
    bw_log(BW_LOG_INFO, "relay_asks_to_drain", "relay=%s deadline_ms=%u", relay->name, deadline_ms);
    /* A relay that goes says so itself: no new placements, and its meetings move, without anybody's order. */
    relay->leaving = true;
    hub_publish(relay->stream->hub, true);
}

static void bye(void *context, struct bw_view reason, uint32_t back_in_ms)
{
    (void)reason, (void)back_in_ms;
    struct hub_relay *relay = context;
    bw_log(BW_LOG_INFO, "relay_bye", "relay=%s", relay->name);
}

/* ---- streams ---- */

void hub_session_drop(struct bw_hub *hub, struct hub_relay *relay)
{
    if (relay->stream == NULL)
        return;
    struct bw_stream *stream = relay->stream;
    relay->stream = NULL;
    bw_session_destroy(relay->session);
    relay->session = NULL;
    relay->heartbeat_number = 0;
    relay->fenced_epoch = 0;
    stream->hub_relay = NULL;
    hub->ports.let_go(hub->ports.context, stream);
    hub->view_stale = true;
}

static void opened(struct bw_hub *hub, struct bw_stream *stream)
{
    struct hub_relay *relay = hub_find_name(hub, stream->relay);
    struct bw_error err;
    if (relay == NULL || relay->gone || hub->stopping) {
        bw_fail(&err, hub->stopping ? BW_UNAVAILABLE : BW_PERMISSION_DENIED,
                hub->stopping ? NULL : "NOT_ENROLLED",
                "relay \"%s\" is not enrolled in this cell: an operator runs `bailiwick relay enroll` first",
                stream->relay);
        hub->ports.finish(hub->ports.context, stream, &err);
        hub->ports.let_go(hub->ports.context, stream);
        return;
    }
    if (relay->stream != NULL) {
        /* The relay has opened another stream: the newer Hello wins once it is fenced. */
        bw_fail(&err, BW_ABORTED, "SUPERSEDED", "a newer session of this relay has taken over");
        bw_session_end(relay->session, &err);
        hub_session_drop(hub, relay);
    }
    relay->enrolment = (struct bw_enrolment){
        .name = relay->name,
        .number = relay->number,
        .site = relay->facts.site,
        .region = relay->facts.region,
        .country = relay->facts.place,
        .operator_name = relay->facts.operated_by.name,
        .jurisdictions = relay->facts.operated_by.jurisdictions,
        .jurisdiction_count = relay->facts.operated_by.jurisdiction_count,
        .capacity = relay->capacity,
    };
    const struct bw_session_config config = {
        .timing = bw_session_timing_default(),
        .stream_id = hub->config.stream,
        .cell_id = bw_grant_cell_id(bw_view_str(hub->config.cell)),
        .replica = hub->config.replica_name,
    };
    const struct bw_session_ports ports = {
        .context = relay,
        .send = send_message,
        .room = room,
        .close = close_stream,
        .fence = fence,
        .catch_up = catch_up,
        .heartbeat = heartbeat,
        .applied = applied,
        .probe = probe,
        .events = events,
        .drain_requested = drain_requested,
        .bye = bye,
    };
    relay->stream = stream;
    relay->session = bw_session_create(&config, &relay->enrolment, relay->feed, &ports, hub->now_ms);
    if (relay->session == NULL) {
        bw_fail_memory(&err);
        hub->ports.finish(hub->ports.context, stream, &err);
        hub_session_drop(hub, relay);
        return;
    }
    stream->hub_relay = relay;
}

static void received(struct bw_hub *hub, struct hub_relay *relay, struct bw_buf *bytes)
{
    struct bw_relay_message message;
    struct bw_error err;
    bw_arena_reset(hub->receiving);
    if (bw_relay_message_decode(bw_buf_view(bytes), hub->receiving, &message, &err) == BW_OK) {
        bw_session_receive(relay->session, &message, hub->now_ms);
        bw_relay_message_wipe(&message);
    } else {
        bw_session_end(relay->session, &err);
    }
}

void bw_hub_stream_news(struct bw_mail *mail)
{
    struct bw_stream_news *news = (struct bw_stream_news *)mail;
    struct bw_stream *stream = news->stream;
    struct bw_hub *hub = stream->hub;
    hub_now(hub);
    struct hub_relay *relay = stream->hub_relay;
    switch (news->kind) {
    case BW_STREAM_OPENED:
        opened(hub, stream);
        break;
    case BW_STREAM_MESSAGE:
        if (relay != NULL && relay->session != NULL && !hub->stopped)
            received(hub, relay, &news->bytes);
        break;
    case BW_STREAM_WRITABLE:
        if (relay != NULL && relay->session != NULL && !hub->stopped)
            bw_session_wake(relay->session, hub->now_ms);
        break;
    case BW_STREAM_CLOSED:
        if (relay != NULL) {
            hub_session_drop(hub, relay);
            hub_publish(hub, true);
        }
        break;
    }
    if (news->bytes.data != NULL)
        bw_wipe(news->bytes.data, news->bytes.cap);
    bw_buf_finish(&news->bytes);
    bw_free(news);
    hub->ports.let_go(hub->ports.context, stream);
}

/* What the relay should know of its own state as soon as it is there. */
void hub_say_state(struct bw_hub *hub, struct hub_relay *relay)
{
    if (relay->session == NULL || relay->state != BW_STORE_RELAY_DRAINING)
        return;
    uint64_t now = hub_wall_ms(hub);
    uint32_t left = relay->drain_deadline_ms > now ? (uint32_t)(relay->drain_deadline_ms - now) : 0;
    bw_session_drain(relay->session, true, left,
                     relay->reason[0] != '\0' ? relay->reason : "drained by the operator");
}

/* ---- leases ---- */

struct renew_job {
    struct bw_desk_job job;
    struct bw_hub *hub;
    uint32_t *relays;
    uint64_t *epochs, *heartbeats;
    bool *lost;
    size_t count;
    struct bw_error error;
};

static void renew_run(struct bw_desk_job *job, struct bw_store_db *db)
{
    struct renew_job *renew = (struct renew_job *)job;
    renew->error.code = BW_OK;
    renew->error.code = renew->hub->ports.queries->sessions_renew(
        db, &renew->hub->config.replica, renew->relays, renew->epochs, renew->count,
        bw_session_timing_default().lease_ms, renew->lost, &renew->error);
}

static void renew_done(struct bw_mail *mail)
{
    struct renew_job *renew = (struct renew_job *)mail;
    struct bw_hub *hub = renew->hub;
    hub_now(hub);
    hub->renewing = false;
    if (renew->error.code != BW_OK)
        bw_log(BW_LOG_WARN, "relay_leases_not_renewed", "sessions=%zu reason=\"%s\" detail=\"%s\"",
               renew->count, renew->error.show, renew->error.log);
    for (size_t i = 0; renew->error.code == BW_OK && i < renew->count; i++) {
        struct hub_relay *relay = hub_find(hub, renew->relays[i]);
        if (relay == NULL || relay->session == NULL ||
            bw_session_status(relay->session, hub->now_ms).epoch != renew->epochs[i])
            continue;
        if (renew->lost[i]) {
            struct bw_error err;
            bw_fail(&err, BW_ABORTED, "SUPERSEDED", "a newer session of this relay has taken over");
            bw_session_end(relay->session, &err);
        } else {
            bw_session_lease_renewed(relay->session, renew->heartbeats[i], relay->events_through);
        }
    }
    bw_free(renew->relays);
    bw_free(renew->epochs);
    bw_free(renew->heartbeats);
    bw_free(renew->lost);
    bw_free(renew);
}

static void renew_leases(struct bw_hub *hub)
{
    size_t count = 0;
    for (struct hub_relay *relay = hub->relays; relay != NULL; relay = relay->hh.next)
        count += relay->session != NULL && relay->heartbeat_number != 0;
    if (hub->renewing || count == 0)
        return;
    struct renew_job *renew = bw_calloc(1, sizeof *renew);
    if (renew != NULL) {
        renew->relays = bw_calloc(count, sizeof *renew->relays);
        renew->epochs = bw_calloc(count, sizeof *renew->epochs);
        renew->heartbeats = bw_calloc(count, sizeof *renew->heartbeats);
        renew->lost = bw_calloc(count, sizeof *renew->lost);
    }
    if (renew == NULL || renew->relays == NULL || renew->epochs == NULL || renew->heartbeats == NULL ||
        renew->lost == NULL) {
        if (renew != NULL) {
            bw_free(renew->relays);
            bw_free(renew->epochs);
            bw_free(renew->heartbeats);
            bw_free(renew->lost);
        }
        bw_free(renew);
        return;
    }
    for (struct hub_relay *relay = hub->relays; relay != NULL; relay = relay->hh.next) {
        if (relay->session == NULL || relay->heartbeat_number == 0)
            continue;
        renew->relays[renew->count] = relay->number;
        renew->epochs[renew->count] = bw_session_status(relay->session, hub->now_ms).epoch;
        renew->heartbeats[renew->count++] = relay->heartbeat_number;
        relay->heartbeat_number = 0;
    }
    renew->job.run = renew_run;
    renew->job.mail.deliver = renew_done;
    renew->job.back = hub->mailbox;
    renew->hub = hub;
    hub->renewing = true;
    hub->ports.ask(hub->ports.context, &renew->job);
}

void hub_session_tick(struct bw_hub *hub)
{
    renew_leases(hub);
    hub_welcome_due(hub);
    if (hub->now_ms < hub->mail_first_ms)
        return;
    struct hub_relay *relay, *next;
    HASH_ITER(hh, hub->relays, relay, next)
    {
        if (relay->session == NULL)
            continue;
        bool lease_before, lease_after;
        enum bw_relay_state before = hub_relay_state(hub, relay, &lease_before);
        if (bw_session_next_ms(relay->session) <= hub->now_ms)
            bw_session_tick(relay->session, hub->now_ms);
        if (hub_relay_state(hub, relay, &lease_after) != before || lease_after != lease_before)
            hub_publish(hub, true);
    }
}
