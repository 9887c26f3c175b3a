#!/usr/bin/python3
"""What operators see of a running cell: metrics that a strict parser takes and that the reference page names, logs that
can be followed by request id, and nothing in either of who takes part, whatever comes in and at every log level."""
import os
import re
import signal
import sys

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from prometheus_client.openmetrics.parser import text_string_to_metric_families

import harness
from harness import HOSPITAL, UNIVERSITY, expect, wait_for
from participant import Participant

USER, DISPLAY = "canary.zoe@canary-mail.example", "Canary Z. Displayname"
ADDRESSES = ("203.0.113.77", "2001:db8:ca4a:77::1")
GROUP, VERSION = "canary-ward", "canarybrowser/9.9"
CANARIES = (USER, "canary.zoe", "canary-mail", DISPLAY, "Displayname", *ADDRESSES, "ca4a:77", GROUP, VERSION, "canarybrowser",
            "canary-metadata", "canary-path")
LABEL = descriptor_pb2.FieldDescriptorProto


def families(cell):
    """What /metrics says, by a parser that accepts nothing but OpenMetrics."""
    status, text = cell.http("/metrics")
    expect(status == 200, f"/metrics answered {status}")
    return {family.name: family for family in text_string_to_metric_families(text)}


def value(found, family, sample, **labels):
    values = [s.value for s in found[family].samples
              if s.name == sample and all(s.labels.get(key) == want for key, want in labels.items())]
    return sum(values)


def check_metrics_are_openmetrics_and_documented(cell):
    harness.join(cell, harness.create(cell))
    found = families(cell)
    with open(os.path.join(os.environ["BW_SOURCE_DIR"], "docs/reference/metrics.md"), encoding="utf-8") as page:
        rows = re.findall(r"^\| `(\w+)` \| (\w+) \| ([\w, ]*?) *\|", page.read(), re.M)
    expect(set(found) == {name for name, _, _ in rows},
           f"shown and documented differ: {set(found) ^ {name for name, _, _ in rows}}")
    for name, kind, labels in rows:
        expect(found[name].type == kind, f"{name} is a {found[name].type}, documented as {kind}")
        expect(found[name].documentation, f"{name} has no words")
        shown = {label for sample in found[name].samples for label in sample.labels}
        expect(shown <= set(labels.replace(" ", "").split(",")), f"{name} has the labels {shown}, documented: {labels}")


def check_calls_and_joins_are_counted(cell):
    def joins(code):
        return value(families(cell), "bailiwick_requests", "bailiwick_requests_total", method="JoinMeeting", code=code)

    meeting, closed = harness.create(cell), harness.create(cell, HOSPITAL)
    before, ok, refused = families(cell), joins("OK"), joins("FAILED_PRECONDITION")
    for _ in range(3):
        harness.join(cell, meeting)
    harness.join(cell, closed, HOSPITAL, "KP", expect=8)
    wait_for("the joins to be counted", lambda: joins("OK") == ok + 3, 5)
    expect(joins("FAILED_PRECONDITION") == refused + 1, "the refusal was not counted")
    after = families(cell)
    name = "bailiwick_join_seconds"
    expect(value(after, name, name + "_count") == value(before, name, name + "_count") + 4, "the histogram counts other joins")
    took = value(after, name, name + "_sum") - value(before, name, name + "_sum")
    expect(0 < took < 60, f"four joins took {took} s")
    expect(value(after, "bailiwick_ready", "bailiwick_ready") == 1, "not ready")
    expect(value(after, "bailiwick_signer_lines", "bailiwick_signer_lines") == 2, "not every worker has its signer")
    expect(value(after, "bailiwick_relay_sessions", "bailiwick_relay_sessions") == 6, "not every relay has a session")
    expect(value(after, "bailiwick_relays_serving", "bailiwick_relays_serving") == 6, "not every relay serves")
    expect(value(after, "process_open_fds", "process_open_fds") > 20, "process_open_fds is too small to be true")
    expect(value(after, "process_cpu_seconds", "process_cpu_seconds_total") > 0, "no CPU time was used")


