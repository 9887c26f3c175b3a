/* Checks one policy text and keeps what came out, for the tests of this folder. */
#ifndef BW_TESTS_READING_POLICY_H
#define BW_TESTS_READING_POLICY_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "policy/document.h"

struct checked {
    struct bw_arena *arena;
    struct bw_diags diags;
    const struct bw_policy_doc *doc;
    enum bw_code code;
    struct bw_error err;
    struct bw_buf out;
};

static inline void check_text(struct checked *k, const char *file, struct bw_view text,
                              enum bw_policy_doc_kind kind, bool later)
{
    const struct bw_source source = {file, text};
    const struct bw_policy_options options = {.kind = kind, .accept_later = later};
    *k = (struct checked){.arena = bw_arena_create(BW_YAML_ARENA_BYTES)};
    assert_non_null(k->arena);
    bw_diags_init(&k->diags);
    k->code = bw_policy_check(&source, &options, k->arena, &k->diags, &k->doc, &k->err);
}

static inline void check_finish(struct checked *k)
{
    bw_buf_finish(&k->out);
    bw_diags_finish(&k->diags);
    bw_arena_destroy(k->arena);
}

/* A file of the source tree. */
static inline struct bw_buf read_file(const char *path)
{
    char full[1024];
    struct bw_buf text = {0};
    char part[4096];
    size_t n;
    assert_true((size_t)snprintf(full, sizeof(full), "%s/%s", BW_SOURCE_DIR, path) < sizeof(full));
    FILE *file = fopen(full, "rb");
    if (!file)
        fail_msg("cannot open %s", full);
    while ((n = fread(part, 1, sizeof(part), file)) > 0)
        bw_buf_append(&text, part, n);
    fclose(file);
    assert_false(text.failed);
    return text;
}

/* Eight lines that every organisation needs; tests add to them, so what they add begins on line 9. */
#define HEAD                                                                                                 \
    "apiVersion: bailiwick/v1\nkind: TenantPolicy\ntenant: acme\nresidency: { atRest: eu }\n"                \
    "entry: { allow: [\"*\"] }\n"                                                                            \
    "transit: { allow: [\"*\"], operators: { allowJurisdictions: [\"*\"] } }\n"                              \
    "e2ee: { mode: optional }\nconnectors: { allow: [\"*\"] }\n"

/* The text with one line of HEAD (1-based) replaced and `more` behind it. */
static inline const char *head_with(char text[8192], unsigned line, const char *instead, const char *more)
{
    static const char head[] = HEAD;
    const char *from = head;
    for (unsigned i = 1; i < line; i++)
        from = strchr(from, '\n') + 1;
    const char *to = strchr(from, '\n');
    int n = snprintf(text, 8192, "%.*s%s%s%s", (int)(from - head), head, instead, to, more);
    assert_true(n > 0 && n < 8192);
    return text;
}

static inline const struct bw_diag *find_diag(const struct bw_diags *diags, enum bw_diag_code code)
{
    for (size_t i = 0; i < diags->count; i++)
        if (diags->items[i].code == code)
            return &diags->items[i];
    return NULL;
}

static inline void print_diags(struct checked *k)
{
    bw_buf_clear(&k->out);
    bw_diags_human(&k->diags, false, &k->out);
    print_message("%s", k->out.len ? bw_buf_cstr(&k->out) : "");
}

/* The text has this diagnostic at this place and no other error. */
static inline void assert_only(const char *text, enum bw_diag_code code, uint32_t line, uint32_t col)
{
    struct checked k;
    check_text(&k, "policy.yaml", bw_view_str(text), BW_POLICY_TENANT, true);
    const struct bw_diag *diag = find_diag(&k.diags, code);
    bool error = bw_diag_code_severity(code) == BW_DIAG_ERROR;
    if (!diag || diag->where.at.line != line || diag->where.at.col != col ||
        k.diags.errors != (error ? 1u : 0u))
        print_diags(&k);
    assert_non_null(diag);
    assert_int_equal(diag->where.at.line, line);
    assert_int_equal(diag->where.at.col, col);
    assert_int_equal(k.diags.errors, error ? 1 : 0);
    assert_int_equal(k.code, error ? BW_INVALID_ARGUMENT : BW_OK);
    check_finish(&k);
}

static inline void assert_clean(const char *text)
{
    struct checked k;
    check_text(&k, "policy.yaml", bw_view_str(text), BW_POLICY_TENANT, true);
    if (k.diags.count)
        print_diags(&k);
    assert_int_equal(k.diags.count, 0);
    assert_int_equal(k.code, BW_OK);
    check_finish(&k);
}

#endif
