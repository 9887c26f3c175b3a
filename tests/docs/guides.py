#!/usr/bin/python3
"""The guides are true: every session that they show is typed into a shell beside a running stack, and what it prints
is compared with what the page says.

In a block ```console, a line that begins with `$ ` is typed (its continuation lines begin with `> `), and what follows
is what it prints; `…` stands for anything within a line, a line `…` for any lines. A command must end with status 0
unless the next one is `echo $?`. Words after ```console: `setup` holds what the reader does first (its `./dev` lines
are not repeated here), `needs=node` asks for the packages of tests/node. A block of another language whose second word
is a name, such as ```python join.py, is saved under that name.
"""
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.environ["BW_SOURCE_DIR"], "tests/e2e"))
sys.path.insert(0, os.path.join(os.environ["BW_SOURCE_DIR"], "tests/support"))
import harness  # noqa: E402 (found through the lines above)
import node  # noqa: E402

ROOT, BIN = os.environ["BW_SOURCE_DIR"], os.path.join(os.environ["BW_BUILD_DIR"], "bin")
GUIDES = ("README.md", "docs/tenant-admin.md", "docs/operator.md", "docs/integrator.md", "docs/support.md")
LEAST_COMMANDS = {"README.md": 3, "docs/support.md": 3}
GUIDE_S = 150
FENCE = re.compile(r"^```(\S*)[ \t]*([^\n]*)\n(.*?)^```$", re.M | re.S)
MARK = "--8<-- "


class Block:
    def __init__(self, guide, match, text):
        self.name = f"{guide}:{text.count(chr(10), 0, match.start()) + 1}"
        self.language, self.words, self.body = match.group(1), match.group(2).split(), match.group(3)
        self.commands = self.read_commands() if self.language == "console" else []

    def read_commands(self):
        """[command, lines it prints]; text before the first command is a mistake."""
        commands = []
        for line in self.body.splitlines():
            if line.startswith("$ "):
                commands.append([line[2:], []])
            elif line.startswith("> ") and commands and not commands[-1][1]:
                commands[-1][0] += "\n" + line[2:]
            elif commands:
                commands[-1][1].append(line)
            else:
                raise harness.Problem(f"{self.name}: output before any command")
        return commands


def blocks_of(guide):
    with open(os.path.join(ROOT, guide), encoding="utf-8") as file:
        text = file.read()
    return [Block(guide, match, text) for match in FENCE.finditer(text)]


def printed_as_said(said, printed):
    """Whether these lines are those of the page."""
    pattern = ""
    for line in said:
        if line.strip() == "…":
            pattern += r"(?:.*\n)*?"
        else:
            pattern += "".join(r".*?" if part == "…" else re.escape(part) for part in re.split("(…)", line.rstrip())) + r"[ \t]*\n"
    return re.fullmatch(pattern, "".join(line.rstrip() + "\n" for line in printed)) is not None


def place(cell, packages):
    """Where the reader would stand: the root of a checkout with a stack that is up."""
    here = cell.path("checkout")
    os.makedirs(os.path.join(here, ".bailiwick"))
    os.makedirs(os.path.join(here, "build/release"))
    for link, target in ((".bailiwick/up", cell.folder), ("build/release/bin", BIN), ("policies", os.path.join(ROOT, "policies")),
                         ("proto", os.path.join(ROOT, "proto")), ("schema", os.path.join(ROOT, "schema")),
                         ("docs", os.path.join(ROOT, "docs"))):
        os.symlink(target, os.path.join(here, link))
    if packages:
        os.symlink(packages, os.path.join(here, "node_modules"))
    return here


def script_of(blocks):
    """One shell for the whole page, so that a variable set above is there below."""
    lines = ["exec 2>&1", "set +H"]
    for block in blocks:
        for number, (command, _) in enumerate(block.commands):
            if command.startswith("./dev "):
                continue
            lines += [command, f'__status=$?; printf "\\n{MARK}%s %d %d\\n" "{block.name}" {number} $__status; (exit $__status)']
    return "\n".join(lines) + "\n"


