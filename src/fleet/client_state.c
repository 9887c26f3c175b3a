#include "fleet/client_state.h"

#include <string.h>

#include "base/alloc.h"
#include "base/check.h"

enum {
    HEARTBEATS_KEPT = 16, /* whose sending time is remembered, for leases that answer late */
    EVENTS_KEPT = 1024,
    EVENTS_BATCH = 64,
    /* Silence of the server beyond its lease before another endpoint is tried. */
    SILENCE_SLACK_MS = 2000,
};

struct bw_client_state {
    struct bw_client_config config;
    struct bw_client_ports ports;
    struct bw_replica *replica;
    enum bw_client_phase phase;
    size_t endpoint;
    uint64_t epoch, last_epoch;
    uint64_t phase_since_ms;
    uint64_t retry_at_ms;
    uint32_t failures; /* in a row */
    uint64_t heard_ms; /* anything from the server */

    /* of Welcome */
    struct bw_id stream_id;
    enum bw_welcome_mode mode;
    uint32_t lease_ms, heartbeat_ms, grace_ms;

    uint64_t heartbeat_number, heartbeat_due_ms;
    uint64_t heartbeat_sent_ms[HEARTBEATS_KEPT];

    /* The lease outlives the session: it is time that was granted. */
    bool leased;
    uint64_t lease_basis_ms, lease_until_ms, grace_until_ms;

    struct bw_relay_event events[EVENTS_KEPT]; /* oldest at event_first, modulo */
    size_t event_first, event_count, event_unsent;
    uint64_t next_event_id;

    uint64_t sessions, snapshots, deltas, nacks, stale_dropped, events_lost;
    struct bw_replica_failures failures_found; /* scratch: too large for the stack of a callback */
};

struct bw_client_state *bw_client_state_create(const struct bw_client_config *config,
                                               const struct bw_client_ports *ports,
                                               const struct bw_replica_events *events, uint64_t now_ms)
{
    BW_CHECK(config->endpoint_count > 0);
    struct bw_client_state *state = bw_calloc(1, sizeof *state);
    if (state == NULL)
        return NULL;
    state->config = *config;
    state->ports = *ports;
    if (state->config.backoff_min_ms == 0)
        state->config.backoff_min_ms = 250;
    if (state->config.backoff_max_ms == 0)
        state->config.backoff_max_ms = 15000;
    if (state->config.welcome_ms == 0)
        state->config.welcome_ms = 10000;
    state->next_event_id = 1;
    state->endpoint = state->config.endpoint_count - 1; /* the first attempt takes the next one */
    state->phase_since_ms = state->retry_at_ms = now_ms;
    state->replica = bw_replica_create(events);
    if (state->replica == NULL) {
        bw_free(state);
        return NULL;
    }
    return state;
}

void bw_client_state_destroy(struct bw_client_state *state)
{
    if (state == NULL)
        return;
    bw_replica_destroy(state->replica);
    bw_free(state);
}

static void enter(struct bw_client_state *state, enum bw_client_phase phase, uint64_t now_ms)
{
    state->phase = phase;
    state->phase_since_ms = now_ms;
}

/* Full jitter: anywhere up to a bound that doubles with every failure, so that a fleet that lost its server
 * at once does not return at once. */
static uint64_t backoff_ms(struct bw_client_state *state)
{
    uint64_t bound = state->config.backoff_min_ms;
    for (uint32_t i = 1; i < state->failures && bound < state->config.backoff_max_ms; i++)
        bound *= 2;
    if (bound > state->config.backoff_max_ms)
        bound = state->config.backoff_max_ms;
    return state->ports.random(state->ports.context) % (bound + 1);
}

static void lose(struct bw_client_state *state, const struct bw_error *why, uint64_t wait_ms, uint64_t now_ms)
{
    if (state->phase == BW_CLIENT_WAITING || state->phase == BW_CLIENT_STOPPED)
        return;
    bw_replica_snapshot_abort(state->replica);
    state->event_unsent = state->event_count;
    state->retry_at_ms = now_ms + wait_ms;
    enter(state, BW_CLIENT_WAITING, now_ms);
    if (state->ports.lost != NULL)
        state->ports.lost(state->ports.context, state->endpoint, why, wait_ms);
}

static void fail(struct bw_client_state *state, const struct bw_error *why, uint64_t now_ms)
{
    state->failures++;
    lose(state, why, backoff_ms(state), now_ms);
}

