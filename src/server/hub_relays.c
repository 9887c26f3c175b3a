/* The relays as enrolled, what is known of them now, and the fleet view the workers decide on. */
#include <string.h>

#include "api/api.h"
#include "base/alloc.h"
#include "runtime/log.h"
#include "server/hub_state.h"

_Static_assert((int)BW_RELAY_REASON_SIZE == (int)BW_STORE_REASON_SIZE, "reasons are copied");

enum { VIEW_LOAD_INTERVAL_MS = 1000, FACTS_ARENA_BYTES = 1 << 20 };

struct hub_relay *hub_find(struct bw_hub *hub, uint32_t number)
{
    struct hub_relay *relay;
    HASH_FIND(hh, hub->relays, &number, sizeof number, relay);
    return relay;
}

struct hub_relay *hub_find_name(struct bw_hub *hub, const char *name)
{
    for (struct hub_relay *relay = hub->relays; relay != NULL; relay = relay->hh.next) {
        if (!relay->gone && strcmp(relay->name, name) == 0) /* a name may be enrolled anew after a removal */
            return relay;
    }
    return NULL;
}

/* ---- what the database says ---- */

static struct hub_relay *relay_create(struct bw_hub *hub, uint32_t number)
{
    struct hub_relay *relay = bw_calloc(1, sizeof *relay);
    struct bw_feed *feed = bw_feed_create(hub->head);
    if (relay == NULL || feed == NULL) {
        bw_free(relay);
        bw_feed_destroy(feed);
        return NULL;
    }
    relay->number = number;
    relay->feed = feed;
    struct hub_relay *added = relay;
    HASH_ADD(hh, hub->relays, number, sizeof relay->number, added);
    if (relay->hh.tbl == NULL) {
        bw_feed_destroy(feed);
        bw_free(relay);
        return NULL;
    }
    if (hub->has_key) {
        const struct bw_upsert key = bw_upsert_key(&hub->key, 1);
        struct bw_error err;
        if (bw_feed_apply_keys(feed, &key, 1, NULL, 0, &err) != BW_OK)
            bw_log(BW_LOG_ERROR, "grant_key_not_published", "reason=\"%s\"", err.show);
    }
    return relay;
}

enum bw_code hub_take_relay(struct bw_hub *hub, const struct bw_store_relay *row, struct bw_error *err)
{
    struct bw_arena *arena = bw_arena_create(FACTS_ARENA_BYTES);
    if (arena == NULL)
        return bw_fail_memory(err);
    struct bw_relay_facts facts;
    uint32_t capacity = 0;
    enum bw_code code = bw_api_facts_decode(row->facts, row->number, arena, &facts, &capacity, err);
    struct hub_relay *relay = code == BW_OK ? hub_find(hub, row->number) : NULL;
    if (code == BW_OK && relay == NULL) {
        relay = relay_create(hub, row->number);
        code = relay != NULL ? BW_OK : bw_fail_memory(err);
    }
    if (code != BW_OK) {
        bw_arena_destroy(arena);
        return code;
    }
    bw_arena_destroy(relay->arena);
    relay->arena = arena;
    relay->facts = facts;
    relay->capacity = row->capacity;
    relay->gone = row->state == BW_STORE_RELAY_REMOVED;
    memcpy(relay->name, row->name, sizeof relay->name);
    memcpy(relay->reason, row->reason, sizeof relay->reason);
    bool was_draining = relay->state == BW_STORE_RELAY_DRAINING;
    relay->state = row->state;
    relay->frugal_until_ms = 0; /* what it was for is over */
    relay->drain_deadline_ms = row->drain_deadline_ms;
    if (relay->session != NULL) {
        if (relay->state == BW_STORE_RELAY_DRAINING)
            hub_say_state(hub, relay);
        else if (was_draining)
            bw_session_drain(relay->session, false, 0, "the drain was called off");
        if (relay->gone) {
            struct bw_error why;
            bw_fail(&why, BW_PERMISSION_DENIED, "NOT_ENROLLED", "this relay has been removed from the cell");
            bw_session_end(relay->session, &why);
        }
    }
    return BW_OK;
}

