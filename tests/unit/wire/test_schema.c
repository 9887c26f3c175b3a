/* What the messages may hold at all. A new bytes field does not pass until somebody has said here what it is
 * for: no message has a place for a media key. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "bailiwick/v1/common.pb-c.h"
#include "base/check.h"
#include "google/protobuf/descriptor.pb-c.h"
#include "wire/table.h"
#include "wire/wire.h"

/* The only bytes fields there are, and why each is none that a media key could ride in: its length is fixed
 * and its meaning ours, or it holds what we made, or what we parse. */
static const struct {
    const char *field, *reason;
} reviewed[] = {
    {"bailiwick.v1.Admission.grant", "signed by our signer; goes out only"},
    {"bailiwick.v1.Admission.hop_key", "derived by us, authenticates datagrams; goes out only"},
    {"bailiwick.v1.Hello.boot_id", "a relay's random id"},
    {"bailiwick.v1.Hello.session_secret",
     "a relay's own, hop and link keys are derived from it; never stored"},
    {"bailiwick.v1.Hello.Resume.stream_id", "the database's identity, made by us"},
    {"bailiwick.v1.Hello.Resume.digest", "compared, never kept"},
    {"bailiwick.v1.Heartbeat.digest", "compared, never kept"},
    {"bailiwick.v1.Events.Joined.meeting", "must be a meeting of ours"},
    {"bailiwick.v1.Events.Joined.roster_entry", "must be a roster entry of ours"},
    {"bailiwick.v1.Events.Left.meeting", "must be a meeting of ours"},
    {"bailiwick.v1.Events.PathFailed.meeting", "must be a meeting of ours"},
    {"bailiwick.v1.Events.Observed.meeting", "must be a meeting of ours"},
    {"bailiwick.v1.Events.GrantRefused.meeting", "must be a meeting of ours"},
    {"bailiwick.v1.Welcome.stream_id", "made by us; goes out only"},
    {"bailiwick.v1.Welcome.cell_id", "made by us; goes out only"},
    {"bailiwick.v1.PeerLink.meeting", "made by us; goes out only"},
    {"bailiwick.v1.PeerLink.link_key", "derived by us, authenticates datagrams; goes out only"},
    {"bailiwick.v1.MeetingSlot.meeting", "made by us; goes out only"},
    {"bailiwick.v1.MeetingSlot.roster_entry", "made by us; goes out only"},
    {"bailiwick.v1.GrantKey.key_id", "names a public key of ours; goes out only"},
    {"bailiwick.v1.GrantKey.public_key", "our signer's public key; goes out only"},
    {"bailiwick.v1.SnapshotEnd.digest", "made by us; goes out only"},
    {"bailiwick.v1.Revoke.meeting", "made by us; goes out only"},
    {"bailiwick.v1.ProbePlan.Target.probe_key", "derived by us, authenticates probes; goes out only"},
    {"bailiwick.v1.RelayQualitySample.meeting", "must be a meeting of ours"},
    {"bailiwick.v1.EnrollRelayRequest.csr_der", "parsed as PKCS#10; only its public key is used"},
    {"bailiwick.v1.IssueAppCredentialRequest.csr_der", "parsed as PKCS#10; only its public key is used"},
    {"bailiwick.v1.Decision.meeting", "made by us"},
    {"bailiwick.v1.Decision.tenant", "made by us"},
    {"bailiwick.v1.Decision.request", "the caller's UUID, parsed as one"},
    {"bailiwick.v1.Decision.fingerprint", "a truncated hash, made by us"},
    {"bailiwick.v1.Decision.policy_hash", "a hash, made by us"},
    {"bailiwick.v1.Decision.Participant.roster_entry", "made by us"},
    {"bailiwick.v1.Decision.roster_record", "names a sealed record of ours"},
    {"bailiwick.v1.Decision.Left.roster_entry", "made by us"},
    {"bailiwick.v1.ErasureReceipt.signature", "our signer's; goes out only"},
    {"bailiwick.v1.ExportSubjectResponse.part", "a piece of a file we made; goes out only"},
    {"bailiwick.v1.ExportTicketResponse.part", "a piece of a file we made; goes out only"},
    {"bailiwick.v1.ExportBundleResponse.part", "a piece of a file we made; goes out only"},
    {"bailiwick.v1.GetTileResponse.tile", "hashes of the log; goes out only"},
    {"bailiwick.v1.TailDecisionsResponse.record", "a logged decision; goes out only"},
    {"grpc.reflection.v1.FileDescriptorResponse.file_descriptor_proto", "our own schema; goes out only"},
    {"grpc.reflection.v1alpha.FileDescriptorResponse.file_descriptor_proto", "our own schema; goes out only"},
};

