#include "cell.h"

#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/secret.h"
#include "e2ee/grant.h"
#include "fleet/codec.h"
#include "relay/address.h"
#include "runtime/clock.h"

/* ---- the server's side of a session ---- */

static enum bw_code port_send(void *context, const struct bw_control_message *message)
{
    struct cell_relay *relay = context;
    struct bw_arena *arena = bw_arena_create(BW_FLEET_ARENA);
    struct bw_buf out = {0};
    struct bw_error err = {0};
    enum bw_code code = bw_control_message_encode(message, arena, &out, &err);
    if (code == BW_OK)
        code = bw_grpc_send(relay->call, bw_buf_view(&out));
    bw_buf_finish(&out);
    bw_arena_destroy(arena);
    return code;
}

static void port_close(void *context, const struct bw_error *why)
{
    struct cell_relay *relay = context;
    relay->closed = true;
    bw_grpc_finish(relay->call, why->code == BW_OK ? NULL : why, NULL);
}

static void port_fence(void *context, const struct bw_hello *hello)
{
    struct cell_relay *relay = context;
    relay->hellos++;
    if (hello->last_session_epoch > relay->epoch)
        relay->epoch = hello->last_session_epoch;
    memcpy(relay->secret, hello->session_secret.data, sizeof relay->secret);
    struct bw_view media = hello->media_addresses[0];
    snprintf(relay->media, sizeof relay->media, "%.*s", (int)media.len, (const char *)media.data);
    bw_session_fenced(relay->session, ++relay->epoch, NULL, bw_clock_mono_ms());
}

static void port_catch_up(void *context, uint64_t group)
{
    (void)context, (void)group;
}

static void port_heartbeat(void *context, const struct bw_heartbeat *heartbeat)
{
    struct cell_relay *relay = context;
    if (relay->renew)
        bw_session_lease_renewed(relay->session, heartbeat->number, 0);
}

static void port_applied(void *context, uint64_t group)
{
    struct cell_relay *relay = context;
    relay->acked = group;
}

static void port_probe(void *context, const struct bw_probe_report *report)
{
    struct cell_relay *relay = context;
    relay->probes++;
    relay->last_probe = *report;
}

static void port_events(void *context, const struct bw_relay_event *events, size_t count)
{
    struct cell_relay *relay = context;
    for (size_t i = 0; i < count; i++) {
        relay->joined += events[i].kind == BW_RELAY_EVENT_JOINED && !events[i].provisional;
        relay->provisional += events[i].kind == BW_RELAY_EVENT_JOINED && events[i].provisional;
        relay->left += events[i].kind == BW_RELAY_EVENT_LEFT;
        relay->refused += events[i].kind == BW_RELAY_EVENT_GRANT_REFUSED;
    }
}

static void port_drain_requested(void *context, struct bw_view reason, uint32_t deadline_ms)
{
    (void)context, (void)reason, (void)deadline_ms;
}

static void port_bye(void *context, struct bw_view reason, uint32_t back_in_ms)
{
    struct cell_relay *relay = context;
    (void)reason, (void)back_in_ms;
    relay->bye++;
}

/* ---- the gRPC method ---- */

static void opened(struct bw_grpc_call *call, void *context)
{
    struct cell_relay *relay = context;
    struct bw_session_config config = {.timing = bw_session_timing_default(),
                                       .stream_id = relay->cell->stream,
                                       .cell_id = bw_grant_cell_id(bw_view_str("eu")),
                                       .replica = "r1"};
    config.timing.heartbeat_ms = 200;
    config.timing.grace_ms = 60000;
    struct bw_session_ports ports = {.context = relay,
                                     .send = port_send,
                                     .close = port_close,
                                     .fence = port_fence,
                                     .catch_up = port_catch_up,
                                     .heartbeat = port_heartbeat,
                                     .applied = port_applied,
                                     .probe = port_probe,
                                     .events = port_events,
                                     .drain_requested = port_drain_requested,
                                     .bye = port_bye};
    assert_null(relay->session);
    relay->call = call;
    relay->closed = false;
    relay->session = bw_session_create(&config, &relay->enrolment, relay->feed, &ports, bw_clock_mono_ms());
}

