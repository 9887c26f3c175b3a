/* A field table as a JSON Schema (2020-12), for editors. */
#include "base/check.h"
#include "yaml/field.h"
#include "yaml/text.h"

static void put_field(const struct bw_field *field, struct bw_buf *out);
static void put_object(const struct bw_field_table *table, struct bw_buf *out);

static void put_string(struct bw_buf *out, const char *text)
{
    bw_text_json(out, bw_view_str(text));
}

static void put_member(struct bw_buf *out, const char *key, const char *text)
{
    bw_buf_printf(out, ", \"%s\": ", key);
    put_string(out, text);
}

/* What every form of a value begins with. */
static void put_words(const struct bw_field *field, struct bw_buf *out)
{
    struct bw_buf words = {0};
    if (!field->doc)
        return;
    bw_buf_append_str(&words, field->doc);
    if (field->flags & BW_FIELD_LATER)
        bw_buf_append_str(&words, " Not supported yet.");
    put_member(out, "description", words.failed ? field->doc : bw_buf_cstr(&words));
    bw_buf_finish(&words);
}

static void put_number(const struct bw_field *field, const char *type, int64_t unit, struct bw_buf *out)
{
    bw_buf_printf(out, "{\"type\": \"%s\"", type);
    if (field->min < field->max && field->max > 0) {
        bw_buf_printf(out, ", \"minimum\": %g", (double)field->min / (double)unit);
        bw_buf_printf(out, ", \"maximum\": %.17g", (double)field->max / (double)unit);
    }
    put_words(field, out);
    if (field->fallback)
        bw_buf_printf(out, ", \"default\": %s", field->fallback);
    bw_buf_append_str(out, "}");
}

static void put_text(const struct bw_field *field, const char *pattern, struct bw_buf *out)
{
    bw_buf_append_str(out, "{\"type\": \"string\"");
    if (pattern)
        put_member(out, "pattern", pattern);
    if (field->type == BW_FIELD_TEXT && field->max > 0)
        bw_buf_printf(out, ", \"minLength\": %d, \"maxLength\": %lld", field->min > 0, (long long)field->max);
    put_words(field, out);
    if (field->fallback)
        put_member(out, "default", field->fallback);
    bw_buf_append_str(out, "}");
}

static void put_enum(const struct bw_field *field, struct bw_buf *out)
{
    bw_buf_append_str(out, "{\"enum\": [");
    for (size_t i = 0; field->names[i]; i++) {
        bw_buf_append_str(out, i ? ", " : "");
        put_string(out, field->names[i]);
    }
    bw_buf_append_str(out, "]");
    put_words(field, out);
    if (field->fallback)
        put_member(out, "default", field->fallback);
    bw_buf_append_str(out, "}");
}

static void put_array(const struct bw_field *field, struct bw_buf *out)
{
    bw_buf_append_str(out, "{\"type\": \"array\", \"items\": ");
    put_field(field->item, out);
    if (field->max > 0)
        bw_buf_printf(out, ", \"minItems\": %lld, \"maxItems\": %lld", (long long)field->min,
                      (long long)field->max);
    put_words(field, out);
    bw_buf_append_str(out, "}");
}

/* Two forms of one value. */
static void put_list(const struct bw_field *field, struct bw_buf *out)
{
    if (!(field->flags & BW_FIELD_SCALAR_OK)) {
        put_array(field, out);
        return;
    }
    bw_buf_append_str(out, "{\"anyOf\": [");
    put_field(field->item, out);
    bw_buf_append_str(out, ", ");
    put_array(field, out);
    bw_buf_append_str(out, "]}");
}

static void put_dict(const struct bw_field *field, struct bw_buf *out)
{
    bw_buf_append_str(out, "{\"type\": \"object\"");
    if (field->grammar && field->grammar->pattern) {
        bw_buf_append_str(out, ", \"propertyNames\": {\"pattern\": ");
        put_string(out, field->grammar->pattern);
        bw_buf_append_str(out, "}");
    }
    bw_buf_append_str(out, ", \"additionalProperties\": ");
    put_field(field->item, out);
    put_words(field, out);
    bw_buf_append_str(out, "}");
}

static void put_union(const struct bw_field *field, struct bw_buf *out)
{
    bw_buf_append_str(out, "{\"anyOf\": [");
    put_field(field->item, out);
    bw_buf_append_str(out, ", ");
    put_object(field->table, out);
    bw_buf_append_str(out, "]");
    put_words(field, out);
    bw_buf_append_str(out, "}");
}

static void put_field(const struct bw_field *field, struct bw_buf *out)
{
    switch (field->type) {
    case BW_FIELD_TEXT:
        put_text(field, field->grammar ? field->grammar->pattern : NULL, out);
        break;
    case BW_FIELD_BOOL:
        put_number(field, "boolean", 1, out);
        break;
    case BW_FIELD_UINT:
        put_number(field, "integer", 1, out);
        break;
    case BW_FIELD_DECIMAL:
        put_number(field, "number", 1000000, out);
        break;
    case BW_FIELD_DURATION:
        put_text(field, "^(0|[1-9][0-9]*)(ms|s|m|h|d)$", out);
        break;
    case BW_FIELD_WHEN:
        put_text(field, "^[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9:.]+(Z|[+-][0-9]{2}:[0-9]{2}))?$", out);
        break;
    case BW_FIELD_ENUM:
        put_enum(field, out);
        break;
    case BW_FIELD_MAP:
        put_object(field->table, out);
        break;
    case BW_FIELD_LIST:
        put_list(field, out);
        break;
    case BW_FIELD_DICT:
        put_dict(field, out);
        break;
    case BW_FIELD_UNION:
        put_union(field, out);
        break;
    case BW_FIELD_CUSTOM:
        bw_buf_append_str(out, field->schema ? field->schema : "{}");
        break;
    }
}

/* The members of an object, without its braces. */
static void put_members(const struct bw_field_table *table, struct bw_buf *out)
{
    bool any = false;
    bw_buf_append_str(out, "\"type\": \"object\"");
    put_member(out, "description", table->doc);
    bw_buf_append_str(out, ", \"additionalProperties\": false, \"properties\": {");
    for (size_t i = 0; i < table->count; i++) {
        bw_buf_append_str(out, i ? ", " : "");
        put_string(out, table->fields[i].key);
        bw_buf_append_str(out, ": ");
        put_field(&table->fields[i], out);
    }
    bw_buf_append_str(out, "}");
    for (size_t i = 0; i < table->count; i++) {
        if (!(table->fields[i].flags & BW_FIELD_REQUIRED))
            continue;
        bw_buf_append_str(out, any ? ", " : ", \"required\": [");
        put_string(out, table->fields[i].key);
        any = true;
    }
    bw_buf_append_str(out, any ? "]" : "");
}

static void put_object(const struct bw_field_table *table, struct bw_buf *out)
{
    bw_buf_append_str(out, "{");
    put_members(table, out);
    bw_buf_append_str(out, "}");
}

void bw_field_schema(const struct bw_field_table *table, const char *id, struct bw_buf *out)
{
    bw_buf_append_str(out, "{\"$schema\": \"https://json-schema.org/draft/2020-12/schema\"");
    put_member(out, "$id", id);
    put_member(out, "title", table->name);
    bw_buf_append_str(out, ", ");
    put_members(table, out);
    bw_buf_append_str(out, "}\n");
}
