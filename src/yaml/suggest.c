#include "yaml/suggest.h"

#include <string.h>

enum { WORD_MAX = 64 };

static uint8_t folded(uint8_t byte)
{
    return byte >= 'A' && byte <= 'Z' ? (uint8_t)(byte + 32) : byte;
}

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* Optimal string alignment over folded case: three rolling rows. */
unsigned bw_suggest_distance(struct bw_view a, struct bw_view b, unsigned limit)
{
    unsigned rows[3][WORD_MAX + 1];
    if (a.len > WORD_MAX || b.len > WORD_MAX)
        return limit + 1;
    size_t gap = a.len > b.len ? a.len - b.len : b.len - a.len;
    if (gap > limit)
        return limit + 1;
    for (unsigned j = 0; j <= b.len; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= a.len; i++) {
        unsigned *now = rows[i % 3], *before = rows[(i - 1) % 3], *earlier = rows[(i + 1) % 3];
        now[0] = (unsigned)i;
        for (size_t j = 1; j <= b.len; j++) {
            uint8_t x = folded(a.data[i - 1]), y = folded(b.data[j - 1]);
            now[j] = least(least(before[j] + 1, now[j - 1] + 1), before[j - 1] + (x != y));
            if (i > 1 && j > 1 && x == folded(b.data[j - 2]) && folded(a.data[i - 2]) == y)
                now[j] = least(now[j], earlier[j - 2] + 1);
        }
    }
    unsigned distance = rows[a.len % 3][b.len];
    return distance > limit ? limit + 1 : distance;
}

void bw_suggest_start(struct bw_suggest *suggest, struct bw_view word)
{
    /* A third of the word may be wrong, at most three edits; words of one or two letters are never guessed.
     */
    unsigned limit = word.len < 3 ? 0 : least((unsigned)(word.len + 2) / 3, 3);
    *suggest = (struct bw_suggest){.word = word, .distance = limit + 1};
}

void bw_suggest_offer(struct bw_suggest *suggest, const char *candidate)
{
    if (suggest->distance == 0)
        return;
    unsigned limit = suggest->distance - 1;
    unsigned distance = bw_suggest_distance(suggest->word, bw_view_str(candidate), limit);
    if (distance <= limit) {
        suggest->best = candidate;
        suggest->distance = distance;
    }
}
