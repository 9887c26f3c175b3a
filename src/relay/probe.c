#include "relay/probe.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/secret.h"

struct target {
    uint32_t peer_number, number; /* number: on the wire, from the key */
    struct bw_address address;
    struct bw_hmac256 key;
    enum bw_direction outward, inward;
    uint64_t round_start_us;
    uint32_t sent, answered;
    uint64_t first_sequence, next_sequence;
    bool seen[BW_PROBE_PACKETS_MAX];
    uint32_t rtt_us[BW_PROBE_PACKETS_MAX]; /* of `answered` */
    uint32_t rtt_p50_us;                   /* of the last round with answers */
    uint32_t silent_rounds;
    bool answered_ever, failed;
};

struct bw_prober {
    struct bw_prober_hooks hooks;
    uint32_t relay_number;
    struct target *targets;
    size_t count;
    uint32_t interval_ms, packets;
};

struct bw_prober *bw_prober_create(const struct bw_prober_hooks *hooks)
{
    struct bw_prober *prober = bw_calloc(1, sizeof *prober);
    if (prober != NULL)
        prober->hooks = *hooks;
    return prober;
}

static void free_targets(struct target *targets, size_t count)
{
    for (size_t i = 0; i < count; i++)
        bw_hmac256_finish(&targets[i].key);
    bw_free(targets);
}

void bw_prober_destroy(struct bw_prober *prober)
{
    if (prober == NULL)
        return;
    free_targets(prober->targets, prober->count);
    bw_free(prober);
}

static bool take_target(struct target *target, uint32_t relay_number, const struct bw_probe_target *plan)
{
    static const char label[] = "bw-probe-channel/v1";
    char text[BW_ADDRESS_TEXT];
    if (plan->key.len != 32 || plan->address.len >= sizeof text || plan->peer_number == relay_number)
        return false;
    memcpy(text, plan->address.data, plan->address.len);
    text[plan->address.len] = '\0';
    if (bw_address_parse(text, &target->address, NULL) != BW_OK)
        return false;
    struct bw_sha256 state;
    uint8_t hash[BW_SHA256_SIZE];
    bw_sha256_init(&state);
    bw_sha256_update(&state, label, sizeof label - 1);
    bw_sha256_update(&state, plan->key.data, plan->key.len);
    bw_sha256_final(&state, hash);
    struct bw_reader r = bw_reader_of(bw_view_of(hash, 4));
    target->number = bw_read_u32(&r);
    target->peer_number = plan->peer_number;
    bw_hmac256_init(&target->key, plan->key);
    target->outward = bw_link_direction(relay_number, plan->peer_number);
    target->inward = bw_link_direction(plan->peer_number, relay_number);
    return true;
}

static const struct target *same_peer(const struct bw_prober *prober, uint32_t peer_number)
{
    for (size_t i = 0; i < prober->count; i++) {
        if (prober->targets[i].peer_number == peer_number)
            return &prober->targets[i];
    }
    return NULL;
}

enum bw_code bw_prober_plan(struct bw_prober *prober, uint32_t relay_number,
                            const struct bw_probe_target *targets, size_t count, uint32_t interval_ms,
                            uint32_t packets, uint64_t now_us, struct bw_error *err)
{
    struct target *fresh = bw_calloc(count > 0 ? count : 1, sizeof *fresh);
    size_t taken = 0;
    if (fresh == NULL)
        return bw_fail_memory(err);
    for (size_t i = 0; i < count; i++) {
        struct target *target = &fresh[taken];
        if (!take_target(target, relay_number, &targets[i]))
            continue;
        taken++;
        const struct target *old = same_peer(prober, target->peer_number);
        target->answered_ever = old != NULL && old->answered_ever;
        target->failed = old != NULL && old->failed;
        target->next_sequence = target->first_sequence = 1;
        /* Spread over the interval, so that a plan of many peers is no burst. */
        target->round_start_us = now_us + (uint64_t)interval_ms * 1000 * i / count;
    }
    free_targets(prober->targets, prober->count);
    prober->relay_number = relay_number;
    prober->targets = fresh;
    prober->count = taken;
    prober->interval_ms = interval_ms;
    prober->packets = packets < BW_PROBE_PACKETS_MAX ? packets : BW_PROBE_PACKETS_MAX;
    return BW_OK;
}

size_t bw_prober_targets(const struct bw_prober *prober)
{
    return prober->count;
}

