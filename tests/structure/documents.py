#!/usr/bin/python3
"""What the documents say about ./dev and about files is true."""
import os
import re
import sys

import tree

LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)(?:#[^)]*)?\)")
VERB = re.compile(r"\./dev ([a-z][a-z-]*)")
FOLDERS = ("src", "proto", "schema", "policies", "tests", "scripts", "docs", "helm", "cmake")
NAMED_FILE = re.compile(r"`((?:%s)/[\w./-]*[\w/])`" % "|".join(FOLDERS))


def verbs():
    names = {name[:-3] for name in os.listdir(os.path.join(tree.ROOT, "scripts")) if name.endswith(".sh")}
    return names - {"common"}


def documents():
    return [p for p in tree.files("", (".md",)) if "/corpus/" not in p]


def dead_verbs(known):
    for path in documents():
        for match in VERB.finditer(tree.text(path)):
            if match.group(1) not in known | {"help"}:
                yield f"{path}: there is no './dev {match.group(1)}'"


def unnamed_verbs(known):
    said = set(VERB.findall(tree.text("README.md"))) | set(VERB.findall(tree.text("CONTRIBUTING.md")))
    for verb in sorted(known - said):
        yield f"neither README.md nor CONTRIBUTING.md mentions ./dev {verb}"


def dead_links():
    for path in documents():
        for match in LINK.finditer(tree.text(path)):
            target = match.group(1)
            if "://" not in target and not os.path.exists(os.path.join(tree.ROOT, os.path.dirname(path), target)):
                yield f"{path}: the link to {target} leads nowhere"


def dead_names():
    for path in documents():
        for match in NAMED_FILE.finditer(tree.text(path)):
            if not os.path.exists(os.path.join(tree.ROOT, match.group(1))):
                yield f"{path}: there is no {match.group(1)}"


def main():
    known = verbs()
    held = [
        tree.report("documents_name_only_verbs_that_exist", dead_verbs(known)),
        tree.report("each_verb_is_documented", unnamed_verbs(known)),
        tree.report("links_between_documents_lead_somewhere", dead_links()),
        tree.report("files_that_documents_name_exist", dead_names()),
    ]
    return 0 if all(held) else 1


sys.exit(main())
