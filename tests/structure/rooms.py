#!/usr/bin/python3
"""Who may include whom. The law is written here as data; the SEES lists and every #include are held to it."""
import os
import re
import sys

import tree

PURE = {"policy", "placement", "e2ee", "quality", "ledger"}
# What a room that does I/O stands on.
FLOOR = {"base", "crypto", "runtime"}

# room: the rooms it may see.
LAW = {
    "base": set(),
    "crypto": {"base"},
    "yaml": {"base"},
    "runtime": {"base"},
    "policy": {"base", "crypto", "yaml"},
    "placement": {"base", "crypto", "yaml", "policy"},
    "e2ee": {"base", "crypto", "yaml", "policy"},
    "quality": {"base", "crypto", "yaml"},
    "ledger": {"base", "crypto", "yaml"},
    "control": {"base", "crypto"} | PURE,
    "wire": {"base"},
    "geo": FLOOR | PURE,
    "grpc": FLOOR | PURE,
    "store": FLOOR | PURE,
    "vault": FLOOR | PURE,
    "fleet": FLOOR | PURE | {"grpc", "wire"},
    "api": FLOOR | PURE | {"control", "grpc", "wire"},
    "relay": FLOOR | PURE | {"grpc", "wire", "fleet", "yaml"},
    "cli": FLOOR | PURE | {"grpc", "wire", "fleet", "yaml"},
}
LAW["server"] = set(LAW)

# Single headers that a room may include beyond the law, each with its reason.
EXCEPTIONS = {
    # the proto enum is asserted at compile time to equal the one list of reason codes
    ("wire", "policy/reason.h"),
    # what the check of a policy found is answered in the words of the reader
    ("api", "yaml/diag.h"),
}

# Outside headers: who may include them. A pattern is matched from the start of the header's name.
ONLY_USERS = {
    r"yaml\.h": {"yaml"},
    r"nghttp2/": {"grpc"},
    r"libpq|pg_config|postgres": {"store"},
    r"maxminddb": {"geo"},
    r"uv\.h": {"runtime", "grpc", "store", "fleet", "relay", "vault", "server"},
    r"openssl/": {"crypto", "grpc", "vault", "server"},
    r"microhttpd": {"server", "relay"},
    r"libsmartcols": {"cli"},
    r"zlib\.h": {"grpc", "quality"},
    r"curl/": {"vault", "cli"},
}
# Who may hold generated messages (bailiwick/v1/*.pb-c.h) and their types; only wire turns bytes into them and back.
MESSAGE_USERS = {"wire", "fleet", "api", "relay", "cli", "server"}
MESSAGE_HEADER = re.compile(r"protobuf-c/|.*\.pb-c\.h$")
MESSAGE_CODING = re.compile(r"\b(protobuf_c_message_(?:un)?pack(?:_to_buffer)?|\w+__(?:un)?pack(?:_to_buffer)?)\s*\(")

# The pure rooms, control and crypto do no I/O and know no clock, no thread and no global randomness.
IMPURE_HEADERS = re.compile(
    r"(sys/(socket|time|stat|mman|wait|epoll|eventfd|random|un|types|select|ioctl|uio|file)|netinet/.*|arpa/.*|net/.*"
    r"|time|pthread|threads|semaphore|unistd|fcntl|poll|signal|spawn|dirent|netdb|syslog|uv|locale)\.h$")
IMPURE_CALLS = re.compile(
    r"\b(FILE|fopen|fdopen|popen|printf|vprintf|fprintf|vfprintf|puts|putchar|fputs|stdin|stdout|stderr|getenv|setenv|system"
    r"|rand|random|rand_r|srand|getrandom|arc4random|RAND_\w+|time|gettimeofday|clock_gettime|clock|localtime|gmtime"
    r"|strftime|mktime|nanosleep|errno|setlocale)\b(?=\s*[(*;,)]|\s+\w)")
SANS_IO = PURE | {"control", "crypto"}

LONGEST = 600


def rooms():
    top = os.path.join(tree.ROOT, "src")
    return [name for name in sorted(os.listdir(top)) if os.path.isfile(os.path.join(top, name, "CMakeLists.txt"))]


