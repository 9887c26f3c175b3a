"""What the end-to-end tests share: a stack of their own in the test's folder, checks that report themselves, and the
few calls that every one of them makes. A check is a function called `check_<behaviour>`; it gets the stack."""
import os
import re
import signal
import sys
import traceback
import uuid

sys.path.insert(0, os.path.join(os.environ["BW_SOURCE_DIR"], "scripts"))
import stack  # noqa: E402 (found through the line above)
from participant import Participant  # noqa: E402

Stack, Problem, Refused, wait_for = stack.Stack, stack.Problem, stack.Refused, stack.wait_for
UNIVERSITY, HOSPITAL, COMPANY = "uni-example", "chu-lyon", "acme-europe"


class Skip(Exception):
    pass


def expect(condition, words):
    if not condition:
        raise Problem(words)


def create(cell, tenant=UNIVERSITY, host=None, *options):
    """A meeting's id."""
    answer = cell.bailiwick(f"{tenant}-app", "meeting", "create", "--host", host or f"somebody@{tenant}.example", *options)
    return answer["meeting"]["meetingId"]


def join(cell, meeting, tenant=UNIVERSITY, country="FR", *options, expect=0):
    return cell.bailiwick(f"{tenant}-app", "meeting", "join", meeting, "--country", country, "--kind", "native", *options,
                          expect=expect)


def show(cell, meeting, tenant=UNIVERSITY):
    return cell.bailiwick(f"{tenant}-app", "meeting", "show", meeting)


def with_clock_off(milliseconds):
    """What to add to the environment of a program whose wall clock is to be wrong by so much."""
    return {"LD_PRELOAD": os.path.join(os.environ["BW_BUILD_DIR"], "bin", "libshift_clock.so"),
            "BW_SHIFT_CLOCK_MS": str(milliseconds), "ASAN_OPTIONS": "verify_asan_link_order=0"}


def request_id():
    return str(uuid.uuid4())


def ended_well(cell):
    """The processes end when asked, with status 0, and no sanitizer had anything to say in their logs."""
    bad = cell.stop()
    for name in sorted(os.listdir(cell.path("log"))):
        with open(cell.path("log", name), encoding="utf-8", errors="replace") as log:
            text = log.read()
        found = re.search(r"^.*(Sanitizer: |runtime error: |event=check_failed).*$", text, re.M)
        if found:
            print(text[found.start():found.start() + 6000])
            raise Problem(f"{name}: {found.group(0)}")
    expect(not bad, f"ended with another status than 0: {bad}")


def interrupted(number, _):
    raise SystemExit(128 + number)


def run(module, relays=stack.RELAYS):
    """Runs the checks of a module in the order they are written; the exit status for sys.exit."""
    signal.signal(signal.SIGTERM, interrupted)
    cell = Stack(os.path.join(os.environ["TMPDIR"], "cell"), os.path.join(os.environ["BW_BUILD_DIR"], "bin"))
    cell.quality = getattr(module, "QUALITY", cell.quality)
    failed = 0
    try:
        cell.up(relays)
        checks = [(name, check) for name, check in vars(module).items() if name.startswith("check_")]
        for name, check in [*checks, ("check_everything_ended_well", ended_well)]:
            try:
                check(cell)
                print(f"ok {name[6:]}", flush=True)
            except Skip as why:
                print(f"skipped: {name[6:]}: {why}", flush=True)
            except Exception as problem:  # whatever it is, the next check still runs
                failed += 1
                print(f"not ok {name[6:]}: {str(problem).splitlines()[0] if str(problem) else type(problem).__name__}")
                print(traceback.format_exc(), flush=True)
    except Problem as problem:
        failed += 1
        print(f"not ok {os.path.basename(sys.argv[0])}: the stack did not start: {problem}", flush=True)
    finally:
        if failed:
            print(f"-- the end of bailiwickd's log --\n{cell.log_tail('bailiwickd', 30)}", flush=True)
        Participant.end_all()
        cell.down()
    return 1 if failed else 0
