/* May this Hello open a session for this enrolled relay? Threads: pure. */
#ifndef BW_FLEET_HELLO_CHECK_H
#define BW_FLEET_HELLO_CHECK_H

#include "base/status.h"
#include "fleet/session.h"

/* FAILED_PRECONDITION when no common protocol version exists; PERMISSION_DENIED with reason CLAIM_DIFFERS for
 * a claim that is not the enrolment, or more capacity than enrolled; INVALID_ARGUMENT for a Hello that is
 * none. *protocol is the version both speak. */
BW_MUST_USE enum bw_code bw_hello_check(const struct bw_hello *hello, const struct bw_enrolment *enrolment,
                                        uint32_t *protocol, struct bw_error *err);

#endif
