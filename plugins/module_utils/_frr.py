# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Our part of an FRR configuration: read, compare, change, write; private to this collection, runs on the switch.

Our part is a peer-group ``ESTATE-<NAME>``, the neighbours in it, and the prefix-lists and route-maps that it uses.
All of it is compared line by line in the form that ``show running-config`` prints (seen with FRR 8.4.4), so that what
others configured is never part of a comparison and never part of a command.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv4Network, NetmaskValueError
from typing import Any

from ansible_collections.hybridk8s.estate.plugins.module_utils._plan import Step

PREFIX_LIST = "prefix-list"
ROUTE_MAP = "route-map"
PEER_GROUP = "peer-group"
NEIGHBOUR = "neighbour"

MAX_AS = 4294967295
FAMILY = "address-family ipv4 unicast"
RESTART_MINUTES = 5
WARN_PERCENT = 80

_ROUTER = re.compile(r"router bgp (\d+)$")
_ESTATE = re.compile(r"[a-z0-9]([-a-z0-9]{0,40}[a-z0-9])?")
_PASSWORD = re.compile(r"(neighbor \S+ password) .*")
_RESETTING = frozenset({"remote-as", "ebgp-multihop", "password", "peer-group", "update-source", "shutdown"})
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


class FrrError(ValueError):
    """What was asked for cannot be done on this switch; the message names the option or object and the remedy."""


@dataclass(frozen=True)
class Prefix:
    """A prefix and the lengths, in bits, that are let through inside it; None means the prefix itself."""

    network: IPv4Network
    ge: int | None = None
    le: int | None = None

    def __str__(self) -> str:
        ge = f" ge {self.ge}" if self.ge and self.ge > self.network.prefixlen else ""
        le = f" le {self.le}" if self.le and self.le > self.network.prefixlen else ""
        return f"{self.network}{ge}{le}"


@dataclass(frozen=True)
class Neighbour:
    """A reflector as the switch sees it. ``multihop`` is the TTL of an eBGP session, in hops."""

    address: IPv4Address
    remote_as: int
    description: str = ""
    multihop: int = 2
    password: str = ""


@dataclass(frozen=True)
class Wanted:
    """Our part as the inventory describes it. Timers are in seconds; ``max_prefix`` 0 is no limit.

    ``imports`` is what the switch takes from nodes, ``exports`` what nodes may learn from it.
    """

    estate: str
    as_number: int
    neighbours: tuple[Neighbour, ...] = ()
    imports: tuple[Prefix, ...] = ()
    exports: tuple[Prefix, ...] = ()
    max_prefix: int = 2000
    keepalive: int = 10
    hold: int = 30
    connect: int = 10


@dataclass(frozen=True)
class Part:
    """One object of ours: ``lines`` in its own context (without the line that opens a route-map), ``family`` those in
    ``address-family ipv4 unicast``."""

    kind: str
    name: str
    lines: tuple[str, ...] = ()
    family: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The lines a person may see: passwords are hidden."""
        head = [f"route-map {self.name}"] if self.kind == ROUTE_MAP else []
        indented = [f" {line}" for line in self.lines] if head else list(self.lines)
        family = [FAMILY, *(f" {line}" for line in self.family)] if self.family else []
        return "".join(hide(line) + "\n" for line in [*head, *indented, *family])


Parts = Mapping[tuple[str, str], Part]


@dataclass(frozen=True)
class Configuration:
    """What a configuration text holds that matters to us.

    ``as_number`` is that of ``router bgp`` in the default VRF, None where there is none. ``default_unicast`` says
    whether FRR activates IPv4 unicast for every neighbour and then prints no ``activate``. ``foreign`` are the
    addresses of neighbours outside our peer-group.
    """

    as_number: int | None
    default_unicast: bool
    parts: Parts
    foreign: tuple[str, ...]


def group_name(estate: str) -> str:
    """The name of our peer-group; the lists and maps are called ``<this>-PODS``, ``-OUTSIDE``, ``-IN``, ``-OUT``.

    The suffixes are fixed, so that the objects of an estate ``a`` are never taken for those of an estate ``a-b``.
    """
    return f"ESTATE-{estate.upper()}"


def hide(line: str) -> str:
    """``line`` with a password in it replaced."""
    return _PASSWORD.sub(r"\1 <hidden>", line)


def wanted_of(params: Mapping[str, Any]) -> Wanted:
    """The module's options as :class:`Wanted`; raises :class:`FrrError` naming the option that is wrong."""
    estate = params["estate"]
    if not _ESTATE.fullmatch(estate):
        raise FrrError(f"estate: {estate!r} is not a DNS label. Use the inventory's estate_name.")
    timers = params.get("timers") or {}
    wanted = Wanted(
        estate=estate,
        as_number=_as_number("as_number", params["as_number"]),
        neighbours=tuple(_neighbour(entry) for entry in params.get("neighbours") or ()),
        imports=tuple(_prefix("import_prefixes", entry) for entry in params.get("import_prefixes") or ()),
        exports=tuple(_prefix("export_prefixes", entry) for entry in params.get("export_prefixes") or ()),
        max_prefix=_within("max_prefix", params.get("max_prefix", 2000), 0, MAX_AS),
        keepalive=_within("timers.keepalive", timers.get("keepalive", 10), 1, 65535),
        hold=_within("timers.hold", timers.get("hold", 30), 3, 65535),
        connect=_within("timers.connect", timers.get("connect", 10), 1, 65535),
    )
    _refuse_contradictions(wanted)
    return wanted


