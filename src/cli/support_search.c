/* support search: which meetings there were, and how they went. */
#include <string.h>

#include "bailiwick/v1/support.pb-c.h"
#include "cli/options.h"
#include "cli/server.h"
#include "cli/support.h"
#include "cli/verbs.h"
#include "cli/when.h"
#include "runtime/clock.h"

/* In the order of the enums' numbers, which begin at 1. */
static const char *const class_names[] = {"green", "amber", "red", "grey", NULL};
const char *const bw_metric_names[] = {
    "loss", "jitter", "round-trip-time", "concealed", "r", "frames-per-second", "freeze-share", NULL};
static const char *const end_names[] = {
    "requested",        "everybody-left", "policy-changed", "no-compliant-relay",
    "mode-unavailable", "tenant-removed", "abandoned",      NULL};

static const struct bw_column columns[] = {
    {"MEETING", "meetingId", BW_CELL_TEXT, NULL, false},
    {"FROM", "when.from", BW_CELL_TEXT, NULL, false},
    {"LASTED", "lasted", BW_CELL_TEXT, NULL, false},
    {"WORST", "worstClass", BW_CELL_ENUM, "QUALITY_CLASS_", false},
    {"REASON", "reason", BW_CELL_ENUM, "QUALITY_METRIC_", false},
    {"POOR MIN", "poorMinutes", BW_CELL_TEXT, NULL, false},
    {"PEOPLE", "participants", BW_CELL_TEXT, NULL, false},
    {"RELAYS", "relays", BW_CELL_LIST, NULL, false},
    {"POLICY", "policyRevision", BW_CELL_TEXT, NULL, false},
    {"LIVE", "live", BW_CELL_TEXT, NULL, false},
    {"ENDED", "endReason", BW_CELL_ENUM, "END_REASON_", true},
    {"TO", "when.to", BW_CELL_TEXT, NULL, true},
    {"WINDOWS", "windows", BW_CELL_TEXT, NULL, true},
};
static const struct bw_view_table view = {
    .list = "meetings", .name = "meetingId", .columns = columns, .count = sizeof columns / sizeof columns[0]};

/* For people: how long each lasted. */
static void add_spans(json_t *tree)
{
    size_t i;
    json_t *meeting;
    json_array_foreach(json_object_get(tree, "meetings"), i, meeting)
    {
        const json_t *when = json_object_get(meeting, "when");
        uint64_t from_ms = bw_tree_number(when, "fromUnixMs"), to_ms = bw_tree_number(when, "toUnixMs");
        struct bw_buf text = {0};
        bw_when_span(to_ms > from_ms ? to_ms - from_ms : 0, &text);
        const char *words = bw_buf_cstr(&text);
        json_object_set_new(meeting, "lasted", json_string(words != NULL ? words : ""));
        bw_buf_finish(&text);
    }
}

static void take_text(struct bw_cli *cli, const char *option, const char **field)
{
    const char *text = bw_args_text(cli->args, option);
    if (text != NULL)
        *field = text;
}

static int support_search(struct bw_cli *cli)
{
    Bailiwick__V1__SearchMeetingsRequest request = BAILIWICK__V1__SEARCH_MEETINGS_REQUEST__INIT;
    Bailiwick__V1__TimeRange when = BAILIWICK__V1__TIME_RANGE__INIT;
    int result = bw_when_zone(cli);
    if (result == BW_EXIT_OK)
        result = bw_when_range(cli, bw_clock_wall_ms(), &when.from_unix_ms, &when.to_unix_ms);
    if (result != BW_EXIT_OK)
        return result;
    request.tenant = bw_cli_tenant(cli);
    if (request.tenant == NULL)
        return BW_EXIT_USAGE;
    request.when = &when;
    if (bw_args_given(cli->args, "worst"))
        request.worst_class = (Bailiwick__V1__QualityClass)(bw_args_choice(cli->args, "worst", 0) + 1);
    if (bw_args_given(cli->args, "reason"))
        request.reason = (Bailiwick__V1__QualityMetric)(bw_args_choice(cli->args, "reason", 0) + 1);
    if (bw_args_given(cli->args, "ended"))
        request.end_reason = (Bailiwick__V1__EndReason)(bw_args_choice(cli->args, "ended", 0) + 1);
    request.min_poor_minutes = (uint32_t)bw_args_number(cli->args, "poor-minutes", 0);
    take_text(cli, "relay", &request.relay);
    take_text(cli, "site", &request.site);
    json_t *tree = NULL;
    result = bw_server_list(cli, BW_METHOD(SupportService, SearchMeetings), &request.base, &request.page_size,
                            &request.page_token, &bailiwick__v1__search_meetings_response__descriptor,
                            "meetings", &tree);
    if (result != BW_EXIT_OK)
        return result;
    bw_when_tree(tree, bw_output_is_tree(cli) ? BW_WHEN_RFC3339 : BW_WHEN_LONG);
    if (!bw_output_is_tree(cli))
        add_spans(tree);
    result = bw_show(cli, tree, &view);
    json_decref(tree);
    return result;
}

static const struct bw_option option_rows[] = {
    BW_TENANT_OPTION,
    BW_RANGE_OPTIONS,
    BW_TZ_OPTION,
    {.name = "worst",
     .type = BW_OPTION_CHOICE,
     .value = "CLASS",
     .choices = class_names,
     .help = "at least this bad: red, amber, green; grey is everything, also what was never measured"},
    {.name = "poor-minutes",
     .type = BW_OPTION_UINT,
     .value = "N",
     .help = "at least so many poor minutes, all participants added up"},
    {.name = "reason",
     .type = BW_OPTION_CHOICE,
     .value = "METRIC",
     .choices = bw_metric_names,
     .help = "made poor by this"},
    {.name = "relay", .type = BW_OPTION_TEXT, .value = "NAME", .help = "that used this relay"},
    {.name = "site", .type = BW_OPTION_TEXT, .value = "NAME", .help = "that used a relay of this site"},
    {.name = "ended",
     .type = BW_OPTION_CHOICE,
     .value = "REASON",
     .choices = end_names,
     .help = "that ended for this reason"},
    BW_LIMIT_OPTION,
};

const struct bw_verb bw_verb_support_search = {
    .noun = "support",
    .name = "search",
    .summary = "which meetings there were, and how they went",
    .about = "Newest first. A meeting is listed in every range that it touches, up to a day after it began.\n"
             "Searching opens nothing sealed: it reads codes and counts, never who took part.",
    .example = "bailiwick support search --since 2h --worst red --tz Europe/Paris",
    BW_OPTIONS(option_rows),
    .run = support_search,
};
