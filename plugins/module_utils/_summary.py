# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What became of each host of a run, in words; private to this collection."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class HostSummary:
    """One host: ``text`` for people, and whether it was reached to the end and is a Ready node (``complete``)."""

    name: str
    text: str
    complete: bool


def summarise(
    nodes: Sequence[Mapping[str, Any]], wanted: Sequence[str], reached: Collection[str]
) -> tuple[HostSummary, ...]:
    """One summary a host of ``wanted``, in its order. ``nodes`` are those that ``node_info`` returned."""
    seen = {str(node["name"]): node for node in nodes}
    return tuple(_summary(name, seen.get(name), name in reached) for name in wanted)


def lines(summaries: Sequence[HostSummary]) -> list[str]:
    """The summaries as aligned lines, with a count at the end."""
    width = max((len(summary.name) for summary in summaries), default=0)
    complete = sum(1 for summary in summaries if summary.complete)
    return [
        *(f"{summary.name:{width}}  {summary.text}" for summary in summaries),
        f"{complete} of {len(summaries)} hosts are Ready nodes, as the inventory has them",
    ]


def _summary(name: str, node: Mapping[str, Any] | None, reached: bool) -> HostSummary:
    ready = node is not None and bool(node["exists"]) and bool(node["ready"])
    words = _node_words(node)
    if not reached:
        words.append("FAILED in this run (unreachable, or a task failed: see above); put it right and run again")
    return HostSummary(name, ", ".join(words), ready and reached)


def _node_words(node: Mapping[str, Any] | None) -> list[str]:
    if node is None or not node["exists"]:
        return ["no node in the cluster"]
    words = ["Ready" if node["ready"] else "not Ready", str(node["version"])]
    return words if node["schedulable"] else [*words, "cordoned"]
