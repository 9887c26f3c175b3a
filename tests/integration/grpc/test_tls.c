#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "certificates.h"
#include "rig.h"

static char folder[] = "/tmp/bw-grpc-tls-XXXXXX";
static struct rig rig;

static const char *path_of(const char *name)
{
    static char paths[8][300];
    static unsigned next;
    char *path = paths[next++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static int make_certificates(void **state)
{
    (void)state;
    if (mkdtemp(folder) == NULL)
        return -1;
    struct test_ca *ca = test_ca_create(folder, "ca"), *other = test_ca_create(folder, "other");
    const struct test_leaf leaves[] = {
        {.name = "server", .san = "URI:spiffe://t.example/replica/r1,DNS:localhost,IP:127.0.0.1"},
        {.name = "relay", .san = "URI:spiffe://t.example/relay/par1"},
        {.name = "two", .san = "URI:spiffe://t.example/relay/par1,URI:spiffe://t.example/admin/root"},
        {.name = "none", .san = "DNS:relay.example"},
        {.name = "foreign", .san = "URI:spiffe://elsewhere.example/relay/par1"},
        {.name = "https", .san = "URI:https://t.example/relay/par1"},
        {.name = "authority", .san = "URI:spiffe://t.example/relay/par1", .is_ca = true},
        {.name = "expired", .san = "URI:spiffe://t.example/relay/par1", .expired = true},
        {.name = "revoked", .san = "URI:spiffe://t.example/relay/par1", .revoked = true},
    };
    for (size_t i = 0; i < sizeof leaves / sizeof leaves[0]; i++)
        test_ca_issue(ca, &leaves[i]);
    test_ca_write_crl(ca);
    test_ca_issue(other, &(struct test_leaf){.name = "stranger", .san = "URI:spiffe://t.example/relay/par1"});
    test_ca_destroy(ca);
    test_ca_destroy(other);
    return 0;
}

static int remove_certificates(void **state)
{
    (void)state;
    char command[300];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

static struct bw_grpc_tls *server_tls(bool require, bool crl)
{
    struct bw_grpc_tls_config config = {.certificate_file = path_of("server.crt"),
                                        .key_file = path_of("server.key"),
                                        .ca_file = path_of("ca.crt"),
                                        .crl_file = crl ? path_of("ca.crl") : NULL,
                                        .trust_domain = "t.example",
                                        .require_client_certificate = require};
    struct bw_error err = {.show = ""};
    struct bw_grpc_tls *tls = bw_grpc_tls_create_server(&config, &err);
    if (tls == NULL)
        fail_msg("%s", err.show);
    return tls;
}

/* leaf NULL: no client certificate. */
static struct bw_grpc_tls *client_tls(const char *leaf, const char *server_name, const char *server_id)
{
    char certificate[64], key[64];
    snprintf(certificate, sizeof certificate, "%s.crt", leaf ? leaf : "");
    snprintf(key, sizeof key, "%s.key", leaf ? leaf : "");
    struct bw_grpc_tls_config config = {.certificate_file = leaf ? path_of(certificate) : NULL,
                                        .key_file = leaf ? path_of(key) : NULL,
                                        .ca_file = path_of("ca.crt"),
                                        .server_name = server_name,
                                        .server_spiffe_id = server_id};
    struct bw_error err = {.show = ""};
    struct bw_grpc_tls *tls = bw_grpc_tls_create_client(&config, &err);
    if (tls == NULL)
        fail_msg("%s", err.show);
    return tls;
}

static void serve(bool require, bool crl)
{
    rig_init(&rig);
    rig.server_config.tls = server_tls(require, crl);
    rig_serve(&rig);
}

static void connect_as(struct bw_grpc_tls *tls)
{
    rig.client_config.tls = tls;
    rig_connect(&rig);
}

static void finish(void)
{
    rig_finish(&rig);
    bw_grpc_tls_release(rig.server_config.tls);
    bw_grpc_tls_release(rig.client_config.tls);
}

static void client_certificate_gives_the_call_an_identity(void **state)
{
    (void)state;
    serve(true, false);
    connect_as(client_tls("relay", "localhost", NULL));
    struct rig_call call;
    rig_unary(&rig, &call, "/t.T/Secret", bw_view_str("hello"), 5000);
    assert_int_equal(call.code, BW_OK);
    assert_string_equal(rig.peer, "spiffe://t.example/relay/par1");
    assert_string_equal(bw_grpc_client_peer_spiffe_id(rig.client), "spiffe://t.example/replica/r1");
    rig_call_finish(&call);
    finish();
}

static void large_messages_pass_through_tls(void **state)
{
    (void)state;
    serve(true, false);
    connect_as(client_tls("relay", "localhost", NULL));
    static uint8_t bytes[1 << 20];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 13);
    struct rig_call call;
    rig_unary(&rig, &call, "/t.T/Echo", bw_view_of(bytes, sizeof bytes), 20000);
    assert_int_equal(call.code, BW_OK);
    assert_int_equal(call.received.len, sizeof bytes);
    assert_memory_equal(call.received.data, bytes, sizeof bytes);
    rig_call_finish(&call);
    finish();
}

static void client_without_certificate_has_no_identity_unless_one_is_required(void **state)
{
    (void)state;
    serve(false, false);
    connect_as(client_tls(NULL, "localhost", NULL));
    struct rig_call call;
    rig_unary(&rig, &call, "/t.T/Echo", bw_view_str("hello"), 5000);
    assert_int_equal(call.code, BW_OK);
    assert_string_equal(rig.peer, "");
    rig_call_finish(&call);
    rig_unary(&rig, &call, "/t.T/Secret", bw_view_str("hello"), 5000);
    assert_int_equal(call.code, BW_UNAUTHENTICATED);
    rig_call_finish(&call);
    finish();

    serve(true, false);
    connect_as(client_tls(NULL, "localhost", NULL));
    rig_unary(&rig, &call, "/t.T/Echo", bw_view_str("hello"), 5000);
    assert_int_equal(call.code, BW_UNAVAILABLE);
    assert_int_equal(rig.opened, 0);
    rig_call_finish(&call);
    finish();
}

static void wait_until_gone(void)
{
    while (bw_grpc_server_counts(rig.server).connections > 0)
        bw_loop_turn(rig.loop, true);
}

static void refused(const char *leaf)
{
    serve(false, true);
    connect_as(client_tls(leaf, "localhost", NULL));
    struct rig_call call;
    rig_unary(&rig, &call, "/t.T/Echo", bw_view_str("hello"), 5000);
    if (call.code != BW_UNAVAILABLE)
        fail_msg("certificate \"%s\" was accepted", leaf);
    assert_int_equal(rig.opened, 0);
    wait_until_gone();
    assert_int_equal(bw_grpc_server_counts(rig.server).handshake_failures, 1);
    rig_call_finish(&call);
    finish();
}

static void certificates_that_are_no_single_identity_are_refused(void **state)
{
    (void)state;
    refused("two");
    refused("none");
    refused("https");
    refused("foreign");
    refused("authority");
}

static void certificates_that_are_not_valid_are_refused(void **state)
{
    (void)state;
    refused("expired");
    refused("stranger");
    refused("revoked");
}

static void client_refuses_a_server_that_is_not_the_one_it_wants(void **state)
{
    (void)state;
    static const struct {
        const char *name, *id;
        bool good;
    } wanted[] = {
        {"localhost", NULL, true},
        {"127.0.0.1", NULL, true},
        {NULL, "spiffe://t.example/replica/r1", true},
        {"localhost", "spiffe://t.example/replica/r1", true},
        {"bailiwick.example", NULL, false},
        {"127.0.0.2", NULL, false},
        {NULL, "spiffe://t.example/replica/r2", false},
        {"localhost", "spiffe://t.example/replica/r2", false},
    };
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        serve(false, false);
        connect_as(client_tls("relay", wanted[i].name, wanted[i].id));
        struct rig_call call;
        rig_unary(&rig, &call, "/t.T/Echo", bw_view_str("hello"), 5000);
        assert_int_equal(call.code, wanted[i].good ? BW_OK : BW_UNAVAILABLE);
        assert_int_equal(rig.opened, wanted[i].good ? 1 : 0);
        rig_call_finish(&call);
        finish();
    }
}

static void second_connection_resumes_and_keeps_the_identity(void **state)
{
    (void)state;
    serve(true, false);
    struct bw_grpc_tls *tls = client_tls("relay", "localhost", NULL);
    for (int i = 0; i < 3; i++) {
        connect_as(tls);
        struct rig_call call;
        memset(rig.peer, 0, sizeof rig.peer);
        rig_unary(&rig, &call, "/t.T/Secret", bw_view_str("hello"), 5000);
        assert_int_equal(call.code, BW_OK);
        assert_string_equal(rig.peer, "spiffe://t.example/relay/par1");
        rig_call_finish(&call);
        bw_grpc_client_destroy(rig.client);
        rig.client = NULL;
    }
    finish();
}

static void reload_serves_new_connections_with_the_new_certificate(void **state)
{
    (void)state;
    serve(false, false);
    struct bw_grpc_tls *required = server_tls(true, false);
    connect_as(client_tls(NULL, "localhost", NULL));
    struct rig_call call;
    rig_unary(&rig, &call, "/t.T/Echo", bw_view_str("a"), 5000);
    assert_int_equal(call.code, BW_OK);
    rig_call_finish(&call);
    bw_grpc_server_set_tls(rig.server, required);
    bw_grpc_tls_release(required);
    rig_unary(&rig, &call, "/t.T/Echo", bw_view_str("b"), 5000);
    assert_int_equal(call.code, BW_OK); /* the old connection stays */
    rig_call_finish(&call);
    bw_grpc_client_destroy(rig.client);
    rig_connect(&rig);
    rig_unary(&rig, &call, "/t.T/Echo", bw_view_str("c"), 5000);
    assert_int_equal(call.code, BW_UNAVAILABLE);
    rig_call_finish(&call);
    finish();
}

static void clear_text_client_gets_nowhere_with_a_tls_server(void **state)
{
    (void)state;
    serve(false, false);
    rig.client_config.tls = NULL;
    rig_connect(&rig);
    struct rig_call call;
    rig_unary(&rig, &call, "/t.T/Echo", bw_view_str("x"), 5000);
    assert_int_equal(call.code, BW_UNAVAILABLE);
    rig_call_finish(&call);
    rig_run_until(&rig, &rig.closed);
    finish();
}

static void peer_that_never_handshakes_is_dropped(void **state)
{
    (void)state;
    rig_init(&rig);
    rig.server_config.limits.handshake_timeout_ms = 50;
    rig.server_config.tls = server_tls(false, false);
    rig_serve(&rig);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(bw_grpc_server_port(rig.server)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof address), 0);
    while (bw_grpc_server_counts(rig.server).accepted == 0)
        bw_loop_turn(rig.loop, true);
    assert_int_equal(bw_grpc_server_counts(rig.server).connections, 1);
    wait_until_gone();
    assert_int_equal(bw_grpc_server_counts(rig.server).handshake_failures, 1);
    char byte;
    assert_true(read(fd, &byte, 1) <= 0);
    close(fd);
    finish();
}

