#!/usr/bin/python3
"""The life of a meeting, and of the policy it is under, through the command line."""
import os
import sys

import harness
from harness import COMPANY, HOSPITAL, UNIVERSITY, expect

POLICIES = os.path.join(os.environ["BW_SOURCE_DIR"], "policies")


def refused(cell, status, context, *argv):
    """The answer of a call that must be refused with this exit status."""
    try:
        cell.bailiwick(context, *argv)
    except harness.Refused as answer:
        expect(answer.status == status, f"exit status {answer.status}, not {status}: {answer}")
        return answer
    raise harness.Problem(f"{' '.join(argv)} was not refused")


def check_people_join_leave_and_the_meeting_ends(cell):
    meeting = harness.create(cell)
    entries = [harness.join(cell, meeting)["admission"]["rosterEntry"] for _ in range(3)]
    expect(len(set(entries)) == 3, "roster entries repeat")
    expect(harness.show(cell, meeting)["meeting"]["participants"] == 3, "not three are shown")
    cell.bailiwick(f"{UNIVERSITY}-app", "meeting", "leave", meeting, entries[1])
    shown = harness.show(cell, meeting)
    expect([member["rosterEntry"] for member in shown["roster"]] == [entries[0], entries[2]], "the wrong one left")
    live = cell.bailiwick(f"{UNIVERSITY}-app", "meeting", "list")["meetings"]
    expect(meeting in [one["meetingId"] for one in live], "a live meeting is not listed")
    cell.bailiwick(f"{UNIVERSITY}-app", "meeting", "end", meeting)
    shown = harness.show(cell, meeting)["meeting"]
    expect(shown["state"] == "MEETING_STATE_ENDED", f"it is {shown['state']}")
    expect(shown["endReason"] == "END_REASON_REQUESTED", f"the reason is {shown['endReason']}")
    live = cell.bailiwick(f"{UNIVERSITY}-app", "meeting", "list")["meetings"]
    expect(meeting not in [one["meetingId"] for one in live], "an ended meeting is listed as live")
    answer = refused(cell, 6, f"{UNIVERSITY}-app", "meeting", "join", meeting, "--country", "FR", "--kind", "native")
    expect("ended" in answer.err, f"the message does not say that it ended: {answer.err}")


def check_a_retry_gets_the_same_answer(cell):
    meeting, request = harness.create(cell), harness.request_id()
    first = harness.join(cell, meeting, UNIVERSITY, "FR", "--request-id", request)["admission"]
    again = harness.join(cell, meeting, UNIVERSITY, "FR", "--request-id", request)["admission"]
    expect((first["rosterEntry"], first["slot"], first["relay"]) ==
           (again["rosterEntry"], again["slot"], again["relay"]), "the retry got another answer")
    expect(harness.show(cell, meeting)["meeting"]["participants"] == 1, "the retry joined again")
    answer = refused(cell, 6, f"{UNIVERSITY}-app", "meeting", "join", meeting, "--country", "DE", "--kind", "native",
                     "--request-id", request)
    expect("request id" in answer.err, f"the message does not name the request id: {answer.err}")


def check_a_retried_creation_is_one_meeting(cell):
    request = harness.request_id()
    first = harness.create(cell, UNIVERSITY, None, "--request-id", request)
    expect(harness.create(cell, UNIVERSITY, None, "--request-id", request) == first, "the retry made another meeting")


def check_a_retry_after_a_restart_gets_the_same_answer(cell):
    meeting, request = harness.create(cell), harness.request_id()
    first = harness.join(cell, meeting, UNIVERSITY, "FR", "--request-id", request)["admission"]
    cell.kill("bailiwickd")
    cell.start_daemon()
    cell.await_relays()
    again = harness.join(cell, meeting, UNIVERSITY, "FR", "--request-id", request)["admission"]
    expect((first["rosterEntry"], first["slot"]) == (again["rosterEntry"], again["slot"]), "the retry got another answer")


def check_a_consultation_stays_in_france_and_says_why(cell):
    meeting = harness.create(cell, HOSPITAL, "dr.x@chu-lyon.example")
    admission = harness.join(cell, meeting, HOSPITAL, "FR", "--capable", "sframe-mls")["admission"]
    expect(admission["relay"] == "par1", f"placed on {admission['relay']}")
    expect(admission["flags"]["allocated"]["scheme"] == "E2EE_SCHEME_SFRAME_MLS", "no end-to-end encryption is allocated")
    why = cell.bailiwick(f"{HOSPITAL}-admin", "policy", "explain", "--request", os.path.join(POLICIES, "examples/request.yaml"))
    rejected = {one["relay"]: one for one in why["rejected"]}
    expect(sorted(rejected) == ["ash1", "fra1", "lon1", "sin1", "zrh1"], f"rejected are {sorted(rejected)}")
    for name, one in rejected.items():
        expect(one["reasons"] and one["clauses"], f"{name} is rejected without a reason or its clause")


