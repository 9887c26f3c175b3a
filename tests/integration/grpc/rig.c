#include "rig.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "runtime/log.h"
#include "runtime/thread.h"

/* ---- the service ---- */

static void note_ended(struct bw_grpc_call *call, enum bw_code why, void *context)
{
    (void)call;
    struct rig *rig = context;
    rig->ended++;
    rig->ended_why = why;
}

static void note_opened(struct bw_grpc_call *call, void *context)
{
    struct rig *rig = context;
    rig->opened++;
    const char *id = bw_grpc_call_peer(call)->spiffe_id;
    snprintf(rig->peer, sizeof rig->peer, "%s", id ? id : "");
}

static void echo(struct bw_grpc_call *call, struct bw_view message, void *context)
{
    struct rig *rig = context;
    rig->messages++;
    bw_grpc_reply(call, message);
}

static void echo_gzip(struct bw_grpc_call *call, struct bw_view message, void *context)
{
    bw_grpc_compress(call, true);
    echo(call, message, context);
}

static void fail_with_details(struct bw_grpc_call *call, struct bw_view message, void *context)
{
    (void)message;
    (void)context;
    static const struct bw_grpc_pair metadata[] = {{"cell", "eu"}};
    static const struct bw_grpc_violation violations[] = {{"tenant", "must be given"}};
    struct bw_grpc_details details = {.metadata = metadata,
                                      .metadata_count = 1,
                                      .violations = violations,
                                      .violation_count = 1,
                                      .retry_after_ms = 1500,
                                      .any_type_url = "type.googleapis.com/t.Extra",
                                      .any_value = bw_view_str("extra")};
    struct bw_error err;
    (void)bw_fail(&err, BW_FAILED_PRECONDITION, "WRONG_CELL", "tenant „chu“ is 100%% elsewhere");
    bw_grpc_finish(call, &err, &details);
}

static void never(struct bw_grpc_call *call, struct bw_view message, void *context)
{
    (void)call;
    (void)message;
    struct rig *rig = context;
    rig->messages++;
}

struct errand {
    struct bw_mail mail;
    struct rig *rig;
    struct bw_grpc_call *call;
    struct bw_view message;
    const uint8_t *copy;
    struct bw_thread *thread;
};

static void bring_back(struct bw_mail *mail)
{
    struct errand *errand = (struct errand *)(void *)mail;
    bw_thread_join(errand->thread);
    if (errand->copy != NULL)
        bw_grpc_reply(errand->call, bw_view_of(errand->copy, errand->message.len));
    bw_grpc_call_release(errand->call);
    free(errand);
}

/* Works with the call's arena on another thread until the call comes back or is cancelled. */
static void run_errand(void *context)
{
    struct errand *errand = context;
    if (errand->message.len > 0 && errand->message.data[0] == 'w') {
        while (!bw_grpc_call_cancelled(errand->call))
            ;
    }
    errand->copy =
        bw_arena_memdup(bw_grpc_call_arena(errand->call), errand->message.data, errand->message.len);
    bw_mailbox_post(errand->rig->mailbox, &errand->mail);
}

static void held(struct bw_grpc_call *call, struct bw_view message, void *context)
{
    struct errand *errand = calloc(1, sizeof *errand);
    BW_CHECK(errand != NULL);
    *errand =
        (struct errand){.mail = {.deliver = bring_back}, .rig = context, .call = call, .message = message};
    bw_grpc_call_hold(call);
    errand->rig->messages++;
    /* The thread is joined from the letter it posts, so it must be stored before it can post. */
    errand->thread = bw_thread_start(run_errand, errand, "errand", NULL);
    BW_CHECK(errand->thread != NULL);
}

static void count_up(struct bw_grpc_call *call, struct bw_view message, void *context)
{
    (void)context;
    uint8_t n = message.len ? message.data[0] : 0;
    for (uint8_t i = 0; i < n; i++)
        BW_CHECK(bw_grpc_send(call, bw_view_of(&i, 1)) == BW_OK);
    bw_grpc_finish(call, NULL, NULL);
}

static void sum_message(struct bw_grpc_call *call, struct bw_view message, void *context)
{
    struct rig *rig = context;
    rig->messages++;
    uintptr_t total = (uintptr_t)bw_grpc_call_data(call) + message.len;
    bw_grpc_call_set_data(call, (void *)total);
}

