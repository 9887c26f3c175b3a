/* What a client's HTTP/2 session tells. */
#include <string.h>

#include "grpc/client_internal.h"

enum { WINDOW_BYTES = 4 << 20, STREAM_WINDOW_BYTES = 1 << 20, MAX_HEADER_LIST_BYTES = 65536 };

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags, void *user_data)
{
    (void)flags;
    (void)user_data;
    struct bw_grpc_client_call *call = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    if (frame->hd.type == NGHTTP2_HEADERS && call != NULL)
        bw_client_call_header(call, bw_view_of(name, name_len), bw_view_of(value, value_len),
                              frame->headers.cat == NGHTTP2_HCAT_HEADERS);
    return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user_data)
{
    struct bw_grpc_client *client = user_data;
    switch (frame->hd.type) {
    case NGHTTP2_HEADERS: {
        struct bw_grpc_client_call *call = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
        if (call != NULL) {
            client->in_callback = true;
            bw_client_call_headers_done(call, (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0);
            client->in_callback = false;
        }
        break;
    }
    case NGHTTP2_SETTINGS:
        if (!client->settled && !(frame->hd.flags & NGHTTP2_FLAG_ACK)) {
            client->settled = true;
            client->tell_connected = true;
            bw_client_settle_later(client);
        }
        break;
    case NGHTTP2_PING:
        if (frame->hd.flags & NGHTTP2_FLAG_ACK)
            client->pinged = false;
        break;
    case NGHTTP2_GOAWAY:
        if (!client->leaving) {
            client->leaving = true;
            client->tell_going_away = true;
            bw_client_settle_later(client);
        }
        break;
    default:
        break;
    }
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t stream_id, const uint8_t *data,
                   size_t len, void *user_data)
{
    (void)flags;
    struct bw_grpc_client *client = user_data;
    struct bw_grpc_client_call *call = nghttp2_session_get_stream_user_data(session, stream_id);
    if (call != NULL) {
        client->in_callback = true;
        bw_client_call_data(call, bw_view_of(data, len));
        client->in_callback = false;
    }
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t stream_id, uint32_t error_code, void *user_data)
{
    (void)user_data;
    struct bw_grpc_client_call *call = nghttp2_session_get_stream_user_data(session, stream_id);
    if (call != NULL)
        bw_client_call_closed(call, error_code);
    return 0;
}

static int on_not_sent(nghttp2_session *session, const nghttp2_frame *frame, int error, void *user_data)
{
    (void)user_data;
    if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
        return 0;
    /* The stream is closed next; here is only said why. */
    struct bw_grpc_client_call *call = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    if (call != NULL)
        bw_client_call_fail(call, BW_UNAVAILABLE, "the call could not be started: %s",
                            nghttp2_strerror(error));
    return 0;
}

enum bw_code bw_client_session_create(struct bw_grpc_client *client, struct bw_error *err)
{
    nghttp2_session_callbacks *callbacks = NULL;
    nghttp2_option *option = NULL;
    if (nghttp2_session_callbacks_new(&callbacks) != 0 || nghttp2_option_new(&option) != 0) {
        nghttp2_session_callbacks_del(callbacks);
        return bw_fail_memory(err);
    }
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
    nghttp2_session_callbacks_set_on_frame_not_send_callback(callbacks, on_not_sent);
    nghttp2_option_set_no_closed_streams(option, 1);
    int rc = nghttp2_session_client_new2(&client->session, callbacks, client, option);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_option_del(option);
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, STREAM_WINDOW_BYTES},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, MAX_HEADER_LIST_BYTES},
    };
    if (rc == 0)
        rc = nghttp2_submit_settings(client->session, NGHTTP2_FLAG_NONE, settings,
                                     sizeof settings / sizeof settings[0]);
    if (rc == 0)
        rc = nghttp2_session_set_local_window_size(client->session, NGHTTP2_FLAG_NONE, 0, WINDOW_BYTES);
    return rc == 0 ? BW_OK : bw_fail_memory(err);
}
