/* The decision log in the order of its numbers, into the feeds of the relays it concerns. */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "runtime/log.h"
#include "server/hub_state.h"

/* How long a participant that was moved may still be carried by the relay it comes from. */
enum { LINGER_MS = 10000, POLL_MS = 25, POLL_IDLE_MS = 250, POLL_GROUPS = 1000 };

/* Removals a feed remembers before those that its relay has acknowledged are forgotten. */
enum { TOMBSTONES_KEPT = 1024 };

/* ---- changes as resources ---- */

/* A resource's version: the group of its decision, and below it room for what changes without one (the key of
 * a link when a relay has come back). */
static uint64_t version_of(uint64_t group)
{
    return group << 16;
}

static struct hub_link *find_link(struct hub_relay *relay, const struct bw_id *meeting, uint32_t peer)
{
    struct hub_link probe = {.key = {.peer = peer}}, *found;
    probe.key.meeting = *meeting;
    HASH_FIND(hh, relay->links, &probe.key, sizeof probe.key, found);
    return found;
}

static struct hub_link *want_link(struct hub_relay *relay, const struct bw_hub_change *change,
                                  uint64_t version)
{
    struct hub_link *link = find_link(relay, &change->meeting, change->effect.number);
    if (link == NULL) {
        link = bw_calloc(1, sizeof *link);
        if (link == NULL)
            return NULL;
        link->key.meeting = change->meeting;
        link->key.peer = change->effect.number;
        struct hub_link *added = link;
        HASH_ADD(hh, relay->links, key, sizeof link->key, added);
        if (link->hh.tbl == NULL) {
            bw_free(link);
            return NULL;
        }
    }
    link->meeting_epoch = change->meeting_epoch;
    link->version = version;
    return link;
}

static void unwant_link(struct hub_relay *relay, const struct bw_hub_change *change)
{
    struct hub_link *link = find_link(relay, &change->meeting, change->effect.number);
    if (link == NULL)
        return;
    HASH_DEL(relay->links, link);
    bw_free(link);
}

void hub_forget_links(struct hub_relay *relay)
{
    struct hub_link *link, *next;
    HASH_ITER(hh, relay->links, link, next)
    {
        HASH_DEL(relay->links, link);
        bw_free(link);
    }
}

/* A link needs both ends: its key comes from both session secrets, and the address from the peer's Hello. */
static bool fill_link(struct bw_hub *hub, const struct hub_relay *relay, const struct hub_link *wanted,
                      struct bw_peer_link *link)
{
    const struct hub_relay *peer = hub_find(hub, wanted->key.peer);
    if (peer == NULL || !peer->reach.connected || !relay->reach.connected)
        return false;
    *link = (struct bw_peer_link){
        .meeting = wanted->key.meeting, .meeting_epoch = wanted->meeting_epoch, .peer_number = peer->number};
    memcpy(link->peer, peer->name, strlen(peer->name) + 1);
    memcpy(link->peer_address, peer->reach.media_address, strlen(peer->reach.media_address) + 1);
    struct bw_secret key = {.len = 0};
    bw_grant_link_key(&wanted->key.meeting, relay->number, relay->reach.session_secret.bytes, peer->number,
                      peer->reach.session_secret.bytes, &key);
    memcpy(link->link_key, key.bytes, sizeof link->link_key);
    bw_secret_finish(&key);
    return true;
}

/* A feed that lacks a change is wrong for good: its own digest says that all is well. */
static void feed_failed(struct bw_hub *hub, const struct hub_relay *relay, const struct bw_error *err)
{
    bw_log(BW_LOG_ERROR, "feed_not_applied", "relay=%s code=%s reason=\"%s\"", relay->name,
           bw_code_name(err->code), err->show);
    if (err->code == BW_RESOURCE_EXHAUSTED)
        hub->ports.broken(hub->ports.context, "no memory for the feed of a relay");
}

struct resources {
    struct bw_upsert *upserts;
    struct bw_removal *removals;
    struct bw_peer_link *links;
    struct bw_meeting_slot *slots;
    size_t upsert_count, removal_count, link_count, slot_count;
};

