# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""BGP: AS numbers, route reflectors, switches, and what nodes may learn from outside."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network

from ansible_collections.hybridk8s.estate.plugins.module_utils._estate import derive, model
from ansible_collections.hybridk8s.estate.plugins.module_utils._estate.rules import ranges
from ansible_collections.hybridk8s.estate.plugins.module_utils._estate.rules._registry import (
    ERROR,
    WARNING,
    Problem,
    rule,
)
from ansible_collections.hybridk8s.estate.plugins.module_utils._estate.wording import did_you_mean

_AS_NUMBERS = "IANA Autonomous System Numbers; RFC 4893, RFC 5398, RFC 6996, RFC 7300, RFC 7607"
_REFLECTION = "Calico: configure BGP peering; confd bgp_processor.go"
_IMPORT = "seen with BIRD 1.6: a next hop behind a recursive route installs 'unreachable'"
_FILTERING = "Calico: BGPFilter; without one every route of the peer reaches every node's kernel"
_LARGEST_AS = 4294967295
_RESERVED_AS = {
    0: "means 'no AS' (RFC 7607)",
    23456: "stands for any 32-bit AS on old routers (RFC 6793)",
    65535: "is reserved (RFC 7300)",
    _LARGEST_AS: "is reserved (RFC 7300)",
}
_DOCUMENTATION_AS = (range(64496, 64512), range(65536, 65552))
_PRIVATE_AS = (range(64512, 65535), range(4200000000, _LARGEST_AS))


@rule("ES401-as-out-of-range", ERROR, "BGP has 32 bits for it", _AS_NUMBERS)
def as_out_of_range(estate: model.Estate) -> Iterator[Problem]:
    for host, variable, number in _as_numbers(estate):
        if not 0 <= number <= _LARGEST_AS:
            yield Problem(
                host, variable, f"{number} is no AS number.", "Use a private one: 64512-65534 or 4200000000-4294967294."
            )


@rule("ES402-as-reserved", ERROR, "routers refuse it or treat it specially", _AS_NUMBERS)
def as_reserved(estate: model.Estate) -> Iterator[Problem]:
    for host, variable, number in _as_numbers(estate):
        if number in _RESERVED_AS:
            yield Problem(
                host,
                variable,
                f"AS {number} {_RESERVED_AS[number]}.",
                "Use a private one: 64512-65534 or 4200000000-4294967294.",
            )


@rule(
    "ES403-as-clash",
    ERROR,
    "routes to the fabric must be eBGP; iBGP would prefer pod routes over everything",
    _REFLECTION,
)
def as_clash(estate: model.Estate) -> Iterator[Problem]:
    for host, variable, number in _switch_as_numbers(estate):
        if estate.bgp is not None and number == estate.bgp.as_number:
            yield Problem(
                host,
                variable,
                f"AS {number} is the cluster's own (estate_bgp.as).",
                "Give the switch, or the cluster, another AS.",
            )


@rule("ES404-as-not-private", WARNING, "a public AS number is somebody's, a documentation one nobody's", _AS_NUMBERS)
def as_not_private(estate: model.Estate) -> Iterator[Problem]:
    for host, variable, number in _as_numbers(estate):
        if number in _RESERVED_AS or not 0 <= number <= _LARGEST_AS or any(number in known for known in _PRIVATE_AS):
            continue
        kind = "for documentation" if any(number in known for known in _DOCUMENTATION_AS) else "public"
        yield Problem(
            host,
            variable,
            f"AS {number} is {kind}.",
            "Use a private one (64512-65534 or 4200000000-4294967294), unless it is your own.",
        )


