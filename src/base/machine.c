#include "base/machine.h"

const struct bw_machine_row *bw_machine_find(const struct bw_machine *machine, int state, int event)
{
    for (size_t i = 0; i < machine->row_count; i++) {
        if (machine->rows[i].state == state && machine->rows[i].event == event)
            return &machine->rows[i];
    }
    return NULL;
}
