/* What a configuration keeps of a decoded document: texts and paths copied into its own arena, so that the
 * text they were read from may go. Sticky: after the first failure no_memory stays set and is checked once.
 * Threads: as its arena. */
#ifndef BW_YAML_COPY_H
#define BW_YAML_COPY_H

#include "yaml/field.h"

struct bw_copies {
    struct bw_arena *arena;
    const char *directory; /* of the file: relative paths start there */
    bool no_memory;
};

/* Starts copying from a document in `file`. */
struct bw_copies bw_copies_of(struct bw_arena *arena, const char *file);
/* NULL for an absent (or empty) text, and out of memory. */
const char *bw_copy_text(struct bw_copies *copies, const struct bw_yaml_text *text);
/* As bw_copy_text; a relative path is made one from the file's directory. */
const char *bw_copy_path(struct bw_copies *copies, const struct bw_yaml_text *text);

#endif
