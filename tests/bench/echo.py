#!/usr/bin/python3
"""echo.py BIN: a unary gRPC echo beside nghttpd, both loaded by h2load in turn.

Each server runs on one core, h2load on another. A message is 62 bytes, as a small request of ours; nghttpd
answers the same POST with a file of the same size. CPU is what the server's process used, from /proc. The medians
of the rounds count; nghttpd's are the anchors.
"""
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time

ROUNDS = 5
REQUESTS = 200000
CONNECTIONS, STREAMS = 10, 100
MESSAGE = b"\0\0\0\0\x3e" + bytes(range(62))
PATH = "/bench.Echo/Echo"
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
CPUS = sorted(os.sched_getaffinity(0))


def pinned(cpu, argv):
    return ["taskset", "-c", str(cpu), *argv]


def cpu_s(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


def load(server, url, message_file):
    before = cpu_s(server.pid)
    done = subprocess.run(
        pinned(CPUS[-1], ["h2load", "-n", str(REQUESTS), "-c", str(CONNECTIONS), "-m", str(STREAMS),
                          "-H", "content-type: application/grpc", "-H", "te: trailers", "-d", message_file, url]),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True)
    used = cpu_s(server.pid) - before
    rate = float(re.search(r"([\d.]+) req/s", done.stdout).group(1))
    if f"{REQUESTS} succeeded" not in done.stdout:
        raise SystemExit(f"echo.py: not every request to {url} succeeded:\n{done.stdout}")
    return used * 1e6 / REQUESTS, rate


def start(argv):
    return subprocess.Popen(pinned(CPUS[0], argv), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def measure(kind, binaries, folder):
    message_file = os.path.join(folder, "message.bin")
    key, certificate = os.path.join(folder, "key.pem"), os.path.join(folder, "cert.pem")
    scheme = "https" if kind == "tls" else "http"
    port = free_port()
    anchor = start(["nghttpd", "-d", folder, "-a", "127.0.0.1", *([] if kind == "tls" else ["--no-tls"]), str(port),
                    *([key, certificate] if kind == "tls" else [])])
    ours = start([os.path.join(binaries, "echo_server"), "--port", "0",
                  *(["--tls", certificate, key] if kind == "tls" else [])])
    try:
        our_port = int(ours.stdout.readline().split()[1])
        time.sleep(0.3)
        targets = {"anchor": (anchor, f"{scheme}://127.0.0.1:{port}{PATH}"),
                   "ours": (ours, f"{scheme}://127.0.0.1:{our_port}{PATH}")}
        figures = {"anchor": [], "ours": []}
        for _ in range(ROUNDS):
            for name, (server, url) in targets.items():
                figures[name].append(load(server, url, message_file))
    finally:
        for server in (anchor, ours):
            server.terminate()
            server.wait()
    for index, (suffix, unit, better) in enumerate((("cpu_us", "us/request", "lower"), ("rps", "requests/s", "higher"))):
        value = statistics.median(figure[index] for figure in figures["ours"])
        anchor_value = statistics.median(figure[index] for figure in figures["anchor"])
        print(json.dumps({"name": f"echo_{kind}_{suffix}", "value": round(value, 3), "unit": unit, "better": better,
                          "anchor": f"nghttpd_{kind}_{suffix}", "anchor_value": round(anchor_value, 3),
                          "ratio": round(value / anchor_value, 3)}), flush=True)


def main():
    if len(sys.argv) != 2:
        raise SystemExit("usage: echo.py FOLDER_OF_echo_server")
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "message.bin"), "wb") as out:
            out.write(MESSAGE)
        os.makedirs(os.path.join(folder, "bench.Echo"))
        with open(folder + PATH, "wb") as out:
            out.write(MESSAGE)
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                        "-days", "2", "-subj", "/CN=localhost", "-keyout", os.path.join(folder, "key.pem"), "-out",
                        os.path.join(folder, "cert.pem")], check=True, stderr=subprocess.DEVNULL)
        for kind in ("h2c", "tls"):
            measure(kind, sys.argv[1], folder)


main()
