/* What an error says beyond code and text: google.rpc.Status with ErrorInfo, BadRequest, RetryInfo and one
 * more message of the caller's, carried in grpc-status-details-bin. Encoded by hand (grpc/pb.h), since this
 * room does not know generated messages. Threads: pure. */
#ifndef BW_GRPC_DETAILS_H
#define BW_GRPC_DETAILS_H

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/status.h"

struct bw_grpc_pair {
    const char *name, *value;
};

struct bw_grpc_violation {
    const char *field, *description;
};

/* All-zero says nothing. Strings are borrowed for the time of the call that takes the struct. */
struct bw_grpc_details {
    const char *reason; /* ErrorInfo, when not NULL */
    const char *domain; /* NULL: the server's error_domain */
    const struct bw_grpc_pair *metadata;
    size_t metadata_count;
    const struct bw_grpc_violation *violations; /* BadRequest, when any */
    size_t violation_count;
    uint64_t retry_after_ms;  /* RetryInfo, when not 0 */
    const char *any_type_url; /* one more detail, when not NULL: "type.googleapis.com/<message name>" */
    struct bw_view any_value; /* its encoding */
};

enum { BW_GRPC_DETAILS_MAX_BYTES = 4096 };

/* Appends google.rpc.Status. Keeps it within BW_GRPC_DETAILS_MAX_BYTES, since it travels in a header of which
 * peers accept 8 KiB: drops first the extra message, then violations from the end, then metadata. A failure
 * of memory shows in out->failed. */
void bw_grpc_details_encode(enum bw_code code, const char *message, const struct bw_grpc_details *details,
                            struct bw_buf *out);

/* Reads google.rpc.Status into the arena; unknown details: the first one becomes any_type_url and any_value.
 * INVALID_ARGUMENT when it is malformed, RESOURCE_EXHAUSTED when the arena is full; *out only on success. */
BW_MUST_USE enum bw_code bw_grpc_details_decode(struct bw_view status, struct bw_arena *arena,
                                                struct bw_grpc_details *out, struct bw_error *err);

#endif