static void sum_done(struct bw_grpc_call *call, void *context)
{
    struct rig *rig = context;
    rig->half_closed++;
    uint32_t total = (uint32_t)(uintptr_t)bw_grpc_call_data(call);
    bw_grpc_reply(call, bw_view_of(&total, sizeof total));
}

static void chat(struct bw_grpc_call *call, struct bw_view message, void *context)
{
    struct rig *rig = context;
    rig->messages++;
    (void)bw_grpc_send(call, message);
}

static void chat_done(struct bw_grpc_call *call, void *context)
{
    struct rig *rig = context;
    rig->half_closed++;
    bw_grpc_finish(call, NULL, NULL);
}

static void large(struct bw_grpc_call *call, struct bw_view message, void *context)
{
    (void)context;
    struct bw_reader r = bw_reader_of(message);
    size_t n = bw_read_u32(&r);
    uint8_t *bytes = malloc(n ? n : 1);
    BW_CHECK(bytes != NULL);
    for (size_t i = 0; i < n; i++)
        bytes[i] = (uint8_t)(i * 7);
    bw_grpc_reply(call, bw_view_of(bytes, n));
    free(bytes);
}

static void flood_on(struct bw_grpc_call *call, void *context)
{
    (void)context;
    static const uint8_t block[32768];
    uintptr_t sent = (uintptr_t)bw_grpc_call_data(call);
    while (sent < 256 && bw_grpc_send(call, bw_view_of(block, sizeof block)) == BW_OK)
        sent++;
    bw_grpc_call_set_data(call, (void *)sent);
    if (sent == 256)
        bw_grpc_finish(call, NULL, NULL);
}

static void flood(struct bw_grpc_call *call, struct bw_view message, void *context)
{
    (void)message;
    flood_on(call, context);
}

static void meta(struct bw_grpc_call *call, struct bw_view message, void *context)
{
    (void)context;
    struct bw_view value;
    if (bw_grpc_call_metadata(call, "x-echo", 0, &value))
        BW_CHECK(bw_grpc_add_header(call, "x-echo", value) == BW_OK);
    for (size_t i = 0; bw_grpc_call_metadata(call, "x-echo-bin", i, &value); i++)
        BW_CHECK(bw_grpc_add_trailer(call, "x-echo-bin", value) == BW_OK);
    bw_grpc_reply(call, message);
}

static void quit(struct bw_grpc_call *call, void *context)
{
    note_opened(call, context);
    struct bw_error err;
    (void)bw_fail(&err, BW_ABORTED, NULL, "not today");
    bw_grpc_finish(call, &err, NULL);
}

static void keep(struct bw_grpc_call *call, struct bw_view message, void *context)
{
    (void)message;
    struct rig *rig = context;
    BW_CHECK(rig->kept_count < BW_ARRAY_LEN(rig->kept));
    bw_grpc_call_hold(call);
    rig->kept[rig->kept_count++] = call;
}

static void pause_at_once(struct bw_grpc_call *call, void *context)
{
    bw_grpc_pause_reading(call, true);
    keep(call, bw_view_of(NULL, 0), context);
}

static enum bw_code admit(struct bw_grpc_call *call, const struct bw_grpc_method *method, void *context,
                          struct bw_error *err)
{
    (void)context;
    if (strcmp(method->path, "/t.T/Secret") == 0 && bw_grpc_call_peer(call)->spiffe_id == NULL)
        return bw_fail(err, BW_UNAUTHENTICATED, "NO_IDENTITY", "a client certificate is needed");
    return BW_OK;
}

static struct bw_grpc_method methods[15];

