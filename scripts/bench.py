#!/usr/bin/python3
"""Runs benchmarks and checks that what they print is what tests/bench/list.txt promises.

A line of the list is `NAME COMMAND...`: COMMAND prints JSON lines on stdout, one of which is called NAME. Several
names may share a command, which then runs once. {bin} stands for the release build's bin folder; the working
folder is the project's root.
"""
import json
import os
import subprocess
import sys

ROOT = os.environ["BW_ROOT"]
LIST = os.path.join(ROOT, "tests/bench/list.txt")
BIN = os.path.join(ROOT, "build/release/bin")
REQUIRED = {"name": str, "value": (int, float), "unit": str, "better": str}
ANCHORED = {"anchor": str, "anchor_value": (int, float), "ratio": (int, float)}


def read_list():
    entries = []
    if os.path.exists(LIST):
        with open(LIST, encoding="utf-8") as lines:
            for line in lines:
                words = line.split("#")[0].split()
                if words:
                    entries.append((words[0], tuple(words[1:])))
    return entries


def problem(figure):
    for table in (REQUIRED, ANCHORED if "anchor" in figure else {}):
        for key, kind in table.items():
            if not isinstance(figure.get(key), kind):
                return f"'{key}' is missing or of the wrong type"
    if figure["better"] not in ("higher", "lower"):
        return "'better' is neither higher nor lower"
    return None


def run(command, names, wanted):
    argv = [word.replace("{bin}", BIN) for word in command]
    done = subprocess.run(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    printed, ok = set(), done.returncode == 0
    if not ok:
        print(f"bench: {' '.join(command)}: exit status {done.returncode}", file=sys.stderr)
    for line in done.stdout.splitlines():
        try:
            figure = json.loads(line)
            why = problem(figure)
        except (ValueError, AttributeError):
            figure, why = {}, "not a JSON object"
        if why:
            print(f"bench: {' '.join(command)}: {why}: {line}", file=sys.stderr)
            ok = False
            continue
        printed.add(figure["name"])
        if figure["name"] in wanted:
            print(line, flush=True)
    for name in names:
        if name not in printed:
            print(f"bench: {' '.join(command)} printed no figure called {name}", file=sys.stderr)
            ok = False
    for name in sorted(printed - set(names)):
        print(f"bench: {name} is not in tests/bench/list.txt", file=sys.stderr)
        ok = False
    return ok


def main():
    entries = read_list()
    if sys.argv[1:] == ["--list"]:
        for name, _ in entries:
            print(name)
        return 0
    wanted = {name for name, _ in entries}
    if len(sys.argv) > 1:
        if sys.argv[1] not in wanted:
            print(f"bench: no benchmark '{sys.argv[1]}'; see ./dev bench --list", file=sys.stderr)
            return 2
        wanted = {sys.argv[1]}
    if not wanted:
        print("bench: tests/bench/list.txt names no benchmark yet", file=sys.stderr)
        return 1
    by_command = {}
    for name, command in entries:
        by_command.setdefault(command, []).append(name)
    ok = True
    for command, names in by_command.items():
        if wanted & set(names):
            ok = run(command, names, wanted) and ok
    return 0 if ok else 1


sys.exit(main())
