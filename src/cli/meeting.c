/* meeting create, list, show, end. */
#include "cli/meeting.h"
#include "bailiwick/v1/meeting.pb-c.h"
#include "cli/options.h"
#include "cli/server.h"
#include "cli/verbs.h"
#include "yaml/reader.h"

/* ---- create ---- */

static const char *const mode_names[] = {"policy", "e2ee", "hop", NULL};

static int fill_host(struct bw_cli *cli, Bailiwick__V1__Host *host)
{
    const char **groups;
    if (!bw_args_list(cli->args, "group", cli->arena, &host->n_groups, &groups))
        return bw_cli_memory(cli);
    host->user = bw_args_text(cli->args, "host");
    host->groups = groups;
    return BW_EXIT_OK;
}

static int meeting_create(struct bw_cli *cli)
{
    Bailiwick__V1__CreateMeetingRequest request = BAILIWICK__V1__CREATE_MEETING_REQUEST__INIT;
    Bailiwick__V1__Host host = BAILIWICK__V1__HOST__INIT;
    request.request_id = bw_cli_request_id(cli);
    request.tenant = request.request_id != NULL ? bw_cli_tenant(cli) : NULL;
    if (request.tenant == NULL)
        return BW_EXIT_USAGE;
    int result = fill_host(cli, &host);
    request.host = &host;
    request.mode = (Bailiwick__V1__ModeChoice)bw_args_choice(cli->args, "mode", 0);
    request.cap_per_relay = (uint32_t)bw_args_number(cli->args, "cap-per-relay", 0);
    const char *override = bw_args_text(cli->args, "override");
    if (result == BW_EXIT_OK && override != NULL) {
        struct bw_view text;
        result = bw_cli_read(cli, override, BW_YAML_MAX_BYTES, &text);
        if (result == BW_EXIT_OK) {
            request.override_case = BAILIWICK__V1__CREATE_MEETING_REQUEST__OVERRIDE_POLICY_OVERRIDE;
            request.policy_override = (const char *)text.data;
        }
    }
    json_t *tree = NULL;
    if (result == BW_EXIT_OK)
        result = bw_server_ask(cli, BW_METHOD(MeetingService, CreateMeeting), &request.base,
                               &bailiwick__v1__create_meeting_response__descriptor, &tree);
    if (result == BW_EXIT_OK)
        result = bw_show(cli, tree, &bw_meeting_view);
    json_decref(tree);
    return result;
}

static const struct bw_option create_rows[] = {
    BW_TENANT_OPTION,
    {.name = "host",
     .type = BW_OPTION_TEXT,
     .flags = BW_OPTION_REQUIRED,
     .value = "USER",
     .help = "who hosts, as localpart@domain; their policy routes the meeting"},
    {.name = "group", .type = BW_OPTION_LIST, .value = "NAME", .help = "a group the host is in"},
    {.name = "mode",
     .type = BW_OPTION_CHOICE,
     .value = "MODE",
     .choices = mode_names,
     .help = "what the organiser wants (default: the policy's preference)"},
    {.name = "override",
     .type = BW_OPTION_FILE,
     .value = "FILE|-",
     .help = "the meeting's own policy, which can only narrow"},
    {.name = "cap-per-relay",
     .type = BW_OPTION_UINT,
     .value = "N",
     .help = "at most so many of its participants on one relay"},
    BW_REQUEST_ID_OPTION,
};

const struct bw_verb bw_verb_meeting_create = {
    .noun = "meeting",
    .name = "create",
    .summary = "open a meeting under its host's policy",
    .example = "bailiwick meeting create --tenant chu-lyon --host dr.x@chu-lyon.example",
    BW_OPTIONS(create_rows),
    .run = meeting_create,
};

/* ---- list ---- */

static const char *const state_names[] = {"live", "ended", NULL};

static int meeting_list(struct bw_cli *cli)
{
    static const struct bw_column columns[] = {
        {"MEETING", "meetingId", BW_CELL_TEXT, NULL, false},
        {"STATE", "state", BW_CELL_ENUM, "MEETING_STATE_", false},
        {"MODE", "mode", BW_CELL_ENUM, "E2EE_MODE_", false},
        {"PARTICIPANTS", "participants", BW_CELL_TEXT, NULL, false},
        {"CREATED", "createdUnixMs", BW_CELL_TIME, NULL, false},
        {"ENDED", "endedUnixMs", BW_CELL_TIME, NULL, true},
        {"END REASON", "endReason", BW_CELL_ENUM, "END_REASON_", true},
        {"POLICY", "policyRevision", BW_CELL_TEXT, NULL, true},
    };
    static const struct bw_view_table view = {.list = "meetings",
                                              .name = "meetingId",
                                              .columns = columns,
                                              .count = sizeof columns / sizeof columns[0]};
    Bailiwick__V1__ListMeetingsRequest request = BAILIWICK__V1__LIST_MEETINGS_REQUEST__INIT;
    request.tenant = bw_cli_tenant(cli);
    if (request.tenant == NULL)
        return BW_EXIT_USAGE;
    request.state = (Bailiwick__V1__MeetingState)(bw_args_choice(cli->args, "state", 0) + 1);
    json_t *tree = NULL;
    int result = bw_server_list(cli, BW_METHOD(MeetingService, ListMeetings), &request.base,
                                &request.page_size, &request.page_token,
                                &bailiwick__v1__list_meetings_response__descriptor, "meetings", &tree);
    if (result == BW_EXIT_OK)
        result = bw_show(cli, tree, &view);
    json_decref(tree);
    return result;
}

