#include "server/orders_support.h"

#include <string.h>

#include "base/check.h"
#include "quality/classify.h"
#include "store/decisions.h"
#include "store/search.h"

struct walk {
    struct bw_desk_order *order;
    bool any;
};

static bool walk_on(void *context, const struct bw_store_decision *decision)
{
    struct walk *walk = context;
    walk->any = true;
    return walk->order->decisions_walk.each(walk->order, &decision->tenant, decision->record);
}

enum bw_code bw_orders_walk(struct bw_desk_order *order, struct bw_store_db *db, struct bw_error *err)
{
    struct walk walk = {.order = order};
    enum bw_code code = bw_store_decisions_of(db, &order->decisions_walk.meeting, 0, walk_on, &walk, err);
    if (code == BW_OK && order->error.code != BW_OK) {
        *err = order->error;
        return err->code;
    }
    if (code == BW_OK && !walk.any)
        return bw_fail(err, BW_NOT_FOUND, "NO_MEETING", "there is no meeting of that id");
    return code;
}

static bool keep_meeting(void *context, const struct bw_store_found_meeting *found)
{
    struct bw_desk_order *order = context;
    struct bw_desk_meeting *kept = &order->meetings_search.results[order->meetings_search.count];
    const struct bw_store_meeting_quality *quality = &found->quality;
    *kept = (struct bw_desk_meeting){
        .id = found->meeting,
        .created_ms = bw_id_time_ms(&found->meeting),
        .last_kind = (enum bw_decision_kind)found->last_kind,
        .policy_revision = found->policy_revision,
        .joined = found->joined,
        .relay_count = found->relay_count < BW_DESK_RELAYS_MAX ? found->relay_count : BW_DESK_RELAYS_MAX,
    };
    if (kept->relay_count > 0)
        memcpy(kept->relays, found->relays, kept->relay_count * sizeof kept->relays[0]);
    void *record = bw_arena_memdup(order->arena, found->last_record.data, found->last_record.len);
    kept->last_record = bw_view_of(record, found->last_record.len);
    if (record == NULL) {
        bw_fail_memory(&order->error);
        return false;
    }
    if (found->has_quality) {
        kept->windows = quality->windows;
        kept->poor_minutes = quality->poor_minutes;
        kept->worst_class = quality->worst_class;
        kept->reason = quality->reason;
        kept->quality_from_ms = quality->from_ms;
        kept->quality_to_ms = quality->to_ms;
    }
    return ++order->meetings_search.count < order->meetings_search.limit;
}

enum bw_code bw_orders_search(struct bw_desk_order *order, struct bw_store_db *db, struct bw_error *err)
{
    static const uint8_t ranks[] = {
        [BW_QUALITY_GREEN] = 2, [BW_QUALITY_AMBER] = 3, [BW_QUALITY_RED] = 4, [BW_QUALITY_GREY] = 1};
    const struct bw_desk_filter *filter = &order->meetings_search.filter;
    static const uint32_t none;
    struct bw_store_search search = {
        .tenant = order->meetings_search.tenant,
        .since_ms = order->meetings_search.since_ms,
        .until_ms = order->meetings_search.until_ms,
        .below = bw_id_is_zero(&order->meetings_search.below) ? NULL : &order->meetings_search.below,
        .rank = filter->at_least < BW_ARRAY_LEN(ranks) ? ranks[filter->at_least] : 0,
        .reason = filter->reason,
        .poor_minutes = filter->poor_minutes,
        .relays = filter->by_relay ? &none : NULL,
        .limit = order->meetings_search.limit,
    };
    if (filter->relay_count > 0) {
        search.relays = filter->relays;
        search.relay_count = filter->relay_count;
    }
    order->meetings_search.count = 0;
    order->meetings_search.results =
        bw_arena_zalloc(order->arena, search.limit + 1, sizeof *order->meetings_search.results);
    if (order->meetings_search.results == NULL)
        return bw_fail_memory(err);
    return bw_store_meetings_search(db, &search, keep_meeting, order, err);
}
