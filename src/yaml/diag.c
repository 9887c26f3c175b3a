#include "yaml/diag.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "yaml/text.h"

/* Enough for BW_DIAGS_MAX diagnostics with the longest messages a scalar may cause. */
enum { MEMORY_CAP = 4 * 1024 * 1024, MESSAGE_MAX = 600 };

static const struct {
    enum bw_diag_code code;
    enum bw_diag_severity severity;
    const char *meaning;
} codes[] = {
#define X(name, number, severity, text) {BW_P_##name, BW_DIAG_##severity, text},
    BW_DIAG_MAP(X)
#undef X
};

void bw_diags_init(struct bw_diags *diags)
{
    *diags = (struct bw_diags){0};
}

void bw_diags_finish(struct bw_diags *diags)
{
    bw_arena_destroy(diags->memory);
    *diags = (struct bw_diags){0};
}

enum bw_diag_severity bw_diag_code_severity(enum bw_diag_code code)
{
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
        if (codes[i].code == code)
            return codes[i].severity;
    return BW_DIAG_ERROR;
}

const char *bw_diag_code_meaning(enum bw_diag_code code)
{
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
        if (codes[i].code == code)
            return codes[i].meaning;
    return "";
}

const char *bw_diag_severity_name(enum bw_diag_severity severity)
{
    static const char *const names[] = {"error", "warning", "note"};
    return names[severity];
}

const char *bw_diag_code_text(enum bw_diag_code code, char text[BW_DIAG_CODE_TEXT_SIZE])
{
    unsigned number = (unsigned)code % 1000;
    memcpy(text, "BW-P", 4);
    text[4] = (char)('0' + number / 100);
    text[5] = (char)('0' + number / 10 % 10);
    text[6] = (char)('0' + number % 10);
    text[7] = 0;
    return text;
}

/* The escaped text in the diagnostics' memory; NULL (and noted) when that is out. */
static const char *keep(struct bw_diags *diags, struct bw_buf *text)
{
    const char *kept = NULL;
    if (!text->failed)
        kept = bw_arena_strndup(diags->memory, text->len ? (const char *)text->data : "", text->len);
    if (!kept)
        diags->out_of_memory = true;
    bw_buf_finish(text);
    return kept;
}

BW_PRINTF(2, 0)
static const char *keep_message(struct bw_diags *diags, const char *format, va_list args)
{
    struct bw_buf raw = {0}, safe = {0};
    bw_buf_vprintf(&raw, format, args);
    if (raw.len > MESSAGE_MAX) {
        raw.len = MESSAGE_MAX;
        while (raw.len > 0 && raw.data[raw.len] >> 6 == 2)
            raw.len--; /* not in the middle of a code point */
    }
    bw_text_escape(&safe, bw_buf_view(&raw));
    safe.failed = safe.failed || raw.failed;
    bw_buf_finish(&raw);
    return keep(diags, &safe);
}

static bool fill_place(struct bw_diags *diags, struct bw_diag_place *place, const struct bw_source *source,
                       struct bw_pos at, const char *message)
{
    struct bw_buf file = {0}, line = {0};
    struct bw_diag_excerpt excerpt = {0};
    bw_text_escape(&file, bw_view_str(source && source->file ? source->file : "-"));
    const char *name = keep(diags, &file);
    if (source && at.line > 0 && source->text.len > 0) {
        bw_text_excerpt(source->text, at, &line, &excerpt.caret, &excerpt.caret_len);
        excerpt.line = keep(diags, &line);
        if (!excerpt.line)
            return false;
    }
    if (!name || !message)
        return false;
    *place = (struct bw_diag_place){.file = name, .at = at, .message = message, .excerpt = excerpt};
    return true;
}

