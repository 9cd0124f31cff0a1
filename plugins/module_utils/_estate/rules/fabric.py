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
    for variable, number in _as_numbers(estate):
        if not 0 <= number <= _LARGEST_AS:
            yield Problem(
                "", variable, f"{number} is no AS number.", "Use a private one: 64512-65534 or 4200000000-4294967294."
            )


@rule("ES402-as-reserved", ERROR, "routers refuse it or treat it specially", _AS_NUMBERS)
def as_reserved(estate: model.Estate) -> Iterator[Problem]:
    for variable, number in _as_numbers(estate):
        if number in _RESERVED_AS:
            yield Problem(
                "",
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
    for rack in estate.racks.values():
        if estate.bgp is not None and rack.as_number is not None and rack.as_number == estate.bgp.as_number:
            yield Problem(
                "",
                f"estate_racks.{rack.name}.as",
                f"AS {rack.as_number} is the cluster's own (estate_bgp.as).",
                "Give the rack's switches, or the cluster, another AS.",
            )


@rule("ES404-as-not-private", WARNING, "a public AS number is somebody's, a documentation one nobody's", _AS_NUMBERS)
def as_not_private(estate: model.Estate) -> Iterator[Problem]:
    for variable, number in _as_numbers(estate):
        if number in _RESERVED_AS or not 0 <= number <= _LARGEST_AS or any(number in known for known in _PRIVATE_AS):
            continue
        kind = "for documentation" if any(number in known for known in _DOCUMENTATION_AS) else "public"
        yield Problem(
            "",
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
        if rack.as_number is None:
            continue
        if rack.as_number in first:
            yield Problem(
                "",
                f"estate_racks.{rack.name}.as",
                f"AS {rack.as_number} is that of rack {first[rack.as_number]} too.",
                "Give each rack an AS of its own, unless the switches allow their own AS in paths.",
            )
        first.setdefault(rack.as_number, rack.name)


@rule("ES411-rack-without-reflector", ERROR, "its switch would learn no pod routes from its own rack", _REFLECTION)
def rack_without_reflector(estate: model.Estate) -> Iterator[Problem]:
    for rack in estate.racks.values():
        if (
            rack.switches
            and derive.nodes_in_rack(estate, rack.name)
            and not derive.reflectors_in_rack(estate, rack.name)
        ):
            yield Problem(
                "",
                f"estate_racks.{rack.name}",
                f"rack {rack.name} has switches and nodes but no route reflector.",
                "Put a node of the rack into group route_reflectors.",
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
    if estate.bgp is None and (estate.switches or estate.reflectors or any(r.switches for r in estate.racks.values())):
        yield Problem(
            "", "estate_bgp", "there are switches or route reflectors, but estate_bgp is not set.", "Set estate_bgp.as."
        )


@rule("ES417-single-reflector", WARNING, "without the node-to-node mesh, its failure stops all routing", _REFLECTION)
def single_reflector(estate: model.Estate) -> Iterator[Problem]:
    if len(estate.reflectors) == 1 and len(estate.nodes) > 1:
        yield Problem(
            estate.reflectors[0].name,
            "groups.route_reflectors",
            "it is the only route reflector.",
            "Make another node a route reflector.",
        )


@rule(
    "ES418-reflector-in-cloud", ERROR, "cloud VMs are not on the BGP network", "Alibaba Cloud ACK One: hybrid networks"
)
def reflector_in_cloud(estate: model.Estate) -> Iterator[Problem]:
    for host in estate.reflectors:
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
    holders = [r for r in ranges.plan(estate) if r.variable.startswith("estate_networks.")]
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
            yield Problem(
                # Name the one whose id was chosen by hand: a derived id follows from its rack.
                host.name if host.cluster_id is not None else other.name,
                "route_reflector_cluster_id",
                f"{cluster_id} is the cluster id of {other.name} in {other.rack} and of {host.name} in {host.rack}.",
                "Leave the variable out to have one id a rack, or choose another.",
            )


@rule("ES432-cluster-id-zero", ERROR, "it means 'no cluster' and Calico ignores it", "RFC 4456, 7")
def cluster_id_zero(estate: model.Estate) -> Iterator[Problem]:
    for host in estate.hosts.values():
        if host.cluster_id is not None and int(host.cluster_id) == 0:
            yield Problem(
                host.name,
                "route_reflector_cluster_id",
                "0.0.0.0 is no cluster id.",
                "Leave it out, or use 244.0.0.1 and so on.",
            )


@rule("ES433-cluster-id-without-reflector", WARNING, "the variable has no effect", _REFLECTION)
def cluster_id_without_reflector(estate: model.Estate) -> Iterator[Problem]:
    for host in estate.hosts.values():
        if host.cluster_id is not None and not host.is_reflector:
            yield Problem(
                host.name,
                "route_reflector_cluster_id",
                "it is set, but the host is not in group route_reflectors.",
                "Put the host into route_reflectors, or remove the variable.",
            )


def _as_numbers(estate: model.Estate) -> Iterator[tuple[str, int]]:
    if estate.bgp is not None and estate.bgp.as_number is not None:
        yield "estate_bgp.as", estate.bgp.as_number
    for rack in estate.racks.values():
        if rack.as_number is not None:
            yield f"estate_racks.{rack.name}.as", rack.as_number


def _imports(estate: model.Estate) -> Iterator[tuple[str, IPv4Network]]:
    for index, network in enumerate(estate.bgp.imports if estate.bgp is not None else ()):
        yield f"estate_bgp.import[{index}]", network
