# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a switch shall have of an estate, whatever its platform; private to this collection."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv4Network, NetmaskValueError
from typing import Any

MAX_AS = 4294967295
MAX_PASSWORD = 80
RESTART_MINUTES = 5
WARN_PERCENT = 80

_ESTATE = re.compile(r"[a-z0-9]([-a-z0-9]{0,40}[a-z0-9])?")


class SwitchError(ValueError):
    """What was asked for cannot be done on this switch; the message names the option or object and the remedy."""


@dataclass(frozen=True)
class Prefix:
    """A prefix and the lengths, in bits, that are let through inside it; None means the prefix itself."""

    network: IPv4Network
    ge: int | None = None
    le: int | None = None

    @property
    def bounds(self) -> dict[str, int]:
        """``ge`` and ``le``, where they say more than the prefix does."""
        given = {"ge": self.ge, "le": self.le}
        return {name: bound for name, bound in given.items() if bound is not None and bound > self.network.prefixlen}

    def __str__(self) -> str:
        return " ".join([str(self.network), *(f"{name} {bound}" for name, bound in self.bounds.items())])


@dataclass(frozen=True)
class Neighbour:
    """A reflector as the switch sees it. ``multihop`` is the TTL of an eBGP session, in hops."""

    address: IPv4Address
    remote_as: int
    description: str = ""
    multihop: int = 2
    password: str = ""


@dataclass(frozen=True)
class Wanted:
    """Our part as the inventory describes it. Timers are in seconds; ``max_prefix`` 0 is no limit.

    ``as_number`` is that of ``router bgp``, ``local_as`` the one that our neighbours see where it is another one.
    ``imports`` is what the switch takes from nodes, ``exports`` what nodes may learn from it.
    """

    estate: str
    as_number: int
    local_as: int | None = None
    neighbours: tuple[Neighbour, ...] = ()
    imports: tuple[Prefix, ...] = ()
    exports: tuple[Prefix, ...] = ()
    max_prefix: int = 2000
    keepalive: int = 10
    hold: int = 30
    connect: int = 10

    @property
    def shown_as(self) -> int:
        """The AS number that our neighbours see."""
        return self.local_as or self.as_number

    def hops(self, neighbour: Neighbour) -> int:
        """The TTL of an eBGP session of several hops, else 0.

        Next hops are kept and may lie in another rack: with one hop, switches take only those on connected networks.
        """
        return neighbour.multihop if neighbour.remote_as != self.as_number and neighbour.multihop > 1 else 0


@dataclass(frozen=True)
class Pending:
    """A neighbour that keeps ``attributes`` which differ from what is wanted: their change would reset its session."""

    neighbour: str
    attributes: tuple[str, ...]


def group_name(estate: str) -> str:
    """The name of our peer-group; the lists and maps are called ``<this>-PODS``, ``-OUTSIDE``, ``-IN``, ``-OUT``.

    The suffixes are fixed, so that the objects of an estate ``a`` are never taken for those of an estate ``a-b``.
    """
    return f"ESTATE-{estate.upper()}"


def pods_list(estate: str) -> str:
    """The name of the prefix-list of what the switch takes from nodes."""
    return f"{group_name(estate)}-PODS"


def outside_list(estate: str) -> str:
    """The name of the prefix-list of what nodes may learn from the switch."""
    return f"{group_name(estate)}-OUTSIDE"


def refusal(wanted: Wanted, as_number: int | None, foreign: Collection[str]) -> str:
    """Why a switch that runs ``as_number`` and has ``foreign`` neighbours of others must not be touched, or nothing."""
    if as_number is not None and wanted.as_number not in (0, as_number):
        return (
            f"the switch runs router bgp {as_number}, but the inventory says AS {wanted.as_number}. Correct the rack's "
            "`as` in estate_racks, or the switch; where the rack shall show the cluster another AS than the switch's, "
            f"set switch_bgp_router_as: {as_number} for the switch."
        )
    taken = sorted(str(n.address) for n in wanted.neighbours if str(n.address) in foreign)
    if taken:
        return (
            f"neighbor {', '.join(taken)} is configured outside peer-group {group_name(wanted.estate)}. "
            "Remove it from the switch, or put it into that peer-group, so that one owner is left."
        )
    return ""