# ---- canaries ----


def at_debug_level(cell):
    """Everybody starts anew and logs all there is to log."""
    names = ["bailiwickd", *sorted(os.listdir(cell.path("relays")))]
    for name in names:
        config = cell.config_file() if name == "bailiwickd" else cell.path("relays", name, "relay.yaml")
        with open(config, encoding="utf-8") as file:
            text = file.read()
        if "level: debug" not in text:
            cell.write(text + "\nlog: { level: debug }\n", os.path.relpath(config, cell.folder))
        cell.kill(name, signal.SIGTERM)
    for name in names[1:]:
        cell.spawn(name, [cell.program("bailiwick-relay"), "run", "--config", cell.path("relays", name, "relay.yaml")])
    cell.start_daemon()
    cell.await_relays()


def services():
    """Every method: its path, whether it streams either way, and the class of its request."""
    files = descriptor_pb2.FileDescriptorSet()
    with open(os.path.join(os.environ["BW_BUILD_DIR"], "proto/gen/bailiwick.fds"), "rb") as file:
        files.ParseFromString(file.read())
    pool = descriptor_pool.DescriptorPool()
    for file in files.file:
        pool.Add(file)
    factory = message_factory.MessageFactory(pool)
    for file in files.file:
        for service in file.service:
            for method in service.method:
                kind = factory.GetPrototype(pool.FindMessageTypeByName(method.input_type.lstrip(".")))
                yield (f"/{file.package}.{service.name}/{method.name}", method.client_streaming, method.server_streaming,
                       kind)


def fill(message, text, depth=0):
    """Writes the text into every string and bytes field, at every level."""
    for field in message.DESCRIPTOR.fields:
        many = field.label == LABEL.LABEL_REPEATED
        if field.type in (LABEL.TYPE_STRING, LABEL.TYPE_BYTES):
            content = text if field.type == LABEL.TYPE_STRING else text.encode()
            if many:
                getattr(message, field.name).append(content)
            else:
                setattr(message, field.name, content)
        elif field.type == LABEL.TYPE_MESSAGE and depth < 4:
            fill(getattr(message, field.name).add() if many else getattr(message, field.name), text, depth + 1)
    return message


def valid(kind, meeting, entry):
    """A request that passes the checks of its fields as far as its names tell, with canaries where people stand."""
    message = kind()
    wanted = {"tenant": UNIVERSITY, "name": UNIVERSITY, "meeting_id": meeting, "request_id": harness.request_id(),
              "roster_entry": entry, "user": USER, "client_address": ADDRESSES[0], "client_version": VERSION,
              "kind": 1, "mode": 1, "relay": "par1", "country": "FR", "reason": 1}
    for field in message.DESCRIPTOR.fields:
        if field.name == "groups":
            message.groups.append(GROUP)
        elif field.name == "host" and field.type == LABEL.TYPE_MESSAGE:
            message.host.user = USER
            message.host.groups.append(GROUP)
        elif field.name in wanted and field.label != LABEL.LABEL_REPEATED and field.type != LABEL.TYPE_MESSAGE:
            try:
                setattr(message, field.name, wanted[field.name])
            except (TypeError, ValueError):
                pass
    return message


def channel(cell, certificate):
    def read(name):
        with open(cell.path(name), "rb") as file:
            return file.read()

    credentials = grpc.ssl_channel_credentials(read("cell/ca.crt"), read(certificate + ".key"), read(certificate + ".crt"))
    return grpc.secure_channel(f"localhost:{cell.state['ports']['grpc']}", credentials)


def call(to, path, client_streams, server_streams, data):
    """One call with these very bytes; its status code's name."""
    metadata = (("x-user", "canary-metadata"), ("authorization", "Bearer canary-metadata"), ("user-agent", VERSION))
    same = {"request_serializer": lambda x: x, "response_deserializer": lambda x: x}
    shape = ("stream" if client_streams else "unary") + "_" + ("stream" if server_streams else "unary")
    method = getattr(to, shape)(path, **same)
    try:
        answer = method(iter([data]) if client_streams else data, metadata=metadata, timeout=1)
        if server_streams:
            next(iter(answer), None)
            answer.cancel()
        return "OK"
    except grpc.RpcError as error:
        return error.code().name


