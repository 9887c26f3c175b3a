/* A field table as a reference page in Markdown. */
#include "base/check.h"
#include "yaml/field.h"

enum { DEPTH_MAX = 16 };

static void put_duration(struct bw_buf *out, int64_t ms)
{
    if (ms % 86400000 == 0 && ms > 0)
        bw_buf_printf(out, "%lldd", (long long)(ms / 86400000));
    else if (ms % 1000 == 0)
        bw_buf_printf(out, "%llds", (long long)(ms / 1000));
    else
        bw_buf_printf(out, "%lldms", (long long)ms);
}

static void put_bounds(const struct bw_field *field, struct bw_buf *out)
{
    if (field->max <= 0 || field->max <= field->min)
        return;
    if (field->type == BW_FIELD_UINT) {
        bw_buf_printf(out, ", %lld to %lld", (long long)field->min, (long long)field->max);
    } else if (field->type == BW_FIELD_DECIMAL) {
        bw_buf_printf(out, ", %g to %g", (double)field->min / 1e6, (double)field->max / 1e6);
    } else if (field->type == BW_FIELD_DURATION) {
        bw_buf_append_str(out, ", ");
        put_duration(out, field->min);
        bw_buf_append_str(out, " to ");
        put_duration(out, field->max);
    } else if (field->type == BW_FIELD_TEXT) {
        bw_buf_printf(out, ", at most %lld bytes", (long long)field->max);
    } else if (field->type == BW_FIELD_LIST || field->type == BW_FIELD_DICT) {
        bw_buf_printf(out, ", at most %lld", (long long)field->max);
    }
}

static void put_type(const struct bw_field *field, struct bw_buf *out)
{
    static const char *const names[] = {"text",
                                        "true or false",
                                        "whole number",
                                        "number",
                                        "duration",
                                        "date",
                                        "",
                                        "map",
                                        "list",
                                        "map with keys of your own",
                                        "word or map",
                                        "text"};
    if (field->type == BW_FIELD_ENUM) {
        for (size_t i = 0; field->names[i]; i++)
            bw_buf_printf(out, "%s`%s`", i ? ", " : "", field->names[i]);
    } else if (field->type == BW_FIELD_TEXT && field->grammar) {
        bw_buf_append_str(out, field->grammar->what);
    } else {
        bw_buf_append_str(out, names[field->type]);
    }
    put_bounds(field, out);
    if (field->type == BW_FIELD_LIST && field->item->type != BW_FIELD_MAP &&
        field->item->type != BW_FIELD_CUSTOM) {
        bw_buf_append_str(out, " of: ");
        put_type(field->item, out);
    }
}

/* Pipes would end a table's cell. */
static void put_cell(struct bw_buf *out, const char *text)
{
    for (const char *c = text; *c; c++)
        bw_buf_printf(out, *c == '|' ? "\\|" : "%c", *c);
}

static const struct bw_field_table *table_within(const struct bw_field *field)
{
    if (field->type == BW_FIELD_MAP || field->type == BW_FIELD_UNION)
        return field->table;
    if (field->type == BW_FIELD_LIST || field->type == BW_FIELD_DICT)
        return table_within(field->item);
    return NULL;
}

static void put_rows(const struct bw_field_table *table, const char *path, int depth, struct bw_buf *out)
{
    BW_CHECK(depth < DEPTH_MAX);
    for (size_t i = 0; i < table->count; i++) {
        const struct bw_field *field = &table->fields[i];
        struct bw_buf type = {0}, inner = {0};
        put_type(field, &type);
        bw_buf_printf(&inner, "%s%s%s", path, *path ? "." : "", field->key);
        bw_buf_printf(out, "| `%s` | ", inner.failed ? field->key : bw_buf_cstr(&inner));
        put_cell(out, type.failed ? "" : bw_buf_cstr(&type));
        bw_buf_printf(out, " | %s | ",
                      field->flags & BW_FIELD_REQUIRED ? "required"
                      : field->fallback                ? field->fallback
                                                       : "");
        put_cell(out, field->doc);
        bw_buf_append_str(out, field->flags & BW_FIELD_LATER ? " Not supported yet. |\n" : " |\n");
        if (field->type == BW_FIELD_LIST && table_within(field))
            bw_buf_append_str(&inner, "[]");
        if (table_within(field) && !inner.failed)
            put_rows(table_within(field), bw_buf_cstr(&inner), depth + 1, out);
        bw_buf_finish(&type);
        bw_buf_finish(&inner);
    }
}

void bw_field_reference(const struct bw_field_table *table, struct bw_buf *out)
{
    bw_buf_printf(out, "# %s\n\n%s\n\n| key | value | default | what it does |\n| --- | --- | --- | --- |\n",
                  table->name, table->doc);
    put_rows(table, "", 0, out);
}
