#include "cli/probe.h"

#include "bailiwick/v1/fleet.pb-c.h"
#include "bailiwick/v1/meeting.pb-c.h"
#include "bailiwick/v1/support.pb-c.h"
#include "bailiwick/v1/tenant.pb-c.h"
#include "crypto/certificate.h"
#include "crypto/pem.h"
#include "runtime/clock.h"
#include "runtime/file.h"

static uint64_t newest_heartbeat(const Bailiwick__V1__ListRelaysResponse *answer)
{
    int64_t newest = 0;
    for (size_t i = 0; i < answer->n_relays; i++) {
        const Bailiwick__V1__Relay *relay = answer->relays[i];
        if (relay->state == BAILIWICK__V1__RELAY_STATE__RELAY_STATE_SERVING &&
            relay->last_heartbeat_unix_ms > newest)
            newest = relay->last_heartbeat_unix_ms;
    }
    return (uint64_t)newest;
}

static enum bw_probe as_operator(struct bw_cli *cli, const char **what, struct bw_grpc_outcome *outcome,
                                 uint64_t *heartbeat_ms)
{
    Bailiwick__V1__ListRelaysRequest request = BAILIWICK__V1__LIST_RELAYS_REQUEST__INIT;
    const ProtobufCMessage *answer = NULL;
    *what = "FleetService.ListRelays";
    request.page_size = 200;
    if (bw_server_try(cli, BW_METHOD(FleetService, ListRelays), &request.base,
                      &bailiwick__v1__list_relays_response__descriptor, &answer, outcome) == BW_OK)
        *heartbeat_ms = newest_heartbeat((const void *)answer);
    return BW_PROBE_DONE;
}

static enum bw_probe as_admin(struct bw_cli *cli, const char *tenant, const char **what,
                              struct bw_grpc_outcome *outcome)
{
    Bailiwick__V1__GetTenantRequest request = BAILIWICK__V1__GET_TENANT_REQUEST__INIT;
    const ProtobufCMessage *answer = NULL;
    *what = "TenantService.GetTenant";
    request.name = tenant;
    request.page_size = 1;
    bw_server_try(cli, BW_METHOD(TenantService, GetTenant), &request.base,
                  &bailiwick__v1__get_tenant_response__descriptor, &answer, outcome);
    return BW_PROBE_DONE;
}

static enum bw_probe as_app(struct bw_cli *cli, const char *tenant, const char **what,
                            struct bw_grpc_outcome *outcome)
{
    Bailiwick__V1__ListMeetingsRequest request = BAILIWICK__V1__LIST_MEETINGS_REQUEST__INIT;
    const ProtobufCMessage *answer = NULL;
    *what = "MeetingService.ListMeetings";
    request.tenant = tenant;
    request.page_size = 1;
    bw_server_try(cli, BW_METHOD(MeetingService, ListMeetings), &request.base,
                  &bailiwick__v1__list_meetings_response__descriptor, &answer, outcome);
    return BW_PROBE_DONE;
}

static enum bw_probe as_support(struct bw_cli *cli, const char *tenant, const char **what,
                                struct bw_grpc_outcome *outcome)
{
    enum { HOUR_MS = 3600000 };
    Bailiwick__V1__SearchMeetingsRequest request = BAILIWICK__V1__SEARCH_MEETINGS_REQUEST__INIT;
    Bailiwick__V1__TimeRange when = BAILIWICK__V1__TIME_RANGE__INIT;
    const ProtobufCMessage *answer = NULL;
    *what = "SupportService.SearchMeetings";
    when.to_unix_ms = (int64_t)bw_clock_wall_ms();
    when.from_unix_ms = when.to_unix_ms - HOUR_MS;
    request.tenant = tenant;
    request.when = &when;
    request.page_size = 1;
    bw_server_try(cli, BW_METHOD(SupportService, SearchMeetings), &request.base,
                  &bailiwick__v1__search_meetings_response__descriptor, &answer, outcome);
    return BW_PROBE_DONE;
}

enum bw_probe bw_probe_call(struct bw_cli *cli, enum bw_identity_kind kind, const char **what,
                            struct bw_grpc_outcome *outcome, uint64_t *heartbeat_ms)
{
    const char *tenant = bw_args_text(cli->args, "tenant");
    if (tenant == NULL)
        tenant = cli->settings->tenant.value;
    if (kind == BW_IDENTITY_OPERATOR)
        return as_operator(cli, what, outcome, heartbeat_ms);
    if (kind != BW_IDENTITY_ADMIN && kind != BW_IDENTITY_APP && kind != BW_IDENTITY_SUPPORT)
        return BW_PROBE_NONE_BUILT;
    if (tenant == NULL)
        return BW_PROBE_NO_TENANT;
    if (kind == BW_IDENTITY_SUPPORT)
        return as_support(cli, tenant, what, outcome);
    return kind == BW_IDENTITY_ADMIN ? as_admin(cli, tenant, what, outcome)
                                     : as_app(cli, tenant, what, outcome);
}

const char *bw_own_spiffe_id(struct bw_cli *cli, struct bw_error *err)
{
    const char *path = cli->settings->cert.value;
    if (path == NULL) {
        (void)bw_fail(err, BW_UNAUTHENTICATED, NULL,
                      "no certificate: give --cert FILE and --key FILE, or put them into the context");
        return NULL;
    }
    struct bw_buf pem = {0};
    struct bw_certificate_facts facts;
    enum bw_code code = bw_file_read(path, BW_PEM_MAX, &pem, err);
    if (code == BW_OK)
        code = bw_certificate_read(bw_buf_view(&pem), path, &facts, err);
    bw_buf_finish(&pem);
    if (code != BW_OK)
        return NULL;
    if (facts.uri_count == 1)
        return bw_arena_strdup(cli->arena, facts.uri);
    (void)bw_fail(err, BW_UNAUTHENTICATED, NULL, "%s: %u URI names instead of one SPIFFE ID", path,
                  facts.uri_count);
    return NULL;
}
