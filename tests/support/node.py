"""What tests use from npm, exactly as tests/node/package-lock.json pins it, installed once into build/node. Not a test
itself. Nothing of it is part of the product."""
import fcntl
import hashlib
import os
import shutil
import subprocess

ROOT = os.environ.get("BW_SOURCE_DIR") or os.path.realpath(os.path.join(os.path.dirname(__file__), "../.."))
FILES = ("package.json", "package-lock.json")
INSTALL_S = 240


class Missing(Exception):
    """Why the packages cannot be had here: a reason to skip."""


def digest():
    sha = hashlib.sha256()
    for name in FILES:
        with open(os.path.join(ROOT, "tests/node", name), "rb") as file:
            sha.update(file.read())
    return sha.hexdigest()


def install(folder):
    shutil.rmtree(os.path.join(folder, "node_modules"), ignore_errors=True)
    for name in FILES:
        shutil.copy(os.path.join(ROOT, "tests/node", name), folder)
    # No package of these needs a script to be run at its installation.
    argv = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=1", "--fetch-timeout=60000"]
    try:
        done = subprocess.run(argv, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, timeout=INSTALL_S, check=False)
    except subprocess.TimeoutExpired:
        raise Missing(f"npm ci did not end within {INSTALL_S} s: is its registry within reach?") from None
    if done.returncode != 0:
        problems = [line for line in done.stdout.splitlines() if "error" in line.lower()]
        why = problems[0] if problems else f"exit status {done.returncode}"
        raise Missing(f"npm ci failed ({why}): is its registry within reach?")


def modules():
    """The path of node_modules with everything in it; Missing when that cannot be."""
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            raise Missing(f"there is no {program} here")
    folder = os.path.join(ROOT, "build/node")
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "lock"), "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        stamp = os.path.join(folder, "installed")
        wanted = digest()
        try:
            with open(stamp, encoding="ascii") as file:
                have = file.read()
        except OSError:
            have = ""
        if have != wanted:
            install(folder)
            with open(stamp, "w", encoding="ascii") as file:
                file.write(wanted)
    return os.path.join(folder, "node_modules")
