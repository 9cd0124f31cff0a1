# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Kubernetes itself: versions that work together, and a control plane that survives."""

from __future__ import annotations

from collections.abc import Iterator

from ansible_collections.hybridk8s.estate.plugins.module_utils._estate import model
from ansible_collections.hybridk8s.estate.plugins.module_utils._estate.rules._registry import (
    ERROR,
    WARNING,
    Problem,
    rule,
)

_ETCD = "etcd FAQ: what is failure tolerance; at most seven members"
_SKEW = "Kubernetes: Version Skew Policy, kubelet"
# kubeadm.k8s.io/v1beta4, the configuration that we write, came with 1.31.
_OLDEST = (1, 31)
_NEWEST_TESTED = (1, 37)
_KUBELET_MAY_LAG = 3
_MOST_CONTROL_PLANES = 7
_OLDEST_CONTAINERD = 2
# The oldest patch release of each containerd minor that works, by Kubernetes minor (containerd RELEASES.md).
CONTAINERD = {
    (1, 34): {(1, 7): 28, (2, 0): 6, (2, 1): 3},
    (1, 35): {(1, 7): 28, (2, 1): 5, (2, 2): 0},
    (1, 36): {(2, 2): 0, (2, 3): 0},
}
# From 1.0.0-rc94 on runc sets no limit of kernel memory.
RUNC_WITHOUT_KERNEL_MEMORY = model.Version(1, 0, 0)


@rule(
    "ES501-kubernetes-too-old",
    ERROR,
    "kubeadm before 1.31 does not read the configuration that we write",
    "kubeadm: kubeadm.k8s.io/v1beta4",
)
def kubernetes_too_old(estate: model.Estate) -> Iterator[Problem]:
    version = estate.kubernetes_version
    if version is not None and (version.major, version.minor) < _OLDEST:
        yield Problem("", "estate_kubernetes_version", f"{version} is too old.", "Use 1.31 or newer.")


@rule("ES502-kubernetes-untested", WARNING, "this release of the collection was not tested with it", "docs: versions")
def kubernetes_untested(estate: model.Estate) -> Iterator[Problem]:
    version = estate.kubernetes_version
    if version is not None and (version.major, version.minor) > _NEWEST_TESTED:
        yield Problem(
            "",
            "estate_kubernetes_version",
            f"{version} is newer than what this collection was tested with.",
            f"Use {_NEWEST_TESTED[0]}.{_NEWEST_TESTED[1]} or older, or a newer collection.",
        )


@rule(
    "ES503-even-control-planes", ERROR, "an even number of etcd members tolerates no more failures than one less", _ETCD
)
def even_control_planes(estate: model.Estate) -> Iterator[Problem]:
    count = len(estate.control_planes)
    if count and count % 2 == 0:
        yield Problem(
            "",
            "groups.control_plane",
            f"there are {count} control planes; one of them only makes a lost quorum more likely.",
            f"Use {count - 1} or {count + 1}.",
        )


@rule("ES504-many-control-planes", WARNING, "each write waits for the majority of the members", _ETCD)
def many_control_planes(estate: model.Estate) -> Iterator[Problem]:
    count = len(estate.control_planes)
    if count > _MOST_CONTROL_PLANES:
        yield Problem("", "groups.control_plane", f"there are {count} control planes.", "Use three or five.")


@rule("ES505-control-planes-in-one-rack", WARNING, "the rack's power or switch would take the whole API with it", _ETCD)
def control_planes_in_one_rack(estate: model.Estate) -> Iterator[Problem]:
    racks = {host.rack for host in estate.control_planes}
    if len(estate.control_planes) > 2 and len(racks) == 1 and len(estate.racks) > 1:
        yield Problem(
            "",
            "groups.control_plane",
            f"all control planes are in rack {racks.pop() or '(none)'}.",
            "Spread them over the racks.",
        )


