/* JOIN and RESUME. In order of what they cost us, and of what they may cost others:
 *   1. the cookie: an address that has not shown itself gets an answer no longer than what it sent;
 *   2. the hop key's tag: who was not given the key by the control plane goes no further;
 *   3. the grant: form, cell, relay, times, signature;
 *   4. the slot it must fit, or the right to be early;
 *   5. room. */
#include <string.h>

#include "base/check.h"
#include "base/secret.h"
#include "relay/core_state.h"

struct attempt {
    const struct bw_address *from;
    const struct bw_datagram *datagram;
    struct bw_join join;
    struct relay_cell *cell;
    size_t cell_index;
    struct bw_grant grant;
    uint8_t body_hash[BW_SHA256_SIZE];
    struct bw_hmac256 key;
    bool keyed; /* the key is the sender's too */
};

static void refuse(struct bw_relay_core *core, const struct bw_address *to, uint32_t channel, uint64_t nonce,
                   enum bw_refusal refusal, const struct bw_hmac256 *key)
{
    uint8_t payload[BW_REFUSED_PAYLOAD];
    size_t len = bw_refused_write(nonce, refusal, payload, sizeof payload);
    struct bw_datagram answer = {
        .type = BW_DATAGRAM_REFUSED, .channel = channel, .payload = bw_view_of(payload, len)};
    core->counters.refused[refusal]++;
    relay_drop(core, BW_DROP_REFUSED);
    relay_answer(core, to, &answer, key);
}

static void refuse_join(struct bw_relay_core *core, const struct attempt *a, enum bw_refusal refusal)
{
    refuse(core, a->from, 0, a->join.nonce, refusal, a->keyed ? &a->key : NULL);
}

static void challenge(struct bw_relay_core *core, const struct bw_address *to, uint64_t nonce,
                      struct bw_view subject)
{
    uint8_t cookie[BW_COOKIE_SIZE], payload[BW_COOKIE_PAYLOAD];
    bw_cookie_make(&core->jar, to, subject, cookie);
    size_t len = bw_cookie_write(nonce, cookie, payload, sizeof payload);
    struct bw_datagram answer = {.type = BW_DATAGRAM_COOKIE, .payload = bw_view_of(payload, len)};
    core->counters.cookies++;
    relay_drop(core, BW_DROP_CHALLENGED);
    relay_answer(core, to, &answer, NULL);
}

static void admitted(struct bw_relay_core *core, const struct relay_channel *channel, uint64_t nonce)
{
    uint8_t payload[BW_ADMITTED_PAYLOAD];
    struct bw_admitted body = {.nonce = nonce,
                               .provisional = channel->slot == NULL,
                               .mode = (uint8_t)channel->grant.mode,
                               .keepalive_ms = core->limits.keepalive_ms};
    size_t len = bw_admitted_write(&body, payload, sizeof payload);
    struct bw_datagram answer = {.type = BW_DATAGRAM_ADMITTED,
                                 .channel = channel->number,
                                 .sender = channel->grant.slot,
                                 .meeting_epoch = channel->grant.meeting_epoch,
                                 .sequence = channel->first_sequence,
                                 .payload = bw_view_of(payload, len)};
    relay_answer(core, &channel->address, &answer, &channel->key);
}

static struct relay_cell *cell_of(struct bw_relay_core *core, const struct bw_id *id, size_t *index)
{
    for (size_t i = 0; i < BW_RELAY_CELLS_MAX; i++) {
        struct relay_cell *cell = &core->cells[i];
        if (cell->used && cell->welcomed && bw_id_equal(&cell->id, id)) {
            *index = i;
            return cell;
        }
    }
    return NULL;
}