struct relays_job {
    struct bw_desk_job job;
    struct bw_hub *hub;
    struct bw_arena *arena;
    struct bw_store_relay *rows;
    size_t count, cap;
    uint64_t facts_revision;
    struct bw_error error;
    struct bw_mailbox *back;
    struct bw_mail *then;
};

static bool keep_row(void *context, const struct bw_store_relay *row)
{
    struct relays_job *relays = context;
    if (relays->count == relays->cap) {
        size_t cap = relays->cap ? relays->cap * 2 : 64;
        struct bw_store_relay *rows = bw_realloc(relays->rows, cap * sizeof *rows);
        if (rows == NULL) {
            bw_fail_memory(&relays->error);
            return false;
        }
        relays->rows = rows;
        relays->cap = cap;
    }
    struct bw_store_relay *kept = &relays->rows[relays->count++];
    *kept = *row;
    kept->facts.data = bw_arena_memdup(relays->arena, row->facts.data, row->facts.len);
    kept->spiffe_id = NULL;
    if (kept->facts.data == NULL)
        bw_fail_memory(&relays->error);
    return kept->facts.data != NULL;
}

static enum bw_code read_relays(struct relays_job *relays, struct bw_store_db *db)
{
    struct bw_error err;
    enum bw_code code =
        relays->hub->ports.queries->relays_read(db, true, keep_row, relays, &relays->facts_revision, &err);
    if (code != BW_OK)
        relays->error = err;
    return relays->error.code;
}

static enum bw_code take_rows(struct bw_hub *hub, struct relays_job *relays, struct bw_error *err)
{
    for (size_t i = 0; i < relays->count; i++) {
        struct bw_error why;
        if (hub_take_relay(hub, &relays->rows[i], &why) != BW_OK) {
            /* One relay that cannot be read must not take the fleet away: it alone stays out. */
            bw_log(BW_LOG_ERROR, "relay_not_understood", "relay=%s reason=\"%s\"", relays->rows[i].name,
                   why.show);
            if (why.code == BW_RESOURCE_EXHAUSTED && err != NULL)
                *err = why;
        }
    }
    hub->facts_revision = relays->facts_revision;
    hub->facts_stale = true;
    return BW_OK;
}

static void relays_job_destroy(struct relays_job *relays)
{
    bw_arena_destroy(relays->arena);
    bw_free(relays->rows);
    bw_free(relays);
}

static struct relays_job *relays_job_create(struct bw_hub *hub)
{
    struct relays_job *relays = bw_calloc(1, sizeof *relays);
    struct bw_arena *arena = bw_arena_create(256 << 20);
    if (relays == NULL || arena == NULL) {
        bw_free(relays);
        bw_arena_destroy(arena);
        return NULL;
    }
    relays->hub = hub;
    relays->arena = arena;
    return relays;
}

enum bw_code bw_hub_load(struct bw_hub *hub, struct bw_store_db *db, struct bw_error *err)
{
    struct relays_job *relays = relays_job_create(hub);
    if (relays == NULL)
        return bw_fail_memory(err);
    enum bw_code code = read_relays(relays, db);
    if (code == BW_OK)
        code = take_rows(hub, relays, err);
    else if (err != NULL)
        *err = relays->error;
    relays_job_destroy(relays);
    if (code == BW_OK)
        hub_publish(hub, true);
    return code;
}

static void relays_run(struct bw_desk_job *job, struct bw_store_db *db)
{
    (void)read_relays((struct relays_job *)job, db);
}

