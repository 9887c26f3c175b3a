#include "cli/cli.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/id.h"
#include "cli/help.h"
#include "cli/output.h"
#include "cli/server.h"
#include "runtime/file.h"
#include "runtime/random.h"

/* What one run may keep: the answers of a long list and a fleet. */
enum { ARENA_MAX_BYTES = 1 << 30 };

static const char later[] =
    "What comes later: policy fmt, test, diff, impact, promote; support now, search, show, timeline,\n"
    "stats, compare, export, grant; data; key; audit; login.";

/* ---- words ---- */

static void say(struct bw_cli *cli, const char *before, const char *format, va_list args)
{
    struct bw_buf raw = {0}, text = {0};
    bw_buf_vprintf(&raw, format, args);
    bw_text_harmless(&text, bw_buf_cstr(&raw) != NULL ? bw_buf_cstr(&raw) : "out of memory");
    fprintf(cli->err, "%s%s\n", before, bw_buf_cstr(&text) != NULL ? bw_buf_cstr(&text) : "out of memory");
    bw_buf_finish(&raw);
    bw_buf_finish(&text);
}

int bw_cli_say(struct bw_cli *cli, int code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say(cli, "bailiwick: ", format, args);
    va_end(args);
    return code;
}

void bw_cli_note(struct bw_cli *cli, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say(cli, "", format, args);
    va_end(args);
}

int bw_cli_fail(struct bw_cli *cli, const struct bw_error *error)
{
    return bw_cli_say(cli, (int)bw_exit_of(error->code, error->reason), "%s", error->show);
}

int bw_cli_memory(struct bw_cli *cli)
{
    return bw_cli_say(cli, BW_EXIT_INTERNAL, "out of memory");
}

/* ---- files ---- */

const char *bw_cli_file_name(const char *path)
{
    return strcmp(path, "-") == 0 ? "<stdin>" : path;
}

static enum bw_code read_stdin(size_t max_bytes, struct bw_buf *out, struct bw_error *err)
{
    char chunk[8192];
    for (size_t n; (n = fread(chunk, 1, sizeof chunk, stdin)) > 0;) {
        bw_buf_append(out, chunk, n);
        if (out->len > max_bytes)
            return bw_fail(err, BW_INVALID_ARGUMENT, NULL, "standard input is larger than %zu bytes",
                           max_bytes);
    }
    if (ferror(stdin))
        return bw_fail(err, BW_INVALID_ARGUMENT, NULL, "standard input: %s", strerror(errno));
    return out->failed ? bw_fail_memory(err) : BW_OK;
}

int bw_cli_read(struct bw_cli *cli, const char *path, size_t max_bytes, struct bw_view *text)
{
    struct bw_buf bytes = {0};
    struct bw_error err = {0};
    enum bw_code code = strcmp(path, "-") == 0 ? read_stdin(max_bytes, &bytes, &err)
                                               : bw_file_read(path, max_bytes, &bytes, &err);
    const char *copy =
        code == BW_OK ? bw_arena_strndup(cli->arena, bytes.len > 0 ? (const char *)bytes.data : "", bytes.len)
                      : NULL;
    size_t len = bytes.len;
    bw_buf_finish(&bytes);
    if (code != BW_OK)
        return bw_cli_say(cli, BW_EXIT_USAGE, "%s", err.show);
    if (copy == NULL)
        return bw_cli_memory(cli);
    *text = bw_view_of(copy, len);
    return BW_EXIT_OK;
}

/* ---- request ids ---- */

const char *bw_cli_request_id(struct bw_cli *cli)
{
    const char *given = bw_args_text(cli->args, "request-id");
    struct bw_id id;
    if (given != NULL && !bw_id_parse(bw_view_str(given), &id)) {
        bw_cli_say(cli, BW_EXIT_USAGE, "--request-id: '%.60s' is not a UUID", given);
        return NULL;
    }
    if (given == NULL) {
        uint8_t random[16];
        bw_random_bytes(random, sizeof random);
        id = bw_id_v4(random);
    }
    char *text = bw_arena_alloc(cli->arena, BW_ID_TEXT_SIZE);
    if (text == NULL) {
        bw_cli_memory(cli);
        return NULL;
    }
    bw_id_format(&id, text);
    return text;
}

