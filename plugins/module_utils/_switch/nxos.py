# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the modules of cisco.nxos are told; private to this collection, pure.

Ours are the neighbours that inherit from our peer template. The template has the prefix-lists of both directions, so no
route-map is needed, and no neighbour is there before its filters.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from ansible_collections.hybridk8s.estate.plugins.module_utils._switch.neighbours import (
    Attributes,
    Entry,
    Seen,
    in_sequence,
    removals,
    tell,
)
from ansible_collections.hybridk8s.estate.plugins.module_utils._switch.wanted import (
    RESTART_MINUTES,
    WARN_PERCENT,
    Neighbour,
    SwitchError,
    Wanted,
    group_name,
    outside_list,
    pods_list,
)

ATTRIBUTES = Attributes(
    description="description",
    resetting=frozenset({"remote_as", "ebgp_multihop", "password"}),
    unread=frozenset({"password"}),
)


def calls(wanted: Wanted, there: Mapping[str, Any], prune: bool, may_reset: Collection[str] | None) -> dict[str, Any]:
    """What each module is told; ``there`` is what ``nxos_bgp_global`` gathered."""
    if wanted.local_as:
        raise SwitchError(
            "switch_bgp_router_as: cisco.nxos cannot express local-as with no-prepend and replace-as. Give the rack "
            "the switch's own AS (estate_racks), and leave the variable out."
        )
    group = group_name(wanted.estate)
    neighbours = {entry["neighbor_address"]: entry for entry in there.get("neighbors") or ()}
    ours = {name for name, entry in neighbours.items() if (entry.get("inherit") or {}).get("peer") == group}
    number = there.get("as_number")
    seen = Seen(int(number) if number else None, neighbours, ours)
    entries = {str(one.address): _neighbour(wanted, group, one) for one in wanted.neighbours}
    told = tell(wanted, entries, seen, ATTRIBUTES, prune, may_reset)
    return {
        "prefix_lists": [
            {
                "afi": "ipv4",
                "prefix_lists": [
                    {"name": pods_list(wanted.estate), "entries": in_sequence(wanted.imports)},
                    {"name": outside_list(wanted.estate), "entries": in_sequence(wanted.exports)},
                ],
            }
        ],
        "templates": {"as_number": str(wanted.as_number), "neighbor": [_template(wanted, group)]},
        "neighbors": {"as_number": str(wanted.as_number), "neighbors": list(told.neighbours)},
        "removals": removals(told.stale),
        "parents": [f"router bgp {wanted.as_number}"],
        "pending": [vars(one) for one in told.pending],
    }


def _template(wanted: Wanted, group: str) -> Entry:
    family: Entry = {
        "afi": "ipv4",
        "safi": "unicast",
        "prefix_list": {"inbound": pods_list(wanted.estate), "outbound": outside_list(wanted.estate)},
        "soft_reconfiguration_inbound": {"set": True},
    }
    if wanted.max_prefix:
        family["maximum_prefix"] = {
            "max_prefix_limit": wanted.max_prefix,
            "generate_warning_threshold": WARN_PERCENT,
            "restart_interval": RESTART_MINUTES,
        }
    timers = {"keepalive": wanted.keepalive, "holdtime": wanted.hold}
    return {"name": group, "timers": timers, "address_family": [family]}


def _neighbour(wanted: Wanted, group: str, neighbour: Neighbour) -> Entry:
    entry: Entry = {
        "neighbor_address": str(neighbour.address),
        "remote_as": str(neighbour.remote_as),
        "inherit": {"peer": group},
    }
    hops = wanted.hops(neighbour)
    if hops:
        entry["ebgp_multihop"] = hops
    if neighbour.description:
        entry["description"] = neighbour.description
    if neighbour.password:
        entry["password"] = {"encryption": 0, "key": neighbour.password}
    return entry
