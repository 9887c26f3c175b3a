/* What a relay says. */
#include "bailiwick/v1/relay.pb-c.h"

#include <stdio.h>

#include "base/secret.h"
#include "fleet/codec.h"
#include "fleet/codec_parts.h"
#include "wire/wire.h"

typedef Bailiwick__V1__RelayMessage pb_message;

/* ---- encoding ---- */

static Bailiwick__V1__Hello__Claims *put_claims(struct codec_out *out, const struct bw_claims *claims)
{
    Bailiwick__V1__Hello__Claims *pb = codec_alloc(out, 1, sizeof *pb);
    Bailiwick__V1__Operator *operator_ = codec_alloc(out, 1, sizeof *operator_);
    const char **jurisdictions = codec_alloc(out, claims->jurisdiction_count, sizeof *jurisdictions);
    if (out->failed)
        return NULL;
    bailiwick__v1__hello__claims__init(pb);
    pb->site = codec_text(out, claims->site);
    pb->region = codec_text(out, claims->region);
    pb->country = codec_text(out, claims->country);
    if (!claims->has_operator)
        return pb;
    bailiwick__v1__operator__init(operator_);
    operator_->name = codec_text(out, claims->operator_name);
    operator_->jurisdictions = jurisdictions;
    operator_->n_jurisdictions = claims->jurisdiction_count;
    for (size_t i = 0; i < claims->jurisdiction_count; i++)
        jurisdictions[i] = codec_text(out, claims->jurisdictions[i]);
    pb->operator_ = operator_;
    return pb;
}

static Bailiwick__V1__Hello *put_hello(struct codec_out *out, const struct bw_hello *hello)
{
    Bailiwick__V1__Hello *pb = codec_alloc(out, 1, sizeof *pb);
    Bailiwick__V1__Hello__Resume *resume = codec_alloc(out, 1, sizeof *resume);
    const char **addresses = codec_alloc(out, hello->media_address_count, sizeof *addresses);
    const char **features = codec_alloc(out, hello->feature_count, sizeof *features);
    if (out->failed)
        return NULL;
    bailiwick__v1__hello__init(pb);
    pb->protocol_min = hello->protocol_min;
    pb->protocol_max = hello->protocol_max;
    pb->boot_id = codec_id(&hello->boot_id);
    pb->n_media_addresses = hello->media_address_count;
    pb->media_addresses = addresses;
    for (size_t i = 0; i < hello->media_address_count; i++)
        addresses[i] = codec_text(out, hello->media_addresses[i]);
    pb->peer_address = codec_text(out, hello->peer_address);
    pb->capacity = hello->capacity;
    pb->n_features = hello->feature_count;
    pb->features = features;
    for (size_t i = 0; i < hello->feature_count; i++)
        features[i] = codec_text(out, hello->features[i]);
    pb->last_session_epoch = hello->last_session_epoch;
    if (hello->has_resume) {
        bailiwick__v1__hello__resume__init(resume);
        resume->stream_id = codec_id(&hello->resume.stream_id);
        resume->applied_group = hello->resume.applied_group;
        resume->digest = codec_bytes(hello->resume.digest.bytes, sizeof hello->resume.digest.bytes);
        resume->count = hello->resume.count;
        pb->resume = resume;
    }
    pb->window_messages = hello->window_messages;
    pb->window_bytes = hello->window_bytes;
    pb->session_secret = codec_bytes(hello->session_secret.data, hello->session_secret.len);
    pb->software_version = codec_text(out, hello->software_version);
    pb->claims = put_claims(out, &hello->claims);
    return pb;
}

