#!/usr/bin/python3
"""Relays that die, are cordoned, are drained and come back, while meetings are live."""
import signal
import sys

import harness
from harness import UNIVERSITY, expect

OTHERS = ("fra1", "zrh1", "lon1")  # where a meeting of the university may be besides par1


def where(cell, meeting):
    return {member["relay"] for member in harness.show(cell, meeting)["roster"]}


def lively(cell, count=3):
    """A meeting with people on par1; its id and their admissions."""
    meeting = harness.create(cell)
    people = [harness.join(cell, meeting)["admission"] for _ in range(count)]
    expect({person["relay"] for person in people} == {"par1"}, "people in France are not placed in Paris")
    return meeting, people


def check_a_killed_relay_loses_its_meetings_to_another(cell):
    meeting, people = lively(cell)
    cell.kill("par1")
    harness.wait_for("the meeting to move", lambda: "par1" not in where(cell, meeting), 25, 0.3)
    moved = where(cell, meeting)
    expect(len(moved) == 1 and moved <= set(OTHERS), f"it is on {moved}")
    expect(len(harness.show(cell, meeting)["roster"]) == len(people), "somebody was lost in the move")
    for person in people:
        admission = cell.bailiwick(f"{UNIVERSITY}-app", "meeting", "renew", meeting, person["rosterEntry"])["admission"]
        expect({admission["relay"]} == moved and admission["slot"] == person["slot"], f"the renewed grant is {admission}")
    expect(cell.relays()["par1"]["state"] == "RELAY_STATE_DEAD", "a dead relay is not shown as dead")
    expect(harness.join(cell, meeting)["admission"]["relay"] in moved, "a new participant is not placed with the others")


def check_a_relay_that_comes_back_serves_again(cell):
    cell.start_relay("par1", cell.relays()["par1"]["facts"])
    cell.await_relays()
    lively(cell, 1)


def check_a_paused_relay_is_left_and_taken_back(cell):
    meeting, _ = lively(cell)
    cell.kill("par1", signal.SIGSTOP)
    try:
        harness.wait_for("new meetings to avoid it", lambda: harness.join(cell, harness.create(cell))["admission"]["relay"] in OTHERS, 15, 0.5)
        harness.wait_for("the meeting to move", lambda: "par1" not in where(cell, meeting), 25, 0.3)
    finally:
        cell.kill("par1", signal.SIGCONT)
    cell.await_relays()
    expect("par1" not in where(cell, meeting), "the meeting went back without need")
    lively(cell, 1)


def check_a_cordoned_relay_takes_nobody_new_and_keeps_whom_it_has(cell):
    meeting, _ = lively(cell)
    cell.bailiwick("operator", "relay", "cordon", "par1", "--reason", "a disk fails")
    relay = cell.relays()["par1"]
    expect(relay["state"] == "RELAY_STATE_CORDONED", f"it is shown as {relay['state']}")
    expect(relay["stateReason"] == "a disk fails", f"the reason is shown as {relay['stateReason']}")
    expect("a disk fails" in cell.bailiwick("operator", "relay", "show", "par1", "-o", "wide", text=True), "no reason for people")
    expect(harness.join(cell, harness.create(cell))["admission"]["relay"] in OTHERS, "a cordoned relay got a new meeting")
    expect(harness.join(cell, meeting)["admission"]["relay"] in OTHERS, "a cordoned relay got a join")
    expect("par1" in where(cell, meeting), "a cordon moved those who were there")
    cell.bailiwick("operator", "relay", "uncordon", "par1")
    harness.wait_for("the relay to serve", lambda: cell.relays()["par1"]["state"] == "RELAY_STATE_SERVING", 10)
    lively(cell, 1)


def check_a_drained_relay_is_empty_in_time_and_can_come_back(cell):
    meeting, people = lively(cell)
    cell.bailiwick("operator", "relay", "drain", "par1", "--deadline", "20s", "--wait")
    expect("par1" not in where(cell, meeting), "the drain is over and people are still there")
    expect(len(harness.show(cell, meeting)["roster"]) == len(people), "somebody was lost in the drain")
    expect(harness.join(cell, harness.create(cell))["admission"]["relay"] in OTHERS, "a drained relay got a new meeting")
    cell.bailiwick("operator", "relay", "uncordon", "par1")
    cell.await_relays()
    lively(cell, 1)


def check_a_relay_is_made_smaller_while_it_serves(cell):
    """What was granted for those who have left since does not stand in the way."""
    meeting, people = lively(cell)
    with open(harness.stack.FLEET, encoding="utf-8") as file:
        fleet = file.read()
    whole = cell.relays()["par1"]["facts"]["capacity"]
    at = fleet.index("id: par1")
    expect(f"capacity: {whole}" in fleet[at:], f"the fleet file does not say {whole}")

    def enroll(capacity, expect_exit):
        text = fleet[:at] + fleet[at:].replace(f"capacity: {whole}", f"capacity: {capacity}", 1)
        cell.write(text, "smaller.yaml")
        cell.bailiwick("operator", "relay", "enroll", "par1", "-f", cell.path("smaller.yaml"), expect=expect_exit)
    enroll(len(people) + 2, 0)
    expect(cell.relays()["par1"]["facts"]["capacity"] == len(people) + 2, "it is not smaller")
    enroll(len(people) - 1, 6)
    expect("par1" in where(cell, meeting), "its people are gone")
    enroll(whole, 0)


def check_a_relay_of_another_enrolment_is_refused(cell):
    """A relay that says it stands elsewhere than it was enrolled gets no session."""
    facts = cell.relays()["lon1"]["facts"]
    cell.kill("lon1")
    cell.start_relay("lon1", dict(facts, country="FR-75"))
    harness.wait_for("the relay to be told", lambda: "FR-75" in cell.log_tail("lon1", 3), 10)
    expect(cell.relays()["lon1"]["state"] != "RELAY_STATE_SERVING", "it serves all the same")
    cell.kill("lon1")
    cell.start_relay("lon1", facts)
    cell.await_relays()


if __name__ == "__main__":
    sys.exit(harness.run(sys.modules[__name__]))
