/* A client that writes whatever frames it is told to, on the rig's own thread: it sends and receives between
 * turns of the loop. */
#ifndef BW_TESTS_RAW_H
#define BW_TESTS_RAW_H

#include <nghttp2/nghttp2.h>

#include "rig.h"

struct raw {
    struct rig *rig;
    int fd;
    struct bw_buf out, in;
    nghttp2_hd_deflater *deflater;
    nghttp2_hd_inflater *inflater;
    /* what came back */
    bool goaway, closed;
    uint32_t goaway_error;
    char goaway_text[64];
    unsigned resets, ping_acks, settings_acks, headers, data_bytes;
    uint32_t last_reset;
    char text[4096]; /* all headers, as "name: value\n" */
};

/* Connects and sends the preface and empty settings. */
void raw_open(struct raw *raw, struct rig *rig);
/* Connects and sends nothing. */
void raw_connect(struct raw *raw, struct rig *rig);
void raw_close(struct raw *raw);

/* These collect frames; raw_flush sends them. */
void raw_frame(struct raw *raw, uint8_t type, uint8_t flags, uint32_t stream, const void *payload,
               size_t len);
/* A request's headers; extra: more headers as name, value, …, NULL. Flags beyond END_HEADERS are added. */
void raw_headers(struct raw *raw, uint32_t stream, const char *path, uint8_t flags, const char *const *extra);
/* A DATA frame with one gRPC message. */
void raw_message(struct raw *raw, uint32_t stream, const char *message, uint8_t flags);
void raw_reset(struct raw *raw, uint32_t stream);

/* Sends what is collected while the loop turns, reading what comes back; gives up quietly when the server has
 * closed. */
void raw_flush(struct raw *raw);
/* Sends into the socket while the loop turns, but reads nothing. */
void raw_flush_deaf(struct raw *raw);
/* Turns and reads until *flag, for at most 10 seconds. */
void raw_until(struct raw *raw, const bool *flag);
void raw_until_count(struct raw *raw, const unsigned *count, unsigned n);
void raw_read_ms(struct raw *raw, uint64_t ms);

#endif