@rule("ES511-kubelet-newer", ERROR, "a kubelet must not be newer than the API server", _SKEW)
def kubelet_newer(estate: model.Estate) -> Iterator[Problem]:
    for host, kubelet, api in _kubelets(estate):
        if kubelet > api:
            yield Problem(
                host.name,
                "kubernetes_node_version",
                f"kubelet {kubelet} is newer than the control plane ({api}).",
                "Upgrade the control plane first: raise estate_kubernetes_version.",
            )


@rule("ES512-kubelet-too-old", ERROR, "a kubelet may be three minor releases behind the API server, not more", _SKEW)
def kubelet_too_old(estate: model.Estate) -> Iterator[Problem]:
    for host, kubelet, api in _kubelets(estate):
        if kubelet.major != api.major or api.minor - kubelet.minor > _KUBELET_MAY_LAG:
            yield Problem(
                host.name,
                "kubernetes_node_version",
                f"kubelet {kubelet} is more than {_KUBELET_MAY_LAG} minor releases behind the control plane ({api}).",
                f"Use {api.major}.{api.minor - _KUBELET_MAY_LAG} or newer.",
            )


@rule(
    "ES513-containerd-does-not-fit",
    ERROR,
    "the kubelet refuses a runtime that lacks what it asks for",
    "containerd RELEASES.md",
)
def containerd_does_not_fit(estate: model.Estate) -> Iterator[Problem]:
    for host in estate.nodes.values():
        kubernetes = host.kubelet_version or estate.kubernetes_version
        containerd = host.containerd_version
        if kubernetes is None or containerd is None:
            continue
        fitting = _fitting(kubernetes)
        minor = (containerd.major, containerd.minor)
        if not fitting or minor > max(fitting) or containerd.patch >= fitting.get(minor, containerd.patch + 1):
            continue
        wanted = ", ".join(
            f"{major}.{least}.{patch}" for (major, least), patch in sorted(fitting.items(), reverse=True)
        )
        yield Problem(
            host.name,
            "container_runtime_containerd_version",
            f"containerd {containerd} does not work with Kubernetes {kubernetes}.",
            f"Use one of these or a later patch release of it: {wanted}.",
        )


@rule(
    "ES514-containerd-before-2",
    ERROR,
    "it does not read the configuration of version 3 that we write",
    "containerd RELEASES.md: configuration version 3 came with 2.0",
)
def containerd_before_2(estate: model.Estate) -> Iterator[Problem]:
    for host in estate.nodes.values():
        containerd = host.containerd_version
        if containerd is not None and containerd.major < _OLDEST_CONTAINERD:
            yield Problem(
                host.name,
                "container_runtime_containerd_version",
                f"containerd {containerd} reads configurations of version 2 at most.",
                "Use 2.0 or newer.",
            )


@rule(
    "ES515-runc-limits-kernel-memory",
    ERROR,
    "on kernels before 4.0 with cgroup v1, control groups of pods that ended stay until no pod can start any more",
    "Kubernetes issue 61937; runc 1.0.0-rc94",
)
def runc_limits_kernel_memory(estate: model.Estate) -> Iterator[Problem]:
    for host in estate.nodes.values():
        if host.runc_version is not None and host.runc_version < RUNC_WITHOUT_KERNEL_MEMORY:
            yield Problem(
                host.name,
                "container_runtime_runc_version",
                f"runc {host.runc_version} limits kernel memory, which leaks on old kernels.",
                f"Use {RUNC_WITHOUT_KERNEL_MEMORY} or newer, or leave the variable out.",
            )


def _fitting(kubernetes: model.Version) -> dict[tuple[int, int], int]:
    """What fits kubernetes: nothing is known of older ones, and what fitted the newest known is asked of newer ones."""
    minor = min((kubernetes.major, kubernetes.minor), max(CONTAINERD))
    return CONTAINERD.get(minor, {})


def _kubelets(estate: model.Estate) -> Iterator[tuple[model.Host, model.Version, model.Version]]:
    for host in estate.nodes.values():
        if host.kubelet_version is not None and estate.kubernetes_version is not None:
            yield host, host.kubelet_version, estate.kubernetes_version
