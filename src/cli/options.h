/* Rows that several verbs' option tables share. */
#ifndef BW_CLI_OPTIONS_H
#define BW_CLI_OPTIONS_H

#include "cli/args.h"

/* A constraint of C: a table's initialiser cannot copy another object, hence macros. */
#define BW_TENANT_OPTION                                                                                     \
    {                                                                                                        \
        .name = "tenant", .type = BW_OPTION_TEXT, .value = "NAME",                                           \
        .help = "the tenant to act for; otherwise BAILIWICK_TENANT or the context's"                         \
    }
#define BW_LIMIT_OPTION                                                                                      \
    {                                                                                                        \
        .name = "limit", .type = BW_OPTION_UINT, .value = "N",                                               \
        .help = "show at most so many (default 1000; 0: all)"                                                \
    }
#define BW_REQUEST_ID_OPTION                                                                                 \
    {                                                                                                        \
        .name = "request-id", .type = BW_OPTION_TEXT, .value = "UUID",                                       \
        .help = "repeat an earlier request: the same id gets the same answer (default: a new one)"           \
    }
#define BW_CREDENTIAL_OPTIONS                                                                                \
    {.name = "new-key",                                                                                      \
     .type = BW_OPTION_FILE,                                                                                 \
     .value = "OUT.key",                                                                                     \
     .help = "make a private key and write it to this new file (mode 0600)"},                                \
        {.name = "csr",                                                                                      \
         .type = BW_OPTION_FILE,                                                                             \
         .value = "FILE",                                                                                    \
         .help = "a certificate request (PKCS#10) for a key that stays where it is"},                        \
        {.name = "out",                                                                                      \
         .type = BW_OPTION_FILE,                                                                             \
         .value = "OUT.crt",                                                                                 \
         .help = "write the certificate to this new file (default: print it)"},                              \
    {                                                                                                        \
        .name = "days", .type = BW_OPTION_UINT, .value = "N", .max = 825,                                    \
        .help = "how long the certificate is good (default: the cell's)"                                     \
    }
#define BW_MEETING_OPERAND                                                                                   \
    {                                                                                                        \
        .name = "MEETING", .required = true, .help = "the meeting's id"                                      \
    }
#define BW_ENTRY_OPERAND                                                                                     \
    {                                                                                                        \
        .name = "ENTRY", .required = true, .help = "the roster entry's id"                                   \
    }

/* For a verb's initialiser. */
#define BW_OPTIONS(rows)  .options = (rows), .option_count = sizeof(rows) / sizeof((rows)[0])
#define BW_OPERANDS(rows) .operands = (rows), .operand_count = sizeof(rows) / sizeof((rows)[0])

#endif
