#!/usr/bin/python3
"""Who took part, at rest: sealed by the process that faces the network, readable to the vault alone."""
import hmac
import os
import re
import shutil
import subprocess
import sys

import harness
from harness import UNIVERSITY, expect, wait_for

USER, ADDRESS = "canary.klara@uni-example.example", "198.51.100.77"


def dump(cell):
    """Everything the database holds, as text; bytes as hexadecimal digits."""
    done = subprocess.run(["pg_dump", "--inserts", "-d", cell.postgres("status")], stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout


def as_user(cell, login, query):
    """What a user of the database gets: exit status and output."""
    conninfo = cell.postgres("status").replace("user=postgres", f"user={login}")
    done = subprocess.run(["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-c", f"SET search_path = bailiwick; {query}", "-d", conninfo],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    return done.returncode, done.stdout.strip()


def metric(cell, name):
    found = re.search(rf"^bailiwick_{name}(?:_total)? (\d+)$", cell.http("/metrics")[1], re.M)
    expect(found, f"there is no metric {name}")
    return int(found.group(1))


def vault_pid(cell):
    """The vault child of the daemon; None while it is away."""
    found = subprocess.run(["pgrep", "-P", str(cell.pid("bailiwickd")), "-f", "^bailiwickd vault"],
                           stdout=subprocess.PIPE, text=True, check=False).stdout.split()
    return int(found[0]) if found else None


def in_memory(pid, needles):
    """Which of these bytes lie in the memory that the process can write."""
    found = set()
    with open(f"/proc/{pid}/maps", encoding="utf-8") as maps, open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for line in maps:
            place, rights, *_, = line.split()
            start, end = (int(part, 16) for part in place.split("-"))
            if not rights.startswith("rw") or end - start > 1 << 30:  # the shadow of a sanitizer is larger
                continue
            try:
                memory.seek(start)
                content = memory.read(end - start)
            except (OSError, OverflowError):
                continue  # the kernel's own
            found |= {needle for needle in needles if needle in content}
    return found


def await_health(cell, state):
    wait_for(f"metadata to be {state}", lambda: f"metadata: {state}" in cell.http("/healthz")[1], 40, 0.2)


def join_canary(cell, meeting):
    return harness.join(cell, meeting, UNIVERSITY, "FR", "--user", USER, "--address", ADDRESS)


def check_who_joins_is_sealed_and_nothing_of_it_is_in_a_dump(cell):
    await_health(cell, "ACTIVE")
    sealed = metric(cell, "metadata_sealed")
    meeting = harness.create(cell)
    for _ in range(3):
        join_canary(cell, meeting)
    expect(metric(cell, "metadata_dropped") == 0, "metadata was dropped")
    wait_for("the count of sealed entries", lambda: metric(cell, "metadata_sealed") == sealed + 3, 5)
    records = cell.sql("SELECT length(record), encode(substr(record, 1, 4), 'escape') FROM bailiwick.roster_record")
    expect(records and all(magic == "MREC" and int(size) > 172 for size, magic in records), f"roster records: {records}")
    keys = int(cell.sql(f"SELECT count(*) FROM keystore.meeting_key WHERE meeting = '{meeting}'")[0][0])
    expect(keys >= 1, "the meeting has no key")
    text = dump(cell)
    expect("roster_record" in text and meeting in text, "this is no dump of the cell")
    for canary in ("canary", "klara", ADDRESS):
        expect(canary not in text.lower(), f"the dump holds {canary}")
        expect(canary.encode().hex() not in text.lower(), f"the dump holds {canary} as bytes")
    expect(bytes(int(part) for part in ADDRESS.split(".")).hex() not in
           "".join(re.findall(r"\\x([0-9a-f]+)", text)), "the dump holds the address in four bytes")
    log = cell.log_tail("bailiwickd", 100000)
    expect("canary" not in log and ADDRESS not in log, "the log holds who joined")


def check_the_serving_user_reads_no_keys_and_changes_no_record(cell):
    serve, vault = harness.stack.SERVE_LOGIN, harness.stack.VAULT_LOGIN
    for query in ("SELECT * FROM keystore.scope_key", "SELECT * FROM keystore.meeting_key", "SELECT * FROM keystore.erasure",
                  "SELECT * FROM roster_record", "DELETE FROM roster_record", "UPDATE roster_record SET record = ''",
                  "SELECT * FROM quality_chunk", "DELETE FROM keystore.meeting_key", "SELECT * FROM audit", "DELETE FROM audit",
                  "SELECT * FROM bw_metadata_sweep(gen_random_uuid(), 1, 1)", f"SET ROLE {vault}"):
        status, out = as_user(cell, serve, query)
        expect(status != 0 and "permission denied" in out, f"{serve}: {query}: {out}")
    for query in ("SELECT count(*) FROM keystore.scope_key", "SELECT count(*) FROM roster_record"):
        status, out = as_user(cell, vault, query)
        expect(status == 0 and int(out) > 0, f"{vault}: {query}: {out}")
    for query in ("DELETE FROM audit", "UPDATE audit SET actor = ''", "DELETE FROM decision", "UPDATE tenant SET name = 'x'",
                  "INSERT INTO roster_record VALUES (gen_random_uuid(), gen_random_uuid(), now(), '')"):
        status, out = as_user(cell, vault, query)
        expect(status != 0 and "permission denied" in out, f"{vault}: {query}: {out}")
    expect("vault_not_separate" not in cell.log_tail("bailiwickd", 100000), "the daemon says that its user can read keys")


def check_meetings_go_on_while_the_vault_is_killed(cell):
    meeting = harness.create(cell)
    dropped = metric(cell, "metadata_dropped")
    for _ in range(3):
        pid = wait_for("the vault", lambda: vault_pid(cell), 20)
        os.kill(pid, 9)
        join_canary(cell, meeting)
        wait_for("another vault", lambda: vault_pid(cell) not in (None, pid), 20)
    expect(metric(cell, "metadata_dropped") == dropped, "metadata was dropped while the vault was away")
    await_health(cell, "ACTIVE")


def check_after_a_restart_the_first_join_is_sealed(cell):
    cell.kill("bailiwickd", 15)
    cell.start_daemon()
    meeting = harness.create(cell)
    join_canary(cell, meeting)
    expect(metric(cell, "metadata_dropped") == 0, "the first join's metadata was dropped")


def check_the_serving_process_holds_no_root_key_and_forgets_who_joined(cell):
    if os.geteuid() != 0:
        raise harness.Skip("only root may look into their memory")
    with open(cell.path("cell", "vault.keyring"), encoding="utf-8") as file:
        digits = re.search(r"[0-9a-f]{64}", file.read()).group(0)
    root, text = bytes.fromhex(digits), digits.encode()
    # What the vault keeps of it: HKDF-Extract, from which the keys of tenants come.
    extracted = hmac.new(b"bw-kek/v1", root, "sha256").digest()
    name = USER.split("@", maxsplit=1)[0].encode()
    vault = wait_for("the vault", lambda: vault_pid(cell), 20)
    expect(in_memory(vault, [root, extracted]), "the vault has no root key: this looks in the wrong place")
    expect(not in_memory(cell.pid("bailiwickd"), [root, extracted, text]), "the serving process has the root key")
    cell.kill("bailiwickd", 15)
    cell.start_daemon()
    found = in_memory(cell.pid("bailiwickd"), [root, extracted, text, name])
    expect(not found, f"a serving process that has just started knows {found}")


def check_the_vault_gives_nothing_of_itself_away(cell):
    pid = wait_for("the vault", lambda: vault_pid(cell), 20)
    with open(f"/proc/{pid}/limits", encoding="utf-8") as limits:
        core = re.search(r"^Max core file size\s+(\d+)\s+(\d+)", limits.read(), re.M)
    expect(core and core.groups() == ("0", "0"), "it may write a core file")
    owner = os.stat(f"/proc/{pid}/mem").st_uid
    # Of a process that is not dumpable, root owns the files here.
    expect(owner == 0, f"user {owner} owns its memory")
    with open(f"/proc/{pid}/cmdline", "rb") as line:
        expect(b"keyring" not in line.read(), "its arguments tell too much")


def check_a_wrong_keyring_is_said_and_nothing_is_wrapped_with_it(cell):
    keyring, kept = cell.path("cell", "vault.keyring"), cell.path("cell", "vault.keyring.kept")
    cell.kill("bailiwickd", 15)
    scopes = cell.sql("SELECT count(*) FROM keystore.scope_key")
    shutil.copy2(keyring, kept)
    with open(kept, encoding="utf-8") as file:
        text = file.read()
    other = re.sub(r"[0-9a-f]{64}", os.urandom(32).hex(), text)
    expect(other != text, "the keyring has another form")
    with open(keyring, "w", encoding="utf-8") as file:
        file.write(other)
    cell.start_daemon()
    await_health(cell, "MISCONFIGURED")
    log = cell.log_tail("bailiwickd", 400)
    expect("is not the one that the stored keys were wrapped with" in log, "the log does not say what is wrong")
    # Meetings do not need it.
    meeting = harness.create(cell)
    join_canary(cell, meeting)
    expect(metric(cell, "metadata_dropped") == 1, "metadata was kept under a key that nobody can open")
    expect(cell.sql("SELECT count(*) FROM keystore.scope_key") == scopes, "a key was wrapped with the wrong root")
    cell.kill("bailiwickd", 15)
    os.remove(keyring)
    cell.start_daemon()
    await_health(cell, "MISCONFIGURED")
    done = subprocess.run([cell.program("bailiwickd"), "doctor", "--config", cell.config_file()], stdout=subprocess.PIPE,
                          text=True, check=False)
    expect(done.returncode == 1 and re.search(r"^problem\s+vault", done.stdout, re.M), f"the doctor says: {done.stdout}")
    os.replace(kept, keyring)
    await_health(cell, "ACTIVE")  # without a restart
    join_canary(cell, meeting)
    wait_for("keys to seal with", lambda: join_canary(cell, meeting) and metric(cell, "metadata_sealed") > 0, 10, 0.5)


def check_a_keyring_that_others_may_read_is_denied(cell):
    keyring = cell.path("cell", "vault.keyring")
    os.chmod(keyring, 0o644)
    os.kill(wait_for("the vault", lambda: vault_pid(cell), 20), 9)
    await_health(cell, "DENIED")
    expect("lets others at this private key" in cell.log_tail("bailiwickd", 400), "the log does not say what is wrong")
    os.chmod(keyring, 0o600)
    await_health(cell, "ACTIVE")  # without a restart


def check_a_service_key_that_is_not_the_pinned_one_signs_nothing(cell):
    key, kept = cell.path("cell", "vault.key"), cell.path("cell", "vault.key.kept")
    shutil.copy2(key, kept)
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", key], check=True)
    os.chmod(key, 0o600)
    os.kill(wait_for("the vault", lambda: vault_pid(cell), 20), 9)
    await_health(cell, "MISCONFIGURED")
    expect("is not the public half of" in cell.log_tail("bailiwickd", 400), "the log does not say what is wrong")
    # Somebody new who wants keys meanwhile must not be left with keys that nobody trusts.
    scopes = cell.sql("SELECT count(*) FROM keystore.scope_key")
    with open(os.path.join(harness.stack.ROOT, "policies", harness.stack.TENANTS[UNIVERSITY]), encoding="utf-8") as file:
        policy = cell.write(file.read().replace(UNIVERSITY, "newcomer"), "newcomer.yaml")
    cell.write_contexts(["newcomer"])
    cell.add_tenant("newcomer", policy)
    meeting = harness.create(cell, "newcomer")
    harness.join(cell, meeting, "newcomer", "FR", "--user", USER)
    expect(cell.sql("SELECT count(*) FROM keystore.scope_key") == scopes, "keys were signed with a key that nobody trusts")
    os.replace(kept, key)
    await_health(cell, "ACTIVE")  # without a restart
    sealed = metric(cell, "metadata_sealed")
    wait_for("its joins to be sealed", lambda: harness.join(cell, meeting, "newcomer", "FR", "--user", USER) and
             metric(cell, "metadata_sealed") > sealed, 20, 0.5)


def check_a_vault_that_hangs_is_replaced(cell):
    pid = wait_for("the vault", lambda: vault_pid(cell), 20)
    os.kill(pid, 19)
    wait_for("another vault", lambda: vault_pid(cell) not in (None, pid), 60)
    await_health(cell, "ACTIVE")
    expect("event=vault_stuck" in cell.log_tail("bailiwickd", 400), "the log does not say so")


def check_rights_that_come_back_are_noticed(cell):
    vault = harness.stack.VAULT_LOGIN
    cell.sql(f"REVOKE bailiwick_vault FROM {vault}")
    os.kill(wait_for("the vault", lambda: vault_pid(cell), 20), 9)
    await_health(cell, "UNREACHABLE")
    wait_for("the log to say why", lambda: "role lacks a right" in cell.log_tail("bailiwickd", 400), 20)
    cell.sql(f"GRANT bailiwick_vault TO {vault}")
    await_health(cell, "ACTIVE")
    meeting = harness.create(cell)
    join_canary(cell, meeting)
    shown = cell.bailiwick(f"{UNIVERSITY}-support2", "support", "timeline", meeting)
    expect("people" not in [one["part"] for one in shown.get("missing", [])], f"people are missing: {shown}")


def check_a_shorter_retention_is_obeyed_without_being_asked(cell):
    cell.kill("bailiwickd", 15)
    with open(cell.config_file(), encoding="utf-8") as file:
        text = file.read()
    expect("  keyring: vault.keyring\n" in text, "the configuration has another form")
    cell.write(text.replace("  keyring: vault.keyring\n", "  keyring: vault.keyring\n  sweep: 1s\n"), "cell", "bailiwickd.yaml")
    cell.start_daemon()
    live, ended = harness.create(cell), harness.create(cell)
    join_canary(cell, live)
    join_canary(cell, ended)
    cell.bailiwick(f"{UNIVERSITY}-app", "meeting", "end", ended)

    def count(table, where="true"):
        return int(cell.sql(f"SELECT count(*) FROM {table} WHERE {where}")[0][0])

    def keys(meeting):
        return count("keystore.meeting_key", f"meeting = '{meeting}'")

    expect(count("bailiwick.roster_record") > 0 and keys(ended) == 1, "there is nothing to delete")
    with open(os.path.join(os.environ["BW_SOURCE_DIR"], "policies/university.yaml"), encoding="utf-8") as file:
        policy = file.read()
    shorter = policy.replace("{ atRest: eu }", "{ atRest: eu, retention: { quality: 0s, participants: 0s } }")
    expect(shorter != policy, "the university's policy has another form")
    cell.bailiwick(f"{UNIVERSITY}-admin", "policy", "apply", "-f", cell.write(shorter, "shorter.yaml"))
    tenant = f"tenant = (SELECT id FROM bailiwick.tenant WHERE name = '{UNIVERSITY}')"
    wait_for("the roster to be deleted", lambda: count("bailiwick.roster_record", tenant) == 0, 20, 0.2)
    wait_for("the ended meeting's key to be destroyed", lambda: keys(ended) == 0, 20, 0.2)
    expect(keys(live) == 1, "a live meeting lost its key")
    expect("event=metadata_swept" in cell.log_tail("bailiwickd", 400), "the log does not tell")


if __name__ == "__main__":
    sys.exit(harness.run(sys.modules["__main__"], ("par1",)))
