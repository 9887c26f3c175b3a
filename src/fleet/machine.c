/* The table of a session's life; session.c does what its effects say. */
#include "base/check.h"
#include "fleet/session.h"

static const char *const states[BW_SESSION_STATE_COUNT] = {
    [BW_SESSION_NEW] = "new",   [BW_SESSION_FENCING] = "fencing", [BW_SESSION_CATCHING] = "catching up",
    [BW_SESSION_LIVE] = "live", [BW_SESSION_CLOSED] = "closed",
};

static const char *const events[BW_SESSION_EVENT_COUNT] = {
    [BW_SESSION_HELLO] = "hello",
    [BW_SESSION_BAD] = "protocol broken",
    [BW_SESSION_FENCED] = "fenced",
    [BW_SESSION_FENCED_BEHIND] = "fenced, feed behind",
    [BW_SESSION_REACHED] = "feed reached",
    [BW_SESSION_MESSAGE] = "message",
    [BW_SESSION_STALE] = "stale message",
    [BW_SESSION_TIMEOUT] = "timeout",
    [BW_SESSION_END] = "end",
};

#define ROW(s, e, n, f)                                                                                      \
    {                                                                                                        \
        BW_SESSION_##s, BW_SESSION_##e, BW_SESSION_##n, BW_SESSION_##f                                       \
    }

static const struct bw_machine_row rows[] = {
    ROW(NEW, HELLO, FENCING, ASK_EPOCH),
    ROW(NEW, BAD, CLOSED, CLOSE),
    ROW(NEW, TIMEOUT, CLOSED, CLOSE),
    ROW(NEW, END, CLOSED, CLOSE),

    /* Between Hello and Welcome a relay has nothing to say but Bye. */
    ROW(FENCING, BAD, CLOSED, CLOSE),
    ROW(FENCING, FENCED, LIVE, WELCOME),
    ROW(FENCING, FENCED_BEHIND, CATCHING, ASK_CATCH_UP),
    ROW(FENCING, TIMEOUT, CLOSED, CLOSE),
    ROW(FENCING, END, CLOSED, CLOSE),

    ROW(CATCHING, BAD, CLOSED, CLOSE),
    ROW(CATCHING, REACHED, LIVE, WELCOME),
    ROW(CATCHING, END, CLOSED, CLOSE),

    ROW(LIVE, BAD, CLOSED, CLOSE),
    ROW(LIVE, MESSAGE, LIVE, HANDLE),
    ROW(LIVE, STALE, LIVE, DROP),
    ROW(LIVE, TIMEOUT, CLOSED, CLOSE),
    ROW(LIVE, END, CLOSED, CLOSE),
};

const struct bw_machine bw_session_machine = {
    .name = "relay session",
    .states = states,
    .state_count = BW_SESSION_STATE_COUNT,
    .events = events,
    .event_count = BW_SESSION_EVENT_COUNT,
    .rows = rows,
    .row_count = BW_ARRAY_LEN(rows),
};
