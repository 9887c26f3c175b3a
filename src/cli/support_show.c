/* support show: one meeting's people in a table, or one participant's streams and curves. */
#include <stdlib.h>
#include <string.h>

#include "bailiwick/v1/support.pb-c.h"
#include "cli/options.h"
#include "cli/server.h"
#include "cli/support.h"
#include "cli/verbs.h"
#include "cli/when.h"
#include "quality/classify.h"

enum { CURVE = 60 };

/* ---- the people of a meeting ---- */

static const struct bw_column meeting_columns[] = {
    {"MEETING", "meetingId", BW_CELL_TEXT, NULL, false},
    {"FROM", "when.from", BW_CELL_TEXT, NULL, false},
    {"TO", "when.to", BW_CELL_TEXT, NULL, false},
    {"LIVE", "live", BW_CELL_TEXT, NULL, false},
    {"END REASON", "endReason", BW_CELL_ENUM, "END_REASON_", false},
    {"PARTICIPANTS", "participants", BW_CELL_TEXT, NULL, false},
    {"WORST", "worstClass", BW_CELL_ENUM, "QUALITY_CLASS_", false},
    {"REASON", "reason", BW_CELL_ENUM, "QUALITY_METRIC_", false},
    {"POOR MINUTES", "poorMinutes", BW_CELL_TEXT, NULL, false},
    {"RELAYS", "relays", BW_CELL_LIST, NULL, false},
    {"POLICY", "policyRevision", BW_CELL_TEXT, NULL, false},
};
static const struct bw_view_table meeting_view = {
    .object = "meeting",
    .name = "meetingId",
    .columns = meeting_columns,
    .count = sizeof meeting_columns / sizeof meeting_columns[0],
};

static const struct bw_column lane_columns[] = {
    {"SLOT", "slot", BW_CELL_TEXT, NULL, false},
    {"WHO", "who", BW_CELL_TEXT, NULL, false},
    {"KIND", "kind", BW_CELL_ENUM, "PARTICIPANT_KIND_", false},
    {"COUNTRY", "country", BW_CELL_TEXT, NULL, false},
    {"WORST", "worstClass", BW_CELL_ENUM, "QUALITY_CLASS_", false},
    {"REASON", "reason", BW_CELL_ENUM, "QUALITY_METRIC_", false},
    {"POOR MIN", "poorMinutes", BW_CELL_TEXT, NULL, false},
    {"STREAMS", "streams", BW_CELL_LIST, NULL, false},
    {"ADDRESS", "addressPrefix", BW_CELL_TEXT, NULL, true},
    {"CLIENT", "clientVersion", BW_CELL_TEXT, NULL, true},
};

static int show_meeting(struct bw_cli *cli)
{
    json_t *tree = NULL;
    int result = bw_support_timeline(cli, &tree);
    if (result != BW_EXIT_OK)
        return result;
    bw_when_tree(tree, bw_output_is_tree(cli) ? BW_WHEN_RFC3339 : BW_WHEN_LONG);
    result = bw_show(cli, tree, &meeting_view);
    if (result == BW_EXIT_OK && (cli->output == BW_OUTPUT_TABLE || cli->output == BW_OUTPUT_WIDE)) {
        fputs("\n", cli->out);
        result = bw_show_table(cli, json_object_get(tree, "lanes"), lane_columns,
                               sizeof lane_columns / sizeof lane_columns[0]);
        bw_support_missing(cli, tree);
    }
    json_decref(tree);
    return result;
}

/* ---- the curves of a stream ---- */

static unsigned metric_of(const json_t *series)
{
    const char *name = bw_tree_text(series, "metric");
    for (unsigned i = 0; bw_metric_names[i] != NULL; i++) {
        const char *a = name + strlen("QUALITY_METRIC_"), *b = bw_metric_names[i];
        size_t k = 0;
        while (strlen(name) > strlen("QUALITY_METRIC_") && a[k] != '\0' && b[k] != '\0' &&
               (a[k] == '_' ? '-' : a[k] | 0x20) == b[k])
            k++;
        if (a[k] == '\0' && b[k] == '\0')
            return i + 1;
    }
    return 0;
}

static void put_curve(struct bw_cli *cli, const json_t *series, struct bw_buf *out)
{
    const json_t *values = json_object_get(series, "values"), *value;
    unsigned metric = metric_of(series);
    uint64_t most = 0, least = UINT64_MAX;
    bool low_is_bad = metric == BW_QUALITY_METRIC_R || metric == BW_QUALITY_METRIC_FRAMES_PER_SECOND;
    size_t i;
    json_array_foreach(values, i, value)
    {
        const char *text = json_string_value(value);
        int64_t v = text != NULL ? strtoll(text, NULL, 10) : json_integer_value(value);
        most = v > (int64_t)most ? (uint64_t)v : most;
        least = v >= 0 && (uint64_t)v < least ? (uint64_t)v : least;
    }
    bw_buf_printf(out, "%-18s", metric != 0 ? bw_metric_names[metric - 1] : "?");
    bw_spark(values, CURVE, bw_support_utf8(cli), out);
    bw_buf_append_str(out, low_is_bad ? "  down to " : "  up to ");
    bw_metric_print(metric, low_is_bad ? least : most, out);
    bw_buf_append_str(out, "\n");
}

