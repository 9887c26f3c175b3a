#!/usr/bin/python3
"""A whole cell on this machine: PostgreSQL, bailiwickd, six relays, tenants with their policies and credentials.

`./dev up`, `./dev demo` and the end-to-end tests use it. Everything listens on loopback, on ports that were free;
everything it keeps, the private keys too, is in one folder. A process is ours only if its id, its start time and
its program are those written down in state.json, so what is stopped is exactly what was started.
"""
import fcntl
import http.client
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

ROOT = os.environ.get("BW_ROOT") or os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
POSTGRES = os.path.join(ROOT, "tests/support/private-postgres")
FLEET = os.path.join(ROOT, "policies/examples/fleet.yaml")
CELL = "eu"
RELAYS = ("par1", "fra1", "zrh1", "lon1", "ash1", "sin1")
# The tenants whose residency is this cell, and the file with the policy of each.
TENANTS = {"chu-lyon": "fr-hospital.yaml", "uni-example": "university.yaml", "acme-europe": "multinational-eu.yaml"}
SHOWN = "acme-europe"  # whose meeting `up` leaves to look at
SERVE_LOGIN, VAULT_LOGIN = "bailiwick_serve_login", "bailiwick_vault_login"
LOGINS = {SERVE_LOGIN: "bailiwick_serve", VAULT_LOGIN: "bailiwick_vault"}
START_S = 30
# Longer paths do not fit a Unix socket's address.
SOCKET_PATH_MAX = 90
# Below the ports that the kernel gives to outgoing connections, so that none of those takes one between our look
# and our use.
PORTS = range(20000, 29999)


class Problem(Exception):
    """Something that the person at the terminal should read; no stack trace helps."""


class Refused(Problem):
    """The command line said no: its exit status, and what it printed."""

    def __init__(self, argv, status, out, err):
        super().__init__(f"{' '.join(argv)}: exit status {status}\n{err.strip() or out.strip()}")
        self.status, self.out, self.err = status, out, err

    def answer(self):
        return json.loads(self.out)


