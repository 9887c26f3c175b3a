#!/usr/bin/python3
"""Participants as processes, with datagrams flowing: who hears whom, and what a grant is good for."""
import base64
import re
import sys
import time

import harness
from harness import HOSPITAL, UNIVERSITY, Problem, expect
from participant import Participant, complete, together


def everybody(cell, admissions, count=100, *options):
    """Everybody sends to everybody; the results by slot."""
    return together([Participant(cell, admission, *options, count=count) for admission in admissions])


def sending(cell, admissions, count):
    """Everybody, from now on; the processes."""
    people = [Participant(cell, admission, count=count) for admission in admissions]
    for one in people:
        one.await_admission()
    return [one.go() for one in people]


def meeting_of(cell, countries, *options):
    meeting = harness.create(cell, UNIVERSITY, None, *options)
    return meeting, [harness.join(cell, meeting, UNIVERSITY, country)["admission"] for country in countries]


def check_everybody_hears_everybody_across_linked_relays(cell):
    meeting, people = meeting_of(cell, ("FR", "FR", "DE", "DE", "GB"), "--cap-per-relay", "2")
    relays = {one["relay"] for one in people}
    expect(len(relays) == 3, f"they are on {relays}")
    links = harness.show(cell, meeting)["meeting"]["links"]
    expect(len(links) == 3, f"three relays have the links {links}")
    results = everybody(cell, people)
    expect(complete(results, 100), f"something is missing: {results}")


def check_meetings_on_one_relay_do_not_hear_each_other(cell):
    _, first = meeting_of(cell, ("FR", "FR"))
    _, second = meeting_of(cell, ("FR", "FR"))
    expect({one["relay"] for one in first + second} == {"par1"}, "they are not all on par1")
    # Slots begin anew in each meeting, so who is heard cannot tell them apart; how much can.
    people = [Participant(cell, one, count=100) for one in first] + [Participant(cell, one, count=40) for one in second]
    for one in people:
        one.await_admission()
    for one in people:
        one.go()
    results = [one.result() for one in people]
    expect([result["received"] for result in results] == [100, 100, 40, 40], f"received: {[r['received'] for r in results]}")


def check_relays_forward_while_the_control_plane_is_away(cell):
    meeting, people = meeting_of(cell, ("FR", "FR", "DE", "DE"), "--cap-per-relay", "2")
    processes = sending(cell, people, 400)
    time.sleep(1)
    cell.kill("bailiwickd")
    results = {one.slot: one.result() for one in processes}
    cell.start_daemon()
    expect(complete(results, 400), f"something is missing: {results}")
    cell.await_relays()
    people = [cell.bailiwick(f"{UNIVERSITY}-app", "meeting", "renew", meeting, one["rosterEntry"])["admission"] for one in people]
    results = everybody(cell, people)
    expect(complete(results, 100), f"after the restart something is missing: {results}")


def check_a_link_stays_up_through_a_restart_of_the_daemon(cell):
    _, people = meeting_of(cell, ("FR", "DE"), "--cap-per-relay", "1")
    processes = sending(cell, people, 1200)
    time.sleep(1)
    cell.kill("bailiwickd")
    cell.start_daemon()
    results = {one.slot: one.result() for one in processes}
    expect(complete(results, 1200), f"something is missing: {results}")
    cell.await_relays()


def check_relays_forward_while_the_database_is_away(cell):
    _, people = meeting_of(cell, ("FR", "DE"), "--cap-per-relay", "1")
    before = lanes(cell)
    processes = sending(cell, people, 400)
    time.sleep(1)
    cell.postgres("kill")
    time.sleep(2)
    cell.postgres("start")
    results = {one.slot: one.result() for one in processes}
    expect(complete(results, 400), f"something is missing: {results}")
    harness.wait_for("all connections to the database", lambda: lanes(cell) == before, 15, 0.2)
    cell.await_relays()


def lanes(cell):
    return re.search(r"^bailiwick_database_lanes (\d+)$", cell.http("/metrics")[1], re.M).group(1)


