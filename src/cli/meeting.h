/* What the verbs of `meeting` share. Threads: one. */
#ifndef BW_CLI_MEETING_H
#define BW_CLI_MEETING_H

#include "cli/output.h"

/* The words of enums in the order of their numbers, which begin at 1; end with NULL. */
extern const char *const bw_kind_names[], *const bw_scheme_names[];

extern const struct bw_view_table bw_admission_view, bw_meeting_view;
extern const struct bw_column bw_roster_columns[];
extern const size_t bw_roster_column_count;

#endif
