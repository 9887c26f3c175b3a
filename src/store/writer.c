#include "store/writer.h"

#include <string.h>

#include "base/alloc.h"
#include "base/check.h"
#include "runtime/log.h"
#include "runtime/loop.h"
#include "store/flight.h"
#include "store/lane.h"
#include "store/pg.h"

enum { RELAYS_MAX = 4096, CONFLICT_ATTEMPTS = 8, PAUSE_MS = 100 };

/* A lane and the group it carries. */
struct carrier {
    struct bw_store_writer *writer;
    struct bw_store_lane *lane;
    struct bw_store_flight flight; /* count 0: none */
    struct bw_pg_params params;
    struct bw_timer *pause; /* active: a group of unknown outcome rests before it is sent again */
    bool connected, asking; /* asking: which rows are in the way */
};

struct bw_store_writer {
    struct bw_loop *loop;
    struct bw_store_writer_config config; /* defaults filled in; conninfo is not kept */
    struct bw_store_queue queue;
    struct carrier *carriers;
    uint32_t carrier_count, open_lanes;
    struct bw_store_pending **moved; /* scratch: as many as a group has rows */
    struct bw_task pump;             /* at the end of a turn: groups out, callbacks called */
    struct bw_timer *give_up, *close_wait;
    uint64_t next_token;
    uint64_t floor; /* a group number that anything sent from now on comes after */
    bool given_up, closing, closed_lanes;
    void (*closed)(void *context);
    void *closed_context;
    struct bw_store_writer_stats stats;
};

static void pump_later(struct bw_store_writer *writer)
{
    bw_loop_defer(writer->loop, &writer->pump);
}

/* ---- one group --------------------------------------------------------------------------------------- */

static void end_group(struct carrier *carrier)
{
    bw_store_queue_end(&carrier->writer->queue, carrier->flight.rows, carrier->flight.count);
    carrier->flight.count = 0;
    carrier->flight.unknown = false;
    pump_later(carrier->writer);
}

static void end_group_as(struct carrier *carrier, struct bw_store_result result)
{
    for (uint32_t i = 0; i < carrier->flight.count; i++)
        carrier->flight.rows[i]->result = result;
    if (result.outcome != BW_STORE_COMMITTED)
        carrier->writer->stats.groups_failed++;
    end_group(carrier);
}

/* Sends the group as it stands, for the first time or again. */
static void send_group(struct carrier *carrier)
{
    carrier->asking = false;
    if (bw_store_flight_encode(&carrier->flight, &carrier->writer->config.sealing, &carrier->params))
        bw_store_lane_send(carrier->lane, BW_STORE_STATEMENT_GROUP, &carrier->params);
    else if (!carrier->flight.unknown)
        end_group_as(carrier, (struct bw_store_result){.outcome = BW_STORE_NO_MEMORY});
    else
        bw_timer_start(carrier->pause, PAUSE_MS, 0);
}

static void name_group(struct carrier *carrier)
{
    struct bw_store_writer *writer = carrier->writer;
    struct bw_store_flight *flight = &carrier->flight;
    flight->replica = writer->config.replica;
    flight->epoch = writer->config.replica_epoch;
    flight->writer = writer->config.first_writer + (uint32_t)(carrier - writer->carriers);
    flight->token = writer->next_token++;
    flight->floor = writer->floor;
    flight->attempts = 0;
    flight->unknown = false;
    bw_store_flight_seal(flight, &writer->config.sealing);
}

/* The rows marked as failed leave; the others are another group, with a name of its own. */
static void send_rest(struct carrier *carrier)
{
    struct bw_store_writer *writer = carrier->writer;
    uint32_t moved = bw_store_flight_split(&carrier->flight, writer->moved);
    bw_store_queue_end(&writer->queue, writer->moved, moved);
    pump_later(writer);
    writer->stats.groups_failed++;
    if (carrier->flight.count == 0)
        return;
    uint32_t attempts = carrier->flight.attempts;
    name_group(carrier);
    /* A group that keeps losing rows is tried on, one that loses none is not (see conflicts_known). */
    carrier->flight.attempts = moved > 0 ? 0 : attempts;
    send_group(carrier);
}