static void add_change(struct bw_hub *hub, struct hub_relay *relay, uint64_t group,
                       const struct bw_hub_change *change, struct resources *into)
{
    const struct bw_effect *effect = &change->effect;
    struct bw_resource_id id = effect->kind == BW_EFFECT_SLOT
                                   ? bw_resource_id_slot(&change->meeting, effect->number)
                                   : bw_resource_id_link(&change->meeting, effect->number);
    if (effect->removed) {
        if (effect->kind == BW_EFFECT_LINK)
            unwant_link(relay, change);
        into->removals[into->removal_count++] = (struct bw_removal){.id = id, .version = version_of(group)};
        return;
    }
    if (effect->kind == BW_EFFECT_SLOT) {
        struct bw_meeting_slot *slot = &into->slots[into->slot_count++];
        *slot = (struct bw_meeting_slot){
            .meeting = change->meeting,
            .slot = effect->number,
            .roster_entry = effect->entry,
            .meeting_epoch = change->meeting_epoch,
            .mode_epoch = change->mode_epoch,
            .mode = change->mode,
            .role = (enum bw_role)effect->role,
        };
        into->upserts[into->upsert_count++] = bw_upsert_slot(slot, version_of(group), 0);
        return;
    }
    struct bw_peer_link *link = &into->links[into->link_count];
    const struct hub_link *wanted = want_link(relay, change, version_of(group));
    if (wanted == NULL) {
        hub->ports.broken(hub->ports.context, "no memory for a link between relays");
        return;
    }
    if (!fill_link(hub, relay, wanted, link))
        return; /* sent when both relays are there: hub_refresh_links */
    into->link_count++;
    into->upserts[into->upsert_count++] = bw_upsert_link(link, version_of(group), 0);
}

/* The last word on each id counts: a group may change one several times. */
static bool superseded(const struct bw_hub_change *changes, size_t count, size_t at)
{
    for (size_t i = at + 1; i < count; i++) {
        if (changes[i].effect.kind == changes[at].effect.kind &&
            changes[i].effect.relay == changes[at].effect.relay &&
            changes[i].effect.number == changes[at].effect.number &&
            bw_id_equal(&changes[i].meeting, &changes[at].meeting))
            return true;
    }
    return false;
}

static enum bw_code apply_changes(struct bw_hub *hub, struct hub_relay *relay, uint64_t group,
                                  const struct bw_hub_change *changes, size_t count, bool from_log,
                                  struct bw_error *err)
{
    size_t own = 0; /* of a group of hundreds of changes a relay has a few */
    for (size_t i = 0; i < count; i++)
        own += changes[i].effect.relay == relay->number;
    struct resources resources = {
        .upserts = bw_calloc(own, sizeof *resources.upserts),
        .removals = bw_calloc(own, sizeof *resources.removals),
        .links = bw_calloc(own, sizeof *resources.links),
        .slots = bw_calloc(own, sizeof *resources.slots),
    };
    enum bw_code code = BW_OK;
    if (resources.upserts == NULL || resources.removals == NULL || resources.links == NULL ||
        resources.slots == NULL)
        code = bw_fail_memory(err);
    for (size_t i = 0; code == BW_OK && i < count; i++) {
        if (changes[i].effect.relay == relay->number && !superseded(changes, count, i))
            add_change(hub, relay, group, &changes[i], &resources);
    }
    if (code == BW_OK && from_log)
        code = bw_feed_apply(relay->feed, group, resources.upserts, resources.upsert_count,
                             resources.removals, resources.removal_count, err);
    else if (code == BW_OK)
        code = bw_feed_apply_keys(relay->feed, resources.upserts, resources.upsert_count, resources.removals,
                                  resources.removal_count, err);
    if (resources.links != NULL)
        bw_wipe(resources.links, own * sizeof *resources.links);
    bw_free(resources.upserts);
    bw_free(resources.removals);
    bw_free(resources.links);
    bw_free(resources.slots);
    return code;
}

enum bw_code hub_apply_change(struct bw_hub *hub, struct hub_relay *relay, uint64_t group,
                              const struct bw_hub_change *changes, size_t count, struct bw_error *err)
{
    return apply_changes(hub, relay, group, changes, count, true, err);
}

enum bw_code hub_restore_changes(struct bw_hub *hub, struct hub_relay *relay,
                                 const struct bw_hub_change *changes, size_t count, struct bw_error *err)
{
    return apply_changes(hub, relay, hub->head, changes, count, false, err);
}

