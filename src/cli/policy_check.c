/* policy check: everything that is wrong with documents, without a server. */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/options.h"
#include "cli/output.h"
#include "cli/policy.h"
#include "cli/verbs.h"
#include "placement/fleet_file.h"
#include "policy/validate.h"
#include "runtime/clock.h"

bool bw_policy_source_is_meeting(const struct bw_source *source)
{
    struct bw_diags unused;
    struct bw_arena *arena = bw_arena_create(BW_YAML_ARENA_BYTES);
    if (arena == NULL)
        return false;
    bw_diags_init(&unused);
    const struct bw_yaml_node *root = bw_yaml_read(source, arena, &unused, NULL);
    const struct bw_yaml_node *kind =
        root != NULL && root->kind == BW_YAML_MAP ? bw_yaml_get(root, "kind") : NULL;
    bool meeting =
        kind != NULL && kind->kind == BW_YAML_SCALAR && bw_view_equal_str(kind->text, "MeetingPolicy");
    bw_diags_finish(&unused);
    bw_arena_destroy(arena);
    return meeting;
}

int bw_diags_show(struct bw_cli *cli, const struct bw_diags *diags, FILE *stream)
{
    struct bw_buf text = {0};
    bw_diags_human(diags, stream == cli->out ? cli->colour_out : cli->colour_err, &text);
    const char *shown = bw_buf_cstr(&text);
    fputs(shown != NULL ? shown : "", stream);
    bw_buf_finish(&text);
    return shown != NULL ? BW_EXIT_OK : bw_cli_memory(cli);
}

int bw_diags_show_tree(struct bw_cli *cli, const struct bw_diags *diags)
{
    struct bw_buf text = {0};
    bw_diags_json(diags, &text);
    json_t *tree = text.failed ? NULL : json_loadb((const char *)text.data, text.len, 0, NULL);
    bw_buf_finish(&text);
    int result = tree != NULL ? bw_show_tree(cli, tree) : bw_cli_memory(cli);
    json_decref(tree);
    return result;
}

int bw_fleet_read(struct bw_cli *cli, const char *path, struct bw_snapshot **snapshot)
{
    struct bw_view text;
    int result = bw_cli_read(cli, path, BW_YAML_MAX_BYTES, &text);
    if (result != BW_EXIT_OK)
        return result;
    struct bw_source source = {bw_cli_file_name(path), text};
    struct bw_diags diags;
    struct bw_error err = {0};
    bw_diags_init(&diags);
    enum bw_code code = bw_fleet_load(&source, &diags, snapshot, &err);
    if (code != BW_OK && diags.count > 0)
        bw_diags_show(cli, &diags, cli->err);
    else if (code != BW_OK)
        bw_cli_fail(cli, &err);
    bw_diags_finish(&diags);
    return code == BW_OK ? BW_EXIT_OK : BW_EXIT_USAGE;
}

/* ---- which files ---- */

struct files {
    const char **names;
    size_t count;
};

static int is_document(const struct dirent *entry)
{
    const char *dot = strrchr(entry->d_name, '.');
    return entry->d_name[0] != '.' && dot != NULL && (strcmp(dot, ".yaml") == 0 || strcmp(dot, ".yml") == 0);
}

static int add_folder(struct bw_cli *cli, const char *path, struct files *files)
{
    struct dirent **entries;
    int n = scandir(path, &entries, is_document, alphasort);
    if (n < 0)
        return bw_cli_say(cli, BW_EXIT_USAGE, "%s: the folder cannot be read", path);
    const char **names = bw_arena_zalloc(cli->arena, files->count + (size_t)n + 1, sizeof *names);
    bool ok = names != NULL;
    if (ok && files->count > 0)
        memcpy(names, files->names, files->count * sizeof *names);
    for (int i = 0; i < n; i++) {
        size_t len = strlen(path);
        if (ok) {
            names[files->count] = bw_arena_printf(
                cli->arena, "%s%s%s", path, len > 0 && path[len - 1] == '/' ? "" : "/", entries[i]->d_name);
            ok = names[files->count++] != NULL;
        }
        free(entries[i]);
    }
    free(entries);
    files->names = names;
    if (!ok)
        return bw_cli_memory(cli);
    return n > 0 ? BW_EXIT_OK : bw_cli_say(cli, BW_EXIT_USAGE, "%s: no .yaml file in this folder", path);
}

static int add_file(struct bw_cli *cli, const char *path, struct files *files)
{
    const char **names = bw_arena_zalloc(cli->arena, files->count + 1, sizeof *names);
    if (names == NULL)
        return bw_cli_memory(cli);
    if (files->count > 0)
        memcpy(names, files->names, files->count * sizeof *names);
    names[files->count++] = path;
    files->names = names;
    return BW_EXIT_OK;
}

