#include "yaml/field.h"

#include <string.h>

#include "yaml/scalar.h"
#include "yaml/suggest.h"

const struct bw_grammar bw_grammar_name = {
    .what = "a name: a-z, 0-9 and -, not beginning with -, at most 63",
    .pattern = "^[a-z0-9][a-z0-9-]{0,62}$",
    .accepts = bw_scalar_is_name,
    .code = true,
};

static const char *kind_name(const struct bw_yaml_node *node)
{
    static const char *const names[] = {"a single value", "a list", "a map", "nothing readable"};
    return names[node->kind];
}

static void wrong_kind(struct bw_decode *d, const struct bw_yaml_node *node, const char *expected)
{
    if (node->kind == BW_YAML_BROKEN)
        return;
    if (bw_yaml_is_empty(node))
        bw_diag_add(d->diags, d->source, BW_P_EMPTY_VALUE, node->at,
                    "no value; expected %s (an empty value is not an absent one: give it or remove the key)",
                    expected);
    else
        bw_diag_add(d->diags, d->source, BW_P_WRONG_TYPE, node->at, "expected %s, found %s", expected,
                    kind_name(node));
}

static void out_of_memory(struct bw_decode *d)
{
    d->diags->out_of_memory = true;
}

bool bw_decode_scalar(struct bw_decode *d, const struct bw_yaml_node *node, const char *what, bool code,
                      struct bw_view *text)
{
    if (node->kind != BW_YAML_SCALAR || bw_yaml_is_empty(node)) {
        wrong_kind(d, node, what);
        return false;
    }
    if (code && !bw_scalar_is_ascii(node->text)) {
        bw_diag_add(
            d->diags, d->source, BW_P_NOT_ASCII, node->at,
            "\"%.*s\" has a character outside printable ASCII, which may look like another; expected %s",
            (int)node->text.len, (const char *)node->text.data, what);
        return false;
    }
    if (code && !node->quoted && bw_scalar_looks_boolean(node->text)) {
        struct bw_diag *diag =
            bw_diag_add(d->diags, d->source, BW_P_LOOKS_BOOLEAN, node->at,
                        "%.*s is taken as text here, but other YAML readers take it for a boolean; quote it",
                        (int)node->text.len, (const char *)node->text.data);
        bw_diag_fix(d->diags, diag, BW_FIX_REPLACE, "\"%.*s\"", (int)node->text.len,
                    (const char *)node->text.data);
    }
    *text = node->text;
    return true;
}

static void decode_text(struct bw_decode *d, const struct bw_field *field, const struct bw_yaml_node *node,
                        struct bw_yaml_text *out)
{
    const struct bw_grammar *grammar = field->grammar;
    const char *what = grammar ? grammar->what : "a text";
    struct bw_view text;
    if (!bw_decode_scalar(d, node, what, grammar && grammar->code, &text))
        return;
    if (field->max > 0 && ((int64_t)text.len > field->max || (int64_t)text.len < field->min)) {
        bw_diag_add(d->diags, d->source, BW_P_OUT_OF_RANGE, node->at, "%zu bytes; expected %lld to %lld",
                    text.len, (long long)field->min, (long long)field->max);
        return;
    }
    if (grammar && grammar->accepts && !grammar->accepts(text)) {
        bw_diag_add(d->diags, d->source, BW_P_BAD_TEXT, node->at, "\"%.*s\" is not %s", (int)text.len,
                    (const char *)text.data, what);
        return;
    }
    if (memchr(text.data, 0, text.len) ||
        ((grammar || (field->flags & BW_FIELD_ONE_LINE)) && memchr(text.data, '\n', text.len))) {
        bw_diag_add(d->diags, d->source, BW_P_BAD_TEXT, node->at, "a text of one line is expected");
        return;
    }
    *out = (struct bw_yaml_text){node->at, text};
}

static void bad_scalar(struct bw_decode *d, const struct bw_yaml_node *node, enum bw_diag_code code,
                       const char *expected)
{
    bw_diag_add(d->diags, d->source, code, node->at, "\"%.*s\" is not %s%s", (int)node->text.len,
                (const char *)node->text.data, expected, node->quoted ? " (it is in quotes: a text)" : "");
}

static void decode_bool(struct bw_decode *d, const struct bw_yaml_node *node, struct bw_yaml_number *out)
{
    struct bw_view text;
    bool value;
    if (!bw_decode_scalar(d, node, "true or false", false, &text))
        return;
    if (node->quoted || !bw_scalar_bool(text, &value)) {
        bad_scalar(d, node, BW_P_BAD_BOOLEAN, "true or false; nothing else is a boolean here");
        return;
    }
    *out = (struct bw_yaml_number){node->at, value};
}