static void handshakes_beyond_the_rate_wait(void **state)
{
    (void)state;
    rig_init(&rig);
    rig.server_config.limits.handshakes = 2;
    rig.server_config.limits.handshakes_per_s = 5;
    rig.server_config.tls = server_tls(false, false);
    rig_serve(&rig);
    struct bw_grpc_client *clients[3];
    rig.client_config.tls = client_tls(NULL, "localhost", NULL);
    for (size_t i = 0; i < 3; i++) {
        rig_connect(&rig);
        clients[i] = rig.client;
    }
    rig_run_ms(&rig, 100);
    assert_int_equal(bw_grpc_server_counts(rig.server).accepted, 2);
    for (size_t i = 0; i < 3; i++) { /* whichever had to wait */
        while (!bw_grpc_client_usable(clients[i]))
            rig_turn(&rig);
    }
    assert_int_equal(bw_grpc_server_counts(rig.server).accepted, 3);
    bw_grpc_client_destroy(clients[0]);
    bw_grpc_client_destroy(clients[1]);
    finish();
}

static void configurations_that_cannot_work_are_explained(void **state)
{
    (void)state;
    struct bw_error err;
    struct bw_grpc_tls_config config = {.certificate_file = path_of("server.crt"),
                                        .key_file = path_of("relay.key")};
    assert_null(bw_grpc_tls_create_server(&config, &err));
    assert_int_equal(err.code, BW_INVALID_ARGUMENT);
    assert_non_null(strstr(err.show, "relay.key"));
    config.key_file = path_of("missing.key");
    assert_null(bw_grpc_tls_create_server(&config, &err));
    assert_int_equal(err.code, BW_FAILED_PRECONDITION);
    assert_non_null(strstr(err.show, "No such file"));
    config.key_file = path_of("server.key");
    config.require_client_certificate = true;
    assert_null(bw_grpc_tls_create_server(&config, &err));
    assert_int_equal(err.code, BW_INVALID_ARGUMENT);
    config.certificate_file = NULL;
    assert_null(bw_grpc_tls_create_server(&config, &err));
    struct bw_grpc_tls_config client = {.ca_file = path_of("ca.crt")};
    assert_null(bw_grpc_tls_create_client(&client, &err));
    client.server_spiffe_id = "spiffe://UPPER/x";
    assert_null(bw_grpc_tls_create_client(&client, &err));
    client.server_name = "localhost";
    client.server_spiffe_id = NULL;
    client.ca_file = NULL;
    assert_null(bw_grpc_tls_create_client(&client, &err));
    assert_int_equal(err.code, BW_INVALID_ARGUMENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(client_certificate_gives_the_call_an_identity),
        cmocka_unit_test(large_messages_pass_through_tls),
        cmocka_unit_test(client_without_certificate_has_no_identity_unless_one_is_required),
        cmocka_unit_test(certificates_that_are_no_single_identity_are_refused),
        cmocka_unit_test(certificates_that_are_not_valid_are_refused),
        cmocka_unit_test(client_refuses_a_server_that_is_not_the_one_it_wants),
        cmocka_unit_test(second_connection_resumes_and_keeps_the_identity),
        cmocka_unit_test(reload_serves_new_connections_with_the_new_certificate),
        cmocka_unit_test(clear_text_client_gets_nowhere_with_a_tls_server),
        cmocka_unit_test(peer_that_never_handshakes_is_dropped),
        cmocka_unit_test(handshakes_beyond_the_rate_wait),
        cmocka_unit_test(configurations_that_cannot_work_are_explained),
    };
    return cmocka_run_group_tests(tests, make_certificates, remove_certificates);
}
