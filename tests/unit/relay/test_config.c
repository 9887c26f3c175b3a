#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/check.h"
#include "relay/config.h"
#include "runtime/file.h"

static const char complete[] =
    "apiVersion: bailiwick/v1\n"
    "kind: RelayConfig\n"
    "name: par1\n"
    "capacity: 300\n"
    "media: { listen: '[::]:3478', advertise: ['192.0.2.1:3478', '[2001:db8::1]:3478'], peerAddress: "
    "'10.0.0.1:3478' }\n"
    "cells:\n"
    "  - name: eu\n"
    "    endpoints: [a.example:7443, b.example:7443]\n"
    "    capacity: 200\n"
    "    tls: { ca: eu/ca.crt, certificate: /etc/relay.crt, key: eu/relay.key, serverName: control.example "
    "}\n"
    "  - { name: ch, endpoints: '127.0.0.1:7443', capacity: 100, insecure: true }\n"
    "claims: { site: paris, region: eu-west, country: FR-75, operator: { name: Exemple Cloud, jurisdictions: "
    "[FR, DE] } }\n"
    "limits: { packetsPerSecond: 100, packetsBurst: 200, bitsPerSecond: 3000000, idle: 1m, keepalive: 10s, "
    "grace: 2m }\n"
    "status: { socket: run/par1.sock }\n"
    "log: { level: debug, format: json }\n";

struct loaded {
    char path[64];
    struct bw_arena *arena;
    struct bw_diags diags;
    struct bw_relay_config config;
    struct bw_error err;
    enum bw_code code;
};

