/* The real vault process over a real database: this program, started again with the verb `vault`. What joins
 * leave is sealed by the writer that commits them, as a user of the database that cannot read it back. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "api/api.h"
#include "base/check.h"
#include "crypto/pem.h"
#include "fixture.h"
#include "runtime/clock.h"
#include "runtime/file.h"
#include "runtime/log.h"
#include "server/kept_child.h"
#include "server/roster_sealer.h"
#include "server/vault_client.h"
#include "server/vault_core.h"
#include "server/vault_main.h"
#include "store/metadata.h"
#include "vault/keyring.h"
#include "vault/roster.h"

enum { PATIENCE_MS = 20000, ROWS_MAX = 16 };

static char folder[64], keyring[96], service_key[96], service_pub[96];
static uint8_t service_public[BW_ED25519_PUBLIC_SIZE];

/* A vault, and the line to it. */
struct vault {
    struct bw_kept_child *child;
    struct bw_vault_client *client;
    char conninfo[600];
    const char *argv[7];
};

struct stage {
    struct bw_fixture fixture;
    struct bw_bench bench;
    struct bw_mailbox *mailbox;
    struct vault vault;
    struct bw_roster_sealer *sealer;
    _Atomic uint64_t sealed, dropped;
    struct bw_id meeting;
    uint32_t seq; /* of the meeting */
};

static void user_of(const char *conninfo, const char *user, char *out)
{
    snprintf(out, 600, "%s user=%s", conninfo, user);
}

static void attach(void *context, size_t index, int fd)
{
    (void)index;
    bw_vault_client_attach(((struct vault *)context)->client, fd);
}

static void vault_start(struct stage *stage, struct vault *vault)
{
    user_of(stage->fixture.conninfo, "vault_login", vault->conninfo);
    const char *argv[] = {"vault_test", "vault", vault->conninfo, keyring, service_key, service_pub, NULL};
    memcpy(vault->argv, argv, sizeof argv);
    MUST(bw_vault_client_create(&vault->client, err));
    const struct bw_kept_child_config child = {
        .name = "vault", .argv = vault->argv, .socket_count = 1, .attach = attach, .context = vault};
    MUST(bw_kept_child_start(stage->bench.loop, &child, &vault->child, err));
}

static void vault_stop(struct vault *vault)
{
    bw_vault_client_destroy(vault->client);
    bw_kept_child_destroy(vault->child);
}

/* ---- asking ---- */

struct answer {
    struct bw_vault_call call;
    bool done;
    enum bw_code code;
    struct bw_error err;
    struct bw_vault_receipt receipt;
    enum bw_provider_state state;
    uint64_t records, meeting_keys;
    struct bw_scope_public scopes[8];
    uint32_t scope_count;
    char users[ROWS_MAX][64];
    size_t rows;
};

static void replied(struct bw_vault_call *call, enum bw_code code, const struct bw_vault_reply *reply,
                    const struct bw_error *err, bool last)
{
    struct answer *answer = (struct answer *)call;
    assert_false(answer->done);
    answer->done = last;
    answer->code = code;
    if (code != BW_OK) {
        answer->err = *err;
        return;
    }
    answer->receipt = reply->receipt;
    answer->state = reply->state;
    answer->records = reply->records;
    answer->meeting_keys = reply->meeting_keys;
    if (reply->type == BW_VAULT_SCOPES)
        for (uint32_t i = 0; i < reply->scope_count && answer->scope_count < 8; i++)
            bw_vault_scope_at(reply, i, &answer->scopes[answer->scope_count++]);
    if (reply->type != BW_VAULT_OPENED)
        return;
    struct bw_reader rows = bw_vault_rows(reply);
    struct bw_vault_row row;
    while (bw_vault_next_row(&rows, &row)) {
        struct bw_roster_entry entry;
        assert_true(answer->rows < ROWS_MAX);
        assert_int_equal(bw_roster_entry_decode(row.payload, &entry, NULL), BW_OK);
        snprintf(answer->users[answer->rows++], 64, "%.*s", (int)entry.user.len,
                 (const char *)entry.user.data);
    }
}

