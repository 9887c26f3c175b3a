/* doctor: the usual mistakes, each with what to do. */
#include "cli/doctor.h"

#include <stdarg.h>

#include "cli/options.h"
#include "cli/output.h"
#include "cli/verbs.h"

static const char *const finding_names[] = {"ok", "note", "problem"};

void bw_doctor_tell(struct bw_doctor *doctor, enum bw_finding finding, const char *check, const char *todo,
                    const char *format, ...)
{
    struct bw_buf found = {0};
    va_list args;
    va_start(args, format);
    bw_buf_vprintf(&found, format, args);
    va_end(args);
    const char *text = bw_buf_cstr(&found);
    json_t *item = json_pack("{s:s, s:s, s:s}", "check", check, "result", finding_names[finding], "found",
                             text != NULL ? text : "out of memory");
    if (todo != NULL)
        json_object_set_new(item, "todo", json_string(todo));
    json_array_append_new(doctor->checks, item);
    bw_buf_finish(&found);
    doctor->problems += finding == BW_FINDING_PROBLEM;
}

static void print_check(struct bw_cli *cli, const json_t *item)
{
    static const char *const colours[] = {"\033[32m", "\033[33m", "\033[31m"};
    const char *result = json_string_value(json_object_get(item, "result"));
    const char *todo = json_string_value(json_object_get(item, "todo"));
    unsigned finding = result[0] == 'o'   ? BW_FINDING_OK
                       : result[0] == 'n' ? BW_FINDING_NOTE
                                          : BW_FINDING_PROBLEM;
    struct bw_buf line = {0};
    bw_buf_printf(&line, "%s%-8s%s%-14s", cli->colour_out ? colours[finding] : "", result,
                  cli->colour_out ? "\033[0m" : "", json_string_value(json_object_get(item, "check")));
    bw_text_harmless(&line, json_string_value(json_object_get(item, "found")));
    if (todo != NULL)
        bw_buf_printf(&line, "; to do: %s", todo);
    const char *text = bw_buf_cstr(&line);
    fprintf(cli->out, "%s\n", text != NULL ? text : "out of memory");
    bw_buf_finish(&line);
}

static void print_checks(struct bw_doctor *doctor)
{
    size_t i;
    const json_t *item;
    json_array_foreach(doctor->checks, i, item)
    {
        print_check(doctor->cli, item);
    }
}

static void check_settings(struct bw_doctor *doctor)
{
    const struct bw_settings *s = doctor->cli->settings;
    if (!s->config_exists)
        bw_doctor_tell(doctor, s->endpoint.value != NULL ? BW_FINDING_NOTE : BW_FINDING_PROBLEM,
                       "configuration",
                       "bailiwick context set NAME --endpoint HOST:PORT --ca FILE --cert FILE --key FILE",
                       "there is no %s", s->config_path != NULL ? s->config_path : "configuration file");
    else
        bw_doctor_tell(doctor, BW_FINDING_OK, "configuration", NULL, "%s", s->config_path);
    if (s->config_exists && s->context == NULL)
        bw_doctor_tell(doctor, s->endpoint.value != NULL ? BW_FINDING_NOTE : BW_FINDING_PROBLEM, "context",
                       "bailiwick context use NAME", "no context is current");
    else if (s->context != NULL)
        bw_doctor_tell(doctor, BW_FINDING_OK, "context", NULL, "%s", s->context);
    if (s->endpoint.value != NULL)
        bw_doctor_tell(doctor, BW_FINDING_OK, "endpoint", NULL, "%s (from %s)", s->endpoint.value,
                       s->endpoint.origin);
    else if (s->config_exists && s->context != NULL)
        bw_doctor_tell(doctor, BW_FINDING_PROBLEM, "endpoint",
                       "bailiwick context set NAME --endpoint HOST:PORT", "none is set");
}

static int doctor(struct bw_cli *cli)
{
    int result = bw_cli_settings(cli);
    if (result != BW_EXIT_OK)
        return result;
    struct bw_doctor doctor = {.cli = cli, .checks = json_array(), .files_good = true};
    check_settings(&doctor);
    if (cli->settings->insecure)
        bw_doctor_tell(&doctor, BW_FINDING_NOTE, "tls", "leave --insecure out for anything but a test",
                       "clear text was asked for");
    else
        bw_doctor_files(&doctor);
    if (cli->settings->endpoint.value != NULL && doctor.files_good)
        bw_doctor_server(&doctor);
    if (bw_output_is_tree(cli)) {
        json_t *tree = json_pack("{s:O, s:i}", "checks", doctor.checks, "problems", (int)doctor.problems);
        result = tree != NULL ? bw_show_tree(cli, tree) : bw_cli_memory(cli);
        json_decref(tree);
    } else {
        print_checks(&doctor);
        bw_cli_note(cli,
                    "The cell's own side (database, schema, keys): `bailiwickd check-config --config FILE` "
                    "there, and what `bailiwickd serve` logs.");
    }
    json_decref(doctor.checks);
    if (result != BW_EXIT_OK)
        return result;
    return doctor.problems == 0 ? BW_EXIT_OK : BW_EXIT_NO;
}

static const struct bw_option option_rows[] = {BW_TENANT_OPTION};

const struct bw_verb bw_verb_doctor = {
    .noun = "doctor",
    .summary = "finds the usual mistakes and says what to do about each",
    .about =
        "Looks at the configuration, the certificate, its key and the CA, then connects and asks the cell.\n"
        "One line a check; exit status 1 when something is wrong.",
    .example = "bailiwick doctor --context prod",
    BW_OPTIONS(option_rows),
    .run = doctor,
};
