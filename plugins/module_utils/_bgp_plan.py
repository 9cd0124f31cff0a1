# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From the mesh to reflectors and switches, and back, without losing a path; private to this collection.

A plan is a row of writes and gates. It is made afresh of what is there, so a run that ended anywhere is resumed by the
next one. The order is that of Calico's documentation and of confd's source (domain facts A4):

1. filters, pools, status requests and the peers towards reflectors; nothing changes while no node is a reflector;
2. the reflectors: label and cluster id in one patch, as a node with only one of them has no sessions at all. The first
   one alone, then at most one a rack, each time until every node is in session with them;
3. the mesh goes off, once every node has every pod block from a reflector;
4. the reflectors' sessions with their switches;
5. what the inventory no longer has, in the opposite order.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Network
from typing import Any

from ansible_collections.hybridk8s.estate.plugins.module_utils import _bgp_objects as objects
from ansible_collections.hybridk8s.estate.plugins.module_utils._bgp import Session, Speaker, Topology, TopologyError
from ansible_collections.hybridk8s.estate.plugins.module_utils._bgp_objects import Object, Wanted
from ansible_collections.hybridk8s.estate.plugins.module_utils._plan import Step

DEFAULT_AS = 64512
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


@dataclass(frozen=True)
class Report:
    """What a node says of itself in its CalicoNodeStatus.

    ``peers`` and ``mesh`` are session states by the peer's address, of configured peers and of the mesh. ``blocks`` are
    the pod blocks it owns, ``learned`` the prefixes it has from configured peers, ``unreachable`` those of them that it
    has put into its routing table as unreachable. ``routes`` is False when it was not asked for routes.
    """

    peers: Mapping[str, str]
    mesh: Mapping[str, str]
    blocks: frozenset[str] = frozenset()
    learned: frozenset[str] = frozenset()
    unreachable: frozenset[str] = frozenset()
    routes: bool = False


@dataclass(frozen=True)
class Observed:
    """What the API holds: Calico's objects by resource and name, nodes, and the reports of nodes that made one."""

    objects: Mapping[str, Mapping[str, Object]]
    nodes: Mapping[str, Node]
    reports: Mapping[str, Report]
    next_hop_mode: bool = True


@dataclass(frozen=True)
class Write:
    """One request: ``verb`` is create, patch or delete."""

    verb: str
    resource: str
    name: str
    body: Mapping[str, Any]
    step: Step


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


@dataclass(frozen=True)
class Gate:
    """A state of the routers that must be seen before the next write.

    ``routes`` asks for the pod blocks too. ``undo`` gives back the path that the writes before this gate took, when it
    does not open.
    """

    name: str
    reason: str
    links: tuple[Link, ...]
    routes: bool = False
    undo: tuple[Write, ...] = ()


@dataclass(frozen=True)
class Plan:
    """Writes and gates in order, and what a person should know."""

    stages: tuple[Write | Gate, ...]
    warnings: tuple[str, ...] = ()

    @property
    def writes(self) -> tuple[Write, ...]:
        return tuple(stage for stage in self.stages if isinstance(stage, Write))


@dataclass(frozen=True)
class Verdict:
    """What still keeps a gate shut, and the nodes it does not wait for, with the reason."""

    unmet: tuple[str, ...]
    left_out: Mapping[str, str] = field(default_factory=dict)


def line_of(stage: Write | Gate) -> str:
    """A stage in one line."""
    if isinstance(stage, Gate):
        return f"wait for {stage.name} ({len(stage.links)} sessions): {stage.reason}"
    return f"{stage.step.action} {stage.step.target}: {stage.step.reason}"


def node_of(found: Object) -> Node:
    """A Kubernetes Node reduced to what matters here."""
    metadata = found["metadata"]
    conditions = {c["type"]: c["status"] for c in found.get("status", {}).get("conditions") or ()}
    return Node(
        name=metadata["name"],
        ready=conditions.get("Ready", "Unknown"),
        labels=metadata.get("labels") or {},
        annotations=metadata.get("annotations") or {},
    )


