# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a drain looks at, read from the API's JSON: pods, disruption budgets; private to this collection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any

from ansible_collections.hybridk8s.estate.plugins.module_utils._kube import Object
from ansible_collections.hybridk8s.estate.plugins.module_utils._selector import selects

_MIRROR = "kubernetes.io/config.mirror"
_FINISHED = ("Succeeded", "Failed")
_DEFAULT_GRACE = 30
# Their controllers take these off by themselves.
_KEPT_BY_CONTROLLERS = frozenset({"batch.kubernetes.io/job-tracking", "foregroundDeletion", "orphan"})
_WILL_NOT_START = frozenset(
    {
        "CrashLoopBackOff",
        "CreateContainerConfigError",
        "CreateContainerError",
        "ErrImageNeverPull",
        "ErrImagePull",
        "ImagePullBackOff",
        "InvalidImageName",
    }
)

Key = tuple[str, str]


@dataclass(frozen=True)
class Needs:
    """What a pod asks of a node before it may run there; ``affinity`` is its required node affinity.

    ``volumes`` says from which nodes each of its volumes is reached, ``apart`` which pods it keeps away from.
    ``requests`` counts what the scheduler counts: cores, bytes, devices, and one of ``pods``.
    """

    selector: Mapping[str, str] = field(default_factory=dict)
    affinity: Mapping[str, Any] | None = None
    volumes: Sequence[Mapping[str, Any]] = ()
    apart: Sequence[Mapping[str, Any]] = ()
    tolerations: Sequence[Mapping[str, Any]] = ()
    requests: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Pod:
    """What matters of a pod that is to leave its node.

    ``controller`` is the kind of the object that makes it again, empty when nothing does. ``leaving_since`` is when
    it should have ended, ``ready_since`` when it became ready or ceased to be, ``started`` how many seconds it took
    from its making to Ready; ``hopeless`` says why it will not become ready by itself.
    """

    namespace: str
    name: str
    uid: str
    node: str
    controller: str = ""
    stays: bool = False
    phase: str = "Running"
    ready: bool = True
    leaving_since: datetime | None = None
    ready_since: datetime | None = None
    started: float | None = None
    grace: int = _DEFAULT_GRACE
    labels: Mapping[str, str] = field(default_factory=dict)
    scratch: tuple[str, ...] = ()
    claims: tuple[str, ...] = ()
    finalizers: tuple[str, ...] = ()
    needs: Needs = Needs()
    hopeless: str = ""

    @property
    def leaving(self) -> bool:
        """Whether it is being deleted already."""
        return self.leaving_since is not None

    @property
    def finished(self) -> bool:
        """Whether its containers have ended for good."""
        return self.phase in _FINISHED

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True)
class Budget:
    """A PodDisruptionBudget as its controller sees it. ``allowed`` is how many pods may go now.

    ``seen`` says that the controller knows the budget as it is now; ``spare`` is how many may be gone at once when all
    are healthy; ``disrupted`` are the pods that have been let go and are not known to be gone yet.
    """

    namespace: str
    name: str
    selector: Mapping[str, Any] | None
    allowed: int
    healthy: int
    desired: int
    expected: int
    seen: bool = True
    unready_always: bool = False
    disrupted: frozenset[str] = frozenset()

    @property
    def key(self) -> Key:
        return (self.namespace, self.name)

    @property
    def spare(self) -> int:
        return max(0, self.expected - self.desired)

    def covers(self, pod: Pod) -> bool:
        """Whether the pod is one of those that the budget guards."""
        return pod.namespace == self.namespace and selects(self.selector, pod.labels)

    def guards(self, pod: Pod) -> bool:
        """Whether the API server asks this budget before it lets the pod go.

        Pods that do not run, or run and are not ready while enough others are, go at once.
        """
        if pod.leaving or pod.finished or pod.phase == "Pending":
            return False
        if pod.ready:
            return True
        return not (self.unready_always or self.healthy >= self.desired > 0)

    def __str__(self) -> str:
        return f"PodDisruptionBudget {self.namespace}/{self.name}"


def pod_of(raw: Object) -> Pod:
    """A pod from the API's JSON."""
    metadata, spec, status = raw["metadata"], raw.get("spec", {}), raw.get("status", {})
    kind = _controller(metadata)
    conditions = {entry["type"]: entry for entry in status.get("conditions") or ()}
    ready = conditions.get("Ready", {})
    grace = spec.get("terminationGracePeriodSeconds")
    made, turned = _time(metadata.get("creationTimestamp")), _time(ready.get("lastTransitionTime"))
    return Pod(
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        node=spec.get("nodeName", ""),
        controller=kind,
        stays=_MIRROR in (metadata.get("annotations") or {}) or kind == "DaemonSet",
        phase=status.get("phase", "Running"),
        ready=ready.get("status") == "True",
        leaving_since=_time(metadata.get("deletionTimestamp")),
        ready_since=turned or made,
        started=(turned - made).total_seconds() if made and turned and ready.get("status") == "True" else None,
        grace=_DEFAULT_GRACE if grace is None else int(grace),
        labels=metadata.get("labels") or {},
        scratch=tuple(volume["name"] for volume in spec.get("volumes") or () if "emptyDir" in volume),
        claims=tuple(_claims(metadata["name"], spec)),
        finalizers=tuple(key for key in metadata.get("finalizers") or () if key not in _KEPT_BY_CONTROLLERS),
        needs=_needs(spec),
        hopeless=_hopeless(status, conditions),
    )


