/* Just enough of the protobuf wire format for the messages this room speaks itself: error details, health,
 * reflection, and file descriptors of which it reads names. Threads: pure. */
#ifndef BW_GRPC_PB_H
#define BW_GRPC_PB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

enum bw_pb_wire { BW_PB_VARINT = 0, BW_PB_FIXED64 = 1, BW_PB_BYTES = 2, BW_PB_FIXED32 = 5 };

struct bw_pb_field {
    uint32_t number;
    enum bw_pb_wire wire;
    uint64_t value;       /* varint and fixed */
    struct bw_view bytes; /* BW_PB_BYTES: within the message read */
};

/* Takes the next field off the front of *message. False at the end and on a malformed message; *bad tells the
 * two apart (it is set, never cleared). Groups count as malformed. */
bool bw_pb_next(struct bw_view *message, struct bw_pb_field *field, bool *bad);

/* Writers append; a failure of memory shows in out->failed. Empty strings and zeroes are left out, as proto3
 * does. */
void bw_pb_put_varint(struct bw_buf *out, uint32_t number, uint64_t value);
void bw_pb_put_bytes(struct bw_buf *out, uint32_t number, struct bw_view bytes);
void bw_pb_put_string(struct bw_buf *out, uint32_t number, const char *text);
/* A submessage, written even when it is empty. */
void bw_pb_put_message(struct bw_buf *out, uint32_t number, struct bw_view encoded);

#endif
