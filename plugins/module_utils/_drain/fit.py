# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether pods that leave their nodes find a place on others; private to this collection.

Judged as the scheduler filters: cordons, taints, node selectors and required node affinity, required distance from
other pods, and what is left of cores, memory, devices and pod places. Pods of different needs are judged one kind at a
time, as if the others stayed away, and spreading constraints are left out: what is called homeless has no place, but
what is not may still wait for one.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.hybridk8s.estate.plugins.module_utils._drain.model import Needs, Pod, quantity
from ansible_collections.hybridk8s.estate.plugins.module_utils._kube import Object
from ansible_collections.hybridk8s.estate.plugins.module_utils._selector import node_selected, selects

Free = Mapping[str, float]

_HOSTNAME = "kubernetes.io/hostname"
_CORDON = "node.kubernetes.io/unschedulable"
# A kubelet that reports anything reports these; other resources exist only where they are reported.
_EVERYWHERE = ("cpu", "memory", "ephemeral-storage", "pods")
# How many nodes are read at first, and twice as many each time until there is room enough.
_CHUNK = 8


@dataclass(frozen=True)
class Target:
    """A node that pods may move to. ``allocatable`` is empty as long as its kubelet has not said what it has."""

    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    taints: Sequence[Mapping[str, Any]] = ()
    allocatable: Mapping[str, float] = field(default_factory=dict)

    def domain(self, key: str) -> str:
        """The node's value of a topology key."""
        return self.labels.get(key, self.name if key == _HOSTNAME else "")


@dataclass(frozen=True)
class Surroundings:
    """What the moving pods find. ``free`` reads what these nodes have left; ``guests`` are the pods of a namespace that
    a LabelSelector selects, wherever they are."""

    targets: Sequence[Target]
    domains: Mapping[str, Target]
    free: Callable[[Sequence[Target]], Mapping[str, Free]]
    guests: Callable[[str, Mapping[str, Any]], Sequence[Pod]]


def target_of(node: Object) -> Target:
    """A node as a place for pods."""
    metadata, spec = node["metadata"], node.get("spec", {})
    taints = list(spec.get("taints") or ())
    if spec.get("unschedulable") and not any(taint["key"] == _CORDON for taint in taints):
        taints.append({"key": _CORDON, "effect": "NoSchedule"})
    allocatable = node.get("status", {}).get("allocatable") or {}
    return Target(
        metadata["name"],
        metadata.get("labels") or {},
        [taint for taint in taints if taint.get("effect") in ("NoSchedule", "NoExecute")],
        {name: quantity(str(text)) for name, text in allocatable.items()},
    )


def left_on(target: Target, pods: Iterable[Pod]) -> Free:
    """What the node has left beside these pods; those that are leaving or have ended take nothing for long."""
    left = dict(target.allocatable)
    for pod in pods:
        if pod.leaving or pod.finished:
            continue
        for name, amount in pod.needs.requests.items():
            if name in left:
                left[name] -= amount
    return left


def homeless(moving: Sequence[Pod], around: Surroundings) -> dict[str, str]:
    """Why a pod has no place elsewhere, by its uid; pods that nothing makes again are not asked for."""
    known: dict[str, Free] = {}
    found: dict[str, str] = {}
    leaving = {pod.uid for pod in moving}
    for kin in _alike(pod for pod in moving if pod.controller and not pod.finished):
        fitting = [target for target in around.targets if not _misfit(kin[0].needs, target)]
        fitting = [target for target in fitting if not _crowded(kin[0], target, _occupied(kin[0], leaving, around))]
        places = _places(kin, fitting, known, around)
        if places >= len(kin):
            continue
        why = _reason(kin, places, fitting, around.targets)
        found.update((pod.uid, why) for pod in kin[places:])
    return found


def _alike(pods: Iterable[Pod]) -> list[list[Pod]]:
    """The pods in groups of the same needs."""
    groups: dict[str, list[Pod]] = {}
    for pod in pods:
        own = [pod.namespace, pod.labels] if pod.needs.apart else []
        groups.setdefault(json.dumps([vars(pod.needs), own], sort_keys=True), []).append(pod)
    return list(groups.values())


