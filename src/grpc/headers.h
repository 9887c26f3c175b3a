/* The texts of gRPC's headers: content types, status messages, binary values, encodings, status mapping.
 * Threads: pure. */
#ifndef BW_GRPC_HEADERS_H
#define BW_GRPC_HEADERS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/status.h"

/* Which protocol a request speaks. gRPC-Web differs only in how a body ends, which is why it has values of
 * its own here; the server answers 415 to those for now. */
enum bw_grpc_content {
    BW_GRPC_CONTENT_OTHER,
    BW_GRPC_CONTENT_GRPC,
    BW_GRPC_CONTENT_WEB,
    BW_GRPC_CONTENT_WEB_TEXT
};

/* "application/grpc", also with +proto or ;parameters, in any case. */
enum bw_grpc_content bw_grpc_content_type(struct bw_view value);

enum bw_grpc_encoding { BW_GRPC_IDENTITY, BW_GRPC_GZIP, BW_GRPC_ENCODING_OTHER };

#define BW_GRPC_ACCEPT_ENCODING "identity,gzip"

enum bw_grpc_encoding bw_grpc_encoding_of(struct bw_view value);
/* Whether grpc-accept-encoding lists gzip. */
bool bw_grpc_accepts_gzip(struct bw_view value);

/* grpc-message: UTF-8 with everything but printable ASCII, and %, as %XX. Invalid UTF-8 becomes U+FFFD. */
void bw_grpc_message_escape(struct bw_view message, struct bw_buf *out);
/* Leaves what is no %XX as it is. NULL when the arena is full. NUL bytes become '?'. */
char *bw_grpc_message_unescape(struct bw_view value, struct bw_arena *arena);

/* Without padding, as gRPC asks senders. */
void bw_grpc_base64_encode(struct bw_view bytes, struct bw_buf *out);
/* With padding or without. INVALID_ARGUMENT when malformed, RESOURCE_EXHAUSTED when the arena is full. */
BW_MUST_USE enum bw_code bw_grpc_base64_decode(struct bw_view text, struct bw_arena *arena,
                                               struct bw_view *out);

/* A name callers may set: [0-9a-z_.-]+, not gRPC's own and not one of HTTP's connection headers. */
bool bw_grpc_name_allowed(struct bw_view name);
/* A value of a name without -bin: printable ASCII. */
bool bw_grpc_value_allowed(struct bw_view value);
bool bw_grpc_is_binary(struct bw_view name);

/* What a response without grpc-status means (grpc's http-grpc-status-mapping). */
enum bw_code bw_grpc_code_of_http(unsigned status);
/* What RST_STREAM with this HTTP/2 error code means to a caller. */
enum bw_code bw_grpc_code_of_reset(uint32_t error_code);

#endif