static void ask(struct stage *stage, struct vault *vault, const struct bw_vault_request *request,
                struct answer *answer)
{
    *answer = (struct answer){.call = {.back = stage->mailbox, .replied = replied}};
    bw_vault_encode_request(request, &answer->call.request);
    bw_vault_client_ask(vault->client, &answer->call);
}

static void await(struct stage *stage, const struct answer *answer)
{
    uint64_t until = bw_clock_mono_ms() + PATIENCE_MS;
    while (!answer->done && bw_clock_mono_ms() < until) {
        bw_loop_turn(stage->bench.loop, false);
        usleep(1000);
    }
    assert_true(answer->done);
}

static void ask_and_wait(struct stage *stage, const struct bw_vault_request *request, struct answer *answer)
{
    ask(stage, &stage->vault, request, answer);
    await(stage, answer);
}

static struct bw_vault_request about(struct stage *stage, enum bw_vault_type type, enum bw_vault_role role)
{
    return (struct bw_vault_request){
        .type = type,
        .tenant = stage->fixture.tenant,
        .meeting = stage->meeting,
        .what = BW_VAULT_ROSTER,
        .max_rows = 100,
        .erasure = BW_VAULT_ERASE_MEETING,
        .caller = {.actor = bw_view_str("spiffe://eu.bailiwick.internal/support/anna"),
                   .method = bw_view_str("GetMeetingTimeline"),
                   .request = bw_random_id(&stage->fixture.random),
                   .role = (uint8_t)role}};
}

/* The vault's answer to EnsureScopes of one tenant. */
static void ensure(struct stage *stage, struct vault *vault, const struct bw_id *tenant,
                   struct answer *answer)
{
    const struct bw_vault_scope_name name = {.tenant = *tenant};
    struct bw_buf names = {0};
    bw_vault_append_scope_name(&name, &names);
    const struct bw_vault_request request = {
        .type = BW_VAULT_ENSURE_SCOPES, .scope_count = 1, .scopes = bw_buf_view(&names)};
    ask(stage, vault, &request, answer);
    bw_buf_finish(&names);
}

/* Until it answers well: it may just be starting again. */
static void ensure_until_made(struct stage *stage, const struct bw_id *tenant, struct answer *answer)
{
    uint64_t until = bw_clock_mono_ms() + PATIENCE_MS;
    do {
        ensure(stage, &stage->vault, tenant, answer);
        await(stage, answer);
        if (answer->code == BW_OK)
            return;
        usleep(20000);
    } while (bw_clock_mono_ms() < until);
    fail_msg("no scope keys: %s", answer->err.show);
}

/* ---- joining ---- */

static void want(void *context, const struct bw_id *tenant)
{
    (void)context, (void)tenant;
}

static void submit(struct stage *stage, struct bw_decision *decision, const struct bw_op_join *join,
                   struct bw_waited *waited)
{
    static const uint32_t relays[] = {1};
    struct bw_buf record = {0};
    decision->seq = ++stage->seq;
    decision->slot = decision->seq;
    decision->meeting = stage->meeting;
    decision->tenant = stage->fixture.tenant;
    decision->request = bw_random_id(&stage->fixture.random);
    decision->at_ms = bw_clock_wall_ms();
    MUST(bw_api_record_encode(decision, &record, err));
    struct bw_store_row row = {.meeting = decision->meeting,
                               .tenant = decision->tenant,
                               .request = decision->request,
                               .seq = decision->seq,
                               .kind = (uint16_t)decision->kind,
                               .facts_revision = bw_fixture_facts(&stage->fixture),
                               .relays = relays,
                               .relay_count = 1,
                               .record = bw_buf_view(&record)};
    if (join != NULL)
        bw_roster_sealer_note(stage->sealer, decision, join, &row);
    bw_bench_submit(&stage->bench, &row, waited);
    bw_buf_finish(&record);
}

static void join_all(struct stage *stage, const char *const *users, size_t count)
{
    struct bw_waited waited[ROWS_MAX];
    for (size_t i = 0; i < count; i++) {
        const struct bw_op_join join = {
            .user = users[i], .client_address = "198.51.100.77", .client_version = "web/1.2"};
        struct bw_decision decision = {.kind = BW_DECISION_JOINED,
                                       .entry = bw_random_id(&stage->fixture.random),
                                       .relay = 1,
                                       .participant_kind = 1,
                                       .role = 1,
                                       .country = "FR"};
        submit(stage, &decision, &join, &waited[i]);
    }
    for (size_t i = 0; i < count; i++) {
        bw_bench_wait(&stage->bench, &waited[i]);
        assert_int_equal(waited[i].result.outcome, BW_STORE_COMMITTED);
    }
}