static void put(const struct target *target, uint32_t sender, enum bw_datagram_type type, uint64_t sequence,
                uint32_t timestamp_us, const struct bw_address *to, struct bw_outbox *outbox)
{
    struct bw_outgoing *out = bw_outbox_next(outbox);
    struct bw_datagram datagram = {.type = type,
                                   .channel = target->number,
                                   .sender = sender,
                                   .sequence = sequence,
                                   .timestamp_us = timestamp_us};
    out->to = *to;
    out->payload = bw_view_of(out->own_payload, 0);
    bw_datagram_write(out->header, &datagram, &target->key, target->outward);
}

static int by_value(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static void end_round(struct bw_prober *prober, struct target *target, uint64_t wall_ms)
{
    struct bw_probe_report report = {
        .peer_number = target->peer_number, .samples = target->answered, .at_ms = wall_ms};
    if (target->sent > 0)
        report.loss_ppm = (uint32_t)((uint64_t)(target->sent - target->answered) * 1000000 / target->sent);
    if (target->answered > 0) {
        qsort(target->rtt_us, target->answered, sizeof target->rtt_us[0], by_value);
        report.rtt_p50_us = target->rtt_us[(target->answered - 1) / 2];
        report.rtt_p95_us = target->rtt_us[(target->answered - 1) * 95 / 100];
        target->rtt_p50_us = report.rtt_p50_us;
        target->answered_ever = true;
        target->failed = false;
        target->silent_rounds = 0;
    } else {
        target->silent_rounds++;
    }
    prober->hooks.report(prober->hooks.context, &report);
    if (target->answered_ever && !target->failed && target->silent_rounds >= BW_PROBE_FAILED_ROUNDS) {
        target->failed = true;
        prober->hooks.failed(prober->hooks.context, target->peer_number);
    }
    target->sent = target->answered = 0;
    target->first_sequence = target->next_sequence;
    memset(target->seen, 0, sizeof target->seen);
}

void bw_prober_tick(struct bw_prober *prober, uint64_t now_us, uint64_t wall_ms, struct bw_outbox *outbox)
{
    uint64_t interval_us = (uint64_t)prober->interval_ms * 1000;
    for (size_t i = 0; i < prober->count; i++) {
        struct target *target = &prober->targets[i];
        if (now_us < target->round_start_us)
            continue;
        if (now_us - target->round_start_us >= interval_us) {
            end_round(prober, target, wall_ms);
            target->round_start_us = now_us;
        }
        /* The datagrams of a round go out over its first half; the second half is for answers. */
        uint64_t elapsed = now_us - target->round_start_us;
        while (target->sent < prober->packets &&
               elapsed >= interval_us / 2 * target->sent / prober->packets) {
            put(target, prober->relay_number, BW_DATAGRAM_PROBE, target->next_sequence++, (uint32_t)now_us,
                &target->address, outbox);
            target->sent++;
        }
    }
}

static void take_answer(struct target *target, const struct bw_datagram *datagram, uint64_t now_us)
{
    if (datagram->sequence < target->first_sequence || datagram->sequence >= target->next_sequence)
        return;
    size_t index = (size_t)(datagram->sequence - target->first_sequence);
    if (index >= BW_PROBE_PACKETS_MAX || target->seen[index])
        return;
    target->seen[index] = true;
    target->rtt_us[target->answered++] = (uint32_t)now_us - datagram->timestamp_us;
}

bool bw_prober_receive(struct bw_prober *prober, const struct bw_address *from, struct bw_view bytes,
                       uint64_t now_us, struct bw_outbox *outbox)
{
    struct bw_datagram datagram;
    if (!bw_datagram_parse(bytes, &datagram) || datagram.payload.len != 0 ||
        (datagram.type != BW_DATAGRAM_PROBE && datagram.type != BW_DATAGRAM_PROBE_REPLY))
        return false;
    for (size_t i = 0; i < prober->count; i++) {
        struct target *target = &prober->targets[i];
        if (target->number != datagram.channel || datagram.sender != target->peer_number ||
            !bw_datagram_verify(bytes, &target->key, target->inward))
            continue;
        if (datagram.type == BW_DATAGRAM_PROBE)
            put(target, prober->relay_number, BW_DATAGRAM_PROBE_REPLY, datagram.sequence,
                datagram.timestamp_us, from, outbox);
        else
            take_answer(target, &datagram, now_us);
        return true;
    }
    return false;
}

uint32_t bw_prober_rtt_us(const struct bw_prober *prober, uint32_t peer_number)
{
    for (size_t i = 0; i < prober->count; i++) {
        if (prober->targets[i].peer_number == peer_number)
            return prober->targets[i].rtt_p50_us;
    }
    return 0;
}