static void committed(struct carrier *carrier, const PGresult *result)
{
    struct bw_store_writer *writer = carrier->writer;
    struct bw_pg_row row = {.result = result, .failed = PQntuples(result) != 1};
    uint64_t group = row.failed ? 0 : (uint64_t)bw_pg_get_int8(&row, 0);
    if (row.failed)
        bw_log(BW_LOG_ERROR, "group_answer_malformed", "rows=%d", PQntuples(result));
    if (group > writer->stats.last_group)
        writer->stats.last_group = group;
    if (group > writer->floor)
        writer->floor = group;
    for (uint32_t i = 0; i < carrier->flight.key_count; i++)
        writer->config.sealing.stored(writer->config.sealing.context, carrier->flight.keys[i]);
    writer->stats.groups_committed++;
    writer->stats.rows_committed += carrier->flight.count;
    end_group_as(carrier, (struct bw_store_result){.outcome = BW_STORE_COMMITTED, .group = group});
}

/* DETAIL: tenant/revision, comma-separated. */
static bool names_pair(const char *detail, const struct bw_store_row *row)
{
    char tenant[BW_ID_TEXT_SIZE];
    bw_id_format(&row->tenant, tenant);
    for (const char *at = detail; (at = strstr(at, tenant)) != NULL; at++) {
        const char *p = at + strlen(tenant);
        uint64_t revision = 0;
        if (*p++ != '/')
            continue;
        for (; *p >= '0' && *p <= '9'; p++)
            revision = revision * 10 + (uint64_t)(*p - '0');
        if (revision == row->policy_revision)
            return true;
    }
    return false;
}

static void stale_policy(struct carrier *carrier, const PGresult *result)
{
    struct bw_store_flight *flight = &carrier->flight;
    const char *detail = PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL);
    bool any = false;
    for (uint32_t i = 0; detail != NULL && i < flight->count; i++)
        if (names_pair(detail, &flight->rows[i]->row)) {
            flight->rows[i]->result = (struct bw_store_result){.outcome = BW_STORE_STALE_POLICY};
            any = true;
        }
    if (any)
        send_rest(carrier);
    else
        end_group_as(carrier, (struct bw_store_result){.outcome = BW_STORE_STALE_POLICY});
}

static void stale_facts(struct carrier *carrier, const PGresult *result)
{
    const char *detail = PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL);
    uint64_t current = 0;
    for (const char *p = detail; p != NULL && *p >= '0' && *p <= '9'; p++)
        current = current * 10 + (uint64_t)(*p - '0');
    /* Down, too: a caller that claimed a revision from the future must not make all others look stale. */
    if (current > 0)
        carrier->writer->queue.newest_facts = current;
    end_group_as(carrier,
                 (struct bw_store_result){.outcome = BW_STORE_STALE_FACTS, .facts_revision = current});
}

static void ask_conflicts(struct carrier *carrier)
{
    carrier->asking = bw_store_flight_encode_conflicts(&carrier->flight, &carrier->params);
    if (carrier->asking)
        bw_store_lane_send(carrier->lane, BW_STORE_STATEMENT_CONFLICTS, &carrier->params);
    else
        end_group_as(carrier, (struct bw_store_result){.outcome = BW_STORE_NO_MEMORY});
}

static void key_taken(struct carrier *carrier)
{
    struct bw_store_flight *flight = &carrier->flight;
    flight->attempts++;
    if (flight->unknown && flight->attempts == 1) {
        /* The first attempt was still under way when this one looked for it; it has committed, or another
         * writer's rows have. Look again before calling it a conflict. */
        send_group(carrier);
        return;
    }
    flight->unknown = false; /* known now: neither attempt is in the index */
    ask_conflicts(carrier);
}

static void conflicts_known(struct carrier *carrier, const PGresult *result)
{
    struct bw_store_flight *flight = &carrier->flight;
    struct bw_pg_row row = {.result = result};
    carrier->asking = false;
    for (int i = 0; i < PQntuples(result); i++) {
        row.row = i;
        uint32_t place = (uint32_t)bw_pg_get_int4(&row, 0);
        bool request = !bw_pg_is_null(&row, 1);
        struct bw_id meeting = bw_pg_get_uuid(&row, 1);
        if (row.failed || place < 1 || place > flight->count)
            continue;
        struct bw_store_result *into = &flight->rows[place - 1]->result;
        if (into->outcome == BW_STORE_COMMITTED)
            *into = request
                        ? (struct bw_store_result){.outcome = BW_STORE_DUPLICATE_REQUEST, .meeting = meeting}
                        : (struct bw_store_result){.outcome = BW_STORE_STALE_KEY};
    }
    if (PQntuples(result) == 0 && flight->attempts >= CONFLICT_ATTEMPTS)
        end_group_as(carrier, (struct bw_store_result){.outcome = BW_STORE_CONTENDED});
    else
        send_rest(carrier);
}

