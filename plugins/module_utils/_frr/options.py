# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module's options, read and judged; private to this collection, runs on the switch."""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import AddressValueError, IPv4Address, IPv4Network, NetmaskValueError
from typing import Any

from ansible_collections.hybridk8s.estate.plugins.module_utils._frr.model import (
    MAX_AS,
    FrrError,
    Neighbour,
    Prefix,
    Wanted,
)

_ESTATE = re.compile(r"[a-z0-9]([-a-z0-9]{0,40}[a-z0-9])?")


def wanted_of(params: Mapping[str, Any]) -> Wanted:
    """The module's options as :class:`Wanted`; raises :class:`FrrError` naming the option that is wrong."""
    estate = params["estate"]
    if not _ESTATE.fullmatch(estate):
        raise FrrError(f"estate: {estate!r} is not a DNS label. Use the inventory's estate_name.")
    timers = params.get("timers") or {}
    wanted = Wanted(
        estate=estate,
        as_number=_as_number("as_number", params["as_number"]),
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
            raise FrrError(f"neighbours: {neighbour.address} is there twice. Keep one entry for each address.")
        seen.add(neighbour.address)
        for prefix in wanted.exports:
            if neighbour.address in prefix.network:
                raise FrrError(
                    f"export_prefixes: {prefix.network} holds the node address {neighbour.address}; nodes that learn "
                    "it lose their way to each other. Leave the nodes' own networks out of estate_bgp.import."
                )
    if len({neighbour.remote_as == wanted.as_number for neighbour in wanted.neighbours}) > 1:
        raise FrrError(
            f"neighbours: some have the switch's own AS {wanted.as_number}, others not; FRR has only one kind in a "
            "peer-group. Give every reflector the cluster's AS."
        )
    if wanted.hold < 3 * wanted.keepalive:
        raise FrrError(
            f"timers: hold {wanted.hold} s is less than three keepalives of {wanted.keepalive} s. "
            "Raise hold or lower keepalive."
        )


def _neighbour(entry: Mapping[str, Any]) -> Neighbour:
    try:
        address = IPv4Address(entry["address"])
    except (AddressValueError, KeyError) as error:
        raise FrrError(f"neighbours: {entry.get('address')!r} is not an IPv4 address. Correct ansible_host.") from error
    described = str(entry.get("description") or "")
    password = str(entry.get("password") or "")
    for option, text in (("description", described), ("password", password)):
        if text != text.strip() or not text.isprintable():
            raise FrrError(f"neighbours: the {option} of {address} has a line break or outer blanks. Remove them.")
    return Neighbour(
        address=address,
        remote_as=_as_number(f"remote_as of {address}", entry.get("remote_as")),
        description=described,
        multihop=_within(f"multihop of {address}", entry.get("multihop") or 2, 1, 255),
        password=password,
    )


def _prefix(option: str, entry: Any) -> Prefix:
    given = entry if isinstance(entry, Mapping) else {"prefix": entry}
    try:
        network = IPv4Network(given.get("prefix"))
    except (AddressValueError, NetmaskValueError, ValueError) as error:
        raise FrrError(
            f"{option}: {given.get('prefix')!r} is not an IPv4 prefix without host bits. Correct it."
        ) from error
    ge, le = given.get("ge"), given.get("le")
    for bound in (ge, le):
        if bound is not None and not network.prefixlen <= bound <= 32:
            raise FrrError(f"{option}: ge and le of {network} must lie between {network.prefixlen} and 32.")
    if ge is not None and le is not None and ge > le:
        raise FrrError(f"{option}: ge {ge} of {network} is above le {le}. Swap them.")
    return Prefix(network, ge, le)


def _as_number(option: str, value: Any) -> int:
    return _within(option, value, 1, MAX_AS)


def _within(option: str, value: Any, low: int, high: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise FrrError(f"{option}: {value!r} is not a number from {low} to {high}.")
    return value
