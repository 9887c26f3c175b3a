#!/usr/bin/python3
"""Every header compiles alone: with its room's own flags, and with nothing included before it."""
import concurrent.futures
import json
import os
import shlex
import subprocess
import sys

import tree

BUILD = os.environ.get("BW_BUILD_DIR") or os.path.join(tree.ROOT, "build/dev")


def flags_by_folder():
    """The compile flags of each source folder, as compile_commands.json has them for one of its files."""
    flags = {}
    with open(os.path.join(BUILD, "compile_commands.json"), encoding="utf-8") as file:
        for entry in json.load(file):
            source = os.path.realpath(os.path.join(entry["directory"], entry["file"]))
            folder = os.path.relpath(os.path.dirname(source), tree.ROOT)
            words = shlex.split(entry["command"])
            stop = words.index("-o")
            flags.setdefault(folder, (entry["directory"], words[:stop]))
    return flags


def compile_alone(header, directory, command):
    done = subprocess.run(command + ["-fsyntax-only", "-x", "c", "-"], cwd=directory, text=True, check=False,
                          input=f'#include "{os.path.join(tree.ROOT, header)}"\nextern int bw_not_empty;\n', stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT)
    if done.returncode == 0:
        return None
    return f"{header} does not compile alone:\n" + done.stdout.rstrip()


def guard_missing(header):
    source = tree.text(header)
    folder, name = os.path.split(os.path.relpath(header, "src") if header.startswith("src/") else header)
    guard = "BW_" + "_".join(part for part in (folder, name) if part).replace("/", "_").replace(".", "_").replace("-", "_")
    guard = guard.upper()
    if f"#ifndef {guard}\n#define {guard}\n" in source or "#pragma once" in source:
        return None
    # a table that is included more than once has no guard, and says so
    if "included more than once" in source:
        return None
    return f"{header}: no include guard {guard}"


def main():
    flags = flags_by_folder()
    problems, jobs = [], []
    headers = tree.files("src", (".h",))
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for header in headers:
            folder = os.path.dirname(header)
            while folder and folder not in flags:
                folder = os.path.dirname(folder)
            if not folder:
                problems.append(f"{header}: no compiled source in its folder tells with which flags it compiles")
                continue
            jobs.append(pool.submit(compile_alone, header, *flags[folder]))
    problems += [p for p in (job.result() for job in jobs) if p]
    held = tree.report("each_header_compiles_alone", problems)
    held = tree.report("each_header_has_a_guard", [p for p in map(guard_missing, headers) if p]) and held
    return 0 if held else 1


sys.exit(main())
