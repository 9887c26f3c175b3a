/* relay enroll: a relay of a Fleet file becomes known to the cell, with its certificate if one is wanted. */
#include <string.h>

#include "bailiwick/v1/fleet.pb-c.h"
#include "cli/credential.h"
#include "cli/options.h"
#include "cli/policy.h"
#include "cli/relay.h"
#include "cli/server.h"
#include "cli/verbs.h"

/* ---- facts to message ---- */

static const char *or_empty(const char *text)
{
    return text != NULL ? text : "";
}

/* Connector kinds of the message begin with `room` (4); the fleet's have an order of their own. */
static Bailiwick__V1__ParticipantKind kind_of(enum bw_connector connector)
{
    switch (connector) {
    case BW_CONNECTOR_PSTN:
        return BAILIWICK__V1__PARTICIPANT_KIND__PARTICIPANT_KIND_PSTN;
    case BW_CONNECTOR_SIP:
        return BAILIWICK__V1__PARTICIPANT_KIND__PARTICIPANT_KIND_SIP;
    case BW_CONNECTOR_H323:
        return BAILIWICK__V1__PARTICIPANT_KIND__PARTICIPANT_KIND_H323;
    case BW_CONNECTOR_ROOM:
        return BAILIWICK__V1__PARTICIPANT_KIND__PARTICIPANT_KIND_ROOM;
    case BW_CONNECTOR_RECORDING:
        return BAILIWICK__V1__PARTICIPANT_KIND__PARTICIPANT_KIND_RECORDING;
    case BW_CONNECTOR_LIVESTREAM:
        return BAILIWICK__V1__PARTICIPANT_KIND__PARTICIPANT_KIND_LIVESTREAM;
    case BW_CONNECTOR_TRANSCRIPTION:
        return BAILIWICK__V1__PARTICIPANT_KIND__PARTICIPANT_KIND_TRANSCRIPTION;
    case BW_CONNECTOR_APP:
        return BAILIWICK__V1__PARTICIPANT_KIND__PARTICIPANT_KIND_APP;
    case BW_CONNECTOR_COUNT:
        break;
    }
    return BAILIWICK__V1__PARTICIPANT_KIND__PARTICIPANT_KIND_UNSPECIFIED;
}

static bool fill_certifications(const struct bw_relay_facts *relay, struct bw_arena *arena,
                                Bailiwick__V1__RelayFacts *out)
{
    size_t n = relay->certification_count;
    Bailiwick__V1__Certification *items = bw_arena_zalloc(arena, n + 1, sizeof *items);
    out->certifications = bw_arena_zalloc(arena, n + 1, sizeof *out->certifications);
    if (items == NULL || out->certifications == NULL)
        return false;
    for (size_t i = 0; i < n; i++) {
        const struct bw_certification *from = &relay->certifications[i];
        bailiwick__v1__certification__init(&items[i]);
        items[i].name = from->name;
        items[i].expires_unix_ms = from->expires_ms == BW_NEVER_MS ? 0 : (int64_t)from->expires_ms;
        out->certifications[out->n_certifications++] = &items[i];
    }
    return true;
}

static bool fill_connectors(const struct bw_relay_facts *relay, struct bw_arena *arena,
                            Bailiwick__V1__RelayFacts *out)
{
    out->connectors = bw_arena_zalloc(arena, BW_CONNECTOR_COUNT, sizeof *out->connectors);
    if (out->connectors == NULL)
        return false;
    for (unsigned i = 0; i < BW_CONNECTOR_COUNT; i++)
        if (relay->connectors & BW_CONNECTOR_BIT(i))
            out->connectors[out->n_connectors++] = kind_of((enum bw_connector)i);
    return true;
}

bool bw_relay_facts_message(const struct bw_relay_facts *relay, uint32_t capacity, struct bw_arena *arena,
                            Bailiwick__V1__RelayFacts *out)
{
    Bailiwick__V1__Operator *operated_by = bw_arena_zalloc(arena, 1, sizeof *operated_by);
    if (operated_by == NULL)
        return false;
    bailiwick__v1__relay_facts__init(out);
    bailiwick__v1__operator__init(operated_by);
    operated_by->name = or_empty(relay->operated_by.name);
    /* The message's lists are not written to; its type only lacks the const. */
    operated_by->jurisdictions = (const char **)relay->operated_by.jurisdictions;
    operated_by->n_jurisdictions = relay->operated_by.jurisdiction_count;
    out->operator_ = operated_by;
    out->name = relay->name;
    out->site = or_empty(relay->site);
    out->region = or_empty(relay->region);
    out->country = or_empty(relay->place);
    out->capacity = capacity;
    out->version = relay->version;
    out->media = relay->media == BW_MEDIA_PLAINTEXT ? BAILIWICK__V1__RELAY_MEDIA__RELAY_MEDIA_PLAINTEXT
                                                    : BAILIWICK__V1__RELAY_MEDIA__RELAY_MEDIA_OPAQUE;
    out->cascade = relay->cascade;
    out->tenants = (const char **)relay->tenants;
    out->n_tenants = relay->tenant_count;
    out->far_leg = (Bailiwick__V1__FarLeg)relay->far_leg;
    out->stores = (const char **)relay->stores;
    out->n_stores = relay->store_count;
    return fill_certifications(relay, arena, out) && fill_connectors(relay, arena, out);
}

