# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which old hosts may go because new ones stand in for them."""

from __future__ import annotations

DOCUMENTATION = r"""
name: replaceable
author: hybridk8s.estate authors (@hybridk8s)
short_description: The old hosts in whose place new ones stand
description:
  - Of the hosts that are to go, those that may, in their order. For each there is a new host, and for each of a kind,
    such as the control planes, a new one of that kind.
positional: gone, new, kinds
options:
  _input:
    description: The hosts that are to go.
    type: list
    elements: str
    required: true
  gone:
    description: Those to be replaced that are gone already. New hosts stand in for them first.
    type: list
    elements: str
    required: true
  new:
    description: The new hosts that do their work.
    type: list
    elements: str
    required: true
  kinds:
    description: The members of each kind, old and new ones.
    type: list
    elements: list
    required: true
"""

EXAMPLES = r"""
- name: Keep the host until a new one of its kind takes pods
  ansible.builtin.assert:
    that: inventory_hostname in (['w1', 'cp1'] | hybridk8s.estate.replaceable([], ['w7'], [groups.control_plane]))
"""

RETURN = r"""
_value:
  description: The hosts that may go.
  type: list
  elements: str
"""

from collections.abc import Callable, Collection, Sequence


def replaceable(
    leaving: Sequence[str], gone: Sequence[str], new: Collection[str], kinds: Sequence[Collection[str]]
) -> list[str]:
    all_kinds = [{*leaving, *gone, *new}, *map(set, kinds)]
    spare = [len(kind.intersection(new)) - len(kind.intersection(gone)) for kind in all_kinds]
    may_go = []
    for host in leaving:
        its = [number for number, kind in enumerate(all_kinds) if host in kind]
        if all(spare[number] > 0 for number in its):
            may_go.append(host)
            for number in its:
                spare[number] -= 1
    return may_go


class FilterModule:
    """The filter of the same name."""

    def filters(self) -> dict[str, Callable[..., list[str]]]:
        return {"replaceable": replaceable}
