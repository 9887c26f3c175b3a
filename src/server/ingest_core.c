#include "server/ingest_core.h"

#include <string.h>

#include "base/alloc.h"
#include "runtime/log.h"
#include "server/ingest_state.h"

struct bw_ingest_config bw_ingest_config_default(void)
{
    return (struct bw_ingest_config){.flush_ms = 10000,
                                     .meetings = 200000,
                                     .waiting = 262144,
                                     .window_bytes = 256u << 20,
                                     .row_bytes = 64u << 20};
}

/* ---- answers ---- */

static void settle(struct bw_ingest_core *core, struct bw_api_quality *batch, size_t index, enum fate fate)
{
    batch->windows[index].taken = fate == FATE_TAKEN;
    batch->taken += fate == FATE_TAKEN;
    batch->refused += fate == FATE_REFUSED;
    batch->dropped += fate == FATE_DROPPED || fate == FATE_OVERLOADED;
    batch->overloaded = batch->overloaded || fate == FATE_OVERLOADED;
    core->counts.refused += fate == FATE_REFUSED;
    core->counts.dropped += fate == FATE_OVERLOADED;
}

/* `pending` counts windows without an answer, and one for who still looks at the batch. */
static void release(struct bw_ingest_core *core, struct bw_api_quality *batch)
{
    if (--batch->pending == 0)
        core->ports.answered(core->ports.context, batch);
}

/* ---- meetings ---- */

void ingest_refuse_waiting(struct ingest_meeting *meeting, enum fate fate)
{
    while (meeting->waiting != NULL) {
        struct waiting *waiting = meeting->waiting;
        meeting->waiting = waiting->next;
        meeting->core->counts.waiting--;
        settle(meeting->core, waiting->batch, waiting->index, fate);
        release(meeting->core, waiting->batch);
        bw_free(waiting);
    }
    meeting->waiting_end = &meeting->waiting;
}

/* ---- windows ---- */

static uint64_t who(const struct bw_id *entry)
{
    uint64_t hash = 0; /* entries are random: any half of one is as good as a hash */
    memcpy(&hash, entry->bytes + 8, sizeof hash);
    return hash;
}

static void changed(void *context, const struct bw_quality_change *change)
{
    struct ingest_meeting *meeting = context;
    (void)change;
    meeting->core->counts.class_changes++;
}

static void judged(void *context, const struct bw_quality_stream_key *key,
                   const struct bw_quality_window *window, const struct bw_quality_judgement *judgement)
{
    (void)key;
    ingest_hours_add(context, window, judgement);
}

static bool windows_create(struct ingest_meeting *meeting)
{
    const struct bw_ingest_core *core = meeting->core;
    const struct bw_quality_limits limits = {.bytes = core->config.window_bytes, .first_seq = core->now_ms};
    const struct bw_quality_sink sink = {
        .chunk = ingest_row_closed, .changed = changed, .judged = judged, .context = meeting};
    return bw_quality_meeting_create(&limits, &sink, &meeting->windows, NULL) == BW_OK;
}

static enum fate fate_of(struct bw_ingest_core *core, enum bw_quality_fate found)
{
    switch (found) {
    case BW_QUALITY_TAKEN:
        core->counts.taken++;
        return FATE_TAKEN;
    case BW_QUALITY_DOUBLED:
        core->counts.doubled++;
        return FATE_TAKEN;
    case BW_QUALITY_LATE:
        core->counts.late++;
        return FATE_DROPPED;
    case BW_QUALITY_CROWDED:
        return FATE_OVERLOADED;
    case BW_QUALITY_IMPOSSIBLE:
    case BW_QUALITY_AHEAD:
    case BW_QUALITY_FATES:
        break;
    }
    return FATE_REFUSED;
}

static enum fate add(struct ingest_meeting *meeting, const struct bw_api_quality *batch,
                     const struct bw_api_window *window, const struct ingest_slot *slot)
{
    struct bw_ingest_core *core = meeting->core;
    if (core->counts.window_bytes >= core->config.window_bytes || meeting->leaving ||
        (meeting->windows == NULL && !windows_create(meeting)))
        return FATE_OVERLOADED;
    uint32_t relay = batch->source == BW_QUALITY_FROM_RELAY ? batch->relay : 0;
    const struct bw_quality_stream_key key = {.slot = window->slot,
                                              .source = batch->source,
                                              .stream =
                                                  bw_api_stream_id(batch->source, relay, window->stream)};
    enum bw_quality_fate found = BW_QUALITY_CROWDED;
    core->adding_relay = batch->relay;
    core->adding_who = who(&slot->entry);
    enum bw_code code = bw_quality_meeting_add(meeting->windows, &key, window->media, &window->window,
                                               (int64_t)core->now_ms, &found, NULL, NULL);
    size_t bytes = bw_quality_meeting_bytes(meeting->windows);
    core->counts.window_bytes += bytes - meeting->bytes;
    meeting->bytes = bytes;
    if (code != BW_OK)
        return FATE_OVERLOADED;
    if (found == BW_QUALITY_TAKEN)
        meeting->dirty = true;
    meeting->last_ms = core->now_ms;
    return fate_of(core, found);
}

