#!/usr/bin/python3
"""The command line without a server: what it prints, where, and with which exit status."""
import json
import os
import pty
import re
import shutil
import signal
import socket
import subprocess
import sys
import traceback

ROOT = os.environ["BW_SOURCE_DIR"]
PROGRAM = os.path.join(os.environ["BW_BUILD_DIR"], "bin/bailiwick")
DAEMON = os.path.join(os.environ["BW_BUILD_DIR"], "bin/bailiwickd")
FOLDER = os.environ["TMPDIR"]
POLICY = "policies/fr-hospital.yaml"
FLEET = "policies/examples/fleet.yaml"
EXPLAIN = ["policy", "explain", "-f", POLICY, "--fleet", FLEET, "--request"]


def run(*argv, expect=0, stdin="", env=None, cwd=ROOT):
    """(stdout, stderr); nothing of the caller's own configuration counts."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("BAILIWICK_")}
    clean.update({"HOME": FOLDER, "XDG_CONFIG_HOME": os.path.join(FOLDER, "xdg")}, **(env or {}))
    done = subprocess.run([PROGRAM, *argv], input=stdin, capture_output=True, text=True, cwd=cwd, env=clean, timeout=30,
                          check=False)
    assert done.returncode == expect, f"{argv}: {done.returncode}, wanted {expect}\n{done.stdout}{done.stderr}"
    return done.stdout, done.stderr


def fixture(name):
    with open(os.path.join(ROOT, "tests/fixtures/policy/invalid", name), encoding="utf-8") as file:
        return file.read()


def check_examples_are_valid():
    out, err = run("policy", "check", "-f", "policies")
    assert out.count(": ok\n") == 5 and err == "", out + err
    run("policy", "check", "-f", POLICY, "--fleet", FLEET)


def check_invalid_documents_show_every_error_with_its_caret():
    for name in ("typos", "pitfalls", "contradictions", "not-built"):
        with open(os.path.join(ROOT, f"tests/fixtures/policy/invalid/{name}.expected"), encoding="utf-8") as file:
            expected = file.read()
        out, err = run("policy", "check", "-f", f"tests/fixtures/policy/invalid/{name}.yaml", expect=1)
        assert out.replace("tests/fixtures/policy/invalid/", "") == expected and err == "", out


def check_diagnostics_are_stable_json():
    out, _ = run("policy", "check", "-f", "-", "-o", "json", stdin=fixture("typos.yaml"), expect=1)
    answer = json.loads(out)
    first = answer["diagnostics"][0]
    assert answer["errors"] == 16 and answer["warnings"] == 1, answer
    assert (first["code"], first["file"], first["line"], first["column"]) == ("BW-P108", "<stdin>", 6, 1), first
    assert json.loads(run("policy", "check", "-f", POLICY, "-o", "json")[0])["diagnostics"] == []


def check_several_documents_make_one_answer():
    out, _ = run("policy", "check", "-f", POLICY, "-f", "tests/fixtures/policy/invalid/typos.yaml", "-o", "name", expect=1)
    assert out == "tests/fixtures/policy/invalid/typos.yaml\n", out


def check_explain_prints_the_documented_json():
    out, err = run(*EXPLAIN, "policies/examples/request.yaml", "-o", "json")
    answer = json.loads(out)
    assert err == "", err
    assert list(answer) == ["decision", "assignments", "legs", "refused", "rejected", "mode", "flags", "score", "policy",
                            "retention", "exceptions", "missingConnectors"]
    assert answer["retention"] == {"quality": "30d", "participants": "30d", "decisions": "400d"}, answer["retention"]
    assert answer["decision"] == "placed" and answer["assignments"] == {"p1": "par1", "p2": "par1"}
    assert answer["legs"] == [] and answer["refused"] == [] and answer["mode"] == "e2ee"
    assert answer["flags"] == {"p1": {"allocated": "sframe-mls"}, "p2": {"allocated": "sframe-mls"}}
    assert answer["score"] == {"pair_us": 10000, "access_us": 5000, "load_us": 3000, "total_us": 15500}
    assert answer["policy"]["revision"] == 0 and re.fullmatch("sha256:[0-9a-f]{64}", answer["policy"]["hash"])
    rejected = {one["relay"]: one for one in answer["rejected"]}
    assert set(rejected) == {"ash1", "fra1", "lon1", "sin1", "zrh1"}
    assert rejected["ash1"]["reasons"] == ["TRANSIT_COUNTRY", "OPERATOR_JURISDICTION"]
    assert rejected["ash1"]["clauses"] == [f"{POLICY}:14:10", f"{POLICY}:19:25"]


def check_explain_says_no_with_the_nearest_miss():
    out, _ = run(*EXPLAIN, "policies/examples/request-refused.yaml", "-o", "json", expect=1)
    answer = json.loads(out)
    assert answer["decision"] == "refused" and answer["nearest"]["relay"] == "par1", answer
    assert {one["participant"] for one in answer["refused"]} == {"p1", "p2"}
    out, _ = run(*EXPLAIN, "policies/examples/request-refused.yaml", expect=1)
    assert "Refused: no relay" in out and "Nearest miss: par1" in out, out


def check_explain_in_words_shows_the_deciding_lines():
    out, _ = run(*EXPLAIN, "policies/examples/request-board.yaml")
    assert "Placed: 2 of 2 participants on par1, mode e2ee" in out, out
    assert "denyJurisdictions: [US]" in out, out
    assert run(*EXPLAIN, "policies/examples/request.yaml", "-o", "name")[0] == "par1\n"


def check_explain_of_a_meeting_with_a_phone_is_honest():
    request = os.path.join(FOLDER, "phone.yaml")
    with open(request, "w", encoding="utf-8") as file:
        file.write("apiVersion: bailiwick/v1\nkind: PlacementRequest\ntenant: chu-lyon\n"
                   "host: { user: dr.x@chu-lyon.example }\n"
                   "participants: [{ id: p1, country: FR }, { id: p2, country: FR, kind: pstn }]\n")
    answer = json.loads(run(*EXPLAIN, request, "-o", "json")[0])
    assert answer["assignments"] == {"p1": "par1"} and set(answer["flags"]) == {"p1"}, answer
    assert answer["refused"][0]["participant"] == "p2", answer
    assert "CONNECTOR_FORBIDDEN" in answer["refused"][0]["reasons"], answer


def check_wrong_files_are_usage_errors():
    _, err = run(*EXPLAIN, "policies/examples/none.yaml", expect=2)
    assert "none.yaml" in err, err
    _, err = run("policy", "explain", "--fleet", FLEET, expect=2)
    assert "--file" in err, err
    _, err = run("policy", "explain", "-f", "tests/fixtures/policy/invalid/typos.yaml", "--fleet", FLEET, "--request",
                 "policies/examples/request.yaml", expect=1)
    assert "BW-P108" in err, err


def check_init_gives_a_policy_that_is_valid():
    out, _ = run("policy", "init", "-o", "name")
    for name in out.split():
        text, _ = run("policy", "init", "--from", name, "--tenant", "my-tenant")
        assert "\ntenant: my-tenant\n" in text
        run("policy", "check", "-f", "-", stdin=text)
    file = os.path.join(FOLDER, "policy.yaml")
    run("policy", "init", "--from", "fr-hospital", "-f", file)
    with open(file, encoding="utf-8") as written, open(os.path.join(ROOT, POLICY), encoding="utf-8") as original:
        assert written.read() == original.read()
    run("policy", "init", "--from", "ch-bank", "-f", file, expect=6)
    assert "did you mean fr-hospital" in run("policy", "init", "--from", "fr-hospitl", expect=2)[1]


def check_schema_is_json_for_every_kind():
    for kind in ("TenantPolicy", "MeetingPolicy", "Fleet", "PlacementRequest", "CliConfig"):
        assert json.loads(run("policy", "schema", "--kind", kind)[0])["title"] == kind
        assert run("policy", "schema", "--kind", kind, "--format", "markdown")[0].count("\n") > 5


def check_completion_scripts_parse():
    for shell in ("bash", "zsh", "fish"):
        script, _ = run("completion", shell)
        assert "app-credential" in script and "promote" not in script
        checker = {"bash": "bash", "zsh": "zsh", "fish": "fish"}[shell]
        if shutil.which(checker):
            subprocess.run([checker, "-n"], input=script, text=True, check=True)


def check_bash_completes_commands_options_and_choices():
    script = run("completion", "bash")[0] + r"""
