#!/usr/bin/python3
"""What relays and endpoints measure: from datagrams on the way to sealed rows, and what may not get there."""
import re
import sys
import time

import harness
from harness import UNIVERSITY, expect, wait_for
from participant import Participant

# A window is judged from some 500 packets on: a second of them here.
QUALITY = {"window": "1s", "flush": "500ms"}
RATE = 700
RED, LOSS, JITTER = 3, 1, 2


def metric(cell, name):
    found = re.search(rf"^bailiwick_quality_{name}(?:_total)? (\d+)$", cell.http("/metrics")[1], re.M)
    expect(found, f"there is no metric {name}")
    return int(found.group(1))


def talk(cell, admissions, seconds, worse=(), slot=None):
    """Everybody talks for so long; the one of that slot over a path made worse. The processes."""
    people = [Participant(cell, one, "--rate", str(RATE), *(worse if one["slot"] == slot else ()), count=seconds * RATE)
              for one in admissions]
    for one in people:
        one.await_admission()
    return [one.go() for one in people]


def summary(cell, meeting):
    """What is kept in clear of a meeting; None: nothing yet."""
    rows = cell.sql("SELECT worst_class, reason, participants, poor_minutes, windows, array_to_string(relays, ','), policy_revision"
                    f" FROM bailiwick.meeting_quality WHERE meeting = '{meeting}'")
    names = ("class", "reason", "participants", "poor", "windows", "relays", "revision")
    return {name: value if name == "relays" else int(value) for name, value in zip(names, rows[0])} if rows else None


def chunks(cell, meeting):
    """(slot, source, relay, number, bytes, magic) of each row: who measured, and through which peer or which stream."""
    rows = cell.sql("SELECT slot, source, encode(uuid_send(stream), 'hex'), length(record), encode(substr(record, 1, 4), 'escape')"
                    f" FROM bailiwick.quality_chunk WHERE meeting = '{meeting}' ORDER BY slot, stream, seq")
    return [(int(slot), int(source), int(stream[8:16], 16), int(stream[16:24], 16), int(size), magic)
            for slot, source, stream, size, magic in rows]


def meeting_of(cell, countries, *options):
    meeting = harness.create(cell, UNIVERSITY, None, *options)
    return meeting, [harness.join(cell, meeting, UNIVERSITY, country)["admission"] for country in countries]


def relay_counts(cell, name):
    return cell.relay_status(name)["cells"][0]["quality"]


def check_a_bad_stretch_in_one_path_is_red_for_loss(cell):
    meeting, people = meeting_of(cell, ("FR", "FR"))
    bad = people[0]["slot"]
    talk(cell, people, 12, ("--lose", "15", "--worse-after", "3000", "--worse-for", "7000"), bad)
    found = wait_for("the meeting to be red", lambda: (summary(cell, meeting) or {}).get("class") == RED and summary(cell, meeting), 25, 0.3)
    expect(found["reason"] == LOSS, f"the reason is not loss: {found}")
    expect(found["participants"] == 2 and found["poor"] >= 1 and found["revision"] >= 1, f"the summary: {found}")
    rows = chunks(cell, meeting)
    expect({row[0] for row in rows} == {one["slot"] for one in people}, f"chunks of {rows}")
    expect(all(magic == "MREC" and size > 172 for *_, size, magic in rows), f"not sealed: {rows}")
    counts = relay_counts(cell, people[0]["relay"])
    expect(counts["taken"] > 0 and counts["refused"] == 0 and counts["dropped"] == 0, f"the relay's own counts: {counts}")
    Participant.end_all()


def check_a_restless_path_is_poor_for_jitter(cell):
    meeting, people = meeting_of(cell, ("FR", "FR"))
    talk(cell, people, 9, ("--jitter", "200", "--delay", "20"), people[1]["slot"])
    found = wait_for("the meeting to be red", lambda: (summary(cell, meeting) or {}).get("class") == RED and summary(cell, meeting), 25, 0.3)
    expect(found["reason"] == JITTER, f"the reason is not jitter: {found}")
    Participant.end_all()


def check_paths_through_peers_are_measured_where_they_end(cell):
    meeting, people = meeting_of(cell, ("FR", "FR", "DE", "DE"), "--cap-per-relay", "2")
    relays = {one["slot"]: one["relayNumber"] for one in people}
    expect(len(set(relays.values())) == 2, f"they are on {relays}")
    talk(cell, people, 5)
    # Each of the four straight, and each where the other relay hears it.
    wait_for("eight paths", lambda: len({row[:4] for row in chunks(cell, meeting)}) == 8, 20, 0.3)
    for slot, source, relay, peer, *_ in chunks(cell, meeting):
        expect(source == 0 and (relay == relays[slot] and peer == 0 or relay != relays[slot] and peer == relays[slot]),
               f"slot {slot} of relay {relays[slot]} was measured by {relay} through {peer}")
    found = summary(cell, meeting)
    expect(sorted(map(int, found["relays"].split(","))) == sorted(set(relays.values())), f"relays of {found}")
    Participant.end_all()


