# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An API with Calico's objects, and the nodes and switches behind it (:mod:`routing`).

Time passes by one tick each time the reports are read. A session is established ``delay`` ticks after both ends have
it, with the same password, or after as many as ``delay`` says of it.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Collection, Mapping
from ipaddress import IPv4Network
from types import MappingProxyType
from typing import Any

from ansible_collections.hybridk8s.estate.plugins.module_utils._bgp import apply, emptying, objects
from ansible_collections.hybridk8s.estate.plugins.module_utils._bgp.plan import plan
from ansible_collections.hybridk8s.estate.plugins.module_utils._bgp.topology import Topology
from ansible_collections.hybridk8s.estate.plugins.module_utils._estate.derive import NODE_CLASS_LABEL, RACK_LABEL
from ansible_collections.hybridk8s.estate.plugins.module_utils._kube import KubeError

from tests.unit.plugins.module_utils._bgp.routing import Ident, Network, Switch

# More ticks than any session takes to come up.
SETTLED = 8


class Killed(Exception):
    """The controller died at this write."""


class FakeCalico:
    """Stands for a Cluster, as ``apply.Api`` describes it."""

    empty = False

    def __init__(self, topology: Topology, delay: int | Callable[[Ident], int] = 2) -> None:
        self.requests = 0
        # A node writes its report each so many ticks; it rereads what was not written through this API.
        self.period, self.rereads = 1, True
        self.writes: list[str] = []
        self.kill_after: int | None = None
        self.silent: set[str] = set()
        self.store: dict[str, dict[str, dict[str, Any]]] = {resource: {} for resource in objects.KINDS}
        self.nodes: dict[str, dict[str, Any]] = {}
        self.pods: dict[str, list[dict[str, Any]]] = {}
        self.network = Network(self.store, self.nodes, delay if callable(delay) else lambda _ident: delay)
        self.lost: set[tuple[str, str]] = set()
        self.missing: set[tuple[str, str]] = set()
        self.have_path: set[tuple[str, str]] = set()
        self.schema: set[str] = {"nextHopMode"}
        self.namespace = "kube-system"
        self.served = [objects.CLASSIC_API]
        self.defined = [objects.CLASSIC_API]
        self.bodies: list[tuple[str, dict[str, Any]]] = []
        self.boot(topology)
        self.wire(topology)
        self.settle()

    def boot(self, topology: Topology) -> None:
        """Nodes for the speakers that are none yet."""
        for speaker in topology.speakers:
            self.network.addresses[speaker.name] = str(speaker.address)
            self.network.subnets[speaker.rack] = IPv4Network(f"{speaker.address}/24", strict=False)
            if speaker.name in self.nodes:
                continue
            number = len(self.network.blocks)
            self.network.blocks.setdefault(speaker.name, (f"10.21.{number // 4}.{number % 4 * 64}/26",))
            self.nodes[speaker.name] = {
                "metadata": {
                    "name": speaker.name,
                    "labels": {RACK_LABEL: speaker.rack, NODE_CLASS_LABEL: "bare_metal"},
                    "annotations": {"projectcalico.org/IPv4Address": f"{speaker.address}/24"},
                },
                "status": {"conditions": [{"type": "Ready", "status": "True"}]},
            }

    def wire(self, topology: Topology, passwords: Mapping[str, str] = MappingProxyType({})) -> None:
        """The switches as ``switch_bgp`` leaves them."""
        self.network.switches.clear()
        for session in topology.sessions:
            address = str(session.switch_address)
            switch = self.network.switches.setdefault(
                address,
                Switch(
                    session.switch,
                    address,
                    session.rack,
                    session.switch_as,
                    takes=tuple((pool.cidr, pool.block_size, 32) for pool in topology.pools),
                    gives=topology.imports,
                ),
            )
            switch.neighbours[str(session.node_address)] = (session.node_as, passwords.get(session.password_key, ""))

    def ready(self, name: str, status: str) -> None:
        self.nodes[name]["status"]["conditions"] = [{"type": "Ready", "status": status}]

    def settle(self) -> None:
        """Let every session that can come up come up, and forget what was lost until now."""
        self._update()
        for _unused in range(SETTLED):
            self.advance()
        self.lost = set()

    # What a Cluster offers.

    def get(self, path: str) -> dict[str, Any] | None:
        self.requests += 1
        if path == objects.API_GROUPS_PATH:
            return {"groups": [{"versions": [{"groupVersion": version}]} for version in ("apps/v1", *self.served)]}
        if path == objects.daemonset_path(self.namespace):
            return {"spec": {"template": {"spec": {"serviceAccountName": "calico-node"}}}}
        if not path.startswith(objects.DEFINITIONS_PATH):
            resource, name = path.rsplit("/", 2)[1:]
            return self.store.get(resource, {}).get(name)
        if path not in map(objects.definition_path, self.defined):
            return None
        fields = {"spec": {"properties": {name: {} for name in {"peerIP", *self.schema}}}}
        return {"spec": {"versions": [{"schema": {"openAPIV3Schema": {"properties": fields}}}]}}

    def list(
        self,
        path: str,
        query: Mapping[str, Any] | None = None,
        *,
        keep: Callable[[dict[str, Any]], Any] | None = None,
    ) -> list[Any]:
        self.requests += 1
        if path == emptying.PODS:
            found = self.pods.get(str((query or {})["fieldSelector"]).removeprefix("spec.nodeName="), [])
        elif path == objects.path_of(objects.NODES):
            found = list(self.nodes.values())
        else:
            resource = self._resource(path)
            if resource == objects.STATUSES:
                self.advance()
            found = list(self.store[resource].values())
        return [keep(item) if keep else item for item in found]

    def create(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        resource = self._resource(path)
        name = body["metadata"]["name"]
        self.bodies.append((path, body))
        self._written(f"create {resource}/{name}")
        if name in self.store[resource]:
            raise KubeError("already exists", 409, f"{resource}/{name}")
        self.store[resource][name] = body
        self._update()
        return body

    def merge(self, path: str, patch: dict[str, Any]) -> None:
        collection, name = path.rsplit("/", 1)
        resource = self._resource(collection)
        self._written(f"patch {resource}/{name}")
        _merge(self.nodes[name] if resource == objects.NODES else self.store[resource][name], patch)
        self._update()

    def delete(self, path: str) -> bool:
        collection, name = path.rsplit("/", 1)
        resource = self._resource(collection)
        self._written(f"delete {resource}/{name}")
        found = self.store[resource].pop(name, None) is not None
        self._update()
        return found

    def _resource(self, path: str) -> str:
        """The resource of a collection, which has to be one that is served."""
        resource = path.rsplit("/", 1)[1]
        if resource in objects.CALICO_KINDS:
            assert path in [f"/apis/{version}/{resource}" for version in self.served]
        if resource in objects.NAMESPACED_KINDS:
            assert f"/namespaces/{self.namespace}/" in path
        return resource

    def _written(self, line: str) -> None:
        self.requests += 1
        if self.kill_after is not None and len(self.writes) >= self.kill_after:
            raise Killed(line)
        self.writes.append(line)

    # The routers.

    @property
    def broken(self) -> Collection[frozenset[str]]:
        """Pairs whose sessions never come up, but for those of the mesh: two names, or a name and an address."""
        return self.network.broken

    @broken.setter
    def broken(self, pairs: Collection[frozenset[str]]) -> None:
        self.network.broken = pairs

    @property
    def mesh(self) -> bool:
        return self.network.mesh

    def advance(self) -> None:
        """Let a tick pass."""
        self.network.tick += 1
        self._update(self.rereads)
        for status in self.store[objects.STATUSES].values():
            name = status["spec"]["node"]
            due = (self.network.tick + zlib.crc32(name.encode())) % self.period == 0
            if due and self.network.alive(name) and name not in self.silent:
                status["status"] = self.network.report(name)
                _rewrite(status["metadata"])

    def _update(self, render: bool = True) -> None:
        self.network.update(render)
        alive = {pair for pair in self.have_path if all(map(self.network.alive, pair))}
        self.missing = alive - self.network.paths
        self.lost |= self.missing
        self.have_path |= self.network.paths


class Clock:
    """Seconds that pass only by sleeping."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def run(
    api: FakeCalico,
    topology: Topology,
    gate: float = 20,
    report: float = 8,
    passwords: Mapping[str, str] = MappingProxyType({}),
) -> apply.Runner:
    clock = Clock()
    runner = apply.Runner(api, topology, apply.Patience(gate, report), clock, clock.sleep)
    runner.run(plan(topology, apply.observe(api, topology), passwords=passwords))
    return runner


def settled(topology: Topology, passwords: Mapping[str, str] = MappingProxyType({})) -> FakeCalico:
    api = FakeCalico(topology)
    api.wire(topology, passwords)
    run(api, topology, passwords=passwords)
    api.settle()
    api.writes.clear()
    return api


def _rewrite(metadata: dict[str, Any]) -> None:
    """What Calico's client does with the labels and annotations of an object that it writes."""
    if metadata.get("labels"):
        kept = {"labels": metadata.pop("labels"), "annotations": metadata["annotations"]}
        metadata["annotations"] = {"projectcalico.org/metadata": json.dumps(kept)}


def _merge(target: dict[str, Any], patch: dict[str, Any]) -> None:
    for key, value in patch.items():
        if value is None:
            target.pop(key, None)
        elif isinstance(value, dict):
            _merge(target.setdefault(key, {}), value)
        else:
            target[key] = value
