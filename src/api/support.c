#include "api/support.h"

#include <stdarg.h>
#include <stdio.h>

#include "api/quality.h"
#include "runtime/random.h"

_Static_assert((int)BW_QUALITY_GREEN == (int)BAILIWICK__V1__QUALITY_CLASS__QUALITY_CLASS_GREEN &&
                   (int)BW_QUALITY_AMBER == (int)BAILIWICK__V1__QUALITY_CLASS__QUALITY_CLASS_AMBER &&
                   (int)BW_QUALITY_RED == (int)BAILIWICK__V1__QUALITY_CLASS__QUALITY_CLASS_RED &&
                   (int)BW_QUALITY_GREY == (int)BAILIWICK__V1__QUALITY_CLASS__QUALITY_CLASS_GREY,
               "numbers of the wire");
#define X(name, number, text, unit, amber, red, low)                                                         \
    _Static_assert(number == (int)BAILIWICK__V1__QUALITY_METRIC__QUALITY_METRIC_##name,                      \
                   "numbers of the wire");
BW_QUALITY_METRIC_MAP(X)
#undef X

bool bw_api_is_tier1(const struct bw_api_call *call)
{
    return (call->roles & (BW_CALLER_SUPPORT_TIER2 | BW_CALLER_TENANT_ADMIN)) == 0;
}

void bw_api_opening_begin(struct bw_api_call *call, struct bw_api_opening *opening)
{
    uint8_t random[16];
    bw_random_bytes(random, sizeof random);
    *opening = (struct bw_api_opening){
        .actor = call->caller,
        .method = call->method->name,
        .role = BW_OPENING_TIER1,
        /* Reading has no request id of its own: this one ties the audit's rows of one question together. */
        .request = bw_id_v4(random),
        .tenant = call->tenant,
        .context = call,
    };
    if (call->roles & BW_CALLER_TENANT_ADMIN)
        opening->role = BW_OPENING_TENANT_ADMIN;
    else if (call->roles & BW_CALLER_SUPPORT_TIER2)
        opening->role = BW_OPENING_TIER2;
}

void bw_api_open(struct bw_api_call *call, struct bw_api_opening *opening)
{
    const struct bw_api_ports *ports = bw_api_ports_of(call);
    ports->open(ports->context, opening);
}

bool bw_api_miss(struct bw_api_missing *missing, struct bw_arena *arena, const char *part, const char *reason,
                 const char *format, ...)
{
    Bailiwick__V1__MissingPart *item = bw_arena_alloc(arena, sizeof *item);
    char text[301];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (item == NULL || missing->count == BW_API_MISSING_MAX)
        return item != NULL;
    bailiwick__v1__missing_part__init(item);
    item->part = part;
    item->reason = reason;
    item->text = bw_arena_strdup(arena, text);
    missing->items[missing->count++] = item;
    return item->text != NULL;
}

Bailiwick__V1__TimeRange *bw_api_range(uint64_t from_ms, uint64_t to_ms, struct bw_arena *arena)
{
    Bailiwick__V1__TimeRange *range = bw_arena_alloc(arena, sizeof *range);
    if (range == NULL)
        return NULL;
    bailiwick__v1__time_range__init(range);
    range->from_unix_ms = (int64_t)from_ms;
    range->to_unix_ms = (int64_t)to_ms;
    return range;
}

bool bw_api_check_range(struct bw_api_call *call, const Bailiwick__V1__TimeRange *when)
{
    if (when->from_unix_ms < when->to_unix_ms)
        return true;
    bw_api_fail_field(call, "when", "`to_unix_ms` (not included) must be later than `from_unix_ms`");
    return false;
}

enum bw_code bw_api_fail_no_meeting(struct bw_error *err)
{
    return bw_fail(err, BW_NOT_FOUND, "NO_MEETING",
                   "the tenant has no meeting of that id, or its decisions are not kept any more");
}

Bailiwick__V1__MeetingQuality *bw_api_meeting_quality(struct bw_api_call *call,
                                                      const struct bw_desk_meeting *from,
                                                      const struct bw_decision *last)
{
    const struct bw_fleet_view *view = bw_api_view_of(call);
    Bailiwick__V1__MeetingQuality *out = bw_arena_alloc(call->arena, sizeof *out);
    if (out == NULL)
        return NULL;
    bailiwick__v1__meeting_quality__init(out);
    bool live = from->last_kind != BW_DECISION_ENDED;
    uint64_t to_ms = last->at_ms;
    if (live && from->quality_to_ms > to_ms)
        to_ms = from->quality_to_ms;
    out->meeting_id = bw_api_id_text(&from->id, call->arena);
    out->when = bw_api_range(from->created_ms, to_ms, call->arena);
    out->participants = from->joined;
    out->worst_class = BAILIWICK__V1__QUALITY_CLASS__QUALITY_CLASS_GREY;
    if (from->windows > 0 && from->worst_class != 0)
        out->worst_class = (Bailiwick__V1__QualityClass)from->worst_class;
    out->reason = (Bailiwick__V1__QualityMetric)from->reason;
    out->poor_minutes = from->poor_minutes;
    out->windows = from->windows;
    out->end_reason = (Bailiwick__V1__EndReason)(live ? 0 : last->end_reason);
    out->live = live;
    out->policy_revision = from->policy_revision;
    out->relays = bw_arena_zalloc(call->arena, from->relay_count + 1, sizeof(char *));
    for (size_t i = 0; out->relays != NULL && i < from->relay_count; i++) {
        const char *name = bw_api_relay_name(view, from->relays[i]);
        if (name[0] != '\0')
            out->relays[out->n_relays++] = name;
    }
    return out->meeting_id != NULL && out->when != NULL && out->relays != NULL ? out : NULL;
}

uint32_t bw_api_stream_number(const struct bw_id *stream)
{
    enum bw_quality_source source;
    uint32_t relay, number;
    if (!bw_api_stream_parts(stream, &source, &relay, &number))
        return 0;
    if (source == BW_QUALITY_FROM_CLIENT)
        return number + 1;
    return UINT32_C(1) << 31 | (relay & 0x7fff) << 16 | (number & 0xffff);
}