try() { COMP_WORDS=(bailiwick "$@"); COMP_CWORD=$#; COMPREPLY=(); _bailiwick; echo "${COMPREPLY[@]}"; }
try pol
try policy ch
try meeting join --kin
try meeting join M --kind na
try -o json relay li
try relay list --output na
"""
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["policy", "check", "--kind", "native", "list", "name"], done.stdout


def check_every_command_has_help_with_an_example():
    text, _ = run("--help")
    for noun in re.findall(r"^  (\w+)  ", text.split("What comes later")[0], re.M):
        words = run(noun, "--help")[0]
        names = re.findall(r"^  ([\w-]+)  ", words, re.M) if "COMMAND [options]" in words else [None]
        for name in names:
            page = run(noun, *([name] if name else []), "--help")[0]
            assert "\nexample\n  " in page, page
    assert "exit status" in text


def check_what_is_not_built_says_so():
    for argv in (["policy", "fmt"], ["policy", "promote", "3"], ["support", "compare"], ["key", "rotate"], ["audit"],
                 ["data", "export"], ["login"]):
        assert "is not built yet" in run(*argv, expect=2)[1], argv


def check_usage_errors_go_to_stderr_with_a_suggestion():
    out, err = run("policy", "check", "--flet", "x", expect=2)
    assert out == "" and "did you mean --fleet?" in err, err
    run(expect=2)
    run("polcy", expect=2)


def check_colour_is_for_terminals_only():
    argv = [PROGRAM, "policy", "check", "-f", "tests/fixtures/policy/invalid/typos.yaml"]

    def on_terminal(**more):
        try:
            parent, child = pty.openpty()
        except OSError as why:  # a root without /dev/pts
            raise Skip(f"no terminal can be had here: {why}") from None
        env = {**os.environ, "TERM": "xterm", **more}
        env.pop("NO_COLOR", None) if "NO_COLOR" not in more else None
        process = subprocess.Popen(argv, stdout=child, stderr=child, cwd=ROOT, env=env)
        os.close(child)
        text = b""
        try:
            while chunk := os.read(parent, 65536):
                text += chunk
        except OSError:  # the end of a terminal
            pass
        process.wait()
        os.close(parent)
        return text

    assert b"\033[" in on_terminal()
    assert b"\033[" not in on_terminal(NO_COLOR="1")
    assert "\033[" not in run(*argv[1:], expect=1)[0]


def check_a_full_disk_is_not_success():
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = subprocess.run([PROGRAM, "policy", "schema"], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 3 and "cannot write" in done.stderr, done


def check_contexts_are_kept_and_chosen():
    home = os.path.join(FOLDER, "contexts")
    env = {"XDG_CONFIG_HOME": home}
    run("context", "use", "a", expect=5, env=env)
    run("context", "set", "a", "--endpoint", "127.0.0.1:1", "--tenant", "t1", env=env)
    run("context", "set", "b", "--endpoint", "127.0.0.1:2", "--ca", "README.md", env=env)
    listed = json.loads(run("context", "list", "-o", "json", env=env)[0])["contexts"]
    assert [(one["name"], one["current"]) for one in listed] == [("a", True), ("b", False)], listed
    assert listed[1]["ca"] == os.path.join(ROOT, "README.md"), listed
    run("context", "use", "b", env=env)
    run("context", "set", "a", "--endpoint", "127.0.0.1:3", env=env)
    listed = json.loads(run("context", "list", "-o", "json", env=env)[0])["contexts"]
    assert listed[0]["endpoint"] == "127.0.0.1:3" and listed[0]["tenant"] == "t1" and listed[1]["current"], listed
    assert os.stat(os.path.join(home, "bailiwick/config.yaml")).st_mode & 0o777 == 0o600
    with open(os.path.join(home, "bailiwick/config.yaml"), "a", encoding="utf-8") as file:
        file.write("colour: red\n")
    _, err = run("relay", "list", env=env, expect=2)
    assert 'no "colour"' in err, err


def check_doctor_names_each_mistake_and_what_to_do():
    def doctor(*argv, expect=1):
        answer = json.loads(run("doctor", "-o", "json", *argv, expect=expect)[0])
        return {one["check"]: one for one in answer["checks"]}

    found = doctor()
    assert found["configuration"]["result"] == "problem" and "context set" in found["configuration"]["todo"], found
    one, other = os.path.join(FOLDER, "one"), os.path.join(FOLDER, "other")
    for folder, cell in ((one, "eu"), (other, "de")):
        subprocess.run([DAEMON, "init", "--dir", folder, "--cell", cell], check=True, stdout=subprocess.DEVNULL)

    def at(endpoint, ca, cert, key):
        return ["--endpoint", endpoint, "--ca", f"{one}/{ca}", "--cert", f"{one}/{cert}", "--key", f"{one}/{key}"]

    closed = socket.socket()
    closed.bind(("127.0.0.1", 0))
    nobody = f"127.0.0.1:{closed.getsockname()[1]}"
    found = doctor(*at(nobody, "ca.crt", "operator.crt", "operator.key"))
    assert found["port"]["result"] == "problem" and "bailiwickd serve" in found["port"]["todo"], found
    assert {name: found[name]["result"] for name in ("ca", "certificate", "validity", "identity", "key")} == dict.fromkeys(
        ("ca", "certificate", "validity", "identity", "key"), "ok"), found
    found = doctor(*at(nobody, "ca.crt", "operator.crt", "server.key"))
    assert "does not belong" in found["key"]["found"] and "port" not in found, found
    found = doctor(*at(nobody, "ca.crt", "server.crt", "server.key"))
    assert "cannot use this program" in found["identity"]["found"], found
    found = doctor(*at(nobody, "operator.crt", "operator.crt", "operator.key"))
    assert "no CA" in found["ca"]["found"], found
    found = doctor(*at(nobody, "ca.crt", "none.crt", "operator.key"))
    assert found["certificate"]["result"] == "problem", found
    os.chmod(f"{one}/operator.key", 0o644)
    found = doctor(*at(nobody, "ca.crt", "operator.crt", "operator.key"))
    assert "chmod 600" in found["key"]["todo"], found
    closed.close()


def check_calls_without_settings_say_what_is_missing():
    _, err = run("relay", "list", expect=2)
    assert "no endpoint" in err and "context set" in err, err
    _, err = run("relay", "list", "--endpoint", "127.0.0.1:1", expect=2)
    assert "no CA" in err, err
    _, err = run("meeting", "list", "--endpoint", "127.0.0.1:1", expect=2)
    assert "no tenant" in err, err
    _, err = run("tenant", "list", "--insecure", "--endpoint", "192.0.2.1:1", expect=2)
    assert "loopback" in err, err


def check_nobody_listening_is_unavailable():
    closed = socket.socket()
    closed.bind(("127.0.0.1", 0))
    out, err = run("tenant", "list", "--insecure", "--endpoint", f"127.0.0.1:{closed.getsockname()[1]}", "-o", "json",
                   expect=7)
    assert json.loads(out)["error"]["code"] == "UNAVAILABLE" and "nothing listens there" in err, out + err
    closed.close()


def check_a_silent_server_meets_the_timeout_and_an_interrupt():
    silent = socket.socket()
    silent.bind(("127.0.0.1", 0))
    silent.listen()
    endpoint = f"127.0.0.1:{silent.getsockname()[1]}"
    run("tenant", "list", "--insecure", "--endpoint", endpoint, "--timeout", "300ms", expect=7)
    process = subprocess.Popen([PROGRAM, "tenant", "list", "--insecure", "--endpoint", endpoint])
    held = [silent.accept(), silent.accept()]  # the first one's and this one's, both kept open
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 130
    for connection, _ in held:
        connection.close()
    silent.close()


def check_wrong_values_are_refused_before_anything_is_sent():
    cell = ["--insecure", "--endpoint", "127.0.0.1:1"]
    _, err = run("tenant", "create", "Big Name", *cell, expect=2)
    assert "name" in err, err
    _, err = run("tenant", "create", "x", "--request-id", "12", *cell, expect=2)
    assert "not a UUID" in err, err
    _, err = run("support", "why", "nonsense", "--tenant", "t", *cell, expect=2)
    assert "not a reference" in err, err


def check_a_new_key_never_overwrites():
    key = os.path.join(FOLDER, "mine.key")
    with open(key, "w", encoding="utf-8") as file:
        file.write("mine")
    argv = ["tenant", "app-credential", "--name", "x", "--tenant", "t", "--role", "app", "--new-key", key, "--out",
            os.path.join(FOLDER, "mine.crt"), "--insecure", "--endpoint", "127.0.0.1:1"]
    _, err = run(*argv, expect=6)
    assert "exists already" in err, err
    with open(key, encoding="utf-8") as file:
        assert file.read() == "mine"
    # Refused by the network: no key of no use is left behind.
    argv[argv.index(key)] = key + "2"
    run(*argv, expect=7)
    assert not os.path.exists(key + "2")


def check_a_grant_is_judged_without_a_server():
    folder = os.path.join(FOLDER, "grants")
    subprocess.run([DAEMON, "init", "--dir", folder, "--cell", "eu"], check=True, stdout=subprocess.DEVNULL)
    with open(os.path.join(ROOT, "tests/fuzz/corpus/grant/batch-of-one"), "rb") as file:
        token = file.read()
    import base64  # only here
    text = base64.b64encode(token).decode()
    for grant, stdin in ((text, ""), ("-", text + "\n")):
        out, _ = run("meeting", "verify-grant", "--grant", grant, "--public-key", f"{folder}/signer.pub", "-o", "json",
                     expect=1, stdin=stdin)
        assert json.loads(out)["verified"] is False, out
    _, err = run("meeting", "verify-grant", "--grant", "$$$", "--public-key", f"{folder}/signer.pub", expect=2)
    assert "no base64" in err, err


class Skip(Exception):
    pass


def main():
    failed = 0
    for name, check in list(globals().items()):
        if not name.startswith("check_"):
            continue
        try:
            check()
            print(f"ok {name[6:]}", flush=True)
        except Skip as why:
            print(f"skipped: {name[6:]}: {why}", flush=True)
        except Exception as problem:  # whatever it is, the next check still runs
            failed += 1
            print(f"not ok {name[6:]}: {str(problem).splitlines()[0] if str(problem) else type(problem).__name__}")
            print(traceback.format_exc(), flush=True)
    return 1 if failed else 0


sys.exit(main())
