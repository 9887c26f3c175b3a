/* What the support verbs share. Threads: one. */
#ifndef BW_CLI_SUPPORT_H
#define BW_CLI_SUPPORT_H

#include "cli/output.h"

/* A few sentences for the person who was refused, from the refusal's tree. */
void bw_support_reply(const json_t *refusal, struct bw_buf *out);

#endif
