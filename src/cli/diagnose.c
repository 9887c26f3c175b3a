/* What stands behind a connection that did not come about. */
#include "cli/diagnose.h"

#include <stddef.h>
#include <string.h>

/* Words in a failure of the connection, and what they most likely mean; the first that is found counts. */
static const struct {
    const char *words, *check, *todo;
    bool identity; /* one side did not prove who it is */
} meanings[] = {
    {"cannot find", "name", "check the host's spelling, and that this machine's DNS knows it", false},
    {"Connection refused", "port", "nothing listens there: is `bailiwickd serve` running, on this port?",
     false},
    {"No route to host", "network", "check the network and the firewall between here and there", false},
    {"Network is unreachable", "network", "check the network and the firewall between here and there", false},
    {"timed out", "network", "no answer: a firewall may drop it, or the address is wrong", false},
    {"hostname mismatch", "server name",
     "the server's certificate carries another name: give --server-name NAME or --server-spiffe-id ID", true},
    {"IP address mismatch", "server name",
     "the server's certificate does not carry this address: give --server-name NAME or --server-spiffe-id "
     "ID",
     true},
    {"does not carry the identity", "server name",
     "another server answers than the one you named: check --server-spiffe-id", true},
    {"not yet valid", "clock", "compare the clocks of both machines (`timedatectl`)", true},
    {"our certificate has expired", "validity",
     "the cell refuses your certificate: have a new one issued, or set the clock", true},
    {"certificate has expired", "validity",
     "the server's certificate, or yours, has expired, or a clock is wrong: compare with `timedatectl`",
     true},
    {"self-signed", "wrong ca",
     "the CA in --ca did not issue the server's certificate: take the cell's ca.crt", true},
    {"self signed", "wrong ca",
     "the CA in --ca did not issue the server's certificate: take the cell's ca.crt", true},
    {"unable to get local issuer", "wrong ca",
     "the CA in --ca did not issue the server's certificate: take the cell's ca.crt", true},
    {"certificate signature failure", "wrong ca",
     "the CA in --ca did not issue the server's certificate: take the cell's ca.crt", true},
    {"not issued by an authority", "your issuer",
     "the cell does not accept who issued your certificate: it is probably of another cell", true},
    {"wants a certificate", "your cert", "give --cert and --key", true},
    {"our certificate has been revoked", "revoked", "have a new one issued", true},
    {"does not accept our certificate", "your cert", "the cell does not accept the form of your certificate",
     true},
    {"alert", "tls", "the cell refused the handshake; its log says why", false},
    {"wrong version number", "tls", "this port does not speak TLS: check the port, or --insecure on loopback",
     false},
    {"unsupported protocol", "tls", "the server's TLS is too old: 1.3 is wanted", false},
    {"ALPN", "protocol", "this is a TLS server but no gRPC one: check the port", false},
    {"certificate verify failed", "wrong ca", "the CA in --ca did not issue the server's certificate", true},
    {"closed the connection", "protocol",
     "whatever listens there hung up: check that the port is the cell's gRPC port and speaks TLS", false},
    {"HTTP/2", "protocol", "this is no gRPC server: check the port", false},
};

struct bw_diagnosis bw_diagnose(const char *message)
{
    for (size_t i = 0; i < sizeof meanings / sizeof meanings[0]; i++)
        if (strstr(message, meanings[i].words) != NULL)
            return (struct bw_diagnosis){meanings[i].check, meanings[i].todo, meanings[i].identity};
    return (struct bw_diagnosis){"connection", NULL, false};
}
