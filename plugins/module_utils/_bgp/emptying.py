# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pods that move before their node becomes a reflector, or ceases to be one; private to this collection.

Such a node starts all its BGP sessions anew, and until they are up other nodes have no route to its pods (domain facts
A4; some seconds). So a node with pods is drained first, and takes pods again in the end. An annotation on the node says
that it is to take pods again: a run that ends in between is finished by the next one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Protocol

from ansible_collections.hybridk8s.estate.plugins.module_utils._bgp import objects, traffic
from ansible_collections.hybridk8s.estate.plugins.module_utils._bgp.objects import Write
from ansible_collections.hybridk8s.estate.plugins.module_utils._bgp.observed import Observed
from ansible_collections.hybridk8s.estate.plugins.module_utils._drain.model import pod_of
from ansible_collections.hybridk8s.estate.plugins.module_utils._plan import Step

EMPTIED_ANNOTATION = "estate.hybridk8s.io/emptied-for-bgp"
# What a cluster is made of endures some seconds, and a new one has nothing else.
SYSTEM_NAMESPACE = "kube-system"
PODS = "/api/v1/pods"
ROLE_CHANGES = frozenset({"promote", "demote"})


class Api(Protocol):
    """What is used of a Cluster."""

    def list(self, path: str, query: Mapping[str, Any] | None = None, **options: Any) -> list[Any]: ...


def turning(writes: Collection[Write]) -> list[str]:
    """The nodes that start all their sessions anew."""
    names = (write.name for write in writes if write.resource == objects.NODES and write.step.action in ROLE_CHANGES)
    return list(dict.fromkeys(names))


def occupied(api: Api, nodes: Collection[str]) -> list[str]:
    """Those of the nodes with pods that would notice and that can move."""
    return [
        name for name in nodes if any(api.list(PODS, {"fieldSelector": f"spec.nodeName={name}"}, keep=_would_notice))
    ]


def _would_notice(raw: dict[str, Any]) -> bool:
    pod = pod_of(raw)
    at_home = raw.get("spec", {}).get("hostNetwork", False)
    return not (pod.stays or pod.finished or at_home or pod.namespace == SYSTEM_NAMESPACE)


def reservations(observed: Observed, nodes: Collection[str]) -> Iterator[Write]:
    """The annotation on nodes that are about to be drained; not on those that took no pods before."""
    for name in nodes:
        node = observed.nodes[name]
        if node.schedulable and EMPTIED_ANNOTATION not in node.annotations:
            reason = "its pods move before it starts its sessions anew, and it takes pods again after that"
            yield _write("reserve", name, {"metadata": {"annotations": {EMPTIED_ANNOTATION: "true"}}}, reason)


def releases(observed: Observed) -> Iterator[Write]:
    """Nodes take pods again."""
    for name, node in sorted(observed.nodes.items()):
        if EMPTIED_ANNOTATION in node.annotations:
            body = {"metadata": {"annotations": {EMPTIED_ANNOTATION: None}}, "spec": {"unschedulable": None}}
            yield _write("release", name, body, "its sessions are up, so it takes pods again")


def _write(action: str, name: str, body: Mapping[str, Any], reason: str) -> Write:
    return Write("patch", objects.NODES, name, body, Step(action, f"Node/{name}", reason, traffic=traffic.NO_PATH))
