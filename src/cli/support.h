/* What the support verbs share. Threads: one. */
#ifndef BW_CLI_SUPPORT_H
#define BW_CLI_SUPPORT_H

#include "cli/output.h"

/* A few sentences for the person who was refused, from the refusal's tree. */
void bw_support_reply(const json_t *refusal, struct bw_buf *out);

/* The words of QualityMetric in the order of its numbers, which begin at 1; ends with NULL. */
extern const char *const bw_metric_names[];

/* A value of a tree: a number, also one that travels as text; 0 when it is not there. */
uint64_t bw_tree_number(const json_t *object, const char *key);
/* "" when it is not there. */
const char *bw_tree_text(const json_t *object, const char *key);
/* An enum's name without its prefix, in lower case with blanks; "" for UNSPECIFIED. In the arena. */
const char *bw_tree_word(struct bw_cli *cli, const json_t *object, const char *key, const char *prefix);

/* What the answer says is missing, as notes on stderr. */
void bw_support_missing(struct bw_cli *cli, const json_t *tree);
/* All lanes of a meeting's timeline, pages joined. An exit code; json_decref the tree. */
int bw_support_timeline(struct bw_cli *cli, json_t **tree);

/* How bad a lane was, over time: one character a column. `utf8`: blocks instead of ASCII. */
void bw_lane_bar(const json_t *lane, uint64_t from_ms, uint64_t to_ms, unsigned width, bool utf8, bool colour,
                 struct bw_buf *out);
/* A curve as one character a column; values below 0 are gaps. */
void bw_spark(const json_t *values, unsigned width, bool utf8, struct bw_buf *out);
/* Can this terminal show blocks? */
bool bw_support_utf8(const struct bw_cli *cli);

/* "3.1 %", "42 ms", "78.2", "23 fps" */
void bw_metric_print(unsigned metric, uint64_t value, struct bw_buf *out);

#endif