/* True: it has its fate. False: its meeting must be asked first; `last` says that this was just done. */
static bool judge(struct ingest_meeting *meeting, struct bw_api_quality *batch, size_t index, bool last)
{
    struct bw_ingest_core *core = meeting->core;
    const struct bw_api_window *window = &batch->windows[index];
    if (!meeting->known && !last)
        return false;
    struct ingest_slot *slot;
    HASH_FIND(hh, meeting->slots, &window->slot, sizeof window->slot, slot);
    bool may =
        slot != NULL && (batch->source == BW_QUALITY_FROM_RELAY
                             ? ingest_carried(meeting, slot, batch->relay, window->stream)
                             : meeting->tenant != NULL && bw_id_equal(&meeting->tenant->id, &batch->tenant));
    if (!may && !last)
        return false;
    settle(core, batch, index, may && meeting->known ? add(meeting, batch, window, slot) : FATE_REFUSED);
    return true;
}

static bool wait_for_owner(struct ingest_meeting *meeting, struct bw_api_quality *batch, size_t index)
{
    const struct bw_ingest_core *core = meeting->core;
    struct waiting *waiting = core->counts.waiting < core->config.waiting ? bw_malloc(sizeof *waiting) : NULL;
    if (waiting == NULL)
        return false;
    *waiting = (struct waiting){.batch = batch, .index = index};
    *meeting->waiting_end = waiting;
    meeting->waiting_end = &waiting->next;
    meeting->core->counts.waiting++;
    batch->pending++;
    ingest_ask(meeting);
    return true;
}

void bw_ingest_core_take(struct bw_ingest_core *core, struct bw_api_quality *batch, uint64_t now_ms)
{
    core->now_ms = now_ms;
    batch->pending = 1;
    struct ingest_meeting *meeting = NULL;
    for (size_t i = 0; i < batch->count; i++) {
        const struct bw_id *id = &batch->windows[i].meeting;
        if (meeting == NULL || !bw_id_equal(&meeting->id, id))
            meeting = ingest_meeting_find(core, id);
        if (meeting == NULL && !core->closing)
            meeting = ingest_meeting_create(core, id);
        if (meeting == NULL || core->closing) {
            settle(core, batch, i, FATE_OVERLOADED);
            continue;
        }
        if (!judge(meeting, batch, i, false) && !wait_for_owner(meeting, batch, i))
            settle(core, batch, i, FATE_OVERLOADED);
    }
    release(core, batch);
}

/* ---- what owners say ---- */

void bw_ingest_core_resolved(struct bw_ingest_core *core, const struct bw_ingest_roster *roster,
                             uint64_t now_ms)
{
    core->now_ms = now_ms;
    struct ingest_meeting *meeting = ingest_meeting_find(core, &roster->meeting);
    if (meeting == NULL)
        return;
    meeting->asking = false;
    if (roster->loading) {
        ingest_ask_later(meeting);
        return;
    }
    meeting->ended = meeting->ended || !roster->found || roster->ended;
    if (roster->found && !ingest_meeting_learn(meeting, roster)) {
        ingest_refuse_waiting(meeting, FATE_OVERLOADED);
        return;
    }
    struct waiting *waiting = meeting->waiting;
    meeting->waiting = NULL;
    meeting->waiting_end = &meeting->waiting;
    while (waiting != NULL) {
        struct waiting *next = waiting->next;
        core->counts.waiting--;
        (void)judge(meeting, waiting->batch, waiting->index, true);
        release(core, waiting->batch);
        bw_free(waiting);
        waiting = next;
    }
    if (!meeting->known)
        ingest_meeting_let_go(meeting);
}

void bw_ingest_core_scope(struct bw_ingest_core *core, const struct bw_scope_public *scope)
{
    struct bw_error err;
    if (core->sealer != NULL && bw_sealer_scope(core->sealer, scope, &err) != BW_OK)
        bw_log(BW_LOG_ERROR, "scope_key_not_taken", "reason=\"%s\"", err.show);
}

/* ---- visits ---- */

static bool close_windows(struct ingest_meeting *meeting)
{
    return meeting->windows == NULL || bw_quality_meeting_close(meeting->windows, NULL) == BW_OK;
}

static void leave(struct ingest_meeting *meeting)
{
    if (!close_windows(meeting))
        return; /* at the next visit */
    meeting->leaving = true;
    if (meeting->dirty)
        ingest_summary_due(meeting);
    meeting->dirty = false;
}

