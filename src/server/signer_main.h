/* The signer process: the only one that reads the signing key and the CA key. It talks to nobody but the
 * daemon that started it, over the sockets it was given. */
#ifndef BW_SERVER_SIGNER_MAIN_H
#define BW_SERVER_SIGNER_MAIN_H

/* argv[0] is the verb; options:
 *   --key FILE           Ed25519 private key that signs; repeated: the first signs, the others are only
 *                        published, for a rotation (at most 16)
 *   --ca-cert FILE --ca-key FILE --trust-domain NAME     all three: this process issues certificates
 *   --log-json
 * Sockets are the descriptors from 3 on. Returns the process's exit code: 0 when the last socket was closed,
 * 2 for bad options, 78 (EX_CONFIG) when a key cannot be used. */
int bw_signer_main(int argc, char **argv);

#endif
