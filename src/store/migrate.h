/* Applies the numbered files of schema/ to a database. Threads and errors: as store/db.h. */
#ifndef BW_STORE_MIGRATE_H
#define BW_STORE_MIGRATE_H

#include "store/db.h"

/* Called after each file that was applied. */
typedef void bw_store_migrated(void *context, unsigned int version, const char *name);

/* Applies every file NNNN_name.sql of `directory` that the database lacks, in order, each in one transaction
 * together with its entry (version, name, SHA-256) in schema_migration. Concurrent runs wait for each other.
 * applied may be NULL; *count (may be NULL) is how many were applied.
 * FAILED_PRECONDITION: reason SCHEMA_CHANGED when an applied file differs from the one in the directory,
 * SCHEMA_NEW when the database holds versions that the directory lacks. INVALID_ARGUMENT: the directory
 * cannot be read, or its numbers have a gap; INTERNAL: a file failed, and nothing of it stays. */
BW_MUST_USE enum bw_code bw_store_migrate(struct bw_store_db *db, const char *directory,
                                          bw_store_migrated *applied, void *context, unsigned int *count,
                                          struct bw_error *err);

#endif
