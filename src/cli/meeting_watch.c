/* meeting watch: a line an event, as it commits. */
#include <stdlib.h>

#include "bailiwick/v1/meeting.pb-c.h"
#include "cli/meeting.h"
#include "cli/options.h"
#include "cli/server.h"
#include "cli/verbs.h"

struct watch {
    struct bw_cli *cli;
    int result;
};

/* X(key of the event, its columns) */
static const struct bw_column roster_line[] = {
    {"slot", "entry.slot", BW_CELL_TEXT, NULL, false},
    {"", "entry.rosterEntry", BW_CELL_TEXT, NULL, false},
    {"kind", "entry.kind", BW_CELL_ENUM, "PARTICIPANT_KIND_", false},
    {"country", "entry.country", BW_CELL_TEXT, NULL, false},
    {"relay", "entry.relay", BW_CELL_TEXT, NULL, false},
};
static const struct bw_column left_line[] = {
    {"slot", "slot", BW_CELL_TEXT, NULL, false},
    {"", "rosterEntry", BW_CELL_TEXT, NULL, false},
    {"reason", "reason", BW_CELL_ENUM, "LEAVE_REASON_", false},
};
static const struct bw_column mode_line[] = {
    {"", "mode", BW_CELL_ENUM, "E2EE_MODE_", false},
    {"epoch", "modeEpoch", BW_CELL_TEXT, NULL, false},
    {"because", "cause", BW_CELL_TEXT, NULL, false},
};
static const struct bw_column announcement_line[] = {
    {"", "mode", BW_CELL_ENUM, "E2EE_MODE_", false},
    {"epoch", "pendingModeEpoch", BW_CELL_TEXT, NULL, false},
    {"consents missing", "consentsMissing", BW_CELL_TEXT, NULL, false},
    {"because", "cause", BW_CELL_TEXT, NULL, false},
};
static const struct bw_column flags_line[] = {
    {"", "rosterEntry", BW_CELL_TEXT, NULL, false},
    {"allocated", "flags.allocated.scheme", BW_CELL_ENUM, "E2EE_SCHEME_", false},
    {"observed", "flags.observed.state", BW_CELL_ENUM, "STATE_", false},
};
static const struct bw_column moved_line[] = {
    {"slot", "slot", BW_CELL_TEXT, NULL, false},
    {"", "rosterEntry", BW_CELL_TEXT, NULL, false},
    {"relay", "relay", BW_CELL_TEXT, NULL, false},
    {"address", "mediaAddress", BW_CELL_TEXT, NULL, false},
};
static const struct bw_column ended_line[] = {{"reason", "reason", BW_CELL_ENUM, "END_REASON_", false}};

#define LINE(columns) (columns), sizeof(columns) / sizeof((columns)[0])
static const struct {
    const char *key;
    const struct bw_column *columns;
    size_t count;
} events[] = {
    {"joined", LINE(roster_line)}, {"left", LINE(left_line)},
    {"mode", LINE(mode_line)},     {"announcement", LINE(announcement_line)},
    {"flags", LINE(flags_line)},   {"moved", LINE(moved_line)},
    {"ended", LINE(ended_line)},
};

static void event_line(const json_t *event, const char *name, const struct bw_column *columns, size_t count,
                       struct bw_buf *out)
{
    bw_buf_printf(out, "%s", name);
    for (size_t i = 0; i < count; i++) {
        struct bw_buf cell = {0};
        bw_cell_text(event, &columns[i], &cell);
        const char *text = bw_buf_cstr(&cell);
        if (text != NULL && (text[0] != '-' || text[1] != '\0'))
            bw_buf_printf(out, "%s%s %s", columns[i].title[0] != '\0' ? " " : "", columns[i].title, text);
        bw_buf_finish(&cell);
    }
    bw_buf_append_str(out, "\n");
}

