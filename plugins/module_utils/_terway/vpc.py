# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The VPC as the cloud has it, beside the VPC as the inventory has it; private to this collection.

Runs on the controller. :func:`observe` asks once for everything, :func:`judge` is pure.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ansible_collections.hybridk8s.estate.plugins.module_utils._alibaba.client import Cloud, chunks
from ansible_collections.hybridk8s.estate.plugins.module_utils._alibaba.model import VPC
from ansible_collections.hybridk8s.estate.plugins.module_utils._estate.wording import did_you_mean, listed
from ansible_collections.hybridk8s.estate.plugins.module_utils._findings import ERROR, WARNING, Finding
from ansible_collections.hybridk8s.estate.plugins.module_utils._terway.host import Limits

_PAGE = 50
_TYPES_A_REQUEST = 10
_NODES, _PODS = "node_vswitches", "pod_vswitches"


@dataclass(frozen=True)
class VSwitch:
    """A vSwitch: its zone and range, and in the cloud how many addresses are free."""

    zone: str
    cidr: str
    free: int = 0


@dataclass(frozen=True)
class Wanted:
    """What the inventory says. vSwitches are by zone, ``vms`` how many VMs may come to be in each."""

    vpc: str
    cidrs: Sequence[str]
    nodes: Mapping[str, tuple[str, VSwitch]]
    pods: Mapping[str, tuple[str, VSwitch]]
    security_groups: Sequence[str]
    instance_types: Sequence[str]
    vms: int = 0


@dataclass(frozen=True)
class Found:
    """What the cloud says of the VPC: None where there is none of this id in the region. vSwitches are by their ids."""

    cidrs: frozenset[str] | None
    vswitches: Mapping[str, VSwitch] = field(default_factory=dict)
    security_groups: Mapping[str, str] = field(default_factory=dict)
    instance_types: Mapping[str, Limits] = field(default_factory=dict)


def observe(cloud: Cloud, wanted: Wanted) -> Found:
    """Ask for the VPC, its vSwitches, the security groups and the instance types. Raises CloudError."""
    vpcs = list(cloud.numbered_items("DescribeVpcs", ("Vpcs", "Vpc"), VPC, _PAGE, VpcId=wanted.vpc))
    if not vpcs:
        return Found(None)
    secondary = (vpcs[0].get("SecondaryCidrBlocks") or {}).get("SecondaryCidrBlock") or ()
    vswitches = cloud.numbered_items("DescribeVSwitches", ("VSwitches", "VSwitch"), VPC, _PAGE, VpcId=wanted.vpc)
    return Found(
        cidrs=frozenset({vpcs[0]["CidrBlock"], *secondary}),
        vswitches={
            item["VSwitchId"]: VSwitch(item["ZoneId"], item["CidrBlock"], int(item["AvailableIpAddressCount"]))
            for item in vswitches
        },
        security_groups=_groups(cloud, wanted.security_groups),
        instance_types=_limits(cloud, wanted.instance_types),
    )


def _groups(cloud: Cloud, ids: Sequence[str]) -> dict[str, str]:
    if not ids:
        return {}
    path = ("SecurityGroups", "SecurityGroup")
    asked = json.dumps(list(ids))
    found = cloud.numbered_items("DescribeSecurityGroups", path, page=_PAGE, SecurityGroupIds=asked)
    return {item["SecurityGroupId"]: item["VpcId"] for item in found}


def _limits(cloud: Cloud, names: Sequence[str]) -> dict[str, Limits]:
    path = ("InstanceTypes", "InstanceType")
    return {
        item["InstanceTypeId"]: Limits(int(item["EniQuantity"]), int(item["EniPrivateIpAddressQuantity"]))
        for some in chunks(sorted(set(names)), _TYPES_A_REQUEST)
        for item in cloud.items("DescribeInstanceTypes", path, InstanceTypes=list(some))
    }


def judge(wanted: Wanted, found: Found) -> list[Finding]:
    """Everything in which the cloud is not as the inventory says."""
    if found.cidrs is None:
        message = f"there is no VPC {wanted.vpc} in this region, or the credentials may not see it."
        return [
            _finding("TW401-no-vpc", "estate_cloud.vpc", message, "Correct estate_cloud.vpc or estate_cloud.region.")
        ]
    return [
        *_ranges(wanted, found.cidrs),
        *_vswitches(wanted, found),
        *_security(wanted, found),
        *_types(wanted, found),
    ]


