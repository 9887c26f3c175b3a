#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "server/pki_init.h"

enum { USAGE = 2, NAMES_MAX = 64 };

static const char usage[] =
    "usage: bailiwickd init --dir DIR --cell NAME [--dns HOST]... [--ip ADDRESS]... [--replica NAME]\n"
    "                       [--operator NAME] [--trust-domain NAME] [--ca-cert FILE --ca-key FILE]\n"
    "Makes what a new cell needs: a CA (or takes yours), the key that signs grants, the server's "
    "certificate,\n"
    "the first operator's credential and a configuration to start from. Files that exist are kept.\n";

static bool parse(int argc, char **argv, struct bw_pki_init *init, const char **dns, const char **ips)
{
    static const struct option names[] = {
        {"dir", required_argument, NULL, 'd'},
        {"cell", required_argument, NULL, 'c'},
        {"dns", required_argument, NULL, 'n'},
        {"ip", required_argument, NULL, 'i'},
        {"replica", required_argument, NULL, 'r'},
        {"operator", required_argument, NULL, 'o'},
        {"trust-domain", required_argument, NULL, 't'},
        {"ca-cert", required_argument, NULL, 'C'},
        {"ca-key", required_argument, NULL, 'K'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    int option;
    optind = 1;
    while ((option = getopt_long(argc, argv, "h", names, NULL)) != -1) {
        switch (option) {
        case 'd':
            init->directory = optarg;
            break;
        case 'c':
            init->cell = optarg;
            break;
        case 'n':
            if (init->dns_count == NAMES_MAX)
                return false;
            dns[init->dns_count++] = optarg;
            break;
        case 'i':
            if (init->ip_count == NAMES_MAX)
                return false;
            ips[init->ip_count++] = optarg;
            break;
        case 'r':
            init->replica = optarg;
            break;
        case 'o':
            init->operator_name = optarg;
            break;
        case 't':
            init->trust_domain = optarg;
            break;
        case 'C':
            init->ca_certificate = optarg;
            break;
        case 'K':
            init->ca_key = optarg;
            break;
        case 'h':
            fputs(usage, stdout);
            exit(0);
        default:
            return false;
        }
    }
    return optind == argc && init->directory != NULL && init->cell != NULL;
}

int bw_pki_init_main(int argc, char **argv)
{
    const char *dns[NAMES_MAX], *ips[NAMES_MAX];
    struct bw_pki_init init = {.dns = dns, .ips = ips};
    if (!parse(argc, argv, &init, dns, ips)) {
        fputs(usage, stderr);
        return USAGE;
    }
    struct bw_buf report = {0};
    struct bw_error err;
    enum bw_code code = bw_pki_init(&init, &report, &err);
    fwrite(report.data, 1, report.len, stdout);
    bw_buf_finish(&report);
    if (code != BW_OK) {
        fflush(stdout);
        fprintf(stderr, "bailiwickd init: %s\n", err.show);
        return 1;
    }
    printf(
        "next: set database.conninfo in %s/bailiwickd.yaml, then bailiwickd migrate and bailiwickd serve\n",
        init.directory);
    return 0;
}
