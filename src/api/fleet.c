/* FleetService: relays, as an operator sees them. What is shown comes from the fleet view that owners place
 * on; what is changed goes through the desk, which answers once the view has it. */
#include <string.h>

#include "api/encode.h"
#include "api/gate.h"
#include "bailiwick/v1/fleet.pb-c.h"
#include "base/alloc.h"
#include "runtime/clock.h"
#include "wire/wire.h"

enum { CERTIFICATE_DAYS = 90, DRAIN_MS = 60000 };

/* ---- what relays carry now, counted over all owners ---- */

struct carried {
    uint32_t meetings, participants;
};

struct counting {
    struct bw_api_sweep sweep;
    struct bw_api_call *call;
    bw_api_handler *then;
    uint32_t most;          /* relay numbers counted: 1 to most */
    struct carried *counts; /* by number */
};

static bool count_meeting(void *context, const struct bw_meeting_head *head)
{
    struct counting *counting = context;
    for (size_t i = 0; !head->ended && i < head->relay_count; i++) {
        if (head->relays[i].number > counting->most)
            continue;
        counting->counts[head->relays[i].number].meetings++;
        counting->counts[head->relays[i].number].participants += head->relays[i].members;
    }
    return true;
}

static void visit(struct bw_api_sweep *sweep, struct bw_owner *owner)
{
    bw_owner_each_committed(owner, count_meeting, (struct counting *)sweep);
}

static void counted(struct bw_api_sweep *sweep)
{
    struct counting *counting = (struct counting *)sweep;
    counting->then(counting->call);
}

/* call->state is the counting, then. */
static void count_carried(struct bw_api_call *call, bw_api_handler *then)
{
    const struct bw_fleet_view *view = bw_api_view_of(call);
    struct counting *counting = bw_arena_zalloc(call->arena, 1, sizeof *counting);
    if (counting == NULL) {
        bw_api_fail_memory(call);
        return;
    }
    *counting = (struct counting){.sweep = {.visit = visit, .done = counted}, .call = call, .then = then};
    for (size_t i = 0; view != NULL && i < view->snapshot->relay_count; i++) {
        uint32_t number = view->snapshot->facts->relays[i].number;
        counting->most = number > counting->most ? number : counting->most;
    }
    counting->counts = bw_arena_zalloc(call->arena, (size_t)counting->most + 1, sizeof *counting->counts);
    if (counting->counts == NULL) {
        bw_api_fail_memory(call);
        return;
    }
    call->state = counting;
    const struct bw_api_ports *ports = bw_api_ports_of(call);
    ports->each_owner(ports->context, &counting->sweep);
}

/* ---- messages ---- */

static Bailiwick__V1__RelayState state_of(const struct bw_fleet_view *view, size_t index)
{
    const struct bw_relay_live *live = &view->snapshot->live[index];
    switch (live->state) {
    case BW_RELAY_CORDONED:
        return BAILIWICK__V1__RELAY_STATE__RELAY_STATE_CORDONED;
    case BW_RELAY_DRAINING:
        return BAILIWICK__V1__RELAY_STATE__RELAY_STATE_DRAINING;
    case BW_RELAY_DEAD:
        return view->reach[index].connected ? BAILIWICK__V1__RELAY_STATE__RELAY_STATE_DEAD
                                            : BAILIWICK__V1__RELAY_STATE__RELAY_STATE_NEVER_SEEN;
    case BW_RELAY_SERVING:
        if (!view->reach[index].connected)
            return BAILIWICK__V1__RELAY_STATE__RELAY_STATE_NEVER_SEEN;
        return live->lease_ok ? BAILIWICK__V1__RELAY_STATE__RELAY_STATE_SERVING
                              : BAILIWICK__V1__RELAY_STATE__RELAY_STATE_SUSPECT;
    }
    return BAILIWICK__V1__RELAY_STATE__RELAY_STATE_UNSPECIFIED;
}

