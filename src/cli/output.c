#include "cli/output.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "yaml/text.h"

bool bw_output_is_tree(const struct bw_cli *cli)
{
    return cli->output == BW_OUTPUT_JSON || cli->output == BW_OUTPUT_YAML;
}

void bw_text_harmless(struct bw_buf *out, const char *text)
{
    struct bw_view view = bw_view_str(text);
    for (size_t at = 0, n; at < view.len; at += n) {
        uint32_t c = bw_text_code_point(view, at, &n);
        bool reorders =
            (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) || c == 0x200e || c == 0x200f;
        bool controls = (c < 0x20 && c != '\n') || (c >= 0x7f && c <= 0x9f) || c == 0x2028 || c == 0x2029;
        if (c == BW_TEXT_INVALID || reorders || controls)
            bw_buf_append_u8(out, '?');
        else
            bw_buf_append(out, view.data + at, n);
    }
}

void bw_time_print(uint64_t unix_ms, struct bw_buf *out)
{
    time_t seconds = (time_t)(unix_ms / 1000);
    struct tm tm;
    char text[40];
    if (gmtime_r(&seconds, &tm) == NULL || strftime(text, sizeof text, "%Y-%m-%d %H:%M:%SZ", &tm) == 0)
        bw_buf_printf(out, "%" PRIu64 " ms", unix_ms);
    else
        bw_buf_append_str(out, text);
}

/* ---- cells ---- */

static const json_t *follow(const json_t *item, const char *path)
{
    char key[64];
    while (item != NULL && *path != '\0') {
        size_t n = strcspn(path, ".");
        if (n >= sizeof key)
            return NULL;
        memcpy(key, path, n);
        key[n] = '\0';
        item = json_object_get(item, key);
        path += n + (path[n] == '.');
    }
    return item;
}

static uint64_t number_of(const json_t *value)
{
    if (json_is_string(value))
        return strtoull(json_string_value(value), NULL, 10);
    return json_is_integer(value) && json_integer_value(value) > 0 ? (uint64_t)json_integer_value(value) : 0;
}

static void plain(const json_t *value, struct bw_buf *out)
{
    if (json_is_string(value))
        bw_text_harmless(out, json_string_value(value));
    else if (json_is_integer(value))
        bw_buf_printf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    else if (json_is_real(value))
        bw_buf_printf(out, "%g", json_real_value(value));
    else if (json_is_boolean(value))
        bw_buf_append_str(out, json_is_true(value) ? "yes" : "no");
}

static void word(const char *name, const char *prefix, struct bw_buf *out)
{
    size_t n = prefix != NULL ? strlen(prefix) : 0;
    if (n > 0 && strncmp(name, prefix, n) == 0)
        name += n;
    if (strcmp(name, "UNSPECIFIED") == 0)
        return;
    for (; *name != '\0'; name++)
        bw_buf_append_u8(out, *name == '_' ? '-' : (uint8_t)tolower((unsigned char)*name));
}

static void listed(const json_t *value, const struct bw_column *column, struct bw_buf *out)
{
    size_t i;
    const json_t *item;
    json_array_foreach(value, i, item)
    {
        if (i > 0)
            bw_buf_append_str(out, ",");
        const json_t *name = json_is_object(item) ? json_object_get(item, "name") : item;
        if (column->prefix != NULL && json_is_string(name))
            word(json_string_value(name), column->prefix, out);
        else
            plain(name, out);
    }
}

void bw_cell_text(const json_t *item, const struct bw_column *column, struct bw_buf *out)
{
    const json_t *value = follow(item, column->path);
    size_t before = out->len;
    switch (column->cell) {
    case BW_CELL_TEXT:
        plain(value, out);
        break;
    case BW_CELL_ENUM:
        if (json_is_string(value))
            word(json_string_value(value), column->prefix, out);
        break;
    case BW_CELL_TIME:
        if (number_of(value) != 0)
            bw_time_print(number_of(value), out);
        break;
    case BW_CELL_LIST:
        listed(value, column, out);
        break;
    case BW_CELL_COUNT:
        bw_buf_printf(out, "%zu", json_array_size(value));
        break;
    case BW_CELL_SHARE:
        bw_buf_printf(out, "%.1f%%", (double)number_of(value) / 10000);
        break;
    }
    if (out->len == before)
        bw_buf_append_str(out, "-");
}

/* ---- YAML ---- */