def check_who_is_removed_is_not_heard_any_more(cell):
    meeting, (stays, goes) = meeting_of(cell, ("FR", "FR"))
    listener = Participant(cell, stays, "--linger", "5000", count=0)
    listener.await_admission()
    (speaker,) = sending(cell, [goes], 1000)
    time.sleep(1)
    cell.bailiwick(f"{UNIVERSITY}-app", "meeting", "leave", meeting, goes["rosterEntry"], "--reason", "removed")
    ended = speaker.result()
    expect(ended["exit"] == 1 and 0 < ended["sent"] < 1000, f"it went on: {ended}")
    heard = listener.result()["received"]
    expect(0 < heard <= ended["sent"], f"heard {heard} of {ended['sent']}")
    again = Participant(cell, goes).result()
    expect(again["outcome"] == "refused", f"with its old grant it got back in: {again}")


def check_an_ended_meeting_is_ended_at_its_relays(cell):
    meeting, people = meeting_of(cell, ("FR", "DE"), "--cap-per-relay", "1")
    processes = sending(cell, people, 1000)
    time.sleep(1)
    cell.bailiwick(f"{UNIVERSITY}-app", "meeting", "end", meeting)
    for one in processes:
        result = one.result()
        expect(result["exit"] == 1 and result["sent"] < 1000, f"it went on: {result}")
    harness.wait_for("the relays to forget it",
                     lambda: all(cell.relay_status(name)["cells"][0]["participants"] == 0 for name in ("par1", "fra1")), 10)


def refused(cell, admission, *reasons):
    result = Participant(cell, admission).result()
    expect(result["outcome"] == "refused" and result["received"] == 0, f"it was admitted: {result}")
    expect(not reasons or result["reason"] in reasons, f"the reason is {result['reason']}")


def check_a_grant_is_good_at_its_relay_only(cell):
    _, (admission,) = meeting_of(cell, ("FR",))
    for name in ("fra1", "ash1"):
        refused(cell, dict(admission, mediaAddress=f"127.0.0.1:{cell.state['ports'][name]}"))


def check_a_grant_of_another_hop_key_is_refused(cell):
    _, (admission, other) = meeting_of(cell, ("FR", "FR"))
    refused(cell, dict(admission, hopKey=other["hopKey"]), "WRONG_HOP_KEY")


def check_a_grant_with_any_byte_changed_is_refused(cell):
    _, (admission,) = meeting_of(cell, ("FR",))
    grant = base64.b64decode(admission["grant"])
    for at in (10, len(grant) // 2, len(grant) - 1):
        changed = bytearray(grant)
        changed[at] ^= 1
        try:
            refused(cell, dict(admission, grant=base64.b64encode(changed).decode()))
        except Problem as problem:
            expect("said nothing" in str(problem), str(problem))  # the endpoint itself cannot read it


def check_a_renewed_grant_goes_on_in_the_same_place(cell):
    meeting, people = meeting_of(cell, ("FR", "FR"))
    renewed = [cell.bailiwick(f"{UNIVERSITY}-app", "meeting", "renew", meeting, one["rosterEntry"])["admission"] for one in people]
    expect([one["slot"] for one in renewed] == [one["slot"] for one in people], "the slots changed")
    expect([one["grant"] for one in renewed] != [one["grant"] for one in people], "the grants are the old ones")
    results = everybody(cell, renewed)
    expect(complete(results, 100), f"something is missing: {results}")


def check_relays_outside_the_policy_carry_nothing(cell):
    meeting = harness.create(cell, HOSPITAL, "dr.x@chu-lyon.example")
    people = [harness.join(cell, meeting, HOSPITAL, "FR", "--capable", "sframe-mls")["admission"] for _ in range(3)]
    names = ("fra1", "zrh1", "lon1", "ash1", "sin1")
    before = {name: cell.relay_status(name)["counters"] for name in names}
    results = everybody(cell, people)
    expect(complete(results, 100), f"something is missing: {results}")
    for name in names:
        after = cell.relay_status(name)["counters"]
        expect((after["received"], after["forwarded"]) == (before[name]["received"], before[name]["forwarded"]),
               f"{name} carried something")


if __name__ == "__main__":
    sys.exit(harness.run(sys.modules[__name__]))