static char *spiffe_of(struct bw_api_call *call, const char *relay)
{
    return bw_arena_printf(call->arena, "spiffe://%s/relay/%s", bw_api_config_of(call)->trust_domain, relay);
}

static Bailiwick__V1__Relay *relay_message(struct bw_api_call *call, const struct bw_fleet_view *view,
                                           size_t index, const struct counting *counting)
{
    const struct bw_relay_facts *facts = &view->snapshot->facts->relays[index];
    const struct bw_relay_live *live = &view->snapshot->live[index];
    Bailiwick__V1__Relay *out = bw_arena_alloc(call->arena, sizeof *out);
    Bailiwick__V1__Load *load = bw_arena_alloc(call->arena, sizeof *load);
    if (out == NULL || load == NULL)
        return NULL;
    bailiwick__v1__relay__init(out);
    bailiwick__v1__load__init(load);
    out->facts = bw_api_facts_write(facts, live->capacity, call->arena);
    out->number = facts->number;
    out->spiffe_id = spiffe_of(call, facts->name);
    out->state = state_of(view, index);
    out->state_reason = view->reach[index].reason;
    if (view->reach[index].connected) {
        out->media_address = view->reach[index].media_address;
        load->participants = live->placed;
        out->last_heartbeat_unix_ms = (int64_t)view->reach[index].heartbeat_ms;
        out->load = load;
    }
    if (counting != NULL && facts->number <= counting->most) {
        out->meetings = counting->counts[facts->number].meetings;
        out->participants = counting->counts[facts->number].participants;
    }
    return out->facts != NULL && out->spiffe_id != NULL ? out : NULL;
}

static bool find_relay(struct bw_api_call *call, const char *name, const struct bw_fleet_view **view,
                       size_t *index)
{
    *view = bw_api_view_of(call);
    *index = *view != NULL ? bw_facts_find_relay((*view)->snapshot->facts, name) : SIZE_MAX;
    if (*index != SIZE_MAX)
        return true;
    struct bw_error err;
    (void)bw_fail(&err, BW_NOT_FOUND, "NO_RELAY", "no relay \"%s\" is enrolled in this cell", name);
    bw_api_fail(call, &err, NULL);
    return false;
}

static bool order_failed(struct bw_api_call *call)
{
    if (call->order.error.code == BW_OK)
        return false;
    bw_api_fail(call, &call->order.error, NULL);
    return true;
}

static uint64_t facts_revision(struct bw_api_call *call)
{
    const struct bw_fleet_view *view = bw_api_view_of(call);
    return view != NULL ? view->snapshot->facts->revision : 0;
}

/* ---- GetRelay, ListRelays ---- */

static void got(struct bw_api_call *call)
{
    const Bailiwick__V1__GetRelayRequest *request = (const Bailiwick__V1__GetRelayRequest *)call->request;
    const struct bw_fleet_view *view;
    size_t index;
    if (!find_relay(call, request->name, &view, &index))
        return;
    Bailiwick__V1__GetRelayResponse response = BAILIWICK__V1__GET_RELAY_RESPONSE__INIT;
    response.relay = relay_message(call, view, index, call->state);
    if (response.relay == NULL)
        bw_api_fail_memory(call);
    else
        bw_api_reply(call, &response.base);
}

void bw_api_get_relay(struct bw_api_call *call)
{
    count_carried(call, got);
}

static bool wanted(const Bailiwick__V1__ListRelaysRequest *request, const struct bw_fleet_view *view,
                   size_t index)
{
    const struct bw_relay_facts *facts = &view->snapshot->facts->relays[index];
    if (request->state != 0 && state_of(view, index) != request->state)
        return false;
    if (request->region[0] != '\0' && (facts->region == NULL || strcmp(facts->region, request->region) != 0))
        return false;
    return request->site[0] == '\0' || (facts->site != NULL && strcmp(facts->site, request->site) == 0);
}