static bool is_bare(const char *text)
{
    static const char *const words[] = {"true", "false", "null", "yes", "no",  "on",
                                        "off",  "y",     "n",    "nan", "inf", NULL};
    if (!isalpha((unsigned char)text[0]))
        return false;
    for (size_t i = 0; words[i] != NULL; i++)
        if (strcasecmp(words[i], text) == 0)
            return false;
    return text[strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./")] == '\0';
}

static void yaml_string(const char *text, struct bw_buf *out)
{
    if (is_bare(text))
        bw_buf_append_str(out, text);
    else
        bw_text_json(out, bw_view_str(text));
}

static void yaml_value(const json_t *value, unsigned depth, bool in_list, struct bw_buf *out);

static void yaml_object(const json_t *object, unsigned depth, bool in_list, struct bw_buf *out)
{
    const char *key;
    json_t *value;
    bool first = true;
    json_object_foreach((json_t *)object, key, value)
    {
        if (!(first && in_list))
            for (unsigned i = 0; i < depth; i++)
                bw_buf_append_str(out, "  ");
        first = false;
        yaml_string(key, out);
        bw_buf_append_str(out, ":");
        yaml_value(value, depth + 1, false, out);
    }
}

static void yaml_list(const json_t *list, unsigned depth, struct bw_buf *out)
{
    size_t i;
    const json_t *item;
    json_array_foreach(list, i, item)
    {
        for (unsigned d = 0; d < depth; d++)
            bw_buf_append_str(out, "  ");
        bw_buf_append_str(out, "-");
        yaml_value(item, depth + 1, true, out);
    }
}

/* What follows "key:" or "-", with its line end. */
static void yaml_value(const json_t *value, unsigned depth, bool in_list, struct bw_buf *out)
{
    if (json_is_object(value) && json_object_size(value) > 0) {
        bw_buf_append_str(out, in_list ? " " : "\n");
        yaml_object(value, depth, in_list, out);
        return;
    }
    if (json_is_array(value) && json_array_size(value) > 0) {
        bw_buf_append_str(out, "\n");
        yaml_list(value, depth, out);
        return;
    }
    bw_buf_append_str(out, " ");
    if (json_is_object(value))
        bw_buf_append_str(out, "{}");
    else if (json_is_array(value))
        bw_buf_append_str(out, "[]");
    else if (json_is_string(value))
        yaml_string(json_string_value(value), out);
    else if (json_is_boolean(value))
        bw_buf_append_str(out, json_is_true(value) ? "true" : "false");
    else if (json_is_integer(value))
        bw_buf_printf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    else if (json_is_real(value))
        bw_buf_printf(out, "%.17g", json_real_value(value));
    else
        bw_buf_append_str(out, "null");
    bw_buf_append_str(out, "\n");
}

void bw_yaml_print(const json_t *tree, struct bw_buf *out)
{
    if (json_is_object(tree) && json_object_size(tree) > 0)
        yaml_object(tree, 0, false, out);
    else if (json_is_array(tree) && json_array_size(tree) > 0)
        yaml_list(tree, 0, out);
    else
        bw_buf_append_str(out, json_is_array(tree) ? "[]\n" : "{}\n");
}

/* ---- answers ---- */

static int print_buf(struct bw_cli *cli, struct bw_buf *text)
{
    const char *shown = bw_buf_cstr(text);
    if (shown != NULL)
        fputs(shown, cli->out);
    bw_buf_finish(text);
    return shown != NULL ? BW_EXIT_OK : bw_cli_memory(cli);
}

int bw_show_tree(struct bw_cli *cli, const json_t *tree)
{
    if (cli->output == BW_OUTPUT_YAML) {
        struct bw_buf text = {0};
        bw_yaml_print(tree, &text);
        return print_buf(cli, &text);
    }
    char *text = json_dumps(tree, JSON_INDENT(2) | JSON_ENCODE_ANY);
    if (text == NULL)
        return bw_cli_memory(cli);
    fprintf(cli->out, "%s\n", text);
    free(text);
    return BW_EXIT_OK;
}

static int show_object(struct bw_cli *cli, const json_t *object, const struct bw_view_table *view)
{
    size_t width = 0;
    for (size_t i = 0; i < view->count; i++)
        width = strlen(view->columns[i].title) > width ? strlen(view->columns[i].title) : width;
    struct bw_buf text = {0};
    for (size_t i = 0; i < view->count; i++) {
        const char *title = view->columns[i].title;
        for (const char *c = title; *c != '\0'; c++)
            bw_buf_append_u8(&text, (uint8_t)tolower((unsigned char)*c));
        bw_buf_printf(&text, "%*s", (int)(width - strlen(title) + 2), "");
        bw_cell_text(object, &view->columns[i], &text);
        bw_buf_append_str(&text, "\n");
    }
    return print_buf(cli, &text);
}

static int show_names(struct bw_cli *cli, const json_t *items, const char *path)
{
    const struct bw_column column = {.path = path};
    struct bw_buf text = {0};
    size_t i;
    const json_t *item;
    json_array_foreach(items, i, item)
    {
        bw_cell_text(item, &column, &text);
        bw_buf_append_str(&text, "\n");
    }
    return print_buf(cli, &text);
}

int bw_show(struct bw_cli *cli, const json_t *tree, const struct bw_view_table *view)
{
    if (bw_output_is_tree(cli))
        return bw_show_tree(cli, tree);
    if (view->list != NULL) {
        const json_t *items = json_object_get(tree, view->list);
        if (cli->output == BW_OUTPUT_NAME)
            return show_names(cli, items, view->name);
        return bw_show_table(cli, items, view->columns, view->count);
    }
    const json_t *object = view->object != NULL ? json_object_get(tree, view->object) : tree;
    if (cli->output != BW_OUTPUT_NAME)
        return show_object(cli, object, view);
    const struct bw_column column = {.path = view->name};
    struct bw_buf text = {0};
    bw_cell_text(object, &column, &text);
    bw_buf_append_str(&text, "\n");
    return print_buf(cli, &text);
}
