# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.hybridk8s.estate.plugins.filter import node_registration as registration
from ansible_collections.hybridk8s.estate.plugins.filter.node_states import FilterModule

from tests.unit.plugins.module_utils._estate.samples import Edits, edited

node_states = FilterModule().filters()["node_states"]
node_registration = registration.FilterModule().filters()["node_registration"]


def inventory(edits: Edits) -> tuple[dict[str, dict[str, Any]], dict[str, list[str]]]:
    raw = edited(edits)
    return {name: {**raw.estate, **variables} for name, variables in raw.hosts.items()}, raw.groups


def test_the_state_of_a_node() -> None:
    hostvars, groups = inventory({("w3", "node_labels"): {"a": "b"}})
    assert node_states(hostvars, groups, ["w3"]) == [
        {
            "name": "w3",
            "labels": {
                "a": "b",
                "estate.hybridk8s.io/node-class": "bare_metal",
                "estate.hybridk8s.io/rack": "r2",
                "k8s.aliyun.com/ignore-by-terway": "true",
                "topology.kubernetes.io/zone": "r2",
            },
            "annotations": {},
            "taints": [],
        }
    ]


def test_a_host_that_was_not_asked_for_is_not_read() -> None:
    hostvars, groups = inventory({("w1", "node_labels"): "broken"})
    assert node_states(hostvars, groups, ["w3"])


@pytest.mark.parametrize(("name", "message"), [("tor1", "tor1 is not a node"), ("nobody", "no host nobody")])
def test_a_name_that_is_no_node_is_refused(name: str, message: str) -> None:
    hostvars, groups = inventory({})
    with pytest.raises(AnsibleFilterError, match=message):
        node_states(hostvars, groups, [name])


def test_what_cannot_be_read_is_refused_with_every_reason() -> None:
    hostvars, groups = inventory({("w3", "node_labels"): "broken", ("w3", "node_taints"): ["x"]})
    with pytest.raises(AnsibleFilterError, match=r"(?s)2 errors.*ES003-wrong-type.*ES018-not-a-taint"):
        node_states(hostvars, groups, ["w3"])


def test_a_vm_registers_with_the_id_that_the_cloud_knows_it_by() -> None:
    hostvars, groups = inventory({("vm1", "ecs_provider_id"): "cn-shenzhen.i-1", ("vm1", "ecs_pool"): "online"})
    found = node_registration(hostvars, groups, "vm1")
    assert found["kubelet_args"] == {"provider-id": "cn-shenzhen.i-1"}
    assert found["labels"]["alibabacloud.com/external"] == "true"
    assert "kubelet_args" not in node_registration(hostvars, groups, "w1")
