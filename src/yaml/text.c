#include "yaml/text.h"

#include <string.h>

uint32_t bw_text_code_point(struct bw_view text, size_t at, size_t *bytes)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    uint8_t first = text.data[at];
    size_t len = first < 0x80 ? 1 : first >> 5 == 6 ? 2 : first >> 4 == 14 ? 3 : first >> 3 == 30 ? 4 : 0;
    *bytes = 1;
    if (len == 0 || len > text.len - at)
        return BW_TEXT_INVALID;
    uint32_t point = len == 1 ? first : first & (0x7fu >> len);
    for (size_t i = 1; i < len; i++) {
        uint8_t next = text.data[at + i];
        if (next >> 6 != 2)
            return BW_TEXT_INVALID;
        point = point << 6 | (next & 0x3f);
    }
    if (point < least[len] || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff))
        return BW_TEXT_INVALID;
    *bytes = len;
    return point;
}

static void escape_one(struct bw_buf *out, struct bw_view text, size_t at, size_t bytes, uint32_t point)
{
    if (point == BW_TEXT_INVALID)
        bw_buf_printf(out, "\\x{%02x}", text.data[at]);
    else if (point == '\t')
        bw_buf_append_str(out, "\\t");
    else if (point == '\n')
        bw_buf_append_str(out, "\\n");
    else if (point == '\r')
        bw_buf_append_str(out, "\\r");
    else if (point < 0x20 || point > 0x7e)
        bw_buf_printf(out, "\\u{%x}", (unsigned)point);
    else
        bw_buf_append(out, text.data + at, bytes);
}

void bw_text_escape(struct bw_buf *out, struct bw_view text)
{
    for (size_t at = 0, bytes; at < text.len; at += bytes) {
        uint32_t point = bw_text_code_point(text, at, &bytes);
        escape_one(out, text, at, bytes, point);
    }
}

void bw_text_json(struct bw_buf *out, struct bw_view text)
{
    bw_buf_append_str(out, "\"");
    for (size_t at = 0, bytes; at < text.len; at += bytes) {
        uint32_t point = bw_text_code_point(text, at, &bytes);
        if (point == BW_TEXT_INVALID)
            point = 0xfffd;
        if (point == '"' || point == '\\')
            bw_buf_printf(out, "\\%c", (char)point);
        else if (point >= 0x20 && point <= 0x7e)
            bw_buf_append(out, text.data + at, 1);
        else if (point < 0x10000)
            bw_buf_printf(out, "\\u%04x", (unsigned)point);
        else
            bw_buf_printf(out, "\\u%04x\\u%04x", (unsigned)(0xd800 + ((point - 0x10000) >> 10)),
                          (unsigned)(0xdc00 + ((point - 0x10000) & 0x3ff)));
    }
    bw_buf_append_str(out, "\"");
}