static void decode_uint(struct bw_decode *d, const struct bw_field *field, const struct bw_yaml_node *node,
                        struct bw_yaml_number *out)
{
    struct bw_view text;
    uint64_t value;
    if (!bw_decode_scalar(d, node, "a whole number", false, &text))
        return;
    if (node->quoted || !bw_scalar_uint(text, &value)) {
        bad_scalar(d, node, BW_P_BAD_NUMBER, "a whole number (digits only, no leading zero, sign or _)");
        return;
    }
    if (field->max > 0 && (value < (uint64_t)field->min || value > (uint64_t)field->max)) {
        bw_diag_add(d->diags, d->source, BW_P_OUT_OF_RANGE, node->at, "%llu is not between %lld and %lld",
                    (unsigned long long)value, (long long)field->min, (long long)field->max);
        return;
    }
    *out = (struct bw_yaml_number){node->at, value};
}

static void decode_decimal(struct bw_decode *d, const struct bw_field *field, const struct bw_yaml_node *node,
                           struct bw_yaml_decimal *out)
{
    struct bw_view text;
    int64_t value;
    if (!bw_decode_scalar(d, node, "a number", false, &text))
        return;
    if (node->quoted || !bw_scalar_decimal(text, &value)) {
        bad_scalar(d, node, BW_P_BAD_NUMBER,
                   "a number such as 12 or -0.25 (at most six decimals, no exponent)");
        return;
    }
    if (field->min < field->max && (value < field->min || value > field->max)) {
        bw_diag_add(d->diags, d->source, BW_P_OUT_OF_RANGE, node->at, "%.*s is not between %g and %g",
                    (int)text.len, (const char *)text.data, (double)field->min / 1e6,
                    (double)field->max / 1e6);
        return;
    }
    *out = (struct bw_yaml_decimal){node->at, value};
}

static void decode_duration(struct bw_decode *d, const struct bw_field *field,
                            const struct bw_yaml_node *node, struct bw_yaml_number *out)
{
    struct bw_view text;
    uint64_t value;
    if (!bw_decode_scalar(d, node, "a duration", false, &text))
        return;
    if (!bw_scalar_duration(text, &value)) {
        bad_scalar(d, node, BW_P_BAD_DURATION,
                   "a duration: a whole number and ms, s, m, h or d, such as 30s");
        return;
    }
    if (field->max > 0 && (value < (uint64_t)field->min || value > (uint64_t)field->max)) {
        bw_diag_add(d->diags, d->source, BW_P_OUT_OF_RANGE, node->at, "%.*s is not between %llds and %llds",
                    (int)text.len, (const char *)text.data, (long long)field->min / 1000,
                    (long long)field->max / 1000);
        return;
    }
    *out = (struct bw_yaml_number){node->at, value};
}

static void decode_when(struct bw_decode *d, const struct bw_yaml_node *node, struct bw_yaml_number *out)
{
    struct bw_view text;
    uint64_t value;
    if (!bw_decode_scalar(d, node, "a date", false, &text))
        return;
    if (!bw_scalar_date(text, &value) && !bw_scalar_instant(text, &value)) {
        bad_scalar(d, node, BW_P_BAD_DATE,
                   "a date that exists (2027-01-31) or an RFC 3339 instant (2027-01-31T10:00:00Z)");
        return;
    }
    *out = (struct bw_yaml_number){node->at, value};
}

/* "a, b or c" */
static void list_words(const char *const *names, struct bw_buf *out)
{
    for (size_t i = 0; names[i]; i++) {
        const char *between = i == 0 ? "" : names[i + 1] ? ", " : " or ";
        bw_buf_printf(out, "%s%s", between, names[i]);
    }
}

static bool find_word(const struct bw_field *field, struct bw_view text, uint64_t *index)
{
    for (size_t i = 0; field->names[i]; i++)
        if (bw_view_equal_str(text, field->names[i])) {
            *index = i;
            return true;
        }
    return false;
}

static void report_word(struct bw_decode *d, const struct bw_field *field, const struct bw_yaml_node *node,
                        const char *expected)
{
    struct bw_view text;
    struct bw_suggest suggest;
    if (!bw_decode_scalar(d, node, expected, true, &text))
        return;
    bw_suggest_start(&suggest, text);
    for (size_t i = 0; field->names[i]; i++)
        bw_suggest_offer(&suggest, field->names[i]);
    struct bw_diag *diag = bw_diag_add(d->diags, d->source, BW_P_BAD_ENUM, node->at, "\"%.*s\" is not %s",
                                       (int)text.len, (const char *)text.data, expected);
    if (suggest.best)
        bw_diag_fix(d->diags, diag, BW_FIX_REPLACE, "%s", suggest.best);
}

static void decode_enum(struct bw_decode *d, const struct bw_field *field, const struct bw_yaml_node *node,
                        struct bw_yaml_number *out)
{
    uint64_t index;
    if (node->kind == BW_YAML_SCALAR && find_word(field, node->text, &index)) {
        *out = (struct bw_yaml_number){node->at, index};
        return;
    }
    struct bw_buf words = {0};
    list_words(field->names, &words);
    const char *expected = bw_buf_cstr(&words);
    if (expected)
        report_word(d, field, node, expected);
    else
        out_of_memory(d);
    bw_buf_finish(&words);
}