static void end_meeting(struct stage *stage)
{
    struct bw_waited waited;
    struct bw_decision decision = {.kind = BW_DECISION_ENDED, .end_reason = BW_END_REQUESTED};
    submit(stage, &decision, NULL, &waited);
    bw_bench_wait(&stage->bench, &waited);
    assert_int_equal(waited.result.outcome, BW_STORE_COMMITTED);
}

/* ---- the stage ---- */

static void write_keyring(const char *path)
{
    uint8_t root[BW_PROVIDER_KEY_SIZE];
    struct bw_buf text = {0};
    for (size_t i = 0; i < sizeof root; i++)
        root[i] = (uint8_t)(i * 7 + path[strlen(path) - 1]);
    MUST(bw_keyring_new("root-1", root, &text, err));
    MUST(bw_file_create(path, 0600, bw_buf_view(&text), err));
    bw_buf_finish(&text);
}

static int group_setup(void **state)
{
    uint8_t seed[BW_ED25519_SEED_SIZE] = {9};
    struct bw_buf pem = {0};
    struct bw_ed25519_signer *signer;
    (void)bw_store_group_setup(state);
    bw_log_configure(BW_LOG_ERROR + 1, false); /* the vault is killed on purpose, and says so */
    snprintf(folder, sizeof folder, "/tmp/bw-vault-XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(keyring, sizeof keyring, "%s/keyring", folder);
    snprintf(service_key, sizeof service_key, "%s/service.key", folder);
    snprintf(service_pub, sizeof service_pub, "%s/service.pub", folder);
    write_keyring(keyring);
    MUST(bw_pem_write_ed25519_seed(seed, &pem, err));
    MUST(bw_file_create(service_key, 0600, bw_buf_view(&pem), err));
    bw_pem_finish_secret(&pem);
    MUST(bw_ed25519_signer_create(seed, &signer, err));
    bw_ed25519_signer_public(signer, service_public);
    bw_ed25519_signer_destroy(signer);
    struct bw_buf public_pem = {0};
    MUST(bw_pem_write_ed25519_public(service_public, &public_pem, err));
    MUST(bw_file_create(service_pub, 0644, bw_buf_view(&public_pem), err));
    bw_buf_finish(&public_pem);
    return 0;
}

static int group_teardown(void **state)
{
    unlink(keyring);
    unlink(service_key);
    unlink(service_pub);
    rmdir(folder);
    return bw_store_group_teardown(state);
}

static int set_up(void **state)
{
    static struct stage stage;
    static char serve[600];
    memset(&stage, 0, sizeof stage);
    bw_fixture_init(&stage.fixture, 77);
    (void)bw_pg_cluster_sql(stage.fixture.conninfo,
                            "DO $$ BEGIN"
                            " IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'serve_login') THEN"
                            "  CREATE ROLE serve_login LOGIN IN ROLE bailiwick_serve;"
                            "  CREATE ROLE vault_login LOGIN IN ROLE bailiwick_vault;"
                            " END IF; END $$");
    user_of(stage.fixture.conninfo, "serve_login", serve);
    const struct bw_roster_sealer_config sealer = {.cell = "eu",
                                                   .service_public = service_public,
                                                   .want = want,
                                                   .sealed = &stage.sealed,
                                                   .dropped = &stage.dropped};
    MUST(bw_roster_sealer_create(&sealer, &stage.sealer, err));
    struct bw_store_writer_config writer = bw_fixture_config(&stage.fixture);
    writer.conninfo = serve;
    writer.sealing = bw_roster_sealer_sealing(stage.sealer);
    bw_bench_init(&stage.bench, &writer);
    struct bw_error error = {0};
    stage.mailbox = bw_mailbox_create(stage.bench.loop, &error);
    assert_non_null(stage.mailbox);
    vault_start(&stage, &stage.vault);
    stage.meeting = bw_random_meeting(&stage.fixture.random);
    struct answer answer;
    ensure_until_made(&stage, &stage.fixture.tenant, &answer);
    for (uint32_t i = 0; i < answer.scope_count; i++)
        bw_roster_sealer_learn(stage.sealer, &answer.scopes[i]);
    *state = &stage;
    return 0;
}

static int tear_down(void **state)
{
    struct stage *stage = *state;
    vault_stop(&stage->vault);
    bw_mailbox_destroy(stage->mailbox);
    bw_bench_finish(&stage->bench, 5000);
    bw_roster_sealer_destroy(stage->sealer);
    bw_fixture_finish(&stage->fixture);
    return 0;
}

static const char *const people[] = {"jeanne@chu-lyon.example", "karl@acme.example", "mia@acme.example"};

/* ---- tests ---- */

static void joins_are_sealed_with_their_decisions_and_opened_masked_and_audited(void **state)
{
    struct stage *stage = *state;
    join_all(stage, people, 3);
    assert_int_equal(stage->sealed, 3);
    assert_int_equal(stage->dropped, 0);
    struct bw_vault_request request = about(stage, BW_VAULT_OPEN, BW_VAULT_ROLE_TIER2);
    struct answer answer;
    ask_and_wait(stage, &request, &answer);
    assert_int_equal(answer.code, BW_OK);
    assert_int_equal(answer.rows, 3);
    assert_string_equal(answer.users[0], "j***@chu-lyon.example");
    assert_string_equal(answer.users[1], "k***@acme.example");
    assert_string_equal(answer.users[2], "m***@acme.example");
    const char *conninfo = stage->fixture.conninfo;
    assert_string_equal(bw_pg_cluster_sql(conninfo, "SELECT count(*) || ' ' || min(role) || ' ' || min(rows)"
                                                    " || ' ' || min(outcome) FROM audit"),
                        "1 support-tier2 3 allowed");
    assert_string_equal(bw_pg_cluster_sql(conninfo, "SELECT count(*) FROM roster_record"
                                                    " WHERE position('karl'::bytea IN record) > 0"),
                        "0");
    /* The keys of rows that a stored key was named for are not written again. */
    long long keys = bw_fixture_number(&stage->fixture, "SELECT count(*) FROM keystore.meeting_key");
    join_all(stage, people, 3);
    assert_int_equal(bw_fixture_number(&stage->fixture, "SELECT count(*) FROM keystore.meeting_key"), keys);
}

static void an_audit_that_cannot_be_written_shows_nothing(void **state)
{
    struct stage *stage = *state;
    join_all(stage, people, 3);
    struct bw_vault_request request = about(stage, BW_VAULT_OPEN, BW_VAULT_ROLE_TIER2);
    struct answer answer;
    (void)bw_pg_cluster_sql(stage->fixture.conninfo, "REVOKE INSERT ON audit FROM bailiwick_vault");
    ask_and_wait(stage, &request, &answer);
    assert_int_equal(answer.code, BW_UNAVAILABLE);
    assert_string_equal(answer.err.reason, "AUDIT_UNAVAILABLE");
    assert_int_equal(answer.rows, 0);
    (void)bw_pg_cluster_sql(stage->fixture.conninfo, "GRANT INSERT ON audit TO bailiwick_vault");
    ask_and_wait(stage, &request, &answer);
    assert_int_equal(answer.rows, 3);
}

static void an_erased_meeting_is_gone_and_its_neighbours_are_not(void **state)
{
    struct stage *stage = *state;
    join_all(stage, people, 2);
    struct bw_id erased = stage->meeting;
    uint32_t seq = stage->seq;
    stage->meeting = bw_random_meeting(&stage->fixture.random);
    stage->seq = 0;
    join_all(stage, people, 3);
    struct bw_id neighbour = stage->meeting;
    stage->meeting = erased;
    stage->seq = seq;

    struct answer answer;
    struct bw_vault_request erase = about(stage, BW_VAULT_ERASE, BW_VAULT_ROLE_TENANT_ADMIN);
    ask_and_wait(stage, &erase, &answer);
    assert_int_equal(answer.code, BW_FAILED_PRECONDITION);
    assert_string_equal(answer.err.reason, "MEETING_LIVE");
    end_meeting(stage);
    ask_and_wait(stage, &erase, &answer);
    assert_int_equal(answer.code, BW_OK);
    struct bw_vault_receipt receipt = answer.receipt;
    struct bw_ed25519_verifier *verifier;
    MUST(bw_ed25519_verifier_create(service_public, &verifier, err));
    assert_true(bw_vault_receipt_verify(&receipt, verifier));
    bw_ed25519_verifier_destroy(verifier);
    assert_int_equal(receipt.meeting_keys, 1);
    ask_and_wait(stage, &erase, &answer); /* again */
    assert_memory_equal(receipt.signature, answer.receipt.signature, sizeof receipt.signature);

    struct bw_vault_request open = about(stage, BW_VAULT_OPEN, BW_VAULT_ROLE_TIER2);
    ask_and_wait(stage, &open, &answer);
    assert_int_equal(answer.code, BW_NOT_FOUND);
    assert_string_equal(answer.err.reason, "ERASED");
    open.meeting = neighbour;
    ask_and_wait(stage, &open, &answer);
    assert_int_equal(answer.rows, 3);
    char sql[256], text[BW_ID_TEXT_SIZE];
    bw_id_format(&erased, text);
    snprintf(sql, sizeof sql, "SELECT count(*) FROM keystore.meeting_key WHERE meeting = '%s'", text);
    assert_int_equal(bw_fixture_number(&stage->fixture, sql), 0);
    assert_int_equal(bw_fixture_number(&stage->fixture, "SELECT count(*) FROM keystore.erasure"), 1);
}

/* The serving process started again: its user of the database, its configuration, keys of today. */
static void what_the_serving_side_holds_opens_nothing(void **state)
{
    struct stage *stage = *state;
    join_all(stage, people, 3);
    char serve[600];
    user_of(stage->fixture.conninfo, "serve_login", serve);
    struct bw_store_db *db, *owner = stage->fixture.db;
    MUST(bw_store_db_open(serve, &db, err));
    struct bw_error error = {0};
    bool readable = true;
    MUST(bw_store_keys_readable(db, &readable, err));
    assert_false(readable);
    struct bw_arena *arena = bw_arena_create(1 << 16);
    struct bw_store_scope_key scope;
    struct bw_store_meeting_key key;
    struct bw_buf record = {0};
    assert_int_equal(bw_store_scope_key_newest(db, arena, &scope, &error), BW_FAILED_PRECONDITION);
    assert_string_equal(error.reason, "DATABASE_RIGHTS");
    struct bw_id id;
    assert_true(bw_id_parse(
        bw_view_str(bw_pg_cluster_sql(stage->fixture.conninfo, "SELECT id FROM roster_record LIMIT 1")),
        &id));
    assert_int_equal(bw_store_roster_read(db, &stage->fixture.tenant, &id, &record, &error),
                     BW_FAILED_PRECONDITION);
    assert_int_equal(bw_store_meeting_key_read(db, &id, &key, &error), BW_FAILED_PRECONDITION);

    /* And were the whole database readable to it: without the keyring there is no key. */
    struct bw_provider *other;
    struct bw_buf text = {0};
    const uint8_t root[BW_PROVIDER_KEY_SIZE] = {1};
    struct bw_opener *opener;
    struct bw_record_info info;
    MUST(bw_keyring_new("root-1", root, &text, err));
    assert_int_equal(bw_keyring_parse(bw_buf_view(&text), "other", &other, &error), BW_PROVIDER_OK);
    const struct bw_opener_config config = {.cell = "eu", .provider = other};
    MUST(bw_opener_create(&config, &opener, err));
    MUST(bw_store_roster_read(owner, &stage->fixture.tenant, &id, &record, err));
    MUST(bw_record_peek(bw_buf_view(&record), &info, err));
    MUST(bw_store_meeting_key_read(owner, &info.meeting_key, &key, err));
    MUST(bw_store_scope_key_read(owner, &key.scope_key, arena, &scope, err));
    struct bw_scope_wrapped wrapped = {
        .public_half = {.id = scope.id, .tenant = scope.tenant, .day = scope.day}, .wrapped = scope.wrapped};
    memcpy(wrapped.public_half.public_key, scope.public_key, sizeof scope.public_key);
    memcpy(wrapped.public_half.signature, scope.signature, sizeof scope.signature);
    assert_int_not_equal(bw_opener_scope(opener, &wrapped, bw_clock_wall_ms(), &error), BW_PROVIDER_OK);
    bw_opener_destroy(opener);
    bw_provider_destroy(other);
    bw_buf_finish(&text);
    bw_buf_finish(&record);
    bw_arena_destroy(arena);
    bw_store_db_close(db);
}

static void a_vault_killed_while_it_writes_leaves_nothing_half_done(void **state)
{
    struct stage *stage = *state;
    join_all(stage, people, 3);
    enum { TENANTS = 40 };
    struct answer *answers = calloc(TENANTS, sizeof *answers);
    struct bw_id tenants[TENANTS];
    assert_non_null(answers);
    for (size_t i = 0; i < TENANTS; i++) {
        tenants[i] = bw_random_id(&stage->fixture.random);
        ensure(stage, &stage->vault, &tenants[i], &answers[i]);
        if (i % 8 == 5) {
            pid_t pid = bw_kept_child_pid(stage->vault.child);
            usleep(1000 * (unsigned)(bw_random_next(&stage->fixture.random) % 20));
            if (pid > 0)
                kill(pid, SIGKILL);
        }
    }
    for (size_t i = 0; i < TENANTS; i++) {
        await(stage, &answers[i]);
        if (answers[i].code != BW_OK)
            assert_int_equal(answers[i].code, BW_UNAVAILABLE);
    }
    struct bw_ed25519_verifier *verifier;
    MUST(bw_ed25519_verifier_create(service_public, &verifier, err));
    for (size_t i = 0; i < TENANTS; i++) {
        struct answer again;
        ensure_until_made(stage, &tenants[i], &again);
        assert_int_equal(again.scope_count, 2);
        for (size_t k = 0; k < 2; k++) {
            MUST(bw_scope_verify(&again.scopes[k], verifier, err));
            /* What was handed out before the kill is what is stored. */
            if (answers[i].code == BW_OK)
                assert_true(bw_id_equal(&answers[i].scopes[k].id, &again.scopes[k].id));
        }
    }
    bw_ed25519_verifier_destroy(verifier);
    assert_int_equal(bw_fixture_number(&stage->fixture, "SELECT count(*) FROM keystore.scope_key"),
                     2 * (TENANTS + 1));
    struct bw_vault_request open = about(stage, BW_VAULT_OPEN, BW_VAULT_ROLE_TIER2);
    struct answer answer;
    ask_and_wait(stage, &open, &answer);
    assert_int_equal(answer.rows, 3);
    free(answers);
}

static void two_vaults_that_make_a_key_at_once_hand_out_the_same(void **state)
{
    struct stage *stage = *state;
    static struct vault second;
    vault_start(stage, &second);
    for (int i = 0; i < 10; i++) {
        struct bw_id tenant = bw_random_id(&stage->fixture.random);
        struct answer a, b;
        ensure(stage, &stage->vault, &tenant, &a);
        ensure(stage, &second, &tenant, &b);
        await(stage, &a);
        await(stage, &b);
        assert_int_equal(a.code, BW_OK);
        assert_int_equal(b.code, BW_OK);
        for (size_t k = 0; k < 2; k++)
            assert_memory_equal(&a.scopes[k], &b.scopes[k], sizeof a.scopes[k]);
    }
    vault_stop(&second);
}

static void a_vault_that_is_away_is_said_and_comes_back(void **state)
{
    struct stage *stage = *state;
    const struct bw_vault_request status = {.type = BW_VAULT_STATUS};
    struct answer answer;
    kill(bw_kept_child_pid(stage->vault.child), SIGKILL);
    bool away = false;
    uint64_t until = bw_clock_mono_ms() + PATIENCE_MS;
    do {
        ask_and_wait(stage, &status, &answer);
        away = away || (answer.code == BW_UNAVAILABLE && strcmp(answer.err.reason, "VAULT_AWAY") == 0);
    } while ((answer.code != BW_OK || !away) && bw_clock_mono_ms() < until);
    assert_true(away);
    assert_int_equal(answer.code, BW_OK);
    assert_int_equal(answer.state, BW_PROVIDER_OK);
}

static void another_keyring_is_found_out_with_the_stored_keys(void **state)
{
    struct stage *stage = *state;
    static struct vault wrong;
    char other[sizeof keyring], right[sizeof keyring];
    memcpy(right, keyring, sizeof right);
    snprintf(other, sizeof other, "%.64s/other", folder);
    write_keyring(other);
    memcpy(keyring, other, sizeof keyring);
    vault_start(stage, &wrong);
    memcpy(keyring, right, sizeof right);
    const struct bw_vault_request status = {.type = BW_VAULT_STATUS};
    struct answer answer;
    ask(stage, &wrong, &status, &answer);
    await(stage, &answer);
    assert_int_equal(answer.code, BW_OK);
    assert_string_equal(bw_vault_state_name(answer.state), "MISCONFIGURED");
    unlink(other);
    vault_stop(&wrong);
}

static void a_retention_takes_people_and_their_keys_but_no_live_meetings(void **state)
{
    struct stage *stage = *state;
    join_all(stage, people, 2);
    end_meeting(stage);
    struct bw_id ended = stage->meeting;
    stage->meeting = bw_random_meeting(&stage->fixture.random);
    stage->seq = 0;
    join_all(stage, people, 1);
    /* As if it all had been a month ago, but for the second meeting, which goes on. */
    (void)bw_pg_cluster_sql(stage->fixture.conninfo,
                            "UPDATE keystore.meeting_key SET made = made - interval '31 days'");
    struct bw_vault_request sweep = about(stage, BW_VAULT_SWEEP, BW_VAULT_ROLE_SYSTEM);
    struct answer answer;
    /* The month is not over for the records: their ids tell the time. */
    sweep.before_ms = sweep.quality_before_ms = bw_clock_wall_ms() - UINT64_C(30) * 86400000;
    ask_and_wait(stage, &sweep, &answer);
    assert_int_equal(answer.code, BW_OK);
    assert_int_equal(answer.records, 0);
    assert_int_equal(answer.meeting_keys, 1); /* of the ended meeting; the tenant's has two days more */
    struct bw_vault_request open = about(stage, BW_VAULT_OPEN, BW_VAULT_ROLE_TIER2);
    ask_and_wait(stage, &open, &answer);
    assert_int_equal(answer.rows, 1);
    sweep.before_ms = sweep.quality_before_ms = bw_clock_wall_ms();
    ask_and_wait(stage, &sweep, &answer);
    assert_true(answer.records > 0);
    assert_int_equal(bw_fixture_number(&stage->fixture, "SELECT count(*) FROM roster_record"), 0);
    ask_and_wait(stage, &open, &answer);
    assert_int_equal(answer.code, BW_OK);
    assert_int_equal(answer.rows, 0);
    open.meeting = ended;
    ask_and_wait(stage, &open, &answer);
    assert_int_equal(answer.rows, 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(int argc, char **argv)
{
    if (argc == 6 && strcmp(argv[1], "vault") == 0) {
        const struct bw_daemon_config config = {.cell = "eu",
                                                .vault_conninfo = argv[2],
                                                .vault_keyring = argv[3],
                                                .vault_service_key = argv[4],
                                                .vault_service_public = argv[5]};
        bw_log_configure(BW_LOG_ERROR + 1, false);
        return bw_vault_main(&config);
    }
    const struct CMUnitTest tests[] = {
        CASE(joins_are_sealed_with_their_decisions_and_opened_masked_and_audited),
        CASE(an_audit_that_cannot_be_written_shows_nothing),
        CASE(an_erased_meeting_is_gone_and_its_neighbours_are_not),
        CASE(what_the_serving_side_holds_opens_nothing),
        CASE(a_vault_killed_while_it_writes_leaves_nothing_half_done),
        CASE(two_vaults_that_make_a_key_at_once_hand_out_the_same),
        CASE(a_vault_that_is_away_is_said_and_comes_back),
        CASE(another_keyring_is_found_out_with_the_stored_keys),
        CASE(a_retention_takes_people_and_their_keys_but_no_live_meetings),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