def start_time(pid):
    """When a process began, in clock ticks since boot; None when it is gone or only a corpse."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stat:
            fields = stat.read().rpartition(")")[2].split()
        # Killed, its first thread is a corpse before the others are, and those still hold its files.
        corpse = fields[0] in "ZX" and len(os.listdir(f"/proc/{pid}/task")) == 1
    except OSError:
        return None
    return None if corpse else int(fields[19])


def free_ports(kind, count):
    """Ports of loopback that nobody listens on now; held together, so that they differ."""
    held, ports = [], []
    # Two of us that run side by side look at different places, by the process id, before they look everywhere.
    own = PORTS[os.getpid() % 99 * 100:][:100]
    candidates = random.sample(PORTS, len(PORTS)) + random.sample(own, len(own))
    try:
        while len(ports) < count and candidates:
            port = candidates.pop()
            probe = socket.socket(socket.AF_INET, kind)
            held.append(probe)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            ports.append(port)
    finally:
        for probe in held:
            probe.close()
    if len(ports) < count:
        raise Problem("there are no free ports on 127.0.0.1")
    return ports


def free_rtp_port():
    """An even port whose successor is free, too: RTCP has that one (RFC 3550, section 11)."""
    for port in random.sample(PORTS, len(PORTS)):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as rtp, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as rtcp:
            try:
                if port % 2 == 0:
                    rtp.bind(("127.0.0.1", port))
                    rtcp.bind(("127.0.0.1", port + 1))
                    return port
            except OSError:
                pass
    raise Problem("there are no free ports on 127.0.0.1")


def wait_for(what, condition, seconds, every=0.05):
    """The first true answer of `condition`; a Problem when there is none in time."""
    until = time.monotonic() + seconds
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > until:
            raise Problem(f"waited {seconds:g} s for {what}")
        time.sleep(every)


class Stack:
    """One folder's stack. `detach`: its processes outlive us (./dev up)."""

    # What one sample of quality covers, and how long it may wait to be written: short, since so is what is shown here.
    quality = {"window": "2s", "flush": "1s"}

    def __init__(self, folder, programs, detach=False):
        self.folder, self.programs, self.detach = os.path.abspath(folder), os.path.abspath(programs), detach
        self.state = {"ports": {}, "processes": {}}
        self.children = {}  # name -> Popen, of those this process started
        if os.path.exists(self.path("state.json")):
            with open(self.path("state.json"), encoding="utf-8") as file:
                self.state = json.load(file)

    def path(self, *parts):
        return os.path.join(self.folder, *parts)

    def program(self, name):
        path = os.path.join(self.programs, name)
        if not os.access(path, os.X_OK):
            raise Problem(f"{path} is not built")
        return path

    def save(self):
        with open(self.path("state.json.new"), "w", encoding="utf-8") as file:
            json.dump(self.state, file, indent=1)
        os.replace(self.path("state.json.new"), self.path("state.json"))

    def write(self, text, *parts):
        path = self.path(*parts)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
        return path

    # ---- processes ----

    def pid(self, name):
        """The id of our process of that name while it runs, else None."""
        if name in self.children and self.children[name].poll() is None:
            return self.children[name].pid
        entry = self.state["processes"].get(name)
        return entry["pid"] if entry and start_time(entry["pid"]) == entry["started"] else None

    def spawn(self, name, argv):
        os.makedirs(self.path("log"), exist_ok=True)
        with open(self.path("log", name + ".log"), "ab") as log:
            child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder,
                                     start_new_session=self.detach)
        self.children[name] = child
        self.state["processes"][name] = {"pid": child.pid, "started": start_time(child.pid), "program": argv[0]}
        self.save()

    def log_tail(self, name, lines=15):
        try:
            with open(self.path("log", name + ".log"), encoding="utf-8", errors="replace") as log:
                return "".join(log.readlines()[-lines:])
        except OSError:
            return ""

    def await_ready(self, name, ready):
        def condition():
            if self.pid(name) is None:
                raise Problem(f"{name} ended at once; its last lines:\n{self.log_tail(name)}")
            return ready()

        try:
            return wait_for(f"{name} to be ready", condition, START_S)
        except Problem as problem:
            raise Problem(f"{problem}\n{self.log_tail(name)}") from None

    def kill(self, name, number=signal.SIGKILL):
        """Sends a signal to exactly that process; waits for its end if the signal is one that ends it."""
        pid = self.pid(name)
        if pid is None:
            return
        os.kill(pid, number)
        if number in (signal.SIGKILL, signal.SIGTERM):
            wait_for(f"{name} to end", lambda: self.pid(name) is None, 30, 0.02)
            del self.state["processes"][name]
            self.save()

    # ---- PostgreSQL ----

    def postgres(self, verb):
        done = subprocess.run([POSTGRES, verb, self.path("pg")], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True, check=False)
        if done.returncode != 0 and verb != "status":
            raise Problem(f"private-postgres {verb}: {done.stderr.strip()}")
        return done.stdout.strip()

    def sql(self, query):
        """Rows of one query, as lists of texts. For tests: what the database holds."""
        done = subprocess.run(["psql", "-XAtq", "-F", "\t", "-c", query, "-d", self.postgres("status")],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
        if done.returncode != 0:
            raise Problem(f"psql: {done.stderr.strip()}")
        return [line.split("\t") for line in done.stdout.splitlines()]

    # ---- the cell ----

    def run(self, argv, expect=0):
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True, check=False)
        if done.returncode != expect:
            raise Refused([os.path.basename(argv[0])] + argv[1:], done.returncode, done.stdout, done.stderr)
        return done

    def config_file(self):
        return self.path("cell", "bailiwickd.yaml")

    def make_cell(self):
        """`init`, and what its sample leaves to the operator."""
        sample = self.path("cell", "bailiwickd.yaml.init")
        if not os.path.exists(sample):
            self.run([self.program("bailiwickd"), "init", "--dir", self.path("cell"), "--cell", CELL])
            os.replace(self.config_file(), sample)
        with open(sample, encoding="utf-8") as file:
            text = file.read()
        port = self.state["ports"]["grpc"]
        owner = self.postgres("status")
        serve, vault = (owner.replace("user=postgres", f"user={user}") for user in LOGINS)
        for old, new in (('address: "::"', "address: 127.0.0.1"), ("port: 7443", f"port: {port}"),
                         ("localhost:7443", f"127.0.0.1:{port}"),
                         (f"host=/run/postgresql dbname=bailiwick user={SERVE_LOGIN}", serve),
                         (f"host=/run/postgresql dbname=bailiwick user={VAULT_LOGIN}", vault)):
            if old not in text:
                raise Problem(f"the configuration that `bailiwickd init` writes has no {old} any more")
            text = text.replace(old, new)
        text += (f"\nhttp: {{ address: 127.0.0.1, port: {self.state['ports']['http']} }}\n"
                 f"topology: {json.dumps(FLEET)}\n"
                 f"limits: {{ workers: 2 }}\n"
                 f"quality: {{ flush: {self.quality['flush']} }}\n")
        self.write(text, "cell", "bailiwickd.yaml")
        self.run([self.program("bailiwickd"), "migrate", "--config", self.config_file(), "--conninfo", owner])
        # Two users of the database, as in a real cell: the one that faces the network cannot read wrapped keys.
        for login, role in LOGINS.items():
            if not self.sql(f"SELECT 1 FROM pg_roles WHERE rolname = '{login}'"):
                self.sql(f"CREATE ROLE {login} LOGIN IN ROLE {role}")

    def http(self, path):
        """Status and body of the daemon's probe listener; (0, "") when nobody answers."""
        connection = http.client.HTTPConnection("127.0.0.1", self.state["ports"]["http"], timeout=5)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except OSError:
            return 0, ""
        finally:
            connection.close()

    def start_daemon(self):
        if self.pid("bailiwickd") is None:
            self.spawn("bailiwickd", [self.program("bailiwickd"), "serve", "--config", self.config_file()])
        self.await_ready("bailiwickd", lambda: self.http("/readyz")[0] == 200)

    # ---- the command line ----

    def environment(self):
        env = {name: value for name, value in os.environ.items() if not name.startswith("BAILIWICK_")}
        return dict(env, BAILIWICK_CONFIG=self.path("cli.yaml"), NO_COLOR="1")

    def bailiwick(self, context, *argv, expect=0, text=False, more=()):
        """Runs the command line as somebody; the answer as a tree, or as `text` what it prints for people.
        `expect`: the exit status that is right; None: any. `more`: for its environment."""
        line = [self.program("bailiwick"), "--context", context, *([] if text else ["-o", "json"]), *argv]
        done = subprocess.run(line, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True, env={**self.environment(), **dict(more)}, check=False)
        if expect is not None and done.returncode != expect:
            raise Refused(["bailiwick", "--context", context, *argv], done.returncode, done.stdout, done.stderr)
        if text:
            return done.stdout + done.stderr
        return json.loads(done.stdout) if done.stdout.strip() else {}

    def write_contexts(self, more=()):
        """Who may be played here: the operator, and of each tenant an admin, an app, and support of both tiers."""
        lines = ["apiVersion: bailiwick/v1", "kind: CliConfig", "current: operator", "contexts:"]
        people = [("operator", "cell/operator", None)]
        for tenant in (*TENANTS, *more):
            people += [(f"{tenant}-{role}", f"people/{tenant}-{role}", tenant) for role in ("admin", "app", "support1", "support2")]
        for name, files, tenant in people:
            belongs = f", tenant: {tenant}" if tenant else ""
            lines.append(f"  - {{ name: {name}, endpoint: '127.0.0.1:{self.state['ports']['grpc']}', ca: cell/ca.crt, "
                         f"cert: {files}.crt, key: {files}.key, serverName: localhost{belongs} }}")
        self.write("\n".join(lines) + "\n", "cli.yaml")

    # ---- the fleet ----

    def start_relay(self, name, facts):
        """Its facts are those of its enrolment; it says them itself, too, and is refused when they differ."""
        home = self.path("relays", name)
        address = f"127.0.0.1:{self.state['ports'][name]}"
        claims = {key: facts[key] for key in ("site", "region", "country", "operator")}
        self.write("# Written by ./dev up: bailiwick-relay check-config checks it.\n"
                   "apiVersion: bailiwick/v1\n"
                   "kind: RelayConfig\n"
                   f"name: {name}\n"
                   f"capacity: {facts['capacity']}\n"
                   f"media: {{ listen: '{address}', advertise: '{address}' }}\n"
                   f"claims: {json.dumps(claims, ensure_ascii=False)}\n"
                   "cells:\n"
                   f"  - name: {CELL}\n"
                   f"    endpoints: ['127.0.0.1:{self.state['ports']['grpc']}']\n"
                   f"    tls: {{ ca: ../../cell/ca.crt, certificate: {name}.crt, key: {name}.key, "
                   "serverName: localhost }\n"
                   f"quality: {{ window: {self.quality['window']} }}\n"
                   f"status: {{ socket: {json.dumps(self.status_socket(name))} }}\n", "relays", name, "relay.yaml")
        if self.pid(name) is None:
            self.spawn(name, [self.program("bailiwick-relay"), "run", "--config", os.path.join(home, "relay.yaml")])

    def status_socket(self, name):
        path = self.path("relays", name, "status.sock")
        if len(path) <= SOCKET_PATH_MAX:
            return path
        if "sockets" not in self.state:
            self.state["sockets"] = tempfile.mkdtemp(prefix="bailiwick-")
            self.save()
        return os.path.join(self.state["sockets"], name + ".sock")

    def relay_status(self, name):
        """What a running relay says of itself."""
        return json.loads(self.run([self.program("bailiwick-relay"), "status", "--socket",
                                    self.status_socket(name)]).stdout)

    def relays(self):
        """The fleet as the cell sees it, by name."""
        return {relay["facts"]["name"]: relay for relay in self.bailiwick("operator", "relay", "list")["relays"]}

    def await_relays(self, names=RELAYS, seconds=START_S):
        def serving():
            for name in names:
                if self.pid(name) is None:
                    raise Problem(f"{name} ended at once; its last lines:\n{self.log_tail(name)}")
            fleet = self.relays()
            return all(fleet[name]["state"] == "RELAY_STATE_SERVING" for name in names)

        wait_for("the relays to serve", serving, seconds, 0.2)

    def enroll(self, name):
        """Makes the relay known with the facts that the example fleet states of it; its key is made here."""
        os.makedirs(self.path("relays", name), mode=0o700, exist_ok=True)
        if not os.path.exists(self.path("relays", name, name + ".crt")):
            self.bailiwick("operator", "relay", "enroll", name, "-f", FLEET, "--new-key",
                           self.path("relays", name, name + ".key"), "--out", self.path("relays", name, name + ".crt"))

    # ---- tenants ----

    def add_credential(self, tenant, role, name):
        os.makedirs(self.path("people"), mode=0o700, exist_ok=True)
        files = self.path("people", f"{tenant}-{name}")
        if not os.path.exists(files + ".crt"):
            self.bailiwick("operator", "tenant", "app-credential", "--name", f"{tenant}-{name}", "--tenant", tenant,
                           "--role", role, "--new-key", files + ".key", "--out", files + ".crt")

    def add_tenant(self, tenant, policy):
        """A tenant with an admin, an app and support staff; the admin applies the policy."""
        if tenant not in [one["name"] for one in self.bailiwick("operator", "tenant", "list").get("tenants", [])]:
            self.bailiwick("operator", "tenant", "create", tenant)
        self.add_credential(tenant, "tenant-admin", "admin")
        self.add_credential(tenant, "app", "app")
        self.add_credential(tenant, "support-tier1", "support1")
        self.add_credential(tenant, "support-tier2", "support2")
        if not self.bailiwick("operator", "tenant", "show", tenant)["tenant"].get("policyRevision"):
            self.bailiwick(f"{tenant}-admin", "policy", "apply", "-f", os.path.join(ROOT, "policies", policy))

    def leave_a_meeting(self):
        """A meeting that one of three had trouble in, as their applications report it: something to look at."""
        app = f"{SHOWN}-app"
        meeting = self.bailiwick(app, "meeting", "create", "--host", f"lea@{SHOWN}.example")["meeting"]["meetingId"]
        people = [self.bailiwick(app, "meeting", "join", meeting, "--country", country, "--kind", "web", "--capable", "sframe",
                                 "--user", f"{who}@{SHOWN}.example", "--address", address, "--client-version", "web/4.2")["admission"]
                  for who, country, address in (("lea", "FR", "198.51.100.7"), ("max", "DE", "203.0.113.9"), ("ida", "FR", "192.0.2.5"))]
        begun = int(time.time() * 1000)
        for window in range(12):
            for person in people[:2]:
                lost = 70 if person is people[1] and 3 <= window < 9 else 1
                self.bailiwick(app, "meeting", "report-quality", meeting, person["rosterEntry"], "--window", "2s",
                               "--start", str(begun + 2000 * window), "--media", "audio", "--stat", f"packetsReceived={700 - lost}",
                               "--stat", f"packetsLost={lost}", "--stat", "jitter=0.004", "--stat", "roundTripTime=0.06")

    # ---- up and down ----

    def running(self):
        return [name for name in self.state["processes"] if self.pid(name) is not None]

    def up(self, relays=RELAYS, say=lambda words: None):
        """Starts what does not run yet, and makes what is not there yet."""
        os.makedirs(self.folder, mode=0o711, exist_ok=True)
        os.chmod(self.folder, 0o711)  # PostgreSQL must get to its own folder when it does not run as us
        for name in ("bailiwickd", "bailiwick", "bailiwick-relay"):
            self.program(name)
        if not self.running() or len(self.state["ports"]) != 2 + len(relays):
            ports = free_ports(socket.SOCK_STREAM, 2) + free_ports(socket.SOCK_DGRAM, len(relays))
            self.state["ports"] = dict(zip(("grpc", "http", *relays), ports))
            self.save()
        say("a private PostgreSQL")
        self.postgres("start")
        if self.pid("bailiwickd") is None:
            say(f"bailiwickd, cell {CELL}: init, migrate, serve")
            self.make_cell()
        self.start_daemon()
        self.write_contexts()
        say(f"{len(relays)} relays: enrol, start")
        for name in relays:
            self.enroll(name)
        fleet = self.relays()
        for name in relays:
            self.start_relay(name, fleet[name]["facts"])
        say(f"{len(TENANTS)} tenants, an admin, an app and support staff for each, their policies")
        for tenant, policy in TENANTS.items():
            self.add_tenant(tenant, policy)
        self.await_relays(relays)

    def stop(self):
        """Ends our processes, relays first. Names of those that did not end as asked, with how they ended."""
        bad = {}
        for name in [name for name in self.running() if name != "bailiwickd"] + ["bailiwickd"]:
            try:
                self.kill(name, signal.SIGTERM)
            except Problem:
                self.kill(name, signal.SIGKILL)
            status = self.children[name].returncode if name in self.children else 0
            if status:
                bad[name] = status
        return bad

    def down(self):
        """Ends everything of this folder and removes it. True when there was anything."""
        if not os.path.isdir(self.folder):
            return False
        self.stop()
        self.postgres("remove")
        if "sockets" in self.state:
            shutil.rmtree(self.state["sockets"], ignore_errors=True)
        shutil.rmtree(self.folder)
        return True


