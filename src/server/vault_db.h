/* The vault core's ports to the database, on the vault's own connection. Threads: one at a time. */
#ifndef BW_SERVER_VAULT_DB_H
#define BW_SERVER_VAULT_DB_H

#include "server/vault_core.h"

/* What the ports' context begins with. */
struct bw_vault_db {
    const char *conninfo;
    struct bw_store_db *db; /* NULL: not connected yet; each use tries */
    struct bw_arena *arena; /* for one decision at a time */
};

/* Fills the ports of the database; context must point to a struct that begins with a struct bw_vault_db. */
void bw_vault_db_ports(struct bw_vault_ports *ports);
void bw_vault_db_finish(struct bw_vault_db *db);

#endif
