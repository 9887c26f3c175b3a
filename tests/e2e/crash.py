#!/usr/bin/python3
"""kill -9 while people join. What was acknowledged is there afterwards, once; what was not is decided by a retry
under the same request id."""
import signal
import subprocess
import sys
import threading
import time

import harness
from harness import expect

THREADS, MEETINGS = 4, 3
AWAY_S = 60


class Joiners:
    """Threads that join without pause. Each try that fails is repeated with its request id, so that in the end every
    one of them has an answer."""

    def __init__(self, cell):
        self.cell, self.stop, self.acknowledged, self.failures, self.broken = cell, False, [], 0, []
        self.lock = threading.Lock()
        self.meetings = [harness.create(cell) for _ in range(MEETINGS)]
        self.threads = [threading.Thread(target=self.loop, args=(i,)) for i in range(THREADS)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop = True
        for thread in self.threads:
            thread.join()

    def loop(self, number):
        joined = 0
        while not self.stop:
            meeting, request = self.meetings[(number + joined) % MEETINGS], harness.request_id()
            until = time.monotonic() + AWAY_S
            while not self.one(meeting, request):
                if time.monotonic() > until:
                    self.broken.append(f"no answer to {request} within {AWAY_S} s")
                    return
                time.sleep(0.1)
            joined += 1

    def one(self, meeting, request):
        try:
            answer = harness.join(self.cell, meeting, harness.UNIVERSITY, "FR", "--request-id", request, "--timeout", "5s")
        except harness.Refused as refused:
            with self.lock:
                self.failures += 1
                # unavailable, or too late to tell: to be tried again; anything else is an answer that is wrong
                if refused.status != 7:
                    self.broken.append(str(refused))
            return refused.status != 7
        with self.lock:
            self.acknowledged.append((meeting, answer["admission"]["rosterEntry"], answer["admission"]["slot"], request))
        return True

    def count(self):
        with self.lock:
            return len(self.acknowledged)

    def wait_for(self, more):
        target = self.count() + more
        harness.wait_for(f"{more} more joins", lambda: self.count() >= target or self.broken, AWAY_S)
        expect(not self.broken, f"a join got a wrong answer: {self.broken[:1]}")


def compare(cell, joiners):
    """The meetings as shown, and the rows of the database, against what the joiners were told."""
    expect(not joiners.broken, f"a join got a wrong answer: {joiners.broken[:1]}")
    expect(joiners.failures > 0, "nothing failed: the kill came at a time when nobody joined")
    requests = [request for _, _, _, request in joiners.acknowledged]
    expect(len(set(requests)) == len(requests), "a request was acknowledged twice")
    for meeting in joiners.meetings:
        told = {(entry, slot) for where, entry, slot, _ in joiners.acknowledged if where == meeting}
        answer = harness.show(cell, meeting)
        shown = [(member["rosterEntry"], member["slot"]) for member in answer["roster"]]
        expect(len(shown) == len(set(shown)), "a participant is shown twice")
        expect(answer["meeting"]["participants"] == len(shown), "the count is not the roster's")
        expect(told <= set(shown), f"{len(told - set(shown))} acknowledged joins are lost")
        # Every try was repeated until it had its answer, so nobody is there who was not told.
        expect(set(shown) <= told, f"{len(set(shown) - told)} participants are there whom nobody was told of")
        rows = cell.sql("SELECT seq, request FROM bailiwick.decision WHERE meeting = "
                        f"'{meeting}' ORDER BY seq")
        expect([int(seq) for seq, _ in rows] == list(range(1, len(rows) + 1)), "the decisions have a gap")
        expect(len({request for _, request in rows}) == len(rows), "a request has two decisions")
        told_requests = {request for where, _, _, request in joiners.acknowledged if where == meeting}
        expect(told_requests <= {request for _, request in rows}, "an acknowledged request has no row")


def check_no_acknowledged_join_is_lost_when_the_daemon_is_killed(cell):
    with joiners_of(cell) as joiners:
        joiners.wait_for(40)
        cell.kill("bailiwickd")
        cell.start_daemon()
        joiners.wait_for(40)
    compare(cell, joiners)


def check_no_acknowledged_join_is_lost_when_postgresql_is_killed(cell):
    with joiners_of(cell) as joiners:
        joiners.wait_for(40)
        cell.postgres("kill")
        time.sleep(1)
        cell.postgres("start")
        joiners.wait_for(40)
    compare(cell, joiners)


def check_no_acknowledged_join_is_lost_when_both_are_killed(cell):
    with joiners_of(cell) as joiners:
        joiners.wait_for(40)
        cell.postgres("kill")
        cell.kill("bailiwickd")
        cell.postgres("start")
        cell.start_daemon()
        joiners.wait_for(40)
    compare(cell, joiners)


def check_nobody_is_lost_when_the_daemon_is_asked_to_end_while_it_is_watched(cell):
    with joiners_of(cell) as joiners:
        watched = subprocess.Popen([cell.program("bailiwick"), "--context", f"{harness.UNIVERSITY}-app", "-o", "json", "meeting",
                                    "watch", joiners.meetings[0]], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL, env=cell.environment())
        joiners.wait_for(40)
        cell.kill("bailiwickd", signal.SIGTERM)
        cell.start_daemon()
        joiners.wait_for(40)
        watched.kill()
        watched.wait()
    cell.await_relays()
    compare(cell, joiners)


def joiners_of(cell):
    cell.await_relays()
    return Joiners(cell)


if __name__ == "__main__":
    sys.exit(harness.run(sys.modules[__name__]))
