#include "placement/filter.h"

#include <string.h>

#include "base/check.h"

/* Ten times nominal; keeps every sum over a meeting inside 64 bits. */
enum { LOAD_PPM_MAX = 10000000 };

const struct bw_weights *bw_filter_weights(const struct bw_place_request *request)
{
    return request->weights != NULL ? request->weights : &bw_weights_default;
}

static const struct bw_open_relay *find_open(const struct bw_place_request *request, uint32_t relay)
{
    for (size_t i = 0; i < request->open_count; i++)
        if (request->open[i].relay == relay)
            return &request->open[i];
    return NULL;
}

static uint32_t room_left(const struct bw_place_request *request, uint32_t relay)
{
    if (request->room != NULL)
        return request->room[relay];
    const struct bw_relay_live *live = &request->snapshot->live[relay];
    return live->capacity > live->placed ? live->capacity - live->placed : 0;
}

static uint32_t cap_left(const struct bw_place_request *request, uint32_t relay)
{
    if (request->cap_per_relay == 0)
        return UINT32_MAX;
    const struct bw_open_relay *open = find_open(request, relay);
    uint32_t held = open == NULL ? 0 : open->participants;
    return request->cap_per_relay > held ? request->cap_per_relay - held : 0;
}

static bool burst_reached(const struct bw_place_request *request, uint32_t relay)
{
    uint32_t limit = bw_filter_weights(request)->burst_limit;
    const struct bw_open_relay *open = find_open(request, relay);
    return limit != 0 && open != NULL && open->recent_joins >= limit;
}

uint32_t bw_filter_room(const struct bw_place_request *request, uint32_t relay)
{
    if (burst_reached(request, relay))
        return 0;
    uint32_t room = room_left(request, relay), cap = cap_left(request, relay);
    return room < cap ? room : cap;
}

uint32_t bw_filter_load_ppm(const struct bw_place_request *request, uint32_t relay)
{
    uint32_t load =
        request->load_ppm != NULL ? request->load_ppm[relay] : request->snapshot->live[relay].load_ppm;
    return load < LOAD_PPM_MAX ? load : (uint32_t)LOAD_PPM_MAX;
}

void bw_filter_candidates(const struct bw_place_request *request, const struct bw_participant *participant,
                          struct bw_bitset *into)
{
    const struct bw_snapshot *snapshot = request->snapshot;
    uint32_t region =
        participant->region == BW_NO_REGION ? (uint32_t)snapshot->region_count : participant->region;
    bw_bitset_copy(into, &request->constraints->eligible);
    bw_bitset_and(into, &snapshot->placeable);
    bw_bitset_and(into, &snapshot->access[region]);
    if (!participant->is_connector)
        return;
    bw_bitset_and(into, &snapshot->facts->offers[participant->connector]);
    bw_bitset_and(into, &request->constraints->connector_stores);
    if (!(request->constraints->connectors & BW_CONNECTOR_BIT(participant->connector)))
        bw_bitset_zero(into);
}

bool bw_filter_leg(const struct bw_snapshot *snapshot, const struct bw_constraints *constraints, uint32_t a,
                   uint32_t b)
{
    if (!bw_bitset_test(&constraints->eligible, a) || !bw_bitset_test(&constraints->eligible, b))
        return false;
    return a == b || (bw_bitset_test(&snapshot->cascading, a) && bw_bitset_test(&snapshot->cascading, b) &&
                      bw_bitset_test(&snapshot->links[a], b));
}

/* Somebody of whom only the region is known is judged by all of its countries: only what holds for each
 * holds. */
static enum bw_verdict entry_of_region(const struct bw_place_request *request, uint32_t region,
                                       struct bw_clause *clause)
{
    const struct bw_region *where = &request->snapshot->regions[region];
    bool any_allowed = false, any_refused = where->country_count == 0;
    for (size_t i = 0; i < where->country_count; i++) {
        enum bw_verdict verdict = bw_constraints_entry(request->constraints, where->countries[i], clause);
        any_allowed = any_allowed || verdict == BW_ALLOWED;
        any_refused = any_refused || verdict != BW_ALLOWED;
    }
    if (!any_refused)
        return BW_ALLOWED;
    /* All refused alike is a refusal of the place; a mixture is a place not known well enough. */
    if (where->country_count > 0 && !any_allowed)
        return BW_DENIED;
    return bw_constraints_entry(request->constraints, NULL, clause);
}