@rule(
    "ES405-as-shared-by-racks",
    WARNING,
    "a switch drops routes whose path holds its own AS",
    "RFC 4271, 9.1.2; RFC 7938",
)
def as_shared_by_racks(estate: model.Estate) -> Iterator[Problem]:
    first: dict[int, str] = {}
    for rack in estate.racks.values():
        numbers = {derive.switch_as(estate, rack, name): name for name in rack.switches} or {rack.as_number: ""}
        for number, switch in numbers.items():
            if number is None:
                continue
            own = switch in estate.hosts and estate.hosts[switch].bgp_as is not None
            if first.setdefault(number, rack.name) != rack.name:
                yield Problem(
                    switch if own else "",
                    "bgp_as" if own else f"estate_racks.{rack.name}.as",
                    f"AS {number} is that of rack {first[number]} too.",
                    "Give each rack an AS of its own, unless the switches allow their own AS in paths.",
                )


@rule("ES406-as-without-switch", WARNING, "the variable has no effect", _REFLECTION)
def as_without_switch(estate: model.Estate) -> Iterator[Problem]:
    for host in estate.hosts.values():
        if host.bgp_as is not None and not host.is_switch:
            yield Problem(
                host.name,
                "bgp_as",
                "it is set, but the host is not in group switches.",
                "Nodes have the AS of estate_bgp.as: remove the variable, or put the host into switches.",
            )


@rule("ES411-rack-without-reflector", ERROR, "its switch would learn no pod routes from its own rack", _REFLECTION)
def rack_without_reflector(estate: model.Estate) -> Iterator[Problem]:
    reflectors = derive.reflectors_by_rack(estate)
    for rack in estate.racks.values():
        if rack.switches and derive.nodes_in_rack(estate, rack.name) and not reflectors[rack.name]:
            yield Problem(
                "",
                f"estate_racks.{rack.name}",
                f"rack {rack.name} has switches and nodes but no route reflector.",
                "Put a node of the rack into group route_reflectors, or set estate_bgp.reflectors_per_rack.",
            )


@rule("ES412-rack-without-switch", ERROR, "nobody would announce its pods to the fabric", _REFLECTION)
def rack_without_switch(estate: model.Estate) -> Iterator[Problem]:
    expected = estate.switches or (estate.bgp is not None and estate.bgp.imports)
    for rack in estate.racks.values():
        if expected and not rack.switches and derive.nodes_in_rack(estate, rack.name):
            yield Problem(
                "",
                f"estate_racks.{rack.name}.switches",
                f"rack {rack.name} has nodes but no switch.",
                "Name the rack's switches.",
            )


@rule("ES413-unknown-switch", ERROR, "there is no such host to peer with", _REFLECTION)
def unknown_switch(estate: model.Estate) -> Iterator[Problem]:
    switches = [host.name for host in estate.switches]
    for rack in estate.racks.values():
        for index, name in enumerate(rack.switches):
            if name in switches:
                continue
            variable = f"estate_racks.{rack.name}.switches[{index}]"
            guess = did_you_mean(name, switches)
            if name in estate.hosts:
                yield Problem(name, variable, f"{name} is not in group switches.", "Put it into group switches.")
                continue
            yield Problem(
                "",
                variable,
                f"the inventory has no switch {name!r}.",
                f"Did you mean {guess!r}?" if guess else "Add it to group switches.",
            )


@rule("ES414-switch-in-two-racks", ERROR, "a switch has one AS and one rack", _REFLECTION)
def switch_in_two_racks(estate: model.Estate) -> Iterator[Problem]:
    first: dict[str, str] = {}
    for rack in estate.racks.values():
        for index, name in enumerate(rack.switches):
            if name in first:
                yield Problem(
                    name if name in estate.hosts else "",
                    f"estate_racks.{rack.name}.switches[{index}]",
                    f"{name} is a switch of rack {first[name]} already.",
                    "Name it once.",
                )
            first.setdefault(name, rack.name)


@rule("ES415-switch-without-rack", WARNING, "it would be configured with no neighbour", _REFLECTION)
def switch_without_rack(estate: model.Estate) -> Iterator[Problem]:
    placed = {name for rack in estate.racks.values() for name in rack.switches}
    for host in estate.switches:
        if estate.racks and host.name not in placed:
            yield Problem(
                host.name,
                "estate_racks",
                "no rack of estate_racks has it among its switches.",
                "Add it to a rack's switches, or take it out of group switches.",
            )


