#!/usr/bin/python3
"""The Dockerfile, as far as it can be held against the tree without building it."""
import os
import re
import subprocess
import sys

ROOT, BIN = os.environ["BW_SOURCE_DIR"], os.path.join(os.environ["BW_BUILD_DIR"], "bin")
PROGRAMS = ("bailiwickd", "bailiwick-relay", "bailiwick")


def run(*argv):
    return subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          check=False).stdout


def missing_libraries(runtime):
    """Packages of the libraries that a program asks for by name and the image does not install."""
    for program in PROGRAMS:
        named = set(re.findall(r"NEEDED\s+(\S+)", run("objdump", "-p", os.path.join(BIN, program))))
        for name, file in re.findall(r"(\S+) => (\S+) \(", run("ldd", os.path.join(BIN, program))):
            if name not in named or name.startswith(("libc.", "libm.")):
                continue
            # dpkg knows a file by the name it was packaged under, which may be older than the merge of /lib and /usr/lib.
            real = os.path.realpath(file)
            packages = {line.split(":")[0] for path in (real, real.removeprefix("/usr"))
                        for line in run("dpkg", "-S", path).splitlines() if ": /" in line}
            if not packages & runtime:
                yield f"{program} needs {name} of {', '.join(packages) or 'no package'}"


def copied_from_the_tree(dockerfile):
    for line in re.findall(r"^COPY (?!--from)(.*)$", dockerfile, re.M):
        yield from line.split()[:-1]


def main():
    with open(os.path.join(ROOT, "Dockerfile"), encoding="utf-8") as file:
        dockerfile = file.read()
    with open(os.path.join(ROOT, "helm/bailiwick/templates/_helpers.tpl"), encoding="utf-8") as file:
        helpers = file.read()
    final = dockerfile[dockerfile.rindex("\nFROM "):].replace("\\\n", " ")
    runtime = set(re.search(r"--no-install-recommends\s+([^&]*)&&", final).group(1).split())
    release = open("/etc/os-release", encoding="utf-8").read() if os.path.exists("/etc/os-release") else ""
    failed = 0

    def report(name, problems):
        nonlocal failed
        for problem in problems:
            print(f"  {problem}")
        print(f"not ok {name}: {len(problems)} problems, listed above" if problems else f"ok {name}")
        failed += bool(problems)

    if 'VERSION_ID="12"' not in release or "ID=debian" not in release:
        print("skipped: image_has_the_libraries_of_its_programs: packages are called otherwise on this system")
    elif run("ldd", os.path.join(BIN, "bailiwickd")).find("san.so") >= 0:
        print("skipped: image_has_the_libraries_of_its_programs: this build has a sanitizer's libraries")
    else:
        report("image_has_the_libraries_of_its_programs", sorted(missing_libraries(runtime)))
    report("image_copies_what_is_there",
           [path for path in copied_from_the_tree(dockerfile) if not os.path.exists(os.path.join(ROOT, path))])
    schema = re.search(r"^  schema: (\S+)$", helpers, re.M).group(1)
    report("image_has_the_migrations_where_the_chart_says",
           [] if f"COPY schema {schema}\n" in dockerfile else [f"the chart says {schema}"])
    report("image_has_every_program", [name for name in PROGRAMS if f"bin/{name} " not in final + " "])
    report("image_does_not_run_as_root", [] if re.search(r"^USER [1-9]\d*:[1-9]\d*$", final, re.M) else ["no USER"])
    return 1 if failed else 0


sys.exit(main())
