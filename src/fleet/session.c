#include "fleet/session.h"

#include <string.h>

#include "base/alloc.h"
#include "base/check.h"
#include "fleet/hello_check.h"
#include "fleet/session_internal.h"

struct bw_session_timing bw_session_timing_default(void)
{
    return (struct bw_session_timing){.heartbeat_ms = 2000,
                                      .suspect_ms = 6000,
                                      .lease_ms = 10000,
                                      .dead_ms = 12000,
                                      .grace_ms = 300000,
                                      .ack_lag_ms = 10000,
                                      .ack_dead_ms = 30000,
                                      .hello_ms = 5000,
                                      .catch_up_ms = 1000,
                                      .bookmark_ms = 5000};
}

struct bw_session *bw_session_create(const struct bw_session_config *config,
                                     const struct bw_enrolment *enrolment, struct bw_feed *feed,
                                     const struct bw_session_ports *ports, uint64_t now_ms)
{
    struct bw_session *session = bw_calloc(1, sizeof *session);
    if (session == NULL)
        return NULL;
    session->config = *config;
    session->enrolment = enrolment;
    session->feed = feed;
    session->ports = *ports;
    session->state = BW_SESSION_NEW;
    session->state_since_ms = now_ms;
    session->next_nonce = session->next_snapshot = 1;
    session->resync_backoff_ms = SESSION_BACKOFF_MIN_MS;
    return session;
}

void bw_session_destroy(struct bw_session *session)
{
    if (session == NULL)
        return;
    session_snapshot_drop(session);
    bw_free(session);
}

bool session_send(struct bw_session *session, struct bw_control_message *message)
{
    if (session->state == BW_SESSION_CLOSED)
        return false;
    message->epoch = session->epoch;
    enum bw_code code = session->ports.send(session->ports.context, message);
    if (code == BW_OK)
        return true;
    struct bw_error why = {0};
    (void)bw_fail(&why, code, NULL, "the relay does not take what it is sent");
    bw_session_end(session, &why);
    return false;
}

/* Moves along the table and says what to do; a pair that is not in it is a message the relay must not send in
 * this state. */
static enum bw_session_effect advance(struct bw_session *session, enum bw_session_event event,
                                      uint64_t now_ms)
{
    const struct bw_machine_row *row = bw_machine_find(&bw_session_machine, (int)session->state, (int)event);
    if (row == NULL)
        return BW_SESSION_NOTHING;
    if (row->next != (int)session->state) {
        session->state = (enum bw_session_state)row->next;
        session->state_since_ms = now_ms;
    }
    return (enum bw_session_effect)row->effect;
}

static void finish(struct bw_session *session, enum bw_session_event event, const struct bw_error *why,
                   uint64_t now_ms)
{
    if (advance(session, event, now_ms) == BW_SESSION_CLOSE)
        session->ports.close(session->ports.context, why);
}

static void broken(struct bw_session *session, enum bw_code code, const char *reason, const char *text,
                   uint64_t now_ms)
{
    struct bw_error why = {0};
    (void)bw_fail(&why, code, reason, "%s", text);
    finish(session, BW_SESSION_BAD, &why, now_ms);
}

static uint32_t smaller(uint32_t wish, uint32_t bound)
{
    return wish != 0 && wish < bound ? wish : bound;
}

static void take_hello(struct bw_session *session, const struct bw_hello *hello, uint64_t now_ms)
{
    struct bw_error why = {0};
    uint32_t protocol = 0;
    if (bw_hello_check(hello, session->enrolment, &protocol, &why) != BW_OK) {
        finish(session, BW_SESSION_BAD, &why, now_ms);
        return;
    }
    session->protocol = protocol;
    session->has_resume = hello->has_resume;
    session->resume = hello->resume;
    const struct bw_session_config *config = &session->config;
    session->window_messages =
        smaller(hello->window_messages, config->window_messages != 0 ? config->window_messages : 8);
    if (session->window_messages > SESSION_WINDOW_MAX)
        session->window_messages = SESSION_WINDOW_MAX;
    session->window_bytes =
        smaller(hello->window_bytes, config->window_bytes != 0 ? config->window_bytes : 1024 * 1024);
    if (advance(session, BW_SESSION_HELLO, now_ms) == BW_SESSION_ASK_EPOCH)
        session->ports.fence(session->ports.context, hello);
}

