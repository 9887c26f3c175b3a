#include "store/lane.h"

#include <string.h>

#include <uv.h>

#include "base/alloc.h"
#include "base/check.h"
#include "runtime/log.h"
#include "runtime/loop.h"
#include "runtime/random.h"
#include "store/flight.h"
#include "store/pg.h"

enum { BACKOFF_FIRST_MS = 50, BACKOFF_MAX_MS = 2000 };

enum lane_state { LANE_WAITING, LANE_CONNECTING, LANE_IDLE, LANE_BUSY, LANE_CLOSING };

/* A poll handle is closed asynchronously, so each connection has one of its own. */
struct socket_watch {
    uv_poll_t poll;
    struct bw_store_lane *lane;
};

struct bw_store_lane {
    struct bw_loop *loop;
    char *conninfo;
    uint64_t answer_wait_ms;
    struct bw_store_lane_events events;
    void *context;

    enum lane_state state;
    PGconn *connection;
    struct socket_watch *watch;
    int watching;     /* UV_READABLE, and UV_WRITABLE while output waits */
    PGresult *result; /* of the statement on its way, until its sync */
    unsigned int backoff_ms;
    struct bw_timer *retry, *overdue;
    struct bw_task broken; /* reports a connection that died under a caller's hands */

    /* What the pool thread fills in between uv_queue_work and its end. */
    uv_work_t work;
    bool working;
    PGconn *opened;
    uint64_t head_group;
    struct bw_error failure;

    unsigned int watches_closing;
};

static const char *const names[BW_STORE_STATEMENTS] = {"bw_group", "bw_conflicts"};

static void connect_later(struct bw_store_lane *lane);
static void closed_if_done(struct bw_store_lane *lane);

/* ---- in a pool thread -------------------------------------------------------------------------------- */

static enum bw_code prepare(PGconn *connection, enum bw_store_statement statement, const char *sql, int count,
                            const unsigned int *types, struct bw_error *err)
{
    PGresult *result = PQprepare(connection, names[statement], sql, count, types);
    enum bw_code code =
        PQresultStatus(result) == PGRES_COMMAND_OK ? BW_OK : bw_pg_fail(connection, result, err);
    PQclear(result);
    return code;
}

static enum bw_code set_up(PGconn *connection, uint64_t *head_group, struct bw_error *err)
{
    /* Arrays would make the planner plan each group anew, which triples what a small one costs. */
    PGresult *result = NULL;
    enum bw_code code = bw_pg_exec(
        connection, "SELECT set_config('plan_cache_mode', 'force_generic_plan', false)", NULL, &result, err);
    if (code != BW_OK)
        return code;
    PQclear(result);
    code = prepare(connection, BW_STORE_STATEMENT_GROUP, bw_store_group_query, bw_store_group_type_count,
                   bw_store_group_types, err);
    if (code == BW_OK)
        code = prepare(connection, BW_STORE_STATEMENT_CONFLICTS, bw_store_conflict_query,
                       bw_store_conflict_type_count, bw_store_conflict_types, err);
    if (code == BW_OK)
        code = bw_pg_exec(connection, "SELECT group_no FROM head", NULL, &result, err);
    if (code != BW_OK)
        return code;
    struct bw_pg_row row = {.result = result, .failed = PQntuples(result) != 1};
    uint64_t head = row.failed ? 0 : (uint64_t)bw_pg_get_int8(&row, 0);
    PQclear(result);
    if (row.failed || PQsetnonblocking(connection, 1) != 0 || PQenterPipelineMode(connection) != 1)
        return bw_pg_fail_shape(err);
    *head_group = head;
    return BW_OK;
}

static void connect_in_pool(uv_work_t *work)
{
    struct bw_store_lane *lane = work->data;
    PGconn *connection;
    if (bw_pg_connect(lane->conninfo, &connection, &lane->failure) != BW_OK)
        return;
    if (set_up(connection, &lane->head_group, &lane->failure) != BW_OK) {
        PQfinish(connection);
        return;
    }
    lane->opened = connection;
}

/* ---- on the loop ------------------------------------------------------------------------------------- */

static void on_watch_closed(uv_handle_t *handle)
{
    struct socket_watch *watch = handle->data;
    struct bw_store_lane *lane = watch->lane;
    bw_free(watch);
    lane->watches_closing--;
    closed_if_done(lane);
}

