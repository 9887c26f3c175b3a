#include "runtime/log.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "runtime/clock.h"

enum { LINE_BYTES = 4096, FIELD_BYTES = 1536 };

static const char *const level_names[] = {"debug", "info", "warn", "error"};

static _Atomic int log_level = BW_LOG_INFO;
static _Atomic bool log_json = false;
static _Atomic int log_fd = STDERR_FILENO;

/* A line or a field under construction; what does not fit is cut. */
struct text {
    char *data;
    size_t len, cap;
};

static void put(struct text *t, char c)
{
    if (t->len + 1 < t->cap)
        t->data[t->len++] = c;
}

static void put_str(struct text *t, const char *s)
{
    while (*s)
        put(t, *s++);
}

void bw_log_configure(enum bw_log_level level, bool json)
{
    atomic_store(&log_level, level);
    atomic_store(&log_json, json);
}

void bw_log_to_fd(int fd)
{
    atomic_store(&log_fd, fd);
}

bool bw_log_enabled(enum bw_log_level level)
{
    return (int)level >= atomic_load_explicit(&log_level, memory_order_relaxed);
}

bool bw_log_level_parse(const char *text, enum bw_log_level *level)
{
    for (int i = BW_LOG_DEBUG; i <= BW_LOG_ERROR; i++) {
        if (strcmp(text, level_names[i]) == 0) {
            *level = (enum bw_log_level)i;
            return true;
        }
    }
    return false;
}

/* One conversion with its argument. The argument's type follows from the conversion, which the compiler has
 * checked at the call (BW_PRINTF). Returns the first character behind the conversion. */
static const char *convert(struct text *out, const char *p, va_list *args)
{
    char spec[32];
    size_t n = 0;
    char length = 0; /* h and hh promote to int; j, z and t are as wide as long */
    int stars[2], star_count = 0;
    spec[n++] = *p++;
    while (*p && n < sizeof spec - 2) {
        char c = *p++;
        spec[n++] = c;
        if (c == '*' && star_count < 2)
            stars[star_count++] = va_arg(*args, int);
        else if (c == 'l')
            length = length == 'l' ? 'q' : 'l';
        else if (c == 'j' || c == 'z' || c == 't')
            length = 'l';
        else if (isalpha((unsigned char)c) && c != 'h')
            break;
        else if (c == '%')
            break;
    }
    spec[n] = '\0';
    char kind = spec[n - 1];
    char value[FIELD_BYTES];
    int result;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#define FORMAT(argument)                                                                                     \
    (star_count == 2   ? snprintf(value, sizeof value, spec, stars[0], stars[1], argument)                   \
     : star_count == 1 ? snprintf(value, sizeof value, spec, stars[0], argument)                             \
                       : snprintf(value, sizeof value, spec, argument))
    if (kind == '%') {
        put(out, '%');
        return p;
    }
    if (strchr("di", kind) != NULL) {
        if (length == 'q') {
            long long v = va_arg(*args, long long);
            result = FORMAT(v);
        } else if (length == 'l') {
            long v = va_arg(*args, long);
            result = FORMAT(v);
        } else {
            int v = va_arg(*args, int);
            result = FORMAT(v);
        }
    } else if (strchr("uxXoc", kind) != NULL) {
        if (length == 'q') {
            unsigned long long v = va_arg(*args, unsigned long long);
            result = FORMAT(v);
        } else if (length == 'l') {
            unsigned long v = va_arg(*args, unsigned long);
            result = FORMAT(v);
        } else {
            unsigned v = va_arg(*args, unsigned);
            result = FORMAT(v);
        }
    } else if (strchr("eEfFgGaA", kind) != NULL) {
        double v = va_arg(*args, double);
        result = FORMAT(v);
    } else {
        const void *v = va_arg(*args, const void *);
        if (kind == 's' && v == NULL)
            v = "(null)";
        result = FORMAT(v);
    }
#undef FORMAT
#pragma GCC diagnostic pop
    if (result >= 0)
        put_str(out, value);
    return p;
}

/* The literal text of the format up to the end of a value, conversions inserted. */
static const char *take_value(struct text *value, const char *p, va_list *args, bool *quoted, bool *bare)
{
    *quoted = *p == '"';
    if (*quoted)
        p++;
    *bare = !*quoted;
    while (*p && (*quoted ? *p != '"' : *p != ' ')) {
        if (*p == '%') {
            /* A bare string conversion may bring anything; a bare number is a number. */
            const char *at = p;
            p = convert(value, p, args);
            if (p[-1] == 's' || p[-1] == 'c' || at[1] == '%')
                *bare = false;
        } else {
            put(value, *p++);
        }
    }
    if (*quoted && *p == '"')
        p++;
    return p;
}

