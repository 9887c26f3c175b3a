/* meeting join, leave, renew, invite, remove, mode: who is in it, and how. */
#include <string.h>

#include "bailiwick/v1/meeting.pb-c.h"
#include "cli/meeting.h"
#include "cli/options.h"
#include "cli/server.h"
#include "cli/verbs.h"
#include "e2ee/flags.h"

static const char *given_or_empty(struct bw_cli *cli, const char *option)
{
    const char *text = bw_args_text(cli->args, option);
    return text != NULL ? text : "";
}

static int ask_and_show(struct bw_cli *cli, const char *path, const ProtobufCMessage *request,
                        const ProtobufCMessageDescriptor *answer, const struct bw_view_table *view)
{
    json_t *tree = NULL;
    int result = bw_server_ask(cli, path, request, answer, &tree);
    if (result == BW_EXIT_OK)
        result = bw_show(cli, tree, view);
    json_decref(tree);
    return result;
}

/* What every request here begins with; false when something is missing (said). */
static bool common(struct bw_cli *cli, const char **tenant, const char **meeting, const char **request_id)
{
    *request_id = bw_cli_request_id(cli);
    *tenant = *request_id != NULL ? bw_cli_tenant(cli) : NULL;
    *meeting = bw_args_operand(cli->args, 0);
    return *tenant != NULL;
}

/* ---- join ---- */

/* "none" alone is for an endpoint that can do nothing; without the option, what the kind can do. */
static int fill_capable(struct bw_cli *cli, Bailiwick__V1__JoinMeetingRequest *request)
{
    const char **given;
    size_t count;
    Bailiwick__V1__E2eeScheme *schemes = bw_arena_zalloc(cli->arena, 64, sizeof *schemes);
    if (schemes == NULL || !bw_args_list(cli->args, "capable", cli->arena, &count, &given))
        return bw_cli_memory(cli);
    request->capable = schemes;
    uint32_t mask = bw_endpoint_schemes((enum bw_endpoint)request->kind, NULL);
    if (count > 0)
        mask = 0;
    for (size_t i = 0; i < count; i++) {
        if (strcmp(given[i], "none") == 0 && count > 1)
            return bw_cli_say(cli, BW_EXIT_USAGE, "--capable none stands alone");
        if (strcmp(given[i], "none") != 0)
            mask |= UINT32_C(1) << bw_scheme_parse(bw_view_str(given[i]));
    }
    for (unsigned scheme = 1; scheme < BW_SCHEME_COUNT; scheme++)
        if (mask & (UINT32_C(1) << scheme))
            schemes[request->n_capable++] = (Bailiwick__V1__E2eeScheme)scheme;
    return BW_EXIT_OK;
}

static const char *const role_names[] = {"speaker", "listener", NULL};

static int meeting_join(struct bw_cli *cli)
{
    Bailiwick__V1__JoinMeetingRequest request = BAILIWICK__V1__JOIN_MEETING_REQUEST__INIT;
    if (!common(cli, &request.tenant, &request.meeting_id, &request.request_id))
        return BW_EXIT_USAGE;
    const char **groups;
    if (!bw_args_list(cli->args, "group", cli->arena, &request.n_groups, &groups))
        return bw_cli_memory(cli);
    request.groups = groups;
    request.user = given_or_empty(cli, "user");
    request.kind = (Bailiwick__V1__ParticipantKind)(bw_args_choice(cli->args, "kind", 0) + 1);
    request.country = given_or_empty(cli, "country");
    request.region = given_or_empty(cli, "region");
    request.client_address = given_or_empty(cli, "address");
    request.client_version = given_or_empty(cli, "client-version");
    request.home_tenant = given_or_empty(cli, "home-tenant");
    request.role = (Bailiwick__V1__ParticipantRole)(bw_args_choice(cli->args, "role", 0) + 1);
    int result = fill_capable(cli, &request);
    if (result != BW_EXIT_OK)
        return result;
    return ask_and_show(cli, BW_METHOD(MeetingService, JoinMeeting), &request.base,
                        &bailiwick__v1__join_meeting_response__descriptor, &bw_admission_view);
}

