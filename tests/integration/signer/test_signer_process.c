/* The real signer process: this program, started again with the verb `signer`. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <fcntl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/check.h"
#include "e2ee/grant.h"
#include "runtime/child.h"
#include "runtime/clock.h"
#include "runtime/file.h"
#include "runtime/log.h"
#include "server/pki_cert.h"
#include "server/signer_child.h"
#include "server/signer_main.h"

enum { CLIENTS = 2, PATIENCE_MS = 20000 };

#define DOMAIN "eu.bailiwick.internal"

static char folder[64], signer_key[96], ca_key[96], ca_certificate[96];
static uint8_t public_key[32];

static void write_file(char *path, const char *name, struct bw_buf *pem, mode_t mode)
{
    snprintf(path, 96, "%s/%s", folder, name);
    assert_int_equal(bw_file_create(path, mode, bw_buf_view(pem), NULL), BW_OK);
    bw_pem_finish_secret(pem);
}

static int make_files(void **state)
{
    (void)state;
    uint8_t seed[32] = {3}, serial[16] = {1};
    struct bw_buf pem = {0};
    EVP_PKEY *key = NULL;
    X509 *ca = NULL;
    struct bw_ed25519_signer *signer;
    snprintf(folder, sizeof folder, "/tmp/bw-signer-XXXXXX");
    assert_non_null(mkdtemp(folder));
    assert_int_equal(bw_ed25519_signer_create(seed, &signer, NULL), BW_OK);
    bw_ed25519_signer_public(signer, public_key);
    bw_ed25519_signer_destroy(signer);
    assert_int_equal(bw_pem_write_ed25519_seed(seed, &pem, NULL), BW_OK);
    write_file(signer_key, "signer.key", &pem, 0600);
    assert_int_equal(bw_key_generate(BW_KEY_P256, &key, NULL), BW_OK);
    assert_int_equal(bw_pem_write_private_key(key, &pem, NULL), BW_OK);
    write_file(ca_key, "ca.key", &pem, 0600);
    assert_int_equal(bw_pki_create_ca(key, "Bailiwick eu CA", bw_clock_wall_ms(), serial, &ca, NULL), BW_OK);
    assert_int_equal(bw_pem_write_certificate(ca, &pem, NULL), BW_OK);
    write_file(ca_certificate, "ca.crt", &pem, 0644);
    bw_pki_certificate_destroy(ca);
    bw_key_destroy(key);
    return 0;
}

static int remove_files(void **state)
{
    (void)state;
    unlink(signer_key);
    unlink(ca_key);
    unlink(ca_certificate);
    return rmdir(folder);
}

struct stage {
    struct bw_loop *loop;
    struct bw_signer_client *clients[CLIENTS];
    struct bw_signer_child_config config;
    struct bw_signer_child *child;
    const char *argv[12];
    struct bw_timer *patience;
};

static void out_of_patience(void *context)
{
    (void)context;
    fail_msg("nothing happened for %d ms", PATIENCE_MS);
}

static int set_up(void **state)
{
    static struct stage stage;
    struct bw_error err = {.show = ""};
    memset(&stage, 0, sizeof stage);
    stage.loop = bw_loop_create(&err);
    assert_non_null(stage.loop);
    for (size_t i = 0; i < CLIENTS; i++)
        assert_int_equal(bw_signer_client_create(stage.loop, 5000, &stage.clients[i], &err), BW_OK);
    const char *argv[] = {"signer_test", "signer", "--key",          signer_key, "--ca-cert", ca_certificate,
                          "--ca-key",    ca_key,   "--trust-domain", DOMAIN,     NULL};
    memcpy(stage.argv, argv, sizeof argv);
    stage.config = (struct bw_signer_child_config){
        .argv = stage.argv, .clients = stage.clients, .client_count = CLIENTS};
    stage.patience = bw_timer_create(stage.loop, out_of_patience, NULL, &err);
    bw_timer_start(stage.patience, PATIENCE_MS, 0);
    /* The child is started again long after this configuration is gone. */
    struct bw_signer_child_config config = stage.config;
    assert_int_equal(bw_signer_child_start(stage.loop, &config, &stage.child, &err), BW_OK);
    memset(&config, 0xff, sizeof config);
    while (!bw_signer_client_connected(stage.clients[0]) || !bw_signer_client_connected(stage.clients[1]))
        bw_loop_turn(stage.loop, true);
    *state = &stage;
    return 0;
}

