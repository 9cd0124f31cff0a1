# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Emptying nodes: which pods move and which block, cordon, evict, restore; private to this collection.

While a node that was schedulable is being drained it carries the annotation ``estate.hybridk8s.io/draining``. A run
that ends without taking it off leaves word of how the node was; the next run takes it from there.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from ansible_collections.hybridk8s.estate.plugins.module_utils._findings import Finding
from ansible_collections.hybridk8s.estate.plugins.module_utils._kube import (
    Cluster,
    KubeError,
    Object,
    Response,
    parallel,
    segment,
)
from ansible_collections.hybridk8s.estate.plugins.module_utils._nodes import DRAINING, path_of, read
from ansible_collections.hybridk8s.estate.plugins.module_utils._plan import Step

PODS = "/api/v1/pods"
_MIRROR = "kubernetes.io/config.mirror"
_POLL_SECONDS = 1.0
# Evictions that a budget refuses carry no Retry-After.
_RETRY_SECONDS = (1.0, 2.0, 4.0, 5.0)
_SHOWN_PODS = 10


class Interrupted(Exception):
    """The run is to end now; raised by whoever hears of it first, to have nodes restored on the way out."""


@dataclass(frozen=True)
class Rules:
    """What may be evicted though it is lost by it, and the grace period in seconds that replaces the pods' own."""

    force: bool = False
    emptydir: bool = False
    grace: int | None = None


@dataclass(frozen=True)
class Pod:
    """What matters of a pod that has to leave its node. ``leaving`` pods are being deleted already."""

    namespace: str
    name: str
    uid: str
    node: str
    leaving: bool = False

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True)
class NodeDrain:
    """The plan for one node. ``was_schedulable`` is how it was before the first run that began to drain it."""

    name: str
    schedulable: bool
    was_schedulable: bool
    marked: bool
    pods: tuple[Pod, ...]
    findings: tuple[Finding, ...]

    @property
    def steps(self) -> tuple[Step, ...]:
        """What a drain of this node does."""
        cordon = (_cordon_step(self),) if self.schedulable else ()
        return (*cordon, *(_evict_step(pod) for pod in self.pods if not pod.leaving))


def plan(node: Object, pods: Sequence[Object], rules: Rules) -> NodeDrain:
    """What has to leave ``node``, and what stands in the way of it as findings."""
    name = node["metadata"]["name"]
    schedulable = not node.get("spec", {}).get("unschedulable", False)
    marked = DRAINING in (node["metadata"].get("annotations") or {})
    moving = [pod for pod in pods if not _stays(pod)]
    return NodeDrain(
        name=name,
        schedulable=schedulable,
        was_schedulable=schedulable or marked,
        marked=marked,
        pods=tuple(_pod(pod, name) for pod in moving),
        findings=tuple(finding for pod in moving for finding in _blockers(pod, name, rules)),
    )


def _stays(pod: Object) -> bool:
    """Whether the pod belongs to the node itself: of a DaemonSet, or of a file on the host."""
    metadata = pod["metadata"]
    return _MIRROR in (metadata.get("annotations") or {}) or _controller(pod) == "DaemonSet"


def _controller(pod: Object) -> str:
    for owner in pod["metadata"].get("ownerReferences") or ():
        if owner.get("controller"):
            return str(owner["kind"])
    return ""


def _pod(pod: Object, node: str) -> Pod:
    metadata = pod["metadata"]
    return Pod(metadata["namespace"], metadata["name"], metadata["uid"], node, bool(metadata.get("deletionTimestamp")))


def _blockers(pod: Object, node: str, rules: Rules) -> list[Finding]:
    named = f"pod {pod['metadata']['namespace']}/{pod['metadata']['name']}"
    if pod["metadata"].get("deletionTimestamp") or pod.get("status", {}).get("phase") in ("Succeeded", "Failed"):
        return []
    found = []
    if not _controller(pod) and not rules.force:
        found.append(
            Finding(
                code="DR001-unmanaged-pod",
                severity="error",
                host=node,
                variable="force",
                message=f"{named} has no controller: nothing would start it again elsewhere.",
                remedy="Move or delete it, or set force.",
            )
        )
    volumes = [volume["name"] for volume in pod.get("spec", {}).get("volumes") or () if "emptyDir" in volume]
    if volumes and not rules.emptydir:
        found.append(
            Finding(
                code="DR002-local-data",
                severity="error",
                host=node,
                variable="delete_emptydir_data",
                message=f"{named} keeps data in emptyDir volumes ({', '.join(volumes)}): they are lost when it leaves.",
                remedy="Save what matters, or set delete_emptydir_data.",
            )
        )
    return found


