/* The strict YAML reader: bytes to a small tree in which every node knows its place. It accepts one document
 * of maps, lists and scalars, and nothing of YAML that could make the text mean something else than it shows:
 * anchors, aliases, merge keys, tags, directives, several documents and invisible characters are each refused
 * with a message of their own. Types are not guessed: a scalar is text until a field table (yaml/field.h)
 * says more. Threads: pure. Memory: the tree and the texts live in the arena. */
#ifndef BW_YAML_READER_H
#define BW_YAML_READER_H

#include "base/arena.h"
#include "yaml/diag.h"

/* Caps. libyaml 0.2.5 has none of its own; a hostile document meets these within milliseconds. */
enum {
    BW_YAML_MAX_BYTES = 256 * 1024,
    BW_YAML_MAX_DEPTH = 32,
    BW_YAML_MAX_EVENTS = 40000,
    BW_YAML_MAX_KEYS = 512, /* in one map */
    BW_YAML_MAX_SCALAR_BYTES = 4096,
    BW_YAML_ARENA_BYTES = 16 * 1024 * 1024, /* what any document within the caps fits in, decoded */
};

enum bw_yaml_kind {
    BW_YAML_SCALAR,
    BW_YAML_LIST,
    BW_YAML_MAP,
    BW_YAML_BROKEN /* already reported; decoders skip it in silence */
};

struct bw_yaml_node {
    enum bw_yaml_kind kind;
    struct bw_pos at;
    bool quoted;         /* scalar: in quotes or a block scalar */
    struct bw_view text; /* scalar; a NUL stands behind it */
    size_t count;        /* list: items; map: entries */
    struct bw_yaml_node **items;
    struct bw_yaml_entry *entries;
};

struct bw_yaml_entry {
    struct bw_yaml_node *key; /* a scalar */
    struct bw_yaml_node *value;
};

/* What reading cost; for tests and for metrics. */
struct bw_yaml_stats {
    uint32_t events, max_depth;
};

/* The root of the document (a map, list or scalar), or NULL when it could not be read to its end. Errors are
 * in diags either way: check bw_diags_ok before trusting a tree. stats may be NULL. */
struct bw_yaml_node *bw_yaml_read(const struct bw_source *source, struct bw_arena *arena,
                                  struct bw_diags *diags, struct bw_yaml_stats *stats);

/* The value of a key; NULL when the node is no map or has no such key. */
const struct bw_yaml_node *bw_yaml_get(const struct bw_yaml_node *map, const char *key);
/* An empty or null scalar: unquoted and nothing, ~ or null. */
bool bw_yaml_is_empty(const struct bw_yaml_node *node);

#endif
