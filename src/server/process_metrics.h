/* What the process takes of the machine, as /proc says. Threads: any. */
#ifndef BW_SERVER_PROCESS_METRICS_H
#define BW_SERVER_PROCESS_METRICS_H

#include <stdint.h>

struct bw_process_metrics {
    uint64_t cpu_ms, started_ms; /* started: unix */
    uint64_t resident_bytes, virtual_bytes, open_fds, max_fds;
};

/* What cannot be read stays 0. */
void bw_process_metrics_read(struct bw_process_metrics *out);

#endif
