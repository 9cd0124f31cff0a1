# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every BGP session of an estate as both of its ends see it, and what differs from the inventory.

Pure; private to this collection, runs on the controller.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.hybridk8s.estate.plugins.module_utils._bgp.observed import (
    ESTABLISHED,
    NO_SESSION,
    Link,
    Observed,
    mesh_links,
    reflector_links,
    state_of,
    switch_link,
)
from ansible_collections.hybridk8s.estate.plugins.module_utils._bgp.topology import Topology

CLUSTER = "cluster"
NOT_ASKED = "not asked"
MESH, REFLECTOR, SWITCH = "mesh", "reflector", "switch"


@dataclass(frozen=True)
class End:
    """One end of a session. ``sees`` is the session's state there, ``received`` how many prefixes it took."""

    name: str
    address: str
    as_number: int
    sees: str = NOT_ASKED
    received: int | None = None

    def __str__(self) -> str:
        return f"{self.name} ({self.address}, AS {self.as_number})"


@dataclass(frozen=True)
class Session:
    """A session between a node and a ``kind`` of peer: a reflector, a switch, or another node of the mesh."""

    kind: str
    node: End
    peer: End

    @property
    def up(self) -> bool:
        """Whether each end that was asked sees it established, and one was."""
        asked = [end.sees for end in (self.node, self.peer) if end.sees != NOT_ASKED]
        return bool(asked) and all(state == ESTABLISHED for state in asked)

    def as_dict(self) -> dict[str, Any]:
        """The session as JSON."""
        # Not asdict: a large estate has a hundred thousand of these.
        return {"kind": self.kind, "node": dict(vars(self.node)), "peer": dict(vars(self.peer)), "up": self.up}

    def __str__(self) -> str:
        seen = ", ".join(f"{end.name} sees {end.sees}" for end in (self.node, self.peer))
        return f"{self.node} <-> {self.kind} {self.peer}: {seen}"


def sessions_in(topology: Topology, observed: Observed) -> list[Session]:
    """The sessions that the inventory asks for, as the nodes see them; a session between two nodes comes once.

    Hosts that are no nodes yet have none, so they are left out.
    """
    nodes = set(observed.nodes)
    reflectors = {speaker.name for speaker in topology.reflectors}
    links = reflector_links(topology, topology.reflectors) if reflectors else mesh_links(topology)
    between = [link for link in links if {link.node, link.peer} <= nodes]
    # Between two reflectors, and in the mesh, both directions are there.
    once = [link for link in between if link.node < link.peer or not (link.mesh or link.node in reflectors)]
    to_switches = [switch_link(session) for session in topology.sessions if session.node in nodes]
    return [
        *(_between_nodes(link, observed) for link in once),
        *(_with_switch(link, observed) for link in to_switches),
    ]


def no_nodes(topology: Topology, observed: Observed) -> list[str]:
    """The hosts of the inventory that are no nodes of the cluster, in words."""
    return [
        f"{speaker.name} is in the inventory, but no node of the cluster."
        for speaker in topology.speakers
        if speaker.name not in observed.nodes
    ]


def _between_nodes(link: Link, observed: Observed) -> Session:
    kind = MESH if link.mesh else REFLECTOR
    return Session(kind, _end(link, observed), _end(link.reversed(), observed))


def _with_switch(link: Link, observed: Observed) -> Session:
    return Session(SWITCH, _end(link, observed), End(link.peer, link.peer_address, link.peer_as))


def _end(link: Link, observed: Observed) -> End:
    report = observed.reports.get(link.node)
    received = report.received.get(link.peer_address, 0) if report and report.routes else None
    return End(link.node, link.node_address, link.node_as, state_of(link, observed), received)


def status(estate: str, cluster: Mapping[str, Any], switches: Mapping[str, Mapping[str, Any] | None]) -> dict[str, Any]:
    """The status as plain data.

    ``cluster`` is what module ``bgp_info`` returned; ``switches`` what ``frr_bgp`` returned in check mode, by the
    switch's name, None where it could not be asked.
    """
    sessions = list(_with_both_ends(cluster["sessions"], switches))
    drift = [*_drift(CLUSTER, cluster), *(step for name, said in switches.items() for step in _drift(name, said or {}))]
    findings = [
        *cluster["findings"],
        *(f"switch {name} could not be asked." for name, said in switches.items() if said is None),
        *(f"switch {name}: {text}" for name, said in switches.items() for text in (said or {}).get("findings", ())),
    ]
    down = sum(not session["up"] for session in sessions)
    return {
        "estate": estate,
        "ok": not (down or drift or cluster["routes_missing"] or None in switches.values()),
        "counts": {"sessions": len(sessions), "down": down, "drift": len(drift)},
        "sessions": sessions,
        "drift": drift,
        "routes_missing": list(cluster["routes_missing"]),
        "findings": findings,
    }


def _with_both_ends(
    sessions: Iterable[Mapping[str, Any]], switches: Mapping[str, Mapping[str, Any] | None]
) -> Iterator[dict[str, Any]]:
    for raw in sessions:
        session = Session(raw["kind"], End(**raw["node"]), End(**raw["peer"]))
        said = switches.get(session.peer.name) if session.kind == SWITCH else None
        if said:
            session = Session(session.kind, session.node, _seen_by_switch(session, said.get("sessions", ())))
        yield session.as_dict()


def _seen_by_switch(session: Session, seen: Sequence[Mapping[str, Any]]) -> End:
    peer = session.peer
    mine = next((one for one in seen if one["neighbour"] == session.node.address), None)
    if mine is None:
        return End(peer.name, peer.address, peer.as_number, NO_SESSION)
    return End(peer.name, peer.address, peer.as_number, mine["state"], mine["prefixes_received"])


def _drift(where: str, said: Mapping[str, Any]) -> list[dict[str, str]]:
    return [
        {"where": where, "action": step["action"], "target": step["target"], "reason": step["reason"]}
        for step in said.get("steps", ())
    ]


def lines(found: Mapping[str, Any], most: int = 50) -> list[str]:
    """The status for people: what is not as it should be, and a verdict."""
    down = [str(_session(raw)) for raw in found["sessions"] if not raw["up"]]
    drift = [f"{step['where']}: {step['action']} {step['target']}: {step['reason']}" for step in found["drift"]]
    told = [
        *_listed("Sessions that are not up", down, most),
        *_listed("Different from the inventory; bgp.yml would", drift, most),
        *_listed("Routes", found["routes_missing"], most),
        *_listed("Also", found["findings"], most),
    ]
    counts = found["counts"]
    up = counts["sessions"] - counts["down"]
    same = f"{counts['drift']} differences from the inventory" if counts["drift"] else "all as the inventory has it"
    return [*told, f"{up} of {counts['sessions']} sessions are up; {same}."]


def _session(raw: Mapping[str, Any]) -> Session:
    return Session(raw["kind"], End(**raw["node"]), End(**raw["peer"]))


def _listed(title: str, items: Sequence[str], most: int) -> list[str]:
    if not items:
        return []
    more = [f"  and {len(items) - most} more"] if len(items) > most else []
    return [f"{title}:", *(f"  {item}" for item in items[:most]), *more]
