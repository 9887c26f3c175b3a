#include "grpc/headers.h"

#include <string.h>
#include <strings.h>

#include "base/check.h"

static bool has_prefix(struct bw_view value, const char *prefix)
{
    size_t len = strlen(prefix);
    return value.len >= len && strncasecmp((const char *)value.data, prefix, len) == 0;
}

static bool ends_type(struct bw_view value, size_t at)
{
    return value.len == at || value.data[at] == '+' || value.data[at] == ';';
}

enum bw_grpc_content bw_grpc_content_type(struct bw_view value)
{
    static const struct {
        const char *type;
        enum bw_grpc_content content;
    } types[] = {
        {"application/grpc-web-text", BW_GRPC_CONTENT_WEB_TEXT},
        {"application/grpc-web", BW_GRPC_CONTENT_WEB},
        {"application/grpc", BW_GRPC_CONTENT_GRPC},
    };
    for (size_t i = 0; i < BW_ARRAY_LEN(types); i++) {
        if (has_prefix(value, types[i].type) && ends_type(value, strlen(types[i].type)))
            return types[i].content;
    }
    return BW_GRPC_CONTENT_OTHER;
}

enum bw_grpc_encoding bw_grpc_encoding_of(struct bw_view value)
{
    if (bw_view_equal_str(value, "identity"))
        return BW_GRPC_IDENTITY;
    if (bw_view_equal_str(value, "gzip"))
        return BW_GRPC_GZIP;
    return BW_GRPC_ENCODING_OTHER;
}

bool bw_grpc_accepts_gzip(struct bw_view value)
{
    size_t at = 0;
    while (at < value.len) {
        while (at < value.len && (value.data[at] == ' ' || value.data[at] == ','))
            at++;
        size_t end = at;
        while (end < value.len && value.data[end] != ',' && value.data[end] != ' ')
            end++;
        if (end > at && bw_view_equal_str(bw_view_of(value.data + at, end - at), "gzip"))
            return true;
        at = end;
    }
    return false;
}

/* Length of the well-formed UTF-8 sequence at the front (RFC 3629), 0 when there is none. */
static size_t utf8_length(const uint8_t *p, size_t left)
{
    uint8_t first = p[0];
    if (first < 0x80)
        return 1;
    size_t len = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    if (first < 0xc2 || first > 0xf4 || left < len)
        return 0;
    for (size_t i = 1; i < len; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    }
    bool overlong = (first == 0xe0 && p[1] < 0xa0) || (first == 0xf0 && p[1] < 0x90);
    bool surrogate = first == 0xed && p[1] > 0x9f;
    bool beyond = first == 0xf4 && p[1] > 0x8f;
    return overlong || surrogate || beyond ? 0 : len;
}

static void escape_byte(struct bw_buf *out, uint8_t byte)
{
    static const char digits[] = "0123456789ABCDEF";
    const char text[3] = {'%', digits[byte >> 4], digits[byte & 15]};
    bw_buf_append(out, text, sizeof text);
}

void bw_grpc_message_escape(struct bw_view message, struct bw_buf *out)
{
    size_t i = 0;
    while (i < message.len) {
        size_t len = utf8_length(message.data + i, message.len - i);
        if (len == 0) {
            bw_buf_append_str(out, "%EF%BF%BD");
            i++;
            continue;
        }
        for (size_t end = i + len; i < end; i++) {
            uint8_t byte = message.data[i];
            if (byte < 0x20 || byte > 0x7e || byte == '%')
                escape_byte(out, byte);
            else
                bw_buf_append_u8(out, byte);
        }
    }
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

char *bw_grpc_message_unescape(struct bw_view value, struct bw_arena *arena)
{
    char *text = bw_arena_alloc(arena, value.len + 1);
    if (text == NULL)
        return NULL;
    size_t n = 0;
    for (size_t i = 0; i < value.len; i++) {
        uint8_t byte = value.data[i];
        if (byte == '%' && value.len - i > 2 && hex_value(value.data[i + 1]) >= 0 &&
            hex_value(value.data[i + 2]) >= 0) {
            byte = (uint8_t)(hex_value(value.data[i + 1]) << 4 | hex_value(value.data[i + 2]));
            i += 2;
        }
        text[n++] = byte ? (char)byte : '?';
    }
    text[n] = '\0';
    return text;
}

void bw_grpc_base64_encode(struct bw_view bytes, struct bw_buf *out)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < bytes.len; i += 3) {
        size_t have = bytes.len - i < 3 ? bytes.len - i : 3;
        uint32_t group = (uint32_t)bytes.data[i] << 16;
        if (have > 1)
            group |= (uint32_t)bytes.data[i + 1] << 8;
        if (have > 2)
            group |= bytes.data[i + 2];
        char text[4];
        for (size_t j = 0; j < 4; j++)
            text[j] = alphabet[group >> (18 - 6 * j) & 63];
        bw_buf_append(out, text, have + 1);
    }
}