static uint32_t connector_door(const struct bw_place_request *request, enum bw_connector connector,
                               struct bw_clause *clause)
{
    const struct bw_constraints *constraints = request->constraints;
    if (!(constraints->connectors & BW_CONNECTOR_BIT(connector))) {
        (void)bw_constraints_connector_clause(constraints, connector, clause);
        return BW_REASON_BIT(BW_REASON_CONNECTOR_FORBIDDEN);
    }
    bool e2ee = request->mode == BW_MODE_SET_E2EE || constraints->modes == BW_MODE_SET_E2EE;
    if (!e2ee || constraints->connectors_as_endpoints)
        return 0;
    (void)bw_constraints_mode_clause(constraints, BW_MODE_SET_HOP, clause);
    return BW_REASON_BIT(BW_REASON_CONNECTOR_FORBIDDEN);
}

uint32_t bw_place_door(const struct bw_place_request *request, const struct bw_participant *participant,
                       struct bw_clause *clause)
{
    uint32_t reasons = 0;
    struct bw_clause found = {.level = BW_LEVEL_PLATFORM};
    if (participant->is_connector) {
        reasons = connector_door(request, participant->connector, &found);
    } else {
        bool by_region = participant->place == NULL && participant->region != BW_NO_REGION;
        enum bw_verdict verdict =
            by_region ? entry_of_region(request, participant->region, &found)
                      : bw_constraints_entry(request->constraints, participant->place, &found);
        if (verdict != BW_ALLOWED)
            reasons |= BW_REASON_BIT(BW_REASON_ENTRY_COUNTRY);
        if (verdict == BW_UNKNOWN_PLACE)
            reasons |= BW_REASON_BIT(BW_REASON_FACT_UNKNOWN);
    }
    if (reasons != 0 && clause != NULL)
        *clause = found;
    return reasons;
}

/* Would opening this relay need a link that must not be? Also true when the meeting sits on a relay that
 * policy no longer allows: then it must move before anybody joins. */
static bool leg_missing(const struct bw_place_request *request, uint32_t relay)
{
    for (size_t i = 0; i < request->open_count; i++)
        if (request->open[i].participants > 0 &&
            !bw_filter_leg(request->snapshot, request->constraints, relay, request->open[i].relay))
            return true;
    return false;
}

void bw_place_reasons(const struct bw_place_request *request, const struct bw_participant *participant,
                      uint32_t *reasons)
{
    const struct bw_snapshot *snapshot = request->snapshot;
    uint32_t region =
        participant->region == BW_NO_REGION ? (uint32_t)snapshot->region_count : participant->region;
    for (uint32_t r = 0; r < snapshot->relay_count; r++) {
        uint32_t mask = request->constraints->reasons[r] | snapshot->state_reasons[r];
        if (!bw_bitset_test(&snapshot->access[region], r))
            mask |= BW_REASON_BIT(BW_REASON_ACCESS);
        if (participant->is_connector)
            mask |= bw_constraints_connector(request->constraints, participant->connector, r);
        if (room_left(request, r) == 0 || cap_left(request, r) == 0)
            mask |= BW_REASON_BIT(BW_REASON_CAPACITY);
        if (burst_reached(request, r))
            mask |= BW_REASON_BIT(BW_REASON_BURST_LIMIT);
        /* An ineligible relay has no leg to anywhere; its own reasons say more. */
        if (request->constraints->reasons[r] == 0 && leg_missing(request, r))
            mask |= BW_REASON_BIT(BW_REASON_LEG_FORBIDDEN);
        reasons[r] = mask;
    }
}

enum bw_code bw_filter_check(const struct bw_place_request *request,
                             const struct bw_participant *participants, size_t count, struct bw_error *err)
{
    const struct bw_snapshot *snapshot = request->snapshot;
    if (request->constraints->facts != snapshot->facts)
        return bw_fail(err, BW_FAILED_PRECONDITION, NULL,
                       "the constraint set was compiled over other relay facts; compile it again");
    if (request->open_count > BW_MEETING_RELAYS_MAX || bw_filter_weights(request)->relays_max == 0 ||
        bw_filter_weights(request)->relays_max > BW_MEETING_RELAYS_MAX)
        return bw_fail(err, BW_INVALID_ARGUMENT, NULL, "a meeting uses 1 to %d relays",
                       BW_MEETING_RELAYS_MAX);
    uint64_t total = count;
    for (size_t i = 0; i < request->open_count; i++) {
        if (request->open[i].relay >= snapshot->relay_count ||
            find_open(request, request->open[i].relay) != &request->open[i])
            return bw_fail(err, BW_INVALID_ARGUMENT, NULL,
                           "open relay %zu is not in the fleet, or is listed twice", i);
        total += request->open[i].participants;
    }
    if (total > BW_MEETING_PARTICIPANTS_MAX)
        return bw_fail(err, BW_INVALID_ARGUMENT, NULL, "a meeting has at most %d participants",
                       BW_MEETING_PARTICIPANTS_MAX);
    for (size_t i = 0; i < count; i++) {
        const struct bw_participant *p = &participants[i];
        if ((p->region != BW_NO_REGION && p->region >= snapshot->region_count) ||
            (p->current != BW_NO_RELAY && p->current >= snapshot->relay_count) ||
            (p->is_connector && (unsigned)p->connector >= BW_CONNECTOR_COUNT))
            return bw_fail(err, BW_INVALID_ARGUMENT, NULL,
                           "participant %zu names a region, relay or connector that does not exist", i);
    }
    return BW_OK;
}