static void put_escaped(struct text *line, const struct text *value)
{
    put(line, '"');
    for (size_t i = 0; i < value->len; i++) {
        unsigned char c = (unsigned char)value->data[i];
        if (c == '"' || c == '\\') {
            put(line, '\\');
            put(line, (char)c);
        } else if (c < 0x20 || c == 0x7f) {
            char escape[8];
            snprintf(escape, sizeof escape, "\\u%04x", c);
            put_str(line, escape);
        } else {
            put(line, (char)c);
        }
    }
    put(line, '"');
}

static bool is_json_scalar(const struct text *value)
{
    if (value->len == 4 && memcmp(value->data, "true", 4) == 0)
        return true;
    if (value->len == 5 && memcmp(value->data, "false", 5) == 0)
        return true;
    size_t i = value->len > 0 && value->data[0] == '-' ? 1 : 0;
    if (i == value->len || (value->data[i] == '0' && value->len > i + 1))
        return false;
    for (; i < value->len; i++) {
        if (!isdigit((unsigned char)value->data[i]))
            return false;
    }
    return true;
}

static bool is_plain(const struct text *value)
{
    for (size_t i = 0; i < value->len; i++) {
        unsigned char c = (unsigned char)value->data[i];
        if (c <= 0x20 || c == '"' || c == '=' || c == '\\' || c == 0x7f)
            return false;
    }
    return value->len > 0;
}

static void put_field(struct text *line, const char *key, size_t key_len, const struct text *value,
                      bool quoted, bool bare, bool json)
{
    if (json)
        put_str(line, ",\"");
    else
        put(line, ' ');
    for (size_t i = 0; i < key_len; i++)
        put(line, key[i]);
    put_str(line, json ? "\":" : "=");
    bool raw = json ? bare && is_json_scalar(value) : !quoted && is_plain(value);
    if (raw) {
        for (size_t i = 0; i < value->len; i++)
            put(line, value->data[i]);
    } else {
        put_escaped(line, value);
    }
}

static void put_time(struct text *line)
{
    uint64_t ms = bw_clock_wall_ms();
    time_t seconds = (time_t)(ms / 1000);
    struct tm utc;
    gmtime_r(&seconds, &utc);
    char date[32], text[48];
    strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(text, sizeof text, "%s.%03uZ", date, (unsigned)(ms % 1000));
    put_str(line, text);
}

static void write_line(const char *data, size_t len)
{
    int fd = atomic_load(&log_fd);
    while (len > 0) {
        ssize_t n = write(fd, data, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return; /* nowhere to complain */
        data += n;
        len -= (size_t)n;
    }
}

void bw_log(enum bw_log_level level, const char *event, const char *format, ...)
{
    if (!bw_log_enabled(level))
        return;
    bool json = atomic_load_explicit(&log_json, memory_order_relaxed);
    char data[LINE_BYTES];
    /* Two bytes stay free for the end of the line. */
    struct text line = {.data = data, .cap = sizeof data - 2};
    put_str(&line, json ? "{\"time\":\"" : "time=");
    put_time(&line);
    put_str(&line, json ? "\",\"level\":\"" : " level=");
    put_str(&line, level_names[level]);
    put_str(&line, json ? "\",\"event\":\"" : " event=");
    put_str(&line, event);
    if (json)
        put(&line, '"');
    va_list args;
    va_start(args, format);
    const char *p = format;
    while (*p) {
        if (*p == ' ') {
            p++;
            continue;
        }
        const char *key = p;
        while (*p && *p != '=' && *p != ' ' && *p != '%')
            p++;
        size_t key_len = (size_t)(p - key);
        char memory[FIELD_BYTES];
        struct text value = {.data = memory, .cap = sizeof memory};
        bool quoted = false, bare = true;
        if (*p == '=')
            p++;
        else /* a word without a key is kept, under a name of its own */
            p = key;
        p = take_value(&value, p, &args, &quoted, &bare);
        if (p == key) /* cannot happen with a well-formed format; never loop on one */
            break;
        size_t before = line.len;
        bool keyed = p != key && key_len > 0 && key[key_len] == '=';
        put_field(&line, keyed ? key : "text", keyed ? key_len : 4, &value, quoted, bare, json);
        if (line.len + 1 >= line.cap && json) {
            line.len = before; /* half a field is not JSON */
            break;
        }
    }
    va_end(args);
    if (json)
        data[line.len++] = '}';
    data[line.len++] = '\n';
    write_line(data, line.len);
}
