/* Lanes and curves in a line of text. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "cli/support.h"
#include "quality/classify.h"

uint64_t bw_tree_number(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    if (json_is_string(value))
        return strtoull(json_string_value(value), NULL, 10);
    return json_is_integer(value) && json_integer_value(value) > 0 ? (uint64_t)json_integer_value(value) : 0;
}

const char *bw_tree_text(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text != NULL ? text : "";
}

const char *bw_tree_word(struct bw_cli *cli, const json_t *object, const char *key, const char *prefix)
{
    const char *name = bw_tree_text(object, key);
    size_t n = strlen(prefix);
    if (strncmp(name, prefix, n) == 0)
        name += n;
    if (strcmp(name, "UNSPECIFIED") == 0)
        return "";
    char *word = bw_arena_strdup(cli->arena, name);
    for (char *c = word; c != NULL && *c != '\0'; c++)
        *c = (char)(*c == '_' ? ' ' : tolower((unsigned char)*c));
    return word != NULL ? word : "";
}

bool bw_support_utf8(const struct bw_cli *cli)
{
    static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *value = cli->env(names[i]);
        if (value != NULL && value[0] != '\0')
            return strstr(value, "UTF-8") != NULL || strstr(value, "utf8") != NULL;
    }
    return false;
}

/* ---- lanes ---- */

enum shade { ABSENT, GREY, GREEN, AMBER, RED, SHADES };

static const struct {
    const char *block, *ascii, *colour;
} shades[SHADES] = {
    [ABSENT] = {" ", " ", ""},
    [GREY] = {"\xc2\xb7", ".", "\033[90m"},
    [GREEN] = {"\xe2\x96\x82", "-", "\033[32m"},
    [AMBER] = {"\xe2\x96\x85", "=", "\033[33m"},
    [RED] = {"\xe2\x96\x88", "#", "\033[31m"},
};

static enum shade shade_of(const char *class)
{
    static const char *const names[] = {[GREY] = "QUALITY_CLASS_GREY",
                                        [GREEN] = "QUALITY_CLASS_GREEN",
                                        [AMBER] = "QUALITY_CLASS_AMBER",
                                        [RED] = "QUALITY_CLASS_RED"};
    for (int shade = GREY; shade < SHADES; shade++) {
        if (strcmp(names[shade], class) == 0)
            return (enum shade)shade;
    }
    return GREY;
}

/* Every column that a stretch touches is at least as bad as that. */
static void paint(uint8_t *columns, unsigned width, uint64_t from_ms, uint64_t span_ms, uint64_t start_ms,
                  uint64_t end_ms, enum shade shade)
{
    if (end_ms <= start_ms || end_ms <= from_ms)
        return;
    uint64_t first = start_ms > from_ms ? (start_ms - from_ms) * width / span_ms : 0;
    uint64_t last = (end_ms - 1 - from_ms) * width / span_ms;
    for (uint64_t i = first; i <= last && i < width; i++) {
        if (shade > columns[i])
            columns[i] = (uint8_t)shade;
    }
}

void bw_lane_bar(const json_t *lane, uint64_t from_ms, uint64_t to_ms, unsigned width, bool utf8, bool colour,
                 struct bw_buf *out)
{
    enum { WIDTH_MAX = 200 };
    uint8_t columns[WIDTH_MAX] = {0};
    width = width < WIDTH_MAX ? width : WIDTH_MAX;
    uint64_t span_ms = to_ms > from_ms ? to_ms - from_ms : 1, at_ms = from_ms;
    enum shade now = ABSENT;
    size_t i;
    const json_t *event;
    json_array_foreach(json_object_get(lane, "events"), i, event)
    {
        const char *what = bw_tree_text(event, "what");
        uint64_t moment_ms = bw_tree_number(event, "atUnixMs");
        enum shade next;
        if (strcmp(what, "WHAT_JOINED") == 0)
            next = GREY;
        else if (strcmp(what, "WHAT_LEFT") == 0)
            next = ABSENT;
        else if (strcmp(what, "WHAT_CLASS_CHANGED") == 0)
            next = shade_of(bw_tree_text(event, "qualityClass"));
        else
            continue;
        paint(columns, width, from_ms, span_ms, at_ms, moment_ms, now);
        at_ms = moment_ms;
        now = next;
    }
    paint(columns, width, from_ms, span_ms, at_ms, to_ms, now);
    uint8_t shown = SHADES;
    for (unsigned c = 0; c < width; c++) {
        if (colour && columns[c] != shown)
            bw_buf_append_str(out, columns[c] == ABSENT ? "\033[0m" : shades[columns[c]].colour);
        shown = columns[c];
        bw_buf_append_str(out, utf8 ? shades[columns[c]].block : shades[columns[c]].ascii);
    }
    if (colour)
        bw_buf_append_str(out, "\033[0m");
}

/* ---- curves ---- */

void bw_spark(const json_t *values, unsigned width, bool utf8, struct bw_buf *out)
{
    static const char *const blocks[] = {"\xe2\x96\x81", "\xe2\x96\x82", "\xe2\x96\x83", "\xe2\x96\x84",
                                         "\xe2\x96\x85", "\xe2\x96\x86", "\xe2\x96\x87", "\xe2\x96\x88"};
    static const char ascii[] = "_.-=+*%#";
    enum { LEVELS = 8 };
    size_t count = json_array_size(values);
    if (count == 0)
        return;
    width = count < width ? (unsigned)count : width;
    int64_t most = 1;
    size_t i;
    const json_t *value;
    json_array_foreach(values, i, value)
    {
        const char *text = json_string_value(value);
        int64_t v = text != NULL ? strtoll(text, NULL, 10) : json_integer_value(value);
        most = v > most ? v : most;
    }
    for (unsigned c = 0; c < width; c++) {
        int64_t peak = -1; /* of the values that fall into this column */
        for (size_t k = c * count / width; k < (c + 1) * count / width; k++) {
            value = json_array_get(values, k);
            const char *text = json_string_value(value);
            int64_t v = text != NULL ? strtoll(text, NULL, 10) : json_integer_value(value);
            peak = v > peak ? v : peak;
        }
        int64_t level = peak * (LEVELS - 1) / most;
        if (peak < 0)
            bw_buf_append_str(out, " ");
        else if (utf8)
            bw_buf_append_str(out, blocks[level]);
        else
            bw_buf_append_u8(out, (uint8_t)ascii[level]);
    }
}

void bw_metric_print(unsigned metric, uint64_t value, struct bw_buf *out)
{
    switch (metric) {
    case BW_QUALITY_METRIC_LOSS:
    case BW_QUALITY_METRIC_CONCEALED:
    case BW_QUALITY_METRIC_FREEZE_SHARE:
        bw_buf_printf(out, "%.2f %%", (double)value / 1e4);
        break;
    case BW_QUALITY_METRIC_JITTER:
    case BW_QUALITY_METRIC_ROUND_TRIP_TIME:
        bw_buf_printf(out, "%.1f ms", (double)value / 1e3);
        break;
    case BW_QUALITY_METRIC_FRAMES_PER_SECOND:
        bw_buf_printf(out, "%.1f fps", (double)value / 1e3);
        break;
    default:
        bw_buf_printf(out, "%.1f", (double)value / 1e3);
        break;
    }
}

void bw_support_missing(struct bw_cli *cli, const json_t *tree)
{
    size_t i;
    const json_t *item;
    json_array_foreach(json_object_get(tree, "missing"), i, item)
        bw_cli_note(cli, "missing: %s (%s): %s", bw_tree_text(item, "part"), bw_tree_text(item, "reason"),
                    bw_tree_text(item, "text"));
}
