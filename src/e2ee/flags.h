/* The three flags of a participant (allocated, capable, observed), and the label computed from them.
 * Numbers are those of the wire. Threads: pure. */
#ifndef BW_E2EE_FLAGS_H
#define BW_E2EE_FLAGS_H

#include "e2ee/mode.h"

/* What an endpoint is. X(NAME, number, spelling, schemes it can do, is always a connector) */
#define BW_ENDPOINT_MAP(X)                                                                                   \
    X(NATIVE, 1, "native", BW_SCHEME_BIT(SFRAME_MLS) | BW_SCHEME_BIT(SFRAME), false)                         \
    X(WEB, 2, "web", BW_SCHEME_BIT(SFRAME_MLS) | BW_SCHEME_BIT(SFRAME) | BW_SCHEME_BIT(INSERTABLE_STREAMS),  \
      false)                                                                                                 \
    X(MOBILE, 3, "mobile", BW_SCHEME_BIT(SFRAME_MLS) | BW_SCHEME_BIT(SFRAME), false)                         \
    X(ROOM, 4, "room", BW_SCHEME_BIT(SFRAME_MLS) | BW_SCHEME_BIT(SFRAME), false)                             \
    X(PSTN, 5, "pstn", 0, true)                                                                              \
    X(SIP, 6, "sip", 0, true)                                                                                \
    X(H323, 7, "h323", 0, true)                                                                              \
    X(RECORDING, 8, "recording", 0, true)                                                                    \
    X(LIVESTREAM, 9, "livestream", 0, true)                                                                  \
    X(TRANSCRIPTION, 10, "transcription", 0, true)                                                           \
    X(APP, 11, "app", 0, true)

#define BW_SCHEME_BIT(name) (UINT32_C(1) << BW_SCHEME_##name)

enum bw_scheme {
    BW_SCHEME_NONE = 0,
    BW_SCHEME_SFRAME_MLS = 1, /* SFrame (RFC 9605), keys from MLS (RFC 9420) */
    BW_SCHEME_SFRAME = 2,     /* SFrame, keys from the application */
    BW_SCHEME_INSERTABLE_STREAMS = 3,
    BW_SCHEME_COUNT
};

#define BW_SCHEMES_ALL (BW_SCHEME_BIT(SFRAME_MLS) | BW_SCHEME_BIT(SFRAME) | BW_SCHEME_BIT(INSERTABLE_STREAMS))

/* SFrame cipher suites, numbered as RFC 9605 section 4.5 does. */
enum bw_suite {
    BW_SUITE_NONE = 0,
    BW_SUITE_AES_128_CTR_HMAC_SHA256_80 = 1,
    BW_SUITE_AES_128_CTR_HMAC_SHA256_64 = 2,
    BW_SUITE_AES_128_CTR_HMAC_SHA256_32 = 3,
    BW_SUITE_AES_128_GCM_SHA256_128 = 4,
    BW_SUITE_AES_256_GCM_SHA512_128 = 5,
    BW_SUITE_COUNT
};

enum bw_endpoint {
    BW_ENDPOINT_NONE = 0,
#define X(name, number, spelling, schemes, connector) BW_ENDPOINT_##name = number,
    BW_ENDPOINT_MAP(X)
#undef X
        BW_ENDPOINT_COUNT
};

enum bw_observed { BW_OBSERVED_NOTHING = 0, BW_OBSERVED_PLAIN = 1, BW_OBSERVED_E2EE = 2 };

/* "sframe-mls"; "none" otherwise. Parsing gives NONE for an unknown name. */
const char *bw_scheme_name(enum bw_scheme scheme);
enum bw_scheme bw_scheme_parse(struct bw_view name);
/* "AES_256_GCM_SHA512_128"; "NONE" otherwise. */
const char *bw_suite_name(enum bw_suite suite);
enum bw_suite bw_suite_parse(struct bw_view name);
/* "native"; "none" otherwise. */
const char *bw_endpoint_name(enum bw_endpoint endpoint);
enum bw_endpoint bw_endpoint_parse(struct bw_view name);
/* Is always a connector. A room is one when it is invited as one, an endpoint when it joins by itself. */
bool bw_endpoint_is_connector(enum bw_endpoint endpoint);

