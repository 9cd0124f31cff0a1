# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The BGP topology of an estate: who speaks with whom; private to this collection, runs on the controller.

Calico's objects (:mod:`objects`) and the switch's configuration (:func:`switch_side`) are both made of the same
:class:`Session` objects, so the two ends cannot disagree.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from ansible_collections.hybridk8s.estate.plugins.module_utils._estate import derive, model

NOTHING_ANNOUNCED = derive.Announced()
NO_TIMERS = model.Timers()


class TopologyError(ValueError):
    """The inventory does not give a topology that works; the message names host, variable and remedy."""


@dataclass(frozen=True)
class Speaker:
    """A node that runs Calico. ``cluster_id`` is that of a route reflector, None on any other node."""

    name: str
    address: IPv4Address
    rack: str
    cluster_id: IPv4Address | None = None


@dataclass(frozen=True)
class Session:
    """A session between a route reflector and a switch of its rack, as both ends must have it.

    ``password_key`` is the key of its password among those of :func:`passwords_of`, empty where it has none. The
    password itself is kept apart, so that a topology may be printed.
    """

    node: str
    node_address: IPv4Address
    node_as: int
    switch: str
    switch_address: IPv4Address
    switch_as: int
    rack: str
    timers: model.Timers = NO_TIMERS
    password_key: str = ""


@dataclass(frozen=True)
class Pool:
    """A pod network; the ``node_selector`` is in Calico's selector language."""

    name: str
    cidr: IPv4Network
    block_size: int
    node_selector: str


@dataclass(frozen=True)
class Topology:
    """Everything that speaks BGP in an estate.

    ``imports`` are the outside prefixes that nodes may learn, ``services`` what is announced of services, ``vpc`` the
    ranges of the cloud, whose pods are no business of Calico's.
    """

    estate: str
    as_number: int
    speakers: tuple[Speaker, ...]
    sessions: tuple[Session, ...]
    pools: tuple[Pool, ...]
    imports: tuple[IPv4Network, ...]
    services: derive.Announced = NOTHING_ANNOUNCED
    vpc: tuple[IPv4Network, ...] = ()

    @property
    def reflectors(self) -> tuple[Speaker, ...]:
        """The speakers that are route reflectors."""
        return tuple(speaker for speaker in self.speakers if speaker.cluster_id is not None)


def topology_of(estate: model.Estate) -> Topology:
    """The topology that follows from an inventory.

    Every reflector peers with every switch of its rack, every other speaker with every reflector. Raises
    :class:`TopologyError` where the inventory lacks what that needs.
    """
    bgp = estate.bgp or model.Bgp()
    as_number = _cluster_as(bgp)
    ids = derive.cluster_ids(estate)
    reflectors = {host.name for host in derive.reflectors(estate)}
    classes = set(estate.networks.pods)
    speakers = []
    for host in estate.nodes.values():
        if host.node_class not in classes:
            continue
        if host.name in reflectors and host.name not in ids:
            raise TopologyError(f"{host.name}: a route reflector needs a rack of estate_racks. Set the variable rack.")
        cluster_id = ids[host.name] if host.name in reflectors else None
        speakers.append(Speaker(host.name, _address(host), host.rack, cluster_id))
    found = Topology(
        estate=estate.name,
        as_number=as_number,
        speakers=tuple(speakers),
        sessions=_sessions(estate, bgp),
        pools=tuple(Pool(p.name, p.cidr, p.block_size, p.node_selector) for p in derive.pools(estate)),
        imports=bgp.imports,
        services=derive.announced_services(estate),
        vpc=estate.cloud.cidrs if estate.cloud is not None else (),
    )
    _refuse_black_holes(found)
    return found


def _sessions(estate: model.Estate, bgp: model.Bgp) -> tuple[Session, ...]:
    node_as = _cluster_as(bgp)
    sessions = []
    reflectors = derive.reflectors_by_rack(estate)
    for rack in estate.racks.values():
        for node in reflectors[rack.name]:
            for name in rack.switches:
                switch = estate.hosts.get(name)
                if switch is None:
                    continue
                sessions.append(
                    Session(
                        node=node.name,
                        node_address=_address(node),
                        node_as=node_as,
                        switch=name,
                        switch_address=_address(switch),
                        switch_as=_switch_as(estate, rack, name),
                        rack=rack.name,
                        timers=bgp.timers,
                        password_key=_password_key(rack, name) if derive.session_password(estate, rack) else "",
                    )
                )
    return tuple(sessions)


def passwords_of(estate: model.Estate) -> dict[str, str]:
    """The passwords of the sessions with switches, by their keys.

    One key a switch, so that one password can be changed after the other. Only racks and ``estate_bgp`` are looked at,
    so an Estate with any host will do.
    """
    return {
        _password_key(rack, switch): password
        for rack in estate.racks.values()
        for password in [derive.session_password(estate, rack)]
        for switch in rack.switches
        if password
    }


def _password_key(rack: model.Rack, switch: str) -> str:
    return f"{rack.name}-{switch}"


def _address(host: model.Host) -> IPv4Address:
    if host.address is None:
        raise TopologyError(f"{host.name}: ansible_host is missing. Set it to the host's IPv4 address.")
    return host.address


def _cluster_as(bgp: model.Bgp | None) -> int:
    if bgp is None or bgp.as_number is None:
        raise TopologyError("estate_bgp.as is missing. Set the cluster's AS number.")
    return bgp.as_number


def _switch_as(estate: model.Estate, rack: model.Rack, switch: str) -> int:
    number = derive.switch_as(estate, rack, switch)
    if number is None:
        raise TopologyError(
            f"estate_racks.{rack.name}.as is missing. Set the AS number of the rack's switches, or bgp_as of {switch}."
        )
    return number