def report_of(found: Object) -> Report | None:
    """A CalicoNodeStatus reduced to what matters here; None when its node has not filled it yet."""
    status = found.get("status") or {}
    if not status.get("lastUpdated"):
        return None
    peers = (status.get("bgp") or {}).get("peersV4") or []
    routes = (status.get("routes") or {}).get("routesV4") or []
    learned = [route for route in routes if (route.get("learnedFrom") or {}).get("sourceType") == "BGPPeer"]
    return Report(
        peers={peer.get("peerIP", ""): peer.get("state", "") for peer in peers if peer.get("type") != "NodeMesh"},
        mesh={peer.get("peerIP", ""): peer.get("state", "") for peer in peers if peer.get("type") == "NodeMesh"},
        # Calico holds every block of a node as a black hole, beneath which the pods' own routes lie.
        blocks=frozenset(
            route.get("destination", "")
            for route in routes
            if (route.get("learnedFrom") or {}).get("sourceType") == "Static" and route.get("interface") == "blackhole"
        ),
        learned=frozenset(route.get("destination", "") for route in learned),
        unreachable=frozenset(
            route.get("destination", "")
            for route in learned
            if route.get("interface") == "unreachable" and route.get("type") == "FIB"
        ),
        routes="Routes" in (found.get("spec", {}).get("classes") or ()),
    )


def plan(
    topology: Topology, observed: Observed, nat_outgoing: bool = False, held_switches: Collection[str] = ()
) -> Plan:
    """The writes and gates from what is observed to the topology; raises :class:`TopologyError`.

    Sessions with ``held_switches`` stay as they are and are not waited for: the other end is not as the inventory says.
    """
    planner = _Planner(topology, observed, held_switches)
    stages = planner.towards_reflectors(nat_outgoing) if topology.reflectors else planner.towards_mesh(nat_outgoing)
    return Plan(tuple(stages), tuple(planner.warnings))