def sees_of(room):
    source = re.sub(r"#.*", "", tree.text(f"src/{room}/CMakeLists.txt"))
    call = re.search(r"\bbw_room\(\s*(\w+)([^)]*)\)", source)
    if not call:
        return None
    words, sees, inside = call.group(2).split(), [], False
    for word in words:
        if word in ("SEES", "LINKS", "SOURCES"):
            inside = word == "SEES"
        elif inside:
            sees.append(word)
    return sees


def law_of_cmake(names):
    for room in names:
        where = f"src/{room}/CMakeLists.txt"
        if room not in LAW:
            yield f"{where}: the room '{room}' has no row in tests/structure/rooms.py"
            continue
        sees = sees_of(room)
        if sees is None:
            yield f"{where}: no bw_room(...) call"
            continue
        for seen in sees:
            if seen not in LAW[room] and not any(e[0] == room and e[1].startswith(seen + "/") for e in EXCEPTIONS):
                yield f"{where}: {room} may not see {seen}"


def law_of_includes(names):
    for room in names:
        sees = set(sees_of(room) or [])
        for path in tree.files(f"src/{room}", (".c", ".h")):
            for line, header, quoted in tree.includes(path):
                other = header.split("/")[0]
                if not quoted or other == room or other not in LAW:
                    continue
                if (room, header) in EXCEPTIONS:
                    continue
                if other not in LAW.get(room, set()):
                    yield f"{path}:{line}: {room} may not include {header}"
                elif other not in sees:
                    yield f"{path}:{line}: {header} is included, but {other} is not in SEES of src/{room}/CMakeLists.txt"


def only_users(names):
    for room in names:
        for path in tree.files(f"src/{room}", (".c", ".h")):
            for line, header, _ in tree.includes(path):
                if MESSAGE_HEADER.match(header) and room not in MESSAGE_USERS:
                    yield f"{path}:{line}: {room} may not use generated messages ({header})"
                for pattern, users in ONLY_USERS.items():
                    if re.match(pattern, header) and room not in users:
                        yield f"{path}:{line}: <{header}> is for {', '.join(sorted(users))} alone"


def message_coding(names):
    for room in names:
        if room == "wire":
            continue
        for path in tree.files(f"src/{room}", (".c", ".h")):
            code = tree.without_comments(tree.text(path))
            for match in MESSAGE_CODING.finditer(code):
                line = code.count("\n", 0, match.start()) + 1
                yield f"{path}:{line}: {match.group(1)} skips the strict scan; use bw_wire_decode and bw_wire_encode"


def purity(names):
    for room in names:
        if room not in SANS_IO:
            continue
        for path in tree.files(f"src/{room}", (".c", ".h")):
            for line, header, quoted in tree.includes(path):
                if not quoted and IMPURE_HEADERS.match(header):
                    yield f"{path}:{line}: <{header}> in a room without I/O, clock and threads"
            for number, code in enumerate(tree.without_comments(tree.text(path)).split("\n"), 1):
                if code.lstrip().startswith("#"):
                    continue
                for match in IMPURE_CALLS.finditer(code):
                    word = match.group(1)
                    called = re.match(r"\s*\(", code[match.end():]) and not re.search(r"(->|\.)\s*$", code[:match.start()])
                    named_by_type = word in ("FILE", "stdin", "stdout", "stderr", "errno")
                    if called or named_by_type:
                        yield f"{path}:{number}: {word} in a room without I/O, clock and threads"


def length(names):
    for room in names:
        for path in tree.files(f"src/{room}", (".c", ".h")):
            lines = tree.text(path).count("\n")
            if lines > LONGEST:
                yield f"{path}: {lines} lines; past {LONGEST} a file has two subjects"


def main():
    names = rooms()
    held = [
        tree.report("rooms_see_only_what_the_architecture_allows", law_of_cmake(names)),
        tree.report("includes_obey_the_architecture", law_of_includes(names)),
        tree.report("outside_libraries_have_one_home", only_users(names)),
        tree.report("only_wire_codes_messages", message_coding(names)),
        tree.report("pure_rooms_do_no_io", purity(names)),
        tree.report("no_source_file_is_too_long", length(names)),
    ]
    return 0 if all(held) else 1


sys.exit(main())
