# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which changes reset a session, and how they are put off; private to this collection, runs on the switch."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from ansible_collections.hybridk8s.estate.plugins.module_utils._frr.lines import attribute_of, family_of, in_order
from ansible_collections.hybridk8s.estate.plugins.module_utils._frr.model import (
    NEIGHBOUR,
    PEER_GROUP,
    Configuration,
    Part,
    Parts,
)
from ansible_collections.hybridk8s.estate.plugins.module_utils._switch.wanted import Pending

# What bgpd 8.4 takes up without closing the session (seen). What is not listed counts as a reset.
HITLESS = frozenset(
    {
        "advertisement-interval",
        "default-originate",
        "description",
        "distribute-list",
        "filter-list",
        "maximum-prefix",
        "next-hop-self",
        "prefix-list",
        "route-map",
        "send-community",
        "soft-reconfiguration",
        "timers",
        "weight",
    }
)


def resetting(old: Part, new: Part, default_unicast: bool) -> frozenset[str]:
    """The attributes in which two states of a neighbour or peer-group differ and whose change resets sessions."""
    changed = set(old.lines) ^ set(new.lines) | family_of(old, default_unicast) ^ family_of(new, default_unicast)
    return frozenset(attribute_of(line) for line in changed) - HITLESS


def hold(
    wanted: Parts, configuration: Configuration, may_reset: Collection[str] | None
) -> tuple[Parts, tuple[Pending, ...]]:
    """``wanted`` without what resets sessions of neighbours that are not named; None names all of them.

    A change of the peer-group that resets sessions is held as long as one of its members is not named.
    """
    if may_reset is None:
        return wanted, ()
    there = configuration.parts
    members = [name for kind, name in there if kind == NEIGHBOUR]
    held = dict(wanted)
    pending: dict[str, frozenset[str]] = {}
    for key, old in there.items():
        new = wanted.get(key)
        if new is None or old.kind not in (NEIGHBOUR, PEER_GROUP):
            continue
        attributes = resetting(old, new, configuration.default_unicast)
        concerned = members if old.kind == PEER_GROUP else [old.name]
        if not attributes or set(concerned) <= set(may_reset):
            continue
        held[key] = replace(
            new, lines=_held(old.lines, new.lines, attributes), family=_held(old.family, new.family, attributes)
        )
        pending.update({name: pending.get(name, frozenset()) | attributes for name in concerned})
    return held, tuple(Pending(name, tuple(sorted(pending[name]))) for name in sorted(pending))


def _held(old: Sequence[str], new: Sequence[str], attributes: Collection[str]) -> tuple[str, ...]:
    kept = [line for line in old if attribute_of(line) in attributes]
    return in_order([*kept, *(line for line in new if attribute_of(line) not in attributes)])