/* Whether no attempt at this very group, however late the server gets to it, can commit any more: a revision
 * or an epoch that is past does not come back. Other refusals say nothing of an earlier attempt. */
static bool refused_for_good(const char *state, const PGresult *result)
{
    const char *detail = PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL);
    return strcmp(state, "BW001") == 0 && detail != NULL && strcmp(detail, "fenced") == 0;
}

/* A refusal has rolled this attempt back. */
static void refused(struct carrier *carrier, const PGresult *result)
{
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    struct bw_store_flight *flight = &carrier->flight;
    if (state == NULL)
        state = "";
    if (strcmp(state, "BW002") == 0) {
        stale_policy(carrier, result);
        return;
    }
    if (strcmp(state, "BW003") == 0) {
        stale_facts(carrier, result);
        return;
    }
    if (strcmp(state, "23505") == 0) {
        key_taken(carrier);
        return;
    }
    bool contended =
        strcmp(state, "40001") == 0 || strcmp(state, "40P01") == 0 || strcmp(state, "55P03") == 0;
    if (contended && ++flight->attempts < BW_PG_ATTEMPTS) {
        send_group(carrier);
        return;
    }
    if (flight->unknown && !refused_for_good(state, result)) {
        flight->attempts = 0;
        bw_timer_start(carrier->pause, PAUSE_MS, 0);
        return;
    }
    struct bw_store_result ended = {.outcome = BW_STORE_REFUSED};
    if (strcmp(state, "BW001") ==
        0) /* a lease that has ended may be renewed, as long as nobody has taken over */
        ended.outcome = refused_for_good(state, result) ? BW_STORE_FENCED : BW_STORE_LAPSED;
    else if (contended)
        ended.outcome = BW_STORE_CONTENDED;
    else if (strncmp(state, "53", 2) == 0)
        ended.outcome = BW_STORE_DISK_FULL;
    else if (strncmp(state, "57", 2) == 0 || strncmp(state, "58", 2) == 0 || strcmp(state, "25006") == 0)
        ended.outcome = BW_STORE_UNAVAILABLE;
    const char *text = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    bw_log(ended.outcome == BW_STORE_REFUSED ? BW_LOG_ERROR : BW_LOG_WARN, "group_refused",
           "outcome=%s rows=%u sqlstate=%s text=\"%s\"", bw_store_outcome_name(ended.outcome), flight->count,
           state, text ? text : "");
    end_group_as(carrier, ended);
}

/* ---- lanes ------------------------------------------------------------------------------------------- */

static void on_answered(void *context, const PGresult *result)
{
    struct carrier *carrier = context;
    bool rows = PQresultStatus(result) == PGRES_TUPLES_OK;
    if (carrier->asking && rows)
        conflicts_known(carrier, result);
    else if (carrier->asking)
        end_group_as(carrier, (struct bw_store_result){.outcome = BW_STORE_CONTENDED});
    else if (rows)
        committed(carrier, result);
    else
        refused(carrier, result);
}

static void on_up(void *context, uint64_t head_group)
{
    struct carrier *carrier = context;
    struct bw_store_writer *writer = carrier->writer;
    carrier->connected = true;
    writer->stats.lanes_connected++;
    writer->given_up = false;
    bw_timer_stop(writer->give_up);
    if (head_group > writer->floor)
        writer->floor = head_group;
    pump_later(writer);
}

static void on_down(void *context)
{
    struct carrier *carrier = context;
    struct bw_store_writer *writer = carrier->writer;
    BW_CHECK(carrier->connected);
    carrier->connected = false;
    writer->stats.lanes_connected--;
    writer->stats.reconnects++;
    if (carrier->flight.count > 0) {
        /* A question about conflicts asked for a group that is known to have failed. */
        carrier->flight.unknown = carrier->flight.unknown || !carrier->asking;
        carrier->flight.attempts = 0;
        carrier->asking = false;
    }
    if (writer->stats.lanes_connected == 0)
        bw_timer_start(writer->give_up, writer->config.give_up_ms, 0);
    pump_later(writer);
}

static void on_give_up(void *context)
{
    struct bw_store_writer *writer = context;
    writer->given_up = true;
    bw_store_queue_fail_waiting(&writer->queue, BW_STORE_UNAVAILABLE);
    pump_later(writer);
}

static void on_pause_over(void *context)
{
    struct carrier *carrier = context;
    pump_later(carrier->writer);
}