static void drop(struct bw_client_state *state, const struct bw_error *why, uint64_t now_ms)
{
    state->ports.disconnect(state->ports.context);
    fail(state, why, now_ms);
}

static bool send(struct bw_client_state *state, struct bw_relay_message *message, uint64_t now_ms)
{
    message->epoch = state->epoch;
    enum bw_code code = state->ports.send(state->ports.context, message);
    if (code == BW_OK)
        return true;
    struct bw_error why = {0};
    (void)bw_fail(&why, code, NULL, "the control plane does not take what it is sent");
    drop(state, &why, now_ms);
    return false;
}

void bw_client_state_connected(struct bw_client_state *state, uint64_t now_ms)
{
    if (state->phase != BW_CLIENT_CONNECTING)
        return;
    state->epoch = 0;
    struct bw_relay_message message = {.kind = BW_RELAY_HELLO, .hello = state->config.hello};
    message.hello.last_session_epoch = state->last_epoch;
    message.hello.has_resume = bw_replica_point(state->replica, &message.hello.resume);
    enter(state, BW_CLIENT_GREETED, now_ms);
    (void)send(state, &message, now_ms);
}

void bw_client_state_disconnected(struct bw_client_state *state, const struct bw_error *why, uint64_t now_ms)
{
    fail(state, why, now_ms);
}

static void send_heartbeat(struct bw_client_state *state, uint64_t now_ms)
{
    struct bw_relay_message message = {.kind = BW_RELAY_HEARTBEAT};
    uint64_t number = ++state->heartbeat_number;
    message.heartbeat = (struct bw_heartbeat){
        .number = number,
        .applied_group = bw_replica_applied(state->replica),
        .digest = bw_replica_digest(state->replica),
        .count = bw_replica_count(state->replica),
        .lease_left_ms = state->lease_until_ms > now_ms ? (uint32_t)(state->lease_until_ms - now_ms) : 0};
    state->ports.load(state->ports.context, &message.heartbeat.load);
    state->heartbeat_sent_ms[number % HEARTBEATS_KEPT] = now_ms;
    /* ± 20 %, so that relays that started together do not stay together. */
    uint64_t spread = state->heartbeat_ms * 2 / 5;
    uint64_t jitter = state->ports.random(state->ports.context) % (spread + 1);
    state->heartbeat_due_ms = now_ms + state->heartbeat_ms - spread / 2 + jitter;
    (void)send(state, &message, now_ms);
}

static void send_events(struct bw_client_state *state, uint64_t now_ms)
{
    while (state->phase == BW_CLIENT_LIVE && state->event_unsent > 0) {
        struct bw_relay_event batch[EVENTS_BATCH];
        size_t start = state->event_count - state->event_unsent, n = 0;
        for (; n < EVENTS_BATCH && n < state->event_unsent; n++)
            batch[n] = state->events[(state->event_first + start + n) % EVENTS_KEPT];
        struct bw_relay_message message = {.kind = BW_RELAY_EVENTS, .events = {.events = batch, .count = n}};
        state->event_unsent -= n;
        (void)send(state, &message, now_ms);
    }
}

static void forget_oldest_event(struct bw_client_state *state)
{
    state->event_first = (state->event_first + 1) % EVENTS_KEPT;
    state->event_count--;
}

/* What has been sent, up to this id; what has not been sent cannot be durable, whatever the server says. */
static void forget_events(struct bw_client_state *state, uint64_t through)
{
    while (state->event_count > state->event_unsent && state->events[state->event_first].id <= through)
        forget_oldest_event(state);
}

static void violated(struct bw_client_state *state, const char *what, uint64_t now_ms)
{
    struct bw_error why = {0};
    (void)bw_fail(&why, BW_FAILED_PRECONDITION, NULL, "the control plane breaks the protocol: %s", what);
    drop(state, &why, now_ms);
}

