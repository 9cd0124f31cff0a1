# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Hosts and their racks: every address in its place, once."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address

from ansible_collections.hybridk8s.estate.plugins.module_utils._estate import derive, model
from ansible_collections.hybridk8s.estate.plugins.module_utils._estate.rules._registry import ERROR, Problem, rule
from ansible_collections.hybridk8s.estate.plugins.module_utils._estate.wording import did_you_mean

_ADDRESSING = "RFC 1122, 3.2.1.3"
_ROUTING = "Calico keeps node addresses as next hops; the switch resolves them in its own segment"


@rule("ES201-host-without-rack", ERROR, "peers, zone and gateway of a bare-metal node follow from its rack", _ROUTING)
def host_without_rack(estate: model.Estate) -> Iterator[Problem]:
    for host in estate.nodes.values():
        if host.node_class == model.BARE_METAL and not host.rack:
            home = next(
                (r.name for r in estate.racks.values() if r.subnet and host.address and host.address in r.subnet), ""
            )
            yield Problem(
                host.name,
                "rack",
                "it is in no rack.",
                f"Set rack: {home} (the rack that holds its address)."
                if home
                else "Set rack to a name of estate_racks.",
            )


@rule("ES202-unknown-rack", ERROR, "nothing can be derived from a rack that is not described", _ROUTING)
def unknown_rack(estate: model.Estate) -> Iterator[Problem]:
    for host in estate.hosts.values():
        if host.rack and estate.racks and host.rack not in estate.racks:
            guess = did_you_mean(host.rack, estate.racks)
            yield Problem(
                host.name,
                "rack",
                f"there is no rack {host.rack!r} in estate_racks.",
                f"Did you mean {guess!r}?" if guess else f"Add estate_racks.{host.rack}, or correct the name.",
            )


@rule("ES203-duplicate-address", ERROR, "two machines of one address answer for each other at random", _ADDRESSING)
def duplicate_address(estate: model.Estate) -> Iterator[Problem]:
    holder: dict[IPv4Address, str] = {}
    for host in estate.hosts.values():
        if host.address is None:
            continue
        if host.address in holder:
            yield Problem(
                host.name,
                "ansible_host",
                f"{host.address} is the address of {holder[host.address]} too.",
                "Give one of them its own address.",
            )
        holder.setdefault(host.address, host.name)


@rule("ES204-host-outside-rack", ERROR, "the rack's switch could not reach it, nor any pod on it", _ROUTING)
def host_outside_rack(estate: model.Estate) -> Iterator[Problem]:
    for host in estate.nodes.values():
        rack = estate.racks.get(host.rack)
        if rack is None or rack.subnet is None or host.address is None or host.address in rack.subnet:
            continue
        home = next(
            (other.name for other in estate.racks.values() if other.subnet and host.address in other.subnet), ""
        )
        yield Problem(
            host.name,
            "ansible_host",
            f"{host.address} is outside {rack.subnet}, the subnet of rack {rack.name}.",
            f"Correct the address, or set rack: {home}, whose subnet holds it."
            if home
            else "Correct the address, the rack, or the rack's subnet.",
        )


@rule("ES205-not-a-host-address", ERROR, "the first and last address of a subnet belong to no machine", _ADDRESSING)
def not_a_host_address(estate: model.Estate) -> Iterator[Problem]:
    for host in estate.hosts.values():
        rack = estate.racks.get(host.rack)
        if rack is None or rack.subnet is None or rack.subnet.prefixlen > 30:
            continue
        if host.address in (rack.subnet.network_address, rack.subnet.broadcast_address):
            yield Problem(
                host.name,
                "ansible_host",
                f"{host.address} is the network or broadcast address of {rack.subnet}.",
                "Give it an address between the two.",
            )


@rule(
    "ES206-address-in-cluster-range",
    ERROR,
    "the cluster hands out these addresses itself",
    "Kubernetes: cluster networking, ranges must not overlap",
)
def address_in_cluster_range(estate: model.Estate) -> Iterator[Problem]:
    ranges = [(f"estate_networks.pods.{name}", network) for name, network in estate.networks.pods.items()]
    if estate.networks.services is not None:
        ranges.append(("estate_networks.services", estate.networks.services))
    for host in estate.hosts.values():
        for variable, network in ranges:
            if host.address is not None and host.address in network:
                yield Problem(
                    host.name,
                    "ansible_host",
                    f"{host.address} lies in {network} ({variable}).",
                    "Give the host an address of its rack, or move the range.",
                )


@rule("ES207-gateway-outside-rack", ERROR, "a default route needs a next hop in the host's own segment", _ADDRESSING)
def gateway_outside_rack(estate: model.Estate) -> Iterator[Problem]:
    for rack in estate.racks.values():
        if rack.gateway is not None and rack.subnet is not None and rack.gateway not in rack.subnet:
            yield Problem(
                "",
                f"estate_racks.{rack.name}.gateway",
                f"{rack.gateway} is outside {rack.subnet}.",
                "Use an address of the rack's subnet, or leave it out: the rack's first switch is the gateway then.",
            )


@rule("ES208-gateway-is-a-node", ERROR, "a node that takes the gateway's address cuts the rack off", _ADDRESSING)
def gateway_is_a_node(estate: model.Estate) -> Iterator[Problem]:
    for rack in estate.racks.values():
        gateway = rack.gateway
        for host in derive.nodes_in_rack(estate, rack.name):
            if gateway is not None and host.address == gateway:
                yield Problem(
                    host.name,
                    "ansible_host",
                    f"{gateway} is the gateway of rack {rack.name}.",
                    f"Give the host another address of {rack.subnet}.",
                )


@rule("ES209-switch-outside-rack", ERROR, "hosts use the switch's address as gateway and BGP peer", _ROUTING)
def switch_outside_rack(estate: model.Estate) -> Iterator[Problem]:
    for rack in estate.racks.values():
        for name in rack.switches:
            switch = estate.hosts.get(name)
            if switch is None or switch.address is None or rack.subnet is None or switch.address in rack.subnet:
                continue
            yield Problem(
                name,
                "ansible_host",
                f"{switch.address} is outside {rack.subnet}, the subnet of its rack {rack.name}.",
                "Use the switch's address in the rack's segment.",
            )


@rule("ES210-switch-in-other-rack", ERROR, "two answers to the question where a switch stands", _ROUTING)
def switch_in_other_rack(estate: model.Estate) -> Iterator[Problem]:
    for rack in estate.racks.values():
        for name in rack.switches:
            switch = estate.hosts.get(name)
            if switch is not None and switch.rack and switch.rack != rack.name and switch.rack in estate.racks:
                yield Problem(
                    name,
                    "rack",
                    f"it says {switch.rack!r}, but estate_racks.{rack.name}.switches has the switch.",
                    "Remove the variable; a switch's rack follows from estate_racks.",
                )