static bool count_ok(struct bw_decode *d, const struct bw_field *field, const struct bw_yaml_node *node,
                     size_t count)
{
    if (field->max == 0 || ((int64_t)count <= field->max && (int64_t)count >= field->min))
        return true;
    bw_diag_add(d->diags, d->source, BW_P_OUT_OF_RANGE, node->at, "%zu entries; expected %lld to %lld", count,
                (long long)field->min, (long long)field->max);
    return false;
}

static void decode_list(struct bw_decode *d, const struct bw_field *field, const struct bw_yaml_node *node,
                        struct bw_yaml_list *out)
{
    struct bw_yaml_node *single[1] = {(struct bw_yaml_node *)(uintptr_t)node};
    struct bw_yaml_node **items = node->items;
    size_t count = node->count;
    if ((field->flags & BW_FIELD_SCALAR_OK) && node->kind == BW_YAML_SCALAR && !bw_yaml_is_empty(node)) {
        items = single;
        count = 1;
    } else if (node->kind != BW_YAML_LIST) {
        wrong_kind(d, node, "a list ([a, b])");
        return;
    }
    if (!count_ok(d, field, node, count))
        return;
    struct bw_yaml_list list = {.at = node->at};
    list.items = bw_arena_zalloc(d->arena, count ? count : 1, field->item->size);
    if (!list.items) {
        out_of_memory(d);
        return;
    }
    list.count = count;
    for (size_t i = 0; i < count; i++)
        bw_decode_value(d, field->item, items[i], (char *)list.items + i * field->item->size);
    *out = list;
}

/* Entries are structs of field->stride bytes: the key first, the value at field->item->offset. */
static void decode_dict(struct bw_decode *d, const struct bw_field *field, const struct bw_yaml_node *node,
                        struct bw_yaml_list *out)
{
    if (node->kind != BW_YAML_MAP) {
        wrong_kind(d, node, "a map ({a: b})");
        return;
    }
    if (!count_ok(d, field, node, node->count))
        return;
    size_t size = field->stride;
    struct bw_yaml_list list = {.at = node->at, .count = node->count};
    list.items = bw_arena_zalloc(d->arena, node->count ? node->count : 1, size);
    if (!list.items) {
        out_of_memory(d);
        return;
    }
    const struct bw_field key = {.type = BW_FIELD_TEXT, .grammar = field->grammar};
    for (size_t i = 0; i < node->count; i++) {
        char *entry = (char *)list.items + i * size;
        decode_text(d, &key, node->entries[i].key, (struct bw_yaml_text *)(void *)entry);
        bw_decode_value(d, field->item, node->entries[i].value, entry + field->item->offset);
    }
    *out = list;
}

static void decode_union(struct bw_decode *d, const struct bw_field *field, const struct bw_yaml_node *node,
                         void *out)
{
    if (node->kind == BW_YAML_MAP) {
        bw_decode_map(d, field->table, node, node->at, out);
        return;
    }
    if (node->kind != BW_YAML_SCALAR) {
        wrong_kind(d, node, "a word or a map");
        return;
    }
    for (size_t i = 0; i < field->table->count; i++)
        if (bw_view_equal_str(node->text, field->table->fields[i].key)) {
            bw_diag_add(d->diags, d->source, BW_P_WRONG_TYPE, node->at, "%s takes a value: { %s: ... }",
                        field->table->fields[i].key, field->table->fields[i].key);
            return;
        }
    memset(out, 0, field->size);
    memcpy(out, &node->at, sizeof(node->at));
    bw_decode_value(d, field->item, node, (char *)out + field->item->offset);
}

void bw_decode_value(struct bw_decode *d, const struct bw_field *field, const struct bw_yaml_node *node,
                     void *out)
{
    switch (field->type) {
    case BW_FIELD_TEXT:
        decode_text(d, field, node, out);
        break;
    case BW_FIELD_BOOL:
        decode_bool(d, node, out);
        break;
    case BW_FIELD_UINT:
        decode_uint(d, field, node, out);
        break;
    case BW_FIELD_DECIMAL:
        decode_decimal(d, field, node, out);
        break;
    case BW_FIELD_DURATION:
        decode_duration(d, field, node, out);
        break;
    case BW_FIELD_WHEN:
        decode_when(d, node, out);
        break;
    case BW_FIELD_ENUM:
        decode_enum(d, field, node, out);
        break;
    case BW_FIELD_MAP:
        bw_decode_map(d, field->table, node, node->at, out);
        break;
    case BW_FIELD_LIST:
        decode_list(d, field, node, out);
        break;
    case BW_FIELD_DICT:
        decode_dict(d, field, node, out);
        break;
    case BW_FIELD_UNION:
        decode_union(d, field, node, out);
        break;
    case BW_FIELD_CUSTOM:
        field->decode(d, node, field, out);
        break;
    }
}
