#!/usr/bin/python3
"""The command line with a cell: each noun's verbs, what they print and with which exit status."""
import json
import os
import subprocess
import sys
import time

import harness
from harness import HOSPITAL, create, expect, join

ADMIN, APP = f"{HOSPITAL}-admin", f"{HOSPITAL}-app"
POLICY = os.path.join(harness.stack.ROOT, "policies/fr-hospital.yaml")
REQUEST = os.path.join(harness.stack.ROOT, "policies/examples/request.yaml")


def check_policy_is_applied_read_back_and_rolled_back(cell):
    file = cell.path("narrower.yaml")
    with open(POLICY, encoding="utf-8") as original, open(file, "w", encoding="utf-8") as narrower:
        narrower.write(original.read().replace("allow: [FR, BE, LU, CH]", "allow: [FR, BE, LU]"))
    dry = cell.bailiwick(ADMIN, "policy", "apply", "-f", file, "--dry-run")
    expect(not dry["applied"], "a dry run applied something")
    expect(cell.bailiwick(ADMIN, "policy", "apply", "-f", file, "--if-revision", "1")["revision"]["revision"] == 2,
           "not revision 2")
    cell.bailiwick(ADMIN, "policy", "apply", "-f", file, "--if-revision", "1", expect=6)
    with open(file, encoding="utf-8") as narrower:
        expect(cell.bailiwick(ADMIN, "policy", "get", text=True).startswith(narrower.read()), "not what was applied")
    cell.bailiwick(ADMIN, "policy", "rollback", "--to", "1", "--if-revision", "2")
    history = cell.bailiwick(ADMIN, "policy", "history")["revisions"]
    expect([one["revision"] for one in history] == [3, 2, 1], f"history: {history}")
    expect(history[0]["hash"] == history[2]["hash"] and history[0]["state"] == "REVISION_STATE_ENFORCED", f"{history}")


def check_policy_that_is_not_valid_is_not_sent(cell):
    file = cell.path("wrong.yaml")
    with open(file, "w", encoding="utf-8") as wrong:
        wrong.write("apiVersion: bailiwick/v1\nkind: TenantPolicy\ntenant: chu-lyon\n")
    answer = cell.bailiwick(ADMIN, "policy", "apply", "-f", file, expect=1)
    expect(answer["errors"] > 0, f"{answer}")


def check_explanation_of_the_cell_reads_as_the_offline_one(cell):
    online = cell.bailiwick(ADMIN, "policy", "explain", "--request", REQUEST)
    offline = cell.bailiwick(ADMIN, "policy", "explain", "--request", REQUEST, "-f", POLICY, "--fleet", harness.stack.FLEET)
    expect(list(online) == list(offline), f"{list(online)} against {list(offline)}")
    for key in ("decision", "assignments", "legs", "refused", "mode", "flags"):
        expect(online[key] == offline[key], f"{key}: {online[key]} against {offline[key]}")
    expect([(one["relay"], one["reasons"]) for one in online["rejected"]] ==
           [(one["relay"], one["reasons"]) for one in offline["rejected"]], f"{online['rejected']}")


def check_repeated_request_gets_the_same_answer(cell):
    again = ["tenant", "create", "twice", "--request-id", harness.request_id()]
    first = cell.bailiwick("operator", *again)["tenant"]["tenantId"]
    expect(cell.bailiwick("operator", *again)["tenant"]["tenantId"] == first, "another tenant")
    cell.bailiwick("operator", "tenant", "create", "twice", expect=6)
    cell.bailiwick("operator", "tenant", "show", "thrice", expect=5)


def check_credential_works_at_once_and_its_key_is_ones_own(cell):
    key, certificate = cell.path("portal.key"), cell.path("portal.crt")
    cell.bailiwick("operator", "tenant", "app-credential", "--name", "portal", "--tenant", HOSPITAL, "--role", "app",
                   "--new-key", key, "--out", certificate)
    expect(os.stat(key).st_mode & 0o777 == 0o600, "others can read the key")
    me = cell.bailiwick(APP, "whoami", "--cert", certificate, "--key", key)
    expect(me["name"] == "portal" and me["kind"] == "app" and me["accepted"], f"{me}")
    cell.bailiwick(ADMIN, "tenant", "list", expect=4)
    cell.bailiwick(APP, "meeting", "list", "--tenant", harness.UNIVERSITY, expect=4)


