/* support timeline: a lane for each participant, with what happened to it and how it was routed. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "bailiwick/v1/support.pb-c.h"
#include "cli/meeting.h"
#include "cli/options.h"
#include "cli/server.h"
#include "cli/support.h"
#include "cli/verbs.h"
#include "cli/when.h"

enum { PAGE = 100, BAR = 48, REJECTED_SHOWN = 4 };

/* ---- asking ---- */

static void join_page(json_t *all, const json_t *page)
{
    json_array_extend(json_object_get(all, "lanes"), json_object_get(page, "lanes"));
    json_t *into = json_object_get(all, "missing"), *item;
    size_t i;
    json_array_foreach(json_object_get(page, "missing"), i, item) json_array_append(into, item);
}

int bw_support_timeline(struct bw_cli *cli, json_t **tree)
{
    Bailiwick__V1__GetMeetingTimelineRequest request = BAILIWICK__V1__GET_MEETING_TIMELINE_REQUEST__INIT;
    request.tenant = bw_cli_tenant(cli);
    if (request.tenant == NULL)
        return BW_EXIT_USAGE;
    request.meeting_id = bw_args_operand(cli->args, 0);
    if (bw_args_text(cli->args, "user") != NULL)
        request.own_user = bw_args_text(cli->args, "user");
    request.page_size = PAGE;
    json_t *all = NULL;
    for (;;) {
        json_t *page = NULL;
        int result = bw_server_ask(cli, BW_METHOD(SupportService, GetMeetingTimeline), &request.base,
                                   &bailiwick__v1__get_meeting_timeline_response__descriptor, &page);
        if (result != BW_EXIT_OK) {
            json_decref(all);
            return result;
        }
        const char *token = bw_tree_text(page, "nextPageToken");
        request.page_token = token[0] != '\0' ? bw_arena_strdup(cli->arena, token) : NULL;
        json_object_del(page, "nextPageToken");
        if (all == NULL) {
            all = page;
        } else {
            join_page(all, page);
            json_decref(page);
        }
        if (request.page_token == NULL)
            break;
    }
    *tree = all;
    return BW_EXIT_OK;
}

/* ---- printing ---- */

struct print {
    struct bw_cli *cli;
    struct bw_buf text;
    uint64_t from_ms, to_ms;
    bool utf8;
};

static void put(struct print *print, const char *text)
{
    bw_text_harmless(&print->text, text);
}

static const char *colour_of(const struct print *print, const char *class)
{
    if (!print->cli->colour_out)
        return "";
    if (strcmp(class, "red") == 0)
        return "\033[31m";
    if (strcmp(class, "amber") == 0)
        return "\033[33m";
    return strcmp(class, "green") == 0 ? "\033[32m" : "\033[90m";
}

static const char *plain(const struct print *print)
{
    return print->cli->colour_out ? "\033[0m" : "";
}

/* "red for loss" */
static void put_class(struct print *print, const json_t *object, const char *key)
{
    const char *class = bw_tree_word(print->cli, object, key, "QUALITY_CLASS_");
    const char *reason = bw_tree_word(print->cli, object, "reason", "QUALITY_METRIC_");
    bw_buf_printf(&print->text, "%s%s%s", colour_of(print, class), class[0] != '\0' ? class : "grey",
                  plain(print));
    if (reason[0] != '\0')
        bw_buf_printf(&print->text, " for %s", reason);
}

static void put_minutes(struct print *print, const json_t *object)
{
    unsigned long long minutes = bw_tree_number(object, "poorMinutes");
    if (minutes > 0)
        bw_buf_printf(&print->text, ", %llu poor minute%s", minutes, minutes == 1 ? "" : "s");
}

static void put_meeting(struct print *print, const json_t *tree)
{
    const json_t *meeting = json_object_get(tree, "meeting");
    struct bw_buf *out = &print->text;
    bw_buf_printf(out, "meeting %s\n  ", bw_tree_text(meeting, "meetingId"));
    bw_when_print(print->from_ms, BW_WHEN_LONG, out);
    bw_buf_append_str(out, " to ");
    bw_when_print(print->to_ms, BW_WHEN_LONG, out);
    bw_buf_append_str(out, " (");
    bw_when_span(print->to_ms - print->from_ms, out);
    const char *end = bw_tree_word(print->cli, meeting, "endReason", "END_REASON_");
    bw_buf_printf(out, "), %s%s\n  ", json_is_true(json_object_get(meeting, "live")) ? "live" : "ended: ",
                  json_is_true(json_object_get(meeting, "live")) ? "" : end);
    unsigned long long people = bw_tree_number(meeting, "participants");
    bw_buf_printf(out, "%llu participant%s, worst ", people, people == 1 ? "" : "s");
    put_class(print, meeting, "worstClass");
    put_minutes(print, meeting);
    const struct bw_column relays = {.path = "relays", .cell = BW_CELL_LIST};
    bw_buf_append_str(out, ", relays ");
    bw_cell_text(meeting, &relays, out);
    bw_buf_printf(out, ", policy revision %llu\n",
                  (unsigned long long)bw_tree_number(meeting, "policyRevision"));
    if (bw_tree_number(tree, "refused") > 0)
        bw_buf_printf(out, "  %llu more wanted to join and were refused\n",
                      (unsigned long long)bw_tree_number(tree, "refused"));
}

