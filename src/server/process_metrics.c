#include "server/process_metrics.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "runtime/clock.h"

static uint64_t count_fds(void)
{
    DIR *folder = opendir("/proc/self/fd");
    if (folder == NULL)
        return 0;
    uint64_t count = 0;
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;)
        count += entry->d_name[0] != '.';
    closedir(folder);
    return count - 1; /* the folder's own */
}

/* The fields of /proc/self/stat behind the program's name, which may hold anything (proc(5)). */
static void read_stat(struct bw_process_metrics *out)
{
    FILE *file = fopen("/proc/self/stat", "re");
    char line[1024];
    bool got = file != NULL && fgets(line, sizeof line, file) != NULL;
    if (file != NULL)
        fclose(file);
    const char *at = got ? strrchr(line, ')') : NULL;
    unsigned long user, system, bytes;
    unsigned long long started;
    long pages;
    /* 3 state … 14 utime, 15 stime, 16 … 22 starttime, 23 vsize, 24 rss */
    if (at == NULL || sscanf(at + 1,
                             " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu %*d %*d %*d %*d %*d %*d "
                             "%llu %lu %ld",
                             &user, &system, &started, &bytes, &pages) != 5)
        return;
    uint64_t ticks = (uint64_t)sysconf(_SC_CLK_TCK);
    out->cpu_ms = (user + system) * 1000 / ticks;
    out->virtual_bytes = bytes;
    out->resident_bytes = (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
    struct timespec up;
    if (clock_gettime(CLOCK_BOOTTIME, &up) != 0)
        return;
    uint64_t up_ms = (uint64_t)up.tv_sec * 1000 + (uint64_t)up.tv_nsec / 1000000;
    out->started_ms = bw_clock_wall_ms() - up_ms + started * 1000 / ticks;
}

void bw_process_metrics_read(struct bw_process_metrics *out)
{
    *out = (struct bw_process_metrics){0};
    read_stat(out);
    out->open_fds = count_fds();
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
        out->max_fds = limit.rlim_cur;
}
