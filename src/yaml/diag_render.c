#include "yaml/diag.h"
#include "yaml/text.h"

#include <string.h>

/* SGR sequences; empty without colour. */
struct palette {
    const char *severity[3], *bold, *dim, *help, *off;
};

static const struct palette coloured = {
    {"\033[1;31m", "\033[1;33m", "\033[1;36m"}, "\033[1m", "\033[2m", "\033[32m", "\033[0m"};
static const struct palette plain = {{"", "", ""}, "", "", "", ""};

static void put_excerpt(const struct bw_diag_place *place, const char *mark, const struct palette *colours,
                        struct bw_buf *out)
{
    if (!place->excerpt.line)
        return;
    bw_buf_printf(out, "%s%5u |%s %s\n", colours->dim, (unsigned)place->at.line, colours->off,
                  place->excerpt.line);
    bw_buf_printf(out, "%s      |%s %*s%s", colours->dim, colours->off, (int)place->excerpt.caret, "", mark);
    for (uint32_t i = 0; i < place->excerpt.caret_len; i++)
        bw_buf_append_str(out, "^");
    bw_buf_printf(out, "%s\n", colours->off);
}

static void put_where(const struct bw_diag_place *place, const struct palette *colours, struct bw_buf *out)
{
    bw_buf_printf(out, "%s%s", colours->bold, place->file);
    if (place->at.line > 0)
        bw_buf_printf(out, ":%u:%u", (unsigned)place->at.line, (unsigned)place->at.col);
    bw_buf_printf(out, ":%s ", colours->off);
}

static void put_one(const struct bw_diag *diag, const struct palette *colours, struct bw_buf *out)
{
    char code[BW_DIAG_CODE_TEXT_SIZE];
    const char *mark = colours->severity[diag->severity];
    put_where(&diag->where, colours, out);
    bw_buf_printf(out, "%s%s %s:%s %s\n", mark, bw_diag_severity_name(diag->severity),
                  bw_diag_code_text(diag->code, code), colours->off, diag->where.message);
    put_excerpt(&diag->where, mark, colours, out);
    if (diag->fix == BW_FIX_REPLACE)
        bw_buf_printf(out, "      = %swrite: %s%s\n", colours->help, diag->fix_text, colours->off);
    if (diag->fix == BW_FIX_INSERT)
        bw_buf_printf(out, "      = %sadd: %s%s\n", colours->help, diag->fix_text, colours->off);
    if (diag->related.file) {
        bw_buf_append_str(out, "      ");
        put_where(&diag->related, colours, out);
        bw_buf_printf(out, "%s\n", diag->related.message);
        put_excerpt(&diag->related, colours->severity[BW_DIAG_NOTE], colours, out);
    }
}

void bw_diags_human(const struct bw_diags *diags, bool colour, struct bw_buf *out)
{
    const struct palette *colours = colour ? &coloured : &plain;
    for (size_t i = 0; i < diags->count; i++)
        put_one(&diags->items[i], colours, out);
    if (diags->dropped > 0)
        bw_buf_printf(out, "and %zu more\n", diags->dropped);
    if (diags->out_of_memory)
        bw_buf_append_str(out, "out of memory: not everything was looked at\n");
    if (diags->errors + diags->warnings > 0)
        bw_buf_printf(out, "%zu error%s, %zu warning%s\n", diags->errors, diags->errors == 1 ? "" : "s",
                      diags->warnings, diags->warnings == 1 ? "" : "s");
}

static void json_text(struct bw_buf *out, const char *key, const char *text)
{
    bw_buf_printf(out, "\"%s\": ", key);
    bw_text_json(out, bw_view_str(text));
}

static void json_place(struct bw_buf *out, const struct bw_diag_place *place)
{
    json_text(out, "file", place->file);
    bw_buf_printf(out, ", \"line\": %u, \"column\": %u, \"length\": %u, ", (unsigned)place->at.line,
                  (unsigned)place->at.col, (unsigned)place->at.len);
    json_text(out, "message", place->message);
}

static void json_one(const struct bw_diag *diag, struct bw_buf *out)
{
    char code[BW_DIAG_CODE_TEXT_SIZE];
    bw_buf_append_str(out, "{");
    json_text(out, "code", bw_diag_code_text(diag->code, code));
    bw_buf_append_str(out, ", ");
    json_text(out, "severity", bw_diag_severity_name(diag->severity));
    bw_buf_append_str(out, ", ");
    json_place(out, &diag->where);
    if (diag->related.file) {
        bw_buf_append_str(out, ", \"related\": {");
        json_place(out, &diag->related);
        bw_buf_append_str(out, "}");
    }
    if (diag->fix != BW_FIX_NONE) {
        bw_buf_printf(out, ", \"fix\": {\"kind\": \"%s\", ",
                      diag->fix == BW_FIX_REPLACE ? "replace" : "insert");
        json_text(out, "text", diag->fix_text);
        bw_buf_append_str(out, "}");
    }
    bw_buf_append_str(out, "}");
}

void bw_diags_json(const struct bw_diags *diags, struct bw_buf *out)
{
    bw_buf_append_str(out, "{\"diagnostics\": [");
    for (size_t i = 0; i < diags->count; i++) {
        bw_buf_append_str(out, i == 0 ? "\n  " : ",\n  ");
        json_one(&diags->items[i], out);
    }
    bw_buf_printf(out, "%s], \"errors\": %zu, \"warnings\": %zu, \"omitted\": %zu}\n",
                  diags->count ? "\n" : "", diags->errors, diags->warnings, diags->dropped);
}
