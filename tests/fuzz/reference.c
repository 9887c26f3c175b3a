/* A reference that people quote: what is accepted reads the same when it is written in full again. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "ledger/decision.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[64];
    if (size >= sizeof text)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    uint8_t prefix[8];
    uint32_t seq;
    if (!bw_decision_reference_parse(text, prefix, &seq))
        return 0;

    struct bw_id meeting = {{0}};
    memcpy(meeting.bytes, prefix, sizeof prefix);
    char again[BW_REFERENCE_SIZE];
    bw_decision_reference(&meeting, seq, again);
    uint8_t same_prefix[8];
    uint32_t same_seq;
    BW_CHECK(bw_decision_reference_parse(again, same_prefix, &same_seq));
    BW_CHECK(memcmp(prefix, same_prefix, sizeof prefix) == 0 && seq == same_seq);
    return 0;
}
