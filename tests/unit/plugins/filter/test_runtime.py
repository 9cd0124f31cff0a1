# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.hybridk8s.estate.plugins.filter import held_hosts, node_runtime, runtime_classes

from tests.unit.plugins.module_utils._estate.profile_cases import PROFILES
from tests.unit.plugins.module_utils._estate.samples import Edits, edited

held = held_hosts.FilterModule().filters()["held_hosts"]
runtime_of = node_runtime.FilterModule().filters()["node_runtime"]
classes = runtime_classes.FilterModule().filters()["runtime_classes"]
HEAD = {"apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration"}
WITH: Edits = {PROFILES: {"online": {"max_pods": 60, "runtimes": ["gvisor"]}}, ("w1", "runtime_profile"): "online"}


def inventory(edits: Edits) -> tuple[dict[str, dict[str, Any]], dict[str, list[str]]]:
    raw = edited(edits)
    return {name: {**raw.estate, **variables} for name, variables in raw.hosts.items()}, raw.groups


def test_a_host_without_a_profile_is_as_its_variables_have_it() -> None:
    for edits in ({}, WITH):
        assert runtime_of(*inventory(edits), "w2", {"failCgroupV1": False}, 47) == {
            "kubelet": {**HEAD, "maxPods": 47, "failCgroupV1": False},
            "handlers": {},
            "requires": [],
        }


def test_a_host_with_a_profile() -> None:
    found = runtime_of(*inventory(WITH), "w1", {"failCgroupV1": False})
    assert found["kubelet"] == {**HEAD, "maxPods": 60, "failCgroupV1": False}
    assert list(found["handlers"]) == ["gvisor"]
    assert found["requires"] == [{"kernel": "4.14.77", "reason": "runtime gvisor"}]
    assert {"cgroup"} & set(runtime_of(*inventory(WITH), "w1")["requires"][-1]), "unless cgroup v1 is allowed"


def test_the_hosts_that_were_not_asked_for_are_not_read() -> None:
    hostvars, groups = inventory({**WITH, ("w2", "runtime_profile"): 5})
    assert runtime_of(hostvars, groups, "w1")["handlers"]
    with pytest.raises(AnsibleFilterError, match="ES003-wrong-type"):
        runtime_of(hostvars, groups, "w2")


def test_the_classes_are_those_of_the_estate() -> None:
    assert [document["metadata"]["name"] for document in classes(*inventory(WITH), "cp1")] == ["gvisor"]
    assert classes(*inventory({}), "cp1") == []


def test_a_host_is_held_if_any_of_its_results_says_so() -> None:
    hostvars: dict[str, Any] = {
        "w1": {"runtime": {"held": []}, "kubelet": {"held": ["kubelet.service"]}},
        "w2": {"runtime": {"held": ["containerd.service"]}},
        "w3": {"runtime": {"held": []}, "other": {"held": ["x"]}},
        "w4": {"runtime": {"msg": "unreachable"}},
        "w5": {},
    }
    assert held(hostvars, ["w5", "w4", "w3", "w2", "w1"], ["runtime", "kubelet"]) == ["w2", "w1"]
    assert held({}, ["w1"], ["runtime"]) == []
