"""A participant as a process of its own: bailiwick-endpoint with a grant, for the demo and the end-to-end tests."""
import json
import signal
import subprocess

from stack import Problem

# Long enough for every participant to be admitted before the first of them sends.
START_AFTER_MS = 1200
RATE = 100


class Participant:
    """Sends `count` datagrams through its relay once admitted, and counts what others send."""

    started = []  # every process, so that none is forgotten

    def __init__(self, stack, admission, *options, count=100):
        self.slot, self.relay = admission["slot"], admission["relay"]
        line = [stack.program("bailiwick-endpoint"), "--json", "--count", str(count), "--rate", str(RATE), "--linger", "1500",
                "--start-after", str(START_AFTER_MS), *options]
        self.process = subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        Participant.started.append(self.process)
        self.process.stdin.write(json.dumps(admission))
        self.process.stdin.close()

    def result(self, seconds=30):
        """What it says of itself once it has ended; its exit status as "exit", and "heard": datagrams by slot."""
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        out, err = self.process.stdout.read(), self.process.stderr.read()
        self.process.stdout.close()
        self.process.stderr.close()
        if not out.strip():
            raise Problem(f"a participant process said nothing: {err.strip()}")
        answer = json.loads(out)
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


def complete(results, count):
    """Did everybody send everything and get all of everybody else's, unchanged? `results` by slot."""
    return all(result["exit"] == 0 and result["sent"] == count and result["corrupt"] == 0 and
               result["heard"] == {other: count for other in results if other != slot}
               for slot, result in results.items())
