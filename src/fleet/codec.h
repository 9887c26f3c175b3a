/* Session messages to and from the wire (proto/bailiwick/v1/relay.proto). Decoding is strict (wire/wire.h);
 * what is decoded lies in the arena. Keys that pass through are wiped by the two wipe functions once the
 * message has been handled. Threads: pure, but for the arena and buffer. */
#ifndef BW_FLEET_CODEC_H
#define BW_FLEET_CODEC_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/status.h"
#include "fleet/message.h"

enum { BW_FLEET_ARENA = 4 * 1024 * 1024 }; /* bytes that suffice for any message within the rules */

/* Append to `out`; the arena is scratch. RESOURCE_EXHAUSTED; INVALID_ARGUMENT for what the wire has no place
 * for (too many elements, a missing body). */
BW_MUST_USE enum bw_code bw_relay_message_encode(const struct bw_relay_message *message,
                                                 struct bw_arena *arena, struct bw_buf *out,
                                                 struct bw_error *err);
BW_MUST_USE enum bw_code bw_control_message_encode(const struct bw_control_message *message,
                                                   struct bw_arena *arena, struct bw_buf *out,
                                                   struct bw_error *err);

/* INVALID_ARGUMENT for anything that is not exactly such a message; RESOURCE_EXHAUSTED. */
BW_MUST_USE enum bw_code bw_relay_message_decode(struct bw_view bytes, struct bw_arena *arena,
                                                 struct bw_relay_message *message, struct bw_error *err);
BW_MUST_USE enum bw_code bw_control_message_decode(struct bw_view bytes, struct bw_arena *arena,
                                                   struct bw_control_message *message, struct bw_error *err);

/* Only for messages that were decoded here: overwrites the keys in the arena. */
void bw_relay_message_wipe(struct bw_relay_message *message);
void bw_control_message_wipe(struct bw_control_message *message);

#endif
