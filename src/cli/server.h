/* Talking to a cell: settings to a connection, requests to answers, failures to words. Threads: one. */
#ifndef BW_CLI_SERVER_H
#define BW_CLI_SERVER_H

#include <jansson.h>

#include "cli/cli.h"
#include "cli/settings.h"
#include "grpc/client.h"
#include "wire/wire.h"

#define BW_METHOD(service, method) "/bailiwick.v1." #service "/" #method

/* Reads the configuration file once and resolves; an exit code, said when not 0. */
int bw_cli_settings(struct bw_cli *cli);
/* The tenant to act for: --tenant, the environment or the context; NULL when none is (said). */
const char *bw_cli_tenant(struct bw_cli *cli);

/* What a connection needs; the texts live in the arena. An exit code, said when not 0. *tls is the caller's
 * reference (NULL for clear text). */
int bw_server_config(struct bw_cli *cli, struct bw_grpc_client_config *config);

/* One request, one answer, decoded into the arena. An exit code; a failure has been told, on stderr and, for
 * -o json and yaml, as {"error": …} on stdout. */
int bw_server_call(struct bw_cli *cli, const char *path, const ProtobufCMessage *request,
                   const ProtobufCMessageDescriptor *answer, const ProtobufCMessage **out);
/* The same, with the answer as a JSON tree (json_decref). */
int bw_server_ask(struct bw_cli *cli, const char *path, const ProtobufCMessage *request,
                  const ProtobufCMessageDescriptor *answer, json_t **tree);
/* Asks page by page and joins the pages: `list` is the array's key, page_size and page_token are the
 * request's own fields. Stops at --limit with a note that there is more. */
int bw_server_list(struct bw_cli *cli, const char *path, const ProtobufCMessage *request, uint32_t *page_size,
                   const char **page_token, const ProtobufCMessageDescriptor *answer, const char *list,
                   json_t **tree);
/* As bw_server_call without a word about failures: for doctor. The outcome lives in the arena. */
enum bw_code bw_server_try(struct bw_cli *cli, const char *path, const ProtobufCMessage *request,
                           const ProtobufCMessageDescriptor *answer, const ProtobufCMessage **out,
                           struct bw_grpc_outcome *outcome);
/* A stream of answers until it ends or `each` returns false. */
int bw_server_stream(struct bw_cli *cli, const char *path, const ProtobufCMessage *request,
                     const ProtobufCMessageDescriptor *answer,
                     bool (*each)(const ProtobufCMessage *message, void *context), void *context);
void bw_server_close(struct bw_server *server);

/* The tree of a message; NULL when memory is out. */
json_t *bw_message_tree(const ProtobufCMessage *message);

/* cli/failure.c: tells of a failed call and gives its exit code. */
int bw_failure(struct bw_cli *cli, const struct bw_grpc_outcome *outcome);
/* The exit code alone. A connection that failed because one side did not prove who it is counts as
 * authentication. */
int bw_failure_exit(const struct bw_grpc_outcome *outcome);
/* Appends what to do about it; nothing when there is nothing to say. */
void bw_failure_advice(enum bw_code code, const char *reason, struct bw_buf *out);
/* The reasons of a tree item, in words, and their clauses. */
void bw_reasons_print(const json_t *item, const char *indent, struct bw_buf *out);
/* A Refusal in words, for people. */
void bw_refusal_print(const json_t *refusal, struct bw_buf *out);

#endif
