/* How answers are shown. An answer is a JSON tree: what `-o json` prints is that tree, `-o yaml` the same in
 * YAML, and tables are columns picked out of it. Threads: one. */
#ifndef BW_CLI_OUTPUT_H
#define BW_CLI_OUTPUT_H

#include <jansson.h>

#include "cli/cli.h"

enum bw_cell {
    BW_CELL_TEXT, /* strings, numbers, booleans as they are */
    BW_CELL_ENUM, /* a protobuf enum's name without .prefix, in lower case with hyphens; UNSPECIFIED is "-" */
    BW_CELL_TIME, /* unix milliseconds; 0 is "-" */
    BW_CELL_LIST, /* joined by commas */
    BW_CELL_COUNT, /* how many items */
    BW_CELL_SHARE, /* parts per million as a percentage */
};

struct bw_column {
    const char *title;
    const char *path; /* "facts.name": keys from the item */
    enum bw_cell cell;
    const char *prefix;
    bool wide; /* only with -o wide (and always for a single object) */
};

struct bw_view_table {
    const char *list;   /* key of the array; NULL: a single object */
    const char *object; /* single: its key in the tree; NULL: the tree itself */
    const char *name;   /* path in the item for -o name */
    const struct bw_column *columns;
    size_t count;
};

/* Prints and returns BW_EXIT_OK, or says why not. The tree is borrowed. */
int bw_show(struct bw_cli *cli, const json_t *tree, const struct bw_view_table *view);
/* json or yaml by the output asked for; for trees that have no table. */
int bw_show_tree(struct bw_cli *cli, const json_t *tree);
/* A table of its own below others, for people only. */
int bw_show_table(struct bw_cli *cli, const json_t *items, const struct bw_column *columns, size_t count);

/* Is the answer for a program? Then nothing but the tree goes to stdout. */
bool bw_output_is_tree(const struct bw_cli *cli);
/* The text of one cell, harmless for a terminal. */
void bw_cell_text(const json_t *item, const struct bw_column *column, struct bw_buf *out);
/* YAML that reads back as the same tree: block style, strings quoted when they could be anything else. */
void bw_yaml_print(const json_t *tree, struct bw_buf *out);
/* Appends text in which control and reordering characters are shown as '?'. */
void bw_text_harmless(struct bw_buf *out, const char *text);
/* "2026-11-21 10:00:00Z" */
void bw_time_print(uint64_t unix_ms, struct bw_buf *out);

#endif