static Bailiwick__V1__Heartbeat *put_heartbeat(struct codec_out *out, const struct bw_heartbeat *heartbeat)
{
    Bailiwick__V1__Heartbeat *pb = codec_alloc(out, 1, sizeof *pb);
    Bailiwick__V1__Load *load = codec_alloc(out, 1, sizeof *load);
    if (out->failed)
        return NULL;
    bailiwick__v1__load__init(load);
    load->cpu_ppm = heartbeat->load.cpu_ppm;
    load->bits_per_second = heartbeat->load.bits_per_s;
    load->packets_per_second = heartbeat->load.packets_per_s;
    load->participants = heartbeat->load.participants;
    bailiwick__v1__heartbeat__init(pb);
    pb->number = heartbeat->number;
    pb->load = load;
    pb->applied_group = heartbeat->applied_group;
    pb->digest = codec_bytes(heartbeat->digest.bytes, sizeof heartbeat->digest.bytes);
    pb->count = heartbeat->count;
    pb->lease_left_ms = heartbeat->lease_left_ms;
    return pb;
}

static Bailiwick__V1__Nack *put_nack(struct codec_out *out, const struct bw_nack *nack)
{
    Bailiwick__V1__Nack *pb = codec_alloc(out, 1, sizeof *pb);
    Bailiwick__V1__Nack__Failure *failures = codec_alloc(out, nack->item_count, sizeof *failures);
    Bailiwick__V1__Nack__Failure **list = codec_alloc(out, nack->item_count, sizeof *list);
    if (out->failed)
        return NULL;
    bailiwick__v1__nack__init(pb);
    pb->nonce = nack->nonce;
    pb->applied_group = nack->applied_group;
    pb->n_failures = nack->item_count;
    pb->failures = list;
    for (size_t i = 0; i < nack->item_count; i++) {
        bailiwick__v1__nack__failure__init(&failures[i]);
        failures[i].id = nack->items[i].id.text;
        failures[i].version = nack->items[i].version;
        failures[i].code = (uint32_t)nack->items[i].code;
        failures[i].detail = codec_text(out, nack->items[i].detail);
        list[i] = &failures[i];
    }
    return pb;
}

static bool put_event(struct codec_out *out, const struct bw_relay_event *event,
                      Bailiwick__V1__Events__Event *pb)
{
    bailiwick__v1__events__event__init(pb);
    pb->id = event->id;
    pb->at_unix_ms = (int64_t)event->at_ms;
    switch (event->kind) {
    case BW_RELAY_EVENT_JOINED:
        if ((pb->joined = codec_alloc(out, 1, sizeof *pb->joined)) == NULL)
            return false;
        bailiwick__v1__events__joined__init(pb->joined);
        pb->what_case = BAILIWICK__V1__EVENTS__EVENT__WHAT_JOINED;
        pb->joined->meeting = codec_id(&event->meeting);
        pb->joined->slot = event->slot;
        pb->joined->roster_entry = codec_id(&event->roster_entry);
        pb->joined->provisional = event->provisional;
        return true;
    case BW_RELAY_EVENT_LEFT:
        if ((pb->left = codec_alloc(out, 1, sizeof *pb->left)) == NULL)
            return false;
        bailiwick__v1__events__left__init(pb->left);
        pb->what_case = BAILIWICK__V1__EVENTS__EVENT__WHAT_LEFT;
        pb->left->meeting = codec_id(&event->meeting);
        pb->left->slot = event->slot;
        pb->left->why = (Bailiwick__V1__Events__Left__Why)event->why;
        return true;
    case BW_RELAY_EVENT_PATH_FAILED:
        if ((pb->path_failed = codec_alloc(out, 1, sizeof *pb->path_failed)) == NULL)
            return false;
        bailiwick__v1__events__path_failed__init(pb->path_failed);
        pb->what_case = BAILIWICK__V1__EVENTS__EVENT__WHAT_PATH_FAILED;
        pb->path_failed->meeting = codec_id(&event->meeting);
        pb->path_failed->peer_number = event->peer_number;
        return true;
    case BW_RELAY_EVENT_OBSERVED:
        if ((pb->observed = codec_alloc(out, 1, sizeof *pb->observed)) == NULL)
            return false;
        bailiwick__v1__events__observed__init(pb->observed);
        pb->what_case = BAILIWICK__V1__EVENTS__EVENT__WHAT_OBSERVED;
        pb->observed->meeting = codec_id(&event->meeting);
        pb->observed->slot = event->slot;
        pb->observed->state = (Bailiwick__V1__ObservedE2ee__State)event->observed;
        pb->observed->mode_epoch = event->mode_epoch;
        return true;
    case BW_RELAY_EVENT_GRANT_REFUSED:
        if ((pb->grant_refused = codec_alloc(out, 1, sizeof *pb->grant_refused)) == NULL)
            return false;
        bailiwick__v1__events__grant_refused__init(pb->grant_refused);
        pb->what_case = BAILIWICK__V1__EVENTS__EVENT__WHAT_GRANT_REFUSED;
        if (event->has_meeting)
            pb->grant_refused->meeting = codec_id(&event->meeting);
        pb->grant_refused->slot = event->slot;
        pb->grant_refused->code = event->code;
        pb->grant_refused->times = event->times;
        return true;
    }
    return false;
}

