/* What control planes say, as tables: meetings, slots, links, keys. */
#include <string.h>

#include "base/alloc.h"
#include "base/check.h"
#include "base/secret.h"
#include "relay/core_state.h"

/* ---- meetings ---- */

struct relay_meeting *relay_meeting_find(struct bw_relay_core *core, const struct bw_id *id)
{
    struct relay_meeting *meeting;
    HASH_FIND(hh, core->meetings, id, sizeof *id, meeting);
    return meeting;
}

struct relay_meeting *relay_meeting_hold(struct bw_relay_core *core, size_t cell, const struct bw_id *id)
{
    struct relay_meeting *meeting = relay_meeting_find(core, id);
    if (meeting == NULL) {
        meeting = bw_calloc(1, sizeof *meeting);
        if (meeting == NULL)
            return NULL;
        meeting->id = *id;
        meeting->cell = cell;
        HASH_ADD(hh, core->meetings, id, sizeof meeting->id, meeting);
        if (meeting->hh.tbl == NULL) {
            bw_free(meeting);
            return NULL;
        }
    }
    if (meeting->cell != cell)
        return NULL;
    meeting->references++;
    return meeting;
}

void relay_meeting_release(struct bw_relay_core *core, struct relay_meeting *meeting)
{
    BW_CHECK(meeting->references > 0);
    if (--meeting->references > 0)
        return;
    HASH_DEL(core->meetings, meeting);
    bw_free(meeting->members);
    bw_free(meeting->links);
    bw_free(meeting);
}

static enum bw_code no_meeting(struct bw_relay_core *core, size_t cell, const struct bw_id *id,
                               struct bw_error *err)
{
    const struct relay_meeting *meeting = relay_meeting_find(core, id);
    if (meeting != NULL && meeting->cell != cell)
        return bw_fail(err, BW_INVALID_ARGUMENT, NULL, "the meeting is another cell's");
    return bw_fail_memory(err);
}

/* ---- links ---- */

struct relay_link *relay_link_find(struct bw_relay_core *core, const struct bw_id *meeting, uint32_t peer)
{
    struct relay_link_key key;
    memset(&key, 0, sizeof key);
    key.meeting = *meeting;
    key.peer_number = peer;
    struct relay_link *link;
    HASH_FIND(hh, core->links, &key, sizeof key, link);
    return link;
}

/* Both ends hold the key, so both can name the link without having agreed on anything else. */
static uint32_t link_number(const struct bw_peer_link *link)
{
    static const char label[] = "bw-link-channel/v1";
    struct bw_sha256 state;
    uint8_t hash[BW_SHA256_SIZE];
    bw_sha256_init(&state);
    bw_sha256_update(&state, label, sizeof label - 1);
    bw_sha256_update(&state, link->link_key, sizeof link->link_key);
    bw_sha256_final(&state, hash);
    struct bw_reader r = bw_reader_of(bw_view_of(hash, 4));
    return bw_read_u32(&r);
}

/* Number to the chain of links that share it. */
static bool number_link(struct bw_relay_core *core, struct relay_link *link)
{
    struct relay_link *first;
    link->same_number = NULL;
    HASH_FIND(hh_number, core->links_by_number, &link->number, sizeof link->number, first);
    if (first != NULL) {
        link->same_number = first->same_number;
        first->same_number = link;
        return true;
    }
    HASH_ADD(hh_number, core->links_by_number, number, sizeof link->number, link);
    return link->hh_number.tbl != NULL;
}

static void unnumber_link(struct bw_relay_core *core, struct relay_link *link)
{
    struct relay_link *first;
    HASH_FIND(hh_number, core->links_by_number, &link->number, sizeof link->number, first);
    if (first != NULL && first == link) {
        struct relay_link *next = link->same_number;
        HASH_DELETE(hh_number, core->links_by_number, link);
        if (next != NULL) {
            /* Without memory, which the delete has just given back, the others are unknown until said again.
             */
            HASH_ADD(hh_number, core->links_by_number, number, sizeof next->number, next);
        }
        return;
    }
    while (first != NULL && first->same_number != link)
        first = first->same_number;
    if (first != NULL)
        first->same_number = link->same_number;
}