def check_certificate_is_issued_for_a_request_in_either_form(cell):
    key = cell.path("own.key")
    subprocess.run(["openssl", "ecparam", "-genkey", "-name", "prime256v1", "-noout", "-out", key], check=True)
    for form in ("PEM", "DER"):
        csr = cell.path("own." + form)
        subprocess.run(["openssl", "req", "-new", "-key", key, "-subj", "/CN=own", "-outform", form, "-out", csr], check=True)
        text = cell.bailiwick("operator", "tenant", "app-credential", "--name", "own-" + form.lower(), "--tenant", HOSPITAL,
                              "--role", "tenant-admin", "--csr", csr, text=True)
        expect(text.startswith("-----BEGIN CERTIFICATE-----"), text)


def check_meeting_from_beginning_to_end(cell):
    meeting = create(cell, HOSPITAL, "dr.x@chu-lyon.example")
    admission = join(cell, meeting, HOSPITAL)["admission"]
    grant = cell.bailiwick(APP, "meeting", "verify-grant", "--grant", admission["grant"], "--public-key",
                           cell.path("cell", "signer.pub"), "--cell", harness.stack.CELL)
    expect(grant["verified"] and grant["rosterEntry"] == admission["rosterEntry"], f"{grant}")
    expect(grant["slot"] == admission["slot"] and grant["relayNumber"] == admission["relayNumber"], f"{grant}")
    entry = admission["rosterEntry"]
    cell.bailiwick(APP, "meeting", "renew", meeting, entry)
    shown = cell.bailiwick(APP, "meeting", "show", meeting)
    expect([one["rosterEntry"] for one in shown["roster"]] == [entry], f"{shown}")
    listed = cell.bailiwick(APP, "meeting", "list")["meetings"]
    expect(meeting in [one["meetingId"] for one in listed], f"{listed}")
    cell.bailiwick(APP, "meeting", "leave", meeting, entry)
    cell.bailiwick(APP, "meeting", "end", meeting)
    expect(cell.bailiwick(APP, "meeting", "show", meeting)["meeting"]["state"] == "MEETING_STATE_ENDED", "not ended")
    cell.bailiwick(APP, "meeting", "show", harness.request_id(), expect=5)


def check_watching_tells_each_event_and_ends_with_the_meeting(cell):
    meeting = create(cell, HOSPITAL, "dr.x@chu-lyon.example")
    env = {**os.environ, "BAILIWICK_CONFIG": cell.path("cli.yaml")}
    watching = subprocess.Popen([cell.program("bailiwick"), "--context", APP, "meeting", "watch", meeting, "-o", "json"],
                                stdout=subprocess.PIPE, text=True, env=env)
    try:
        first = json.loads(watching.stdout.readline())
        expect(first["state"]["meeting"]["meetingId"] == meeting, f"{first}")
        entry = join(cell, meeting, HOSPITAL)["admission"]["rosterEntry"]
        cell.bailiwick(APP, "meeting", "leave", meeting, entry)
        cell.bailiwick(APP, "meeting", "end", meeting)
        rest = [json.loads(line) for line in watching.stdout]
        expect(watching.wait(10) == 0, "not 0 at the end")
    finally:
        watching.kill()
    joined = [one["joined"]["entry"]["rosterEntry"] for one in rest if "joined" in one]
    expect(joined == [entry] and any("left" in one for one in rest) and "ended" in rest[-1], f"{rest}")