def _finding(code: str, variable: str, message: str, remedy: str, severity: str = ERROR) -> Finding:
    return Finding(code, severity, "", variable, message, remedy)


def _ranges(wanted: Wanted, cidrs: frozenset[str]) -> Iterator[Finding]:
    if cidrs != set(wanted.cidrs):
        yield _finding(
            "TW402-other-ranges",
            "estate_cloud.cidr",
            f"the VPC has {listed(sorted(cidrs))}, the inventory says {listed(sorted(wanted.cidrs))}; its check for"
            " overlaps has been of other ranges.",
            "Correct estate_cloud.cidr and estate_cloud.secondary_cidrs, then run the check again.",
        )


def _vswitches(wanted: Wanted, found: Found) -> Iterator[Finding]:
    for kind, by_zone in ((_NODES, wanted.nodes), (_PODS, wanted.pods)):
        for zone, (name, planned) in by_zone.items():
            variable = f"estate_cloud.{kind}.{zone}"
            there = found.vswitches.get(name)
            if there is None:
                guess = did_you_mean(name, found.vswitches)
                yield _finding(
                    "TW403-no-vswitch",
                    f"{variable}.id",
                    f"the VPC has no vSwitch {name}.",
                    f"Did you mean {guess!r}?" if guess else "Copy the identifier from the console.",
                )
                continue
            if there.zone != zone:
                yield _finding(
                    "TW404-vswitch-of-another-zone",
                    f"{variable}.id",
                    f"{name} is in zone {there.zone}.",
                    f"Write it under {there.zone}; Terway passes over a vSwitch of another zone.",
                )
            if there.cidr != planned.cidr:
                yield _finding(
                    "TW405-vswitch-has-another-range",
                    f"{variable}.cidr",
                    f"{name} has {there.cidr}, the inventory says {planned.cidr}.",
                    "Correct the range, then run the check again.",
                )
            yield from _room(variable, name, there, kind, wanted, found)


def _room(variable: str, name: str, there: VSwitch, kind: str, wanted: Wanted, found: Found) -> Iterator[Finding]:
    if there.free == 0:
        message = f"{name} has no address left, and Terway and the provider pass over it."
        yield _finding("TW406-vswitch-full", f"{variable}.id", message, "Release addresses, or use a larger vSwitch.")
        return
    pods = min((limits.pods for limits in found.instance_types.values()), default=0)
    needed = wanted.vms * pods
    if kind == _PODS and there.free < needed:
        yield _finding(
            "TW407-vswitch-nearly-full",
            f"{variable}.id",
            f"{name} has {there.free} addresses left, and {wanted.vms} VMs with {pods} pods each take {needed}.",
            "Use a larger vSwitch, or spread the pools over more zones.",
            WARNING,
        )


def _security(wanted: Wanted, found: Found) -> Iterator[Finding]:
    for index, group in enumerate(wanted.security_groups):
        vpc = found.security_groups.get(group)
        if vpc == wanted.vpc:
            continue
        message = f"there is no security group {group} in this region." if vpc is None else f"{group} belongs to {vpc}."
        yield _finding(
            "TW408-other-security-group",
            f"estate_cloud.security_groups[{index}]",
            message,
            f"Name a security group of {wanted.vpc}; without it no network interface is made for pods.",
        )


def _types(wanted: Wanted, found: Found) -> Iterator[Finding]:
    for name in sorted(set(wanted.instance_types)):
        limits = found.instance_types.get(name)
        if limits is None:
            message, remedy = f"there is no instance type {name}.", "Correct the name; types are retired, too."
            yield _finding("TW409-no-instance-type", "estate_cloud_pools", message, remedy)
        elif not limits.pods:
            yield _finding(
                "TW410-type-without-pods",
                "estate_cloud_pools",
                f"{name} has {limits.interfaces} network interface, the node's own: no pod would have an address.",
                "Use a larger type.",
            )
