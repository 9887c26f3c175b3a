/* The meetings that the ingest knows, and who may speak for whom in them. */
#include <string.h>

#include "base/alloc.h"
#include "server/ingest_state.h"

/* ---- tenants and relays ---- */

struct ingest_tenant *ingest_tenant_of(struct bw_ingest_core *core, const struct bw_id *id)
{
    struct ingest_tenant *tenant;
    HASH_FIND(hh, core->tenants, id, sizeof *id, tenant);
    if (tenant != NULL)
        return tenant;
    tenant = bw_calloc(1, sizeof *tenant);
    if (tenant == NULL)
        return NULL;
    tenant->id = *id;
    HASH_ADD(hh, core->tenants, id, sizeof tenant->id, tenant);
    if (tenant->hh.tbl == NULL) {
        bw_free(tenant);
        return NULL;
    }
    return tenant;
}

static void learn_relay(struct bw_ingest_core *core, const struct bw_ingest_relay *from)
{
    struct ingest_relay *relay;
    HASH_FIND(hh, core->relays, &from->number, sizeof from->number, relay);
    if (relay == NULL) {
        relay = bw_calloc(1, sizeof *relay);
        if (relay == NULL)
            return; /* its windows are in the sums of everything, not in its own */
        relay->number = from->number;
        HASH_ADD(hh, core->relays, number, sizeof relay->number, relay);
        if (relay->hh.tbl == NULL) {
            bw_free(relay);
            return;
        }
    }
    memcpy(relay->name, from->name, sizeof relay->name);
    memcpy(relay->site, from->site, sizeof relay->site);
}

/* ---- meetings ---- */

struct ingest_meeting *ingest_meeting_find(struct bw_ingest_core *core, const struct bw_id *id)
{
    struct ingest_meeting *meeting;
    HASH_FIND(hh, core->meetings, id, sizeof *id, meeting);
    return meeting;
}

struct ingest_meeting *ingest_meeting_create(struct bw_ingest_core *core, const struct bw_id *id)
{
    if (HASH_COUNT(core->meetings) >= core->config.meetings)
        return NULL;
    struct ingest_meeting *meeting = bw_calloc(1, sizeof *meeting);
    if (meeting == NULL)
        return NULL;
    meeting->core = core;
    meeting->id = *id;
    meeting->last_ms = core->now_ms;
    meeting->waiting_end = &meeting->waiting;
    HASH_ADD(hh, core->meetings, id, sizeof meeting->id, meeting);
    if (meeting->hh.tbl == NULL) {
        bw_free(meeting);
        return NULL;
    }
    if (core->ring == NULL) {
        meeting->next = meeting->previous = core->ring = meeting;
    } else {
        meeting->next = core->ring;
        meeting->previous = core->ring->previous;
        meeting->previous->next = meeting->next->previous = meeting;
    }
    return meeting;
}

void ingest_meeting_let_go(struct ingest_meeting *meeting)
{
    struct bw_ingest_core *core = meeting->core;
    ingest_refuse_waiting(meeting, FATE_REFUSED);
    for (struct ingest_meeting **at = &core->ask_next; meeting->ask_wanted && *at != NULL;) {
        if (*at == meeting)
            *at = meeting->next_ask;
        else
            at = &(*at)->next_ask;
    }
    if (core->ring == meeting)
        core->ring = meeting->next != meeting ? meeting->next : NULL;
    meeting->next->previous = meeting->previous;
    meeting->previous->next = meeting->next;
    HASH_DEL(core->meetings, meeting);
    struct ingest_slot *slot, *next_slot;
    HASH_ITER(hh, meeting->slots, slot, next_slot)
    {
        HASH_DEL(meeting->slots, slot);
        bw_free(slot);
    }
    struct ingest_stream *stream, *next;
    HASH_ITER(hh, meeting->streams, stream, next)
    {
        HASH_DEL(meeting->streams, stream);
        bw_free(stream);
    }
    if (core->sealer != NULL && meeting->tenant != NULL)
        bw_sealer_forget(core->sealer, &meeting->tenant->id, &meeting->id);
    core->counts.window_bytes -= meeting->bytes;
    bw_quality_meeting_destroy(meeting->windows);
    bw_free(meeting);
}

