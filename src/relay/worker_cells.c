/* The worker's side of each cell: what its control plane says goes to the core, what happens here goes back.
 */
#include <string.h>

#include "base/secret.h"
#include "relay/worker_state.h"
#include "runtime/clock.h"
#include "runtime/log.h"
#include "runtime/random.h"

#ifndef BW_VERSION
#define BW_VERSION "0.0.0"
#endif

/* ---- from the control plane ---- */

static enum bw_code on_link(void *context, const struct bw_peer_link *link, uint32_t max_staleness_ms,
                            struct bw_error *err)
{
    const struct worker_cell *cell = context;
    return bw_relay_core_link(cell->worker->core, cell->index, link, max_staleness_ms, err);
}

static void on_link_removed(void *context, const struct bw_id *meeting, uint32_t peer_number)
{
    const struct worker_cell *cell = context;
    bw_relay_core_link_removed(cell->worker->core, cell->index, meeting, peer_number);
}

static enum bw_code on_slot(void *context, const struct bw_meeting_slot *slot, uint32_t max_staleness_ms,
                            struct bw_error *err)
{
    const struct worker_cell *cell = context;
    return bw_relay_core_slot(cell->worker->core, cell->index, slot, max_staleness_ms, err);
}

static void on_slot_removed(void *context, const struct bw_id *meeting, uint32_t slot)
{
    const struct worker_cell *cell = context;
    bw_relay_core_slot_removed(cell->worker->core, cell->index, meeting, slot);
}

static enum bw_code on_key(void *context, const struct bw_grant_key *key, struct bw_error *err)
{
    const struct worker_cell *cell = context;
    return bw_relay_core_key(cell->worker->core, cell->index, key, err);
}

static void on_key_removed(void *context, const uint8_t key_id[8])
{
    const struct worker_cell *cell = context;
    bw_relay_core_key_removed(cell->worker->core, cell->index, key_id);
}

static void on_load(void *context, struct bw_relay_load *load)
{
    const struct worker_cell *cell = context;
    *load = cell->worker->rates.load;
    load->participants = bw_relay_core_cell_status(cell->worker->core, cell->index).participants;
}

static void note_authority(struct worker_cell *cell, enum bw_authority authority)
{
    static const char *const words[] = {
        [BW_AUTHORITY_NONE] = "no control plane for too long: nothing is forwarded",
        [BW_AUTHORITY_HELD] = "no control plane: forwarding goes on, nobody new is admitted",
        [BW_AUTHORITY_FULL] = "the lease is held"};
    if (authority == cell->authority)
        return;
    bw_log(authority == BW_AUTHORITY_FULL ? BW_LOG_INFO : BW_LOG_ERROR, "authority", "cell=%s what=\"%s\"",
           cell->settings->name, words[authority]);
    cell->authority = authority;
}

void worker_cell_authority(struct worker_cell *cell)
{
    enum bw_authority authority = bw_fleet_client_authority(cell->client);
    note_authority(cell, authority);
    bw_relay_core_authority(cell->worker->core, cell->index, authority,
                            bw_fleet_client_stale_ms(cell->client));
}

static void on_leased(void *context)
{
    worker_cell_authority(context);
}

static void on_welcomed(void *context, const struct bw_welcome *welcome)
{
    struct worker_cell *cell = context;
    const char *name = cell->worker->config->name;
    struct bw_id expected = bw_grant_cell_id(bw_view_str(cell->settings->name));
    if (!bw_id_equal(&expected, &welcome->cell_id))
        bw_log(BW_LOG_ERROR, "wrong_cell",
               "cell=%s what=\"the control plane is another cell's; no grant will fit\"",
               cell->settings->name);
    if (!bw_view_equal_str(welcome->relay, name))
        bw_log(BW_LOG_ERROR, "wrong_certificate",
               "relay=%s certificate=%.*s what=\"the certificate is another relay's\"", name,
               (int)welcome->relay.len, (const char *)welcome->relay.data);
    cell->relay_number = welcome->relay_number;
    bw_relay_core_welcomed(cell->worker->core, cell->index, welcome->relay_number, &welcome->stream_id);
    bw_log(
        BW_LOG_INFO, "session_started", "cell=%s replica=%.*s relay=%.*s number=%u start=%s head_group=%llu",
        cell->settings->name, (int)welcome->replica.len, (const char *)welcome->replica.data,
        (int)welcome->relay.len, (const char *)welcome->relay.data, (unsigned)welcome->relay_number,
        welcome->mode == BW_WELCOME_RESUME ? "resume" : "snapshot", (unsigned long long)welcome->head_group);
}

static void on_applied(void *context, uint64_t group)
{
    const struct worker_cell *cell = context;
    bw_relay_core_applied(cell->worker->core, cell->index, group);
    worker_flush(cell->worker);
}

