# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pools of cloud VMs: what the provider would refuse, or what would be made and not work."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping

from ansible_collections.hybridk8s.estate.plugins.module_utils._estate import derive, model
from ansible_collections.hybridk8s.estate.plugins.module_utils._estate.rules._registry import (
    ERROR,
    WARNING,
    Problem,
    rule,
)
from ansible_collections.hybridk8s.estate.plugins.module_utils._estate.wording import did_you_mean, listed

_NAMES = "Kubernetes: Object Names and IDs; a VM's instance, host and node have one name"
_ZONES = "Alibaba Cloud: an instance lies on a vSwitch of its zone"
_RUN = "Alibaba Cloud ECS: RunInstances"
_OWNERS = "field: cloud machines that nobody claims are billed for years"
_POOL_NAME = re.compile(r"[a-z]([-a-z0-9]{0,48}[a-z0-9])?\Z")
_INSTANCE_TYPE = re.compile(r"ecs\.[a-z0-9][-a-z0-9]*\.[a-z0-9]+\Z")
_PERIODS: Mapping[str, Collection[int]] = {
    "Week": range(1, 5),
    "Month": (*range(1, 10), 12, 24, 36, 48, 60),
}
_DISK_CATEGORIES = ("cloud", "cloud_efficiency", "cloud_ssd", "cloud_essd", "cloud_auto", "cloud_essd_entry")
_SMALLEST_DISK_GB = 20
_LARGEST_SYSTEM_DISK_GB = 2048
_MOST_DATA_DISKS = 16
_MOST_SECURITY_GROUPS = 10
# The provider keeps the first address of a vSwitch and the last three.
_KEPT_ADDRESSES = 4


@rule("ES851-pool-name", ERROR, "VMs are named by their pool and a number", _NAMES)
def pool_name(estate: model.Estate) -> Iterator[Problem]:
    for pool in estate.vm_pools.values():
        if not _POOL_NAME.match(pool.name):
            yield Problem(
                "",
                f"estate_cloud_pools.{pool.name}",
                f"{pool.name!r} cannot begin the names of VMs.",
                "Use lower-case letters, digits and '-', at most 50; begin with a letter, end with no '-'.",
            )


@rule("ES852-vm-name-taken", ERROR, "two machines of one name are one Node", _NAMES)
def vm_name_taken(estate: model.Estate) -> Iterator[Problem]:
    for host in estate.hosts.values():
        pool, dash, number = host.name.rpartition("-")
        if not dash or not number.isdecimal() or pool not in estate.vm_pools or host.node_class == model.CLOUD_VM:
            continue
        yield Problem(
            host.name,
            f"estate_cloud_pools.{pool}",
            f"{host.name} is a name that the pool gives its VMs, and the host is no cloud VM.",
            "Rename the pool.",
        )


@rule("ES853-pool-zone", ERROR, "there is nothing that a VM there could be connected to", _ZONES)
def pool_zone(estate: model.Estate) -> Iterator[Problem]:
    if estate.cloud is None:
        return
    known = estate.cloud.node_vswitches
    for pool in estate.vm_pools.values():
        if not derive.pool_zones(estate, pool):
            yield Problem(
                "",
                "estate_cloud.node_vswitches",
                f"no zone has a vSwitch for nodes, and pool {pool.name} wants VMs.",
                "Add one, by its zone.",
            )
        for index, zone in enumerate(pool.zones):
            if zone not in known:
                guess = did_you_mean(zone, known)
                yield Problem(
                    "",
                    f"estate_cloud_pools.{pool.name}.zones[{index}]",
                    f"zone {zone} has no vSwitch for nodes.",
                    f"Did you mean {guess!r}?" if guess else f"Add estate_cloud.node_vswitches.{zone}.",
                )


@rule("ES854-instance-type", ERROR, "the provider refuses the request", _RUN)
def instance_type(estate: model.Estate) -> Iterator[Problem]:
    for pool in estate.vm_pools.values():
        variable = f"estate_cloud_pools.{pool.name}.instance_types"
        if not pool.instance_types:
            yield Problem("", variable, "the list is empty.", "Name a type, such as ecs.g7.xlarge.")
        for index, name in enumerate(pool.instance_types):
            if not _INSTANCE_TYPE.match(name):
                yield Problem(
                    "", f"{variable}[{index}]", f"{name!r} is no instance type.", "Write it as in ecs.g7.xlarge."
                )
            elif name in pool.instance_types[:index]:
                yield Problem("", f"{variable}[{index}]", f"{name} is in the list already.", "Remove one of them.")


@rule("ES855-security-groups", ERROR, "an instance is in one group at least, its ENIs in ten at most", _RUN)
def security_groups(estate: model.Estate) -> Iterator[Problem]:
    if estate.cloud is None or not estate.vm_pools:
        return
    count = len(estate.cloud.security_groups)
    if not 1 <= count <= _MOST_SECURITY_GROUPS:
        yield Problem(
            "",
            "estate_cloud.security_groups",
            f"there are {count}, and VMs are to be made.",
            f"Name 1 to {_MOST_SECURITY_GROUPS} security groups of the VPC.",
        )


