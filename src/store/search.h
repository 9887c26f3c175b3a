/* Which meetings a tenant had, with what is kept in clear of their quality.
 * Threads and errors: see store/db.h. */
#ifndef BW_STORE_SEARCH_H
#define BW_STORE_SEARCH_H

#include "base/buf.h"
#include "store/quality.h"

struct bw_store_search {
    struct bw_id tenant;
    uint64_t since_ms, until_ms; /* created in; unix */
    const struct bw_id *below;   /* ids below this one; NULL: from the newest */
    /* Of what is known of the quality. 0: anything, also nothing. */
    uint8_t rank; /* at least: 2 green, 3 amber, 4 red */
    uint8_t reason;
    uint32_t poor_minutes; /* at least */
    /* Decisions concern one of these; relays NULL: any. */
    const uint32_t *relays;
    size_t relay_count;
    uint32_t limit;
};

struct bw_store_found_meeting {
    struct bw_id meeting;
    uint16_t last_kind;         /* of its newest decision */
    struct bw_view last_record; /* likewise; valid during the call */
    uint32_t policy_revision;   /* likewise */
    uint32_t joined;            /* admissions, connectors too */
    const uint32_t *relays;     /* that its decisions concern; valid during the call */
    size_t relay_count;
    bool has_quality;
    struct bw_store_meeting_quality quality; /* without its relays */
};
typedef bool bw_store_on_meeting(void *context, const struct bw_store_found_meeting *meeting);

/* Newest first, at most `limit`; false stops. */
BW_MUST_USE enum bw_code bw_store_meetings_search(struct bw_store_db *db,
                                                  const struct bw_store_search *search,
                                                  bw_store_on_meeting *each, void *context,
                                                  struct bw_error *err);

#endif
