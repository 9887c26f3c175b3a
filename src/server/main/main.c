/* bailiwickd: serve, migrate, init, check-config, doctor. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "runtime/log.h"
#include "server/config.h"
#include "server/daemon.h"
#include "server/doctor.h"
#include "server/pki_init.h"
#include "server/signer_main.h"
#include "server/vault_main.h"
#include "store/migrate.h"

static const char usage[] =
    "usage: bailiwickd serve        --config FILE   run the control service\n"
    "       bailiwickd migrate      --config FILE [--conninfo C]   bring the database to this version's "
    "schema, as "
    "its owner\n"
    "       bailiwickd check-config --config FILE   say what is wrong with a configuration\n"
    "       bailiwickd doctor       --config FILE   look for the usual mistakes of a cell: keys, database, "
    "clock\n"
    "       bailiwickd init         --dir DIR --cell NAME   lay out a new cell: keys, certificates, "
    "configuration\n"
    "       bailiwickd version\n";

/* Loads the configuration; on failure everything wrong with it is on standard error. */
static struct bw_daemon_config *load(const char *file, struct bw_arena *arena)
{
    struct bw_diags diags;
    struct bw_error err;
    struct bw_daemon_config *config = NULL;
    bw_diags_init(&diags);
    enum bw_code code = bw_daemon_config_load(file, arena, &diags, &config, &err);
    if (diags.errors + diags.warnings > 0) {
        struct bw_buf text = {0};
        bw_diags_human(&diags, isatty(STDERR_FILENO), &text);
        const char *shown = bw_buf_cstr(&text);
        if (shown != NULL)
            fputs(shown, stderr);
        bw_buf_finish(&text);
    } else if (code != BW_OK) {
        fprintf(stderr, "bailiwickd: %s\n", err.show);
    }
    bw_diags_finish(&diags);
    return code == BW_OK ? config : NULL;
}

static void migrated(void *context, unsigned version, const char *name)
{
    (void)context;
    printf("applied %04u %s\n", version, name);
}

/* conninfo: of the user that owns the schema, which need not be the one that serves. */
static int migrate(const struct bw_daemon_config *config, const char *conninfo)
{
    struct bw_error err;
    struct bw_store_db *db = NULL;
    unsigned count = 0;
    const char *directory = config->schema_directory != NULL ? config->schema_directory : BW_SCHEMA_DIR;
    enum bw_code code = bw_store_db_open(conninfo, &db, &err);
    if (code == BW_OK)
        code = bw_store_migrate(db, directory, migrated, NULL, &count, &err);
    if (code == BW_OK)
        code = bw_store_cell_init(db, config->cell, &err);
    bw_store_db_close(db);
    if (code != BW_OK) {
        fprintf(stderr, "bailiwickd migrate: %s\n", err.show);
        if (err.log[0] != '\0')
            fprintf(stderr, "  %s\n", err.log);
        return bw_code_category(code) == BW_CATEGORY_PASSING ? 7 : 1;
    }
    printf("%u applied; the schema is at version %d\n", count, BW_STORE_SCHEMA_VERSION);
    return 0;
}

int main(int argc, char **argv)
{
    const char *verb = argc > 1 ? argv[1] : "";
    if (strcmp(verb, "signer") == 0)
        return bw_signer_main(argc - 1, argv + 1);
    if (strcmp(verb, "init") == 0)
        return bw_pki_init_main(argc - 1, argv + 1);
    if (strcmp(verb, "version") == 0 || strcmp(verb, "--version") == 0) {
        puts("bailiwickd " BW_VERSION);
        return 0;
    }
    if (strcmp(verb, "help") == 0 || strcmp(verb, "--help") == 0) {
        fputs(usage, stdout);
        return 0;
    }
    bool serve = strcmp(verb, "serve") == 0, check = strcmp(verb, "check-config") == 0,
         doctor = strcmp(verb, "doctor") == 0, vault = strcmp(verb, "vault") == 0;
    bool migrates = strcmp(verb, "migrate") == 0;
    bool as_owner = migrates && argc == 6 && strcmp(argv[4], "--conninfo") == 0;
    if ((!serve && !check && !doctor && !vault && !migrates) || (argc != 4 && !as_owner) ||
        strcmp(argv[2], "--config") != 0) {
        fputs(usage, stderr);
        return 2;
    }
    struct bw_arena *arena = bw_arena_create(16 << 20);
    if (arena == NULL) {
        fputs("bailiwickd: out of memory\n", stderr);
        return 3;
    }
    struct bw_daemon_config *config = load(argv[3], arena);
    int code = 1;
    if (config != NULL) {
        bw_log_configure(config->log_level, config->log_json);
        if (serve)
            code = bw_daemon_serve(config);
        else if (vault)
            code = bw_vault_main(config);
        else if (doctor)
            code = bw_doctor(config, stdout);
        else
            code = check ? 0 : migrate(config, as_owner ? argv[5] : config->conninfo);
        if (check)
            printf("%s: ok\n", argv[3]);
    }
    bw_arena_destroy(arena);
    return code;
}