def _refuse_contradictions(wanted: Wanted) -> None:
    seen: set[IPv4Address] = set()
    for neighbour in wanted.neighbours:
        if neighbour.address in seen:
            raise FrrError(f"neighbours: {neighbour.address} is there twice. Keep one entry for each address.")
        seen.add(neighbour.address)
        for prefix in wanted.exports:
            if neighbour.address in prefix.network:
                raise FrrError(
                    f"export_prefixes: {prefix.network} holds the node address {neighbour.address}; nodes that learn "
                    "it lose their way to each other. Leave the nodes' own networks out of estate_bgp.import."
                )
    if len({neighbour.remote_as == wanted.as_number for neighbour in wanted.neighbours}) > 1:
        raise FrrError(
            f"neighbours: some have the switch's own AS {wanted.as_number}, others not; FRR has only one kind in a "
            "peer-group. Give every reflector the cluster's AS."
        )
    if wanted.hold < 3 * wanted.keepalive:
        raise FrrError(
            f"timers: hold {wanted.hold} s is less than three keepalives of {wanted.keepalive} s. "
            "Raise hold or lower keepalive."
        )


def _neighbour(entry: Mapping[str, Any]) -> Neighbour:
    try:
        address = IPv4Address(entry["address"])
    except (AddressValueError, KeyError) as error:
        raise FrrError(f"neighbours: {entry.get('address')!r} is not an IPv4 address. Correct ansible_host.") from error
    described = str(entry.get("description") or "")
    password = str(entry.get("password") or "")
    for option, text in (("description", described), ("password", password)):
        if text != text.strip() or not text.isprintable():
            raise FrrError(f"neighbours: the {option} of {address} has a line break or outer blanks. Remove them.")
    return Neighbour(
        address=address,
        remote_as=_as_number(f"remote_as of {address}", entry.get("remote_as")),
        description=described,
        multihop=_within(f"multihop of {address}", entry.get("multihop") or 2, 1, 255),
        password=password,
    )


def _prefix(option: str, entry: Any) -> Prefix:
    given = entry if isinstance(entry, Mapping) else {"prefix": entry}
    try:
        network = IPv4Network(given.get("prefix"))
    except (AddressValueError, NetmaskValueError, ValueError) as error:
        raise FrrError(
            f"{option}: {given.get('prefix')!r} is not an IPv4 prefix without host bits. Correct it."
        ) from error
    ge, le = given.get("ge"), given.get("le")
    for bound in (ge, le):
        if bound is not None and not network.prefixlen <= bound <= 32:
            raise FrrError(f"{option}: ge and le of {network} must lie between {network.prefixlen} and 32.")
    if ge is not None and le is not None and ge > le:
        raise FrrError(f"{option}: ge {ge} of {network} is above le {le}. Swap them.")
    return Prefix(network, ge, le)


def _as_number(option: str, value: Any) -> int:
    return _within(option, value, 1, MAX_AS)