def _refuse_black_holes(found: Topology) -> None:
    """Refuse an import that holds a speaker: BIRD 1.6 then marks every pod block behind it unreachable (lab facts)."""
    for prefix in found.imports:
        if not prefix.prefixlen:
            raise TopologyError(
                f"estate_bgp.import has {prefix}; nodes that learn it lose their own default gateway. Name the outside "
                "prefixes that pods must reach."
            )
        for speaker in found.speakers:
            if speaker.address in prefix:
                raise TopologyError(
                    f"estate_bgp.import has {prefix}, which holds {speaker.name} ({speaker.address}); nodes that learn "
                    "it lose their routes to each other. Name only prefixes outside the cluster."
                )


def as_dict(found: Topology) -> dict[str, Any]:
    """The topology as plain JSON, the form of the module's option."""
    return {
        "estate": found.estate,
        "as_number": found.as_number,
        "speakers": [
            {
                "name": speaker.name,
                "address": str(speaker.address),
                "rack": speaker.rack,
                "cluster_id": None if speaker.cluster_id is None else str(speaker.cluster_id),
            }
            for speaker in found.speakers
        ],
        "sessions": [
            {
                **vars(session),
                "node_address": str(session.node_address),
                "switch_address": str(session.switch_address),
                "timers": vars(session.timers),
            }
            for session in found.sessions
        ],
        "pools": [{**vars(pool), "cidr": str(pool.cidr)} for pool in found.pools],
        "imports": [str(prefix) for prefix in found.imports],
        "services": {kind: [str(prefix) for prefix in prefixes] for kind, prefixes in vars(found.services).items()},
        "vpc": [str(network) for network in found.vpc],
    }


def from_dict(data: Mapping[str, Any]) -> Topology:
    """What :func:`as_dict` made, read back and checked; raises :class:`TopologyError`."""
    try:
        found = Topology(
            estate=str(data["estate"]),
            as_number=int(data["as_number"]),
            speakers=tuple(
                Speaker(
                    str(entry["name"]),
                    IPv4Address(entry["address"]),
                    str(entry.get("rack") or ""),
                    IPv4Address(entry["cluster_id"]) if entry.get("cluster_id") else None,
                )
                for entry in data["speakers"]
            ),
            sessions=tuple(
                Session(
                    str(entry["node"]),
                    IPv4Address(entry["node_address"]),
                    int(entry["node_as"]),
                    str(entry["switch"]),
                    IPv4Address(entry["switch_address"]),
                    int(entry["switch_as"]),
                    str(entry["rack"]),
                    model.Timers(**(entry.get("timers") or {})),
                    str(entry.get("password_key") or ""),
                )
                for entry in data["sessions"]
            ),
            pools=tuple(
                Pool(
                    str(entry["name"]),
                    IPv4Network(entry["cidr"]),
                    int(entry["block_size"]),
                    str(entry["node_selector"]),
                )
                for entry in data["pools"]
            ),
            imports=tuple(IPv4Network(prefix) for prefix in data["imports"]),
            services=derive.Announced(
                **{
                    str(kind): tuple(IPv4Network(prefix) for prefix in prefixes)
                    for kind, prefixes in (data.get("services") or {}).items()
                }
            ),
            vpc=tuple(IPv4Network(network) for network in data.get("vpc") or ()),
        )
    except KeyError as error:
        raise TopologyError(
            f"topology lacks {error}. Make it with the filter hybridk8s.estate.bgp_topology."
        ) from error
    except (ValueError, TypeError, AttributeError) as error:
        raise TopologyError(f"topology: {error}. Make it with the filter hybridk8s.estate.bgp_topology.") from error
    _refuse_black_holes(found)
    return found


def switch_side(estate: model.Estate, switch: str) -> dict[str, Any]:
    """What the switch named ``switch`` needs: the options of module ``frr_bgp``.

    Only the racks, the switches and the reflectors are looked at, so an Estate with only these hosts will do, or with
    all nodes where reflectors are chosen by count. A switch of no rack has no neighbours, and AS 0, which stands for
    whatever it runs. Raises :class:`TopologyError` for one that is none, or in racks of different AS numbers.
    """
    bgp = estate.bgp or model.Bgp()
    _cluster_as(bgp)
    racks = [rack for rack in estate.racks.values() if switch in rack.switches]
    numbers = {_switch_as(estate, rack, switch): rack.name for rack in racks}
    if switch not in {host.name for host in estate.switches}:
        raise TopologyError(f"{switch} is no switch of the inventory. Add it to group switches, and to a rack.")
    if len(numbers) > 1:
        raise TopologyError(
            f"{switch}: the racks {', '.join(sorted(numbers.values()))} give it different AS numbers. "
            "Give them one `as`."
        )
    passwords = passwords_of(estate)
    return {
        "estate": estate.name,
        "as_number": next(iter(numbers), 0),
        "neighbours": [
            _neighbour(session, passwords) for session in _sessions(estate, bgp) if session.switch == switch
        ],
        "import_prefixes": [
            *({"prefix": str(pool.cidr), "ge": pool.block_size, "le": 32} for pool in derive.pools(estate)),
            *({"prefix": str(prefix), "le": 32} for prefix in derive.announced_services(estate).all),
        ],
        "services": [str(prefix) for prefix in derive.announced_services(estate).all],
        "export_prefixes": [{"prefix": str(prefix), "le": 32} for prefix in bgp.imports],
        "max_prefix": derive.most_prefixes(estate),
        "timers": bgp.timers.whole,
    }


def _neighbour(session: Session, passwords: Mapping[str, str]) -> dict[str, Any]:
    password = {"password": passwords[session.password_key]} if session.password_key else {}
    return {
        "address": str(session.node_address),
        "remote_as": session.node_as,
        "description": session.node,
        **password,
    }
