# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The VPC on the simulated cloud, signatures and all: what is planted is found."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hybridk8s.estate.plugins.modules import terway_vpc

from tests.fakecloud import world
from tests.fakecloud.server import FakeCloud
from tests.unit.plugins.modules.cluster_fake import run

KEY = world.EXAMPLE["keys"][0]
D, E = "cn-shenzhen-d", "cn-shenzhen-e"
GOOD: dict[str, Any] = {
    "region": "cn-shenzhen",
    "vpc": "vpc-1",
    "cidrs": ["172.20.0.0/16"],
    "node_vswitches": {
        D: {"id": "vsw-node-d", "cidr": "172.20.16.0/20"},
        E: {"id": "vsw-node-e", "cidr": "172.20.32.0/20"},
    },
    "pod_vswitches": {
        D: {"id": "vsw-pod-d", "cidr": "172.20.128.0/19"},
        E: {"id": "vsw-pod-e", "cidr": "172.20.160.0/19"},
    },
    "security_groups": ["sg-1"],
    "instance_types": ["ecs.g7.xlarge", "ecs.g6.xlarge"],
    "vms": 4,
}
OTHERS = {
    "vpcs": [
        *world.EXAMPLE["vpcs"],
        {"id": "vpc-2", "cidr": "172.21.0.0/16", "secondary_cidrs": ["192.168.0.0/16"]},
    ],
    "security_groups": [*world.EXAMPLE["security_groups"], {"id": "sg-2", "vpc": "vpc-2"}],
    "vswitches": [
        *world.EXAMPLE["vswitches"],
        {"id": "vsw-other", "vpc": "vpc-2", "zone": D, "cidr": "172.21.0.0/24"},
        {"id": "vsw-small", "vpc": "vpc-1", "zone": D, "cidr": "172.20.1.0/29"},
    ],
    "instance_types": [
        *world.EXAMPLE["instance_types"],
        {"id": "ecs.t6.small", "cpus": 1, "memory_gib": 1, "eni_quantity": 1, "addresses_per_eni": 2},
    ],
}
Judge = Callable[..., dict[str, Any]]


@pytest.fixture
def judge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Judge]:
    with FakeCloud(tmp_path / "cloud", world.parse(OTHERS)) as fake:

        def ask(secret: str = KEY["secret"], **changes: Any) -> dict[str, Any]:
            access = {
                "credentials": {"access_key_id": KEY["id"], "access_key_secret": secret},
                "endpoints": {"ecs": fake.endpoint, "vpc": fake.endpoint, "scheme": "http"},
            }
            return run(terway_vpc, monkeypatch, **{**GOOD, **access, **changes})

        yield ask


def codes(result: dict[str, Any]) -> list[str]:
    return [finding["code"] for finding in result["findings"]]


def test_a_vpc_as_the_inventory_says(judge: Judge) -> None:
    result = judge()
    assert (result.get("failed"), result["changed"], result["findings"]) == (None, False, [])
    assert result["instance_types"] == {
        "ecs.g7.xlarge": {"interfaces": 4, "addresses": 15},
        "ecs.g6.xlarge": {"interfaces": 3, "addresses": 10},
    }
    assert sum(result["requests"].values()) == 4
    assert all(action.startswith("Describe") for action in result["requests"])


def pods(name: str, cidr: str = "172.20.128.0/19") -> dict[str, Any]:
    return {"pod_vswitches": {**GOOD["pod_vswitches"], D: {"id": name, "cidr": cidr}}}


@pytest.mark.parametrize(
    ("code", "variable", "planted"),
    [
        ("TW401-no-vpc", "estate_cloud.vpc", {"vpc": "vpc-9"}),
        ("TW402-other-ranges", "estate_cloud.cidr", {"cidrs": ["172.20.0.0/17"]}),
        ("TW402-other-ranges", "estate_cloud.cidr", {"cidrs": ["172.20.0.0/16", "192.168.0.0/16"]}),
        ("TW403-no-vswitch", f"estate_cloud.pod_vswitches.{D}.id", pods("vsw-nope")),
        ("TW403-no-vswitch", f"estate_cloud.pod_vswitches.{D}.id", pods("vsw-other", "172.21.0.0/24")),
        ("TW404-vswitch-of-another-zone", f"estate_cloud.pod_vswitches.{D}.id", pods("vsw-pod-e", "172.20.160.0/19")),
        (
            "TW405-vswitch-has-another-range",
            f"estate_cloud.pod_vswitches.{D}.cidr",
            pods("vsw-pod-d", "172.20.128.0/20"),
        ),
        ("TW408-other-security-group", "estate_cloud.security_groups[0]", {"security_groups": ["sg-2"]}),
        ("TW408-other-security-group", "estate_cloud.security_groups[1]", {"security_groups": ["sg-1", "sg-9"]}),
        ("TW409-no-instance-type", "estate_cloud_pools", {"instance_types": ["ecs.g9.xlarge"]}),
        ("TW410-type-without-pods", "estate_cloud_pools", {"instance_types": ["ecs.t6.small"]}),
    ],
)
def test_what_is_planted_is_found_and_nothing_else(
    judge: Judge, code: str, variable: str, planted: dict[str, Any]
) -> None:
    result = judge(**planted)
    assert result["failed"] is True
    assert [(finding["code"], finding["variable"]) for finding in result["findings"]] == [(code, variable)]
    assert code in result["msg"]


def test_a_range_of_the_vpc_that_the_inventory_has_not_is_found(judge: Judge) -> None:
    """Whether it overlaps a rack, nobody has looked."""
    other = {D: {"id": "vsw-other", "cidr": "172.21.0.0/24"}}
    there = {"vpc": "vpc-2", "node_vswitches": {}, "pod_vswitches": other, "security_groups": ["sg-2"]}
    assert codes(judge(**there, cidrs=["172.21.0.0/16"])) == ["TW402-other-ranges"]
    assert "failed" not in judge(**there, cidrs=["192.168.0.0/16", "172.21.0.0/16"])


def test_a_vswitch_that_cannot_hold_the_pods_is_a_warning(judge: Judge, monkeypatch: pytest.MonkeyPatch) -> None:
    warned: list[str] = []
    monkeypatch.setattr(AnsibleModule, "warn", lambda _module, text: warned.append(text))
    result = judge(**pods("vsw-small", "172.20.1.0/29"))
    assert (result.get("failed"), codes(result)) == (None, ["TW407-vswitch-nearly-full"])
    assert "has 4 addresses left, and 4 VMs with 20 pods each take 80" in str(warned)


def test_who_is_not_let_in_is_told_what_to_do_and_no_secret(judge: Judge) -> None:
    result = judge(secret="planted-secret")
    assert result["failed"] is True
    assert "Correct estate_cloud.credentials" in result["msg"]
    assert "planted-secret" not in str(result)


def test_vswitches_without_an_id(judge: Judge) -> None:
    result = judge(pod_vswitches={D: {"cidr": "172.20.128.0/19"}})
    assert "node_vswitches or pod_vswitches are not as they should be" in result["msg"]