static int tear_down(void **state)
{
    struct stage *stage = *state;
    bw_signer_child_destroy(stage->child);
    bw_timer_destroy(stage->patience);
    for (size_t i = 0; i < CLIENTS; i++)
        bw_signer_client_destroy(stage->clients[i]);
    bw_loop_destroy(stage->loop);
    return 0;
}

struct answer {
    struct bw_merkle_hash root;
    uint32_t leaves;
    int calls;
    enum bw_code code;
    struct bw_signer_reply reply;
    X509 *certificate;
    char text[256];
};

static void on_answer(enum bw_code code, const struct bw_signer_reply *reply, const struct bw_error *err,
                      void *context)
{
    struct answer *answer = context;
    answer->calls++;
    answer->code = code;
    if (code != BW_OK) {
        assert_null(reply);
        snprintf(answer->text, sizeof answer->text, "%.255s", err->show);
        return;
    }
    answer->reply = *reply;
    if (reply->type == BW_SIGNER_CERT)
        assert_int_equal(bw_pem_read_certificate(reply->certificate, "leaf", &answer->certificate, NULL),
                         BW_OK);
}

static void wait_for(struct stage *stage, struct answer *answers, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        while (answers[i].calls == 0)
            bw_loop_turn(stage->loop, true);
        assert_int_equal(answers[i].calls, 1);
    }
}

static void assert_good_signature(const struct answer *answer)
{
    struct bw_ed25519_verifier *verifier;
    uint8_t bytes[BW_GRANT_SIGNED_SIZE];
    assert_int_equal(answer->code, BW_OK);
    bw_grant_signed_bytes(&answer->root, answer->leaves, bytes);
    assert_int_equal(bw_ed25519_verifier_create(public_key, &verifier, NULL), BW_OK);
    assert_true(bw_ed25519_verify(verifier, bw_view_of(bytes, sizeof bytes), answer->reply.signature));
    bw_ed25519_verifier_destroy(verifier);
}

static void sign_one(struct stage *stage, size_t client)
{
    struct answer answer = {.leaves = 7, .root = {{4}}};
    assert_int_equal(
        bw_signer_client_sign_root(stage->clients[client], &answer.root, 7, on_answer, &answer, NULL), BW_OK);
    wait_for(stage, &answer, 1);
    assert_good_signature(&answer);
}

static void many_roots_over_two_lines_are_each_signed_once(void **state)
{
    struct stage *stage = *state;
    static struct answer answers[400];
    memset(answers, 0, sizeof answers);
    for (uint32_t i = 0; i < BW_ARRAY_LEN(answers); i++) {
        answers[i].leaves = i + 1;
        memcpy(answers[i].root.bytes, &i, sizeof i);
        assert_int_equal(bw_signer_client_sign_root(stage->clients[i % CLIENTS], &answers[i].root, i + 1,
                                                    on_answer, &answers[i], NULL),
                         BW_OK);
    }
    wait_for(stage, answers, BW_ARRAY_LEN(answers));
    for (size_t i = 0; i < BW_ARRAY_LEN(answers); i++)
        assert_good_signature(&answers[i]);
}

static void public_keys_are_told(void **state)
{
    struct stage *stage = *state;
    struct answer answer = {0};
    assert_int_equal(bw_signer_client_public_keys(stage->clients[1], on_answer, &answer, NULL), BW_OK);
    wait_for(stage, &answer, 1);
    assert_int_equal(answer.reply.key_count, 1);
    assert_memory_equal(answer.reply.keys[0], public_key, 32);
    assert_true(answer.reply.issues_certificates);
}

