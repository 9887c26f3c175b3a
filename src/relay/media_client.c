#include "relay/media_client.h"

#include <string.h>

#include "base/alloc.h"
#include "base/secret.h"

enum {
    FIRST_RETRY_US = 250000, /* then twice as long each time */
    ATTEMPTS_MAX = 7,        /* about 16 s in all */
    COOKIES_MAX = 8,
    PINGS_LOST_MAX = 3,
    DEFAULT_KEEPALIVE_MS = 5000,
};

static void start_over(struct bw_media_client *e, enum bw_media_state state, uint64_t now_us)
{
    e->state = state;
    e->nonce += 0x9e3779b97f4a7c15u;
    e->attempts = 0;
    e->cookies = 0;
    e->pings_unanswered = 0;
    memset(e->cookie, 0, sizeof e->cookie);
    e->due_us = now_us;
}

static enum bw_code take_grant(struct bw_media_client *e, struct bw_view grant,
                               const uint8_t hop_key[BW_GRANT_HOP_KEY_SIZE], struct bw_error *err)
{
    struct bw_grant parsed;
    enum bw_grant_refusal found = bw_grant_parse(grant, &parsed);
    if (found != BW_GRANT_OK || grant.len > sizeof e->token)
        return bw_fail(err, BW_INVALID_ARGUMENT, NULL, "the grant cannot be used: %s",
                       bw_grant_refusal_text(found));
    e->grant = parsed;
    memcpy(e->token, grant.data, grant.len);
    e->token_len = grant.len;
    bw_hmac256_finish(&e->key);
    bw_hmac256_init(&e->key, bw_view_of(hop_key, BW_GRANT_HOP_KEY_SIZE));
    return BW_OK;
}

enum bw_code bw_media_client_init(struct bw_media_client *e, struct bw_view grant,
                                  const uint8_t hop_key[BW_GRANT_HOP_KEY_SIZE], uint64_t nonce,
                                  uint64_t now_us, struct bw_error *err)
{
    struct bw_media_client fresh = {.nonce = nonce, .keepalive_ms = DEFAULT_KEEPALIVE_MS};
    enum bw_code code = take_grant(&fresh, grant, hop_key, err);
    if (code != BW_OK)
        return code;
    *e = fresh;
    bw_hmac256_finish(&fresh.key);
    start_over(e, BW_MEDIA_CLIENT_JOINING, now_us);
    return BW_OK;
}

void bw_media_client_finish(struct bw_media_client *e)
{
    bw_free(e->senders);
    bw_wipe(e, sizeof *e);
    e->state = BW_MEDIA_CLIENT_OVER;
}

enum bw_code bw_media_client_renew(struct bw_media_client *e, struct bw_view grant,
                                   const uint8_t hop_key[BW_GRANT_HOP_KEY_SIZE], uint64_t now_us,
                                   struct bw_error *err)
{
    enum bw_code code = take_grant(e, grant, hop_key, err);
    if (code == BW_OK)
        start_over(e, BW_MEDIA_CLIENT_JOINING, now_us);
    return code;
}

/* ---- sending ---- */

static size_t put(const struct bw_media_client *e, struct bw_datagram *datagram, struct bw_view payload,
                  uint64_t now_us, uint8_t out[BW_DATAGRAM_MAX])
{
    if (payload.len > 0 && payload.data != out + BW_DATAGRAM_HEADER)
        memmove(out + BW_DATAGRAM_HEADER, payload.data, payload.len);
    datagram->payload = bw_view_of(out + BW_DATAGRAM_HEADER, payload.len);
    datagram->timestamp_us = (uint32_t)now_us;
    if (datagram->type != BW_DATAGRAM_JOIN) {
        datagram->channel = e->channel;
        datagram->sender = e->grant.slot;
        datagram->meeting_epoch = e->grant.meeting_epoch;
    }
    bw_datagram_write(out, datagram, &e->key, BW_TO_RELAY);
    return BW_DATAGRAM_HEADER + payload.len;
}