static void put_path(const json_t *tree, struct bw_buf *out)
{
    size_t i;
    const json_t *hop;
    const struct bw_column jurisdictions = {.path = "jurisdictions", .cell = BW_CELL_LIST};
    json_array_foreach(json_object_get(tree, "path"), i, hop)
    {
        bw_buf_append_str(out, i == 0 ? "path              participant" : "");
        bw_buf_append_str(out, " > ");
        bw_text_harmless(out, bw_tree_text(hop, "relay")[0] != '\0' ? bw_tree_text(hop, "relay") : "?");
        bw_buf_append_str(out, " [");
        bw_text_harmless(out, bw_tree_text(hop, "country")[0] != '\0' ? bw_tree_text(hop, "country") : "?");
        bw_buf_append_str(out, ", operated under ");
        bw_cell_text(hop, &jurisdictions, out);
        bw_buf_printf(out, ", kept in %s]", bw_tree_text(hop, "storedInCell"));
    }
    if (i > 0)
        bw_buf_append_str(out, "\n");
}

static int show_stream(struct bw_cli *cli)
{
    Bailiwick__V1__GetStreamSeriesRequest request = BAILIWICK__V1__GET_STREAM_SERIES_REQUEST__INIT;
    request.tenant = bw_cli_tenant(cli);
    if (request.tenant == NULL)
        return BW_EXIT_USAGE;
    request.meeting_id = bw_args_operand(cli->args, 0);
    request.slot = (uint32_t)bw_args_number(cli->args, "slot", 0);
    request.stream = (uint32_t)bw_args_number(cli->args, "stream", 0);
    json_t *tree = NULL;
    int result = bw_server_ask(cli, BW_METHOD(SupportService, GetStreamSeries), &request.base,
                               &bailiwick__v1__get_stream_series_response__descriptor, &tree);
    if (result != BW_EXIT_OK)
        return result;
    bw_when_tree(tree, BW_WHEN_RFC3339);
    if (bw_output_is_tree(cli)) {
        result = bw_show_tree(cli, tree);
    } else if (cli->output == BW_OUTPUT_NAME) {
        fprintf(cli->out, "%llu\n", (unsigned long long)bw_tree_number(tree, "stream"));
    } else {
        struct bw_buf text = {0};
        const json_t *all = json_object_get(tree, "series"), *series;
        size_t i;
        if (json_array_size(all) > 0) {
            series = json_array_get(all, 0);
            bw_buf_append_str(&text, "from              ");
            bw_when_print(bw_tree_number(series, "startUnixMs"), BW_WHEN_LONG, &text);
            bw_buf_printf(&text, ", a value each %.3g s\n", (double)bw_tree_number(series, "stepMs") / 1000);
        }
        json_array_foreach(all, i, series) put_curve(cli, series, &text);
        put_path(tree, &text);
        const char *shown = bw_buf_cstr(&text);
        fputs(shown != NULL ? shown : "", cli->out);
        bw_buf_finish(&text);
        bw_support_missing(cli, tree);
    }
    json_decref(tree);
    return result;
}

static int support_show(struct bw_cli *cli)
{
    int result = bw_when_zone(cli);
    if (result != BW_EXIT_OK)
        return result;
    if (bw_args_given(cli->args, "slot"))
        return show_stream(cli);
    if (bw_args_given(cli->args, "stream"))
        return bw_cli_say(cli, BW_EXIT_USAGE, "--stream wants --slot beside it: whose stream?");
    return show_meeting(cli);
}

static const struct bw_operand operands[] = {BW_MEETING_OPERAND};
static const struct bw_option option_rows[] = {
    BW_TENANT_OPTION,
    BW_TZ_OPTION,
    {.name = "slot",
     .type = BW_OPTION_UINT,
     .value = "N",
     .help = "the curves and the path of this participant"},
    {.name = "stream",
     .type = BW_OPTION_UINT,
     .value = "N",
     .help = "one of its streams (default: from the participant to its relay)"},
    {.name = "user",
     .type = BW_OPTION_TEXT,
     .value = "USER",
     .help = "tier 1: the user who asks about their own call (localpart@domain)"},
};

const struct bw_verb bw_verb_support_show = {
    .noun = "support",
    .name = "show",
    .summary = "one meeting in short, or the curves of one participant",
    .example = "bailiwick support show 0192f3a0-7c41-7a60-9d3e-6b1f2a3c4d5e --slot 3",
    BW_OPTIONS(option_rows),
    BW_OPERANDS(operands),
    .run = support_show,
};