def budget_of(raw: Object) -> Budget:
    """A PodDisruptionBudget from the API's JSON; one whose last change its controller has not seen allows nothing."""
    metadata, spec, status = raw["metadata"], raw.get("spec", {}), raw.get("status", {})
    seen = status.get("observedGeneration", 0) >= metadata.get("generation", 0)
    return Budget(
        namespace=metadata["namespace"],
        name=metadata["name"],
        selector=spec.get("selector"),
        allowed=int(status.get("disruptionsAllowed", 0)) if seen else 0,
        healthy=int(status.get("currentHealthy", 0)),
        desired=int(status.get("desiredHealthy", 0)),
        expected=int(status.get("expectedPods", 0)),
        seen=seen,
        unready_always=spec.get("unhealthyPodEvictionPolicy") == "AlwaysAllow",
        disrupted=frozenset(status.get("disruptedPods") or ()),
    )


def requests_of(spec: Mapping[str, Any]) -> dict[str, float]:
    """What the scheduler sets aside for a pod: its containers together, or its largest init container, and overhead."""
    together: dict[str, float] = {}
    largest: dict[str, float] = {}
    for container in spec.get("initContainers") or ():
        asked = _quantities(container)
        if container.get("restartPolicy") == "Always":
            _add(together, asked)
        for name, amount in asked.items():
            largest[name] = max(largest.get(name, 0.0), amount)
    for container in spec.get("containers") or ():
        _add(together, _quantities(container))
    total = {name: max(together.get(name, 0.0), largest.get(name, 0.0)) for name in {*together, *largest}}
    total.update(_quantities(spec))
    _add(total, {name: quantity(text) for name, text in (spec.get("overhead") or {}).items()})
    total["pods"] = 1.0
    return {name: amount for name, amount in total.items() if amount}


@lru_cache(maxsize=1024)
def quantity(text: str) -> float:
    """A Kubernetes quantity such as 250m, 4Gi or 1e3 as a number; ValueError for what is none."""
    for suffix, factor in _FACTORS.items():
        if text.endswith(suffix):
            return float(text[: -len(suffix)]) * factor
    return float(text)


# Longer suffixes first: M would take the end of nothing else, but i belongs to its letter.
_FACTORS = {
    **{f"{letter}i": 1024.0 ** (place + 1) for place, letter in enumerate("KMGTPE")},
    "n": 1e-9,
    "u": 1e-6,
    "m": 1e-3,
    **{letter: 1000.0 ** (place + 1) for place, letter in enumerate("kMGTPE")},
}


def _needs(spec: Mapping[str, Any]) -> Needs:
    affinity = spec.get("affinity") or {}
    required = "requiredDuringSchedulingIgnoredDuringExecution"
    return Needs(
        selector=spec.get("nodeSelector") or {},
        affinity=(affinity.get("nodeAffinity") or {}).get(required),
        apart=(affinity.get("podAntiAffinity") or {}).get(required) or (),
        tolerations=spec.get("tolerations") or (),
        requests=requests_of(spec),
    )


def _controller(metadata: Mapping[str, Any]) -> str:
    for owner in metadata.get("ownerReferences") or ():
        if owner.get("controller"):
            return str(owner["kind"])
    return ""


def _claims(name: str, spec: Mapping[str, Any]) -> list[str]:
    claims = []
    for volume in spec.get("volumes") or ():
        if "persistentVolumeClaim" in volume:
            claims.append(volume["persistentVolumeClaim"]["claimName"])
        if "ephemeral" in volume:
            claims.append(f"{name}-{volume['name']}")
    return claims


def _hopeless(status: Mapping[str, Any], conditions: Mapping[str, Mapping[str, Any]]) -> str:
    """Why the pod will not become ready by itself, as far as its status says so."""
    scheduled = conditions.get("PodScheduled", {})
    if scheduled.get("status") == "False" and scheduled.get("reason") == "Unschedulable":
        return "Unschedulable"
    for container in (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())):
        reason = (container.get("state") or {}).get("waiting", {}).get("reason", "")
        if reason in _WILL_NOT_START:
            return str(reason)
    return ""


def _quantities(holder: Mapping[str, Any]) -> dict[str, float]:
    asked = (holder.get("resources") or {}).get("requests") or {}
    return {name: quantity(str(text)) for name, text in asked.items()}


def _add(total: dict[str, float], more: Mapping[str, float]) -> None:
    for name, amount in more.items():
        total[name] = total.get(name, 0.0) + amount


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text.replace("Z", "+00:00")) if text else None
