#include "relay/handshake.h"

#include <string.h>

enum bw_refusal bw_refusal_of_grant(enum bw_grant_refusal refusal)
{
    switch (refusal) {
#define X(name, text)                                                                                        \
    case BW_GRANT_##name:                                                                                    \
        return BW_REFUSAL_##name;
        BW_GRANT_REFUSAL_MAP(X)
#undef X
    case BW_GRANT_OK:
    case BW_GRANT_REFUSAL_COUNT:
        break;
    }
    return BW_REFUSAL_NONE;
}

const char *bw_refusal_name(uint16_t refusal)
{
    switch (refusal) {
#define X(name, number)                                                                                      \
    case number:                                                                                             \
        return #name;
        BW_REFUSAL_GRANT_MAP(X)
#undef X
#define X(name, number, text)                                                                                \
    case number:                                                                                             \
        return #name;
        BW_REFUSAL_RELAY_MAP(X)
#undef X
    }
    return "UNKNOWN";
}

const char *bw_refusal_text(uint16_t refusal)
{
    switch (refusal) {
#define X(name, number)                                                                                      \
    case number:                                                                                             \
        return bw_grant_refusal_text(BW_GRANT_##name);
        BW_REFUSAL_GRANT_MAP(X)
#undef X
#define X(name, number, text)                                                                                \
    case number:                                                                                             \
        return text;
        BW_REFUSAL_RELAY_MAP(X)
#undef X
    }
    return "a reason this version does not know";
}

bool bw_join_parse(struct bw_view payload, struct bw_join *join)
{
    struct bw_reader r = bw_reader_of(payload);
    struct bw_join j;
    j.nonce = bw_read_u64(&r);
    bw_read_copy(&r, j.cookie, sizeof j.cookie);
    uint16_t len = bw_read_u16(&r);
    j.grant = bw_read_bytes(&r, len);
    if (!bw_reader_done(&r) || len == 0)
        return false;
    *join = j;
    return true;
}

bool bw_resume_parse(struct bw_view payload, struct bw_resume *resume)
{
    struct bw_reader r = bw_reader_of(payload);
    struct bw_resume parsed;
    parsed.nonce = bw_read_u64(&r);
    bw_read_copy(&r, parsed.cookie, sizeof parsed.cookie);
    if (!bw_reader_done(&r))
        return false;
    *resume = parsed;
    return true;
}

bool bw_cookie_parse(struct bw_view payload, uint64_t *nonce, uint8_t cookie[BW_COOKIE_SIZE])
{
    struct bw_resume parsed; /* the same two fields */
    if (!bw_resume_parse(payload, &parsed))
        return false;
    *nonce = parsed.nonce;
    memcpy(cookie, parsed.cookie, sizeof parsed.cookie);
    return true;
}

bool bw_admitted_parse(struct bw_view payload, struct bw_admitted *admitted)
{
    struct bw_reader r = bw_reader_of(payload);
    struct bw_admitted a;
    a.nonce = bw_read_u64(&r);
    uint8_t provisional = bw_read_u8(&r);
    a.mode = bw_read_u8(&r);
    uint16_t reserved = bw_read_u16(&r);
    a.keepalive_ms = bw_read_u32(&r);
    if (!bw_reader_done(&r) || provisional > 1 || reserved != 0)
        return false;
    a.provisional = provisional == 1;
    *admitted = a;
    return true;
}

bool bw_refused_parse(struct bw_view payload, uint64_t *nonce, uint16_t *refusal)
{
    struct bw_reader r = bw_reader_of(payload);
    uint64_t n = bw_read_u64(&r);
    uint16_t why = bw_read_u16(&r);
    if (!bw_reader_done(&r))
        return false;
    *nonce = n;
    *refusal = why;
    return true;
}

bool bw_bye_parse(struct bw_view payload, uint16_t *refusal)
{
    struct bw_reader r = bw_reader_of(payload);
    uint16_t why = bw_read_u16(&r);
    if (!bw_reader_done(&r))
        return false;
    *refusal = why;
    return true;
}

static size_t written(const struct bw_writer *w)
{
    return w->failed ? 0 : bw_writer_len(w);
}

size_t bw_join_write(const struct bw_join *join, uint8_t *out, size_t room)
{
    if (join->grant.len > UINT16_MAX)
        return 0;
    struct bw_writer w = bw_writer_of(out, room);
    bw_write_u64(&w, join->nonce);
    bw_write_bytes(&w, join->cookie, sizeof join->cookie);
    bw_write_u16(&w, (uint16_t)join->grant.len);
    bw_write_bytes(&w, join->grant.data, join->grant.len);
    return written(&w);
}

size_t bw_resume_write(const struct bw_resume *resume, uint8_t *out, size_t room)
{
    return bw_cookie_write(resume->nonce, resume->cookie, out, room);
}

size_t bw_cookie_write(uint64_t nonce, const uint8_t cookie[BW_COOKIE_SIZE], uint8_t *out, size_t room)
{
    struct bw_writer w = bw_writer_of(out, room);
    bw_write_u64(&w, nonce);
    bw_write_bytes(&w, cookie, BW_COOKIE_SIZE);
    return written(&w);
}

size_t bw_admitted_write(const struct bw_admitted *admitted, uint8_t *out, size_t room)
{
    struct bw_writer w = bw_writer_of(out, room);
    bw_write_u64(&w, admitted->nonce);
    bw_write_u8(&w, admitted->provisional ? 1 : 0);
    bw_write_u8(&w, admitted->mode);
    bw_write_u16(&w, 0);
    bw_write_u32(&w, admitted->keepalive_ms);
    return written(&w);
}

size_t bw_refused_write(uint64_t nonce, enum bw_refusal refusal, uint8_t *out, size_t room)
{
    struct bw_writer w = bw_writer_of(out, room);
    bw_write_u64(&w, nonce);
    bw_write_u16(&w, (uint16_t)refusal);
    return written(&w);
}

size_t bw_bye_write(enum bw_refusal refusal, uint8_t *out, size_t room)
{
    struct bw_writer w = bw_writer_of(out, room);
    bw_write_u16(&w, (uint16_t)refusal);
    return written(&w);
}
