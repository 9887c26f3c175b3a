/* relay list, show, cordon, uncordon, drain, remove. */
#include "cli/relay.h"

#include <inttypes.h>
#include <time.h>
#include <unistd.h>

#include "bailiwick/v1/fleet.pb-c.h"
#include "cli/options.h"
#include "cli/server.h"
#include "cli/verbs.h"
#include "runtime/clock.h"

static const struct bw_column columns[] = {
    {"NAME", "facts.name", BW_CELL_TEXT, NULL, false},
    {"NUMBER", "number", BW_CELL_TEXT, NULL, true},
    {"STATE", "state", BW_CELL_ENUM, "RELAY_STATE_", false},
    {"COUNTRY", "facts.country", BW_CELL_TEXT, NULL, false},
    {"SITE", "facts.site", BW_CELL_TEXT, NULL, false},
    {"REGION", "facts.region", BW_CELL_TEXT, NULL, true},
    {"OPERATOR", "facts.operator.name", BW_CELL_TEXT, NULL, false},
    {"UNDER", "facts.operator.jurisdictions", BW_CELL_LIST, NULL, false},
    {"CERTIFIED", "facts.certifications", BW_CELL_LIST, NULL, true},
    {"MEETINGS", "meetings", BW_CELL_TEXT, NULL, false},
    {"PARTICIPANTS", "participants", BW_CELL_TEXT, NULL, false},
    {"CAPACITY", "facts.capacity", BW_CELL_TEXT, NULL, false},
    {"MEDIA", "facts.media", BW_CELL_ENUM, "RELAY_MEDIA_", true},
    {"CONNECTORS", "facts.connectors", BW_CELL_LIST, "PARTICIPANT_KIND_", true},
    {"TENANTS", "facts.tenants", BW_CELL_LIST, NULL, true},
    {"HEARTBEAT", "lastHeartbeatUnixMs", BW_CELL_TIME, NULL, true},
    {"LAG", "lagGroups", BW_CELL_TEXT, NULL, true},
    {"ADDRESS", "mediaAddress", BW_CELL_TEXT, NULL, true},
    {"SOFTWARE", "softwareVersion", BW_CELL_TEXT, NULL, true},
    {"REASON", "stateReason", BW_CELL_TEXT, NULL, true},
    {"DRAIN UNTIL", "drainDeadlineUnixMs", BW_CELL_TIME, NULL, true},
    {"ATTESTED BY", "attestedBy", BW_CELL_TEXT, NULL, true},
    {"SPIFFE ID", "spiffeId", BW_CELL_TEXT, NULL, true},
};
enum { COLUMNS = sizeof columns / sizeof columns[0] };

const struct bw_view_table bw_relay_view = {
    .object = "relay", .name = "facts.name", .columns = columns, .count = COLUMNS};

static const char *given_or_empty(struct bw_cli *cli, const char *option)
{
    const char *text = bw_args_text(cli->args, option);
    return text != NULL ? text : "";
}

static int ask_and_show(struct bw_cli *cli, const char *path, const ProtobufCMessage *request,
                        const ProtobufCMessageDescriptor *answer)
{
    json_t *tree = NULL;
    int result = bw_server_ask(cli, path, request, answer, &tree);
    if (result == BW_EXIT_OK)
        result = bw_show(cli, tree, &bw_relay_view);
    json_decref(tree);
    return result;
}

/* ---- list and show ---- */

static const char *const state_names[] = {"serving", "draining",   "cordoned", "suspect",
                                          "dead",    "never-seen", NULL};

static int relay_list(struct bw_cli *cli)
{
    static const struct bw_view_table view = {
        .list = "relays", .name = "facts.name", .columns = columns, .count = COLUMNS};
    Bailiwick__V1__ListRelaysRequest request = BAILIWICK__V1__LIST_RELAYS_REQUEST__INIT;
    if (bw_args_given(cli->args, "state"))
        request.state = (Bailiwick__V1__RelayState)(bw_args_choice(cli->args, "state", 0) + 1);
    request.region = given_or_empty(cli, "region");
    request.site = given_or_empty(cli, "site");
    json_t *tree = NULL;
    int result = bw_server_list(cli, BW_METHOD(FleetService, ListRelays), &request.base, &request.page_size,
                                &request.page_token, &bailiwick__v1__list_relays_response__descriptor,
                                "relays", &tree);
    if (result == BW_EXIT_OK)
        result = bw_show(cli, tree, &view);
    json_decref(tree);
    return result;
}