static void welcome(struct bw_session *session, uint64_t now_ms)
{
    const struct bw_session_timing *timing = &session->config.timing;
    bool resume = session_can_resume(session);
    struct bw_control_message message = {.kind = BW_CONTROL_WELCOME,
                                         .welcome = {.replica = bw_view_str(session->config.replica),
                                                     .stream_id = session->config.stream_id,
                                                     .head_group = bw_feed_head(session->feed),
                                                     .mode = resume ? BW_WELCOME_RESUME : BW_WELCOME_SNAPSHOT,
                                                     .lease_ms = timing->lease_ms,
                                                     .heartbeat_ms = timing->heartbeat_ms,
                                                     .grace_ms = timing->grace_ms,
                                                     .protocol = session->protocol,
                                                     .relay = bw_view_str(session->enrolment->name),
                                                     .relay_number = session->enrolment->number,
                                                     .cell_id = session->config.cell_id}};
    session->by_snapshot = !resume;
    if (session_send(session, &message))
        session_stream_start(session, now_ms);
}

void bw_session_fenced(struct bw_session *session, uint64_t epoch, const struct bw_error *error,
                       uint64_t now_ms)
{
    if (session->state != BW_SESSION_FENCING)
        return;
    if (error != NULL) {
        finish(session, BW_SESSION_END, error, now_ms);
        return;
    }
    session->epoch = epoch;
    bool behind = session->has_resume &&
                  bw_id_equal(&session->resume.stream_id, &session->config.stream_id) &&
                  session->resume.applied_group > bw_feed_head(session->feed);
    enum bw_session_event event = behind ? BW_SESSION_FENCED_BEHIND : BW_SESSION_FENCED;
    if (advance(session, event, now_ms) == BW_SESSION_ASK_CATCH_UP) {
        session->ports.catch_up(session->ports.context, session->resume.applied_group);
        bw_session_wake(session, now_ms);
    } else {
        welcome(session, now_ms);
    }
}

static void take_heartbeat(struct bw_session *session, const struct bw_heartbeat *heartbeat, uint64_t now_ms)
{
    if (heartbeat->number <= session->heartbeat_number)
        return; /* said before */
    if (heartbeat->applied_group > session->told_group) {
        broken(session, BW_INVALID_ARGUMENT, NULL, "the relay claims to have applied what it was not sent",
               now_ms);
        return;
    }
    session->heartbeat_number = heartbeat->number;
    session->heartbeat_at_ms = now_ms;
    session->load = heartbeat->load;
    session_stream_check(session, heartbeat, now_ms);
    session->ports.heartbeat(session->ports.context, heartbeat);
}

static void take_ack(struct bw_session *session, uint64_t nonce, uint64_t applied,
                     const struct bw_nack_item *failures, size_t failure_count, uint64_t now_ms)
{
    if (nonce >= session->next_nonce || applied > session->told_group) {
        broken(session, BW_INVALID_ARGUMENT, NULL, "the relay acknowledges what it was not sent", now_ms);
        return;
    }
    if (failure_count > 0)
        session->nacks++;
    uint64_t before = session->acked_group;
    session_stream_ack(session, nonce, failures, failure_count, now_ms);
    if (session->state == BW_SESSION_LIVE && session->acked_group > before)
        session->ports.applied(session->ports.context, session->acked_group);
    session_stream_pump(session, now_ms);
}

static void handle(struct bw_session *session, const struct bw_relay_message *message, uint64_t now_ms)
{
    void *context = session->ports.context;
    switch (message->kind) {
    case BW_RELAY_HEARTBEAT:
        take_heartbeat(session, &message->heartbeat, now_ms);
        break;
    case BW_RELAY_ACK:
        take_ack(session, message->ack.nonce, message->ack.applied_group, NULL, 0, now_ms);
        break;
    case BW_RELAY_NACK:
        take_ack(session, message->nack.nonce, message->nack.applied_group, message->nack.items,
                 message->nack.item_count, now_ms);
        break;
    case BW_RELAY_PROBE:
        session->ports.probe(context, &message->probe);
        break;
    case BW_RELAY_EVENTS:
        session->ports.events(context, message->events.events, message->events.count);
        break;
    case BW_RELAY_DRAIN_REQUEST:
        session->ports.drain_requested(context, message->leave.reason, message->leave.ms);
        break;
    case BW_RELAY_HELLO:
    case BW_RELAY_BYE:
        break; /* told apart before */
    }
}

static void take_bye(struct bw_session *session, const struct bw_relay_message *message, uint64_t now_ms)
{
    struct bw_error why = {0};
    (void)bw_fail(&why, BW_OK, NULL, "the relay has said goodbye");
    if (session->state == BW_SESSION_LIVE)
        session->ports.bye(session->ports.context, message->leave.reason, message->leave.ms);
    finish(session, BW_SESSION_END, &why, now_ms);
}