static void take_welcome(struct bw_client_state *state, uint64_t epoch, const struct bw_welcome *welcome,
                         uint64_t now_ms)
{
    struct bw_resume_point point;
    bool holds = bw_replica_point(state->replica, &point);
    if (epoch <= state->last_epoch) {
        violated(state, "a session epoch that is not newer than the last", now_ms);
        return;
    }
    if (welcome->mode == BW_WELCOME_RESUME &&
        (!holds || !bw_id_equal(&point.stream_id, &welcome->stream_id))) {
        violated(state, "it resumes a stream this relay does not hold", now_ms);
        return;
    }
    if (welcome->protocol < state->config.hello.protocol_min ||
        welcome->protocol > state->config.hello.protocol_max) {
        violated(state, "a protocol version that was not offered", now_ms);
        return;
    }
    state->epoch = state->last_epoch = epoch;
    state->stream_id = welcome->stream_id;
    state->mode = welcome->mode;
    state->lease_ms = welcome->lease_ms;
    state->heartbeat_ms = welcome->heartbeat_ms;
    state->grace_ms = welcome->grace_ms;
    if (state->config.max_grace_ms != 0 && state->grace_ms > state->config.max_grace_ms)
        state->grace_ms = state->config.max_grace_ms;
    state->heartbeat_number = 0;
    memset(state->heartbeat_sent_ms, 0, sizeof state->heartbeat_sent_ms);
    state->failures = 0;
    state->sessions++;
    enter(state, BW_CLIENT_LIVE, now_ms);
    if (state->ports.welcomed != NULL)
        state->ports.welcomed(state->ports.context, welcome);
    send_heartbeat(state, now_ms);
    send_events(state, now_ms);
}

/* Acknowledges what was applied, or names what could not be. */
static void answer(struct bw_client_state *state, uint64_t nonce, uint64_t now_ms)
{
    const struct bw_replica_failures *failures = &state->failures_found;
    uint64_t applied = bw_replica_applied(state->replica);
    struct bw_relay_message message = {.kind = BW_RELAY_ACK,
                                       .ack = {.nonce = nonce, .applied_group = applied}};
    struct bw_nack_item items[BW_NACK_MAX];
    if (failures->count > 0) {
        for (size_t i = 0; i < failures->count; i++)
            items[i] = (struct bw_nack_item){.id = failures->items[i].id,
                                             .version = failures->items[i].version,
                                             .code = failures->items[i].code,
                                             .detail = bw_view_str(failures->items[i].detail)};
        message = (struct bw_relay_message){
            .kind = BW_RELAY_NACK,
            .nack = {
                .nonce = nonce, .applied_group = applied, .items = items, .item_count = failures->count}};
        state->nacks++;
    }
    if (send(state, &message, now_ms) && state->ports.applied != NULL)
        state->ports.applied(state->ports.context, applied);
}

static void take_delta(struct bw_client_state *state, const struct bw_delta *delta, uint64_t now_ms)
{
    struct bw_error why = {0};
    if (bw_replica_apply_delta(state->replica, delta, &state->failures_found, &why) != BW_OK) {
        drop(state, &why, now_ms);
        return;
    }
    state->deltas++;
    answer(state, delta->nonce, now_ms);
}

static void take_snapshot(struct bw_client_state *state, const struct bw_control_message *message,
                          uint64_t now_ms)
{
    struct bw_error why = {0};
    enum bw_code code;
    if (message->kind == BW_CONTROL_SNAPSHOT_BEGIN)
        code = bw_replica_snapshot_begin(state->replica, &message->snapshot_begin, &why);
    else if (message->kind == BW_CONTROL_SNAPSHOT_CHUNK)
        code = bw_replica_snapshot_chunk(state->replica, &message->snapshot_chunk, &why);
    else
        code = bw_replica_snapshot_end(state->replica, &message->snapshot_end, &state->stream_id,
                                       &state->failures_found, &why);
    if (code != BW_OK) {
        drop(state, &why, now_ms);
        return;
    }
    if (message->kind == BW_CONTROL_SNAPSHOT_END) {
        state->snapshots++;
        answer(state, message->snapshot_end.nonce, now_ms);
    }
}

/* From when the heartbeat was sent: the server cannot have granted it earlier, so the relay's lease never
 * outlasts what the server believes. */
static void take_lease(struct bw_client_state *state, uint64_t heartbeat, uint32_t lease_ms,
                       uint64_t events_through)
{
    if (heartbeat == 0 || heartbeat > state->heartbeat_number ||
        state->heartbeat_number - heartbeat >= HEARTBEATS_KEPT)
        return;
    uint64_t sent = state->heartbeat_sent_ms[heartbeat % HEARTBEATS_KEPT];
    uint32_t lease = lease_ms < state->lease_ms ? lease_ms : state->lease_ms;
    forget_events(state, events_through);
    if (state->leased && sent < state->lease_basis_ms)
        return;
    state->leased = true;
    state->lease_basis_ms = sent;
    state->lease_until_ms = sent + lease;
    state->grace_until_ms = sent + (state->grace_ms > lease ? state->grace_ms : lease);
    if (state->ports.leased != NULL)
        state->ports.leased(state->ports.context);
}

