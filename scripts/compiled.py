#!/usr/bin/python3
"""Prints the compiled C sources of compile_commands.json that lie in the given folders, generated ones left out."""
import json
import os
import sys


def main():
    database, roots = sys.argv[1], [os.path.realpath(p) for p in sys.argv[2:]]
    build = os.path.realpath(os.path.dirname(database))
    seen = set()
    for entry in json.load(open(database, encoding="utf-8")):
        path = os.path.realpath(os.path.join(entry["directory"], entry["file"]))
        inside = any(path == root or path.startswith(root + os.sep) for root in roots)
        if inside and path.endswith(".c") and not path.startswith(build + os.sep):
            seen.add(path)
    print("\n".join(sorted(seen)))


main()
