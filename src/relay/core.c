#include "relay/core.h"

#include <string.h>

#include "base/alloc.h"
#include "base/check.h"
#include "base/secret.h"
#include "relay/core_state.h"

const char *bw_drop_name(enum bw_drop drop)
{
    static const char *const names[BW_DROP_COUNT] = {
#define X(name, text) [BW_DROP_##name] = text,
        BW_DROP_MAP(X)
#undef X
    };
    return (size_t)drop < BW_DROP_COUNT ? names[drop] : "unknown";
}

struct bw_relay_limits bw_relay_limits_default(void)
{
    return (struct bw_relay_limits){.channels = 1000,
                                    .meeting_members = 500,
                                    .packets_per_second = 2000,
                                    .packets_burst = 4000,
                                    .bits_per_second = 20000000,
                                    .idle_ms = 30000,
                                    .keepalive_ms = 5000,
                                    .clock_skew_ms = 5000};
}

struct bw_relay_core *bw_relay_core_create(const struct bw_relay_limits *limits, struct bw_outbox *outbox,
                                           const struct bw_relay_hooks *hooks,
                                           void (*random)(void *out, size_t n), struct bw_relay_now now)
{
    BW_CHECK(limits->channels > 0 && limits->channels <= 65536);
    struct bw_relay_core *core = bw_calloc(1, sizeof *core);
    if (core == NULL)
        return NULL;
    core->limits = *limits;
    core->outbox = outbox;
    if (hooks != NULL)
        core->hooks = *hooks;
    core->random = random;
    while ((1u << core->channel_bits) < limits->channels)
        core->channel_bits++;
    core->channels = bw_calloc(limits->channels, sizeof *core->channels);
    if (core->channels == NULL) {
        bw_free(core);
        return NULL;
    }
    /* Numbers of one life are not those of the last. */
    uint32_t start;
    random(&start, sizeof start);
    for (size_t i = 0; i < limits->channels; i++)
        core->channels[i].uses = start + (uint32_t)i;
    uint8_t secret[BW_COOKIE_SECRET];
    random(secret, sizeof secret);
    bw_cookie_jar_init(&core->jar, secret, relay_ms(now));
    bw_wipe(secret, sizeof secret);
    return core;
}

void bw_relay_core_destroy(struct bw_relay_core *core)
{
    if (core == NULL)
        return;
    core->hooks = (struct bw_relay_hooks){0};
    for (size_t i = 0; i < core->limits.channels; i++) {
        if (core->channels[i].used)
            relay_channel_end(core, &core->channels[i], BW_REFUSAL_NONE, BW_LEFT_ITSELF);
    }
    relay_table_finish(core);
    bw_cookie_jar_finish(&core->jar);
    bw_free(core->channels);
    bw_free(core);
}

void bw_relay_core_shutdown(struct bw_relay_core *core, enum bw_refusal why)
{
    for (size_t i = 0; i < core->limits.channels; i++) {
        if (core->channels[i].used)
            relay_channel_end(core, &core->channels[i], why, BW_LEFT_EXPIRED);
    }
}

/* ---- time ---- */

static void end_overdue(struct bw_relay_core *core, struct bw_relay_now now)
{
    for (size_t i = 0; i < core->limits.channels && core->channel_count > 0; i++) {
        struct relay_channel *channel = &core->channels[i];
        if (!channel->used)
            continue;
        if (core->cells[channel->cell].authority == BW_AUTHORITY_NONE)
            relay_channel_end(core, channel, BW_REFUSAL_GRACE_ENDED, BW_LEFT_EXPIRED);
        else if (now.mono_us - channel->heard_us >= (uint64_t)core->limits.idle_ms * 1000)
            relay_channel_end(core, channel, BW_REFUSAL_IDLE, BW_LEFT_SILENT);
        else if (channel->slot == NULL &&
                 now.mono_us - channel->admitted_us >= (uint64_t)BW_PROVISIONAL_MS * 1000)
            relay_channel_end(core, channel, BW_REFUSAL_NO_SLOT, BW_LEFT_REVOKED);
    }
}

void bw_relay_core_tick(struct bw_relay_core *core, struct bw_relay_now now)
{
    if (bw_cookie_jar_due(&core->jar, relay_ms(now))) {
        uint8_t secret[BW_COOKIE_SECRET];
        core->random(secret, sizeof secret);
        bw_cookie_jar_rotate(&core->jar, secret, relay_ms(now));
        bw_wipe(secret, sizeof secret);
    }
    for (size_t i = 0; i < BW_RELAY_CELLS_MAX; i++) {
        if (core->cells[i].used)
            relay_keys_tick(&core->cells[i], now.wall_ms);
    }
    relay_staleness_tick(core);
    end_overdue(core, now);
}