static void listed(struct bw_api_call *call)
{
    const Bailiwick__V1__ListRelaysRequest *request = (const Bailiwick__V1__ListRelaysRequest *)call->request;
    const struct bw_fleet_view *view = bw_api_view_of(call);
    const char *position;
    if (!bw_api_page_position(call, request->page_token, &position))
        return;
    Bailiwick__V1__ListRelaysResponse response = BAILIWICK__V1__LIST_RELAYS_RESPONSE__INIT;
    size_t size = bw_api_page_size(request->page_size);
    response.relays = bw_arena_zalloc(call->arena, size + 1, sizeof(void *));
    bool ok = response.relays != NULL;
    const char *last = "";
    for (size_t i = 0; ok && view != NULL && i < view->snapshot->relay_count; i++) { /* sorted by name */
        const char *name = view->snapshot->facts->relays[i].name;
        if (strcmp(name, position) <= 0 || !wanted(request, view, i))
            continue;
        if (response.n_relays == size) {
            response.next_page_token = bw_api_page_token(call, last);
            ok = response.next_page_token != NULL;
            break;
        }
        last = name;
        response.relays[response.n_relays] = relay_message(call, view, i, call->state);
        ok = response.relays[response.n_relays++] != NULL;
    }
    response.facts_revision = facts_revision(call);
    if (ok)
        bw_api_reply(call, &response.base);
    else
        bw_api_fail_memory(call);
}

void bw_api_list_relays(struct bw_api_call *call)
{
    count_carried(call, listed);
}

/* ---- EnrollRelay ---- */

struct enrolling {
    struct bw_view facts; /* normalised */
    bool changed;
    const char *certificate;
};

static void answer_enrolled(struct bw_api_call *call)
{
    const Bailiwick__V1__EnrollRelayRequest *request =
        (const Bailiwick__V1__EnrollRelayRequest *)call->request;
    const struct enrolling *enrolling = call->state;
    const struct bw_fleet_view *view;
    size_t index;
    if (!find_relay(call, request->facts->name, &view, &index))
        return;
    Bailiwick__V1__EnrollRelayResponse response = BAILIWICK__V1__ENROLL_RELAY_RESPONSE__INIT;
    response.relay = relay_message(call, view, index, NULL);
    response.facts_revision = call->order.relay_enroll.facts_revision;
    response.changed = enrolling->changed;
    if (enrolling->certificate != NULL)
        response.certificate_pem = enrolling->certificate;
    if (response.relay == NULL)
        bw_api_fail_memory(call);
    else
        bw_api_reply(call, &response.base);
}

static void certified(void *context, const struct bw_error *error, struct bw_view pem)
{
    struct bw_api_call *call = context;
    struct enrolling *enrolling = call->state;
    if (error != NULL && error->code != BW_OK) {
        bw_api_fail(call, error, NULL);
        return;
    }
    enrolling->certificate = bw_arena_strndup(call->arena, (const char *)pem.data, pem.len);
    if (enrolling->certificate == NULL)
        bw_api_fail_memory(call);
    else
        answer_enrolled(call);
}

static void enrolled(struct bw_api_call *call)
{
    const Bailiwick__V1__EnrollRelayRequest *request =
        (const Bailiwick__V1__EnrollRelayRequest *)call->request;
    if (order_failed(call))
        return;
    if (request->csr_der.len == 0) {
        answer_enrolled(call);
        return;
    }
    uint32_t days = request->certificate_days != 0 ? request->certificate_days : CERTIFICATE_DAYS;
    const struct bw_api_ports *ports = bw_api_ports_of(call);
    ports->certify(ports->context, bw_view_of(request->csr_der.data, request->csr_der.len),
                   call->order.relay_enroll.spiffe_id, days * 86400, certified, call);
}

