# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What can be wrong with runtime profiles, for test_findings."""

from __future__ import annotations

from typing import Any

from tests.unit.plugins.module_utils._estate.samples import GONE, Case, Edits

PROFILES = ("estate", "estate_runtime_profiles")
VARIABLE = "estate_runtime_profiles.online"
ONLINE: dict[str, Any] = {
    "reserved": {
        "system": {"cpu": "500m", "memory": "1Gi", "ephemeral-storage": "10Gi"},
        "kube": {"cpu": 1, "memory": "924Mi"},
        "cpus": "0-1",
        "memory": {0: "1Gi", 1: "1Gi"},
    },
    "cpu_manager": {"policy": "static", "options": {"full-pcpus-only": "true"}},
    "memory_manager": {"policy": "static"},
    "topology_manager": {"policy": "restricted", "scope": "pod"},
    "eviction": {
        "hard": {"memory.available": "100Mi", "nodefs.available": "10%"},
        "soft": {"memory.available": "1Gi"},
        "soft_grace_seconds": {"memory.available": 90},
        "max_pod_grace_seconds": 60,
    },
    "image_gc": {"high_percent": 80, "low_percent": 70, "max_age_hours": 168},
    "container_logs": {"max_size": "50Mi", "files": 5},
    "shutdown": {"total_seconds": 60, "critical_seconds": 20},
    "max_pods": 200,
    "pod_pids_limit": 4096,
    "parallel_pulls": 5,
    "runtimes": ["runc", "gvisor"],
}


def online(*path: str, value: Any) -> Edits:
    """The profile ``online`` with another value at ``path``."""
    return {PROFILES: {"online": ONLINE}, (*PROFILES, "online", *path): value}


def _case(code: str, *path: str, value: Any, at: str = "", fine: Any = None) -> Case:
    """A value that is wrong where it is or ``at`` another path, and one that is not."""
    variable = f"{VARIABLE}.{at or '.'.join(path)}"
    return Case(code, online(*path, value=value), "", variable, {} if fine is None else online(*path, value=fine))


