#include "base/id.h"

#include <string.h>

struct bw_id bw_id_v7(uint64_t unix_ms, const uint8_t random[10])
{
    struct bw_id id;
    for (int i = 0; i < 6; i++)
        id.bytes[i] = (uint8_t)(unix_ms >> (40 - 8 * i));
    memcpy(id.bytes + 6, random, 10);
    id.bytes[6] = (uint8_t)(0x70 | (id.bytes[6] & 0x0f));
    id.bytes[8] = (uint8_t)(0x80 | (id.bytes[8] & 0x3f));
    return id;
}

uint64_t bw_id_time_ms(const struct bw_id *id)
{
    uint64_t ms = 0;
    for (int i = 0; i < 6; i++)
        ms = ms << 8 | id->bytes[i];
    return ms;
}

struct bw_id bw_id_v4(const uint8_t random[16])
{
    struct bw_id id;
    memcpy(id.bytes, random, 16);
    id.bytes[6] = (uint8_t)(0x40 | (id.bytes[6] & 0x0f));
    id.bytes[8] = (uint8_t)(0x80 | (id.bytes[8] & 0x3f));
    return id;
}

static bool dash_at(size_t byte)
{
    return byte == 4 || byte == 6 || byte == 8 || byte == 10;
}

void bw_id_format(const struct bw_id *id, char text[BW_ID_TEXT_SIZE])
{
    static const char hex[] = "0123456789abcdef";
    char *p = text;
    for (size_t i = 0; i < sizeof id->bytes; i++) {
        if (dash_at(i))
            *p++ = '-';
        *p++ = hex[id->bytes[i] >> 4];
        *p++ = hex[id->bytes[i] & 15];
    }
    *p = '\0';
}

static int hex_value(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

bool bw_id_parse(struct bw_view text, struct bw_id *id)
{
    if (text.len != BW_ID_TEXT_SIZE - 1)
        return false;
    struct bw_id parsed;
    const uint8_t *p = text.data;
    for (size_t i = 0; i < sizeof parsed.bytes; i++) {
        if (dash_at(i) && *p++ != '-')
            return false;
        int high = hex_value(p[0]), low = hex_value(p[1]);
        if (high < 0 || low < 0)
            return false;
        parsed.bytes[i] = (uint8_t)(high << 4 | low);
        p += 2;
    }
    *id = parsed;
    return true;
}

bool bw_id_equal(const struct bw_id *a, const struct bw_id *b)
{
    return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

bool bw_id_is_zero(const struct bw_id *id)
{
    static const struct bw_id zero;
    return bw_id_equal(id, &zero);
}

int bw_id_compare(const struct bw_id *a, const struct bw_id *b)
{
    return memcmp(a->bytes, b->bytes, sizeof a->bytes);
}
