# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The cloud side: the VPC and its vSwitches."""

from __future__ import annotations

from collections.abc import Iterator

from ansible_collections.hybridk8s.estate.plugins.module_utils._estate import model
from ansible_collections.hybridk8s.estate.plugins.module_utils._estate.rules._registry import ERROR, Problem, rule

_VPC = "Alibaba Cloud: plan VPCs; a vSwitch is a part of its VPC"
_LARGEST_VPC_PREFIX = 8
_SMALLEST_VPC_PREFIX = 28


@rule("ES801-cloud-missing", ERROR, "cloud VMs need their VPC described", _VPC)
def cloud_missing(estate: model.Estate) -> Iterator[Problem]:
    if estate.cloud is None and any(host.node_class == model.CLOUD_VM for host in estate.nodes.values()):
        yield Problem(
            "", "estate_cloud", "there are cloud VMs, but estate_cloud is not set.", "Describe the VPC in estate_cloud."
        )


@rule("ES802-vswitch-outside-vpc", ERROR, "a vSwitch is a part of its VPC", _VPC)
def vswitch_outside_vpc(estate: model.Estate) -> Iterator[Problem]:
    cloud = estate.cloud
    if cloud is None or cloud.cidr is None:
        return
    for kind, vswitches in (("node_vswitches", cloud.node_vswitches), ("pod_vswitches", cloud.pod_vswitches)):
        for zone, vswitch in vswitches.items():
            if vswitch.cidr is not None and not vswitch.cidr.subnet_of(cloud.cidr):
                yield Problem(
                    "",
                    f"estate_cloud.{kind}.{zone}.cidr",
                    f"{vswitch.cidr} is not a part of the VPC, {cloud.cidr}.",
                    "Correct the vSwitch's range or the VPC's.",
                )


@rule("ES803-vpc-size", ERROR, "the provider refuses other sizes", _VPC)
def vpc_size(estate: model.Estate) -> Iterator[Problem]:
    cidr = estate.cloud.cidr if estate.cloud is not None else None
    if cidr is not None and not _LARGEST_VPC_PREFIX <= cidr.prefixlen <= _SMALLEST_VPC_PREFIX:
        yield Problem(
            "",
            "estate_cloud.cidr",
            f"{cidr} is not between /{_LARGEST_VPC_PREFIX} and /{_SMALLEST_VPC_PREFIX}.",
            "Use a /16, for instance.",
        )


@rule("ES804-vm-outside-vswitches", ERROR, "a VM's address comes from a node vSwitch", _VPC)
def vm_outside_vswitches(estate: model.Estate) -> Iterator[Problem]:
    cloud = estate.cloud
    if cloud is None or cloud.cidr is None:
        return
    networks = [vswitch.cidr for vswitch in cloud.node_vswitches.values() if vswitch.cidr is not None] or [cloud.cidr]
    for host in estate.nodes.values():
        if host.node_class != model.CLOUD_VM or host.address is None:
            continue
        if not any(host.address in network for network in networks):
            yield Problem(
                host.name,
                "ansible_host",
                f"{host.address} is in no node vSwitch of the VPC.",
                "Correct the address, or add the vSwitch to estate_cloud.node_vswitches.",
            )


@rule(
    "ES805-no-pod-vswitch",
    ERROR,
    "pods of a VM take their addresses from a vSwitch of its zone",
    "Terway: pod vSwitches by zone",
)
def no_pod_vswitch(estate: model.Estate) -> Iterator[Problem]:
    cloud = estate.cloud
    if cloud is None or model.CLOUD_VM in estate.networks.pods:
        return
    for zone in sorted(set(cloud.node_vswitches) - set(cloud.pod_vswitches)):
        yield Problem(
            "",
            f"estate_cloud.pod_vswitches.{zone}",
            f"zone {zone} has a vSwitch for nodes but none for pods.",
            f"Add estate_cloud.pod_vswitches.{zone}.",
        )


@rule("ES806-vswitch-twice", ERROR, "one vSwitch cannot be two", _VPC)
def vswitch_twice(estate: model.Estate) -> Iterator[Problem]:
    cloud = estate.cloud
    if cloud is None:
        return
    first: dict[str, str] = {}
    for kind, vswitches in (("node_vswitches", cloud.node_vswitches), ("pod_vswitches", cloud.pod_vswitches)):
        for zone, vswitch in vswitches.items():
            variable = f"estate_cloud.{kind}.{zone}"
            if vswitch.id and vswitch.id in first:
                yield Problem(
                    "", f"{variable}.id", f"{vswitch.id} is {first[vswitch.id]} already.", "Correct one of them."
                )
            first.setdefault(vswitch.id, variable)
