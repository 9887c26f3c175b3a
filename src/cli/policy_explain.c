/* policy explain: why a meeting is placed as it is. With --fleet it answers by itself; without, the cell
 * does. */
#include <string.h>

#include "cli/options.h"
#include "cli/output.h"
#include "cli/policy.h"
#include "cli/verbs.h"
#include "e2ee/flags.h"
#include "placement/explain.h"
#include "policy/validate.h"
#include "runtime/clock.h"

struct question {
    struct bw_cli *cli;
    struct bw_source policy, override, request;
    const struct bw_policy_doc *doc, *meeting;
    struct bw_snapshot *snapshot;
    struct bw_request_file file;
};

/* ---- reading ---- */

static int read_source(struct bw_cli *cli, const char *path, struct bw_source *source)
{
    source->file = bw_cli_file_name(path);
    return bw_cli_read(cli, path, BW_YAML_MAX_BYTES + 1, &source->text);
}

/* Warnings are for `policy check`; what is wrong is said, and the question has no answer then. */
static int read_policy(struct question *q, const struct bw_source *source, enum bw_policy_doc_kind kind,
                       const struct bw_policy_doc **doc)
{
    struct bw_diags diags;
    struct bw_error err = {0};
    struct bw_policy_options options = {.kind = kind};
    bw_diags_init(&diags);
    enum bw_code code = bw_policy_validate(source, &options, NULL, q->cli->arena, &diags, doc, &err);
    if (code == BW_OK && kind == BW_POLICY_MEETING) {
        bw_policy_check_meeting(q->doc, *doc, false, &diags);
        code = bw_diags_status(&diags, &err);
    }
    int result = BW_EXIT_OK;
    if (code != BW_OK && diags.errors > 0) {
        bw_diags_show(q->cli, &diags, q->cli->err);
        result = BW_EXIT_NO;
    } else if (code != BW_OK) {
        result = bw_cli_fail(q->cli, &err);
    }
    bw_diags_finish(&diags);
    return result;
}

static int read_request(struct question *q)
{
    struct bw_diags diags;
    struct bw_error err = {0};
    bw_diags_init(&diags);
    enum bw_code code = bw_request_load(&q->request, q->snapshot, q->cli->arena, &diags, &q->file, &err);
    if (code != BW_OK && diags.count > 0)
        bw_diags_show(q->cli, &diags, q->cli->err);
    else if (code != BW_OK)
        bw_cli_fail(q->cli, &err);
    bw_diags_finish(&diags);
    return code == BW_OK ? BW_EXIT_OK : BW_EXIT_USAGE;
}

/* ---- flags ---- */

static enum bw_suite first_suite(uint32_t allowed)
{
    enum bw_suite suites[BW_SFRAME_SUITE_COUNT];
    size_t count = 0;
    for (unsigned i = 0; i < BW_SFRAME_SUITE_COUNT; i++)
        if (allowed & (UINT32_C(1) << i))
            suites[count++] = (enum bw_suite)(i + 1);
    return bw_suite_choose(suites, count);
}

/* What every placed participant can do; connectors take what the meeting has. */
static uint32_t common_schemes(const struct bw_explanation *e)
{
    uint32_t schemes = BW_SCHEMES_ALL;
    for (size_t i = 0; i < e->request->participant_count; i++) {
        const struct bw_request_participant *p = &e->request->participants[i];
        if (e->plan.assignments[i] != BW_NO_RELAY && !p->where.is_connector)
            schemes &= bw_endpoint_schemes(bw_endpoint_parse(bw_view_str(p->kind)), NULL);
    }
    return schemes;
}

/* What each participant would be allocated when it joins; as the meeting's owner does it. */
static int allocate(struct bw_cli *cli, struct bw_explanation *e)
{
    const char **allocated =
        bw_arena_zalloc(cli->arena, e->request->participant_count + 1, sizeof *allocated);
    if (allocated == NULL)
        return bw_cli_memory(cli);
    struct bw_mode_state state = {.mode = BW_MODE_HOP, .epoch = 1};
    if (e->mode == BW_MODE_SET_E2EE)
        state.mode = e->with_connectors ? BW_MODE_E2EE_CONNECTORS : BW_MODE_E2EE;
    enum bw_suite suite = first_suite(e->constraints->suites);
    struct bw_flags_meeting meeting = {0};
    if (state.mode != BW_MODE_HOP)
        meeting = (struct bw_flags_meeting){bw_scheme_best(common_schemes(e)), suite};
    for (size_t i = 0; i < e->request->participant_count; i++) {
        const struct bw_request_participant *p = &e->request->participants[i];
        enum bw_endpoint endpoint = bw_endpoint_parse(bw_view_str(p->kind));
        struct bw_flags flags = {0};
        if (bw_flags_allocate(&state, endpoint, p->where.is_connector, bw_endpoint_schemes(endpoint, NULL),
                              suite, &meeting, &flags, NULL) == BW_OK)
            allocated[i] = bw_scheme_name(flags.allocated.scheme);
    }
    e->allocated = allocated;
    return BW_EXIT_OK;
}

/* ---- answering ---- */

static int show_json(struct bw_cli *cli, const struct bw_explanation *e)
{
    struct bw_buf text = {0};
    struct bw_error err = {0};
    if (bw_explain_json(e, &text, &err) != BW_OK) {
        bw_buf_finish(&text);
        return bw_cli_fail(cli, &err);
    }
    json_t *tree = json_loadb((const char *)text.data, text.len, 0, NULL);
    bw_buf_finish(&text);
    int result = tree != NULL ? bw_show_tree(cli, tree) : bw_cli_memory(cli);
    json_decref(tree);
    return result;
}

