/* gRPC's message framing: a flag byte, a 32-bit length, the message. Fed with whatever pieces arrive.
 * Threads: one at a time. */
#ifndef BW_GRPC_FRAMING_H
#define BW_GRPC_FRAMING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/status.h"

enum { BW_FRAME_PREFIX_BYTES = 5 };

struct bw_framer {
    uint8_t prefix[BW_FRAME_PREFIX_BYTES];
    size_t prefix_len;
    size_t max_bytes;
    struct bw_buf body; /* of a message that came in pieces */
    bool delivered;     /* body holds a message already given out */
};

struct bw_frame {
    bool compressed;
    struct bw_view message; /* valid until the input goes or the framer is fed again */
};

/* max_bytes bounds a message as framed. */
void bw_framer_init(struct bw_framer *framer, size_t max_bytes);
void bw_framer_finish(struct bw_framer *framer);

/* Takes bytes off the front of *input until a message is complete (*complete, *frame) or the input is used
 * up. RESOURCE_EXHAUSTED for a message above max_bytes or without memory, INTERNAL for a bad flag byte. */
BW_MUST_USE enum bw_code bw_framer_feed(struct bw_framer *framer, struct bw_view *input, bool *complete,
                                        struct bw_frame *frame, struct bw_error *err);
/* Nothing begun: a stream may end here. */
bool bw_framer_idle(const struct bw_framer *framer);
/* Bytes kept of an incomplete message. */
size_t bw_framer_kept_bytes(const struct bw_framer *framer);

void bw_frame_prefix(uint8_t prefix[BW_FRAME_PREFIX_BYTES], bool compressed, uint32_t length);

#endif
