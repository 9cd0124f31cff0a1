# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A configuration as text: our part read from it, and written back; private to this collection, runs on the switch."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from ansible_collections.hybridk8s.estate.plugins.module_utils._frr.model import (
    FAMILY,
    NEIGHBOUR,
    PEER_GROUP,
    PREFIX_LIST,
    ROUTE_MAP,
    Configuration,
    Part,
    Parts,
)
from ansible_collections.hybridk8s.estate.plugins.module_utils._switch.wanted import (
    Wanted,
    group_name,
    outside_list,
    pods_list,
)

_ROUTER = re.compile(r"router bgp (\d+)$")
_MAXIMUM_PATHS = re.compile(r"maximum-paths (\d+)$")
_ROUTER_WORDS = frozenset(
    [
        "neighbor",
        "bgp",
        "address-family",
        "exit-address-family",
        "timers",
        "network",
        "aggregate-address",
        "redistribute",
        "maximum-paths",
        "distance",
        "coalesce-time",
        "read-quanta",
        "write-quanta",
        "update-delay",
        "table-map",
    ]
)
_MAP_WORDS = frozenset(["match", "set", "call", "on-match", "continue", "description"])
_HEADER = frozenset({"Building configuration...", "Current configuration:"})


def _lines(text: str) -> list[str]:
    """The lines as they stand: ``splitlines`` would also split at characters that others may have in a description."""
    return text.removesuffix("\n").split("\n") if text else []


def _with_context(lines: Iterable[str]) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Every line of a configuration: as it stands, normalised, and the lines that open the contexts it is in.

    A line that opens or closes a context belongs to it. Lines at the margin are top-level, but for the words that only
    a ``router bgp`` or ``route-map`` above them can mean: people write configurations without indentation.
    """
    path: tuple[str, ...] = ()
    for raw in lines:
        line = " ".join(raw.split())
        if not line or line[0] in "!#":
            yield raw, "", path
            continue
        if path and line in ("exit", "exit-address-family", "end"):
            yield raw, line, path
            path = () if line == "end" else path[:-1]
            continue
        if not raw[0].isspace() and not _continues(path, line):
            path = (line,)
        elif path and _ROUTER.match(path[0]) and line.startswith("address-family "):
            path = (path[0], line)
        yield raw, line, path


def _continues(path: tuple[str, ...], line: str) -> bool:
    words = line.split()
    word = words[1] if words[0] == "no" and len(words) > 1 else words[0]
    if not path:
        return False
    if path[0].startswith("router bgp "):
        return word in _ROUTER_WORDS
    return path[0].startswith("route-map ") and word in _MAP_WORDS


def read(text: str, estate: str) -> Configuration:
    """What ``text`` (a running configuration, or frr.conf) holds of the estate's objects."""
    group = group_name(estate)
    lines = [(line, path) for _raw, line, path in _with_context(_lines(text)) if line]
    as_number: int | None = None
    default_unicast = True
    maximum_paths: int | None = None
    neighbours: dict[str, list[str]] = {}
    families: dict[str, list[str]] = {}
    tops: dict[tuple[str, str], list[str]] = {}
    for line, path in lines:
        router = _ROUTER.match(path[0]) if path else None
        if router:
            as_number = int(router.group(1))
            default_unicast = default_unicast and line != "no bgp default ipv4-unicast"
            paths = _MAXIMUM_PATHS.match(line)
            if paths and path[1:] == (FAMILY,):
                maximum_paths = int(paths.group(1))
            target = _target(line)
            if target and len(path) == 1:
                neighbours.setdefault(target, []).append(line)
            elif target and path[1] == FAMILY:
                families.setdefault(target, []).append(line)
            continue
        owned = _top_owner(line, path, estate)
        if owned:
            tops.setdefault(owned, [])
            if owned[0] == PREFIX_LIST or line not in (path[0], "exit"):
                tops[owned].append(line)
    members = {name for name, found in neighbours.items() if f"neighbor {name} peer-group {group}" in found}
    parts = {key: Part(key[0], key[1], tuple(found)) for key, found in tops.items()}
    for name in sorted(members | ({group} & (set(neighbours) | set(families)))):
        kind = PEER_GROUP if name == group else NEIGHBOUR
        parts[kind, name] = Part(kind, name, tuple(neighbours.get(name, ())), tuple(families.get(name, ())))
    foreign = tuple(sorted(name for name in neighbours if name not in members and name != group))
    return Configuration(as_number, default_unicast, parts, foreign, maximum_paths)