/* The schemes (BW_SCHEME_BIT mask) an endpoint can do: what its kind can, and of that only what it declares.
 * declared NULL: it was not asked (planning ahead). An old client declares nothing, and so can do nothing. */
uint32_t bw_endpoint_schemes(enum bw_endpoint endpoint, const uint32_t *declared);
/* What all of several can do, best first; NONE when there is no such scheme. */
enum bw_scheme bw_scheme_best(uint32_t schemes);

/* What policy and mode give. All zero in mode hop. */
struct bw_flags_allocated {
    enum bw_scheme scheme;
    enum bw_suite suite;
    uint32_t epoch; /* mode epoch */
};

struct bw_flags_observed {
    enum bw_observed state;
    enum bw_scheme scheme;
    uint32_t epoch; /* mode epoch it was made in */
    bool confirmed; /* the relay's view agrees with the endpoint's report */
};

struct bw_flags {
    bool connector;
    uint32_t capable; /* BW_SCHEME_BIT mask */
    struct bw_flags_allocated allocated;
    struct bw_flags_observed observed;
};

/* What one meeting's end-to-end encryption uses: endpoints with different schemes cannot read each other, so
 * the first that is allocated settles it for all. All zero until then. Before a roster is allocated anew (a
 * raise), set the scheme to the best that all of it can do; when there is none, those it leaves out count as
 * incapable. */
struct bw_flags_meeting {
    enum bw_scheme scheme;
    enum bw_suite suite;
};

/* The suite for a meeting: the first the policy lists; 256-bit GCM where it lists none. */
enum bw_suite bw_suite_choose(const enum bw_suite *allowed, size_t count);

/* Allocates for one participant in a mode; *meeting gets its scheme from the first. A connector in mode
 * e2ee+connectors is an endpoint like others and gets the meeting's scheme, since its gateway does the
 * cryptography. In mode partial an incapable participant gets nothing.
 * FAILED_PRECONDITION MODE_FORBIDS_PARTICIPANT or MODE_FORBIDS_CONNECTOR, with what would have to change. */
BW_MUST_USE enum bw_code bw_flags_allocate(const struct bw_mode_state *state, enum bw_endpoint endpoint,
                                           bool connector, uint32_t capable, enum bw_suite suite,
                                           struct bw_flags_meeting *meeting, struct bw_flags *flags,
                                           struct bw_error *err);

/* How a participant falls short of the meeting's mode. */
enum bw_mismatch {
    BW_MISMATCH_NONE,
    BW_MISMATCH_UNOBSERVED, /* nothing confirmed yet in this mode epoch */
    BW_MISMATCH_PLAIN,      /* its media is observed without end-to-end encryption */
    BW_MISMATCH_SCHEME,     /* encrypts, with another scheme than allocated */
    BW_MISMATCH_INCAPABLE,  /* cannot do it at all */
    BW_MISMATCH_CONNECTOR,  /* a connector where the mode knows none */
    BW_MISMATCH_COUNT
};

enum bw_mismatch bw_flags_mismatch(const struct bw_mode_state *state, const struct bw_flags *flags);
/* "is not yet confirmed to use end-to-end encryption": ends the sentence that a name begins. */
const char *bw_mismatch_text(enum bw_mismatch mismatch);

/* Counts one participant in or out; counts of a roster are the sum over it. After a new mode epoch count the
 * roster again from zero, since observations of an older epoch no longer confirm anything. */
void bw_flags_count_in(const struct bw_mode_state *state, const struct bw_flags *flags,
                       struct bw_mode_counts *counts);
void bw_flags_count_out(const struct bw_mode_state *state, const struct bw_flags *flags,
                        struct bw_mode_counts *counts);

/* What may be shown to people. e2ee: everyone is confirmed and there is no connector; e2ee+connectors: as
 * e2ee but for connectors; partial: anything less in a meeting that is allocated end-to-end encryption. */
enum bw_mode bw_flags_label(const struct bw_mode_state *state, const struct bw_mode_counts *counts);

#endif
