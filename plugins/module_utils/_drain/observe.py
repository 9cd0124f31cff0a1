# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reading what a drain is planned from; private to this collection.

What is read follows the nodes that are drained and the pods on them. Of the other nodes it is the list alone, and the
pods of a few until there is room enough for those that move.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from typing import Any

from ansible_collections.hybridk8s.estate.plugins.module_utils._drain.fit import (
    Free,
    Surroundings,
    Target,
    homeless,
    left_on,
    target_of,
)
from ansible_collections.hybridk8s.estate.plugins.module_utils._drain.model import Budget, Key, Pod, budget_of, pod_of
from ansible_collections.hybridk8s.estate.plugins.module_utils._drain.plan import NodeState, Observed, Rules
from ansible_collections.hybridk8s.estate.plugins.module_utils._drain.runs import Mark, Runs, mark_of
from ansible_collections.hybridk8s.estate.plugins.module_utils._kube import Cluster, Object, all_parallel, segment
from ansible_collections.hybridk8s.estate.plugins.module_utils._nodes import DRAINING, is_silent, read
from ansible_collections.hybridk8s.estate.plugins.module_utils._selector import as_query, node_selected

PODS = "/api/v1/pods"
BUDGETS = "/apis/policy/v1/poddisruptionbudgets"
ATTACHMENTS = "/apis/storage.k8s.io/v1/volumeattachments"
VOLUMES = "/api/v1/persistentvolumes"


@dataclass(frozen=True)
class MarkedNode:
    """A node with a mark: its text and what it says."""

    name: str
    text: str
    mark: Mark


@dataclass(frozen=True)
class View:
    """What was read: for the plan, and to go on from. ``versions`` are those of the collections before they were read;
    ``marked`` are the nodes with marks of runs that are over."""

    observed: Observed
    resource_versions: Mapping[str, str] = field(default_factory=dict)
    marked: Mapping[str, MarkedNode] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)


def observe(cluster: Cluster, names: Collection[str], rules: Rules, runs: Runs, patient: bool) -> View:
    """Everything that concerns a drain of these nodes, of which some may not exist."""
    versions = {PODS: version_of(cluster, PODS)}
    every = read(cluster, None)
    found = {name: every[name] for name in sorted(names) if name in every}
    marked = {name: made for name, node in every.items() if (made := _marked(node))}
    living = runs.going_on([node.mark for node in marked.values()], patient)
    pods = pods_on(cluster, list(found))
    budgets, versions[BUDGETS] = budgets_now(cluster)
    attached, versions[ATTACHMENTS] = attachments_now(cluster)
    moving = [pod for each in pods.values() for pod in each if not pod.stays and not rules.leaves(pod)]
    others = {name: node for name, node in every.items() if name not in found}
    volumes = _Volumes.read(cluster) if attached or any(pod.claims for pod in moving) else _Volumes()
    observed = Observed(
        nodes={name: _state(node, marked.get(name), living) for name, node in found.items()},
        pods=pods,
        budgets=budgets,
        homeless=homeless(
            [volumes.tied(pod) for pod in moving if not volumes.prison(pod, others)], _around(cluster, others, every)
        ),
        bound={pod.uid: where for pod in moving if (where := volumes.prison(pod, others))},
        unhealthy=_unhealthy(cluster, budgets, moving),
        attached=_leaving_volumes(attached, pods, rules, volumes),
        now=datetime.now(timezone.utc),
    )
    return View(
        observed,
        {name: node["metadata"].get("resourceVersion", "") for name, node in found.items()},
        {name: node for name, node in marked.items() if node.mark.run not in living},
        versions,
    )


def version_of(cluster: Cluster, path: str) -> str:
    """The version from which a watch of the collection sees all that changes from now on."""
    return _version(cluster.request("GET", path, query={"limit": 1}, allow=(404,)).json())


def pods_on(cluster: Cluster, nodes: Sequence[str]) -> dict[str, list[Pod]]:
    """The pods of these nodes."""
    return dict(
        all_parallel(lambda name: cluster.list(PODS, {"fieldSelector": f"spec.nodeName={name}"}, keep=pod_of), nodes)
    )


def budgets_now(cluster: Cluster) -> tuple[list[Budget], str]:
    """All disruption budgets, and their collection's version."""
    envelope = cluster.request("GET", BUDGETS, allow=(404,)).json()
    return [budget_of(raw) for raw in envelope.get("items") or ()], _version(envelope)


def attachments_now(cluster: Cluster) -> tuple[list[Object], str]:
    """All VolumeAttachments, and their collection's version."""
    envelope = cluster.request("GET", ATTACHMENTS, allow=(404,)).json()
    return envelope.get("items") or [], _version(envelope)


def _version(envelope: Mapping[str, Any]) -> str:
    return str(envelope.get("metadata", {}).get("resourceVersion", ""))


