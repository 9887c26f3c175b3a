/* Sealed records, under a key the fuzzer cannot know and under one it is given: whatever opens is, sealed
 * again with what its header says, the same length, and its padding is exact; a changed byte never opens. */
#include <stdint.h>

#include "base/check.h"
#include "vault/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t known[BW_RECORD_KEY_SIZE] = {1, 2, 3};
static const struct bw_record_context context = {
    .tenant = {{1}}, .meeting = {{2}}, .row = {{3}}, .table = "qchk", .column = "body"};

static bool same(const struct bw_record_info *a, const struct bw_record_info *b)
{
    return a->type == b->type && bw_id_equal(&a->meeting_key, &b->meeting_key) &&
           bw_id_equal(&a->participant_key, &b->participant_key) && bw_id_equal(&a->stream, &b->stream) &&
           a->chunk_seq == b->chunk_seq && a->time_bucket == b->time_bucket && a->epoch == b->epoch &&
           a->schema == b->schema && a->pad_class == b->pad_class;
}

/* What the header says is sealed again, with the input as plaintext: it must open, and with any one byte
 * changed it must not. */
static void check_round_trip(struct bw_gcm *gcm, const struct bw_record_info *info, const uint8_t *data,
                             size_t size)
{
    struct bw_buf record = {0}, plain = {0};
    struct bw_record_info got;
    struct bw_view input = bw_view_of(data, size);
    BW_CHECK(bw_record_seal(gcm, known, info, &context, input, known, known, &record, NULL) == BW_OK);
    BW_CHECK(record.len == bw_record_size(size, info->pad_class));
    BW_CHECK(bw_record_open(gcm, known, &context, bw_buf_view(&record), &got, &plain, NULL) == BW_OK);
    BW_CHECK(bw_view_equal(bw_buf_view(&plain), input) && same(&got, info));
    size_t at = size > 8 ? (size_t)data[8] << 8 | data[7] : 0;
    record.data[at % record.len] ^= (uint8_t)(size > 9 && data[9] != 0 ? data[9] : 1);
    BW_CHECK(bw_record_open(gcm, known, &context, bw_buf_view(&record), &got, &plain, NULL) != BW_OK);
    bw_buf_finish(&record);
    bw_buf_finish(&plain);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bw_record_info info, got;
    struct bw_gcm *gcm = NULL;
    struct bw_buf plain = {0};
    struct bw_view record = bw_view_of(data, size);
    if (bw_record_peek(record, &info, NULL) != BW_OK || bw_gcm_create(&gcm, NULL) != BW_OK)
        return 0;
    BW_CHECK(info.flags == 0 && size >= BW_RECORD_OVERHEAD);
    enum bw_code code = bw_record_open(gcm, known, &context, record, &got, &plain, NULL);
    if (code == BW_OK)
        BW_CHECK(bw_record_size(plain.len, info.pad_class) == size);
    else
        BW_CHECK(code == BW_DATA_LOSS && plain.len == 0);
    check_round_trip(gcm, &info, data, size);
    bw_buf_finish(&plain);
    bw_gcm_destroy(gcm);
    return 0;
}
