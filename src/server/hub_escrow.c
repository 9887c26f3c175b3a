/* Escrow: slots of relays, granted to this replica in blocks, spent in the book, and given back when there
 * are more of them than anybody needs. One question about a relay is under way at a time. */
#include "base/alloc.h"
#include "runtime/log.h"
#include "server/hub_state.h"

/* No further slots for so long once somebody wants the relay to be smaller. */
enum { FRUGAL_MS = 5000 };

struct escrow_job {
    struct bw_desk_job job;
    struct bw_hub *hub;
    uint32_t relay, slots, granted;
    uint32_t known; /* slots that we hold, as far as we know */
    bool in_doubt;
    uint32_t held; /* in doubt: slots that we hold, as the database says */
    struct bw_error error;
};

static bool on_escrow(void *context, const struct bw_store_escrow *row)
{
    struct escrow_job *escrow = context;
    const struct bw_store_replica_key *self = &escrow->hub->config.replica;
    if (row->relay == escrow->relay && row->holder.epoch == self->epoch &&
        bw_id_equal(&row->holder.id, &self->id))
        escrow->held = row->slots;
    return true;
}

/* Slots that an earlier answer, which was lost, had been about. */
static uint32_t lost_slots(const struct escrow_job *escrow)
{
    return escrow->held > escrow->known ? escrow->held - escrow->known : 0;
}

static bool resolve_doubt(struct escrow_job *escrow, struct bw_store_db *db)
{
    if (escrow->in_doubt)
        escrow->error.code = escrow->hub->ports.queries->escrow_read(db, on_escrow, escrow, &escrow->error);
    return escrow->error.code == BW_OK;
}

static struct hub_relay *settle(const struct escrow_job *escrow)
{
    struct bw_hub *hub = escrow->hub;
    hub_now(hub);
    struct hub_relay *relay = hub_find(hub, escrow->relay);
    if (relay != NULL) {
        relay->escrow_asked = false;
        relay->escrow_in_doubt = escrow->error.code != BW_OK;
    }
    return relay;
}

static void ask(struct bw_hub *hub, struct hub_relay *relay, struct escrow_job *escrow)
{
    escrow->job.back = hub->mailbox;
    escrow->hub = hub;
    escrow->relay = relay->number;
    escrow->known = relay->granted;
    escrow->in_doubt = relay->escrow_in_doubt;
    relay->escrow_asked = true;
    hub->ports.ask(hub->ports.context, &escrow->job);
}

static void shrink_on(struct bw_hub *hub, struct hub_relay *relay);

/* ---- taking ---- */

static void take_run(struct bw_desk_job *job, struct bw_store_db *db)
{
    struct escrow_job *escrow = (struct escrow_job *)job;
    if (resolve_doubt(escrow, db))
        escrow->error.code =
            escrow->hub->ports.queries->escrow_take(db, &escrow->hub->config.replica, &escrow->relay,
                                                    &escrow->slots, 1, &escrow->granted, &escrow->error);
}

static void take_done(struct bw_mail *mail)
{
    struct escrow_job *escrow = (struct escrow_job *)mail;
    struct bw_hub *hub = escrow->hub;
    struct hub_relay *relay = settle(escrow);
    if (relay == NULL) {
        bw_free(escrow);
        return;
    }
    if (escrow->error.code != BW_OK) {
        bw_log(BW_LOG_WARN, "escrow_not_granted", "relay=%u reason=\"%s\"", escrow->relay,
               escrow->error.show);
    } else {
        uint32_t slots = escrow->granted + lost_slots(escrow);
        bw_book_add(hub->config.book, escrow->relay, slots);
        relay->granted += slots;
    }
    hub->ports.escrow_changed(hub->ports.context);
    bw_free(escrow);
    shrink_on(hub, relay);
}

void hub_order_escrow(struct bw_hub *hub, struct hub_relay *relay)
{
    uint32_t block = hub->config.escrow_block;
    if (hub->stopped || relay->escrow_asked || relay->gone || relay->state != BW_STORE_RELAY_ENROLLED ||
        hub->now_ms < relay->frugal_until_ms ||
        bw_book_room(hub->config.book, relay->number) >= block / 2 + 1)
        return;
    struct escrow_job *escrow = bw_calloc(1, sizeof *escrow);
    if (escrow == NULL)
        return;
    escrow->job.run = take_run;
    escrow->job.mail.deliver = take_done;
    escrow->slots = block;
    ask(hub, relay, escrow);
}

struct low_mail {
    struct bw_mail mail;
    struct bw_hub *hub;
    uint32_t relay;
};

static void escrow_low(struct bw_mail *mail)
{
    struct low_mail *low = (struct low_mail *)mail;
    struct hub_relay *relay = hub_find(low->hub, low->relay);
    if (relay != NULL)
        hub_order_escrow(low->hub, relay);
    bw_free(low);
}