static void fill_methods(struct rig *rig)
{
    const struct bw_grpc_method table[15] = {
        {.path = "/t.T/Echo", .message = echo},
        {.path = "/t.T/Fail", .message = fail_with_details},
        {.path = "/t.T/Never", .message = never},
        {.path = "/t.T/Held", .message = held},
        {.path = "/t.T/Count", .server_streams = true, .message = count_up},
        {.path = "/t.T/Sum", .client_streams = true, .message = sum_message, .half_closed = sum_done},
        {.path = "/t.T/Chat",
         .client_streams = true,
         .server_streams = true,
         .message = chat,
         .half_closed = chat_done},
        {.path = "/t.T/Large", .message = large},
        {.path = "/t.T/Flood", .server_streams = true, .message = flood, .writable = flood_on},
        {.path = "/t.T/Meta", .message = meta},
        {.path = "/t.T/Secret", .message = echo},
        {.path = "/t.T/Quit", .client_streams = true, .opened = quit, .message = sum_message},
        {.path = "/t.T/Gzip", .message = echo_gzip},
        {.path = "/t.T/Keep", .message = keep},
        {.path = "/t.T/Slow",
         .client_streams = true,
         .opened = pause_at_once,
         .message = sum_message,
         .half_closed = sum_done},
    };
    for (size_t i = 0; i < BW_ARRAY_LEN(methods); i++) {
        methods[i] = table[i];
        methods[i].context = rig;
        methods[i].ended = note_ended;
        if (methods[i].opened == NULL)
            methods[i].opened = note_opened;
    }
}

/* ---- the rig ---- */

static void on_watchdog(void *context)
{
    struct rig *rig = context;
    rig->timed_out = true;
}

static void on_connected(struct bw_grpc_client *client, void *context)
{
    (void)client;
    struct rig *rig = context;
    rig->connected = true;
}

static void on_going_away(struct bw_grpc_client *client, void *context)
{
    (void)client;
    struct rig *rig = context;
    rig->going_away = true;
}

static void on_closed(struct bw_grpc_client *client, const struct bw_error *why, void *context)
{
    (void)client;
    struct rig *rig = context;
    rig->closed = true;
    rig->closed_why = *why;
}

void rig_init(struct rig *rig)
{
    memset(rig, 0, sizeof *rig);
    bw_log_configure(BW_LOG_ERROR, false);
    rig->loop = bw_loop_create(NULL);
    assert_non_null(rig->loop);
    rig->mailbox = bw_mailbox_create(rig->loop, NULL);
    rig->watchdog = bw_timer_create(rig->loop, on_watchdog, rig, NULL);
    assert_non_null(rig->watchdog);
    rig->server_config = (struct bw_grpc_server_config){.address = "127.0.0.1",
                                                        .limits = bw_grpc_limits_default(),
                                                        .admit = admit,
                                                        .error_domain = "t.example"};
    rig->client_config = (struct bw_grpc_client_config){.h2c = true,
                                                        .connected = on_connected,
                                                        .going_away = on_going_away,
                                                        .closed = on_closed,
                                                        .context = rig};
    fill_methods(rig);
}

void rig_serve(struct rig *rig)
{
    struct bw_error err = {.show = ""};
    rig->server = bw_grpc_server_create(rig->loop, &rig->server_config, methods, BW_ARRAY_LEN(methods), &err);
    if (rig->server == NULL)
        fail_msg("%s", err.show);
}

void rig_connect(struct rig *rig)
{
    char target[64];
    snprintf(target, sizeof target, "127.0.0.1:%u", bw_grpc_server_port(rig->server));
    rig->client_config.target = target;
    struct bw_error err = {.show = ""};
    rig->connected = rig->going_away = rig->closed = false;
    rig->client = bw_grpc_client_create(rig->loop, &rig->client_config, &err);
    if (rig->client == NULL)
        fail_msg("%s", err.show);
}

void rig_finish(struct rig *rig)
{
    bw_grpc_client_destroy(rig->client);
    bw_grpc_server_destroy(rig->server);
    bw_mailbox_destroy(rig->mailbox);
    bw_timer_destroy(rig->watchdog);
    bw_loop_destroy(rig->loop);
}

void rig_run_until(struct rig *rig, const bool *flag)
{
    rig->timed_out = false;
    bw_timer_start(rig->watchdog, 10000, 100);
    while (!*flag && !rig->timed_out)
        bw_loop_turn(rig->loop, true);
    bw_timer_stop(rig->watchdog);
    assert_false(rig->timed_out);
}

void rig_run_until_count(struct rig *rig, const unsigned *count, unsigned n)
{
    rig->timed_out = false;
    bw_timer_start(rig->watchdog, 10000, 100);
    while (*count < n && !rig->timed_out)
        bw_loop_turn(rig->loop, true);
    bw_timer_stop(rig->watchdog);
    assert_false(rig->timed_out);
}

