/* A state machine is one table of (state, event, next, effect), so that a test can walk every pair and the
 * diagram in the docs is printed from the code that runs. Threads: tables are immutable. */
#ifndef BW_BASE_MACHINE_H
#define BW_BASE_MACHINE_H

#include <stdbool.h>
#include <stddef.h>

struct bw_machine_row {
    int state, event, next;
    int effect; /* what the caller must do; 0 is "nothing" */
};

struct bw_machine {
    const char *name;
    const char *const *states;
    size_t state_count;
    const char *const *events;
    size_t event_count;
    const struct bw_machine_row *rows;
    size_t row_count;
};

/* The row for (state, event); NULL when the pair is not allowed. Linear in the rows: tables are small. */
const struct bw_machine_row *bw_machine_find(const struct bw_machine *machine, int state, int event);

#endif
