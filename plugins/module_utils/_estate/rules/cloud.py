# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The cloud side: the VPC, its vSwitches, and the line to the data centre."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Network

from ansible_collections.hybridk8s.estate.plugins.module_utils._estate import model
from ansible_collections.hybridk8s.estate.plugins.module_utils._estate.rules import ranges
from ansible_collections.hybridk8s.estate.plugins.module_utils._estate.rules._registry import (
    ERROR,
    WARNING,
    Problem,
    rule,
)
from ansible_collections.hybridk8s.estate.plugins.module_utils._estate.wording import listed, shown

_VPC = "Alibaba Cloud: plan VPCs; a vSwitch is a part of its VPC"
_IDS = "Alibaba Cloud: resource identifiers"
_LINE = "docs: the line; role egress_limit"
_CREDENTIALS = "Alibaba Cloud: credential chain"
_LARGEST_VPC_PREFIX = 8
_SMALLEST_VPC_PREFIX = 28
_LARGEST_VSWITCH_PREFIX = 16
_SMALLEST_VSWITCH_PREFIX = 29


@rule("ES801-cloud-missing", ERROR, "cloud VMs need their VPC described", _VPC)
def cloud_missing(estate: model.Estate) -> Iterator[Problem]:
    if estate.cloud is not None:
        return
    if estate.vm_pools or any(host.node_class == model.CLOUD_VM for host in estate.nodes.values()):
        yield Problem(
            "", "estate_cloud", "there are cloud VMs, but estate_cloud is not set.", "Describe the VPC in estate_cloud."
        )


@rule("ES802-vswitch-outside-vpc", ERROR, "a vSwitch is a part of its VPC", _VPC)
def vswitch_outside_vpc(estate: model.Estate) -> Iterator[Problem]:
    cloud = estate.cloud
    if cloud is None or not cloud.cidrs:
        return
    for variable, vswitch in ranges.vswitches(cloud):
        cidr = vswitch.cidr
        if cidr is not None and not any(cidr.subnet_of(whole) for whole in cloud.cidrs):
            yield Problem(
                "",
                f"{variable}.cidr",
                f"{cidr} is not a part of the VPC, {listed([str(whole) for whole in cloud.cidrs])}.",
                "Correct the vSwitch's range or the VPC's, or add the VPC's other ranges to"
                " estate_cloud.secondary_cidrs.",
            )


@rule("ES803-vpc-size", ERROR, "the provider refuses other sizes", _VPC)
def vpc_size(estate: model.Estate) -> Iterator[Problem]:
    for planned in ranges.vpc(estate):
        yield from _wrong_size(planned, _LARGEST_VPC_PREFIX, _SMALLEST_VPC_PREFIX, "Use a /16, for instance.")


@rule("ES804-vm-outside-vswitches", ERROR, "a VM's address comes from a node vSwitch", _VPC)
def vm_outside_vswitches(estate: model.Estate) -> Iterator[Problem]:
    cloud = estate.cloud
    if cloud is None or cloud.cidr is None:
        return
    networks = [vswitch.cidr for vswitch in cloud.node_vswitches.values() if vswitch.cidr is not None]
    for host in estate.nodes.values():
        if host.node_class != model.CLOUD_VM or host.address is None:
            continue
        if not any(host.address in network for network in networks or cloud.cidrs):
            yield Problem(
                host.name,
                "ansible_host",
                f"{host.address} is in no node vSwitch of the VPC.",
                "Correct the address, or add the vSwitch to estate_cloud.node_vswitches.",
            )