static size_t put_join(struct bw_media_client *e, uint64_t now_us, uint8_t out[BW_DATAGRAM_MAX])
{
    struct bw_join join = {.nonce = e->nonce, .grant = bw_view_of(e->token, e->token_len)};
    memcpy(join.cookie, e->cookie, sizeof join.cookie);
    size_t len = bw_join_write(&join, out + BW_DATAGRAM_HEADER, BW_DATAGRAM_PAYLOAD_MAX);
    /* The last sequence this participant has used, on whichever relay: the next run starts above it. */
    struct bw_datagram datagram = {.type = BW_DATAGRAM_JOIN, .sequence = e->next_sequence};
    return put(e, &datagram, bw_view_of(out + BW_DATAGRAM_HEADER, len), now_us, out);
}

static size_t put_resume(struct bw_media_client *e, uint64_t now_us, uint8_t out[BW_DATAGRAM_MAX])
{
    struct bw_resume resume = {.nonce = e->nonce};
    memcpy(resume.cookie, e->cookie, sizeof resume.cookie);
    size_t len = bw_resume_write(&resume, out + BW_DATAGRAM_HEADER, BW_DATAGRAM_PAYLOAD_MAX);
    struct bw_datagram datagram = {.type = BW_DATAGRAM_RESUME, .sequence = ++e->control_sequence};
    return put(e, &datagram, bw_view_of(out + BW_DATAGRAM_HEADER, len), now_us, out);
}

static size_t put_ping(struct bw_media_client *e, uint64_t now_us, uint8_t out[BW_DATAGRAM_MAX])
{
    uint8_t payload[BW_PING_PAYLOAD];
    struct bw_writer w = bw_writer_of(payload, sizeof payload);
    bw_write_u32(&w, e->rtt_us);
    bw_write_u32(&w, 0);
    struct bw_datagram datagram = {.type = BW_DATAGRAM_PING, .sequence = ++e->control_sequence};
    return put(e, &datagram, bw_view_of(payload, sizeof payload), now_us, out);
}

static void give_up(struct bw_media_client *e, uint16_t refusal)
{
    e->state = BW_MEDIA_CLIENT_OVER;
    e->refusal = refusal;
}

size_t bw_media_client_poll(struct bw_media_client *e, uint64_t now_us, uint8_t out[BW_DATAGRAM_MAX])
{
    if (e->state == BW_MEDIA_CLIENT_OVER || now_us < e->due_us)
        return 0;
    if (e->state == BW_MEDIA_CLIENT_ADMITTED) {
        if (e->pings_unanswered < PINGS_LOST_MAX) {
            e->pings_unanswered++;
            e->due_us = now_us + (uint64_t)e->keepalive_ms * 500; /* half of what the relay asks for */
            return put_ping(e, now_us, out);
        }
        start_over(e, BW_MEDIA_CLIENT_RESUMING, now_us);
    }
    if (e->attempts == ATTEMPTS_MAX) {
        if (e->state == BW_MEDIA_CLIENT_JOINING) {
            give_up(e, BW_REFUSAL_NONE);
            return 0;
        }
        start_over(e, BW_MEDIA_CLIENT_JOINING, now_us); /* the channel is lost; the grant may still be good */
    }
    e->due_us = now_us + ((uint64_t)FIRST_RETRY_US << e->attempts);
    e->attempts++;
    return e->state == BW_MEDIA_CLIENT_JOINING ? put_join(e, now_us, out) : put_resume(e, now_us, out);
}

uint64_t bw_media_client_next_us(const struct bw_media_client *e)
{
    return e->state == BW_MEDIA_CLIENT_OVER ? UINT64_MAX : e->due_us;
}

size_t bw_media_client_wrap(struct bw_media_client *e, struct bw_view payload, uint64_t now_us,
                            uint8_t out[BW_DATAGRAM_MAX])
{
    if (e->state != BW_MEDIA_CLIENT_ADMITTED && e->state != BW_MEDIA_CLIENT_RESUMING)
        return 0;
    if (payload.len > BW_DATAGRAM_PAYLOAD_MAX)
        return 0;
    struct bw_datagram datagram = {.type = BW_DATAGRAM_DATA, .sequence = e->next_sequence++};
    e->sent++;
    return put(e, &datagram, payload, now_us, out);
}

