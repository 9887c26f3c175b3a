#include "e2ee/flags.h"

#include <string.h>

#include "base/check.h"

static const char *const scheme_names[BW_SCHEME_COUNT] = {
    [BW_SCHEME_NONE] = "none",
    [BW_SCHEME_SFRAME_MLS] = "sframe-mls",
    [BW_SCHEME_SFRAME] = "sframe",
    [BW_SCHEME_INSERTABLE_STREAMS] = "insertable-streams",
};

static const char *const suite_names[BW_SUITE_COUNT] = {
    [BW_SUITE_NONE] = "NONE",
    [BW_SUITE_AES_128_CTR_HMAC_SHA256_80] = "AES_128_CTR_HMAC_SHA256_80",
    [BW_SUITE_AES_128_CTR_HMAC_SHA256_64] = "AES_128_CTR_HMAC_SHA256_64",
    [BW_SUITE_AES_128_CTR_HMAC_SHA256_32] = "AES_128_CTR_HMAC_SHA256_32",
    [BW_SUITE_AES_128_GCM_SHA256_128] = "AES_128_GCM_SHA256_128",
    [BW_SUITE_AES_256_GCM_SHA512_128] = "AES_256_GCM_SHA512_128",
};

static const struct {
    const char *name;
    uint32_t schemes;
    bool connector;
} endpoints[BW_ENDPOINT_COUNT] = {[BW_ENDPOINT_NONE] = {"none", 0, false},
#define X(name, number, spelling, schemes, connector) [number] = {spelling, schemes, connector},
                                  BW_ENDPOINT_MAP(X)
#undef X
};

static const char *const mismatch_words[BW_MISMATCH_COUNT] = {
    [BW_MISMATCH_NONE] = "uses end-to-end encryption as allocated",
    [BW_MISMATCH_UNOBSERVED] = "is not yet confirmed to use end-to-end encryption",
    [BW_MISMATCH_PLAIN] = "is observed without end-to-end encryption",
    [BW_MISMATCH_SCHEME] = "encrypts with another scheme than it was allocated",
    [BW_MISMATCH_INCAPABLE] = "cannot do end-to-end encryption",
    [BW_MISMATCH_CONNECTOR] = "is a connector, which this mode does not know",
};

const char *bw_scheme_name(enum bw_scheme scheme)
{
    return scheme_names[(unsigned)scheme < BW_SCHEME_COUNT ? scheme : BW_SCHEME_NONE];
}

enum bw_scheme bw_scheme_parse(struct bw_view name)
{
    for (int i = BW_SCHEME_NONE + 1; i < BW_SCHEME_COUNT; i++) {
        if (bw_view_equal_str(name, scheme_names[i]))
            return (enum bw_scheme)i;
    }
    return BW_SCHEME_NONE;
}

const char *bw_suite_name(enum bw_suite suite)
{
    return suite_names[(unsigned)suite < BW_SUITE_COUNT ? suite : BW_SUITE_NONE];
}

enum bw_suite bw_suite_parse(struct bw_view name)
{
    for (int i = BW_SUITE_NONE + 1; i < BW_SUITE_COUNT; i++) {
        if (bw_view_equal_str(name, suite_names[i]))
            return (enum bw_suite)i;
    }
    return BW_SUITE_NONE;
}

const char *bw_endpoint_name(enum bw_endpoint endpoint)
{
    return endpoints[(unsigned)endpoint < BW_ENDPOINT_COUNT ? endpoint : BW_ENDPOINT_NONE].name;
}

enum bw_endpoint bw_endpoint_parse(struct bw_view name)
{
    for (int i = BW_ENDPOINT_NONE + 1; i < BW_ENDPOINT_COUNT; i++) {
        if (bw_view_equal_str(name, endpoints[i].name))
            return (enum bw_endpoint)i;
    }
    return BW_ENDPOINT_NONE;
}

bool bw_endpoint_is_connector(enum bw_endpoint endpoint)
{
    return (unsigned)endpoint < BW_ENDPOINT_COUNT && endpoints[endpoint].connector;
}

uint32_t bw_endpoint_schemes(enum bw_endpoint endpoint, const uint32_t *declared)
{
    if ((unsigned)endpoint >= BW_ENDPOINT_COUNT)
        return 0;
    return declared != NULL ? endpoints[endpoint].schemes & *declared : endpoints[endpoint].schemes;
}

enum bw_scheme bw_scheme_best(uint32_t schemes)
{
    for (int i = BW_SCHEME_NONE + 1; i < BW_SCHEME_COUNT; i++) {
        if (schemes & UINT32_C(1) << i)
            return (enum bw_scheme)i;
    }
    return BW_SCHEME_NONE;
}

enum bw_suite bw_suite_choose(const enum bw_suite *allowed, size_t count)
{
    return count > 0 ? allowed[0] : BW_SUITE_AES_256_GCM_SHA512_128;
}

static bool allocates(enum bw_mode mode)
{
    return mode == BW_MODE_E2EE || mode == BW_MODE_E2EE_CONNECTORS || mode == BW_MODE_PARTIAL;
}

