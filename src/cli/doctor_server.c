#include <string.h>

#include "cli/diagnose.h"
#include "cli/doctor.h"
#include "cli/probe.h"
#include "grpc/pb.h"
#include "runtime/clock.h"

/* A heartbeat is a second or two old; what lies further off is a clock. */
enum { CLOCK_AHEAD_MS = 10000, CLOCK_BEHIND_MS = 120000 };

/* ---- health ---- */

enum { HEALTH_SERVING = 1 };

/* HealthCheckResponse.status */
static uint64_t health_status(struct bw_view reply)
{
    struct bw_pb_field field;
    bool bad = false;
    uint64_t status = 0;
    while (bw_pb_next(&reply, &field, &bad))
        if (field.number == 1 && field.wire == BW_PB_VARINT)
            status = field.value;
    return bad ? 0 : status;
}

/* False when there was no connection, and so nothing more to ask. */
static bool check_health(struct bw_doctor *doctor)
{
    struct bw_cli *cli = doctor->cli;
    struct bw_grpc_client_config config;
    if (bw_server_config(cli, &config) != BW_EXIT_OK) {
        bw_doctor_tell(doctor, BW_FINDING_PROBLEM, "settings", "see what was said above",
                       "no connection can be made from these");
        return false;
    }
    struct bw_grpc_outcome outcome = {0};
    struct bw_view reply = {0};
    /* An empty request asks about the server as a whole. */
    bw_grpc_client_unary_sync(&config, "/grpc.health.v1.Health/Check", cli->settings->timeout_ms, NULL, 0,
                              (struct bw_view){0}, cli->arena, &reply, &outcome);
    bw_grpc_tls_release(config.tls);
    if (outcome.code == BW_UNAVAILABLE || outcome.code == BW_DEADLINE_EXCEEDED ||
        outcome.code == BW_FAILED_PRECONDITION || outcome.code == BW_UNAUTHENTICATED) {
        struct bw_diagnosis diagnosis = bw_diagnose(outcome.message);
        bw_doctor_tell(doctor, BW_FINDING_PROBLEM, diagnosis.check,
                       diagnosis.todo != NULL ? diagnosis.todo : "see the cell's log", "%s", outcome.message);
        return false;
    }
    bw_doctor_tell(doctor, BW_FINDING_OK, "connection", NULL, "%s answers", cli->settings->endpoint.value);
    if (outcome.code != BW_OK)
        bw_doctor_tell(doctor, BW_FINDING_NOTE, "health", "is this a bailiwick cell?", "%s", outcome.message);
    else if (health_status(reply) != HEALTH_SERVING)
        bw_doctor_tell(doctor, BW_FINDING_PROBLEM, "health",
                       "on the cell: what `bailiwickd serve` logs; often its database does not answer or its "
                       "schema is old (`bailiwickd migrate --config FILE`)",
                       "the cell says it is not serving");
    else
        bw_doctor_tell(doctor, BW_FINDING_OK, "health", NULL, "serving");
    return true;
}

/* ---- identity and clock ---- */

static void check_clock(struct bw_doctor *doctor, uint64_t cell_ms)
{
    uint64_t now = bw_clock_wall_ms();
    if (cell_ms > now + CLOCK_AHEAD_MS)
        bw_doctor_tell(doctor, BW_FINDING_PROBLEM, "clock",
                       "set this machine's clock (`timedatectl`), or the cell's",
                       "the cell has heard of a relay %llu s in our future",
                       (unsigned long long)((cell_ms - now) / 1000));
    else if (now > cell_ms + CLOCK_BEHIND_MS)
        bw_doctor_tell(doctor, BW_FINDING_PROBLEM, "clock",
                       "set this machine's clock (`timedatectl`), or the cell's",
                       "the newest heartbeat of a serving relay is %llu s old by our clock",
                       (unsigned long long)((now - cell_ms) / 1000));
    else
        bw_doctor_tell(doctor, BW_FINDING_OK, "clock", NULL, "agrees with the cell's");
}

static void tell_failure(struct bw_doctor *doctor, const char *what, const struct bw_grpc_outcome *outcome)
{
    const char *reason = outcome->details != NULL ? outcome->details->reason : NULL;
    struct bw_buf todo = {0};
    bw_failure_advice(outcome->code, reason, &todo);
    for (size_t i = 0; outcome->details != NULL && i < outcome->details->metadata_count; i++)
        bw_buf_printf(&todo, " (%s %s)", outcome->details->metadata[i].name,
                      outcome->details->metadata[i].value);
    const char *text = bw_buf_cstr(&todo);
    bw_doctor_tell(doctor, BW_FINDING_PROBLEM, "permission", text != NULL && text[0] != '\0' ? text : NULL,
                   "%s: %s (%s%s%s)", what, outcome->message, bw_code_name(outcome->code),
                   reason != NULL ? ", " : "", reason != NULL ? reason : "");
    bw_buf_finish(&todo);
}

static void check_permission(struct bw_doctor *doctor)
{
    struct bw_identity identity = bw_identity_parse(doctor->spiffe_id != NULL ? doctor->spiffe_id : "");
    struct bw_grpc_outcome outcome = {0};
    const char *what = NULL;
    uint64_t heartbeat_ms = 0;
    switch (bw_probe_call(doctor->cli, identity.kind, &what, &outcome, &heartbeat_ms)) {
    case BW_PROBE_DONE:
        if (outcome.code != BW_OK)
            tell_failure(doctor, what, &outcome);
        else
            bw_doctor_tell(doctor, BW_FINDING_OK, "permission", NULL, "%s is allowed", what);
        if (heartbeat_ms != 0)
            check_clock(doctor, heartbeat_ms);
        return;
    case BW_PROBE_NO_TENANT:
        bw_doctor_tell(doctor, BW_FINDING_NOTE, "permission", "give --tenant NAME",
                       "not tried: no tenant is named");
        return;
    case BW_PROBE_NONE_BUILT:
        bw_doctor_tell(doctor, BW_FINDING_NOTE, "permission", NULL,
                       "not tried: no call for this kind of certificate");
        return;
    }
}

void bw_doctor_server(struct bw_doctor *doctor)
{
    if (check_health(doctor))
        check_permission(doctor);
}
