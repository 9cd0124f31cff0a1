"""Nodes and workloads for a ControlPlane with kwok, from ten nodes to a thousand.

estate = KwokEstate(plane)
names = estate.add_nodes(10)
estate.add(*even_workloads(pods=100, each=10, budget={"maxUnavailable": "10%"}))
estate.settle()
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.hybridk8s.estate.plugins.module_utils._kube import Cluster, connect, parallel

from tests.integration.control_plane import ControlPlane
from tests.integration.kwok import MANAGED

NODES = "/api/v1/nodes"
PODS = "/api/v1/pods"
DEFAULT = "/namespaces/default"
_COLLECTIONS = {
    "Deployment": f"/apis/apps/v1{DEFAULT}/deployments",
    "StatefulSet": f"/apis/apps/v1{DEFAULT}/statefulsets",
    "DaemonSet": f"/apis/apps/v1{DEFAULT}/daemonsets",
}
_BUDGETS = f"/apis/policy/v1{DEFAULT}/poddisruptionbudgets"
_ALLOCATABLE = {"cpu": "64", "memory": "256Gi", "pods": "110"}
_POLL_SECONDS = 0.5


@dataclass(frozen=True)
class Workload:
    """Pods of one kind, labelled `app: name`; `budget` is what its PodDisruptionBudget says besides its selector."""

    name: str
    replicas: int = 1
    kind: str = "Deployment"
    budget: Mapping[str, Any] | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    finalizers: tuple[str, ...] = ()
    pod_spec: Mapping[str, Any] = field(default_factory=dict)

    def as_object(self) -> dict[str, Any]:
        selector = {"app": self.name}
        metadata = {
            "labels": {**selector, **self.labels},
            "annotations": dict(self.annotations),
            "finalizers": list(self.finalizers),
        }
        containers = [{"name": "main", "image": "example.com/main:1"}]
        spec: dict[str, Any] = {
            "selector": {"matchLabels": selector},
            "template": {"metadata": metadata, "spec": {"containers": containers, **self.pod_spec}},
        }
        if self.kind != "DaemonSet":
            spec["replicas"] = self.replicas
        if self.kind == "StatefulSet":
            spec |= {"serviceName": self.name, "podManagementPolicy": "Parallel"}
        return {"apiVersion": "apps/v1", "kind": self.kind, "metadata": {"name": self.name}, "spec": spec}


def even_workloads(
    pods: int, each: int = 10, budget: Mapping[str, Any] | None = None, prefix: str = "web"
) -> Iterable[Workload]:
    """Workloads of `each` pods; every fourth is a StatefulSet, the others are Deployments."""
    for number in range(pods // each):
        kind = "StatefulSet" if number % 4 == 3 else "Deployment"
        yield Workload(f"{prefix}-{number}", each, kind, budget)


class KwokEstate:
    """The nodes and workloads that were added to a plane, all in the namespace `default`."""

    def __init__(self, plane: ControlPlane) -> None:
        self.cluster: Cluster = connect(plane.kubeconfig)
        self.names: list[str] = []
        self.workloads: list[Workload] = []

    def add_nodes(self, count: int, prefix: str = "node", images: int = 0, **spec: Any) -> list[str]:
        """Names of the new nodes. With 50 `images` a node has the 10 KB that kubelets make."""
        return self.add_named_nodes([f"{prefix}-{number:04}" for number in range(count)], images, **spec)

    def add_named_nodes(self, names: Sequence[str], images: int = 0, **spec: Any) -> list[str]:
        """As `add_nodes`, with these names."""
        self._all_done(parallel(lambda name: self.cluster.create(NODES, node(name, images, **spec)), names))
        self.names += names
        return list(names)

    def remove_nodes(self, names: Sequence[str]) -> None:
        """As when machines are gone for good; their pods follow."""
        self._all_done(parallel(lambda name: self.cluster.delete(f"{NODES}/{name}"), names))
        self.names = [name for name in self.names if name not in names]

    def add(self, *workloads: Workload) -> None:
        """Make the workloads and their budgets; `settle` waits for the pods."""
        budgets = [_budget(workload) for workload in workloads if workload.budget is not None]
        self._all_done(parallel(lambda body: self.cluster.create(_BUDGETS, body), budgets))
        self._all_done(parallel(lambda made: self.cluster.create(_COLLECTIONS[made.kind], made.as_object()), workloads))
        self.workloads += workloads

    def budgets(self) -> list[dict[str, Any]]:
        """The PodDisruptionBudgets."""
        return self.cluster.list(_BUDGETS)

    def set_budgets(self, says: Mapping[str, Any]) -> None:
        """From now on every budget says this besides its selector; `settle` waits until it is counted."""

        def change(found: dict[str, Any]) -> None:
            spec = {"minAvailable": None, "maxUnavailable": None, **says}
            self.cluster.merge(f"{_BUDGETS}/{found['metadata']['name']}", {"spec": spec})

        self._all_done(parallel(change, self.budgets()))

    def uncordon(self, names: Sequence[str]) -> None:
        change = {"spec": {"unschedulable": None}}
        self._all_done(parallel(lambda name: self.cluster.merge(f"{NODES}/{name}", change), names))

    def settle(self, seconds: float = 600) -> None:
        """Wait until the nodes and all pods are Ready and the budgets have counted them."""
        began = time.monotonic()
        deadline = began + seconds
        while unsettled := self._unsettled():
            if time.monotonic() > deadline:
                raise TimeoutError(f"not settled after {seconds:g} s: {', '.join(unsettled[:10])}")
            # A look at a large estate keeps the cluster busy itself.
            time.sleep(max(_POLL_SECONDS, 4 * (time.monotonic() - began)))
            began = time.monotonic()

    def pods(self, node_name: str = "") -> list[dict[str, Any]]:
        """The pods, of one node if it is named."""
        return self.cluster.list(PODS, {"fieldSelector": f"spec.nodeName={node_name}"} if node_name else None)

    def _unsettled(self) -> list[str]:
        ready = self.cluster.list(NODES, keep=_ready_node)
        waiting = sorted(set(self.names) - {name for name in ready if name})
        wanted = {(made.kind, made.name): made.replicas for made in self.workloads}
        for kind in sorted({made.kind for made in self.workloads}):
            for found in self.cluster.list(_COLLECTIONS[kind]):
                name, status = found["metadata"]["name"], found.get("status", {})
                count = wanted.get((kind, name))
                if kind == "DaemonSet":
                    count = status.get("desiredNumberScheduled", -1)
                if count is not None and status.get("readyReplicas", status.get("numberReady", 0)) != count:
                    waiting.append(f"{kind} {name}")
        healthy = {made.name: made.replicas for made in self.workloads if made.budget is not None}
        for found in self.budgets() if healthy else ():
            metadata, status = found["metadata"], found.get("status", {})
            name = metadata["name"]
            counted = status.get("currentHealthy") == healthy.get(name, status.get("currentHealthy"))
            if not counted or status.get("observedGeneration") != metadata["generation"]:
                waiting.append(f"budget {name}")
        return waiting

    @staticmethod
    def _all_done(outcomes: Iterable[Any]) -> None:
        for outcome in outcomes:
            if outcome.error:
                raise outcome.error


def node(name: str, images: int = 0, **spec: Any) -> dict[str, Any]:
    """A node that kwok makes Ready; `spec` may hold taints and the like, and `metadata` labels of its own."""
    metadata = spec.pop("metadata", {})
    labels = {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", **metadata.get("labels", {})}
    annotations = {**MANAGED, **metadata.get("annotations", {})}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels, "annotations": annotations},
        "spec": spec,
        "status": {
            "allocatable": _ALLOCATABLE,
            "capacity": _ALLOCATABLE,
            "images": [
                {
                    "names": [
                        f"registry.example/team/image-{n}@sha256:{n:064}",
                        f"registry.example/team/image-{n}:1.{n}",
                    ],
                    "sizeBytes": n,
                }
                for n in range(images)
            ],
        },
    }


def _budget(workload: Workload) -> dict[str, Any]:
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": workload.name},
        "spec": {"selector": {"matchLabels": {"app": workload.name}}, **(workload.budget or {})},
    }


def _ready_node(found: dict[str, Any]) -> str:
    conditions = found.get("status", {}).get("conditions") or ()
    ready = any(entry["type"] == "Ready" and entry["status"] == "True" for entry in conditions)
    untainted = not any(taint["key"] == "node.kubernetes.io/not-ready" for taint in found["spec"].get("taints") or ())
    return str(found["metadata"]["name"]) if ready and untainted else ""