@rule(
    "ES805-no-pod-vswitch",
    ERROR,
    "pods of a VM take their addresses from a vSwitch of its zone; without one Terway silently takes the nodes'",
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
    first: dict[str, str] = {}
    for variable, vswitch in ranges.vswitches(estate.cloud) if estate.cloud is not None else ():
        if vswitch.id and vswitch.id in first:
            yield Problem("", f"{variable}.id", f"{vswitch.id} is {first[vswitch.id]} already.", "Correct one of them.")
        first.setdefault(vswitch.id, variable)


@rule("ES807-vswitch-size", ERROR, "the provider refuses other sizes", _VPC)
def vswitch_size(estate: model.Estate) -> Iterator[Problem]:
    for variable, vswitch in ranges.vswitches(estate.cloud) if estate.cloud is not None else ():
        if vswitch.cidr is not None:
            yield from _wrong_size(
                ranges.Range(f"{variable}.cidr", vswitch.cidr),
                _LARGEST_VSWITCH_PREFIX,
                _SMALLEST_VSWITCH_PREFIX,
                "Use a /24 for nodes and a /20 or so for pods, for instance.",
            )


@rule("ES808-other-kind-of-id", ERROR, "the provider would look for it among another kind of things", _IDS)
def other_kind_of_id(estate: model.Estate) -> Iterator[Problem]:
    cloud = estate.cloud
    if cloud is None:
        return
    ids = [("estate_cloud.vpc", cloud.vpc, "vpc-")]
    ids += [(f"{variable}.id", vswitch.id, "vsw-") for variable, vswitch in ranges.vswitches(cloud)]
    ids += [(f"estate_cloud.security_groups[{index}]", g, "sg-") for index, g in enumerate(cloud.security_groups)]
    for variable, given, prefix in ids:
        if given and not given.startswith(prefix):
            yield Problem(
                "", variable, f"{shown(given)} does not begin with {prefix}.", "Copy the identifier from the console."
            )


@rule("ES809-zone-of-another-region", ERROR, "a vSwitch lies in a zone of its VPC's region", _VPC)
def zone_of_another_region(estate: model.Estate) -> Iterator[Problem]:
    cloud = estate.cloud
    if cloud is None or not cloud.region:
        return
    for kind, by_zone in (("node_vswitches", cloud.node_vswitches), ("pod_vswitches", cloud.pod_vswitches)):
        for zone in by_zone:
            if not zone.startswith(cloud.region):
                yield Problem(
                    "",
                    f"estate_cloud.{kind}.{zone}",
                    f"{zone} is no zone of the region {cloud.region}.",
                    f"Write the zone's whole name, such as {cloud.region}-a, or correct estate_cloud.region.",
                )


@rule("ES810-machine-in-vpc-range", ERROR, "from the cloud it would be looked for in the VPC, and not found", _VPC)
def machine_in_vpc_range(estate: model.Estate) -> Iterator[Problem]:
    for host in estate.hosts.values():
        if host.address is None or host.node_class == model.CLOUD_VM or not (host.is_node or host.is_switch):
            continue
        for planned in ranges.vpc(estate):
            if host.address in planned.network:
                yield Problem(
                    host.name,
                    "ansible_host",
                    f"{host.address} lies in {planned.network} ({planned.variable}), and the host is no cloud VM.",
                    "Correct the address, move the VPC's range, or add the host to the group cloud_vms.",
                )


@rule("ES811-line-covers-vpc", ERROR, "traffic inside the VPC would be held to the line's limit", _LINE)
def line_covers_vpc(estate: model.Estate) -> Iterator[Problem]:
    for index, prefix in enumerate(_prefixes(estate)):
        for planned in ranges.vpc(estate):
            if prefix.overlaps(planned.network):
                yield Problem(
                    "",
                    f"estate_cloud.line.prefixes[{index}]",
                    f"{prefix} overlaps {planned.network} ({planned.variable}).",
                    "Write only what lies behind the line; split the prefix around the VPC.",
                )


@rule("ES812-line-misses-range", WARNING, "what goes there over the line is neither limited nor counted", _LINE)
def line_misses_range(estate: model.Estate) -> Iterator[Problem]:
    if estate.cloud is None or estate.cloud.line is None:
        return
    behind = [(f"estate_racks.{rack.name}.subnet", rack.subnet) for rack in estate.racks.values()]
    behind.append(("estate_networks.pods.bare_metal", estate.networks.pods.get(model.BARE_METAL)))
    for variable, network in behind:
        if network is not None and not any(network.subnet_of(prefix) for prefix in _prefixes(estate)):
            yield Problem(
                "",
                "estate_cloud.line.prefixes",
                f"they do not hold {network} ({variable}), which is in the data centre.",
                f"Add {network}, or a prefix that holds it.",
            )


@rule("ES813-line-without-room", ERROR, "nothing would be left for work", _LINE)
def line_without_room(estate: model.Estate) -> Iterator[Problem]:
    line = estate.cloud.line if estate.cloud is not None else None
    if line is None or line.control_mbit is None:
        return
    if line.limit_mbit is None or line.control_mbit >= line.limit_mbit:
        limit = "no limit is set" if line.limit_mbit is None else f"the limit is {line.limit_mbit}"
        yield Problem(
            "",
            "estate_cloud.line.control_mbit",
            f"{line.control_mbit} Mbit/s are kept for control traffic, and {limit}.",
            "Set estate_cloud.line.limit_mbit above it; a tenth or so is enough for control traffic.",
        )


@rule("ES814-credentials-by-half", ERROR, "requests could not be signed, or with another key than meant", _CREDENTIALS)
def credentials_by_half(estate: model.Estate) -> Iterator[Problem]:
    given = estate.cloud.credentials if estate.cloud is not None else None
    if given is None:
        return
    if bool(given.access_key_id) != bool(given.access_key_secret):
        missing = "access_key_secret" if given.access_key_id else "access_key_id"
        yield Problem(
            "", f"estate_cloud.credentials.{missing}", "the other half of the access key is given.", f"Add {missing}."
        )
    elif given.security_token and not given.access_key_id:
        yield Problem(
            "",
            "estate_cloud.credentials.security_token",
            "a token goes with an access key, and there is none.",
            "Add access_key_id and access_key_secret, or remove the token.",
        )
    elif given.ram_role and given.access_key_id:
        yield Problem(
            "",
            "estate_cloud.credentials.ram_role",
            "there is an access key too.",
            "Keep one of them: the key, or the role of the instance that the controller is.",
        )


@rule("ES815-line-over-capacity", ERROR, "a limit above what the line carries protects nobody", _LINE)
def line_over_capacity(estate: model.Estate) -> Iterator[Problem]:
    line = estate.cloud.line if estate.cloud is not None else None
    if line is None or line.limit_mbit is None or line.capacity_mbit is None:
        return
    if line.limit_mbit > line.capacity_mbit:
        yield Problem(
            "",
            "estate_cloud.line.limit_mbit",
            f"one VM may send {line.limit_mbit} Mbit/s, and the line carries {line.capacity_mbit} of all.",
            "Set it to what a VM may have of estate_cloud.line.capacity_mbit, or correct that.",
        )


@rule("ES816-line-oversold", WARNING, "VMs that each keep to their limit can still fill the line together", _LINE)
def line_oversold(estate: model.Estate) -> Iterator[Problem]:
    line = estate.cloud.line if estate.cloud is not None else None
    if line is None or line.limit_mbit is None or line.capacity_mbit is None or line.limit_mbit > line.capacity_mbit:
        return
    vms = sum(pool.count or 0 for pool in estate.vm_pools.values())
    if vms * line.limit_mbit > line.capacity_mbit:
        yield Problem(
            "",
            "estate_cloud.line.limit_mbit",
            f"the {vms} VMs of the pools may send {vms * line.limit_mbit} Mbit/s, and the line carries"
            f" {line.capacity_mbit}.",
            "Lower it, or keep an eye on what the playbook line_usage says.",
        )


def _prefixes(estate: model.Estate) -> tuple[IPv4Network, ...]:
    line = estate.cloud.line if estate.cloud is not None else None
    return line.prefixes if line is not None else ()


def _wrong_size(planned: ranges.Range, largest: int, smallest: int, remedy: str) -> Iterator[Problem]:
    if not largest <= planned.network.prefixlen <= smallest:
        yield Problem("", planned.variable, f"{planned.network} is not between /{largest} and /{smallest}.", remedy)
