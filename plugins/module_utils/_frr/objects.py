# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lines that the wanted part needs, as FRR prints them; private to this collection, runs on the switch."""

from __future__ import annotations

from collections.abc import Sequence

from ansible_collections.hybridk8s.estate.plugins.module_utils._frr.model import (
    NEIGHBOUR,
    PEER_GROUP,
    PREFIX_LIST,
    ROUTE_MAP,
    Configuration,
    Part,
    Parts,
)
from ansible_collections.hybridk8s.estate.plugins.module_utils._switch.wanted import (
    RESTART_MINUTES,
    WARN_PERCENT,
    Neighbour,
    Prefix,
    Wanted,
    group_name,
    outside_list,
    pods_list,
)


def wanted_parts(wanted: Wanted) -> Parts:
    """Every object that ``wanted`` needs, as FRR prints it; none when there are no neighbours."""
    if not wanted.neighbours:
        return {}
    group, pods, outside = group_name(wanted.estate), pods_list(wanted.estate), outside_list(wanted.estate)
    parts = [
        Part(PREFIX_LIST, pods, _list_lines(pods, wanted.imports)),
        Part(PREFIX_LIST, outside, _list_lines(outside, wanted.exports)),
        Part(ROUTE_MAP, f"{group}-IN permit 10", (f"match ip address prefix-list {pods}",)),
        Part(ROUTE_MAP, f"{group}-OUT permit 10", (f"match ip address prefix-list {outside}",)),
        Part(
            PEER_GROUP,
            group,
            (
                f"neighbor {group} peer-group",
                f"neighbor {group} timers {wanted.keepalive} {wanted.hold}",
                f"neighbor {group} timers connect {wanted.connect}",
            ),
            (
                f"neighbor {group} activate",
                f"neighbor {group} soft-reconfiguration inbound",
                *_limit(group, wanted.max_prefix),
                f"neighbor {group} route-map {group}-IN in",
                f"neighbor {group} route-map {group}-OUT out",
            ),
        ),
        *(_neighbour_part(wanted, group, neighbour) for neighbour in wanted.neighbours),
    ]
    return {(part.kind, part.name): part for part in parts}


def with_former(parts: Parts, configuration: Configuration) -> Parts:
    """``parts`` and the neighbours that are still there; all that is there where nothing is wanted any more."""
    if not parts:
        return configuration.parts
    former = {key: part for key, part in configuration.parts.items() if key[0] == NEIGHBOUR and key not in parts}
    return {**parts, **former}


def _list_lines(name: str, prefixes: Sequence[Prefix]) -> tuple[str, ...]:
    if not prefixes:
        return (f"ip prefix-list {name} seq 5 deny any",)
    return tuple(f"ip prefix-list {name} seq {5 * n} permit {prefix}" for n, prefix in enumerate(prefixes, 1))


def _limit(group: str, max_prefix: int) -> tuple[str, ...]:
    if not max_prefix:
        return ()
    return (f"neighbor {group} maximum-prefix {max_prefix} {WARN_PERCENT} restart {RESTART_MINUTES}",)


def _neighbour_part(wanted: Wanted, group: str, neighbour: Neighbour) -> Part:
    address = str(neighbour.address)
    lines = [f"neighbor {address} remote-as {neighbour.remote_as}", f"neighbor {address} peer-group {group}"]
    if wanted.local_as:
        # Without the two words the fabric would see local_as in each of our paths, and our neighbours the switch's own.
        lines.append(f"neighbor {address} local-as {wanted.local_as} no-prepend replace-as")
    if neighbour.description:
        lines.append(f"neighbor {address} description {neighbour.description}")
    if neighbour.password:
        lines.append(f"neighbor {address} password {neighbour.password}")
    hops = wanted.hops(neighbour)
    if hops:
        lines.append(f"neighbor {address} ebgp-multihop {hops}")
    return Part(NEIGHBOUR, address, tuple(lines))