/* Reads the grant far enough to know whose secret its hop key comes from, and checks the tag. */
static enum bw_refusal check_key(struct bw_relay_core *core, struct attempt *a, struct bw_view bytes)
{
    enum bw_grant_refusal found = bw_grant_parse(a->join.grant, &a->grant);
    if (found != BW_GRANT_OK)
        return bw_refusal_of_grant(found);
    a->cell = cell_of(core, &a->grant.cell, &a->cell_index);
    if (a->cell == NULL)
        return BW_REFUSAL_WRONG_CELL;
    bw_sha256(bw_view_of(a->join.grant.data, BW_GRANT_BODY_SIZE), a->body_hash);
    struct bw_secret hop_key = {0};
    bw_grant_hop_key(a->cell->session_secret, a->body_hash, &hop_key);
    bw_hmac256_init(&a->key, bw_view_of(hop_key.bytes, hop_key.len));
    bw_secret_finish(&hop_key);
    if (!bw_datagram_verify(bytes, &a->key, BW_TO_RELAY)) /* another relay's key is another one */
        return a->grant.relay != a->cell->relay_number ? BW_REFUSAL_WRONG_RELAY : BW_REFUSAL_WRONG_HOP_KEY;
    a->keyed = true;
    return BW_REFUSAL_NONE;
}

static enum bw_refusal check_grant(struct bw_relay_core *core, struct attempt *a, struct bw_relay_now now)
{
    relay_keys_tick(a->cell, now.wall_ms);
    struct bw_grant_expect expect = {.cell = a->cell->id,
                                     .relay = a->cell->relay_number,
                                     .now_ms = now.wall_ms,
                                     .skew_ms = core->limits.clock_skew_ms};
    enum bw_grant_refusal found = bw_grant_verify(a->cell->verifier, a->join.grant, &expect, &a->grant, NULL);
    if (found != BW_GRANT_OK)
        return bw_refusal_of_grant(found);
    return relay_revoked(core, &a->grant, now) ? BW_REFUSAL_REVOKED : BW_REFUSAL_NONE;
}

/* The relay has not yet applied the decision the grant comes from. */
static bool behind(const struct attempt *a)
{
    return bw_id_equal(&a->grant.stream, &a->cell->stream_id) && a->cell->applied < a->grant.group;
}

/* The second check of policy: the slot the control plane told this relay of must be the grant's. With
 * BW_REFUSAL_NONE, *slot NULL means "early": admitted until the relay has caught up. */
static enum bw_refusal check_slot(struct bw_relay_core *core, const struct attempt *a,
                                  struct relay_slot **slot)
{
    struct relay_slot *held = relay_slot_find(core, &a->grant.meeting, a->grant.slot);
    if (held != NULL && held->cell != a->cell_index)
        return BW_REFUSAL_WRONG_CELL;
    if (held != NULL) {
        struct bw_grant_slot expected = {.meeting = held->body.meeting,
                                         .roster_entry = held->body.roster_entry,
                                         .slot = held->body.slot,
                                         .meeting_epoch = held->body.meeting_epoch,
                                         .mode_epoch = held->body.mode_epoch,
                                         .mode = held->body.mode,
                                         .role = held->body.role};
        enum bw_grant_refusal found = bw_grant_fits_slot(&a->grant, &expected);
        if (held->revoked)
            return BW_REFUSAL_REVOKED;
        if (held->stale)
            return BW_REFUSAL_GRACE_ENDED;
        if (found == BW_GRANT_OK) {
            *slot = held;
            return BW_REFUSAL_NONE;
        }
        /* An older grant never fits a newer slot; a newer one may be of a decision that is still on its way.
         */
        bool older =
            a->grant.meeting_epoch < held->body.meeting_epoch || a->grant.mode_epoch < held->body.mode_epoch;
        if (older || !behind(a) || a->cell->authority != BW_AUTHORITY_FULL)
            return bw_refusal_of_grant(found);
        *slot = NULL;
        return BW_REFUSAL_NONE;
    }
    if (!behind(a))
        return BW_REFUSAL_NO_SLOT;
    if (a->cell->authority != BW_AUTHORITY_FULL)
        return BW_REFUSAL_LEASE_EXPIRED;
    *slot = NULL;
    return BW_REFUSAL_NONE;
}

/* Who may come in now: with the lease, anybody whose grant fits; without it, who is held here already; once
 * grace has ended, nobody. */
