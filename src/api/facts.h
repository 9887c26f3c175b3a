/* Facts of relays between messages and policy's structs; inside this room only. Nothing is copied: what is
 * written borrows from what it was written from. Threads: pure but for the arena. */
#ifndef BW_API_FACTS_H
#define BW_API_FACTS_H

#include "bailiwick/v1/common.pb-c.h"
#include "base/arena.h"
#include "base/status.h"
#include "policy/facts.h"

/* BW_CONNECTOR_COUNT when the kind is no connector. */
enum bw_connector bw_api_connector_of_kind(Bailiwick__V1__ParticipantKind kind);

/* INVALID_ARGUMENT names the field. What the codes mean is not looked at: bw_facts_create does. */
BW_MUST_USE enum bw_code bw_api_facts_read(const Bailiwick__V1__RelayFacts *from, uint32_t number,
                                           struct bw_arena *arena, struct bw_relay_facts *out,
                                           struct bw_error *err);

/* NULL when the arena is full. */
Bailiwick__V1__RelayFacts *bw_api_facts_write(const struct bw_relay_facts *from, uint32_t capacity,
                                              struct bw_arena *arena);
Bailiwick__V1__Operator *bw_api_operator_write(const struct bw_operator_facts *from, struct bw_arena *arena);
Bailiwick__V1__Certification **bw_api_certifications_write(const struct bw_certification *from, size_t count,
                                                           struct bw_arena *arena);

#endif