/* ---- groups in order ---- */

static struct hub_linger *find_linger(struct bw_hub *hub, uint32_t relay, const struct bw_hub_change *change)
{
    struct hub_linger probe, *found;
    memset(&probe.key, 0, sizeof probe.key);
    probe.key.meeting = change->meeting;
    probe.key.relay = relay;
    probe.key.number = change->effect.number;
    probe.key.kind = change->effect.kind;
    HASH_FIND(hh, hub->lingering, &probe.key, sizeof probe.key, found);
    return found;
}

static void drop_linger(struct bw_hub *hub, struct hub_linger *entry)
{
    HASH_DEL(hub->lingering, entry);
    bw_free(entry);
}

void hub_linger_forget(struct bw_hub *hub)
{
    struct hub_linger *entry, *next;
    HASH_ITER(hh, hub->lingering, entry, next)
    drop_linger(hub, entry);
}

static bool linger(struct bw_hub *hub, uint64_t group, const struct bw_hub_change *change)
{
    const struct hub_relay *relay = hub_find(hub, change->effect.relay);
    if (!change->effect.lingers || relay == NULL || relay->session == NULL)
        return false;
    struct hub_linger *entry = find_linger(hub, change->effect.relay, change);
    if (entry != NULL)
        drop_linger(hub, entry);
    entry = bw_calloc(1, sizeof *entry);
    if (entry == NULL)
        return false;
    entry->key.meeting = change->meeting;
    entry->key.relay = change->effect.relay;
    entry->key.number = change->effect.number;
    entry->key.kind = change->effect.kind;
    entry->change = *change;
    entry->at_ms = hub->now_ms + LINGER_MS;
    entry->version = version_of(group);
    struct hub_linger *added = entry;
    HASH_ADD(hh, hub->lingering, key, sizeof entry->key, added);
    if (entry->hh.tbl == NULL) {
        bw_free(entry);
        return false;
    }
    return true;
}

/* Carries the removal out. */
static void end_linger(struct bw_hub *hub, struct hub_linger *entry)
{
    const struct bw_hub_change *change = &entry->change;
    struct hub_relay *relay = hub_find(hub, change->effect.relay);
    if (relay != NULL) {
        if (change->effect.kind == BW_EFFECT_LINK)
            unwant_link(relay, change);
        struct bw_resource_id id = change->effect.kind == BW_EFFECT_SLOT
                                       ? bw_resource_id_slot(&change->meeting, change->effect.number)
                                       : bw_resource_id_link(&change->meeting, change->effect.number);
        const struct bw_removal removal = {.id = id, .version = entry->version};
        struct bw_error err;
        if (bw_feed_apply_keys(relay->feed, NULL, 0, &removal, 1, &err) != BW_OK)
            feed_failed(hub, relay, &err);
        else if (relay->session != NULL)
            bw_session_wake(relay->session, hub->now_ms);
    }
    drop_linger(hub, entry);
}

/* What lingers is overtaken: a slot or link that comes again is not to be removed for its earlier life, and
 * who leaves the meeting leaves the relays they came from at once, too. */
static void overtake_lingering(struct bw_hub *hub, const struct bw_hub_change *change)
{
    if (hub->lingering == NULL || (change->effect.removed && change->effect.lingers))
        return;
    if (!change->effect.removed) {
        struct hub_linger *entry = find_linger(hub, change->effect.relay, change);
        if (entry != NULL)
            drop_linger(hub, entry);
        return;
    }
    if (change->effect.kind != BW_EFFECT_SLOT)
        return;
    struct hub_relay *relay, *next;
    HASH_ITER(hh, hub->relays, relay, next)
    {
        struct hub_linger *entry = find_linger(hub, relay->number, change);
        if (entry != NULL)
            end_linger(hub, entry);
    }
}

void hub_linger_due(struct bw_hub *hub)
{
    while (hub->lingering != NULL && hub->lingering->at_ms <= hub->now_ms)
        end_linger(hub, hub->lingering);
}

