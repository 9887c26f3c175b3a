#!/usr/bin/python3
"""Foreign clients against our gRPC: gRPC's own interop client (C core, Debian's ruby-grpc) and Python's grpcio.

Talks to bin/conformance/interop_server in clear text, over TLS and with client certificates. Prints `ok NAME`,
`not ok NAME: why` or `skipped: NAME: why`.
"""
import glob
import os
import shutil
import subprocess
import sys
import tempfile
import time

BUILD = os.environ.get("BW_BUILD_DIR", ".")
SERVER = os.path.join(BUILD, "bin/conformance/interop_server")
RUBY_CLIENT = glob.glob("/usr/lib/*/rubygems-integration/*/gems/grpc-*/src/ruby/pb/test/client.rb")
# The plain cases. The two client_compressed ones fail with this client against its own server as well; those with
# credentials of Google's need Google.
CASES = ["empty_unary", "large_unary", "client_streaming", "server_streaming", "ping_pong", "empty_stream",
         "cancel_after_begin", "cancel_after_first_response", "timeout_on_sleeping_server", "unimplemented_method",
         "unimplemented_service", "status_code_and_message", "custom_metadata"]
failed = False


def report(name, why=None):
    global failed
    if why is None:
        print(f"ok {name}", flush=True)
    else:
        failed = True
        print(f"not ok {name}: {' '.join(str(why).split())[-400:]}", flush=True)


def check(name, function, *arguments):
    try:
        function(*arguments)
    except Exception as error:  # whatever it is, it is the result
        report(name, repr(error))
    else:
        report(name)


def openssl(*argv):
    subprocess.run(["openssl", *argv], check=True, stderr=subprocess.DEVNULL)


def make_certificates(folder):
    def path(name):
        return os.path.join(folder, name)
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
            "-subj", "/CN=test CA", "-keyout", path("ca.key"), "-out", path("ca.crt"))
    for name, san in (("server", "DNS:localhost,URI:spiffe://t.example/replica/r1"),
                      ("client", "URI:spiffe://t.example/app/a1"),
                      ("nobody", "DNS:nobody.example")):
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", f"/CN={name}",
                "-keyout", path(f"{name}.key"), "-out", path(f"{name}.csr"))
        with open(path("extensions"), "w", encoding="ascii") as extensions:
            extensions.write(f"basicConstraints=critical,CA:FALSE\nsubjectAltName={san}\n")
        openssl("x509", "-req", "-in", path(f"{name}.csr"), "-CA", path("ca.crt"), "-CAkey", path("ca.key"),
                "-CAcreateserial", "-days", "2", "-extfile", path("extensions"), "-out", path(f"{name}.crt"))


class Server:
    def __init__(self, *argv):
        self.process = subprocess.Popen([SERVER, "--port", "0", *argv], stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline().split()[1])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        status = self.process.wait()
        self.process.stdout.close()
        if status != 0:
            report("server_ends_cleanly", f"exit status {status}")


def run_ruby(port, case, environment, *argv):
    done = subprocess.run(["ruby", RUBY_CLIENT[0], "--server_host", "localhost", "--server_port", str(port),
                           "--test_case", case, *argv], env={**os.environ, **environment}, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=60, check=False)
    if done.returncode != 0 or f"OK: {case}" not in done.stdout:
        raise RuntimeError(done.stdout)


def ruby_cases(port, kind, environment, *argv):
    for case in CASES:
        name = f"grpc_core_{kind}_{case}"
        if not RUBY_CLIENT or shutil.which("ruby") is None:
            print(f"skipped: {name}: ruby-grpc is not installed", flush=True)
        else:
            check(name, run_ruby, port, case, environment, *argv)


def call(channel, path, request=b"", **more):
    return channel.unary_unary(path)(request, timeout=10, **more)


def python_health(channel):
    assert call(channel, "/grpc.health.v1.Health/Check") == b"\x08\x01"
    watch = channel.unary_stream("/grpc.health.v1.Health/Watch")(b"", timeout=10)
    assert next(watch) == b"\x08\x01"
    watch.cancel()


def python_statuses(grpc, channel):
    for path, request, code in (("/grpc.health.v1.Health/Check", b"\x0a\x01x", grpc.StatusCode.NOT_FOUND),
                                ("/no.Such/Method", b"", grpc.StatusCode.UNIMPLEMENTED),
                                # response_status {code: 2, message: "…"} in a SimpleRequest
                                ("/grpc.testing.TestService/UnaryCall",
                                 b"\x3a\x0b\x08\x02\x12\x07\tx\xe2\x98\xba\r\n", grpc.StatusCode.UNKNOWN)):
        try:
            call(channel, path, request)
        except grpc.RpcError as error:
            assert error.code() == code, error
            if code == grpc.StatusCode.UNKNOWN:
                assert error.details() == "\tx\u263a\r\n", repr(error.details())
        else:
            raise AssertionError(f"{path} succeeded")


def python_compression(grpc, channel):
    # response_size 100000, response_compressed {value: true}, expect_compressed {value: true}, a payload of zeroes
    body = b"\x12\x80\xa0\x06" + bytes(102400)
    payload = b"\x1a\x84\xa0\x06" + body
    request = b"\x10\xa0\x8d\x06" + payload + b"\x32\x02\x08\x01\x42\x02\x08\x01"
    reply = call(channel, "/grpc.testing.TestService/UnaryCall", request, compression=grpc.Compression.Gzip)
    assert len(reply) > 100000 and reply.count(0) >= 100000