static const char *const capable_names[] = {"sframe-mls", "sframe", "insertable-streams", "none", NULL};
static const struct bw_operand meeting_operands[] = {BW_MEETING_OPERAND};
static const struct bw_option join_rows[] = {
    BW_TENANT_OPTION,
    {.name = "user",
     .type = BW_OPTION_TEXT,
     .value = "USER",
     .help = "who joins, as localpart@domain; matches policy groups, and is stored only sealed"},
    {.name = "group", .type = BW_OPTION_LIST, .value = "NAME", .help = "a group they are in"},
    {.name = "kind",
     .type = BW_OPTION_CHOICE,
     .value = "KIND",
     .choices = bw_kind_names,
     .help = "what the endpoint is (default native)"},
    {.name = "country", .type = BW_OPTION_TEXT, .value = "CODE", .help = "where they are: FR, FR-75"},
    {.name = "region", .type = BW_OPTION_TEXT, .value = "NAME", .help = "or the region of the network"},
    {.name = "address",
     .type = BW_OPTION_TEXT,
     .value = "IP",
     .help = "or their address; resolved to a country, and stored only sealed"},
    {.name = "client-version",
     .type = BW_OPTION_TEXT,
     .value = "TEXT",
     .help = "what they run, such as web/4.2; stored only sealed"},
    {.name = "capable",
     .type = BW_OPTION_LIST,
     .value = "SCHEME",
     .choices = capable_names,
     .help = "end-to-end encryption it can do (default: what the kind can)"},
    {.name = "role",
     .type = BW_OPTION_CHOICE,
     .value = "ROLE",
     .choices = role_names,
     .help = "default speaker"},
    {.name = "home-tenant", .type = BW_OPTION_TEXT, .value = "NAME", .help = "a guest's own tenant"},
    BW_REQUEST_ID_OPTION,
};

const struct bw_verb bw_verb_meeting_join = {
    .noun = "meeting",
    .name = "join",
    .summary = "place a participant and get the grant for its relay",
    .about = "Exit status 8 when the policy refuses: the reasons of every relay, the nearest miss, and a\n"
             "reference to quote are shown. The JSON is what an endpoint needs to connect.",
    .example = "bailiwick meeting join 0192f3a0-7c41-7a60-9d3e-6b1f2a3c4d5e --country FR --kind web -o json",
    BW_OPTIONS(join_rows),
    BW_OPERANDS(meeting_operands),
    .run = meeting_join,
};

/* ---- leave ---- */

static const struct bw_column after_columns[] = {
    {"MODE", "mode", BW_CELL_ENUM, "E2EE_MODE_", false},
    {"MODE EPOCH", "modeEpoch", BW_CELL_TEXT, NULL, false},
    {"PARTICIPANTS", "participants", BW_CELL_TEXT, NULL, false},
};
static const struct bw_view_table after_leave = {.name = "mode", .columns = after_columns, .count = 3};
static const struct bw_view_table after_remove = {.name = "mode", .columns = after_columns, .count = 2};
static const char *const leave_names[] = {"left", "removed", "connection-lost", NULL};

static int meeting_leave(struct bw_cli *cli)
{
    Bailiwick__V1__LeaveMeetingRequest request = BAILIWICK__V1__LEAVE_MEETING_REQUEST__INIT;
    if (!common(cli, &request.tenant, &request.meeting_id, &request.request_id))
        return BW_EXIT_USAGE;
    request.roster_entry = bw_args_operand(cli->args, 1);
    request.reason = (Bailiwick__V1__LeaveReason)(bw_args_choice(cli->args, "reason", 0) + 1);
    return ask_and_show(cli, BW_METHOD(MeetingService, LeaveMeeting), &request.base,
                        &bailiwick__v1__leave_meeting_response__descriptor, &after_leave);
}

static const struct bw_operand entry_operands[] = {BW_MEETING_OPERAND, BW_ENTRY_OPERAND};
static const struct bw_option leave_rows[] = {
    BW_TENANT_OPTION,
    {.name = "reason",
     .type = BW_OPTION_CHOICE,
     .value = "REASON",
     .choices = leave_names,
     .help = "why (default left)"},
    BW_REQUEST_ID_OPTION,
};