void bw_session_receive(struct bw_session *session, const struct bw_relay_message *message, uint64_t now_ms)
{
    if (session->state == BW_SESSION_CLOSED)
        return;
    if (session->state == BW_SESSION_NEW && message->kind == BW_RELAY_HELLO) {
        take_hello(session, &message->hello, now_ms);
        return;
    }
    if (session->state != BW_SESSION_LIVE) {
        if (message->kind == BW_RELAY_BYE)
            take_bye(session, message, now_ms);
        else
            broken(session, BW_FAILED_PRECONDITION, NULL, "a session begins with Hello and waits for Welcome",
                   now_ms);
        return;
    }
    if (message->kind == BW_RELAY_HELLO) {
        broken(session, BW_FAILED_PRECONDITION, NULL, "a second Hello in one session", now_ms);
        return;
    }
    bool stale = message->epoch != session->epoch;
    enum bw_session_event event = stale ? BW_SESSION_STALE : BW_SESSION_MESSAGE;
    if (!stale && message->kind == BW_RELAY_BYE) {
        take_bye(session, message, now_ms);
        return;
    }
    enum bw_session_effect effect = advance(session, event, now_ms);
    if (effect == BW_SESSION_DROP)
        session->stale_dropped++;
    else if (effect == BW_SESSION_HANDLE)
        handle(session, message, now_ms);
}

void bw_session_wake(struct bw_session *session, uint64_t now_ms)
{
    if (session->state == BW_SESSION_CATCHING) {
        bool reached = bw_feed_head(session->feed) >= session->resume.applied_group;
        bool late = now_ms - session->state_since_ms >= session->config.timing.catch_up_ms;
        if ((reached || late) && advance(session, BW_SESSION_REACHED, now_ms) == BW_SESSION_WELCOME)
            welcome(session, now_ms);
        return;
    }
    session_stream_pump(session, now_ms);
}

static uint64_t heard_ms(const struct bw_session *session)
{
    return session->heartbeat_at_ms != 0 ? session->heartbeat_at_ms : session->state_since_ms;
}

/* How long nothing was heard. Never negative: a caller whose clock is a moment behind must not see a relay as
 * silent since the beginning of time. */
static uint64_t silence_ms(const struct bw_session *session, uint64_t now_ms)
{
    uint64_t heard = heard_ms(session);
    return now_ms > heard ? now_ms - heard : 0;
}

void bw_session_tick(struct bw_session *session, uint64_t now_ms)
{
    const struct bw_session_timing *timing = &session->config.timing;
    struct bw_error why = {0};
    switch (session->state) {
    case BW_SESSION_NEW:
    case BW_SESSION_FENCING:
        if (now_ms - session->state_since_ms < timing->hello_ms)
            return;
        (void)bw_fail(&why, BW_DEADLINE_EXCEEDED, NULL,
                      session->state == BW_SESSION_NEW ? "no Hello in time"
                                                       : "the session epoch could not be had in time");
        finish(session, BW_SESSION_TIMEOUT, &why, now_ms);
        return;
    case BW_SESSION_CATCHING:
        bw_session_wake(session, now_ms);
        return;
    case BW_SESSION_LIVE:
        if (silence_ms(session, now_ms) >= timing->dead_ms) {
            (void)bw_fail(&why, BW_DEADLINE_EXCEEDED, NULL, "no heartbeat for %u ms",
                          (unsigned)timing->dead_ms);
            finish(session, BW_SESSION_TIMEOUT, &why, now_ms);
            return;
        }
        if (session->unacked_count > 0 && now_ms - session->unacked[0].at_ms >= timing->ack_dead_ms) {
            (void)bw_fail(&why, BW_DEADLINE_EXCEEDED, NULL, "no acknowledgement for %u ms",
                          (unsigned)timing->ack_dead_ms);
            finish(session, BW_SESSION_TIMEOUT, &why, now_ms);
            return;
        }
        if (session->snapshot.running && now_ms - session->snapshot.moved_ms >= timing->ack_dead_ms) {
            (void)bw_fail(&why, BW_DEADLINE_EXCEEDED, NULL,
                          "the relay takes nothing of its snapshot for %u ms", (unsigned)timing->ack_dead_ms);
            finish(session, BW_SESSION_TIMEOUT, &why, now_ms);
            return;
        }
        session_stream_pump(session, now_ms);
        return;
    case BW_SESSION_CLOSED:
    case BW_SESSION_STATE_COUNT:
        return;
    }
}

