/* support stats: percentiles and percent poor, by where and under which policy. */
#include "bailiwick/v1/support.pb-c.h"
#include "cli/options.h"
#include "cli/server.h"
#include "cli/support.h"
#include "cli/verbs.h"
#include "cli/when.h"
#include "runtime/clock.h"

static const char *const dimension_names[] = {"site",           "relay",           "asn",
                                              "client-version", "policy-revision", NULL};

static const struct bw_column columns[] = {
    {"GROUP", "value", BW_CELL_TEXT, NULL, false},
    {"P50", "shown.p50", BW_CELL_TEXT, NULL, false},
    {"P90", "shown.p90", BW_CELL_TEXT, NULL, false},
    {"P95", "shown.p95", BW_CELL_TEXT, NULL, false},
    {"P99", "shown.p99", BW_CELL_TEXT, NULL, false},
    {"POOR", "shown.poor", BW_CELL_TEXT, NULL, false},
    {"SAMPLES", "shown.samples", BW_CELL_TEXT, NULL, false},
    {"PEOPLE", "shown.people", BW_CELL_TEXT, NULL, false},
};
static const struct bw_view_table view = {
    .list = "stats", .name = "value", .columns = columns, .count = sizeof columns / sizeof columns[0]};

static void put_text(json_t *object, const char *key, struct bw_buf *text)
{
    const char *words = bw_buf_cstr(text);
    json_object_set_new(object, key, json_string(words != NULL ? words : ""));
    bw_buf_finish(text);
    *text = (struct bw_buf){0};
}

/* Figures in words, for a table. */
static void add_words(json_t *stat, unsigned metric)
{
    static const char *const figures[] = {"p50", "p90", "p95", "p99"};
    json_t *shown = json_object();
    struct bw_buf text = {0};
    json_object_set_new(stat, "shown", shown);
    if (json_is_true(json_object_get(stat, "suppressed"))) {
        json_object_set_new(shown, "people", json_string("fewer than five: not shown"));
        return;
    }
    for (size_t i = 0; i < sizeof figures / sizeof figures[0]; i++) {
        bw_metric_print(metric, bw_tree_number(stat, figures[i]), &text);
        put_text(shown, figures[i], &text);
    }
    bw_buf_printf(&text, "%.2f %%", (double)bw_tree_number(stat, "poorPpm") / 1e4);
    put_text(shown, "poor", &text);
    bw_buf_printf(&text, "%llu", (unsigned long long)bw_tree_number(stat, "samples"));
    put_text(shown, "samples", &text);
    bw_buf_printf(&text, "%llu", (unsigned long long)bw_tree_number(stat, "participants"));
    put_text(shown, "people", &text);
}

static void prepare_table(json_t *tree, unsigned metric)
{
    json_t *all = json_object_get(tree, "all"), *stats = json_object_get(tree, "stats"), *stat;
    size_t i;
    json_array_foreach(stats, i, stat) add_words(stat, metric);
    if (!json_is_object(all))
        return;
    add_words(all, metric);
    json_object_set_new(all, "value", json_string("(all)"));
    json_array_append(stats, all);
}

static int support_stats(struct bw_cli *cli)
{
    Bailiwick__V1__GetQualityStatsRequest request = BAILIWICK__V1__GET_QUALITY_STATS_REQUEST__INIT;
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
    request.metric = (Bailiwick__V1__QualityMetric)(bw_args_choice(cli->args, "metric", 0) + 1);
    request.by = (Bailiwick__V1__QualityDimension)(bw_args_choice(cli->args, "by", 1) + 1);
    json_t *tree = NULL;
    result = bw_server_list(cli, BW_METHOD(SupportService, GetQualityStats), &request.base,
                            &request.page_size, &request.page_token,
                            &bailiwick__v1__get_quality_stats_response__descriptor, "stats", &tree);
    if (result != BW_EXIT_OK)
        return result;
    bw_when_tree(tree, bw_output_is_tree(cli) ? BW_WHEN_RFC3339 : BW_WHEN_LONG);
    if (cli->output == BW_OUTPUT_TABLE || cli->output == BW_OUTPUT_WIDE) {
        const json_t *covered = json_object_get(tree, "covered");
        bw_cli_note(cli, "%s by %s, %s to %s", bw_metric_names[request.metric - 1],
                    dimension_names[request.by - 1], bw_tree_text(covered, "from"),
                    bw_tree_text(covered, "to"));
        prepare_table(tree, (unsigned)request.metric);
    }
    result = bw_show(cli, tree, &view);
    if (!bw_output_is_tree(cli))
        bw_support_missing(cli, tree);
    json_decref(tree);
    return result;
}

static const struct bw_option option_rows[] = {
    BW_TENANT_OPTION,
    {.name = "metric",
     .type = BW_OPTION_CHOICE,
     .value = "METRIC",
     .choices = bw_metric_names,
     .help = "what was measured (default loss)"},
    {.name = "by",
     .type = BW_OPTION_CHOICE,
     .value = "DIMENSION",
     .choices = dimension_names,
     .help = "what the figures are grouped by (default relay)"},
    BW_RANGE_OPTIONS,
    BW_TZ_OPTION,
    BW_LIMIT_OPTION,
};

const struct bw_verb bw_verb_support_stats = {
    .noun = "support",
    .name = "stats",
    .summary = "how the meetings went in all: percentiles and percent poor",
    .about = "Whole hours are added up. Groups of fewer than five people are not shown to support tier 1. A "
             "person\n"
             "in several meetings counts once for each.",
    .example = "bailiwick support stats --metric jitter --by site --since 7d",
    BW_OPTIONS(option_rows),
    .run = support_stats,
};