void rig_turn(struct rig *rig)
{
    bw_timer_start(rig->watchdog, 1, 1); /* a single shot may fire before the wait begins */
    bw_loop_turn(rig->loop, true);
    bw_timer_stop(rig->watchdog);
}

void rig_run_ms(struct rig *rig, uint64_t ms)
{
    rig->timed_out = false;
    bw_timer_start(rig->watchdog, ms, 100);
    while (!rig->timed_out)
        bw_loop_turn(rig->loop, true);
    bw_timer_stop(rig->watchdog);
}

/* ---- calls ---- */

static void on_headers(struct bw_grpc_client_call *call, void *context)
{
    (void)call;
    struct rig_call *mine = context;
    mine->headers = true;
}

static void on_message(struct bw_grpc_client_call *call, struct bw_view message, void *context)
{
    (void)call;
    struct rig_call *mine = context;
    mine->messages++;
    bw_buf_append(&mine->received, message.data, message.len);
}

static void on_writable(struct bw_grpc_client_call *call, void *context)
{
    (void)call;
    struct rig_call *mine = context;
    mine->writable++;
}

static void copy_view(char *out, size_t size, struct bw_view view)
{
    snprintf(out, size, "%.*s", (int)view.len, (const char *)view.data);
}

static void copy_details(struct rig_call *mine, const struct bw_grpc_details *details)
{
    if (details == NULL)
        return;
    snprintf(mine->reason, sizeof mine->reason, "%s", details->reason ? details->reason : "");
    snprintf(mine->domain, sizeof mine->domain, "%s", details->domain ? details->domain : "");
    if (details->metadata_count > 0)
        snprintf(mine->metadata, sizeof mine->metadata, "%s=%s", details->metadata[0].name,
                 details->metadata[0].value);
    if (details->violation_count > 0)
        snprintf(mine->violation, sizeof mine->violation, "%s: %s", details->violations[0].field,
                 details->violations[0].description);
    if (details->any_type_url != NULL)
        snprintf(mine->any_type, sizeof mine->any_type, "%s %.*s", details->any_type_url,
                 (int)details->any_value.len, (const char *)details->any_value.data);
    mine->retry_after_ms = details->retry_after_ms;
}

static void on_finished(struct bw_grpc_client_call *call, const struct bw_grpc_outcome *outcome,
                        void *context)
{
    struct rig_call *mine = context;
    BW_CHECK(!mine->finished);
    mine->finished = true;
    mine->call = NULL;
    mine->code = outcome->code;
    snprintf(mine->message, sizeof mine->message, "%s", outcome->message);
    copy_details(mine, outcome->details);
    struct bw_view value;
    if (bw_grpc_client_header(call, "x-echo", 0, &value))
        copy_view(mine->echo_header, sizeof mine->echo_header, value);
    if (bw_grpc_client_trailer(call, "x-echo-bin", 0, &value))
        copy_view(mine->echo_trailer, sizeof mine->echo_trailer, value);
}

static const struct bw_grpc_client_events events = {
    .headers = on_headers, .message = on_message, .writable = on_writable, .finished = on_finished};

void rig_call_with(struct rig *rig, struct rig_call *call, const char *path, uint64_t deadline_ms,
                   const struct bw_grpc_metadata *metadata, size_t metadata_count)
{
    memset(call, 0, sizeof *call);
    struct bw_error err = {.show = ""};
    call->call =
        bw_grpc_client_call(rig->client, path, deadline_ms, metadata, metadata_count, &events, call, &err);
    if (call->call == NULL)
        fail_msg("%s", err.show);
}

void rig_call(struct rig *rig, struct rig_call *call, const char *path, uint64_t deadline_ms)
{
    rig_call_with(rig, call, path, deadline_ms, NULL, 0);
}

void rig_unary(struct rig *rig, struct rig_call *call, const char *path, struct bw_view request,
               uint64_t deadline_ms)
{
    rig_call(rig, call, path, deadline_ms);
    assert_int_equal(bw_grpc_client_send(call->call, request), BW_OK);
    bw_grpc_client_half_close(call->call);
    rig_run_until(rig, &call->finished);
}

void rig_call_finish(struct rig_call *call)
{
    bw_buf_finish(&call->received);
}
