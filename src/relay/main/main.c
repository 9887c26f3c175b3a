/* bailiwick-relay: run, check-config, status. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "relay/config.h"
#include "relay/status.h"
#include "relay/worker.h"
#include "runtime/log.h"

#ifndef BW_VERSION
#define BW_VERSION "0.0.0"
#endif

static const char usage[] =
    "usage: bailiwick-relay run          --config FILE   run the relay\n"
    "       bailiwick-relay check-config --config FILE   say what is wrong with a configuration\n"
    "       bailiwick-relay status       --config FILE   print what the running relay says of itself (JSON)\n"
    "       bailiwick-relay status       --socket PATH\n"
    "       bailiwick-relay version\n";

enum { EXIT_OK_ = 0, EXIT_NO = 1, EXIT_USAGE = 2, EXIT_INTERNAL = 3, EXIT_UNAVAILABLE = 7 };

/* On failure everything wrong with the file is on standard error. */
static bool load(const char *file, struct bw_arena *arena, struct bw_relay_config *config)
{
    struct bw_diags diags;
    struct bw_error err = {0};
    bw_diags_init(&diags);
    enum bw_code code = bw_relay_config_load(file, arena, &diags, config, &err);
    if (diags.errors + diags.warnings > 0) {
        struct bw_buf text = {0};
        bw_diags_human(&diags, isatty(STDERR_FILENO) && getenv("NO_COLOR") == NULL, &text);
        const char *shown = bw_buf_cstr(&text);
        if (shown != NULL)
            fputs(shown, stderr);
        bw_buf_finish(&text);
    } else if (code != BW_OK) {
        fprintf(stderr, "bailiwick-relay: %s\n", err.show);
    }
    bw_diags_finish(&diags);
    return code == BW_OK;
}

static int run(const char *file, const struct bw_relay_config *config)
{
    struct bw_error err = {0};
    bw_log_configure(config->log_level, config->log_json);
    struct bw_relay_worker *worker = bw_relay_worker_create(config, file, &err);
    if (worker == NULL) {
        fprintf(stderr, "bailiwick-relay: %s\n", err.show);
        return err.code == BW_UNAVAILABLE ? EXIT_UNAVAILABLE : EXIT_NO;
    }
    bw_relay_worker_run(worker);
    bw_relay_worker_destroy(worker);
    return EXIT_OK_;
}

static int status(const char *socket_path)
{
    struct bw_buf text = {0};
    struct bw_error err = {0};
    int code = EXIT_OK_;
    if (bw_status_ask(socket_path, &text, &err) != BW_OK) {
        fprintf(stderr, "bailiwick-relay: %s\n", err.show);
        code = EXIT_UNAVAILABLE;
    } else if (fwrite(text.data, 1, text.len, stdout) != text.len || fflush(stdout) != 0) {
        code = EXIT_INTERNAL;
    }
    bw_buf_finish(&text);
    return code;
}

static int with_config(const char *verb, const char *file)
{
    struct bw_relay_config config;
    struct bw_arena *arena = bw_arena_create(BW_YAML_ARENA_BYTES);
    int code = EXIT_NO;
    if (arena == NULL)
        return EXIT_INTERNAL;
    if (load(file, arena, &config)) {
        if (strcmp(verb, "check-config") == 0) {
            printf("%s: ok\n", file);
            code = EXIT_OK_;
        } else if (strcmp(verb, "run") == 0) {
            code = run(file, &config);
        } else if (config.status_socket != NULL) {
            code = status(config.status_socket);
        } else {
            fprintf(stderr, "bailiwick-relay: %s names no status.socket\n", file);
        }
    }
    bw_arena_destroy(arena);
    return code;
}

int main(int argc, char **argv)
{
    const char *verb = argc > 1 ? argv[1] : "";
    if (argc == 2 && (strcmp(verb, "version") == 0 || strcmp(verb, "--version") == 0)) {
        puts("bailiwick-relay " BW_VERSION);
        return EXIT_OK_;
    }
    if (argc == 2 && (strcmp(verb, "help") == 0 || strcmp(verb, "--help") == 0)) {
        fputs(usage, stdout);
        return EXIT_OK_;
    }
    bool known = strcmp(verb, "run") == 0 || strcmp(verb, "check-config") == 0 || strcmp(verb, "status") == 0;
    if (known && argc == 4 && strcmp(argv[2], "--config") == 0)
        return with_config(verb, argv[3]);
    if (argc == 4 && strcmp(verb, "status") == 0 && strcmp(argv[2], "--socket") == 0)
        return status(argv[3]);
    fputs(usage, stderr);
    return EXIT_USAGE;
}
