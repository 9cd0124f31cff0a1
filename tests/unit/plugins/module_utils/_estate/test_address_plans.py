# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Thirty hybrid address plans with one conflict each, and ten good ones: all told apart before any call."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from ansible_collections.hybridk8s.estate.plugins.module_utils._findings import ERROR

from tests.unit.plugins.module_utils._estate.cloud_cases import (
    CLOUD,
    LINE,
    NODES,
    OTHER_ZONE,
    PODS,
    POOLS,
    ZONE,
    ZONE_E,
    online,
)
from tests.unit.plugins.module_utils._estate.samples import GONE, Edits, judge

NETWORKS = ("estate", "estate_networks")
RACK1, RACK2 = ("estate", "estate_racks", "r1"), ("estate", "estate_racks", "r2")
OVERLAP, SPECIAL = "ES301-ranges-overlap", "ES302-special-range"
NODE_CIDR = "estate_cloud.node_vswitches.cn-shenzhen-d.cidr"
POD_CIDR = "estate_cloud.pod_vswitches.cn-shenzhen-d.cidr"


@dataclass(frozen=True)
class Plan:
    """The sample's plan with ``edits``; ``code`` and ``variable`` name the conflict."""

    what: str
    edits: Edits
    code: str = ""
    variable: str = ""


def vpc(cidr: str, nodes: str, pods: str) -> Edits:
    """The sample with its VPC elsewhere."""
    return {
        (*CLOUD, "cidr"): cidr,
        (*NODES, ZONE, "cidr"): nodes,
        (*PODS, ZONE, "cidr"): pods,
        ("groups", "cloud_vms"): [],
        ("groups", "workers"): ["w1", "w2", "w3"],
        ("groups", "kubernetes"): ["cp1", "cp2", "cp3", "w1", "w2", "w3"],
    }


def secondary(*cidrs: str) -> Edits:
    return {(*CLOUD, "secondary_cidrs"): list(cidrs)}


BAD = [
    # The VPC and each range of the data centre.
    Plan(
        "VPC = on-premises pods",
        vpc("10.21.0.0/16", "10.21.0.0/24", "10.21.128.0/19"),
        OVERLAP,
        "estate_networks.pods.bare_metal",
    ),
    Plan(
        "VPC holds the services",
        vpc("10.22.0.0/15", "10.23.0.0/24", "10.23.32.0/19"),
        OVERLAP,
        "estate_networks.services",
    ),
    Plan("VPC holds a rack", vpc("10.20.0.0/22", "10.20.3.0/26", "10.20.3.64/26"), OVERLAP, "estate_racks.r1.subnet"),
    Plan("VPC inside a reserved range", {(*NETWORKS, "reserved"): ["172.16.0.0/12"]}, OVERLAP, "estate_cloud.cidr"),
    Plan(
        "VPC holds a reserved range",
        {(*NETWORKS, "reserved"): ["172.20.200.0/24"]},
        OVERLAP,
        "estate_networks.reserved[0]",
    ),
    Plan(
        "VPC in the provider's own range",
        vpc("100.64.0.0/16", "100.64.0.0/24", "100.64.32.0/19"),
        SPECIAL,
        "estate_cloud.cidr",
    ),
    Plan("VPC link-local", vpc("169.254.0.0/16", "169.254.0.0/24", "169.254.32.0/19"), SPECIAL, "estate_cloud.cidr"),
    Plan("VPC multicast", vpc("224.0.0.0/16", "224.0.0.0/24", "224.0.32.0/19"), SPECIAL, "estate_cloud.cidr"),
    Plan("VPC loopback", vpc("127.0.0.0/8", "127.0.1.0/24", "127.1.0.0/19"), SPECIAL, "estate_cloud.cidr"),
    # Its secondary ranges.
    Plan("secondary = the first", secondary("172.20.0.0/16"), OVERLAP, "estate_cloud.secondary_cidrs[0]"),
    Plan("secondary holds racks", secondary("10.20.0.0/16"), OVERLAP, "estate_racks.r1.subnet"),
    Plan(
        "secondary in on-premises pods",
        secondary("192.168.0.0/16", "10.21.64.0/18"),
        OVERLAP,
        "estate_cloud.secondary_cidrs[1]",
    ),
    Plan("secondary holds the services", secondary("10.22.0.0/15"), OVERLAP, "estate_networks.services"),
    Plan(
        "secondary in the provider's own range", secondary("100.100.0.0/16"), SPECIAL, "estate_cloud.secondary_cidrs[0]"
    ),
    # vSwitches.
    Plan("pod vSwitch = node vSwitch", {(*PODS, ZONE, "cidr"): "172.20.16.0/24"}, OVERLAP, POD_CIDR),
    Plan("pod vSwitch holds the node vSwitch", {(*PODS, ZONE, "cidr"): "172.20.0.0/19"}, OVERLAP, NODE_CIDR),
    Plan(
        "two zones share a pod range",
        {**ZONE_E, (*PODS, OTHER_ZONE, "cidr"): "172.20.144.0/20"},
        OVERLAP,
        "estate_cloud.pod_vswitches.cn-shenzhen-e.cidr",
    ),
    Plan(
        "two zones share a node range",
        {**ZONE_E, (*NODES, OTHER_ZONE, "cidr"): "172.20.16.128/25"},
        OVERLAP,
        "estate_cloud.node_vswitches.cn-shenzhen-e.cidr",
    ),
    Plan(
        "pod vSwitch outside the VPC", {(*PODS, ZONE, "cidr"): "172.21.0.0/19"}, "ES802-vswitch-outside-vpc", POD_CIDR
    ),
    Plan(
        "node vSwitch outside the VPC",
        vpc("172.20.0.0/16", "172.30.0.0/24", "172.20.128.0/19"),
        "ES802-vswitch-outside-vpc",
        NODE_CIDR,
    ),
    Plan("pod vSwitch on the on-premises pods", {(*PODS, ZONE, "cidr"): "10.21.0.0/19"}, OVERLAP, POD_CIDR),
    Plan("pod vSwitch on the services", {(*PODS, ZONE, "cidr"): "10.22.0.0/19"}, OVERLAP, POD_CIDR),
    Plan("pod vSwitch on a rack", {(*PODS, ZONE, "cidr"): "10.20.2.0/25"}, OVERLAP, POD_CIDR),
    Plan(
        "a zone without a pod vSwitch",
        {(*NODES, OTHER_ZONE): {"id": "vsw-n2", "cidr": "172.20.17.0/24"}},
        "ES805-no-pod-vswitch",
        "estate_cloud.pod_vswitches.cn-shenzhen-e",
    ),
    Plan(
        "pod vSwitch too small for the pool",
        {(*PODS, ZONE, "cidr"): "172.20.128.0/29", **online(count=5)},
        "ES860-too-few-addresses",
        "estate_cloud_pools.online.count",
    ),
    # The data centre's side.
    Plan("switch in the VPC", {("tor2", "ansible_host"): "172.20.16.1"}, "ES810-machine-in-vpc-range", "ansible_host"),
    Plan(
        "on-premises pods = services",
        {(*NETWORKS, "pods", "bare_metal"): "10.22.0.0/16"},
        OVERLAP,
        "estate_networks.services",
    ),
    Plan("racks overlap", {(*RACK2, "subnet"): "10.20.0.0/22"}, OVERLAP, "estate_racks.r1.subnet"),
    Plan(
        "rack in the provider's own range",
        {(*RACK2, "subnet"): "100.100.2.0/24", (*NETWORKS, "reserved"): []},
        SPECIAL,
        "estate_racks.r2.subnet",
    ),
    Plan(
        "the line's prefix holds the VPC",
        {(*LINE, "prefixes"): ["10.0.0.0/8", "172.16.0.0/12"]},
        "ES811-line-covers-vpc",
        "estate_cloud.line.prefixes[1]",
    ),
]
# What follows from a conflict and is rightly said as well.
CONSEQUENCES = {
    "ES204-host-outside-rack",
    "ES206-address-in-cluster-range",
    "ES209-switch-outside-rack",
    "ES802-vswitch-outside-vpc",
    "ES804-vm-outside-vswitches",
    "ES810-machine-in-vpc-range",
    "ES811-line-covers-vpc",
    OVERLAP,
    SPECIAL,
}