size_t bw_media_client_leave(struct bw_media_client *e, uint8_t out[BW_DATAGRAM_MAX])
{
    if (e->state != BW_MEDIA_CLIENT_ADMITTED && e->state != BW_MEDIA_CLIENT_RESUMING)
        return 0;
    struct bw_datagram datagram = {.type = BW_DATAGRAM_LEAVE, .sequence = ++e->control_sequence};
    size_t len = put(e, &datagram, bw_view_of(NULL, 0), 0, out);
    give_up(e, BW_REFUSAL_LEFT);
    return len;
}

/* ---- receiving ---- */

static struct bw_media_sender *sender_of(struct bw_media_client *e, uint32_t slot)
{
    for (size_t i = 0; i < e->sender_count; i++) {
        if (e->senders[i].slot == slot)
            return &e->senders[i];
    }
    if (e->sender_count == BW_MEDIA_CLIENT_SENDERS_MAX)
        return NULL;
    if (e->sender_count == e->sender_room) {
        size_t room = e->sender_room > 0 ? e->sender_room * 2 : 8;
        struct bw_media_sender *grown = bw_realloc(e->senders, room * sizeof *grown);
        if (grown == NULL)
            return NULL;
        e->senders = grown;
        e->sender_room = room;
    }
    struct bw_media_sender *sender = &e->senders[e->sender_count++];
    *sender = (struct bw_media_sender){.slot = slot};
    return sender;
}

static bool take_data(struct bw_media_client *e, const struct bw_datagram *datagram, uint64_t now_us,
                      struct bw_media_datagram *media)
{
    if (datagram->channel != e->channel || e->state == BW_MEDIA_CLIENT_JOINING ||
        datagram->meeting_epoch != e->grant.meeting_epoch) {
        e->rejected++;
        return false;
    }
    struct bw_media_sender *sender = sender_of(e, datagram->sender);
    if (sender == NULL || !bw_replay_fresh(&sender->replay, datagram->sequence)) {
        e->replayed++;
        return false;
    }
    if (sender->measure.started && datagram->sequence >> 32 != sender->measure.highest >> 32)
        bw_measure_restart(&sender->measure); /* a new run: the gap is no loss */
    bw_replay_mark(&sender->replay, datagram->sequence);
    bw_measure_packet(&sender->measure, datagram->sequence, datagram->timestamp_us, (uint32_t)now_us,
                      (uint32_t)datagram->payload.len);
    e->received++;
    *media = (struct bw_media_datagram){.sender = datagram->sender,
                                        .sequence = datagram->sequence,
                                        .timestamp_us = datagram->timestamp_us,
                                        .payload = datagram->payload};
    return true;
}

static void take_cookie(struct bw_media_client *e, const struct bw_datagram *datagram, uint64_t now_us)
{
    uint64_t nonce;
    uint8_t cookie[BW_COOKIE_SIZE];
    bool waiting = e->state == BW_MEDIA_CLIENT_JOINING || e->state == BW_MEDIA_CLIENT_RESUMING;
    if (!waiting || !bw_cookie_parse(datagram->payload, &nonce, cookie) || nonce != e->nonce ||
        e->cookies == COOKIES_MAX)
        return;
    e->answered = true;
    e->cookies++;
    memcpy(e->cookie, cookie, sizeof cookie);
    e->attempts = 0;
    e->due_us = now_us;
}