static const struct bw_option list_rows[] = {
    {.name = "state",
     .type = BW_OPTION_CHOICE,
     .value = "STATE",
     .choices = state_names,
     .help = "only those (default: all)"},
    {.name = "region", .type = BW_OPTION_TEXT, .value = "NAME", .help = "only of this region"},
    {.name = "site", .type = BW_OPTION_TEXT, .value = "NAME", .help = "only at this site"},
    BW_LIMIT_OPTION,
};

const struct bw_verb bw_verb_relay_list = {
    .noun = "relay",
    .name = "list",
    .summary = "the relays of this cell, by name",
    .example = "bailiwick relay list --state serving -o wide",
    BW_OPTIONS(list_rows),
    .run = relay_list,
};

static const struct bw_operand relay_operands[] = {
    {.name = "RELAY", .required = true, .help = "the relay's name"}};

static int relay_show(struct bw_cli *cli)
{
    Bailiwick__V1__GetRelayRequest request = BAILIWICK__V1__GET_RELAY_REQUEST__INIT;
    request.name = bw_args_operand(cli->args, 0);
    return ask_and_show(cli, BW_METHOD(FleetService, GetRelay), &request.base,
                        &bailiwick__v1__get_relay_response__descriptor);
}

const struct bw_verb bw_verb_relay_show = {
    .noun = "relay",
    .name = "show",
    .summary = "one relay: its facts, its state, its load",
    .example = "bailiwick relay show par1",
    BW_OPERANDS(relay_operands),
    .run = relay_show,
};

/* ---- cordon and uncordon ---- */

static int relay_cordon(struct bw_cli *cli)
{
    Bailiwick__V1__CordonRelayRequest request = BAILIWICK__V1__CORDON_RELAY_REQUEST__INIT;
    request.request_id = bw_cli_request_id(cli);
    if (request.request_id == NULL)
        return BW_EXIT_USAGE;
    request.name = bw_args_operand(cli->args, 0);
    request.reason = given_or_empty(cli, "reason");
    return ask_and_show(cli, BW_METHOD(FleetService, CordonRelay), &request.base,
                        &bailiwick__v1__cordon_relay_response__descriptor);
}

#define REASON_OPTION                                                                                        \
    {                                                                                                        \
        .name = "reason", .type = BW_OPTION_TEXT, .value = "TEXT", .help = "why; shown to whoever looks"     \
    }
static const struct bw_option cordon_rows[] = {REASON_OPTION, BW_REQUEST_ID_OPTION};

const struct bw_verb bw_verb_relay_cordon = {
    .noun = "relay",
    .name = "cordon",
    .summary = "no new joins on a relay; the meetings it carries stay",
    .example = "bailiwick relay cordon par1 --reason 'fan replaced at 14:00'",
    BW_OPTIONS(cordon_rows),
    BW_OPERANDS(relay_operands),
    .run = relay_cordon,
};

static int relay_uncordon(struct bw_cli *cli)
{
    Bailiwick__V1__UncordonRelayRequest request = BAILIWICK__V1__UNCORDON_RELAY_REQUEST__INIT;
    request.request_id = bw_cli_request_id(cli);
    if (request.request_id == NULL)
        return BW_EXIT_USAGE;
    request.name = bw_args_operand(cli->args, 0);
    return ask_and_show(cli, BW_METHOD(FleetService, UncordonRelay), &request.base,
                        &bailiwick__v1__uncordon_relay_response__descriptor);
}

static const struct bw_option uncordon_rows[] = {BW_REQUEST_ID_OPTION};

const struct bw_verb bw_verb_relay_uncordon = {
    .noun = "relay",
    .name = "uncordon",
    .summary = "end a cordon or a drain",
    .example = "bailiwick relay uncordon par1",
    BW_OPTIONS(uncordon_rows),
    BW_OPERANDS(relay_operands),
    .run = relay_uncordon,
};

/* ---- drain ---- */

enum { POLL_MS = 500, GRACE_MS = 15000 };

static void progress(struct bw_cli *cli, const Bailiwick__V1__Relay *relay, bool last)
{
    if (isatty(fileno(cli->err)))
        fprintf(cli->err, "\r%s: %" PRIu32 " meetings, %" PRIu32 " participants left \033[K%s",
                relay->facts->name, relay->meetings, relay->participants, last ? "\n" : "");
}

