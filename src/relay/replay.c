#include "relay/replay.h"

#include <string.h>

static uint64_t bit_of(uint64_t sequence)
{
    return (uint64_t)1 << (sequence % 64);
}

static size_t word_of(uint64_t sequence)
{
    return (size_t)(sequence / 64 % BW_REPLAY_WORDS);
}

bool bw_replay_fresh(const struct bw_replay *replay, uint64_t sequence)
{
    if (sequence == 0)
        return false;
    if (sequence > replay->highest)
        return true;
    if (replay->highest - sequence >= BW_REPLAY_WINDOW)
        return false;
    return (replay->seen[word_of(sequence)] & bit_of(sequence)) == 0;
}

void bw_replay_mark(struct bw_replay *replay, uint64_t sequence)
{
    if (sequence > replay->highest) {
        uint64_t ahead = sequence / 64 - replay->highest / 64;
        if (ahead >= BW_REPLAY_WORDS)
            memset(replay->seen, 0, sizeof replay->seen);
        else
            for (uint64_t i = 1; i <= ahead; i++)
                replay->seen[(replay->highest / 64 + i) % BW_REPLAY_WORDS] = 0;
        replay->highest = sequence;
    }
    replay->seen[word_of(sequence)] |= bit_of(sequence);
}
