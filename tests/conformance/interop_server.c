/* grpc.testing.TestService, as gRPC's interop test descriptions want it (doc/interop-test-descriptions.md of
 * the grpc project): interop_server --port P [--tls CERT KEY [CA]] [--descriptors FILE] Prints "port N" when
 * it listens. Messages are read and written with grpc/pb.h. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/check.h"
#include "grpc/pb.h"
#include "grpc/server.h"
#include "runtime/file.h"
#include "runtime/signals.h"

enum {
    /* SimpleRequest, StreamingOutputCallRequest */
    REQUEST_SIZE = 2,
    REQUEST_PARAMETERS = 2,
    REQUEST_PAYLOAD = 3,
    REQUEST_COMPRESS = 6,
    REQUEST_STATUS = 7,
    REQUEST_EXPECT_COMPRESSED = 8,
    /* StreamingInputCallRequest */
    INPUT_PAYLOAD = 1,
    INPUT_EXPECT_COMPRESSED = 2,
    /* ResponseParameters */
    PARAMETERS_SIZE = 1,
    PARAMETERS_INTERVAL_US = 2,
    PARAMETERS_COMPRESSED = 3,
    STATUS_CODE = 1,
    STATUS_MESSAGE = 2,
    PAYLOAD_BODY = 2,
    RESPONSE_PAYLOAD = 1,
    BOOL_VALUE = 1,
    AGGREGATED_SIZE = 1,
    MAX_RESPONSE_BYTES = 64 << 20
};

static struct bw_loop *loop;

/* One response of a stream that is still to be sent. */
struct planned {
    struct planned *next;
    uint64_t size, interval_us;
    bool compressed;
};

struct stream {
    struct bw_grpc_call *call;
    struct planned *first, *last;
    struct bw_timer *timer;
    bool waiting, half_closed, failed;
    struct bw_error error;
    uint64_t total;
};

static bool next_field(struct bw_view *message, struct bw_pb_field *field)
{
    bool bad = false;
    return bw_pb_next(message, field, &bad);
}

static bool read_bool(struct bw_view message)
{
    struct bw_pb_field field;
    bool value = false;
    while (next_field(&message, &field)) {
        if (field.number == BOOL_VALUE && field.wire == BW_PB_VARINT)
            value = field.value != 0;
    }
    return value;
}

static size_t payload_size(struct bw_view payload)
{
    struct bw_pb_field field;
    size_t size = 0;
    while (next_field(&payload, &field)) {
        if (field.number == PAYLOAD_BODY && field.wire == BW_PB_BYTES)
            size = field.bytes.len;
    }
    return size;
}

static enum bw_code read_status(struct bw_view message, struct bw_error *err)
{
    struct bw_pb_field field;
    uint64_t code = 0;
    struct bw_view text = {0};
    while (next_field(&message, &field)) {
        if (field.number == STATUS_CODE && field.wire == BW_PB_VARINT)
            code = field.value;
        else if (field.number == STATUS_MESSAGE && field.wire == BW_PB_BYTES)
            text = field.bytes;
    }
    return bw_fail(err, (enum bw_code)code, NULL, "%.*s", (int)text.len,
                   text.len ? (const char *)text.data : "");
}

/* SimpleResponse and StreamingOutputCallResponse begin alike. */
static void put_response(struct bw_buf *out, uint64_t size)
{
    struct bw_buf payload = {0};
    uint8_t *body = bw_calloc(1, size ? size : 1);
    BW_CHECK(body != NULL);
    bw_pb_put_bytes(&payload, PAYLOAD_BODY, bw_view_of(body, size));
    bw_pb_put_message(out, RESPONSE_PAYLOAD, bw_buf_view(&payload));
    bw_free(body);
    bw_buf_finish(&payload);
}

