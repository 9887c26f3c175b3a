/* Connectors: participants that need plaintext, and so exclude end-to-end encryption unless policy admits
 * them as endpoints. Spelled as policies and fleet files spell them. Threads: pure. */
#ifndef BW_POLICY_CONNECTOR_H
#define BW_POLICY_CONNECTOR_H

#include <stdint.h>

/* X(NAME, spelling) */
#define BW_CONNECTOR_MAP(X)                                                                                  \
    X(PSTN, "pstn")                                                                                          \
    X(SIP, "sip")                                                                                            \
    X(H323, "h323")                                                                                          \
    X(ROOM, "room")                                                                                          \
    X(RECORDING, "recording")                                                                                \
    X(LIVESTREAM, "livestream")                                                                              \
    X(TRANSCRIPTION, "transcription")                                                                        \
    X(APP, "app")

enum bw_connector {
#define X(name, spelling) BW_CONNECTOR_##name,
    BW_CONNECTOR_MAP(X)
#undef X
        BW_CONNECTOR_COUNT
};

/* Sets are uint32_t masks. */
#define BW_CONNECTOR_BIT(connector) (UINT32_C(1) << (connector))
#define BW_CONNECTORS_ALL           ((UINT32_C(1) << BW_CONNECTOR_COUNT) - 1)

/* "pstn". */
const char *bw_connector_name(enum bw_connector connector);
/* BW_CONNECTOR_COUNT when there is none of that name. */
enum bw_connector bw_connector_parse(const char *name);

#endif