static void next_group(struct carrier *carrier)
{
    struct bw_store_writer *writer = carrier->writer;
    struct bw_store_flight *flight = &carrier->flight;
    if (!bw_store_lane_idle(carrier->lane) || bw_timer_active(carrier->pause))
        return;
    if (flight->count > 0) {
        writer->stats.groups_resent += flight->unknown;
        send_group(carrier);
        return;
    }
    flight->count =
        bw_store_queue_take(&writer->queue, flight->rows, flight->capacity, writer->config.group_bytes);
    if (flight->count == 0)
        return;
    name_group(carrier);
    send_group(carrier);
}

/* ---- closing ----------------------------------------------------------------------------------------- */

static void free_writer(struct bw_store_writer *writer)
{
    bw_loop_undefer(writer->loop, &writer->pump);
    bw_timer_destroy(writer->give_up);
    bw_timer_destroy(writer->close_wait);
    for (uint32_t i = 0; i < writer->carrier_count; i++) {
        bw_timer_destroy(writer->carriers[i].pause);
        bw_store_flight_finish(&writer->carriers[i].flight);
        bw_pg_params_finish(&writer->carriers[i].params);
    }
    bw_free(writer->carriers);
    bw_free(writer->moved);
    bw_free(writer);
}

static void on_lane_closed(void *context)
{
    struct carrier *carrier = context;
    struct bw_store_writer *writer = carrier->writer;
    if (--writer->open_lanes > 0)
        return;
    if (!writer->closing) /* a failed create */
        return;
    void (*closed)(void *) = writer->closed;
    void *closed_context = writer->closed_context;
    bw_store_queue_finish(&writer->queue);
    free_writer(writer);
    closed(closed_context);
}

static void close_lanes(struct bw_store_writer *writer)
{
    writer->closed_lanes = true;
    bw_timer_stop(writer->give_up);
    bw_timer_stop(writer->close_wait);
    bw_store_queue_fail_waiting(&writer->queue, BW_STORE_UNAVAILABLE);
    for (uint32_t i = 0; i < writer->carrier_count; i++)
        if (writer->carriers[i].flight.count > 0)
            end_group_as(&writer->carriers[i], (struct bw_store_result){.outcome = BW_STORE_UNKNOWN});
    bw_store_queue_deliver(&writer->queue);
    bw_loop_undefer(writer->loop, &writer->pump);
    /* The last lane to close frees the writer: nothing of it is touched after the loop. */
    uint32_t count = writer->carrier_count;
    struct carrier *carriers = writer->carriers;
    for (uint32_t i = 0; i < count; i++)
        bw_store_lane_close(carriers[i].lane);
}

static void on_close_wait(void *context)
{
    close_lanes(context);
}

static void on_pump(void *context)
{
    struct bw_store_writer *writer = context;
    if (writer->closed_lanes)
        return;
    bw_store_queue_deliver(&writer->queue);
    for (uint32_t i = 0; i < writer->carrier_count; i++)
        next_group(&writer->carriers[i]);
    /* Rows found stale on the way out. */
    bw_store_queue_deliver(&writer->queue);
    if (writer->closing && writer->queue.rows == 0)
        close_lanes(writer);
}

void bw_store_writer_close(struct bw_store_writer *writer, uint64_t wait_ms, void (*closed)(void *context),
                           void *context)
{
    writer->closing = true;
    writer->closed = closed;
    writer->closed_context = context;
    bw_timer_start(writer->close_wait, wait_ms, 0);
    pump_later(writer);
}

/* ---- the rest ---------------------------------------------------------------------------------------- */

static void fill_in(struct bw_store_writer_config *config)
{
    config->conninfo = NULL;
    config->lanes = config->lanes ? config->lanes : 2;
    config->group_rows = config->group_rows ? config->group_rows : 500;
    config->group_bytes = config->group_bytes ? config->group_bytes : (size_t)1 << 20;
    config->queue_rows = config->queue_rows ? config->queue_rows : 20000;
    config->queue_bytes = config->queue_bytes ? config->queue_bytes : (size_t)64 << 20;
    config->group_wait_ms = config->group_wait_ms ? config->group_wait_ms : 10000;
    config->give_up_ms = config->give_up_ms ? config->give_up_ms : 2000;
}