static void relays_done(struct bw_mail *mail)
{
    struct relays_job *relays = (struct relays_job *)mail;
    struct bw_hub *hub = relays->hub;
    hub_now(hub);
    if (relays->error.code == BW_OK) {
        (void)take_rows(hub, relays, NULL);
        hub_publish(hub, true);
        for (struct hub_relay *relay = hub->relays; relay != NULL; relay = relay->hh.next)
            hub_order_escrow(hub, relay);
    } else {
        bw_log(BW_LOG_WARN, "relays_not_read", "reason=\"%s\" detail=\"%s\"", relays->error.show,
               relays->error.log);
    }
    /* The view went to the workers' mailboxes before this: whoever waits sees it applied. */
    if (relays->then != NULL)
        bw_mailbox_post(relays->back, relays->then);
    relays_job_destroy(relays);
}

void bw_hub_relays_changed(struct bw_hub *hub, struct bw_mailbox *back, struct bw_mail *then)
{
    struct relays_job *relays = hub->stopped ? NULL : relays_job_create(hub);
    if (relays == NULL) {
        if (then != NULL)
            bw_mailbox_post(back, then);
        return;
    }
    relays->job.run = relays_run;
    relays->job.mail.deliver = relays_done;
    relays->job.back = hub->mailbox;
    relays->back = back;
    relays->then = then;
    hub->ports.ask(hub->ports.context, &relays->job);
}

/* ---- the view ---- */

/* A relay enrolled under another topology file must not take the fleet's view away. */
static bool region_known(const struct bw_hub *hub, const struct hub_relay *relay)
{
    return hub->config.topology == NULL || hub->config.topology->region_count == 0 ||
           relay->facts.region == NULL ||
           bw_snapshot_region(hub->config.topology, relay->facts.region) != BW_NO_REGION;
}

static enum bw_code rebuild_facts(struct bw_hub *hub, struct bw_error *err)
{
    size_t count = 0;
    struct bw_relay_facts *list = bw_calloc(HASH_COUNT(hub->relays), sizeof *list);
    if (list == NULL)
        return bw_fail_memory(err);
    for (const struct hub_relay *relay = hub->relays; relay != NULL; relay = relay->hh.next) {
        if (relay->gone)
            continue;
        list[count] = relay->facts;
        if (!region_known(hub, relay)) {
            bw_log(BW_LOG_WARN, "relay_region_unknown",
                   "relay=%s region=%s note=\"the topology file does not name it: distances are unknown\"",
                   relay->name, relay->facts.region);
            list[count].region = NULL;
        }
        count++;
    }
    const struct bw_facts *known = hub->config.topology != NULL ? hub->config.topology->facts : NULL;
    struct bw_facts *facts = NULL;
    enum bw_code code =
        bw_facts_create(list, count, known != NULL ? known->cells : NULL,
                        known != NULL ? known->cell_count : 0, hub->facts_revision, &facts, err);
    bw_free(list);
    if (code != BW_OK)
        return code;
    bw_facts_release(hub->facts);
    hub->facts = facts;
    hub->facts_stale = false;
    return BW_OK;
}

/* The topology file's network: its regions, their distances, and the links it denies between relays that are
 * enrolled here. */
struct network {
    struct bw_rtt *rtts;
    size_t rtt_count;
    struct bw_pair *denied;
    size_t denied_count;
};

static bool network_of(const struct bw_snapshot *topology, const struct bw_facts *facts,
                       struct network *network)
{
    size_t regions = topology->region_count, relays = topology->relay_count;
    network->rtts = bw_calloc(regions * (regions + 1) / 2 + 1, sizeof *network->rtts);
    network->denied = bw_calloc(relays * relays + 1, sizeof *network->denied);
    if (network->rtts == NULL || network->denied == NULL)
        return false;
    for (size_t i = 0; i < regions; i++) {
        for (size_t j = i; j < regions; j++)
            network->rtts[network->rtt_count++] =
                (struct bw_rtt){topology->regions[i].name, topology->regions[j].name,
                                2 * topology->region_us[i * regions + j]};
    }
    for (size_t i = 0; i < relays; i++) {
        for (size_t j = i + 1; j < relays; j++) {
            const char *a = topology->facts->relays[i].name, *b = topology->facts->relays[j].name;
            if (topology->facts->relays[i].cascade && topology->facts->relays[j].cascade &&
                !bw_bitset_test(&topology->links[i], j) && bw_facts_find_relay(facts, a) != SIZE_MAX &&
                bw_facts_find_relay(facts, b) != SIZE_MAX)
                network->denied[network->denied_count++] = (struct bw_pair){a, b};
        }
    }
    return true;
}