def _target(line: str) -> str:
    words = line.split()
    if words[0] == "no":
        words = words[1:]
    return words[1] if len(words) > 2 and words[0] == "neighbor" else ""


def _top_owner(line: str, path: tuple[str, ...], estate: str) -> tuple[str, str] | None:
    group = group_name(estate)
    words = path[0].split() if path else []
    if words[:2] == ["ip", "prefix-list"] and len(words) > 3 and words[2] in (pods_list(estate), outside_list(estate)):
        return (PREFIX_LIST, words[2]) if line == path[0] else None
    if words[:1] == ["route-map"] and len(words) == 4 and words[1] in (f"{group}-IN", f"{group}-OUT"):
        return ROUTE_MAP, " ".join(words[1:])
    return None


def merge(text: str, wanted: Wanted, parts: Parts) -> str:
    """``text`` with our part replaced by ``parts`` and every line of others kept as it stands."""
    kept = _without_ours(text, wanted.estate)
    if not parts:
        return "".join(f"{line}\n" for line in kept)
    tail = [line for line in kept[-3:] if line.strip() == "end"]
    peers = [part for part in parts.values() if part.kind in (PEER_GROUP, NEIGHBOUR)]
    lines = [f" {line}" for part in peers for line in part.lines]
    family = [f"  {line}" for part in peers for line in part.family]
    kept = _insert_peers(kept, wanted.as_number, lines, family)
    tops: list[str] = []
    for part in parts.values():
        if part.kind == PREFIX_LIST:
            tops += part.lines
        elif part.kind == ROUTE_MAP:
            tops += [f"route-map {part.name}", *(f" {line}" for line in part.lines), "exit"]
    return "\n".join([*_trimmed(kept), "!", *tops, "!", *tail]) + "\n"


def _trimmed(lines: Sequence[str]) -> list[str]:
    end = len(lines)
    while end and lines[end - 1].strip() in ("", "!", "end"):
        end -= 1
    return list(lines[:end])


def _without_ours(text: str, estate: str) -> list[str]:
    members = {name for kind, name in read(text, estate).parts if kind in (PEER_GROUP, NEIGHBOUR)}
    kept = []
    for raw, line, path in _with_context(_lines(text)):
        if raw.strip() in _HEADER:
            continue
        if line and path and _ROUTER.match(path[0]) and path[1:] in ((), (FAMILY,)) and _target(line) in members:
            continue
        if line and _top_owner(line, path, estate):
            continue
        kept.append(raw)
    return kept


def _insert_peers(text: Sequence[str], as_number: int, lines: Sequence[str], family: Sequence[str]) -> list[str]:
    """Put the neighbour lines into ``router bgp``, before its first address family, and the rest into that family."""
    located = list(_with_context(text))
    inside = [n for n, (_raw, _line, path) in enumerate(located) if path and _ROUTER.match(path[0])]
    wrapped = [f" {FAMILY}", *family, " exit-address-family"]
    if not inside:
        return [*_trimmed(text), "!", f"router bgp {as_number}", *lines, *wrapped, "exit"]
    families = [n for n in inside if len(located[n][2]) == 2]
    closing = [n for n in inside if located[n][1] == "exit" and len(located[n][2]) == 1]
    spoken = [n for n in inside if located[n][1]]
    first = families[0] if families else closing[0] if closing else spoken[-1] + 1
    while located[first - 1][0].strip() == "!":
        first -= 1
    opening = [n for n in families if located[n][1] == FAMILY]
    if opening:
        at = opening[0] + 1
        return [*text[:first], *lines, *text[first:at], *family, *text[at:]]
    return [*text[:first], *lines, *wrapped, *text[first:]]
