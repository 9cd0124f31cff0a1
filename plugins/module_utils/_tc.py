# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One limit for all that a host sends over a dedicated line: what traffic control is, shall be, and what must change.

Private to this collection. Each interface that leads to the line hands over, before its own queues, the packets that
are meant for the other end; one device takes those of all interfaces, holds them to the limit and gives them back.
So a host with several network interfaces has one limit and not one each, everything else keeps the queues that it had
(a root qdisc would take the queues of a multiqueue card away), and taking the limit off leaves nothing behind.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import os
import re
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.hybridk8s.estate.plugins.module_utils._findings import Finding
from ansible_collections.hybridk8s.estate.plugins.module_utils._host_base import Host, HostError, problem
from ansible_collections.hybridk8s.estate.plugins.module_utils._plan import Step

DEVICE = "estate-line"
ROOT, TOTAL, CONTROL, BULK = "1:", "1:1", "1:10", "1:20"
CLASS_NAMES = {CONTROL: "control", BULK: "bulk"}
PREFERENCES = (10, 11)
"""A set of filters is replaced by its successor at the other preference, so that none is ever missing."""
BULK_QUEUE_SECONDS = 0.05
BURST_SECONDS = 0.004
LEAST_BURST = 16_000
QUANTUM = 60_000
CONTROL_QUEUE = 1000
RECORD = "/run/hybridk8s/egress_limit.json"
TUNNELS = frozenset({"vxlan", "geneve", "gre", "gretap", "ip6gre", "ip6tnl", "ipip", "sit", "wireguard"})
"""What leaves by these leaves again, wrapped up, by a real interface; it is counted there."""
COMMAND_SECONDS = 30.0
NO_WAY = "line-unreachable"
"""The code of the finding that no interface leads to the line, or none yet."""
PROTOCOLS = {"icmp": 1, "tcp": 6, "udp": 17}

_CLASS = re.compile(r"^class htb (?P<id>\S+) (?P<of>.*?)rate (?P<rate>\S+) ceil (?P<ceil>\S+)")
_SENT = re.compile(r"Sent (\d+) bytes \d+ pkt \(dropped (\d+),")
_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}

Network = ipaddress.IPv4Network
Match = tuple[int, int, int]
"""Value, mask and offset of 32 bits in a packet's IP header and beyond."""
Command = tuple[str, ...]


@dataclass(frozen=True)
class ControlRule:
    """Traffic that goes first: a protocol, and with tcp or udp one port at either end."""

    protocol: str
    to_port: int = 0
    from_port: int = 0

    @property
    def matches(self) -> tuple[Match, ...]:
        """Its conditions. Only the first fragment of a packet has ports."""
        protocol = (PROTOCOLS[self.protocol] << 16, 0x00FF0000, 8)
        if not self.to_port and not self.from_port:
            return (protocol,)
        mask = (0xFFFF0000 if self.from_port else 0) | (0xFFFF if self.to_port else 0)
        return (0, 0x1FFF, 4), protocol, (self.from_port << 16 | self.to_port, mask, 20)