static void echo_metadata(struct bw_grpc_call *call)
{
    struct bw_view value;
    if (bw_grpc_call_metadata(call, "x-grpc-test-echo-initial", 0, &value))
        BW_CHECK(bw_grpc_add_header(call, "x-grpc-test-echo-initial", value) == BW_OK);
    if (bw_grpc_call_metadata(call, "x-grpc-test-echo-trailing-bin", 0, &value))
        BW_CHECK(bw_grpc_add_trailer(call, "x-grpc-test-echo-trailing-bin", value) == BW_OK);
}

/* ---- unary ---- */

static void on_empty(struct bw_grpc_call *call, struct bw_view message, void *context)
{
    (void)message;
    (void)context;
    echo_metadata(call);
    bw_grpc_reply(call, bw_view_of(NULL, 0));
}

static void on_unary(struct bw_grpc_call *call, struct bw_view message, void *context)
{
    (void)context;
    struct bw_pb_field field;
    struct bw_error err = {.code = BW_OK};
    uint64_t size = 0;
    echo_metadata(call);
    while (next_field(&message, &field)) {
        if (field.number == REQUEST_SIZE && field.wire == BW_PB_VARINT)
            size = field.value;
        else if (field.number == REQUEST_COMPRESS && field.wire == BW_PB_BYTES)
            bw_grpc_compress(call, read_bool(field.bytes));
        else if (field.number == REQUEST_STATUS && field.wire == BW_PB_BYTES)
            (void)read_status(field.bytes, &err);
        else if (field.number == REQUEST_EXPECT_COMPRESSED && field.wire == BW_PB_BYTES &&
                 read_bool(field.bytes) && !bw_grpc_message_compressed(call))
            (void)bw_fail(&err, BW_INVALID_ARGUMENT, NULL, "the message should have come compressed");
    }
    if (size > MAX_RESPONSE_BYTES)
        (void)bw_fail(&err, BW_INVALID_ARGUMENT, NULL, "response_size is too large");
    if (err.code != BW_OK) {
        bw_grpc_finish(call, &err, NULL);
        return;
    }
    struct bw_buf out = {0};
    put_response(&out, size);
    bw_grpc_reply(call, bw_buf_view(&out));
    bw_buf_finish(&out);
}

/* ---- streams ---- */

static void go_on(void *context)
{
    struct stream *stream = context;
    stream->waiting = false;
    for (;;) {
        struct planned *planned = stream->first;
        if (planned == NULL)
            break;
        if (planned->interval_us > 0) {
            uint64_t wait_ms = (planned->interval_us + 999) / 1000;
            planned->interval_us = 0;
            stream->waiting = true;
            bw_timer_start(stream->timer, wait_ms, 0);
            return;
        }
        struct bw_buf out = {0};
        put_response(&out, planned->size);
        bw_grpc_compress(stream->call, planned->compressed);
        BW_CHECK(bw_grpc_send(stream->call, bw_buf_view(&out)) == BW_OK);
        bw_buf_finish(&out);
        stream->first = planned->next;
        if (stream->first == NULL)
            stream->last = NULL;
        bw_free(planned);
    }
    if (stream->failed)
        bw_grpc_finish(stream->call, &stream->error, NULL);
    else if (stream->half_closed)
        bw_grpc_finish(stream->call, NULL, NULL);
}

static void on_stream_opened(struct bw_grpc_call *call, void *context)
{
    (void)context;
    struct stream *stream = bw_calloc(1, sizeof *stream);
    BW_CHECK(stream != NULL);
    stream->call = call;
    stream->timer = bw_timer_create(loop, go_on, stream, NULL);
    BW_CHECK(stream->timer != NULL);
    bw_grpc_call_set_data(call, stream);
    echo_metadata(call);
}

static void on_stream_ended(struct bw_grpc_call *call, enum bw_code why, void *context)
{
    (void)why;
    (void)context;
    struct stream *stream = bw_grpc_call_data(call);
    while (stream->first != NULL) {
        struct planned *planned = stream->first;
        stream->first = planned->next;
        bw_free(planned);
    }
    bw_timer_destroy(stream->timer);
    bw_free(stream);
}