static void on_revoke(void *context, const struct bw_revoke *revoke)
{
    const struct worker_cell *cell = context;
    char meeting[BW_ID_TEXT_SIZE];
    bw_id_format(&revoke->meeting, meeting);
    bw_log(BW_LOG_INFO, "revoked", "cell=%s meeting=%s slots=%zu peer=%u reason=\"%.*s\"",
           cell->settings->name, meeting, revoke->slot_count, (unsigned)revoke->peer_number,
           (int)revoke->reason.len, (const char *)revoke->reason.data);
    bw_relay_core_revoke(cell->worker->core, cell->index, revoke, worker_now());
    worker_flush(cell->worker);
}

static void on_drain(void *context, bool draining, uint32_t deadline_ms, struct bw_view reason)
{
    const struct worker_cell *cell = context;
    bw_log(BW_LOG_INFO, draining ? "drain_started" : "drain_called_off",
           "cell=%s deadline_ms=%u reason=\"%.*s\"", cell->settings->name, (unsigned)deadline_ms,
           (int)reason.len, (const char *)reason.data);
    bw_relay_core_drain(cell->worker->core, cell->index, draining);
}

static void on_probe_plan(void *context, const struct bw_probe_target *targets, size_t count,
                          uint32_t interval_ms, uint32_t packets)
{
    struct worker_cell *cell = context;
    struct bw_error err = {0};
    if (bw_prober_plan(cell->prober, cell->relay_number, targets, count, interval_ms, packets,
                       worker_now().mono_us, &err) != BW_OK)
        bw_log(BW_LOG_WARN, "probe_plan_not_taken", "cell=%s why=\"%s\"", cell->settings->name, err.show);
    bw_timer_start(cell->worker->probe, 10, 10);
}

static void on_lost(void *context, const char *endpoint, const struct bw_error *why, uint64_t retry_in_ms)
{
    const struct worker_cell *cell = context;
    bw_log(BW_LOG_WARN, "session_lost", "cell=%s endpoint=%s code=%s why=\"%s\" retry_in_ms=%llu",
           cell->settings->name, endpoint, bw_code_name(why->code), why->show,
           (unsigned long long)retry_in_ms);
}

/* ---- to the control plane ---- */

void worker_joined(void *context, size_t index, const struct bw_meeting_slot *slot, bool provisional)
{
    struct bw_relay_worker *worker = context;
    struct bw_relay_event event = {.kind = BW_RELAY_EVENT_JOINED,
                                   .at_ms = bw_clock_wall_ms(),
                                   .meeting = slot->meeting,
                                   .slot = slot->slot,
                                   .roster_entry = slot->roster_entry,
                                   .provisional = provisional};
    if (worker->cells[index].client != NULL)
        bw_fleet_client_event(worker->cells[index].client, &event);
}

void worker_left(void *context, size_t index, const struct bw_id *meeting, uint32_t slot,
                 enum bw_left_why why)
{
    struct bw_relay_worker *worker = context;
    struct bw_relay_event event = {.kind = BW_RELAY_EVENT_LEFT,
                                   .at_ms = bw_clock_wall_ms(),
                                   .meeting = *meeting,
                                   .slot = slot,
                                   .why = why};
    if (worker->cells[index].client != NULL)
        bw_fleet_client_event(worker->cells[index].client, &event);
}

/* With several cells a grant that did not fit cannot always be said to be one's, so nobody is told of
 * another's. */
void worker_tell_refusals(struct bw_relay_worker *worker)
{
    const struct bw_relay_counters *counters = bw_relay_core_counters(worker->core);
    for (unsigned i = 1; i < BW_REFUSAL_BOUND && worker->cell_count == 1; i++) {
        uint64_t times = counters->refused[i] - worker->refused_told[i];
        if (times == 0)
            continue;
        worker->refused_told[i] = counters->refused[i];
        struct bw_relay_event event = {.kind = BW_RELAY_EVENT_GRANT_REFUSED,
                                       .at_ms = bw_clock_wall_ms(),
                                       .times = times > UINT32_MAX ? UINT32_MAX : (uint32_t)times};
        strncpy(event.code, bw_refusal_name((uint16_t)i), sizeof event.code - 1);
        bw_fleet_client_event(worker->cells[0].client, &event);
    }
}

static void probe_reported(void *context, const struct bw_probe_report *report)
{
    const struct worker_cell *cell = context;
    bw_fleet_client_probe(cell->client, report);
}

struct failed_path {
    const struct worker_cell *cell;
    uint32_t peer_number;
};

static void tell_path_failed(void *context, const struct bw_id *meeting)
{
    const struct failed_path *path = context;
    struct bw_relay_event event = {.kind = BW_RELAY_EVENT_PATH_FAILED,
                                   .at_ms = bw_clock_wall_ms(),
                                   .meeting = *meeting,
                                   .peer_number = path->peer_number};
    bw_fleet_client_event(path->cell->client, &event);
}

static void peer_failed(void *context, uint32_t peer_number)
{
    const struct worker_cell *cell = context;
    struct failed_path path = {.cell = cell, .peer_number = peer_number};
    bw_log(BW_LOG_WARN, "peer_silent", "cell=%s peer=%u", cell->settings->name, (unsigned)peer_number);
    bw_relay_core_each_link(cell->worker->core, cell->index, peer_number, tell_path_failed, &path);
}

/* ---- life ---- */