static void state_lines(const json_t *state, struct bw_buf *out)
{
    static const struct bw_column meeting[] = {
        {"", "meeting.state", BW_CELL_ENUM, "MEETING_STATE_", false},
        {"mode", "meeting.mode", BW_CELL_ENUM, "E2EE_MODE_", false},
        {"participants", "meeting.participants", BW_CELL_TEXT, NULL, false},
    };
    if (json_object_get(state, "meeting") != NULL)
        event_line(state, "state", meeting, sizeof meeting / sizeof meeting[0], out);
    size_t i;
    json_t *entry;
    json_array_foreach(json_object_get(state, "roster"), i, entry)
    {
        json_t *wrapped = json_pack("{s:O}", "entry", entry);
        event_line(wrapped, "  present", LINE(roster_line), out);
        json_decref(wrapped);
    }
}

static void in_words(const json_t *message, struct bw_buf *out)
{
    static const struct bw_column at = {"", "atUnixMs", BW_CELL_TIME, NULL, false};
    static const struct bw_column seq = {"", "decisionSeq", BW_CELL_TEXT, NULL, false};
    bw_cell_text(message, &at, out);
    bw_buf_append_str(out, " #");
    bw_cell_text(message, &seq, out);
    bw_buf_append_str(out, " ");
    const json_t *state = json_object_get(message, "state");
    if (state != NULL)
        state_lines(state, out);
    for (size_t i = 0; i < sizeof events / sizeof events[0]; i++) {
        const json_t *event = json_object_get(message, events[i].key);
        if (event != NULL)
            event_line(event, events[i].key, events[i].columns, events[i].count, out);
    }
}

static bool on_message(const ProtobufCMessage *message, void *context)
{
    struct watch *watch = context;
    struct bw_cli *cli = watch->cli;
    json_t *tree = bw_message_tree(message);
    if (tree == NULL) {
        watch->result = bw_cli_memory(cli);
        return false;
    }
    if (cli->output == BW_OUTPUT_JSON) { /* one object a line */
        char *line = json_dumps(tree, JSON_COMPACT);
        fprintf(cli->out, "%s\n", line != NULL ? line : "");
        free(line);
    } else if (cli->output == BW_OUTPUT_YAML) {
        fputs("---\n", cli->out);
        bw_show_tree(cli, tree);
    } else {
        struct bw_buf text = {0};
        in_words(tree, &text);
        const char *shown = bw_buf_cstr(&text);
        fputs(shown != NULL ? shown : "", cli->out);
        bw_buf_finish(&text);
    }
    bool ended = json_object_get(tree, "ended") != NULL;
    json_decref(tree);
    return fflush(cli->out) == 0 && !ended;
}

static int meeting_watch(struct bw_cli *cli)
{
    Bailiwick__V1__WatchMeetingRequest request = BAILIWICK__V1__WATCH_MEETING_REQUEST__INIT;
    request.tenant = bw_cli_tenant(cli);
    if (request.tenant == NULL)
        return BW_EXIT_USAGE;
    request.meeting_id = bw_args_operand(cli->args, 0);
    struct watch watch = {.cli = cli, .result = BW_EXIT_OK};
    int result = bw_server_stream(cli, BW_METHOD(MeetingService, WatchMeeting), &request.base,
                                  &bailiwick__v1__watch_meeting_response__descriptor, on_message, &watch);
    return result != BW_EXIT_OK ? result : watch.result;
}

static const struct bw_operand operands[] = {BW_MEETING_OPERAND};
static const struct bw_option option_rows[] = {BW_TENANT_OPTION};

const struct bw_verb bw_verb_meeting_watch = {
    .noun = "meeting",
    .name = "watch",
    .summary = "the state of a meeting, then each change as it commits, until it ends",
    .about = "With -o json one object a line. Interrupt to stop (exit status 130).",
    .example = "bailiwick meeting watch 0192f3a0-7c41-7a60-9d3e-6b1f2a3c4d5e -o json",
    BW_OPTIONS(option_rows),
    BW_OPERANDS(operands),
    .run = meeting_watch,
};