static void load(struct loaded *l, const char *text)
{
    memset(l, 0, sizeof *l);
    snprintf(l->path, sizeof l->path, "/tmp/bw-relay-config-XXXXXX");
    int fd = mkstemp(l->path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
    l->arena = bw_arena_create(BW_YAML_ARENA_BYTES);
    bw_diags_init(&l->diags);
    l->code = bw_relay_config_load(l->path, l->arena, &l->diags, &l->config, &l->err);
}

static void unload(struct loaded *l)
{
    unlink(l->path);
    bw_diags_finish(&l->diags);
    bw_arena_destroy(l->arena);
}

static void every_key_arrives(void **state)
{
    (void)state;
    struct loaded l;
    load(&l, complete);
    if (l.code != BW_OK)
        fail_msg("%s", l.err.show);
    const struct bw_relay_config *c = &l.config;
    char text[BW_ADDRESS_TEXT];
    assert_string_equal(c->name, "par1");
    assert_int_equal(c->limits.channels, 300);
    bw_address_format(&c->listen, text);
    assert_string_equal(text, "[::]:3478");
    assert_int_equal(c->advertise_count, 2);
    assert_string_equal(c->advertise[1], "[2001:db8::1]:3478");
    assert_string_equal(c->peer_address, "10.0.0.1:3478");
    assert_int_equal(c->cell_count, 2);
    assert_int_equal(c->cells[0].endpoint_count, 2);
    assert_string_equal(c->cells[0].endpoints[1], "b.example:7443");
    assert_string_equal(c->cells[0].ca, "/tmp/eu/ca.crt"); /* relative to the file */
    assert_string_equal(c->cells[0].certificate, "/etc/relay.crt");
    assert_string_equal(c->cells[0].server_name, "control.example");
    assert_int_equal(c->cells[0].capacity, 200);
    assert_true(c->cells[1].insecure);
    assert_string_equal(c->country, "FR-75");
    assert_int_equal(c->jurisdiction_count, 2);
    assert_int_equal(c->limits.packets_per_second, 100);
    assert_int_equal(c->limits.bits_per_second, 3000000);
    assert_int_equal(c->limits.idle_ms, 60000);
    assert_int_equal(c->limits.keepalive_ms, 10000);
    assert_int_equal(c->limits.meeting_members, 500);
    assert_int_equal(c->max_grace_ms, 120000);
    assert_string_equal(c->status_socket, "/tmp/run/par1.sock");
    assert_int_equal(c->log_level, BW_LOG_DEBUG);
    assert_true(c->log_json);
    unload(&l);
}

static void assert_same_limits(const struct bw_relay_limits *a, const struct bw_relay_limits *b)
{
    assert_int_equal(a->channels, b->channels);
    assert_int_equal(a->meeting_members, b->meeting_members);
    assert_int_equal(a->packets_per_second, b->packets_per_second);
    assert_int_equal(a->packets_burst, b->packets_burst);
    assert_int_equal(a->bits_per_second, b->bits_per_second);
    assert_int_equal(a->idle_ms, b->idle_ms);
    assert_int_equal(a->keepalive_ms, b->keepalive_ms);
    assert_int_equal(a->clock_skew_ms, b->clock_skew_ms);
}

static void what_is_left_out_has_the_defaults_of_the_core(void **state)
{
    (void)state;
    struct loaded l;
    load(&l, "apiVersion: bailiwick/v1\nkind: RelayConfig\nname: par1\n"
             "media: { listen: '0.0.0.0:3478', advertise: '192.0.2.1:3478' }\n"
             "cells: [{ name: eu, endpoints: '127.0.0.1:7443', insecure: true }]\n");
    if (l.code != BW_OK)
        fail_msg("%s", l.err.show);
    struct bw_relay_limits defaults = bw_relay_limits_default();
    defaults.channels = 500;
    assert_same_limits(&l.config.limits, &defaults);
    assert_int_equal(l.config.cells[0].capacity, 500);
    assert_int_equal(l.config.log_level, BW_LOG_INFO);
    assert_null(l.config.status_socket);
    unload(&l);
    /* An empty map means the same as none. */
    load(&l, "apiVersion: bailiwick/v1\nkind: RelayConfig\nname: par1\nlimits: {}\n"
             "media: { listen: '0.0.0.0:3478', advertise: '192.0.2.1:3478' }\n"
             "cells: [{ name: eu, endpoints: '127.0.0.1:7443', insecure: true }]\n");
    if (l.code != BW_OK)
        fail_msg("%s", l.err.show);
    assert_same_limits(&l.config.limits, &defaults);
    unload(&l);
}

static void what_cannot_be_is_said_with_its_place(void **state)
{
    static const struct {
        const char *from, *to, *said;
    } cases[] = {
        {"'[::]:3478'", "'relay.example:3478'", "is not an address and port"},
        {"'192.0.2.1:3478'", "'192.0.2.1:0'", "port other than 0"},
        {"'10.0.0.1:3478'", "'10.0.0.1'", "is not an address and port"},
        {"capacity: 200", "capacity: 201", "add up to more than"},
        {"name: ch", "name: eu", "listed twice"},
        {", serverName: control.example", "", "either serverName or serverSpiffeId"},
        {"serverName: control.example", "serverName: c, serverSpiffeId: spiffe://x/y", "either serverName"},
        {"capacity: 100, insecure: true", "capacity: 100", "needs tls"},
        {"capacity: 200\n", "capacity: 200\n    insecure: true\n", "not both"},
        {"keepalive: 10s", "keepalive: 40s", "twice keepalive"},
        {"kind: RelayConfig", "kind: DaemonConfig", "RelayConfig"},
        {"name: par1", "name: PAR1", "a-z"},
        {"status:", "statuss:", "status"},
    };
    (void)state;
    for (size_t i = 0; i < BW_ARRAY_LEN(cases); i++) {
        char text[2048];
        const char *at = strstr(complete, cases[i].from);
        assert_non_null(at);
        snprintf(text, sizeof text, "%.*s%s%s", (int)(at - complete), complete, cases[i].to,
                 at + strlen(cases[i].from));
        struct loaded l;
        load(&l, text);
        if (l.code != BW_INVALID_ARGUMENT || strstr(l.err.show, cases[i].said) == NULL ||
            strstr(l.err.show, l.path) == NULL)
            fail_msg("%s: %s", cases[i].to, l.err.show);
        unload(&l);
    }
}

static void a_file_that_is_not_there_is_named(void **state)
{
    (void)state;
    struct bw_arena *arena = bw_arena_create(BW_YAML_ARENA_BYTES);
    struct bw_diags diags;
    struct bw_relay_config config;
    struct bw_error err = {0};
    bw_diags_init(&diags);
    assert_int_equal(bw_relay_config_load("/nowhere/relay.yaml", arena, &diags, &config, &err), BW_NOT_FOUND);
    assert_non_null(strstr(err.show, "/nowhere/relay.yaml"));
    bw_diags_finish(&diags);
    bw_arena_destroy(arena);
}

/* BW_WRITE_REFERENCE=1 writes the page anew. */
static void the_reference_page_is_the_table(void **state)
{
    static const char path[] = BW_SOURCE_DIR "/docs/reference/bailiwick-relay.md";
    (void)state;
    struct bw_buf page = {0}, there = {0};
    struct bw_error err = {0};
    bw_field_reference(&bw_relay_config_table, &page);
    if (getenv("BW_WRITE_REFERENCE") != NULL) {
        FILE *file = fopen(path, "w");
        assert_non_null(file);
        assert_int_equal(fwrite(page.data, 1, page.len, file), page.len);
        fclose(file);
    }
    if (bw_file_read(path, 1 << 20, &there, &err) != BW_OK)
        fail_msg("%s", err.show);
    if (!bw_view_equal(bw_buf_view(&page), bw_buf_view(&there)))
        fail_msg("docs/reference/bailiwick-relay.md differs; run this test with BW_WRITE_REFERENCE=1");
    bw_buf_finish(&page);
    bw_buf_finish(&there);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_key_arrives),
        cmocka_unit_test(what_is_left_out_has_the_defaults_of_the_core),
        cmocka_unit_test(what_cannot_be_is_said_with_its_place),
        cmocka_unit_test(a_file_that_is_not_there_is_named),
        cmocka_unit_test(the_reference_page_is_the_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
