/* The path of every datagram. */
#include <string.h>

#include "base/alloc.h"
#include "base/check.h"
#include "relay/core_state.h"

void relay_drop(struct bw_relay_core *core, enum bw_drop drop)
{
    core->counters.dropped[drop]++;
}

void relay_answer(struct bw_relay_core *core, const struct bw_address *to, const struct bw_datagram *datagram,
                  const struct bw_hmac256 *key)
{
    struct bw_outgoing *out = bw_outbox_next(core->outbox);
    BW_CHECK(datagram->payload.len <= sizeof out->own_payload);
    struct bw_datagram copy = *datagram;
    if (datagram->payload.len > 0)
        memcpy(out->own_payload, datagram->payload.data, datagram->payload.len);
    copy.payload = bw_view_of(out->own_payload, datagram->payload.len);
    out->to = *to;
    out->payload = copy.payload;
    bw_datagram_write(out->header, &copy, key, BW_FROM_RELAY);
}

static void copy_to(struct bw_relay_core *core, const struct bw_address *to,
                    const struct bw_datagram *datagram, const struct bw_hmac256 *key,
                    enum bw_direction direction)
{
    struct bw_outgoing *out = bw_outbox_next(core->outbox);
    out->to = *to;
    out->payload = datagram->payload;
    bw_datagram_write(out->header, datagram, key, direction);
    core->counters.forwarded++;
    core->counters.forwarded_bytes += datagram->payload.len;
}

static void to_members(struct bw_relay_core *core, const struct relay_meeting *meeting,
                       const struct relay_channel *except, const struct bw_datagram *datagram)
{
    struct bw_datagram copy = *datagram;
    copy.type = BW_DATAGRAM_DATA;
    for (size_t i = 0; i < meeting->member_count; i++) {
        const struct relay_channel *member = meeting->members[i];
        if (member == except || member->grant.meeting_epoch != datagram->meeting_epoch)
            continue;
        copy.channel = member->number;
        copy_to(core, &member->address, &copy, &member->key, BW_FROM_RELAY);
    }
}

static void to_peers(struct bw_relay_core *core, const struct relay_meeting *meeting,
                     const struct bw_datagram *datagram)
{
    struct bw_datagram copy = *datagram;
    copy.type = BW_DATAGRAM_LINK;
    for (size_t i = 0; i < meeting->link_count; i++) {
        const struct relay_link *link = meeting->links[i];
        if (link->stale || link->revoked || link->meeting_epoch != datagram->meeting_epoch)
            continue;
        copy.channel = link->number;
        copy_to(core, &link->address, &copy, &link->hmac, link->outward);
        core->counters.to_peers++;
    }
}

static void drop_from(struct bw_relay_core *core, struct relay_channel *channel, enum bw_drop drop)
{
    channel->dropped++;
    relay_drop(core, drop);
}

/* What every datagram of an admitted participant must pass. NULL: dropped. */
static struct relay_channel *authenticate(struct bw_relay_core *core, const struct bw_address *from,
                                          struct bw_view bytes, const struct bw_datagram *datagram)
{
    struct relay_channel *channel = relay_channel_find(core, datagram->channel);
    if (channel == NULL) {
        relay_drop(core, BW_DROP_UNKNOWN_CHANNEL);
        return NULL;
    }
    if (!bw_address_equal(from, &channel->address)) {
        drop_from(core, channel, BW_DROP_ADDRESS_CHANGED); /* a RESUME from there, with a cookie, moves it */
        return NULL;
    }
    if (!bw_datagram_verify(bytes, &channel->key, BW_TO_RELAY)) {
        drop_from(core, channel, BW_DROP_BAD_TAG);
        return NULL;
    }
    if (datagram->sender != channel->grant.slot) {
        drop_from(core, channel, BW_DROP_WRONG_SENDER);
        return NULL;
    }
    if (datagram->meeting_epoch != channel->grant.meeting_epoch) {
        drop_from(core, channel, BW_DROP_WRONG_EPOCH);
        return NULL;
    }
    return channel;
}