static void take_go_away(struct bw_client_state *state, struct bw_view reason, uint32_t reconnect_in_ms,
                         uint64_t now_ms)
{
    struct bw_error why = {0};
    (void)bw_fail(&why, BW_UNAVAILABLE, NULL, "the control plane asks to leave: %.*s",
                  (int)(reason.len > 200 ? 200 : reason.len), (const char *)reason.data);
    state->ports.disconnect(state->ports.context);
    uint64_t spread = state->config.backoff_min_ms;
    lose(state, &why, reconnect_in_ms + state->ports.random(state->ports.context) % (spread + 1), now_ms);
}

static void handle(struct bw_client_state *state, const struct bw_control_message *message, uint64_t now_ms)
{
    void *context = state->ports.context;
    switch (message->kind) {
    case BW_CONTROL_WELCOME:
        violated(state, "a second Welcome", now_ms);
        break;
    case BW_CONTROL_SNAPSHOT_BEGIN:
    case BW_CONTROL_SNAPSHOT_CHUNK:
    case BW_CONTROL_SNAPSHOT_END:
        take_snapshot(state, message, now_ms);
        break;
    case BW_CONTROL_DELTA:
        take_delta(state, &message->delta, now_ms);
        break;
    case BW_CONTROL_LEASE_GRANT:
        take_lease(state, message->lease_grant.heartbeat, message->lease_grant.lease_ms,
                   message->lease_grant.events_through);
        break;
    case BW_CONTROL_BOOKMARK:
        bw_replica_bookmark(state->replica, message->bookmark.group);
        if (state->ports.applied != NULL)
            state->ports.applied(context, bw_replica_applied(state->replica));
        break;
    case BW_CONTROL_REVOKE:
        if (state->ports.revoke != NULL)
            state->ports.revoke(context, &message->revoke);
        break;
    case BW_CONTROL_DRAIN:
        if (state->ports.drain != NULL)
            state->ports.drain(context, message->drain.draining, message->drain.deadline_ms,
                               message->drain.reason);
        break;
    case BW_CONTROL_PROBE_PLAN:
        if (state->ports.probe_plan != NULL)
            state->ports.probe_plan(context, message->probe_plan.targets, message->probe_plan.count,
                                    message->probe_plan.interval_ms, message->probe_plan.packets);
        break;
    case BW_CONTROL_GO_AWAY:
        take_go_away(state, message->go_away.reason, message->go_away.reconnect_in_ms, now_ms);
        break;
    }
}

void bw_client_state_receive(struct bw_client_state *state, const struct bw_control_message *message,
                             uint64_t now_ms)
{
    if (state->phase == BW_CLIENT_GREETED) {
        state->heard_ms = now_ms;
        if (message->kind == BW_CONTROL_WELCOME)
            take_welcome(state, message->epoch, &message->welcome, now_ms);
        else
            violated(state, "something before Welcome", now_ms);
        return;
    }
    if (state->phase != BW_CLIENT_LIVE)
        return;
    if (message->epoch != state->epoch) {
        state->stale_dropped++;
        return;
    }
    state->heard_ms = now_ms;
    handle(state, message, now_ms);
}

static uint64_t silence_limit(const struct bw_client_state *state)
{
    return state->heard_ms + state->lease_ms + SILENCE_SLACK_MS;
}

void bw_client_state_tick(struct bw_client_state *state, uint64_t now_ms)
{
    struct bw_error why = {0};
    switch (state->phase) {
    case BW_CLIENT_WAITING:
        if (now_ms < state->retry_at_ms)
            return;
        state->endpoint = (state->endpoint + 1) % state->config.endpoint_count;
        enter(state, BW_CLIENT_CONNECTING, now_ms);
        state->ports.connect(state->ports.context, state->endpoint);
        return;
    case BW_CLIENT_CONNECTING:
    case BW_CLIENT_GREETED:
        if (now_ms - state->phase_since_ms < state->config.welcome_ms)
            return;
        (void)bw_fail(&why, BW_DEADLINE_EXCEEDED, NULL,
                      state->phase == BW_CLIENT_CONNECTING ? "no connection in time" : "no Welcome in time");
        drop(state, &why, now_ms);
        return;
    case BW_CLIENT_LIVE:
        if (now_ms >= silence_limit(state)) {
            (void)bw_fail(&why, BW_DEADLINE_EXCEEDED, NULL, "nothing heard from the control plane");
            drop(state, &why, now_ms);
            return;
        }
        if (now_ms >= state->heartbeat_due_ms)
            send_heartbeat(state, now_ms);
        send_events(state, now_ms);
        return;
    case BW_CLIENT_STOPPED:
        return;
    }
}

