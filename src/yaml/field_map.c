#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "yaml/field.h"
#include "yaml/suggest.h"

static const struct bw_field *find_field(const struct bw_field_table *table, struct bw_view key)
{
    for (size_t i = 0; i < table->count; i++)
        if (bw_view_equal_str(key, table->fields[i].key))
            return &table->fields[i];
    return NULL;
}

static void unknown_key(struct bw_decode *d, const struct bw_field_table *table,
                        const struct bw_yaml_node *key)
{
    struct bw_suggest suggest;
    bw_suggest_start(&suggest, key->text);
    for (size_t i = 0; i < table->count; i++)
        bw_suggest_offer(&suggest, table->fields[i].key);
    struct bw_diag *diag =
        bw_diag_add(d->diags, d->source, BW_P_UNKNOWN_KEY, key->at, "%s has no \"%.*s\"%s%s%s", table->name,
                    (int)key->text.len, (const char *)key->text.data, suggest.best ? "; did you mean \"" : "",
                    suggest.best ? suggest.best : "", suggest.best ? "\"?" : "");
    if (suggest.best)
        bw_diag_fix(d->diags, diag, BW_FIX_REPLACE, "%s", suggest.best);
}

static void decode_entry(struct bw_decode *d, const struct bw_field_table *table,
                         const struct bw_yaml_entry *entry, void *out)
{
    const struct bw_yaml_node *key = entry->key, *value = entry->value;
    const struct bw_field *field = find_field(table, key->text);
    if (!field) {
        unknown_key(d, table, key);
        return;
    }
    if ((field->flags & BW_FIELD_LATER) && !d->accept_later) {
        bw_diag_add(d->diags, d->source, BW_P_NOT_SUPPORTED_YET, key->at,
                    "%s in %s is not supported yet; it would have no effect, so it is refused: remove it",
                    field->key, table->name);
        return;
    }
    if (bw_yaml_is_empty(value)) {
        bw_diag_add(d->diags, d->source, BW_P_EMPTY_VALUE, key->at,
                    "\"%s\" has no value; empty is not absent: give a value or remove the key", field->key);
        return;
    }
    char *member = (char *)out + field->offset;
    if (field->type == BW_FIELD_MAP)
        bw_decode_map(d, field->table, value, key->at, member);
    else
        bw_decode_value(d, field, value, member);
}

/* A value that is absent gets its fallback, through the same decoder: a fallback cannot be what a file could
 * not say. */
static void fill_fallback(struct bw_decode *d, const struct bw_field *field, char *member)
{
    struct bw_yaml_node node = {.kind = BW_YAML_SCALAR, .text = bw_view_str(field->fallback)};
    bw_decode_value(d, field, &node, member);
}

/* A map that is absent has the values of an empty one; it stays absent (at.line 0), and so does what it would
 * have to say if it were there. */
static void fill_absent_map(struct bw_decode *d, const struct bw_field_table *table, char *out)
{
    for (size_t i = 0; i < table->count; i++) {
        const struct bw_field *field = &table->fields[i];
        if (field->fallback)
            fill_fallback(d, field, out + field->offset);
        else if (field->type == BW_FIELD_MAP)
            fill_absent_map(d, field->table, out + field->offset);
    }
}

static bool stated(const struct bw_yaml_node *map, const char *key)
{
    return bw_yaml_get(map, key) != NULL;
}

static void check_absent(struct bw_decode *d, const struct bw_field_table *table,
                         const struct bw_yaml_node *map, struct bw_pos at, void *out)
{
    for (size_t i = 0; i < table->count; i++) {
        const struct bw_field *field = &table->fields[i];
        if (stated(map, field->key))
            continue;
        if (field->fallback) {
            fill_fallback(d, field, (char *)out + field->offset);
        } else if (field->flags & BW_FIELD_REQUIRED) {
            struct bw_diag *diag = bw_diag_add(d->diags, d->source, BW_P_MISSING_KEY, at,
                                               "%s needs \"%s\": %s", table->name, field->key, field->doc);
            if (field->type == BW_FIELD_ENUM && field->names[0] && !field->names[1])
                bw_diag_fix(d->diags, diag, BW_FIX_INSERT, "%s: %s", field->key, field->names[0]);
        } else if (field->type == BW_FIELD_MAP) {
            fill_absent_map(d, field->table, (char *)out + field->offset);
        }
    }
}

void bw_decode_map(struct bw_decode *d, const struct bw_field_table *table, const struct bw_yaml_node *node,
                   struct bw_pos at, void *out)
{
    memset(out, 0, table->size);
    if (node->kind == BW_YAML_BROKEN)
        return;
    if (node->kind != BW_YAML_MAP) {
        bool empty = bw_yaml_is_empty(node);
        bw_diag_add(d->diags, d->source, empty ? BW_P_EMPTY_VALUE : BW_P_WRONG_TYPE, node->at,
                    "%s is a map (key: value)%s", table->name, empty ? "; it has no value here" : "");
        return;
    }
    struct bw_pos place = at.line ? at : node->at;
    memcpy(out, &place, sizeof(place));
    for (size_t i = 0; i < node->count; i++)
        decode_entry(d, table, &node->entries[i], out);
    check_absent(d, table, node, place, out);
}

enum bw_code bw_yaml_load(const struct bw_source *source, const struct bw_field_table *table, void *out,
                          bool accept_later, struct bw_arena *arena, struct bw_diags *diags,
                          struct bw_error *err)
{
    struct bw_decode decode = {
        .source = source, .arena = arena, .diags = diags, .accept_later = accept_later};
    void *decoded = bw_arena_zalloc(arena, 1, table->size);
    if (!decoded)
        diags->out_of_memory = true;
    struct bw_yaml_node *root = decoded ? bw_yaml_read(source, arena, diags, NULL) : NULL;
    if (root)
        bw_decode_map(&decode, table, root, root->at, decoded);
    bw_diags_sort(diags);
    if (!bw_diags_ok(diags))
        return bw_diags_status(diags, err);
    BW_CHECK(root);
    memcpy(out, decoded, table->size);
    return BW_OK;
}
