/* Test vectors are written in hex; a malformed one is a mistake of the test and aborts. */
#ifndef BW_TESTS_CRYPTO_HEX_H
#define BW_TESTS_CRYPTO_HEX_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/check.h"

static inline uint8_t hex_digit(char c)
{
    BW_CHECK((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'));
    return (uint8_t)(c <= '9' ? c - '0' : c - 'a' + 10);
}

/* Decodes into one of a few static buffers, so that a vector may be written where it is used. */
static inline struct bw_view hex(const char *text)
{
    static uint8_t buffers[8][256];
    static unsigned next;
    uint8_t *out = buffers[next++ % 8];
    size_t len = strlen(text) / 2;
    BW_CHECK(strlen(text) % 2 == 0 && len <= sizeof buffers[0]);
    for (size_t i = 0; i < len; i++)
        out[i] = (uint8_t)(hex_digit(text[2 * i]) << 4 | hex_digit(text[2 * i + 1]));
    return bw_view_of(out, len);
}

static inline struct bw_view repeated(uint8_t byte, size_t len)
{
    static uint8_t buffers[4][256];
    static unsigned next;
    uint8_t *out = buffers[next++ % 4];
    BW_CHECK(len <= sizeof buffers[0]);
    memset(out, byte, len);
    return bw_view_of(out, len);
}

#endif