void bw_hub_escrow_low(struct bw_hub *hub, uint32_t relay)
{
    struct low_mail *low = bw_calloc(1, sizeof *low);
    if (low == NULL)
        return; /* asked again with the next join */
    low->mail.deliver = escrow_low;
    low->hub = hub;
    low->relay = relay;
    bw_mailbox_post(hub->mailbox, &low->mail);
}

/* ---- giving back ---- */

static void give_run(struct bw_desk_job *job, struct bw_store_db *db)
{
    struct escrow_job *escrow = (struct escrow_job *)job;
    if (!resolve_doubt(escrow, db))
        return;
    const uint32_t slots = escrow->slots + lost_slots(escrow);
    escrow->error.code = escrow->hub->ports.queries->escrow_give(db, &escrow->hub->config.replica,
                                                                 &escrow->relay, &slots, 1, &escrow->error);
}

/* When it failed, or its answer was lost, the next question about the relay finds out what we hold. */
static void give_done(struct bw_mail *mail)
{
    struct escrow_job *escrow = (struct escrow_job *)mail;
    struct bw_hub *hub = escrow->hub;
    struct hub_relay *relay = settle(escrow);
    if (escrow->error.code != BW_OK)
        bw_log(BW_LOG_WARN, "escrow_not_given_back", "relay=%u reason=\"%s\"", escrow->relay,
               escrow->error.show);
    bw_free(escrow);
    if (relay != NULL)
        shrink_on(hub, relay);
}

/* At most so many, of those that nobody uses. False: none go. */
static bool give_back(struct bw_hub *hub, struct hub_relay *relay, uint32_t most)
{
    struct escrow_job *escrow = bw_calloc(1, sizeof *escrow);
    if (escrow == NULL)
        return false;
    escrow->slots = bw_book_withdraw(hub->config.book, relay->number, most);
    if (escrow->slots == 0) {
        bw_free(escrow);
        return false;
    }
    escrow->job.run = give_run;
    escrow->job.mail.deliver = give_done;
    ask(hub, relay, escrow);
    relay->granted -= escrow->slots;
    return true;
}

void hub_return_escrow(struct bw_hub *hub)
{
    uint32_t block = hub->config.escrow_block;
    for (struct hub_relay *relay = hub->relays; relay != NULL && !hub->stopped; relay = relay->hh.next) {
        uint32_t room = bw_book_room(hub->config.book, relay->number);
        bool serves = !relay->gone && relay->state == BW_STORE_RELAY_ENROLLED;
        /* A relay that takes nobody needs no room; another one keeps a block, so that slots do not go to and
         * fro. */
        if (!relay->escrow_asked && room > (serves ? 2 * block : 0))
            (void)give_back(hub, relay, serves ? room - block : room);
    }
}

/* ---- a relay is about to have a smaller capacity ---- */

static void shrink_over(struct hub_relay *relay)
{
    struct bw_mail *then = relay->shrink_then;
    relay->shrink_then = NULL;
    bw_mailbox_post(relay->shrink_back, then);
}

/* The relay's escrow is at rest: goes on with what waited for that. */
static void shrink_on(struct bw_hub *hub, struct hub_relay *relay)
{
    if (relay->shrink_then == NULL)
        return;
    bool gave = relay->shrink_gave;
    relay->shrink_gave = true;
    if (hub->stopped || gave || relay->granted <= relay->shrink_to ||
        !give_back(hub, relay, relay->granted - relay->shrink_to))
        shrink_over(relay);
}

struct shrink_mail {
    struct bw_mail mail;
    struct bw_hub *hub;
    const char *name;
    uint32_t capacity;
    struct bw_mailbox *back;
    struct bw_mail *then;
};

static void shrink(struct bw_mail *mail)
{
    struct shrink_mail *order = (struct shrink_mail *)mail;
    struct bw_hub *hub = order->hub;
    hub_now(hub);
    struct hub_relay *relay = hub_find_name(hub, order->name);
    if (relay == NULL || hub->stopped || relay->shrink_then != NULL ||
        (order->capacity >= relay->granted && !relay->escrow_asked && !relay->escrow_in_doubt)) {
        bw_mailbox_post(order->back, order->then);
    } else {
        relay->frugal_until_ms = hub->now_ms + FRUGAL_MS;
        relay->shrink_to = order->capacity;
        relay->shrink_gave = false;
        relay->shrink_back = order->back;
        relay->shrink_then = order->then;
        if (!relay->escrow_asked)
            shrink_on(hub, relay);
    }
    bw_free(order);
}

void bw_hub_shrink_relay(struct bw_hub *hub, const char *name, uint32_t capacity, struct bw_mailbox *back,
                         struct bw_mail *then)
{
    struct shrink_mail *order = bw_calloc(1, sizeof *order);
    if (order == NULL) {
        bw_mailbox_post(back, then); /* the database refuses what cannot be */
        return;
    }
    order->mail.deliver = shrink;
    order->hub = hub;
    order->name = name;
    order->capacity = capacity;
    order->back = back;
    order->then = then;
    bw_mailbox_post(hub->mailbox, &order->mail);
}