/* ---- the verb ---- */

static int choose_relay(struct bw_cli *cli, const struct bw_snapshot *snapshot, size_t *index)
{
    const char *name = bw_args_operand(cli->args, 0), *file = bw_args_text(cli->args, "file");
    *index = name != NULL ? bw_facts_find_relay(snapshot->facts, name) : 0;
    if (name != NULL && *index == SIZE_MAX)
        return bw_cli_say(cli, BW_EXIT_USAGE, "%s has no relay named '%.70s'", file, name);
    if (name == NULL && snapshot->relay_count != 1)
        return bw_cli_say(cli, BW_EXIT_USAGE,
                          "%s has %zu relays: say which, `bailiwick relay enroll NAME -f %s`", file,
                          snapshot->relay_count, file);
    return BW_EXIT_OK;
}

static int enroll(struct bw_cli *cli, Bailiwick__V1__EnrollRelayRequest *request,
                  const struct bw_credential *credential)
{
    const ProtobufCMessage *message = NULL;
    int result = bw_server_call(cli, BW_METHOD(FleetService, EnrollRelay), &request->base,
                                &bailiwick__v1__enroll_relay_response__descriptor, &message);
    if (result != BW_EXIT_OK)
        return result;
    const Bailiwick__V1__EnrollRelayResponse *answer = (const void *)message;
    bool wanted = credential->csr_der.len > 0;
    if (wanted && (!bw_output_is_tree(cli) || credential->certificate_path != NULL))
        result = bw_credential_store(cli, credential, answer->certificate_pem);
    json_t *tree = result == BW_EXIT_OK ? bw_message_tree(message) : NULL;
    /* A certificate on stdout is not to be mixed with a table. */
    bool printed = wanted && !bw_output_is_tree(cli) && credential->certificate_path == NULL;
    if (tree != NULL && !printed)
        result = bw_show(cli, tree, &bw_relay_view);
    if (result == BW_EXIT_OK && !answer->changed)
        bw_cli_note(cli, "these facts were enrolled already");
    json_decref(tree);
    return result;
}

static int with_fleet(struct bw_cli *cli, const struct bw_snapshot *snapshot, const char *request_id)
{
    size_t index;
    int result = choose_relay(cli, snapshot, &index);
    if (result != BW_EXIT_OK)
        return result;
    const struct bw_relay_facts *relay = &snapshot->facts->relays[index];
    Bailiwick__V1__RelayFacts facts;
    if (!bw_relay_facts_message(relay, snapshot->live[index].capacity, cli->arena, &facts))
        return bw_cli_memory(cli);
    Bailiwick__V1__EnrollRelayRequest request = BAILIWICK__V1__ENROLL_RELAY_REQUEST__INIT;
    request.request_id = request_id;
    request.facts = &facts;
    request.certificate_days = (uint32_t)bw_args_number(cli->args, "days", 0);
    struct bw_credential credential;
    result = bw_credential_prepare(cli, relay->name, &credential);
    if (result == BW_EXIT_OK && credential.key_path != NULL && credential.certificate_path == NULL)
        result = bw_cli_say(cli, BW_EXIT_USAGE, "--new-key wants --out OUT.crt beside it");
    request.csr_der = (ProtobufCBinaryData){credential.csr_der.len, (uint8_t *)credential.csr_der.data};
    if (result == BW_EXIT_OK)
        result = enroll(cli, &request, &credential);
    bw_credential_finish(&credential);
    return result;
}

static int relay_enroll(struct bw_cli *cli)
{
    const char *request_id = bw_cli_request_id(cli);
    if (request_id == NULL)
        return BW_EXIT_USAGE;
    struct bw_snapshot *snapshot = NULL;
    int result = bw_fleet_read(cli, bw_args_text(cli->args, "file"), &snapshot);
    if (result == BW_EXIT_OK)
        result = with_fleet(cli, snapshot, request_id);
    bw_snapshot_release(snapshot);
    return result;
}

static const struct bw_operand operands[] = {
    {.name = "NAME", .required = false, .help = "which relay of the file, when it has several"}};
static const struct bw_option option_rows[] = {
    {.name = "file",
     .letter = 'f',
     .type = BW_OPTION_FILE,
     .flags = BW_OPTION_REQUIRED,
     .value = "FILE|-",
     .help = "a document of kind Fleet with the relay in it"},
    BW_CREDENTIAL_OPTIONS,
    BW_REQUEST_ID_OPTION,
};

const struct bw_verb bw_verb_relay_enroll = {
    .noun = "relay",
    .name = "enroll",
    .summary = "make a relay known, with its facts, or replace them",
    .about =
        "The facts are those that policies decide on: where it stands, who operates it under whose law,\n"
        "what it is certified for. With --new-key or --csr the cell also signs its certificate.",
    .example = "bailiwick relay enroll par1 -f fleet.yaml --new-key par1.key --out par1.crt",
    BW_OPTIONS(option_rows),
    BW_OPERANDS(operands),
    .run = relay_enroll,
};
