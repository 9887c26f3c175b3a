/* Capacity as a replica holds it: escrow, blocks of slots per relay granted in the database, spent here in
 * memory without asking anybody. One book is shared by all owners of a replica.
 *
 * Threads: any; every number is an atomic of its own. Owner: the server. */
#ifndef BW_CONTROL_BOOK_H
#define BW_CONTROL_BOOK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

struct bw_book;

enum { BW_BOOK_RELAYS_MAX = 65536 }; /* relay numbers are below */

struct bw_book *bw_book_create(void);
/* NULL is allowed. */
void bw_book_destroy(struct bw_book *book);

/* Takes one slot of the escrow; false when none is left. */
bool bw_book_take(struct bw_book *book, uint32_t relay);
/* The slot is free again: its participant has left, or its decision did not commit. */
void bw_book_give(struct bw_book *book, uint32_t relay);
/* Slots left, and slots taken by live participants. 0 for a number out of range. */
uint32_t bw_book_room(const struct bw_book *book, uint32_t relay);
uint32_t bw_book_taken(const struct bw_book *book, uint32_t relay);
/* The database granted more, or took unspent slots back: at most what is left goes, and that number is
 * returned. */
void bw_book_add(struct bw_book *book, uint32_t relay, uint32_t slots);
uint32_t bw_book_withdraw(struct bw_book *book, uint32_t relay, uint32_t slots);
/* Recovery: `slots` participants were found on it. */
void bw_book_adopt(struct bw_book *book, uint32_t relay, uint32_t slots);

#endif
