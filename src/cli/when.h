/* Moments as support staff write and read them: in their own time zone, or the one of --tz. Threads: one. */
#ifndef BW_CLI_WHEN_H
#define BW_CLI_WHEN_H

#include <jansson.h>

#include "cli/cli.h"

#define BW_TZ_OPTION                                                                                         \
    {                                                                                                        \
        .name = "tz", .type = BW_OPTION_TEXT, .value = "ZONE",                                               \
        .help = "the time zone to read and print times in, such as Europe/Paris (default: this machine's)"   \
    }
#define BW_RANGE_OPTIONS                                                                                     \
    {.name = "since",                                                                                        \
     .type = BW_OPTION_DURATION,                                                                             \
     .value = "DURATION",                                                                                    \
     .max = UINT64_C(8035200000),                                                                            \
     .help = "from so long ago until now (default 24h)"},                                                    \
        {.name = "from",                                                                                     \
         .type = BW_OPTION_TEXT,                                                                             \
         .value = "TIME",                                                                                    \
         .help = "from this moment: 2026-11-21T10:00:00Z, '2026-11-21 10:00', 2026-11-21 or 10:00 (today)"}, \
    {                                                                                                        \
        .name = "to", .type = BW_OPTION_TEXT, .value = "TIME", .help = "until this moment (default: now)"    \
    }

/* Takes --tz. An exit code; 2 with words when there is no such zone. */
int bw_when_zone(struct bw_cli *cli);
/* Takes --since, --from and --to. An exit code. */
int bw_when_range(struct bw_cli *cli, uint64_t now_ms, int64_t *from_ms, int64_t *to_ms);
/* False: none of the forms. With an offset or Z it means that; without, the zone. */
bool bw_when_parse(const char *text, uint64_t now_ms, uint64_t *ms);

enum bw_when_style {
    BW_WHEN_RFC3339, /* 2026-11-21T10:00:00.250+01:00 */
    BW_WHEN_LONG,    /* 2026-11-21 10:00:00 +0100 */
    BW_WHEN_CLOCK,   /* 10:00:00 */
};
/* In the zone. */
void bw_when_print(uint64_t ms, enum bw_when_style style, struct bw_buf *out);
/* "1 h 2 min", "42 s" */
void bw_when_span(uint64_t ms, struct bw_buf *out);
/* Beside each "atUnixMs" of the tree an "at" in words. */
void bw_when_tree(json_t *tree, enum bw_when_style style);

#endif
