/* A small CA for tests: writes PEM files into a folder. */
#ifndef BW_TESTS_CERTIFICATES_H
#define BW_TESTS_CERTIFICATES_H

#include <stdbool.h>

struct test_ca;

struct test_leaf {
    const char *name; /* NAME.crt and NAME.key are written */
    const char *san;  /* as in openssl.cnf: "URI:spiffe://t/x/y,DNS:localhost" */
    bool is_ca;       /* CA:TRUE, as a leaf must not be */
    bool expired;
    bool revoked;
};

/* Writes NAME.crt and NAME.crl into folder. Fails the test on errors, as all of these do. */
struct test_ca *test_ca_create(const char *folder, const char *name);
void test_ca_issue(struct test_ca *ca, const struct test_leaf *leaf);
/* Writes the revocation list anew, with every leaf issued as revoked. */
void test_ca_write_crl(struct test_ca *ca);
void test_ca_destroy(struct test_ca *ca);

#endif
