# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The nodes behind VMs, and how much of them is asked for and used; private to this collection."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ansible_collections.hybridk8s.estate.plugins.module_utils._drain.fit import target_of
from ansible_collections.hybridk8s.estate.plugins.module_utils._drain.model import Pod, pod_of, quantity
from ansible_collections.hybridk8s.estate.plugins.module_utils._drain.observe import PODS, pods_on
from ansible_collections.hybridk8s.estate.plugins.module_utils._ecs.model import Instance
from ansible_collections.hybridk8s.estate.plugins.module_utils._kube import Cluster, KubeError, Object
from ansible_collections.hybridk8s.estate.plugins.module_utils._nodes import read, ready

METRICS = "metrics.k8s.io"
_METRICS_SERVICE = f"/apis/apiregistration.k8s.io/v1/apiservices/v1beta1.{METRICS}"
_METRICS_OF_NODES = f"/apis/{METRICS}/v1beta1/nodes"
# The pods of so many nodes are asked for node by node; those of more come with all pods of the cluster.
_NODES_ALONE = 16


@dataclass(frozen=True)
class Amount:
    """Processors in cores, memory in bytes."""

    cpu: float = 0.0
    memory: float = 0.0

    @classmethod
    def of(cls, resources: Mapping[str, float]) -> Amount:
        return cls(resources.get("cpu", 0.0), resources.get("memory", 0.0))

    def __add__(self, other: Amount) -> Amount:
        return Amount(self.cpu + other.cpu, self.memory + other.memory)


@dataclass(frozen=True)
class Node:
    """A VM's node: what pods may have of it, what they asked for, and what they use where somebody measures that."""

    name: str
    ready: bool
    pods: int
    allocatable: Amount
    requested: Amount
    used: Amount | None = None


@dataclass(frozen=True)
class Seen:
    """What the cluster says. ``nodes`` are by the instance's id; ``strangers`` are nodes in the cloud's region, with
    their provider ids, for which there is no instance. ``error`` says why the cluster could not be asked,
    ``unmeasured`` why nobody knows what is used; both are empty where all is known."""

    nodes: Mapping[str, Node] = field(default_factory=dict)
    strangers: Mapping[str, str] = field(default_factory=dict)
    error: str = ""
    unmeasured: str = ""


def look(cluster: Cluster, instances: Sequence[Instance], region: str) -> Seen:
    """Read the nodes of these instances and the pods on them. Raises KubeError."""
    found = read(cluster, None)
    by_instance = dict(_matched(found, instances))
    names = sorted(by_instance.values())
    pods = _pods(cluster, names)
    used, unmeasured = _used(cluster) if names else ({}, "there is no node to measure.")
    known = {instance.provider_id for instance in instances}
    return Seen(
        {one: _node(found[name], pods[name], used.get(name)) for one, name in by_instance.items()},
        {
            name: provider
            for name, node in sorted(found.items())
            if (provider := _provider(node)).startswith(f"{region}.") and provider not in known
        },
        unmeasured=unmeasured,
    )


def _provider(node: Object) -> str:
    return str(node["spec"].get("providerID") or "")


def _matched(nodes: Mapping[str, Object], instances: Iterable[Instance]) -> Iterable[tuple[str, str]]:
    """Instances' ids and their nodes' names. A node without a provider id is known by its name."""
    by_provider = {_provider(node): name for name, node in nodes.items() if _provider(node)}
    for instance in instances:
        name = by_provider.get(instance.provider_id)
        if name is None and instance.name in nodes and not _provider(nodes[instance.name]):
            name = instance.name
        if name is not None:
            yield instance.id, name


def _pods(cluster: Cluster, names: Sequence[str]) -> Mapping[str, Sequence[Pod]]:
    if len(names) <= _NODES_ALONE:
        return pods_on(cluster, names)
    wanted = frozenset(names)

    def keep(raw: Object) -> Pod | None:
        return pod_of(raw) if raw["spec"].get("nodeName") in wanted else None

    by_node: dict[str, list[Pod]] = {name: [] for name in names}
    for pod in cluster.list(PODS, keep=keep):
        if pod is not None:
            by_node[pod.node].append(pod)
    return by_node


def _used(cluster: Cluster) -> tuple[dict[str, Amount], str]:
    """What nodes use, by name, or why that is not known."""
    try:
        service = cluster.get(_METRICS_SERVICE)
        if service is None:
            return {}, f"the cluster has no {METRICS}."
        conditions = service.get("status", {}).get("conditions") or ()
        available: Object = next((each for each in conditions if each.get("type") == "Available"), {})
        if available.get("status") != "True":
            return {}, f"{METRICS} does not answer: {available.get('message') or 'no reason given'}"
        found = cluster.list(_METRICS_OF_NODES)
    except KubeError as error:
        return {}, str(error)
    return {
        item["metadata"]["name"]: Amount.of({name: quantity(str(text)) for name, text in item["usage"].items()})
        for item in found
    }, ""


def _node(node: Object, pods: Iterable[Pod], used: Amount | None) -> Node:
    running = [pod for pod in pods if not pod.finished]
    return Node(
        name=node["metadata"]["name"],
        ready=ready(node)[0],
        pods=len(running),
        allocatable=Amount.of(target_of(node).allocatable),
        requested=sum((Amount.of(pod.needs.requests) for pod in running), Amount()),
        used=used,
    )