def check_refusal_is_told_with_its_reference_and_found_again(cell):
    meeting = create(cell, HOSPITAL, "dr.x@chu-lyon.example")
    error = join(cell, meeting, HOSPITAL, "KP", expect=8)["error"]
    refusal = error["refusal"]
    expect(error["reason"] == "ENTRY_COUNTRY" and refusal["reasons"] == ["ENTRY_COUNTRY"], f"{error}")
    again = cell.bailiwick(ADMIN, "support", "why", refusal["reference"].lower().replace("-", " "))["refusal"]
    expect(again["reference"] == refusal["reference"] and again["country"] == "KP", f"{again}")
    invited = cell.bailiwick(APP, "meeting", "invite", meeting, "--kind", "pstn", "--country", "FR", expect=8)["error"]
    expect(invited["reason"] == "MODE_FORBIDS_CONNECTOR", f"{invited}")


def check_support_gets_the_clause_the_relays_and_a_reply(cell):
    meeting = create(cell, HOSPITAL, "dr.x@chu-lyon.example")
    refusal = join(cell, meeting, HOSPITAL, "KP", expect=8)["error"]["refusal"]
    text = cell.bailiwick(ADMIN, "support", "why", refusal["reference"], text=True)
    expect("ENTRY_COUNTRY" in text and "deny: [KP" in text, text)
    expect("reply to send" in text and "VPN" in text and refusal["reference"] in text, text)
    expect("VPN" in cell.bailiwick(ADMIN, "support", "why", refusal["reference"])["reply"], "no reply in JSON")
    explained = cell.bailiwick(ADMIN, "policy", "explain", "--reference", refusal["reference"], expect=1)
    expect(explained["refused"][0]["clauses"] == refusal["clauses"], f"{explained}")
    expect(explained["basis"]["rejected"] == "recorded" and explained["record"]["kind"] == "REFUSED", f"{explained}")


def check_admission_is_explained_under_the_policy_of_then(cell):
    meeting = create(cell, HOSPITAL, "dr.x@chu-lyon.example")
    admission = join(cell, meeting, HOSPITAL)["admission"]
    by_reference = cell.bailiwick(ADMIN, "policy", "explain", "--reference", admission["reference"])
    expect(by_reference["assignments"] == {admission["rosterEntry"]: admission["relay"]}, f"{by_reference}")
    expect(by_reference["record"]["kind"] == "JOINED" and by_reference["basis"]["rejected"] == "recomputed", f"{by_reference}")
    expect(by_reference["basis"]["samePolicy"] and len(by_reference["rejected"]) > 0, f"{by_reference}")
    expect(all(one["clauses"] for one in by_reference["rejected"]), f"{by_reference['rejected']}")
    by_slot = cell.bailiwick(ADMIN, "policy", "explain", "--meeting", meeting, "--slot", str(admission["slot"]))
    expect(by_slot == by_reference, f"{by_slot} against {by_reference}")
    # A newer revision changes nothing about what was decided.
    revision = by_reference["policy"]["revision"]
    cell.bailiwick(ADMIN, "policy", "apply", "-f", POLICY)
    again = cell.bailiwick(ADMIN, "policy", "explain", "--reference", admission["reference"])
    expect(again["policy"]["revision"] == revision and again["rejected"] == by_reference["rejected"], f"{again}")
    whole = cell.bailiwick(ADMIN, "policy", "explain", "--meeting", meeting)
    expect(whole["assignments"] == by_reference["assignments"] and "record" not in whole, f"{whole}")
    text = cell.bailiwick(ADMIN, "policy", "explain", "--reference", admission["reference"], text=True)
    expect("(JOINED)" in text and "computed now: policy revision" in text and "Kept: quality 30d" in text, text)
    cell.bailiwick(ADMIN, "policy", "explain", "--meeting", meeting, "--slot", "99", expect=5)
    cell.bailiwick(ADMIN, "policy", "explain", "--slot", "2", "--reference", admission["reference"], expect=2)


