/* Quality on its way from the services to the ingest: batches of windows, from a relay or from an endpoint.
 *
 * Owner: who made it, until it is given to the port `quality`; from then on the port, until `done`. Threads:
 * `done` runs on the worker that gave it. */
#ifndef BW_API_QUALITY_H
#define BW_API_QUALITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/id.h"
#include "quality/sample.h"
#include "runtime/mailbox.h"

enum {
    /* The stream of an endpoint's own that holds whether it reaches its relay. */
    BW_API_PATH_STREAM = 0x7fff0000,
};

/* One window and whose it is. It has passed bw_quality_check. */
struct bw_api_window {
    struct bw_id meeting;
    uint32_t slot;
    /* FROM_RELAY: the relay the packets came through, 0: from the participant. FROM_CLIENT: its number for
     * the stream. */
    uint32_t stream;
    enum bw_quality_media media;
    struct bw_quality_window window;
    bool taken; /* the answer for this one; known before counts, too */
};

struct bw_api_quality {
    struct bw_mail mail; /* the port's */
    void *port;          /* likewise */
    struct bw_api_quality *next;
    uint32_t pending;

    enum bw_quality_source source;
    uint32_t relay;      /* FROM_RELAY: who reports. FROM_CLIENT: where the participant is */
    struct bw_id tenant; /* FROM_CLIENT: the meeting's; a relay need not know */

    /* The answer. */
    uint32_t taken;
    uint32_t refused; /* not carried by this relay, or in the future */
    uint32_t dropped; /* too late, or no room for them */
    bool overloaded;  /* some were dropped because too much waits: try again later */
    void (*done)(struct bw_api_quality *batch);
    void *context;

    size_t count;
    struct bw_api_window windows[];
};

/* Whose measurements a stream's chunks are, as 16 bytes: 'q', 1, source, 0, relay u32, number u32, zeroes. A
 * relay's streams have its number, and as `number` the peer they came through (0: the participant). A
 * client's have relay 0 and its own number for the stream, or BW_API_PATH_STREAM. */
struct bw_id bw_api_stream_id(enum bw_quality_source source, uint32_t relay, uint32_t number);
/* False: it is none of these. */
bool bw_api_stream_parts(const struct bw_id *stream, enum bw_quality_source *source, uint32_t *relay,
                         uint32_t *number);

/* With room for `count` windows, none yet. NULL when memory is out; bw_free. */
struct bw_api_quality *bw_api_quality_create(size_t count);

#endif