void hub_compact(struct bw_hub *hub)
{
    struct hub_relay *relay, *next;
    HASH_ITER(hh, hub->relays, relay, next)
    {
        if (bw_feed_tombstones(relay->feed) < TOMBSTONES_KEPT)
            continue;
        /* A relay that is away begins with a snapshot then. */
        uint64_t upto = bw_feed_head(relay->feed);
        if (relay->session != NULL)
            upto = bw_session_status(relay->session, hub->now_ms).acked_group;
        bw_feed_compact(relay->feed, upto);
    }
}

static void apply_group(struct bw_hub *hub, struct hub_group *group)
{
    size_t kept = 0;
    for (size_t i = 0; i < group->count; i++) {
        overtake_lingering(hub, &group->changes[i]);
        if (!group->changes[i].effect.removed || !linger(hub, group->number, &group->changes[i]))
            group->changes[kept++] = group->changes[i];
    }
    struct hub_relay *relay, *next;
    HASH_ITER(hh, hub->relays, relay, next)
    {
        bool concerned = false;
        for (size_t i = 0; i < kept && !concerned; i++)
            concerned = group->changes[i].effect.relay == relay->number;
        struct bw_error err;
        if (concerned && hub_apply_change(hub, relay, group->number, group->changes, kept, &err) != BW_OK) {
            feed_failed(hub, relay, &err);
        }
        if (!concerned)
            bw_feed_advance(relay->feed, group->number);
        else if (relay->session != NULL)
            bw_session_wake(relay->session, hub->now_ms);
    }
    hub->head = group->number;
}

void hub_groups_drain(struct bw_hub *hub)
{
    for (;;) {
        uint64_t next = hub->head + 1;
        struct hub_group *group;
        HASH_FIND(hh, hub->waiting, &next, sizeof next, group);
        if (group == NULL)
            return;
        HASH_DEL(hub->waiting, group);
        apply_group(hub, group);
        bw_free(group->changes);
        bw_free(group);
    }
}

static bool known_group(const struct bw_hub *hub, uint64_t number)
{
    struct hub_group *known;
    HASH_FIND(hh, hub->waiting, &number, sizeof number, known);
    return known != NULL;
}

static void add_group(struct bw_hub *hub, struct hub_group *group)
{
    if (group->number <= hub->head || known_group(hub, group->number)) {
        bw_free(group->changes);
        bw_free(group);
        return;
    }
    struct hub_group *added = group;
    HASH_ADD(hh, hub->waiting, number, sizeof group->number, added);
    if (group->hh.tbl == NULL) {
        bw_free(group->changes);
        bw_free(group);
        hub->ports.broken(hub->ports.context, "no memory for a group that waits for its turn");
    }
}

struct group_mail {
    struct bw_mail mail;
    struct bw_hub *hub;
    struct hub_group *group;
};

static void group_delivered(struct bw_mail *mail)
{
    struct group_mail *news = (struct group_mail *)mail;
    struct bw_hub *hub = news->hub;
    hub_now(hub);
    add_group(hub, news->group);
    hub_groups_drain(hub);
    if (hub->waiting != NULL)
        hub_poll(hub); /* a gap: somebody else's group, or an event without slots */
    bw_free(news);
}

void bw_hub_group(struct bw_hub *hub, uint64_t number, const struct bw_hub_change *changes, size_t count)
{
    struct group_mail *news = bw_calloc(1, sizeof *news);
    struct hub_group *group = bw_calloc(1, sizeof *group);
    struct bw_hub_change *copy = bw_calloc(count, sizeof *copy);
    if (news == NULL || group == NULL || copy == NULL) {
        bw_free(news);
        bw_free(group);
        bw_free(copy);
        hub->ports.broken(hub->ports.context, "no memory for a group that is committed");
        return;
    }
    if (count > 0)
        memcpy(copy, changes, count * sizeof *copy);
    *group = (struct hub_group){.number = number, .changes = copy, .count = count};
    news->mail.deliver = group_delivered;
    news->hub = hub;
    news->group = group;
    bw_mailbox_post(hub->mailbox, &news->mail);
}

/* ---- the group index: events and gaps ---- */

struct poll_job {
    struct bw_desk_job job;
    struct bw_hub *hub;
    uint64_t after;
    struct {
        uint64_t number;
        enum bw_store_event event;
        bool ours;
        struct bw_id subject;
    } groups[POLL_GROUPS];
    size_t count;
    bool relays_changed, foreign;
    struct bw_error error;
};

