/* "Did you mean": the nearest of a few words. Threads: pure. */
#ifndef BW_YAML_SUGGEST_H
#define BW_YAML_SUGGEST_H

#include <stddef.h>

#include "base/buf.h"

/* Feeds candidates one by one and keeps the nearest. */
struct bw_suggest {
    struct bw_view word;
    const char *best; /* NULL: nothing near enough */
    unsigned distance;
};

void bw_suggest_start(struct bw_suggest *suggest, struct bw_view word);
void bw_suggest_offer(struct bw_suggest *suggest, const char *candidate);
/* Edits (insert, delete, change, swap neighbours; case alone counts little) between two words of at most 64
 * bytes, or limit + 1 when more than limit. */
unsigned bw_suggest_distance(struct bw_view a, struct bw_view b, unsigned limit);

#endif
