# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a line of ours says; private to this collection, runs on the switch."""

from __future__ import annotations

from collections.abc import Iterable

from ansible_collections.hybridk8s.estate.plugins.module_utils._frr.model import Part


def key_of(line: str) -> tuple[str, ...]:
    """What a ``neighbor`` line sets: two lines with the same key replace each other."""
    words = line.split()
    if words[0] == "no":
        words = words[1:]
    if words[2] == "route-map" or words[2:4] == ["timers", "connect"]:
        return (words[1], words[2], words[-1] if words[2] == "route-map" else "connect")
    return (words[1], words[2])


def attribute_of(line: str) -> str:
    """The attribute of a neighbour or peer-group that a ``neighbor`` line sets or takes away."""
    return key_of(line)[1]


def inverse(line: str) -> str:
    """The line that takes back what ``line`` says."""
    return line[3:] if line.startswith("no ") else f"no {line}"


def family_of(part: Part, default_unicast: bool) -> set[str]:
    """The address family's lines without an activation that FRR implies and does not print."""
    return {line for line in part.family if not (default_unicast and line == f"neighbor {part.name} activate")}


def in_order(lines: Iterable[str]) -> tuple[str, ...]:
    """Lines of one neighbour or peer-group in an order in which FRR takes them: first what makes it exist."""
    return tuple(sorted(lines, key=_rank))


def _rank(line: str) -> int:
    words = line.split()
    if words[2:] == ["peer-group"]:
        return 0
    return {"remote-as": 1, "peer-group": 2}.get(words[2], 3)