void ingest_ask_later(struct ingest_meeting *meeting)
{
    struct bw_ingest_core *core = meeting->core;
    if (meeting->ask_wanted)
        return;
    meeting->ask_wanted = true;
    meeting->next_ask = core->ask_next;
    core->ask_next = meeting;
}

void ingest_ask(struct ingest_meeting *meeting)
{
    struct bw_ingest_core *core = meeting->core;
    if (meeting->asking)
        return;
    if (meeting->asked_ms != 0 && core->now_ms - meeting->asked_ms < ASK_AGAIN_MS) {
        ingest_ask_later(meeting);
        return;
    }
    meeting->asking = true;
    meeting->asked_ms = core->now_ms;
    core->ports.resolve(core->ports.context, &meeting->id);
}

/* Those who were asked too recently before. */
void ingest_ask_again(struct bw_ingest_core *core)
{
    struct ingest_meeting *meeting = core->ask_next;
    core->ask_next = NULL;
    while (meeting != NULL) {
        struct ingest_meeting *next = meeting->next_ask;
        meeting->ask_wanted = false;
        ingest_ask(meeting); /* which may put it back */
        meeting = next;
    }
}

/* ---- who may speak ---- */

static bool among(const uint32_t *numbers, size_t count, uint32_t number)
{
    for (size_t i = 0; i < count; i++) {
        if (numbers[i] == number)
            return true;
    }
    return false;
}

static struct ingest_slot *slot_hold(struct ingest_meeting *meeting, uint32_t number)
{
    struct ingest_slot *slot;
    HASH_FIND(hh, meeting->slots, &number, sizeof number, slot);
    if (slot != NULL)
        return slot;
    slot = bw_calloc(1, sizeof *slot);
    if (slot == NULL)
        return NULL;
    slot->slot = number;
    HASH_ADD(hh, meeting->slots, slot, sizeof slot->slot, slot);
    if (slot->hh.tbl == NULL) {
        bw_free(slot);
        return NULL;
    }
    return slot;
}

/* Newest first; the oldest is forgotten. */
static void slot_is_on(struct ingest_slot *slot, uint32_t relay)
{
    if (among(slot->relays, slot->relay_count, relay))
        return;
    size_t kept = slot->relay_count < SLOT_RELAYS ? slot->relay_count++ : SLOT_RELAYS - 1;
    memmove(slot->relays + 1, slot->relays, kept * sizeof slot->relays[0]);
    slot->relays[0] = relay;
}

static void meeting_uses(struct ingest_meeting *meeting, uint32_t relay)
{
    if (relay != 0 && meeting->relay_count < BW_STORE_QUALITY_RELAYS &&
        !among(meeting->relays, meeting->relay_count, relay))
        meeting->relays[meeting->relay_count++] = relay;
}

bool ingest_carried(const struct ingest_meeting *meeting, const struct ingest_slot *slot, uint32_t relay,
                    uint32_t peer)
{
    if (peer == 0)
        return among(slot->relays, slot->relay_count, relay);
    return peer != relay && among(slot->relays, slot->relay_count, peer) &&
           among(meeting->relays, meeting->relay_count, relay);
}

bool ingest_meeting_learn(struct ingest_meeting *meeting, const struct bw_ingest_roster *roster)
{
    struct bw_ingest_core *core = meeting->core;
    meeting->tenant = ingest_tenant_of(core, &roster->tenant);
    if (meeting->tenant == NULL)
        return false;
    meeting->policy_revision = roster->policy_revision;
    for (size_t i = 0; i < roster->relay_count; i++) {
        learn_relay(core, &roster->relays[i]);
        meeting_uses(meeting, roster->relays[i].number);
    }
    for (size_t i = 0; i < roster->slot_count; i++) {
        struct ingest_slot *slot = slot_hold(meeting, roster->slots[i].slot);
        if (slot == NULL)
            return false;
        slot->entry = roster->slots[i].entry;
        slot_is_on(slot, roster->slots[i].relay);
    }
    meeting->known = true;
    return true;
}