def check_a_denied_country_is_refused_with_a_reference(cell):
    meeting = harness.create(cell, HOSPITAL, "dr.x@chu-lyon.example")
    answer = refused(cell, 8, f"{HOSPITAL}-app", "meeting", "join", meeting, "--country", "RU", "--kind", "native",
                     "--capable", "sframe-mls").answer()
    refusal = answer["error"]["refusal"]
    expect("ENTRY_COUNTRY" in str(refusal["reasons"]), f"the reasons are {refusal['reasons']}")
    why = cell.bailiwick(f"{HOSPITAL}-admin", "support", "why", refusal["reference"])
    expect("ENTRY_COUNTRY" in str(why), f"support why says {why}")
    expect(harness.show(cell, meeting, HOSPITAL)["meeting"].get("participants", 0) == 0, "the refused one is counted")


def check_an_unknown_country_is_refused_where_the_policy_says_so(cell):
    meeting = harness.create(cell, HOSPITAL, "dr.x@chu-lyon.example")
    refused(cell, 8, f"{HOSPITAL}-app", "meeting", "join", meeting, "--kind", "native", "--capable", "sframe-mls")


def check_a_telephone_is_refused_in_an_encrypted_meeting(cell):
    meeting = harness.create(cell, HOSPITAL, "dr.x@chu-lyon.example")
    harness.join(cell, meeting, HOSPITAL, "FR", "--capable", "sframe-mls")
    answer = refused(cell, 8, f"{HOSPITAL}-app", "meeting", "invite", meeting, "--kind", "pstn", "--country", "FR")
    expect("connector" in answer.err.lower(), f"the message does not name connectors: {answer.err}")


def check_a_wrong_policy_is_not_applied_and_every_error_is_placed(cell):
    with open(os.path.join(POLICIES, "fr-hospital.yaml"), encoding="utf-8") as file:
        text = file.read().replace("mode: required", "mode: requierd").replace("transit:\n  allow: [FR, BE", "transit:\n  alow: [FR, BE")
    path = cell.write(text, "wrong.yaml")
    before = cell.bailiwick(f"{HOSPITAL}-admin", "policy", "history")
    answer = refused(cell, 1, f"{HOSPITAL}-admin", "policy", "apply", "-f", path)
    expect("requierd" in answer.out + answer.err and "alow" in answer.out + answer.err, f"not all errors are told: {answer}")
    expect(cell.bailiwick(f"{HOSPITAL}-admin", "policy", "history") == before, "a revision was made all the same")


def check_a_published_policy_decides_the_next_join(cell):
    with open(os.path.join(POLICIES, "multinational-eu.yaml"), encoding="utf-8") as file:
        text = file.read()
    admin, meeting = f"{COMPANY}-admin", harness.create(cell, COMPANY, "somebody@acme.example")
    first = harness.join(cell, meeting, COMPANY, "DE", "--capable", "sframe-mls")["admission"]
    expect(first["relay"] == "fra1", f"placed on {first['relay']}")
    narrower = text.replace("deny: [HU]", "deny: [HU, DE]").replace("allow: [DE, AT, FR]", "allow: [AT, FR]").replace(
        "prefer: [[DE, FR, NL]", "prefer: [[FR, NL]").replace("allow: [par1, fra1]", "allow: [par1]").replace(
        "allow: [par1, fra1, zrh1]", "allow: [par1, zrh1]")
    cell.bailiwick(admin, "policy", "apply", "-f", cell.write(narrower, "narrower.yaml"))
    second = harness.join(cell, meeting, COMPANY, "DE", "--capable", "sframe-mls")["admission"]
    expect(second["relay"] == "par1", f"after Germany was denied, placed on {second['relay']}")
    harness.wait_for("the first participant to be moved",
                     lambda: {member["relay"] for member in harness.show(cell, meeting, COMPANY)["roster"]} == {"par1"}, 10)
    renewed = cell.bailiwick(f"{COMPANY}-app", "meeting", "renew", meeting, first["rosterEntry"])["admission"]
    expect(renewed["relay"] == "par1", f"the renewed grant is for {renewed['relay']}")
    cell.bailiwick(admin, "policy", "apply", "-f", cell.write(text, "original.yaml"))


def check_a_policy_is_not_overwritten_unseen(cell):
    path = os.path.join(POLICIES, "university.yaml")
    answer = refused(cell, 6, f"{UNIVERSITY}-admin", "policy", "apply", "-f", path, "--if-revision", "99")
    expect("revision" in answer.err, f"the message does not speak of revisions: {answer.err}")


if __name__ == "__main__":
    sys.exit(harness.run(sys.modules[__name__]))
