/* Why a relay, a leg or a participant is refused: the same names in decisions, in the API, on the command
 * line and in the ledger. This list is the only one; the proto enum equals it (value = bit + 1) and that is
 * checked where both can be seen. A new reason goes at the end: bits are written into durable records.
 * Threads: pure. */
#ifndef BW_POLICY_REASON_H
#define BW_POLICY_REASON_H

#include <stddef.h>
#include <stdint.h>

/* X(NAME, bit, what it says to a tenant's admin) */
#define BW_REASON_MAP(X)                                                                                     \
    X(RELAY_STATE, 0, "the relay is cordoned or dead")                                                       \
    X(LEASE_EXPIRED, 1, "the relay's lease has run out")                                                     \
    X(DRAINING, 2, "the relay is being drained")                                                             \
    X(VERSION, 3, "the relay runs a version this cell does not place on")                                    \
    X(ENTRY_COUNTRY, 4, "people may not join from there")                                                    \
    X(TRANSIT_COUNTRY, 5, "media may not pass through that country")                                         \
    X(TRANSIT_SITE, 6, "media may not pass through that site")                                               \
    X(OPERATOR_JURISDICTION, 7, "a jurisdiction that binds the operator is not allowed")                     \
    X(CERTIFICATION_MISSING, 8, "a required certification is missing")                                       \
    X(CERTIFICATION_EXPIRED, 9, "a required certification has expired")                                      \
    X(FACT_UNKNOWN, 10, "a fact the policy asks for is not known")                                           \
    X(CONNECTOR_FORBIDDEN, 11, "this kind of connector is not allowed")                                      \
    X(CONNECTOR_STORE, 12, "the connector stores where data may not be kept")                                \
    X(SIGNALLING, 13, "the signalling cell may not carry this meeting")                                      \
    X(PARTICIPANT_POLICY, 14, "the participant's own policy does not accept this meeting")                   \
    X(NOT_FOR_TENANT, 15, "the relay serves other tenants only")                                             \
    X(ACCESS, 16, "the participant cannot be served by this relay")                                          \
    X(LEG_FORBIDDEN, 17, "no permitted link to the meeting's other relays")                                  \
    X(CAPACITY, 18, "no room left")                                                                          \
    X(BURST_LIMIT, 19, "too many recent joins of this meeting on this relay")                                \
    X(CONNECTOR_REQUIRED, 20, "a connector that every meeting must have is not in this one yet")

/* Bit numbers. */
enum bw_reason {
#define X(name, bit, text) BW_REASON_##name = bit,
    BW_REASON_MAP(X)
#undef X
        BW_REASON_COUNT
};

/* Masks are uint32_t, one bit a reason. */
#define BW_REASON_BIT(reason) (UINT32_C(1) << (reason))

/* "TRANSIT_COUNTRY"; "UNKNOWN" for a number outside the table. */
const char *bw_reason_name(enum bw_reason reason);
/* A clause in plain words. */
const char *bw_reason_text(enum bw_reason reason);
/* The reason of that name; BW_REASON_COUNT when there is none. */
enum bw_reason bw_reason_parse(const char *name);
/* How many reasons the mask holds. */
unsigned bw_reason_count(uint32_t mask);

#endif
