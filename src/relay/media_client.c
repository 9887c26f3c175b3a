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

static void start_over(struct bw_media_client *client, enum bw_media_state state, uint64_t now_us)
{
    client->state = state;
    client->nonce += 0x9e3779b97f4a7c15u;
    client->attempts = 0;
    client->cookies = 0;
    client->pings_unanswered = 0;
    memset(client->cookie, 0, sizeof client->cookie);
    client->due_us = now_us;
}

static enum bw_code take_grant(struct bw_media_client *client, struct bw_view grant,
                               const uint8_t hop_key[BW_GRANT_HOP_KEY_SIZE], struct bw_error *err)
{
    struct bw_grant parsed;
    enum bw_grant_refusal found = bw_grant_parse(grant, &parsed);
    if (found != BW_GRANT_OK || grant.len > sizeof client->token)
        return bw_fail(err, BW_INVALID_ARGUMENT, NULL, "the grant cannot be used: %s",
                       bw_grant_refusal_text(found));
    client->grant = parsed;
    memcpy(client->token, grant.data, grant.len);
    client->token_len = grant.len;
    bw_hmac256_finish(&client->key);
    bw_hmac256_init(&client->key, bw_view_of(hop_key, BW_GRANT_HOP_KEY_SIZE));
    return BW_OK;
}

enum bw_code bw_media_client_init(struct bw_media_client *client, struct bw_view grant,
                                  const uint8_t hop_key[BW_GRANT_HOP_KEY_SIZE], uint64_t nonce,
                                  uint64_t now_us, struct bw_error *err)
{
    struct bw_media_client fresh = {.nonce = nonce, .keepalive_ms = DEFAULT_KEEPALIVE_MS};
    enum bw_code code = take_grant(&fresh, grant, hop_key, err);
    if (code != BW_OK)
        return code;
    *client = fresh;
    bw_hmac256_finish(&fresh.key);
    start_over(client, BW_MEDIA_CLIENT_JOINING, now_us);
    return BW_OK;
}

void bw_media_client_finish(struct bw_media_client *client)
{
    bw_free(client->senders);
    bw_wipe(client, sizeof *client);
    client->state = BW_MEDIA_CLIENT_OVER;
}

enum bw_code bw_media_client_renew(struct bw_media_client *client, struct bw_view grant,
                                   const uint8_t hop_key[BW_GRANT_HOP_KEY_SIZE], uint64_t now_us,
                                   struct bw_error *err)
{
    enum bw_code code = take_grant(client, grant, hop_key, err);
    if (code == BW_OK)
        start_over(client, BW_MEDIA_CLIENT_JOINING, now_us);
    return code;
}

/* ---- sending ---- */

static size_t put(const struct bw_media_client *client, struct bw_datagram *datagram, struct bw_view payload,
                  uint64_t now_us, uint8_t out[BW_DATAGRAM_MAX])
{
    if (payload.len > 0 && payload.data != out + BW_DATAGRAM_HEADER)
        memmove(out + BW_DATAGRAM_HEADER, payload.data, payload.len);
    datagram->payload = bw_view_of(out + BW_DATAGRAM_HEADER, payload.len);
    datagram->timestamp_us = (uint32_t)now_us;
    if (datagram->type != BW_DATAGRAM_JOIN) {
        datagram->channel = client->channel;
        datagram->sender = client->grant.slot;
        datagram->meeting_epoch = client->grant.meeting_epoch;
    }
    bw_datagram_write(out, datagram, &client->key, BW_TO_RELAY);
    return BW_DATAGRAM_HEADER + payload.len;
}

