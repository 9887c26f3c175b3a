/* Field tables: what a document may say, as data. One table per map: key, type, bounds, words of
 * documentation, and where the value goes in a struct. Decoding, the JSON Schema and the reference pages all
 * come from the same table, so they cannot drift apart.
 *
 *   struct listen { struct bw_pos at; struct bw_yaml_text address; struct bw_yaml_number port; };
 *   static const struct bw_field listen_fields[] = {
 *       {.key = "address", .type = BW_FIELD_TEXT, BW_AT(struct listen, address), .fallback = "127.0.0.1",
 *        .doc = "The address to listen on."},
 *       {.key = "port", .type = BW_FIELD_UINT, BW_AT(struct listen, port), .flags = BW_FIELD_REQUIRED,
 *        .min = 1, .max = 65535, .doc = "The TCP port."},
 *   };
 *   const struct bw_field_table listen_table = {"listen", "Where the server listens.", listen_fields,
 *                                               BW_ARRAY_LEN(listen_fields), sizeof(struct listen)};
 *
 * A struct filled from a table starts with `struct bw_pos at`: the place of its key (of the map itself in a
 * list); line 0 means the map is absent. So has every value: at.line 0 is absent (a fallback fills the value
 * and leaves at.line 0, also inside a map that is absent as a whole). Structs are zeroed before decoding.
 * Threads: tables are immutable; decoding is pure.
 */
#ifndef BW_YAML_FIELD_H
#define BW_YAML_FIELD_H

#include "base/arena.h"
#include "yaml/reader.h"

struct bw_yaml_text {
    struct bw_pos at;
    struct bw_view text; /* a NUL stands behind it */
};
struct bw_yaml_number { /* BOOL (0, 1), UINT, DURATION (ms), WHEN (unix ms), ENUM (index into names) */
    struct bw_pos at;
    uint64_t value;
};
struct bw_yaml_decimal {
    struct bw_pos at;
    int64_t millionths;
};
struct bw_yaml_list {
    struct bw_pos at; /* of the list; an empty list is present and has count 0 */
    size_t count;
    void *items; /* count structs of the item's size */
};
/* A list with typed items and the same layout: BW_YAML_LIST(names, struct bw_yaml_text); */
#define BW_YAML_LIST(name, type)                                                                             \
    struct name {                                                                                            \
        struct bw_pos at;                                                                                    \
        size_t count;                                                                                        \
        type *items;                                                                                         \
    }
BW_YAML_LIST(bw_yaml_texts, struct bw_yaml_text);
BW_YAML_LIST(bw_yaml_numbers, struct bw_yaml_number);

enum bw_field_type {
    BW_FIELD_TEXT,     /* struct bw_yaml_text */
    BW_FIELD_BOOL,     /* struct bw_yaml_number */
    BW_FIELD_UINT,     /* struct bw_yaml_number */
    BW_FIELD_DECIMAL,  /* struct bw_yaml_decimal */
    BW_FIELD_DURATION, /* struct bw_yaml_number, ms */
    BW_FIELD_WHEN,     /* struct bw_yaml_number, unix ms: a date or an RFC 3339 instant */
    BW_FIELD_ENUM,     /* struct bw_yaml_number */
    BW_FIELD_MAP,      /* a struct filled from .table */
    BW_FIELD_LIST,     /* struct bw_yaml_list of .item */
    BW_FIELD_DICT, /* a map with free keys: struct bw_yaml_list of structs that start with struct bw_yaml_text
                      key (checked by .grammar); .item (with its offset) is the value in the same struct */
    BW_FIELD_UNION, /* a struct filled from .table when the value is a map, and through .item (with its offset
                       in the same struct) when it is a scalar */
    BW_FIELD_CUSTOM /* whatever .decode does */
};

enum {
    BW_FIELD_REQUIRED = 1,  /* absent is an error */
    BW_FIELD_LATER = 2,     /* known, but its effect is not built: "not supported yet" unless accept_later */
    BW_FIELD_SCALAR_OK = 4, /* LIST: a scalar stands for a list of itself */
    BW_FIELD_ONE_LINE = 8,  /* TEXT: no line breaks (implied by a grammar) */
};