size_t bw_text_bom(struct bw_view text)
{
    return text.len >= 3 && memcmp(text.data, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
}

static bool reorders(uint32_t point)
{
    return point == 0x61c || point == 0x200e || point == 0x200f || (point >= 0x202a && point <= 0x202e) ||
           (point >= 0x2066 && point <= 0x2069);
}

/* What is wrong with a code point wherever it stands; NULL when nothing is. */
static const char *refusal(struct bw_view text, size_t at, uint32_t point, enum bw_diag_code *code)
{
    *code = BW_P_CONTROL_CHARACTER;
    if (point == BW_TEXT_INVALID) {
        *code = BW_P_ENCODING;
        return "is not valid UTF-8; save the file as UTF-8";
    }
    if (point == '\r')
        return at + 1 < text.len && text.data[at + 1] == '\n'
                   ? NULL
                   : "is a carriage return without a line feed; end lines with \\n or \\r\\n";
    if (point == 0x85 || point == 0x2028 || point == 0x2029)
        return "ends a line for YAML but not for most editors; use an ordinary line break";
    if ((point < 0x20 && point != '\t' && point != '\n') || (point >= 0x7f && point <= 0x9f) ||
        point == 0xfffe || point == 0xffff)
        return "is a control character; remove it";
    *code = BW_P_HIDDEN_CHARACTER;
    if (reorders(point))
        return "changes the direction of text, so that a line reads differently than it is; remove it";
    if (point == 0xfeff && at > 0)
        return "is an invisible byte order mark inside the file; remove it";
    return NULL;
}

bool bw_text_check(const struct bw_source *source, struct bw_diags *diags)
{
    struct bw_view text = source->text;
    struct bw_pos pos = {1, 1, 1};
    uint32_t bad_line = 0; /* one report a line: a file in another encoding is wrong all over */
    size_t errors = diags->errors;
    if (text.len >= 2 && (memcmp(text.data, "\xff\xfe", 2) == 0 || memcmp(text.data, "\xfe\xff", 2) == 0)) {
        bw_diag_add(diags, source, BW_P_ENCODING, pos, "the file is UTF-16; save it as UTF-8");
        return false;
    }
    for (size_t at = bw_text_bom(text), bytes; at < text.len && diags->errors - errors < BW_DIAGS_MAX;
         at += bytes) {
        uint8_t plain = text.data[at];
        if (plain >= 0x20 && plain < 0x7f) {
            bytes = 1;
            pos.col++;
            continue;
        }
        enum bw_diag_code code;
        uint32_t point = bw_text_code_point(text, at, &bytes);
        const char *why = refusal(text, at, point, &code);
        if (why && bad_line != pos.line) {
            bad_line = pos.line;
            struct bw_buf shown = {0};
            escape_one(&shown, text, at, bytes, point);
            bw_diag_add(diags, source, code, pos, "%s %s", shown.failed ? "this" : bw_buf_cstr(&shown), why);
            bw_buf_finish(&shown);
        }
        pos.col++;
        if (point == '\n') {
            pos.line++;
            pos.col = 1;
        }
    }
    return diags->errors == errors;
}

/* The bytes of a line, without its end; empty past the last. */
static struct bw_view line_of(struct bw_view text, uint32_t line)
{
    size_t bom = bw_text_bom(text);
    struct bw_view rest = {text.data + bom, text.len - bom};
    for (; line > 1; line--) {
        const uint8_t *end = rest.len ? memchr(rest.data, '\n', rest.len) : NULL;
        if (!end)
            return (struct bw_view){rest.data, 0};
        rest.len -= (size_t)(end - rest.data) + 1;
        rest.data = end + 1;
    }
    const uint8_t *end = rest.len ? memchr(rest.data, '\n', rest.len) : NULL;
    if (end)
        rest.len = (size_t)(end - rest.data);
    if (rest.len && rest.data[rest.len - 1] == '\r')
        rest.len--;
    return rest;
}

void bw_text_excerpt(struct bw_view text, struct bw_pos at, struct bw_buf *line, uint32_t *caret,
                     uint32_t *caret_len)
{
    enum { BEFORE = 60, AFTER = 60 };
    struct bw_view whole = line_of(text, at.line);
    uint32_t first = at.col > BEFORE + 1 ? at.col - BEFORE : 1, col = 1;
    size_t caret_from = 0, caret_to = 0;
    bool begun = false, cut = false;
    if (first > 1)
        bw_buf_append_str(line, "...");
    for (size_t i = 0, bytes; i < whole.len; i += bytes, col++) {
        uint32_t point = bw_text_code_point(whole, i, &bytes);
        if (col < first)
            continue;
        if (col > at.col && col - at.col > AFTER) {
            cut = true;
            break;
        }
        if (col == at.col) {
            caret_from = line->len;
            begun = true;
        }
        if (point == '\t')
            bw_buf_append_str(line, " "); /* one column of carets, whatever a terminal makes of a tab */
        else
            escape_one(line, whole, i, bytes, point);
        if (begun && (uint64_t)col < (uint64_t)at.col + (at.len ? at.len : 1))
            caret_to = line->len;
    }
    if (!begun)
        caret_from = caret_to = line->len; /* at the line's end: something is missing there */
    if (cut)
        bw_buf_append_str(line, "...");
    *caret = (uint32_t)caret_from;
    *caret_len = caret_to > caret_from ? (uint32_t)(caret_to - caret_from) : 1;
}