/* The facts as this cell would write them, into the arena. */
static bool normalise(struct bw_api_call *call, const struct bw_relay_facts *facts, uint32_t capacity,
                      struct bw_view *out)
{
    const Bailiwick__V1__RelayFacts *message = bw_api_facts_write(facts, capacity, call->arena);
    struct bw_buf bytes = {0};
    bool ok = message != NULL && bw_wire_encode(&message->base, &bytes) == BW_OK;
    void *copy = ok ? bw_arena_memdup(call->arena, bytes.data, bytes.len) : NULL;
    *out = bw_view_of(copy, bytes.len);
    bw_buf_finish(&bytes);
    return copy != NULL;
}

/* Known already, with just these facts? */
static bool same_facts(struct bw_api_call *call, const char *name, struct bw_view facts)
{
    const struct bw_fleet_view *view = bw_api_view_of(call);
    size_t index = view != NULL ? bw_facts_find_relay(view->snapshot->facts, name) : SIZE_MAX;
    struct bw_view known;
    return index != SIZE_MAX &&
           normalise(call, &view->snapshot->facts->relays[index], view->snapshot->live[index].capacity,
                     &known) &&
           bw_view_equal(known, facts);
}

void bw_api_enroll_relay(struct bw_api_call *call)
{
    const Bailiwick__V1__EnrollRelayRequest *request =
        (const Bailiwick__V1__EnrollRelayRequest *)call->request;
    struct bw_relay_facts facts;
    struct bw_error err;
    if (bw_api_facts_read(request->facts, 1, call->arena, &facts, &err) != BW_OK) {
        bw_api_fail(call, &err, NULL);
        return;
    }
    /* A fleet of one: what policies could not judge must not come in. */
    struct bw_facts *alone = NULL;
    if (bw_facts_create(&facts, 1, NULL, 0, 0, &alone, &err) != BW_OK) {
        bw_api_fail(call, &err, NULL);
        return;
    }
    bw_facts_release(alone);
    const struct bw_fleet_view *view = bw_api_view_of(call);
    if (view != NULL && view->snapshot->region_count > 0 && facts.region != NULL &&
        bw_snapshot_region(view->snapshot, facts.region) == BW_NO_REGION) {
        bw_api_fail_field(call, "facts.region", "the cell's topology has no region \"%s\"", facts.region);
        return;
    }
    struct enrolling *enrolling = bw_arena_zalloc(call->arena, 1, sizeof *enrolling);
    char *spiffe = spiffe_of(call, facts.name);
    if (enrolling == NULL || spiffe == NULL ||
        !normalise(call, &facts, request->facts->capacity, &enrolling->facts)) {
        bw_api_fail_memory(call);
        return;
    }
    enrolling->changed = !same_facts(call, facts.name, enrolling->facts);
    call->state = enrolling;
    call->order.relay_enroll.name = facts.name;
    call->order.relay_enroll.spiffe_id = spiffe;
    call->order.relay_enroll.facts = enrolling->facts;
    call->order.relay_enroll.capacity = request->facts->capacity;
    call->order.relay_enroll.replace = true;
    bw_api_order(call, BW_DESK_RELAY_ENROLL, enrolled);
}

/* ---- CordonRelay, UncordonRelay, DrainRelay ---- */

static void give_state_order(struct bw_api_call *call, const char *name, enum bw_desk_relay_action action,
                             uint64_t deadline_ms, const char *reason, bw_api_handler *next)
{
    const struct bw_fleet_view *view;
    size_t index;
    if (!find_relay(call, name, &view, &index))
        return;
    call->order.relay_state.name = name;
    call->order.relay_state.action = action;
    call->order.relay_state.deadline_ms = deadline_ms;
    call->order.relay_state.reason = reason;
    bw_api_order(call, BW_DESK_RELAY_STATE, next);
}

static Bailiwick__V1__Relay *relay_after(struct bw_api_call *call, const char *name)
{
    const struct bw_fleet_view *view;
    size_t index;
    if (order_failed(call) || !find_relay(call, name, &view, &index))
        return NULL;
    Bailiwick__V1__Relay *relay = relay_message(call, view, index, NULL);
    if (relay == NULL)
        bw_api_fail_memory(call);
    return relay;
}

