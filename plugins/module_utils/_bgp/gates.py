# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether the routers are as a gate of a plan asks; private to this collection."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ansible_collections.hybridk8s.estate.plugins.module_utils._bgp.observed import (
    ESTABLISHED,
    Link,
    Observed,
    missing_routes,
    state_of,
)
from ansible_collections.hybridk8s.estate.plugins.module_utils._bgp.plan import Gate
from ansible_collections.hybridk8s.estate.plugins.module_utils._bgp.topology import Topology


@dataclass(frozen=True)
class Verdict:
    """What still keeps a gate shut, and the nodes it does not wait for, with the reason."""

    unmet: tuple[str, ...]
    left_out: Mapping[str, str] = field(default_factory=dict)


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
        unmet += missing_routes(topology, observed, sorted({link.node for link in links}))
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
    kind = "node" if link.mesh else "reflector"
    return f"session {here} <-> {kind} {there}: {seen}, {link.peer} sees {state_of(link.reversed(), observed)}"
