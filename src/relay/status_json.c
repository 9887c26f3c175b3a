/* What a running relay says of itself. */
#include <jansson.h>
#include <stdlib.h>

#include "relay/worker_state.h"

#ifndef BW_VERSION
#define BW_VERSION "0.0.0"
#endif

static json_t *number(uint64_t value)
{
    return json_integer((json_int_t)value);
}

static const char *phase_name(enum bw_client_phase phase)
{
    static const char *const names[] = {[BW_CLIENT_WAITING] = "waiting",
                                        [BW_CLIENT_CONNECTING] = "connecting",
                                        [BW_CLIENT_GREETED] = "greeted",
                                        [BW_CLIENT_LIVE] = "live",
                                        [BW_CLIENT_STOPPED] = "stopped"};
    return names[phase];
}

static const char *authority_name(enum bw_authority authority)
{
    static const char *const names[] = {
        [BW_AUTHORITY_NONE] = "none", [BW_AUTHORITY_HELD] = "held", [BW_AUTHORITY_FULL] = "full"};
    return names[authority];
}

static json_t *quality_json(struct bw_quality_report_counts counts)
{
    json_t *json = json_object();
    json_object_set_new(json, "waiting", number(counts.queue.waiting));
    json_object_set_new(json, "taken", number(counts.taken));
    json_object_set_new(json, "refused", number(counts.refused));
    json_object_set_new(json, "dropped", number(counts.queue.dropped));
    json_object_set_new(json, "givenUp", number(counts.queue.given_up));
    return json;
}

static json_t *cell_json(const struct worker_cell *cell)
{
    struct bw_client_status session = bw_fleet_client_status(cell->client);
    struct bw_relay_cell_status status = bw_relay_core_cell_status(cell->worker->core, cell->index);
    json_t *json = json_object();
    json_object_set_new(json, "name", json_string(cell->settings->name));
    json_object_set_new(json, "session", json_string(phase_name(session.phase)));
    json_object_set_new(json, "endpoint", json_string(bw_fleet_client_endpoint(cell->client)));
    json_object_set_new(json, "relayNumber", number(cell->relay_number));
    json_object_set_new(json, "authority",
                        json_string(authority_name(bw_fleet_client_authority(cell->client))));
    json_object_set_new(json, "draining", json_boolean(status.draining));
    json_object_set_new(json, "epoch", number(session.epoch));
    json_object_set_new(json, "appliedGroup", number(session.applied_group));
    json_object_set_new(json, "leaseLeftMs", number(session.lease_left_ms));
    json_object_set_new(json, "graceLeftMs", number(session.grace_left_ms));
    json_object_set_new(json, "sessions", number(session.sessions));
    json_object_set_new(json, "snapshots", number(session.snapshots));
    json_object_set_new(json, "deltas", number(session.deltas));
    json_object_set_new(json, "nacks", number(session.nacks));
    json_object_set_new(json, "resources", number(session.resources));
    json_object_set_new(json, "slots", number(status.slots));
    json_object_set_new(json, "links", number(status.links));
    json_object_set_new(json, "grantKeys", number(status.keys));
    json_object_set_new(json, "capacity", number(status.capacity));
    json_object_set_new(json, "participants", number(status.participants));
    json_object_set_new(json, "provisional", number(status.provisional));
    json_object_set_new(json, "probeTargets", number(bw_prober_targets(cell->prober)));
    json_object_set_new(json, "quality", quality_json(bw_fleet_client_quality(cell->client)));
    return json;
}

static json_t *counters_json(const struct bw_relay_counters *c)
{
    json_t *json = json_object(), *dropped = json_object(), *refused = json_object();
    json_object_set_new(json, "received", number(c->received));
    json_object_set_new(json, "receivedBytes", number(c->received_bytes));
    json_object_set_new(json, "forwarded", number(c->forwarded));
    json_object_set_new(json, "forwardedBytes", number(c->forwarded_bytes));
    json_object_set_new(json, "toPeers", number(c->to_peers));
    json_object_set_new(json, "joins", number(c->joins));
    json_object_set_new(json, "resumes", number(c->resumes));
    json_object_set_new(json, "leaves", number(c->leaves));
    json_object_set_new(json, "cookies", number(c->cookies));
    for (size_t i = 0; i < BW_DROP_COUNT; i++)
        json_object_set_new(dropped, bw_drop_name((enum bw_drop)i), number(c->dropped[i]));
    for (unsigned i = 1; i < BW_REFUSAL_BOUND; i++) {
        if (c->refused[i] > 0)
            json_object_set_new(refused, bw_refusal_name((uint16_t)i), number(c->refused[i]));
    }
    json_object_set_new(json, "dropped", dropped);
    json_object_set_new(json, "refused", refused);
    return json;
}

static void add_participant(void *context, const struct bw_relay_channel_status *status)
{
    json_t *json = json_object();
    char meeting[BW_ID_TEXT_SIZE];
    bw_id_format(&status->meeting, meeting);
    json_object_set_new(json, "meeting", json_string(meeting));
    json_object_set_new(json, "slot", number(status->slot));
    json_object_set_new(json, "provisional", json_boolean(status->provisional));
    json_object_set_new(json, "packetsReceived", number(status->measure->received));
    json_object_set_new(json, "packetsLost", number(bw_measure_lost(status->measure)));
    json_object_set_new(json, "jitterUs", number(bw_measure_jitter_us(status->measure)));
    json_object_set_new(json, "roundTripUs", number(status->rtt_us));
    json_object_set_new(json, "dropped", number(status->dropped));
    json_array_append_new(context, json);
}

void worker_status_json(struct bw_relay_worker *worker, struct bw_buf *out)
{
    json_t *json = json_object(), *cells = json_array(), *participants = json_array();
    char boot[BW_ID_TEXT_SIZE], listen[BW_ADDRESS_TEXT];
    struct bw_address address = bw_socket_address(worker->socket);
    bw_id_format(&worker->boot_id, boot);
    bw_address_format(&address, listen);
    json_object_set_new(json, "relay", json_string(worker->config->name));
    json_object_set_new(json, "version", json_string(BW_VERSION));
    json_object_set_new(json, "bootId", json_string(boot));
    json_object_set_new(json, "uptimeMs", number((worker_now().mono_us - worker->started_us) / 1000));
    json_object_set_new(json, "listen", json_string(listen));
    json_object_set_new(json, "stopping", json_boolean(worker->stopping));
    for (size_t i = 0; i < worker->cell_count; i++)
        json_array_append_new(cells, cell_json(&worker->cells[i]));
    json_object_set_new(json, "cells", cells);
    json_object_set_new(json, "meetings", number(bw_relay_core_meetings(worker->core)));
    json_object_set_new(json, "cpuPpm", number(worker->rates.load.cpu_ppm));
    json_object_set_new(json, "counters", counters_json(bw_relay_core_counters(worker->core)));
    bw_relay_core_each_channel(worker->core, add_participant, participants);
    json_object_set_new(json, "participants", participants);
    char *text = json_dumps(json, JSON_INDENT(2));
    if (text != NULL)
        bw_buf_append_str(out, text);
    else
        out->failed = true;
    bw_buf_append_str(out, "\n");
    free(text);
    json_decref(json);
}
