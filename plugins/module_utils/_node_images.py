# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which images a node needs before it is Ready; pure; private to this collection."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.hybridk8s.estate.plugins.module_utils._selector import node_selected, selects

Object = dict[str, Any]

DAEMONSETS = "/apis/apps/v1/daemonsets"
CONTROL_PLANE_PODS = "/api/v1/namespaces/kube-system/pods"
CONTROL_PLANE_SELECTOR = "tier=control-plane"
_CRITICAL = "system-node-critical"


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
    return [spec for spec in specs if spec.get("priorityClassName") == _CRITICAL and goes_to(spec, name, own)]


def goes_to(spec: Object, name: str, labels: Mapping[str, str]) -> bool:
    """Whether node selector and required affinity of a pod let it come to a node of this name and these labels."""
    if not selects({"matchLabels": spec.get("nodeSelector") or {}}, labels):
        return False
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    return required is None or node_selected(required, name, labels)
