/* Structured log: one line an event, to stderr, as key=value text or as JSON. No personal data at any level:
 * no user names, addresses of participants or tokens. Threads: any; a line is written whole. */
#ifndef BW_RUNTIME_LOG_H
#define BW_RUNTIME_LOG_H

#include <stdbool.h>

#include "base/status.h"

/* DEBUG: for developers. INFO: normal life. WARN: look at it when there is time. ERROR: somebody must act. */
enum bw_log_level { BW_LOG_DEBUG, BW_LOG_INFO, BW_LOG_WARN, BW_LOG_ERROR };

/* `event` is a stable snake_case literal. `format` gives the fields: `key=%d other="%s"`; fields are
 * separated by blanks, a value with blanks stands in quotes. What a conversion inserts can never end its
 * value or start another field: it is escaped. Conversions: those of printf without %n, wide characters and
 * long double. */
void bw_log(enum bw_log_level level, const char *event, const char *format, ...) BW_PRINTF(3, 4);

/* Lines below `level` are dropped. Default: INFO, text. */
void bw_log_configure(enum bw_log_level level, bool json);
/* Where lines go instead of stderr; for tests. */
void bw_log_to_fd(int fd);
bool bw_log_enabled(enum bw_log_level level);
/* "debug", "info", "warn", "error"; false for anything else. */
bool bw_log_level_parse(const char *text, enum bw_log_level *level);

#endif
