# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Never two of a failure domain at a time; private to this collection.

The failure domain of a route reflector is its rack, those of a switch are the racks it serves; any other host has none.
Whatever takes hosts out of work, or starts their sessions anew, asks here which of them may go together.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from ansible_collections.hybridk8s.estate.plugins.module_utils._bgp.objects import REFLECTOR_LABEL
from ansible_collections.hybridk8s.estate.plugins.module_utils._estate import derive, model


def domains_of(labels: Mapping[str, str]) -> frozenset[str]:
    """The failure domains of a node, by its labels; reflectors that are in no rack share one."""
    reflects = labels.get(REFLECTOR_LABEL) == "true"
    return frozenset({labels.get(derive.RACK_LABEL, "")}) if reflects else frozenset()


def reflector_domains(estate: model.Estate) -> dict[str, frozenset[str]]:
    """The failure domains of the reflectors of an inventory, by their names."""
    return {host.name: frozenset({host.rack}) for host in derive.reflectors(estate)}


def may_join(domains: Collection[str], taken: Collection[str]) -> bool:
    """Whether a host of these failure domains may be worked on beside others that have taken theirs."""
    return frozenset(domains).isdisjoint(taken)


def batches(hosts: Sequence[str], size: int, domains: Mapping[str, Collection[str]]) -> list[list[str]]:
    """The hosts in batches of at most ``size``, in their order but for those that have to wait for a later batch."""
    made: list[list[str]] = []
    taken: list[set[str]] = []
    first_open = 0
    for host in hosts:
        its = domains.get(host, ())
        place = first_open
        while place < len(made) and (len(made[place]) >= size or not may_join(its, taken[place])):
            place += 1
        if place == len(made):
            made.append([])
            taken.append(set())
        made[place].append(host)
        taken[place].update(its)
        while first_open < len(made) and len(made[first_open]) >= size:
            first_open += 1
    return made
