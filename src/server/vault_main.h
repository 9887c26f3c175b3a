/* The vault process: the same program started again by serve (bailiwickd vault --config FILE) with one socket
 * at descriptor 3. It alone reads the keyring and the service key and connects as the vault's database user.
 */
#ifndef BW_SERVER_VAULT_MAIN_H
#define BW_SERVER_VAULT_MAIN_H

#include "server/config.h"

/* Runs until the socket is closed. The exit code of the process. */
int bw_vault_main(const struct bw_daemon_config *config);

#endif
