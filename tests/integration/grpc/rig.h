/* A real server and real clients over loopback sockets on one loop, and a service to call:
 *   /t.T/Echo     unary: the request
 *   /t.T/Fail     unary: FAILED_PRECONDITION with all kinds of details
 *   /t.T/Never    unary: no answer
 *   /t.T/Held     unary: answered from another thread, through a mailbox, while the call is held
 *   /t.T/Count    the first byte says how many one-byte messages come back
 *   /t.T/Sum      client stream: 4 bytes, the total length of the messages
 *   /t.T/Chat     each message comes back at once
 *   /t.T/Large    the first 4 bytes (big-endian) say how many bytes come back
 *   /t.T/Flood    sends 32 KiB messages until refused, goes on when writable, 256 in all
 *   /t.T/Meta     unary: sends back x-echo as header and x-echo-bin as trailer
 *   /t.T/Secret   unary; the admit hook asks for a peer with a SPIFFE id
 *   /t.T/Quit     answers with an error as soon as it is opened
 *   /t.T/Gzip     unary echo, compressed
 *   /t.T/Keep     holds the call in rig.kept until the test releases it
 *   /t.T/Slow     client stream: reading is paused from the start; held in rig.kept; the sum as answer */
#ifndef BW_TESTS_RIG_H
#define BW_TESTS_RIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "grpc/client.h"
#include "grpc/server.h"
#include "runtime/loop.h"
#include "runtime/mailbox.h"

struct rig {
    struct bw_loop *loop;
    struct bw_mailbox *mailbox;
    struct bw_grpc_server_config server_config;
    struct bw_grpc_server *server;
    struct bw_grpc_client_config client_config;
    struct bw_grpc_client *client;
    bool connected, going_away, closed;
    struct bw_error closed_why;
    bool timed_out;
    struct bw_timer *watchdog;
    /* what the service saw */
    unsigned opened, messages, half_closed, ended;
    enum bw_code ended_why;
    char peer[300];
    struct bw_grpc_call *kept[64];
    size_t kept_count;
};

/* Starts the loop, nothing else; change the configurations, then rig_serve and rig_connect. */
void rig_init(struct rig *rig);
void rig_serve(struct rig *rig);
void rig_connect(struct rig *rig);
/* Client, then server, then loop. */
void rig_finish(struct rig *rig);
/* Turns the loop until *flag; fails the test after 10 seconds. */
void rig_run_until(struct rig *rig, const bool *flag);
/* Turns the loop for so long. */
void rig_run_ms(struct rig *rig, uint64_t ms);
/* One turn, waiting at most a moment. */
void rig_turn(struct rig *rig);
/* Turns until *count has reached at least n. */
void rig_run_until_count(struct rig *rig, const unsigned *count, unsigned n);

/* One call and everything that came back. */
struct rig_call {
    struct bw_grpc_client_call *call;
    bool finished;
    bool headers;
    enum bw_code code;
    char message[600];
    unsigned messages;
    struct bw_buf received; /* all messages, one after the other */
    char reason[64], domain[64], metadata[64], violation[128], any_type[128];
    uint64_t retry_after_ms;
    char echo_header[64], echo_trailer[64];
    unsigned writable;
};

/* Starts; the caller sends and half-closes. */
void rig_call(struct rig *rig, struct rig_call *call, const char *path, uint64_t deadline_ms);
void rig_call_with(struct rig *rig, struct rig_call *call, const char *path, uint64_t deadline_ms,
                   const struct bw_grpc_metadata *metadata, size_t metadata_count);
/* A whole unary call. */
void rig_unary(struct rig *rig, struct rig_call *call, const char *path, struct bw_view request,
               uint64_t deadline_ms);
void rig_call_finish(struct rig_call *call);

#endif