static enum bw_code create_carriers(struct bw_store_writer *writer, const char *conninfo,
                                    struct bw_error *err)
{
    static const struct bw_store_lane_events events = {
        .up = on_up, .answered = on_answered, .down = on_down, .closed = on_lane_closed};
    for (uint32_t i = 0; i < writer->config.lanes; i++) {
        struct carrier *carrier = &writer->carriers[i];
        carrier->writer = writer;
        enum bw_code code = bw_store_flight_init(&carrier->flight, writer->config.group_rows, err);
        if (code != BW_OK)
            return code;
        writer->carrier_count++;
        carrier->pause = bw_timer_create(writer->loop, on_pause_over, carrier, err);
        if (carrier->pause == NULL)
            return BW_RESOURCE_EXHAUSTED;
    }
    for (uint32_t i = 0; i < writer->config.lanes; i++) {
        struct carrier *carrier = &writer->carriers[i];
        enum bw_code code = bw_store_lane_create(writer->loop, conninfo, writer->config.group_wait_ms,
                                                 &events, carrier, &carrier->lane, err);
        if (code != BW_OK)
            return code;
        writer->open_lanes++;
    }
    return BW_OK;
}

enum bw_code bw_store_writer_create(struct bw_loop *loop, const struct bw_store_writer_config *config,
                                    struct bw_store_writer **writer, struct bw_error *err)
{
    struct bw_store_writer *made = bw_calloc(1, sizeof *made);
    if (made == NULL)
        return bw_fail_memory(err);
    made->loop = loop;
    made->config = *config;
    made->next_token = 1;
    fill_in(&made->config);
    bw_task_init(&made->pump, on_pump, made);
    made->carriers = bw_calloc(made->config.lanes, sizeof *made->carriers);
    made->moved = bw_calloc(made->config.group_rows, sizeof(struct bw_store_pending *));
    enum bw_code code = made->carriers == NULL || made->moved == NULL ? bw_fail_memory(err) : BW_OK;
    if (code == BW_OK && (made->give_up = bw_timer_create(loop, on_give_up, made, err)) == NULL)
        code = BW_RESOURCE_EXHAUSTED;
    if (code == BW_OK && (made->close_wait = bw_timer_create(loop, on_close_wait, made, err)) == NULL)
        code = BW_RESOURCE_EXHAUSTED;
    if (code == BW_OK)
        code = create_carriers(made, config->conninfo, err);
    if (code != BW_OK) {
        /* Lanes that have not connected yet close at once. */
        for (uint32_t i = 0; made->carriers != NULL && i < made->carrier_count; i++)
            if (made->carriers[i].lane != NULL)
                bw_store_lane_close(made->carriers[i].lane);
        free_writer(made);
        return code;
    }
    bw_timer_start(made->give_up, made->config.give_up_ms, 0);
    *writer = made;
    return BW_OK;
}

enum bw_code bw_store_writer_submit(struct bw_store_writer *writer, const struct bw_store_row *row,
                                    bw_store_row_done *done, void *context, struct bw_error *err)
{
    if (row->record.len + row->note.len > writer->config.group_bytes || row->relay_count > RELAYS_MAX ||
        row->seq > INT32_MAX || row->policy_revision > INT32_MAX || row->kind > INT16_MAX)
        return bw_fail(err, BW_INVALID_ARGUMENT, NULL, "the decision is too large to store");
    if (writer->closing)
        return bw_fail(err, BW_UNAVAILABLE, "SHUTTING_DOWN",
                       "this replica is shutting down; ask another one");
    if (writer->given_up)
        return bw_fail(err, BW_UNAVAILABLE, "DATABASE_UNAVAILABLE", "the database cannot be reached");
    if (writer->queue.rows >= writer->config.queue_rows ||
        writer->queue.bytes + row->record.len + row->note.len > writer->config.queue_bytes)
        return bw_fail(err, BW_RESOURCE_EXHAUSTED, "QUEUE_FULL",
                       "too many decisions wait for the database; try later");
    enum bw_code code = bw_store_queue_submit(&writer->queue, row, done, context, err);
    if (code == BW_OK)
        pump_later(writer);
    return code;
}

void bw_store_writer_set_epoch(struct bw_store_writer *writer, uint64_t replica_epoch)
{
    writer->config.replica_epoch = replica_epoch;
}

void bw_store_writer_stats_read(const struct bw_store_writer *writer, struct bw_store_writer_stats *out)
{
    *out = writer->stats;
    out->rows_waiting = writer->queue.waiting;
    out->rows_in_flight = 0;
    for (uint32_t i = 0; i < writer->carrier_count; i++)
        out->rows_in_flight += writer->carriers[i].flight.count;
}