/* uv_close before PQfinish: libuv must forget the descriptor before its number can be given out again. */
static void drop_connection(struct bw_store_lane *lane)
{
    bw_timer_stop(lane->overdue);
    if (lane->watch != NULL) {
        lane->watches_closing++;
        uv_poll_stop(&lane->watch->poll);
        uv_close((uv_handle_t *)&lane->watch->poll, on_watch_closed);
        lane->watch = NULL;
    }
    PQclear(lane->result);
    lane->result = NULL;
    PQfinish(lane->connection);
    lane->connection = NULL;
}

static void lost(struct bw_store_lane *lane, const char *why)
{
    bw_log(BW_LOG_WARN, "database_connection_lost", "during=%s why=\"%s\"",
           lane->state == LANE_BUSY ? "statement" : "idle", why);
    drop_connection(lane);
    lane->state = LANE_WAITING;
    connect_later(lane);
    lane->events.down(lane->context);
}

static const char *trouble(struct bw_store_lane *lane)
{
    return PQerrorMessage(lane->connection);
}

/* One statement's answers in pipeline mode: its result, NULL, and the sync. Only the sync says that the
 * transaction has ended: the rows come before the commit, and may be here while it has yet to be flushed. */
static void read_answers(struct bw_store_lane *lane)
{
    int empty = 0;
    while (lane->state == LANE_BUSY && PQisBusy(lane->connection) == 0) {
        PGresult *got = PQgetResult(lane->connection);
        if (PQstatus(lane->connection) != CONNECTION_OK) {
            PQclear(got);
            lost(lane, trouble(lane));
            return;
        }
        if (got == NULL) {
            if (++empty > 2) {
                lost(lane, "the server's answers are out of step");
                return;
            }
            continue;
        }
        empty = 0;
        if (PQresultStatus(got) != PGRES_PIPELINE_SYNC) {
            /* An error at commit comes after the rows and replaces them. */
            PQclear(lane->result);
            lane->result = got;
            continue;
        }
        PQclear(got);
        bw_timer_stop(lane->overdue);
        PGresult *result = lane->result;
        lane->result = NULL;
        lane->state = LANE_IDLE;
        lane->backoff_ms = 0;
        lane->events.answered(lane->context, result);
        PQclear(result);
    }
}

static void on_socket(uv_poll_t *poll, int status, int events);

static bool watch(struct bw_store_lane *lane, int events)
{
    if (events == lane->watching)
        return true;
    lane->watching = events;
    return uv_poll_start(&lane->watch->poll, events, on_socket) == 0;
}

/* False when the connection is lost. */
static bool flush(struct bw_store_lane *lane)
{
    int left = PQflush(lane->connection);
    return left >= 0 && watch(lane, left > 0 ? UV_READABLE | UV_WRITABLE : UV_READABLE);
}

static void on_socket(uv_poll_t *poll, int status, int events)
{
    (void)events;
    struct socket_watch *from = poll->data;
    struct bw_store_lane *lane = from->lane;
    if (lane->watch != from)
        return;
    if (status < 0 || PQconsumeInput(lane->connection) == 0 || !flush(lane)) {
        lost(lane, status < 0 ? uv_strerror(status) : trouble(lane));
        return;
    }
    if (PQstatus(lane->connection) != CONNECTION_OK) {
        lost(lane, trouble(lane));
        return;
    }
    read_answers(lane);
}

static void on_overdue(void *context)
{
    struct bw_store_lane *lane = context;
    if (lane->state == LANE_BUSY)
        lost(lane, "no answer in time");
}

static void on_broken(void *context)
{
    struct bw_store_lane *lane = context;
    if (lane->state == LANE_BUSY)
        lost(lane, lane->connection == NULL ? "" : trouble(lane));
}

static bool start_watching(struct bw_store_lane *lane)
{
    struct socket_watch *made = bw_calloc(1, sizeof *made);
    if (made == NULL)
        return false;
    made->lane = lane;
    if (uv_poll_init(bw_loop_uv(lane->loop), &made->poll, PQsocket(lane->connection)) != 0) {
        bw_free(made);
        return false;
    }
    made->poll.data = made;
    lane->watch = made;
    lane->watching = 0;
    return watch(lane, UV_READABLE);
}

static void on_connected(uv_work_t *work, int status)
{
    (void)status;
    struct bw_store_lane *lane = work->data;
    lane->working = false;
    lane->connection = lane->opened;
    lane->opened = NULL;
    if (lane->state == LANE_CLOSING) {
        PQfinish(lane->connection);
        lane->connection = NULL;
        closed_if_done(lane);
        return;
    }
    if (lane->connection == NULL) {
        bw_log(BW_LOG_WARN, "database_unreachable", "reason=%s text=\"%s\" detail=\"%s\"",
               lane->failure.reason ? lane->failure.reason : "", lane->failure.show, lane->failure.log);
        lane->state = LANE_WAITING;
        connect_later(lane);
        return;
    }
    if (!start_watching(lane)) {
        drop_connection(lane);
        lane->state = LANE_WAITING;
        connect_later(lane);
        return;
    }
    lane->state = LANE_IDLE;
    lane->events.up(lane->context, lane->head_group);
}