static struct bw_hello hello_of(const struct worker_cell *cell)
{
    const struct bw_relay_worker *worker = cell->worker;
    const struct bw_relay_config *config = worker->config;
    struct bw_hello hello = {.protocol_min = BW_FLEET_PROTOCOL_MIN,
                             .protocol_max = BW_FLEET_PROTOCOL_MAX,
                             .boot_id = worker->boot_id,
                             .capacity = cell->settings->capacity,
                             .session_secret = bw_view_of(cell->session_secret, sizeof cell->session_secret),
                             .software_version = bw_view_str(BW_VERSION)};
    for (size_t i = 0; i < config->advertise_count; i++)
        hello.media_addresses[hello.media_address_count++] = bw_view_str(config->advertise[i]);
    if (config->peer_address != NULL)
        hello.peer_address = bw_view_str(config->peer_address);
    struct bw_claims *claims = &hello.claims;
    if (config->site != NULL)
        claims->site = bw_view_str(config->site);
    if (config->region != NULL)
        claims->region = bw_view_str(config->region);
    if (config->country != NULL)
        claims->country = bw_view_str(config->country);
    if (config->operator_name != NULL) {
        claims->has_operator = true;
        claims->operator_name = bw_view_str(config->operator_name);
        for (size_t i = 0; i < config->jurisdiction_count; i++)
            claims->jurisdictions[claims->jurisdiction_count++] = bw_view_str(config->jurisdictions[i]);
    }
    return hello;
}

static enum bw_code load_tls(const struct bw_relay_cell_settings *settings, struct bw_grpc_tls **tls,
                             struct bw_error *err)
{
    struct bw_grpc_tls_config config = {.certificate_file = settings->certificate,
                                        .key_file = settings->key,
                                        .ca_file = settings->ca,
                                        .server_name = settings->server_name,
                                        .server_spiffe_id = settings->server_spiffe_id};
    struct bw_grpc_tls *loaded = bw_grpc_tls_create_client(&config, err);
    if (loaded == NULL)
        return err->code;
    *tls = loaded;
    return BW_OK;
}

enum bw_code worker_cell_reload(struct worker_cell *cell, struct bw_error *err)
{
    struct bw_grpc_tls *fresh = NULL;
    if (cell->settings->insecure)
        return BW_OK;
    enum bw_code code = load_tls(cell->settings, &fresh, err);
    if (code != BW_OK)
        return code;
    bw_grpc_tls_release(cell->tls);
    cell->tls = fresh;
    bw_fleet_client_set_tls(cell->client, fresh);
    return BW_OK;
}

enum bw_code worker_cell_start(struct bw_relay_worker *worker, size_t index, struct bw_error *err)
{
    struct worker_cell *cell = &worker->cells[index];
    cell->worker = worker;
    cell->index = index;
    cell->settings = &worker->config->cells[index];
    bw_random_bytes(cell->session_secret, sizeof cell->session_secret);
    struct bw_relay_cell_config core_cell = {.name = cell->settings->name,
                                             .capacity = cell->settings->capacity};
    memcpy(core_cell.session_secret, cell->session_secret, sizeof core_cell.session_secret);
    enum bw_code code = bw_relay_core_add_cell(worker->core, index, &core_cell, err);
    bw_wipe(&core_cell, sizeof core_cell);
    if (code == BW_OK && !cell->settings->insecure)
        code = load_tls(cell->settings, &cell->tls, err);
    if (code != BW_OK)
        return code;
    struct bw_prober_hooks hooks = {.context = cell, .report = probe_reported, .failed = peer_failed};
    cell->prober = bw_prober_create(&hooks);
    if (cell->prober == NULL)
        return bw_fail_memory(err);
    struct bw_fleet_client_config config = {.endpoints = cell->settings->endpoints,
                                            .endpoint_count = cell->settings->endpoint_count,
                                            .tls = cell->tls,
                                            .hello = hello_of(cell),
                                            .max_grace_ms = worker->config->max_grace_ms,
                                            .handlers = {.context = cell,
                                                         .peer_link = on_link,
                                                         .peer_link_removed = on_link_removed,
                                                         .slot = on_slot,
                                                         .slot_removed = on_slot_removed,
                                                         .grant_key = on_key,
                                                         .grant_key_removed = on_key_removed,
                                                         .load = on_load,
                                                         .welcomed = on_welcomed,
                                                         .leased = on_leased,
                                                         .applied = on_applied,
                                                         .revoke = on_revoke,
                                                         .drain = on_drain,
                                                         .probe_plan = on_probe_plan,
                                                         .lost = on_lost}};
    cell->client = bw_fleet_client_create(worker->loop, &config, err);
    return cell->client != NULL ? BW_OK : err->code;
}

void worker_cell_finish(struct worker_cell *cell)
{
    bw_fleet_client_destroy(cell->client);
    bw_prober_destroy(cell->prober);
    bw_grpc_tls_release(cell->tls);
    bw_wipe(cell->session_secret, sizeof cell->session_secret);
    cell->client = NULL;
    cell->prober = NULL;
    cell->tls = NULL;
}