static void message(struct bw_grpc_call *call, struct bw_view bytes, void *context)
{
    struct cell_relay *relay = context;
    struct bw_relay_message decoded;
    struct bw_error err = {0};
    (void)call;
    bw_arena_reset(relay->cell->arena);
    if (bw_relay_message_decode(bytes, relay->cell->arena, &decoded, &err) != BW_OK)
        fail_msg("the relay sent what is no message: %s", err.show);
    bw_session_receive(relay->session, &decoded, bw_clock_mono_ms());
    bw_relay_message_wipe(&decoded);
}

static void ended(struct bw_grpc_call *call, enum bw_code why, void *context)
{
    struct cell_relay *relay = context;
    (void)why;
    if (relay->call != call)
        return;
    if (relay->session != NULL) {
        struct bw_session_status status = bw_session_status(relay->session, bw_clock_mono_ms());
        relay->by_snapshot += status.by_snapshot;
        relay->resumed += !status.by_snapshot;
    }
    bw_session_destroy(relay->session);
    relay->session = NULL;
    relay->call = NULL;
}

static void tick(void *context)
{
    struct cell *cell = context;
    for (size_t i = 0; i < CELL_RELAYS; i++) {
        if (cell->relays[i].session != NULL && !cell->relays[i].closed)
            bw_session_tick(cell->relays[i].session, bw_clock_mono_ms());
    }
}

void cell_cut(struct cell *cell, size_t i)
{
    struct bw_error why = {0};
    (void)bw_fail(&why, BW_UNAVAILABLE, NULL, "cut by the test");
    bw_session_end(cell->relays[i].session, &why);
}

/* ---- children ---- */

static pid_t spawn(const struct cell *cell, const char *program, const char *const *arguments, int output)
{
    char path[600];
    const char *argv[32] = {path};
    size_t n = 1;
    posix_spawn_file_actions_t actions;
    pid_t pid;
    snprintf(path, sizeof path, "%s/%s", cell->binaries, program);
    for (; arguments[n - 1] != NULL && n < 31; n++)
        argv[n] = arguments[n - 1];
    posix_spawn_file_actions_init(&actions);
    if (output >= 0)
        posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
    int result = posix_spawn(&pid, path, &actions, NULL, (char *const *)(uintptr_t)argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    assert_int_equal(result, 0);
    return pid;
}

static uint16_t free_udp_port(void)
{
    struct bw_address address;
    struct sockaddr_storage sa;
    assert_int_equal(bw_address_parse("127.0.0.1:0", &address, NULL), BW_OK);
    socklen_t len = bw_address_to_sockaddr(&address, AF_INET, &sa);
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&sa, len), 0);
    len = sizeof sa;
    assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
    close(fd);
    assert_true(bw_address_from_sockaddr(&sa, &address));
    return address.port;
}

void cell_start_relay(struct cell *cell, size_t i)
{
    struct cell_relay *relay = &cell->relays[i];
    char config[256];
    uint16_t port = free_udp_port();
    snprintf(config, sizeof config, "%s/%s.yaml", cell->directory, relay->name);
    FILE *file = fopen(config, "we");
    assert_non_null(file);
    fprintf(file,
            "apiVersion: bailiwick/v1\nkind: RelayConfig\nname: %s\ncapacity: 50\n"
            "media: { listen: '127.0.0.1:%u', advertise: '127.0.0.1:%u' }\n"
            "cells: [{ name: eu, endpoints: '127.0.0.1:%u', insecure: true }]\n"
            "claims: { site: paris, country: FR, operator: { name: Exemple Cloud, jurisdictions: [FR] } }\n"
            "limits: { keepalive: 400ms, idle: 5s }\n"
            "status: { socket: %s.sock }\nlog: { level: error }\n",
            relay->name, (unsigned)port, (unsigned)port, (unsigned)relay->port, relay->name);
    fclose(file);
    const char *arguments[] = {"run", "--config", config, NULL};
    relay->pid = spawn(cell, "bailiwick-relay", arguments, -1);
}