def check_no_log_and_no_metric_names_who_takes_part(cell):
    at_debug_level(cell)
    meeting = harness.create(cell, UNIVERSITY, USER, "--group", GROUP)
    for address in ADDRESSES:
        admission = harness.join(cell, meeting, UNIVERSITY, "FR", "--user", USER, "--group", GROUP, "--address", address)
    entry = admission["admission"]["rosterEntry"]
    people = [Participant(cell, admission["admission"], count=20).go()]
    closed = harness.create(cell, HOSPITAL, USER)
    harness.join(cell, closed, HOSPITAL, "KP", "--user", USER, "--address", ADDRESSES[1], expect=8)
    answers = {}
    for certificate in (f"people/{UNIVERSITY}-app", f"people/{UNIVERSITY}-admin", "cell/operator", "relays/par1/par1"):
        to = channel(cell, certificate)
        for path, client_streams, server_streams, kind in services():
            whole = fill(kind(), USER).SerializeToString()
            requests = [whole, fill(kind(), DISPLAY).SerializeToString(), fill(kind(), ADDRESSES[0]).SerializeToString(),
                        fill(kind(), ADDRESSES[1]).SerializeToString(), whole[:-3], whole + b"\x07" + USER.encode(),
                        b"\x0a\xff\xff\xff\xff\x0f" + USER.encode()]
            # A method that ends meetings would end this one.
            if not path.endswith(("/EndMeeting", "/LeaveMeeting", "/Session", "/RemoveRelay", "/DrainRelay", "/CordonRelay")):
                requests.append(valid(kind, meeting, entry).SerializeToString())
            for data in requests:
                code = call(to, path, client_streams, server_streams, data)
                answers[code] = answers.get(code, 0) + 1
        call(to, f"/bailiwick.v1.MeetingService/canary-path-{USER}", False, False, b"")
        call(to, "/canary-path.Service/" + DISPLAY.replace(" ", ""), False, False, USER.encode())
        to.close()
    for person in people:
        person.result()
    expect(answers.get("OK", 0) > 10, f"hardly any call was successful, so little was tried: {answers}")
    expect(answers.get("INVALID_ARGUMENT", 0) > 100, f"hardly any call was malformed: {answers}")
    harness.show(cell, meeting)
    said = {"/metrics": cell.http("/metrics")[1]}
    for name in sorted(os.listdir(cell.path("log"))):
        with open(cell.path("log", name), encoding="utf-8", errors="replace") as log:
            said[name] = log.read()
    expect("level=debug" in said["bailiwickd.log"], "bailiwickd does not log at the debug level")
    ours = {str(port) for port in cell.state["ports"].values()}
    for name, text in said.items():
        strange = set(re.findall(r"127\.0\.0\.1:(\d+)", text)) - ours
        expect(not strange, f"{name} has addresses that are nobody's of the cell: ports {strange}")
        for canary in CANARIES:
            found = re.search("^.*" + re.escape(canary) + ".*$", text, re.M | re.I)
            expect(not found, f"{name} names somebody ({canary}): {found.group(0) if found else ''}")


def check_a_call_can_be_followed_by_its_request_id(cell):
    """At the debug level each call is a line; whatever else is said of it carries the same id."""
    identity, meeting = harness.request_id(), harness.create(cell)
    cell.bailiwick(f"{UNIVERSITY}-app", "meeting", "join", meeting, "--country", "FR", "--kind", "native", "--request-id",
                   identity)
    lines = []

    def logged():
        with open(cell.path("log", "bailiwickd.log"), encoding="utf-8") as log:
            lines[:] = [line for line in log if f"request={identity}" in line]
        return lines

    wait_for("the line of a join", logged, 5)
    expect(any("event=call" in line and "method=JoinMeeting" in line and "code=OK" in line for line in lines),
           f"the join is not told: {lines}")


if __name__ == "__main__":
    sys.exit(harness.run(sys.modules[__name__]))