static void a_certificate_is_issued_that_the_ca_vouches_for(void **state)
{
    struct stage *stage = *state;
    struct answer answer = {0}, refused = {0};
    struct bw_buf key = {0}, csr = {0}, pem = {0};
    X509 *ca = NULL;
    assert_int_equal(bw_csr_create_with_key(BW_KEY_P256, "par1", &key, &csr, NULL), BW_OK);
    assert_int_equal(bw_signer_client_issue(stage->clients[0], bw_buf_view(&csr),
                                            bw_view_str("spiffe://" DOMAIN "/relay/par1"), 0, on_answer,
                                            &answer, NULL),
                     BW_OK);
    assert_int_equal(bw_signer_client_issue(stage->clients[0], bw_buf_view(&csr),
                                            bw_view_str("spiffe://elsewhere/relay/par1"), 0, on_answer,
                                            &refused, NULL),
                     BW_OK);
    wait_for(stage, &answer, 1);
    wait_for(stage, &refused, 1);
    assert_int_equal(refused.code, BW_INVALID_ARGUMENT);
    assert_non_null(strstr(refused.text, "trust domain"));
    assert_int_equal(bw_file_read(ca_certificate, BW_PEM_MAX, &pem, NULL), BW_OK);
    assert_int_equal(bw_pem_read_certificate(bw_buf_view(&pem), "ca.crt", &ca, NULL), BW_OK);
    X509_STORE *store = X509_STORE_new();
    X509_STORE_CTX *context = X509_STORE_CTX_new();
    X509_STORE_add_cert(store, ca);
    X509_STORE_CTX_init(context, store, answer.certificate, NULL);
    X509_STORE_CTX_set_purpose(context, X509_PURPOSE_SSL_CLIENT);
    assert_int_equal(X509_verify_cert(context), 1);
    X509_STORE_CTX_free(context);
    X509_STORE_free(store);
    bw_pki_certificate_destroy(ca);
    bw_pki_certificate_destroy(answer.certificate);
    bw_buf_finish(&pem);
    bw_buf_finish(&csr);
    bw_pem_finish_secret(&key);
}

static void a_killed_signer_is_unavailable_then_works_again(void **state)
{
    struct stage *stage = *state;
    sign_one(stage, 0);
    pid_t first = bw_signer_child_pid(stage->child);
    assert_int_equal(kill(first, SIGSTOP), 0);
    struct answer caught = {.leaves = 1};
    assert_int_equal(bw_signer_client_sign_root(stage->clients[0], &caught.root, 1, on_answer, &caught, NULL),
                     BW_OK);
    assert_int_equal(kill(first, SIGKILL), 0);
    wait_for(stage, &caught, 1);
    assert_int_equal(caught.code, BW_UNAVAILABLE);
    struct answer refused = {0};
    assert_int_equal(
        bw_signer_client_sign_root(stage->clients[0], &refused.root, 1, on_answer, &refused, NULL),
        BW_UNAVAILABLE);
    assert_int_equal(refused.calls, 0);
    while (!bw_signer_client_connected(stage->clients[0]) || !bw_signer_client_connected(stage->clients[1]))
        bw_loop_turn(stage->loop, true);
    assert_int_not_equal(bw_signer_child_pid(stage->child), first);
    sign_one(stage, 0);
    sign_one(stage, 1);
}