static void connect_now(void *context)
{
    struct bw_store_lane *lane = context;
    lane->state = LANE_CONNECTING;
    lane->failure = (struct bw_error){0};
    lane->work.data = lane;
    lane->working = uv_queue_work(bw_loop_uv(lane->loop), &lane->work, connect_in_pool, on_connected) == 0;
    if (!lane->working) {
        lane->state = LANE_WAITING;
        connect_later(lane);
    }
}

/* At once after a healthy connection was lost, then ever later; spread, so that many lanes do not knock
 * together. */
static void connect_later(struct bw_store_lane *lane)
{
    uint64_t delay = lane->backoff_ms == 0 ? 0 : lane->backoff_ms / 2 + bw_random_below(lane->backoff_ms);
    bw_timer_start(lane->retry, delay, 0);
    lane->backoff_ms = lane->backoff_ms == 0 ? BACKOFF_FIRST_MS : lane->backoff_ms * 2;
    if (lane->backoff_ms > BACKOFF_MAX_MS)
        lane->backoff_ms = BACKOFF_MAX_MS;
}

enum bw_code bw_store_lane_create(struct bw_loop *loop, const char *conninfo, uint64_t answer_wait_ms,
                                  const struct bw_store_lane_events *events, void *context,
                                  struct bw_store_lane **lane, struct bw_error *err)
{
    struct bw_store_lane *made = bw_calloc(1, sizeof *made);
    if (made == NULL)
        return bw_fail_memory(err);
    *made = (struct bw_store_lane){.loop = loop,
                                   .answer_wait_ms = answer_wait_ms,
                                   .events = *events,
                                   .context = context,
                                   .state = LANE_WAITING};
    bw_task_init(&made->broken, on_broken, made);
    made->conninfo = bw_strdup(conninfo);
    enum bw_code code = BW_OK;
    if (made->conninfo == NULL)
        code = bw_fail_memory(err);
    if (code == BW_OK && (made->retry = bw_timer_create(loop, connect_now, made, err)) == NULL)
        code = BW_RESOURCE_EXHAUSTED;
    if (code == BW_OK && (made->overdue = bw_timer_create(loop, on_overdue, made, err)) == NULL)
        code = BW_RESOURCE_EXHAUSTED;
    if (code != BW_OK) {
        bw_timer_destroy(made->retry);
        bw_timer_destroy(made->overdue);
        bw_free(made->conninfo);
        bw_free(made);
        return code;
    }
    connect_later(made);
    *lane = made;
    return BW_OK;
}

bool bw_store_lane_idle(const struct bw_store_lane *lane)
{
    return lane->state == LANE_IDLE;
}

void bw_store_lane_send(struct bw_store_lane *lane, enum bw_store_statement statement,
                        struct bw_pg_params *params)
{
    BW_CHECK(lane->state == LANE_IDLE);
    lane->state = LANE_BUSY;
    const char *values[BW_PG_PARAMS_MAX];
    bool sent = bw_pg_params_values(params, values) &&
                PQsendQueryPrepared(lane->connection, names[statement], params->count, values,
                                    params->lengths, params->formats, 1) == 1 &&
                PQpipelineSync(lane->connection) == 1 && flush(lane);
    if (sent)
        bw_timer_start(lane->overdue, lane->answer_wait_ms, 0);
    else
        bw_loop_defer(lane->loop, &lane->broken);
}

static void closed_if_done(struct bw_store_lane *lane)
{
    if (lane->state != LANE_CLOSING || lane->working || lane->watches_closing > 0)
        return;
    void (*closed)(void *) = lane->events.closed;
    void *context = lane->context;
    bw_free(lane->conninfo);
    bw_free(lane);
    closed(context);
}

void bw_store_lane_close(struct bw_store_lane *lane)
{
    bw_loop_undefer(lane->loop, &lane->broken);
    bw_timer_destroy(lane->retry);
    drop_connection(lane);
    bw_timer_destroy(lane->overdue);
    lane->retry = lane->overdue = NULL;
    lane->state = LANE_CLOSING;
    closed_if_done(lane);
}
