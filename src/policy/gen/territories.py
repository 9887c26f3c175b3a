#!/usr/bin/env python3
"""Writes the jurisdiction tables (src/policy/territory.c reads them) as C.

Sources: Debian's iso-codes (ISO 3166-1 and -2), unicode-cldr-core (groups, aliases, withdrawn codes) and the
overlays in policies/groups, whose form policies/groups/README.md describes. Only the standard library is used.
The output depends on nothing but the inputs' content.
"""

import argparse
import hashlib
import json
import re
import sys
import xml.etree.ElementTree as xml

MAX_PLACES = 86 * 64  # BW_TERRITORY_MAX
DATE = re.compile(r"^\d{4}-\d{2}-\d{2}$")
CLDR_SINCE = "2022-04-06"  # the release of CLDR 41; its groups carry no date of their own


def fail(message):
    sys.exit(f"territories.py: {message}")


def subdivision_code(cldr):
    """CLDR's "fridf" is ISO's "FR-IDF"."""
    return f"{cldr[:2]}-{cldr[2:]}".upper()


class Overlay:
    def __init__(self, paths):
        self.groups = {}  # name -> [(since, [codes])]
        self.countries, self.aliases, self.parts, self.apart, self.instead = {}, {}, {}, [], {}
        for path in sorted(paths):
            self.read(path)

    def read(self, path):
        as_of = group = None
        with open(path, encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                words = line.split("#")[0].split()
                if not words:
                    continue
                where = f"{path}:{number}"
                verb, rest = words[0], words[1:]
                if verb == "as-of" and len(rest) == 1 and DATE.match(rest[0]):
                    as_of = rest[0]
                elif as_of is None:
                    fail(f"{where}: a file begins with as-of YYYY-MM-DD")
                elif verb == "group" and len(rest) == 1:
                    if not re.match(r"^[A-Z][A-Z0-9-]{1,30}$", rest[0]) or rest[0] in self.groups:
                        fail(f"{where}: bad or repeated group name {rest[0]}")
                    group = self.groups.setdefault(rest[0], [])
                elif verb == "since" and len(rest) == 1 and DATE.match(rest[0]) and group is not None:
                    if rest[0] > as_of or (group and rest[0] <= group[-1][0]):
                        fail(f"{where}: versions go in order and none begins after {as_of}")
                    group.append((rest[0], []))
                elif verb == "members" and rest and group:
                    group[-1][1].extend(rest)
                elif verb == "country" and len(rest) >= 2:
                    self.countries[rest[0]] = " ".join(rest[1:])
                elif verb == "alias" and len(rest) == 2:
                    self.aliases[rest[0]] = rest[1]
                elif verb == "part" and len(rest) == 2:
                    self.parts[rest[0]] = rest[1]
                elif verb == "apart" and len(rest) == 2:
                    self.apart.append(tuple(rest))
                elif verb == "instead" and len(rest) == 2:
                    self.instead[rest[0]] = rest[1]
                else:
                    fail(f"{where}: cannot read this line")


class Tables:
    def __init__(self, iso, cldr, overlay):
        with open(f"{iso}/iso_3166-1.json", encoding="utf-8") as file:
            countries = json.load(file)["3166-1"]
        with open(f"{iso}/iso_3166-2.json", encoding="utf-8") as file:
            parts = json.load(file)["3166-2"]
        data = xml.parse(f"{cldr}/supplementalData.xml").getroot()
        metadata = xml.parse(f"{cldr}/supplementalMetadata.xml").getroot()

        self.country_names = {c["alpha_2"]: c.get("common_name", c["name"]) for c in countries}
        for code, name in overlay.countries.items():
            if code in self.country_names:
                fail(f"{code} is an ISO country by now: drop it from the overlay")
            self.country_names[code] = name
        self.part_names = {p["code"]: p["name"] for p in parts}
        part_parents = {
            p["code"]: p["parent"] if "-" in p["parent"] else f"{p['code'][:2]}-{p['parent']}"
            for p in parts
            if "parent" in p
        }

        self.find_aliases(metadata, overlay, part_parents)
        self.number_places(overlay, part_parents)
        self.find_owners(overlay)
        self.find_successors(countries, metadata, overlay)
        self.find_groups(data, overlay)

    def find_aliases(self, metadata, overlay, part_parents):
        """Part codes that are another place's: the country's own code, or a part's of that country."""
        self.aliases = {}
        for alias in metadata.iter("subdivisionAlias"):
            code, target = subdivision_code(alias.get("type")), alias.get("replacement")
            if alias.get("reason") == "overlong" and code in self.part_names and target in self.country_names:
                self.aliases[code] = target
        for code, target in overlay.aliases.items():
            if code not in self.part_names or not (target in self.country_names or target in self.part_names):
                fail(f"alias {code} {target}: no such codes")
            self.aliases[code] = target
        # FR-971 lies in FR-GP, which is GP, and nothing else does: the same place.
        children = {}
        for code, parent in part_parents.items():
            children.setdefault(parent, []).append(code)
        for code, parent in part_parents.items():
            if parent in self.aliases and code not in self.aliases and children[parent] == [code]:
                self.aliases[code] = self.aliases[parent]

    def number_places(self, overlay, part_parents):
        self.countries = sorted(self.country_names)
        self.parts = sorted(code for code in self.part_names if code not in self.aliases)
        self.places = self.countries + self.parts
        if len(self.places) > MAX_PLACES:
            fail(f"{len(self.places)} places, but a set holds {MAX_PLACES}: raise BW_TERRITORY_WORDS")
        self.index = {code: number for number, code in enumerate(self.places)}
        self.parents = {}
        for code in self.parts:
            parent = overlay.parts.get(code) or part_parents.get(code) or code[:2]
            parent = self.aliases.get(parent, parent)
            if parent not in self.index:
                fail(f"{code} lies in {parent}, which does not exist")
            self.parents[code] = parent
        for code in self.parts:  # a part leads to its country in a few steps
            step, up = 0, code
            while up in self.parents:
                up, step = self.parents[up], step + 1
                if step > 8:
                    fail(f"{code} lies in itself")

    def country_of(self, code):
        while code in self.parents:
            code = self.parents[code]
        return code

    def find_owners(self, overlay):
        self.owners = {}
        claims = [(code, target) for code, target in self.aliases.items()] + list(overlay.parts.items())
        for code, target in claims:
            country, owner = self.country_of(target), code[:2]
            if country == owner or (country, owner) in overlay.apart:
                continue
            if self.owners.setdefault(country, owner) != owner:
                fail(f"{country} would belong to {owner} and {self.owners[country]}")

    def find_successors(self, countries, metadata, overlay):
        known = set(self.index) | set(self.aliases)
        self.successors = {}
        for alias in metadata.iter("territoryAlias"):
            code, target = alias.get("type"), alias.get("replacement").split()[0]
            if re.match(r"^[A-Z]{2}$", code) and code not in known and target in self.index:
                self.successors[code] = target
        for alias in metadata.iter("subdivisionAlias"):
            code = subdivision_code(alias.get("type"))
            target = alias.get("replacement").split()[0]
            target = target if re.match(r"^[A-Z]{2}$", target) else subdivision_code(target)
            if code not in known and target in known:
                self.successors[code] = target
        for country in countries:
            self.successors[country["alpha_3"]] = country["alpha_2"]
        for code, target in overlay.instead.items():
            if code in known or target not in known:
                fail(f"instead {code} {target}: the first must not exist and the second must")
            self.successors[code] = target

    def find_groups(self, data, overlay):
        contains = {}
        for group in data.iter("group"):
            if group.get("status") != "deprecated":
                contains.setdefault(group.get("type"), []).extend(group.get("contains").split())

        def expand(name, seen=()):
            if name in seen:
                fail(f"group {name} contains itself")
            members = set()
            for code in contains[name]:
                if name == "001" and code in ("EU", "EZ", "UN"):
                    continue
                if code in contains:
                    members |= expand(code, seen + (name,))
                elif code in self.country_names:
                    members.add(code)  # CLDR also lists exceptional reservations (IC, TA …): not places of ours
            return members

        named = [name for name in contains if re.match(r"^(\d{3}|[A-Z]{2})$", name)]
        versions = {name: [(CLDR_SINCE, sorted(expand(name)))] for name in named}
        for name, dated in overlay.groups.items():
            resolved = []
            for since, codes in dated:
                codes = [self.aliases.get(code, code) for code in codes]
                for code in codes:
                    if code not in self.index:
                        fail(f"group {name}: {code} does not exist")
                if len(set(codes)) != len(codes):
                    fail(f"group {name}: a member is listed twice")
                resolved.append((since, sorted(codes)))
            if name in versions and versions[name][0][1] not in [members for _, members in resolved]:
                fail(f"group {name}: CLDR has {' '.join(versions[name][0][1])}, which no version here equals")
            versions[name] = resolved
        self.groups = []
        for name in sorted(versions):
            if name in self.index:
                fail(f"group {name} has a country's code")
            for since, members in versions[name]:
                self.groups.append((name, since, sorted(self.index[code] for code in members)))


def quote(text):
    out = []
    for byte in text.encode("utf-8"):
        out.append(chr(byte) if 32 <= byte < 127 and byte not in (34, 92, 63) else f"\\{byte:03o}")
    return '"' + "".join(out) + '"'


def lines(values, width=12):
    return "\n".join("    " + ", ".join(values[i : i + width]) + "," for i in range(0, len(values), width))


def covered(tables, members, denying):
    """Every place that a list of these covers, as bw_territory_set_add has it: the parts of each, and where it is
    denied also what it owns."""
    whole = set(members)
    if denying:
        whole |= {tables.index[code] for code, owner in tables.owners.items() if tables.index[owner] in whole}
    places = set(whole)
    for code in tables.parts:
        up = code
        while up in tables.parents and tables.index[up] not in whole:
            up = tables.parents[up]
        if tables.index[up] in whole:
            places.add(tables.index[code])
    return places


def words_of(places):
    """A set's words as designated initialisers: most are zero."""
    words = {}
    for place in places:
        words[place // 64] = words.get(place // 64, 0) | 1 << place % 64
    return [f".words[{number}] = UINT64_C(0x{words[number]:x})" for number in sorted(words)] or [".words[0] = 0"]


def write(tables, path):
    index = tables.index
    none = 0xFFFF
    body = []
    body.append(f"const size_t bw_territory_table_countries = {len(tables.countries)};")
    body.append(f"const size_t bw_territory_table_places = {len(tables.places)};")
    names = [tables.country_names.get(code) or tables.part_names[code] for code in tables.places]
    rows = []
    first, end = {}, {}
    for code in tables.parts:
        country = tables.country_of(code)
        first.setdefault(country, index[code])
        end[country] = index[code] + 1
    for code, name in zip(tables.places, names):
        spans = f"{first.get(code, 0)}, {end.get(code, 0)}"
        parent = index[tables.parents[code]] if code in tables.parents else none
        owner = index[tables.owners[code]] if code in tables.owners else none
        rows.append(f"    {{{quote(code)}, {quote(name)}, {parent}, {index[tables.country_of(code)]}, {owner}, {spans}}},")
    body.append("const struct bw_territory_row bw_territory_table[] = {\n" + "\n".join(rows) + "\n};")
    rows = [f"    {{{quote(code)}, {index[target]}}}," for code, target in sorted(tables.aliases.items())]
    body.append(f"const size_t bw_territory_table_aliases = {len(rows)};")
    body.append("const struct bw_territory_alias_row bw_territory_alias_table[] = {\n" + "\n".join(rows) + "\n};")
    rows = [f"    {{{quote(code)}, {quote(target)}}}," for code, target in sorted(tables.successors.items())]
    body.append(f"const size_t bw_territory_table_successors = {len(rows)};")
    body.append("const struct bw_territory_successor_row bw_territory_successor_table[] = {\n" + "\n".join(rows) + "\n};")
    members, rows = [], []
    for name, since, codes in tables.groups:
        rows.append(f"    {{{quote(name)}, {quote(since)}, {len(members)}, {len(codes)}}},")
        members.extend(codes)
    body.append("const uint16_t bw_territory_member_table[] = {\n" + lines([str(m) for m in members]) + "\n};")
    body.append(f"const size_t bw_territory_table_groups = {len(rows)};")
    body.append("const struct bw_territory_group_row bw_territory_group_table[] = {\n" + "\n".join(rows) + "\n};")
    content = "\n\n".join(body)
    digest = hashlib.sha256(content.encode("utf-8")).hexdigest()
    # What follows says nothing new, so the hash is not over it.
    rows = []
    for name, since, codes in tables.groups:
        senses = [words_of(covered(tables, codes, denying)) for denying in (False, True)]
        rows.append(f"    /* {name} {since} */\n    {{" + ", ".join("{" + ", ".join(words) + "}" for words in senses) + "},")
    content += "\n\nconst struct bw_territory_set bw_territory_group_sets[][2] = {\n" + "\n".join(rows) + "\n};"
    with open(path, "w", encoding="utf-8") as file:
        file.write("/* Generated by src/policy/gen/territories.py; do not edit. */\n")
        file.write('#include "policy/territory_tables.h"\n\n')
        file.write(content)
        file.write(f'\n\nconst char bw_territory_table_hash[] = "sha256:{digest}";\n')


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--iso", required=True)
    parser.add_argument("--cldr", required=True)
    parser.add_argument("--output", required=True)
    parser.add_argument("overlays", nargs="*")
    arguments = parser.parse_args()
    write(Tables(arguments.iso, arguments.cldr, Overlay(arguments.overlays)), arguments.output)


if __name__ == "__main__":
    main()
