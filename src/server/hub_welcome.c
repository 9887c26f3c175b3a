/* When a relay is welcomed. A link between two relays needs both of their session secrets, so right after
 * this replica's start the first relay that comes back would be told of no link at all and would end those
 * that work. It is welcomed when the peers of its links have said Hello too, or shortly after: it forwards
 * meanwhile as it did while there was no control plane. */
#include "server/hub_state.h"

enum {
    START_MS = 15000, /* from this replica's start: later nobody waits */
    HOLD_MS = 3000,   /* at most; well within what a session gives its Hello */
};

static bool lacks_peer(struct bw_hub *hub, const struct hub_relay *relay)
{
    for (const struct hub_link *link = relay->links; link != NULL; link = link->hh.next) {
        const struct hub_relay *peer = hub_find(hub, link->key.peer);
        if (peer != NULL && !peer->gone && !peer->reach.connected)
            return true;
    }
    return false;
}

void hub_welcome_due(struct bw_hub *hub)
{
    struct hub_relay *relay, *next;
    HASH_ITER(hh, hub->relays, relay, next)
    {
        if (relay->fenced_epoch == 0 || relay->session == NULL)
            continue;
        if (hub->now_ms < relay->welcome_by_ms && lacks_peer(hub, relay))
            continue;
        uint64_t epoch = relay->fenced_epoch;
        relay->fenced_epoch = 0;
        bw_session_fenced(relay->session, epoch, NULL, hub->now_ms);
        hub_say_state(hub, relay);
        hub_order_escrow(hub, relay);
        hub_publish(hub, true);
    }
}

void hub_welcome(struct bw_hub *hub, struct hub_relay *relay, uint64_t epoch)
{
    bool starting = hub->now_ms - hub->started_ms < START_MS;
    relay->fenced_epoch = epoch;
    relay->welcome_by_ms = hub->now_ms + (starting ? HOLD_MS : 0);
    /* This one may be the peer that others wait for. */
    hub_welcome_due(hub);
}