@rule("ES416-bgp-missing", ERROR, "switches need the cluster's AS to peer with it", _REFLECTION)
def bgp_missing(estate: model.Estate) -> Iterator[Problem]:
    if estate.bgp is None and (
        estate.switches or estate.named_reflectors or any(r.switches for r in estate.racks.values())
    ):
        yield Problem(
            "", "estate_bgp", "there are switches or route reflectors, but estate_bgp is not set.", "Set estate_bgp.as."
        )


@rule("ES417-single-reflector", WARNING, "without the node-to-node mesh, its failure stops all routing", _REFLECTION)
def single_reflector(estate: model.Estate) -> Iterator[Problem]:
    reflectors = derive.reflectors(estate)
    if len(reflectors) == 1 and len(estate.nodes) > 1:
        yield Problem(
            reflectors[0].name,
            "groups.route_reflectors",
            "it is the only route reflector.",
            "Put another node into the group, or set estate_bgp.reflectors_per_rack to 2.",
        )


@rule("ES419-rack-short-of-reflectors", WARNING, "the rack has less to lose than was meant", _REFLECTION)
def rack_short_of_reflectors(estate: model.Estate) -> Iterator[Problem]:
    wanted = estate.bgp.reflectors_per_rack if estate.bgp is not None else 0
    named = {host.rack for host in estate.named_reflectors}
    for rack, hosts in derive.reflectors_by_rack(estate).items():
        if rack not in named and len(hosts) < wanted and derive.nodes_in_rack(estate, rack):
            yield Problem(
                "",
                "estate_bgp.reflectors_per_rack",
                f"it asks for {wanted}, and rack {rack} has {len(hosts)} bare-metal nodes.",
                "Add nodes to the rack, or ask for fewer.",
            )


@rule(
    "ES418-reflector-in-cloud", ERROR, "cloud VMs are not on the BGP network", "Alibaba Cloud ACK One: hybrid networks"
)
def reflector_in_cloud(estate: model.Estate) -> Iterator[Problem]:
    for host in estate.named_reflectors:
        if host.node_class == model.CLOUD_VM:
            yield Problem(
                host.name,
                "groups.route_reflectors",
                "it is a cloud VM.",
                "Let a bare-metal node of each rack be the reflector.",
            )


@rule("ES421-import-holds-nodes", ERROR, "the next hops of all pod routes behind it turn unreachable", _IMPORT)
def import_holds_nodes(estate: model.Estate) -> Iterator[Problem]:
    prefixes = ("estate_racks.", "estate_cloud.node_vswitches.")
    holders = [r for r in ranges.plan(estate) if r.variable.startswith(prefixes)]
    for variable, network in _imports(estate):
        if network.prefixlen == 0:
            continue
        for held in holders:
            if network.overlaps(held.network):
                yield Problem(
                    "",
                    variable,
                    f"{network} holds node addresses: {held.network} ({held.variable}).",
                    "Import only prefixes outside the estate; nodes reach each other by their default gateway.",
                )


@rule("ES422-import-default-route", ERROR, "nodes would lose their own default gateway to the switches", _FILTERING)
def import_default_route(estate: model.Estate) -> Iterator[Problem]:
    for variable, network in _imports(estate):
        if network.prefixlen == 0:
            yield Problem(
                "", variable, f"{network} is the default route.", "Name the outside prefixes that pods must reach."
            )


@rule("ES423-import-holds-cluster-range", ERROR, "outside routes would compete with the cluster's own", _FILTERING)
def import_holds_cluster_range(estate: model.Estate) -> Iterator[Problem]:
    holders = [r for r in ranges.plan(estate) if r.variable.startswith(("estate_networks.", "estate_bgp.services."))]
    for variable, network in _imports(estate):
        for held in holders:
            if network.prefixlen and network.overlaps(held.network):
                yield Problem(
                    "",
                    variable,
                    f"{network} overlaps {held.network} ({held.variable}).",
                    "Import only prefixes outside the estate.",
                )


