/* An IP address and port as a small value: IPv4, or IPv6 with IPv4-mapped addresses brought back to IPv4, so
 * that one peer has one spelling whichever socket it is seen on. Threads: pure. */
#ifndef BW_RELAY_ADDRESS_H
#define BW_RELAY_ADDRESS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/buf.h"
#include "base/status.h"

enum {
    BW_ADDRESS_BYTES = 19, /* family, 16 bytes, port: for hashing */
    BW_ADDRESS_TEXT = 56,  /* "[…]:65535" with its NUL */
};

struct bw_address {
    uint8_t family; /* 4 or 6; 0: none */
    uint8_t ip[16]; /* IPv4: the first four, the rest zero */
    uint16_t port;
};

/* "192.0.2.1:3478" or "[2001:db8::1]:3478", numbers only: INVALID_ARGUMENT otherwise. */
BW_MUST_USE enum bw_code bw_address_parse(const char *text, struct bw_address *address, struct bw_error *err);
void bw_address_format(const struct bw_address *address, char text[BW_ADDRESS_TEXT]);
bool bw_address_equal(const struct bw_address *a, const struct bw_address *b);
void bw_address_bytes(const struct bw_address *address, uint8_t bytes[BW_ADDRESS_BYTES]);
/* False for a family that is neither. */
bool bw_address_from_sockaddr(const struct sockaddr_storage *sa, struct bw_address *address);
/* For a socket of `family` (AF_INET or AF_INET6; the latter gets IPv4 as mapped). 0 when it cannot be. */
socklen_t bw_address_to_sockaddr(const struct bw_address *address, int family, struct sockaddr_storage *sa);

#endif
