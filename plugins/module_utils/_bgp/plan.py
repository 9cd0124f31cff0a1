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
5. reflectors whose cluster id changes, as all their sessions start anew: never all at once;
6. what the inventory no longer has, in the opposite order;
7. nodes that were emptied for this take pods again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from ansible_collections.hybridk8s.estate.plugins.module_utils._bgp import emptying, objects, traffic
from ansible_collections.hybridk8s.estate.plugins.module_utils._bgp.domains import batches
from ansible_collections.hybridk8s.estate.plugins.module_utils._bgp.objects import (
    USUAL_CALICO,
    Calico,
    Object,
    Wanted,
    Write,
)
from ansible_collections.hybridk8s.estate.plugins.module_utils._bgp.observed import (
    Link,
    Node,
    Observed,
    mesh_links,
    node_link,
    reflector_links,
    switch_link,
)
from ansible_collections.hybridk8s.estate.plugins.module_utils._bgp.passwords import Passwords
from ansible_collections.hybridk8s.estate.plugins.module_utils._bgp.topology import Speaker, Topology, TopologyError
from ansible_collections.hybridk8s.estate.plugins.module_utils._estate.derive import RACK_LABEL
from ansible_collections.hybridk8s.estate.plugins.module_utils._plan import Step

DEFAULT_AS = 64512
# Of so many nodes a line names each.
NAMED = 5


@dataclass(frozen=True)
class Gate:
    """A state of the routers that must be seen before the next write.

    ``routes`` asks for the pod blocks too. ``fresh`` takes a node's word only if it was given after the gate was
    reached: sessions that were up before a change may be starting anew, and reports are seconds old. ``undo`` gives
    back the path that the writes before this gate took, when it does not open.
    """

    name: str
    reason: str
    links: tuple[Link, ...]
    routes: bool = False
    fresh: bool = False
    undo: tuple[Write, ...] = ()

    @property
    def traffic(self) -> str:
        """What traffic could notice of it."""
        names = ", ".join(some([write.name for write in self.undo]))
        return f"none while it waits; if it stays shut, {names} is put back" if names else traffic.WAITS


@dataclass(frozen=True)
class Plan:
    """Writes and gates in order, and what a person should know."""

    stages: tuple[Write | Gate, ...]
    warnings: tuple[str, ...] = ()
    calico: Calico = USUAL_CALICO

    @property
    def writes(self) -> tuple[Write, ...]:
        return tuple(stage for stage in self.stages if isinstance(stage, Write))


def some(names: Sequence[str]) -> list[str]:
    """The first of many names, and how many more there are."""
    more = len(names) - NAMED
    return [*names[:NAMED], *([f"{more} more"] if more > 0 else [])]


def line_of(stage: Write | Gate) -> str:
    """A stage in one line."""
    if isinstance(stage, Gate):
        return f"wait for {stage.name} ({len(stage.links)} sessions): {stage.reason}; traffic: {stage.traffic}"
    return f"{stage.step.action} {stage.step.target}: {stage.step.why}"


def difference_of(stage: Write | Gate) -> dict[str, str]:
    """A stage in Ansible's form of a difference: gates are in it too, as the order of things is the matter."""
    return {"prepared": f"{line_of(stage)}\n"} if isinstance(stage, Gate) else stage.step.difference()


def plan(
    topology: Topology,
    observed: Observed,
    nat_outgoing: bool = False,
    held_switches: Collection[str] = (),
    later_switches: Collection[str] = (),
    passwords: Mapping[str, str] = MappingProxyType({}),
) -> Plan:
    """The writes and gates from what is observed to the topology; raises :class:`TopologyError`.

    ``passwords`` are those of the sessions with switches, by their keys (:func:`topology.passwords_of`).
    Sessions with ``held_switches`` stay as they are and are not waited for: the other end is not as the inventory says.
    So do those with ``later_switches``, whose other end changes in a later step of the same run.
    """
    planner = _Planner(topology, observed, held_switches, later_switches, passwords)
    change = planner.towards_reflectors if topology.reflectors else planner.towards_mesh
    stages = (*change(nat_outgoing), *emptying.releases(observed))
    return Plan(stages, tuple(planner.warnings), observed.calico)


