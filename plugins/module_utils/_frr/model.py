# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What our part of an FRR configuration is made of; private to this collection, runs on the switch."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

PREFIX_LIST = "prefix-list"
ROUTE_MAP = "route-map"
PEER_GROUP = "peer-group"
NEIGHBOUR = "neighbour"

MAX_AS = 4294967295
FAMILY = "address-family ipv4 unicast"

_PASSWORD = re.compile(r"(neighbor \S+ password) .*")


class FrrError(ValueError):
    """What was asked for cannot be done on this switch; the message names the option or object and the remedy."""


@dataclass(frozen=True)
class Prefix:
    """A prefix and the lengths, in bits, that are let through inside it; None means the prefix itself."""

    network: IPv4Network
    ge: int | None = None
    le: int | None = None

    def __str__(self) -> str:
        ge = f" ge {self.ge}" if self.ge and self.ge > self.network.prefixlen else ""
        le = f" le {self.le}" if self.le and self.le > self.network.prefixlen else ""
        return f"{self.network}{ge}{le}"


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

    ``imports`` is what the switch takes from nodes, ``exports`` what nodes may learn from it.
    """

    estate: str
    as_number: int
    neighbours: tuple[Neighbour, ...] = ()
    imports: tuple[Prefix, ...] = ()
    exports: tuple[Prefix, ...] = ()
    max_prefix: int = 2000
    keepalive: int = 10
    hold: int = 30
    connect: int = 10


@dataclass(frozen=True)
class Part:
    """One object of ours: ``lines`` in its own context (without the line that opens a route-map), ``family`` those in
    ``address-family ipv4 unicast``."""

    kind: str
    name: str
    lines: tuple[str, ...] = ()
    family: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The lines a person may see: passwords are hidden."""
        head = [f"route-map {self.name}"] if self.kind == ROUTE_MAP else []
        indented = [f" {line}" for line in self.lines] if head else list(self.lines)
        family = [FAMILY, *(f" {line}" for line in self.family)] if self.family else []
        return "".join(hide(line) + "\n" for line in [*head, *indented, *family])


Parts = Mapping[tuple[str, str], Part]


@dataclass(frozen=True)
class Configuration:
    """What a configuration text holds that matters to us.

    ``as_number`` is that of ``router bgp`` in the default VRF, None where there is none. ``default_unicast`` says
    whether FRR activates IPv4 unicast for every neighbour and then prints no ``activate``. ``foreign`` are the
    addresses of neighbours outside our peer-group.
    """

    as_number: int | None
    default_unicast: bool
    parts: Parts
    foreign: tuple[str, ...]


def group_name(estate: str) -> str:
    """The name of our peer-group; the lists and maps are called ``<this>-PODS``, ``-OUTSIDE``, ``-IN``, ``-OUT``.

    The suffixes are fixed, so that the objects of an estate ``a`` are never taken for those of an estate ``a-b``.
    """
    return f"ESTATE-{estate.upper()}"


def hide(line: str) -> str:
    """``line`` with a password in it replaced."""
    return _PASSWORD.sub(r"\1 <hidden>", line)
