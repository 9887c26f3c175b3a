/* Round trips to peer relays, by the control plane's probe plan: some datagrams an interval to each peer,
 * whose answers carry back when they were sent. Peers authenticate each other's probes by keys of the plan.
 * Owner: the worker, one per cell. Threads: one at a time. Pure: datagrams in, datagrams out. */
#ifndef BW_RELAY_PROBE_H
#define BW_RELAY_PROBE_H

#include "fleet/message.h"
#include "relay/outbox.h"

enum { BW_PROBE_PACKETS_MAX = 100, BW_PROBE_FAILED_ROUNDS = 3 };

struct bw_prober;

struct bw_prober_hooks {
    void *context;
    /* A round is over. */
    void (*report)(void *context, const struct bw_probe_report *report);
    /* The peer has answered nothing for BW_PROBE_FAILED_ROUNDS rounds after having answered before. Once,
     * until it answers again. */
    void (*failed)(void *context, uint32_t peer_number);
};

/* hooks are copied. NULL when memory is out. */
struct bw_prober *bw_prober_create(const struct bw_prober_hooks *hooks);
/* NULL is allowed. */
void bw_prober_destroy(struct bw_prober *prober);

/* Replaces the plan; peers that stay keep what is known of them. Targets with an address that is not numeric,
 * or a key that is none, are left out. RESOURCE_EXHAUSTED: the old plan stays. */
BW_MUST_USE enum bw_code bw_prober_plan(struct bw_prober *prober, uint32_t relay_number,
                                        const struct bw_probe_target *targets, size_t count,
                                        uint32_t interval_ms, uint32_t packets, uint64_t now_us,
                                        struct bw_error *err);
/* Half of the answers of the last round that had any came within this; 0: not known. */
uint32_t bw_prober_rtt_us(const struct bw_prober *prober, uint32_t peer_number);
size_t bw_prober_targets(const struct bw_prober *prober);
/* Sends what is due, reports rounds that are over. Call at least every 20 ms while there are targets. */
void bw_prober_tick(struct bw_prober *prober, uint64_t now_us, uint64_t wall_ms, struct bw_outbox *outbox);
/* True when the datagram is a probe or an answer of this plan; then it has been dealt with. */
bool bw_prober_receive(struct bw_prober *prober, const struct bw_address *from, struct bw_view bytes,
                       uint64_t now_us, struct bw_outbox *outbox);

#endif