static enum bw_refusal check_authority(const struct relay_cell *cell, const struct relay_channel *existing)
{
    if (cell->authority == BW_AUTHORITY_NONE)
        return BW_REFUSAL_GRACE_ENDED;
    if (existing != NULL)
        return BW_REFUSAL_NONE;
    if (cell->authority == BW_AUTHORITY_HELD)
        return BW_REFUSAL_LEASE_EXPIRED;
    return cell->draining ? BW_REFUSAL_DRAINING : BW_REFUSAL_NONE;
}

/* Sequences of a new run are above all of the runs before: of this slot here, and (as the participant says)
 * of its time on another relay. Its upper half is the second of admission, which also covers a participant
 * that has forgotten. A participant can only push its own numbers up, and not by more than a day. */
static uint64_t first_sequence(const struct attempt *a, const struct relay_slot *slot,
                               const struct relay_channel *existing, struct bw_relay_now now)
{
    uint64_t generation = now.wall_ms / 1000;
    uint64_t said = a->datagram->sequence >> 32;
    if (said >= generation && said < generation + 86400)
        generation = said + 1;
    if (slot != NULL && slot->generation >= generation)
        generation = slot->generation + 1;
    if (existing != NULL && existing->first_sequence >> 32 >= generation)
        generation = (existing->first_sequence >> 32) + 1;
    return generation << 32 | 1;
}

static void admit(struct bw_relay_core *core, struct attempt *a, struct relay_slot *slot,
                  struct relay_channel *existing, struct bw_relay_now now)
{
    struct relay_meeting *meeting = relay_meeting_hold(core, a->cell_index, &a->grant.meeting);
    bool room = existing != NULL || a->cell->participants < a->cell->capacity;
    if (meeting == NULL || !room) {
        if (meeting != NULL)
            relay_meeting_release(core, meeting);
        refuse_join(core, a, BW_REFUSAL_CAPACITY);
        return;
    }
    uint64_t first = first_sequence(a, slot, existing, now);
    if (existing != NULL) {
        bool moved = !bw_address_equal(&existing->address, a->from);
        relay_channel_end(core, existing, moved ? BW_REFUSAL_REPLACED : BW_REFUSAL_NONE, BW_LEFT_ITSELF);
    }
    struct relay_channel *channel = relay_channel_take(core, a->cell_index, meeting);
    relay_meeting_release(core, meeting); /* the channel holds it now */
    if (channel == NULL) {
        refuse_join(core, a, BW_REFUSAL_CAPACITY);
        return;
    }
    channel->grant = a->grant;
    memcpy(channel->body_hash, a->body_hash, sizeof channel->body_hash);
    channel->join_nonce = a->join.nonce;
    channel->key = a->key;
    channel->address = *a->from;
    channel->first_sequence = first;
    channel->replay.highest = first - 1;
    channel->admitted_us = channel->heard_us = now.mono_us;
    core->counters.joins++;
    if (slot == NULL) {
        struct bw_meeting_slot early = {.meeting = a->grant.meeting,
                                        .slot = a->grant.slot,
                                        .roster_entry = a->grant.roster_entry,
                                        .meeting_epoch = a->grant.meeting_epoch,
                                        .mode_epoch = a->grant.mode_epoch,
                                        .mode = a->grant.mode,
                                        .role = a->grant.role};
        if (core->hooks.joined != NULL)
            core->hooks.joined(core->hooks.context, a->cell_index, &early, true);
    } else {
        BW_CHECK(relay_channel_confirm(core, channel, slot)); /* it has just been found to fit */
    }
    admitted(core, channel, a->join.nonce);
}

