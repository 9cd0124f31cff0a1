# Copyright (c) 2026 hybridk8s.estate authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What became of each host of a run, in words; private to this collection."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class HostSummary:
    """One host: ``text`` for people, and whether it was reached to the end and is a Ready node (``complete``)."""

    name: str
    text: str
    complete: bool


def summarise(
    wanted: Sequence[str], reached: Collection[str], missing: Collection[str], not_ready: Mapping[str, str]
) -> tuple[HostSummary, ...]:
    """One summary a host of ``wanted``, in its order; ``missing`` and ``not_ready`` are what ``node`` returned."""
    return tuple(_summary(name, name in reached, name in missing, not_ready.get(name)) for name in wanted)


def lines(summaries: Sequence[HostSummary]) -> list[str]:
    """The summaries as aligned lines, with a count at the end."""
    width = max((len(summary.name) for summary in summaries), default=0)
    complete = sum(1 for summary in summaries if summary.complete)
    return [
        *(f"{summary.name:{width}}  {summary.text}" for summary in summaries),
        f"{complete} of {len(summaries)} hosts are Ready nodes, as the inventory has them",
    ]


def _summary(name: str, reached: bool, missing: bool, trouble: str | None) -> HostSummary:
    if not reached:
        return HostSummary(
            name, "FAILED: unreachable, or a task failed (see above). Put it right and run again.", False
        )
    if missing:
        return HostSummary(name, "no node in the cluster", False)
    if trouble is not None:
        return HostSummary(name, f"not Ready: {trouble}", False)
    return HostSummary(name, "Ready", True)
