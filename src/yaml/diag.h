/* Diagnostics: everything wrong with a file, collected in one run, each with its place, a stable code, a
 * caret under the text and, where there is one, a repair. Self-contained: a diagnostic copies the line it is
 * about, so sources may be gone when it is rendered. Text is always ASCII: anything else is escaped as \u{…},
 * so that no file can make a terminal or a log say something it does not. Owner: the caller (init/finish).
 * Threads: one at a time. */
#ifndef BW_YAML_DIAG_H
#define BW_YAML_DIAG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/status.h"
#include "yaml/codes.h"

/* A place in a source: 1-based, columns and length in code points; line 0 means "nowhere" (absent). */
struct bw_pos {
    uint32_t line, col, len;
};

/* A file's name as shown to people and its whole text. Borrowed. */
struct bw_source {
    const char *file;
    struct bw_view text;
};

enum bw_diag_severity { BW_DIAG_ERROR, BW_DIAG_WARNING, BW_DIAG_NOTE };

enum bw_diag_code {
#define X(name, number, severity, text) BW_P_##name = number,
    BW_DIAG_MAP(X)
#undef X
};

/* What the caret line shows: the (escaped, cut) source line and where in it the carets stand. */
struct bw_diag_excerpt {
    const char *line; /* NULL: no line to show */
    uint32_t caret, caret_len;
};

struct bw_diag_place {
    const char *file; /* NULL: no place */
    struct bw_pos at;
    const char *message;
    struct bw_diag_excerpt excerpt;
};

enum bw_diag_fix { BW_FIX_NONE, BW_FIX_REPLACE, BW_FIX_INSERT };

struct bw_diag {
    enum bw_diag_code code;
    enum bw_diag_severity severity;
    struct bw_diag_place where;   /* the message is in here */
    struct bw_diag_place related; /* file NULL: none */
    enum bw_diag_fix fix;         /* REPLACE the text at `where`, or INSERT under the section there */
    const char *fix_text;         /* NULL: none */
};

enum { BW_DIAGS_MAX = 100 };

struct bw_diags {
    struct bw_diag *items;
    size_t count; /* kept: at most BW_DIAGS_MAX */
    size_t errors, warnings, dropped;
    bool out_of_memory; /* counts as an error: nothing is accepted */
    struct bw_arena *memory;
};

void bw_diags_init(struct bw_diags *diags);
void bw_diags_finish(struct bw_diags *diags);

/* Adds one; severity comes from the code. at.line 0: about the whole file. Returns what was kept, so that a
 * related place or a repair can be attached; NULL once BW_DIAGS_MAX are kept or memory is out (still counted,
 * and the functions below take NULL). */
struct bw_diag *bw_diag_add(struct bw_diags *diags, const struct bw_source *source, enum bw_diag_code code,
                            struct bw_pos at, const char *format, ...) BW_PRINTF(5, 6);
/* A second place ("first stated here"), which may be in another source. */
void bw_diag_relate(struct bw_diags *diags, struct bw_diag *diag, const struct bw_source *source,
                    struct bw_pos at, const char *format, ...) BW_PRINTF(5, 6);
void bw_diag_fix(struct bw_diags *diags, struct bw_diag *diag, enum bw_diag_fix fix, const char *format, ...)
    BW_PRINTF(4, 5);

/* No errors (warnings may be there). */
bool bw_diags_ok(const struct bw_diags *diags);
/* Orders by file, line, column. */
void bw_diags_sort(struct bw_diags *diags);
/* The first error as a status: INVALID_ARGUMENT "file:line:col: BW-P012: …" (RESOURCE_EXHAUSTED when memory
 * was out); OK when there is none. */
BW_MUST_USE enum bw_code bw_diags_status(const struct bw_diags *diags, struct bw_error *err);

/* "BW-P012" */
enum { BW_DIAG_CODE_TEXT_SIZE = 16 };
const char *bw_diag_code_text(enum bw_diag_code code, char text[BW_DIAG_CODE_TEXT_SIZE]);
/* What the code means in general; "" for a number outside the table. */
const char *bw_diag_code_meaning(enum bw_diag_code code);
enum bw_diag_severity bw_diag_code_severity(enum bw_diag_code code);
const char *bw_diag_severity_name(enum bw_diag_severity severity);

/* For people: file:line:col: error[BW-P012]: message, the line, carets, related place, repair; a last line
 * counts. Colour only when asked for. */
void bw_diags_human(const struct bw_diags *diags, bool colour, struct bw_buf *out);
/* {"diagnostics": [{"code", "severity", "file", "line", "column", "length", "message", "related"?, "fix"?}],
 *  "errors": n, "warnings": n, "omitted": n} and a newline. */
void bw_diags_json(const struct bw_diags *diags, struct bw_buf *out);

#endif
