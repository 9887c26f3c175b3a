#include "yaml/copy.h"

#include <string.h>

static const char *directory_of(struct bw_arena *arena, const char *file)
{
    const char *slash = strrchr(file, '/');
    if (slash == NULL)
        return ".";
    return slash == file ? "/" : bw_arena_strndup(arena, file, (size_t)(slash - file));
}

struct bw_copies bw_copies_of(struct bw_arena *arena, const char *file)
{
    struct bw_copies copies = {.arena = arena, .directory = directory_of(arena, file)};
    copies.no_memory = copies.directory == NULL;
    return copies;
}

const char *bw_copy_text(struct bw_copies *copies, const struct bw_yaml_text *text)
{
    if (text->text.len == 0)
        return NULL;
    const char *copy = bw_arena_strndup(copies->arena, (const char *)text->text.data, text->text.len);
    copies->no_memory = copies->no_memory || copy == NULL;
    return copy;
}

const char *bw_copy_path(struct bw_copies *copies, const struct bw_yaml_text *text)
{
    const char *path = bw_copy_text(copies, text);
    if (path == NULL || path[0] == '/' || copies->directory == NULL)
        return path;
    path = bw_arena_printf(copies->arena, "%s/%s", copies->directory, path);
    copies->no_memory = copies->no_memory || path == NULL;
    return path;
}
