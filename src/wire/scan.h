/* The strict pre-scan (wire/wire.h says what it refuses). Reads the bytes once, allocates nothing; its stack
 * is bounded by BW_WIRE_MAX_DEPTH. Threads: pure. */
#ifndef BW_WIRE_SCAN_H
#define BW_WIRE_SCAN_H

#include <protobuf-c/protobuf-c.h>

#include "base/buf.h"
#include "base/status.h"

/* A descriptor that is not of ours is INTERNAL: no table says what it may hold. */
BW_MUST_USE enum bw_code bw_wire_scan_limited(const ProtobufCMessageDescriptor *descriptor,
                                              struct bw_view bytes, size_t max_fields, struct bw_error *err);

#endif