uint64_t bw_client_state_next_ms(const struct bw_client_state *state)
{
    switch (state->phase) {
    case BW_CLIENT_WAITING:
        return state->retry_at_ms;
    case BW_CLIENT_CONNECTING:
    case BW_CLIENT_GREETED:
        return state->phase_since_ms + state->config.welcome_ms;
    case BW_CLIENT_LIVE:
        return state->heartbeat_due_ms < silence_limit(state) ? state->heartbeat_due_ms
                                                              : silence_limit(state);
    case BW_CLIENT_STOPPED:
        break;
    }
    return UINT64_MAX;
}

void bw_client_state_event(struct bw_client_state *state, const struct bw_relay_event *event)
{
    if (state->event_count == EVENTS_KEPT) {
        forget_oldest_event(state);
        if (state->event_unsent > state->event_count)
            state->event_unsent = state->event_count;
        state->events_lost++;
    }
    struct bw_relay_event *kept = &state->events[(state->event_first + state->event_count) % EVENTS_KEPT];
    *kept = *event;
    kept->id = state->next_event_id++;
    state->event_count++;
    state->event_unsent++;
}

void bw_client_state_probe(struct bw_client_state *state, const struct bw_probe_report *report)
{
    struct bw_relay_message message = {.kind = BW_RELAY_PROBE, .probe = *report};
    if (state->phase == BW_CLIENT_LIVE)
        (void)send(state, &message, state->heard_ms);
}

void bw_client_state_drain_request(struct bw_client_state *state, const char *reason, uint32_t deadline_ms)
{
    struct bw_relay_message message = {.kind = BW_RELAY_DRAIN_REQUEST,
                                       .leave = {.reason = bw_view_str(reason), .ms = deadline_ms}};
    if (state->phase == BW_CLIENT_LIVE)
        (void)send(state, &message, state->heard_ms);
}

void bw_client_state_stop(struct bw_client_state *state, const char *reason, uint32_t back_in_ms)
{
    struct bw_relay_message message = {.kind = BW_RELAY_BYE,
                                       .leave = {.reason = bw_view_str(reason), .ms = back_in_ms}};
    if (state->phase == BW_CLIENT_LIVE)
        (void)send(state, &message, state->heard_ms);
    enter(state, BW_CLIENT_STOPPED, state->heard_ms);
}

enum bw_authority bw_client_state_authority(const struct bw_client_state *state, uint64_t now_ms)
{
    if (!state->leased || now_ms >= state->grace_until_ms)
        return BW_AUTHORITY_NONE;
    return now_ms < state->lease_until_ms ? BW_AUTHORITY_FULL : BW_AUTHORITY_HELD;
}

uint64_t bw_client_state_stale_ms(const struct bw_client_state *state, uint64_t now_ms)
{
    return state->leased ? now_ms - state->lease_basis_ms : UINT64_MAX;
}

struct bw_client_status bw_client_state_status(const struct bw_client_state *state, uint64_t now_ms)
{
    struct bw_client_status status = {.phase = state->phase,
                                      .endpoint = state->endpoint,
                                      .epoch = state->epoch,
                                      .applied_group = bw_replica_applied(state->replica),
                                      .resources = bw_replica_count(state->replica),
                                      .sessions = state->sessions,
                                      .snapshots = state->snapshots,
                                      .deltas = state->deltas,
                                      .nacks = state->nacks,
                                      .stale_dropped = state->stale_dropped,
                                      .events_lost = state->events_lost};
    struct bw_resume_point point;
    status.has_stream = bw_replica_point(state->replica, &point);
    if (status.has_stream)
        status.stream_id = point.stream_id;
    if (state->leased && now_ms < state->lease_until_ms)
        status.lease_left_ms = (uint32_t)(state->lease_until_ms - now_ms);
    if (state->leased && now_ms < state->grace_until_ms)
        status.grace_left_ms = (uint32_t)(state->grace_until_ms - now_ms);
    return status;
}

const struct bw_replica *bw_client_state_replica(const struct bw_client_state *state)
{
    return state->replica;
}
