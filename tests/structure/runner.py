#!/usr/bin/python3
"""The runner counts what happened, above all when a test dies without saying so."""
import os
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as xml

import tree

GOOD = """echo '[==========] Running 2 test(s).'
echo '[==========] 2 test(s) run.'; echo '[  PASSED  ] 2 test(s).'"""
FAILING = """echo '[==========] Running 3 test(s).'
echo '[  ERROR   ] --- 0x1 != 0x2'
echo '[==========] 3 test(s) run.'; echo '[  PASSED  ] 1 test(s).'
echo '[  SKIPPED ] 1 test(s), listed below:'; echo '[  SKIPPED ] needs_more'; echo
echo ' 1 SKIPPED TEST(S)'
echo '[  FAILED  ] 1 test(s), listed below:'; echo '[  FAILED  ] the_bad_one'; echo
exit 1"""

# name: (script, passed, failed, skipped, what the output must hold)
CASES = {
    "cmocka_summary_is_counted": (GOOD, 2, 0, 0, ""),
    "cmocka_failures_and_skips_are_named": (FAILING, 1, 1, 1, "the_bad_one"),
    "named_groups_of_newer_cmocka_are_counted": (
        GOOD.replace("] Running", "] geo: Running").replace("] 2 test(s) run", "] geo: 2 test(s) run"), 2, 0, 0, ""),
    "second_group_without_summary_fails": (GOOD + "\necho '[==========] Running 5 test(s).'", 2, 1, 0, "incomplete"),
    "lines_of_a_script_are_counted": ("echo ok a; echo ok b; echo skipped: c: no disk", 2, 0, 1, "no disk"),
    "not_ok_line_fails": ("echo ok a; echo not ok b: broke; exit 1", 1, 1, 0, "broke"),
    "silence_is_a_failure": ("true", 0, 1, 0, "no summary"),
    "crash_is_a_failure": ("echo ok a; kill -SEGV $$", 1, 1, 0, "SIGSEGV"),
    "exit_status_overrules_a_clean_summary": (GOOD + "\nexit 3", 2, 1, 0, "exit status 3"),
    "process_left_behind_fails": ("sleep 300 & echo ok a", 1, 1, 0, "left processes behind"),
    "each_test_has_its_own_folder": ('[ "$PWD" = "$TMPDIR" ] && : >x && [ "$(ls)" = x ] && echo ok a', 1, 0, 0, ""),
}


def run_case(folder, script, *options):
    programs = os.path.join(folder, "bin/tests")
    os.makedirs(programs)
    path = os.path.join(programs, "case")
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"#!/bin/bash\n{script}\n")
    os.chmod(path, 0o755)
    return subprocess.run(["/usr/bin/python3", os.path.join(tree.ROOT, "tests/run"), "--build", folder, *options, "case"],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)


def problem(name, folder):
    script, passed, failed, skipped, holds = CASES[name]
    junit = os.path.join(folder, "junit.xml")
    done = run_case(folder, script, "--junit", junit)
    last = done.stdout.strip().split("\n")[-1]
    if last != f"{passed} passed, {failed} failed, {skipped} skipped":
        return f"{name}: last line is '{last}'"
    if done.returncode != (1 if failed else 0):
        return f"{name}: exit status {done.returncode}"
    if not re.search(re.escape(holds), done.stdout):
        return f"{name}: '{holds}' is not in the output"
    if xml.parse(junit).getroot().find("testsuite").get("failures") != str(failed):
        return f"{name}: the JUnit file disagrees"
    return None


def main():
    held = True
    for name in CASES:
        with tempfile.TemporaryDirectory() as folder:
            why = problem(name, folder)
        held = tree.report("runner_" + name, [why] if why else []) and held
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(["/usr/bin/python3", os.path.join(tree.ROOT, "tests/run"), "--build", folder, "nothing_is_called_so"],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        why = [] if done.returncode == 2 else [f"exit status {done.returncode}"]
    held = tree.report("runner_refuses_a_filter_that_matches_nothing", why) and held
    return 0 if held else 1


sys.exit(main())