static void a_signer_that_does_not_answer_is_given_up_in_time(void **state)
{
    struct stage *stage = *state;
    struct bw_signer_client *client;
    struct answer late = {0};
    int ours, theirs;
    assert_int_equal(bw_signer_client_create(stage->loop, 150, &client, NULL), BW_OK);
    assert_int_equal(bw_child_socketpair(&ours, &theirs, NULL), BW_OK);
    assert_int_equal(bw_signer_client_attach(client, ours, NULL), BW_OK);
    while (!bw_signer_client_connected(client))
        bw_loop_turn(stage->loop, true);
    uint64_t before_ms = bw_clock_mono_ms();
    assert_int_equal(bw_signer_client_sign_root(client, &late.root, 1, on_answer, &late, NULL), BW_OK);
    wait_for(stage, &late, 1);
    assert_int_equal(late.code, BW_DEADLINE_EXCEEDED);
    assert_true(bw_clock_mono_ms() - before_ms >= 150);
    struct answer pending = {0};
    assert_int_equal(bw_signer_client_sign_root(client, &pending.root, 1, on_answer, &pending, NULL), BW_OK);
    bw_signer_client_destroy(client);
    assert_int_equal(pending.calls, 1);
    assert_int_equal(pending.code, BW_CANCELLED);
    close(theirs);
}

static void a_daemon_that_hears_nonsense_hangs_up(void **state)
{
    struct stage *stage = *state;
    struct bw_signer_client *client;
    int ours, theirs;
    assert_int_equal(bw_signer_client_create(stage->loop, 5000, &client, NULL), BW_OK);
    assert_int_equal(bw_child_socketpair(&ours, &theirs, NULL), BW_OK);
    assert_int_equal(bw_signer_client_attach(client, ours, NULL), BW_OK);
    while (!bw_signer_client_connected(client))
        bw_loop_turn(stage->loop, true);
    struct answer answer = {0};
    assert_int_equal(bw_signer_client_sign_root(client, &answer.root, 1, on_answer, &answer, NULL), BW_OK);
    assert_int_equal(send(theirs, "\0\0\0\1?", 5, 0), 5);
    wait_for(stage, &answer, 1);
    assert_int_equal(answer.code, BW_UNAVAILABLE);
    assert_false(bw_signer_client_connected(client));
    bw_signer_client_destroy(client);
    close(theirs);
}

/* A signer with sockets of our own, without the supervisor. */
struct bare {
    struct bw_loop *loop;
    struct bw_child *child;
    int fds[CLIENTS];
    bool ended;
    struct bw_child_exit how;
};

static void on_bare_exit(struct bw_child *child, struct bw_child_exit how, void *context)
{
    (void)child;
    struct bare *bare = context;
    bare->ended = true;
    bare->how = how;
}

static void start_bare(struct bare *bare, const char *key)
{
    const char *argv[] = {"signer_test", "signer", "--key", key, NULL};
    int theirs[CLIENTS];
    memset(bare, 0, sizeof *bare);
    bare->loop = bw_loop_create(NULL);
    assert_non_null(bare->loop);
    for (size_t i = 0; i < CLIENTS; i++)
        assert_int_equal(bw_child_socketpair(&bare->fds[i], &theirs[i], NULL), BW_OK);
    struct bw_child_config config = {.argv = argv, .fds = theirs, .fd_count = CLIENTS};
    bare->child = bw_child_spawn(bare->loop, &config, on_bare_exit, bare, NULL);
    assert_non_null(bare->child);
    for (size_t i = 0; i < CLIENTS; i++)
        close(theirs[i]);
}

static void wait_for_end(struct bare *bare)
{
    while (!bare->ended)
        bw_loop_turn(bare->loop, true);
}

static void finish_bare(struct bare *bare)
{
    bw_child_destroy(bare->child);
    bw_loop_destroy(bare->loop);
}

static enum bw_code call(int fd, const struct bw_signer_request *request, struct bw_error *err)
{
    struct bw_buf storage = {0};
    struct bw_signer_reply reply;
    enum bw_code code = bw_signer_call(fd, request, 5000, &storage, &reply, err);
    bw_buf_finish(&storage);
    return code;
}