static void only_reviewed_bytes_fields_exist(void **state)
{
    (void)state;
    bool used[BW_ARRAY_LEN(reviewed)] = {false};
    for (size_t i = 0; i < bw_wire_message_count; i++) {
        for (size_t k = 0; k < bw_wire_messages[i].field_count; k++) {
            const struct bw_wire_field *field = &bw_wire_messages[i].fields[k];
            if (field->kind != BW_WIRE_BYTES)
                continue;
            char name[200];
            bool found = false;
            snprintf(name, sizeof name, "%s.%s", bw_wire_messages[i].full_name, field->name);
            for (size_t r = 0; r < BW_ARRAY_LEN(reviewed); r++) {
                if (strcmp(reviewed[r].field, name) == 0)
                    found = used[r] = true;
            }
            if (!found)
                fail_msg("%s: a bytes field nobody has reviewed; say in this test what it holds", name);
        }
    }
    for (size_t r = 0; r < BW_ARRAY_LEN(reviewed); r++) {
        assert_true(reviewed[r].reason[0] != '\0');
        if (!used[r])
            fail_msg("%s: reviewed, but there is no such field", reviewed[r].field);
    }
}

static void every_string_states_a_bound_and_ours_a_grammar(void **state)
{
    (void)state;
    for (size_t i = 0; i < bw_wire_message_count; i++) {
        const struct bw_wire_message *table = &bw_wire_messages[i];
        bool ours = strncmp(table->full_name, "bailiwick.", 10) == 0;
        for (size_t k = 0; k < table->field_count; k++) {
            const struct bw_wire_field *field = &table->fields[k];
            bool text = field->kind == BW_WIRE_STRING || field->kind == BW_WIRE_BYTES;
            if (text && (field->max_len == 0 || field->max_len > 1 << 20))
                fail_msg("%s.%s: no sensible bound", table->full_name, field->name);
            if (ours && field->kind == BW_WIRE_STRING && field->grammar == BAILIWICK__V1__RULE__GRAMMAR__ANY)
                fail_msg("%s.%s: no grammar", table->full_name, field->name);
            if ((field->flags & BW_WIRE_REPEATED) != 0 && (field->max_items == 0 || field->max_items > 10000))
                fail_msg("%s.%s: no sensible number of elements", table->full_name, field->name);
        }
    }
}

static ProtobufCType type_of(uint8_t kind)
{
    static const ProtobufCType types[] = {
        [BW_WIRE_BOOL] = PROTOBUF_C_TYPE_BOOL,       [BW_WIRE_INT32] = PROTOBUF_C_TYPE_INT32,
        [BW_WIRE_INT64] = PROTOBUF_C_TYPE_INT64,     [BW_WIRE_UINT32] = PROTOBUF_C_TYPE_UINT32,
        [BW_WIRE_UINT64] = PROTOBUF_C_TYPE_UINT64,   [BW_WIRE_ENUM] = PROTOBUF_C_TYPE_ENUM,
        [BW_WIRE_STRING] = PROTOBUF_C_TYPE_STRING,   [BW_WIRE_BYTES] = PROTOBUF_C_TYPE_BYTES,
        [BW_WIRE_MESSAGE] = PROTOBUF_C_TYPE_MESSAGE,
    };
    return types[kind];
}

