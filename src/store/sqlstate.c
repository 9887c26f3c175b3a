#include "store/sqlstate.h"

#include <stddef.h>
#include <string.h>

#include "base/check.h"

/* The first prefix that fits counts: codes before their classes. */
static const struct bw_sqlstate states[] = {
    {"BW001", BW_FAILED_PRECONDITION, "FENCED", true, false, false, NULL},
    {"BW002", BW_ABORTED, "STALE_POLICY", true, false, false, NULL},
    {"BW003", BW_ABORTED, "STALE_FACTS", true, false, false, NULL},
    {"BW004", BW_ABORTED, "REVISION_CONFLICT", true, false, false, NULL},
    {"BW005", BW_FAILED_PRECONDITION, NULL, true, false, false, NULL},
    {"BW006", BW_NOT_FOUND, NULL, true, false, false, NULL},
    {"BW007", BW_ALREADY_EXISTS, NULL, true, false, false, NULL},
    {"BW008", BW_INVALID_ARGUMENT, NULL, true, false, false, NULL},
    {"40001", BW_ABORTED, "CONTENDED", false, true, false,
     "the database aborted the change repeatedly; try again"},
    {"40P01", BW_ABORTED, "CONTENDED", false, true, false,
     "the database aborted the change repeatedly; try again"},
    {"55P03", BW_ABORTED, "CONTENDED", false, true, false,
     "the database aborted the change repeatedly; try again"},
    {"23505", BW_ALREADY_EXISTS, NULL, false, false, false, "it exists already"},
    {"23503", BW_FAILED_PRECONDITION, NULL, false, false, false, "what it refers to does not exist"},
    {"23514", BW_INVALID_ARGUMENT, NULL, false, false, false, "a value breaks a rule of the database"},
    {"22021", BW_INVALID_ARGUMENT, NULL, false, false, false, "a text is not valid UTF-8"},
    {"25006", BW_UNAVAILABLE, "DATABASE_READ_ONLY", false, false, true,
     "the database is read-only (a standby?); waiting for a primary"},
    {"28", BW_UNAVAILABLE, "DATABASE_LOGIN", false, false, true,
     "the database refuses our login; check the connection settings and pg_hba.conf"},
    {"3D000", BW_UNAVAILABLE, "DATABASE_MISSING", false, false, true,
     "the database named in the connection settings does not exist"},
    {"3F000", BW_FAILED_PRECONDITION, "SCHEMA_OLD", false, false, false,
     "the database lacks what this version needs; run `bailiwickd migrate`"},
    {"42P01", BW_FAILED_PRECONDITION, "SCHEMA_OLD", false, false, false,
     "the database lacks what this version needs; run `bailiwickd migrate`"},
    {"42883", BW_FAILED_PRECONDITION, "SCHEMA_OLD", false, false, false,
     "the database lacks what this version needs; run `bailiwickd migrate`"},
    {"42703", BW_FAILED_PRECONDITION, "SCHEMA_OLD", false, false, false,
     "the database lacks what this version needs; run `bailiwickd migrate`"},
    {"42501", BW_FAILED_PRECONDITION, "DATABASE_RIGHTS", false, false, false,
     "our database role lacks a right; the log says which"},
    {"53100", BW_RESOURCE_EXHAUSTED, "DISK_FULL", false, false, false, "the database's disk is full"},
    {"53300", BW_RESOURCE_EXHAUSTED, "DATABASE_CONNECTIONS", false, false, true,
     "the database has no connection left for us; raise max_connections"},
    {"53", BW_RESOURCE_EXHAUSTED, NULL, false, false, false, "the database is out of resources"},
    {"57014", BW_UNAVAILABLE, "DATABASE_SLOW", false, false, false, "the database took too long"},
    {"57", BW_UNAVAILABLE, NULL, false, false, true, "the database is stopping or starting"},
    {"58", BW_UNAVAILABLE, "DATABASE_IO", false, false, false, "the database has trouble with its files"},
    {"08", BW_UNAVAILABLE, NULL, false, false, true, "the connection to the database is lost"},
    {"XX", BW_DATA_LOSS, NULL, false, false, false, "the database reports an internal error or damaged data"},
};

static const struct bw_sqlstate lost = {
    "", BW_UNAVAILABLE, NULL, false, false, true, "the connection to the database is lost"};
static const struct bw_sqlstate fault = {
    "", BW_INTERNAL, NULL, false, false, false, "the database refused what we sent; the log has the details"};

const struct bw_sqlstate *bw_sqlstate_of(const char *sqlstate)
{
    if (sqlstate == NULL)
        return &lost;
    for (size_t i = 0; i < BW_ARRAY_LEN(states); i++)
        if (strncmp(sqlstate, states[i].prefix, strlen(states[i].prefix)) == 0)
            return &states[i];
    return &fault;
}
