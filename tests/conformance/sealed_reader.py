#!/usr/bin/python3
"""An independent reader of sealed records, written from docs/reference/sealed-records.md with Debian's
python3-cryptography: from the keyring file down to the plaintext, of what bin/conformance/sealed_writer made.
Prints `ok NAME` or `not ok NAME: why`.
"""
import hashlib
import hmac
import json
import os
import struct
import subprocess
import sys

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

WRITER = os.path.join(os.environ.get("BW_BUILD_DIR", "."), "bin/conformance/sealed_writer")
NOBODY = bytes(16)
KEM, HPKE = b"KEM" + bytes([0x00, 0x20]), b"HPKE" + bytes([0x00, 0x20, 0x00, 0x01, 0x00, 0x02])


class Refused(Exception):
    pass


def extract(digest, salt, key):
    return hmac.new(salt or bytes(hashlib.new(digest).digest_size), key, digest).digest()


def expand(digest, prk, info, length):
    algorithm = hashes.SHA256() if digest == "sha256" else hashes.SHA512()
    return HKDFExpand(algorithm, length, info).derive(prk)


def raw(public_key):
    return public_key.public_bytes(Encoding.Raw, PublicFormat.Raw)


class Keyring:
    """Step 1 and 2: the file, and the KEKs."""

    def __init__(self, text):
        self.prks = {}
        for line in text.splitlines():
            words = line.split("#")[0].split()
            if words:
                prk = extract("sha256", b"bw-kek/v1", bytes.fromhex(words[1]))
                self.prks[expand("sha256", prk, b"bw-root-id/v1", 8)] = prk

    def kek(self, root, tenant, scope):
        if root not in self.prks:
            raise Refused("a root key that is not in the keyring")
        return expand("sha256", self.prks[root], tenant + scope, 32)


def open_scope_key(keyring, row):
    """Step 3: the X25519 private key."""
    wrapped = row["wrapped"]
    if len(wrapped) != 69 or wrapped[0] != 1:
        raise Refused("not a wrapped key of version 1")
    kek = keyring.kek(wrapped[1:9], row["tenant"], row["scope"])
    place = row["tenant"] + row["scope"] + struct.pack(">I", row["day"]) + row["id"]
    private = X25519PrivateKey.from_private_bytes(AESGCM(kek).decrypt(wrapped[9:21], wrapped[21:], place))
    if raw(private.public_key()) != row["public"]:
        raise Refused("the halves of a scope key do not belong together")
    return private


def signed_scope(row):
    return b"bw-scope-key/v1" + row["id"] + row["tenant"] + row["scope"] + struct.pack(">I", row["day"]) + row["public"]


def labeled_extract(suite, salt, label, key):
    return extract("sha256", salt, b"HPKE-v1" + suite + label + key)


def labeled_expand(suite, prk, label, info, length):
    return expand("sha256", prk, struct.pack(">H", length) + b"HPKE-v1" + suite + label + info, length)


def hpke_open(private, enc, info, sealed):
    """RFC 9180, base mode, the first message."""
    prk = labeled_extract(KEM, b"", b"eae_prk", private.exchange(X25519PublicKey.from_public_bytes(enc)))
    shared = labeled_expand(KEM, prk, b"shared_secret", enc + raw(private.public_key()), 32)
    context = b"\0" + labeled_extract(HPKE, b"", b"psk_id_hash", b"") + labeled_extract(HPKE, b"", b"info_hash", info)
    secret = labeled_extract(HPKE, shared, b"secret", b"")
    key = labeled_expand(HPKE, secret, b"key", context, 32)
    return AESGCM(key).decrypt(labeled_expand(HPKE, secret, b"base_nonce", context, 12), sealed, None)


def open_meeting_key(scopes, row):
    """Step 4."""
    info = b"bw-meeting-key/v1" + row["tenant"] + row["meeting"] + row["key_id"]
    return hpke_open(scopes[row["scope_key"]], row["enc"], info, row["sealed"])


def unpad(plain, pad_class):
    if pad_class == 0:
        return plain
    block = 1 << pad_class
    body = plain.rstrip(b"\0")
    if not plain or len(plain) % block or body[-1:] != b"\x80" or len(plain) - len(body) >= block:
        raise Refused("padding")
    return body[:-1]


def open_record(meeting_key, row, cell):
    """Step 5. The key is the one the header names."""
    record = row["record"]
    if len(record) < 172 or record[:6] != b"MREC\1\1" or record[7] != 0 or any(record[80:88]):
        raise Refused("not a record of version 1, suite 1")
    pad_class, length = struct.unpack(">H", record[78:80])[0], struct.unpack(">I", record[152:156])[0]
    if len(record) != 172 + length:
        raise Refused("length")
    region = hashlib.sha256(b"bw-cell/v1" + cell.encode()).digest()[:8]
    context = row["tenant"] + row["meeting"] + row["row"] + region + bytes(8) + (row["table"] + row["column"]).encode()
    prk = extract("sha512", record[88:120], meeting_key)
    place = hashlib.sha512(record[:88] + context).digest()
    if not hmac.compare_digest(expand("sha512", prk, b"rec/v1 com" + place, 32), record[120:152]):
        raise Refused("commitment")
    keys = expand("sha512", prk, b"rec/v1 enc" + place, 44)
    return unpad(AESGCM(keys[:32]).decrypt(keys[32:], record[156:], record[:156] + context), pad_class)