/* "ash1 OPERATOR_JURISDICTION (policy.yaml:17:26)" */
static void put_rejected(struct print *print, const json_t *relay, bool all)
{
    put(print, bw_tree_text(relay, "relay"));
    size_t i;
    const json_t *item;
    json_array_foreach(json_object_get(relay, "reasons"), i, item)
    {
        if (i > 0 && !all)
            break;
        const char *name = json_string_value(item);
        bw_buf_printf(&print->text, " %s",
                      name != NULL && strncmp(name, "REASON_", 7) == 0 ? name + 7 : name);
    }
    if (!all)
        return;
    json_array_foreach(json_object_get(relay, "clauses"), i, item)
    {
        bw_buf_append_str(&print->text, i == 0 ? " (" : ", ");
        put(print, json_string_value(item) != NULL ? json_string_value(item) : "");
    }
    if (i > 0)
        bw_buf_append_str(&print->text, ")");
}

/* What was decided at that moment, beside the event. */
static void put_routing(struct print *print, const json_t *event)
{
    const json_t *decision = json_object_get(event, "decision");
    struct bw_buf *out = &print->text;
    bool wide = print->cli->output == BW_OUTPUT_WIDE;
    if (!json_is_object(decision))
        return;
    bw_buf_printf(out, "  policy %llu", (unsigned long long)bw_tree_number(decision, "policyRevision"));
    unsigned long long considered = bw_tree_number(decision, "relaysConsidered");
    if (considered > 0)
        bw_buf_printf(out, ", %llu of %llu relays allowed",
                      (unsigned long long)bw_tree_number(decision, "relaysAllowed"), considered);
    if (bw_tree_text(decision, "runnerUp")[0] != '\0')
        bw_buf_printf(out, ", next best %s", bw_tree_text(decision, "runnerUp"));
    if (wide)
        bw_buf_printf(out, ", reference %s", bw_tree_text(event, "reference"));
    if (strcmp(bw_tree_text(event, "rejectedBasis"), "none") == 0) {
        bw_buf_append_str(out, "; which relays it rejected cannot be told any more");
        return;
    }
    const json_t *rejected = json_object_get(event, "rejected"), *relay;
    size_t total = bw_tree_number(event, "rejectedTotal"), i;
    if (total == 0)
        return;
    bw_buf_append_str(out, wide ? "\n              rejected " : "; rejected ");
    json_array_foreach(rejected, i, relay)
    {
        if (!wide && i == REJECTED_SHOWN)
            break;
        if (i > 0)
            bw_buf_append_str(out, wide ? "\n                       " : ", ");
        put_rejected(print, relay, wide);
    }
    if (total > i)
        bw_buf_printf(out, "%s %zu more", i > 0 ? " and" : "", total - i);
}

static void put_measured(struct print *print, const json_t *event)
{
    struct bw_buf *out = &print->text;
    const char *relay = bw_tree_text(event, "relay"), *through = bw_tree_text(event, "through");
    if (json_is_true(json_object_get(event, "fromClient")))
        bw_buf_append_str(out, "  (the participant's own endpoint");
    else if (relay[0] != '\0')
        bw_buf_append_str(out, "  (measured at ");
    else
        return;
    if (!json_is_true(json_object_get(event, "fromClient")))
        put(print, relay);
    else if (relay[0] != '\0')
        bw_buf_printf(out, ", on %s", relay);
    if (through[0] != '\0')
        bw_buf_printf(out, ", coming through %s", through);
    bw_buf_append_str(out, ")");
}

static void put_event(struct print *print, const json_t *event)
{
    struct bw_buf *out = &print->text;
    const char *what = bw_tree_word(print->cli, event, "what", "WHAT_");
    bw_buf_append_str(out, "    ");
    bw_when_print(bw_tree_number(event, "atUnixMs"), BW_WHEN_CLOCK, out);
    bw_buf_append_str(out, "  ");
    if (strcmp(what, "joined") == 0) {
        bw_buf_printf(out, "joined on %s", bw_tree_text(event, "relay"));
    } else if (strcmp(what, "relay changed") == 0) {
        bw_buf_printf(out, "moved from %s to %s", bw_tree_text(event, "fromRelay"),
                      bw_tree_text(event, "relay"));
    } else if (strcmp(what, "left") == 0) {
        const char *reason = bw_tree_word(print->cli, event, "leaveReason", "LEAVE_REASON_");
        bw_buf_printf(out, "left%s%s", strcmp(reason, "left") != 0 && reason[0] != '\0' ? ": " : "",
                      strcmp(reason, "left") != 0 ? reason : "");
    } else if (strcmp(what, "mode changed") == 0) {
        bw_buf_printf(out, "mode is now %s", bw_tree_word(print->cli, event, "mode", "E2EE_MODE_"));
    } else if (strcmp(what, "class changed") == 0) {
        put_class(print, event, "qualityClass");
        put_measured(print, event);
    } else {
        bw_buf_append_str(out, what);
    }
    put_routing(print, event);
    bw_buf_append_str(out, "\n");
}

