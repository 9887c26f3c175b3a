/* completion and version. */
#include "cli/cli.h"
#include "cli/help.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/verbs.h"

static const char *const shell_names[] = {"bash", "zsh", "fish", NULL};

static int completion(struct bw_cli *cli)
{
    const char *wanted = bw_args_operand(cli->args, 0);
    enum bw_shell shell = wanted[0] == 'b' ? BW_SHELL_BASH : wanted[0] == 'z' ? BW_SHELL_ZSH : BW_SHELL_FISH;
    struct bw_buf text = {0};
    bw_completion(cli->args->line, shell, &text);
    const char *shown = bw_buf_cstr(&text);
    fputs(shown != NULL ? shown : "", cli->out);
    bw_buf_finish(&text);
    return shown != NULL ? BW_EXIT_OK : bw_cli_memory(cli);
}

static const struct bw_operand shell_rows[] = {
    {.name = "SHELL", .required = true, .choices = shell_names, .help = "which shell"},
};

const struct bw_verb bw_verb_completion = {
    .noun = "completion",
    .summary = "a completion script for your shell",
    .example = "source <(bailiwick completion bash)",
    BW_OPERANDS(shell_rows),
    .run = completion,
};

static int version(struct bw_cli *cli)
{
    if (!bw_output_is_tree(cli)) {
        fprintf(cli->out, "bailiwick %s\n", BW_VERSION);
        return BW_EXIT_OK;
    }
    json_t *tree = json_pack("{s:s, s:s}", "version", BW_VERSION, "api", "bailiwick.v1");
    int result = tree != NULL ? bw_show_tree(cli, tree) : bw_cli_memory(cli);
    json_decref(tree);
    return result;
}

const struct bw_verb bw_verb_version = {
    .noun = "version",
    .summary = "the version of this program",
    .example = "bailiwick version -o json",
    .run = version,
};