static int show_words(struct question *q, const struct bw_explanation *e)
{
    const struct bw_source sources[] = {q->policy, q->override};
    struct bw_buf text = {0};
    bw_explain_text(e, sources, q->meeting != NULL ? 2 : 1, &text);
    const char *shown = bw_buf_cstr(&text);
    fputs(shown != NULL ? shown : "", q->cli->out);
    bw_buf_finish(&text);
    return shown != NULL ? BW_EXIT_OK : bw_cli_memory(q->cli);
}

/* -o name: the relays chosen. */
static int show_relays(struct bw_cli *cli, const struct bw_explanation *e)
{
    for (size_t i = 0; i < e->plan.relay_count; i++)
        fprintf(cli->out, "%s\n", e->snapshot->facts->relays[e->plan.relays[i]].name);
    return BW_EXIT_OK;
}

static int answer(struct question *q)
{
    struct bw_cli *cli = q->cli;
    struct bw_explanation explanation = {0};
    struct bw_error err = {0};
    enum bw_code code = bw_explain_request(q->doc, q->meeting, q->snapshot, &q->file, NULL,
                                           bw_clock_wall_ms(), cli->arena, &explanation, &err);
    /* Levels that leave nothing to choose from: the answer is no. */
    if (code == BW_FAILED_PRECONDITION)
        return bw_cli_say(cli, BW_EXIT_NO, "%s", err.show);
    if (code != BW_OK)
        return bw_cli_fail(cli, &err);
    int result = allocate(cli, &explanation);
    if (result == BW_EXIT_OK && bw_output_is_tree(cli))
        result = show_json(cli, &explanation);
    else if (result == BW_EXIT_OK)
        result = cli->output == BW_OUTPUT_NAME ? show_relays(cli, &explanation) : show_words(q, &explanation);
    if (result == BW_EXIT_OK && !explanation.plan.placed)
        result = BW_EXIT_NO;
    bw_explanation_finish(&explanation);
    return result;
}

static int explain_offline(struct question *q)
{
    const struct bw_args *args = q->cli->args;
    const char *policy = bw_args_text(args, "file"), *request = bw_args_text(args, "request");
    const char *override = bw_args_text(args, "override");
    if (policy == NULL || request == NULL)
        return bw_cli_say(q->cli, BW_EXIT_USAGE, "--fleet answers without a server, and wants --%s too",
                          policy == NULL ? "file POLICY" : "request FILE");
    int result = read_source(q->cli, policy, &q->policy);
    if (result == BW_EXIT_OK)
        result = read_policy(q, &q->policy, BW_POLICY_TENANT, &q->doc);
    if (result == BW_EXIT_OK && override != NULL)
        result = read_source(q->cli, override, &q->override);
    if (result == BW_EXIT_OK && override != NULL)
        result = read_policy(q, &q->override, BW_POLICY_MEETING, &q->meeting);
    if (result == BW_EXIT_OK)
        result = bw_fleet_read(q->cli, bw_args_text(args, "fleet"), &q->snapshot);
    if (result == BW_EXIT_OK)
        result = read_source(q->cli, request, &q->request);
    if (result == BW_EXIT_OK)
        result = read_request(q);
    return result == BW_EXIT_OK ? answer(q) : result;
}

static int policy_explain(struct bw_cli *cli)
{
    if (!bw_args_given(cli->args, "fleet"))
        return bw_policy_explain_ask(cli);
    if (bw_args_given(cli->args, "meeting") || bw_args_given(cli->args, "reference") ||
        bw_args_given(cli->args, "slot"))
        return bw_cli_say(
            cli, BW_EXIT_USAGE,
            "--meeting, --slot and --reference ask the cell; leave --fleet out, or ask with --request");
    struct question question = {.cli = cli};
    int result = explain_offline(&question);
    bw_snapshot_release(question.snapshot);
    return result;
}

static const struct bw_option option_rows[] = {
    {.name = "file",
     .letter = 'f',
     .type = BW_OPTION_FILE,
     .value = "FILE|-",
     .help = "the policy to explain; without it, the one in force at the cell"},
    {.name = "fleet",
     .type = BW_OPTION_FILE,
     .value = "FILE",
     .help = "answer on this fleet, without a server"},
    {.name = "request", .type = BW_OPTION_FILE, .value = "FILE|-", .help = "who would meet"},
    {.name = "override",
     .type = BW_OPTION_FILE,
     .value = "FILE",
     .help = "with --fleet: the meeting's own policy"},
    {.name = "meeting",
     .type = BW_OPTION_TEXT,
     .value = "UUID",
     .help = "explain this live meeting; with --slot one participant"},
    {.name = "slot",
     .type = BW_OPTION_UINT,
     .value = "N",
     .help = "with --meeting: the decision that placed this participant, also after the meeting"},
    {.name = "reference",
     .type = BW_OPTION_TEXT,
     .value = "REF",
     .help = "explain the decision of an admission, a move or a refusal"},
    {.name = "tenant",
     .type = BW_OPTION_TEXT,
     .value = "NAME",
     .help = "the tenant, with --meeting and --reference"},
};

const struct bw_verb bw_verb_policy_explain = {
    .noun = "policy",
    .name = "explain",
    .summary = "why a meeting is, or would be, where it is",
    .about = "With --fleet it needs no server: it compiles the policy over the fleet and plans the request.\n"
             "Without, it asks the cell about a request, a live meeting, or a reference.\n"
             "Exit status 1 when the answer is that the meeting is refused.",
    .example = "bailiwick policy explain -f policy.yaml --fleet fleet.yaml --request request.yaml -o json",
    BW_OPTIONS(option_rows),
    .run = policy_explain,
};