static size_t put_join(struct bw_media_client *client, uint64_t now_us, uint8_t out[BW_DATAGRAM_MAX])
{
    struct bw_join join = {.nonce = client->nonce, .grant = bw_view_of(client->token, client->token_len)};
    memcpy(join.cookie, client->cookie, sizeof join.cookie);
    size_t len = bw_join_write(&join, out + BW_DATAGRAM_HEADER, BW_DATAGRAM_PAYLOAD_MAX);
    /* The last sequence this participant has used, on whichever relay: the next run starts above it. */
    struct bw_datagram datagram = {.type = BW_DATAGRAM_JOIN, .sequence = client->next_sequence};
    return put(client, &datagram, bw_view_of(out + BW_DATAGRAM_HEADER, len), now_us, out);
}

static size_t put_resume(struct bw_media_client *client, uint64_t now_us, uint8_t out[BW_DATAGRAM_MAX])
{
    struct bw_resume resume = {.nonce = client->nonce};
    memcpy(resume.cookie, client->cookie, sizeof resume.cookie);
    size_t len = bw_resume_write(&resume, out + BW_DATAGRAM_HEADER, BW_DATAGRAM_PAYLOAD_MAX);
    struct bw_datagram datagram = {.type = BW_DATAGRAM_RESUME, .sequence = ++client->control_sequence};
    return put(client, &datagram, bw_view_of(out + BW_DATAGRAM_HEADER, len), now_us, out);
}

static size_t put_ping(struct bw_media_client *client, uint64_t now_us, uint8_t out[BW_DATAGRAM_MAX])
{
    uint8_t payload[BW_PING_PAYLOAD];
    struct bw_writer w = bw_writer_of(payload, sizeof payload);
    bw_write_u32(&w, client->rtt_us);
    bw_write_u32(&w, 0);
    struct bw_datagram datagram = {.type = BW_DATAGRAM_PING, .sequence = ++client->control_sequence};
    return put(client, &datagram, bw_view_of(payload, sizeof payload), now_us, out);
}

static void give_up(struct bw_media_client *client, uint16_t refusal)
{
    client->state = BW_MEDIA_CLIENT_OVER;
    client->refusal = refusal;
}

size_t bw_media_client_poll(struct bw_media_client *client, uint64_t now_us, uint8_t out[BW_DATAGRAM_MAX])
{
    if (client->state == BW_MEDIA_CLIENT_OVER || now_us < client->due_us)
        return 0;
    if (client->state == BW_MEDIA_CLIENT_ADMITTED) {
        if (client->pings_unanswered < PINGS_LOST_MAX) {
            client->pings_unanswered++;
            client->due_us =
                now_us + (uint64_t)client->keepalive_ms * 500; /* half of what the relay asks for */
            return put_ping(client, now_us, out);
        }
        start_over(client, BW_MEDIA_CLIENT_RESUMING, now_us);
    }
    if (client->attempts == ATTEMPTS_MAX) {
        if (client->state == BW_MEDIA_CLIENT_JOINING) {
            give_up(client, BW_REFUSAL_NONE);
            return 0;
        }
        start_over(client, BW_MEDIA_CLIENT_JOINING,
                   now_us); /* the channel is lost; the grant may still be good */
    }
    client->due_us = now_us + ((uint64_t)FIRST_RETRY_US << client->attempts);
    client->attempts++;
    return client->state == BW_MEDIA_CLIENT_JOINING ? put_join(client, now_us, out)
                                                    : put_resume(client, now_us, out);
}

uint64_t bw_media_client_next_us(const struct bw_media_client *client)
{
    return client->state == BW_MEDIA_CLIENT_OVER ? UINT64_MAX : client->due_us;
}

size_t bw_media_client_wrap(struct bw_media_client *client, struct bw_view payload, uint64_t now_us,
                            uint8_t out[BW_DATAGRAM_MAX])
{
    if (client->state != BW_MEDIA_CLIENT_ADMITTED && client->state != BW_MEDIA_CLIENT_RESUMING)
        return 0;
    if (payload.len > BW_DATAGRAM_PAYLOAD_MAX)
        return 0;
    struct bw_datagram datagram = {.type = BW_DATAGRAM_DATA, .sequence = client->next_sequence++};
    client->sent++;
    return put(client, &datagram, payload, now_us, out);
}