/* ---- cells ---- */

enum bw_code bw_relay_core_add_cell(struct bw_relay_core *core, size_t index,
                                    const struct bw_relay_cell_config *config, struct bw_error *err)
{
    BW_CHECK(index < BW_RELAY_CELLS_MAX && !core->cells[index].used);
    struct relay_cell *cell = &core->cells[index];
    size_t len = strlen(config->name);
    if (len == 0 || len >= sizeof cell->name)
        return bw_fail(err, BW_INVALID_ARGUMENT, NULL, "a cell's name has 1 to %d characters",
                       BW_FLEET_NAME - 1);
    enum bw_code code = bw_grant_verifier_create(0, &cell->verifier, err);
    if (code != BW_OK)
        return code;
    cell->used = true;
    memcpy(cell->name, config->name, len + 1);
    cell->id = bw_grant_cell_id(bw_view_str(config->name));
    cell->capacity = config->capacity;
    memcpy(cell->session_secret, config->session_secret, sizeof cell->session_secret);
    cell->authority = BW_AUTHORITY_NONE;
    cell->stale_ms = UINT64_MAX;
    return BW_OK;
}

void bw_relay_core_welcomed(struct bw_relay_core *core, size_t index, uint32_t relay_number,
                            const struct bw_id *stream_id)
{
    struct relay_cell *cell = &core->cells[index];
    /* Of another stream nothing has been applied: its group numbers say nothing about this one's. */
    if (!bw_id_equal(&cell->stream_id, stream_id))
        cell->applied = 0;
    cell->welcomed = true;
    cell->relay_number = relay_number;
    cell->stream_id = *stream_id;
}

void bw_relay_core_applied(struct bw_relay_core *core, size_t index, uint64_t group)
{
    struct relay_cell *cell = &core->cells[index];
    cell->applied = group;
    for (size_t i = 0; i < core->limits.channels && cell->provisional > 0; i++) {
        struct relay_channel *channel = &core->channels[i];
        if (!channel->used || channel->cell != index || channel->slot != NULL || channel->grant.group > group)
            continue;
        struct relay_slot *slot = relay_slot_find(core, &channel->grant.meeting, channel->grant.slot);
        if (slot == NULL)
            relay_channel_end(core, channel, BW_REFUSAL_NO_SLOT, BW_LEFT_REVOKED);
        else if (!relay_channel_confirm(core, channel, slot))
            relay_channel_end(core, channel, BW_REFUSAL_GRANT_OUTDATED, BW_LEFT_REVOKED);
    }
}

void bw_relay_core_authority(struct bw_relay_core *core, size_t index, enum bw_authority authority,
                             uint64_t stale_ms)
{
    core->cells[index].authority = authority;
    core->cells[index].stale_ms = stale_ms;
}

void bw_relay_core_drain(struct bw_relay_core *core, size_t index, bool draining)
{
    core->cells[index].draining = draining;
}

static void remember_revocation(struct bw_relay_core *core, const struct bw_revoke *revoke, uint32_t slot,
                                struct bw_relay_now now)
{
    core->revocations[core->next_revocation++ % REVOCATIONS_KEPT] =
        (struct relay_revocation){.meeting = revoke->meeting,
                                  .slot = slot,
                                  .meeting_epoch = revoke->meeting_epoch,
                                  .until_us = now.mono_us + (uint64_t)REVOCATION_MS * 1000};
}

static void revoke_slot(struct bw_relay_core *core, struct relay_meeting *meeting, uint32_t number,
                        uint32_t meeting_epoch)
{
    struct relay_slot *slot = relay_slot_find(core, &meeting->id, number);
    struct relay_channel *channel = relay_channel_of_slot(core, meeting, number);
    if (channel != NULL && channel->grant.meeting_epoch <= meeting_epoch)
        relay_channel_end(core, channel, BW_REFUSAL_REVOKED, BW_LEFT_REVOKED);
    if (slot != NULL && slot->body.meeting_epoch <= meeting_epoch)
        slot->revoked = true;
}