static Bailiwick__V1__Events *put_events(struct codec_out *out, const struct bw_relay_event *events,
                                         size_t count)
{
    Bailiwick__V1__Events *pb = codec_alloc(out, 1, sizeof *pb);
    Bailiwick__V1__Events__Event *items = codec_alloc(out, count, sizeof *items);
    Bailiwick__V1__Events__Event **list = codec_alloc(out, count, sizeof *list);
    if (out->failed)
        return NULL;
    bailiwick__v1__events__init(pb);
    pb->n_events = count;
    pb->events = list;
    for (size_t i = 0; i < count; i++) {
        list[i] = &items[i];
        if (!put_event(out, &events[i], &items[i]))
            out->failed = true;
    }
    return pb;
}

static void put_body(struct codec_out *out, const struct bw_relay_message *message, pb_message *pb)
{
    switch (message->kind) {
    case BW_RELAY_HELLO:
        pb->body_case = BAILIWICK__V1__RELAY_MESSAGE__BODY_HELLO;
        pb->hello = put_hello(out, &message->hello);
        return;
    case BW_RELAY_HEARTBEAT:
        pb->body_case = BAILIWICK__V1__RELAY_MESSAGE__BODY_HEARTBEAT;
        pb->heartbeat = put_heartbeat(out, &message->heartbeat);
        return;
    case BW_RELAY_ACK:
        pb->body_case = BAILIWICK__V1__RELAY_MESSAGE__BODY_ACK;
        if ((pb->ack = codec_alloc(out, 1, sizeof *pb->ack)) == NULL)
            return;
        bailiwick__v1__ack__init(pb->ack);
        pb->ack->nonce = message->ack.nonce;
        pb->ack->applied_group = message->ack.applied_group;
        return;
    case BW_RELAY_NACK:
        pb->body_case = BAILIWICK__V1__RELAY_MESSAGE__BODY_NACK;
        pb->nack = put_nack(out, &message->nack);
        return;
    case BW_RELAY_PROBE:
        pb->body_case = BAILIWICK__V1__RELAY_MESSAGE__BODY_PROBE;
        if ((pb->probe = codec_alloc(out, 1, sizeof *pb->probe)) == NULL)
            return;
        bailiwick__v1__probe__init(pb->probe);
        pb->probe->peer_number = message->probe.peer_number;
        pb->probe->rtt_p50_us = message->probe.rtt_p50_us;
        pb->probe->rtt_p95_us = message->probe.rtt_p95_us;
        pb->probe->loss_ppm = message->probe.loss_ppm;
        pb->probe->samples = message->probe.samples;
        pb->probe->at_unix_ms = (int64_t)message->probe.at_ms;
        return;
    case BW_RELAY_EVENTS:
        pb->body_case = BAILIWICK__V1__RELAY_MESSAGE__BODY_EVENTS;
        pb->events = put_events(out, message->events.events, message->events.count);
        return;
    case BW_RELAY_DRAIN_REQUEST:
        pb->body_case = BAILIWICK__V1__RELAY_MESSAGE__BODY_DRAIN_REQUEST;
        if ((pb->drain_request = codec_alloc(out, 1, sizeof *pb->drain_request)) == NULL)
            return;
        bailiwick__v1__drain_request__init(pb->drain_request);
        pb->drain_request->reason = codec_text(out, message->leave.reason);
        pb->drain_request->deadline_ms = message->leave.ms;
        return;
    case BW_RELAY_BYE:
        pb->body_case = BAILIWICK__V1__RELAY_MESSAGE__BODY_BYE;
        if ((pb->bye = codec_alloc(out, 1, sizeof *pb->bye)) == NULL)
            return;
        bailiwick__v1__bye__init(pb->bye);
        pb->bye->reason = codec_text(out, message->leave.reason);
        pb->bye->back_in_ms = message->leave.ms;
        return;
    }
}