const struct bw_verb bw_verb_meeting_leave = {
    .noun = "meeting",
    .name = "leave",
    .summary = "take a participant off the roster",
    .example = "bailiwick meeting leave 0192f3a0-7c41-7a60-9d3e-6b1f2a3c4d5e 5f0c…",
    BW_OPTIONS(leave_rows),
    BW_OPERANDS(entry_operands),
    .run = meeting_leave,
};

/* ---- renew ---- */

static int meeting_renew(struct bw_cli *cli)
{
    Bailiwick__V1__RenewGrantRequest request = BAILIWICK__V1__RENEW_GRANT_REQUEST__INIT;
    if (!common(cli, &request.tenant, &request.meeting_id, &request.request_id))
        return BW_EXIT_USAGE;
    request.roster_entry = bw_args_operand(cli->args, 1);
    return ask_and_show(cli, BW_METHOD(MeetingService, RenewGrant), &request.base,
                        &bailiwick__v1__renew_grant_response__descriptor, &bw_admission_view);
}

static const struct bw_option plain_rows[] = {BW_TENANT_OPTION, BW_REQUEST_ID_OPTION};

const struct bw_verb bw_verb_meeting_renew = {
    .noun = "meeting",
    .name = "renew",
    .summary = "a fresh grant for a participant, also after it was moved to another relay",
    .example = "bailiwick meeting renew 0192f3a0-7c41-7a60-9d3e-6b1f2a3c4d5e 5f0c… -o json",
    BW_OPTIONS(plain_rows),
    BW_OPERANDS(entry_operands),
    .run = meeting_renew,
};

/* ---- invite and remove ---- */

/* The connectors among the kinds, which begin with `room`. */
static const char *const connector_names[] = {"room",       "pstn",          "sip", "h323", "recording",
                                              "livestream", "transcription", "app", NULL};

static int meeting_invite(struct bw_cli *cli)
{
    Bailiwick__V1__InviteConnectorRequest request = BAILIWICK__V1__INVITE_CONNECTOR_REQUEST__INIT;
    if (!common(cli, &request.tenant, &request.meeting_id, &request.request_id))
        return BW_EXIT_USAGE;
    request.kind = (Bailiwick__V1__ParticipantKind)(bw_args_choice(cli->args, "kind", 0) +
                                                    BAILIWICK__V1__PARTICIPANT_KIND__PARTICIPANT_KIND_ROOM);
    request.relay = given_or_empty(cli, "relay");
    request.country = given_or_empty(cli, "country");
    request.region = given_or_empty(cli, "region");
    return ask_and_show(cli, BW_METHOD(MeetingService, InviteConnector), &request.base,
                        &bailiwick__v1__invite_connector_response__descriptor, &bw_admission_view);
}

static const struct bw_option invite_rows[] = {
    BW_TENANT_OPTION,
    {.name = "kind",
     .type = BW_OPTION_CHOICE,
     .flags = BW_OPTION_REQUIRED,
     .value = "KIND",
     .choices = connector_names,
     .help = "what is invited"},
    {.name = "relay", .type = BW_OPTION_TEXT, .value = "NAME", .help = "through this relay's connector"},
    {.name = "country", .type = BW_OPTION_TEXT, .value = "CODE", .help = "where the far end is"},
    {.name = "region", .type = BW_OPTION_TEXT, .value = "NAME", .help = "or its region of the network"},
    BW_REQUEST_ID_OPTION,
};

const struct bw_verb bw_verb_meeting_invite = {
    .noun = "meeting",
    .name = "invite",
    .summary = "put a connector on the roster: a phone gateway, a recorder, a room",
    .about = "Exit status 8 when policy or mode refuse it, with the reasons.",
    .example = "bailiwick meeting invite 0192f3a0-7c41-7a60-9d3e-6b1f2a3c4d5e --kind pstn --country FR",
    BW_OPTIONS(invite_rows),
    BW_OPERANDS(meeting_operands),
    .run = meeting_invite,
};

