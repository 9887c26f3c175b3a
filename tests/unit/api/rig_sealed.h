/* The rig's desk and vault for what support asks: the headless world's log, and rows that a test put there.
 * Who sees what is the vault's business and tested there: people come as the test wrote them. */
#ifndef BW_TESTS_API_RIG_SEALED_H
#define BW_TESTS_API_RIG_SEALED_H

#include "rig.h"

void rig_decisions_walk(struct rig *rig, struct bw_desk_order *order);
void rig_meetings_search(struct rig *rig, struct bw_desk_order *order);
/* The port; context is the rig. */
void rig_open(void *context, struct bw_api_opening *opening);

#endif