def check_what_an_endpoint_reports_is_taken_once_and_never_when_it_cannot_be(cell):
    meeting, people = meeting_of(cell, ("FR",))
    entry, app = people[0]["rosterEntry"], f"{UNIVERSITY}-app"
    start = str(int(time.time() * 1000) - 10000)
    report = ("meeting", "report-quality", meeting, entry, "--start", start, "--media", "audio")
    good = ("--stat", "packetsReceived=460", "--stat", "packetsLost=40", "--stat", "jitter=0.004", "--stat", "candidateType=relay")
    answer = cell.bailiwick(app, *report, *good)
    expect(answer["qualityTaken"] == 1 and answer["qualityDropped"] == 0, f"not taken: {answer}")
    doubled = metric(cell, "windows_doubled")
    answer = cell.bailiwick(app, *report, *good)
    expect(answer["qualityTaken"] == 1, f"known before is taken, too: {answer}")
    wait_for("the double to be counted", lambda: metric(cell, "windows_doubled") == doubled + 1, 5)
    rows = wait_for("the chunk", lambda: chunks(cell, meeting), 5, 0.2)
    expect([row[:3] for row in rows] == [(people[0]["slot"], 1, 0)], f"the client's chunk: {rows}")
    said = cell.bailiwick(app, *report, "--stat", "concealedSamples=10,totalSamplesReceived=5", expect=2, text=True)
    expect("concealedSamples" in said, f"who is at fault is not named: {said}")
    answer = cell.bailiwick(app, "meeting", "report-quality", meeting, entry, "--start", str(int(start) - 3600000), *good)
    expect(answer["qualityDropped"] == 1, f"an hour late: {answer}")
    answer = cell.bailiwick(app, "meeting", "report-quality", meeting, entry, "--path", "failed")
    expect(answer["qualityTaken"] == 0 and answer["qualityDropped"] == 0, f"a path is no sample: {answer}")
    wait_for("the path to be kept", lambda: len(chunks(cell, meeting)) == 2, 5, 0.2)
    cell.bailiwick(app, "meeting", "report-quality", meeting, people[0]["rosterEntry"][:-4] + "ffff", *good, expect=5)


def check_nothing_is_lost_while_the_daemon_is_away(cell):
    meeting, people = meeting_of(cell, ("FR", "FR"))
    talk(cell, people, 16)
    wait_for("the first windows", lambda: (summary(cell, meeting) or {}).get("windows", 0) >= 4, 15, 0.2)
    cell.kill("bailiwickd")
    time.sleep(4)
    expect(relay_counts(cell, people[0]["relay"])["waiting"] > 0, "nothing waits at the relay")
    cell.start_daemon()
    cell.await_relays()
    # Sixteen seconds of two people: whole windows but for the edges, and what was not yet written when it was killed.
    found = wait_for("all windows", lambda: summary(cell, meeting)["windows"] >= 29 and summary(cell, meeting), 40, 0.3)
    time.sleep(3)
    found = summary(cell, meeting)
    expect(found["windows"] <= 36 and found["participants"] == 2, f"windows counted twice: {found}")
    counts = relay_counts(cell, people[0]["relay"])
    expect(counts["dropped"] == 0 and counts["refused"] == 0 and counts["givenUp"] == 0, f"the relay's counts: {counts}")
    Participant.end_all()


def check_nothing_is_lost_while_the_database_is_away(cell):
    meeting, people = meeting_of(cell, ("FR", "FR"))
    talk(cell, people, 12)
    wait_for("the first windows", lambda: (summary(cell, meeting) or {}).get("windows", 0) >= 2, 15, 0.2)
    cell.postgres("kill")
    time.sleep(3)
    cell.postgres("start")
    found = wait_for("all windows", lambda: (summary(cell, meeting) or {}).get("windows", 0) >= 21 and summary(cell, meeting), 40, 0.5)
    expect(found["windows"] <= 28, f"windows counted twice: {found}")
    expect(metric(cell, "chunks_dropped") == 0, "chunks were forgotten")
    cell.await_relays()
    Participant.end_all()


def check_an_ended_meeting_leaves_memory(cell):
    meeting, people = meeting_of(cell, ("FR",))
    talk(cell, people, 3)
    wait_for("its windows", lambda: summary(cell, meeting), 15, 0.2)
    cell.bailiwick(f"{UNIVERSITY}-app", "meeting", "end", meeting)
    before = metric(cell, "meetings")
    expect(before > 0, "no meeting is in memory")
    # A minute of silence, a question to the owner, and it goes.
    wait_for("a meeting to go", lambda: metric(cell, "meetings") < before, 100, 1)


if __name__ == "__main__":
    sys.exit(harness.run(sys.modules["__main__"]))
