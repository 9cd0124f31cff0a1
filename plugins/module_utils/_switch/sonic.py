# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the modules of dellemc.enterprise_sonic are told; private to this collection, pure.

Ours are the members of our peer-group. It has the prefix-lists of both directions, so no route-map is needed, and no
neighbour is there before its filters.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from ansible_collections.hybridk8s.estate.plugins.module_utils._switch.neighbours import (
    Attributes,
    Entry,
    Seen,
    in_sequence,
    tell,
)
from ansible_collections.hybridk8s.estate.plugins.module_utils._switch.wanted import (
    RESTART_MINUTES,
    WARN_PERCENT,
    Neighbour,
    Wanted,
    group_name,
    outside_list,
    pods_list,
)

VRF = "default"
ATTRIBUTES = Attributes(
    description="nbr_description",
    resetting=frozenset({"remote_as", "local_as", "ebgp_multihop", "auth_pwd"}),
    unread=frozenset({"auth_pwd"}),
)


def calls(
    wanted: Wanted, there: Sequence[Mapping[str, Any]], prune: bool, may_reset: Collection[str] | None
) -> dict[str, Any]:
    """What each module is told; ``there`` are the facts ``bgp_neighbors`` of ``sonic_facts``."""
    group = group_name(wanted.estate)
    instance: Mapping[str, Any] = next((one for one in there if one.get("vrf_name") == VRF), {})
    neighbours = {entry["neighbor"]: entry for entry in instance.get("neighbors") or ()}
    ours = {name for name, entry in neighbours.items() if entry.get("peer_group") == group}
    number = instance.get("bgp_as")
    seen = Seen(int(number) if number else None, neighbours, ours)
    entries = {str(one.address): _neighbour(wanted, group, one) for one in wanted.neighbours}
    told = tell(wanted, entries, seen, ATTRIBUTES, prune, may_reset)
    bgp: Entry = {"bgp_as": str(wanted.as_number), "vrf_name": VRF}
    stale = [{**bgp, "neighbors": [{"neighbor": address} for address in told.stale]}] if told.stale else []
    return {
        "prefix_lists": [
            {"name": pods_list(wanted.estate), "afi": "ipv4", "prefixes": in_sequence(wanted.imports)},
            {"name": outside_list(wanted.estate), "afi": "ipv4", "prefixes": in_sequence(wanted.exports)},
        ],
        "bgp": [bgp],
        "groups": [{**bgp, "peer_group": [_group(wanted, group)]}],
        "neighbors": [{**bgp, "neighbors": list(told.neighbours)}],
        "stale": stale,
        "pending": [vars(one) for one in told.pending],
    }


def _group(wanted: Wanted, group: str) -> Entry:
    family: Entry = {
        "afi": "ipv4",
        "safi": "unicast",
        "activate": True,
        "prefix_list_in": pods_list(wanted.estate),
        "prefix_list_out": outside_list(wanted.estate),
    }
    if wanted.max_prefix:
        family["prefix_limit"] = {
            "max_prefixes": wanted.max_prefix,
            "warning_threshold": WARN_PERCENT,
            "restart_timer": 60 * RESTART_MINUTES,
        }
    timers = {"keepalive": wanted.keepalive, "holdtime": wanted.hold, "connect_retry": wanted.connect}
    return {"name": group, "timers": timers, "address_family": {"afis": [family]}}


def _neighbour(wanted: Wanted, group: str, neighbour: Neighbour) -> Entry:
    entry: Entry = {
        "neighbor": str(neighbour.address),
        "remote_as": {"peer_as": str(neighbour.remote_as)},
        "peer_group": group,
    }
    if wanted.local_as:
        entry["local_as"] = {"as": str(wanted.local_as), "no_prepend": True, "replace_as": True}
    hops = wanted.hops(neighbour)
    if hops:
        entry["ebgp_multihop"] = {"enabled": True, "multihop_ttl": hops}
    if neighbour.description:
        entry["nbr_description"] = neighbour.description
    if neighbour.password:
        entry["auth_pwd"] = {"pwd": neighbour.password, "encrypted": False}
    return entry
