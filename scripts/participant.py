"""A participant as a process of its own: bailiwick-endpoint with a grant, for the demo and the end-to-end tests."""
import json
import select
import signal
import subprocess

from stack import Problem

RATE = 100


class Participant:
    """Is admitted, says so, and once `go` is called sends `count` datagrams through its relay and counts what others
    send."""

    started = []  # every process, so that none is forgotten

    def __init__(self, stack, admission, *options, count=100):
        self.slot, self.relay = admission["slot"], admission["relay"]
        line = [stack.program("bailiwick-endpoint"), "--json", "--count", str(count), "--rate", str(RATE), "--linger", "2000",
                "--hold", *options]
        self.process = subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        Participant.started.append(self.process)
        self.process.stdin.write(json.dumps(admission))
        self.process.stdin.close()
        self.said = ""  # its first line: admitted, or already how it ended

    def await_admission(self, seconds=20):
        """True when it is in; otherwise `result` says why not."""
        if not self.said and select.select([self.process.stdout], [], [], seconds)[0]:
            self.said = self.process.stdout.readline()
        return '"admitted"' in self.said

    def go(self):
        if self.await_admission():
            self.process.send_signal(signal.SIGUSR1)
        return self

    def result(self, seconds=30):
        """What it says of itself once it has ended; its exit status as "exit", and "heard": datagrams by slot."""
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        out, err = (self.said + self.process.stdout.read()).split("\n"), self.process.stderr.read()
        self.process.stdout.close()
        self.process.stderr.close()
        lines = [json.loads(line) for line in out if line]
        if not lines or lines[-1]["outcome"] == "admitted":
            raise Problem(f"a participant process ended without a word: {err.strip()}")
        answer = lines[-1]
        return dict(answer, exit=self.process.returncode,
                    heard={sender["slot"]: sender["received"] for sender in answer["senders"]})

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        return self.result(5)

    @classmethod
    def end_all(cls):
        for process in cls.started:
            if process.poll() is None:
                process.kill()
                process.wait()


def together(people):
    """Lets them send as soon as all of them are in; the results by slot."""
    for one in people:
        one.await_admission()
    for one in people:
        one.go()
    return {one.slot: one.result() for one in people}


def complete(results, count):
    """Did everybody send everything and get all of everybody else's, unchanged? `results` by slot."""
    return all(result["exit"] == 0 and result["sent"] == count and result["corrupt"] == 0 and
               result["heard"] == {other: count for other in results if other != slot}
               for slot, result in results.items())
