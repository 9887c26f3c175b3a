#include "policy/pattern.h"

#include <string.h>

static bool printable(struct bw_view text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] <= 0x20 || text.data[i] >= 0x7f)
            return false;
    return true;
}

static bool has(struct bw_view text, char byte)
{
    return text.len > 0 && memchr(text.data, byte, text.len) != NULL;
}

static uint8_t lower(uint8_t byte)
{
    return byte >= 'A' && byte <= 'Z' ? (uint8_t)(byte + 32) : byte;
}

/* Labels of letters, digits and inner hyphens, as host names have them (RFC 1123). */
static bool domain_valid(struct bw_view domain)
{
    size_t label = 0;
    if (domain.len == 0)
        return false;
    for (size_t i = 0; i < domain.len; i++) {
        uint8_t c = lower(domain.data[i]);
        bool alnum = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        bool ends = i + 1 == domain.len || domain.data[i + 1] == '.';
        if (c == '.') {
            if (label == 0)
                return false;
            label = 0;
            continue;
        }
        if (!alnum && !(c == '-' && label > 0 && !ends))
            return false;
        if (++label > 63)
            return false;
    }
    return label > 0;
}

/* Splits at the only '@'. */
static bool split(struct bw_view text, struct bw_view *local, struct bw_view *domain)
{
    const uint8_t *at = text.len ? memchr(text.data, '@', text.len) : NULL;
    if (!at)
        return false;
    *local = (struct bw_view){text.data, (size_t)(at - text.data)};
    *domain = (struct bw_view){at + 1, text.len - local->len - 1};
    return local->len > 0 && !has(*domain, '@');
}

bool bw_user_valid(struct bw_view user)
{
    struct bw_view local, domain;
    return user.len <= BW_USER_MAX_BYTES && printable(user) && !has(user, '*') &&
           split(user, &local, &domain) && domain_valid(domain);
}

const char *bw_user_pattern_parse(struct bw_view text, struct bw_user_pattern *pattern)
{
    struct bw_user_pattern p = {0};
    static const char prefix[] = "user:";
    const size_t n = sizeof(prefix) - 1;
    if (text.len < n || memcmp(text.data, prefix, n) != 0)
        return "a pattern begins with user:, such as \"user:*@board.example\"";
    struct bw_view rest = {text.data + n, text.len - n};
    if (rest.len > BW_USER_MAX_BYTES)
        return "a user is at most 254 bytes";
    if (!printable(rest))
        return "a user is printable ASCII without spaces";
    if (bw_view_equal_str(rest, "*")) {
        p.everyone = true;
        *pattern = p;
        return NULL;
    }
    if (!split(rest, &p.local, &p.domain))
        return "a user is localpart@domain, with one @";
    if (p.local.data[p.local.len - 1] == '*') {
        p.prefix = true;
        p.local.len--;
    }
    if (p.domain.len > 2 && p.domain.data[0] == '*' && p.domain.data[1] == '.') {
        p.subdomains = true;
        p.domain.data += 2;
        p.domain.len -= 2;
    }
    if (has(p.local, '*') || has(p.domain, '*'))
        return "* stands only as the local part, at its end, or as the leftmost label of the domain";
    if (!domain_valid(p.domain))
        return "the part after @ is not a domain name";
    *pattern = p;
    return NULL;
}

static bool domain_equal(struct bw_view a, struct bw_view b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++)
        if (lower(a.data[i]) != lower(b.data[i]))
            return false;
    return true;
}

static bool domain_matches(const struct bw_user_pattern *pattern, struct bw_view domain)
{
    if (!pattern->subdomains)
        return domain_equal(pattern->domain, domain);
    if (domain.len < pattern->domain.len + 2)
        return false;
    size_t cut = domain.len - pattern->domain.len;
    return domain.data[cut - 1] == '.' &&
           domain_equal(pattern->domain, (struct bw_view){domain.data + cut, pattern->domain.len});
}

bool bw_user_pattern_matches(const struct bw_user_pattern *pattern, struct bw_view user)
{
    struct bw_view local, domain;
    if (!bw_user_valid(user) || !split(user, &local, &domain))
        return false;
    if (pattern->everyone)
        return true;
    if (!domain_matches(pattern, domain))
        return false;
    if (!pattern->prefix)
        return bw_view_equal(pattern->local, local);
    return local.len >= pattern->local.len &&
           (pattern->local.len == 0 || memcmp(local.data, pattern->local.data, pattern->local.len) == 0);
}
