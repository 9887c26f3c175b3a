#include "grpc/due.h"

#include "base/alloc.h"
#include "base/check.h"

void bw_due_heap_finish(struct bw_due_heap *heap)
{
    bw_free(heap->entries);
    *heap = (struct bw_due_heap){0};
}

enum bw_code bw_due_reserve(struct bw_due_heap *heap, struct bw_error *err)
{
    if (heap->reserved == heap->capacity) {
        size_t capacity = heap->capacity ? heap->capacity * 2 : 64;
        struct bw_due **entries = bw_realloc(heap->entries, capacity * sizeof(struct bw_due *));
        if (entries == NULL)
            return bw_fail_memory(err);
        heap->entries = entries;
        heap->capacity = capacity;
    }
    heap->reserved++;
    return BW_OK;
}

void bw_due_unreserve(struct bw_due_heap *heap)
{
    BW_CHECK(heap->reserved > heap->count);
    heap->reserved--;
}

/* Entry number n (from 1) lies at n - 1; its children are 2n and 2n + 1. */
static void put(struct bw_due_heap *heap, size_t place, struct bw_due *due)
{
    heap->entries[place - 1] = due;
    due->place = place;
}

static void move_up(struct bw_due_heap *heap, struct bw_due *due, size_t place)
{
    while (place > 1 && heap->entries[place / 2 - 1]->at_ms > due->at_ms) {
        put(heap, place, heap->entries[place / 2 - 1]);
        place /= 2;
    }
    put(heap, place, due);
}

static void move_down(struct bw_due_heap *heap, struct bw_due *due, size_t place)
{
    for (;;) {
        size_t child = place * 2;
        if (child > heap->count)
            break;
        if (child < heap->count && heap->entries[child]->at_ms < heap->entries[child - 1]->at_ms)
            child++;
        if (heap->entries[child - 1]->at_ms >= due->at_ms)
            break;
        put(heap, place, heap->entries[child - 1]);
        place = child;
    }
    put(heap, place, due);
}

static void settle(struct bw_due_heap *heap, struct bw_due *due, size_t place)
{
    move_up(heap, due, place);
    move_down(heap, due, due->place);
}

void bw_due_set(struct bw_due_heap *heap, struct bw_due *due, uint64_t at_ms)
{
    due->at_ms = at_ms;
    if (due->place == 0) {
        BW_CHECK(heap->count < heap->reserved);
        heap->count++;
        settle(heap, due, heap->count);
    } else {
        settle(heap, due, due->place);
    }
}

void bw_due_clear(struct bw_due_heap *heap, struct bw_due *due)
{
    if (due->place == 0)
        return;
    struct bw_due *last = heap->entries[heap->count - 1];
    size_t place = due->place;
    heap->count--;
    due->place = 0;
    if (last != due)
        settle(heap, last, place);
}

uint64_t bw_due_next_ms(const struct bw_due_heap *heap)
{
    return heap->count ? heap->entries[0]->at_ms : UINT64_MAX;
}

struct bw_due *bw_due_take(struct bw_due_heap *heap, uint64_t now_ms)
{
    if (heap->count == 0 || heap->entries[0]->at_ms > now_ms)
        return NULL;
    struct bw_due *due = heap->entries[0];
    bw_due_clear(heap, due);
    return due;
}