def _misfit(needs: Needs, target: Target) -> str:
    """Why the node is none for these needs, whatever else runs there; empty when it may be."""
    for taint in target.taints:
        if not any(_tolerates(toleration, taint) for toleration in needs.tolerations):
            return "cordoned" if taint["key"] == _CORDON else f"taint {taint['key']}"
    if any(target.labels.get(key) != value for key, value in needs.selector.items()):
        return "node selector"
    if needs.affinity is not None and not node_selected(needs.affinity, target.name, target.labels):
        return "node affinity"
    if not all(node_selected(reach, target.name, target.labels) for reach in needs.volumes):
        return "out of a volume's reach"
    return ""


def _tolerates(toleration: Mapping[str, Any], taint: Mapping[str, Any]) -> bool:
    if toleration.get("effect") and toleration["effect"] != taint["effect"]:
        return False
    if toleration.get("operator", "Equal") == "Exists":
        return not toleration.get("key") or toleration["key"] == taint["key"]
    same_value: bool = (toleration.get("value") or "") == (taint.get("value") or "")
    return toleration.get("key") == taint["key"] and same_value


Occupied = Mapping[str, frozenset[str]]


def _occupied(pod: Pod, leaving: set[str], around: Surroundings) -> Occupied:
    """By topology key, the domains where pods stay that this one must be apart from."""
    taken: dict[str, set[str]] = {}
    for term in pod.needs.apart:
        key = term["topologyKey"]
        for namespace in term.get("namespaces") or (pod.namespace,):
            for guest in around.guests(namespace, term.get("labelSelector") or {}):
                if guest.uid not in leaving and not guest.finished and guest.node in around.domains:
                    taken.setdefault(key, set()).add(around.domains[guest.node].domain(key))
    return {key: frozenset(domains) for key, domains in taken.items()}


def _crowded(pod: Pod, target: Target, occupied: Occupied) -> bool:
    return any(target.domain(term["topologyKey"]) in occupied.get(term["topologyKey"], ()) for term in pod.needs.apart)


def _places(kin: Sequence[Pod], fitting: Sequence[Target], known: dict[str, Free], around: Surroundings) -> int:
    """How many of these pods the nodes take; nodes are read only until there are enough."""
    needs = kin[0].needs
    own_terms = [term for term in needs.apart if selects(term.get("labelSelector"), kin[0].labels)]
    apart_by = own_terms[0]["topologyKey"] if own_terms else ""
    per_domain: Counter[str] = Counter()
    unread = [target for target in fitting if target.name not in known]
    for target in fitting:
        if target.name in known:
            _count(per_domain, target, needs.requests, known, apart_by)
    size = _CHUNK
    while unread and per_domain.total() < len(kin):
        chunk, unread = unread[:size], unread[size:]
        size *= 2
        known.update(around.free(chunk))
        for target in chunk:
            _count(per_domain, target, needs.requests, known, apart_by)
    return min(len(kin), per_domain.total())


def _count(
    per_domain: Counter[str], target: Target, requests: Mapping[str, float], known: Mapping[str, Free], apart_by: str
) -> None:
    """Add the pods that the node takes to those of its domain; where they must be apart, a domain takes one."""
    slots = _slots(requests, known[target.name], bool(target.allocatable))
    if not apart_by:
        per_domain[target.name] = slots
        return
    domain = target.domain(apart_by)
    per_domain[domain] = max(per_domain[domain], min(1, slots))


_ENOUGH = 1_000_000


def _slots(requests: Mapping[str, float], free: Free, reported: bool) -> int:
    slots = _ENOUGH
    for name, amount in requests.items():
        if name not in free and (not reported or name in _EVERYWHERE):
            continue
        # A sum of tenths is not exact.
        slots = min(slots, int(free.get(name, 0.0) / amount + 1e-9))
    return max(0, slots)


def _reason(kin: Sequence[Pod], places: int, fitting: Sequence[Target], targets: Sequence[Target]) -> str:
    if places:
        return f"the other nodes have room for {places} of {len(kin)} such pods"
    reasons = Counter(why for target in targets if (why := _misfit(kin[0].needs, target)))
    full = len(fitting)
    apart = len(targets) - full - reasons.total()
    said = [f"{count} {why}" for why, count in reasons.most_common()]
    said += [f"{apart} with a pod that it must be apart from"] if apart else []
    said += [f"{full} without room"] if full else []
    return f"none of the {len(targets)} other nodes takes it ({', '.join(said) or 'there are none'})"
