"""What the structure checks share: the source tree, and how a check reports. Not a test itself."""
import os
import re

ROOT = os.environ.get("BW_SOURCE_DIR") or os.path.realpath(os.path.join(os.path.dirname(__file__), "../.."))
SKIPPED_FOLDERS = {".git", "build", ".bailiwick", "node_modules", "__pycache__"}
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(?:"([^"]+)"|<([^>]+)>)', re.M)


def files(top="", endings=()):
    """Paths below ROOT/top, relative to ROOT, in order; links are not followed."""
    found = []
    for folder, folders, names in os.walk(os.path.join(ROOT, top)):
        folders[:] = sorted(name for name in folders if name not in SKIPPED_FOLDERS)
        for name in sorted(names):
            path = os.path.join(folder, name)
            if (not endings or name.endswith(endings)) and os.path.isfile(path) and not os.path.islink(path):
                found.append(os.path.relpath(path, ROOT))
    return found


def text(path):
    with open(os.path.join(ROOT, path), encoding="utf-8", errors="replace") as file:
        return file.read()


def without_comments(source):
    """C without comments and without the insides of string literals; lines keep their numbers."""
    def blank(match):
        token = match.group(0)
        if token[0] == '"' and not token.startswith('"/'):
            return '""' + "\n" * token.count("\n")
        return "\n" * token.count("\n") or " "

    return re.sub(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"', blank, source, flags=re.S)


def includes(path):
    """(line, header, in quotes) for each #include."""
    source = text(path)
    for match in INCLUDE.finditer(source):
        yield source.count("\n", 0, match.start(1 if match.group(1) else 2)) + 1, match.group(1) or match.group(2), \
            match.group(1) is not None


def report(name, problems):
    """Prints the outcome of one check; returns whether it held."""
    problems = list(problems)
    for problem in problems:
        print(f"  {problem}")
    if problems:
        print(f"not ok {name}: {len(problems)} place{'s' if len(problems) > 1 else ''}, listed above")
        return False
    print(f"ok {name}")
    return True