static const struct bw_option list_rows[] = {
    BW_TENANT_OPTION,
    {.name = "state",
     .type = BW_OPTION_CHOICE,
     .value = "STATE",
     .choices = state_names,
     .help = "which (default live)"},
    BW_LIMIT_OPTION,
};

const struct bw_verb bw_verb_meeting_list = {
    .noun = "meeting",
    .name = "list",
    .summary = "a tenant's meetings, newest first",
    .example = "bailiwick meeting list --tenant chu-lyon",
    BW_OPTIONS(list_rows),
    .run = meeting_list,
};

/* ---- show ---- */

static int meeting_show(struct bw_cli *cli)
{
    static const struct bw_column relay_columns[] = {
        {"RELAY", "relay", BW_CELL_TEXT, NULL, false},
        {"PARTICIPANTS", "participants", BW_CELL_TEXT, NULL, false},
    };
    Bailiwick__V1__GetMeetingRequest request = BAILIWICK__V1__GET_MEETING_REQUEST__INIT;
    request.tenant = bw_cli_tenant(cli);
    if (request.tenant == NULL)
        return BW_EXIT_USAGE;
    request.meeting_id = bw_args_operand(cli->args, 0);
    json_t *tree = NULL;
    int result = bw_server_list(cli, BW_METHOD(MeetingService, GetMeeting), &request.base, &request.page_size,
                                &request.page_token, &bailiwick__v1__get_meeting_response__descriptor,
                                "roster", &tree);
    if (result == BW_EXIT_OK)
        result = bw_show(cli, tree, &bw_meeting_view);
    bool people = cli->output == BW_OUTPUT_TABLE || cli->output == BW_OUTPUT_WIDE;
    const json_t *relays = json_object_get(json_object_get(tree, "meeting"), "relays");
    const json_t *roster = json_object_get(tree, "roster");
    if (result == BW_EXIT_OK && people && json_array_size(relays) > 0) {
        fputs("\n", cli->out);
        result = bw_show_table(cli, relays, relay_columns, sizeof relay_columns / sizeof relay_columns[0]);
    }
    if (result == BW_EXIT_OK && people && json_array_size(roster) > 0) {
        fputs("\n", cli->out);
        result = bw_show_table(cli, roster, bw_roster_columns, bw_roster_column_count);
    }
    json_decref(tree);
    return result;
}

static const struct bw_operand meeting_operands[] = {BW_MEETING_OPERAND};
static const struct bw_option show_rows[] = {BW_TENANT_OPTION, BW_LIMIT_OPTION};

const struct bw_verb bw_verb_meeting_show = {
    .noun = "meeting",
    .name = "show",
    .summary = "one meeting: its mode, its relays, who is in it",
    .example = "bailiwick meeting show 0192f3a0-7c41-7a60-9d3e-6b1f2a3c4d5e -o wide",
    BW_OPTIONS(show_rows),
    BW_OPERANDS(meeting_operands),
    .run = meeting_show,
};

/* ---- end ---- */

static int meeting_end(struct bw_cli *cli)
{
    static const struct bw_column columns[] = {{"ENDED", "endedUnixMs", BW_CELL_TIME, NULL, false}};
    static const struct bw_view_table view = {.name = "endedUnixMs", .columns = columns, .count = 1};
    Bailiwick__V1__EndMeetingRequest request = BAILIWICK__V1__END_MEETING_REQUEST__INIT;
    request.request_id = bw_cli_request_id(cli);
    request.tenant = request.request_id != NULL ? bw_cli_tenant(cli) : NULL;
    if (request.tenant == NULL)
        return BW_EXIT_USAGE;
    request.meeting_id = bw_args_operand(cli->args, 0);
    json_t *tree = NULL;
    int result = bw_server_ask(cli, BW_METHOD(MeetingService, EndMeeting), &request.base,
                               &bailiwick__v1__end_meeting_response__descriptor, &tree);
    if (result == BW_EXIT_OK)
        result = bw_show(cli, tree, &view);
    json_decref(tree);
    return result;
}

static const struct bw_option end_rows[] = {BW_TENANT_OPTION, BW_REQUEST_ID_OPTION};

const struct bw_verb bw_verb_meeting_end = {
    .noun = "meeting",
    .name = "end",
    .summary = "end a meeting for everybody",
    .example = "bailiwick meeting end 0192f3a0-7c41-7a60-9d3e-6b1f2a3c4d5e",
    BW_OPTIONS(end_rows),
    BW_OPERANDS(meeting_operands),
    .run = meeting_end,
};
