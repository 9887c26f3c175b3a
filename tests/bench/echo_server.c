/* A unary echo on one worker, to be loaded by h2load beside nghttpd (echo.py). */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "grpc/server.h"
#include "runtime/signals.h"

static void on_message(struct bw_grpc_call *call, struct bw_view message, void *context)
{
    (void)context;
    bw_grpc_reply(call, message);
}

static void on_signal(int number, void *context)
{
    (void)number;
    bw_loop_stop(context);
}

int main(int argc, char **argv)
{
    struct bw_grpc_server_config config = {.address = "127.0.0.1", .limits = bw_grpc_limits_default()};
    struct bw_grpc_tls_config tls = {0};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--port") == 0 && i + 1 < argc) {
            config.port = (uint16_t)atoi(argv[++i]);
        } else if (strcmp(argv[i], "--tls") == 0 && i + 2 < argc) {
            tls.certificate_file = argv[++i];
            tls.key_file = argv[++i];
        } else {
            fprintf(stderr, "usage: echo_server --port PORT [--tls CERT KEY]\n");
            return 2;
        }
    }
    struct bw_error err = {.show = ""};
    struct bw_loop *loop = bw_loop_create(&err);
    struct bw_grpc_tls *server_tls = NULL;
    if (loop != NULL && tls.certificate_file != NULL)
        server_tls = config.tls = bw_grpc_tls_create_server(&tls, &err);
    static const struct bw_grpc_method methods[] = {{.path = "/bench.Echo/Echo", .message = on_message}};
    struct bw_grpc_server *server = NULL;
    if (loop != NULL && (tls.certificate_file == NULL || server_tls != NULL))
        server = bw_grpc_server_create(loop, &config, methods, 1, &err);
    struct bw_signal *term = server ? bw_signal_watch(loop, SIGTERM, on_signal, loop, &err) : NULL;
    struct bw_signal *interrupt = term ? bw_signal_watch(loop, SIGINT, on_signal, loop, &err) : NULL;
    int status = 1;
    if (interrupt != NULL) {
        printf("port %u\n", bw_grpc_server_port(server));
        fflush(stdout);
        bw_loop_run(loop);
        status = 0;
    } else {
        fprintf(stderr, "echo_server: %s\n", err.show);
    }
    bw_signal_destroy(interrupt);
    bw_signal_destroy(term);
    bw_grpc_server_destroy(server);
    bw_grpc_tls_release(server_tls);
    bw_loop_destroy(loop);
    return status;
}
