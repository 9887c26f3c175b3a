#include "yaml/scalar.h"

#include <stdio.h>
#include <string.h>

static bool is_digit(uint8_t byte)
{
    return byte >= '0' && byte <= '9';
}

bool bw_scalar_bool(struct bw_view text, bool *out)
{
    if (bw_view_equal_str(text, "true"))
        *out = true;
    else if (bw_view_equal_str(text, "false"))
        *out = false;
    else
        return false;
    return true;
}

bool bw_scalar_uint(struct bw_view text, uint64_t *out)
{
    uint64_t value = 0;
    if (text.len == 0 || (text.len > 1 && text.data[0] == '0'))
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (!is_digit(text.data[i]))
            return false;
        if (__builtin_mul_overflow(value, UINT64_C(10), &value) ||
            __builtin_add_overflow(value, (uint64_t)(text.data[i] - '0'), &value))
            return false;
    }
    *out = value;
    return true;
}

bool bw_scalar_decimal(struct bw_view text, int64_t *millionths)
{
    bool negative = text.len > 0 && text.data[0] == '-';
    struct bw_view whole = {text.data + negative, text.len - negative};
    const uint8_t *point = whole.len ? memchr(whole.data, '.', whole.len) : NULL;
    uint64_t value, fraction = 0;
    size_t digits = 0;
    if (point) {
        digits = whole.len - (size_t)(point - whole.data) - 1;
        whole.len = (size_t)(point - whole.data);
        if (digits == 0 || digits > 6)
            return false;
    }
    if (!bw_scalar_uint(whole, &value) || value > INT64_MAX / 1000000 - 1)
        return false;
    for (size_t i = 0; i < 6; i++) {
        uint8_t digit = i < digits ? point[1 + i] : '0';
        if (!is_digit(digit))
            return false;
        fraction = fraction * 10 + (uint64_t)(digit - '0');
    }
    int64_t result = (int64_t)(value * 1000000 + fraction);
    *millionths = negative ? -result : result;
    return true;
}

bool bw_scalar_duration(struct bw_view text, uint64_t *ms)
{
    static const struct {
        const char *unit;
        uint64_t ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};
    size_t digits = 0;
    while (digits < text.len && is_digit(text.data[digits]))
        digits++;
    struct bw_view unit = {text.data + digits, text.len - digits};
    uint64_t value;
    if (!bw_scalar_uint((struct bw_view){text.data, digits}, &value))
        return false;
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (!bw_view_equal_str(unit, units[i].unit))
            continue;
        if (__builtin_mul_overflow(value, units[i].ms, &value) || value > INT64_MAX)
            return false;
        *ms = value;
        return true;
    }
    return false;
}

/* count digits at `at`; false when there are others. */
static bool digits_at(struct bw_view text, size_t at, size_t count, unsigned *out)
{
    unsigned value = 0;
    if (text.len < at + count)
        return false;
    for (size_t i = 0; i < count; i++) {
        if (!is_digit(text.data[at + i]))
            return false;
        value = value * 10 + (unsigned)(text.data[at + i] - '0');
    }
    *out = value;
    return true;
}