def _within(option: str, value: Any, low: int, high: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise FrrError(f"{option}: {value!r} is not a number from {low} to {high}.")
    return value


def wanted_parts(wanted: Wanted) -> Parts:
    """Every object that ``wanted`` needs, as FRR prints it; none when there are no neighbours."""
    if not wanted.neighbours:
        return {}
    group = group_name(wanted.estate)
    parts = [
        Part(PREFIX_LIST, f"{group}-PODS", _list_lines(f"{group}-PODS", wanted.imports)),
        Part(PREFIX_LIST, f"{group}-OUTSIDE", _list_lines(f"{group}-OUTSIDE", wanted.exports)),
        Part(ROUTE_MAP, f"{group}-IN permit 10", (f"match ip address prefix-list {group}-PODS",)),
        Part(ROUTE_MAP, f"{group}-OUT permit 10", (f"match ip address prefix-list {group}-OUTSIDE",)),
        Part(
            PEER_GROUP,
            group,
            (
                f"neighbor {group} peer-group",
                f"neighbor {group} timers {wanted.keepalive} {wanted.hold}",
                f"neighbor {group} timers connect {wanted.connect}",
            ),
            (
                f"neighbor {group} activate",
                f"neighbor {group} soft-reconfiguration inbound",
                *_limit(group, wanted.max_prefix),
                f"neighbor {group} route-map {group}-IN in",
                f"neighbor {group} route-map {group}-OUT out",
            ),
        ),
        *(_neighbour_part(wanted, group, neighbour) for neighbour in wanted.neighbours),
    ]
    return {(part.kind, part.name): part for part in parts}


def with_former(parts: Parts, configuration: Configuration) -> Parts:
    """``parts`` and the neighbours that are still there; all that is there where nothing is wanted any more."""
    if not parts:
        return configuration.parts
    former = {key: part for key, part in configuration.parts.items() if key[0] == NEIGHBOUR and key not in parts}
    return {**parts, **former}


def _list_lines(name: str, prefixes: Sequence[Prefix]) -> tuple[str, ...]:
    if not prefixes:
        return (f"ip prefix-list {name} seq 5 deny any",)
    return tuple(f"ip prefix-list {name} seq {5 * n} permit {prefix}" for n, prefix in enumerate(prefixes, 1))


def _limit(group: str, max_prefix: int) -> tuple[str, ...]:
    if not max_prefix:
        return ()
    return (f"neighbor {group} maximum-prefix {max_prefix} {WARN_PERCENT} restart {RESTART_MINUTES}",)


def _neighbour_part(wanted: Wanted, group: str, neighbour: Neighbour) -> Part:
    address = str(neighbour.address)
    lines = [f"neighbor {address} remote-as {neighbour.remote_as}", f"neighbor {address} peer-group {group}"]
    if neighbour.description:
        lines.append(f"neighbor {address} description {neighbour.description}")
    if neighbour.password:
        lines.append(f"neighbor {address} password {neighbour.password}")
    # Next hops are kept and may lie in another rack: without multihop FRR takes only those on connected networks.
    if neighbour.remote_as != wanted.as_number and neighbour.multihop > 1:
        lines.append(f"neighbor {address} ebgp-multihop {neighbour.multihop}")
    return Part(NEIGHBOUR, address, tuple(lines))


def _with_context(text: str) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Every line of a configuration: as it stands, normalised, and the lines that open the contexts it is in.

    A line that opens or closes a context belongs to it. Lines at the margin are top-level, but for the words that only
    a ``router bgp`` or ``route-map`` above them can mean: people write configurations without indentation.
    """
    path: tuple[str, ...] = ()
    for raw in text.splitlines():
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
    lines = [(line, path) for _raw, line, path in _with_context(text) if line]
    as_number: int | None = None
    default_unicast = True
    neighbours: dict[str, list[str]] = {}
    families: dict[str, list[str]] = {}
    tops: dict[tuple[str, str], list[str]] = {}
    for line, path in lines:
        router = _ROUTER.match(path[0]) if path else None
        if router:
            as_number = int(router.group(1))
            default_unicast = default_unicast and line != "no bgp default ipv4-unicast"
            target = _target(line)
            if target and len(path) == 1:
                neighbours.setdefault(target, []).append(line)
            elif target and path[1] == FAMILY:
                families.setdefault(target, []).append(line)
            continue
        owned = _top_owner(line, path, group)
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
    return Configuration(as_number, default_unicast, parts, foreign)


def _target(line: str) -> str:
    words = line.split()
    if words[0] == "no":
        words = words[1:]
    return words[1] if len(words) > 2 and words[0] == "neighbor" else ""


def _top_owner(line: str, path: tuple[str, ...], group: str) -> tuple[str, str] | None:
    words = path[0].split() if path else []
    if words[:2] == ["ip", "prefix-list"] and len(words) > 3 and words[2] in (f"{group}-PODS", f"{group}-OUTSIDE"):
        return (PREFIX_LIST, words[2]) if line == path[0] else None
    if words[:1] == ["route-map"] and len(words) == 4 and words[1] in (f"{group}-IN", f"{group}-OUT"):
        return ROUTE_MAP, " ".join(words[1:])
    return None


def refusal(configuration: Configuration, wanted: Wanted) -> str:
    """Why this switch must not be touched, or an empty string."""
    if configuration.as_number is not None and configuration.as_number != wanted.as_number:
        return (
            f"the switch runs router bgp {configuration.as_number}, but the inventory says AS {wanted.as_number}. "
            "Correct the rack's `as` in estate_racks, or the switch."
        )
    taken = sorted(str(n.address) for n in wanted.neighbours if str(n.address) in configuration.foreign)
    if taken:
        return (
            f"neighbor {', '.join(taken)} is configured outside peer-group {group_name(wanted.estate)}. "
            "Remove it from the switch, or put it into that peer-group, so that one owner is left."
        )
    return ""


def differences(configuration: Configuration, parts: Parts) -> list[tuple[Part | None, Part | None]]:
    """The objects that differ, as (what is there, what is wanted), lists and maps before neighbours."""
    order = [PREFIX_LIST, ROUTE_MAP, PEER_GROUP, NEIGHBOUR]
    keys = sorted({*configuration.parts, *parts}, key=lambda key: (order.index(key[0]), key[1]))
    pairs = [(configuration.parts.get(key), parts.get(key)) for key in keys]
    return [(old, new) for old, new in pairs if not _same(old, new, configuration.default_unicast)]


def _same(old: Part | None, new: Part | None, default_unicast: bool) -> bool:
    if old is None or new is None:
        return old is new
    return set(old.lines) == set(new.lines) and _family(old, default_unicast) == _family(new, default_unicast)


def _family(part: Part, default_unicast: bool) -> set[str]:
    return {line for line in part.family if not (default_unicast and line == f"neighbor {part.name} activate")}


def steps_of(configuration: Configuration, wanted: Wanted, parts: Parts) -> list[Step]:
    """One step for each object of ours that differs, and one for ``router bgp`` itself where it is missing."""
    steps = []
    if configuration.as_number is None and parts:
        created = f"router bgp {wanted.as_number}\n"
        steps.append(Step("create", f"router bgp {wanted.as_number}", "the switch runs no BGP yet", "", created))
    for old, new in differences(configuration, parts):
        named = new or old
        if named is None:
            continue
        action = "create" if old is None else "remove" if new is None else "update"
        steps.append(
            Step(
                action,
                f"{named.kind}/{named.name}",
                _reason(old, new),
                old.text if old else "",
                new.text if new else "",
            )
        )
    return steps


def _reason(old: Part | None, new: Part | None) -> str:
    if new is None:
        return "the inventory no longer has it"
    if old is None:
        return "the inventory has it"
    changed = {line for line in (*old.lines, *new.lines) if (line in old.lines) != (line in new.lines)}
    resetting = sorted({word for word in (_key(line)[1] for line in changed) if word in _RESETTING})
    if old.kind == NEIGHBOUR and resetting:
        return f"differs from the inventory; {', '.join(resetting)} changes, which resets the session"
    return "differs from the inventory"


def _key(line: str) -> tuple[str, ...]:
    """What a ``neighbor`` line sets: two lines with the same key replace each other."""
    words = line.split()
    if words[0] == "no":
        words = words[1:]
    if words[2] == "route-map" or words[2:4] == ["timers", "connect"]:
        return (words[1], words[2], words[-1] if words[2] == "route-map" else "connect")
    return (words[1], words[2])


def _inverse(line: str) -> str:
    return line[3:] if line.startswith("no ") else f"no {line}"


def commands(configuration: Configuration, wanted: Wanted, parts: Parts) -> list[str]:
    """The configuration lines that turn what the switch runs into ``parts``, touching nothing else.

    Filters are there before the neighbours that use them, and go after them: no session is ever without a policy.
    """
    before: list[str] = []
    inside: list[str] = []
    family: list[str] = []
    leaving: list[str] = []
    joining: list[str] = []
    after: list[str] = []
    for old, new in differences(configuration, parts):
        if new is None and old is not None:
            if old.kind == ROUTE_MAP and _sequence(old) in {_sequence(part) for part in parts.values()}:
                continue  # the entry that replaces it has the same number
            after_or_leaving = leaving if old.kind in (NEIGHBOUR, PEER_GROUP) else after
            after_or_leaving.append(_removal(old))
        elif new is not None and new.kind == PREFIX_LIST:
            stale, missing = _list_changes(old, new)
            before += missing
            after += stale
        elif new is not None and new.kind == ROUTE_MAP:
            stale = [_inverse(line) for line in (old.lines if old else ()) if line not in new.lines]
            before += [f"route-map {new.name}", *(f" {line}" for line in (*stale, *new.lines)), "exit"]
        elif new is not None:
            (inside if new.kind == PEER_GROUP else joining).extend(_changes(old.lines if old else (), new.lines))
            family += _changes(old.family if old else (), _needed(old, new, configuration.default_unicast))
    # A group can only go after its members; peers sort before "ESTATE-...".
    router = [*sorted(leaving), *inside, *_in_family(family), *joining]
    if router:
        router = [f"router bgp {wanted.as_number}", *(f" {line}" for line in router), "exit"]
    # A route-map goes before the prefix-list it uses.
    return [*before, *router, *sorted(after, key=lambda line: not line.startswith("no route-map"))]


def _removal(part: Part) -> str:
    if part.kind == PREFIX_LIST:
        return f"no ip prefix-list {part.name}"
    if part.kind == ROUTE_MAP:
        return f"no route-map {part.name}"
    return f"no neighbor {part.name}" + (" peer-group" if part.kind == PEER_GROUP else "")


def _sequence(part: Part) -> tuple[str, str]:
    """The route-map and the number of an entry, whatever it does; no route-map has the empty number."""
    words = part.name.split()
    return (words[0], words[-1]) if part.kind == ROUTE_MAP else ("", "")


def _list_changes(old: Part | None, new: Part) -> tuple[list[str], list[str]]:
    there = old.lines if old else ()
    sequences = {line.split()[4] for line in new.lines}
    stale = [_inverse(line) for line in there if line.split()[4] not in sequences]
    return stale, [line for line in new.lines if line not in there]


def _changes(old: Sequence[str], new: Sequence[str]) -> list[str]:
    keys = {_key(line) for line in new}
    stale = [_inverse(line) for line in old if _key(line) not in keys]
    return [*stale, *(line for line in new if line not in old)]


def _needed(old: Part | None, new: Part, default_unicast: bool) -> list[str]:
    """The family lines to load: where FRR activates by itself, only a deactivated group needs the line."""
    activate = f"neighbor {new.name} activate"
    implied = default_unicast and not (old and f"no {activate}" in old.family)
    return [line for line in new.family if not (implied and line == activate)]


def _in_family(lines: Sequence[str]) -> list[str]:
    return [FAMILY, *(f" {line}" for line in lines), "exit-address-family"] if lines else []


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
    group = group_name(estate)
    members = {name for kind, name in read(text, estate).parts if kind in (PEER_GROUP, NEIGHBOUR)}
    kept = []
    for raw, line, path in _with_context(text):
        if raw.strip() in _HEADER:
            continue
        if line and path and _ROUTER.match(path[0]) and path[1:] in ((), (FAMILY,)) and _target(line) in members:
            continue
        if line and _top_owner(line, path, group):
            continue
        kept.append(raw)
    return kept


def _insert_peers(text: Sequence[str], as_number: int, lines: Sequence[str], family: Sequence[str]) -> list[str]:
    """Put the neighbour lines into ``router bgp``, before its first address family, and the rest into that family."""
    located = list(_with_context("\n".join(text)))
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


@dataclass(frozen=True)
class Session:
    """A session as the switch sees it. ``uptime`` is in seconds since it was established, 0 when it is not."""

    neighbour: str
    state: str
    remote_as: int
    prefixes_received: int
    uptime: float

    @property
    def established(self) -> bool:
        return self.state == "Established"


def sessions_of(summary: str, wanted: Wanted) -> tuple[Session, ...]:
    """Our sessions in the output of ``show bgp ipv4 unicast summary json``; one that is not there is ``Missing``."""
    try:
        peers = json.loads(summary or "{}").get("peers", {})
    except ValueError:
        peers = {}
    found = []
    for neighbour in wanted.neighbours:
        peer = peers.get(str(neighbour.address), {})
        found.append(
            Session(
                str(neighbour.address),
                str(peer.get("state", "Missing")),
                neighbour.remote_as,
                int(peer.get("pfxRcd", 0)),
                float(peer.get("peerUptimeMsec", 0)) / 1000,
            )
        )
    return tuple(found)
