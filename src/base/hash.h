/* Hash tables: uthash as we use it: through our allocator, and an add that finds no memory leaves hh.tbl NULL
 * instead of ending the process. */
#ifndef BW_BASE_HASH_H
#define BW_BASE_HASH_H

#include "base/alloc.h"

#define HASH_NONFATAL_OOM     1
#define uthash_malloc(bytes)  bw_malloc(bytes)
#define uthash_free(p, bytes) bw_free(p)

#include <uthash.h>

/* Chains of up to ten make every lookup in a large table a walk through cold memory. At six there is about
 * one entry for each bucket; at much less, tables of a few dozen entries would grow out of proportion. */
#undef HASH_BKT_CAPACITY_THRESH
#define HASH_BKT_CAPACITY_THRESH 6U

#endif
