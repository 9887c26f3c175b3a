/* WatchMeeting. A watch lives in two places: its stream on the worker that took the call, its link in the
 * meeting on the thread of the meeting's owner. What the owner's side has to say is encoded there and posted
 * here in order; the last post says that the owner's side is done, and whoever is last frees the watch.
 *
 *   worker: opened ─ run_at_owner ─▶ owner: READ: state in parts, linked ─ run_here ─▶ worker: sent
 *                                    owner: each change                  ─ run_here ─▶ worker: sent
 *   worker: stream over ─ run_at_owner ─▶ owner: unlinked ─ run_here ─▶ worker: freed */
#include "api/api_state.h"
#include "api/meeting_copy.h"
#include "api/watch_events.h"
#include "bailiwick/v1/meeting.pb-c.h"
#include "base/alloc.h"
#include "wire/wire.h"

/* Changes that may wait for one watcher to read; so far below what a connection may have waiting that its
 * other calls do not suffer. The state, which comes first, is not counted: its size is the meeting's. */
enum { WAITING_MAX = 1 << 20 };
enum { PART_ENTRIES = 200, ARENA_BYTES = 64 << 20 };

struct watching;

/* What travels from the owner's side. */
struct news {
    struct bw_api_task task;
    struct watching *watching;
    struct bw_buf message; /* empty: none */
    bool embedded;         /* part of the watch: not freed on its own */
    bool state;            /* the message is a part of the state */
    bool opened;           /* the owner's side is linked, or has failed */
    bool over;             /* finish the stream: with `error`, or well when its code is BW_OK */
    bool gone;             /* nothing comes any more */
    struct bw_error error;
};

struct watching {
    /* The worker's. */
    struct bw_api_call *call; /* NULL once the stream is over */
    struct bw_api *api;
    struct bw_id meeting, tenant;
    struct bw_api_task to_owner; /* one at a time: open, then close */
    bool opening;                /* to_owner has not come back yet */
    bool closing;                /* the stream is over: to be unlinked */
    size_t state_bytes;          /* of the state, some of which may be waiting */

    /* The owner's. */
    struct bw_owner *owner;
    struct bw_watch watch;
    struct bw_op op;
    struct bw_arena *arena; /* of what is being encoded */
    struct bw_api_watcher watcher;
    const char *tenant_name;
    bool over_told;
    /* Must not fail for want of memory. */
    struct news open_news, over_news, last_news;
};

static void destroy(struct watching *watching)
{
    bw_arena_destroy(watching->arena);
    bw_free((char *)watching->tenant_name);
    bw_free(watching);
}

/* ---- the worker's side ---- */

static void close_at_owner(struct bw_api_task *task, struct bw_owner *owner);

static void leave_owner(struct watching *watching)
{
    if (watching->opening || watching->closing)
        return; /* goes on when the opening has come back */
    watching->closing = true;
    const struct bw_api_ports *ports = &watching->api->config.ports;
    watching->to_owner.run = close_at_owner;
    ports->run_at_owner(ports->context, &watching->meeting, &watching->to_owner);
}

/* Ends the stream if it still is there; the rest of the life is the owner's side. */
static void finish_stream(struct watching *watching, const struct bw_error *error)
{
    struct bw_api_call *call = watching->call;
    if (call == NULL)
        return;
    watching->call = NULL;
    bw_grpc_call_set_data(call->grpc, NULL);
    bw_api_finish_stream(call, error);
}

/* False when the watcher reads too slowly. */
static bool send(struct watching *watching, const struct news *news)
{
    struct bw_grpc_call *grpc = watching->call->grpc;
    if (news->state)
        watching->state_bytes += news->message.len;
    else if (bw_grpc_send_pending_bytes(grpc) > watching->state_bytes + WAITING_MAX)
        return false;
    return bw_grpc_send(grpc, bw_buf_view(&news->message)) != BW_RESOURCE_EXHAUSTED;
}

