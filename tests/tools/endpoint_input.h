/* What the endpoint tool needs to know to join, from its arguments or from the JSON of `meeting join -o
 * json`.
 */
#ifndef BW_TOOLS_ENDPOINT_INPUT_H
#define BW_TOOLS_ENDPOINT_INPUT_H

#include <stdbool.h>
#include <stdio.h>

#include "e2ee/grant.h"

struct endpoint_input {
    char relay[64]; /* "address:port" */
    uint8_t grant[BW_GRANT_TOKEN_MAX];
    size_t grant_len;
    uint8_t hop_key[BW_GRANT_HOP_KEY_SIZE];
    bool has_hop_key;
};

/* Hexadecimal or base64, given or (with a leading @) in a file. False with a message on stderr. */
bool endpoint_input_grant(struct endpoint_input *input, const char *text);
bool endpoint_input_hop_key(struct endpoint_input *input, const char *text);
/* An Admission, or an object that holds one as "admission": mediaAddress, grant, hopKey. */
bool endpoint_input_json(struct endpoint_input *input, FILE *stream);

#endif