class _Planner:
    """The pieces of a plan; each method gives the stages of one piece."""

    def __init__(self, topology: Topology, observed: Observed, held_switches: Collection[str]) -> None:
        self.topology = topology
        self.observed = observed
        self.sessions = tuple(session for session in topology.sessions if session.switch not in held_switches)
        held = sorted({session.switch for session in topology.sessions} & set(held_switches))
        self.warnings = [
            f"{name} is not configured as the inventory says; its sessions stay as they are." for name in held
        ]

    def towards_reflectors(self, nat_outgoing: bool) -> Iterator[Write | Gate]:
        yield from self._foundation(nat_outgoing)
        yield from self._ensure(objects.node_peers(self.topology))
        yield from self._promotions()
        if self._mesh_is_on:
            yield self._mesh(on=False)
        # A switch that is held keeps its peer: the names of all are known, only those of the others are written.
        open_sessions = replace(self.topology, sessions=self.sessions)
        yield from self._ensure(objects.switch_peers(open_sessions, self.observed.next_hop_mode))
        yield self._everything()
        yield from self._stale_peers(of_switches=True)
        yield from self._demotions()
        yield from self._leftovers()

    def towards_mesh(self, nat_outgoing: bool) -> Iterator[Write | Gate]:
        yield from self._foundation(nat_outgoing)
        if not self._mesh_is_on:
            yield self._mesh(on=True)
            yield Gate(
                "mesh-is-up",
                "the reflectors are the old path; they go once the nodes are in session with each other",
                tuple(self._mesh_links(without=self._former)),
            )
        yield from self._stale_peers(of_switches=True)
        former = list(self._former)
        for number, name in enumerate(former):
            yield self._demotion(name)
            yield Gate(
                f"{name}-joined-the-mesh",
                "one reflector at a time leaves, so that the others still carry the rest",
                tuple(
                    link for link in self._mesh_links(without=former[number + 1 :]) if name in (link.node, link.peer)
                ),
            )
        yield from self._leftovers()

    def _foundation(self, nat_outgoing: bool) -> Iterator[Write]:
        yield from self._ensure(objects.filters(self.topology))
        yield from self._ensure(self._adopted(objects.pools(self.topology, nat_outgoing)))
        yield from self._configuration()
        yield from self._ensure(objects.statuses(self.topology))
        self._warn_of_strangers()

    def _found(self, resource: str) -> Mapping[str, Object]:
        return self.observed.objects.get(resource, {})

    def _ensure(self, wanted: Iterable[Wanted]) -> Iterator[Write]:
        for item in wanted:
            there = self._found(item.resource).get(item.name)
            if there is None:
                body = objects.manifest(item, self.topology.estate)
                step = Step("create", item.target, "the inventory has it", "", objects.text(item.spec))
                yield Write("create", item.resource, item.name, body, step)
                continue
            changes = objects.patch(item, there, self.topology.estate)
            if changes:
                before = {key: there.get("spec", {}).get(key) for key in changes.get("spec", {})}
                reason = "differs from the inventory" if before else "is ours from now on"
                after = objects.text(changes.get("spec"))
                yield Write(
                    "patch",
                    item.resource,
                    item.name,
                    changes,
                    Step("update", item.target, reason, objects.text(before), after),
                )

    def _adopted(self, pools: Iterable[Wanted]) -> Iterator[Wanted]:
        """Pools under the name of the one that has their network already, whoever made it: two would overlap."""
        for pool in pools:
            same = [
                found
                for found in self._found(objects.POOLS).values()
                if found.get("spec", {}).get("cidr") == pool.spec["cidr"]
            ]
            if not same:
                other = self._found(objects.POOLS).get(pool.name)
                if other:
                    raise TopologyError(
                        f"IPPool/{pool.name} has {other.get('spec', {}).get('cidr')}, the inventory says "
                        f"{pool.spec['cidr']}, and the network of a pool cannot be changed. Move its pods to another "
                        "pool and delete it, or put the network back into estate_networks.pods."
                    )
                yield pool
                continue
            size = same[0]["spec"].get("blockSize", pool.spec["blockSize"])
            if size != pool.spec["blockSize"]:
                name = same[0]["metadata"]["name"]
                raise TopologyError(
                    f"IPPool/{name} has blocks of /{size}, wanted are /{pool.spec['blockSize']}, and the block size of "
                    "a pool cannot be changed. Delete the pool when it is empty."
                )
            yield Wanted(pool.resource, same[0]["metadata"]["name"], pool.spec, pool.exact)

    def _configuration(self) -> Iterator[Write]:
        wanted = objects.configuration(self.topology)
        there = self._found(objects.CONFIGURATIONS).get(wanted.name)
        if there is None:
            # Created with the mesh as it is without it, so that turning it off is a step of its own.
            spec = {**wanted.spec, "nodeToNodeMeshEnabled": True}
            yield from self._ensure([Wanted(wanted.resource, wanted.name, spec, wanted.exact)])
            return
        number = (there.get("spec") or {}).get("asNumber")
        if (number or DEFAULT_AS) != self.topology.as_number:
            self.warnings.append(
                f"the cluster's AS number changes from {number or DEFAULT_AS} to {self.topology.as_number}: "
                "every BGP session starts anew."
            )
        yield from self._ensure([wanted])

    @property
    def _mesh_is_on(self) -> bool:
        there = self._found(objects.CONFIGURATIONS).get("default") or {}
        return (there.get("spec") or {}).get("nodeToNodeMeshEnabled") is not False

    def _mesh(self, on: bool) -> Write:
        # The other two are refused by newer schemas while the mesh is off, so they go in the same patch.
        off = {"nodeToNodeMeshEnabled": False, "nodeMeshPassword": None, "nodeMeshMaxRestartTime": None}
        spec: dict[str, Any] = {"nodeToNodeMeshEnabled": True} if on else off
        reason = "no reflector is left in the inventory" if on else "every node has its routes from the reflectors"
        before = objects.text({"nodeToNodeMeshEnabled": not on})
        step = Step("update", "BGPConfiguration/default", reason, before, objects.text({"nodeToNodeMeshEnabled": on}))
        return Write("patch", objects.CONFIGURATIONS, "default", {"spec": spec}, step)

    def _promotions(self) -> Iterator[Write | Gate]:
        nodes = self.observed.nodes
        for speaker in self.topology.reflectors:
            if speaker.name not in nodes:
                self.warnings.append(f"reflector {speaker.name} is no node of the cluster; a later run adds it.")
        present = [speaker for speaker in self.topology.reflectors if speaker.name in nodes]
        serving = [speaker for speaker in present if self._is_promoted(speaker)]
        for speaker in serving:
            yield from self._promotion(speaker)
        # The living first: the first one is waited for alone.
        waiting = sorted((s for s in present if s not in serving), key=lambda s: nodes[s.name].ready != "True")
        waves = _waves(waiting, canary=not serving)
        for wave in waves:
            for speaker in wave:
                yield from self._promotion(speaker)
            serving += wave
            if wave is waves[-1] and self._mesh_is_on:
                break  # the gate before the mesh goes off asks for more
            names = [speaker.name for speaker in wave]
            yield Gate(
                f"sessions-with-{'-and-'.join(names)}",
                f"{', '.join(names)} became a reflector; the next one follows once every node is in session with it",
                self._reflector_links(serving),
                undo=self._retreat(wave),
            )
        if self._mesh_is_on:
            yield Gate(
                "reflectors-carry-all-routes",
                "the mesh is the old path; it goes once every node has every pod block from a reflector",
                self._reflector_links(self.topology.reflectors),
                routes=True,
                undo=self._retreat(waves[-1] if waves else ()),
            )

    def _retreat(self, wave: Sequence[Speaker]) -> tuple[Write, ...]:
        """What makes the nodes of a wave again what they were."""
        nodes = [self.observed.nodes[speaker.name] for speaker in wave]
        return tuple(
            self._node_write(
                node,
                {objects.REFLECTOR_LABEL: node.labels.get(objects.REFLECTOR_LABEL)},
                {
                    key: node.annotations.get(key)
                    for key in (objects.CLUSTER_ID_ANNOTATION, objects.REFLECTOR_OF_ANNOTATION)
                },
                "put back",
                "the gate after its promotion did not open",
            )
            for node in nodes
        )

    def _is_promoted(self, speaker: Speaker) -> bool:
        node = self.observed.nodes[speaker.name]
        return node.labels.get(objects.REFLECTOR_LABEL) == "true" and node.annotations.get(
            objects.CLUSTER_ID_ANNOTATION
        ) == str(speaker.cluster_id)

    def _promotion(self, speaker: Speaker) -> Iterator[Write]:
        node = self.observed.nodes[speaker.name]
        if self._is_promoted(speaker) and node.annotations.get(objects.REFLECTOR_OF_ANNOTATION) == self.topology.estate:
            return
        yield self._node_write(
            node,
            {objects.REFLECTOR_LABEL: "true"},
            {
                objects.CLUSTER_ID_ANNOTATION: str(speaker.cluster_id),
                objects.REFLECTOR_OF_ANNOTATION: self.topology.estate,
            },
            "promote",
            "the inventory names it as a route reflector",
        )

    @property
    def _former(self) -> tuple[str, ...]:
        wanted = {speaker.name for speaker in self.topology.reflectors}
        return tuple(
            name
            for name, node in sorted(self.observed.nodes.items())
            if node.annotations.get(objects.REFLECTOR_OF_ANNOTATION) == self.topology.estate and name not in wanted
        )

    def _demotions(self) -> Iterator[Write | Gate]:
        members = {speaker.name for speaker in self.topology.speakers}
        for name in self._former:
            yield self._demotion(name)
            if name in members:
                links = self._reflector_links(self.topology.reflectors)
                yield Gate(
                    f"{name}-is-a-client",
                    "one reflector at a time leaves; the next follows once this one has its routes from the others",
                    tuple(link for link in links if link.node == name),
                    routes=True,
                )

    def _demotion(self, name: str) -> Write:
        return self._node_write(
            self.observed.nodes[name],
            {objects.REFLECTOR_LABEL: None},
            {objects.CLUSTER_ID_ANNOTATION: None, objects.REFLECTOR_OF_ANNOTATION: None},
            "demote",
            "the inventory no longer names it as a route reflector",
        )

    def _node_write(
        self,
        node: Node,
        labels: Mapping[str, str | None],
        annotations: Mapping[str, str | None],
        action: str,
        reason: str,
    ) -> Write:
        before = {
            "labels": {key: node.labels[key] for key in labels if key in node.labels},
            "annotations": {key: node.annotations[key] for key in annotations if key in node.annotations},
        }
        after = {
            "labels": {key: value for key, value in labels.items() if value},
            "annotations": {key: value for key, value in annotations.items() if value},
        }
        step = Step(action, f"Node/{node.name}", reason, objects.text(before), objects.text(after))
        body = {"metadata": {"labels": dict(labels), "annotations": dict(annotations)}}
        return Write("patch", objects.NODES, node.name, body, step)

    def _everything(self) -> Gate:
        return Gate(
            "all-sessions",
            "every session of the inventory is up and every node has every pod block",
            (*self._reflector_links(self.topology.reflectors), *map(switch_link, self.sessions)),
            routes=True,
        )

    def _reflector_links(self, reflectors: Sequence[Speaker]) -> tuple[Link, ...]:
        return tuple(reflector_links(self.topology, reflectors))

    def _mesh_links(self, without: Sequence[str]) -> Iterator[Link]:
        members = [speaker for speaker in self.topology.speakers if speaker.name not in without]
        for speaker in members:
            for other in members:
                if other != speaker:
                    yield _node_link(self.topology, speaker, other, mesh=True)

    def _stale(self, resource: str, wanted: Iterable[Wanted]) -> Iterator[tuple[str, Object]]:
        """What we made of a resource and the inventory no longer has."""
        kept = {item.name for item in wanted}
        for name, found in sorted(self._found(resource).items()):
            if name not in kept and objects.is_ours(found, self.topology.estate):
                yield name, found

    def _stale_peers(self, of_switches: bool) -> Iterator[Write]:
        wanted = objects.switch_peers(self.topology, True) if of_switches else objects.node_peers(self.topology)
        for name, found in self._stale(objects.PEERS, wanted):
            if ("peerIP" in found.get("spec", {})) == of_switches:
                yield _deletion(objects.PEERS, name, found)

    def _leftovers(self) -> Iterator[Write]:
        yield from self._stale_peers(of_switches=False)
        for resource, wanted in (
            (objects.FILTERS, objects.filters(self.topology)),
            (objects.STATUSES, objects.statuses(self.topology)),
        ):
            for name, found in self._stale(resource, wanted):
                yield _deletion(resource, name, found)
        networks = {str(pool.cidr) for pool in self.topology.pools}
        for name, found in self._stale(objects.POOLS, ()):
            spec = found.get("spec", {})
            if spec.get("cidr") in networks:
                continue
            self.warnings.append(
                f"IPPool/{name} ({spec.get('cidr')}) is no longer in the inventory. It gives out no new addresses; "
                "delete it by hand once no pod uses it."
            )
            if not spec.get("disabled"):
                reason = "the inventory no longer has it; pods may still use its addresses"
                step = Step("disable", f"IPPool/{name}", reason)
                yield Write("patch", objects.POOLS, name, {"spec": {"disabled": True}}, step)

    def _warn_of_strangers(self) -> None:
        for name, found in sorted(self._found(objects.PEERS).items()):
            if not objects.is_ours(found, self.topology.estate):
                self.warnings.append(f"BGPPeer/{name} is not ours and stays as it is.")
        wanted = {speaker.name for speaker in self.topology.reflectors}
        for name, node in sorted(self.observed.nodes.items()):
            marked = objects.REFLECTOR_OF_ANNOTATION in node.annotations
            if node.labels.get(objects.REFLECTOR_LABEL) == "true" and name not in wanted and not marked:
                self.warnings.append(
                    f"{name} carries the label {objects.REFLECTOR_LABEL}, but not from us: every node peers with it. "
                    "Add it to the group route_reflectors, or take the label off."
                )


