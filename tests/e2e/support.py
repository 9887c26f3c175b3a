#!/usr/bin/python3
"""What support staff find out about a meeting that went badly, and what they are not shown on the way."""
import os
import sys
import time

import harness
from harness import COMPANY, HOSPITAL, UNIVERSITY, Refused, expect, wait_for
from participant import Participant
from quality import RATE
from vault import as_user, await_health, vault_pid

# A window is judged from some 500 packets on: a second of them here.
QUALITY = {"window": "1s", "flush": "500ms"}
KLARA, OMAR = "canary.klara@uni-example.example", "omar@uni-example.example"
TIER1, TIER2, ADMIN = (f"{UNIVERSITY}-{who}" for who in ("support1", "support2", "admin"))
BAD = {}  # the meeting that went badly, for all checks


def join(cell, meeting, user, address, country="FR"):
    return harness.join(cell, meeting, UNIVERSITY, country, "--user", user, "--address", address)["admission"]


def search(cell, *options, who=TIER2):
    return cell.bailiwick(who, "support", "search", *options)["meetings"]


def timeline(cell, meeting, *options, who=TIER2):
    return cell.bailiwick(who, "support", "timeline", meeting, *options)


def events(lane, what):
    return [one for one in lane["events"] if one["what"] == "WHAT_" + what]


def audit(cell, meeting=None):
    """(actor, role, method, outcome) of who asked, oldest first."""
    where = f"WHERE meeting = '{meeting}'" if meeting else ""
    return [tuple(row) for row in cell.sql(f"SELECT actor, role, method, outcome FROM bailiwick.audit {where} ORDER BY id")]


def check_a_bad_meeting_is_found_and_its_timeline_says_why(cell):
    await_health(cell, "ACTIVE")
    quiet = harness.create(cell)
    meeting = harness.create(cell)
    people = [join(cell, meeting, KLARA, "198.51.100.77"), join(cell, meeting, OMAR, "203.0.113.9")]
    bad = people[0]
    talkers = [Participant(cell, one, "--rate", str(RATE), *(("--lose", "15", "--worse-after", "3000", "--worse-for", "8000")
                                                            if one is bad else ()), count=13 * RATE) for one in people]
    for one in talkers:
        one.await_admission()
    for one in talkers:
        one.go()
    found = wait_for("the meeting to be found", lambda: search(cell, "--worst", "red"), 25, 0.5)
    expect([one["meetingId"] for one in found] == [meeting], f"found: {found}")
    found = found[0]
    expect(found["reason"] == "QUALITY_METRIC_LOSS" and found["participants"] == 2 and found["live"], f"the meeting: {found}")
    expect(bad["relay"] in found["relays"] and found["policyRevision"] >= 1, f"relays or policy: {found}")
    expect(search(cell, "--worst", "red", "--reason", "jitter") == [], "a meeting poor for loss is poor for jitter")
    expect(search(cell, "--relay", "sin1") == [], "a meeting was found on a relay that it never used")
    expect([one["meetingId"] for one in search(cell, "--relay", bad["relay"])] == [meeting], "not found by its relay")
    grey = {one["meetingId"]: one["worstClass"] for one in search(cell)}
    expect(grey.get(quiet) == "QUALITY_CLASS_GREY", f"a meeting without quality is not there, or not grey: {grey}")
    expect(cell.bailiwick(TIER2, "support", "search", "-o", "name", text=True).split() == [meeting, quiet], "not newest first")

    tree = timeline(cell, meeting)
    expect(tree.get("missing", []) == [] and len(tree["lanes"]) == 2, f"the timeline: {tree}")
    lane = next(one for one in tree["lanes"] if one["slot"] == bad["slot"])
    joined, = events(lane, "JOINED")
    expect(joined["relay"] == bad["relay"] and joined["decision"]["policyRevision"] == found["policyRevision"], f"joined: {joined}")
    expect(joined["rejectedBasis"] == "recomputed", f"the routing: {joined}")
    rejected = {one["relay"]: one["reasons"] for one in joined["rejected"]}
    offline = cell.bailiwick(ADMIN, "policy", "explain", "--reference", joined["reference"])
    expect({one["relay"] for one in offline["rejected"]} == set(rejected), f"{rejected} but explained is {offline['rejected']}")
    red = [one for one in events(lane, "CLASS_CHANGED") if one["qualityClass"] == "QUALITY_CLASS_RED"]
    expect(red and red[0]["reason"] == "QUALITY_METRIC_LOSS" and red[0]["relay"] == bad["relay"], f"classes: {lane['events']}")
    began = int(lane["events"][0]["atUnixMs"])
    expect(began < int(red[0]["atUnixMs"]) < began + 20000, f"red at the wrong time: {red[0]}")
    other = next(one for one in tree["lanes"] if one["slot"] != bad["slot"])
    expect(other["worstClass"] in ("QUALITY_CLASS_GREEN", "QUALITY_CLASS_GREY"), f"the other is poor, too: {other}")
    BAD.update(meeting=meeting, slot=bad["slot"], relay=bad["relay"], other=other["slot"])


