/* Between the two renderings. */
#ifndef BW_PLACEMENT_EXPLAIN_INTERNAL_H
#define BW_PLACEMENT_EXPLAIN_INTERNAL_H

#include "placement/explain.h"

/* The label to show. */
const char *bw_explain_mode(const struct bw_explanation *explanation);
const char *bw_explain_relay(const struct bw_explanation *explanation, uint32_t relay);

#endif