@dataclass(frozen=True)
class Limit:
    """What a host may send to the networks at the other end of the line. ``exempt`` networks are not behind it."""

    prefixes: tuple[Network, ...]
    limit_mbit: int
    control_mbit: int
    exempt: tuple[Network, ...] = ()
    control: tuple[ControlRule, ...] = ()

    @property
    def classes(self) -> dict[str, HtbClass]:
        """The classes that share the limit: control has its rate whatever bulk does, and each may use what is left."""
        whole = self.limit_mbit * 10**6
        control = self.control_mbit * 10**6
        return {
            TOTAL: HtbClass(whole, whole),
            CONTROL: HtbClass(control, whole, 0),
            BULK: HtbClass(whole - control, whole, 1),
        }

    @property
    def bulk_queue(self) -> int:
        """Bytes that may wait in the bulk class."""
        return max(int(self.limit_mbit * 10**6 / 8 * BULK_QUEUE_SECONDS), 64_000)

    @property
    def redirects(self) -> tuple[Filter, ...]:
        """The filters of each interface."""
        passed = tuple(Filter((_to(network),), "ffff:1") for network in self.exempt)
        return passed + tuple(Filter((_to(network),), redirect=DEVICE) for network in self.prefixes)

    @property
    def priorities(self) -> tuple[Filter, ...]:
        """The filters of the limiting device."""
        return tuple(Filter(rule.matches, CONTROL) for rule in self.control)

    def is_reached_by(self, route: Mapping[str, Any]) -> bool:
        """Whether a route of ``ip -j route`` is a way to the other end of the line."""
        if route.get("type", "unicast") != "unicast":
            return False
        to = ipaddress.IPv4Network("0.0.0.0/0" if route["dst"] == "default" else route["dst"])
        if any(to.subnet_of(network) for network in self.exempt):
            return False
        return any(to.overlaps(network) for network in self.prefixes)


@dataclass(frozen=True)
class HtbClass:
    """Rates in bits per second; of classes that want more than theirs, the one of lower ``priority`` gets it first."""

    rate: int
    ceil: int
    priority: int = 0

    @property
    def burst(self) -> int:
        """Bytes that may go at once, so that a timer that fires late does not cost rate."""
        return max(int(self.ceil / 8 * BURST_SECONDS), LEAST_BURST)

    def __str__(self) -> str:
        return f"{self.rate / 1e6:g} Mbit/s, up to {self.ceil / 1e6:g} Mbit/s"


@dataclass(frozen=True)
class Filter:
    """A u32 filter: what it matches, and the class that it puts it in or the device that it hands it to."""

    matches: tuple[Match, ...]
    flow: str = ""
    redirect: str = ""

    @property
    def arguments(self) -> Command:
        """What tc is told of it."""
        words = [
            word
            for value, mask, offset in self.matches
            for word in ("match", "u32", f"{value:#x}", f"{mask:#x}", "at", str(offset))
        ]
        if self.redirect:
            return (*words, "action", "mirred", "egress", "redirect", "dev", self.redirect)
        return (*words, "flowid", self.flow)


Filters = Mapping[int, tuple[Filter, ...]]
"""The filters at each preference, in their order. What is no u32 filter of one kind of ours counts as an empty one."""


@dataclass(frozen=True)
class Device:
    """The limiting device as it is."""

    kind: str
    up: bool = False
    root: Mapping[str, Any] = field(default_factory=dict)
    leaves: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    classes: Mapping[str, HtbClass] = field(default_factory=dict)
    filters: Filters = field(default_factory=dict)


@dataclass(frozen=True)
class Interface:
    """What is at an interface's way out: the kind of qdisc that filters hang on, and the filters."""

    hook: str = ""
    filters: Filters = field(default_factory=dict)
    incoming: bool = False
    """Whether filters hang on what comes in."""


@dataclass(frozen=True)
class Facts:
    """A host's traffic control, and its routes."""

    device: Device | None = None
    interfaces: Mapping[str, Interface] = field(default_factory=dict)
    routes: tuple[Mapping[str, Any], ...] = ()
    tunnels: frozenset[str] = frozenset()

    def leading_to(self, limit: Limit) -> list[str]:
        """The interfaces by which packets leave for the line, whatever rules choose among the routing tables."""
        ways = [
            way for route in self.routes if limit.is_reached_by(route) for way in (route, *route.get("nexthops", ()))
        ]
        names = {str(way["dev"]) for way in ways if "dev" in way}
        return sorted(names - self.tunnels - {DEVICE, "lo"})


@dataclass(frozen=True)
class Change:
    """One step and the commands that take it; ``otherwise`` is tried when a kernel refuses them."""

    step: Step
    commands: tuple[Command, ...]
    otherwise: tuple[Command, ...] = ()
    hook: str = ""
    """The interface that gets a qdisc of ours to hang filters on."""