/* ---- the run ---- */

static void interrupted(int number)
{
    (void)number;
    _exit(BW_EXIT_INTERRUPTED);
}

static bool set(const struct bw_cli *cli, const char *name)
{
    const char *value = cli->env(name);
    return value != NULL && value[0] != '\0';
}

static bool wants_colour(const struct bw_cli *cli, FILE *stream)
{
    int file = fileno(stream);
    const char *terminal = cli->env("TERM");
    return file >= 0 && isatty(file) && !set(cli, "NO_COLOR") && !bw_args_given(cli->args, "no-color") &&
           !(terminal != NULL && strcmp(terminal, "dumb") == 0);
}

static int choose_output(struct bw_cli *cli)
{
    const char *wanted = cli->env("BAILIWICK_OUTPUT");
    unsigned output = BW_OUTPUT_TABLE;
    if (wanted != NULL && wanted[0] != '\0') {
        while (bw_output_names[output] != NULL && strcmp(bw_output_names[output], wanted) != 0)
            output++;
        if (bw_output_names[output] == NULL)
            return bw_cli_say(cli, BW_EXIT_USAGE,
                              "BAILIWICK_OUTPUT: '%.40s' is not table, wide, json, yaml or name", wanted);
    }
    cli->output = (enum bw_output)bw_args_choice(cli->args, "output", output);
    return BW_EXIT_OK;
}

static int print_help(struct bw_cli *cli)
{
    struct bw_buf text = {0};
    bw_help(cli->args, later, &text);
    const char *shown = bw_buf_cstr(&text);
    fputs(shown != NULL ? shown : "", cli->out);
    bw_buf_finish(&text);
    return shown != NULL ? BW_EXIT_OK : bw_cli_memory(cli);
}

static int run(struct bw_cli *cli, int argc, const char *const *argv, struct bw_args *args)
{
    struct bw_error err = {0};
    enum bw_code code = bw_args_parse(&bw_cli_line, argc, argv, cli->arena, args, &err);
    cli->args = args;
    if (code == BW_UNIMPLEMENTED || code == BW_INVALID_ARGUMENT)
        return bw_cli_say(cli, BW_EXIT_USAGE, "%s", err.show);
    if (code != BW_OK)
        return bw_cli_fail(cli, &err);
    cli->colour_out = wants_colour(cli, cli->out);
    cli->colour_err = wants_colour(cli, cli->err);
    int result = choose_output(cli);
    if (result != BW_EXIT_OK)
        return result;
    return args->help ? print_help(cli) : args->verb->run(cli);
}

int bw_cli_main(int argc, const char *const *argv, FILE *out, FILE *err, const char *(*env)(const char *name))
{
    struct sigaction action = {.sa_handler = interrupted};
    sigaction(SIGINT, &action, NULL);
    signal(SIGPIPE, SIG_IGN); /* a reader that leaves is an error of the write */
    struct bw_args args = {.line = &bw_cli_line};
    struct bw_cli cli = {.args = &args, .out = out, .err = err, .env = env};
    cli.arena = bw_arena_create(ARENA_MAX_BYTES);
    if (cli.arena == NULL)
        return bw_cli_memory(&cli);
    int result = run(&cli, argc, argv, &args);
    bw_server_close(cli.server);
    /* A full disk or a closed pipe must not look like success. */
    if ((fflush(out) != 0 || ferror(out)) && result == BW_EXIT_OK)
        result = errno == EPIPE
                     ? BW_EXIT_OK
                     : bw_cli_say(&cli, BW_EXIT_INTERNAL, "cannot write the answer: %s", strerror(errno));
    bw_arena_destroy(cli.arena);
    return result;
}