static void join(struct bw_relay_core *core, struct attempt *a, struct bw_view bytes, struct bw_relay_now now)
{
    enum bw_refusal refusal = check_key(core, a, bytes);
    if (refusal != BW_REFUSAL_NONE) {
        refuse_join(core, a, refusal);
        return;
    }
    struct relay_meeting *meeting = relay_meeting_find(core, &a->grant.meeting);
    struct relay_channel *existing =
        meeting != NULL ? relay_channel_of_slot(core, meeting, a->grant.slot) : NULL;
    if (existing != NULL && !bw_id_equal(&existing->grant.roster_entry, &a->grant.roster_entry))
        existing = NULL; /* the slot check decides between the two */
    bool again = existing != NULL && existing->join_nonce == a->join.nonce &&
                 memcmp(existing->body_hash, a->body_hash, sizeof a->body_hash) == 0 &&
                 bw_address_equal(&existing->address, a->from);
    if (again) { /* our answer was lost */
        admitted(core, existing, a->join.nonce);
        return;
    }
    struct relay_slot *slot = NULL;
    refusal = check_grant(core, a, now);
    if (refusal == BW_REFUSAL_NONE)
        refusal = check_authority(a->cell, existing);
    if (refusal == BW_REFUSAL_NONE)
        refusal = check_slot(core, a, &slot);
    if (refusal != BW_REFUSAL_NONE) {
        refuse_join(core, a, refusal);
        return;
    }
    if (existing == NULL && meeting != NULL) /* somebody else's early admission to this slot */
        existing = relay_channel_of_slot(core, meeting, a->grant.slot);
    admit(core, a, slot, existing, now);
}

void relay_join(struct bw_relay_core *core, const struct bw_address *from, struct bw_view bytes,
                const struct bw_datagram *datagram, struct bw_relay_now now)
{
    struct attempt a = {.from = from, .datagram = datagram};
    if (datagram->channel != 0 || !bw_join_parse(datagram->payload, &a.join) ||
        bytes.len < BW_DATAGRAM_HEADER + BW_COOKIE_PAYLOAD) {
        relay_drop(core, BW_DROP_MALFORMED);
        return;
    }
    uint8_t subject[BW_SHA256_SIZE];
    bw_sha256(a.join.grant, subject);
    struct bw_view about = bw_view_of(subject, sizeof subject);
    if (!bw_cookie_check(&core->jar, from, about, a.join.cookie)) {
        challenge(core, from, a.join.nonce, about);
        return;
    }
    join(core, &a, bytes, now);
    bw_hmac256_finish(&a.key);
}

void relay_resume(struct bw_relay_core *core, const struct bw_address *from, struct bw_view bytes,
                  const struct bw_datagram *datagram, struct bw_relay_now now)
{
    struct bw_resume resume;
    if (!bw_resume_parse(datagram->payload, &resume)) {
        relay_drop(core, BW_DROP_MALFORMED);
        return;
    }
    uint8_t subject[4];
    struct bw_writer w = bw_writer_of(subject, sizeof subject);
    bw_write_u32(&w, datagram->channel);
    struct bw_view about = bw_view_of(subject, sizeof subject);
    if (!bw_cookie_check(&core->jar, from, about, resume.cookie)) {
        challenge(core, from, resume.nonce, about);
        return;
    }
    struct relay_channel *channel = relay_channel_find(core, datagram->channel);
    if (channel == NULL) {
        refuse(core, from, datagram->channel, resume.nonce, BW_REFUSAL_UNKNOWN_CHANNEL, NULL);
        return;
    }
    if (!bw_datagram_verify(bytes, &channel->key, BW_TO_RELAY)) {
        /* Most likely a channel of this relay's last life. */
        relay_drop(core, BW_DROP_BAD_TAG);
        refuse(core, from, datagram->channel, resume.nonce, BW_REFUSAL_UNKNOWN_CHANNEL, NULL);
        return;
    }
    if (datagram->sequence <= channel->control_sequence) {
        relay_drop(core, BW_DROP_REPLAYED);
        return;
    }
    if (core->cells[channel->cell].authority == BW_AUTHORITY_NONE) {
        refuse(core, from, channel->number, resume.nonce, BW_REFUSAL_GRACE_ENDED, &channel->key);
        return;
    }
    channel->control_sequence = datagram->sequence;
    channel->address = *from;
    channel->heard_us = now.mono_us;
    core->counters.resumes++;
    admitted(core, channel, resume.nonce);
}
