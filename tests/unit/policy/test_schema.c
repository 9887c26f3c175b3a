/* The JSON Schema and the reference page are printed from the tables that decode, so every key is in both. */
#include "reading_policy.h"

#include <jansson.h>
#include <stdlib.h>

/* Every field of the table is a property, required where it is, and so on inside. */
static void assert_object(const json_t *schema, const struct bw_field_table *table, size_t *fields);

static void assert_field(const json_t *schema, const struct bw_field *field, size_t *fields)
{
    assert_non_null(schema);
    if (field->type == BW_FIELD_MAP) {
        assert_object(schema, field->table, fields);
    } else if (field->type == BW_FIELD_LIST) {
        const json_t *choice = json_object_get(schema, "anyOf");
        const json_t *array = choice ? json_array_get(choice, 1) : schema;
        assert_string_equal(json_string_value(json_object_get(array, "type")), "array");
        assert_field(json_object_get(array, "items"), field->item, fields);
    } else if (field->type == BW_FIELD_UNION) {
        const json_t *choice = json_object_get(schema, "anyOf");
        assert_field(json_array_get(choice, 0), field->item, fields);
        assert_object(json_array_get(choice, 1), field->table, fields);
    }
}

static void assert_object(const json_t *schema, const struct bw_field_table *table, size_t *fields)
{
    const json_t *properties = json_object_get(schema, "properties");
    assert_string_equal(json_string_value(json_object_get(schema, "type")), "object");
    assert_true(json_is_false(json_object_get(schema, "additionalProperties")));
    assert_int_equal(json_object_size(properties), table->count);
    for (size_t i = 0; i < table->count; i++) {
        assert_field(json_object_get(properties, table->fields[i].key), &table->fields[i], fields);
        ++*fields;
    }
}

static void the_schema_has_every_field(void **state)
{
    (void)state;
    const struct bw_field_table *tables[] = {&bw_policy_tenant_table, &bw_policy_meeting_table};
    for (size_t i = 0; i < BW_ARRAY_LEN(tables); i++) {
        struct bw_buf out = {0};
        json_error_t error;
        size_t fields = 0;
        bw_field_schema(tables[i], "https://bailiwick.example/schema/x.json", &out);
        json_t *schema = json_loads(bw_buf_cstr(&out), JSON_REJECT_DUPLICATES, &error);
        if (!schema)
            fail_msg("%s at %d", error.text, error.column);
        assert_object(schema, tables[i], &fields);
        assert_true(fields > 30);
        assert_string_equal(json_string_value(json_object_get(schema, "title")), tables[i]->name);
        json_decref(schema);
        bw_buf_finish(&out);
    }
}

static void the_reference_has_every_field_once(void **state)
{
    (void)state;
    struct bw_buf out = {0};
    bw_field_reference(&bw_policy_tenant_table, &out);
    const char *page = bw_buf_cstr(&out);
    static const char *const rows[] = {"\n| `transit.allow` |", "\n| `groups[].match.members` |",
                                       "\n| `groups[].transit.operators.denyJurisdictions` |",
                                       "\n| `transit.onNoRelay.wait` |", "\n| `tests[].expect.deny` |"};
    for (size_t i = 0; i < BW_ARRAY_LEN(rows); i++) {
        const char *found = strstr(page, rows[i]);
        assert_non_null(found);
        assert_null(strstr(found + 1, rows[i]));
    }
    assert_non_null(strstr(page, "Not supported yet."));
    bw_buf_finish(&out);
}

/* BW_WRITE_REFERENCE=1 writes the page anew. */
static void the_reference_page_in_the_tree_is_the_table(void **state)
{
    (void)state;
    static const char path[] = BW_SOURCE_DIR "/docs/reference/tenant-policy.md";
    struct bw_buf page = {0};
    bw_field_reference(&bw_policy_tenant_table, &page);
    if (getenv("BW_WRITE_REFERENCE") != NULL) {
        FILE *file = fopen(path, "w");
        assert_non_null(file);
        assert_int_equal(fwrite(page.data, 1, page.len, file), page.len);
        fclose(file);
    }
    struct bw_buf there = read_file("docs/reference/tenant-policy.md");
    if (!bw_view_equal(bw_buf_view(&page), bw_buf_view(&there)))
        fail_msg("%s differs; run this test with BW_WRITE_REFERENCE=1", path);
    bw_buf_finish(&page);
    bw_buf_finish(&there);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_schema_has_every_field),
        cmocka_unit_test(the_reference_has_every_field_once),
        cmocka_unit_test(the_reference_page_in_the_tree_is_the_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