static void cordoned(struct bw_api_call *call)
{
    Bailiwick__V1__CordonRelayResponse response = BAILIWICK__V1__CORDON_RELAY_RESPONSE__INIT;
    response.relay = relay_after(call, ((const Bailiwick__V1__CordonRelayRequest *)call->request)->name);
    if (response.relay == NULL)
        return;
    response.facts_revision = call->order.relay_state.facts_revision;
    bw_api_reply(call, &response.base);
}

void bw_api_cordon_relay(struct bw_api_call *call)
{
    const Bailiwick__V1__CordonRelayRequest *request =
        (const Bailiwick__V1__CordonRelayRequest *)call->request;
    give_state_order(call, request->name, BW_DESK_CORDON, 0, request->reason, cordoned);
}

static void uncordoned(struct bw_api_call *call)
{
    Bailiwick__V1__UncordonRelayResponse response = BAILIWICK__V1__UNCORDON_RELAY_RESPONSE__INIT;
    response.relay = relay_after(call, ((const Bailiwick__V1__UncordonRelayRequest *)call->request)->name);
    if (response.relay == NULL)
        return;
    response.facts_revision = call->order.relay_state.facts_revision;
    bw_api_reply(call, &response.base);
}

void bw_api_uncordon_relay(struct bw_api_call *call)
{
    const Bailiwick__V1__UncordonRelayRequest *request =
        (const Bailiwick__V1__UncordonRelayRequest *)call->request;
    give_state_order(call, request->name, BW_DESK_UNCORDON, 0, "", uncordoned);
}

static void drained(struct bw_api_call *call)
{
    Bailiwick__V1__DrainRelayResponse response = BAILIWICK__V1__DRAIN_RELAY_RESPONSE__INIT;
    response.relay = relay_after(call, ((const Bailiwick__V1__DrainRelayRequest *)call->request)->name);
    if (response.relay == NULL)
        return;
    response.relay->drain_deadline_unix_ms = (int64_t)call->order.relay_state.deadline_ms;
    response.facts_revision = call->order.relay_state.facts_revision;
    bw_api_reply(call, &response.base);
}

void bw_api_drain_relay(struct bw_api_call *call)
{
    const Bailiwick__V1__DrainRelayRequest *request = (const Bailiwick__V1__DrainRelayRequest *)call->request;
    uint64_t within = request->deadline_ms != 0 ? request->deadline_ms : DRAIN_MS;
    give_state_order(call, request->name, BW_DESK_DRAIN, bw_clock_wall_ms() + within, request->reason,
                     drained);
}

/* ---- RemoveRelay ---- */

static void removed(struct bw_api_call *call)
{
    if (order_failed(call))
        return;
    Bailiwick__V1__RemoveRelayResponse response = BAILIWICK__V1__REMOVE_RELAY_RESPONSE__INIT;
    response.facts_revision = call->order.relay_state.facts_revision;
    bw_api_reply(call, &response.base);
}

static void remove_if_idle(struct bw_api_call *call)
{
    const Bailiwick__V1__RemoveRelayRequest *request =
        (const Bailiwick__V1__RemoveRelayRequest *)call->request;
    const struct counting *counting = call->state;
    const struct bw_fleet_view *view;
    size_t index;
    if (!find_relay(call, request->name, &view, &index))
        return;
    uint32_t number = view->snapshot->facts->relays[index].number;
    uint32_t meetings = number <= counting->most ? counting->counts[number].meetings : 0;
    if (meetings > 0 && !request->force) {
        struct bw_error err;
        (void)bw_fail(&err, BW_FAILED_PRECONDITION, "RELAY_IN_USE",
                      "relay \"%s\" carries %u meetings; drain it first, or say force", request->name,
                      meetings);
        bw_api_fail(call, &err, NULL);
        return;
    }
    give_state_order(call, request->name, BW_DESK_REMOVE, 0, "", removed);
}

void bw_api_remove_relay(struct bw_api_call *call)
{
    count_carried(call, remove_if_idle);
}
