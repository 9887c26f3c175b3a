/* What the verbs of `policy` share. Threads: one. */
#ifndef BW_CLI_POLICY_H
#define BW_CLI_POLICY_H

#include <jansson.h>

#include "cli/cli.h"
#include "placement/snapshot.h"
#include "policy/document.h"

/* Does the document say it is of kind MeetingPolicy? */
bool bw_policy_source_is_meeting(const struct bw_source *source);
/* For people, on the stream given. */
int bw_diags_show(struct bw_cli *cli, const struct bw_diags *diags, FILE *stream);
/* As JSON or YAML on stdout. */
int bw_diags_show_tree(struct bw_cli *cli, const struct bw_diags *diags);
/* An exit code; what is wrong with the file has been said. *snapshot is the caller's reference. */
int bw_fleet_read(struct bw_cli *cli, const char *path, struct bw_snapshot **snapshot);

/* Diagnostics of a server's answer, for people; true when there are errors among them. */
bool bw_policy_answer_print(const json_t *diagnostics, struct bw_buf *out);

/* cli/policy_ask.c: `policy explain` where the server is to answer. */
int bw_policy_explain_ask(struct bw_cli *cli);

#endif
