/* What the verbs of `relay` share. Threads: one. */
#ifndef BW_CLI_RELAY_H
#define BW_CLI_RELAY_H

#include "bailiwick/v1/common.pb-c.h"
#include "cli/output.h"
#include "policy/facts.h"

extern const struct bw_view_table bw_relay_view;

/* The facts as a message, which borrows from them; false when the arena is full. */
bool bw_relay_facts_message(const struct bw_relay_facts *relay, uint32_t capacity, struct bw_arena *arena,
                            Bailiwick__V1__RelayFacts *out);

#endif
