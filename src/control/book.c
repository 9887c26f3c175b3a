#include "control/book.h"

#include <stdatomic.h>

#include "base/alloc.h"

struct entry {
    _Atomic uint32_t room, taken;
};

struct bw_book {
    struct entry entries[BW_BOOK_RELAYS_MAX];
};

struct bw_book *bw_book_create(void)
{
    return bw_calloc(1, sizeof(struct bw_book));
}

void bw_book_destroy(struct bw_book *book)
{
    bw_free(book);
}

bool bw_book_take(struct bw_book *book, uint32_t relay)
{
    if (relay >= BW_BOOK_RELAYS_MAX)
        return false;
    struct entry *entry = &book->entries[relay];
    uint32_t room = atomic_load_explicit(&entry->room, memory_order_relaxed);
    do {
        if (room == 0)
            return false;
    } while (!atomic_compare_exchange_weak(&entry->room, &room, room - 1));
    atomic_fetch_add(&entry->taken, 1);
    return true;
}

void bw_book_give(struct bw_book *book, uint32_t relay)
{
    if (relay >= BW_BOOK_RELAYS_MAX)
        return;
    struct entry *entry = &book->entries[relay];
    atomic_fetch_sub(&entry->taken, 1);
    atomic_fetch_add(&entry->room, 1);
}

uint32_t bw_book_room(const struct bw_book *book, uint32_t relay)
{
    return relay < BW_BOOK_RELAYS_MAX ? atomic_load(&book->entries[relay].room) : 0;
}

uint32_t bw_book_taken(const struct bw_book *book, uint32_t relay)
{
    return relay < BW_BOOK_RELAYS_MAX ? atomic_load(&book->entries[relay].taken) : 0;
}

void bw_book_add(struct bw_book *book, uint32_t relay, uint32_t slots)
{
    if (relay < BW_BOOK_RELAYS_MAX)
        atomic_fetch_add(&book->entries[relay].room, slots);
}

uint32_t bw_book_withdraw(struct bw_book *book, uint32_t relay, uint32_t slots)
{
    if (relay >= BW_BOOK_RELAYS_MAX)
        return 0;
    struct entry *entry = &book->entries[relay];
    uint32_t room = atomic_load(&entry->room), taken;
    do {
        taken = room < slots ? room : slots;
    } while (!atomic_compare_exchange_weak(&entry->room, &room, room - taken));
    return taken;
}

void bw_book_adopt(struct bw_book *book, uint32_t relay, uint32_t slots)
{
    if (relay < BW_BOOK_RELAYS_MAX)
        atomic_fetch_add(&book->entries[relay].taken, slots);
}