/* Until nothing is left on it. The deadline is the cell's word; a little longer is ours. */
static int wait_empty(struct bw_cli *cli, const char *name, json_t **tree)
{
    Bailiwick__V1__GetRelayRequest request = BAILIWICK__V1__GET_RELAY_REQUEST__INIT;
    request.name = name;
    for (;;) {
        const ProtobufCMessage *message = NULL;
        int result = bw_server_call(cli, BW_METHOD(FleetService, GetRelay), &request.base,
                                    &bailiwick__v1__get_relay_response__descriptor, &message);
        if (result != BW_EXIT_OK)
            return result;
        const Bailiwick__V1__Relay *relay =
            ((const Bailiwick__V1__GetRelayResponse *)(const void *)message)->relay;
        bool empty = relay->meetings == 0 && relay->participants == 0;
        bool draining = relay->state == BAILIWICK__V1__RELAY_STATE__RELAY_STATE_DRAINING;
        progress(cli, relay, empty);
        if (empty) {
            *tree = bw_message_tree(message);
            return *tree != NULL ? BW_EXIT_OK : bw_cli_memory(cli);
        }
        if (!draining && relay->drain_deadline_unix_ms == 0)
            return bw_cli_say(cli, BW_EXIT_CONFLICT, "the drain of %s was ended while we waited", name);
        if (relay->drain_deadline_unix_ms != 0 &&
            bw_clock_wall_ms() > (uint64_t)relay->drain_deadline_unix_ms + GRACE_MS)
            return bw_cli_say(cli, BW_EXIT_UNAVAILABLE,
                              "%s still carries %u meetings after its deadline; `bailiwick relay show %s`",
                              name, relay->meetings, name);
        nanosleep(&(struct timespec){.tv_nsec = POLL_MS * 1000000L}, NULL);
    }
}

static int relay_drain(struct bw_cli *cli)
{
    Bailiwick__V1__DrainRelayRequest request = BAILIWICK__V1__DRAIN_RELAY_REQUEST__INIT;
    request.request_id = bw_cli_request_id(cli);
    if (request.request_id == NULL)
        return BW_EXIT_USAGE;
    request.name = bw_args_operand(cli->args, 0);
    request.reason = given_or_empty(cli, "reason");
    request.deadline_ms = (uint32_t)bw_args_number(cli->args, "deadline", 0);
    json_t *tree = NULL;
    int result = bw_server_ask(cli, BW_METHOD(FleetService, DrainRelay), &request.base,
                               &bailiwick__v1__drain_relay_response__descriptor, &tree);
    if (result == BW_EXIT_OK && bw_args_given(cli->args, "wait")) {
        json_decref(tree);
        tree = NULL;
        result = wait_empty(cli, request.name, &tree);
    }
    if (result == BW_EXIT_OK)
        result = bw_show(cli, tree, &bw_relay_view);
    json_decref(tree);
    return result;
}

static const struct bw_option drain_rows[] = {
    REASON_OPTION,
    {.name = "deadline",
     .type = BW_OPTION_DURATION,
     .value = "DURATION",
     .max = 86400000,
     .help = "what is still there then is cut off (default: the cell's)"},
    {.name = "wait", .type = BW_OPTION_FLAG, .help = "return when nothing is left on it"},
    BW_REQUEST_ID_OPTION,
};

const struct bw_verb bw_verb_relay_drain = {
    .noun = "relay",
    .name = "drain",
    .summary = "no new joins, and move its meetings away",
    .about = "Exit status 7 when something is left after the deadline.",
    .example = "bailiwick relay drain par1 --deadline 5m --wait",
    BW_OPTIONS(drain_rows),
    BW_OPERANDS(relay_operands),
    .run = relay_drain,
};

/* ---- remove ---- */

static int relay_remove(struct bw_cli *cli)
{
    static const struct bw_column removed[] = {
        {"FACTS REVISION", "factsRevision", BW_CELL_TEXT, NULL, false}};
    static const struct bw_view_table view = {.name = "factsRevision", .columns = removed, .count = 1};
    Bailiwick__V1__RemoveRelayRequest request = BAILIWICK__V1__REMOVE_RELAY_REQUEST__INIT;
    request.request_id = bw_cli_request_id(cli);
    if (request.request_id == NULL)
        return BW_EXIT_USAGE;
    request.name = bw_args_operand(cli->args, 0);
    request.force = bw_args_given(cli->args, "force");
    json_t *tree = NULL;
    int result = bw_server_ask(cli, BW_METHOD(FleetService, RemoveRelay), &request.base,
                               &bailiwick__v1__remove_relay_response__descriptor, &tree);
    if (result == BW_EXIT_OK)
        result = bw_show(cli, tree, &view);
    json_decref(tree);
    return result;
}

static const struct bw_option remove_rows[] = {
    {.name = "force",
     .type = BW_OPTION_FLAG,
     .help = "even though it carries meetings: they are placed anew"},
    BW_REQUEST_ID_OPTION,
};

const struct bw_verb bw_verb_relay_remove = {
    .noun = "relay",
    .name = "remove",
    .summary = "forget a relay; refused while it carries meetings",
    .example = "bailiwick relay remove par1",
    BW_OPTIONS(remove_rows),
    BW_OPERANDS(relay_operands),
    .run = relay_remove,
};
