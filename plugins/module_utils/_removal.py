# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which nodes may be deleted, and what has to be let go before; pure; private to this collection.

A host is known to be dead by the API alone: the node lifecycle controller has called its node's Ready Unknown, and its
kubelet has not renewed its lease since. No clock of ours is needed for that. What is bound to a dead host is let go by
the cluster's own controllers once the node carries the out-of-service taint: pods that no kubelet will end, volumes
that no kubelet will unmount. https://kubernetes.io/docs/concepts/cluster-administration/node-shutdown/
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ansible_collections.hybridk8s.estate.plugins.module_utils._bgp.domains import domains_of
from ansible_collections.hybridk8s.estate.plugins.module_utils._findings import Finding
from ansible_collections.hybridk8s.estate.plugins.module_utils._kube import OWN_PREFIX, Object
from ansible_collections.hybridk8s.estate.plugins.module_utils._nodes import ready
from ansible_collections.hybridk8s.estate.plugins.module_utils._plan import Step

CONTROL_PLANE_LABEL = "node-role.kubernetes.io/control-plane"
OUT_OF_SERVICE = {"key": "node.kubernetes.io/out-of-service", "value": "nodeshutdown", "effect": "NoExecute"}
# On a node whose out-of-service taint is ours, until the node goes.
REMOVING = OWN_PREFIX + "removing"

REMOVED, ABSENT, REFUSED, FAILED, NOT_STARTED = "removed", "absent", "refused", "failed", "not_started"
SETTLED = (REMOVED, ABSENT)

_MIRROR = "kubernetes.io/config.mirror"
_FINISHED = ("Succeeded", "Failed")


@dataclass(frozen=True)
class Standing:
    """What a node is to the estate. ``domains`` are the failure domains of a reflector."""

    name: str
    ready: bool
    control_plane: bool
    domains: frozenset[str] = frozenset()

    @property
    def reflector(self) -> bool:
        return bool(self.domains)


@dataclass(frozen=True)
class Seen:
    """A node that is to go: ``answers`` says why its host is taken for alive, empty when it is silent; ``pods`` and
    ``volumes`` have to be let go first; ``marked`` says that our taint of an earlier run is on it."""

    standing: Standing
    uid: str
    answers: str
    schedulable: bool = True
    marked: bool = False
    pods: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether something is bound to it that has to be let go."""
        return bool(self.pods or self.volumes)


@dataclass(frozen=True)
class Removal:
    """What is to be done about one name: a ``state`` of REMOVED is the wish, the others are final."""

    name: str
    state: str
    seen: Seen | None = None
    findings: tuple[Finding, ...] = ()

    @property
    def steps(self) -> tuple[Step, ...]:
        """What it comes to, in order."""
        if self.seen is None:
            return ()
        node = f"node/{self.name}"
        if self.state == REFUSED:
            came_back = self.seen.marked and bool(self.seen.answers)
            return (Step("untaint", node, "its host came back while it was being removed"),) if came_back else ()
        gone = Step("delete", node, "its host leaves the cluster" if self.seen.answers else "its host is silent")
        return (release_step(self.seen), gone) if self.seen.holds else (gone,)


def release_step(seen: Seen) -> Step:
    """The taint that lets go of what is bound to a node."""
    counted = f"{len(seen.pods)} pods and {len(seen.volumes)} volume attachments are let go"
    return Step("taint", f"node/{seen.standing.name}", counted)


def answers(node: Object, lease: Object | None) -> str:
    """Why this node's host is taken for alive; empty when it has fallen silent."""
    renewed = _renewed(node, lease)
    said = f"its lease was renewed at {renewed}" if renewed else "it has no lease"
    condition = _ready_condition(node)
    if condition is None:
        return said if renewed else ""
    status = str(condition.get("status"))
    if status != "Unknown":
        return f"Ready is {status}, {said}"
    since = str(condition.get("lastTransitionTime") or "")
    if renewed and since and _time(renewed) > _time(since):
        return f"{said}, after Ready became Unknown at {since}"
    return ""


def standing(node: Object) -> Standing:
    """What a node is to the estate."""
    labels = node["metadata"].get("labels") or {}
    return Standing(
        name=node["metadata"]["name"],
        ready=ready(node)[0],
        control_plane=CONTROL_PLANE_LABEL in labels,
        domains=domains_of(labels),
    )


def holds(pod: Object) -> bool:
    """Whether a pod on a silent node has to be let go before the node: a controller waits for it to be gone.

    Pods that stay for as long as the node does, the taint or not, don't count: those of DaemonSets, static pods, those
    that tolerate it. The cluster deletes them once there is no node.
    """
    metadata, spec = pod["metadata"], pod.get("spec", {})
    if _MIRROR in (metadata.get("annotations") or {}) or pod.get("status", {}).get("phase") in _FINISHED:
        return False
    if any(owner.get("kind") == "DaemonSet" for owner in metadata.get("ownerReferences") or ()):
        return False
    return bool(metadata.get("deletionTimestamp")) or not any(map(_tolerates, spec.get("tolerations") or ()))