enum bw_code bw_relay_message_encode(const struct bw_relay_message *message, struct bw_arena *arena,
                                     struct bw_buf *out, struct bw_error *err)
{
    struct codec_out scratch = {.arena = arena};
    pb_message pb = BAILIWICK__V1__RELAY_MESSAGE__INIT;
    pb.session_epoch = message->epoch;
    put_body(&scratch, message, &pb);
    if (scratch.failed || bw_wire_encode(&pb.base, out) != BW_OK)
        return bw_fail_memory(err);
    return BW_OK;
}

/* ---- decoding ---- */

static void take_claims(const Bailiwick__V1__Hello__Claims *pb, struct bw_claims *claims)
{
    if (pb == NULL)
        return;
    claims->site = codec_view(pb->site);
    claims->region = codec_view(pb->region);
    claims->country = codec_view(pb->country);
    if (pb->operator_ == NULL)
        return;
    claims->has_operator = true;
    claims->operator_name = codec_view(pb->operator_->name);
    for (size_t i = 0; i < pb->operator_->n_jurisdictions && i < BW_CLAIM_JURISDICTIONS; i++)
        claims->jurisdictions[claims->jurisdiction_count++] = codec_view(pb->operator_->jurisdictions[i]);
}

static void take_hello(const Bailiwick__V1__Hello *pb, struct bw_hello *hello)
{
    hello->protocol_min = pb->protocol_min;
    hello->protocol_max = pb->protocol_max;
    hello->boot_id = codec_take_id(pb->boot_id);
    for (size_t i = 0; i < pb->n_media_addresses && i < BW_MEDIA_ADDRESSES; i++)
        hello->media_addresses[hello->media_address_count++] = codec_view(pb->media_addresses[i]);
    hello->peer_address = codec_view(pb->peer_address);
    hello->capacity = pb->capacity;
    for (size_t i = 0; i < pb->n_features && i < BW_FEATURES; i++)
        hello->features[hello->feature_count++] = codec_view(pb->features[i]);
    hello->last_session_epoch = pb->last_session_epoch;
    if (pb->resume != NULL) {
        hello->has_resume = true;
        hello->resume.stream_id = codec_take_id(pb->resume->stream_id);
        hello->resume.applied_group = pb->resume->applied_group;
        codec_take(pb->resume->digest, hello->resume.digest.bytes, sizeof hello->resume.digest.bytes);
        hello->resume.count = pb->resume->count;
    }
    hello->window_messages = pb->window_messages;
    hello->window_bytes = pb->window_bytes;
    hello->session_secret = bw_view_of(pb->session_secret.data, pb->session_secret.len);
    hello->software_version = codec_view(pb->software_version);
    take_claims(pb->claims, &hello->claims);
}