@rule("ES856-charge", ERROR, "the provider refuses the request, or charges otherwise than meant", _RUN)
def charge(estate: model.Estate) -> Iterator[Problem]:
    for pool in estate.vm_pools.values():
        fault = _charge_fault(pool.charge)
        if fault:
            yield Problem(
                "",
                f"estate_cloud_pools.{pool.name}.charge",
                fault,
                "Write {type: PostPaid}, or {type: PrePaid, period: 1, unit: Month}.",
            )


def _charge_fault(given: model.Charge) -> str:
    if given.type == model.POSTPAID:
        ahead = given.period is not None or given.unit or given.auto_renew
        return "period, unit and auto_renew are for PrePaid." if ahead else ""
    if given.period is None or not given.unit:
        return "PrePaid needs a period and its unit."
    periods = _PERIODS[given.unit]
    if given.period not in periods:
        return f"nobody sells {given.period} of the unit {given.unit}; there are {', '.join(map(str, periods))}."
    return ""


@rule("ES857-disk", ERROR, "the provider refuses the request", _RUN)
def disk(estate: model.Estate) -> Iterator[Problem]:
    for pool in estate.vm_pools.values():
        variable = f"estate_cloud_pools.{pool.name}"
        yield from _disk_faults(f"{variable}.system_disk", pool.system_disk, _LARGEST_SYSTEM_DISK_GB)
        for index, data_disk in enumerate(pool.data_disks):
            yield from _disk_faults(f"{variable}.data_disks[{index}]", data_disk)
        if len(pool.data_disks) > _MOST_DATA_DISKS:
            yield Problem(
                "",
                f"{variable}.data_disks",
                f"there are {len(pool.data_disks)}.",
                f"An instance has {_MOST_DATA_DISKS} at most.",
            )


def _disk_faults(variable: str, given: model.Disk, largest: int | None = None) -> Iterator[Problem]:
    if given.category and given.category not in _DISK_CATEGORIES:
        guess = did_you_mean(given.category, _DISK_CATEGORIES)
        yield Problem(
            "",
            f"{variable}.category",
            f"{given.category!r} is none of {', '.join(_DISK_CATEGORIES)}.",
            f"Did you mean {guess!r}?" if guess else "Choose one of them.",
        )
    if given.size_gb is None:
        return
    if given.size_gb < _SMALLEST_DISK_GB or (largest is not None and given.size_gb > largest):
        bounds = f"{_SMALLEST_DISK_GB} to {largest}" if largest is not None else f"{_SMALLEST_DISK_GB} or more"
        yield Problem("", f"{variable}.size_gb", f"a disk of {given.size_gb} GB is not sold.", f"Use {bounds}.")


@rule("ES858-release-without-date", ERROR, "no day is named on which the VMs are to be released", _OWNERS)
def release_without_date(estate: model.Estate) -> Iterator[Problem]:
    for pool in estate.vm_pools.values():
        if pool.release_expired and pool.expires is None:
            yield Problem(
                "",
                f"estate_cloud_pools.{pool.name}.release_expired",
                "it is true, but expires is not set.",
                "Set expires to a day, such as 2027-01-31.",
            )


@rule("ES859-pool-without-owner", WARNING, "nobody can be asked whether its VMs are still needed", _OWNERS)
def pool_without_owner(estate: model.Estate) -> Iterator[Problem]:
    for pool in estate.vm_pools.values():
        for field, value in (("owner", pool.owner), ("purpose", pool.purpose)):
            if not value:
                yield Problem(
                    "",
                    f"estate_cloud_pools.{pool.name}.{field}",
                    "it is not set.",
                    "Say who needs the VMs, and for what.",
                )


@rule("ES860-too-few-addresses", ERROR, "VMs or their pods would have no address", _ZONES)
def too_few_addresses(estate: model.Estate) -> Iterator[Problem]:
    cloud = estate.cloud
    if cloud is None:
        return
    for pool in estate.vm_pools.values():
        zones = frozenset(derive.pool_zones(estate, pool))
        confined = [other for other in estate.vm_pools.values() if zones.issuperset(derive.pool_zones(estate, other))]
        wanted = sum(other.count for other in confined)
        for kind, by_zone in (("node_vswitches", cloud.node_vswitches), ("pod_vswitches", cloud.pod_vswitches)):
            room = sum(_room(by_zone[zone]) for zone in zones if zone in by_zone)
            if room < wanted and zones.issubset(by_zone):
                yield Problem(
                    "",
                    f"estate_cloud_pools.{pool.name}.count",
                    f"{listed([other.name for other in confined])} together want {wanted} VMs, and estate_cloud.{kind}"
                    f" of {listed(sorted(zones))} have {room} addresses.",
                    "Lower the count, or add a zone or a larger vSwitch.",
                )


def _room(vswitch: model.VSwitch) -> int:
    return max(0, vswitch.cidr.num_addresses - _KEPT_ADDRESSES) if vswitch.cidr is not None else 0