/* The scan believes the tables, the unpacking believes protobuf-c: they must say the same. */
static void the_tables_agree_with_the_generated_code(void **state)
{
    (void)state;
    for (size_t i = 0; i < bw_wire_message_count; i++) {
        const struct bw_wire_message *table = &bw_wire_messages[i];
        const ProtobufCMessageDescriptor *d = table->descriptor;
        assert_string_equal(table->full_name, d->name);
        assert_ptr_equal(bw_wire_table(d), table);
        assert_ptr_equal(bw_wire_find(table->full_name), d);
        assert_int_equal(table->field_count, d->n_fields);
        for (size_t k = 0; k < table->field_count; k++) {
            const struct bw_wire_field *field = &table->fields[k];
            assert_int_equal(field->number, d->fields[k].id);
            assert_string_equal(field->name, d->fields[k].name);
            assert_int_equal(type_of(field->kind), d->fields[k].type);
            assert_int_equal((field->flags & BW_WIRE_REPEATED) != 0,
                             d->fields[k].label == PROTOBUF_C_LABEL_REPEATED);
            assert_int_equal((field->flags & BW_WIRE_ONEOF) != 0,
                             (d->fields[k].flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0);
            assert_int_equal(table->by_number[field->number], k + 1);
            if (field->kind == BW_WIRE_MESSAGE)
                assert_ptr_equal(bw_wire_messages[field->target].descriptor, d->fields[k].descriptor);
        }
    }
    assert_null(bw_wire_find("bailiwick.v1.Nothing"));
    assert_null(bw_wire_table(&google__protobuf__file_descriptor_set__descriptor));
}

static void the_descriptor_set_holds_every_service(void **state)
{
    (void)state;
    static const char *const services[] = {
        "bailiwick.v1.MeetingService",         "bailiwick.v1.PolicyService",
        "bailiwick.v1.RelayService",           "bailiwick.v1.FleetService",
        "bailiwick.v1.TenantService",          "bailiwick.v1.SupportService",
        "bailiwick.v1.SubjectService",         "bailiwick.v1.KeyService",
        "bailiwick.v1.LedgerService",          "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection",
    };
    struct bw_view bytes = bw_wire_descriptor_set();
    Google__Protobuf__FileDescriptorSet *set =
        google__protobuf__file_descriptor_set__unpack(NULL, bytes.len, bytes.data);
    assert_non_null(set);
    size_t found = 0;
    for (size_t i = 0; i < set->n_file; i++) {
        /* imports come first */
        for (size_t k = 0; k < set->file[i]->n_dependency; k++) {
            bool before = false;
            for (size_t j = 0; j < i; j++)
                before = before || strcmp(set->file[j]->name, set->file[i]->dependency[k]) == 0;
            assert_true(before);
        }
        for (size_t k = 0; k < set->file[i]->n_service; k++) {
            char name[200];
            snprintf(name, sizeof name, "%s.%s", set->file[i]->package, set->file[i]->service[k]->name);
            for (size_t s = 0; s < BW_ARRAY_LEN(services); s++)
                found += strcmp(services[s], name) == 0;
        }
    }
    assert_int_equal(found, BW_ARRAY_LEN(services));
    google__protobuf__file_descriptor_set__free_unpacked(set, NULL);
}

/* Durable records hold these numbers. */
static void reasons_keep_their_numbers(void **state)
{
    (void)state;
    static const char *const names[] = {
        "REASON_UNSPECIFIED",
        "RELAY_STATE",
        "LEASE_EXPIRED",
        "DRAINING",
        "VERSION",
        "ENTRY_COUNTRY",
        "TRANSIT_COUNTRY",
        "TRANSIT_SITE",
        "OPERATOR_JURISDICTION",
        "CERTIFICATION_MISSING",
        "CERTIFICATION_EXPIRED",
        "FACT_UNKNOWN",
        "CONNECTOR_FORBIDDEN",
        "CONNECTOR_STORE",
        "SIGNALLING",
        "PARTICIPANT_POLICY",
        "NOT_FOR_TENANT",
        "ACCESS",
        "LEG_FORBIDDEN",
        "CAPACITY",
        "BURST_LIMIT",
        "CONNECTOR_REQUIRED",
    };
    for (size_t i = 0; i < bw_wire_enum_count; i++) {
        if (strcmp(bw_wire_enums[i].full_name, "bailiwick.v1.Reason") != 0)
            continue;
        assert_int_equal(bw_wire_enums[i].count, BW_ARRAY_LEN(names));
        for (size_t k = 0; k < BW_ARRAY_LEN(names); k++)
            assert_string_equal(bw_wire_enum_name(&bw_wire_enums[i], (int64_t)k), names[k]);
        assert_null(bw_wire_enum_name(&bw_wire_enums[i], 22));
        return;
    }
    fail_msg("there is no bailiwick.v1.Reason");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_reviewed_bytes_fields_exist),
        cmocka_unit_test(every_string_states_a_bound_and_ours_a_grammar),
        cmocka_unit_test(the_tables_agree_with_the_generated_code),
        cmocka_unit_test(the_descriptor_set_holds_every_service),
        cmocka_unit_test(reasons_keep_their_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