size_t bw_media_client_leave(struct bw_media_client *client, uint8_t out[BW_DATAGRAM_MAX])
{
    if (client->state != BW_MEDIA_CLIENT_ADMITTED && client->state != BW_MEDIA_CLIENT_RESUMING)
        return 0;
    struct bw_datagram datagram = {.type = BW_DATAGRAM_LEAVE, .sequence = ++client->control_sequence};
    size_t len = put(client, &datagram, bw_view_of(NULL, 0), 0, out);
    give_up(client, BW_REFUSAL_LEFT);
    return len;
}

/* ---- receiving ---- */

static struct bw_media_sender *sender_of(struct bw_media_client *client, uint32_t slot)
{
    for (size_t i = 0; i < client->sender_count; i++) {
        if (client->senders[i].slot == slot)
            return &client->senders[i];
    }
    if (client->sender_count == BW_MEDIA_CLIENT_SENDERS_MAX)
        return NULL;
    if (client->sender_count == client->sender_room) {
        size_t room = client->sender_room > 0 ? client->sender_room * 2 : 8;
        struct bw_media_sender *grown = bw_realloc(client->senders, room * sizeof *grown);
        if (grown == NULL)
            return NULL;
        client->senders = grown;
        client->sender_room = room;
    }
    struct bw_media_sender *sender = &client->senders[client->sender_count++];
    *sender = (struct bw_media_sender){.slot = slot};
    return sender;
}

static bool take_data(struct bw_media_client *client, const struct bw_datagram *datagram, uint64_t now_us,
                      struct bw_media_datagram *media)
{
    if (datagram->channel != client->channel || client->state == BW_MEDIA_CLIENT_JOINING ||
        datagram->meeting_epoch != client->grant.meeting_epoch) {
        client->rejected++;
        return false;
    }
    struct bw_media_sender *sender = sender_of(client, datagram->sender);
    if (sender == NULL || !bw_replay_fresh(&sender->replay, datagram->sequence)) {
        client->replayed++;
        return false;
    }
    if (sender->measure.started && datagram->sequence >> 32 != sender->measure.highest >> 32)
        bw_measure_restart(&sender->measure); /* a new run: the gap is no loss */
    bw_replay_mark(&sender->replay, datagram->sequence);
    bw_measure_packet(&sender->measure, datagram->sequence, datagram->timestamp_us, (uint32_t)now_us,
                      (uint32_t)datagram->payload.len);
    client->received++;
    *media = (struct bw_media_datagram){.sender = datagram->sender,
                                        .sequence = datagram->sequence,
                                        .timestamp_us = datagram->timestamp_us,
                                        .payload = datagram->payload};
    return true;
}

static void take_cookie(struct bw_media_client *client, const struct bw_datagram *datagram, uint64_t now_us)
{
    uint64_t nonce;
    uint8_t cookie[BW_COOKIE_SIZE];
    bool waiting = client->state == BW_MEDIA_CLIENT_JOINING || client->state == BW_MEDIA_CLIENT_RESUMING;
    if (!waiting || !bw_cookie_parse(datagram->payload, &nonce, cookie) || nonce != client->nonce ||
        client->cookies == COOKIES_MAX)
        return;
    client->answered = true;
    client->cookies++;
    memcpy(client->cookie, cookie, sizeof cookie);
    client->attempts = 0;
    client->due_us = now_us;
}