static void forget_senders(const struct bw_relay_core *core, struct relay_link *link)
{
    struct relay_sender *sender, *next;
    HASH_ITER(hh, link->senders, sender, next)
    {
        if (core->hooks.measured != NULL) {
            const struct bw_relay_path path = relay_path_of_sender(link, sender);
            core->hooks.measured(core->hooks.context, &path);
        }
        /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): inside uthash */
        HASH_DEL(link->senders, sender);
        bw_free(sender);
    }
}

static bool attach_link(struct relay_meeting *meeting, struct relay_link *link)
{
    if (meeting->link_count == meeting->link_room) {
        size_t room = meeting->link_room > 0 ? meeting->link_room * 2 : 4;
        struct relay_link **grown = bw_realloc(meeting->links, room * sizeof *grown);
        if (grown == NULL)
            return false;
        meeting->links = grown;
        meeting->link_room = room;
    }
    link->position = meeting->link_count;
    meeting->links[meeting->link_count++] = link;
    return true;
}

static void drop_link(struct bw_relay_core *core, struct relay_link *link)
{
    struct relay_meeting *meeting = link->meeting;
    meeting->links[link->position] = meeting->links[--meeting->link_count];
    meeting->links[link->position]->position = link->position;
    unnumber_link(core, link);
    HASH_DEL(core->links, link);
    core->cells[link->cell].links--;
    forget_senders(core, link);
    bw_hmac256_finish(&link->hmac);
    bw_free(link);
    relay_meeting_release(core, meeting);
}

static struct relay_link *new_link(struct bw_relay_core *core, size_t cell, const struct bw_peer_link *body,
                                   struct bw_error *err)
{
    struct relay_link *link = bw_calloc(1, sizeof *link);
    if (link == NULL) {
        (void)bw_fail_memory(err);
        return NULL;
    }
    link->key.meeting = body->meeting;
    link->key.peer_number = body->peer_number;
    link->cell = cell;
    link->number = link_number(body);
    link->meeting = relay_meeting_hold(core, cell, &body->meeting);
    if (link->meeting == NULL) {
        (void)no_meeting(core, cell, &body->meeting, err);
        bw_free(link);
        return NULL;
    }
    HASH_ADD(hh, core->links, key, sizeof link->key, link);
    if (link->hh.tbl == NULL)
        goto no_memory;
    if (!attach_link(link->meeting, link)) {
        HASH_DEL(core->links, link);
        goto no_memory;
    }
    if (!number_link(core, link)) {
        link->meeting->link_count--;
        HASH_DEL(core->links, link);
        goto no_memory;
    }
    core->cells[cell].links++;
    return link;

no_memory:
    relay_meeting_release(core, link->meeting);
    bw_free(link);
    (void)bw_fail_memory(err);
    return NULL;
}

enum bw_code bw_relay_core_link(struct bw_relay_core *core, size_t cell, const struct bw_peer_link *body,
                                uint32_t max_staleness_ms, struct bw_error *err)
{
    struct relay_cell *c = &core->cells[cell];
    struct bw_address address;
    if (bw_address_parse(body->peer_address, &address, err) != BW_OK)
        return BW_INVALID_ARGUMENT;
    if (!c->welcomed || body->peer_number == c->relay_number)
        return bw_fail(err, BW_INVALID_ARGUMENT, NULL, "a link to this relay itself");
    struct relay_link *link = relay_link_find(core, &body->meeting, body->peer_number);
    if (link != NULL && link->cell != cell)
        return bw_fail(err, BW_INVALID_ARGUMENT, NULL, "the meeting is another cell's");
    if (link == NULL) {
        link = new_link(core, cell, body, err);
        if (link == NULL)
            return err != NULL ? err->code : BW_RESOURCE_EXHAUSTED;
    } else if (link->number != link_number(body)) {
        /* Another key: another number, and sequences of before mean nothing. */
        unnumber_link(core, link);
        link->number = link_number(body);
        forget_senders(core, link);
        if (!number_link(core, link)) {
            drop_link(core, link); /* no link is safer than one with the old key */
            return bw_fail_memory(err);
        }
    }
    bw_hmac256_finish(&link->hmac);
    bw_hmac256_init(&link->hmac, bw_view_of(body->link_key, sizeof body->link_key));
    link->meeting_epoch = body->meeting_epoch;
    link->max_staleness_ms = max_staleness_ms;
    link->address = address;
    link->outward = bw_link_direction(c->relay_number, body->peer_number);
    link->inward = bw_link_direction(body->peer_number, c->relay_number);
    link->stale = link->revoked = false;
    return BW_OK;
}

