#include "wire/grammar.h"

#include <arpa/inet.h>
#include <string.h>

#include "base/id.h"

#define G(name) BAILIWICK__V1__RULE__GRAMMAR__##name

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static bool is_lower(uint8_t c)
{
    return c >= 'a' && c <= 'z';
}

static bool is_upper(uint8_t c)
{
    return c >= 'A' && c <= 'Z';
}

static bool is_alnum(uint8_t c)
{
    return is_digit(c) || is_lower(c) || is_upper(c);
}

static bool contains(const char *set, uint8_t c)
{
    return c != '\0' && strchr(set, c) != NULL;
}

/* At least one character, each alphanumeric or of `extra`. */
static bool all_of(struct bw_view text, const char *extra)
{
    for (size_t i = 0; i < text.len; i++)
        if (!is_alnum(text.data[i]) && !contains(extra, text.data[i]))
            return false;
    return text.len > 0;
}

static struct bw_view tail(struct bw_view text, size_t from)
{
    return bw_view_of(text.data + from, text.len - from);
}

static struct bw_view head(struct bw_view text, size_t len)
{
    return bw_view_of(text.data, len);
}

/* Index of the first (or last) c; text.len when there is none. */
static size_t find(struct bw_view text, uint8_t c)
{
    const uint8_t *p = text.len > 0 ? memchr(text.data, c, text.len) : NULL;
    return p != NULL ? (size_t)(p - text.data) : text.len;
}

static size_t find_last(struct bw_view text, uint8_t c)
{
    const uint8_t *p = text.len > 0 ? memrchr(text.data, c, text.len) : NULL;
    return p != NULL ? (size_t)(p - text.data) : text.len;
}

size_t bw_wire_utf8_sequence(const uint8_t *p, size_t left)
{
    uint8_t c = p[0];
    if (c < 0x80)
        return 1;
    size_t n = 0;
    uint8_t low = 0x80, high = 0xbf; /* of the second byte */
    if (c >= 0xc2 && c <= 0xdf)
        n = 2;
    else if (c >= 0xe0 && c <= 0xef)
        n = 3;
    else if (c >= 0xf0 && c <= 0xf4)
        n = 4;
    if (c == 0xe0)
        low = 0xa0;
    if (c == 0xed)
        high = 0x9f;
    if (c == 0xf0)
        low = 0x90;
    if (c == 0xf4)
        high = 0x8f;
    if (n == 0 || n > left || p[1] < low || p[1] > high)
        return 0;
    for (size_t i = 2; i < n; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    return n;
}

bool bw_wire_is_utf8(struct bw_view text)
{
    size_t i = 0;
    while (i < text.len) {
        size_t n = bw_wire_utf8_sequence(text.data + i, text.len - i);
        if (n == 0)
            return false;
        i += n;
    }
    return true;
}

/* No control characters: C0 but those allowed, DEL, C1 (U+0080 to U+009F), line and paragraph separators. */
static bool is_text(struct bw_view text, const char *allowed)
{
    for (size_t i = 0; i < text.len; i++) {
        const uint8_t *p = text.data + i;
        if ((p[0] < 0x20 && !contains(allowed, p[0])) || p[0] == 0x7f)
            return false;
        if (p[0] == 0xc2 && p[1] < 0xa0)
            return false;
        if (p[0] == 0xe2 && p[1] == 0x80 && (p[2] == 0xa8 || p[2] == 0xa9))
            return false;
    }
    return true;
}

static bool is_name(struct bw_view text)
{
    if (text.len == 0 || text.len > 63 || text.data[0] == '-')
        return false;
    for (size_t i = 0; i < text.len; i++)
        if (!is_lower(text.data[i]) && !is_digit(text.data[i]) && text.data[i] != '-')
            return false;
    return true;
}

static bool is_uuid(struct bw_view text)
{
    struct bw_id id;
    return bw_id_parse(text, &id);
}

static bool is_user(struct bw_view text)
{
    size_t at = find(text, '@');
    if (at == 0 || at == text.len)
        return false;
    for (size_t i = 0; i < at; i++)
        if (text.data[i] <= ' ' || text.data[i] == 0x7f)
            return false;
    return is_text(head(text, at), "") && all_of(tail(text, at + 1), "-.");
}

static bool is_country(struct bw_view text)
{
    if (text.len < 2 || !is_upper(text.data[0]) || !is_upper(text.data[1]))
        return false;
    if (text.len == 2)
        return true;
    if (text.len < 4 || text.len > 6 || text.data[2] != '-')
        return false;
    for (size_t i = 3; i < text.len; i++)
        if (!is_upper(text.data[i]) && !is_digit(text.data[i]))
            return false;
    return true;
}

static bool is_ip(struct bw_view text, int family)
{
    char copy[INET6_ADDRSTRLEN];
    struct in6_addr address;
    if (text.len == 0 || text.len >= sizeof copy)
        return false;
    memcpy(copy, text.data, text.len);
    copy[text.len] = '\0';
    return inet_pton(family, copy, &address) == 1;
}

/* Decimal without leading zero, from min to max. */
static bool is_number(struct bw_view text, unsigned min, unsigned max)
{
    unsigned value = 0;
    if (text.len == 0 || text.len > 6 || (text.len > 1 && text.data[0] == '0'))
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (!is_digit(text.data[i]))
            return false;
        value = value * 10 + (unsigned)(text.data[i] - '0');
    }
    return value >= min && value <= max;
}

