/* User patterns: who a group or a user level is about.
 *   user:dr.x@board.example   exactly this user
 *   user:*@board.example      everyone of this domain (not of its subdomains)
 *   user:*@*.example          everyone of any subdomain, at any depth, of example
 *   user:surgery-*@x.example  local parts that begin so
 *   user:*                    everyone
 * The domain is compared without regard to (ASCII) case, the local part exactly. `*` stands only as the whole
 * local part, as its end, or as the leftmost label of the domain. Users and patterns are printable ASCII.
 * Threads: pure. */
#ifndef BW_POLICY_PATTERN_H
#define BW_POLICY_PATTERN_H

#include <stdbool.h>

#include "base/buf.h"

enum { BW_USER_MAX_BYTES = 254 };

struct bw_user_pattern {
    bool everyone;
    bool prefix;           /* local is a beginning (empty: any local part) */
    bool subdomains;       /* domain is a parent of the user's domain */
    struct bw_view local;  /* views into the pattern's text */
    struct bw_view domain; /* without "*." */
};

/* localpart@domain, at most 254 bytes, printable ASCII, no spaces, no "*". */
bool bw_user_valid(struct bw_view user);
/* NULL when `text` is a pattern; otherwise what is wrong with it (a literal), and *pattern is untouched. */
const char *bw_user_pattern_parse(struct bw_view text, struct bw_user_pattern *pattern);
bool bw_user_pattern_matches(const struct bw_user_pattern *pattern, struct bw_view user);

#endif
