# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What traffic could notice of a step, in words for the person who reads a plan; private to this collection."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from ansible_collections.hybridk8s.estate.plugins.module_utils._bgp import objects
from ansible_collections.hybridk8s.estate.plugins.module_utils._bgp.objects import Object, Wanted
from ansible_collections.hybridk8s.estate.plugins.module_utils._bgp.topology import Session, Topology
from ansible_collections.hybridk8s.estate.plugins.module_utils._estate.wording import listed

UNUSED = "none: no session uses it yet"
NO_LONGER_USED = "none: no session uses it any more"
MARKED = "none: it is marked as ours"
WAITS = "none: it waits, and takes nothing away"
ADDS_SESSIONS = "none: it adds sessions"
GAIN_PASSWORDS = "sessions that lack their password start anew, with it"
SUCCEEDED = "none: the sessions of the inventory are up"
NO_PATH = "none: it changes no path"
REPORTS = "none: nodes begin or cease to report"
ADDS_ADDRESSES = "none: it adds addresses for new pods"
KEEPS_ADDRESSES = "none: pods that run keep their addresses"
KEEPS_SOURCES = "none: packets of pods to the cloud keep their pod's address"
REROUTES_PODS = "pods of this pool: how their packets leave the node changes at once"
FILTERS_AT_ONCE = "what the new rules refuse is withdrawn at once, on every session with a switch; sessions stay up"
EVERY_SESSION = "every session starts anew: pods on other nodes are reached again once it is up"
NODE_SESSIONS = "sessions between nodes and reflectors start anew, some seconds for pods on other nodes"
MESH_WITH_SUCCESSOR = "none: every node has every pod block from a reflector"
ANNOUNCES = "none: it announces more, or less, of services to the switches"

_ROUTING_FIELDS = frozenset({"ipipMode", "vxlanMode", "natOutgoing", "disabled"})


def of_creation(wanted: Wanted) -> str:
    """What the creation of an object does."""
    if wanted.resource == objects.PEERS:
        return _adds_path(wanted) if "peerIP" in wanted.spec else ADDS_SESSIONS
    if wanted.resource == objects.POOLS and wanted.spec["disabled"]:
        return KEEPS_SOURCES
    return {
        objects.POOLS: ADDS_ADDRESSES,
        objects.STATUSES: REPORTS,
        objects.CONFIGURATIONS: "none: the mesh stays as it is",
    }.get(wanted.resource, UNUSED)


def of_change(topology: Topology, wanted: Wanted, changes: Mapping[str, Any]) -> str:
    """What the patch ``changes`` of an object does."""
    fields = set(changes.get("spec", ()))
    if not fields:
        return MARKED
    if wanted.resource == objects.FILTERS:
        return FILTERS_AT_ONCE
    if wanted.resource == objects.POOLS:
        return REROUTES_PODS if fields & _ROUTING_FIELDS else ADDS_ADDRESSES
    if wanted.resource == objects.STATUSES:
        return REPORTS
    if wanted.resource == objects.CONFIGURATIONS:
        return EVERY_SESSION if "asNumber" in fields else ANNOUNCES
    if fields <= objects.SOFT_FIELDS:
        return FILTERS_AT_ONCE
    if "peerIP" not in wanted.spec:
        return NODE_SESSIONS
    return restart(topology, [s for s in topology.sessions if objects.peer_name(topology, s) == wanted.name])


def of_deletion(topology: Topology, resource: str, found: Object) -> str:
    """What the deletion of an object of ours does, at the end of a plan."""
    if resource == objects.STATUSES:
        return REPORTS
    if resource != objects.PEERS:
        return NO_LONGER_USED
    if topology.sessions or "peerIP" not in found.get("spec", {}):
        return SUCCEEDED
    return f"no pod is reachable from outside through {found['spec']['peerIP']} any more"


def of_node(name: str) -> str:
    """What becoming or ceasing to be a reflector does."""
    return f"pods on {name}: some seconds while its sessions start anew; all others keep their paths"


def restart(topology: Topology, sessions: Collection[Session]) -> str:
    """What the restart of these sessions with one switch of a rack does."""
    if not sessions:
        return UNUSED
    one = next(iter(sessions))
    nodes = ", ".join(sorted(session.node for session in sessions))
    others = sorted(
        {s.switch: s.rack != one.rack for s in topology.sessions if s.switch != one.switch}.items(),
        key=lambda item: (item[1], item[0]),
    )
    meanwhile = (
        f"from outside the pods are reached through {listed([name for name, _elsewhere in others], 3)} meanwhile"
        if others
        else "no pod is reachable from outside until it is up again"
    )
    return f"sessions of {one.switch} with {nodes} start anew; {meanwhile}"


def _adds_path(wanted: Wanted) -> str:
    return f"none: it adds a path from outside, through {wanted.spec['peerIP']}"
