# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The address plan: ranges that must not meet, and sizes that must do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from ansible_collections.hybridk8s.estate.plugins.module_utils._estate import derive, model
from ansible_collections.hybridk8s.estate.plugins.module_utils._estate.rules._registry import (
    ERROR,
    WARNING,
    Problem,
    rule,
)

_PLAN = "Alibaba Cloud ACK: plan CIDR blocks; Kubernetes: cluster networking"
_KUBEADM = "kubeadm: MinimumAddressesInServiceSubnet, MaximumBitsForServiceSubnet"
_IPAM = "Calico: IPPool, blockSize; each node takes blocks of its own"

SPECIAL_RANGES = (
    (IPv4Network("0.0.0.0/8"), "means 'this network' (RFC 1122)"),
    (IPv4Network("100.64.0.0/10"), "holds the cloud provider's metadata, DNS and API services"),
    (IPv4Network("127.0.0.0/8"), "is loopback"),
    (IPv4Network("169.254.0.0/16"), "is link-local"),
    (IPv4Network("224.0.0.0/4"), "is multicast"),
    (IPv4Network("240.0.0.0/4"), "is reserved"),
)
_VPC_CIDR = "estate_cloud.cidr"
_SECONDARY_CIDRS = "estate_cloud.secondary_cidrs"
_PRIVATE = tuple(IPv4Network(text) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"))
_SMALL_SERVICES_PREFIX = 24
_SMALLEST_SERVICES_PREFIX = 28
_LARGEST_SERVICES_PREFIX = 12


@dataclass(frozen=True)
class Range:
    """A range of the plan and the variable that gives it."""

    variable: str
    network: IPv4Network


def plan(estate: model.Estate) -> tuple[Range, ...]:
    """Every range that is ours."""
    found = [Range(f"estate_networks.pods.{name}", network) for name, network in estate.networks.pods.items()]
    if estate.networks.services is not None:
        found.append(Range("estate_networks.services", estate.networks.services))
    found += announced(estate)
    found += [Range(f"estate_racks.{r.name}.subnet", r.subnet) for r in estate.racks.values() if r.subnet is not None]
    found += vpc(estate)
    if estate.cloud is not None:
        found += [
            Range(f"{variable}.cidr", vswitch.cidr)
            for variable, vswitch in vswitches(estate.cloud)
            if vswitch.cidr is not None
        ]
    return tuple(found)


def vpc(estate: model.Estate) -> list[Range]:
    """The ranges of the VPC itself."""
    cloud = estate.cloud
    if cloud is None:
        return []
    first = [Range(_VPC_CIDR, cloud.cidr)] if cloud.cidr is not None else []
    return first + [Range(f"{_SECONDARY_CIDRS}[{index}]", cidr) for index, cidr in enumerate(cloud.secondary_cidrs)]


def vswitches(cloud: model.Cloud) -> Iterator[tuple[str, model.VSwitch]]:
    """Every vSwitch with the variable that describes it."""
    for kind, by_zone in (("node_vswitches", cloud.node_vswitches), ("pod_vswitches", cloud.pod_vswitches)):
        for zone, vswitch in by_zone.items():
            yield f"estate_cloud.{kind}.{zone}", vswitch


def announced(estate: model.Estate) -> list[Range]:
    """The ranges from which services take addresses that are announced, but for the cluster's own."""
    services = estate.bgp.services if estate.bgp is not None else None
    if services is None:
        return []
    return [
        Range(f"estate_bgp.services.{kind}[{index}]", network)
        for kind, networks in (
            ("external_ips", services.external_ips),
            ("load_balancer_ips", services.load_balancer_ips),
        )
        for index, network in enumerate(networks)
    ]


@rule("ES301-ranges-overlap", ERROR, "packets for one range would be taken for the other's", _PLAN)
def ranges_overlap(estate: model.Estate) -> Iterator[Problem]:
    reserved = [
        Range(f"estate_networks.reserved[{index}]", network) for index, network in enumerate(estate.networks.reserved)
    ]
    for outer, inner in overlaps([*plan(estate), *reserved]):
        if _may_overlap(outer, inner):
            continue
        relation = "is" if outer.network == inner.network else "overlaps"
        yield Problem(
            "",
            inner.variable,
            f"{inner.network} {relation} {outer.network} ({outer.variable}).",
            "Move one of the two; pod, service, announced, rack, VPC and reserved ranges are disjoint.",
        )


def overlaps(ranges: list[Range]) -> Iterator[tuple[Range, Range]]:
    """Every pair that overlaps, the wider one first; one sort instead of all pairs."""
    enclosing: list[Range] = []
    for current in sorted(ranges, key=lambda r: (int(r.network.network_address), r.network.prefixlen, r.variable)):
        enclosing = [r for r in enclosing if r.network.broadcast_address >= current.network.network_address]
        for outer in enclosing:
            yield outer, current
        enclosing.append(current)


def _may_overlap(outer: Range, inner: Range) -> bool:
    both = (outer.variable, inner.variable)
    if all(variable.startswith("estate_networks.reserved") for variable in both):
        return True
    # vSwitches are parts of the VPC; cloud.py holds them to it.
    return any(_is_vpc(variable) for variable in both) and any("_vswitches." in variable for variable in both)


def _is_vpc(variable: str) -> bool:
    return variable == _VPC_CIDR or variable.startswith(_SECONDARY_CIDRS)


@rule(
    "ES302-special-range", ERROR, "hosts and clouds treat these ranges specially", "IANA IPv4 special-purpose registry"
)
def special_range(estate: model.Estate) -> Iterator[Problem]:
    for ours in plan(estate):
        for special, meaning in SPECIAL_RANGES:
            if ours.network.overlaps(special):
                yield Problem(
                    "", ours.variable, f"{ours.network} overlaps {special}, which {meaning}.", "Use a private range."
                )


@rule("ES303-public-range", WARNING, "the real owner of the addresses could not be reached", "RFC 1918")
def public_range(estate: model.Estate) -> Iterator[Problem]:
    # Services are announced with public addresses just so that the world reaches them.
    services = announced(estate)
    for ours in [planned for planned in plan(estate) if planned not in services]:
        special = any(ours.network.overlaps(network) for network, _meaning in SPECIAL_RANGES)
        if not special and not any(ours.network.subnet_of(private) for private in _PRIVATE):
            yield Problem(
                "",
                ours.variable,
                f"{ours.network} is not within 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16.",
                "Use a private range, unless the addresses are your own.",
            )


@rule("ES304-pool-too-small", ERROR, "a node without a block of its own has pods without addresses", _IPAM)
def pool_too_small(estate: model.Estate) -> Iterator[Problem]:
    for node_class, nodes in derive.nodes_by_class(estate.nodes).items():
        pool = estate.networks.pods.get(node_class)
        if pool is None:
            continue
        blocks = 2 ** (derive.POOL_BLOCK_SIZE - pool.prefixlen) if pool.prefixlen <= derive.POOL_BLOCK_SIZE else 0
        needed = derive.BLOCKS_PER_NODE * len(nodes)
        if blocks < needed:
            wanted = derive.POOL_BLOCK_SIZE - (needed - 1).bit_length()
            yield Problem(
                "",
                f"estate_networks.pods.{node_class}",
                f"{pool} has {blocks} blocks of /{derive.POOL_BLOCK_SIZE}, and {len(nodes)} nodes need"
                f" {derive.BLOCKS_PER_NODE} each.",
                f"Use a range of /{wanted} or larger; it cannot be enlarged later.",
            )


@rule("ES305-no-pool", ERROR, "pods of these nodes would have no addresses", _IPAM)
def no_pool(estate: model.Estate) -> Iterator[Problem]:
    classes = derive.nodes_by_class(estate.nodes)
    if model.BARE_METAL in classes and model.BARE_METAL not in estate.networks.pods and estate.networks.services:
        yield Problem(
            "",
            "estate_networks.pods.bare_metal",
            f"there is no pool for the {len(classes[model.BARE_METAL])} bare-metal nodes.",
            "Add estate_networks.pods.bare_metal.",
        )


@rule("ES306-services-too-small", ERROR, "kubeadm refuses it", _KUBEADM)
def services_too_small(estate: model.Estate) -> Iterator[Problem]:
    services = estate.networks.services
    if services is not None and services.prefixlen > _SMALLEST_SERVICES_PREFIX:
        yield Problem(
            "",
            "estate_networks.services",
            f"{services} has {services.num_addresses} addresses.",
            "Use a /16 or so; it cannot be changed later.",
        )


@rule(
    "ES307-services-narrow", WARNING, "each service takes an address, and the range cannot be changed later", _KUBEADM
)
def services_narrow(estate: model.Estate) -> Iterator[Problem]:
    services = estate.networks.services
    if services is not None and _SMALL_SERVICES_PREFIX < services.prefixlen <= _SMALLEST_SERVICES_PREFIX:
        yield Problem(
            "",
            "estate_networks.services",
            f"{services} has room for {services.num_addresses - 2} services.",
            "Use a /16 or so.",
        )


@rule(
    "ES308-services-too-large",
    ERROR,
    "the API server keeps a bitmap of the range and refuses more than 20 bits",
    _KUBEADM,
)
def services_too_large(estate: model.Estate) -> Iterator[Problem]:
    services = estate.networks.services
    if services is not None and services.prefixlen < _LARGEST_SERVICES_PREFIX:
        yield Problem(
            "",
            "estate_networks.services",
            f"{services} is larger than a /{_LARGEST_SERVICES_PREFIX}.",
            f"Use a /{_LARGEST_SERVICES_PREFIX} at most.",
        )


def holder(estate: model.Estate, text: str) -> Range | None:
    """The range of pods or services that holds the IPv4 literal ``text``; None for a name."""
    try:
        address = IPv4Address(text)
    except ValueError:
        return None
    inside = ("estate_networks.pods.", "estate_networks.services", "estate_cloud.pod_vswitches.")
    return next((r for r in plan(estate) if r.variable.startswith(inside) and address in r.network), None)