GOOD = [
    Plan("the sample", {}),
    Plan("a VPC of 192.168", vpc("192.168.0.0/16", "192.168.0.0/24", "192.168.32.0/19")),
    Plan("a VPC right beside the on-premises pods", vpc("10.24.0.0/16", "10.24.0.0/24", "10.24.128.0/17")),
    Plan("two zones, edge to edge", {**ZONE_E, (*PODS, OTHER_ZONE, "cidr"): "172.20.160.0/19"}),
    Plan("pods in a secondary range", {**secondary("192.168.0.0/16"), (*PODS, ZONE, "cidr"): "192.168.0.0/17"}),
    Plan("two secondary ranges, one of them unused", secondary("192.168.0.0/16", "10.128.0.0/10")),
    Plan(
        "reserved ranges around and inside one another",
        {(*NETWORKS, "reserved"): ["100.64.0.0/10", "100.100.0.0/16", "172.16.0.0/14"]},
    ),
    Plan("a wide line that ends before the VPC", {(*LINE, "prefixes"): ["10.0.0.0/8", "172.16.0.0/14"]}),
    Plan(
        "the smallest ranges that do",
        {**online(count=4), (*NODES, ZONE, "cidr"): "172.20.16.8/29", (*PODS, ZONE, "cidr"): "172.20.16.16/29"},
    ),
    Plan("a cloud without pools and line", {POOLS: GONE, LINE: GONE, (*CLOUD, "security_groups"): GONE}),
]


def test_there_are_thirty_and_ten() -> None:
    assert (len(BAD), len(GOOD)) == (30, 10)


@pytest.mark.parametrize("plan", BAD, ids=lambda plan: plan.what)
def test_the_conflict_is_an_error_where_it_is(plan: Plan) -> None:
    errors = [finding for finding in judge(plan.edits) if finding.severity == ERROR]
    assert (plan.code, plan.variable) in [(finding.code, finding.variable) for finding in errors]
    assert {finding.code for finding in errors} - {plan.code} <= CONSEQUENCES


@pytest.mark.parametrize("plan", GOOD, ids=lambda plan: plan.what)
def test_a_good_plan_has_no_finding(plan: Plan) -> None:
    assert judge(plan.edits) == []