@dataclass
class Drain:
    """Nodes on their way to being empty. ``done`` holds the steps that were taken, also after an error."""

    cluster: Cluster
    rules: Rules
    done: list[Step] = field(default_factory=list)
    drained: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    _to_restore: set[str] = field(default_factory=set)

    def observe(self, names: Sequence[str]) -> dict[str, NodeDrain]:
        """The plan for each of these nodes that exists."""
        nodes = read(self.cluster, names)
        pods = self._pods_on(list(nodes))
        return {name: plan(node, pods[name], self.rules) for name, node in nodes.items()}

    def run(self, plans: Mapping[str, NodeDrain], timeout: float) -> None:
        """Cordon the nodes, evict their pods and wait until they are gone.

        A node that is not empty after ``timeout`` seconds, or whose pods cannot be evicted, gets back the
        schedulability it had; so does every unfinished node when anything else ends the run.
        """
        deadline = self.clock() + timeout
        try:
            # Marked before it is asked for: the answer may be lost though the node is cordoned.
            self._to_restore = {name for name, planned in plans.items() if planned.was_schedulable}
            self._cordon([planned for planned in plans.values() if planned.schedulable])
            # Pods may have come between the first look and the cordon.
            plans = self.observe([name for name in plans if name not in self.failed])
            for planned in plans.values():
                if planned.findings:
                    self.failed[planned.name] = " ".join(finding.message for finding in planned.findings)
            self._empty({name: p for name, p in plans.items() if name not in self.failed}, deadline, timeout)
            self.drained = sorted(name for name in plans if name not in self.failed)
            self._unmark([name for name in self.drained if name in self._to_restore])
        finally:
            self._restore()

    def _cordon(self, plans: Sequence[NodeDrain]) -> None:
        patch = {"metadata": {"annotations": {DRAINING: "was schedulable"}}, "spec": {"unschedulable": True}}
        for outcome in parallel(lambda planned: self.cluster.merge(path_of(planned.name), patch), plans):
            if outcome.error:
                self.failed[outcome.item.name] = f"cannot be cordoned: {outcome.error}"
                if 400 <= outcome.error.status < 500:
                    self._to_restore.discard(outcome.item.name)
            else:
                self.done.append(_cordon_step(outcome.item))

    def _unmark(self, names: Sequence[str]) -> None:
        patch = {"metadata": {"annotations": {DRAINING: None}}}
        for outcome in parallel(lambda name: self.cluster.merge(path_of(name), patch), names):
            if outcome.error and outcome.error.status != 404:
                self.failed[outcome.item] = f"is empty, but its mark stays: {outcome.error}"
            self._to_restore.discard(outcome.item)

    def _restore(self) -> None:
        patch = {"metadata": {"annotations": {DRAINING: None}}, "spec": {"unschedulable": None}}
        names = sorted(self._to_restore)
        for outcome in parallel(lambda name: self.cluster.merge(path_of(name), patch), names):
            if not outcome.error:
                self.done.append(
                    Step("uncordon", f"node/{outcome.item}", "its drain did not end, and it was schedulable")
                )
            elif outcome.error.status != 404:
                why = self.failed.get(outcome.item, "its drain did not end")
                self.failed[outcome.item] = f"{why} It stays cordoned: {outcome.error}"

    def _empty(self, plans: Mapping[str, NodeDrain], deadline: float, timeout: float) -> None:
        """Evict until every pod is gone; a budget that has no room is asked again until the deadline."""
        waiting = {pod.uid: pod for planned in plans.values() for pod in planned.pods}
        due = {uid: self.clock() for uid, pod in waiting.items() if not pod.leaving}
        tries = dict.fromkeys(due, 0)
        refusals: dict[str, str] = {}
        while waiting:
            now = self.clock()
            ready = [waiting[uid] for uid, when in due.items() if when <= now and uid in waiting]
            for outcome in parallel(self._evict, ready):
                pod, answer = outcome.item, outcome.value
                if outcome.error or answer is None:
                    self.failed.setdefault(pod.node, f"pod {pod} cannot be evicted: {outcome.error}")
                    del waiting[pod.uid]
                elif answer.status in (429, 500):
                    refusals[pod.uid] = answer.message()
                    pause = _RETRY_SECONDS[min(tries[pod.uid], len(_RETRY_SECONDS) - 1)]
                    due[pod.uid] = now + (pause if answer.retry_after is None else answer.retry_after)
                    tries[pod.uid] += 1
                else:
                    del due[pod.uid]
                    refusals.pop(pod.uid, None)
                    if answer.status < 300:
                        self.done.append(_evict_step(pod))
            present = self._present(sorted({pod.node for pod in waiting.values()}))
            waiting = {uid: pod for uid, pod in waiting.items() if uid in present and pod.node not in self.failed}
            if waiting and self.clock() >= deadline:
                self._overdue(waiting, refusals, timeout)
                return
            if waiting:
                self.sleep(_POLL_SECONDS)

    def _evict(self, pod: Pod) -> Response:
        options: Object = {"preconditions": {"uid": pod.uid}}
        if self.rules.grace is not None:
            options["gracePeriodSeconds"] = self.rules.grace
        body = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": pod.name, "namespace": pod.namespace},
            "deleteOptions": options,
        }
        path = f"/api/v1/namespaces/{segment(pod.namespace)}/pods/{segment(pod.name)}/eviction"
        # 404 and 409 (another uid): that pod is gone. 429: its budget has no room now. 500: more than one budget.
        answer = self.cluster.request("POST", path, body=body, allow=(403, 404, 409, 429, 500))
        if answer.status == 403 and "is being terminated" not in answer.message():
            raise KubeError(f"{answer.message()} (HTTP 403).", 403)
        return answer

    def _overdue(self, waiting: Mapping[str, Pod], refusals: Mapping[str, str], timeout: float) -> None:
        said: dict[str, list[str]] = {}
        for uid, pod in waiting.items():
            said.setdefault(pod.node, []).append(f"{pod} ({refusals.get(uid) or 'evicted, but not gone'})")
        for node, pods in said.items():
            more = [f"and {len(pods) - _SHOWN_PODS} more"] if len(pods) > _SHOWN_PODS else []
            listed = "; ".join([*sorted(pods)[:_SHOWN_PODS], *more])
            self.failed[node] = f"not empty after {timeout:g} s: {listed}."

    def _present(self, nodes: Sequence[str]) -> set[str]:
        return {pod["metadata"]["uid"] for pods in self._pods_on(nodes).values() for pod in pods}

    def _pods_on(self, nodes: Sequence[str]) -> dict[str, list[Object]]:
        outcomes = parallel(lambda name: self.cluster.list(PODS, {"fieldSelector": f"spec.nodeName={name}"}), nodes)
        for outcome in outcomes:
            if outcome.error:
                raise outcome.error
        return {outcome.item: outcome.value or [] for outcome in outcomes}


def _cordon_step(planned: NodeDrain) -> Step:
    return Step("cordon", f"node/{planned.name}", f"{len(planned.pods)} pods have to leave")


def _evict_step(pod: Pod) -> Step:
    return Step("evict", f"pod/{pod}", f"{pod.node} is drained")


def blockers(plans: Mapping[str, NodeDrain]) -> list[Finding]:
    """Every finding of the plans, in order of the nodes."""
    return [finding for name in sorted(plans) for finding in plans[name].findings]


def refusal(findings: Sequence[Finding]) -> KubeError:
    """The error that says why a drain does not begin."""
    listed = " ".join(f"{finding.host}: {finding.message}" for finding in findings)
    remedies = dict.fromkeys(finding.remedy for finding in findings)
    return KubeError(f"nothing is drained. {listed}", remedy=" ".join(remedies))