PROFILE_CASES = [
    Case("ES003-wrong-type", {PROFILES: ["online"]}, "", "estate_runtime_profiles", {PROFILES: {"online": ONLINE}}),
    Case("ES003-wrong-type", {("w1", "runtime_profile"): 5}, "w1", "runtime_profile"),
    _case("ES003-wrong-type", "runtimes", value="gvisor"),
    _case("ES003-wrong-type", "reserved", "cpus", value=["0", "1"], fine=0),
    _case("ES005-unknown-key", "cpus", value=2),
    _case("ES005-unknown-key", "reserved", "kubelet", value={}),
    _case("ES005-unknown-key", "reserved", "system", "pid", value="100"),
    _case("ES005-unknown-key", "eviction", "hard", "memory.free", value="1Gi"),
    _case("ES005-unknown-key", "eviction", "soft_grace_seconds", "memory", value=5),
    _case("ES005-unknown-key", "shutdown", "grace", value=5),
    _case("ES006-missing-key", "cpu_manager", value={"options": {}}, at="cpu_manager.policy"),
    _case("ES006-missing-key", "shutdown", value={"critical_seconds": 5}, at="shutdown.total_seconds"),
    _case("ES009-unknown-choice", "cpu_manager", "policy", value="Static", fine="static"),
    _case("ES009-unknown-choice", "topology_manager", "policy", value="strict", fine="single-numa-node"),
    _case("ES009-unknown-choice", "topology_manager", "scope", value="node", fine="container"),
    _case("ES009-unknown-choice", "runtimes", value=["runsc"], at="runtimes[0]", fine=["nvidia", "crun", "kata"]),
    _case("ES016-not-a-string", "cpu_manager", "options", "full-pcpus-only", value=True),
    _case("ES019-not-a-number", "max_pods", value=0, fine=1),
    _case("ES019-not-a-number", "pod_pids_limit", value=-1),
    _case("ES019-not-a-number", "parallel_pulls", value="5", fine=1),
    _case("ES019-not-a-number", "container_logs", "files", value=1, fine=2),
    _case("ES019-not-a-number", "image_gc", "high_percent", value=101),
    _case("ES019-not-a-number", "eviction", "soft_grace_seconds", "memory.available", value="90s", fine=0),
    _case("ES019-not-a-number", "reserved", "memory", "numa0", value="1Gi"),
    _case("ES022-not-a-quantity", "reserved", "system", "memory", value="1 GB", fine="1G"),
    _case("ES022-not-a-quantity", "reserved", "kube", "cpu", value="-1", fine="1.5"),
    _case("ES022-not-a-quantity", "reserved", "kube", "cpu", value=0.5, fine="500m"),
    _case("ES022-not-a-quantity", "eviction", "hard", "nodefs.available", value="10 %", fine="7.5%"),
    _case("ES022-not-a-quantity", "container_logs", "max_size", value="50MB", fine="50M"),
    Case(
        "ES514-containerd-before-2",
        {("w1", "container_runtime_containerd_version"): "1.7.28", ("estate", "estate_kubernetes_version"): "1.35.0"},
        "w1",
        "container_runtime_containerd_version",
        {("w1", "container_runtime_containerd_version"): "2.0.6", ("estate", "estate_kubernetes_version"): "1.34.0"},
    ),
    Case(
        "ES703-label-is-ours",
        {("w1", "node_labels"): {"runtime.hybridk8s.io/kata": "true"}},
        "w1",
        "node_labels.runtime.hybridk8s.io/kata",
    ),
    Case(
        "ES881-unknown-profile",
        {PROFILES: {"online": ONLINE}, ("w1", "runtime_profile"): "onlin"},
        "w1",
        "runtime_profile",
        {PROFILES: {"online": ONLINE}, ("w1", "runtime_profile"): "online"},
    ),
    Case(
        "ES881-unknown-profile",
        {("estate", "estate_cloud_pools", "online", "runtime_profile"): "online"},
        "",
        "estate_cloud_pools.online.runtime_profile",
        {PROFILES: {"online": ONLINE}, ("estate", "estate_cloud_pools", "online", "runtime_profile"): "online"},
    ),
    _case(
        "ES882-soft-eviction-without-grace",
        "eviction",
        "soft_grace_seconds",
        value=GONE,
        at="eviction.soft_grace_seconds.memory.available",
        fine={"memory.available": 0},
    ),
    _case("ES883-soft-eviction-below-hard", "eviction", "soft", "memory.available", value="100Mi", fine="101Mi"),
    _case("ES883-soft-eviction-below-hard", "eviction", "soft", "nodefs.available", value="5%", fine="11%"),
    _case("ES884-threshold-out-of-bounds", "eviction", "hard", "nodefs.available", value="110%", fine="100%"),
    _case("ES884-threshold-out-of-bounds", "eviction", "hard", "nodefs.available", value="0", fine="0%"),
    _case(
        "ES885-image-gc-never-ends", "image_gc", value={"high_percent": 70, "low_percent": 70}, fine={"low_percent": 84}
    ),
    _case("ES885-image-gc-never-ends", "image_gc", value={"low_percent": 85}, fine={"high_percent": 81}),
    _case("ES885-image-gc-never-ends", "image_gc", value={"high_percent": 80}, fine={"max_age_hours": 1}),
    _case("ES886-static-without-cpus", "reserved", "cpus", value=GONE, fine="0,2,4-6"),
    _case("ES887-not-a-list-of-cpus", "reserved", "cpus", value="1-0", fine="0-0"),
    _case("ES887-not-a-list-of-cpus", "reserved", "cpus", value="0-1,", fine="7"),
    _case("ES887-not-a-list-of-cpus", "reserved", "cpus", value="all"),
    _case("ES888-cpu-manager-options", "cpu_manager", "options", "full-pcpu-only", value="true"),
    _case("ES888-cpu-manager-options", "cpu_manager", "options", "align-by-socket", value="true"),
    _case(
        "ES888-cpu-manager-options",
        "cpu_manager",
        "policy",
        value="none",
        at="cpu_manager.options.full-pcpus-only",
        fine="static",
    ),
    _case("ES889-memory-does-not-add-up", "reserved", "memory", value={0: "2Gi", 1: "1Mi"}, fine={0: "2Gi"}),
    _case("ES889-memory-does-not-add-up", "memory_manager", value=GONE, at="reserved.memory"),
    _case("ES889-memory-does-not-add-up", "reserved", "memory", value=GONE, fine={0: "1124Mi", 1: "924Mi"}),
    _case("ES889-memory-does-not-add-up", "eviction", "hard", "memory.available", value="5%"),
    _case("ES890-shutdown-too-short", "shutdown", "critical_seconds", value=61, fine=60),
    Case(
        "ES891-nvidia-without-gpu",
        {**online("runtimes", value=["nvidia"]), ("w1", "runtime_profile"): "online"},
        "w1",
        "runtime_profile",
        {**online("runtimes", value=["nvidia"]), ("w3", "runtime_profile"): "online"},
    ),
    Case(
        "ES892-crun-without-checksum",
        {**online("runtimes", value=["crun"]), ("w1", "runtime_profile"): "online"},
        "w1",
        "container_runtime_sha256.crun",
        {
            **online("runtimes", value=["crun"]),
            ("w1", "runtime_profile"): "online",
            ("w1", "container_runtime_sha256"): {"crun": "0" * 64},
        },
    ),
    Case("ES003-wrong-type", {("w1", "container_runtime_sha256"): "0"}, "w1", "container_runtime_sha256"),
]
