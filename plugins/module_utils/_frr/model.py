# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What our part of an FRR configuration is made of; private to this collection, runs on the switch."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

PREFIX_LIST = "prefix-list"
ROUTE_MAP = "route-map"
PEER_GROUP = "peer-group"
NEIGHBOUR = "neighbour"

FAMILY = "address-family ipv4 unicast"

_PASSWORD = re.compile(r"(neighbor \S+ password) .*")


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
    addresses of neighbours outside our peer-group. ``maximum_paths`` is how many equal eBGP paths the switch uses, None
    where it is left at what FRR does by itself: all of them.
    """

    as_number: int | None
    default_unicast: bool
    parts: Parts
    foreign: tuple[str, ...]
    maximum_paths: int | None = None


def hide(line: str) -> str:
    """``line`` with a password in it replaced."""
    return _PASSWORD.sub(r"\1 <hidden>", line)