static void deliver(struct bw_api_task *task, struct bw_owner *owner)
{
    struct news *news = (struct news *)task;
    struct watching *watching = news->watching;
    (void)owner;
    if (news->opened)
        watching->opening = false;
    if (news->message.len > 0 && watching->call != NULL && !send(watching, news)) {
        struct bw_error err;
        (void)bw_fail(&err, BW_RESOURCE_EXHAUSTED, "SLOW_WATCHER",
                      "changes came faster than they were read; watch again for the state of then");
        finish_stream(watching, &err);
    }
    if (news->over)
        finish_stream(watching, news->error.code != BW_OK ? &news->error : NULL);
    bool gone = news->gone;
    bw_buf_finish(&news->message);
    if (!news->embedded)
        bw_free(news);
    if (gone) {
        finish_stream(watching, NULL);
        destroy(watching);
    } else if (watching->call == NULL) {
        leave_owner(watching);
    }
}

void bw_api_watch_ended(struct bw_grpc_call *grpc, enum bw_code why, void *context)
{
    (void)why;
    (void)context;
    struct watching *watching = bw_grpc_call_data(grpc);
    if (watching == NULL)
        return; /* answered before */
    finish_stream(watching, NULL);
    leave_owner(watching);
}

/* ---- the owner's side ---- */

static void post(struct watching *watching, struct news *news)
{
    const struct bw_api_ports *ports = &watching->api->config.ports;
    news->task.run = deliver;
    news->watching = watching;
    ports->run_here(ports->context, &news->task);
}

/* Tells one event; false when memory is out. */
static bool tell(void *context, const Bailiwick__V1__WatchMeetingResponse *event)
{
    struct watching *watching = context;
    struct news *news = bw_calloc(1, sizeof *news);
    if (news == NULL)
        return false;
    if (bw_wire_encode(&event->base, &news->message) != BW_OK) {
        bw_buf_finish(&news->message);
        bw_free(news);
        return false;
    }
    news->state = event->event_case == BAILIWICK__V1__WATCH_MEETING_RESPONSE__EVENT_STATE;
    post(watching, news);
    return true;
}

static void tell_over(struct watching *watching, const struct bw_error *error)
{
    if (watching->over_told)
        return;
    watching->over_told = true;
    watching->over_news.over = true;
    if (error != NULL)
        watching->over_news.error = *error;
    post(watching, &watching->over_news);
}

static void stop_watching(struct watching *watching, const struct bw_error *error)
{
    bw_owner_unwatch(watching->owner, &watching->watch);
    tell_over(watching, error);
}

static void changed(struct bw_watch *watch, const struct bw_change *change)
{
    struct watching *watching = (struct watching *)((char *)watch - offsetof(struct watching, watch));
    bw_arena_reset(watching->arena);
    if (!bw_api_watch_events(&watching->watcher, change, bw_owner_view(watching->owner), watching->arena,
                             tell, watching)) {
        struct bw_error err;
        (void)bw_fail(&err, BW_RESOURCE_EXHAUSTED, NULL, "out of memory; watch again");
        stop_watching(watching, &err);
    } else if (change->decision.kind == BW_DECISION_ENDED) {
        stop_watching(watching, NULL);
    }
}

static void watch_ended(struct bw_watch *watch)
{
    struct watching *watching = (struct watching *)((char *)watch - offsetof(struct watching, watch));
    struct bw_error err;
    (void)bw_fail(&err, BW_ABORTED, "WATCH_AGAIN",
                  "the meeting's state was read back and may have jumped; watch again");
    tell_over(watching, &err);
}

