# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What confd, BIRD and switches make of Calico's objects: a simulation, no router runs.

The rules are those of confd 3.31 (``bird.cfg.template``, ``updatePeersV1``), of BIRD 1.6 and of the lab (domain facts
A4, A5, B1; lab facts, "Import filter or black hole"):

- a node with a cluster id has no mesh session and nobody has one with it; BGPPeers between nodes hold in both
  directions; a peer of the own AS whose cluster id is another or none is a client;
- BIRD restarts a session when anything but its filters changes; a session comes up when both ends have it;
- a route from a client goes to all, one from another reflector to clients, none twice through a cluster;
- a reflector passes no outside prefix on, and a switch takes what its lists let in, with the owner as the next hop
  where that is kept;
- BIRD marks a route unreachable whose next hop lies behind another BGP route.

Where BIRD may be more lenient the stricter rule is taken: a cluster's id is never accepted back, also between two
reflectors of one id.
"""

from __future__ import annotations

import functools
import json
import re
from base64 import b64decode
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from ansible_collections.hybridk8s.estate.plugins.module_utils._bgp import objects
from ansible_collections.hybridk8s.estate.plugins.module_utils._estate.derive import RACK_LABEL

MESH, NODE_PEER = "NodeMesh", "NodePeer"
_TERM = re.compile(r"(\S+) (==|!=) '([^']*)'|(!?)has\((\S+)\)|all\(\)")
# What of a BGPPeer does not restart a session.
_SOFT = frozenset({"nodeSelector", "peerSelector", "peerIP", "filters", "reversePeering"})

_address = functools.cache(IPv4Address)
_network = functools.cache(IPv4Network)

# Two nodes in the order of their names, or a node and the address of a switch.
Ident = tuple[str, str]


@dataclass(frozen=True)
class Half:
    """One end of a session as confd renders it; ``settings`` is what else restarts it when it changes."""

    kind: str
    local_as: int
    remote_as: int
    client: bool = False
    cluster_id: str = ""
    keeps_next_hop: bool = False
    password: str = ""
    settings: str = ""
    filters: tuple[str, ...] = ()

    @property
    def hard(self) -> tuple[object, ...]:
        """What restarts the session when it changes."""
        cluster_id = self.cluster_id if self.client else ""
        return self.kind, self.local_as, self.remote_as, self.client, cluster_id, self.password, self.settings


@dataclass
class Switch:
    """A switch with a leg in ``rack``. ``neighbours`` maps addresses to AS numbers and passwords, ``takes`` are
    prefixes with the lengths inside them. It announces what ``gives`` has, and what it ``leaks``; of more prefixes than
    ``max_prefix`` it takes none."""

    name: str
    address: str
    rack: str
    as_number: int
    neighbours: dict[str, tuple[int, str]] = field(default_factory=dict)
    takes: tuple[tuple[IPv4Network, int, int], ...] = ()
    gives: tuple[IPv4Network, ...] = ()
    max_prefix: int = 0
    leaks: tuple[IPv4Network, ...] = ()

    def configure(self, side: Mapping[str, Any], prune: bool = True) -> None:
        """Our part of its configuration, as module ``frr_bgp`` gets it."""
        self.as_number = side["as_number"]
        former = {} if prune else self.neighbours
        wanted = {entry["address"]: (entry["remote_as"], entry.get("password", "")) for entry in side["neighbours"]}
        self.neighbours = {**former, **wanted}
        self.takes = tuple(
            (IPv4Network(entry["prefix"]), entry.get("ge", 0), entry.get("le", 32)) for entry in side["import_prefixes"]
        )
        self.gives = tuple(IPv4Network(entry["prefix"]) for entry in side["export_prefixes"])
        self.max_prefix = side["max_prefix"]

    def lets_in(self, prefix: IPv4Network) -> bool:
        return any(prefix.subnet_of(network) and ge <= prefix.prefixlen <= le for network, ge, le in self.takes)


class Network:
    """The routers of a cluster and its switches. ``store`` and ``nodes`` are what the API holds; :meth:`update` has the
    routers see it, and after that :attr:`up`, :attr:`paths` and :attr:`outside` are as they are at this ``tick``.

    ``paths`` are pairs of a node and another one whose blocks it reaches, ``outside`` blocks that are reached from
    there. ``delay`` is how many ticks a session takes to come up; sessions of ``broken`` (two names, or a name and a
    switch's address) never do, but for those of the mesh. Routes of ``hidden`` lead nowhere, whatever the reason.
    """

    def __init__(
        self,
        store: Mapping[str, Mapping[str, objects.Object]],
        nodes: Mapping[str, objects.Object],
        delay: Callable[[Ident], int],
    ) -> None:
        self.store = store
        self.nodes = nodes
        self.delay = delay
        self.tick = 0
        self.addresses: dict[str, str] = {}
        self.blocks: dict[str, tuple[str, ...]] = {}
        self.subnets: dict[str, IPv4Network] = {}
        self.switches: dict[str, Switch] = {}
        self.broken: Collection[frozenset[str]] = frozenset()
        self.hidden: Collection[tuple[str, str]] = frozenset()
        self.halves: dict[tuple[str, str], Half] = {}
        self.since: dict[Ident, tuple[object, int]] = {}
        self.up: frozenset[Ident] = frozenset()
        self.over_mesh: frozenset[tuple[str, str]] = frozenset()
        self.over_peers: frozenset[tuple[str, str]] = frozenset()
        self.paths: frozenset[tuple[str, str]] = frozenset()
        self.black_holes: frozenset[tuple[str, str]] = frozenset()
        self.foreign: dict[str, frozenset[IPv4Network]] = {}
        self.outside: frozenset[str] = frozenset()

    def alive(self, name: str) -> bool:
        return name in self.nodes and self.nodes[name]["status"]["conditions"][0]["status"] != "Unknown"

    def cluster_id(self, name: str) -> str:
        return str(self.nodes[name]["metadata"]["annotations"].get(objects.CLUSTER_ID_ANNOTATION, ""))

    def update(self, render: bool = True) -> None:
        """Render, unless nothing was written, restart what changed, and see what is up and who has which routes."""
        if render:
            self.halves = self._rendered()
        self._names = {address: name for name, address in self.addresses.items() if name in self.nodes}
        configured = dict(self._configured())
        self.since = {
            ident: found if (found := self.since.get(ident)) and found[0] == signature else (signature, self.tick)
            for ident, signature in configured.items()
        }
        self.up = frozenset(ident for ident, (_signature, tick) in self.since.items() if self._is_up(ident, tick))
        self._route()

    def state(self, name: str, peer: str) -> str:
        """What a node says of its session with an address."""
        return "Established" if self._ident(name, peer) in self.up else "Active"

    # Sessions.

    def _rendered(self) -> dict[tuple[str, str], Half]:
        found: dict[tuple[str, str], Half] = {}
        peers = [peer["spec"] for _name, peer in sorted(self.store[objects.PEERS].items())]
        hard = {id(spec): _hard(spec) for spec in peers}
        for spec in peers:
            for name in self._selected(spec["nodeSelector"]):
                if "peerIP" in spec:
                    half = self._half(NODE_PEER, name, spec["asNumber"], "", spec, hard[id(spec)])
                    found.setdefault((name, spec["peerIP"]), half)
        explicit = [(spec["nodeSelector"], spec["peerSelector"], spec) for spec in peers if "peerSelector" in spec]
        implied = [(there, here, spec) for here, there, spec in explicit if spec.get("reversePeering") != "Manual"]
        for here, there, spec in (*explicit, *implied):
            others = self._selected(there)
            for name in self._selected(here):
                for other in others:
                    if other != name:
                        key = name, self.addresses[other]
                        if key not in found:
                            cluster_id = self.cluster_id(other)
                            found[key] = self._half(
                                NODE_PEER, name, self._number(other), cluster_id, spec, hard[id(spec)]
                            )
        if self.mesh:
            plain = [name for name in self.nodes if not self.cluster_id(name)]
            for name in plain:
                for other in plain:
                    if other != name:
                        half = self._half(MESH, name, self._number(other), "", {})
                        found.setdefault((name, self.addresses[other]), half)
        return found

    def _half(
        self, kind: str, name: str, remote_as: int, peer_cluster_id: str, spec: Mapping[str, Any], settings: str = ""
    ) -> Half:
        own = self.cluster_id(name)
        number = self._number(name)
        return Half(
            kind,
            number,
            remote_as,
            client=bool(own) and remote_as == number and peer_cluster_id != own,
            cluster_id=own,
            keeps_next_hop=spec.get("nextHopMode") == "Keep" or spec.get("keepOriginalNextHop") is True,
            password=self._password(spec),
            settings=settings,
            filters=tuple(spec.get("filters") or ()),
        )

    def _password(self, spec: Mapping[str, Any]) -> str:
        """The password that confd writes: none where it cannot read the Secret."""
        if "password" not in spec:
            return ""
        name, key = (spec["password"]["secretKeyRef"][field] for field in ("name", "key"))
        if not all(name in self.store[resource] for resource in objects.NAMESPACED_KINDS):
            return ""
        return b64decode(self.store[objects.SECRETS][name]["data"].get(key, "")).decode()

    @property
    def mesh(self) -> bool:
        return self._configuration.get("nodeToNodeMeshEnabled") is not False

    @property
    def _configuration(self) -> Mapping[str, Any]:
        spec: Mapping[str, Any] = self.store[objects.CONFIGURATIONS].get("default", {}).get("spec") or {}
        return spec

    def _number(self, name: str) -> int:
        annotations = self.nodes[name]["metadata"]["annotations"]
        return int(annotations.get("projectcalico.org/ASNumber") or self._configuration.get("asNumber") or 64512)

    def _selected(self, selector: str) -> list[str]:
        return [name for name, node in self.nodes.items() if selects(selector, node["metadata"].get("labels") or {})]

    def _ident(self, name: str, peer: str) -> Ident:
        other = self._names.get(peer)
        if other is None:
            return name, peer
        return (name, other) if name < other else (other, name)

    def _configured(self) -> Iterator[tuple[Ident, object]]:
        """Sessions whose ends agree, with what restarts them."""
        for (name, peer), half in self.halves.items():
            other = self._names.get(peer)
            if other is None:
                switch = self.switches.get(peer)
                known = switch.neighbours.get(self.addresses[name]) if switch else None
                if switch and known == (half.local_as, half.password) and half.remote_as == switch.as_number:
                    yield (name, peer), (half.hard, self.alive(name))
                continue
            back = self.halves.get((other, self.addresses[name]))
            if name < other and back and (half.remote_as, half.local_as) == (back.local_as, back.remote_as):
                yield (name, other), (half.hard, back.hard, self.alive(name), self.alive(other))

    def _is_up(self, ident: Ident, since: int) -> bool:
        alive = all(self.alive(name) for name in ident if name in self.nodes)
        broken = frozenset(ident) in self.broken and self._half_of(ident).kind != MESH
        return alive and not broken and self.tick - since >= self.delay(ident)

    def _half_of(self, ident: Ident) -> Half:
        return self.halves[ident[0], self.addresses.get(ident[1], ident[1])]

    # Routes.

    def _route(self) -> None:
        between = [ident for ident in self.up if ident[1] in self.nodes]
        directed = [pair for one, other in between for pair in ((one, other), (other, one))]
        halves = {pair: self.halves[pair[0], self.addresses[pair[1]]] for pair in directed}
        self.over_mesh = frozenset(pair for pair, half in halves.items() if half.kind == MESH)
        clients = frozenset((*pair, half.client) for pair, half in halves.items() if half.kind != MESH)
        self.over_peers = reflected(clients, frozenset((name, self.cluster_id(name)) for name in self.nodes))
        self._learn_foreign()
        reached = self.over_mesh | self.over_peers
        self.black_holes = frozenset(pair for pair in reached if pair in self.hidden or self._behind_bgp(*pair))
        self.paths = reached - self.black_holes
        self.outside = frozenset(self._seen_outside())

    def _learn_foreign(self) -> None:
        found: dict[str, set[IPv4Network]] = {}
        for name, peer in self.up:
            switch = self.switches.get(peer)
            if switch:
                offered = {*switch.gives, *switch.leaks}
                found.setdefault(name, set()).update(p for p in offered if self._imports(self.halves[name, peer], p))
        self.foreign = {name: frozenset(prefixes) for name, prefixes in found.items()}

    def _behind_bgp(self, name: str, owner: str) -> bool:
        """The longest match of the next hop is a BGP route; that of the own rack is connected and wins a tie."""
        foreign = self.foreign.get(name)
        if not foreign:
            return False
        hop = _address(self.addresses[owner])
        longest = max((p.prefixlen for p in foreign if hop in p), default=-1)
        connected = self.subnets.get(self._rack(name))
        return longest > (connected.prefixlen if connected and hop in connected else -1)

    def _rack(self, name: str) -> str:
        return str((self.nodes[name]["metadata"].get("labels") or {}).get(RACK_LABEL, ""))

    def _seen_outside(self) -> Iterator[str]:
        """Blocks to which a switch has a route whose next hop delivers."""
        for name, peer in self.up:
            switch = self.switches.get(peer)
            if not switch:
                continue
            half = self.halves[name, peer]
            owners = [name, *(owner for one, owner in self.paths if one == name)]
            offered = [(block, owner) for owner in owners for block in self.blocks.get(owner, ())]
            taken = [(block, owner) for block, owner in offered if self._passes_to(half, switch, block)]
            if switch.max_prefix and len(taken) > switch.max_prefix:
                continue
            for block, owner in taken:
                hop = owner if half.keeps_next_hop else name
                if self.alive(hop) and (hop == owner or (hop, owner) in self.paths):
                    yield block

    def _passes_to(self, half: Half, switch: Switch, block: str) -> bool:
        prefix = _network(block)
        return self._exports(half, prefix) and switch.lets_in(prefix)

    def _imports(self, half: Half, prefix: IPv4Network) -> bool:
        verdict = self._filtered(half, "importV4", prefix)
        return verdict is not False

    def _exports(self, half: Half, prefix: IPv4Network) -> bool:
        verdict = self._filtered(half, "exportV4", prefix)
        if verdict is not None:
            return verdict
        pools = [pool["spec"] for pool in self.store[objects.POOLS].values()]
        return any(prefix.subnet_of(_network(p["cidr"])) and not p.get("disableBGPExport") for p in pools)

    def _filtered(self, half: Half, direction: str, prefix: IPv4Network) -> bool | None:
        """confd leaves a filter out that is not there."""
        for name in half.filters:
            rules = self.store[objects.FILTERS].get(name, {}).get("spec", {}).get(direction) or ()
            for rule in rules:
                if matches(rule, prefix):
                    return bool(rule["action"] == "Accept")
        return None

    def report(self, name: str) -> dict[str, Any]:
        """The status that calico-node writes of itself."""
        peers = [
            {"peerIP": peer, "type": half.kind, "state": self.state(name, peer)}
            for (one, peer), half in sorted(self.halves.items())
            if one == name
        ]
        routes = [_route(block, "Static", "blackhole") for block in self.blocks.get(name, ())]
        for source, pairs in ((MESH, self.over_mesh), ("BGPPeer", self.over_peers)):
            for owner in sorted(owner for one, owner in pairs if one == name):
                interface = "unreachable" if (name, owner) in self.black_holes else "eth0"
                routes += [_route(block, source, interface) for block in self.blocks.get(owner, ())]
        routes += [_route(str(prefix), "BGPPeer", "eth0") for prefix in sorted(self.foreign.get(name, ()))]
        return {"lastUpdated": f"tick {self.tick}", "bgp": {"peersV4": peers}, "routes": {"routesV4": routes}}


def _hard(spec: Mapping[str, Any]) -> str:
    return json.dumps({key: value for key, value in spec.items() if key not in _SOFT}, sort_keys=True)


def _route(destination: str, source: str, interface: str) -> dict[str, Any]:
    return {
        "destination": destination,
        "interface": interface,
        "type": "FIB",
        "learnedFrom": {"sourceType": source},
    }


@functools.lru_cache(maxsize=8192)
def reflected(
    sessions: frozenset[tuple[str, str, bool]], ids: frozenset[tuple[str, str]]
) -> frozenset[tuple[str, str]]:
    """Who has a route to whose blocks. ``sessions`` are (node, peer, whether the peer is the node's client)."""
    cluster = dict(ids)
    clients = {(node, peer): client for node, peer, client in sessions}
    peers: dict[str, list[str]] = {}
    for node, peer in clients:
        peers.setdefault(node, []).append(peer)
    found: set[tuple[str, str]] = set()
    for origin, first in peers.items():
        seen: set[tuple[str, bool, frozenset[str]]] = set()
        arrivals = [(peer, origin, frozenset[str]()) for peer in first]
        for node, sender, passed in arrivals:
            if node == origin or cluster[node] in passed:
                continue
            found.add((node, origin))
            of_client = clients[node, sender]
            if not cluster[node] or (node, of_client, passed) in seen:
                continue
            seen.add((node, of_client, passed))
            onward = passed | {cluster[node]}
            arrivals += [
                (peer, node, onward) for peer in peers[node] if peer != sender and (of_client or clients[node, peer])
            ]
    return frozenset(found)


def selects(selector: str, labels: Mapping[str, str]) -> bool:
    """Calico's selector language, as far as our peers use it."""
    return all(
        (labels.get(key) == value) == (operator == "==") if key else not name or (name in labels) == (not negated)
        for key, operator, value, negated, name in _terms(selector)
    )


@functools.cache
def _terms(selector: str) -> Sequence[tuple[str, ...]]:
    found = [_TERM.fullmatch(term) for term in selector.split(" && ")]
    assert all(found), selector
    return [tuple(part or "" for part in term.groups()) for term in found if term]


def matches(rule: Mapping[str, Any], prefix: IPv4Network) -> bool:
    """Whether a rule of a BGPFilter is for this prefix."""
    length = rule.get("prefixLength") or {}
    if not length.get("min", 0) <= prefix.prefixlen <= length.get("max", 32):
        return False
    if "cidr" not in rule:
        return True
    network = _network(rule["cidr"])
    inside, equal = prefix.subnet_of(network), prefix == network
    return bool({"In": inside, "NotIn": not inside, "Equal": equal, "NotEqual": not equal}[rule["matchOperator"]])