static void take_heartbeat(const Bailiwick__V1__Heartbeat *pb, struct bw_heartbeat *heartbeat)
{
    heartbeat->number = pb->number;
    if (pb->load != NULL)
        heartbeat->load = (struct bw_relay_load){.cpu_ppm = pb->load->cpu_ppm,
                                                 .bits_per_s = pb->load->bits_per_second,
                                                 .packets_per_s = pb->load->packets_per_second,
                                                 .participants = pb->load->participants};
    heartbeat->applied_group = pb->applied_group;
    codec_take(pb->digest, heartbeat->digest.bytes, sizeof heartbeat->digest.bytes);
    heartbeat->count = pb->count;
    heartbeat->lease_left_ms = pb->lease_left_ms;
}

static enum bw_code take_nack(const Bailiwick__V1__Nack *pb, struct bw_arena *arena, struct bw_nack *nack,
                              struct bw_error *err)
{
    struct bw_nack_item *items = bw_arena_zalloc(arena, pb->n_failures + 1, sizeof *items);
    if (items == NULL)
        return bw_fail_memory(err);
    for (size_t i = 0; i < pb->n_failures; i++) {
        struct bw_resource_name name;
        if (!codec_take_resource_id(pb->failures[i]->id, &items[i].id, &name))
            return bw_fail(err, BW_INVALID_ARGUMENT, NULL, "nack.failures[%zu].id: not a resource id", i);
        items[i].version = pb->failures[i]->version;
        items[i].code = (enum bw_code)pb->failures[i]->code;
        items[i].detail = codec_view(pb->failures[i]->detail);
    }
    *nack = (struct bw_nack){
        .nonce = pb->nonce, .applied_group = pb->applied_group, .items = items, .item_count = pb->n_failures};
    return BW_OK;
}

static enum bw_code take_event(const Bailiwick__V1__Events__Event *pb, struct bw_relay_event *event,
                               struct bw_error *err)
{
    event->id = pb->id;
    event->at_ms = (uint64_t)pb->at_unix_ms;
    switch (pb->what_case) {
    case BAILIWICK__V1__EVENTS__EVENT__WHAT_JOINED:
        event->kind = BW_RELAY_EVENT_JOINED;
        event->meeting = codec_take_id(pb->joined->meeting);
        event->slot = pb->joined->slot;
        event->roster_entry = codec_take_id(pb->joined->roster_entry);
        event->provisional = pb->joined->provisional;
        return BW_OK;
    case BAILIWICK__V1__EVENTS__EVENT__WHAT_LEFT:
        event->kind = BW_RELAY_EVENT_LEFT;
        event->meeting = codec_take_id(pb->left->meeting);
        event->slot = pb->left->slot;
        event->why = (enum bw_left_why)pb->left->why;
        return BW_OK;
    case BAILIWICK__V1__EVENTS__EVENT__WHAT_PATH_FAILED:
        event->kind = BW_RELAY_EVENT_PATH_FAILED;
        event->meeting = codec_take_id(pb->path_failed->meeting);
        event->peer_number = pb->path_failed->peer_number;
        return BW_OK;
    case BAILIWICK__V1__EVENTS__EVENT__WHAT_OBSERVED:
        event->kind = BW_RELAY_EVENT_OBSERVED;
        event->meeting = codec_take_id(pb->observed->meeting);
        event->slot = pb->observed->slot;
        event->observed = (enum bw_observed)pb->observed->state;
        event->mode_epoch = pb->observed->mode_epoch;
        return BW_OK;
    case BAILIWICK__V1__EVENTS__EVENT__WHAT_GRANT_REFUSED:
        event->kind = BW_RELAY_EVENT_GRANT_REFUSED;
        event->has_meeting = pb->grant_refused->meeting.len > 0;
        event->meeting = codec_take_id(pb->grant_refused->meeting);
        event->slot = pb->grant_refused->slot;
        snprintf(event->code, sizeof event->code, "%s", pb->grant_refused->code);
        event->times = pb->grant_refused->times;
        return BW_OK;
    default:
        return bw_fail(err, BW_INVALID_ARGUMENT, NULL, "events: an event that says nothing");
    }
}