def check_people_read_the_same_in_words(cell):
    text = cell.bailiwick(TIER2, "support", "timeline", BAD["meeting"], "--tz", "Europe/Paris", text=True)
    for words in (f"joined on {BAD['relay']}", "red for loss", f"measured at {BAD['relay']}", "policy ", "rejected ", "+0"):
        expect(words in text, f"no '{words}' in:\n{text}")
    expect("\033" not in text, "colour where there is no terminal")
    wide = cell.bailiwick(TIER2, "support", "timeline", BAD["meeting"], "-o", "wide", text=True)
    expect("policy.yaml:" in wide, f"no clause in:\n{wide}")
    curve = cell.bailiwick(TIER2, "support", "show", BAD["meeting"], "--slot", str(BAD["slot"]), text=True)
    for words in ("loss", "up to ", f"participant > {BAD['relay']} [", "kept in eu"):
        expect(words in curve, f"no '{words}' in:\n{curve}")
    series = cell.bailiwick(TIER2, "support", "show", BAD["meeting"], "--slot", str(BAD["slot"]))
    loss = next(one for one in series["series"] if one["metric"] == "QUALITY_METRIC_LOSS")
    expect(max(map(int, loss["values"])) > 50000, f"the loss that was injected is not in the curve: {loss}")
    expect(cell.bailiwick(TIER2, "support", "show", BAD["meeting"], "--slot", "999", expect=5), "a slot that was never there")


def check_tiers_see_what_is_theirs(cell):
    meeting = BAD["meeting"]
    first = {one["slot"]: one for one in timeline(cell, meeting, who=TIER1)["lanes"]}
    expect({one["who"] for one in first.values()} == {"participant 1", "participant 2"}, f"tier 1 sees {first}")
    expect(not any(one.get("addressPrefix") for one in first.values()), "tier 1 sees addresses")
    second = {one["slot"]: one for one in timeline(cell, meeting)["lanes"]}
    klara = second[BAD["slot"]]
    expect(klara["who"] == "c***@uni-example.example" and klara["addressPrefix"] == "198.51.100.0/24", f"tier 2 sees {klara}")
    own_before = len(audit(cell, meeting))
    own = {one["slot"]: one["who"] for one in timeline(cell, meeting, "--user", OMAR, who=TIER1)["lanes"]}
    expect(own[BAD["other"]] == "o***@uni-example.example" and own[BAD["slot"]].startswith("participant "), f"own call: {own}")
    named = cell.sql(f"SELECT fields FROM bailiwick.audit WHERE meeting = '{meeting}' ORDER BY id")[own_before]
    expect("one who was named" in named[0], f"the audit does not say that somebody was named: {named}")
    for who in (TIER1, TIER2, ADMIN):
        seen = cell.bailiwick(who, "support", "timeline", meeting, text=True) + str(timeline(cell, meeting, who=who))
        expect("klara" not in seen and "198.51.100.77" not in seen, f"{who} sees a person whole")
    told = cell.bailiwick(TIER1, "whoami")
    expect(told["accepted"] and told["kind"] == "support", f"whoami says {told}")
    cell.bailiwick(f"{COMPANY}-support2", "support", "timeline", meeting, expect=5)
    cell.bailiwick(f"{COMPANY}-support2", "support", "search", "--tenant", UNIVERSITY, expect=4)
    cell.bailiwick(f"{UNIVERSITY}-app", "support", "search", expect=4)
    said = cell.bailiwick("operator", "support", "search", "--tenant", UNIVERSITY, expect=4, text=True)
    expect("support-tier1" in said, f"who may is not said: {said}")


def check_refusals_can_be_looked_up_by_support(cell):
    meeting = harness.create(cell, HOSPITAL)
    reference = harness.join(cell, meeting, HOSPITAL, "KP", expect=8)["error"]["refusal"]["reference"]
    told = cell.bailiwick(f"{HOSPITAL}-support1", "support", "why", reference)
    expect(told["refusal"]["reference"] == reference and told["reply"], f"why: {told}")
    tree = timeline(cell, meeting, who=f"{HOSPITAL}-support1")
    expect(tree["refused"] == 1 and not tree.get("lanes"), f"the refused one is not counted: {tree}")
    cell.bailiwick(TIER1, "support", "why", reference, expect=5)