uint64_t bw_session_next_ms(const struct bw_session *session)
{
    const struct bw_session_timing *timing = &session->config.timing;
    switch (session->state) {
    case BW_SESSION_NEW:
    case BW_SESSION_FENCING:
        return session->state_since_ms + timing->hello_ms;
    case BW_SESSION_CATCHING:
        return session->state_since_ms + timing->catch_up_ms;
    case BW_SESSION_LIVE: {
        uint64_t dead = heard_ms(session) + timing->dead_ms, stream = session_stream_next_ms(session);
        if (session->unacked_count > 0 && session->unacked[0].at_ms + timing->ack_dead_ms < stream)
            stream = session->unacked[0].at_ms + timing->ack_dead_ms;
        return stream < dead ? stream : dead;
    }
    case BW_SESSION_CLOSED:
    case BW_SESSION_STATE_COUNT:
        break;
    }
    return UINT64_MAX;
}

void bw_session_lease_renewed(struct bw_session *session, uint64_t heartbeat, uint64_t events_through)
{
    if (session->state != BW_SESSION_LIVE || heartbeat > session->heartbeat_number ||
        heartbeat <= session->lease_answered)
        return;
    session->lease_answered = heartbeat;
    struct bw_control_message message = {.kind = BW_CONTROL_LEASE_GRANT,
                                         .lease_grant = {.heartbeat = heartbeat,
                                                         .lease_ms = session->config.timing.lease_ms,
                                                         .events_through = events_through}};
    (void)session_send(session, &message);
}

static void order(struct bw_session *session, struct bw_control_message *message)
{
    if (session->state == BW_SESSION_LIVE)
        (void)session_send(session, message);
}

void bw_session_drain(struct bw_session *session, bool draining, uint32_t deadline_ms, const char *reason)
{
    struct bw_control_message message = {
        .kind = BW_CONTROL_DRAIN,
        .drain = {.draining = draining, .deadline_ms = deadline_ms, .reason = bw_view_str(reason)}};
    order(session, &message);
}

void bw_session_revoke(struct bw_session *session, const struct bw_revoke *revoke)
{
    struct bw_control_message message = {.kind = BW_CONTROL_REVOKE, .revoke = *revoke};
    order(session, &message);
}

void bw_session_probe_plan(struct bw_session *session, const struct bw_probe_target *targets, size_t count,
                           uint32_t interval_ms, uint32_t packets)
{
    BW_CHECK(count <= BW_PROBE_TARGETS);
    struct bw_control_message message = {
        .kind = BW_CONTROL_PROBE_PLAN,
        .probe_plan = {.targets = targets, .count = count, .interval_ms = interval_ms, .packets = packets}};
    order(session, &message);
}

void bw_session_go_away(struct bw_session *session, const char *reason, uint32_t reconnect_in_ms)
{
    struct bw_control_message message = {
        .kind = BW_CONTROL_GO_AWAY,
        .go_away = {.reason = bw_view_str(reason), .reconnect_in_ms = reconnect_in_ms}};
    order(session, &message);
}

void bw_session_end(struct bw_session *session, const struct bw_error *why)
{
    finish(session, BW_SESSION_END, why, session->state_since_ms);
}

enum bw_liveness bw_liveness_of(const struct bw_session_timing *timing, uint64_t silent_ms)
{
    if (silent_ms >= timing->dead_ms)
        return BW_DEAD;
    if (silent_ms >= timing->lease_ms)
        return BW_LAPSED;
    return silent_ms >= timing->suspect_ms ? BW_SUSPECT : BW_LIVE;
}

struct bw_session_status bw_session_status(const struct bw_session *session, uint64_t now_ms)
{
    const struct bw_session_timing *timing = &session->config.timing;
    bool live = session->state == BW_SESSION_LIVE;
    struct bw_session_status status = {
        .state = session->state,
        .epoch = session->epoch,
        .liveness = live ? bw_liveness_of(timing, silence_ms(session, now_ms)) : BW_DEAD,
        .lagging = (session->unacked_count > 0 && now_ms - session->unacked[0].at_ms >= timing->ack_lag_ms) ||
                   (session->snapshot.running && now_ms - session->snapshot.since_ms >= timing->ack_lag_ms),
        .by_snapshot = session->by_snapshot,
        .acked_group = session->acked_group,
        .sent_group = session->told_group,
        .unacked = session->unacked_count,
        .retrying = session->retry_count,
        .snapshots = session->snapshots,
        .deltas = session->deltas,
        .nacks = session->nacks,
        .stale_dropped = session->stale_dropped,
        .load = session->load,
        .heartbeat_ms = session->heartbeat_at_ms};
    status.placeable = live && status.liveness == BW_LIVE && !status.lagging && session->acked &&
                       session->heartbeat_at_ms != 0;
    return status;
}