def wanted_of(params: Mapping[str, Any]) -> Wanted:
    """The module's options as :class:`Wanted`; raises :class:`SwitchError` naming the option that is wrong."""
    estate = params["estate"]
    if not _ESTATE.fullmatch(estate):
        raise SwitchError(f"estate: {estate!r} is not a DNS label. Use the inventory's estate_name.")
    timers = params.get("timers") or {}
    least = 1 if params.get("neighbours") else 0
    as_number = _within("as_number", params["as_number"], least, MAX_AS)
    given = params.get("local_as")
    shown = as_number if given is None else _within("local_as", given, least, MAX_AS)
    wanted = Wanted(
        estate=estate,
        as_number=as_number,
        local_as=None if shown == as_number else shown,
        neighbours=tuple(_neighbour(entry) for entry in params.get("neighbours") or ()),
        imports=tuple(_prefix("import_prefixes", entry) for entry in params.get("import_prefixes") or ()),
        exports=tuple(_prefix("export_prefixes", entry) for entry in params.get("export_prefixes") or ()),
        max_prefix=_within("max_prefix", params.get("max_prefix", 2000), 0, MAX_AS),
        keepalive=_within("timers.keepalive", timers.get("keepalive", 10), 1, 65535),
        hold=_within("timers.hold", timers.get("hold", 30), 3, 65535),
        connect=_within("timers.connect", timers.get("connect", 10), 1, 65535),
    )
    _refuse_contradictions(wanted)
    return wanted


def _refuse_contradictions(wanted: Wanted) -> None:
    seen: set[IPv4Address] = set()
    for neighbour in wanted.neighbours:
        if neighbour.address in seen:
            raise SwitchError(f"neighbours: {neighbour.address} is there twice. Keep one entry for each address.")
        seen.add(neighbour.address)
        for prefix in wanted.exports:
            if neighbour.address in prefix.network:
                raise SwitchError(
                    f"export_prefixes: {prefix.network} holds the node address {neighbour.address}; nodes that learn "
                    "it lose their way to each other. Leave the nodes' own networks out of estate_bgp.import."
                )
    clashing = [n for n in wanted.neighbours if wanted.local_as and n.remote_as in (wanted.as_number, wanted.local_as)]
    if clashing:
        raise SwitchError(
            f"local_as: {clashing[0].address} has AS {clashing[0].remote_as}, but another AS can be shown to eBGP "
            "neighbours only. Give the cluster (estate_bgp.as), the rack and the switch three AS numbers, or leave "
            "switch_bgp_router_as out."
        )
    if len({neighbour.remote_as == wanted.as_number for neighbour in wanted.neighbours}) > 1:
        raise SwitchError(
            f"neighbours: some have the switch's own AS {wanted.as_number}, others not; FRR has only one kind in a "
            "peer-group. Give every reflector the cluster's AS."
        )
    if wanted.hold < 3 * wanted.keepalive:
        raise SwitchError(
            f"timers: hold {wanted.hold} s is less than three keepalives of {wanted.keepalive} s. "
            "Raise hold or lower keepalive."
        )


def _neighbour(entry: Mapping[str, Any]) -> Neighbour:
    try:
        address = IPv4Address(entry["address"])
    except (AddressValueError, KeyError) as error:
        raise SwitchError(
            f"neighbours: {entry.get('address')!r} is not an IPv4 address. Correct ansible_host."
        ) from error
    described = str(entry.get("description") or "")
    password = str(entry.get("password") or "")
    for option, text in (("description", described), ("password", password)):
        if text != text.strip() or not text.isprintable():
            raise SwitchError(f"neighbours: the {option} of {address} has a line break or outer blanks. Remove them.")
    if len(password) > MAX_PASSWORD or " " in password:
        raise SwitchError(
            f"neighbours: the password of {address} has a blank or more than {MAX_PASSWORD} characters, which TCP-MD5 "
            "or FRR does not take. Choose another one."
        )
    return Neighbour(
        address=address,
        remote_as=_as_number(f"remote_as of {address}", entry.get("remote_as")),
        description=" ".join(described.split()),
        multihop=_within(f"multihop of {address}", entry.get("multihop") or 2, 1, 255),
        password=password,
    )


def _prefix(option: str, entry: Any) -> Prefix:
    given = entry if isinstance(entry, Mapping) else {"prefix": entry}
    try:
        network = IPv4Network(given.get("prefix"))
    except (AddressValueError, NetmaskValueError, ValueError) as error:
        raise SwitchError(
            f"{option}: {given.get('prefix')!r} is not an IPv4 prefix without host bits. Correct it."
        ) from error
    ge, le = given.get("ge"), given.get("le")
    for bound in (ge, le):
        if bound is not None and not network.prefixlen <= bound <= 32:
            raise SwitchError(f"{option}: ge and le of {network} must lie between {network.prefixlen} and 32.")
    if ge is not None and le is not None and ge > le:
        raise SwitchError(f"{option}: ge {ge} of {network} is above le {le}. Swap them.")
    return Prefix(network, ge, le)


def _as_number(option: str, value: Any) -> int:
    return _within(option, value, 1, MAX_AS)


def _within(option: str, value: Any, low: int, high: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise SwitchError(f"{option}: {value!r} is not a number from {low} to {high}.")
    return value
