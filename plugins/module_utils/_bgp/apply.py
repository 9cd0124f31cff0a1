# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A BGP plan against a cluster: observe, write, wait at gates; private to this collection, runs on the controller."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from ansible_collections.hybridk8s.estate.plugins.module_utils._bgp import gates, objects
from ansible_collections.hybridk8s.estate.plugins.module_utils._bgp.objects import USUAL_CALICO, Calico, Write
from ansible_collections.hybridk8s.estate.plugins.module_utils._bgp.observed import (
    ESTABLISHED,
    Node,
    Observed,
    node_of,
    reflector_links,
    report_of,
    state_of,
    switch_link,
)
from ansible_collections.hybridk8s.estate.plugins.module_utils._bgp.plan import Gate, Plan, some
from ansible_collections.hybridk8s.estate.plugins.module_utils._bgp.topology import Topology
from ansible_collections.hybridk8s.estate.plugins.module_utils._kube import KubeError

POLL_SECONDS = 1.0
# Longer than a node takes to do what an object says: until then its report may be of the time before.
RENDER_SECONDS = 2.0
LISTED = 12
NO_CALICO = "Calico's resource definitions are not in the cluster. Install Calico first (role hybridk8s.estate.calico)."


class Api(Protocol):
    """What is used of a Cluster."""

    def get(self, path: str) -> dict[str, Any] | None: ...

    def list(self, path: str, *, keep: Callable[[dict[str, Any]], Any] | None = None) -> list[Any]: ...

    def create(self, path: str, body: dict[str, Any]) -> dict[str, Any]: ...

    def merge(self, path: str, patch: dict[str, Any]) -> None: ...

    def delete(self, path: str) -> bool: ...


@dataclass(frozen=True)
class Patience:
    """How long to wait, in seconds: ``gate`` at one gate, ``report`` in all for nodes that report nothing."""

    gate: float = 120.0
    report: float = 30.0


@dataclass(frozen=True)
class Passed:
    """A gate that opened: after how many seconds, and the nodes it did not wait for with the reason."""

    gate: str
    reason: str
    seconds: float
    sessions: int
    left_out: dict[str, str]


class NoCalico(KubeError):
    """Calico's resource definitions are not in the cluster."""


class GateShut(Exception):
    """A gate did not open in its time; the message says what it waited for."""


@dataclass
class Runner:
    """Carries out a plan.

    ``done``, ``passed`` and ``reached``, which holds both, grow as it goes, so that a failure can say how far it got.
    """

    api: Api
    topology: Topology
    patience: Patience = Patience()
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    done: list[Write] = field(default_factory=list)
    passed: list[Passed] = field(default_factory=list)
    reached: list[Write | Gate] = field(default_factory=list)
    seen: Observed | None = None
    _calico: Calico = USUAL_CALICO
    _first_gate: float | None = None

    def run(self, plan: Plan) -> None:
        """Do every stage in order; raises :class:`GateShut`, and KubeError from the API."""
        self._calico = plan.calico
        for stage in plan.stages:
            if isinstance(stage, Gate):
                self.passed.append(self._wait(stage))
            else:
                self._write(stage)
                self.done.append(stage)
            self.reached.append(stage)

    def left_out(self) -> dict[str, str]:
        """The nodes of the cluster that gates did not wait for; those still to join are no news."""
        found = {name: reason for passed in self.passed for name, reason in passed.left_out.items()}
        nodes = self.seen.nodes if self.seen else {}
        return {name: reason for name, reason in sorted(found.items()) if name in nodes}

    def _write(self, write: Write) -> None:
        path = objects.path_of(write.resource, "" if write.verb == "create" else write.name, self._calico)
        if write.verb == "create":
            self.api.create(path, dict(write.body))
        elif write.verb == "patch":
            self.api.merge(path, dict(write.body))
        else:
            self.api.delete(path)

    def _wait(self, gate: Gate) -> Passed:
        start = self.clock()
        if self._first_gate is None:
            self._first_gate = start
        period = objects.status_period(self.topology)
        renewed = start + (RENDER_SECONDS + period if gate.fresh else 0)
        patient_until = max(self._first_gate + self.patience.report, renewed + period if gate.fresh else start)
        old: dict[str, str] = {}
        while True:
            self.seen = watch(self.api, self._calico)
            now = self.clock()
            if gate.fresh and now < start + RENDER_SECONDS:
                old = {name: report.updated for name, report in self.seen.reports.items()}
            verdict = gates.judge(gate, self.topology, _since(old, self.seen), patient=now < patient_until)
            if not verdict.unmet:
                left_out = dict(verdict.left_out)
                return Passed(gate.name, gate.reason, round(now - start, 1), len(gate.links), left_out)
            if now >= renewed + self.patience.gate:
                for write in gate.undo:
                    self._write(write)
                    self.done.append(write)
                    self.reached.append(write)
                raise GateShut(_complaint(gate, verdict, self.patience.gate))
            self.sleep(POLL_SECONDS)


