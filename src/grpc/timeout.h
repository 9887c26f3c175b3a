/* The grpc-timeout header: 1 to 8 digits and a unit (H M S m u n). Threads: pure. */
#ifndef BW_GRPC_TIMEOUT_H
#define BW_GRPC_TIMEOUT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

enum { BW_GRPC_TIMEOUT_TEXT_SIZE = 12 };

/* In milliseconds, rounded up, so that a caller's microsecond is not "none". False when malformed. */
bool bw_grpc_timeout_parse(struct bw_view text, uint64_t *ms);
/* The shortest unit that still fits in 8 digits; rounds up. */
void bw_grpc_timeout_format(uint64_t ms, char text[BW_GRPC_TIMEOUT_TEXT_SIZE]);

#endif
