/* The hub's life and its clock. */
#include "server/hub.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "runtime/log.h"
#include "runtime/thread.h"
#include "server/hub_state.h"

enum { TICK_MS = 25, COMPACT_MS = 10000 };

void hub_now(struct bw_hub *hub)
{
    hub->now_ms = hub->ports.mono_ms(hub->ports.context);
}

uint64_t hub_wall_ms(const struct bw_hub *hub)
{
    return hub->ports.wall_ms(hub->ports.context);
}

/* ---- the replica's own lease ---- */

struct replica_job {
    struct bw_desk_job job;
    struct bw_hub *hub;
    uint64_t asked_ms;
    struct bw_error error;
};

static void replica_run(struct bw_desk_job *job, struct bw_store_db *db)
{
    struct replica_job *renew = (struct replica_job *)job;
    renew->error.code = renew->hub->ports.queries->replica_renew(db, &renew->hub->config.replica,
                                                                 renew->hub->config.lease_ms, &renew->error);
}

static void replica_done(struct bw_mail *mail)
{
    struct replica_job *renew = (struct replica_job *)mail;
    struct bw_hub *hub = renew->hub;
    hub_now(hub);
    hub->renewing_replica = false;
    if (renew->error.code == BW_OK)
        hub->replica_renewed_ms = renew->asked_ms;
    else
        bw_log(BW_LOG_WARN, "replica_lease_not_renewed", "reason=\"%s\" detail=\"%s\"", renew->error.show,
               renew->error.log);
    bool fenced = renew->error.code == BW_FAILED_PRECONDITION;
    bw_free(renew);
    if (fenced)
        hub->ports.fenced(hub->ports.context);
}

static void renew_replica(struct bw_hub *hub)
{
    if (hub->renewing_replica || hub->now_ms < hub->replica_renew_at_ms)
        return;
    struct replica_job *renew = bw_calloc(1, sizeof *renew);
    if (renew == NULL)
        return;
    renew->job.run = replica_run;
    renew->job.mail.deliver = replica_done;
    renew->job.back = hub->mailbox;
    renew->hub = hub;
    renew->asked_ms = hub->now_ms;
    hub->renewing_replica = true;
    hub->replica_renew_at_ms = hub->now_ms + hub->config.lease_ms / 4;
    hub->ports.ask(hub->ports.context, &renew->job);
}

/* ---- the clock ---- */

static void measure(struct bw_hub *hub)
{
    uint64_t relays = 0, serving = 0, sessions = 0, resources = 0, tombstones = 0;
    for (const struct hub_relay *relay = hub->relays; relay != NULL; relay = relay->hh.next) {
        relays += !relay->gone;
        serving += relay->published_state == BW_RELAY_SERVING && relay->published_lease;
        sessions += relay->session != NULL;
        resources += bw_feed_live(relay->feed);
        tombstones += bw_feed_tombstones(relay->feed);
    }
    atomic_store(&hub->metrics.relays, relays);
    atomic_store(&hub->metrics.relays_serving, serving);
    atomic_store(&hub->metrics.sessions, sessions);
    atomic_store(&hub->metrics.feed_resources, resources);
    atomic_store(&hub->metrics.feed_tombstones, tombstones);
    atomic_store(&hub->metrics.head_group, hub->head);
    atomic_store(&hub->metrics.lease_age_ms, hub->now_ms - hub->replica_renewed_ms);
}

void bw_hub_turn(struct bw_hub *hub)
{
    hub_now(hub);
    hub_notice_absence(hub);
    renew_replica(hub);
    if (hub->waiting != NULL || hub->now_ms >= hub->poll_at_ms)
        hub_poll(hub);
    hub_linger_due(hub);
    hub_policies_retry(hub);
    hub_session_tick(hub);
    hub_publish(hub, false);
    /* A relay that stays away is declared dead without any message. */
    struct hub_relay *relay, *next;
    HASH_ITER(hh, hub->relays, relay, next)
    {
        bool lease;
        enum bw_relay_state state = hub_relay_state(hub, relay, &lease);
        if (state == relay->published_state && lease == relay->published_lease)
            continue;
        if (state == BW_RELAY_DEAD && relay->ever_connected && !relay->gone) {
            bw_log(BW_LOG_WARN, "relay_dead", "relay=%s", relay->name);
            atomic_fetch_add(&hub->metrics.relay_deaths, 1);
        }
        relay->published_state = state;
        relay->published_lease = lease;
        hub_publish(hub, true);
    }
    if (hub->now_ms >= hub->compact_at_ms) {
        hub->compact_at_ms = hub->now_ms + COMPACT_MS;
        hub_compact(hub);
        hub_return_escrow(hub);
    }
    measure(hub);
}

static void tick(void *context)
{
    bw_hub_turn(context);
}

static void hub_thread(void *context)
{
    struct bw_hub *hub = context;
    bw_loop_run(hub->loop);
}

enum bw_code bw_hub_create(const struct bw_hub_config *config, const struct bw_hub_ports *ports,
                           struct bw_hub **out, struct bw_error *err)
{
    struct bw_hub *hub = bw_calloc(1, sizeof *hub);
    if (hub == NULL)
        return bw_fail_memory(err);
    hub->config = *config;
    hub->ports = *ports;
    hub_now(hub);
    hub->started_ms = hub->now_ms;
    hub->loop = bw_loop_create(err);
    hub->mailbox = hub->loop != NULL ? bw_mailbox_create(hub->loop, err) : NULL;
    hub->timer = hub->mailbox != NULL ? bw_timer_create(hub->loop, tick, hub, err) : NULL;
    if (hub->timer == NULL) {
        bw_hub_destroy(hub);
        return err != NULL ? err->code : BW_RESOURCE_EXHAUSTED;
    }
    hub->sending = bw_arena_create(BW_FLEET_ARENA);
    hub->receiving = bw_arena_create(BW_FLEET_ARENA);
    if (hub->sending == NULL || hub->receiving == NULL) {
        bw_hub_destroy(hub);
        return bw_fail_memory(err);
    }
    *out = hub;
    return BW_OK;
}

