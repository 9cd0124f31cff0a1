# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What follows from runtime profiles: the kubelet's configuration, containerd's handlers, and what pods choose a node
by; private to this collection.

A node that has a runtime beside runc carries the label ``runtime.hybridk8s.io/NAME`` with the value ``true``, and the
RuntimeClass of that name selects it, so that no pod comes to a node that cannot run it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.hybridk8s.estate.plugins.module_utils._estate import model
from ansible_collections.hybridk8s.estate.plugins.module_utils._estate import profile as types
from ansible_collections.hybridk8s.estate.plugins.module_utils._kubeadm import merged

LABEL_PREFIX = "runtime.hybridk8s.io/"
RUNC_SHIM = "io.containerd.runc.v2"
# From this release on the kubelet refuses cgroup v1 unless failCgroupV1 is false.
CGROUP_2_SINCE = (1, 35)
_OWN_POLICY = {types.NONE: "", "": ""}
_HANDLERS: Mapping[str, Mapping[str, Any]] = {
    types.GVISOR: {
        "runtime_type": "io.containerd.runsc.v1",
        "options": {"TypeUrl": "io.containerd.runsc.v1.options", "ConfigPath": "/etc/containerd/runsc.toml"},
    },
    types.CRUN: {"runtime_type": RUNC_SHIM, "options": {"BinaryName": "/usr/local/bin/crun"}},
    # Kata's guest must not get the host's devices because a pod is privileged.
    types.KATA: {"runtime_type": "io.containerd.kata.v2", "privileged_without_host_devices": True},
    types.NVIDIA: {"runtime_type": RUNC_SHIM, "options": {"BinaryName": "/usr/bin/nvidia-container-runtime"}},
}
# gVisor: user guide, installation. Kata Containers: installation with containerd, the shim is looked for on PATH.
_NEEDS: Mapping[str, tuple[Mapping[str, Any], ...]] = {
    types.GVISOR: ({"kernel": "4.14.77"},),
    types.KATA: ({"path": "/dev/kvm"}, {"path": "/usr/local/bin/containerd-shim-kata-v2"}),
}


def profile_name(estate: model.Estate, host: model.Host) -> str:
    """The profile that the host is to have: its own, else that of its pool."""
    pool = estate.vm_pools.get(host.vm.pool)
    return host.runtime_profile or (pool.runtime_profile if pool is not None else "")


def profile_of(estate: model.Estate, host: model.Host) -> types.Profile | None:
    """The host's profile, None where it has none or one that the inventory does not know."""
    return estate.profiles.get(profile_name(estate, host))


def labels(estate: model.Estate, host: model.Host) -> dict[str, str]:
    """The labels by which pods find the host's runtimes."""
    profile = profile_of(estate, host)
    return {f"{LABEL_PREFIX}{name}": "true" for name in (profile.runtimes if profile is not None else ())}


def handlers(profile: types.Profile | None) -> dict[str, dict[str, Any]]:
    """containerd's runtimes beside runc, by name, each as its table in containerd's configuration."""
    return {name: dict(_HANDLERS[name]) for name in (profile.runtimes if profile is not None else ())}


def needs(estate: model.Estate, host: model.Host, kubelet: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What the host must have for its profile: the option ``requires`` of module ``host_state``.

    ``kubelet`` is the kubelet's configuration as the host will have it.
    """
    profile = profile_of(estate, host)
    if profile is None:
        return []
    wanted = [{**need, "reason": f"runtime {name}"} for name in profile.runtimes for need in _NEEDS.get(name, ())]
    version = host.kubelet_version or estate.kubernetes_version
    if version is not None and (version.major, version.minor) >= CGROUP_2_SINCE and kubelet.get("failCgroupV1", True):
        wanted.append({"cgroup": 2, "reason": f"Kubernetes {version} (or failCgroupV1: false in its configuration)"})
    return wanted


def kubelet_config(profile: types.Profile | None, most_pods: int, over: Mapping[str, Any]) -> dict[str, Any]:
    """The KubeletConfiguration of a node: what the profile says, below ``over``.

    ``most_pods`` is how many pods the node's network has room for, 0 where that is not known.
    """
    config: dict[str, Any] = {"apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration"}
    if profile is not None:
        config.update(_without_unset(_of_profile(profile)))
    if most_pods:
        config["maxPods"] = min(most_pods, config.get("maxPods", most_pods))
    return merged(config, over)


def _of_profile(profile: types.Profile) -> dict[str, Any]:
    limits, eviction, managers, shutdown = profile.limits, profile.eviction, profile.managers, profile.shutdown
    pulls = limits.parallel_pulls
    return {
        "systemReserved": _texts(profile.reserved.system),
        "kubeReserved": _texts(profile.reserved.kube),
        "reservedSystemCPUs": profile.reserved.cpus,
        "reservedMemory": [
            {"numaNode": node, "limits": {"memory": amount.text}}
            for node, amount in sorted(profile.reserved.memory.items())
        ],
        # "none" is what a kubelet does unasked: left out, it is no difference to a node without the setting.
        "cpuManagerPolicy": _OWN_POLICY.get(managers.cpu, managers.cpu),
        "cpuManagerPolicyOptions": dict(managers.cpu_options),
        "memoryManagerPolicy": _OWN_POLICY.get(managers.memory, managers.memory.capitalize()),
        "topologyManagerPolicy": _OWN_POLICY.get(managers.topology, managers.topology),
        "topologyManagerScope": managers.topology_scope,
        "evictionHard": _texts(eviction.hard),
        "evictionSoft": _texts(eviction.soft),
        "evictionSoftGracePeriod": {name: f"{seconds}s" for name, seconds in eviction.soft_grace_seconds.items()},
        "evictionMaxPodGracePeriod": eviction.max_pod_grace_seconds,
        "imageGCHighThresholdPercent": limits.image_gc_high_percent,
        "imageGCLowThresholdPercent": limits.image_gc_low_percent,
        "imageMaximumGCAge": _duration(limits.image_max_age_hours, "h"),
        "podPidsLimit": limits.pod_pids,
        "maxPods": limits.max_pods,
        "serializeImagePulls": None if pulls is None else pulls == 1,
        "maxParallelImagePulls": pulls,
        "shutdownGracePeriod": _duration(shutdown.total_seconds, "s"),
        "shutdownGracePeriodCriticalPods": _duration(shutdown.critical_seconds, "s"),
        "containerLogMaxSize": limits.log_max_size.text if limits.log_max_size is not None else None,
        "containerLogMaxFiles": limits.log_files,
    }


def classes(estate: model.Estate, overheads: Mapping[str, Mapping[str, str]]) -> list[dict[str, Any]]:
    """The RuntimeClasses of all profiles' runtimes; ``overheads`` is what a pod costs beside its containers."""
    wanted = {name for profile in estate.profiles.values() for name in profile.runtimes}
    return [
        {
            "apiVersion": "node.k8s.io/v1",
            "kind": "RuntimeClass",
            "metadata": {"name": name},
            "handler": name,
            **({"overhead": {"podFixed": dict(overheads[name])}} if overheads.get(name) else {}),
            "scheduling": {"nodeSelector": {f"{LABEL_PREFIX}{name}": "true"}},
        }
        for name in types.RUNTIMES
        if name in wanted
    ]


def _texts(amounts: Mapping[str, types.Quantity] | Mapping[str, types.Threshold]) -> dict[str, str]:
    return {name: amount.text for name, amount in amounts.items()}


def _duration(amount: int | None, unit: str) -> str | None:
    return None if amount is None else f"{amount}{unit}"


def _without_unset(config: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in config.items() if value not in (None, "", [], {})}
