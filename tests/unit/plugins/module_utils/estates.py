# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Estates for tests of BGP."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

from ansible_collections.hybridk8s.estate.plugins.module_utils._estate import model

REFLECTORS = ("w1", "w3")


def host(name: str, address: str, rack: str, *groups: str, node_class: str = "bare_metal") -> model.Host:
    return model.Host(
        name=name,
        groups=frozenset(groups),
        address=IPv4Address(address),
        rack=rack,
        node_class="" if "switches" in groups else node_class,
    )


def two_racks(reflectors: Collection[str] = REFLECTORS, extra: Collection[model.Host] = ()) -> model.Estate:
    """Two racks with a switch each: cp1, w1, w2 in r1; w3, w4 in r2."""
    hosts = [
        host("cp1", "10.20.1.11", "r1", "control_plane"),
        host("w1", "10.20.1.21", "r1", "workers"),
        host("w2", "10.20.1.22", "r1", "workers"),
        host("w3", "10.20.2.21", "r2", "workers"),
        host("w4", "10.20.2.22", "r2", "workers"),
        host("tor1", "10.20.1.1", "r1", "switches"),
        host("tor2", "10.20.2.1", "r2", "switches"),
        *extra,
    ]
    named = {
        entry.name: replace(entry, groups=entry.groups | {"route_reflectors"}) if entry.name in reflectors else entry
        for entry in sorted(hosts, key=lambda entry: entry.name)
    }
    known = sorted({group for entry in named.values() for group in entry.groups})
    return model.Estate(
        groups={group: tuple(name for name, entry in named.items() if group in entry.groups) for group in known},
        name="lab",
        networks=model.Networks(services=IPv4Network("10.22.0.0/16"), pods={"bare_metal": IPv4Network("10.21.0.0/16")}),
        bgp=model.Bgp(64512, (IPv4Network("10.99.0.0/16"),)),
        racks={
            "r1": model.Rack("r1", IPv4Network("10.20.1.0/24"), ("tor1",), 64901),
            "r2": model.Rack("r2", IPv4Network("10.20.2.0/24"), ("tor2",), 64902),
        },
        hosts=named,
    )


def with_racks(estate: model.Estate, racks: Mapping[str, model.Rack]) -> model.Estate:
    return replace(estate, racks={**estate.racks, **racks})