def type_in(cell, here, blocks):
    """(block name, command number) -> (exit status, lines printed)."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BAILIWICK_")}
    environment.update(NO_COLOR="1", LC_ALL="C.UTF-8", TZ="UTC", COLUMNS="200")
    try:
        done = subprocess.run(["bash", "--norc"], input=script_of(blocks), cwd=here, env=environment, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=GUIDE_S, check=False)
        out = done.stdout
    except subprocess.TimeoutExpired as late:
        out = (late.stdout or b"").decode("utf-8", "replace")
        print(f"not finished after {GUIDE_S} s: {out[-2000:]}")
    answers, lines = {}, []
    for line in out.split("\n"):
        if line.startswith(MARK):
            name, number, status = line[len(MARK):].split(" ")
            while lines and not lines[-1]:
                lines.pop()
            answers[name, int(number)] = (int(status), lines)
            lines = []
        else:
            lines.append(line)
    return answers


def judge(block, answers):
    """What is wrong with a block; None when it is as the page says."""
    for number, (command, said) in enumerate(block.commands):
        if command.startswith("./dev "):
            continue
        status, printed = answers.get((block.name, number), (None, []))
        following = block.commands[number + 1][0] if number + 1 < len(block.commands) else ""
        if status is None:
            return f"$ {command}: was not reached"
        while said and not said[-1].strip():
            said = said[:-1]
        problem = None
        if status != 0 and following != "echo $?":
            problem = f"exit status {status}"
        elif not printed_as_said(said, printed):
            problem = "prints something else"
        if problem:
            print("\n".join([f"  $ {command}", *(f"  said    | {line}" for line in said), *(f"  printed | {line}" for line in printed)]))
            return f"$ {command.splitlines()[0]}: {problem}"
    return None


def run_guide(guide, packages, why_not):
    """Number of blocks that failed."""
    blocks = blocks_of(guide)
    sessions = [block for block in blocks if block.commands]
    wanted = [block for block in sessions if packages or "needs=node" not in block.words]
    cell = harness.Stack(os.path.join(os.environ["TMPDIR"], os.path.basename(guide).partition(".")[0]), BIN)
    failed = 0
    try:
        cell.up()
        here = place(cell, packages)
        for block in blocks:
            if block.language != "console" and block.words and re.fullmatch(r"[\w.-]+", block.words[0]):
                with open(os.path.join(here, block.words[0]), "w", encoding="utf-8") as file:
                    file.write(block.body)
        unknown = unknown_metrics(guide, cell)
        failed += bool(unknown)
        print(f"not ok {guide}_names_metrics_that_exist: {unknown}" if unknown else f"ok {guide}_names_metrics_that_exist")
        answers = type_in(cell, here, wanted)
        for block in sessions:
            if block not in wanted:
                print(f"skipped: {block.name}: {why_not}")
                continue
            problem = judge(block, answers)
            failed += bool(problem)
            print(f"not ok {block.name}: {problem}" if problem else f"ok {block.name}", flush=True)
        if failed:
            print(f"-- the end of bailiwickd's log --\n{cell.log_tail('bailiwickd', 20)}", flush=True)
    finally:
        cell.down()
    return failed


def check_pages(guides):
    """Commands that no test would type: sessions in blocks of another kind, and pages that show none."""
    failed = 0
    for guide in guides:
        blocks = blocks_of(guide)
        stray = [block.name for block in blocks if block.language != "console" and re.search(r"^\$ ", block.body, re.M)]
        count = sum(len(block.commands) for block in blocks)
        problem = f"a session that is not ```console at {', '.join(stray)}" if stray else \
            f"only {count} commands" if count < LEAST_COMMANDS.get(guide, 8) else None
        failed += bool(problem)
        print(f"not ok {guide}_shows_sessions_that_are_run: {problem}" if problem else f"ok {guide}_shows_sessions_that_are_run")
    return failed


def unknown_metrics(guide, cell):
    """Metrics that a page tells people to watch and the daemon does not have."""
    families = set(re.findall(r"^# TYPE (\S+)", cell.http("/metrics")[1], re.M))
    with open(os.path.join(ROOT, guide), encoding="utf-8") as file:
        named = set(re.findall(r"`(bailiwick_[a-z_]+)", file.read())) - {"bailiwick_serve", "bailiwick_vault"}
    return sorted(name for name in named if not {name, re.sub("_(total|bucket|count|sum)$", "", name)} & families)


def check_the_comparison():
    """It can tell pages that lie."""
    cases = ((["a"], ["a"], True), (["a"], ["b"], False), (["a"], [], False), ([], ["a"], False), (["a …"], ["a b c"], True),
             (["a … c"], ["a b d"], False), (["a", "…", "z"], ["a", "b", "c", "z"], True), (["a", "…", "z"], ["a", "b"], False),
             (["…"], [], True), (["a", "b"], ["b", "a"], False), (["a.c"], ["abc"], False))
    wrong = [case for case in cases if printed_as_said(case[0], case[1]) != case[2]]
    print(f"not ok the_comparison_tells_pages_that_lie: {wrong}" if wrong else "ok the_comparison_tells_pages_that_lie")
    return len(wrong)


def main():
    harness.signal.signal(harness.signal.SIGTERM, harness.interrupted)
    try:
        packages, why_not = node.modules(), ""
    except node.Missing as missing:
        packages, why_not = None, str(missing)
    guides = sys.argv[1:] or GUIDES
    failed = check_the_comparison() + check_pages(guides)
    for guide in guides:
        try:
            failed += run_guide(guide, packages, why_not)
        except harness.Problem as problem:
            failed += 1
            print(f"not ok {guide}: {problem}")
    return 1 if failed else 0


sys.exit(main())