def check_every_look_is_in_the_audit_before_its_answer(cell):
    before = len(audit(cell, BAD["meeting"]))
    timeline(cell, BAD["meeting"])
    rows = audit(cell, BAD["meeting"])[before:]
    trust = f"spiffe://eu.bailiwick.internal/support/{UNIVERSITY}-support2"
    expect(rows == [(trust, "support-tier2", "GetMeetingTimeline", "allowed")] * 2, f"the audit has {rows}")
    search(cell)
    expect(len(audit(cell, BAD["meeting"])) == before + 2, "a search opened something")
    cell.sql(f"REVOKE INSERT ON bailiwick.audit FROM {harness.stack.LOGINS[harness.stack.VAULT_LOGIN]}")
    try:
        said = cell.bailiwick(TIER2, "support", "timeline", BAD["meeting"], expect=7, text=True)
        expect("audit" in said and "lanes" not in said, f"an answer without an audit: {said}")
    finally:
        cell.sql(f"GRANT INSERT ON bailiwick.audit TO {harness.stack.LOGINS[harness.stack.VAULT_LOGIN]}")
    expect(len(timeline(cell, BAD["meeting"])["lanes"]) == 2, "not answered again")
    status, _ = as_user(cell, harness.stack.SERVE_LOGIN, "SELECT * FROM audit")
    expect(status != 0, "the serving user reads the audit")


def check_while_the_vault_is_away_nothing_half_is_shown(cell):
    pid = wait_for("the vault", lambda: vault_pid(cell), 20)
    os.kill(pid, 19)  # it is there, and says nothing
    try:
        began = time.monotonic()
        said = cell.bailiwick(TIER2, "--timeout", "2s", "support", "timeline", BAD["meeting"], expect=7, text=True)
        expect("lanes" not in said and "joined" not in said, f"a timeline without people: {said}")
        expect(time.monotonic() - began < 10, "the caller had to wait")
        expect(search(cell), "a search needs no vault")
    finally:
        os.kill(pid, 9)
    wait_for("another vault", lambda: vault_pid(cell) not in (None, pid), 20)
    wait_for("timelines", lambda: answered(cell), 20, 0.5)


def answered(cell):
    try:
        return len(timeline(cell, BAD["meeting"])["lanes"]) == 2
    except Refused as refused:
        expect(refused.status == 7, f"while the vault starts: {refused}")
        return False


def check_without_its_keys_the_state_is_named(cell):
    keyring = cell.path("cell", "vault.keyring")
    if not os.path.exists(keyring):
        keyring = next(cell.path("cell", one) for one in os.listdir(cell.path("cell")) if "keyring" in one)
    os.rename(keyring, keyring + ".away")
    pid = vault_pid(cell)
    os.kill(pid, 9)
    wait_for("another vault", lambda: vault_pid(cell) not in (None, pid), 20)
    try:
        said = wait_for("the state", lambda: state_of(cell), 20, 0.5)
        expect("MISCONFIGURED" in said and "lanes" not in said, f"the state is not named: {said}")
    finally:
        os.rename(keyring + ".away", keyring)
    pid = vault_pid(cell)
    os.kill(pid, 9)
    wait_for("timelines", lambda: answered(cell), 30, 0.5)


def state_of(cell):
    said = cell.bailiwick(TIER2, "support", "timeline", BAD["meeting"], expect=None, text=True)
    return said if "keys of the metadata" in said else None


def check_an_open_chunk_is_answered_within_seconds(cell):
    meeting = harness.create(cell)
    people = [join(cell, meeting, KLARA, "198.51.100.77"), join(cell, meeting, OMAR, "203.0.113.9")]
    talkers = [Participant(cell, one, "--rate", str(RATE), count=60 * RATE) for one in people]
    for one in talkers:
        one.await_admission()
    for one in talkers:
        one.go()
    began = time.monotonic()
    wait_for("the first class", lambda: all(events(lane, "CLASS_CHANGED") for lane in timeline(cell, meeting)["lanes"]), 15, 0.5)
    expect(time.monotonic() - began < 15, "not within 15 s")
    Participant.end_all()
    cell.bailiwick(f"{UNIVERSITY}-app", "meeting", "leave", meeting, people[1]["rosterEntry"])
    cell.bailiwick(f"{UNIVERSITY}-app", "meeting", "end", meeting)
    tree = wait_for("its end", lambda: not (tree := timeline(cell, meeting))["meeting"].get("live") and tree, 10)
    expect(tree["meeting"]["endReason"] == "END_REASON_REQUESTED", f"the end: {tree['meeting']}")
    reasons = [events(lane, "LEFT")[0]["leaveReason"] for lane in tree["lanes"]]
    expect(reasons == ["LEAVE_REASON_MEETING_ENDED", "LEAVE_REASON_LEFT"], f"left for {reasons}")
    expect([one["meetingId"] for one in search(cell, "--ended", "requested")] == [meeting], "not found by its end")


