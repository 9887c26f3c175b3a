#!/usr/bin/python3
"""`./dev demo`: a cell, six relays and three tenants on this machine, and what they answer when people meet.

Every fact printed is an answer of the running system: what the command line printed, a relay's own counters, what
participant processes sent and received. Each step says what had to hold; the first that does not ends the demo with
exit status 1.
"""
import concurrent.futures
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
import uuid

import stack
from participant import Participant, complete, together
from stack import Problem, Refused, Stack, wait_for

HOSPITAL, UNIVERSITY, COMPANY = "chu-lyon", "uni-example", "acme-europe"
POLICIES = os.path.join(stack.ROOT, "policies")
WIDTH = 116
DATAGRAMS = 150


class Terminal:
    """The story as people read it."""

    def __init__(self):
        plain = not sys.stdout.isatty() or "NO_COLOR" in os.environ
        self.bold, self.dim, self.green, self.off = ("", "", "", "") if plain else ("\033[1m", "\033[2m", "\033[32m", "\033[0m")
        self.chapters, self.held, self.begun = 0, 0, time.monotonic()

    def chapter(self, title):
        self.chapters += 1
        print(f"\n{self.bold}{self.chapters}. {title}{self.off} {self.dim}({time.monotonic() - self.begun:.0f} s){self.off}\n")

    def tell(self, words):
        print("   " + words)

    def command(self, line):
        print(f"   {self.bold}$ {line}{self.off}")

    def output(self, text, lines=40):
        rows = text.rstrip("\n").split("\n")
        for row in rows[:lines]:
            for part in textwrap.wrap(row, WIDTH, subsequent_indent="      ", replace_whitespace=False) or [""]:
                print(f"   {self.dim}|{self.off} {part}")
        if len(rows) > lines:
            print(f"   {self.dim}| … {len(rows) - lines} more lines{self.off}")

    def check(self, what, condition, instead=""):
        if not condition:
            raise Problem(f"this did not hold: {what}{': ' if instead != '' else ''}{instead}")
        self.held += 1
        print(f"   {self.green}✓{self.off} {what}")


class Watch:
    """`meeting watch` beside the story; events as they come."""

    def __init__(self, demo, tenant, meeting):
        line = [demo.cell.program("bailiwick"), "--context", f"{tenant}-app", "-o", "json", "meeting", "watch", meeting]
        self.process = subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                        text=True, env=demo.cell.environment())
        demo.others.append(self.process)
        self.events, self.begun = [], time.monotonic()
        threading.Thread(target=self.read, daemon=True).start()
        wait_for("the watch to begin", lambda: self.of("state"), 5)

    def read(self):
        for line in self.process.stdout:
            self.events.append((time.monotonic(), json.loads(line)))

    def of(self, kind):
        return [dict(event[kind], at=at) for at, event in list(self.events) if kind in event]

    def stop(self):
        self.process.terminate()
        self.process.wait()


