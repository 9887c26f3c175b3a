#!/usr/bin/python3
"""What strangers send: bytes that are no gRPC, datagrams that are no grant, certificates that are not ours."""
import os
import random
import socket
import ssl
import subprocess
import sys
import time

import harness
from harness import expect


def still_serves(cell):
    meeting = harness.create(cell)
    admission = harness.join(cell, meeting)["admission"]
    expect(admission["relay"] in ("par1", "fra1", "zrh1", "lon1"), f"a join after it got {admission}")
    expect(cell.http("/healthz")[0] == 200, "/healthz does not answer any more")


def tls(cell, certificate="cell/operator"):
    context = ssl.create_default_context(cafile=cell.path("cell/ca.crt"))
    context.load_cert_chain(cell.path(certificate + ".crt"), cell.path(certificate + ".key"))
    context.set_alpn_protocols(["h2"])
    return context.wrap_socket(socket.create_connection(("127.0.0.1", cell.state["ports"]["grpc"]), 5),
                               server_hostname="localhost")


def send_all(connection, data):
    """Sends, and reads what comes back until the other side has had enough."""
    connection.settimeout(2)
    try:
        connection.sendall(data)
        while connection.recv(65536):
            pass
    except (OSError, ssl.SSLError):
        pass
    finally:
        connection.close()


def check_bytes_that_are_no_grpc_do_no_harm(cell):
    seed = random.Random(7)
    before = cell.pid("bailiwickd")
    address = ("127.0.0.1", cell.state["ports"]["grpc"])
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    for data in (b"", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", seed.randbytes(20000), b"\x16\x03\x01\xff\xff" + seed.randbytes(500)):
        connection = socket.create_connection(address, 5)
        connection.settimeout(0.3)
        try:
            connection.sendall(data)
            connection.recv(4096)
        except OSError:
            pass
        connection.close()
    for data in (seed.randbytes(5000), preface + seed.randbytes(5000),
                 preface + b"\xff\xff\xff\x04\x00\x00\x00\x00\x00", b"GET / HTTP/1.1\r\n\r\n",
                 preface + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00" + b"\x00\x00\x08\x01\x05\x00\x00\x00\x01" + seed.randbytes(8)):
        send_all(tls(cell), data)
    expect(cell.pid("bailiwickd") == before, "bailiwickd ended")
    still_serves(cell)


def check_silent_connections_do_not_stop_others(cell):
    address = ("127.0.0.1", cell.state["ports"]["grpc"])
    held = [socket.create_connection(address, 5) for _ in range(100)]
    try:
        begun = time.monotonic()
        still_serves(cell)
        expect(time.monotonic() - begun < 5, "joins took more than 5 s beside 100 silent connections")
    finally:
        for connection in held:
            connection.close()


def check_datagrams_without_a_grant_reach_nobody(cell):
    seed = random.Random(11)
    before, counters = cell.pid("par1"), cell.relay_status("par1")["counters"]
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sender.settimeout(0.3)
    sent = got = 0
    for size in [0, 1, 7, 31, 32, 33, 64, 500, 1200, 1500, 9000] * 40:
        data = seed.randbytes(size)
        sender.sendto(data, ("127.0.0.1", cell.state["ports"]["par1"]))
        sent += size
    try:
        while True:
            got += len(sender.recv(65536))
    except OSError:
        pass
    after = cell.relay_status("par1")["counters"]
    expect(cell.pid("par1") == before, "the relay ended")
    expect(after["forwarded"] == counters["forwarded"], "the relay forwarded something")
    expect(sum(after["dropped"].values()) > sum(counters["dropped"].values()), "the relay counted no drop")
    expect(got < sent, f"the relay answered {sent} bytes with {got}")
    still_serves(cell)


def openssl(cell, *argv):
    subprocess.run(["openssl", *argv], cwd=cell.path("strangers"), stdin=subprocess.DEVNULL,
                   stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=True)


def request(cell, name):
    os.makedirs(cell.path("strangers"), exist_ok=True)
    openssl(cell, "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
            f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
    os.chmod(cell.path("strangers", f"{name}.key"), 0o600)
    with open(cell.path("strangers", "san.cnf"), "w", encoding="utf-8") as file:
        file.write("subjectAltName = URI:spiffe://eu.bailiwick.internal/operator/operator-1\n"
                   "extendedKeyUsage = clientAuth\n")


def with_certificate(cell, name):
    """Asks with another certificate than the context's; the exit status and the words."""
    line = [cell.program("bailiwick"), "--context", "operator", "--cert", cell.path("strangers", f"{name}.crt"),
            "--key", cell.path("strangers", f"{name}.key"), "relay", "list"]
    done = subprocess.run(line, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          env=cell.environment(), check=False)
    return done.returncode, done.stdout + done.stderr


def check_a_certificate_of_another_authority_is_refused(cell):
    request(cell, "stranger")
    openssl(cell, "x509", "-req", "-in", "stranger.csr", "-signkey", "stranger.key", "-days", "1", "-extfile", "san.cnf",
            "-out", "stranger.crt")
    status, words = with_certificate(cell, "stranger")
    expect(status in (4, 7), f"exit status {status}: {words}")
    expect("certificate" in words.lower(), f"the message does not name the certificate: {words}")
    still_serves(cell)


def check_an_expired_certificate_is_refused(cell):
    request(cell, "late")
    with open(cell.path("strangers", "ca.cnf"), "w", encoding="utf-8") as file:
        file.write("[ca]\ndefault_ca = cell\n[cell]\ndatabase = index.txt\nserial = serial\nnew_certs_dir = .\n"
                   "default_md = sha256\npolicy = any\nunique_subject = no\n[any]\ncommonName = optional\n")
    open(cell.path("strangers", "index.txt"), "w", encoding="utf-8").close()
    with open(cell.path("strangers", "serial"), "w", encoding="utf-8") as file:
        file.write("1000\n")
    openssl(cell, "ca", "-batch", "-config", "ca.cnf", "-cert", "../cell/ca.crt", "-keyfile", "../cell/ca.key", "-in",
            "late.csr", "-out", "late.crt", "-notext", "-startdate", "20250101000000Z", "-enddate", "20250201000000Z",
            "-extfile", "san.cnf")
    status, words = with_certificate(cell, "late")
    expect(status in (4, 7), f"exit status {status}: {words}")
    expect("certificate" in words.lower(), f"the message does not name the certificate: {words}")
    expect("expired" in words.lower(), f"the message does not say that it expired: {words}")


def check_an_app_may_not_do_what_an_operator_may(cell):
    try:
        cell.bailiwick(f"{harness.UNIVERSITY}-app", "relay", "cordon", "par1")
    except harness.Refused as refused:
        expect(refused.status == 4, f"exit status {refused.status}")
    else:
        raise harness.Problem("an app cordoned a relay")


def check_an_app_may_not_act_for_another_tenant(cell):
    try:
        cell.bailiwick(f"{harness.UNIVERSITY}-app", "meeting", "list", "--tenant", harness.HOSPITAL)
    except harness.Refused as refused:
        expect(refused.status == 4, f"exit status {refused.status}")
    else:
        raise harness.Problem("an app listed another tenant's meetings")


if __name__ == "__main__":
    sys.exit(harness.run(sys.modules[__name__]))