class _Planner:
    """The pieces of a plan; each method gives the stages of one piece."""

    def __init__(
        self,
        topology: Topology,
        observed: Observed,
        held_switches: Collection[str],
        later_switches: Collection[str],
        passwords: Mapping[str, str],
    ) -> None:
        self.topology = topology
        self.observed = observed
        left = {*held_switches, *later_switches}
        self.passwords = Passwords(topology, observed, passwords, left)
        self.sessions = tuple(session for session in topology.sessions if session.switch not in left)
        self.left_racks = {session.rack for session in topology.sessions if session.switch in left}
        # Where no other switch is left to the outside, whatever peers with one stays.
        self.leaves_all = bool(self.left_racks) and not self.sessions
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
        changes = [
            *self.passwords.changes(),
            *self._ensure(self._open_switch_peers()),
            *self._ensure(self._left_switch_peers()),
        ]
        leaving = [*self._renumberings(), *self._stale_peers(of_switches=True), *self._demotions()]
        yield from changes
        yield self._everything(fresh=bool(leaving) or any(write.verb == "patch" for write in changes))
        yield from leaving
        yield from self._leftovers(nat_outgoing)

    def towards_mesh(self, nat_outgoing: bool) -> Iterator[Write | Gate]:
        yield from self._foundation(nat_outgoing)
        former = list(self._former)
        links = list(mesh_links(self.topology, without=former))
        if self._mesh_is_on:
            # The run that turned it on may have ended with a reflector that had just left.
            links += self._reflector_links(self._speakers(former))
        else:
            yield self._mesh(on=True)
        if former or not self._mesh_is_on:
            yield Gate(
                "mesh-is-up",
                "the reflectors are the old path; they go once the nodes are in session with each other",
                tuple(links),
                fresh=True,
            )
        yield from self._stale_peers(of_switches=True)
        for number, name in enumerate(former):
            rest = former[number + 1 :]
            meshed = [link for link in mesh_links(self.topology, without=rest) if name in (link.node, link.peer)]
            yield self._demotion(name)
            yield Gate(
                f"{name}-joined-the-mesh",
                "one reflector at a time leaves, so that the others still carry the rest",
                (*meshed, *self._links_of(name, self._speakers(rest))),
                fresh=True,
            )
        yield from self._leftovers(nat_outgoing)

    def _foundation(self, nat_outgoing: bool) -> Iterator[Write]:
        yield from self._ensure(objects.filters(self.topology))
        yield from self._ensure(self._adopted(objects.pools(self.topology, nat_outgoing)))
        yield from self._configuration()
        yield from self._ensure(objects.statuses(self.topology))
        yield from self.passwords.additions()
        self._warn_of_strangers()

    def _found(self, resource: str) -> Mapping[str, Object]:
        return self.observed.objects.get(resource, {})

    def _ensure(self, wanted: Iterable[Wanted]) -> Iterator[Write]:
        for item in wanted:
            there = self._found(item.resource).get(item.name)
            if there is None:
                body = objects.manifest(item, self.topology.estate, self.observed.calico)
                step = Step(
                    "create",
                    item.target,
                    "the inventory has it",
                    "",
                    objects.text(item.spec),
                    traffic.of_creation(item),
                )
                yield Write("create", item.resource, item.name, body, step)
                continue
            changes = objects.patch(item, there, self.topology.estate)
            if changes:
                before = {key: there.get("spec", {}).get(key) for key in changes.get("spec", {})}
                reason = "differs from the inventory" if before else "is ours from now on"
                after = objects.text(changes.get("spec"))
                noticed = traffic.of_change(self.topology, item, changes)
                step = Step("update", item.target, reason, objects.text(before), after, noticed)
                yield Write("patch", item.resource, item.name, changes, step)

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
        there = self._found(objects.CONFIGURATIONS).get("default")
        wanted = objects.configuration(self.topology, there)
        if there is None:
            # Created with the mesh as it is without it, so that turning it off is a step of its own.
            yield from self._ensure([replace(wanted, spec={**wanted.spec, "nodeToNodeMeshEnabled": True})])
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
        after = objects.text({"nodeToNodeMeshEnabled": on})
        noticed = traffic.ADDS_SESSIONS if on else traffic.MESH_WITH_SUCCESSOR
        step = Step("update", "BGPConfiguration/default", reason, before, after, noticed)
        return Write("patch", objects.CONFIGURATIONS, "default", {"spec": spec}, step)

    def _promotions(self) -> Iterator[Write | Gate]:
        nodes = self.observed.nodes
        for speaker in self.topology.reflectors:
            if speaker.name not in nodes:
                self.warnings.append(f"reflector {speaker.name} is no node of the cluster; a later run adds it.")
        present = [speaker for speaker in self.topology.reflectors if speaker.name in nodes]
        serving = [speaker for speaker in present if self._reflects(speaker)]
        for speaker in serving:
            if self._is_promoted(speaker):
                yield from self._promotion(speaker)
        alive = [speaker for speaker in serving if self._is_alive(speaker)]
        # The living first: the first one is waited for alone.
        waiting = sorted((s for s in present if s not in serving), key=lambda s: nodes[s.name].ready != "True")
        if waiting and alive:
            yield Gate(
                "reflectors-serve",
                "those that became reflectors carry while the next ones do; the run that made them may have ended then",
                self._reflector_links(alive),
                fresh=True,
            )
        waves = _waves(waiting, canary=not alive)
        for wave in waves:
            for speaker in wave:
                yield from self._promotion(speaker)
            serving += wave
            if wave is waves[-1] and self._mesh_is_on:
                break  # the gate before the mesh goes off asks for more
            yield self._sessions_with(wave, serving)
        if self._mesh_is_on:
            yield Gate(
                "reflectors-carry-all-routes",
                "the mesh is the old path; it goes once every node has every pod block from a reflector",
                self._reflector_links(self.topology.reflectors),
                routes=True,
                fresh=True,
                undo=self._retreat(waves[-1] if waves else ()),
            )

    def _renumberings(self) -> Iterator[Write | Gate]:
        """Reflectors with another cluster id than the inventory's: all their sessions start anew, so others must carry,
        one with a switch among them."""
        nodes = self.observed.nodes
        present = [speaker for speaker in self.topology.reflectors if speaker.name in nodes]
        waiting = [speaker for speaker in present if self._reflects(speaker) and not self._is_promoted(speaker)]
        with_switch = {session.node for session in self.sessions}
        waiting.sort(key=lambda s: (nodes[s.name].ready != "True", s.name not in with_switch))
        carrying = [speaker for speaker in present if speaker not in waiting and self._is_alive(speaker)]
        if with_switch & {speaker.name for speaker in waiting}:
            carrying = [speaker for speaker in carrying if speaker.name in with_switch]
        for wave in _waves(waiting, canary=not carrying):
            for speaker in wave:
                yield from self._promotion(speaker)
            yield self._sessions_with(wave, present, routes=True)

    def _sessions_with(self, wave: Sequence[Speaker], serving: Sequence[Speaker], routes: bool = False) -> Gate:
        names = some([speaker.name for speaker in wave])
        return Gate(
            f"sessions-with-{'-and-'.join(names).replace(' ', '-')}",
            f"{', '.join(names)} became a reflector; the next one follows once every node is in session with it",
            self._reflector_links(serving),
            routes=routes,
            fresh=True,
            undo=self._retreat(wave),
        )

    def _reflects(self, speaker: Speaker) -> bool:
        """Whether it is a reflector by now, under whichever cluster id."""
        node = self.observed.nodes[speaker.name]
        return node.labels.get(objects.REFLECTOR_LABEL) == "true" and objects.CLUSTER_ID_ANNOTATION in node.annotations

    def _is_alive(self, speaker: Speaker) -> bool:
        return self.observed.nodes[speaker.name].ready != "Unknown"

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
        """Reflectors of ours that the inventory no longer has, but for those of a rack with a switch that is left."""
        wanted = {speaker.name for speaker in self.topology.reflectors}
        return tuple(
            name
            for name, node in sorted(self.observed.nodes.items())
            if node.annotations.get(objects.REFLECTOR_OF_ANNOTATION) == self.topology.estate
            and name not in wanted
            and not (self.leaves_all or node.labels.get(RACK_LABEL, "") in self.left_racks)
        )

    def _speakers(self, names: Collection[str]) -> list[Speaker]:
        return [speaker for speaker in self.topology.speakers if speaker.name in names]

    def _demotions(self) -> Iterator[Write | Gate]:
        former = self._former
        for number, name in enumerate(former):
            others = (*self.topology.reflectors, *self._speakers(former[number + 1 :]))
            yield self._demotion(name)
            yield Gate(
                f"{name}-is-a-client",
                "one reflector at a time leaves; the next follows once this one has its routes from the others",
                tuple(self._links_of(name, others)),
                routes=True,
                fresh=True,
            )

    def _links_of(self, name: str, reflectors: Sequence[Speaker]) -> Iterator[Link]:
        """The sessions of a node with reflectors; one that the inventory no longer has is known by its own word."""
        known = {speaker.name: str(speaker.address) for speaker in self.topology.speakers}
        address = known.get(name) or self.observed.nodes[name].annotations.get(objects.ADDRESS_ANNOTATION, "")
        for reflector in reflectors:
            yield node_link(self.topology.as_number, name, address.partition("/")[0], reflector)

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
        noticed = traffic.of_node(node.name)
        step = Step(action, f"Node/{node.name}", reason, objects.text(before), objects.text(after), noticed)
        body = {"metadata": {"labels": dict(labels), "annotations": dict(annotations)}}
        return Write("patch", objects.NODES, node.name, body, step)

    def _everything(self, fresh: bool) -> Gate:
        return Gate(
            "all-sessions",
            "every session of the inventory is up and every node has every pod block",
            (*self._reflector_links(self.topology.reflectors), *map(switch_link, self.sessions)),
            routes=True,
            fresh=fresh,
        )

    def _reflector_links(self, reflectors: Sequence[Speaker]) -> tuple[Link, ...]:
        """The sessions with reflectors of all nodes, and of former reflectors that the inventory has not at all."""
        members = {speaker.name for speaker in self.topology.speakers}
        strangers = [name for name in self._former if name not in members]
        of_strangers = [link for name in strangers for link in self._links_of(name, reflectors)]
        return (*reflector_links(self.topology, reflectors), *of_strangers)

    def _stale(self, resource: str, wanted: Iterable[Wanted]) -> Iterator[tuple[str, Object]]:
        """What we made of a resource and the inventory no longer has."""
        kept = {item.name for item in wanted}
        for name, found in sorted(self._found(resource).items()):
            if name not in kept and objects.is_ours(found, self.topology.estate):
                yield name, found

    def _open_switch_peers(self) -> list[Wanted]:
        """A switch that is held keeps its peer: the names of all are known, only those of the others are written."""
        return objects.switch_peers(replace(self.topology, sessions=self.sessions), self.observed.calico)

    def _left_switch_peers(self) -> Iterator[Wanted]:
        """What is there for switches that are left as they are keeps its sessions, but never without our filters: the
        gates do not open while nodes hold routes that these would have refused."""
        every = objects.switch_peers(self.topology, self.observed.calico)
        written = {item.name for item in self._open_switch_peers()}
        for item in every:
            if item.name not in written and item.name in self._found(objects.PEERS):
                soft = {field: item.spec[field] for field in sorted(objects.SOFT_FIELDS)}
                yield replace(item, spec=soft, exact=False)

    def _staying_peers(self) -> list[Object]:
        """The peers that this plan neither writes nor deletes."""
        gone = {item.name for item in self._open_switch_peers()}
        gone |= {name for of_switches in (True, False) for name, _found in self._leaving_peers(of_switches)}
        return [found for name, found in self._found(objects.PEERS).items() if name not in gone]

    def _stale_peers(self, of_switches: bool) -> Iterator[Write]:
        for name, found in self._leaving_peers(of_switches):
            yield self._deletion(objects.PEERS, name, found)

    def _leaving_peers(self, of_switches: bool) -> Iterator[tuple[str, Object]]:
        wanted = objects.switch_peers(self.topology) if of_switches else objects.node_peers(self.topology)
        # What a rack has stays while a switch of it is left as it is: the successor may be that one.
        left = {objects.reflectors_of(rack) for rack in self.left_racks}
        for name, found in self._stale(objects.PEERS, wanted):
            spec = found.get("spec", {})
            stays = of_switches and (self.leaves_all or spec.get("nodeSelector") in left)
            if ("peerIP" in spec) == of_switches and not stays:
                yield name, found

    def _leftovers(self, nat_outgoing: bool) -> Iterator[Write]:
        yield from self._stale_peers(of_switches=False)
        yield from self.passwords.removals(self._staying_peers())
        for resource, wanted in (
            (objects.FILTERS, objects.filters(self.topology)),
            (objects.STATUSES, objects.statuses(self.topology)),
        ):
            for name, found in self._stale(resource, wanted):
                yield self._deletion(resource, name, found)
        networks = {pool.spec["cidr"] for pool in objects.pools(self.topology, nat_outgoing)}
        for name, found in self._stale(objects.POOLS, ()):
            spec = found.get("spec", {})
            if spec.get("cidr") in networks:
                continue
            if objects.is_vpc_pool(found):
                yield self._deletion(objects.POOLS, name, found)
                continue
            self.warnings.append(
                f"IPPool/{name} ({spec.get('cidr')}) is no longer in the inventory. It gives out no new addresses; "
                "delete it by hand once no pod uses it."
            )
            if not spec.get("disabled"):
                reason = "the inventory no longer has it; pods may still use its addresses"
                step = Step("disable", f"IPPool/{name}", reason, traffic=traffic.KEEPS_ADDRESSES)
                yield Write("patch", objects.POOLS, name, {"spec": {"disabled": True}}, step)

    def _deletion(self, resource: str, name: str, found: Object) -> Write:
        target = f"{objects.KINDS[resource]}/{name}"
        noticed = traffic.of_deletion(self.topology, resource, found)
        step = Step("delete", target, "the inventory no longer has it", objects.text(found.get("spec")), "", noticed)
        return Write("delete", resource, name, {}, step)

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


def _waves(waiting: Sequence[Speaker], canary: bool) -> list[list[Speaker]]:
    """Who becomes a reflector together: never two of a rack, and the very first one alone."""
    named = {speaker.name: speaker for speaker in waiting}
    first, rest = (list(named)[:1], list(named)[1:]) if canary else ([], list(named))
    racks = {name: {speaker.rack} for name, speaker in named.items()}
    found = [*([first] if first else []), *batches(rest, len(rest), racks)]
    return [[named[name] for name in wave] for wave in found]