def open_entry(meeting_keys, tenant, meeting, entry, sealed):
    key = expand("sha256", meeting_keys[sealed[:16]], b"roster entry/v1" + meeting, 32)
    plain = AESGCM(key).decrypt(sealed[16:28], sealed[28:], tenant + meeting + entry)
    fields, at = {}, 0
    while at < len(plain):
        tag, length = plain[at], plain[at + 1]
        if tag in fields or (fields and tag < max(fields)) or length == 0:
            raise Refused("a field")
        fields[tag] = plain[at + 2:at + 2 + length]
        at += 2 + length
    return fields


def roster(body):
    count, at, entries = struct.unpack(">I", body[:4])[0], 4, []
    for _ in range(count):
        length = struct.unpack(">H", body[at + 32:at + 34])[0]
        entries.append((body[at:at + 16], body[at + 16:at + 32], body[at + 34:at + 34 + length]))
        at += 34 + length
    if at != len(body):
        raise Refused("bytes behind the last entry")
    return entries


def from_hex(value, name=""):
    if isinstance(value, dict):
        return {key: from_hex(item, key) for key, item in value.items()}
    if isinstance(value, list):
        return [from_hex(item) for item in value]
    return value if not isinstance(value, str) or name in ("cell", "table", "column") else bytes.fromhex(value)


class Written:
    def __init__(self):
        done = subprocess.run([WRITER], stdout=subprocess.PIPE, check=True)
        self.all = from_hex(json.loads(done.stdout))
        self.scope = self.all["scope_key"]
        self.keyring = Keyring(self.all["keyring"].decode())
        scopes = {self.scope["id"]: open_scope_key(self.keyring, self.scope)}
        self.keys = {row["key_id"]: open_meeting_key(scopes, row) for row in self.all["meeting_keys"]}
        self.scopes = scopes

    def open(self, row):
        return open_record(self.keys[row["record"][8:24]], row, self.all["cell"])


def expect(condition, words):
    if not condition:
        raise AssertionError(words)


def refuses(function, *arguments):
    try:
        function(*arguments)
    except (Refused, InvalidTag, InvalidSignature, KeyError):
        return True
    return False


def check_a_scope_key_is_signed(written):
    service = Ed25519PublicKey.from_public_bytes(written.all["service_public"])
    service.verify(written.scope["signature"], signed_scope(written.scope))
    other = dict(written.scope, day=written.scope["day"] + 1)
    expect(refuses(service.verify, written.scope["signature"], signed_scope(other)), "another day is signed, too")
    expect(refuses(open_scope_key, written.keyring, other), "another day unwraps")


def check_meeting_keys_are_bound_to_their_meeting(written):
    row = written.all["meeting_keys"][0]
    expect(row["meeting"] != NOBODY and len(row["sealed"]) == 48, "the first key is the meeting's")
    expect(refuses(open_meeting_key, written.scopes, dict(row, meeting=NOBODY)), "it opens without its meeting")


def check_records_open_to_what_was_sealed(written):
    shown = [row for row in written.all["records"] if "plain" in row]
    expect(len(shown) == 5, "five records say what is in them")
    for row in shown:
        expect(written.open(row) == row["plain"], f"another plaintext in {row['table']}")
        expect(len(row["record"]) >= len(row["plain"]) + 172, "shorter than it can be")
        if row["record"][78:80] == b"\0\0":
            expect(len(row["record"]) == len(row["plain"]) + 172, "the overhead is not 172 bytes")


def check_header_fields_lie_where_the_page_says(written):
    row = written.all["records"][1]
    kind, stream_seq, time, epoch, schema = struct.unpack(">6xB49xQqIH", row["record"][:78])
    expect((kind, stream_seq, time, epoch, schema) == (2, 41, -1, 7, 1), f"got {(kind, stream_seq, time, epoch, schema)}")


def check_a_record_opens_nowhere_else(written):
    row = written.all["records"][1]
    for changed in (dict(row, row=NOBODY), dict(row, tenant=NOBODY), dict(row, meeting=NOBODY), dict(row, table="qskt"),
                    dict(row, record=row["record"][:-1] + bytes([row["record"][-1] ^ 1]))):
        expect(refuses(written.open, changed), "it opens")
    expect(refuses(open_record, written.keys[row["record"][8:24]], row, "eu-2"), "it opens in another cell")


def check_a_roster_gives_its_entry(written):
    row = written.all["records"][0]
    entries = roster(written.open(row))
    expect(len(entries) == 1, "one entry")
    meeting, entry, sealed = entries[0]
    fields = open_entry(written.keys, row["tenant"], meeting, entry, sealed)
    wanted = {1: b"somebody@uni.example", 2: bytes.fromhex("20010db8000000000000000000000009"), 3: b"FR", 4: b"ara",
              5: b"web 12.4.1", 6: b"udp", 7: b"acme", 8: b"Linux", 9: struct.pack(">I", 2),
              10: struct.pack(">I", 64500), 11: struct.pack(">Q", 20778 * 86400000 + 7200000), 12: b"\1"}
    expect(fields == wanted, f"got {fields}")
    expect(refuses(open_entry, written.keys, row["tenant"], meeting, NOBODY, sealed), "it opens as another entry")


def main():
    failed = False
    written = Written()
    for name, check in sorted((n, f) for n, f in globals().items() if n.startswith("check_")):
        try:
            check(written)
            print(f"ok {name[6:]}", flush=True)
        except Exception as error:  # whatever it is, it is the result
            failed = True
            print(f"not ok {name[6:]}: {' '.join(repr(error).split())[-400:]}", flush=True)
    return 1 if failed else 0


sys.exit(main())