static void take_admitted(struct bw_media_client *e, const struct bw_datagram *datagram, uint64_t now_us)
{
    struct bw_admitted admitted;
    if (!bw_admitted_parse(datagram->payload, &admitted) || admitted.nonce != e->nonce ||
        datagram->sender != e->grant.slot)
        return;
    bool joined = e->state == BW_MEDIA_CLIENT_JOINING;
    if (!joined && (e->state != BW_MEDIA_CLIENT_RESUMING || datagram->channel != e->channel))
        return;
    if (joined) {
        e->channel = datagram->channel;
        e->next_sequence = datagram->sequence;
        e->control_sequence = 0;
    }
    e->answered = true;
    e->provisional = admitted.provisional;
    e->keepalive_ms = admitted.keepalive_ms > 0 ? admitted.keepalive_ms : DEFAULT_KEEPALIVE_MS;
    e->state = BW_MEDIA_CLIENT_ADMITTED;
    e->pings_unanswered = 0;
    e->due_us = now_us; /* the first ping measures the way */
}

static void take_refused(struct bw_media_client *e, const struct bw_datagram *datagram, uint64_t now_us)
{
    uint64_t nonce;
    uint16_t refusal;
    if (!bw_refused_parse(datagram->payload, &nonce, &refusal) || nonce != e->nonce)
        return;
    e->answered = true;
    if (e->state == BW_MEDIA_CLIENT_RESUMING && refusal == BW_REFUSAL_UNKNOWN_CHANNEL)
        start_over(e, BW_MEDIA_CLIENT_JOINING, now_us);
    else if (e->state != BW_MEDIA_CLIENT_ADMITTED)
        give_up(e, refusal);
}

static void take_bye(struct bw_media_client *e, const struct bw_datagram *datagram, bool genuine,
                     uint64_t now_us)
{
    uint16_t refusal;
    if (!bw_bye_parse(datagram->payload, &refusal) || datagram->channel != e->channel ||
        e->state == BW_MEDIA_CLIENT_JOINING)
        return;
    if (genuine)
        give_up(e, refusal);
    else if (refusal == BW_REFUSAL_UNKNOWN_CHANNEL && e->state == BW_MEDIA_CLIENT_ADMITTED)
        start_over(e, BW_MEDIA_CLIENT_RESUMING, now_us); /* anybody can say so: ask the relay */
}

static void take_pong(struct bw_media_client *e, const struct bw_datagram *datagram, uint64_t now_us)
{
    if (datagram->channel != e->channel || datagram->sequence != e->control_sequence)
        return;
    e->pings_unanswered = 0;
    e->rtt_us = (uint32_t)now_us - datagram->timestamp_us;
    if (e->rtt_us == 0)
        e->rtt_us = 1;
}

bool bw_media_client_receive(struct bw_media_client *e, struct bw_view bytes, uint64_t now_us,
                             struct bw_media_datagram *media)
{
    struct bw_datagram datagram;
    if (e->state == BW_MEDIA_CLIENT_OVER)
        return false;
    if (!bw_datagram_parse(bytes, &datagram)) {
        e->rejected++;
        return false;
    }
    bool genuine = bw_datagram_verify(bytes, &e->key, BW_FROM_RELAY);
    /* Without a tag the relay challenges, refuses who it shares no key with, and hints. A nonce that nobody
     * else knows stands in for the tag. */
    if (!genuine && datagram.type != BW_DATAGRAM_COOKIE && datagram.type != BW_DATAGRAM_REFUSED &&
        datagram.type != BW_DATAGRAM_BYE) {
        e->rejected++;
        return false;
    }
    switch (datagram.type) {
    case BW_DATAGRAM_DATA:
        return take_data(e, &datagram, now_us, media);
    case BW_DATAGRAM_COOKIE:
        take_cookie(e, &datagram, now_us);
        return false;
    case BW_DATAGRAM_ADMITTED:
        take_admitted(e, &datagram, now_us);
        return false;
    case BW_DATAGRAM_REFUSED:
        take_refused(e, &datagram, now_us);
        return false;
    case BW_DATAGRAM_BYE:
        take_bye(e, &datagram, genuine, now_us);
        return false;
    case BW_DATAGRAM_PONG:
        take_pong(e, &datagram, now_us);
        return false;
    default:
        e->rejected++;
        return false;
    }
}
