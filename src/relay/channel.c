/* Participants who have been admitted. */
#include <string.h>

#include "base/alloc.h"
#include "base/check.h"
#include "base/secret.h"
#include "relay/core_state.h"

struct relay_channel *relay_channel_find(struct bw_relay_core *core, uint32_t number)
{
    uint32_t index = number & ((1u << core->channel_bits) - 1);
    if (index >= core->limits.channels)
        return NULL;
    struct relay_channel *channel = &core->channels[index];
    return channel->used && channel->number == number ? channel : NULL;
}

static struct relay_channel *free_place(struct bw_relay_core *core)
{
    if (core->channel_count == core->limits.channels)
        return NULL;
    for (size_t i = 0; i < core->limits.channels; i++) {
        struct relay_channel *channel = &core->channels[(core->next_free + i) % core->limits.channels];
        if (!channel->used) {
            core->next_free = (core->next_free + i + 1) % core->limits.channels;
            return channel;
        }
    }
    return NULL;
}

static bool add_member(struct bw_relay_core *core, struct relay_meeting *meeting,
                       struct relay_channel *channel)
{
    if (meeting->member_count >= core->limits.meeting_members)
        return false;
    if (meeting->member_count == meeting->member_room) {
        size_t room = meeting->member_room > 0 ? meeting->member_room * 2 : 4;
        struct relay_channel **grown = bw_realloc(meeting->members, room * sizeof(struct relay_channel *));
        if (grown == NULL)
            return false;
        meeting->members = grown;
        meeting->member_room = room;
    }
    channel->member = meeting->member_count;
    meeting->members[meeting->member_count++] = channel;
    return true;
}

struct relay_channel *relay_channel_take(struct bw_relay_core *core, size_t cell,
                                         struct relay_meeting *meeting)
{
    struct relay_channel *channel = free_place(core);
    if (channel == NULL)
        return NULL;
    /* The number of a place changes with every use, so that a datagram for who was there before finds nobody.
     */
    uint32_t uses = channel->uses + 1, index = (uint32_t)(channel - core->channels);
    memset(channel, 0, sizeof *channel);
    channel->uses = uses;
    channel->number = uses << core->channel_bits | index;
    if (!add_member(core, meeting, channel))
        return NULL;
    channel->used = true;
    channel->cell = cell;
    channel->meeting = meeting;
    meeting->references++;
    core->channel_count++;
    core->cells[cell].participants++;
    core->cells[cell].provisional++;
    return channel;
}

static void say_bye(struct bw_relay_core *core, const struct relay_channel *channel, enum bw_refusal refusal)
{
    uint8_t payload[BW_BYE_PAYLOAD];
    size_t len = bw_bye_write(refusal, payload, sizeof payload);
    struct bw_datagram bye = {.type = BW_DATAGRAM_BYE,
                              .channel = channel->number,
                              .sender = channel->grant.slot,
                              .meeting_epoch = channel->grant.meeting_epoch,
                              .payload = bw_view_of(payload, len)};
    relay_answer(core, &channel->address, &bye, &channel->key);
}

struct bw_relay_path relay_path_of_channel(struct relay_channel *channel)
{
    return (struct bw_relay_path){.cell = channel->cell,
                                  .meeting = channel->meeting->id,
                                  .slot = channel->grant.slot,
                                  .measure = &channel->measure,
                                  .rtt_us = channel->rtt_us};
}

struct bw_relay_path relay_path_of_sender(const struct relay_link *link, struct relay_sender *sender)
{
    return (struct bw_relay_path){.cell = link->cell,
                                  .meeting = link->key.meeting,
                                  .slot = sender->slot,
                                  .peer_number = link->key.peer_number,
                                  .measure = &sender->measure};
}

void relay_channel_end(struct bw_relay_core *core, struct relay_channel *channel, enum bw_refusal refusal,
                       enum bw_left_why why)
{
    struct relay_meeting *meeting = channel->meeting;
    struct relay_cell *cell = &core->cells[channel->cell];
    if (refusal != BW_REFUSAL_NONE)
        say_bye(core, channel, refusal);
    if (core->hooks.measured != NULL) {
        const struct bw_relay_path path = relay_path_of_channel(channel);
        core->hooks.measured(core->hooks.context, &path);
    }
    if (core->hooks.left != NULL)
        core->hooks.left(core->hooks.context, channel->cell, &meeting->id, channel->grant.slot, why);
    meeting->members[channel->member] = meeting->members[--meeting->member_count];
    meeting->members[channel->member]->member = channel->member;
    if (channel->slot != NULL)
        channel->slot->channel = NULL;
    else
        cell->provisional--;
    cell->participants--;
    core->channel_count--;
    uint32_t uses = channel->uses;
    bw_wipe(channel, sizeof *channel);
    channel->uses = uses;
    relay_meeting_release(core, meeting);
}

struct relay_channel *relay_channel_of_slot(struct bw_relay_core *core, struct relay_meeting *meeting,
                                            uint32_t number)
{
    const struct relay_slot *slot = relay_slot_find(core, &meeting->id, number);
    if (slot != NULL && slot->channel != NULL)
        return slot->channel;
    for (size_t i = 0; core->cells[meeting->cell].provisional > 0 && i < meeting->member_count; i++) {
        if (meeting->members[i]->grant.slot == number)
            return meeting->members[i];
    }
    return NULL;
}

bool relay_channel_confirm(struct bw_relay_core *core, struct relay_channel *channel, struct relay_slot *slot)
{
    struct bw_grant_slot held = {.meeting = slot->body.meeting,
                                 .roster_entry = slot->body.roster_entry,
                                 .slot = slot->body.slot,
                                 .meeting_epoch = slot->body.meeting_epoch,
                                 .mode_epoch = slot->body.mode_epoch,
                                 .mode = slot->body.mode,
                                 .role = slot->body.role};
    if (slot->revoked || bw_grant_fits_slot(&channel->grant, &held) != BW_GRANT_OK)
        return false;
    if (channel->slot == slot)
        return true;
    channel->slot = slot;
    slot->channel = channel;
    slot->generation = channel->first_sequence >> 32;
    core->cells[channel->cell].provisional--;
    if (core->hooks.joined != NULL)
        core->hooks.joined(core->hooks.context, channel->cell, &slot->body, false);
    return true;
}

bool relay_revoked(const struct bw_relay_core *core, const struct bw_grant *grant, struct bw_relay_now now)
{
    for (size_t i = 0; i < REVOCATIONS_KEPT; i++) {
        const struct relay_revocation *r = &core->revocations[i];
        if (r->until_us > now.mono_us && bw_id_equal(&r->meeting, &grant->meeting) &&
            (r->slot == 0 || r->slot == grant->slot) && grant->meeting_epoch <= r->meeting_epoch)
            return true;
    }
    return false;
}
