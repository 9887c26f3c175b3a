/* Base64 in, either alphabet, padding optional, blanks and line breaks between. Threads: pure. */
#ifndef BW_CLI_BASE64_H
#define BW_CLI_BASE64_H

#include "base/buf.h"

/* Appends the bytes; false when the text is anything else (out is then as it was). */
bool bw_base64_decode(struct bw_view text, struct bw_buf *out);

#endif
