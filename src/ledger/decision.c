#include "ledger/decision.h"

#include <string.h>

const char *bw_decision_kind_name(enum bw_decision_kind kind)
{
    static const char *const names[BW_DECISION_KINDS] = {
        [BW_DECISION_CREATED] = "CREATED",
        [BW_DECISION_JOINED] = "JOINED",
        [BW_DECISION_LEFT] = "LEFT",
        [BW_DECISION_MODE_CHANGED] = "MODE_CHANGED",
        [BW_DECISION_MODE_ANNOUNCED] = "MODE_ANNOUNCED",
        [BW_DECISION_CONSENTED] = "CONSENTED",
        [BW_DECISION_MOVED] = "MOVED",
        [BW_DECISION_CONNECTOR_INVITED] = "CONNECTOR_INVITED",
        [BW_DECISION_CONNECTOR_REMOVED] = "CONNECTOR_REMOVED",
        [BW_DECISION_REFUSED] = "REFUSED",
        [BW_DECISION_FLAGS_CHANGED] = "FLAGS_CHANGED",
        [BW_DECISION_ENDED] = "ENDED",
        [BW_DECISION_REBOUND] = "REBOUND",
    };
    if ((unsigned)kind >= BW_DECISION_KINDS || names[kind] == NULL)
        return "UNKNOWN";
    return names[kind];
}

/* A reference is 12 bytes (8 of the meeting, 4 of the seq) plus one check byte, in 5-bit digits: 21 digits,
 * grouped by fours behind the letter R. The check byte catches a misread digit before anyone searches. */
enum { REFERENCE_BYTES = 13, REFERENCE_DIGITS = 21, GROUP = 4 };

static const char digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

static uint8_t check_byte(const uint8_t bytes[REFERENCE_BYTES - 1])
{
    uint32_t sum = 7;
    for (size_t i = 0; i < REFERENCE_BYTES - 1; i++)
        sum = sum * 131 + bytes[i];
    return (uint8_t)(sum ^ sum >> 8 ^ sum >> 16 ^ sum >> 24);
}

void bw_decision_reference(const struct bw_id *meeting, uint32_t seq, char text[BW_REFERENCE_SIZE])
{
    uint8_t bytes[REFERENCE_BYTES + 1] = {0};
    memcpy(bytes, meeting->bytes, 8);
    for (int i = 0; i < 4; i++)
        bytes[8 + i] = (uint8_t)(seq >> (24 - 8 * i));
    bytes[REFERENCE_BYTES - 1] = check_byte(bytes);

    char *p = text;
    *p++ = 'R';
    for (size_t i = 0; i < REFERENCE_DIGITS; i++) {
        size_t bit = i * 5;
        unsigned pair = (unsigned)bytes[bit / 8] << 8 | bytes[bit / 8 + 1];
        if (i % GROUP == 0)
            *p++ = '-';
        *p++ = digits[pair >> (11 - bit % 8) & 31];
    }
    *p = '\0';
}

static int digit_value(char c)
{
    if (c >= 'a' && c <= 'z')
        c = (char)(c - 'a' + 'A');
    if (c == 'O')
        c = '0';
    if (c == 'I' || c == 'L')
        c = '1';
    const char *found = c == '\0' ? NULL : strchr(digits, c);
    return found == NULL ? -1 : (int)(found - digits);
}

bool bw_decision_reference_parse(const char *text, uint8_t meeting_prefix[8], uint32_t *seq)
{
    if (*text != 'R' && *text != 'r')
        return false;
    uint8_t bytes[REFERENCE_BYTES + 1] = {0};
    size_t count = 0;
    for (const char *p = text + 1; *p != '\0'; p++) {
        if (*p == '-')
            continue;
        int value = digit_value(*p);
        if (value < 0 || count == REFERENCE_DIGITS)
            return false;
        size_t bit = count++ * 5;
        unsigned pair = (unsigned)value << (11 - bit % 8);
        bytes[bit / 8] |= (uint8_t)(pair >> 8);
        bytes[bit / 8 + 1] |= (uint8_t)pair;
    }
    if (count != REFERENCE_DIGITS || bytes[REFERENCE_BYTES - 1] != check_byte(bytes) ||
        bytes[REFERENCE_BYTES] != 0)
        return false;
    memcpy(meeting_prefix, bytes, 8);
    *seq = (uint32_t)bytes[8] << 24 | (uint32_t)bytes[9] << 16 | (uint32_t)bytes[10] << 8 | bytes[11];
    return true;
}
