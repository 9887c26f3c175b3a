/* Makes valid messages of any type from the same tables that the scan reads: what a well-behaved peer could
 * send, in canonical form (fields ascending, nothing default, lists packed). Reproducible from the seed. */
#ifndef BW_TESTS_WIRE_SAMPLE_H
#define BW_TESTS_WIRE_SAMPLE_H

#include <stdint.h>

#include "base/buf.h"
#include "wire/table.h"

/* A small generator of its own, so that a seed means the same everywhere (splitmix64). */
uint64_t sample_random(uint64_t *state);
void sample_message(const struct bw_wire_message *table, uint64_t *state, struct bw_buf *out);

/* The wire by hand, for what a well-behaved peer would not send. */
void put_varint(struct bw_buf *out, uint64_t value);
void put_tag(struct bw_buf *out, unsigned number, unsigned wire_type);
void put_number(struct bw_buf *out, unsigned number, uint64_t value);
void put_bytes(struct bw_buf *out, unsigned number, const void *data, size_t len);
void put_string(struct bw_buf *out, unsigned number, const char *text);

#endif
