/* The services as clients meet them: real gRPC over loopback, a real owner on the headless world, a desk in
 * memory. One thread, one loop; a call runs the loop until it is over. */
#ifndef BW_TESTS_API_RIG_H
#define BW_TESTS_API_RIG_H

#include <protobuf-c/protobuf-c.h>

#include "api/api.h"
#include "grpc/client.h"
#include "headless.h"
#include "wire/wire.h"

enum rig_role { RIG_APP, RIG_ADMIN, RIG_OPERATOR, RIG_RELAY, RIG_TIER1, RIG_TIER2, RIG_NOBODY, RIG_ROLES };

struct rig_policy {
    uint32_t revision;
    uint64_t at_ms;
    uint8_t hash[32];
    char *yaml, *author, *note;
};

struct rig {
    struct bw_headless world;
    struct bw_loop *loop;
    struct bw_task settle;
    struct bw_timer *clock;
    struct bw_callers *callers;
    struct {
        struct bw_api *api;
        struct bw_grpc_server *server;
        struct bw_grpc_client *client;
    } as[RIG_ROLES];
    struct bw_arena *arena; /* of replies */

    /* The desk. */
    struct rig_policy policies[32];
    size_t policy_count;
    char tenants[32][64];
    size_t tenant_count;
    char credential[128], credential_role[32];
    size_t credential_tenants;
    unsigned orders;
    bool desk_away;

    /* The ingest: what it was given last, and what it answers. */
    struct bw_api_window windows[64];
    size_t window_count;
    enum bw_quality_source source;
    uint32_t relay;
    struct bw_id window_tenant;
    unsigned batches;
    bool overloaded;

    /* The vault, and what is kept of meetings' quality. */
    struct rig_sealed {
        struct {
            uint32_t slot;
            const char *user, *prefix, *version;
        } people[32];
        struct {
            uint32_t slot;
            struct bw_id stream;
            struct bw_view plain; /* in the rig's arena */
        } chunks[64];
        struct bw_view hours[8]; /* likewise */
        size_t person_count, chunk_count, hour_count;
        struct bw_desk_meeting quality[8]; /* id and what is known of the quality */
        size_t quality_count;
        struct bw_error error[4]; /* by enum bw_opening_what: what it answers instead */
        struct bw_api_opening asked[16];
        size_t asked_count;
    } sealed;

    /* The last call. */
    enum bw_code code;
    char message[600];
    char reason[64];
    struct bw_grpc_details details; /* in the arena */
    const ProtobufCMessage *reply;
    bool over;
};

void rig_init(struct rig *rig);
void rig_finish(struct rig *rig);

/* Calls and waits. NULL unless the call went well; the reply is of `response` and lies in rig->arena. */
const void *rig_call(struct rig *rig, enum rig_role role, const char *method, const void *request,
                     const ProtobufCMessageDescriptor *response);
/* Lets the loop run for a while. */
void rig_run_ms(struct rig *rig, uint64_t ms);
/* A fresh uuid as text, in rig->arena. */
const char *rig_uuid(struct rig *rig);

#endif