def python_reflection(channel):
    from google.protobuf import descriptor_pb2

    def ask(request, version):
        stream = channel.stream_stream(f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo")
        return next(stream(iter([request]), timeout=10))
    for version in ("v1", "v1alpha"):
        listed = ask(b"\x3a\x01*", version)
        for service in (b"grpc.testing.TestService", b"grpc.health.v1.Health", b"grpc.reflection.v1.ServerReflection"):
            assert listed.count(service) == 1, listed
        symbol = b"google.protobuf.Api"
        reply = ask(b"\x22" + bytes([len(symbol)]) + symbol, version)
        # The field 4 at the end holds the files: Api's, and the three it depends on.
        at = reply.index(b"google/protobuf/api.proto")
        assert at > 0
        files = set(name for name in (b"google/protobuf/any.proto", b"google/protobuf/type.proto",
                                      b"google/protobuf/source_context.proto") if name in reply)
        assert len(files) == 3, files
        unknown = ask(b"\x22\x03a.B", version)
        assert b"not found" in unknown
    assert descriptor_pb2.FileDescriptorProto is not None


def python_many(channel):
    stub = channel.unary_unary("/grpc.testing.TestService/UnaryCall")
    futures = [stub.future(b"\x10\x90\x4e", timeout=20) for _ in range(500)]
    assert all(len(future.result()) > 10000 for future in futures)


def python_cases(grpc, kind, channel):
    check(f"python_{kind}_health", python_health, channel)
    check(f"python_{kind}_statuses", python_statuses, grpc, channel)
    check(f"python_{kind}_compression", python_compression, grpc, channel)
    check(f"python_{kind}_many_calls_at_once", python_many, channel)
    check(f"python_{kind}_reflection", python_reflection, channel)


def read(folder, name):
    with open(os.path.join(folder, name), "rb") as file:
        return file.read()


def expect_unavailable(grpc, channel):
    try:
        call(channel, "/grpc.testing.TestService/EmptyCall")
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.UNAVAILABLE, error
    else:
        raise AssertionError("the call succeeded")


def s_client(port, *argv):
    done = subprocess.run(["openssl", "s_client", "-connect", f"localhost:{port}", "-servername", "localhost", *argv],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, input=b"Q\n", timeout=20, check=False)
    return done.stdout.decode(errors="replace")


def tls_versions(port):
    assert "New, TLSv1.3" in s_client(port, "-alpn", "h2")
    assert "Cipher is (NONE)" in s_client(port, "-alpn", "h2", "-tls1_2")
    assert "no application protocol" in s_client(port, "-alpn", "http/1.1")


def tls_asks_for_certificates_of_its_ca(port):
    assert "CN = test CA" in s_client(port, "-alpn", "h2").split("Acceptable client certificate CA names")[1]


def tls_resumes(port, folder):
    session = os.path.join(folder, "session")
    # The ticket comes with the first bytes after the handshake: stay until the server has said something.
    with subprocess.Popen(["openssl", "s_client", "-connect", f"localhost:{port}", "-alpn", "h2", "-sess_out", session],
                          stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as first:
        for _ in range(100):
            time.sleep(0.05)
            if os.path.exists(session) and os.path.getsize(session) > 0:
                break
        first.stdin.close()
        first.wait()
    assert "Reused, TLSv1.3" in s_client(port, "-alpn", "h2", "-sess_in", session)


def main():
    os.environ["GRPC_VERBOSITY"] = "NONE"
    import grpc
    with tempfile.TemporaryDirectory() as folder:
        make_certificates(folder)
        descriptors = os.path.join(folder, "api.pb")
        subprocess.run(["protoc", "--include_imports", f"--descriptor_set_out={descriptors}", "-I/usr/include",
                        "/usr/include/google/protobuf/api.proto"], check=True)
        with Server("--descriptors", descriptors) as server:
            ruby_cases(server.port, "h2c", {})
            with grpc.insecure_channel(f"localhost:{server.port}") as channel:
                python_cases(grpc, "h2c", channel)
        tls = ["--descriptors", descriptors, "--tls", os.path.join(folder, "server.crt"),
               os.path.join(folder, "server.key"), os.path.join(folder, "ca.crt")]
        with Server(*tls) as server:
            ruby_cases(server.port, "tls", {"GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": os.path.join(folder, "ca.crt")},
                       "--use_tls", "true")
            for kind, name in (("tls", None), ("mtls", "client")):
                credentials = grpc.ssl_channel_credentials(
                    read(folder, "ca.crt"), read(folder, f"{name}.key") if name else None,
                    read(folder, f"{name}.crt") if name else None)
                with grpc.secure_channel(f"localhost:{server.port}", credentials) as channel:
                    python_cases(grpc, kind, channel)
            check("tls_version_and_protocol", tls_versions, server.port)
            check("tls_names_its_ca", tls_asks_for_certificates_of_its_ca, server.port)
            check("tls_resumes_a_session", tls_resumes, server.port, folder)
            nobody = grpc.ssl_channel_credentials(read(folder, "ca.crt"), read(folder, "nobody.key"),
                                                  read(folder, "nobody.crt"))
            with grpc.secure_channel(f"localhost:{server.port}", nobody) as channel:
                check("python_mtls_certificate_without_identity_is_refused", expect_unavailable, grpc, channel)
    sys.exit(1 if failed else 0)


main()
