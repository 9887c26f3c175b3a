#include "base/reference.h"

#include <string.h>

enum { DIGITS = 16 };

/* 2025-01-01T00:00:00Z: 42 bits of milliseconds last until 2164. */
static const uint64_t epoch_ms = 1735689600000u;
static const char alphabet[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/* FNV-1a folded to 10 bits: against typing errors and chance, not against an attacker. */
static uint16_t checksum(const struct bw_id *meeting, uint32_t seq)
{
    uint64_t h = 0xcbf29ce484222325u;
    uint8_t bytes[20];
    memcpy(bytes, meeting->bytes, 16);
    for (int i = 0; i < 4; i++)
        bytes[16 + i] = (uint8_t)(seq >> (24 - 8 * i));
    for (size_t i = 0; i < sizeof bytes; i++)
        h = (h ^ bytes[i]) * 0x100000001b3u;
    h ^= h >> 33;
    h *= 0xff51afd7ed558ccdu;
    return (uint16_t)(h >> 54);
}

void bw_reference_format(const struct bw_id *meeting, uint32_t seq, char text[BW_REFERENCE_SIZE])
{
    uint64_t time = (bw_id_time_ms(meeting) - epoch_ms) & ((UINT64_C(1) << 42) - 1);
    uint64_t random = (uint64_t)(meeting->bytes[6] & 0x0f) << 8 | meeting->bytes[7];
    /* 42 + 12 bits, then 16 + 10: 80 in all */
    uint64_t place = time << 12 | random;
    uint64_t rest = (uint64_t)(seq & 0xffff) << 10 | checksum(meeting, seq);
    char digits[DIGITS];
    for (int i = DIGITS - 1; i >= 0; i--) {
        digits[i] = alphabet[rest & 31];
        rest = rest >> 5 | (place & 31) << 21;
        place >>= 5;
    }
    for (int i = 0; i < 4; i++) {
        memcpy(text + (size_t)i * 5, digits + (size_t)i * 4, 4);
        text[i * 5 + 4] = i < 3 ? '-' : '\0';
    }
}

/* 0..31, or -1. */
static int digit_of(char c)
{
    if (c >= 'a' && c <= 'z')
        c = (char)(c - 'a' + 'A');
    if (c == 'O')
        c = '0';
    if (c == 'I' || c == 'L')
        c = '1';
    const char *found = c == '\0' ? NULL : strchr(alphabet, c);
    return found == NULL ? -1 : (int)(found - alphabet);
}

bool bw_reference_parse(struct bw_view text, struct bw_reference *out)
{
    uint64_t place = 0, rest = 0;
    size_t digits = 0;
    for (size_t i = 0; i < text.len; i++) {
        char c = (char)text.data[i];
        if (c == '-' || c == ' ')
            continue;
        int digit = digit_of(c);
        if (digit < 0 || digits == DIGITS)
            return false;
        place = place << 5 | rest >> 21;
        rest = (rest << 5 | (uint64_t)digit) & ((1u << 26) - 1);
        digits++;
    }
    if (digits != DIGITS)
        return false;
    uint64_t ms = (place >> 12) + epoch_ms;
    uint16_t random = place & 0xfff;
    struct bw_id from;
    for (int i = 0; i < 6; i++)
        from.bytes[i] = (uint8_t)(ms >> (40 - 8 * i));
    from.bytes[6] = (uint8_t)(0x70 | random >> 8);
    from.bytes[7] = (uint8_t)random;
    out->from = out->to = from;
    memset(out->from.bytes + 8, 0, 8);
    memset(out->to.bytes + 8, 0xff, 8);
    out->seq_low = (uint16_t)(rest >> 10);
    out->check = rest & 0x3ff;
    return true;
}

bool bw_reference_matches(const struct bw_reference *reference, const struct bw_id *meeting, uint32_t seq)
{
    return bw_id_compare(&reference->from, meeting) <= 0 && bw_id_compare(meeting, &reference->to) <= 0 &&
           (seq & 0xffff) == reference->seq_low && checksum(meeting, seq) == reference->check;
}
