/* A sliding window over 64-bit sequence numbers (RFC 4303, section 3.4.3; RFC 6479's block form): a sequence
 * passes once, and not at all when it is older than the window. All-zero is a valid, empty window; sequence 0
 * never passes. Check first, verify the tag, then mark. Threads: one at a time. */
#ifndef BW_RELAY_REPLAY_H
#define BW_RELAY_REPLAY_H

#include <stdbool.h>
#include <stdint.h>

enum {
    BW_REPLAY_WORDS = 16,
    BW_REPLAY_WINDOW = (BW_REPLAY_WORDS - 1) * 64, /* sequences behind the highest that still pass */
};

struct bw_replay {
    uint64_t highest;
    uint64_t seen[BW_REPLAY_WORDS];
};

bool bw_replay_fresh(const struct bw_replay *replay, uint64_t sequence);
/* The sequence is fresh and its datagram genuine. */
void bw_replay_mark(struct bw_replay *replay, uint64_t sequence);

#endif