void bw_relay_core_link_removed(struct bw_relay_core *core, size_t cell, const struct bw_id *meeting,
                                uint32_t peer_number)
{
    struct relay_link *link = relay_link_find(core, meeting, peer_number);
    if (link != NULL && link->cell == cell)
        drop_link(core, link);
}

void bw_relay_core_each_link(const struct bw_relay_core *core, size_t cell, uint32_t peer_number,
                             void (*each)(void *context, const struct bw_id *meeting), void *context)
{
    const struct relay_link *link, *next;
    HASH_ITER(hh, core->links, link, next)
    {
        if (link->cell == cell && link->key.peer_number == peer_number)
            each(context, &link->key.meeting);
    }
}

/* ---- slots ---- */

struct relay_slot *relay_slot_find(struct bw_relay_core *core, const struct bw_id *meeting, uint32_t number)
{
    struct relay_slot_key key;
    memset(&key, 0, sizeof key);
    key.meeting = *meeting;
    key.slot = number;
    struct relay_slot *slot;
    HASH_FIND(hh, core->slots, &key, sizeof key, slot);
    return slot;
}

static struct relay_slot *new_slot(struct bw_relay_core *core, size_t cell,
                                   const struct bw_meeting_slot *body, struct bw_error *err)
{
    struct relay_slot *slot = bw_calloc(1, sizeof *slot);
    if (slot == NULL) {
        (void)bw_fail_memory(err);
        return NULL;
    }
    slot->key.meeting = body->meeting;
    slot->key.slot = body->slot;
    slot->cell = cell;
    slot->meeting = relay_meeting_hold(core, cell, &body->meeting);
    if (slot->meeting == NULL) {
        (void)no_meeting(core, cell, &body->meeting, err);
        bw_free(slot);
        return NULL;
    }
    HASH_ADD(hh, core->slots, key, sizeof slot->key, slot);
    if (slot->hh.tbl == NULL) {
        relay_meeting_release(core, slot->meeting);
        bw_free(slot);
        (void)bw_fail_memory(err);
        return NULL;
    }
    core->cells[cell].slots++;
    return slot;
}

static void drop_slot(struct bw_relay_core *core, struct relay_slot *slot)
{
    struct relay_meeting *meeting = slot->meeting;
    HASH_DEL(core->slots, slot);
    core->cells[slot->cell].slots--;
    bw_free(slot);
    relay_meeting_release(core, meeting);
}

enum bw_code bw_relay_core_slot(struct bw_relay_core *core, size_t cell, const struct bw_meeting_slot *body,
                                uint32_t max_staleness_ms, struct bw_error *err)
{
    struct relay_slot *slot = relay_slot_find(core, &body->meeting, body->slot);
    if (slot != NULL && slot->cell != cell)
        return bw_fail(err, BW_INVALID_ARGUMENT, NULL, "the meeting is another cell's");
    if (slot == NULL) {
        slot = new_slot(core, cell, body, err);
        if (slot == NULL)
            return err != NULL ? err->code : BW_RESOURCE_EXHAUSTED;
    }
    slot->body = *body;
    slot->max_staleness_ms = max_staleness_ms;
    slot->stale = slot->revoked = false;
    /* Who is here already must fit the slot as it now is. */
    struct relay_channel *channel = relay_channel_of_slot(core, slot->meeting, body->slot);
    if (channel != NULL && !relay_channel_confirm(core, channel, slot))
        relay_channel_end(core, channel, BW_REFUSAL_GRANT_OUTDATED, BW_LEFT_REVOKED);
    return BW_OK;
}

void bw_relay_core_slot_removed(struct bw_relay_core *core, size_t cell, const struct bw_id *meeting,
                                uint32_t number)
{
    struct relay_slot *slot = relay_slot_find(core, meeting, number);
    if (slot == NULL || slot->cell != cell)
        return;
    if (slot->channel != NULL)
        relay_channel_end(core, slot->channel, BW_REFUSAL_SLOT_REMOVED, BW_LEFT_REVOKED);
    drop_slot(core, slot);
}

