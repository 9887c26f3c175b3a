/* A short secret (a session secret, a hop key). It has a type so that no formatter accepts it, it is wiped
 * on finish, and it never lives in an arena. Threads: one at a time. */
#ifndef BW_BASE_SECRET_H
#define BW_BASE_SECRET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { BW_SECRET_MAX = 64 };

struct bw_secret {
    uint8_t bytes[BW_SECRET_MAX];
    size_t len; /* 0: unset */
};

/* len is at most BW_SECRET_MAX (an invariant of ours). */
void bw_secret_set(struct bw_secret *secret, const void *bytes, size_t len);
/* Wipes; the struct is then unset. */
void bw_secret_finish(struct bw_secret *secret);
/* In constant time. */
bool bw_secret_equal(const struct bw_secret *a, const struct bw_secret *b);
bool bw_bytes_equal_ct(const void *a, const void *b, size_t len);
void bw_wipe(void *p, size_t len);

#endif