static bool is_leap(unsigned year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

/* Days since 1970-01-01 of a date in the first ten bytes. */
static bool date_at_start(struct bw_view text, uint64_t *days)
{
    static const unsigned lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    unsigned year, month, day;
    if (text.len < 10 || !digits_at(text, 0, 4, &year) || text.data[4] != '-' ||
        !digits_at(text, 5, 2, &month) || text.data[7] != '-' || !digits_at(text, 8, 2, &day))
        return false;
    if (year < 1970 || month < 1 || month > 12 || day < 1 ||
        day > lengths[month - 1] + (month == 2 && is_leap(year)))
        return false;
    uint64_t sum = 0;
    for (unsigned y = 1970; y < year; y++)
        sum += 365u + is_leap(y);
    for (unsigned m = 1; m < month; m++)
        sum += lengths[m - 1] + (m == 2 && is_leap(year));
    *days = sum + day - 1;
    return true;
}

bool bw_scalar_date(struct bw_view text, uint64_t *unix_ms)
{
    uint64_t days;
    if (text.len != 10 || !date_at_start(text, &days))
        return false;
    *unix_ms = days * 86400000;
    return true;
}

/* The zone at the end, in minutes east of UTC. */
static bool zone(struct bw_view text, int *minutes)
{
    unsigned hour, minute;
    if (bw_view_equal_str(text, "Z")) {
        *minutes = 0;
        return true;
    }
    if (text.len != 6 || (text.data[0] != '+' && text.data[0] != '-') || !digits_at(text, 1, 2, &hour) ||
        text.data[3] != ':' || !digits_at(text, 4, 2, &minute) || hour > 23 || minute > 59)
        return false;
    *minutes = (int)(hour * 60 + minute) * (text.data[0] == '-' ? -1 : 1);
    return true;
}

bool bw_scalar_instant(struct bw_view text, uint64_t *unix_ms)
{
    uint64_t days;
    unsigned hour, minute, second, fraction = 0;
    if (!date_at_start(text, &days) || text.len < 20 || text.data[10] != 'T' ||
        !digits_at(text, 11, 2, &hour) || text.data[13] != ':' || !digits_at(text, 14, 2, &minute) ||
        text.data[16] != ':' || !digits_at(text, 17, 2, &second) || hour > 23 || minute > 59 || second > 59)
        return false;
    size_t at = 19;
    if (text.data[at] == '.') {
        size_t start = ++at;
        while (at < text.len && is_digit(text.data[at]))
            at++;
        if (at == start || at - start > 9)
            return false;
        for (size_t i = 0; i < 3; i++)
            fraction = fraction * 10 + (start + i < at ? (unsigned)(text.data[start + i] - '0') : 0);
    }
    int minutes;
    if (!zone((struct bw_view){text.data + at, text.len - at}, &minutes))
        return false;
    int64_t ms = (int64_t)(days * 86400000 + hour * 3600000u + minute * 60000u + second * 1000u + fraction);
    ms -= (int64_t)minutes * 60000;
    if (ms < 0)
        return false;
    *unix_ms = (uint64_t)ms;
    return true;
}

const char *bw_scalar_instant_text(uint64_t unix_ms, char text[BW_SCALAR_INSTANT_SIZE])
{
    enum { DAY_S = 86400, LAST_DAY = 2932896 }; /* 9999-12-31 */
    uint64_t seconds = unix_ms / 1000, days = seconds / DAY_S, rest = seconds % DAY_S;
    text[0] = '\0';
    if (days > LAST_DAY)
        return text;
    /* Years that begin in March, so that the day that comes and goes is a year's last; eras of 400 of them.
     */
    uint64_t shifted = days + 719468, era = shifted / 146097, of_era = shifted % 146097;
    uint64_t year_of_era = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    uint64_t of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    uint64_t month_of_year = (5 * of_year + 2) / 153; /* from March */
    unsigned day = (unsigned)(of_year - (153 * month_of_year + 2) / 5 + 1);
    unsigned month = (unsigned)(month_of_year < 10 ? month_of_year + 3 : month_of_year - 9);
    unsigned year = (unsigned)(era * 400 + year_of_era + (month <= 2));
    snprintf(text, BW_SCALAR_INSTANT_SIZE, "%04u-%02u-%02uT%02u:%02u:%02uZ", year % 10000, month % 100,
             day % 100, (unsigned)(rest / 3600) % 100, (unsigned)(rest / 60 % 60), (unsigned)(rest % 60));
    return text;
}

bool bw_scalar_looks_boolean(struct bw_view text)
{
    static const char *const words[] = {"y", "n", "yes", "no", "on", "off", "true", "false"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        size_t len = strlen(words[i]);
        if (len != text.len)
            continue;
        /* all lower, all upper, or capitalised: the forms YAML 1.1 names */
        bool lower = true, upper = true, capital = true;
        for (size_t k = 0; k < len; k++) {
            uint8_t low = (uint8_t)words[i][k], up = (uint8_t)(low - 32), c = text.data[k];
            lower = lower && c == low;
            upper = upper && c == up;
            capital = capital && c == (k == 0 ? up : low);
        }
        if (lower || upper || capital)
            return true;
    }
    return false;
}

bool bw_scalar_is_ascii(struct bw_view text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] < 0x20 || text.data[i] > 0x7e)
            return false;
    return true;
}

bool bw_scalar_is_name(struct bw_view text)
{
    if (text.len == 0 || text.len > 63 || text.data[0] == '-')
        return false;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.data[i];
        if (!((c >= 'a' && c <= 'z') || is_digit(c) || c == '-'))
            return false;
    }
    return true;
}
