#include "cli/when.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char *zone_folder(void)
{
    return access("/usr/share/zoneinfo", X_OK) == 0 ? "/usr/share/zoneinfo" : NULL;
}

int bw_when_zone(struct bw_cli *cli)
{
    const char *zone = bw_args_text(cli->args, "tz");
    if (zone == NULL) {
        tzset();
        return BW_EXIT_OK;
    }
    if (strcmp(zone, "UTC") != 0) {
        const char *folder = zone_folder();
        char *path = folder != NULL ? bw_arena_printf(cli->arena, "%s/%s", folder, zone) : NULL;
        bool plain = zone[0] != '\0' && zone[0] != '/' && strstr(zone, "..") == NULL;
        if (!plain || path == NULL || access(path, R_OK) != 0)
            return bw_cli_say(
                cli, BW_EXIT_USAGE,
                "--tz %.60s: this machine knows no such time zone; give one like Europe/Paris, or "
                "UTC",
                zone);
    }
    if (setenv("TZ", zone, 1) != 0)
        return bw_cli_memory(cli);
    tzset();
    return BW_EXIT_OK;
}

/* ---- reading ---- */

/* A whole text of one form; *rest is what follows it. */
static bool takes(const char *text, const char *format, struct tm *tm, const char **rest)
{
    const char *end = strptime(text, format, tm);
    if (end == NULL)
        return false;
    *rest = end;
    return true;
}

/* Two digits; -1: something else. */
static int two_digits(const char *text)
{
    if (text[0] < '0' || text[0] > '9' || text[1] < '0' || text[1] > '9')
        return -1;
    return (text[0] - '0') * 10 + (text[1] - '0');
}

/* "Z", "+01:00", "-0530"; false: something else. */
static bool offset_of(const char *text, long *seconds)
{
    if (strcmp(text, "Z") == 0 || strcmp(text, "z") == 0) {
        *seconds = 0;
        return true;
    }
    char sign = text[0];
    if (sign != '+' && sign != '-')
        return false;
    int hours = two_digits(text + 1);
    if (hours < 0)
        return false;
    const char *rest = text + 3 + (text[3] == ':');
    int minutes = two_digits(rest);
    if (minutes < 0 || rest[2] != '\0' || hours > 14 || minutes > 59)
        return false;
    *seconds = (sign == '-' ? -1L : 1L) * (hours * 3600L + minutes * 60L);
    return true;
}

bool bw_when_parse(const char *text, uint64_t now_ms, uint64_t *ms)
{
    static const char *const forms[] = {
        "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M",
        "%Y-%m-%d",          "%H:%M:%S",          "%H:%M"};
    enum { FIRST_WITHOUT_DATE = 5 };
    time_t now = (time_t)(now_ms / 1000);
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        struct tm tm = {0};
        const char *rest;
        if (i >= FIRST_WITHOUT_DATE && localtime_r(&now, &tm) == NULL)
            return false;
        tm.tm_hour = tm.tm_min = tm.tm_sec = 0;
        if (!takes(text, forms[i], &tm, &rest))
            continue;
        if (rest[0] == '.') /* a fraction of a second */
            rest += 1 + strspn(rest + 1, "0123456789");
        long offset = 0;
        bool said = offset_of(rest, &offset);
        if (!said && rest[0] != '\0')
            continue;
        tm.tm_isdst = -1;
        time_t seconds = said ? timegm(&tm) - offset : mktime(&tm);
        if (seconds < 0)
            return false;
        *ms = (uint64_t)seconds * 1000;
        return true;
    }
    return false;
}

static int take_moment(struct bw_cli *cli, const char *option, uint64_t now_ms, int64_t *ms)
{
    const char *text = bw_args_text(cli->args, option);
    uint64_t moment;
    if (text == NULL)
        return BW_EXIT_OK;
    if (!bw_when_parse(text, now_ms, &moment))
        return bw_cli_say(
            cli, BW_EXIT_USAGE,
            "--%s %.60s: not a moment; write 2026-11-21T10:00:00Z, '2026-11-21 10:00', 2026-11-21 "
            "or 10:00",
            option, text);
    *ms = (int64_t)moment;
    return BW_EXIT_OK;
}

