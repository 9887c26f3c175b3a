#include "base/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"

enum { FIRST_BLOCK_BYTES = 4096, ALIGNMENT = 16, LARGEST_BLOCK_BYTES = 1 << 20 };

struct block {
    struct block *next;
    size_t size, used;
    _Alignas(ALIGNMENT) unsigned char data[];
};

struct bw_arena {
    struct block *first, *current;
    size_t cap_bytes, used_bytes;
};

static struct block *block_create(size_t bytes)
{
    struct block *block = bw_malloc(sizeof *block + bytes);
    if (block == NULL)
        return NULL;
    block->next = NULL;
    block->size = bytes;
    block->used = 0;
    return block;
}

struct bw_arena *bw_arena_create(size_t cap_bytes)
{
    struct bw_arena *arena = bw_malloc(sizeof *arena);
    if (arena == NULL)
        return NULL;
    arena->first = block_create(FIRST_BLOCK_BYTES);
    if (arena->first == NULL) {
        bw_free(arena);
        return NULL;
    }
    arena->current = arena->first;
    arena->cap_bytes = cap_bytes;
    arena->used_bytes = 0;
    return arena;
}

static void free_from(struct block *block)
{
    while (block != NULL) {
        struct block *next = block->next;
        bw_free(block);
        block = next;
    }
}

void bw_arena_destroy(struct bw_arena *arena)
{
    if (arena == NULL)
        return;
    free_from(arena->first);
    bw_free(arena);
}

void bw_arena_reset(struct bw_arena *arena)
{
    free_from(arena->first->next);
    arena->first->next = NULL;
    arena->first->used = 0;
    arena->current = arena->first;
    arena->used_bytes = 0;
}

void *bw_arena_alloc(struct bw_arena *arena, size_t bytes)
{
    if (bytes > arena->cap_bytes)
        return NULL;
    size_t rounded = (bytes + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
    if (rounded == 0)
        rounded = ALIGNMENT;
    if (rounded > arena->cap_bytes - arena->used_bytes)
        return NULL;
    struct block *block = arena->current;
    if (rounded > block->size - block->used) {
        /* Blocks double so that a large request costs few of them. */
        size_t size = block->size * 2 < LARGEST_BLOCK_BYTES ? block->size * 2 : LARGEST_BLOCK_BYTES;
        if (size < rounded)
            size = rounded;
        struct block *fresh = block_create(size);
        if (fresh == NULL)
            return NULL;
        block->next = fresh;
        arena->current = block = fresh;
    }
    void *p = block->data + block->used;
    block->used += rounded;
    arena->used_bytes += rounded;
    return p;
}

void *bw_arena_zalloc(struct bw_arena *arena, size_t count, size_t bytes)
{
    size_t total;
    if (__builtin_mul_overflow(count, bytes, &total))
        return NULL;
    void *p = bw_arena_alloc(arena, total);
    if (p != NULL)
        memset(p, 0, total);
    return p;
}

void *bw_arena_memdup(struct bw_arena *arena, const void *p, size_t bytes)
{
    void *copy = bw_arena_alloc(arena, bytes);
    if (copy != NULL && bytes > 0)
        memcpy(copy, p, bytes);
    return copy;
}

char *bw_arena_strdup(struct bw_arena *arena, const char *s)
{
    return bw_arena_strndup(arena, s, strlen(s));
}

char *bw_arena_strndup(struct bw_arena *arena, const char *s, size_t n)
{
    char *copy = bw_arena_alloc(arena, n + 1);
    if (copy == NULL)
        return NULL;
    if (n > 0)
        memcpy(copy, s, n);
    copy[n] = '\0';
    return copy;
}

char *bw_arena_printf(struct bw_arena *arena, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *text = length < 0 ? NULL : bw_arena_alloc(arena, (size_t)length + 1);
    if (text != NULL)
        vsnprintf(text, (size_t)length + 1, format, again);
    va_end(again);
    return text;
}

size_t bw_arena_used(const struct bw_arena *arena)
{
    return arena->used_bytes;
}