/* Everybody of the meeting, and its links; from the back, since members leave the list. */
static void revoke_meeting(struct bw_relay_core *core, struct relay_meeting *meeting, uint32_t meeting_epoch)
{
    for (size_t i = meeting->member_count; i-- > 0;) {
        if (meeting->members[i]->grant.meeting_epoch <= meeting_epoch)
            relay_channel_end(core, meeting->members[i], BW_REFUSAL_REVOKED, BW_LEFT_REVOKED);
    }
    for (size_t i = 0; i < meeting->link_count; i++) {
        if (meeting->links[i]->meeting_epoch <= meeting_epoch)
            meeting->links[i]->revoked = true;
    }
    struct relay_slot *slot, *next;
    HASH_ITER(hh, core->slots, slot, next)
    {
        if (slot->meeting == meeting && slot->body.meeting_epoch <= meeting_epoch)
            slot->revoked = true;
    }
}

void bw_relay_core_revoke(struct bw_relay_core *core, size_t index, const struct bw_revoke *revoke,
                          struct bw_relay_now now)
{
    struct relay_meeting *meeting = relay_meeting_find(core, &revoke->meeting);
    if (meeting != NULL && meeting->cell != index)
        return;
    if (meeting != NULL)
        meeting->references++; /* ending the last member must not end the meeting under us */
    if (revoke->peer_number != 0) {
        struct relay_link *link = relay_link_find(core, &revoke->meeting, revoke->peer_number);
        if (link != NULL && link->meeting_epoch <= revoke->meeting_epoch)
            link->revoked = true;
    } else if (revoke->slot_count == 0) {
        remember_revocation(core, revoke, 0, now);
        if (meeting != NULL)
            revoke_meeting(core, meeting, revoke->meeting_epoch);
    }
    for (size_t i = 0; i < revoke->slot_count; i++) {
        remember_revocation(core, revoke, revoke->slots[i], now);
        if (meeting != NULL)
            revoke_slot(core, meeting, revoke->slots[i], revoke->meeting_epoch);
    }
    if (meeting != NULL)
        relay_meeting_release(core, meeting);
}

/* ---- what it knows ---- */

const struct bw_relay_counters *bw_relay_core_counters(const struct bw_relay_core *core)
{
    return &core->counters;
}

void bw_relay_core_send_failed(struct bw_relay_core *core, uint64_t count)
{
    core->counters.dropped[BW_DROP_SEND_FAILED] += count;
}

struct bw_relay_cell_status bw_relay_core_cell_status(const struct bw_relay_core *core, size_t index)
{
    const struct relay_cell *cell = &core->cells[index];
    struct bw_relay_cell_status status = {.participants = cell->participants,
                                          .provisional = cell->provisional,
                                          .capacity = cell->capacity,
                                          .slots = cell->slots,
                                          .links = cell->links,
                                          .draining = cell->draining,
                                          .authority = cell->authority};
    for (size_t i = 0; i < BW_GRANT_KEYS_MAX; i++)
        status.keys += cell->keys[i].used ? 1 : 0;
    return status;
}

size_t bw_relay_core_meetings(const struct bw_relay_core *core)
{
    return HASH_COUNT(core->meetings);
}

void bw_relay_core_each_channel(struct bw_relay_core *core,
                                void (*each)(void *context, const struct bw_relay_channel_status *status),
                                void *context)
{
    for (size_t i = 0; i < core->limits.channels; i++) {
        struct relay_channel *channel = &core->channels[i];
        if (!channel->used)
            continue;
        struct bw_relay_channel_status status = {.cell = channel->cell,
                                                 .meeting = channel->meeting->id,
                                                 .slot = channel->grant.slot,
                                                 .channel = channel->number,
                                                 .provisional = channel->slot == NULL,
                                                 .role = channel->grant.role,
                                                 .measure = &channel->measure,
                                                 .rtt_us = channel->rtt_us,
                                                 .dropped = channel->dropped};
        each(context, &status);
    }
}

void bw_relay_core_each_path(struct bw_relay_core *core,
                             void (*each)(void *context, const struct bw_relay_path *path), void *context)
{
    for (size_t i = 0; i < core->limits.channels; i++) {
        if (!core->channels[i].used)
            continue;
        const struct bw_relay_path path = relay_path_of_channel(&core->channels[i]);
        each(context, &path);
    }
    struct relay_link *link, *next_link;
    struct relay_sender *sender, *next;
    HASH_ITER(hh, core->links, link, next_link)
    HASH_ITER(hh, link->senders, sender, next)
    {
        const struct bw_relay_path path = relay_path_of_sender(link, sender);
        each(context, &path);
    }
}