static bool within_rate(struct bw_relay_core *core, struct relay_channel *channel, size_t bytes,
                        struct bw_relay_now now)
{
    const struct bw_relay_limits *limits = &core->limits;
    /* Kilobits, so that the bucket's integers stay small; every datagram counts at least one. */
    uint32_t kilobits = (uint32_t)(bytes * 8 / 1000 + 1);
    uint32_t rate = (uint32_t)(limits->bits_per_second / 1000);
    return bw_limit_take(&channel->packets, now.mono_us, limits->packets_per_second, limits->packets_burst,
                         1) &&
           bw_limit_take(&channel->bits, now.mono_us, rate, rate, kilobits);
}

static void data(struct bw_relay_core *core, const struct bw_address *from, struct bw_view bytes,
                 const struct bw_datagram *datagram, struct bw_relay_now now)
{
    struct relay_channel *channel = authenticate(core, from, bytes, datagram);
    if (channel == NULL)
        return;
    if (!bw_replay_fresh(&channel->replay, datagram->sequence) ||
        datagram->sequence < channel->first_sequence) {
        drop_from(core, channel, BW_DROP_REPLAYED);
        return;
    }
    /* Another run's numbers would shut out the next admission's. */
    if (datagram->sequence >> 32 != channel->first_sequence >> 32) {
        drop_from(core, channel, BW_DROP_REPLAYED);
        return;
    }
    bw_replay_mark(&channel->replay, datagram->sequence);
    channel->heard_us = now.mono_us;
    if (channel->grant.role == BW_ROLE_LISTENER) {
        drop_from(core, channel, BW_DROP_NOT_A_SPEAKER);
        return;
    }
    if (core->cells[channel->cell].authority == BW_AUTHORITY_NONE) {
        drop_from(core, channel, BW_DROP_STALE);
        return;
    }
    bw_measure_packet(&channel->measure, datagram->sequence, datagram->timestamp_us,
                      (uint32_t)(now.mono_us - now.waited_us), (uint32_t)datagram->payload.len);
    if (!within_rate(core, channel, bytes.len, now)) {
        drop_from(core, channel, BW_DROP_RATE_LIMITED);
        return;
    }
    core->counters.received++;
    core->counters.received_bytes += datagram->payload.len;
    to_members(core, channel->meeting, channel, datagram);
    to_peers(core, channel->meeting, datagram);
}

static void ping(struct bw_relay_core *core, const struct bw_address *from, struct bw_view bytes,
                 const struct bw_datagram *datagram, struct bw_relay_now now)
{
    if (datagram->payload.len != BW_PING_PAYLOAD) {
        relay_drop(core, BW_DROP_MALFORMED);
        return;
    }
    if (relay_channel_find(core, datagram->channel) == NULL) {
        /* A hint, shorter than the ping: this relay has started again or ended the channel. It proves
         * nothing; the participant finds out by RESUME. */
        uint8_t payload[BW_BYE_PAYLOAD];
        size_t len = bw_bye_write(BW_REFUSAL_UNKNOWN_CHANNEL, payload, sizeof payload);
        struct bw_datagram bye = {
            .type = BW_DATAGRAM_BYE, .channel = datagram->channel, .payload = bw_view_of(payload, len)};
        relay_drop(core, BW_DROP_UNKNOWN_CHANNEL);
        relay_answer(core, from, &bye, NULL);
        return;
    }
    struct relay_channel *channel = authenticate(core, from, bytes, datagram);
    if (channel == NULL)
        return;
    if (datagram->sequence <= channel->control_sequence) {
        drop_from(core, channel, BW_DROP_REPLAYED);
        return;
    }
    channel->control_sequence = datagram->sequence;
    channel->heard_us = now.mono_us;
    struct bw_reader r = bw_reader_of(datagram->payload);
    channel->rtt_us = bw_read_u32(&r);
    struct bw_datagram pong = *datagram;
    pong.type = BW_DATAGRAM_PONG;
    relay_answer(core, from, &pong, &channel->key);
}

static void leave(struct bw_relay_core *core, const struct bw_address *from, struct bw_view bytes,
                  const struct bw_datagram *datagram)
{
    struct relay_channel *channel = authenticate(core, from, bytes, datagram);
    if (channel == NULL)
        return;
    if (datagram->payload.len != 0 || datagram->sequence <= channel->control_sequence) {
        drop_from(core, channel, BW_DROP_REPLAYED);
        return;
    }
    core->counters.leaves++;
    relay_channel_end(core, channel, BW_REFUSAL_LEFT, BW_LEFT_ITSELF);
}

