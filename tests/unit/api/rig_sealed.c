#include "rig_sealed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"

/* The nth decision of the log. NULL past the end. */
static struct bw_decision *decision_at(struct rig *rig, size_t n, struct bw_arena *arena)
{
    struct bw_view record = bw_headless_record_at(&rig->world, n);
    struct bw_decision *decision = NULL;
    struct bw_error err;
    if (record.len > 0)
        assert_int_equal(bw_api_record_decode(record, arena, &decision, &err), BW_OK);
    return decision;
}

void rig_decisions_walk(struct rig *rig, struct bw_desk_order *order)
{
    struct bw_arena *arena = bw_arena_create(8 << 20);
    struct bw_decision *decision;
    bool any = false;
    for (size_t i = 0; (decision = decision_at(rig, i, arena)) != NULL; i++) {
        if (!bw_id_equal(&decision->meeting, &order->decisions_walk.meeting))
            continue;
        any = true;
        if (!order->decisions_walk.each(order, &decision->tenant, bw_headless_record_at(&rig->world, i)))
            break;
    }
    bw_arena_destroy(arena);
    if (!any)
        bw_fail(&order->error, BW_NOT_FOUND, NULL, "there is no meeting of that id");
}

static const struct bw_desk_meeting *quality_of(const struct rig *rig, const struct bw_id *meeting)
{
    for (size_t i = 0; i < rig->sealed.quality_count; i++) {
        if (bw_id_equal(&rig->sealed.quality[i].id, meeting))
            return &rig->sealed.quality[i];
    }
    return NULL;
}

static bool wanted(const struct bw_desk_filter *filter, const struct bw_desk_meeting *quality)
{
    if (filter->at_least == 0 && filter->reason == 0 && filter->poor_minutes == 0)
        return true;
    return quality != NULL && quality->worst_class >= filter->at_least &&
           (filter->reason == 0 || quality->reason == filter->reason) &&
           quality->poor_minutes >= filter->poor_minutes;
}

static bool on_relays(const struct bw_desk_filter *filter, const struct bw_desk_meeting *meeting)
{
    if (!filter->by_relay)
        return true;
    for (size_t i = 0; i < meeting->relay_count; i++) {
        for (size_t k = 0; k < filter->relay_count; k++) {
            if (meeting->relays[i] == filter->relays[k])
                return true;
        }
    }
    return false;
}

/* Everything the log says of one meeting. */
static struct bw_desk_meeting collect(struct rig *rig, const struct bw_decision *created,
                                      struct bw_desk_order *order)
{
    struct bw_desk_meeting meeting = {.id = created->meeting, .created_ms = bw_id_time_ms(&created->meeting)};
    struct bw_decision *decision;
    const struct bw_desk_meeting *quality = quality_of(rig, &meeting.id);
    if (quality != NULL)
        meeting = *quality;
    meeting.created_ms = bw_id_time_ms(&created->meeting);
    for (size_t i = 0; (decision = decision_at(rig, i, order->arena)) != NULL; i++) {
        if (!bw_id_equal(&decision->meeting, &meeting.id))
            continue;
        struct bw_view record = bw_headless_record_at(&rig->world, i);
        meeting.last_kind = decision->kind;
        meeting.last_record = bw_view_of(bw_arena_memdup(order->arena, record.data, record.len), record.len);
        meeting.policy_revision = decision->policy_revision;
        if (decision->kind != BW_DECISION_JOINED)
            continue;
        meeting.joined++;
        meeting.relays[0] = decision->relay;
        meeting.relay_count = 1;
    }
    return meeting;
}

void rig_meetings_search(struct rig *rig, struct bw_desk_order *order)
{
    struct bw_desk_meeting *results =
        bw_arena_zalloc(order->arena, order->meetings_search.limit + 2, sizeof *results);
    const struct bw_id *below = &order->meetings_search.below;
    struct bw_decision *created;
    size_t count = 0;
    for (size_t i = 0; (created = decision_at(rig, i, order->arena)) != NULL; i++) {
        uint64_t made_ms = bw_id_time_ms(&created->meeting);
        if (created->kind != BW_DECISION_CREATED ||
            !bw_id_equal(&created->tenant, &order->meetings_search.tenant) ||
            made_ms < order->meetings_search.since_ms || made_ms >= order->meetings_search.until_ms ||
            (!bw_id_is_zero(below) && bw_id_compare(&created->meeting, below) >= 0))
            continue;
        struct bw_desk_meeting meeting = collect(rig, created, order);
        if (!wanted(&order->meetings_search.filter, quality_of(rig, &meeting.id)) ||
            !on_relays(&order->meetings_search.filter, &meeting))
            continue;
        size_t at = count;
        while (at > 0 && bw_id_compare(&results[at - 1].id, &meeting.id) < 0) {
            results[at] = results[at - 1];
            at--;
        }
        results[at] = meeting;
        if (count < order->meetings_search.limit)
            count++;
    }
    order->meetings_search.results = results;
    order->meetings_search.count = count;
}

/* ---- the vault ---- */

static bool in_range(const struct bw_api_opening *opening, uint32_t slot)
{
    return slot >= opening->slot_from && slot <= opening->slot_to;
}

static enum bw_code give(const struct rig_sealed *sealed, struct bw_api_opening *opening)
{
    enum bw_code code = BW_OK;
    uint32_t rows = 0;
    for (size_t i = 0; opening->what == BW_OPENING_ROSTER && i < sealed->person_count && code == BW_OK; i++) {
        struct bw_opened_person person = {.user = bw_view_str(sealed->people[i].user),
                                          .client_version = bw_view_str(sealed->people[i].version)};
        const struct bw_opened row = {.slot = sealed->people[i].slot, .person = &person};
        strcpy(person.address_prefix, sealed->people[i].prefix);
        if (in_range(opening, row.slot))
            code = opening->row(opening, &row);
    }
    for (size_t i = 0; opening->what == BW_OPENING_CHUNKS && i < sealed->chunk_count && code == BW_OK; i++) {
        const struct bw_opened row = {.slot = sealed->chunks[i].slot,
                                      .stream = sealed->chunks[i].stream,
                                      .seq = i,
                                      .payload = sealed->chunks[i].plain};
        if (!in_range(opening, row.slot))
            continue;
        opening->cut = rows++ == opening->max_rows;
        if (opening->cut)
            break;
        code = opening->row(opening, &row);
    }
    for (size_t i = 0; opening->what == BW_OPENING_SKETCHES && i < sealed->hour_count && code == BW_OK; i++) {
        const struct bw_opened row = {.payload = sealed->hours[i]};
        code = opening->row(opening, &row);
    }
    return code;
}

void rig_open(void *context, struct bw_api_opening *opening)
{
    struct rig_sealed *sealed = &((struct rig *)context)->sealed;
    opening->error.code = BW_OK;
    opening->cut = false;
    if (sealed->asked_count < BW_ARRAY_LEN(sealed->asked))
        sealed->asked[sealed->asked_count++] = *opening;
    if (sealed->error[opening->what].code != BW_OK)
        opening->error = sealed->error[opening->what];
    else if (give(sealed, opening) != BW_OK)
        assert_int_not_equal(opening->error.code, BW_OK);
    opening->done(opening);
}