static void put_lane(struct print *print, const json_t *lane)
{
    struct bw_buf *out = &print->text;
    const char *country = bw_tree_text(lane, "country");
    bw_buf_printf(out, "\n%4llu  ", (unsigned long long)bw_tree_number(lane, "slot"));
    bw_lane_bar(lane, print->from_ms, print->to_ms, BAR, print->utf8, print->cli->colour_out, out);
    bw_buf_append_str(out, "  ");
    put(print, bw_tree_text(lane, "who"));
    bw_buf_printf(out, ", %s%s%s: ", bw_tree_word(print->cli, lane, "kind", "PARTICIPANT_KIND_"),
                  country[0] != '\0' ? " from " : "", country);
    put_class(print, lane, "worstClass");
    put_minutes(print, lane);
    const char *address = bw_tree_text(lane, "addressPrefix"), *version = bw_tree_text(lane, "clientVersion");
    if (address[0] != '\0')
        bw_buf_printf(out, ", %s", address);
    if (version[0] != '\0') {
        bw_buf_append_str(out, ", ");
        put(print, version);
    }
    bw_buf_append_str(out, "\n");
    size_t i;
    const json_t *event;
    json_array_foreach(json_object_get(lane, "events"), i, event) put_event(print, event);
    if (bw_tree_number(lane, "eventsLeftOut") > 0)
        bw_buf_printf(out, "    … and %llu more events\n",
                      (unsigned long long)bw_tree_number(lane, "eventsLeftOut"));
}

static int show_timeline(struct bw_cli *cli, const json_t *tree)
{
    const json_t *meeting = json_object_get(tree, "meeting"), *when = json_object_get(meeting, "when"), *lane;
    struct print print = {.cli = cli,
                          .from_ms = bw_tree_number(when, "fromUnixMs"),
                          .to_ms = bw_tree_number(when, "toUnixMs"),
                          .utf8 = bw_support_utf8(cli)};
    size_t i;
    if (print.to_ms <= print.from_ms)
        print.to_ms = print.from_ms + 1;
    put_meeting(&print, tree);
    json_array_foreach(json_object_get(tree, "lanes"), i, lane) put_lane(&print, lane);
    bw_buf_printf(&print.text, "\n%s red  %s amber  %s green  %s nothing to judge\n", print.utf8 ? "█" : "#",
                  print.utf8 ? "▅" : "=", print.utf8 ? "▂" : "-", print.utf8 ? "·" : ".");
    const char *shown = bw_buf_cstr(&print.text);
    if (shown != NULL)
        fputs(shown, cli->out);
    bw_buf_finish(&print.text);
    return shown != NULL ? BW_EXIT_OK : bw_cli_memory(cli);
}

static int support_timeline(struct bw_cli *cli)
{
    json_t *tree = NULL;
    int result = bw_when_zone(cli);
    if (result == BW_EXIT_OK)
        result = bw_support_timeline(cli, &tree);
    if (result != BW_EXIT_OK)
        return result;
    bw_when_tree(tree, BW_WHEN_RFC3339);
    if (bw_output_is_tree(cli)) {
        result = bw_show_tree(cli, tree);
    } else if (cli->output == BW_OUTPUT_NAME) {
        static const struct bw_view_table names = {.list = "lanes", .name = "slot"};
        result = bw_show(cli, tree, &names);
    } else {
        result = show_timeline(cli, tree);
        bw_support_missing(cli, tree);
    }
    json_decref(tree);
    return result;
}

static const struct bw_operand operands[] = {BW_MEETING_OPERAND};
static const struct bw_option option_rows[] = {
    BW_TENANT_OPTION,
    BW_TZ_OPTION,
    {.name = "user",
     .type = BW_OPTION_TEXT,
     .value = "USER",
     .help = "tier 1: the user who asks about their own call (localpart@domain)"},
};

const struct bw_verb bw_verb_support_timeline = {
    .noun = "support",
    .name = "timeline",
    .summary = "one meeting: who, when, how it was, and how it was routed",
    .about =
        "A lane for each participant: how bad it was over time, and below it what happened: joining,\n"
        "leaving, moves between relays, changes of mode and of quality, each routing decision with its\n"
        "policy revision and the relays it rejected (-o wide: with the clauses). What your role may not\n"
        "see is masked, and who looked is kept in the tenant's audit.",
    .example = "bailiwick support timeline 0192f3a0-7c41-7a60-9d3e-6b1f2a3c4d5e --tz Europe/Paris",
    BW_OPTIONS(option_rows),
    BW_OPERANDS(operands),
    .run = support_timeline,
};