int bw_when_range(struct bw_cli *cli, uint64_t now_ms, int64_t *from_ms, int64_t *to_ms)
{
    if (bw_args_given(cli->args, "since") && bw_args_given(cli->args, "from"))
        return bw_cli_say(cli, BW_EXIT_USAGE, "give --since or --from, not both");
    /* The clocks of the cell and of this machine differ a little. */
    *to_ms = (int64_t)now_ms + 5000;
    *from_ms = (int64_t)now_ms - (int64_t)bw_args_number(cli->args, "since", 86400000);
    int result = take_moment(cli, "from", now_ms, from_ms);
    if (result == BW_EXIT_OK)
        result = take_moment(cli, "to", now_ms, to_ms);
    if (result == BW_EXIT_OK && *from_ms >= *to_ms)
        return bw_cli_say(cli, BW_EXIT_USAGE, "the range ends before it begins");
    return result;
}

/* ---- printing ---- */

static size_t format_time(const struct tm *tm, enum bw_when_style style, char *text, size_t size)
{
    switch (style) {
    case BW_WHEN_CLOCK:
        return strftime(text, size, "%H:%M:%S", tm);
    case BW_WHEN_LONG:
        return strftime(text, size, "%Y-%m-%d %H:%M:%S %z", tm);
    default:
        return strftime(text, size, "%Y-%m-%dT%H:%M:%S", tm);
    }
}

void bw_when_print(uint64_t ms, enum bw_when_style style, struct bw_buf *out)
{
    time_t seconds = (time_t)(ms / 1000);
    struct tm tm;
    char text[64];
    if (localtime_r(&seconds, &tm) == NULL || format_time(&tm, style, text, sizeof text) == 0) {
        bw_buf_append_str(out, "?");
        return;
    }
    bw_buf_append_str(out, text);
    if (style != BW_WHEN_RFC3339)
        return;
    long offset = tm.tm_gmtoff;
    bw_buf_printf(out, ".%03u", (unsigned)(ms % 1000));
    if (offset == 0)
        bw_buf_append_str(out, "Z");
    else
        bw_buf_printf(out, "%c%02ld:%02ld", offset < 0 ? '-' : '+', labs(offset) / 3600,
                      labs(offset) / 60 % 60);
}

void bw_when_span(uint64_t ms, struct bw_buf *out)
{
    uint64_t seconds = (ms + 500) / 1000;
    if (seconds >= 3600)
        bw_buf_printf(out, "%llu h %llu min", (unsigned long long)(seconds / 3600),
                      (unsigned long long)(seconds / 60 % 60));
    else if (seconds >= 120)
        bw_buf_printf(out, "%llu min %llu s", (unsigned long long)(seconds / 60),
                      (unsigned long long)(seconds % 60));
    else
        bw_buf_printf(out, "%llu s", (unsigned long long)seconds);
}

static void name_moment(json_t *object, const char *key, const json_t *value, enum bw_when_style style)
{
    static const char suffix[] = "UnixMs";
    char name[64];
    size_t len = strlen(key);
    uint64_t ms = json_is_string(value) ? strtoull(json_string_value(value), NULL, 10)
                                        : (uint64_t)json_integer_value(value);
    if (len <= sizeof suffix - 1 || len >= sizeof name || ms == 0 ||
        strcmp(key + len - (sizeof suffix - 1), suffix) != 0)
        return;
    memcpy(name, key, len - (sizeof suffix - 1));
    name[len - (sizeof suffix - 1)] = '\0';
    struct bw_buf text = {0};
    bw_when_print(ms, style, &text);
    const char *words = bw_buf_cstr(&text);
    json_object_set_new(object, name, json_string(words != NULL ? words : ""));
    bw_buf_finish(&text);
}

void bw_when_tree(json_t *tree, enum bw_when_style style)
{
    size_t i;
    json_t *value;
    const char *key;
    json_array_foreach(tree, i, value) bw_when_tree(value, style);
    void *next;
    json_object_foreach_safe(tree, next, key, value)
    {
        bw_when_tree(value, style);
        if (json_is_string(value) || json_is_integer(value))
            name_moment(tree, key, value, style);
    }
}
