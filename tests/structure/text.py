#!/usr/bin/python3
"""What no file of the project may hold: marks of unfinished work, one machine's paths, addresses of real people."""
import re
import sys

import tree

TEXT = (".c", ".h", ".py", ".sh", ".sql", ".proto", ".md", ".yaml", ".yml", ".json", ".cmake", ".txt", ".toml", ".cfg",
        ".ts", ".html", ".css", ".tpl", "dev", "run", "private-postgres", ".clang-tidy", ".clang-format", ".editorconfig")
SELF = "tests/structure/text.py"

UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
MACHINE_PATH = re.compile(r"(?<![\w.$}/-])/(?:work|home/\w+|root|Users/\w+)/[\w.-]+|/tmp/bw/")
ADDRESS = re.compile(r"\b[\w.+-]+@((?:[A-Za-z0-9-]+\.)+[A-Za-z]{2,})\b")
RESERVED_DOMAIN = re.compile(r"(^|\.)(example|test|invalid|localhost|internal|example\.(com|org|net))$")
TRAILING_SPACE = re.compile(r"[ \t]+$", re.M)
CONFLICT = re.compile(r"^(<<<<<<<|>>>>>>>) ", re.M)


def find(pattern, paths, what, allowed=lambda match: False):
    for path in paths:
        source = tree.text(path)
        for match in pattern.finditer(source):
            if not allowed(match):
                line = source.count("\n", 0, match.start()) + 1
                yield f"{path}:{line}: {what}: {match.group(0).strip()}"


def main():
    paths = [p for p in tree.files("", TEXT) if p != SELF and "/corpus/" not in p]
    prose = [p for p in paths if p != "LICENSE"]
    held = [
        tree.report("no_marks_of_unfinished_work", find(UNFINISHED, prose, "unfinished")),
        tree.report("no_paths_of_one_machine", find(MACHINE_PATH, prose, "a path of one machine")),
        tree.report("no_addresses_outside_reserved_domains",
                    find(ADDRESS, prose, "an address in a domain that may be real",
                         lambda match: RESERVED_DOMAIN.search(match.group(1).lower()))),
        tree.report("no_conflict_marks", find(CONFLICT, prose, "a conflict mark")),
        tree.report("c_files_end_lines_clean",
                    find(TRAILING_SPACE, [p for p in paths if p.endswith((".c", ".h"))], "space at the end of a line")),
    ]
    return 0 if all(held) else 1


sys.exit(main())