static struct relay_sender *sender_of(struct relay_link *link, uint32_t slot)
{
    struct relay_sender *sender;
    HASH_FIND(hh, link->senders, &slot, sizeof slot, sender);
    if (sender != NULL || HASH_COUNT(link->senders) >= BW_LINK_SENDERS_MAX)
        return sender;
    sender = bw_calloc(1, sizeof *sender);
    if (sender == NULL)
        return NULL;
    sender->slot = slot;
    HASH_ADD(hh, link->senders, slot, sizeof sender->slot, sender);
    if (sender->hh.tbl == NULL) {
        bw_free(sender);
        return NULL;
    }
    return sender;
}

/* From a peer: to the participants here and to nobody else. In a mesh everybody else has it from the peer
 * itself, and so nothing can go round in circles. */
static void from_peer(struct bw_relay_core *core, struct bw_view bytes, const struct bw_datagram *datagram,
                      struct bw_relay_now now)
{
    struct relay_link *link;
    HASH_FIND(hh_number, core->links_by_number, &datagram->channel, sizeof datagram->channel, link);
    if (link == NULL) {
        relay_drop(core, BW_DROP_UNKNOWN_LINK);
        return;
    }
    while (link != NULL && !bw_datagram_verify(bytes, &link->hmac, link->inward))
        link = link->same_number;
    if (link == NULL) {
        relay_drop(core, BW_DROP_BAD_TAG);
        return;
    }
    if (link->revoked || link->stale || core->cells[link->cell].authority == BW_AUTHORITY_NONE) {
        relay_drop(core, BW_DROP_STALE);
        return;
    }
    if (datagram->meeting_epoch != link->meeting_epoch) {
        relay_drop(core, BW_DROP_WRONG_EPOCH);
        return;
    }
    struct relay_sender *sender = sender_of(link, datagram->sender);
    if (sender == NULL) {
        relay_drop(core, BW_DROP_LINK_FULL);
        return;
    }
    if (!bw_replay_fresh(&sender->replay, datagram->sequence)) {
        relay_drop(core, BW_DROP_REPLAYED);
        return;
    }
    bw_replay_mark(&sender->replay, datagram->sequence);
    if (sender->measure.started && datagram->sequence >> 32 != sender->measure.highest >> 32)
        bw_measure_restart(&sender->measure); /* admitted anew: a new run, and the gap is no loss */
    bw_measure_packet(&sender->measure, datagram->sequence, datagram->timestamp_us,
                      (uint32_t)(now.mono_us - now.waited_us), (uint32_t)datagram->payload.len);
    core->counters.received++;
    core->counters.received_bytes += datagram->payload.len;
    to_members(core, link->meeting, NULL, datagram);
}

void bw_relay_core_receive(struct bw_relay_core *core, const struct bw_address *from, struct bw_view bytes,
                           struct bw_relay_now now)
{
    struct bw_datagram datagram;
    if (!bw_datagram_parse(bytes, &datagram)) {
        relay_drop(core, BW_DROP_FOREIGN);
        return;
    }
    switch (datagram.type) {
    case BW_DATAGRAM_DATA:
        data(core, from, bytes, &datagram, now);
        break;
    case BW_DATAGRAM_LINK:
        from_peer(core, bytes, &datagram, now);
        break;
    case BW_DATAGRAM_JOIN:
        relay_join(core, from, bytes, &datagram, now);
        break;
    case BW_DATAGRAM_RESUME:
        relay_resume(core, from, bytes, &datagram, now);
        break;
    case BW_DATAGRAM_PING:
        ping(core, from, bytes, &datagram, now);
        break;
    case BW_DATAGRAM_LEAVE:
        leave(core, from, bytes, &datagram);
        break;
    case BW_DATAGRAM_COOKIE:
    case BW_DATAGRAM_ADMITTED:
    case BW_DATAGRAM_REFUSED:
    case BW_DATAGRAM_PONG:
    case BW_DATAGRAM_BYE:
    case BW_DATAGRAM_PROBE: /* the prober takes these before */
    case BW_DATAGRAM_PROBE_REPLY:
        relay_drop(core, BW_DROP_UNEXPECTED);
        break;
    }
}
