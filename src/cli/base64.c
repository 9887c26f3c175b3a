#include "cli/base64.h"

static int value_of(uint8_t c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '+' || c == '-')
        return 62;
    return c == '/' || c == '_' ? 63 : -1;
}

bool bw_base64_decode(struct bw_view text, struct bw_buf *out)
{
    size_t before = out->len, digits = 0, padding = 0;
    uint32_t bits = 0;
    bool good = true;
    for (size_t i = 0; good && i < text.len; i++) {
        uint8_t c = text.data[i];
        if (c == ' ' || c == '\n' || c == '\r' || c == '\t')
            continue;
        if (c == '=') {
            padding++;
            continue;
        }
        int value = value_of(c);
        good = value >= 0 && padding == 0;
        if (!good)
            break;
        bits = bits << 6 | (uint32_t)value;
        if (++digits % 4 != 1)
            bw_buf_append_u8(out, (uint8_t)(bits >> (2 * (3 - (digits + 3) % 4))));
    }
    size_t rest = digits % 4;
    /* The bits that no byte holds must be zero, and padding is all or nothing. */
    uint32_t spare = rest == 2 ? bits & 15 : rest == 3 ? bits & 3 : 0;
    good = good && !out->failed && rest != 1 && spare == 0 &&
           (padding == 0 || (rest != 0 && rest + padding == 4));
    if (!good)
        out->len = before;
    return good;
}