/* Makes room by dropping the last one that is no error, so that warnings never hide an error. */
static bool forget_lesser(struct bw_diags *diags)
{
    for (size_t i = diags->count; i-- > 0;) {
        if (diags->items[i].severity == BW_DIAG_ERROR)
            continue;
        memmove(&diags->items[i], &diags->items[i + 1], (diags->count - i - 1) * sizeof(diags->items[0]));
        diags->count--;
        return true;
    }
    return false;
}

struct bw_diag *bw_diag_add(struct bw_diags *diags, const struct bw_source *source, enum bw_diag_code code,
                            struct bw_pos at, const char *format, ...)
{
    enum bw_diag_severity severity = bw_diag_code_severity(code);
    diags->errors += severity == BW_DIAG_ERROR;
    diags->warnings += severity == BW_DIAG_WARNING;
    if (diags->count == BW_DIAGS_MAX) {
        diags->dropped++;
        if (severity != BW_DIAG_ERROR || !forget_lesser(diags))
            return NULL;
    }
    if (!diags->memory)
        diags->memory = bw_arena_create(MEMORY_CAP);
    if (diags->memory && !diags->items)
        diags->items = bw_arena_zalloc(diags->memory, BW_DIAGS_MAX, sizeof(*diags->items));
    if (!diags->items) {
        diags->out_of_memory = true;
        return NULL;
    }
    va_list args;
    va_start(args, format);
    const char *message = keep_message(diags, format, args);
    va_end(args);
    struct bw_diag diag = {.code = code, .severity = severity};
    if (!fill_place(diags, &diag.where, source, at, message))
        return NULL;
    diags->items[diags->count] = diag;
    return &diags->items[diags->count++];
}

void bw_diag_relate(struct bw_diags *diags, struct bw_diag *diag, const struct bw_source *source,
                    struct bw_pos at, const char *format, ...)
{
    if (!diag)
        return;
    va_list args;
    va_start(args, format);
    const char *message = keep_message(diags, format, args);
    va_end(args);
    fill_place(diags, &diag->related, source, at, message);
}

void bw_diag_fix(struct bw_diags *diags, struct bw_diag *diag, enum bw_diag_fix fix, const char *format, ...)
{
    if (!diag)
        return;
    va_list args;
    va_start(args, format);
    const char *text = keep_message(diags, format, args);
    va_end(args);
    if (!text)
        return;
    diag->fix = fix;
    diag->fix_text = text;
}

bool bw_diags_ok(const struct bw_diags *diags)
{
    return diags->errors == 0 && !diags->out_of_memory;
}

static int compare_places(const void *a, const void *b)
{
    const struct bw_diag *x = a, *y = b;
    int files = strcmp(x->where.file, y->where.file);
    if (files != 0)
        return files;
    if (x->where.at.line != y->where.at.line)
        return x->where.at.line < y->where.at.line ? -1 : 1;
    if (x->where.at.col != y->where.at.col)
        return x->where.at.col < y->where.at.col ? -1 : 1;
    return (int)x->code - (int)y->code;
}

void bw_diags_sort(struct bw_diags *diags)
{
    if (diags->count > 1)
        qsort(diags->items, diags->count, sizeof(*diags->items), compare_places);
}

enum bw_code bw_diags_status(const struct bw_diags *diags, struct bw_error *err)
{
    if (diags->out_of_memory)
        return bw_fail_memory(err);
    for (size_t i = 0; i < diags->count; i++) {
        const struct bw_diag *diag = &diags->items[i];
        char code[BW_DIAG_CODE_TEXT_SIZE];
        if (diag->severity != BW_DIAG_ERROR)
            continue;
        return bw_fail(err, BW_INVALID_ARGUMENT, "INVALID_DOCUMENT", "%s:%u:%u: %s: %s", diag->where.file,
                       (unsigned)diag->where.at.line, (unsigned)diag->where.at.col,
                       bw_diag_code_text(diag->code, code), diag->where.message);
    }
    if (diags->errors > 0)
        return bw_fail(err, BW_INVALID_ARGUMENT, "INVALID_DOCUMENT", "the document is not valid");
    return BW_OK;
}
