# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the modules of arista.eos are told; private to this collection, pure.

Ours are the neighbours whose routes come in through our route-map: ``eos_bgp_global`` (12.0.0) writes no neighbour into
a peer-group. It has room for one route-map and one prefix-list a neighbour, so the one filters what comes in, the other
what goes out. Prefix-lists are told as lines: ``eos_prefix_lists`` can only add to one, or replace all of the switch.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from ansible_collections.hybridk8s.estate.plugins.module_utils._switch.neighbours import (
    Attributes,
    Entry,
    Seen,
    removals,
    tell,
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

ATTRIBUTES = Attributes(
    description="description",
    resetting=frozenset({"remote_as", "local_as", "ebgp_multihop", "encryption_password"}),
    unread=frozenset({"local_as", "encryption_password"}),
)


def calls(wanted: Wanted, there: Mapping[str, Any], prune: bool, may_reset: Collection[str] | None) -> dict[str, Any]:
    """What each module is told; ``there`` is what ``eos_bgp_global`` gathered."""
    filtered_in = f"{group_name(wanted.estate)}-IN"
    found = there.get("neighbor") or there.get("neighbors") or ()
    neighbours = {entry.get("neighbor_address") or entry["peer"]: entry for entry in found}
    ours = {name for name, entry in neighbours.items() if (entry.get("route_map") or {}).get("name") == filtered_in}
    number = there.get("as_number")
    seen = Seen(int(number) if number else None, neighbours, ours)
    entries = {str(one.address): _neighbour(wanted, filtered_in, one) for one in wanted.neighbours}
    told = tell(wanted, entries, seen, ATTRIBUTES, prune, may_reset)
    as_number = str(wanted.as_number)
    return {
        "prefix_lists": {
            pods_list(wanted.estate): _lines(wanted.imports),
            outside_list(wanted.estate): _lines(wanted.exports),
        },
        "route_maps": [
            {
                "route_map": filtered_in,
                "entries": [
                    {
                        "action": "permit",
                        "sequence": 10,
                        "match": {"ip": {"address": {"prefix_list": pods_list(wanted.estate)}}},
                    }
                ],
            }
        ],
        "neighbors": {"as_number": as_number, "neighbor": list(told.neighbours)},
        "families": {
            "as_number": as_number,
            "address_family": [
                {"afi": "ipv4", "neighbor": [{"peer": address, "activate": True} for address in entries]},
            ],
        },
        "removals": removals(told.stale),
        "parents": [f"router bgp {as_number}"],
        "pending": [vars(one) for one in told.pending],
    }


def _lines(prefixes: Collection[Prefix]) -> list[str]:
    if not prefixes:
        return ["seq 5 deny 0.0.0.0/0 le 32"]
    return [f"seq {5 * n} permit {prefix}" for n, prefix in enumerate(prefixes, 1)]


def _neighbour(wanted: Wanted, filtered_in: str, neighbour: Neighbour) -> Entry:
    entry: Entry = {
        "neighbor_address": str(neighbour.address),
        "remote_as": str(neighbour.remote_as),
        "route_map": {"name": filtered_in, "direction": "in"},
        "prefix_list": {"name": outside_list(wanted.estate), "direction": "out"},
        "timers": {"keepalive": wanted.keepalive, "holdtime": wanted.hold},
    }
    if wanted.local_as:
        entry["local_as"] = {"as_number": str(wanted.local_as)}
    hops = wanted.hops(neighbour)
    if hops:
        entry["ebgp_multihop"] = {"ttl": hops}
    if wanted.max_prefix:
        entry["maximum_received_routes"] = {
            "count": wanted.max_prefix,
            "warning_limit": {"limit_percent": WARN_PERCENT},
        }
        entry["idle_restart_timer"] = 60 * RESTART_MINUTES
    if neighbour.description:
        entry["description"] = neighbour.description
    if neighbour.password:
        entry["encryption_password"] = {"type": 0, "password": neighbour.password}
    return entry