static int base64_value(uint8_t c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '+')
        return 62;
    if (c == '/')
        return 63;
    return -1;
}

enum bw_code bw_grpc_base64_decode(struct bw_view text, struct bw_arena *arena, struct bw_view *out)
{
    size_t len = text.len;
    if (len % 4 == 0 && len > 0 && text.data[len - 1] == '=') {
        len--;
        if (text.data[len - 1] == '=')
            len--;
    }
    if (len % 4 == 1)
        return BW_INVALID_ARGUMENT;
    uint8_t *bytes = bw_arena_alloc(arena, len / 4 * 3 + 3);
    if (bytes == NULL)
        return BW_RESOURCE_EXHAUSTED;
    size_t n = 0;
    uint32_t group = 0;
    for (size_t i = 0; i < len; i++) {
        int value = base64_value(text.data[i]);
        if (value < 0)
            return BW_INVALID_ARGUMENT;
        group = group << 6 | (uint32_t)value;
        /* After 2, 3 and 4 characters of a group another byte is complete. */
        size_t bits = 6 * (i % 4 + 1);
        if (i % 4 > 0)
            bytes[n++] = (uint8_t)(group >> (bits - 8 * (i % 4)));
        if (i % 4 == 3)
            group = 0;
    }
    *out = bw_view_of(bytes, n);
    return BW_OK;
}

bool bw_grpc_is_binary(struct bw_view name)
{
    return name.len > 4 && memcmp(name.data + name.len - 4, "-bin", 4) == 0;
}

bool bw_grpc_name_allowed(struct bw_view name)
{
    static const char *const taken[] = {"te",         "content-type", "content-length",    "host",
                                        "connection", "upgrade",      "transfer-encoding", "keep-alive",
                                        "user-agent"};
    if (name.len == 0 || name.len > 256 || has_prefix(name, "grpc-"))
        return false;
    for (size_t i = 0; i < name.len; i++) {
        uint8_t c = name.data[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || c == '_' || c == '.' || c == '-'))
            return false;
    }
    for (size_t i = 0; i < BW_ARRAY_LEN(taken); i++) {
        if (bw_view_equal_str(name, taken[i]))
            return false;
    }
    return true;
}

bool bw_grpc_value_allowed(struct bw_view value)
{
    for (size_t i = 0; i < value.len; i++) {
        if (value.data[i] < 0x20 || value.data[i] > 0x7e)
            return false;
    }
    /* Blanks at the ends would be stripped on the way. */
    return value.len == 0 || (value.data[0] != ' ' && value.data[value.len - 1] != ' ');
}

enum bw_code bw_grpc_code_of_http(unsigned status)
{
    switch (status) {
    case 400:
        return BW_INTERNAL;
    case 401:
        return BW_UNAUTHENTICATED;
    case 403:
        return BW_PERMISSION_DENIED;
    case 404:
        return BW_UNIMPLEMENTED;
    case 429:
    case 502:
    case 503:
    case 504:
        return BW_UNAVAILABLE;
    default:
        return BW_UNKNOWN;
    }
}

enum bw_code bw_grpc_code_of_reset(uint32_t error_code)
{
    switch (error_code) {
    case 0x7: /* REFUSED_STREAM */
        return BW_UNAVAILABLE;
    case 0x8: /* CANCEL */
        return BW_CANCELLED;
    case 0xb: /* ENHANCE_YOUR_CALM */
        return BW_RESOURCE_EXHAUSTED;
    case 0xc: /* INADEQUATE_SECURITY */
        return BW_PERMISSION_DENIED;
    default:
        return BW_INTERNAL;
    }
}