static enum bw_code refuse_participant(enum bw_endpoint endpoint, uint32_t capable,
                                       const struct bw_flags_meeting *meeting, struct bw_error *err)
{
    static const char reason[] = "MODE_FORBIDS_PARTICIPANT";
    if (capable == 0)
        return bw_fail(
            err, BW_FAILED_PRECONDITION, reason,
            "this endpoint (%s) declares no end-to-end encryption, and the meeting has it; join with a "
            "current client, or the meeting would have to be in mode hop",
            bw_endpoint_name(endpoint));
    return bw_fail(err, BW_FAILED_PRECONDITION, reason,
                   "this endpoint (%s) cannot do %s, which the meeting uses; join with a client that can",
                   bw_endpoint_name(endpoint), bw_scheme_name(meeting->scheme));
}

enum bw_code bw_flags_allocate(const struct bw_mode_state *state, enum bw_endpoint endpoint, bool connector,
                               uint32_t capable, enum bw_suite suite, struct bw_flags_meeting *meeting,
                               struct bw_flags *flags, struct bw_error *err)
{
    struct bw_flags made = {.connector = connector, .capable = connector ? 0 : capable};
    if (connector && state->mode == BW_MODE_E2EE)
        return bw_fail(
            err, BW_FAILED_PRECONDITION, "MODE_FORBIDS_CONNECTOR",
            "a connector (%s) needs plaintext and cannot enter a meeting in mode e2ee; the policy would "
            "have to say connectorsAsEndpoints: true, or the meeting be in mode hop",
            bw_endpoint_name(endpoint));
    if (!allocates(state->mode)) {
        *flags = made;
        return BW_OK;
    }
    enum bw_scheme scheme = meeting->scheme;
    if (scheme == BW_SCHEME_NONE)
        scheme = connector ? BW_SCHEME_SFRAME_MLS : bw_scheme_best(capable);
    bool can = connector || (scheme != BW_SCHEME_NONE && (capable & UINT32_C(1) << scheme) != 0);
    if (!can && state->mode != BW_MODE_PARTIAL)
        return refuse_participant(endpoint, capable, meeting, err);
    if (can) {
        if (meeting->scheme == BW_SCHEME_NONE) {
            meeting->scheme = scheme;
            meeting->suite = suite;
        }
        made.allocated.scheme = scheme;
        made.allocated.suite = meeting->suite;
        made.allocated.epoch = state->epoch;
    }
    *flags = made;
    return BW_OK;
}

enum bw_mismatch bw_flags_mismatch(const struct bw_mode_state *state, const struct bw_flags *flags)
{
    const struct bw_flags_observed *observed = &flags->observed;
    if (!allocates(state->mode))
        return BW_MISMATCH_NONE;
    if (flags->connector && state->mode == BW_MODE_E2EE)
        return BW_MISMATCH_CONNECTOR;
    if (!flags->connector && flags->allocated.scheme == BW_SCHEME_NONE)
        return BW_MISMATCH_INCAPABLE;
    /* Plain once is plain until somebody confirms better; encryption has to be confirmed in this epoch. */
    if (observed->state == BW_OBSERVED_PLAIN)
        return BW_MISMATCH_PLAIN;
    if (observed->state != BW_OBSERVED_E2EE || !observed->confirmed || observed->epoch != state->epoch)
        return BW_MISMATCH_UNOBSERVED;
    if (observed->scheme != flags->allocated.scheme)
        return BW_MISMATCH_SCHEME;
    return BW_MISMATCH_NONE;
}

const char *bw_mismatch_text(enum bw_mismatch mismatch)
{
    return (unsigned)mismatch < BW_MISMATCH_COUNT ? mismatch_words[mismatch] : "";
}

static struct bw_mode_counts counts_of(const struct bw_mode_state *state, const struct bw_flags *flags)
{
    enum bw_mismatch mismatch = bw_flags_mismatch(state, flags);
    struct bw_mode_counts one = {0};
    one.connectors = flags->connector;
    one.incapable = !flags->connector && flags->capable == 0;
    one.unobserved = mismatch == BW_MISMATCH_UNOBSERVED;
    one.plain = mismatch == BW_MISMATCH_PLAIN || mismatch == BW_MISMATCH_SCHEME ||
                mismatch == BW_MISMATCH_INCAPABLE || mismatch == BW_MISMATCH_CONNECTOR || one.incapable;
    return one;
}

void bw_flags_count_in(const struct bw_mode_state *state, const struct bw_flags *flags,
                       struct bw_mode_counts *counts)
{
    struct bw_mode_counts one = counts_of(state, flags);
    counts->connectors += one.connectors;
    counts->incapable += one.incapable;
    counts->plain += one.plain;
    counts->unobserved += one.unobserved;
}

void bw_flags_count_out(const struct bw_mode_state *state, const struct bw_flags *flags,
                        struct bw_mode_counts *counts)
{
    struct bw_mode_counts one = counts_of(state, flags);
    BW_CHECK(counts->connectors >= one.connectors && counts->incapable >= one.incapable &&
             counts->plain >= one.plain && counts->unobserved >= one.unobserved);
    counts->connectors -= one.connectors;
    counts->incapable -= one.incapable;
    counts->plain -= one.plain;
    counts->unobserved -= one.unobserved;
}

enum bw_mode bw_flags_label(const struct bw_mode_state *state, const struct bw_mode_counts *counts)
{
    if (!allocates(state->mode))
        return state->mode;
    if (state->mode == BW_MODE_PARTIAL || counts->plain > 0 || counts->unobserved > 0)
        return BW_MODE_PARTIAL;
    return counts->connectors > 0 ? BW_MODE_E2EE_CONNECTORS : state->mode;
}
