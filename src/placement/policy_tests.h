/* The tests that a policy carries: run on the fleets they name, with what they expect and what they cover.
 *
 * A relay listed under `allow` must be allowed, one under `deny` denied for that reason among others, and one
 * that is not listed must be denied. Participants must all be admitted at the door. Live state (drain, load)
 * counts as the fleet file states it.
 *
 * Threads: pure; reading fleets is the caller's. Memory: the arena given. */
#ifndef BW_PLACEMENT_POLICY_TESTS_H
#define BW_PLACEMENT_POLICY_TESTS_H

#include "placement/snapshot.h"
#include "policy/constraint.h"
#include "policy/document.h"

enum bw_policy_test_problem {
    BW_TEST_NOT_ALLOWED,   /* listed under allow, but denied */
    BW_TEST_NOT_DENIED,    /* listed under deny, but allowed */
    BW_TEST_OTHER_REASON,  /* denied, but not for the reason listed */
    BW_TEST_NOT_LISTED,    /* allowed and not listed */
    BW_TEST_NO_SUCH_RELAY, /* listed, but not in the fleet */
    BW_TEST_NOT_ADMITTED,  /* a participant may not join from there */
    BW_TEST_CONTRADICTION, /* the levels contradict one another: `text` says how */
};

struct bw_policy_test_failure {
    enum bw_policy_test_problem problem;
    struct bw_pos at;  /* what it is about in the document: the expectation, or the test */
    const char *relay; /* or the participant's place; NULL for a contradiction */
    uint32_t reasons;  /* the relay's */
    const char *text;
};

struct bw_policy_test_result {
    const struct bw_policy_test *test;
    const struct bw_policy_test_failure *failures; /* none: passed */
    size_t failure_count;
};

/* An entry of transit.allow or transit.deny, of the organisation or a level below, and whether some test
 * depended on it: it let a relay through, or kept one out. */
struct bw_policy_test_entry {
    struct bw_pos at;
    const char *path;
    struct bw_view text;
    bool covered;
};

struct bw_policy_test_report {
    const struct bw_policy_test_result *results;
    size_t count, failed;
    const struct bw_policy_test_entry *entries;
    size_t entry_count, covered;
};

/* The fleet at `path` (as the document writes it); the reference is given away. */
typedef enum bw_code bw_policy_test_fleet(void *context, const char *path, struct bw_snapshot **snapshot,
                                          struct bw_error *err);

/* Errors are those of the fleets (passed through) and RESOURCE_EXHAUSTED; a failing test is in the report. */
BW_MUST_USE enum bw_code bw_policy_tests_run(const struct bw_policy_doc *doc, bw_policy_test_fleet *fleet,
                                             void *context, uint64_t now_ms, struct bw_arena *arena,
                                             struct bw_policy_test_report *report, struct bw_error *err);

/* "fra1 is allowed, but not listed" */
void bw_policy_test_failure_text(const struct bw_policy_test_failure *failure, struct bw_buf *out);

#endif