static enum bw_code take_events(const Bailiwick__V1__Events *pb, struct bw_arena *arena,
                                struct bw_relay_message *message, struct bw_error *err)
{
    struct bw_relay_event *events = bw_arena_zalloc(arena, pb->n_events + 1, sizeof *events);
    if (events == NULL)
        return bw_fail_memory(err);
    for (size_t i = 0; i < pb->n_events; i++) {
        enum bw_code code = take_event(pb->events[i], &events[i], err);
        if (code != BW_OK)
            return code;
    }
    message->events.events = events;
    message->events.count = pb->n_events;
    return BW_OK;
}

enum bw_code bw_relay_message_decode(struct bw_view bytes, struct bw_arena *arena,
                                     struct bw_relay_message *message, struct bw_error *err)
{
    const ProtobufCMessage *decoded;
    enum bw_code code =
        bw_wire_decode(&bailiwick__v1__relay_message__descriptor, bytes, arena, &decoded, err);
    if (code != BW_OK)
        return code;
    const pb_message *pb = (const pb_message *)decoded;
    struct bw_relay_message m;
    memset(&m, 0, sizeof m);
    m.epoch = pb->session_epoch;
    switch (pb->body_case) {
    case BAILIWICK__V1__RELAY_MESSAGE__BODY_HELLO:
        m.kind = BW_RELAY_HELLO;
        take_hello(pb->hello, &m.hello);
        break;
    case BAILIWICK__V1__RELAY_MESSAGE__BODY_HEARTBEAT:
        m.kind = BW_RELAY_HEARTBEAT;
        take_heartbeat(pb->heartbeat, &m.heartbeat);
        break;
    case BAILIWICK__V1__RELAY_MESSAGE__BODY_ACK:
        m.kind = BW_RELAY_ACK;
        m.ack = (struct bw_ack){.nonce = pb->ack->nonce, .applied_group = pb->ack->applied_group};
        break;
    case BAILIWICK__V1__RELAY_MESSAGE__BODY_NACK:
        m.kind = BW_RELAY_NACK;
        code = take_nack(pb->nack, arena, &m.nack, err);
        break;
    case BAILIWICK__V1__RELAY_MESSAGE__BODY_PROBE:
        m.kind = BW_RELAY_PROBE;
        m.probe = (struct bw_probe_report){.peer_number = pb->probe->peer_number,
                                           .rtt_p50_us = pb->probe->rtt_p50_us,
                                           .rtt_p95_us = pb->probe->rtt_p95_us,
                                           .loss_ppm = pb->probe->loss_ppm,
                                           .samples = pb->probe->samples,
                                           .at_ms = (uint64_t)pb->probe->at_unix_ms};
        break;
    case BAILIWICK__V1__RELAY_MESSAGE__BODY_EVENTS:
        m.kind = BW_RELAY_EVENTS;
        code = take_events(pb->events, arena, &m, err);
        break;
    case BAILIWICK__V1__RELAY_MESSAGE__BODY_DRAIN_REQUEST:
        m.kind = BW_RELAY_DRAIN_REQUEST;
        m.leave.reason = codec_view(pb->drain_request->reason);
        m.leave.ms = pb->drain_request->deadline_ms;
        break;
    case BAILIWICK__V1__RELAY_MESSAGE__BODY_BYE:
        m.kind = BW_RELAY_BYE;
        m.leave.reason = codec_view(pb->bye->reason);
        m.leave.ms = pb->bye->back_in_ms;
        break;
    default:
        code = bw_fail(err, BW_INVALID_ARGUMENT, NULL, "a session message without a body");
        break;
    }
    if (code == BW_OK)
        *message = m;
    return code;
}

void bw_relay_message_wipe(struct bw_relay_message *message)
{
    if (message->kind == BW_RELAY_HELLO && message->hello.session_secret.len > 0)
        bw_wipe((uint8_t *)(uintptr_t)message->hello.session_secret.data, message->hello.session_secret.len);
}
