# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which images a node needs before it is Ready; pure; private to this collection."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

Object = dict[str, Any]

DAEMONSETS = "/apis/apps/v1/daemonsets"
CONTROL_PLANE_PODS = "/api/v1/namespaces/kube-system/pods"
CONTROL_PLANE_SELECTOR = "tier=control-plane"
_CRITICAL = "system-node-critical"
_OPERATORS: dict[str, Callable[[str | None, Sequence[str]], bool]] = {
    "In": lambda has, values: has in values,
    "NotIn": lambda has, values: has not in values,
    "Exists": lambda has, _values: has is not None,
    "DoesNotExist": lambda has, _values: has is None,
}


def images_of(templates: Iterable[Object]) -> set[str]:
    """The images in these pod specs."""
    return {
        container["image"]
        for spec in templates
        for container in (*(spec.get("initContainers") or ()), *(spec.get("containers") or ()))
    }


def critical_specs(daemonsets: Iterable[Object], name: str, labels: Mapping[str, str]) -> list[Object]:
    """The pod specs of the DaemonSets that a node of these labels needs to be Ready: those of the node's own class of
    priority, network and proxy. Others may be large, and no pod waits for them."""
    own = {"kubernetes.io/os": "linux", "kubernetes.io/hostname": name, **labels}
    specs = [daemonset["spec"]["template"]["spec"] for daemonset in daemonsets]
    return [spec for spec in specs if spec.get("priorityClassName") == _CRITICAL and goes_to(spec, own)]


def goes_to(spec: Object, labels: Mapping[str, str]) -> bool:
    """Whether node selector and required affinity of a pod let it come to a node of these labels. What compares
    numbers or fields is taken as met."""
    selector = spec.get("nodeSelector") or {}
    if any(labels.get(key) != value for key, value in selector.items()):
        return False
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or {}
    terms = required.get("nodeSelectorTerms")
    return not terms or any(_meets(term, labels) for term in terms)


def _meets(term: Object, labels: Mapping[str, str]) -> bool:
    return all(
        _OPERATORS[one["operator"]](labels.get(one["key"]), one.get("values") or ())
        for one in term.get("matchExpressions") or ()
        if one["operator"] in _OPERATORS
    )