def check_small_groups_are_not_shown_to_tier_1(cell):
    def figures():
        answer = cell.bailiwick(TIER2, "support", "stats", "--metric", "loss", "--by", "relay")
        one = next((one for one in answer["stats"] if one["value"] == BAD["relay"]), None)
        return one and int(one["samples"]) > 10 and (answer, one)

    # Hours are written once a minute while they fill.
    seen, stat = wait_for("the hour", figures, 80, 1)
    expect(stat["participants"] >= 2 and stat["poorPpm"] > 0, f"the figures: {seen}")
    expect(int(stat["p99"]) > 100000 and int(seen["all"]["samples"]) >= int(stat["samples"]), f"the figures: {seen}")
    hidden = cell.bailiwick(TIER1, "support", "stats", "--metric", "loss", "--by", "relay")
    for one in hidden["stats"] + [hidden["all"]]:
        expect(one["suppressed"] and not int(one["samples"]) and not one["poorPpm"], f"tier 1 sees {one}")
    said = cell.bailiwick(TIER2, "support", "stats", "--by", "client-version", expect=2, text=True)
    expect("not added up by CLIENT_VERSION yet" in said, f"what is not built yet: {said}")


def check_an_erased_meeting_says_so_and_keeps_its_routing(cell):
    meeting = harness.create(cell)
    someone = join(cell, meeting, KLARA, "198.51.100.77")
    cell.bailiwick(f"{UNIVERSITY}-app", "meeting", "report-quality", meeting, someone["rosterEntry"], "--stat",
                   "packetsReceived=900", "--stat", "packetsLost=100")
    lane, = wait_for("what was measured", lambda: [one for one in timeline(cell, meeting)["lanes"] if one["streams"]], 15, 0.5)
    expect(lane["who"] == "c***@uni-example.example", f"before: {lane}")
    said = cell.bailiwick(ADMIN, "data", "erase", "--meeting", meeting, expect=6, text=True)
    expect("end" in said, f"a live meeting: {said}")
    cell.bailiwick(f"{UNIVERSITY}-app", "meeting", "end", meeting)
    cell.bailiwick(TIER2, "data", "erase", "--meeting", meeting, expect=4)
    request = harness.request_id()
    receipt = cell.bailiwick(ADMIN, "data", "erase", "--meeting", meeting, "--request-id", request)["receipt"]
    expect(receipt["meetingId"] == meeting and receipt["keysDestroyed"] >= 1, f"the receipt: {receipt}")
    again = cell.bailiwick(ADMIN, "data", "erase", "--meeting", meeting, "--request-id", request)["receipt"]
    expect(again == receipt, f"another receipt: {again}")
    tree = timeline(cell, meeting)
    expect([(one["part"], one["reason"]) for one in tree["missing"]] == [("people", "ERASED"), ("quality", "ERASED")], f"after: {tree}")
    lane, = tree["lanes"]
    expect(lane["who"] == "participant 1" and not lane["streams"] and events(lane, "JOINED")[0]["relay"] == someone["relay"],
           f"after: {lane}")
    text = cell.bailiwick(TIER2, "support", "timeline", meeting, text=True)
    expect("missing: people (ERASED)" in text and "joined on " in text, text)
    expect(next(one for one in search(cell) if one["meetingId"] == meeting)["worstClass"] == "QUALITY_CLASS_GREY", "not grey")


def check_what_is_not_built_says_so(cell):
    for argv, words in ((("support", "stats", "--by", "asn"), "ASN"),):
        expect(words in cell.bailiwick(TIER2, *argv, expect=2, text=True), f"{argv}")
    cell.bailiwick(TIER2, "support", "search", "--from", "25:99", expect=2)
    cell.bailiwick(TIER2, "support", "search", "--tz", "Mars/Olympus", expect=2)
    cell.bailiwick(TIER2, "support", "search", "--from", "2026-01-02", "--to", "2026-01-01", expect=2)


if __name__ == "__main__":
    sys.exit(harness.run(sys.modules["__main__"]))