static void plan(struct stream *stream, struct bw_view parameters)
{
    struct planned *planned = bw_calloc(1, sizeof *planned);
    BW_CHECK(planned != NULL);
    struct bw_pb_field field;
    while (next_field(&parameters, &field)) {
        if (field.number == PARAMETERS_SIZE && field.wire == BW_PB_VARINT)
            planned->size = field.value < MAX_RESPONSE_BYTES ? field.value : MAX_RESPONSE_BYTES;
        else if (field.number == PARAMETERS_INTERVAL_US && field.wire == BW_PB_VARINT)
            planned->interval_us = field.value;
        else if (field.number == PARAMETERS_COMPRESSED && field.wire == BW_PB_BYTES)
            planned->compressed = read_bool(field.bytes);
    }
    if (stream->last != NULL)
        stream->last->next = planned;
    else
        stream->first = planned;
    stream->last = planned;
    /* The headers say once whether anything may be compressed. */
    if (planned->compressed)
        bw_grpc_compress(stream->call, true);
}

static void on_output_request(struct bw_grpc_call *call, struct bw_view message, void *context)
{
    (void)context;
    struct stream *stream = bw_grpc_call_data(call);
    struct bw_pb_field field;
    while (next_field(&message, &field)) {
        if (field.number == REQUEST_PARAMETERS && field.wire == BW_PB_BYTES) {
            plan(stream, field.bytes);
        } else if (field.number == REQUEST_STATUS && field.wire == BW_PB_BYTES) {
            (void)read_status(field.bytes, &stream->error);
            stream->failed = stream->error.code != BW_OK;
        }
    }
    /* Compression of any message has to be known with the headers. */
    bool compressed = false;
    for (const struct planned *planned = stream->first; planned != NULL; planned = planned->next)
        compressed |= planned->compressed;
    bw_grpc_compress(call, compressed);
    bw_grpc_send_headers(call);
    if (!stream->waiting)
        go_on(stream);
}

static void on_output_half_closed(struct bw_grpc_call *call, void *context)
{
    (void)context;
    struct stream *stream = bw_grpc_call_data(call);
    stream->half_closed = true;
    if (!stream->waiting)
        go_on(stream);
}

static void on_input(struct bw_grpc_call *call, struct bw_view message, void *context)
{
    (void)context;
    struct stream *stream = bw_grpc_call_data(call);
    struct bw_pb_field field;
    while (next_field(&message, &field)) {
        if (field.number == INPUT_PAYLOAD && field.wire == BW_PB_BYTES) {
            stream->total += payload_size(field.bytes);
        } else if (field.number == INPUT_EXPECT_COMPRESSED && field.wire == BW_PB_BYTES &&
                   read_bool(field.bytes) && !bw_grpc_message_compressed(call)) {
            struct bw_error err;
            (void)bw_fail(&err, BW_INVALID_ARGUMENT, NULL, "the message should have come compressed");
            bw_grpc_finish(call, &err, NULL);
        }
    }
}

static void on_input_half_closed(struct bw_grpc_call *call, void *context)
{
    (void)context;
    struct stream *stream = bw_grpc_call_data(call);
    struct bw_buf out = {0};
    bw_pb_put_varint(&out, AGGREGATED_SIZE, stream->total);
    bw_grpc_reply(call, bw_buf_view(&out));
    bw_buf_finish(&out);
}

