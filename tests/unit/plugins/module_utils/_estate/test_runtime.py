# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.hybridk8s.estate.plugins.module_utils._estate import derive, model, runtime
from ansible_collections.hybridk8s.estate.plugins.module_utils._estate.profile import Profile

from tests.unit.plugins.module_utils._estate.profile_cases import ONLINE, PROFILES
from tests.unit.plugins.module_utils._estate.samples import Edits, estate, judge

HEAD = {"apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration"}
WITH = {PROFILES: {"online": ONLINE}, ("w1", "runtime_profile"): "online"}


def with_profile(profile: dict[str, Any], more: Edits | None = None) -> model.Estate:
    return estate({PROFILES: {"online": profile}, ("w1", "runtime_profile"): "online", **(more or {})})


def profile(raw: dict[str, Any]) -> Profile:
    found = runtime.profile_of(with_profile(raw), with_profile(raw).hosts["w1"])
    assert found is not None
    return found


def test_the_profile_of_the_tests_is_right() -> None:
    assert [finding for finding in judge(WITH) if finding.severity == "error"] == []


def test_the_kubelets_configuration() -> None:
    assert runtime.kubelet_config(profile(ONLINE), 0, {}) == {
        **HEAD,
        "systemReserved": {"cpu": "500m", "memory": "1Gi", "ephemeral-storage": "10Gi"},
        "kubeReserved": {"cpu": "1", "memory": "924Mi"},
        "reservedSystemCPUs": "0-1",
        "reservedMemory": [
            {"numaNode": 0, "limits": {"memory": "1Gi"}},
            {"numaNode": 1, "limits": {"memory": "1Gi"}},
        ],
        "cpuManagerPolicy": "static",
        "cpuManagerPolicyOptions": {"full-pcpus-only": "true"},
        "memoryManagerPolicy": "Static",
        "topologyManagerPolicy": "restricted",
        "topologyManagerScope": "pod",
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "10%"},
        "evictionSoft": {"memory.available": "1Gi"},
        "evictionSoftGracePeriod": {"memory.available": "90s"},
        "evictionMaxPodGracePeriod": 60,
        "imageGCHighThresholdPercent": 80,
        "imageGCLowThresholdPercent": 70,
        "imageMaximumGCAge": "168h",
        "podPidsLimit": 4096,
        "maxPods": 200,
        "serializeImagePulls": False,
        "maxParallelImagePulls": 5,
        "shutdownGracePeriod": "60s",
        "shutdownGracePeriodCriticalPods": "20s",
        "containerLogMaxSize": "50Mi",
        "containerLogMaxFiles": 5,
    }


@pytest.mark.parametrize(
    ("over", "most_pods", "expected"),
    [
        ({}, 0, {}),
        ({}, 47, {"maxPods": 47}),
        ({"maxPods": 30}, 47, {"maxPods": 30}),
        ({"evictionHard": {"a": "1"}, "failCgroupV1": False}, 0, {"evictionHard": {"a": "1"}, "failCgroupV1": False}),
    ],
)
def test_without_a_profile_it_is_as_the_variables_have_it(
    over: dict[str, Any], most_pods: int, expected: dict[str, Any]
) -> None:
    assert runtime.kubelet_config(None, most_pods, over) == {**HEAD, **expected}
    assert runtime.kubelet_config(profile({}), most_pods, over) == {**HEAD, **expected}


@pytest.mark.parametrize(
    ("raw", "over", "most_pods", "expected"),
    [
        ({"max_pods": 200}, {}, 47, {"maxPods": 47}),
        ({"max_pods": 30}, {}, 47, {"maxPods": 30}),
        ({"max_pods": 30}, {"maxPods": 99}, 47, {"maxPods": 99}),
        ({"parallel_pulls": 1}, {}, 0, {"serializeImagePulls": True, "maxParallelImagePulls": 1}),
        (
            {f"{kind}_manager": {"policy": "none"} for kind in ("cpu", "memory", "topology")},
            {},
            0,
            {},
        ),
        (
            {"eviction": {"hard": {"memory.available": "1Gi", "pid.available": "5%"}}},
            {"evictionHard": {"memory.available": "100Mi"}},
            0,
            {"evictionHard": {"memory.available": "100Mi", "pid.available": "5%"}},
        ),
        ({"shutdown": {"total_seconds": 0, "critical_seconds": 0}}, {}, 0,
         {"shutdownGracePeriod": "0s", "shutdownGracePeriodCriticalPods": "0s"}),
        ({"image_gc": {"low_percent": 0}}, {}, 0, {"imageGCLowThresholdPercent": 0}),
    ],
)  # fmt: skip
def test_what_wins_over_a_profile(
    raw: dict[str, Any], over: dict[str, Any], most_pods: int, expected: dict[str, Any]
) -> None:
    assert runtime.kubelet_config(profile(raw), most_pods, over) == {**HEAD, **expected}