def check_exception_ends_under_a_live_meeting(cell):
    ends = int(time.time()) + 8
    file = cell.path("exception.yaml")
    with open(POLICY, encoding="utf-8") as original, open(file, "w", encoding="utf-8") as lifted:
        text = original.read().replace("deny: [KP, RU]", "deny: [KP, RU, BE]").replace("{ drain: 60s }", "evict")
        lifted.write(text + "exceptions:\n  - { id: congress, lifts: { entry: { deny: [BE] } }, reason: a congress,\n"
                     f"      expires: {time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(ends))} }}\n")
    applied = cell.bailiwick(ADMIN, "policy", "apply", "-f", file)
    expect("BW-P208" in [one["code"] for one in applied["diagnostics"]], f"{applied}")
    meeting = create(cell, HOSPITAL, "dr.x@chu-lyon.example")
    french = join(cell, meeting, HOSPITAL)["admission"]["rosterEntry"]
    belgian = join(cell, meeting, HOSPITAL, "BE")["admission"]
    explained = cell.bailiwick(ADMIN, "policy", "explain", "--reference", belgian["reference"])
    expect([one["id"] for one in explained["exceptions"]] == ["congress"], f"{explained}")
    while time.time() < ends + 10:
        roster = [one["rosterEntry"] for one in cell.bailiwick(APP, "meeting", "show", meeting)["roster"]]
        if roster == [french]:
            break
        time.sleep(0.5)
    expect(roster == [french] and time.time() >= ends, f"{roster} at {time.time() - ends} s")
    refused = join(cell, meeting, HOSPITAL, "BE", expect=8)["error"]
    expect(refused["reason"] == "ENTRY_COUNTRY", f"{refused}")
    # What was decided while it held was decided under it.
    again = cell.bailiwick(ADMIN, "policy", "explain", "--reference", belgian["reference"])
    expect([one["id"] for one in again["exceptions"]] == ["congress"] and again["basis"]["samePolicy"], f"{again}")
    cell.bailiwick(ADMIN, "policy", "rollback", "--to", "1")


def check_relay_is_cordoned_drained_and_enrolled_again(cell):
    expect(cell.bailiwick("operator", "relay", "cordon", "lon1")["relay"]["state"] == "RELAY_STATE_CORDONED", "not cordoned")
    cell.bailiwick("operator", "relay", "uncordon", "lon1")
    drained = cell.bailiwick("operator", "relay", "drain", "lon1", "--deadline", "10s", "--wait")["relay"]
    expect(drained["meetings"] == 0, f"{drained}")
    cell.bailiwick("operator", "relay", "uncordon", "lon1")
    again = cell.bailiwick("operator", "relay", "enroll", "lon1", "-f", harness.stack.FLEET)
    expect(not again["changed"] and again["certificatePem"] == "", f"{again}")
    cell.bailiwick("operator", "relay", "show", "nowhere", expect=5)


def check_doctor_finds_nothing_wrong_and_then_something(cell):
    answer = cell.bailiwick(ADMIN, "doctor")
    expect(answer["problems"] == 0, f"{answer}")
    names = [one["check"] for one in answer["checks"]]
    expect({"connection", "health", "permission"} <= set(names), f"{names}")
    answer = cell.bailiwick(ADMIN, "doctor", "--tenant", harness.UNIVERSITY, expect=1)
    expect(answer["checks"][-1]["check"] == "permission" and "to do" not in answer["checks"][-1]["found"], f"{answer}")
    answer = cell.bailiwick(ADMIN, "doctor", "--server-name", "other.example", expect=1)
    expect(answer["checks"][-1]["check"] == "server name", f"{answer}")
    cell.bailiwick(ADMIN, "policy", "get", "--server-name", "other.example", expect=4)


def check_doctor_finds_a_clock_that_is_not_the_cells(cell):
    def clock(off, expect_exit):
        answer = cell.bailiwick("operator", "doctor", expect=expect_exit, more=harness.with_clock_off(off))
        return [one for one in answer["checks"] if one["check"] == "clock"]
    cell.await_relays()
    expect([one["result"] for one in clock(0, 0)] == ["ok"], f"{clock(0, 0)}")
    for off in (-60000, 300000):
        found = clock(off, 1)
        expect(len(found) == 1 and found[0]["result"] == "problem" and "timedatectl" in found[0]["todo"], f"{found}")


if __name__ == "__main__":
    sys.exit(harness.run(sys.modules[__name__]))
