/* A bump allocator for what lives exactly as long as one request (or one compiled set): everything in it is
 * freed in one step. It has a byte cap, so a hostile input meets NULL and not the whole machine's memory.
 * Secrets never live in an arena (base/secret.h). Threads: one at a time; may be handed over. */
#ifndef BW_BASE_ARENA_H
#define BW_BASE_ARENA_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

struct bw_arena;

/* cap_bytes bounds the sum of all allocations (rounded up to 16 each). NULL when memory is out. */
struct bw_arena *bw_arena_create(size_t cap_bytes);
/* NULL is allowed. */
void bw_arena_destroy(struct bw_arena *arena);
/* Forgets all allocations, keeps the first block for reuse. */
void bw_arena_reset(struct bw_arena *arena);

/* 16-byte aligned; NULL when the cap or memory is reached. bw_arena_zalloc zeroes; count*bytes is checked. */
void *bw_arena_alloc(struct bw_arena *arena, size_t bytes);
void *bw_arena_zalloc(struct bw_arena *arena, size_t count, size_t bytes);
void *bw_arena_memdup(struct bw_arena *arena, const void *p, size_t bytes);
char *bw_arena_strdup(struct bw_arena *arena, const char *s);
/* Copies n bytes and ends them with NUL. */
char *bw_arena_strndup(struct bw_arena *arena, const char *s, size_t n);
char *bw_arena_printf(struct bw_arena *arena, const char *format, ...) BW_PRINTF(2, 3);

/* Bytes handed out so far. */
size_t bw_arena_used(const struct bw_arena *arena);

#endif