/* The whole state, in parts that a message can hold. */
static bool tell_state(struct watching *watching, const struct bw_meeting *meeting)
{
    const struct bw_fleet_view *view = bw_owner_view(watching->owner);
    uint32_t after = 0;
    bool first = true;
    for (bool more = true; more; first = false) {
        bw_arena_reset(watching->arena);
        struct bw_api_meeting_copy copy;
        Bailiwick__V1__WatchMeetingResponse event = BAILIWICK__V1__WATCH_MEETING_RESPONSE__INIT;
        Bailiwick__V1__WatchMeetingResponse__State state = BAILIWICK__V1__WATCH_MEETING_RESPONSE__STATE__INIT;
        if (!bw_api_copy_meeting(meeting, after, PART_ENTRIES, watching->arena, &copy))
            return false;
        if (first) {
            state.meeting = bw_api_meeting_message(&copy, watching->tenant_name, true, view, watching->arena);
            if (state.meeting == NULL)
                return false;
        }
        state.roster = bw_api_roster(&copy, view, watching->arena);
        state.n_roster = copy.member_count;
        state.more = more = copy.more;
        if (state.roster == NULL)
            return false;
        if (more)
            after = copy.members[copy.member_count - 1].slot;
        event.decision_seq = copy.seq;
        event.event_case = BAILIWICK__V1__WATCH_MEETING_RESPONSE__EVENT_STATE;
        event.state = &state;
        if (!tell(watching, &event))
            return false;
    }
    return true;
}

static void read_state(struct bw_op *op, const struct bw_meeting *meeting)
{
    struct watching *watching = op->context;
    if (meeting == NULL) {
        (void)bw_fail(&op->error, BW_NOT_FOUND, "NO_MEETING",
                      "the tenant has no meeting of that id here; ended ones are kept for a while only");
        return;
    }
    watching->watcher.label = bw_meeting_label(meeting);
    watching->watcher.epoch = meeting->mode.epoch;
    if (!tell_state(watching, meeting)) {
        (void)bw_fail_memory(&op->error);
        return;
    }
    watching->watch.changed = changed;
    watching->watch.ended = watch_ended;
    if (!meeting->ended)
        op->error.code = bw_owner_watch(watching->owner, &meeting->id, &watching->watch, &op->error);
}

/* In done's turn the state is on its way already; nothing can have come in between. */
static void opened(struct bw_op *op)
{
    struct watching *watching = op->context;
    struct news *news = &watching->open_news;
    news->opened = true;
    news->over = !watching->watch.linked; /* failed, or of a meeting that has ended */
    news->error = op->error;
    post(watching, news);
}

static void open_at_owner(struct bw_api_task *task, struct bw_owner *owner)
{
    struct watching *watching = (struct watching *)((char *)task - offsetof(struct watching, to_owner));
    watching->owner = owner;
    watching->op = (struct bw_op){
        .kind = BW_OP_READ,
        .tenant = watching->tenant,
        .meeting = watching->meeting,
        .read = read_state,
        .arena = watching->arena,
        .done = opened,
        .context = watching,
    };
    bw_owner_submit(owner, &watching->op);
}

static void close_at_owner(struct bw_api_task *task, struct bw_owner *owner)
{
    struct watching *watching = (struct watching *)((char *)task - offsetof(struct watching, to_owner));
    bw_owner_unwatch(owner, &watching->watch);
    watching->last_news.gone = true;
    post(watching, &watching->last_news);
}

/* ---- the call ---- */

void bw_api_watch_meeting(struct bw_api_call *call)
{
    const Bailiwick__V1__WatchMeetingRequest *request =
        (const Bailiwick__V1__WatchMeetingRequest *)call->request;
    struct watching *watching = bw_calloc(1, sizeof *watching);
    if (watching == NULL) {
        bw_api_fail_memory(call);
        return;
    }
    watching->arena = bw_arena_create(ARENA_BYTES);
    watching->tenant_name = bw_strdup(call->tenant_name);
    if (watching->arena == NULL || watching->tenant_name == NULL) {
        destroy(watching);
        bw_api_fail_memory(call);
        return;
    }
    watching->call = call;
    watching->api = call->api;
    watching->tenant = call->tenant;
    watching->meeting = bw_api_id(request->meeting_id);
    watching->opening = true;
    watching->open_news.embedded = watching->over_news.embedded = watching->last_news.embedded = true;
    bw_grpc_call_set_data(call->grpc, watching);
    bw_grpc_send_headers(call->grpc);
    watching->to_owner.run = open_at_owner;
    const struct bw_api_ports *ports = bw_api_ports_of(call);
    ports->run_at_owner(ports->context, &watching->meeting, &watching->to_owner);
}