static void take_admitted(struct bw_media_client *client, const struct bw_datagram *datagram, uint64_t now_us)
{
    struct bw_admitted admitted;
    if (!bw_admitted_parse(datagram->payload, &admitted) || admitted.nonce != client->nonce ||
        datagram->sender != client->grant.slot)
        return;
    bool joined = client->state == BW_MEDIA_CLIENT_JOINING;
    if (!joined && (client->state != BW_MEDIA_CLIENT_RESUMING || datagram->channel != client->channel))
        return;
    if (joined) {
        client->channel = datagram->channel;
        client->next_sequence = datagram->sequence;
        client->control_sequence = 0;
    }
    client->answered = true;
    client->provisional = admitted.provisional;
    client->keepalive_ms = admitted.keepalive_ms > 0 ? admitted.keepalive_ms : DEFAULT_KEEPALIVE_MS;
    client->state = BW_MEDIA_CLIENT_ADMITTED;
    client->pings_unanswered = 0;
    client->due_us = now_us; /* the first ping measures the way */
}

static void take_refused(struct bw_media_client *client, const struct bw_datagram *datagram, uint64_t now_us)
{
    uint64_t nonce;
    uint16_t refusal;
    if (!bw_refused_parse(datagram->payload, &nonce, &refusal) || nonce != client->nonce)
        return;
    client->answered = true;
    if (client->state == BW_MEDIA_CLIENT_RESUMING && refusal == BW_REFUSAL_UNKNOWN_CHANNEL)
        start_over(client, BW_MEDIA_CLIENT_JOINING, now_us);
    else if (client->state != BW_MEDIA_CLIENT_ADMITTED)
        give_up(client, refusal);
}

static void take_bye(struct bw_media_client *client, const struct bw_datagram *datagram, bool genuine,
                     uint64_t now_us)
{
    uint16_t refusal;
    if (!bw_bye_parse(datagram->payload, &refusal) || datagram->channel != client->channel ||
        client->state == BW_MEDIA_CLIENT_JOINING)
        return;
    if (genuine)
        give_up(client, refusal);
    else if (refusal == BW_REFUSAL_UNKNOWN_CHANNEL && client->state == BW_MEDIA_CLIENT_ADMITTED)
        start_over(client, BW_MEDIA_CLIENT_RESUMING, now_us); /* anybody can say so: ask the relay */
}

static void take_pong(struct bw_media_client *client, const struct bw_datagram *datagram, uint64_t now_us)
{
    if (datagram->channel != client->channel || datagram->sequence != client->control_sequence)
        return;
    client->pings_unanswered = 0;
    client->rtt_us = (uint32_t)now_us - datagram->timestamp_us;
    if (client->rtt_us == 0)
        client->rtt_us = 1;
}

bool bw_media_client_receive(struct bw_media_client *client, struct bw_view bytes, uint64_t now_us,
                             struct bw_media_datagram *media)
{
    struct bw_datagram datagram;
    if (client->state == BW_MEDIA_CLIENT_OVER)
        return false;
    if (!bw_datagram_parse(bytes, &datagram)) {
        client->rejected++;
        return false;
    }
    bool genuine = bw_datagram_verify(bytes, &client->key, BW_FROM_RELAY);
    /* Without a tag the relay challenges, refuses who it shares no key with, and hints. A nonce that nobody
     * else knows stands in for the tag. */
    if (!genuine && datagram.type != BW_DATAGRAM_COOKIE && datagram.type != BW_DATAGRAM_REFUSED &&
        datagram.type != BW_DATAGRAM_BYE) {
        client->rejected++;
        return false;
    }
    switch (datagram.type) {
    case BW_DATAGRAM_DATA:
        return take_data(client, &datagram, now_us, media);
    case BW_DATAGRAM_COOKIE:
        take_cookie(client, &datagram, now_us);
        return false;
    case BW_DATAGRAM_ADMITTED:
        take_admitted(client, &datagram, now_us);
        return false;
    case BW_DATAGRAM_REFUSED:
        take_refused(client, &datagram, now_us);
        return false;
    case BW_DATAGRAM_BYE:
        take_bye(client, &datagram, genuine, now_us);
        return false;
    case BW_DATAGRAM_PONG:
        take_pong(client, &datagram, now_us);
        return false;
    default:
        client->rejected++;
        return false;
    }
}
