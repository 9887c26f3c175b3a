#include "relay/address.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const uint8_t mapped_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

static enum bw_code not_an_address(const char *text, struct bw_error *err)
{
    return bw_fail(err, BW_INVALID_ARGUMENT, NULL,
                   "'%.80s' is not an address and port; write 192.0.2.1:3478 or [2001:db8::1]:3478", text);
}

static bool parse_port(const char *text, uint16_t *port)
{
    size_t len = strlen(text);
    if (len == 0 || len > 5 || strspn(text, "0123456789") != len)
        return false;
    unsigned long value = strtoul(text, NULL, 10);
    if (value > 65535)
        return false;
    *port = (uint16_t)value;
    return true;
}

static void set_v6(struct bw_address *address, const uint8_t ip[16])
{
    memset(address->ip, 0, sizeof address->ip);
    if (memcmp(ip, mapped_prefix, sizeof mapped_prefix) == 0) {
        address->family = 4;
        memcpy(address->ip, ip + 12, 4);
    } else {
        address->family = 6;
        memcpy(address->ip, ip, 16);
    }
}

enum bw_code bw_address_parse(const char *text, struct bw_address *address, struct bw_error *err)
{
    char host[INET6_ADDRSTRLEN];
    struct bw_address parsed = {0};
    bool bracketed = text[0] == '[';
    const char *end = bracketed ? strchr(text, ']') : strchr(text, ':');
    const char *start = bracketed ? text + 1 : text;
    if (end == NULL || (bracketed && end[1] != ':') || (size_t)(end - start) >= sizeof host)
        return not_an_address(text, err);
    memcpy(host, start, (size_t)(end - start));
    host[end - start] = '\0';
    if (!parse_port(bracketed ? end + 2 : end + 1, &parsed.port))
        return not_an_address(text, err);
    if (bracketed) {
        uint8_t ip[16];
        if (inet_pton(AF_INET6, host, ip) != 1)
            return not_an_address(text, err);
        set_v6(&parsed, ip);
    } else {
        if (inet_pton(AF_INET, host, parsed.ip) != 1)
            return not_an_address(text, err);
        parsed.family = 4;
    }
    *address = parsed;
    return BW_OK;
}

void bw_address_format(const struct bw_address *address, char text[BW_ADDRESS_TEXT])
{
    char host[INET6_ADDRSTRLEN] = "?";
    if (address->family == 0) {
        snprintf(text, BW_ADDRESS_TEXT, "none");
        return;
    }
    bool v4 = address->family == 4;
    inet_ntop(v4 ? AF_INET : AF_INET6, address->ip, host, sizeof host);
    snprintf(text, BW_ADDRESS_TEXT, v4 ? "%s:%u" : "[%s]:%u", host, (unsigned)address->port);
}

bool bw_address_equal(const struct bw_address *a, const struct bw_address *b)
{
    return a->family == b->family && a->port == b->port && memcmp(a->ip, b->ip, sizeof a->ip) == 0;
}

void bw_address_bytes(const struct bw_address *address, uint8_t bytes[BW_ADDRESS_BYTES])
{
    bytes[0] = address->family;
    memcpy(bytes + 1, address->ip, sizeof address->ip);
    bytes[17] = (uint8_t)(address->port >> 8);
    bytes[18] = (uint8_t)address->port;
}

bool bw_address_from_sockaddr(const struct sockaddr_storage *sa, struct bw_address *address)
{
    if (sa->ss_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)sa;
        *address = (struct bw_address){.family = 4, .port = ntohs(in->sin_port)};
        memcpy(address->ip, &in->sin_addr, 4);
        return true;
    }
    if (sa->ss_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)sa;
        *address = (struct bw_address){.port = ntohs(in6->sin6_port)};
        set_v6(address, in6->sin6_addr.s6_addr);
        return true;
    }
    return false;
}

socklen_t bw_address_to_sockaddr(const struct bw_address *address, int family, struct sockaddr_storage *sa)
{
    if (family == AF_INET && address->family == 4) {
        struct sockaddr_in *in = (struct sockaddr_in *)sa;
        memset(in, 0, sizeof *in);
        in->sin_family = AF_INET;
        in->sin_port = htons(address->port);
        memcpy(&in->sin_addr, address->ip, 4);
        return sizeof *in;
    }
    if (family == AF_INET6 && address->family != 0) {
        struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)sa;
        memset(in6, 0, sizeof *in6);
        in6->sin6_family = AF_INET6;
        in6->sin6_port = htons(address->port);
        if (address->family == 4) {
            memcpy(in6->sin6_addr.s6_addr, mapped_prefix, sizeof mapped_prefix);
            memcpy(in6->sin6_addr.s6_addr + 12, address->ip, 4);
        } else {
            memcpy(in6->sin6_addr.s6_addr, address->ip, 16);
        }
        return sizeof *in6;
    }
    return 0;
}