@rule("ES424-import-special-range", ERROR, "these ranges are never learned from a neighbour", _FILTERING)
def import_special_range(estate: model.Estate) -> Iterator[Problem]:
    for variable, network in _imports(estate):
        for special, meaning in ranges.SPECIAL_RANGES:
            if network.prefixlen and network.overlaps(special):
                yield Problem("", variable, f"{network} overlaps {special}, which {meaning}.", "Remove it.")


@rule("ES431-cluster-id-in-two-racks", ERROR, "reflectors of one id do not serve each other", _REFLECTION)
def cluster_id_in_two_racks(estate: model.Estate) -> Iterator[Problem]:
    first: dict[IPv4Address, model.Host] = {}
    for name, cluster_id in derive.cluster_ids(estate).items():
        host = estate.hosts[name]
        other = first.setdefault(cluster_id, host)
        if other.rack != host.rack:
            # Name the one whose id was chosen by hand: a derived id follows from its rack.
            where, variable = (
                _chosen_cluster_id(estate, host) or _chosen_cluster_id(estate, other) or ("", "estate_racks")
            )
            yield Problem(
                where,
                variable,
                f"{cluster_id} is the cluster id of {other.name} in {other.rack} and of {host.name} in {host.rack}.",
                "Leave the variable out to have one id a rack, or choose another.",
            )


def _chosen_cluster_id(estate: model.Estate, host: model.Host) -> tuple[str, str] | None:
    """Host and variable that give the reflector its cluster id; None where it is derived."""
    if host.cluster_id is not None:
        return host.name, "route_reflector_cluster_id"
    rack = estate.racks.get(host.rack)
    return ("", f"estate_racks.{rack.name}.cluster_id") if rack is not None and rack.cluster_id is not None else None


@rule("ES432-cluster-id-zero", ERROR, "it means 'no cluster' and Calico ignores it", "RFC 4456, 7")
def cluster_id_zero(estate: model.Estate) -> Iterator[Problem]:
    given = [(host.name, "route_reflector_cluster_id", host.cluster_id) for host in estate.hosts.values()]
    given += [("", f"estate_racks.{rack.name}.cluster_id", rack.cluster_id) for rack in estate.racks.values()]
    for host, variable, cluster_id in given:
        if cluster_id is not None and int(cluster_id) == 0:
            yield Problem(host, variable, "0.0.0.0 is no cluster id.", "Leave it out, or use 244.0.0.1 and so on.")


@rule("ES433-cluster-id-without-reflector", WARNING, "the variable has no effect", _REFLECTION)
def cluster_id_without_reflector(estate: model.Estate) -> Iterator[Problem]:
    reflectors = {host.name for host in derive.reflectors(estate)}
    for host in estate.hosts.values():
        if host.cluster_id is not None and host.name not in reflectors:
            yield Problem(
                host.name,
                "route_reflector_cluster_id",
                "it is set, but the host is no route reflector.",
                "Put the host into route_reflectors, or remove the variable.",
            )


def _as_numbers(estate: model.Estate) -> Iterator[tuple[str, str, int]]:
    """Host, variable and number of every AS."""
    if estate.bgp is not None and estate.bgp.as_number is not None:
        yield "", "estate_bgp.as", estate.bgp.as_number
    yield from _switch_as_numbers(estate)


def _switch_as_numbers(estate: model.Estate) -> Iterator[tuple[str, str, int]]:
    for rack in estate.racks.values():
        if rack.as_number is not None:
            yield "", f"estate_racks.{rack.name}.as", rack.as_number
    for host in estate.switches:
        if host.bgp_as is not None:
            yield host.name, "bgp_as", host.bgp_as


def _imports(estate: model.Estate) -> Iterator[tuple[str, IPv4Network]]:
    for index, network in enumerate(estate.bgp.imports if estate.bgp is not None else ()):
        yield f"estate_bgp.import[{index}]", network
