/* The client made simple: one request and one reply, with a loop or without. */
#include <string.h>

#include "base/alloc.h"
#include "grpc/client.h"

/* ---- on a loop ---- */

struct unary {
    void (*done)(const struct bw_grpc_outcome *outcome, struct bw_view reply, void *context);
    void *context;
    struct bw_buf reply;
    unsigned messages;
};

static void on_unary_message(struct bw_grpc_client_call *call, struct bw_view message, void *context)
{
    (void)call;
    struct unary *unary = context;
    if (unary->messages++ == 0)
        bw_buf_append(&unary->reply, message.data, message.len);
}

static void on_unary_finished(struct bw_grpc_client_call *call, const struct bw_grpc_outcome *outcome,
                              void *context)
{
    (void)call;
    struct unary *unary = context;
    struct bw_grpc_outcome seen = *outcome;
    if (seen.code == BW_OK && unary->messages != 1)
        seen = (struct bw_grpc_outcome){.code = BW_UNIMPLEMENTED,
                                        .message = "the server did not send exactly one reply"};
    else if (seen.code == BW_OK && unary->reply.failed)
        seen = (struct bw_grpc_outcome){.code = BW_RESOURCE_EXHAUSTED, .message = "out of memory"};
    unary->done(&seen, seen.code == BW_OK ? bw_buf_view(&unary->reply) : (struct bw_view){0}, unary->context);
    bw_buf_finish(&unary->reply);
    bw_free(unary);
}

static const struct bw_grpc_client_events unary_events = {.message = on_unary_message,
                                                          .finished = on_unary_finished};

enum bw_code
bw_grpc_client_unary(struct bw_grpc_client *client, const char *path, uint64_t deadline_ms,
                     const struct bw_grpc_metadata *metadata, size_t metadata_count, struct bw_view request,
                     void (*done)(const struct bw_grpc_outcome *outcome, struct bw_view reply, void *context),
                     void *context, struct bw_error *err)
{
    struct unary *unary = bw_calloc(1, sizeof *unary);
    if (unary == NULL)
        return bw_fail_memory(err);
    unary->done = done;
    unary->context = context;
    struct bw_error why = {.code = BW_UNAVAILABLE};
    struct bw_grpc_client_call *call =
        bw_grpc_client_call(client, path, deadline_ms, metadata, metadata_count, &unary_events, unary, &why);
    if (call == NULL) {
        bw_free(unary);
        if (err != NULL)
            *err = why;
        return why.code;
    }
    if (bw_grpc_client_send(call, request) != BW_OK)
        bw_grpc_client_cancel(call); /* `done` says so */
    else
        bw_grpc_client_half_close(call);
    return BW_OK;
}

/* ---- without a loop ---- */

struct bw_grpc_sync {
    struct bw_loop *loop;
    struct bw_grpc_client_config config;
    struct bw_grpc_client *client; /* NULL: to be connected with the next call */
};

struct sync_call {
    struct bw_grpc_sync *sync;
    struct bw_arena *arena;
    bool (*message)(struct bw_view message, void *context);
    void *context;
    struct bw_grpc_outcome *outcome;
    bool done;
};

static void on_sync_closed(struct bw_grpc_client *client, const struct bw_error *why, void *context)
{
    (void)why;
    struct bw_grpc_sync *sync = context;
    sync->client = NULL;
    bw_grpc_client_destroy(client);
}

struct bw_grpc_sync *bw_grpc_sync_open(const struct bw_grpc_client_config *config, struct bw_error *err)
{
    struct bw_grpc_sync *sync = bw_calloc(1, sizeof *sync);
    if (sync == NULL) {
        (void)bw_fail_memory(err);
        return NULL;
    }
    sync->config = *config;
    sync->config.connected = NULL;
    sync->config.going_away = NULL;
    sync->config.closed = on_sync_closed;
    sync->config.context = sync;
    sync->loop = bw_loop_create(err);
    sync->client = sync->loop ? bw_grpc_client_create(sync->loop, &sync->config, err) : NULL;
    if (sync->client == NULL) {
        bw_grpc_sync_close(sync);
        return NULL;
    }
    return sync;
}

void bw_grpc_sync_close(struct bw_grpc_sync *sync)
{
    if (sync == NULL)
        return;
    bw_grpc_client_destroy(sync->client);
    bw_loop_destroy(sync->loop);
    bw_free(sync);
}

static void on_sync_message(struct bw_grpc_client_call *call, struct bw_view message, void *context)
{
    struct sync_call *state = context;
    if (!state->message(message, state->context))
        bw_grpc_client_cancel(call);
}

static const char *keep_text(struct bw_arena *arena, const char *text)
{
    const char *copy = text ? bw_arena_strdup(arena, text) : NULL;
    return copy ? copy : "";
}

