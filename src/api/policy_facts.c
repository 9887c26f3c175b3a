/* PolicyService.GetFleetFacts: what policies decide on. */
#include <string.h>

#include "api/encode.h"
#include "api/gate.h"
#include "bailiwick/v1/policy.pb-c.h"

static bool serves(const struct bw_relay_facts *relay, const char *tenant)
{
    for (size_t i = 0; i < relay->tenant_count; i++) {
        if (strcmp(relay->tenants[i], tenant) == 0)
            return true;
    }
    return relay->tenant_count == 0;
}

static Bailiwick__V1__CellFacts *cell_message(const struct bw_facts *facts, const char *cell,
                                              struct bw_arena *arena)
{
    Bailiwick__V1__CellFacts *out = bw_arena_alloc(arena, sizeof *out);
    if (out == NULL)
        return NULL;
    bailiwick__v1__cell_facts__init(out);
    out->name = cell;
    size_t node = bw_facts_find_cell(facts, cell);
    if (node == SIZE_MAX)
        return out;
    const struct bw_cell_facts *from = &facts->cells[node];
    out->country = from->place != NULL ? from->place : out->country;
    out->operator_ = bw_api_operator_write(&from->operated_by, arena);
    out->certifications = bw_api_certifications_write(from->certifications, from->certification_count, arena);
    out->n_certifications = from->certification_count;
    return out->operator_ != NULL && out->certifications != NULL ? out : NULL;
}

void bw_api_get_fleet_facts(struct bw_api_call *call)
{
    const Bailiwick__V1__GetFleetFactsRequest *request =
        (const Bailiwick__V1__GetFleetFactsRequest *)call->request;
    const struct bw_fleet_view *view = bw_api_view_of(call);
    const char *position;
    if (!bw_api_page_position(call, request->page_token, &position))
        return;
    Bailiwick__V1__GetFleetFactsResponse response = BAILIWICK__V1__GET_FLEET_FACTS_RESPONSE__INIT;
    size_t size = bw_api_page_size(request->page_size);
    response.relays = bw_arena_zalloc(call->arena, size + 1, sizeof(void *));
    Bailiwick__V1__AttestedRelayFacts *items = bw_arena_zalloc(call->arena, size + 1, sizeof *items);
    if (response.relays == NULL || items == NULL) {
        bw_api_fail_memory(call);
        return;
    }
    if (view == NULL) {
        bw_api_reply(call, &response.base);
        return;
    }
    const struct bw_snapshot *snapshot = view->snapshot;
    const struct bw_facts *facts = snapshot->facts;
    bool ok = true;
    for (size_t i = 0; ok && i < facts->relay_count; i++) { /* sorted by name */
        if (strcmp(facts->relays[i].name, position) <= 0 || !serves(&facts->relays[i], call->tenant_name))
            continue;
        if (response.n_relays == size) {
            response.next_page_token = bw_api_page_token(call, items[size - 1].facts->name);
            ok = response.next_page_token != NULL;
            break;
        }
        Bailiwick__V1__AttestedRelayFacts *item = &items[response.n_relays];
        bailiwick__v1__attested_relay_facts__init(item);
        item->facts = bw_api_facts_write(&facts->relays[i], snapshot->live[i].capacity, call->arena);
        ok = item->facts != NULL;
        response.relays[response.n_relays++] = item;
    }
    response.cell = cell_message(facts, bw_api_config_of(call)->cell, call->arena);
    response.facts_revision = facts->revision;
    if (ok && response.cell != NULL)
        bw_api_reply(call, &response.base);
    else
        bw_api_fail_memory(call);
}
