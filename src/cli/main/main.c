/* bailiwick: the command line of tenant admins, support staff and operators. */
#include <locale.h>
#include <stdlib.h>

#include "cli/cli.h"

static const char *environment(const char *name)
{
    return getenv(name);
}

int main(int argc, char **argv)
{
    /* Names of people and places come in UTF-8; numbers stay as programs write them. */
    setlocale(LC_CTYPE, "");
    return bw_cli_main(argc, (const char *const *)argv, stdout, stderr, environment);
}