@dataclass(frozen=True)
class Plan:
    """What must change, in the order that is safe."""

    changes: tuple[Change, ...] = ()
    findings: tuple[Finding, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def steps(self) -> tuple[Step, ...]:
        """What a person is told."""
        return tuple(change.step for change in self.changes)


@dataclass(frozen=True)
class Counters:
    """What a class has sent and thrown away since it was made."""

    sent_bytes: int
    dropped: int


def parse_limit(options: Mapping[str, Any]) -> Limit:
    """The limit that options ask for. Raises :class:`HostError` with everything that is wrong in them."""
    findings: list[Finding] = []
    prefixes = _networks(options, "prefixes", findings)
    exempt = _networks(options, "exempt", findings)
    limit_mbit, control_mbit = int(options["limit_mbit"]), int(options["control_mbit"])
    if not options["prefixes"]:
        findings.append(_wrong("prefixes", "no network is behind the line.", "name those of the data centre."))
    if limit_mbit < 1:
        findings.append(_wrong("limit_mbit", f"{limit_mbit} Mbit/s is no limit.", "write at least 2."))
    elif not 0 < control_mbit < limit_mbit:
        said = f"{control_mbit} of {limit_mbit} Mbit/s cannot be kept for control traffic."
        findings.append(_wrong("control_mbit", said, "leave something for it and for the rest: 0 < control < limit."))
    for network in prefixes:
        if any(network.subnet_of(other) for other in exempt):
            findings.append(_wrong("exempt", f"all of {network} is exempt.", "take it out of one of both."))
    rules = tuple(_control_rule(raw, f"control[{i}]", findings) for i, raw in enumerate(options.get("control") or ()))
    if findings:
        raise HostError(findings)
    return Limit(prefixes, limit_mbit, control_mbit, exempt, rules)


def plan(limit: Limit, facts: Facts) -> Plan:
    """What must change for the limit to hold. Nothing is handed to the device before it can give it back."""
    wanted = facts.leading_to(limit)
    findings = [*_device_findings(facts.device), *_hook_findings(wanted, facts)]
    if not wanted:
        findings.append(
            problem(
                NO_WAY,
                "prefixes",
                f"no route of this host leads to {_listed(limit.prefixes)}.",
                "correct the prefixes, or the host's routes.",
            )
        )
    changes = [*_device_changes(limit, facts.device)]
    for name in wanted:
        changes += _interface_changes(name, facts.interfaces.get(name, Interface()), limit.redirects)
    for name, interface in sorted(facts.interfaces.items()):
        if name not in wanted:
            changes += _let_go(name, interface, "no longer leads to the line")
    return Plan(tuple(changes), tuple(findings), tuple(_warnings(wanted, facts)))


def plan_removal(facts: Facts, hooks: Iterable[str]) -> Plan:
    """What must change for no limit to be. ``hooks`` are the interfaces whose qdisc for filters is of our making."""
    changes: list[Change] = []
    ours = set(hooks)
    for name, interface in sorted(facts.interfaces.items()):
        changes += _let_go(name, interface, "the limit is to be absent")
        alone = not interface.incoming and set(interface.filters) <= set(PREFERENCES)
        if name in ours and interface.hook == "clsact" and alone:
            step = Step("remove", f"{name} clsact", "nothing else uses it")
            changes.append(Change(step, (("tc", "qdisc", "del", "dev", name, "clsact"),)))
    if facts.device is not None and facts.device.kind == "ifb":
        step = Step("remove", DEVICE, "the limit is to be absent")
        changes.append(Change(step, (("ip", "link", "del", DEVICE),)))
    return Plan(tuple(changes))


def observe(host: Host) -> Facts:
    """Reads the host's routes and traffic control."""
    links = _json(host, "ip", "-j", "-d", "link", "show")
    kinds = {str(link["ifname"]): str(link.get("linkinfo", {}).get("info_kind", "")) for link in links}
    qdiscs = _json(host, "tc", "-j", "qdisc", "show")
    hooks = {str(q["dev"]): str(q["kind"]) for q in qdiscs if q["kind"] in ("clsact", "ingress")}
    interfaces = {}
    for name, kind in hooks.items():
        filters = _filters(host, name, "egress") if kind == "clsact" else {}
        interfaces[name] = Interface(kind, filters, kind == "clsact" and bool(_filters(host, name, "ingress")))
    return Facts(
        _observe_device(host, links, qdiscs),
        interfaces,
        tuple(_json(host, "ip", "-j", "-4", "route", "show", "table", "all")),
        frozenset(name for name, kind in kinds.items() if kind in TUNNELS),
    )


def apply(host: Host, changes: Sequence[Change]) -> None:
    """Takes the steps. Raises :class:`HostError` at the first that fails, with those taken before it."""
    for number, change in enumerate(changes):
        if change.hook:
            host.write_json(RECORD, {"hooks": sorted({*_recorded_hooks(host), change.hook})})
        refusal = _run(host, change.commands)
        if refusal and change.otherwise:
            refusal = _run(host, change.otherwise)
        if refusal:
            raise HostError([_refused(change.step, refusal)], [done.step for done in changes[:number]])


def removal(host: Host) -> Plan:
    """What must change on the host for no limit to be."""
    return plan_removal(observe(host), _recorded_hooks(host))


def remove(host: Host) -> Plan:
    """Takes the limit off. Raises :class:`HostError` like :func:`apply`."""
    done = removal(host)
    apply(host, done.changes)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(host.at(RECORD))
    return done


def counters(host: Host) -> dict[str, Counters]:
    """What each class has sent, by its name; empty when there is no limit."""
    ran = host.run(["tc", "-s", "class", "show", "dev", DEVICE], COMMAND_SECONDS)
    found = {}
    for block in re.split(r"^(?=class )", ran.out, flags=re.MULTILINE):
        head, sent = _CLASS.match(block), _SENT.search(block)
        if head and sent and head["id"] in CLASS_NAMES:
            found[CLASS_NAMES[head["id"]]] = Counters(int(sent[1]), int(sent[2]))
    return found


def limit_of(host: Host) -> int | None:
    """Bits per second that the host may send over the line, None when there is no limit."""
    total = _classes(host).get(TOTAL)
    return total.rate if total else None


def parse_classes(text: str) -> dict[str, HtbClass]:
    """The classes in what ``tc class show`` prints, by their number; it has no JSON for them everywhere."""
    found = {}
    for line in text.splitlines():
        match = _CLASS.match(line)
        if match:
            priority = re.search(r"prio (\d+)", match["of"])
            rates = _bits(match["rate"]), _bits(match["ceil"])
            found[match["id"]] = HtbClass(*rates, int(priority[1]) if priority else 0)
    return found


def parse_filters(text: str) -> dict[int, tuple[Filter, ...]]:
    """The filters in what ``tc -j filter show`` prints, which names a filter's ``match`` once for each of them."""
    found: dict[int, list[Filter]] = {}
    for entry in json.loads(text or "[]", object_pairs_hook=_pairs):
        preference, options = int(entry["pref"][0]), entry.get("options", [{}])[0]
        filters = found.setdefault(preference, [])
        if entry["kind"] != ["u32"] or entry["protocol"] != ["ip"]:
            filters.append(Filter(()))
        elif "match" in options:
            filters.append(_parse_filter(options))
    return {preference: tuple(filters) for preference, filters in found.items()}


def _networks(options: Mapping[str, Any], option: str, findings: list[Finding]) -> tuple[Network, ...]:
    networks = []
    for raw in options.get(option) or ():
        try:
            networks.append(Network(raw))
        except ValueError as error:
            findings.append(_wrong(option, f"{error}.", "write an IPv4 network such as 10.40.0.0/16."))
    return tuple(networks)


def _control_rule(raw: Mapping[str, Any], option: str, findings: list[Finding]) -> ControlRule:
    protocol, ports = str(raw["protocol"]), [int(raw.get(end) or 0) for end in ("to_port", "from_port")]
    if protocol not in PROTOCOLS:
        findings.append(_wrong(option, f"'{protocol}' is not known.", f"use one of {', '.join(PROTOCOLS)}."))
    if protocol == "icmp" and any(ports):
        findings.append(_wrong(option, "icmp has no ports.", "leave them out."))
    if not all(0 <= port <= 0xFFFF for port in ports):
        findings.append(_wrong(option, f"{max(ports)} is no port.", "write one of 1 to 65535."))
    return ControlRule(protocol, *ports)


def _wrong(variable: str, message: str, remedy: str) -> Finding:
    return problem("option", variable, message, remedy)


def _recorded_hooks(host: Host) -> list[str]:
    """The interfaces that got a qdisc for filters from us since the host was started."""
    return [str(name) for name in host.read_json(RECORD).get("hooks", [])]


def _pairs(pairs: Sequence[tuple[str, Any]]) -> dict[str, list[Any]]:
    grouped: dict[str, list[Any]] = {}
    for key, value in pairs:
        grouped.setdefault(key, []).extend(value if isinstance(value, list) else [value])
    return grouped


def _parse_filter(options: Mapping[str, list[Any]]) -> Filter:
    matches = tuple((int(m["value"][0], 16), int(m["mask"][0], 16), int(m["off"][0])) for m in options["match"])
    actions = options.get("actions", [])
    if not actions:
        return Filter(matches, flow=str(options.get("flowid", [""])[0]))
    target = actions[0].get("to_dev", [""])[0] if len(actions) == 1 else ""
    return Filter(matches, redirect=str(target))


def _observe_device(host: Host, links: Sequence[Mapping[str, Any]], qdiscs: Sequence[Any]) -> Device | None:
    link = next((link for link in links if link["ifname"] == DEVICE), None)
    if link is None:
        return None
    own = [qdisc for qdisc in qdiscs if qdisc["dev"] == DEVICE]
    root: Mapping[str, Any] = next((qdisc for qdisc in own if qdisc.get("root")), {})
    is_htb = root.get("kind") == "htb"
    return Device(
        str(link.get("linkinfo", {}).get("info_kind", "")),
        "UP" in link.get("flags", ()),
        root,
        {str(qdisc["parent"]): qdisc for qdisc in own if "parent" in qdisc},
        _classes(host) if is_htb else {},
        _filters(host, DEVICE, "parent", ROOT) if is_htb else {},
    )


def _classes(host: Host) -> dict[str, HtbClass]:
    return parse_classes(host.run(["tc", "class", "show", "dev", DEVICE], COMMAND_SECONDS).out)


def _filters(host: Host, name: str, *where: str) -> dict[int, tuple[Filter, ...]]:
    argv = ["tc", "-j", "filter", "show", "dev", name, *where]
    try:
        return parse_filters(host.run(argv, COMMAND_SECONDS).out.strip())
    except ValueError as error:
        raise HostError([_unreadable(argv)]) from error


def _json(host: Host, *argv: str) -> list[dict[str, Any]]:
    ran = host.run(argv, COMMAND_SECONDS)
    try:
        found = json.loads(ran.out.strip() or "[]")
    except ValueError as error:
        raise HostError([_unreadable(argv)]) from error
    if ran.rc != 0:
        raise HostError([_unreadable(argv, ran.said)])
    return [entry for entry in found if entry]


def _device_findings(device: Device | None) -> list[Finding]:
    if device is None or device.kind == "ifb":
        return []
    return [
        problem(
            "line-device",
            DEVICE,
            f"an interface of the kind {device.kind or 'hardware'} has the name {DEVICE}.",
            "give it another name: the limit needs this one.",
        )
    ]


def _hook_findings(wanted: Sequence[str], facts: Facts) -> list[Finding]:
    return [
        problem(
            "line-ingress",
            name,
            f"{name} has an ingress qdisc of others, which leaves no place for filters on what goes out.",
            f"have its owner use clsact instead, or remove it: tc qdisc del dev {name} ingress.",
        )
        for name in wanted
        if facts.interfaces.get(name, Interface()).hook == "ingress"
    ]


def _warnings(wanted: Sequence[str], facts: Facts) -> list[str]:
    before = {
        name: [p for p in facts.interfaces.get(name, Interface()).filters if p < PREFERENCES[0]] for name in wanted
    }
    return [
        f"{name} has filters of others at preference {', '.join(map(str, sorted(found)))}, before those of the limit: "
        "what they let pass is not limited."
        for name, found in before.items()
        if found
    ]


def _device_changes(limit: Limit, device: Device | None) -> list[Change]:
    changes = []
    if device is None:
        step = Step("make", DEVICE, f"all interfaces share the limit of {limit.limit_mbit} Mbit/s")
        changes.append(Change(step, (("ip", "link", "add", DEVICE, "type", "ifb"),)))
        device = Device("ifb")
    if not device.up:
        changes.append(Change(Step("raise", DEVICE, "is down"), (("ip", "link", "set", DEVICE, "up"),)))
    if not _is_our_root(device.root):
        step = Step("set", f"{DEVICE} htb", f"has {device.root.get('kind', 'no')} qdisc")
        command = _tc("qdisc", "replace", "root", "handle", ROOT, "htb", "default", BULK.rpartition(":")[2])
        changes.append(Change(step, (command,)))
        device = Device("ifb")
    for number, wanted in limit.classes.items():
        if device.classes.get(number) != wanted:
            changes.append(_class_change(number, wanted, device.classes.get(number)))
    changes += _leaf_changes(limit, device)
    return changes + _filter_changes(DEVICE, device.filters, limit.priorities, ("parent", ROOT), "priorities")


def _is_our_root(root: Mapping[str, Any]) -> bool:
    default = str(root.get("options", {}).get("default", "0"))
    return root.get("kind") == "htb" and root.get("handle") == ROOT and int(default, 16) == int(BULK[2:], 16)


def _class_change(number: str, wanted: HtbClass, found: HtbClass | None) -> Change:
    parent = ROOT if number == TOTAL else TOTAL
    burst = str(wanted.burst)
    command = _tc(
        *("class", "replace", "parent", parent, "classid", number, "htb"),
        *("rate", f"{wanted.rate}bit", "ceil", f"{wanted.ceil}bit", "prio", str(wanted.priority)),
        *("burst", burst, "cburst", burst, "quantum", str(QUANTUM)),
    )
    before, after = f"{found}\n" if found else "", f"{wanted}\n"
    target = f"{DEVICE} {CLASS_NAMES.get(number, 'limit')}"
    return Change(Step("set", target, str(wanted), before, after), (command,))


def _leaf_changes(limit: Limit, device: Device) -> list[Change]:
    changes = []
    control = device.leaves.get(CONTROL, {})
    if control.get("kind") != "pfifo" or control.get("options", {}).get("limit") != CONTROL_QUEUE:
        command = _tc("qdisc", "replace", "parent", CONTROL, "handle", "10:", "pfifo", "limit", str(CONTROL_QUEUE))
        changes.append(Change(Step("set", f"{DEVICE} control queue", f"{CONTROL_QUEUE} packets"), (command,)))
    bulk = device.leaves.get(BULK, {})
    fits = bulk.get("kind") == "bfifo" and bulk.get("options", {}).get("limit") == limit.bulk_queue
    if bulk.get("kind") != "fq_codel" and not fits:
        queue = ("qdisc", "replace", "parent", BULK, "handle", "20:")
        change = Change(
            Step("set", f"{DEVICE} bulk queue", "fq_codel, or where the kernel lacks it a short queue"),
            (_tc(*queue, "fq_codel"),),
            (_tc(*queue, "bfifo", "limit", str(limit.bulk_queue)),),
        )
        changes.append(change)
    return changes


def _interface_changes(name: str, interface: Interface, wanted: Sequence[Filter]) -> list[Change]:
    changes = []
    if interface.hook != "clsact":
        step = Step("add", f"{name} clsact", "filters on what goes out hang on it")
        changes.append(Change(step, (("tc", "qdisc", "add", "dev", name, "clsact"),), hook=name))
    return changes + _filter_changes(name, interface.filters, wanted, ("egress",), "way to the line")


def _filter_changes(
    name: str, found: Filters, wanted: Sequence[Filter], where: Sequence[str], what: str
) -> list[Change]:
    """The wanted set is made at the preference that is free and then what is at the other goes."""
    ours = _ours(found)
    first = next((preference for preference in ours if found[preference] == tuple(wanted)), 0)
    stale = [preference for preference in ours if preference != first]
    if not stale and (first or not wanted):
        return []
    commands: list[Command] = []
    if wanted and not first:
        # Where a killed run left both, the one that is looked at later gives way.
        free = next((preference for preference in PREFERENCES if preference not in ours), PREFERENCES[1])
        commands += [_delete(name, where, free)] if free in ours else []
        commands += [_add(name, where, free, each) for each in wanted]
        stale = [preference for preference in ours if preference != free]
    commands += [_delete(name, where, preference) for preference in stale]
    reason = f"{len(wanted)} filters" if not ours else "others than wanted are there"
    return [Change(Step("set", f"{name} {what}", reason), tuple(commands))]


def _let_go(name: str, interface: Interface, reason: str) -> list[Change]:
    ours = _ours(interface.filters)
    if name == DEVICE or not ours:
        return []
    commands = tuple(_delete(name, ("egress",), preference) for preference in ours)
    return [Change(Step("remove", f"{name} way to the line", reason), commands)]


def _ours(found: Filters) -> tuple[int, ...]:
    """The preferences at which filters of ours are."""
    return tuple(preference for preference in PREFERENCES if preference in found)


def _add(name: str, where: Sequence[str], preference: int, wanted: Filter) -> Command:
    at = ("tc", "filter", "add", "dev", name, *where, "protocol", "ip", "pref", str(preference))
    return (*at, "u32", *wanted.arguments)


def _delete(name: str, where: Sequence[str], preference: int) -> Command:
    return ("tc", "filter", "del", "dev", name, *where, "pref", str(preference))


def _tc(kind: str, verb: str, *arguments: str) -> Command:
    return ("tc", kind, verb, "dev", DEVICE, *arguments)


def _run(host: Host, commands: Sequence[Command]) -> str:
    """What the first command that fails says."""
    for command in commands:
        ran = host.run(command, COMMAND_SECONDS)
        if ran.rc != 0:
            return f"{' '.join(command)}: {ran.said or ran.rc}"
    return ""


def _refused(step: Step, refusal: str) -> Finding:
    return problem(
        "line-refused",
        step.target,
        f"cannot {step.action} {step.target}: {refusal}.",
        "see that the kernel has ifb, sch_htb, sch_ingress, cls_u32 and act_mirred (modprobe names what is missing); "
        "some distributions have them in a package of extra modules.",
    )


def _unreadable(argv: Sequence[str], said: str = "it is no JSON") -> Finding:
    return problem(
        "line-unreadable",
        " ".join(argv),
        f"what {' '.join(argv)} prints cannot be read: {said}.",
        "install iproute2 5.18 or later.",
    )


def _to(network: Network) -> Match:
    return struct.unpack("!I", network.network_address.packed)[0], int(network.netmask), 16


def _bits(rate: str) -> int:
    match = re.fullmatch(r"(\d+)([KMGT]?)bit", rate)
    return int(match[1]) * _UNITS[match[2]] if match else -1


def _listed(networks: Iterable[Network]) -> str:
    return ", ".join(map(str, networks))