def _marked(node: Object) -> MarkedNode | None:
    text = (node["metadata"].get("annotations") or {}).get(DRAINING)
    return None if text is None else MarkedNode(node["metadata"]["name"], text, mark_of(text))


def _state(node: Object, marked: MarkedNode | None, living: Mapping[str, str]) -> NodeState:
    return NodeState(
        name=node["metadata"]["name"],
        schedulable=not node.get("spec", {}).get("unschedulable", False),
        marked=marked is not None,
        silent=is_silent(node),
        drained_by=f"{living[marked.mark.run]} ({marked.mark.run})" if marked and marked.mark.run in living else "",
        labels=node["metadata"].get("labels") or {},
    )


def _around(cluster: Cluster, others: Mapping[str, Object], every: Mapping[str, Object]) -> Surroundings:
    def free(targets: Sequence[Target]) -> Mapping[str, Free]:
        pods = pods_on(cluster, [target.name for target in targets])
        return {target.name: left_on(target, pods[target.name]) for target in targets}

    def guests(namespace: str, selector: Mapping[str, Any]) -> Sequence[Pod]:
        return _selected(cluster, namespace, selector)

    targets = [target_of(node) for node in others.values()]
    domains = {target.name: target for target in targets}
    domains.update({name: target_of(node) for name, node in every.items() if name not in domains})
    return Surroundings(targets, domains, free, guests)


def _selected(cluster: Cluster, namespace: str, selector: Mapping[str, Any] | None) -> list[Pod]:
    if selector is None:
        return []
    path = f"/api/v1/namespaces/{segment(namespace)}/pods"
    return cluster.list(path, {"labelSelector": as_query(selector)}, keep=pod_of)


def _unhealthy(cluster: Cluster, budgets: Iterable[Budget], moving: Sequence[Pod]) -> dict[Key, list[Pod]]:
    """The pods that are not ready, of budgets that allow nothing although they could."""
    asked = [
        budget
        for budget in budgets
        if not budget.allowed and budget.spare and any(budget.covers(pod) for pod in moving)
    ]
    covered = all_parallel(lambda budget: _selected(cluster, budget.namespace, budget.selector), asked)
    return {budget.key: [pod for pod in pods if not pod.ready and not pod.finished] for budget, pods in covered}


@dataclass(frozen=True)
class _Volumes:
    """PersistentVolumes: the claim that each is bound to, and where each can be reached from."""

    by_claim: Mapping[Key, str] = field(default_factory=dict)
    reach: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @classmethod
    def read(cls, cluster: Cluster) -> _Volumes:
        volumes = cluster.list(VOLUMES, keep=lambda raw: (raw["metadata"]["name"], raw.get("spec", {})))
        by_claim = {}
        for name, spec in volumes:
            claim = spec.get("claimRef") or {}
            by_claim[(claim.get("namespace", ""), claim.get("name", ""))] = name
        reach = {name: spec["nodeAffinity"]["required"] for name, spec in volumes if _required(spec)}
        return cls(by_claim, reach)

    def of(self, pod: Pod) -> list[str]:
        """The volumes that the pod uses."""
        return [self.by_claim[key] for claim in pod.claims if (key := (pod.namespace, claim)) in self.by_claim]

    def prison(self, pod: Pod, others: Mapping[str, Object]) -> str:
        """The volume of the pod that no other node reaches; empty when there is none."""
        if pod.finished or not pod.controller:
            return ""
        for name in self.of(pod):
            selector = self.reach.get(name)
            if selector and not any(_reaches(selector, node) for node in others.values()):
                return f"the volume {name}, which no other node reaches"
        return ""

    def tied(self, pod: Pod) -> Pod:
        """The pod, with where its volumes can be reached from among its needs."""
        reach = tuple(self.reach[name] for name in self.of(pod) if name in self.reach)
        return replace(pod, needs=replace(pod.needs, volumes=reach)) if reach else pod


def _required(spec: Mapping[str, Any]) -> Any:
    return (spec.get("nodeAffinity") or {}).get("required")


def _reaches(selector: Mapping[str, Any], node: Object) -> bool:
    return node_selected(selector, node["metadata"]["name"], node["metadata"].get("labels") or {})


def _leaving_volumes(
    attachments: Iterable[Object], pods: Mapping[str, Sequence[Pod]], rules: Rules, volumes: _Volumes
) -> dict[str, dict[str, str]]:
    """By node, the attachments that go with its pods: all but those of volumes that staying pods use."""
    kept = {
        name: {volume for pod in each if pod.stays or rules.leaves(pod) for volume in volumes.of(pod)}
        for name, each in pods.items()
    }
    leaving: dict[str, dict[str, str]] = {}
    for raw in attachments:
        node = raw["spec"]["nodeName"]
        volume = raw["spec"].get("source", {}).get("persistentVolumeName", "")
        if node in kept and volume not in kept[node]:
            leaving.setdefault(node, {})[raw["metadata"]["name"]] = volume or raw["metadata"]["name"]
    return leaving
