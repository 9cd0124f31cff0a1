# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the API and the routers say, and the sessions that a topology asks for; private to this collection."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network

from ansible_collections.hybridk8s.estate.plugins.module_utils._bgp.objects import USUAL_CALICO, Calico, Object
from ansible_collections.hybridk8s.estate.plugins.module_utils._bgp.topology import Session, Speaker, Topology

ESTABLISHED = "Established"
NO_SESSION = "no such session"
NO_REPORT = "nothing yet"


@dataclass(frozen=True)
class Node:
    """A Kubernetes node. ``ready`` is the status of its Ready condition: True, False or Unknown."""

    name: str
    ready: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    schedulable: bool = True


@dataclass(frozen=True)
class Report:
    """What a node says of itself in its CalicoNodeStatus.

    ``peers`` and ``mesh`` are session states by the peer's address, of configured peers and of the mesh. ``blocks`` are
    the pod blocks it owns, ``learned`` the prefixes it has from configured peers, ``unreachable`` those of them that it
    has put into its routing table as unreachable. ``routes`` is False when it was not asked for routes.
    ``received`` counts the prefixes from each peer, by its address. ``updated`` is the node's own time of the report.
    """

    peers: Mapping[str, str]
    mesh: Mapping[str, str]
    blocks: frozenset[str] = frozenset()
    learned: frozenset[str] = frozenset()
    unreachable: frozenset[str] = frozenset()
    routes: bool = False
    received: Mapping[str, int] = field(default_factory=dict)
    updated: str = ""


@dataclass(frozen=True)
class Observed:
    """What the API holds: Calico's objects by resource and name, nodes, and the reports of nodes that made one."""

    objects: Mapping[str, Mapping[str, Object]]
    nodes: Mapping[str, Node]
    reports: Mapping[str, Report]
    calico: Calico = USUAL_CALICO


@dataclass(frozen=True)
class Link:
    """A session that a gate waits for, as ``node`` sees it. ``peer`` is a node, or a switch when ``to_switch``."""

    node: str
    node_address: str
    node_as: int
    peer: str
    peer_address: str
    peer_as: int
    to_switch: bool = False
    mesh: bool = False

    def reversed(self) -> Link:
        """The same session as the peer sees it."""
        return Link(
            self.peer, self.peer_address, self.peer_as, self.node, self.node_address, self.node_as, mesh=self.mesh
        )


def node_of(found: Object) -> Node:
    """A Kubernetes Node reduced to what matters here."""
    metadata = found["metadata"]
    conditions = {c["type"]: c["status"] for c in found.get("status", {}).get("conditions") or ()}
    return Node(
        name=metadata["name"],
        ready=conditions.get("Ready", "Unknown"),
        labels=metadata.get("labels") or {},
        annotations=metadata.get("annotations") or {},
        schedulable=not found.get("spec", {}).get("unschedulable", False),
    )


def report_of(found: Object) -> Report | None:
    """A CalicoNodeStatus reduced to what matters here; None when its node has not filled it yet."""
    status = found.get("status") or {}
    if not status.get("lastUpdated"):
        return None
    peers = (status.get("bgp") or {}).get("peersV4") or []
    routes = (status.get("routes") or {}).get("routesV4") or []
    sources = [route.get("learnedFrom") or {} for route in routes]
    learned = [route for route, source in zip(routes, sources) if source.get("sourceType") == "BGPPeer"]
    return Report(
        peers={peer.get("peerIP", ""): peer.get("state", "") for peer in peers if peer.get("type") != "NodeMesh"},
        mesh={peer.get("peerIP", ""): peer.get("state", "") for peer in peers if peer.get("type") == "NodeMesh"},
        # Calico holds every block of a node as a black hole, beneath which the pods' own routes lie.
        blocks=frozenset(
            route.get("destination", "")
            for route, source in zip(routes, sources)
            if source.get("sourceType") == "Static" and route.get("interface") == "blackhole"
        ),
        learned=frozenset(route.get("destination", "") for route in learned),
        unreachable=frozenset(
            route.get("destination", "")
            for route in learned
            if route.get("interface") == "unreachable" and route.get("type") == "FIB"
        ),
        routes="Routes" in (found.get("spec", {}).get("classes") or ()),
        received=Counter(source["peerIP"] for source in sources if source.get("peerIP")),
        updated=status["lastUpdated"],
    )


def reflector_links(topology: Topology, reflectors: Sequence[Speaker]) -> Iterator[Link]:
    """The sessions of every speaker with each of ``reflectors``."""
    for speaker in topology.speakers:
        for reflector in reflectors:
            if reflector.name != speaker.name:
                yield node_link(topology.as_number, speaker.name, str(speaker.address), reflector)


def node_link(as_number: int, name: str, address: str, peer: Speaker, mesh: bool = False) -> Link:
    """A node's session with another one."""
    return Link(name, address, as_number, peer.name, str(peer.address), as_number, mesh=mesh)


def mesh_links(topology: Topology, without: Sequence[str] = ()) -> Iterator[Link]:
    """The sessions of every speaker with every other one, but for those in ``without``."""
    members = [speaker for speaker in topology.speakers if speaker.name not in without]
    for speaker in members:
        for other in members:
            if other != speaker:
                yield node_link(topology.as_number, speaker.name, str(speaker.address), other, mesh=True)


def switch_link(session: Session) -> Link:
    """A reflector's session with a switch."""
    return Link(
        session.node,
        str(session.node_address),
        session.node_as,
        session.switch,
        str(session.switch_address),
        session.switch_as,
        to_switch=True,
    )


def state_of(link: Link, observed: Observed) -> str:
    """What the link's node says of the session."""
    report = observed.reports.get(link.node)
    if report is None:
        return NO_REPORT
    return (report.mesh if link.mesh else report.peers).get(link.peer_address) or NO_SESSION


def missing_routes(topology: Topology, observed: Observed, names: Sequence[str]) -> list[str]:
    """Pod blocks to which these nodes have no route by BGP, or one that leads nowhere, in words."""
    networks = [pool.cidr for pool in topology.pools]
    reports = {name: observed.reports[name] for name in names if name in observed.reports}
    owner = {block: name for name, report in reports.items() for block in report.blocks if _within(block, networks)}
    missing = []
    for name, report in reports.items():
        if not report.routes:
            continue
        for block in sorted(set(owner) - report.blocks - report.learned):
            missing.append(f"{name} has no route to {block} of {owner[block]} from a reflector")
        for block in sorted(report.unreachable & set(owner)):
            hidden = "its next hop is hidden behind another BGP route"
            missing.append(f"{name} holds {block} of {owner[block]} as unreachable: {hidden}")
    return missing


def _within(block: str, networks: Sequence[IPv4Network]) -> bool:
    try:
        network = IPv4Network(block)
    except ValueError:
        return False
    return any(network.subnet_of(pool) for pool in networks)