class Demo:
    def __init__(self, cell, terminal):
        self.cell, self.t = cell, terminal
        self.others = []  # processes besides the stack's and the participants

    # ---- asking ----

    def ask(self, context, *argv, expect=0, quiet=False):
        """Runs the command line, shows the line, and gives the answer as a tree."""
        if not quiet:
            self.t.command(self.line(context, argv))
        return self.cell.bailiwick(context, *argv, expect=expect)

    def line(self, context, argv):
        return f"bailiwick --context {context} {self.short(' '.join(argv))}"

    def short(self, text):
        """Without the folders that files lie in: they say nothing to the reader."""
        return text.replace(self.cell.folder + "/", "").replace(stack.ROOT + "/", "")

    def show(self, context, *argv, lines=40, expect=0):
        """Runs the command line and prints what it prints for people."""
        self.t.command(self.line(context, argv))
        text = self.cell.bailiwick(context, *argv, expect=expect, text=True)
        self.t.output(self.short(text), lines)
        return text

    def refused(self, status, context, *argv):
        """A call that must be refused: shows its words; the refusal's tree."""
        self.t.command(self.line(context, argv))
        try:
            self.cell.bailiwick(context, *argv)
        except Refused as answer:
            self.t.output(answer.err, 12)
            self.t.check(f"refused with exit status {status}", answer.status == status, answer.status)
            return answer.answer()["error"]
        raise Problem("this was not refused")

    def create(self, tenant, host, *options):
        return self.ask(f"{tenant}-app", "meeting", "create", "--host", host, *options)["meeting"]

    def join(self, tenant, meeting, country, *options, quiet=False):
        answer = self.ask(f"{tenant}-app", "meeting", "join", meeting, "--country", country, "--kind", "native", "--capable",
                          "sframe-mls", *options, quiet=quiet)
        admission = answer["admission"]
        self.t.tell(f"  participant {admission['slot']} from {country}: relay {admission['relay']} at "
                    f"{admission['mediaAddress']}, reference {admission['reference']}")
        return admission

    def counters(self, name):
        return self.cell.relay_status(name)["counters"]

    # ---- the story ----

    def fleet(self):
        self.t.chapter("A cell and its fleet")
        self.show("operator", "relay", "list")
        fleet = self.cell.relays()
        self.t.check("six relays serve", [one["state"] for one in fleet.values()] == ["RELAY_STATE_SERVING"] * 6)
        operators = {one["facts"]["operator"]["name"] for one in fleet.values()}
        self.t.check(f"under {len(operators)} operators: {', '.join(sorted(operators))}", len(operators) >= 5)

    def policy(self):
        self.t.chapter("A tenant's policy, checked before it counts")
        with open(os.path.join(POLICIES, "fr-hospital.yaml"), encoding="utf-8") as file:
            text = file.read().replace("  mode: required", "  mode: requierd").replace("requireCertifications:", "requireCertificates:")
        wrong = self.cell.write(text, "wrong.yaml")
        self.t.tell("An admin mistypes two words:")
        said = self.show(f"{HOSPITAL}-admin", "policy", "check", "-f", wrong, expect=1)
        self.t.check("both are found, each with its place, a caret and what to write instead",
                     len(re.findall(r"\^+$", said, re.M)) == 2 and "write: required" in said and "write: requireCertifications" in said)
        self.show(f"{HOSPITAL}-admin", "policy", "get", lines=24)
        self.t.tell("")
        self.t.tell("A Swiss bank's policy keeps its data in a cell in Switzerland, and its signalling out of France. Here:")
        self.ask("operator", "tenant", "create", "banque-du-leman")
        self.cell.add_credential("banque-du-leman", "tenant-admin", "admin")
        self.cell.write_contexts(("banque-du-leman",))
        said = self.show("banque-du-leman-admin", "policy", "apply", "-f", os.path.join(POLICIES, "ch-bank.yaml"), expect=1)
        self.t.check("it is refused, and the reason is the residency", "SIGNALLING" in said and "residency" in said)

    def consultation(self):
        self.t.chapter("A consultation in Lyon stays in France, and every relay that was not taken has its reason")
        meeting = self.create(HOSPITAL, "dr.x@chu-lyon.example")
        self.meeting = meeting["meetingId"]
        self.people = [self.join(HOSPITAL, self.meeting, country) for country in ("FR", "FR", "BE")]
        self.t.check("all three are on par1, in Paris", {one["relay"] for one in self.people} == {"par1"})
        request = os.path.join(POLICIES, "examples/request.yaml")
        said = self.show(f"{HOSPITAL}-admin", "policy", "explain", "--request", request, lines=60)
        why = self.cell.bailiwick(f"{HOSPITAL}-admin", "policy", "explain", "--request", request)
        rejected = {one["relay"]: one for one in why["rejected"]}
        self.t.check("the five others are rejected, each with a reason and the line of the policy that gives it",
                     sorted(rejected) == ["ash1", "fra1", "lon1", "sin1", "zrh1"] and
                     all(one["reasons"] and one["clauses"] for one in rejected.values()), said)
        flags = self.people[0]["flags"]["allocated"]
        self.t.tell(f"Mode {meeting['mode']}; allocated to participant {self.people[0]['slot']}: {flags['scheme']}, {flags['suite']}")
        self.t.check("the meeting is end-to-end encrypted, with the suite that the policy names",
                     meeting["mode"] == "E2EE_MODE_E2EE" and flags["suite"] == "AES_256_GCM_SHA512_128")
        label = self.cell.bailiwick(f"{HOSPITAL}-app", "meeting", "show", self.meeting)["meeting"]["mode"]
        self.t.check("its label says no more than is known: partial, for no endpoint has reported its encryption yet",
                     label == "E2EE_MODE_PARTIAL", label)

    def refusals(self):
        self.t.chapter("Who and what may not join, with the reason")
        self.t.tell("A telephone needs plaintext, so it cannot enter an encrypted consultation:")
        error = self.refused(8, f"{HOSPITAL}-app", "meeting", "invite", self.meeting, "--kind", "pstn", "--country", "FR")
        self.t.check("the reason names connectors", "CONNECTOR" in json.dumps(error))
        self.t.tell("Somebody joins from a country that the policy denies:")
        error = self.refused(8, f"{HOSPITAL}-app", "meeting", "join", self.meeting, "--country", "RU", "--kind", "native",
                             "--capable", "sframe-mls")
        reference = error["refusal"]["reference"]
        self.t.tell(f"Later, the person calls support with the reference {reference}:")
        said = self.show(f"{HOSPITAL}-admin", "support", "why", reference)
        self.t.check("support sees the reason and the clause", "ENTRY_COUNTRY" in said and re.search(r"yaml:\d+:\d+", said))
        people = self.ask(f"{HOSPITAL}-app", "meeting", "show", self.meeting, quiet=True)["meeting"]["participants"]
        self.t.check("neither is in the meeting", people == 3, people)

    def exchange(self, admissions):
        """Everybody sends to everybody; results by slot."""
        people = [Participant(self.cell, admission, count=DATAGRAMS) for admission in admissions]
        results = together(people)
        self.t.tell("  participant  relay  sent  received, by sender")
        for one in people:
            self.t.tell(f"  {one.slot:11}  {one.relay:5}  {results[one.slot]['sent']:4}  " +
                        ", ".join(f"{slot}: {count}" for slot, count in sorted(results[one.slot]["heard"].items())))
        self.t.check(f"each of {len(people)} processes sent {DATAGRAMS} datagrams and got all of everybody else's, unchanged",
                     complete(results, DATAGRAMS), results)

    def media(self):
        self.t.chapter("Datagrams, through par1 and nowhere else")
        before = self.counters("par1")
        self.exchange(self.people)
        after = self.counters("par1")
        self.t.tell(f"par1 says: {after['received'] - before['received']} datagrams in, {after['forwarded'] - before['forwarded']} out")
        others = {name: self.counters(name) for name in stack.RELAYS if name != "par1"}
        self.t.check("the five relays outside the policy carried nothing: received 0, forwarded 0",
                     all(one["received"] == 0 and one["forwarded"] == 0 for one in others.values()), others)

    def support(self):
        """A bad stretch in one person's path, and what support staff make of it a few seconds later."""
        self.t.chapter("\"The meeting was bad\": for whom, and was it our routing?")
        meeting = self.create(HOSPITAL, "dr.x@board.chu-lyon.example")["meetingId"]
        people = [self.join(HOSPITAL, meeting, "FR", "--user", user, "--address", address)
                  for user, address in (("marie@chu-lyon.example", "198.51.100.77"), ("paul@chu-lyon.example", "203.0.113.9"))]
        marie = people[0]
        # A window of quality lasts two seconds here, and is judged from 500 packets on.
        talkers = [Participant(self.cell, one, "--rate", "350", *(("--lose", "12", "--worse-after", "2000", "--worse-for", "8500")
                                                                 if one is marie else ()), count=14 * 350) for one in people]
        for one in talkers:
            one.await_admission()
        for one in talkers:
            one.go()
        self.t.tell(f"Both talk; between participant {marie['slot']} and {marie['relay']} every eighth datagram is lost for 8 s.")
        desk = f"{HOSPITAL}-support2"
        wait_for("the meeting to be red", lambda: [one["meetingId"] for one in self.cell.bailiwick(
            desk, "support", "search", "--worst", "red", "--since", "10m")["meetings"]] == [meeting], 30, 0.5)
        for one in talkers:
            one.result()
        self.show(desk, "support", "search", "--worst", "red", "--since", "10m")
        text = self.show(desk, "support", "timeline", meeting, lines=60)
        self.t.check("support finds it, and sees that it was one person's path that lost packets, not the relay",
                     "red for loss" in text and f"measured at {marie['relay']}" in text)
        tree = self.cell.bailiwick(desk, "support", "timeline", meeting)
        other = next(lane for lane in tree["lanes"] if lane["slot"] != marie["slot"])
        self.t.check("the other was fine on the same relay", other["worstClass"] == "QUALITY_CLASS_GREEN", other["worstClass"])
        joined = next(event for lane in tree["lanes"] for event in lane["events"] if event["what"] == "WHAT_JOINED")
        self.t.check(f"the timeline names policy revision {joined['decision']['policyRevision']} and the {joined['rejectedTotal']} relays that it rejected",
                     joined["rejectedTotal"] == 5 and joined["decision"]["policyRevision"] >= 1, joined)
        self.t.check("marie@chu-lyon.example is m***@chu-lyon.example to tier 2",
                     tree["lanes"][0]["who"] == "m***@chu-lyon.example", tree["lanes"][0]["who"])
        first = self.cell.bailiwick(f"{HOSPITAL}-support1", "support", "timeline", meeting)["lanes"]
        self.t.check("and \"participant 1\" to tier 1", first[0]["who"] == "participant 1" and not first[0].get("addressPrefix"), first[0])
        asked = self.cell.sql(f"SELECT count(*) FROM bailiwick.audit WHERE meeting = '{meeting}'")[0][0]
        self.t.check(f"each look was written down before its answer: {asked} rows of audit", int(asked) >= 4, asked)

    def wrong_relay(self):
        self.t.chapter("A grant is for one relay")
        admission = dict(self.people[0], mediaAddress=f"127.0.0.1:{self.cell.state['ports']['ash1']}", relay="ash1")
        result = Participant(self.cell, admission).result()
        self.t.tell(f"  shown to ash1 instead of par1: {result['outcome']}, {result.get('reason')}: {result.get('text')}")
        self.t.check("the relay in Ashburn refuses it", result["outcome"] == "refused" and result["received"] == 0, result)

    def lecture(self):
        self.t.chapter("A lecture across two relays, linked")
        meeting = self.create(UNIVERSITY, "prof.z@uni.example", "--cap-per-relay", "2")["meetingId"]
        self.lecture_id = meeting
        people = [self.join(UNIVERSITY, meeting, country) for country in ("FR", "FR", "DE", "DE")]
        relays = sorted({one["relay"] for one in people})
        shown = self.ask(f"{UNIVERSITY}-app", "meeting", "show", meeting)["meeting"]
        links = [sorted((link["a"], link["b"])) for link in shown["links"]]
        self.t.check(f"two on each of {' and '.join(relays)}, with one link between them", len(relays) == 2 and links == [relays], links)
        before = {name: self.counters(name)["toPeers"] for name in relays}
        self.exchange(people)
        crossed = {name: self.counters(name)["toPeers"] - before[name] for name in relays}
        self.t.check("datagrams crossed the link both ways: " + ", ".join(f"{n} from {name}" for name, n in crossed.items()),
                     all(n >= 2 * DATAGRAMS for n in crossed.values()), crossed)
        self.lecturers = people

    def rtp(self):
        self.t.chapter("Real media: RTP from ffmpeg, through the lecture's relays, decoded at the far end")
        if shutil.which("ffmpeg") is None:
            self.t.tell("Skipped: there is no ffmpeg here (Debian package ffmpeg).")
            return
        sender, receiver = self.lecturers[0], self.lecturers[3]
        out = stack.free_rtp_port()
        into = next(port for port in stack.free_ports(socket.SOCK_DGRAM, 3) if port not in (out, out + 1))
        description = self.cell.write("v=0\no=- 0 0 IN IP4 127.0.0.1\ns=demo\nc=IN IP4 127.0.0.1\nt=0 0\n"
                                      f"m=video {out} RTP/AVP 96\na=rtpmap:96 VP8/90000\n", "rtp.sdp")
        ffmpeg = ["ffmpeg", "-hide_banner", "-nostdin", "-loglevel", "error"]
        decoder = subprocess.Popen([*ffmpeg, "-protocol_whitelist", "file,udp,rtp", "-i", description, "-t", "3", "-f", "null",
                                    "-progress", "pipe:1", "-"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True)
        self.others.append(decoder)
        listener = Participant(self.cell, receiver, "--rtp-out", f"127.0.0.1:{out}", "--linger", "30000", count=0)
        listener.await_admission()
        speaker = Participant(self.cell, sender, "--rtp-in", f"127.0.0.1:{into}", "--linger", "1500")
        speaker.await_admission()
        encoder = subprocess.run([*ffmpeg, "-re", "-f", "lavfi", "-i", "testsrc=size=320x180:rate=25", "-t", "5", "-c:v", "libvpx",
                                  "-deadline", "realtime", "-b:v", "300k", "-g", "25", "-f", "rtp",
                                  f"rtp://127.0.0.1:{into}?pkt_size=1100"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                 stderr=subprocess.PIPE, text=True, check=False)
        if encoder.returncode != 0:
            raise Problem(f"ffmpeg could not encode: {encoder.stderr.strip()}")
        try:
            progress, words = decoder.communicate(timeout=6)
        except subprocess.TimeoutExpired:
            decoder.send_signal(signal.SIGINT)
            progress, words = decoder.communicate()
        sent, got = speaker.result(), listener.stop()
        frames = [int(n) for n in re.findall(r"^frame=\s*(\d+)", progress, re.M)]
        self.t.tell(f"  participant {sender['slot']} on {sender['relay']} sent {sent['sent']} RTP packets; participant "
                    f"{receiver['slot']} on {receiver['relay']} got {got['received']}; ffmpeg decoded {frames[-1] if frames else 0} frames")
        self.t.check("at least 50 frames arrived and were decoded", frames and frames[-1] >= 50, words.strip())
        self.t.check("no packet was lost on the way", got["received"] == sent["sent"] and got["lost"] == 0, (sent, got))

    def tightened(self, text, *replacements):
        for old, new in replacements:
            if old not in text:
                raise Problem(f"the example policy has no '{old}' any more")
            text = text.replace(old, new)
        return text

    def tightening(self):
        self.t.chapter("A tenant's admin tightens the policy while people meet")
        with open(os.path.join(POLICIES, "multinational-eu.yaml"), encoding="utf-8") as file:
            text = file.read()
        meeting = self.create(COMPANY, "somebody@acme.example")["meetingId"]
        people = [self.join(COMPANY, meeting, country) for country in ("DE", "DE", "FR")]
        self.t.check("they are on fra1, in Frankfurt", {one["relay"] for one in people} == {"fra1"})
        watch = Watch(self, COMPANY, meeting)
        text = self.tightened(text, ("deny: [HU]", "deny: [HU, DE]"), ("prefer: [[DE, FR, NL]", "prefer: [[FR, NL]"),
                              ("allow: [DE, AT, FR]", "allow: [AT, FR]"), ("allow: [par1, fra1]", "allow: [par1]"),
                              ("allow: [par1, fra1, zrh1]", "allow: [par1, zrh1]"))
        self.t.tell("Germany is denied from now on (transit.deny: [HU, DE]):")
        began = time.monotonic()
        self.show(f"{COMPANY}-admin", "policy", "apply", "-f", self.cell.write(text, "tighter.yaml"))
        wait_for("everybody to be moved", lambda: len(watch.of("moved")) >= 3, 10)
        for event in watch.of("moved"):
            self.t.tell(f"  {1000 * (event['at'] - began):.0f} ms after the admin pressed return: participant {event['slot']} moved to {event['relay']}")
        self.t.check("everybody is in Paris now", {event["relay"] for event in watch.of("moved")} == {"par1"})
        self.exchange([self.renew(COMPANY, meeting, one) for one in people])
        text = self.tightened(text, ("entry:\n  allow: [\"*\"]\n  deny: [KP]", "entry:\n  allow: [\"*\"]\n  deny: [KP, DE]"),
                              ("onPolicyChange: { drain: 60s }", "onPolicyChange: evict"))
        self.t.tell("Nobody may join from Germany any more, and who is no longer allowed leaves at once:")
        self.show(f"{COMPANY}-admin", "policy", "apply", "-f", self.cell.write(text, "tightest.yaml"))
        wait_for("two to be removed", lambda: len(watch.of("left")) >= 2, 10)
        for event in watch.of("left"):
            self.t.tell(f"  participant {event['slot']} was removed: {event['reason']}")
        self.t.check("both from Germany were removed by the policy, and nobody else",
                     [(event["slot"], event["reason"]) for event in watch.of("left")] ==
                     [(one["slot"], "LEAVE_REASON_POLICY") for one in people[:2]])
        watch.stop()

    def renew(self, tenant, meeting, admission):
        return self.ask(f"{tenant}-app", "meeting", "renew", meeting, admission["rosterEntry"], quiet=True)["admission"]

    def death(self):
        victim = self.lecturers[3]["relay"]
        self.t.chapter(f"kill -9 {victim}, in the middle of the lecture")
        watch = Watch(self, UNIVERSITY, self.lecture_id)
        self.cell.kill(victim)
        killed = time.monotonic()
        self.t.tell("Its heartbeats stop: at first it is suspect and gets nobody new; after 12 s the cell takes it for dead.")
        wait_for("the relay to be suspect", lambda: self.cell.relays()[victim]["state"] != "RELAY_STATE_SERVING", 20)
        other = self.create(UNIVERSITY, "prof.z@uni.example")["meetingId"]
        admission = self.join(UNIVERSITY, other, "DE")
        self.t.check(f"{time.monotonic() - killed:.1f} s after: a new meeting avoids {victim}", admission["relay"] != victim)
        hit = [one["slot"] for one in self.lecturers if one["relay"] == victim]
        wait_for("the meeting to move", lambda: len(watch.of("moved")) >= len(hit), 25)
        for event in watch.of("moved"):
            self.t.tell(f"  after {event['at'] - killed:.1f} s: participant {event['slot']} moved to {event['relay']}")
        self.t.check("exactly those on the dead relay were moved", sorted(event["slot"] for event in watch.of("moved")) == hit)
        self.show("operator", "relay", "list")
        self.t.tell("With renewed grants they go on:")
        self.lecturers = [self.renew(UNIVERSITY, self.lecture_id, one) for one in self.lecturers]
        self.t.check(f"nobody is on {victim} any more", victim not in {one["relay"] for one in self.lecturers})
        self.exchange(self.lecturers)
        watch.stop()

    def crash(self):
        self.t.chapter("kill -9 bailiwickd, while people join")
        meeting = self.create(UNIVERSITY, "prof.z@uni.example")["meetingId"]
        acknowledged, failed, stop = [], [0], threading.Event()

        def loop():
            while not stop.is_set():
                request = str(uuid.uuid4())
                while True:  # a join whose answer was lost is asked for again, under its request id
                    try:
                        answer = self.cell.bailiwick(f"{UNIVERSITY}-app", "meeting", "join", meeting, "--country", "FR", "--kind",
                                                     "native", "--request-id", request, "--timeout", "3s")
                        acknowledged.append(answer["admission"]["rosterEntry"])
                        break
                    except Refused as refused:
                        if refused.status != 7:
                            raise
                        failed[0] += 1
                        time.sleep(0.1)

        with concurrent.futures.ThreadPoolExecutor(3) as pool:
            loops = [pool.submit(loop) for _ in range(3)]
            wait_for("some joins", lambda: len(acknowledged) >= 40 or any(one.done() for one in loops), 30)
            pid, before = self.cell.pid("bailiwickd"), len(acknowledged)
            self.cell.kill("bailiwickd")
            self.t.tell(f"kill -9 {pid}, after {before} acknowledged joins; started again")
            began = time.monotonic()
            self.cell.start_daemon()
            ready = time.monotonic() - began
            wait_for("joins to go on", lambda: len(acknowledged) >= before + 40 or any(one.done() for one in loops), 30)
            stop.set()
            for one in loops:
                one.result()
        self.t.tell(f"  ready again after {ready:.1f} s; {failed[0]} tries failed in between and were repeated; "
                    f"{len(acknowledged)} joins were acknowledged")
        roster = self.ask(f"{UNIVERSITY}-app", "meeting", "show", meeting)["roster"]
        shown = [member["rosterEntry"] for member in roster]
        self.t.check(f"all {len(acknowledged)} are in the meeting, each once", sorted(shown) == sorted(acknowledged), len(shown))

    def run(self):
        self.fleet()
        self.policy()
        self.consultation()
        self.refusals()
        self.media()
        self.support()
        self.wrong_relay()
        self.lecture()
        self.rtp()
        self.tightening()
        self.death()
        self.crash()

    def clean_up(self):
        Participant.end_all()
        for process in self.others:
            if process.poll() is None:
                process.kill()
                process.wait()
        self.cell.down()


def main():
    terminal = Terminal()
    home, programs = stack.home_and_programs()
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    lock, demo = None, None
    try:
        lock = stack.one_at_a_time(home)
        cell = Stack(os.path.join(home, "demo"), programs)
        cell.down()  # what a demo that was killed left behind
        cell = Stack(os.path.join(home, "demo"), programs)
        demo = Demo(cell, terminal)
        print("Bailiwick keeps a meeting inside its bailiwick. Starting one cell on this machine:")
        cell.up(say=lambda words: terminal.tell(words))
        demo.run()
        print(f"\nEverything shown held: {terminal.held} checks in {terminal.chapters} chapters, "
              f"{time.monotonic() - terminal.begun:.0f} s.")
        return 0
    except KeyboardInterrupt:
        print("\n./dev demo: interrupted", file=sys.stderr)
        return 130
    except Problem as problem:
        sys.stdout.flush()
        print(f"\n./dev demo: {problem}", file=sys.stderr)
        if demo is not None:
            print(f"The last lines of bailiwickd's log:\n{demo.cell.log_tail('bailiwickd')}", file=sys.stderr)
        return 1
    finally:
        if demo is not None:
            demo.clean_up()
            print("Everything was ended and removed.")
        if lock is not None:
            lock.close()


if __name__ == "__main__":
    sys.exit(main())