/* ---- staleness ---- */

static bool too_old(const struct relay_cell *cell, uint32_t max_staleness_ms)
{
    return max_staleness_ms != 0 && cell->stale_ms >= max_staleness_ms;
}

void relay_staleness_tick(struct bw_relay_core *core)
{
    struct relay_slot *slot, *next_slot;
    struct relay_link *link, *next_link;
    HASH_ITER(hh, core->slots, slot, next_slot)
    {
        slot->stale = too_old(&core->cells[slot->cell], slot->max_staleness_ms);
        if (slot->stale && slot->channel != NULL)
            relay_channel_end(core, slot->channel, BW_REFUSAL_GRACE_ENDED, BW_LEFT_EXPIRED);
    }
    HASH_ITER(hh, core->links, link, next_link)
    {
        link->stale = too_old(&core->cells[link->cell], link->max_staleness_ms);
    }
}

/* ---- keys ---- */

static bool in_its_time(const struct bw_grant_key *key, uint64_t wall_ms)
{
    return wall_ms >= key->not_before_ms && (key->not_after_ms == 0 || wall_ms < key->not_after_ms);
}

void relay_keys_tick(struct relay_cell *cell, uint64_t wall_ms)
{
    for (size_t i = 0; i < BW_GRANT_KEYS_MAX; i++) {
        struct relay_key *k = &cell->keys[i];
        bool now = k->used && in_its_time(&k->key, wall_ms);
        if (now && !k->active)
            k->active = bw_grant_verifier_add_key(cell->verifier, k->key.public_key, NULL) == BW_OK;
        else if (!now && k->active)
            k->active = !bw_grant_verifier_remove_key(cell->verifier, k->key.key_id);
    }
}

enum bw_code bw_relay_core_key(struct bw_relay_core *core, size_t cell, const struct bw_grant_key *key,
                               struct bw_error *err)
{
    struct relay_cell *c = &core->cells[cell];
    uint8_t id[BW_GRANT_KEY_ID_SIZE];
    bw_grant_key_id(key->public_key, id);
    if (memcmp(id, key->key_id, sizeof id) != 0)
        return bw_fail(err, BW_INVALID_ARGUMENT, NULL, "the grant key's id is not that of its public key");
    struct relay_key *place = NULL;
    for (size_t i = 0; i < BW_GRANT_KEYS_MAX; i++) {
        struct relay_key *k = &c->keys[i];
        if (k->used && memcmp(k->key.key_id, id, sizeof id) == 0) {
            k->key = *key; /* the same key, another time */
            return BW_OK;
        }
        if (!k->used && place == NULL)
            place = k;
    }
    if (place == NULL)
        return bw_fail(err, BW_RESOURCE_EXHAUSTED, NULL, "more than %d grant keys", BW_GRANT_KEYS_MAX);
    *place = (struct relay_key){.used = true, .key = *key};
    return BW_OK;
}

void bw_relay_core_key_removed(struct bw_relay_core *core, size_t cell, const uint8_t key_id[8])
{
    struct relay_cell *c = &core->cells[cell];
    for (size_t i = 0; i < BW_GRANT_KEYS_MAX; i++) {
        struct relay_key *k = &c->keys[i];
        if (!k->used || memcmp(k->key.key_id, key_id, 8) != 0)
            continue;
        if (k->active)
            (void)bw_grant_verifier_remove_key(c->verifier, key_id);
        *k = (struct relay_key){.used = false};
    }
}

/* ---- end ---- */

void relay_table_finish(struct bw_relay_core *core)
{
    struct relay_slot *slot, *next_slot;
    struct relay_link *link, *next_link;
    HASH_ITER(hh, core->slots, slot, next_slot)
    {
        drop_slot(core, slot);
    }
    HASH_ITER(hh, core->links, link, next_link)
    {
        drop_link(core, link);
    }
    for (size_t i = 0; i < BW_RELAY_CELLS_MAX; i++) {
        bw_grant_verifier_destroy(core->cells[i].verifier);
        bw_wipe(core->cells[i].session_secret, sizeof core->cells[i].session_secret);
    }
}
