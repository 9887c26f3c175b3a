/* Who lives: by sessions and heartbeats, and never by a silence that may be our own. */
#include <string.h>

#include "runtime/log.h"
#include "server/hub_state.h"

/* How long a relay may take to find this replica after its start: longer than a relay waits between tries. */
enum { START_GRACE_MS = 30000 };
/* The clock ticks every 25 ms: so late, and it was this process that did not run. */
enum { STALL_MS = 2000 };
/* More than SHARE percent of a region of at least REGION relays fall silent together: that is our fault. */
enum { REGION_RELAYS = 5, REGION_SHARE = 30, HOLD_MS = 1000 };

void hub_notice_absence(struct bw_hub *hub)
{
    const struct bw_session_timing timing = bw_session_timing_default();
    bool stalled = hub->now_ms - hub->ticked_ms > STALL_MS;
    /* Nobody can open a session, nor renew a lease, without the database. */
    bool database_away = hub->now_ms - hub->replica_renewed_ms > hub->config.lease_ms;
    hub->ticked_ms = hub->now_ms;
    if (!stalled && !database_away)
        return;
    if (hub->now_ms >= hub->blind_until_ms)
        bw_log(BW_LOG_ERROR, "evacuation_stopped",
               "reason=\"%s\" note=\"relays are not declared dead for their silence meanwhile\"",
               stalled ? "this process stood still" : "the database does not renew this replica's lease");
    hub->blind_until_ms = hub->now_ms + START_GRACE_MS;
    if (stalled)
        hub->mail_first_ms = hub->now_ms + timing.suspect_ms;
}

static enum bw_liveness liveness(const struct bw_hub *hub, const struct hub_relay *relay, bool *placeable)
{
    const struct bw_session_timing timing = bw_session_timing_default();
    *placeable = false;
    if (relay->session != NULL) {
        struct bw_session_status status = bw_session_status(relay->session, hub->now_ms);
        *placeable = status.placeable;
        if (status.state == BW_SESSION_LIVE)
            return status.liveness;
    }
    /* A session that has not got so far yet is no sign of life: a relay that is refused again and again must
     * not keep its meetings by trying. */
    if (relay->ever_connected)
        return bw_liveness_of(&timing, hub->now_ms - relay->heard_ms);
    return hub->now_ms - hub->started_ms < START_GRACE_MS ? BW_SUSPECT : BW_DEAD;
}

/* One that was never here and carries nobody, such as one that was just enrolled, says nothing about us. */
static bool matters(const struct bw_hub *hub, const struct hub_relay *relay)
{
    return !relay->gone && (relay->ever_connected || bw_book_taken(hub->config.book, relay->number) > 0);
}

static bool same_region(const struct hub_relay *a, const struct hub_relay *b)
{
    return a->facts.region != NULL && b->facts.region != NULL &&
           strcmp(a->facts.region, b->facts.region) == 0;
}

/* Whether too much of the relay's region fell silent at about the same time. */
static bool region_went_silent(const struct bw_hub *hub, const struct hub_relay *relay)
{
    unsigned relays = 0, silent = 0;
    for (const struct hub_relay *each = hub->relays; each != NULL; each = each->hh.next) {
        bool placeable;
        if (each->published_state == BW_RELAY_DEAD || !matters(hub, each) || !same_region(each, relay))
            continue;
        relays++;
        silent += liveness(hub, each, &placeable) != BW_LIVE;
    }
    return relays >= REGION_RELAYS && silent * 100 > relays * REGION_SHARE;
}

/* A relay that was alive and has been silent for too long: is that to be held against it? */
static bool held(struct bw_hub *hub, struct hub_relay *relay)
{
    if (!matters(hub, relay))
        return false;
    if (hub->stopping || hub->now_ms < hub->blind_until_ms || hub->now_ms < relay->held_until_ms)
        return true;
    if (!region_went_silent(hub, relay))
        return false;
    if (relay->held_until_ms == 0)
        bw_log(BW_LOG_ERROR, "evacuation_stopped",
               "relay=%s region=%s reason=\"too many relays of the region fell silent together\"",
               relay->name, relay->facts.region);
    relay->held_until_ms = hub->now_ms + HOLD_MS;
    return true;
}

enum bw_relay_state hub_relay_state(struct bw_hub *hub, struct hub_relay *relay, bool *lease_ok)
{
    bool dead = liveness(hub, relay, lease_ok) == BW_DEAD;
    if (!dead)
        relay->held_until_ms = 0;
    if (relay->gone || (dead && (relay->published_state == BW_RELAY_DEAD || !held(hub, relay))))
        return BW_RELAY_DEAD;
    if (relay->state == BW_STORE_RELAY_DRAINING || relay->leaving)
        return BW_RELAY_DRAINING;
    if (relay->state == BW_STORE_RELAY_CORDONED)
        return BW_RELAY_CORDONED;
    return BW_RELAY_SERVING;
}