def _since(old: dict[str, str], seen: Observed) -> Observed:
    """What is seen without the reports that are old."""
    reports = {name: report for name, report in seen.reports.items() if report.updated != old.get(name)}
    return replace(seen, reports=reports)


def _complaint(gate: Gate, verdict: gates.Verdict, seconds: float) -> str:
    listed = "; ".join(verdict.unmet[:LISTED])
    more = f"; and {len(verdict.unmet) - LISTED} more" if len(verdict.unmet) > LISTED else ""
    undone = f"{', '.join(some([write.name for write in gate.undo]))} was put back. " if gate.undo else ""
    return (
        f"gate {gate.name} did not open within {seconds:g} s. Missing: {listed}{more}. It is there because "
        f"{gate.reason}. {undone}Nothing after it was done and the old path stays up; put it right and run again, the "
        "run goes on from here."
    )


def observe(api: Api, topology: Topology) -> Observed:
    """Everything that a plan is made of; raises :class:`NoCalico`, and KubeError from the API."""
    calico = _calico(api)
    found = {
        resource: _by_name(api.list(objects.path_of(resource, calico=calico))) for resource in objects.CALICO_KINDS
    }
    for resource in objects.NAMESPACED_KINDS:
        there = api.get(objects.path_of(resource, objects.secret_name(topology), calico))
        found[resource] = _by_name([there] if there else [])
    return _observed(api, found, list(found[objects.STATUSES].values()), calico)


def _calico(api: Api) -> Calico:
    definitions = {}
    for group_version in (objects.V3_API, objects.CLASSIC_API):
        definition = api.get(objects.definition_path(group_version))
        if definition is not None:
            definitions[group_version] = definition
    mode = objects.mode_of(api.get(objects.API_GROUPS_PATH), definitions)
    if mode is None:
        raise NoCalico(NO_CALICO)
    # Calico's own API server keeps what it is given as resources of the classic group.
    fields = objects.peer_fields(definitions.get(mode.api_version) or definitions.get(objects.CLASSIC_API))
    for namespace in objects.NAMESPACES:
        daemonset = api.get(objects.daemonset_path(namespace))
        if daemonset is not None:
            return Calico(mode, fields, namespace, objects.account_of(daemonset))
    return Calico(mode, fields)


def watch(api: Api, calico: Calico = USUAL_CALICO) -> Observed:
    """What gates look at: nodes and their reports."""
    return _observed(api, {}, api.list(objects.path_of(objects.STATUSES, calico=calico)), calico)


def nothing(topology: Topology) -> Observed:
    """A cluster that is still to be made, with the nodes that it will have: for a plan before the first run."""
    nodes = {speaker.name: Node(speaker.name, "True", {}, {}) for speaker in topology.speakers}
    return Observed({}, nodes, {})


def _observed(api: Api, found: dict[str, dict[str, Any]], statuses: list[dict[str, Any]], calico: Calico) -> Observed:
    nodes = {node.name: node for node in api.list(objects.path_of(objects.NODES), keep=node_of)}
    reports = {}
    for status in statuses:
        report = report_of(status)
        if report is not None:
            reports[status.get("spec", {}).get("node", "")] = report
    return Observed(found, nodes, reports, calico)


def _by_name(items: list[dict[str, Any]]) -> dict[str, Any]:
    return {item["metadata"]["name"]: item for item in items}


def sessions(topology: Topology, observed: Observed) -> dict[str, Any]:
    """The sessions as the nodes see them: how many are up, each with a switch, and each that is not up."""
    links = [
        *reflector_links(topology, topology.reflectors),
        *map(switch_link, topology.sessions),
    ]
    states = [(link, state_of(link, observed)) for link in links]
    return {
        "expected": len(states),
        "established": sum(state == ESTABLISHED for _link, state in states),
        "listed": [
            {
                "node": link.node,
                "node_address": link.node_address,
                "peer": link.peer,
                "peer_address": link.peer_address,
                "peer_as": link.peer_as,
                "kind": "switch" if link.to_switch else "reflector",
                "state": state,
            }
            for link, state in states
            if link.node in observed.nodes and (link.to_switch or state != ESTABLISHED)
        ],
    }