static int meeting_remove(struct bw_cli *cli)
{
    Bailiwick__V1__RemoveConnectorRequest request = BAILIWICK__V1__REMOVE_CONNECTOR_REQUEST__INIT;
    if (!common(cli, &request.tenant, &request.meeting_id, &request.request_id))
        return BW_EXIT_USAGE;
    request.roster_entry = bw_args_operand(cli->args, 1);
    return ask_and_show(cli, BW_METHOD(MeetingService, RemoveConnector), &request.base,
                        &bailiwick__v1__remove_connector_response__descriptor, &after_remove);
}

const struct bw_verb bw_verb_meeting_remove = {
    .noun = "meeting",
    .name = "remove",
    .summary = "take a connector off the roster",
    .example = "bailiwick meeting remove 0192f3a0-7c41-7a60-9d3e-6b1f2a3c4d5e 5f0c…",
    BW_OPTIONS(plain_rows),
    BW_OPERANDS(entry_operands),
    .run = meeting_remove,
};

/* ---- mode ---- */

static const char *const action_names[] = {"lower", "consent", "raise", NULL};

static int meeting_mode(struct bw_cli *cli)
{
    static const struct bw_column columns[] = {
        {"MODE", "mode", BW_CELL_ENUM, "E2EE_MODE_", false},
        {"MODE EPOCH", "modeEpoch", BW_CELL_TEXT, NULL, false},
        {"PENDING EPOCH", "pendingModeEpoch", BW_CELL_TEXT, NULL, false},
        {"CONSENTS MISSING", "consentsMissing", BW_CELL_TEXT, NULL, false},
    };
    static const struct bw_view_table view = {.name = "mode", .columns = columns, .count = 4};
    Bailiwick__V1__ChangeModeRequest request = BAILIWICK__V1__CHANGE_MODE_REQUEST__INIT;
    if (!common(cli, &request.tenant, &request.meeting_id, &request.request_id))
        return BW_EXIT_USAGE;
    const char *action = bw_args_operand(cli->args, 1);
    for (unsigned i = 0; action_names[i] != NULL; i++)
        if (strcmp(action_names[i], action) == 0)
            request.action = (Bailiwick__V1__ChangeModeRequest__Action)(i + 1);
    request.roster_entry = given_or_empty(cli, "entry");
    request.mode_epoch = (uint32_t)bw_args_number(cli->args, "epoch", 0);
    if (strcmp(action, "consent") == 0 && (request.roster_entry[0] == '\0' || request.mode_epoch == 0))
        return bw_cli_say(cli, BW_EXIT_USAGE,
                          "a consent wants --entry ENTRY (whose) and --epoch N (to which announcement)");
    return ask_and_show(cli, BW_METHOD(MeetingService, ChangeMode), &request.base,
                        &bailiwick__v1__change_mode_response__descriptor, &view);
}

static const struct bw_operand mode_operands[] = {
    BW_MEETING_OPERAND,
    {.name = "ACTION", .required = true, .choices = action_names, .help = "what is wanted"},
};
static const struct bw_option mode_rows[] = {
    BW_TENANT_OPTION,
    {.name = "entry",
     .type = BW_OPTION_TEXT,
     .value = "ENTRY",
     .help = "who asks or consents (default: the application, for the organiser)"},
    {.name = "epoch",
     .type = BW_OPTION_UINT,
     .value = "N",
     .help = "for a consent: the mode epoch that was announced"},
    BW_REQUEST_ID_OPTION,
};

const struct bw_verb bw_verb_meeting_mode = {
    .noun = "meeting",
    .name = "mode",
    .summary = "ask to lower or raise the encryption mode, or consent to a lowering",
    .about = "A lowering is announced to everybody and takes effect only when all who are present consent;\n"
             "a raise first removes the connectors.",
    .example = "bailiwick meeting mode 0192f3a0-7c41-7a60-9d3e-6b1f2a3c4d5e lower",
    BW_OPTIONS(mode_rows),
    BW_OPERANDS(mode_operands),
    .run = meeting_mode,
};