static void on_sync_finished(struct bw_grpc_client_call *call, const struct bw_grpc_outcome *outcome,
                             void *context)
{
    (void)call;
    struct sync_call *state = context;
    struct bw_grpc_outcome *kept = state->outcome;
    *kept =
        (struct bw_grpc_outcome){.code = outcome->code, .message = keep_text(state->arena, outcome->message)};
    const uint8_t *status = bw_arena_memdup(state->arena, outcome->status.data, outcome->status.len);
    struct bw_grpc_details *details = bw_arena_zalloc(state->arena, 1, sizeof *details);
    if (status != NULL)
        kept->status = bw_view_of(status, outcome->status.len);
    if (outcome->details != NULL && details != NULL &&
        bw_grpc_details_decode(kept->status, state->arena, details, NULL) == BW_OK)
        kept->details = details;
    state->done = true;
    bw_loop_stop(state->sync->loop);
}

static const struct bw_grpc_client_events sync_events = {.message = on_sync_message,
                                                         .finished = on_sync_finished};

static enum bw_code fail_sync(struct bw_arena *arena, struct bw_grpc_outcome *outcome,
                              const struct bw_error *err)
{
    *outcome = (struct bw_grpc_outcome){.code = err->code, .message = keep_text(arena, err->show)};
    return outcome->code;
}

enum bw_code bw_grpc_sync_call(struct bw_grpc_sync *sync, const char *path, uint64_t deadline_ms,
                               const struct bw_grpc_metadata *metadata, size_t metadata_count,
                               struct bw_view request, struct bw_arena *arena,
                               bool (*message)(struct bw_view message, void *context), void *context,
                               struct bw_grpc_outcome *outcome)
{
    struct bw_error err = {.code = BW_UNAVAILABLE};
    /* What happened on the connection since the last call. */
    bw_loop_turn(sync->loop, false);
    bool old = sync->client != NULL;
    if (!old)
        sync->client = bw_grpc_client_create(sync->loop, &sync->config, &err);
    if (sync->client == NULL)
        return fail_sync(arena, outcome, &err);
    struct sync_call state = {
        .sync = sync, .arena = arena, .message = message, .context = context, .outcome = outcome};
    struct bw_grpc_client_call *call = bw_grpc_client_call(sync->client, path, deadline_ms, metadata,
                                                           metadata_count, &sync_events, &state, &err);
    if (call == NULL && old && err.code == BW_UNAVAILABLE) {
        /* A kept connection that the server is leaving. */
        bw_grpc_client_destroy(sync->client);
        sync->client = bw_grpc_client_create(sync->loop, &sync->config, &err);
        if (sync->client != NULL)
            call = bw_grpc_client_call(sync->client, path, deadline_ms, metadata, metadata_count,
                                       &sync_events, &state, &err);
    }
    if (call == NULL)
        return fail_sync(arena, outcome, &err);
    if (bw_grpc_client_send(call, request) != BW_OK)
        bw_grpc_client_cancel(call);
    else
        bw_grpc_client_half_close(call);
    while (!state.done)
        bw_loop_run(sync->loop);
    return outcome->code;
}

struct one_reply {
    struct bw_arena *arena;
    struct bw_view reply;
    unsigned messages;
    bool full;
};

static bool keep_reply(struct bw_view message, void *context)
{
    struct one_reply *one = context;
    if (one->messages++ > 0)
        return true;
    const uint8_t *copy = bw_arena_memdup(one->arena, message.data, message.len);
    one->full = copy == NULL;
    one->reply = bw_view_of(copy, copy ? message.len : 0);
    return true;
}

enum bw_code bw_grpc_client_unary_sync(const struct bw_grpc_client_config *config, const char *path,
                                       uint64_t deadline_ms, const struct bw_grpc_metadata *metadata,
                                       size_t metadata_count, struct bw_view request, struct bw_arena *arena,
                                       struct bw_view *reply, struct bw_grpc_outcome *outcome)
{
    struct bw_error err = {.code = BW_UNAVAILABLE};
    struct bw_grpc_sync *sync = bw_grpc_sync_open(config, &err);
    if (sync == NULL)
        return fail_sync(arena, outcome, &err);
    struct one_reply one = {.arena = arena};
    bw_grpc_sync_call(sync, path, deadline_ms, metadata, metadata_count, request, arena, keep_reply, &one,
                      outcome);
    bw_grpc_sync_close(sync);
    if (outcome->code == BW_OK && one.full)
        *outcome =
            (struct bw_grpc_outcome){.code = BW_RESOURCE_EXHAUSTED, .message = "the reply is too large"};
    else if (outcome->code == BW_OK && one.messages != 1)
        *outcome = (struct bw_grpc_outcome){.code = BW_UNIMPLEMENTED,
                                            .message = "the server did not send exactly one reply"};
    if (outcome->code == BW_OK)
        *reply = one.reply;
    return outcome->code;
}