static void garbage_closes_only_its_own_line(void **state)
{
    (void)state;
    struct bare bare;
    struct bw_error err;
    const struct bw_signer_request root = {.type = BW_SIGNER_SIGN_ROOT, .id = 1, .leaves = 1};
    start_bare(&bare, signer_key);
    assert_int_equal(call(bare.fds[0], &root, &err), BW_OK);
    assert_int_equal(send(bare.fds[0], "GET / HTTP/1.1\r\n\r\n", 18, 0), 18);
    assert_int_equal(call(bare.fds[0], &root, &err), BW_UNAVAILABLE);
    assert_int_equal(call(bare.fds[1], &root, &err), BW_OK);
    const struct bw_signer_request no_root = {.type = BW_SIGNER_SIGN_ROOT, .id = 1};
    assert_int_equal(call(bare.fds[1], &no_root, &err), BW_INVALID_ARGUMENT);
    close(bare.fds[0]);
    close(bare.fds[1]);
    wait_for_end(&bare);
    assert_int_equal(bare.how.status, 0);
    assert_int_equal(bare.how.signal, 0);
    finish_bare(&bare);
}

/* A line of /proc/PID/limits: name, soft limit, hard limit. */
static unsigned long hard_limit(const char *limits, const char *name)
{
    char *end;
    const char *line = strstr(limits, name);
    assert_non_null(line);
    unsigned long soft = strtoul(line + strlen(name), &end, 10), hard = strtoul(end, NULL, 10);
    assert_true(soft <= hard);
    return hard;
}

static void the_process_gives_up_what_it_does_not_need(void **state)
{
    (void)state;
    struct bare bare;
    struct bw_error err;
    char path[64];
    struct bw_buf limits = {0};
    const struct bw_signer_request root = {.type = BW_SIGNER_SIGN_ROOT, .id = 1, .leaves = 1};
    start_bare(&bare, signer_key);
    assert_int_equal(call(bare.fds[0], &root, &err), BW_OK);
    snprintf(path, sizeof path, "/proc/%d/limits", (int)bw_child_pid(bare.child));
    assert_int_equal(bw_file_read(path, 65536, &limits, NULL), BW_OK);
    assert_int_equal(hard_limit(bw_buf_cstr(&limits), "Max core file size"), 0);
    assert_int_equal(hard_limit(bw_buf_cstr(&limits), "Max open files"), BW_CHILD_FIRST_FD + CLIENTS);
    bw_buf_finish(&limits);
    close(bare.fds[0]);
    close(bare.fds[1]);
    wait_for_end(&bare);
    finish_bare(&bare);
}

static void keys_that_others_can_read_are_refused_at_start(void **state)
{
    (void)state;
    struct bare bare;
    char missing[128];
    assert_int_equal(chmod(signer_key, 0640), 0);
    start_bare(&bare, signer_key);
    wait_for_end(&bare);
    assert_int_equal(bare.how.status, EX_CONFIG);
    assert_int_equal(chmod(signer_key, 0600), 0);
    close(bare.fds[0]);
    close(bare.fds[1]);
    finish_bare(&bare);
    snprintf(missing, sizeof missing, "%s/none.key", folder);
    start_bare(&bare, missing);
    wait_for_end(&bare);
    assert_int_equal(bare.how.status, EX_CONFIG);
    close(bare.fds[0]);
    close(bare.fds[1]);
    finish_bare(&bare);
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "signer") == 0)
        return bw_signer_main(argc - 1, argv + 1);
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(many_roots_over_two_lines_are_each_signed_once),
        T(public_keys_are_told),
        T(a_certificate_is_issued_that_the_ca_vouches_for),
        T(a_killed_signer_is_unavailable_then_works_again),
        T(a_signer_that_does_not_answer_is_given_up_in_time),
        T(a_daemon_that_hears_nonsense_hangs_up),
        cmocka_unit_test(garbage_closes_only_its_own_line),
        cmocka_unit_test(the_process_gives_up_what_it_does_not_need),
        cmocka_unit_test(keys_that_others_can_read_are_refused_at_start),
    };
#undef T
    return cmocka_run_group_tests(tests, make_files, remove_files);
}