void bw_hub_destroy(struct bw_hub *hub)
{
    if (hub == NULL)
        return;
    bw_timer_destroy(hub->timer);
    bw_mailbox_destroy(hub->mailbox);
    struct hub_relay *relay, *next;
    HASH_ITER(hh, hub->relays, relay, next)
    {
        hub_session_drop(hub, relay);
        HASH_DEL(hub->relays, relay);
        bw_feed_destroy(relay->feed);
        hub_forget_links(relay);
        bw_arena_destroy(relay->arena);
        bw_secret_finish(&relay->reach.session_secret);
        bw_secret_finish(&relay->fresh.session_secret);
        bw_free(relay);
    }
    struct hub_group *group, *after;
    HASH_ITER(hh, hub->waiting, group, after)
    {
        HASH_DEL(hub->waiting, group);
        bw_free(group->changes);
        bw_free(group);
    }
    hub_linger_forget(hub);
    hub_policies_forget(hub);
    bw_fleet_view_release(hub->view);
    bw_facts_release(hub->facts);
    bw_arena_destroy(hub->sending);
    bw_arena_destroy(hub->receiving);
    bw_loop_destroy(hub->loop);
    bw_free(hub);
}

const struct bw_hub_metrics *bw_hub_metrics(const struct bw_hub *hub)
{
    return &hub->metrics;
}

struct bw_mailbox *bw_hub_mailbox(struct bw_hub *hub)
{
    return hub->mailbox;
}

void bw_hub_begin(struct bw_hub *hub)
{
    hub_now(hub);
    hub->started_ms = hub->ticked_ms = hub->replica_renewed_ms = hub->now_ms;
    for (struct hub_relay *relay = hub->relays; relay != NULL; relay = relay->hh.next)
        relay->granted = bw_book_taken(hub->config.book, relay->number);
}

enum bw_code bw_hub_start(struct bw_hub *hub, struct bw_error *err)
{
    bw_hub_begin(hub);
    bw_timer_start(hub->timer, TICK_MS, TICK_MS);
    hub->thread = bw_thread_start(hub_thread, hub, "bw-hub", err);
    return hub->thread != NULL ? BW_OK : err->code;
}

struct stop_mail {
    struct bw_mail mail;
    struct bw_hub *hub;
};

static void stop(struct bw_mail *mail)
{
    struct stop_mail *order = (struct stop_mail *)mail;
    struct bw_hub *hub = order->hub;
    hub->stopping = true;
    hub_now(hub);
    for (struct hub_relay *relay = hub->relays; relay != NULL; relay = relay->hh.next) {
        if (relay->session != NULL)
            bw_session_go_away(relay->session, "this replica is stopping", 0);
    }
    bw_free(order);
}

void bw_hub_say_goodbye(struct bw_hub *hub)
{
    struct stop_mail *order = bw_calloc(1, sizeof *order);
    if (order == NULL)
        return;
    order->mail.deliver = stop;
    order->hub = hub;
    bw_mailbox_post(hub->mailbox, &order->mail);
}

void bw_hub_stop(struct bw_hub *hub)
{
    if (hub == NULL || hub->thread == NULL)
        return;
    bw_loop_stop(hub->loop);
    bw_thread_join(hub->thread);
    hub->thread = NULL;
    hub->stopping = hub->stopped = true;
}

/* ---- before start ---- */

void bw_hub_begin_at(struct bw_hub *hub, uint64_t group)
{
    hub->head = group;
}

void bw_hub_set_grant_key(struct bw_hub *hub, const uint8_t public_key[BW_ED25519_PUBLIC_SIZE])
{
    hub->has_key = true;
    hub->key = (struct bw_grant_key){.not_before_ms = 0};
    memcpy(hub->key.public_key, public_key, sizeof hub->key.public_key);
    bw_grant_key_id(public_key, hub->key.key_id);
}

struct restore {
    const struct bw_meeting *meeting;
    struct bw_hub_change *changes;
    size_t count, cap;
    bool failed;
};

static void keep_effect(void *context, const struct bw_effect *effect)
{
    struct restore *restore = context;
    if (restore->count == restore->cap) {
        size_t cap = restore->cap ? restore->cap * 2 : 64;
        struct bw_hub_change *changes = bw_realloc(restore->changes, cap * sizeof *changes);
        if (changes == NULL) {
            restore->failed = true;
            return;
        }
        restore->changes = changes;
        restore->cap = cap;
    }
    restore->changes[restore->count++] = (struct bw_hub_change){
        .meeting = restore->meeting->id,
        .meeting_epoch = restore->meeting->meeting_epoch,
        .mode_epoch = restore->meeting->mode.epoch,
        .mode = restore->meeting->mode.mode,
        .effect = *effect,
    };
}

enum bw_code bw_hub_restore_meeting(struct bw_hub *hub, const struct bw_meeting *meeting,
                                    struct bw_error *err)
{
    if (meeting->ended)
        return BW_OK;
    struct restore restore = {.meeting = meeting};
    bw_owner_meeting_effects(meeting, keep_effect, &restore);
    enum bw_code code = restore.failed ? bw_fail_memory(err) : BW_OK;
    for (struct hub_relay *relay = hub->relays; code == BW_OK && relay != NULL; relay = relay->hh.next)
        code = hub_restore_changes(hub, relay, restore.changes, restore.count, err);
    bw_free(restore.changes);
    return code;
}
