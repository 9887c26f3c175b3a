#!/usr/bin/python3
"""`bailiwickd doctor`: each usual mistake of a cell is found, and what it says names the remedy."""
import os
import subprocess
import sys
import tempfile

import harness
from harness import expect

PROGRAM = os.path.join(os.environ["BW_BUILD_DIR"], "bin", "bailiwickd")
POSTGRES = os.path.join(harness.stack.ROOT, "tests/support/private-postgres")


class Place:
    """A cell's folder and a database, not yet serving."""

    def __init__(self, folder):
        self.cell = os.path.join(folder, "cell")
        self.database = os.path.join(folder, "pg")
        subprocess.run([PROGRAM, "init", "--dir", self.cell, "--cell", "eu"], check=True, capture_output=True)
        self.conninfo = subprocess.run([POSTGRES, "start", self.database], check=True, capture_output=True,
                                       text=True).stdout.strip()
        self.sql(*(f"CREATE ROLE {login} LOGIN" for login in harness.stack.LOGINS))
        with open(os.path.join(self.cell, "bailiwickd.yaml"), encoding="utf-8") as config:
            self.text = config.read()
        for login in harness.stack.LOGINS:
            own = self.conninfo.replace("user=postgres", f"user={login}")
            self.text = self.text.replace(f"host=/run/postgresql dbname=bailiwick user={login}", own)

    def sql(self, *statements):
        for statement in statements:
            subprocess.run(["psql", "-Xq", "-v", "ON_ERROR_STOP=1", "-d", self.conninfo, "-c", statement], check=True,
                           capture_output=True)

    def run(self, verb, *changes, more=(), options=()):
        text = self.text
        for old, new in changes:
            expect(old in text, f"{old} is not in the configuration")
            text = text.replace(old, new)
        file = os.path.join(self.cell, "tried.yaml")
        with open(file, "w", encoding="utf-8") as config:
            config.write(text)
        return subprocess.run([PROGRAM, verb, "--config", file, *options], capture_output=True, text=True, timeout=60,
                              env={**os.environ, **dict(more)})


def finds(place, words, *changes, more=()):
    found = place.run("doctor", *changes, more=more)
    expect(found.returncode == 1, f"exit {found.returncode}: {found.stdout}{found.stderr}")
    expect(any(line.startswith("problem") and all(word in line for word in words)
               for line in found.stdout.splitlines()), f"nothing says {words}:\n{found.stdout}")


def check_old_schema_is_found(place):
    finds(place, ["schema", "bailiwickd migrate"])
    migrated = place.run("migrate", options=("--conninfo", place.conninfo))
    expect(migrated.returncode == 0, migrated.stderr)
    place.sql(*(f"GRANT {role} TO {login}" for login, role in harness.stack.LOGINS.items()))


def check_sound_cell_has_no_problem(place):
    found = place.run("doctor")
    expect(found.returncode == 0 and "no problem found" in found.stdout, found.stdout + found.stderr)


def check_wrong_clock_is_found(place):
    for off in (-60000, 60000):
        finds(place, ["clock", "timedatectl"], more=harness.with_clock_off(off))


def check_missing_database_is_found(place):
    finds(place, ["database", "conninfo"], ("dbname=", "port=1 dbname="))


def check_wrong_certificate_is_found(place):
    finds(place, ["certificate", "operator"], ("certificate: server.crt, key: server.key",
                                               "certificate: operator.crt, key: operator.key"))
    finds(place, ["key", "does not belong"], ("key: server.key", "key: operator.key"))
    finds(place, ["server.gone"], ("server.crt", "server.gone"))


def check_user_who_could_read_the_keys_is_found(place):
    finds(place, ["roles", "bailiwick_serve"], (f"user={harness.stack.SERVE_LOGIN}", "user=postgres"))


def check_vault_user_who_may_not_read_keys_is_found(place):
    finds(place, ["roles", "GRANT bailiwick_vault"], (f"user={harness.stack.VAULT_LOGIN}", f"user={harness.stack.SERVE_LOGIN}"))
    finds(place, ["roles", "vault.conninfo"], (f"user={harness.stack.VAULT_LOGIN}", "user=nobody_at_all"))


def check_wrong_vault_key_is_found(place):
    finds(place, ["vault", "public half"], ("servicePublicKey: vault.pub", "servicePublicKey: signer.pub"))
    finds(place, ["vault", "gone.keyring"], ("keyring: vault.keyring", "keyring: gone.keyring"))


def check_wrong_cell_is_found(place):
    finds(place, ["cell", '"eu"', '"us"'], ('cell: "eu"', 'cell: "us"'))


def check_key_that_others_can_read_is_found(place):
    key = os.path.join(place.cell, "signer.key")
    os.chmod(key, 0o644)
    finds(place, ["signer", "chmod 600"])
    os.chmod(key, 0o600)


def main():
    failed = 0
    with tempfile.TemporaryDirectory(dir=os.environ["TMPDIR"]) as folder:
        os.chmod(folder, 0o755)
        place = Place(folder)
        try:
            for name, check in list(globals().items()):
                if not name.startswith("check_"):
                    continue
                try:
                    check(place)
                    print(f"ok {name[6:]}")
                except (harness.Problem, subprocess.SubprocessError) as why:
                    failed += 1
                    print(f"not ok {name[6:]}: {' '.join(str(why).split())}")
        finally:
            subprocess.run([POSTGRES, "remove", place.database], capture_output=True)
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
