/* Reads one text and keeps what came out, for the tests of this folder. */
#ifndef BW_TESTS_YAML_READING_H
#define BW_TESTS_YAML_READING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "yaml/field.h"

struct reading {
    struct bw_arena *arena;
    struct bw_diags diags;
    struct bw_source source;
    struct bw_yaml_node *root;
    struct bw_yaml_stats stats;
    struct bw_buf out;
};

static inline void reading_of(struct reading *r, const void *text, size_t len)
{
    *r = (struct reading){.arena = bw_arena_create(BW_YAML_ARENA_BYTES)};
    assert_non_null(r->arena);
    bw_diags_init(&r->diags);
    r->source = (struct bw_source){"file.yaml", bw_view_of(text, len)};
    r->root = bw_yaml_read(&r->source, r->arena, &r->diags, &r->stats);
}

static inline void reading_finish(struct reading *r)
{
    bw_buf_finish(&r->out);
    bw_diags_finish(&r->diags);
    bw_arena_destroy(r->arena);
}

/* The nth diagnostic is this one. */
static inline void assert_diag(const struct bw_diags *diags, size_t n, enum bw_diag_code code, uint32_t line,
                               uint32_t col)
{
    assert_true(n < diags->count);
    assert_int_equal(diags->items[n].code, code);
    assert_int_equal(diags->items[n].where.at.line, line);
    assert_int_equal(diags->items[n].where.at.col, col);
}

/* Reading `text` gives exactly this error. */
static inline void assert_refused(const char *text, size_t len, enum bw_diag_code code, uint32_t line,
                                  uint32_t col)
{
    struct reading r;
    reading_of(&r, text, len);
    assert_int_equal(r.diags.errors, 1);
    assert_diag(&r.diags, 0, code, line, col);
    assert_true(strlen(r.diags.items[0].where.message) > 0);
    reading_finish(&r);
}

#define REFUSED(text, code, line, col) assert_refused(text, sizeof(text) - 1, code, line, col)

static inline void assert_accepted(const char *text, size_t len)
{
    struct reading r;
    reading_of(&r, text, len);
    assert_int_equal(r.diags.count, 0);
    assert_non_null(r.root);
    reading_finish(&r);
}

#define ACCEPTED(text) assert_accepted(text, sizeof(text) - 1)

#endif
