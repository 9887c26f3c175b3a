/* What percentiles are answered from: sums of each tenant's hours, by relay, site and policy revision. */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "runtime/log.h"
#include "runtime/random.h"
#include "server/ingest_state.h"

static struct ingest_hour *hour_of(struct ingest_tenant *tenant, int64_t start_ms)
{
    struct ingest_hour *hour = tenant->hours;
    while (hour != NULL && hour->start_ms != start_ms)
        hour = hour->next;
    if (hour != NULL)
        return hour;
    hour = bw_calloc(1, sizeof *hour);
    if (hour == NULL)
        return NULL;
    if (bw_quality_hour_create(&hour->sums, NULL) != BW_OK) {
        bw_free(hour);
        return NULL;
    }
    uint8_t random[16];
    bw_random_bytes(random, sizeof random);
    hour->id = bw_id_v4(random);
    hour->start_ms = start_ms;
    hour->next = tenant->hours;
    tenant->hours = hour;
    return hour;
}

void ingest_hours_add(struct ingest_meeting *meeting, const struct bw_quality_window *window,
                      const struct bw_quality_judgement *judgement)
{
    struct bw_ingest_core *core = meeting->core;
    if (core->sealer == NULL || judgement->class == BW_QUALITY_GREY)
        return;
    struct ingest_hour *hour = hour_of(meeting->tenant, window->start_ms - window->start_ms % HOUR_MS);
    if (hour == NULL)
        return; /* the window itself is kept all the same */
    char revision[16];
    snprintf(revision, sizeof revision, "%u", meeting->policy_revision);
    struct bw_quality_place places[4] = {{.dimension = BW_QUALITY_BY_ALL, .value = ""},
                                         {.dimension = BW_QUALITY_BY_POLICY_REVISION, .value = revision}};
    size_t count = 2;
    struct ingest_relay *relay;
    HASH_FIND(hh, core->relays, &core->adding_relay, sizeof core->adding_relay, relay);
    if (relay != NULL) {
        places[count++] = (struct bw_quality_place){.dimension = BW_QUALITY_BY_RELAY, .value = relay->name};
        if (relay->site[0] != '\0')
            places[count++] =
                (struct bw_quality_place){.dimension = BW_QUALITY_BY_SITE, .value = relay->site};
    }
    if (bw_quality_hour_add(hour->sums, places, count, judgement, core->adding_who, NULL) == BW_OK)
        hour->dirty = true;
}

static bool due(const struct bw_ingest_core *core, const struct ingest_tenant *tenant,
                const struct ingest_hour *hour)
{
    if (!hour->dirty || tenant->keyless)
        return false;
    return core->closing || core->now_ms - hour->written_ms >= SKETCH_MS;
}

bool ingest_hours_due(const struct bw_ingest_core *core)
{
    for (const struct ingest_tenant *tenant = core->tenants; tenant != NULL; tenant = tenant->hh.next) {
        for (const struct ingest_hour *hour = tenant->hours; hour != NULL; hour = hour->next) {
            if (due(core, tenant, hour))
                return true;
        }
    }
    return false;
}

static bool seal_hour(struct bw_ingest_core *core, struct ingest_write *write, struct ingest_tenant *tenant,
                      struct ingest_hour *hour)
{
    static const struct bw_id nobody;
    struct bw_buf bytes = {0};
    struct bw_record_info info = {.type = BW_RECORD_SKETCH,
                                  .time_bucket = hour->start_ms,
                                  .schema = BW_QUALITY_HOUR_VERSION,
                                  .pad_class = PAD_SKETCH};
    size_t offset = 0, len = 0;
    bool sealed = bw_quality_hour_encode(hour->sums, &bytes, NULL) == BW_OK &&
                  ingest_seal(core, write, tenant, &nobody, &info, "qskt", bw_buf_view(&bytes), &hour->id,
                              &offset, &len) == BW_OK;
    bw_buf_finish(&bytes);
    if (!sealed)
        return false;
    write->write.sketches[write->write.sketch_count++] =
        (struct bw_store_sketch){.id = hour->id,
                                 .tenant = tenant->id,
                                 .hour_ms = (uint64_t)hour->start_ms,
                                 .record = {.data = (const uint8_t *)offset, .len = len}};
    return true;
}

void ingest_hours_seal(struct bw_ingest_core *core, struct ingest_write *write, size_t most)
{
    for (struct ingest_tenant *tenant = core->tenants; tenant != NULL; tenant = tenant->hh.next) {
        for (struct ingest_hour *hour = tenant->hours; hour != NULL; hour = hour->next) {
            if (write->write.sketch_count >= most)
                return;
            if (!due(core, tenant, hour) || !seal_hour(core, write, tenant, hour))
                continue;
            hour->dirty = false;
            hour->written_ms = core->now_ms;
        }
    }
}

void ingest_hours_forget(struct ingest_tenant *tenant, uint64_t now_ms, bool all)
{
    for (struct ingest_hour **at = &tenant->hours; *at != NULL;) {
        struct ingest_hour *hour = *at;
        bool over = (int64_t)now_ms >= hour->start_ms + HOUR_MS + HOUR_GRACE_MS;
        /* A day without a key, and what could not be written is not kept any longer. */
        bool given_up = over && (int64_t)now_ms >= hour->start_ms + 24 * (int64_t)HOUR_MS;
        if (!all && !(over && !hour->dirty) && !given_up) {
            at = &hour->next;
            continue;
        }
        *at = hour->next;
        bw_quality_hour_destroy(hour->sums);
        bw_free(hour);
    }
}