def one_at_a_time(folder):
    """Held until the process ends: two of us would work on one state.json."""
    os.makedirs(folder, mode=0o711, exist_ok=True)
    lock = open(os.path.join(folder, "lock"), "w", encoding="utf-8")  # closed by the end of the process
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise Problem("another ./dev up, down or demo is at work here") from None
    return lock


def how_to_talk(stack):
    """What `up` prints: lines to copy."""
    program = stack.program("bailiwick").removeprefix(os.getcwd() + "/")
    return f"""
The cell serves gRPC on 127.0.0.1:{stack.state['ports']['grpc']}, /healthz, /readyz and /metrics on http://127.0.0.1:{stack.state['ports']['http']}.

    export BAILIWICK_CONFIG={stack.path('cli.yaml')}
    {program} relay list                                      # as the operator
    {program} --context chu-lyon-admin policy get             # as a tenant's admin
    {program} --context chu-lyon-app meeting create --host dr.x@chu-lyon.example
    {program} --context chu-lyon-app meeting join MEETING --country FR --kind native --capable sframe-mls
    {program} --context {SHOWN}-support2 support search     # as support staff; then: support timeline MEETING
    {program} context list                                    # who else one can be

Logs, configurations and keys are in {stack.folder}. ./dev down ends and removes all of it.
"""


def home_and_programs():
    """Where stacks are kept, and what they run; the tests say otherwise."""
    return (os.environ.get("BW_STACKS") or os.path.join(ROOT, ".bailiwick"),
            os.environ.get("BW_PROGRAMS") or os.path.join(ROOT, "build/release/bin"))


def main(verb):
    home, programs = home_and_programs()
    lock = None
    try:
        lock = one_at_a_time(home)
        stack = Stack(os.path.join(home, "up"), programs, detach=True)
        if verb == "up":
            before = stack.running()
            stack.up(say=lambda words: print(f"./dev up: {words}", file=sys.stderr, flush=True))
            if not before:
                stack.leave_a_meeting()
            print("The stack was up already." if len(before) == 1 + len(RELAYS) else "The stack is up.")
            print(how_to_talk(stack), end="")
        else:
            print("The stack is down." if stack.down() else "There is no stack to take down.")
    except KeyboardInterrupt:
        print(f"./dev {verb}: interrupted; ./dev down removes what is there", file=sys.stderr)
        return 130
    except Problem as problem:
        print(f"./dev {verb}: {problem}", file=sys.stderr)
        return 1
    finally:
        if lock is not None:
            lock.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