def test_a_vm_has_the_profile_of_its_pool_unless_it_has_its_own() -> None:
    pool = ("estate", "estate_cloud_pools", "online", "runtime_profile")
    both = {PROFILES: {"online": {}, "offline": {}}, pool: "online", ("vm1", "ecs_pool"): "online"}
    found = estate(both)
    assert runtime.profile_name(found, found.hosts["vm1"]) == "online"
    assert runtime.profile_name(found, found.hosts["w1"]) == ""
    assert runtime.profile_name(found, replace(found.hosts["vm1"], runtime_profile="offline")) == "offline"


def test_a_node_is_labelled_with_its_runtimes() -> None:
    found = with_profile({"runtimes": ["nvidia", "runc", "gvisor", "gvisor"]})
    labels = derive.node_labels(found, found.hosts["w1"])
    ours = {key: value for key, value in labels.items() if key.startswith(runtime.LABEL_PREFIX)}
    assert ours == {"runtime.hybridk8s.io/gvisor": "true", "runtime.hybridk8s.io/nvidia": "true"}
    assert not any(key.startswith(runtime.LABEL_PREFIX) for key in derive.node_labels(found, found.hosts["w2"]))


def test_the_handlers_are_those_of_the_profile() -> None:
    assert runtime.handlers(None) == runtime.handlers(profile({"runtimes": ["runc"]})) == {}
    assert runtime.handlers(profile({"runtimes": ["gvisor", "crun"]})) == {
        "gvisor": {
            "runtime_type": "io.containerd.runsc.v1",
            "options": {"TypeUrl": "io.containerd.runsc.v1.options", "ConfigPath": "/etc/containerd/runsc.toml"},
        },
        "crun": {"runtime_type": "io.containerd.runc.v2", "options": {"BinaryName": "/usr/local/bin/crun"}},
    }


@pytest.mark.parametrize(
    ("raw", "more", "kubelet", "expected"),
    [
        ({}, {}, {"failCgroupV1": False}, []),
        ({"runtimes": ["crun", "nvidia"]}, {}, {"failCgroupV1": False}, []),
        ({"runtimes": ["gvisor"]}, {}, {"failCgroupV1": False}, [{"kernel": "4.14.77"}]),
        (
            {"runtimes": ["kata"]},
            {},
            {"failCgroupV1": False},
            [{"path": "/dev/kvm"}, {"path": "/usr/local/bin/containerd-shim-kata-v2"}],
        ),
        ({}, {}, {}, [{"cgroup": 2}]),
        ({}, {("w1", "kubernetes_node_version"): "1.34.9"}, {}, []),
        ({}, {("w1", "kubernetes_node_version"): "1.35.0"}, {}, [{"cgroup": 2}]),
    ],
)
def test_what_a_host_needs(
    raw: dict[str, Any], more: Edits, kubelet: dict[str, Any], expected: list[dict[str, Any]]
) -> None:
    found = with_profile(raw, more)
    needs = runtime.needs(found, found.hosts["w1"], kubelet)
    assert [{key: value for key, value in need.items() if key != "reason"} for need in needs] == expected
    assert all(need["reason"] for need in needs)


def test_a_host_without_a_profile_needs_nothing_more() -> None:
    found = with_profile({"runtimes": ["kata"]})
    assert runtime.needs(found, found.hosts["w2"], {}) == []


def test_there_is_a_class_for_each_runtime_of_any_profile() -> None:
    raw = {"a": {"runtimes": ["kata", "runc"]}, "b": {"runtimes": ["gvisor", "kata"]}, "c": {}}
    assert runtime.classes(
        estate({PROFILES: raw}), {"gvisor": {"memory": "32Mi"}, "kata": {}, "crun": {"cpu": "1"}}
    ) == [
        {
            "apiVersion": "node.k8s.io/v1",
            "kind": "RuntimeClass",
            "metadata": {"name": "gvisor"},
            "handler": "gvisor",
            "overhead": {"podFixed": {"memory": "32Mi"}},
            "scheduling": {"nodeSelector": {"runtime.hybridk8s.io/gvisor": "true"}},
        },
        {
            "apiVersion": "node.k8s.io/v1",
            "kind": "RuntimeClass",
            "metadata": {"name": "kata"},
            "handler": "kata",
            "scheduling": {"nodeSelector": {"runtime.hybridk8s.io/kata": "true"}},
        },
    ]
    assert runtime.classes(estate(), {}) == []