/* A form of text. accepts may be NULL (any text). */
struct bw_grammar {
    const char *what;    /* "a name: a-z, 0-9 and -, at most 63" */
    const char *pattern; /* for the JSON Schema; NULL: none */
    bool (*accepts)(struct bw_view text);
    bool code; /* ASCII only, and unquoted NO, ON, Y … warn */
};

extern const struct bw_grammar bw_grammar_name; /* bw_scalar_is_name */

struct bw_decode;

struct bw_field {
    const char *key; /* camelCase; NULL for an item */
    enum bw_field_type type;
    unsigned flags;
    size_t offset;   /* BW_AT */
    size_t size;     /* BW_AT; of the member, or of an item's struct */
    size_t stride;   /* DICT: size of the struct that holds a key and its value */
    const char *doc; /* one or two sentences */
    int64_t min,
        max; /* values, text bytes or counts; checked when max > 0 (DECIMAL: millionths, when min < max) */
    const char *fallback;               /* scalar types: the value when absent, as it would be written */
    const char *const *names;           /* ENUM: ends with NULL */
    const struct bw_grammar *grammar;   /* TEXT, DICT keys */
    const struct bw_field *item;        /* LIST, DICT, UNION */
    const struct bw_field_table *table; /* MAP, UNION */
    /* CUSTOM: fills *out (size bytes, zeroed) and reports by itself. */
    void (*decode)(struct bw_decode *decode, const struct bw_yaml_node *node, const struct bw_field *field,
                   void *out);
    const char *schema; /* CUSTOM: its JSON Schema, an object */
};

#define BW_AT(type, member) .offset = offsetof(type, member), .size = sizeof(((type *)0)->member)
/* For an item that is the whole struct. */
#define BW_ITEM(type) .offset = 0, .size = sizeof(type)

struct bw_field_table {
    const char *name; /* "TenantPolicy", "transit" */
    const char *doc;
    const struct bw_field *fields;
    size_t count;
    size_t size; /* of the struct */
};

struct bw_decode {
    const struct bw_source *source;
    struct bw_arena *arena;
    struct bw_diags *diags;
    bool accept_later; /* BW_FIELD_LATER is decoded instead of refused */
    void *context;     /* for CUSTOM */
};

/* Fills *out (table->size bytes, zeroed here) from a map. Everything wrong is in decode->diags. `at` is the
 * place of the key that leads here; line 0: the map's own. */
void bw_decode_map(struct bw_decode *decode, const struct bw_field_table *table,
                   const struct bw_yaml_node *node, struct bw_pos at, void *out);
/* One value as bw_decode_map does it; for CUSTOM decoders. out points at the member. */
void bw_decode_value(struct bw_decode *decode, const struct bw_field *field, const struct bw_yaml_node *node,
                     void *out);
/* For CUSTOM decoders: the node must be a scalar with text; false (and reported) otherwise. With `code`, also
 * ASCII, and unquoted booleans of YAML 1.1 warn. */
bool bw_decode_scalar(struct bw_decode *decode, const struct bw_yaml_node *node, const char *what, bool code,
                      struct bw_view *text);

/* Reads and decodes a whole file in one step: OK, or INVALID_ARGUMENT with everything in diags (and the first
 * error in err), or RESOURCE_EXHAUSTED. Texts in *out live in the arena; text itself may go. accept_later as
 * above. */
BW_MUST_USE enum bw_code bw_yaml_load(const struct bw_source *source, const struct bw_field_table *table,
                                      void *out, bool accept_later, struct bw_arena *arena,
                                      struct bw_diags *diags, struct bw_error *err);

/* The JSON Schema (2020-12) of a table; fields marked LATER say so. */
void bw_field_schema(const struct bw_field_table *table, const char *id, struct bw_buf *out);
/* A reference page in Markdown: every key with its type, bounds, fallback and words. */
void bw_field_reference(const struct bw_field_table *table, struct bw_buf *out);

#endif