/* True: it is gone. */
static bool visit(struct ingest_meeting *meeting)
{
    struct bw_ingest_core *core = meeting->core;
    uint64_t quiet_ms = core->now_ms > meeting->last_ms ? core->now_ms - meeting->last_ms : 0;
    if (meeting->leaving) {
        if (meeting->rows > 0 || meeting->summary_due || meeting->summary_under_way ||
            meeting->waiting != NULL)
            return false;
        ingest_meeting_let_go(meeting);
        return true;
    }
    if (!meeting->known)
        return false;
    if (meeting->windows != NULL &&
        bw_quality_meeting_tick(meeting->windows, (int64_t)core->now_ms, NULL) != BW_OK)
        return false; /* memory was out; what is due stays open until the next visit */
    if (meeting->dirty) {
        ingest_rows_flush(meeting);
        ingest_summary_due(meeting);
        meeting->dirty = false;
    }
    if (core->closing || (meeting->ended && quiet_ms >= ENDED_GRACE_MS) || quiet_ms >= ABANDONED_MS)
        leave(meeting);
    else if (quiet_ms >= IDLE_MS && core->now_ms - meeting->asked_ms >= IDLE_MS)
        ingest_ask(meeting);
    return false;
}

void bw_ingest_core_tick(struct bw_ingest_core *core, uint64_t now_ms)
{
    core->now_ms = now_ms;
    ingest_ask_again(core);
    /* Each meeting once in a flush period. */
    size_t meetings = HASH_COUNT(core->meetings);
    size_t visits = core->closing ? meetings : meetings * BW_INGEST_TICK_MS / core->config.flush_ms + 1;
    for (size_t i = 0; i < visits && core->ring != NULL; i++) {
        struct ingest_meeting *meeting = core->ring;
        core->ring = meeting->next;
        (void)visit(meeting);
    }
    struct ingest_tenant *tenant, *next;
    HASH_ITER(hh, core->tenants, tenant, next)
    {
        tenant->keyless = false; /* keys may have come */
        ingest_hours_forget(tenant, now_ms, false);
    }
    ingest_rows_pump(core);
}

/* ---- life ---- */

enum bw_code bw_ingest_core_create(const struct bw_ingest_config *config, const struct bw_ingest_ports *ports,
                                   struct bw_ingest_core **out, struct bw_error *err)
{
    struct bw_ingest_core *core = bw_calloc(1, sizeof *core);
    if (core == NULL)
        return bw_fail_memory(err);
    core->config = *config;
    core->ports = *ports;
    if (config->seals) {
        struct bw_sealer_config sealer = {
            .cell = config->cell, .meetings_max = config->meetings, .capsules = config->capsules};
        memcpy(sealer.service_public, config->service_public, sizeof sealer.service_public);
        enum bw_code code = bw_sealer_create(&sealer, &core->sealer, err);
        if (code != BW_OK) {
            bw_free(core);
            return code;
        }
    }
    *out = core;
    return BW_OK;
}

void bw_ingest_core_close(struct bw_ingest_core *core, uint64_t now_ms)
{
    core->closing = true;
    for (struct ingest_meeting *meeting = core->meetings; meeting != NULL; meeting = meeting->hh.next)
        ingest_refuse_waiting(meeting, FATE_OVERLOADED);
    bw_ingest_core_tick(core, now_ms);
}

bool bw_ingest_core_settled(const struct bw_ingest_core *core)
{
    if (core->writes > 0)
        return false;
    for (const struct ingest_row *row = core->first_row; row != NULL; row = row->next) {
        if (!row->meeting->tenant->keyless)
            return false;
    }
    for (const struct ingest_meeting *meeting = core->meetings; meeting != NULL; meeting = meeting->hh.next) {
        if (meeting->dirty)
            return false;
    }
    return core->first_summary == NULL && !ingest_hours_due(core);
}

void bw_ingest_core_destroy(struct bw_ingest_core *core)
{
    if (core == NULL)
        return;
    ingest_rows_finish(core);
    struct ingest_meeting *meeting, *next_meeting;
    HASH_ITER(hh, core->meetings, meeting, next_meeting)
    {
        ingest_refuse_waiting(meeting, FATE_OVERLOADED);
        ingest_meeting_let_go(meeting);
    }
    struct ingest_tenant *tenant, *next_tenant;
    HASH_ITER(hh, core->tenants, tenant, next_tenant)
    {
        HASH_DEL(core->tenants, tenant);
        ingest_hours_forget(tenant, 0, true);
        bw_free(tenant);
    }
    struct ingest_relay *relay, *next_relay;
    HASH_ITER(hh, core->relays, relay, next_relay)
    {
        HASH_DEL(core->relays, relay);
        bw_free(relay);
    }
    bw_sealer_destroy(core->sealer);
    bw_free(core);
}

struct bw_ingest_counts bw_ingest_core_counts(const struct bw_ingest_core *core)
{
    struct bw_ingest_counts counts = core->counts;
    counts.meetings = HASH_COUNT(core->meetings);
    counts.rows_waiting = HASH_COUNT(core->rows);
    return counts;
}