def _deletion(resource: str, name: str, found: Object) -> Write:
    target = f"{objects.KINDS[resource]}/{name}"
    before = objects.text(found.get("spec"))
    return Write("delete", resource, name, {}, Step("delete", target, "the inventory no longer has it", before, ""))


def _waves(waiting: Sequence[Speaker], canary: bool) -> list[list[Speaker]]:
    """Who becomes a reflector together: never two of a rack, and the very first one alone."""
    rest = list(waiting)
    waves = [[rest.pop(0)]] if rest and canary else []
    while rest:
        wave: list[Speaker] = []
        for speaker in list(rest):
            if speaker.rack not in {taken.rack for taken in wave}:
                wave.append(speaker)
                rest.remove(speaker)
        waves.append(wave)
    return waves


def reflector_links(topology: Topology, reflectors: Sequence[Speaker]) -> Iterator[Link]:
    """The sessions of every speaker with each of ``reflectors``."""
    for speaker in topology.speakers:
        for reflector in reflectors:
            if reflector.name != speaker.name:
                yield _node_link(topology, speaker, reflector)


def _node_link(topology: Topology, speaker: Speaker, peer: Speaker, mesh: bool = False) -> Link:
    return Link(
        speaker.name,
        str(speaker.address),
        topology.as_number,
        peer.name,
        str(peer.address),
        topology.as_number,
        mesh=mesh,
    )


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