static bool is_host_port(struct bw_view text)
{
    size_t colon = find_last(text, ':');
    if (colon == text.len || !is_number(tail(text, colon + 1), 1, 65535))
        return false;
    struct bw_view host = head(text, colon);
    if (host.len > 2 && host.data[0] == '[')
        return host.data[host.len - 1] == ']' && is_ip(bw_view_of(host.data + 1, host.len - 2), AF_INET6);
    return host.len <= 253 && all_of(host, "-.");
}

static bool is_prefix(struct bw_view text)
{
    size_t slash = find(text, '/');
    struct bw_view address = head(text, slash);
    bool v4 = is_ip(address, AF_INET);
    if (!v4 && !is_ip(address, AF_INET6))
        return false;
    return slash == text.len || is_number(tail(text, slash + 1), 0, v4 ? 32 : 128);
}

static bool is_token(struct bw_view text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] <= ' ' || text.data[i] > '~')
            return false;
    return text.len > 0;
}

/* The SPIFFE ID standard, section 2: lower-case trust domain, then segments, none of them empty, . or .. */
static bool is_spiffe(struct bw_view text)
{
    static const char scheme[] = "spiffe://";
    size_t skip = sizeof scheme - 1;
    if (text.len <= skip || memcmp(text.data, scheme, skip) != 0)
        return false;
    text = tail(text, skip);
    size_t slash = find(text, '/');
    if (slash == text.len || !all_of(head(text, slash), "-._"))
        return false;
    for (size_t i = 0; i < slash; i++)
        if (is_upper(text.data[i]))
            return false;
    while (slash < text.len) {
        text = tail(text, slash + 1);
        slash = find(text, '/');
        struct bw_view segment = head(text, slash);
        if (!all_of(segment, "-._") || bw_view_equal_str(segment, ".") || bw_view_equal_str(segment, ".."))
            return false;
    }
    return true;
}

/* Identifiers between dots, none empty; digits alone must not begin with 0 when `numeric_strict`. */
static bool is_dotted(struct bw_view text, bool numeric_strict)
{
    for (;;) {
        size_t dot = find(text, '.');
        struct bw_view part = head(text, dot);
        if (!all_of(part, "-"))
            return false;
        bool digits = true;
        for (size_t i = 0; i < part.len; i++)
            digits = digits && is_digit(part.data[i]);
        if (numeric_strict && digits && part.len > 1 && part.data[0] == '0')
            return false;
        if (dot == text.len)
            return true;
        text = tail(text, dot + 1);
    }
}

/* semver.org 2.0.0 */
static bool is_semver(struct bw_view text)
{
    size_t plus = find(text, '+');
    if (plus < text.len && !is_dotted(tail(text, plus + 1), false))
        return false;
    text = head(text, plus);
    size_t dash = find(text, '-');
    if (dash < text.len && !is_dotted(tail(text, dash + 1), true))
        return false;
    text = head(text, dash);
    size_t first = find(text, '.');
    if (first == text.len)
        return false;
    struct bw_view rest = tail(text, first + 1);
    size_t second = find(rest, '.');
    return second < rest.len && is_number(head(text, first), 0, 999999) &&
           is_number(head(rest, second), 0, 999999) && is_number(tail(rest, second + 1), 0, 999999);
}

bool bw_wire_matches(Bailiwick__V1__Rule__Grammar grammar, struct bw_view text)
{
    switch (grammar) {
    case G(ANY):
        return true;
    case G(NAME):
        return is_name(text);
    case G(UUID):
        return is_uuid(text);
    case G(USER):
        return is_user(text);
    case G(COUNTRY):
        return is_country(text);
    case G(HOST_PORT):
        return is_host_port(text);
    case G(TEXT):
        return is_text(text, "");
    case G(LINES):
        return is_text(text, "\t\n\r");
    case G(TOKEN):
        return is_token(text);
    case G(SPIFFE):
        return is_spiffe(text);
    case G(SEMVER):
        return is_semver(text);
    case G(BASE64URL):
        return all_of(text, "-_");
    case G(ADDRESS):
        return is_ip(text, AF_INET) || is_ip(text, AF_INET6);
    case G(PREFIX):
        return is_prefix(text);
    default:
        return false; /* a grammar this build does not know */
    }
}

const char *bw_wire_grammar_text(Bailiwick__V1__Rule__Grammar grammar)
{
    switch (grammar) {
    case G(NAME):
        return "a name: a-z, 0-9 and -, not starting with -, at most 63 characters";
    case G(UUID):
        return "a UUID in its usual form of 36 characters";
    case G(USER):
        return "of the form localpart@domain";
    case G(COUNTRY):
        return "an ISO 3166 code such as FR or FR-75";
    case G(HOST_PORT):
        return "of the form host:port, [IPv6]:port";
    case G(TEXT):
        return "one line without control characters";
    case G(LINES):
        return "text without control characters";
    case G(TOKEN):
        return "printable ASCII without spaces";
    case G(SPIFFE):
        return "a SPIFFE ID: spiffe://trust-domain/path";
    case G(SEMVER):
        return "a version such as 1.2.3";
    case G(BASE64URL):
        return "base64url: A-Z, a-z, 0-9, - and _";
    case G(ADDRESS):
        return "an IPv4 or IPv6 address";
    case G(PREFIX):
        return "an IPv4 or IPv6 address, optionally with /length";
    default:
        return "text";
    }
}