static const struct bw_grpc_method methods[] = {
    {.path = "/grpc.testing.TestService/EmptyCall", .message = on_empty},
    {.path = "/grpc.testing.TestService/UnaryCall", .message = on_unary},
    {.path = "/grpc.testing.TestService/CacheableUnaryCall", .message = on_unary},
    {.path = "/grpc.testing.TestService/StreamingOutputCall",
     .server_streams = true,
     .opened = on_stream_opened,
     .message = on_output_request,
     .half_closed = on_output_half_closed,
     .ended = on_stream_ended},
    {.path = "/grpc.testing.TestService/StreamingInputCall",
     .client_streams = true,
     .opened = on_stream_opened,
     .message = on_input,
     .half_closed = on_input_half_closed,
     .ended = on_stream_ended},
    {.path = "/grpc.testing.TestService/FullDuplexCall",
     .client_streams = true,
     .server_streams = true,
     .opened = on_stream_opened,
     .message = on_output_request,
     .half_closed = on_output_half_closed,
     .ended = on_stream_ended},
    {.path = "/grpc.testing.TestService/HalfDuplexCall",
     .client_streams = true,
     .server_streams = true,
     .opened = on_stream_opened,
     .message = on_output_request,
     .half_closed = on_output_half_closed,
     .ended = on_stream_ended},
};

/* ---- the program ---- */

static void on_signal(int number, void *context)
{
    (void)number;
    bw_loop_stop(context);
}

static bool parse(int argc, char **argv, struct bw_grpc_server_config *config, struct bw_grpc_tls_config *tls,
                  const char **descriptors)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--port") == 0 && i + 1 < argc) {
            config->port = (uint16_t)atoi(argv[++i]);
        } else if (strcmp(argv[i], "--tls") == 0 && i + 2 < argc) {
            tls->certificate_file = argv[++i];
            tls->key_file = argv[++i];
            if (i + 1 < argc && argv[i + 1][0] != '-')
                tls->ca_file = argv[++i];
        } else if (strcmp(argv[i], "--descriptors") == 0 && i + 1 < argc) {
            *descriptors = argv[++i];
        } else {
            fprintf(stderr, "usage: interop_server --port PORT [--tls CERT KEY [CA]] [--descriptors FILE]\n");
            return false;
        }
    }
    return true;
}

static enum bw_code run(struct bw_grpc_server_config *config, const struct bw_grpc_tls_config *tls,
                        const char *descriptors, struct bw_error *err)
{
    struct bw_buf set = {0};
    if (descriptors != NULL && bw_file_read(descriptors, 16 << 20, &set, err) != BW_OK)
        return err->code;
    config->descriptor_set = bw_buf_view(&set);
    if (tls->certificate_file != NULL && (config->tls = bw_grpc_tls_create_server(tls, err)) == NULL)
        return err->code;
    struct bw_grpc_server *server = bw_grpc_server_create(loop, config, methods, BW_ARRAY_LEN(methods), err);
    struct bw_signal *term = server ? bw_signal_watch(loop, SIGTERM, on_signal, loop, err) : NULL;
    struct bw_signal *interrupt = term ? bw_signal_watch(loop, SIGINT, on_signal, loop, err) : NULL;
    if (interrupt != NULL) {
        printf("port %u\n", bw_grpc_server_port(server));
        fflush(stdout);
        bw_loop_run(loop);
    }
    bw_signal_destroy(interrupt);
    bw_signal_destroy(term);
    bw_grpc_server_destroy(server);
    bw_grpc_tls_release(config->tls);
    bw_loop_turn(loop, false);
    bw_buf_finish(&set);
    return interrupt != NULL ? BW_OK : err->code;
}

int main(int argc, char **argv)
{
    struct bw_grpc_server_config config = {
        .address = "127.0.0.1", .limits = bw_grpc_limits_default(), .error_domain = "interop"};
    config.limits.max_request_bytes = 4 << 20;
    struct bw_grpc_tls_config tls = {0};
    const char *descriptors = NULL;
    if (!parse(argc, argv, &config, &tls, &descriptors))
        return 2;
    struct bw_error err = {.show = ""};
    loop = bw_loop_create(&err);
    if (loop == NULL || run(&config, &tls, descriptors, &err) != BW_OK) {
        fprintf(stderr, "interop_server: %s\n", err.show);
        bw_loop_destroy(loop);
        return 1;
    }
    bw_loop_destroy(loop);
    return 0;
}