def judge(gate: Gate, topology: Topology, observed: Observed, patient: bool) -> Verdict:
    """Whether the routers are as ``gate`` asks.

    A node that is gone (no node, or Ready is Unknown: its kubelet is silent) is not waited for. One whose kubelet says
    not Ready, or that has reported no BGP state, is waited for while ``patient``, and left out after that.
    """
    left_out: dict[str, str] = {}
    awaited: dict[str, str] = {}
    for name in _nodes_of(gate):
        trouble, lasting = _trouble(name, observed)
        if trouble:
            (left_out if lasting or not patient else awaited)[name] = trouble
    passed_over = {*left_out, *awaited}
    links = [link for link in gate.links if not {link.node, link.peer} & passed_over]
    unmet = [*(f"{name} {trouble}" for name, trouble in awaited.items()), *_lonely(gate, left_out)]
    unmet += [_describe(link, observed) for link in links if state_of(link, observed) != ESTABLISHED]
    if gate.routes:
        unmet += _missing_routes(topology, observed, sorted({link.node for link in links}))
    return Verdict(tuple(unmet), left_out)


def _nodes_of(gate: Gate) -> list[str]:
    names = {link.node for link in gate.links} | {link.peer for link in gate.links if not link.to_switch}
    return sorted(names)


def _trouble(name: str, observed: Observed) -> tuple[str, bool]:
    node = observed.nodes.get(name)
    if node is None:
        return "is not a node of the cluster", True
    if node.ready == "Unknown":
        return "is down (its kubelet does not answer)", True
    if node.ready != "True":
        return "is not Ready", False
    if name not in observed.reports:
        return "has not reported its BGP state", False
    return "", False


def _lonely(gate: Gate, left_out: Mapping[str, str]) -> list[str]:
    reflectors = {link.peer for link in gate.links if not link.to_switch and not link.mesh}
    if not reflectors or reflectors - set(left_out):
        return []
    return [f"no reflector is alive: {', '.join(f'{name} {left_out[name]}' for name in sorted(reflectors))}"]


def _describe(link: Link, observed: Observed) -> str:
    here = f"{link.node} ({link.node_address}, AS {link.node_as})"
    there = f"{link.peer} ({link.peer_address}, AS {link.peer_as})"
    seen = f"{link.node} sees {state_of(link, observed)}"
    if link.to_switch:
        return f"session {here} <-> switch {there}: {seen}; `show bgp summary` on {link.peer} says what it sees"
    back = Link(link.peer, link.peer_address, link.peer_as, link.node, link.node_address, link.node_as, mesh=link.mesh)
    kind = "node" if link.mesh else "reflector"
    return f"session {here} <-> {kind} {there}: {seen}, {link.peer} sees {state_of(back, observed)}"


def _missing_routes(topology: Topology, observed: Observed, names: Sequence[str]) -> list[str]:
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