def plan(
    names: Sequence[str], seen: Mapping[str, Seen], others: Sequence[Standing], left: Collection[str]
) -> dict[str, Removal]:
    """What to do about each name. ``others`` are control planes and reflectors of the cluster, which may be among the
    names; ``left`` are those whose hosts are told to have left, or to be leaving."""
    staying = [node for node in others if node.ready and node.name not in names]
    made: dict[str, Removal] = {}
    for name in dict.fromkeys(names):
        node = seen.get(name)
        if node is None:
            made[name] = Removal(name, ABSENT)
            continue
        findings = tuple(_refusals(node, staying, left))
        made[name] = Removal(name, REFUSED if findings else REMOVED, node, findings)
    return made


def mark_patch(node: Object) -> Object:
    """The merge patch that puts the taint on a node, as ours; empty when it is there, whoever put it on."""
    taints = list(node.get("spec", {}).get("taints") or ())
    if any(taint.get("key") == OUT_OF_SERVICE["key"] for taint in taints):
        return {}
    return {
        "metadata": {
            "annotations": {REMOVING: "the taint out-of-service lasts until the node goes"},
            "resourceVersion": node["metadata"].get("resourceVersion"),
        },
        "spec": {"taints": [*taints, OUT_OF_SERVICE]},
    }


def unmark_patch(node: Object) -> Object:
    """The merge patch that takes our taint off a node again; empty when none of ours is on it."""
    if not marked(node):
        return {}
    taints = [taint for taint in node.get("spec", {}).get("taints") or () if taint.get("key") != OUT_OF_SERVICE["key"]]
    return {
        "metadata": {
            "annotations": {REMOVING: None},
            "resourceVersion": node["metadata"].get("resourceVersion"),
        },
        "spec": {"taints": taints or None},
    }


def marked(node: Object) -> bool:
    """Whether a run of ours has put the taint on."""
    return REMOVING in (node["metadata"].get("annotations") or {})


def blocks_remain(name: str, blocks: Sequence[str], seconds: float) -> Finding:
    """Calico has not given a removed node's addresses back."""
    return Finding(
        code="NR004-blocks-remain",
        severity="warning",
        host=name,
        variable="",
        message=f"its Calico blocks {', '.join(blocks)} are still its own after {seconds:g} s.",
        remedy="calico-kube-controllers releases them; see that it runs, and its log.",
    )


def volumes_remain(name: str, volumes: Sequence[str]) -> Finding:
    """A node is gone and volumes are still attached to it."""
    return Finding(
        code="NR005-volumes-remain",
        severity="warning",
        host=name,
        variable="",
        message=f"there is no node, but VolumeAttachments are left: {', '.join(volumes)}.",
        remedy="The cluster detaches them about 6 minutes after the node went. If not, see the log of the CSI driver.",
    )


def _refusals(node: Seen, staying: Sequence[Standing], left: Collection[str]) -> list[Finding]:
    name = node.standing.name
    found: list[Finding] = []
    if node.answers and name not in left:
        found.append(
            Finding(
                "NR001-host-answers",
                "error",
                name,
                "left",
                f"its host answers: {node.answers}.",
                "Remove it with hybridk8s.estate.remove, which drains it and has it leave. If its host lost its power"
                " just now, wait until Ready is Unknown. If its host has left the cluster, name it in left.",
            )
        )
    if node.standing.control_plane and not any(other.control_plane for other in staying):
        found.append(
            Finding(
                "NR002-last-control-plane",
                "error",
                name,
                "names",
                "no other control plane would be Ready.",
                "Bring another host of the group control_plane up, or join one, first. A whole cluster ends with"
                " hybridk8s.estate.reset and a --limit of all of its hosts.",
            )
        )
    if node.standing.reflector and node.standing.ready and not any(other.reflector for other in staying):
        found.append(
            Finding(
                "NR003-last-reflector",
                "error",
                name,
                "names",
                "no other route reflector would be Ready, and every node would lose its routes.",
                "Put another node into the group route_reflectors and run hybridk8s.estate.bgp first.",
            )
        )
    return found


def _renewed(node: Object, lease: Object | None) -> str:
    """When the kubelet of this very node renewed its lease; a lease may outlive the node whose name it has."""
    if lease is None:
        return ""
    owners = {owner.get("uid") for owner in lease["metadata"].get("ownerReferences") or ()}
    if owners and node["metadata"].get("uid") not in owners:
        return ""
    return str(lease.get("spec", {}).get("renewTime") or "")


def _ready_condition(node: Object) -> Object | None:
    conditions = node.get("status", {}).get("conditions") or ()
    return next((condition for condition in conditions if condition.get("type") == "Ready"), None)


def _tolerates(toleration: Mapping[str, Any]) -> bool:
    if toleration.get("effect", "") not in ("", OUT_OF_SERVICE["effect"]) or "tolerationSeconds" in toleration:
        return False
    if toleration.get("operator", "Equal") == "Exists":
        return toleration.get("key", "") in ("", OUT_OF_SERVICE["key"])
    return toleration.get("key") == OUT_OF_SERVICE["key"] and toleration.get("value", "") == OUT_OF_SERVICE["value"]


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))
