#include "grpc/timeout.h"

#include <stdio.h>

enum { MAX_DIGITS = 8, MAX_VALUE = 99999999 };

bool bw_grpc_timeout_parse(struct bw_view text, uint64_t *ms)
{
    if (text.len < 2 || text.len > MAX_DIGITS + 1)
        return false;
    uint64_t value = 0;
    for (size_t i = 0; i + 1 < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
        value = value * 10 + (text.data[i] - '0');
    }
    switch (text.data[text.len - 1]) {
    case 'H':
        *ms = value * 3600000;
        return true;
    case 'M':
        *ms = value * 60000;
        return true;
    case 'S':
        *ms = value * 1000;
        return true;
    case 'm':
        *ms = value;
        return true;
    case 'u':
        *ms = (value + 999) / 1000;
        return true;
    case 'n':
        *ms = (value + 999999) / 1000000;
        return true;
    default:
        return false;
    }
}

void bw_grpc_timeout_format(uint64_t ms, char text[BW_GRPC_TIMEOUT_TEXT_SIZE])
{
    static const struct {
        uint64_t ms;
        char unit;
    } units[] = {{1, 'm'}, {1000, 'S'}, {60000, 'M'}, {3600000, 'H'}};
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        uint64_t value = ms / units[i].ms + (ms % units[i].ms != 0);
        if (value <= MAX_VALUE) {
            snprintf(text, BW_GRPC_TIMEOUT_TEXT_SIZE, "%u%c", (unsigned)value, units[i].unit);
            return;
        }
    }
    snprintf(text, BW_GRPC_TIMEOUT_TEXT_SIZE, "%uH", (unsigned)MAX_VALUE);
}