static enum bw_code build_view(struct bw_hub *hub, struct bw_fleet_view **out, struct bw_error *err)
{
    const struct bw_facts *facts = hub->facts;
    struct bw_relay_live *live = bw_calloc(facts->relay_count, sizeof *live);
    struct bw_relay_reach *reach = bw_calloc(facts->relay_count, sizeof *reach);
    struct network network = {0};
    bool ok = live != NULL && reach != NULL &&
              (hub->config.topology == NULL || network_of(hub->config.topology, facts, &network));
    enum bw_code code = ok ? BW_OK : bw_fail_memory(err);
    for (size_t i = 0; code == BW_OK && i < facts->relay_count; i++) {
        struct hub_relay *relay = hub_find(hub, facts->relays[i].number);
        live[i].state = hub_relay_state(hub, relay, &live[i].lease_ok);
        live[i].capacity = relay->capacity;
        live[i].placed = bw_book_taken(hub->config.book, relay->number);
        live[i].load_ppm = relay->load.cpu_ppm;
        reach[i] = relay->reach;
        memcpy(reach[i].reason, relay->reason, sizeof reach[i].reason);
    }
    struct bw_snapshot *snapshot = NULL;
    if (code == BW_OK) {
        const struct bw_snapshot_input input = {
            .facts = hub->facts,
            .live = live,
            .regions = hub->config.topology != NULL ? hub->config.topology->regions : NULL,
            .region_count = hub->config.topology != NULL ? hub->config.topology->region_count : 0,
            .rtts = network.rtts,
            .rtt_count = network.rtt_count,
            .has_default = true,
            .default_us = 100000,
            .has_same = true,
            .same_us = 5000,
            .denied = network.denied,
            .denied_count = network.denied_count,
        };
        code = bw_snapshot_create(&input, &snapshot, err);
    }
    if (code == BW_OK) {
        struct bw_fleet_view *view = bw_fleet_view_create(snapshot, reach);
        if (view != NULL) {
            *out = view;
        } else {
            bw_snapshot_release(snapshot);
            code = bw_fail_memory(err);
        }
    }
    if (reach != NULL)
        bw_wipe(reach, facts->relay_count * sizeof *reach);
    bw_free(reach);
    bw_free(live);
    bw_free(network.rtts);
    bw_free(network.denied);
    return code;
}

void hub_publish(struct bw_hub *hub, bool now)
{
    if (!now && (!hub->view_stale || hub->now_ms - hub->view_at_ms < VIEW_LOAD_INTERVAL_MS))
        return;
    struct bw_error err;
    struct bw_fleet_view *view = NULL;
    if ((hub->facts == NULL || hub->facts_stale) && rebuild_facts(hub, &err) != BW_OK) {
        bw_log(BW_LOG_ERROR, "facts_not_built", "reason=\"%s\"", err.show);
        return;
    }
    if (build_view(hub, &view, &err) != BW_OK) {
        bw_log(BW_LOG_ERROR, "fleet_view_not_built", "reason=\"%s\"", err.show);
        return;
    }
    bw_fleet_view_release(hub->view);
    hub->view = view;
    hub->view_stale = false;
    hub->view_at_ms = hub->now_ms;
    if (!hub->ports.set_view(hub->ports.context, view))
        hub->view_stale = true; /* memory was out: again in a while */
}