static bool on_group(void *context, const struct bw_store_group *group)
{
    struct poll_job *poll = context;
    bool decisions = group->event == BW_STORE_EVENT_DECISIONS;
    bool ours = decisions && bw_id_equal(&group->replica, &poll->hub->config.replica.id);
    poll->foreign = poll->foreign || (decisions && !ours);
    poll->relays_changed = poll->relays_changed || group->event == BW_STORE_EVENT_FACTS;
    poll->groups[poll->count].number = group->number;
    poll->groups[poll->count].event = group->event;
    poll->groups[poll->count].subject = group->subject;
    poll->groups[poll->count++].ours = ours;
    return poll->count < POLL_GROUPS;
}

static void poll_run(struct bw_desk_job *job, struct bw_store_db *db)
{
    struct poll_job *poll = (struct poll_job *)job;
    struct bw_store_heads heads;
    poll->error.code = BW_OK;
    poll->error.code = poll->hub->ports.queries->groups_read(
        db, poll->after, POLL_GROUPS, &poll->hub->config.replica.id, on_group, poll, &heads, &poll->error);
}

static void poll_done(struct bw_mail *mail)
{
    struct poll_job *poll = (struct poll_job *)mail;
    struct bw_hub *hub = poll->hub;
    hub_now(hub);
    hub->polling = false;
    for (size_t i = 0; poll->error.code == BW_OK && !hub->stopped && i < poll->count; i++) {
        if (poll->groups[i].ours)
            continue; /* its changes come by mail from the worker that wrote it */
        struct hub_group *group = NULL;
        if (poll->groups[i].number <= hub->head || known_group(hub, poll->groups[i].number))
            continue;
        if (poll->groups[i].event != BW_STORE_EVENT_POLICY ||
            hub_policy_published(hub, &poll->groups[i].subject))
            group = bw_calloc(1, sizeof *group);
        if (group == NULL)
            break; /* the next poll sees it again */
        group->number = poll->groups[i].number;
        add_group(hub, group);
    }
    hub_groups_drain(hub);
    if (poll->foreign)
        bw_log(BW_LOG_ERROR, "foreign_decisions",
               "reason=\"another replica writes to this database: this version serves a cell with one\"");
    if (poll->relays_changed)
        bw_hub_relays_changed(hub, NULL, NULL);
    hub->poll_at_ms = hub->now_ms + (hub->waiting != NULL ? POLL_MS : POLL_IDLE_MS);
    bw_free(poll);
}

void hub_poll(struct bw_hub *hub)
{
    if (hub->polling || hub->stopped)
        return;
    struct poll_job *poll = bw_calloc(1, sizeof *poll);
    if (poll == NULL)
        return;
    poll->job.run = poll_run;
    poll->job.mail.deliver = poll_done;
    poll->job.back = hub->mailbox;
    poll->hub = hub;
    poll->after = hub->head;
    hub->polling = true;
    hub->ports.ask(hub->ports.context, &poll->job);
}

/* ---- a relay that came (back): its links and its peers' have another key now ---- */

static void refresh_at(struct bw_hub *hub, struct hub_relay *holder, const struct hub_relay *changed)
{
    bool any = false;
    for (struct hub_link *wanted = holder->links; wanted != NULL; wanted = wanted->hh.next) {
        if (holder != changed && wanted->key.peer != changed->number)
            continue;
        struct bw_peer_link link;
        struct bw_error err;
        if (!fill_link(hub, holder, wanted, &link))
            continue;
        wanted->version++;
        const struct bw_upsert upsert = bw_upsert_link(&link, wanted->version, 0);
        if (bw_feed_apply_keys(holder->feed, &upsert, 1, NULL, 0, &err) != BW_OK)
            feed_failed(hub, holder, &err);
        bw_wipe(&link, sizeof link);
        any = true;
    }
    if (any && holder->session != NULL && holder != changed)
        bw_session_wake(holder->session, hub->now_ms);
}

void hub_refresh_links(struct bw_hub *hub, struct hub_relay *relay)
{
    struct hub_relay *holder, *next;
    HASH_ITER(hh, hub->relays, holder, next) refresh_at(hub, holder, relay);
}
