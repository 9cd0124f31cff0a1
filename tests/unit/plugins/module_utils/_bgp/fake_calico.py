# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An API with Calico's objects and nodes that behave as calico-node, confd and BIRD do (domain facts A4, A5).

Time passes by one tick each time the reports are read. A session is established ``delay`` ticks after both ends have
it, with the same password. The rules: a node with a cluster id has no mesh session, and nobody has one with it; a node
peers with those that a BGPPeer selects for it; routes go over the mesh by one hop and over reflectors by up to three.
"""

from __future__ import annotations

import functools
import json
import re
from base64 import b64decode
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from ansible_collections.hybridk8s.estate.plugins.module_utils._bgp import apply, objects
from ansible_collections.hybridk8s.estate.plugins.module_utils._bgp.plan import plan
from ansible_collections.hybridk8s.estate.plugins.module_utils._bgp.topology import Topology
from ansible_collections.hybridk8s.estate.plugins.module_utils._estate.derive import NODE_CLASS_LABEL, RACK_LABEL
from ansible_collections.hybridk8s.estate.plugins.module_utils._kube import KubeError

TERM = re.compile(r"(\S+) (==|!=) '([^']*)'")


class Killed(Exception):
    """The controller died at this write."""


class FakeCalico:
    """Stands for a Cluster, as ``apply.Api`` describes it."""

    empty = False

    def __init__(self, topology: Topology, delay: int = 2) -> None:
        self.delay = delay
        self.tick = 0
        self.requests = 0
        self.writes: list[str] = []
        self.kill_after: int | None = None
        self.broken: set[frozenset[str]] = set()
        self.silent: set[str] = set()
        self.unreachable: set[tuple[str, str]] = set()
        self.switches: dict[str, tuple[int, set[str]]] = {}
        self.switch_passwords: dict[str, str] = {}
        self.addresses: dict[str, str] = {}
        self.store: dict[str, dict[str, dict[str, Any]]] = {resource: {} for resource in objects.KINDS}
        self.nodes: dict[str, dict[str, Any]] = {}
        self.since: dict[tuple[str, str, str], int] = {}
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
        for number, speaker in enumerate(topology.speakers):
            self.addresses[speaker.name] = str(speaker.address)
            self.nodes.setdefault(
                speaker.name,
                {
                    "metadata": {
                        "name": speaker.name,
                        "labels": {RACK_LABEL: speaker.rack, NODE_CLASS_LABEL: "bare_metal"},
                        "annotations": {},
                    },
                    "status": {"conditions": [{"type": "Ready", "status": "True"}]},
                    "block": f"10.21.{number // 4}.{number % 4 * 64}/26",
                },
            )

    def wire(self, topology: Topology, passwords: Mapping[str, str] = MappingProxyType({})) -> None:
        """The switches as ``switch_bgp`` leaves them."""
        self.switches = {}
        self.switch_passwords = {}
        for session in topology.sessions:
            address = str(session.switch_address)
            _unused, neighbours = self.switches.setdefault(address, (session.switch_as, set()))
            neighbours.add(session.node)
            self.switch_passwords[address] = passwords.get(session.password_key, "")

    def ready(self, name: str, status: str) -> None:
        self.nodes[name]["status"]["conditions"] = [{"type": "Ready", "status": status}]

    def settle(self) -> None:
        """Let every session that can come up come up, and forget what was lost until now."""
        for _unused in range(self.delay + 1):
            self._advance()
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

    def list(self, path: str, *, keep: Callable[[dict[str, Any]], Any] | None = None) -> list[Any]:
        self.requests += 1
        if path == objects.path_of(objects.NODES):
            found = list(self.nodes.values())
        else:
            resource = self._resource(path)
            if resource == objects.STATUSES:
                self._advance()
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
    def mesh(self) -> bool:
        spec = self.store[objects.CONFIGURATIONS].get("default", {}).get("spec", {})
        return spec.get("nodeToNodeMeshEnabled") is not False

    def alive(self, name: str) -> bool:
        return name in self.nodes and self.nodes[name]["status"]["conditions"][0]["status"] != "Unknown"

    def _cluster_id(self, name: str) -> str:
        return self.nodes[name]["metadata"]["annotations"].get(objects.CLUSTER_ID_ANNOTATION, "")

    def _selected(self, selector: str) -> set[str]:
        return {name for name in self.nodes if self._selects(selector, self.nodes[name]["metadata"]["labels"])}

    @staticmethod
    def _selects(selector: str, labels: dict[str, str]) -> bool:
        return all((labels.get(key) == value) == equal for key, equal, value in _terms(selector))

    def configured(self) -> set[tuple[str, str, str]]:
        """Sessions as (kind, one end, other end); both directions of those between nodes."""
        found: set[tuple[str, str, str]] = set()
        if self.mesh:
            plain = [name for name in self.nodes if not self._cluster_id(name)]
            found |= {("NodeMesh", one, other) for one in plain for other in plain if one != other}
        for peer in self.store[objects.PEERS].values():
            spec = peer["spec"]
            here = self._selected(spec["nodeSelector"])
            if "peerIP" in spec:
                number, neighbours = self.switches.get(spec["peerIP"], (0, set()))
                for name in here:
                    same_password = self._password(spec) == self.switch_passwords.get(spec["peerIP"], "")
                    agreed = number == spec["asNumber"] and name in neighbours and same_password
                    found.add(("NodePeer" if agreed else "refused", name, spec["peerIP"]))
                continue
            for other in self._selected(spec["peerSelector"]):
                for one in here - {other}:
                    found |= {("NodePeer", one, other), ("NodePeer", other, one)}
        return found

    def _password(self, spec: dict[str, Any]) -> str:
        """The password that confd writes: none where it cannot read the Secret."""
        if "password" not in spec:
            return ""
        name, key = (spec["password"]["secretKeyRef"][field] for field in ("name", "key"))
        if not all(name in self.store[resource] for resource in objects.NAMESPACED_KINDS):
            return ""
        return b64decode(self.store[objects.SECRETS][name]["data"].get(key, "")).decode()

    def _established(self, session: tuple[str, str, str]) -> bool:
        kind, one, other = session
        ends = [name for name in (one, other) if name in self.nodes]
        return (
            kind != "refused"
            and (kind == "NodeMesh" or frozenset((one, other)) not in self.broken)
            and all(self.alive(name) for name in ends)
            and self.tick - self.since.get(session, self.tick) >= self.delay
        )

    def _advance(self) -> None:
        self.tick += 1
        self._update()

    def _update(self) -> None:
        configured = self.configured()
        self.since = {session: self.since.get(session, self.tick) for session in configured}
        up = {session for session in configured if self._established(session)}
        over_mesh = {(one, other) for kind, one, other in up if kind == "NodeMesh"}
        peers: dict[str, set[str]] = {}
        for kind, one, other in up:
            if kind == "NodePeer" and other in self.nodes:
                peers.setdefault(one, set()).add(other)
        over_reflectors = {
            (name, owner) for name in self.nodes for owner in self._reflected(name, peers) if owner != name
        }
        self._note_paths(over_mesh | over_reflectors)
        for status in self.store[objects.STATUSES].values():
            name = status["spec"]["node"]
            if name not in self.nodes or not self.alive(name) or name in self.silent:
                continue
            status["status"] = self._status(name, configured, up, over_mesh, over_reflectors)
            _rewrite(status["metadata"])

    def _reflected(self, name: str, peers: dict[str, set[str]]) -> set[str]:
        """Whose blocks reach ``name``: its peers' own, and what peers that are reflectors pass on."""
        found: set[str] = set()
        for first in peers.get(name, ()):
            found.add(first)
            if not self._cluster_id(first):
                continue
            for second in peers.get(first, ()):
                found.add(second)
                if self._cluster_id(second):
                    found |= peers.get(second, set())
        return found

    def _note_paths(self, paths: set[tuple[str, str]]) -> None:
        alive = {(one, other) for one, other in self.have_path if self.alive(one) and self.alive(other)}
        self.missing = alive - paths
        self.lost |= self.missing
        self.have_path |= paths

    def _status(
        self,
        name: str,
        configured: set[tuple[str, str, str]],
        up: set[tuple[str, str, str]],
        over_mesh: set[tuple[str, str]],
        over_reflectors: set[tuple[str, str]],
    ) -> dict[str, Any]:
        peers = [
            {
                "peerIP": self.addresses.get(other, other),
                "type": "NodeMesh" if kind == "NodeMesh" else "NodePeer",
                "state": "Established" if (kind, one, other) in up else "Active",
            }
            for kind, one, other in sorted(configured)
            if one == name
        ]
        routes = [
            {
                "destination": self.nodes[name]["block"],
                "interface": "blackhole",
                "type": "FIB",
                "learnedFrom": {"sourceType": "Static"},
            }
        ]
        for source, paths in (("NodeMesh", over_mesh), ("BGPPeer", over_reflectors)):
            for one, owner in sorted(paths):
                if one != name:
                    continue
                lost = (name, owner) in self.unreachable
                routes.append(
                    {
                        "destination": self.nodes[owner]["block"],
                        "interface": "unreachable" if lost else "eth0",
                        "type": "FIB",
                        "learnedFrom": {"sourceType": source},
                    }
                )
        return {
            "lastUpdated": f"tick {self.tick}",
            "bgp": {"peersV4": peers},
            "routes": {"routesV4": routes},
        }


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


@functools.cache
def _terms(selector: str) -> list[tuple[str, bool, str]]:
    found = [TERM.fullmatch(term) for term in selector.split(" && ")]
    assert all(found), selector
    return [(term[1], term[2] == "==", term[3]) for term in found if term]


def _merge(target: dict[str, Any], patch: dict[str, Any]) -> None:
    for key, value in patch.items():
        if value is None:
            target.pop(key, None)
        elif isinstance(value, dict):
            _merge(target.setdefault(key, {}), value)
        else:
            target[key] = value