json_t *cell_status(struct cell *cell, size_t i)
{
    char path[256], text[65536];
    int pipes[2], status;
    size_t len = 0;
    snprintf(path, sizeof path, "%s/%s.sock", cell->directory, cell->relays[i].name);
    const char *arguments[] = {"status", "--socket", path, NULL};
    assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
    pid_t pid = spawn(cell, "bailiwick-relay", arguments, pipes[1]);
    close(pipes[1]);
    ssize_t n;
    while ((n = read(pipes[0], text + len, sizeof text - len)) > 0)
        len += (size_t)n;
    close(pipes[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    json_t *json = json_loadb(text, len, 0, NULL);
    assert_non_null(json);
    return json;
}

/* ---- waiting ---- */

void cell_until(struct cell *cell, bool (*done)(struct cell *cell), const char *what)
{
    uint64_t deadline = bw_clock_mono_ms() + 10000;
    while (!done(cell)) {
        if (bw_clock_mono_ms() > deadline)
            fail_msg("waited too long for: %s", what);
        bw_loop_turn(cell->loop, true);
    }
}

void cell_wait(struct cell *cell, uint64_t ms)
{
    uint64_t end = bw_clock_mono_ms() + ms;
    while (bw_clock_mono_ms() < end)
        bw_loop_turn(cell->loop, true);
}

void cell_settle(struct cell *cell, size_t i)
{
    const struct cell_relay *relay = &cell->relays[i];
    uint64_t deadline = bw_clock_mono_ms() + 10000;
    while (relay->session == NULL || relay->acked < bw_feed_head(relay->feed) ||
           bw_session_status(relay->session, bw_clock_mono_ms()).unacked > 0) {
        if (bw_clock_mono_ms() > deadline)
            fail_msg("%s does not come up to group %llu", relay->name,
                     (unsigned long long)bw_feed_head(relay->feed));
        bw_loop_turn(cell->loop, true);
    }
}

static bool both_placeable(struct cell *cell)
{
    for (size_t i = 0; i < CELL_RELAYS; i++) {
        if (cell->relays[i].session == NULL ||
            !bw_session_status(cell->relays[i].session, bw_clock_mono_ms()).placeable)
            return false;
    }
    return true;
}

/* ---- life ---- */

static const char *const jurisdictions[] = {"FR"};

static void start_server(struct cell *cell, size_t i)
{
    static struct bw_grpc_method methods[CELL_RELAYS];
    struct cell_relay *relay = &cell->relays[i];
    struct bw_error err = {0};
    relay->cell = cell;
    relay->index = i;
    relay->renew = true;
    snprintf(relay->name, sizeof relay->name, "relay%zu", i + 1);
    relay->enrolment = (struct bw_enrolment){.name = relay->name,
                                             .number = (uint32_t)i + 1,
                                             .site = "paris",
                                             .country = "FR",
                                             .operator_name = "Exemple Cloud",
                                             .jurisdictions = jurisdictions,
                                             .jurisdiction_count = 1,
                                             .capacity = 50};
    relay->feed = bw_feed_create(0);
    struct bw_upsert key = bw_upsert_key(&cell->key, 1);
    assert_int_equal(bw_feed_apply_keys(relay->feed, &key, 1, NULL, 0, NULL), BW_OK);
    methods[i] = (struct bw_grpc_method){.path = "/bailiwick.v1.RelayService/Session",
                                         .client_streams = true,
                                         .server_streams = true,
                                         .opened = opened,
                                         .message = message,
                                         .ended = ended,
                                         .context = relay};
    struct bw_grpc_server_config config = {
        .address = "127.0.0.1", .limits = bw_grpc_limits_default(), .error_domain = "bailiwick"};
    relay->server = bw_grpc_server_create(cell->loop, &config, &methods[i], 1, &err);
    if (relay->server == NULL)
        fail_msg("%s", err.show);
    relay->port = bw_grpc_server_port(relay->server);
}

int cell_setup(void **state)
{
    struct cell *cell = calloc(1, sizeof *cell);
    char self[PATH_MAX];
    const char *temporary = getenv("TMPDIR");
    uint8_t seed[BW_ED25519_SEED_SIZE] = {7};
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    assert_true(n > 0);
    self[n] = '\0';
    snprintf(cell->binaries, sizeof cell->binaries, "%.500s", dirname(dirname(self)));
    snprintf(cell->directory, sizeof cell->directory, "%.100s/bw-relay-XXXXXX",
             temporary != NULL && strlen(temporary) < 60 ? temporary : "/tmp");
    assert_non_null(mkdtemp(cell->directory));
    cell->loop = bw_loop_create(NULL);
    cell->timer = bw_timer_create(cell->loop, tick, cell, NULL);
    cell->arena = bw_arena_create(BW_FLEET_ARENA);
    bw_timer_start(cell->timer, 50, 50);
    cell->stream = (struct bw_id){.bytes = {3, 1, 4}};
    assert_int_equal(bw_ed25519_signer_create(seed, &cell->signer, NULL), BW_OK);
    bw_ed25519_signer_public(cell->signer, cell->key.public_key);
    bw_grant_key_id(cell->key.public_key, cell->key.key_id);
    for (size_t i = 0; i < CELL_RELAYS; i++) {
        start_server(cell, i);
        cell_start_relay(cell, i);
    }
    cell_until(cell, both_placeable, "both relays");
    *state = cell;
    return 0;
}

int cell_teardown(void **state)
{
    struct cell *cell = *state;
    char path[256];
    for (size_t i = 0; i < CELL_ENDPOINTS; i++) {
        if (cell->endpoints[i].pid > 0) {
            kill(cell->endpoints[i].pid, SIGKILL);
            waitpid(cell->endpoints[i].pid, NULL, 0);
            close(cell->endpoints[i].output);
        }
    }
    for (size_t i = 0; i < CELL_RELAYS; i++) {
        struct cell_relay *relay = &cell->relays[i];
        if (relay->pid > 0) {
            kill(relay->pid, SIGKILL);
            waitpid(relay->pid, NULL, 0);
        }
        bw_grpc_server_destroy(relay->server);
        bw_session_destroy(relay->session);
        bw_feed_destroy(relay->feed);
        snprintf(path, sizeof path, "%s/%s.yaml", cell->directory, relay->name);
        unlink(path);
        snprintf(path, sizeof path, "%s/%s.sock", cell->directory, relay->name);
        unlink(path);
    }
    rmdir(cell->directory);
    bw_timer_destroy(cell->timer);
    bw_loop_destroy(cell->loop);
    bw_arena_destroy(cell->arena);
    bw_ed25519_signer_destroy(cell->signer);
    free(cell);
    return 0;
}

/* ---- decisions ---- */

struct bw_meeting_slot cell_slot(uint8_t meeting, uint32_t slot)
{
    struct bw_meeting_slot s = {
        .slot = slot, .meeting_epoch = 1, .mode_epoch = 1, .mode = BW_MODE_E2EE, .role = BW_ROLE_SPEAKER};
    s.meeting.bytes[0] = s.roster_entry.bytes[0] = 1;
    s.meeting.bytes[15] = meeting;
    s.roster_entry.bytes[15] = (uint8_t)slot;
    return s;
}

static void wake(struct cell *cell, size_t i)
{
    if (cell->relays[i].session != NULL)
        bw_session_wake(cell->relays[i].session, bw_clock_mono_ms());
}

void cell_put_slot(struct cell *cell, size_t i, const struct bw_meeting_slot *slot)
{
    uint64_t group = ++cell->group;
    struct bw_upsert upsert = bw_upsert_slot(slot, group, 0);
    assert_int_equal(bw_feed_apply(cell->relays[i].feed, group, &upsert, 1, NULL, 0, NULL), BW_OK);
    wake(cell, i);
}

void cell_remove_slot(struct cell *cell, size_t i, const struct bw_meeting_slot *slot)
{
    uint64_t group = ++cell->group;
    struct bw_removal removal = {.id = bw_resource_id_slot(&slot->meeting, slot->slot), .version = group};
    assert_int_equal(bw_feed_apply(cell->relays[i].feed, group, NULL, 0, &removal, 1, NULL), BW_OK);
    wake(cell, i);
}

void cell_put_link(struct cell *cell, uint8_t meeting)
{
    struct cell_relay *r = cell->relays;
    struct bw_id id = cell_slot(meeting, 1).meeting;
    struct bw_secret key = {0};
    uint64_t group = ++cell->group;
    bw_grant_link_key(&id, 1, r[0].secret, 2, r[1].secret, &key);
    for (size_t i = 0; i < CELL_RELAYS; i++) {
        const struct cell_relay *peer = &r[1 - i];
        struct bw_peer_link link = {.meeting = id, .meeting_epoch = 1, .peer_number = peer->enrolment.number};
        snprintf(link.peer, sizeof link.peer, "%s", peer->name);
        snprintf(link.peer_address, sizeof link.peer_address, "%s", peer->media);
        memcpy(link.link_key, key.bytes, sizeof link.link_key);
        struct bw_upsert upsert = bw_upsert_link(&link, group, 0);
        assert_int_equal(bw_feed_apply(r[i].feed, group, &upsert, 1, NULL, 0, NULL), BW_OK);
        wake(cell, i);
    }
    bw_secret_finish(&key);
}

/* ---- endpoints ---- */

static void hex(const uint8_t *bytes, size_t len, char *text)
{
    for (size_t i = 0; i < len; i++)
        snprintf(text + 2 * i, 3, "%02x", bytes[i]);
}

static void sign(const struct cell *cell, size_t relay, const struct bw_meeting_slot *slot,
                 char token_text[2 * BW_GRANT_TOKEN_MAX + 1], char key_text[65])
{
    struct bw_grant grant = {.role = slot->role,
                             .mode = slot->mode,
                             .cell = bw_grant_cell_id(bw_view_str("eu")),
                             .tenant = {.bytes = {7}},
                             .meeting = slot->meeting,
                             .meeting_epoch = slot->meeting_epoch,
                             .mode_epoch = slot->mode_epoch,
                             .roster_entry = slot->roster_entry,
                             .slot = slot->slot,
                             .relay = cell->relays[relay].enrolment.number,
                             .not_before_ms = bw_clock_wall_ms() - 100,
                             .expires_ms = bw_clock_wall_ms() + 60000,
                             .stream = cell->stream,
                             .group = cell->group};
    struct bw_grant_batch *batch;
    struct bw_merkle_hash root;
    uint32_t index;
    uint8_t bytes[BW_GRANT_SIGNED_SIZE], signature[BW_ED25519_SIGNATURE_SIZE], hash[BW_SHA256_SIZE];
    struct bw_buf token = {0};
    struct bw_secret key = {0};
    memcpy(grant.key_id, cell->key.key_id, sizeof grant.key_id);
    assert_int_equal(bw_grant_batch_create(&batch, NULL), BW_OK);
    assert_int_equal(bw_grant_batch_add(batch, &grant, &index, NULL), BW_OK);
    assert_int_equal(bw_grant_batch_seal(batch, &root, NULL), BW_OK);
    bw_grant_signed_bytes(&root, 1, bytes);
    assert_int_equal(bw_ed25519_sign(cell->signer, bw_view_of(bytes, sizeof bytes), signature, NULL), BW_OK);
    assert_int_equal(bw_grant_batch_token(batch, index, signature, &token, NULL), BW_OK);
    bw_grant_batch_body_hash(batch, index, hash);
    bw_grant_hop_key(cell->relays[relay].secret, hash, &key);
    hex(token.data, token.len, token_text);
    hex(key.bytes, key.len, key_text);
    bw_secret_finish(&key);
    bw_buf_finish(&token);
    bw_grant_batch_destroy(batch);
}

void cell_start_endpoint(struct cell *cell, size_t i, size_t relay, const struct bw_meeting_slot *slot,
                         const char *const *more)
{
    char token[2 * BW_GRANT_TOKEN_MAX + 1], key[65];
    const char *arguments[24] = {"--relay", cell->relays[relay].media, "--grant", token, "--hop-key", key};
    int pipes[2];
    for (size_t n = 0; more[n] != NULL && n < 16; n++)
        arguments[6 + n] = more[n];
    sign(cell, relay, slot, token, key);
    assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
    cell->endpoints[i].pid = spawn(cell, "bailiwick-endpoint", arguments, pipes[1]);
    cell->endpoints[i].output = pipes[0];
    close(pipes[1]);
}

json_t *cell_finish_endpoint(struct cell *cell, size_t i, int *exit_code)
{
    struct cell_endpoint *endpoint = &cell->endpoints[i];
    uint64_t deadline = bw_clock_mono_ms() + 40000;
    char text[65536];
    int status = 0;
    size_t len = 0;
    while (waitpid(endpoint->pid, &status, WNOHANG) == 0) {
        if (bw_clock_mono_ms() > deadline)
            fail_msg("an endpoint does not end");
        bw_loop_turn(cell->loop, true);
    }
    ssize_t n;
    while ((n = read(endpoint->output, text + len, sizeof text - len)) > 0)
        len += (size_t)n;
    close(endpoint->output);
    endpoint->pid = 0;
    assert_true(WIFEXITED(status));
    *exit_code = WEXITSTATUS(status);
    json_t *json = json_loadb(text, len, 0, NULL);
    if (json == NULL)
        fail_msg("an endpoint printed no summary: %.*s", (int)len, text);
    return json;
}