static int collect(struct bw_cli *cli, struct files *files)
{
    const char **given;
    size_t count;
    if (!bw_args_list(cli->args, "file", cli->arena, &count, &given))
        return bw_cli_memory(cli);
    for (size_t i = 0; i < count; i++) {
        struct stat st;
        bool folder = strcmp(given[i], "-") != 0 && stat(given[i], &st) == 0 && S_ISDIR(st.st_mode);
        int result = folder ? add_folder(cli, given[i], files) : add_file(cli, given[i], files);
        if (result != BW_EXIT_OK)
            return result;
    }
    return BW_EXIT_OK;
}

/* ---- the verb ---- */

struct check {
    struct bw_cli *cli;
    const struct bw_policy_today *today;
    struct bw_diags diags;
    size_t invalid;
};

static int check_file(struct check *check, const char *path)
{
    struct bw_cli *cli = check->cli;
    struct bw_view text;
    /* One byte more than a document may have, so that the reader's own words are heard. */
    int result = bw_cli_read(cli, path, BW_YAML_MAX_BYTES + 1, &text);
    if (result != BW_EXIT_OK)
        return result;
    struct bw_source source = {bw_cli_file_name(path), text};
    struct bw_policy_options options = {.kind = bw_policy_source_is_meeting(&source) ? BW_POLICY_MEETING
                                                                                     : BW_POLICY_TENANT};
    const struct bw_policy_doc *doc;
    struct bw_error err = {0};
    size_t before = check->diags.errors;
    const struct bw_policy_today *today = options.kind == BW_POLICY_TENANT ? check->today : NULL;
    enum bw_code code = bw_policy_validate(&source, &options, today, cli->arena, &check->diags, &doc, &err);
    bool valid = code == BW_OK && check->diags.errors == before;
    if (!valid)
        check->invalid++;
    if (code != BW_OK && check->diags.errors == before)
        return bw_cli_fail(cli, &err);
    if (cli->output == BW_OUTPUT_NAME && !valid)
        fprintf(cli->out, "%s\n", source.file);
    if (!bw_output_is_tree(cli) && cli->output != BW_OUTPUT_NAME && valid)
        fprintf(cli->out, "%s: ok\n", source.file);
    return BW_EXIT_OK;
}

static int check_all(struct check *check, const struct files *files)
{
    struct bw_cli *cli = check->cli;
    for (size_t i = 0; i < files->count; i++) {
        int result = check_file(check, files->names[i]);
        if (result != BW_EXIT_OK)
            return result;
    }
    bw_diags_sort(&check->diags);
    int result = BW_EXIT_OK;
    if (bw_output_is_tree(cli))
        result = bw_diags_show_tree(cli, &check->diags);
    else if (check->diags.count > 0 && cli->output != BW_OUTPUT_NAME)
        result = bw_diags_show(cli, &check->diags, cli->out);
    if (result != BW_EXIT_OK)
        return result;
    return check->invalid == 0 ? BW_EXIT_OK : BW_EXIT_NO;
}

static int policy_check(struct bw_cli *cli)
{
    struct files files = {0};
    int result = collect(cli, &files);
    if (result != BW_EXIT_OK)
        return result;
    struct bw_snapshot *snapshot = NULL;
    struct bw_policy_today today = {.cell = bw_args_text(cli->args, "cell"), .now_ms = bw_clock_wall_ms()};
    const char *fleet = bw_args_text(cli->args, "fleet");
    if (fleet != NULL) {
        result = bw_fleet_read(cli, fleet, &snapshot);
        if (result != BW_EXIT_OK)
            return result;
        today.facts = snapshot->facts;
    }
    struct check check = {.cli = cli, .today = fleet != NULL ? &today : NULL};
    bw_diags_init(&check.diags);
    result = check_all(&check, &files);
    bw_diags_finish(&check.diags);
    bw_snapshot_release(snapshot);
    return result;
}

static const struct bw_option option_rows[] = {
    {.name = "file",
     .letter = 'f',
     .type = BW_OPTION_LIST,
     .flags = BW_OPTION_REQUIRED | BW_OPTION_WHOLE,
     .value = "FILE|DIR|-",
     .help = "the documents; a folder stands for its .yaml files, - for standard input"},
    {.name = "fleet",
     .type = BW_OPTION_FILE,
     .value = "FILE",
     .help = "also say where a level leaves no relay of this fleet"},
    {.name = "cell",
     .type = BW_OPTION_TEXT,
     .value = "NAME",
     .help = "with --fleet: the signalling cell (default: the first that the policy names)"},
};

const struct bw_verb bw_verb_policy_check = {
    .noun = "policy",
    .name = "check",
    .summary = "everything that is wrong with a policy, without a server",
    .about = "All errors are found in one run, each with its place, a stable code and, where there is one,\n"
             "what to write instead. Exit status 1 when a document is not valid.",
    .example = "bailiwick policy check -f policy.yaml --fleet fleet.yaml -o json",
    BW_OPTIONS(option_rows),
    .run = policy_check,
};
