/* Between the files that build facts; nobody else's. */
#ifndef BW_POLICY_FACTS_INTERNAL_H
#define BW_POLICY_FACTS_INTERNAL_H

#include "policy/facts.h"

/* Fills the columns from the sorted rows; false when memory is out. */
bool bw_facts_transpose(struct bw_facts *facts);
/* Fills the hash. */
void bw_facts_digest(struct bw_facts *facts);

#endif