static struct bw_nearest_miss nearest_miss(const struct bw_place_request *request, const uint32_t *reasons)
{
    const struct bw_snapshot *snapshot = request->snapshot;
    struct bw_nearest_miss best = {.relay = BW_NO_RELAY};
    uint64_t best_key = 0;
    for (uint32_t r = 0; r < snapshot->relay_count; r++) {
        if (reasons[r] == 0)
            continue;
        uint64_t key = bw_place_rendezvous(&request->meeting, snapshot->relay_key[r]);
        unsigned count = bw_reason_count(reasons[r]);
        unsigned held = best.relay == BW_NO_RELAY ? 0 : bw_reason_count(best.reasons);
        if (best.relay != BW_NO_RELAY && (count > held || (count == held && key <= best_key)))
            continue;
        best = (struct bw_nearest_miss){.relay = r, .reasons = reasons[r]};
        best_key = key;
    }
    return best;
}

enum bw_code bw_filter_trace(const struct bw_place_request *request, const struct bw_participant *participant,
                             struct bw_arena *arena, struct bw_decision_trace *trace, struct bw_error *err)
{
    static const struct bw_participant anybody = {.region = BW_NO_REGION, .current = BW_NO_RELAY};
    const struct bw_snapshot *snapshot = request->snapshot;
    uint32_t *reasons = bw_arena_zalloc(arena, snapshot->relay_count, sizeof *reasons);
    if (reasons == NULL)
        return bw_fail_memory(err);
    bw_place_reasons(request, participant != NULL ? participant : &anybody, reasons);
    *trace = (struct bw_decision_trace){.facts_revision = snapshot->facts->revision,
                                        .relay_count = snapshot->relay_count,
                                        .reasons = reasons,
                                        .runner_up = BW_NO_RELAY,
                                        .nearest = nearest_miss(request, reasons)};
    memcpy(trace->snapshot_hash, snapshot->hash, sizeof trace->snapshot_hash);
    memcpy(trace->policy_hash, request->constraints->hash, sizeof trace->policy_hash);
    return BW_OK;
}

uint32_t bw_filter_all_reasons(const struct bw_decision_trace *trace)
{
    uint32_t all = 0;
    for (size_t i = 0; i < trace->relay_count; i++)
        all |= trace->reasons[i];
    return all;
}

uint32_t bw_place_check(const struct bw_snapshot *snapshot, const struct bw_constraints *constraints,
                        const uint32_t *relays, size_t relay_count)
{
    uint32_t reasons = 0;
    for (size_t i = 0; i < relay_count; i++) {
        BW_CHECK(relays[i] < snapshot->relay_count);
        reasons |= constraints->reasons[relays[i]];
        for (size_t j = 0; j < i; j++)
            if (!bw_filter_leg(snapshot, constraints, relays[i], relays[j]))
                reasons |= BW_REASON_BIT(BW_REASON_LEG_FORBIDDEN);
    }
    return reasons;
}

/* splitmix64's finaliser. */
static uint64_t mix(uint64_t x)
{
    x ^= x >> 30;
    x *= UINT64_C(0xbf58476d1ce4e5b9);
    x ^= x >> 27;
    x *= UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

uint64_t bw_place_rendezvous(const struct bw_id *meeting, uint64_t relay_key)
{
    uint64_t halves[2] = {0, 0};
    for (size_t i = 0; i < sizeof meeting->bytes; i++)
        halves[i / 8] = halves[i / 8] << 8 | meeting->bytes[i];
    return mix(mix(mix(halves[0]) ^ halves[1]) ^ relay_key);
}
